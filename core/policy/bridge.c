#include "config.h"
#include "policy/bridge.h"

#include <lauxlib.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "policy/box.h"

enum { most_levels = 64, most_values = 200000, most_bytes = 8 * 1024 * 1024, most_path = 400 };

/* Metatables and members, known by address. A view is an empty table that holds what it shows and the views it has handed out. */
static const char array_key, object_key, shown_key, children_key, reason_key, known_key;

static void push_mark(lua_State *L, const char *mark) { lua_rawgetp(L, LUA_REGISTRYINDEX, mark); }

static bool has_mark(lua_State *L, int idx, const char *mark) {
  if (!lua_getmetatable(L, idx))
    return false;
  push_mark(L, mark);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

/* ---- JSON to Lua ---- */

static void push(lua_State *L, const json_t *value, int levels);

static void push_object(lua_State *L, const json_t *value, int levels) {
  lua_createtable(L, 0, (int)json_object_size(value));
  const char *key;
  json_t *member;
  json_object_foreach((json_t *)(uintptr_t)value, key, member) {
    if (json_is_null(member))
      continue;
    lua_pushstring(L, key);
    push(L, member, levels);
    lua_rawset(L, -3);
  }
  push_mark(L, &object_key);
  lua_setmetatable(L, -2);
}

static void push_array(lua_State *L, const json_t *value, int levels) {
  size_t n = json_array_size(value);
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    push(L, json_array_get(value, i), levels);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  push_mark(L, &array_key);
  lua_setmetatable(L, -2);
}

static void push(lua_State *L, const json_t *value, int levels) {
  if (levels == 0)
    luaL_error(L, "nested deeper than %d levels", (int)most_levels);
  luaL_checkstack(L, 6, "nested too deep");
  switch (json_typeof(value)) {
  case JSON_OBJECT: push_object(L, value, levels - 1); break;
  case JSON_ARRAY: push_array(L, value, levels - 1); break;
  case JSON_STRING: lua_pushlstring(L, json_string_value(value), json_string_length(value)); break;
  case JSON_INTEGER: lua_pushinteger(L, json_integer_value(value)); break;
  case JSON_REAL: lua_pushnumber(L, json_real_value(value)); break;
  case JSON_TRUE:
  case JSON_FALSE: lua_pushboolean(L, json_is_true(value)); break;
  case JSON_NULL: lua_pushlightuserdata(L, NULL); break;
  }
}

void bt_bridge_push(lua_State *L, const json_t *value) {
  if (value)
    push(L, value, most_levels);
  else
    lua_pushnil(L);
}

/* ---- Lua to JSON: nothing here raises (the caps are lifted), so that references are never lost ---- */

/* A key, or (NULL) an index. The path is only written out where something is wrong. */
struct step {
  const char *key;
  size_t index;
};

struct reader {
  lua_State *L;
  const char *what;
  struct step steps[most_levels];
  size_t values, bytes;
  int level;
  struct bt_err **err;
};

static json_t *read_value(struct reader *r, int idx, const json_t *was);

static json_t *bad(struct reader *r, const char *problem) {
  BT_AUTO_BUF path = {0};
  for (int i = 0; i < r->level && path.len < most_path; i++)
    if (r->steps[i].key)
      bt_buf_addf(&path, ".%.100s", r->steps[i].key);
    else
      bt_buf_addf(&path, "[%zu]", r->steps[i].index);
  bt_err_set(r->err, BT_INVALID, "%s%s%s: %s", r->what, path.data ? path.data : "", path.len < most_path ? "" : "…", problem);
  return NULL;
}

/* Puts shown in the place of a view. */
static void unwrap(lua_State *L, int idx) {
  if (lua_type(L, idx) == LUA_TTABLE && lua_rawgetp(L, idx, &shown_key) == LUA_TTABLE)
    lua_replace(L, idx);
  else if (lua_type(L, idx) == LUA_TTABLE)
    lua_pop(L, 1);
}

/* The value on top of the stack, which it pops, one level below. */
static json_t *read_member(struct reader *r, const char *key, size_t index, const json_t *was) {
  if (r->level == most_levels)
    return bad(r, "nested deeper than 64 levels (or within itself)");
  r->steps[r->level++] = (struct step){key, index};
  int top = lua_gettop(r->L);
  unwrap(r->L, top);
  json_t *value = read_value(r, top, was);
  lua_settop(r->L, top - 1);
  r->level--;
  return value;
}

static json_t *read_array(struct reader *r, int idx, const json_t *was, size_t n) {
  BT_AUTO_JSON array = json_array();
  for (size_t i = 1; i <= n; i++) {
    if (lua_rawgeti(r->L, idx, (lua_Integer)i) == LUA_TNIL)
      return lua_pop(r->L, 1), bad(r, "a list with holes");
    json_t *value = read_member(r, NULL, i, json_array_get(was, i - 1));
    if (!value)
      return NULL;
    json_array_append_new(array, value);
  }
  return bt_steal(array);
}

struct keys {
  const char **items;
  size_t len;
};

static void keys_free(struct keys *keys) { free(keys->items); }

static int compare_keys(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys that were not there before, in order: the table's own order differs from run to run. */
static void new_keys(lua_State *L, int idx, const json_t *was, size_t room, struct keys *keys) {
  keys->items = bt_newn(const char *, room + 1);
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
    const char *key = lua_tostring(L, -2);
    if (!json_object_get(was, key))
      keys->items[keys->len++] = key;
  }
  qsort(keys->items, keys->len, sizeof *keys->items, compare_keys);
}

static bool read_into(struct reader *r, int idx, json_t *object, const char *key, const json_t *was) {
  r->bytes += strlen(key);
  lua_pushstring(r->L, key);
  lua_rawget(r->L, idx);
  if (lua_isnil(r->L, -1)) {
    lua_pop(r->L, 1);
    if (json_is_null(was))
      json_object_set_new(object, key, json_null());
    return true;
  }
  json_t *value = read_member(r, key, 0, was);
  if (value && json_object_set_new(object, key, value) == 0)
    return true;
  if (value)
    bad(r, "a key that is no valid UTF-8");
  return false;
}

static json_t *read_object(struct reader *r, int idx, const json_t *was, size_t n) {
  BT_AUTO_JSON object = json_object();
  __attribute__((cleanup(keys_free))) struct keys keys = {0};
  new_keys(r->L, idx, was, n, &keys);
  const char *key;
  json_t *member;
  json_object_foreach((json_t *)(uintptr_t)was, key, member)
    if (!read_into(r, idx, object, key, member))
      return NULL;
  for (size_t i = 0; i < keys.len; i++)
    if (!read_into(r, idx, object, keys.items[i], NULL))
      return NULL;
  return bt_steal(object);
}

/* Counts the keys of each kind; false where one is of another kind, or holds a NUL. */
static bool survey(lua_State *L, int idx, size_t *texts, size_t *numbers, const char **why) {
  *texts = *numbers = 0;
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
    size_t len = 0;
    const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &len) : NULL;
    if (key && strlen(key) == len)
      ++*texts;
    else if (lua_isinteger(L, -2) && lua_tointeger(L, -2) > 0)
      ++*numbers;
    else
      *why = "a key that is neither a text nor a place in a list";
  }
  return !*why;
}

static json_t *read_table(struct reader *r, int idx, const json_t *was) {
  size_t texts, numbers;
  const char *why = NULL;
  if (!lua_checkstack(r->L, 6))
    return bad(r, "too deep for the memory that is left");
  if (!survey(r->L, idx, &texts, &numbers, &why))
    return bad(r, why);
  bool list = has_mark(r->L, idx, &array_key), map = has_mark(r->L, idx, &object_key);
  if (list && texts)
    return bad(r, "a list with a named member");
  if (map && numbers)
    return bad(r, "a map with a numbered member");
  if (texts && numbers)
    return bad(r, "a table that is half a list and half a map");
  bool array = list || numbers || (!map && !texts && json_is_array(was));
  return array ? read_array(r, idx, json_is_array(was) ? was : NULL, numbers)
               : read_object(r, idx, json_is_object(was) ? was : NULL, texts);
}

static json_t *read_text(struct reader *r, int idx) {
  size_t len;
  const char *text = lua_tolstring(r->L, idx, &len);
  r->bytes += len;
  if (r->bytes > most_bytes)
    return bad(r, "more than 8 MiB of text");
  if (strlen(text) != len)
    return bad(r, "a text with a NUL");
  json_t *value = json_stringn(text, len);
  return value ? value : bad(r, "a text that is no valid UTF-8");
}

static json_t *read_number(struct reader *r, int idx) {
  if (lua_isinteger(r->L, idx))
    return json_integer(lua_tointeger(r->L, idx));
  double number = lua_tonumber(r->L, idx);
  return isfinite(number) ? json_real(number) : bad(r, "a number that is not finite");
}

static json_t *read_value(struct reader *r, int idx, const json_t *was) {
  if (++r->values > most_values)
    return bad(r, "more than 200,000 values");
  switch (lua_type(r->L, idx)) {
  case LUA_TTABLE: return read_table(r, idx, was);
  case LUA_TSTRING: return read_text(r, idx);
  case LUA_TNUMBER: return read_number(r, idx);
  case LUA_TBOOLEAN: return json_boolean(lua_toboolean(r->L, idx));
  case LUA_TLIGHTUSERDATA: return json_null();
  default: return bad(r, lua_isnil(r->L, idx) ? "nothing" : "a function or the like, which is no data");
  }
}

json_t *bt_bridge_json(lua_State *L, int idx, const json_t *was, const char *what, struct bt_err **err) {
  if (!lua_checkstack(L, 6)) {
    bt_err_set(err, BT_INVALID, "%s: too deep for the memory that is left", what);
    return NULL;
  }
  bt_box_lift(L, true); /* an error for want of memory would jump over what we hold */
  struct reader reader = {.L = L, .what = what, .err = err};
  int top = lua_gettop(L);
  lua_pushvalue(L, idx);
  unwrap(L, top + 1);
  json_t *value = read_value(&reader, top + 1, was);
  lua_settop(L, top);
  bt_box_lift(L, false);
  return value;
}

/* ---- views ---- */

static const void *setting_of(lua_State *L, int view, const char *setting) {
  lua_rawgetp(L, view, setting);
  const void *value = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return value;
}

/* A field that is not there: fine where it might be. */
static void check_known(lua_State *L, const char *const *known) {
  const char *key = luaL_tolstring(L, 2, NULL);
  for (const char *const *k = known; *k; k++)
    if (bt_streq(*k, key)) {
      lua_pop(L, 1);
      return;
    }
  char hint[96];
  luaL_error(L, "there is no field \"%s\"%s", key, bt_nearest_hint(bt_nearest_of(key, known), hint));
}

/* The view of the table on top of the stack, made once per parent, so that a view equals itself. */
static void child_view(lua_State *L, int parent) {
  if (lua_rawgetp(L, parent, &children_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, parent, &children_key);
  }
  lua_pushvalue(L, -2);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_pushvalue(L, -2);
    bt_bridge_view(L, setting_of(L, parent, &reason_key), NULL);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
}

static int view_index(lua_State *L) {
  lua_rawgetp(L, 1, &shown_key);
  lua_pushvalue(L, 2);
  int kind = lua_rawget(L, -2);
  const char *const *known = kind == LUA_TNIL ? setting_of(L, 1, &known_key) : NULL;
  if (known)
    check_known(L, known);
  if (kind == LUA_TTABLE && (lua_rawgetp(L, -1, &shown_key), lua_isnil(L, -1))) {
    lua_pop(L, 1);
    child_view(L, 1);
  } else if (kind == LUA_TTABLE) {
    lua_pop(L, 1); /* a view within: as it is */
  }
  return 1;
}

static int view_newindex(lua_State *L) {
  return luaL_error(L, "cannot set %s: %s", luaL_tolstring(L, 2, NULL),
                    (const char *)setting_of(L, 1, &reason_key));
}

static int view_len(lua_State *L) {
  lua_rawgetp(L, 1, &shown_key);
  lua_pushinteger(L, (lua_Integer)lua_rawlen(L, -1));
  return 1;
}

void bt_bridge_view(lua_State *L, const char *reason, const char *const *known) {
  lua_newtable(L);
  lua_insert(L, -2);
  lua_rawsetp(L, -2, &shown_key);
  lua_pushlightuserdata(L, (void *)(uintptr_t)reason);
  lua_rawsetp(L, -2, &reason_key);
  if (known) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)known);
    lua_rawsetp(L, -2, &known_key);
  }
  push_mark(L, &shown_key);
  lua_setmetatable(L, -2);
}

/* ---- what rules see ---- */

static int mark_table(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  if (has_mark(L, 1, &shown_key))
    return luaL_error(L, "a read-only table cannot be marked: copy it first");
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_setmetatable(L, 1);
  return 1;
}

/* What the table at 1 shows, or itself, at a new place on top. */
static void push_shown(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushvalue(L, 1);
  unwrap(L, lua_gettop(L));
}

static int safe_next(lua_State *L) {
  lua_settop(L, 2);
  push_shown(L);
  lua_pushvalue(L, 2);
  if (!lua_next(L, 3)) {
    lua_pushnil(L);
    return 1;
  }
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  lua_gettable(L, 1); /* through the view, where it is one */
  return 2;
}

static int key_less(lua_State *L) {
  bt_box_charge(L, 1);
  int a = lua_type(L, 1), b = lua_type(L, 2);
  bool ordered = a == b && (a == LUA_TSTRING || a == LUA_TNUMBER);
  lua_pushboolean(L, ordered ? lua_compare(L, 1, 2, LUA_OPLT) : a < b);
  return 1;
}

/* Upvalues: keys in order, how many, which one was last, the table. */
static int pairs_next(lua_State *L) {
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(3)), n = lua_tointeger(L, lua_upvalueindex(2));
  while (i < n) {
    lua_pushinteger(L, ++i);
    lua_replace(L, lua_upvalueindex(3));
    lua_rawgeti(L, lua_upvalueindex(1), i);
    lua_pushvalue(L, -1);
    if (lua_gettable(L, lua_upvalueindex(4)) != LUA_TNIL)
      return 2;
    lua_pop(L, 2); /* removed on the way */
  }
  return 0;
}

/* pairs walks in order of keys, so that a rule says the same thing every time. */
static int sorted_pairs(lua_State *L) {
  lua_settop(L, 1);
  push_shown(L);
  lua_newtable(L);
  lua_Integer n = 0;
  for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
    bt_box_charge(L, 1);
    lua_pushvalue(L, -2);
    lua_rawseti(L, 3, ++n);
  }
  lua_pushvalue(L, lua_upvalueindex(1)); /* table.sort */
  lua_pushvalue(L, 3);
  lua_pushcfunction(L, key_less);
  lua_call(L, 2, 0);
  lua_pushinteger(L, n);
  lua_pushinteger(L, 0);
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, pairs_next, 4);
  return 1;
}

static void add_marker(lua_State *L, const char *name, const char *mark) {
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, mark);
  lua_pushcclosure(L, mark_table, 1);
  bt_box_add_value(L, name);
}

static void add_view(lua_State *L) {
  static const luaL_Reg methods[] = {{"__index", view_index}, {"__newindex", view_newindex}, {"__len", view_len}, {0}};
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &shown_key);
}

void bt_bridge_add(lua_State *L) {
  add_marker(L, "array", &array_key);
  add_marker(L, "object", &object_key);
  add_view(L);
  lua_pushlightuserdata(L, NULL);
  bt_box_add_value(L, "null");
  bt_box_add(L, "next", safe_next);
  bt_box_push_library(L, "table");
  lua_getfield(L, -1, "sort");
  lua_remove(L, -2);
  lua_pushcclosure(L, sorted_pairs, 1);
  bt_box_add_value(L, "pairs");
}
