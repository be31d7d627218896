/* Blue-green and canary, step by step: plan/rollout_way; and how x-berth.rollout is read: model/way. */
#include "config.h"

#include "base/json.h"
#include "plan/rollout.h"
#include "tap.h"

/* A small world: instances that do what the rollout says. */
struct world {
  struct bt_rollout_inst insts[64];
  size_t n;
  struct bt_update update;
  struct bt_way way;
  struct bt_rollout roll;
  struct bt_rollout_out out;
  int replicas;
  bool gate_closed;
  int64_t now;
};

static void add(struct world *w, int slot, bool current) {
  w->insts[w->n++] = (struct bt_rollout_inst){.slot = slot, .state = BT_ST_RUNNING, .current = current, .ready = !current, .begun_ms = w->now, .assigned_ms = w->now, .ready_ms = current ? 0 : w->now};
}

/* So many old ones that are ready. */
static struct world old_world(int replicas, enum bt_way_kind kind) {
  struct world w = {.replicas = replicas, .now = 1000, .update = {.parallelism = 1, .monitor_ms = 5000, .on_failure = BT_FAIL_ROLLBACK, .order = BT_START_FIRST},
                    .way = {.kind = kind, .keep_ms = 60000}};
  for (int slot = 1; slot <= replicas; slot++)
    add(&w, slot, false);
  w.now += 1000;
  return w;
}

static void look(struct world *w) {
  bt_rollout_out_free(&w->out);
  bt_rollout_step(
      &(struct bt_rollout_in){
          .update = &w->update,
          .way = &w->way,
          .order = w->update.order,
          .replicas = w->replicas,
          .deadline_ms = 600000,
          .checked = true,
          .gate_open = !w->gate_closed,
          .insts = w->insts,
          .ninsts = w->n,
          .now_ms = w->now,
      },
      &w->roll, &w->out);
}

static void obey(struct world *w) {
  bool gone[64] = {0};
  size_t before = w->n, kept = 0;
  bt_vec_each(&w->out.actions, a) {
    if (a->kind == BT_ROLL_CREATE)
      add(w, a->slot, true);
    else if (a->kind == BT_ROLL_RELEASE)
      gone[a->index] = true;
    else if (a->kind == BT_ROLL_STRIKE)
      w->insts[a->index].struck = true;
    else
      w->insts[a->index] = (struct bt_rollout_inst){.slot = a->slot, .current = true, .ready = true, .begun_ms = w->now, .assigned_ms = w->now, .ready_ms = w->now};
  }
  for (size_t i = 0; i < w->n; i++)
    if (i >= before || !gone[i])
      w->insts[kept++] = w->insts[i];
  w->n = kept;
}

static void ready(struct world *w) {
  for (size_t i = 0; i < w->n; i++)
    if (!w->insts[i].ready && !w->insts[i].struck) {
      w->insts[i].ready = true;
      w->insts[i].ready_ms = w->now;
    }
}

static int count(const struct world *w, bool current) {
  int n = 0;
  for (size_t i = 0; i < w->n; i++)
    n += w->insts[i].current == current;
  return n;
}

/* Looks, obeys and lets all become ready until nothing more is asked for. */
static void settle(struct world *w) {
  for (int i = 0; i < 50; i++) {
    look(w);
    if (!w->out.actions.len && i > 0)
      return;
    obey(w);
    ready(w);
  }
}

static void words_are(struct world *w, const char *want, const char *name) {
  BT_AUTO_FREE char *words = bt_rollout_words(&w->way, &w->roll, w->replicas, count(w, true), w->now);
  is_str(words, want, name);
}

static void test_blue_green(void) {
  struct world w = old_world(3, BT_WAY_BLUE_GREEN);
  look(&w);
  is_int(w.roll.state, BT_RO_UPDATING, "it begins");
  ok(w.roll.split && w.roll.weight == 0, "no request goes to new ones");
  obey(&w);
  is_int(count(&w, true), 3, "all new ones at once");
  is_int(count(&w, false), 3, "beside the old");
  look(&w);
  is_int(w.out.actions.len, 0, "then it waits");
  words_are(&w, "blue-green: 3 of 3 new instances are there; requests go to the old ones until all are ready", "and says so");
  w.insts[3].ready = w.insts[4].ready = true;
  w.insts[3].ready_ms = w.insts[4].ready_ms = w.now;
  look(&w);
  is_int(w.roll.weight, 0, "two of three are not enough");
  ready(&w);
  look(&w);
  is_int(w.roll.weight, 100, "all are ready: the switch");
  is_int(w.out.actions.len, 0, "and nobody goes");
  is_int(w.out.wake_ms, w.now + 60000, "before the time is over");
  words_are(&w, "blue-green: requests go to the new instances; the old ones stay for 1m", "it says how long");
  w.now += 59000;
  look(&w);
  is_int(w.out.actions.len, 0, "not yet");
  w.now += 1000;
  look(&w);
  obey(&w);
  is_int(count(&w, false), 0, "then the old ones go");
  ok(w.roll.split, "which still may answer");
  look(&w);
  ok(w.roll.state == BT_RO_DONE && !w.roll.split, "and it is through");
  bt_rollout_out_free(&w.out);
}

/* A new one is preempted, or its node goes, while the old ones still stand. */
static void test_blue_green_taken(void) {
  struct world w = old_world(2, BT_WAY_BLUE_GREEN);
  look(&w);
  obey(&w);
  ready(&w);
  look(&w);
  is_int(w.roll.weight, 100, "switched");
  w.insts[3].leaving = true;
  look(&w);
  ok(w.roll.state == BT_RO_UPDATING && w.roll.split && w.roll.weight == 0, "a new one is taken away: requests go to the old ones again");
  ok(w.out.actions.len == 1 && w.out.actions.items[0].kind == BT_ROLL_CREATE && w.out.actions.items[0].slot == 2, "and another is made");
  w.n--;
  obey(&w);
  look(&w);
  is_int(w.roll.weight, 0, "which is waited for");
  ready(&w);
  w.now += 1000;
  look(&w);
  ok(w.roll.weight == 100 && w.out.wake_ms == w.now + 60000, "then they get the requests, for the whole time");
  bt_rollout_out_free(&w.out);
}

static void test_blue_green_fails(void) {
  struct world w = old_world(2, BT_WAY_BLUE_GREEN);
  look(&w);
  obey(&w);
  ready(&w);
  look(&w);
  is_int(w.roll.weight, 100, "switched");
  w.now += 30000; /* long after monitor */
  w.insts[2].ready = false;
  w.insts[2].fell = true;
  look(&w);
  is_int(w.roll.state, BT_RO_ROLLBACK, "a failure while the old ones stay goes back");
  ok(w.roll.split && w.roll.weight == 0, "requests go to the old ones at once");
  is_int(count(&w, false), 2, "which are there");
  obey(&w);
  look(&w);
  is_int(w.out.actions.len, 0, "and stay");
  /* the revision before comes back: what was old is wanted again */
  for (size_t i = 0; i < w.n; i++)
    w.insts[i].current = !w.insts[i].current;
  w.roll = (struct bt_rollout){.state = BT_RO_START};
  w.way.kind = BT_WAY_ROLLING;
  look(&w);
  obey(&w);
  is_int(w.n, 2, "then the failed ones go at once");
  is_int(count(&w, true), 2, "and the others serve");
  bt_rollout_out_free(&w.out);

  w = old_world(2, BT_WAY_BLUE_GREEN);
  w.update.on_failure = BT_FAIL_PAUSE;
  look(&w);
  obey(&w);
  w.insts[2].fell = true;
  look(&w);
  ok(w.roll.state == BT_RO_PAUSED && w.roll.weight == 0, "where the file says pause it stops there");
  obey(&w);
  look(&w);
  is_int(w.out.actions.len, 0, "with both sides as they are");
  w.insts[2].fell = false;
  ready(&w);
  w.insts[2].ready = true;
  w.insts[2].ready_ms = w.now;
  w.now += 600000;
  look(&w);
  ok(w.roll.state == BT_RO_PAUSED && w.roll.split && w.roll.weight == 0, "also when the new ones have come up: a person says whether they take over");
  is_int(w.out.actions.len, 0, "and nobody goes");
  w.insts[0].lost = w.insts[1].lost = true;
  look(&w);
  obey(&w);
  ok(w.roll.state == BT_RO_DONE && !w.roll.split, "where the old ones are lost, there is nothing to choose");
  is_int(count(&w, false), 0, "and the new ones serve alone");
  bt_rollout_out_free(&w.out);
}

static void test_blue_green_wishes(void) {
  struct world w = old_world(2, BT_WAY_BLUE_GREEN);
  look(&w);
  obey(&w);
  bt_rollout_wish(&w.roll, BT_WISH_PAUSE);
  ready(&w);
  look(&w);
  is_int(w.roll.weight, 0, "held, it does not switch");
  words_are(&w, "blue-green: 2 of 2 new instances are there; requests go to the old ones until all are ready; it is held", "and says so");
  bt_rollout_wish(&w.roll, BT_WISH_PROMOTE);
  look(&w);
  is_int(w.roll.weight, 100, "promoted, it does");
  is_int(w.out.actions.len, 0, "but the old ones stay");
  bt_rollout_wish(&w.roll, BT_WISH_PAUSE);
  w.now += 120000;
  look(&w);
  is_int(w.out.actions.len, 0, "held, for as long as it takes");
  bt_rollout_wish(&w.roll, BT_WISH_PROMOTE);
  look(&w);
  is_int(w.out.actions.len, 2, "promoted again, they go");
  bt_rollout_wish(&w.roll, BT_WISH_ABORT);
  look(&w);
  is_int(w.roll.state, BT_RO_ROLLBACK, "aborted, it goes back");
  bt_rollout_out_free(&w.out);
}

/* A restart that is asked for goes in place, whatever the way. */
static void test_restart(void) {
  struct world w = old_world(2, BT_WAY_BLUE_GREEN);
  w.roll.state = BT_RO_DONE;
  w.insts[0].restartable = w.insts[1].restartable = true;
  look(&w);
  is_int(w.roll.state, BT_RO_UPDATING, "a restart");
  ok(w.out.actions.len == 1 && w.out.actions.items[0].kind == BT_ROLL_RESTART && !w.roll.split, "in place, one by one");
  obey(&w);
  settle(&w);
  w.now += 10000;
  settle(&w);
  is_int(w.roll.state, BT_RO_DONE, "and is through");
  is_int(w.n, 2, "with as many as before");
  bt_rollout_out_free(&w.out);
  /* during an update: of an old one and one that is only to be restarted, the latter is the one to keep */
  w = old_world(1, BT_WAY_ROLLING);
  add(&w, 1, false);
  w.insts[1].restartable = true;
  look(&w);
  ok(w.out.actions.len >= 1 && w.out.actions.items[0].kind == BT_ROLL_RELEASE && w.out.actions.items[0].index == 0, "the older one goes");
  bt_rollout_out_free(&w.out);
}

/* A restart in the middle: the new ones were made anew beside those that are only to be restarted, and nothing else is left of the update. */
static void test_restart_meanwhile(void) {
  struct world w = old_world(2, BT_WAY_BLUE_GREEN);
  for (int slot = 1; slot <= 2; slot++) {
    add(&w, slot, true);
    w.insts[slot - 1].restartable = true;
  }
  ready(&w);
  w.roll = (struct bt_rollout){.state = BT_RO_UPDATING, .started_ms = 1000};
  settle(&w);
  ok(w.n == 2 && count(&w, true) == 2, "nobody waits with them for a switch: they go");
  bt_rollout_out_free(&w.out);
}

static struct bt_way_step step_of(int percent, int weight, int64_t pause_ms) {
  return (struct bt_way_step){{percent, true}, weight, pause_ms};
}

static void test_canary(void) {
  struct world w = old_world(10, BT_WAY_CANARY);
  struct bt_way_step steps[] = {step_of(10, 5, 60000), step_of(35, -1, -1), step_of(50, 50, 0)};
  w.way.steps.items = steps;
  w.way.steps.len = 3;
  w.update.parallelism = 2;
  look(&w);
  obey(&w);
  is_int(count(&w, true), 1, "one of ten, though groups are of two");
  ok(w.roll.split && w.roll.weight == 0, "no request before it stands");
  settle(&w);
  is_int(count(&w, true), 1, "it is alone");
  is_int(count(&w, false), 9, "with nine old ones");
  is_int(w.roll.weight, 5, "and gets its share");
  words_are(&w, "canary step 1 of 3: 1 of 10 instances are new and get 5 of 100 requests; the next step is in 1m", "it says so");
  w.now += 60000;
  settle(&w);
  is_int(count(&w, true), 4, "35 % of ten are four");
  is_int(w.roll.weight, 40, "without a weight they get what they are");
  words_are(&w, "canary step 2 of 3: 4 of 10 instances are new and get 40 of 100 requests; it waits to be promoted", "this one waits");
  w.now += 3600000;
  settle(&w);
  is_int(count(&w, true), 4, "for ever");
  bt_rollout_wish(&w.roll, BT_WISH_PROMOTE);
  w.gate_closed = true;
  settle(&w);
  is_int(count(&w, true), 4, "nothing goes while a dependency is not ready");
  w.gate_closed = false;
  settle(&w);
  is_int(count(&w, true), 10, "promoted, it goes on, and without a pause to the end");
  is_int(count(&w, false), 0, "nothing old is left");
  ok(!w.roll.split, "each instance has its own share again");
  w.now += 5000;
  settle(&w);
  is_int(w.roll.state, BT_RO_DONE, "through");
  bt_rollout_out_free(&w.out);
}

static void test_canary_stops(void) {
  struct world w = old_world(4, BT_WAY_CANARY);
  struct bt_way_step steps[] = {step_of(25, -1, 60000)};
  w.way.steps.items = steps;
  w.way.steps.len = 1;
  settle(&w);
  ok(count(&w, true) == 1 && !w.roll.split, "without weights routes are left alone");
  bt_rollout_wish(&w.roll, BT_WISH_PAUSE);
  w.now += 120000;
  settle(&w);
  is_int(count(&w, true), 1, "held, it stays");
  for (size_t i = 0; i < w.n; i++)
    if (w.insts[i].current) {
      w.insts[i].ready = false;
      w.insts[i].failures = 1;
    }
  look(&w);
  is_int(w.roll.state, BT_RO_ROLLBACK, "a failure in a pause is one, however late");
  bt_rollout_out_free(&w.out);
  /* the step asks for more than there are */
  w = old_world(2, BT_WAY_CANARY);
  steps[0].instances = (struct bt_amount){7, false};
  w.way.steps.items = steps;
  w.way.steps.len = 1;
  settle(&w);
  is_int(count(&w, true), 2, "more than there are is all");
  w.now += 60000;
  settle(&w);
  w.now += 5000;
  settle(&w);
  is_int(w.roll.state, BT_RO_DONE, "and it ends");
  bt_rollout_out_free(&w.out);
  /* the first ones of an app have nothing to go beside */
  w = old_world(3, BT_WAY_BLUE_GREEN);
  w.n = 0;
  settle(&w);
  w.now += 1000;
  settle(&w);
  ok(w.roll.state == BT_RO_DONE && !w.roll.split && w.n == 3, "first instances just come up");
  bt_rollout_out_free(&w.out);
}

static void parses(const char *text, const char *wrong) {
  BT_AUTO_FREE char *json = bt_strdup(text);
  for (char *p = json; *p; p++)
    *p = *p == '\'' ? '"' : *p;
  BT_AUTO_JSON o = json_loads(json, 0, NULL);
  BT_AUTO_ERR err = NULL;
  struct bt_way way;
  int rc = bt_way_parse("web", o, &way, &err);
  if (wrong)
    ok(rc < 0 && strstr(bt_err_message(err), wrong), "%s: %s", text, rc < 0 ? bt_err_message(err) : "it was taken");
  else
    ok(rc == 0, "%s: %s", text, rc < 0 ? bt_err_message(err) : "fine");
  bt_way_free(&way);
}

static void test_parse(void) {
  parses("{'strategy':'blue-green','keep':'30s'}", NULL);
  parses("{'strategy':'canary','steps':[{'instances':'10%','pause':'5m0s'},{'weight':50,'pause':'promote'}]}", NULL);
  parses("{'strategy':'red'}", "none of rolling, blue-green, canary");
  parses("{'strategy':'canary'}", "1 to 20 steps");
  parses("{'strategy':'blue-green','steps':[{'instances':1,'pause':'1s'}]}", "1 to 20 steps");
  parses("{'strategy':'canary','steps':[{'pause':'1s'}]}", "needs instances");
  parses("{'strategy':'canary','steps':[{'instances':'many','pause':'1s'}]}", "needs instances");
  parses("{'strategy':'canary','steps':[{'instances':9223372036854775807,'pause':'1s'}]}", NULL);
  parses("{'strategy':'canary','steps':[{'instances':-1,'pause':'1s'}]}", "needs instances");
  parses("{'strategy':'canary','steps':[{'weight':101,'pause':'1s'}]}", "from 0 to 100");
  parses("{'strategy':'canary','steps':[{'instances':1}]}", "needs pause");
}

int main(void) {
  test_blue_green();
  test_blue_green_taken();
  test_blue_green_fails();
  test_blue_green_wishes();
  test_restart();
  test_restart_meanwhile();
  test_canary();
  test_canary_stops();
  test_parse();
  return done_testing();
}
