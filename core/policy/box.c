#include "config.h"
#include "policy/box.h"

#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "policy/pattern.h"

enum {
  default_timeout_ms = 100,
  default_memory = 32 * 1024 * 1024,
  block_cap = 4 * 1024 * 1024,
  block_worth_a_look = 64 * 1024,
  hook_every = 1000,
  load_factor = 100, /* a file is loaded once, and may take more instructions than a run */
  bytes_a_step = 64, /* that are copied or compared in the time of an instruction */
  counted_block_cap = 256 * 1024,
  charge_every = 4096,
  most_moved = 100000,
  most_sorted = 20000,
  sort_factor = 15, /* comparisons for each element, about */
};

static const char lib_key, env_key; /* places in the registry, by address */

/* ---- limits ---- */

struct bt_box *bt_box_of(lua_State *L) { return *(struct bt_box **)lua_getextraspace(L); }

static bool is_late(struct bt_box *box) {
  if (box->instructions)
    box->late = box->late || box->left < 0;
  else if (box->deadline_us && !box->late)
    box->late = bt_clock_mono_us() > box->deadline_us;
  return box->late;
}

/* Where instructions are counted, one that copies or compares a block must not take long. */
static int most_block(const struct bt_box *box) { return box->instructions ? counted_block_cap : block_cap; }

/* Lua asks again after a full collection, and then gives up with LUA_ERRMEM. */
static bool refuses(struct bt_box *box, size_t old, size_t size) {
  if (box->lifted)
    return false;
  if (size > (size_t)most_block(box)) {
    box->large = true;
    return true;
  }
  box->left -= (int64_t)(size / bytes_a_step);
  bool look = size >= block_worth_a_look || ++box->allocations % 256 == 0;
  return box->used - old + size > box->max_memory || (look && is_late(box));
}

static void *allocate(void *ud, void *p, size_t old, size_t size) {
  struct bt_box *box = ud;
  if (!p)
    old = 0; /* then Lua passes the kind of the new object */
  if (!size) {
    free(p);
    box->used -= old;
    return NULL;
  }
  if (size > old && refuses(box, old, size))
    return NULL;
  void *fresh = bt_realloc(p, 1, size);
  box->used += size - old;
  return fresh;
}

/* Raises where time is over. */
static void check_clock(lua_State *L) {
  if (is_late(bt_box_of(L)))
    luaL_error(L, "time is over");
}

void bt_box_charge(lua_State *L, unsigned steps) {
  struct bt_box *box = bt_box_of(L);
  box->left -= steps;
  box->steps += steps;
  if (box->steps < charge_every)
    return;
  box->steps = 0;
  check_clock(L);
}

void bt_box_lift(lua_State *L, bool lifted) { bt_box_of(L)->lifted = lifted; }

static void on_count(lua_State *L, lua_Debug *where) {
  struct bt_box *box = bt_box_of(L);
  if (where->event == LUA_HOOKLINE) {
    box->line = where->currentline;
    return;
  }
  box->left -= hook_every;
  check_clock(L);
}

void bt_box_note_lines(struct bt_box *box, bool lines) {
  box->line = lines ? 0 : box->line;
  lua_sethook(box->L, on_count, LUA_MASKCOUNT | (lines ? LUA_MASKLINE : 0), hook_every);
}

/* ---- what rules can see ---- */

/* A library function as it is, behind a look at the clock: for work that is bounded by the size of what it is given. */
static int timed(lua_State *L) {
  struct bt_box *box = bt_box_of(L);
  for (int i = lua_gettop(L); i > 0; i--)
    if (lua_type(L, i) == LUA_TSTRING || lua_type(L, i) == LUA_TTABLE)
      box->left -= (int64_t)lua_rawlen(L, i);
  check_clock(L);
  lua_CFunction fn = lua_tocfunction(L, lua_upvalueindex(1));
  return fn(L);
}

static int bounded_move(lua_State *L) {
  lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);
  if (to >= from && (lua_Unsigned)to - (lua_Unsigned)from >= most_moved)
    return luaL_error(L, "table.move: at most %d elements", (int)most_moved);
  bt_box_of(L)->left -= to >= from ? to - from : 0;
  return timed(L);
}

static int bounded_sort(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  if (luaL_len(L, 1) > most_sorted)
    return luaL_error(L, "table.sort: at most %d elements", (int)most_sorted);
  bt_box_of(L)->left -= sort_factor * luaL_len(L, 1);
  return timed(L);
}

/* The library's own loops n times even over an empty text. */
static int bounded_rep(lua_State *L) {
  size_t len, sep_len = 0;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_Integer n = luaL_checkinteger(L, 2);
  const char *sep = luaL_optlstring(L, 3, "", &sep_len);
  if (n <= 0 || len + sep_len == 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  int most = most_block(bt_box_of(L));
  if ((lua_Unsigned)n > (lua_Unsigned)most / (len + sep_len))
    return luaL_error(L, "string.rep: the result is larger than %d bytes", most);
  check_clock(L);
  size_t unit = len + sep_len, total = (size_t)n * unit - sep_len;
  luaL_Buffer b;
  char *to = luaL_buffinitsize(L, &b, total + sep_len);
  memcpy(to, text, len);
  memcpy(to + len, sep, sep_len);
  for (size_t have = unit; have < total; have *= 2)
    memcpy(to + have, to, BT_MIN(have, total - have));
  luaL_pushresultsize(&b, total);
  return 1;
}

struct guard {
  const char *name;
  lua_CFunction guard; /* NULL: as it is */
};

/* Copies the named members of the table on top of the stack into a new table, which replaces it. */
static void allow(lua_State *L, const struct guard *guards) {
  lua_newtable(L);
  for (const struct guard *g = guards; g->name; g++) {
    lua_getfield(L, -2, g->name);
    BT_ASSERT(!lua_isnil(L, -1));
    if (g->guard)
      lua_pushcclosure(L, g->guard, 1);
    lua_setfield(L, -2, g->name);
  }
  lua_remove(L, -2);
}

static const struct guard base_allowed[] = {{"assert", NULL}, {"error", NULL},    {"ipairs", NULL},   {"select", NULL},
                                            {"type", NULL},   {"tonumber", NULL}, {"tostring", NULL}, {0}};
static const struct guard string_allowed[] = {{"byte", timed},    {"char", timed}, {"format", timed}, {"len", NULL},
                                              {"lower", timed},   {"rep", bounded_rep}, {"reverse", timed}, {"sub", timed},
                                              {"upper", timed},   {0}};
static const struct guard table_allowed[] = {{"concat", timed}, {"insert", timed},       {"remove", timed}, {"pack", NULL},
                                             {"unpack", timed}, {"move", bounded_move}, {"sort", bounded_sort}, {0}};
static const struct guard math_allowed[] = {{"abs", NULL}, {"ceil", NULL}, {"floor", NULL}, {"fmod", NULL}, {"huge", NULL},
                                            {"max", NULL}, {"min", NULL}, {"maxinteger", NULL}, {"mininteger", NULL},
                                            {"modf", NULL}, {"tointeger", NULL}, {"type", NULL}, {0}};
static const struct guard utf8_allowed[] = {{"char", timed}, {"charpattern", NULL}, {"codepoint", timed}, {"codes", timed},
                                            {"len", timed},  {"offset", timed},    {0}};

static void push_lib(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &lib_key); }

void bt_box_add_value(lua_State *L, const char *name) {
  push_lib(L);
  lua_insert(L, -2);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

void bt_box_push_library(lua_State *L, const char *name) {
  push_lib(L);
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}

void bt_box_add(lua_State *L, const char *name, lua_CFunction fn) {
  lua_pushcfunction(L, fn);
  bt_box_add_value(L, name);
}

static void add_library(lua_State *L, const char *name, lua_CFunction open, const struct guard *guards) {
  lua_pushcfunction(L, open);
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
  allow(L, guards);
  bt_box_add_value(L, name);
}

/* The library's string metatable leads to the full library: make it lead to ours, and let nobody see it. */
static void close_strings(lua_State *L) {
  push_lib(L);
  lua_getfield(L, -1, "string");
  bt_pattern_add(L);
  lua_pushliteral(L, "");
  BT_ASSERT(lua_getmetatable(L, -1));
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 4);
}

static int set_up(lua_State *L) {
  luaL_requiref(L, "_G", luaopen_base, 0);
  allow(L, base_allowed);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &lib_key);
  add_library(L, "string", luaopen_string, string_allowed);
  add_library(L, "table", luaopen_table, table_allowed);
  add_library(L, "math", luaopen_math, math_allowed);
  add_library(L, "utf8", luaopen_utf8, utf8_allowed);
  close_strings(L);
  return 0;
}

int bt_box_timeout_ms(const struct bt_policy_limits *limits) {
  return limits && limits->timeout_ms ? limits->timeout_ms : default_timeout_ms;
}

struct bt_box *bt_box_new(const char *name, const struct bt_policy_limits *limits) {
  struct bt_box *box = bt_new(struct bt_box);
  box->name = name;
  box->timeout_ms = bt_box_timeout_ms(limits);
  box->instructions = limits ? limits->instructions : 0;
  box->max_memory = limits && limits->max_memory ? limits->max_memory : default_memory;
  box->lifted = true;
  box->L = lua_newstate(allocate, box);
  BT_ASSERT(box->L);
  *(struct bt_box **)lua_getextraspace(box->L) = box;
  lua_pushcfunction(box->L, set_up);
  BT_ASSERT(lua_pcall(box->L, 0, 0, 0) == LUA_OK);
  box->lifted = false;
  lua_sethook(box->L, on_count, LUA_MASKCOUNT, hook_every);
  return box;
}

void bt_box_free(struct bt_box **box) {
  if (!*box)
    return;
  lua_close((*box)->L);
  free(bt_steal(*box));
}

/* ---- running ---- */

/* The length of "file.lua:12" where what was said begins so; else 0. */
static size_t place_of(const struct bt_box *box, const char *said) {
  size_t n = strlen(box->name);
  if (!said || strncmp(said, box->name, n) != 0 || said[n] != ':')
    return 0;
  size_t digits = strspn(said + n + 1, "0123456789");
  return digits && said[n + 1 + digits] == ':' ? n + 1 + digits : 0;
}

static int failure(struct bt_box *box, int status, struct bt_err **err) {
  const char *said = lua_type(box->L, -1) == LUA_TSTRING ? lua_tostring(box->L, -1) : NULL;
  size_t placed = place_of(box, said);
  BT_AUTO_FREE char *where = placed ? bt_strndup(said, placed) : bt_strdup(box->name);
  box->breached = box->late || status == LUA_ERRMEM;
  if (box->late && box->instructions)
    return bt_err_set(err, BT_DENIED, "%s: it ran for more than %d instructions and was stopped", where, box->instructions);
  if (box->late && box->until_us)
    return bt_err_set(err, BT_DENIED, "%s: the policies have %d ms for a request; they were stopped here", where, box->timeout_ms);
  if (box->late)
    return bt_err_set(err, BT_DENIED, "%s: it ran for more than %d ms and was stopped", where, box->timeout_ms);
  if (status == LUA_ERRMEM && box->large)
    return bt_err_set(err, BT_DENIED, "%s: a text, a table or a recursion larger than %s", where, box->instructions ? "256 KiB" : "4 MiB");
  if (status == LUA_ERRMEM)
    return bt_err_set(err, BT_DENIED, "%s: it used more than %zu KiB of memory and was stopped", where, box->max_memory >> 10);
  if (!said)
    return bt_err_set(err, BT_DENIED, "%s: it failed with a value that is no text", where);
  return bt_err_set(err, BT_DENIED, "%s%s%.900s", placed ? "" : box->name, placed ? "" : ": ", said);
}

/* The arguments and the function are on the stack. */
static int run(struct bt_box *box, int nargs, int want, struct bt_err **err) {
  box->late = box->large = box->breached = false;
  box->left = box->instructions;
  box->deadline_us = box->instructions ? 0 : box->until_us ? box->until_us : bt_clock_mono_us() + (int64_t)box->timeout_ms * 1000;
  int status = lua_pcall(box->L, nargs, want, 0);
  box->deadline_us = 0;
  if (status == LUA_OK && !box->late)
    return 0;
  if (status == LUA_OK) { /* over time in the last instructions */
    lua_settop(box->L, 0);
    lua_pushnil(box->L);
  }
  int rc = failure(box, status, err);
  lua_settop(box->L, 0);
  return rc;
}

int bt_box_run(struct bt_box *box, lua_CFunction fn, void *arg, int want, struct bt_err **err) {
  if (!lua_checkstack(box->L, 4))
    return bt_err_set(err, BT_DENIED, "%s: it used more than %zu KiB of memory and was stopped", box->name,
                      box->max_memory >> 10);
  lua_pushcfunction(box->L, fn);
  lua_pushlightuserdata(box->L, arg);
  return run(box, 1, want, err);
}

static void try_keys(lua_State *L, int table, struct bt_nearest *nearest) {
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
    if (lua_type(L, -2) == LUA_TSTRING)
      bt_nearest_try(nearest, lua_tostring(L, -2));
}

/* A global that the chunk has not made: one of ours, or a mistake. */
static int env_index(lua_State *L) {
  push_lib(L);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, -2) != LUA_TNIL)
    return 1;
  lua_pop(L, 1);
  if (lua_type(L, 2) != LUA_TSTRING)
    return luaL_error(L, "a global's name is a text");
  const char *name = lua_tostring(L, 2);
  struct bt_nearest nearest = bt_nearest_start(name);
  try_keys(L, lua_gettop(L), &nearest);
  char hint[96];
  return luaL_error(L, "there is no \"%s\" here%s", name, bt_nearest_hint(nearest.best, hint));
}

static int env_newindex(lua_State *L) {
  if (lua_toboolean(L, lua_upvalueindex(1)))
    return luaL_error(L, "\"%s\" would outlive the call: make it local", luaL_tolstring(L, 2, NULL));
  lua_rawset(L, 1);
  return 0;
}

static void seal_env(lua_State *L, bool sealed) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &env_key);
  lua_getmetatable(L, -1);
  lua_pushboolean(L, sealed);
  lua_pushcclosure(L, env_newindex, 1);
  lua_setfield(L, -2, "__newindex");
  lua_pop(L, 2);
}

static void make_env(lua_State *L) {
  lua_newtable(L);
  lua_newtable(L);
  lua_pushcfunction(L, env_index);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &env_key);
  seal_env(L, false);
}

struct chunk {
  const char *text;
  size_t len;
};

static int load_chunk(lua_State *L) {
  const struct chunk *chunk = lua_touserdata(L, 1);
  const char *place = lua_pushfstring(L, "@%s", bt_box_of(L)->name);
  make_env(L);
  if (luaL_loadbufferx(L, chunk->text, chunk->len, place, "t") != LUA_OK)
    return lua_error(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &env_key);
  lua_setupvalue(L, -2, 1); /* _ENV */
  lua_call(L, 0, 1);
  seal_env(L, true);
  return 1;
}

int bt_box_load(struct bt_box *box, const char *text, size_t len, struct bt_err **err) {
  struct chunk chunk = {text, len};
  int instructions = box->instructions;
  box->instructions *= load_factor;
  int rc = bt_box_run(box, load_chunk, &chunk, 1, err);
  box->instructions = instructions;
  return rc;
}
