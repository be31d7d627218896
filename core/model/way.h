/* What an app says of the way of a service from one revision to the next: x-berth.rollout. Read once from the canonical service. Pure; the way
 * itself is plan/rollout.h. */
#ifndef BT_MODEL_WAY_H
#define BT_MODEL_WAY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "model/disruption.h"

enum { BT_WAY_STEPS = 20 };

enum bt_way_kind {
  BT_WAY_ROLLING,    /* in groups, after update_config */
  BT_WAY_BLUE_GREEN, /* all new ones beside the old; then routes are switched at once */
  BT_WAY_CANARY      /* a few first, step by step */
};

struct bt_way_step {
  struct bt_amount instances; /* that are new in it */
  int weight;                 /* of 100: share of the requests of routes that they get; -1: as many as they are */
  int64_t pause_ms;           /* -1: until somebody promotes it */
};

struct bt_way {
  enum bt_way_kind kind;
  int64_t keep_ms; /* so long the old ones stay after a switch */
  BT_VEC(struct bt_way_step) steps;
};

/* json may be NULL: rolling. *out is the caller's (bt_way_free), also after a failure. -1 with BT_INVALID and a sentence that names the
 * service and the key. */
int bt_way_parse(const char *service, const json_t *json, struct bt_way *out, struct bt_err **err) BT_CHECK;
void bt_way_free(struct bt_way *way);
const char *bt_way_name(enum bt_way_kind kind);

#endif
