/* Control and the planner: who goes where, who waits and why, and what a dry run foretells. */
#include "config.h"

#include "control_shop.h"

#define PLACED(res) ",'deploy':{'replicas':3,'resources':{'reservations':{" res "}}}"

static void second_node(struct kit *k, const char *labels) {
  BT_AUTO_FREE char *text = bt_asprintf("{'type':'hello','node':{'name':'n2','cpus':4,'memory':8000000000,'os':'linux','arch':'arm64','labels':%s},"
                                        "'instances':[]}", labels);
  k->node = "n2";
  kit_node(k, text);
  k->node = NULL;
}

static long on_node(struct kit *k, const char *node) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  long n = 0;
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) n += bt_streq(bt_json_str(o, "node"), node);
  return n;
}

static void test_forecast(void) {
  struct kit k = fresh();
  ok(apply(&k, APP(WEB(PLACED("'cpus':'1'")))), "three of one cpu each on a node of four");
  is_int(on_node(&k, "n1"), 3, "they are there");
  const struct bt_reply *reply = kit_request(&k, "app.apply", APP(WEB(PLACED("'cpus':'1'")) "," DB(",'deploy':{'replicas':2,'resources':{'reservations':{'cpus':'0.75'}}}")), true);
  ok(reply && reply->code == BT_OK, "a dry run with two more of 0.75");
  const json_t *forecast = bt_json_obj(reply->result, "forecast"), *db = json_array_get(bt_json_arr(forecast, "services"), 0);
  is_int(json_array_size(bt_json_arr(forecast, "services")), 1, "what stays is not foretold");
  is_str(bt_json_str(db, "service"), "db", "the new one is");
  is_int(bt_json_int(db, "unplaced", 0), 1, "one of two has no place");
  is_str(bt_json_str(db, "reason"), "n1 lacks cpu: it asks for 0.75, and 0.25 is left", "and why");
  is_str(bt_json_str(db, "mend"), "0.5 more cpu on n1, or a reservation of at most 0.25", "and what would mend it");
  is_int(bt_json_int(bt_json_obj(db, "nodes"), "n1", 0), 1, "the other goes to n1");
  const json_t *node = json_array_get(bt_json_arr(forecast, "nodes"), 0);
  is_int((long long)(bt_json_num(bt_json_obj(node, "before"), "cpus", 0) * 100), 300, "reserved before");
  is_int((long long)(bt_json_num(bt_json_obj(node, "after"), "cpus", 0) * 100), 375, "and after");
  reply = kit_request(&k, "app.apply", APP(WEB(",'environment':{'A':'1'},'deploy':{'replicas':4,'resources':{'reservations':{'cpus':'1'}}}")), true);
  const json_t *web = json_array_get(bt_json_arr(bt_json_obj(reply->result, "forecast"), "services"), 0);
  is_int(bt_json_int(web, "unplaced", -1), 0, "what an update replaces makes room for it");
  BT_AUTO_JSON list = kit_list(&k, "nodes", NULL);
  is_int((long long)bt_json_num(json_array_get(list, 0), "cpus_reserved", 0), 3, "a dry run reserves nothing");
  kit_end(&k);
}

static void test_two_nodes(void) {
  struct kit k = fresh();
  second_node(&k, "{'zone':'b'}");
  ok(apply(&k, APP(WEB(PLACED("'cpus':'1.5'")))), "three of 1.5 cpus");
  is_int(on_node(&k, "n1") + on_node(&k, "n2"), 3, "all have a place");
  ok(on_node(&k, "n1") > 0 && on_node(&k, "n2") > 0, "on two nodes of four cpus each");
  ok(apply(&k, APP(WEB(PLACED("'cpus':'1.5'")) "," DB(",'deploy':{'placement':{'constraints':['node.labels.zone == b']}}"))), "and one by its label");
  is_int(on_node(&k, "n1") + on_node(&k, "n2"), 4, "which is there, too");
  BT_AUTO_FREE char *id = id_of(&k, "db", 0);
  BT_AUTO_JSON list = kit_list(&k, "instances", NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "instance"), id)) is_str(bt_json_str(o, "node"), "n2", "on the node with the label");
  ok(apply(&k, APP(WEB(PLACED("'cpus':'1.5'")) "," DB(",'deploy':{'placement':{'constraints':['node.labels.zone == c']}}"))), "a label that none has");
  kit_all_run(&k);
  list = (json_decref(list), kit_list(&k, "instances", NULL));
  const char *reason = NULL;
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "service"), "db") && !bt_json_str(o, "node")) reason = bt_json_str(o, "reason");
  if (reason)
    ok(strstr(reason, "none of 2 nodes has a place") && strstr(reason, "node.labels.zone = c on n1, which has room"), "why it waits: %s", reason);
  kit_end(&k);
}

static const char *pool_of(struct kit *k, const char *node) {
  static char pool[64];
  BT_AUTO_JSON list = kit_list(k, "nodes", NULL);
  size_t i;
  json_t *o;
  *pool = '\0';
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "node"), node)) snprintf(pool, sizeof pool, "%s", bt_json_str_or(o, "pool", ""));
  return pool;
}

#define POOLS(more) "{'pools':[{'name':'big','match':['node.labels.zone == b']" more "}],'scheduling':{}}"
static void test_pools(void) {
  struct kit k = fresh();
  second_node(&k, "{'zone':'b'}");
  is_str(pool_of(&k, "n2"), "default", "no pools");
  kit_request(&k, "settings.put", POOLS(",'taints':[{'key':'big','value':'1','effect':'no-schedule'}]"), false);
  is_str(pool_of(&k, "n2"), "big", "a pool by a label");
  is_str(pool_of(&k, "n1"), "default", "the other is in none");
  ok(apply(&k, APP(WEB(PLACED("'cpus':'1.5'")))), "three of 1.5 cpus");
  is_int(on_node(&k, "n2"), 0, "the taint keeps them away");
  kit_request(&k, "settings.put", POOLS(",'overcommit':{'cpus':2},'reserve':{'cpus':1}"), false);
  is_int(on_node(&k, "n1"), 2, "what runs stays");
  is_int(on_node(&k, "n2"), 1, "the third, which was kept away, has a place");
  ok(apply(&k, APP(WEB(PLACED("'cpus':'1.5'")) "," DB(",'deploy':{'replicas':4,'resources':{'reservations':{'cpus':'1'}},'placement':{'constraints':['node.labels.zone == b']}}"))),
     "four of one cpu beside a reserve of one, twice of what is left");
  is_int(on_node(&k, "n2"), 5, "have a place on four cpus");
  BT_AUTO_JSON pools = bt_control_pools(k.c);
  const json_t *big = json_array_get(pools, 0), *rest = json_array_get(pools, 1);
  is_str(bt_json_str(rest, "pool"), "default", "those in no pool are summed up as well");
  ok(bt_json_int(big, "nodes", 0) == 1 && bt_json_num(big, "cpus", 0) == 4 && bt_json_num(big, "cpus_allocatable", 0) == 6 &&
         bt_json_num(big, "cpus_reserved", 0) == 5.5 && bt_json_num(rest, "cpus_reserved", 0) == 3,
     "what is there, may be reserved and is");
  kit_end(&k);
  k = fresh();
  second_node(&k, "{'zone':'b'}");
  kit_request(&k, "settings.put", POOLS(",'namespaces':['others']"), false);
  ok(apply(&k, APP(DB(",'deploy':{'replicas':1,'placement':{'constraints':['node.labels.zone == b']}}"))), "a dedicated pool");
  is_int(on_node(&k, "n2"), 0, "takes nobody else");
  kit_request(&k, "settings.put", POOLS(",'namespaces':['others','default']"), false);
  kit_tick(&k, 1000);
  is_int(on_node(&k, "n2"), 1, "until it is named");
  kit_end(&k);
}

#define GLOBAL(more) ",'deploy':{'mode':'global'" more "}"
/* One on each node that takes it. */
static void test_global(void) {
  struct kit k = fresh();
  ok(apply(&k, APP(WEB(GLOBAL("")))), "one per node");
  is_int(on_node(&k, "n1"), 1, "of one node");
  second_node(&k, "{'zone':'b'}");
  kit_all_run(&k);
  is_int(on_node(&k, "n1"), 1, "a node that joins");
  is_int(on_node(&k, "n2"), 1, "gets its own");
  BT_AUTO_JSON services = kit_list(&k, "services", NULL);
  is_int(bt_json_int(json_array_get(services, 0), "replicas", 0), 2, "two are wanted");
  kit_request(&k, "node.cordon", "{'node':'n2','cordoned':true}", false);
  kit_tick(&k, 1000);
  is_int(on_node(&k, "n2"), 1, "what is on a cordoned node stays");
  kit_request(&k, "node.cordon", "{'node':'n2','cordoned':false}", false);
  ok(apply(&k, APP(WEB(GLOBAL(",'placement':{'constraints':['node.labels.zone == b']}")))), "only on some");
  kit_all_run(&k);
  kit_tick(&k, 60000);
  kit_all_run(&k);
  is_int(on_node(&k, "n2"), 1, "it is where the rule holds");
  is_int(bt_json_int(json_array_get((json_decref(services), services = kit_list(&k, "services", NULL)), 0), "replicas", 0), 1, "and one is wanted");
  kit_end(&k);
}

static void test_ports_by_address(void) {
  struct kit k = fresh();
#define AT(ip) "'mode':'host','target':1,'published':'80','protocol':'tcp'" ip
  ok(apply(&k, APP(WEB(",'ports':[{" AT(",'host_ip':'127.0.0.1'") "}]") "," DB(",'ports':[{" AT(",'host_ip':'127.0.0.2'") "}]"))), "one port on two addresses");
  is_int(on_node(&k, "n1"), 2, "both have a place");
  kit_end(&k);
}

/* What is no job may be started again where it was: it keeps its port (found by the simulator). */
static void test_ended_service(void) {
  struct kit k = fresh();
  ok(apply(&k, APP("'web':{'image':'web:1','restart':'no','networks':{'default':null},'ports':[{'mode':'host','target':1,'published':'80','protocol':'tcp'}],'deploy':{'replicas':2}}")),
     "two that want one port");
  is_int(on_node(&k, "n1"), 1, "one has it");
  BT_AUTO_JSON list = kit_list(&k, "instances", NULL);
  const char *id = NULL;
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_json_str(o, "node")) id = bt_json_str(o, "instance");
  BT_AUTO_FREE char *m = bt_asprintf("{'type':'report','instance':'%s','state':'exited','exit_code':1,'final':true,'started_ms':1}", id);
  kit_node(&k, m);
  kit_tick(&k, 1000);
  is_int(on_node(&k, "n1"), 1, "and keeps it when it has ended");
  kit_end(&k);
}

/* A job that has ended holds nothing. */
static void test_ended(void) {
  struct kit k = fresh();
  ok(apply(&k, APP("'once':{'image':'job:1','restart':'no','networks':{'default':null},'deploy':{'mode':'replicated-job','resources':{'reservations':{'cpus':'4'}}}}")), "a job of all four cpus");
  report_one(&k, "once", "running", true, 0);
  BT_AUTO_JSON list = kit_list(&k, "nodes", NULL);
  is_int((long long)bt_json_num(json_array_get(list, 0), "cpus_reserved", 0), 4, "it holds them");
  BT_AUTO_FREE char *id = id_of(&k, "once", 0);
  BT_AUTO_FREE char *m = bt_asprintf("{'type':'report','instance':'%s','state':'exited','exit_code':0,'final':true,'started_ms':1}", id);
  kit_node(&k, m);
  list = (json_decref(list), kit_list(&k, "nodes", NULL));
  is_int((long long)bt_json_num(json_array_get(list, 0), "cpus_reserved", 0), 0, "until it has ended");
  kit_end(&k);
}

static void test_cordon(void) {
  struct kit k = fresh();
  ok(apply(&k, APP(WEB(",'deploy':{'replicas':1}"))), "one instance");
  const struct bt_reply *reply = kit_request(&k, "node.cordon", "{'node':'n1','cordoned':true}", false);
  ok(reply && reply->code == BT_OK && bt_json_bool(reply->result, "changed", false), "the node is cordoned");
  reply = kit_request(&k, "node.cordon", "{'node':'n1','cordoned':true}", false);
  ok(reply && reply->code == BT_OK && !bt_json_bool(reply->result, "changed", true), "and then it is so already");
  refused(&k, "node.cordon", "{'node':'nope'}", BT_NOT_FOUND, "there is no node nope");
  kit_reload(&k);
  kit_hello_again(&k);
  BT_AUTO_JSON list = kit_list(&k, "nodes", NULL);
  is_str(bt_json_str(json_array_get(list, 0), "status"), "cordoned", "also after the server's restart");
  is_int(on_node(&k, "n1"), 1, "what runs there runs on");
  ok(apply(&k, APP(WEB(",'deploy':{'replicas':1}") "," DB(""))), "one more");
  is_int(on_node(&k, "n1"), 1, "has no place");
  reason_is(&k, "db", "n1 is cordoned. It would fit with n1 taking instances again");
  kit_request(&k, "node.cordon", "{'node':'n1','cordoned':false}", false);
  is_int(on_node(&k, "n1"), 2, "until the node takes instances again");
  kit_end(&k);
}

#define SAYS(more, placement) ",'deploy':{'replicas':" more "},'x-berth':{'placement':{" placement "}}"
#define CPU(n) n ",'resources':{'reservations':{'cpus':'1'}}"

static void places(const char *args, long n1, long n2, const char *name) {
  struct kit k = fresh();
  second_node(&k, "{'zone':'b'}");
  ok(apply(&k, args), "%s", name);
  is_int(on_node(&k, "n1"), n1, "so many on n1");
  is_int(on_node(&k, "n2"), n2, "so many on n2");
  kit_end(&k);
}

static void test_placement(void) {
  places(APP(WEB(SAYS("3", "'require':['node.labels.zone in (a, b)']"))), 0, 3, "a rule that Compose lacks");
  places(APP(WEB(SAYS("2", "'prefer':[{'rule':'node.labels.zone exists','weight':100}],'strategy':'binpack'"))), 0, 2, "a rule that is preferred");
  places(APP(WEB(SAYS(CPU("2"), "'strategy':'spread'"))), 1, 1, "spread");
  places(APP(WEB(SAYS("3", "'anti_affinity':[{'service':'web'}]"))), 1, 1, "apart from itself: the third has no place");
  places(APP(WEB(SAYS("1", "'require':['node.labels.zone == b']")) "," DB(SAYS("2", "'affinity':[{'service':'web'}]"))), 0, 3, "beside another service");
  places(APP(WEB(SAYS("1", "'require':['node.labels.zone == b']")) "," DB(SAYS("2", "'anti_affinity':[{'app':'shop'}]"))), 1, 1, "apart from its app, itself as well");
  places(APP(WEB(SAYS("2", "'spread':[{'topology':'node.labels.zone'}]"))), 0, 2, "over zones: a node without one is in none");
}

/* After a start nodes come a moment later: that none is there yet is no reason why an app fails. */
static void test_start(void) {
  struct kit k = fresh();
  ok(apply(&k, APP(WEB(",'deploy':{'replicas':2,'resources':{'reservations':{'cpus':'3'}}}"))), "two of three cpus each");
  kit_tick(&k, 5000);
  kit_reload(&k);
  kit_tick(&k, 8000);
  kit_hello_again(&k);
  kit_tick(&k, 1000);
  kit_is_state(&k, "shop", "deploying");
  kit_tick(&k, 10000);
  kit_is_state(&k, "shop", "failed");
  BT_AUTO_JSON apps = kit_list(&k, "apps", "shop");
  const char *message = bt_json_str_or(json_array_get(apps, 0), "message", "");
  ok(strstr(message, "web cannot be placed: n1 lacks cpu"), "for what it lacks: %s", message);
  kit_end(&k);
}

/* A service of one per node that no node takes waits for nothing, but a dry run says so. */
static void test_global_nowhere(void) {
  struct kit k = fresh();
  const struct bt_reply *reply = kit_request(&k, "app.apply", APP(WEB(",'deploy':{'mode':'global','placement':{'constraints':['node.labels.disk == ssd']}}")), true);
  ok(reply && reply->code == BT_OK, "a dry run of one per node with a label");
  const json_t *web = json_array_get(bt_json_arr(bt_json_obj(reply->result, "forecast"), "services"), 0);
  is_str(bt_json_str(web, "reason"), "n1 does not meet node.labels.disk == ssd (it has no node.labels.disk)", "why no node takes it");
  is_str(bt_json_str(web, "mend"), "node.labels.disk = ssd on n1, which has room", "and what would mend it");
  is_int(bt_json_int(web, "unplaced", -1), 0, "nothing waits");
  const json_t *step = json_array_get(bt_json_arr(reply->result, "plan"), 0);
  ok(bt_json_bool(step, "per_node", false) && !json_object_get(step, "instances"), "and it is not told to be one instance");
  kit_end(&k);
}

int main(void) {
  test_placement();
  test_global_nowhere();
  test_cordon();
  test_forecast();
  test_two_nodes();
  test_pools();
  test_global();
  test_start();
  test_ports_by_address();
  test_ended_service();
  test_ended();
  return done_testing();
}
