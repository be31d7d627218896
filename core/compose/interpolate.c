#include "config.h"
#include "compose/stages.h"

#include "compose/template.h"

struct at {
  struct bt_load *load;
  struct bt_loc loc;
};

static const char *get_var_at(void *arg, const char *name) { return bt_compose_var(((struct at *)arg)->load, name); }
static void warn_at(void *arg, const char *name) {
  struct at *at = arg;
  bt_compose_warn_unset(at->load, at->loc, name);
}

static int expand(struct bt_load *load, const char *text, struct bt_loc loc, char **out, struct bt_err **err) {
  struct at at = {load, loc};
  struct bt_template_vars vars = {get_var_at, warn_at, &at, &load->budget};
  return bt_template_expand(&vars, text, out, err);
}

void bt_compose_warn_unset(struct bt_load *load, struct bt_loc loc, const char *name) {
  if (bt_map_get(load->warned, name))
    return;
  bt_map_set(load->warned, name, load);
  bt_diag_warn(load->diags, loc, "the variable \"%s\" is not set; it becomes an empty string", name);
}

int bt_compose_interpolate(struct bt_load *load, const char *text, struct bt_loc loc, char **out) {
  BT_AUTO_ERR err = NULL;
  if (expand(load, text, loc, out, &err) == 0)
    return 0;
  bt_diag_error(load->diags, loc, "%s", bt_err_message(err));
  return -1;
}

static void interpolate_scalar(struct bt_load *load, struct bt_yaml *node, struct bt_walk *at) {
  if (strchr(node->text, '$')) {
    char *text;
    BT_AUTO_ERR err = NULL;
    if (expand(load, node->text, node->loc, &text, &err)) {
      BT_AUTO_FREE char *path = bt_walk_text(at);
      bt_diag_error(load->diags, node->loc, "%s: %s", path, bt_err_message(err));
      return;
    }
    free(node->text);
    node->text = text;
  }
  bt_compose_cast(load, node, at);
}

static void walk(struct bt_load *load, struct bt_yaml *node, struct bt_walk *at) {
  if (node->kind == BT_YAML_STR) {
    interpolate_scalar(load, node, at);
  } else if (node->kind == BT_YAML_SEQ) {
    bt_walk_push(at, "[]");
    for (size_t i = 0; i < node->seq.len; i++)
      walk(load, node->seq.items[i], at);
    bt_walk_pop(at);
  } else if (node->kind == BT_YAML_MAP) {
    for (size_t i = 0; i < node->map.len; i++) {
      bt_walk_push(at, node->map.items[i].key);
      walk(load, node->map.items[i].value, at);
      bt_walk_pop(at);
    }
  }
}

int bt_compose_interpolate_tree(struct bt_load *load, struct bt_yaml *tree) {
  size_t before = load->diags->errors;
  struct bt_walk at = {.len = 0};
  walk(load, tree, &at);
  return load->diags->errors > before ? -1 : 0;
}
