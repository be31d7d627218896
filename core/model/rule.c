#include "config.h"

#include "model/rule.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"

#define QUOTED "placement rule \"%.200s\": "

void bt_rule_free(struct bt_rule *rule) {
  free(rule->text);
  free(rule->key);
  bt_strs_free(&rule->values);
  *rule = (struct bt_rule){0};
}

static bool known(const char *key) {
  static const char *const keys[] = {"node.id",   "node.hostname",    "node.role",
                                     "node.pool", "node.platform.os", "node.platform.arch"};
  for (size_t i = 0; i < BT_COUNT(keys); i++)
    if (bt_streq(key, keys[i]))
      return true;
  return (bt_starts(key, "node.labels.") && key[12]) || (bt_starts(key, "engine.labels.") && key[14]);
}

static const char *skip(const char *p) {
  while (*p == ' ' || *p == '\t')
    p++;
  return p;
}

/* Whether the word stands at p, and where it ends. */
static bool word(const char **p, const char *text) {
  size_t n = strlen(text);
  if (strncasecmp(*p, text, n) != 0 || isalnum((unsigned char)(*p)[n]) || (*p)[n] == '_')
    return false;
  *p = skip(*p + n);
  return true;
}

static bool operator_at(const char **p, enum bt_rule_op *op) {
  static const struct {
    const char *text;
    enum bt_rule_op op;
  } signs[] = {{"==", BT_RULE_EQ}, {"!=", BT_RULE_NE}, {">=", BT_RULE_GE}, {"<=", BT_RULE_LE}, {">", BT_RULE_GT}, {"<", BT_RULE_LT}};
  for (size_t i = 0; i < BT_COUNT(signs); i++)
    if (bt_starts(*p, signs[i].text)) {
      *p = skip(*p + strlen(signs[i].text));
      *op = signs[i].op;
      return true;
    }
  bool negated = word(p, "not");
  if (word(p, "in"))
    *op = negated ? BT_RULE_NOT_IN : BT_RULE_IN;
  else if (word(p, "exists"))
    *op = negated ? BT_RULE_ABSENT : BT_RULE_EXISTS;
  else
    return false;
  return true;
}

static char *trimmed(const char *begin, const char *end) {
  begin = skip(begin);
  while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
    end--;
  return bt_strndup(begin, end > begin ? (size_t)(end - begin) : 0);
}

static int list(const char *p, struct bt_rule *out, struct bt_err **err) {
  size_t n = strlen(p);
  while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
    n--;
  if (n < 2 || p[0] != '(' || p[n - 1] != ')')
    return bt_err_set(err, BT_INVALID, QUOTED "write the values in parentheses: key in (a, b)", out->text);
  for (const char *begin = p + 1, *end = p + n - 1; begin <= end;) {
    const char *comma = memchr(begin, ',', (size_t)(end - begin));
    char *value = trimmed(begin, comma ? comma : end);
    bt_vec_push(&out->values, value);
    if (!*value)
      return bt_err_set(err, BT_INVALID, QUOTED "there is an empty value between the parentheses", out->text);
    if (out->values.len > BT_RULE_VALUES_MAX)
      return bt_err_set(err, BT_INVALID, QUOTED "more than %d values", out->text, BT_RULE_VALUES_MAX);
    begin = comma ? comma + 1 : end + 1;
  }
  return 0;
}

static int values(const char *p, struct bt_rule *out, struct bt_err **err) {
  if (out->op == BT_RULE_IN || out->op == BT_RULE_NOT_IN)
    return list(p, out, err);
  if (out->op == BT_RULE_EXISTS || out->op == BT_RULE_ABSENT)
    return *p ? bt_err_set(err, BT_INVALID, QUOTED "nothing may follow \"exists\"", out->text) : 0;
  char *value = trimmed(p, p + strlen(p));
  bt_vec_push(&out->values, value);
  return *value ? 0 : bt_err_set(err, BT_INVALID, QUOTED "a value is missing at its end", out->text);
}

static bool fits(const struct bt_rule *rule, bool compose) {
  if (compose)
    return rule->op == BT_RULE_EQ || rule->op == BT_RULE_NE;
  return !bt_rule_names_node(rule) || rule->op <= BT_RULE_NOT_IN;
}

int bt_rule_parse(const char *text, bool compose, struct bt_rule *out, struct bt_err **err) {
  *out = (struct bt_rule){.text = bt_strndup(text, strnlen(text, BT_RULE_TEXT_MAX + 1))};
  if (strlen(out->text) > BT_RULE_TEXT_MAX)
    return bt_err_set(err, BT_INVALID, QUOTED "longer than %d characters", out->text, BT_RULE_TEXT_MAX);
  const char *p = skip(out->text), *key = p;
  while (*p && !strchr(" \t=!<>", *p))
    p++;
  out->key = bt_strndup(key, (size_t)(p - key));
  p = skip(p);
  if (!*out->key || !operator_at(&p, &out->op))
    return bt_err_set(err, BT_INVALID, "placement constraint \"%.200s\": write key == value or key != value%s", out->text,
                      compose ? "" : ", key in (a, b), key not in (a, b), key exists, key not exists, or key >= 1.2");
  if (!known(out->key))
    return bt_err_set(err, BT_INVALID,
                      "placement constraint \"%.200s\": %.100s is none of node.id, node.hostname, node.role, node.pool, node.platform.os, "
                      "node.platform.arch, node.labels.X, engine.labels.X",
                      out->text, out->key);
  if (!fits(out, compose))
    return bt_err_set(err, BT_INVALID, QUOTED "%s", out->text,
                      compose ? "deploy.placement.constraints has == and != only; this one belongs under x-berth.placement.require"
                              : "a node's name can be compared with ==, !=, in and not in");
  return values(p, out, err);
}

int bt_rule_check(const char *text, bool compose, struct bt_err **err) {
  struct bt_rule rule;
  int rc = bt_rule_parse(text, compose, &rule, err);
  bt_rule_free(&rule);
  return rc;
}

bool bt_rule_names_node(const struct bt_rule *rule) { return bt_streq(rule->key, "node.id") || bt_streq(rule->key, "node.hostname"); }

/* Leading zeros do not count; of two runs of digits the longer is the greater. */
static int compare_digits(const char **a, const char **b) {
  while (**a == '0')
    (*a)++;
  while (**b == '0')
    (*b)++;
  size_t na = strspn(*a, "0123456789"), nb = strspn(*b, "0123456789");
  int order = na != nb ? (na < nb ? -1 : 1) : strncmp(*a, *b, na);
  *a += na;
  *b += nb;
  return order;
}

static bool only_zeros(const char *rest) { return rest[strspn(rest, ".0")] == '\0'; } /* 1.2 is 1.2.0 */

/* <0, 0, >0 as versions: runs of digits as numbers, the rest as text. */
static int compare(const char *a, const char *b) {
  a += (*a == 'v' || *a == 'V') && isdigit((unsigned char)a[1]);
  b += (*b == 'v' || *b == 'V') && isdigit((unsigned char)b[1]);
  while (*a && *b) {
    bool da = isdigit((unsigned char)*a), db = isdigit((unsigned char)*b);
    if (da && db) {
      int order = compare_digits(&a, &b);
      if (order)
        return order;
      continue;
    }
    int ca = tolower((unsigned char)*a), cb = tolower((unsigned char)*b);
    if (ca != cb)
      return ca < cb ? -1 : 1;
    a++;
    b++;
  }
  return only_zeros(a) && only_zeros(b) ? 0 : *a ? 1 : -1;
}

static bool listed(const struct bt_rule *rule, const char *value) {
  for (size_t i = 0; i < rule->values.len; i++)
    if (strcasecmp(rule->values.items[i], value) == 0)
      return true;
  return false;
}

bool bt_rule_holds(const struct bt_rule *rule, const char *value) {
  switch (rule->op) {
  case BT_RULE_EXISTS: return value != NULL;
  case BT_RULE_ABSENT: return value == NULL;
  case BT_RULE_NE:
  case BT_RULE_NOT_IN: return !value || !listed(rule, value);
  case BT_RULE_EQ:
  case BT_RULE_IN: return value && listed(rule, value);
  default: break;
  }
  if (!value)
    return false;
  int order = compare(value, rule->values.items[0]);
  return rule->op == BT_RULE_GE ? order >= 0 : rule->op == BT_RULE_GT ? order > 0 : rule->op == BT_RULE_LE ? order <= 0 : order < 0;
}
