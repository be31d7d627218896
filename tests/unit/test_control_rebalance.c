/* Rebalancing through control: what is proposed, what is moved by itself and how fast. */
#include "config.h"

#include "control_nodes.h"

#define N(n) ",'deploy':{'replicas':" n "}"

static void automatic(struct kit *k, int per_hour) {
  BT_AUTO_FREE char *args = bt_asprintf("{'pools':[],'scheduling':{'rebalance':{'automatic':true,'moves_per_hour':%d}}}", per_hour);
  const struct bt_reply *reply = kit_request(k, "settings.put", args, false);
  ok(reply && reply->code == BT_OK, "rebalancing by itself, %d in an hour", per_hour);
}

static void seconds(struct kit *k, int n) {
  for (int i = 0; i < n; i++) {
    nodes_work(k, NULL);
    kit_tick(k, 1000);
  }
}

static void test_shown(void) {
  struct kit k = fresh_nodes(2);
  ok(apply(&k, APP(WEB(N("6")))), "six over two nodes");
  nodes_settle(&k, NULL);
  BT_AUTO_JSON none = bt_control_rebalance(k.c);
  ok(json_array_size(bt_json_arr(none, "moves")) == 0 && bt_json_int(none, "movable", 0) == 6, "nothing would be better elsewhere");
  node_hello(&k, 3, "{}");
  BT_AUTO_JSON two = bt_control_rebalance(k.c);
  const json_t *first = json_array_get(bt_json_arr(two, "moves"), 0);
  is_int((long long)json_array_size(bt_json_arr(two, "moves")), 2, "a node joins: two would");
  is_str(bt_json_str(first, "to"), "n3", "there");
  ok(strstr(bt_json_str_or(first, "reason", ""), "has 3 of web, and n3 has 0"), "and why: %s", bt_json_str(first, "reason"));
  BT_AUTO_JSON again = bt_control_rebalance(k.c);
  ok(json_equal(two, again), "who asks changes nothing");
  seconds(&k, 600);
  is_int(count_on(&k, "n3"), 0, "unasked nothing is moved");
  kit_end(&k);
}

/* Who has another's volumes is where that one is, and nowhere better. */
static void test_follower(void) {
  struct kit k = fresh_nodes(1);
  ok(apply(&k, APP("'data':{'image':'d:1','restart':'always'" N("4") "},"
                   "'side':{'image':'s:1','restart':'always','volumes_from':['data']" N("4") "}")), "four with the volumes of four others");
  nodes_settle(&k, NULL);
  is_int(ready_of(&k, "side"), 4, "run");
  node_hello(&k, 2, "{}");
  BT_AUTO_JSON o = bt_control_rebalance(k.c);
  size_t i, followers = 0;
  json_t *move;
  json_array_foreach(bt_json_arr(o, "moves"), i, move) followers += bt_streq(bt_json_str(move, "service"), "side");
  ok(json_array_size(bt_json_arr(o, "moves")) > 0 && followers == 0, "a node joins: only those whose volumes they are would be moved");
  kit_end(&k);
}

static void test_moves(void) {
  struct kit k = fresh_nodes(2);
  ok(apply(&k, APP(WEB(N("6")))), "six over two nodes");
  nodes_settle(&k, NULL);
  automatic(&k, 12);
  seconds(&k, 60);
  is_int(events_of(&k, "instance.moving"), 0, "all is even");
  node_hello(&k, 3, "{}");
  long least = 6;
  for (int i = 0; i < 60; i++) {
    seconds(&k, 1);
    least = BT_MIN(least, ready_of(&k, "web"));
  }
  is_int(count_on(&k, "n3"), 1, "a node joins: one is moved there within a minute");
  seconds(&k, 230);
  is_int(count_on(&k, "n3"), 1, "and no second one");
  seconds(&k, 60);
  is_int(count_on(&k, "n3"), 2, "before five minutes are over");
  seconds(&k, 1200);
  ok(count_on(&k, "n1") == 2 && count_on(&k, "n2") == 2 && count_on(&k, "n3") == 2, "then all is even");
  ok(events_of(&k, "instance.moving") == 2 && least == 6, "with two moves, and six served all the time");
  kit_end(&k);
}

/* A label changes: what is there stays, a move is proposed, and with it the rule holds again. */
static void test_label(void) {
  struct kit k = fresh_nodes(1);
  node_hello(&k, 1, "{'disk':'ssd'}");
  node_hello(&k, 2, "{'disk':'hdd'}");
  ok(apply(&k, APP(WEB(",'deploy':{'placement':{'constraints':['node.labels.disk == ssd']}}"))), "one where the disk is fast");
  nodes_settle(&k, NULL);
  is_int(count_on(&k, "n1"), 1, "it is there");
  BT_AUTO_JSON before = insts_on(&k, "n1");
  BT_AUTO_FREE char *hello = bt_asprintf("{'type':'hello','node':{'name':'n1','cpus':4,'memory':8000000000,'labels':{'disk':'hdd'}},'instances':[{'instance':'%s','state':'running','ready':true,'started_ms':1}]}",
                                         bt_json_str(json_array_get(before, 0), "instance"));
  k.node = "n1";
  kit_node(&k, hello);
  k.node = NULL;
  nodes_settle(&k, NULL);
  is_int(count_on(&k, "n1"), 1, "the label changes: it stays");
  BT_AUTO_JSON none = bt_control_rebalance(k.c);
  is_int((long long)json_array_size(bt_json_arr(none, "moves")), 0, "no node is better");
  node_hello(&k, 2, "{'disk':'ssd'}");
  BT_AUTO_JSON one = bt_control_rebalance(k.c);
  const json_t *move = json_array_get(bt_json_arr(one, "moves"), 0);
  ok(bt_streq(bt_json_str(move, "kind"), "rule") && bt_streq(bt_json_str(move, "to"), "n2"), "one is: a rule holds again");
  ok(strstr(bt_json_str_or(move, "reason", ""), "n1 does not meet node.labels.disk == ssd"), "and which: %s", bt_json_str(move, "reason"));
  automatic(&k, 10);
  seconds(&k, 60);
  ok(count_on(&k, "n2") == 1 && count_on(&k, "n1") == 0, "by itself it is moved");
  kit_end(&k);
}

/* The replacement does not come up: the first one stays. */
static void test_in_vain(void) {
  struct kit k = fresh_nodes(2);
  ok(apply(&k, APP(WEB(N("4") ",'x-berth':{'progress_deadline':'1m0s'}"))), "four");
  nodes_settle(&k, NULL);
  automatic(&k, 2);
  node_hello(&k, 3, "{}");
  for (int i = 0; i < 60; i++)
    kit_tick(&k, 1000);
  ok(count_on(&k, "n3") == 1 && count_on(&k, NULL) == 5, "one is on its way");
  for (int i = 0; i < 60; i++)
    kit_tick(&k, 1000);
  kit_all_leave(&k);
  ok(ready_of(&k, "web") == 4, "it does not come up in time: the first one stays");
  BT_AUTO_JSON list = insts_on(&k, NULL);
  size_t i, moving = 0;
  json_t *o;
  json_array_foreach(list, i, o) moving += json_object_get(o, "moving") != NULL;
  is_int((long long)moving, 0, "and is no longer on its way");
  kit_end(&k);
}

int main(void) {
  test_shown();
  test_follower();
  test_moves();
  test_label();
  test_in_vain();
  return done_testing();
}
