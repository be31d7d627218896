/* What becomes of a container that runs: chance decides at its start when it is healthy, when it turns sick, when it crashes or is
 * through. Also outages of the engine as a whole, and who hears of all that. */
#include "config.h"

#include "sim.h"

/* ---------------------------------------------------------------- events */

void sim_tell(struct sim_container *c, const char *action, json_t *more_steal) {
  struct berth_instance *self = c->self;
  PU_AUTO_JSON event = NULL;
  PU_AUTO_JSON more = more_steal;
  struct sim_op *next;
  for (struct sim_op *op = self->open; op; op = next) {
    next = op->next;
    if (op->verb != SIM_EVENTS || self->away_until_ms)
      continue;
    if (!event) {
      PU_AUTO_JSON doc = sim_container_doc(c);
      event = json_pack("{s:s, s:s, s:s, s:I}", "action", action, "id", c->id, "name", c->name, "time_ms", (json_int_t)sim_now(self));
      json_object_set(event, "labels", json_object_get(doc, "labels"));
      json_object_update(event, more);
    }
    if (sim_label_matches(pu_obj(event, "labels"), pu_str(op->args, "label")))
      sim_op_emit_json(op, BERTH_RUNTIME_EVENT, event);
  }
}

static void connected(struct sim_op *op) {
  static const char text[] = "{\"action\":\"connected\"}";
  if (!op->self->away_until_ms)
    sim_op_emit(op, BERTH_RUNTIME_EVENT, text, sizeof text - 1);
}

void sim_events(struct berth_instance *self, berth_op id, const struct berth_runtime_list *request) {
  sim_op_begin(self, id, SIM_EVENTS, NULL, NULL, json_pack("{s:s?}", "label", request->label), connected);
}

/* ---------------------------------------------------------------- health */

bool sim_life_sick(const struct sim_container *c) { return c->state == SIM_RUNNING && c->sick_ms && c->sick_ms <= sim_now(c->self); }

const char *sim_life_health(const struct sim_container *c) {
  if (!c->checked || c->state != SIM_RUNNING)
    return "";
  return sim_life_sick(c) ? "unhealthy" : c->ready_ms && c->ready_ms <= sim_now(c->self) ? "healthy" : "starting";
}

static void tell_health(struct sim_container *c) {
  const char *health = sim_life_health(c);
  if (*health == c->told)
    return;
  c->told = *health;
  sim_tell(c, "health", json_pack("{s:s}", "health", health));
}

/* ---------------------------------------------------------------- a run */

static void go_on(void *arg) {
  struct sim_container *c = arg;
  c->timer = 0;
  sim_life_go_on(c);
}

static int64_t sooner(int64_t a, int64_t b, int64_t now) { return b > now && (!a || b < a) ? b : a; }

void sim_life_go_on(struct sim_container *c) {
  struct berth_instance *self = c->self;
  self->timer->cancel(self->host, c->timer);
  c->timer = 0;
  if (c->state != SIM_RUNNING)
    return;
  int64_t now = sim_now(self), next = 0;
  if (c->end_ms && c->end_ms <= now) {
    sim_life_end(c, c->end_code, c->end_oom);
    return;
  }
  if (c->checked) {
    tell_health(c);
    next = sooner(sooner(0, c->sick_ms, now), c->ready_ms, now);
  }
  next = sooner(next, c->end_ms, now);
  if (next)
    c->timer = self->timer->after(self->host, next - now, go_on, c);
}

static double draw(const struct sim_container *c, const char *what) { return sim_draw(c->self->settings.seed, what, c->key, c->run); }

static int64_t happens(const struct sim_container *c, double per_hour, const char *what) {
  int64_t ms = sim_time_to(per_hour, draw(c, what));
  return ms < 0 ? 0 : c->started_ms + ms;
}

static void plan_end(struct sim_container *c) {
  const struct sim_settings *s = &c->self->settings;
  int64_t crash = happens(c, s->crashes_per_hour, "crash");
  int64_t through = c->job ? c->started_ms + sim_in_range(&s->job_time, draw(c, "job time"), s->tail) : 0;
  bool job = through && (!crash || through <= crash);
  struct sim_exit e = job ? sim_exit_at(&s->job_exits, draw(c, "job exit"), 0) : sim_exit_at(&s->crash_exits, draw(c, "crash exit"), 1);
  c->end_ms = job ? through : crash;
  c->end_code = e.code;
  c->end_oom = e.oom;
}

void sim_life_begin(struct sim_container *c) {
  const struct sim_settings *s = &c->self->settings;
  c->run = sim_count(c->self, "run", c->key);
  c->state = SIM_RUNNING;
  c->started_ms = sim_now(c->self);
  c->finished_ms = 0;
  c->oom = false;
  c->exit_code = 0;
  c->told = c->checked ? 's' : 0;
  int64_t decided = c->started_ms + sim_in_range(&s->ready_after, draw(c, "ready"), s->tail);
  bool never = draw(c, "never ready") < s->never_ready;
  c->ready_ms = never ? 0 : decided;
  c->sick_ms = never ? decided : happens(c, s->sick_per_hour, "sick");
  plan_end(c);
  sim_journal_run(c);
  sim_tell(c, "start", NULL);
  sim_life_go_on(c);
}

void sim_life_end(struct sim_container *c, int exit_code, bool oom) {
  struct berth_instance *self = c->self;
  int64_t now = sim_now(self);
  self->timer->cancel(self->host, c->timer);
  c->timer = 0;
  c->state = SIM_EXITED;
  c->finished_ms = c->end_ms && c->end_ms < now ? c->end_ms : now; /* it may have ended while nobody looked */
  c->exit_code = exit_code;
  c->oom = oom;
  sim_journal_run(c);
  if (oom)
    sim_tell(c, "oom", NULL);
  sim_tell(c, "die", json_pack("{s:i}", "exit_code", exit_code));
  sim_streams_ended(c);
}

/* ---------------------------------------------------------------- outages */

static void tell_all(struct berth_instance *self, const json_t *event) {
  struct sim_op *next;
  for (struct sim_op *op = self->open; op; op = next) {
    next = op->next;
    if (op->verb == SIM_EVENTS)
      sim_op_emit_json(op, BERTH_RUNTIME_EVENT, event);
  }
}

static void outage_ends(void *arg) {
  struct berth_instance *self = arg;
  self->away_until_ms = 0;
  PU_AUTO_JSON event = json_pack("{s:s}", "action", "connected");
  tell_all(self, event);
  sim_outage_plan(self);
}

static void outage_begins(void *arg) {
  struct berth_instance *self = arg;
  const struct sim_settings *s = &self->settings;
  int64_t ms = sim_in_range(&s->outage, sim_draw(s->seed, "outage length", "", self->outages), s->tail);
  self->away_until_ms = sim_now(self) + ms;
  PU_AUTO_JSON event = json_pack("{s:s, s:s}", "action", "gap", "message", "an outage of the engine pretended by runtime-sim: this is a rehearsal");
  tell_all(self, event);
  self->outage_timer = self->timer->after(self->host, ms, outage_ends, self);
}

void sim_outage_plan(struct berth_instance *self) {
  self->timer->cancel(self->host, self->outage_timer);
  self->outage_timer = 0;
  int64_t ms = sim_time_to(self->settings.outages_per_hour, sim_draw(self->settings.seed, "outage", "", ++self->outages));
  if (ms >= 0)
    self->outage_timer = self->timer->after(self->host, ms, outage_begins, self);
}
