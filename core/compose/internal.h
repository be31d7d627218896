/* Inside the Compose loader: what its stages share. Not for other rooms. */
#ifndef BT_COMPOSE_INTERNAL_H
#define BT_COMPOSE_INTERNAL_H

#include "base/yaml.h"
#include "compose/compose.h"

/* One load. File names that places borrow live as long as the load (names). */
struct bt_load {
  const struct bt_compose_source *source;
  const struct bt_compose_options *options;
  struct bt_compose_result *result;
  struct bt_diags *diags; /* = &result->diags */
  struct bt_map *names;   /* interned path strings */
  struct bt_map *dotenv;  /* NAME -> value from .env or --env-file; the environment wins over it */
  int depth;              /* of include and extends */
};

/* --- stages up to one merged tree (load.c, interpolate.c, dotenv.c, include.c, extends.c, merge.c, reset.c) --- */

/* All files read, interpolated, included, extended and merged into one tree, relative paths still as written but with each
 * file's own folder already applied where the specification says so (build contexts, env_file, volumes, secrets' files,
 * of included and extended files are made absolute). NULL with errors in load->diags. */
struct bt_yaml *bt_compose_merge_all(struct bt_load *load);
const char *bt_compose_intern(struct bt_load *load, const char *path);
/* Reads through the source, records the path in files_read, caps at 3 MiB. */
int bt_compose_read(struct bt_load *load, const char *path, char **out, size_t *len, struct bt_err **err);
/* The value of NAME for interpolation: the environment, then .env. NULL where unset. Records env_used. */
const char *bt_compose_var(struct bt_load *load, const char *name);
/* Interpolates one text ("$V ${V:-d} …"): 0 and *out (the caller frees), or -1 with an error at loc. */
int bt_compose_interpolate(struct bt_load *load, const char *text, struct bt_loc loc, char **out);
/* Parses the text of an env file (docker compose's dialect: export, quotes, escapes, comments, multi-line quoted values,
 * interpolation from lookup) into vars (NAME -> char *, insertion order). NAME without "=" takes the environment's value. */
int bt_compose_dotenv(struct bt_load *load, const char *text, size_t len, const char *path, struct bt_map *vars);

/* --- stages over the merged tree (schema.c, normalise*.c, support.c, xberth.c) --- */

/* Checks the tree against the Compose Specification's schema; errors with places. */
int bt_compose_check_schema(struct bt_load *load, const struct bt_yaml *tree);
/* Long forms, canonical durations and sizes, env_file and label_file resolved, defaults (networks.default), absolute
 * paths, implicit depends_on (links, volumes_from, network_mode: service:, ipc, pid), contents of secrets and configs. */
int bt_compose_normalise(struct bt_load *load, struct bt_yaml *tree);
/* Drops services of inactive profiles; a dependency on one is an error. Drops unused top-level resources as the reference does. */
int bt_compose_profiles(struct bt_load *load, struct bt_yaml *tree);
/* References to undefined networks, volumes, secrets, configs, services; cycles of depends_on; conflicting ports, names. */
int bt_compose_check_references(struct bt_load *load, const struct bt_yaml *tree);
/* Attributes Berth refuses (or, with --compat=warn, lists) by name, place and a sentence; x-berth checked. */
int bt_compose_check_support(struct bt_load *load, struct bt_yaml *tree);

#endif
