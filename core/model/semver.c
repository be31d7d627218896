#include "config.h"
#include "model/semver.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"

enum { max_text = 256 };

struct version {
  long long n[3];
  int given; /* numbers that were written */
  char pre[max_text];
};

/* ---------------------------------------------------------------- versions */

static bool is_identifiers(const char *s, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!isalnum((unsigned char)s[i]) && !strchr("-.", s[i]))
      return false;
  return n > 0 && s[0] != '.' && s[n - 1] != '.';
}

static bool read_number(const char **at, long long *out) {
  size_t n = strspn(*at, "0123456789");
  *out = 0;
  for (size_t i = 0; i < n && i < 16; i++)
    *out = *out * 10 + ((*at)[i] - '0');
  *at += n;
  return n > 0 && n < 16;
}

/* wild: "x", "X" and "*" end it, with the numbers before them given. Reads the whole of text. */
static bool read_version(const char *text, bool wild, struct version *v) {
  *v = (struct version){.given = 0};
  if (strlen(text) >= max_text)
    return false;
  if (*text == 'v' || *text == 'V')
    text++;
  for (int i = 0; i < 3; i++) {
    if (wild && (*text == 'x' || *text == 'X' || *text == '*')) {
      for (text++; strncmp(text, ".x", 2) == 0 || strncmp(text, ".X", 2) == 0 || strncmp(text, ".*", 2) == 0;)
        text += 2;
      return !*text;
    }
    if (!read_number(&text, &v->n[i]))
      return false;
    v->given++;
    if (*text != '.' || i == 2)
      break;
    text++;
  }
  if (*text == '-') {
    size_t n = strcspn(++text, "+");
    if (!is_identifiers(text, n))
      return false;
    memcpy(v->pre, text, n);
    text += n;
  }
  return !*text || (*text == '+' && is_identifiers(text + 1, strlen(text + 1)));
}

static int sign(long long a, long long b) { return (a > b) - (a < b); }

static int compare_part(const char *a, size_t na, const char *b, size_t nb) {
  bool da = strspn(a, "0123456789") >= na, db = strspn(b, "0123456789") >= nb;
  if (da != db)
    return da ? -1 : 1;
  if (da && na != nb)
    return na < nb ? -1 : 1;
  int by_text = strncmp(a, b, BT_MIN(na, nb));
  return by_text ? by_text : sign((long long)na, (long long)nb);
}

/* A release comes after its pre-releases; those go part by part, numbers before words, the longer after the shorter. */
static int compare_pre(const char *a, const char *b) {
  if (!*a || !*b)
    return (*a == 0) - (*b == 0);
  while (*a && *b) {
    size_t na = strcspn(a, "."), nb = strcspn(b, ".");
    int order = compare_part(a, na, b, nb);
    if (order)
      return order;
    a += na + (a[na] == '.');
    b += nb + (b[nb] == '.');
  }
  return (*a != 0) - (*b != 0);
}

static int compare(const struct version *a, const struct version *b) {
  for (int i = 0; i < 3; i++)
    if (a->n[i] != b->n[i])
      return sign(a->n[i], b->n[i]);
  return compare_pre(a->pre, b->pre);
}

bool bt_semver_is(const char *text) {
  struct version v;
  return text && read_version(text, false, &v);
}

int bt_semver_compare(const char *a, const char *b) {
  struct version va, vb;
  bool is_a = read_version(a, false, &va), is_b = read_version(b, false, &vb);
  return is_a && is_b ? compare(&va, &vb) : is_a - is_b;
}

/* ---------------------------------------------------------------- ranges */

/* From (included) to below; the upper end may be open. */
struct span {
  struct version from, to;
  bool bounded;
};

static void next(struct version *v, int i) {
  v->n[i]++;
  for (int k = i + 1; k < 3; k++)
    v->n[k] = 0;
  v->pre[0] = 0;
}

/* "^1.2", "~1.2", "1.2", "1.x": as a span. */
static bool read_span(const char *text, struct span *s) {
  char op = *text == '^' || *text == '~' ? *text++ : '=';
  *s = (struct span){.bounded = false};
  if (!read_version(text, true, &s->from))
    return false;
  s->to = s->from;
  s->bounded = s->from.given > 0;
  int at = op == '~' ? BT_MIN(s->from.given - 1, 1) : s->from.given - 1;
  if (op == '^')
    for (at = 0; at < s->from.given - 1 && s->from.n[at] == 0;)
      at++;
  if (s->bounded)
    next(&s->to, at);
  return true;
}

static bool same_numbers(const struct version *a, const struct version *b) { return memcmp(a->n, b->n, sizeof a->n) == 0; }

/* One comparison. *named: the range speaks of a pre-release of these numbers. False in *good where it is malformed. */
static bool holds(const char *word, const struct version *v, bool *named, bool *good) {
  static const char *const ops[] = {">=", "<=", ">", "<", "="};
  struct version w;
  struct span s = {.bounded = false}; /* *good may be false already */
  for (size_t i = 0; i < BT_COUNT(ops); i++) {
    size_t n = strlen(ops[i]);
    if (strncmp(word, ops[i], n) != 0)
      continue;
    *good = *good && read_version(word + n, false, &w);
    *named = *named || (*w.pre && same_numbers(&w, v));
    int order = compare(v, &w);
    return i == 0 ? order >= 0 : i == 1 ? order <= 0 : i == 2 ? order > 0 : i == 3 ? order < 0 : order == 0;
  }
  *good = *good && read_span(word, &s);
  *named = *named || (*s.from.pre && same_numbers(&s.from, v));
  if (s.from.given == 3 && *word != '^' && *word != '~')
    return compare(v, &s.from) == 0;
  return compare(v, &s.from) >= 0 && (!s.bounded || compare(v, &s.to) < 0);
}

/* All words up to "||" or the end; moves *at behind it. */
static bool all_hold(char **at, const struct version *v, bool *good) {
  bool all = true, named = false;
  int words = 0;
  char *p = *at;
  while (*p) {
    p += strspn(p, " ");
    size_t n = strcspn(p, " ");
    if (n == 0)
      break;
    char *word = p;
    p += n + (p[n] != 0);
    word[n] = 0;
    if (strcmp(word, "||") == 0) {
      *good = *good && words > 0;
      *at = p;
      return all && (!*v->pre || named);
    }
    words++;
    all = holds(word, v, &named, good) && all;
  }
  *good = *good && words > 0;
  *at = NULL;
  return all && (!*v->pre || named);
}

static bool within(const char *range, const struct version *v, bool *good) {
  char text[max_text];
  *good = range && strlen(range) < sizeof text;
  if (!*good)
    return false;
  strcpy(text, range);
  bool any = false;
  for (char *at = text; at;)
    any = all_hold(&at, v, good) || any;
  return any && *good;
}

int bt_semver_check(const char *range, struct bt_err **err) {
  struct version any = {.given = 3};
  bool good;
  within(range, &any, &good);
  return good ? 0 : bt_err_set(err, BT_INVALID, "\"%.60s\" is no range of versions, such as ~1.2, ^1 or \">=1.2 <2\"", range ? range : "");
}

bool bt_semver_in(const char *range, const char *version) {
  struct version v;
  bool good;
  return version && read_version(version, false, &v) && within(range, &v, &good);
}
