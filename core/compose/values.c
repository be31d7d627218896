#include "config.h"
#include "compose/values.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <strings.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/size.h"

bool bt_value_bool(const struct bt_yaml *n, bool *out) {
  static const char *const yes[] = {"true", "yes", "on", "y"}, *const no[] = {"false", "no", "off", "n"};
  if (n->kind == BT_YAML_BOOL) {
    *out = n->boolean;
    return true;
  }
  for (size_t i = 0; n->kind == BT_YAML_STR && i < BT_COUNT(yes); i++)
    if (strcasecmp(n->text, yes[i]) == 0 || strcasecmp(n->text, no[i]) == 0) {
      *out = strcasecmp(n->text, yes[i]) == 0;
      return true;
    }
  return false;
}

bool bt_value_int(const struct bt_yaml *n, long long *out) {
  if (n->kind == BT_YAML_INT) {
    *out = n->integer;
    return true;
  }
  if (n->kind == BT_YAML_FLOAT && fabs(n->real) < 9e18) {
    *out = (long long)n->real;
    return true;
  }
  return n->kind == BT_YAML_STR && bt_parse_i64(n->text[0] == '+' ? n->text + 1 : n->text, INT64_MIN, INT64_MAX, out);
}

/* The shortest text that reads back as the same single: what Go prints for a float32. */
static double as_single(double v) {
  char buf[40];
  for (int digits = 1; digits < 10; digits++) {
    snprintf(buf, sizeof buf, "%.*g", digits, (double)(float)v);
    if (strtof(buf, NULL) == (float)v)
      break;
  }
  return strtod(buf, NULL);
}

bool bt_value_float(const struct bt_yaml *n, double *out) {
  double v = 0;
  char *end = NULL;
  if (n->kind == BT_YAML_INT)
    v = (double)n->integer;
  else if (n->kind == BT_YAML_FLOAT)
    v = n->real;
  else if (n->kind == BT_YAML_STR && *n->text && strspn(n->text, "0123456789.+-eE") == strlen(n->text))
    v = strtod(n->text, &end);
  else
    return false;
  if ((end && *end) || !isfinite(v) || fabs(v) > FLT_MAX)
    return false;
  *out = as_single(v);
  return true;
}

bool bt_value_bytes(const struct bt_yaml *n, long long *out) {
  int64_t bytes;
  if (n->kind != BT_YAML_FLOAT && bt_value_int(n, out))
    return true;
  if (n->kind != BT_YAML_STR || !bt_size_parse(n->text, &bytes))
    return false;
  *out = bytes;
  return true;
}

/* One "<number>d" or "<number>w" at p; NULL where it is another. */
static const char *days(const char *p, int64_t *total) {
  size_t digits = strspn(p, "0123456789");
  long long v;
  char unit = p[digits];
  BT_AUTO_FREE char *number = bt_strndup(p, digits);
  if ((unit != 'd' && unit != 'w') || !bt_parse_i64(number, 0, 15000, &v))
    return NULL;
  int64_t ns = v * (unit == 'd' ? 1 : 7) * 86400000000000;
  if (__builtin_add_overflow(*total, ns, total))
    return NULL;
  return p + digits + 1;
}

bool bt_value_duration(const struct bt_yaml *n, int64_t *ns) {
  if (n->kind == BT_YAML_INT && n->integer == 0) {
    *ns = 0;
    return true;
  }
  if (n->kind != BT_YAML_STR)
    return false;
  int64_t total = 0, rest = 0;
  const char *p = n->text, *after;
  while ((after = days(p, &total)))
    p = after;
  if ((*p || p == n->text) && (!bt_duration_parse(p, &rest) || (rest < 0 && p != n->text)))
    return false;
  return !__builtin_add_overflow(total, rest, ns);
}

bool bt_value_mode(const struct bt_yaml *n, long long *out) {
  if (n->kind == BT_YAML_STR) {
    const char *s = bt_starts(n->text, "0o") ? n->text + 2 : n->text;
    if (!*s || strlen(s) > 7 || strspn(s, "01234567") != strlen(s))
      return false;
    *out = strtoll(s, NULL, 8);
    return true;
  }
  return n->kind == BT_YAML_INT && bt_value_int(n, out);
}

/* ---- command lines ---- */

struct splitter {
  struct bt_buf word;
  bool any; /* a word has begun, even if it is empty: '' */
  char quote; /* ' or " or ` or ( for $(…), or 0 */
  struct bt_strs *words;
};

static void end_word(struct splitter *s) {
  if (s->any)
    bt_strs_add(s->words, s->word.data ? s->word.data : "");
  bt_buf_truncate(&s->word, 0);
  s->any = false;
}

static void add_char(struct splitter *s, char c) {
  bt_buf_addc(&s->word, c);
  s->any = true;
}

/* A character that opens or closes a quote. `x` and $(x) hold together as one word and keep their marks: nothing runs
 * them. */
static bool quoting(struct splitter *s, char c) {
  if ((c == '\'' || c == '"') && (!s->quote || s->quote == c)) {
    s->quote = s->quote ? 0 : c;
    s->any = true;
    return true;
  }
  if (c == '`' && (!s->quote || s->quote == c))
    s->quote = s->quote ? 0 : c;
  else if (c == '(' && !s->quote && s->word.len && s->word.data[s->word.len - 1] == '$')
    s->quote = '(';
  else if (c == ')' && s->quote == '(')
    s->quote = 0;
  else
    return false;
  add_char(s, c);
  return true;
}

bool bt_value_words(const char *line, struct bt_strs *words, const char **rest) {
  struct splitter s = {.words = words};
  *rest = NULL;
  bool open_escape = false;
  const char *p = line;
  for (; *p && !*rest; p++) {
    if (*p == '\\' && s.quote != '\'') {
      open_escape = !p[1];
      if (open_escape)
        break;
      p++;
      add_char(&s, *p);
    } else if (quoting(&s, *p)) {
      continue;
    } else if (*p == '(' && !s.quote) {
      bt_buf_free(&s.word);
      return false; /* only a shell knows what that is */
    } else if (strchr(" \t\r\n", *p) && !s.quote) {
      end_word(&s);
    } else if (strchr(";&|<>", *p) && !s.quote) {
      *rest = p;
      /* "2>x": the number is the shell's, no word */
      if (*p == '>' && s.word.len && s.word.data[0] >= '0' && s.word.data[0] <= '9')
        s.any = false;
    } else {
      add_char(&s, *p);
    }
  }
  end_word(&s);
  bt_buf_free(&s.word);
  return !s.quote && !open_escape;
}

void bt_node_become(struct bt_yaml *n, struct bt_yaml *other) {
  struct bt_yaml old = *n;
  struct bt_loc loc = n->loc;
  *n = *other;
  n->loc = loc;
  *other = old;
  bt_yaml_free(&other);
}
