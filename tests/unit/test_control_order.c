/* Control and order: who gets a place first, who gives one up, and gangs. Nodes n1, n2, … of so many cpus each; apps of one service "s". */
#include "config.h"

#include <stdlib.h>

#include "control_kit.h"

static const char *const spaces[] = {"default", "a", "b"};

static void join(struct kit *k, const char *name, int cpus) {
  BT_AUTO_FREE char *text = bt_asprintf("{'type':'hello','node':{'name':'%s','cpus':%d,'memory':8000000000,'labels':{}},'instances':[]}", name, cpus);
  k->node = name;
  kit_node(k, text);
  k->node = NULL;
}

static struct kit nodes(int n, int cpus) {
  struct kit k;
  kit_start(&k);
  for (int i = 1; i <= n; i++) {
    char name[16];
    snprintf(name, sizeof name, "n%d", i);
    join(&k, name, cpus);
  }
  return k;
}

/* New reference. ns NULL: of all namespaces. */
static json_t *list(const struct kit *k, const char *ns, const char *app) {
  json_t *all = json_array();
  for (size_t i = 0; i < BT_COUNT(spaces); i++) {
    BT_AUTO_ERR err = NULL;
    BT_AUTO_JSON some = ns && !bt_streq(ns, spaces[i]) ? NULL
                            : bt_control_list(k->c, "instances", &(struct bt_query){.namespace_ = spaces[i], .limit = 5000}, NULL, &err);
    size_t n;
    json_t *o;
    json_array_foreach(some, n, o) if (!app || bt_streq(bt_json_str(o, "app"), app)) json_array_append(all, o);
  }
  return all;
}

static void speak(struct kit *k, json_t *o, const char *state) {
  bool up = bt_streq(state, "running");
  BT_AUTO_FREE char *node = bt_strdup(bt_json_str(o, "node"));
  k->node = node;
  kit_report(k, bt_json_str(o, "instance"), state, up, 0);
  k->node = NULL;
}

static void all_run(struct kit *k) {
  BT_AUTO_JSON l = list(k, NULL, NULL);
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) if (bt_json_str(o, "node") && !bt_json_bool(o, "leaving", false) && !bt_json_bool(o, "ready", false) &&
                                  !bt_json_bool(o, "ended", false)) speak(k, o, "running");
  kit_tick(k, 600);
}

static void all_leave(struct kit *k) {
  BT_AUTO_JSON l = list(k, NULL, NULL);
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) if (bt_json_bool(o, "leaving", false)) speak(k, o, "removed");
  kit_tick(k, 1);
}

static void settle(struct kit *k) {
  for (int i = 0; i < 6; i++) {
    all_run(k);
    all_leave(k);
  }
}

/* deploy: inside of it, after replicas; berth: inside of x-berth. */
static bool app_in(struct kit *k, const char *ns, const char *name, int replicas, const char *cpus, const char *deploy, const char *berth) {
  BT_AUTO_FREE char *args = bt_asprintf("{'namespace':'%s','app':'%s','model':{'name':'%s','services':{'s':{'image':'i:1','restart':'no','networks':{'default':null},"
                                        "'deploy':{'replicas':%d,'resources':{'reservations':{'cpus':'%s'}}%s},'x-berth':{%s}}},'networks':{'default':{'name':'%s_%s'}}}}",
                                        ns, name, name, replicas, cpus, deploy, berth, ns, name);
  const struct bt_reply *reply = kit_request(k, "app.apply", args, false);
  bool fine = reply && reply->code == BT_OK;
  if (reply && !fine && !strstr(reply->message, "being removed"))
    printf("# %s: %s\n", name, reply->message);
  kit_resolve(k, "aa");
  kit_tick(k, 1);
  return fine;
}
#define PRIORITY(n) "'placement':{'priority':" n "}"
#define JOB ",'mode':'replicated-job'"

static bool app(struct kit *k, const char *name, int replicas, const char *cpus, const char *berth) {
  return app_in(k, "default", name, replicas, cpus, "", berth);
}

static void end(struct kit *k, const char *ns, const char *name) {
  BT_AUTO_FREE char *args = bt_asprintf("{'namespace':'%s','app':'%s'}", ns, name);
  kit_request(k, "app.remove", args, false);
}

static void settings(struct kit *k, const char *text) { kit_request(k, "settings.put", text, false); }

/* Its instances that have a place and stay. */
static long placed_in(const struct kit *k, const char *ns, const char *name) {
  BT_AUTO_JSON l = list(k, ns, name);
  long n = 0;
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) n += bt_json_str(o, "node") && !bt_json_bool(o, "leaving", false);
  return n;
}
static long placed(const struct kit *k, const char *name) { return placed_in(k, "default", name); }

static long leaving(const struct kit *k, const char *name) {
  BT_AUTO_JSON l = list(k, NULL, name);
  long n = 0;
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) n += bt_json_bool(o, "leaving", false);
  return n;
}

/* The reason of its first instance that waits or leaves; the caller frees. */
static char *reason(const struct kit *k, const char *name) {
  BT_AUTO_JSON l = list(k, NULL, name);
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) if (!bt_json_str(o, "node") || bt_json_bool(o, "leaving", false)) return bt_strdup(bt_json_str(o, "reason"));
  return NULL;
}

static void says(const struct kit *k, const char *name, const char *words) {
  BT_AUTO_FREE char *text = reason(k, name);
  ok(text && strstr(text, words), "%s says: %s", name, words);
  if (!text || !strstr(text, words))
    printf("# %s\n", text ? text : "(nothing)");
}

static bool event(const struct kit *k, const char *type) {
  BT_AUTO_FREE char *quoted = bt_asprintf("\"type\":\"%s\"", type);
  for (struct bt_map_iter it = bt_map_iter(k->store); bt_map_next(&it);)
    if (bt_starts(it.key, "event ") && strstr(it.value, quoted))
      return true;
  return false;
}

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
  BT_AUTO_JSON l = list(&k, NULL, "old");
  BT_AUTO_JSON one = json_incref(json_array_get(l, 0));
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
  ok(app_in(&k, "default", "web", 1, "3.5", "", ""), "it is updated");
  is_int(leaving(&k, "web"), 1, "the old one leaves");
  all_leave(&k);
  is_int(placed(&k, "web"), 1, "and its successor has its place");
  is_int(placed(&k, "waits"), 0, "not who waited for it");
  kit_end(&k);
}

/* ---- preemption ---- */

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
  ok(why_says(&k, "high/s", "waiting", "has its place on n1 as soon as low-s-1-"), "what it waits for");
  ok(why_says(&k, "low/s", "leaving", "preempted by high/s of priority 500"), "why the other one leaves");
  settle(&k);
  ok(why_says(&k, "low/s", "preempted", "of priority 0 leaves n1: preempted by high/s of priority 500"), "and why it is no longer there");
  ok(!why_says(&k, "high/s", "queue", ""), "who has its place waits for none");
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
  says(&k, "gang", "2 of 3 have a place, and it is a gang: all of them or none");
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

/* ---- by chance ---- */

enum { HOSTS = 4, APPS = 9 };
struct play {
  struct kit k;
  int cpus[HOSTS];
  bool shut[HOSTS], patient;
  struct made {
    bool there, gang, job, spared; /* spared: one may be missing at a time */
    int priority, tenths;          /* of a cpu */
    bool says;
  } apps[APPS];
};

static const char *space_of(int app) { return spaces[app % 3]; }
static int given_to(const char *ns) { return bt_streq(ns, "a") ? 10 : 0; } /* what the operator gives */

static bool is_lower(const struct play *p, int victim, int asker) {
  const char *v = space_of(victim), *a = space_of(asker);
  int vp = p->apps[victim].says ? p->apps[victim].priority : given_to(v), ap = p->apps[asker].says ? p->apps[asker].priority : given_to(a);
  if (bt_streq(v, a))
    return vp < ap;
  return given_to(a) != 0 && BT_MIN(vp, given_to(v)) < BT_MIN(ap, given_to(a));
}

static int app_of(const json_t *o) { return bt_json_str(o, "app")[3] - '0'; }
static int node_of(const json_t *o) { return bt_json_str(o, "node") ? bt_json_str(o, "node")[1] - '1' : -1; }

static const char *oversold(const struct play *p) {
  BT_AUTO_JSON l = list(&p->k, NULL, NULL);
  int used[HOSTS] = {0}, going[APPS] = {0};
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) {
    if (node_of(o) >= 0 && !(p->apps[app_of(o)].job && bt_json_bool(o, "ended", false)))
      used[node_of(o)] += p->apps[app_of(o)].tenths;
    going[app_of(o)] += bt_json_bool(o, "leaving", false) && bt_starts(bt_json_str_or(o, "reason", ""), "preempted");
  }
  for (int n = 0; n < HOSTS; n++)
    if (used[n] > p->cpus[n] * 10)
      return "a node is oversold";
  for (int a = 0; a < APPS; a++)
    if (p->apps[a].spared && !p->apps[a].job && going[a] > 1)
      return "a budget is overdrawn";
  return NULL;
}

static const char *tell(const json_t *o, const char *wrong) {
  printf("# %s: %s\n", bt_json_str(o, "instance"), bt_json_str_or(o, "reason", "(no reason)"));
  return wrong;
}

/* Nobody waits for what those of lower priority could leave, or for what is free. */
static const char *inverted(const struct play *p) {
  BT_AUTO_JSON l = list(&p->k, NULL, NULL);
  size_t i, k;
  json_t *o, *v;
  bool kept = false; /* for who has waited long, until jobs end */
  json_array_foreach(l, i, o) kept = kept || bt_starts(bt_json_str_or(o, "reason", ""), "waits for jobs on");
  json_array_foreach(l, i, o) {
    int me = app_of(o), left[HOSTS], idle[HOSTS];
    if (bt_json_bool(o, "leaving", false))
      return "somebody still leaves";
    if (node_of(o) >= 0 || p->apps[me].gang || kept)
      continue;
    for (int n = 0; n < HOSTS; n++)
      left[n] = idle[n] = p->shut[n] ? -1000 : p->cpus[n] * 10;
    json_array_foreach(l, k, v) {
      int other = app_of(v);
      if (node_of(v) < 0 || (p->apps[other].job && bt_json_bool(v, "ended", false)))
        continue;
      idle[node_of(v)] -= p->apps[other].tenths;
      if (!is_lower(p, other, me) || (p->apps[other].spared && !p->apps[other].job))
        left[node_of(v)] -= p->apps[other].tenths;
    }
    for (int n = 0; n < HOSTS; n++)
      if (idle[n] >= p->apps[me].tenths)
        return tell(o, "somebody waits for what is free");
    for (int n = 0; n < HOSTS; n++)
      if (left[n] >= p->apps[me].tenths)
        return tell(o, "somebody waits for who is lower");
  }
  return NULL;
}

static void put_app(struct play *p, int a) {
  struct made *m = &p->apps[a];
  char name[16], cpus[32];
  snprintf(name, sizeof name, "app%d", a);
  int replicas = 1 + rand() % 4;
  if (!m->there)
    *m = (struct made){.there = true, .gang = rand() % 5 == 0, .job = rand() % 4 == 0, .spared = rand() % 3 == 0, .priority = rand() % 5 * 4 - 4, .tenths = 5 * (1 + rand() % 4),
                       .says = rand() % 3 > 0};
  snprintf(cpus, sizeof cpus, "%d.%d", m->tenths / 10, m->tenths % 10);
  BT_AUTO_FREE char *priority = m->says ? bt_asprintf("'priority':%d", m->priority) : bt_strdup("");
  BT_AUTO_FREE char *berth = bt_asprintf("'placement':{%s%s%s}%s", m->gang ? "'gang':true" : "", m->gang && m->says ? "," : "", priority,
                                         m->job || m->spared ? "" : ",'disruption':{'max_unavailable':'100%'}");
  app_in(&p->k, space_of(a), name, replicas, cpus, m->job ? JOB : "", berth);
}

static void drop_app(struct play *p, int a) {
  char name[16];
  snprintf(name, sizeof name, "app%d", a);
  end(&p->k, space_of(a), name);
  settle(&p->k);
}

#define SETTINGS "{'namespaces':{'a':{'priority':10,'weight':2}}}"

static void again(struct play *p) {
  kit_reload(&p->k);
  settings(&p->k, SETTINGS);
  for (int n = 0; n < HOSTS; n++) {
    char name[16];
    snprintf(name, sizeof name, "n%d", n + 1);
    join(&p->k, name, p->cpus[n]);
  }
}

static void end_job(struct play *p) {
  BT_AUTO_JSON l = list(&p->k, NULL, NULL);
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) if (p->apps[app_of(o)].job && node_of(o) >= 0 && !bt_json_bool(o, "leaving", false) && rand() % 2) {
    speak(&p->k, o, "exited");
    return;
  }
}

static void one_move(struct play *p) {
  int what = rand() % 12, a = rand() % APPS, n = rand() % HOSTS;
  if (what < 4) {
    put_app(p, a);
  } else if (what < 5 && p->apps[a].there) {
    drop_app(p, a);
  } else if (what < 6) {
    BT_AUTO_FREE char *args = bt_asprintf("{'node':'n%d','cordoned':%s}", n + 1, p->shut[n] ? "false" : "true");
    p->shut[n] = !p->shut[n];
    kit_request(&p->k, "node.cordon", args, false);
  } else if (what < 7) {
    again(p);
  } else if (what < 9) {
    end_job(p);
  } else if (what < 10) {
    kit_tick(&p->k, rand() % (p->patient ? 100000 : 3000));
  } else if (what < 11) {
    all_leave(&p->k);
  } else {
    all_run(&p->k);
  }
}

static const char *one_play(void) {
  struct play p = {0};
  const char *wrong = NULL;
  kit_start(&p.k);
  p.patient = rand() % 4 == 0;
  settings(&p.k, SETTINGS);
  for (int n = 0; n < HOSTS; n++) {
    char name[16];
    snprintf(name, sizeof name, "n%d", n + 1);
    join(&p.k, name, p.cpus[n] = 1 + rand() % 4);
  }
  for (int i = 0; i < 40 && !wrong; i++) {
    one_move(&p);
    wrong = oversold(&p);
    if (wrong || i % 10 != 9)
      continue;
    for (int r = 0; r < 6; r++) {
      settle(&p.k);
      kit_tick(&p.k, 100);
    }
    wrong = inverted(&p);
  }
  kit_end(&p.k);
  return wrong;
}

static void test_random(void) {
  int rounds = getenv("BERTH_TEST_ROUNDS") ? atoi(getenv("BERTH_TEST_ROUNDS")) : 15, from = getenv("BERTH_TEST_SEED") ? atoi(getenv("BERTH_TEST_SEED")) : 1;
  for (int seed = from; seed < from + rounds; seed++) {
    srand((unsigned)seed);
    const char *wrong = one_play();
    if (wrong)
      ok(false, "seed %d: %s", seed, wrong);
  }
  ok(true, "%d rounds by chance", rounds);
}

int main(void) {
  test_priority();
  test_ageing();
  test_shares();
  test_reservation();
  test_no_reservation();
  test_update();
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
  test_gang_crowd();
  test_random();
  return done_testing();
}
