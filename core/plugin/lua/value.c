#include "config.h"
#include "plugin/lua/value.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

enum { max_levels = 60 };

static const char array_key; /* the metatable of marked lists, known by address */

/* ---------------------------------------------------------------- to Lua */

static void push(lua_State *L, const json_t *value, int levels);

static void push_array(lua_State *L, const json_t *array, int levels) {
  size_t n = json_array_size(array);
  lua_createtable(L, (int)n, 0);
  bt_value_mark_array(L);
  for (size_t i = 0; i < n; i++) {
    push(L, json_array_get(array, i), levels);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static void push_object(lua_State *L, json_t *object, int levels) {
  lua_createtable(L, 0, (int)json_object_size(object));
  const char *key;
  json_t *member;
  json_object_foreach(object, key, member) {
    if (json_is_null(member))
      continue;
    lua_pushstring(L, key);
    push(L, member, levels);
    lua_rawset(L, -3);
  }
}

static void push(lua_State *L, const json_t *value, int levels) {
  if (levels == 0)
    luaL_error(L, "nested deeper than %d levels", max_levels);
  luaL_checkstack(L, 4, "JSON");
  switch (json_typeof(value)) {
  case JSON_OBJECT:
    push_object(L, (json_t *)(uintptr_t)value, levels - 1);
    break;
  case JSON_ARRAY:
    push_array(L, value, levels - 1);
    break;
  case JSON_STRING:
    lua_pushlstring(L, json_string_value(value), json_string_length(value));
    break;
  case JSON_INTEGER:
    lua_pushinteger(L, json_integer_value(value));
    break;
  case JSON_REAL:
    lua_pushnumber(L, json_real_value(value));
    break;
  case JSON_TRUE:
  case JSON_FALSE:
    lua_pushboolean(L, json_is_true(value));
    break;
  case JSON_NULL:
    lua_pushlightuserdata(L, NULL);
    break;
  }
}

void bt_value_push(lua_State *L, const json_t *value) {
  if (value)
    push(L, value, max_levels);
  else
    lua_pushnil(L);
}

void bt_value_mark_array(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);
  }
  lua_setmetatable(L, -2);
}

/* ---------------------------------------------------------------- from Lua; nothing here raises, so that no reference is lost */

static json_t *read_value(lua_State *L, int idx, int levels, const char **why);

static bool is_marked(lua_State *L, int idx) {
  if (!lua_getmetatable(L, idx))
    return false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
  bool same = lua_istable(L, -1) && lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

static json_t *bad(const char **why, const char *what) {
  *why = what;
  return NULL;
}

static json_t *read_array(lua_State *L, int idx, int levels, const char **why) {
  BT_AUTO_JSON array = json_array();
  size_t n = lua_rawlen(L, idx);
  for (size_t i = 1; i <= n; i++) {
    lua_rawgeti(L, idx, (lua_Integer)i);
    json_t *item = read_value(L, lua_gettop(L), levels, why);
    lua_pop(L, 1);
    if (!item)
      return NULL;
    json_array_append_new(array, item);
  }
  return bt_steal(array);
}

static json_t *read_object(lua_State *L, int idx, int levels, const char **why) {
  BT_AUTO_JSON object = json_object();
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      return bad(why, "a table with members that are neither all named nor all numbered");
    json_t *member = read_value(L, lua_gettop(L), levels, why);
    if (!member)
      return NULL;
    if (json_object_set_new(object, lua_tostring(L, -2), member) != 0)
      return bad(why, "a name that is no valid UTF-8");
  }
  return bt_steal(object);
}

static json_t *read_number(lua_State *L, int idx, const char **why) {
  if (lua_isinteger(L, idx))
    return json_integer(lua_tointeger(L, idx));
  double number = lua_tonumber(L, idx);
  return isfinite(number) ? json_real(number) : bad(why, "a number that is not finite");
}

/* Text from products may be anything: bad bytes become U+FFFD, and it ends at a NUL. */
static json_t *read_text(lua_State *L, int idx) {
  size_t len;
  const char *text = lua_tolstring(L, idx, &len);
  json_t *string = strlen(text) == len ? json_stringn(text, len) : NULL;
  return string ? string : bt_json_string(text);
}

static json_t *read_value(lua_State *L, int idx, int levels, const char **why) {
  if (levels == 0 || !lua_checkstack(L, 6))
    return bad(why, "nested deeper than 60 levels (or within itself)");
  switch (lua_type(L, idx)) {
  case LUA_TTABLE:
    return lua_rawlen(L, idx) || is_marked(L, idx) ? read_array(L, idx, levels - 1, why) : read_object(L, idx, levels - 1, why);
  case LUA_TSTRING:
    return read_text(L, idx);
  case LUA_TNUMBER:
    return read_number(L, idx, why);
  case LUA_TBOOLEAN:
    return json_boolean(lua_toboolean(L, idx));
  case LUA_TLIGHTUSERDATA:
    return json_null();
  default:
    return bad(why, "a function or the like, which is no data");
  }
}

json_t *bt_value_json(lua_State *L, int idx, const char **why) {
  int top = lua_gettop(L);
  json_t *value = read_value(L, lua_absindex(L, idx), max_levels, why);
  lua_settop(L, top);
  return value;
}
