/* Nodes that are drained, with several of them: what moves, in which order, what stays and why, and what is left after a restart. */
#include "config.h"

#include "control_nodes.h"

#define N(n) ",'deploy':{'replicas':" n "}"
#define SIZED(n, cpus) ",'deploy':{'replicas':" n ",'resources':{'reservations':{'cpus':'" cpus "'}}}"

static void test_plain(void) {
  struct kit k = fresh_nodes(3);
  ok(apply(&k, APP(WEB(N("3")))), "three over three nodes");
  nodes_settle(&k, NULL);
  is_int(count_on(&k, "n1"), 1, "one is on n1");
  ok(drain(&k, "n1"), "which is drained");
  node_is(&k, "n1", "draining");
  is_int(count_on(&k, NULL), 4, "a replacement is made at once");
  is_int(ready_of(&k, "web"), 3, "and until it is ready all three serve");
  BT_AUTO_JSON list = insts_on(&k, "n1");
  const char *id = bt_json_str(json_array_get(list, 0), "instance");
  ok(why_says(&k, "node/n1", "its replacement"), "why says what the node waits for");
  ok(why_says(&k, id, "it makes way for"), "and what becomes of the instance");
  nodes_work(&k, NULL);
  is_int(ready_of(&k, "web"), 4, "the replacement is ready");
  kit_tick(&k, 1000);
  is_int(count_on(&k, "n1"), 1, "nobody checks it, so it has to run for a while");
  kit_tick(&k, 1000);
  ok(kit_count(&k, "release") == 1 && ready_of(&k, "web") == 3, "then the first one is told to go");
  nodes_settle(&k, NULL);
  is_int(count_on(&k, "n1"), 0, "nothing is there any more");
  node_is(&k, "n1", "drained");
  ok(events_of(&k, "node.draining") == 1 && events_of(&k, "node.drained") == 1 && events_of(&k, "instance.moving") == 1, "events tell it");
  is_int(ready_of(&k, "web"), 3, "three serve");
  kit_is_state(&k, "shop", "running");
  ok(cordon(&k, "n1", false), "it is uncordoned");
  node_is(&k, "n1", "ready");
  kit_end(&k);
}

/* At every step no budget is passed, whatever is drained and however slow the nodes are. */
static void test_budget(const char *disruption, const char *deploy, long floor, const char *name) {
  struct kit k = fresh_nodes(3);
  BT_AUTO_FREE char *args = bt_asprintf(APP(WEB("%s,'x-berth':{'disruption':{%s}}")), deploy, disruption);
  ok(apply(&k, args), "%s", name);
  nodes_settle(&k, NULL);
  ok(drain(&k, "n1") && drain(&k, "n2"), "two of three nodes are drained at once");
  long least = 1000;
  for (int i = 0; i < 200 && count_on(&k, "n1") + count_on(&k, "n2") > 0; i++) {
    BT_AUTO_JSON all = insts_on(&k, NULL);
    size_t at = (size_t)(i * 7) % (json_array_size(all) + 1), n = 0;
    json_t *o;
    json_array_foreach(all, n, o) { /* one report at a time, of anyone */
      if (n < at || !bt_json_str(o, "node"))
        continue;
      if (bt_json_bool(o, "leaving", false))
        node_report(&k, o, "removed", false);
      else if (!bt_json_bool(o, "ready", false))
        node_report(&k, o, "running", true);
      else
        continue;
      break;
    }
    least = BT_MIN(least, ready_of(&k, "web"));
    kit_tick(&k, 1000);
    least = BT_MIN(least, ready_of(&k, "web"));
  }
  is_int(count_on(&k, "n1") + count_on(&k, "n2"), 0, "both are empty in the end");
  ok(least >= floor, "never were fewer than %ld ready (%ld)", floor, least);
  nodes_settle(&k, NULL);
  is_int(ready_of(&k, "web"), 6, "and all are");
  kit_end(&k);
}

static void test_no_room(void) {
  struct kit k = fresh_nodes(2);
  ok(apply(&k, APP(WEB(SIZED("4", "2")))), "four of two cpus fill two nodes of four");
  nodes_settle(&k, NULL);
  ok(drain(&k, "n1"), "one of them is drained");
  nodes_settle(&k, NULL);
  is_int(count_on(&k, "n1"), 2, "they stay, since there is no room");
  is_int(ready_of(&k, "web"), 4, "and serve");
  node_is(&k, "n1", "draining");
  BT_AUTO_JSON o = node_view(&k, "n1");
  const json_t *d = bt_json_obj(o, "drain");
  ok(json_array_size(bt_json_arr(d, "stays")) == 2 && bt_json_int(d, "left", 0) == 2, "the node says what stays");
  const char *reason = bt_json_str(json_array_get(bt_json_arr(d, "stays"), 0), "reason");
  ok(reason && strstr(reason, "it has no place elsewhere: ") && strstr(reason, "lacks cpu") && bt_json_bool(json_array_get(bt_json_arr(d, "stays"), 0), "lasting", false), "and why: %s", reason);
  node_hello(&k, 3, "{}");
  nodes_settle(&k, NULL);
  is_int(count_on(&k, "n1"), 0, "a node comes, and they go there");
  node_is(&k, "n1", "drained");
  kit_end(&k);
}

/* What an update that stopped left as it was is replaced by its like. */
static void test_paused_update(void) {
  struct kit k = fresh_nodes(3);
#define TWO(image) APP("'web':{'image':'" image "','deploy':{'replicas':2,'update_config':{'order':'start-first','failure_action':'pause'}}}")
  ok(apply(&k, TWO("w:1")), "two of the old spec");
  nodes_settle(&k, NULL);
  BT_AUTO_JSON before = insts_on(&k, NULL);
  ok(apply(&k, TWO("w:2")), "an update");
  kit_tick(&k, 1000);
  BT_AUTO_JSON all = insts_on(&k, NULL);
  size_t n;
  const json_t *o;
  json_array_foreach(all, n, o) if (!bt_json_bool(o, "ready", false)) node_report(&k, o, "failed", false);
  kit_is_state(&k, "shop", "failed");
  const char *id = bt_json_str(json_array_get(before, 1), "instance"), *node = bt_json_str(json_array_get(before, 1), "node");
  ok(drain(&k, node), "the node of an old one is drained");
  is_int(events_of(&k, "instance.moving"), 1, "it is moved");
  nodes_work(&k, NULL);
  kit_tick(&k, 60000);
  nodes_work(&k, NULL);
  BT_AUTO_JSON after = kit_list(&k, "instances", NULL);
  bool there = false;
  json_array_foreach(after, n, o) there = there || bt_streq(bt_json_str(o, "instance"), id);
  ok(!there, "and gone in the end");
  is_int(events_of(&k, "instance.moving"), 1, "once");
  is_int(ready_of(&k, "web"), 2, "two serve as before");
  kit_end(&k);
}

/* Where both do not fit beside each other, the first one goes before, within the budget. */
static void test_stop_first(void) {
  struct kit k = fresh_nodes(2);
  ok(apply(&k, APP(WEB(",'ports':[{'mode':'host','target':1,'published':'80','protocol':'tcp'}]"))), "one that has a port of its machine");
  nodes_settle(&k, NULL);
  bool first = count_on(&k, "n1") == 1;
  ok(drain(&k, first ? "n1" : "n2"), "its node is drained");
  ok(kit_count(&k, "release") == 1 && count_on(&k, NULL) == 1, "it goes first, since two must not run side by side");
  nodes_settle(&k, NULL);
  is_int(count_on(&k, first ? "n2" : "n1"), 1, "and comes elsewhere");
  kit_end(&k);
  k = fresh_nodes(2);
  ok(apply(&k, APP(WEB(",'ports':[{'mode':'host','target':1,'published':'80','protocol':'tcp'}],'deploy':{'replicas':2},'x-berth':{'disruption':{'max_unavailable':0}}"))), "two of which none may be missing");
  nodes_settle(&k, NULL);
  ok(drain(&k, "n1"), "a node is drained");
  node_hello(&k, 3, "{}");
  nodes_settle(&k, NULL);
  is_int(count_on(&k, "n1"), 1, "it stays");
  ok(why_says(&k, "node/n1", "no more of web may be missing now"), "why says so");
  ok(!why_says(&k, "node/n1", "left with"), "and how many are left only once");
  kit_end(&k);
}

#define WITH_DATA(volume) "{'app':'shop','model':{'name':'shop','services':{" WEB(",'volumes':[{'type':'volume','source':'data','target':'/d'}]") "}" NET ",'volumes':{'data':{'name':'shop_data'" volume "}}}}"

/* What each node mounts from elsewhere ties nobody to one of them. */
static void test_remote_volume(void) {
  struct kit k = fresh_nodes(2);
  ok(apply(&k, WITH_DATA(",'driver_opts':{'type':'cephfs'}")), "one with a volume of a remote file system");
  nodes_settle(&k, NULL);
  const char *at = count_on(&k, "n1") ? "n1" : "n2";
  ok(drain(&k, at), "its node is drained");
  nodes_settle(&k, NULL);
  is_int(count_on(&k, at), 0, "it goes elsewhere");
  kit_end(&k);
}

/* What is made outside of Berth is taken to be everywhere, as it is where instances are placed. */
static void test_external_volume(void) {
  struct kit k = fresh_nodes(2);
  ok(apply(&k, WITH_DATA(",'external':true")), "one with a volume that is not Berth's");
  nodes_settle(&k, NULL);
  const char *at = count_on(&k, "n1") ? "n1" : "n2";
  ok(drain(&k, at), "its node is drained");
  nodes_settle(&k, NULL);
  is_int(count_on(&k, at), 0, "it goes elsewhere");
  kit_end(&k);
}

#define PAIR(db, with) APP("'db':{'image':'db:1','restart':'always','networks':{'default':null}" db "},'side':{'image':'side:1','restart':'always'," with "}")

/* Who lives with another goes where that one has gone. */
static void test_together(const char *args, const char *how) {
  struct kit k = fresh_nodes(2);
  ok(apply(&k, args), "two that live together: %s", how);
  nodes_settle(&k, NULL);
  const char *at = count_on(&k, "n1") ? "n1" : "n2", *other = count_on(&k, "n1") ? "n2" : "n1";
  is_int(count_on(&k, at), 2, "on one node");
  ok(drain(&k, at) && kit_count(&k, "assign") == 1, "it is drained: the first of them comes elsewhere, and nobody else");
  nodes_settle(&k, NULL);
  ok(count_on(&k, at) == 0 && count_on(&k, other) == 2, "in the end both are there");
  ok(ready_of(&k, "db") == 1 && ready_of(&k, "side") == 1, "and serve");
  node_is(&k, at, "drained");
  kit_is_state(&k, "shop", "running");
  kit_end(&k);
}

static void test_waits_for(const char *args, const char *words) {
  struct kit k = fresh_nodes(2);
  ok(apply(&k, args), "one that stays with its data, and who lives with it");
  nodes_settle(&k, NULL);
  const char *at = count_on(&k, "n1") ? "n1" : "n2";
  ok(drain(&k, at), "the node is drained");
  nodes_settle(&k, NULL);
  BT_AUTO_FREE char *object = bt_asprintf("node/%s", at);
  ok(count_on(&k, at) == 2 && why_says(&k, object, words), "both stay: %s", words);
  kit_end(&k);
}

static void test_bound(void) {
  struct kit k = fresh_nodes(2);
  ok(apply(&k, WITH_DATA("")), "one with a volume");
  nodes_settle(&k, NULL);
  const char *at = count_on(&k, "n1") ? "n1" : "n2";
  ok(drain(&k, at), "its node is drained");
  nodes_settle(&k, NULL);
  is_int(count_on(&k, at), 1, "it stays with its data");
  BT_AUTO_FREE char *object = bt_asprintf("node/%s", at), *words = bt_asprintf("its volume shop_data is on %s", at);
  ok(why_says(&k, object, words), "why says so");
  node_is(&k, at, "draining");
  kit_end(&k);
}

static void test_cancel(void) {
  struct kit k = fresh_nodes(2);
  ok(apply(&k, APP(WEB(N("2")))), "two");
  nodes_settle(&k, NULL);
  BT_AUTO_JSON before = insts_on(&k, "n1");
  BT_AUTO_FREE char *id = bt_strdup(bt_json_str(json_array_get(before, 0), "instance"));
  ok(drain(&k, "n1") && count_on(&k, NULL) == 3, "a replacement is on its way");
  ok(cordon(&k, "n1", false), "the drain is called off");
  nodes_settle(&k, NULL);
  BT_AUTO_JSON after = insts_on(&k, "n1");
  ok(count_on(&k, NULL) == 2 && bt_streq(bt_json_str(json_array_get(after, 0), "instance"), id), "the first one stays, the replacement goes");
  ok(!json_object_get(json_array_get(after, 0), "moving"), "and is no longer on its way");
  kit_end(&k);
}

static void test_restart(void) {
  struct kit k = fresh_nodes(3);
  ok(apply(&k, APP(WEB(N("6")))), "six");
  nodes_settle(&k, NULL);
  ok(drain(&k, "n1"), "a drain begins");
  nodes_work(&k, NULL);
  kit_reload(&k);
  for (int i = 1; i <= 3; i++) {
    node_hello(&k, i, "{}");
    kit_tick(&k, 1000);
  }
  node_is(&k, "n1", "draining");
  BT_AUTO_JSON moving = insts_on(&k, "n1");
  size_t i, n = 0;
  json_t *o;
  json_array_foreach(moving, i, o) n += bt_streq(bt_json_str(o, "moving"), "drain");
  ok(n == 1, "after a restart it is known who was on its way");
  nodes_settle(&k, NULL);
  is_int(count_on(&k, "n1"), 0, "and the drain goes on");
  node_is(&k, "n1", "drained");
  kit_reload(&k);
  node_hello(&k, 1, "{}");
  node_is(&k, "n1", "drained");
  kit_end(&k);
}

#define JOB "'once':{'image':'job:1','restart':'no','networks':{'default':null},'deploy':{'mode':'replicated-job'}}"
static void test_job(void) {
  struct kit k = fresh_nodes(2);
  ok(apply(&k, APP(JOB)), "a job");
  nodes_work(&k, NULL);
  const char *at = count_on(&k, "n1") ? "n1" : "n2", *other = count_on(&k, "n1") ? "n2" : "n1";
  ok(drain(&k, at), "its node is drained");
  kit_tick(&k, 60000);
  ok(count_on(&k, at) == 1 && count_on(&k, NULL) == 1, "it runs on");
  BT_AUTO_FREE char *object = bt_asprintf("node/%s", at);
  ok(why_says(&k, object, "which may run on until"), "why says until when");
  kit_tick(&k, 540001);
  ok(kit_count(&k, "release") == 1, "then it is stopped");
  nodes_settle(&k, NULL);
  is_int(count_on(&k, other), 1, "and made again elsewhere, though it has no attempt to lose");
  node_is(&k, at, "drained");
  kit_is_state(&k, "shop", "deploying");
  kit_end(&k);
}

static void test_update_meanwhile(void) {
  struct kit k = fresh_nodes(3);
  ok(apply(&k, APP(WEB(N("3")))), "three");
  nodes_settle(&k, NULL);
  ok(drain(&k, "n1"), "a drain begins");
  ok(apply(&k, APP(WEB(N("3") ",'environment':{'A':'1'}"))), "and then an update");
  nodes_settle(&k, NULL);
  ok(count_on(&k, "n1") == 0 && count_on(&k, NULL) == 3 && ready_of(&k, "web") == 3, "in the end three of the new spec run elsewhere");
  kit_is_state(&k, "shop", "running");
  node_is(&k, "n1", "drained");
  kit_end(&k);
}

static void test_global(void) {
  struct kit k = fresh_nodes(3);
  ok(apply(&k, APP("'agent':{'image':'agent:1','restart':'always','networks':{'default':null},'deploy':{'mode':'global'}}")), "one on each node");
  nodes_settle(&k, NULL);
  is_int(count_on(&k, NULL), 3, "three");
  ok(drain(&k, "n2"), "one node is drained");
  nodes_settle(&k, NULL);
  ok(count_on(&k, "n2") == 0 && count_on(&k, NULL) == 2, "it goes, and nobody takes its place");
  node_is(&k, "n2", "drained");
  ok(cordon(&k, "n2", false), "back");
  nodes_settle(&k, NULL);
  is_int(count_on(&k, "n2"), 1, "and so is it");
  kit_end(&k);
}

static void test_words(void) {
  struct kit k = fresh_nodes(1);
  refused(&k, "node.drain", "{'node':'nope'}", BT_NOT_FOUND, "there is no node nope");
  const struct bt_reply *reply = kit_request(&k, "node.drain", "{'node':'n1'}", true);
  ok(reply && reply->code == BT_OK && k.fx.batch.len == 0, "a dry run changes nothing");
  ok(drain(&k, "n1"), "an empty node");
  node_is(&k, "n1", "drained");
  ok(why_says(&k, "node/n1", "drained: nothing runs there"), "is drained at once");
  kit_end(&k);
}

static void test_scale_in(void) {
  struct kit k = fresh_nodes(3);
  ok(apply(&k, APP(WEB(N("6")))), "six over three nodes");
  nodes_settle(&k, NULL);
  ok(cordon(&k, "n2", true), "one is cordoned");
  ok(apply(&k, APP(WEB(N("4")))), "four are enough");
  nodes_settle(&k, NULL);
  is_int(count_on(&k, "n2"), 0, "those go that are on the cordoned node");
  ok(count_on(&k, "n1") == 2 && count_on(&k, "n3") == 2, "the others stay");
  BT_AUTO_JSON list = insts_on(&k, NULL);
  bool slots[5] = {0};
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) slots[BT_MIN(4, bt_json_int(o, "slot", 0))] = true;
  ok(slots[1] && slots[2] && slots[3] && slots[4], "with slots from 1 to 4");
  ok(apply(&k, APP(WEB(N("2")))), "two are");
  nodes_settle(&k, NULL);
  ok(count_on(&k, "n1") == 1 && count_on(&k, "n3") == 1, "they stay spread");
  ok(apply(&k, APP(WEB(N("5")))), "more again");
  nodes_settle(&k, NULL);
  is_int(count_on(&k, NULL), 5, "five");
  kit_end(&k);
}

int main(void) {
  test_plain();
  test_budget("", N("6"), 5, "six, nothing said");
  test_budget("'max_unavailable':0", N("6"), 6, "six, none may be missing");
  test_budget("'max_unavailable':'50%'", N("6"), 3, "six, half may be missing");
  test_budget("'min_available':4", N("6") ",'ports':[{'mode':'host','target':1,'published':'8000-8100','protocol':'tcp'}]", 4, "six, four must serve");
  test_no_room();
  test_paused_update();
  test_stop_first();
  test_bound();
  test_remote_volume();
  test_external_volume();
  test_together(PAIR("", "'volumes_from':['db']"), "volumes_from");
  test_together(PAIR("", "'pid':'service:db'"), "pid");
  test_together(PAIR("", "'ipc':'service:db'"), "ipc");
  test_together(PAIR("", "'network_mode':'service:db'"), "network_mode");
#define DATA ",'volumes':[{'type':'bind','source':'/srv/db','target':'/d'}]"
  test_waits_for(PAIR(DATA, "'volumes_from':['db']"), "it goes when db has, whose volumes it has");
  test_waits_for(PAIR(DATA, "'pid':'service:db'"), "it goes when db has, whose namespaces it shares");
  test_cancel();
  test_restart();
  test_job();
  test_update_meanwhile();
  test_global();
  test_words();
  test_scale_in();
  return done_testing();
}
