#include <stdio.h>

#include "engine.h"

/* Statistics: HAProxy's rows as routes and endpoints, on request and as metrics. Its counters begin anew with each reload; ours go on. */

enum { REQUESTS, ERRORS, DENIED, BYTES_IN, BYTES_OUT, COUNTERS };

static const struct {
  const char *name, *help;
} families[COUNTERS] = {
    {"berth_lb_requests_total", "Requests of a route; connections where it is TCP."},
    {"berth_lb_errors_total", "Answers of 500 and above of a route, and what no endpoint answered."},
    {"berth_lb_denied_total", "Requests of a route that its rate limit refused."},
    {"berth_lb_received_bytes_total", "Bytes from clients of a route."},
    {"berth_lb_sent_bytes_total", "Bytes to clients of a route."},
};

static struct lbh_count *count_of(struct berth_instance *self, const struct lbh_route *r) {
  struct lbh_count **chain = &self->counts[pu_hash(r->backend) % LBH_COUNT_CHAINS];
  for (struct lbh_count *c = *chain; c; c = c->next)
    if (strcmp(c->backend, r->backend) == 0)
      return c;
  struct lbh_count *c = pu_new(struct lbh_count);
  *c = (struct lbh_count){.route = pu_strdup(r->id), .backend = pu_strdup(r->backend), .next = *chain};
  *chain = c;
  return c;
}

/* A counter that fell began anew. */
static void follow(struct lbh_count *c, int which, uint64_t now) {
  if (now < c->last[which])
    c->base[which] += c->last[which];
  c->last[which] = now;
}

static uint64_t total(const struct lbh_count *c, int which) { return c->base[which] + c->last[which]; }

static const struct lbh_row *row_of(const struct lbh_rows *rows, const char *proxy, const char *server) {
  size_t n;
  const struct lbh_row *own = lbh_rows_of(rows, proxy, &n);
  for (size_t i = 0; i < n; i++)
    if (strcmp(own[i].server, server) == 0)
      return &own[i];
  return NULL;
}

static void take_rows(struct berth_instance *self, struct lbh_rows *rows) {
  lbh_rows_sort(rows);
  for (size_t i = 0; i < self->state.nroutes; i++) {
    const struct lbh_route *r = &self->state.routes[i];
    const struct lbh_row *b = row_of(rows, r->backend, "BACKEND"), *f = r->tcp ? row_of(rows, r->backend, "FRONTEND") : NULL;
    if (!b)
      continue;
    struct lbh_count *c = count_of(self, r);
    follow(c, REQUESTS, r->tcp ? (f ? f->sessions : b->sessions) : b->requests > b->sessions ? b->requests : b->sessions);
    follow(c, ERRORS, b->answers_5xx > b->errors ? b->answers_5xx : b->errors);
    follow(c, DENIED, b->denied + (f ? f->denied : 0));
    follow(c, BYTES_IN, b->bytes_in);
    follow(c, BYTES_OUT, b->bytes_out);
    c->open = f ? f->open : b->open;
    c->rate = b->rate;
  }
}

/* ---------------------------------------------------------------- on request */

static json_t *endpoints_json(const struct lbh_rows *rows, const char *backend) {
  json_t *list = json_array();
  size_t n;
  const struct lbh_row *own = lbh_rows_of(rows, backend, &n);
  for (size_t i = 0; i < n; i++) {
    const struct lbh_row *s = &own[i];
    if (strcmp(s->server, "BACKEND") == 0 || strcmp(s->server, "FRONTEND") == 0)
      continue;
    json_array_append_new(list, json_pack("{s:o,s:I,s:I,s:I}", "endpoint", pu_json_string(s->server), "requests", (json_int_t)s->sessions, "errors",
                                          (json_int_t)(s->answers_5xx > s->errors ? s->answers_5xx : s->errors), "open", (json_int_t)s->open));
  }
  return list;
}

static json_t *route_json(struct berth_instance *self, const struct lbh_route *r, const struct lbh_rows *rows) {
  const struct lbh_count *c = count_of(self, r);
  json_t *o = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "route", r->id, "requests", (json_int_t)total(c, REQUESTS), "errors",
                        (json_int_t)total(c, ERRORS), "denied", (json_int_t)total(c, DENIED), "rate", (json_int_t)c->rate, "open",
                        (json_int_t)c->open, "bytes_in", (json_int_t)total(c, BYTES_IN), "bytes_out", (json_int_t)total(c, BYTES_OUT));
  json_object_set_new(o, "endpoints", endpoints_json(rows, r->backend));
  return o;
}

/* One who asks; in the entry's list, for those that are open at its end. */
struct lbh_question {
  struct berth_instance *self;
  berth_op op;
  struct lbh_question *next;
};

static void forget(struct lbh_question *q) {
  for (struct lbh_question **at = &q->self->questions; *at; at = &(*at)->next)
    if (*at == q) {
      *at = q->next;
      break;
    }
  free(q);
}

static void answer(void *arg, const char *reply, size_t len) {
  struct lbh_question *q = arg;
  struct berth_instance *self = q->self;
  struct lbh_rows rows = {0};
  (void)len;
  if (reply && lbh_stat_parse(reply, &rows)) {
    take_rows(self, &rows);
    PU_AUTO_JSON o = json_pack("{s:[],s:s,s:s,s:I,s:I}", "routes", "product", "HAProxy", "version",
                               self->product_version ? self->product_version : "", "reloads", (json_int_t)self->reloads, "started_ms",
                               (json_int_t)self->product_started_ms);
    for (size_t i = 0; i < self->state.nroutes; i++)
      if (!self->state.routes[i].refused)
        json_array_append_new(json_object_get(o, "routes"), route_json(self, &self->state.routes[i], &rows));
    PU_AUTO_FREE text = pu_json_text(o);
    self->ops->finish(self->host, q->op, BERTH_OK, NULL, text);
  } else {
    self->ops->finish(self->host, q->op, BERTH_UNAVAILABLE, "HAProxy does not answer on its runtime socket", NULL);
  }
  lbh_rows_free(&rows);
  forget(q);
}

void lbh_report_stats(struct berth_instance *self, berth_op op) {
  if (!self->alive) {
    self->ops->finish(self->host, op, BERTH_UNAVAILABLE, "HAProxy does not run", NULL);
    return;
  }
  struct lbh_question *q = pu_new(struct lbh_question);
  *q = (struct lbh_question){self, op, self->questions};
  self->questions = q;
  lbh_cli_ask(self->cli, self->settings.stats_socket, "show stat", answer, q);
}

/* ---------------------------------------------------------------- metrics */

static void metric(struct berth_instance *self, const char *name, const char *help, enum berth_metric_kind kind, const char *route,
                   uint64_t value) {
  struct berth_pair label = {"route", route};
  struct berth_metric_sample s = {.size = sizeof s,
                                  .name = name,
                                  .help = help,
                                  .kind = kind,
                                  .labels = route ? &label : NULL,
                                  .nlabels = route ? 1 : 0,
                                  .value = (double)value};
  if (self->metrics)
    self->metrics->set(self->host, &s);
}

static void show_count(struct berth_instance *self, const struct lbh_count *c) {
  for (int i = 0; i < COUNTERS; i++)
    metric(self, families[i].name, families[i].help, BERTH_COUNTER, c->route, total(c, i));
  metric(self, "berth_lb_open_requests", "Requests of a route that are open now.", BERTH_GAUGE, c->route, c->open);
}

static void show(struct berth_instance *self) {
  for (size_t i = 0; i < LBH_COUNT_CHAINS; i++)
    for (const struct lbh_count *c = self->counts[i]; c; c = c->next)
      show_count(self, c);
  metric(self, "berth_lb_reloads_total", "Reloads of the load balancer since its start.", BERTH_COUNTER, NULL, (uint64_t)self->reloads);
  metric(self, "berth_lb_up", "1 where the load balancer answers.", BERTH_GAUGE, NULL, self->alive);
}

static void on_timer(void *arg);

static void again(struct berth_instance *self) {
  self->stats_busy = false;
  if (!self->stats_timer)
    self->stats_timer = self->timer->after(self->host, self->settings.stats_interval_ms, on_timer, self);
}

static void on_stats(void *arg, const char *reply, size_t len) {
  struct berth_instance *self = arg;
  struct lbh_rows rows = {0};
  (void)len;
  if (reply && lbh_stat_parse(reply, &rows))
    take_rows(self, &rows);
  lbh_rows_free(&rows);
  show(self);
  again(self);
}

/* Somebody else restarted or reloaded it: what it has is not what we think. */
static void on_info(void *arg, const char *reply, size_t len) {
  struct berth_instance *self = arg;
  PU_AUTO_FREE pid = reply ? lbh_info(reply, "Pid") : NULL;
  (void)len;
  bool changed = !pid || (self->worker && atoi(pid) != self->worker);
  if (self->phase == LBH_IDLE && self->alive && changed) {
    self->learned = false;
    lbh_sync(self);
  }
  if (pid)
    lbh_cli_ask(self->cli, self->settings.stats_socket, "show stat", on_stats, self);
  else
    on_stats(self, NULL, 0);
}

static void on_timer(void *arg) {
  struct berth_instance *self = arg;
  self->stats_timer = 0;
  if (!self->alive || self->stats_busy) {
    show(self);
    again(self);
    return;
  }
  self->stats_busy = true;
  lbh_cli_ask(self->cli, self->settings.stats_socket, "show info", on_info, self);
}

void lbh_report_start(struct berth_instance *self) { again(self); }

void lbh_report_free(struct berth_instance *self) {
  while (self->questions)
    forget(self->questions);
  for (size_t i = 0; i < LBH_COUNT_CHAINS; i++)
    while (self->counts[i]) {
      struct lbh_count *c = self->counts[i];
      self->counts[i] = c->next;
      free(c->route);
      free(c->backend);
      free(c);
    }
}
