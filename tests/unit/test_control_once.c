/* Jobs of mode "global-job": once on each node that takes them, whether it is there or joins later; further attempts where the first was; with a schedule each
 * run on all nodes; what a restart of the server, cordoned and lost nodes change. */
#include "config.h"

#include "control_nodes.h"

#define JOB(deploy, more) "'scan':{'image':'scan:1','deploy':{'mode':'global-job'" deploy "}" more "}"

/* How many attempts of it a node was given; state: NULL: any. */
static long on(struct kit *k, const char *node, const char *state) {
  BT_AUTO_JSON list = insts_on(k, node);
  long n = 0;
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) n += !bt_json_bool(o, "leaving", false) && (!state || bt_streq(bt_json_str(o, "state"), state));
  return n;
}

/* What runs there ends. */
static void ends(struct kit *k, const char *node, int code) {
  BT_AUTO_JSON list = insts_on(k, node);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (!bt_json_bool(o, "ended", false) && !bt_json_bool(o, "leaving", false)) {
    k->node = node;
    kit_report(k, bt_json_str(o, "instance"), "running", true, 0);
    kit_report(k, bt_json_str(o, "instance"), "exited", false, code);
    k->node = NULL;
  }
}

static void leave(struct kit *k) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_json_bool(o, "leaving", false)) node_report(k, o, "removed", false);
}

static void test_each_node(void) {
  struct kit k = fresh_nodes(3);
  apply(&k, APP(JOB("", "")));
  ok(on(&k, "n1", NULL) == 1 && on(&k, "n2", NULL) == 1 && on(&k, "n3", NULL) == 1, "each node has one");
  ends(&k, "n1", 0);
  ends(&k, "n2", 0);
  kit_tick(&k, 60000);
  kit_is_state(&k, "shop", "deploying");
  is_int(count_on(&k, NULL), 3, "who is done has no further one, though there is room");
  ends(&k, "n3", 0);
  kit_tick(&k, 1000);
  kit_is_state(&k, "shop", "running");
  node_hello(&k, 4, "{}");
  kit_tick(&k, 1000);
  is_int(on(&k, "n4", NULL), 1, "a node that joins has its own");
  is_int(count_on(&k, NULL), 4, "and the others none more");
  ends(&k, "n4", 0);
  kit_tick(&k, 1000);
  kit_is_state(&k, "shop", "running");
  kit_reload(&k);
  kit_tick(&k, 1000);
  for (int i = 1; i <= 4; i++)
    node_hello(&k, i, "{}");
  kit_tick(&k, 60000);
  is_int(count_on(&k, NULL), 4, "a restart of the server runs nothing again");
  kit_is_state(&k, "shop", "running");
  kit_end(&k);
}

static void test_rules(void) {
  struct kit k = fresh_nodes(1);
  node_hello(&k, 2, "{'zone':'a'}");
  node_hello(&k, 3, "{'zone':'a'}");
  apply(&k, APP(JOB(",'placement':{'constraints':['node.labels.zone == a']}", "")));
  ok(on(&k, "n1", NULL) == 0 && on(&k, "n2", NULL) == 1 && on(&k, "n3", NULL) == 1, "only nodes that take it");
  cordon(&k, "n3", true);
  ends(&k, "n3", 0);
  ends(&k, "n2", 0);
  kit_tick(&k, 1000);
  kit_is_state(&k, "shop", "running");
  cordon(&k, "n3", false);
  kit_tick(&k, 1000);
  is_int(count_on(&k, NULL), 2, "what a cordoned node has done is done");
  apply(&k, APP(JOB(",'placement':{'constraints':['node.labels.zone == b']}", ",'user':'1'")));
  leave(&k);
  kit_tick(&k, 20000);
  BT_AUTO_FREE char *state = kit_app_state(&k, "shop");
  ok(!bt_streq(state, "running"), "that no node takes it is not success: %s", state);
  ok(why_says(&k, "shop/scan", "waits for a node that takes it"), "and said");
  kit_end(&k);
}

static void test_attempts(void) {
  struct kit k = fresh_nodes(3);
  apply(&k, APP(JOB(",'restart_policy':{'condition':'on-failure','max_attempts':1}", "")));
  ends(&k, "n2", 1);
  ends(&k, "n1", 0);
  ends(&k, "n3", 0);
  kit_tick(&k, 30000);
  leave(&k);
  kit_tick(&k, 30000);
  ok(on(&k, "n1", NULL) == 1 && on(&k, "n3", NULL) == 1 && on(&k, "n2", "failed") + on(&k, "n2", "exited") < on(&k, "n2", NULL),
     "a further attempt is made where the first was");
  ends(&k, "n2", 1);
  kit_tick(&k, 60000);
  leave(&k);
  kit_is_state(&k, "shop", "failed");
  ok(why_says(&k, "shop", "1 of 3 completions failed"), "when none is left it says so");
  kit_end(&k);
}

/* Each node's turn, and how many are at work at a time. */
static void test_at_a_time(void) {
  struct kit k = fresh_nodes(4);
  apply(&k, APP(JOB("", ",'x-berth':{'job':{'max_concurrent':2}}")));
  is_int(count_on(&k, NULL), 2, "two at a time");
  for (int round = 0; round < 4; round++)
    for (int i = 1; i <= 4; i++) {
      ends(&k, node_name(i), 0);
      kit_tick(&k, 1000);
    }
  bool once = true;
  for (int i = 1; i <= 4; i++)
    once = once && on(&k, node_name(i), NULL) == 1;
  ok(once, "each node had its turn, once");
  kit_is_state(&k, "shop", "running");
  kit_end(&k);
}

static void test_runs(void) {
  struct kit k = fresh_nodes(3);
  apply(&k, APP(JOB("", ",'x-berth':{'job':{'schedule':'@every 60s','concurrency':'forbid'}}")));
  is_int(count_on(&k, NULL), 0, "with a schedule it waits for its time");
  kit_tick(&k, 61000);
  ok(on(&k, "n1", NULL) == 1 && on(&k, "n2", NULL) == 1 && on(&k, "n3", NULL) == 1, "then each node has one");
  node_down(&k, 3);
  ends(&k, "n1", 0);
  ends(&k, "n2", 0);
  kit_tick(&k, 1000);
  is_int(events_of(&k, "job.succeeded"), 0, "the run waits for the node that is away and works on it");
  node_hello(&k, 3, "{}");
  ends(&k, "n3", 0);
  kit_tick(&k, 1000);
  is_int(events_of(&k, "job.succeeded"), 1, "and succeeds");
  kit_tick(&k, 61000);
  leave(&k);
  kit_tick(&k, 1000);
  bool twice = true;
  for (int i = 1; i <= 3; i++)
    twice = twice && on(&k, node_name(i), "pending") + on(&k, node_name(i), "starting") + on(&k, node_name(i), NULL) > 1;
  ok(twice, "the next run is on all of them again");
  kit_end(&k);
}

/* A full node is waited for; the job does not go to another one instead. */
static void test_room(void) {
  struct kit k = fresh_nodes(2);
  apply(&k, APP("'big':{'image':'big:1','restart':'always','deploy':{'placement':{'constraints':['node.id == n2']},'resources':{'reservations':{'memory':'7900000000'}}}}"));
  nodes_settle(&k, NULL);
  const char *args = "{'app':'scan','model':{'name':'scan','services':{'scan':{'image':'scan:1','deploy':{'mode':'global-job','resources':{'reservations':{'memory':'500000000'}}}}}}}";
  ok(apply(&k, args), "a job that has no room on one node");
  is_int(on(&k, "n1", NULL), 1, "runs on the other");
  ends(&k, "n1", 0);
  kit_tick(&k, 60000);
  is_int(on(&k, "n1", NULL), 1, "but once");
  ok(why_says(&k, "scan/scan", "waits for room on the nodes where it has not run yet"), "and waits for room");
  kit_request(&k, "app.remove", "{'app':'shop'}", false);
  leave(&k);
  kit_tick(&k, 6000);
  kit_tick(&k, 6000);
  is_int(on(&k, "n2", NULL), 1, "until there is some");
  kit_end(&k);
}

static void test_lost(void) {
  struct kit k = fresh_nodes(3);
  apply(&k, APP(JOB("", "")));
  ends(&k, "n1", 0);
  ends(&k, "n2", 0);
  drain(&k, "n3");
  kit_tick(&k, 1000);
  kit_is_state(&k, "shop", "running");
  is_int(count_on(&k, "n1") + count_on(&k, "n2"), 2, "a node that is drained is not made up for elsewhere");
  kit_end(&k);
}

static void test_refused(void) {
  struct kit k = fresh_nodes(1);
  refused(&k, "app.apply", APP(JOB("", ",'x-berth':{'job':{'completions':3}}")), BT_INVALID, "runs once on each node");
  kit_end(&k);
}

int main(void) {
  test_each_node();
  test_rules();
  test_attempts();
  test_at_a_time();
  test_runs();
  test_room();
  test_lost();
  test_refused();
  return done_testing();
}
