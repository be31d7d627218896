/* The checkpointer: a thread with a connection of its own that copies the write-ahead log back into the database while the
 * writer goes on, so that no commit waits for a large copy. SQLite starts the log anew only when all of it is
 * copied; under steady writes the thread never quite gets there, so the writer copies the short rest itself.
 * Private to the room; called from the writer's thread, but for free. */
#ifndef BT_STATE_CHECKPOINT_H
#define BT_STATE_CHECKPOINT_H

#include "state/store_db.h"

struct bt_checkpointer;

/* threaded false: no thread; bt_checkpointer_turn does its work. */
int bt_checkpointer_new(const char *path, bool threaded, struct bt_checkpointer **out, struct bt_err **err) BT_CHECK;
/* Without a thread: makes the copy that was asked for, if any. */
void bt_checkpointer_turn(struct bt_checkpointer *checkpointer);
/* Ends the thread and its connection; in_doubt as in bt_db_close. */
void bt_checkpointer_free(struct bt_checkpointer **checkpointer, bool in_doubt);

/* After a commit that left the log at frames: wakes the thread where it is worth it, and copies the rest through db where
 * that is short (or the log has grown far too long). BT_DB_DOUBT where a sync of the thread or of this call failed;
 * words then say how. Waits only where the thread cannot keep up and the log is far too long. */
enum bt_db_outcome bt_checkpointer_step(struct bt_checkpointer *checkpointer, struct bt_db *db, int frames,
                                        char words[256]);
/* Copies made so far, of the thread and of the writer; each syncs the log and the database. */
uint64_t bt_checkpointer_runs(struct bt_checkpointer *checkpointer);

#endif
