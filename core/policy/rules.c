#include "config.h"
#include "policy/rules.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"
#include "model/image.h"
#include "policy/box.h"

enum { most_glob = 1024, most_path_part = 256 };

/* ---- globs: a row of a table per pattern element, so that no pattern takes long ---- */

static bool glob_one(char want, char c) { return want == '?' ? c != '/' : want == c; }

/* now[i]: the pattern up to here matches the first i bytes of the text. */
static void glob_star(bool *now, const char *text, size_t n, bool over_slashes) {
  for (size_t i = 0; i < n; i++)
    now[i + 1] |= now[i] && (over_slashes || text[i] != '/');
}

/* "*" is any run of characters but "/", "**" any run at all, "?" one character but "/". Both at most 1,024 bytes: else no match. */
static bool glob_match(const char *pattern, const char *text) {
  size_t n = strlen(text);
  bool now[most_glob + 1] = {true};
  if (n > most_glob || strlen(pattern) > most_glob)
    return false;
  for (const char *p = pattern; *p; p++) {
    if (*p == '*') {
      bool over_slashes = p[1] == '*';
      p += over_slashes;
      glob_star(now, text, n, over_slashes);
      continue;
    }
    for (size_t i = n; i > 0; i--)
      now[i] = now[i - 1] && glob_one(*p, text[i - 1]);
    now[0] = false;
  }
  return now[n];
}

/* ---- versions ---- */

struct version {
  unsigned long long parts[3];
  const char *pre; /* "" where none; ends at '+' or NUL */
  size_t pre_len;
};

static bool version_parse(const char *text, struct version *v) {
  *v = (struct version){.pre = ""};
  const char *p = text + (*text == 'v');
  for (int i = 0; i < 3; i++) {
    size_t digits = strspn(p, "0123456789");
    if (digits == 0 || digits > 18)
      return false;
    v->parts[i] = strtoull(p, NULL, 10);
    p += digits;
    if (*p != '.')
      break;
    if (i == 2)
      return false;
    p++;
  }
  if (*p == '-') {
    v->pre = ++p;
    v->pre_len = strcspn(p, "+");
    p += v->pre_len;
  }
  return *p == 0 || *p == '+';
}

static int sign(long long d) { return (d > 0) - (d < 0); }

/* One dot-separated identifier each: numbers are less than words, numbers compare as numbers. */
static int compare_identifiers(const char *a, size_t an, const char *b, size_t bn) {
  bool a_number = an && strspn(a, "0123456789") >= an, b_number = bn && strspn(b, "0123456789") >= bn;
  if (a_number != b_number)
    return a_number ? -1 : 1;
  if (a_number && an != bn)
    return an < bn ? -1 : 1;
  int order = strncmp(a, b, BT_MIN(an, bn));
  return order ? sign(order) : sign((long long)an - (long long)bn);
}

static int compare_pre(const struct version *a, const struct version *b) {
  if (!a->pre_len || !b->pre_len)
    return sign((long long)!a->pre_len - (long long)!b->pre_len); /* none is more than any */
  const char *p = a->pre, *q = b->pre, *p_end = p + a->pre_len, *q_end = q + b->pre_len;
  while (p < p_end && q < q_end) {
    size_t pn = BT_MIN(strcspn(p, "."), (size_t)(p_end - p)), qn = BT_MIN(strcspn(q, "."), (size_t)(q_end - q));
    int order = compare_identifiers(p, pn, q, qn);
    if (order)
      return order;
    p += pn + 1;
    q += qn + 1;
  }
  return sign((long long)(p < p_end) - (long long)(q < q_end));
}

/* Compares versions after semver.org ("v" in front, and missing parts, are allowed). false where one is none. */
static bool semver_compare(const char *a, const char *b, int *order) {
  struct version x, y;
  if (!version_parse(a, &x) || !version_parse(b, &y))
    return false;
  *order = 0;
  for (int i = 0; i < 3 && !*order; i++)
    *order = (x.parts[i] > y.parts[i]) - (x.parts[i] < y.parts[i]);
  if (!*order)
    *order = compare_pre(&x, &y);
  return true;
}

/* ---- what rules call ---- */

/* The text at arg, or NULL for anything else. */
static const char *text_at(lua_State *L, int arg) { return lua_type(L, arg) == LUA_TSTRING ? lua_tostring(L, arg) : NULL; }

static int rule_glob(lua_State *L) {
  const char *pattern = luaL_checkstring(L, 1), *text = text_at(L, 2);
  bt_box_charge(L, text ? (unsigned)(strlen(pattern) * strlen(text) / 16) : 1);
  lua_pushboolean(L, text && glob_match(pattern, text));
  return 1;
}

static void set_text(lua_State *L, const char *name, const char *value) {
  if (value) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
  }
}

static void push_image(lua_State *L, const struct bt_image_ref *ref) {
  lua_createtable(L, 0, 5);
  set_text(L, "domain", ref->domain);
  set_text(L, "repository", ref->repository);
  set_text(L, "tag", ref->tag);
  set_text(L, "digest", ref->digest);
  lua_pushfstring(L, "%s/%s", ref->domain, ref->repository);
  lua_setfield(L, -2, "name");
}

/* The caps are lifted while the reference is held: an error would jump over its release. */
static int rule_image(lua_State *L) {
  const char *text = text_at(L, 1);
  struct bt_image_ref ref = {0};
  if (!text || bt_image_parse(text, &ref, NULL) < 0) {
    lua_pushnil(L);
    return 1;
  }
  bt_box_lift(L, true);
  push_image(L, &ref);
  bt_box_lift(L, false);
  bt_image_ref_free(&ref);
  return 1;
}

static int rule_semver_compare(lua_State *L) {
  const char *a = text_at(L, 1), *b = text_at(L, 2);
  int order;
  if (a && b && semver_compare(a, b, &order))
    lua_pushinteger(L, order);
  else
    lua_pushnil(L);
  return 1;
}

static int rule_bytes(lua_State *L) {
  int64_t bytes;
  const char *text = text_at(L, 1);
  if (lua_type(L, 1) == LUA_TNUMBER)
    lua_pushvalue(L, 1);
  else if (text && bt_size_parse(text, &bytes))
    lua_pushinteger(L, bytes);
  else
    lua_pushnil(L);
  return 1;
}

/* "0.5", 2, and "250m" as Kubernetes users write it. */
static int rule_cpus(lua_State *L) {
  const char *text = text_at(L, 1);
  char *end = NULL;
  double cpus = lua_type(L, 1) == LUA_TNUMBER ? lua_tonumber(L, 1) : 0;
  bool good = lua_type(L, 1) == LUA_TNUMBER;
  if (text && (isdigit((unsigned char)*text) || *text == '.') && strspn(text, "0123456789.m") == strlen(text)) {
    cpus = strtod(text, &end);
    good = end > text && (*end == 0 || (*end == 'm' && !end[1]));
    cpus = *end == 'm' ? cpus / 1000 : cpus;
  }
  if (good)
    lua_pushnumber(L, cpus);
  else
    lua_pushnil(L);
  return 1;
}

static int rule_duration(lua_State *L) {
  const char *text = text_at(L, 1);
  int64_t ns;
  if (lua_type(L, 1) == LUA_TNUMBER)
    lua_pushvalue(L, 1);
  else if (text && bt_duration_parse(text, &ns))
    lua_pushnumber(L, (double)ns / 1e9);
  else
    lua_pushnil(L);
  return 1;
}

static int rule_starts_with(lua_State *L) {
  const char *text = text_at(L, 1);
  lua_pushboolean(L, text && bt_starts(text, luaL_checkstring(L, 2)));
  return 1;
}

static int rule_ends_with(lua_State *L) {
  const char *text = text_at(L, 1);
  lua_pushboolean(L, text && bt_ends(text, luaL_checkstring(L, 2)));
  return 1;
}

static int rule_contains(lua_State *L) {
  bool found = false;
  if (lua_type(L, 1) == LUA_TTABLE)
    for (lua_Integer i = 1, n = luaL_len(L, 1); i <= n && !found; i++) {
      bt_box_charge(L, 1);
      lua_geti(L, 1, i);
      found = lua_compare(L, -1, 2, LUA_OPEQ);
      lua_pop(L, 1);
    }
  lua_pushboolean(L, found);
  return 1;
}

/* Pushes the next part of a dotted path, as a number where it is one; NULL at the end, else what follows. */
static const char *push_part(lua_State *L, const char *path) {
  size_t n = strcspn(path, ".");
  if (n == 0 || n > most_path_part)
    luaL_error(L, "\"%s\" is no path", path);
  lua_pushlstring(L, path, n);
  if (strspn(path, "0123456789") >= n && n < 10) {
    lua_Integer index = atoll(path);
    lua_pop(L, 1);
    lua_pushinteger(L, index);
  }
  return path[n] ? path + n + 1 : NULL;
}

static int rule_get(lua_State *L) {
  const char *path = luaL_checkstring(L, 2);
  lua_pushvalue(L, 1);
  while (path) {
    if (lua_type(L, -1) != LUA_TTABLE) {
      lua_pushnil(L);
      return 1;
    }
    path = push_part(L, path);
    lua_gettable(L, -2);
    lua_remove(L, -2);
  }
  return 1;
}

static int rule_set(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  const char *path = luaL_checkstring(L, 2);
  luaL_checkany(L, 3);
  lua_pushvalue(L, 1);
  while ((path = push_part(L, path))) {
    lua_pushvalue(L, -1);
    if (lua_gettable(L, -3) == LUA_TNIL) {
      lua_pop(L, 1);
      lua_newtable(L);
      lua_pushvalue(L, -2);
      lua_pushvalue(L, -2);
      lua_settable(L, -5);
    }
    if (lua_type(L, -1) != LUA_TTABLE)
      return luaL_error(L, "set: \"%s\" is no table", luaL_tolstring(L, -2, NULL));
    lua_replace(L, -3);
    lua_pop(L, 1);
  }
  lua_pushvalue(L, 3);
  lua_settable(L, -3);
  return 0;
}

void bt_rules_add(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"get", rule_get},           {"set", rule_set},     {"contains", rule_contains}, {"glob", rule_glob},
      {"image", rule_image},       {"bytes", rule_bytes}, {"cpus", rule_cpus},         {"duration", rule_duration},
      {"starts_with", rule_starts_with}, {"ends_with", rule_ends_with}, {0}};
  for (const luaL_Reg *f = functions; f->name; f++)
    bt_box_add(L, f->name, f->func);
  lua_newtable(L);
  lua_pushcfunction(L, rule_semver_compare);
  lua_setfield(L, -2, "compare");
  bt_box_add_value(L, "semver");
}
