/* Where a plug-in's entry runs and what it may, as berthd.yaml says it: isolation, user, network, limits, egress, command. */
#ifndef BT_MODEL_CONFIG_PLACE_H
#define BT_MODEL_CONFIG_PLACE_H

#include <jansson.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/vec.h"

struct bt_yaml;

enum bt_place { BT_PLACE_DEFAULT, BT_PLACE_PROCESS, BT_PLACE_NONE };

/* Zero is "not given". */
struct bt_config_place {
  int isolation; /* enum bt_place */
  char *user;
  bool network;
  int64_t memory;          /* bytes */
  int64_t files, processes;
  int64_t cpu;             /* nanoseconds */
  bool egress_given;       /* an empty list allows nothing */
  struct bt_strs egress, command;
};

/* The keys of an entry that are read here, ends with NULL. */
extern const char *const bt_config_place_keys[];
/* Reads them off an entry; what is wrong goes to diags with its place. Other keys are left alone. */
void bt_config_place_read(const struct bt_yaml *entry, struct bt_config_place *out, struct bt_diags *diags);
void bt_config_place_free(struct bt_config_place *place);
/* Adds what is given to an object, and the schema of all keys to an object of properties. */
void bt_config_place_json(const struct bt_config_place *place, json_t *o);
void bt_config_place_schema(json_t *properties);

#endif
