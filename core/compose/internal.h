/* Inside the Compose loader: what its stages share. Not for other rooms. The reference whose results ours must equal is
 * compose-go v2.14.0 (its schema is the specification's that we check against). */
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
  struct bt_map *warned;  /* variables whose absence was told already */
  struct bt_strs profiles; /* those asked for: the options', or else COMPOSE_PROFILES of the environment or of an env file */
  size_t budget;          /* bytes that variables may still expand to */
  size_t nodes;           /* values that files, extends and include may still bring */
  size_t files;           /* files that may still be read */
};

/* The value of a secret that comes from a variable travels under this key of the secret (a config's goes to "content"),
 * because an included file has variables of its own. normalise takes it into result->contents and removes it. */
#define BT_COMPOSE_VALUE_KEY "x-#value"

/* --- stages up to one merged tree (load.c, interpolate.c, dotenv.c, include.c, extends.c, merge.c, reset.c) --- */

/* Short forms to long ones, one for one as the reference's transform step: ports (one entry for each port of a range),
 * volumes, env_file, label_file, depends_on, networks and models of a service, build, build.secrets, secrets, configs,
 * devices, gpus, ulimits, dns, extends, external. Without defaults, so that merging the next file still sees what was left
 * out. Idempotent: called again after every merge. 0, or -1 with errors. */
int bt_compose_canonical(struct bt_load *load, struct bt_yaml *tree);
/* Makes the relative host paths of a canonical tree absolute against dir, as the reference does. Idempotent. */
void bt_compose_resolve_paths(struct bt_load *load, struct bt_yaml *tree, const char *dir);
/* "~/x" and relative paths against dir, cleaned. The caller frees. */
char *bt_compose_abs_path(struct bt_load *load, const char *dir, const char *path);
const char *bt_compose_intern(struct bt_load *load, const char *path);
/* Reads through the source, records the path in files_read, caps at 3 MiB. */
int bt_compose_read(struct bt_load *load, const char *path, char **out, size_t *len, struct bt_err **err);
/* The value of NAME for interpolation: the environment, then .env. NULL where unset. Records env_used. */
const char *bt_compose_var(struct bt_load *load, const char *name);
/* Interpolates one text ("$V ${V:-d} …"): 0 and *out (the caller frees), or -1 with an error at loc. */
int bt_compose_interpolate(struct bt_load *load, const char *text, struct bt_loc loc, char **out);
/* Tells once a load that a variable is not set. */
void bt_compose_warn_unset(struct bt_load *load, struct bt_loc loc, const char *name);
/* A scalar as the reference prints it where it becomes text: 1.0 is "1", 1000000.0 is "1e+06", true is "true", null is "".
 * The caller frees. */
char *bt_compose_scalar_text(const struct bt_yaml *node);
/* Parses the text of an env file (docker compose's dialect: export, quotes, escapes, comments, multi-line quoted values,
 * interpolation from lookup) into vars (NAME -> char *, insertion order). NAME without "=" takes the environment's value. */
int bt_compose_dotenv(struct bt_load *load, const char *text, size_t len, const char *path, struct bt_map *vars);
/* The same with the caller's own lookup in place of the environment: for env_file of a service (the project's variables,
 * then the service's environment) and label_file (labels of earlier files). What the file itself sets comes after it. */
struct bt_env_lookup {
  const char *(*get)(void *arg, const char *name); /* borrowed until the next call; NULL where unset */
  void *arg;
};
int bt_compose_env_text(struct bt_load *load, const char *text, size_t len, const char *path,
                        const struct bt_env_lookup *lookup, struct bt_map *vars);

/* --- stages over the merged tree (schema.c, normalise*.c, support.c, xberth.c) --- */

/* Checks the tree against the Compose Specification's schema; errors with places. Called after each merge, so the tree may
 * hold short and long forms side by side. */
int bt_compose_check_schema(struct bt_load *load, const struct bt_yaml *tree);
/* Canonical durations and sizes, env_file and label_file resolved, defaults (networks.default), implicit depends_on (links, volumes_from, network_mode: service:, ipc, pid), contents of secrets and configs. */
int bt_compose_normalise(struct bt_load *load, struct bt_yaml *tree);
/* Drops services of inactive profiles; a dependency on one is an error. Drops unused top-level resources as the reference does. */
int bt_compose_profiles(struct bt_load *load, struct bt_yaml *tree);
/* References to undefined networks, volumes, secrets, configs, services; cycles of depends_on; conflicting ports, names. */
int bt_compose_check_references(struct bt_load *load, const struct bt_yaml *tree);
/* Attributes Berth refuses (or, with --compat=warn, lists) by name, place and a sentence; x-berth checked. */
int bt_compose_check_support(struct bt_load *load, struct bt_yaml *tree);

#endif
