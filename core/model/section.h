/* Reads a section of berthd.yaml that is more than single fields (pools, namespaces, scheduling): from the tree into canonical JSON, which
 * control takes as it is. Sizes become bytes, CPUs a number, durations milliseconds; what is not given is left out. Every error names
 * the place and what would do. */
#ifndef BT_MODEL_SECTION_H
#define BT_MODEL_SECTION_H

#include <jansson.h>
#include <stdbool.h>

#include "base/diag.h"
#include "base/yaml.h"

/* A key of a mapping. */
enum bt_key_type {
  BT_KEY_TEXT,     /* a word: not empty */
  BT_KEY_CHOICE,   /* choices "a|b" */
  BT_KEY_BOOL,
  BT_KEY_INT,      /* min to max */
  BT_KEY_NUMBER,   /* min to max, with a fraction */
  BT_KEY_SIZE,
  BT_KEY_CPUS,     /* as BT_KEY_NUMBER, 0 to 1,000,000 */
  BT_KEY_DURATION, /* min to max in milliseconds; both 0: any */
  BT_KEY_TEXTS,    /* a list of words */
  BT_KEY_OTHER     /* the caller reads it */
};
struct bt_key {
  const char *name;
  enum bt_key_type type;
  const char *choices;
  double min, max;
  const char *doc;
};

/* Reads a mapping by its keys into an object (new reference); an empty or absent one (NULL, null) gives an empty object. what: its name in
 * sentences, "a pool". Keys are ended by one without a name. */
json_t *bt_section_read(const struct bt_yaml *map, const char *what, const struct bt_key *keys, struct bt_diags *diags);
/* The list below a key, checked to be one; NULL where it is absent or (with an error) none. */
const struct bt_yaml *bt_section_list(const struct bt_yaml *map, const char *what, const char *key, struct bt_diags *diags);
/* Whether the text can name a pool, a namespace: [a-z0-9][a-z0-9_-]{0,62}. */
bool bt_section_name_ok(const char *name);
/* The schema of such a mapping; those of BT_KEY_OTHER are added by the caller under "properties". New reference. */
json_t *bt_section_schema(const struct bt_key *keys);

#endif
