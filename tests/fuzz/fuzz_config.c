/* berthd.yaml from any bytes: the check must end, and what it accepts must print, compare with itself and be adopted. */
#include "config.h"

#include <stdint.h>

#include "base/json.h"
#include "base/mem.h"
#include "model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  BT_AUTO_DIAGS diags = {0};
  BT_AUTO_CONFIG config = NULL;
  int rc = bt_config_parse((const char *)data, size, "/etc/berth/berthd.yaml", &config, &diags);
  BT_ASSERT((rc == 0) == (config != NULL) && (rc == 0) == (diags.errors == 0));
  BT_AUTO_FREE char *text = bt_diags_text(&diags);
  BT_ASSERT(text);
  if (!config)
    return 0;
  BT_AUTO_STRS live = {0}, fixed = {0};
  bt_config_diff(config, config, &live, &fixed);
  BT_ASSERT(live.len == 0 && fixed.len == 0);
  BT_AUTO_CONFIG running = bt_config_default();
  bt_config_adopt(running, config);
  BT_AUTO_JSON json = bt_config_json(running);
  BT_ASSERT(json != NULL);
  return 0;
}
