/* The stream of committed changes and events, by revision, for watchers that can resume: API (SSE), plug-ins, dashboard. Keeps the
 * last n entries in memory; a watcher that asks for a revision that is gone gets a gap first. Of an object that changed often, entries
 * older than the last 64 are dropped when a newer one has the same key: who was away, or is slow, sees its newest state, not each
 * step (events have keys of their own, so none is lost). Knows nothing of who
 * watches. Loop's thread only. Cost: the JSON text and some 250 bytes per entry; nothing per idle watcher. */
#ifndef BT_STATE_WATCH_H
#define BT_STATE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bt_feed;
struct bt_watcher;

/* One entry. For an object change: kind/key and its new value (NULL: deleted). Events are objects of kind "event". */
struct bt_feed_entry {
  uint64_t revision;
  const char *kind, *key, *value;
};

/* keep: entries (0: 10,000); also at most 256 bytes of text for each of them on average: large values push out more. */
struct bt_feed *bt_feed_new(size_t keep);
/* The history begins after this revision (the store's, at start): who asks for an older one gets a gap, and so does who comes
 * from the future (the state was restored from a backup). Before the first entry. */
void bt_feed_start(struct bt_feed *feed, uint64_t revision);
void bt_feed_free(struct bt_feed **feed);
/* Appends after the commit is durable. Copies. */
void bt_feed_add(struct bt_feed *feed, uint64_t revision, const char *kind, const char *key, const char *value);
uint64_t bt_feed_latest(const struct bt_feed *feed); /* revision of the newest entry */
uint64_t bt_feed_oldest(const struct bt_feed *feed); /* the oldest "after" that needs no gap */

/* From the entry after revision "after" (UINT64_MAX: from now on). fn returns false to pause (that entry counts as taken);
 * gap entries have kind "gap", key "" and the revision after which the entries that follow are complete: read the objects
 * anew, then go on. fn is never called from inside bt_feed_watch itself but from bt_feed_pump. */
struct bt_watcher *bt_feed_watch(struct bt_feed *feed, uint64_t after, bool (*fn)(void *arg, const struct bt_feed_entry *entry),
                                 void *arg);
void bt_watcher_resume(struct bt_watcher *watcher);
void bt_watcher_free(struct bt_watcher **watcher); /* allowed inside fn */
/* Delivers what is due, at most budget entries a watcher; true where more is due. The daemon calls it after commits and
 * from the loop's next turn as long as it returns true. */
bool bt_feed_pump(struct bt_feed *feed, size_t budget);

#endif
