/* The small library that rules have beside Lua's own: paths, globs, image references, versions, quantities. Documented in
 * config/docs/policies.md. Every function takes nil and gives nil, so that rules need not ask first. */
#ifndef BT_POLICY_RULES_H
#define BT_POLICY_RULES_H

#include <lua.h>
#include <stdbool.h>

/* Adds get, set, contains, glob, image, semver, bytes, cpus, duration, starts_with, ends_with. Once per state. */
void bt_rules_add(lua_State *L);

/* "*" is any run of characters but "/", "**" any run at all, "?" one character but "/". Both at most 1,024 bytes: else no match. */
bool bt_glob_match(const char *pattern, const char *text);
/* Compares versions after semver.org ("v" in front, and missing parts, are allowed). false where one is none. */
bool bt_semver_compare(const char *a, const char *b, int *order);

#endif
