#include "config.h"

#include "plan/schedule.h"

#include "base/mem.h"

/* A clock that is set back by more than that was wrong before: what was due by it is forgotten. By less, nothing is due twice. */
#define CORRECTION_MS (3 * 3600 * 1000ll)

static int64_t to_s(int64_t ms) { return ms / 1000 - (ms % 1000 < 0); }

static int64_t to_ms(int64_t s) { return s == BT_CRON_NEVER ? INT64_MAX : s * 1000; }

/* Due times after from and before to. */
static int count_missed(const struct bt_schedule_in *in, int64_t from_s, int64_t to_s) {
  if (in->job->cron.every_s)
    return (int)BT_MIN((to_s - from_s - 1) / in->job->cron.every_s, BT_SCHEDULE_MOST_MISSED);
  int n = 0;
  for (int64_t at = bt_cron_next(&in->job->cron, in->tz, from_s); at < to_s && n < BT_SCHEDULE_MOST_MISSED; n++)
    at = bt_cron_next(&in->job->cron, in->tz, at);
  return n;
}

/* What becomes of a run that is due, as far as the others let it. */
static enum bt_schedule_verdict beside_others(const struct bt_schedule_in *in) {
  if (in->active == 0 || (in->job->concurrency == BT_CONCUR_ALLOW && in->active < BT_SCHEDULE_MOST_ACTIVE))
    return BT_SCHED_START;
  return in->job->concurrency == BT_CONCUR_REPLACE ? BT_SCHED_REPLACE : BT_SCHED_WAIT;
}

static void by_schedule(const struct bt_schedule_in *in, struct bt_schedule_out *out) {
  const struct bt_cron *cron = &in->job->cron;
  int64_t now = to_s(in->now_ms), considered = to_s(out->considered_ms), due = bt_cron_last(cron, in->tz, considered, now);
  if (due == BT_CRON_NEVER) {
    out->next_ms = out->wake_ms = to_ms(bt_cron_next(cron, in->tz, considered));
    return;
  }
  int64_t too_late_ms = in->job->starting_deadline_ms ? to_ms(due) + in->job->starting_deadline_ms + 1 : INT64_MAX;
  out->due_ms = to_ms(due);
  out->next_ms = to_ms(bt_cron_next(cron, in->tz, due));
  out->wake_ms = out->next_ms;
  out->verdict = in->now_ms >= too_late_ms ? BT_SCHED_MISSED : beside_others(in);
  if (out->verdict == BT_SCHED_WAIT || out->verdict == BT_SCHED_REPLACE) {
    out->wake_ms = BT_MIN(out->next_ms, too_late_ms);
    return;
  }
  out->missed = count_missed(in, considered, due) + (out->verdict == BT_SCHED_MISSED);
  out->considered_ms = out->due_ms;
}

void bt_schedule_step(const struct bt_schedule_in *in, struct bt_schedule_out *out) {
  *out = (struct bt_schedule_out){.considered_ms = in->considered_ms, .next_ms = INT64_MAX, .wake_ms = INT64_MAX};
  if (in->considered_ms > in->now_ms + CORRECTION_MS)
    out->considered_ms = in->now_ms;
  if (in->job->suspend)
    return;
  if (in->job->schedule) {
    by_schedule(in, out);
  } else if (in->followed) {
    out->verdict = beside_others(in);
    out->due_ms = in->now_ms;
  }
}
