/* Server-Sent Events: bytes in, events out (the WHATWG format). Pure. */
#ifndef BT_CLI_SSE_H
#define BT_CLI_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct bt_sse_event {
  const char *type; /* "message" where the stream named none */
  const char *data; /* lines joined with '\n' */
  const char *id;   /* the last id seen, "" before the first; for Last-Event-ID */
};

/* Zero-initialise and set event, arg. */
struct bt_sse {
  void (*event)(void *arg, const struct bt_sse_event *event);
  void *arg;
  struct bt_buf line, data, type, id;
  bool after_cr, begun;
};

/* Feeds a piece of any size; calls event for each event that is complete. Lines over 4 MiB are cut there. */
void bt_sse_feed(struct bt_sse *sse, const void *data, size_t len);
/* Forgets a half-read event, keeps the last id: before reading from a new connection. */
void bt_sse_reset(struct bt_sse *sse);
void bt_sse_free(struct bt_sse *sse);

#endif
