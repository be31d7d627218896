/* The head of a WebSocket frame as a client sends it (RFC 6455, 5.2), and what may stand in messages. Pure. */
#ifndef BT_API_WS_FRAME_H
#define BT_API_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>

enum bt_ws_op { BT_WS_CONT = 0, BT_WS_TEXT = 1, BT_WS_BINARY = 2, BT_WS_CLOSE = 8, BT_WS_PING = 9, BT_WS_PONG = 10 };

struct bt_ws_frame {
  enum bt_ws_op op;
  bool fin;
  size_t head, len; /* bytes of the head and of the payload */
  unsigned char mask[4];
};

/* 1: *f is filled; 0: more bytes are needed; else the close code of what is wrong with it (1002, 1009). open: a fragmented message is
 * under way, with held bytes of it so far; max is the most a message may have. */
int bt_ws_frame_read(const unsigned char *p, size_t len, bool open, size_t held, size_t max, struct bt_ws_frame *f);
/* RFC 3629: no overlong forms, no surrogates, nothing over U+10FFFF. */
bool bt_utf8_valid(const char *text, size_t len);
bool bt_ws_close_valid(int code); /* a peer may send it */

#endif
