/* berth-plugin-lua: runs one script as a plug-in. berthd starts it, confined by berth-plugin-host; nobody needs to call it by hand.
 *
 *     berth-plugin-lua SCRIPT.lua
 *
 * The wire (plugin-api/docs/wire.md) is on standard input and output. What messages mean is said in prelude.lua; here are the sandbox,
 * the clock and the bytes. One thread, one loop; where memory or time is over the server ends the process. */
#include "config.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "plugin/lua/value.h"
#include "plugin/wire.h"

enum { max_script = 4 * 1024 * 1024, read_chunk = 64 * 1024 };

static const char *const prelude[] = {
#include "plugin/lua/prelude.inc"
    NULL};

static const char calls_key; /* the table of what we call, by address in the registry */

/* ---------------------------------------------------------------- what the prelude is given */

/* The server always reads, so this waits for it and nobody waits for us. Where it is gone there is nothing left to do. */
static void write_all(const char *data, size_t len) {
  while (len) {
    ssize_t n = write(STDOUT_FILENO, data, len);
    if (n < 0 && errno != EINTR)
      _exit(0);
    if (n > 0) {
      data += n;
      len -= (size_t)n;
    }
  }
}

/* send(type, members, bytes) */
static int l_send(lua_State *L) {
  size_t len = 0;
  const char *type = luaL_checkstring(L, 1), *bytes = luaL_optlstring(L, 3, "", &len), *why = NULL;
  luaL_checktype(L, 2, LUA_TTABLE);
  if (len > BT_WIRE_MAX_BYTES)
    return luaL_error(L, "%s: more than 64 MiB", type);
  json_t *head = bt_value_json(L, 2, &why);
  if (!head || !json_is_object(head)) {
    json_decref(head);
    return luaL_error(L, "%s: %s", type, why ? why : "a list where named members belong");
  }
  json_object_set_new(head, "t", json_string(type));
  struct bt_buf out = {0};
  bt_wire_put(&out, head, bytes, len);
  bool fits = out.len - len - BT_WIRE_HEAD <= BT_WIRE_MAX_JSON;
  if (fits)
    write_all(out.data, out.len);
  bt_buf_free(&out);
  return fits ? 0 : luaL_error(L, "%s: more than 4 MiB of JSON; put large results into the bytes", type);
}

static int l_array(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  bt_value_mark_array(L);
  return 1;
}

static int l_encode(lua_State *L) {
  const char *why = NULL;
  luaL_checkany(L, 1);
  json_t *value = bt_value_json(L, 1, &why);
  if (!value)
    return luaL_error(L, "JSON: %s", why);
  char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
  json_decref(value);
  lua_pushstring(L, text ? text : "null");
  free(text);
  return 1;
}

/* decode(text): the value, or nil and a sentence. */
static int l_decode(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  struct bt_err *err = NULL;
  json_t *value = bt_json_parse(text, len, 0, 0, "JSON", &err);
  if (!value) {
    lua_pushnil(L);
    lua_pushstring(L, bt_err_message(err));
    bt_err_free(&err);
    return 2;
  }
  bt_value_push(L, value); /* what memory is lost where this raises is little */
  json_decref(value);
  return 1;
}

static int l_now(lua_State *L) {
  lua_pushinteger(L, bt_clock_mono_ms());
  return 1;
}

static int l_wall(lua_State *L) {
  lua_pushinteger(L, bt_clock_wall_ms());
  return 1;
}

/* ---------------------------------------------------------------- the sandbox */

static int l_print(lua_State *L) {
  luaL_Buffer b;
  int n = lua_gettop(L);
  luaL_buffinit(L, &b);
  for (int i = 1; i <= n; i++) {
    if (i > 1)
      luaL_addchar(&b, '\t');
    luaL_tolstring(L, i, NULL);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  lua_pushcfunction(L, l_send);
  lua_pushliteral(L, "log");
  lua_newtable(L);
  lua_pushvalue(L, -4);
  lua_setfield(L, -2, "text");
  lua_call(L, 2, 0);
  return 0;
}

/* The globals of the script, on top of the stack: no io, os, debug, load, require or metatables of what is not its own. */
static void push_globals(lua_State *L) {
  static const char *const names[] = {"assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal",
                                      "rawget", "rawlen", "rawset", "select", "setmetatable", "tonumber", "tostring", "type",
                                      "xpcall", "_VERSION"};
  static const luaL_Reg libraries[] = {{"string", luaopen_string}, {"table", luaopen_table},         {"math", luaopen_math},
                                       {"utf8", luaopen_utf8},     {"coroutine", luaopen_coroutine}, {NULL, NULL}};
  lua_newtable(L);
  for (size_t i = 0; i < BT_COUNT(names); i++) {
    lua_getglobal(L, names[i]);
    lua_setfield(L, -2, names[i]);
  }
  for (const luaL_Reg *l = libraries; l->name; l++) {
    luaL_requiref(L, l->name, l->func, 1);
    lua_setfield(L, -2, l->name);
  }
  lua_getfield(L, -1, "string");
  lua_pushnil(L);
  lua_setfield(L, -2, "dump");
  lua_pop(L, 1);
  lua_pushcfunction(L, l_print);
  lua_setfield(L, -2, "print");
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "_G");
}

/* ---------------------------------------------------------------- the start */

static const char *next_line(lua_State *L, void *ud, size_t *size) {
  (void)L;
  const char *const **at = ud;
  const char *line = **at;
  *size = line ? strlen(line) : 0;
  if (line)
    ++*at;
  return line;
}

/* Runs the prelude; leaves "berth" on the stack. The globals are there already: it needs them. */
static void run_prelude(lua_State *L) {
  static const luaL_Reg given[] = {{"send", l_send},     {"array", l_array}, {"null", NULL},  {"encode", l_encode},
                                   {"decode", l_decode}, {"now", l_now},     {"wall", l_wall}, {NULL, NULL}};
  const char *const *at = prelude;
  int n = 0;
  if (lua_load(L, next_line, &at, "=berth", "t") != LUA_OK)
    lua_error(L);
  for (; given[n].name; n++) {
    if (given[n].func)
      lua_pushcfunction(L, given[n].func);
    else
      lua_pushlightuserdata(L, NULL);
  }
  lua_call(L, n, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &calls_key);
}

struct script {
  const char *path;
  char *text;
  size_t len;
};

static int start(lua_State *L) {
  const struct script *script = lua_touserdata(L, 1);
  luaL_requiref(L, "_G", luaopen_base, 1);
  push_globals(L);
  run_prelude(L);
  lua_setfield(L, -2, "berth");
  lua_pushfstring(L, "@%s", bt_path_base(script->path));
  if (luaL_loadbufferx(L, script->text, script->len, lua_tostring(L, -1), "t") != LUA_OK)
    lua_error(L);
  lua_pushvalue(L, -3);
  lua_setupvalue(L, -2, 1);
  lua_call(L, 0, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &calls_key);
  lua_getfield(L, -1, "introduce");
  lua_pushvalue(L, -3);
  lua_call(L, 1, 0);
  return 0;
}

static int refuse(const char *why) {
  struct bt_buf out = {0};
  json_t *head = json_object();
  json_object_set_new(head, "t", json_string("refused"));
  bt_json_set_str(head, "message", why);
  bt_wire_put(&out, head, NULL, 0);
  write_all(out.data, out.len);
  bt_buf_free(&out);
  return 1;
}

/* The message on top of the stack, which may be no text. */
static const char *reason(lua_State *L) {
  return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "it failed with a value that is no text";
}

static bool begin(lua_State *L, const char *path) {
  BT_AUTO_ERR err = NULL;
  struct script script = {.path = path};
  if (bt_file_read(path, max_script, &script.text, &script.len, &err) != 0) {
    refuse(bt_err_message(err));
    return false;
  }
  lua_pushcfunction(L, start);
  lua_pushlightuserdata(L, &script);
  bool fine = lua_pcall(L, 1, 0, 0) == LUA_OK;
  if (!fine)
    refuse(reason(L));
  free(script.text);
  lua_settop(L, 0);
  return fine;
}

/* ---------------------------------------------------------------- the loop */

static int on_message(lua_State *L) {
  const struct bt_message *m = lua_touserdata(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &calls_key);
  lua_getfield(L, -1, "message");
  bt_value_push(L, m->head);
  lua_pushlstring(L, m->bytes, m->len);
  lua_call(L, 2, 1);
  return 1;
}

static int on_tick(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &calls_key);
  lua_getfield(L, -1, "tick");
  lua_call(L, 0, 1);
  return 1;
}

/* Calls into the prelude; false where that failed, which ends nothing. The result is on the stack. */
static bool call(lua_State *L, lua_CFunction fn, void *arg) {
  lua_settop(L, 0);
  lua_pushcfunction(L, fn);
  lua_pushlightuserdata(L, arg);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK)
    return true;
  fprintf(stderr, "%s\n", reason(L));
  return false;
}

/* Hands on all whole messages. False where the plug-in has stopped or the other side talks garbage. */
static bool deliver(lua_State *L, struct bt_buf *in) {
  BT_AUTO_ERR err = NULL;
  size_t at = 0;
  bool goes_on = true;
  while (goes_on && at < in->len) {
    struct bt_message m;
    long n = bt_wire_get(in->data + at, in->len - at, BT_WIRE_MAX_JSON, &m, &err);
    if (n == 0)
      break;
    if (n < 0)
      return false;
    goes_on = !(call(L, on_message, &m) && lua_toboolean(L, -1));
    json_decref(m.head);
    at += (size_t)n;
  }
  bt_buf_consume(in, at);
  return goes_on;
}

/* Runs what is due. Returns the ms until the next, -1 for never. */
static int tick(lua_State *L) {
  if (!call(L, on_tick, NULL) || !lua_isnumber(L, -1))
    return -1;
  lua_Number ms = lua_tonumber(L, -1);
  return ms < 60000 ? (int)ms : 60000;
}

static void run(lua_State *L) {
  static char chunk[read_chunk];
  BT_AUTO_BUF in = {0};
  for (bool goes_on = true; goes_on;) {
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
    if (poll(&fd, 1, tick(L)) <= 0)
      continue;
    ssize_t n = read(STDIN_FILENO, chunk, sizeof chunk);
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
      return; /* the server is gone */
    if (n > 0) {
      bt_buf_add(&in, chunk, (size_t)n);
      goes_on = deliver(L, &in);
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fputs("usage: berth-plugin-lua SCRIPT.lua\n(berthd starts it; nobody needs to call it by hand)\n", stderr);
    return 2;
  }
  lua_State *L = luaL_newstate();
  if (!L)
    return 1;
  bool fine = begin(L, argv[1]);
  if (fine)
    run(L);
  lua_close(L);
  return fine ? 0 : 1;
}
