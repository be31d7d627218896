#include "config.h"

#include "plan/place.h"

#include <stdio.h>
#include <strings.h>

#include "base/json.h"

struct constraint {
  char key[96];
  const char *value;
  bool equal;
};

static bool parse(const char *text, struct constraint *out) {
  const char *op = strstr(text, "==");
  out->equal = op != NULL;
  if (!op)
    op = strstr(text, "!=");
  if (!op)
    return false;
  const char *end = op;
  while (end > text && end[-1] == ' ')
    end--;
  while (*text == ' ')
    text++;
  if (end <= text || (size_t)(end - text) >= sizeof out->key)
    return false;
  memcpy(out->key, text, (size_t)(end - text));
  out->key[end - text] = '\0';
  for (op += 2; *op == ' ';)
    op++;
  out->value = op;
  return true;
}

static bool known(const char *key) {
  static const char *const keys[] = {"node.id", "node.hostname", "node.role", "node.platform.os", "node.platform.arch"};
  for (size_t i = 0; i < BT_COUNT(keys); i++)
    if (bt_streq(key, keys[i]))
      return true;
  return (bt_starts(key, "node.labels.") && key[12]) || (bt_starts(key, "engine.labels.") && key[14]);
}

int bt_place_check(const char *constraint, struct bt_err **err) {
  struct constraint c;
  if (!parse(constraint, &c))
    return bt_err_set(err, BT_INVALID, "placement constraint \"%s\": write key == value or key != value", constraint);
  if (!known(c.key))
    return bt_err_set(err, BT_INVALID,
                      "placement constraint \"%s\": %s is none of node.id, node.hostname, node.role, node.platform.os, "
                      "node.platform.arch, node.labels.X, engine.labels.X",
                      constraint, c.key);
  return 0;
}

static const char *actual(const struct bt_place_node *node, const char *key) {
  const json_t *labels = bt_json_obj(node->info, "labels");
  if (bt_streq(key, "node.id") || bt_streq(key, "node.hostname"))
    return node->name;
  if (bt_streq(key, "node.role"))
    return bt_json_str_or(labels, "role", "worker");
  if (bt_streq(key, "node.platform.os"))
    return bt_json_str_or(node->info, "os", "linux");
  if (bt_streq(key, "node.platform.arch"))
    return bt_json_str_or(node->info, "arch", "");
  return bt_json_str_or(labels, strstr(key, "labels.") + 7, "");
}

static bool constraints_met(const struct bt_service *s, const struct bt_place_node *node, char *why, size_t size) {
  for (size_t i = 0; i < s->constraints.len; i++) {
    struct constraint c;
    if (!parse(s->constraints.items[i], &c) || !known(c.key)) {
      snprintf(why, size, "its placement constraint \"%s\" is not understood", s->constraints.items[i]);
      return false;
    }
    const char *is = actual(node, c.key);
    if ((strcasecmp(is, c.value) == 0) != c.equal) {
      snprintf(why, size, "no node meets the constraint %s (%s has \"%s\")", s->constraints.items[i], node->name, is);
      return false;
    }
  }
  return true;
}

static bool has_room(const struct bt_service *s, const struct bt_place_node *node, char *why, size_t size) {
  if (s->max_per_node > 0 && node->siblings >= s->max_per_node) {
    snprintf(why, size, "%s has %d of its instances, as many as max_replicas_per_node allows", node->name, node->siblings);
    return false;
  }
  double cpus = bt_json_num(node->info, "cpus", 0);
  int64_t memory = bt_json_int(node->info, "memory", 0);
  if (cpus > 0 && s->reserved.cpus > 0 && node->cpus_used + s->reserved.cpus > cpus + 1e-9) {
    snprintf(why, size, "it reserves %g cpus, and %s has %g of %g left", s->reserved.cpus, node->name, cpus - node->cpus_used, cpus);
    return false;
  }
  if (memory > 0 && s->reserved.memory > 0 && node->memory_used + s->reserved.memory > memory) {
    snprintf(why, size, "it reserves %lld MiB of memory, and %s has %lld of %lld MiB left", (long long)s->reserved.memory >> 20, node->name,
             (long long)(memory - node->memory_used) >> 20, (long long)memory >> 20);
    return false;
  }
  return true;
}

static bool ports_free(const struct bt_service *s, const struct bt_place_node *node, char *why, size_t size) {
  bt_vec_each(&s->ports, port) {
    if (port->ingress || port->published == 0 || port->published != port->published_end || !node->port_owner)
      continue;
    char key[32];
    snprintf(key, sizeof key, "%.8s/%d", port->protocol, port->published);
    const char *owner = node->port_owner(node->arg, key);
    if (owner) {
      snprintf(why, size, "port %d/%s of %s is taken by %s", port->published, port->protocol, node->name, owner);
      return false;
    }
  }
  return true;
}

int bt_place(const struct bt_service *s, const struct bt_place_node *nodes, size_t n, char *why, size_t size) {
  int best = -1;
  snprintf(why, size, "no node is ready");
  for (size_t i = 0; i < n; i++) {
    const struct bt_place_node *node = &nodes[i];
    if (!node->ready || !constraints_met(s, node, why, size) || !has_room(s, node, why, size) || !ports_free(s, node, why, size))
      continue;
    if (best < 0 || node->instances < nodes[best].instances)
      best = (int)i;
  }
  return best;
}
