/* What each attribute of a Compose file is: a table for the last step of normalisation, which casts every value to its
 * type and leaves out what is empty, as "docker compose config --format json" prints it. Inside the Compose room only. */
#ifndef BT_COMPOSE_SHAPE_H
#define BT_COMPOSE_SHAPE_H

#include "compose/internal.h"
#include "compose/place.h"

enum bt_shape_kind {
  BT_SHAPE_STR,      /* text; "" is left out */
  BT_SHAPE_TEXT,     /* text that stays */
  BT_SHAPE_STRS,     /* a list of texts, or one text; an empty list is left out */
  BT_SHAPE_BOOL,     /* false is left out */
  BT_SHAPE_TRUE,     /* true is left out, since it is the default */
  BT_SHAPE_SWITCH,   /* a boolean that stays either way */
  BT_SHAPE_INT,      /* 0 is left out */
  BT_SHAPE_COUNT,    /* an integer that stays */
  BT_SHAPE_FLOAT,    /* 0 is left out */
  BT_SHAPE_BYTES,    /* decimal text; 0 is left out */
  BT_SHAPE_SIZE,     /* decimal text that stays */
  BT_SHAPE_DURATION, /* Go's form; 0 is left out */
  BT_SHAPE_TIME,     /* Go's form; 0 stays */
  BT_SHAPE_MODE,     /* octal text "0440" */
  BT_SHAPE_BITS,     /* an integer, octal where it is text */
  BT_SHAPE_MAP,      /* NAME -> text, null is "" */
  BT_SHAPE_ENV,      /* NAME -> text or null */
  BT_SHAPE_COMMAND,  /* null or a list; text is split as a shell would */
  BT_SHAPE_TEST,     /* a healthcheck's: text is CMD-SHELL */
  BT_SHAPE_DEVICES,  /* how many devices: "all" is -1 */
  BT_SHAPE_HOSTS,    /* extra_hosts: a sorted list of "name=address" */
  BT_SHAPE_ULIMIT,   /* an integer or {soft, hard} */
  BT_SHAPE_OBJECT,   /* a mapping of sub; null is left out */
  BT_SHAPE_STRUCT,   /* a mapping of sub that is always there */
  BT_SHAPE_LIST,     /* a list of mappings of sub; an empty one is left out */
  BT_SHAPE_DICT,     /* NAME -> mapping of sub or null; an empty one is left out */
  BT_SHAPE_ANY       /* as it is */
};

struct bt_shape {
  const char *key;
  enum bt_shape_kind kind;
  const struct bt_shape *sub; /* ends with a NULL key */
};

extern const struct bt_shape bt_shape_service[], bt_shape_network[], bt_shape_volume[], bt_shape_secret[],
    bt_shape_config[], bt_shape_model[];

/* Casts the mapping in place; errors go to load->diags. Extensions ("x-…") are dropped but for "x-berth". */
void bt_shape_apply(struct bt_load *load, struct bt_yaml *map, const struct bt_shape *shape, const struct bt_place *place);
/* A list of "NAME=value" texts as a mapping, in place; NAME alone maps to null. A mapping stays. */
void bt_shape_key_values(struct bt_yaml *node);

#endif
