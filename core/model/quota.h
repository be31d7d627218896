/* Namespaces as berthd.yaml has them: who is within whom, what each may use, and how large its instances are. Knows nothing of what is
 * used: see plan/quota.h. */
#ifndef BT_MODEL_QUOTA_H
#define BT_MODEL_QUOTA_H

#include <jansson.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/vec.h"
#include "base/yaml.h"

enum { BT_NAMESPACES_MOST = 10000, BT_NAMESPACES_DEEPEST = 16 };

/* What a quota counts. */
enum bt_quota_dim {
  BT_QUOTA_CPUS /* thousandths */,
  BT_QUOTA_MEMORY /* bytes */,
  BT_QUOTA_INSTANCES,
  BT_QUOTA_VOLUMES,
  BT_QUOTA_DEVICES,
  BT_QUOTA_ROUTES,
  BT_QUOTA_DIMS
};
/* Of those, what one instance asks for: they have defaults and ranges. */
enum { BT_QUOTA_SIZES = BT_QUOTA_MEMORY + 1 };
#define BT_QUOTA_NO_LIMIT (-1)

struct bt_namespace {
  char *name, *parent; /* parent NULL: none */
  int weight, priority; /* of its share where there is not enough, of its services that say none; 1, 0 by default */
  int64_t limit[BT_QUOTA_DIMS];   /* or BT_QUOTA_NO_LIMIT */
  int64_t usual[BT_QUOTA_SIZES];  /* of services that say none; 0: none */
  int64_t least[BT_QUOTA_SIZES], most[BT_QUOTA_SIZES]; /* of an instance; 0: any */
};
struct bt_namespaces {
  struct bt_namespace *items;
  size_t len, cap;
};

/* The section "namespaces" of the tree as canonical JSON (new reference); what is wrong goes to diags with its place. */
json_t *bt_namespaces_read(const struct bt_yaml *section, struct bt_diags *diags);
json_t *bt_namespaces_schema(void); /* new reference */
/* From the canonical JSON (NULL: none). The caller frees. */
struct bt_namespaces bt_namespaces_of(const json_t *canonical);
void bt_namespaces_free(struct bt_namespaces *namespaces);
const char *bt_quota_name(enum bt_quota_dim dim); /* "cpus", …: as the configuration has it */

#endif
