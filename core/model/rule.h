/* A placement rule in words: "KEY == VALUE", "KEY != VALUE", "KEY in (A, B)", "KEY not in (A, B)", "KEY exists", "KEY not exists",
 * "KEY >= 1.2" (also >, <=, <). == and != are those of Compose (deploy.placement.constraints); the others are Berth's own
 * (x-berth.placement). Values compare without regard to case, as Swarm's do; >= and its like compare runs of digits as numbers
 * ("5.15.0-91" > "5.4"). Pure. */
#ifndef BT_MODEL_RULE_H
#define BT_MODEL_RULE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/vec.h"

#define BT_RULE_TEXT_MAX 4096
#define BT_RULE_VALUES_MAX 256

enum bt_rule_op { BT_RULE_EQ, BT_RULE_NE, BT_RULE_IN, BT_RULE_NOT_IN, BT_RULE_EXISTS, BT_RULE_ABSENT, BT_RULE_GE, BT_RULE_GT, BT_RULE_LE, BT_RULE_LT };

struct bt_rule {
  char *text; /* as written */
  char *key;  /* node.id, node.hostname, node.role, node.pool, node.platform.os, node.platform.arch, node.labels.X, engine.labels.X */
  enum bt_rule_op op;
  struct bt_strs values;
};

/* Reads a rule; *out is the caller's (bt_rule_free), also after a failure. compose: only what Compose has is allowed. -1 with BT_INVALID and a
 * sentence that quotes the text. */
int bt_rule_parse(const char *text, bool compose, struct bt_rule *out, struct bt_err **err) BT_CHECK;
int bt_rule_check(const char *text, bool compose, struct bt_err **err) BT_CHECK; /* the same, and forgets it */
void bt_rule_free(struct bt_rule *rule);
/* Whether it holds for a node whose key has this value (NULL: it has no such key; then !=, not in and not exists hold). */
bool bt_rule_holds(const struct bt_rule *rule, const char *value);
/* Whether its key names one node: node.id or node.hostname. */
bool bt_rule_names_node(const struct bt_rule *rule);

#endif
