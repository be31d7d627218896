/* The table behind bt_config: each field of berthd.yaml once. Inside the model room only. */
#ifndef BT_MODEL_CONFIG_FIELDS_H
#define BT_MODEL_CONFIG_FIELDS_H

#include <stddef.h>

#include "model/config.h"

enum bt_field_type {
  BT_FIELD_STRING,
  BT_FIELD_PATH,
  BT_FIELD_INT,
  BT_FIELD_SIZE,
  BT_FIELD_DURATION,
  BT_FIELD_CPUS,
  BT_FIELD_ENUM,
  BT_FIELD_MODE,
  BT_FIELD_LABELS,
  BT_FIELD_LISTEN,
  BT_FIELD_SECTION,
  BT_FIELD_PLUGINS
};

struct bt_field {
  const char *path; /* dotted */
  enum bt_field_type type;
  size_t offset;       /* in struct bt_config */
  const char *def;     /* the default as text; NULL: none, or derived */
  const char *choices; /* of an enum, in the order of its values: "text|json" */
  long long min, max;  /* of numbers, in the field's unit; both 0: any that is not negative */
  bool live;           /* a reload changes it */
  const char *doc;
};

extern const struct bt_field bt_config_fields[];
extern const size_t bt_config_nfields;

/* How a field of BT_FIELD_SECTION is read: into canonical JSON (new reference), errors to diags; and its schema. */
struct bt_field_section {
  const char *path;
  json_t *(*read)(const struct bt_yaml *section, struct bt_diags *diags);
  json_t *(*schema)(void);
};
const struct bt_field_section *bt_field_section(const struct bt_field *f);

/* Reads one scalar's text into the field. false where it does not fit; then *why (static text) says what would. */
bool bt_field_read(const struct bt_field *f, const char *text, struct bt_config *config, const char **why);
/* What the field takes, in words: "a duration such as \"10s\"". */
const char *bt_field_wants(const struct bt_field *f);
/* The n-th of "a|b|c", not terminated: its start and length. NULL where there is none. */
const char *bt_field_choice(const struct bt_field *f, size_t n, size_t *len);
/* The value in JSON, as the file would have it. New reference. */
json_t *bt_field_json(const struct bt_field *f, const struct bt_config *config);

static inline void *bt_field_at(const struct bt_field *f, struct bt_config *config) { return (char *)config + f->offset; }
static inline const void *bt_field_of(const struct bt_field *f, const struct bt_config *config) {
  return (const char *)config + f->offset;
}

#endif
