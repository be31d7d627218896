/* Rules about placement between attributes and between services: constraints and preferences of Compose, and of x-berth.placement what
 * names other services. */
#include "config.h"

#include <stdint.h>

#include "base/mem.h"
#include "base/nearest.h"
#include "compose/place.h"
#include "compose/support.h"
#include "model/placement.h"

static const struct bt_yaml *list_of(const struct bt_yaml *map, const char *key) {
  const struct bt_yaml *n = bt_yaml_get(map, key);
  return n && n->kind == BT_YAML_SEQ ? n : NULL;
}

static size_t len_of(const struct bt_yaml *list) { return list ? list->seq.len : 0; }

/* ---- Compose's own ---- */

static bool too_many(struct bt_load *load, const char *name, const struct bt_yaml *list, const char *key) {
  if (len_of(list) <= BT_PLACEMENT_MOST)
    return false;
  bt_diag_error(load->diags, list->loc, "services.%s.deploy.placement.%s has %zu entries, and may have %d", name, key, list->seq.len, BT_PLACEMENT_MOST);
  return true;
}

static void check_constraints(struct bt_load *load, const char *name, const struct bt_yaml *placement) {
  const struct bt_yaml *list = list_of(placement, "constraints");
  if (too_many(load, name, list, "constraints"))
    return;
  for (size_t i = 0; i < len_of(list); i++) {
    const struct bt_yaml *n = list->seq.items[i];
    struct bt_rule rule = {0};
    BT_AUTO_ERR err = NULL;
    if (n->kind == BT_YAML_STR && bt_rule_parse(n->text, true, &rule, &err))
      bt_diag_error(load->diags, n->loc, "services.%s.deploy.placement.constraints[%zu]: %s", name, i, bt_err_message(err));
    bt_rule_free(&rule);
  }
}

/* Accepted, and without effect where there is one node: that is said rather than left to be found out. */
static void check_preferences(struct bt_load *load, const char *name, const struct bt_yaml *placement) {
  const struct bt_yaml *list = list_of(placement, "preferences");
  if (!len_of(list) || too_many(load, name, list, "preferences"))
    return;
  for (size_t i = 0; i < list->seq.len; i++) {
    const struct bt_yaml *item = list->seq.items[i], *key = bt_yaml_get(item, "spread");
    if (!key || key->kind != BT_YAML_STR || !bt_placement_topology_ok(key->text))
      bt_diag_error(load->diags, key ? key->loc : item->loc,
                    "services.%s.deploy.placement.preferences[%zu].spread must be a key of nodes such as node.labels.zone, not \"%.60s\"", name, i,
                    key && key->text ? key->text : "");
  }
  bt_diag_warn(load->diags, list->seq.items[0]->loc,
               "services.%s.deploy.placement.preferences spread instances over nodes; on a single node all of them run there", name);
}

/* ---- x-berth.placement ---- */

struct file {
  struct bt_load *load;
  const struct bt_yaml *services;
  struct bt_map *by_name; /* service -> its position and 1 */
};

static const struct bt_yaml *placement_of(const struct bt_yaml *service) {
  const struct bt_yaml *n = bt_yaml_get(bt_yaml_get(service, "x-berth"), "placement");
  return n && n->kind == BT_YAML_MAP ? n : NULL;
}

/* The service of this file that an entry speaks of; NULL: it speaks of something else, or badly, which was told. */
static const char *own_service(const struct bt_yaml *entry) {
  const struct bt_yaml *service = bt_yaml_get(entry, "service");
  bool named = service && service->kind == BT_YAML_STR && bt_placement_name_ok(service->text);
  return named && !bt_yaml_get(entry, "app") && !bt_yaml_get(entry, "namespace") ? service->text : NULL;
}

static bool is_hard(const struct bt_yaml *entry) {
  const struct bt_yaml *required = bt_yaml_get(entry, "required");
  return !required || required->kind != BT_YAML_BOOL || required->boolean;
}

/* What would never have a place is an error; what only has no effect for now (a profile that is off) is said. */
static void unknown_service(const struct file *f, const char *name, const char *key, size_t i, const struct bt_yaml *entry, const char *other) {
  struct bt_nearest near = bt_nearest_start(other);
  struct bt_loc loc = bt_yaml_get(entry, "service")->loc;
  char hint[96];
  if (!bt_diags_full(f->load->diags))
    bt_vec_each(&f->services->map, pair) bt_nearest_try(&near, pair->key);
  bt_nearest_hint(near.best, hint);
  if (is_hard(entry) && bt_streq(key, "affinity"))
    bt_diag_error(f->load->diags, loc, "services.%s.x-berth.placement.%s[%zu].service \"%.60s\" is no service of this file%s", name, key, i, other, hint);
  else
    bt_diag_warn(f->load->diags, loc, "services.%s.x-berth.placement.%s[%zu].service \"%.60s\" is no service of this file, or of a profile that is not asked for%s",
                 name, key, i, other, hint);
}

static void check_others(const struct file *f, const char *name, const struct bt_yaml *placement, const char *key) {
  const struct bt_yaml *list = list_of(placement, key);
  for (size_t i = 0; i < len_of(list); i++) {
    const struct bt_yaml *entry = list->seq.items[i], *topology = bt_yaml_get(entry, "topology");
    const char *other = own_service(entry);
    if (!other)
      continue;
    if (!bt_map_get(f->by_name, other))
      unknown_service(f, name, key, i, entry, other);
    else if (bt_streq(other, name) && is_hard(entry) && bt_streq(key, "affinity") && (!topology || bt_streq(topology->text, "node")))
      bt_diag_error(f->load->diags, entry->loc,
                    "services.%s.x-berth.placement.affinity[%zu] puts the service beside itself on one node; name a \"topology\" such as node.labels.zone", name, i);
  }
}

/* One instance per node leaves nothing to choose. */
static void check_global(const struct file *f, const char *name, const struct bt_yaml *service, const struct bt_yaml *placement) {
  static const char *const keys[] = {"strategy", "spread", "gang"};
  const struct bt_yaml *mode = bt_yaml_get(bt_yaml_get(service, "deploy"), "mode");
  for (size_t i = 0; i < BT_COUNT(keys) && mode && mode->text && bt_starts(mode->text, "global"); i++) {
    const struct bt_yaml *n = bt_yaml_get(placement, keys[i]);
    if (n)
      bt_diag_error(f->load->diags, n->loc, "services.%s.x-berth.placement.%s means nothing with \"mode: %s\", which is one per node; remove one of them", name,
                    keys[i], mode->text);
  }
}

/* ---- services that must be beside each other, each after the other ---- */

struct step {
  size_t service, next; /* position; the next entry of its affinity */
};

/* The position of the service that must have a place before, and 1; 0: none. */
static size_t after(const struct file *f, const struct step *s, const struct bt_yaml *entry) {
  const char *other = is_hard(entry) ? own_service(entry) : NULL;
  size_t at = other ? (size_t)(uintptr_t)bt_map_get(f->by_name, other) : 0;
  return at == s->service + 1 ? 0 : at;
}

/* Goes down from one service; true: it told of a circle. seen: 1 on the way, 2 done. The way is at most as long as there are services. */
static bool circle_from(const struct file *f, size_t first, unsigned char *seen, struct step *way) {
  size_t len = 1;
  way[0] = (struct step){first, 0};
  seen[first] = 1;
  while (len > 0) {
    struct step *s = &way[len - 1];
    const struct bt_yaml_pair *pair = &f->services->map.items[s->service];
    const struct bt_yaml *list = list_of(placement_of(pair->value), "affinity");
    if (s->next >= len_of(list)) {
      seen[s->service] = 2;
      len--;
      continue;
    }
    const struct bt_yaml *entry = list->seq.items[s->next++];
    size_t to = after(f, s, entry);
    if (to && seen[to - 1] == 1) {
      bt_diag_error(f->load->diags, entry->loc,
                    "services.%s.x-berth.placement.affinity[%zu] waits for a place of \"%s\", which waits in turn for one of \"%s\"; say \"required: false\" in one of them",
                    pair->key, s->next - 1, f->services->map.items[to - 1].key, pair->key);
      return true;
    }
    if (to && !seen[to - 1]) {
      seen[to - 1] = 1;
      way[len++] = (struct step){to - 1, 0};
    }
  }
  return false;
}

static void check_circles(const struct file *f) {
  size_t n = f->services->map.len;
  BT_AUTO_FREE unsigned char *seen = bt_newn(unsigned char, n + 1);
  BT_AUTO_FREE struct step *way = bt_newn(struct step, n + 1);
  for (size_t i = 0; i < n; i++)
    if (!seen[i] && circle_from(f, i, seen, way))
      return; /* one is enough: what hangs on it would be told as well */
}

void bt_compose_check_placement(struct bt_load *load, const struct bt_yaml *services) {
  BT_AUTO_MAP by_name = bt_map_new(NULL);
  const struct file f = {load, services, by_name};
  for (size_t i = 0; i < services->map.len; i++)
    bt_map_set(by_name, services->map.items[i].key, (void *)(uintptr_t)(i + 1));
  bt_vec_each(&services->map, pair) {
    const struct bt_yaml *deploy = bt_yaml_get(bt_yaml_get(pair->value, "deploy"), "placement"), *placement = placement_of(pair->value);
    check_constraints(load, pair->key, deploy);
    check_preferences(load, pair->key, deploy);
    if (!placement)
      continue;
    check_others(&f, pair->key, placement, "affinity");
    check_others(&f, pair->key, placement, "anti_affinity");
    check_global(&f, pair->key, pair->value, placement);
  }
  check_circles(&f);
}
