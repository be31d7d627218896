/* What a fresh process finds: folders, records, monitors that run on. Read in a worker, taken on the loop. */
#include "config.h"
#include "engine.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "files.h"
#include "monitor/sweep.h"
#include "net.h"
#include "storage.h"
#include "volumes.h"

enum { max_record = 4 << 20 };

struct recovery {
  char *root, *run, *programs, *storage, *why;
  struct ro_storage found_storage;
  int lock;
  struct ro_container **found;
  size_t n, room;
  json_t *volumes;
  json_t *pools, *dns;
  json_t *ids;   /* {id: does it run} of those that have a record */
  int leftovers; /* what was swept */
  json_t *damaged; /* sentences about records that cannot be read */
};

static void recovery_free(void *data) {
  struct recovery *r = data;
  for (size_t i = 0; i < r->n; i++)
    ro_container_free(r->found[i]);
  if (r->lock >= 0)
    close(r->lock);
  free(r->found);
  json_decref(r->volumes);
  json_decref(r->ids);
  json_decref(r->damaged);
  json_decref(r->pools);
  json_decref(r->dns);
  free(r->root);
  free(r->run);
  free(r->programs);
  free(r->storage);
  ro_storage_free(&r->found_storage);
  free(r->why);
  free(r);
}

/* ---------------------------------------------------------------- folders */

static bool make_folders(struct recovery *r) {
  static const char *const below[] = {"containers", "volumes", "networks", "images"};
  if (!ro_dir_make(r->root, 0711, &r->why) || !ro_dir_make(r->run, 0711, &r->why))
    return false;
  for (size_t i = 0; i < PU_COUNT(below); i++) {
    PU_AUTO_FREE path = pu_asprintf("%s/%s", r->root, below[i]);
    if (!ro_dir_make(path, 0711, &r->why))
      return false;
  }
  PU_AUTO_FREE state = pu_asprintf("%s/runtime", r->run);
  return ro_dir_make(state, 0700, &r->why);
}

static bool take_lock(struct recovery *r) {
  r->lock = ro_root_take(r->root, true, &r->why);
  return r->lock >= 0;
}

/* ---------------------------------------------------------------- containers */

/* Did it get as far as a start, and is it frozen? The rest of the way back is ro_watch's. A start that had not come as far as the container's first process did not
 * happen: whatever it had begun goes, and it is no container that failed. */
static void look_at_run(struct recovery *r, struct ro_container *c) {
  PU_AUTO_FREE dir = pu_asprintf("%s/%s", r->run, c->id);
  PU_AUTO_FREE path = pu_asprintf("%s/monitor.pid", dir);
  PU_AUTO_FREE ended = pu_asprintf("%s/exit.json", dir);
  PU_AUTO_JSON o = ro_file_json(path, 4096, NULL);
  PU_AUTO_FREE seen = pu_asprintf("%s/net.json", dir);
  PU_AUTO_JSON net = ro_file_json(seen, max_record, NULL);
  if (access(dir, F_OK) != 0)
    return;
  if (pu_int(o, "init", 0) <= 0 && access(ended, F_OK) != 0 && ro_sweep_run(dir, NULL) == 0 && ro_tree_remove(dir, NULL)) {
    r->leftovers++;
    return;
  }
  c->networks = json_incref(pu_obj(net, "networks"));
  c->ports = json_incref(pu_arr(net, "ports"));
  c->state = ro_cgroup_frozen((pid_t)pu_int(o, "init", 0)) ? RO_PAUSED : RO_RUNNING;
}

/* Half of a create or of a remove: the record is the first to come and the first to go. One that is there and cannot be read is something
 * else: what the container wrote stays. It runs no more then, since whoever replaces it does not know of it. */
static void no_container(struct recovery *r, const char *name, const char *dir, const char *path) {
  struct stat st;
  if (lstat(path, &st) != 0 && errno == ENOENT) {
    ro_storage_forget(dir);
    ro_tree_remove(dir, NULL);
    r->leftovers++;
    return;
  }
  PU_AUTO_FREE text = pu_asprintf("container %s: its record %s is damaged: what it wrote is left in that folder; put the record back and start Berth anew, or remove the folder", name, path);
  json_array_append_new(r->damaged, pu_json_string(text));
}

static void found_container(void *arg, const char *name) {
  struct recovery *r = arg;
  PU_AUTO_FREE dir = pu_asprintf("%s/containers/%s", r->root, name);
  PU_AUTO_FREE path = pu_asprintf("%s/container.json", dir);
  PU_AUTO_JSON record = ro_file_json(path, max_record, NULL);
  struct ro_container *c = record ? ro_container_read(record) : NULL;
  if (!c || !pu_eq(c->id, name)) {
    if (c)
      ro_container_free(c);
    no_container(r, name, dir, path);
    return;
  }
  ro_stamp_read(dir, c);
  look_at_run(r, c);
  if (r->n == r->room) {
    r->room = r->room ? r->room * 2 : 64;
    r->found = realloc(r->found, r->room * sizeof *r->found);
    if (!r->found)
      abort();
  }
  r->found[r->n++] = c;
  json_object_set_new(r->ids, c->id, json_boolean(c->state == RO_RUNNING || c->state == RO_PAUSED));
}

/* ---------------------------------------------------------------- volumes */

static bool is_used(const struct recovery *r, const char *volume) {
  size_t k;
  json_t *v;
  for (size_t i = 0; i < r->n; i++)
    json_array_foreach(r->found[i]->volumes, k, v)
      if (pu_eq(json_string_value(v), volume))
        return true;
  return false;
}

/* Made for a container that did not come to be, or that was removed with it: volumes come before the record and go after it. One that was to stay has
 * no container in its record any more. A container whose record is damaged has its folder, and keeps its volumes. */
static bool is_orphan(const struct recovery *r, const char *name, const json_t *record) {
  const char *owner = pu_str(record, "container");
  if (!owner || json_object_get(r->ids, owner) || is_used(r, name))
    return false;
  PU_AUTO_FREE dir = pu_asprintf("%s/containers/%s", r->root, owner);
  return access(dir, F_OK) != 0 && errno == ENOENT;
}

static void found_volume(void *arg, const char *name) {
  struct recovery *r = arg;
  PU_AUTO_FREE path = pu_asprintf("%s/volumes/%s/volume.json", r->root, name);
  json_t *record = ro_file_json(path, max_record, NULL);
  if (json_is_object(record) && !is_orphan(r, name, record)) {
    json_object_set_new(r->volumes, name, record);
    return;
  }
  bool orphan = json_is_object(record);
  json_decref(record);
  if (orphan || (access(path, F_OK) != 0 && errno == ENOENT && ro_volume_name(name))) { /* or half made, or half removed */
    ro_volume_delete(r->root, name, NULL);
    r->leftovers++;
  }
}

/* ---------------------------------------------------------------- what nobody owns */

/* A bundle without a record: the container was being removed, or its folder was taken away by hand. What it left is swept by the program that knows
 * how. */
static void found_run(void *arg, const char *name) {
  struct recovery *r = arg;
  if (strlen(name) != RO_ID || json_object_get(r->ids, name))
    return;
  PU_AUTO_FREE dir = pu_asprintf("%s/%s", r->run, name);
  ro_sweep_run(dir, NULL);
  ro_tree_remove(dir, NULL);
  r->leftovers++;
}

static void recover_work(void *data) {
  struct recovery *r = data;
  if (!make_folders(r) || (r->lock < 0 && !take_lock(r)))
    return;
  PU_AUTO_FREE containers = pu_asprintf("%s/containers", r->root);
  PU_AUTO_FREE volumes = pu_asprintf("%s/volumes", r->root);
  ro_storage_probe(r->root, r->storage, &r->found_storage);
  ro_dir_each(containers, found_container, r);
  ro_dir_each(volumes, found_volume, r);
  ro_dir_each(r->run, found_run, r);
  ro_net_settle(r->root, r->run, r->programs, r->pools, r->dns, r->ids);
}

/* ---------------------------------------------------------------- on the loop */

static int by_age(const void *a, const void *b) {
  int64_t x = (*(struct ro_container *const *)a)->created_ms, y = (*(struct ro_container *const *)b)->created_ms;
  return (x > y) - (x < y);
}

/* A container that ran is watched again; where its monitor is gone meanwhile, that is its end. */
static bool take(struct berth_instance *self, struct ro_container *c) {
  if (!ro_table_add(&self->table, c)) {
    ro_log(self, BERTH_LOG_ERROR, "container %s has the name %s, which another has: it is left alone", c->id, c->name);
    return false;
  }
  if (c->state != RO_RUNNING && c->state != RO_PAUSED)
    return true;
  c->started_ms = c->started_ms ? c->started_ms : ro_now_ms(self);
  ro_watch(self, c);
  if (c->pidfd >= 0)
    ro_health_begin(self, c);
  return true;
}

static void recovery_done(struct ro_op *op, void *data) {
  struct recovery *r = data;
  struct berth_instance *self = op->self;
  ro_op_drop(op);
  if (r->why) {
    self->phase = RO_REFUSED;
    pu_set(&self->refusal, pu_strdup(r->why));
    ro_recovered(self);
    return;
  }
  self->lock = r->lock;
  r->lock = -1;
  ro_storage_free(&self->storage);
  self->storage = r->found_storage;
  r->found_storage = (struct ro_storage){0};
  if (self->storage.why)
    ro_log(self, BERTH_LOG_WARN, "root file systems: %s: %s", ro_storage_word(self->storage.kind), self->storage.why);
  self->table.volumes = json_incref(r->volumes);
  if (r->n)
    qsort(r->found, r->n, sizeof *r->found, by_age);
  size_t kept = 0;
  for (size_t i = 0; i < r->n; i++)
    if (!take(self, r->found[i]))
      r->found[kept++] = r->found[i];
  r->n = kept;
  size_t i;
  json_t *sentence;
  json_array_foreach(r->damaged, i, sentence) ro_log(self, BERTH_LOG_ERROR, "%s", json_string_value(sentence));
  if (r->leftovers)
    ro_log(self, BERTH_LOG_INFO, "%d left-overs of containers and volumes were swept away", r->leftovers);
  ro_recover_settled(self);
}

/* Whoever asks then hears of the end of what ended, and not that it runs. */
void ro_recover_settled(struct berth_instance *self) {
  if (self->phase != RO_RECOVERING || self->lock < 0 || self->ends)
    return;
  self->phase = RO_READY;
  ro_networks_watch(self);
  ro_recovered(self);
}

void ro_recover(struct berth_instance *self) {
  self->phase = RO_RECOVERING;
  struct ro_op *op = ro_op_new(self, 0, sizeof *op, NULL, "records");
  struct recovery *r = pu_new(struct recovery);
  *r = (struct recovery){.root = pu_strdup(self->config.root), .run = pu_strdup(self->config.run), .programs = pu_strdup(self->config.programs), .storage = pu_strdup(self->config.storage), .lock = self->lock,
                          .pools = json_incref(self->config.pools), .dns = json_incref(self->config.dns), .volumes = json_object(), .ids = json_object(), .damaged = json_array()};
  self->lock = -1;
  ro_job_run(op, r, recover_work, recovery_done, recovery_free);
}
