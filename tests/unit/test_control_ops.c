/* Control's operations one by one: plans, secrets, volumes, gates, restarts, jobs, failures, views. */
#include "config.h"

#include "base/buf.h"
#include "control_kit.h"

#define NET ",'networks':{'default':{'name':'shop_default'}}"
#define APP(services) "{'app':'shop','model':{'name':'shop','services':{" services "}" NET "}}"
#define WEB(more) "'web':{'image':'web:1','restart':'always','networks':{'default':null}" more "}"
#define DB(more) "'db':{'image':'db:1','restart':'always'" more "}"

static struct kit fresh(void) {
  struct kit k;
  kit_start(&k);
  kit_hello(&k);
  return k;
}

static bool apply(struct kit *k, const char *args) {
  const struct bt_reply *reply = kit_request(k, "app.apply", args, false);
  bool fine = reply && reply->code == BT_OK;
  if (reply && !fine)
    printf("# apply: %s\n", reply->message);
  kit_resolve(k, "aa");
  return fine;
}

static void refused(struct kit *k, const char *op, const char *args, enum bt_code code, const char *words) {
  const struct bt_reply *reply = kit_request(k, op, args, false);
  ok(reply && reply->code == code, "%s is refused: %s", op, bt_code_name(code));
  ok(reply && reply->message && strstr(reply->message, words), "and says: %s", words);
  if (reply && reply->message && !strstr(reply->message, words))
    printf("# %s\n", reply->message);
  is_int(k->fx.batch.len, 0, "nothing was written");
}

/* The id of the n-th instance of a service. */
static char *id_of(struct kit *k, const char *service, size_t n) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "service"), service) && n-- == 0) return bt_strdup(bt_json_str(o, "instance"));
  return NULL;
}

static void reason_is(struct kit *k, const char *service, const char *want) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "service"), service)) {
    is_str(bt_json_str(o, "reason"), want, want ? want : "no reason to wait");
    return;
  }
  ok(false, "there is an instance of %s", service);
}

static void report_one(struct kit *k, const char *service, const char *state, bool ready, int exit_code) {
  BT_AUTO_FREE char *id = id_of(k, service, 0);
  kit_report(k, id, state, ready, exit_code);
}

static void test_dry_run(void) {
  struct kit k = fresh();
  const struct bt_reply *reply = kit_request(&k, "app.apply", APP(WEB("")), true);
  ok(reply && reply->code == BT_OK && json_array_size(bt_json_arr(reply->result, "plan")) == 2, "a dry run answers with the plan");
  ok(k.fx.batch.len == 0 && k.fx.calls.len == 0, "and does nothing");
  BT_AUTO_JSON apps = kit_list(&k, "apps", NULL);
  is_int(json_array_size(apps), 0, "no app is left behind");
  kit_end(&k);
}

static void test_refusals(void) {
  struct kit k = fresh();
  refused(&k, "app.apply", "{'app':'Shop!','model':{}}", BT_INVALID, "a-z");
  refused(&k, "app.apply", "{'app':'shop','model':{}}", BT_INVALID, "no services");
  refused(&k, "app.apply", APP("'a':{'image':'x','depends_on':{'b':{}}}"), BT_INVALID, "not in the file");
  refused(&k, "app.apply", APP("'a':{'image':'x','deploy':{'placement':{'constraints':['colour == red']}}}"), BT_INVALID, "colour");
  refused(&k, "app.apply", APP("'a':{'image':'x','secrets':[{'source':'pw'}]}"), BT_INVALID, "content");
  refused(&k, "app.scale", "{'app':'none','services':{'a':1}}", BT_NOT_FOUND, "no app none");
  refused(&k, "app.rollback", "{'app':'none'}", BT_NOT_FOUND, "no app none");
  refused(&k, "what.ever", "{}", BT_UNSUPPORTED, "what.ever");
  ok(apply(&k, APP(WEB(",'ports':[{'target':80,'published':'8080'}]"))), "an app with a port");
  refused(&k, "app.apply", "{'app':'other','model':{'services':{'x':{'image':'a','ports':[{'target':1,'published':'8080'}]}}}}", BT_CONFLICT,
          "which is service web's of app shop");
  refused(&k, "app.apply", "{'app':'shop','if_match':7,'model':{'services':{'x':{'image':'a'}}}}", BT_PRECONDITION, "not 7");
  refused(&k, "app.rollback", "{'app':'shop'}", BT_CONFLICT, "no earlier revision");
  kit_end(&k);
}

static void test_gates(void) {
  struct kit k = fresh();
  apply(&k, APP(DB("") "," WEB(",'depends_on':{'db':{'condition':'service_healthy'},'init':{'condition':'service_completed_successfully'}}")
                    ",'init':{'image':'init:1'}"));
  is_int(kit_count(&k, "assign"), 2, "db and init begin");
  reason_is(&k, "web", "waits for db to be healthy");
  report_one(&k, "db", "running", true, 0);
  reason_is(&k, "web", "waits for init to complete");
  report_one(&k, "init", "exited", false, 0);
  is_int(kit_count(&k, "assign"), 1, "then web");
  reason_is(&k, "web", NULL);
  report_one(&k, "web", "running", true, 0);
  kit_tick(&k, 500);
  kit_is_state(&k, "shop", "running");
  kit_request(&k, "app.remove", "{'app':'shop'}", false);
  is_int(kit_count(&k, "release"), 1, "down in the reverse order: web first");
  kit_all_leave(&k);
  is_int(kit_count(&k, "release"), 2, "then the others");
  kit_end(&k);
}

static void test_failed_dependency(void) {
  struct kit k = fresh();
  apply(&k, APP("'init':{'image':'init:1'}," WEB(",'depends_on':{'init':{'condition':'service_completed_successfully'}}")));
  report_one(&k, "init", "failed", false, 3);
  kit_is_state(&k, "shop", "failed");
  reason_is(&k, "web", "waits for init to complete, which failed");
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON why = bt_control_why(k.c, "default", "shop/init", k.now, &err);
  ok(strstr(bt_json_str_or(why, "summary", ""), "init does not come up") != NULL, "why says it");
  kit_end(&k);
}

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

static void test_restart_follows(void) {
  struct kit k = fresh();
  apply(&k, APP(DB("") "," WEB(",'depends_on':{'db':{'condition':'service_started','restart':true}}")));
  kit_all_run(&k);
  kit_all_run(&k);
  kit_request(&k, "app.restart", "{'app':'shop','services':['db']}", false);
  is_int(kit_count(&k, "restart"), 1, "db is restarted in place");
  k.now += 100;
  report_one(&k, "db", "running", true, 0);
  kit_tick(&k, 2000);
  kit_tick(&k, 5000);
  ok(kit_count(&k, "restart") == 1 && bt_starts(bt_json_str(kit_sent(&k, "restart", 0), "instance"), "shop-web-"), "then web follows");
  kit_reload(&k);
  kit_hello(&k);
  ok(kit_count(&k, "restart") == 1, "a restart under way is asked for again after a crash");
  kit_end(&k);
}

static void test_resolve_fails(void) {
  struct kit k = fresh();
  apply(&k, APP(WEB("")));
  kit_all_run(&k);
  kit_request(&k, "app.apply", APP(WEB(",'user':'1'")), false);
  is_int(k.fx.calls.len, 1, "the image is asked for again");
  is_str(bt_json_str(k.fx.calls.items[0].args, "current"), "web:1@sha256:aa", "with what is pinned");
  uint64_t call = k.fx.calls.items[0].id;
  kit_step(&k, (struct bt_input){.kind = BT_IN_CALL_DONE, .call = call, .code = BT_NOT_FOUND, .text = "no such tag"});
  is_int(k.fx.sends.len, 0, "a failure touches nothing that runs");
  kit_is_state(&k, "shop", "running");
  BT_AUTO_JSON revs = kit_list(&k, "revisions", "shop");
  is_str(bt_json_str(json_array_get(revs, 1), "state"), "failed", "the revision failed");
  ok(strstr(bt_json_str_or(json_array_get(revs, 1), "reason", ""), "no such tag") != NULL, "and says why");
  kit_end(&k);
}

static void test_same_again(void) {
  struct kit k = fresh();
  apply(&k, APP(WEB("")));
  kit_all_run(&k);
  kit_request(&k, "app.apply", APP(WEB("")), false);
  ok(k.fx.replies.len == 0 && k.fx.calls.len == 1, "the same again: did the image move?");
  kit_resolve(&k, "aa");
  ok(k.fx.replies.len == 1 && !bt_json_bool(k.fx.replies.items[0].result, "changed", true), "no: nothing changed");
  kit_request(&k, "app.apply", APP(WEB("")), false);
  kit_resolve(&k, "bb");
  ok(k.fx.replies.len == 1 && bt_json_bool(k.fx.replies.items[0].result, "changed", false), "yes: a new revision");
  is_int(kit_count(&k, "release"), 1, "which is rolled out");
  kit_request(&k, "app.apply", APP(WEB("")), false);
  uint64_t call = k.fx.calls.items[0].id;
  kit_step(&k, (struct bt_input){.kind = BT_IN_CALL_DONE, .call = call, .code = BT_UNAVAILABLE, .text = "away"});
  ok(k.fx.replies.len == 1 && k.fx.replies.items[0].code == BT_OK, "a registry that is away changes nothing");
  kit_end(&k);
}

static void test_build(void) {
  struct kit k = fresh();
  kit_request(&k, "app.apply", APP("'api':{'build':{'context':'/src','dockerfile':'Dockerfile'}}"), false);
  ok(k.fx.calls.len == 1 && bt_streq(bt_json_str(k.fx.calls.items[0].args, "image"), "shop-api"), "is it built already?");
  uint64_t call = k.fx.calls.items[0].id;
  kit_step(&k, (struct bt_input){.kind = BT_IN_CALL_DONE, .call = call, .code = BT_NOT_FOUND, .text = "no"});
  ok(k.fx.calls.len == 1 && bt_streq(k.fx.calls.items[0].kind, "image.build"), "no: build it");
  const json_t *args = k.fx.calls.items[0].args;
  ok(bt_streq(bt_json_str(args, "namespace"), "default") && bt_streq(bt_json_str(args, "app"), "shop") &&
         bt_streq(bt_json_str(args, "service"), "api"),
     "for whom: its progress and its failure name them");
  BT_AUTO_JSON result = kit_json("{\"pinned\":\"sha256:1\",\"digest\":\"sha256:1\"}");
  kit_step(&k, (struct bt_input){.kind = BT_IN_CALL_DONE, .call = k.fx.calls.items[0].id, .code = BT_OK, .result = result});
  const json_t *a = bt_json_obj(kit_sent(&k, "assign", 0), "instance");
  ok(bt_streq(bt_json_str(a, "image"), "sha256:1") && bt_streq(bt_json_str(a, "pull"), "never"), "and run it, never pulled");
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

static void test_job(void) {
  struct kit k = fresh();
  apply(&k, APP("'import':{'image':'i:1','deploy':{'mode':'replicated-job','replicas':2,'restart_policy':{'condition':'on-failure','max_attempts':1}},"
                "'x-berth':{'job':{'completions':3}}}"));
  is_int(kit_count(&k, "assign"), 2, "two runs of three at a time");
  const json_t *cls = bt_json_obj(bt_json_obj(kit_sent(&k, "assign", 0), "instance"), "class");
  ok(bt_json_bool(cls, "job", false) && bt_streq(bt_json_str(bt_json_obj(cls, "restart"), "condition"), "none"), "attempts are not the node's");
  BT_AUTO_FREE char *first = id_of(&k, "import", 0);
  kit_report(&k, first, "exited", false, 0);
  is_int(kit_count(&k, "assign"), 1, "one is through, the third begins");
  BT_AUTO_FREE char *second = id_of(&k, "import", 1);
  kit_report(&k, second, "failed", false, 1);
  is_int(kit_count(&k, "assign"), 1, "one failed: another attempt");
  is_int(kit_count(&k, "release"), 0, "the failed container stays for its logs");
  BT_AUTO_JSON list = kit_list(&k, "instances", NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "state"), "pending")) kit_report(&k, bt_json_str(o, "instance"), "exited", false, 0);
  kit_is_state(&k, "shop", "running");
  BT_AUTO_ERR err = NULL;
  const char *text = bt_control_get(k.c, "services", "default", "import", NULL, &err);
  ok(text && strstr(text, "\"state\":\"completed\""), "the job has completed");
  kit_end(&k);
}

static void test_automatic_rollback(void) {
  struct kit k = fresh();
  apply(&k, APP(WEB(",'deploy':{'update_config':{'failure_action':'rollback'}}")));
  kit_all_run(&k);
  apply(&k, APP(WEB(",'user':'1','deploy':{'update_config':{'failure_action':'rollback'}}")));
  kit_all_leave(&k);
  BT_AUTO_FREE char *id = id_of(&k, "web", 0);
  kit_report(&k, id, "failed", false, 1);
  kit_is_state(&k, "shop", "rolling-back");
  kit_all_leave(&k);
  kit_all_run(&k);
  kit_tick(&k, 2000);
  kit_tick(&k, 5000);
  kit_is_state(&k, "shop", "running");
  BT_AUTO_JSON revs = kit_list(&k, "revisions", "shop");
  const json_t *last = json_array_get(revs, 2);
  ok(bt_json_bool(last, "automatic", false) && bt_json_int(last, "rollback_of", 0) == 1, "by a revision of its own");
  ok(strstr(bt_json_str_or(last, "message", ""), "since revision 2 failed") != NULL, "that says why");
  kit_end(&k);
}

static void test_paused_again(void) {
  struct kit k = fresh();
  apply(&k, APP(WEB("")));
  kit_all_run(&k);
  apply(&k, APP(WEB(",'user':'1'")));
  kit_all_leave(&k);
  report_one(&k, "web", "failed", false, 1);
  kit_is_state(&k, "shop", "failed");
  const struct bt_reply *reply = kit_request(&k, "app.apply", APP(WEB(",'user':'1'")), false);
  ok(reply && reply->code == BT_OK && !bt_json_bool(reply->result, "changed", true), "the same again tries again");
  is_int(kit_count(&k, "restart"), 1, "what ended is started again");
  kit_is_state(&k, "shop", "deploying");
  k.now += 100;
  report_one(&k, "web", "running", true, 0);
  kit_tick(&k, 10000);
  kit_tick(&k, 500);
  kit_is_state(&k, "shop", "running");
  kit_end(&k);
}

static void test_shared_network(void) {
  static const char app[] = "{'app':'shop','model':{'services':{'vpn':{'image':'v:%d','restart':'always'},'api':{'image':'a:1','restart':'always','network_mode':'service:vpn'}}}}";
  struct kit k = fresh();
  BT_AUTO_FREE char *one = bt_strdup(app), *two = bt_strdup(app);
  memcpy(strstr(one, "%d"), "11", 2);
  memcpy(strstr(two, "%d"), "22", 2);
  refused(&k, "app.apply", APP("'vpn':{'image':'v','deploy':{'replicas':0}},'api':{'image':'a','network_mode':'service:vpn'}"), BT_INVALID, "0 replicas");
  apply(&k, one);
  is_int(kit_count(&k, "assign"), 1, "whose network is shared comes first");
  report_one(&k, "vpn", "running", true, 0);
  BT_AUTO_FREE char *vpn = id_of(&k, "vpn", 0);
  is_str(bt_json_str(bt_json_obj(bt_json_obj(kit_sent(&k, "assign", 0), "instance"), "co"), "network"), vpn, "then who shares it, by instance");
  report_one(&k, "api", "running", true, 0);
  kit_tick(&k, 500);
  kit_is_state(&k, "shop", "running");
  apply(&k, two);
  ok(kit_count(&k, "release") == 1 && bt_streq(bt_json_str(kit_sent(&k, "release", 0), "instance"), vpn), "it is replaced");
  kit_all_leave(&k);
  report_one(&k, "vpn", "running", true, 0);
  for (int i = 0; i < 4 && kit_count(&k, "release") == 0; i++)
    kit_tick(&k, 2000);
  ok(kit_count(&k, "release") == 1 && bt_starts(bt_json_str(kit_sent(&k, "release", 0), "instance"), "shop-api-"), "and who shares it after it");
  kit_all_leave(&k);
  kit_all_run(&k);
  kit_tick(&k, 2000);
  kit_tick(&k, 5000);
  kit_tick(&k, 500);
  kit_is_state(&k, "shop", "running");
  kit_end(&k);
}

/* An instance that outlives its revision's record must still be known after a start. */
static void test_old_revision(void) {
  struct kit k = fresh();
  apply(&k, APP(WEB("")));
  kit_all_run(&k);
  for (int i = 2; i < 30; i++) {
    BT_AUTO_FREE char *args = bt_asprintf("{'app':'shop','services':{'web':%d}}", 1 + i % 2);
    kit_request(&k, "app.scale", args, false);
    kit_all_leave(&k);
    kit_all_run(&k);
    if (i % 10 == 0) {
      kit_reload(&k);
      kit_hello_again(&k);
    }
  }
  kit_request(&k, "app.apply", APP(WEB(",'user':'1','deploy':{'replicas':2}")), false);
  kit_resolve(&k, "aa");
  kit_reload(&k);
  kit_reload(&k);
  BT_AUTO_JSON list = kit_list(&k, "instances", NULL);
  is_int(json_array_size(list), 2, "instances of revisions long past are not lost");
  BT_AUTO_JSON revs = kit_list(&k, "revisions", NULL);
  ok(json_array_size(revs) <= 22, "while revisions are forgotten (%zu)", json_array_size(revs));
  kit_end(&k);
}

static void test_before_hello(void) {
  struct kit k = fresh();
  apply(&k, APP(WEB("")));
  kit_all_run(&k);
  kit_reload(&k);
  kit_request(&k, "app.remove", "{'app':'shop'}", false);
  is_int(k.fx.sends.len, 0, "after a start a node is told nothing before its hello");
  kit_hello(&k);
  ok(kit_count(&k, "sync") == 1 && kit_count(&k, "release") == 1, "then of what it does not know yet, and that it goes");
  is_int(json_array_size(bt_json_arr(kit_sent(&k, "sync", 0), "instances")), 1, "so that it is ended in good order");
  kit_end(&k);
}

static void test_no_node(void) {
  struct kit k;
  kit_start(&k);
  apply(&k, APP(WEB("")));
  reason_is(&k, "web", "no node is ready");
  kit_hello(&k);
  reason_is(&k, "web", NULL);
  kit_step(&k, (struct bt_input){.kind = BT_IN_NODE_DOWN, .node = "n1"});
  BT_AUTO_JSON nodes = kit_list(&k, "nodes", NULL);
  is_str(bt_json_str(json_array_get(nodes, 0), "status"), "disconnected", "a node goes");
  kit_end(&k);
}

static void test_namespace(void) {
  struct kit k = fresh();
  apply(&k, "{'namespace':'team','app':'shop','model':{'services':{'web':{'image':'a','networks':{'default':null,'own':null}}},"
            "'networks':{'default':{'name':'shop_default'},'own':{'name':'chosen'}}}}");
  ok(bt_starts(bt_json_str(bt_json_obj(kit_sent(&k, "assign", 0), "instance"), "instance"), "team.shop-web-1-"), "a namespace stands in front of names");
  is_str(bt_json_str(kit_sent(&k, "network", 0), "name"), "team.shop_default", "of networks too");
  is_str(bt_json_str(kit_sent(&k, "network", 1), "name"), "chosen", "but not of what the user named");
  kit_end(&k);
}

static void test_pages(void) {
  struct kit k = fresh();
  apply(&k, APP(WEB(",'deploy':{'replicas':7}")));
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE char *cursor = NULL;
  size_t seen = 0;
  for (int page = 0; page < 3; page++) {
    char *next = NULL;
    BT_AUTO_JSON list = bt_control_list(k.c, "instances", &(struct bt_query){.limit = 3, .cursor = cursor}, &next, &err);
    seen += json_array_size(list);
    free(cursor);
    cursor = next;
  }
  ok(seen == 7 && !cursor, "seven in pages of three");
  BT_AUTO_JSON none = bt_control_list(k.c, "wishes", NULL, NULL, &err);
  ok(!none && bt_err_code(err) == BT_NOT_FOUND, "an unknown kind");
  BT_AUTO_JSON events = bt_control_list(k.c, "events", &(struct bt_query){.type = "revision.*"}, NULL, &err);
  ok(json_array_size(events) == 1, "events by a pattern");
  uint64_t at = 0, later = 0;
  const char *text = bt_control_get(k.c, "services", "default", "shop.web", &at, &err);
  ok(text && text == bt_control_get(k.c, "services", "default", "web", &later, &err) && at == later, "a service's text is kept");
  report_one(&k, "web", "running", true, 0);
  bt_control_get(k.c, "services", "default", "web", &later, &err);
  ok(later > at, "until something of it changes");
  ok(!bt_control_get(k.c, "services", "default", "nobody", &at, &err) && bt_err_code(err) == BT_NOT_FOUND, "no such service");
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

int main(void) {
  test_dry_run();
  test_refusals();
  test_gates();
  test_failed_dependency();
  test_app_secret();
  test_external_secret();
  test_secret_names();
  test_volumes();
  test_tags();
  test_network_stuck();
  test_network_stuck_used_again();
  test_network_stuck_by_hand();
  test_restart_follows();
  test_resolve_fails();
  test_same_again();
  test_build();
  test_build_secrets();
  test_job();
  test_automatic_rollback();
  test_paused_again();
  test_shared_network();
  test_old_revision();
  test_before_hello();
  test_no_node();
  test_namespace();
  test_pages();
  test_kv_and_events();
  return done_testing();
}
