/* The server's side of a WebSocket (RFC 6455) on an exchange: handshake, masks, fragments, ping and pong, close, caps. Messages
 * whole, at most 1 MiB. */
#ifndef BT_API_WEBSOCKET_H
#define BT_API_WEBSOCKET_H

#include "api/http_server.h"
#include "loop/loop.h"

enum { BT_WS_MAX_MESSAGE = 1024 * 1024 };

struct bt_ws;

struct bt_ws_handler {
  void (*message)(void *arg, bool text, const char *data, size_t len); /* borrowed */
  void (*drain)(void *arg);            /* what waited has gone out; may be NULL */
  /* The end, exactly once and never from inside bt_ws_close: the close code of the peer, or 1006 where it went without one. The
   * socket is freed afterwards. */
  void (*closed)(void *arg, int code);
  void *arg;
};

/* Checks the handshake and answers it. NULL where the request is none: nothing has been answered then (426 or 400 is due). */
struct bt_ws *bt_ws_accept(struct bt_loop *loop, struct bt_exchange *x, const struct bt_ws_handler *handler,
                           struct bt_err **err);
/* Returns the bytes that wait for the peer: over 256 KB pause until drain. */
size_t bt_ws_send(struct bt_ws *ws, bool text, const void *data, size_t len);
size_t bt_ws_waiting(const struct bt_ws *ws);
/* Stops and resumes taking messages. */
void bt_ws_pause(struct bt_ws *ws, bool pause);
/* Sends a close frame; the end comes with the peer's, or 2 s later. A second call is ignored. */
void bt_ws_close(struct bt_ws *ws, int code, const char *reason);

#endif
