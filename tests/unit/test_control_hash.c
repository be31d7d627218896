/* The hash by which control tells whether a container is still what its service asks for: the same for the same spec on every
 * machine and in every process; no container is replaced because another build would have made another hash; and what is replaced
 * was announced. */
#include "config.h"

#include "control_kit.h"

#define NETS ",'networks':{'default':{'name':'shop_default'},'back':{'name':'shop_back'}}"
#define APP(services) "{'app':'shop','model':{'name':'shop','services':{" services "}" NETS ",'volumes':{'data':{'name':'shop_data'}}}}"
#define WEB(networks)                                                                                                              \
  "'web':{'image':'web:1','restart':'always','command':['serve'],'environment':{'A':'1','B':'2'},'labels':{'x':'y'},"              \
  "'networks':{" networks "},'ports':[{'target':80,'published':'8080','protocol':'tcp','mode':'host'}],"                           \
  "'volumes':[{'type':'volume','source':'data','target':'/data'},{'type':'bind','source':'/srv','target':'/srv','bind':{}}],"      \
  "'healthcheck':{'test':['CMD','true'],'interval':'5s'},'stop_grace_period':'3s'}"
#define DB(more) "'db':{'image':'db:1','restart':'always','networks':{'default':null}" more "}"
#define BOTH(more) APP(WEB("'back':null,'default':{'aliases':['www']}") "," DB(more))

static void up(struct kit *k, const char *args) {
  const struct bt_reply *reply = kit_request(k, "app.apply", args, false);
  ok(reply && reply->code == BT_OK, "apply%s%s", reply && reply->message ? ": " : "", reply && reply->message ? reply->message : "");
  kit_resolve(k, "aa");
  kit_all_leave(k);
  kit_all_run(k);
}

static struct kit running(const char *args) {
  struct kit k;
  kit_start(&k);
  kit_hello(&k);
  up(&k, args);
  kit_all_run(&k);
  return k;
}

/* A key of a service's first instance. The caller frees. */
static char *of(struct kit *k, const char *service, const char *key) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "service"), service)) return bt_strdup(bt_json_str(o, key));
  return NULL;
}

static void hash_is(struct kit *k, const char *service, const char *want, const char *name) {
  BT_AUTO_FREE char *hash = of(k, service, "hash");
  is_str(hash, want, name);
}

/* A change of this value is no fault by itself, but must be meant: it says that the same spec makes another container than it did
 * with earlier builds. */
static void test_golden(void) {
  struct kit k = running(BOTH(""));
  hash_is(&k, "web", "a018ae239f4efc2814e4938d40501073", "the hash of a spec is what it always was");
  hash_is(&k, "db", "07028687cb6484f9e1d8e7e2842dd6bf", "that of a small one, too");
  kit_end(&k);
}

static void test_order(void) {
  struct kit k = running(APP(WEB("'default':{'aliases':['www']},'back':null")));
  hash_is(&k, "web", "a018ae239f4efc2814e4938d40501073", "the order of networks in the file is not part of it");
  kit_end(&k);
}

/* As if an earlier build had made it: every hash of a service in the store is another one. */
static void rewrite(struct kit *k, const char *from, const char *to) {
  for (struct bt_map_iter it = bt_map_iter(k->store); bt_map_next(&it);)
    for (char *at = it.value; (at = strstr(at, from));)
      memcpy(at, to, strlen(to));
}

static void test_earlier_build(void) {
  static const char earlier[] = "0123456789abcdef0123456789abcdef";
  struct kit k = running(BOTH(""));
  BT_AUTO_FREE char *made = of(&k, "web", "hash"), *id = of(&k, "web", "instance");
  rewrite(&k, made, earlier);
  kit_reload(&k);
  kit_hello_again(&k);
  hash_is(&k, "web", earlier, "a container of an earlier build has the hash that this one gave it");
  kit_request(&k, "app.scale", "{'app':'shop','services':{'db':2}}", false);
  kit_resolve(&k, "aa");
  is_int(kit_count(&k, "release"), 0, "the next change replaces nothing");
  kit_all_run(&k);
  BT_AUTO_FREE char *now = of(&k, "web", "instance");
  is_str(now, id, "the instance is the one it was");
  hash_is(&k, "web", earlier, "with its hash");
  up(&k, BOTH(",'deploy':{'replicas':2},'user':'1'"));
  hash_is(&k, "web", earlier, "also when the other service is replaced");
  kit_reload(&k);
  kit_hello_again(&k);
  up(&k, APP(WEB("'default':null") "," DB(",'deploy':{'replicas':2},'user':'1'")));
  BT_AUTO_FREE char *new = of(&k, "web", "hash");
  ok(!bt_streq(new, earlier) && !bt_streq(new, made), "it is replaced when its spec changes");
  kit_end(&k);
}

static const json_t *planned(const struct bt_reply *reply, const char *service) {
  size_t i;
  json_t *e;
  json_array_foreach(bt_json_arr(reply->result, "plan"), i, e)
    if (bt_streq(bt_json_str(e, "kind"), "service") && bt_streq(bt_json_str(e, "name"), service))
      return e;
  return NULL;
}

static void test_announced(void) {
  struct kit k = running(BOTH(""));
  const struct bt_reply *reply = kit_request(&k, "app.apply", BOTH(",'links':['web:front']"), true);
  is_str(bt_json_str(planned(reply, "web"), "action"), "update", "who gets a new name by another's link is announced as replaced");
  reply = kit_request(&k, "app.apply", BOTH(",'user':'1'"), true);
  is_str(bt_json_str(planned(reply, "web"), "action"), "keep", "who has no part in a change is kept");
  is_str(bt_json_str(planned(reply, "db"), "action"), "update", "while the other is not");
  kit_end(&k);
}

/* Where instances may be makes no other container of them. */
static void test_placement(void) {
  struct kit k = running(BOTH(""));
  BT_AUTO_FREE char *id = of(&k, "db", "instance");
  up(&k, BOTH(",'deploy':{'placement':{'constraints':['node.role != x'],'preferences':[{'spread':'node.labels.zone'}]}},'x-berth':{'placement':{'strategy':'spread','prefer':[{'rule':'node.role == x'}],'tolerations':[{'key':'a'}]}}"));
  BT_AUTO_FREE char *now = of(&k, "db", "instance");
  is_str(now, id, "what placement says replaces nothing");
  hash_is(&k, "db", "07028687cb6484f9e1d8e7e2842dd6bf", "the hash is the one it was");
  kit_end(&k);
}

int main(void) {
  test_golden();
  test_placement();
  test_order();
  test_earlier_build();
  test_announced();
  return done_testing();
}
