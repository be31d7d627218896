/* @NAME@: what Berth measures as a table of names, labels and values, for whoever asks for it over HTTP.
 *
 * A monitor mostly lives on the host's services: here berth.host.metrics/1 gives the samples, and berth.host.routes/1 the path
 * under which they are read. One request at a time is answered; another one meanwhile gets status 503. */
#define _POSIX_C_SOURCE 200809L
#include <berth/host.h>
#include <berth/monitor.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { max_table = 4 * 1024 * 1024, samples_age_ms = 5000 };

/* One configured entry. The host never looks inside. */
struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  const struct berth_host_timer *timer;
  const struct berth_host_metrics *metrics;
  const struct berth_host_routes *routes;
  char *route;
  berth_op reader;  /* who waits for the table; 0: nobody */
  char *table;      /* the lines so far */
  size_t len;
  bool cut;         /* there was no room for all */
  int64_t last_ms;  /* when the table was last read; 0: never */
};

/* ---------------------------------------------------------------- the table */

static void add_text(struct berth_instance *self, const char *text) {
  size_t n = strlen(text);
  char *grown = self->len + n + 1 <= max_table ? realloc(self->table, self->len + n + 1) : NULL;
  if (!grown) {
    self->cut = true;
    return;
  }
  memcpy(grown + self->len, text, n + 1);
  self->table = grown;
  self->len += n;
}

/* Called for each sample, in turn. Everything in it is borrowed for the call. */
static void on_sample(void *arg, const struct berth_metric_sample *sample) {
  struct berth_instance *self = arg;
  char value[64];
  add_text(self, sample->name);
  for (size_t i = 0; i < sample->nlabels; i++) {
    add_text(self, " ");
    add_text(self, sample->labels[i].name);
    add_text(self, "=");
    add_text(self, sample->labels[i].value);
  }
  snprintf(value, sizeof value, "\t%.17g\n", sample->value);
  add_text(self, value);
}

static void reply_text(struct berth_instance *self, berth_op reply, int status, const char *text, size_t len) {
  static const struct berth_pair headers[] = {{"content-type", "text/plain; charset=utf-8"}};
  self->routes->reply(self->host, reply, status, headers, 1, text, len);
}

/* All samples came, or none more will. */
static void on_samples(void *arg, enum berth_code code, const char *message) {
  struct berth_instance *self = arg;
  berth_op reader = self->reader;
  self->reader = 0;
  if (code == BERTH_OK && !self->cut) {
    self->last_ms = self->timer->wall_ms(self->host);
    reply_text(self, reader, 200, self->table ? self->table : "", self->len);
  } else {
    const char *why = self->cut ? "there are more samples than this plug-in has room for" : message;
    reply_text(self, reader, 503, why, strlen(why));
  }
  free(self->table);
  self->table = NULL;
  self->len = 0;
}

static void on_request(void *arg, berth_op reply, const struct berth_route_request *request) {
  struct berth_instance *self = arg;
  static const char busy[] = "somebody else reads just now: ask again in a moment";
  (void)request;
  if (self->reader) {
    reply_text(self, reply, 503, busy, sizeof busy - 1);
    return;
  }
  self->reader = reply;
  self->cut = false;
  self->metrics->collect(self->host, samples_age_ms, on_sample, on_samples, self);
}

/* ---------------------------------------------------------------- berth.monitor/1 */

static void probe(struct berth_instance *self, berth_op op) {
  json_t *result = json_pack("{s:s, s:[s], s:I, s:s, s:s}", "mode", "pull", "endpoints", self->route, "last_ms",
                             (json_int_t)self->last_ms, "status", "ok", "detail", self->last_ms ? "" : "nobody has asked yet");
  char *text = result ? json_dumps(result, JSON_COMPACT) : NULL;
  self->ops->finish(self->host, op, text ? BERTH_OK : BERTH_INTERNAL, "the state is no JSON", text);
  free(text);
  json_decref(result);
}

/* ---------------------------------------------------------------- configuration and life */

static enum berth_code validate(const char *config, const char **why) {
  json_t *o = json_loads(config, 0, NULL);
  const char *route = json_string_value(json_object_get(o, "route"));
  bool good = route && route[0] == '/' && route[1];
  json_decref(o);
  if (!good)
    *why = "\"route\" is no path: it begins with a slash, such as /@NAME@";
  return good ? BERTH_OK : BERTH_INVALID;
}

static void stop(struct berth_instance *self) {
  free(self->route);
  free(self->table);
  free(self);
}

static enum berth_code start(const struct berth_host *host, const char *config, struct berth_instance **out, const char **why) {
  struct berth_instance *self = calloc(1, sizeof *self);
  json_t *o = json_loads(config, 0, NULL);
  const char *route = json_string_value(json_object_get(o, "route"));
  if (self && route)
    self->route = strdup(route);
  json_decref(o);
  if (!self || !self->route) {
    free(self);
    *why = "out of memory";
    return BERTH_EXHAUSTED;
  }
  self->host = host;
  self->ops = host->service(host, BERTH_HOST_OPS);
  self->timer = host->service(host, BERTH_HOST_TIMER);
  self->metrics = host->service(host, BERTH_HOST_METRICS);
  self->routes = host->service(host, BERTH_HOST_ROUTES);
  struct berth_route table = {.size = sizeof table,
                              .method = "GET",
                              .path = self->route,
                              .summary = "What Berth measures, as a table",
                              .handle = on_request,
                              .arg = self};
  if (!self->routes->add(host, &table)) {
    stop(self);
    *why = "the path of \"route\" is taken: choose another one";
    return BERTH_CONFLICT;
  }
  *out = self;
  return BERTH_OK;
}

/* No method here takes longer than its call, so there is nothing to cancel. */
static void cancel(struct berth_instance *self, berth_op op) {
  (void)self;
  (void)op;
}

static const struct berth_field fields[] = {
    {.name = "route", .type = BERTH_STRING, .fallback = "/@NAME@", .immutable = true, .doc = "Path of the table."}, {0}};

static const struct berth_monitor monitor = {.size = sizeof monitor, .probe = probe};
static const struct berth_interface interfaces[] = {{BERTH_MONITOR, &monitor}, {0}};
static const char *const needs[] = {BERTH_HOST_OPS, BERTH_HOST_TIMER, BERTH_HOST_METRICS, BERTH_HOST_ROUTES, NULL};
static const struct berth_manifest manifest = {BERTH_MANIFEST_SIZES,
                                               .id = "@NAME@",
                                               .version = "0.1.0",
                                               .summary = "What Berth measures, as a table over HTTP.",
                                               .license = "@LICENSE@",
                                               .interfaces = interfaces,
                                               .needs = needs,
                                               .config = fields};

/* The one symbol that the host looks for. */
extern const struct berth_plugin BERTH_PLUGIN_SYMBOL BERTH_EXPORT;
const struct berth_plugin BERTH_PLUGIN_SYMBOL = {.size = sizeof(struct berth_plugin),
                                                 .manifest = &manifest,
                                                 .validate = validate,
                                                 .start = start,
                                                 .stop = stop,
                                                 .cancel = cancel};
