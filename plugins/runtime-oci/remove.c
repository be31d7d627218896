/* remove: the record goes first, so that a crash on the way leaves what recover.c takes for a leftover. */
#include "config.h"
#include "engine.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "files.h"
#include "net.h"
#include "storage.h"
#include "volumes.h"

enum { max_record = 1 << 20 };

struct removal {
  char *root, *run, *dir, *id, *why;
  json_t *volumes; /* anonymous ones that go with it */
  json_t *stay;    /* anonymous ones that do not */
};

static void removal_free(void *data) {
  struct removal *r = data;
  free(r->root);
  free(r->run);
  free(r->dir);
  free(r->id);
  free(r->why);
  json_decref(r->volumes);
  json_decref(r->stay);
  free(r);
}

/* A volume that outlives its container is nobody's: else the next start would take it for a leftover. */
static bool disown(const char *root, const char *volume, char **why) {
  PU_AUTO_FREE path = pu_asprintf("%s/volumes/%s/volume.json", root, volume);
  PU_AUTO_JSON record = ro_file_json(path, max_record, NULL);
  if (!pu_str(record, "container"))
    return true;
  json_object_del(record, "container");
  return ro_file_write_json(path, record, 0600, true, why);
}

static void removal_work(void *data) {
  struct removal *r = data;
  size_t i;
  json_t *name;
  json_array_foreach(r->stay, i, name)
    if (!disown(r->root, json_string_value(name), &r->why))
      return;
  PU_AUTO_FREE record = pu_asprintf("%s/container.json", r->dir);
  if (unlink(record) != 0 && errno != ENOENT) {
    r->why = pu_asprintf("%s: %s", record, strerror(errno));
    return;
  }
  ro_net_forget(r->root, r->id);
  ro_storage_forget(r->dir);
  char *why = NULL;
  if (!ro_tree_remove(r->dir, &why) || !ro_tree_remove(r->run, why ? NULL : &why))
    r->why = why;
  json_array_foreach(r->volumes, i, name)
    ro_volume_delete(r->root, json_string_value(name), r->why ? NULL : &r->why);
}

/* What could not be taken away stays on disk without a record: the next start sweeps it. The container itself is gone. */
static void removed(struct ro_op *op, void *data) {
  struct removal *r = data;
  struct berth_instance *self = op->self;
  struct ro_container *c = ro_table_by_id(&self->table, op->container);
  if (r->why)
    ro_log(self, BERTH_LOG_WARN, "container %.12s: %s", c->id, r->why);
  size_t i;
  json_t *name;
  json_array_foreach(r->volumes, i, name)
    json_object_del(self->table.volumes, json_string_value(name));
  ro_event(self, c, "destroy");
  ro_table_drop(&self->table, c);
  ro_op_done(op, NULL);
}

static void remove_now(struct ro_op *op, struct ro_container *c) {
  struct berth_instance *self = op->self;
  struct removal *r = pu_new(struct removal);
  bool volumes = ((struct ro_at *)op)->volumes;
  *r = (struct removal){.root = pu_strdup(self->config.root), .run = ro_run_dir(self, c),
                        .dir = ro_container_dir(self, c), .id = pu_strdup(c->id),
                        .volumes = volumes ? json_incref(c->anonymous) : NULL,
                        .stay = volumes ? NULL : json_incref(c->anonymous)};
  op->cancel = ro_op_detach;
  ro_job_run(op, r, removal_work, removed, removal_free);
}

static void remove_ended(struct ro_op *op) { remove_now(op, ro_table_by_id(&op->self->table, op->container)); }

static void remove_turn(struct ro_op *op, struct ro_container *c) {
  struct ro_at *at = (struct ro_at *)op;
  if (!c)
    ro_op_done(op, NULL);
  else if (c->state != RO_RUNNING && c->state != RO_PAUSED)
    remove_now(op, c);
  else if (!at->force)
    ro_op_fail(op, BERTH_CONFLICT, "%s: it runs: stop it first, or force", op->subject);
  else {
    op->ended = remove_ended;
    op->cancel = ro_op_detach;
    if (c->state == RO_PAUSED)
      ro_cgroup_freeze(c->pid, false, NULL);
    ro_signal(c, SIGKILL);
  }
}

/* Whoever stops it with a long grace holds the turn: force does not wait for that. */
static void remove_go(struct ro_at *at, struct ro_container *c) {
  if (at->force && c->held && c->state == RO_RUNNING)
    ro_signal(c, SIGKILL);
  ro_op_turn(&at->op, c, remove_turn);
}

void ro_remove(struct berth_instance *self, berth_op id, const struct berth_runtime_container *r) {
  struct ro_at *at = ro_at_new(self, id, sizeof *at, r->id, NULL);
  at->force = r->force;
  at->volumes = r->volumes;
  ro_at_begin(at, true, remove_go);
}
