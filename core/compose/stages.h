/* The stages that a document goes through until it is merged; model.c calls them in order. Not for other rooms, nor for
 * what comes after the merge. */
#ifndef BT_COMPOSE_STAGES_H
#define BT_COMPOSE_STAGES_H

#include "compose/internal.h"
#include "compose/walk.h"

/* One model: the files that are merged with each other, that is those of -f or those of one include entry. */
struct bt_model {
  struct bt_load *load;
  const char *dir;          /* project folder: relative paths resolve against it */
  struct bt_map *bases;     /* path -> struct bt_base *: files that extends has read */
  const struct bt_strs *up; /* files whose include led here, outermost first */
};

/* A file as it was read. */
struct bt_source_file {
  const char *path; /* interned */
  struct bt_yaml **docs;
  size_t ndocs;
};
int bt_compose_parse_file(struct bt_load *load, const char *path, struct bt_loc from, struct bt_source_file *file);
void bt_source_file_free(struct bt_source_file *file);
/* The merged model of files that were read; frees nothing of theirs but takes their trees. NULL with errors. */
struct bt_yaml *bt_compose_build_model(struct bt_model *model, struct bt_source_file *files, size_t n);

/* interpolate.c, casts.c: every string of the tree; errors do not stop it. */
int bt_compose_interpolate_tree(struct bt_load *load, struct bt_yaml *tree);
void bt_compose_cast(struct bt_load *load, struct bt_yaml *node, const struct bt_walk *at);

/* reset.c: what a document's !reset and !override remove from what came before it. */
struct bt_reset {
  struct bt_map *paths; /* joined keys; NULL where there are none */
};
void bt_reset_collect(struct bt_reset *reset, struct bt_yaml *doc); /* also takes !reset values out of doc */
/* prefix: keys above the tree, NULL-terminated, or NULL. */
void bt_reset_apply(const struct bt_reset *reset, struct bt_yaml *tree, const char *const *prefix);
void bt_reset_free(struct bt_reset *reset);

/* include.c: brings what "include" names into the document and removes the key. */
int bt_compose_include(struct bt_model *model, struct bt_yaml *doc, const char *file, const struct bt_reset *reset);

/* extends.c: resolves "extends" of the document's services. */
struct bt_base {
  struct bt_yaml *tree;
  struct bt_reset reset;
};
void bt_base_free(void *base);
int bt_compose_extends(struct bt_model *model, struct bt_yaml *doc, const char *file, const struct bt_reset *reset);
/* model.c, for extends: one document's worth of interpolation, long forms and unique keys without include, extends, checks. */
struct bt_base *bt_compose_load_base(struct bt_model *model, const char *path, struct bt_loc from);

/* merge.c: over wins. Both are taken; the result is the caller's, also where diags got errors. at: the path of both. */
struct bt_yaml *bt_compose_merge(struct bt_load *load, struct bt_yaml *base, struct bt_yaml *over, struct bt_walk *at);
/* unique.c: of entries with the same key in sequences that have one, the last one stays, at the first one's place. It runs
 * before the schema, which refuses entries that stand twice, and again on long forms (checked), which may show more. */
int bt_compose_unique(struct bt_load *load, struct bt_yaml *tree, bool checked);

/* load.c: adds an env file's variables to vars. optional: a file that is not there is fine. */
int bt_compose_load_env(struct bt_load *load, const char *path, struct bt_loc from, bool optional, struct bt_map *vars);

/* paths.c, model.c */
/* Entries "NAME" of a service's environment list get the variable's value; so do secrets and configs with environment:. */
void bt_compose_resolve_env(struct bt_load *load, struct bt_yaml *tree);
/* Counts the tree's values against the load's budget. */
int bt_compose_charge(struct bt_load *load, const struct bt_yaml *tree, struct bt_loc loc);

#endif
