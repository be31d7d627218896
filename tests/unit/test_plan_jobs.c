/* A round of a job's completions, step by step: plan/jobs. */
#include "config.h"

#include "plan/jobs.h"
#include "tap.h"

struct world {
  struct bt_rollout_inst insts[32];
  int attempts[32];
  int64_t finished[32];
  size_t n;
  int completions;
  int64_t now;
};

static void job(struct world *w, struct bt_job_out *out, int concurrent, int attempts) {
  bt_jobs_step(
      &(struct bt_job_in){
          .completions = w->completions,
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
  struct world w = {.completions = 3, .now = 1000};
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
  w.completions = 1;
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

/* An attempt on a node that is given up is made again, and does not count as failed. */
static void test_job_lost(void) {
  struct world w = {.completions = 1, .now = 1000};
  struct bt_job_out out;
  add_attempt(&w, 1, 1, false, false);
  w.insts[0].lost = true;
  job(&w, &out, 1, 1);
  ok(out.failed == 0 && out.actions.len == 1 && out.actions.items[0].kind == BT_ROLL_CREATE && out.actions.items[0].index == 1, "the attempt is made again");
  bt_job_out_free(&out);
  add_attempt(&w, 1, 1, false, false);
  job(&w, &out, 1, 1);
  is_int(out.actions.len, 0, "once");
  bt_job_out_free(&out);
  w.insts[0].lost = false;
  job(&w, &out, 1, 1);
  ok(out.actions.len == 1 && out.actions.items[0].kind == BT_ROLL_RELEASE && out.actions.items[0].index == 1, "it comes back and runs on: the other one goes");
  bt_job_out_free(&out);
  w.insts[0].done = true;
  job(&w, &out, 1, 1);
  ok(out.completed == 1 && out.actions.len == 1 && out.actions.items[0].index == 1, "it comes back and was through: so does it");
  bt_job_out_free(&out);
  w.insts[0].lost = true;
  job(&w, &out, 1, 1);
  is_int(out.completed, 1, "what was through before stays so");
  bt_job_out_free(&out);
}

int main(void) {
  test_jobs();
  test_job_lost();
  return done_testing();
}
