/* create: one request for a container with one network; on engines before API 1.44 one more for each further network. */
#include "config.h"
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "normal.h"
#include "spec.h"

enum { max_file = 1 << 20 };

struct create {
  struct rd_op op;
  json_t *spec;
  struct rd_spec out;
  json_t *paths, *files;
  char *id;
  size_t connected;
  /* of a failure that is being undone */
  enum berth_code code;
  char *why;
};

static void create_drop(struct rd_op *op) {
  struct create *c = (struct create *)op;
  rd_spec_free(&c->out);
  json_decref(c->spec);
  json_decref(c->paths);
  json_decref(c->files);
  free(c->id);
  free(c->why);
}

/* ---------------------------------------------------------------- further networks */

static void connect_next(struct create *c);

/* The container is there but lacks a network: take it away again, so that nothing half-made stays. */
static void undone(struct rd_op *op, const struct rd_answer *a) {
  struct create *c = (struct create *)op;
  (void)a;
  rd_op_fail(op, c->code, "%s", c->why);
}

static void connect_done(struct rd_op *op, const struct rd_answer *a) {
  struct create *c = (struct create *)op;
  if (!a->code && a->status < 400) {
    c->connected++;
    connect_next(c);
    return;
  }
  PU_AUTO_FREE sentence = a->code ? pu_strdup(a->message) : rd_sentence(a->body, a->len);
  c->code = a->code ? BERTH_UNAVAILABLE : rd_code(a->status, sentence);
  c->why = pu_asprintf("%s: connecting it to network %s: %s", op->subject, pu_str(json_array_get(c->out.connects, c->connected), "network"),
                       sentence);
  PU_AUTO_FREE path = rd_path("/containers/", c->id, "?force=true&v=true");
  rd_request(op, &(struct rd_request){.method = "DELETE", .path = path, .done = undone});
}

static void connect_next(struct create *c) {
  const json_t *next = json_array_get(c->out.connects, c->connected);
  if (!next) {
    rd_op_done(&c->op, json_pack("{s:s, s:O}", "id", c->id, "warnings", c->out.warnings));
    return;
  }
  PU_AUTO_FREE path = rd_path("/networks/", pu_str(next, "network"), "/connect");
  PU_AUTO_JSON body = json_pack("{s:s, s:O}", "Container", c->id, "EndpointConfig", json_object_get(next, "endpoint"));
  rd_request(&c->op, &(struct rd_request){.method = "POST", .path = path, .body = body, .done = connect_done});
}

/* ---------------------------------------------------------------- the create itself */

static void create_done(struct rd_op *op, const struct rd_answer *a) {
  struct create *c = (struct create *)op;
  if (!rd_answer_good(op, a))
    return;
  const char *id = pu_str(a->json, "Id");
  if (!id) {
    rd_op_fail(op, BERTH_INTERNAL, "%s: the engine made it but tells no id", op->subject);
    return;
  }
  c->id = pu_strdup(id);
  json_array_extend(c->out.warnings, pu_arr(a->json, "Warnings"));
  connect_next(c);
}

static void create_send(struct create *c) {
  struct berth_instance *self = c->op.self;
  struct rd_spec_env env = {.api = self->api, .podman = self->podman, .files = c->files, .hard_limit = rd_limits_hard,
                            .hard_limit_arg = &self->limits};
  if (!rd_spec_translate(&env, c->spec, &c->out)) {
    rd_op_fail(&c->op, c->out.code, "%s: %s", c->op.subject, c->out.why);
    return;
  }
  PU_AUTO_BUF path = {0};
  pu_buf_adds(&path, "/containers/create?name=");
  pu_url_add(&path, c->out.name, "");
  if (c->out.platform) {
    pu_buf_adds(&path, "&platform=");
    pu_url_add(&path, c->out.platform, "");
  }
  rd_request(&c->op, &(struct rd_request){.method = "POST", .path = path.data, .body = c->out.body, .done = create_done});
}

/* ---------------------------------------------------------------- files that the spec names */

struct reading {
  json_t *paths; /* only this thread touches it while it works */
  json_t *files;
  char *why;
};

static char *read_small(const char *path, char **why) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat st;
  struct pu_buf out = {0};
  if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > max_file) {
    *why = pu_asprintf("%s: %s", path, fd < 0 ? strerror(errno) : "not a file of at most 1 MiB");
    if (fd >= 0)
      close(fd);
    return NULL;
  }
  char piece[16384];
  ssize_t n;
  while ((n = read(fd, piece, sizeof piece)) > 0 && out.len <= max_file)
    pu_buf_add(&out, piece, (size_t)n);
  close(fd);
  return pu_buf_steal(&out);
}

static void reading_work(void *data) {
  struct reading *r = data;
  size_t i;
  json_t *path;
  json_array_foreach(r->paths, i, path) {
    PU_AUTO_FREE content = r->why ? NULL : read_small(json_string_value(path), &r->why);
    if (content)
      json_object_set_new(r->files, json_string_value(path), json_string(content));
  }
}

static void reading_done(struct rd_op *op, void *data) {
  struct create *c = (struct create *)op;
  struct reading *r = data;
  if (r->why) {
    rd_op_fail(op, BERTH_INVALID, "%s: security_opt: %s", op->subject, r->why);
    return;
  }
  c->files = json_incref(r->files);
  create_send(c);
}

static void reading_free(void *data) {
  struct reading *r = data;
  json_decref(r->paths);
  json_decref(r->files);
  free(r->why);
  free(r);
}

static void create_ready(struct rd_op *op) {
  struct create *c = (struct create *)op;
  json_t *paths = rd_spec_files(c->spec);
  if (!json_array_size(paths)) {
    json_decref(paths);
    create_send(c);
    return;
  }
  struct reading *r = pu_calloc(1, sizeof *r);
  *r = (struct reading){.paths = paths, .files = json_object()};
  rd_job_run(op, r, reading_work, reading_done, reading_free);
}

void rd_create(struct berth_instance *self, berth_op id, const struct berth_runtime_create *request) {
  json_t *spec = rd_json_parse(request->spec_json, request->spec_json ? strlen(request->spec_json) : 0);
  struct create *c = rd_op_new(self, id, sizeof *c, create_drop, "container %s", pu_str_or(spec, "name", "(without a name)"));
  c->spec = spec;
  if (!json_is_object(spec))
    rd_op_fail(&c->op, BERTH_INVALID, "the container's spec is no JSON object");
  else
    rd_op_ready(&c->op, create_ready);
}
