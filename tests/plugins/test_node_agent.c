/* The node agent with the real runtime plug-in against the real engine; this program plays the server's side of the messages
 * (core/model/messages.md). Skips where no Docker Engine answers. */
#include "config.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "node/agent.h"
#include "node/internal.h"
#include "plan/backoff.h"
#include "plugin/plugin.h"
#include "tap.h"

enum { patience_ms = 30000 };

static struct {
  struct bt_loop *loop;
  struct bt_pool *pool;
  struct bt_http *http;
  struct bt_plugins *plugins;
  struct bt_plugin_server server;
  struct bt_agent *agent;
  struct bt_map *reports; /* instance -> json_t, the last report */
  struct bt_map *dropped;
  int hellos;
  struct bt_timer *patience, *pulse;
  bool late;
  bool (*until)(void);
  char run_dir[64], server_id[32], prefix[32];
  int port;
} T;

static void decref(void *p) { json_decref(p); }

static void from_agent(void *arg, json_t *message) {
  (void)arg;
  const char *type = bt_json_str_or(message, "type", "");
  if (bt_streq(type, "hello"))
    T.hellos++;
  if (bt_streq(type, "report"))
    bt_map_set(T.reports, bt_json_str_or(message, "instance", "?"), json_incref(message));
  if (bt_streq(type, "dropped") && !bt_json_str(message, "error"))
    bt_map_set(T.dropped, bt_json_str_or(message, "name", "?"), json_incref(message));
  json_decref(message);
}

static int content(void *arg, const char *ns, const char *key, void **data, size_t *len, struct bt_err **err) {
  (void)arg, (void)ns;
  if (!bt_streq(key, "secrets/t/pw/1"))
    return bt_err_set(err, BT_NOT_FOUND, "no secret %s", key);
  *data = bt_strdup("hunter2");
  *len = 7;
  return 0;
}

static void on_patience(void *arg) {
  (void)arg;
  T.late = true;
  bt_loop_stop(T.loop);
}

static void on_pulse(void *arg) {
  (void)arg;
  if (T.until())
    bt_loop_stop(T.loop);
  else
    bt_timer_set(T.pulse, 10);
}

static bool run_until(bool (*until)(void)) {
  T.late = false;
  T.until = until;
  bt_timer_set(T.patience, patience_ms);
  bt_timer_set(T.pulse, 1);
  bt_loop_run(T.loop);
  bt_timer_clear(T.pulse);
  return !T.late;
}

static const json_t *report(const char *slot) {
  BT_AUTO_FREE char *id = bt_asprintf("%s-%s", T.prefix, slot);
  return bt_map_get(T.reports, id);
}

static bool is(const char *slot, const char *state, bool ready) {
  const json_t *r = report(slot);
  return r && bt_streq(bt_json_str(r, "state"), state) && bt_json_bool(r, "ready", false) == ready;
}

static bool said_hello(void) { return T.hellos > 0; }
static bool both_ready(void) { return is("w1", "running", true) && is("w2", "running", true); }
static bool w1_restarted(void) { return is("w1", "running", true) && bt_json_int(report("w1"), "restarts", 0) == 1; }
static bool f_waits(void) {
  return is("f1", "failed", false) && bt_json_int(report("f1"), "failures", 0) >= 2 &&
         bt_json_int(report("f1"), "next_start_ms", 0) > 0;
}
static bool f_and_w2_gone(void) { return is("f1", "removed", false) && is("w2", "removed", false); }
static bool all_gone(void) { return is("w1", "removed", false); }
static bool all_dropped(void) { return bt_map_len(T.dropped) == 2; }

static void start_agent(void) {
  BT_AUTO_ERR err = NULL;
  const char *build = getenv("top_builddir");
  BT_AUTO_FREE char *portd = bt_asprintf("%s/core/berth-portd", build ? build : ".");
  BT_AUTO_FREE char *absolute = realpath(portd, NULL);
  struct bt_agent_options o = {.node_name = "n",
                               .server_id = T.server_id,
                               .run_dir = T.run_dir,
                               .loop = T.loop,
                               .plugins = T.plugins,
                               .pool = T.pool,
                               .http = T.http,
                               .portd = absolute ? absolute : portd,
                               .send = from_agent,
                               .content = content};
  T.hellos = 0;
  if (bt_agent_new(&o, &T.agent, &err) < 0)
    ok(false, "%s", bt_err_message(err));
  bt_agent_start(T.agent);
}

static json_t *class_of(const char *command, int port) {
  json_t *k = json_pack("{ss, s{s[sss], s{ss}}, s{ss,ss,ss}, s{ss}, si}", "hash", command, "service", "command", "sh", "-c", command,
                        "environment", "A", "b", "labels", "berth.namespace", "default", "berth.app", "t", "berth.service", "w",
                        "restart", "condition", "any", "stop_grace_ms", 500);
  BT_AUTO_FREE char *volume = bt_asprintf("%s-vol", T.prefix);
  bt_json_set(k, "mounts", json_pack("[{ss,ss,ss}]", "type", "volume", "source", volume, "target", "/data"));
  bt_json_set(k, "secrets", json_pack("[{ss,ss}]", "key", "secrets/t/pw/1", "source", "pw"));
  if (port)
    bt_json_set(k, "ingress", json_pack("[{si,si,ss}]", "target", 80, "published", port, "host_ip", "127.0.0.1"));
  return k;
}

static json_t *assignment(const char *slot, json_t *klass) {
  BT_AUTO_FREE char *id = bt_asprintf("%s-%s", T.prefix, slot);
  BT_AUTO_FREE char *net = bt_asprintf("%s-net", T.prefix);
  return json_pack("{ss,ss,si,ss,sO,s[{ss,s[s]}]}", "instance", id, "namespace", "default", "slot", 1, "image", "berth-test-agent:1",
                   "class", klass, "networks", "name", net, "aliases", "w");
}

static json_t *sync_message(json_t *web, json_t *fail) {
  BT_AUTO_FREE char *net = bt_asprintf("%s-net", T.prefix);
  BT_AUTO_FREE char *volume = bt_asprintf("%s-vol", T.prefix);
  json_t *list = json_array();
  json_array_append_new(list, assignment("w1", web));
  json_array_append_new(list, assignment("w2", web));
  if (fail)
    json_array_append_new(list, assignment("f1", fail));
  return json_pack("{ss,so,s[{ss}],s[{ss}]}", "type", "sync", "instances", list, "networks", "name", net, "volumes", "name", volume);
}

static void tell(json_t *message) {
  bt_agent_message(T.agent, message);
  json_decref(message);
}

/* One GET over the published port; the body of the answer. */
static bool fetch(char *out, size_t room) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)T.port)};
  static const char request[] = "GET /id HTTP/1.0\r\n\r\n";
  size_t len = 0;
  if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0 && write(fd, request, sizeof request - 1) > 0)
    for (ssize_t n; len + 1 < room && (n = read(fd, out + len, room - 1 - len)) > 0;)
      len += (size_t)n;
  out[len] = 0;
  close(fd);
  return strstr(out, "200 OK") != NULL;
}

static bool port_serves(void) {
  char body[512];
  return fetch(body, sizeof body);
}

static int sh(const char *fmt, const char *a) {
  BT_AUTO_FREE char *command = bt_asprintf(fmt, a);
  return system(command);
}

static void test_life(void) {
  BT_AUTO_JSON web = class_of("mkdir -p /www; hostname >/www/id; cat /run/secrets/pw >/www/pw; exec httpd -f -p 80 -h /www", T.port);
  BT_AUTO_JSON fail = class_of("exit 3", 0);
  ok(run_until(said_hello), "the agent says hello");
  tell(sync_message(web, fail));
  if (!ok(run_until(both_ready), "two instances run and are ready"))
    return;
  ok(run_until(port_serves), "the published port leads to one of them");
  char one[512] = "", two[512] = "";
  bool both = fetch(one, sizeof one) && fetch(two, sizeof two);
  for (int i = 0; both && i < 4 && strcmp(one, two) == 0; i++) /* the proxy may hear of the second a moment later */
    both = fetch(two, sizeof two);
  ok(both && strcmp(one, two) != 0, "to both in turn");
  BT_AUTO_FREE char *id = bt_strdup(bt_json_str(report("w1"), "container_id"));
  is_int(sh("docker exec %s sh -c 'test \"$(cat /www/pw)\" = hunter2 && ! touch /run/secrets/pw 2>/dev/null'", id), 0,
         "the secret is there, read-only");
  int64_t before = bt_clock_mono_ms();
  is_int(sh("docker kill %s >/dev/null", id), 0, "killed by hand");
  ok(run_until(w1_restarted), "it is back, in the same container");
  int64_t took = bt_clock_mono_ms() - before;
  ok(took < 3000, "soon: %lld ms", (long long)took);
  is_str(bt_json_str(report("w1"), "container_id"), id, "the same container");
  ok(run_until(f_waits), "a failing one starts again at once, then waits");
  is_int(bt_json_int(report("f1"), "exit_code", 0), 3, "its exit code is told");
  int64_t wait = bt_json_int(report("f1"), "next_start_ms", 0) - bt_clock_wall_ms();
  int64_t longest = bt_backoff_delay_ms((int)bt_json_int(report("f1"), "failures", 0), 0); /* a slow machine is further on */
  ok(wait > 0 && wait <= longest, "at most %lld ms: %lld ms", (long long)longest, (long long)wait);
}

static bool h_waits(void) {
  return is("h1", "failed", false) && bt_json_int(report("h1"), "failures", 0) == 2 &&
         bt_json_int(report("h1"), "next_start_ms", 0) > 0;
}
static bool h_gone(void) { return is("h1", "removed", false); }

static void test_failing_hook(void) {
  BT_AUTO_JSON hooked = class_of("exec sleep 1000", 0);
  bt_json_set(hooked, "hooks", json_pack("{s[{s[sss]}]}", "post_start", "command", "sh", "-c", "exit 7"));
  tell(json_pack("{ss,so}", "type", "assign", "instance", assignment("h1", hooked)));
  ok(run_until(h_waits), "a container whose hook fails is started anew at once, then waits");
  ok(strstr(bt_json_str_or(report("h1"), "error", ""), "exit code 7") != NULL, "and says why");
  BT_AUTO_FREE char *id = bt_strdup(bt_json_str(report("h1"), "container_id"));
  is_int(sh("test \"$(docker inspect -f '{{.State.Running}}' %s)\" = false", id), 0, "meanwhile it does not run");
  BT_AUTO_FREE char *h1 = bt_asprintf("%s-h1", T.prefix);
  tell(json_pack("{ss,ss}", "type", "release", "instance", h1));
  ok(run_until(h_gone), "it goes");
}

static bool j_ended(void) { return is("j1", "exited", false) && bt_json_bool(report("j1"), "final", false); }
static bool j_gone(void) { return is("j1", "removed", false); }

/* The order to restart it and the news of its end pass each other: its place is another's by then. */
static void test_job_restarted_as_it_ends(void) {
  BT_AUTO_JSON task = class_of("exit 0", 0);
  bt_json_set_bool(task, "job", true);
  BT_AUTO_FREE char *j1 = bt_asprintf("%s-j1", T.prefix);
  tell(json_pack("{ss,so}", "type", "assign", "instance", assignment("j1", task)));
  ok(run_until(j_ended), "an attempt of a job ends");
  const struct bt_inst *in = bt_map_get(T.agent->instances, j1);
  tell(json_pack("{ss,ss}", "type", "restart", "instance", j1));
  ok(in->finished && !in->want_restart && j_ended(), "it is not restarted any more");
  tell(json_pack("{ss,ss}", "type", "release", "instance", j1));
  ok(run_until(j_gone), "it goes");
}

/* ---- the wall clock is set: everything in this program that asks for the time of day gets it shifted ---- */

static int64_t shift_s;

int clock_gettime(clockid_t id, struct timespec *ts) {
  int rc = (int)syscall(SYS_clock_gettime, id, ts);
  if (rc == 0 && id == CLOCK_REALTIME)
    ts->tv_sec += shift_s;
  return rc;
}

static bool b_waits(void) { return bt_json_int(report("b1"), "failures", 0) == 1 && bt_json_int(report("b1"), "next_start_ms", 0) > 0; }
static bool b_again(void) { return bt_json_int(report("b1"), "restarts", 0) == 1; }
static bool b_gone(void) { return is("b1", "removed", false); }

static void test_clock_set_back(void) {
  enum { hour_s = 3600, delay_ms = 1500 };
  BT_AUTO_JSON ends = class_of("exit 3", 0);
  bt_json_set(ends, "restart", json_pack("{ss,si}", "condition", "any", "delay_ms", delay_ms));
  tell(json_pack("{ss,so}", "type", "assign", "instance", assignment("b1", ends)));
  ok(run_until(b_waits), "one that ended waits for its next start");
  shift_s = -hour_s;
  ok(run_until(b_again), "which comes in time, though the clock was set back by an hour");
  BT_AUTO_FREE char *b1 = bt_asprintf("%s-b1", T.prefix);
  tell(json_pack("{ss,ss}", "type", "release", "instance", b1));
  ok(run_until(b_gone), "it goes");
  json_t *told = assignment("b1", ends);
  bt_json_set_int(told, "failures", 1);
  bt_json_set_int(told, "next_start_ms", bt_clock_wall_ms() + hour_s * 1000);
  bt_map_del(T.reports, b1);
  tell(json_pack("{ss,so}", "type", "assign", "instance", told));
  struct bt_inst *in = bt_map_get(T.agent->instances, b1);
  ok(in && in->next_start_ms > bt_clock_mono_ms() && in->next_start_ms <= bt_clock_mono_ms() + BT_BACKOFF_FIRST_MS,
     "set back while no agent ran: it waits no longer than its failures are worth");
  tell(json_pack("{ss,ss}", "type", "release", "instance", b1));
  ok(run_until(b_gone), "it goes");
  shift_s = 0;
}

static bool never(void) { return false; }

/* What it asked of the engine is still on its way when it ends: the answers must not find what is freed. */
static void test_end_while_asking(void) {
  BT_AUTO_JSON web = class_of("exec sleep 1000", 0);
  start_agent();
  ok(run_until(said_hello), "an agent that is to end early says hello");
  tell(sync_message(web, NULL));
  bt_agent_free(&T.agent);
  bt_timer_set(T.patience, 500);
  T.until = never;
  bt_loop_run(T.loop);
  ok(!T.agent, "it ended while its calls were open");
}

static void test_adoption(void) {
  BT_AUTO_JSON web = class_of("mkdir -p /www; hostname >/www/id; cat /run/secrets/pw >/www/pw; exec httpd -f -p 80 -h /www", T.port);
  BT_AUTO_FREE char *id = bt_strdup(bt_json_str(report("w1"), "container_id"));
  BT_AUTO_FREE char *started = bt_asprintf("%lld", bt_json_int(report("w1"), "started_ms", 0));
  bt_agent_free(&T.agent);
  ok(port_serves(), "without the agent the port goes on");
  test_end_while_asking();
  bt_map_free(&T.reports);
  T.reports = bt_map_new(decref);
  start_agent();
  ok(run_until(said_hello), "a new agent says hello");
  BT_AUTO_FREE char *orphan = bt_asprintf("%s-orphan", T.prefix);
  BT_AUTO_FREE char *label = bt_asprintf("berth.server=%s", T.server_id);
  BT_AUTO_FREE char *create = bt_asprintf("docker create --name %s --label %s berth-test-agent:1 true >/dev/null", orphan, label);
  is_int(system(create), 0, "a left-over of ours");
  tell(sync_message(web, NULL));
  ok(run_until(both_ready), "it adopts what runs");
  is_str(bt_json_str(report("w1"), "container_id"), id, "the same container");
  BT_AUTO_FREE char *now = bt_asprintf("%lld", bt_json_int(report("w1"), "started_ms", 0));
  ok(labs(atol(now) - atol(started)) < 1000, "which was never touched: started at %s, seen at %s", started, now);
  bool gone = false;
  for (int i = 0; i < 50 && !gone; i++) {
    gone = sh("docker inspect %s >/dev/null 2>&1", orphan) != 0;
    bt_timer_set(T.patience, 100);
    bt_loop_run(T.loop);
  }
  ok(gone, "the left-over is removed");
}

/* ---- other limits in place ---- */

static json_t *limited(const char *hash, const char *memory) {
  json_t *k = class_of("mkdir -p /www; exec httpd -f -p 80 -h /www", 0), *limits = json_pack("{s{s{ss}}}", "resources", "limits", "memory", memory);
  bt_json_set(bt_json_obj(k, "service"), "deploy", limits);
  bt_json_set_str(k, "hash", hash);
  return k;
}

static void assign_limits(const char *hash, const char *memory) {
  BT_AUTO_JSON k = limited(hash, memory);
  tell(json_pack("{ss,so}", "type", "assign", "instance", assignment("l1", k)));
}

static const char *wanted_hash;
static bool l_is(void) { return is("l1", "running", true) && bt_streq(bt_json_str(report("l1"), "hash"), wanted_hash) && !bt_json_obj(report("l1"), "refused"); }
static bool l_refused(void) { return bt_streq(bt_json_str(bt_json_obj(report("l1"), "refused"), "hash"), wanted_hash); }
static bool l_gone(void) { return is("l1", "removed", false); }
static bool becomes(const char *hash) {
  wanted_hash = hash;
  return run_until(l_is);
}

static long memory_of(void) {
  BT_AUTO_FREE char *command = bt_asprintf("docker inspect -f '{{.HostConfig.Memory}}' %s-l1", T.prefix);
  char text[32] = "";
  FILE *f = popen(command, "r");
  bool got = f && fgets(text, sizeof text, f);
  if (f)
    pclose(f);
  return got ? atol(text) >> 20 : -1;
}

static void test_in_place(void) {
  assign_limits("h32", "32m");
  ok(becomes("h32"), "it runs with 32 MiB");
  BT_AUTO_FREE char *id = bt_strdup(bt_json_str(report("l1"), "container_id"));
  BT_AUTO_FREE char *started = bt_asprintf("%lld", bt_json_int(report("l1"), "started_ms", 0));
  assign_limits("h64", "64m");
  ok(becomes("h64"), "another class is told when it is in force");
  is_int(memory_of(), 64, "the engine has its limit");
  wanted_hash = "h1";
  assign_limits("h1", "4096");
  ok(run_until(l_refused), "what the engine refuses is told: %s", bt_json_str(bt_json_obj(report("l1"), "refused"), "why"));
  is_str(bt_json_str(report("l1"), "hash"), "h64", "with what it still is");
  assign_limits("h64", "64m");
  ok(becomes("h64"), "back to that there is nothing to do, which is told");
  assign_limits("h48", "48m");
  assign_limits("h40", "40m"); /* while the first is under way */
  ok(becomes("h40") && memory_of() == 40, "of two changes the last one counts");
  bt_agent_free(&T.agent);
  bt_map_free(&T.reports);
  T.reports = bt_map_new(decref);
  start_agent();
  ok(run_until(said_hello), "a new agent");
  BT_AUTO_JSON k = limited("h56", "56m");
  BT_AUTO_JSON web = class_of("mkdir -p /www; hostname >/www/id; cat /run/secrets/pw >/www/pw; exec httpd -f -p 80 -h /www", T.port);
  json_t *m = sync_message(web, NULL);
  json_array_append_new(bt_json_arr(m, "instances"), assignment("l1", k));
  tell(m);
  ok(becomes("h56") && memory_of() == 56, "catches up with what it missed");
  is_str(bt_json_str(report("l1"), "container_id"), id, "all that in one container");
  BT_AUTO_FREE char *now = bt_asprintf("%lld", bt_json_int(report("l1"), "started_ms", 0));
  ok(labs(atol(now) - atol(started)) < 1000, "which was never restarted");
  is_int(bt_json_int(report("l1"), "restarts", -1), 0, "nor counted as such");
  BT_AUTO_FREE char *l1 = bt_asprintf("%s-l1", T.prefix);
  tell(json_pack("{ss,ss}", "type", "release", "instance", l1));
  ok(run_until(l_gone), "it goes");
}

static void test_end(void) {
  BT_AUTO_FREE char *w2 = bt_asprintf("%s-w2", T.prefix);
  BT_AUTO_FREE char *w1 = bt_asprintf("%s-w1", T.prefix);
  BT_AUTO_FREE char *f1 = bt_asprintf("%s-f1", T.prefix);
  tell(json_pack("{ss,ss}", "type", "release", "instance", w2));
  tell(json_pack("{ss,ss}", "type", "release", "instance", f1));
  ok(run_until(f_and_w2_gone), "released ones go");
  ok(port_serves(), "the other still serves");
  tell(json_pack("{ss,ss}", "type", "release", "instance", w1));
  ok(run_until(all_gone), "all gone");
  is_int(bt_map_len(T.agent->images), 0, "and with them what was known of their images");
  BT_AUTO_FREE char *net = bt_asprintf("%s-net", T.prefix);
  BT_AUTO_FREE char *volume = bt_asprintf("%s-vol", T.prefix);
  BT_AUTO_FREE char *theirs = bt_asprintf("curl -sf --unix-socket /var/run/docker.sock -H 'Content-Type: application/json' -d "
                                          "'{\"Name\":\"%s\",\"Labels\":{\"berth.server\":\"another\",\"berth.namespace\":\"n\"}}' "
                                          "http://d/v1.41/networks/create >/dev/null", net);
  is_int(system(theirs), 0, "another server has a network of that name");
  tell(json_pack("{ss,ss}", "type", "network_drop", "name", net));
  tell(json_pack("{ss,ss}", "type", "volume_drop", "name", volume));
  ok(run_until(all_dropped), "network and volume are dropped");
  is_int(sh("test \"$(docker network ls --format '{{.Label \"berth.server\"}}' -f name=^%s$)\" = another", net), 0, "the other server's stays");
  is_int(sh("docker network rm %s >/dev/null", net), 0, "until it goes, too");
  bt_agent_free(&T.agent);
  BT_AUTO_FREE char *content_dir = bt_asprintf("%s/content", T.run_dir);
  ok(!bt_file_exists(content_dir), "no secret and no mount is left");
}

/* The port proxy ends by itself once it has nothing to do; wait for its socket to be of no use. */
static void wait_for_portd(void) {
  for (int i = 0; i < 80; i++) {
    BT_AUTO_FREE char *command = bt_asprintf("pgrep -f '%s/portd.sock' >/dev/null", T.run_dir);
    if (system(command) != 0)
      return;
    usleep(100000);
  }
}

static bool prepare_image(void) {
  return system("docker image inspect berth-test-agent:1 >/dev/null 2>&1 || { d=$(mktemp -d) && mkdir -p $d/bin $d/tmp && "
                "cp /bin/busybox $d/bin/ && for a in sh httpd cat hostname mkdir sleep touch test true; do ln -s busybox $d/bin/$a; done && "
                "tar -C $d -c . | docker import -c 'ENV PATH=/bin' - berth-test-agent:1 >/dev/null; rm -rf $d; }") == 0;
}

int main(void) {
  if (system("docker version >/dev/null 2>&1") != 0 || access("/bin/busybox", X_OK) != 0)
    return skip_all("no Docker Engine answers, or busybox-static is missing");
  bt_log_setup(BT_LOG_WARN, false);
  ok(prepare_image(), "an image");
  snprintf(T.run_dir, sizeof T.run_dir, "/tmp/berth-agent-XXXXXX");
  if (!mkdtemp(T.run_dir))
    return 1;
  snprintf(T.server_id, sizeof T.server_id, "t%ld", (long)getpid());
  snprintf(T.prefix, sizeof T.prefix, "bta%ld", (long)getpid());
  T.port = 20000 + getpid() % 12000;
  T.loop = bt_loop_new();
  T.pool = bt_pool_new(T.loop, 2);
  T.http = bt_http_new(T.loop);
  T.patience = bt_timer_new(T.loop, "patience", on_patience, NULL);
  T.pulse = bt_timer_new(T.loop, "pulse", on_pulse, NULL);
  T.reports = bt_map_new(decref);
  T.dropped = bt_map_new(decref);
  struct bt_plugins_setup setup = {.loop = T.loop, .http = T.http, .pool = T.pool, .server = &T.server};
  T.plugins = bt_plugins_new(&setup);
  struct bt_plugin_entry entry = {.name = "engine", .plugin = "runtime-docker"};
  const char *build = getenv("top_builddir");
  BT_AUTO_FREE char *so = bt_asprintf("%s/plugins/runtime-docker/.libs/runtime-docker.so", build ? build : ".");
  BT_AUTO_FREE char *absolute = realpath(so, NULL);
  entry.plugin = absolute ? absolute : entry.plugin;
  bt_plugins_load(T.plugins, &entry, 1);
  start_agent();
  test_life();
  test_failing_hook();
  test_job_restarted_as_it_ends();
  test_clock_set_back();
  test_adoption();
  test_in_place();
  test_end();
  wait_for_portd();
  bt_plugins_free(&T.plugins);
  bt_map_free(&T.reports);
  bt_map_free(&T.dropped);
  bt_timer_free(&T.patience);
  bt_timer_free(&T.pulse);
  bt_pool_free(&T.pool);
  bt_http_free(&T.http);
  bt_loop_free(&T.loop);
  BT_AUTO_FREE char *rm = bt_asprintf("rm -rf %s; docker rmi -f berth-test-agent:1 >/dev/null 2>&1", T.run_dir);
  ok(system(rm) == 0, "nothing is left");
  return done_testing();
}
