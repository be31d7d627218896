/* volume_ensure, volume_remove, volume_list. */
#include "config.h"
#include "volumes.h"

#include "engine.h"

struct volume {
  struct ro_op op;
  char *name;
  json_t *spec, *labels;
};

static void volume_drop(struct ro_op *op) {
  struct volume *v = (struct volume *)op;
  free(v->name);
  json_decref(v->spec);
  json_decref(v->labels);
}

/* What a worker does with one. */
struct work {
  char *root, *name, *why;
  json_t *record; /* NULL: remove */
};

static void work_free(void *data) {
  struct work *w = data;
  free(w->root);
  free(w->name);
  free(w->why);
  json_decref(w->record);
  free(w);
}

static void make_work(void *data) {
  struct work *w = data;
  ro_volume_make(w->root, w->name, w->record, &w->why);
}

static void remove_work(void *data) {
  struct work *w = data;
  ro_volume_delete(w->root, w->name, &w->why);
}

static struct work *work_new(struct volume *v, json_t *record) {
  struct work *w = pu_new(struct work);
  *w = (struct work){.root = pu_strdup(v->op.self->config.root), .name = pu_strdup(v->name), .record = json_incref(record)};
  return w;
}

static json_t *answer(const struct volume *v, bool created) {
  PU_AUTO_FREE point = pu_asprintf("%s/volumes/%s/_data", v->op.self->config.root, v->name);
  return json_pack("{s:s, s:s, s:b}", "name", v->name, "mountpoint", point, "created", created);
}

/* ---------------------------------------------------------------- ensure */

static json_t *texts(const json_t *map) {
  json_t *out = json_object(), *v;
  const char *key;
  json_object_foreach((json_t *)(uintptr_t)map, key, v) {
    PU_AUTO_FREE s = json_is_string(v) ? pu_strdup(json_string_value(v)) : pu_json_text(v);
    json_object_set_new(out, key, pu_json_string(json_is_null(v) ? "" : s));
  }
  return out;
}

/* What an existing volume has otherwise than it is wanted; NULL: nothing. */
static char *differs(const struct volume *v, const json_t *have) {
  const char *driver = pu_str(v->spec, "driver"), *server = pu_str(v->labels, "berth.server");
  const char *theirs = pu_str(pu_obj(have, "labels"), "berth.server");
  PU_AUTO_JSON opts = texts(pu_obj(v->spec, "driver_opts"));
  if (driver && *driver && !pu_eq(driver, pu_str_or(have, "driver", "local")))
    return pu_asprintf("it exists with the driver %s, not %s", pu_str_or(have, "driver", "local"), driver);
  if (!json_equal(opts, pu_obj(have, "driver_opts")))
    return pu_strdup("it exists with other driver_opts: remove it first, or name another");
  if (server && theirs && !pu_eq(server, theirs))
    return pu_asprintf("it belongs to another server (its label berth.server is %s)", theirs);
  return NULL;
}

static void made(struct ro_op *op, void *data) {
  struct volume *v = (struct volume *)op;
  struct work *w = data;
  if (w->why) {
    json_object_del(op->self->table.volumes, v->name);
    ro_op_fail(op, BERTH_IO, "%s: %s", op->subject, w->why);
    return;
  }
  ro_op_done(op, answer(v, true));
}

static void ensure_ready(struct ro_op *op) {
  struct volume *v = (struct volume *)op;
  json_t *have = json_object_get(op->self->table.volumes, v->name);
  const char *driver = pu_str_or(v->spec, "driver", "local");
  if (have && pu_bool(v->spec, "external", false)) {
    ro_op_done(op, answer(v, false));
    return;
  }
  PU_AUTO_FREE why = have ? differs(v, have) : NULL;
  if (why)
    ro_op_fail(op, BERTH_CONFLICT, "%s: %s", op->subject, why);
  else if (have)
    ro_op_done(op, answer(v, false));
  else if (pu_bool(v->spec, "external", false))
    ro_op_fail(op, BERTH_NOT_FOUND, "%s: it is external and does not exist: make it first", op->subject);
  else if (*driver && !pu_eq(driver, "local"))
    ro_op_fail(op, BERTH_UNSUPPORTED, "%s: the driver %s: this runtime has \"local\" alone", op->subject, driver);
  else {
    json_t *record = json_pack("{s:s, s:o, s:O, s:I}", "driver", "local", "driver_opts", texts(pu_obj(v->spec, "driver_opts")), "labels",
                               v->labels, "created_ms", (json_int_t)ro_now_ms(op->self));
    json_object_set_new(op->self->table.volumes, v->name, record);
    op->cancel = ro_op_detach;
    ro_job_run(op, work_new(v, record), make_work, made, work_free);
  }
}

static struct volume *volume_new(struct berth_instance *self, berth_op id, const char *name) {
  struct volume *v = ro_op_new(self, id, sizeof *v, volume_drop, "volume %.256s", name ? name : "");
  v->name = pu_strdup(name ? name : "");
  return v;
}

static bool named(struct volume *v) {
  if (ro_volume_name(v->name))
    return true;
  ro_op_fail(&v->op, BERTH_INVALID, "%s: a volume's name has letters, digits, \"_\", \".\" and \"-\", and begins with one of the first two",
             v->op.subject);
  return false;
}

static json_t *object_of(const char *text) {
  json_t *o = text ? pu_json_parse(text, strlen(text)) : NULL;
  if (json_is_object(o))
    return o;
  json_decref(o);
  return json_object();
}

void ro_volume_ensure(struct berth_instance *self, berth_op id, const struct berth_runtime_volume *r) {
  struct volume *v = volume_new(self, id, r->name);
  v->spec = object_of(r->spec_json);
  PU_AUTO_JSON labels = object_of(r->labels_json);
  v->labels = texts(labels);
  json_object_update_missing(v->labels, pu_obj(v->spec, "labels"));
  if (named(v))
    ro_op_ready(&v->op, ensure_ready);
}

/* ---------------------------------------------------------------- remove */

static const struct ro_container *user_of(const struct ro_table *t, const char *name) {
  for (size_t i = 0; i < t->len; i++) {
    size_t k;
    json_t *v;
    json_array_foreach(t->items[i]->volumes, k, v)
      if (pu_eq(json_string_value(v), name))
        return t->items[i];
  }
  return NULL;
}

static void removed(struct ro_op *op, void *data) {
  struct work *w = data;
  if (w->why)
    ro_op_fail(op, BERTH_IO, "%s: %s", op->subject, w->why);
  else
    ro_op_done(op, NULL);
}

static void remove_ready(struct ro_op *op) {
  struct volume *v = (struct volume *)op;
  const struct ro_container *user = user_of(&op->self->table, v->name);
  if (!json_object_get(op->self->table.volumes, v->name))
    ro_op_done(op, NULL);
  else if (user)
    ro_op_fail(op, BERTH_CONFLICT, "%s: container %s uses it", op->subject, user->name);
  else {
    json_object_del(op->self->table.volumes, v->name);
    op->cancel = ro_op_detach;
    ro_job_run(op, work_new(v, NULL), remove_work, removed, work_free);
  }
}

void ro_volume_remove(struct berth_instance *self, berth_op id, const char *name) {
  struct volume *v = volume_new(self, id, name);
  if (named(v))
    ro_op_ready(&v->op, remove_ready);
}

/* ---------------------------------------------------------------- list */

struct listing {
  struct ro_op op;
  char *label;
};

static void listing_drop(struct ro_op *op) { free(((struct listing *)op)->label); }

static void list_ready(struct ro_op *op) {
  struct listing *l = (struct listing *)op;
  json_t *out = json_array(), *v;
  const char *name;
  json_object_foreach(op->self->table.volumes, name, v) {
    if (!ro_label_matches(pu_obj(v, "labels"), l->label))
      continue;
    PU_AUTO_FREE point = pu_asprintf("%s/volumes/%s/_data", op->self->config.root, name);
    json_array_append_new(out, json_pack("{s:s, s:s, s:O, s:s}", "name", name, "driver", pu_str_or(v, "driver", "local"), "labels",
                                         pu_obj(v, "labels"), "mountpoint", point));
  }
  ro_op_done(op, json_pack("{s:o}", "volumes", out));
}

void ro_volume_list(struct berth_instance *self, berth_op id, const struct berth_runtime_list *r) {
  struct listing *l = ro_op_new(self, id, sizeof *l, listing_drop, "volumes");
  l->label = pu_strdup(r->label);
  ro_op_ready(&l->op, list_ready);
}
