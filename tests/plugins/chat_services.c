/* Uses every service of the host once, as the text of the message says, and tells what came of it. */
#include <berth/chat.h>
#include <berth/host.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  const struct berth_host_log *log;
  const struct berth_host_timer *timer;
  const struct berth_host_fd *fd;
  const struct berth_host_worker *worker;
  const struct berth_host_child *child;
  const struct berth_host_http *http;
  const struct berth_host_kv *kv;
  const struct berth_host_secret *secret;
  const struct berth_host_metrics *metrics;
  const struct berth_host_events *events;
  const struct berth_host_routes *routes;
  const struct berth_host_query *query;
  char *config;
  berth_op op; /* the call that is being worked on */
  int pipe[2];
  berth_handle watch;
  berth_handle subscription;
  int samples, reloads;
};

static void done(struct berth_instance *self, const char *json) {
  self->ops->finish(self->host, self->op, BERTH_OK, NULL, json);
}

static void failed(struct berth_instance *self, enum berth_code code, const char *why) {
  self->ops->finish(self->host, self->op, code, why, NULL);
}

static void on_timer(void *arg) { done(arg, "{\"timer\":true}"); }

static void on_fd(void *arg, int fd, int events) {
  struct berth_instance *self = arg;
  char c = 0;
  if (events & BERTH_FD_READ && read(fd, &c, 1) == 1) {
    self->fd->unwatch(self->host, self->watch);
    close(self->pipe[0]);
    close(self->pipe[1]);
    done(self, c == 'x' ? "{\"fd\":true}" : "{}");
  }
}

static void work(void *arg) { ((struct berth_instance *)arg)->samples = 42; }
static void worked(void *arg) {
  struct berth_instance *self = arg;
  done(self, self->samples == 42 ? "{\"worker\":true}" : "{}");
}

static void on_child(void *arg, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  char json[128];
  (void)err, (void)err_len;
  snprintf(json, sizeof json, "{\"status\":%d,\"out\":\"%.*s\"}", status, (int)out_len, out);
  done(arg, json);
}

static void on_http(void *arg, enum berth_code code, const char *message, int status, const char *body, size_t len) {
  char json[256];
  if (code != BERTH_OK) {
    failed(arg, code, message);
    return;
  }
  snprintf(json, sizeof json, "{\"status\":%d,\"body\":\"%.*s\"}", status, (int)len, body);
  done(arg, json);
}

static void on_put(void *arg, enum berth_code code, const char *message) {
  if (code == BERTH_OK)
    done(arg, "{\"put\":true}");
  else
    failed(arg, code, message);
}

static bool on_key(void *arg, const char *key, const void *value, size_t len) {
  char *json = arg;
  snprintf(json + strlen(json), 256 - strlen(json), "%s\"%s\":\"%.*s\"", strlen(json) > 1 ? "," : "", key, (int)len,
           (const char *)value);
  return true;
}

static void on_secret(void *arg, enum berth_code code, const char *message, const void *value, size_t len) {
  char json[128];
  if (code != BERTH_OK) {
    failed(arg, code, message);
    return;
  }
  snprintf(json, sizeof json, "{\"secret\":\"%.*s\"}", (int)len, (const char *)value);
  done(arg, json);
}

static void on_sample(void *arg, const struct berth_metric_sample *s) {
  struct berth_instance *self = arg;
  if (strcmp(s->name, "test_rounds") == 0 && s->nlabels == 2 && strcmp(s->labels[0].name, "plugin") == 0)
    self->samples += (int)s->value;
  if (strcmp(s->name, "berth_server_metric") == 0)
    self->samples += 100;
}

static void on_collected(void *arg, enum berth_code code, const char *message) {
  struct berth_instance *self = arg;
  char json[64];
  (void)message;
  snprintf(json, sizeof json, "{\"samples\":%d,\"code\":%d}", self->samples, code);
  done(self, json);
}

static bool on_event(void *arg, const struct berth_event *e) {
  struct berth_instance *self = arg;
  char json[256];
  snprintf(json, sizeof json, "{\"type\":\"%s\",\"app\":\"%s\",\"revision\":%d,\"data\":%s}", e->type, e->app,
           (int)e->revision, e->data_json);
  self->events->unsubscribe(self->host, self->subscription);
  done(self, json);
  return true;
}

static void on_query(void *arg, enum berth_code code, const char *message, const char *json) {
  if (code == BERTH_OK)
    done(arg, json);
  else
    failed(arg, code, message);
}

static void on_route(void *arg, berth_op reply, const struct berth_route_request *request) {
  struct berth_instance *self = arg;
  struct berth_pair header = {"content-type", "text/plain"};
  if (strcmp(request->path, "/test/silent") == 0)
    return;
  if (strcmp(request->path, "/test/split") == 0)
    header.name = "x\r\nset-cookie";
  self->routes->reply(self->host, reply, 200, &header, 1, request->path, strlen(request->path));
  if (strcmp(request->path, "/test/twice") == 0)
    self->routes->reply(self->host, reply, 201, NULL, 0, NULL, 0);
}

static void use_metrics(struct berth_instance *self) {
  struct berth_pair label = {"kind", "a\"b"};
  struct berth_metric_sample s = {.size = sizeof s,
                                  .name = "test_rounds",
                                  .help = "Rounds.",
                                  .kind = BERTH_GAUGE,
                                  .labels = &label,
                                  .nlabels = 1,
                                  .value = 1};
  self->samples = 0;
  self->metrics->set(self->host, &s);
  s.value = 2;
  self->metrics->set(self->host, &s);
  s.name = "no good name";
  self->metrics->set(self->host, &s);
  self->metrics->collect(self->host, 1000, on_sample, on_collected, self);
}

/* More than it may have: arg is the length of a label's value. */
static void use_series(struct berth_instance *self, const char *arg) {
  char value[1024] = "", n[16];
  memset(value, 'x', (size_t)atoi(arg));
  struct berth_pair labels[] = {{"n", n}, {"value", value}};
  struct berth_metric_sample s = {.size = sizeof s, .name = "test_many", .help = "", .kind = BERTH_GAUGE, .labels = labels, .nlabels = 2};
  for (int i = 0; i < (atoi(arg) > 100 ? 3000 : 12000); i++) {
    snprintf(n, sizeof n, "%s-%d", arg, i);
    self->metrics->set(self->host, &s);
  }
  done(self, NULL);
}

static void use_child(struct berth_instance *self) {
  static const char *const argv[] = {"sh", "-c", "cat; exit 3", NULL};
  struct berth_child_request r = {.size = sizeof r, .argv = argv, .input = "in", .input_len = 2, .done = on_child, .arg = self};
  if (!self->child->spawn(self->host, &r))
    failed(self, BERTH_INTERNAL, "no child");
}

static void use_http(struct berth_instance *self, const char *url) {
  struct berth_http_request r = {.size = sizeof r, .method = "GET", .url = url, .done = on_http, .arg = self};
  if (!self->http->request(self->host, &r))
    failed(self, BERTH_INTERNAL, "no request");
}

static void use_fd(struct berth_instance *self) {
  if (pipe(self->pipe) != 0) {
    failed(self, BERTH_IO, "pipe");
    return;
  }
  self->watch = self->fd->watch(self->host, self->pipe[0], BERTH_FD_READ, on_fd, self);
  if (write(self->pipe[1], "x", 1) != 1)
    failed(self, BERTH_IO, "write");
}

static void use_kv(struct berth_instance *self) {
  char json[256] = "{";
  self->kv->scan(self->host, "a/", on_key, json);
  strcat(json, "}");
  done(self, json);
}

/* Adds a route that takes requests without a token. */
static void use_route(struct berth_instance *self, const char *path) {
  struct berth_route r = {.size = sizeof r, .method = "POST", .path = path, .summary = "", .open = true, .handle = on_route, .arg = self};
  berth_handle route = self->routes->add(self->host, &r);
  done(self, route ? "{\"route\":true}" : "{\"route\":false}");
}

static void send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  const char *what = request->text, *arg = request->channel;
  self->op = op;
  if (strcmp(what, "timer") == 0)
    self->timer->after(self->host, 5, on_timer, self);
  else if (strcmp(what, "long timer") == 0)
    self->timer->after(self->host, 3600000, on_timer, self);
  else if (strcmp(what, "fd") == 0)
    use_fd(self);
  else if (strcmp(what, "worker") == 0)
    self->worker->run(self->host, work, worked, self);
  else if (strcmp(what, "child") == 0)
    use_child(self);
  else if (strcmp(what, "http") == 0)
    use_http(self, arg);
  else if (strcmp(what, "put") == 0)
    self->kv->put(self->host, arg, "v\"1", 1, on_put, self);
  else if (strcmp(what, "delete") == 0)
    self->kv->put(self->host, arg, NULL, 0, on_put, self);
  else if (strcmp(what, "scan") == 0)
    use_kv(self);
  else if (strcmp(what, "secret") == 0)
    self->secret->get(self->host, arg, on_secret, self);
  else if (strcmp(what, "metrics") == 0)
    use_metrics(self);
  else if (strcmp(what, "series") == 0)
    use_series(self, arg);
  else if (strcmp(what, "event") == 0)
    self->subscription = self->events->subscribe(self->host, (uint64_t)atoi(arg), on_event, self);
  else if (strcmp(what, "publish") == 0) {
    self->events->publish(self->host, "greeting", "info", "Hello.", "{\"n\":1}");
    done(self, NULL);
  } else if (strcmp(what, "query") == 0)
    self->query->get(self->host, arg, on_query, self);
  else if (strcmp(what, "route") == 0)
    use_route(self, arg);
  else if (strcmp(what, "config") == 0)
    done(self, self->config);
  else if (strcmp(what, "reloads") == 0)
    done(self, self->reloads == 1 ? "{\"reloads\":1}" : "{\"reloads\":0}");
}

static void probe(struct berth_instance *self, berth_op op) {
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{\"status\":\"ok\"}");
}

static enum berth_code validate(const char *config, const char **why) {
  if (!strstr(config, "forbidden"))
    return BERTH_OK;
  *why = "greeting: \"forbidden\" is not to be said";
  return BERTH_INVALID;
}

static void get_services(struct berth_instance *self, const struct berth_host *host) {
  self->ops = host->service(host, BERTH_HOST_OPS);
  self->log = host->service(host, BERTH_HOST_LOG);
  self->timer = host->service(host, BERTH_HOST_TIMER);
  self->fd = host->service(host, BERTH_HOST_FD);
  self->worker = host->service(host, BERTH_HOST_WORKER);
  self->child = host->service(host, BERTH_HOST_CHILD);
  self->http = host->service(host, BERTH_HOST_HTTP);
  self->kv = host->service(host, BERTH_HOST_KV);
  self->secret = host->service(host, BERTH_HOST_SECRET);
  self->metrics = host->service(host, BERTH_HOST_METRICS);
  self->events = host->service(host, BERTH_HOST_EVENTS);
  self->routes = host->service(host, BERTH_HOST_ROUTES);
  self->query = host->service(host, BERTH_HOST_QUERY);
}

static enum berth_code start(const struct berth_host *host, const char *config, struct berth_instance **out,
                             const char **why) {
  struct berth_instance *self = calloc(1, sizeof *self);
  self->host = host;
  self->config = strdup(config);
  get_services(self, host);
  struct berth_route route = {
      .size = sizeof route, .method = "GET", .path = "/test/*", .summary = "A test.", .open = true, .handle = on_route, .arg = self};
  if (!self->routes->add(host, &route)) {
    *why = "the path /test/ is taken";
    free(self->config);
    free(self);
    return BERTH_CONFLICT;
  }
  self->log->log(host, BERTH_LOG_DEBUG, "started");
  *out = self;
  return BERTH_OK;
}

static enum berth_code reload(struct berth_instance *self, const char *config, const char **why) {
  (void)why;
  free(self->config);
  self->config = strdup(config);
  self->reloads++;
  return BERTH_OK;
}

static void stop(struct berth_instance *self) {
  free(self->config);
  free(self);
}

static void cancel(struct berth_instance *self, berth_op op) {
  self->ops->finish(self->host, op, BERTH_CANCELLED, "cancelled", NULL);
}

static const struct berth_field fields[] = {
    {.name = "greeting", .type = BERTH_STRING, .fallback = "hello", .doc = "What to say."},
    {.name = "room", .type = BERTH_STRING, .required = true, .immutable = true, .doc = "Where."},
    {.name = "password", .type = BERTH_STRING, .secret = true, .doc = "The password."},
    {.name = "interval", .type = BERTH_DURATION, .fallback = "10s", .min = 100, .max = 60000, .doc = "How often."},
    {.name = "buffer", .type = BERTH_SIZE, .fallback = "64KiB", .doc = "How much."},
    {.name = "rooms", .type = BERTH_LIST, .min = 0, .max = 3, .doc = "Other rooms."},
    {.name = "colors", .type = BERTH_MAP, .doc = "A color for each severity."},
    {.name = "retries", .type = BERTH_INT, .min = 1, .max = 9, .fallback = "3", .doc = "How many times."},
    {.name = "loud", .type = BERTH_BOOL, .fallback = "false", .doc = "In capitals."},
    {.name = "accounts", .type = BERTH_JSON, .secret = true, .doc = "Accounts."},
    {0}};

static const struct berth_chat chat = {.size = sizeof chat, .send = send, .probe = probe};
static const struct berth_interface interfaces[] = {{BERTH_CHAT, &chat}, {"berth.future/3", &chat}, {0}};
static const char *const needs[] = {BERTH_HOST_OPS,     BERTH_HOST_LOG,    BERTH_HOST_TIMER,   BERTH_HOST_FD,
                                    BERTH_HOST_WORKER,  BERTH_HOST_CHILD,  BERTH_HOST_HTTP,    BERTH_HOST_KV,
                                    BERTH_HOST_SECRET,  BERTH_HOST_METRICS, BERTH_HOST_EVENTS, BERTH_HOST_ROUTES,
                                    BERTH_HOST_QUERY,   NULL};
static const struct berth_manifest manifest = {.size = sizeof manifest,
                                               .abi = BERTH_ABI,
                                               .id = "chat-services",
                                               .version = "1.2.3",
                                               .summary = "Uses every service.",
                                               .license = "MIT",
                                               .interfaces = interfaces,
                                               .needs = needs,
                                               .config = fields};
extern const struct berth_plugin BERTH_PLUGIN_SYMBOL BERTH_EXPORT;
const struct berth_plugin BERTH_PLUGIN_SYMBOL = {.size = sizeof(struct berth_plugin),
                                                 .manifest = &manifest,
                                                 .validate = validate,
                                                 .start = start,
                                                 .reload = reload,
                                                 .stop = stop,
                                                 .cancel = cancel};
