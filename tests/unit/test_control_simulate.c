/* "What if there were more nodes": what waits is tried there, a file's services too, quotas hold, and afterwards everything is as it was. */
#include "config.h"

#include "control_shop.h"

#define OF(n, cpus) ",'deploy':{'replicas':" n ",'resources':{'reservations':{'cpus':" cpus "}}}"

static const json_t *simulated(struct kit *k, const char *args) {
  const struct bt_reply *reply = kit_request(k, "simulate", args, true);
  if (!reply || reply->code != BT_OK)
    printf("# simulate: %s\n", reply ? reply->message : "no reply");
  is_int(k->fx.batch.len, 0, "nothing is written");
  is_int(k->fx.sends.len, 0, "and nobody is told anything");
  return reply && reply->code == BT_OK ? reply->result : NULL;
}

static long placed(struct kit *k) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  long n = 0;
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) n += bt_json_str(o, "node") != NULL;
  return n;
}

static const json_t *first(const json_t *o, const char *key) { return json_array_get(bt_json_arr(o, key), 0); }

static void test_pending(void) {
  struct kit k = fresh();
  ok(apply(&k, APP(WEB(OF("7", "1")))), "seven of one cpu each");
  is_int(placed(&k), 4, "four have a place on four cpus");
  const json_t *o = simulated(&k, "{'nodes':1,'like':'n1'}");
  const json_t *web = first(o, "pending"), *pool = first(o, "after");
  is_int(bt_json_int(web, "instances", 0), 3, "three wait");
  is_int(bt_json_int(web, "placed", 0), 3, "one more node has room for them");
  is_int(bt_json_int(bt_json_obj(web, "nodes"), "n1+1", 0), 3, "they would be there");
  is_int(bt_json_int(first(o, "before"), "nodes", 0), 1, "of one node");
  is_int(bt_json_int(pool, "nodes", 0), 2, "two are made");
  is_int((long long)bt_json_num(pool, "cpus_reserved", 0), 7, "with all of them");
  BT_AUTO_JSON nodes = kit_list(&k, "nodes", NULL);
  is_int(json_array_size(nodes), 1, "there is one node still");
  kit_tick(&k, 1000);
  is_int(placed(&k), 4, "and nobody more has a place");
  o = simulated(&k, "{'nodes':0,'like':'default'}");
  is_int(bt_json_int(first(o, "pending"), "placed", -1), 0, "without a new node nobody has");
  is_str(bt_json_str(first(o, "pending"), "reason"), "n1 lacks cpu: it asks for 1, and 0 is left", "and why not");
  o = simulated(&k, "{'nodes':1000,'like':'default'}");
  is_int(bt_json_int(first(o, "after"), "nodes", 0), 1001, "a thousand, like those of a pool");
  ok(apply(&k, APP(WEB(OF("4", "1")))), "fewer");
  kit_all_leave(&k);
  kit_tick(&k, 1000);
  is_int(placed(&k), 4, "the places are as before");
  o = simulated(&k, "{'nodes':2,'like':'n1'}");
  is_int(json_array_size(bt_json_arr(o, "pending")), 0, "nothing waits any more");
  kit_end(&k);
}

static void test_gang(void) {
  struct kit k = fresh();
#define GANG(n) OF(n, "1") ",'x-berth':{'placement':{'gang':true}}"
  ok(apply(&k, APP(WEB(GANG("7")))), "a gang of seven");
  is_int(placed(&k), 0, "none has a place, since not all have");
  const json_t *web = first(simulated(&k, "{'nodes':0,'like':'n1'}"), "pending");
  is_int(bt_json_int(web, "placed", -1), 0, "of a gang four are not placed either");
  is_int(bt_json_int(web, "unplaced", -1), 7, "all of them wait");
  ok(bt_json_str(web, "reason") && strstr(bt_json_str(web, "reason"), "4 of 7 have a place, and it is a gang: all of them or none"), "and why");
  is_int((long long)bt_json_num(first(simulated(&k, "{'nodes':0,'like':'n1'}"), "after"), "cpus_reserved", -1), 0, "and take nobody's room");
  web = first(simulated(&k, "{'nodes':1,'like':'n1'}"), "pending");
  is_int(bt_json_int(web, "placed", -1), 7, "with another node all are");
#define GANG_FILE(n) ",'namespace':'default','app':'big','model':{'name':'big','services':{'db':{'image':'db:1'" GANG(n) "}}}}"
  const json_t *db = first(simulated(&k, "{'nodes':0,'like':'n1'" GANG_FILE("5")), "services");
  is_int(bt_json_int(db, "unplaced", -1), 5, "a file's gang of five neither");
  db = first(simulated(&k, "{'nodes':0,'like':'n1'" GANG_FILE("4")), "services");
  is_int(bt_json_int(db, "unplaced", -1), 0, "one of four has room beside the seven that wait");
  kit_request(&k, "settings.put", "{'pools':[],'scheduling':{},'namespaces':{'default':{'quota':{'cpus':6}}}}", false);
  web = first(simulated(&k, "{'nodes':1,'like':'n1'}"), "pending");
  is_int(bt_json_int(web, "placed", -1), 0, "nor is a gang placed that its quota has no room for");
  ok(bt_json_str(web, "reason") && strstr(bt_json_str(web, "reason"), "the quota of namespace default is 6 cpus"), "and why");
  kit_end(&k);
}

static void test_file(void) {
  struct kit k = fresh();
  ok(apply(&k, APP(WEB(OF("3", "1")))), "three of four cpus");
#define BIG(n) ",'namespace':'default','app':'big','model':{'name':'big','services':{'db':{'image':'db:1'" OF(n, "2") "}}}}"
  const json_t *o = simulated(&k, "{'nodes':2,'like':'n1'" BIG("5"));
  const json_t *db = first(o, "services");
  is_int(bt_json_int(db, "instances", 0), 5, "a file's five of two cpus");
  is_int(bt_json_int(db, "unplaced", 0), 1, "four of them have a place on two nodes of four");
  ok(bt_json_str(db, "reason") && strstr(bt_json_str(db, "reason"), "cpu"), "and why the fifth has not");
  BT_AUTO_JSON apps = kit_list(&k, "apps", NULL);
  is_int(json_array_size(apps), 1, "the file's app is not there");
  o = simulated(&k, "{'nodes':3,'like':'n1'" BIG("5"));
  is_int(bt_json_int(first(o, "services"), "unplaced", -1), 0, "with three nodes it has");
  kit_end(&k);
}

static void test_quota(void) {
  struct kit k = fresh();
  ok(apply(&k, APP(WEB(OF("6", "1")))), "six of four");
  kit_request(&k, "settings.put", "{'pools':[],'scheduling':{},'namespaces':{'default':{'quota':{'instances':5}}}}", false);
  for (int i = 0; i < 2; i++) {
    const json_t *web = first(simulated(&k, "{'nodes':1,'like':'n1'}"), "pending");
    is_int(bt_json_int(web, "placed", 0), 1, "a quota is not larger for it");
    is_int(bt_json_int(web, "unplaced", 0), 1, "one has none");
    ok(bt_json_str(web, "reason") && strstr(bt_json_str(web, "reason"), "the quota of namespace default is 5 instances"), "and why");
  }
  kit_end(&k);
}

static void test_refused(void) {
  struct kit k = fresh();
  refused(&k, "simulate", "{'nodes':1,'like':'zoo'}", BT_NOT_FOUND, "there is neither a node nor a pool zoo");
  refused(&k, "simulate", "{'nodes':1001,'like':'n1'}", BT_INVALID, "a whole number from 0 to 1000");
  refused(&k, "simulate", "{'nodes':-1,'like':'n1'}", BT_INVALID, "a whole number");
  refused(&k, "simulate", "{'nodes':1,'like':'n1','app':'x','model':{'services':{}}}", BT_INVALID, "has no services");
  kit_request(&k, "settings.put", "{'pools':[{'name':'gpu','match':['node.labels.gpu == true']}],'scheduling':{},'namespaces':{}}", false);
  refused(&k, "simulate", "{'nodes':1,'like':'gpu'}", BT_NOT_FOUND, "pool gpu has no node yet");
  kit_end(&k);
}

int main(void) {
  test_pending();
  test_gang();
  test_file();
  test_quota();
  test_refused();
  return done_testing();
}
