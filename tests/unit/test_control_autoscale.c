/* Services that scale by themselves, through control: what is asked for, what comes of the answers, what is kept over applies, rollbacks and
 * restarts, what is said. Time is virtual. */
#include <math.h>

#include "control_kit.h"

static struct kit k;

static void apply_as(const char *services, bool resolve) {
  BT_AUTO_FREE char *args = bt_asprintf("{'namespace':'default','app':'a','model':{'services':{%s}},'contents':{}}", services);
  const struct bt_reply *reply = kit_request(&k, "app.apply", args, false);
  if (reply && reply->code != BT_OK) /* none: it waits for the images */
    ok(false, "apply: %s", reply->message);
  if (resolve)
    kit_resolve(&k, "1");
}

static void up(const char *services) {
  kit_start(&k);
  kit_hello(&k);
  apply_as(services, true);
  kit_all_run(&k);
  kit_tick(&k, 3000);
}

/* The kit begins 5 s after a multiple of 15 s. */
#define WEB(deploy, scale) "'web':{'image':'i:1','deploy':{'resources':{'reservations':{'cpus':0.1}}" deploy "},'x-berth':{'autoscale':{" scale "}}}"
#define CPU "'min':2,'max':8,'metrics':[{'cpu':'50%'}]"
#define NOW "'down':{'stabilization':'0s','limits':[]},'up':{'limits':[]}"
#define QUEUE "'min':0,'max':8,'metrics':[{'query':'q','plugin':'prometheus','target':10}]," NOW

static json_t *view(void) {
  const char *text = bt_control_get(k.c, "services", "default", "a.web", NULL, NULL);
  BT_AUTO_JSON o = kit_json(text ? text : "{}");
  json_t *a = bt_json_obj(o, "autoscale");
  return a ? json_incref(a) : json_object();
}

static int wanted(void) {
  BT_AUTO_JSON o = view();
  return (int)bt_json_int(o, "replicas", -1);
}

static void says(const char *key, const char *words) {
  BT_AUTO_JSON o = view();
  const char *text = bt_json_str_or(o, key, "");
  if (!ok(strstr(text, words), "%s: %s", key, words))
    printf("# %s\n", text);
}

static int there(void) {
  BT_AUTO_JSON list = kit_list(&k, "instances", "a");
  size_t i;
  json_t *o;
  int n = 0;
  json_array_foreach(list, i, o) n += !bt_json_bool(o, "leaving", false);
  return n;
}

static const struct bt_call *question(void) {
  for (size_t i = 0; i < k.fx.calls.len; i++)
    if (bt_streq(k.fx.calls.items[i].kind, "metrics.read"))
      return &k.fx.calls.items[i];
  return NULL;
}

static uint64_t asked;

/* On to the next question; false where there is none within a minute. */
static bool next_question(void) {
  for (int i = 0; i < 60; i++) {
    kit_tick(&k, 1000);
    if (question()) {
      asked = question()->id;
      return true;
    }
  }
  return false;
}

static void answer(json_t *result_steal, enum bt_code code, const char *text) {
  BT_AUTO_JSON result = result_steal;
  kit_step(&k, (struct bt_input){.kind = BT_IN_CALL_DONE, .call = asked, .code = code, .text = text, .result = result});
}

static void answer_text(const char *metrics) {
  BT_AUTO_FREE char *text = bt_asprintf("{'services':{'default/a/web':{%s}}}", metrics);
  for (char *p = text; *p; p++)
    *p = *p == '\'' ? '"' : *p;
  answer(kit_json(text), BT_OK, NULL);
}

/* Every instance uses so much of its 0.1 cpus. */
static void answer_cpu(double share) {
  json_t *result = json_object(), *services = json_object(), *web = json_object(), *usage = json_object();
  BT_AUTO_JSON list = kit_list(&k, "instances", "a");
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) {
    json_t *one = json_object();
    bt_json_set(one, "cpus", json_real(share / 10));
    bt_json_set(one, "memory", json_integer(1000));
    bt_json_set(usage, bt_json_str(o, "instance"), one);
  }
  bt_json_set(web, "usage", usage);
  bt_json_set(services, "default/a/web", web);
  bt_json_set(result, "services", services);
  answer(result, BT_OK, NULL);
}

static void cpu_is(double share) {
  if (!next_question())
    ok(false, "control asks for figures");
  answer_cpu(share);
}

static void queue_is(double value) {
  BT_AUTO_FREE char *text = bt_asprintf("'metrics':{'0':{'value':%g}}", value);
  if (!next_question())
    ok(false, "control asks for figures");
  answer_text(text);
}

static int events(const char *type) {
  BT_AUTO_JSON list = bt_control_list(k.c, "events", &(struct bt_query){.type = type, .limit = 5000}, NULL, NULL);
  return (int)json_array_size(list);
}

static int revision(void) { return bt_control_latest(k.c, "default", "a"); }

static void why_says(const char *words) {
  BT_AUTO_JSON why = bt_control_why(k.c, "default", "a/web", k.now, NULL);
  BT_AUTO_FREE char *text = bt_json_text(why);
  if (!ok(strstr(text, words), "why says: %s", words))
    printf("# %s\n", text);
}

static void follows_cpu(void) {
  up(WEB("", CPU));
  is_int(there(), 2, "min holds before anything was measured");
  kit_is_state(&k, "a", "running");
  cpu_is(0.9);
  is_int(wanted(), 4, "90% of 50%: from 2 to 4");
  is_int(there(), 4, "and they are made in the same step");
  is_int(events("autoscale.scaled"), 1, "that is an event");
  is_int(revision(), 1, "and makes no revision");
  kit_is_state(&k, "a", "running");
  why_says("scaled automatically between 2 and 8, and has 4: cpu is at 90% of the request, target 50%");
  kit_all_run(&k);
  cpu_is(0.5);
  is_int(wanted(), 4, "just met");
  cpu_is(0.1);
  is_int(wanted(), 4, "down waits for its window");
  says("state", "waiting");
  for (int i = 0; i < 21; i++)
    cpu_is(0.1);
  is_int(wanted(), 2, "then it goes, to min");
  kit_all_leave(&k);
  is_int(there(), 2, "and so do they");
  says("changed_for", "asks for 1, and min is 2");
  kit_end(&k);
}

static void one_question(void) {
  up(WEB("", CPU) ",'db':{'image':'i:1','deploy':{'resources':{'limits':{'memory':'1000'}}},'x-berth':{'autoscale':{'max':3,'interval':'5s','metrics':[{'memory':'50%'},"
                  "{'lua':'return 2','name':'l'}]}}},'plain':{'image':'i:1'}");
  int questions = 0, services = 0;
  for (int i = 0; i < 15; i++) {
    kit_tick(&k, 1000);
    if (!question())
      continue;
    questions++;
    services += (int)json_object_size(bt_json_obj(question()->args, "services"));
    const json_t *db = bt_json_obj(bt_json_obj(question()->args, "services"), "default/a/db");
    if (questions == 1) {
      ok(bt_json_bool(db, "usage", false), "it asks for the use of instances");
      is_str(bt_json_str(bt_json_obj(bt_json_obj(db, "metrics"), "1"), "lua"), "return 2", "for what Lua says");
      is_int(bt_json_int(bt_json_obj(db, "now"), "ready", 0), 1, "and says what there is");
    }
    asked = question()->id;
    answer(kit_json("{\"services\":{}}"), BT_OK, NULL);
  }
  is_int(questions, 3, "one question for all that are due: every 5 s in 15 s");
  is_int(services, 4, "of whom one is due once");
  apply_as("'plain':{'image':'i:1'}", true);
  kit_all_run(&k);
  ok(!next_question(), "without such services nothing is asked");
  kit_end(&k);
}

static void sleeps(void) {
  up(WEB("", QUEUE));
  queue_is(0);
  is_int(wanted(), 0, "an empty queue: it sleeps");
  kit_all_leave(&k);
  is_int(there(), 0, "nothing is left");
  kit_is_state(&k, "a", "running");
  queue_is(25);
  is_int(wanted(), 3, "work wakes it");
  is_int(there(), 3, "they are made");
  kit_all_run(&k);
  for (int i = 0; i < 5; i++) {
    next_question();
    answer(NULL, BT_UNAVAILABLE, "the plug-in is down");
  }
  is_int(wanted(), 3, "a plug-in that fails never leads to 0");
  says("state", "missing");
  says("reason", "query has no value: the plug-in is down");
  is_int(events("autoscale.held"), 1, "it is told once");
  queue_is(25);
  is_int(events("autoscale.resumed"), 1, "and once that it is over");
  next_question();
  answer_text("'metrics':{'0':{'error':'no series'}}");
  says("reason", "no series");
  next_question();
  answer_text("'metrics':{'0':{'value':'9'}}");
  says("reason", "there was no answer");
  is_int(wanted(), 3, "nor does an answer that is none");
  kit_end(&k);
}

static void kept(void) {
  up(WEB("", CPU));
  cpu_is(0.9);
  kit_all_run(&k);
  apply_as(WEB("", CPU), true);
  is_int(wanted(), 4, "an apply of the same file leaves the number");
  apply_as("'web':{'image':'i:2','deploy':{'replicas':3,'resources':{'reservations':{'cpus':0.1}}},'x-berth':{'autoscale':{" CPU "}}}", true);
  is_int(revision(), 2, "another file makes a revision");
  is_int(wanted(), 4, "and leaves the number, whatever its replicas say");
  for (int i = 0; i < 8; i++) {
    kit_all_run(&k);
    cpu_is(0.5);
    kit_all_leave(&k);
  }
  is_int(there(), 4, "all four are replaced");
  cpu_is(0.8);
  is_int(wanted(), 7, "it goes on following");
  const struct bt_reply *r = kit_request(&k, "app.rollback", "{'namespace':'default','app':'a','to':1}", false);
  ok(r && r->code == BT_OK, "going back");
  kit_resolve(&k, "1");
  is_int(wanted(), 7, "does not undo it");
  kit_reload(&k);
  kit_hello_again(&k);
  is_int(wanted(), 7, "a restart of the server does not, either");
  cpu_is(0.05);
  is_int(wanted(), 7, "and begins a new window");
  apply_as(WEB("", "'min':1,'max':3,'metrics':[{'cpu':'50%'}]"), true);
  is_int(wanted(), 3, "another max holds at once");
  apply_as("'web':{'image':'i:1','deploy':{'replicas':2}}", true);
  BT_AUTO_JSON o = view();
  is_int(json_object_size(o), 0, "without x-berth.autoscale");
  kit_all_leave(&k);
  is_int(there(), 2, "the file's number counts again");
  kit_end(&k);
}

static void restart_keeps_limits(void) {
  up(WEB("", "'min':1,'max':40,'metrics':[{'cpu':'50%'}]"));
  cpu_is(9);
  is_int(wanted(), 5, "4 more in 15 s");
  kit_all_run(&k);
  kit_reload(&k);
  kit_hello_again(&k);
  kit_tick(&k, 100);
  cpu_is(9);
  is_int(wanted(), 5, "a restart gives nothing away: the 15 s are not quite over");
  cpu_is(9);
  is_int(wanted(), 10, "then it doubles");
  kit_end(&k);
}

static const struct bt_reply *scale(int n, bool dry) {
  BT_AUTO_FREE char *args = bt_asprintf("{'namespace':'default','app':'a','services':{'web':%d}}", n);
  return kit_request(&k, "app.scale", args, dry);
}

static void by_hand(void) {
  up(WEB("", CPU));
  const struct bt_reply *r = scale(5, true);
  ok(r->code == BT_OK && wanted() == 2, "a dry run changes nothing");
  r = scale(5, false);
  ok(r->code == BT_OK && !bt_json_bool(r->result, "changed", true), "it is scaled by hand, without a revision");
  const json_t *step = json_array_get(bt_json_arr(r->result, "plan"), 0);
  is_str(bt_json_str(step, "reason"), "scaled from 2 to 5; it goes on by its load from there", "and told what happens then");
  is_int(wanted(), 5, "it has as many");
  is_int(revision(), 1, "no revision");
  says("changed_for", "tester asked for it");
  kit_is_state(&k, "a", "deploying");
  kit_all_run(&k);
  kit_tick(&k, 3000);
  kit_is_state(&k, "a", "running");
  cpu_is(0.1);
  is_int(wanted(), 5, "which count as asked for: they stay for a window");
  r = scale(9, false);
  ok(r->code == BT_CONFLICT && strstr(r->message, "between 2 and 8"), "not over max");
  r = scale(1, false);
  ok(r->code == BT_CONFLICT, "nor below min");
  r = scale(0, false);
  ok(r->code == BT_OK && bt_json_bool(r->result, "changed", false), "0 switches it off: that is the file's");
  kit_resolve(&k, "1");
  kit_all_leave(&k);
  is_int(there(), 0, "nothing runs");
  says("state", "off");
  why_says("not scaled automatically");
  ok(!next_question(), "and nothing is asked");
  r = scale(3, false);
  ok(r->code == BT_OK, "another number switches it on again");
  kit_resolve(&k, "1");
  is_int(wanted(), 3, "from there");
  kit_end(&k);
}

static void by_schedule(void) {
  /* it is 22:13:20 UTC, a Tuesday */
  up(WEB("", "'min':1,'max':9,'schedules':[{'start':'20 22 * * 2','end':'30 22 * * 2','min':4}]"));
  is_int(there(), 1, "before its time");
  kit_tick(&k, 410000);
  is_int(there(), 4, "at 22:20 there are four");
  BT_AUTO_JSON o = view();
  ok(bt_json_int(o, "min", 0) == 4 && bt_json_int(o, "max", 0) == 9, "min is four then");
  kit_all_run(&k);
  ok(!question(), "and nobody was asked for anything");
  kit_tick(&k, 600000);
  kit_all_leave(&k);
  is_int(there(), 1, "after it, one");
  kit_end(&k);
}

static void jobs(void) {
  up("'web':{'image':'i:1','deploy':{'mode':'replicated-job'},'x-berth':{'job':{'completions':10,'max_concurrent':1},'autoscale':{" QUEUE "}}}");
  is_int(there(), 1, "a job begins with its max_concurrent");
  queue_is(40);
  is_int(there(), 4, "as many attempts at a time as the queue asks for");
  queue_is(0);
  is_int(there(), 4, "what works is not taken away");
  BT_AUTO_JSON list = kit_list(&k, "instances", "a");
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) kit_report(&k, bt_json_str(o, "instance"), "exited", false, 0);
  BT_AUTO_JSON after = kit_list(&k, "instances", "a");
  is_int(json_array_size(after), 4, "and nothing new begins while the queue is empty");
  next_question();
  const json_t *web = bt_json_obj(bt_json_obj(question()->args, "services"), "default/a/web");
  is_int(bt_json_int(bt_json_obj(web, "now"), "starting", -1), 0, "what has ended is not taken for what starts");
  answer_text("'metrics':{'0':{'value':10}}");
  BT_AUTO_JSON again = kit_list(&k, "instances", "a");
  is_int(json_array_size(again), 5, "until there is work");
  kit_end(&k);
}

static void refused(void) {
  static const struct {
    const char *service, *words;
  } cases[] = {
      {"'web':{'image':'i','deploy':{'mode':'global'},'x-berth':{'autoscale':{'max':2,'metrics':[{'lua':'return 1'}]}}}", "once per node"},
      {"'web':{'image':'i','container_name':'c','x-berth':{'autoscale':{'max':2,'metrics':[{'lua':'return 1'}]}}}", "one instance only"},
      {"'db':{'image':'i'},'web':{'image':'i','network_mode':'service:db','x-berth':{'autoscale':{'max':2,'metrics':[{'lua':'return 1'}]}}}", "shares the namespaces of service db"},
      {"'web':{'image':'i','x-berth':{'autoscale':{'max':2,'metrics':[{'cpu':'50%'}]}}}", "limits.cpus"},
      {"'web':{'image':'i','x-berth':{'autoscale':{'max':2,'metrics':[{'memory':'50%'}]}}}", "limits.memory"},
      {"'web':{'image':'i','x-berth':{'autoscale':{'max':2,'schedules':[{'start':'0 8 * * *','end':'0 9 * * *','min':1,'time_zone':'Mars/Olympus'}]}}}",
       "no time zone \"Mars/Olympus\""},
  };
  kit_start(&k);
  for (size_t i = 0; i < BT_COUNT(cases); i++) {
    BT_AUTO_FREE char *args = bt_asprintf("{'namespace':'default','app':'a','model':{'services':{%s}},'contents':{}}", cases[i].service);
    const struct bt_reply *r = kit_request(&k, "app.apply", args, false);
    if (!ok(r && r->code == BT_INVALID && strstr(r->message, cases[i].words), "refused: %s", cases[i].words))
      printf("# %s\n", r && r->message ? r->message : "taken");
  }
  kit_end(&k);
}

static void late_answers(void) {
  up(WEB("", QUEUE));
  next_question();
  uint64_t first = asked;
  apply_as(WEB("", "'min':1,'max':8,'metrics':[{'query':'other','target':1}]," NOW), true);
  asked = first;
  answer_text("'metrics':{'0':{'value':80}}");
  is_int(wanted(), 1, "an answer to what an earlier revision asked is none");
  ok(next_question(), "it is asked anew");
  answer_text("'metrics':{'0':{'value':5}}");
  is_int(wanted(), 5, "and taken");
  next_question();
  kit_request(&k, "app.remove", "{'namespace':'default','app':'a'}", false);
  answer_text("'metrics':{'0':{'value':8}}");
  kit_all_leave(&k);
  is_int(there(), 0, "an answer for what is being removed changes nothing");
  kit_end(&k);
}

static int placed(void) {
  BT_AUTO_JSON list = kit_list(&k, "instances", "a");
  size_t i;
  json_t *o;
  int n = 0;
  json_array_foreach(list, i, o) n += bt_json_str(o, "node") != NULL;
  return n;
}

static void quotas(void) {
  kit_start(&k);
  kit_request(&k, "settings.put", "{'pools':[],'scheduling':{},'namespaces':{'default':{'quota':{'instances':3}}}}", false);
  kit_hello(&k);
  apply_as(WEB(",'replicas':5", "'min':2,'max':8,'metrics':[{'cpu':'50%'}]," NOW), true);
  is_int(placed(), 3, "an app is admitted with its min, and what is above it needs room of its own");
  kit_all_run(&k);
  cpu_is(0.5);
  says("held_up", "quota");
  why_says("not all of them found a place: ");
  cpu_is(0.9);
  is_int(placed(), 3, "nor does load get it more than the quota");
  kit_request(&k, "settings.put", "{'pools':[],'scheduling':{},'namespaces':{'default':{'quota':{'instances':9}}}}", false);
  kit_tick(&k, 1000);
  is_int(placed(), wanted(), "when the quota is raised, it does");
  kit_end(&k);
}

#define WATCHED(cpus, more)                                                                                                     \
  "'web':{'image':'i:1','deploy':{'replicas':2,'resources':{'reservations':{'cpus':" cpus ",'memory':'50000000'},'limits':{'cpus':2,'memory':'100000000'}}}," \
  "'x-berth':{'autoscale':{'vertical':{" more "}}}}"

/* So many looks at instances that use so much. */
static void use(int looks, double cpus, long long memory) {
  for (int i = 0; i < looks; i++) {
    if (!next_question())
      ok(false, "control asks for figures");
    json_t *result = json_object(), *services = json_object(), *web = json_object(), *usage = json_object();
    BT_AUTO_JSON list = kit_list(&k, "instances", "a");
    size_t n;
    json_t *o;
    json_array_foreach(list, n, o) {
      json_t *one = json_object();
      bt_json_set(one, "cpus", json_real(cpus));
      bt_json_set(one, "memory", json_integer(memory));
      bt_json_set(usage, bt_json_str(o, "instance"), one);
    }
    bt_json_set(web, "usage", usage);
    bt_json_set(services, "default/a/web", web);
    bt_json_set(result, "services", services);
    answer(result, BT_OK, NULL);
  }
}

static double vertical(const char *what, const char *which) {
  BT_AUTO_JSON o = view();
  return bt_json_num(bt_json_obj(bt_json_obj(o, "vertical"), what), which, -1);
}

static const struct bt_reply *reserve(const char *numbers) {
  BT_AUTO_FREE char *args = bt_asprintf("{'namespace':'default','app':'a','services':{'web':%s}}", numbers);
  return kit_request(&k, "app.resources", args, false);
}

/* The target's model. */
static json_t *resources(void) {
  BT_AUTO_FREE char *name = bt_asprintf("a/%d", revision());
  const char *text = bt_control_get(k.c, "revisions", "default", name, NULL, NULL);
  BT_AUTO_JSON o = kit_json(text ? text : "{}");
  json_t *deploy = bt_json_obj(bt_json_obj(bt_json_obj(bt_json_obj(o, "model"), "services"), "web"), "deploy");
  return deploy ? json_incref(bt_json_obj(deploy, "resources")) : json_object();
}

/* What is changed in place is confirmed by the node. */
static void confirm(void) {
  BT_AUTO_JSON list = kit_list(&k, "instances", "a");
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "in_place"), "sent")) {
    BT_AUTO_FREE char *m = bt_asprintf("{'type':'report','instance':'%s','state':'running','ready':true,'hash':'%s'}", bt_json_str(o, "instance"), bt_json_str(o, "hash"));
    kit_node(&k, m);
  }
}

static void settle_down(void) {
  kit_resolve(&k, "1");
  confirm();
  for (int i = 0; i < 6; i++) {
    kit_all_leave(&k);
    kit_all_run(&k);
    use(1, 0.2, 60000000);
  }
}

static void recommended(void) {
  up(WATCHED("1", ""));
  is_int(there(), 2, "the file's number stands");
  ok(vertical("recommended", "cpus") < 0, "nothing is recommended at first");
  ok(reserve("{}")->code == BT_CONFLICT, "nor can it be put in force");
  use(100, 0.2, 60000000);
  ok(vertical("recommended", "cpus") > 0.2 && vertical("recommended", "cpus") < 0.26, "after half an hour it is, with its margin: %g cpus", vertical("recommended", "cpus"));
  ok(vertical("recommended", "memory") > 60e6 && vertical("recommended", "memory") < 85e6, "and memory: %g", vertical("recommended", "memory"));
  why_says("it reserves 1 cpus and ");
  kit_reload(&k);
  kit_hello_again(&k);
  kit_tick(&k, 1000);
  ok(vertical("recommended", "cpus") > 0.2, "a restart of the server does not forget it");
  const struct bt_reply *r = reserve("{'cpus':0.25,'memory':70000000}");
  ok(r->code == BT_OK && bt_json_bool(r->result, "changed", false) && revision() == 2, "put in force it is a revision");
  settle_down();
  BT_AUTO_JSON now = resources();
  const json_t *reservations = bt_json_obj(now, "reservations"), *limits = bt_json_obj(now, "limits");
  ok(bt_json_num(reservations, "cpus", 0) == 0.25 && bt_streq(bt_json_str(reservations, "memory"), "70000000"), "with other reservations");
  ok(bt_json_num(limits, "cpus", 0) == 0.5 && bt_streq(bt_json_str(limits, "memory"), "140000000"), "and limits in proportion");
  apply_as(WATCHED("1", ""), true);
  is_int(revision(), 2, "an apply of the same file changes nothing");
  kit_request(&k, "app.rollback", "{'namespace':'default','app':'a','to':1}", false);
  settle_down();
  BT_AUTO_JSON back = resources();
  ok(bt_json_num(bt_json_obj(back, "reservations"), "cpus", 0) == 0.25, "going back does not undo it");
  kit_reload(&k);
  kit_hello_again(&k);
  apply_as(WATCHED("1", ""), true);
  BT_AUTO_JSON kept_on = resources();
  ok(bt_json_num(bt_json_obj(kept_on, "reservations"), "cpus", 0) == 0.25, "nor does a restart, and the same file after it");
  apply_as(WATCHED("0.7", ""), true);
  settle_down();
  BT_AUTO_JSON other = resources();
  ok(bt_json_num(bt_json_obj(other, "reservations"), "cpus", 0) == 0.7, "another number of the file counts");
  BT_AUTO_JSON o = view();
  ok(!bt_json_bool(bt_json_obj(o, "vertical"), "in_force", true), "from then on");
  kit_end(&k);
}

static const struct bt_call *proposal(void) {
  for (size_t i = 0; i < k.fx.calls.len; i++)
    if (bt_streq(k.fx.calls.items[i].kind, "app.resources"))
      return &k.fx.calls.items[i];
  return NULL;
}

static bool proposed(int looks) {
  while (looks-- > 0) {
    use(1, 0.2, 60000000);
    if (proposal())
      return true;
  }
  return false;
}

static void automatic(void) {
  up(WATCHED("1", "'mode':'automatic','cpus':{'max':0.22},'memory':{'max':60000000},'every':'30m'"));
  kit_node(&k, "{'type':'hello','node':{'name':'n1','cpus':4,'memory':8000000000,'features':['update']},'instances':[]}");
  ok(!proposed(115), "not before its time");
  ok(proposed(20), "then it proposes other reservations to the admission");
  const json_t *args = proposal()->args;
  const json_t *web = bt_json_obj(bt_json_obj(args, "services"), "web");
  ok(bt_json_num(web, "cpus", 0) == 0.22 && bt_json_int(web, "memory", 0) == 60000000, "within its bounds");
  uint64_t id = proposal()->id;
  BT_AUTO_JSON asked_for = json_deep_copy(args);
  kit_step(&k, (struct bt_input){.kind = BT_IN_CALL_DONE, .call = id, .code = BT_DENIED, .text = "a policy refuses it"});
  is_int(events("autoscale.refused"), 1, "what is refused is told");
  ok(!proposed(115), "and not asked again before its time");
  ok(proposed(20), "but then");
  id = proposal()->id;
  struct bt_request request = {.id = 77, .op = "app.resources", .args = asked_for, .actor = "autoscale"};
  kit_step(&k, (struct bt_input){.kind = BT_IN_REQUEST, .request = &request});
  kit_resolve(&k, "1");
  is_int(kit_count(&k, "assign") + 10 * (kit_count(&k, "release") + (size_t)events("rollout.started")), 2, "both instances are changed in place, where the engine can");
  kit_step(&k, (struct bt_input){.kind = BT_IN_CALL_DONE, .call = id, .code = BT_OK});
  settle_down();
  BT_AUTO_JSON now = resources();
  ok(bt_json_num(bt_json_obj(now, "reservations"), "cpus", 0) == 0.22, "what is taken is in force");
  ok(!proposed(300), "what is near enough is left alone");
  kit_end(&k);
}

int main(void) {
  recommended();
  automatic();
  quotas();
  follows_cpu();
  one_question();
  sleeps();
  kept();
  restart_keeps_limits();
  by_hand();
  by_schedule();
  jobs();
  refused();
  late_answers();
  return done_testing();
}
