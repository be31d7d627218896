/* berth.host.metrics/1: a plug-in's own series, kept here; and everything that Berth knows, asked of the daemon. */
#include "config.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/map.h"
#include "loop/loop.h"
#include "plugin/complain.h"
#include "plugin/internal.h"

enum { max_series = 10000, max_bytes = 4 << 20, max_labels = 16, max_text = 1024 }; /* series and bytes: of a plug-in */

/* A series: its labels and then its texts in one block. labels[0] is plugin="<entry>". */
struct series {
  struct berth_metric_sample sample;
  struct berth_pair labels[];
};

struct bt_metrics {
  struct bt_map *series; /* name and labels -> struct series */
  size_t bytes;          /* of all of them, with their keys */
  bool full;             /* said so already */
};

void bt_metrics_free(struct bt_metrics **metrics) {
  if (!*metrics)
    return;
  bt_map_free(&(*metrics)->series);
  free(*metrics);
  *metrics = NULL;
}

static bool name_ok(const char *name, const char *more) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
  size_t n = name ? strlen(name) : 0;
  if (!n || n > 200 || !strchr(letters, name[0]))
    return false;
  return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == n || (more && strchr(name, *more));
}

static bool sample_ok(const struct berth_metric_sample *s) {
  if (!name_ok(s->name, ":") || s->nlabels > max_labels || (s->kind != BERTH_COUNTER && s->kind != BERTH_GAUGE) ||
      (s->help && strlen(s->help) > max_text))
    return false;
  for (size_t i = 0; i < s->nlabels; i++)
    if (!name_ok(s->labels[i].name, NULL) || !s->labels[i].value || strlen(s->labels[i].value) > max_text ||
        strcmp(s->labels[i].name, "plugin") == 0)
      return false;
  return true;
}

static char *series_key(const struct berth_metric_sample *s) {
  struct bt_buf key = {0};
  bt_buf_adds(&key, s->name);
  for (size_t i = 0; i < s->nlabels; i++)
    bt_buf_addf(&key, "\x1f%s\x1e%s", s->labels[i].name, s->labels[i].value);
  return bt_buf_steal(&key);
}

static size_t series_bytes(const struct berth_metric_sample *s) {
  size_t room = sizeof(struct series) + (s->nlabels + 1) * sizeof(struct berth_pair) + strlen(s->name) + (s->help ? strlen(s->help) : 0) + 2;
  for (size_t i = 0; i < s->nlabels; i++)
    room += strlen(s->labels[i].name) + strlen(s->labels[i].value) + 2;
  return room;
}

static struct series *series_new(const struct bt_plugin *entry, const struct berth_metric_sample *s) {
  const char *help = s->help ? s->help : "";
  struct series *n = bt_calloc(1, series_bytes(s));
  char *p = (char *)(n->labels + s->nlabels + 1);
#define KEEP(text) (stpcpy(p, (text)), p += strlen(text) + 1, p - strlen(text) - 1)
  n->sample = (struct berth_metric_sample){
      .size = sizeof n->sample, .kind = s->kind, .labels = n->labels, .nlabels = s->nlabels + 1, .value = s->value};
  n->sample.name = KEEP(s->name);
  n->sample.help = KEEP(help);
  n->labels[0] = (struct berth_pair){"plugin", entry->cell->name};
  for (size_t i = 0; i < s->nlabels; i++) {
    n->labels[i + 1].name = KEEP(s->labels[i].name);
    n->labels[i + 1].value = KEEP(s->labels[i].value);
  }
#undef KEEP
  return n;
}

static void metrics_set(const struct berth_host *host, const struct berth_metric_sample *given) {
  struct bt_plugin *entry = bt_host_entry(host, "metrics.set");
  struct berth_metric_sample s;
  BT_TAKE(s, given);
  if (!entry)
    return;
  if (!sample_ok(&s)) {
    bt_complain(host, "the metric \"%.64s\" is malformed: names, labels (at most 16) or kind; dropped", s.name ? s.name : "");
    return;
  }
  if (!entry->metrics) {
    entry->metrics = bt_new(struct bt_metrics);
    entry->metrics->series = bt_map_new(free);
  }
  BT_AUTO_FREE char *key = series_key(&s);
  struct bt_metrics *m = entry->metrics;
  struct series *known = bt_map_get(m->series, key);
  size_t bytes = series_bytes(&s) + strlen(key);
  if (known) {
    known->sample.value = s.value;
  } else if (bt_map_len(m->series) < max_series && m->bytes + bytes <= max_bytes) {
    bt_map_set(m->series, key, series_new(entry, &s));
    m->bytes += bytes;
  } else if (!m->full) {
    m->full = true;
    bt_warn(entry->cell->label, "it has %zu metric series of %zu KiB; new ones are dropped (at most %d, and %d KiB)", bt_map_len(m->series),
            m->bytes >> 10, max_series, max_bytes >> 10);
  }
}

/* ---------------------------------------------------------------- all plug-ins' series */

static void host_family(struct bt_plugins *plugins, const char *name, const char *help, enum berth_metric_kind kind,
                        double (*value)(const struct bt_plugin *entry),
                        void (*sample)(void *arg, const struct berth_metric_sample *sample), void *arg) {
  bt_vec_each(&plugins->entries, e) {
    if ((*e)->status == BT_PLUGIN_REMOVED)
      continue;
    struct berth_pair label = {"plugin", (*e)->cell->name};
    struct berth_metric_sample s = {
        .size = sizeof s, .name = name, .help = help, .kind = kind, .labels = &label, .nlabels = 1, .value = value(*e)};
    sample(arg, &s);
  }
}

static double value_up(const struct bt_plugin *entry) { return entry->status == BT_PLUGIN_OK; }
static double value_calls(const struct bt_plugin *entry) { return (double)entry->calls; }
static double value_errors(const struct bt_plugin *entry) { return (double)entry->errors; }
static double value_in_flight(const struct bt_plugin *entry) { return (double)entry->in_flight; }

static int by_name(const void *a, const void *b) {
  const struct series *const *x = a, *const *y = b;
  return strcmp((*x)->sample.name, (*y)->sample.name);
}

void bt_plugins_metrics(struct bt_plugins *plugins, void (*sample)(void *arg, const struct berth_metric_sample *sample),
                        void *arg) {
  host_family(plugins, "berth_plugin_up", "1 where the plug-in entry runs.", BERTH_GAUGE, value_up, sample, arg);
  host_family(plugins, "berth_plugin_calls_total", "Calls of the plug-in's methods.", BERTH_COUNTER, value_calls, sample, arg);
  host_family(plugins, "berth_plugin_errors_total", "Calls that ended with an error.", BERTH_COUNTER, value_errors, sample, arg);
  host_family(plugins, "berth_plugin_in_flight", "Calls that the plug-in has not finished.", BERTH_GAUGE, value_in_flight,
              sample, arg);
  BT_VEC(struct series *) all = {0};
  bt_vec_each(&plugins->entries, e) {
    if (!(*e)->metrics)
      continue;
    for (struct bt_map_iter it = bt_map_iter((*e)->metrics->series); bt_map_next(&it);)
      bt_vec_push(&all, (struct series *)it.value);
  }
  if (all.len)
    qsort(all.items, all.len, sizeof *all.items, by_name);
  bt_vec_each(&all, s) sample(arg, &(*s)->sample);
  bt_vec_free(&all);
}

/* ---------------------------------------------------------------- collect */

struct collect {
  struct bt_resource base;
  struct bt_plugins *plugins;
  const char *label;
  void (*sample)(void *arg, const struct berth_metric_sample *sample);
  void (*done)(void *arg, enum berth_code code, const char *message);
  void *arg;
};

static void collect_sample(void *arg, const struct berth_metric_sample *sample) {
  struct collect *c = arg;
  if (c->done)
    c->sample(c->arg, sample);
}

static void collect_tell(struct collect *c, enum bt_code code, const char *message) {
  if (!c->done)
    return;
  struct bt_loop *loop = c->plugins->loop;
  bt_loop_enter(loop, c->label);
  if (code == BT_OK)
    bt_plugins_metrics(c->plugins, c->sample, c->arg);
  c->done(c->arg, bt_plugin_code_out(code), message ? message : "");
  c->done = NULL;
  bt_loop_leave(loop);
}

static void collect_done(void *arg, enum bt_code code, const char *message) {
  struct collect *c = arg;
  bt_resource_del(&c->base);
  collect_tell(c, code, message);
  free(c);
}

static void collect_detach(struct bt_resource *resource, struct bt_plugin *entry) {
  struct collect *c = (struct collect *)resource;
  if (!entry->self)
    c->done = NULL;
  collect_tell(c, BT_CANCELLED, "the plug-in is stopping");
}

static const struct bt_resource_kind collect_kind = {.name = "metrics", .detach = collect_detach};

static void metrics_collect(const struct berth_host *host, int64_t max_age_ms,
                            void (*sample)(void *arg, const struct berth_metric_sample *sample),
                            void (*done)(void *arg, enum berth_code code, const char *message), void *arg) {
  struct bt_plugin *entry = bt_host_entry(host, "metrics.collect");
  if (!sample || !done)
    return;
  if (!entry) {
    done(arg, BERTH_CANCELLED, "the server is going down");
    return;
  }
  struct collect *c = bt_new(struct collect);
  c->plugins = entry->plugins;
  c->label = entry->cell->label;
  c->sample = sample;
  c->done = done;
  c->arg = arg;
  bt_resource_add(entry, &c->base, &collect_kind);
  const struct bt_plugin_server *server = entry->plugins->server;
  server->collect(server->arg, max_age_ms, collect_sample, collect_done, c);
}

const struct berth_host_metrics bt_service_metrics = {
    .size = sizeof bt_service_metrics, .set = metrics_set, .collect = metrics_collect};
