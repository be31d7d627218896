/* What Berth does with each attribute of a Compose file: one table. Inside the Compose room and its tests only. */
#ifndef BT_COMPOSE_SUPPORT_H
#define BT_COMPOSE_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "compose/internal.h"

/* What --compat=warn leaves out: the attribute, the entry of a list that holds it, or nothing (an error all the same). */
enum bt_support_left { BT_LEFT_ATTRIBUTE, BT_LEFT_ENTRY, BT_LEFT_NEVER };

struct bt_support {
  /* "service.deploy.mode": kinds are service, network, volume, secret, config, file; items of lists count as their list,
   * "*" stands for a name. */
  const char *path;
  const char *refused; /* NULL: implemented; else why not, and the mend */
  /* Of a refused attribute the values that pass, of an implemented one the only values there are; NULL: any. Words with
   * blanks between them; a word that ends with "*" stands for all that begin so. */
  const char *values;
  enum bt_support_left left;
};

extern const struct bt_support bt_support_table[];
extern const size_t bt_support_rows;

/* Rules between attributes that follow from how Berth runs things; errors with places. rules.c. */
void bt_compose_check_rules(struct bt_load *load, const struct bt_yaml *tree);
/* Of them those about placement, of all services. rules_placement.c. */
void bt_compose_check_placement(struct bt_load *load, const struct bt_yaml *services);
/* Checks and completes x-berth of a service in place. xberth.c. */
void bt_compose_check_xberth(struct bt_load *load, struct bt_yaml *xberth, const char *service);
/* The keys that x-berth knows, for the documentation's test: "probes.readiness.http.path", …; NULL ends. */
extern const char *const bt_xberth_keys[];

#endif
