/* Executes the effects of control steps: commits through the store, and delivers replies, messages and calls only once their
 * step is durable, in order. After a refused commit it answers with the refusal, all that stood upon it included, builds control
 * anew from the store, so that readers see what is durable, and goes on when the store takes writes again. Knows what an effect
 * is, not what it means. Loop's thread only. */
#ifndef BT_CONTROL_EXECUTOR_H
#define BT_CONTROL_EXECUTOR_H

#include "control/control.h"
#include "loop/loop.h"
#include "state/watch.h"

struct bt_executor;

struct bt_executor_options {
  struct bt_loop *loop;
  struct bt_store *store;
  struct bt_feed *feed;
  struct bt_control_options control;
  /* Message for a node. Never called from inside bt_executor_*. */
  void (*send)(void *arg, const char *node, const json_t *message);
  /* A call to make; answer with bt_executor_call_done. */
  void (*call)(void *arg, uint64_t id, const char *kind, const json_t *args);
  /* What load balancers are to know: the whole table anew, and then changes of endpoints (NULL: none). May be NULL. */
  void (*routes)(void *arg, bool whole, const json_t *endpoints);
  /* Control was built anew: every node shall say hello again. */
  void (*rebuilt)(void *arg);
  void *arg;
  /* Clocks of a test; NULL: the real ones. */
  int64_t (*mono_ms)(void), (*wall_ms)(void);
};

/* Loads the store into control. control.server_id NULL: taken from the store, or made and stored. */
int bt_executor_new(const struct bt_executor_options *options, struct bt_executor **out, struct bt_err **err) BT_CHECK;
/* The first step (BT_IN_START), once everything is wired. */
void bt_executor_start(struct bt_executor *ex);
/* From now on nothing is delivered: to be called before the store is closed, which flushes what is under way. */
void bt_executor_stop(struct bt_executor *ex);
/* After the store was closed. Answers what is open: it may be on disk, or not. */
void bt_executor_free(struct bt_executor **ex);

typedef void bt_write_done(void *arg, enum bt_code code, const char *message, const json_t *result);
/* A request. args is stolen. done exactly once, not from inside, when its change is durable or refused. */
void bt_executor_write(struct bt_executor *ex, const char *op, json_t *args, const char *actor, bool dry_run,
                       bt_write_done *done, void *done_arg);
void bt_executor_node_message(struct bt_executor *ex, const char *node, json_t *message_steal);
/* The connection to the node ended; messages on their way to it are lost. Not noted while the store refuses changes: whoever is not
 * connected when "rebuilt" is called is to be named again. */
void bt_executor_node_down(struct bt_executor *ex, const char *node);
void bt_executor_call_done(struct bt_executor *ex, uint64_t id, enum bt_code code, const char *text, const json_t *result);
/* To be called where the store's health changed (bt_store_sqlite_open's on_health). */
void bt_executor_health(struct bt_executor *ex, enum bt_store_health health);

struct bt_control *bt_executor_control(struct bt_executor *ex);
const char *bt_executor_server_id(const struct bt_executor *ex);

#endif
