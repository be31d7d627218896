/* The stream of committed changes and events, by revision, for watchers that can resume: API (SSE), plug-ins, dashboard. Remembers
 * the last n entries; a watcher that asks for a revision that is gone gets a gap first. Of an object that changed often, entries
 * older than the last 64 are dropped when a newer one has the same key: who was away, or is slow, sees its newest state, not each
 * step (events have keys of their own, so none is lost). Texts are kept of the last 64 entries only: what an older one says is read
 * again, from the tables that hold it anyhow, when somebody asks. Knows nothing of who watches, nor of those tables. Loop's thread
 * only. Cost: some 130 bytes for each object and event, and the texts of 64 entries; nothing per idle watcher. */
#ifndef BT_STATE_WATCH_H
#define BT_STATE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BT_FEED_FRESH 64 /* entries that keep their texts */

struct bt_feed;
struct bt_watcher;

/* One entry. For an object change: kind/key and its new value (NULL: deleted). Events are objects of kind "event". */
struct bt_feed_entry {
  uint64_t revision;
  const char *kind, *key, *value;
};

/* What the source of the texts says of an object. */
enum bt_feed_said {
  BT_FEED_TEXT,  /* *text is its durable text; the feed frees it */
  BT_FEED_LATER, /* its next change is on the way to the disk: ask again at the next pump */
  BT_FEED_NONE   /* it is no longer known: the watcher gets a gap instead */
};
typedef enum bt_feed_said bt_feed_source(void *arg, const char *kind, const char *key, char **text);

/* keep: entries (0: 10,000); also at most 256 bytes of text for each of them on average: large values push out more. */
struct bt_feed *bt_feed_new(size_t keep);
/* The history begins after this revision (the store's, at start): who asks for an older one gets a gap, and so does who comes
 * from the future (the state was restored from a backup). Before the first entry. */
void bt_feed_start(struct bt_feed *feed, uint64_t revision);
/* Where texts are read again; without a source the feed keeps them all. Before the first entry. */
void bt_feed_read_from(struct bt_feed *feed, bt_feed_source *source, void *arg);
void bt_feed_free(struct bt_feed **feed);
/* Appends after the commit is durable. Copies. Entries of kind "event" are taken to have a key of their own each. */
void bt_feed_add(struct bt_feed *feed, uint64_t revision, const char *kind, const char *key, const char *value);
/* As bt_feed_add of an object that is there, but its text is read from the source when somebody asks for it. What more than
 * BT_FEED_FRESH entries follow at once needs no text of its own. */
void bt_feed_add_unread(struct bt_feed *feed, uint64_t revision, const char *kind, const char *key);
uint64_t bt_feed_latest(const struct bt_feed *feed); /* revision of the newest commit */
/* A commit that no watcher may see: who resumes after its revision has missed nothing. */
void bt_feed_pass(struct bt_feed *feed, uint64_t revision);
size_t bt_feed_bytes(const struct bt_feed *feed); /* what entries and texts take, without the allocator's own */
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
