/* One SQLite file: lock, schema, statements, and what its error codes mean for us. Private to the room. Knows no threads: a
 * bt_db is used by one thread at a time; the writer and the checkpointer have one each.
 *
 * Tables: meta(name, value) holds "schema" and "revision"; migration(version, at) says which steps ran when;
 * object(kind, key, revision, value) is the state. */
#ifndef BT_STATE_STORE_DB_H
#define BT_STATE_STORE_DB_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/err.h"
#include "state/store.h"

struct bt_db {
  sqlite3 *sql;
  sqlite3_stmt *put, *del, *mark;
  char *path;
  int lock_fd; /* -1: a second connection of the process that holds the lock */
};

/* What a failed call means. FULL: surely nothing was written, and there is hope. DOUBT: what the disk holds is unknown. */
enum bt_db_outcome { BT_DB_OK, BT_DB_BUSY, BT_DB_FULL, BT_DB_DOUBT };

/* Takes the lock, makes or migrates the file, checks it, and copies the write-ahead log back. *outcome: BT_DB_FULL where
 * the file can be read, but there is no room to write. */
int bt_db_open(const char *path, struct bt_db **out, enum bt_db_outcome *outcome, struct bt_err **err) BT_CHECK;
/* A second connection to a file that bt_db_open has open: for checkpoints. */
int bt_db_attach(const char *path, struct bt_db **out, struct bt_err **err) BT_CHECK;
/* in_doubt: leaves the write-ahead log as it is, for the next start to judge. */
void bt_db_close(struct bt_db **db, bool in_doubt);

int bt_db_load(struct bt_db *db, void (*found)(void *arg, const char *kind, const char *key, const char *value, size_t len),
               void *arg, uint64_t *revision, struct bt_err **err) BT_CHECK;

enum bt_db_outcome bt_db_begin(struct bt_db *db);
enum bt_db_outcome bt_db_apply(struct bt_db *db, uint64_t revision, const struct bt_batch *batch);
enum bt_db_outcome bt_db_commit(struct bt_db *db, uint64_t revision);
/* Gives back the memory of its cache, which is filled again at the cost of reading. */
void bt_db_shrink(struct bt_db *db);
/* After a failure: FULL stays FULL only where SQLite says that the transaction is gone. */
enum bt_db_outcome bt_db_rollback(struct bt_db *db, enum bt_db_outcome why);
/* Writes and removes a row of some size: is there room again? */
enum bt_db_outcome bt_db_probe(struct bt_db *db);
/* Copies what it can of the write-ahead log without waiting for anybody. *copied: frames of it that are copied by now. */
enum bt_db_outcome bt_db_checkpoint(struct bt_db *db, int *copied);
/* Copies the log back whole and gives its room to the disk. BT_DB_FULL, BT_DB_BUSY: it could not, and nothing is lost. */
enum bt_db_outcome bt_db_reclaim(struct bt_db *db);
/* Free room on the database's disk, in pages of 4 KiB; LONG_MAX where that cannot be told. */
long bt_db_room(const struct bt_db *db);
/* SQLite's words for the last failure; valid until the next call. */
const char *bt_db_words(const struct bt_db *db);

#endif
