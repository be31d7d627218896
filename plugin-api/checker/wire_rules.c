#include "config.h"
#include "wire_rules.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"

/* Members as letters: their types in lower case where they may be left out, in upper case where not. */
struct member {
  const char *name;
  char type; /* s text, i integer, b boolean, n number, o object, a list */
};
struct rule {
  const char *type;
  bool fresh; /* its id is one that was not used before */
  struct member members[8];
};

static const struct rule rules_of[] = {
    {"hello", false, {{"wire", 'I'}, {"manifest", 'O'}, {"reload", 'b'}, {"validate", 'b'}}},
    {"refused", false, {{"message", 'S'}}},
    {"done", false, {{"id", 'I'}, {"code", 's'}, {"message", 's'}, {"step", 's'}, {"yes", 'b'}}},
    {"pong", false, {{"id", 'I'}}},
    {"emit", false, {{"op", 'I'}, {"channel", 'I'}}},
    {"finish", false, {{"op", 'I'}, {"code", 's'}, {"message", 's'}, {"result", 'o'}}},
    {"taken", false, {{"op", 'I'}, {"bytes", 'I'}, {"waiting", 'i'}}},
    {"log", false, {{"level", 's'}, {"text", 'S'}}},
    {"kv.put", true, {{"id", 'I'}, {"key", 'S'}, {"delete", 'b'}}},
    {"kv.scan", true, {{"id", 'I'}, {"prefix", 's'}}},
    {"secret.get", true, {{"id", 'I'}, {"name", 'S'}}},
    {"query.get", true, {{"id", 'I'}, {"path", 'S'}}},
    {"metrics.set", false, {{"name", 'S'}, {"help", 's'}, {"kind", 's'}, {"labels", 'o'}, {"value", 'N'}}},
    {"metrics.collect", true, {{"id", 'I'}, {"max_age_ms", 'i'}}},
    {"events.subscribe", true, {{"id", 'I'}, {"after", 'i'}}},
    {"events.taken", false, {{"id", 'I'}, {"count", 'I'}}},
    {"events.unsubscribe", false, {{"id", 'I'}}},
    {"events.publish", false, {{"type", 'S'}, {"severity", 'S'}, {"message", 'S'}, {"data_json", 's'}}},
    {"routes.add", true, {{"id", 'I'}, {"method", 'S'}, {"path", 'S'}, {"summary", 's'}, {"open", 'b'}}},
    {"routes.remove", false, {{"id", 'I'}}},
    {"respond", false, {{"op", 'I'}, {"status", 'I'}, {"headers", 'a'}}},
    {"http.request", true, {{"id", 'I'}, {"url", 'S'}, {"method", 's'}, {"headers", 'a'}, {"body", 'b'}, {"timeout_ms", 'i'}, {"max_body", 'i'}}},
    {"http.taken", false, {{"id", 'I'}, {"bytes", 'I'}}},
    {"http.body", false, {{"id", 'I'}, {"end", 'b'}, {"abort", 'b'}}},
    {"http.cancel", false, {{"id", 'I'}}},
    {"http.upgrade", true, {{"id", 'I'}, {"url", 'S'}, {"method", 's'}, {"headers", 'a'}}},
    {"http.write", false, {{"id", 'I'}}},
    {"http.close_write", false, {{"id", 'I'}}}};

struct wire_rules {
  struct bt_map *ids; /* that were used */
};

struct wire_rules *wire_rules_new(void) {
  struct wire_rules *r = bt_new(struct wire_rules);
  r->ids = bt_map_new(NULL);
  return r;
}

void wire_rules_free(struct wire_rules **rules) {
  if (*rules)
    bt_map_free(&(*rules)->ids);
  free(*rules);
  *rules = NULL;
}

static const struct rule *rule_of(const char *type) {
  for (size_t i = 0; i < BT_COUNT(rules_of); i++)
    if (strcmp(rules_of[i].type, type) == 0)
      return &rules_of[i];
  return NULL;
}

bool wire_rules_fatal(const struct bt_message *m) { return !rule_of(m->type); }

static bool fits(const json_t *v, char type) {
  switch (type) {
  case 's':
    return json_is_string(v);
  case 'i':
    return json_is_integer(v);
  case 'b':
    return json_is_boolean(v);
  case 'n':
    return json_is_number(v);
  case 'o':
    return json_is_object(v);
  default:
    return json_is_array(v);
  }
}

static const char *word(char type) {
  return type == 's' ? "text" : type == 'i' ? "an integer" : type == 'b' ? "true or false" : type == 'n' ? "a number" : type == 'o' ? "an object" : "a list";
}

/* A code that the wire knows, wherever there is one. */
static char *judge_code(const struct bt_message *m) {
  static const char *const codes[] = {"ok",        "invalid",   "not_found",   "conflict", "unauthenticated", "denied", "unsupported",
                                      "too_large", "exhausted", "unavailable", "deadline", "cancelled",       "io",     "internal"};
  const char *code = bt_json_str(m->head, "code");
  for (size_t i = 0; code && i < BT_COUNT(codes); i++)
    if (strcmp(codes[i], code) == 0)
      return NULL;
  return code ? bt_asprintf("%s: there is no code \"%.40s\"", m->type, code) : NULL;
}

static char *judge_id(struct wire_rules *r, const struct bt_message *m) {
  char text[32];
  long long id = bt_json_int(m->head, "id", 0);
  snprintf(text, sizeof text, "%lld", id);
  if (id <= 0)
    return bt_asprintf("%s: its id is %lld; an id is an integer over 0", m->type, id);
  if (bt_map_get(r->ids, text))
    return bt_asprintf("%s: the id %lld was used before: a plug-in does not use one twice", m->type, id);
  bt_map_set(r->ids, text, r);
  return NULL;
}

char *wire_rules_judge(struct wire_rules *r, const struct bt_message *m) {
  const struct rule *rule = rule_of(m->type);
  if (!rule)
    return bt_asprintf("there is no message \"%.64s\"", m->type);
  for (const struct member *x = rule->members; x->name; x++) {
    const json_t *v = json_object_get(m->head, x->name);
    bool needed = x->type < 'a', absent = !v || json_is_null(v);
    char type = (char)(x->type | 0x20);
    if (needed && absent)
      return bt_asprintf("%s: it has no %s", m->type, x->name);
    if (!absent && !fits(v, type))
      return bt_asprintf("%s: its %s is not %s", m->type, x->name, word(type));
  }
  char *wrong = judge_code(m);
  return wrong || !rule->fresh ? wrong : judge_id(r, m);
}
