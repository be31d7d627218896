/* When a run of a job begins: plan/schedule. */
#include "plan/schedule.h"

#include "base/clock.h"
#include "base/mem.h"
#include "tap.h"

static struct bt_job job;
static struct bt_schedule_out out;

static void plan(const char *schedule) {
  BT_AUTO_ERR err = NULL;
  job = (struct bt_job){.schedule = schedule};
  if (schedule)
    BT_ASSERT(bt_cron_parse(schedule, &job.cron, &err) == 0);
}

static int64_t at(const char *time) {
  int64_t ms = 0;
  BT_ASSERT(bt_clock_parse(time, &ms));
  return ms;
}

static enum bt_schedule_verdict ask(const char *considered, const char *now, int active) {
  bt_schedule_step(&(struct bt_schedule_in){.job = &job, .now_ms = at(now), .considered_ms = at(considered), .active = active}, &out);
  return out.verdict;
}

#define HOUR(h) "2026-05-01T" h ":00:00Z"

static void on_time(void) {
  plan("0 * * * *");
  ok(ask(HOUR("08"), "2026-05-01T08:59:59.999Z", 0) == BT_SCHED_IDLE && out.next_ms == at(HOUR("09")) && out.wake_ms == out.next_ms, "before it is due");
  ok(ask(HOUR("08"), HOUR("09"), 0) == BT_SCHED_START && out.due_ms == at(HOUR("09")) && out.considered_ms == out.due_ms && out.missed == 0 &&
         out.next_ms == at(HOUR("10")), "when it is due");
  ok(ask(HOUR("09"), HOUR("09"), 0) == BT_SCHED_IDLE, "and not twice");
  ok(ask(HOUR("08"), "2026-05-01T11:20:00Z", 0) == BT_SCHED_START && out.due_ms == at(HOUR("11")) && out.missed == 2, "after a pause one run stands for three");
  ok(ask("2020-01-01T00:00:00Z", "2026-05-01T11:20:00Z", 0) == BT_SCHED_START && out.missed == 100, "after years, too");
  plan("@every 30s");
  ok(ask("2026-05-01T08:00:05Z", "2026-05-01T08:00:34.9Z", 0) == BT_SCHED_IDLE && out.next_ms == at("2026-05-01T08:00:35Z"), "every 30 s");
  ok(ask("2026-05-01T08:00:05Z", "2026-05-01T08:02:00Z", 0) == BT_SCHED_START && out.due_ms == at("2026-05-01T08:01:35Z") && out.missed == 2 &&
         out.next_ms == at("2026-05-01T08:02:05Z"), "in its own step, however late it is asked");
}

static void beside(void) {
  plan("0 * * * *");
  ok(ask(HOUR("08"), HOUR("09"), 99) == BT_SCHED_START, "allow: beside others");
  ok(ask(HOUR("08"), HOUR("09"), 100) == BT_SCHED_WAIT, "up to a hundred");
  job.concurrency = BT_CONCUR_FORBID;
  ok(ask(HOUR("08"), HOUR("09"), 1) == BT_SCHED_WAIT && out.considered_ms == at(HOUR("08")) && out.wake_ms == at(HOUR("10")), "forbid: it waits");
  ok(ask(HOUR("08"), "2026-05-01T10:10:00Z", 0) == BT_SCHED_START && out.due_ms == at(HOUR("10")) && out.missed == 1, "and begins after the other one, as one");
  job.concurrency = BT_CONCUR_REPLACE;
  ok(ask(HOUR("08"), HOUR("09"), 1) == BT_SCHED_REPLACE, "replace: the other one goes");
  ok(ask(HOUR("08"), HOUR("09"), 0) == BT_SCHED_START, "then it begins");
}

static void late(void) {
  plan("0 * * * *");
  job.starting_deadline_ms = 60000;
  ok(ask(HOUR("08"), "2026-05-01T09:01:00Z", 0) == BT_SCHED_START, "within the starting deadline");
  ok(ask(HOUR("08"), "2026-05-01T09:01:00.001Z", 0) == BT_SCHED_MISSED && out.missed == 1 && out.considered_ms == at(HOUR("09")) && out.next_ms == at(HOUR("10")), "and behind it");
  job.concurrency = BT_CONCUR_FORBID;
  ok(ask(HOUR("08"), HOUR("09"), 1) == BT_SCHED_WAIT && out.wake_ms == at("2026-05-01T09:01:00.001Z"), "who waits is looked at when the deadline is over");
  ok(ask(HOUR("08"), "2026-05-01T09:01:00.001Z", 1) == BT_SCHED_MISSED, "and has missed it then");
}

static void clocks(void) {
  plan("0 * * * *");
  ok(ask(HOUR("10"), HOUR("09"), 0) == BT_SCHED_IDLE && out.considered_ms == at(HOUR("10")) && out.next_ms == at(HOUR("11")), "an hour back: nothing is due twice");
  ok(ask("2027-01-01T00:00:00Z", HOUR("09"), 0) == BT_SCHED_IDLE && out.considered_ms == at(HOUR("09")) && out.next_ms == at(HOUR("10")), "a year back: the clock was wrong");
  job.suspend = true;
  ok(ask(HOUR("08"), HOUR("12"), 0) == BT_SCHED_IDLE && out.wake_ms == INT64_MAX && out.next_ms == INT64_MAX, "suspended: nothing is due");
}

static void follows(void) {
  plan(NULL);
  ok(ask(HOUR("08"), HOUR("12"), 0) == BT_SCHED_IDLE && out.next_ms == INT64_MAX, "nothing to follow yet");
  bt_schedule_step(&(struct bt_schedule_in){.job = &job, .now_ms = 5000, .followed = true}, &out);
  ok(out.verdict == BT_SCHED_START && out.due_ms == 5000, "it follows");
  job.concurrency = BT_CONCUR_FORBID;
  bt_schedule_step(&(struct bt_schedule_in){.job = &job, .now_ms = 5000, .followed = true, .active = 1}, &out);
  ok(out.verdict == BT_SCHED_WAIT && out.wake_ms == INT64_MAX, "or waits for its own last run");
}

int main(void) {
  on_time();
  beside();
  late();
  clocks();
  follows();
  return done_testing();
}
