/* monitor-prometheus: Berth's metrics for a scrape, its instances for service discovery, and what Prometheus knows for those who ask. */
#include <berth/host.h>
#include <berth/monitor.h>

#include "../common/plugin.h"
#include "../common/util.h"
#include "discovery.h"
#include "exposition.h"
#include "query.h"

struct settings {
  char *metrics_path, *sd_path, *label_prefix;
  bool open;
  size_t max_series, max_targets;
  int64_t max_age_ms;
  char *url, *token, *ca_file; /* of Prometheus itself; url "": it is not asked */
  int64_t query_timeout_ms;
};

struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  const struct berth_host_routes *routes;
  const struct berth_host_metrics *metrics;
  const struct berth_host_timer *timer;
  const struct berth_host_http *http;
  struct settings settings;
  struct mp_discovery *discovery;
  int64_t last_ms; /* of the last scrape */
  char scraper[32]; /* its version, where it named itself Prometheus; "" */
  double scrapes, discoveries, queries;
  struct question *questions; /* that are open */
};

/* A query that waits for Prometheus. */
struct question {
  struct berth_instance *self;
  struct question *next;
  berth_op op;
  berth_handle request;
};

/* A request that waits for its samples. */
struct scrape {
  struct berth_instance *self;
  berth_op reply;
  bool openmetrics;
  struct mp_exposition *exposition;
};

static void answer(struct berth_instance *self, berth_op reply, int status, const char *type, const char *body, size_t len) {
  struct berth_pair header = {"content-type", type};
  self->routes->reply(self->host, reply, status, &header, 1, body, len);
}

static void unavailable(struct berth_instance *self, berth_op reply, const char *why) {
  PU_AUTO_FREE text = pu_asprintf("%s\n", why);
  answer(self, reply, 503, "text/plain; charset=utf-8", text, strlen(text));
}

static void count(struct berth_instance *self, const char *name, const char *help, double value) {
  struct berth_metric_sample s = {.size = sizeof s, .name = name, .help = help, .kind = BERTH_COUNTER, .value = value};
  self->metrics->set(self->host, &s);
}

/* ---------------------------------------------------------------- /metrics */

static void on_sample(void *arg, const struct berth_metric_sample *sample) {
  mp_exposition_add(((struct scrape *)arg)->exposition, sample);
}

/* Said always, so that a rule can stand on it. It is outside the bound: it tells of it. */
static void add_dropped(struct pu_buf *text, size_t dropped) {
  pu_buf_addf(text,
              "# HELP berth_prometheus_dropped_series Series left out of this answer because of max_series.\n"
              "# TYPE berth_prometheus_dropped_series gauge\n"
              "berth_prometheus_dropped_series %zu\n",
              dropped);
}

static void on_collected(void *arg, enum berth_code code, const char *message) {
  struct scrape *s = arg;
  struct berth_instance *self = s->self;
  if (code != BERTH_OK) {
    unavailable(self, s->reply, message);
  } else {
    PU_AUTO_BUF text = {0};
    add_dropped(&text, mp_exposition_dropped(s->exposition));
    mp_exposition_text(s->exposition, &text);
    answer(self, s->reply, 200, mp_content_type(s->openmetrics), text.data, text.len);
    self->last_ms = self->timer->wall_ms(self->host);
  }
  mp_exposition_free(&s->exposition);
  free(s);
}

static const char *header_of(const struct berth_route_request *r, const char *name) {
  for (size_t i = 0; i < r->nheaders; i++)
    if (pu_eq(r->headers[i].name, name))
      return r->headers[i].value;
  return NULL;
}

/* "Prometheus/2.42.0" */
static void note_scraper(struct berth_instance *self, const char *agent) {
  static const char name[] = "Prometheus/";
  if (!agent || strncmp(agent, name, sizeof name - 1) != 0)
    return;
  agent += sizeof name - 1;
  snprintf(self->scraper, sizeof self->scraper, "%.*s", (int)strspn(agent, "0123456789."), agent);
}

static void on_metrics(void *arg, berth_op reply, const struct berth_route_request *request) {
  struct berth_instance *self = arg;
  struct scrape *s = pu_new(struct scrape);
  s->self = self;
  s->reply = reply;
  note_scraper(self, header_of(request, "user-agent"));
  s->openmetrics = mp_wants_openmetrics(header_of(request, "accept"));
  s->exposition = mp_exposition_new(s->openmetrics, self->settings.max_series);
  count(self, "berth_prometheus_scrapes_total", "Scrapes of the metrics.", ++self->scrapes);
  self->metrics->collect(self->host, self->settings.max_age_ms, on_sample, on_collected, s);
}

/* ---------------------------------------------------------------- /v1/sd */

struct discovery {
  struct berth_instance *self;
  berth_op reply;
};

static void on_targets(void *arg, const char *json, const char *why) {
  struct discovery *d = arg;
  if (json)
    answer(d->self, d->reply, 200, "application/json", json, strlen(json));
  else
    unavailable(d->self, d->reply, why);
  free(d);
}

static void on_sd(void *arg, berth_op reply, const struct berth_route_request *request) {
  struct berth_instance *self = arg;
  (void)request;
  struct discovery *d = pu_new(struct discovery);
  d->self = self;
  d->reply = reply;
  count(self, "berth_prometheus_discoveries_total", "Questions of service discovery.", ++self->discoveries);
  mp_discovery_ask(self->discovery, on_targets, d);
}

/* ---------------------------------------------------------------- queries */

static void forget(struct question *q) {
  struct question **at = &q->self->questions;
  while (*at != q)
    at = &(*at)->next;
  *at = q->next;
  free(q);
}

static void on_answer(void *arg, enum berth_code code, const char *message, int status, const char *body, size_t len) {
  struct question *q = arg;
  struct berth_instance *self = q->self;
  berth_op op = q->op;
  forget(q);
  if (code != BERTH_OK) {
    PU_AUTO_FREE why = pu_asprintf("Prometheus at %s does not answer: %s", self->settings.url, message);
    self->ops->finish(self->host, op, code == BERTH_CANCELLED || code == BERTH_DEADLINE ? code : BERTH_UNAVAILABLE, why, NULL);
    return;
  }
  enum berth_code wrong = BERTH_OK;
  PU_AUTO_FREE why = NULL;
  PU_AUTO_JSON result = mp_query_result(status, body, len, &wrong, &why);
  PU_AUTO_FREE text = result ? pu_json_text(result) : NULL;
  self->ops->finish(self->host, op, wrong, why, text);
}

static void query(struct berth_instance *self, berth_op op, const struct berth_monitor_query *request) {
  if (!*self->settings.url) {
    self->ops->finish(self->host, op, BERTH_UNSUPPORTED, "it cannot ask Prometheus: give its address as url in the entry's config", NULL);
    return;
  }
  if (!request->query || !*request->query || strlen(request->query) > 16384) {
    self->ops->finish(self->host, op, BERTH_INVALID, "a query has 1 to 16384 bytes", NULL);
    return;
  }
  PU_AUTO_FREE url = mp_query_url(self->settings.url, request->query);
  PU_AUTO_FREE bearer = self->settings.token ? pu_asprintf("Bearer %s", self->settings.token) : NULL;
  struct berth_pair headers[] = {{"accept", "application/json"}, {"authorization", bearer}};
  struct question *q = pu_new(struct question);
  *q = (struct question){.self = self, .next = self->questions, .op = op};
  self->questions = q;
  count(self, "berth_prometheus_queries_total", "Questions to Prometheus.", ++self->queries);
  struct berth_http_request http = {.size = sizeof http,
                                    .method = "GET",
                                    .url = url,
                                    .headers = headers,
                                    .nheaders = bearer ? 2 : 1,
                                    .timeout_ms = self->settings.query_timeout_ms,
                                    .tls_ca_file = self->settings.ca_file,
                                    .done = on_answer,
                                    .arg = q};
  q->request = self->http->request(self->host, &http);
  if (bearer)
    explicit_bzero(bearer, strlen(bearer));
  if (!q->request) {
    forget(q);
    self->ops->finish(self->host, op, BERTH_UNAVAILABLE, "the entry stops", NULL);
  }
}

/* ---------------------------------------------------------------- methods */

static void probe(struct berth_instance *self, berth_op op) {
  PU_AUTO_JSON o = json_pack("{s:s,s:[s,s],s:I,s:s,s:s,s:s}", "mode", "pull", "endpoints", self->settings.metrics_path,
                             self->settings.sd_path, "last_ms", (json_int_t)self->last_ms, "status", "ok", "detail",
                             self->last_ms ? "it was scraped" : "nobody has scraped it yet",
                             "version", self->scraper);
  PU_AUTO_FREE text = pu_json_text(o);
  self->ops->finish(self->host, op, BERTH_OK, NULL, text);
}

/* Only questions take longer than their call. */
static void cancel(struct berth_instance *self, berth_op op) {
  for (struct question *q = self->questions; q; q = q->next)
    if (q->op == op) {
      self->http->cancel(self->host, q->request);
      return;
    }
}

/* ---------------------------------------------------------------- life */

static void settings_free(struct settings *s) {
  free(s->metrics_path);
  free(s->sd_path);
  free(s->label_prefix);
  free(s->url);
  pu_wipe_free(s->token);
  free(s->ca_file);
  *s = (struct settings){0};
}

static void settings_read(const char *config_json, struct settings *s) {
  PU_AUTO_JSON c = pu_json_parse(config_json, strlen(config_json));
  *s = (struct settings){.metrics_path = pu_strdup(pu_str_or(c, "metrics_path", "/metrics")),
                         .sd_path = pu_strdup(pu_str_or(c, "sd_path", "/v1/sd")),
                         .label_prefix = pu_strdup(pu_str_or(c, "label_prefix", "berth.prometheus")),
                         .open = pu_bool(c, "open", false),
                         .max_series = (size_t)pu_int(c, "max_series", 20000),
                         .max_targets = (size_t)pu_int(c, "max_targets", 10000),
                         .max_age_ms = pu_int(c, "max_age", 5000),
                         .url = pu_strdup(pu_str_or(c, "url", "")),
                         .token = pu_strdup(pu_str(c, "token")),
                         .ca_file = pu_strdup(pu_str(c, "ca_file")),
                         .query_timeout_ms = pu_int(c, "query_timeout", 5000)};
}

static enum berth_code validate(const char *config_json, const char **why) {
  struct settings s;
  settings_read(config_json, &s);
  *why = NULL;
  if (s.metrics_path[0] != '/' || s.sd_path[0] != '/' || strpbrk(s.metrics_path, "*?# ") || strpbrk(s.sd_path, "*?# "))
    *why = "metrics_path and sd_path are paths as \"/metrics\"";
  else if (pu_eq(s.metrics_path, s.sd_path))
    *why = "metrics_path and sd_path are two different paths";
  else if (!*s.label_prefix || strlen(s.label_prefix) > 128)
    *why = "label_prefix has 1 to 128 bytes";
  else if (*s.url && ((!pu_starts(s.url, "http://") && !pu_starts(s.url, "https://")) || strpbrk(s.url, "?# ")))
    *why = "url is Prometheus' address such as \"http://127.0.0.1:9090\"";
  else if (s.token && (!*s.token || strpbrk(s.token, "\r\n ")))
    *why = "token is one word";
  settings_free(&s);
  return *why ? BERTH_INVALID : BERTH_OK;
}

static bool add_routes(struct berth_instance *self) {
  struct berth_route metrics = {.size = sizeof metrics,
                                .method = "GET",
                                .path = self->settings.metrics_path,
                                .summary = "Metrics for Prometheus, as text 0.0.4 or OpenMetrics 1.0.",
                                .open = self->settings.open,
                                .handle = on_metrics,
                                .arg = self};
  struct berth_route sd = {.size = sizeof sd,
                           .method = "GET",
                           .path = self->settings.sd_path,
                           .summary = "Instances as target groups of Prometheus' HTTP service discovery.",
                           .open = self->settings.open,
                           .handle = on_sd,
                           .arg = self};
  return self->routes->add(self->host, &metrics) && self->routes->add(self->host, &sd);
}

static void stop(struct berth_instance *self) {
  mp_discovery_free(&self->discovery);
  settings_free(&self->settings);
  free(self);
}

static enum berth_code start(const struct berth_host *host, const char *config_json, struct berth_instance **out,
                             const char **why) {
  struct berth_instance *self = pu_new(struct berth_instance);
  self->host = host;
  self->ops = host->service(host, BERTH_HOST_OPS);
  self->routes = host->service(host, BERTH_HOST_ROUTES);
  self->metrics = host->service(host, BERTH_HOST_METRICS);
  self->timer = host->service(host, BERTH_HOST_TIMER);
  self->http = host->service(host, BERTH_HOST_HTTP);
  settings_read(config_json, &self->settings);
  self->discovery = mp_discovery_new(host, self->settings.label_prefix, self->settings.max_targets);
  if (!add_routes(self)) {
    *why = "metrics_path or sd_path is taken by the API or by another plug-in";
    stop(self);
    return BERTH_CONFLICT;
  }
  *out = self;
  return BERTH_OK;
}

static const struct berth_field fields[] = {
    {.name = "metrics_path", .type = BERTH_STRING, .fallback = "/metrics", .doc = "Path of the metrics."},
    {.name = "sd_path", .type = BERTH_STRING, .fallback = "/v1/sd", .doc = "Path of the HTTP service discovery."},
    {.name = "open",
     .type = BERTH_BOOL,
     .fallback = "false",
     .doc = "Answer without an API token, too: fine where only Prometheus reaches the API's address."},
    {.name = "label_prefix",
     .type = BERTH_STRING,
     .fallback = "berth.prometheus",
     .doc = "Labels of a service that are read: <prefix>.port (which makes its instances targets), .path, .scheme."},
    {.name = "max_age",
     .type = BERTH_DURATION,
     .fallback = "5s",
     .min = 0,
     .max = 600000,
     .doc = "How old statistics of instances may be; older ones are asked of the runtime."},
    {.name = "max_series",
     .type = BERTH_INT,
     .fallback = "20000",
     .min = 100,
     .max = 10000000,
     .doc = "Series in one answer; more are left out and counted in berth_prometheus_dropped_series."},
    {.name = "max_targets", .type = BERTH_INT, .fallback = "10000", .min = 1, .max = 1000000, .doc = "Targets in one answer."},
    {.name = "url",
     .type = BERTH_STRING,
     .fallback = "",
     .doc = "Prometheus' own address, such as http://127.0.0.1:9090, or that of what speaks its API; with it services can scale by its metrics."},
    {.name = "token", .type = BERTH_STRING, .secret = true, .doc = "Bearer token for url."},
    {.name = "ca_file", .type = BERTH_STRING, .doc = "Certificates (PEM) that url's is checked with; the system's by default."},
    {.name = "query_timeout", .type = BERTH_DURATION, .fallback = "5s", .min = 100, .max = 60000, .doc = "How long a query may take."},
    {0}};

static const struct berth_monitor methods = {.size = sizeof methods, .probe = probe, .query = query};
static const struct berth_interface interfaces[] = {{BERTH_MONITOR, &methods}, {0}};
static const char *const needs[] = {BERTH_HOST_OPS, BERTH_HOST_ROUTES, BERTH_HOST_METRICS, BERTH_HOST_QUERY, BERTH_HOST_TIMER, BERTH_HOST_HTTP, NULL};
static const struct berth_product products[] = {
    {"prometheus", ">=2.28", "Prometheus server with HTTP service discovery: https://prometheus.io/docs/prometheus/latest/http_sd/"}, {0}};

PU_PLUGIN("monitor-prometheus", "Metrics and service discovery for Prometheus, and its own metrics to scale by.", interfaces, needs, fields, (.products = products), .validate = validate,
          .start = start, .stop = stop, .cancel = cancel);
