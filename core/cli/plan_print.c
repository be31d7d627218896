#include "config.h"
#include "cli/plan_print.h"

#include "base/json.h"
#include "cli/out.h"

static const struct {
  const char *action, *sign;
  enum bt_color color;
} actions[] = {{"create", "+", BT_GREEN}, {"update", "~", BT_YELLOW}, {"scale", "~", BT_YELLOW}, {"remove", "-", BT_RED}, {"keep", " ", BT_DIM}};

/* Lists and maps come as texts of JSON: quoted once more they would be hard to read. */
static void add_value(struct bt_buf *b, const json_t *value) {
  const char *string = json_string_value(value);
  BT_AUTO_FREE char *text = !value || json_is_null(value)          ? bt_strdup("(none)")
                            : string && (string[0] == '[' || string[0] == '{') ? bt_strdup(string)
                                                                : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
  BT_AUTO_BUF clean = {0};
  bt_out_clean(&clean, text ? text : "?");
  bt_buf_adds(b, clean.data);
}

static bool is_told(const json_t *value) { return value && !json_is_null(value); }

/* "PATH: FROM -> TO"; values that may be secrets are not told. */
static void add_change(const char *before, const json_t *change, bool told, bool fancy, struct bt_buf *out) {
  BT_AUTO_BUF line = {0};
  const json_t *from = json_object_get(change, "from"), *to = json_object_get(change, "to");
  bt_buf_adds(&line, before);
  bt_out_clean(&line, bt_json_str_or(change, "path", ""));
  if (told && (is_told(from) || is_told(to))) {
    bt_buf_adds(&line, ": ");
    add_value(&line, from);
    bt_buf_adds(&line, " -> ");
    add_value(&line, to);
  }
  bt_out_color(out, fancy, BT_DIM, line.data);
  bt_buf_addc(out, '\n');
}

static void add_changes(const json_t *changes, bool fancy, struct bt_buf *out) {
  size_t i;
  json_t *change;
  json_array_foreach(changes, i, change) add_change("      ", change, true, fancy, out);
}

void bt_plan_policies(const json_t *changes, bool fancy, struct bt_buf *out) {
  size_t i;
  json_t *change;
  json_array_foreach(changes, i, change) {
    BT_AUTO_BUF who = {0};
    bt_buf_adds(&who, "    policy ");
    bt_out_clean(&who, bt_json_str_or(change, "policy", "?"));
    bt_buf_adds(&who, " changes ");
    add_change(who.data, change, !strstr(bt_json_str_or(change, "path", ""), ".environment"), fancy, out);
  }
}

static void add_step(const json_t *step, const char *sign, enum bt_color color, bool fancy, struct bt_buf *out) {
  BT_AUTO_BUF line = {0};
  long long instances = bt_json_int(step, "instances", 0);
  bt_buf_addf(&line, "  %s %s %s %s", sign, bt_json_str_or(step, "action", "?"), bt_json_str_or(step, "kind", ""),
              bt_json_str_or(step, "name", ""));
  if (instances)
    bt_buf_addf(&line, " (%lld instance%s)", instances, instances == 1 ? "" : "s");
  bt_out_color(out, fancy, color, line.data);
  const char *reason = bt_json_str(step, "reason");
  const json_t *changes = bt_json_arr(step, "changes");
  bool repeats = reason && json_array_size(changes) && /* "image changed from a to b; …": what the lines below say */
                 bt_starts(reason, bt_json_str_or(json_array_get(changes, 0), "path", "?"));
  if (reason && *reason && !repeats) {
    bt_buf_adds(out, ": ");
    bt_out_clean(out, reason);
  }
  bt_buf_addc(out, '\n');
  if (strcmp(bt_json_str_or(step, "action", ""), "scale") || !reason) /* its reason has both numbers */
    add_changes(changes, fancy, out);
}

size_t bt_plan_print(const json_t *plan, bool all, bool fancy, struct bt_buf *out) {
  size_t i, changing = 0;
  json_t *step;
  json_array_foreach(plan, i, step) {
    const char *action = bt_json_str_or(step, "action", "");
    bool keep = strcmp(action, "keep") == 0;
    changing += !keep;
    for (size_t a = 0; a < BT_COUNT(actions) && (all || !keep); a++)
      if (strcmp(actions[a].action, action) == 0)
        add_step(step, actions[a].sign, actions[a].color, fancy, out);
  }
  return changing;
}
