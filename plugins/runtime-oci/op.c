/* Operations: their life, their turns at containers, and the work that leaves the loop. */
#include "config.h"
#include "engine.h"

#include <stdio.h>

#include "../common/host.h"

/* ---------------------------------------------------------------- life of an operation */

void *ro_op_new(struct berth_instance *self, berth_op id, size_t size, void (*drop)(struct ro_op *op), const char *subject_fmt,
                ...) {
  struct ro_op *op = pu_calloc(1, size);
  va_list ap;
  va_start(ap, subject_fmt);
  op->subject = pu_vasprintf(subject_fmt, ap);
  va_end(ap);
  op->self = self;
  op->id = id;
  op->drop = drop;
  op->prev = self->last;
  if (self->last)
    self->last->next = op;
  else
    self->first = op;
  self->last = op;
  return op;
}

struct ro_job {
  struct ro_op *op; /* NULL: cut off */
  struct ro_job *next;
  const struct berth_host *host;
  void *data;
  void (*work)(void *data);
  void (*done)(struct ro_op *op, void *data);
  void (*free_data)(void *data);
};

static void jobs_cut(struct ro_op *op) {
  for (struct ro_job *j = op->jobs; j; j = j->next)
    j->op = NULL;
  op->jobs = NULL;
}

static void unlink_op(struct ro_op *op) {
  struct berth_instance *self = op->self;
  if (op->prev)
    op->prev->next = op->next;
  else
    self->first = op->next;
  if (op->next)
    op->next->prev = op->prev;
  else
    self->last = op->prev;
}

/* The next in line gets the turn; what it does may end it, and so on. */
static void turn_pass(struct berth_instance *self, const char *container) {
  for (struct ro_op *op = self->first; op; op = op->next) {
    if (!op->turn || !pu_eq(op->container, container))
      continue;
    void (*turn)(struct ro_op *, struct ro_container *) = op->turn;
    struct ro_container *c = ro_table_by_id(&self->table, container);
    op->turn = NULL;
    op->holds = c != NULL;
    if (c)
      c->held = true;
    turn(op, c);
    return;
  }
}

static void turn_end(struct berth_instance *self, const char *container) {
  struct ro_container *c = ro_table_by_id(&self->table, container);
  if (c)
    c->held = false;
  turn_pass(self, container);
  /* Those who waited for what is gone now all hear it. */
  if (!ro_table_by_id(&self->table, container))
    for (struct ro_op *op = self->first; op; op = op->next)
      if (op->turn && pu_eq(op->container, container)) {
        turn_pass(self, container);
        op = self->first;
        if (!op)
          return;
      }
}

void ro_op_drop(struct ro_op *op) {
  struct berth_instance *self = op->self;
  unlink_op(op);
  jobs_cut(op);
  if (op->timer)
    self->timer->cancel(self->host, op->timer);
  if (op->drop)
    op->drop(op);
  char *container = op->holds ? op->container : NULL;
  if (!container)
    free(op->container);
  free(op->subject);
  free(op);
  if (container)
    turn_end(self, container);
  free(container);
}

static void finish(struct ro_op *op, enum berth_code code, const char *message, const char *result) {
  struct berth_instance *self = op->self;
  berth_op id = op->id;
  ro_op_drop(op);
  if (id)
    self->ops->finish(self->host, id, code, message, result);
}

void ro_op_done(struct ro_op *op, json_t *result) {
  PU_AUTO_FREE text = result ? pu_json_text(result) : NULL;
  json_decref(result);
  finish(op, BERTH_OK, NULL, text);
}

void ro_op_fail(struct ro_op *op, enum berth_code code, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  PU_AUTO_FREE message = pu_vasprintf(fmt, ap);
  va_end(ap);
  finish(op, code, message, NULL);
}

void ro_op_detach(struct ro_op *op) {
  berth_op id = op->id;
  op->id = 0;
  if (!id)
    return;
  PU_AUTO_FREE message = pu_asprintf("%s: cancelled", op->subject);
  op->self->ops->finish(op->self->host, id, BERTH_CANCELLED, message, NULL);
}

static void timer_fired(void *arg) {
  struct ro_op *op = arg;
  op->timer = 0;
  op->on_timer(op);
}

void ro_op_after(struct ro_op *op, int64_t ms, void (*fn)(struct ro_op *op)) {
  if (op->timer)
    op->self->timer->cancel(op->self->host, op->timer);
  op->on_timer = fn;
  op->timer = op->self->timer->after(op->self->host, ms, timer_fired, op);
}

bool ro_op_room(struct ro_op *op) { return pu_emit(op->self->host, op->self->ops, op->id, 0, NULL, 0) <= pu_most_waiting; }

bool ro_op_emit(struct ro_op *op, int channel, const void *data, size_t len) {
  return !op->id || !len || pu_emit(op->self->host, op->self->ops, op->id, channel, data, len) <= pu_most_waiting;
}

bool ro_op_emit_json(struct ro_op *op, int channel, const json_t *v) {
  PU_AUTO_FREE text = pu_json_text(v);
  return ro_op_emit(op, channel, text, strlen(text));
}

struct ro_op *ro_op_find(struct berth_instance *self, berth_op id) {
  for (struct ro_op *op = self->first; op; op = op->next)
    if (op->id == id)
      return op;
  return NULL;
}

void ro_op_turn(struct ro_op *op, struct ro_container *c, void (*fn)(struct ro_op *op, struct ro_container *c)) {
  op->container = pu_strdup(c->id);
  if (c->held) {
    op->turn = fn;
    return;
  }
  c->held = op->holds = true;
  fn(op, c);
}

/* ---------------------------------------------------------------- waiting for the records */

void ro_recovered(struct berth_instance *self) {
  for (struct ro_op *op = self->first; op;) {
    void (*ready)(struct ro_op *) = op->ready;
    if (!ready) {
      op = op->next;
      continue;
    }
    op->ready = NULL;
    if (self->phase == RO_READY)
      ready(op);
    else
      ro_op_fail(op, BERTH_UNAVAILABLE, "%s: %s", op->subject, self->refusal ? self->refusal : "the runtime is not ready");
    op = self->first; /* it may have ended itself or others */
  }
}

void ro_op_ready(struct ro_op *op, void (*fn)(struct ro_op *op)) {
  if (op->self->phase == RO_READY) {
    fn(op);
    return;
  }
  op->ready = fn;
  if (op->self->phase != RO_RECOVERING)
    ro_recover(op->self);
}

/* ---------------------------------------------------------------- jobs */

static void job_work(void *arg) {
  struct ro_job *j = arg;
  j->work(j->data);
}

static void job_done(void *arg) {
  struct ro_job *j = arg;
  if (j->op) {
    struct ro_job **at = &j->op->jobs;
    while (*at != j)
      at = &(*at)->next;
    *at = j->next;
    j->done(j->op, j->data);
  }
  if (j->free_data)
    j->free_data(j->data);
  free(j);
}

void ro_job_run(struct ro_op *op, void *data, void (*work)(void *data), void (*done)(struct ro_op *op, void *data),
                void (*free_data)(void *data)) {
  struct ro_job *j = pu_new(struct ro_job);
  *j = (struct ro_job){.op = op, .next = op->jobs, .data = data, .work = work, .done = done, .free_data = free_data};
  op->jobs = j;
  op->self->worker->run(op->self->host, job_work, job_done, j);
}

/* ---------------------------------------------------------------- children */

struct child {
  struct ro_job job; /* what cuts jobs off cuts it off as well */
  ro_ran *ran;
};

static void child_done(void *arg, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct child *k = arg;
  struct ro_op *op = k->job.op;
  ro_ran *ran = k->ran;
  if (op) {
    struct ro_job **at = &op->jobs;
    while (*at != &k->job)
      at = &(*at)->next;
    *at = k->job.next;
  }
  free(k);
  if (op)
    ran(op, status, out, out_len, err, err_len);
}

void ro_child_run(struct ro_op *op, const char *const *argv, const char *input, size_t input_len, int64_t timeout_ms, ro_ran *done) {
  struct child *k = pu_new(struct child);
  k->job = (struct ro_job){.op = op, .next = op->jobs};
  k->ran = done;
  op->jobs = &k->job;
  struct berth_child_request request = {.size = sizeof request, .argv = argv, .input = input, .input_len = input_len,
                                        .timeout_ms = timeout_ms, .max_output = 4 << 20, .done = child_done, .arg = k};
  if (!op->self->child->spawn(op->self->host, &request))
    child_done(k, RO_NOT_STARTED, "", 0, "", 0);
}

/* ---------------------------------------------------------------- the host */

void ro_log(struct berth_instance *self, enum berth_log_level level, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  pu_vlog(self->host, self->log, level, fmt, ap);
  va_end(ap);
}

int64_t ro_now_ms(struct berth_instance *self) { return self->timer->wall_ms(self->host); }
