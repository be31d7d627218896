/* image_build: on the engine's classic builder, or on BuildKit (buildkit.c) where the build asks for what only that can. A
 * worker writes the context's tar into a socket, the loop reads it out of the other end and sends it on: memory stays small, and
 * neither waits for the other on the loop. */
#include "config.h"
#include "build.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "normal.h"
#include "spec.h"

enum { max_line = 1 << 20, max_text = 64 * 1024, max_secrets = 256 };

static void context_free(void *data) {
  struct rd_context *c = data;
  free(c->folder);
  free(c->dockerfile);
  free(c->inlined);
  free(c->outside);
  free(c->why);
  if (c->fd >= 0)
    close(c->fd);
  free(c);
}

static void build_unwatch(struct rd_build *b) {
  if (b->watch)
    b->op.self->fd->unwatch(b->op.self->host, b->watch);
  b->watch = 0;
}

static void build_drop(struct rd_op *op) {
  struct rd_build *b = (struct rd_build *)op;
  build_unwatch(b);
  if (b->fd >= 0)
    close(b->fd); /* the worker's next write fails, and it ends */
  if (b->context)
    context_free(b->context);
  json_decref(b->spec);
  json_decref(b->tags);
  if (b->auth)
    explicit_bzero(b->auth, strlen(b->auth));
  free(b->auth);
  free(b->remote);
  free(b->dockerfile);
  free(b->why);
  free(b->id);
  free(b->error);
  free(b->step);
  pu_buf_free(&b->lines.rest);
  rd_buildkit_drop(b);
}

/* ---------------------------------------------------------------- query */

/* What the Engine's build API has no words for, whichever builder works behind it. */
static const char *unsupported(const json_t *spec) {
  static const char *const keys[] = {"additional_contexts", "cache_to", "entitlements", "no_cache_filter", "privileged", "provenance",
                                     "sbom"};
  for (size_t i = 0; i < PU_COUNT(keys); i++) {
    const json_t *v = json_object_get(spec, keys[i]);
    bool empty = !v || json_is_null(v) || json_is_false(v) || (json_is_array(v) && !json_array_size(v)) ||
                 (json_is_object(v) && !json_object_size(v));
    if (!empty)
      return keys[i];
  }
  return json_array_size(json_object_get(spec, "platforms")) > 1 ? "platforms (more than one)" : NULL;
}

static void query_text(struct pu_buf *q, const char *key, const char *value) {
  if (!value)
    return;
  pu_buf_addf(q, "&%s=", key);
  pu_url_add(q, value, "");
}

static void query_json(struct pu_buf *q, const char *key, json_t *owned) {
  if (json_object_size(owned) || json_array_size(owned)) {
    PU_AUTO_FREE text = pu_json_text(owned);
    query_text(q, key, text);
  }
  json_decref(owned);
}

static void query_each(struct pu_buf *q, const char *key, const json_t *list, char from, char to) {
  size_t i;
  json_t *v;
  json_array_foreach(list, i, v) {
    PU_AUTO_FREE text = pu_scalar(v);
    char *at = text && from ? strchr(text, from) : NULL;
    if (at)
      *at = to;
    query_text(q, key, text);
  }
}

/* An argument without a value keeps the Dockerfile's default. */
static json_t *build_args(const json_t *args) {
  if (!json_is_object(args))
    return pu_map(args);
  json_t *out = json_object(), *v;
  const char *key;
  json_object_foreach((json_t *)(uintptr_t)args, key, v) {
    PU_AUTO_FREE text = pu_scalar(v);
    json_object_set_new(out, key, text ? json_string(text) : json_null());
  }
  return out;
}

static json_t *build_ulimits(const json_t *ulimits) {
  json_t *out = json_array(), *v;
  const char *name;
  json_object_foreach((json_t *)(uintptr_t)ulimits, name, v) {
    int64_t soft = json_is_object(v) ? pu_number(v, "soft", -1) : pu_number(ulimits, name, -1);
    int64_t hard = json_is_object(v) ? pu_number(v, "hard", soft) : soft;
    json_array_append_new(out, json_pack("{s:s, s:I, s:I}", "Name", name, "Soft", (json_int_t)soft, "Hard", (json_int_t)hard));
  }
  return out;
}

void rd_build_query(const struct rd_build *b, struct pu_buf *out) {
  const json_t *s = b->spec;
  query_text(out, "dockerfile", b->dockerfile);
  query_text(out, "remote", b->remote);
  query_each(out, "t", b->tags, 0, 0);
  query_text(out, "target", pu_str(s, "target") && *pu_str(s, "target") ? pu_str(s, "target") : NULL);
  query_text(out, "networkmode", pu_str(s, "network") && *pu_str(s, "network") ? pu_str(s, "network") : NULL);
  query_text(out, "platform", json_string_value(json_array_get(pu_arr(s, "platforms"), 0)));
  if (pu_flag(s, "no_cache", false))
    pu_buf_adds(out, "&nocache=1");
  if (pu_flag(s, "pull", false))
    pu_buf_adds(out, "&pull=1");
  if (pu_number(s, "shm_size", 0) > 0)
    pu_buf_addf(out, "&shmsize=%lld", (long long)pu_number(s, "shm_size", 0));
  query_each(out, "extrahosts", pu_arr(s, "extra_hosts"), '=', ':');
  query_json(out, "buildargs", build_args(json_object_get(s, "args")));
  query_json(out, "labels", pu_map(json_object_get(s, "labels")));
  query_json(out, "cachefrom", pu_strings(json_object_get(s, "cache_from")));
  query_json(out, "ulimits", build_ulimits(pu_obj(s, "ulimits")));
}

char *rd_build_logins(const char *auth_json) {
  PU_AUTO_JSON auth = auth_json ? rd_json_parse(auth_json, strlen(auth_json)) : NULL;
  if (!json_object_size(auth))
    return NULL;
  PU_AUTO_FREE text = pu_json_text(auth);
  char *header = rd_base64url(text, strlen(text));
  explicit_bzero(text, strlen(text));
  return header;
}

/* ---------------------------------------------------------------- output */

void rd_build_text(struct rd_build *b, const char *text) {
  static const char built[] = "Successfully built ";
  size_t n = strlen(text);
  if (pu_starts(text, "Step ") || pu_starts(text, "STEP "))
    pu_set(&b->step, pu_asprintf("%.*s", (int)strcspn(text, "\r\n"), text));
  if (!b->id && pu_starts(text, built)) {
    const char *id = text + strlen(built);
    pu_set(&b->id, pu_asprintf("%.*s", (int)strcspn(id, " \r\n"), id));
  }
  while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
    n--;
  if (!n)
    return;
  PU_AUTO_JSON out = json_object();
  json_object_set_new(out, "text", rd_json_bytes(text, n < max_text ? n : max_text));
  rd_op_emit_json(&b->op, BERTH_RUNTIME_PROGRESS, out);
}

static void build_status(struct rd_build *b, const json_t *line) {
  const json_t *detail = pu_obj(line, "progressDetail");
  if (json_object_size(detail))
    return; /* bars of layers: the lines between them tell enough */
  PU_AUTO_JSON out = json_pack("{s:s, s:s}", "text", pu_str_or(line, "status", ""), "layer", pu_str_or(line, "id", ""));
  rd_op_emit_json(&b->op, BERTH_RUNTIME_PROGRESS, out);
}

static void build_line(void *arg, char *text, size_t len) {
  struct rd_build *b = arg;
  PU_AUTO_JSON line = rd_json_parse(text, len);
  const char *error = pu_str(line, "error") ? pu_str(line, "error") : pu_str(pu_obj(line, "errorDetail"), "message");
  const char *id = pu_str(pu_obj(line, "aux"), "ID");
  if (error && !b->error)
    b->error = pu_strdup(error);
  if (id)
    pu_set(&b->id, pu_strdup(id));
  if (pu_eq(pu_str(line, "id"), "moby.buildkit.trace") && pu_str(line, "aux"))
    rd_buildkit_trace(b, pu_str(line, "aux"));
  if (pu_str(line, "stream"))
    rd_build_text(b, pu_str(line, "stream"));
  if (pu_str(line, "status"))
    build_status(b, line);
}

bool rd_build_data(struct rd_op *op, const void *data, size_t len) {
  rd_lines_feed(&((struct rd_build *)op)->lines, data, len, build_line, op);
  return true;
}

/* ---------------------------------------------------------------- the end */

static void build_looked(struct rd_op *op, const struct rd_answer *a) {
  if (!rd_answer_good(op, a))
    return;
  PU_AUTO_JSON image = rd_normal_image(a->json);
  rd_op_done(op, json_pack("{s:s}", "id", pu_str_or(image, "id", "")));
}

/* An engine that tells no full id (Podman's, or a short one): what do the tags mean now? */
static void build_look(struct rd_build *b) {
  const char *name = b->id ? b->id : json_string_value(json_array_get(b->tags, 0));
  struct pu_buf path = {0};
  pu_buf_adds(&path, "/images/");
  pu_url_add(&path, name ? name : "", "/:@");
  pu_buf_adds(&path, "/json");
  if (name)
    rd_request(&b->op, &(struct rd_request){.method = "GET", .path = path.data, .done = build_looked});
  else
    rd_op_fail(&b->op, BERTH_INTERNAL, "%s: the engine does not tell the image's id", b->op.subject);
  pu_buf_free(&path);
}

static void build_failed(struct rd_build *b, enum berth_code code, const char *sentence) {
  if (b->step)
    rd_op_fail(&b->op, code, "%s: %s: %s", b->op.subject, b->step, sentence);
  else
    rd_op_fail(&b->op, code, "%s: %s", b->op.subject, sentence);
}

bool rd_build_context_failed(struct rd_build *b) {
  if (!b->why || !*b->why)
    return false;
  rd_op_fail(&b->op, b->too_large ? BERTH_TOO_LARGE : BERTH_INVALID, "%s: context %s", b->op.subject, b->why);
  return true;
}

void rd_build_done(struct rd_op *op, const struct rd_answer *a) {
  struct rd_build *b = (struct rd_build *)op;
  build_unwatch(b);
  b->call = NULL;
  if (rd_build_context_failed(b))
    return;
  if (!a->code && a->status >= 400) {
    PU_AUTO_FREE sentence = rd_sentence(a->body, a->len);
    build_failed(b, rd_code_text(sentence, rd_code(a->status, sentence)), sentence);
    return;
  }
  if (!rd_answer_good(op, a))
    return;
  rd_lines_end(&b->lines, build_line, b);
  if (b->error)
    build_failed(b, rd_code_text(b->error, BERTH_INVALID), b->error);
  else if (pu_starts(b->id, "sha256:"))
    rd_op_done(op, json_pack("{s:s}", "id", b->id));
  else
    build_look(b);
}

/* ---------------------------------------------------------------- the context's way */

static void context_readable(void *arg, int fd, int events) {
  struct rd_build *b = arg;
  (void)fd;
  (void)events;
  build_unwatch(b);
  if (b->call)
    rd_call_resume(b->call);
}

static void context_work(void *data) { rd_context_write(data); }

/* May come before or after we read the end of the tar; only with both is the body whole. */
static void context_done(struct rd_op *op, void *data) {
  struct rd_build *b = (struct rd_build *)op;
  struct rd_context *c = data;
  b->written = true;
  b->why = pu_strdup(c->why);
  b->too_large = c->too_large;
  if (b->call)
    rd_call_resume(b->call);
}

ssize_t rd_build_body(struct rd_op *op, void *buf, size_t room) {
  struct rd_build *b = (struct rd_build *)op;
  ssize_t n = recv(b->fd, buf, room, MSG_DONTWAIT);
  if (n > 0)
    return n;
  if (n < 0 && errno == EINTR)
    return rd_build_body(op, buf, room);
  if (n < 0 && errno == EAGAIN) {
    if (!b->watch)
      b->watch = op->self->fd->watch(op->self->host, b->fd, BERTH_FD_READ, context_readable, b);
    return -1;
  }
  if (!b->written)
    return -1; /* context_done resumes */
  return n < 0 || b->why ? -2 : 0;
}

bool rd_build_context(struct rd_build *b) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    rd_op_fail(&b->op, BERTH_EXHAUSTED, "%s: %s", b->op.subject, strerror(errno));
    return false;
  }
  b->fd = ends[0];
  b->context->fd = ends[1];
  struct rd_context *context = b->context;
  b->context = NULL;
  rd_job_run(&b->op, context, context_work, context_done, context_free);
  return true;
}

static void classic_run(struct rd_op *op) {
  struct rd_build *b = (struct rd_build *)op;
  if (!b->remote && !rd_build_context(b))
    return;
  PU_AUTO_BUF path = {0};
  PU_AUTO_FREE logins = rd_build_logins(b->auth);
  pu_buf_adds(&path, "/build?rm=1&forcerm=1&version=1");
  rd_build_query(b, &path);
  struct rd_call *call = rd_request(op, &(struct rd_request){.method = "POST", .path = path.data, .header = logins ? "X-Registry-Config" : NULL,
                                                             .header_value = logins, .read_body = b->remote ? NULL : rd_build_body,
                                                             .timeout_ms = -1, .on_data = rd_build_data, .done = rd_build_done});
  if (call) /* else it has ended already, and b with it */
    b->call = call;
  if (logins)
    explicit_bzero(logins, strlen(logins));
}

/* Podman's builder has the options of a Dockerfile that take BuildKit on Docker, but no sessions. */
static void build_ready(struct rd_op *op) {
  const struct rd_build *b = (struct rd_build *)op;
  if (b->must || (b->wants && !op->self->podman))
    rd_buildkit_run(op);
  else
    classic_run(op);
}

/* ---------------------------------------------------------------- before: which Dockerfile? */

static void prepare_work(void *data) {
  struct rd_context *c = data;
  char *why = NULL;
  char *name = rd_context_dockerfile(c, &why);
  if (name)
    pu_set(&c->dockerfile, name);
  c->why = why;
}

static void prepare_done(struct rd_op *op, void *data) {
  struct rd_build *b = (struct rd_build *)op;
  struct rd_context *c = data;
  if (c->why) {
    rd_op_fail(op, BERTH_INVALID, "%s: %s", op->subject, c->why);
    return;
  }
  if (!b->wants)
    b->wants = c->buildkit;
  b->dockerfile = pu_strdup(c->dockerfile);
  b->context = pu_calloc(1, sizeof *c);
  *b->context = *c;
  *c = (struct rd_context){.fd = -1}; /* moved */
  rd_op_ready(op, build_ready);
}

static bool is_remote(const char *context) {
  return pu_starts(context, "http://") || pu_starts(context, "https://") || pu_starts(context, "git://") || pu_starts(context, "git@");
}

static void build_begin(struct rd_build *b, const char *context) {
  const char *file = pu_str(b->spec, "dockerfile");
  if (is_remote(context)) {
    b->remote = pu_strdup(context);
    b->dockerfile = pu_strdup(file);
    rd_op_ready(&b->op, build_ready);
    return;
  }
  struct rd_context *c = pu_calloc(1, sizeof *c);
  *c = (struct rd_context){.folder = pu_strdup(context), .dockerfile = file && *file ? pu_strdup(file) : NULL,
                           .inlined = pu_strdup(pu_str(b->spec, "dockerfile_inline")), .max = b->op.self->config.context_max, .fd = -1};
  rd_job_run(&b->op, c, prepare_work, prepare_done, context_free);
}

/* Each secret of the spec has its value, or what waits for it in the Dockerfile would be left out in silence. */
static bool take_secrets(struct rd_build *b, const struct berth_runtime_build *r) {
  size_t asked = json_array_size(pu_arr(b->spec, "secrets")), given = BERTH_HAS(r, nsecrets) ? r->nsecrets : 0;
  if (asked > given || given > max_secrets) {
    rd_op_fail(&b->op, BERTH_INVALID, "%s: build.secrets names %zu, but %zu values came along (at most %d)", b->op.subject, asked, given, max_secrets);
    return false;
  }
  b->secrets = pu_calloc(given + 1, sizeof *b->secrets);
  for (size_t i = 0; i < given; i++) {
    const struct berth_runtime_secret *s = &r->secrets[i];
    if (s->len > rd_secret_max) {
      rd_op_fail(&b->op, BERTH_TOO_LARGE, "%s: secret %.100s is larger than 500 KiB, which is all that BuildKit takes", b->op.subject, s->id);
      return false;
    }
    struct rd_build_secret *own = &b->secrets[b->nsecrets++];
    *own = (struct rd_build_secret){.id = pu_strdup(s->id), .data = pu_calloc(1, s->len + 1), .len = s->len};
    if (s->len)
      memcpy(own->data, s->data, s->len);
  }
  return true;
}

/* Is what BuildKit will ask for at hand? Else op has ended. */
static bool take_wants(struct rd_build *b, const struct berth_runtime_build *r) {
  const json_t *ssh = pu_obj(b->spec, "ssh");
  PU_AUTO_FREE lack = rd_agents_lack(ssh);
  if (!take_secrets(b, r))
    return false;
  b->wants = b->nsecrets ? "build.secrets" : json_object_size(ssh) ? "build.ssh" : NULL;
  b->must = b->wants;
  if (lack)
    rd_op_fail(&b->op, BERTH_INVALID, "%s: %s", b->op.subject, lack);
  return !lack;
}

void rd_image_build(struct berth_instance *self, berth_op id, const struct berth_runtime_build *r) {
  json_t *tags = r->tags_json ? rd_json_parse(r->tags_json, strlen(r->tags_json)) : NULL;
  const char *context = r->context ? r->context : "";
  struct rd_build *b = rd_op_new(self, id, sizeof *b, build_drop, "build of %.256s",
                              json_array_size(tags) ? json_string_value(json_array_get(tags, 0)) : context);
  b->fd = -1;
  b->lines.cap = max_line;
  b->tags = tags;
  b->spec = r->build_json ? rd_json_parse(r->build_json, strlen(r->build_json)) : NULL;
  b->auth = pu_strdup(r->auth_json);
  const char *cannot = unsupported(b->spec);
  if (cannot)
    rd_op_fail(&b->op, BERTH_UNSUPPORTED, "%s: build.%s is not in the Engine's build API: build the image elsewhere and name it under "
               "\"image\"", b->op.subject, cannot);
  else if (!*context)
    rd_op_fail(&b->op, BERTH_INVALID, "%s: the build names no context", b->op.subject);
  else if (take_wants(b, r))
    build_begin(b, context);
}
