/* Compose files to a canonical model, after the Compose Specification. Pure: every file and variable comes through the
 * caller's functions, so the same loader serves the command line (real files), the server (a bundle that a client sent)
 * and the fuzzer. Thread-safe: no globals; call it from a worker, a large file takes tens of milliseconds.
 *
 * Order per file, as in the reference loader: parse, interpolate, include, reset, extends, merge; then over the whole:
 * schema, normalise, profiles, what Berth refuses. */
#ifndef BT_COMPOSE_COMPOSE_H
#define BT_COMPOSE_COMPOSE_H

#include <jansson.h>

#include "base/diag.h"
#include "base/map.h"
#include "base/vec.h"

/* Where files and variables come from. Paths are absolute and clean. */
struct bt_compose_source {
  /* Reads a file whole (at most max bytes): 0, or -1 with BT_NOT_FOUND or another code. The caller frees *out. */
  int (*read)(void *arg, const char *path, size_t max, char **out, size_t *len, struct bt_err **err);
  /* The value of a variable of the caller's environment, borrowed until the next call; NULL where unset. */
  const char *(*env)(void *arg, const char *name);
  void *arg;
};

enum bt_compat { BT_COMPAT_REFUSE, BT_COMPAT_WARN };

struct bt_compose_options {
  struct bt_strs files;       /* absolute paths, in order of -f; the first one's folder is the default project folder */
  struct bt_strs env_files;   /* --env-file, in order; empty: ".env" of the project folder where it exists */
  struct bt_strs profiles;    /* --profile; empty: COMPOSE_PROFILES of the source; "*" means all */
  const char *project_dir;    /* NULL: folder of the first file */
  const char *project_name;   /* NULL: COMPOSE_PROJECT_NAME, the file's name:, the folder's name */
  enum bt_compat compat;
  bool skip_berth_checks;     /* true: do not refuse what Berth cannot do ("berth config" as a plain Compose tool) */
  bool keep_inactive;         /* true: services of inactive profiles stay in the model */
};

struct bt_compose_result {
  char *name;             /* project name, normalised */
  char *project_dir;
  /* The canonical model in the shape of "docker compose config --format json": name, services, networks, volumes,
   * secrets, configs, x-*. Durations as Go prints them ("1m30s"), sizes as decimal strings, ports and volumes in long form,
   * environment as a map, env_file resolved into environment, paths absolute, keys sorted. */
  json_t *model;
  json_t *places;             /* {service: {"file", "line"}}: where each service of the model stands */
  struct bt_map *contents;    /* "secrets/NAME" or "configs/NAME" -> struct bt_compose_content *, for file:, environment:, content: */
  struct bt_strs files_read;  /* every path that was read, for a bundle */
  struct bt_map *env_used;    /* NAME -> value (char *) of every variable of the environment that was looked up and set */
  struct bt_diags diags;      /* errors and warnings, with places */
};

struct bt_compose_content {
  size_t len;
  char *data; /* may hold NULs; wiped on free */
};

/* 0 with a model, or -1 with errors in result->diags. The result is filled either way; free it. */
int bt_compose_load(const struct bt_compose_source *source, const struct bt_compose_options *options,
                    struct bt_compose_result *result) BT_CHECK;
void bt_compose_result_free(struct bt_compose_result *result);
void bt_compose_options_free(struct bt_compose_options *options);

/* The source over real files and environ. Relative paths of options must have been made absolute by the caller. */
extern const struct bt_compose_source bt_compose_real_source;
/* "My App!" -> "myapp": lower case, [a-z0-9_-], begins with a letter or digit. The caller frees; NULL where nothing is left. */
char *bt_compose_project_name(const char *text);

#endif
