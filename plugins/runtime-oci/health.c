/* Health checks as Docker runs them: the test is a command in the container, at once one at a time. interval after the start the first (start_interval while
 * start_period lasts), interval after its end the next. What fails in start_period does not count; retries failures in a row
 * are unhealthy, one success is healthy. */
#include "config.h"
#include "engine.h"
#include "session.h"

enum { most_output = 1024 };

struct ro_check {
  struct ro_op op; /* of our own, for the timer; its container is followed by id */
  struct ro_container *c;
  struct ro_session *session;
  struct pu_buf said;
  int failures;
  int64_t begun_ms; /* monotonic */
};

static void next_check(struct ro_op *op);

static int64_t mono(const struct ro_check *k) { return k->op.self->timer->mono_ms(k->op.self->host); }

static int64_t number(const struct ro_check *k, const char *key, int64_t fallback) { return pu_int(k->c->healthcheck, key, fallback); }

static bool starting(const struct ro_check *k) {
  return k->c->health == RO_STARTING && mono(k) - k->begun_ms < number(k, "start_period_ms", 0);
}

static void plan(struct ro_check *k) {
  int64_t ms = number(k, "interval_ms", 30000), early = number(k, "start_interval_ms", 0);
  if (starting(k) && early > 0 && early < ms)
    ms = early;
  ro_op_after(&k->op, ms > 0 ? ms : 30000, next_check);
}

static void become(struct ro_check *k, enum ro_health health) {
  if (k->c->health == health)
    return;
  k->c->health = health;
  ro_event(k->op.self, k->c, "health");
}

static void concluded(struct ro_check *k, bool good) {
  bool early = starting(k);
  pu_set(&k->c->health_output, pu_strndup(k->said.data ? k->said.data : "", k->said.len));
  if (good) {
    k->failures = 0;
    become(k, RO_HEALTHY);
  } else if (!early && ++k->failures >= number(k, "retries", 3)) {
    become(k, RO_UNHEALTHY);
  }
  plan(k);
}

static void check_output(void *arg, int stream, const void *data, size_t len) {
  struct ro_check *k = arg;
  size_t room = k->said.len < most_output ? most_output - k->said.len : 0;
  (void)stream;
  pu_buf_add(&k->said, data, len < room ? len : room);
}

static void check_done(void *arg, enum berth_code code, const char *why, int exit_code) {
  struct ro_check *k = arg;
  k->session = NULL;
  if (code != BERTH_OK)
    check_output(k, 2, why, strlen(why));
  concluded(k, code == BERTH_OK && exit_code == 0);
}

static void too_late(struct ro_op *op) {
  struct ro_check *k = (struct ro_check *)op;
  PU_AUTO_FREE text = pu_asprintf("Health check exceeded timeout (%lld ms)", (long long)number(k, "timeout_ms", 30000));
  ro_session_stop(k->session);
  k->session = NULL;
  check_output(k, 2, text, strlen(text));
  concluded(k, false);
}

/* ["CMD-SHELL", "line"] is run by the image's shell, as Docker does without SHELL. */
static json_t *command_of(const json_t *test) {
  const char *kind = json_string_value(json_array_get(test, 0));
  if (pu_eq(kind, "CMD-SHELL"))
    return json_pack("[s, s, O]", "/bin/sh", "-c", json_array_get(test, 1));
  json_t *words = json_copy((json_t *)(uintptr_t)test);
  json_array_remove(words, 0);
  return words;
}

static void next_check(struct ro_op *op) {
  static const struct ro_session_events events = {.output = check_output, .done = check_done};
  struct ro_check *k = (struct ro_check *)op;
  if (k->c->state != RO_RUNNING) { /* paused: nothing to ask */
    plan(k);
    return;
  }
  PU_AUTO_JSON spec = json_pack("{s:o}", "args", command_of(pu_arr(k->c->healthcheck, "test")));
  k->said.len = 0;
  k->session = ro_session_start(op->self, k->c, spec, &events, k);
  ro_op_after(op, number(k, "timeout_ms", 30000), too_late);
}

static void check_drop(struct ro_op *op) {
  struct ro_check *k = (struct ro_check *)op;
  k->c->check = NULL;
  ro_session_stop(k->session);
  pu_buf_free(&k->said);
}

void ro_health_begin(struct berth_instance *self, struct ro_container *c) {
  ro_health_end(self, c);
  if (!c->healthcheck)
    return;
  struct ro_check *k = ro_op_new(self, 0, sizeof *k, check_drop, "health check of container %.12s", c->id);
  k->c = c;
  k->begun_ms = mono(k);
  c->check = k;
  c->health = RO_STARTING;
  /* One that was adopted has been running for long: what it is like is asked at once. */
  if (ro_now_ms(self) - c->started_ms > number(k, "interval_ms", 30000) + number(k, "start_period_ms", 0))
    ro_op_after(&k->op, 0, next_check);
  else
    plan(k);
}

void ro_health_end(struct berth_instance *self, struct ro_container *c) {
  (void)self;
  if (c->check)
    ro_op_drop(&c->check->op);
}
