/* Operations in flight: who waits, until when, and how the end reaches him exactly once. finish() and emit() may come from any
 * thread: they put a message into the inbox, and the loop delivers. Route replies are operations too.
 *
 * An op is open until its caller was told; it stays known ("owed") until the plug-in finished it or the grace after cancel is
 * over, so that a late finish can be told from a second one. */
#ifndef BT_PLUGIN_OPS_H
#define BT_PLUGIN_OPS_H

#include "plugin/plugin.h"
#include "plugin/slots.h"

struct bt_op;
struct bt_op_message;
struct bt_ops_gate;

typedef void (*bt_route_done)(void *arg, enum bt_code code, const char *message, int status,
                              const struct berth_pair *headers, size_t nheaders, const void *body, size_t len);

struct bt_ops {
  struct bt_slots slots; /* under the inbox lock */
  struct bt_op_message *first, **last; /* inbox, under its lock */
  bool posted;
  struct bt_ops_gate *gate;
  struct bt_op *spare; /* ended ops with their timers, for the next ones */
};

/* One lock for all registries of the process: finish() finds its registry through the host cell under it. */
void bt_inbox_lock(void);
void bt_inbox_unlock(void);

void bt_ops_init(struct bt_plugins *plugins);
void bt_ops_free(struct bt_plugins *plugins);
/* An op whose end is a route's answer. */
berth_op bt_ops_begin_route(struct bt_plugin *entry, bt_route_done done, void *arg);
/* Ends an op from the host's side in the next turn, whatever its kind: the plug-in never saw it. */
void bt_ops_end(struct bt_plugin *entry, berth_op op, enum bt_code code, const char *message);
/* Ends all open ops of the entry now, done is called before this returns; finishes that still come are dropped. */
void bt_ops_end_all(struct bt_plugin *entry, enum bt_code code, const char *message);

/* From plug-ins, any thread. result: len bytes, NULL or none for {}. */
void bt_ops_finish(const struct berth_host *host, berth_op op, enum bt_code code, const char *message, const char *result,
                   size_t len);
size_t bt_ops_emit(const struct berth_host *host, berth_op op, int channel, const void *data, size_t len);
void bt_ops_reply(const struct berth_host *host, berth_op op, int status, const struct berth_pair *headers, size_t nheaders,
                  const void *body, size_t len);

#endif
