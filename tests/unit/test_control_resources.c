/* What apps have beside instances, under control: secrets and who gets them, volumes, networks that an engine does not let go, what
 * plug-ins keep. */
#include "config.h"

#include "base/buf.h"
#include "control_shop.h"

static const char secret_app[] = "{'app':'shop','model':{'services':{'db':{'image':'db:1','secrets':[{'source':'pw','target':'pw'}]}},"
                                 "'secrets':{'pw':{'name':'shop_pw','file':'/x'}}},'contents':{'secrets/pw':{'sealed':'SEALED%d','fingerprint':'f%d','size':3}}}";

static void apply_secret(struct kit *k, int n) {
  BT_AUTO_FREE char *args = bt_strdup(secret_app);
  for (char *p; (p = strstr(args, "%d"));) {
    p[0] = (char)('0' + n);
    memmove(p + 1, p + 2, strlen(p + 1));
  }
  apply(k, args);
}

/* What readers get of one secret: the key's value, or the code of the refusal. */
static void secret_is(struct kit *k, const char *name, const char *key, const char *want) {
  BT_AUTO_ERR err = NULL;
  const char *text = bt_control_get(k->c, "secrets", "default", name, NULL, &err);
  BT_AUTO_JSON o = text ? json_loads(text, 0, NULL) : NULL;
  BT_AUTO_FREE char *got = o ? bt_json_text(json_object_get(o, key)) : bt_strdup(bt_code_name(bt_err_code(err)));
  ok(!text || !strstr(text, "SEALED"), "no content in a view");
  is_str(got, want, key);
}

static void test_app_secret(void) {
  struct kit k = fresh();
  apply_secret(&k, 1);
  const json_t *grants = bt_json_arr(bt_json_obj(bt_json_obj(kit_sent(&k, "assign", 0), "instance"), "class"), "secrets");
  is_str(bt_json_str(json_array_get(grants, 0), "key"), "secrets/shop/pw/f1", "a class names a content by its fingerprint");
  is_str(bt_control_secret_blob(k.c, "default", "secrets/shop/pw/f1"), "SEALED1", "which the node can fetch");
  kit_all_run(&k);
  apply_secret(&k, 2);
  is_int(kit_count(&k, "release"), 1, "another content rolls the service");
  is_str(bt_control_secret_blob(k.c, "default", "secrets/shop/pw/f1"), "SEALED1", "the old one stays for a rollback");
  BT_AUTO_JSON list = kit_list(&k, "secrets", NULL);
  BT_AUTO_FREE char *text = bt_json_text(list);
  ok(!strstr(text, "SEALED"), "no reader sees it");
  secret_is(&k, "shop.pw", "fingerprint", "\"f2\"");
  secret_is(&k, "pw", "used_by", "[\"shop/db\"]");
  secret_is(&k, "shop.pv", "name", "not_found");
  kit_reload(&k);
  is_str(bt_control_secret_blob(k.c, "default", "secrets/shop/pw/f2"), "SEALED2", "it is there after a start");
  kit_end(&k);
}

static void test_external_secret(void) {
  static const char app[] = "{'app':'shop','model':{'services':{'db':{'image':'db:1','secrets':[{'source':'pw'}]}},'secrets':{'pw':{'name':'main','external':true}}}}";
  struct kit k = fresh();
  refused(&k, "app.apply", app, BT_NOT_FOUND, "main");
  kit_request(&k, "secret.put", "{'name':'main','sealed':'S1','fingerprint':'f1','size':1}", false);
  ok(apply(&k, app), "with the secret it passes");
  kit_all_run(&k);
  refused(&k, "secret.delete", "{'name':'main'}", BT_CONFLICT, "in use by app shop");
  secret_is(&k, "main", "used_by", "[\"shop/db\"]");
  const struct bt_reply *reply = kit_request(&k, "secret.put", "{'name':'main','sealed':'S1','fingerprint':'f1','size':1}", false);
  ok(reply && !bt_json_bool(reply->result, "changed", true), "the same content is no change");
  kit_request(&k, "secret.put", "{'name':'main','sealed':'S2','fingerprint':'f2','size':1}", false);
  is_int(kit_count(&k, "release"), 1, "another one rolls its users");
  is_int(k.fx.calls.len, 0, "without asking for images");
  is_str(bt_control_secret_blob(k.c, "default", "secrets/-/main"), "S2", "with the new content");
  kit_end(&k);
}

/* Two apps with a secret of one name each: only the full name tells which is meant. */
static void test_secret_names(void) {
  struct kit k = fresh();
  apply_secret(&k, 1);
  apply(&k, "{'app':'other','model':{'services':{'a':{'image':'a:1','secrets':[{'source':'pw','target':'pw'}]}},"
            "'secrets':{'pw':{'name':'other_pw','file':'/x'}}},'contents':{'secrets/pw':{'sealed':'SEALED9','fingerprint':'f9','size':3}}}");
  secret_is(&k, "pw", "name", "conflict");
  secret_is(&k, "other.pw", "used_by", "[\"other/a\"]");
  kit_request(&k, "secret.put", "{'name':'pw','sealed':'SEALED0','fingerprint':'f0','size':1}", false);
  secret_is(&k, "pw", "used_by", "[]");
  kit_end(&k);
}

static void test_volumes(void) {
  static const char app[] = "{'app':'shop','model':{'services':{'db':{'image':'db:1','volumes':[{'type':'volume','source':'data','target':'/d'}]}},'volumes':{'data':{'name':'shop_data'}}}}";
  struct kit k = fresh();
  apply(&k, app);
  is_int(kit_count(&k, "volume"), 1, "a volume is made");
  is_str(bt_json_str(kit_sent(&k, "volume", 0), "name"), "shop_data", "under its name");
  kit_all_run(&k);
  refused(&k, "volume.delete", "{'name':'shop_data'}", BT_CONFLICT, "in use");
  kit_request(&k, "app.remove", "{'app':'shop'}", false);
  kit_all_leave(&k);
  BT_AUTO_JSON list = kit_list(&k, "volumes", NULL);
  is_int(json_array_size(list), 1, "it outlives its app");
  const struct bt_reply *reply = kit_request(&k, "volume.delete", "{'name':'shop_data'}", false);
  ok(reply && reply->code == BT_OK && kit_count(&k, "volume_drop") == 1, "until it is removed by name");
  kit_node(&k, "{'type':'dropped','kind':'volume','name':'shop_data','error':'it is busy'}");
  list = (json_decref(list), kit_list(&k, "volumes", NULL));
  is_str(bt_json_str(json_array_get(list, 0), "error"), "it is busy", "what the node says is shown");
  kit_node(&k, "{'type':'dropped','kind':'volume','name':'shop_data'}");
  list = (json_decref(list), kit_list(&k, "volumes", NULL));
  is_int(json_array_size(list), 0, "then it is gone");
  kit_end(&k);
}

/* Who uses a volume, and what a node carries, is part of what readers get: a tag that stays would keep them from seeing it. */
static void test_tags(void) {
  static const char app[] = "{'app':'shop','model':{'services':{'db':{'image':'db:1','volumes':[{'type':'volume','source':'data','target':'/d'}]}},'volumes':{'data':{'name':'shop_data'}}}}";
  static const char *const objects[][2] = {{"volumes", "shop_data"}, {"nodes", "n1"}};
  struct kit k = fresh();
  apply(&k, app);
  kit_all_run(&k);
  for (size_t i = 0; i < BT_COUNT(objects); i++) {
    uint64_t before = 0, after = 0;
    BT_AUTO_FREE char *was = bt_strdup(bt_control_get(k.c, objects[i][0], "default", objects[i][1], &before, NULL));
    kit_request(&k, "app.scale", i ? "{'app':'shop','services':{'db':3}}" : "{'app':'shop','services':{'db':2}}", false);
    kit_all_run(&k);
    const char *is = bt_control_get(k.c, objects[i][0], "default", objects[i][1], &after, NULL);
    ok(was && is && !bt_streq(was, is), "%s: it reads otherwise", objects[i][0]);
    ok(after > before, "and its revision is another");
  }
  kit_end(&k);
}

static void drop_fails(struct kit *k) {
  kit_node(k, "{'type':'dropped','kind':'network','name':'shop_default','error':'it has active endpoints'}");
}

static bool listed(struct kit *k, const char *kind, const char *key, const char *want) {
  BT_AUTO_JSON list = kit_list(k, kind, NULL);
  return want ? json_array_size(list) == 1 && bt_streq(bt_json_str(json_array_get(list, 0), key), want) : json_array_size(list) == 0;
}

static size_t stuck_events(struct kit *k) {
  BT_AUTO_JSON events = bt_control_list(k->c, "events", &(struct bt_query){.namespace_ = "default", .type = "network.stuck"}, NULL, NULL);
  const json_t *event = json_array_get(events, 0);
  if (event)
    ok(bt_streq(bt_json_str(event, "severity"), "warning") && bt_streq(bt_json_str(event, "subject"), "shop_default") &&
           strstr(bt_json_str_or(event, "message", ""), "active endpoints") && strstr(bt_json_str_or(event, "message", ""), "restart the engine"),
       "the event names it, says why, and the mend");
  return json_array_size(events);
}

/* An app whose only network the engine does not let go, at the moment of its removal. */
static struct kit stuck_app(void) {
  struct kit k = fresh();
  apply(&k, APP(WEB("")));
  kit_all_run(&k);
  kit_request(&k, "app.remove", "{'app':'shop'}", false);
  kit_all_leave(&k);
  is_int(kit_count(&k, "network_drop"), 1, "the network is dropped");
  k.now += 3000;
  drop_fails(&k);
  return k;
}

static void test_network_stuck(void) {
  struct kit k = stuck_app();
  is_int(kit_count(&k, "network_drop"), 0, "a removal that failed is not tried again at once");
  kit_is_state(&k, "shop", "removing");
  kit_tick(&k, 5000);
  is_int(kit_count(&k, "network_drop"), 1, "but after a pause");
  ok(listed(&k, "apps", "app", "shop"), "the app waits for it");
  kit_tick(&k, 2000);
  ok(listed(&k, "apps", "app", NULL), "for ten seconds, then it is gone");
  is_int(stuck_events(&k), 1, "a warning was said");
  ok(listed(&k, "networks", "state", "removing"), "the network is still listed");
  drop_fails(&k);
  kit_tick(&k, 9999);
  is_int(kit_count(&k, "network_drop"), 0, "its next pause is longer");
  kit_tick(&k, 1);
  is_int(kit_count(&k, "network_drop"), 1, "ten seconds");
  for (int i = 0; i < 12; i++) {
    drop_fails(&k);
    kit_tick(&k, 300000);
    is_int(kit_count(&k, "network_drop"), 1, "never longer than five minutes");
  }
  is_int(stuck_events(&k), 1, "the warning was said once");
  kit_reload(&k);
  kit_hello(&k);
  is_int(kit_count(&k, "network_drop"), 1, "a node that comes is asked too, after a start");
  kit_tick(&k, 60000);
  is_int(stuck_events(&k), 1, "without another warning");
  kit_node(&k, "{'type':'dropped','kind':'network','name':'shop_default'}");
  ok(listed(&k, "networks", "state", NULL), "when the engine lets it go it is gone");
  kit_end(&k);
}

static void test_network_stuck_used_again(void) {
  struct kit k = stuck_app();
  kit_tick(&k, 7000);
  ok(listed(&k, "apps", "app", NULL), "the app is gone without its network");
  ok(apply(&k, APP(WEB(""))), "it comes again");
  ok(listed(&k, "networks", "state", "present"), "the network is used again");
  drop_fails(&k);
  is_int(kit_count(&k, "network"), 1, "the node is told so where it answers late");
  ok(listed(&k, "networks", "state", "present"), "which changes nothing");
  kit_all_run(&k);
  kit_tick(&k, 400000);
  is_int(kit_count(&k, "network_drop"), 0, "no removal is tried any more");
  kit_end(&k);
}

static void test_network_stuck_by_hand(void) {
  struct kit k = stuck_app();
  kit_tick(&k, 7000);
  drop_fails(&k);
  const struct bt_reply *reply = kit_request(&k, "network.delete", "{'name':'shop_default'}", false);
  ok(reply && reply->code == BT_OK && kit_count(&k, "network_drop") == 1, "who asks for its removal waits for no pause");
  kit_end(&k);
}

/* A build names its secrets by key; their values stay sealed until the node asks. */
static void test_build_secrets(void) {
  struct kit k = fresh();
  refused(&k, "app.apply", APP("'a':{'build':{'context':'/s','secrets':[{'source':'pw'}]}}"), BT_INVALID, "content");
  kit_request(&k, "app.apply",
              "{'app':'shop','model':{'services':{'api':{'build':{'context':'/src','secrets':[{'source':'pw'},{'source':'npm','target':'token'}]},"
              "'pull_policy':'build'}},'secrets':{'pw':{'file':'/x'},'npm':{'environment':'NPM'}}},"
              "'contents':{'secrets/pw':{'sealed':'SEALED1','fingerprint':'f1','size':3},'secrets/npm':{'sealed':'SEALED2','fingerprint':'f2','size':3}}}",
              false);
  ok(k.fx.calls.len == 1 && bt_streq(k.fx.calls.items[0].kind, "image.build"), "it is built");
  BT_AUTO_FREE char *text = k.fx.calls.len ? bt_json_text(k.fx.calls.items[0].args) : NULL;
  ok(text && strstr(text, "{\"id\":\"pw\",\"key\":\"secrets/shop/pw/f1\"}") && strstr(text, "{\"id\":\"token\",\"key\":\"secrets/shop/npm/f2\"}") &&
         !strstr(text, "SEALED"),
     "with ids and keys, no values: %s", text ? text : "nothing");
  is_str(bt_control_secret_blob(k.c, "default", "secrets/shop/npm/f2"), "SEALED2", "which the node can fetch");
  BT_AUTO_JSON result = kit_json("{\"pinned\":\"sha256:1\",\"digest\":\"sha256:1\"}");
  kit_step(&k, (struct bt_input){.kind = BT_IN_CALL_DONE, .call = k.fx.calls.items[0].id, .code = BT_OK, .result = result});
  const json_t *cls = bt_json_obj(bt_json_obj(kit_sent(&k, "assign", 0), "instance"), "class");
  ok(cls && !json_array_size(bt_json_arr(cls, "secrets")), "its container gets none of them");
  secret_is(&k, "npm", "used_by", "[\"shop/api\"]");
  kit_end(&k);
}

static bool one_entry(void *arg, const char *key, const char *value) {
  BT_AUTO_FREE char *both = bt_asprintf("%s=%s ", key, value);
  bt_buf_adds(arg, both);
  return true;
}

static void test_kv_and_events(void) {
  struct kit k = fresh();
  kit_request(&k, "kv.put", "{'plugin':'chat','key':'q/1','value':'AA'}", false);
  kit_request(&k, "kv.put", "{'plugin':'chat','key':'x','value':'BB'}", false);
  kit_reload(&k);
  BT_AUTO_BUF found = {0};
  bt_control_kv_scan(k.c, "chat", "q/", one_entry, &found);
  is_str(found.data, "q/1=AA ", "what a plug-in keeps is found by its beginning, after a start");
  kit_request(&k, "kv.put", "{'plugin':'chat','key':'q/1','value':null}", false);
  bt_buf_truncate(&found, 0);
  bt_control_kv_scan(k.c, "chat", "q/", one_entry, &found);
  is_int(found.len, 0, "and forgotten");
  kit_request(&k, "event.add", "{'type':'ci.built','severity':'info','message':'done','subject':'x'}", false);
  BT_AUTO_JSON events = kit_list(&k, "events", NULL);
  is_int(json_array_size(events), 0, "an event without a namespace is not of one");
  events = (json_decref(events), bt_control_list(k.c, "events", &(struct bt_query){.type = "ci.built"}, NULL, NULL));
  is_int(json_array_size(events), 1, "but is there");
  kit_end(&k);
}

/* A commit was refused, and control is read again beside the node: it may never have heard what it was to make. */
static void test_networks_first(void) {
  struct kit k = fresh();
  kit_request(&k, "app.apply", APP(WEB("")), false);
  struct bt_control *was = k.c;
  k.c = bt_control_new(&(struct bt_control_options){.server_id = "testserver"});
  bt_control_loaded(k.c, bt_control_revision(was));
  kit_reload(&k);
  bt_control_carry(k.c, was);
  bt_control_free(&was);
  kit_resolve(&k, "aa");
  is_int(kit_count(&k, "assign"), 0, "nothing begins on a node that was not told of the networks again");
  kit_hello(&k);
  is_int(kit_count(&k, "sync"), 1, "they are told where it says hello");
  kit_tick(&k, 1);
  BT_AUTO_JSON all = kit_list(&k, "instances", "shop");
  is_str(bt_json_str(json_array_get(all, 0), "node"), "n1", "and it has its place");
  kit_end(&k);
}

int main(void) {
  test_networks_first();
  test_app_secret();
  test_external_secret();
  test_secret_names();
  test_volumes();
  test_tags();
  test_network_stuck();
  test_network_stuck_used_again();
  test_network_stuck_by_hand();
  test_build_secrets();
  test_kv_and_events();
  return done_testing();
}
