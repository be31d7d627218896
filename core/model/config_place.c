#include "config.h"
#include "model/config_place.h"

#include <stddef.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/size.h"
#include "base/yaml.h"

const char *const bt_config_place_keys[] = {"isolation", "user", "network", "limits", "egress", "command", NULL};

static const char *const isolations[] = {NULL, "process", "none"};

enum { max_words = 256 };

/* ---------------------------------------------------------------- limits */

static const struct limit {
  const char *key;
  size_t at;
  enum { LIMIT_SIZE, LIMIT_COUNT, LIMIT_TIME } type;
  const char *doc;
} limits[] = {
    {"memory", offsetof(struct bt_config_place, memory), LIMIT_SIZE, "Memory of its process, as 64MiB; 256 MiB where absent."},
    {"files", offsetof(struct bt_config_place, files), LIMIT_COUNT, "Open descriptors of its process; 256 where absent."},
    {"processes", offsetof(struct bt_config_place, processes), LIMIT_COUNT, "Processes of its user; 64 where absent."},
    {"cpu", offsetof(struct bt_config_place, cpu), LIMIT_TIME, "Processor time in the life of its process, as 10m; no limit where absent."},
};

static bool read_limit(const struct limit *l, const struct bt_yaml *n, int64_t *out) {
  if (l->type == LIMIT_COUNT) {
    *out = n->kind == BT_YAML_INT ? n->integer : 0;
    return *out > 0 && *out <= 1 << 20;
  }
  if (l->type == LIMIT_TIME)
    return n->kind == BT_YAML_STR && bt_duration_parse(n->text, out) && *out >= 1000000000;
  if (n->kind != BT_YAML_STR && n->kind != BT_YAML_INT)
    return false;
  return bt_size_parse(n->text, out) && *out >= 16 << 20;
}

static const char *limit_wants(const struct limit *l) {
  return l->type == LIMIT_COUNT  ? "a number from 1 to 1048576"
         : l->type == LIMIT_TIME ? "a time of at least 1s"
                                 : "a size of at least 16MiB";
}

static void read_limits(const struct bt_yaml *n, struct bt_config_place *out, struct bt_diags *diags) {
  static const char *const keys[] = {"memory", "files", "processes", "cpu", NULL};
  if (n->kind != BT_YAML_MAP) {
    bt_diag_error(diags, n->loc, "\"limits\" of a plug-in must be a mapping such as \"memory: 64MiB\"");
    return;
  }
  bt_vec_each(&n->map, pair) {
    const struct limit *l = NULL;
    for (size_t i = 0; i < BT_COUNT(limits); i++)
      if (bt_streq(limits[i].key, pair->key))
        l = &limits[i];
    char hint[96];
    if (!l)
      bt_diag_error(diags, pair->loc, "\"%s\" of a plug-in's limits is not known%s", pair->key,
                    bt_nearest_hint(bt_nearest_of(pair->key, keys), hint));
    else if (!read_limit(l, pair->value, (int64_t *)((char *)out + l->at)))
      bt_diag_error(diags, pair->value->loc, "\"%s\" of a plug-in's limits must be %s", l->key, limit_wants(l));
  }
}

/* ---------------------------------------------------------------- the rest */

static void read_words(const struct bt_yaml *n, const char *key, struct bt_strs *out, struct bt_diags *diags) {
  bool fine = n->kind == BT_YAML_SEQ && n->seq.len <= max_words;
  for (size_t i = 0; fine && i < n->seq.len; i++) {
    fine = n->seq.items[i]->kind == BT_YAML_STR && *n->seq.items[i]->text;
    if (fine)
      bt_strs_add(out, n->seq.items[i]->text);
  }
  if (!fine)
    bt_diag_error(diags, n->loc, "\"%s\" of a plug-in must be a list of texts", key);
}

static void read_isolation(const struct bt_yaml *n, struct bt_config_place *out, struct bt_diags *diags) {
  for (int i = 1; i < (int)BT_COUNT(isolations); i++)
    if (n->kind == BT_YAML_STR && strcmp(n->text, isolations[i]) == 0)
      out->isolation = i;
  if (!out->isolation)
    bt_diag_error(diags, n->loc, "\"isolation\" of a plug-in must be \"process\" or \"none\"");
}

void bt_config_place_read(const struct bt_yaml *entry, struct bt_config_place *out, struct bt_diags *diags) {
  const struct bt_yaml *isolation = bt_yaml_get(entry, "isolation"), *user = bt_yaml_get(entry, "user");
  const struct bt_yaml *network = bt_yaml_get(entry, "network"), *limit = bt_yaml_get(entry, "limits");
  const struct bt_yaml *egress = bt_yaml_get(entry, "egress"), *command = bt_yaml_get(entry, "command");
  if (isolation)
    read_isolation(isolation, out, diags);
  if (user && ((user->kind == BT_YAML_STR && *user->text) || (user->kind == BT_YAML_INT && user->integer >= 0)))
    bt_str_set(&out->user, user->text);
  else if (user)
    bt_diag_error(diags, user->loc, "\"user\" of a plug-in must be a user's name or number");
  if (network && network->kind == BT_YAML_BOOL)
    out->network = network->boolean;
  else if (network)
    bt_diag_error(diags, network->loc, "\"network\" of a plug-in must be true or false");
  if (limit)
    read_limits(limit, out, diags);
  if (egress) {
    out->egress_given = true;
    read_words(egress, "egress", &out->egress, diags);
  }
  const struct bt_yaml *path = bt_yaml_get(entry, "path");
  bool script = path && path->kind == BT_YAML_STR && bt_ends(path->text, ".lua");
  if (command)
    read_words(command, "command", &out->command, diags);
  if (command && !out->command.len)
    bt_diag_error(diags, command->loc, "\"command\" of a plug-in must name a program");
  if (out->isolation == BT_PLACE_NONE && (user || network || limit || command || script))
    bt_diag_error(diags, isolation->loc, "user, network, limits, command and scripts in Lua need a process of the plug-in's own: isolation: process");
}

void bt_config_place_free(struct bt_config_place *place) {
  free(place->user);
  bt_strs_free(&place->egress);
  bt_strs_free(&place->command);
  *place = (struct bt_config_place){0};
}

static json_t *words_json(const struct bt_strs *words) {
  json_t *list = json_array();
  for (size_t i = 0; i < words->len; i++)
    json_array_append_new(list, bt_json_string(words->items[i]));
  return list;
}

void bt_config_place_json(const struct bt_config_place *place, json_t *o) {
  json_t *l = json_object();
  for (size_t i = 0; i < BT_COUNT(limits); i++) {
    int64_t n = *(const int64_t *)((const char *)place + limits[i].at);
    if (n)
      bt_json_set_int(l, limits[i].key, n);
  }
  bt_json_set_str(o, "isolation", isolations[place->isolation]);
  bt_json_set_str(o, "user", place->user);
  if (place->network)
    bt_json_set_bool(o, "network", true);
  if (json_object_size(l))
    bt_json_set(o, "limits", json_incref(l));
  json_decref(l);
  if (place->egress_given)
    bt_json_set(o, "egress", words_json(&place->egress));
  if (place->command.len)
    bt_json_set(o, "command", words_json(&place->command));
}

static void described(json_t *properties, const char *key, json_t *schema_steal, const char *doc) {
  bt_json_set_str(schema_steal, "description", doc);
  bt_json_set(properties, key, schema_steal);
}

static json_t *words_schema(int least) {
  return json_pack("{s:s,s:i,s:{s:s}}", "type", "array", "minItems", least, "items", "type", "string");
}

void bt_config_place_schema(json_t *properties) {
  json_t *l = json_object();
  for (size_t i = 0; i < BT_COUNT(limits); i++) {
    json_t *s = limits[i].type == LIMIT_COUNT  ? json_pack("{s:s,s:i}", "type", "integer", "minimum", 1)
                : limits[i].type == LIMIT_TIME ? json_pack("{s:s}", "type", "string")
                                               : json_pack("{s:[s,s]}", "type", "string", "integer");
    described(l, limits[i].key, s, limits[i].doc);
  }
  described(properties, "isolation", json_pack("{s:[s,s]}", "enum", "process", "none"),
            "Where its code runs: in a process of its own, or inside of berthd. By default what Berth brings along runs inside, all "
            "else in a process of its own.");
  described(properties, "user", json_pack("{s:[s,s]}", "type", "string", "integer"),
            "The user of its process; by default one of its own, where berthd runs as root.");
  described(properties, "network", json_pack("{s:s}", "type", "boolean"),
            "Whether its process may open sockets itself, past its egress.");
  described(properties, "limits", json_pack("{s:s,s:b,s:o}", "type", "object", "additionalProperties", 0, "properties", l),
            "What its process may use.");
  described(properties, "egress", words_schema(0),
            "Where its HTTP requests may go: host, host:port, *.example.org, unix:/path. Private, link-local and loopback addresses only "
            "when named. By default a plug-in in a process of its own reaches public hosts, and what its config names.");
  described(properties, "command", words_schema(1),
            "A program and its arguments that speak Berth's wire on standard input and output, in place of a shared object.");
}
