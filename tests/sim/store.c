/* The real store between the executor and the disk, and a book of what it was given: what became durable for sure, what is on its way,
 * what was refused. Whatever is read back from the disk is compared with the book, object by object: all that was acknowledged, then a first
 * part of what was under way, in order and each batch whole, and nothing else. */
#include "config.h"

#include "disk.h"
#include "sim.h"

struct batch {
  struct sim_store *store;
  uint64_t revision;
  BT_VEC(struct bt_change) changes;
  bool refused; /* for want of room: it was surely rolled back */
  bool settled;
  bool doubt;
  void (*done)(void *arg, enum bt_code code, const char *message);
  void *arg;
};

struct sim_store {
  struct bt_store base; /* what the executor sees */
  struct bt_store *real;
  struct sim *s;
  char *path;
  struct bt_map *truth;
  uint64_t revision; /* of truth */
  BT_VEC(struct batch *) open; /* given, and not known to be durable; rising */
  BT_VEC(struct sim_told) events;
  struct bt_map *gone; /* instances that were deleted: their ids are never used again */
};

static struct sim_store *of(struct bt_store *base) { return (struct sim_store *)base; }

static void batch_free(struct batch *b) {
  bt_vec_each(&b->changes, change) {
    free(change->key);
    free(change->value);
  }
  bt_vec_free(&b->changes);
  free(b);
}

static void apply(struct bt_map *map, const struct batch *b) {
  bt_vec_each(&b->changes, change) {
    BT_AUTO_FREE char *id = bt_asprintf("%s %s", change->kind, change->key);
    if (change->value)
      bt_map_set(map, id, bt_strdup(change->value));
    else
      bt_map_del(map, id);
  }
}

static void learn_instance(struct sim_store *st, const struct bt_change *change) {
  if (!change->value)
    bt_map_set(st->gone, change->key, st);
  else if (bt_map_get(st->gone, change->key))
    sim_bad(st->s, "the id of instance %s was that of another one", change->key);
}

/* The batch is durable. */
static void learn(struct sim_store *st, const struct batch *b) {
  apply(st->truth, b);
  st->revision = b->revision;
  bt_vec_each(&b->changes, change) {
    if (bt_streq(change->kind, "instance"))
      learn_instance(st, change);
    if (!bt_streq(change->kind, "event") || !change->value)
      continue;
    if (st->events.len > 0 && strcmp(st->events.items[st->events.len - 1].key, change->key) >= 0)
      sim_bad(st->s, "event %s comes after event %s", change->key, st->events.items[st->events.len - 1].key);
    struct sim_told told = {b->revision, bt_strdup(change->key)};
    bt_vec_push(&st->events, told);
  }
}

static void forget(struct sim_store *st, const struct batch *b) {
  for (size_t i = 0; i < st->open.len; i++)
    if (st->open.items[i] == b) {
      bt_vec_remove(&st->open, i);
      return;
    }
}

/* ---- what the executor asks for ---- */

static void settled(void *arg, enum bt_code code, const char *message) {
  struct batch *b = arg;
  struct sim_store *st = b->store;
  void (*done)(void *, enum bt_code, const char *) = b->done;
  void *done_arg = b->arg;
  b->settled = true;
  if (!st->s->dead && code == BT_OK) {
    if (st->open.len == 0 || st->open.items[0] != b)
      sim_bad(st->s, "revision %llu is acknowledged before an earlier one", (unsigned long long)b->revision);
    learn(st, b);
    forget(st, b);
    batch_free(b);
  } else if (!st->s->dead) {
    sim_say(st->s, "REFUSED revision %llu: %s", (unsigned long long)b->revision, message);
    b->refused = code == BT_NO_SPACE;
    b->doubt = !b->refused;
    if (b->refused) {
      forget(st, b);
      batch_free(b);
    }
  }
  if (done)
    done(done_arg, code, message);
}

static void commit(struct bt_store *base, uint64_t revision, struct bt_batch *batch, void (*done)(void *, enum bt_code, const char *), void *arg) {
  struct sim_store *st = of(base);
  struct batch *b = bt_new(struct batch);
  *b = (struct batch){.store = st, .revision = revision, .done = done, .arg = arg};
  sim_trace(st->s, &revision, sizeof revision);
  for (size_t i = 0; i < batch->len; i++) {
    const struct bt_change *c = &batch->items[i];
    struct bt_change copy = {c->kind, bt_strdup(c->key), bt_strdup(c->value)};
    bt_vec_push(&b->changes, copy);
    sim_trace_text(st->s, c->key);
    sim_trace_text(st->s, c->value);
    const char *said = bt_streq(c->kind, "event") && c->value ? strstr(c->value, "\"message\"") : NULL;
    if (said && st->s->verbose)
      sim_say(st->s, "EVENT %.150s", said);
  }
  if (revision <= st->revision)
    sim_bad(st->s, "revision %llu is given twice", (unsigned long long)revision);
  bt_vec_push(&st->open, b);
  st->real->ops->commit(st->real, revision, batch, settled, b);
  sim_at(st->s, (int64_t)sim_rand(st->s, sim_chance(st->s, 2) ? 400 : 4), SIM_TURN)->life = st->s->life;
}

/* ---- reading back ---- */

struct reading {
  struct sim_store *st;
  struct bt_map *want;
  size_t met;
  void (*found)(void *, const char *, const char *, const char *, size_t);
  void *arg;
};

static void count_one(void *arg, const char *kind, const char *key, const char *value, size_t len) {
  (void)arg, (void)kind, (void)key, (void)value, (void)len;
}

static void compare(void *arg, const char *kind, const char *key, const char *value, size_t len) {
  struct reading *r = arg;
  BT_AUTO_FREE char *id = bt_asprintf("%s %s", kind, key);
  const char *want = bt_map_get(r->want, id);
  if (!want)
    sim_bad(r->st->s, "the disk has %s, which nobody wrote or which was deleted", id);
  else if (strlen(want) != len || memcmp(want, value, len) != 0)
    sim_bad(r->st->s, "the disk has another %s than was written: %.200s, not %.200s", id, value, want);
  r->met++;
  r->found(r->arg, kind, key, value, len);
}

static void check_all_met(const struct reading *r) {
  if (r->met != bt_map_len(r->want))
    sim_bad(r->st->s, "%zu objects are read from the disk, %zu were acknowledged", r->met, bt_map_len(r->want));
}

/* Takes into the truth what of the open batches was on the disk. */
static void take_prefix(struct sim_store *st, uint64_t revision) {
  if (revision < st->revision)
    sim_bad(st->s, "the disk is at revision %llu, %llu was acknowledged", (unsigned long long)revision, (unsigned long long)st->revision);
  while (st->open.len > 0 && st->open.items[0]->settled && st->open.items[0]->revision <= revision) {
    struct batch *b = st->open.items[0];
    learn(st, b);
    bt_vec_remove(&st->open, 0);
    batch_free(b);
  }
}

static int load(struct bt_store *base, void (*found)(void *, const char *, const char *, const char *, size_t), void *arg, uint64_t *revision,
                struct bt_err **err) {
  struct sim_store *st = of(base);
  uint64_t first = 0;
  if (st->s->dead)
    return st->real->ops->load(st->real, found, arg, revision, err);
  /* Once for the revision, which says how much to expect. */
  if (st->real->ops->load(st->real, count_one, NULL, &first, err) < 0)
    return -1;
  take_prefix(st, first);
  struct reading r = {.st = st, .want = st->truth, .found = found, .arg = arg};
  if (st->real->ops->load(st->real, compare, &r, revision, err) < 0)
    return -1;
  check_all_met(&r);
  return 0;
}

static enum bt_store_health health(struct bt_store *base, const char **sentence) { return of(base)->real->ops->health(of(base)->real, sentence); }

static const struct bt_store_ops ops = {.load = load, .commit = commit, .health = health};

/* ---- life ---- */

static void on_health(void *arg, enum bt_store_health health_now) {
  struct sim_store *st = arg;
  struct sim *s = st->s;
  if (s->dead)
    return;
  sim_say(s, "STORE %s", health_now == BT_STORE_OK ? "ok" : health_now == BT_STORE_FULL ? "full" : "in doubt");
  s->well_ms = health_now == BT_STORE_OK ? s->now_ms : INT64_MAX / 2;
  if (health_now == BT_STORE_DOUBT) /* somebody looks at the disk and starts the server again */
    sim_at(s, 1000 + (int64_t)sim_rand(s, 20000), SIM_MEND)->life = s->life;
  else if (health_now == BT_STORE_FULL)
    sim_at(s, 1000, SIM_TURN)->life = s->life;
  if (s->executor)
    bt_executor_health(s->executor, health_now);
}

struct sim_store *sim_store_new(struct sim *s) {
  struct sim_store *st = bt_new(struct sim_store);
  st->base.ops = &ops;
  st->s = s;
  st->path = bt_asprintf("%s/state.db", s->dir);
  st->truth = bt_map_new(free);
  st->gone = bt_map_new(NULL);
  return st;
}

void sim_store_free(struct sim_store **pst) {
  struct sim_store *st = bt_steal(*pst);
  if (!st)
    return;
  bt_vec_each(&st->open, b) batch_free(*b);
  bt_vec_free(&st->open);
  bt_vec_each(&st->events, told) free(told->key);
  bt_vec_free(&st->events);
  bt_map_free(&st->truth);
  bt_map_free(&st->gone);
  free(st->path);
  free(st);
}

int sim_store_open(struct sim_store *st, struct bt_err **err) { return bt_store_sqlite_open_stepped(st->path, st->s->loop, on_health, st, &st->real, err); }

void sim_store_close(struct sim_store *st) {
  if (!st->real)
    return;
  st->real->ops->close(st->real);
  st->real = NULL;
  bt_vec_each(&st->open, b)(*b)->settled = true;
}

/* The log was copied back at the start: what was under way and is not there will not come any more. */
void sim_store_booted(struct sim_store *st) {
  bt_vec_each(&st->open, b) batch_free(*b);
  st->open.len = 0;
}

struct bt_store *sim_store_base(struct sim_store *st) { return &st->base; }

bool sim_store_turn(struct sim_store *st) { return bt_store_sqlite_turn(st->real); }

size_t sim_store_under_way(const struct sim_store *st) { return st->open.len; }

const struct bt_map *sim_store_truth(const struct sim_store *st) { return st->truth; }

bool sim_store_has(const struct sim_store *st, const char *kind, const char *key) {
  BT_AUTO_FREE char *id = bt_asprintf("%s %s", kind, key);
  return bt_map_get(st->truth, id) != NULL;
}

const struct sim_told *sim_store_events(const struct sim_store *st, size_t *n) {
  *n = st->events.len;
  return st->events.items;
}
