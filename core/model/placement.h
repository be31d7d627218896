/* What an app says of the places of a service's instances: x-berth.placement, and deploy.placement.preferences as the spreads that they
 * are. Read once from the canonical service; texts are borrowed from its JSON. Pure; knows nothing of nodes or instances. */
#ifndef BT_MODEL_PLACEMENT_H
#define BT_MODEL_PLACEMENT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/vec.h"
#include "model/rule.h"

enum {
  BT_PLACEMENT_MOST = 64,       /* entries of each list */
  BT_PLACEMENT_WEIGHT = 50,     /* of what is preferred, where it says none */
  BT_PLACEMENT_WEIGHT_MOST = 100,
  BT_PLACEMENT_PRIORITY_MOST = 1000,
  BT_PLACEMENT_SKEW_MOST = 1000,
};

struct bt_placement_prefer {
  struct bt_rule rule;
  int weight; /* -100 to 100 */
};

/* Nearness to instances of a service (service is set), of a whole app (app is set, service is not) or of a whole namespace. */
struct bt_placement_affinity {
  bool anti, hard;
  const char *namespace_; /* NULL: the service's own */
  const char *app;        /* NULL beside a service: the service's own */
  const char *service;
  const char *topology; /* "node.labels.zone", …; NULL: the node itself */
  int weight;           /* of a soft one: 1 to 100 */
};

struct bt_placement_spread {
  char *topology; /* owned; several keys as "node.labels.dc,node.labels.rack" */
  int max_skew;   /* of a hard one, at least 1 */
  bool hard;
};

struct bt_placement_toleration {
  const char *key;   /* NULL: every taint */
  const char *value; /* NULL: any */
};

struct bt_placement {
  const char *strategy;         /* "binpack" or "spread"; NULL: not said */
  BT_VEC(struct bt_rule) rules; /* x-berth.placement.require; deploy.placement.constraints stay with the service */
  BT_VEC(struct bt_placement_prefer) prefers;
  BT_VEC(struct bt_placement_affinity) affinities; /* and anti-affinities */
  BT_VEC(struct bt_placement_spread) spreads;      /* of preferences first: over each key together with those before it */
  BT_VEC(struct bt_placement_toleration) tolerations;
  int priority; /* -1000 to 1000 */
  bool prioritized; /* it says a priority */
  bool gang;    /* all of its instances, or none */
};

/* Reads x-berth.placement and deploy.placement (either may be NULL: nothing said). *out is the caller's (bt_placement_free), also after a failure.
 * -1 with BT_INVALID and a sentence that names the service and the key. A preference that is no key of nodes is left out: the loader refuses
 * it, and revisions that were stored before it did must stay readable. */
int bt_placement_parse(const char *service, const json_t *placement, const json_t *deploy, struct bt_placement *out, struct bt_err **err) BT_CHECK;
void bt_placement_free(struct bt_placement *placement);

/* Whether instances can be near, apart or spread by this key of nodes: what rules name, but for node.id and node.hostname, which are the node itself. */
bool bt_placement_topology_ok(const char *key);
/* Whether a taint can be called so; "*" is every taint. */
bool bt_placement_taint_ok(const char *key);
/* Whether a namespace, app or service can be called so. */
bool bt_placement_name_ok(const char *name);

#endif
