/* Images: inspect, pull, prune. */
#include "config.h"
#include "engine.h"

#include "normal.h"

enum { max_line = 1 << 20, progress_ms = 200, max_layers = 256 };

struct image {
  struct rd_op op;
  char *name, *platform, *auth;
  char *repository, *tag, *digest; /* the parts of the name; NULL where it has none */
  /* of a pull */
  struct rd_lines lines;
  char *error;
  json_t *shown; /* {layer: [text, time of the last progress]} */
};

static void image_drop(struct rd_op *op) {
  struct image *im = (struct image *)op;
  free(im->name);
  free(im->platform);
  free(im->repository);
  free(im->tag);
  free(im->digest);
  if (im->auth)
    explicit_bzero(im->auth, strlen(im->auth));
  free(im->auth);
  pu_buf_free(&im->lines.rest);
  free(im->error);
  json_decref(im->shown);
}

static struct image *image_new(struct berth_instance *self, berth_op id, const struct berth_runtime_image *r) {
  struct image *im = rd_op_new(self, id, sizeof *im, image_drop, "image %.256s", r->image ? r->image : "");
  im->name = pu_strdup(r->image ? r->image : "");
  im->platform = r->platform && *r->platform ? pu_strdup(r->platform) : NULL;
  im->auth = pu_strdup(r->auth_json);
  im->lines.cap = max_line;
  im->shown = json_object();
  return im;
}

/* ---------------------------------------------------------------- inspect */

/* "linux/arm64" asked for holds for "linux/arm64/v8" as well. */
static bool platform_fits(const char *asked, const char *have) {
  size_t n = asked ? strlen(asked) : 0;
  return !n || (strncmp(asked, have, n) == 0 && (!have[n] || have[n] == '/'));
}

static void image_inspected(struct rd_op *op, const struct rd_answer *a) {
  struct image *im = (struct image *)op;
  if (!rd_answer_good(op, a))
    return;
  PU_AUTO_JSON image = rd_normal_image(a->json);
  const char *have = pu_str_or(image, "platform", "");
  if (platform_fits(im->platform, have))
    rd_op_done(op, json_incref(image));
  else
    rd_op_fail(op, BERTH_NOT_FOUND, "%s: it is here for %s, not for %s", op->subject, have, im->platform);
}

static void image_inspect_ready(struct rd_op *op) {
  struct pu_buf path = {0};
  pu_buf_adds(&path, "/images/");
  pu_url_add(&path, ((struct image *)op)->name, "/:@");
  pu_buf_adds(&path, "/json");
  rd_request(op, &(struct rd_request){.method = "GET", .path = path.data, .done = image_inspected});
  pu_buf_free(&path);
}

void rd_image_inspect(struct berth_instance *self, berth_op id, const struct berth_runtime_image *request) {
  struct image *im = image_new(self, id, request);
  if (!*im->name)
    rd_op_fail(&im->op, BERTH_INVALID, "no image is named");
  else
    rd_op_ready(&im->op, image_inspect_ready);
}

/* ---------------------------------------------------------------- pull */

/* The engine tells each layer's progress many times a second; people read a few, and the loop has others to serve. */
static bool worth_telling(struct image *im, const char *layer, const char *text) {
  int64_t now = im->op.self->timer->mono_ms(im->op.self->host);
  json_t *last = json_object_get(im->shown, layer);
  if (last && pu_eq(pu_str(last, "text"), text) && now - pu_number(last, "at", 0) < progress_ms)
    return false;
  if (last || json_object_size(im->shown) < max_layers)
    json_object_set_new(im->shown, layer, json_pack("{s:s, s:I}", "text", text, "at", (json_int_t)now));
  return true;
}

static void pull_line(void *arg, char *text, size_t len) {
  struct image *im = arg;
  PU_AUTO_JSON line = rd_json_parse(text, len);
  const char *status = pu_str(line, "status"), *error = pu_str(line, "error");
  if (!error)
    error = pu_str(pu_obj(line, "errorDetail"), "message");
  if (error && !im->error)
    im->error = pu_strdup(error);
  const char *layer = pu_str_or(line, "id", "");
  if (!status || !worth_telling(im, layer, status))
    return;
  const json_t *detail = pu_obj(line, "progressDetail");
  PU_AUTO_JSON out = json_pack("{s:s, s:s, s:I, s:I}", "text", status, "layer", layer, "current", (json_int_t)pu_number(detail, "current", 0),
                               "total", (json_int_t)pu_number(detail, "total", 0));
  rd_op_emit_json(&im->op, BERTH_RUNTIME_PROGRESS, out);
}

static bool pull_data(struct rd_op *op, const void *data, size_t len) {
  rd_lines_feed(&((struct image *)op)->lines, data, len, pull_line, op);
  return true;
}

/* An image without a name does all the same. */
static void tag_given(struct rd_op *op, const struct rd_answer *a) {
  if (a->code || a->status >= 400) {
    PU_AUTO_FREE sentence = rd_sentence(a->body, a->len);
    rd_log(op->self, BERTH_LOG_WARN, "%s: pulled, but the engine did not name it so: %s", op->subject, sentence);
  }
  image_inspect_ready(op);
}

/* What is pulled by its digest has no name on the engine until it is given one. */
static void tag_give(struct image *im) {
  PU_AUTO_BUF path = {0};
  pu_buf_adds(&path, "/images/");
  pu_url_add(&path, im->repository, "/:");
  pu_buf_adds(&path, "@");
  pu_buf_adds(&path, im->digest);
  pu_buf_adds(&path, "/tag?repo=");
  pu_url_add(&path, im->repository, "");
  pu_buf_adds(&path, "&tag=");
  pu_url_add(&path, im->tag, "");
  rd_request(&im->op, &(struct rd_request){.method = "POST", .path = path.data, .done = tag_given});
}

static void pull_done(struct rd_op *op, const struct rd_answer *a) {
  struct image *im = (struct image *)op;
  if (!a->code && a->status >= 400) {
    PU_AUTO_FREE sentence = rd_sentence(a->body, a->len);
    rd_op_fail(op, rd_code_text(sentence, rd_code(a->status, sentence)), "%s: pull: %s", op->subject, sentence);
    return;
  }
  if (!rd_answer_good(op, a))
    return;
  rd_lines_end(&im->lines, pull_line, im);
  if (im->error)
    rd_op_fail(op, rd_code_text(im->error, BERTH_UNAVAILABLE), "%s: pull: %s", op->subject, im->error);
  else if (im->tag && im->digest)
    tag_give(im);
  else
    image_inspect_ready(op);
}

/* Its parts: "name:tag@digest" has all three. */
static void image_split(struct image *im) {
  im->repository = pu_strdup(im->name);
  char *at = strchr(im->repository, '@');
  if (at) {
    im->digest = pu_strdup(at + 1);
    *at = 0;
  }
  char *slash = strrchr(im->repository, '/'), *colon = strrchr(slash ? slash : im->repository, ':');
  if (colon) {
    im->tag = pu_strdup(colon + 1);
    *colon = 0;
  }
}

/* The digest where there is one, else the tag, else "latest". */
static void pull_query(struct pu_buf *path, const struct image *im) {
  pu_buf_adds(path, "/images/create?fromImage=");
  pu_url_add(path, im->repository, "");
  pu_buf_adds(path, "&tag=");
  pu_url_add(path, im->digest ? im->digest : im->tag ? im->tag : "latest", "");
  if (im->platform) {
    pu_buf_adds(path, "&platform=");
    pu_url_add(path, im->platform, "");
  }
}

/* {"username","password"|"identity_token","server"} in the engine's words, for X-Registry-Auth. NULL: anonymous. */
static char *registry_auth(const char *auth_json) {
  PU_AUTO_JSON auth = auth_json ? rd_json_parse(auth_json, strlen(auth_json)) : NULL;
  if (!json_object_size(auth))
    return NULL;
  static const struct {
    const char *key, *engine;
  } names[] = {{"username", "username"}, {"password", "password"}, {"identity_token", "identitytoken"}, {"server", "serveraddress"}};
  PU_AUTO_JSON out = json_object();
  for (size_t i = 0; i < PU_COUNT(names); i++)
    if (pu_str(auth, names[i].key))
      json_object_set_new(out, names[i].engine, json_string(pu_str(auth, names[i].key)));
  PU_AUTO_FREE text = pu_json_text(out);
  char *header = rd_base64url(text, strlen(text));
  explicit_bzero(text, strlen(text));
  return header;
}

static void pull_ready(struct rd_op *op) {
  struct image *im = (struct image *)op;
  PU_AUTO_BUF path = {0};
  PU_AUTO_FREE auth = registry_auth(im->auth);
  pull_query(&path, im);
  rd_request(op, &(struct rd_request){.method = "POST", .path = path.data, .header = auth ? "X-Registry-Auth" : NULL, .header_value = auth,
                                      .timeout_ms = -1, .on_data = pull_data, .done = pull_done});
  if (auth)
    explicit_bzero(auth, strlen(auth));
}

static void pull_begin(struct image *im) {
  image_split(im);
  rd_op_ready(&im->op, pull_ready);
}

void rd_image_pull(struct berth_instance *self, berth_op id, const struct berth_runtime_image *request) {
  struct image *im = image_new(self, id, request);
  if (!*im->name || pu_starts(im->name, "sha256:"))
    rd_op_fail(&im->op, BERTH_INVALID, "%s: only a name can be pulled, not an image's id", im->op.subject);
  else
    pull_begin(im);
}

/* ---------------------------------------------------------------- prune */

struct prune {
  struct rd_op op;
  char *label;
};

static void prune_drop(struct rd_op *op) { free(((struct prune *)op)->label); }

static void prune_done(struct rd_op *op, const struct rd_answer *a) {
  if (rd_answer_good(op, a))
    rd_op_done(op, rd_normal_prune(a->json));
}

/* Docker leaves named images alone unless "dangling" is false. Podman's Docker-compatible prune cannot be told so: use its own. */
static void prune_ready(struct rd_op *op) {
  const char *label = ((struct prune *)op)->label;
  bool podman = op->self->podman;
  PU_AUTO_FREE filters = podman ? rd_filters(label, NULL, NULL) : rd_filters(label, "dangling", "false");
  PU_AUTO_FREE path = pu_asprintf("%s/images/prune?%s%s", podman ? "/libpod" : "", podman ? "all=true&" : "", filters);
  rd_request(op, &(struct rd_request){.method = "POST", .path = path, .timeout_ms = -1, .max_body = 64 << 20, .done = prune_done});
}

void rd_image_prune(struct berth_instance *self, berth_op id, const struct berth_runtime_list *request) {
  struct prune *p = rd_op_new(self, id, sizeof *p, prune_drop, "removal of unused images");
  p->label = pu_strdup(request->label);
  rd_op_ready(&p->op, prune_ready);
}
