/* The small library that rules have beside Lua's own: paths, globs, image references, versions, quantities. Documented in
 * config/docs/policies.md. Every function takes nil and gives nil, so that rules need not ask first. */
#ifndef BT_POLICY_RULES_H
#define BT_POLICY_RULES_H

#include <lua.h>
#include <stdbool.h>

/* Adds get, set, contains, glob, image, semver, bytes, cpus, duration, starts_with, ends_with. Once per state. */
void bt_rules_add(lua_State *L);


#endif
