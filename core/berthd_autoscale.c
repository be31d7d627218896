/* Figures for services that scale by themselves (control's call "metrics.read"): use of their instances from the runtime, answers of monitor
 * plug-ins, and what their own Lua says of both. Everything is asked at once; Lua runs in a worker when the rest is there. The only thing
 * kept between two questions is how much cpu time each instance had used. */
#include "config.h"

#include <berth/monitor.h>
#include <math.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "daemon.h"
#include "policy/scale_rule.h"

enum { query_deadline_ms = 20000, most_asked = 50000 /* entries kept; beyond it all are forgotten */ };

struct reading {
  struct bt_daemon *d;
  json_t *asked;    /* services of the call */
  json_t *answered; /* of its result */
  int waiting;      /* answers to come, and one held until all are asked */
  struct bt_policy_limits limits;
  void (*done)(void *arg, enum bt_code code, const char *message, const json_t *result);
  void *arg;
};

/* One answer to come. */
struct part {
  struct reading *r;
  char *service, *metric; /* metric NULL: use of the instances */
};

static void part_free(struct part *p) {
  free(p->service);
  free(p->metric);
  free(p);
}

static json_t *answer_of(const struct reading *r, const char *service) { return json_object_get(r->answered, service); }

static void set_metric(const struct reading *r, const char *service, const char *metric, json_t *value_steal, const char *error) {
  json_t *o = json_object();
  if (error)
    bt_json_set_str(o, "error", error);
  else
    bt_json_set(o, "value", value_steal ? value_steal : json_null());
  bt_json_set(bt_json_obj(answer_of(r, service), "metrics"), metric, o);
}

/* ---- Lua, when the rest is there ---- */

static double share(const json_t *usage, const char *key, double request) {
  const char *id;
  json_t *one;
  double sum = 0;
  int n = 0;
  json_object_foreach((json_t *)(uintptr_t)usage, id, one) if (json_is_number(json_object_get(one, key))) {
    sum += json_number_value(json_object_get(one, key));
    n++;
  }
  return n > 0 && request > 0 ? sum / n / request : (double)NAN;
}

static void set_known(json_t *o, const char *key, double v) {
  if (isfinite(v))
    bt_json_set(o, key, json_real(v));
}

/* What a rule sees: policy/scale_rule.h. */
static json_t *seen_by_lua(const json_t *question, const json_t *answer) {
  json_t *seen = json_deep_copy(bt_json_obj(question, "now")), *metrics = json_object();
  const json_t *usage = bt_json_obj(answer, "usage");
  set_known(seen, "cpu", share(usage, "cpus", bt_json_num(seen, "request_cpus", 0)));
  set_known(seen, "memory", share(usage, "memory", bt_json_num(seen, "request_memory", 0)));
  bt_json_set_int(seen, "time", bt_clock_wall_ms() / 1000);
  const char *key;
  json_t *one;
  json_object_foreach(bt_json_obj(answer, "metrics"), key, one) {
    const char *name = bt_json_str(bt_json_obj(bt_json_obj(question, "metrics"), key), "name");
    if (name && json_is_number(json_object_get(one, "value")))
      json_object_set(metrics, name, json_object_get(one, "value"));
  }
  bt_json_set(seen, "metrics", metrics);
  return seen;
}

static void run_rule(const struct reading *r, const char *service, const char *metric, const char *name, const char *text, const json_t *seen) {
  BT_AUTO_FREE char *file = bt_asprintf("%s of %s", name, service);
  BT_AUTO_ERR err = NULL;
  double n = 0;
  if (bt_scale_rule(file, text, seen, &r->limits, &n, &err) < 0)
    set_metric(r, service, metric, NULL, bt_err_message(err));
  else
    set_metric(r, service, metric, isfinite(n) ? json_real(n) : isnan(n) ? json_null() : json_real(n > 0 ? 1e15 : 0), NULL);
}

static void run_rules(void *arg) {
  struct reading *r = arg;
  const char *service, *key;
  json_t *question, *metric;
  json_object_foreach(r->asked, service, question) {
    BT_AUTO_JSON seen = NULL;
    json_object_foreach(bt_json_obj(question, "metrics"), key, metric) {
      const char *text = bt_json_str(metric, "lua");
      if (text && !seen)
        seen = seen_by_lua(question, answer_of(r, service));
      if (text)
        run_rule(r, service, key, bt_json_str_or(metric, "name", "lua"), text, seen);
    }
  }
}

static void finish(void *arg) {
  struct reading *r = arg;
  BT_AUTO_JSON result = json_object();
  json_object_set(result, "services", r->answered);
  r->done(r->arg, BT_OK, "", result);
  json_decref(r->asked);
  json_decref(r->answered);
  free(r);
}

static bool any_rule(const struct reading *r) {
  const char *service, *key;
  json_t *question, *metric;
  json_object_foreach(r->asked, service, question) json_object_foreach(bt_json_obj(question, "metrics"), key, metric) if (bt_json_str(metric, "lua")) return true;
  return false;
}

static void one_less(struct reading *r) {
  if (--r->waiting > 0)
    return;
  if (any_rule(r) && !r->d->closing)
    bt_pool_run(r->d->pool, "autoscale", run_rules, finish, r);
  else
    finish(r);
}

/* ---- use of instances ---- */

/* Cpus in use since the sample before; negative where there is none. */
static double cpus_between(const json_t *before, const json_t *now) {
  double ms = bt_json_num(now, "time_ms", 0) - bt_json_num(before, "time_ms", 0);
  double ns = bt_json_num(now, "cpu_ns", 0) - bt_json_num(before, "cpu_ns", 0);
  return before && ms > 0 && ns >= 0 ? ns / ms / 1e6 : -1;
}

static json_t *sample_of(const json_t *item) {
  json_t *o = json_object();
  json_object_set(o, "time_ms", json_object_get(item, "time_ms"));
  json_object_set(o, "cpu_ns", json_object_get(item, "cpu_ns"));
  return o;
}

static void take_usage(struct bt_daemon *d, const char *service, const json_t *items, json_t *usage) {
  if (json_object_size(d->cpu_before) > most_asked)
    json_object_clear(d->cpu_before);
  const json_t *before = bt_json_obj(d->cpu_before, service);
  json_t *now = json_object();
  size_t i;
  json_t *item;
  json_array_foreach(items, i, item) {
    const char *id = bt_json_str_or(item, "instance", "");
    double cpus = cpus_between(bt_json_obj(before, id), item);
    json_t *one = json_object();
    if (cpus >= 0)
      bt_json_set(one, "cpus", json_real(cpus));
    if (json_is_number(json_object_get(item, "memory")))
      json_object_set(one, "memory", json_object_get(item, "memory"));
    bt_json_set(usage, id, one);
    bt_json_set(now, id, sample_of(item));
  }
  bt_json_set(d->cpu_before, service, now);
}

static void stats_done(void *arg, enum bt_code code, const char *message, const json_t *result) {
  struct part *p = arg;
  json_t *answer = answer_of(p->r, p->service);
  if (code == BT_OK) {
    json_t *usage = json_object();
    take_usage(p->r->d, p->service, bt_json_arr(result, "items"), usage);
    bt_json_set(answer, "usage", usage);
  } else {
    bt_json_set_str(answer, "usage_error", message);
  }
  struct reading *r = p->r;
  part_free(p);
  one_less(r);
}

static struct part *part_new(struct reading *r, const char *service, const char *metric) {
  struct part *p = bt_new(struct part);
  *p = (struct part){r, bt_strdup(service), bt_strdup(metric)};
  r->waiting++;
  return p;
}

static void ask_usage(struct reading *r, const char *service, const json_t *question) {
  BT_AUTO_JSON args = json_object();
  bt_json_set_str(args, "app", bt_json_str(question, "app"));
  bt_json_set_str(args, "service", bt_json_str(question, "service"));
  struct bt_stream_callbacks callbacks = {.done = stats_done, .arg = part_new(r, service, NULL)};
  bt_stream_open(r->d->agent, "stats", bt_json_str(question, "namespace"), NULL, args, &callbacks);
}

/* ---- monitor plug-ins ---- */

static void query_done(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct part *p = arg;
  struct reading *r = p->r;
  const json_t *series = bt_json_arr(result, "series"), *value = json_object_get(json_array_get(series, 0), "value");
  BT_AUTO_FREE char *error = code != BT_OK                    ? bt_strdup(message)
                             : json_array_size(series) == 0   ? bt_strdup("the query has no series for its answer; where none means 0, add such as \"or vector(0)\"")
                             : json_array_size(series) > 1    ? bt_asprintf("the query has %zu series for its answer, and one is needed; put such as sum() around it", json_array_size(series))
                             : !json_is_number(value)         ? bt_strdup("the query's answer is no finite number")
                                                              : NULL;
  set_metric(r, p->service, p->metric, error ? NULL : json_incref((json_t *)(uintptr_t)value), error);
  part_free(p);
  one_less(r);
}

/* The named entry, or the only one that can be asked. */
static struct bt_plugin *monitor_of(struct bt_daemon *d, const char *name, char **why) {
  struct bt_plugin *found = NULL, *entry;
  if (name) {
    entry = bt_plugins_named(d->plugins, name);
    if (entry && bt_plugin_methods(entry, BERTH_MONITOR))
      return entry;
    *why = !entry ? bt_asprintf("there is no plug-in entry %s; see: berth plugin ls", name)
                  : bt_asprintf("the plug-in entry %s %s", name, bt_plugin_status(entry) == BT_PLUGIN_OK ? "is no monitor" : "does not run; see: berth plugin ls");
    return NULL;
  }
  for (size_t i = 0; (entry = bt_plugins_find(d->plugins, BERTH_MONITOR, i)) != NULL; i++) {
    const struct berth_monitor *table = bt_plugin_methods(entry, BERTH_MONITOR);
    if (!BERTH_HAS(table, query) || !table->query)
      continue;
    if (found) {
      *why = bt_asprintf("several monitors can be asked (%s, %s): name one as \"plugin\"", bt_plugin_name(found), bt_plugin_name(entry));
      return NULL;
    }
    found = entry;
  }
  *why = found ? NULL : bt_strdup("no monitor plug-in runs that can be asked; see: berth plugin ls");
  return found;
}

static void ask_query(struct reading *r, const char *service, const char *metric, const json_t *ask) {
  BT_AUTO_FREE char *why = NULL;
  struct bt_plugin *entry = monitor_of(r->d, bt_json_str(ask, "plugin"), &why);
  if (!entry) {
    set_metric(r, service, metric, NULL, why);
    return;
  }
  struct berth_monitor_query request = {.size = sizeof request, .query = bt_json_str(ask, "query")};
  struct bt_plugin_call call = {.method = "monitor.query", .deadline_ms = query_deadline_ms, .done = query_done, .arg = part_new(r, service, metric)};
  const struct berth_monitor *table = bt_plugin_methods(entry, BERTH_MONITOR);
  bt_plugin_invoke(entry, table, query, &call, &request);
}

/* ---- a call ---- */

void bt_daemon_read_metrics(struct bt_daemon *d, const json_t *args, void (*done)(void *arg, enum bt_code code, const char *message, const json_t *result),
                            void *arg) {
  struct reading *r = bt_new(struct reading);
  *r = (struct reading){.d = d,
                        .asked = json_deep_copy(bt_json_obj(args, "services")),
                        .answered = json_object(),
                        .waiting = 1,
                        .limits = {.timeout_ms = (int)(d->config->policies.timeout / 1000000), .max_memory = (size_t)d->config->policies.memory},
                        .done = done,
                        .arg = arg};
  if (!d->cpu_before)
    d->cpu_before = json_object();
  const char *service, *key;
  json_t *question, *metric;
  json_object_foreach(r->asked, service, question) {
    json_t *answer = json_object();
    bt_json_set(answer, "metrics", json_object());
    bt_json_set(r->answered, service, answer);
  }
  json_object_foreach(r->asked, service, question) {
    if (bt_json_bool(question, "usage", false))
      ask_usage(r, service, question);
    json_object_foreach(bt_json_obj(question, "metrics"), key, metric) if (bt_json_str(metric, "query")) ask_query(r, service, key, metric);
  }
  one_less(r);
}
