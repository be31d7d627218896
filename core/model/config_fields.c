#include "config.h"
#include "model/config_fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/size.h"
#include "model/node_has.h"
#include "model/pool.h"
#include "model/quota.h"
#include "model/scheduling.h"

#define AT(member) offsetof(struct bt_config, member)

const struct bt_field bt_config_fields[] = {
    {"role", BT_FIELD_ENUM, AT(role), "all", "all|server|node", 0, 0, false,
     "What this process is. Only \"all\" (server and node in one) is offered in this version."},
    {"node.name", BT_FIELD_STRING, AT(node.name), NULL, NULL, 0, 0, false,
     "The node's name; the machine's host name where absent."},
    {"node.labels", BT_FIELD_LABELS, AT(node.labels), NULL, NULL, 0, 0, true,
     "Labels that placement constraints can name as node.labels.NAME."},
    {"node.reserve.cpus", BT_FIELD_CPUS, AT(node.reserve_nano_cpus), "0", NULL, 0, 0, true,
     "CPUs kept back from instances, such as 0.5."},
    {"node.reserve.memory", BT_FIELD_SIZE, AT(node.reserve_memory), "0", NULL, 0, 0, true,
     "Memory kept back from instances."},
    {"node.devices", BT_FIELD_SECTION, AT(node.devices), NULL, NULL, 0, 0, true,
     "Devices that instances are given one by one, such as [{kind: gpu, model: a100, driver: nvidia, ids: [\"0\", \"1\"]}]. Where absent, the engine hands out what it has, "
     "and nobody counts."},
    {"node.resources", BT_FIELD_SECTION, AT(node.resources), NULL, NULL, 0, 0, true,
     "Resources of kinds of your own, by name and number, such as {licences: 4}: what services reserve as generic_resources."},
    {"node.concurrency", BT_FIELD_INT, AT(node.concurrency), "16", NULL, 1, 1024, true,
     "How many engine operations (create, start, stop) run at the same time."},
    {"state.path", BT_FIELD_PATH, AT(state.path), "/var/lib/berth/state.db", NULL, 0, 0, false,
     "The state's SQLite database. Its folder also holds the keys and tokens that are not configured elsewhere."},
    {"run_dir", BT_FIELD_PATH, AT(run_dir), "/run/berth", NULL, 0, 0, false,
     "Folder of sockets and of what lives as long as the server runs."},
    {"plugin_dir", BT_FIELD_PATH, AT(plugin_dir), NULL, NULL, 0, 0, false,
     "Folder that plug-ins are looked up in by name; where the build installs them, where absent."},
    {"api.socket.path", BT_FIELD_PATH, AT(api.socket.path), NULL, NULL, 0, 0, false,
     "The API's unix socket; berth.sock in run_dir where absent."},
    {"api.socket.mode", BT_FIELD_MODE, AT(api.socket.mode), "0660", NULL, 0, 0777, false,
     "Permissions of the socket in octal. Who can write to it administers Berth."},
    {"api.socket.group", BT_FIELD_STRING, AT(api.socket.group), NULL, NULL, 0, 0, false,
     "Group that owns the socket; the server's own where absent."},
    {"api.tcp.listen", BT_FIELD_LISTEN, AT(api.tcp.listen), "127.0.0.1:7171", NULL, 0, 0, false,
     "Address and port of the API over TCP, null for none. Clients need the token; other than loopback needs TLS too."},
    {"api.tcp.token_file", BT_FIELD_PATH, AT(api.tcp.token_file), NULL, NULL, 0, 0, false,
     "File of the admin token, made (0600) on the first start; \"token\" beside the state where absent."},
    {"api.tcp.tls.cert", BT_FIELD_PATH, AT(api.tcp.tls.cert), NULL, NULL, 0, 0, false,
     "PEM file of the certificate chain."},
    {"api.tcp.tls.key", BT_FIELD_PATH, AT(api.tcp.tls.key), NULL, NULL, 0, 0, false, "PEM file of the private key."},
    {"log.level", BT_FIELD_ENUM, AT(log.level), "info", "debug|info|warn|error", 0, 0, true,
     "The least severity that is logged."},
    {"log.format", BT_FIELD_ENUM, AT(log.format), "text", "text|json", 0, 0, true,
     "One line per entry on standard error, as text or as JSON."},
    {"secrets.key_file", BT_FIELD_PATH, AT(secrets.key_file), NULL, NULL, 0, 0, false,
     "File of the key that secrets are encrypted with, made (0600) on the first start; \"secrets.key\" beside the state "
     "where absent. Keep a copy: without it the secrets are lost."},
    {"policies.dir", BT_FIELD_PATH, AT(policies.dir), "/etc/berth/policies", NULL, 0, 0, true,
     "Folder of the *.lua policies; an absent folder means no policies."},
    {"policies.timeout", BT_FIELD_DURATION, AT(policies.timeout), "100ms", NULL, 1000000, 60000000000, true,
     "Time that the policies have for one request; over it the request is refused."},
    {"policies.memory", BT_FIELD_SIZE, AT(policies.memory), "32MiB", NULL, 1048576, 4294967296, true,
     "Memory that the policies may use; over it the request is refused."},
    {"history.revisions", BT_FIELD_INT, AT(history.revisions), "20", NULL, 1, 1000, false,
     "Revisions kept per app for a rollback."},
    {"history.events", BT_FIELD_INT, AT(history.events), "10000", NULL, 100, 10000000, false,
     "Events kept for readers that resume after a gap."},
    {"pools", BT_FIELD_SECTION, AT(settings.pools), NULL, NULL, 0, 0, true,
     "Pools of nodes: who is in them, what is kept back or overcommitted there, who is kept away."},
    {"namespaces", BT_FIELD_SECTION, AT(settings.namespaces), NULL, NULL, 0, 0, true,
     "Namespaces: who is within whom, what each may use, how large its instances are. Those that are not named have no limits."},
    {"scheduling", BT_FIELD_SECTION, AT(settings.scheduling), NULL, NULL, 0, 0, true,
     "How the server places, as far as no app says otherwise."},
    {"plugins", BT_FIELD_PLUGINS, AT(plugins), NULL, NULL, 0, 0, true,
     "The plug-ins to load, in order."},
};

static const struct bt_field_section sections[] = {
    {"node.devices", bt_node_devices_read, bt_node_devices_schema},
    {"node.resources", bt_node_resources_read, bt_node_resources_schema},
    {"pools", bt_pools_read, bt_pools_schema},
    {"namespaces", bt_namespaces_read, bt_namespaces_schema},
    {"scheduling", bt_scheduling_read, bt_scheduling_schema},
};

const struct bt_field_section *bt_field_section(const struct bt_field *f) {
  for (size_t i = 0; i < BT_COUNT(sections); i++)
    if (bt_streq(sections[i].path, f->path))
      return &sections[i];
  return NULL;
}
const size_t bt_config_nfields = BT_COUNT(bt_config_fields);

const char *bt_field_choice(const struct bt_field *f, size_t n, size_t *len) {
  for (const char *p = f->choices;; p += *len + 1) {
    *len = strcspn(p, "|");
    if (n-- == 0)
      return p;
    if (!p[*len])
      return NULL;
  }
}

static bool read_enum(const struct bt_field *f, const char *text, int *out) {
  const char *choice;
  size_t len;
  for (size_t i = 0; (choice = bt_field_choice(f, i, &len)); i++)
    if (strlen(text) == len && strncmp(text, choice, len) == 0) {
      *out = (int)i;
      return true;
    }
  return false;
}

/* A decimal of at most nine digits after the point, in billionths: exact, and of no locale. */
static bool read_nano(const char *text, int64_t *out) {
  size_t whole_len = strcspn(text, ".");
  BT_AUTO_FREE char *whole = bt_strndup(text, whole_len);
  const char *frac = text[whole_len] ? text + whole_len + 1 : "";
  size_t n = strlen(frac);
  long long w = 0, f = 0;
  if (n > 9 || !bt_parse_i64(whole, 0, 1000000, &w) || (text[whole_len] && !bt_parse_i64(frac, 0, 999999999, &f)))
    return false;
  for (; n < 9; n++)
    f *= 10;
  *out = w * 1000000000 + f;
  return true;
}

static bool read_mode(const char *text, int64_t *out) {
  if (bt_starts(text, "0o"))
    text += 2;
  size_t n = strlen(text);
  if (n < 3 || n > 4 || strspn(text, "01234567") != n)
    return false;
  *out = strtol(text, NULL, 8);
  return true;
}

/* "host:port" or "[v6]:port" into host and port. */
static bool read_listen(struct bt_config *c, const char *text) {
  const char *colon = strrchr(text, ':');
  long long port;
  if (!colon || colon == text || !bt_parse_i64(colon + 1, 1, 65535, &port))
    return false;
  bool bracket = text[0] == '[';
  if (bracket ? colon[-1] != ']' || colon - text < 3 : memchr(text, ':', (size_t)(colon - text)) != NULL)
    return false;
  free(c->api.tcp.host);
  c->api.tcp.host = bracket ? bt_strndup(text + 1, (size_t)(colon - text) - 2) : bt_strndup(text, (size_t)(colon - text));
  c->api.tcp.port = (int)port;
  bt_str_set(&c->api.tcp.listen, text);
  return true;
}

static bool in_range(const struct bt_field *f, int64_t v) {
  return v >= 0 && ((!f->min && !f->max) || (v >= f->min && v <= f->max));
}

static bool read_number(const struct bt_field *f, const char *text, int64_t *out, const char **why) {
  int64_t v = 0;
  long long n = 0;
  bool good = f->type == BT_FIELD_SIZE       ? bt_size_parse(text, &v)
              : f->type == BT_FIELD_DURATION ? bt_duration_parse(text, &v)
              : f->type == BT_FIELD_CPUS     ? read_nano(text, &v)
              : f->type == BT_FIELD_MODE     ? read_mode(text, &v)
                                             : bt_parse_i64(text, INT64_MIN, INT64_MAX, &n);
  if (f->type == BT_FIELD_INT)
    v = n;
  if (!good)
    return false;
  if (!in_range(f, v)) {
    *why = "out of range";
    return false;
  }
  *out = v;
  return true;
}

bool bt_field_read(const struct bt_field *f, const char *text, struct bt_config *config, const char **why) {
  void *at = bt_field_at(f, config);
  *why = NULL;
  switch (f->type) {
  case BT_FIELD_STRING:
  case BT_FIELD_PATH:
    bt_str_set(at, *text ? text : NULL);
    return true;
  case BT_FIELD_ENUM:
    return read_enum(f, text, at);
  case BT_FIELD_LISTEN:
    return read_listen(config, text);
  case BT_FIELD_LABELS:
  case BT_FIELD_SECTION:
  case BT_FIELD_PLUGINS:
    return false;
  default:
    return read_number(f, text, at, why);
  }
}

const char *bt_field_wants(const struct bt_field *f) {
  switch (f->type) {
  case BT_FIELD_STRING: return "text";
  case BT_FIELD_PATH: return "a path";
  case BT_FIELD_INT: return "a whole number";
  case BT_FIELD_SIZE: return "a size such as 512MiB";
  case BT_FIELD_DURATION: return "a duration such as 10s";
  case BT_FIELD_CPUS: return "a number of CPUs such as 0.5";
  case BT_FIELD_ENUM: return "one of its choices";
  case BT_FIELD_MODE: return "octal permissions such as 0660";
  case BT_FIELD_LABELS: return "a mapping of names to text";
  case BT_FIELD_LISTEN: return "an address and a port such as 127.0.0.1:7171, or null";
  case BT_FIELD_SECTION: return "a section";
  case BT_FIELD_PLUGINS: return "a sequence of plug-ins";
  }
  return "";
}

static json_t *labels_json(const struct bt_map *labels) {
  json_t *o = json_object();
  for (struct bt_map_iter it = bt_map_iter(labels); bt_map_next(&it);)
    bt_json_set_str(o, it.key, it.value);
  return o;
}

static json_t *plugins_json(const struct bt_config *config) {
  json_t *list = json_array();
  bt_vec_each(&config->plugins, p) {
    json_t *o = json_object();
    bt_json_set_str(o, "name", p->name);
    bt_json_set_str(o, "plugin", p->plugin);
    bt_json_set_str(o, "path", p->path);
    bt_config_place_json(&p->place, o);
    json_array_append_new(list, o);
  }
  return list;
}

json_t *bt_field_json(const struct bt_field *f, const struct bt_config *config) {
  const void *at = bt_field_of(f, config);
  char buf[64];
  size_t len;
  switch (f->type) {
  case BT_FIELD_INT:
    return json_integer(*(const int64_t *)at);
  case BT_FIELD_SIZE:
    return json_string(bt_size_format(*(const int64_t *)at, buf));
  case BT_FIELD_DURATION:
    return json_string(bt_duration_go(*(const int64_t *)at, buf));
  case BT_FIELD_CPUS:
    return json_real((double)*(const int64_t *)at / 1e9);
  case BT_FIELD_MODE:
    snprintf(buf, sizeof buf, "%04" PRIo64, *(const int64_t *)at);
    return json_string(buf);
  case BT_FIELD_ENUM: {
    const char *choice = bt_field_choice(f, (size_t) * (const int *)at, &len);
    return json_stringn(choice, len);
  }
  case BT_FIELD_LABELS:
    return labels_json(*(struct bt_map *const *)at);
  case BT_FIELD_SECTION:
    return json_incref(*(json_t *const *)at);
  case BT_FIELD_PLUGINS:
    return plugins_json(config);
  default:
    return bt_json_string(*(char *const *)at);
  }
}
