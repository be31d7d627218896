/* JSON of the wire to Lua and back, as scripts get it: there and back it is the same; and whatever a script makes is brought back as JSON
 * that can be written, or refused. Scripts have no library here, few instructions and little memory. */
#include "config.h"

#include <lauxlib.h>
#include <lua.h>

#include "base/json.h"
#include "base/mem.h"
#include "plugin/lua/value.h"
#include "plugin/wire.h"
#include "tests/fuzz/parts.h"

enum { max_memory = 4 << 20, max_instructions = 20000 };

static size_t used;

static void *allocate(void *arg, void *ptr, size_t old, size_t size) {
  (void)arg;
  old = ptr ? old : 0;
  if (size > old && used + size - old > max_memory)
    return NULL;
  used = used - old + size;
  if (size)
    return realloc(ptr, size);
  free(ptr);
  return NULL;
}

static void stop(lua_State *L, lua_Debug *where) {
  (void)where;
  luaL_error(L, "too long");
}

static lua_State *new_state(void) {
  lua_State *L = lua_newstate(allocate, NULL);
  BT_ASSERT(L);
  lua_sethook(L, stop, LUA_MASKCOUNT, max_instructions);
  return L;
}

static int push(lua_State *L) {
  bt_value_push(L, lua_touserdata(L, 1));
  return 1;
}

/* Members that are null are left out, and so are they before it is compared. */
static void drop_nulls(json_t *value) {
  size_t i;
  json_t *item;
  const char *key;
  void *next;
  json_array_foreach(value, i, item) drop_nulls(item);
  json_object_foreach_safe(value, next, key, item) {
    if (json_is_null(item))
      json_object_del(value, key);
    else
      drop_nulls(item);
  }
}

/* Are strings with a NUL or empty objects in it? Those do not come back as they were, as value.h has it. */
static bool odd(json_t *value) {
  size_t i;
  json_t *item;
  const char *key;
  bool is = json_is_object(value) && json_object_size(value) == 0;
  is |= json_is_string(value) && strlen(json_string_value(value)) != json_string_length(value);
  json_array_foreach(value, i, item) is |= odd(item);
  json_object_foreach(value, key, item) is |= odd(item);
  return is;
}

static void json(char *text, size_t len) {
  BT_AUTO_JSON in = bt_json_parse(text, len, 0, BT_WIRE_MAX_DEPTH, "a message", NULL);
  if (!in)
    return;
  lua_State *L = new_state();
  lua_pushcfunction(L, push);
  lua_pushlightuserdata(L, in);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) {
    const char *why = NULL;
    BT_AUTO_JSON out = bt_value_json(L, -1, &why);
    BT_ASSERT((out != NULL) == (why == NULL) && lua_gettop(L) == 1);
    drop_nulls(in);
    BT_ASSERT(!out || odd(in) || bt_json_equal(in, out));
  }
  lua_close(L);
  BT_ASSERT(used == 0);
}

static int mark(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  bt_value_mark_array(L);
  return 1;
}

static int run(lua_State *L) {
  const char *source = lua_touserdata(L, 1);
  lua_pushcfunction(L, mark);
  lua_setglobal(L, "array");
  if (luaL_loadbufferx(L, source, strlen(source), "script", "t") != LUA_OK)
    return lua_error(L);
  lua_call(L, 0, 1);
  return 1;
}

static void script(char *text, size_t len) {
  (void)len;
  lua_State *L = new_state();
  lua_pushcfunction(L, run);
  lua_pushlightuserdata(L, text);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) {
    const char *why = NULL;
    BT_AUTO_JSON out = bt_value_json(L, -1, &why);
    BT_ASSERT((out != NULL) == (why == NULL) && lua_gettop(L) == 1);
    BT_AUTO_FREE char *written = out ? json_dumps(out, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    BT_ASSERT(!out || written);
  }
  lua_close(L);
  BT_ASSERT(used == 0);
}

static const struct fuzz_part parts[] = {{'j', "json", json}, {'s', "script", script}};
FUZZ_PARTS(parts)
