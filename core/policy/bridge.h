/* JSON to Lua and back. Objects and arrays become tables that remember which they are, so that an empty array comes back as
 * one; a null member of an object reads as nil and comes back as null unless it was set; null in an array is "null".
 * Integers and floats stay what they are. Whole numbers, texts and booleans map to themselves.
 *
 * A read-only view of a table costs 200 bytes where it is looked at, and nothing where it is not. */
#ifndef BT_POLICY_BRIDGE_H
#define BT_POLICY_BRIDGE_H

#include <jansson.h>
#include <lua.h>
#include <stdbool.h>

#include "base/err.h"

/* Adds array, object, null, pairs and next to what rules see. Once per state. */
void bt_bridge_add(lua_State *L);

/* Pushes the value; raises a Lua error where memory is over or it is nested deeper than 64 levels. */
void bt_bridge_push(lua_State *L, const json_t *value);

/* The value at idx as JSON; a new reference. was: what it was before, or NULL: it gives the order of keys, the nulls, and what an
 * empty table means. Never raises. What JSON cannot hold (functions, mixed keys, NaN, cycles, bad UTF-8) is BT_INVALID with
 * the path to it, which begins with what. At most 64 levels, 200,000 values and 8 MiB of text. */
json_t *bt_bridge_json(lua_State *L, int idx, const json_t *was, const char *what, struct bt_err **err);

/* Replaces the table on top of the stack by a view of it that refuses to be changed; reason ends the sentence "cannot set x: …"
 * (a literal). known: the fields it may have, ended by NULL, so that reading another one is an error that names it; NULL:
 * any. */
void bt_bridge_view(lua_State *L, const char *reason, const char *const *known);

#endif
