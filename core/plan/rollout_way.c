/* Ways of an update beside rolling: blue-green and canary. */
#include "config.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/plant.h"
#include "plan/rollout_int.h"

static enum bt_way_kind kind_of(const struct ro_pass *p) { return p->in->way ? p->in->way->kind : BT_WAY_ROLLING; }

bool ro_only_restarts(const struct ro_pass *p) {
  bool any = false;
  for (size_t i = 0; kind_of(p) != BT_WAY_ROLLING && i < p->in->ninsts; i++) {
    const struct bt_rollout_inst *inst = &p->in->insts[i];
    if (!inst->current && !inst->leaving && !inst->restartable)
      return false;
    any = any || inst->restartable;
  }
  return any;
}

bool ro_keeps_old(const struct ro_pass *p) {
  enum bt_rollout_state state = p->progress->state;
  return kind_of(p) == BT_WAY_BLUE_GREEN && !p->restarts && (state == BT_RO_START || state == BT_RO_UPDATING || state == BT_RO_PAUSED || state == BT_RO_ROLLBACK);
}

bool ro_has_way(const struct ro_pass *p) {
  return kind_of(p) != BT_WAY_ROLLING && p->progress->state == BT_RO_UPDATING && !p->restarts;
}

void ro_go_back(struct ro_pass *p) { p->progress->weight = 0; }

/* ---- blue-green ---- */

static void make_green(struct ro_pass *p) {
  for (int n = 1; n <= p->in->replicas; n++) {
    const struct ro_slot *s = &p->slots[n - 1];
    if (s->current || !s->old)
      continue;
    ro_act(p, BT_ROLL_CREATE, n, 0, "blue-green: a new one beside the old");
    p->out->waiting++;
  }
}

static void let_blue_go(struct ro_pass *p) {
  for (int n = 1; n <= p->in->replicas; n++) {
    const struct ro_slot *s = &p->slots[n - 1];
    if (s->current && s->old)
      ro_act(p, BT_ROLL_RELEASE, n, s->old - 1, "blue-green: the new ones have taken over");
  }
}

static void blue_green(struct ro_pass *p) {
  struct bt_rollout *r = p->progress;
  if (!r->split) {
    r->split = true;
    r->weight = 0;
  }
  if (r->step > 0 && p->out->outdated > 0) { /* new ones were taken away, to make room or with their node: the old ones still stand */
    r->step = 0;
    ro_go_back(p);
  }
  if (p->out->outdated > 0 && p->in->gate_open && !r->held)
    make_green(p);
  if (p->out->outdated > 0 || (p->out->waiting > 0 && !BT_PLANT(GREEN_EARLY)))
    return;
  if (r->step == 0) {
    if (r->held)
      return;
    r->step = 1;
    r->step_ms = p->in->now_ms;
    r->weight = 100;
    r->go = false;
  }
  int64_t until_ms = r->step_ms + (BT_PLANT(KEEP_SHORT) ? 0 : p->in->way->keep_ms);
  if (p->paired > 0 && !r->go && (r->held || p->in->now_ms < until_ms)) {
    if (!r->held)
      ro_wake(p, until_ms);
    return;
  }
  r->go = false;
  let_blue_go(p);
  if (p->paired > 0)
    return; /* they are asked to leave: the next look finds them so */
  r->split = false;
  ro_finish(p);
}

/* ---- canary ---- */

static int wanted_of(const struct ro_pass *p, const struct bt_way_step *step) {
  const struct bt_amount *a = &step->instances;
  int64_t n = a->percent ? ((int64_t)p->in->replicas * a->value + 99) / 100 : a->value;
  return (int)BT_MAX(1, BT_MIN(n, p->in->replicas));
}

static bool any_weight(const struct bt_way *way) {
  bt_vec_each(&way->steps, step) if (step->weight >= 0) return true;
  return false;
}

/* Takes the steps that are due. True where one is in force whose time is not over, or whose instances are not all there. */
static bool at_step(struct ro_pass *p) {
  struct bt_rollout *r = p->progress;
  for (; r->step < (int)p->in->way->steps.len; r->step++, r->step_ms = 0, r->go = false) {
    const struct bt_way_step *step = &p->in->way->steps.items[r->step];
    int wanted = wanted_of(p, step);
    if (p->renewed < wanted && p->out->outdated > 0) {
      ro_next_batch(p, wanted - p->renewed);
      return true;
    }
    if (!r->step_ms) {
      r->step_ms = p->in->now_ms;
      r->weight = step->weight >= 0 ? step->weight : (int)((int64_t)p->renewed * 100 / BT_MAX(p->in->replicas, 1));
    }
    if (r->held)
      return true;
    if (!r->go && !BT_PLANT(CANARY_HURRIES) && (step->pause_ms < 0 || p->in->now_ms < r->step_ms + step->pause_ms)) {
      if (step->pause_ms >= 0)
        ro_wake(p, r->step_ms + step->pause_ms);
      return true;
    }
  }
  return false;
}

static void canary(struct ro_pass *p) {
  struct bt_rollout *r = p->progress;
  if (!r->split && r->step == 0 && !r->step_ms && any_weight(p->in->way)) {
    r->split = true; /* none for the first ones before they stand */
    r->weight = 0;
  }
  if (p->out->waiting > 0 || at_step(p))
    return;
  r->split = r->go = false; /* from here on each instance has its share: the old ones become few */
  ro_next_batch(p, p->in->replicas);
  if (p->out->outdated == 0)
    ro_finish(p);
}

void ro_step_way(struct ro_pass *p) {
  if (kind_of(p) == BT_WAY_BLUE_GREEN)
    blue_green(p);
  else
    canary(p);
}

/* ---- wishes and words ---- */

void bt_rollout_wish(struct bt_rollout *r, enum bt_rollout_wish wish) {
  r->held = wish == BT_WISH_PAUSE;
  r->go = wish == BT_WISH_PROMOTE;
  r->abort = wish == BT_WISH_ABORT;
}

static void add_time(struct bt_buf *b, int64_t left_ms) {
  char buf[32];
  bt_buf_adds(b, bt_duration_human(BT_MAX(left_ms, 0), buf));
}

static void blue_green_words(struct bt_buf *b, const struct bt_way *way, const struct bt_rollout *r, int replicas, int fresh, int64_t now_ms) {
  if (r->step == 0) {
    bt_buf_addf(b, "blue-green: %d of %d new instances are there; requests go to the old ones until all are ready", fresh, replicas);
    return;
  }
  bt_buf_adds(b, "blue-green: requests go to the new instances; the old ones stay ");
  if (r->held)
    bt_buf_adds(b, "until it is promoted");
  else {
    bt_buf_adds(b, "for ");
    add_time(b, r->step_ms + way->keep_ms - now_ms);
  }
}

static void canary_words(struct bt_buf *b, const struct bt_way *way, const struct bt_rollout *r, int replicas, int fresh, int64_t now_ms) {
  size_t n = way->steps.len;
  if (r->step >= (int)n) {
    bt_buf_addf(b, "canary: its steps are through; %d of %d instances are new", fresh, replicas);
    return;
  }
  const struct bt_way_step *step = &way->steps.items[r->step];
  bt_buf_addf(b, "canary step %d of %zu: %d of %d instances are new", r->step + 1, n, fresh, replicas);
  if (r->split)
    bt_buf_addf(b, " and get %d of 100 requests", r->weight);
  if (!r->step_ms || r->held)
    return;
  bt_buf_adds(b, step->pause_ms < 0 ? "; it waits to be promoted" : "; the next step is in ");
  if (step->pause_ms >= 0)
    add_time(b, r->step_ms + step->pause_ms - now_ms);
}

char *bt_rollout_words(const struct bt_way *way, const struct bt_rollout *r, int replicas, int fresh, int64_t now_ms) {
  BT_AUTO_BUF b = {0};
  if (r->state != BT_RO_UPDATING)
    return NULL;
  if (way && way->kind == BT_WAY_BLUE_GREEN && r->split)
    blue_green_words(&b, way, r, replicas, fresh, now_ms);
  else if (way && way->kind == BT_WAY_CANARY)
    canary_words(&b, way, r, replicas, fresh, now_ms);
  if (r->held)
    bt_buf_addf(&b, "%sit is held", b.len ? "; " : "");
  return b.len ? bt_buf_steal(&b) : NULL;
}
