/* The client's half of WebSocket framing (RFC 6455): binary messages out, masked; messages in, fragments joined. Pure: the
 * connection is the caller's. */
#ifndef BT_CLI_WS_H
#define BT_CLI_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum bt_ws_opcode { BT_WS_MORE = 0, BT_WS_TEXT = 1, BT_WS_BINARY = 2, BT_WS_CLOSE = 8, BT_WS_PING = 9, BT_WS_PONG = 10 };

/* Adds one whole frame to out. mask: four unpredictable bytes. */
void bt_ws_frame(struct bt_buf *out, enum bt_ws_opcode opcode, const uint8_t mask[4], const void *data, size_t len);

/* Zero-initialise and set message, arg. */
struct bt_ws {
  /* BT_WS_TEXT, BT_WS_BINARY: a whole message. BT_WS_PING: answer with a pong of the same data. BT_WS_CLOSE: data is the
   * status (two bytes) and the reason, or empty. */
  void (*message)(void *arg, enum bt_ws_opcode opcode, const void *data, size_t len);
  void *arg;
  struct bt_buf in, joined;
  enum bt_ws_opcode joined_opcode;
  bool closed;
};

/* Feeds received bytes. -1 with BT_IO where the server broke the protocol: masked frames, reserved bits, messages over
 * 4 MiB, fragments out of order. After a close frame the rest is ignored. */
int bt_ws_feed(struct bt_ws *ws, const void *data, size_t len, struct bt_err **err) BT_CHECK;
void bt_ws_free(struct bt_ws *ws);

#endif
