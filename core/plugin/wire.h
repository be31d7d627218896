/* The wire between the server and a plug-in in a process of its own (plugin-api/docs/wire.md): messages, each a JSON object and
 * bytes, with their two lengths in front; and a link, which is a descriptor with a message buffer each way. Knows the form of
 * messages and nothing of what they mean. Both ends use it. */
#ifndef BT_PLUGIN_WIRE_H
#define BT_PLUGIN_WIRE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct bt_loop;

enum {
  BT_WIRE_VERSION = 1,
  BT_WIRE_HEAD = 8,
  BT_WIRE_MAX_JSON = 4 * 1024 * 1024,
  BT_WIRE_MAX_JSON_IN = 512 * 1024, /* from a plug-in: what the server's loop parses in one go */
  BT_WIRE_MAX_BYTES = 64 * 1024 * 1024 + 4096,
  BT_WIRE_MAX_DEPTH = 64,
  BT_WIRE_BYTES_A_VALUE = 16 /* of max_json: so many values may a message's JSON have, however long it is */
};

struct bt_message {
  json_t *head;      /* an object with a string "t" */
  const char *type;  /* that string; borrowed */
  const char *bytes; /* borrowed from the buffer it was read from; followed by one byte that may be read */
  size_t len;
};

/* Appends a message. head is stolen. */
void bt_wire_put(struct bt_buf *out, json_t *head_steal, const void *bytes, size_t len);
/* Reads the message that begins at data, whose JSON may have max_json bytes, and a value per BT_WIRE_BYTES_A_VALUE of them. Returns the
 * number of bytes it takes, 0 where more are needed, -1 with a sentence where it is none. out->head is a new reference. */
long bt_wire_get(const char *data, size_t len, size_t max_json, struct bt_message *out, struct bt_err **err) BT_CHECK;

/* ---------------------------------------------------------------- links */

struct bt_link;

struct bt_link_setup {
  struct bt_loop *loop;
  const char *name; /* for the stall watch; lives as long as the link */
  int in, out;      /* descriptors, the same where it is a socket; closed with the link; made non-blocking */
  size_t max_json;  /* of a message that is read; 0: BT_WIRE_MAX_JSON */
  size_t max_out;   /* bytes that may wait to be written; over it the link ends */
  int budget;       /* messages a turn of the loop; 0: no bound */
  int turn_ms;      /* nor is a turn longer than that, but for its last message; where there is a budget */
  int pause_ms;     /* before the next turn, where there were more: who floods waits */
  void (*on_message)(void *arg, const struct bt_message *message);
  /* The other side is gone, or sent what is no message. Once; not from inside bt_link_send. No message comes any more. */
  void (*on_end)(void *arg, const char *why);
  void *arg;
};

struct bt_link *bt_link_new(const struct bt_link_setup *setup);
/* Any time, also from inside a callback; on_end does not come. */
void bt_link_free(struct bt_link **link);
/* Sends; head is stolen. Returns the bytes that wait to be written. Any thread. */
size_t bt_link_send(struct bt_link *link, json_t *head_steal, const void *bytes, size_t len);
size_t bt_link_waiting(struct bt_link *link);
/* Reads until a message of that type with that "id" is there, and takes it out of the order: those before it come later, as if it had
 * not been there. false after ms milliseconds, or where the link ended. out is valid until the next use of the link; its head is the
 * caller's. */
bool bt_link_await(struct bt_link *link, const char *type, int64_t id, int ms, struct bt_message *out);

/* Hands on all messages that were read, now. For the end of a program. */
void bt_link_drain(struct bt_link *link);

#endif
