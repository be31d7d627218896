/* How the number of instances follows what is observed: model/autoscale, plan/autoscale. */
#include "plan/autoscale.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "tap.h"

static struct bt_autoscale *spec;
static struct bt_scale_past past;
static struct bt_scale_in in;
static struct bt_scale_seen seen[BT_SCALE_MOST_METRICS];
static struct bt_scale_out out;

static json_t *from_text(const char *text) {
  BT_AUTO_FREE char *copy = bt_strdup(text);
  for (char *p = copy; *p; p++)
    *p = *p == '\'' ? '"' : *p;
  json_error_t error;
  json_t *o = json_loads(copy, 0, &error);
  if (!o)
    printf("# bad JSON in a test: %s at %d\n", error.text, error.position);
  BT_ASSERT(o);
  return o;
}

/* The spec borrows texts from it. */
static json_t *held;

static void with(const char *text, int current, int ready) {
  BT_AUTO_ERR err = NULL;
  bt_autoscale_free(&spec);
  json_decref(held);
  held = from_text(text);
  if (bt_autoscale_parse("web", held, &spec, &err)) {
    ok(false, "spec: %s", bt_err_message(err));
    abort();
  }
  past = (struct bt_scale_past){0};
  memset(seen, 0, sizeof seen);
  in = (struct bt_scale_in){.spec = spec, .current = current, .ready = ready, .request_cpus = 0.5, .request_memory = 1000, .seen = seen, .now_ms = 1000000, .wall_ms = 1000000};
}

/* cpu: use of all measured instances together, as a share of their requests. */
static int at_cpu(double share, int measured) {
  seen[0] = (struct bt_scale_seen){.value = share * measured * in.request_cpus, .measured = measured};
  bt_scale_step(&in, &past, &out);
  return out.replicas;
}

static int at_value(double value) {
  seen[0] = (struct bt_scale_seen){.value = value};
  bt_scale_step(&in, &past, &out);
  return out.replicas;
}

/* Takes what came of it, and goes on so many seconds later. */
static void then(int seconds) {
  in.current = in.ready = out.replicas;
  in.now_ms += seconds * 1000;
  in.wall_ms += seconds * 1000;
}

#define CPU "{'min':1,'max':20,'metrics':[{'cpu':'50%'}]"
#define FREE ",'up':{'limits':[]},'down':{'stabilization':'0s','limits':[]}}"

static void ratio(void) {
  static const struct {
    double share;
    int current, want;
  } cases[] = {
      {0.50, 4, 4}, {0.55, 4, 4}, {0.551, 4, 5}, {0.56, 4, 5},  {0.45, 4, 4}, {0.449, 4, 4}, {0.44, 4, 4}, {0.375, 4, 3},
      {0.37, 4, 3}, {1.00, 4, 8}, {0.10, 4, 1},  {0.001, 4, 1}, {5.00, 4, 20}, {0.25, 4, 2},  {0.26, 4, 3}, {0.75, 2, 3},
  };
  for (size_t i = 0; i < BT_COUNT(cases); i++) {
    with(CPU FREE, cases[i].current, cases[i].current);
    int n = at_cpu(cases[i].share, cases[i].current);
    if (!ok(n == cases[i].want, "%d at %g%% of 50%%: %d", cases[i].current, 100 * cases[i].share, cases[i].want))
      printf("# got %d: %s\n", n, out.reason);
  }
  with(CPU FREE, 4, 4);
  at_cpu(1, 4);
  ok(out.why == BT_SCALE_CHANGED && out.wanted == 8 && out.by == 0, "what decided is told");
  is_str(out.reason, "cpu is at 100% of the request, target 50%", "in words");
  with(CPU FREE, 20, 20);
  at_cpu(5, 20);
  ok(out.replicas == 20 && out.wanted == 200 && out.why == BT_SCALE_BOUND && strstr(out.reason, "asks for 200, and max is 20"), "max holds it, and says so");
}

static void silent_instances(void) {
  with(CPU FREE, 4, 4);
  is_int(at_cpu(0.2, 3), 4, "going down, a silent instance is taken to use its whole request: (0.6 + 1) / 0.5 = 3.2");
  with(CPU FREE, 10, 10);
  is_int(at_cpu(0.1, 8), 6, "(0.8 + 2) / 0.5 = 5.6");
  with(CPU FREE, 4, 4);
  is_int(at_cpu(0.8, 2), 4, "going up, a silent one uses nothing: 1.6 / 4 / 0.5 is within the tolerance no more, and below 1: no change");
  with(CPU FREE, 4, 4);
  is_int(at_cpu(2, 2), 8, "4 / 0.5 with two silent ones");
  with(CPU FREE, 4, 2);
  in.starting = 2;
  is_int(at_cpu(0.9, 2), 4, "going up, those that start count as idle: 1.8 / 4 / 0.5 = 0.9");
  with(CPU FREE, 4, 2);
  in.starting = 2;
  is_int(at_cpu(0.2, 2), 1, "going down, they don't count");
  with(CPU FREE, 4, 0);
  in.starting = 4;
  is_int(at_cpu(0, 0), 4, "nothing is ready: nothing is known");
  ok(out.why == BT_SCALE_MISSING && strstr(out.reason, "no instance is ready"), "and it says so");
}

static void missing(void) {
  with("{'min':0,'max':20,'metrics':[{'query':'q','target':10},{'cpu':'50%'}]" FREE, 4, 4);
  seen[1] = (struct bt_scale_seen){.value = 4 * 0.5 * 0.5, .measured = 4};
  seen[0] = (struct bt_scale_seen){.missing = "the monitor does not answer"};
  bt_scale_step(&in, &past, &out);
  ok(out.replicas == 4 && out.why == BT_SCALE_MISSING, "a metric without a value holds it");
  is_str(out.reason, "query has no value: the monitor does not answer", "in words");
  seen[1].value = 0;
  bt_scale_step(&in, &past, &out);
  ok(out.replicas == 4, "others cannot lead it down then");
  seen[1].value = 4 * 0.5;
  bt_scale_step(&in, &past, &out);
  ok(out.replicas == 8, "but up");
  with("{'min':0,'max':20,'metrics':[{'query':'q','target':10}]" FREE, 4, 4);
  seen[0] = (struct bt_scale_seen){.missing = "refused"};
  for (int i = 0; i < 100; i++) {
    bt_scale_step(&in, &past, &out);
    then(60);
  }
  is_int(out.replicas, 4, "however long it fails, it never sleeps");
  is_int(at_value(NAN), 4, "NaN is no value");
  is_int(at_value(INFINITY), 4, "nor is infinity");
  in.current = 25;
  seen[0] = (struct bt_scale_seen){.missing = "refused"};
  bt_scale_step(&in, &past, &out);
  is_int(out.replicas, 20, "bounds hold without any value");
}

static void queue(void) {
  with("{'min':0,'max':10,'metrics':[{'query':'q','target':10,'activation':5}]" FREE, 0, 0);
  is_int(at_value(0), 0, "an empty queue: asleep");
  is_int(at_value(5), 0, "up to the activation, too");
  is_int(at_value(6), 1, "above it one wakes");
  is_int(at_value(5.0001), 1, "however little");
  is_int(at_value(41), 5, "or as many as are needed");
  then(15);
  is_int(at_value(50), 5, "just met");
  is_int(at_value(54), 5, "within the tolerance");
  is_int(at_value(56), 6, "beyond it");
  then(15);
  is_int(at_value(0), 0, "and asleep again");
  is_int(at_value(-7), 0, "a value below 0 is as 0");
  with("{'min':0,'max':10,'metrics':[{'query':'q','target':10}]}", 0, 0);
  is_int(at_value(1000), 4, "asleep, the limits let four wake");
  with("{'min':0,'max':10,'metrics':[{'query':'q','target':10}],'up':{'limits':[{'percent':100}]}}", 0, 0);
  is_int(at_value(1000), 1, "twice 0 is 0: one wakes all the same");
  with("{'min':0,'max':10,'metrics':[{'query':'q','target':1e12}]" FREE, 0, 0);
  is_int(at_value(1e-3), 1, "the least above it wakes one");
  then(1);
  is_int(at_value(1e-3), 1, "which stays awake");
}

static void total(void) {
  with("{'min':1,'max':50,'metrics':[{'query':'latency','target':0.2,'per':'total'}]" FREE, 4, 4);
  is_int(at_value(0.4), 8, "a value of the whole moves by its ratio");
  with("{'min':1,'max':50,'metrics':[{'query':'latency','target':0.2,'per':'total'}]" FREE, 4, 3);
  is_int(at_value(0.4), 6, "of those that are ready");
  with("{'min':1,'max':50,'metrics':[{'query':'latency','target':0.2,'per':'total'}]" FREE, 4, 0);
  is_int(at_value(0.4), 4, "none is ready: nothing can be said");
  is_int(at_value(0.21), 4, "within the tolerance");
}

static void lua(void) {
  with("{'min':1,'max':50,'metrics':[{'lua':'return 1','name':'mine'}]" FREE, 4, 4);
  is_int(at_value(7), 7, "a number of Lua's is the number");
  is_str(out.reason, "mine says 7", "with its name");
  is_int(at_value(6.2), 7, "rounded up");
  is_int(at_value(NAN), 4, "no number: no opinion");
  is_int(at_value(1e300), 50, "absurd: bounded");
  is_int(at_value(-1e300), 1, "likewise");
}

static void windows(void) {
  with("{'min':1,'max':20,'metrics':[{'cpu':'50%'}],'down':{'limits':[]}}", 8, 8);
  int t = 0;
  for (at_cpu(0.05, 8); out.replicas == 8 && t < 1000; t += 15) {
    then(15);
    at_cpu(0.05, 8);
  }
  is_int(out.replicas, 1, "down in the end");
  ok(t >= 300 && t <= 300 + 300 / 16 + 15, "after the stabilisation of 300 s: %d s", t);
  with("{'min':1,'max':20,'metrics':[{'cpu':'50%'}]}", 8, 8);
  at_cpu(0.05, 8);
  ok(out.replicas == 8 && out.why == BT_SCALE_WAITING && strstr(out.reason, "asks for 1, which waits for the stabilisation of 300s"), "while it waits it says so");
  then(200);
  at_cpu(0.25, 8);
  then(200);
  at_cpu(0.05, 8);
  is_int(out.replicas, 4, "it goes to the highest of what was asked for in the window, no further");
  with(CPU ",'up':{'stabilization':'60s','limits':[]}}", 4, 4);
  at_cpu(2, 4);
  is_int(out.replicas, 4, "up waits where it has a window");
  then(30);
  at_cpu(1, 4);
  is_int(out.replicas, 4, "still");
  then(45);
  at_cpu(2, 4);
  is_int(out.replicas, 8, "then it goes to the lowest of it");
}

static void limits(void) {
  with(CPU "}", 1, 1);
  is_int(at_cpu(50, 1), 5, "4 more in 15 s, or twice as many: from 1 to 5");
  ok(out.why == BT_SCALE_LIMITED && out.wanted == 100, "the limit is told");
  then(5);
  is_int(at_cpu(50, 5), 5, "no more in the same period");
  then(11);
  is_int(at_cpu(50, 5), 10, "twice as many in the next");
  with(CPU ",'up':{'limits':[{'percent':50,'period':'60s'},{'instances':4,'period':'60s'}],'select':'min'}}", 10, 10);
  is_int(at_cpu(50, 10), 14, "min: the one that lets the least through");
  with(CPU ",'up':{'select':'disabled'}}", 4, 4);
  is_int(at_cpu(50, 4), 4, "disabled");
  with(CPU ",'down':{'stabilization':'0s','limits':[{'percent':10,'period':'60s'}]}}", 15, 15);
  is_int(at_cpu(0, 15), 13, "10% of 15 down: 13.5, rounded down");
  then(30);
  is_int(at_cpu(0, 13), 13, "in a minute");
  then(31);
  is_int(at_cpu(0, 13), 11, "and again");
  with(CPU ",'down':{'stabilization':'0s','limits':[{'instances':1,'period':'60s'},{'percent':50,'period':'60s'}],'select':'min'}}", 10, 10);
  is_int(at_cpu(0, 10), 9, "the least of both");
  with(CPU ",'down':{'stabilization':'0s','limits':[{'instances':1,'period':'60s'},{'percent':50,'period':'60s'}]}}", 10, 10);
  is_int(at_cpu(0, 10), 5, "the most of both");
}

static int64_t at(const char *time) {
  int64_t ms = 0;
  BT_ASSERT(bt_clock_parse(time, &ms));
  return ms;
}

static void bounds_are(const char *time, int min, int max, const char *wake, const char *what) {
  int low, high;
  int64_t wake_ms;
  char buf[32];
  bt_scale_bounds(spec, in.zones, at(time), &low, &high, &wake_ms);
  ok(low == min && high == max, "%s: %d to %d", what, low, high);
  is_str(wake_ms == INT64_MAX ? "never" : bt_clock_format(wake_ms, buf), wake, "and when that changes");
}

static void schedules(void) {
  with("{'min':1,'max':10,'schedules':[{'start':'0 8 * * 1-5','end':'0 18 * * 1-5','min':5}]}", 1, 1);
  bounds_are("2026-05-01T07:59:59Z", 1, 10, "2026-05-01T08:00:00.000Z", "Friday before 8");
  bounds_are("2026-05-01T08:00:00Z", 5, 10, "2026-05-01T18:00:00.000Z", "at 8");
  bounds_are("2026-05-01T18:00:00Z", 1, 10, "2026-05-04T08:00:00.000Z", "at 18");
  bounds_are("2026-05-03T12:00:00Z", 1, 10, "2026-05-04T08:00:00.000Z", "on Sunday");
  in.wall_ms = at("2026-05-01T08:00:00Z");
  bt_scale_step(&in, &past, &out);
  ok(out.replicas == 5 && out.why == BT_SCALE_BOUND && out.wake_ms == at("2026-05-01T18:00:00Z"), "min makes it five at once");
  then(0);
  in.wall_ms = at("2026-05-01T18:00:00Z");
  bt_scale_step(&in, &past, &out);
  is_int(out.replicas, 1, "without metrics it goes back with the schedule");
  with("{'min':2,'max':10,'schedules':[{'start':'0 22 * * *','end':'0 6 * * *','min':0,'max':0}]}", 2, 2);
  bounds_are("2026-05-01T23:00:00Z", 0, 0, "2026-05-02T06:00:00.000Z", "over midnight, asleep");
  with("{'min':2,'max':10,'schedules':[{'start':'0 8 * * *','end':'0 18 * * *','min':20},{'start':'0 12 * * *','end':'0 13 * * *','min':4,'max':30}]}", 2, 2);
  bounds_are("2026-05-01T12:30:00Z", 20, 30, "2026-05-01T13:00:00.000Z", "two at once: the highest of each");
  bounds_are("2026-05-01T14:30:00Z", 20, 20, "2026-05-01T18:00:00.000Z", "a min over max takes max along");
}

static void refused(void) {
  static const struct {
    const char *json, *words;
  } cases[] = {
      {"{}", "needs metrics, schedules or vertical"},
      {"{'metrics':[{'cpu':'50%'}]}", "needs \"max\""},
      {"{'min':5,'max':4,'metrics':[{'cpu':'50%'}]}", "\"min\" up to it"},
      {"{'min':0,'max':4,'metrics':[{'cpu':'50%'}]}", "at 0 instances"},
      {"{'max':4,'metrics':[{'cpu':'50'}]}", "write a share"},
      {"{'max':4,'metrics':[{'cpu':'0%'}]}", "write a share"},
      {"{'max':4,'metrics':[{'cpu':'nan%'}]}", "write a share"},
      {"{'max':4,'metrics':[{'cpu':'1e9%'}]}", "write a share"},
      {"{'max':4,'metrics':[{'cpu':'50%','memory':'50%'}]}", "exactly one"},
      {"{'max':4,'metrics':[{}]}", "exactly one"},
      {"{'max':4,'metrics':[{'query':'q'}]}", "needs a \"target\""},
      {"{'max':4,'metrics':[{'query':'q','target':-1}]}", "needs a \"target\""},
      {"{'max':4,'metrics':[{'query':'q','target':1,'activation':-1}]}", "from 0 on"},
      {"{'max':100001,'metrics':[{'cpu':'50%'}]}", "needs \"max\""},
      {"{'max':9223372036854775807,'metrics':[{'cpu':'50%'}]}", "needs \"max\""},
      {"{'max':4,'interval':'0s','metrics':[{'cpu':'50%'}]}", "interval"},
      {"{'max':4,'tolerance':2,'metrics':[{'cpu':'50%'}]}", "tolerance"},
      {"{'max':4,'metrics':[{'cpu':'50%'}],'up':{'limits':[{'period':'15s'}]}}", "one of percent and instances"},
      {"{'max':4,'metrics':[{'cpu':'50%'}],'up':{'limits':[{'percent':10,'period':'2h'}]}}", "a period has"},
      {"{'max':4,'metrics':[{'cpu':'50%'}],'up':{'select':'most'}}", "none of max, min, disabled"},
      {"{'max':4,'metrics':[{'cpu':'50%'}],'down':{'stabilization':'2h'}}", "up to 1h"},
      {"{'max':4,'schedules':[{'start':'0 8 * * *','min':1}]}", "\"start\" and \"end\""},
      {"{'max':4,'schedules':[{'start':'0 8 * * *','end':'99 * * * *','min':1}]}", "schedules"},
      {"{'max':4,'schedules':[{'start':'0 8 * * *','end':'0 9 * * *'}]}", "min, max or both"},
      {"{'max':4,'schedules':[{'start':'@every 5m','end':'0 9 * * *','min':1}]}", "@every"},
      {"{'max':4,'schedules':[{'start':'0 8 * * *','end':'0 9 * * *','min':1,'time_zone':'../x'}]}", "time zone"},
      {"{'vertical':{'mode':'automatic'}}", "cpus.max and memory.max"},
      {"{'vertical':{'mode':'x'}}", "neither recommend nor automatic"},
      {"{'vertical':{'cpus':{'min':2,'max':1}}}", "the least is above the most"},
  };
  for (size_t i = 0; i < BT_COUNT(cases); i++) {
    BT_AUTO_JSON o = from_text(cases[i].json);
    BT_AUTO_ERR err = NULL;
    struct bt_autoscale *a = NULL;
    int rc = bt_autoscale_parse("web", o, &a, &err);
    if (!ok(rc < 0 && !a && strstr(bt_err_message(err), cases[i].words), "%s is refused", cases[i].json))
      printf("# %s\n", rc < 0 ? bt_err_message(err) : "it was taken");
    bt_autoscale_free(&a);
  }
}

static uint64_t state = 88172645463325252ull;

static unsigned dice(unsigned n) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (unsigned)(state % n);
}

/* Whatever is observed: within the bounds, never down without a value, never further than the limits, the past stays small. */
static void at_random(void) {
  bool in_bounds = true, held_up = true, in_limits = true, small = true;
  with("{'min':2,'max':60,'metrics':[{'cpu':'50%'},{'query':'q','target':10}],'up':{'limits':[{'instances':3,'period':'60s'}]},"
       "'down':{'stabilization':'90s','limits':[{'instances':2,'period':'60s'}]}}", 10, 10);
  struct {
    int64_t at;
    int up, down;
  } moves[4000] = {0};
  for (int i = 0; i < 4000; i++) {
    int before = in.current, up = 0, down = 0;
    in.ready = (int)dice((unsigned)in.current + 1);
    in.starting = in.current - in.ready;
    seen[0] = (struct bt_scale_seen){.value = dice(1000) / 100.0, .measured = in.ready ? (int)dice((unsigned)in.ready + 1) : 0};
    seen[1] = (struct bt_scale_seen){.value = dice(2000) / 2.0, .missing = dice(3) ? NULL : "lost"};
    bt_scale_step(&in, &past, &out);
    in_bounds = in_bounds && out.replicas >= 2 && out.replicas <= 60;
    held_up = held_up && (!seen[1].missing || out.replicas >= before);
    small = small && past.nasked <= BT_SCALE_PAST && past.nmoves <= BT_SCALE_PAST;
    moves[i].at = in.now_ms;
    moves[i].up = BT_MAX(0, out.replicas - before);
    moves[i].down = BT_MAX(0, before - out.replicas);
    for (int j = i; j >= 0 && moves[j].at > in.now_ms - 60000; j--) {
      up += moves[j].up - moves[j].down;
      down += moves[j].down - moves[j].up;
    }
    in_limits = in_limits && (out.replicas <= before || up <= 3) && (out.replicas >= before || down <= 2);
    in.current = out.replicas;
    in.now_ms += 1 + (int)dice(20000);
  }
  ok(in_bounds, "4,000 looks at random: within the bounds");
  ok(held_up, "never down without a value");
  ok(in_limits, "never further than the limits");
  ok(small, "the past is bounded");
}

/* A limit grows with its reservation, and no further than numbers go. */
static void test_reserve_beyond_numbers(void) {
  BT_AUTO_JSON service = json_pack("{s:{s:{s:{s:s},s:{s:s}}}}", "deploy", "resources", "reservations", "memory", "1", "limits", "memory", "4611686018427387904");
  bt_autoscale_reserve(service, 0, (int64_t)1 << 30);
  const json_t *limits = bt_json_obj(bt_json_obj(bt_json_obj(service, "deploy"), "resources"), "limits");
  is_str(bt_json_str(limits, "memory"), "4611686018427387904", "a limit that would grow beyond all numbers is as large as they go");
}

int main(void) {
  ratio();
  silent_instances();
  missing();
  queue();
  total();
  lua();
  windows();
  limits();
  schedules();
  refused();
  at_random();
  bt_autoscale_free(&spec);
  json_decref(held);
  test_reserve_beyond_numbers();
  return done_testing();
}
