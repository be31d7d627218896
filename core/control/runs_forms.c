/* How runs of jobs are stored and shown. */
#include "config.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/plant.h"
#include "control/internal.h"

static const char *const run_states[] = {"active", "succeeded", "failed"};

static json_t *run_json(const struct bt_control *c, const struct ctl_run *run) {
  json_t *o = json_object();
  bt_json_set_int(o, "run", run->number);
  bt_json_set_str(o, "state", run_states[run->state]);
  bt_json_set_str(o, "cause", run->cause);
  ctl_set_time(o, "due_at", run->due_ms);
  ctl_set_time(o, "started_at", ctl_to_wall(c, run->started_ms));
  ctl_set_time(o, "finished_at", ctl_to_wall(c, run->finished_ms));
  bt_json_set(o, "reason", run->reason ? bt_json_string(run->reason) : json_null());
  return o;
}

static json_t *runs_json(const struct ctl_service *service) {
  json_t *list = json_array();
  bt_vec_each(&service->jobs->runs, run) json_array_append_new(list, run_json(service->app->control, run));
  return list;
}

/* ---- stored ---- */

json_t *ctl_jobs_json(const struct ctl_service *service) {
  const struct ctl_jobs *j = service->jobs;
  const struct bt_control *c = service->app->control;
  json_t *o = json_object();
  bt_json_set_int(o, "last", j->last);
  bt_json_set_str(o, "signature", j->signature);
  ctl_set_time(o, "considered_at", j->considered_ms);
  ctl_set_time(o, "succeeded_at", ctl_to_wall(c, j->succeeded_ms));
  ctl_set_time(o, "seen_at", ctl_to_wall(c, j->seen_ms));
  bt_json_set(o, "runs", runs_json(service));
  if (j->round_ms) {
    ctl_set_time(o, "round_at", ctl_to_wall(c, j->round_ms));
    bt_json_set_int(o, "round_generation", j->round_gen);
    bt_json_set_bool(o, "expired", j->expired);
  }
  return o;
}

static void load_run(const struct bt_control *c, struct ctl_jobs *j, const json_t *o) {
  const char *state = bt_json_str_or(o, "state", "failed");
  struct ctl_run run = {
      .number = (int)bt_json_int(o, "run", 0),
      .state = bt_streq(state, "active") ? CTL_RUN_ACTIVE : bt_streq(state, "succeeded") ? CTL_RUN_SUCCEEDED : CTL_RUN_FAILED,
      .cause = bt_strdup(bt_json_str_or(o, "cause", "schedule")),
      .reason = bt_strdup(bt_json_str(o, "reason")),
      .due_ms = ctl_get_time(o, "due_at"),
      .started_ms = ctl_from_wall(c, ctl_get_time(o, "started_at")),
      .finished_ms = ctl_from_wall(c, ctl_get_time(o, "finished_at")),
      .keeps = true,
  };
  bt_vec_push(&j->runs, run);
}

void ctl_jobs_load(struct ctl_service *service, const json_t *o) {
  const struct bt_control *c = service->app->control;
  size_t i;
  json_t *run;
  if (!o)
    return;
  struct ctl_jobs *j = ctl_jobs_get(service);
  j->last = (int)bt_json_int(o, "last", 0);
  bt_str_set(&j->signature, bt_json_str(o, "signature"));
  j->considered_ms = BT_PLANT(DUE_TWICE) ? ctl_get_time(o, "considered_at") - 600000 : ctl_get_time(o, "considered_at");
  j->succeeded_ms = ctl_from_wall(c, ctl_get_time(o, "succeeded_at"));
  j->seen_ms = ctl_from_wall(c, ctl_get_time(o, "seen_at"));
  json_array_foreach(bt_json_arr(o, "runs"), i, run) load_run(c, j, run);
  j->round_ms = ctl_from_wall(c, ctl_get_time(o, "round_at"));
  j->round_gen = (int)bt_json_int(o, "round_generation", 0);
  j->expired = bt_json_bool(o, "expired", false);
}

/* ---- shown ---- */

/* The last one that ended; NULL: none has. */
static const struct ctl_run *last_ended(const struct ctl_jobs *j) {
  for (size_t i = j ? j->runs.len : 0; i-- > 0;)
    if (j->runs.items[i].state != CTL_RUN_ACTIVE)
      return &j->runs.items[i];
  return NULL;
}

static int active_runs(const struct ctl_jobs *j) {
  int n = 0;
  for (size_t i = 0; j && i < j->runs.len; i++)
    n += j->runs.items[i].state == CTL_RUN_ACTIVE;
  return n;
}

static int64_t next_run(const struct ctl_jobs *j) { return j && j->next_ms != INT64_MAX ? j->next_ms : 0; }

static json_t *follows_json(const struct ctl_service *service) {
  json_t *list = json_array();
  bt_vec_each(&service->spec->service->depends, dep) {
    const struct ctl_spec *on = dep->condition == BT_DEP_COMPLETED ? ctl_spec_find(service->spec->rev, dep->service) : NULL;
    if (on && on->recurs)
      json_array_append_new(list, bt_json_string(dep->service));
  }
  return list;
}

json_t *ctl_jobs_view(const struct ctl_service *service) {
  const struct ctl_jobs *j = service->jobs;
  if (!service->spec || !service->spec->recurs)
    return NULL;
  const struct bt_job *job = &service->spec->service->job;
  const struct ctl_run *last = last_ended(j);
  json_t *o = json_object();
  bt_json_set(o, "schedule", job->schedule ? bt_json_string(job->schedule) : json_null());
  bt_json_set_str(o, "time_zone", job->time_zone ? job->time_zone : "UTC");
  bt_json_set(o, "follows", job->schedule ? json_array() : follows_json(service));
  bt_json_set_str(o, "concurrency", bt_concurrency_name(job->concurrency));
  bt_json_set_bool(o, "suspend", job->suspend);
  bt_json_set_int(o, "active", active_runs(j));
  ctl_set_time(o, "next_run", next_run(j));
  ctl_set_time(o, "succeeded_at", j ? ctl_to_wall(service->app->control, j->succeeded_ms) : 0);
  bt_json_set(o, "waits", j && j->waits ? bt_json_string(j->waits) : json_null());
  bt_json_set(o, "last_run", last ? run_json(service->app->control, last) : json_null());
  bt_json_set(o, "runs", j ? runs_json(service) : json_array());
  return o;
}

json_t *bt_control_jobs(const struct bt_control *c) {
  json_t *list = json_array();
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
    const struct ctl_app *app = it.value;
    for (size_t i = 0; app->scheduled && i < app->services.len; i++) {
      json_t *job = ctl_jobs_view(app->services.items[i]), *o;
      if (!job)
        continue;
      json_array_append_new(list, o = json_object());
      bt_json_set_str(o, "namespace", app->ns);
      bt_json_set_str(o, "app", app->name);
      bt_json_set_str(o, "service", app->services.items[i]->name);
      bt_json_set(o, "job", job);
    }
  }
  return list;
}

static char *next_words(const struct ctl_service *service) {
  const struct bt_job *job = &service->spec->service->job;
  char buf[32];
  int64_t next = next_run(service->jobs);
  if (service->jobs && service->jobs->waits)
    return bt_strdup(service->jobs->waits);
  if (job->suspend)
    return bt_strdup("it is suspended");
  if (next)
    return bt_asprintf("the next run is due at %s", bt_clock_format(next, buf));
  if (job->schedule)
    return bt_strdup("no further run is due");
  BT_AUTO_JSON follows = follows_json(service);
  BT_AUTO_BUF names = {0};
  for (size_t i = 0; i < json_array_size(follows); i++)
    bt_buf_addf(&names, "%s%s", i ? ", " : "", json_string_value(json_array_get(follows, i)));
  return bt_asprintf("it runs after each run of %s that succeeds", names.data);
}

char *ctl_jobs_words(const struct ctl_service *service) {
  const struct ctl_run *last = last_ended(service->jobs);
  char buf[32];
  int active = active_runs(service->jobs);
  BT_AUTO_FREE char *next = next_words(service);
  BT_AUTO_FREE char *now = active == 0   ? bt_asprintf("%s does not run now", service->name)
                           : active == 1 ? bt_asprintf("%s runs", service->name)
                                         : bt_asprintf("%s runs %d times at once", service->name, active);
  if (!last)
    return bt_asprintf("%s; %s; no run has ended yet", now, next);
  bt_clock_format(ctl_to_wall(service->app->control, last->finished_ms), buf);
  return bt_asprintf("%s; %s; run %d %s at %s%s%s", now, next, last->number, run_states[last->state], buf, last->reason ? ": " : "", last->reason ? last->reason : "");
}

/* ---- what a container is told ---- */

static void set_number(json_t *env, const char *name, int n) {
  char buf[16];
  snprintf(buf, sizeof buf, "%d", n);
  bt_json_set_str(env, name, buf);
}

json_t *ctl_job_env(const struct ctl_inst *inst) {
  if (!bt_service_is_job(inst->spec->service))
    return NULL;
  json_t *env = json_object();
  char buf[32];
  set_number(env, "BERTH_JOB_INDEX", inst->slot - 1);
  set_number(env, "BERTH_JOB_ATTEMPT", BT_MAX(inst->attempt, 1));
  if (!inst->run)
    return env;
  set_number(env, "BERTH_JOB_RUN", inst->run);
  const struct ctl_jobs *j = inst->service->jobs;
  for (size_t i = 0; j && i < j->runs.len; i++)
    if (j->runs.items[i].number == inst->run && j->runs.items[i].due_ms)
      bt_json_set_str(env, "BERTH_JOB_SCHEDULED_AT", bt_clock_format(j->runs.items[i].due_ms, buf));
  return env;
}
