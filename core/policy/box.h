/* A Lua state in a box: what a rule may call, and how much memory and time it may take. Knows nothing of policies.
 *
 * How each way to run on for ever is closed:
 *  - Lua code: a count hook looks at the clock every 1,000 instructions. (Or, where the limits are instructions, it counts them; then
 *    what is said below of the clock holds of the count, to which bytes and elements are added. So the same rule ends at the same place
 *    each time: filters and scores run inside the step of control, which has no clock.)
 *  - C functions, where no hook fires: there are only those of an allowlist. Pattern matching (find, match, gmatch, gsub) is our
 *    own and counts its steps (pattern.c); rep, table.move and table.sort are bounded; the others take time in
 *    proportion to their arguments, which are bounded by memory, and look at the clock first.
 *  - Memory: a cap on the sum and on a single block (so that no comparison or copy takes long); large requests look at the clock.
 *  - Escapes: no pcall, xpcall and coroutines (they could catch the stop), no metatables (a __gc runs without hooks, a __len
 *    lies to table functions), no load, dofile, require, io, os, debug, collectgarbage, string.dump. Source text only.
 *
 * Everything here is for one thread at a time. */
#ifndef BT_POLICY_BOX_H
#define BT_POLICY_BOX_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "policy/policy.h"

struct bt_box {
  lua_State *L;
  size_t used, max_memory;
  int timeout_ms;
  int64_t deadline_us; /* 0: nothing runs */
  int instructions;    /* of a run; 0: by the clock */
  int64_t left;        /* of them */
  int line;            /* the last one that ran, where "lines" */
  bool lines;          /* to be noted, for sentences about what a function returned */
  int64_t until_us;    /* set by the caller: the end of the request's time, whoever runs; 0: the time-out counts anew for each run */
  unsigned steps, allocations;
  bool late, large;    /* stopped by the clock; a block was refused for its size alone */
  bool breached;       /* the last run was stopped for a limit */
  bool lifted;
  const char *name;    /* the file's name, for sentences */
  void *caller;        /* what runs now, for functions that report to it */
};

/* name is borrowed for the box's life. */
struct bt_box *bt_box_new(const char *name, const struct bt_policy_limits *limits);
void bt_box_free(struct bt_box **box);
int bt_box_timeout_ms(const struct bt_policy_limits *limits); /* with the default */

/* Calls fn(L) with arg as a light userdata under the limits; one result is left on the stack where want is 1. A breach or a
 * failure is BT_DENIED with a sentence that begins with file:line where Lua knows it. */
int bt_box_run(struct bt_box *box, lua_CFunction fn, void *arg, int want, struct bt_err **err) BT_CHECK;
/* Compiles source text and runs it in an environment of its own; the value it returns is left on the stack. The environment
 * takes new names only while the chunk runs. */
int bt_box_load(struct bt_box *box, const char *text, size_t len, struct bt_err **err) BT_CHECK;

/* Inside a C function that a rule called. */
struct bt_box *bt_box_of(lua_State *L);
void bt_box_charge(lua_State *L, unsigned steps); /* counts work; raises where time is over */
void bt_box_note_lines(struct bt_box *box, bool lines);
void bt_box_lift(lua_State *L, bool lifted);      /* no caps while our own code takes little and must not be jumped out of */
/* Adds a function or a value (from the top of the stack) to what rules can see. */
void bt_box_add(lua_State *L, const char *name, lua_CFunction fn);
void bt_box_add_value(lua_State *L, const char *name);
void bt_box_push_library(lua_State *L, const char *name); /* what rules see under that name */

#endif
