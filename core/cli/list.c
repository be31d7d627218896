/* The verbs that list: one table says where each list comes from and what its columns show. */
#include "config.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/size.h"
#include "cli/autoscale.h"
#include "cli/cli.h"
#include "cli/jobs.h"
#include "cli/list.h"
#include "cli/rollout.h"
#include "cli/target.h"

long long bt_json_time(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  int64_t ms = 0;
  if (json_is_string(value))
    return bt_clock_parse(json_string_value(value), &ms) ? ms : 0;
  return json_is_integer(value) ? json_integer_value(value) : 0;
}

/* ---------------------------------------------------------------- cells */

static void add_text(struct bt_table *table, const json_t *value) {
  if (json_is_string(value))
    bt_table_add(table, json_string_value(value), BT_PLAIN);
  else if (json_is_integer(value))
    bt_table_addf(table, "%lld", (long long)json_integer_value(value));
  else if (json_is_real(value))
    bt_table_addf(table, "%.4g", json_real_value(value));
  else if (json_is_boolean(value))
    bt_table_add(table, json_is_true(value) ? "yes" : "no", BT_PLAIN);
  else
    bt_table_add(table, "", BT_PLAIN);
}

/* An engine publishes each port for IPv4 and for IPv6: one of them says enough. */
static bool is_twin(const json_t *ports, const json_t *port) {
  size_t i;
  json_t *other;
  if (!bt_streq(bt_json_str(port, "host_ip"), "::"))
    return false;
  json_array_foreach(ports, i, other) if (bt_streq(bt_json_str(other, "host_ip"), "0.0.0.0") &&
                                          json_equal(json_object_get(other, "published"), json_object_get(port, "published")) &&
                                          json_equal(json_object_get(other, "target"), json_object_get(port, "target")) &&
                                          bt_streq(bt_json_str(other, "protocol"), bt_json_str(port, "protocol"))) return true;
  return false;
}

/* "127.0.0.1:8080->80 53->53/udp" */
static void add_ports(const json_t *ports, struct bt_buf *out) {
  size_t i;
  json_t *port;
  json_array_foreach(ports, i, port) {
    if (is_twin(ports, port))
      continue;
    const json_t *published = json_object_get(port, "published");
    const char *ip = bt_json_str(port, "host_ip"), *protocol = bt_json_str_or(port, "protocol", "tcp");
    bt_buf_adds(out, out->len ? " " : "");
    if (ip && *ip && strcmp(ip, "0.0.0.0") != 0)
      bt_buf_addf(out, strchr(ip, ':') ? "[%s]:" : "%s:", ip);
    if (json_is_integer(published))
      bt_buf_addf(out, "%lld->", (long long)json_integer_value(published));
    else if (json_is_string(published))
      bt_buf_addf(out, "%s->", json_string_value(published));
    bt_buf_addf(out, "%lld%s%s", bt_json_int(port, "target", 0), strcmp(protocol, "tcp") ? "/" : "",
                strcmp(protocol, "tcp") ? protocol : "");
  }
}

/* "device gpu 1/2, disk 3/40GiB" */
static void add_room(const json_t *room, struct bt_buf *out) {
  const char *name;
  json_t *item;
  char used[32], of[32];
  json_object_foreach((json_t *)(uintptr_t)room, name, item) {
    bool disk = bt_streq(name, "disk");
    if (bt_json_int(item, "used", 0) == 0 && (disk || bt_streq(name, "pids")))
      continue;
    bt_buf_addf(out, "%s%s ", out->len ? ", " : "", name);
    if (disk)
      bt_buf_addf(out, "%s/%s", bt_size_format(bt_json_int(item, "used", 0), used), bt_json_int(item, "of", 0) ? bt_size_format(bt_json_int(item, "of", 0), of) : "?");
    else if (bt_json_int(item, "of", -1) < 0)
      bt_buf_addf(out, "%lld/?", bt_json_int(item, "used", 0));
    else
      bt_buf_addf(out, "%lld/%lld", bt_json_int(item, "used", 0), bt_json_int(item, "of", 0));
  }
}

static void add_joined(struct bt_table *table, const json_t *value) {
  BT_AUTO_BUF b = {0};
  size_t i;
  json_t *item;
  json_array_foreach(value, i, item) if (json_is_string(item))
      bt_buf_addf(&b, "%s%s", b.len ? "," : "", json_string_value(item));
  bt_table_add(table, b.data ? b.data : "", BT_PLAIN);
}

/* "sha256:0123456789ab…" -> "0123456789ab" */
static void add_digest(struct bt_table *table, const char *digest) {
  const char *hex = digest ? strchr(digest, ':') : NULL;
  bt_table_addf(table, "%.12s", hex ? hex + 1 : digest ? digest : "");
}

static const json_t *lookup(const json_t *object, const char *key) {
  const char *dot = strchr(key, '.');
  if (!dot)
    return json_object_get(object, key);
  BT_AUTO_FREE char *head = bt_strndup(key, (size_t)(dot - key));
  return json_object_get(json_object_get(object, head), dot + 1);
}

static bool runs(const json_t *instance) {
  const char *state = bt_json_str_or(instance, "state", "");
  return strcmp(state, "running") == 0 || strcmp(state, "stopping") == 0;
}

/* What once went wrong is no news of an instance that is ready. */
static const char *note(const json_t *instance) {
  static const char *const keys[] = {"error", "reason"};
  for (size_t i = 0; i < BT_COUNT(keys) && !bt_json_bool(instance, "ready", false); i++) {
    const char *text = bt_json_str(instance, keys[i]);
    if (text && *text)
      return text;
  }
  return "";
}

static void add_cell(struct bt_table *table, const struct bt_column *column, const json_t *item) {
  const json_t *value = lookup(item, column->key);
  const char *text = json_string_value(value);
  char buf[32];
  BT_AUTO_BUF b = {0};
  switch (column->kind) {
  case BT_CELL_TEXT:
    add_text(table, value);
    return;
  case BT_CELL_STATE:
    bt_table_add(table, text ? text : "", bt_out_state_color(text));
    return;
  case BT_CELL_AGE:
    bt_table_add(table, bt_out_age(bt_json_time(item, column->key), buf), BT_PLAIN);
    return;
  case BT_CELL_BYTES:
    bt_table_add(table, json_is_number(value) ? bt_out_bytes((long long)json_number_value(value), buf) : "", BT_PLAIN);
    return;
  case BT_CELL_UP:
    bt_table_add(table, runs(item) ? bt_out_age(bt_json_time(item, column->key), buf) : "", BT_PLAIN);
    return;
  case BT_CELL_NOTE:
    bt_table_add(table, note(item), BT_PLAIN);
    return;
  case BT_CELL_DIGEST:
    add_digest(table, text);
    return;
  case BT_CELL_PORTS:
    add_ports(value, &b);
    bt_table_add(table, b.data ? b.data : "", BT_PLAIN);
    return;
  case BT_CELL_ROOM:
    add_room(value, &b);
    bt_table_add(table, b.data ? b.data : "", BT_PLAIN);
    return;
  case BT_CELL_JOINED:
    add_joined(table, value);
    return;
  }
}

/* ---------------------------------------------------------------- lists */

/* A head and a row per item. */
static void fill_table(const struct bt_column *columns, const json_t *items, struct bt_table *table) {
  const char *names[BT_MAX_COLUMNS];
  size_t n = 0;
  for (; columns[n].head; n++)
    names[n] = columns[n].head;
  bt_table_head(table, n, names);
  size_t i;
  json_t *item;
  json_array_foreach(items, i, item) for (size_t c = 0; c < n; c++) add_cell(table, &columns[c], item);
}

static void print_id(const json_t *id) {
  if (json_is_integer(id))
    bt_cli_say("%lld\n", (long long)json_integer_value(id));
  else
    bt_cli_say("%s\n", json_is_string(id) ? json_string_value(id) : "");
}

int bt_list_print(const struct bt_cli *cli, const struct bt_column *columns, const char *id, const json_t *items) {
  BT_AUTO_TABLE table = {0};
  size_t i;
  json_t *item;
  if (cli->quiet) {
    json_array_foreach(items, i, item) print_id(json_object_get(item, id));
  } else if (cli->json) {
    bt_out_json(items);
  } else {
    fill_table(columns, items, &table);
    bt_table_print(&table);
  }
  return 0;
}

/* Gets a list and prints it; name is the id that --quiet prints. */
static int list(struct bt_cli *cli, const char *path, const struct bt_column *columns, const char *name,
                struct bt_err **err) {
  BT_AUTO_JSON items = NULL;
  if (bt_cli_connect(cli, err) || bt_conn_list(cli->conn, path, &items, err))
    return -1;
  return bt_list_print(cli, columns, name, items);
}

static int list_in_namespace(struct bt_cli *cli, const char *kind, const struct bt_column *columns, const char *name,
                             struct bt_err **err) {
  BT_AUTO_FREE char *path = bt_cli_path(cli, kind, NULL);
  return list(cli, path, columns, name, err);
}

int bt_verb_ls(struct bt_cli *cli, struct bt_err **err) {
  static const struct bt_column columns[] = {
      {"APP", "app", BT_CELL_TEXT},           {"REVISION", "revision", BT_CELL_TEXT}, {"STATE", "state", BT_CELL_STATE},
      {"READY", "ready", BT_CELL_TEXT},       {"COMPLETED", "completed", BT_CELL_TEXT},
      {"INSTANCES", "instances", BT_CELL_TEXT},
      {"UPDATED", "updated_at", BT_CELL_AGE}, {"MESSAGE", "message", BT_CELL_TEXT},   {NULL, NULL, BT_CELL_TEXT}};
  if (!bt_args_has(&cli->args, "all-namespaces"))
    return list_in_namespace(cli, "apps", columns, "app", err);
  static const struct bt_column everywhere[] = {
      {"NAMESPACE", "namespace", BT_CELL_TEXT}, {"APP", "app", BT_CELL_TEXT},     {"REVISION", "revision", BT_CELL_TEXT},
      {"STATE", "state", BT_CELL_STATE},        {"READY", "ready", BT_CELL_TEXT},   {"COMPLETED", "completed", BT_CELL_TEXT},
      {"INSTANCES", "instances", BT_CELL_TEXT},
      {"UPDATED", "updated_at", BT_CELL_AGE},   {"MESSAGE", "message", BT_CELL_TEXT},
      {NULL, NULL, BT_CELL_TEXT}};
  return list(cli, "/v1/apps", everywhere, "app", err);
}

int bt_verb_ps(struct bt_cli *cli, struct bt_err **err) {
  static const struct bt_column columns[] = {
      {"APP", "app", BT_CELL_TEXT},         {"SERVICE", "service", BT_CELL_TEXT},   {"INSTANCE", "instance", BT_CELL_TEXT},
      {"NODE", "node", BT_CELL_TEXT},       {"STATE", "state", BT_CELL_STATE},      {"HEALTH", "health", BT_CELL_STATE},
      {"UP", "started_at", BT_CELL_UP},    {"RESTARTS", "restarts", BT_CELL_TEXT}, {"DIGEST", "digest", BT_CELL_DIGEST},
      {"PORTS", "ports", BT_CELL_PORTS},    {"NOTE", "error", BT_CELL_NOTE},       {NULL, NULL, BT_CELL_TEXT}};
  BT_AUTO_JSON items = NULL;
  BT_AUTO_JSON services = NULL;
  BT_AUTO_FREE char *here = NULL;
  if (bt_target_instances(cli, &items, &here, err))
    return -1;
  if (!cli->json && !cli->quiet && bt_services_get(cli, &services, err))
    return -1;
  bt_list_print(cli, columns, "instance", items);
  bt_jobs_print(cli, services, here, bt_clock_wall_ms());
  bt_autoscale_print(cli, services, here, bt_clock_wall_ms());
  bt_rollouts_print(services, here);
  return 0;
}

int bt_verb_history(struct bt_cli *cli, struct bt_err **err) {
  static const struct bt_column columns[] = {
      {"REVISION", "revision", BT_CELL_TEXT}, {"STATE", "state", BT_CELL_STATE},    {"AGE", "created_at", BT_CELL_AGE},
      {"BY", "actor", BT_CELL_TEXT},          {"COMMIT", "origin.commit", BT_CELL_DIGEST},
      {"AUTHOR", "origin.author", BT_CELL_TEXT}, {"ROLLBACK OF", "rollback_of", BT_CELL_TEXT}, {"MESSAGE", "message", BT_CELL_TEXT},
      {"REASON", "reason", BT_CELL_TEXT},     {NULL, NULL, BT_CELL_TEXT}};
  BT_AUTO_FREE char *app = NULL;
  if (bt_target_app(cli, &app, err))
    return -1;
  BT_AUTO_FREE char *path = bt_cli_path(cli, "apps", app, "revisions", NULL);
  return list(cli, path, columns, "revision", err);
}

int bt_verb_node_ls(struct bt_cli *cli, struct bt_err **err) {
  static const struct bt_column columns[] = {
      {"NODE", "node", BT_CELL_TEXT},         {"STATUS", "status", BT_CELL_STATE}, {"POOL", "pool", BT_CELL_TEXT}, {"RUNTIME", "runtime", BT_CELL_TEXT},
      {"VERSION", "runtime_version", BT_CELL_TEXT}, {"CPUS", "cpus", BT_CELL_TEXT}, {"MEMORY", "memory", BT_CELL_BYTES},
      {"INSTANCES", "instances", BT_CELL_TEXT}, {"ROOM", "room", BT_CELL_ROOM}, {"MESSAGE", "message", BT_CELL_TEXT}, {NULL, NULL, BT_CELL_TEXT}};
  return list(cli, "/v1/nodes", columns, "node", err);
}

int bt_verb_pool_ls(struct bt_cli *cli, struct bt_err **err) {
  static const struct bt_column columns[] = {
      {"POOL", "pool", BT_CELL_TEXT},         {"NODES", "nodes", BT_CELL_TEXT},   {"OPEN", "open", BT_CELL_TEXT},
      {"CPUS", "cpus", BT_CELL_TEXT},         {"ALLOCATABLE", "cpus_allocatable", BT_CELL_TEXT}, {"RESERVED", "cpus_reserved", BT_CELL_TEXT},
      {"MEMORY", "memory", BT_CELL_BYTES},    {"ALLOCATABLE", "memory_allocatable", BT_CELL_BYTES}, {"RESERVED", "memory_reserved", BT_CELL_BYTES},
      {NULL, NULL, BT_CELL_TEXT}};
  return list(cli, "/v1/pools", columns, "pool", err);
}

int bt_verb_plugin_ls(struct bt_cli *cli, struct bt_err **err) {
  static const struct bt_column columns[] = {
      {"NAME", "name", BT_CELL_TEXT},     {"PLUGIN", "plugin", BT_CELL_TEXT},   {"VERSION", "version", BT_CELL_TEXT},
      {"STATUS", "status", BT_CELL_STATE}, {"INTERFACES", "interfaces", BT_CELL_JOINED}, {"ISOLATION", "isolation", BT_CELL_TEXT},
      {"UNCONFINED", "unconfined", BT_CELL_JOINED},
      {"PID", "pid", BT_CELL_TEXT},       {"RESTARTS", "restarts", BT_CELL_TEXT}, {"CALLS", "calls", BT_CELL_TEXT},
      {"ERRORS", "errors", BT_CELL_TEXT}, {"ERROR", "error", BT_CELL_TEXT},     {"LAST FAILURE", "last_failure", BT_CELL_TEXT},
      {NULL, NULL, BT_CELL_TEXT}};
  return list(cli, "/v1/plugins", columns, "name", err);
}

int bt_verb_policy_ls(struct bt_cli *cli, struct bt_err **err) {
  static const struct bt_column columns[] = {
      {"NAME", "name", BT_CELL_TEXT},   {"STATUS", "status", BT_CELL_STATE},   {"HOOKS", "hooks", BT_CELL_JOINED},
      {"CALLS", "calls", BT_CELL_TEXT}, {"DENIALS", "denials", BT_CELL_TEXT},  {"LAST MS", "last_ms", BT_CELL_TEXT},
      {"ERROR", "error", BT_CELL_TEXT}, {NULL, NULL, BT_CELL_TEXT}};
  return list(cli, "/v1/policies", columns, "name", err);
}

int bt_verb_secret_ls(struct bt_cli *cli, struct bt_err **err) {
  static const struct bt_column columns[] = {
      {"NAME", "name", BT_CELL_TEXT},          {"APP", "app", BT_CELL_TEXT}, {"SIZE", "size", BT_CELL_BYTES},
      {"FINGERPRINT", "fingerprint", BT_CELL_DIGEST}, {"UPDATED", "updated_at", BT_CELL_AGE}, {NULL, NULL, BT_CELL_TEXT}};
  return list_in_namespace(cli, "secrets", columns, "name", err);
}

int bt_verb_route_ls(struct bt_cli *cli, struct bt_err **err) {
  static const struct bt_column columns[] = {
      {"ROUTE", "url", BT_CELL_TEXT},     {"APP", "app", BT_CELL_TEXT},         {"SERVICE", "service", BT_CELL_TEXT},
      {"PORT", "port", BT_CELL_TEXT},     {"TLS", "tls", BT_CELL_TEXT},         {"STATE", "state", BT_CELL_STATE},
      {"READY", "ready", BT_CELL_TEXT},   {"OF", "endpoints", BT_CELL_TEXT},    {"REQUESTS", "requests", BT_CELL_TEXT},
      {"ERRORS", "errors", BT_CELL_TEXT}, {"PER SECOND", "rate", BT_CELL_TEXT}, {"OPEN", "open", BT_CELL_TEXT},
      {"MESSAGE", "message", BT_CELL_TEXT}, {NULL, NULL, BT_CELL_TEXT}};
  if (bt_args_has(&cli->args, "all-namespaces"))
    return list(cli, "/v1/routes", columns, "route", err);
  return list_in_namespace(cli, "routes", columns, "route", err);
}

int bt_verb_volume_ls(struct bt_cli *cli, struct bt_err **err) {
  static const struct bt_column columns[] = {{"NAME", "name", BT_CELL_TEXT},     {"APP", "app", BT_CELL_TEXT},
                                             {"VOLUME", "key", BT_CELL_TEXT},    {"NODE", "node", BT_CELL_TEXT}, {"CREATED", "created_at", BT_CELL_AGE},
                                             {"ERROR", "error", BT_CELL_TEXT},   {NULL, NULL, BT_CELL_TEXT}};
  return list_in_namespace(cli, "volumes", columns, "name", err);
}

int bt_verb_network_ls(struct bt_cli *cli, struct bt_err **err) {
  static const struct bt_column columns[] = {{"NAME", "name", BT_CELL_TEXT},     {"APP", "app", BT_CELL_TEXT},
                                             {"NETWORK", "key", BT_CELL_TEXT},   {"CREATED", "created_at", BT_CELL_AGE},
                                             {"ERROR", "error", BT_CELL_TEXT},   {NULL, NULL, BT_CELL_TEXT}};
  return list_in_namespace(cli, "networks", columns, "name", err);
}
