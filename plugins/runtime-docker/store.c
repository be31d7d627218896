/* The engine's store of images: list, import, remove. */
#include "config.h"
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/values.h"
#include "normal.h"

enum { max_line = 1 << 20, max_loaded = 64, max_list = 64 << 20 };

/* ---------------------------------------------------------------- list */

struct list {
  struct rd_op op;
  char *label;
};

static void list_drop(struct rd_op *op) { free(((struct list *)op)->label); }

/* "<none>:<none>" is what the engine calls what has no name. */
static json_t *named(const json_t *names) {
  json_t *out = json_array(), *name;
  size_t i;
  json_array_foreach(names, i, name) if (json_is_string(name) && !strstr(json_string_value(name), "<none>")) json_array_append(out, name);
  return out;
}

static void listed(struct rd_op *op, const struct rd_answer *a) {
  size_t i;
  json_t *image;
  if (!rd_answer_good(op, a))
    return;
  json_t *images = json_array();
  json_array_foreach(a->json, i, image) {
    PU_AUTO_FREE created = pu_time_text(pu_number(image, "Created", 0));
    json_array_append_new(images, json_pack("{s:s, s:o, s:o, s:I, s:s, s:s?}", "id", pu_str_or(image, "Id", ""), "digests", named(pu_arr(image, "RepoDigests")), "tags",
                                            named(pu_arr(image, "RepoTags")), "size", (json_int_t)pu_number(image, "Size", 0), "platform", "", "created",
                                            pu_number(image, "Created", 0) > 0 ? created : NULL));
  }
  rd_op_done(op, json_pack("{s:o}", "images", images));
}

static void list_ready(struct rd_op *op) {
  PU_AUTO_FREE filters = rd_filters(((struct list *)op)->label, NULL, NULL);
  PU_AUTO_FREE path = pu_asprintf("/images/json?%s", filters ? filters : "");
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .max_body = max_list, .done = listed});
}

void rd_image_list(struct berth_instance *self, berth_op id, const struct berth_runtime_list *r) {
  struct list *l = rd_op_new(self, id, sizeof *l, list_drop, "list of images");
  l->label = pu_strdup(r->label);
  rd_op_ready(&l->op, list_ready);
}

/* ---------------------------------------------------------------- remove */

struct removal {
  struct rd_op op;
  char *image;
  json_int_t size;
};

static void removal_drop(struct rd_op *op) { free(((struct removal *)op)->image); }

static void removed(struct rd_op *op, const struct rd_answer *a) {
  size_t i;
  json_t *one;
  bool whole = false;
  if (!rd_answer_good(op, a))
    return;
  json_t *out = rd_normal_prune(a->json);
  json_array_foreach(a->json, i, one) whole |= pu_str(one, "Deleted") != NULL;
  if (a->json && json_is_array(a->json) && whole)
    json_object_set_new(out, "freed", json_integer(((struct removal *)op)->size));
  rd_op_done(op, out);
}

static void sized(struct rd_op *op, const struct rd_answer *a) {
  struct removal *r = (struct removal *)op;
  if (!rd_answer_good(op, a))
    return;
  r->size = pu_number(a->json, "Size", 0);
  PU_AUTO_FREE path = rd_path("/images/", r->image, "");
  rd_request(op, &(struct rd_request){.method = "DELETE", .path = path, .timeout_ms = -1, .done = removed});
}

/* What it frees is what it had: the engine does not say. */
static void remove_ready(struct rd_op *op) {
  PU_AUTO_FREE path = rd_path("/images/", ((struct removal *)op)->image, "/json");
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .done = sized});
}

void rd_image_remove(struct berth_instance *self, berth_op id, const struct berth_runtime_image *request) {
  struct removal *r = rd_op_new(self, id, sizeof *r, removal_drop, "image %.256s", request->image ? request->image : "");
  r->image = pu_strdup(request->image ? request->image : "");
  if (!*r->image)
    rd_op_fail(&r->op, BERTH_INVALID, "no image is named");
  else
    rd_op_ready(&r->op, remove_ready);
}

/* ---------------------------------------------------------------- import */

struct import {
  struct rd_op op;
  char *path, *name, *error;
  int fd;
  struct rd_lines lines;
  json_t *loaded, *images; /* names or ids as the engine tells them; what inspect says of them */
};

static void import_drop(struct rd_op *op) {
  struct import *im = (struct import *)op;
  free(im->path);
  free(im->name);
  free(im->error);
  pu_buf_free(&im->lines.rest);
  json_decref(im->loaded);
  json_decref(im->images);
  if (im->fd >= 0)
    close(im->fd);
}

static void inspect_next(struct import *im);

static void inspected(struct rd_op *op, const struct rd_answer *a) {
  struct import *im = (struct import *)op;
  if (!rd_answer_good(op, a))
    return;
  json_array_append_new(im->images, rd_normal_image(a->json));
  inspect_next(im);
}

static void inspect_next(struct import *im) {
  const char *next = json_string_value(json_array_get(im->loaded, json_array_size(im->images)));
  if (!next) {
    rd_op_done(&im->op, json_pack("{s:O}", "images", im->images));
    return;
  }
  PU_AUTO_FREE path = rd_path("/images/", next, "/json");
  rd_request(&im->op, &(struct rd_request){.method = "GET", .path = path, .done = inspected});
}

static void tagged(struct rd_op *op, const struct rd_answer *a) {
  if (rd_answer_good(op, a))
    inspect_next((struct import *)op);
}

static void name_give(struct import *im) {
  const char *slash = strrchr(im->name, '/'), *colon = strrchr(slash ? slash : im->name, ':');
  PU_AUTO_FREE repository = pu_asprintf("%.*s", (int)(colon ? colon - im->name : (ssize_t)strlen(im->name)), im->name);
  struct pu_buf path = {0};
  pu_buf_adds(&path, "/images/");
  pu_url_add(&path, json_string_value(json_array_get(im->loaded, 0)), "/:@");
  pu_buf_adds(&path, "/tag?repo=");
  pu_url_add(&path, repository, "");
  pu_buf_adds(&path, "&tag=");
  pu_url_add(&path, colon ? colon + 1 : "latest", "");
  rd_request(&im->op, &(struct rd_request){.method = "POST", .path = path.data, .done = tagged});
  pu_buf_free(&path);
}

static void load_line(void *arg, char *text, size_t len) {
  static const char *const words[] = {"Loaded image ID: ", "Loaded image(s): ", "Loaded image: "};
  struct import *im = arg;
  PU_AUTO_JSON line = rd_json_parse(text, len);
  const char *said = pu_str(line, "stream"), *error = pu_str(line, "error");
  if (error && !im->error)
    im->error = pu_strdup(error);
  for (size_t i = 0; said && i < PU_COUNT(words); i++)
    if (pu_starts(said, words[i]) && json_array_size(im->loaded) < max_loaded) {
      const char *name = said + strlen(words[i]);
      PU_AUTO_FREE one = pu_strndup(name, strcspn(name, "\r\n"));
      json_array_append_new(im->loaded, json_string(one));
    }
  if (!said)
    return;
  PU_AUTO_FREE plain = pu_strndup(said, strcspn(said, "\r\n"));
  PU_AUTO_JSON out = json_pack("{s:s}", "text", plain);
  rd_op_emit_json(&im->op, BERTH_RUNTIME_PROGRESS, out);
}

static bool load_data(struct rd_op *op, const void *data, size_t len) {
  rd_lines_feed(&((struct import *)op)->lines, data, len, load_line, op);
  return true;
}

static void load_done(struct rd_op *op, const struct rd_answer *a) {
  struct import *im = (struct import *)op;
  if (!rd_answer_good(op, a))
    return;
  rd_lines_end(&im->lines, load_line, im);
  if (im->error)
    rd_op_fail(op, BERTH_INVALID, "%s: %s", op->subject, im->error);
  else if (!json_array_size(im->loaded))
    rd_op_fail(op, BERTH_INVALID, "%s: it is no archive of docker save: the engine found no image in it", op->subject);
  else if (im->name && json_array_size(im->loaded) > 1)
    rd_op_fail(op, BERTH_INVALID, "%s: there are %zu images in it, and one name is given for them", op->subject, json_array_size(im->loaded));
  else if (im->name)
    name_give(im);
  else
    inspect_next(im);
}

/* A piece of a file is read in less time than the loop has; a pipe or a device is none. */
static ssize_t load_body(struct rd_op *op, void *buf, size_t room) {
  ssize_t n;
  do
    n = read(((struct import *)op)->fd, buf, room);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -2 : n;
}

static void import_ready(struct rd_op *op) {
  struct import *im = (struct import *)op;
  struct stat st;
  im->fd = open(im->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (im->fd < 0 || fstat(im->fd, &st) != 0)
    rd_op_fail(op, errno == ENOENT ? BERTH_NOT_FOUND : BERTH_DENIED, "%s: %s", op->subject, strerror(errno));
  else if (!S_ISREG(st.st_mode))
    rd_op_fail(op, BERTH_UNSUPPORTED, "%s: the engine takes archives of docker save; of a folder make one (skopeo copy oci:FOLDER docker-archive:FILE)", op->subject);
  else
    rd_request(op, &(struct rd_request){.method = "POST", .path = "/images/load?quiet=1", .read_body = load_body, .timeout_ms = -1, .on_data = load_data, .done = load_done});
}

void rd_image_import(struct berth_instance *self, berth_op id, const struct berth_runtime_import *r) {
  struct import *im = rd_op_new(self, id, sizeof *im, import_drop, "import of %.256s", r->path ? r->path : "");
  im->path = pu_strdup(r->path ? r->path : "");
  im->name = r->name && *r->name ? pu_strdup(r->name) : NULL;
  im->fd = -1;
  im->lines.cap = max_line;
  im->loaded = json_array();
  im->images = json_array();
  rd_op_ready(&im->op, import_ready);
}
