/* What plug-ins and the API ask of the daemon: key-value, secrets, events, queries; status. */
#include "config.h"

#include <berth/registry.h>
#include <berth/runtime.h>
#include <berth/scm.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

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
  if (d->found_wrong) {
    BT_AUTO_FREE char *text = bt_asprintf("%zu things do not fit together, as of the last start or reload: see berth doctor", d->found_wrong);
    json_array_append_new(warnings, bt_json_string(text));
  }
  bt_json_set(o, "warnings", warnings);
  bt_json_set(o, "objects", bt_control_counts(bt_executor_control(d->executor)));
  return o;
}
