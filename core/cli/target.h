/* What a person means by OBJECT: "shop", "shop/web", "web" (of the current folder's project first), or an instance's id. */
#ifndef BT_CLI_TARGET_H
#define BT_CLI_TARGET_H

#include <jansson.h>

#include "cli/cli.h"

/* One meaning. Zero-initialise, free with bt_target_free. */
struct bt_target {
  char *app, *service, *instance; /* service NULL: the whole app; instance NULL: all of the service */
};

/* What word names among instances (an array as GET …/instances answers). here: the app that is meant by default, or NULL. In this
 * order: an instance's id; APP/SERVICE; a service of here; an app; a service that only one app has. Pure. BT_NOT_FOUND with the
 * nearest name, BT_CONFLICT where several apps have the service. */
int bt_target_find(const json_t *instances, const char *here, const char *word, struct bt_target *out,
                   struct bt_err **err) BT_CHECK;
void bt_target_free(struct bt_target *target);
#define BT_AUTO_TARGET __attribute__((cleanup(bt_target_free))) struct bt_target
bool bt_target_holds(const struct bt_target *target, const json_t *instance);

/* The instances that the verb's arguments mean; with no argument those of the current project, or all where there is none
 * (or with --all). A new array in order of app, service, slot. *here (may be NULL): the current project's app; the caller frees. */
int bt_target_instances(struct bt_cli *cli, json_t **out, char **here, struct bt_err **err) BT_CHECK;
/* As above for one word. */
int bt_target_resolve(struct bt_cli *cli, const char *word, struct bt_target *out, json_t **instances,
                      struct bt_err **err) BT_CHECK;
/* The app that a verb is about: its first argument, else the current project. The caller frees. */
int bt_target_app(struct bt_cli *cli, char **out, struct bt_err **err) BT_CHECK;
/* "web-1" where the instance's app is here, else "shop/web-1". The caller frees. */
char *bt_target_label(const json_t *instance, const char *here);

#endif
