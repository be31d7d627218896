/* Images: the store is read in a worker; what changes it is a berth-image process of its own, which streams its progress. */
#include "config.h"
#include "engine.h"

#include "../common/base64.h"
#include "image/store.h"
#include "run.h"

/* ---------------------------------------------------------------- reading the store */

struct looking {
  char *root, *image, *platform, *label;
  bool list;
  json_t *found;
  enum berth_code code;
  char *why;
};

static void looking_free(void *data) {
  struct looking *l = data;
  free(l->root);
  free(l->image);
  free(l->platform);
  free(l->label);
  free(l->why);
  json_decref(l->found);
  free(l);
}

static void looking_work(void *data) {
  struct looking *l = data;
  RI_AUTO_WHY why = {0};
  l->found = l->list ? ri_store_list(l->root, l->label, &why) : ri_store_inspect(l->root, l->image, l->platform, &why);
  if (l->found && !l->list)
    ri_store_touch(l->root, pu_str_or(l->found, "id", "")); /* who asks is about to use it: a collection under way must not take it */
  if (!l->found) {
    l->code = why.code;
    l->why = pu_strdup(why.text);
  }
}

/* What the store tells of an image and the contract does not. */
static json_t *for_host(const json_t *image) {
  json_t *o = json_copy((json_t *)(uintptr_t)image);
  static const char *const ours[] = {"layers", "config", "used_at", "added_at", "labels"};
  for (size_t i = 0; i < PU_COUNT(ours); i++)
    json_object_del(o, ours[i]);
  return o;
}

static json_t *list_for_host(const json_t *images) {
  json_t *list = json_array(), *image;
  size_t i;
  json_array_foreach(images, i, image) json_array_append_new(list, for_host(image));
  return json_pack("{s:o}", "images", list);
}

static void looked(struct ro_op *op, void *data) {
  struct looking *l = data;
  if (!l->found)
    ro_op_fail(op, l->code, "%s", l->why);
  else
    ro_op_done(op, l->list ? list_for_host(l->found) : for_host(l->found));
}

/* ---------------------------------------------------------------- operations */

struct image {
  struct ro_op op;
  char *image, *platform, *label;
  char *auth; /* wiped */
  bool list;
  const char *action; /* of berth-image */
  json_t *spec;       /* for it, but what every spec has */
  struct ro_run *run;
  void (*done)(struct image *i, const json_t *result);
};

static void image_drop(struct ro_op *op) {
  struct image *i = (struct image *)op;
  ro_run_forget(i->run);
  free(i->image);
  free(i->platform);
  free(i->label);
  pu_wipe_free(i->auth);
  json_decref(i->spec);
}

static void look_ready(struct ro_op *op) {
  struct image *i = (struct image *)op;
  struct looking *l = pu_new(struct looking);
  *l = (struct looking){.root = pu_strdup(op->self->config.root), .image = pu_strdup(i->image), .platform = pu_strdup(i->platform),
                        .label = pu_strdup(i->label), .list = i->list};
  ro_job_run(op, l, looking_work, looked, looking_free);
}

static void ran(struct ro_op *op, const json_t *result, enum berth_code code, const char *why) {
  struct image *i = (struct image *)op;
  i->run = NULL;
  if (!result)
    ro_op_fail(op, code, "%s", why);
  else
    i->done(i, result);
}

/* Ids of the images that containers were made from. */
json_t *ro_images_used(const struct berth_instance *self) {
  json_t *ids = json_array();
  for (size_t i = 0; i < self->table.len; i++)
    if (self->table.items[i]->image_id)
      json_array_append_new(ids, json_string(self->table.items[i]->image_id));
  return ids;
}

/* {image's id: [names of containers that were made from it]}, for whoever wants to remove it. */
static json_t *users(const struct berth_instance *self) {
  json_t *all = json_object();
  for (size_t i = 0; i < self->table.len; i++) {
    const struct ro_container *c = self->table.items[i];
    if (!c->image_id)
      continue;
    if (!pu_arr(all, c->image_id))
      json_object_set_new(all, c->image_id, json_array());
    json_array_append_new(pu_arr(all, c->image_id), ro_text(c->name));
  }
  return all;
}

static void run_ready(struct ro_op *op) {
  struct image *i = (struct image *)op;
  const struct ro_config *config = &op->self->config;
  json_t *spec = json_copy(i->spec);
  json_object_set_new(spec, "root", json_string(config->root));
  json_object_set_new(spec, "limits", json_pack("{s:I, s:I, s:s}", "max_layer_size", (json_int_t)config->max_layer_size, "max_layer_entries",
                                                (json_int_t)config->max_layer_entries, "devices", config->devices));
  if (config->registries)
    json_object_set(spec, "registries", config->registries);
  if (i->auth)
    json_object_set_new(spec, "auth", pu_json_parse(i->auth, strlen(i->auth)));
  if (pu_eq(i->action, "remove"))
    json_object_set_new(spec, "users", users(op->self));
  json_object_set_new(spec, "keep", ro_images_used(op->self));
  i->run = ro_run_start(op, i->action, spec, ran);
}

static void done_as_it_is(struct image *i, const json_t *result) { ro_op_done(&i->op, json_deep_copy(result)); }
static void done_image(struct image *i, const json_t *result) { ro_op_done(&i->op, for_host(result)); }
static void done_images(struct image *i, const json_t *result) { ro_op_done(&i->op, list_for_host(pu_arr(result, "images"))); }

static void run_begin(struct image *i, const char *action, json_t *spec, void (*done)(struct image *i, const json_t *result)) {
  i->action = action;
  i->spec = spec;
  i->done = done;
  ro_op_ready(&i->op, run_ready);
}

/* ---------------------------------------------------------------- methods */

static struct image *image_new(struct berth_instance *self, berth_op id, const struct berth_runtime_image *r) {
  struct image *i = ro_op_new(self, id, sizeof *i, image_drop, "image %.256s", r->image ? r->image : "");
  i->image = pu_strdup(r->image ? r->image : "");
  i->platform = r->platform && *r->platform ? pu_strdup(r->platform) : NULL;
  i->auth = pu_strdup(r->auth_json);
  return i;
}

void ro_image_inspect(struct berth_instance *self, berth_op id, const struct berth_runtime_image *r) {
  ro_op_ready(&image_new(self, id, r)->op, look_ready);
}

void ro_image_list(struct berth_instance *self, berth_op id, const struct berth_runtime_list *r) {
  struct image *i = ro_op_new(self, id, sizeof *i, image_drop, "list of images");
  i->list = true;
  i->label = pu_strdup(r->label);
  ro_op_ready(&i->op, look_ready);
}

void ro_image_pull(struct berth_instance *self, berth_op id, const struct berth_runtime_image *r) {
  struct image *i = image_new(self, id, r);
  run_begin(i, "pull", json_pack("{s:s, s:s*}", "image", i->image, "platform", i->platform), done_image);
}

void ro_image_import(struct berth_instance *self, berth_op id, const struct berth_runtime_import *r) {
  struct image *i = ro_op_new(self, id, sizeof *i, image_drop, "import of %.256s", r->path ? r->path : "");
  run_begin(i, "import", json_pack("{s:s, s:s*}", "path", r->path ? r->path : "", "name", r->name), done_images);
}

static void done_built(struct image *i, const json_t *result) { ro_op_done(&i->op, json_pack("{s:s}", "id", pu_str_or(result, "id", ""))); }

/* Values of secrets as text that the spec can hold: it goes to the process by a socket, and nowhere else. */
static json_t *secrets_json(const struct berth_runtime_build *r) {
  json_t *list = json_array();
  for (size_t n = 0; n < r->nsecrets; n++) {
    char *data = pu_base64(r->secrets[n].data, r->secrets[n].len);
    json_array_append_new(list, json_pack("{s:s, s:s}", "id", r->secrets[n].id ? r->secrets[n].id : "", "data", data));
    pu_wipe_free(data);
  }
  return list;
}

void ro_image_build(struct berth_instance *self, berth_op id, const struct berth_runtime_build *r) {
  PU_AUTO_JSON tags = r->tags_json ? pu_json_parse(r->tags_json, strlen(r->tags_json)) : NULL;
  PU_AUTO_JSON build = r->build_json ? pu_json_parse(r->build_json, strlen(r->build_json)) : NULL;
  struct image *i = ro_op_new(self, id, sizeof *i, image_drop, "build of %.200s", json_is_string(json_array_get(tags, 0)) ? json_string_value(json_array_get(tags, 0)) : "an image");
  i->auth = pu_strdup(r->auth_json);
  if (!json_is_object(build)) {
    ro_op_fail(&i->op, BERTH_INVALID, "%s: what is to be built is not said", i->op.subject);
    return;
  }
  run_begin(i, "build", json_pack("{s:s, s:O, s:O?, s:o, s:s, s:s}", "context", r->context ? r->context : "", "build", build, "tags", tags, "secrets", secrets_json(r),
                                  "isolation", self->config.build_isolation, "runtime", self->config.runtime), done_built);
}

void ro_image_remove(struct berth_instance *self, berth_op id, const struct berth_runtime_image *r) {
  struct image *i = image_new(self, id, r);
  run_begin(i, "remove", json_pack("{s:s}", "image", i->image), done_as_it_is);
}

void ro_image_prune(struct berth_instance *self, berth_op id, const struct berth_runtime_list *r) {
  struct image *i = ro_op_new(self, id, sizeof *i, image_drop, "removal of unused images");
  run_begin(i, "prune", json_pack("{s:s*, s:I}", "label", r->label, "unused_since_ms", (json_int_t)ro_now_ms(self)), done_as_it_is);
}
