/* Files become one tree: each document goes through the stages in the reference's order. */
#include "config.h"

#include "base/file.h"
#include "compose/stages.h"

/* --- reading --- */

static size_t count(const struct bt_yaml *node) {
  size_t n = 1, len = node->kind == BT_YAML_SEQ ? node->seq.len : node->kind == BT_YAML_MAP ? node->map.len : 0;
  for (size_t i = 0; i < len; i++)
    n += count(node->kind == BT_YAML_SEQ ? node->seq.items[i] : node->map.items[i].value);
  return n;
}

int bt_compose_charge(struct bt_load *load, const struct bt_yaml *tree, struct bt_loc loc) {
  size_t n = count(tree);
  if (n <= load->nodes) {
    load->nodes -= n;
    return 0;
  }
  if (load->nodes) /* tell it once */
    bt_diag_error(load->diags, loc, "the files hold too many values once extends and include are resolved");
  load->nodes = 0;
  return -1;
}

void bt_source_file_free(struct bt_source_file *file) {
  for (size_t i = 0; i < file->ndocs; i++)
    bt_yaml_free(&file->docs[i]);
  free(file->docs);
  file->docs = NULL;
  file->ndocs = 0;
}

int bt_compose_parse_file(struct bt_load *load, const char *path, struct bt_loc from, struct bt_source_file *file) {
  BT_AUTO_FREE char *text = NULL;
  size_t len = 0;
  BT_AUTO_ERR err = NULL;
  file->path = bt_compose_intern(load, path);
  struct bt_loc loc = from.file ? from : (struct bt_loc){file->path, 0, 0};
  if (!load->files) {
    bt_diag_error(load->diags, loc, "too many files are read; files that include or extend each other many times over?");
    return -1;
  }
  load->files--;
  if (bt_compose_read(load, path, &text, &len, &err)) {
    bt_diag_error(load->diags, loc, "%s", bt_err_message(err));
    return -1;
  }
  if (bt_yaml_parse(text, len, file->path, NULL, &file->docs, &file->ndocs, load->diags))
    return -1;
  for (size_t i = 0; i < file->ndocs; i++)
    if (bt_compose_charge(load, file->docs[i], loc)) {
      bt_source_file_free(file);
      return -1;
    }
  return 0;
}

/* --- one document --- */

/* Empty entries of dns mean nothing (a variable that is empty). */
static void drop_empty_dns(struct bt_yaml *tree) {
  const struct bt_yaml *services = bt_yaml_get(tree, "services");
  for (size_t i = 0; services && services->kind == BT_YAML_MAP && i < services->map.len; i++) {
    struct bt_yaml *dns = bt_yaml_get(services->map.items[i].value, "dns");
    if (!dns || dns->kind != BT_YAML_SEQ)
      continue;
    size_t kept = 0;
    for (size_t j = 0; j < dns->seq.len; j++)
      if (dns->seq.items[j]->text && !*dns->seq.items[j]->text)
        bt_yaml_free(&dns->seq.items[j]);
      else
        dns->seq.items[kept++] = dns->seq.items[j];
    dns->seq.len = kept;
  }
}

static void drop_version(struct bt_load *load, struct bt_yaml *tree) {
  const struct bt_yaml_pair *pair = bt_yaml_pair(tree, "version");
  if (!pair)
    return;
  bt_diag_warn(load->diags, pair->loc, "version is obsolete and has no effect; remove it");
  struct bt_yaml *version = bt_yaml_take(tree, "version");
  bt_yaml_free(&version);
}

static int finish_merge(struct bt_load *load, struct bt_yaml *tree) {
  if (bt_compose_canonical(load, tree))
    return -1;
  drop_empty_dns(tree);
  return bt_compose_unique(load, tree, true);
}

static int apply_document(struct bt_model *model, struct bt_yaml **tree, struct bt_yaml *doc, const char *file,
                          const struct bt_reset *reset) {
  struct bt_load *load = model->load;
  BT_AUTO_YAML own = doc;
  int rc = bt_compose_interpolate_tree(load, own);
  rc |= bt_compose_include(model, own, file, reset); /* goes on after an error, so that a person sees them all */
  bt_reset_apply(reset, *tree, NULL);
  if (rc || bt_compose_extends(model, own, file, reset))
    return -1;
  size_t before = load->diags->errors;
  struct bt_walk at = {.len = 0};
  *tree = bt_compose_merge(load, *tree, bt_steal(own), &at);
  if (load->diags->errors > before || bt_compose_unique(load, *tree, false) || bt_compose_check_schema(load, *tree))
    return -1;
  drop_version(load, *tree);
  return finish_merge(load, *tree);
}

static int add_document(struct bt_model *model, struct bt_yaml **tree, struct bt_yaml *doc, const char *file) {
  if (doc->kind == BT_YAML_NULL) {
    bt_yaml_free(&doc);
    return 0;
  }
  if (doc->kind != BT_YAML_MAP) {
    bt_diag_error(model->load->diags, doc->loc, "a Compose file is a mapping (services:, …), this is a %s",
                  bt_yaml_kind_name(doc->kind));
    bt_yaml_free(&doc);
    return -1;
  }
  struct bt_reset reset = {0};
  bt_reset_collect(&reset, doc);
  int rc = apply_document(model, tree, doc, file, &reset);
  bt_reset_free(&reset);
  return rc;
}

/* --- one model --- */

struct bt_yaml *bt_compose_build_model(struct bt_model *model, struct bt_source_file *files, size_t n) {
  size_t before = model->load->diags->errors;
  BT_AUTO_YAML tree = bt_yaml_new(BT_YAML_MAP, (struct bt_loc){n ? files[0].path : NULL, 1, 1});
  model->bases = bt_map_new(bt_base_free);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < files[i].ndocs; j++) {
      struct bt_yaml *doc = files[i].docs[j];
      files[i].docs[j] = NULL;
      (void)add_document(model, &tree, doc, files[i].path); /* errors are counted below */
    }
  bt_map_free(&model->bases);
  if (model->load->diags->errors > before)
    return NULL;
  bt_compose_resolve_paths(model->load, tree, model->dir);
  bt_compose_resolve_env(model->load, tree);
  return model->load->diags->errors > before ? NULL : bt_steal(tree);
}

/* --- a file that a service extends from --- */

static int add_base_document(struct bt_model *model, struct bt_base *base, struct bt_yaml *doc) {
  struct bt_load *load = model->load;
  BT_AUTO_YAML own = doc;
  if (own->kind == BT_YAML_NULL)
    return 0;
  if (own->kind != BT_YAML_MAP) {
    bt_diag_error(load->diags, own->loc, "a Compose file is a mapping (services:, …), this is a %s", bt_yaml_kind_name(own->kind));
    return -1;
  }
  bt_reset_free(&base->reset);
  bt_reset_collect(&base->reset, own);
  size_t before = load->diags->errors;
  if (bt_compose_interpolate_tree(load, own))
    return -1;
  bt_reset_apply(&base->reset, base->tree, NULL);
  struct bt_walk at = {.len = 0};
  base->tree = bt_compose_merge(load, base->tree, bt_steal(own), &at);
  return load->diags->errors > before ? -1 : finish_merge(load, base->tree);
}

struct bt_base *bt_compose_load_base(struct bt_model *model, const char *path, struct bt_loc from) {
  struct bt_load *load = model->load;
  struct bt_base *base = bt_new(struct bt_base);
  struct bt_source_file file = {0};
  int rc = bt_compose_parse_file(load, path, from, &file);
  base->tree = bt_yaml_new(BT_YAML_MAP, (struct bt_loc){file.path, 1, 1});
  for (size_t i = 0; i < file.ndocs; i++)
    rc |= add_base_document(model, base, bt_steal(file.docs[i]));
  bt_source_file_free(&file);
  const struct bt_yaml *services = bt_yaml_get(base->tree, "services");
  if (!rc && (!services || services->kind != BT_YAML_MAP)) {
    bt_diag_error(load->diags, from, "%s has no services to extend", path);
    rc = -1;
  }
  if (rc) {
    bt_yaml_free(&base->tree);
    return base;
  }
  BT_AUTO_FREE char *dir = bt_path_dir(path);
  bt_compose_resolve_paths(load, base->tree, dir);
  return base;
}
