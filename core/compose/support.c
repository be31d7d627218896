#include "config.h"
#include "compose/support.h"

#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "compose/place.h"
#include "compose/values.h"

struct auditor {
  struct bt_load *load;
  struct bt_map *rows;    /* path -> const struct bt_support * */
  struct bt_map *parents; /* paths that have rows below them */
};

/* Is the word in the list? "every_*" stands for all that begin so. */
static bool listed(const char *word, const char *list) {
  for (const char *p = list; *p; p += strcspn(p, " "), p += *p == ' ') {
    size_t n = strcspn(p, " ");
    bool prefix = p[n - 1] == '*';
    if (strncmp(word, p, n - prefix) == 0 && (prefix || !word[n]))
      return true;
  }
  return false;
}

/* An attribute whose value is the default (off) asks for nothing. */
static bool asks_nothing(const struct bt_yaml *v) {
  return v->kind == BT_YAML_NULL || (v->kind == BT_YAML_BOOL && !v->boolean) || (v->kind == BT_YAML_MAP && !v->map.len) ||
         (v->kind == BT_YAML_SEQ && !v->seq.len);
}

static void refuse(struct auditor *a, const struct bt_support *row, const struct bt_yaml_pair *pair,
                   const struct bt_place *place) {
  BT_AUTO_FREE char *where = bt_place_text(place);
  BT_AUTO_FREE char *text = bt_is_scalar(pair->value) && row->values ? bt_compose_scalar_text(pair->value) : NULL;
  BT_AUTO_FREE char *value = text ? bt_asprintf(" \"%.60s\"", text) : bt_strdup("");
  bool never = row->left == BT_LEFT_NEVER;
  if (a->load->options->compat == BT_COMPAT_WARN && !never)
    bt_diag_warn(a->load->diags, pair->loc, "%s%s is left out: %s", where, value, row->refused);
  else
    bt_diag_error(a->load->diags, pair->loc, "%s%s is not offered: %s%s", where, value, row->refused,
                  never ? "" : " (--compat=warn leaves it out)");
}

static void wrong_value(struct auditor *a, const struct bt_support *row, const struct bt_yaml_pair *pair,
                        const struct bt_place *place) {
  BT_AUTO_FREE char *where = bt_place_text(place);
  BT_AUTO_BUF list = {0};
  for (const char *p = row->values; *p; p += strcspn(p, " "), p += *p == ' ')
    bt_buf_addf(&list, "%s%.*s", list.len ? ", " : "", (int)strcspn(p, " "), p);
  bt_diag_error(a->load->diags, pair->value->loc, "%s must be one of %s, not \"%.60s\"", where, list.data,
                pair->value->text ? pair->value->text : "");
}

enum verdict { STAYS, GOES, WHOLE_GOES };

static enum verdict judge(struct auditor *a, const struct bt_support *row, const struct bt_yaml_pair *pair,
                          const struct bt_place *place) {
  BT_AUTO_FREE char *text = bt_is_scalar(pair->value) ? bt_compose_scalar_text(pair->value) : bt_strdup("");
  bool in = row->values && listed(text, row->values);
  if (!row->refused) {
    if (row->values && !in)
      wrong_value(a, row, pair, place);
    return STAYS;
  }
  if (in && bt_streq(text, "false"))
    return GOES; /* off is what it is without the attribute too */
  if (in || asks_nothing(pair->value))
    return STAYS;
  refuse(a, row, pair, place);
  return row->left == BT_LEFT_ENTRY ? WHOLE_GOES : GOES;
}

static bool audit(struct auditor *a, const char *path, struct bt_yaml *n, const struct bt_place *place);

/* Below an attribute: entries of a list are looked at as the list, names as "*". true: the value is left out whole. */
static void descend(struct auditor *a, const char *path, struct bt_yaml *v, const struct bt_place *place) {
  if (v->kind == BT_YAML_SEQ) {
    size_t kept = 0;
    for (size_t i = 0; i < v->seq.len; i++)
      if (audit(a, path, v->seq.items[i], BT_PLACE_ITEM(place, i)))
        v->seq.items[kept++] = v->seq.items[i];
      else
        bt_yaml_free(&v->seq.items[i]);
    v->seq.len = kept;
    return;
  }
  BT_AUTO_FREE char *names = bt_asprintf("%s.*", path);
  if (v->kind == BT_YAML_MAP && bt_map_get(a->parents, names))
    bt_vec_each(&v->map, pair) audit(a, names, pair->value, BT_PLACE_KEY(place, pair->key));
  else
    audit(a, path, v, place);
}

/* Looks at every key of a mapping. What goes is taken out; false: the whole of it must go. */
static bool audit(struct auditor *a, const char *path, struct bt_yaml *n, const struct bt_place *place) {
  if (n->kind != BT_YAML_MAP)
    return true;
  bool whole = true;
  size_t kept = 0;
  for (size_t i = 0; i < n->map.len; i++) {
    struct bt_yaml_pair *pair = &n->map.items[i];
    const struct bt_place *here = BT_PLACE_KEY(place, pair->key);
    BT_AUTO_FREE char *inner = bt_asprintf("%s.%s", path, pair->key);
    const struct bt_support *row = bt_map_get(a->rows, inner);
    enum verdict verdict = row ? judge(a, row, pair, here) : STAYS;
    whole = whole && verdict != WHOLE_GOES;
    if (verdict == STAYS && bt_map_get(a->parents, inner))
      descend(a, inner, pair->value, here);
    if (bt_streq(pair->key, "x-berth") && !row) {
      BT_AUTO_FREE char *where = bt_place_text(here);
      bt_diag_error(a->load->diags, pair->loc, "%s means nothing here; x-berth belongs to a service", where);
    }
    if (verdict == STAYS) {
      n->map.items[kept++] = *pair;
    } else {
      free(pair->key);
      bt_yaml_free(&pair->value);
    }
  }
  n->map.len = kept;
  return whole;
}

static void index_rows(struct auditor *a) {
  for (size_t i = 0; i < bt_support_rows; i++) {
    const char *path = bt_support_table[i].path;
    bt_map_set(a->rows, path, (void *)(uintptr_t)&bt_support_table[i]);
    for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.')) {
      BT_AUTO_FREE char *parent = bt_strndup(path, (size_t)(dot - path));
      bt_map_set(a->parents, parent, a);
    }
  }
}

static void audit_all(struct auditor *a, struct bt_yaml *tree) {
  static const char *const kinds[][2] = {{"services", "service"}, {"networks", "network"}, {"volumes", "volume"},
                                         {"secrets", "secret"},   {"configs", "config"}};
  struct bt_place top = {NULL, "", 0};
  audit(a, "file", tree, &top);
  for (size_t i = 0; i < BT_COUNT(kinds); i++) {
    const struct bt_yaml *map = bt_yaml_get(tree, kinds[i][0]);
    const struct bt_place *under = BT_PLACE_KEY(&top, kinds[i][0]);
    if (map && map->kind == BT_YAML_MAP)
      bt_vec_each(&map->map, pair) audit(a, kinds[i][1], pair->value, BT_PLACE_KEY(under, pair->key));
  }
}

/* docker compose takes the words of "restart" here too, and real files have them. */
static void mend_condition(struct bt_load *load, const struct bt_yaml *service, const char *name) {
  const struct bt_yaml *policy = bt_yaml_get(bt_yaml_get(service, "deploy"), "restart_policy");
  struct bt_yaml *n = bt_yaml_get(policy, "condition");
  if (!n || (!bt_streq(n->text, "always") && !bt_streq(n->text, "unless-stopped")))
    return;
  bt_diag_warn(load->diags, n->loc, "services.%s.deploy.restart_policy.condition \"%s\" is a word of \"restart\"; here it is taken "
               "as \"any\"", name, n->text);
  bt_node_become(n, bt_yaml_str("any", n->loc));
}

/* A service whose network_mode was left out is on the default network, as if it had never had one. */
static void mend_networks(struct bt_load *load, struct bt_yaml *tree, struct bt_yaml *service) {
  if (bt_yaml_get(service, "network_mode") || bt_yaml_get(service, "networks"))
    return;
  struct bt_loc loc = service->loc;
  struct bt_yaml *joined = bt_yaml_new(BT_YAML_MAP, loc);
  bt_yaml_set(joined, "default", loc, bt_yaml_new(BT_YAML_NULL, loc));
  bt_yaml_set(service, "networks", loc, joined);
  if (!bt_yaml_get(tree, "networks"))
    bt_yaml_set(tree, "networks", loc, bt_yaml_new(BT_YAML_MAP, loc));
  struct bt_yaml *networks = bt_yaml_get(tree, "networks");
  if (bt_yaml_get(networks, "default"))
    return;
  struct bt_yaml *network = bt_yaml_new(BT_YAML_MAP, loc);
  BT_AUTO_FREE char *name = bt_asprintf("%s_default", load->result->name);
  bt_yaml_set(network, "name", loc, bt_yaml_str(name, loc));
  bt_yaml_set(network, "ipam", loc, bt_yaml_new(BT_YAML_MAP, loc));
  bt_yaml_set(networks, "default", loc, network);
}

int bt_compose_check_support(struct bt_load *load, struct bt_yaml *tree) {
  size_t before = load->diags->errors;
  BT_AUTO_MAP rows = bt_map_new(NULL);
  BT_AUTO_MAP parents = bt_map_new(NULL);
  struct auditor a = {load, rows, parents};
  index_rows(&a);
  const struct bt_yaml *services = bt_yaml_get(tree, "services");
  if (services && services->kind == BT_YAML_MAP)
    bt_vec_each(&services->map, pair) mend_condition(load, pair->value, pair->key);
  audit_all(&a, tree);
  if (services && services->kind == BT_YAML_MAP)
    bt_vec_each(&services->map, pair) {
      struct bt_yaml *xberth = bt_yaml_get(pair->value, "x-berth");
      if (xberth)
        bt_compose_check_xberth(load, xberth, pair->key);
      mend_networks(load, tree, pair->value);
    }
  bt_compose_check_rules(load, tree);
  return load->diags->errors > before ? -1 : 0;
}
