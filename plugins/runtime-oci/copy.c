/* copy_in and copy_out: berth-copy, a process that unpacks and packs, since archives are other people's. A container that runs is entered by its first
 * process; of one that stands, the root file system is mounted for the time of the copy, and nobody starts it meanwhile. */
#include "config.h"
#include "engine.h"

#include <unistd.h>

#include "files.h"
#include "image/store.h"

enum { most_tar = 64 << 20, most_said = 4096, max_record = 4 << 20 };

struct copy {
  struct ro_at at;
  bool in;
  char *path, *from;   /* from: the run folder, or a file made for the time of the copy */
  bool made;           /* from is such a file */
  struct pu_buf tar;
  struct pu_buf said;  /* standard error */
  struct ro_process *process;
};

static void copy_drop(struct ro_op *op) {
  struct copy *c = (struct copy *)op;
  ro_process_stop(c->process);
  if (c->made)
    unlink(c->from); /* on tmpfs */
  free(c->path);
  free(c->from);
  pu_buf_free(&c->tar);
  pu_buf_free(&c->said);
  free(c->at.name);
  free(c->at.signal);
}

/* ---------------------------------------------------------------- the process */

static void on_data(void *arg, int stream, const void *data, size_t len) {
  struct copy *c = arg;
  if (stream == 2)
    pu_buf_add(&c->said, data, c->said.len + len <= most_said ? len : 0);
  else if (!c->in)
    ro_op_emit(&c->at.op, BERTH_RUNTIME_STDOUT, data, len);
}

static bool on_room(void *arg) { return ro_op_room(&((struct copy *)arg)->at.op); }

static void on_done(void *arg, int status) {
  struct copy *c = arg;
  struct ro_op *op = &c->at.op;
  c->process = NULL;
  PU_AUTO_JSON said = c->said.len ? pu_json_parse(c->said.data, c->said.len) : NULL;
  if (status == 0)
    ro_op_done(op, NULL);
  else if (status == RO_NOT_STARTED)
    ro_op_fail(op, BERTH_UNAVAILABLE, "%s: berth-copy cannot be run: is Berth installed whole, and programs right?", op->subject);
  else if (pu_str(said, "error"))
    ro_op_fail(op, ro_code_named(pu_str(said, "code")), "%s: %s", op->subject, pu_str(said, "error"));
  else
    ro_op_fail(op, BERTH_INTERNAL, "%s: berth-copy ended with %d", op->subject, status);
}

static void copy_run(struct copy *c) {
  static const struct ro_process_events events = {.data = on_data, .room = on_room, .done = on_done};
  struct berth_instance *self = c->at.op.self;
  PU_AUTO_FREE program = ro_program(self, "berth-copy");
  const char *argv[] = {program, c->in ? "in" : "out", c->from, c->path, NULL};
  c->process = ro_process_start(self, argv, &events, c);
  if (c->in)
    ro_process_write(c->process, c->tar.data, c->tar.len);
  ro_process_end_input(c->process);
  pu_buf_free(&c->tar);
}

/* ---------------------------------------------------------------- of one that stands */

struct standing {
  char *root, *run_root, *dir, *id, *image, *path; /* path: of the file to write */
  struct ro_storage storage;
  enum berth_code code;
  char *why;
};

static void standing_free(void *data) {
  struct standing *s = data;
  free(s->root);
  free(s->run_root);
  free(s->dir);
  free(s->id);
  free(s->image);
  ro_storage_free(&s->storage);
  free(s->path);
  free(s->why);
  free(s);
}

/* Named volumes and binds of the spec, as berth-copy mounts them. */
static json_t *mounts_of(const struct standing *s, const json_t *spec) {
  json_t *out = json_array(), *m;
  size_t i;
  json_array_foreach(pu_arr(spec, "mounts"), i, m) {
    const char *type = pu_str_or(m, "type", ""), *source = pu_str_or(m, "source", ""), *target = pu_str(m, "target");
    if (!target || !*source || (!pu_eq(type, "bind") && !pu_eq(type, "volume")))
      continue;
    PU_AUTO_FREE from = pu_eq(type, "bind") ? pu_strdup(source) : pu_asprintf("%s/volumes/%s/_data", s->root, source);
    if (access(from, F_OK) == 0)
      json_array_append_new(out, json_pack("{s:s, s:s, s:b}", "source", from, "target", target, "read_only", pu_bool(m, "read_only", false)));
  }
  return out;
}

static void standing_work(void *data) {
  struct standing *s = data;
  RI_AUTO_WHY why = {0};
  PU_AUTO_FREE path = pu_asprintf("%s/container.json", s->dir);
  PU_AUTO_FREE target = pu_asprintf("%s/copy-rootfs", s->dir);
  PU_AUTO_JSON record = ro_file_json(path, max_record, NULL);
  PU_AUTO_JSON image = ri_store_inspect(s->root, s->image, NULL, &why);
  if (!image) {
    s->code = why.code;
    s->why = pu_strdup(why.text);
    return;
  }
  s->code = BERTH_IO;
  json_t *rootfs = ro_storage_rootfs(&s->storage, s->dir, pu_arr(image, "layers"), target, &s->why);
  if (!rootfs)
    return;
  PU_AUTO_JSON m = json_pack("{s:s, s:s, s:[s], s:o, s:o, s:{s:s}, s:o, s:o, s:o}", "id", s->id, "bundle", s->dir, "runtime", "/bin/false", "runtime_root",
                             json_sprintf("%s/runtime", s->run_root), "rootfs", rootfs, "network", "mode", "host", "cgroup", json_sprintf("/berth/%s", s->id),
                             "exit", json_sprintf("%s/copy-exit.json", s->dir), "mounts", mounts_of(s, pu_obj(record, "spec")));
  if (ro_dir_make(target, 0700, &s->why) && ro_file_write_json(s->path, m, 0600, false, &s->why))
    s->code = BERTH_OK;
}

static void standing_done(struct ro_op *op, void *data) {
  struct copy *c = (struct copy *)op;
  struct standing *s = data;
  if (s->code != BERTH_OK) {
    ro_op_fail(op, s->code, "%s: %s", op->subject, s->why);
    return;
  }
  c->from = pu_strdup(s->path);
  c->made = true;
  copy_run(c);
}

static void standing_turn(struct ro_op *op, struct ro_container *c) {
  struct copy *k = (struct copy *)op;
  struct berth_instance *self = op->self;
  if (!c) {
    ro_op_fail(op, BERTH_NOT_FOUND, "%s: it was removed", op->subject);
    return;
  }
  if (c->state == RO_RUNNING || c->state == RO_PAUSED) { /* started while we waited */
    k->from = ro_run_dir(self, c);
    copy_run(k);
    return;
  }
  struct standing *s = pu_new(struct standing);
  *s = (struct standing){.root = pu_strdup(self->config.root), .run_root = pu_strdup(self->config.run), .dir = ro_container_dir(self, c),
                         .id = pu_strdup(c->id), .image = pu_strdup(c->image_id), .storage = ro_storage_copy(&self->storage), .path = pu_asprintf("%s/copy-%s.json", self->config.run, c->id)};
  ro_job_run(op, s, standing_work, standing_done, standing_free);
}

/* ---------------------------------------------------------------- begin */

static void copy_go(struct ro_at *at, struct ro_container *c) {
  struct copy *k = (struct copy *)at;
  if (c->state != RO_RUNNING && c->state != RO_PAUSED) {
    ro_op_turn(&at->op, c, standing_turn);
    return;
  }
  k->from = ro_run_dir(at->op.self, c);
  copy_run(k);
}

static struct copy *copy_new(struct berth_instance *self, berth_op id, const struct berth_runtime_copy *r, bool in) {
  struct copy *c = ro_at_new(self, id, sizeof *c, r->id, copy_drop);
  c->in = in;
  c->path = pu_strdup(r->path ? r->path : "");
  if (*c->path == '/')
    return c;
  ro_op_fail(&c->at.op, BERTH_INVALID, "%s: a path in it must be named, beginning with /", c->at.op.subject);
  return NULL;
}

void ro_copy_in(struct berth_instance *self, berth_op id, const struct berth_runtime_copy *r) {
  struct copy *c = copy_new(self, id, r, true);
  if (!c)
    return;
  if (r->tar_len > most_tar) {
    ro_op_fail(&c->at.op, BERTH_TOO_LARGE, "%s: %zu bytes are more than the 64 MiB that can be copied at once", c->at.op.subject, r->tar_len);
    return;
  }
  pu_buf_add(&c->tar, r->tar, r->tar_len);
  ro_at_begin(&c->at, false, copy_go);
}

void ro_copy_out(struct berth_instance *self, berth_op id, const struct berth_runtime_copy *r) {
  struct copy *c = copy_new(self, id, r, false);
  if (c)
    ro_at_begin(&c->at, false, copy_go);
}
