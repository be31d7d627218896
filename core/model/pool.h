/* Pools of nodes, as berthd.yaml has them: which nodes are of one, what is kept back and overcommitted there, who is kept away. A node is of
 * the first pool whose rules all hold for it; of none of them it is of "default", which has no settings. */
#ifndef BT_MODEL_POOL_H
#define BT_MODEL_POOL_H

#include <jansson.h>

#include "base/diag.h"
#include "base/vec.h"
#include "base/yaml.h"
#include "model/rule.h"

enum { BT_POOLS_MOST = 256 };

struct bt_pool_taint {
  char *key, *value;
  bool prefer_not; /* else nothing new goes there that does not tolerate it */
};

struct bt_pool {
  char *name;
  BT_VEC(struct bt_rule) match; /* none: every node */
  BT_VEC(struct bt_pool_taint) taints;
  int64_t reserve_cpu;    /* thousandths */
  int64_t reserve_memory; /* bytes */
  double over_cpus, over_memory; /* times what is there after the reserve; 1 by default */
  struct bt_strs namespaces; /* only these may; none: all */
};
struct bt_pools {
  struct bt_pool *items;
  size_t len, cap;
};

/* The section "pools" of the tree as canonical JSON (new reference); what is wrong goes to diags with its place. */
json_t *bt_pools_read(const struct bt_yaml *section, struct bt_diags *diags);
json_t *bt_pools_schema(void); /* new reference */
/* From the canonical JSON (NULL: no pools); what bt_pools_read would refuse is left out. The caller frees. */
struct bt_pools bt_pools_of(const json_t *canonical);
void bt_pools_free(struct bt_pools *pools);
/* The pool of a node, whose attribute of a key value() gives (NULL: it has none); NULL: none. */
const struct bt_pool *bt_pools_find(const struct bt_pools *pools, const char *(*value)(void *arg, const char *key), void *arg);

#endif
