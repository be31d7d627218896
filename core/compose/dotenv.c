/* Env files in the dialect of docker compose: export, "=" or ":", quotes over several lines, escapes, comments,
 * variables in unquoted and double-quoted values. */
#include "config.h"

#include <ctype.h>

#include "base/buf.h"
#include "compose/internal.h"
#include "compose/template.h"

struct env_parser {
  struct bt_load *load;
  const struct bt_env_lookup *lookup;
  struct bt_map *vars;
  const char *p; /* NUL-terminated */
  struct bt_loc loc;
};

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r'; }
static const char *skip_blanks(const char *p) {
  while (is_blank(*p))
    p++;
  return p;
}

/* The variable for a name in a value: the caller's lookup first, then what this file has set. */
static const char *get_var(void *arg, const char *name) {
  struct env_parser *x = arg;
  const char *value = x->lookup->get(x->lookup->arg, name);
  return value ? value : bt_map_get(x->vars, name);
}

static void warn_unset(void *arg, const char *name) {
  struct env_parser *x = arg;
  bt_compose_warn_unset(x->load, x->loc, name);
}

static int expand(struct env_parser *x, const char *text, char **out) {
  if (!strchr(text, '$')) {
    *out = bt_strdup(text);
    return 0;
  }
  struct bt_template_vars vars = {get_var, warn_unset, x, &x->load->budget};
  BT_AUTO_ERR err = NULL;
  if (bt_template_expand(&vars, text, out, &err) == 0)
    return 0;
  bt_diag_error(x->load->diags, x->loc, "%s", bt_err_message(err));
  return -1;
}

/* To the next statement: over blank lines and comments. false at the end. */
static bool next_statement(struct env_parser *x) {
  for (;; x->p++) {
    if (*x->p == '#')
      x->p += strcspn(x->p, "\n");
    if (!*x->p)
      return false;
    if (*x->p == '\n')
      x->loc.line++;
    else if (!is_blank(*x->p))
      return true;
  }
}

static bool name_char(unsigned char c) { return isalnum(c) || strchr("_.-[]", c) || c >= 0x80; }

/* Reads the name and its separator. *inherited: there is no value, the environment has it. */
static int read_name(struct env_parser *x, char **name, bool *inherited) {
  if (strncmp(x->p, "export", 6) == 0 && is_blank(x->p[6]))
    x->p = skip_blanks(x->p + 6);
  const char *start = x->p;
  size_t n = 0;
  while (start[n] && start[n] != '\n' && start[n] != '=' && start[n] != ':') {
    if (!name_char((unsigned char)start[n]) && !is_blank(start[n])) {
      bt_diag_error(x->load->diags, x->loc, "unexpected character \"%c\" in variable name \"%.*s\"", start[n],
                    (int)BT_MIN(strcspn(start, "\n"), (size_t)100), start);
      return -1;
    }
    n++;
  }
  char end = start[n];
  *inherited = end == '\n' || !end;
  x->p = skip_blanks(start + n + (end != 0));
  while (n && is_blank(start[n - 1]))
    n--;
  *name = bt_strndup(start, n);
  if (!strchr(*name, ' '))
    return 0;
  bt_diag_error(x->load->diags, x->loc, "the variable name \"%s\" cannot contain a space", *name);
  return -1;
}

static int unquoted_value(struct env_parser *x, char **value) {
  size_t n = strcspn(x->p, "\n");
  const char *start = x->p;
  x->p += n + (start[n] == '\n');
  const char *comment = memmem(start, n, " #", 2);
  if (comment)
    n = (size_t)(comment - start);
  while (n && isspace((unsigned char)start[n - 1]))
    n--;
  BT_AUTO_FREE char *text = bt_strndup(start, n);
  int rc = expand(x, text, value);
  x->loc.line++;
  return rc;
}

/* "\0" and up to three digits: with exactly three octal ones a code point, else what stands there without its zero. */
static size_t octal_escape(const char *s, struct bt_buf *out) {
  size_t n = 0;
  while (n < 3 && isdigit((unsigned char)s[2 + n]))
    n++;
  BT_AUTO_FREE char *digits = bt_strndup(s + 2, n);
  long v = strtol(digits, NULL, 8);
  if (n < 3 || strspn(digits, "01234567") < 3 || v > 255) {
    bt_buf_addf(out, "\\%s", digits);
  } else if (v < 0x80) {
    bt_buf_addc(out, (char)v);
  } else {
    bt_buf_addc(out, (char)(0xc0 | (v >> 6)));
    bt_buf_addc(out, (char)(0x80 | (v & 0x3f)));
  }
  return 2 + n;
}

static void expand_escapes(const char *s, struct bt_buf *out) {
  static const char from[] = "abfnrtv\"\\", to[] = "\a\b\f\n\r\t\v\"\\";
  while (*s) {
    const char *known = s[0] == '\\' && s[1] ? strchr(from, s[1]) : NULL;
    if (s[0] == '\\' && s[1] == '0') {
      s += octal_escape(s, out);
    } else if (s[0] == '\\' && s[1] == '$') {
      bt_buf_adds(out, "$$");
      s += 2;
    } else if (known) {
      bt_buf_addc(out, to[known - from]);
      s += 2;
    } else {
      bt_buf_addc(out, *s++);
    }
  }
}

static int quoted_value(struct env_parser *x, char **value) {
  const char quote = *x->p, *start = x->p;
  struct bt_loc begin = x->loc;
  BT_AUTO_BUF raw = {0};
  const char *p = start + 1;
  for (; *p && *p != quote; p++) {
    x->loc.line += *p == '\n';
    if (*p == '\\' && p[1] == quote) {
      bt_buf_addc(&raw, *++p);
    } else if (*p == '\\' && p[1]) {
      bt_buf_add(&raw, p++, 2);
      x->loc.line += *p == '\n';
    } else {
      bt_buf_addc(&raw, *p);
    }
  }
  if (!*p) {
    bt_diag_error(x->load->diags, begin, "unterminated quoted value %.*s", (int)BT_MIN(strcspn(start, "\n"), (size_t)100), start);
    return -1;
  }
  x->p = p + 1;
  if (quote == '\'') {
    *value = bt_buf_steal(&raw);
    return 0;
  }
  BT_AUTO_BUF text = {0};
  expand_escapes(raw.data ? raw.data : "", &text);
  return expand(x, text.data ? text.data : "", value);
}

static int read_statement(struct env_parser *x) {
  BT_AUTO_FREE char *name = NULL;
  bool inherited;
  if (read_name(x, &name, &inherited))
    return -1;
  if (inherited) {
    const char *value = x->lookup->get(x->lookup->arg, name);
    if (value)
      bt_map_set(x->vars, name, bt_strdup(value));
    x->loc.line++;
    return 0;
  }
  char *value = NULL;
  if (*x->p == '"' || *x->p == '\'' ? quoted_value(x, &value) : unquoted_value(x, &value))
    return -1;
  bt_map_set(x->vars, name, value);
  return 0;
}

int bt_compose_env_text(struct bt_load *load, const char *text, size_t len, const char *path,
                        const struct bt_env_lookup *lookup, struct bt_map *vars) {
  struct env_parser x = {load, lookup, vars, text, {bt_compose_intern(load, path), 1, 1}};
  if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
    x.p += 3;
  if (strlen(text) != len) {
    bt_diag_error(load->diags, x.loc, "there is a NUL byte in this env file");
    return -1;
  }
  json_t *utf8 = json_stringn(text, len); /* jansson takes valid UTF-8 only */
  if (!utf8) {
    bt_diag_error(load->diags, x.loc, "this env file is no valid UTF-8; save it as UTF-8");
    return -1;
  }
  json_decref(utf8);
  while (next_statement(&x))
    if (read_statement(&x))
      return -1;
  return 0;
}

static const char *load_var(void *arg, const char *name) { return bt_compose_var(arg, name); }

int bt_compose_dotenv(struct bt_load *load, const char *text, size_t len, const char *path, struct bt_map *vars) {
  struct bt_env_lookup lookup = {load_var, load};
  return bt_compose_env_text(load, text, len, path, &lookup, vars);
}
