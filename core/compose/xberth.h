/* Between the files that check x-berth (xberth.c, xberth_disruption.c, xberth_job.c, xberth_placement.c, xberth_routes.c): how a wrong value is told, and values that are checked and
 * completed in place. Inside the Compose room only. */
#ifndef BT_COMPOSE_XBERTH_H
#define BT_COMPOSE_XBERTH_H

#include "compose/internal.h"
#include "compose/place.h"

/* "services.web.x-berth.… must be WANTED, not …" */
void bt_xberth_wrong(struct bt_load *load, const struct bt_yaml *n, const struct bt_place *place, const char *wanted);
/* Only the keys of the list, which ends with NULL, may stand in the mapping. false: it is no mapping. */
bool bt_xberth_only(struct bt_load *load, const struct bt_yaml *n, const struct bt_place *place, const char *const *keys);
/* Puts the value where the key is absent, or in place of what is there. */
void bt_xberth_set(struct bt_yaml *map, const char *key, struct bt_yaml *value);
/* An integer within [min, max]; the default where absent (or none, where that is < 0). */
void bt_xberth_number(struct bt_load *load, struct bt_yaml *map, const char *key, long long min, long long max, long long otherwise,
                      const struct bt_place *place);
/* A duration from min (ns) to 24h, completed as Go prints it; otherwise NULL: nothing where absent. */
void bt_xberth_duration(struct bt_load *load, struct bt_yaml *map, const char *key, int64_t min, const char *otherwise,
                        const struct bt_place *place);

/* One of the words of the list, which ends with NULL; the first one where absent. */
const char *bt_xberth_word(struct bt_load *load, struct bt_yaml *map, const char *key, const char *const *words, const struct bt_place *place);
void bt_xberth_flag(struct bt_load *load, struct bt_yaml *map, const char *key, bool otherwise, const struct bt_place *place);

/* xberth_disruption.c: checks and completes x-berth.disruption of a service in place. */
void bt_xberth_disruption(struct bt_load *load, struct bt_yaml *disruption, const struct bt_place *place);

/* xberth_job.c: checks and completes x-berth.job of a service in place. */
void bt_xberth_job(struct bt_load *load, struct bt_yaml *job, const struct bt_place *place);

/* xberth_autoscale.c: checks and completes x-berth.autoscale of a service in place. */
void bt_xberth_autoscale(struct bt_load *load, struct bt_yaml *autoscale, const char *service, const struct bt_place *place);

/* xberth_placement.c: checks and completes x-berth.placement of a service in place. */
void bt_xberth_placement(struct bt_load *load, struct bt_yaml *placement, const struct bt_place *place);

/* xberth_rollout.c: checks and completes x-berth.rollout of a service in place. */
void bt_xberth_rollout(struct bt_load *load, struct bt_yaml *rollout, const struct bt_place *place);

/* xberth_routes.c: checks and completes x-berth.routes of a service in place. */
void bt_xberth_routes(struct bt_load *load, struct bt_yaml *routes, const struct bt_place *place);
/* Calls found for every secret that routes of the service name, as the file has it: before they were checked. */
void bt_xberth_route_secrets(const struct bt_yaml *service, void (*found)(void *arg, const struct bt_yaml *name), void *arg);

#endif
