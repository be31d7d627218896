#include "config.h"

#include "plan/rollout.h"

#include "base/mem.h"
#include "base/plant.h"
#include "plan/backoff.h"
#include "plan/rollout_int.h"
#include "plan/scale_in.h"

#define UNCHECKED_MS BT_ROLLOUT_UNCHECKED_MS
#define FRESH_UNCHECKED_MS 500
#define FRESH_FAILURES 3 /* a first instance that failed so often in a row is said to fail; it goes on trying */

static const char *const state_names[] = {"pending", "starting", "updating", "paused", "failed", "rolling-back", "done"};

const char *bt_rollout_name(enum bt_rollout_state state) { return state_names[state]; }

bool bt_rollout_parse(const char *name, enum bt_rollout_state *out) {
  for (size_t i = 0; i < BT_COUNT(state_names); i++)
    if (bt_streq(name, state_names[i])) {
      *out = (enum bt_rollout_state)i;
      return true;
    }
  return false;
}

void ro_act(struct ro_pass *p, enum bt_roll_kind kind, int slot, size_t index, const char *reason) {
  bt_vec_push(&p->out->actions, ((struct bt_roll_action){kind, slot, index, reason}));
}

void ro_wake(struct ro_pass *p, int64_t at_ms) { p->out->wake_ms = BT_MIN(p->out->wake_ms, at_ms); }

static bool in_rollout(const struct ro_pass *p) {
  return p->progress->state == BT_RO_UPDATING || p->progress->state == BT_RO_FRESH || p->progress->state == BT_RO_FAILED;
}

/* Why an instance counts as failed now, or NULL. What an update found in place, of the wanted spec already, is judged as a first instance is:
 * nobody touches it, but the update waits for it. */
static const char *strike_reason(struct ro_pass *p, const struct bt_rollout_inst *i) {
  bool fresh = p->progress->state != BT_RO_UPDATING || i->begun_ms < p->progress->started_ms;
  if (i->done || !in_rollout(p))
    return NULL;
  if (!fresh && i->ready_ms && !ro_has_way(p) && p->in->now_ms > i->ready_ms + p->in->update->monitor_ms)
    return NULL;
  if (i->final)
    return "its restart policy lets it be";
  if (i->unhealthy)
    return "its health check fails";
  if (i->lasting)
    return "trying again does not help";
  if ((!fresh && i->fell) || i->failures >= (fresh ? FRESH_FAILURES : 1))
    return fresh ? "it failed three times in a row" : "it failed while it was watched";
  if (i->assigned_ms && !i->ready) {
    if (p->in->now_ms >= i->assigned_ms + p->in->deadline_ms)
      return "it was not ready in time";
    ro_wake(p, i->assigned_ms + p->in->deadline_ms);
  }
  return NULL;
}

/* Ready, and in an update for long enough to mean it. */
static bool stands(struct ro_pass *p, const struct bt_rollout_inst *i) {
  if (!i->ready || p->in->checked || p->progress->state != BT_RO_UPDATING || i->begun_ms < p->progress->started_ms)
    return i->ready;
  int64_t at = i->ready_ms + BT_MIN(p->in->update->monitor_ms, UNCHECKED_MS);
  if (p->in->now_ms < at)
    ro_wake(p, at);
  return p->in->now_ms >= at;
}

static bool settled(struct ro_pass *p, const struct bt_rollout_inst *i) { return stands(p, i) || i->done || i->struck; }

/* Of two in one slot: one that has a place before one that waits for one, one that is only to be restarted before one of another spec, one that
 * serves before one that does not, else the first. */
static bool better(const struct bt_rollout_inst *a, const struct bt_rollout_inst *b) {
  if ((a->assigned_ms > 0) != (b->assigned_ms > 0))
    return a->assigned_ms > 0;
  if (a->restartable != b->restartable)
    return a->restartable;
  return a->ready && !b->ready;
}

static void take_seat(struct ro_pass *p, size_t *seat, size_t index) {
  size_t out = index;
  if (*seat && better(&p->in->insts[index], &p->in->insts[*seat - 1]))
    out = *seat - 1;
  if (*seat)
    ro_act(p, BT_ROLL_RELEASE, p->in->insts[out].slot, out, "its slot is taken");
  if (!*seat || out != index)
    *seat = index + 1;
}

static void take_over(struct ro_pass *p, int number, size_t seat) {
  if (seat && p->in->insts[seat - 1].slot != number)
    ro_act(p, BT_ROLL_SLOT, number, seat - 1, "it takes over a slot that came free");
}

/* Whether it is to replace one of its spec that makes way, which an update that does not go on leaves as it is. */
static bool replaces(const struct ro_pass *p, size_t index, int number) {
  enum bt_rollout_state state = p->progress->state;
  if (state == BT_RO_START || state == BT_RO_UPDATING || state == BT_RO_ROLLBACK)
    return false;
  for (size_t n = 0; n < p->in->ninsts; n++) {
    const struct bt_rollout_inst *i = &p->in->insts[n];
    if (n != index && i->away && !i->current && !i->leaving && (p->slot_of ? p->slot_of[n] : i->slot) == number)
      return true;
  }
  return false;
}

/* Puts one instance into its slot, or lets it go where it has no place. */
static void place(struct ro_pass *p, size_t index) {
  const struct bt_rollout_inst *i = &p->in->insts[index];
  int number = p->slot_of ? p->slot_of[index] : i->slot;
  if (number < 1 || number > p->in->replicas) {
    if (!i->leaving)
      ro_act(p, BT_ROLL_RELEASE, i->slot, index, "the service was scaled down");
    return;
  }
  struct ro_slot *s = &p->slots[number - 1];
  if (i->leaving && number != i->slot)
    take_over(p, number, index + 1);
  if (i->lost && i->leaving)
    return;
  if (i->leaving) {
    s->leaving = true;
    return;
  }
  if (i->lost || (i->away && !s->away)) {
    take_seat(p, i->lost ? &s->lost : &s->away, index);
    return;
  }
  if (!i->current && !i->assigned_ms && !replaces(p, index, number)) {
    ro_act(p, BT_ROLL_RELEASE, i->slot, index, "it was never started, and its spec is old");
    return;
  }
  take_seat(p, i->current ? &s->current : &s->old, index);
}

static int compare_surplus(const void *a, const void *b) {
  const struct bt_roll_action *x = a, *y = b;
  return y->slot - x->slot;
}

/* What makes way is its slot's own instance until there is another. */
static void seat_alone(struct ro_pass *p) {
  for (int n = 0; n < p->in->replicas; n++) {
    struct ro_slot *s = &p->slots[n];
    if (!s->away || s->current || s->old)
      continue;
    *(p->in->insts[s->away - 1].current ? &s->current : &s->old) = s->away;
    s->away = 0;
  }
}

/* Where one must go before the next begins, one that waits for a place has no business beside one that has it, and is no more lost or about to
 * make way: a place could be found at any time, also while the first one is restarted or stopped. */
static void seat_returned(struct ro_pass *p) {
  for (int n = 0; n < p->in->replicas && p->in->order == BT_STOP_FIRST && !ro_keeps_old(p); n++) {
    struct ro_slot *s = &p->slots[n];
    if (!s->current || (!s->old && !s->leaving) || p->in->insts[s->current - 1].assigned_ms)
      continue;
    ro_act(p, BT_ROLL_RELEASE, p->in->insts[s->current - 1].slot, s->current - 1, "its slot is taken");
    s->current = 0;
  }
}

/* Who stays is chosen where there are too many. */
static void choose(struct ro_pass *p) {
  bool surplus = false;
  for (size_t n = 0; n < p->in->ninsts; n++)
    surplus = surplus || (!p->in->insts[n].leaving && p->in->insts[n].slot > p->in->replicas);
  if (!surplus || p->in->fixed_slots)
    return;
  p->slot_of = bt_newn(int, p->in->ninsts);
  bt_scale_in(p->in->insts, p->in->ninsts, p->in->replicas, p->slot_of);
}

static void survey(struct ro_pass *p) {
  choose(p);
  for (size_t n = 0; n < p->in->ninsts; n++)
    place(p, n);
  seat_alone(p);
  seat_returned(p);
  if (p->out->actions.len > 1)
    qsort(p->out->actions.items, p->out->actions.len, sizeof *p->out->actions.items, compare_surplus);
  for (int n = 0; n < p->in->replicas; n++) { /* only those that stay, after those that go: they may be gone at once */
    const struct ro_slot *s = &p->slots[n];
    const size_t seats[] = {s->current, s->old, s->away, s->lost};
    for (size_t i = 0; i < BT_COUNT(seats); i++)
      take_over(p, n + 1, seats[i]);
  }
}

/* The successor stands: the old one may go. Under "continue" it goes even where the successor failed. */
static void retire_old(struct ro_pass *p, const struct ro_slot *s, const struct bt_rollout_inst *current, bool struck) {
  bool go_on = struck && p->in->update->on_failure == BT_FAIL_CONTINUE;
  if (stands(p, current) || current->done || go_on)
    ro_act(p, BT_ROLL_RELEASE, current->slot, s->old - 1, "its successor is ready");
  else if (!struck)
    p->out->waiting++;
}

static void look_at_current(struct ro_pass *p, const struct ro_slot *s) {
  const struct bt_rollout_inst *i = &p->in->insts[s->current - 1];
  const char *why = i->struck || i->changing ? NULL : strike_reason(p, i);
  if (why) {
    ro_act(p, BT_ROLL_STRIKE, i->slot, s->current - 1, why);
    p->progress->failed++;
  }
  p->struck += i->struck || why;
  p->renewed++;
  p->paired += s->old != 0;
  if (s->old && !ro_keeps_old(p))
    retire_old(p, s, i, i->struck || why);
  else if ((!settled(p, i) || i->changing) && !why)
    p->out->waiting++;
  if (i->begun_ms >= p->progress->started_ms && i->ready_ms > p->last_ready_ms)
    p->last_ready_ms = i->ready_ms;
}

/* Whether it serves, and did so for long enough that what it takes over from may go. */
static bool takes_over(struct ro_pass *p, size_t seat) {
  const struct bt_rollout_inst *i = seat ? &p->in->insts[seat - 1] : NULL;
  if (i && BT_PLANT(MOVE_EARLY))
    return i->assigned_ms;
  if (!i || !i->ready)
    return i && i->done;
  int64_t at = i->ready_ms + (p->in->checked ? 0 : UNCHECKED_MS);
  if (p->in->now_ms < at)
    ro_wake(p, at);
  return p->in->now_ms >= at;
}

static bool has_place(const struct ro_pass *p, size_t seat) { return seat && p->in->insts[seat - 1].assigned_ms; }

/* Who makes way goes when a successor stands; who is lost as soon as one has a place: a slot is never two instances' that may both run. */
static void make_way(struct ro_pass *p, int number) {
  const struct ro_slot *s = &p->slots[number - 1];
  bool wanted = s->away && p->in->insts[s->away - 1].current; /* then one of the spec before is nothing to go for */
  if (s->away && (takes_over(p, s->current) || (!wanted && takes_over(p, s->old))))
    ro_act(p, BT_ROLL_RELEASE, number, s->away - 1, "its replacement is ready");
  if (s->lost && (has_place(p, s->current) || has_place(p, s->old)))
    ro_act(p, BT_ROLL_RELEASE, number, s->lost - 1, "its node was lost, and it is replaced");
}

static void look_at_slot(struct ro_pass *p, int number) {
  const struct ro_slot *s = &p->slots[number - 1];
  make_way(p, number);
  if (s->current) {
    look_at_current(p, s);
  } else if (s->old) {
    p->out->outdated++;
  } else {
    p->out->waiting++;
    if (!s->leaving || p->in->order == BT_START_FIRST || BT_PLANT(SLOT_SHARED))
      ro_act(p, BT_ROLL_CREATE, number, 0, "its slot is empty");
  }
}

static void replace(struct ro_pass *p, int number) {
  const struct ro_slot *s = &p->slots[number - 1];
  if (p->in->insts[s->old - 1].restartable)
    ro_act(p, BT_ROLL_RESTART, number, s->old - 1, "a restart was asked for");
  else if (p->in->order == BT_START_FIRST)
    ro_act(p, BT_ROLL_CREATE, number, 0, "an update, start-first");
  else
    ro_act(p, BT_ROLL_RELEASE, number, s->old - 1, "an update, stop-first");
}

/* Takes old instances that do not work before those that do: replacing them costs nothing. */
static void begin_batch(struct ro_pass *p, int most) {
  int left = BT_MIN(most, p->in->update->parallelism > 0 ? p->in->update->parallelism : p->in->replicas);
  for (int broken = 1; broken >= 0; broken--)
    for (int n = 1; n <= p->in->replicas && left > 0; n++) {
      const struct ro_slot *s = &p->slots[n - 1];
      if (s->current || !s->old || p->in->insts[s->old - 1].ready == (broken == 1))
        continue;
      replace(p, n);
      p->out->waiting++;
      left--;
    }
  p->progress->batch_open = true;
}

/* Whether the failures so far stop the update. */
static bool over_ratio(struct ro_pass *p) {
  const struct bt_rollout *r = p->progress;
  if (p->in->update->on_failure == BT_FAIL_CONTINUE || r->failed == 0)
    return false;
  return (double)r->failed / (r->total > 0 ? r->total : 1) > p->in->update->max_failure_ratio;
}

void ro_finish(struct ro_pass *p) {
  int64_t end_ms = p->last_ready_ms + p->in->update->monitor_ms;
  if (p->last_ready_ms && p->in->now_ms < end_ms)
    ro_wake(p, end_ms);
  else
    p->progress->state = BT_RO_DONE;
}

void ro_next_batch(struct ro_pass *p, int most) {
  struct bt_rollout *r = p->progress;
  if (r->batch_open) {
    r->batch_open = false;
    r->batch_ms = p->in->now_ms;
  }
  if (p->out->outdated == 0 || r->held)
    return;
  if (r->batch_ms && p->in->now_ms < r->batch_ms + p->in->update->delay_ms)
    ro_wake(p, BT_PLANT(DELAY_LOST) ? INT64_MAX : r->batch_ms + p->in->update->delay_ms);
  else if (p->in->gate_open)
    begin_batch(p, most);
}

static void step_update(struct ro_pass *p) {
  struct bt_rollout *r = p->progress;
  if ((r->abort && !BT_PLANT(ABORT_UNHEARD)) || over_ratio(p)) {
    r->state = r->abort || p->in->update->on_failure == BT_FAIL_ROLLBACK ? BT_RO_ROLLBACK : BT_RO_PAUSED;
    ro_go_back(p);
    return;
  }
  if (ro_has_way(p)) {
    ro_step_way(p);
    return;
  }
  r->split = r->go = false;
  if (p->out->waiting > 0)
    return;
  ro_next_batch(p, p->in->replicas);
  if (p->out->outdated == 0)
    ro_finish(p);
}

/* Whether an instance is well: with a check at once, without one when it has held out long enough not to be one that ends as soon
 * as it starts, and after a failure when the failure is forgiven. */
static bool well(struct ro_pass *p, const struct bt_rollout_inst *i) {
  if (i->done)
    return true;
  int64_t hold_ms = i->struck || i->failures > 0 ? BT_MAX(p->in->update->monitor_ms, BT_BACKOFF_WELL_MS)
                    : p->in->checked             ? 0
                                                 : FRESH_UNCHECKED_MS;
  int64_t at = i->ready_ms + hold_ms;
  if (i->ready && p->in->now_ms < at)
    ro_wake(p, at);
  return i->ready && p->in->now_ms >= at;
}

/* What is old and is kept beside the new still has its requests: who gets them is left to decide. */
static bool all_well(struct ro_pass *p) {
  if (p->out->waiting > 0 || p->out->outdated > 0 || (p->paired > 0 && ro_keeps_old(p)))
    return false;
  for (int n = 0; n < p->in->replicas; n++) {
    size_t current = p->slots[n].current;
    if (!current || !well(p, &p->in->insts[current - 1]))
      return false;
  }
  return true;
}

static void enter(struct ro_pass *p, enum bt_rollout_state state) {
  *p->progress = (struct bt_rollout){.state = state, .total = p->out->outdated + (ro_keeps_old(p) ? p->paired : 0), .started_ms = p->in->now_ms};
}

/* What a state that is not "updating" turns into, given what was seen. */
static void step_other(struct ro_pass *p) {
  struct bt_rollout *r = p->progress;
  if (r->state == BT_RO_START)
    enter(p, p->out->outdated > 0 || (p->paired > 0 && ro_keeps_old(p)) ? BT_RO_UPDATING : BT_RO_FRESH);
  else if (r->state != BT_RO_PAUSED && r->state != BT_RO_ROLLBACK && p->out->outdated > 0 && p->out->waiting == 0)
    enter(p, BT_RO_UPDATING); /* a restart was asked for, or a partner was replaced */
  if (r->state == BT_RO_FRESH && p->struck > 0)
    r->state = BT_RO_FAILED;
  if ((r->state == BT_RO_FRESH || r->state == BT_RO_FAILED || r->state == BT_RO_PAUSED) && all_well(p)) {
    r->state = BT_RO_DONE;
    r->split = false; /* all are of one kind */
  }
}

void bt_rollout_step(const struct bt_rollout_in *in, struct bt_rollout *progress, struct bt_rollout_out *out) {
  *out = (struct bt_rollout_out){.wake_ms = INT64_MAX};
  struct ro_pass p = {.in = in, .progress = progress, .out = out, .slots = bt_newn(struct ro_slot, (size_t)in->replicas + 1)};
  p.restarts = ro_only_restarts(&p);
  survey(&p);
  for (int n = 1; n <= in->replicas; n++)
    look_at_slot(&p, n);
  if (progress->state != BT_RO_UPDATING)
    step_other(&p);
  if (progress->state == BT_RO_UPDATING)
    step_update(&p);
  free(p.slots);
  free(p.slot_of);
}

void bt_rollout_out_free(struct bt_rollout_out *out) { bt_vec_free(&out->actions); }
