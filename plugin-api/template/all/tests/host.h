/* A host for unit tests: it hands the plug-in tables that note what is asked, and lets the test answer. One file, no loop, no
 * threads; what berth-plugin-check and the server do on top (deadlines, hostile input, processes) is theirs. Prints TAP. */
#ifndef TESTS_HOST_H
#define TESTS_HOST_H

#include <berth/host.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- TAP */

static int tap_count, tap_failed;

__attribute__((format(printf, 2, 3), unused)) static bool ok(bool good, const char *name, ...) {
  va_list ap;
  va_start(ap, name);
  printf("%sok %d - ", good ? "" : "not ", ++tap_count);
  vprintf(name, ap);
  printf("\n");
  va_end(ap);
  tap_failed += !good;
  return good;
}

__attribute__((unused)) static void has(const char *text, const char *part, const char *name) {
  if (!ok(text && strstr(text, part), "%s", name))
    printf("#   got: %s\n#  want it to have: %s\n", text ? text : "(nothing)", part);
}

__attribute__((unused)) static int done_testing(void) {
  printf("1..%d\n", tap_count);
  return tap_failed ? 1 : 0;
}

/* ---------------------------------------------------------------- what the plug-in did */

static struct {
  const struct berth_plugin *plugin;
  struct berth_instance *self;
  /* finish: of the last operation */
  berth_op op;
  int finished;
  enum berth_code code;
  char message[512], result[65536];
  char emitted[4096]; /* pieces one after the other */
  char logged[4096];  /* the last line */
  int64_t timer_ms;   /* of the timer that waits; -1: none */
  void (*timer)(void *arg);
  void *timer_arg;
  struct berth_http_request request; /* the one that is open: its url and body are copies */
  bool requesting;
  char url[1024], body[65536];
  bool (*on_event)(void *arg, const struct berth_event *event);
  void *event_arg;
  struct berth_route route; /* the last one added */
  int status;               /* of the last reply */
  char reply[65536];
  struct berth_child_request child; /* the last one spawned */
  char command[1024];               /* its words, joined by blanks */
  bool child_runs;
} H = {.timer_ms = -1};

#define COPY(to, text, n) snprintf(to, sizeof to, "%.*s", (int)(n), (const char *)((text) ? (text) : ""))

/* ---------------------------------------------------------------- services */

static void h_finish(const struct berth_host *host, berth_op op, enum berth_code code, const char *message, const char *result) {
  (void)host;
  H.finished += op == H.op;
  H.code = code;
  snprintf(H.message, sizeof H.message, "%s", message ? message : "");
  snprintf(H.result, sizeof H.result, "%s", result ? result : "{}");
}
static size_t h_emit(const struct berth_host *host, berth_op op, int channel, const void *data, size_t len) {
  (void)host, (void)op, (void)channel;
  size_t n = strlen(H.emitted);
  snprintf(H.emitted + n, sizeof H.emitted - n, "%.*s", (int)len, (const char *)data);
  return 0;
}
static void h_log(const struct berth_host *host, enum berth_log_level level, const char *text) {
  (void)host, (void)level;
  snprintf(H.logged, sizeof H.logged, "%s", text);
}
static int64_t h_mono(const struct berth_host *host) { return (void)host, 1000; }
static int64_t h_wall(const struct berth_host *host) { return (void)host, 1700000000000; }
static berth_handle h_after(const struct berth_host *host, int64_t ms, void (*cb)(void *arg), void *arg) {
  (void)host;
  H.timer = cb, H.timer_arg = arg, H.timer_ms = ms;
  return 1;
}
static void h_cancel_timer(const struct berth_host *host, berth_handle timer) {
  (void)host;
  if (timer)
    H.timer_ms = -1;
}
static void h_run(const struct berth_host *host, void (*work)(void *arg), void (*done)(void *arg), void *arg) {
  (void)host;
  work(arg);
  if (done)
    done(arg);
}
static berth_handle h_request(const struct berth_host *host, const struct berth_http_request *request) {
  (void)host;
  H.request = *request;
  H.requesting = true;
  COPY(H.url, request->url, 1000);
  COPY(H.body, request->body, request->body_len);
  return 1;
}
static void h_cancel_request(const struct berth_host *host, berth_handle request) {
  (void)host, (void)request;
  if (H.requesting) {
    H.requesting = false;
    H.request.done(H.request.arg, BERTH_CANCELLED, "cancelled", 0, "", 0);
  }
}
static berth_handle h_subscribe(const struct berth_host *host, uint64_t after, bool (*cb)(void *arg, const struct berth_event *event),
                                void *arg) {
  (void)host, (void)after;
  H.on_event = cb, H.event_arg = arg;
  return 1;
}
static void h_subscription(const struct berth_host *host, berth_handle subscription) { (void)host, (void)subscription; }
static void h_publish(const struct berth_host *host, const char *type, const char *severity, const char *message, const char *data) {
  (void)host, (void)type, (void)severity, (void)message, (void)data;
}
static void h_set(const struct berth_host *host, const struct berth_metric_sample *sample) { (void)host, (void)sample; }
static void h_collect(const struct berth_host *host, int64_t max_age_ms, void (*sample)(void *arg, const struct berth_metric_sample *s),
                      void (*done)(void *arg, enum berth_code code, const char *message), void *arg) {
  (void)host, (void)max_age_ms;
  static const struct berth_pair labels[] = {{"app", "shop"}, {"service", "web"}};
  struct berth_metric_sample s = {.size = sizeof s, .name = "berth_instances", .help = "Instances.", .kind = BERTH_GAUGE,
                                  .labels = labels, .nlabels = 2, .value = 3};
  sample(arg, &s);
  done(arg, BERTH_OK, "");
}
static berth_handle h_add_route(const struct berth_host *host, const struct berth_route *route) {
  (void)host;
  H.route = *route;
  return 1;
}
static void h_remove_route(const struct berth_host *host, berth_handle route) { (void)host, (void)route; }
static void h_reply(const struct berth_host *host, berth_op reply, int status, const struct berth_pair *headers, size_t nheaders,
                    const void *body, size_t len) {
  (void)host, (void)reply, (void)headers, (void)nheaders;
  H.status = status;
  COPY(H.reply, body, len);
}
static berth_handle h_spawn(const struct berth_host *host, const struct berth_child_request *request) {
  (void)host;
  H.child = *request;
  H.child_runs = true;
  H.command[0] = 0;
  for (size_t i = 0; request->argv[i]; i++) {
    size_t n = strlen(H.command);
    snprintf(H.command + n, sizeof H.command - n, "%s%s", i ? " " : "", request->argv[i]);
  }
  return 1;
}
static void h_kill(const struct berth_host *host, berth_handle child) {
  (void)host, (void)child;
  if (H.child_runs) {
    H.child_runs = false;
    H.child.done(H.child.arg, -9, "", 0, "", 0);
  }
}

/* Services of berth/host.h that are missing here answer NULL; add the one that your plug-in needs. */
static const void *h_service(const struct berth_host *host, const char *id) {
  static const struct berth_host_ops ops = {.size = sizeof ops, .finish = h_finish, .emit = h_emit};
  static const struct berth_host_log log = {.size = sizeof log, .log = h_log};
  static const struct berth_host_timer timer = {
      .size = sizeof timer, .mono_ms = h_mono, .wall_ms = h_wall, .after = h_after, .cancel = h_cancel_timer};
  static const struct berth_host_worker worker = {.size = sizeof worker, .run = h_run};
  static const struct berth_host_http http = {.size = sizeof http, .request = h_request, .cancel = h_cancel_request};
  static const struct berth_host_events events = {.size = sizeof events,
                                                  .subscribe = h_subscribe,
                                                  .resume = h_subscription,
                                                  .unsubscribe = h_subscription,
                                                  .publish = h_publish};
  static const struct berth_host_metrics metrics = {.size = sizeof metrics, .set = h_set, .collect = h_collect};
  static const struct berth_host_routes routes = {
      .size = sizeof routes, .add = h_add_route, .remove = h_remove_route, .reply = h_reply};
  static const struct berth_host_child child = {.size = sizeof child, .spawn = h_spawn, .kill = h_kill};
  static const struct {
    const char *id;
    const void *table;
  } all[] = {{BERTH_HOST_OPS, &ops},       {BERTH_HOST_LOG, &log},         {BERTH_HOST_TIMER, &timer},
             {BERTH_HOST_WORKER, &worker}, {BERTH_HOST_HTTP, &http},       {BERTH_HOST_EVENTS, &events},
             {BERTH_HOST_METRICS, &metrics}, {BERTH_HOST_ROUTES, &routes}, {BERTH_HOST_CHILD, &child}};
  (void)host;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (strcmp(all[i].id, id) == 0)
      return all[i].table;
  return NULL;
}

/* ---------------------------------------------------------------- for tests */

/* Loads the plug-in and looks at what the loader looks at. Ends the test where there is nothing to test. */
__attribute__((unused)) static void load(int argc, char **argv) {
  void *so = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  H.plugin = so ? dlsym(so, BERTH_PLUGIN_SYMBOL_NAME) : NULL;
  if (!H.plugin) {
    printf("Bail out! %s\n", argc == 2 ? dlerror() : "usage: test_plugin ./PLUGIN.so");
    exit(1);
  }
  const struct berth_manifest *m = H.plugin->manifest;
  ok(m->abi == BERTH_ABI && m->id && m->version && m->summary && m->license, "the manifest says who it is: %s %s", m->id, m->version);
  for (const char *const *need = m->needs; need && *need; need++)
    if (!h_service(NULL, *need))
      ok(false, "tests/host.h has the service %s", *need);
}

/* As the host does it: validate, then start. NULL, or the plug-in's sentence. */
__attribute__((unused)) static const char *start_entry(const char *config) {
  static const struct berth_host host = {
      .size = sizeof host, .abi = BERTH_ABI, .version = "@BERTH_VERSION@", .name = "test", .service = h_service};
  const char *why = NULL;
  H.self = NULL;
  if (H.plugin->validate && H.plugin->validate(config, &why) != BERTH_OK)
    return why ? why : "(refused without a sentence)";
  if (H.plugin->start(&host, config, &H.self, &why) != BERTH_OK)
    return why ? why : "(refused without a sentence)";
  return NULL;
}

/* As the host does it: open requests get their last callback, then the entry stops. */
__attribute__((unused)) static void stop_entry(void) {
  h_cancel_request(NULL, 1);
  h_kill(NULL, 1);
  H.timer_ms = -1;
  H.plugin->stop(H.self);
  H.self = NULL;
}

/* The table of an interface. */
__attribute__((unused)) static const void *methods_of(const char *id) {
  for (const struct berth_interface *i = H.plugin->manifest->interfaces; i->id; i++)
    if (strcmp(i->id, id) == 0)
      return i->methods;
  return NULL;
}

/* A new operation: hand it to a method, then look at H.finished, H.code, H.message, H.result. */
__attribute__((unused)) static berth_op new_op(void) {
  H.finished = 0;
  H.message[0] = H.result[0] = H.emitted[0] = 0;
  return ++H.op;
}

/* Answers the open HTTP request. */
__attribute__((unused)) static void answer(enum berth_code code, int status, const char *body) {
  H.requesting = false;
  H.request.done(H.request.arg, code, code ? "connection refused" : "", status, body, strlen(body));
}

/* Ends the child that runs. */
__attribute__((unused)) static void child_ends(int exit_status, const char *out, const char *err) {
  H.child_runs = false;
  H.child.done(H.child.arg, exit_status, out, strlen(out), err, strlen(err));
}

/* Lets the time of the timer that waits pass. */
__attribute__((unused)) static void timer_fires(void) {
  H.timer_ms = -1;
  H.timer(H.timer_arg);
}

/* An event of the server. */
__attribute__((unused)) static bool event(const char *type, const char *severity, const char *message) {
  struct berth_event e = {.size = sizeof e, .revision = 7, .time_ms = 1700000000000, .type = type, .severity = severity,
                          .namespace_ = "default", .app = "shop", .subject = "app/shop", .message = message, .data_json = "{}"};
  return H.on_event(H.event_arg, &e);
}

#endif
