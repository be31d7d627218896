/* lb-haproxy: HAProxy as the way in: routes and endpoints as berth/lb.h has them, brought into force without an interruption. */
#include "../common/plugin.h"
#include "engine.h"

/* ---------------------------------------------------------------- methods */

static void wait_for(struct berth_instance *self, berth_op op, bool apply) {
  struct lbh_waiter *w = pu_new(struct lbh_waiter);
  *w = (struct lbh_waiter){op, apply, NULL};
  struct lbh_waiter **tail = &self->waiters;
  while (*tail)
    tail = &(*tail)->next;
  *tail = w;
}

static void on_turn(void *arg) {
  struct berth_instance *self = arg;
  self->turn = 0;
  lbh_sync(self);
}

static void apply(struct berth_instance *self, berth_op op, const struct berth_lb_apply *request) {
  struct lbh_state fresh;
  PU_AUTO_FREE why = NULL;
  if (!lbh_state_read(request->state_json ? request->state_json : "", &fresh, &why)) {
    self->ops->finish(self->host, op, BERTH_INVALID, why, NULL);
    return;
  }
  lbh_state_free(&self->state);
  self->state = fresh;
  self->applied = self->reshape = true;
  pu_set(&self->refused_hash, NULL); /* whoever applies again wants another try */
  wait_for(self, op, true);
  if (!self->turn) /* thousands of routes took their time to be read: the loop has its turn before they are written */
    self->turn = self->timer->after(self->host, 0, on_turn, self);
}

static void update(struct berth_instance *self, berth_op op, const struct berth_lb_update *request) {
  PU_AUTO_FREE why = NULL;
  bool unknown = !self->applied;
  if (unknown || !lbh_state_change(&self->state, request->changes_json ? request->changes_json : "", &unknown, &why)) {
    self->ops->finish(self->host, op, unknown ? BERTH_CONFLICT : BERTH_INVALID, why ? why : "nothing was applied yet: apply the whole state", NULL);
    return;
  }
  wait_for(self, op, false);
  lbh_sync(self);
}

static void drain(struct berth_instance *self, berth_op op, const struct berth_lb_drain *request) {
  const char *endpoint = request->endpoint ? request->endpoint : "";
  if (!lbh_state_drain(&self->state, endpoint)) {
    self->ops->finish(self->host, op, BERTH_OK, NULL, "{\"open\":0}");
    return;
  }
  lbh_drain_add(self, op, endpoint, request->deadline_ms);
  lbh_sync(self);
  lbh_drain_look(self);
}

static void events(struct berth_instance *self, berth_op op) {
  if (self->watch)
    self->ops->finish(self->host, self->watch, BERTH_CANCELLED, "another one listens now", NULL);
  self->watch = op;
}

static void answer_probe(struct berth_instance *self, berth_op op, bool failing, const char *detail, const char *version) {
  PU_AUTO_JSON o = json_pack("{s:s,s:o,s:o}", "status", failing ? "failing" : "ok", "detail", pu_json_string(detail), "version",
                             pu_json_string(version ? version : ""));
  PU_AUTO_FREE text = pu_json_text(o);
  self->ops->finish(self->host, op, BERTH_OK, NULL, text);
}

/* Nothing is to be served yet: whether what would serve it is there, and in which version, is told by the program itself. */
struct lbh_asked {
  struct berth_instance *self;
  struct lbh_asked *next;
  berth_op op; /* 0: nobody waits for it any more */
};

static void forget_asked(struct lbh_asked *a) {
  for (struct lbh_asked **at = &a->self->asked; *at; at = &(*at)->next)
    if (*at == a) {
      *at = a->next;
      break;
    }
  free(a);
}

static const char idle[] = "nothing is to be served, so it does not run";

/* "HAProxy version 2.6.12-1 2023/…", "HA-Proxy version 1.8…". */
static void on_version(void *arg, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct lbh_asked *a = arg;
  (void)err, (void)err_len;
  if (!a->op) {
    forget_asked(a);
    return;
  }
  static const char before[] = "roxy version ";
  PU_AUTO_FREE said = pu_strndup(out, out_len);
  char *version = strstr(said, before);
  if (status == 0 && version) {
    version += sizeof before - 1;
    version[strcspn(version, " \n")] = '\0';
    answer_probe(a->self, a->op, false, idle, version);
  } else {
    PU_AUTO_FREE detail = pu_asprintf("%s -v tells no version of HAProxy (exit status %d): check program under this plug-in's config",
                                      a->self->settings.program, status);
    answer_probe(a->self, a->op, true, detail, NULL);
  }
  forget_asked(a);
}

static void ask_program(struct berth_instance *self, berth_op op) {
  const char *argv[] = {self->settings.program, "-v", NULL};
  static const char *env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
  struct lbh_asked *a = pu_new(struct lbh_asked);
  *a = (struct lbh_asked){self, self->asked, op};
  self->asked = a;
  struct berth_child_request request = {
      .size = sizeof request, .argv = argv, .env = env, .timeout_ms = 4000, .max_output = 65536, .done = on_version, .arg = a};
  if (self->child->spawn(self->host, &request))
    return;
  forget_asked(a);
  PU_AUTO_FREE detail = pu_asprintf("%s is not on the server's machine: install it (apt-get install haproxy), or name it as program",
                                    self->settings.program);
  answer_probe(self, op, true, detail, NULL);
}

static void probe(struct berth_instance *self, berth_op op) {
  if (!self->alive && !self->failing && !self->settings.attach)
    ask_program(self, op);
  else
    answer_probe(self, op, self->failing, self->detail ? self->detail : self->alive ? "it runs, and has what it should" : idle,
                 self->product_version);
}

static void cancel(struct berth_instance *self, berth_op op) {
  if (op == self->watch) {
    self->watch = 0;
    self->ops->finish(self->host, op, BERTH_CANCELLED, "the caller gave up", NULL);
    return;
  }
  for (struct lbh_asked *a = self->asked; a; a = a->next)
    if (a->op == op) {
      a->op = 0;
      self->ops->finish(self->host, op, BERTH_CANCELLED, "the caller gave up", NULL);
      return;
    }
  for (struct lbh_waiter **at = &self->waiters; *at; at = &(*at)->next) {
    struct lbh_waiter *w = *at;
    if (w->op != op)
      continue;
    *at = w->next;
    self->ops->finish(self->host, op, BERTH_CANCELLED, "the caller gave up", NULL);
    free(w);
    return;
  }
  lbh_drain_cancel(self, op);
}

/* ---------------------------------------------------------------- life */

PU_SETTINGS(struct lbh_settings, lbh_settings_read, lbh_settings_free)

static void get_services(struct berth_instance *self, const struct berth_host *host) {
  self->host = host;
  self->ops = host->service(host, BERTH_HOST_OPS);
  self->log = host->service(host, BERTH_HOST_LOG);
  self->timer = host->service(host, BERTH_HOST_TIMER);
  self->fds = host->service(host, BERTH_HOST_FD);
  self->child = host->service(host, BERTH_HOST_CHILD);
  self->workers = host->service(host, BERTH_HOST_WORKER);
  self->events = host->service(host, BERTH_HOST_EVENTS);
  self->metrics = host->service(host, BERTH_HOST_METRICS);
}

static void release(struct berth_instance *self) {
  lbh_cli_free(&self->cli);
  lbh_process_stop(self);
  lbh_files_stop(self);
  lbh_drain_free(self);
  lbh_report_free(self);
  while (self->waiters) {
    struct lbh_waiter *w = self->waiters;
    self->waiters = w->next;
    free(w);
  }
  lbh_state_free(&self->state);
  lbh_text_free(&self->text);
  lbh_table_free(&self->want);
  lbh_table_free(&self->is);
  lbh_commands_free(&self->commands);
  for (size_t i = 0; i < self->listening.len; i++)
    free(self->listening.items[i]);
  free(self->listening.items);
  char *texts[] = {self->user, self->running, self->refused_hash, self->refusal, self->detail, self->product_version, self->good_text,
                   self->told_refused};
  for (size_t i = 0; i < PU_COUNT(texts); i++)
    free(texts[i]);
  lbh_settings_free(&self->settings);
  free(self);
}

static enum berth_code start(const struct berth_host *host, const char *config_json, struct berth_instance **out, const char **why) {
  struct lbh_settings settings;
  enum berth_code code = read_settings(config_json, &settings, why);
  if (code != BERTH_OK)
    return code;
  struct berth_instance *self = pu_new(struct berth_instance);
  get_services(self, host);
  self->settings = settings;
  self->pidfd = self->ending = -1;
  self->cli = lbh_cli_new(host);
  if (!lbh_prepare(self, pu_sentence_fresh())) {
    *why = *pu_sentence();
    release(self);
    return BERTH_IO;
  }
  lbh_report_start(self);
  *out = self;
  return BERTH_OK;
}

/* HAProxy runs on, as containers do, unless the configuration says otherwise. */
static void stop(struct berth_instance *self) {
  if (!self->settings.keep_running)
    lbh_end_product(self);
  release(self);
}

static const struct berth_field fields[] = {
    {.name = "mode",
     .type = BERTH_STRING,
     .fallback = "child",
     .immutable = true,
     .doc = "child: HAProxy is started and watched by this plug-in; attach: it runs already, and reads config_file beside its own files."},
    {.name = "program", .type = BERTH_STRING, .fallback = "haproxy", .doc = "HAProxy's program: a name in PATH or a path."},
    {.name = "http", .type = BERTH_LIST, .fallback = "[\"*:80\"]", .max = 16, .doc = "Addresses that plain HTTP routes share."},
    {.name = "https", .type = BERTH_LIST, .fallback = "[\"*:443\"]", .max = 16, .doc = "Addresses that HTTP routes with TLS share."},
    {.name = "tcp_address", .type = BERTH_STRING, .fallback = "*", .doc = "Address that TCP routes listen on."},
    {.name = "tcp_port_min", .type = BERTH_INT, .fallback = "1024", .min = 1, .max = 65535, .doc = "The least port that a TCP route may have."},
    {.name = "accept_proxy_from",
     .type = BERTH_LIST,
     .fallback = "[]",
     .max = 64,
     .doc = "Networks whose connections to http and https begin with a PROXY protocol header."},
    {.name = "trust_forwarded_from",
     .type = BERTH_LIST,
     .fallback = "[]",
     .max = 64,
     .doc = "Networks of proxies in front, whose X-Forwarded-For is kept and added to; anybody else's is replaced."},
    {.name = "dir",
     .type = BERTH_STRING,
     .fallback = "/run/berth/haproxy",
     .immutable = true,
     .doc = "Folder for the configuration, sockets and pages; keys lie in a tmpfs under it."},
    {.name = "config_file", .type = BERTH_STRING, .immutable = true, .doc = "The file that is written; haproxy.cfg in dir by default."},
    {.name = "stats_socket", .type = BERTH_STRING, .immutable = true, .doc = "attach: HAProxy's runtime socket, of level admin."},
    {.name = "master_socket", .type = BERTH_STRING, .immutable = true, .doc = "attach: the socket of HAProxy's master process (haproxy -S), for reloads."},
    {.name = "reload_command", .type = BERTH_LIST, .fallback = "[]", .max = 32, .doc = "attach: a command that reloads HAProxy, in place of master_socket."},
    {.name = "base_files", .type = BERTH_LIST, .fallback = "[]", .max = 16, .doc = "attach: HAProxy's own files, which are read before config_file, for the check."},
    {.name = "peers", .type = BERTH_STRING, .doc = "attach: a peers section of base_files with the local peer, so that a reload keeps rates and sticky addresses."},
    {.name = "user", .type = BERTH_STRING, .doc = "User that HAProxy's worker runs as where berthd is root; haproxy where there is one."},
    {.name = "log", .type = BERTH_STRING, .doc = "HAProxy's log target, as \"127.0.0.1:514 local0\"; none by default."},
    {.name = "maxconn", .type = BERTH_INT, .fallback = "0", .min = 0, .max = 1000000, .doc = "Connections at the same time; 0: what HAProxy makes of its limits."},
    {.name = "client_timeout", .type = BERTH_DURATION, .fallback = "60s", .min = 1000, .max = 86400000, .doc = "How long a client may be silent, in and between requests."},
    {.name = "hard_stop_after",
     .type = BERTH_DURATION,
     .fallback = "15m",
     .min = 1000,
     .max = 86400000,
     .doc = "How long connections of before a reload may go on."},
    {.name = "stats_interval", .type = BERTH_DURATION, .fallback = "5s", .min = 200, .max = 3600000, .doc = "Between two looks at HAProxy's statistics, for metrics."},
    {.name = "keep_running",
     .type = BERTH_BOOL,
     .fallback = "true",
     .doc = "HAProxy serves on when berthd or this plug-in stops; false: it ends, after what is open."},
    {0}};

static const struct berth_lb methods = {.size = sizeof methods,
                                        .apply = apply,
                                        .update = update,
                                        .drain = drain,
                                        .stats = lbh_report_stats,
                                        .events = events,
                                        .probe = probe};
static const struct berth_interface interfaces[] = {{BERTH_LB, &methods}, {0}};
static const char *const needs[] = {BERTH_HOST_OPS, BERTH_HOST_LOG, BERTH_HOST_TIMER, BERTH_HOST_FD, BERTH_HOST_WORKER, BERTH_HOST_CHILD, NULL};
static const struct berth_product products[] = {
    {"haproxy", ">=2.4", "HAProxy with dynamic servers on its runtime socket: https://docs.haproxy.org"}, {0}};
static const char *const roles[] = {"route.ingress", NULL}; /* two would claim the same ports */

PU_PLUGIN("lb-haproxy", "Routes for outside traffic, through HAProxy.", interfaces, needs, fields, (.products = products, .exclusive = roles), .validate = validate, .start = start,
          .stop = stop, .cancel = cancel);
