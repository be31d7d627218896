/* Apps that follow repositories and images, in control: when it looks, what it keeps, drift, refusals, statuses, restarts. */
#include "control_kit.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define PUT(more) "{'namespace':'default','app':'shop','source':{'repository':'https://h/shop.git','interval':'1m'" more "}}"

static uint64_t call_of(const struct kit *k, const char *kind) {
  for (size_t i = 0; i < k->fx.calls.len; i++)
    if (bt_streq(k->fx.calls.items[i].kind, kind))
      return k->fx.calls.items[i].id;
  return 0;
}

static const json_t *args_of(const struct kit *k, const char *kind) {
  for (size_t i = 0; i < k->fx.calls.len; i++)
    if (bt_streq(k->fx.calls.items[i].kind, kind))
      return k->fx.calls.items[i].args;
  return NULL;
}

static void done(struct kit *k, uint64_t call, enum bt_code code, const char *text, const char *result) {
  BT_AUTO_FREE char *json = bt_strdup(result ? result : "{}");
  for (char *p = json; *p; p++)
    if (*p == '\'')
      *p = '"';
  BT_AUTO_JSON o = kit_json(json);
  kit_step(k, (struct bt_input){.kind = BT_IN_CALL_DONE, .call = call, .code = code, .text = text, .result = code == BT_OK ? o : NULL});
}

static const char *field(const struct kit *k, const char *key) {
  static char text[128];
  BT_AUTO_JSON list = kit_list(k, "sources", NULL);
  const char *value = bt_json_str(json_array_get(list, 0), key);
  snprintf(text, sizeof text, "%s", value ? value : "-");
  return text;
}

static bool told(const struct kit *k, const char *type) {
  BT_AUTO_JSON list = bt_control_list(k->c, "events", NULL, NULL, NULL);
  for (size_t i = json_array_size(list); i-- > 0;)
    if (bt_streq(bt_json_str(json_array_get(list, i), "type"), type))
      return true;
  return false;
}

/* What the daemon does for "source.sync": the app at that commit, as the admission hands it over. */
static void applied(struct kit *k, uint64_t call, const char *commit, const char *image, int revision) {
  BT_AUTO_FREE char *args =
      bt_asprintf("{'namespace':'default','app':'shop','cause':'source','origin':{'commit':'%s','author':'Ada','services':{'web':{'file':'c.yaml',"
                  "'line':3}}},'model':{'name':'shop','services':{'web':{'image':'%s'}}}}",
                  commit, image);
  const struct bt_reply *r = kit_request(k, "app.apply", args, false);
  ok(r && r->code == BT_OK, "commit %.4s is applied", commit);
  kit_resolve(k, "aa");
  kit_all_run(k);
  for (int i = 0; i < 20; i++)
    kit_tick(k, 1000);
  BT_AUTO_FREE char *result = bt_asprintf("{'commit':'%s','ref':'refs/heads/main','author':'Ada','subject':'s','applied':true,'revision':%d,'changed':true}",
                                          commit, revision);
  done(k, call, BT_OK, NULL, result);
}

static void begin(struct kit *k, const char *more) {
  kit_start(k);
  kit_hello(k);
  const struct bt_reply *r = kit_request(k, "source.put", more, false);
  ok(r && r->code == BT_OK, "a source is put");
}

static void looks_and_applies(void) {
  struct kit k;
  begin(&k, PUT(""));
  uint64_t call = call_of(&k, "source.sync");
  ok(call != 0, "it looks at once");
  ok(bt_json_bool(args_of(&k, "source.sync"), "apply", false), "and may apply");
  is_str(field(&k, "state"), "syncing", "it says so");
  applied(&k, call, A, "web:1", 1);
  is_str(field(&k, "state"), "in-sync", "then it is in sync");
  is_str(field(&k, "applied"), A, "with that commit");
  BT_AUTO_JSON instances = kit_list(&k, "instances", NULL);
  const json_t *origin = bt_json_obj(json_array_get(instances, 0), "origin");
  is_str(bt_json_str(origin, "commit"), A, "an instance leads to its commit");
  is_int(bt_json_int(origin, "line", 0), 3, "and line");
  kit_tick(&k, 30000);
  ok(!call_of(&k, "source.sync"), "it does not look before its interval");
  kit_tick(&k, 31000);
  call = call_of(&k, "source.sync");
  ok(call != 0, "but after it");
  is_str(json_string_value(json_array_get(bt_json_arr(args_of(&k, "source.sync"), "skip"), 0)), A, "what is applied is not applied again");
  done(&k, call, BT_OK, NULL, "{'commit':'" A "','ref':'refs/heads/main'}");
  is_str(field(&k, "state"), "in-sync", "nothing moved");
  kit_request(&k, "source.push", "{'repositories':['git@H:shop'],'ref':'refs/heads/main'}", false);
  call = call_of(&k, "source.sync");
  ok(call != 0, "a push makes it look at once");
  done(&k, call, BT_OK, NULL, "{'commit':'" A "'}");
  kit_request(&k, "source.push", "{'repositories':['git@h:shop'],'ref':'refs/heads/other'}", false);
  ok(!call_of(&k, "source.sync"), "one of another branch does not");
  kit_end(&k);
}

static void fails_and_waits(void) {
  struct kit k;
  begin(&k, PUT(""));
  done(&k, call_of(&k, "source.sync"), BT_UNAVAILABLE, "the host is away", NULL);
  is_str(field(&k, "error"), "the host is away", "why a look failed");
  ok(told(&k, "source.failed"), "an event says so");
  kit_tick(&k, 4000);
  ok(!call_of(&k, "source.sync"), "it waits");
  kit_tick(&k, 2000);
  ok(call_of(&k, "source.sync") != 0, "and tries again");
  done(&k, call_of(&k, "source.sync"), BT_OK, NULL, "{'commit':'" A "','error':{'code':'invalid','message':'a wrong file'}}");
  is_str(field(&k, "state"), "failed", "a wrong file");
  is_str(field(&k, "refused"), A, "is refused");
  const json_t *status = args_of(&k, "source.status");
  is_str(bt_json_str(status, "state"), "failure", "the host is told");
  done(&k, call_of(&k, "source.status"), BT_OK, NULL, NULL);
  kit_tick(&k, 61000);
  ok(json_array_size(bt_json_arr(args_of(&k, "source.sync"), "skip")) == 1, "that commit is not tried again");
  done(&k, call_of(&k, "source.sync"), BT_OK, NULL, "{'commit':'" A "'}");
  is_str(field(&k, "error"), "a wrong file", "the reason stays");
  ok(!call_of(&k, "source.status"), "and the host is not told twice");
  kit_reload(&k);
  is_str(field(&k, "refused"), A, "also after a restart");
  kit_tick(&k, 3000);
  ok(call_of(&k, "source.sync") != 0, "after which it looks again");
  kit_end(&k);
}

static void drifts(void) {
  struct kit k;
  begin(&k, PUT(",'correct':true"));
  applied(&k, call_of(&k, "source.sync"), A, "web:1", 1);
  kit_request(&k, "app.scale", "{'namespace':'default','app':'shop','services':{'web':2}}", false);
  is_str(field(&k, "state"), "drifted", "a change by hand is drift");
  ok(told(&k, "source.drifted"), "an event says so");
  kit_tick(&k, 4000);
  ok(!call_of(&k, "source.sync"), "it stays for a moment");
  kit_tick(&k, 2000);
  const json_t *args = args_of(&k, "source.sync");
  ok(args && bt_json_bool(args, "correct", false) && json_array_size(bt_json_arr(args, "skip")) == 0, "then it is taken back");
  kit_end(&k);
}

/* The reason with that code, or "-". */
static const char *why(const struct kit *k, const char *object, const char *code) {
  static char text[600];
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON o = bt_control_why(k->c, "default", object, k->now, &err);
  size_t i;
  json_t *reason;
  snprintf(text, sizeof text, "%s", bt_streq(code, "next") && bt_json_str(o, "next") ? bt_json_str(o, "next") : "-");
  json_array_foreach(bt_json_arr(o, "reasons"), i, reason)
    if (bt_streq(bt_json_str(reason, "code"), code))
      snprintf(text, sizeof text, "%s", bt_json_str(reason, "text"));
  return text;
}

static void one_look_for_all(void) {
  struct kit k;
  begin(&k, PUT(",'automatic':false"));
  done(&k, call_of(&k, "source.sync"), BT_OK, NULL, "{'commit':'" A "','ref':'refs/heads/main'}");
  kit_request(&k, "source.sync", "{'namespace':'default','app':'shop'}", false);
  uint64_t first = call_of(&k, "source.sync");
  ok(first != 0, "a request begins a look");
  for (int i = 0; i < 64; i++)
    kit_request(&k, "source.sync", "{'namespace':'default','app':'shop'}", i % 2);
  const struct bt_reply *r = kit_request(&k, "source.sync", "{'namespace':'default','app':'shop'}", false);
  ok(r && r->code == BT_EXHAUSTED && strstr(r->message, "ask again later"), "the 66th is told to ask later");
  done(&k, first, BT_UNAVAILABLE, "the host is away", NULL);
  is_int(k.fx.replies.len, 1, "who asked first is answered");
  for (int round = 0; round < 2; round++) {
    uint64_t call = call_of(&k, "source.sync");
    ok(call != 0, "the next look begins at once");
    done(&k, call, BT_UNAVAILABLE, "the host is away", NULL);
    is_int(k.fx.replies.len, 32, round ? "one for all dry runs" : "one for all who want the same");
  }
  ok(!call_of(&k, "source.sync"), "then nobody waits");
  done(&k, first, BT_OK, NULL, "{}");
  is_str(field(&k, "error"), "the host is away", "an end that comes twice is nobody's");
  kit_end(&k);
}

static void says_why(void) {
  struct kit k;
  begin(&k, PUT(",'path':'deploy'"));
  is_str(why(&k, "shop", "syncing"), "shop follows main, folder deploy of https://h/shop.git, which was not read yet", "before the first look");
  done(&k, call_of(&k, "source.sync"), BT_UNAVAILABLE, "the host is away", NULL);
  is_str(why(&k, "shop", "source-failing"), "the last 1 look at the repository failed: the host is away; the next try is in 5 s",
         "a look that failed, and when it is tried again");
  is_str(why(&k, "shop", "next"), "mend what it says, then look at once: berth sync shop", "and what to try");
  kit_tick(&k, 6000);
  applied(&k, call_of(&k, "source.sync"), A, "web:1", 1);
  is_str(why(&k, "shop", "in-sync"), "shop follows main, folder deploy of https://h/shop.git, and is at its commit aaaaaaaaaaaa (\"s\" by Ada)",
         "in sync, of the app");
  is_str(why(&k, "shop/web", "in-sync"), "shop follows main, folder deploy of https://h/shop.git, and is at its commit aaaaaaaaaaaa (\"s\" by Ada)",
         "and of its service");
  kit_request(&k, "app.scale", "{'namespace':'default','app':'shop','services':{'web':2}}", false);
  is_str(why(&k, "shop", "drifted"),
         "shop follows main, folder deploy of https://h/shop.git, but was changed by hand: revision 2 by tester is not what commit aaaaaaaaaaaa has",
         "drift, and who made it");
  kit_tick(&k, 70000);
  done(&k, call_of(&k, "source.sync"), BT_OK, NULL,
       "{'commit':'" B "','ref':'refs/heads/main','author':'Eve','subject':'worse','error':{'code':'invalid','message':'compose.yaml:3: no such key'}}");
  is_str(why(&k, "shop", "failed"), "shop follows main, folder deploy of https://h/shop.git, but commit bbbbbbbbbbbb (\"worse\" by Eve) is not applied: "
                                    "compose.yaml:3: no such key", "a commit that was refused");
  is_str(why(&k, "nosuch", "absent"), "-", "of what is not there nothing is said");
  kit_end(&k);
}

static void on_request(void) {
  struct kit k;
  begin(&k, PUT(",'automatic':false"));
  ok(!bt_json_bool(args_of(&k, "source.sync"), "apply", true), "on request only");
  done(&k, call_of(&k, "source.sync"), BT_OK, NULL, "{'commit':'" A "','ref':'refs/heads/main'}");
  is_str(field(&k, "state"), "behind", "it is behind");
  ok(told(&k, "source.behind"), "an event says so");
  const struct bt_reply *r = kit_request(&k, "source.sync", "{'namespace':'default','app':'shop'}", false);
  ok(!r && bt_json_bool(args_of(&k, "source.sync"), "apply", false), "a request applies, and waits for it");
  done(&k, call_of(&k, "source.sync"), BT_OK, NULL, "{'commit':'" A "','error':{'code':'denied','message':'no'}}");
  ok(k.fx.replies.len == 1 && k.fx.replies.items[0].code == BT_DENIED, "the answer is what came of it");
  kit_request(&k, "source.sync", "{'namespace':'default','app':'shop'}", true);
  ok(bt_json_bool(args_of(&k, "source.sync"), "dry_run", false), "a dry run");
  uint64_t call = call_of(&k, "source.sync");
  r = kit_request(&k, "source.delete", "{'namespace':'default','app':'shop'}", false);
  ok(k.fx.replies.len == 2, "who waits is told that it ended");
  done(&k, call, BT_OK, NULL, "{'commit':'" A "'}");
  r = kit_request(&k, "source.sync", "{'namespace':'default','app':'shop'}", false);
  ok(r && r->code == BT_NOT_FOUND, "no source any more");
  kit_end(&k);
}

static void other_settings(void) {
  struct kit k;
  begin(&k, PUT(""));
  uint64_t call = call_of(&k, "source.sync");
  kit_request(&k, "source.put", PUT(",'path':'deploy'"), false);
  done(&k, call, BT_OK, NULL, "{'commit':'" A "','applied':true,'revision':1}");
  is_str(field(&k, "applied"), "-", "what was found with other settings does not count");
  ok(call_of(&k, "source.sync") != 0, "it looks anew");
  const struct bt_reply *r = kit_request(&k, "source.put", PUT(",'path':'deploy'"), false);
  ok(r && !bt_json_bool(r->result, "changed", true), "the same again changes nothing");
  r = kit_request(&k, "source.put", PUT(",'path':'../x'"), false);
  ok(r && r->code == BT_INVALID, "a wrong one is refused");
  kit_end(&k);
}

/* ---------------------------------------------------------------- images */

static void up(struct kit *k, const char *update) {
  BT_AUTO_FREE char *args = bt_asprintf(
      "{'namespace':'default','app':'shop','model':{'name':'shop','services':{'web':{'image':'r.example/t/web:1.2.0','x-berth':{'update':'%s'}}}}}", update);
  kit_start(k);
  kit_hello(k);
  kit_request(k, "app.apply", args, false);
  kit_resolve(k, "aa");
  kit_all_run(k);
  for (int i = 0; i < 20; i++)
    kit_tick(k, 1000);
}

static void follows_a_digest(void) {
  struct kit k;
  up(&k, "digest");
  kit_request(&k, "image.pushed", "{'repository':'t/other'}", false);
  ok(!call_of(&k, "image.resolve"), "a push of another image is nothing");
  kit_request(&k, "image.pushed", "{'repository':'t/web'}", false);
  uint64_t call = call_of(&k, "image.resolve");
  ok(call != 0, "a push of its own makes it look");
  done(&k, call, BT_OK, NULL, "{'pinned':'r.example/t/web@sha256:aa','digest':'sha256:aa','source':'registry'}");
  ok(!call_of(&k, "app.update"), "nothing moved");
  kit_tick(&k, 301000);
  call = call_of(&k, "image.resolve");
  ok(call != 0, "it looks by itself, too");
  done(&k, call, BT_OK, NULL, "{'pinned':'r.example/t/web@sha256:bb','digest':'sha256:bb','source':'kept'}");
  ok(!call_of(&k, "app.update"), "what was only kept did not move");
  kit_request(&k, "image.pushed", "{'repository':'t/web'}", false);
  done(&k, call_of(&k, "image.resolve"), BT_OK, NULL, "{'pinned':'r.example/t/web@sha256:bb','digest':'sha256:bb','source':'registry'}");
  const json_t *proposal = args_of(&k, "app.update");
  ok(proposal != NULL, "what moved is proposed to the admission");
  BT_AUTO_FREE char *text = proposal ? bt_json_text(proposal) : bt_strdup("{}");
  call = call_of(&k, "app.update");
  const struct bt_reply *r = kit_request(&k, "app.update", text, false);
  ok(r && r->code == BT_OK && bt_json_int(r->result, "revision", 0) == 2, "and becomes a revision");
  done(&k, call, BT_OK, NULL, NULL);
  BT_AUTO_JSON revs = kit_list(&k, "revisions", "shop");
  is_str(bt_json_str(json_array_get(revs, 1), "cause"), "update", "with its cause");
  is_str(bt_json_str(bt_json_obj(bt_json_obj(json_array_get(revs, 1), "services"), "web"), "digest"), "sha256:bb", "and its digest");
  r = kit_request(&k, "app.update", text, false);
  ok(r && r->code == BT_CONFLICT, "a proposal of before is refused");
  kit_end(&k);
}

static void follows_a_range(void) {
  struct kit k;
  up(&k, "~1.2");
  kit_request(&k, "image.pushed", "{'repository':'t/web'}", false);
  uint64_t call = call_of(&k, "image.tags");
  ok(call != 0, "the tags are asked for");
  done(&k, call, BT_OK, NULL, "{'tags':['latest','1.2.0','1.2.9','1.2.10','1.3.0','1.2.11-rc1',7]}");
  is_str(bt_json_str(bt_json_obj(args_of(&k, "app.update"), "images"), "web"), "r.example/t/web:1.2.10", "the newest in the range");
  done(&k, call_of(&k, "app.update"), BT_DENIED, "a policy refuses it", NULL);
  ok(told(&k, "update.refused"), "a refusal is told");
  kit_request(&k, "image.pushed", "{'repository':'t/web'}", false);
  done(&k, call_of(&k, "image.tags"), BT_UNAVAILABLE, "away", NULL);
  ok(!call_of(&k, "app.update"), "a registry that is away changes nothing");
  kit_end(&k);
}

int main(void) {
  looks_and_applies();
  fails_and_waits();
  drifts();
  one_look_for_all();
  says_why();
  on_request();
  other_settings();
  follows_a_digest();
  follows_a_range();
  return done_testing();
}
