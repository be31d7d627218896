/* Control's operations one by one: plans, gates, restarts, jobs, builds, failures, views. What apps have beside instances (secrets,
 * volumes, networks, keys) is in test_control_resources.c. */
#include "config.h"

#include "control_shop.h"

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
          "which is that of service web of app shop");
  kit_request(&k, "app.apply", "{'app':'next','model':{'services':{'x':{'image':'new:1','ports':[{'target':1,'published':'8081'}]}}}}", false);
  refused(&k, "app.apply", "{'app':'other','model':{'services':{'x':{'image':'a','ports':[{'target':1,'published':'8081'}]}}}}", BT_CONFLICT,
          "which is that of service x of app next");
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

/* What only the server's check of the model finds has its place in the file, too. */
#define PLACED(service) "{'app':'shop','model':{'services':{'web':{'image':'w'," service "}}},'origin':{'services':{'web':{'file':'/srv/shop/compose.yaml','line':3}}}}"

static void placed(const char *args, const char *words) {
  struct kit k = fresh();
  refused(&k, "app.apply", args, BT_INVALID, words);
  kit_end(&k);
}

static void test_model_place(void) {
  placed(PLACED("'x-berth':{'rollout':{'strategy':'canary','steps':[{'weight':10,'pause':'promote'}]}}"),
         "/srv/shop/compose.yaml:3: service web: x-berth.rollout.steps: a weight is a share");
  placed(PLACED("'deploy':{'placement':{'constraints':['nonsense']}}"), "/srv/shop/compose.yaml:3: service web: ");
  placed(PLACED("'network_mode':'service:db'},'db':{'image':'d','deploy':{'replicas':0}"), "/srv/shop/compose.yaml:3: service web shares the namespaces");
  placed(PLACED("'deploy':{'mode':'global-job'},'x-berth':{'job':{'completions':3}}"), "/srv/shop/compose.yaml:3: service web runs once on each node");
  placed(PLACED("'deploy':{'mode':'replicated-job'},'x-berth':{'job':{'schedule':'0 3 * * *','time_zone':'Mars/North'}}"),
         "/srv/shop/compose.yaml:3: service web: the server has no time zone");
}

static void absent(const struct kit *k, const char *object, const char *words) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON why = bt_control_why(k->c, "default", object, k->now, &err);
  ok(!why && bt_err_code(err) == BT_NOT_FOUND, "why: %s is not there", object);
  ok(strstr(bt_err_message(err), words), "and says what is: %s", words);
}

/* Who asks about something that is not there is told what there is, and where to look. */
static void test_why_absent(void) {
  struct kit k = fresh();
  ok(apply(&k, APP("'web':{'image':'w'}")), "an app");
  absent(&k, "shpo", "did you mean \"shop\"? name an app, app/service");
  absent(&k, "wbe", "did you mean \"web\"?");
  absent(&k, "shop/wbe", "did you mean \"shop/web\"?");
  absent(&k, "volume/x", "namespace default; name an app, app/service");
  absent(&k, "other", "; see: berth ps --all");
  kit_end(&k);
}

int main(void) {
  test_dry_run();
  test_refusals();
  test_gates();
  test_failed_dependency();
  test_restart_follows();
  test_resolve_fails();
  test_same_again();
  test_build();
  test_job();
  test_automatic_rollback();
  test_paused_again();
  test_shared_network();
  test_old_revision();
  test_before_hello();
  test_no_node();
  test_namespace();
  test_pages();
  test_model_place();
  test_why_absent();
  return done_testing();
}
