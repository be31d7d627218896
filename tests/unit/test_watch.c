/* The feed: order, resume, gaps, watchers that are slow, pause, leave or join while it pumps. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "state/watch.h"
#include "tap.h"

struct seen {
  struct bt_buf text;
  int pause_after; /* entries; 0: never */
  int count;
  struct bt_watcher **leave; /* freed at the first entry */
};

static bool note(void *arg, const struct bt_feed_entry *entry) {
  struct seen *seen = arg;
  bt_buf_addf(&seen->text, "%s%llu:%s%s%s", seen->text.len ? " " : "", (unsigned long long)entry->revision, entry->kind,
              *entry->key ? "/" : "", entry->key);
  if (entry->value)
    bt_buf_addf(&seen->text, "=%s", entry->value);
  if (seen->leave)
    bt_watcher_free(seen->leave);
  return ++seen->count != seen->pause_after;
}

static void pump(struct bt_feed *feed) {
  for (int i = 0; i < 1000 && bt_feed_pump(feed, 3); i++) {
  }
}

static const char *text(struct seen *seen) { return seen->text.data ? seen->text.data : ""; }

static void test_order(void) {
  struct bt_feed *feed = bt_feed_new(0);
  struct seen all = {0}, later = {0}, now = {0};
  bt_feed_start(feed, 4);
  struct bt_watcher *a = bt_feed_watch(feed, 4, note, &all);
  ok(!bt_feed_pump(feed, 10), "nothing is due before the first entry");
  bt_feed_add(feed, 5, "app", "default/web", "{}");
  bt_feed_add(feed, 5, "event", "1", "e");
  bt_feed_add(feed, 7, "app", "default/web", NULL);
  struct bt_watcher *b = bt_feed_watch(feed, 5, note, &later);
  struct bt_watcher *c = bt_feed_watch(feed, UINT64_MAX, note, &now);
  ok(bt_feed_pump(feed, 1), "a budget of one leaves work");
  pump(feed);
  bt_feed_add(feed, 8, "event", "2", "f");
  pump(feed);
  is_str(text(&all), "5:app/default/web={} 5:event/1=e 7:app/default/web 8:event/2=f", "all, in order, a deletion without value");
  is_str(text(&later), "7:app/default/web 8:event/2=f", "resumed after 5: the whole of 5 was seen");
  is_str(text(&now), "8:event/2=f", "from now on");
  is_int(bt_feed_oldest(feed), 4, "nothing was dropped");
  bt_watcher_free(&a);
  bt_watcher_free(&b);
  bt_watcher_free(&c);
  ok(!a, "free clears the pointer");
  bt_feed_free(&feed);
  bt_buf_free(&all.text);
  bt_buf_free(&later.text);
  bt_buf_free(&now.text);
}

static void test_gap(void) {
  struct bt_feed *feed = bt_feed_new(3);
  struct seen old = {0}, future = {0}, edge = {0};
  bt_feed_start(feed, 10);
  for (uint64_t r = 11; r <= 16; r++)
    bt_feed_add(feed, r, "app", "x", "v");
  is_int(bt_feed_oldest(feed), 13, "three are kept: 14, 15, 16");
  bt_feed_watch(feed, 12, note, &old);
  bt_feed_watch(feed, 99, note, &future);
  bt_feed_watch(feed, 13, note, &edge);
  pump(feed);
  is_str(text(&old), "13:gap 14:app/x=v 15:app/x=v 16:app/x=v", "an old revision gets a gap, then what is kept");
  is_str(text(&future), text(&old), "so does a revision that never was");
  is_str(text(&edge), "14:app/x=v 15:app/x=v 16:app/x=v", "the oldest itself needs none");
  bt_feed_free(&feed); /* with its watchers */
  bt_buf_free(&old.text);
  bt_buf_free(&future.text);
  bt_buf_free(&edge.text);
}

/* Of a commit that is kept in part nothing comes after the gap: the gap says that it is to be read anew. */
static void test_gap_inside_commit(void) {
  struct bt_feed *feed = bt_feed_new(4);
  struct seen old = {0};
  bt_feed_start(feed, 4);
  for (int i = 0; i < 3; i++) {
    char key[2] = {(char)('a' + i), 0};
    bt_feed_add(feed, 5, "app", key, "v");
  }
  bt_feed_add(feed, 6, "app", "d", "v");
  bt_feed_add(feed, 6, "app", "e", "v");
  is_int(bt_feed_oldest(feed), 5, "the first of three of a commit is dropped");
  bt_feed_watch(feed, 2, note, &old);
  pump(feed);
  is_str(text(&old), "5:gap 6:app/d=v 6:app/e=v", "after the gap the feed does not go back");
  bt_feed_free(&feed);
  bt_buf_free(&old.text);
}

static void test_restart_gap(void) {
  struct bt_feed *feed = bt_feed_new(10);
  struct seen before = {0}, same = {0};
  bt_feed_start(feed, 100);
  bt_feed_watch(feed, 90, note, &before);
  bt_feed_watch(feed, 100, note, &same);
  pump(feed);
  is_str(text(&before), "100:gap", "after a restart an older revision gets its gap at once");
  bt_feed_add(feed, 103, "app", "x", "v");
  pump(feed);
  is_str(text(&same), "103:app/x=v", "the revision at start resumes, also where refused revisions left a hole");
  bt_feed_free(&feed);
  bt_buf_free(&before.text);
  bt_buf_free(&same.text);
}

static void test_slow(void) {
  struct bt_feed *feed = bt_feed_new(4);
  struct seen slow = {.pause_after = 1}, quick = {0};
  bt_feed_start(feed, 0);
  struct bt_watcher *s = bt_feed_watch(feed, 0, note, &slow);
  struct bt_watcher *q = bt_feed_watch(feed, 0, note, &quick);
  for (uint64_t r = 1; r <= 8; r++) {
    bt_feed_add(feed, r, "app", "x", NULL);
    pump(feed);
  }
  is_str(text(&slow), "1:app/x", "a watcher that paused gets nothing more");
  is_int(quick.count, 8, "and delays nobody");
  bt_watcher_resume(s);
  pump(feed);
  is_str(text(&slow), "1:app/x 4:gap 5:app/x 6:app/x 7:app/x 8:app/x", "resumed too late: a gap, then what is kept");
  slow.pause_after = slow.count + 1;
  bt_feed_add(feed, 9, "app", "x", NULL);
  pump(feed);
  bt_feed_add(feed, 10, "app", "x", NULL);
  bt_watcher_resume(s);
  pump(feed);
  ok(bt_ends(text(&slow), "8:app/x 9:app/x 10:app/x"), "resumed in time: no gap, nothing twice");
  bt_watcher_free(&s);
  bt_watcher_free(&q);
  bt_feed_free(&feed);
  bt_buf_free(&slow.text);
  bt_buf_free(&quick.text);
}

struct rewriter {
  struct bt_feed *feed;
  uint64_t next;
  struct seen late;
  bool same;
};

/* Pushes out the entry it looks at, and joins another watcher. */
static bool rewrite(void *arg, const struct bt_feed_entry *entry) {
  struct rewriter *r = arg;
  if (r->next > 3)
    return true;
  bt_feed_add(r->feed, ++r->next, "app", "y", "new");
  r->same = bt_streq(entry->key, "x") && bt_streq(entry->value, "old");
  bt_feed_watch(r->feed, 1, note, &r->late);
  r->next = 9;
  return true;
}

static void test_inside(void) {
  struct bt_feed *feed = bt_feed_new(1);
  struct seen first = {0}, second = {0};
  struct bt_watcher *a = bt_feed_watch(feed, UINT64_MAX, note, &first);
  struct bt_watcher *b = bt_feed_watch(feed, UINT64_MAX, note, &second);
  first.leave = &b;
  second.leave = &a;
  struct rewriter r = {.feed = feed, .next = 1};
  bt_feed_watch(feed, UINT64_MAX, rewrite, &r);
  bt_feed_add(feed, 1, "app", "x", "old");
  pump(feed);
  ok(r.same, "an entry outlives being pushed out while somebody looks at it");
  is_str(text(&r.late), "2:app/y=new", "who joins inside a callback gets what is due");
  ok((first.count == 0) != (second.count == 0), "who is freed inside a callback is called no more");
  bt_feed_free(&feed);
  bt_buf_free(&first.text);
  bt_buf_free(&second.text);
  bt_buf_free(&r.late.text);
}

/* What was superseded long ago is gone; the newest state of each object is not, nor is any event. */
static void test_superseded(void) {
  struct bt_feed *feed = bt_feed_new(0);
  struct seen late = {0};
  bt_feed_start(feed, 0);
  uint64_t r = 0;
  bt_feed_add(feed, ++r, "app", "quiet", "q");
  bt_feed_add(feed, ++r, "app", "gone", "g");
  bt_feed_add(feed, ++r, "event", "1", "e");
  for (int i = 0; i < 500; i++)
    bt_feed_add(feed, ++r, "app", i % 2 ? "a" : "b", "v");
  bt_feed_add(feed, ++r, "app", "gone", NULL);
  bt_feed_watch(feed, 0, note, &late);
  pump(feed);
  ok(bt_starts(text(&late), "1:app/quiet=q 3:event/1=e 441:app/"), "who resumes far back gets what still counts: %.50s",
     text(&late));
  ok(bt_ends(text(&late), "502:app/b=v 503:app/a=v 504:app/gone"), "and all that is fresh");
  is_int(late.count, 2 + 64, "and no more");
  is_int(bt_feed_oldest(feed), 0, "without a gap");
  for (int i = 0; i < 100; i++)
    bt_feed_add(feed, ++r, "event", "x", NULL);
  struct seen later = {0};
  bt_feed_watch(feed, 0, note, &later);
  pump(feed);
  ok(strstr(text(&later), "3:event/1=e 502:app/b=v 503:app/a=v 504:app/gone "), "once it is old, one entry an object is left, also of a deletion");
  bt_feed_free(&feed);
  bt_buf_free(&late.text);
  bt_buf_free(&later.text);
}

static void test_bytes(void) {
  struct bt_feed *feed = bt_feed_new(100);
  BT_AUTO_FREE char *big = bt_calloc(1, 10001);
  memset(big, 'x', 10000);
  struct seen seen = {0};
  bt_feed_start(feed, 0);
  for (uint64_t r = 1; r <= 50; r++)
    bt_feed_add(feed, r, "app", "x", big);
  ok(bt_feed_oldest(feed) >= 45, "large values push out more than one entry each");
  bt_feed_watch(feed, 49, note, &seen);
  pump(feed);
  is_int(seen.count, 1, "the newest is always kept");
  bt_feed_free(&feed);
  bt_buf_free(&seen.text);
}

struct tables {
  enum bt_feed_said said;
  int asked;
};

static enum bt_feed_said read_table(void *arg, const char *kind, const char *key, char **text) {
  struct tables *tables = arg;
  tables->asked++;
  if (tables->said == BT_FEED_TEXT)
    *text = bt_asprintf("%s-%s", kind, key);
  return tables->said;
}

/* What is no longer fresh is read from the tables; what is on its way to the disk is waited for. */
static void test_source(void) {
  struct bt_feed *feed = bt_feed_new(0);
  struct tables tables = {.said = BT_FEED_LATER};
  struct seen late = {0}, lost = {0}, after = {0};
  bt_feed_read_from(feed, read_table, &tables);
  bt_feed_start(feed, 0);
  bt_feed_add(feed, 1, "app", "old", "text");
  bt_feed_add(feed, 2, "app", "gone", NULL);
  for (uint64_t r = 3; r < 70; r++)
    bt_feed_add(feed, r, "node", "x", "fresh");
  struct bt_watcher *watcher = bt_feed_watch(feed, 0, note, &late);
  ok(!bt_feed_pump(feed, 100), "a watcher that waits for the disk keeps nobody busy");
  is_str(text(&late), "", "and is told nothing meanwhile");
  tables.said = BT_FEED_TEXT;
  pump(feed);
  ok(bt_starts(text(&late), "1:app/old=app-old 2:app/gone 6:node/x=fresh "), "then it gets the text of the tables: %.60s", text(&late));
  is_int(tables.asked, 2, "which were asked for nothing that is fresh or deleted");
  tables.said = BT_FEED_NONE;
  bt_feed_watch(feed, 0, note, &lost);
  pump(feed);
  ok(bt_starts(text(&lost), "1:gap 2:app/gone "), "what the tables have forgotten is a gap");
  bt_feed_pass(feed, 80);
  bt_feed_watch(feed, 80, note, &after);
  pump(feed);
  is_str(text(&after), "", "a commit that nobody may see makes no gap");
  bt_watcher_free(&watcher);
  bt_feed_free(&feed);
  bt_buf_free(&late.text);
  bt_buf_free(&lost.text);
  bt_buf_free(&after.text);
}

/* The cost that the header names: a thousand objects of 1 KB that change ten times each, and an event for each of them. */
static void test_memory(void) {
  enum { objects = 1000 };
  struct bt_feed *feed = bt_feed_new(0);
  struct tables tables = {.said = BT_FEED_TEXT};
  bt_feed_read_from(feed, read_table, &tables);
  BT_AUTO_FREE char *kilobyte = bt_calloc(1, 1025);
  memset(kilobyte, 'x', 1024);
  uint64_t r = 0;
  for (int i = 0; i < objects * 10; i++) {
    char key[64];
    snprintf(key, sizeof key, "default/shop-web-%d-k3f9a", i % objects);
    bt_feed_add(feed, ++r, "instance", key, kilobyte);
    snprintf(key, sizeof key, "%016x", i);
    if (i < objects)
      bt_feed_add(feed, r, "event", key, "event");
  }
  size_t each = bt_feed_bytes(feed) / objects;
  ok(each < 600, "%zu bytes for each object and its event", each);
  bt_feed_free(&feed);
}

int main(void) {
  test_order();
  test_gap();
  test_gap_inside_commit();
  test_restart_gap();
  test_slow();
  test_inside();
  test_superseded();
  test_bytes();
  test_source();
  test_memory();
  return done_testing();
}
