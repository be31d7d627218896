/* Any bytes as YAML: trees or places, nothing else. */
#include "config.h"

#include <stdint.h>

#include "base/mem.h"
#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct bt_yaml **docs = NULL;
  size_t n = 0;
  BT_AUTO_DIAGS diags = {0};
  int rc = bt_yaml_parse((const char *)data, size, "fuzz.yaml", NULL, &docs, &n, &diags);
  BT_ASSERT((rc == 0) == (diags.errors == 0));
  for (size_t i = 0; i < n; i++) {
    BT_AUTO_YAML copy = bt_yaml_copy(docs[i]);
    json_t *json = bt_yaml_json(copy);
    BT_ASSERT(json);
    BT_AUTO_YAML back = bt_yaml_from_json(json, (struct bt_loc){0});
    BT_ASSERT(back);
    json_decref(json);
    bt_yaml_free(&docs[i]);
  }
  free(docs);
  return 0;
}
