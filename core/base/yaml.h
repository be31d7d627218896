/* A YAML text as a tree in which every node and key knows its place. libfyaml parses; this module resolves aliases,
 * "<<" merges and scalars after the YAML 1.2 core schema (plain scalars only; so yes, no, on, off are strings), with the
 * numbers people write in Compose files: a leading 0 is octal (mode: 0440), 0b, 0o and 0x work, "_" is dropped. It keeps Compose's tags !reset and !override, and caps size, depth and number of nodes (an alias
 * counts as the nodes it stands for, so a "billion laughs" text is refused). Knows nothing of Compose's meaning.
 * Cost: about 100 bytes per node. */
#ifndef BT_BASE_YAML_H
#define BT_BASE_YAML_H

#include <jansson.h>

#include "base/diag.h"

enum bt_yaml_kind { BT_YAML_NULL, BT_YAML_BOOL, BT_YAML_INT, BT_YAML_FLOAT, BT_YAML_STR, BT_YAML_SEQ, BT_YAML_MAP };
enum bt_yaml_tag { BT_YAML_NOTAG, BT_YAML_RESET, BT_YAML_OVERRIDE };

struct bt_yaml;
struct bt_yaml_pair {
  char *key;
  struct bt_loc loc; /* of the key */
  struct bt_yaml *value;
};

struct bt_yaml {
  enum bt_yaml_kind kind;
  enum bt_yaml_tag tag;
  bool plain; /* a scalar without quotes */
  struct bt_loc loc;
  char *text; /* a scalar's text as written (quotes and escapes resolved); NULL for collections */
  union {
    bool boolean;
    long long integer;
    double real;
    struct { struct bt_yaml **items; size_t len, cap; } seq;
    struct { struct bt_yaml_pair *items; size_t len, cap; } map;
  };
};

struct bt_yaml_limits {
  size_t max_bytes; /* 0: 3 MiB */
  size_t max_nodes; /* 0: 200,000, aliases expanded */
  int max_depth;    /* 0: 64 */
};

/* Parses all documents of the text. "file" is borrowed for the life of the trees. *docs: an array of trees, owned by
 * the caller (bt_yaml_free each, then free the array). 0, or -1 with errors in diags. Duplicate keys, NUL, invalid UTF-8,
 * keys that are no strings: errors with their place. An empty document is a BT_YAML_NULL node. */
int bt_yaml_parse(const char *text, size_t len, const char *file, const struct bt_yaml_limits *limits,
                  struct bt_yaml ***docs, size_t *ndocs, struct bt_diags *diags) BT_CHECK;
void bt_yaml_free(struct bt_yaml **node);
struct bt_yaml *bt_yaml_copy(const struct bt_yaml *node);

/* Constructors for trees that are rewritten (normalisation); all own their copies. */
struct bt_yaml *bt_yaml_new(enum bt_yaml_kind kind, struct bt_loc loc);
struct bt_yaml *bt_yaml_str(const char *s, struct bt_loc loc);
struct bt_yaml *bt_yaml_int(long long v, struct bt_loc loc);
struct bt_yaml *bt_yaml_bool(bool v, struct bt_loc loc);

struct bt_yaml *bt_yaml_get(const struct bt_yaml *map, const char *key); /* borrowed; NULL where absent or no map */
struct bt_yaml_pair *bt_yaml_pair(const struct bt_yaml *map, const char *key);
/* Sets (replacing and freeing an old value); steals value. */
void bt_yaml_set(struct bt_yaml *map, const char *key, struct bt_loc key_loc, struct bt_yaml *value);
struct bt_yaml *bt_yaml_take(struct bt_yaml *map, const char *key); /* removes the pair; the caller owns the value */
void bt_yaml_push(struct bt_yaml *seq, struct bt_yaml *item);       /* steals item */
const char *bt_yaml_kind_name(enum bt_yaml_kind kind); /* "null" "boolean" "integer" "number" "string" "sequence" "mapping" */

/* The tree as JSON (new reference) and JSON as a tree without places. */
json_t *bt_yaml_json(const struct bt_yaml *node);
struct bt_yaml *bt_yaml_from_json(const json_t *value, struct bt_loc loc);

static inline void bt_yaml_freep(struct bt_yaml **p) { bt_yaml_free(p); }
#define BT_AUTO_YAML __attribute__((cleanup(bt_yaml_freep), unused)) struct bt_yaml *

#endif
