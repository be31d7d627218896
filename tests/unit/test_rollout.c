/* Rollouts and jobs, step by step: plan/rollout, plan/jobs. */
#include "config.h"

#include "plan/jobs.h"
#include "plan/rollout.h"
#include "tap.h"

/* A small world: instances that do what the rollout says. */
struct world {
  struct bt_rollout_inst insts[32];
  int attempts[32];
  int64_t finished[32];
  size_t n;
  struct bt_update update;
  struct bt_rollout roll;
  struct bt_rollout_out out;
  int replicas;
  enum bt_order order;
  bool gate_closed, unchecked;
  int64_t now;
};

static struct world world_of(int replicas) {
  return (struct world){.replicas = replicas, .now = 1000, .update = {.parallelism = 1, .monitor_ms = 5000}};
}

static void add(struct world *w, int slot, bool current, bool ready) {
  w->insts[w->n++] = (struct bt_rollout_inst){
      .slot = slot, .state = BT_ST_RUNNING, .current = current, .ready = ready, .begun_ms = w->now, .assigned_ms = w->now, .ready_ms = ready ? w->now : 0};
}

static void step(struct world *w) {
  bt_rollout_out_free(&w->out);
  bt_rollout_step(
      &(struct bt_rollout_in){
          .update = &w->update,
          .order = w->order,
          .replicas = w->replicas,
          .deadline_ms = 600000,
          .checked = !w->unchecked,
          .gate_open = !w->gate_closed,
          .insts = w->insts,
          .ninsts = w->n,
          .now_ms = w->now,
      },
      &w->roll, &w->out);
}

static int count(const struct world *w, enum bt_roll_kind kind) {
  int n = 0;
  bt_vec_each(&w->out.actions, a) n += a->kind == kind;
  return n;
}

/* Carries the actions out; what is released is gone at once. */
static void obey(struct world *w) {
  bool gone[32] = {0};
  size_t before = w->n, kept = 0;
  bt_vec_each(&w->out.actions, a) {
    if (a->kind == BT_ROLL_CREATE)
      add(w, a->slot, true, false);
    else if (a->kind == BT_ROLL_RELEASE)
      gone[a->index] = true;
    else if (a->kind == BT_ROLL_STRIKE)
      w->insts[a->index].struck = true;
    else
      w->insts[a->index] = (struct bt_rollout_inst){
          .slot = a->slot, .current = true, .state = BT_ST_STOPPING, .begun_ms = w->now, .assigned_ms = w->now};
  }
  for (size_t i = 0; i < w->n; i++)
    if (i >= before || !gone[i])
      w->insts[kept++] = w->insts[i];
  w->n = kept;
}

static void all_ready(struct world *w) {
  for (size_t i = 0; i < w->n; i++)
    if (!w->insts[i].ready && !w->insts[i].struck) {
      w->insts[i].ready = true;
      w->insts[i].ready_ms = w->now;
    }
}

static void test_fresh(void) {
  struct world w = world_of(3);
  step(&w);
  is_int(count(&w, BT_ROLL_CREATE), 3, "fresh: all slots at once");
  obey(&w);
  step(&w);
  ok(w.roll.state == BT_RO_FRESH && w.out.actions.len == 0, "then it waits");
  ok(w.out.wake_ms == 1000 + 600000, "until the deadline");
  all_ready(&w);
  step(&w);
  ok(w.roll.state == BT_RO_DONE, "done when all are ready, without a watch");
  w.replicas = 1;
  step(&w);
  ok(count(&w, BT_ROLL_RELEASE) == 2 && w.out.actions.items[0].slot == 3 && w.out.actions.items[1].slot == 2, "down from the highest slot");
  bt_rollout_out_free(&w.out);
}

static void test_fresh_fails(void) {
  struct world w = world_of(1);
  step(&w);
  obey(&w);
  w.insts[0].failures = 2;
  step(&w);
  ok(w.roll.state == BT_RO_FRESH, "a first instance may stumble");
  w.insts[0].failures = 3;
  step(&w);
  ok(w.roll.state == BT_RO_FAILED, "three times in a row is a failure");
  obey(&w);
  w.insts[0].ready = true;
  w.insts[0].ready_ms = w.now;
  step(&w);
  ok(w.roll.state == BT_RO_FAILED && w.out.wake_ms == w.now + 10000, "it must hold out");
  w.now += 10000;
  step(&w);
  ok(w.roll.state == BT_RO_DONE, "then it is well");
  bt_rollout_out_free(&w.out);
}

static void outdate(struct world *w) {
  for (size_t i = 0; i < w->n; i++)
    w->insts[i].current = false;
  w->roll = (struct bt_rollout){.state = BT_RO_START};
  w->now += 100000;
}

static struct world running(int replicas) {
  struct world w = world_of(replicas);
  step(&w);
  obey(&w);
  all_ready(&w);
  step(&w);
  outdate(&w);
  return w;
}

static void test_stop_first(void) {
  struct world w = running(4);
  w.update.parallelism = 2;
  w.update.delay_ms = 3000;
  w.insts[2].ready = false;
  step(&w);
  is_int(count(&w, BT_ROLL_RELEASE), 2, "stop-first: two go");
  ok(w.out.actions.items[0].slot == 3 && w.out.actions.items[1].slot == 1, "a broken one first");
  obey(&w);
  step(&w);
  is_int(count(&w, BT_ROLL_CREATE), 2, "two come");
  obey(&w);
  step(&w);
  is_int(w.out.actions.len, 0, "not more before they are ready");
  all_ready(&w);
  step(&w);
  ok(w.out.actions.len == 0 && w.out.wake_ms == w.now + 3000, "then the delay");
  w.now += 3000;
  for (int i = 0; i < 2; i++) {
    step(&w);
    obey(&w);
  }
  all_ready(&w);
  step(&w);
  ok(w.roll.state == BT_RO_UPDATING && w.out.wake_ms == w.now + 5000, "the last are watched");
  w.now += 5000;
  step(&w);
  ok(w.roll.state == BT_RO_DONE && w.n == 4, "done");
  bt_rollout_out_free(&w.out);
}

static void test_start_first(void) {
  struct world w = running(1);
  w.order = BT_START_FIRST;
  step(&w);
  ok(count(&w, BT_ROLL_CREATE) == 1 && count(&w, BT_ROLL_RELEASE) == 0, "start-first: the new one comes");
  obey(&w);
  step(&w);
  is_int(w.out.actions.len, 0, "beside the old one");
  all_ready(&w);
  step(&w);
  is_int(count(&w, BT_ROLL_RELEASE), 1, "which goes when the new one is ready");
  bt_rollout_out_free(&w.out);
}

static void test_unchecked(void) {
  struct world w = running(2);
  w.unchecked = true;
  for (int i = 0; i < 2; i++) {
    step(&w);
    obey(&w);
  }
  all_ready(&w);
  step(&w);
  ok(w.out.actions.len == 0 && w.out.wake_ms == w.now + 2000, "without a check it must run for two seconds");
  w.now += 2000;
  step(&w);
  is_int(count(&w, BT_ROLL_RELEASE), 1, "then the next one goes");
  bt_rollout_out_free(&w.out);
}

/* Brings an update to its first failure: the new instance of slot 1 fails. */
static void fail_first(struct world *w) {
  for (int i = 0; i < 2; i++) {
    step(w);
    obey(w);
  }
  w->insts[w->n - 1].failures = 1;
  step(w);
  obey(w);
}

/* A failure beside an old instance is settled in the same look: nothing else may come to cause another one. */
static void test_failure_start_first(void) {
  struct world w = running(1);
  w.order = BT_START_FIRST;
  w.update.on_failure = BT_FAIL_CONTINUE;
  step(&w);
  obey(&w);
  w.insts[w.n - 1].final = true;
  step(&w);
  ok(count(&w, BT_ROLL_STRIKE) == 1 && count(&w, BT_ROLL_RELEASE) == 1 && w.roll.state == BT_RO_DONE, "start-first, continue: done with the failure at once");
  bt_rollout_out_free(&w.out);
}

static void test_failures(void) {
  struct world w = running(2);
  fail_first(&w);
  ok(w.roll.state == BT_RO_PAUSED && w.roll.failed == 1, "a failure pauses");
  step(&w);
  is_int(count(&w, BT_ROLL_RELEASE), 0, "nothing old goes any more");
  bt_rollout_out_free(&w.out);

  w = running(2);
  w.update.on_failure = BT_FAIL_ROLLBACK;
  fail_first(&w);
  ok(w.roll.state == BT_RO_ROLLBACK, "or goes back");
  bt_rollout_out_free(&w.out);

  w = running(2);
  w.update.on_failure = BT_FAIL_CONTINUE;
  fail_first(&w);
  ok(w.roll.state == BT_RO_UPDATING, "or goes on");
  bt_rollout_out_free(&w.out);

  w = running(2);
  w.update.max_failure_ratio = 0.5;
  fail_first(&w);
  ok(w.roll.state == BT_RO_UPDATING && w.roll.failed == 1, "half may fail where the ratio says so");
  bt_rollout_out_free(&w.out);

  w = running(1);
  for (int i = 0; i < 2; i++) {
    step(&w);
    obey(&w);
  }
  w.now += 600000;
  step(&w);
  ok(count(&w, BT_ROLL_STRIKE) == 1 && w.roll.state == BT_RO_PAUSED, "not ready in time is a failure");
  bt_rollout_out_free(&w.out);
}

/* An update finds that some of its slots hold the wanted spec already: what fails in them is not for ever waited for. */
static void test_failure_from_before(void) {
  struct world w = running(2);
  w.insts[0].current = w.insts[1].current = true;
  w.insts[0].ready = false;
  w.insts[0].ready_ms = 0;
  w.roll = (struct bt_rollout){.state = BT_RO_UPDATING, .total = 2, .started_ms = w.now};
  w.insts[0].failures = 2;
  step(&w);
  ok(w.roll.state == BT_RO_UPDATING && w.out.actions.len == 0, "what was begun before an update may stumble, as a first instance");
  w.insts[0].failures = 3;
  step(&w);
  ok(count(&w, BT_ROLL_STRIKE) == 1 && w.roll.state == BT_RO_PAUSED, "three times in a row is a failure there, too");
  bt_rollout_out_free(&w.out);
}

static void test_gate(void) {
  struct world w = running(1);
  w.gate_closed = true;
  step(&w);
  ok(w.out.actions.len == 0 && w.roll.state == BT_RO_UPDATING, "nothing old goes while a dependency is not ready");
  w.gate_closed = false;
  step(&w);
  is_int(count(&w, BT_ROLL_RELEASE), 1, "then it does");
  bt_rollout_out_free(&w.out);
}

static void test_restart(void) {
  struct world w = running(2);
  for (size_t i = 0; i < w.n; i++)
    w.insts[i].restartable = true;
  w.roll.state = BT_RO_DONE;
  step(&w);
  is_int(count(&w, BT_ROLL_RESTART), 1, "a restart goes one by one, in place");
  obey(&w);
  step(&w);
  is_int(w.out.actions.len, 0, "and waits");
  all_ready(&w);
  step(&w);
  is_int(count(&w, BT_ROLL_RESTART), 1, "the next one");
  bt_rollout_out_free(&w.out);
}

/* ---- jobs ---- */

static void job(struct world *w, struct bt_job_out *out, int concurrent, int attempts) {
  bt_jobs_step(
      &(struct bt_job_in){
          .completions = w->replicas,
          .max_concurrent = concurrent,
          .max_attempts = attempts,
          .insts = w->insts,
          .attempts = w->attempts,
          .finished_ms = w->finished,
          .ninsts = w->n,
          .now_ms = w->now,
      },
      out);
}

static void add_attempt(struct world *w, int slot, int attempt, bool done, bool final) {
  w->attempts[w->n] = attempt;
  w->finished[w->n] = w->now;
  w->insts[w->n++] = (struct bt_rollout_inst){.slot = slot, .current = true, .done = done, .final = final};
}

static void test_jobs(void) {
  struct world w = world_of(3);
  struct bt_job_out out;
  job(&w, &out, 2, 1);
  ok(out.actions.len == 2 && out.actions.items[0].slot == 1 && out.actions.items[0].index == 1, "two of three begin");
  bt_job_out_free(&out);
  add_attempt(&w, 1, 1, true, false);
  add_attempt(&w, 2, 1, false, true);
  job(&w, &out, 2, 1);
  ok(out.completed == 1 && out.failed == 1, "one is through, one failed for good");
  ok(out.actions.len == 1 && out.actions.items[0].slot == 3, "the third begins");
  bt_job_out_free(&out);
  job(&w, &out, 2, 3);
  ok(out.failed == 0 && out.actions.len == 2 && out.actions.items[0].slot == 2 && out.actions.items[0].index == 2, "with attempts left it is tried again");
  bt_job_out_free(&out);
  w.n = 0;
  w.replicas = 1;
  add_attempt(&w, 1, 1, false, true);
  add_attempt(&w, 1, 2, false, true);
  job(&w, &out, 1, 3);
  ok(out.actions.len == 1 && out.actions.items[0].kind == BT_ROLL_RELEASE && out.actions.items[0].index == 0, "the older attempt is cleared away");
  ok(out.wake_ms == w.now + 10000, "the third attempt waits 10 s");
  bt_job_out_free(&out);
  w.insts[1].current = false;
  job(&w, &out, 1, 3);
  ok(out.actions.len == 1 && out.actions.items[0].index == 1, "a new spec: what is old goes first");
  bt_job_out_free(&out);
}

int main(void) {
  test_fresh();
  test_fresh_fails();
  test_stop_first();
  test_start_first();
  test_unchecked();
  test_failures();
  test_failure_start_first();
  test_failure_from_before();
  test_gate();
  test_restart();
  test_jobs();
  return done_testing();
}
