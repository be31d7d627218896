/* runtime-docker when the engine is away, comes, goes and comes again; and over TCP with TLS. The engine is a private dockerd
 * without networks, so that it can be stopped. It lives in a network namespace of its own: a dockerd with --bridge=none
 * takes the machine's docker0 away, from under the engine that everybody uses. */
#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>

#include "plugins/runtime.h"

static struct {
  pid_t pid;
  int port;
  char socket[128];
} E;

/* Listens on E.port of the loopback (0: any, and E.port becomes it). */
static int listen_tcp(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)E.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t n = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  BT_ASSERT(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && getsockname(fd, (struct sockaddr *)&a, &n) == 0 && listen(fd, 64) == 0);
  E.port = ntohs(a.sin_port);
  return fd;
}

/* The socket stays in this namespace, and dockerd gets it as systemd would hand it over. */
static void engine_exec(int fd) {
  BT_AUTO_FREE char *command =
      bt_asprintf("cd %s && LISTEN_FDS=1 LISTEN_PID=$$ exec dockerd --host unix://%s --host fd:// --tlsverify --tlscacert=ca.pem --tlscert=cert.pem --tlskey=key.pem "
                  "--data-root %s/data --exec-root %s/exec --pidfile %s/pid --bridge=none --iptables=false >>%s/dockerd.log 2>&1 </dev/null",
                  R.dir, E.socket, R.dir, R.dir, R.dir, R.dir);
  if (unshare(CLONE_NEWNET) == 0 && dup2(fd, 3) == 3 && fcntl(3, F_SETFD, 0) == 0)
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
  _exit(127);
}

static void engine_spawn(void) {
  BT_AUTO_CLOSE int fd = listen_tcp();
  E.pid = fork();
  if (E.pid == 0)
    engine_exec(fd);
}

static void engine_kill(int signal) {
  kill(E.pid, signal);
  waitpid(E.pid, NULL, 0);
  E.pid = 0;
}

/* Turns the loop meanwhile: the plug-in tries to connect all the time. */
static bool engine_up(void) {
  for (int i = 0; i < 300; i++) {
    if (sh(DOCKER "version >/dev/null 2>&1", E.socket))
      return true;
    run_for(100);
  }
  sh("tail -5 %s/dockerd.log | sed 's/^/# /'", R.dir);
  return false;
}

/* A CA, a server's and a client's certificate, and another CA. */
static bool certificates(void) {
  return sh("cd %s && exec 2>/dev/null && set -e; for ca in ca other; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $ca.key -out $ca.pem "
            "-days 2 -subj /CN=$ca; done; printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth\\n' >server.ext; "
            "printf 'extendedKeyUsage=clientAuth\\n' >client.ext; for w in server client; do "
            "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $w.key -out $w.csr -subj /CN=$w; "
            "openssl x509 -req -in $w.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $w.ext -out $w.crt; done; mv server.crt cert.pem; mv server.key key.pem", R.dir);
}

static void refused(const char *config, const char *part) {
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"bad\",\"plugin\":\"runtime-docker\",\"config\":%s}]", config);
  test_load(json);
  struct bt_plugin *bad = bt_plugins_named(T.plugins, "bad");
  ok(bad && bt_plugin_status(bad) == BT_PLUGIN_FAILED && strstr(bt_plugin_error(bad), part), "%s: %s", config, bad ? bt_plugin_error(bad) : "no entry");
}

static void test_config(void) {
  refused("{\"host\":\"tcp://10.0.0.1:2376\"}", "tls_ca");
  refused("{\"host\":\"ssh://x\"}", "unix:///path");
  refused("{\"host\":\"unix://relative\"}", "absolute");
  refused("{\"tls_cert\":\"/x\",\"host\":\"tcp://127.0.0.1:1\"}", "tls_key");
  refused("{\"api_version\":\"1.24\"}", "1.41");
  refused("{\"api_version\":\"new\"}", "api_version");
  refused("{\"hots\":\"x\"}", "hots");
  test_load("[]");
}

static void test_comes_and_goes(void) {
  BT_AUTO_FREE char *config = bt_asprintf("{\"host\":\"unix://%s\"}", E.socket);
  rt_load(config);
  RT away = {0};
  rt(&away, info);
  rt_is(&away, BT_UNAVAILABLE, "an engine that is away");
  ok(strstr(away.message, E.socket), "is named");
  RT events = {0};
  struct berth_runtime_list request = {.size = sizeof request, .label = R.full};
  rt_begin(&events, events, &request);
  ok(rt_wait(&events, rt_want_object, "\"gap\"", 10000), "events begin with a gap");
  run_for(1000);
  is_int(json_array_size(events.objects), 1, "which is told once, not for every try");
  engine_spawn();
  ok(engine_up(), "the engine comes");
  ok(rt_wait(&events, rt_want_object, "\"connected\"", 10000), "the stream stands by itself");
  ok(image_make(), "an image");
  char *id = make("one", "{\"command\":[\"sleep\",\"600\"],\"init\":true}", "\"network_mode\":\"none\"");
  start(id);
  ok(rt_wait(&events, rt_want_object, "\"start\"", 10000), "events come");
  RT logs = {0}, half = {0}, gone = {0}, back = {0};
  struct berth_runtime_logs follow = {.size = sizeof follow, .id = id, .follow = true, .tail = -1};
  rt_begin(&logs, logs, &follow);
  run_for(200);
  engine_kill(SIGTERM);
  ok(rt_wait(&events, rt_want_object, "\"gap\"", 10000), "the engine goes: a gap");
  run_until(&logs.done, 5000);
  ok(logs.done, "a stream that was open ends");
  container(&half, inspect, .id = id);
  rt_is(&half, BT_UNAVAILABLE, "a call meanwhile");
  engine_spawn();
  ok(engine_up(), "the engine comes back");
  ok(rt_wait(&events, rt_want_object, "\"connected\"", 10000), "so does the stream");
  struct berth_runtime_list all = {.size = sizeof all, .label = R.full};
  rt(&gone, list, &all);
  is_int(json_array_size(bt_json_arr(gone.result, "containers")), 1, "what was there is there");
  discard(id);
  ok(rt_wait(&events, rt_want_object, "\"destroy\"", 10000), "events go on");
  bt_plugin_cancel(R.entry, events.op);
  run_until(&events.done, 5000);
  rt(&back, info);
  rt_is(&back, BT_OK, "and all is well");
}

static void test_tls(void) {
  BT_AUTO_FREE char *good = bt_asprintf("{\"host\":\"tcp://127.0.0.1:%d\",\"tls_ca\":\"%s/ca.pem\",\"tls_cert\":\"%s/client.crt\",\"tls_key\":\"%s/client.key\"}", E.port, R.dir,
                                        R.dir, R.dir);
  BT_AUTO_FREE char *other = bt_asprintf("{\"host\":\"tcp://127.0.0.1:%d\",\"tls_ca\":\"%s/other.pem\",\"tls_cert\":\"%s/client.crt\",\"tls_key\":\"%s/client.key\"}", E.port, R.dir,
                                         R.dir, R.dir);
  BT_AUTO_FREE char *nobody = bt_asprintf("{\"host\":\"tcp://127.0.0.1:%d\",\"tls_ca\":\"%s/ca.pem\"}", E.port, R.dir);
  rt_load(other);
  RT c = {0}, d = {0}, e = {0}, f = {0};
  rt(&c, info);
  rt_is(&c, BT_UNAVAILABLE, "another authority");
  rt_load(nobody);
  rt(&d, info);
  rt_is(&d, BT_UNAVAILABLE, "no certificate of ours");
  rt_load(good);
  rt(&e, info);
  rt_is(&e, BT_OK, "TCP with TLS");
  char *id = make("tls", "{\"command\":[\"sleep\",\"600\"],\"init\":true}", "\"network_mode\":\"none\"");
  start(id);
  inside(id, "echo plain", "plain");
  struct berth_runtime_exec request = {.size = sizeof request, .id = id, .command_json = "[\"cat\"]", .stdin_open = true};
  rt_begin(&f, exec, &request);
  const struct berth_runtime *table = bt_plugin_methods(R.entry, BERTH_RUNTIME);
  table->input(bt_plugin_enter(R.entry), f.op, "word\n", 5);
  bt_plugin_leave(R.entry);
  ok(rt_wait(&f, rt_want_text, "word", 10000), "input and output of an exec over TLS");
  table->input(bt_plugin_enter(R.entry), f.op, "", 0);
  bt_plugin_leave(R.entry);
  run_until(&f.done, 10000);
  rt_is(&f, BT_OK, "its end");
  discard(id);
  BT_AUTO_FREE char *late = bt_asprintf("{\"host\":\"unix://%s\",\"api_version\":\"9.99\"}", E.socket);
  rt_load(late);
  RT old = {0};
  rt(&old, info);
  rt_is(&old, BT_UNSUPPORTED, "an engine that is too old");
}

/* Operations of all kinds are under way when the entry stops: each ends once, and nothing is left (the sanitizer looks). */
static void test_stop(void) {
  BT_AUTO_FREE char *config = bt_asprintf("{\"host\":\"unix://%s\"}", E.socket);
  rt_load(config);
  char *id = make("stop", "{\"command\":[\"sleep\",\"600\"],\"init\":true}", "\"network_mode\":\"none\"");
  start(id);
  struct rt c[5] = {0};
  struct berth_runtime_list events = {.size = sizeof events};
  struct berth_runtime_logs logs = {.size = sizeof logs, .id = id, .follow = true, .tail = -1};
  struct berth_runtime_exec exec = {.size = sizeof exec, .id = id, .command_json = "[\"cat\"]", .stdin_open = true};
  struct berth_runtime_build build = {.size = sizeof build, .context = R.dir, .build_json = "{\"dockerfile_inline\":\"FROM x\"}", .tags_json = "[]"};
  rt_begin(&c[0], events, &events);
  rt_begin(&c[1], logs, &logs);
  rt_begin(&c[2], exec, &exec);
  exec.stdin_open = false;
  rt_begin(&c[3], exec, &exec);
  rt_begin(&c[4], image_build, &build);
  run_for(100);
  test_load("[]");
  for (int i = 0; i < 5; i++)
    ok(c[i].done, "operation %d ended: %s", i, c[i].done ? c[i].message : "");
  run_for(300);
  for (int i = 0; i < 5; i++)
    rt_free(&c[i]);
  sh(DOCKER "rm -f %s >/dev/null 2>&1", E.socket, id);
  free(id);
}

int main(void) {
  if (geteuid() != 0 || !sh("command -v dockerd >/dev/null && command -v docker >/dev/null && command -v openssl >/dev/null") || access("/bin/busybox", X_OK) != 0)
    return skip_all("a dockerd of its own needs root, docker, openssl and busybox-static");
  rt_open(E.socket);
  snprintf(E.socket, sizeof E.socket, "%s/d.sock", R.dir);
  ok(certificates(), "certificates");
  test_config();
  test_comes_and_goes();
  test_tls();
  test_stop();
  rt_cleanup_objects();
  engine_kill(SIGTERM);
  sh("for m in $(grep -o ' %s[^ ]*' /proc/mounts | sort -r); do umount -l $m; done 2>/dev/null", R.dir);
  return rt_finish();
}
