/* The wall clock is set back and forward by an hour: control's timers go on evenly, what is recorded has the wall clock's time. */
#include "config.h"

#include "control_kit.h"

#define HOUR (3600 * 1000LL)
#define APP(version)                                                                                                               \
  "{'app':'shop','model':{'name':'shop','services':{'web':{'image':'web:" version "','restart':'always','deploy':{'replicas':3,"   \
  "'update_config':{'parallelism':1,'delay':'1m0s','monitor':'1s','order':'stop-first'}}}}}}"

static void apply(struct kit *k, const char *args) {
  const struct bt_reply *reply = kit_request(k, "app.apply", args, false);
  ok(reply && reply->code == BT_OK, "apply");
  kit_resolve(k, "aa");
}

static int leaving(struct kit *k) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i;
  json_t *o;
  int n = 0;
  json_array_foreach(list, i, o) n += bt_json_bool(o, "leaving", false);
  return n;
}

/* What leaves is gone, what comes is up, and has been for a while: the delay until the next batch runs. */
static void batch_through(struct kit *k) {
  kit_all_leave(k);
  kit_tick(k, 10);
  kit_all_run(k);
  kit_tick(k, 1500);
}

/* An update of three instances, one after the other with a minute between them: the first of them is through. */
static struct kit in_the_middle(void) {
  struct kit k;
  kit_start(&k);
  kit_hello(&k);
  apply(&k, APP("1"));
  kit_all_run(&k);
  kit_tick(&k, 10 * 1000);
  apply(&k, APP("2"));
  is_int(leaving(&k), 1, "the first instance is replaced");
  batch_through(&k);
  is_int(leaving(&k), 0, "the second one has to wait");
  return k;
}

/* Whether some object of a kind has a time from within the ten minutes before the given one. */
static bool has_time(struct kit *k, const char *kind, const char *key, int64_t at) {
  BT_AUTO_JSON list = kit_list(k, kind, NULL);
  size_t i;
  json_t *o;
  int64_t ms = 0;
  json_array_foreach(list, i, o)
    if (bt_json_str(o, key) && bt_clock_parse(bt_json_str(o, key), &ms) && ms <= at && ms > at - 600 * 1000)
      return true;
  return false;
}

static void test_back(void) {
  struct kit k = in_the_middle();
  k.set = -HOUR;
  kit_tick(&k, 30 * 1000);
  is_int(leaving(&k), 0, "set back by an hour: it still waits");
  kit_tick(&k, 40 * 1000);
  is_int(leaving(&k), 1, "and goes on after its minute");
  batch_through(&k);
  kit_tick(&k, 70 * 1000);
  is_int(leaving(&k), 1, "so does the third");
  batch_through(&k);
  ok(has_time(&k, "events", "time", k.now - HOUR), "events have the new time");
  ok(has_time(&k, "instances", "assigned_at", k.now - HOUR), "readers see times of the wall clock");
  kit_end(&k);
}

static void test_forward(void) {
  struct kit k = in_the_middle();
  k.set = HOUR;
  kit_tick(&k, 20 * 1000);
  is_int(leaving(&k), 0, "set forward by an hour: it still waits");
  kit_tick(&k, 50 * 1000);
  is_int(leaving(&k), 1, "and goes on after its minute, not before");
  kit_end(&k);
}

/* Set back while the server was down: what is stored lies in the future. */
static void test_restart(void) {
  struct kit k = in_the_middle();
  k.now -= HOUR;
  kit_reload(&k);
  kit_hello_again(&k);
  kit_tick(&k, 70 * 1000);
  is_int(leaving(&k), 1, "a start with a clock set back: it waits no longer than its minute");
  kit_end(&k);
}

/* Set back and then restarted: the times that readers see stay, and so do the timers. */
static void test_set_then_restart(void) {
  struct kit k = in_the_middle();
  k.set = -HOUR;
  kit_tick(&k, 30 * 1000);
  k.now -= HOUR;
  k.set = 0;
  kit_reload(&k);
  kit_hello_again(&k);
  kit_tick(&k, 70 * 1000);
  is_int(leaving(&k), 1, "set back, and a start later: it waits no longer than its minute");
  kit_end(&k);
}

int main(void) {
  test_back();
  test_forward();
  test_restart();
  test_set_then_restart();
  return done_testing();
}
