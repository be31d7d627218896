#include "config.h"

#include "plan/jobs.h"

#include "base/mem.h"
#include "base/plant.h"
#include "plan/backoff.h"

/* What a slot has: indexes + 1, 0: none. */
struct slot {
  size_t done, active, last; /* last: the failed attempt with the highest number */
  bool busy;                 /* something of it is still leaving, or is of an older spec */
};

struct pass {
  const struct bt_job_in *in;
  struct bt_job_out *out;
  struct slot *slots;
};

static void act(struct pass *p, enum bt_roll_kind kind, int slot, size_t index, const char *reason) {
  bt_vec_push(&p->out->actions, ((struct bt_roll_action){kind, slot, index, reason}));
}

static void release(struct pass *p, size_t index, const char *reason) {
  const struct bt_rollout_inst *i = &p->in->insts[index];
  if (!i->leaving)
    act(p, BT_ROLL_RELEASE, i->slot, index, reason);
}

static void take_failed(struct pass *p, struct slot *s, size_t index) {
  if (s->last && p->in->attempts[s->last - 1] >= p->in->attempts[index]) {
    release(p, index, "a later attempt was made");
    return;
  }
  if (s->last)
    release(p, s->last - 1, "a later attempt was made");
  s->last = index + 1;
}

static bool is_absent(const struct pass *p, int slot) { return slot < 1 || slot > p->in->completions || (p->in->absent && p->in->absent[slot - 1]); }

static void place(struct pass *p, size_t index) {
  const struct bt_rollout_inst *i = &p->in->insts[index];
  if (is_absent(p, i->slot) && p->in->absent && i->lost)
    return; /* it comes back with its node */
  if (is_absent(p, i->slot)) {
    release(p, index, "the job has fewer completions now");
    return;
  }
  struct slot *s = &p->slots[i->slot - 1];
  if (i->lost && !i->done && !i->final)
    return; /* nothing is known of it: the attempt is made again, and if it comes back first it goes on */
  if (!i->current || i->leaving) {
    release(p, index, "the job runs anew");
    s->busy = true;
  } else if (i->done && BT_PLANT(RUN_TWICE)) {
    return;
  } else if (i->done) {
    s->done = index + 1;
  } else if (i->final) {
    take_failed(p, s, index);
  } else if (s->active) {
    release(p, index, "its slot is taken");
  } else {
    s->active = index + 1;
  }
}

static int attempts_made(const struct pass *p, const struct slot *s) { return s->last ? p->in->attempts[s->last - 1] : 0; }

/* Whether a slot may begin an attempt now; sets the wake time where it must wait. */
static bool may_begin(struct pass *p, const struct slot *s) {
  int made = attempts_made(p, s);
  if (made == 0)
    return true;
  int64_t at = p->in->finished_ms[s->last - 1] + bt_backoff_delay_ms(made, p->in->policy_delay_ms);
  if (at > p->in->now_ms)
    p->out->wake_ms = BT_MIN(p->out->wake_ms, at);
  return at <= p->in->now_ms;
}

void bt_jobs_step(const struct bt_job_in *in, struct bt_job_out *out) {
  *out = (struct bt_job_out){.wake_ms = INT64_MAX};
  struct pass p = {in, out, bt_newn(struct slot, (size_t)in->completions + 1)};
  for (size_t i = 0; i < in->ninsts; i++)
    place(&p, i);
  for (int n = 0; n < in->completions; n++) {
    const struct slot *s = &p.slots[n];
    if (is_absent(&p, n + 1))
      continue;
    if (s->done && s->active) /* an attempt that was given up came back, and was through */
      release(&p, s->active - 1, "its completion was made by another attempt");
    out->completed += s->done != 0;
    out->running += !s->done && (s->active || s->busy);
    out->failed += !s->done && !s->active && !s->busy && attempts_made(&p, s) >= in->max_attempts;
  }
  int free_places = in->max_concurrent - out->running;
  for (int n = 0; n < in->completions && free_places > 0; n++) {
    const struct slot *s = &p.slots[n];
    if (is_absent(&p, n + 1) || s->done || s->active || s->busy || attempts_made(&p, s) >= in->max_attempts || !may_begin(&p, s))
      continue;
    act(&p, BT_ROLL_CREATE, n + 1, (size_t)attempts_made(&p, s) + 1, "the job goes on");
    free_places--;
  }
  free(p.slots);
}

void bt_job_out_free(struct bt_job_out *out) { bt_vec_free(&out->actions); }
