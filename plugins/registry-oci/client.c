#include "client.h"

#include <stdio.h>
#include <sodium.h>
#include <strings.h>

#include "../common/util.h"
#include "../common/challenge.h"
#include "../common/reference.h"

enum {
  max_body = 4 * 1024 * 1024, /* the distribution specification's bound for manifests */
  max_token = 64 * 1024,
  max_tokens = 256,
  default_token_s = 60,
  early_s = 10, /* a token is used up to this long before its end */
  basic_s = 600
};

/* A value of Authorization that worked for a registry and scope. */
struct token {
  char *registry, *scope, *authorization;
  int64_t until_ms; /* monotonic */
};

struct ro_client {
  const struct berth_host *host;
  const struct berth_host_http *http;
  const struct berth_host_timer *timer;
  const struct ro_settings *settings;
  struct token tokens[max_tokens];
  size_t ntokens;
};

struct ro_call {
  struct ro_client *client;
  struct ro_call **slot;
  char *registry, *method, *path, *accept, *scope, *what;
  void (*done)(void *arg, const struct ro_answer *answer);
  void *arg;
  berth_handle handle;
  char *authorization; /* of the request on its way; NULL: anonymous */
  bool from_cache;     /* the authorization may have expired */
  bool cancelled;
  int logins;          /* how often we have answered a challenge */
  struct pu_challenge challenge;
  char *digest, *media_type; /* of the answer's head */
  int64_t length;
  int status; /* of the last answer; 0: none came */
};

/* ---------------------------------------------------------------- tokens */

static void token_clear(struct token *t) {
  free(t->registry);
  free(t->scope);
  pu_wipe_free(t->authorization);
  *t = (struct token){0};
}

static struct token *token_of(struct ro_client *c, const char *registry, const char *scope) {
  for (size_t i = 0; i < c->ntokens; i++)
    if (pu_eq(c->tokens[i].registry, registry) && pu_eq(c->tokens[i].scope, scope))
      return &c->tokens[i];
  return NULL;
}

static void token_drop(struct ro_client *c, const char *registry, const char *scope) {
  struct token *t = token_of(c, registry, scope);
  if (!t)
    return;
  token_clear(t);
  *t = c->tokens[--c->ntokens];
  c->tokens[c->ntokens] = (struct token){0};
}

/* Where the table is full the one that ends first makes room. */
static void token_keep(struct ro_client *c, const char *registry, const char *scope, const char *authorization, int64_t seconds) {
  if (seconds <= early_s)
    return;
  token_drop(c, registry, scope);
  if (c->ntokens == max_tokens) {
    size_t first = 0;
    for (size_t i = 1; i < c->ntokens; i++)
      if (c->tokens[i].until_ms < c->tokens[first].until_ms)
        first = i;
    token_clear(&c->tokens[first]);
    c->tokens[first] = c->tokens[--c->ntokens];
  }
  c->tokens[c->ntokens++] = (struct token){.registry = pu_strdup(registry),
                                           .scope = pu_strdup(scope),
                                           .authorization = pu_strdup(authorization),
                                           .until_ms = c->timer->mono_ms(c->host) + (seconds - early_s) * 1000};
}

void ro_client_forget(struct ro_client *c) {
  while (c->ntokens)
    token_clear(&c->tokens[--c->ntokens]);
}

struct ro_client *ro_client_new(const struct berth_host *host, const struct ro_settings *settings) {
  struct ro_client *c = pu_new(struct ro_client);
  c->host = host;
  c->http = host->service(host, BERTH_HOST_HTTP);
  c->timer = host->service(host, BERTH_HOST_TIMER);
  c->settings = settings;
  return c;
}

void ro_client_free(struct ro_client **client) {
  if (!*client)
    return;
  ro_client_forget(*client);
  free(*client);
  *client = NULL;
}

/* ---------------------------------------------------------------- the end of a call */

static void call_end(struct ro_call *call, const struct ro_answer *answer) {
  *call->slot = NULL;
  call->done(call->arg, answer);
  free(call->registry);
  free(call->method);
  free(call->path);
  free(call->accept);
  free(call->scope);
  free(call->what);
  pu_wipe_free(call->authorization);
  pu_challenge_free(&call->challenge);
  free(call->digest);
  free(call->media_type);
  free(call);
}

static void __attribute__((format(printf, 3, 4))) call_fail(struct ro_call *call, enum berth_code code, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  PU_AUTO_FREE text = pu_vasprintf(fmt, ap);
  va_end(ap);
  struct ro_answer answer = {
      .code = call->cancelled ? BERTH_CANCELLED : code, .message = text, .status = call->status, .media_type = "", .body = ""};
  call_end(call, &answer);
}

/* What the registry said of the error: errors[0].message of its JSON, cut and without control bytes. */
static char *said(const char *body, size_t len) {
  PU_AUTO_JSON o = len < max_token ? pu_json_parse(body, len) : NULL;
  const char *text = pu_str(json_array_get(pu_arr(o, "errors"), 0), "message");
  if (!text)
    text = pu_str(o, "details");
  if (!text)
    return pu_strdup("");
  char *cut = pu_asprintf(": %.200s", text);
  for (char *p = cut; *p; p++)
    if ((unsigned char)*p < ' ')
      *p = ' ';
  return cut;
}

static void fail_status(struct ro_call *call, int status, const char *body, size_t len) {
  PU_AUTO_FREE why = said(body, len);
  bool named = ro_settings_of(call->client->settings, call->registry) != NULL;
  switch (status) {
  case 401:
    call_fail(call, BERTH_UNAUTHENTICATED, "%s: the registry %s wants %s%s", call->what, call->registry,
              call->logins && named ? "another username or password, or the image is not there"
                                    : "a login, or the image is not there: give username and password under registries",
              why);
    return;
  case 403:
    call_fail(call, BERTH_DENIED, "%s: the registry %s denies access%s", call->what, call->registry, why);
    return;
  case 404:
    call_fail(call, BERTH_NOT_FOUND, "%s: the registry %s does not have it%s", call->what, call->registry, why);
    return;
  case 429:
    call_fail(call, BERTH_UNAVAILABLE, "%s: the registry %s limits the rate of requests%s", call->what, call->registry, why);
    return;
  default:
    call_fail(call, status >= 500 ? BERTH_UNAVAILABLE : BERTH_INVALID, "%s: the registry %s answered with status %d%s",
              call->what, call->registry, status, why);
  }
}

/* ---------------------------------------------------------------- sending */

static void send_it(struct ro_call *call);

static const char *ca_of(const struct ro_client *c, const char *host, const char *fallback) {
  const struct ro_registry *r = ro_settings_of(c->settings, host);
  return r && r->ca_file ? r->ca_file : fallback;
}

static void on_head(void *arg, int status, const struct berth_pair *headers, size_t n) {
  struct ro_call *call = arg;
  call->status = status;
  pu_challenge_free(&call->challenge);
  pu_set(&call->digest, NULL);
  pu_set(&call->media_type, NULL);
  call->length = -1;
  for (size_t i = 0; i < n; i++) {
    const char *name = headers[i].name, *value = headers[i].value;
    if (pu_eq(name, "www-authenticate"))
      pu_challenge_parse(value, &call->challenge);
    else if (pu_eq(name, "docker-content-digest"))
      pu_set(&call->digest, pu_strdup(value));
    else if (pu_eq(name, "content-type"))
      pu_set(&call->media_type, pu_strndup(value, strcspn(value, "; \t")));
    else if (pu_eq(name, "content-length"))
      call->length = strtoll(value, NULL, 10);
  }
}

static void log_in(struct ro_call *call, const char *body, size_t len);

static void on_done(void *arg, enum berth_code code, const char *message, int status, const char *body, size_t len) {
  struct ro_call *call = arg;
  call->handle = 0;
  if (code == BERTH_CANCELLED || call->cancelled) {
    call_fail(call, BERTH_CANCELLED, "cancelled");
  } else if (code != BERTH_OK) {
    call_fail(call, code == BERTH_TOO_LARGE ? code : BERTH_UNAVAILABLE, "%s: the registry %s does not answer: %s", call->what,
              call->registry, message);
  } else if (status == 401) {
    log_in(call, body, len);
  } else if (status < 200 || status > 299) {
    fail_status(call, status, body, len);
  } else {
    struct ro_answer answer = {.code = BERTH_OK,
                               .message = "",
                               .status = status,
                               .digest = call->digest,
                               .media_type = call->media_type ? call->media_type : "",
                               .length = call->length,
                               .body = body,
                               .len = len};
    call_end(call, &answer);
  }
}

static void send_it(struct ro_call *call) {
  struct ro_client *c = call->client;
  struct berth_pair headers[2];
  size_t n = 0;
  if (call->accept)
    headers[n++] = (struct berth_pair){"Accept", call->accept};
  if (call->authorization)
    headers[n++] = (struct berth_pair){"Authorization", call->authorization};
  PU_AUTO_FREE url = pu_asprintf("%s://%s%s", ro_settings_plain(c->settings, call->registry) ? "http" : "https",
                                 pu_registry_endpoint(call->registry), call->path);
  struct berth_http_request request = {.size = sizeof request,
                                       .method = call->method,
                                       .url = url,
                                       .headers = headers,
                                       .nheaders = n,
                                       .timeout_ms = c->settings->timeout_ms,
                                       .max_body = max_body,
                                       .tls_ca_file = ca_of(c, call->registry, NULL),
                                       .follow_redirects = true,
                                       .on_head = on_head,
                                       .done = on_done,
                                       .arg = call};
  call->handle = c->http->request(c->host, &request);
  if (!call->handle)
    call_fail(call, BERTH_CANCELLED, "the plug-in is stopping");
}

/* ---------------------------------------------------------------- logging in */

static char *basic(const char *username, const char *password) {
  PU_AUTO_FREE pair = pu_asprintf("%s:%s", username, password);
  size_t room = sodium_base64_encoded_len(strlen(pair), sodium_base64_VARIANT_ORIGINAL);
  PU_AUTO_FREE text = pu_calloc(1, room);
  sodium_bin2base64(text, room, (const unsigned char *)pair, strlen(pair), sodium_base64_VARIANT_ORIGINAL);
  char *header = pu_asprintf("Basic %s", text);
  sodium_memzero(pair, strlen(pair));
  sodium_memzero(text, room);
  return header;
}

static void log_in_basic(struct ro_call *call, const char *body, size_t len) {
  const struct ro_registry *r = ro_settings_of(call->client->settings, call->registry);
  if (!r || !r->username || !r->password || call->logins > 1) {
    fail_status(call, 401, body, len);
    return;
  }
  pu_wipe_free(call->authorization);
  call->authorization = basic(r->username, r->password);
  token_keep(call->client, call->registry, call->scope, call->authorization, basic_s);
  send_it(call);
}

bool ro_url_host(const char *url, char **host, bool *plain) {
  *plain = strncasecmp(url, "http://", 7) == 0;
  if (!*plain && strncasecmp(url, "https://", 8) != 0)
    return false;
  const char *from = url + (*plain ? 7 : 8);
  *host = pu_strndup(from, strcspn(from, "/?#"));
  if (pu_is_host(*host))
    return true; /* no user:password@ either */
  pu_set(host, NULL);
  return false;
}

/* The realm is the registry's word: plain HTTP there would carry the password past everybody, so it is fine only where the
 * registry itself is spoken to so, and the realm is on this machine, on the registry's own, or named as insecure. */
static bool realm_ok(const struct ro_call *call, char **host) {
  bool plain = false;
  if (!call->challenge.realm || !ro_url_host(call->challenge.realm, host, &plain))
    return false;
  if (!plain)
    return true;
  const struct ro_settings *s = call->client->settings;
  size_t n = strcspn(*host, ":");
  bool same = (*host)[0] != '[' && strcspn(call->registry, ":") == n && strncmp(*host, call->registry, n) == 0;
  return ro_settings_plain(s, call->registry) && (same || ro_settings_plain(s, *host));
}

static bool token_text_ok(const char *t) {
  size_t n = strlen(t);
  for (size_t i = 0; i < n; i++)
    if (t[i] <= ' ' || (unsigned char)t[i] > '~')
      return false;
  return n > 0 && n < 32768;
}

static void on_token(void *arg, enum berth_code code, const char *message, int status, const char *body, size_t len) {
  struct ro_call *call = arg;
  const char *realm = call->challenge.realm;
  call->handle = 0;
  if (code == BERTH_CANCELLED || call->cancelled) {
    call_fail(call, BERTH_CANCELLED, "cancelled");
    return;
  }
  if (code != BERTH_OK || status >= 500) {
    call_fail(call, BERTH_UNAVAILABLE, "%s: the token server %s does not answer: %s", call->what, realm,
              code ? message : "an error of its own");
    return;
  }
  if (status != 200) {
    PU_AUTO_FREE why = said(body, len);
    call_fail(call, status == 403 ? BERTH_DENIED : BERTH_UNAUTHENTICATED,
              "%s: the token server %s refuses the login to %s with status %d%s", call->what, realm, call->registry, status, why);
    return;
  }
  PU_AUTO_JSON o = pu_json_parse(body, len);
  const char *token = pu_str_or(o, "token", pu_str(o, "access_token"));
  if (!token || !token_text_ok(token)) {
    call_fail(call, BERTH_UNAVAILABLE, "%s: the token server %s gave no token", call->what, realm);
    return;
  }
  pu_wipe_free(call->authorization);
  call->authorization = pu_asprintf("Bearer %s", token);
  token_keep(call->client, call->registry, call->scope, call->authorization, pu_int(o, "expires_in", default_token_s));
  send_it(call);
}

static void add_parameter(struct pu_buf *b, const char *name, const char *value) {
  if (!value)
    return;
  pu_buf_addf(b, "%s%s=", b->len ? "&" : "", name);
  pu_url_add(b, value, "");
}

/* An identity token is exchanged by POST (OAuth 2), name and password by GET. */
static void ask_token(struct ro_call *call, const char *realm_host) {
  struct ro_client *c = call->client;
  const struct ro_registry *r = ro_settings_of(c->settings, call->registry);
  bool identity = r && r->identity_token;
  PU_AUTO_BUF query = {0};
  add_parameter(&query, "service", call->challenge.service);
  add_parameter(&query, "scope", call->scope ? call->scope : call->challenge.scope);
  if (identity) {
    add_parameter(&query, "grant_type", "refresh_token");
    add_parameter(&query, "client_id", "berth");
    add_parameter(&query, "refresh_token", r->identity_token);
  }
  PU_AUTO_FREE url = identity || !query.len ? pu_strdup(call->challenge.realm)
                                            : pu_asprintf("%s%c%s", call->challenge.realm,
                                                          strchr(call->challenge.realm, '?') ? '&' : '?', query.data);
  char *authorization = !identity && r && r->username && r->password ? basic(r->username, r->password) : NULL;
  struct berth_pair header = identity ? (struct berth_pair){"Content-Type", "application/x-www-form-urlencoded"}
                                      : (struct berth_pair){"Authorization", authorization ? authorization : ""};
  const struct ro_registry *own = ro_settings_of(c->settings, call->registry);
  struct berth_http_request request = {.size = sizeof request,
                                       .method = identity ? "POST" : "GET",
                                       .url = url,
                                       .headers = &header,
                                       .nheaders = identity || authorization,
                                       .body = identity ? query.data : NULL,
                                       .body_len = identity ? query.len : 0,
                                       .timeout_ms = c->settings->timeout_ms,
                                       .max_body = max_token,
                                       .tls_ca_file = ca_of(c, realm_host, own ? own->ca_file : NULL),
                                       .done = on_token,
                                       .arg = call};
  call->handle = c->http->request(c->host, &request);
  pu_wipe_free(authorization);
  if (!call->handle)
    call_fail(call, BERTH_CANCELLED, "the plug-in is stopping");
}

static void log_in_bearer(struct ro_call *call, const char *body, size_t len) {
  PU_AUTO_FREE host = NULL;
  if (call->logins > 1) {
    fail_status(call, 401, body, len);
  } else if (!realm_ok(call, &host)) {
    call_fail(call, BERTH_UNAUTHENTICATED,
              "%s: the registry %s sends logins to \"%.200s\", which is no https URL: nothing was sent there", call->what,
              call->registry, call->challenge.realm ? call->challenge.realm : "");
  } else {
    ask_token(call, host);
  }
}

static void log_in(struct ro_call *call, const char *body, size_t len) {
  token_drop(call->client, call->registry, call->scope);
  if (!call->from_cache)
    call->logins++;
  else
    call->logins = 1;
  call->from_cache = false;
  if (call->challenge.scheme == PU_AUTH_BEARER)
    log_in_bearer(call, body, len);
  else if (call->challenge.scheme == PU_AUTH_BASIC)
    log_in_basic(call, body, len);
  else
    fail_status(call, 401, body, len);
}

/* ---------------------------------------------------------------- calls */

void ro_client_send(struct ro_client *client, const struct ro_request *request, struct ro_call **slot) {
  struct ro_call *call = pu_new(struct ro_call);
  *call = (struct ro_call){.client = client,
                           .slot = slot,
                           .registry = pu_strdup(pu_registry_canonical(request->registry)),
                           .method = pu_strdup(request->method),
                           .path = pu_strdup(request->path),
                           .accept = pu_strdup(request->accept),
                           .scope = pu_strdup(request->scope),
                           .what = pu_strdup(request->what),
                           .done = request->done,
                           .arg = request->arg,
                           .length = -1};
  *slot = call;
  struct token *t = token_of(client, call->registry, call->scope);
  if (t && t->until_ms > client->timer->mono_ms(client->host)) {
    call->authorization = pu_strdup(t->authorization);
    call->from_cache = true;
  }
  send_it(call);
}

void ro_call_cancel(struct ro_call *call) {
  if (!call)
    return;
  call->cancelled = true;
  call->client->http->cancel(call->client->host, call->handle);
}
