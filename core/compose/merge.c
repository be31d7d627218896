#include "config.h"

#include <stdint.h>
#include <stdlib.h>

#include "compose/stages.h"

/* How two values at a path become one, where it is not "mappings merge, sequences append, the later scalar wins". */
enum rule { REPLACE, AS_SEQ, HOSTS, BUILD, DEPENDS, AS_MAP, LOGGING, ULIMIT, IPAM };

static const struct merge_rule {
  const char *pattern;
  enum rule rule;
} rules[] = {
    {"networks.*.ipam.config", IPAM},
    {"networks.*.labels", AS_SEQ},
    {"volumes.*.labels", AS_SEQ},
    {"services.*.annotations", AS_SEQ},
    {"services.*.build", BUILD},
    {"services.*.build.args", AS_SEQ},
    {"services.*.build.additional_contexts", AS_SEQ},
    {"services.*.build.extra_hosts", HOSTS},
    {"services.*.build.labels", AS_SEQ},
    {"services.*.command", REPLACE},
    {"services.*.depends_on", DEPENDS},
    {"services.*.deploy.labels", AS_SEQ},
    {"services.*.dns", AS_SEQ},
    {"services.*.dns_opt", AS_SEQ},
    {"services.*.dns_search", AS_SEQ},
    {"services.*.entrypoint", REPLACE},
    {"services.*.env_file", AS_SEQ},
    {"services.*.label_file", AS_SEQ},
    {"services.*.environment", AS_SEQ},
    {"services.*.extra_hosts", HOSTS},
    {"services.*.healthcheck.test", REPLACE},
    {"services.*.labels", AS_SEQ},
    {"services.*.logging", LOGGING},
    {"services.*.models", AS_MAP},
    {"services.*.networks", AS_MAP},
    {"services.*.sysctls", AS_SEQ},
    {"services.*.tmpfs", AS_SEQ},
    {"services.*.ulimits.*", ULIMIT},
};

static struct bt_yaml *cannot(struct bt_load *load, struct bt_yaml *base, struct bt_yaml *over, const struct bt_walk *at) {
  BT_AUTO_FREE char *path = bt_walk_text(at);
  bt_diag_error(load->diags, over->loc, "%s: this %s cannot override a %s (%s:%d)", path, bt_yaml_kind_name(over->kind),
                bt_yaml_kind_name(base->kind), base->loc.file ? base->loc.file : "", base->loc.line);
  bt_yaml_free(&over);
  return base;
}

/* Finds pairs of a mapping by key; hashes where the mapping is wide. */
struct finder {
  struct bt_yaml *map;
  struct bt_map *index; /* key -> pair number + 1 */
};

static struct finder finder(struct bt_yaml *map, size_t lookups) {
  struct finder f = {map, NULL};
  if (map->map.len * lookups > 4096) {
    f.index = bt_map_new(NULL);
    for (size_t i = 0; i < map->map.len; i++)
      bt_map_set(f.index, map->map.items[i].key, (void *)(uintptr_t)(i + 1));
  }
  return f;
}

static struct bt_yaml_pair *find(const struct finder *f, const char *key) {
  if (!f->index)
    return bt_yaml_pair(f->map, key);
  size_t i = (size_t)(uintptr_t)bt_map_get(f->index, key);
  return i ? &f->map->map.items[i - 1] : NULL;
}

static struct bt_yaml *merge_mappings(struct bt_load *load, struct bt_yaml *base, struct bt_yaml *over, struct bt_walk *at) {
  struct finder f = finder(base, over->map.len);
  for (size_t i = 0; i < over->map.len; i++) {
    struct bt_yaml_pair *from = &over->map.items[i], *to = find(&f, from->key);
    if (!to) {
      bt_vec_push(&base->map, *from);
      from->key = NULL;
      from->value = NULL;
      continue;
    }
    bt_walk_push(at, to->key);
    to->value = bt_compose_merge(load, to->value, bt_steal(from->value), at);
    bt_walk_pop(at);
  }
  bt_map_free(&f.index);
  bt_yaml_free(&over);
  return base;
}

static void append(struct bt_yaml *base, struct bt_yaml *over) {
  for (size_t i = 0; i < over->seq.len; i++)
    bt_yaml_push(base, bt_steal(over->seq.items[i]));
  over->seq.len = 0;
  bt_yaml_free(&over);
}

/* --- sequences that may be written as mappings --- */

static int by_text(const void *a, const void *b) {
  return strcmp((*(struct bt_yaml *const *)a)->text, (*(struct bt_yaml *const *)b)->text);
}

static void push_entry(struct bt_yaml *seq, const char *key, const struct bt_yaml *value) {
  if (value->kind == BT_YAML_NULL) {
    bt_yaml_push(seq, bt_yaml_str(key, value->loc));
    return;
  }
  BT_AUTO_FREE char *text = bt_compose_scalar_text(value);
  BT_AUTO_FREE char *entry = bt_asprintf("%s=%s", key, text);
  bt_yaml_push(seq, bt_yaml_str(entry, value->loc));
}

/* {A: 1, B: [x, y]} as [A=1, B=x, B=y], sorted. NULL where a value is no scalar. */
static struct bt_yaml *entries_of(const struct bt_yaml *map) {
  BT_AUTO_YAML seq = bt_yaml_new(BT_YAML_SEQ, map->loc);
  for (size_t i = 0; i < map->map.len; i++) {
    const struct bt_yaml_pair *p = &map->map.items[i];
    if (p->value->kind == BT_YAML_MAP)
      return NULL;
    if (p->value->kind != BT_YAML_SEQ) {
      push_entry(seq, p->key, p->value);
      continue;
    }
    for (size_t j = 0; j < p->value->seq.len; j++) {
      if (!p->value->seq.items[j]->text)
        return NULL;
      push_entry(seq, p->key, p->value->seq.items[j]);
    }
  }
  if (seq->seq.len)
    qsort(seq->seq.items, seq->seq.len, sizeof *seq->seq.items, by_text);
  return bt_steal(seq);
}

/* A copy of the value as a sequence, or NULL where it cannot be one. */
static struct bt_yaml *to_sequence(const struct bt_yaml *value) {
  struct bt_yaml *seq;
  switch (value->kind) {
    case BT_YAML_MAP:
      return entries_of(value);
    case BT_YAML_SEQ:
      return bt_yaml_copy(value);
    case BT_YAML_STR:
      seq = bt_yaml_new(BT_YAML_SEQ, value->loc);
      bt_yaml_push(seq, bt_yaml_copy(value));
      return seq;
    case BT_YAML_NULL:
      return bt_yaml_new(BT_YAML_SEQ, value->loc);
    default:
      return NULL;
  }
}

static bool same_text(const struct bt_yaml *a, const struct bt_yaml *b) { return a->text && bt_streq(a->text, b->text); }

static void drop_known(struct bt_yaml *base, struct bt_yaml *over) {
  BT_AUTO_MAP known = bt_map_new(NULL);
  for (size_t i = 0; i < base->seq.len; i++)
    if (base->seq.items[i]->text)
      bt_map_set(known, base->seq.items[i]->text, base);
  size_t kept = 0;
  for (size_t i = 0; i < over->seq.len; i++) {
    struct bt_yaml *item = over->seq.items[i];
    if (item->text && bt_map_get(known, item->text))
      bt_yaml_free(&item);
    else
      over->seq.items[kept++] = item;
  }
  over->seq.len = kept;
}

static struct bt_yaml *merge_sequences(struct bt_load *load, struct bt_yaml *base, struct bt_yaml *over,
                                       const struct bt_walk *at, bool new_only) {
  struct bt_yaml *left = to_sequence(base), *right = to_sequence(over);
  if (!left || !right) {
    bt_yaml_free(&left);
    bt_yaml_free(&right);
    return cannot(load, base, over, at);
  }
  if (new_only)
    drop_known(left, right);
  append(left, right);
  bt_yaml_free(&base);
  bt_yaml_free(&over);
  return left;
}

/* --- mappings that may be written as sequences or strings --- */

static struct bt_yaml *dependency(struct bt_loc loc) {
  struct bt_yaml *map = bt_yaml_new(BT_YAML_MAP, loc);
  bt_yaml_set(map, "condition", loc, bt_yaml_str("service_started", loc));
  bt_yaml_set(map, "required", loc, bt_yaml_bool(true, loc));
  return map;
}

/* Takes the value; a mapping, or NULL (and the value is still the caller's) where it cannot be one. */
static struct bt_yaml *to_mapping(struct bt_yaml *value, enum rule rule) {
  if (value->kind == BT_YAML_MAP)
    return value;
  BT_AUTO_YAML map = bt_yaml_new(BT_YAML_MAP, value->loc);
  if (rule == BUILD && value->kind == BT_YAML_STR)
    bt_yaml_set(map, "context", value->loc, bt_yaml_copy(value));
  else if (value->kind == BT_YAML_SEQ && rule != BUILD) {
    for (size_t i = 0; i < value->seq.len; i++) {
      const struct bt_yaml *item = value->seq.items[i];
      if (item->kind != BT_YAML_STR)
        return NULL;
      bt_yaml_set(map, item->text, item->loc, rule == DEPENDS ? dependency(item->loc) : bt_yaml_new(BT_YAML_NULL, item->loc));
    }
  } else if (value->kind != BT_YAML_NULL)
    return NULL;
  bt_yaml_free(&value);
  return bt_steal(map);
}

static struct bt_yaml *merge_as_mappings(struct bt_load *load, struct bt_yaml *base, struct bt_yaml *over, struct bt_walk *at,
                                         enum rule rule) {
  struct bt_yaml *left = to_mapping(base, rule);
  if (!left)
    return cannot(load, base, over, at);
  struct bt_yaml *right = to_mapping(over, rule);
  if (!right)
    return cannot(load, left, over, at);
  return merge_mappings(load, left, right, at);
}

/* --- single attributes --- */

/* Options belong to their driver: another driver starts anew. */
static struct bt_yaml *merge_logging(struct bt_load *load, struct bt_yaml *base, struct bt_yaml *over, struct bt_walk *at) {
  const struct bt_yaml *was = bt_yaml_get(base, "driver"), *is = bt_yaml_get(over, "driver");
  if (base->kind != BT_YAML_MAP || over->kind != BT_YAML_MAP)
    return cannot(load, base, over, at);
  if (!was || !is || same_text(was, is))
    return merge_mappings(load, base, over, at);
  bt_yaml_free(&base);
  return over;
}

static bool same_subnet(const struct bt_yaml *a, const struct bt_yaml *b) {
  const struct bt_yaml *x = bt_yaml_get(a, "subnet"), *y = bt_yaml_get(b, "subnet");
  return x == y || (x && y && same_text(x, y));
}

/* The reference's walk over both lists: entries of the same subnet merge, others of the override are added. Entries of
 * the base that the override does not take up are gone. */
static struct bt_yaml *merge_ipam(struct bt_load *load, struct bt_yaml *base, struct bt_yaml *over, struct bt_walk *at) {
  if (base->kind != BT_YAML_SEQ || over->kind != BT_YAML_SEQ || base->seq.len * over->seq.len > 10000)
    return cannot(load, base, over, at);
  BT_VEC(struct bt_yaml *) picked = {0}; /* borrowed from base and over */
  for (size_t i = 0; i < base->seq.len; i++) {
    for (size_t j = 0; j < over->seq.len; j++) {
      struct bt_yaml *was = base->seq.items[i], *is = over->seq.items[j];
      size_t at_pick = 0;
      while (at_pick < picked.len && !same_subnet(picked.items[at_pick], is))
        at_pick++;
      if (!same_subnet(was, is) && at_pick == picked.len) {
        bt_vec_push(&picked, is);
        continue;
      }
      if (was->kind != BT_YAML_MAP || is->kind != BT_YAML_MAP)
        continue; /* the schema will say so */
      base->seq.items[i] = was = merge_mappings(load, was, bt_yaml_copy(is), at);
      if (at_pick < picked.len)
        picked.items[at_pick] = was;
      else
        bt_vec_push(&picked, was);
    }
  }
  struct bt_yaml *merged = bt_yaml_new(BT_YAML_SEQ, over->loc);
  bt_vec_each(&picked, p)
    bt_yaml_push(merged, bt_yaml_copy(*p));
  bt_vec_free(&picked);
  bt_yaml_free(&base);
  bt_yaml_free(&over);
  return merged;
}

static struct bt_yaml *merge_plain(struct bt_load *load, struct bt_yaml *base, struct bt_yaml *over, struct bt_walk *at) {
  if (over->kind == BT_YAML_NULL) {
    bt_yaml_free(&over);
    return base;
  }
  bool collection = base->kind == BT_YAML_MAP || base->kind == BT_YAML_SEQ;
  if (collection && base->kind != over->kind)
    return cannot(load, base, over, at);
  if (base->kind == BT_YAML_MAP)
    return merge_mappings(load, base, over, at);
  if (base->kind == BT_YAML_SEQ) {
    append(base, over);
    return base;
  }
  bt_yaml_free(&base);
  return over;
}

struct bt_yaml *bt_compose_merge(struct bt_load *load, struct bt_yaml *base, struct bt_yaml *over, struct bt_walk *at) {
  int i = bt_walk_find(at, rules, BT_COUNT(rules), sizeof rules[0]);
  enum rule rule = i < 0 ? REPLACE : rules[i].rule;
  if (i < 0 || (rule == ULIMIT && base->kind == BT_YAML_MAP && over->kind == BT_YAML_MAP))
    return merge_plain(load, base, over, at);
  switch (rule) {
    case AS_SEQ:
    case HOSTS:
      return merge_sequences(load, base, over, at, rule == HOSTS);
    case BUILD:
    case DEPENDS:
    case AS_MAP:
      return merge_as_mappings(load, base, over, at, rule);
    case LOGGING:
      return over->kind == BT_YAML_NULL ? merge_plain(load, base, over, at) : merge_logging(load, base, over, at);
    case IPAM:
      return merge_ipam(load, base, over, at);
    default:
      bt_yaml_free(&base);
      return over;
  }
}
