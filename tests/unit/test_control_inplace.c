/* Other limits without another container: who differs in nothing else is changed where it is, with what it holds of its node and of its quota; what a
 * node cannot do, has no room for or refuses is replaced, as its rollout says; and a plan says which. */
#include "config.h"

#include "control_nodes.h"
#include "model/inplace.h"

#define SIZED(limit, reserved) ",'deploy':{'resources':{'limits':{'memory':'" limit "'},'reservations':{'memory':'" reserved "'}}}"
#define FULL(limit, reserved, more)                                                                                                                  \
  ",'deploy':{'replicas':2,'resources':{'limits':{'cpus':0.5,'memory':'" limit "'},'reservations':{'memory':'" reserved "'}}" more "}"
#define MIB (1024LL * 1024)

/* features: JSON with ' for ". */
static void hello_with(struct kit *k, const char *node, const char *memory, const char *features) {
  BT_AUTO_FREE char *m = bt_asprintf("{'type':'hello','node':{'name':'%s','cpus':4,'memory':%s,'os':'linux','arch':'amd64','labels':{},'features':%s},'instances':[]}",
                                     node, memory, features);
  k->node = node;
  kit_node(k, m);
  k->node = NULL;
}

static struct kit able(void) {
  struct kit k;
  kit_start(&k);
  hello_with(&k, "n1", "1073741824", "['update']");
  return k;
}

static void running(struct kit *k, const char *args) {
  apply(k, args);
  nodes_settle(k, NULL);
}

static json_t *inst_of(struct kit *k, const char *id) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "instance"), id)) return json_incref(o);
  return NULL;
}

/* What the node says of a change that it was told of. why: NULL: it is done. */
static void answer(struct kit *k, const char *id, const char *why) {
  BT_AUTO_JSON o = inst_of(k, id);
  const char *hash = bt_json_str(o, "hash");
  BT_AUTO_FREE char *refused = why ? bt_asprintf(",'refused':{'hash':'%s','why':'%s'}", hash, why) : bt_strdup("");
  BT_AUTO_FREE char *m = bt_asprintf("{'type':'report','instance':'%s','state':'running','ready':true,'container_id':'c-%s','hash':'%s'%s}", id, id,
                                     why ? "earlier" : hash, refused);
  k->node = bt_json_str(o, "node");
  kit_node(k, m);
  k->node = NULL;
}

static void answer_all(struct kit *k, const char *why) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "in_place"), "sent")) answer(k, bt_json_str(o, "instance"), why);
  nodes_settle(k, NULL);
}

static long long reserved_memory(struct kit *k, const char *node) {
  BT_AUTO_JSON o = node_view(k, node);
  return bt_json_int(o, "memory_reserved", -1) / MIB;
}

static long long foreseen; /* MiB that the last plan foretells for the first node */

static char *planned(struct kit *k, const char *args, bool *in_place) {
  const struct bt_reply *reply = kit_request(k, "app.apply", args, true);
  const json_t *first = json_array_get(bt_json_arr(bt_json_obj(reply->result, "forecast"), "nodes"), 0);
  foreseen = bt_json_int(bt_json_obj(first, "after"), "memory", -1) / MIB;
  size_t i;
  json_t *e;
  json_array_foreach(bt_json_arr(reply->result, "plan"), i, e) if (bt_streq(bt_json_str(e, "name"), "web")) {
    *in_place = bt_json_bool(e, "in_place", false);
    return bt_strdup(bt_json_str(e, "reason"));
  }
  return NULL;
}

/* ---- the model ---- */

static void rest_is(const char *a, const char *b, bool same, const char *name) {
  BT_AUTO_JSON x = kit_json(a);
  BT_AUTO_JSON y = kit_json(b);
  BT_AUTO_JSON p = bt_inplace_rest(x);
  BT_AUTO_JSON q = bt_inplace_rest(y);
  ok(bt_json_equal(p, q) == same, "%s", name);
}

static void test_model(void) {
  rest_is("{\"image\":\"a\"}", "{\"image\":\"a\",\"deploy\":{\"resources\":{\"limits\":{\"memory\":\"1g\",\"cpus\":1}}}}", true, "limits that are new are no other service");
  rest_is("{\"mem_limit\":\"1g\"}", "{\"deploy\":{\"resources\":{\"limits\":{\"memory\":\"2g\",\"pids\":3}}}}", true, "nor those that are written otherwise");
  rest_is("{}", "{\"deploy\":{\"resources\":{\"reservations\":{\"devices\":[{}]}}}}", false, "devices are one");
  rest_is("{\"deploy\":{\"replicas\":1}}", "{\"deploy\":{\"replicas\":2}}", false, "and so is what else is of deploy");
  BT_AUTO_JSON a = kit_json("{\"deploy\":{\"resources\":{\"limits\":{\"memory\":\"256m\",\"cpus\":\"0.5\"}}}}");
  BT_AUTO_JSON b = kit_json("{\"mem_limit\":\"512m\",\"deploy\":{\"resources\":{\"limits\":{\"cpus\":0.5,\"pids\":9},\"reservations\":{\"cpus\":1,\"memory\":\"1m\"}}}}");
  BT_AUTO_FREE char *words = bt_inplace_words(a, b);
  is_str(words, "memory 256MiB -> 512MiB, pids none -> 9, reserved memory none -> 1MiB, reserved cpus none -> 1", "what changes, in words");
  BT_AUTO_JSON wanted = bt_inplace_wanted(b);
  BT_AUTO_FREE char *text = bt_json_canonical(wanted);
  is_str(text, "{\"cpus\":0.5,\"memory\":536870912,\"memory_reservation\":1048576,\"pids\":9}", "what an engine is asked for");
  const char *why = NULL;
  ok(bt_inplace_reachable(a, b, &why) && !bt_inplace_reachable(b, a, &why), "a limit is not taken away in place");
  is_str(why, "its limit of pids is taken away", "which is said");
}

/* ---- control ---- */

static void test_in_place(void) {
  struct kit k = able();
  running(&k, APP(WEB(FULL("256m", "200m", "")) "," DB("")));
  BT_AUTO_FREE char *one = id_of(&k, "web", 0), *two = id_of(&k, "web", 1);
  is_int(reserved_memory(&k, "n1"), 400, "two reserve 400 MiB");
  bool in_place;
  BT_AUTO_FREE char *reason = planned(&k, APP(WEB(FULL("512m", "300m", "")) "," DB("")), &in_place);
  is_str(reason, "changes in place: memory 256MiB -> 512MiB, reserved memory 200MiB -> 300MiB", "the plan says so");
  ok(in_place, "and tells whoever reads it as JSON");
  is_int(foreseen, 600, "with what the node will hold");
  is_int(reserved_memory(&k, "n1"), 400, "a plan changes nothing");
  apply(&k, APP(WEB(FULL("512m", "300m", "")) "," DB("")));
  is_int(kit_count(&k, "release"), 0, "nobody goes");
  is_int(kit_count(&k, "assign"), 2, "the node is told of both");
  is_int(reserved_memory(&k, "n1"), 600, "their room is theirs in the same step");
  const json_t *service = bt_json_obj(bt_json_obj(bt_json_obj(kit_sent(&k, "assign", 0), "instance"), "class"), "service");
  is_str(bt_json_str(bt_json_obj(bt_json_obj(bt_json_obj(service, "deploy"), "resources"), "limits"), "memory"), "512m", "what it is to have comes with it");
  kit_tick(&k, 60000);
  kit_is_state(&k, "shop", "deploying");
  ok(why_says(&k, one, "being changed in place"), "why says what is waited for");
  answer_all(&k, NULL);
  kit_is_state(&k, "shop", "running");
  BT_AUTO_FREE char *now = id_of(&k, "web", 0), *now_two = id_of(&k, "web", 1);
  ok(bt_streq(one, now) && bt_streq(two, now_two), "both are the ones they were");
  is_int(events_of(&k, "instance.resized"), 2, "each has its event");
  BT_AUTO_JSON o = inst_of(&k, one);
  is_int(bt_json_int(o, "revision", 0), 2, "of the new revision");
  kit_end(&k);
}

static void test_restart(void) {
  struct kit k = able();
  running(&k, APP(WEB(FULL("256m", "200m", ""))));
  BT_AUTO_FREE char *one = id_of(&k, "web", 0);
  apply(&k, APP(WEB(FULL("512m", "300m", ""))));
  kit_reload(&k);
  BT_AUTO_JSON o = inst_of(&k, one);
  is_str(bt_json_str(o, "in_place"), "sent", "what is not confirmed yet is known after a crash");
  hello_with(&k, "n1", "1073741824", "['update']");
  const json_t *sync = kit_sent(&k, "sync", 0);
  const json_t *class = bt_json_obj(json_array_get(bt_json_arr(sync, "instances"), 0), "class");
  is_str(bt_json_str(class, "hash"), bt_json_str(o, "hash"), "and the node is told again");
  is_int(reserved_memory(&k, "n1"), 600, "with the room of now");
  answer_all(&k, NULL);
  kit_reload(&k);
  kit_hello_again(&k);
  kit_tick(&k, 5000);
  is_int(kit_count(&k, "release") + kit_count(&k, "assign"), 0, "when it is through, a restart changes nothing");
  kit_is_state(&k, "shop", "running");
  BT_AUTO_FREE char *now = id_of(&k, "web", 0);
  is_str(now, one, "it is the one it was");
  kit_end(&k);
}

/* Back to what was before: the containers are still those of then. */
static void test_rollback(void) {
  struct kit k = able();
  running(&k, APP(WEB(FULL("256m", "200m", ""))));
  BT_AUTO_FREE char *one = id_of(&k, "web", 0);
  BT_AUTO_JSON first = inst_of(&k, one);
  apply(&k, APP(WEB(FULL("512m", "300m", ""))));
  answer_all(&k, NULL);
  kit_request(&k, "app.rollback", "{'app':'shop'}", false);
  kit_resolve(&k, "aa");
  is_int(kit_count(&k, "release"), 0, "a rollback replaces nobody");
  answer_all(&k, NULL);
  BT_AUTO_JSON o = inst_of(&k, one);
  is_str(bt_json_str(o, "hash"), bt_json_str(first, "hash"), "and what there is now is what there was");
  is_int(reserved_memory(&k, "n1"), 400, "with the room of then");
  kit_is_state(&k, "shop", "running");
  kit_end(&k);
}

static void test_refused(void) {
  struct kit k = able();
  running(&k, APP(WEB(FULL("256m", "200m", ""))));
  apply(&k, APP(WEB(FULL("128m", "100m", ""))));
  BT_AUTO_FREE char *one = id_of(&k, "web", 0), *two = id_of(&k, "web", 1);
  answer(&k, one, "it uses 140MiB now");
  is_int(events_of(&k, "instance.not-resized"), 1, "an event says why");
  ok(why_says(&k, one, "it uses 140MiB now"), "and so does why");
  is_int(kit_count(&k, "release"), 0, "while the other is being changed, nobody goes");
  kit_reload(&k);
  hello_with(&k, "n1", "1073741824", "['update']");
  answer(&k, two, NULL);
  kit_tick(&k, 1000);
  nodes_settle(&k, NULL);
  kit_is_state(&k, "shop", "running");
  BT_AUTO_JSON gone = inst_of(&k, one);
  BT_AUTO_JSON stays = inst_of(&k, two);
  ok(!gone && stays, "who was refused is replaced, the other stays");
  is_int(ready_of(&k, "web"), 2, "there are two again");
  is_int(reserved_memory(&k, "n1"), 200, "the room is right");
  kit_end(&k);
}

/* The update has stopped, with the new one there that does not work. Who waits to be replaced by that one is not replaced a second time. */
static void test_drained_beside_its_successor(void) {
  struct kit k = able();
  hello_with(&k, "n2", "1073741824", "['update']");
#define ONE(limit)                                                                                                                                   \
  APP("'web':{'image':'w','deploy':{'replicas':1,'resources':{'limits':{'memory':'" limit "'}},'update_config':{'order':'start-first','failure_action':'pause'}}}")
  running(&k, ONE("256m"));
  BT_AUTO_FREE char *old = id_of(&k, "web", 0);
  BT_AUTO_JSON before = inst_of(&k, old);
  apply(&k, ONE("128m"));
  answer(&k, old, "it uses 140MiB now");
  kit_tick(&k, 1000);
  BT_AUTO_FREE char *first = id_of(&k, "web", 0), *second = id_of(&k, "web", 1);
  const char *next = bt_streq(first, old) ? second : first;
  ok(next != NULL, "its successor comes beside it");
  BT_AUTO_JSON bad = inst_of(&k, next);
  node_report(&k, bad, "failed", false);
  kit_is_state(&k, "shop", "failed");
  ok(drain(&k, bt_json_str(before, "node")), "the node of the old one is drained");
  kit_tick(&k, 60000);
  BT_AUTO_JSON all = kit_list(&k, "instances", NULL);
  is_int((long long)json_array_size(all), 2, "there is no third one");
  ok(why_says(&k, old, "which is to take its place"), "why says whom it waits for");
  kit_end(&k);
}

static void test_no_room(void) {
  struct kit k = able();
  running(&k, APP(WEB(FULL("300m", "300m", ""))));
  hello_with(&k, "n2", "8073741824", "['update']");
  BT_AUTO_FREE char *one = id_of(&k, "web", 0);
  bool in_place;
  BT_AUTO_FREE char *reason = planned(&k, APP(WEB(FULL("700m", "700m", ""))), &in_place);
  ok(in_place && strstr(reason, "1 of 2 is replaced: node n1 has no room for 400MiB more memory"), "the plan counts what is free for all of them: %s", reason);
  apply(&k, APP(WEB(FULL("700m", "700m", ""))));
  is_int(kit_count(&k, "assign"), 1, "who fits is changed");
  answer_all(&k, NULL);
  nodes_settle(&k, NULL);
  kit_is_state(&k, "shop", "running");
  BT_AUTO_JSON stays = inst_of(&k, one);
  ok(stays != NULL, "and stays");
  is_int(events_of(&k, "instance.not-resized"), 1, "why the other did not is told");
  is_int(count_on(&k, "n1") + 10 * count_on(&k, "n2"), 11, "it is replaced where there is room");
  is_int(reserved_memory(&k, "n1"), 700, "n1 holds what is there");
  kit_end(&k);
}

static void test_unable(void) {
  struct kit k;
  kit_start(&k);
  hello_with(&k, "n1", "4073741824", "[]");
  running(&k, APP(WEB(FULL("256m", "200m", ""))));
  BT_AUTO_FREE char *one = id_of(&k, "web", 0);
  bool in_place;
  BT_AUTO_FREE char *reason = planned(&k, APP(WEB(FULL("512m", "200m", ""))), &in_place);
  ok(!in_place, "an engine that cannot do it is known");
  is_str(reason, "memory 256MiB -> 512MiB; not in place: the engine of node n1 cannot change what runs", "and told of");
  running(&k, APP(WEB(FULL("512m", "200m", ""))));
  BT_AUTO_JSON gone = inst_of(&k, one);
  ok(!gone && ready_of(&k, "web") == 2, "they are replaced as ever");
  kit_end(&k);
}

static void replaced_by(const char *from, const char *to, const char *name) {
  struct kit k = able();
  running(&k, from);
  BT_AUTO_FREE char *one = id_of(&k, "web", 0);
  running(&k, to);
  BT_AUTO_JSON gone = inst_of(&k, one);
  ok(!gone, "%s", name);
  kit_end(&k);
}

static void test_more_than_that(void) {
  replaced_by(APP(WEB(SIZED("256m", "200m"))), APP(WEB(SIZED("512m", "200m") ",'user':'1'")), "who changes otherwise, too, is replaced");
  replaced_by(APP(WEB(SIZED("256m", "200m"))), APP(WEB("")), "who loses a limit is replaced");
  struct kit k = able();
  running(&k, APP(WEB(SIZED("256m", "200m"))));
  bool in_place;
  BT_AUTO_FREE char *reason = planned(&k, APP(WEB(FULL("256m", "200m", ""))), &in_place);
  is_str(reason, "changes in place: cpus none -> 0.5; deploy.replicas set to 2", "what else changes and replaces nobody is told beside it");
  kit_end(&k);
}

/* The change of a task was on its way when the task ended, and the answer went with the connection and its agent: nobody waits for it. */
static void test_unheard(void) {
#define TASK(limit, reserved) APP("'t':{'image':'t:1','restart':'no'" SIZED(limit, reserved) "}")
  struct kit k = able();
  running(&k, TASK("512m", "200m"));
  BT_AUTO_FREE char *id = id_of(&k, "t", 0);
  apply(&k, TASK("256m", "100m"));
  BT_AUTO_JSON o = inst_of(&k, id);
  is_str(bt_json_str(o, "in_place"), "sent", "the node is told of other limits");
  k.node = "n1";
  kit_report(&k, id, "exited", false, 0);
  k.node = NULL;
  hello_with(&k, "n1", "1073741824", "['update']");
  kit_tick(&k, 60000);
  nodes_settle(&k, NULL);
  kit_is_state(&k, "shop", "running");
  BT_AUTO_JSON now = inst_of(&k, id);
  ok(now && !bt_json_str(now, "in_place"), "the task is done, and its change with it");
  kit_end(&k);
}

static long long pids_of(struct kit *k) {
  BT_AUTO_JSON o = node_view(k, "n1");
  return bt_json_int(bt_json_obj(bt_json_obj(o, "room"), "pids"), "used", -1);
}

/* What the planner alone keeps for them is no engine's matter: no node is asked. */
static void test_reserve(void) {
  struct kit k;
  kit_start(&k);
  kit_node(&k, "{'type':'hello','node':{'name':'n1','cpus':4,'memory':8073741824,'pids':100,'os':'linux','arch':'amd64','labels':{}},'instances':[]}");
  running(&k, APP(WEB(",'deploy':{'replicas':2}")));
  BT_AUTO_FREE char *one = id_of(&k, "web", 0);
  bool in_place;
  BT_AUTO_FREE char *reason = planned(&k, APP(WEB(",'deploy':{'replicas':2},'x-berth':{'reserve':{'pids':20}}")), &in_place);
  is_str(reason, "changes in place: reserved pids none -> 20", "so a plan says");
  apply(&k, APP(WEB(",'deploy':{'replicas':2},'x-berth':{'reserve':{'pids':20}}")));
  is_int(kit_count(&k, "assign") + kit_count(&k, "release"), 0, "no node has anything to do");
  is_int(pids_of(&k), 40, "they are reserved at once");
  kit_tick(&k, 1000);
  kit_is_state(&k, "shop", "running");
  k.node = "n2";
  kit_node(&k, "{'type':'hello','node':{'name':'n2','cpus':4,'memory':8073741824,'pids':100,'os':'linux','arch':'amd64','labels':{}},'instances':[]}");
  k.node = NULL;
  running(&k, APP(WEB(",'deploy':{'replicas':2},'x-berth':{'reserve':{'pids':70}}")));
  BT_AUTO_JSON stays = inst_of(&k, one);
  ok(stays && count_on(&k, "n1") == 1 && count_on(&k, "n2") == 1, "who has no room for more goes where there is some");
  is_int(pids_of(&k), 70, "and nobody has more than there is");
  kit_is_state(&k, "shop", "running");
  kit_end(&k);
}

static void test_quota(void) {
  struct kit k = able();
  kit_request(&k, "settings.put", "{'pools':[],'scheduling':{},'namespaces':{'default':{'quota':{'memory':524288000}}}}", false);
  running(&k, APP(WEB(FULL("256m", "200m", ""))));
  const struct bt_reply *reply = kit_request(&k, "app.apply", APP(WEB(FULL("512m", "300m", ""))), false);
  ok(reply && reply->code != BT_OK, "more than the quota is refused in place, too: %s", reply && reply->message ? reply->message : "it was not");
  is_int(reserved_memory(&k, "n1"), 400, "nothing is taken");
  kit_end(&k);
}

int main(void) {
  test_model();
  test_in_place();
  test_restart();
  test_rollback();
  test_refused();
  test_drained_beside_its_successor();
  test_no_room();
  test_unable();
  test_more_than_that();
  test_unheard();
  test_reserve();
  test_quota();
  return done_testing();
}
