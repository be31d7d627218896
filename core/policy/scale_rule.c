#include "config.h"
#include "policy/scale_rule.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "policy/box.h"
#include "policy/bridge.h"

static const char *const fields[] = {"current", "ready", "starting", "min", "max", "request_cpus", "request_memory", "time", "cpu", "memory", "metrics", NULL};
static const char rule_key;

struct turn {
  const json_t *seen;
  double number;
};

static int ask(lua_State *L) {
  struct turn *turn = lua_touserdata(L, 1);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &rule_key) != LUA_TFUNCTION)
    return luaL_error(L, "the chunk returns a %s; it has to return a function of what is seen", luaL_typename(L, -1));
  bt_bridge_push(L, turn->seen);
  bt_bridge_view(L, "it only looks", fields);
  lua_call(L, 1, 1);
  if (lua_isnil(L, -1))
    turn->number = (double)NAN;
  else if (lua_type(L, -1) != LUA_TNUMBER)
    return luaL_error(L, "it returned a %s; it has to return a number of instances, or nil", luaL_typename(L, -1));
  else if (isnan(turn->number = lua_tonumber(L, -1)))
    return luaL_error(L, "it returned what is no number (0/0)");
  return 0;
}

static int add_library(lua_State *L) {
  bt_bridge_add(L);
  return 0;
}

int bt_scale_rule(const char *name, const char *text, const json_t *seen, const struct bt_policy_limits *limits, double *out, struct bt_err **err) {
  struct bt_box *box = bt_box_new(name, limits);
  struct turn turn = {.seen = seen, .number = (double)NAN};
  int rc = bt_box_run(box, add_library, NULL, 0, err);
  if (rc == 0)
    rc = bt_box_load(box, text, strlen(text), err);
  if (rc == 0) {
    bt_box_lift(box->L, true);
    lua_rawsetp(box->L, LUA_REGISTRYINDEX, &rule_key);
    bt_box_lift(box->L, false);
    rc = bt_box_run(box, ask, &turn, 0, err);
  }
  bt_box_free(&box);
  *out = turn.number;
  return rc;
}
