/* Quotas through control: what is refused and in which words, what waits and goes on, defaults and ranges, limits that are lowered, restarts of the
 * server; and a random walk of everything over a tree of namespaces, of which the sums are checked by brute force. */
#include "config.h"

#include "control_shop.h"
#include "model/quota.h"

#define SET(namespaces) "{'pools':[],'scheduling':{},'namespaces':{" namespaces "}}"
#define TREE                                                                                                                              \
  SET("'org':" Q("'cpus':2.5,'instances':9") ",'default':{'parent':'org'},'a':{'parent':'org','quota':{'cpus':1.5}},"                         \
      "'b':{'parent':'a','quota':{'instances':4}},'c':{'parent':'a'},'d':" Q("'cpus':1,'instances':5"))
#define Q(quota) "{'quota':{" quota "}}"
#define REPLICAS(n, res) ",'deploy':{'replicas':" n ",'resources':{'reservations':{" res "}}}"
#define HALF "'cpus':0.5,'memory':'1048576'"
#define ORIGIN ",'origin':{'services':{'web':{'file':'compose.yaml','line':12}}}"

static struct kit with(const char *settings) {
  struct kit k = fresh();
  kit_request(&k, "settings.put", settings, false);
  return k;
}

static json_t *quota_of(struct kit *k, const char *ns) {
  json_t *list = bt_control_list(k->c, "quotas", &(struct bt_query){.namespace_ = ns}, NULL, NULL);
  json_t *row = json_incref(json_array_get(list, 0));
  json_decref(list);
  return row;
}

static double used(struct kit *k, const char *ns, const char *what) {
  BT_AUTO_JSON row = quota_of(k, ns);
  return bt_json_num(bt_json_obj(row, "used"), what, -1);
}

static double held(struct kit *k, const char *ns, const char *what) {
  BT_AUTO_JSON row = quota_of(k, ns);
  return bt_json_num(bt_json_obj(row, "held"), what, -1);
}

static long placed(struct kit *k) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  long n = 0;
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) n += bt_json_str(o, "node") != NULL;
  return n;
}

/* What all of them ask for is more than 64 bits hold: 2^48 bytes, 2^16 times. */
static void test_beyond_numbers(void) {
  struct kit k = with(SET("'default':" Q("'memory':281474976710656")));
  refused(&k, "app.apply", APP(WEB(REPLICAS("65536", "'cpus':1,'memory':'281474976710656'"))), BT_DENIED, "; service web asks for most of it, 65536 times 256 TiB of memory");
  kit_end(&k);
}

static void test_refused(void) {
  struct kit k = with(SET("'default':{'parent':'org','quota':{'cpus':2,'instances':3}},'org':" Q("'cpus':3") ",'other':{'parent':'org'}"));
  refused(&k, "app.apply", "{'app':'shop','model':{'name':'shop','services':{" WEB(REPLICAS("5", HALF)) "}" NET "}" ORIGIN "}", BT_DENIED,
          "the quota of namespace default is 2 cpus, and none is used; app shop asks for 2.5 cpus more; service web (compose.yaml:12) asks for most of it, "
          "5 times 0.5 cpus: ask for fewer replicas or cpus, or have an operator raise namespaces.default.quota.cpus");
  ok(apply(&k, APP(WEB(REPLICAS("3", HALF)))), "what fits is taken");
  is_int(used(&k, "default", "cpus") * 10, 15, "it counts at once");
  is_int(used(&k, "org", "cpus") * 10, 15, "also above");
  refused(&k, "app.scale", "{'app':'shop','services':{'web':4}}", BT_DENIED, "the quota of namespace default is 3 instances, and 3 instances are used");
  ok(kit_request(&k, "app.scale", "{'app':'shop','services':{'web':2}}", false)->code == BT_OK, "fewer are always allowed");
  kit_resolve(&k, "aa");
  kit_all_run(&k);
  kit_all_leave(&k);
  is_int(used(&k, "default", "instances"), 2, "and give back");
  refused(&k, "app.apply", "{'namespace':'other','app':'shop','model':{'name':'shop','services':{" DB(REPLICAS("5", HALF)) "}}}", BT_DENIED,
          "the quota of namespace org is 3 cpus, and 1 cpu is used");
  ok(apply(&k, "{'namespace':'other','app':'shop','model':{'name':'shop','services':{" DB(REPLICAS("4", HALF)) "}}}"), "what is left of the parent's is another's");
  refused(&k, "app.rollback", "{'app':'shop','to':1}", BT_DENIED, "the quota of namespace org is 3 cpus, and 3 cpus are used; app shop asks for 0.5 cpus more");
  refused(&k, "app.apply", "{'app':'blog','model':{'name':'blog','services':{'blog':{'image':'b:1'}}}}", BT_DENIED,
          "service blog says nothing of its cpus, of which namespace default has a quota: say deploy.resources.reservations.cpus");
  const struct bt_reply *dry = kit_request(&k, "app.apply", APP(WEB(REPLICAS("1", HALF))), true);
  const json_t *row = json_array_get(bt_json_arr(bt_json_obj(dry->result, "forecast"), "quota"), 0);
  ok(bt_streq(bt_json_str(row, "resource"), "cpus") && bt_json_num(row, "before", 0) == 1.0 && bt_json_num(row, "after", 0) == 0.5, "a dry run has before and after");
  kit_request(&k, "app.remove", "{'app':'shop'}", false);
  kit_all_leave(&k);
  is_int(used(&k, "default", "instances"), 0, "an app that is gone uses nothing");
  kit_end(&k);
}

static void test_sizes(void) {
  struct kit k = with(SET("'default':{'parent':'org','range':{'cpus':[0.1,2],'memory':[null,1048576]}},'org':{'defaults':{'cpus':0.25,'memory':4096}}"));
  const struct bt_reply *reply = kit_request(&k, "app.apply", APP(WEB(",'mem_limit':'2048'")), true);
  json_t *filled = json_array_get(bt_json_arr(reply->result, "defaults"), 0);
  is_int(json_array_size(bt_json_arr(reply->result, "defaults")), 1, "what is said is left alone");
  is_str(bt_json_str(filled, "path"), "deploy.resources.reservations.cpus", "what is not is filled in");
  is_str(bt_json_str(filled, "namespace"), "org", "by the nearest that has a default");
  ok(apply(&k, APP(WEB(",'mem_limit':'2048'"))), "it is taken");
  is_int(used(&k, "default", "cpus") * 100, 25, "and counts");
  is_int(used(&k, "default", "memory"), 2048, "a limit counts where nothing is reserved");
  refused(&k, "app.apply", APP(WEB(REPLICAS("1", "'cpus':4,'memory':'1'"))), BT_DENIED,
          "an instance of service web asks for 4 cpus, and namespace default allows no more than 2 cpus (namespaces.default.range.cpus); ask for less");
  refused(&k, "app.apply", APP(WEB(REPLICAS("1", "'cpus':0.05,'memory':'1'"))), BT_DENIED, "allows no less than 0.1 cpus");
  refused(&k, "app.apply", APP(WEB(REPLICAS("1", "'cpus':1,'memory':'2000000'"))), BT_DENIED, "allows no more than 1 MiB of memory");
  kit_request(&k, "settings.put", SET("'default':{'range':{'cpus':[1,2]}}"), false);
  ok(apply(&k, APP(WEB(",'mem_limit':'2048','environment':{'A':'1'}" REPLICAS("1", "'cpus':0.25")))), "what stands may be changed otherwise");
  refused(&k, "app.scale", "{'app':'shop','services':{'web':2}}", BT_DENIED, "allows no less than 1 cpu");
  kit_end(&k);
}

static void test_others(void) {
  struct kit k = with(SET("'default':" Q("'volumes':2,'routes':1,'devices':3")));
#define DATA(names) "{'app':'shop','model':{'name':'shop','services':{" DB("") "},'volumes':{" names "}}}"
  ok(apply(&k, DATA("'a':{},'b':{}")), "two volumes of two");
  is_int(used(&k, "default", "volumes"), 2, "count");
  is_int(held(&k, "default", "volumes"), 2, "and are there");
  refused(&k, "app.apply", DATA("'a':{},'c':{}"), BT_DENIED, "the quota of namespace default is 2 volumes, and 2 volumes are used; app shop asks for 1 volume more");
  ok(apply(&k, DATA("'a':{'name':'shared','external':true},'b':{}")), "one that is not ours does not count");
  is_int(used(&k, "default", "volumes"), 2, "one that no app uses any more does, since it is there");
  kit_request(&k, "app.remove", "{'app':'shop'}", false);
  kit_all_leave(&k);
  is_int(used(&k, "default", "volumes"), 2, "volumes outlive their app, and count on");
  ok(apply(&k, DATA("'a':{},'b':{}")), "it may have them back");
  kit_reload(&k);
  is_int(used(&k, "default", "volumes"), 2, "they count after a restart");
  kit_request(&k, "settings.put", SET("'default':" Q("'volumes':2,'routes':1,'devices':3")), false);
  refused(&k, "app.apply", APP(DB(",'x-berth':{'routes':[{'hosts':['a.org'],'port':80},{'hosts':['b.org'],'port':80}]}")), BT_DENIED, "is 1 route, and none is used");
  refused(&k, "app.apply", APP(DB(",'gpus':[{'count':2,'capabilities':['gpu']}],'deploy':{'replicas':2}")), BT_DENIED,
          "is 3 devices, and none is used; app shop asks for 4 devices more; service db asks for most of it, 2 times 2 devices");
  kit_end(&k);
}

#define START_FIRST(n, v) WEB(",'environment':{'A':'" v "'},'deploy':{'replicas':" n ",'update_config':{'order':'start-first','parallelism':2},'resources':{'reservations':{" HALF "}}}")
static void roll(struct kit *k, int rounds, int most, const char *what) {
  bool within = true;
  for (int i = 0; i < rounds; i++) {
    kit_all_run(k);
    kit_all_leave(k);
    kit_tick(k, 6000);
    within = within && held(k, "default", "instances") <= most && used(k, "default", "instances") <= most;
  }
  ok(within, "%s: never more than %d", what, most);
}

static void test_surge(void) {
  struct kit k = with(SET("'default':" Q("'instances':4")));
  ok(apply(&k, APP(START_FIRST("4", "1"))), "all of a quota");
  roll(&k, 3, 4, "at first");
  kit_is_state(&k, "shop", "running");
  ok(apply(&k, APP(START_FIRST("4", "2"))), "is updated, start-first");
  is_int(placed(&k), 4, "no new one beside the old ones");
  roll(&k, 8, 4, "the update");
  kit_is_state(&k, "shop", "running");
  is_int(placed(&k), 4, "all are new in the end");
  ok(apply(&k, APP(START_FIRST("3", "2"))), "one less");
  roll(&k, 3, 4, "fewer");
  ok(apply(&k, APP(START_FIRST("3", "3"))), "with room for one more");
  is_int(placed(&k), 4, "one new stands beside the old ones");
  roll(&k, 8, 4, "the second update");
  kit_is_state(&k, "shop", "running");
  is_int(used(&k, "default", "instances"), 3, "what was on top is given back");
  kit_end(&k);
}

/* What needs old and new side by side waits: the old ones are not ended for it. */
static void test_blue_green(void) {
  struct kit k = with(SET("'default':" Q("'instances':4")));
#define BLUE(v) APP(WEB(",'environment':{'A':'" v "'},'x-berth':{'rollout':{'strategy':'blue-green'}}" REPLICAS("3", HALF)))
  ok(apply(&k, BLUE("1")), "three of four, blue");
  roll(&k, 3, 4, "blue");
  ok(apply(&k, BLUE("2")), "green beside them has room for one");
  for (int i = 0; i < 3; i++) {
    kit_all_run(&k);
    kit_tick(&k, 6000);
  }
  is_int(placed(&k), 4, "which has its place");
  BT_AUTO_JSON list = kit_list(&k, "instances", NULL);
  long leaving = 0;
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) leaving += bt_json_bool(o, "leaving", false);
  is_int(leaving, 0, "and none of the old ones goes for the others");
  kit_end(&k);
}

static void test_lowered(void) {
  struct kit k = with(SET("'default':" Q("'instances':4")));
  ok(apply(&k, APP(WEB(REPLICAS("3", HALF)))), "three of four");
  roll(&k, 2, 4, "as usual");
  kit_request(&k, "settings.put", SET("'default':" Q("'instances':2")), false);
  roll(&k, 3, 3, "lowered");
  is_int(placed(&k), 3, "what runs is not stopped");
  BT_AUTO_JSON row = quota_of(&k, "default");
  is_str(json_string_value(json_array_get(bt_json_arr(row, "over"), 0)), "instances", "it is shown to be over");
  ok(apply(&k, APP(WEB(",'environment':{'A':'1'}" REPLICAS("3", HALF)))), "an update that asks for no more is taken");
  roll(&k, 3, 3, "the update");
  is_int(placed(&k), 3, "but ends nothing that it could not start again");
  BT_AUTO_JSON why = bt_control_why(k.c, "default", "shop/web", k.now, NULL);
  BT_AUTO_FREE char *text = bt_json_text(why);
  ok(strstr(text, "the quota of namespace default is 2 instances, and 3 instances are used: what runs goes on, and nothing new starts"), "why says so");
  kit_request(&k, "app.scale", "{'app':'shop','services':{'web':1}}", false);
  kit_resolve(&k, "aa");
  roll(&k, 6, 3, "after going below");
  is_int(placed(&k), 1, "scaling down works meanwhile");
  kit_is_state(&k, "shop", "running");
  kit_request(&k, "settings.put", SET(""), false);
  ok(apply(&k, APP(WEB(REPLICAS("5", HALF)))), "without a quota there is no limit");
  is_int(placed(&k), 5, "for anybody");
  kit_end(&k);
}

#define JOBS(n) "'j':{'image':'i:1','deploy':{'mode':'replicated-job','replicas':" n ",'resources':{'reservations':{" HALF "}}}}"
static const char *state_of(struct kit *k, const char *service, const char *want, long *n) {
  static char reason[240];
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i;
  json_t *o;
  *n = 0;
  *reason = '\0';
  json_array_foreach(list, i, o) {
    bool waits = bt_streq(bt_json_str(o, "service"), service) && !bt_json_str(o, "node");
    *n += bt_streq(bt_json_str(o, "service"), service) && bt_streq(bt_json_str(o, "state"), want);
    if (waits)
      snprintf(reason, sizeof reason, "%s", bt_json_str_or(o, "reason", ""));
  }
  return reason;
}

static void test_jobs(void) {
  struct kit k = with(SET("'default':" Q("'cpus':2,'instances':4")));
  long n;
  ok(apply(&k, APP(WEB(REPLICAS("2", HALF)))), "two serve");
  ok(apply(&k, "{'app':'batch','model':{'name':'batch','services':{" JOBS("6") "}}}"), "a job of six at once is admitted");
  is_str(state_of(&k, "j", "pending", &n), "waits for the quota of namespace default, which is 2 cpus", "what has no room waits in words");
  is_int(held(&k, "default", "cpus"), 2, "never more than the quota is held");
  kit_tick(&k, 20000);
  BT_AUTO_FREE char *state = kit_app_state(&k, "batch");
  is_str(state, "deploying", "waiting is no failure of a job");
  BT_AUTO_FREE char *pending = NULL;
  BT_AUTO_JSON list = kit_list(&k, "instances", "batch");
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (!bt_json_str(o, "node")) bt_str_set(&pending, bt_json_str(o, "instance"));
  BT_AUTO_JSON why = bt_control_why(k.c, "default", pending, k.now, NULL);
  BT_AUTO_FREE char *text = bt_json_text(why);
  ok(strstr(text, "the quota of namespace default is 2 cpus, and 2 cpus are used; an instance of j asks for 0.5 cpus"), "why has the numbers");
  ok(strstr(text, "berth quota ls"), "and what to do");
  refused(&k, "job.run", "{'app':'batch','service':'j'}", BT_DENIED, "the quota of namespace default is 2 cpus, and 2 cpus are used");
  for (int round = 0; round < 6; round++) {
    BT_AUTO_JSON now = kit_list(&k, "instances", "batch");
    json_array_foreach(now, i, o) if (bt_json_str(o, "node") && !bt_streq(bt_json_str(o, "state"), "exited"))
        kit_report(&k, bt_json_str(o, "instance"), "exited", false, 0);
    kit_tick(&k, 500);
  }
  state_of(&k, "j", "exited", &n);
  is_int(n, 6, "all of it runs in the end");
  is_int(held(&k, "default", "cpus"), 1, "and gives back what it had");
  refused(&k, "app.apply", "{'app':'big','model':{'name':'big','services':{'j':{'image':'i:1','deploy':{'mode':'replicated-job','resources':{'reservations':{'cpus':3}}}}}}}", BT_DENIED,
          "the quota of namespace default is 2 cpus");
  kit_end(&k);
}

/* An attempt that has ended gave its place back: it does not take it again while it is stopped and removed. */
static void test_removed(void) {
  struct kit k = with(SET("'default':" Q("'instances':3")));
  ok(apply(&k, "{'app':'batch','model':{'name':'batch','services':{" JOBS("3") "}}}"), "a job of three");
  BT_AUTO_JSON list = kit_list(&k, "instances", "batch");
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) kit_report(&k, bt_json_str(o, "instance"), "exited", false, 0);
  is_int(held(&k, "default", "instances"), 0, "it has ended");
  kit_request(&k, "app.remove", "{'app':'batch'}", false);
  json_array_foreach(list, i, o) kit_report(&k, bt_json_str(o, "instance"), "stopping", false, 0);
  is_int(held(&k, "default", "instances"), 0, "and holds nothing while it is removed");
  kit_end(&k);
}

/* A job that its own app waits for has its room, though the app claims all there is. */
static void test_gate(void) {
  struct kit k = with(SET("'default':" Q("'instances':2")));
  long n;
  ok(apply(&k, APP("'migrate':{'image':'m:1','deploy':{'mode':'replicated-job'}},'web':{'image':'web:1','depends_on':{'migrate':{'condition':'service_completed_successfully','required':true}},"
                   "'deploy':{'replicas':2}}")), "a migration before all of a quota");
  state_of(&k, "migrate", "pending", &n);
  BT_AUTO_FREE char *id = id_of(&k, "migrate", 0);
  kit_report(&k, id, "exited", false, 0);
  kit_tick(&k, 500);
  kit_all_run(&k);
  state_of(&k, "web", "running", &n);
  is_int(n, 2, "then the others run");
  kit_end(&k);
}

/* ---- the walk ---- */

enum { SPACES = 6, WALK = 600 };
static const char *const spaces[SPACES] = {"default", "a", "b", "c", "d", "org"};
static const int parents[SPACES] = {5, 5, 1, 1, -1, -1};
static uint32_t seed;
static int rnd(int n) {
  seed = seed * 1664525u + 1013904223u;
  return (int)((seed >> 8) % (uint32_t)n);
}

static int index_of(const char *ns) {
  for (int i = 0; i < SPACES; i++)
    if (bt_streq(spaces[i], ns))
      return i;
  return -1;
}

/* What instances have places, by brute force: thousandths of cpus, and instances. */
static void sum_instances(struct kit *k, int64_t cpus[SPACES], int64_t n[SPACES]) {
  BT_AUTO_JSON list = bt_control_list(k->c, "instances", &(struct bt_query){.limit = 5000}, NULL, NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) {
    bool over = bt_json_bool(o, "ended", false) && bt_starts(bt_json_str(o, "service"), "j");
    if (!bt_json_str(o, "node") || over)
      continue;
    for (int s = index_of(bt_json_str(o, "namespace")); s >= 0; s = parents[s]) {
      cpus[s] += bt_streq(bt_json_str(o, "service"), "big") ? 700 : 200;
      n[s]++;
    }
  }
}

static bool sums_same(struct kit *k, bool *within) {
  int64_t cpus[SPACES] = {0}, n[SPACES] = {0};
  bool same = true;
  sum_instances(k, cpus, n);
  for (int s = 0; s < SPACES; s++) {
    BT_AUTO_JSON row = quota_of(k, spaces[s]);
    const json_t *h = bt_json_obj(row, "held"), *u = bt_json_obj(row, "used"), *q = bt_json_obj(row, "quota");
    if (!row)
      continue;
    same = same && (int64_t)(bt_json_num(h, "cpus", 0) * 1000 + 0.5) == cpus[s] && bt_json_int(h, "instances", 0) == n[s];
    *within = *within && bt_json_num(u, "cpus", 0) <= bt_json_num(q, "cpus", 1e9) && bt_json_int(u, "instances", 0) <= bt_json_int(q, "instances", 1 << 30);
    *within = *within && cpus[s] <= (int64_t)(bt_json_num(q, "cpus", 1e9) * 1000 + 0.5) && n[s] <= bt_json_int(q, "instances", 1 << 30);
  }
  return same;
}

static void walk_apply(struct kit *k) {
  static const char *const orders[] = {"start-first", "stop-first"};
  BT_AUTO_FREE char *args = bt_asprintf(
      "{'namespace':'%s','app':'app%d','model':{'name':'x','services':{"
      "'small':{'image':'s:%d','deploy':{'replicas':%d,'update_config':{'order':'%s','parallelism':%d},'resources':{'reservations':{'cpus':0.2}}}},"
      "'big':{'image':'b:1','deploy':{'replicas':%d,'resources':{'limits':{'cpus':0.7}}}},"
      "'job':{'image':'j:%d','deploy':{'mode':'replicated-job','replicas':%d,'resources':{'reservations':{'cpus':0.2}}}}}}}",
      spaces[rnd(5)], rnd(3), rnd(4), rnd(6), orders[rnd(2)], rnd(3), rnd(3), rnd(3), rnd(5));
  kit_request(k, "app.apply", args, false);
  kit_resolve(k, "aa");
}

static void walk_reports(struct kit *k) {
  BT_AUTO_JSON list = bt_control_list(k->c, "instances", &(struct bt_query){.limit = 5000}, NULL, NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) {
    if (!bt_json_str(o, "node") || rnd(3) == 0)
      continue;
    const char *id = bt_json_str(o, "instance");
    if (bt_json_bool(o, "leaving", false))
      kit_report(k, id, "removed", false, 0);
    else if (bt_json_bool(o, "ended", false))
      continue;
    else if (bt_streq(bt_json_str(o, "service"), "job") && rnd(2))
      kit_report(k, id, "exited", false, rnd(4) == 0);
    else if (rnd(8) == 0)
      kit_report(k, id, "failed", false, 1);
    else if (!bt_json_bool(o, "ready", false))
      kit_report(k, id, "running", true, 0);
  }
}

static void walk_other(struct kit *k) {
  static const char *const ops[] = {"app.scale", "app.rollback", "app.remove"};
  int which = rnd(10) ? rnd(2) : 2;
  BT_AUTO_FREE char *args = which == 0 ? bt_asprintf("{'namespace':'%s','app':'app%d','services':{'small':%d}}", spaces[rnd(5)], rnd(3), rnd(9))
                                       : bt_asprintf("{'namespace':'%s','app':'app%d'}", spaces[rnd(5)], rnd(3));
  kit_request(k, ops[which], args, false);
  kit_resolve(k, "aa");
}

static void test_walk(uint32_t with_seed) {
  seed = with_seed;
  struct kit k = with(TREE);
  bool same = true, within = true;
  BT_AUTO_FREE char *tree = bt_strdup(TREE);
  for (char *p = tree; *p; p++)
    *p = *p == '\'' ? '"' : *p;
  BT_AUTO_JSON settings = kit_json(tree);
  k.settings = settings;
  for (int i = 0; i < WALK; i++) {
    int what = rnd(10);
    if (what < 3)
      walk_apply(&k);
    else if (what < 5)
      walk_other(&k);
    else
      walk_reports(&k);
    kit_tick(&k, rnd(4000));
    if (rnd(60) == 0) {
      kit_reload(&k);
      kit_hello_again(&k);
    }
    bool so_far = within;
    same = same && sums_same(&k, &within);
    if (so_far != within) {
      BT_AUTO_JSON rows = bt_control_list(k.c, "quotas", NULL, NULL, NULL);
      BT_AUTO_FREE char *text = bt_json_text(rows);
      printf("# step %d of walk %u, which does %d: %s\n", i, with_seed, what, text);
    }
  }
  ok(same, "walk %u: the sums are those of all instances, at every step", with_seed);
  ok(within, "no quota is passed, at any level");
  kit_end(&k);
}

int main(void) {
  test_refused();
  test_beyond_numbers();
  test_sizes();
  test_others();
  test_surge();
  test_blue_green();
  test_lowered();
  test_jobs();
  test_removed();
  test_gate();
  for (uint32_t s = 1; s <= 4; s++)
    test_walk(s);
  return done_testing();
}
