/* Rollouts, step by step: plan/rollout. */
#include "config.h"

#include "plan/rollout.h"
#include "plan/scale_in.h"
#include "tap.h"

/* A small world: instances that do what the rollout says. */
struct world {
  struct bt_rollout_inst insts[32];
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
    else if (a->kind == BT_ROLL_SLOT)
      w->insts[a->index].slot = a->slot;
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
  ok(count(&w, BT_ROLL_RELEASE) == 2 && w.out.actions.items[0].slot == 3 && w.out.actions.items[1].slot == 2, "where all are alike, down from the highest slot");
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

/* ---- who makes way, who is lost ---- */

static bool releases(const struct world *w, size_t index) {
  bt_vec_each(&w->out.actions, a) if (a->kind == BT_ROLL_RELEASE && a->index == index) return true;
  return false;
}

static struct world settled_world(int replicas) {
  struct world w = world_of(replicas);
  step(&w);
  obey(&w);
  all_ready(&w);
  step(&w);
  return w;
}

static void test_away(void) {
  struct world w = settled_world(2);
  w.insts[0].away = true;
  step(&w);
  is_int(w.out.actions.len, 0, "who makes way holds its slot until there is another");
  add(&w, 1, true, false);
  step(&w);
  is_int(w.out.actions.len, 0, "and while that one comes up");
  w.unchecked = true;
  all_ready(&w);
  step(&w);
  ok(w.out.actions.len == 0 && w.out.wake_ms == w.now + BT_ROLLOUT_UNCHECKED_MS, "what nobody checks has to run for a while first");
  w.now += BT_ROLLOUT_UNCHECKED_MS;
  step(&w);
  ok(count(&w, BT_ROLL_RELEASE) == 1 && releases(&w, 0), "then the first one goes");
  w.insts[0].away = false;
  step(&w);
  ok(count(&w, BT_ROLL_RELEASE) == 1 && releases(&w, 2), "called off: the second one goes");
  w.insts[2].ready = false;
  w.insts[0].away = true;
  w.insts[2].assigned_ms = 0;
  w.insts[2].current = false;
  step(&w);
  ok(count(&w, BT_ROLL_RELEASE) == 1 && releases(&w, 2), "a new spec: what was to replace it and did not begin goes");
  bt_rollout_out_free(&w.out);
}

static void test_away_update(void) {
  struct world w = settled_world(1);
  w.insts[0].away = true;
  add(&w, 1, true, false);
  outdate(&w);
  for (int i = 0; i < 20 && w.roll.state != BT_RO_DONE; i++) {
    step(&w);
    obey(&w);
    w.now += 10000;
    all_ready(&w);
  }
  ok(w.roll.state == BT_RO_DONE && w.n == 1 && w.insts[0].current && !w.insts[0].away, "an update that begins on the way ends with one of the new spec");
  bt_rollout_out_free(&w.out);
}

/* An update that stopped leaves old ones, and one of them has to leave its node. */
static void test_away_paused(void) {
  struct world w = settled_world(2);
  outdate(&w);
  w.roll.state = BT_RO_PAUSED;
  add(&w, 1, true, false); /* its successor failed */
  w.insts[2].struck = true;
  for (size_t i = 0; i < 2; i++) {
    w.insts[i].away = true;
    add(&w, w.insts[i].slot, false, false);
    w.insts[w.n - 1].assigned_ms = 0;
  }
  step(&w);
  is_int(w.out.actions.len, 0, "one of its own spec may come for it, and wait for a place");
  w.insts[3].assigned_ms = w.insts[4].assigned_ms = w.now;
  w.insts[3].ready = w.insts[4].ready = true;
  w.insts[3].ready_ms = w.insts[4].ready_ms = w.now;
  step(&w);
  ok(count(&w, BT_ROLL_RELEASE) == 2 && releases(&w, 0) && releases(&w, 1), "and takes its place");
  bt_rollout_out_free(&w.out);
}

/* It is of the wanted spec, and what stands beside it in its slot is not: that one is no replacement for it. */
static void test_away_beside_old(void) {
  struct world w = settled_world(1);
  w.insts[0].away = true;
  add(&w, 1, false, true);
  add(&w, 1, true, false);
  w.insts[2].assigned_ms = 0;
  w.order = BT_START_FIRST;
  w.now += 10000;
  step(&w);
  ok(!releases(&w, 0), "it stays until its replacement serves");
  bt_rollout_out_free(&w.out);
}

static void test_lost(void) {
  struct world w = settled_world(2);
  w.insts[0].lost = true;
  w.insts[0].ready = false;
  step(&w);
  ok(w.out.actions.len == 1 && w.out.actions.items[0].kind == BT_ROLL_CREATE && w.out.actions.items[0].slot == 1, "its slot is filled anew, stop-first too");
  obey(&w);
  w.insts[2].assigned_ms = 0;
  step(&w);
  is_int(w.out.actions.len, 0, "while the new one has no place it may come back");
  w.insts[0].lost = false;
  w.insts[0].ready = true;
  step(&w);
  ok(w.out.actions.len == 1 && releases(&w, 2), "and then the new one goes");
  w.insts[0].lost = true;
  w.insts[0].ready = false;
  w.insts[2].assigned_ms = w.now;
  step(&w);
  ok(w.out.actions.len == 1 && releases(&w, 0), "with a place for the new one it is to go");
  w.insts[0].leaving = true;
  step(&w);
  is_int(w.out.actions.len, 0, "and holds nothing up");
  w.insts[0].lost = w.insts[0].leaving = false;
  step(&w);
  ok(w.out.actions.len == 1 && releases(&w, 2), "of two that run the one that serves stays");
  bt_rollout_out_free(&w.out);
}

/* The slot's first one comes back, old by now, before its successor has a place. */
static void test_back_old(void) {
  struct world w = settled_world(1);
  w.insts[0].current = false;
  w.insts[0].restartable = true;
  add(&w, 1, true, false);
  w.insts[1].assigned_ms = 0;
  step(&w);
  ok(releases(&w, 1) && !releases(&w, 0), "stop-first: who has a place keeps its slot for itself, and who waits for one goes");
  w.insts[0].restartable = false;
  step(&w);
  ok(releases(&w, 1), "of another spec, too");
  w.order = BT_START_FIRST;
  step(&w);
  is_int(w.out.actions.len, 0, "start-first: it may wait for a place beside it");
  w.order = BT_STOP_FIRST;
  w.insts[1].assigned_ms = w.now;
  step(&w);
  ok(!releases(&w, 1), "who has a place is not taken for one that waits");
  w.insts[0].leaving = true;
  w.insts[1].assigned_ms = 0;
  step(&w);
  ok(releases(&w, 1), "nor does one wait beside one that comes back and is being stopped");
  bt_rollout_out_free(&w.out);
}

/* ---- fewer ---- */

static void fewer(struct world *w, int replicas, const char *want, const char *name) {
  char got[256] = "";
  w->replicas = replicas;
  step(w);
  for (size_t i = 0; i < w->n; i++) {
    int slot = releases(w, i) ? 0 : w->insts[i].slot;
    bt_vec_each(&w->out.actions, a) if (a->kind == BT_ROLL_SLOT && a->index == i) slot = a->slot;
    snprintf(got + strlen(got), sizeof got - strlen(got), "%s%d", i ? " " : "", slot);
  }
  is_str(got, want, name);
}

static void test_fewer(void) {
  struct world w = settled_world(6); /* the slots that they have in the end, 0: gone */
  static const uint32_t on[] = {1, 1, 1, 2, 2, 3};
  for (size_t i = 0; i < 6; i++) {
    w.insts[i].node = on[i];
    w.insts[i].assigned_ms = 1000 + (int64_t)i;
  }
  fewer(&w, 5, "1 2 0 4 5 3", "from where most are, the youngest there; the highest takes its slot");
  fewer(&w, 3, "1 0 0 2 0 3", "one of each node stays");
  fewer(&w, 0, "0 0 0 0 0 0", "none");
  w.insts[3].closing = true;
  fewer(&w, 5, "1 2 3 0 5 4", "who is on a node that takes no new ones goes before");
  w.insts[0].ready = false;
  fewer(&w, 5, "0 2 3 4 5 1", "who does not serve goes first");
  fewer(&w, 4, "0 2 3 0 1 4", "and then the next");
  w.insts[5].leaving = true;
  fewer(&w, 5, "1 2 3 4 5 6", "who leaves already is enough");
  w.insts[5].leaving = false;
  w.insts[5].lost = true;
  w.insts[0].ready = true;
  fewer(&w, 5, "1 2 3 4 5 0", "who is lost goes first as well");
  bt_rollout_out_free(&w.out);
}

/* Below n. In a function: an initialiser may evaluate its members in any order. */
static int next_of(unsigned *seed, int n) {
  *seed = *seed * 1103515245 + 12345;
  return (int)((*seed >> 9) % (unsigned)n);
}

/* Whatever there is: afterwards each slot up to the number is held by one at the most, and nobody goes that need not. */
static void test_fewer_random(void) {
  unsigned seed = 11;
  bool fine = true;
  for (int round = 0; round < 3000 && fine; round++) {
#define NEXT(n) next_of(&seed, (n))
    struct bt_rollout_inst insts[24] = {0};
    int slots[24], held[64] = {0}, before = 0, after = 0, replicas = NEXT(20);
    size_t n = (size_t)NEXT(24);
    bool was[64] = {0};
    for (size_t i = 0; i < n; i++)
      insts[i] = (struct bt_rollout_inst){.slot = 1 + NEXT(30), .ready = NEXT(2), .closing = NEXT(2), .node = (uint32_t)NEXT(4), .leaving = NEXT(6) == 0, .lost = NEXT(6) == 0, .assigned_ms = NEXT(5)};
    bt_scale_in(insts, n, replicas, slots);
    for (size_t i = 0; i < n; i++) {
      if (insts[i].leaving) {
        fine = fine && slots[i] == insts[i].slot;
        continue;
      }
      before += !was[insts[i].slot];
      was[insts[i].slot] = true;
      fine = fine && slots[i] >= 0 && slots[i] <= replicas && (insts[i].slot > replicas || slots[i] == 0 || slots[i] == insts[i].slot);
      if (slots[i] && held[slots[i]] && held[slots[i]] != insts[i].slot)
        fine = false;
      after += slots[i] && !held[slots[i]];
      held[slots[i]] = insts[i].slot;
    }
    fine = fine && after == BT_MIN(before, replicas);
  }
  ok(fine, "as many slots stay as can, each of one");
}

/* Who goes may be gone at once: nothing else may be asked of it. */
static void test_gone_at_once(void) {
  struct world w = world_of(1);
  add(&w, 2, false, false);
  w.insts[0].assigned_ms = 0;
  step(&w);
  ok(count(&w, BT_ROLL_RELEASE) == 1 && count(&w, BT_ROLL_SLOT) == 0, "what was never started goes, and gets no other slot first");
  bt_rollout_out_free(&w.out);
}

int main(void) {
  test_gone_at_once();
  test_away();
  test_away_update();
  test_away_paused();
  test_away_beside_old();
  test_lost();
  test_back_old();
  test_fewer();
  test_fewer_random();
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
  return done_testing();
}
