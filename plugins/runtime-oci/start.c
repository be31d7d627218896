/* start: prepares a bundle in a worker, has a monitor start it, and watches that. */
#include "config.h"
#include "engine.h"

#include "prepare.h"

struct start {
  struct ro_at at;
  struct ro_prepare *p; /* while the monitor starts */
};

static void start_drop(struct ro_op *op) {
  struct start *s = (struct start *)op;
  free(s->at.name);
  free(s->at.signal);
  if (s->p)
    ro_prepare_free(s->p);
}

/* ---------------------------------------------------------------- what goes wrong */

struct undo {
  struct ro_prepare *p;
  enum berth_code code;
  char *why;
  struct ro_stamp stamp;
};

static void undo_free(void *data) {
  struct undo *u = data;
  ro_prepare_free(u->p);
  free(u->why);
  free(u);
}

static void undo_work(void *data) {
  struct undo *u = data;
  ro_prepare_undo(u->p);
  ro_stamp_write(u->p->dir, &u->stamp, NULL);
}

static void undone(struct ro_op *op, void *data) {
  struct undo *u = data;
  ro_op_fail(op, u->code, "%s: %s", op->subject, u->why);
}

/* It did not run: that stays on record, and nothing else does. Docker says so with 127 where the command is not there, else 128. */
static void failed(struct start *s, struct ro_container *c, enum berth_code code, const char *why) {
  struct undo *u = pu_new(struct undo);
  c->exit_code = code == BERTH_NOT_FOUND || code == BERTH_INVALID ? 127 : 128;
  pu_set(&c->error, pu_strdup(why));
  *u = (struct undo){.p = s->p, .code = code, .why = pu_strdup(why), .stamp = ro_stamp_of(c)};
  s->p = NULL;
  ro_job_run(&s->at.op, u, undo_work, undone, undo_free);
}

/* ---------------------------------------------------------------- running */

struct stamping {
  char *dir;
  struct ro_stamp stamp;
};

static void stamping_free(void *data) {
  struct stamping *t = data;
  free(t->dir);
  free(t);
}

static void stamp_work(void *data) {
  struct stamping *t = data;
  ro_stamp_write(t->dir, &t->stamp, NULL);
}

static void stamped(struct ro_op *op, void *data) {
  struct berth_instance *self = op->self;
  struct ro_container *c = ro_table_by_id(&self->table, op->container);
  (void)data;
  ro_event(self, c, "start");
  ro_watch(self, c);
  if (c->state == RO_RUNNING)
    ro_health_begin(self, c);
  ro_op_done(op, NULL);
}

static void runs(struct start *s, struct ro_container *c) {
  struct ro_prepare *p = s->p;
  c->state = RO_RUNNING;
  c->started_ms = ro_now_ms(s->at.op.self);
  c->finished_ms = 0;
  c->exit_code = 0;
  c->oom = false;
  pu_set(&c->error, NULL);
  json_decref(c->networks);
  json_decref(c->ports);
  c->networks = json_incref(p->net.networks);
  c->ports = json_incref(p->net.ports);
  struct stamping *t = pu_new(struct stamping);
  *t = (struct stamping){.dir = pu_strdup(p->dir), .stamp = ro_stamp_of(c)};
  ro_job_run(&s->at.op, t, stamp_work, stamped, stamping_free);
}

/* A command that is not there is the service's mistake, as Docker has it; what else is not there may come. */
static enum berth_code start_code(const json_t *answer) {
  enum berth_code code = ro_code_named(pu_str(answer, "code"));
  const char *what = pu_str_or(answer, "error", "");
  return code == BERTH_NOT_FOUND && strstr(what, "executable") ? BERTH_INVALID : code;
}

static void monitor_ran(struct ro_op *op, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct start *s = (struct start *)op;
  struct ro_container *c = ro_table_by_id(&op->self->table, op->container);
  PU_AUTO_JSON answer = out_len ? pu_json_parse(out, out_len) : NULL;
  if (status == RO_NOT_STARTED)
    failed(s, c, BERTH_UNAVAILABLE, "berth-monitor cannot be run: is Berth installed whole, and programs right?");
  else if (status != 0 && pu_str(answer, "error"))
    failed(s, c, start_code(answer), pu_str(answer, "error"));
  else if (status != 0) {
    PU_AUTO_FREE why = pu_asprintf("berth-monitor ended with %d: %.*s", status, (int)(err_len < 400 ? err_len : 400), err);
    failed(s, c, BERTH_INTERNAL, why);
  } else
    runs(s, c);
}

static void prepared(struct ro_op *op, void *data) {
  struct start *s = (struct start *)op;
  struct ro_prepare *p = data;
  struct berth_instance *self = op->self;
  json_object_update(self->table.volumes, p->made);
  if (p->code != BERTH_OK) {
    ro_op_fail(op, p->code, "%s: %s", op->subject, p->why);
    return;
  }
  s->p = pu_new(struct ro_prepare);
  *s->p = *p;
  *p = (struct ro_prepare){0}; /* the job frees an empty one */
  PU_AUTO_FREE program = ro_program(self, "berth-monitor");
  const char *argv[] = {program, "start", s->p->run, NULL};
  ro_child_run(op, argv, NULL, 0, self->storage.kind == RO_STORAGE_COPY ? 3600000 : 120000, monitor_ran);
}

static void prepare_work(void *data) { ro_prepare_bundle(data); }

/* ---------------------------------------------------------------- begin */

static void start_turn(struct ro_op *op, struct ro_container *c) {
  struct berth_instance *self = op->self;
  if (!c) {
    ro_op_fail(op, BERTH_NOT_FOUND, "%s: it was removed", op->subject);
    return;
  }
  if (c->state == RO_RUNNING || c->state == RO_PAUSED) {
    ro_op_done(op, NULL);
    return;
  }
  struct ro_prepare *p = ro_prepare_new(&self->config, &self->storage, c->id);
  p->name = pu_strdup(c->name);
  p->labels = json_incref(c->labels);
  p->image = pu_strdup(c->image_id);
  p->volumes = json_copy(self->table.volumes);
  p->now_ms = ro_now_ms(self);
  p->peers = ro_peers(self, c->peers);
  op->cancel = ro_op_detach;
  ro_job_run(op, p, prepare_work, prepared, ro_prepare_free);
}

static void start_go(struct ro_at *at, struct ro_container *c) { ro_op_turn(&at->op, c, start_turn); }

void ro_start(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) {
  ro_at_begin(ro_at_new(self, id, sizeof(struct start), request->id, start_drop), false, start_go);
}
