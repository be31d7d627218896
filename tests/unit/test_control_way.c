/* Control and the ways of rollouts: what routes are told, who goes when, what is stored, what somebody may ask for, and how it goes back. */
#include "config.h"

#include "base/buf.h"
#include "control_shop.h"

#define ROUTED(way, more) ROUTED_SO(way, more, "")
#define ROUTED_SO(way, more, update) \
  "'web':{'image':'web:1','restart':'always','healthcheck':{'test':['CMD','x']},'deploy':{'replicas':4,'update_config':{'parallelism':4" update "}},'networks':{'default':null}," \
  "'x-berth':{'routes':[{'protocol':'http','hosts':['shop.example'],'paths':['/'],'port':80,'weight':7}],'rollout':" way "}" more "}"
#define GREEN "{'strategy':'blue-green','keep':'1m0s'}"
#define CANARY "{'strategy':'canary','steps':[{'instances':'25%','weight':10,'pause':'1m0s'},{'instances':'50%','weight':30,'pause':'promote'}]}"
#define PAUSES ",'failure_action':'pause'"
#define NEW ",'environment':{'A':'1'}"

static void run(struct kit *k, const char *id, bool ready) {
  BT_AUTO_FREE char *m = bt_asprintf("{'type':'report','instance':'%s','state':'running','ready':%s,'health':'%s','container_id':'c-%s','ip':'10.0.0.%zu','started_ms':1}", id,
                                     ready ? "true" : "false", ready ? "healthy" : "starting", id, strlen(id));
  kit_node(k, m);
}

/* Everything that has a node becomes ready, and what is asked to go is gone, until nothing changes. */
static void settle(struct kit *k) {
  for (int i = 0; i < 30; i++) {
    BT_AUTO_JSON list = kit_list(k, "instances", NULL);
    size_t n;
    json_t *o;
    bool any = false;
    json_array_foreach(list, n, o) if (bt_json_str(o, "node") && !bt_json_bool(o, "leaving", false) && !bt_json_bool(o, "ready", false)) {
      run(k, bt_json_str(o, "instance"), true);
      any = true;
    }
    json_array_foreach(list, n, o) any = any || bt_json_bool(o, "leaving", false);
    kit_tick(k, 2500); /* whose drains end meanwhile */
    kit_all_leave(k);
    if (!any)
      return;
  }
}

static size_t ready_of(const json_t *pool) {
  size_t i, n = 0;
  json_t *endpoint;
  json_array_foreach(bt_json_arr(pool, "endpoints"), i, endpoint) n += bt_streq(bt_json_str(endpoint, "state"), "ready");
  return n;
}

/* "new 1, old 4: 0/1000" : how many endpoints the pools have, and their weights in the route. */
static char *table(const struct kit *k) {
  BT_AUTO_JSON t = bt_control_routes(k->c);
  const json_t *targets = bt_json_arr(json_array_get(bt_json_arr(t, "routes"), 0), "targets");
  BT_AUTO_BUF b = {0};
  size_t i, j;
  json_t *target, *pool;
  json_array_foreach(targets, i, target) {
    const char *id = bt_json_str_or(target, "pool", "");
    size_t n = 0;
    json_array_foreach(bt_json_arr(t, "pools"), j, pool) if (bt_streq(bt_json_str(pool, "id"), id)) n = ready_of(pool);
    bt_buf_addf(&b, "%s%s %zu at %lld", i ? ", " : "", bt_ends(id, "/old") ? "old" : "new", n, bt_json_int(target, "weight", -1));
  }
  return bt_buf_steal(&b);
}

static void table_is(const struct kit *k, const char *want, const char *name) {
  BT_AUTO_FREE char *got = table(k);
  is_str(got, want, name);
}

static void says(struct kit *k, const char *part, const char *name) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON why = bt_control_why(k->c, "default", "shop/web", k->now, &err);
  const char *summary = bt_json_str_or(why, "summary", "");
  ok(strstr(summary, part), "%s: %s", name, summary);
}

static struct kit deployed(const char *first) {
  struct kit k = fresh();
  ok(apply(&k, first), "the first revision");
  settle(&k);
  settle(&k);
  kit_is_state(&k, "shop", "running");
  return k;
}

static long long instances(struct kit *k) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  return (long long)json_array_size(list);
}

static void test_blue_green(void) {
  struct kit k = deployed(APP(ROUTED(GREEN, "")));
  table_is(&k, "new 4 at 7", "one pool");
  ok(apply(&k, APP(ROUTED(GREEN, NEW))), "an update");
  is_int(instances(&k), 8, "four new ones beside four old");
  table_is(&k, "new 0 at 0, old 4 at 1000", "requests go to the old");
  says(&k, "blue-green: 4 of 4 new instances are there", "why says so");
  kit_reload(&k);
  kit_hello_again(&k);
  table_is(&k, "new 0 at 0, old 4 at 1000", "also after a crash");
  settle(&k);
  table_is(&k, "new 4 at 1000, old 4 at 0", "all are ready: the switch");
  says(&k, "requests go to the new instances; the old ones stay", "why says so");
  kit_reload(&k);
  kit_hello_again(&k);
  table_is(&k, "new 4 at 1000, old 4 at 0", "also after a crash");
  is_int(instances(&k), 8, "the old ones stay");
  kit_tick(&k, 61000);
  settle(&k);
  settle(&k);
  is_int(instances(&k), 4, "then they go");
  table_is(&k, "new 4 at 7", "and there is one pool again");
  kit_is_state(&k, "shop", "running");
  kit_end(&k);
}

/* It fails after the switch: the old ones take over in that very step. */
static void test_blue_green_fails(void) {
  struct kit k = deployed(APP(ROUTED(GREEN, "")));
  ok(apply(&k, APP(ROUTED(GREEN, NEW))), "an update");
  settle(&k);
  table_is(&k, "new 4 at 1000, old 4 at 0", "the switch");
  BT_AUTO_JSON list = kit_list(&k, "instances", NULL);
  size_t i;
  json_t *o;
  const char *bad = NULL;
  json_array_foreach(list, i, o) bad = bt_json_int(o, "revision", 0) == 2 ? bt_json_str(o, "instance") : bad;
  kit_report(&k, bad, "exited", false, 3);
  table_is(&k, "new 4 at 7", "requests go to those that were before");
  ok(k.fx.routes, "and load balancers hear of it in that step");
  settle(&k);
  settle(&k);
  kit_is_state(&k, "shop", "running");
  table_is(&k, "new 4 at 7", "four serve");
  BT_AUTO_JSON revs = kit_list(&k, "revisions", "shop");
  is_int(bt_json_int(json_array_get(revs, json_array_size(revs) - 1), "rollback_of", 0) + bt_json_int(json_array_get(revs, 0), "rollback_of", 0), 1, "of the first revision");
  kit_end(&k);
}

/* It stops where the file says so, with requests at the old ones, and goes on when the same is applied again: not by itself when the new ones come up. */
static void test_blue_green_pauses(void) {
  struct kit k = deployed(APP(ROUTED_SO(GREEN, "", PAUSES)));
  ok(apply(&k, APP(ROUTED_SO(GREEN, NEW, PAUSES))), "an update");
  BT_AUTO_JSON list = kit_list(&k, "instances", NULL);
  size_t i;
  json_t *o;
  const char *bad = NULL;
  json_array_foreach(list, i, o) bad = bt_json_int(o, "revision", 0) == 2 ? bt_json_str(o, "instance") : bad;
  kit_report(&k, bad, "failed", false, 3);
  table_is(&k, "new 0 at 0, old 4 at 1000", "a new one fails: requests stay where they are");
  kit_is_state(&k, "shop", "failed");
  settle(&k);
  kit_tick(&k, 60000);
  settle(&k);
  table_is(&k, "new 4 at 0, old 4 at 1000", "it comes up after all: nothing moves");
  is_int(instances(&k), 8, "and nobody goes");
  kit_is_state(&k, "shop", "failed");
  kit_reload(&k);
  kit_hello_again(&k);
  table_is(&k, "new 4 at 0, old 4 at 1000", "also after a crash");
  ok(apply(&k, APP(ROUTED_SO(GREEN, NEW, PAUSES))), "the same again: a person says go on");
  settle(&k);
  table_is(&k, "new 4 at 1000, old 4 at 0", "and it switches");
  kit_tick(&k, 61000);
  settle(&k);
  settle(&k);
  table_is(&k, "new 4 at 7", "and is through");
  is_int(instances(&k), 4, "the old ones went");
  kit_is_state(&k, "shop", "running");
  kit_end(&k);
}

/* Another change while the old ones stay: those that serve are what it goes on from. */
static void test_next_revision(void) {
  struct kit k = deployed(APP(ROUTED(GREEN, "")));
  ok(apply(&k, APP(ROUTED(GREEN, NEW))), "an update");
  settle(&k);
  ok(apply(&k, APP(ROUTED(GREEN, ",'environment':{'A':'2'}"))), "and the next, before the old ones went");
  table_is(&k, "new 0 at 0, old 4 at 1000", "the second ones serve until the third ones can");
  BT_AUTO_JSON list = kit_list(&k, "instances", NULL);
  size_t i;
  json_t *o;
  long first = 0;
  json_array_foreach(list, i, o) first += bt_json_int(o, "revision", 0) == 1 && !bt_json_bool(o, "leaving", false);
  is_int(first, 0, "the first ones go");
  settle(&k);
  table_is(&k, "new 4 at 1000, old 4 at 0", "then the third ones do");
  kit_end(&k);
}

static enum bt_code ask(struct kit *k, const char *action) {
  BT_AUTO_FREE char *args = bt_asprintf("{'app':'shop','service':'web','action':'%s'}", action);
  const struct bt_reply *reply = kit_request(k, "app.rollout", args, false);
  return reply ? reply->code : BT_INTERNAL;
}

static void test_canary(void) {
  struct kit k = deployed(APP(ROUTED(CANARY, "")));
  is_int(ask(&k, "promote"), BT_CONFLICT, "there is nothing to promote");
  ok(apply(&k, APP(ROUTED(CANARY, NEW))), "an update");
  settle(&k);
  settle(&k);
  table_is(&k, "new 1 at 100, old 3 at 900", "one of four gets ten of a hundred");
  says(&k, "canary step 1 of 2: 1 of 4 instances are new and get 10 of 100 requests; the next step is in", "why says so");
  BT_AUTO_JSON services = kit_list(&k, "services", "shop");
  const json_t *roll = bt_json_obj(json_array_get(services, 0), "rollout");
  is_str(bt_json_str(roll, "strategy"), "canary", "the view has the strategy");
  is_int(bt_json_int(roll, "weight", -1), 10, "the weight");
  is_int(bt_json_int(roll, "steps", -1), 2, "the steps");
  is_int(ask(&k, "pause"), BT_OK, "it is held");
  kit_tick(&k, 120000);
  settle(&k);
  table_is(&k, "new 1 at 100, old 3 at 900", "and stays");
  kit_reload(&k);
  kit_hello_again(&k);
  says(&k, "it is held", "a crash forgets no wish");
  is_int(ask(&k, "promote"), BT_OK, "it is promoted");
  settle(&k);
  settle(&k);
  table_is(&k, "new 2 at 300, old 2 at 700", "the second step");
  is_int(ask(&k, "nonsense"), BT_INVALID, "what it knows no word for it refuses");
  is_int(ask(&k, "promote"), BT_OK, "and the rest");
  for (int i = 0; i < 6; i++)
    settle(&k);
  table_is(&k, "new 4 at 7", "through");
  kit_is_state(&k, "shop", "running");
  kit_end(&k);
}

static void test_abort(void) {
  struct kit k = deployed(APP(ROUTED(CANARY, "")));
  ok(apply(&k, APP(ROUTED(CANARY, NEW))), "an update");
  settle(&k);
  is_int(ask(&k, "abort"), BT_OK, "it is aborted");
  for (int i = 0; i < 6; i++)
    settle(&k);
  kit_is_state(&k, "shop", "running");
  BT_AUTO_JSON list = kit_list(&k, "instances", NULL), *apps = kit_list(&k, "apps", "shop");
  is_int(json_array_size(list), 4, "four");
  size_t i;
  json_t *o;
  bool env = false;
  json_array_foreach(list, i, o) env = env || bt_json_int(o, "revision", 0) == 2;
  ok(!env, "none is of what was aborted");
  const char *message = bt_json_str_or(json_array_get(apps, 0), "message", "");
  ok(strstr(message, "tester aborts the update of web"), "and the app says who: %s", message);
  kit_end(&k);
}

/* How often the words are in what the events of the type say. */
static int said(const struct kit *k, const char *type, const char *words) {
  BT_AUTO_JSON list = bt_control_list(k->c, "events", &(struct bt_query){.type = type, .limit = 100}, NULL, NULL);
  int n = 0;
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) for (const char *p = bt_json_str_or(o, "message", ""); (p = strstr(p, words)); p++) n++;
  return n;
}

/* Whoever says it twice does not take back the going back. */
static void test_abort_twice(void) {
  static const char again[] = "{'app':'shop','action':'abort'}";
  struct kit k = deployed(APP(ROUTED(CANARY, "")));
  ok(apply(&k, APP(ROUTED(CANARY, NEW))), "an update");
  settle(&k);
  is_int(ask(&k, "abort"), BT_OK, "it is aborted");
  refused(&k, "app.rollout", again, BT_CONFLICT, "shop goes back already");
  kit_reload(&k);
  kit_hello_again(&k);
  refused(&k, "app.rollout", again, BT_CONFLICT, "shop goes back already");
  for (int i = 0; i < 6; i++)
    settle(&k);
  kit_is_state(&k, "shop", "running");
  BT_AUTO_JSON revs = kit_list(&k, "revisions", "shop");
  is_int(json_array_size(revs), 3, "it went back once");
  is_int(said(&k, "rollout.rolled-back", "tester aborts the update of web"), 1, "and says once why");
  refused(&k, "app.rollout", again, BT_CONFLICT, "nothing of shop is being updated");
  kit_end(&k);
}

static void test_refused(void) {
  struct kit k = fresh();
  refused(&k, "app.apply", APP("'web':{'image':'w','container_name':'x','x-berth':{'rollout':" GREEN "}}"), BT_INVALID, "cannot, since container_name is fixed");
  refused(&k, "app.apply", APP("'web':{'image':'w','x-berth':{'rollout':" CANARY "}}"), BT_INVALID, "a weight is a share of the requests of x-berth.routes");
  refused(&k, "app.apply", APP("'web':{'image':'w','deploy':{'mode':'replicated-job'},'x-berth':{'rollout':" GREEN "}}"), BT_INVALID, "a job has no rollout");
  refused(&k, "app.apply", APP("'web':{'image':'w','deploy':{'update_config':{'failure_action':'continue'}},'x-berth':{'rollout':" GREEN "}}"), BT_INVALID, "failure_action is continue");
  kit_end(&k);
}

int main(void) {
  test_blue_green();
  test_blue_green_fails();
  test_blue_green_pauses();
  test_next_revision();
  test_canary();
  test_abort();
  test_abort_twice();
  test_refused();
  return done_testing();
}
