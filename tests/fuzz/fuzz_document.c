/* Any bytes as an apply document: checked, and where it makes sense, its Compose files loaded. */
#include "config.h"

#include <stdint.h>

#include "api/document.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  BT_AUTO_ERR err = NULL;
  json_t *doc = bt_document_parse((const char *)data, size, &err);
  BT_ASSERT((doc != NULL) == (err == NULL));
  if (!doc)
    return 0;
  struct bt_compose_result result = {0};
  int rc = bt_document_load(doc, NULL, &result, &err);
  BT_ASSERT((rc == 0) == (result.model != NULL && result.diags.errors == 0 && !err));
  bt_compose_result_free(&result);
  json_decref(doc);
  return 0;
}
