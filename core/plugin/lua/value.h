/* JSON to Lua and back, for messages of the wire. Objects and lists become tables; a null member of an object is left out, a null in a
 * list is berth.null. A table without numbered members becomes an object, unless berth.array marked it: then an empty one is a list. */
#ifndef BT_PLUGIN_LUA_VALUE_H
#define BT_PLUGIN_LUA_VALUE_H

#include <jansson.h>
#include <lua.h>

/* Pushes the value. Raises where memory is over or it is nested too deep. */
void bt_value_push(lua_State *L, const json_t *value);
/* The value at idx; a new reference, or NULL with a reason (a literal). Never raises. */
json_t *bt_value_json(lua_State *L, int idx, const char **why);
/* Marks the table on top of the stack as a list. */
void bt_value_mark_array(lua_State *L);

#endif
