#include "config.h"
#include "model/finding.h"

#include "base/json.h"

void bt_finding_add(json_t *table, const char *element, const char *declared, const char *found, const char *verdict, const char *mend) {
  json_t *o = json_object();
  bt_json_set_str(o, "element", element);
  bt_json_set_str(o, "declared", declared);
  bt_json_set_str(o, "found", found);
  bt_json_set_str(o, "verdict", verdict);
  bt_json_set_str(o, "mend", mend);
  json_array_append_new(table, o);
}
