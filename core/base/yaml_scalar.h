/* Between yaml.c and yaml_parse.c only: what a plain scalar is, from its text. */
#ifndef BT_BASE_YAML_SCALAR_H
#define BT_BASE_YAML_SCALAR_H

#include "base/yaml.h"

/* Sets node->kind and its value from node->text, after the core schema with the numbers people write in Compose files:
 * a leading 0 is octal (mode: 0440), "0b", "0o" and "0x" too, and "_" between digits is dropped. What overflows 64 bits
 * is a number of kind float. */
void bt_yaml_resolve(struct bt_yaml *node);

#endif
