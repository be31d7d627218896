/* The state store: durable tables of objects, one revision counter, group commit. An interface, so that etcd can stand behind it
 * later; store_sqlite.c is the one that ships.
 *
 * An object is (kind, key) -> JSON text. kind: "app", "revision", "instance", "secret", "event", …; key: "namespace/name/…".
 * A commit is a batch of puts and deletes that becomes durable whole or not at all, under the next revision. Commits are
 * applied in the order of bt_store_commit. Many commits share one transaction (and one fsync).
 *
 * Failure: where the disk is full or an fsync fails, the commits of that transaction are not acknowledged: done gets BT_IO or
 * BT_NO_SPACE, every later commit fails with the same until the store is "clear" again. After a full disk the store
 * probes (1 s) and takes writes again by itself once the failed batch was surely rolled back. After a failed fsync the state on disk
 * is in doubt: writes stay refused until the process restarts (BT_STORE_DOUBT). Reads go on from memory. */
#ifndef BT_STATE_STORE_H
#define BT_STATE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"

struct bt_store;

/* One change. value NULL: delete. Owned by the batch. */
struct bt_change {
  const char *kind; /* a literal */
  char *key;
  char *value;
};

struct bt_batch {
  struct bt_change *items;
  size_t len, cap;
};
void bt_batch_put(struct bt_batch *batch, const char *kind, const char *key, char *value_steal);
void bt_batch_put_steal(struct bt_batch *batch, const char *kind, char *key_steal, char *value_steal);
void bt_batch_del(struct bt_batch *batch, const char *kind, const char *key);
void bt_batch_free(struct bt_batch *batch);

enum bt_store_health { BT_STORE_OK, BT_STORE_FULL, BT_STORE_DOUBT };

struct bt_store_ops {
  /* Calls found for every object (order of kind, key) before it returns, and gives the last revision. */
  int (*load)(struct bt_store *store, void (*found)(void *arg, const char *kind, const char *key, const char *value, size_t len),
              void *arg, uint64_t *revision, struct bt_err **err);
  /* Steals the batch's contents. revision: the one that the caller assigned, greater than every earlier one. done on the
   * loop, in order, when durable (BT_OK) or refused. */
  void (*commit)(struct bt_store *store, uint64_t revision, struct bt_batch *batch,
                 void (*done)(void *arg, enum bt_code code, const char *message), void *arg);
  enum bt_store_health (*health)(struct bt_store *store, const char **sentence);
  void (*close)(struct bt_store *store); /* flushes what is queued, then frees */
};
struct bt_store {
  const struct bt_store_ops *ops;
};

struct bt_store_stats {
  uint64_t commits, transactions, syncs, failed;
  int64_t worst_commit_us;
};

/* Opens (makes, migrates) the database at path: WAL, synchronous=FULL, a schema version in "meta", 0600. on_health
 * (may be NULL) is called on the loop when the health changes. A newer schema than ours is refused with a sentence. */
int bt_store_sqlite_open(const char *path, struct bt_loop *loop, void (*on_health)(void *arg, enum bt_store_health health),
                         void *arg, struct bt_store **out, struct bt_err **err) BT_CHECK;
/* As bt_store_sqlite_open, but without threads: what they do is done in the caller's turns, so that a simulator decides when, and
 * the same seed gives the same run. */
int bt_store_sqlite_open_stepped(const char *path, struct bt_loop *loop, void (*on_health)(void *arg, enum bt_store_health health), void *arg,
                                 struct bt_store **out, struct bt_err **err) BT_CHECK;
/* One turn: writes what waits, tries a full disk again, copies the log back. False where there was nothing to do. Of stores that are
 * opened stepped only. */
bool bt_store_sqlite_turn(struct bt_store *store);
void bt_store_sqlite_stats(struct bt_store *store, struct bt_store_stats *out);

#endif
