/* The Compose project of the current folder: its files, its name, and the bundle of all that a load of it read. */
#ifndef BT_CLI_PROJECT_H
#define BT_CLI_PROJECT_H

#include <jansson.h>

#include "base/map.h"
#include "cli/args.h"
#include "compose/compose.h"

/* A load of local Compose files that remembers every file and every variable it was given. */
struct bt_project {
  struct bt_compose_options options;
  struct bt_compose_result result;
  struct bt_map *files; /* path -> struct bt_compose_content *, as read */
  char *dir;            /* of --project-directory; NULL where not given */
  struct bt_map *env;   /* NAME -> char *, those that were set */
};

/* Sets project->options from files and the options of args (-f, -p, --env-file, --profile, --project-directory, --compat). BT_NOT_FOUND
 * where there is no Compose file. */
int bt_project_options(const struct bt_args *args, struct bt_project *project, struct bt_err **err) BT_CHECK;
/* Loads. 0 with a model, or -1 with errors in project->result.diags. Free it either way. */
int bt_project_load(struct bt_project *project) BT_CHECK;
void bt_project_free(struct bt_project *project);
/* The bundle of api/api.h: what was read, and how it was asked for. New reference. */
json_t *bt_project_bundle(const struct bt_project *project);

/* The app that a command without a name means: -p, else COMPOSE_PROJECT_NAME, else the project of the current folder.
 * *out is NULL where there is none; the caller frees. */
int bt_project_app(const struct bt_args *args, char **out, struct bt_err **err) BT_CHECK;

#endif
