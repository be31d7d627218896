/* Nodes whose connection is down for long: what is replaced, what waits, what becomes of what comes back; and random nodes that come and go. */
#include "config.h"

#include "control_nodes.h"

#define N(n) ",'deploy':{'replicas':" n "}"

/* A node that comes back with all that it was given. */
static void hello_back(struct kit *k, int i, const char *state, bool final) {
  BT_AUTO_FREE char *head = bt_asprintf("{\"type\":\"hello\",\"node\":{\"name\":\"%s\",\"cpus\":4,\"memory\":8000000000,\"labels\":{}}}", node_name(i));
  BT_AUTO_JSON m = kit_json(head);
  BT_AUTO_JSON list = insts_on(k, node_name(i));
  json_t *reports = json_array(), *o;
  size_t n;
  json_array_foreach(list, n, o) {
    json_t *r = json_pack("{s:O, s:s, s:b, s:I, s:i}", "instance", json_object_get(o, "instance"), "state", state, "ready", !final, "started_ms", (json_int_t)1700000000000, "exit_code", 0);
    if (final)
      bt_json_set_bool(r, "final", true);
    json_array_append_new(reports, r);
  }
  bt_json_set(m, "instances", reports);
  kit_step(k, (struct bt_input){.kind = BT_IN_NODE, .node = node_name(i), .message = m});
}

static void test_lost(void) {
  struct kit k = fresh_nodes(4);
  struct nodes nodes = {.n = 4};
  ok(apply(&k, APP(WEB(N("4")))), "four over four nodes");
  nodes_settle(&k, NULL);
  nodes.gone[1] = true;
  node_down(&k, 1);
  ok(k.fx.wake_ms <= k.now + 60000, "it looks again after a minute");
  ok(why_says(&k, "node/n1", "it is given up where it stays so"), "why says what becomes of it");
  kit_tick(&k, 59999);
  node_is(&k, "n1", "disconnected");
  is_int(count_on(&k, NULL), 4, "until then nothing is done");
  kit_tick(&k, 1);
  node_is(&k, "n1", "lost");
  ok(events_of(&k, "node.lost") == 1 && events_of(&k, "instance.lost") == 1, "then it is lost, and so is its instance");
  is_int(count_on(&k, NULL), 5, "which is replaced at once");
  is_int(ready_of(&k, "web"), 3, "and does not count as ready any more");
  nodes_settle(&k, &nodes);
  is_int(ready_of(&k, "web"), 4, "four serve again");
  kit_is_state(&k, "shop", "running");
  BT_AUTO_JSON list = insts_on(&k, "n1");
  const char *id = bt_json_str(json_array_get(list, 0), "instance");
  ok(bt_json_bool(json_array_get(list, 0), "leaving", false) && why_says(&k, id, "its node n1 is lost, and it is replaced elsewhere"), "the first one is to go as soon as it can be told");
  hello_back(&k, 1, "running", false);
  node_is(&k, "n1", "ready");
  is_int(events_of(&k, "node.back"), 1, "the node is back");
  const json_t *sync = kit_sent(&k, "sync", 0), *release = kit_sent(&k, "release", 0);
  ok(json_array_size(bt_json_arr(sync, "instances")) == 0 && release && bt_streq(bt_json_str(release, "instance"), id), "in answer to its hello what was replaced is told to go");
  nodes.gone[1] = false;
  nodes_settle(&k, &nodes);
  ok(count_on(&k, NULL) == 4 && count_on(&k, "n1") == 0, "and then there are four again");
  kit_end(&k);
}

/* Back before there was a place for a replacement: it runs on. */
static void test_back_in_time(void) {
  struct kit k = fresh_nodes(3);
  ok(apply(&k, APP(WEB(",'deploy':{'replicas':6,'resources':{'reservations':{'cpus':'2'}}}"))), "six of two cpus fill three nodes of four");
  nodes_settle(&k, NULL);
  node_down(&k, 2);
  kit_tick(&k, 60000);
  node_is(&k, "n2", "lost");
  is_int(count_on(&k, NULL), 8, "two replacements have no place");
  kit_tick(&k, 60000);
  hello_back(&k, 2, "running", false);
  nodes_settle(&k, NULL);
  ok(kit_count(&k, "release") == 0 && count_on(&k, "n2") == 2 && count_on(&k, NULL) == 6, "it comes back: the two run on, and nobody waits any more");
  is_int(ready_of(&k, "web"), 6, "six serve");
  kit_end(&k);
}

/* A task that was to be restarted on a node that is given up, and is asked to again while its replacement has no place: back with its node, it
 * has its slot for itself. */
static void test_back_restarting(void) {
  struct kit k = fresh_nodes(2);
  ok(cordon(&k, "n2", true), "there is one node to be had");
  ok(apply(&k, APP("'once':{'image':'task:1','restart':'no','networks':{'default':null}}")), "a task");
  kit_all_run(&k);
  BT_AUTO_JSON list = insts_on(&k, "n1");
  const char *id = bt_json_str(json_array_get(list, 0), "instance");
  kit_report(&k, id, "exited", false, 0);
  kit_is_state(&k, "shop", "running");
  node_down(&k, 1);
  kit_request(&k, "app.restart", "{'app':'shop'}", false);
  kit_tick(&k, 60000);
  node_is(&k, "n1", "lost");
  is_int(count_on(&k, NULL), 2, "its replacement waits for a place");
  kit_request(&k, "app.restart", "{'app':'shop'}", false);
  hello_back(&k, 1, "exited", true);
  ok(kit_sent(&k, "restart", 0) && !kit_sent(&k, "assign", 0), "the node is back: the task is restarted, and nobody begins beside it");
  is_int(count_on(&k, NULL), 1, "who was to replace it goes");
  nodes_settle(&k, NULL);
  kit_report(&k, id, "exited", false, 0);
  nodes_settle(&k, NULL);
  kit_is_state(&k, "shop", "running");
  kit_end(&k);
}

/* Who waits for a service that stood, and has no place any more, waits in vain: the app says so. */
static void test_waits_in_vain(void) {
  struct kit k = fresh_nodes(2);
  ok(cordon(&k, "n2", true), "there is one node to be had");
  ok(apply(&k, APP("'db':{'image':'db:1','networks':{'default':null}},'once':{'image':'task:1','restart':'no','networks':{'default':null},"
                   "'depends_on':{'db':{'condition':'service_healthy','required':true}},'deploy':{'resources':{'reservations':{'cpus':100}}}}")),
     "a task that is too large, after a service");
  nodes_settle(&k, NULL);
  kit_tick(&k, 20000);
  kit_is_state(&k, "shop", "failed");
  node_down(&k, 1);
  kit_tick(&k, 60000);
  kit_tick(&k, 20000);
  kit_tick(&k, 20000);
  kit_is_state(&k, "shop", "failed");
  ok(why_says(&k, "shop", "once waits for db to be healthy: db cannot be placed"), "and why says for what it waits");
  kit_end(&k);
}

/* More apps than one step looks at: nobody is given a place by the queue that his app has not been asked about. */
static void test_back_crowd(void) {
  struct kit k = fresh_nodes(2);
  bool fine = cordon(&k, "n2", true);
  for (int i = 0; i < 100 && fine; i++) {
    BT_AUTO_FREE char *args = bt_asprintf("{'app':'a%d','model':{'name':'a%d','services':{'web':{'image':'web:1'}}}}", i, i);
    fine = apply(&k, args);
  }
  ok(fine, "a hundred apps of one");
  nodes_settle(&k, NULL);
  node_down(&k, 1);
  kit_tick(&k, 60000);
  kit_tick(&k, 1);
  is_int(count_on(&k, NULL), 200, "all are lost with their node, and wait for another");
  size_t assigned = 0;
  hello_back(&k, 1, "running", false);
  for (int i = 0; i < 10; i++) {
    assigned += kit_count(&k, "assign");
    kit_tick(&k, 1);
  }
  is_int((long long)assigned, 0, "it is back: nobody begins beside those that run on");
  is_int(count_on(&k, NULL), 100, "and nobody waits any more");
  kit_end(&k);
}

static void test_bound(void) {
  struct kit k = fresh_nodes(4);
  ok(apply(&k, "{'app':'shop','model':{'name':'shop','services':{" WEB(",'volumes':[{'type':'volume','source':'data','target':'/d'}]") "}" NET ",'volumes':{'data':{'name':'shop_data'}}}}"),
     "one with a volume");
  nodes_settle(&k, NULL);
  BT_AUTO_JSON list = insts_on(&k, NULL);
  const char *id = bt_json_str(json_array_get(list, 0), "instance"), *at = bt_json_str(json_array_get(list, 0), "node");
  int i = at[1] - '0';
  node_down(&k, i);
  kit_tick(&k, 60000);
  node_is(&k, at, "lost");
  ok(count_on(&k, NULL) == 1 && why_says(&k, id, "it is not replaced elsewhere: its volume shop_data is on"), "it waits for its data, and says so");
  kit_is_state(&k, "shop", "degraded");
  hello_back(&k, i, "running", false);
  ok(count_on(&k, NULL) == 1 && ready_of(&k, "web") == 1, "and is there again with its node");
  kit_end(&k);
}

static void test_partition(void) {
  struct kit k = fresh_nodes(8);
  struct nodes nodes = {.n = 8};
  ok(apply(&k, APP(WEB(N("8")))), "eight over eight nodes");
  nodes_settle(&k, NULL);
  for (int i = 1; i <= 5; i++) {
    nodes.gone[i] = true;
    node_down(&k, i);
  }
  for (int i = 0; i < 300; i++)
    kit_tick(&k, 1000);
  is_int(events_of(&k, "node.lost"), 0, "five of eight are gone: none is given up");
  ok(why_says(&k, "node/n1", "the network is likelier to be cut"), "why says so");
  nodes.gone[5] = false;
  hello_back(&k, 5, "running", false);
  is_int(events_of(&k, "node.lost"), 1, "one is back: the others are given up, the first at once");
  for (int i = 0; i < 9; i++)
    kit_tick(&k, 1000);
  is_int(events_of(&k, "node.lost"), 1, "not all of them");
  for (int i = 0; i < 22; i++)
    kit_tick(&k, 1000);
  is_int(events_of(&k, "node.lost"), 4, "but one in ten seconds");
  nodes_settle(&k, &nodes);
  is_int(ready_of(&k, "web"), 8, "eight serve");
  kit_reload(&k);
  node_is(&k, "n1", "lost");
  is_int(events_of(&k, "node.lost"), 4, "a restart of the server gives nobody up");
  kit_end(&k);
}

/* All nodes are disconnected after a start, until they say hello. */
static void test_start(void) {
  struct kit k = fresh_nodes(3);
  ok(apply(&k, APP(WEB(N("3")))), "three");
  nodes_settle(&k, NULL);
  k.now += 3600000;
  kit_reload(&k);
  kit_tick(&k, 1000);
  hello_back(&k, 1, "running", false);
  hello_back(&k, 2, "running", false);
  kit_tick(&k, 58000);
  is_int(events_of(&k, "node.lost"), 0, "after a start each has its time anew");
  kit_tick(&k, 1500);
  is_int(events_of(&k, "node.lost"), 1, "and is lost when that is over");
  kit_end(&k);
}

#define JOB "'once':{'image':'job:1','restart':'no','networks':{'default':null},'deploy':{'mode':'replicated-job'}}"
static void test_job(const char *state, bool final) {
  struct kit k = fresh_nodes(3);
  struct nodes nodes = {.n = 3};
  ok(apply(&k, APP(JOB)), "a job that comes back %s", state);
  nodes_work(&k, NULL);
  BT_AUTO_JSON list = insts_on(&k, NULL);
  BT_AUTO_FREE char *id = bt_strdup(bt_json_str(json_array_get(list, 0), "instance"));
  int i = bt_json_str(json_array_get(list, 0), "node")[1] - '0';
  node_down(&k, i);
  nodes.gone[i] = true;
  kit_tick(&k, 60000);
  is_int(count_on(&k, NULL), 2, "its attempt is made again, though it has no other to lose");
  nodes_work(&k, &nodes);
  kit_is_state(&k, "shop", "deploying");
  hello_back(&k, i, state, final);
  nodes.gone[i] = false;
  BT_AUTO_JSON after = kit_list(&k, "instances", NULL);
  size_t n, leaving = 0;
  json_t *o;
  json_array_foreach(after, n, o) leaving += bt_json_bool(o, "leaving", false) && !bt_streq(bt_json_str(o, "instance"), id);
  is_int((long long)leaving, 1, "the node is back before the new one has ended: the new one goes");
  kit_is_state(&k, "shop", final ? "running" : "deploying");
  kit_end(&k);
}

/* ---- nodes that come and go at random ---- */

static unsigned dice(unsigned *seed, unsigned n) {
  *seed = *seed * 1103515245 + 12345;
  return (*seed >> 10) % n;
}

/* No slot is had by two instances that were placed and were not told to go, but for one that makes way. */
static bool owners_fine(struct kit *k) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  int held[16] = {0};
  bool fine = true;
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) {
    int slot = (int)bt_json_int(o, "slot", 0);
    if (bt_json_bool(o, "leaving", false) || !bt_json_str(o, "node") || bt_json_str(o, "moving") || slot > 15)
      continue;
    fine = fine && ++held[slot] == 1;
  }
  return fine;
}

static void one_round(struct kit *k, struct nodes *nodes, unsigned *seed) {
  int i = 1 + (int)dice(seed, (unsigned)nodes->n);
  switch (dice(seed, 12)) {
  case 0:
    if (!nodes->gone[i])
      node_down(k, i);
    nodes->gone[i] = true;
    break;
  case 1:
    if (nodes->gone[i])
      hello_back(k, i, "running", false);
    nodes->gone[i] = false;
    break;
  case 2:
    drain(k, node_name(i));
    break;
  case 3:
    cordon(k, node_name(i), false);
    break;
  case 4:
    kit_tick(k, 30000);
    break;
  case 5: {
    BT_AUTO_FREE char *args = bt_asprintf("{'app':'shop','services':{'web':%u}}", 2 + dice(seed, 8));
    kit_request(k, "app.scale", args, false);
    break;
  }
  default:
    nodes_work(k, nodes);
    kit_tick(k, 1000);
  }
}

static void test_random(unsigned seed) {
  struct kit k = fresh_nodes(6);
  struct nodes nodes = {.n = 6};
  bool fine = apply(&k, APP(WEB(N("6"))));
  nodes_settle(&k, NULL);
  for (int i = 0; i < 300 && fine; i++) {
    one_round(&k, &nodes, &seed);
    fine = owners_fine(&k);
  }
  if (!ok(fine, "no slot has two owners")) {
    BT_AUTO_JSON list = kit_list(&k, "instances", NULL);
    size_t n;
    json_t *o;
    json_array_foreach(list, n, o) printf("# %s slot %lld on %s %s%s%s%s\n", bt_json_str(o, "instance"), bt_json_int(o, "slot", 0), bt_json_str_or(o, "node", "-"), bt_json_bool(o, "ready", false) ? "ready" : "unready",
                                          bt_json_bool(o, "leaving", false) ? " leaving " : "", bt_json_str_or(o, "moving", ""), bt_json_str_or(o, "reason", ""));
  }
  for (int i = 1; i <= 6; i++) {
    if (nodes.gone[i])
      hello_back(&k, i, "running", false);
    nodes.gone[i] = false;
    cordon(&k, node_name(i), false);
  }
  kit_request(&k, "app.scale", "{'app':'shop','services':{'web':6}}", false);
  nodes_settle(&k, NULL);
  ok(count_on(&k, NULL) == 6 && ready_of(&k, "web") == 6, "all are back: six, and all of them serve (%ld, %ld)", count_on(&k, NULL), ready_of(&k, "web"));
  kit_is_state(&k, "shop", "running");
  kit_end(&k);
}

int main(void) {
  test_lost();
  test_back_in_time();
  test_back_restarting();
  test_waits_in_vain();
  test_back_crowd();
  test_bound();
  test_partition();
  test_start();
  test_job("running", false);
  test_job("exited", true);
  for (unsigned seed = 1; seed <= 12; seed++)
    test_random(seed);
  return done_testing();
}
