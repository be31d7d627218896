/* Operations: each is kept with a copy of its request until it is due, then it fails as was drawn, or runs. */
#include "config.h"

#include <stdio.h>
#include <time.h>

#include "../common/host.h"
#include "sim.h"

enum { max_counts = 1000000 };

int64_t sim_now(const struct berth_instance *self) { return self->timer->wall_ms(self->host); }

void sim_log(const struct berth_instance *self, enum berth_log_level level, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  pu_vlog(self->host, self->log, level, fmt, ap);
  va_end(ap);
}

const char *sim_time_text(int64_t ms, char out[32]) {
  time_t s = (time_t)(ms / 1000);
  struct tm tm;
  *out = '\0';
  if (ms > 0 && gmtime_r(&s, &tm)) {
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 32 - n, ".%03dZ", (int)(ms % 1000));
  }
  return out;
}

/* ---------------------------------------------------------------- counting */

uint64_t sim_count(struct berth_instance *self, const char *what, const char *whom) { return sim_count_from(self, what, whom, 0); }

uint64_t sim_count_from(struct berth_instance *self, const char *what, const char *whom, uint64_t least) {
  PU_AUTO_FREE name = pu_asprintf("%s %s", what, whom);
  size_t n = strlen(name);
  struct sim_count *c;
  HASH_FIND(hh, self->counts, name, n, c);
  if (!c) {
    if (HASH_COUNT(self->counts) >= max_counts)
      sim_counts_free(self); /* a rehearsal of that length may begin to repeat itself */
    c = pu_calloc(1, sizeof *c + n + 1);
    memcpy(c->name, name, n + 1);
    HASH_ADD_KEYPTR(hh, self->counts, c->name, n, c);
  }
  c->n = c->n + 1 > least ? c->n + 1 : least;
  return c->n;
}

void sim_counts_free(struct berth_instance *self) {
  struct sim_count *c, *next;
  HASH_ITER(hh, self->counts, c, next) {
    HASH_DEL(self->counts, c);
    free(c);
  }
}

/* ---------------------------------------------------------------- ends */

struct sim_op *sim_op_find(struct berth_instance *self, berth_op id) {
  struct sim_op *op = self->open;
  while (op && op->id != id)
    op = op->next;
  return op;
}

void sim_op_drop(struct sim_op *op) {
  struct berth_instance *self = op->self;
  self->timer->cancel(self->host, op->timer);
  if (op->prev)
    op->prev->next = op->next;
  else
    self->open = op->next;
  if (op->next)
    op->next->prev = op->prev;
  json_decref(op->args);
  free(op->subject);
  free(op->key);
  free(op);
}

void sim_op_done(struct sim_op *op, json_t *result_steal) {
  struct berth_instance *self = op->self;
  berth_op id = op->id;
  PU_AUTO_JSON result = result_steal;
  PU_AUTO_FREE text = result ? pu_json_text(result) : NULL;
  sim_op_drop(op);
  self->ops->finish(self->host, id, BERTH_OK, NULL, text);
}

void sim_op_fail(struct sim_op *op, enum berth_code code, const char *fmt, ...) {
  struct berth_instance *self = op->self;
  berth_op id = op->id;
  va_list ap;
  va_start(ap, fmt);
  PU_AUTO_FREE text = pu_vasprintf(fmt, ap);
  va_end(ap);
  sim_op_drop(op);
  self->ops->finish(self->host, id, code, text, NULL);
}

size_t sim_op_emit(const struct sim_op *op, int channel, const void *data, size_t len) {
  return op->self->ops->emit(op->self->host, op->id, channel, data, len);
}

size_t sim_op_emit_json(const struct sim_op *op, int channel, const json_t *o) {
  PU_AUTO_FREE text = pu_json_text(o);
  return sim_op_emit(op, channel, text, strlen(text));
}

/* ---------------------------------------------------------------- beginnings */

static void due(void *arg) {
  struct sim_op *op = arg;
  op->timer = 0;
  op->run(op);
}

void sim_op_again(struct sim_op *op, int64_t ms, sim_run *run) {
  struct berth_instance *self = op->self;
  op->run = run;
  self->timer->cancel(self->host, op->timer);
  op->timer = self->timer->after(self->host, ms, due, op);
}

/* Most of the sentence is for whoever reads "berth why" and does not know that this is a rehearsal. */
static void injected(struct sim_op *op) {
  const struct sim_failure *f = &op->self->settings.failures[op->verb];
  const char *name = sim_verb_name(op->verb);
  sim_op_fail(op, f->code, "%s: a failure of %s injected by runtime-sim, as failures.%s has it for %g%% of the calls: this is a rehearsal, nothing is broken",
              op->subject ? op->subject : "the engine", name, name, f->share * 100);
}

static void away(struct sim_op *op) {
  sim_op_fail(op, BERTH_UNAVAILABLE, "the engine is away: an outage pretended by runtime-sim, as outages_per_hour has it; this is a rehearsal");
}

/* Waits for its cancel. */
static void hang(struct sim_op *op) { (void)op; }

static bool needs_subject(enum sim_verb verb) {
  static const bool without[SIM_VERBS] = {[SIM_INFO] = true,        [SIM_IMAGE_BUILD] = true, [SIM_IMAGE_PRUNE] = true, [SIM_NETWORK_LIST] = true,
                                          [SIM_VOLUME_LIST] = true, [SIM_LIST] = true,        [SIM_EVENTS] = true};
  return !without[verb];
}

/* Only what JSON can hold, since all is told in JSON. */
static bool is_text(const char *s) {
  PU_AUTO_JSON v = s ? json_string(s) : NULL;
  return v && *s;
}

/* What becomes of the call, and when. */
static sim_run *draw(struct sim_op *op, sim_run *run) {
  const struct sim_settings *s = &op->self->settings;
  const struct sim_failure *f = &s->failures[op->verb];
  const char *name = sim_verb_name(op->verb);
  op->nth = sim_count(op->self, name, op->key);
  op->drawn_ms = sim_in_range(&s->delays[op->verb], sim_draw(s->seed, name, op->key, op->nth), s->tail);
  PU_AUTO_FREE what = pu_asprintf("%s fails", name);
  if (f->share <= 0 || sim_draw(s->seed, what, op->key, op->nth) >= f->share)
    return run;
  return f->hang ? hang : injected;
}

void sim_op_begin(struct berth_instance *self, berth_op id, enum sim_verb verb, const char *subject, const char *key, json_t *args_steal,
                  sim_run *run) {
  struct sim_op *op = pu_new(struct sim_op);
  *op = (struct sim_op){.self = self, .id = id, .verb = verb, .subject = pu_strdup(subject), .args = args_steal, .next = self->open};
  op->key = pu_strdup(key ? key : subject ? subject : "");
  if (self->open)
    self->open->prev = op;
  self->open = op;
  if (needs_subject(verb) && !is_text(subject)) {
    sim_op_fail(op, BERTH_INVALID, "%s: it is not said of what", sim_verb_name(verb));
    return;
  }
  run = self->away_until_ms && verb != SIM_EVENTS ? away : draw(op, run);
  bool waits = run == injected || (run != away && run != hang && verb != SIM_STOP); /* stop looks at its grace first */
  if (waits && op->drawn_ms > 0)
    sim_op_again(op, op->drawn_ms, run);
  else
    run(op);
}
