/* Scalars of a Compose file in their canonical form, as "docker compose config" prints them. Pure functions over nodes:
 * false where the node is none of the kind; the caller has the place and says so. Inside the Compose room only. */
#ifndef BT_COMPOSE_VALUES_H
#define BT_COMPOSE_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "base/yaml.h"

static inline bool bt_is_scalar(const struct bt_yaml *n) { return n->kind != BT_YAML_SEQ && n->kind != BT_YAML_MAP; }

bool bt_value_bool(const struct bt_yaml *n, bool *out); /* true false, and yes no on off y n in quotes */
bool bt_value_int(const struct bt_yaml *n, long long *out);
bool bt_value_float(const struct bt_yaml *n, double *out); /* of single precision, as the reference keeps it */
/* "512m" or a number; "-1" passes. */
bool bt_value_bytes(const struct bt_yaml *n, long long *out);
/* Go's durations, and also d and w: "1w2d3h". */
bool bt_value_duration(const struct bt_yaml *n, int64_t *ns);
/* A file mode: an integer, or octal text. */
bool bt_value_mode(const struct bt_yaml *n, long long *out);

/* Splits a command line as the reference does: blanks, 'single', "double" quotes, backslash; no variables. It ends at an
 * unquoted ; & | < or >, since no shell runs it: *rest is what was left out, or NULL. false: a quote is open, or there is
 * a bare parenthesis. */
bool bt_value_words(const char *line, struct bt_strs *words, const char **rest);

/* Replaces the contents of a node in place; the place stays. Steals what it is given. */
void bt_node_become(struct bt_yaml *n, struct bt_yaml *other);

#endif
