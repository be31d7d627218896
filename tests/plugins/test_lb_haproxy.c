/* lb-haproxy with a real HAProxy: what is applied is served, endpoints change without a reload, drains wait for open requests, what
 * HAProxy refuses leaves the rest in force, a HAProxy that dies comes back, and one that runs already can be joined. */
#include "config.h"

#include <berth/lb.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "plugins/host.h"
#include "plugins/web.h"

static char *dir;
static int http_port;
static struct bt_plugin *entry;
static struct test_call events;

/* ---------------------------------------------------------------- endpoints */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static int waiting;

static void serve(void *arg, const struct web_request *r, struct web_answer *a) {
  if (strcmp(r->path, "/slow") == 0) {
    __atomic_add_fetch(&waiting, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
  }
  a->status = 200;
  snprintf(a->body, sizeof a->body, "%s", (const char *)arg);
}

static struct web one = {.handle = serve, .arg = (void *)(uintptr_t) "one"}, two = {.handle = serve, .arg = (void *)(uintptr_t) "two"};

/* ---------------------------------------------------------------- a client */

static FILE *ask(const char *host, const char *path) {
  BT_AUTO_FREE char *command = bt_asprintf("curl -s --max-time 8 -H 'Host: %s' http://127.0.0.1:%d%s", host, http_port, path);
  return popen(command, "r");
}

static void take(FILE *f, char out[64]) {
  size_t n = fread(out, 1, 63, f);
  out[n] = 0;
  pclose(f);
}

static void get(const char *host, char out[64]) { take(ask(host, "/"), out); }

/* Who answers to so many requests: "one", "two", "both", or "" for nobody. */
static const char *who(const char *host) {
  bool seen[2] = {false, false};
  for (int i = 0; i < 6; i++) {
    char body[64];
    get(host, body);
    seen[0] = seen[0] || strcmp(body, "one") == 0;
    seen[1] = seen[1] || strcmp(body, "two") == 0;
  }
  return seen[0] && seen[1] ? "both" : seen[0] ? "one" : seen[1] ? "two" : "";
}

/* ---------------------------------------------------------------- calls */

static const struct berth_lb *table(void) { return bt_plugin_methods(entry, BERTH_LB); }

static enum bt_code apply(const char *state, struct test_call *call) {
  struct berth_lb_apply request = {sizeof request, state};
  struct bt_plugin_call c = {.method = "lb.apply", .done = test_done, .arg = call};
  bt_plugin_invoke(entry, table(), apply, &c, &request);
  run_until(&call->done, 30000);
  return call->done ? call->code : BT_DEADLINE;
}

static enum bt_code update(const char *changes) {
  TEST_CALL call = {0};
  struct berth_lb_update request = {sizeof request, changes};
  struct bt_plugin_call c = {.method = "lb.update", .done = test_done, .arg = &call};
  bt_plugin_invoke(entry, table(), update, &c, &request);
  run_until(&call.done, 10000);
  return call.done ? call.code : BT_DEADLINE;
}

static void drain(const char *endpoint, int64_t deadline_ms, struct test_call *call) {
  struct berth_lb_drain request = {sizeof request, endpoint, deadline_ms};
  struct bt_plugin_call c = {.method = "lb.drain", .deadline_ms = 30000, .done = test_done, .arg = call};
  bt_plugin_invoke(entry, table(), drain, &c, &request);
}

static long long reloads(void) {
  TEST_CALL call = {0};
  struct bt_plugin_call c = {.method = "lb.stats", .done = test_done, .arg = &call};
  bt_plugin_invoke(entry, table(), stats, &c);
  run_until(&call.done, 5000);
  return call.code == BT_OK ? bt_json_int(call.result, "reloads", -1) : -1;
}

static void load(const char *more) {
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"lb\",\"plugin\":\"lb-haproxy\",\"config\":{\"dir\":\"%s\",\"http\":[\"127.0.0.1:%d\"],\"https\":[\"127.0.0.1:%d\"],"
                                        "\"stats_interval\":\"200ms\"%s}}]",
                                        dir, http_port, http_port + 1, more);
  test_load(json);
  test_settle();
  entry = bt_plugins_named(T.plugins, "lb");
  ok(entry && bt_plugin_status(entry) == BT_PLUGIN_OK, "it starts: %s", entry ? bt_plugin_error(entry) : "");
  struct bt_plugin_call c = {.method = "lb.events", .deadline_ms = -1, .emit = test_emit, .done = test_done, .arg = &events};
  bt_plugin_invoke(entry, table(), events, &c);
}

/* A state with routes and the endpoints of the one pool. */
static char *state_of(const char *routes, const char *endpoints, const char *certificates) {
  return bt_asprintf("{\"revision\":1,\"routes\":[%s],\"pools\":[{\"id\":\"p\",\"endpoints\":[%s]}],\"certificates\":[%s]}", routes, endpoints, certificates);
}

static char *endpoint(const char *key, const char *id, const struct web *w, const char *state) {
  return bt_asprintf("{\"%s\":\"%s\",\"pool\":\"p\",\"address\":\"127.0.0.1\",\"port\":%d,\"state\":\"%s\"}", key, id, w->port, state);
}

#define PLAIN "{\"id\":\"ns/a.example/\",\"protocol\":\"http\",\"hosts\":[\"a.example\"],\"targets\":[{\"pool\":\"p\",\"weight\":100}]}"
#define SECURE                                                                                                                       \
  "{\"id\":\"ns/b.example/\",\"protocol\":\"http\",\"hosts\":[\"b.example\"],\"targets\":[{\"pool\":\"p\",\"weight\":100}],\"tls\":" \
  "{\"certificate\":\"c@1\",\"redirect\":false}}"

static int change(const char *id, const struct web *w, const char *state) {
  BT_AUTO_FREE char *e = endpoint("endpoint", id, w, state);
  BT_AUTO_FREE char *changes = bt_asprintf("{\"changes\":[%s]}", e);
  return (int)update(changes);
}

/* What HAProxy says to a line on its runtime socket; the caller frees. */
static char *told(const char *line) {
  BT_AUTO_FREE char *command = bt_asprintf("python3 -c 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(\"%s/admin.sock\"); "
                                           "s.sendall(b\"%s\\n\"); s.shutdown(1); sys.stdout.write(s.makefile().read())'",
                                           dir, line);
  FILE *f = popen(command, "r");
  BT_AUTO_BUF b = {0};
  char chunk[4096];
  for (size_t n; f && (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
    bt_buf_add(&b, chunk, n);
  if (f)
    pclose(f);
  return bt_strdup(b.data ? b.data : "");
}

/* The column idle_lim of "show servers conn": 0 is none, -1 as many as there are. */
static const char *idle_limit(const char *server) {
  static char limit[16];
  BT_AUTO_FREE char *text = told("show servers conn");
  BT_AUTO_FREE char *mark = bt_asprintf("/%s ", server);
  const char *row = strstr(text, mark);
  if (!row || sscanf(row, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %15s", limit) != 1)
    return "none";
  return limit;
}

/* ---------------------------------------------------------------- tests */

static void test_routes(void) {
  TEST_CALL first = {0};
  BT_AUTO_FREE char *e = endpoint("id", "e1", &one, "ready");
  BT_AUTO_FREE char *state = state_of(PLAIN, e, "");
  is_int(update("{\"changes\":[]}"), BT_CONFLICT, "nothing was applied yet");
  is_int(apply(state, &first), BT_OK, "apply");
  is_str(who("a.example"), "one", "the endpoint answers");
  is_int(change("e2", &two, "ready"), BT_OK, "another one comes");
  is_str(who("a.example"), "both", "and answers");
  is_str(idle_limit("e2"), "-1", "idle connections of one that came at run time are kept for the next client");
  is_int(change("e1", &one, "gone"), BT_OK, "the first goes");
  is_str(who("a.example"), "two", "and gets nothing any more");
  is_int(change("e1", &one, "ready"), BT_OK, "it comes back");
  is_str(who("a.example"), "both", "and answers again");
  is_int(reloads(), 0, "all without a reload");
  is_int(update("{\"changes\":[{\"pool\":\"q\",\"endpoint\":\"x\",\"state\":\"gone\"}]}"), BT_CONFLICT, "an unknown pool");
  TEST_CALL bad = {0};
  is_int(apply("{\"routes\":[{}]}", &bad), BT_INVALID, "a state that is none is refused");
  is_str(who("a.example"), "both", "and nothing changed");
}

static void test_drain(void) {
  TEST_CALL slow = {0}, again = {0}, late = {0}, nobody = {0};
  is_int(change("e2", &two, "gone"), BT_OK, "one endpoint is left");
  pthread_mutex_lock(&gate);
  FILE *request = ask("a.example", "/slow");
  ok(test_wait(__atomic_load_n(&waiting, __ATOMIC_SEQ_CST) == 1), "it has an open request");
  is_int(change("e2", &two, "ready"), BT_OK, "another one comes");
  drain("e1", 400, &late);
  run_until(&late.done, 5000);
  is_int(bt_json_int(late.result, "open", 0), 1, "at the deadline it says what is still open");
  is_str(who("a.example"), "two", "new requests go elsewhere");
  drain("e1", 20000, &slow);
  run_for(300);
  ok(!slow.done, "a drain waits for what is open");
  pthread_mutex_unlock(&gate);
  char body[64];
  take(request, body);
  is_str(body, "one", "which is answered");
  run_until(&slow.done, 5000);
  ok(slow.done && bt_json_int(slow.result, "open", 1) == 0, "and then it is drained");
  drain("e1", 5000, &again);
  drain("stranger", 5000, &nobody);
  ok(run_until(&again.done, 3000) && run_until(&nobody.done, 3000), "who has nothing open, or is not known, at once");
}

static void test_refused(void) {
  TEST_CALL broken = {0}, mended = {0};
  BT_AUTO_FREE char *e = endpoint("id", "e1", &one, "ready");
  BT_AUTO_FREE char *state = state_of(PLAIN "," SECURE, e, "{\"name\":\"c@1\",\"pem\":\"no certificate\"}");
  is_int(apply(state, &broken), BT_OK, "a broken certificate does not stop the others");
  const json_t *refused = json_array_get(bt_json_arr(broken.result, "refused"), 0);
  is_str(bt_json_str(refused, "route"), "ns/b.example/", "its route is refused");
  ok(strstr(bt_json_str_or(refused, "message", ""), "HAProxy refuses it: "), "in HAProxy's words: %s", bt_json_str_or(refused, "message", ""));
  is_str(who("a.example"), "one", "the other one is served");
  BT_AUTO_FREE char *good = state_of(PLAIN ",{\"id\":\"ns/c.example/\",\"protocol\":\"http\",\"hosts\":[\"c.example\"],\"targets\":[{\"pool\":\"p\",\"weight\":1}]}", e, "");
  is_int(apply(good, &mended), BT_OK, "the next state");
  ok(json_is_true(json_object_get(mended.result, "reloaded")) && json_array_size(bt_json_arr(mended.result, "refused")) == 0, "another backend is a reload");
  is_str(who("c.example"), "one", "and it is served");
}

/* HAProxy hands its tables on as soon as it need not wait for a predecessor of its own any more. */
static bool knows_its_past(void) {
  BT_AUTO_FREE char *peers = told("show peers");
  const char *flags = strstr(peers, "flags=");
  return flags && (strtol(flags + 6, NULL, 16) & 3) == 3;
}

#define LIMITED                                                                                                                       \
  "{\"id\":\"ns/few.example/\",\"protocol\":\"http\",\"hosts\":[\"few.example\"],\"targets\":[{\"pool\":\"p\",\"weight\":1}],\"rate_limit\":" \
  "{\"requests\":3,\"period_ms\":600000}}"
#define STICKY                                                                                                                          \
  "{\"id\":\"ns/same.example/\",\"protocol\":\"http\",\"hosts\":[\"same.example\"],\"targets\":[{\"pool\":\"p\",\"weight\":1}],\"sticky\":" \
  "{\"by\":\"address\",\"lifetime_ms\":600000}}"

/* Rates and addresses that stick outlive a reload; endpoints that came at run time are known by their names. */
static void test_memory(void) {
  TEST_CALL first = {0}, second = {0};
  BT_AUTO_FREE char *e0 = endpoint("id", "e0", &two, "ready");
  BT_AUTO_FREE char *e1 = endpoint("id", "e1", &one, "ready");
  BT_AUTO_FREE char *both = bt_asprintf("%s,%s", e0, e1);
  BT_AUTO_FREE char *before = state_of(LIMITED "," STICKY, e1, "");
  BT_AUTO_FREE char *after = state_of(LIMITED "," STICKY "," PLAIN, both, "");
  is_int(apply(before, &first), BT_OK, "routes with a limit and with sticky addresses");
  ok(test_wait(knows_its_past()), "HAProxy waits for no predecessor");
  is_str(who("few.example"), "one", "the limit allows some requests");
  char body[64];
  get("few.example", body);
  ok(strstr(body, "Too many"), "and then no more");
  is_str(who("same.example"), "one", "an address is served by somebody");
  is_int(change("e0", &two, "ready"), BT_OK, "another one comes, whose name is before all others");
  is_int(apply(after, &second), BT_OK, "another route");
  ok(json_is_true(json_object_get(second.result, "reloaded")), "it is a reload");
  ok(test_wait(knows_its_past()), "the new worker was told");
  get("few.example", body);
  ok(strstr(body, "Too many"), "the limit holds on: %s", body);
  is_str(who("same.example"), "one", "and who sticks, sticks");
  is_str(who("a.example"), "both", "while others are served by both");
  is_int(change("e0", &two, "gone"), BT_OK, "one endpoint is left");
}

static int master(void) {
  BT_AUTO_FREE char *path = bt_path_join(dir, "haproxy.pid");
  BT_AUTO_FREE char *text = NULL;
  size_t len;
  return bt_file_read(path, 64, &text, &len, NULL) == 0 ? atoi(text) : 0;
}

static void test_death(void) {
  int pid = master();
  ok(pid > 0 && kill(pid, SIGKILL) == 0, "HAProxy is killed");
  ok(test_wait(strstr(events.emitted, "failing")), "the host is told");
  ok(test_wait(master() != pid && strcmp(who("a.example"), "one") == 0), "and it is back with what it had");
}

/* A HAProxy of somebody else's, that reads our file beside its own. */
static void test_attach(void) {
  BT_AUTO_FREE char *base = bt_asprintf("%s/base.cfg", dir);
  BT_AUTO_FREE char *text = bt_asprintf("global\n  stats socket %s/base.sock mode 600 level admin expose-fd listeners\ndefaults\n  mode http\n  timeout connect 1s\n"
                                        "  timeout client 9s\n  timeout server 9s\nfrontend own\n  bind 127.0.0.1:%d\n  http-request return status 200\n",
                                        dir, http_port + 2);
  BT_AUTO_FREE char *ours = bt_asprintf("%s/berth.cfg", dir);
  BT_AUTO_FREE char *run = bt_asprintf("haproxy -W -D -p %s/base.pid -S %s/base-master.sock,mode,600 -f %s -f %s 2>/dev/null", dir, dir, base, ours);
  ok(bt_file_write(base, text, strlen(text), 0600, NULL) == 0 && bt_file_write(ours, "", 0, 0600, NULL) == 0 && system(run) == 0, "somebody's HAProxy runs");
  BT_AUTO_FREE char *more = bt_asprintf(",\"mode\":\"attach\",\"config_file\":\"%s\",\"base_files\":[\"%s\"],\"stats_socket\":\"%s/base.sock\",\"master_socket\":\"%s/base-master.sock\"",
                                        ours, base, dir, dir);
  load(more);
  TEST_CALL call = {0};
  BT_AUTO_FREE char *e = endpoint("id", "e1", &one, "ready");
  BT_AUTO_FREE char *state = state_of(PLAIN, e, "");
  is_int(apply(state, &call), BT_OK, "apply");
  if (call.code != BT_OK)
    printf("# %s\n", call.message);
  is_str(who("a.example"), "one", "it serves our route");
  is_int(change("e2", &two, "ready"), BT_OK, "an endpoint comes");
  is_str(who("a.example"), "both", "and answers");
}

/* What no route is to blame for: the operator's own words. */
static void test_refused_whole(void) {
  load(",\"log\":\"127.0.0.1:514 no-such-facility\"");
  TEST_CALL call = {0}, again = {0};
  BT_AUTO_FREE char *e = endpoint("id", "e1", &one, "ready");
  BT_AUTO_FREE char *state = state_of(PLAIN, e, "");
  is_int(apply(state, &call), BT_INVALID, "a configuration that HAProxy refuses");
  ok(strstr(call.message, "HAProxy refuses the configuration: ") && strstr(call.message, "facility"), "in its words: %s", call.message);
  is_int(apply(state, &again), BT_INVALID, "and again");
  is_int(change("e2", &two, "ready"), BT_INVALID, "who changes endpoints is told the same");
}

static void end_pid(const char *file) {
  BT_AUTO_FREE char *path = bt_path_join(dir, file);
  BT_AUTO_FREE char *text = NULL;
  size_t len;
  if (bt_file_read(path, 64, &text, &len, NULL) == 0)
    kill(atoi(text), SIGTERM);
}

/* How the doctor finds HAProxy where nothing is to be served: there, another version, absent. */
static void probed(const char *program, const char *status, const char *detail, const char *version) {
  BT_AUTO_FREE char *module = test_modules("plugins/lb-haproxy/.libs");
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"lb\",\"plugin\":\"%s/lb-haproxy.so\",\"config\":{\"program\":\"%s\",\"dir\":\"%s/idle\"}}]",
                                        module, program, dir);
  test_load("[]");
  test_load(json);
  struct bt_plugin *asked = bt_plugins_named(T.plugins, "lb");
  const struct berth_lb *lb = bt_plugin_methods(asked, BERTH_LB);
  TEST_CALL c = {0};
  struct bt_plugin_call call = {.method = "lb.probe", .done = test_done, .arg = &c};
  bt_plugin_invoke(asked, lb, probe, &call);
  run_until(&c.done, 8000);
  is_str(bt_json_str(c.result, "status"), status, program);
  ok(strstr(bt_json_str_or(c.result, "detail", ""), detail), "it says: %s", bt_json_str_or(c.result, "detail", "nothing"));
  ok(bt_starts(bt_json_str_or(c.result, "version", ""), version), "its version: %s", bt_json_str_or(c.result, "version", "none"));
}

static void test_idle(void) {
  BT_AUTO_FREE char *old = bt_asprintf("%s/old-haproxy", dir), *absent = bt_asprintf("%s/no-haproxy", dir);
  FILE *f = fopen(old, "we");
  BT_ASSERT(f);
  fputs("#!/bin/sh\necho 'HA-Proxy version 1.8.0-1 2018/01/01'\n", f);
  fclose(f);
  BT_ASSERT(chmod(old, 0755) == 0);
  probed("haproxy", "ok", "nothing is to be served", "2.");
  probed(old, "ok", "nothing is to be served", "1.8.0-1");
  probed(absent, "failing", "is not on the server's machine: install it", "");
  probed("/bin/true", "failing", "tells no version", "");
  test_load("[]");
}

static bool is_free(int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  BT_AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0;
}

/* The first of n ports in a row that nobody has, below those that the kernel gives to whoever asks for any. */
static int free_ports(int n) {
  int first = 20000 + (int)getpid() * 4 % 12000;
  for (int i = 0, found = 0; i < 12000 && found < n; i++) {
    found = is_free(20000 + (first - 20000 + i) % 12000) ? found + 1 : 0;
    if (found == n)
      return 20000 + (first - 20000 + i) % 12000 - n + 1;
  }
  return first;
}

int main(void) {
  if (system("command -v haproxy >/dev/null && command -v curl >/dev/null") != 0)
    return skip_all("haproxy or curl is not installed");
  char template[] = "/dev/shm/berth-lb-XXXXXX"; /* a tmpfs: nothing has to be mounted, which a process of its own may not */
  dir = mkdtemp(template);
  http_port = free_ports(3);
  ok(web_start(&one) && web_start(&two), "two endpoints");
  test_open_server(NULL);
  test_idle();
  load("");
  test_routes();
  test_drain();
  test_refused();
  test_memory();
  test_death();
  run_for(700); /* the child that started HAProxy is waited for a moment longer, since HAProxy had its pipes */
  test_close_server();
  is_str(who("a.example"), "one", "without the plug-in HAProxy serves on");
  end_pid("haproxy.pid");
  test_call_free(&events);
  events = (struct test_call){0};
  test_open_server(NULL);
  test_attach();
  test_close_server();
  end_pid("base.pid");
  test_call_free(&events);
  events = (struct test_call){0};
  ok(test_wait(!*who("a.example")), "somebody's HAProxy is gone");
  test_open_server(NULL);
  test_refused_whole();
  test_free_server();
  test_call_free(&events);
  web_stop(&one);
  web_stop(&two);
  BT_AUTO_FREE char *sweep = bt_asprintf("rm -rf %s", dir);
  ok(system(sweep) == 0, "nothing is left");
  return done_testing();
}
