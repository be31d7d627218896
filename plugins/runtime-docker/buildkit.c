/* Builds on BuildKit, over the engine's API: a session (a connection on which the engine asks us for secrets and credentials),
 * a build that belongs to it, and a second request that brings the context, which the build waits for. */
#include "config.h"
#include "build.h"

#include <stdio.h>
#include <sys/random.h>

#include "normal.h"

enum { max_trace = 1 << 20 };

/* ---------------------------------------------------------------- what the engine asks for */

static void session_send(void *arg, const void *data, size_t len) { rd_tunnel_write(arg, data, len); }

static const void *session_secret(void *arg, const char *id, size_t *len) {
  const struct rd_build *b = arg;
  for (size_t i = 0; i < b->nsecrets; i++)
    if (pu_eq(b->secrets[i].id, id)) {
      *len = b->secrets[i].len;
      return b->secrets[i].data;
    }
  return NULL;
}

/* The Docker Hub has several names. */
static bool session_credentials(void *arg, const char *host, const char **user, const char **password) {
  static const char *const hub[] = {"docker.io", "index.docker.io", "https://index.docker.io/v1/"};
  struct rd_build *b = arg;
  const json_t *login = pu_obj(b->logins, host);
  for (size_t i = 0; !login && pu_eq(host, "registry-1.docker.io") && i < PU_COUNT(hub); i++)
    login = pu_obj(b->logins, hub[i]);
  *user = pu_str(login, "username");
  *password = pu_str(login, "password");
  return login;
}

/* ---------------------------------------------------------------- progress */

static void trace_text(void *arg, const char *text, size_t len) {
  PU_AUTO_FREE line = pu_asprintf("%.*s", (int)len, text);
  rd_build_text(arg, line);
}

void rd_buildkit_trace(struct rd_build *b, const char *base64) {
  PU_AUTO_BUF message = {0};
  if (strlen(base64) > max_trace || !rd_base64_read(base64, &message))
    return; /* progress is for people to read: without it the build still tells how it ended */
  rd_trace_feed(&b->trace, message.data, message.len, trace_text, b);
  if (b->trace.failed && !b->step)
    b->step = pu_strdup(b->trace.failed);
}

/* ---------------------------------------------------------------- the two requests */

/* Only a context that we could not write ends the build here. An engine that stops reading has its reason, which the build tells. */
static void upload_done(struct rd_op *op, const struct rd_answer *a) {
  struct rd_build *b = (struct rd_build *)op;
  b->call = NULL;
  if (!rd_build_context_failed(b) && !a->code && a->status >= 400 && !b->error)
    b->error = rd_sentence(a->body, a->len);
}

static void upload(struct rd_build *b) {
  PU_AUTO_FREE path = pu_asprintf("/build?version=2&buildid=upload-request%%3A%s", b->session_id);
  if (!rd_build_context(b))
    return;
  struct rd_call *call = rd_request(&b->op, &(struct rd_request){.method = "POST", .path = path, .read_body = rd_build_body,
                                                                 .timeout_ms = -1, .done = upload_done});
  if (call) /* else it has ended already, and b with it */
    b->call = call;
}

/* The build first: its answer is the one that counts. */
static void begin(struct rd_build *b) {
  PU_AUTO_BUF path = {0};
  PU_AUTO_FREE logins = rd_build_logins(b->auth);
  pu_buf_addf(&path, "/build?version=2&session=%s&buildid=%s", b->session_id, b->session_id);
  rd_build_query(b, &path);
  if (!b->remote)
    pu_buf_adds(&path, "&remote=upload-request");
  bool remote = b->remote;
  bool going = rd_request(&b->op, &(struct rd_request){.method = "POST", .path = path.data, .header = logins ? "X-Registry-Config" : NULL,
                                                       .header_value = logins, .timeout_ms = -1, .on_data = rd_build_data,
                                                       .done = rd_build_done});
  if (logins)
    explicit_bzero(logins, strlen(logins));
  if (going && !remote)
    upload(b);
}

/* ---------------------------------------------------------------- the session */

static void refuse(struct rd_build *b, const char *engine, const char *why) {
  rd_op_fail(&b->op, BERTH_UNSUPPORTED, "%s: %s needs BuildKit, which %s does not offer%s%s: use a Docker Engine with BuildKit, or build the "
             "image elsewhere and name it under \"image\"", b->op.subject, b->wants, engine, *why ? ": " : "", why);
}

static void session_opened(struct rd_op *op, bool good, int status, const char *body, size_t len) {
  struct rd_build *b = (struct rd_build *)op;
  b->opened = true;
  if (!good || status != 101) {
    PU_AUTO_FREE why = rd_sentence(body, len);
    refuse(b, "this engine", why);
    return;
  }
  b->session = rd_session_new(&(struct rd_session_events){.send = session_send, .secret = session_secret, .credentials = session_credentials,
                                                           .agent_known = rd_agent_known, .agent_open = rd_agent_open,
                                                           .agent_hears = rd_agent_hears, .agent_close = rd_agent_close, .arg = b});
  rd_session_feed(b->session, "", 0); /* our settings go first */
  begin(b);
}

/* Without its session the build cannot go on: the engine ends it, and its answer says how. */
static void session_data(struct rd_op *op, const void *data, size_t len) {
  struct rd_build *b = (struct rd_build *)op;
  if (b->session && !rd_session_feed(b->session, data, len))
    rd_tunnel_close_write(op);
}

static void session_closed(struct rd_op *op, enum berth_code code, const char *message) {
  struct rd_build *b = (struct rd_build *)op;
  if (!b->opened)
    rd_answer_fail(op, &(struct rd_answer){.code = code ? code : BERTH_UNAVAILABLE, .message = message});
}

/* Names the session and the build; nobody must guess it, for whoever knows it can serve the secrets' place. */
static char *random_id(void) {
  unsigned char raw[16];
  if (getrandom(raw, sizeof raw, 0) != sizeof raw)
    abort();
  char *id = pu_calloc(1, 2 * sizeof raw + 1);
  for (size_t i = 0; i < sizeof raw; i++)
    snprintf(id + 2 * i, 3, "%02x", raw[i]);
  return id;
}

static const char *too_new(const struct rd_build *b) {
  if (b->op.self->api >= 142)
    return NULL;
  if (pu_number(b->spec, "shm_size", 0) > 0)
    return "build.shm_size";
  return json_object_size(pu_obj(b->spec, "ulimits")) ? "build.ulimits" : NULL;
}

void rd_buildkit_run(struct rd_op *op) {
  static const struct rd_tunnel_events events = {session_opened, session_data, session_closed};
  struct rd_build *b = (struct rd_build *)op;
  const char *lost = too_new(b);
  if (op->self->podman) {
    refuse(b, "Podman's service", "");
    return;
  }
  if (lost) {
    rd_op_fail(op, BERTH_UNSUPPORTED, "%s: %s together with %s, which needs BuildKit, takes a Docker Engine of API 1.42 (23.0)", op->subject, lost,
               b->wants);
    return;
  }
  b->session_id = random_id();
  b->logins = b->auth ? rd_json_parse(b->auth, strlen(b->auth)) : NULL;
  enum { fixed = 5 };
  struct berth_pair headers[fixed + 8] = {{"Connection", "Upgrade"}, {"Upgrade", "h2c"}, {"X-Docker-Expose-Session-Uuid", b->session_id},
                                          {"X-Docker-Expose-Session-Name", "berth"}, {"X-Docker-Expose-Session-Sharedkey", ""}};
  size_t n = fixed;
  for (const char *const *method = rd_session_methods; *method; method++)
    headers[n++] = (struct berth_pair){"X-Docker-Expose-Session-Grpc-Method", *method};
  rd_tunnel_hijack(op, "/session", headers, n, &events);
}

void rd_buildkit_drop(struct rd_build *b) {
  rd_session_free(&b->session);
  for (size_t i = 0; i < b->nsecrets; i++) {
    if (b->secrets[i].data)
      explicit_bzero(b->secrets[i].data, b->secrets[i].len);
    free(b->secrets[i].data);
    free(b->secrets[i].id);
  }
  free(b->secrets);
  json_decref(b->logins);
  free(b->session_id);
  rd_trace_free(&b->trace);
}
