#define _GNU_SOURCE
#include "registry.h"

#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "../../common/base64.h"
#include "../../common/challenge.h"
#include "../../common/reference.h"
#include "../../common/util.h"
#include "address.h"

enum { max_redirects = 5, max_error = 64 << 10, max_token = 256 << 10, max_header = 16 << 10 };

struct ri_registry {
  char *host, *endpoint, *ca_file, *username, *password, *identity_token;
  bool plain;
  int64_t timeout_ms;
  pthread_mutex_t lock;   /* of what follows */
  char *authorization;    /* what the last login gave: the whole header; NULL: none yet */
  char *scope;            /* that it is for */
  enum ri_reach reach;    /* where the registry itself was found */
};

struct ri_registry *ri_registry_new(const struct ri_registry_options *o) {
  struct ri_registry *r = pu_new(struct ri_registry);
  *r = (struct ri_registry){.host = pu_strdup(o->host), .endpoint = pu_strdup(pu_registry_endpoint(o->host)), .ca_file = pu_strdup(o->ca_file),
                            .username = pu_strdup(o->username), .password = pu_strdup(o->password), .identity_token = pu_strdup(o->identity_token),
                            .plain = o->plain, .timeout_ms = o->timeout_ms, .lock = PTHREAD_MUTEX_INITIALIZER};
  return r;
}

void ri_registry_free(struct ri_registry **registry) {
  struct ri_registry *r = *registry;
  if (!r)
    return;
  free(r->host);
  free(r->endpoint);
  free(r->ca_file);
  free(r->username);
  pu_wipe_free(r->password);
  pu_wipe_free(r->identity_token);
  pu_wipe_free(r->authorization);
  free(r->scope);
  free(r);
  *registry = NULL;
}

void ri_line_free(struct ri_line *line) {
  if (line->curl)
    curl_easy_cleanup(line->curl);
  line->curl = NULL;
}

/* ---------------------------------------------------------------- one request */

/* One request and what comes back; the redirects of an ask are one each. */
struct turn {
  struct ri_registry *registry;
  struct ri_line *line;
  const struct ri_ask *ask;  /* NULL: a token is asked for */
  bool own;                  /* the host is the registry's own */
  char *url, *form;          /* form: NULL for GET */
  const char *authorization; /* borrowed; NULL: none */
  const char *basic;         /* "user:password" for the realm */
  struct pu_challenge challenge;
  struct ri_answer *answer;
  int64_t at;                /* of the next piece */
  struct pu_buf body;        /* of errors and tokens */
  bool refused;              /* its address */
  struct ri_why *why;
};

static void turn_free(struct turn *t) {
  free(t->url);
  pu_wipe_free(t->form);
  pu_challenge_free(&t->challenge);
  pu_buf_free(&t->body);
}
#define RI_AUTO_TURN __attribute__((cleanup(turn_free))) struct turn

static curl_socket_t socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a) {
  struct turn *t = arg;
  (void)purpose;
  enum ri_reach reach = ri_address_reach(&a->addr);
  pthread_mutex_lock(&t->registry->lock);
  bool allowed = ri_address_allowed(reach, t->own, t->registry->reach);
  if (allowed && t->own)
    t->registry->reach = reach;
  pthread_mutex_unlock(&t->registry->lock);
  if (!allowed)
    t->refused = true;
  return allowed ? socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol) : CURL_SOCKET_BAD;
}

static void header_value(const char *line, size_t n, const char *name, char *out, size_t room) {
  size_t len = strlen(name);
  if (n <= len || strncasecmp(line, name, len) != 0)
    return;
  const char *value = line + len + strspn(line + len, " \t");
  size_t m = strcspn(value, "\r\n");
  snprintf(out, room, "%.*s", (int)m, value);
}

static size_t header_came(char *data, size_t size, size_t n, void *arg) {
  struct turn *t = arg;
  (void)size;
  if (n > max_header)
    return n;
  PU_AUTO_FREE line = pu_strndup(data, n);
  char range[64] = "", challenge[8192] = "";
  if (n > 5 && strncmp(line, "HTTP/", 5) == 0) {
    t->at = 0;
    pu_challenge_free(&t->challenge);
  }
  header_value(line, n, "www-authenticate:", challenge, sizeof challenge);
  if (challenge[0])
    pu_challenge_parse(challenge, &t->challenge);
  header_value(line, n, "content-range:", range, sizeof range);
  long long from;
  if (range[0] && sscanf(range, "bytes %lld-", &from) == 1)
    t->at = from;
  if (t->answer) {
    header_value(line, n, "content-type:", t->answer->media_type, sizeof t->answer->media_type);
    t->answer->media_type[strcspn(t->answer->media_type, "; \t")] = 0;
    header_value(line, n, "docker-content-digest:", t->answer->digest, sizeof t->answer->digest);
  }
  return n;
}

static size_t body_came(char *data, size_t size, size_t n, void *arg) {
  struct turn *t = arg;
  (void)size;
  long status = 0;
  curl_easy_getinfo(t->line->curl, CURLINFO_RESPONSE_CODE, &status);
  if (t->ask && status >= 200 && status < 300) {
    if (!t->ask->piece(t->ask->arg, data, n, t->at, t->why))
      return 0;
    t->at += (int64_t)n;
    return n;
  }
  size_t cap = t->ask ? max_error : max_token;
  if (t->body.len + n > cap)
    return t->ask ? n : 0; /* of an error the beginning suffices */
  pu_buf_add(&t->body, data, n);
  return n;
}

static int still(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
  const struct turn *t = arg;
  (void)a, (void)b, (void)c, (void)d;
  return t->line->stop && atomic_load(t->line->stop);
}

static void settings(struct turn *t, struct curl_slist *headers) {
  CURL *c = t->line->curl;
  const struct ri_registry *r = t->registry;
  curl_easy_reset(c);
  curl_easy_setopt(c, CURLOPT_URL, t->url);
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, r->plain ? "http,https" : "https");
  curl_easy_setopt(c, CURLOPT_PROXY, "");
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_USERAGENT, "berth");
  curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)r->timeout_ms);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)((r->timeout_ms + 999) / 1000));
  curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 256L << 10);
  curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, socket_open);
  curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, t);
  curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, header_came);
  curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, body_came);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
  curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, still);
  curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
  curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
  if (r->ca_file && t->own)
    curl_easy_setopt(c, CURLOPT_CAINFO, r->ca_file);
  if (t->form)
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, t->form);
  if (t->basic) {
    curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    curl_easy_setopt(c, CURLOPT_USERPWD, t->basic);
  }
  if (t->ask && t->ask->from > 0) { /* not curl's own resuming, which takes a whole answer for a failure */
    char range[32];
    snprintf(range, sizeof range, "%lld-", (long long)t->ask->from);
    curl_easy_setopt(c, CURLOPT_RANGE, range);
  }
}

static void header_add(struct curl_slist **list, const char *name, const char *value) {
  PU_AUTO_FREE text = pu_asprintf("%s: %s", name, value);
  *list = curl_slist_append(*list, text);
  explicit_bzero(text, strlen(text));
}

static int failed(struct turn *t, CURLcode code) {
  const char *what = t->ask ? t->ask->what : "the registry's token";
  if (t->why->text)
    return -1;
  if (t->line->stop && atomic_load(t->line->stop))
    return ri_why_set(t->why, BERTH_CANCELLED, "given up");
  if (t->refused)
    return ri_why_set(t->why, BERTH_DENIED, "%s: the registry sends us to %s, an address that only this machine can reach: refused", what, t->url);
  bool tls = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE;
  return ri_why_set(t->why, tls ? BERTH_DENIED : BERTH_UNAVAILABLE, "%s: %s: %s", what, curl_easy_strerror(code),
                    tls ? "name the registry's ca_file, or see that its certificate is in order"
                        : "see that the registry's name is right and that this machine reaches it (registries: in runtime-oci's configuration names mirrors), or import the image from an "
                          "archive: berth image import");
}

/* The status, or -1 with why. */
static int turn_run(struct turn *t) {
  struct curl_slist *headers = NULL;
  if (!t->line->curl && !(t->line->curl = curl_easy_init()))
    return ri_why_set(t->why, BERTH_EXHAUSTED, "no memory for a connection");
  if (t->ask && t->ask->accept)
    header_add(&headers, "Accept", t->ask->accept);
  if (t->authorization && t->own)
    header_add(&headers, "Authorization", t->authorization);
  settings(t, headers);
  CURLcode code = curl_easy_perform(t->line->curl);
  long status = 0;
  curl_easy_getinfo(t->line->curl, CURLINFO_RESPONSE_CODE, &status);
  for (struct curl_slist *h = headers; h; h = h->next)
    explicit_bzero(h->data, strlen(h->data));
  curl_slist_free_all(headers);
  if (code != CURLE_OK)
    return failed(t, code);
  if (t->answer)
    t->answer->status = (int)status;
  return (int)status;
}

/* ---------------------------------------------------------------- where it leads */

static bool url_own(const struct ri_registry *r, const char *url) {
  const char *host = strstr(url, "://");
  size_t n = strlen(r->endpoint);
  return host && strncasecmp(host + 3, r->endpoint, n) == 0 && (host[3 + n] == '/' || !host[3 + n]) &&
         strncmp(url, r->plain ? "http://" : "https://", r->plain ? 7 : 8) == 0;
}

/* 3xx: the next URL into t. */
static int redirect(struct turn *t) {
  char *to = NULL;
  curl_easy_getinfo(t->line->curl, CURLINFO_REDIRECT_URL, &to);
  if (!to || (strncmp(to, "https://", 8) != 0 && (!t->registry->plain || strncmp(to, "http://", 7) != 0)))
    return ri_why_set(t->why, BERTH_DENIED, "%s: the registry sends us to %.200s, which is not asked for", t->ask->what, to ? to : "nowhere");
  pu_set(&t->url, pu_strdup(to));
  t->own = url_own(t->registry, t->url);
  pu_buf_free(&t->body);
  return 0;
}

static int ask_once(struct ri_registry *r, struct ri_line *line, const struct ri_ask *ask, const char *authorization, struct ri_answer *answer,
                    struct pu_challenge *challenge, struct pu_buf *body, struct ri_why *why) {
  RI_AUTO_TURN t = {.registry = r, .line = line, .ask = ask, .own = true, .authorization = authorization, .answer = answer, .why = why};
  t.url = pu_asprintf("%s://%s%s", r->plain ? "http" : "https", r->endpoint, ask->path);
  for (int hops = 0;; hops++) {
    int status = turn_run(&t);
    if (status < 0)
      return -1;
    if (status < 300 || status >= 400) {
      *challenge = t.challenge;
      t.challenge = (struct pu_challenge){0};
      *body = t.body;
      t.body = (struct pu_buf){0};
      return status;
    }
    if (hops == max_redirects)
      return ri_why_set(why, BERTH_UNAVAILABLE, "%s: the registry sends us around in circles", ask->what);
    if (redirect(&t) < 0)
      return -1;
  }
}

/* ---------------------------------------------------------------- logging in */

static char *credentials(const struct ri_registry *r) {
  struct pu_buf b = {.secret = true};
  pu_buf_adds(&b, r->username);
  pu_buf_addc(&b, ':');
  pu_buf_adds(&b, r->password ? r->password : "");
  return pu_buf_steal(&b);
}

static void form_add(struct pu_buf *b, const char *name, const char *value) {
  if (!value)
    return;
  pu_buf_adds(b, b->len ? "&" : "");
  pu_buf_adds(b, name);
  pu_buf_addc(b, '=');
  pu_url_add(b, value, "");
}

/* The realm's question: with a refresh token as a form, else as a query. */
static void token_question(struct turn *t, const struct pu_challenge *c, const char *scope) {
  struct pu_buf b = {.secret = true};
  const char *wanted = c->scope ? c->scope : scope;
  if (t->registry->identity_token) {
    form_add(&b, "grant_type", "refresh_token");
    form_add(&b, "client_id", "berth");
    form_add(&b, "refresh_token", t->registry->identity_token);
  }
  form_add(&b, "service", c->service);
  form_add(&b, "scope", wanted);
  if (t->registry->identity_token) {
    t->form = pu_buf_steal(&b);
    t->url = pu_strdup(c->realm);
    return;
  }
  t->url = pu_asprintf("%s%s%s", c->realm, strchr(c->realm, '?') ? "&" : "?", b.data ? b.data : "");
  pu_buf_free(&b);
}

/* "Bearer …" from the realm that the registry names; the caller wipes and frees. The password goes there only by TLS, or where the
 * registry itself is spoken to without. */
static char *bearer(struct ri_registry *r, struct ri_line *line, const struct pu_challenge *c, const char *scope, struct ri_why *why) {
  RI_AUTO_TURN t = {.registry = r, .line = line, .why = why};
  t.body.secret = true;
  if (!c->realm || (strncmp(c->realm, "https://", 8) != 0 && (!r->plain || strncmp(c->realm, "http://", 7) != 0))) {
    ri_why_set(why, BERTH_DENIED, "%s names %.200s to log in at, which is no place for a password", r->host, c->realm ? c->realm : "nothing");
    return NULL;
  }
  token_question(&t, c, scope);
  t.own = url_own(r, c->realm);
  char *basic = r->username && !r->identity_token ? credentials(r) : NULL;
  t.basic = basic;
  int status = turn_run(&t);
  pu_wipe_free(basic);
  if (status < 0)
    return NULL;
  if (status != 200) {
    ri_why_set(why, status >= 500 || status == 429 ? BERTH_UNAVAILABLE : BERTH_UNAUTHENTICATED, "%s: logging in failed with HTTP %d: %s", r->host, status,
               r->username || r->identity_token ? "are user and password right?" : "it may want a login (registries: in the configuration)");
    return NULL;
  }
  PU_AUTO_JSON o = pu_json_parse(t.body.data, t.body.len);
  const char *token = pu_str(o, "token") ? pu_str(o, "token") : pu_str(o, "access_token");
  if (!token || strpbrk(token, "\r\n")) {
    ri_why_set(why, BERTH_UNAUTHENTICATED, "%s: who logs in gets no token", r->host);
    return NULL;
  }
  struct pu_buf b = {.secret = true};
  pu_buf_adds(&b, "Bearer ");
  pu_buf_adds(&b, token);
  return pu_buf_steal(&b);
}

static char *basic_header(const struct ri_registry *r) {
  char *plain = credentials(r), *text = pu_base64(plain, strlen(plain));
  struct pu_buf b = {.secret = true};
  pu_buf_adds(&b, "Basic ");
  pu_buf_adds(&b, text);
  pu_wipe_free(plain);
  pu_wipe_free(text);
  return pu_buf_steal(&b);
}

/* What a challenge asks for, kept for the requests to come; NULL with why. */
static char *log_in(struct ri_registry *r, struct ri_line *line, const struct pu_challenge *c, const char *scope, struct ri_why *why) {
  if (c->scheme == PU_AUTH_BEARER)
    return bearer(r, line, c, scope, why);
  if (c->scheme == PU_AUTH_BASIC && r->username)
    return basic_header(r);
  ri_why_set(why, BERTH_UNAUTHENTICATED, "%s wants a login%s: give one in the configuration (registries: of registry-oci)", r->host,
             c->scheme == PU_AUTH_NONE ? " of a kind that is not known here" : "");
  return NULL;
}

/* ---------------------------------------------------------------- asking */

static char *authorization_now(struct ri_registry *r, const char *scope) {
  pthread_mutex_lock(&r->lock);
  char *copy = r->authorization && pu_eq(r->scope, scope) ? pu_strdup(r->authorization) : NULL;
  pthread_mutex_unlock(&r->lock);
  return copy;
}

static void authorization_keep(struct ri_registry *r, const char *scope, const char *value) {
  pthread_mutex_lock(&r->lock);
  pu_wipe_free(r->authorization);
  r->authorization = pu_strdup(value);
  pu_set(&r->scope, pu_strdup(scope));
  pthread_mutex_unlock(&r->lock);
}

/* The registry's own word for what it does not do, without line ends and in short; the caller frees. */
static char *said(const struct pu_buf *body) {
  PU_AUTO_JSON o = pu_json_parse(body->data, body->len);
  const json_t *first = json_array_get(pu_arr(o, "errors"), 0);
  const char *text = pu_str(first, "message");
  char *out = pu_asprintf("%s%.200s", text ? ": " : "", text ? text : "");
  for (char *p = out; *p; p++)
    if ((unsigned char)*p < ' ')
      *p = ' ';
  return out;
}

static int refused(const struct ri_registry *r, const struct ri_ask *ask, int status, const struct pu_buf *body, struct ri_why *why) {
  PU_AUTO_FREE words = said(body);
  if (status == 404)
    return ri_why_set(why, BERTH_NOT_FOUND, "%s: %s has none of that name%s", ask->what, r->host, words);
  if (status == 401 || status == 403)
    return ri_why_set(why, status == 401 ? BERTH_UNAUTHENTICATED : BERTH_DENIED, "%s: %s does not let us%s", ask->what, r->host, words);
  if (status == 429)
    return ri_why_set(why, BERTH_UNAVAILABLE, "%s: %s has had too many requests from here%s", ask->what, r->host, words);
  return ri_why_set(why, status >= 500 || status == 408 ? BERTH_UNAVAILABLE : BERTH_INVALID, "%s: %s answers with HTTP %d%s", ask->what, r->host, status, words);
}

int ri_registry_get(struct ri_registry *r, struct ri_line *line, const struct ri_ask *ask, struct ri_answer *answer, struct ri_why *why) {
  char *authorization = authorization_now(r, ask->scope);
  for (int logins = 0;; logins++) {
    struct pu_challenge challenge = {0};
    struct pu_buf body = {0};
    *answer = (struct ri_answer){0};
    int status = ask_once(r, line, ask, authorization, answer, &challenge, &body, why);
    pu_wipe_free(authorization);
    authorization = NULL;
    bool login = status == 401 && logins < 2 && challenge.scheme != PU_AUTH_NONE;
    if (login && (authorization = log_in(r, line, &challenge, ask->scope, why)))
      authorization_keep(r, ask->scope, authorization);
    int result = status < 0 || (login && !authorization) ? -1 : login ? 1 : status < 300 ? 0 : refused(r, ask, status, &body, why);
    pu_challenge_free(&challenge);
    pu_buf_free(&body);
    if (result <= 0)
      return result;
  }
}
