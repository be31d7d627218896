/* The pure parts of lb-haproxy: state, weights, the configuration's text, runtime commands, what HAProxy says. */
#include "../../plugins/lb-haproxy/stat.h"
#include "../../plugins/lb-haproxy/text.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

static const char *source_dir(void) { return getenv("srcdir") ? getenv("srcdir") : "."; }

static char *slurp(const char *name) {
  PU_AUTO_FREE path = pu_asprintf("%s/tests/unit/lb_haproxy/%s", source_dir(), name);
  FILE *f = fopen(path, "re");
  struct pu_buf b = {0};
  char chunk[4096];
  for (size_t n; f && (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
    pu_buf_add(&b, chunk, n);
  if (f)
    fclose(f);
  return pu_buf_steal(&b);
}

static struct lbh_settings settings_of(const char *json) {
  struct lbh_settings s;
  PU_AUTO_FREE why = NULL;
  if (!ok(lbh_settings_read(json, &s, &why), "settings are read%s%s", why ? ": " : "", why ? why : ""))
    exit(1);
  return s;
}

/* ---------------------------------------------------------------- golden */

static void test_golden(void) {
  struct lbh_settings s = settings_of("{\"mode\":\"child\",\"dir\":\"/run/lb\",\"http\":[\"*:80\",\"[::]:80\"],\"https\":[\"*:8443\"],"
                                      "\"accept_proxy_from\":[\"10.0.0.0/8\"],\"trust_forwarded_from\":[\"192.168.7.1\"],\"log\":\"127.0.0.1:514 local0\"}");
  PU_AUTO_FREE json = slurp("state.json");
  PU_AUTO_FREE wanted = slurp("haproxy.cfg");
  PU_AUTO_FREE list = slurp("list.txt");
  PU_AUTO_FREE why = NULL;
  struct lbh_state state;
  if (!ok(lbh_state_read(json, &state, &why), "the state is read%s%s", why ? ": " : "", why ? why : ""))
    return;
  struct lbh_table want;
  struct lbh_text text;
  lbh_table_want(&state, &want);
  lbh_text_make(&s, &state, &want, "haproxy", &text);
  if (getenv("LBH_WRITE")) {
    fputs(text.text, stderr);
    fputs(text.list, stderr);
  }
  is_str(text.text, wanted, "the configuration");
  is_str(text.list, list, "the certificates");
  size_t lines = 0;
  for (const char *p = text.text; *p; p++)
    lines += *p == '\n';
  is_int(text.nlines, lines, "every line has an owner, or none");
  is_int(text.nlisteners, 4, "what it listens on");
  int route;
  char *listen;
  ok(lbh_text_listener(&s, &state, 3, &listen, &route) && pu_eq(listen, "*:5432") && pu_eq(state.routes[route].id, "default/tcp/5432"),
     "a TCP route's listener is its own");
  free(listen);
  lbh_text_free(&text);
  lbh_table_free(&want);
  lbh_state_free(&state);
  lbh_settings_free(&s);
}

/* The same hash as long as only servers change; another one for all else. */
static void test_hash(void) {
  static const char *const bones = "{\"routes\":[{\"id\":\"n/a/\",\"protocol\":\"http\",\"hosts\":[\"a\"],\"paths\":[\"/\"],%s\"targets\":[{\"pool\":\"p\",\"weight\":%d}]}],"
                                   "\"pools\":[{\"id\":\"p\",\"endpoints\":[%s]}]}";
  struct {
    const char *more;
    int weight;
    const char *endpoints;
    bool same;
  } cases[] = {{"", 100, "", true},
               {"", 3, "{\"id\":\"e\",\"address\":\"10.0.0.1\",\"port\":1}", true},
               {"\"rate_limit\":{\"requests\":1,\"period_ms\":5},", 100, "", false},
               {"\"scheme\":\"https\",", 100, "", false},
               {"\"client_address\":\"proxy-v2\",", 100, "", false},
               {"\"maintenance\":{\"body\":\"x\"},", 100, "", false},
               {"\"maintenance\":{\"body\":\"y\"},", 100, "", false}};
  struct lbh_settings s = settings_of("{\"http\":[\"*:80\"]}");
  char *first = NULL;
  for (size_t i = 0; i < PU_COUNT(cases); i++) {
    char json[600];
    PU_AUTO_FREE why = NULL;
    snprintf(json, sizeof json, bones, cases[i].more, cases[i].weight, cases[i].endpoints);
    struct lbh_state state;
    struct lbh_table want;
    struct lbh_text text;
    if (!lbh_state_read(json, &state, &why))
      ok(false, "%s", why);
    lbh_table_want(&state, &want);
    lbh_text_make(&s, &state, &want, NULL, &text);
    if (!first)
      first = pu_strdup(text.hash);
    ok(pu_eq(first, text.hash) == cases[i].same, "%s: %s hash", cases[i].more, cases[i].same ? "the same" : "another");
    lbh_text_free(&text);
    lbh_table_free(&want);
    lbh_state_free(&state);
  }
  free(first);
  lbh_settings_free(&s);
}

/* ---------------------------------------------------------------- weights and commands */

static struct lbh_state state_of(const char *json) {
  struct lbh_state state;
  PU_AUTO_FREE why = NULL;
  if (!lbh_state_read(json, &state, &why))
    ok(false, "%s", why);
  return state;
}

static int weight(const struct lbh_table *t, const char *server) {
  const struct lbh_server *s = t->len ? lbh_backend_find(&t->items[0], server) : NULL;
  return s ? s->weight : -1;
}

#define E(id, more) "{\"id\":\"" id "\",\"address\":\"10.0.0.1\",\"port\":80" more "}"

static void test_weights(void) {
  struct lbh_state state = state_of("{\"routes\":[{\"id\":\"r\",\"targets\":[{\"pool\":\"a\",\"weight\":90},{\"pool\":\"b\",\"weight\":10},"
                                    "{\"pool\":\"none\",\"weight\":50},{\"pool\":\"off\",\"weight\":0}]}],\"pools\":["
                                    "{\"id\":\"a\",\"endpoints\":[" E("a1", "") "," E("a2", "") "," E("a3", "") "," E("a4", ",\"state\":\"drain\"") "]},"
                                    "{\"id\":\"b\",\"endpoints\":[" E("b1", "") "]},{\"id\":\"none\",\"endpoints\":[]},"
                                    "{\"id\":\"off\",\"endpoints\":[" E("o1", "") "]}]}");
  struct lbh_table want;
  lbh_table_want(&state, &want);
  is_int(weight(&want, "a1"), 256, "the largest weight is HAProxy's largest");
  is_int(weight(&want, "b1"), 85, "a tenth in all, though it is one against three");
  is_int(weight(&want, "o1"), 0, "a target of weight 0 gets nothing");
  ok(!lbh_backend_find(&want.items[0], "a4")->ready, "who drains is not ready");
  lbh_table_free(&want);
  lbh_state_free(&state);
  state = state_of("{\"routes\":[{\"id\":\"r\",\"targets\":[{\"pool\":\"a\",\"weight\":1}]}],\"pools\":[{\"id\":\"a\",\"endpoints\":[" E("x", ",\"weight\":1000") "," E(
      "y", ",\"weight\":1") "]}]}");
  lbh_table_want(&state, &want);
  is_int(weight(&want, "x"), 256, "endpoints have weights of their own");
  is_int(weight(&want, "y"), 1, "and none vanishes");
  lbh_table_free(&want);
  lbh_state_free(&state);
}

static char *commands_text(const struct lbh_table *is, const struct lbh_state *state) {
  struct lbh_table want;
  struct lbh_commands commands = {0};
  struct pu_buf b = {0};
  lbh_table_want(state, &want);
  lbh_commands_make(is, &want, state, &commands);
  for (size_t i = 0; i < commands.len; i++)
    pu_buf_addf(&b, "%s\n", commands.items[i].text);
  lbh_commands_free(&commands);
  lbh_table_free(&want);
  return pu_buf_steal(&b);
}

static void test_commands(void) {
  struct lbh_state state = state_of("{\"routes\":[{\"id\":\"r\",\"client_address\":\"proxy-v2\",\"targets\":[{\"pool\":\"a\",\"weight\":1}]}],"
                                    "\"pools\":[{\"id\":\"a\",\"endpoints\":[" E("stays", "") "," E("new", "") "," E("back", "") "," E(
                                        "drains", ",\"state\":\"drain\"") ",{\"id\":\"moved\",\"address\":\"fd00::2\",\"port\":81}]}]}");
  const char *b = state.routes[0].backend;
  struct lbh_table is = {0};
  struct lbh_backend *backend = lbh_table_add(&is, b);
  static const char *const names[] = {"moved", "back", "drains", "gone", "stays", "waits"};
  for (size_t i = 0; i < PU_COUNT(names); i++) {
    struct lbh_server *s = lbh_backend_add(backend, names[i]);
    s->address = pu_strdup("10.0.0.1");
    s->port = 80;
    s->weight = 256;
    s->ready = strcmp(names[i], "back") != 0 && strcmp(names[i], "waits") != 0;
    s->lingers = strcmp(names[i], "waits") == 0;
  }
  PU_AUTO_FREE got = commands_text(&is, &state);
  PU_AUTO_FREE wanted = pu_asprintf("set server %s/back state ready\n"
                                    "set server %s/moved addr fd00::2 port 81\n"
                                    "add server %s/new 10.0.0.1:80 weight 256 send-proxy-v2 pool-max-conn -1 pool-purge-delay 5s;enable server %s/new\n"
                                    "set server %s/drains state maint\n"
                                    "set server %s/gone state maint\n"
                                    "del server %s/gone\n",
                                    b, b, b, b, b, b, b);
  is_str(got, wanted, "who comes goes before who leaves; what lingers is left alone");
  struct lbh_table none = {0};
  PU_AUTO_FREE nothing = commands_text(&none, &state);
  is_str(nothing, "", "a backend that does not run needs another configuration, no commands");
  lbh_table_free(&is);
  lbh_state_free(&state);
}

/* ---------------------------------------------------------------- state */

static void test_state(void) {
  static const char *const bad[] = {"", "[]", "{\"routes\":[{}]}", "{\"routes\":[{\"id\":\"a b\"}]}", "{\"routes\":[{\"id\":\"t\",\"protocol\":\"tcp\"}]}",
                                    "{\"pools\":[{\"id\":\"p\",\"endpoints\":[{\"id\":\"e\",\"address\":\"localhost\",\"port\":1}]}]}",
                                    "{\"pools\":[{\"id\":\"p\",\"endpoints\":[{\"id\":\"e;quit\",\"address\":\"10.0.0.1\",\"port\":1}]}]}",
                                    "{\"pools\":[{\"id\":\"p\",\"endpoints\":[{\"id\":\"e\",\"address\":\"10.0.0.1\",\"port\":70000}]}]}"};
  for (size_t i = 0; i < PU_COUNT(bad); i++) {
    struct lbh_state s;
    PU_AUTO_FREE why = NULL;
    ok(!lbh_state_read(bad[i], &s, &why) && why && !s.nroutes && !s.npools, "refused: %s (%s)", bad[i], why ? why : "");
  }
  struct lbh_state s = state_of("{\"pools\":[{\"id\":\"p\",\"endpoints\":[" E("e", "") "]},{\"id\":\"q\",\"endpoints\":[" E("e", "") "]}]}");
  PU_AUTO_FREE why = NULL;
  bool unknown;
  ok(lbh_state_change(&s, "{\"changes\":[{\"pool\":\"p\",\"endpoint\":\"f\",\"state\":\"ready\",\"address\":\"::1\",\"port\":2},{\"pool\":\"p\",\"endpoint\":\"e\",\"state\":\"gone\"},"
                          "{\"pool\":\"p\",\"endpoint\":\"nobody\",\"state\":\"gone\"}]}",
                      &unknown, &why),
     "changes are taken");
  ok(s.pools[0].len == 1 && pu_eq(s.pools[0].items[0].id, "f"), "one came, one went");
  ok(!lbh_state_change(&s, "{\"changes\":[{\"pool\":\"z\",\"endpoint\":\"f\",\"state\":\"gone\"}]}", &unknown, &why) && unknown, "a pool that is not known");
  ok(!lbh_state_change(&s, "{\"changes\":[{\"pool\":\"p\",\"endpoint\":\"f\",\"state\":\"ready\"}]}", &unknown, &why) && !unknown, "no address");
  ok(lbh_state_drain(&s, "e") && s.pools[1].items[0].drain, "drained wherever it is");
  ok(!lbh_state_drain(&s, "nobody"), "or nowhere");
  lbh_state_free(&s);
}

/* ---------------------------------------------------------------- what HAProxy says */

static void test_stat(void) {
  PU_AUTO_FREE csv = slurp("stat.csv");
  struct lbh_rows rows;
  ok(lbh_stat_parse(csv, &rows), "real statistics");
  is_int(rows.len, 3, "rows");
  if (rows.len == 3) {
    is_str(rows.items[0].server, "s0", "a server");
    is_int(rows.items[0].open, 2, "open requests");
    is_int(rows.items[1].sessions, 12, "sessions of a server");
    is_str(rows.items[2].server, "BACKEND", "the backend");
    is_int(rows.items[2].answers_5xx, 1, "answers of 500 and above");
  }
  lbh_rows_free(&rows);
  ok(!lbh_stat_parse("", &rows) && !lbh_stat_parse("Unknown command\n", &rows) && !lbh_stat_parse("# a,b\n1,2\n", &rows), "what is no table is refused");
  ok(lbh_stat_parse("# pxname,svname,scur\nx\n\"a,b\",c,-5\n,,\n# pxname,svname,scur\nd,e,99999999999999999999999\n", &rows) && rows.len == 3,
     "odd lines");
  is_int(rows.items[0].open, 0, "a negative number is none");
  lbh_rows_free(&rows);
}

static void test_servers_state(void) {
  struct lbh_table t = {0};
  ok(lbh_servers_parse("1\n# be_id be_name …\n"
                       "3 b 1 s0 127.0.0.1 2 0 100 100 2 1 0 2 0 0 0 0 - 18801 - 0 0 - - 0\n"
                       "3 b 2 s1 127.0.0.1 0 1 90 100 1 1 0 0 0 0 0 0 - 18802 - 0 0 - - 0\nshort line\n\n",
                       &t),
     "servers of a running one");
  const struct lbh_backend *b = lbh_table_find(&t, "b");
  const struct lbh_server *s0 = b ? lbh_backend_find(b, "s0") : NULL, *s1 = b ? lbh_backend_find(b, "s1") : NULL;
  ok(s0 && s0->ready && s0->port == 18801 && s0->weight == 100 && pu_eq(s0->address, "127.0.0.1"), "one is ready");
  ok(s1 && !s1->ready && s1->weight == 90, "one is in maintenance");
  lbh_table_free(&t);
  ok(!lbh_servers_parse("2\n", &t) && !lbh_servers_parse("", &t), "another version is not guessed at");
}

static void test_processes(void) {
  int master, worker, old[2];
  size_t n = lbh_proc_parse("#<PID>          <type>          <reloads>       <uptime>        <version>      \n"
                            "1162            master          5 [failed: 0]   0d00h02m07s     2.6.12\n# workers\n"
                            "1271            worker          1               0d00h00m00s     2.6.12\n# old workers\n"
                            "1233            worker          3               0d00h00m43s     2.6.12\n1234 worker 4 0d\n1235 worker 5 0d\n# programs\n77 x 0\n\n",
                            &master, &worker, old, 2);
  ok(master == 1162 && worker == 1271 && n == 2 && old[0] == 1233 && old[1] == 1234, "the processes, as many as there is room for");
  is_int(lbh_proc_parse("", &master, &worker, old, 2) + (size_t)master + (size_t)worker, 0, "none");
  PU_AUTO_FREE pid = lbh_info("Name: HAProxy\nPid: 26680\nStopping: 0\n", "Pid");
  is_str(pid, "26680", "a fact");
  ok(!lbh_info("Name: HAProxy\n", "Pid"), "an absent fact");
}

static void test_blame(void) {
  struct lbh_settings s = settings_of("{\"dir\":\"/d\",\"http\":[\"*:80\"],\"https\":[\"*:443\"]}");
  struct lbh_state state = state_of("{\"routes\":[{\"id\":\"a\",\"targets\":[]},{\"id\":\"b\",\"targets\":[],\"tls\":{\"certificate\":\"ns/x@1\"}}],\"certificates\":"
                                    "[{\"name\":\"ns/x@1\",\"pem\":\"p\"}]}");
  struct lbh_table want;
  struct lbh_text text;
  lbh_table_want(&state, &want);
  lbh_text_make(&s, &state, &want, NULL, &text);
  int line = 0, route;
  for (size_t i = 1; i <= text.nlines && !line; i++)
    if (text.owners[i] == 0)
      line = (int)i;
  PU_AUTO_FREE of_line = pu_asprintf("[NOTICE]   (7) : haproxy version is 2.6\n[ALERT]    (7) : config : parsing [/d/haproxy.cfg.check:%d] : unknown keyword 'x'\n", line);
  PU_AUTO_FREE one = lbh_text_blame(&s, &state, &text, "/d/haproxy.cfg.check", of_line, &route);
  PU_AUTO_FREE sentence = pu_asprintf("parsing [/d/haproxy.cfg.check:%d] : unknown keyword 'x'", line);
  is_int(route, 0, "a line's route");
  is_str(one, sentence, "in HAProxy's words");
  PU_AUTO_FREE pem = lbh_certificate_path(&s, "ns/x@1");
  PU_AUTO_FREE of_pem = pu_asprintf("[ALERT]    (7) : config : parsing [/d/haproxy.cfg.check:9] : 'bind *:443' : unable to load certificate from file '%s'\n", pem);
  PU_AUTO_FREE two = lbh_text_blame(&s, &state, &text, "/d/haproxy.cfg.check", of_pem, &route);
  is_int(route, 1, "a certificate's route");
  ok(two && strstr(two, "unable to load certificate"), "and its sentence");
  PU_AUTO_FREE three = lbh_text_blame(&s, &state, &text, "/d/haproxy.cfg.check", "[ALERT]    (7) : config : no memory\n", &route);
  is_int(route, -1, "nobody's");
  is_str(three, "no memory", "the sentence alone");
  lbh_text_free(&text);
  lbh_table_free(&want);
  lbh_state_free(&state);
  lbh_settings_free(&s);
}

/* HAProxy takes 64 words a line: as many networks as a route and an operator may name are spread over several. */
static void test_many_networks(void) {
  struct pu_buf networks = {0};
  for (int i = 0; i < 64; i++)
    pu_buf_addf(&networks, "%s\"10.0.%d.0/24\"", i ? "," : "", i);
  PU_AUTO_FREE list = pu_buf_steal(&networks);
  PU_AUTO_FREE config = pu_asprintf("{\"http\":[\"*:80\"],\"trust_forwarded_from\":[%s]}", list);
  PU_AUTO_FREE json = pu_asprintf("{\"routes\":[{\"id\":\"n/a/\",\"protocol\":\"http\",\"hosts\":[\"a\"],\"maintenance\":{\"body\":\"x\",\"allow\":[%s]},\"targets\":[]}]}", list);
  struct lbh_settings s = settings_of(config);
  struct lbh_state state = state_of(json);
  struct lbh_table want;
  struct lbh_text text;
  lbh_table_want(&state, &want);
  lbh_text_make(&s, &state, &want, NULL, &text);
  size_t most = 0, words = 0;
  for (const char *p = text.text; *p; p++) {
    words = *p == '\n' ? 0 : words + (*p == ' ');
    most = words > most ? words : most;
  }
  ok(most > 20 && most < 64, "no line has more than 64 words (%zu)", most);
  ok(strstr(text.text, " 10.0.0.0/24") && strstr(text.text, " 10.0.63.0/24\n"), "all networks are there");
  lbh_text_free(&text);
  lbh_table_free(&want);
  lbh_state_free(&state);
  lbh_settings_free(&s);
}

static void test_settings(void) {
  static const char *const bad[] = {"{\"mode\":\"nest\"}",
                                    "{\"http\":[\"80\"]}",
                                    "{\"http\":[\"*:80 ssl\"]}",
                                    "{\"https\":[\"*:0\"]}",
                                    "{\"accept_proxy_from\":[\"everywhere\"]}",
                                    "{\"dir\":\"relative\"}",
                                    "{\"dir\":\"/a b\"}",
                                    "{\"log\":\"a\\nglobal\"}",
                                    "{\"mode\":\"attach\"}",
                                    "{\"mode\":\"attach\",\"stats_socket\":\"/s\"}"};
  for (size_t i = 0; i < PU_COUNT(bad); i++) {
    struct lbh_settings s;
    PU_AUTO_FREE why = NULL;
    ok(!lbh_settings_read(bad[i], &s, &why) && why, "refused: %s (%s)", bad[i], why ? why : "");
  }
  struct lbh_settings s = settings_of("{\"mode\":\"attach\",\"stats_socket\":\"/s\",\"reload_command\":[\"true\"]}");
  ok(s.attach && s.reload_command.len == 1 && s.keep_running, "attach");
  lbh_settings_free(&s);
  is_int(lbh_listen_port("[::]:443"), 443, "a port behind an address in brackets");
}

int main(void) {
  test_golden();
  test_hash();
  test_weights();
  test_commands();
  test_state();
  test_stat();
  test_servers_state();
  test_processes();
  test_blame();
  test_many_networks();
  test_settings();
  return done_testing();
}
