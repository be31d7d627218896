/* Watchers of the feed, as readers of /v1/watch are: they pause, leave, and come back with the last revision that they have seen. Each sees every
 * event once and in order, however the server died meanwhile, unless it was told of a gap; and what it made of the changes is what is
 * durable, in the end. */
#include "config.h"

#include "sim.h"

#define WATCHERS 3

struct sim_watcher {
  struct sim *s;
  int number;
  struct bt_watcher *watcher; /* NULL: away */
  uint64_t after;             /* the last revision that it has whole */
  uint64_t at;                /* the revision that it is in */
  size_t next;                /* of the events that became durable: the one that is due */
  uint64_t gap;               /* of the last one: the rest of that revision may come again */
  bool begun, paused;
  struct bt_map *replica;     /* "kind key" -> text, but events */
};

static bool is_inner(const char *id) {
  static const char *const inner[] = {"blob ", "kv ", "meta ", "server ", "event "};
  for (size_t i = 0; i < BT_COUNT(inner); i++)
    if (bt_starts(id, inner[i]))
      return true;
  return false;
}

/* Reads the objects anew. */
static void read_all(struct sim_watcher *w) {
  bt_map_free(&w->replica);
  w->replica = bt_map_new(free);
  for (struct bt_map_iter it = bt_map_iter(sim_store_truth(w->s->store)); bt_map_next(&it);)
    if (!is_inner(it.key))
      bt_map_set(w->replica, it.key, bt_strdup(it.value));
}

static void skip_events(struct sim_watcher *w, uint64_t revision) {
  size_t n;
  const struct sim_told *told = sim_store_events(w->s->store, &n);
  while (w->next < n && told[w->next].revision <= revision)
    w->next++;
}

static void take_event(struct sim_watcher *w, const struct bt_feed_entry *e) {
  size_t n;
  const struct sim_told *told = sim_store_events(w->s->store, &n);
  if (e->revision <= w->gap)
    return;
  /* Who left within a revision meets its first events again. */
  for (size_t i = w->next; i-- > 0 && told[i].revision == e->revision && e->revision == w->at && e->revision > w->after;)
    if (bt_streq(told[i].key, e->key) && w->begun)
      return;
  if (w->next >= n || told[w->next].revision != e->revision || !bt_streq(told[w->next].key, e->key))
    sim_bad(w->s, "watcher %d is told event %s of revision %llu, due is %s of %llu", w->number, e->key, (unsigned long long)e->revision,
            w->next < n ? told[w->next].key : "none", w->next < n ? (unsigned long long)told[w->next].revision : 0);
  w->next++;
}

static bool on_entry(void *arg, const struct bt_feed_entry *e) {
  struct sim_watcher *w = arg;
  if (w->s->dead)
    return true;
  sim_trace(w->s, &e->revision, sizeof e->revision);
  if (bt_streq(e->kind, "gap")) {
    if (w->begun && w->after >= bt_feed_oldest(w->s->feed))
      sim_bad(w->s, "watcher %d is told of a gap after revision %llu, and the feed goes back to %llu", w->number, (unsigned long long)w->after,
              (unsigned long long)bt_feed_oldest(w->s->feed));
    sim_say(w->s, "watcher %d is told of a gap after %llu: until %llu", w->number, (unsigned long long)w->after, (unsigned long long)e->revision);
    read_all(w);
    skip_events(w, e->revision);
    w->after = w->at = w->gap = e->revision;
    w->begun = true;
    return true;
  }
  if (e->revision < w->at)
    sim_bad(w->s, "watcher %d is told of revision %llu after %llu", w->number, (unsigned long long)e->revision, (unsigned long long)w->at);
  if (e->revision > w->at) {
    w->after = w->at;
    w->at = e->revision;
  }
  if (bt_streq(e->kind, "event")) {
    take_event(w, e);
  } else {
    BT_AUTO_FREE char *id = bt_asprintf("%s %s", e->kind, e->key);
    if (e->value)
      bt_map_set(w->replica, id, bt_strdup(e->value));
    else
      bt_map_del(w->replica, id);
  }
  w->paused = !w->s->calm && sim_chance(w->s, 2);
  return !w->paused;
}

static void come(struct sim_watcher *w) {
  if (w->watcher || !w->s->feed)
    return;
  if (!w->begun) { /* from now on: what is there is read first */
    w->after = w->at = bt_feed_latest(w->s->feed);
    read_all(w);
    skip_events(w, w->after);
    w->begun = true;
  }
  w->paused = false;
  sim_say(w->s, "watcher %d comes: after %llu", w->number, (unsigned long long)w->after);
  w->watcher = bt_feed_watch(w->s->feed, w->after, on_entry, w);
}

static void leave(struct sim_watcher *w) {
  bt_watcher_free(&w->watcher);
}

void sim_watchers_start(struct sim *s) {
  while (s->watchers.len < WATCHERS) {
    struct sim_watcher *w = bt_new(struct sim_watcher);
    *w = (struct sim_watcher){.s = s, .number = (int)s->watchers.len + 1, .replica = bt_map_new(free)};
    bt_vec_push(&s->watchers, w);
  }
  bt_vec_each(&s->watchers, w) come(*w);
}

void sim_watchers_stop(struct sim *s) { bt_vec_each(&s->watchers, w) leave(*w); }

void sim_watcher_acts(struct sim *s) {
  struct sim_watcher *w = s->watchers.items[sim_rand(s, s->watchers.len)];
  if (!s->executor)
    return;
  if (!w->watcher) {
    come(w);
  } else if (w->paused) {
    w->paused = false;
    bt_watcher_resume(w->watcher);
  } else {
    leave(w);
  }
  while (bt_feed_pump(s->feed, 50)) {
  }
}

/* Whether what readers are told is what is stored: the rows of instances leave out what is nothing. Times are told by the wall clock, which
 * may have been set since they were written. */
static bool has_all(const json_t *told, const json_t *stored) {
  const char *key;
  json_t *value;
  if (!json_is_object(stored))
    return json_equal(told, stored);
  json_object_foreach((json_t *)(uintptr_t)stored, key, value) if (!bt_ends(key, "_at") && !bt_ends(key, "_ms") && !has_all(json_object_get(told, key), value)) return false;
  return true;
}

bool sim_alike(const char *told, const char *stored) {
  BT_AUTO_JSON x = told ? json_loads(told, 0, NULL) : NULL;
  BT_AUTO_JSON y = json_loads(stored, 0, NULL);
  return x && y && has_all(x, y);
}

static void check_replica(struct sim_watcher *w) {
  size_t n = 0;
  for (struct bt_map_iter it = bt_map_iter(sim_store_truth(w->s->store)); bt_map_next(&it);) {
    if (is_inner(it.key))
      continue;
    n++;
    const char *have = bt_map_get(w->replica, it.key);
    if (!bt_streq(have, it.value) && !sim_alike(have, it.value))
      sim_bad(w->s, "watcher %d has another %s than the store: %.2000s, not %.2000s", w->number, it.key, have ? have : "none", (const char *)it.value);
  }
  if (n != bt_map_len(w->replica))
    sim_bad(w->s, "watcher %d has %zu objects, the store has %zu", w->number, bt_map_len(w->replica), n);
}

void sim_watchers_settled(struct sim *s) {
  size_t n;
  bt_vec_each(&s->watchers, w) {
    come(*w);
    (*w)->paused = false;
    bt_watcher_resume((*w)->watcher);
  }
  while (bt_feed_pump(s->feed, 50)) {
  }
  sim_store_events(s->store, &n);
  bt_vec_each(&s->watchers, w) {
    if ((*w)->next != n)
      sim_bad(s, "watcher %d was told of %zu events, there were %zu", (*w)->number, (*w)->next, n);
    check_replica(*w);
  }
}

void sim_watchers_free(struct sim *s) {
  bt_vec_each(&s->watchers, w) {
    bt_map_free(&(*w)->replica);
    free(*w);
  }
  bt_vec_free(&s->watchers);
}
