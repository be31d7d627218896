#include "config.h"
#include "compose/shape.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "compose/values.h"

/* ---- small changes in place ---- */

static void set_text(struct bt_yaml *n, const char *s) { bt_node_become(n, bt_yaml_str(s, n->loc)); }
static void set_int(struct bt_yaml *n, long long v) { bt_node_become(n, bt_yaml_int(v, n->loc)); }
static void set_bool(struct bt_yaml *n, bool v) { bt_node_become(n, bt_yaml_bool(v, n->loc)); }

static void set_float(struct bt_yaml *n, double v) {
  if (v > -1e15 && v < 1e15 && v == (double)(long long)v) {
    set_int(n, (long long)v);
    return;
  }
  struct bt_yaml *real = bt_yaml_new(BT_YAML_FLOAT, n->loc);
  real->real = v;
  real->text = bt_asprintf("%.9g", v);
  bt_node_become(n, real);
}

static void wrong(struct bt_load *load, const struct bt_yaml *n, const struct bt_place *place, const char *wanted) {
  BT_AUTO_FREE char *where = bt_place_text(place);
  bt_diag_error(load->diags, n->loc, "%s must be %s, not \"%.60s\"", where, wanted,
                bt_is_scalar(n) && n->text ? n->text : bt_yaml_kind_name(n->kind));
}

/* ---- NAME=value ---- */

static struct bt_yaml *value_after(const char *equals, struct bt_loc loc) {
  return equals ? bt_yaml_str(equals + 1, loc) : bt_yaml_new(BT_YAML_NULL, loc);
}

void bt_shape_key_values(struct bt_yaml *node) {
  if (node->kind != BT_YAML_SEQ)
    return;
  struct bt_yaml *map = bt_yaml_new(BT_YAML_MAP, node->loc);
  BT_AUTO_MAP seen = bt_map_new(NULL); /* NAME -> its number plus one; the last one wins */
  for (size_t i = 0; i < node->seq.len; i++) {
    const struct bt_yaml *item = node->seq.items[i];
    BT_AUTO_FREE char *text = bt_compose_scalar_text(item);
    char *equals = strchr(text, '=');
    BT_AUTO_FREE char *name = bt_strndup(text, equals ? (size_t)(equals - text) : strlen(text));
    size_t at = (size_t)(uintptr_t)bt_map_get(seen, name);
    if (at) {
      bt_yaml_free(&map->map.items[at - 1].value);
      map->map.items[at - 1].value = value_after(equals, item->loc);
      continue;
    }
    struct bt_yaml_pair pair = {bt_strdup(name), item->loc, value_after(equals, item->loc)};
    bt_vec_push(&map->map, pair);
    bt_map_set(seen, name, (void *)(uintptr_t)map->map.len);
  }
  bt_node_become(node, map);
}

static void shape_map(struct bt_yaml *n, bool keep_null) {
  bt_shape_key_values(n);
  if (n->kind != BT_YAML_MAP)
    return;
  bt_vec_each(&n->map, pair) {
    struct bt_yaml *v = pair->value;
    if (!bt_is_scalar(v) || (v->kind == BT_YAML_NULL && keep_null))
      continue;
    BT_AUTO_FREE char *text = bt_compose_scalar_text(v);
    set_text(v, text);
  }
}

/* ---- lists ---- */

static void shape_strs(struct bt_yaml *n) {
  if (bt_is_scalar(n) && n->kind != BT_YAML_NULL) {
    struct bt_yaml *list = bt_yaml_new(BT_YAML_SEQ, n->loc);
    BT_AUTO_FREE char *text = bt_compose_scalar_text(n);
    bt_yaml_push(list, bt_yaml_str(text, n->loc));
    bt_node_become(n, list);
  }
  for (size_t i = 0; n->kind == BT_YAML_SEQ && i < n->seq.len; i++) {
    BT_AUTO_FREE char *text = bt_compose_scalar_text(n->seq.items[i]);
    if (bt_is_scalar(n->seq.items[i]))
      set_text(n->seq.items[i], text);
  }
}

static void shape_command(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  if (n->kind != BT_YAML_STR) {
    shape_strs(n);
    return;
  }
  BT_AUTO_STRS words = {0};
  const char *rest;
  if (!bt_value_words(n->text, &words, &rest)) {
    wrong(load, n, place, "a command line with closed quotes and no shell syntax");
    return;
  }
  if (rest) {
    BT_AUTO_FREE char *where = bt_place_text(place);
    bt_diag_warn(load->diags, n->loc,
                 "%s: no shell runs it, so it ends before \"%.40s\"; write [\"sh\", \"-c\", \"…\"] if a shell should", where,
                 rest);
  }
  struct bt_yaml *list = bt_yaml_new(BT_YAML_SEQ, n->loc);
  bt_vec_each(&words, word) bt_yaml_push(list, bt_yaml_str(*word, n->loc));
  bt_node_become(n, list);
}

static void shape_test(struct bt_yaml *n) {
  if (n->kind != BT_YAML_STR) {
    shape_strs(n);
    return;
  }
  struct bt_yaml *list = bt_yaml_new(BT_YAML_SEQ, n->loc);
  bt_yaml_push(list, bt_yaml_str("CMD-SHELL", n->loc));
  bt_yaml_push(list, bt_yaml_str(n->text, n->loc));
  bt_node_become(n, list);
}

/* ---- extra_hosts ---- */

static void add_host(struct bt_load *load, struct bt_strs *out, const char *host, const char *ip, struct bt_loc loc,
                     const struct bt_place *place) {
  if (!*host || strpbrk(host, ":=")) {
    BT_AUTO_FREE char *where = bt_place_text(place);
    bt_diag_error(load->diags, loc, "%s: \"%.60s\" is no host name", where, host);
    return;
  }
  size_t n = strlen(ip);
  bool bracket = n > 2 && ip[0] == '[' && ip[n - 1] == ']';
  bt_vec_push(out, bt_asprintf("%s=%.*s", host, (int)(bracket ? n - 2 : n), ip + bracket));
}

/* "host=ip[,ip]" or "host:ip" */
static void host_text(struct bt_load *load, struct bt_strs *out, const struct bt_yaml *n, const struct bt_place *place) {
  const char *sep = n->text ? strchr(n->text, '=') : NULL;
  if (!sep)
    sep = n->text ? strchr(n->text, ':') : NULL;
  if (!sep) {
    wrong(load, n, place, "a name and an address such as \"db=10.0.0.5\"");
    return;
  }
  BT_AUTO_FREE char *host = bt_strndup(n->text, (size_t)(sep - n->text));
  for (const char *p = sep + 1;; p++) {
    size_t len = strcspn(p, ",");
    BT_AUTO_FREE char *ip = bt_strndup(p, len);
    add_host(load, out, host, ip, n->loc, place);
    p += len;
    if (!*p)
      break;
  }
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void shape_hosts(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  BT_AUTO_STRS hosts = {0};
  for (size_t i = 0; n->kind == BT_YAML_SEQ && i < n->seq.len; i++)
    host_text(load, &hosts, n->seq.items[i], BT_PLACE_ITEM(place, i));
  if (n->kind == BT_YAML_MAP)
    bt_vec_each(&n->map, pair) {
      const struct bt_place *here = BT_PLACE_KEY(place, pair->key);
      for (size_t i = 0; pair->value->kind == BT_YAML_SEQ && i < pair->value->seq.len; i++) {
        BT_AUTO_FREE char *ip = bt_compose_scalar_text(pair->value->seq.items[i]);
        add_host(load, &hosts, pair->key, ip, pair->loc, here);
      }
      if (bt_is_scalar(pair->value)) {
        BT_AUTO_FREE char *ip = bt_compose_scalar_text(pair->value);
        add_host(load, &hosts, pair->key, ip, pair->loc, here);
      }
    }
  if (hosts.len)
    qsort(hosts.items, hosts.len, sizeof *hosts.items, by_text);
  struct bt_yaml *list = bt_yaml_new(BT_YAML_SEQ, n->loc);
  bt_vec_each(&hosts, host) bt_yaml_push(list, bt_yaml_str(*host, n->loc));
  bt_node_become(n, list);
}

/* ---- numbers ---- */

/* true: the value stays */
static bool shape_int(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place, bool keep_zero) {
  long long v;
  if (!bt_value_int(n, &v)) {
    wrong(load, n, place, "an integer");
    return true;
  }
  set_int(n, v);
  return v || keep_zero;
}

static bool shape_float(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  double v;
  if (!bt_value_float(n, &v)) {
    wrong(load, n, place, "a number");
    return true;
  }
  set_float(n, v);
  return v != 0;
}

static bool shape_bool(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place, enum bt_shape_kind kind) {
  bool v;
  if (!bt_value_bool(n, &v)) {
    wrong(load, n, place, "true or false");
    return true;
  }
  set_bool(n, v);
  return kind == BT_SHAPE_SWITCH || v == (kind == BT_SHAPE_BOOL);
}

static bool shape_bytes(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  long long v;
  if (!bt_value_bytes(n, &v)) {
    wrong(load, n, place, "a size such as 512m");
    return true;
  }
  char buf[24];
  snprintf(buf, sizeof buf, "%lld", v);
  set_text(n, buf);
  return v != 0;
}

static bool shape_duration(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place, bool keep_zero) {
  int64_t v;
  if (!bt_value_duration(n, &v)) {
    wrong(load, n, place, "a duration such as 1m30s");
    return true;
  }
  char buf[64];
  set_text(n, bt_duration_go(v, buf));
  return v || keep_zero;
}

static void shape_mode(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place, bool as_text) {
  long long v;
  if (!bt_value_mode(n, &v) || v < 0 || v > 07777) {
    wrong(load, n, place, "an octal mode such as 0440");
    return;
  }
  char buf[24];
  snprintf(buf, sizeof buf, "0%llo", (unsigned long long)v);
  if (as_text)
    set_text(n, buf);
  else
    set_int(n, v);
}

static bool shape_devices(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  if (n->kind == BT_YAML_STR && strcasecmp(n->text, "all") == 0)
    set_int(n, -1);
  return shape_int(load, n, place, false);
}

/* ---- mappings ---- */

static bool shape_value(struct bt_load *load, struct bt_yaml *n, const struct bt_shape *shape, const struct bt_place *place);

static void shape_ulimits(struct bt_load *load, struct bt_yaml *n, const struct bt_shape *shape, const struct bt_place *place) {
  bt_vec_each(&n->map, pair) {
    const struct bt_place *here = BT_PLACE_KEY(place, pair->key);
    if (pair->value->kind == BT_YAML_MAP)
      bt_shape_apply(load, pair->value, shape->sub, here);
    else
      shape_int(load, pair->value, here, true);
  }
}

static bool shape_text(struct bt_yaml *n) {
  if (!bt_is_scalar(n))
    return true;
  BT_AUTO_FREE char *text = bt_compose_scalar_text(n);
  set_text(n, text);
  return *n->text != '\0';
}

/* Lists and mappings; true: the value stays. */
static bool shape_collection(struct bt_load *load, struct bt_yaml *n, const struct bt_shape *shape,
                             const struct bt_place *place) {
  switch (shape->kind) {
  case BT_SHAPE_STRS: shape_strs(n); break;
  case BT_SHAPE_MAP: shape_map(n, false); break;
  case BT_SHAPE_ENV: shape_map(n, true); break;
  case BT_SHAPE_HOSTS: shape_hosts(load, n, place); break;
  case BT_SHAPE_COMMAND: shape_command(load, n, place); return true;
  case BT_SHAPE_TEST: shape_test(n); break;
  case BT_SHAPE_ULIMIT: shape_ulimits(load, n, shape, place); break;
  case BT_SHAPE_LIST:
    for (size_t i = 0; n->kind == BT_YAML_SEQ && i < n->seq.len; i++)
      bt_shape_apply(load, n->seq.items[i], shape->sub, BT_PLACE_ITEM(place, i));
    break;
  case BT_SHAPE_DICT:
    if (n->kind == BT_YAML_MAP)
      bt_vec_each(&n->map, pair) bt_shape_apply(load, pair->value, shape->sub, BT_PLACE_KEY(place, pair->key));
    break;
  default: /* an object stays even where it is empty */
    bt_shape_apply(load, n, shape->sub, place);
    return true;
  }
  return n->kind == BT_YAML_SEQ ? n->seq.len > 0 : n->kind == BT_YAML_MAP ? n->map.len > 0 : true;
}

static bool shape_value(struct bt_load *load, struct bt_yaml *n, const struct bt_shape *shape, const struct bt_place *place) {
  if (n->kind == BT_YAML_NULL)
    return shape->kind == BT_SHAPE_COMMAND || shape->kind == BT_SHAPE_ANY;
  switch (shape->kind) {
  case BT_SHAPE_STR: return shape_text(n);
  case BT_SHAPE_TEXT: shape_text(n); return true;
  case BT_SHAPE_BOOL:
  case BT_SHAPE_TRUE:
  case BT_SHAPE_SWITCH: return shape_bool(load, n, place, shape->kind);
  case BT_SHAPE_INT: return shape_int(load, n, place, false);
  case BT_SHAPE_COUNT: return shape_int(load, n, place, true);
  case BT_SHAPE_FLOAT: return shape_float(load, n, place);
  case BT_SHAPE_BYTES: return shape_bytes(load, n, place);
  case BT_SHAPE_SIZE: shape_bytes(load, n, place); return true;
  case BT_SHAPE_DURATION: return shape_duration(load, n, place, false);
  case BT_SHAPE_TIME: return shape_duration(load, n, place, true);
  case BT_SHAPE_MODE: shape_mode(load, n, place, true); return true;
  case BT_SHAPE_BITS: shape_mode(load, n, place, false); return n->kind != BT_YAML_INT || n->integer;
  case BT_SHAPE_DEVICES: return shape_devices(load, n, place);
  case BT_SHAPE_ANY: return true;
  default: return shape_collection(load, n, shape, place);
  }
}

static const struct bt_shape *find(const struct bt_shape *shape, const char *key) {
  for (; shape->key; shape++)
    if (bt_streq(shape->key, key))
      return shape;
  return NULL;
}

/* What the canonical form always shows: structs, and a command even where it is null. */
static void add_constant(struct bt_yaml *map, const struct bt_shape *shape) {
  for (; shape->key; shape++) {
    bool is_struct = shape->kind == BT_SHAPE_STRUCT;
    if (!is_struct && shape->kind != BT_SHAPE_COMMAND)
      continue;
    if (bt_yaml_get(map, shape->key))
      continue;
    struct bt_yaml *empty = bt_yaml_new(is_struct ? BT_YAML_MAP : BT_YAML_NULL, map->loc);
    if (is_struct)
      add_constant(empty, shape->sub);
    bt_yaml_set(map, shape->key, map->loc, empty);
  }
}

void bt_shape_apply(struct bt_load *load, struct bt_yaml *map, const struct bt_shape *shape, const struct bt_place *place) {
  if (map->kind != BT_YAML_MAP)
    return;
  size_t kept = 0;
  for (size_t i = 0; i < map->map.len; i++) {
    struct bt_yaml_pair *pair = &map->map.items[i];
    const struct bt_shape *attr = find(shape, pair->key);
    bool stays = attr ? shape_value(load, pair->value, attr, BT_PLACE_KEY(place, pair->key))
                      : bt_streq(pair->key, "x-berth") || !bt_starts(pair->key, "x-");
    if (stays) {
      map->map.items[kept++] = *pair;
    } else {
      free(pair->key);
      bt_yaml_free(&pair->value);
    }
  }
  map->map.len = kept;
  add_constant(map, shape);
}
