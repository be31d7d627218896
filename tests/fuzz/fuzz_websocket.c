/* Any bytes as the frames of a WebSocket's client: what is accepted keeps the caps. */
#include "config.h"

#include <stdint.h>

#include "api/ws_frame.h"
#include "base/mem.h"

enum { MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  bool open = false;
  size_t held = 0;
  bt_utf8_valid((const char *)data, size);
  for (size_t at = 0; at < size;) {
    struct bt_ws_frame f;
    int rc = bt_ws_frame_read(data + at, size - at, open, held, MAX, &f);
    if (rc != 1) {
      BT_ASSERT(rc == 0 || rc == 1002 || rc == 1009);
      return 0;
    }
    BT_ASSERT(f.head >= 6 && f.head <= 14 && f.len <= MAX - (f.op < BT_WS_CLOSE ? held : 0));
    BT_ASSERT(f.op < BT_WS_CLOSE || (f.fin && f.len <= 125));
    if (size - at - f.head < f.len)
      return 0;
    if (f.op < BT_WS_CLOSE) {
      held = f.fin ? 0 : held + f.len;
      open = !f.fin;
    }
    at += f.head + f.len;
  }
  return 0;
}
