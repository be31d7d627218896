/* Policies on places, as control asks them: who is refused where and in which words, what is asked again when they change, and what fails. */
#include "config.h"

#include "control_shop.h"
#include "policy/judge.h"

/* Policies that a test plays. */
static struct played {
  bool any, fails;
  const char *no;   /* zone that is refused */
  const char *best; /* zone that is preferred */
  int asked;
  json_t *service, *node; /* of the last question */
} played;

static bool any(void *arg) { return ((struct played *)arg)->any; }

static void ask(void *arg, const json_t *service, const json_t *node, struct bt_judgement *out) {
  struct played *p = arg;
  const char *zone = bt_json_str_or(bt_json_obj(node, "labels"), "zone", "none");
  p->asked++;
  json_decref(p->service);
  json_decref(p->node);
  p->service = json_deep_copy(service);
  p->node = json_deep_copy(node);
  *out = (struct bt_judgement){.allowed = !bt_streq(zone, p->no), .score = bt_streq(zone, p->best) ? 100 : 0};
  if (p->fails)
    out->allowed = false, out->failed = true;
  snprintf(out->why, sizeof out->why, "is refused by the policy zones.lua:4 (not in %s)", zone);
}

static struct kit judged(void) {
  struct kit k;
  kit_start(&k);
  bt_control_free(&k.c);
  k.c = bt_control_new(&(struct bt_control_options){.server_id = "testserver", .judge = {any, ask, &played}});
  bt_control_loaded(k.c, 0);
  return k;
}

static void hello(struct kit *k, const char *name, const char *zone) {
  BT_AUTO_FREE char *text = bt_asprintf("{'type':'hello','node':{'name':'%s','cpus':4,'memory':8000000000,'os':'linux','arch':'arm64','labels':{'zone':'%s'}},"
                                        "'instances':[]}", name, zone);
  k->node = name;
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

static void played_reset(struct played as) {
  json_decref(played.service);
  json_decref(played.node);
  played = as;
}

static void change(struct kit *k) { kit_request(k, "policy.changed", "{}", false); }

#define THREE APP(WEB(",'labels':{'tier':'front'},'deploy':{'replicas':3,'resources':{'reservations':{'cpus':'0.5','memory':'1000000'}}}"))

static void test_places(void) {
  played_reset((struct played){.any = true, .no = "a", .best = "c"});
  struct kit k = judged();
  hello(&k, "n1", "a");
  hello(&k, "n2", "b");
  hello(&k, "n3", "c");
  hello(&k, "n4", "c");
  ok(apply(&k, THREE), "three of web");
  is_int(on_node(&k, "n3") + on_node(&k, "n4"), 3, "are where the policy prefers");
  is_int(played.asked, 3, "it was asked once for each class");
  is_str(bt_json_str(played.service, "app"), "shop", "it sees the app");
  is_str(bt_json_str(bt_json_obj(played.service, "labels"), "tier"), "front", "labels");
  is_str(bt_json_str(bt_json_obj(played.node, "platform"), "arch"), "arm64", "the node's platform");
  is_str(bt_json_str(played.node, "pool"), "default", "its pool");
  is_int((long long)bt_json_num(bt_json_obj(played.node, "capacity"), "cpus", 0), 4, "what it has");
  is_int(bt_json_int(bt_json_obj(played.node, "capacity"), "memory", 0), 8000000000 - 8000000000 % (64 << 20), "memory in whole 64 MiB");
  ok(!json_object_get(bt_json_obj(played.node, "capacity"), "disk"), "and not what nobody knows");
  ok(!json_object_get(played.node, "name"), "but not which node it is");
  hello(&k, "n5", "c");
  ok(apply(&k, APP(WEB(",'labels':{'tier':'front'},'deploy':{'replicas':6,'resources':{'reservations':{'cpus':'0.5','memory':'1000000'}}}"))), "more of it");
  is_int(played.asked, 6, "are another revision, which is asked about anew; a node of a known class is not");
  kit_end(&k);
}

static void test_refusal(void) {
  played_reset((struct played){.any = true, .no = "a"});
  struct kit k = judged();
  hello(&k, "n1", "a");
  ok(apply(&k, THREE), "three of web");
  reason_is(&k, "web", "n1 is refused by the policy zones.lua:4 (not in a)");
  kit_tick(&k, 11000);
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON why = bt_control_why(k.c, "default", "shop/web", k.now, &err);
  BT_AUTO_FREE char *text = bt_json_text(why);
  ok(strstr(text, "zones.lua:4 (not in a)"), "why names file and line: %s", text);
  int asked = played.asked;
  const struct bt_reply *reply = kit_request(&k, "app.apply", APP(DB("")), true);
  const json_t *db = json_array_get(bt_json_arr(bt_json_obj(reply->result, "forecast"), "services"), 0);
  is_str(bt_json_str(db, "reason"), "n1 is refused by the policy zones.lua:4 (not in a)", "so does a dry run");
  is_int(played.asked, asked + 1, "which asks for itself");
  played.no = "b";
  kit_tick(&k, 60000);
  is_int(on_node(&k, "n1"), 0, "verdicts last");
  change(&k);
  is_int(on_node(&k, "n1"), 3, "until the policies change: then who waits is placed at once");
  played.no = "a";
  change(&k);
  kit_all_run(&k);
  is_int(on_node(&k, "n1"), 3, "what has its place keeps it");
  played.any = false;
  change(&k);
  asked = played.asked;
  ok(apply(&k, APP(WEB("") "," DB(""))), "without policies");
  is_int(played.asked, asked, "nobody is asked");
  kit_end(&k);
}

static size_t events(struct kit *k, const char *type) {
  BT_AUTO_JSON list = bt_control_list(k->c, "events", &(struct bt_query){.type = type, .limit = 5000}, NULL, NULL);
  return json_array_size(list);
}

static void test_failure(void) {
  played_reset((struct played){.any = true, .fails = true});
  struct kit k = judged();
  hello(&k, "n1", "a");
  hello(&k, "n2", "b");
  kit_request(&k, "app.apply", APP(DB("")), true);
  is_int(events(&k, "policy.failed"), 0, "a dry run leaves no event");
  ok(apply(&k, THREE), "three of web");
  is_int(on_node(&k, "n1") + on_node(&k, "n2"), 0, "a policy that fails agrees to nothing");
  is_int(events(&k, "policy.failed"), 2, "each class is an event");
  for (int i = 0; i < 30; i++) {
    BT_AUTO_FREE char *more = bt_asprintf("{'app':'shop','model':{'name':'shop','services':{'web':{'image':'web:1','environment':{'N':'%d'}}}}}", i);
    apply(&k, more);
  }
  is_int(events(&k, "policy.failed"), 20, "but not more than twenty");
  played.fails = false;
  change(&k);
  ok(on_node(&k, "n1") + on_node(&k, "n2") > 0, "mended, it lets them in");
  kit_end(&k);
}

int main(void) {
  test_places();
  test_refusal();
  test_failure();
  played_reset((struct played){0});
  return done_testing();
}
