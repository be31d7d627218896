/* image_build: the engine's classic builder. A worker writes the context's tar into a socket, the loop reads it out of the
 * other end and sends it on: memory stays small, and neither waits for the other on the loop. */
#include "config.h"
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "context.h"
#include "normal.h"
#include "spec.h"

enum { max_line = 1 << 20, max_text = 64 * 1024 };

struct build {
  struct rd_op op;
  json_t *spec, *tags;
  char *auth, *remote;
  struct rd_context *context; /* prepared; NULL before, and once a worker has it */
  char *dockerfile;
  int fd; /* our end of the socket; -1 */
  berth_handle watch;
  struct rd_call *call;
  bool written; /* the worker is done */
  char *why;    /* of the worker's failure */
  bool too_large;
  struct rd_lines lines;
  char *id, *error, *step;
};

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

static void build_unwatch(struct build *b) {
  if (b->watch)
    b->op.self->fd->unwatch(b->op.self->host, b->watch);
  b->watch = 0;
}

static void build_drop(struct rd_op *op) {
  struct build *b = (struct build *)op;
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
  rd_buf_free(&b->lines.rest);
}

/* ---------------------------------------------------------------- query */

/* What the classic builder cannot do; each would need BuildKit. */
static const char *unsupported(const json_t *spec) {
  static const char *const keys[] = {"additional_contexts", "cache_to", "entitlements", "no_cache_filter", "privileged", "provenance",
                                     "sbom", "secrets", "ssh"};
  for (size_t i = 0; i < RD_COUNT(keys); i++) {
    const json_t *v = json_object_get(spec, keys[i]);
    bool empty = !v || json_is_null(v) || json_is_false(v) || (json_is_array(v) && !json_array_size(v)) ||
                 (json_is_object(v) && !json_object_size(v));
    if (!empty)
      return keys[i];
  }
  return json_array_size(json_object_get(spec, "platforms")) > 1 ? "platforms (more than one)" : NULL;
}

static void query_text(struct rd_buf *q, const char *key, const char *value) {
  if (!value)
    return;
  rd_buf_addf(q, "&%s=", key);
  rd_url_add(q, value, "");
}

static void query_json(struct rd_buf *q, const char *key, json_t *owned) {
  if (json_object_size(owned) || json_array_size(owned)) {
    RD_AUTO_FREE text = rd_json_text(owned);
    query_text(q, key, text);
  }
  json_decref(owned);
}

static void query_each(struct rd_buf *q, const char *key, const json_t *list, char from, char to) {
  size_t i;
  json_t *v;
  json_array_foreach(list, i, v) {
    RD_AUTO_FREE text = rd_scalar(v);
    char *at = text && from ? strchr(text, from) : NULL;
    if (at)
      *at = to;
    query_text(q, key, text);
  }
}

/* An argument without a value keeps the Dockerfile's default. */
static json_t *build_args(const json_t *args) {
  if (!json_is_object(args))
    return rd_spec_map(args);
  json_t *out = json_object(), *v;
  const char *key;
  json_object_foreach((json_t *)(uintptr_t)args, key, v) {
    RD_AUTO_FREE text = rd_scalar(v);
    json_object_set_new(out, key, text ? json_string(text) : json_null());
  }
  return out;
}

static json_t *build_ulimits(const json_t *ulimits) {
  json_t *out = json_array(), *v;
  const char *name;
  json_object_foreach((json_t *)(uintptr_t)ulimits, name, v) {
    int64_t soft = json_is_object(v) ? rd_int(v, "soft", -1) : rd_int(ulimits, name, -1);
    int64_t hard = json_is_object(v) ? rd_int(v, "hard", soft) : soft;
    json_array_append_new(out, json_pack("{s:s, s:I, s:I}", "Name", name, "Soft", (json_int_t)soft, "Hard", (json_int_t)hard));
  }
  return out;
}

static char *build_path(const struct build *b) {
  const json_t *s = b->spec;
  struct rd_buf q = {0};
  rd_buf_adds(&q, "/build?rm=1&forcerm=1&version=1");
  query_text(&q, "dockerfile", b->dockerfile);
  query_text(&q, "remote", b->remote);
  query_each(&q, "t", b->tags, 0, 0);
  query_text(&q, "target", rd_str(s, "target") && *rd_str(s, "target") ? rd_str(s, "target") : NULL);
  query_text(&q, "networkmode", rd_str(s, "network") && *rd_str(s, "network") ? rd_str(s, "network") : NULL);
  query_text(&q, "platform", json_string_value(json_array_get(rd_arr(s, "platforms"), 0)));
  if (rd_bool(s, "no_cache", false))
    rd_buf_adds(&q, "&nocache=1");
  if (rd_bool(s, "pull", false))
    rd_buf_adds(&q, "&pull=1");
  if (rd_int(s, "shm_size", 0) > 0)
    rd_buf_addf(&q, "&shmsize=%lld", (long long)rd_int(s, "shm_size", 0));
  query_each(&q, "extrahosts", rd_arr(s, "extra_hosts"), '=', ':');
  query_json(&q, "buildargs", build_args(json_object_get(s, "args")));
  query_json(&q, "labels", rd_spec_map(json_object_get(s, "labels")));
  query_json(&q, "cachefrom", rd_spec_strings(json_object_get(s, "cache_from")));
  query_json(&q, "ulimits", build_ulimits(rd_obj(s, "ulimits")));
  return rd_buf_steal(&q);
}

/* {"registry": {"username","password"}} -> X-Registry-Config. */
static char *registry_config(const char *auth_json) {
  RD_AUTO_JSON auth = auth_json ? rd_json_parse(auth_json, strlen(auth_json)) : NULL;
  if (!json_object_size(auth))
    return NULL;
  RD_AUTO_FREE text = rd_json_text(auth);
  char *header = rd_base64url(text, strlen(text));
  explicit_bzero(text, strlen(text));
  return header;
}

/* ---------------------------------------------------------------- output */

static void build_text(struct build *b, const char *text) {
  static const char built[] = "Successfully built ";
  size_t n = strlen(text);
  if (rd_starts(text, "Step ") || rd_starts(text, "STEP "))
    rd_set(&b->step, rd_asprintf("%.*s", (int)strcspn(text, "\r\n"), text));
  if (!b->id && rd_starts(text, built)) {
    const char *id = text + strlen(built);
    rd_set(&b->id, rd_asprintf("%.*s", (int)strcspn(id, " \r\n"), id));
  }
  while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
    n--;
  if (!n)
    return;
  RD_AUTO_JSON out = json_object();
  json_object_set_new(out, "text", rd_json_bytes(text, n < max_text ? n : max_text));
  rd_op_emit_json(&b->op, BERTH_RUNTIME_PROGRESS, out);
}

static void build_status(struct build *b, const json_t *line) {
  const json_t *detail = rd_obj(line, "progressDetail");
  if (json_object_size(detail))
    return; /* bars of layers: the lines between them tell enough */
  RD_AUTO_JSON out = json_pack("{s:s, s:s}", "text", rd_str_or(line, "status", ""), "layer", rd_str_or(line, "id", ""));
  rd_op_emit_json(&b->op, BERTH_RUNTIME_PROGRESS, out);
}

static void build_line(void *arg, char *text, size_t len) {
  struct build *b = arg;
  RD_AUTO_JSON line = rd_json_parse(text, len);
  const char *error = rd_str(line, "error") ? rd_str(line, "error") : rd_str(rd_obj(line, "errorDetail"), "message");
  const char *id = rd_str(rd_obj(line, "aux"), "ID");
  if (error && !b->error)
    b->error = rd_strdup(error);
  if (id)
    rd_set(&b->id, rd_strdup(id));
  if (rd_str(line, "stream"))
    build_text(b, rd_str(line, "stream"));
  if (rd_str(line, "status"))
    build_status(b, line);
}

static bool build_data(struct rd_op *op, const void *data, size_t len) {
  rd_lines_feed(&((struct build *)op)->lines, data, len, build_line, op);
  return true;
}

/* ---------------------------------------------------------------- the end */

static void build_looked(struct rd_op *op, const struct rd_answer *a) {
  if (!rd_answer_good(op, a))
    return;
  RD_AUTO_JSON image = rd_normal_image(a->json);
  rd_op_done(op, json_pack("{s:s}", "id", rd_str_or(image, "id", "")));
}

/* An engine that tells no full id (Podman's, or a short one): what do the tags mean now? */
static void build_look(struct build *b) {
  const char *name = b->id ? b->id : json_string_value(json_array_get(b->tags, 0));
  struct rd_buf path = {0};
  rd_buf_adds(&path, "/images/");
  rd_url_add(&path, name ? name : "", "/:@");
  rd_buf_adds(&path, "/json");
  if (name)
    rd_request(&b->op, &(struct rd_request){.method = "GET", .path = path.data, .done = build_looked});
  else
    rd_op_fail(&b->op, BERTH_INTERNAL, "%s: the engine does not tell the image's id", b->op.subject);
  rd_buf_free(&path);
}

static void build_failed(struct build *b, enum berth_code code, const char *sentence) {
  if (b->step)
    rd_op_fail(&b->op, code, "%s: %s: %s", b->op.subject, b->step, sentence);
  else
    rd_op_fail(&b->op, code, "%s: %s", b->op.subject, sentence);
}

static void build_done(struct rd_op *op, const struct rd_answer *a) {
  struct build *b = (struct build *)op;
  build_unwatch(b);
  b->call = NULL;
  if (b->why && *b->why) {
    rd_op_fail(op, b->too_large ? BERTH_TOO_LARGE : BERTH_INVALID, "%s: context %s", op->subject, b->why);
    return;
  }
  if (!a->code && a->status >= 400) {
    RD_AUTO_FREE sentence = rd_sentence(a->body, a->len);
    build_failed(b, rd_code_text(sentence, rd_code(a->status, sentence)), sentence);
    return;
  }
  if (!rd_answer_good(op, a))
    return;
  rd_lines_end(&b->lines, build_line, b);
  if (b->error)
    build_failed(b, rd_code_text(b->error, BERTH_INVALID), b->error);
  else if (rd_starts(b->id, "sha256:"))
    rd_op_done(op, json_pack("{s:s}", "id", b->id));
  else
    build_look(b);
}

/* ---------------------------------------------------------------- the context's way */

static void context_readable(void *arg, int fd, int events) {
  struct build *b = arg;
  (void)fd;
  (void)events;
  build_unwatch(b);
  if (b->call)
    rd_call_resume(b->call);
}

static void context_work(void *data) { rd_context_write(data); }

/* May come before or after we read the end of the tar; only with both is the body whole. */
static void context_done(struct rd_op *op, void *data) {
  struct build *b = (struct build *)op;
  struct rd_context *c = data;
  b->written = true;
  b->why = rd_strdup(c->why);
  b->too_large = c->too_large;
  if (b->call)
    rd_call_resume(b->call);
}

static ssize_t build_body(struct rd_op *op, void *buf, size_t room) {
  struct build *b = (struct build *)op;
  ssize_t n = recv(b->fd, buf, room, MSG_DONTWAIT);
  if (n > 0)
    return n;
  if (n < 0 && errno == EINTR)
    return build_body(op, buf, room);
  if (n < 0 && errno == EAGAIN) {
    if (!b->watch)
      b->watch = op->self->fd->watch(op->self->host, b->fd, BERTH_FD_READ, context_readable, b);
    return -1;
  }
  if (!b->written)
    return -1; /* context_done resumes */
  return n < 0 || b->why ? -2 : 0;
}

static void build_send(struct build *b) {
  RD_AUTO_FREE path = build_path(b);
  RD_AUTO_FREE auth = registry_config(b->auth);
  b->call = rd_request(&b->op, &(struct rd_request){.method = "POST", .path = path, .header = auth ? "X-Registry-Config" : NULL,
                                                    .header_value = auth, .read_body = b->remote ? NULL : build_body, .timeout_ms = -1,
                                                    .on_data = build_data, .done = build_done});
  if (auth)
    explicit_bzero(auth, strlen(auth));
}

static void build_ready(struct rd_op *op) {
  struct build *b = (struct build *)op;
  int ends[2];
  if (b->remote) {
    build_send(b);
    return;
  }
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    rd_op_fail(op, BERTH_EXHAUSTED, "%s: %s", op->subject, strerror(errno));
    return;
  }
  b->fd = ends[0];
  b->context->fd = ends[1];
  struct rd_context *context = b->context;
  b->context = NULL;
  rd_job_run(op, context, context_work, context_done, context_free);
  build_send(b);
}

/* ---------------------------------------------------------------- before: which Dockerfile? */

static void prepare_work(void *data) {
  struct rd_context *c = data;
  char *why = NULL;
  char *name = rd_context_dockerfile(c, &why);
  if (name)
    rd_set(&c->dockerfile, name);
  c->why = why;
}

static void prepare_done(struct rd_op *op, void *data) {
  struct build *b = (struct build *)op;
  struct rd_context *c = data;
  if (c->why) {
    rd_op_fail(op, BERTH_INVALID, "%s: %s", op->subject, c->why);
    return;
  }
  b->dockerfile = rd_strdup(c->dockerfile);
  b->context = rd_calloc(1, sizeof *c);
  *b->context = *c;
  *c = (struct rd_context){.fd = -1}; /* moved */
  rd_op_ready(op, build_ready);
}

static bool is_remote(const char *context) {
  return rd_starts(context, "http://") || rd_starts(context, "https://") || rd_starts(context, "git://") || rd_starts(context, "git@");
}

static void build_begin(struct build *b, const char *context) {
  const char *file = rd_str(b->spec, "dockerfile");
  if (is_remote(context)) {
    b->remote = rd_strdup(context);
    b->dockerfile = rd_strdup(file);
    rd_op_ready(&b->op, build_ready);
    return;
  }
  struct rd_context *c = rd_calloc(1, sizeof *c);
  *c = (struct rd_context){.folder = rd_strdup(context), .dockerfile = file && *file ? rd_strdup(file) : NULL,
                           .inlined = rd_strdup(rd_str(b->spec, "dockerfile_inline")), .max = b->op.self->config.context_max, .fd = -1};
  rd_job_run(&b->op, c, prepare_work, prepare_done, context_free);
}

void rd_image_build(struct berth_instance *self, berth_op id, const struct berth_runtime_build *r) {
  json_t *tags = r->tags_json ? rd_json_parse(r->tags_json, strlen(r->tags_json)) : NULL;
  const char *context = r->context ? r->context : "";
  struct build *b = rd_op_new(self, id, sizeof *b, build_drop, "build of %.256s",
                              json_array_size(tags) ? json_string_value(json_array_get(tags, 0)) : context);
  b->fd = -1;
  b->lines.cap = max_line;
  b->tags = tags;
  b->spec = r->build_json ? rd_json_parse(r->build_json, strlen(r->build_json)) : NULL;
  b->auth = rd_strdup(r->auth_json);
  const char *cannot = unsupported(b->spec);
  if (cannot)
    rd_op_fail(&b->op, BERTH_UNSUPPORTED, "%s: build.%s needs BuildKit, which the Engine's build API does not offer: build the "
               "image elsewhere and name it", b->op.subject, cannot);
  else if (!*context)
    rd_op_fail(&b->op, BERTH_INVALID, "%s: the build names no context", b->op.subject);
  else
    build_begin(b, context);
}
