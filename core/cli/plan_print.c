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
                                                                : bt_json_text(value);
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

void bt_plan_defaults(const json_t *defaults, bool fancy, struct bt_buf *out) {
  size_t i;
  json_t *o;
  json_array_foreach(defaults, i, o) {
    BT_AUTO_BUF line = {0};
    bt_buf_addf(&line, "    namespace %s fills in %s of %s: ", bt_json_str_or(o, "namespace", "?"), bt_json_str_or(o, "path", "?"), bt_json_str_or(o, "service", "?"));
    add_value(&line, json_object_get(o, "value"));
    bt_out_color(out, fancy, BT_DIM, line.data);
    bt_buf_addc(out, '\n');
  }
}

static void add_step(const json_t *step, const char *sign, enum bt_color color, bool fancy, struct bt_buf *out) {
  BT_AUTO_BUF line = {0};
  long long instances = bt_json_int(step, "instances", 0);
  bt_buf_addf(&line, "  %s %s %s %s", sign, bt_json_str_or(step, "action", "?"), bt_json_str_or(step, "kind", ""),
              bt_json_str_or(step, "name", ""));
  if (bt_json_bool(step, "per_node", false))
    bt_buf_adds(&line, " (one per node)");
  else if (instances)
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
  if (bt_json_str(step, "way")) {
    bt_buf_adds(out, "      ");
    bt_out_clean(out, bt_json_str(step, "way"));
    bt_buf_addc(out, '\n');
  }
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

/* ---- where it would go ---- */

static void add_place(const json_t *service, bool fancy, struct bt_buf *out) {
  BT_AUTO_BUF line = {0};
  const char *node;
  json_t *n;
  size_t i = 0;
  bt_buf_addf(&line, "    %s:", bt_json_str_or(service, "service", ""));
  json_object_foreach(bt_json_obj(service, "nodes"), node, n) bt_buf_addf(&line, "%s %lld on %s", i++ ? "," : "", (long long)json_integer_value(n), node);
  if (i == 0)
    return;
  bt_buf_addf(&line, " (%s)", bt_json_str_or(service, "rule", ""));
  bt_out_color(out, fancy, BT_DIM, line.data);
  bt_buf_addc(out, '\n');
}

static void add_unplaced(const json_t *service, bool fancy, struct bt_buf *out) {
  BT_AUTO_BUF line = {0};
  long long unplaced = bt_json_int(service, "unplaced", 0), all = bt_json_int(service, "instances", 0);
  if (unplaced == 0 && !bt_json_str(service, "reason"))
    return;
  bt_buf_addf(&line, "  ! %s: ", bt_json_str_or(service, "service", ""));
  if (all == 0)
    bt_buf_adds(&line, "no node takes it now: ");
  else if (unplaced == all)
    bt_buf_addf(&line, all == 1 ? "its instance has no place: " : "none of %lld instances has a place: ", all);
  else
    bt_buf_addf(&line, "%lld of %lld instances %s no place: ", unplaced, all, unplaced == 1 ? "has" : "have");
  bt_out_clean(&line, bt_json_str_or(service, "reason", "?"));
  bt_out_color(out, fancy, BT_RED, line.data);
  bt_buf_addc(out, '\n');
  if (bt_json_str(service, "mend")) {
    bt_buf_addf(out, "    %s would fit with ", unplaced > 1 ? "One more" : "It");
    bt_out_clean(out, bt_json_str(service, "mend"));
    bt_buf_addc(out, '\n');
  }
}

void bt_plan_victims(const json_t *service, bool fancy, struct bt_buf *out) {
  size_t i;
  json_t *v;
  json_array_foreach(bt_json_arr(service, "preempts"), i, v) {
    BT_AUTO_BUF line = {0};
    const char *who = bt_json_str(v, "instance");
    bt_buf_addf(&line, "  ! %s pushes out %s%s of %s: it has priority %lld, and %s %lld", bt_json_str_or(service, "service", ""),
                who ? who : "an instance of namespace ", who ? "" : bt_json_str_or(v, "namespace", "?"), bt_json_str_or(v, "node", "?"), bt_json_int(v, "priority", 0),
                bt_json_str_or(service, "service", ""), bt_json_int(v, "by_priority", 0));
    bt_out_color(out, fancy, BT_YELLOW, line.data);
    bt_buf_addc(out, '\n');
  }
}

/* What else is counted, where it changes: ", device gpu 0 -> 2 of 4". */
static void add_room(const json_t *before, const json_t *after, struct bt_buf *out) {
  const char *name;
  json_t *item;
  json_object_foreach((json_t *)(uintptr_t)after, name, item) {
    long long was = bt_json_int(bt_json_obj(before, name), "used", 0), is = bt_json_int(item, "used", 0), of = bt_json_int(item, "of", -1);
    bool disk = bt_streq(name, "disk");
    int shift = disk ? 20 : 0;
    if (was == is)
      continue;
    bt_buf_addf(out, ", %s %lld -> %lld", name, was >> shift, is >> shift);
    if (of >= 0)
      bt_buf_addf(out, " of %lld", of >> shift);
    bt_buf_adds(out, disk ? " MiB" : "");
  }
}

static void add_node(const json_t *node, bool fancy, struct bt_buf *out) {
  BT_AUTO_BUF line = {0};
  const json_t *before = bt_json_obj(node, "before"), *after = bt_json_obj(node, "after");
  if (json_equal(before, after))
    return;
  bt_buf_addf(&line, "    node %s: reserved cpus %.3g -> %.3g of %.3g, memory %lld -> %lld of %lld MiB", bt_json_str_or(node, "node", ""),
              bt_json_num(before, "cpus", 0), bt_json_num(after, "cpus", 0), bt_json_num(node, "cpus", 0),
              (long long)bt_json_int(before, "memory", 0) >> 20, (long long)bt_json_int(after, "memory", 0) >> 20,
              (long long)bt_json_int(node, "memory", 0) >> 20);
  add_room(bt_json_obj(before, "room"), bt_json_obj(after, "room"), &line);
  bt_out_color(out, fancy, BT_DIM, line.data);
  bt_buf_addc(out, '\n');
}

static void add_quota(const json_t *row, bool fancy, struct bt_buf *out) {
  BT_AUTO_BUF line = {0};
  const char *resource = bt_json_str_or(row, "resource", "");
  bool memory = bt_streq(resource, "memory");
  double unit = memory ? 1 << 20 : 1;
  if (json_equal(json_object_get(row, "before"), json_object_get(row, "after")))
    return;
  bt_buf_addf(&line, "    quota of namespace %s: %s %.6g -> %.6g of %.6g%s", bt_json_str_or(row, "namespace", ""), resource, bt_json_num(row, "before", 0) / unit,
              bt_json_num(row, "after", 0) / unit, bt_json_num(row, "limit", 0) / unit, memory ? " MiB" : "");
  bt_out_color(out, fancy, BT_DIM, line.data);
  bt_buf_addc(out, '\n');
}

void bt_plan_forecast(const json_t *forecast, bool fancy, struct bt_buf *out) {
  const json_t *services = bt_json_arr(forecast, "services"), *nodes = bt_json_arr(forecast, "nodes");
  size_t i;
  json_t *item;
  if (json_array_size(nodes) > 1)
    json_array_foreach(services, i, item) add_place(item, fancy, out);
  json_array_foreach(nodes, i, item) add_node(item, fancy, out);
  json_array_foreach(bt_json_arr(forecast, "quota"), i, item) add_quota(item, fancy, out);
  json_array_foreach(services, i, item) bt_plan_victims(item, fancy, out);
  json_array_foreach(services, i, item) add_unplaced(item, fancy, out);
}

long long bt_plan_unplaced(const json_t *forecast) {
  long long n = 0;
  size_t i;
  json_t *item;
  json_array_foreach(bt_json_arr(forecast, "services"), i, item) n += bt_json_int(item, "unplaced", 0);
  return n;
}
