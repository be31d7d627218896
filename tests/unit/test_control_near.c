/* Control and what draws instances to nodes: volumes, images, and those that live together. */
#include "config.h"

#include "control_shop.h"

static void node(struct kit *k, const char *name, const char *cpus) {
  BT_AUTO_FREE char *text = bt_asprintf("{'type':'hello','node':{'name':'%s','cpus':%s,'memory':8000000000,'os':'linux','arch':'amd64','labels':{}},'instances':[]}", name, cpus);
  k->node = name;
  kit_node(k, text);
  k->node = NULL;
}

/* "n1 n2 -": where the instances of a service are, by slot. */
static const char *where(struct kit *k, const char *service) {
  static char out[400];
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i, len = 0;
  json_t *o;
  *out = '\0';
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "service"), service) && !bt_json_bool(o, "leaving", false))
      len += (size_t)snprintf(out + len, sizeof out - len, "%s%s", len ? " " : "", bt_json_str_or(o, "node", "-"));
  return out;
}

static void run(struct kit *k, const char *service) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "service"), service) && bt_json_str(o, "node")) {
    k->node = bt_json_str(o, "node");
    kit_report(k, bt_json_str(o, "instance"), "running", true, 0);
  }
  k->node = NULL;
  kit_tick(k, 500);
}

static void leave(struct kit *k) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_json_bool(o, "leaving", false)) {
    k->node = bt_json_str(o, "node");
    kit_report(k, bt_json_str(o, "instance"), "removed", false, 0);
  }
  k->node = NULL;
  kit_tick(k, 500);
}

#define WITH(volumes, services) "{'app':'shop','model':{'name':'shop','services':{" services "}" NET ",'volumes':{" volumes "}}}"
#define DATA ",'volumes':[{'type':'volume','source':'data','target':'/d'}]"
#define ON(node) ",'deploy':{'placement':{'constraints':['node.hostname == " node "']}}"

static const char *volume_node(struct kit *k) {
  static char name[64];
  BT_AUTO_JSON list = kit_list(k, "volumes", NULL);
  snprintf(name, sizeof name, "%s", bt_json_str_or(json_array_get(list, 0), "node", "-"));
  return name;
}

static void test_volumes(void) {
  struct kit k;
  kit_start(&k);
  node(&k, "n1", "4");
  node(&k, "n2", "4");
  node(&k, "n3", "4");
  ok(apply(&k, WITH("'data':{}", WEB(DATA ON("n2")))), "a service with a volume, on n2");
  is_str(where(&k, "web"), "n2", "is there");
  is_str(volume_node(&k), "n2", "and so is its volume");
  ok(apply(&k, WITH("'data':{}", WEB(DATA ",'deploy':{'replicas':3}"))), "three, anywhere");
  leave(&k);
  run(&k, "web");
  leave(&k);
  is_str(where(&k, "web"), "n2 n2 n2", "go where the volume is");
  kit_request(&k, "app.remove", "{'app':'shop'}", false);
  leave(&k);
  kit_node(&k, "{'type':'dropped','kind':'network','name':'shop_default'}");
  kit_reload(&k);
  node(&k, "n1", "4");
  node(&k, "n2", "4");
  node(&k, "n3", "4");
  is_str(volume_node(&k), "n2", "it stays when the app goes, and the server starts anew");
  ok(apply(&k, WITH("'data':{}", DB(DATA))), "another service that uses it");
  is_str(where(&k, "db"), "n2", "goes there, too");
  ok(apply(&k, WITH("'data':{}", DB(DATA) "," WEB(DATA ON("n3")))), "one that must be elsewhere");
  BT_AUTO_JSON list = kit_list(&k, "instances", NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "service"), "web"))
      ok(bt_json_str(o, "reason") && strstr(bt_json_str(o, "reason"), "1 has no volume default/shop_data, which is on n2"), "waits, and says why: %s", bt_json_str(o, "reason"));
  kit_end(&k);
}

static void test_volumes_anywhere(void) {
  struct kit k;
  kit_start(&k);
  node(&k, "n1", "4");
  node(&k, "n2", "4");
#define SPREAD ",'deploy':{'replicas':2}"
  ok(apply(&k, WITH("'data':{'driver_opts':{'type':'nfs'}}", WEB(DATA SPREAD))), "of a remote file system");
  ok(strstr(where(&k, "web"), "n1") && strstr(where(&k, "web"), "n2"), "anywhere: %s", where(&k, "web"));
  ok(apply(&k, WITH("'data':{'driver_opts':{'type':'nfs'}},'own':{}", WEB(DATA SPREAD) "," "'each':{'image':'e','volumes':[{'type':'volume','source':'own','target':'/d'}],"
                    "'deploy':{'replicas':2,'placement':{'max_replicas_per_node':1}}}")), "one per node");
  ok(strstr(where(&k, "each"), "n1") && strstr(where(&k, "each"), "n2"), "each has its own: %s", where(&k, "each"));
  kit_end(&k);
}

static void test_images(void) {
  struct kit k;
  kit_start(&k);
  node(&k, "n1", "4");
  node(&k, "n2", "4");
#define IMAGE(more) "'web':{'image':'web:1','restart':'always'" more "}"
#define CPU(more) ",'deploy':{'resources':{'reservations':{'cpus':'1'}}" more "}"
  ok(apply(&k, APP(WEB(CPU(",'placement':{'constraints':['node.hostname == n2']}")))), "on n2");
  run(&k, "web");
  ok(apply(&k, "{'app':'two','model':{'name':'two','networks':{},'services':{" IMAGE(CPU("")) "}}}"), "another app of the same image");
  is_str(where(&k, "web"), "n2 n2", "goes where the image is, although n1 comes first");
  ok(apply(&k, "{'app':'three','model':{'name':'three','networks':{},'services':{" IMAGE(CPU(",'replicas':3")) "}}}"), "where that is full");
  ok(strstr(where(&k, "web"), "n1"), "the other is good enough: %s", where(&k, "web"));
  kit_end(&k);
}

#define NEEDS(cpus) ",'deploy':{'resources':{'reservations':{'cpus':'" cpus "'}}}"
#define SIDE(more) "'side':{'image':'side:1','network_mode':'service:web'" more "}"

static void test_groups(void) {
  struct kit k;
  kit_start(&k);
  node(&k, "n1", "2");
  node(&k, "n2", "4");
  ok(apply(&k, APP(WEB(NEEDS("1.5")) "," SIDE(NEEDS("1.5")))), "two that are one, for a node of three cpus");
  is_str(where(&k, "web"), "n2", "the first goes where both have room");
  is_str(where(&k, "side"), "-", "the second waits for the container of the first");
  ok(apply(&k, "{'app':'other','model':{'name':'other','networks':{},'services':{" DB(NEEDS("2")) "}}}"), "another comes between");
  is_str(where(&k, "db"), "n1", "and does not take its place");
  run(&k, "web");
  is_str(where(&k, "side"), "n2", "the second has it");
  run(&k, "side");
  ok(apply(&k, APP("'big':{'image':'big:1'" NEEDS("1") "}," WEB(NEEDS("1.5")) "," SIDE(NEEDS("1.5")))), "what is left");
  is_str(where(&k, "big"), "n2", "is counted once");
  kit_request(&k, "app.remove", "{'app':'shop'}", false);
  leave(&k);
  leave(&k);
  kit_node(&k, "{'type':'dropped','kind':'network','name':'shop_default'}");
  kit_tick(&k, 1000);
  ok(apply(&k, "{'app':'all','model':{'name':'all','services':{'x':{'image':'x'" NEEDS("4") "}}}}"), "when all have gone");
  is_str(where(&k, "x"), "n2", "all of it is free again");
  kit_end(&k);
  kit_start(&k);
  node(&k, "n1", "2");
  ok(apply(&k, APP(WEB(NEEDS("1")) "," "'vol':{'image':'v:1','volumes_from':['web']" NEEDS("9") "}")), "too large together");
  is_str(where(&k, "web"), "-", "so it waits");
  BT_AUTO_JSON list = kit_list(&k, "instances", "shop");
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "service"), "web"))
      ok(bt_json_str(o, "reason") && strstr(bt_json_str(o, "reason"), "it asks for 10"), "and says for how much: %s", bt_json_str(o, "reason"));
  kit_end(&k);
}

/* What is kept for one that never comes is free again when the other goes. */
static void test_group_that_goes(void) {
  struct kit k;
  kit_start(&k);
  node(&k, "n1", "3");
  ok(apply(&k, APP(WEB(NEEDS("1")) "," SIDE(NEEDS("2")))), "two that are one");
  ok(apply(&k, "{'app':'all','model':{'name':'all','networks':{},'services':{'x':{'image':'x'" NEEDS("3") "}}}}"), "and one that needs all");
  is_str(where(&k, "x"), "-", "which has no place");
  kit_request(&k, "app.remove", "{'app':'shop'}", false);
  leave(&k);
  leave(&k);
  for (int i = 0; i < 20; i++)
    kit_tick(&k, 1000);
  is_str(where(&k, "x"), "n1", "before both have gone");
  kit_end(&k);
}

/* A node that takes nothing new does not take what was kept there either (found by the simulator). */
static void test_group_and_cordon(void) {
  struct kit k;
  kit_start(&k);
  node(&k, "n1", "3");
  ok(apply(&k, APP(WEB(NEEDS("1")) "," SIDE(NEEDS("1")))), "two that are one");
  kit_request(&k, "node.cordon", "{'node':'n1','cordoned':true}", false);
  run(&k, "web");
  is_str(where(&k, "side"), "-", "the second does not come to a cordoned node");
  kit_request(&k, "node.cordon", "{'node':'n1','cordoned':false}", false);
  kit_tick(&k, 1000);
  is_str(where(&k, "side"), "n1", "before it is open again");
  kit_end(&k);
}

int main(void) {
  test_volumes();
  test_volumes_anywhere();
  test_images();
  test_groups();
  test_group_that_goes();
  test_group_and_cordon();
  return done_testing();
}
