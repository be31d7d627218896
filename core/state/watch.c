#include "config.h"
#include "state/watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/plant.h"

enum { default_keep = 10000, bytes_each = 256, first_room = 64, fresh = BT_FEED_FRESH };

/* Counted, since a callback may add entries and so push out the one it looks at. */
struct item {
  unsigned refs;
  bool superseded; /* a later entry has the same kind and key */
  bool deleted;    /* no text, and none to ask for */
  uint32_t hash;     /* of its name */
  struct item *like; /* the next one in its place of the index */
  uint64_t number;
  uint64_t revision;
  char *text; /* NULL: to be read from the source */
  char name[]; /* kind, key */
};

/* item NULL: superseded, and gone. */
struct slot {
  uint64_t revision;
  struct item *item;
};

/* Entries have numbers 0, 1, … (several can share a revision); number n stands in ring[n % room]. */
struct bt_feed {
  struct slot *ring;
  struct item **newest; /* by hash, room of them: of each kind and key that is kept, the newest entry */
  size_t room, keep, bytes, max_bytes;
  uint64_t first, next; /* numbers: the oldest kept, the one to come */
  uint64_t oldest;      /* revision: all after it is kept */
  uint64_t latest;      /* revision */
  bool started;
  bt_feed_source *source;
  void *source_arg;
  struct bt_watcher *watchers;
  bool pumping;
};

struct bt_watcher {
  struct bt_watcher *prev, *after;
  struct bt_feed *feed;
  uint64_t at; /* number of the entry to come */
  bool gap, paused, waits, dead; /* waits: for a text, until the next pump */
  bool (*fn)(void *arg, const struct bt_feed_entry *entry);
  void *arg;
};

static const char *kind_of(const struct item *item) { return item->name; }
static const char *key_of(const struct item *item) { return item->name + strlen(item->name) + 1; }

static bool is_event(const struct item *item) { return strcmp(kind_of(item), "event") == 0; }

static size_t bytes_of(const struct item *item) {
  return sizeof *item + strlen(kind_of(item)) + strlen(key_of(item)) + 2 + (item->text ? strlen(item->text) + 1 : 0);
}

static void item_drop(struct item *item) {
  if (--item->refs > 0)
    return;
  free(item->text);
  free(item);
}

static struct item *item_new(uint64_t revision, const char *kind, const char *key, const char *value) {
  size_t kind_len = strlen(kind) + 1, key_len = strlen(key) + 1;
  struct item *item = bt_calloc(1, sizeof *item + kind_len + key_len);
  memcpy(item->name, kind, kind_len);
  memcpy(item->name + kind_len, key, key_len);
  item->refs = 1;
  item->hash = bt_map_hash(item->name, kind_len + key_len);
  item->revision = revision;
  item->text = bt_strdup(value);
  return item;
}

struct bt_feed *bt_feed_new(size_t keep) {
  struct bt_feed *feed = bt_new(struct bt_feed);
  feed->keep = keep ? keep : default_keep;
  feed->max_bytes = feed->keep * (bytes_each + sizeof(struct item));
  feed->room = BT_MIN((size_t)first_room, feed->keep);
  feed->ring = bt_newn(struct slot, feed->room);
  feed->newest = (struct item **)bt_newn(void *, feed->room);
  return feed;
}

void bt_feed_read_from(struct bt_feed *feed, bt_feed_source *source, void *arg) {
  BT_ASSERT(feed->next == 0);
  feed->source = source;
  feed->source_arg = arg;
}

static struct slot *slot(struct bt_feed *feed, uint64_t number) { return &feed->ring[number % feed->room]; }

/* Where the newest entry of the name stands, or would: the end of the chain. */
static struct item **newest_of(struct bt_feed *feed, const struct item *name) {
  struct item **p = &feed->newest[name->hash % feed->room];
  while (*p && ((*p)->hash != name->hash || strcmp(kind_of(*p), kind_of(name)) != 0 || strcmp(key_of(*p), key_of(name)) != 0))
    p = &(*p)->like;
  return p;
}

static void put_newest(struct bt_feed *feed, struct item *item) {
  struct item **p = newest_of(feed, item);
  item->like = *p ? (*p)->like : NULL;
  *p = item;
}

static void empty(struct bt_feed *feed, struct slot *s) {
  if (!s->item)
    return;
  if (!s->item->superseded && !is_event(s->item)) {
    struct item **p = newest_of(feed, s->item);
    *p = s->item->like;
  }
  feed->bytes -= bytes_of(s->item);
  item_drop(bt_steal(s->item));
}

static void drop_first(struct bt_feed *feed) {
  struct slot *s = slot(feed, feed->first++);
  feed->oldest = s->revision;
  empty(feed, s);
}

static void drop_superseded(struct bt_feed *feed, uint64_t number) {
  struct slot *s = slot(feed, number);
  if (s->item && s->item->superseded)
    empty(feed, s);
}

/* No longer fresh: gone where it was superseded, else without its text. Who looks at it just now keeps that. */
static void age(struct bt_feed *feed, uint64_t number) {
  drop_superseded(feed, number);
  struct item *item = slot(feed, number)->item;
  if (!feed->source || !item || !item->text || item->refs > 1)
    return;
  feed->bytes -= strlen(item->text) + 1;
  free(bt_steal(item->text));
}

/* The newest entry supersedes an earlier one of its key. That goes at once, or when it is no longer fresh. */
static void supersede(struct bt_feed *feed, struct item *item) {
  if (is_event(item))
    return;
  struct item *old = *newest_of(feed, item);
  put_newest(feed, item);
  if (!old)
    return;
  old->superseded = true;
  if (old->number + fresh < item->number)
    drop_superseded(feed, old->number);
}

void bt_feed_free(struct bt_feed **pfeed) {
  struct bt_feed *feed = bt_steal(*pfeed);
  if (!feed)
    return;
  BT_ASSERT(!feed->pumping);
  while (feed->first < feed->next)
    drop_first(feed);
  while (feed->watchers) {
    struct bt_watcher *watcher = feed->watchers;
    bt_watcher_free(&watcher);
  }
  free(feed->ring);
  free((void *)feed->newest);
  free(feed);
}

void bt_feed_start(struct bt_feed *feed, uint64_t revision) {
  BT_ASSERT(feed->next == 0);
  feed->oldest = feed->latest = revision;
  feed->started = true;
}

static void grow(struct bt_feed *feed) {
  size_t room = BT_MIN(feed->room * 2, feed->keep);
  struct slot *ring = bt_newn(struct slot, room);
  for (uint64_t n = feed->first; n < feed->next; n++)
    ring[n % room] = *slot(feed, n);
  free(feed->ring);
  free((void *)feed->newest);
  feed->ring = ring;
  feed->room = room;
  feed->newest = (struct item **)bt_newn(void *, room);
  for (uint64_t n = feed->first; n < feed->next; n++) {
    struct item *item = slot(feed, n)->item;
    if (item && !item->superseded && !is_event(item))
      put_newest(feed, item);
  }
}

static void add(struct bt_feed *feed, uint64_t revision, const char *kind, const char *key, const char *value, bool deleted) {
  BT_ASSERT(revision >= feed->latest);
  if (!feed->started)
    bt_feed_start(feed, revision ? revision - 1 : 0);
  if (feed->next - feed->first == feed->room && feed->room < feed->keep)
    grow(feed);
  struct item *item = item_new(revision, kind, key, value);
  item->deleted = deleted;
  size_t bytes = bytes_of(item);
  while (feed->first < feed->next && (feed->next - feed->first == feed->room || feed->bytes + bytes > feed->max_bytes))
    drop_first(feed);
  item->number = feed->next;
  *slot(feed, feed->next++) = (struct slot){revision, item};
  feed->bytes += bytes;
  feed->latest = revision;
  supersede(feed, item);
  if (item->number >= feed->first + fresh)
    age(feed, item->number - fresh);
}

void bt_feed_add(struct bt_feed *feed, uint64_t revision, const char *kind, const char *key, const char *value) {
  add(feed, revision, kind, key, value, !value);
}

void bt_feed_add_unread(struct bt_feed *feed, uint64_t revision, const char *kind, const char *key) {
  BT_ASSERT(feed->source);
  add(feed, revision, kind, key, NULL, false);
}

void bt_feed_pass(struct bt_feed *feed, uint64_t revision) {
  BT_ASSERT(revision >= feed->latest);
  if (!feed->started)
    bt_feed_start(feed, revision);
  feed->latest = revision;
}

size_t bt_feed_bytes(const struct bt_feed *feed) {
  return feed->bytes + feed->room * (sizeof *feed->ring + sizeof *feed->newest);
}

uint64_t bt_feed_latest(const struct bt_feed *feed) { return feed->latest; }

uint64_t bt_feed_oldest(const struct bt_feed *feed) { return feed->oldest; }

/* The number of the first kept entry with a revision over "after". */
static uint64_t find(struct bt_feed *feed, uint64_t after) {
  uint64_t low = feed->first, high = feed->next;
  while (low < high) {
    uint64_t middle = low + (high - low) / 2;
    if (slot(feed, middle)->revision > after - (BT_PLANT(FEED_AGAIN) && after > 0))
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

struct bt_watcher *bt_feed_watch(struct bt_feed *feed, uint64_t after, bool (*fn)(void *arg, const struct bt_feed_entry *entry),
                                 void *arg) {
  struct bt_watcher *watcher = bt_new(struct bt_watcher);
  watcher->feed = feed;
  watcher->fn = fn;
  watcher->arg = arg;
  bool now = after == UINT64_MAX;
  watcher->gap = !BT_PLANT(FEED_NO_GAP) && !now && feed->started && (after < feed->oldest || after > feed->latest);
  watcher->at = now ? feed->next : watcher->gap ? feed->first : find(feed, after);
  watcher->after = feed->watchers;
  if (feed->watchers)
    feed->watchers->prev = watcher;
  feed->watchers = watcher;
  return watcher;
}

void bt_watcher_resume(struct bt_watcher *watcher) {
  if (BT_PLANT(FEED_SKIPS) && watcher->paused && watcher->at < watcher->feed->next)
    watcher->at++;
  watcher->paused = false;
}

static void unlink_watcher(struct bt_watcher *watcher) {
  *(watcher->prev ? &watcher->prev->after : &watcher->feed->watchers) = watcher->after;
  if (watcher->after)
    watcher->after->prev = watcher->prev;
  free(watcher);
}

void bt_watcher_free(struct bt_watcher **pwatcher) {
  struct bt_watcher *watcher = bt_steal(*pwatcher);
  if (!watcher)
    return;
  watcher->dead = true; /* the pump may stand on it */
  if (!watcher->feed->pumping)
    unlink_watcher(watcher);
}

static bool due(const struct bt_watcher *watcher) {
  return !watcher->dead && !watcher->paused && !watcher->waits && (watcher->gap || watcher->at < watcher->feed->next);
}

static bool tell_gap(struct bt_watcher *watcher, uint64_t revision) {
  struct bt_feed_entry gap = {.revision = revision, .kind = "gap", .key = ""};
  return watcher->fn(watcher->arg, &gap);
}

/* The next entry that is still there; the watcher stands after it. NULL: none. */
static struct item *next_item(struct bt_feed *feed, struct bt_watcher *watcher) {
  struct item *item = NULL;
  while (!item && watcher->at < feed->next)
    item = slot(feed, watcher->at++)->item;
  return item;
}

static bool tell_item(struct bt_feed *feed, struct bt_watcher *watcher, struct item *item) {
  struct bt_feed_entry entry = {.revision = item->revision, .kind = kind_of(item), .key = key_of(item), .value = item->text};
  BT_AUTO_FREE char *text = NULL;
  if (!item->text && !item->deleted) {
    enum bt_feed_said said = feed->source(feed->source_arg, entry.kind, entry.key, &text);
    if (said == BT_FEED_LATER) {
      watcher->at--;
      watcher->waits = true;
      return true;
    }
    if (said == BT_FEED_NONE)
      return tell_gap(watcher, item->revision);
    entry.value = text;
  }
  item->refs++;
  bool more = watcher->fn(watcher->arg, &entry);
  item_drop(item);
  return more;
}

static void deliver_one(struct bt_feed *feed, struct bt_watcher *watcher) {
  if (watcher->at < feed->first) { /* too slow: what it should have seen is gone */
    watcher->at = feed->first;
    watcher->gap = !BT_PLANT(FEED_NO_GAP);
  }
  bool more;
  if (watcher->gap) {
    watcher->gap = false;
    watcher->at = find(feed, feed->oldest); /* the rest of a commit that is kept in part is behind the gap, too */
    more = tell_gap(watcher, feed->oldest);
  } else {
    struct item *item = next_item(feed, watcher);
    more = item ? tell_item(feed, watcher, item) : true;
  }
  if (!more)
    watcher->paused = true;
}

bool bt_feed_pump(struct bt_feed *feed, size_t budget) {
  BT_ASSERT(!feed->pumping);
  feed->pumping = true;
  for (struct bt_watcher *w = feed->watchers; w; w = w->after) {
    w->waits = false;
    for (size_t i = 0; i < budget && due(w); i++)
      deliver_one(feed, w);
  }
  feed->pumping = false;
  bool more = false;
  for (struct bt_watcher *w = feed->watchers, *after; w; w = after) {
    after = w->after;
    more |= due(w); /* also one that a callback has made */
    if (w->dead)
      unlink_watcher(w);
  }
  return more;
}
