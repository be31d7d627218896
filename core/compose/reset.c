#include "config.h"

#include "base/buf.h"
#include "compose/stages.h"

/* Keys are joined by a byte that no YAML text may hold. */
enum { joint = 1 };

static size_t step(struct bt_buf *path, const char *key) {
  size_t before = path->len;
  bt_buf_addc(path, joint);
  bt_buf_adds(path, key);
  return before;
}

static void remember(struct bt_reset *reset, const struct bt_buf *path) {
  if (!reset->paths)
    reset->paths = bt_map_new(NULL);
  bt_map_set(reset->paths, path->data ? path->data : "", reset);
}

static void collect(struct bt_reset *reset, struct bt_yaml *node, struct bt_buf *path, bool in_seq);

static void collect_map(struct bt_reset *reset, struct bt_yaml *map, struct bt_buf *path, bool in_seq) {
  size_t kept = 0;
  for (size_t i = 0; i < map->map.len; i++) {
    struct bt_yaml_pair pair = map->map.items[i];
    size_t before = step(path, pair.key);
    if (pair.value->tag != BT_YAML_NOTAG && !in_seq)
      remember(reset, path);
    if (pair.value->tag == BT_YAML_RESET) {
      free(pair.key);
      bt_yaml_free(&pair.value);
    } else {
      collect(reset, pair.value, path, in_seq);
      map->map.items[kept++] = pair;
    }
    bt_buf_truncate(path, before);
  }
  map->map.len = kept;
}

/* Items have no stable place in another file's sequence, so that a tag on one speaks of this document only. */
static void collect(struct bt_reset *reset, struct bt_yaml *node, struct bt_buf *path, bool in_seq) {
  if (node->kind == BT_YAML_MAP) {
    collect_map(reset, node, path, in_seq);
    return;
  }
  if (node->kind != BT_YAML_SEQ)
    return;
  size_t kept = 0;
  for (size_t i = 0; i < node->seq.len; i++) {
    struct bt_yaml *item = node->seq.items[i];
    if (item->tag == BT_YAML_RESET) {
      bt_yaml_free(&item);
      continue;
    }
    collect(reset, item, path, true);
    node->seq.items[kept++] = item;
  }
  node->seq.len = kept;
}

void bt_reset_collect(struct bt_reset *reset, struct bt_yaml *doc) {
  BT_AUTO_BUF path = {0};
  collect(reset, doc, &path, false);
}

static void apply(const struct bt_reset *reset, struct bt_yaml *map, struct bt_buf *path) {
  if (map->kind != BT_YAML_MAP)
    return;
  size_t kept = 0;
  for (size_t i = 0; i < map->map.len; i++) {
    struct bt_yaml_pair pair = map->map.items[i];
    size_t before = step(path, pair.key);
    if (bt_map_get(reset->paths, path->data)) {
      free(pair.key);
      bt_yaml_free(&pair.value);
    } else {
      apply(reset, pair.value, path);
      map->map.items[kept++] = pair;
    }
    bt_buf_truncate(path, before);
  }
  map->map.len = kept;
}

void bt_reset_apply(const struct bt_reset *reset, struct bt_yaml *tree, const char *const *prefix) {
  if (!reset->paths)
    return;
  BT_AUTO_BUF path = {0};
  for (; prefix && *prefix; prefix++)
    step(&path, *prefix);
  apply(reset, tree, &path);
}

void bt_reset_free(struct bt_reset *reset) { bt_map_free(&reset->paths); }
