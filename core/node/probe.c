/* Probes of x-berth: http, tcp and exec checks that Berth runs itself; and what the engine's own health check says. startup holds the others back until it passes once; readiness
 * takes an instance out of the port proxy; liveness restarts it. One timer per configured probe; nothing otherwise. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "node/internal.h"

enum which { STARTUP, READINESS, LIVENESS, NPROBES };
static const char *const names[NPROBES] = {"startup", "readiness", "liveness"};

struct probe {
  struct bt_probes *owner;
  enum which which;
  json_t *spec;                /* borrowed from the class */
  int64_t interval_ms, timeout_ms;
  int failures_wanted, successes_wanted;
  int failures, successes;     /* in a row */
  struct bt_timer *timer;      /* next check, or the timeout of the one in flight (tcp) */
  bool in_flight;
  struct bt_http_call *http;
  berth_op op;
  int fd;
  struct bt_watch *watch;
  char *last_error;
  struct bt_buf said; /* what the command of an exec check printed, its end */
};

struct bt_probes {
  struct bt_inst *in; /* NULL: stopped; freed when nothing is in flight */
  int64_t started_ms;
  struct probe p[NPROBES];
};

static int64_t duration(const json_t *spec, const char *key, int64_t or) {
  int64_t ns;
  return bt_duration_parse(bt_json_str(spec, key), &ns) ? ns / 1000000 : or;
}

static void maybe_free(struct bt_probes *probes) {
  if (probes->in)
    return;
  for (int i = 0; i < NPROBES; i++)
    if (probes->p[i].in_flight)
      return;
  for (int i = 0; i < NPROBES; i++) {
    bt_timer_free(&probes->p[i].timer);
    json_decref(probes->p[i].spec);
    free(probes->p[i].last_error);
    bt_buf_free(&probes->p[i].said);
  }
  free(probes);
}

static bool startup_pending(const struct bt_probes *probes) {
  return probes->p[STARTUP].spec && !probes->in->startup_ok;
}

static void failed_for_good(struct probe *p) {
  struct bt_inst *in = p->owner->in;
  BT_AUTO_FREE char *text = bt_asprintf("its %s probe failed %d times in a row: %s", names[p->which], p->failures,
                                        p->last_error ? p->last_error : "no answer");
  bt_str_set(&in->error, text);
  p->failures = 0;
  if (p->which == READINESS) {
    in->readiness_ok = false;
    bt_inst_refresh_ready(in);
    return;
  }
  in->failures++;
  bt_inst_tell(in);
  bt_inst_restart(in);
}

static void passed(struct probe *p) {
  struct bt_inst *in = p->owner->in;
  if (p->which == STARTUP && !in->startup_ok)
    in->startup_ok = true;
  else if (p->which == READINESS && !in->readiness_ok) {
    in->readiness_ok = true;
    bt_str_set(&in->error, NULL);
  } else
    return;
  bt_inst_refresh_ready(in);
}

static void concluded(struct probe *p, const char *error) {
  p->in_flight = false;
  struct bt_probes *probes = p->owner;
  if (!probes->in) {
    maybe_free(probes);
    return;
  }
  bt_timer_set(p->timer, p->interval_ms);
  if (error) {
    bt_str_set(&p->last_error, error);
    p->successes = 0;
    int64_t start_period = duration(p->spec, "start_period", 0);
    bool early = bt_clock_mono_ms() - probes->started_ms < start_period;
    if (!early && ++p->failures >= p->failures_wanted)
      failed_for_good(p);
  } else {
    p->failures = 0;
    if (++p->successes >= p->successes_wanted)
      passed(p);
  }
}

/* ---------------------------------------------------------------- http */

static void http_done(void *arg, enum bt_code code, const char *message, int status, const char *body, size_t len) {
  struct probe *p = arg;
  (void)body;
  (void)len;
  p->http = NULL;
  json_t *want = json_object_get(bt_json_obj(p->spec, "http"), "status");
  bool good = code == BT_OK && (json_is_integer(want) ? status == json_integer_value(want) : status >= 200 && status < 400);
  BT_AUTO_FREE char *text = good              ? NULL
                            : code == BT_OK ? bt_asprintf("HTTP status %d", status)
                                              : bt_strdup(message);
  concluded(p, text);
}

static bool discard(void *arg, const void *data, size_t len) {
  (void)arg, (void)data, (void)len;
  return true;
}

static void check_http(struct probe *p) {
  json_t *h = bt_json_obj(p->spec, "http");
  const char *ip = p->owner->in->ip ? p->owner->in->ip : "127.0.0.1";
  bool v6 = strchr(ip, ':') != NULL;
  BT_AUTO_FREE char *url = bt_asprintf("%s://%s%s%s:%lld%s", bt_json_str_or(h, "scheme", "http"), v6 ? "[" : "", ip,
                                       v6 ? "]" : "", bt_json_int(h, "port", 80), bt_json_str_or(h, "path", "/"));
  json_t *named = bt_json_obj(h, "headers");
  BT_AUTO_FREE struct bt_http_pair *headers = bt_newn(struct bt_http_pair, json_object_size(named) + 1);
  size_t n = 0;
  const char *key;
  json_t *value;
  json_object_foreach(named, key, value) headers[n++] = (struct bt_http_pair){key, json_string_value(value)};
  struct bt_http_request req = {.method = "GET",
                                .url = url,
                                .headers = headers,
                                .nheaders = n,
                                .timeout_ms = p->timeout_ms,
                                .connect_timeout_ms = p->timeout_ms,
                                .tls_insecure = true, /* a container's own certificate; nothing is trusted from it */
                                .on_data = discard,
                                .done = http_done,
                                .arg = p};
  p->http = bt_http_request(p->owner->in->agent->o.http, &req);
}

/* ---------------------------------------------------------------- tcp */

static void tcp_end(struct probe *p, const char *error) {
  bt_watch_free(&p->watch);
  bt_closep(&p->fd);
  concluded(p, error);
}

static void tcp_writable(void *arg, int fd, int events) {
  struct probe *p = arg;
  (void)events;
  int e = 0;
  socklen_t n = sizeof e;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n);
  tcp_end(p, e ? strerror(e) : NULL);
}

static void check_tcp(struct probe *p) {
  const char *ip = p->owner->in->ip ? p->owner->in->ip : "127.0.0.1";
  uint16_t port = htons((uint16_t)bt_json_int(bt_json_obj(p->spec, "tcp"), "port", 0));
  struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = port};
  struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = port};
  bool v6 = strchr(ip, ':') != NULL;
  if (inet_pton(v6 ? AF_INET6 : AF_INET, ip, v6 ? (void *)&a6.sin6_addr : (void *)&a4.sin_addr) != 1) {
    concluded(p, "the container has no address");
    return;
  }
  p->fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int rc = p->fd < 0 ? -1
                     : connect(p->fd, v6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4, v6 ? sizeof a6 : sizeof a4);
  if (rc < 0 && errno != EINPROGRESS) {
    tcp_end(p, strerror(errno));
    return;
  }
  p->watch = bt_watch_new(p->owner->in->agent->o.loop, "node: tcp probe", p->fd, BT_WATCH_WRITE, tcp_writable, p);
  bt_timer_set(p->timer, p->timeout_ms);
}

/* ---------------------------------------------------------------- exec */

static size_t exec_said(void *arg, int channel, const void *data, size_t len) {
  enum { most = 1024 };
  struct probe *p = arg;
  if (channel != BERTH_RUNTIME_STDOUT && channel != BERTH_RUNTIME_STDERR)
    return 0;
  size_t part = BT_MIN(len, (size_t)most);
  if (p->said.len + part > most) { /* the end counts */
    size_t gone = p->said.len + part - most;
    memmove(p->said.data, p->said.data + gone, p->said.len - gone);
    p->said.len -= gone;
  }
  bt_buf_add(&p->said, (const char *)data + (len - part), part);
  return 0;
}

static void exec_done(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct probe *p = arg;
  p->op = 0;
  long long exit_code = code == BT_OK ? bt_json_int(result, "exit_code", 0) : 0;
  BT_AUTO_FREE char *said = exit_code ? bt_node_last_words(p->said.data, p->said.len) : NULL;
  BT_AUTO_FREE char *text = code != BT_OK ? bt_strdup(message)
                            : exit_code   ? bt_asprintf("the command ended with exit code %lld%s%s", exit_code, said ? ": " : "", said ? said : "")
                                          : NULL;
  bt_buf_free(&p->said);
  concluded(p, text);
}

static void check_exec(struct probe *p) {
  BT_AUTO_FREE char *command = bt_json_text(json_object_get(bt_json_obj(p->spec, "exec"), "command"));
  struct berth_runtime_exec req = {sizeof req, .id = p->owner->in->container_id, .command_json = command};
  struct bt_plugin_call call = {
      .method = "runtime.exec", .deadline_ms = p->timeout_ms, .emit = exec_said, .done = exec_done, .arg = p};
  p->op = bt_agent_call(p->owner->in->agent, exec, &call, &req);
}

/* ---------------------------------------------------------------- the engine's health check */

static const char unhealthy_words[] = "its health check fails";

void bt_health_forget(struct bt_inst *in) {
  berth_op look = in->look;
  in->look = 0;
  if (look)
    bt_plugin_abandon(bt_agent_runtime(in->agent), look);
}

static void set_health(struct bt_inst *in, const char *health, const char *output) {
  BT_AUTO_FREE char *said = bt_node_last_words(output, strlen(output));
  if (bt_streq(health, "unhealthy")) {
    free(in->error);
    in->error = bt_asprintf("%s%s%s", unhealthy_words, said ? ": " : "", said ? said : "");
  } else if (in->error && bt_starts(in->error, unhealthy_words)) {
    bt_str_set(&in->error, NULL);
  }
  bt_inst_health(in, health);
}

void bt_health_observe(struct bt_inst *in, const json_t *container) {
  set_health(in, bt_json_str(container, "health"), bt_json_str_or(container, "health_output", ""));
}

static void looked(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_inst *in = arg;
  (void)message;
  in->look = 0;
  if (!in->running || in->agent->stopping)
    return;
  if (code == BT_OK)
    bt_health_observe(in, result);
  else
    set_health(in, "unhealthy", "");
}

void bt_health_event(struct bt_inst *in, const char *health) {
  bt_health_forget(in);
  if (!bt_streq(health, "unhealthy") || !in->container_id) {
    set_health(in, health, "");
    return;
  }
  struct berth_runtime_container req = {sizeof req, .id = in->container_id};
  struct bt_plugin_call call = {.method = "runtime.inspect", .deadline_ms = 5000, .done = looked, .arg = in};
  in->look = bt_agent_call(in->agent, inspect, &call, &req);
}

/* ---------------------------------------------------------------- turns */

static void on_timer(void *arg) {
  struct probe *p = arg;
  if (p->in_flight) { /* only a tcp check has its timeout here */
    if (p->fd >= 0)
      tcp_end(p, "no answer in time");
    return;
  }
  struct bt_inst *in = p->owner->in;
  if (!in->container_id || !in->agent->connected || (p->which != STARTUP && startup_pending(p->owner)) ||
      (p->which == STARTUP && in->startup_ok)) {
    if (!(p->which == STARTUP && in->startup_ok))
      bt_timer_set(p->timer, p->interval_ms);
    return;
  }
  p->in_flight = true;
  if (bt_json_obj(p->spec, "http"))
    check_http(p);
  else if (bt_json_obj(p->spec, "tcp"))
    check_tcp(p);
  else
    check_exec(p);
}

static void arm(struct bt_probes *probes, enum which which, json_t *spec) {
  struct probe *p = &probes->p[which];
  *p = (struct probe){.owner = probes, .which = which, .spec = json_incref(spec), .fd = -1};
  p->interval_ms = BT_MAX(duration(spec, "interval", 10000), 100);
  p->timeout_ms = BT_MAX(duration(spec, "timeout", 5000), 100);
  p->failures_wanted = (int)bt_json_int(spec, "failures", 3);
  p->successes_wanted = (int)bt_json_int(spec, "successes", 1);
  p->timer = bt_timer_new(probes->in->agent->o.loop, "node: probe", on_timer, p);
  bt_timer_set(p->timer, which == LIVENESS ? p->interval_ms : 0);
}

void bt_probes_start(struct bt_inst *in) {
  bt_probes_stop(in);
  json_t *spec = bt_json_obj(in->klass, "probes");
  if (!spec || !json_object_size(spec))
    return;
  struct bt_probes *probes = bt_new(struct bt_probes);
  probes->in = in;
  probes->started_ms = bt_clock_mono_ms();
  for (int i = 0; i < NPROBES; i++) {
    probes->p[i].fd = -1;
    json_t *one = bt_json_obj(spec, names[i]);
    if (one)
      arm(probes, (enum which)i, one);
  }
  in->probes = probes;
}

void bt_probes_stop(struct bt_inst *in) {
  struct bt_probes *probes = bt_steal(in->probes);
  if (!probes)
    return;
  probes->in = NULL;
  for (int i = 0; i < NPROBES; i++) {
    struct probe *p = &probes->p[i];
    if (p->timer)
      bt_timer_clear(p->timer);
    if (p->fd >= 0) {
      bt_watch_free(&p->watch);
      bt_closep(&p->fd);
      p->in_flight = false;
    }
    if (p->op) {
      bt_plugin_abandon(bt_agent_runtime(in->agent), p->op);
      p->op = 0;
      p->in_flight = false;
    }
    if (p->http)
      bt_http_cancel(p->http); /* its done comes later and frees */
  }
  maybe_free(probes);
}
