/* Control and order: who gets a place first, who gives one up, and gangs. Nodes n1, n2, … of so many cpus each; apps of one service "s". */
#include "config.h"

#include "control_order.h"

/* ---- the queue ---- */

static void test_priority(void) {
  struct kit k = nodes(1, 2);
  settings(&k, "{'scheduling':{'preemption':false}}");
  ok(app(&k, "old", 2, "1", ""), "the node is full");
  all_run(&k);
  ok(app(&k, "early", 1, "1", ""), "one waits");
  k.now += 1000;
  ok(app(&k, "high", 1, "1", PRIORITY("5")), "then one of higher priority");
  k.now += 1000;
  ok(app(&k, "late", 1, "1", ""), "then another");
  is_int(placed(&k, "high") + leaving(&k, "old"), 0, "nobody is pushed out where that is turned off");
  ok(app(&k, "old", 1, "1", ""), "one of the first goes");
  all_leave(&k);
  is_int(placed(&k, "high"), 1, "who is of higher priority has its place");
  is_int(placed(&k, "early") + placed(&k, "late"), 0, "and nobody else");
  end(&k, "default", "old");
  all_leave(&k);
  is_int(placed(&k, "early"), 1, "then who has waited longer");
  is_int(placed(&k, "late"), 0, "not who came last");
  end(&k, "default", "early");
  all_leave(&k);
  is_int(placed(&k, "late"), 1, "and then the last one");
  kit_end(&k);
}

/* Nobody pushes out what it waits for: it would wait for it again. */
static void test_own_dependency(void) {
  struct kit k = nodes(1, 4);
#define THREE(more) "'deploy':{'resources':{'reservations':{'cpus':'2'}}}" more
  kit_request(&k, "app.apply", "{'app':'shop','model':{'name':'shop','services':{'db':{'image':'i:1'," THREE("") "},"
                               "'mid':{'image':'i:1','depends_on':{'db':{'condition':'service_healthy','required':true}}},"
                               "'api':{'image':'i:1','depends_on':{'mid':{'condition':'service_healthy','required':true}}," THREE(",'x-berth':{'placement':{'priority':5}}") "}}}}", false);
  kit_resolve(&k, "aa");
  ok(app(&k, "other", 1, "1", PRIORITY("9")), "there is room for some of them");
  for (int i = 0; i < 5; i++) {
    all_run(&k);
    all_leave(&k);
    kit_tick(&k, 20000);
  }
  ok(!event(&k, "instance.preempted"), "what an app's service depends on is not pushed out for it");
  is_int(placed(&k, "shop"), 2, "it goes on");
  says(&k, "shop", "lacks cpu");
  kit_is_state(&k, "shop", "failed");
  kit_end(&k);
}

/* Instances of the shop that say so. */
static long told(const struct kit *k, const char *words) {
  BT_AUTO_JSON l = list(k, "default", "shop");
  long n = 0;
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) n += strstr(bt_json_str_or(o, "reason", ""), words) != NULL;
  return n;
}

/* That the first of an app is told makes its app due for a look; the others of it are told all the same, not skipped until then. */
static void test_told_together(void) {
  struct kit k = nodes(1, 1);
#define BIG(name) "'" name "':{'image':'i:1','depends_on':{'db':{'condition':'service_healthy','required':true}},'deploy':{'resources':{'reservations':{'cpus':'4'}}}}"
  kit_request(&k, "app.apply", "{'app':'shop','model':{'name':'shop','services':{'db':{'image':'i:1'}," BIG("one") "," BIG("two") "," BIG("zwei") "}}}", false);
  kit_resolve(&k, "aa");
  kit_tick(&k, 20000);
  is_int(told(&k, "waits for"), 3, "they wait for what they depend on, longer than anybody waits before it is said of the service");
  BT_AUTO_JSON l = list(&k, "default", "shop");
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) if (bt_json_str(o, "node")) speak(&k, o, "running");
  is_int(told(&k, "lacks cpu"), 3, "in one look all of them are told that they have no place");
  kit_end(&k);
}

static void test_ageing(void) {
  struct kit k = nodes(1, 1);
  settings(&k, "{'scheduling':{'preemption':false}}");
  app(&k, "old", 1, "1", "");
  all_run(&k);
  app(&k, "low", 1, "1", "");
  kit_tick(&k, 6 * 600000);
  app(&k, "five", 1, "1", PRIORITY("5"));
  end(&k, "default", "old");
  all_leave(&k);
  is_int(placed(&k, "low"), 1, "an hour of waiting is worth more than a priority of five");
  kit_end(&k);
}

/* Who has less of the cluster is first, by its weight. */
static void test_shares(void) {
  struct kit k = nodes(1, 8);
  settings(&k, "{'scheduling':{'preemption':false},'namespaces':{'b':{'weight':3}}}");
  app_in(&k, "default", "old", 8, "1", "", "");
  all_run(&k);
  app_in(&k, "a", "one", 8, "1", "", "");
  app_in(&k, "b", "two", 8, "1", "", "");
  end(&k, "default", "old");
  settle(&k);
  is_int(placed_in(&k, "a", "one"), 2, "a quarter");
  is_int(placed_in(&k, "b", "two"), 6, "three quarters, by its weight");
  kit_end(&k);
}

/* A small one of the same order does not overtake a big one for ever: where jobs end, the place is kept. */
static void test_reservation(void) {
  struct kit k = nodes(1, 4);
  app_in(&k, "default", "jobs", 2, "2", JOB, "");
  all_run(&k);
  app(&k, "big", 1, "4", "");
  says(&k, "big", "lacks cpu");
  kit_tick(&k, 61000);
  says(&k, "big", "waits for jobs on n1 to end, where its place is kept");
  app_in(&k, "default", "small", 1, "1", "", "");
  BT_AUTO_JSON l = list(&k, NULL, "jobs");
  BT_AUTO_FREE char *first = bt_strdup(bt_json_str(json_array_get(l, 0), "instance"));
  BT_AUTO_FREE char *second = bt_strdup(bt_json_str(json_array_get(l, 1), "instance"));
  kit_report(&k, first, "exited", false, 0);
  kit_tick(&k, 1);
  is_int(placed(&k, "small"), 0, "what came later and is smaller waits");
  says(&k, "small", "1 place is kept for those before it");
  kit_report(&k, second, "exited", false, 0);
  kit_tick(&k, 1);
  is_int(placed(&k, "big"), 1, "until the big one has its place");
  kit_end(&k);
}

/* What is kept for it is in its quota already: it is not asked for once more. */
static void test_reservation_quota(void) {
  struct kit k = nodes(1, 4);
  settings(&k, "{'namespaces':{'a':{'quota':{'instances':3}}}}");
  app_in(&k, "a", "jobs", 2, "2", JOB, "");
  all_run(&k);
  app_in(&k, "a", "big", 1, "4", "", "");
  kit_tick(&k, 61000);
  for (int i = 0; i < 5; i++) {
    BT_AUTO_FREE char *node = bt_asprintf("small%d", i);
    join(&k, node, 1); /* all are looked at again */
    says(&k, "big", "waits for jobs on n1 to end, where its place is kept");
  }
  kit_end(&k);
}

/* Nothing is kept where nothing ends by itself: a small one is not to wait for nothing. */
static void test_no_reservation(void) {
  struct kit k = nodes(1, 4);
  app(&k, "stays", 1, "2", "");
  all_run(&k);
  app(&k, "big", 1, "4", "");
  kit_tick(&k, 61000);
  app(&k, "small", 1, "1", "");
  is_int(placed(&k, "small"), 1, "a small one has what is there");
  kit_end(&k);
}

/* An update in a full cluster keeps its place, though others have waited longer. */
static void test_update(void) {
  struct kit k = nodes(1, 4);
  app(&k, "web", 1, "4", "");
  settle(&k);
  kit_tick(&k, 10000);
  app(&k, "waits", 1, "4", "");
  kit_tick(&k, 100000);
  kit_request(&k, "app.apply", "{'app':'web','model':{'name':'web','services':{'s':{'image':'i:2','restart':'no','networks':{'default':null},'deploy':{'replicas':1,"
                               "'resources':{'reservations':{'cpus':'3.5'}}}}},'networks':{'default':{'name':'default_web'}}}}", false);
  kit_resolve(&k, "bb");
  kit_tick(&k, 1);
  is_int(leaving(&k, "web"), 1, "the old one leaves");
  all_leave(&k);
  is_int(placed(&k, "web"), 1, "and its successor has its place");
  is_int(placed(&k, "waits"), 0, "not who waited for it");
  kit_end(&k);
}

/* Instances of the shop's service that have a place and stay, and are not done. */
static long stand(const struct kit *k, const char *service) {
  BT_AUTO_JSON l = list(k, "default", "shop");
  long n = 0;
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) n += bt_streq(bt_json_str(o, "service"), service) && bt_json_str(o, "node") && !bt_json_bool(o, "leaving", false) && !bt_json_bool(o, "ended", false);
  return n;
}

static void job_ends(struct kit *k) {
  BT_AUTO_JSON l = list(k, "default", "shop");
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) if (bt_streq(bt_json_str(o, "service"), "job") && bt_json_str(o, "node") && !bt_json_bool(o, "ended", false))
      kit_report(k, bt_json_str(o, "instance"), "exited", false, 0);
  kit_tick(k, 1);
}

/* What an update waits for since its place went to somebody higher is not its predecessor's place: it would be pushed out of it again and again. */
static void test_update_pushed_out(void) {
  struct kit k = nodes(1, 2);
#define API(image) "'api':{'image':'" image "','restart':'no','deploy':{'replicas':2,'resources':{'reservations':{'cpus':'1'}}},'x-berth':{" PRIORITY("-20") "}}"
  kit_request(&k, "app.apply", "{'app':'shop','model':{'name':'shop','services':{" API("i:1") "}}}", false);
  kit_resolve(&k, "aa");
  settle(&k);
  is_int(stand(&k, "api"), 2, "the node is full");
  kit_request(&k, "app.apply", "{'app':'shop','model':{'name':'shop','services':{" API("i:2") ",'job':{'image':'i:3','restart':'no','deploy':{'mode':'replicated-job',"
                               "'resources':{'reservations':{'cpus':'1'}}},'x-berth':{" PRIORITY("15") ",'job':{'completions':3,'max_concurrent':1}}}}}}", false);
  kit_resolve(&k, "bb");
  kit_tick(&k, 1);
  all_leave(&k);
  is_int(stand(&k, "job"), 1, "a job of higher priority has the place of one that is updated");
  is_int(stand(&k, "api"), 1, "whose successor waits");
  for (int i = 0; i < 2; i++) {
    all_run(&k);
    job_ends(&k);
    is_int(stand(&k, "job"), 1, "the next completion begins where the last one was");
    is_int(stand(&k, "api"), 1, "and nobody lower in between");
  }
  job_ends(&k);
  is_int(stand(&k, "api"), 2, "when the job is done the update goes on");
  kit_end(&k);
}

/* ---- preemption ---- */

static const struct bt_reply *plan_of(struct kit *k, const char *ns, const char *name, int replicas, const char *berth) {
  BT_AUTO_FREE char *args = bt_asprintf("{'namespace':'%s','app':'%s','model':{'name':'%s','services':{'s':{'image':'i:1','networks':{'default':null},"
                                        "'deploy':{'replicas':%d,'resources':{'reservations':{'cpus':'1'}}},'x-berth':{%s}}},'networks':{'default':{'name':'%s_%s'}}}}",
                                        ns, name, name, replicas, berth, ns, name);
  return kit_request(k, "app.apply", args, true);
}

static const json_t *foreseen(const struct bt_reply *reply) {
  return json_array_get(bt_json_arr(bt_json_obj(reply->result, "forecast"), "services"), 0);
}

/* A plan says whom it would push out, pushes nobody out, and is right. */
static void test_foreseen(void) {
  struct kit k = nodes(1, 3);
  app(&k, "low", 3, "1", "'disruption':{'max_unavailable':2}");
  settle(&k);
  const json_t *s = foreseen(plan_of(&k, "default", "high", 3, PRIORITY("500")));
  is_int(json_array_size(bt_json_arr(s, "preempts")), 2, "two would go, as their budget has it");
  is_int(bt_json_int(s, "unplaced", -1), 1, "and one has no place all the same");
  const json_t *v = json_array_get(bt_json_arr(s, "preempts"), 0);
  BT_AUTO_FREE char *first = bt_strdup(bt_json_str(v, "instance"));
  ok(first && bt_streq(bt_json_str(v, "node"), "n1") && bt_json_int(v, "priority", -1) == 0 && bt_json_int(v, "by_priority", -1) == 500, "who, where from, and why");
  is_int(bt_json_int(bt_json_obj(s, "nodes"), "n1", 0), 2, "their places are its own");
  const json_t *node = json_array_get(bt_json_arr(bt_json_obj(k.fx.replies.items[0].result, "forecast"), "nodes"), 0);
  ok(bt_json_num(bt_json_obj(node, "before"), "cpus", 0) == 3 && bt_json_num(bt_json_obj(node, "after"), "cpus", 0) == 3, "no node has more than it has");
  is_int(leaving(&k, "low"), 0, "nobody leaves for a plan");
  ok(!event(&k, "instance.preempted"), "nor is anybody told to");
  s = foreseen(plan_of(&k, "b", "theirs", 1, PRIORITY("500")));
  is_int(json_array_size(bt_json_arr(s, "preempts")), 0, "another namespace, which has no priority, pushes nobody out");
  settings(&k, "{'namespaces':{'b':{'priority':900}}}");
  s = foreseen(plan_of(&k, "b", "theirs", 1, ""));
  v = json_array_get(bt_json_arr(s, "preempts"), 0);
  ok(v && bt_streq(bt_json_str(v, "namespace"), "default") && !json_object_get(v, "instance"), "one that has does, and learns no names");
  s = foreseen(plan_of(&k, "default", "gang", 3, "'placement':{'priority':500,'gang':true}"));
  is_int(json_array_size(bt_json_arr(s, "preempts")), 0, "a gang that has not all of its places pushes nobody out");
  is_int(bt_json_int(s, "unplaced", -1), 3, "and has none");
  s = foreseen(plan_of(&k, "default", "gang", 2, "'placement':{'priority':500,'gang':true}"));
  is_int(json_array_size(bt_json_arr(s, "preempts")), 2, "one that has all of them does");
  settings(&k, "{'scheduling':{'preemption':false}}");
  s = foreseen(plan_of(&k, "default", "high", 1, PRIORITY("500")));
  ok(!bt_json_arr(s, "preempts") && bt_json_int(s, "unplaced", -1) == 1, "where the operator turned it off nobody goes");
  settings(&k, "{}");
  ok(app(&k, "high", 1, "1", PRIORITY("500")), "it comes");
  BT_AUTO_JSON l = list(&k, "default", "low");
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) if (bt_streq(bt_json_str(o, "instance"), first)) ok(bt_json_bool(o, "leaving", false), "who was foretold to leave does");
  is_int(leaving(&k, "low"), 1, "and nobody else");
  kit_end(&k);
}

static void test_preempt(void) {
  struct kit k = nodes(1, 2);
  app(&k, "low", 2, "1", "'disruption':{'max_unavailable':2}");
  settle(&k);
  ok(app(&k, "high", 1, "1", PRIORITY("500")), "somebody of higher priority comes to a full node");
  is_int(leaving(&k, "low"), 1, "one of the others leaves");
  says(&k, "low", "preempted by high/s of priority 500");
  says(&k, "high", "has its place on n1 as soon as low-s-");
  ok(event(&k, "instance.preempted"), "there is an event");
  is_int(placed(&k, "high"), 0, "it waits until the place is free");
  ok(app(&k, "thief", 1, "1", PRIORITY("400")), "another one comes meanwhile");
  is_int(leaving(&k, "low"), 2, "and has one of its own");
  all_leave(&k);
  is_int(placed(&k, "high"), 1, "the place goes to whom it was promised");
  is_int(placed(&k, "thief"), 1, "and the other one, too");
  is_int(placed(&k, "low"), 0, "those who left wait");
  says(&k, "low", "lacks cpu");
  settle(&k);
  end(&k, "default", "high");
  end(&k, "default", "thief");
  settle(&k);
  is_int(placed(&k, "low"), 2, "and come back when there is room");
  kit_end(&k);
}

/* Whether one of its reasons says so. */
static bool why_says(struct kit *k, const char *object, const char *code, const char *words) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON o = bt_control_why(k->c, "default", object, k->now, &err);
  size_t i;
  json_t *r;
  json_array_foreach(bt_json_arr(o, "reasons"), i, r) if (bt_streq(bt_json_str(r, "code"), code)) {
    if (strstr(bt_json_str(r, "text"), words))
      return true;
    printf("# %s\n", bt_json_str(r, "text"));
  }
  return false;
}

static void test_why(void) {
  struct kit k = nodes(1, 2);
  app(&k, "low", 1, "2", "");
  settle(&k);
  app(&k, "high", 1, "1", PRIORITY("500"));
  ok(why_says(&k, "high/s", "queue", "1 instance of it waits for a place, number 1 of 1 in the queue: priority 500 (0 to other namespaces), and 0 points for"), "where it stands in the queue");
  k.now += 5400000; /* nothing happens meanwhile */
  ok(why_says(&k, "high/s", "queue", "9 points for 1h30m"), "how long it has waited when somebody asks, not when control last had to do");
  k.now -= 5400000;
  ok(why_says(&k, "high/s", "waiting", "has its place on n1 as soon as low-s-1-"), "what it waits for");
  ok(why_says(&k, "low/s", "leaving", "preempted by high/s of priority 500"), "why the other one leaves");
  settle(&k);
  ok(why_says(&k, "low/s", "preempted", "of priority 0 leaves n1: preempted by high/s of priority 500"), "and why it is no longer there");
  ok(!why_says(&k, "high/s", "queue", ""), "who has its place waits for none");
  BT_AUTO_JSON high = list(&k, "default", "high");
  ok(why_says(&k, bt_json_str(json_array_get(high, 0), "instance"), "preempts", "of priority 0 leaves n1: preempted by high/s of priority 500"), "and says who left it");
  k.now += 1000;
  app(&k, "high", 2, "1", PRIORITY("500"));
  settle(&k);
  size_t n;
  const json_t *o, *first = json_array_get(high, 0);
  BT_AUTO_JSON both = list(&k, "default", "high");
  json_array_foreach(both, n, o) if (!bt_streq(bt_json_str(o, "instance"), bt_json_str(first, "instance")))
      ok(bt_json_str(o, "node") && !why_says(&k, bt_json_str(o, "instance"), "preempts", ""), "for the second one nobody had to");
  kit_end(&k);
}

static void test_equals(void) {
  struct kit k = nodes(1, 1);
  app(&k, "one", 1, "1", PRIORITY("7"));
  settle(&k);
  app(&k, "two", 1, "1", PRIORITY("7"));
  is_int(leaving(&k, "one"), 0, "equals do not push each other out");
  settings(&k, "{'scheduling':{'preemption':false}}");
  app(&k, "three", 1, "1", PRIORITY("8"));
  is_int(leaving(&k, "one"), 0, "nobody does where the operator says so");
  settings(&k, "{}");
  kit_tick(&k, 1);
  is_int(leaving(&k, "one"), 1, "until it is allowed");
  kit_end(&k);
}

/* A promise is worth less than a higher priority; and where somebody leaves anyway, nobody else has to. */
static void test_promises(void) {
  struct kit k = nodes(1, 2);
  app(&k, "low", 2, "1", "");
  settle(&k);
  app(&k, "high", 1, "1", PRIORITY("5"));
  app(&k, "top", 1, "1", PRIORITY("9"));
  is_int(leaving(&k, "low"), 1, "one may leave");
  all_leave(&k);
  is_int(placed(&k, "top"), 1, "its place is for the highest");
  is_int(placed(&k, "high"), 0, "though it was promised before");
  kit_end(&k);
  k = nodes(1, 2);
  app(&k, "low", 2, "1", "");
  settle(&k);
  app(&k, "low", 1, "1", "");
  is_int(leaving(&k, "low"), 1, "one leaves anyway");
  app(&k, "high", 1, "1", PRIORITY("5"));
  is_int(leaving(&k, "low"), 1, "so nobody has to for who is higher");
  ok(!event(&k, "instance.preempted"), "nobody is told to");
  says(&k, "high", "as soon as those of lower priority have left that are leaving");
  settle(&k);
  is_int(placed(&k, "high"), 1, "it has that place");
  kit_end(&k);
}

/* What a job begins when a part of it ends is new in the queue. */
static void test_turns(void) {
  struct kit k = nodes(1, 1);
  app_in(&k, "default", "job", 3, "1", JOB, "'job':{'completions':3,'max_concurrent':1}");
  all_run(&k);
  kit_tick(&k, 1000);
  app(&k, "waits", 1, "1", "");
  BT_AUTO_JSON l = list(&k, NULL, "job");
  BT_AUTO_FREE char *first = bt_strdup(bt_json_str(json_array_get(l, 0), "instance"));
  is_int(json_array_size(l), 1, "one completion at a time");
  kit_report(&k, first, "exited", false, 0);
  kit_tick(&k, 1);
  is_int(placed(&k, "waits"), 1, "who has waited is before the next completion");
  kit_end(&k);
}

static void test_budget(void) {
  struct kit k = nodes(1, 3);
  app(&k, "low", 3, "1", "");
  settle(&k);
  app(&k, "high", 2, "1", PRIORITY("5"));
  is_int(leaving(&k, "low"), 1, "one may be missing at a time");
  settle(&k);
  is_int(placed(&k, "high"), 1, "so one has a place");
  is_int(placed(&k, "low"), 2, "and two stay");
  join(&k, "n2", 1);
  settle(&k);
  is_int(placed(&k, "low") + placed(&k, "high"), 4, "more room");
  is_int(placed(&k, "high"), 2, "is for the higher one first");
  kit_end(&k);
}

static void test_namespaces(void) {
  struct kit k = nodes(1, 1);
  app_in(&k, "a", "one", 1, "1", "", "");
  settle(&k);
  app_in(&k, "b", "two", 1, "1", "", PRIORITY("1000"));
  is_int(leaving(&k, "one"), 0, "what a namespace says of itself pushes no other out");
  settings(&k, "{'namespaces':{'b':{'priority':100}}}");
  kit_tick(&k, 1);
  is_int(leaving(&k, "one"), 1, "what the operator gives it does");
  says(&k, "one", "preempted by an app of namespace b of priority 1000");
  settle(&k);
  is_int(placed_in(&k, "b", "two"), 1, "it is there");
  settings(&k, "{'namespaces':{'b':{'priority':100},'a':{'priority':100}}}");
  settle(&k);
  is_int(placed_in(&k, "b", "two"), 1, "equals as the operator sees them stay");
  settings(&k, "{'namespaces':{'b':{'priority':100},'a':{'priority':101}}}");
  settle(&k);
  is_int(placed_in(&k, "a", "one"), 1, "a priority of the namespace is also that of services that say none");
  kit_end(&k);
}

static void test_jobs(void) {
  struct kit k = nodes(1, 1);
  app_in(&k, "default", "job", 1, "1", JOB ",'restart_policy':{'condition':'none'}", "");
  all_run(&k);
  app(&k, "high", 1, "1", PRIORITY("5"));
  is_int(leaving(&k, "job"), 1, "an attempt is pushed out");
  BT_AUTO_JSON l = list(&k, NULL, "job");
  kit_report(&k, bt_json_str(json_array_get(l, 0), "instance"), "exited", false, 143);
  settle(&k);
  is_int(placed(&k, "high"), 1, "for who is higher");
  end(&k, "default", "high");
  settle(&k);
  is_int(placed(&k, "job"), 1, "it is made again, though one attempt is all it has");
  l = (json_decref(l), list(&k, NULL, "job"));
  is_int(bt_json_int(json_array_get(l, 0), "attempt", 0), 1, "and counts as the first");
  kit_end(&k);
}

static void test_restart(void) {
  struct kit k = nodes(1, 3);
  app(&k, "low", 3, "1", "'disruption':{'max_unavailable':3}");
  settle(&k);
  app(&k, "high", 1, "1", PRIORITY("5"));
  is_int(leaving(&k, "low"), 1, "one leaves");
  kit_reload(&k);
  BT_AUTO_JSON m = kit_json("{\"type\":\"hello\",\"node\":{\"name\":\"n1\",\"cpus\":3,\"memory\":8000000000,\"labels\":{}},\"instances\":[]}");
  kit_step(&k, (struct bt_input){.kind = BT_IN_NODE, .node = "n1", .message = m});
  kit_tick(&k, 100);
  is_int(leaving(&k, "low"), 1, "the server starts again, and nobody else has to");
  says(&k, "high", "has its place on n1 as soon as those of lower priority have left that are leaving");
  app(&k, "thief", 1, "1", "");
  settle(&k);
  is_int(placed(&k, "high"), 1, "and the place is still promised");
  is_int(placed(&k, "low"), 2, "the others stay");
  kit_end(&k);
}

/* A node that is cordoned keeps no promise. */
static void test_cordon(void) {
  struct kit k = nodes(2, 1);
  app(&k, "low", 2, "1", "'disruption':{'max_unavailable':2}");
  settle(&k);
  app(&k, "high", 1, "1", PRIORITY("5"));
  BT_AUTO_JSON l = list(&k, NULL, "low");
  size_t i;
  json_t *o;
  const char *node = NULL;
  json_array_foreach(l, i, o) if (bt_json_bool(o, "leaving", false)) node = bt_json_str(o, "node");
  ok(node, "one leaves");
  BT_AUTO_FREE char *args = bt_asprintf("{'node':'%s','cordoned':true}", node);
  kit_request(&k, "node.cordon", args, false);
  kit_tick(&k, 1);
  is_int(leaving(&k, "low"), 2, "its node takes nobody any more, so the other one leaves");
  settle(&k);
  is_int(placed(&k, "high"), 1, "and it is there");
  kit_end(&k);
}

/* ---- gangs ---- */

#define GANG(more) "'placement':{'gang':true" more "}"

static void test_gang(void) {
  struct kit k = nodes(2, 2);
  app(&k, "old", 2, "1", "");
  settle(&k);
  ok(app(&k, "gang", 3, "1", GANG("")), "a gang of three where two have room");
  is_int(placed(&k, "gang"), 0, "none begins");
  says(&k, "gang", "2 of 3 have a place, and it is a gang: all of them or none. none of 2 nodes has a place: 2 lack cpu");
  app(&k, "other", 1, "1", "");
  is_int(placed(&k, "other"), 1, "what it cannot use, others have");
  end(&k, "default", "other");
  end(&k, "default", "old");
  settle(&k);
  is_int(placed(&k, "gang"), 3, "then all of them");
  BT_AUTO_JSON l = list(&k, NULL, "gang");
  speak(&k, json_array_get(l, 1), "removed");
  is_int(placed(&k, "gang"), 3, "a member that is gone is replaced as anybody");
  kit_end(&k);
}

static void test_gang_preempts(void) {
  struct kit k = nodes(3, 1);
  app(&k, "low", 2, "1", "");
  settle(&k);
  app(&k, "gang", 3, "1", GANG(",'priority':5"));
  is_int(leaving(&k, "low"), 0, "one may leave, two would have to: so none does");
  is_int(placed(&k, "gang"), 0, "and none of the gang begins");
  app(&k, "low", 2, "1", "'disruption':{'max_unavailable':2}");
  is_int(leaving(&k, "low"), 2, "both may leave: both do");
  app(&k, "thief", 1, "1", "");
  is_int(placed(&k, "thief"), 0, "also what is free is kept for the gang");
  BT_AUTO_JSON l = list(&k, NULL, "low");
  speak(&k, json_array_get(l, 0), "removed");
  kit_tick(&k, 1);
  is_int(placed(&k, "gang"), 0, "one place is not enough");
  settle(&k);
  is_int(placed(&k, "gang"), 3, "then all begin at once");
  kit_end(&k);
}

/* Two that live together are given a place for both, and each of them has its part of it. */
static void test_group_preempts(void) {
  struct kit k = nodes(1, 4);
  app(&k, "low", 1, "3", "");
  settle(&k);
#define SHARE(cpus) "'deploy':{'resources':{'reservations':{'cpus':'" cpus "'}}},'x-berth':{" PRIORITY("500") "}"
  kit_request(&k, "app.apply", "{'app':'duo','model':{'name':'duo','services':{'web':{'image':'i:1'," SHARE("1") "},'side':{'image':'i:1','network_mode':'service:web'," SHARE("2") "}}}}", false);
  kit_resolve(&k, "aa");
  kit_tick(&k, 1);
  is_int(leaving(&k, "low"), 1, "one of lower priority goes");
  all_leave(&k);
  is_int(placed(&k, "duo"), 1, "for the first of the two");
  ok(app(&k, "small", 1, "1", ""), "a small one comes");
  is_int(placed(&k, "small"), 1, "and has what neither of them asks for");
  all_run(&k);
  is_int(placed(&k, "duo"), 2, "the second one has what was kept for it");
  kit_end(&k);
}

/* More than a step starts otherwise. */
static void test_gang_crowd(void) {
  struct kit k = nodes(2, 400);
  ok(app(&k, "gang", 700, "1", GANG("")), "a gang of 700");
  for (int i = 0; i < 10; i++) {
    long n = placed(&k, "gang");
    if (n != 0 && n != 700)
      ok(false, "%ld of them have begun", n);
    kit_tick(&k, 10);
  }
  is_int(placed(&k, "gang"), 700, "all begin in one step");
  kit_end(&k);
}

int main(void) {
  test_priority();
  test_ageing();
  test_own_dependency();
  test_told_together();
  test_shares();
  test_reservation();
  test_reservation_quota();
  test_no_reservation();
  test_update();
  test_update_pushed_out();
  test_foreseen();
  test_preempt();
  test_why();
  test_equals();
  test_promises();
  test_turns();
  test_budget();
  test_namespaces();
  test_jobs();
  test_restart();
  test_cordon();
  test_gang();
  test_gang_preempts();
  test_group_preempts();
  test_gang_crowd();
  return done_testing();
}
