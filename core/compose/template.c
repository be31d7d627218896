#include "config.h"
#include "compose/template.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { max_nesting = 32 };

struct expansion {
  const struct bt_template_vars *vars;
  struct bt_buf *out;
  struct bt_err **err;
  int depth;
};

/* One "${NAME op word}". */
struct braced {
  const char *name, *word;
  size_t name_len, word_len;
  char op;       /* '-', '?', '+', or 0 */
  bool or_empty; /* with ":" */
  size_t len;    /* of the whole, braces included */
};

static bool name_start(char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static size_t name_len(const char *s) {
  size_t n = 0;
  if (name_start(s[0]))
    for (n = 1; name_start(s[n]) || (s[n] >= '0' && s[n] <= '9');)
      n++;
  return n;
}

static int emit(struct expansion *x, const char *s, size_t n) {
  if (n > *x->vars->budget)
    return bt_err_set(x->err, BT_TOO_LARGE, "the variables expand to too much text");
  *x->vars->budget -= n;
  bt_buf_add(x->out, s, n);
  return 0;
}

/* The closing brace that balances the one at s[1], counted as the reference counts: the character after an opening
 * brace is never looked at. NULL where none does before end. */
static const char *balancing_brace(const char *s, const char *end) {
  int open = 0;
  for (; s < end; s++) {
    if (*s == '}' && --open == 0)
      return s;
    if (*s == '{') {
      open++;
      s++;
    }
  }
  return NULL;
}

/* s stands at "${". last: the line's last closing brace (NULL where there is none after s). */
static bool parse_braced(const char *s, const char *last, struct braced *b) {
  *b = (struct braced){.name = s + 2, .name_len = name_len(s + 2)};
  const char *p = b->name + b->name_len;
  if (!b->name_len)
    return false;
  if (*p == '}') {
    b->len = (size_t)(p + 1 - s);
    return true;
  }
  if (*p == ':') {
    b->or_empty = true;
    p++;
  }
  if ((*p != '-' && *p != '?' && *p != '+') || !last || last <= p)
    return false;
  b->op = *p++;
  const char *close = balancing_brace(s, last + 1);
  if (!close)
    close = last;
  b->word = p;
  b->word_len = (size_t)(close - p);
  b->len = (size_t)(close + 1 - s);
  return true;
}

static int expand(struct expansion *x, const char *text, size_t len);

/* The word of an operator is a template of its own. */
static int expand_word(struct expansion *x, const struct braced *b) {
  if (++x->depth > max_nesting)
    return bt_err_set(x->err, BT_TOO_LARGE, "variables nest deeper than %d levels", max_nesting);
  int rc = expand(x, b->word, b->word_len);
  x->depth--;
  return rc;
}

static int missing(struct expansion *x, const struct braced *b, const char *name) {
  BT_AUTO_BUF reason = {0};
  struct expansion inner = {x->vars, &reason, x->err, x->depth};
  if (expand_word(&inner, b))
    return -1;
  if (reason.len)
    return bt_err_set(x->err, BT_NOT_FOUND, "required variable %s is missing a value: %s", name, reason.data);
  return bt_err_set(x->err, BT_NOT_FOUND, "required variable %s is missing a value", name);
}

static int put_variable(struct expansion *x, const struct braced *b) {
  BT_AUTO_FREE char *name = bt_strndup(b->name, b->name_len);
  const char *value = x->vars->get(x->vars->arg, name);
  bool there = value && (!b->or_empty || *value);
  if (b->op == '+')
    return there ? expand_word(x, b) : 0;
  if (b->op == '-' && !there)
    return expand_word(x, b);
  if (b->op == '?' && !there)
    return missing(x, b, name);
  if (!value && x->vars->unset)
    x->vars->unset(x->vars->arg, name);
  return value ? emit(x, value, strlen(value)) : 0;
}

static int invalid(struct expansion *x, const char *text, size_t len) {
  return bt_err_set(x->err, BT_INVALID, "invalid interpolation format \"%.*s\"; you may need to escape any $ with another $",
                    (int)BT_MIN(len, (size_t)200), text);
}

static const char *last_brace(const char *s, const char *end) {
  const char *newline = memchr(s, '\n', (size_t)(end - s));
  return memrchr(s, '}', (size_t)((newline ? newline : end) - s));
}

static int expand(struct expansion *x, const char *text, size_t len) {
  const char *end = text + len, *line_brace = NULL, *known_to = text;
  for (const char *s = text; s < end;) {
    const char *dollar = memchr(s, '$', (size_t)(end - s));
    if (emit(x, s, (size_t)((dollar ? dollar : end) - s)))
      return -1;
    if (!dollar)
      break;
    s = dollar;
    struct braced b = {.name = s + 1, .name_len = s + 1 < end ? name_len(s + 1) : 0};
    b.name_len = BT_MIN(b.name_len, (size_t)(end - b.name));
    b.len = 1 + b.name_len;
    bool doubled = s + 1 < end && s[1] == '$';
    if (s + 1 < end && s[1] == '{') {
      if (s >= known_to) { /* one look per line keeps long lines linear */
        const char *newline = memchr(s, '\n', (size_t)(end - s));
        known_to = newline ? newline : end;
        line_brace = last_brace(s, end);
      }
      if (!parse_braced(s, line_brace && line_brace > s ? line_brace : NULL, &b) || s + b.len > end)
        return invalid(x, text, len);
    } else if (doubled || !b.name_len) {
      if (emit(x, "$", 1))
        return -1;
      s += doubled ? 2 : 1;
      continue;
    }
    if (put_variable(x, &b))
      return -1;
    s += b.len;
  }
  return 0;
}

int bt_template_expand(const struct bt_template_vars *vars, const char *text, char **out, struct bt_err **err) {
  BT_AUTO_BUF b = {0};
  struct expansion x = {vars, &b, err, 0};
  if (expand(&x, text, strlen(text)))
    return -1;
  *out = bt_buf_steal(&b);
  return 0;
}
