/* stop, kill, pause, unpause: signals to the container's first process through its pidfd, so that no other process is ever met. */
#include "config.h"
#include "engine.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "cgroup.h"

/* A frozen container gets no signal but in the moment it thaws. */
static void thaw(struct berth_instance *self, struct ro_container *c) {
  if (c->state != RO_PAUSED || !ro_cgroup_freeze(c->pid, false, NULL))
    return;
  c->state = RO_RUNNING;
  ro_event(self, c, "unpause");
}

/* ---------------------------------------------------------------- stop */

static void stop_ended(struct ro_op *op) { ro_op_done(op, NULL); }

static void stop_hard(struct ro_op *op) {
  struct ro_container *c = ro_table_by_id(&op->self->table, op->container);
  thaw(op->self, c);
  ro_signal(c, SIGKILL);
}

static void stop_turn(struct ro_op *op, struct ro_container *c) {
  struct ro_at *at = (struct ro_at *)op;
  if (!c || (c->state != RO_RUNNING && c->state != RO_PAUSED)) {
    ro_op_done(op, NULL);
    return;
  }
  int signal = ro_signal_number(at->signal ? at->signal : c->stop_signal);
  if (!signal) {
    ro_op_fail(op, BERTH_INVALID, "%s: \"%s\" is no signal", op->subject, at->signal ? at->signal : c->stop_signal);
    return;
  }
  int64_t grace = at->timeout_ms < 0 ? c->stop_grace_ms : at->timeout_ms;
  op->ended = stop_ended;
  op->cancel = ro_op_detach; /* what was begun is ended: a container that is half stopped helps nobody */
  thaw(op->self, c);
  ro_signal(c, signal);
  if (signal != SIGKILL)
    ro_op_after(op, grace, stop_hard);
}

static void stop_go(struct ro_at *at, struct ro_container *c) { ro_op_turn(&at->op, c, stop_turn); }

static struct ro_at *signalling(struct berth_instance *self, berth_op id, const struct berth_runtime_container *r) {
  struct ro_at *at = ro_at_new(self, id, sizeof *at, r->id, NULL);
  at->signal = r->signal && *r->signal ? pu_strdup(r->signal) : NULL;
  at->timeout_ms = r->timeout_ms < INT32_MAX ? r->timeout_ms : INT32_MAX;
  at->force = r->force;
  at->volumes = r->volumes;
  return at;
}

void ro_stop(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) {
  ro_at_begin(signalling(self, id, request), false, stop_go);
}

/* ---------------------------------------------------------------- kill */

/* Killing what stands is success; a signal that means something else ("SIGHUP") did not arrive, though. */
static void kill_go(struct ro_at *at, struct ro_container *c) {
  int signal = at->signal ? ro_signal_number(at->signal) : SIGKILL;
  bool runs = c->state == RO_RUNNING || c->state == RO_PAUSED;
  if (!signal) {
    ro_op_fail(&at->op, BERTH_INVALID, "%s: \"%s\" is no signal", at->op.subject, at->signal);
    return;
  }
  if (runs && signal == SIGKILL)
    thaw(at->op.self, c);
  int e = runs ? ro_signal(c, signal) : ESRCH;
  if (!e || (e == ESRCH && (signal == SIGKILL || signal == SIGTERM)))
    ro_op_done(&at->op, NULL);
  else
    ro_op_fail(&at->op, e == ESRCH ? BERTH_CONFLICT : BERTH_IO, "%s: %s: %s", at->op.subject, at->signal ? at->signal : "SIGKILL",
               e == ESRCH ? "it does not run" : strerror(e));
}

void ro_kill(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) {
  ro_at_begin(signalling(self, id, request), false, kill_go);
}

/* ---------------------------------------------------------------- pause */

struct freezing {
  pid_t pid;
  bool freeze;
  char *why;
};

static void freezing_free(void *data) {
  free(((struct freezing *)data)->why);
  free(data);
}

static void freezing_work(void *data) {
  struct freezing *f = data;
  ro_cgroup_freeze(f->pid, f->freeze, &f->why);
}

static void frozen(struct ro_op *op, void *data) {
  struct freezing *f = data;
  struct ro_container *c = ro_table_by_id(&op->self->table, op->container);
  if (f->why) {
    ro_op_fail(op, BERTH_IO, "%s: %s", op->subject, f->why);
    return;
  }
  if (c->state == RO_RUNNING || c->state == RO_PAUSED) {
    c->state = f->freeze ? RO_PAUSED : RO_RUNNING;
    ro_event(op->self, c, f->freeze ? "pause" : "unpause");
  }
  ro_op_done(op, NULL);
}

static void pause_turn(struct ro_op *op, struct ro_container *c) {
  bool freeze = ((struct ro_at *)op)->force;
  enum ro_state wanted = freeze ? RO_PAUSED : RO_RUNNING;
  if (c && c->state == wanted) {
    ro_op_done(op, NULL);
    return;
  }
  if (!c || (c->state != RO_RUNNING && c->state != RO_PAUSED)) {
    ro_op_fail(op, c ? BERTH_CONFLICT : BERTH_NOT_FOUND, "%s: it does not run", op->subject);
    return;
  }
  struct freezing *f = pu_new(struct freezing);
  *f = (struct freezing){.pid = c->pid, .freeze = freeze};
  op->cancel = ro_op_detach;
  ro_job_run(op, f, freezing_work, frozen, freezing_free);
}

static void pause_go(struct ro_at *at, struct ro_container *c) { ro_op_turn(&at->op, c, pause_turn); }

void ro_pause(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) {
  struct ro_at *at = signalling(self, id, request);
  at->force = true;
  ro_at_begin(at, false, pause_go);
}

void ro_unpause(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) {
  struct ro_at *at = signalling(self, id, request);
  at->force = false;
  ro_at_begin(at, false, pause_go);
}
