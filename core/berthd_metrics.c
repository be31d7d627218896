/* Berth's own metrics and those of its instances, family by family (berth.host.metrics/1). Statistics of instances are read from the
 * engine only when somebody asks and the last ones are too old: nothing is polled in a steady state. */
#include "config.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "daemon.h"

typedef void sample_fn(void *arg, const struct berth_metric_sample *sample);

struct collect {
  struct bt_daemon *d;
  sample_fn *sample;
  void (*done)(void *arg, enum bt_code code, const char *message);
  void *arg;
};

long long bt_daemon_rss(void) {
  FILE *f = fopen("/proc/self/statm", "re");
  long long total = 0, resident = 0;
  if (f && fscanf(f, "%lld %lld", &total, &resident) != 2)
    resident = 0;
  if (f)
    fclose(f);
  return resident * sysconf(_SC_PAGESIZE);
}

static void emit(const struct collect *c, const char *name, const char *help, enum berth_metric_kind kind,
                 const struct berth_pair *labels, size_t n, double value) {
  struct berth_metric_sample s = {sizeof s, name, help, kind, labels, n, value};
  c->sample(c->arg, &s);
}

static void one(const struct collect *c, const char *name, const char *help, enum berth_metric_kind kind, double value) {
  emit(c, name, help, kind, NULL, 0, value);
}

static void server_metrics(const struct collect *c) {
  struct bt_daemon *d = c->d;
  struct berth_pair version = {"version", PACKAGE_VERSION};
  emit(c, "berth_info", "Version of the server; the value is always 1.", BERTH_GAUGE, &version, 1, 1);
  one(c, "berth_start_time_seconds", "When the server started, seconds since 1970.", BERTH_GAUGE, (double)d->started_ms / 1000);
  one(c, "berth_resident_memory_bytes", "Resident memory of the server.", BERTH_GAUGE, (double)bt_daemon_rss());
  struct bt_loop_stats loop;
  bt_loop_stats(d->loop, &loop);
  one(c, "berth_loop_worst_seconds", "Longest callback of the event loop since the start.", BERTH_GAUGE, (double)loop.worst_us / 1e6);
  one(c, "berth_loop_own_seconds", "Longest callback without what it waited for a processor.", BERTH_GAUGE, (double)loop.own_us / 1e6);
  one(c, "berth_loop_stalls_total", "Callbacks of the event loop over 50 ms.", BERTH_COUNTER, (double)loop.stalls);
  one(c, "berth_loop_descheduled_total", "Those of them that were not over it without the wait for a processor.", BERTH_COUNTER,
      (double)loop.descheduled);
  struct bt_store_stats store;
  bt_store_sqlite_stats(d->store, &store);
  one(c, "berth_store_commits_total", "Changes made durable.", BERTH_COUNTER, (double)store.commits);
  one(c, "berth_store_transactions_total", "Transactions that carried them.", BERTH_COUNTER, (double)store.transactions);
  one(c, "berth_store_failed_total", "Changes that were refused by the store.", BERTH_COUNTER, (double)store.failed);
  one(c, "berth_store_up", "1 where the store takes changes.", BERTH_GAUGE,
      d->store->ops->health(d->store, NULL) == BT_STORE_OK);
  one(c, "berth_node_up", "1 where the node's container engine answers.", BERTH_GAUGE, bt_agent_connected(d->agent));
}

static void count_metrics(const struct collect *c) {
  BT_AUTO_JSON counts = bt_control_counts(bt_executor_control(c->d->executor));
  one(c, "berth_apps", "Apps.", BERTH_GAUGE, bt_json_num(counts, "apps", 0));
  one(c, "berth_services", "Services.", BERTH_GAUGE, bt_json_num(counts, "services", 0));
  static const struct {
    const char *member, *name, *help, *label;
  } maps[] = {{"instances", "berth_instances", "Instances by state.", "state"},
              {"rollouts", "berth_rollouts", "Services by the state of their rollout.", "state"}};
  for (size_t i = 0; i < BT_COUNT(maps); i++) {
    const char *key;
    json_t *value;
    json_object_foreach(bt_json_obj(counts, maps[i].member), key, value) {
      struct berth_pair label = {maps[i].label, key};
      emit(c, maps[i].name, maps[i].help, BERTH_GAUGE, &label, 1, json_number_value(value));
    }
  }
}

/* Of namespaces that berthd.yaml names; of each what it limits, and what is used of all. */
static void quota_metrics(const struct collect *c) {
  BT_AUTO_JSON rows = bt_control_list(bt_executor_control(c->d->executor), "quotas", &(struct bt_query){.limit = 5000}, NULL, NULL);
  static const struct {
    const char *member, *name, *help;
  } families[] = {{"used", "berth_quota_used", "What a namespace uses, with those within it; memory in bytes."},
                  {"quota", "berth_quota_limit", "What it may use."}};
  for (size_t f = 0; f < BT_COUNT(families); f++) {
    size_t i;
    json_t *row, *value;
    const char *resource;
    json_array_foreach(rows, i, row) json_object_foreach(bt_json_obj(row, families[f].member), resource, value) {
      struct berth_pair labels[] = {{"namespace", bt_json_str_or(row, "namespace", "")}, {"resource", resource}};
      emit(c, families[f].name, families[f].help, BERTH_GAUGE, labels, BT_COUNT(labels), json_number_value(value));
    }
  }
}

enum { INSTANCE_LABELS = 4 };

static void labels_of(const json_t *o, struct berth_pair labels[INSTANCE_LABELS]) {
  static const char *const names[INSTANCE_LABELS] = {"namespace", "app", "service", "instance"};
  for (int i = 0; i < INSTANCE_LABELS; i++)
    labels[i] = (struct berth_pair){names[i], bt_json_str_or(o, names[i], "")};
}

static void instance_states(const struct collect *c, const json_t *items) {
  static const struct {
    const char *name, *help;
    enum berth_metric_kind kind;
    int which;
  } families[] = {
      {"berth_instance_up", "1 where the instance runs.", BERTH_GAUGE, 0},
      {"berth_instance_ready", "1 where the instance takes traffic: running, healthy, probes pass.", BERTH_GAUGE, 1},
      {"berth_instance_healthy", "1 healthy, 0 not, absent without a health check.", BERTH_GAUGE, 2},
      {"berth_instance_restarts_total", "Starts after the first.", BERTH_COUNTER, 3},
  };
  for (size_t f = 0; f < BT_COUNT(families); f++) {
    size_t i;
    json_t *o;
    json_array_foreach(items, i, o) {
      const char *health = bt_json_str_or(o, "health", "");
      double v = families[f].which == 0   ? bt_streq(bt_json_str(o, "state"), "running")
                 : families[f].which == 1 ? bt_json_bool(o, "ready", false)
                 : families[f].which == 2 ? bt_streq(health, "healthy")
                                          : (double)bt_json_int(o, "restarts", 0);
      if (families[f].which == 2 && !*health)
        continue;
      struct berth_pair labels[INSTANCE_LABELS];
      labels_of(o, labels);
      emit(c, families[f].name, families[f].help, families[f].kind, labels, INSTANCE_LABELS, v);
    }
  }
}

static void instance_stats(const struct collect *c, const json_t *items) {
  static const struct {
    const char *member, *name, *help;
    enum berth_metric_kind kind;
    double scale;
  } families[] = {
      {"cpu_ns", "berth_instance_cpu_seconds_total", "CPU time used.", BERTH_COUNTER, 1e-9},
      {"memory", "berth_instance_memory_bytes", "Memory in use, page cache left out.", BERTH_GAUGE, 1},
      {"memory_limit", "berth_instance_memory_limit_bytes", "Limit of memory.", BERTH_GAUGE, 1},
      {"rx_bytes", "berth_instance_network_receive_bytes_total", "Bytes received.", BERTH_COUNTER, 1},
      {"tx_bytes", "berth_instance_network_transmit_bytes_total", "Bytes sent.", BERTH_COUNTER, 1},
      {"read_bytes", "berth_instance_block_read_bytes_total", "Bytes read from block devices.", BERTH_COUNTER, 1},
      {"write_bytes", "berth_instance_block_write_bytes_total", "Bytes written to block devices.", BERTH_COUNTER, 1},
      {"pids", "berth_instance_pids", "Processes and threads.", BERTH_GAUGE, 1},
  };
  for (size_t f = 0; f < BT_COUNT(families); f++) {
    size_t i;
    json_t *o;
    json_array_foreach(items, i, o) {
      json_t *value = json_object_get(o, families[f].member);
      if (!json_is_number(value))
        continue;
      struct berth_pair labels[INSTANCE_LABELS];
      labels_of(o, labels);
      emit(c, families[f].name, families[f].help, families[f].kind, labels, INSTANCE_LABELS,
           json_number_value(value) * families[f].scale);
    }
  }
}

static void instance_metrics(const struct collect *c) {
  BT_AUTO_JSON all = bt_daemon_list(c->d, "instances", 0);
  instance_states(c, all);
  instance_stats(c, c->d->stats);
}

static double seconds(const json_t *job, const char *key) {
  int64_t ms = 0;
  const char *text = bt_json_str(job, key);
  return text && bt_clock_parse(text, &ms) ? (double)ms / 1000 : 0;
}

/* What one wants an alert on: a job that has not succeeded for too long. */
static void job_metrics(const struct collect *c) {
  static const struct {
    const char *key, *name, *help;
  } families[] = {
      {"active", "berth_job_active", "Runs that are not over."},
      {"last_run", "berth_job_failed", "1 where the last run that ended failed."},
      {"succeeded_at", "berth_job_last_success_timestamp_seconds", "When a run last succeeded, seconds since 1970; absent where none has."},
      {"next_run", "berth_job_next_run_timestamp_seconds", "When the next run is due, seconds since 1970; absent where none is."},
  };
  BT_AUTO_JSON jobs = bt_control_jobs(bt_executor_control(c->d->executor));
  for (size_t f = 0; f < BT_COUNT(families); f++) {
    size_t i;
    json_t *o;
    json_array_foreach(jobs, i, o) {
      const json_t *job = bt_json_obj(o, "job"), *last = bt_json_obj(job, "last_run");
      struct berth_pair labels[INSTANCE_LABELS];
      double v = f == 0 ? (double)bt_json_int(job, "active", 0) : f == 1 ? bt_streq(bt_json_str(last, "state"), "failed") : seconds(job, families[f].key);
      if (f > 1 && v <= 0)
        continue;
      labels_of(o, labels);
      emit(c, families[f].name, families[f].help, BERTH_GAUGE, labels, INSTANCE_LABELS - 1, v); /* all but the instance */
    }
  }
}

static void finish(struct collect *c) {
  server_metrics(c);
  count_metrics(c);
  quota_metrics(c);
  instance_metrics(c);
  job_metrics(c);
  c->done(c->arg, BT_OK, "");
  free(c);
}

static void stats_done(void *arg, enum bt_code code, const char *message, const json_t *result) {
  struct collect *c = arg;
  (void)message;
  json_t *items = code == BT_OK ? bt_json_arr(result, "items") : NULL;
  if (items) {
    json_decref(c->d->stats);
    c->d->stats = json_incref(items);
    c->d->stats_ms = bt_clock_mono_ms();
  }
  finish(c);
}

void bt_daemon_collect(void *arg, int64_t max_age_ms, sample_fn *sample,
                       void (*done)(void *done_arg, enum bt_code code, const char *message), void *done_arg) {
  struct bt_daemon *d = arg;
  struct collect *c = bt_new(struct collect);
  *c = (struct collect){d, sample, done, done_arg};
  if (d->stats && bt_clock_mono_ms() - d->stats_ms <= max_age_ms) {
    finish(c);
    return;
  }
  BT_AUTO_JSON args = json_object();
  struct bt_stream_callbacks callbacks = {.done = stats_done, .arg = c};
  bt_stream_open(d->agent, "stats", NULL, NULL, args, &callbacks);
}
