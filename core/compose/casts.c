/* Strings that stand where the specification has a number or a boolean: "${REPLICAS}", "3". */
#include "config.h"

#include <math.h>
#include <stdint.h>
#include <strings.h>

#include "compose/stages.h"

enum cast { TO_INT, TO_FLOAT, TO_BOOL };

static const struct cast_rule {
  const char *pattern;
  enum cast cast;
} rules[] = {
    {"services.*.cpu_count", TO_INT},
    {"services.*.cpu_percent", TO_FLOAT},
    {"services.*.cpu_period", TO_INT},
    {"services.*.cpu_quota", TO_INT},
    {"services.*.cpu_rt_period", TO_INT},
    {"services.*.cpu_rt_runtime", TO_INT},
    {"services.*.cpus", TO_FLOAT},
    {"services.*.cpu_shares", TO_INT},
    {"services.*.init", TO_BOOL},
    {"services.*.depends_on.*.required", TO_BOOL},
    {"services.*.depends_on.*.restart", TO_BOOL},
    {"services.*.deploy.replicas", TO_INT},
    {"services.*.deploy.update_config.parallelism", TO_INT},
    {"services.*.deploy.update_config.max_failure_ratio", TO_FLOAT},
    {"services.*.deploy.rollback_config.parallelism", TO_INT},
    {"services.*.deploy.rollback_config.max_failure_ratio", TO_FLOAT},
    {"services.*.deploy.restart_policy.max_attempts", TO_INT},
    {"services.*.deploy.placement.max_replicas_per_node", TO_INT},
    {"services.*.healthcheck.retries", TO_INT},
    {"services.*.healthcheck.disable", TO_BOOL},
    {"services.*.oom_kill_disable", TO_BOOL},
    {"services.*.oom_score_adj", TO_INT},
    {"services.*.pids_limit", TO_INT},
    {"services.*.ports.[].target", TO_INT},
    {"services.*.privileged", TO_BOOL},
    {"services.*.read_only", TO_BOOL},
    {"services.*.scale", TO_INT},
    {"services.*.stdin_open", TO_BOOL},
    {"services.*.tty", TO_BOOL},
    {"services.*.ulimits.*", TO_INT},
    {"services.*.ulimits.*.hard", TO_INT},
    {"services.*.ulimits.*.soft", TO_INT},
    {"services.*.volumes.[].read_only", TO_BOOL},
    {"services.*.volumes.[].volume.nocopy", TO_BOOL},
    {"networks.*.external", TO_BOOL},
    {"networks.*.internal", TO_BOOL},
    {"networks.*.attachable", TO_BOOL},
    {"networks.*.enable_ipv4", TO_BOOL},
    {"networks.*.enable_ipv6", TO_BOOL},
    {"volumes.*.external", TO_BOOL},
    {"secrets.*.external", TO_BOOL},
    {"configs.*.external", TO_BOOL},
};

static bool to_int(struct bt_yaml *node) {
  const char *s = node->text + (*node->text == '+' && node->text[1] != '-');
  long long v;
  if (!bt_parse_i64(s, INT64_MIN, INT64_MAX, &v))
    return false;
  node->kind = BT_YAML_INT;
  node->integer = v;
  return true;
}

static bool to_float(struct bt_yaml *node) {
  char *end;
  const char *s = node->text;
  if (!*s || strspn(s, "+-.0123456789eE") != strlen(s))
    return false;
  double v = strtod(s, &end);
  if (*end || !isfinite(v))
    return false;
  node->kind = BT_YAML_FLOAT;
  node->real = v;
  return true;
}

static bool to_bool(struct bt_load *load, struct bt_yaml *node) {
  static const struct { const char *word; bool value, old; } words[] = {
      {"true", true, false}, {"false", false, false}, {"y", true, true}, {"yes", true, true},
      {"on", true, true},    {"n", false, true},      {"no", false, true}, {"off", false, true}};
  for (size_t i = 0; i < BT_COUNT(words); i++) {
    if (strcasecmp(node->text, words[i].word))
      continue;
    if (words[i].old)
      bt_diag_warn(load->diags, node->loc, "\"%s\" is no boolean in YAML 1.2; write %s", node->text,
                   words[i].value ? "true" : "false");
    node->kind = BT_YAML_BOOL;
    node->boolean = words[i].value;
    return true;
  }
  return false;
}

void bt_compose_cast(struct bt_load *load, struct bt_yaml *node, const struct bt_walk *at) {
  int i = bt_walk_find(at, rules, BT_COUNT(rules), sizeof rules[0]);
  if (i < 0)
    return;
  static const char *const wants[] = {"an integer", "a number", "a boolean"};
  enum cast cast = rules[i].cast;
  bool fits = cast == TO_INT ? to_int(node) : cast == TO_FLOAT ? to_float(node) : to_bool(load, node);
  if (fits) {
    node->plain = true;
    return;
  }
  BT_AUTO_FREE char *path = bt_walk_text(at);
  bt_diag_error(load->diags, node->loc, "%s must be %s, not \"%s\"", path, wants[cast], node->text);
}
