#include "config.h"
#include "ignore.h"

#include <ctype.h>

#include "util.h"

enum { max_pattern = 4096 };

struct pattern {
  char *text; /* clean, no leading slash */
  bool taken_back;
};
struct rd_ignore {
  struct pattern *items;
  size_t len, cap;
};

/* Like Go's filepath.Clean, without a leading slash: no empty, "." or resolvable ".." segments. */
static char *clean(const char *s, size_t len) {
  struct pu_buf out = {0};
  for (size_t i = 0; i < len;) {
    size_t n = 0;
    while (i + n < len && s[i + n] != '/')
      n++;
    if (n == 2 && s[i] == '.' && s[i + 1] == '.') {
      while (out.len && out.data[--out.len] != '/')
        ;
      if (out.data)
        out.data[out.len] = 0;
    } else if (n && !(n == 1 && s[i] == '.')) {
      if (out.len)
        pu_buf_adds(&out, "/");
      pu_buf_add(&out, s + i, n);
    }
    i += n + 1;
  }
  return pu_buf_steal(&out);
}

static void add_line(struct rd_ignore *ig, const char *s, size_t len) {
  if (len && *s == '#')
    return;
  while (len && isspace((unsigned char)*s))
    s++, len--;
  while (len && isspace((unsigned char)s[len - 1]))
    len--;
  bool taken_back = len && *s == '!';
  if (taken_back)
    s++, len--;
  while (taken_back && len && isspace((unsigned char)*s))
    s++, len--;
  if (!len || len > max_pattern)
    return;
  PU_AUTO_FREE text = clean(s, len);
  if (!*text)
    return; /* "/" or ".": the engine's own reader drops them as well */
  if (ig->len == ig->cap) {
    struct pattern *more = pu_calloc(ig->cap ? ig->cap * 2 : 16, sizeof *more);
    if (ig->len)
      memcpy(more, ig->items, ig->len * sizeof *more);
    free(ig->items);
    ig->items = more;
    ig->cap = ig->cap ? ig->cap * 2 : 16;
  }
  ig->items[ig->len++] = (struct pattern){pu_strdup(text), taken_back};
}

struct rd_ignore *rd_ignore_parse(const char *text, size_t len) {
  struct rd_ignore *ig = pu_calloc(1, sizeof *ig);
  if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
    text += 3, len -= 3;
  for (size_t i = 0; i < len;) {
    const char *nl = memchr(text + i, '\n', len - i);
    size_t n = nl ? (size_t)(nl - text) - i : len - i;
    add_line(ig, text + i, n);
    i += n + 1;
  }
  return ig;
}

void rd_ignore_add(struct rd_ignore *ig, const char *pattern) { add_line(ig, pattern, strlen(pattern)); }

/* ---------------------------------------------------------------- matching */

/* One "[…]" at p against c. Sets *end behind it; an unclosed one is a literal "[". */
static bool class_match(const char *p, char c, const char **end) {
  const char *s = p + 1;
  bool negated = *s == '^' || *s == '!', hit = false;
  if (negated)
    s++;
  for (bool first = true; *s && (*s != ']' || first); first = false) {
    char low = *s == '\\' && s[1] ? *++s : *s;
    char high = low;
    s++;
    if (*s == '-' && s[1] && s[1] != ']') {
      high = s[1] == '\\' && s[2] ? s[2] : s[1];
      s += s[1] == '\\' && s[2] ? 3 : 2;
    }
    hit = hit || (c >= low && c <= high);
  }
  if (*s != ']') {
    *end = p + 1;
    return c == '[';
  }
  *end = s + 1;
  return hit != negated && c != '/';
}

/* One element of the pattern that is no star, against c. Sets *end behind it. */
static bool element_match(const char *p, char c, const char **end) {
  if (*p == '[')
    return class_match(p, c, end);
  if (*p == '\\' && p[1])
    p++;
  else if (*p == '?') {
    *end = p + 1;
    return c != '/';
  }
  *end = p + 1;
  return *p == c;
}

static size_t element_len(const char *p) {
  const char *end;
  element_match(p, 'x', &end);
  return (size_t)(end - p);
}

static void star_step(char *now, const char *path, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (now[i] && path[i] != '/')
      now[i + 1] = 1;
}

/* "**" eats any number of whole segments; at the end of the pattern everything. */
static void double_star_step(char *now, const char *path, size_t n, bool at_end) {
  bool reached = false;
  for (size_t i = 0; i <= n; i++) {
    bool here = now[i];
    if (reached && (at_end || (i > 0 && path[i - 1] == '/')))
      now[i] = 1;
    reached = reached || here;
  }
}

/* Does the pattern match the path, or a folder above it (what lies in a folder that matches is left out with it)? Steps
 * through the pattern with the set of positions in path that are reachable, so that the work is pattern times path
 * whatever the stars. */
static bool matches(const char *p, const char *path) {
  size_t n = strlen(path);
  PU_AUTO_FREE now = pu_calloc(n + 2, 1);
  now[0] = 1;
  while (*p) {
    if (p[0] == '*' && p[1] == '*') {
      p += p[2] == '/' ? 3 : 2;
      double_star_step(now, path, n, !*p);
    } else if (*p == '*') {
      star_step(now, path, n);
      p++;
    } else {
      const char *end;
      char carry = 0;
      for (size_t i = 0; i <= n; i++) {
        char next = i < n && now[i] && element_match(p, path[i], &end);
        now[i] = carry;
        carry = next;
      }
      p += element_len(p);
    }
  }
  for (size_t i = 1; i <= n; i++)
    if (now[i] && (path[i] == '/' || !path[i]))
      return true;
  return false;
}

bool rd_ignore_match(const struct rd_ignore *ig, const char *path) {
  bool out = false;
  for (size_t i = 0; i < ig->len; i++)
    if (ig->items[i].taken_back == out && matches(ig->items[i].text, path))
      out = !out;
  return out;
}

bool rd_ignore_descend(const struct rd_ignore *ig, const char *path) {
  size_t n = strlen(path);
  for (size_t i = 0; i < ig->len; i++) {
    if (!ig->items[i].taken_back)
      continue;
    const char *text = ig->items[i].text;
    size_t literal = strcspn(text, "*?[\\"); /* from there on anything may match */
    size_t common = literal < n ? literal : n;
    if (strncmp(text, path, common) == 0 && (literal < n ? text[literal] != 0 : text[n] == '/' || (text[n] && literal == n)))
      return true;
  }
  return false;
}

void rd_ignore_free(struct rd_ignore **ig) {
  for (size_t i = 0; *ig && i < (*ig)->len; i++)
    free((*ig)->items[i].text);
  if (*ig)
    free((*ig)->items);
  free(*ig);
  *ig = NULL;
}
