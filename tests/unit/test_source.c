/* The settings of a source, and the ways in which one repository is written. */
#include "base/json.h"
#include "base/mem.h"
#include "model/source.h"
#include "tap.h"

static void parse(void) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON body = json_pack("{s:s,s:s,s:[s],s:{s:s},s:s}", "repository", "https://host/team/shop.git", "path", "./deploy/", "files", "a.yaml", "env",
                                "A", "1", "interval", "2m");
  BT_AUTO_JSON spec = bt_source_parse(body, &err);
  is_str(bt_json_str(spec, "branch"), "main", "the usual branch");
  is_str(bt_json_str(spec, "path"), "deploy", "a clean path");
  is_int(bt_json_int(spec, "interval_ms", 0), 120000, "the interval in milliseconds");
  ok(bt_json_bool(spec, "automatic", false) && !bt_json_bool(spec, "correct", true) && bt_json_bool(spec, "webhook", false), "defaults");
  ok(bt_source_follows(spec, "refs/heads/main") && !bt_source_follows(spec, "refs/heads/other") && !bt_source_follows(spec, "refs/tags/main") &&
         bt_source_follows(spec, NULL),
     "which refs it follows");
}

static void refused(void) {
  static const struct {
    const char *json, *why;
  } cases[] = {
      {"[]", "object"},
      {"{}", "name the repository"},
      {"{\"repository\":7}", "line"},
      {"{\"repository\":\"https://u:p@h/x\"}", "password"},
      {"{\"repository\":\"ext::sh -c x\"}", "no address"},
      {"{\"repository\":\"-x\"}", "no address"},
      {"{\"repository\":\"h:x\",\"branch\":\"-x\"}", "no name of a branch"},
      {"{\"repository\":\"h:x\",\"branch\":\"a..b\"}", "no name of a branch"},
      {"{\"repository\":\"h:x\",\"branch\":\"a b\"}", "no name of a branch"},
      {"{\"repository\":\"h:x\",\"branch\":\"a*\"}", "no name of a branch"},
      {"{\"repository\":\"h:x\",\"branch\":\"a\",\"tag\":\"v*\"}", "not both"},
      {"{\"repository\":\"h:x\",\"tag\":\"v[1]\"}", "no pattern"},
      {"{\"repository\":\"h:x\",\"path\":\"../x\"}", "folder within"},
      {"{\"repository\":\"h:x\",\"path\":\"a/../../x\"}", "folder within"},
      {"{\"repository\":\"h:x\",\"path\":\"/etc\"}", "folder within"},
      {"{\"repository\":\"h:x\",\"files\":[\"../x\"]}", "no file within"},
      {"{\"repository\":\"h:x\",\"files\":\"x\"}", "array"},
      {"{\"repository\":\"h:x\",\"env\":{\"A\":1}}", "text"},
      {"{\"repository\":\"h:x\",\"interval\":\"1s\"}", "10s to 24h"},
      {"{\"repository\":\"h:x\",\"interval\":\"soon\"}", "10s to 24h"},
      {"{\"repository\":\"h:x\",\"automatic\":1}", "true or false"},
      {"{\"repository\":\"h:x\",\"signers\":\"\"}", "public keys"},
      {"{\"repository\":\"h:x\",\"signers\":\"k\",\"signers_secret\":\"s\"}", "not both"},
      {"{\"repository\":\"h:x\",\"compat\":\"maybe\"}", "refuse or warn"},
      {"{\"repository\":\"h:x\",\"brunch\":\"main\"}", "did you mean"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    BT_AUTO_ERR err = NULL;
    BT_AUTO_JSON body = json_loads(cases[i].json, 0, NULL);
    BT_AUTO_JSON spec = bt_source_parse(body, &err);
    ok(!spec && err && strstr(bt_err_message(err), cases[i].why), "%s: %s", cases[i].json, err ? bt_err_message(err) : "taken");
  }
}

static void keys(void) {
  static const char *const same[] = {"https://Git.Example/team/shop.git", "git@git.example:team/shop.git", "ssh://git@git.example:2222/team/shop",
                                     "http://user@git.example:3000/team/shop/", "git.example:/team/shop.git"};
  for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
    BT_AUTO_FREE char *key = bt_source_repository_key(same[i]);
    is_str(key, "git.example/team/shop", same[i]);
  }
  BT_AUTO_FREE char *file = bt_source_repository_key("file:///srv/shop.git"), *six = bt_source_repository_key("https://[::1]:80/x");
  is_str(file, "/srv/shop", "a file");
  is_str(six, "[::1]/x", "an address of IPv6");
  static const char *const odd[] = {"", ":", "/", "@", "://", "[", "a@b@c:d", "x://[::", "@:"};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    BT_AUTO_FREE char *key = bt_source_repository_key(odd[i]);
    ok(key != NULL, "\"%s\" is read without harm", odd[i]);
  }
}

int main(void) {
  parse();
  refused();
  keys();
  return done_testing();
}
