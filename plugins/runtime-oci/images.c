/* image_inspect and image_pull: the store is read in a worker; what changes it is a berth-image process of its own, which streams its progress. */
#include "config.h"
#include "engine.h"

#include "image/store.h"

/* ---------------------------------------------------------------- inspect */

struct looking {
  char *images, *image, *platform;
  json_t *found;
  enum berth_code code;
  char *why;
};

static void looking_free(void *data) {
  struct looking *l = data;
  free(l->images);
  free(l->image);
  free(l->platform);
  free(l->why);
  json_decref(l->found);
  free(l);
}

static void looking_work(void *data) {
  struct looking *l = data;
  RI_AUTO_WHY why = {0};
  l->found = ri_store_inspect(l->images, l->image, l->platform, &why);
  if (!l->found) {
    l->code = why.code;
    l->why = pu_strdup(why.text);
  }
}

static void looked(struct ro_op *op, void *data) {
  struct looking *l = data;
  if (!l->found) {
    ro_op_fail(op, l->code, "%s", l->why); /* it names the image itself */
    return;
  }
  json_object_del(l->found, "layers");
  json_object_del(l->found, "config");
  ro_op_done(op, json_incref(l->found));
}

struct image {
  struct ro_op op;
  char *image, *platform;
};

static void image_drop(struct ro_op *op) {
  struct image *i = (struct image *)op;
  free(i->image);
  free(i->platform);
}

static void inspect_ready(struct ro_op *op) {
  struct image *i = (struct image *)op;
  struct looking *l = pu_new(struct looking);
  *l = (struct looking){.images = pu_strdup(op->self->config.root), .image = pu_strdup(i->image), .platform = pu_strdup(i->platform)};
  ro_job_run(op, l, looking_work, looked, looking_free);
}

void ro_image_inspect(struct berth_instance *self, berth_op id, const struct berth_runtime_image *r) {
  struct image *i = ro_op_new(self, id, sizeof *i, image_drop, "image %.256s", r->image ? r->image : "");
  i->image = pu_strdup(r->image ? r->image : "");
  i->platform = pu_strdup(r->platform);
  ro_op_ready(&i->op, inspect_ready);
}
