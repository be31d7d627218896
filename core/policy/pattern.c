#include "config.h"
#include "policy/pattern.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "policy/box.h"

enum { most_captures = 32, most_depth = 200, escape = '%' };
enum { open_capture = -1, position_capture = -2 };

struct capture {
  const char *at;
  ptrdiff_t len;
};

struct match {
  lua_State *L;
  const char *text, *text_end, *pattern_end;
  int depth, ncaptures;
  struct capture captures[most_captures];
};

static const char *go(struct match *m, const char *s, const char *p);

static void malformed(struct match *m, const char *why) { luaL_error(m->L, "malformed pattern (%s)", why); }

static int byte(const char *s) { return (unsigned char)*s; }

/* The end of the single-character class that begins at p. */
static const char *class_end(struct match *m, const char *p) {
  if (p == m->pattern_end)
    malformed(m, "missing class");
  if (*p == escape) {
    if (p + 1 == m->pattern_end)
      malformed(m, "ends with '%'");
    return p + 2;
  }
  if (*p++ != '[')
    return p;
  if (p < m->pattern_end && *p == '^')
    p++;
  do { /* a ']' that comes first is a member */
    if (p == m->pattern_end)
      malformed(m, "missing ']'");
    if (*p++ == escape) {
      if (p == m->pattern_end)
        malformed(m, "missing ']'");
      p++;
    }
  } while (p == m->pattern_end || *p != ']');
  return p + 1;
}

static bool in_class(int c, int class) {
  bool in;
  switch (tolower(class)) {
  case 'a': in = isalpha(c); break;
  case 'c': in = iscntrl(c); break;
  case 'd': in = isdigit(c); break;
  case 'g': in = isgraph(c); break;
  case 'l': in = islower(c); break;
  case 'p': in = ispunct(c); break;
  case 's': in = isspace(c); break;
  case 'u': in = isupper(c); break;
  case 'w': in = isalnum(c); break;
  case 'x': in = isxdigit(c); break;
  default: return class == c;
  }
  return isupper(class) ? !in : in;
}

/* p at '[', last at its ']'. */
static bool in_set(int c, const char *p, const char *last) {
  bool found = true;
  if (p[1] == '^') {
    found = false;
    p++;
  }
  while (++p < last) {
    if (*p == escape) {
      if (in_class(c, byte(++p)))
        return found;
    } else if (p[1] == '-' && p + 2 < last) {
      if (byte(p) <= c && c <= byte(p + 2))
        return found;
      p += 2;
    } else if (byte(p) == c) {
      return found;
    }
  }
  return !found;
}

static bool one(struct match *m, const char *s, const char *p, const char *end) {
  bt_box_charge(m->L, 1 + (unsigned)((end - p) / 16)); /* a set can be long */
  if (s >= m->text_end)
    return false;
  switch (*p) {
  case '.': return true;
  case escape: return in_class(byte(s), byte(p + 1));
  case '[': return in_set(byte(s), p, end - 1);
  default: return *p == *s;
  }
}

static const char *balanced(struct match *m, const char *s, const char *p) {
  if (p + 1 >= m->pattern_end)
    malformed(m, "missing arguments to '%b'");
  if (s == m->text_end || *s != p[0])
    return NULL;
  int depth = 1;
  while (++s < m->text_end) {
    bt_box_charge(m->L, 1);
    if (*s == p[1]) {
      if (--depth == 0)
        return s + 1;
    } else if (*s == p[0]) {
      depth++;
    }
  }
  return NULL;
}

static const char *most(struct match *m, const char *s, const char *p, const char *end) {
  ptrdiff_t i = 0;
  while (one(m, s + i, p, end))
    i++;
  for (; i >= 0; i--) {
    const char *found = go(m, s + i, end + 1);
    if (found)
      return found;
  }
  return NULL;
}

static const char *least(struct match *m, const char *s, const char *p, const char *end) {
  for (;; s++) {
    const char *found = go(m, s, end + 1);
    if (found)
      return found;
    if (!one(m, s, p, end))
      return NULL;
  }
}

static const char *begin_capture(struct match *m, const char *s, const char *p, int kind) {
  if (m->ncaptures >= most_captures)
    luaL_error(m->L, "too many captures");
  m->captures[m->ncaptures++] = (struct capture){s, kind};
  const char *found = go(m, s, p);
  if (!found)
    m->ncaptures--;
  return found;
}

static const char *end_capture(struct match *m, const char *s, const char *p) {
  int i = m->ncaptures - 1;
  while (i >= 0 && m->captures[i].len != open_capture)
    i--;
  if (i < 0)
    luaL_error(m->L, "invalid pattern capture");
  m->captures[i].len = s - m->captures[i].at;
  const char *found = go(m, s, p);
  if (!found)
    m->captures[i].len = open_capture;
  return found;
}

static const char *back_reference(struct match *m, const char *s, int digit) {
  int i = digit - '1';
  if (i < 0 || i >= m->ncaptures || m->captures[i].len == open_capture)
    luaL_error(m->L, "invalid capture index %%%d", i + 1);
  size_t len = (size_t)m->captures[i].len;
  bt_box_charge(m->L, 1 + (unsigned)(len / 64));
  if (m->captures[i].len < 0 || (size_t)(m->text_end - s) < len || memcmp(m->captures[i].at, s, len) != 0)
    return NULL;
  return s + len;
}

static bool at_frontier(struct match *m, const char *s, const char *p, const char *end) {
  int before = s == m->text ? 0 : byte(s - 1), here = s == m->text_end ? 0 : byte(s);
  return !in_set(before, p, end - 1) && in_set(here, p, end - 1);
}

/* %b, %f and back references; *p moves behind it. NULL: no match here. */
static const char *special(struct match *m, const char *s, const char **p) {
  int kind = byte(*p + 1);
  if (kind == 'b') {
    s = balanced(m, s, *p + 2);
    *p += 4;
  } else if (kind == 'f') {
    const char *set = *p + 2;
    if (set >= m->pattern_end || *set != '[')
      luaL_error(m->L, "missing '[' after '%%f' in pattern");
    const char *end = class_end(m, set);
    s = at_frontier(m, s, set, end) ? s : NULL;
    *p = end;
  } else {
    s = back_reference(m, s, kind);
    *p += 2;
  }
  return s;
}

static bool is_special(struct match *m, const char *p) {
  return *p == escape && p + 1 < m->pattern_end && (p[1] == 'b' || p[1] == 'f' || isdigit(byte(p + 1)));
}

/* One class with its repetition. True: go on at *s, *p; false: *s is the result. */
static bool item(struct match *m, const char **s, const char **p) {
  const char *end = class_end(m, *p);
  int repeat = end < m->pattern_end ? *end : 0;
  if (repeat == '-') {
    *s = least(m, *s, *p, end);
    return false;
  }
  if (repeat == '*') {
    *s = most(m, *s, *p, end);
    return false;
  }
  bool matches = one(m, *s, *p, end);
  if (repeat == '?') {
    const char *found = matches ? go(m, *s + 1, end + 1) : NULL;
    if (found)
      *s = found;
    *p = end + 1;
    return !found;
  }
  if (!matches || repeat == '+') {
    *s = matches ? most(m, *s + 1, *p, end) : NULL;
    return false;
  }
  *s += 1;
  *p = end;
  return true;
}

/* Matches the pattern from p at s: the end of the match, or NULL. */
static const char *go(struct match *m, const char *s, const char *p) {
  if (m->depth-- == 0)
    luaL_error(m->L, "pattern too complex");
  bool on = true;
  while (on && s && p != m->pattern_end) {
    if (*p == '(') {
      bool position = p + 1 < m->pattern_end && p[1] == ')';
      s = position ? begin_capture(m, s, p + 2, position_capture) : begin_capture(m, s, p + 1, open_capture);
      on = false;
    } else if (*p == ')') {
      s = end_capture(m, s, p + 1);
      on = false;
    } else if (*p == '$' && p + 1 == m->pattern_end) {
      s = s == m->text_end ? s : NULL;
      on = false;
    } else if (is_special(m, p)) {
      s = special(m, s, &p);
    } else {
      on = item(m, &s, &p);
    }
  }
  m->depth++;
  return s;
}

static const char *start(struct match *m, const char *s, const char *p) {
  m->ncaptures = 0;
  m->depth = most_depth;
  bt_box_charge(m->L, 1);
  return go(m, s, p);
}

static struct match prepare(lua_State *L, const char *s, size_t len, const char *p, size_t plen) {
  return (struct match){.L = L, .text = s, .text_end = s + len, .pattern_end = p + plen};
}

/* Capture i, or the whole match where the pattern has none. */
static void push_capture(struct match *m, int i, const char *s, const char *e) {
  if (i >= m->ncaptures) {
    if (i != 0)
      luaL_error(m->L, "invalid capture index %%%d", i + 1);
    lua_pushlstring(m->L, s, (size_t)(e - s));
    return;
  }
  const struct capture *c = &m->captures[i];
  if (c->len == open_capture)
    luaL_error(m->L, "unfinished capture");
  if (c->len == position_capture)
    lua_pushinteger(m->L, c->at - m->text + 1);
  else
    lua_pushlstring(m->L, c->at, (size_t)c->len);
}

static int push_captures(struct match *m, const char *s, const char *e, bool whole) {
  int n = m->ncaptures == 0 && whole ? 1 : m->ncaptures;
  luaL_checkstack(m->L, n, "too many captures");
  for (int i = 0; i < n; i++)
    push_capture(m, i, s, e);
  return n;
}

/* Where to begin, from 0; over len where the text is too short. */
static size_t first_place(lua_State *L, int arg, size_t len) {
  lua_Integer init = luaL_optinteger(L, arg, 1);
  if (init > 0)
    return (lua_Unsigned)init - 1 > len ? len + 1 : (size_t)init - 1;
  return init == 0 || init < -(lua_Integer)len ? 0 : len - (size_t)-init;
}

static int find_plain(lua_State *L, const char *s, size_t len, size_t at, const char *p, size_t plen) {
  bt_box_charge(L, 1 + (unsigned)(len / 16));
  const char *found = memmem(s + at, len - at, p, plen);
  if (!found) {
    lua_pushnil(L);
    return 1;
  }
  lua_pushinteger(L, found - s + 1);
  lua_pushinteger(L, found - s + (lua_Integer)plen);
  return 2;
}

static int find_or_match(lua_State *L, bool find) {
  size_t len, plen;
  const char *s = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &plen);
  size_t at = first_place(L, 3, len);
  if (at > len) {
    lua_pushnil(L);
    return 1;
  }
  bool special_chars = strpbrk(p, "^$*+?.([%-") || strlen(p) != plen;
  if (find && (lua_toboolean(L, 4) || !special_chars))
    return find_plain(L, s, len, at, p, plen);
  bool anchored = plen && *p == '^';
  struct match m = prepare(L, s, len, p, plen);
  p += anchored;
  for (const char *here = s + at;; here++) {
    const char *end = start(&m, here, p);
    if (end && find) {
      lua_pushinteger(L, here - s + 1);
      lua_pushinteger(L, end - s);
      return push_captures(&m, NULL, NULL, false) + 2;
    }
    if (end)
      return push_captures(&m, here, end, true);
    if (anchored || here == m.text_end)
      break;
  }
  lua_pushnil(L);
  return 1;
}

static int str_find(lua_State *L) { return find_or_match(L, true); }
static int str_match(lua_State *L) { return find_or_match(L, false); }

/* Upvalues: text, pattern, where to go on, where the last match ended (-1: none). */
static int gmatch_next(lua_State *L) {
  size_t len, plen;
  const char *s = lua_tolstring(L, lua_upvalueindex(1), &len), *p = lua_tolstring(L, lua_upvalueindex(2), &plen);
  lua_Integer at = lua_tointeger(L, lua_upvalueindex(3)), last = lua_tointeger(L, lua_upvalueindex(4));
  struct match m = prepare(L, s, len, p, plen);
  for (const char *here = s + at; here <= m.text_end; here++) {
    const char *end = start(&m, here, p);
    if (!end || end - s == last)
      continue;
    lua_pushinteger(L, end - s);
    lua_pushvalue(L, -1);
    lua_replace(L, lua_upvalueindex(3));
    lua_replace(L, lua_upvalueindex(4));
    return push_captures(&m, here, end, true);
  }
  lua_pushinteger(L, (lua_Integer)len + 1);
  lua_replace(L, lua_upvalueindex(3));
  return 0;
}

static int str_gmatch(lua_State *L) {
  size_t len;
  luaL_checklstring(L, 1, &len);
  luaL_checkstring(L, 2);
  size_t at = first_place(L, 3, len);
  lua_settop(L, 2);
  lua_pushinteger(L, (lua_Integer)at);
  lua_pushinteger(L, -1);
  lua_pushcclosure(L, gmatch_next, 4);
  return 1;
}

/* The replacement text with %0 to %9 and %%. */
static void add_text(struct match *m, luaL_Buffer *b, const char *s, const char *e) {
  size_t len;
  const char *news = lua_tolstring(m->L, 3, &len), *news_end = news + len;
  for (const char *p; (p = memchr(news, escape, (size_t)(news_end - news))); news = p + 1) {
    luaL_addlstring(b, news, (size_t)(p - news));
    p++;
    if (*p == escape && p < news_end) {
      luaL_addchar(b, *p);
    } else if (*p == '0') {
      luaL_addlstring(b, s, (size_t)(e - s));
    } else if (isdigit(byte(p))) {
      push_capture(m, *p - '1', s, e);
      luaL_tolstring(m->L, -1, NULL);
      lua_remove(m->L, -2);
      luaL_addvalue(b);
    } else {
      luaL_error(m->L, "invalid use of '%%' in replacement string");
    }
  }
  luaL_addlstring(b, news, (size_t)(news_end - news));
}

static void add_value(struct match *m, luaL_Buffer *b, const char *s, const char *e) {
  lua_State *L = m->L;
  int kind = lua_type(L, 3);
  if (kind == LUA_TSTRING || kind == LUA_TNUMBER) {
    add_text(m, b, s, e);
    return;
  }
  if (kind == LUA_TFUNCTION) {
    lua_pushvalue(L, 3);
    lua_call(L, push_captures(m, s, e, true), 1);
  } else {
    push_capture(m, 0, s, e);
    lua_gettable(L, 3);
  }
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    luaL_addlstring(b, s, (size_t)(e - s));
  } else if (lua_isstring(L, -1)) {
    luaL_addvalue(b);
  } else {
    luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
  }
}

static int str_gsub(lua_State *L) {
  size_t len, plen;
  const char *s = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &plen);
  int kind = lua_type(L, 3);
  luaL_argexpected(L, kind == LUA_TNUMBER || kind == LUA_TSTRING || kind == LUA_TFUNCTION || kind == LUA_TTABLE, 3,
                   "string/function/table");
  if (kind == LUA_TNUMBER)
    lua_tolstring(L, 3, NULL); /* in place, before the buffer uses the stack */
  lua_Integer most_times = luaL_optinteger(L, 4, (lua_Integer)len + 1), n = 0;
  bool anchored = plen && *p == '^';
  struct match m = prepare(L, s, len, p, plen);
  p += anchored;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  const char *here = s, *last = NULL;
  while (n < most_times) {
    const char *end = start(&m, here, p);
    if (end && end != last) {
      n++;
      add_value(&m, &b, here, end);
      here = last = end;
    } else if (here < m.text_end) {
      luaL_addchar(&b, *here++);
    } else {
      break;
    }
    if (anchored)
      break;
  }
  luaL_addlstring(&b, here, (size_t)(m.text_end - here));
  luaL_pushresult(&b);
  lua_pushinteger(L, n);
  return 2;
}

void bt_pattern_add(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"find", str_find}, {"match", str_match}, {"gmatch", str_gmatch}, {"gsub", str_gsub}, {0}};
  luaL_setfuncs(L, functions, 0);
}
