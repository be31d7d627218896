/* Lua's patterns with a step counter: string.find, match, gmatch and gsub as Lua 5.4 has them, which stop when a rule's time is
 * over. The library's own backtrack inside one C call, where no hook fires: "a?" * 30 takes hours there. */
#ifndef BT_POLICY_PATTERN_H
#define BT_POLICY_PATTERN_H

#include <lua.h>

/* Adds the four functions to the table on top of the stack. */
void bt_pattern_add(lua_State *L);

#endif
