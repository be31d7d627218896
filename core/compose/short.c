#include "config.h"
#include "compose/short.h"

#include "base/mem.h"
#include "compose/shape.h"
#include "compose/values.h"

void bt_default_text(struct bt_yaml *map, const char *key, const char *value) {
  if (map->kind == BT_YAML_MAP && !bt_yaml_get(map, key))
    bt_yaml_set(map, key, map->loc, bt_yaml_str(value, map->loc));
}

static void default_true(struct bt_yaml *map, const char *key) {
  if (map->kind == BT_YAML_MAP && !bt_yaml_get(map, key))
    bt_yaml_set(map, key, map->loc, bt_yaml_bool(true, map->loc));
}

/* A text becomes a mapping with the text under key. */
static void text_under(struct bt_yaml *n, const char *key) {
  if (n->kind != BT_YAML_STR)
    return;
  struct bt_yaml *map = bt_yaml_new(BT_YAML_MAP, n->loc);
  bt_yaml_set(map, key, n->loc, bt_yaml_str(n->text, n->loc));
  bt_node_become(n, map);
}

static void text_to_list(struct bt_yaml *n) {
  if (n->kind != BT_YAML_STR)
    return;
  struct bt_yaml *list = bt_yaml_new(BT_YAML_SEQ, n->loc);
  bt_yaml_push(list, bt_yaml_str(n->text, n->loc));
  bt_node_become(n, list);
}

/* A list of names becomes a mapping of them to null. */
static void names_to_map(struct bt_yaml *n) {
  if (n->kind != BT_YAML_SEQ)
    return;
  struct bt_yaml *map = bt_yaml_new(BT_YAML_MAP, n->loc);
  BT_AUTO_MAP seen = bt_map_new(NULL);
  for (size_t i = 0; i < n->seq.len; i++) {
    struct bt_yaml *item = n->seq.items[i];
    if (!item->text || bt_map_get(seen, item->text))
      continue;
    bt_map_set(seen, item->text, item);
    struct bt_yaml_pair pair = {bt_strdup(item->text), item->loc, bt_yaml_new(BT_YAML_NULL, item->loc)};
    bt_vec_push(&map->map, pair);
  }
  bt_node_become(n, map);
}

static void texts_under(struct bt_yaml *list, const char *key) {
  for (size_t i = 0; list && list->kind == BT_YAML_SEQ && i < list->seq.len; i++)
    text_under(list->seq.items[i], key);
}

static void depends_on(struct bt_yaml *n) {
  names_to_map(n);
  if (n->kind != BT_YAML_MAP)
    return;
  bt_vec_each(&n->map, pair) {
    if (pair->value->kind == BT_YAML_NULL)
      bt_node_become(pair->value, bt_yaml_new(BT_YAML_MAP, pair->value->loc));
    bt_default_text(pair->value, "condition", "service_started");
    default_true(pair->value, "required");
  }
}

/* "source[:target[:permissions]]" */
static void device(struct bt_load *load, struct bt_yaml *item, const struct bt_place *place) {
  if (item->kind != BT_YAML_STR)
    return;
  BT_AUTO_FREE char *copy = bt_strdup(item->text);
  char *target = strchr(copy, ':'), *permissions = target ? strchr(target + 1, ':') : NULL;
  if (permissions && strchr(permissions + 1, ':')) {
    BT_AUTO_FREE char *where = bt_place_text(place);
    bt_diag_error(load->diags, item->loc, "%s \"%.60s\": too many colons; write \"source:target:permissions\"", where,
                  item->text);
    return;
  }
  if (target)
    *target++ = '\0';
  if (permissions)
    *permissions++ = '\0';
  struct bt_yaml *map = bt_yaml_new(BT_YAML_MAP, item->loc);
  bt_yaml_set(map, "source", item->loc, bt_yaml_str(copy, item->loc));
  bt_yaml_set(map, "target", item->loc, bt_yaml_str(target && *target ? target : copy, item->loc));
  bt_yaml_set(map, "permissions", item->loc, bt_yaml_str(permissions ? permissions : "rwm", item->loc));
  bt_node_become(item, map);
}

static void gpus(struct bt_yaml *n) {
  if (n->kind != BT_YAML_STR)
    return;
  struct bt_yaml *list = bt_yaml_new(BT_YAML_SEQ, n->loc), *all = bt_yaml_new(BT_YAML_MAP, n->loc);
  bt_default_text(all, "count", "all");
  bt_yaml_push(list, all);
  bt_node_become(n, list);
}

static void env_files(struct bt_yaml *n) {
  text_to_list(n);
  for (size_t i = 0; n->kind == BT_YAML_SEQ && i < n->seq.len; i++) {
    text_under(n->seq.items[i], "path");
    default_true(n->seq.items[i], "required");
  }
}

/* "ssh: [default, id=path]" is a mapping of ids to paths. */
static void build(struct bt_yaml *n) {
  text_under(n, "context");
  if (n->kind != BT_YAML_MAP)
    return;
  texts_under(bt_yaml_get(n, "secrets"), "source");
  static const char *const pairs[] = {"additional_contexts", "ssh"};
  for (size_t i = 0; i < BT_COUNT(pairs); i++)
    if (bt_yaml_get(n, pairs[i]))
      bt_shape_key_values(bt_yaml_get(n, pairs[i]));
}

static void attribute(struct bt_load *load, const char *key, struct bt_yaml *v, const struct bt_place *place) {
  if (v->kind == BT_YAML_NULL)
    return;
  if (bt_streq(key, "ports"))
    bt_short_ports(load, v, place);
  else if (bt_streq(key, "volumes"))
    bt_short_volumes(load, v, place);
  else if (bt_streq(key, "secrets") || bt_streq(key, "configs"))
    texts_under(v, "source");
  else if (bt_streq(key, "depends_on"))
    depends_on(v);
  else if (bt_streq(key, "networks") || bt_streq(key, "models"))
    names_to_map(v);
  else if (bt_streq(key, "gpus"))
    gpus(v);
  else if (bt_streq(key, "env_file"))
    env_files(v);
  else if (bt_streq(key, "label_file"))
    text_to_list(v);
  else if (bt_streq(key, "dns"))
    text_to_list(v);
  else if (bt_streq(key, "extends"))
    text_under(v, "service");
  else if (bt_streq(key, "build"))
    build(v);
  else if (bt_streq(key, "devices"))
    for (size_t i = 0; v->kind == BT_YAML_SEQ && i < v->seq.len; i++)
      device(load, v->seq.items[i], BT_PLACE_ITEM(place, i));
}

static void resource(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  struct bt_yaml *external = bt_yaml_get(n, "external");
  if (!external || external->kind != BT_YAML_MAP)
    return;
  const struct bt_yaml *name = bt_yaml_get(n, "name"), *old = bt_yaml_get(external, "name");
  if (old && old->text && name && !bt_streq(name->text, old->text)) {
    BT_AUTO_FREE char *where = bt_place_text(place);
    bt_diag_error(load->diags, old->loc, "%s has two names, \"%.60s\" and \"%.60s\"; keep \"name\"", where, name->text,
                  old->text);
  }
  if (old && !name)
    bt_yaml_set(n, "name", old->loc, bt_yaml_copy(old));
  bt_node_become(external, bt_yaml_bool(true, external->loc));
}

/* One source of contents at the most; here, since a variable's value will stand under "content" later. */
static void one_source(struct bt_load *load, const struct bt_yaml *n, const struct bt_place *place) {
  int sources = (bt_yaml_get(n, "file") != NULL) + (bt_yaml_get(n, "environment") != NULL) + (bt_yaml_get(n, "content") != NULL);
  BT_AUTO_FREE char *where = bt_place_text(place);
  if (sources > 1)
    bt_diag_error(load->diags, n->loc, "%s has more than one of file, environment and content; keep one", where);
}

int bt_compose_canonical(struct bt_load *load, struct bt_yaml *tree) {
  static const char *const resources[] = {"networks", "volumes", "secrets", "configs"};
  size_t before = load->diags->errors;
  struct bt_place top = {NULL, "", 0};
  if (tree->kind != BT_YAML_MAP)
    return 0;
  const struct bt_yaml *services = bt_yaml_get(tree, "services");
  const struct bt_place *under = BT_PLACE_KEY(&top, "services");
  if (services && services->kind == BT_YAML_MAP)
    bt_vec_each(&services->map, service) {
      const struct bt_place *here = BT_PLACE_KEY(under, service->key);
      if (service->value->kind == BT_YAML_MAP)
        bt_vec_each(&service->value->map, pair)
          attribute(load, pair->key, pair->value, BT_PLACE_KEY(here, pair->key));
    }
  for (size_t i = 0; i < BT_COUNT(resources); i++) {
    const struct bt_yaml *map = bt_yaml_get(tree, resources[i]);
    const struct bt_place *kind = BT_PLACE_KEY(&top, resources[i]);
    if (map && map->kind == BT_YAML_MAP)
      bt_vec_each(&map->map, pair) {
        resource(load, pair->value, BT_PLACE_KEY(kind, pair->key));
        if (i >= 2)
          one_source(load, pair->value, BT_PLACE_KEY(kind, pair->key));
      }
  }
  return load->diags->errors > before ? -1 : 0;
}
