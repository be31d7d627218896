/* What plug-ins and the API ask of the daemon: key-value, secrets, events, queries; status and the doctor. */
#include "config.h"

#include <berth/registry.h>
#include <berth/runtime.h>
#include <berth/scm.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "daemon.h"

/* ---------------------------------------------------------------- base64 */

static void *from_base64(const char *text, size_t *len) {
  size_t n = strlen(text), room = n / 4 * 3 + 3;
  unsigned char *data = bt_calloc(room + 1, 1);
  if (sodium_base642bin(data, room, text, n, NULL, len, NULL, sodium_base64_VARIANT_ORIGINAL) != 0) {
    free(data);
    return NULL;
  }
  data[*len] = 0;
  return data;
}

/* ---------------------------------------------------------------- key-value */

/* In a list of the daemon's, for those that are still open at its end. */
struct bt_kv_wait {
  struct bt_daemon *d;
  struct bt_kv_wait *prev, *next;
  void (*done)(void *arg, enum bt_code code, const char *message);
  void *arg;
};

static void kv_done(void *arg, enum bt_code code, const char *message, const json_t *result) {
  struct bt_kv_wait *wait = arg;
  (void)result;
  if (wait->prev)
    wait->prev->next = wait->next;
  else
    wait->d->kv_waits = wait->next;
  if (wait->next)
    wait->next->prev = wait->prev;
  if (wait->done)
    wait->done(wait->arg, code, message);
  free(wait);
}

void bt_daemon_kv_end(struct bt_daemon *d) {
  while (d->kv_waits)
    kv_done(d->kv_waits, BT_CANCELLED, "the server is going down", NULL);
}

static void kv_put(void *arg, const char *entry, const char *key, const char *value,
                   void (*done)(void *done_arg, enum bt_code code, const char *message), void *done_arg) {
  struct bt_daemon *d = arg;
  json_t *args = json_object();
  bt_json_set_str(args, "plugin", entry);
  bt_json_set_str(args, "key", key);
  bt_json_set(args, "value", bt_json_string(value));
  struct bt_kv_wait *wait = bt_new(struct bt_kv_wait);
  *wait = (struct bt_kv_wait){.d = d, .next = d->kv_waits, .done = done, .arg = done_arg};
  if (wait->next)
    wait->next->prev = wait;
  d->kv_waits = wait;
  bt_executor_write(d->executor, "kv.put", args, "system", false, kv_done, wait);
}

static void kv_scan(void *arg, const char *entry, const char *prefix,
                    bool (*found)(void *found_arg, const char *key, const char *value), void *found_arg) {
  struct bt_daemon *d = arg;
  bt_control_kv_scan(bt_executor_control(d->executor), entry, prefix, found, found_arg);
}

/* ---------------------------------------------------------------- secrets and configs */

/* "secrets/APP/NAME[/fingerprint]" of a namespace was sealed under "NS/APP/NAME". */
static char *sealed_name(const char *namespace_, const char *key) {
  const char *app = strchr(key, '/');
  if (!app)
    return NULL;
  app++;
  const char *name = strchr(app, '/');
  if (!name)
    return NULL;
  const char *end = strchr(name + 1, '/');
  size_t n = end ? (size_t)(end - app) : strlen(app);
  return bt_asprintf("%s/%.*s", namespace_, (int)n, app);
}

int bt_daemon_content(void *arg, const char *namespace_, const char *key, void **data, size_t *len, struct bt_err **err) {
  struct bt_daemon *d = arg;
  struct bt_control *control = bt_executor_control(d->executor);
  if (bt_starts(key, "configs/")) {
    const char *text = bt_control_config_data(control, namespace_, key);
    if (!text)
      return bt_err_set(err, BT_NOT_FOUND, "the config %s is not there", key);
    *data = from_base64(text, len);
    return *data ? 0 : bt_err_set(err, BT_INTERNAL, "the config %s is damaged", key);
  }
  const char *blob = bt_control_secret_blob(control, namespace_, key);
  BT_AUTO_FREE char *name = sealed_name(namespace_, key);
  if (!blob || !name)
    return bt_err_set(err, BT_NOT_FOUND, "the secret %s is not there: make it with berth secret put", key);
  return bt_seal_decrypt(d->seal, name, blob, data, len, err);
}

static void plugin_secret(void *arg, const char *name,
                          void (*done)(void *done_arg, enum bt_code code, const char *message, const void *value, size_t len),
                          void *done_arg) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE char *key = bt_asprintf("secrets/-/%s", name);
  void *data = NULL;
  size_t len = 0;
  if (bt_daemon_content(arg, "default", key, &data, &len, &err) < 0) {
    BT_AUTO_FREE char *mend = bt_asprintf("it is not there: make it with \"berth secret put %s FILE\"", name);
    done(done_arg, bt_err_code(err), bt_err_code(err) == BT_NOT_FOUND ? mend : bt_err_message(err), NULL, 0);
    return;
  }
  done(done_arg, BT_OK, "", data, len);
  bt_wipe(data, len);
  free(data);
}

/* The id of a namespace's own secret is "NS/secrets/-/NAME"; one of an app is no plug-in's. A deleted one is missed at the next
 * start only: what runs goes on with what it has. */
static bool secret_fed(void *arg, const struct bt_feed_entry *entry) {
  static const char own[] = "default/secrets/-/";
  struct bt_daemon *d = arg;
  if (bt_streq(entry->kind, "gap"))
    bt_plugins_secret_changed(d->plugins, NULL);
  else if (bt_streq(entry->kind, "secret") && entry->value && bt_starts(entry->key, own))
    bt_plugins_secret_changed(d->plugins, entry->key + strlen(own));
  return true;
}

void bt_daemon_watch_secrets(struct bt_daemon *d) { d->secrets = bt_feed_watch(d->feed, UINT64_MAX, secret_fed, d); }

/* ---------------------------------------------------------------- events, queries, paths */

static void ignore(void *arg, enum bt_code code, const char *message, const json_t *result) {
  (void)arg, (void)code, (void)message, (void)result;
}

/* What plug-ins hear from outside may be a reason to look at once. */
static void take_hint(struct bt_daemon *d, const char *entry, const char *type, const char *data_json) {
  static const struct {
    const char *type, *interface, *op;
  } hints[] = {{"plugin.scm.changed", BERTH_SCM, "source.push"}, {"plugin.registry.pushed", BERTH_REGISTRY, "image.pushed"}};
  for (size_t i = 0; i < BT_COUNT(hints); i++) {
    if (!bt_streq(hints[i].type, type) || !bt_plugin_methods(bt_plugins_named(d->plugins, entry), hints[i].interface))
      continue;
    json_t *args = bt_json_parse(data_json, strlen(data_json), 65536, 16, "event data", NULL);
    if (args)
      bt_executor_write(d->executor, hints[i].op, args, "system", false, ignore, NULL);
  }
}

static void publish(void *arg, const char *entry, const char *type, const char *severity, const char *message,
                    const char *data_json) {
  struct bt_daemon *d = arg;
  json_t *args = json_object();
  bt_json_set_str(args, "type", type);
  bt_json_set_str(args, "severity", severity);
  BT_AUTO_FREE char *subject = bt_asprintf("plugin/%s", entry);
  bt_json_set_str(args, "subject", subject);
  bt_json_set_str(args, "message", message);
  if (data_json)
    take_hint(d, entry, type, data_json);
  json_t *data = data_json ? bt_json_parse(data_json, strlen(data_json), 65536, 16, "event data", NULL) : NULL;
  if (data)
    bt_json_set(args, "data", data);
  bt_executor_write(d->executor, "event.add", args, "system", false, ignore, NULL);
}

json_t *bt_daemon_list(struct bt_daemon *d, const char *kind, uint64_t after) {
  const struct bt_control *control = bt_executor_control(d->executor);
  json_t *all = json_array();
  BT_AUTO_FREE char *cursor = NULL;
  do {
    struct bt_query query = {.after = after, .limit = 5000, .cursor = cursor};
    char *next = NULL;
    BT_AUTO_JSON page = bt_control_list(control, kind, &query, &next, NULL);
    json_array_extend(all, page);
    free(cursor);
    cursor = next;
  } while (cursor);
  return all;
}

/* Nothing is missing where the oldest event that is kept is not younger than "after", or is the very first. */
static json_t *past_events(void *arg, uint64_t after, bool *complete) {
  struct bt_daemon *d = arg;
  const struct bt_control *control = bt_executor_control(d->executor);
  struct bt_query first = {.limit = 1};
  BT_AUTO_JSON oldest = bt_control_list(control, "events", &first, NULL, NULL);
  const json_t *o = json_array_get(oldest, 0);
  *complete = after <= bt_control_revision(control) &&
              (!o || bt_json_int(o, "id", 0) == 1 || (uint64_t)bt_json_int(o, "revision", 0) <= after);
  return bt_daemon_list(d, "events", after);
}

static void query(void *arg, const char *path,
                  void (*done)(void *done_arg, enum bt_code code, const char *message, const char *json), void *done_arg) {
  struct bt_daemon *d = arg;
  if (d->api)
    bt_api_query(d->api, path, done, done_arg);
  else
    done(done_arg, BT_UNAVAILABLE, "the server is starting", NULL);
}

static bool path_reserved(void *arg, const char *method, const char *path) {
  struct bt_daemon *d = arg;
  return !d->api || bt_api_reserved(d->api, method, path);
}

void bt_daemon_plugin_server(struct bt_daemon *d) {
  d->plugin_server = (struct bt_plugin_server){.arg = d,
                                               .kv_put = kv_put,
                                               .kv_scan = kv_scan,
                                               .secret = plugin_secret,
                                               .feed = d->feed,
                                               .past_events = past_events,
                                               .publish = publish,
                                               .path_reserved = path_reserved,
                                               .query = query,
                                               .collect = bt_daemon_collect};
}

/* ---------------------------------------------------------------- status */

json_t *bt_daemon_status(void *arg) {
  struct bt_daemon *d = arg;
  json_t *o = json_object();
  bt_json_set_str(o, "version", PACKAGE_VERSION);
  bt_json_set_str(o, "server_id", bt_executor_server_id(d->executor));
  bt_json_set_str(o, "node", d->node_name);
  bt_json_set_int(o, "uptime_ms", bt_clock_wall_ms() - d->started_ms);
  bt_json_set_int(o, "rss_bytes", bt_daemon_rss());
  struct bt_loop_stats loop;
  bt_loop_stats(d->loop, &loop);
  bt_json_set(o, "loop",
              json_pack("{sI,ss,sI,sI,ss,sI,sI,sI,sI}", "worst_us", (json_int_t)loop.worst_us, "worst_name", loop.worst_name, "worst_cpu_us",
                        (json_int_t)loop.worst_cpu_us, "own_us", (json_int_t)loop.own_us, "own_name", loop.own_name, "own_cpu_us",
                        (json_int_t)loop.own_cpu_us, "stalls", (json_int_t)loop.stalls, "descheduled", (json_int_t)loop.descheduled,
                        "callbacks", (json_int_t)loop.callbacks));
  struct bt_store_stats store;
  bt_store_sqlite_stats(d->store, &store);
  const char *sentence = "";
  enum bt_store_health health = d->store->ops->health(d->store, &sentence);
  bt_json_set(o, "store",
              json_pack("{ss,sI,sI,sI,sI,sI,sI}", "status",
                        health == BT_STORE_OK     ? "ok"
                        : health == BT_STORE_FULL ? "full"
                                                  : "in doubt",
                        "revision", (json_int_t)bt_control_revision(bt_executor_control(d->executor)), "commits",
                        (json_int_t)store.commits, "transactions", (json_int_t)store.transactions, "syncs",
                        (json_int_t)store.syncs, "failed", (json_int_t)store.failed, "worst_commit_us",
                        (json_int_t)store.worst_commit_us));
  json_t *warnings = json_array();
  if (health != BT_STORE_OK)
    json_array_append_new(warnings, bt_json_string(sentence));
  if (!bt_agent_connected(d->agent))
    json_array_append_new(warnings, json_string("the container engine of this node does not answer: see berth doctor"));
  bt_json_set(o, "warnings", warnings);
  bt_json_set(o, "objects", bt_control_counts(bt_executor_control(d->executor)));
  return o;
}

/* ---------------------------------------------------------------- doctor */

enum { probe_deadline_ms = 8000 };

static void check(json_t *report, const char *name, const char *status, const char *detail, const char *fix) {
  json_t *o = json_object();
  bt_json_set_str(o, "check", name);
  bt_json_set_str(o, "status", status);
  bt_json_set_str(o, "detail", detail);
  bt_json_set_str(o, "fix", fix);
  json_array_append_new(report, o);
}

static void check_engine(struct bt_daemon *d, json_t *report) {
  const json_t *info = bt_agent_info(d->agent);
  if (!bt_plugins_find(d->plugins, BERTH_RUNTIME, 0)) {
    check(report, "engine", "error", "no runtime plug-in runs, so nothing can run",
          "name one under plugins: in berthd.yaml and reload; where one is named, berth plugin ls has why it does not run");
    return;
  }
  if (!bt_agent_connected(d->agent) || !info) {
    check(report, "engine", "error", "the container engine does not answer",
          "start it (dockerd, or systemctl start docker), and check the runtime plug-in's host in berthd.yaml");
    return;
  }
  BT_AUTO_FREE char *text =
      bt_asprintf("%s %s, API %s, %s", bt_json_str_or(info, "name", "engine"), bt_json_str_or(info, "version", "?"),
                  bt_json_str_or(info, "api_version", "?"), bt_json_str_or(info, "platform", "?"));
  check(report, "engine", "ok", text, NULL);
}

static void check_state(struct bt_daemon *d, json_t *report) {
  const char *sentence = "";
  enum bt_store_health health = d->store->ops->health(d->store, &sentence);
  check(report, "state store", health == BT_STORE_OK ? "ok" : "error",
        health == BT_STORE_OK ? "takes changes" : sentence,
        health == BT_STORE_OK     ? NULL
        : health == BT_STORE_FULL ? "make room on the disk; changes go on by themselves"
                                  : "check the disk, then restart berthd");
  BT_AUTO_FREE char *dir = bt_path_dir(d->config->state.path);
  struct statvfs fs;
  if (statvfs(dir, &fs) != 0)
    return;
  unsigned long long mib = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20;
  BT_AUTO_FREE char *text = bt_asprintf("%llu MiB free under %s", mib, dir);
  check(report, "disk", mib < 100 ? "warning" : "ok", text, mib < 100 ? "make room: under 100 MiB is little" : NULL);
}

static void check_plugins(struct bt_daemon *d, json_t *report) {
  BT_AUTO_JSON list = bt_plugins_json(d->plugins);
  size_t i;
  json_t *p;
  json_array_foreach(list, i, p) {
    BT_AUTO_FREE char *name = bt_asprintf("plug-in %s", bt_json_str_or(p, "name", "?"));
    bool fine = bt_streq(bt_json_str(p, "status"), "ok");
    check(report, name, fine ? "ok" : "error", fine ? bt_json_str(p, "version") : bt_json_str(p, "error"),
          fine ? NULL : "mend its entry in berthd.yaml and send berthd a SIGHUP");
  }
}

static void check_policies(struct bt_daemon *d, json_t *report) {
  BT_AUTO_JSON list = bt_policy_list(d->policy);
  size_t i, broken = 0;
  json_t *p;
  json_array_foreach(list, i, p) {
    if (!bt_streq(bt_json_str(p, "status"), "broken"))
      continue;
    broken++;
    BT_AUTO_FREE char *name = bt_asprintf("policy %s", bt_json_str_or(p, "file", "?"));
    check(report, name, "error", bt_json_str(p, "error"), "mend the file; the last good set is in force until then");
  }
  BT_AUTO_FREE char *text = bt_asprintf("%zu files in %s", json_array_size(list), d->config->policies.dir);
  if (!broken)
    check(report, "policies", "ok", text, NULL);
}

static void check_loop(struct bt_daemon *d, json_t *report) {
  struct bt_loop_stats loop;
  bt_loop_stats(d->loop, &loop);
  BT_AUTO_FREE char *text =
      bt_asprintf("longest callback %lld ms (%s), %lld ms (%s) with the wait for a processor; %llu over 50 ms, %llu only for that wait",
                  (long long)loop.own_us / 1000, loop.own_name, (long long)loop.worst_us / 1000, loop.worst_name,
                  (unsigned long long)loop.stalls, (unsigned long long)loop.descheduled);
  check(report, "event loop", loop.own_us > 50000 ? "warning" : "ok", text, NULL);
}

struct doctor {
  struct bt_daemon *d;
  json_t *report;
  void (*done)(void *arg, json_t *report_steal);
  void *arg;
};

static const char mend_product[] = "see the plug-in's entry in berthd.yaml, and the product behind it";

static void check_registries(json_t *report, const json_t *result) {
  size_t i;
  json_t *r;
  json_array_foreach(bt_json_arr(result, "registries"), i, r) {
    BT_AUTO_FREE char *name = bt_asprintf("registry %s", bt_json_str_or(r, "name", "?"));
    bool fine = bt_streq(bt_json_str(r, "status"), "ok");
    check(report, name, fine ? "ok" : "warning", bt_json_str(r, "detail"), fine ? NULL : mend_product);
  }
}

/* What a plug-in found when it looked at its product. */
static void check_probe(json_t *report, const json_t *probe) {
  const json_t *result = bt_json_obj(probe, "result");
  BT_AUTO_FREE char *name = bt_asprintf("%s (%s)", bt_json_str_or(probe, "name", "?"), bt_json_str_or(probe, "interface", "?"));
  if (!result) {
    check(report, name, "warning", bt_json_str(probe, "message"), mend_product);
  } else if (bt_json_arr(result, "registries")) {
    check_registries(report, result);
  } else {
    bool fine = bt_streq(bt_json_str_or(result, "status", "ok"), "ok");
    check(report, name, fine ? "ok" : "warning", bt_json_str(result, "detail"), fine ? NULL : mend_product);
  }
}

static void probed(void *arg, json_t *probes_steal) {
  struct doctor *doctor = arg;
  BT_AUTO_JSON probes = probes_steal;
  size_t i;
  json_t *probe;
  json_array_foreach(probes, i, probe) check_probe(doctor->report, probe);
  check_policies(doctor->d, doctor->report);
  check_loop(doctor->d, doctor->report);
  doctor->done(doctor->arg, doctor->report);
  free(doctor);
}

void bt_daemon_doctor(void *arg, void (*done)(void *done_arg, json_t *report_steal), void *done_arg) {
  struct bt_daemon *d = arg;
  struct doctor *doctor = bt_new(struct doctor);
  *doctor = (struct doctor){.d = d, .report = json_array(), .done = done, .arg = done_arg};
  check_engine(d, doctor->report);
  check_state(d, doctor->report);
  check_plugins(d, doctor->report);
  bt_plugins_probe(d->plugins, probe_deadline_ms, probed, doctor);
}
