#include "config.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/completion.h"
#include "cli/list.h"
#include "cli/live.h"
#include "cli/out.h"
#include "cli/plan_print.h"
#include "cli/sse.h"
#include "cli/jobs.h"
#include "cli/target.h"
#include "cli/ws.h"
#include "tap.h"

/* ---------------------------------------------------------------- arguments */

enum { max_words = 16 };

/* Parses a line of words; *complaint is NULL where it is right. */
static void parse(const char *line, struct bt_args *args, char **complaint) {
  static char copy[512];
  char *argv[max_words] = {(char *)(uintptr_t) "berth"};
  int argc = 1;
  struct bt_err *err = NULL;
  snprintf(copy, sizeof copy, "%s", line);
  for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
    argv[argc++] = word;
  int rc = bt_args_parse(argc, argv, args, &err);
  BT_ASSERT((rc == 0) == (err == NULL));
  *complaint = err ? bt_strdup(bt_err_message(err)) : NULL;
  bt_err_free(&err);
}

static void refused(const char *line, const char *want) {
  struct bt_args args = {0};
  BT_AUTO_FREE char *got = NULL;
  parse(line, &args, &got);
  is_str(got, want, line);
  bt_args_free(&args);
}

static void test_args(void) {
  struct bt_args args = {0};
  BT_AUTO_FREE char *complaint = NULL;
  parse("-n team up -f a.yaml --file=b.yaml -fc.yaml --scale web=3 -d --wait-timeout 5", &args, &complaint);
  is_str(complaint, NULL, "options before and after the verb");
  is_str(args.verb ? args.verb->name : NULL, "up", "the verb");
  is_str(bt_args_text(&args, "namespace"), "team", "an option before the verb");
  BT_AUTO_STRS files = {0};
  bt_args_list(&args, "file", &files);
  is_int(files.len, 3, "a list in three spellings");
  is_str(files.len == 3 ? files.items[2] : NULL, "c.yaml", "in order");
  ok(bt_args_has(&args, "detach") && !bt_args_has(&args, "build"), "flags");
  long long n = 0;
  ok(bt_args_int(&args, "wait-timeout", 0, 100, &n, NULL) == 0 && n == 5, "a number");
  bt_args_free(&args);

  args = (struct bt_args){0};
  parse("exec -it web -- ls -la --color", &args, &complaint);
  ok(!complaint && args.rest.len == 4, "a command keeps its own options");
  is_str(args.rest.len == 4 ? args.rest.items[3] : NULL, "--color", "all of them");
  ok(bt_args_has(&args, "tty") && bt_args_has(&args, "interactive"), "letters together");
  bt_args_free(&args);

  args = (struct bt_args){0};
  parse("secret put db-password -", &args, &complaint);
  ok(!complaint && args.rest.len == 2, "verbs of two words; a dash alone is an argument");
  bt_args_free(&args);
}

static void test_args_refused(void) {
  refused("up --dettach", "unknown option --dettach; did you mean --detach? See \"berth up --help\"");
  refused("up --zzzzzzzzz", "unknown option --zzzzzzzzz. See \"berth up --help\"");
  refused("up -x", "unknown option -x. See \"berth up --help\"");
  refused("lss", "there is no \"berth lss\"; did you mean \"ls\"? See \"berth --help\"");
  refused("stop", "there is no \"berth stop\": \"berth scale SERVICE=0\" stops a service, \"berth down\" an app");
  refused("secret", "\"berth secret\" needs one word more: \"berth secret ls\", \"berth secret put\", \"berth secret rm\"");
  refused("volume -q", "unknown option -q. See \"berth --help\"");
  refused("volume -n team", "\"berth volume\" needs one word more: \"berth volume ls\", \"berth volume rm\"");
  struct bt_args family = {0};
  BT_AUTO_FREE char *complaint = NULL;
  parse("secret --help", &family, &complaint);
  ok(!complaint && bt_streq(family.group, "secret") && !family.verb, "help of a family of verbs");
  bt_args_free(&family);
  refused("secret get x", "there is no \"berth secret get\", but \"berth secret ls\", \"berth secret put\", \"berth secret rm\"");
  refused("up --file", "--file needs a value: --file FILE");
  refused("up --build=yes", "--build takes no value");
  refused("ls --format yaml", "--format takes table|json, not \"yaml\"");
  refused("exec web", "an argument is missing: berth exec OBJECT COMMAND [ARG...]");
  refused("ls shop", "\"shop\" is one argument too many: berth ls");
}

static void test_verbs(void) {
  bool sound = true;
  for (const struct bt_verb *v = bt_verbs; v->name; v++) {
    sound &= v->summary && v->args && v->options && v->run && v->summary[strlen(v->summary) - 1] != '.';
    for (const struct bt_option *o = v->options; o->name; o++) {
      sound &= (o->kind == BT_OPT_FLAG) == (o->value == NULL) && o->doc;
      for (const struct bt_option *p = o + 1; p->name; p++)
        sound &= strcmp(o->name, p->name) != 0 && (!o->letter || o->letter != p->letter);
    }
  }
  ok(sound, "every verb has what help needs, and no option twice");
}

/* ---------------------------------------------------------------- output */

static void test_table(void) {
  static const char *const head[] = {"NAME", "STATE", "NOTE"};
  BT_AUTO_TABLE table = {0};
  BT_AUTO_BUF out = {0};
  bt_table_head(&table, 3, head);
  bt_table_add(&table, "wäb-1", BT_PLAIN);
  bt_table_add(&table, "running", BT_GREEN);
  bt_table_add(&table, "", BT_PLAIN);
  bt_table_add(&table, "x", BT_PLAIN);
  bt_table_add(&table, NULL, BT_PLAIN);
  bt_table_add(&table, "evil\033[2J\nline", BT_PLAIN);
  bt_table_render(&table, 0, false, &out);
  is_str(out.data, "NAME   STATE    NOTE\nwäb-1  running\nx      -        evil?[2J line\n", "columns fit, controls are gone");
  bt_buf_truncate(&out, 0);
  bt_table_render(&table, 20, false, &out);
  is_str(out.data, "NAME   STATE    NOTE\nwäb-1  running\nx      -        evil\n", "cut at the width");
  bt_buf_truncate(&out, 0);
  bt_table_render(&table, 0, true, &out);
  ok(out.data && strstr(out.data, "\033[32mrunning\033[0m"), "colours where they are wanted");
  bt_buf_truncate(&out, 0);
  bt_out_clean_lines(&out, "c.yaml:1:2: error: \033]0;x\a\xc2\x9b.\n\tnext\r\n");
  is_str(out.data, "c.yaml:1:2: error: ?]0;x??.\n\tnext \n", "what others say stays in its lines");
  is_int(bt_out_columns("日本"), 4, "wide characters");
  is_int(bt_out_columns("e\xcc\x81"), 1, "combining characters");
  is_int(bt_out_columns("\xff\xfe"), 2, "invalid bytes");
  char buf[32];
  is_str(bt_out_bytes(1536 * 1024, buf), "1.5MiB", "sizes");
  is_str(bt_out_bytes(999, buf), "999B", "bytes");
}

static void test_plan(void) {
  BT_AUTO_JSON plan = json_pack("[{s:s,s:s,s:s,s:s,s:i,s:[{s:s,s:s,s:s}]},{s:s,s:s,s:s}]", "action", "update", "kind", "service",
                                "name", "web", "reason", "its image changed", "instances", 2, "changes", "path", "image",
                                "from", "a:1", "to", "a:2", "action", "keep", "kind", "volume", "name", "data");
  BT_AUTO_BUF out = {0};
  is_int(bt_plan_print(plan, false, false, &out), 1, "one step changes something");
  is_str(out.data, "  ~ update service web (2 instances): its image changed\n      image: \"a:1\" -> \"a:2\"\n", "in words");
  BT_AUTO_JSON several = json_pack("[{s:s,s:s,s:s,s:s,s:[{s:s,s:s,s:s}]}]", "action", "update", "kind", "service", "name", "web",
                                   "reason", "command changed from [\"a\"] to [\"b\"]", "changes", "path", "command", "from",
                                   "[\"a\"]", "to", "[\"b\"]");
  bt_buf_truncate(&out, 0);
  bt_plan_print(several, false, false, &out);
  is_str(out.data, "  ~ update service web\n      command: [\"a\"] -> [\"b\"]\n", "what changed is said once, and lists as they are");
  bt_plan_print(plan, true, false, &out);
  ok(strstr(out.data, "    keep volume data\n"), "what stays, where asked");
}

static void test_words(void) {
  static const struct {
    const char *json, *want;
    bool settled;
  } cases[] = {
      {"{\"state\":\"running\",\"health\":\"healthy\",\"ready\":true}", "running (healthy)", true},
      {"{\"state\":\"running\",\"health\":\"\",\"ready\":true}", "running", true},
      {"{\"state\":\"running\",\"health\":\"\",\"ready\":false}", "running (not ready)", false},
      {"{\"state\":\"running\",\"health\":\"healthy\",\"ready\":true,\"error\":\"it ended\"}", "running (healthy)", true},
      {"{\"state\":\"exited\",\"exit_code\":0}", "exited", true},
      {"{\"state\":\"exited\",\"exit_code\":3}", "exited, exit code 3", false},
      {"{\"state\":\"failed\",\"exit_code\":137,\"oom\":true}", "failed, out of memory", false},
      {"{\"state\":\"failed\",\"error\":\"no such image\"}", "failed: no such image", false},
      {"{\"state\":\"pending\",\"reason\":\"waits for store\"}", "pending: waits for store", false},
      {"{\"state\":\"failed\",\"exit_code\":1,\"next_start\":\"1970-01-01T00:00:20.000Z\",\"restarts\":2}",
       "failed, exit code 1; starts again in 10s [2 restarts]", false},
  };
  for (size_t i = 0; i < BT_COUNT(cases); i++) {
    BT_AUTO_JSON instance = json_loads(cases[i].json, 0, NULL);
    BT_AUTO_FREE char *words = bt_live_words(instance, NULL, 10000);
    is_str(words, cases[i].want, cases[i].want);
    is_int(bt_live_settled(instance), cases[i].settled, "settled or not");
  }
}

/* ---------------------------------------------------------------- objects */

static const char instances_json[] =
    "[{\"app\":\"shop\",\"service\":\"web\",\"slot\":1,\"instance\":\"shop-web-1-aaaaa\"},"
    "{\"app\":\"shop\",\"service\":\"store\",\"slot\":1,\"instance\":\"shop-store-1-bbbbb\"},"
    "{\"app\":\"blog\",\"service\":\"web\",\"slot\":1,\"instance\":\"blog-web-1-ccccc\"},"
    "{\"app\":\"store\",\"service\":\"db\",\"slot\":1,\"instance\":\"store-db-1-ddddd\"}]";

static void meant(const char *here, const char *word, const char *want) {
  BT_AUTO_JSON instances = json_loads(instances_json, 0, NULL);
  BT_AUTO_TARGET target = {0};
  BT_AUTO_ERR err = NULL;
  int rc = bt_target_find(instances, here, word, &target, &err);
  BT_AUTO_FREE char *got = rc ? bt_strdup(bt_err_message(err))
                              : bt_asprintf("%s/%s/%s", target.app, target.service ? target.service : "*",
                                            target.instance ? target.instance : "*");
  is_str(got, want, word);
}

static void job_says(const char *service, const char *want) {
  BT_AUTO_JSON o = json_loads(service, 0, NULL);
  bt_job_words(o, 1000000000000);
  BT_AUTO_FREE char *is = bt_asprintf("%s; next %s; last %s, %s; %s", bt_json_str(o, "schedule"), bt_json_str(o, "next"), bt_json_str_or(o, "last", "never"),
                                      bt_json_str(o, "result"), bt_json_str(o, "note"));
  is_str(is, want, want);
}

static void test_jobs(void) {
  job_says("{\"job\":{\"schedule\":\"@daily\",\"time_zone\":\"UTC\",\"next_run\":\"2001-09-09T02:46:40Z\",\"waits\":null,\"last_run\":null}}", "@daily; next in 1h; last never, ; ");
  job_says("{\"job\":{\"schedule\":\"0 2 * * *\",\"time_zone\":\"Europe/Berlin\",\"next_run\":null,\"suspend\":true,\"last_run\":{\"state\":\"failed\",\"reason\":\"no\","
           "\"finished_at\":\"2001-09-09T01:41:40Z\"}}}", "0 2 * * * Europe/Berlin; next suspended; last 5m ago, failed; no");
  job_says("{\"job\":{\"schedule\":null,\"follows\":[\"a\",\"b\"],\"next_run\":null,\"waits\":\"w\",\"last_run\":{\"state\":\"succeeded\",\"reason\":null,\"finished_at\":\"2001-09-09T01:46:40Z\"}}}",
           "after a, b; next waits; last 0ms ago, succeeded; w");
}

static void test_targets(void) {
  meant(NULL, "shop", "shop/*/*");
  meant(NULL, "shop/web", "shop/web/*");
  meant(NULL, "blog-web-1-ccccc", "blog/web/blog-web-1-ccccc");
  meant(NULL, "db", "store/db/*");
  meant("shop", "web", "shop/web/*");
  meant("shop", "store", "shop/store/*");
  meant(NULL, "store", "store/*/*");
  meant(NULL, "web", "several apps have a service \"web\": say shop/web or blog/web");
  meant(NULL, "shopp", "no app, service or instance is called \"shopp\"; did you mean \"shop\"? \"berth ps --all\" lists what there is");
  meant(NULL, "shop/wbe", "no app, service or instance is called \"shop/wbe\"; did you mean \"shop/web\"? \"berth ps --all\" lists what there is");
  meant(NULL, "shop/db", "no app, service or instance is called \"shop/db\"; \"berth ps --all\" lists what there is");
}

/* ---------------------------------------------------------------- Server-Sent Events */

static void collect_event(void *arg, const struct bt_sse_event *event) {
  bt_buf_addf(arg, "[%s|%s|%s]", event->type, event->data, event->id);
}

static void test_sse(void) {
  static const char stream[] = ": hello\nid: 7\nevent: app\ndata: {\"a\":1}\n\n"
                               "data: one\r\ndata:two\r\n\r\n"
                               "event: lost\n\n"
                               "data\n\nid: 8\rdata: x\r\rdata: unfinished\n";
  static const char want[] = "[app|{\"a\":1}|7][message|one\ntwo|7][message||7][message|x|8]";
  for (size_t piece = 1; piece <= sizeof stream; piece += piece < 4 ? 1 : 40) {
    BT_AUTO_BUF got = {0};
    struct bt_sse sse = {.event = collect_event, .arg = &got};
    for (size_t at = 0; at < sizeof stream - 1; at += piece)
      bt_sse_feed(&sse, stream + at, BT_MIN(piece, sizeof stream - 1 - at));
    is_str(got.data, want, "events, in pieces of any size");
    bt_sse_reset(&sse);
    bt_sse_feed(&sse, "data: again\n\n", 13);
    ok(got.data && bt_ends(got.data, "[message|again|8]"), "half an event is forgotten, the id is not");
    bt_sse_free(&sse);
  }
}

/* ---------------------------------------------------------------- WebSocket */

static void test_ws_out(void) {
  static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
  static const unsigned char hello[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58};
  BT_AUTO_BUF out = {0};
  bt_ws_frame(&out, BT_WS_TEXT, mask, "Hello", 5);
  ok(out.len == sizeof hello && memcmp(out.data, hello, sizeof hello) == 0, "the RFC's masked Hello");
  static const struct {
    size_t len, head;
  } sizes[] = {{0, 6}, {125, 6}, {126, 8}, {65535, 8}, {65536, 14}};
  for (size_t i = 0; i < BT_COUNT(sizes); i++) {
    BT_AUTO_FREE char *data = bt_newn(char, sizes[i].len + 1);
    bt_buf_truncate(&out, 0);
    bt_ws_frame(&out, BT_WS_BINARY, mask, data, sizes[i].len);
    is_int(out.len, sizes[i].len + sizes[i].head, "the length of a frame");
  }
}

static void collect_message(void *arg, enum bt_ws_opcode opcode, const void *data, size_t len) {
  bt_buf_addf(arg, "[%d:%.*s]", (int)opcode, (int)len, len ? (const char *)data : "");
}

static void feed(const char *bytes, size_t len, const char *want, const char *name) {
  for (size_t piece = 1; piece <= len; piece += len - 1 ? len - 1 : 1) {
    BT_AUTO_BUF got = {0};
    BT_AUTO_ERR err = NULL;
    struct bt_ws ws = {.message = collect_message, .arg = &got};
    int rc = 0;
    for (size_t at = 0; at < len && rc == 0; at += piece)
      rc = bt_ws_feed(&ws, bytes + at, BT_MIN(piece, len - at), &err);
    bt_buf_adds(&got, rc ? bt_err_message(err) : "");
    is_str(got.data, want, name);
    bt_ws_free(&ws);
  }
}
#define FEED(bytes, want, name) feed((bytes), sizeof(bytes) - 1, (want), (name))

static void test_ws_in(void) {
  FEED("\x81\x05Hello", "[1:Hello]", "a text");
  FEED("\x02\x02on\x00\x01"
       "e\x89\x01p\x80\x00\x82\x01z",
       "[9:p][2:one][2:z]", "fragments with a ping between");
  FEED("\x82\x7e\x00\x03"
       "abc\x88\x02\x03\xe8\x82\x01x",
       "[2:abc][8:\x03\xe8]", "a longer head, a close, nothing after it");
#define BROKEN "the server broke the WebSocket protocol: "
  FEED("\x82\x81zzzzz", BROKEN "a frame is masked", "masked");
  FEED("\xc2\x01z", BROKEN "reserved bits are set", "reserved bits");
  FEED("\x80\x01z", BROKEN "the pieces of a message are out of order", "a piece of nothing");
  FEED("\x02\x01z\x82\x01z", BROKEN "the pieces of a message are out of order", "a message inside another");
  FEED("\x82\x7f\x00\x00\x00\x00\x7f\xff\xff\xff", BROKEN "a message is over 4 MiB", "too long");
  FEED("\x09\x01z", BROKEN "a control frame is long or in pieces", "a ping in pieces");
  FEED("\x83\x01z", BROKEN "an unknown kind of frame", "an unknown kind");
}

static void test_urls(void) {
  BT_AUTO_FREE char *path = bt_url_path("namespaces", "a b", "apps", "x/y", NULL);
  is_str(path, "/v1/namespaces/a%20b/apps/x%2Fy", "segments are encoded");
  BT_AUTO_BUF url = {0};
  bt_buf_adds(&url, "/v1");
  bt_url_query(&url, "a", "1&2");
  bt_url_query(&url, "none", NULL);
  bt_url_query(&url, "b", "ü");
  is_str(url.data, "/v1?a=1%262&b=%C3%BC", "values are encoded");
}

static void test_problem(void) {
  BT_AUTO_ERR err = NULL;
  static const char body[] = "{\"code\":\"denied\",\"detail\":\"a policy says no\",\"diagnostics\":[{\"severity\":\"error\",\"file\":"
                             "\"/c.yaml\",\"line\":3,\"column\":5,\"message\":\"no\"}]}";
  bt_conn_problem(400, body, sizeof body - 1, &err);
  is_int(bt_err_code(err), BT_DENIED, "the problem's code counts");
  is_str(bt_err_message(err), "a policy says no\n/c.yaml:3:5: error: no", "its sentence and places");
  bt_conn_problem(404, "<html>", 6, &err);
  is_int(bt_err_code(err), BT_NOT_FOUND, "else the status");
}

/* The token goes to this machine, or under TLS. */
static void test_token(void) {
  static const struct {
    const char *host;
    bool good;
  } t[] = {{"http://127.0.0.1:7171", true}, {"http://localhost", true}, {"http://[::1]:7171/", true}, {"https://example.org:7171", true},
           {"http://192.0.2.1:7171", false}, {"http://127.0.0.1@example.org", false}, {"http://[2001:db8::1]:1", false},
           {"http://localhost.example.org", false}};
  char file[] = "/tmp/berth-token-XXXXXX";
  int fd = mkstemp(file);
  ok(fd >= 0 && write(fd, "0123456789abcdef\n", 17) == 17 && close(fd) == 0, "a token");
  for (int with = 1; with >= 0; with--) {
    with ? setenv("BERTH_TOKEN_FILE", file, 1) : unsetenv("BERTH_TOKEN_FILE");
    for (size_t i = 0; i < BT_COUNT(t); i++) {
      BT_AUTO_ERR err = NULL;
      struct bt_conn *conn = NULL;
      int rc = bt_conn_open(t[i].host, &conn, &err);
      ok((rc == 0) == (t[i].good || !with), "%s %s a token", t[i].host, with ? "with" : "without");
      bt_conn_free(&conn);
    }
  }
  unlink(file);
}

static void test_generated(void) {
  BT_AUTO_BUF out = {0};
  bt_completion_bash(&out);
  ok(strstr(out.data, "\"secret put\")"), "bash knows the verbs");
  bt_buf_truncate(&out, 0);
  bt_completion_zsh(&out);
  ok(strstr(out.data, "#compdef berth"), "zsh too");
  bt_buf_truncate(&out, 0);
  bt_completion_fish(&out);
  ok(strstr(out.data, "complete -c berth"), "and fish");
  bt_buf_truncate(&out, 0);
  bt_completion_mdoc(&out);
  ok(strstr(out.data, ".It Cm \"secret put\" Ar \"NAME [FILE]\""), "and the manual");
}

/* ---------------------------------------------------------------- width */

static size_t widest(const char *text) {
  size_t most = 0;
  for (size_t n; *text; text += n + (text[n] == '\n')) {
    n = strcspn(text, "\n");
    BT_AUTO_FREE char *line = bt_strndup(text, n);
    most = BT_MAX(most, bt_out_columns(line));
  }
  return most;
}

static void test_widths(void) {
  BT_AUTO_BUF wrapped = {0};
  bt_out_wrap(&wrapped, "four more words and averyverylongone", 3, 2, 12);
  is_str(wrapped.data, "four more\n  words and\n  averyverylongone\n", "text is broken at blanks");
  size_t most = 0;
  for (const struct bt_verb *v = bt_verbs; v->name; v++) {
    BT_AUTO_BUF help = {0};
    bt_help_text(v, 80, &help);
    most = BT_MAX(most, widest(help.data));
  }
  BT_AUTO_BUF all = {0};
  bt_help_text(NULL, 80, &all);
  ok(BT_MAX(most, widest(all.data)) <= 80, "all help fits into 80 columns");

  BT_AUTO_JSON checks = json_pack("[{s:s,s:s,s:s,s:s,s:s},{s:s,s:s,s:s,s:s,s:s}]", "element", "store", "declared", "writes are durable",
                                  "found", "ok", "verdict", "ok", "mend", "never shown", "element", "lb-haproxy: the product that it drives",
                                  "declared", "haproxy 2.6 or newer, up to 3.x", "found",
                                  "haproxy 2.4.1, which knows nothing of half of what is asked of it here", "verdict", "error", "mend",
                                  "install a newer haproxy from the distribution's backports, and tell Berth to reload its configuration file");
  BT_AUTO_BUF table = {0};
  bt_doctor_render(checks, 100, false, &table);
  ok(widest(table.data) <= 100, "the doctor's table fits into 100 columns");
  ok(strstr(table.data, "\n    mend: install a newer haproxy") != NULL, "what to do stands on a line of its own");
  ok(strstr(table.data, "never shown") == NULL, "but not of what is well");
}

/* A reader that goes away (berth ... | head) is no error to speak of. */
static void test_closed_pipe(void) {
  int ends[2], status = 0;
  if (pipe(ends) < 0)
    return;
  close(ends[0]); /* before the fork: the child must not write while somebody could still read */
  pid_t pid = fork();
  if (pid == 0) {
    BT_AUTO_BUF b = {0};
    signal(SIGPIPE, SIG_IGN);
    bt_buf_adds(&b, "to nobody\n");
    bt_out_write(ends[1], &b);
    _exit(0);
  }
  close(ends[1]);
  ok(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status), "writing to a pipe that nobody reads ends");
  is_int(WEXITSTATUS(status), BT_EXIT_PIPE, "as SIGPIPE would have ended it");
}

int main(void) {
  test_widths();
  test_closed_pipe();
  test_args();
  test_args_refused();
  test_verbs();
  test_table();
  test_plan();
  test_words();
  test_jobs();
  test_targets();
  test_sse();
  test_ws_out();
  test_ws_in();
  test_urls();
  test_problem();
  test_token();
  test_generated();
  return done_testing();
}
