/* Jobs. One without a schedule is a single round of completions, made anew when its spec changes or it is restarted. One that recurs (it has a
 * schedule, or follows a job that recurs) has runs: each is a round of its own, whose instances carry its number. Level-triggered as
 * all else: which runs there are is stored, what they need is found at each look. */
#include "config.h"

#include "base/clock.h"
#include "control/internal.h"
#include "plan/jobs.h"
#include "plan/schedule.h"

/* ---- the table of runs ---- */

static void run_clear(struct ctl_run *run) {
  free(run->cause);
  free(run->reason);
}

void ctl_jobs_free(struct ctl_jobs **jobs) {
  struct ctl_jobs *j = *jobs;
  if (!j)
    return;
  bt_vec_each(&j->runs, run) run_clear(run);
  bt_vec_free(&j->runs);
  free(j->signature);
  free(j->waits);
  free(j);
  *jobs = NULL;
}

struct ctl_jobs *ctl_jobs_get(struct ctl_service *service) {
  if (!service->jobs) {
    service->jobs = bt_new(struct ctl_jobs);
    service->jobs->next_ms = INT64_MAX;
  }
  return service->jobs;
}

static struct ctl_run *find_run(const struct ctl_jobs *j, int number) {
  size_t low = 0, high = j ? j->runs.len : 0;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (j->runs.items[middle].number < number)
      low = middle + 1;
    else
      high = middle;
  }
  return j && low < j->runs.len && j->runs.items[low].number == number ? &j->runs.items[low] : NULL;
}

bool ctl_job_succeeded(const struct ctl_service *service) { return service->jobs && service->jobs->succeeded_ms; }

bool ctl_run_over(const struct ctl_inst *inst) {
  const struct ctl_run *run = inst->run ? find_run(inst->service->jobs, inst->run) : NULL;
  return inst->run && (!run || run->state != CTL_RUN_ACTIVE);
}

void ctl_jobs_bring_back(struct ctl_service *service, int64_t now_ms) {
  struct ctl_jobs *j = service->jobs;
  if (!j)
    return;
  j->succeeded_ms = BT_MIN(j->succeeded_ms, now_ms);
  j->seen_ms = BT_MIN(j->seen_ms, now_ms);
  j->round_ms = BT_MIN(j->round_ms, now_ms);
  bt_vec_each(&j->runs, run) {
    run->started_ms = BT_MIN(run->started_ms, now_ms);
    run->finished_ms = BT_MIN(run->finished_ms, now_ms);
  }
}

static bool still_there(const struct ctl_inst *inst) {
  return inst->node && inst->state != BT_ST_EXITED && inst->state != BT_ST_FAILED && !ctl_inst_lost(inst);
}

/* ---- one round of completions ---- */

struct round {
  struct ctl_service *service;
  struct ctl_spec *spec;
  int run;
  int completions; /* of which it is made up: step_round tells */
};

/* Default: no second attempt, as with a container that has no restart policy. */
static int max_attempts(const struct bt_service *s) {
  if (bt_streq(s->restart.condition, "none"))
    return 1;
  return 1 + (s->restart.max_attempts > 0 ? s->restart.max_attempts : s->backoff_limit);
}

/* Actions name instances by their index, so those are looked up before any of them changes the list. */
static void carry_out(const struct round *r, const struct bt_job_out *out, struct ctl_inst *const *insts) {
  struct ctl_app *app = r->service->app;
  bt_vec_each(&out->actions, a) {
    if (a->kind == BT_ROLL_RELEASE) {
      ctl_release(insts[a->index], a->reason);
      continue;
    }
    if (!ctl_has_room(app))
      return; /* its slots are found empty again */
    app->control->room--;
    struct ctl_inst *inst = ctl_inst_new(r->service, r->spec, a->slot);
    inst->attempt = (int)a->index;
    inst->run = r->run;
  }
}

/* Takes the round's next steps. out: what it came to; its actions are done. */
static void step_round(struct round *r, struct bt_job_out *out) {
  struct ctl_service *service = r->service;
  const struct bt_service *s = r->spec->service;
  size_t n = 0, all = service->insts.len;
  BT_AUTO_FREE struct bt_rollout_inst *views = bt_newn(struct bt_rollout_inst, all + 1);
  BT_AUTO_FREE struct ctl_inst **insts = (struct ctl_inst **)bt_newn(void *, all + 1);
  BT_AUTO_FREE int *attempts = bt_newn(int, all + 1);
  BT_AUTO_FREE int64_t *finished = bt_newn(int64_t, all + 1);
  bt_vec_each(&service->insts, i) {
    struct ctl_inst *inst = *i;
    if (r->run && inst->run != r->run)
      continue;
    views[n] = ctl_inst_view(inst);
    views[n].current = r->run || (views[n].current && !inst->run); /* a run keeps the spec that it began with */
    insts[n] = inst;
    attempts[n] = inst->attempt;
    finished[n++] = ctl_seen(inst)->finished_ms ? inst->seen->finished_ms : inst->begun_ms;
  }
  struct ctl_once_slots slots = {.n = s->replicas, .wanted = s->replicas};
  if (ctl_once(r->spec))
    ctl_once_slots(service, r->spec, r->run, &slots);
  r->completions = slots.wanted;
  bt_jobs_step(
      &(struct bt_job_in){
          .completions = slots.n,
          .absent = slots.absent,
          .max_concurrent = ctl_concurrency(service, s->max_concurrent),
          .max_attempts = max_attempts(s),
          .policy_delay_ms = s->restart.delay_ms,
          .insts = views,
          .attempts = attempts,
          .finished_ms = finished,
          .ninsts = n,
          .now_ms = service->app->control->now_ms,
      },
      out);
  free(slots.absent);
  carry_out(r, out, insts);
  ctl_wake(service->app, out->wake_ms);
}

/* Those of a round that are not through go. From the end, since a release may take one out of the list. */
static void end_round(struct ctl_service *service, int run, const char *reason) {
  for (size_t i = service->insts.len; i-- > 0;)
    if ((!run || service->insts.items[i]->run == run) && !service->insts.items[i]->ended)
      ctl_release(service->insts.items[i], reason);
}

/* ---- a job that does not recur ---- */

/* The round's time runs from its first container on, and anew where it is made anew. */
static bool round_expired(struct ctl_service *service) {
  int64_t limit = service->spec->service->job.active_deadline_ms, now = service->app->control->now_ms, first = INT64_MAX;
  if (!limit) {
    ctl_jobs_free(&service->jobs);
    return false;
  }
  struct ctl_jobs *j = ctl_jobs_get(service);
  if (service->roll.state == BT_RO_START || j->round_gen != service->gen) {
    j->round_ms = 0;
    j->round_gen = service->gen;
    j->expired = false;
  }
  bt_vec_each(&service->insts, inst) if ((*inst)->assigned_ms && !(*inst)->leaving && (*inst)->gen >= service->gen && ctl_inst_current(*inst))
      first = BT_MIN(first, (*inst)->assigned_ms);
  if (!j->round_ms && first < INT64_MAX)
    j->round_ms = first;
  if (!j->round_ms || service->roll.state == BT_RO_DONE)
    return false;
  j->expired = j->expired || now >= j->round_ms + limit;
  if (!j->expired)
    ctl_wake(service->app, j->round_ms + limit);
  return j->expired;
}

static void fail_single(struct ctl_service *service, const char *note, int failed) {
  service->roll.state = BT_RO_FAILED;
  service->roll.failed = failed;
  bt_str_set(&service->note, note);
}

static void step_single(struct ctl_service *service) {
  const struct bt_service *s = service->spec->service;
  struct bt_rollout before = service->roll;
  if (round_expired(service)) {
    char buf[32];
    BT_AUTO_FREE char *note = bt_asprintf("it was not through after its active_deadline of %s", bt_duration_human(s->job.active_deadline_ms, buf));
    if (before.state != BT_RO_FAILED)
      fail_single(service, note, s->replicas);
    end_round(service, 0, note);
    ctl_roll_noted(service, &before);
    return;
  }
  struct bt_job_out out;
  struct round round = {service, service->spec, 0, 0};
  step_round(&round, &out);
  service->roll.state = out.completed == round.completions ? BT_RO_DONE : BT_RO_FRESH;
  service->roll.failed = out.failed;
  service->roll.total = round.completions;
  if (service->roll.state != BT_RO_DONE && out.failed > 0) {
    BT_AUTO_FREE char *note = bt_asprintf("%d of %d completions failed and have no attempt left", out.failed, round.completions);
    if (before.state == BT_RO_FAILED)
      service->roll.state = BT_RO_FAILED;
    else
      fail_single(service, note, out.failed);
  }
  ctl_roll_noted(service, &before);
  bt_job_out_free(&out);
}

/* ---- runs ---- */

static struct ctl_run *add_run(struct ctl_service *service, const char *cause, int64_t due_ms) {
  struct ctl_app *app = service->app;
  struct ctl_jobs *j = ctl_jobs_get(service);
  struct ctl_run run = {.number = ++j->last, .cause = bt_strdup(cause), .due_ms = due_ms, .started_ms = app->control->now_ms};
  bool asked = due_ms == 0;
  bt_vec_push(&j->runs, run);
  j->seen_ms = app->control->now_ms;
  ctl_touch_app(app);
  ctl_event(app->control, "info", "job.started", app->ns, app->name, service->name, NULL, "%s: run %d of %s begins%s%s", app->name, run.number,
            service->name, asked ? ", asked for by " : "", asked ? cause : "");
  return &j->runs.items[j->runs.len - 1];
}

static void end_run(struct ctl_service *service, struct ctl_run *run, enum ctl_run_state state, const char *reason) {
  struct ctl_app *app = service->app;
  int64_t now = app->control->now_ms;
  char buf[32];
  run->state = state;
  run->finished_ms = now;
  bt_str_set(&run->reason, reason);
  bt_duration_human(now - run->started_ms, buf);
  if (state == CTL_RUN_SUCCEEDED) {
    service->jobs->succeeded_ms = now;
    ctl_event(app->control, "info", "job.succeeded", app->ns, app->name, service->name, NULL, "%s: run %d of %s succeeded after %s", app->name,
              run->number, service->name, buf);
  } else {
    ctl_event(app->control, "error", "job.failed", app->ns, app->name, service->name, NULL, "%s: run %d of %s failed after %s: %s", app->name, run->number,
              service->name, buf, reason);
    end_round(service, run->number, reason);
  }
  ctl_touch_app(app);
  ctl_dirty(app); /* who follows it */
}

/* A run keeps the spec that it began with: that of its first instances. */
static struct ctl_spec *run_spec(const struct ctl_service *service, int run) {
  bt_vec_each(&service->insts, inst) if ((*inst)->run == run) return (*inst)->spec;
  return service->spec;
}

/* How the last of a run's failed attempts ended, for people. */
static char *failure_words(const struct ctl_service *service, int run, const struct bt_job_out *out, int completions) {
  const struct ctl_inst *worst = NULL;
  bt_vec_each(&service->insts, inst) if ((*inst)->run == run && (*inst)->ended && !ctl_inst_done(*inst)) worst = *inst;
  BT_AUTO_FREE char *how = !worst ? NULL
                           : ctl_seen(worst)->error ? bt_asprintf(": %s: %s", worst->id, ctl_seen(worst)->error)
                                          : bt_asprintf(": %s ended with exit code %d", worst->id, ctl_seen(worst)->exit_code);
  return bt_asprintf("%d of %d completions failed and have no attempt left%s", out->failed, completions, how ? how : "");
}

static void step_run(struct ctl_service *service, struct ctl_run *run) {
  struct ctl_spec *spec = run_spec(service, run->number);
  const struct bt_service *s = spec->service;
  int64_t limit = s->job.active_deadline_ms, until = limit ? run->started_ms + limit : INT64_MAX;
  if (service->app->control->now_ms >= until) {
    char buf[32];
    BT_AUTO_FREE char *why = bt_asprintf("it was not through after its active_deadline of %s", bt_duration_human(limit, buf));
    end_run(service, run, CTL_RUN_FAILED, why);
    return;
  }
  struct bt_job_out out;
  ctl_wake(service->app, until);
  struct round round = {service, spec, run->number, 0};
  step_round(&round, &out);
  if (out.completed >= round.completions) {
    end_run(service, run, CTL_RUN_SUCCEEDED, NULL);
  } else if (out.failed > 0 && out.completed + out.failed >= round.completions) {
    BT_AUTO_FREE char *why = failure_words(service, run->number, &out, round.completions);
    end_run(service, run, CTL_RUN_FAILED, why);
  }
  bt_job_out_free(&out);
}

/* Containers of runs that are over, or of a time before the schedule, but not stopped yet, are in the way of a run that is to be alone. */
static bool any_stopping(const struct ctl_service *service) {
  bt_vec_each(&service->insts, inst) if (still_there(*inst) && (!(*inst)->run || ctl_run_over(*inst))) return true;
  return false;
}

static bool begun(const struct ctl_service *service, const struct ctl_run *run) {
  bt_vec_each(&service->insts, inst) if ((*inst)->run == run->number) return true;
  return false;
}

/* A run that is to be alone begins when what was before it is stopped, also where somebody asked for it. */
static bool must_wait(const struct ctl_service *service) {
  return service->spec->service->job.concurrency != BT_CONCUR_ALLOW && any_stopping(service);
}

static void step_runs(struct ctl_service *service) {
  struct ctl_jobs *j = service->jobs;
  bool wait = must_wait(service);
  for (size_t i = 0; i < j->runs.len && ctl_has_room(service->app); i++)
    if (j->runs.items[i].state == CTL_RUN_ACTIVE && (!wait || begun(service, &j->runs.items[i])))
      step_run(service, &j->runs.items[i]);
}

static int count_active(const struct ctl_service *service) {
  int n = 0;
  bt_vec_each(&service->jobs->runs, run) n += run->state == CTL_RUN_ACTIVE;
  return n;
}

/* ---- when a run begins ---- */

/* Whether each job that it follows has succeeded since its own last run began. */
static bool followed(const struct ctl_service *service) {
  int n = 0;
  bt_vec_each(&service->spec->service->depends, dep) {
    const struct ctl_service *on = dep->condition == BT_DEP_COMPLETED ? ctl_service_find(service->app, dep->service) : NULL;
    if (!on || !on->spec || !on->spec->recurs)
      continue;
    if (!on->jobs || on->jobs->succeeded_ms <= service->jobs->seen_ms)
      return false;
    n++;
  }
  return n > 0;
}

/* A changed schedule, and one that is no longer suspended, count from now on. */
static void sign(struct ctl_service *service) {
  const struct bt_job *job = &service->spec->service->job;
  struct ctl_jobs *j = ctl_jobs_get(service);
  struct bt_control *c = service->app->control;
  BT_AUTO_FREE char *now = bt_asprintf("%s|%s|%s", job->schedule ? job->schedule : "", job->time_zone ? job->time_zone : "", job->suspend ? "suspended" : "");
  if (bt_streq(j->signature, now))
    return;
  bt_str_set(&j->signature, now);
  j->considered_ms = ctl_wall(c);
  j->seen_ms = c->now_ms;
  ctl_touch_app(service->app);
}

static void note_waits(struct ctl_service *service, char *why_steal) {
  struct ctl_jobs *j = service->jobs;
  BT_AUTO_FREE char *why = why_steal;
  if (bt_streq(j->waits, why))
    return;
  bt_str_set(&j->waits, why);
  ctl_touch_app(service->app);
}

static char *waits_words(const struct ctl_service *service, const struct bt_schedule_out *out, int active) {
  const struct bt_job *job = &service->spec->service->job;
  char buf[32];
  bt_clock_format(out->due_ms, buf);
  if (active >= BT_SCHEDULE_MOST_ACTIVE)
    return bt_asprintf("the run that was due at %s waits: %d runs are active, which is the most", buf, active);
  if (job->concurrency == BT_CONCUR_REPLACE)
    return bt_asprintf("the run that was due at %s waits until the containers of the one before are stopped", buf);
  return bt_asprintf("the run that was due at %s waits until the one before has ended (concurrency: forbid)", buf);
}

/* Of a run that was asked for, and has not begun; NULL: there is none. */
static char *begin_words(const struct ctl_service *service) {
  bt_vec_each(&service->jobs->runs, run) if (run->state == CTL_RUN_ACTIVE && must_wait(service) && !begun(service, run))
      return bt_asprintf("run %d waits until the containers of the one before are stopped", run->number);
  return NULL;
}

static void tell_missed(const struct ctl_service *service, const struct bt_schedule_out *out) {
  const struct ctl_app *app = service->app;
  char buf[32];
  if (!out->missed)
    return;
  bt_clock_format(out->due_ms, buf);
  ctl_event(app->control, "warning", "job.missed", app->ns, app->name, service->name, NULL, "%s: %d%s run%s of %s did not begin in time; the last one %s %s",
            app->name, out->missed, out->missed == BT_SCHEDULE_MOST_MISSED ? " or more" : "", out->missed == 1 ? "" : "s", service->name,
            out->verdict == BT_SCHED_MISSED ? "was due at" : "before that of", buf);
}

/* due_ms 0: by one that was asked for. */
static void replace_active(struct ctl_service *service, int64_t due_ms) {
  char buf[32];
  BT_AUTO_FREE char *why = due_ms ? bt_asprintf("the run that was due at %s replaces it", bt_clock_format(due_ms, buf))
                                  : bt_strdup("a run that was asked for replaces it");
  for (size_t i = 0; i < service->jobs->runs.len; i++)
    if (service->jobs->runs.items[i].state == CTL_RUN_ACTIVE)
      end_run(service, &service->jobs->runs.items[i], CTL_RUN_FAILED, why);
}

static int occupied(const struct ctl_service *service) {
  int active = count_active(service);
  return active > 0 || service->spec->service->job.concurrency == BT_CONCUR_ALLOW ? active : any_stopping(service);
}

static void ask(const struct ctl_service *service, const struct bt_tz *tz, struct bt_schedule_out *out) {
  bt_schedule_step(
      &(struct bt_schedule_in){
          .job = &service->spec->service->job,
          .tz = tz,
          .now_ms = ctl_wall(service->app->control),
          .considered_ms = service->jobs->considered_ms,
          .followed = followed(service),
          .active = occupied(service),
      },
      out);
}

/* Starts what is due, if it may. */
static void decide(struct ctl_service *service, const struct bt_tz *tz) {
  struct ctl_jobs *j = service->jobs;
  struct bt_control *c = service->app->control;
  struct bt_schedule_out out;
  ask(service, tz, &out);
  if (out.verdict == BT_SCHED_REPLACE) {
    replace_active(service, out.due_ms);
    ask(service, tz, &out);
  }
  bool waits = out.verdict == BT_SCHED_WAIT || out.verdict == BT_SCHED_REPLACE;
  note_waits(service, waits ? waits_words(service, &out, count_active(service)) : begin_words(service));
  if (out.considered_ms != j->considered_ms || out.next_ms != j->next_ms)
    ctl_touch_app(service->app);
  j->considered_ms = out.considered_ms;
  j->next_ms = out.next_ms;
  tell_missed(service, &out);
  if (out.verdict == BT_SCHED_START)
    step_run(service, add_run(service, service->spec->service->job.schedule ? "schedule" : "follows", out.due_ms));
  if (out.wake_ms < INT64_MAX)
    ctl_wake(service->app, ctl_from_wall(c, out.wake_ms));
}

/* ---- what stays of runs that ended ---- */

/* The last run that ended is remembered in any case; its containers go where the limit says so. */
static void forget_runs(struct ctl_service *service) {
  const struct bt_job *job = &service->spec->service->job;
  struct ctl_jobs *j = service->jobs;
  int succeeded = 0, failed = 0;
  for (size_t i = j->runs.len; i-- > 0;) {
    struct ctl_run *run = &j->runs.items[i];
    bool first = succeeded + failed == 0;
    run->keeps = run->state == CTL_RUN_ACTIVE   ? true
                 : run->state == CTL_RUN_FAILED ? ++failed <= job->keep_failed
                                                : ++succeeded <= job->keep_succeeded;
    if (run->keeps || first)
      continue;
    run_clear(run);
    bt_vec_remove(&j->runs, i);
    ctl_touch_app(service->app);
  }
}

static void drop_instances(struct ctl_service *service) {
  struct bt_control *c = service->app->control;
  for (size_t i = service->insts.len; i-- > 0;) {
    struct ctl_inst *inst = service->insts.items[i];
    const struct ctl_run *run = inst->run ? find_run(service->jobs, inst->run) : NULL;
    if (inst->leaving || (run && run->keeps))
      continue;
    if (!ctl_has_room(service->app))
      return;
    c->room--;
    ctl_release(inst, inst->run ? "its run is over, and more recent ones are kept" : "the job has a schedule now");
  }
}

static void step_recurring(struct ctl_service *service) {
  struct bt_rollout before = service->roll;
  const struct bt_job *job = &service->spec->service->job;
  const struct bt_tz *tz = NULL;
  service->app->control->clocked = true;
  sign(service);
  step_runs(service);
  if (ctl_zone_find(service->app->control, job->time_zone, &tz))
    decide(service, tz);
  else
    note_waits(service, bt_asprintf("nothing is due: the time zone %s is not known", job->time_zone));
  forget_runs(service);
  drop_instances(service);
  service->roll = (struct bt_rollout){.state = BT_RO_DONE, .started_ms = before.started_ms, .batch_ms = before.batch_ms};
  bt_str_set(&service->note, NULL);
  ctl_roll_noted(service, &before);
}

void ctl_job_step(struct ctl_service *service) {
  if (service->spec->recurs)
    step_recurring(service);
  else
    step_single(service);
}

/* ---- a run that somebody asks for ---- */

static void answer(struct bt_control *c, const struct bt_request *request, const struct ctl_service *service, int run) {
  json_t *o = json_object();
  bt_json_set_str(o, "app", service->app->name);
  bt_json_set_str(o, "service", service->name);
  if (run)
    bt_json_set_int(o, "run", run);
  ctl_reply(c, request->id, o);
}

static void run_recurring(struct bt_control *c, struct ctl_service *service, const struct bt_request *request) {
  enum bt_concurrency concurrency = service->spec->service->job.concurrency;
  int active = service->jobs ? count_active(service) : 0;
  if (active >= BT_SCHEDULE_MOST_ACTIVE || (active > 0 && concurrency == BT_CONCUR_FORBID)) {
    ctl_reply_err(c, request->id, BT_CONFLICT, "run %d of %s is active, and %s; wait until it has ended", service->jobs->last, service->name,
                  concurrency == BT_CONCUR_FORBID ? "its concurrency is forbid" : "so are 99 others");
    return;
  }
  int number = 1 + (service->jobs ? service->jobs->last : 0);
  if (!request->dry_run) {
    sign(service);
    if (concurrency == BT_CONCUR_REPLACE)
      replace_active(service, 0);
    add_run(service, request->actor, 0);
    ctl_dirty(service->app);
    service->app->looked_ms = 0;
  }
  answer(c, request, service, number);
}

static void run_single(struct bt_control *c, struct ctl_service *service, const struct bt_request *request) {
  bt_vec_each(&service->insts, inst) if (!(*inst)->ended || (*inst)->leaving) {
    ctl_reply_err(c, request->id, BT_CONFLICT, "job %s is not through: %s is %s; wait until it has ended", service->name, (*inst)->id,
                  (*inst)->leaving ? "leaving" : bt_state_name((enum bt_state)(*inst)->state));
    return;
  }
  if (!request->dry_run) {
    service->gen++;
    service->roll = (struct bt_rollout){.state = BT_RO_START};
    ctl_touch_app(service->app);
    ctl_dirty(service->app);
    ctl_event(c, "info", "job.started", service->app->ns, service->app->name, service->name, NULL, "%s: %s runs again, asked for by %s", service->app->name,
              service->name, request->actor);
  }
  answer(c, request, service, 0);
}

void ctl_job_run(struct bt_control *c, const struct bt_request *request) {
  const char *ns = bt_json_str_or(request->args, "namespace", "default"), *name = bt_json_str_or(request->args, "app", ""),
             *service_name = bt_json_str_or(request->args, "service", "");
  BT_AUTO_ERR err = NULL;
  struct ctl_app *app = ctl_app_find(c, ns, name);
  struct ctl_service *service = app ? ctl_service_find(app, service_name) : NULL;
  if (!app)
    ctl_reply_err(c, request->id, BT_NOT_FOUND, "there is no app %s in namespace %s; see: berth ls", name, ns);
  else if (!service)
    ctl_reply_err(c, request->id, BT_NOT_FOUND, "app %s has no service %s", name, service_name);
  else if (!service->spec || app->state == CTL_APP_REMOVING)
    ctl_reply_err(c, request->id, BT_CONFLICT, "service %s of app %s is being removed", service_name, name);
  else if (!bt_service_is_job(service->spec->service))
    ctl_reply_err(c, request->id, BT_INVALID, "service %s of app %s is no job; to start it again: berth restart %s/%s", service_name, name, name, service_name);
  else if (ctl_quota_run(service, &err))
    ctl_reply_err(c, request->id, bt_err_code(err), "%s", bt_err_message(err));
  else if (service->spec->recurs)
    run_recurring(c, service, request);
  else
    run_single(c, service, request);
}
