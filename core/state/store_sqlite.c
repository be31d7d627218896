#include "config.h"
#include "state/store.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/plant.h"
#include "state/checkpoint.h"
#include "state/store_db.h"

/* One transaction takes what waits, up to these; one turn of the loop delivers this many acknowledgements. */
enum { max_changes = 4096, max_bytes = 8 * 1024 * 1024, max_delivered = 128, probe_ms = 1000, shrink_after = 2000 };

struct job {
  struct job *next;
  uint64_t revision;
  struct bt_batch batch;
  void (*done)(void *arg, enum bt_code code, const char *message);
  void *arg;
  enum bt_code code;
  int64_t queued_us;
};

struct jobs {
  struct job *head, **tail;
};

struct store {
  struct bt_store base; /* first: the caller's handle */
  pthread_t thread;
  bool threaded; /* else the caller's turns do the writer's work */
  pthread_mutex_t lock;
  pthread_cond_t wake;
  pthread_mutex_t db_lock; /* whoever uses db: the writer, and load */
  struct bt_db *db;
  struct bt_checkpointer *checkpointer;
  size_t changed; /* objects since the cache was given back; the writer's own */
  int frames; /* the log's length after the last commit; the writer's own */
  int64_t next_probe_ms;
  struct jobs taken; /* from those that are queued; the writer's own */

  /* Under lock, which nobody holds for long: the loop takes it. */
  bool stop;
  struct jobs queued, ended;
  enum bt_store_health health, shown; /* the writer's view, and what the loop has been told */
  char *sentences[BT_STORE_DOUBT + 1];
  struct bt_store_stats stats;

  /* The loop's own. */
  int fd; /* eventfd: something ended, or the health changed */
  struct bt_watch *watch;
  void (*on_health)(void *arg, enum bt_store_health health);
  void *arg;
};

/* All of "from" to the end; whatever there are. */
static void jobs_move(struct jobs *jobs, struct jobs *from) {
  if (!from->head)
    return;
  *(jobs->head ? jobs->tail : &jobs->head) = from->head;
  jobs->tail = from->tail;
  from->head = NULL;
}

static void jobs_add(struct jobs *jobs, struct job *job) {
  job->next = NULL;
  *(jobs->head ? jobs->tail : &jobs->head) = job;
  jobs->tail = &job->next;
}

static struct job *jobs_take(struct jobs *jobs) {
  struct job *job = jobs->head;
  if (job)
    jobs->head = job->next;
  return job;
}

static void job_free(struct job *job) {
  bt_batch_free(&job->batch);
  free(job);
}

static struct store *store_of(struct bt_store *base) { return (struct store *)base; }

/* The code that a refused change gets. */
static enum bt_code refusal(enum bt_store_health health) { return health == BT_STORE_FULL ? BT_NO_SPACE : BT_IO; }

static void ring(struct store *s) {
  uint64_t one = 1;
  ssize_t n = write(s->fd, &one, sizeof one); /* cannot fail but by overflow, and then it already rings */
  (void)n;
}

/* ---- the writer's thread ---- */

static int on_wal(void *arg, sqlite3 *sql, const char *name, int frames) {
  (void)sql;
  (void)name;
  ((struct store *)arg)->frames = frames;
  return SQLITE_OK;
}

static void set_health(struct store *s, enum bt_store_health health, const char *words) {
  pthread_mutex_lock(&s->lock);
  bool changed = s->health != health && s->health != BT_STORE_DOUBT;
  if (changed) {
    s->health = health;
    if (health == BT_STORE_DOUBT && !s->sentences[health])
      s->sentences[health] = bt_asprintf("writing %s failed (%s): what the disk holds is in doubt, so changes are refused until "
                                         "berthd is restarted; look at the disk (dmesg) first; containers run on",
                                         s->db->path, words);
  }
  const char *sentence = s->sentences[health];
  pthread_mutex_unlock(&s->lock);
  if (!changed)
    return;
  ring(s);
  if (health == BT_STORE_OK)
    bt_info("state", "%s takes changes again", s->db->path);
  else
    bt_error("state", "%s", sentence);
}

static void fall(struct store *s, enum bt_db_outcome outcome, const char *words) {
  set_health(s, outcome == BT_DB_FULL ? BT_STORE_FULL : BT_STORE_DOUBT, words);
}

/* Another program may hold the file's lock for a while (a shell on it): nothing is written yet, so wait. */
static enum bt_db_outcome begin(struct store *s) {
  enum bt_db_outcome outcome;
  while ((outcome = bt_db_begin(s->db)) == BT_DB_BUSY)
    bt_warn("state", "%s is locked by another program: changes wait", s->db->path);
  return outcome;
}

static enum bt_db_outcome write_jobs(struct store *s, const struct jobs *run, char words[256]) {
  enum bt_db_outcome outcome = begin(s);
  uint64_t last = 0;
  for (struct job *job = run->head; job && outcome == BT_DB_OK; job = job->next) {
    outcome = bt_db_apply(s->db, job->revision, &job->batch);
    s->changed += job->batch.len;
    last = BT_PLANT(OLD_MARK) ? run->head->revision : job->revision;
  }
  if (outcome == BT_DB_OK)
    outcome = bt_db_commit(s->db, last);
  if (outcome == BT_DB_OK)
    return BT_DB_OK;
  snprintf(words, 256, "%s", bt_db_words(s->db));
  outcome = bt_db_rollback(s->db, outcome);
  return outcome == BT_DB_BUSY ? BT_DB_DOUBT : outcome;
}

/* Where there is no room, the log may hold some that the database does not need: then once more. */
static enum bt_db_outcome write_or_reclaim(struct store *s, const struct jobs *run, char words[256]) {
  enum bt_db_outcome outcome = write_jobs(s, run, words);
  if (outcome != BT_DB_FULL)
    return outcome;
  outcome = bt_db_reclaim(s->db);
  if (outcome == BT_DB_DOUBT)
    snprintf(words, 256, "%s", bt_db_words(s->db));
  return outcome == BT_DB_OK ? write_jobs(s, run, words) : outcome == BT_DB_DOUBT ? BT_DB_DOUBT : BT_DB_FULL;
}

static void end_jobs(struct store *s, struct jobs *run, enum bt_code code, bool tried) {
  int64_t now = bt_clock_mono_us(), worst_us = 0;
  uint64_t n = 0;
  for (struct job *job = run->head; job; job = job->next, n++) {
    job->code = code;
    worst_us = BT_MAX(worst_us, now - job->queued_us);
  }
  pthread_mutex_lock(&s->lock);
  s->stats.transactions += tried && code == BT_OK;
  *(code == BT_OK ? &s->stats.commits : &s->stats.failed) += n;
  if (code == BT_OK)
    s->stats.worst_commit_us = BT_MAX(s->stats.worst_commit_us, worst_us);
  jobs_move(&s->ended, run);
  pthread_mutex_unlock(&s->lock);
  ring(s);
}

static void run_jobs(struct store *s, struct jobs *run) {
  char words[256] = "";
  enum bt_db_outcome outcome = BT_DB_OK;
  enum bt_store_health health = s->health; /* only this thread changes it */
  if (health == BT_STORE_OK) {
    pthread_mutex_lock(&s->db_lock);
    outcome = write_or_reclaim(s, run, words);
    pthread_mutex_unlock(&s->db_lock);
    bool ignored = (BT_PLANT(IGNORE_DOUBT) && outcome == BT_DB_DOUBT) || (BT_PLANT(IGNORE_FULL) && outcome == BT_DB_FULL);
    if (outcome != BT_DB_OK && !ignored)
      fall(s, outcome, words);
  }
  end_jobs(s, run, s->health == BT_STORE_OK ? BT_OK : refusal(s->health), health == BT_STORE_OK);
}

static void checkpoint(struct store *s) {
  char words[256] = "";
  if (s->health != BT_STORE_OK)
    return;
  pthread_mutex_lock(&s->db_lock);
  enum bt_db_outcome outcome = bt_checkpointer_step(s->checkpointer, s->db, s->frames, words);
  pthread_mutex_unlock(&s->db_lock);
  if (outcome != BT_DB_OK)
    fall(s, outcome, words);
}

static void probe(struct store *s) {
  pthread_mutex_lock(&s->db_lock);
  enum bt_db_outcome outcome = bt_db_reclaim(s->db);
  if (outcome != BT_DB_DOUBT)
    outcome = bt_db_probe(s->db);
  char words[256];
  snprintf(words, sizeof words, "%s", bt_db_words(s->db));
  pthread_mutex_unlock(&s->db_lock);
  s->next_probe_ms = bt_clock_mono_ms() + probe_ms;
  if (outcome == BT_DB_OK)
    set_health(s, BT_STORE_OK, "");
  else if (outcome == BT_DB_DOUBT)
    set_health(s, BT_STORE_DOUBT, words);
}

static size_t job_bytes(const struct job *job) {
  size_t n = 0;
  for (size_t i = 0; i < job->batch.len; i++)
    n += job->batch.items[i].value ? strlen(job->batch.items[i].value) : 0;
  return n;
}

/* A batch larger than the cap goes alone. */
static void gather(struct store *s, struct jobs *run) {
  size_t changes = 0, bytes = 0;
  while (s->taken.head) {
    changes += s->taken.head->batch.len;
    bytes += job_bytes(s->taken.head);
    if (run->head && (changes > max_changes || bytes > max_bytes))
      return;
    jobs_add(run, jobs_take(&s->taken));
  }
}

/* Under the lock. The disk was full, and the loop knows it, so that no change that was made upon a refused one can slip in. */
static bool full_and_told(const struct store *s) { return s->health == BT_STORE_FULL && s->shown == BT_STORE_FULL && !s->ended.head; }

/* Under the lock. True where a probe is due. */
static bool wait_for_work(struct store *s) {
  bool due = false;
  while (!s->queued.head && !s->taken.head && !s->stop && !due) {
    if (!full_and_told(s)) {
      pthread_cond_wait(&s->wake, &s->lock);
      continue;
    }
    int64_t ms = s->next_probe_ms - bt_clock_mono_ms();
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += (ms > 0 ? ms : 0) % 1000 * 1000000;
    at.tv_sec += (ms > 0 ? ms : 0) / 1000 + at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    due = ms <= 0 || pthread_cond_timedwait(&s->wake, &s->lock, &at) == ETIMEDOUT;
  }
  return due;
}

/* After much was written and nothing more waits, the pages of it are of no use. */
static void shrink(struct store *s) {
  pthread_mutex_lock(&s->lock);
  bool more = s->queued.head || s->taken.head;
  pthread_mutex_unlock(&s->lock);
  if (more || s->changed < shrink_after)
    return;
  s->changed = 0;
  pthread_mutex_lock(&s->db_lock);
  bt_db_shrink(s->db);
  pthread_mutex_unlock(&s->db_lock);
}

/* One turn of the writer; wait: until there is something to do, or the end has come. False where there was nothing to do. */
static bool work(struct store *s, bool wait) {
  struct jobs run = {0};
  pthread_mutex_lock(&s->lock);
  bool due = wait ? wait_for_work(s) : !s->queued.head && !s->taken.head && full_and_told(s);
  jobs_move(&s->taken, &s->queued);
  pthread_mutex_unlock(&s->lock);
  gather(s, &run);
  bool run_any = run.head, any = due || run_any;
  if (due)
    probe(s);
  if (run.head)
    run_jobs(s, &run);
  if (any)
    checkpoint(s);
  if (run_any)
    shrink(s);
  return any;
}

static void *writer_main(void *arg) {
  while (work(arg, true)) {
  }
  return NULL;
}

/* ---- the loop's thread ---- */

static void show_health(struct store *s) {
  pthread_mutex_lock(&s->lock);
  enum bt_store_health health = s->health;
  bool changed = s->shown != health;
  s->shown = health;
  pthread_cond_signal(&s->wake);
  pthread_mutex_unlock(&s->lock);
  if (changed && s->on_health)
    s->on_health(s->arg, health);
}

static struct job *next_ended(struct store *s) {
  pthread_mutex_lock(&s->lock);
  struct job *job = jobs_take(&s->ended);
  if (!s->ended.head && s->health == BT_STORE_FULL)
    pthread_cond_signal(&s->wake); /* the writer may begin to probe */
  pthread_mutex_unlock(&s->lock);
  return job;
}

/* True where nothing is left. */
static bool deliver(struct store *s, size_t most) {
  for (size_t i = 0; i < most; i++) {
    struct job *job = next_ended(s);
    if (!job)
      return true;
    if (job->done)
      job->done(job->arg, job->code, job->code == BT_OK ? "" : s->sentences[job->code == BT_IO ? BT_STORE_DOUBT : BT_STORE_FULL]);
    job_free(job);
  }
  return false;
}

static void on_ring(void *arg, int fd, int events) {
  (void)events;
  struct store *s = arg;
  uint64_t count;
  ssize_t n = read(fd, &count, sizeof count);
  (void)n;
  show_health(s);
  if (!deliver(s, max_delivered))
    ring(s); /* the rest in the loop's next turn */
}

static int sqlite_load(struct bt_store *base,
                       void (*found)(void *arg, const char *kind, const char *key, const char *value, size_t len), void *arg,
                       uint64_t *revision, struct bt_err **err) {
  struct store *s = store_of(base);
  pthread_mutex_lock(&s->db_lock);
  int result = bt_db_load(s->db, found, arg, revision, err);
  pthread_mutex_unlock(&s->db_lock);
  return result;
}

static void sqlite_commit(struct bt_store *base, uint64_t revision, struct bt_batch *batch,
                          void (*done)(void *arg, enum bt_code code, const char *message), void *arg) {
  struct store *s = store_of(base);
  struct job *job = bt_new(struct job);
  job->revision = revision;
  job->batch = *batch;
  *batch = (struct bt_batch){0};
  job->done = done;
  job->arg = arg;
  job->queued_us = bt_clock_mono_us();
  pthread_mutex_lock(&s->lock);
  jobs_add(&s->queued, job);
  pthread_cond_signal(&s->wake);
  pthread_mutex_unlock(&s->lock);
}

static enum bt_store_health sqlite_health(struct bt_store *base, const char **sentence) {
  struct store *s = store_of(base);
  pthread_mutex_lock(&s->lock);
  enum bt_store_health health = s->health;
  if (sentence)
    *sentence = s->sentences[health];
  pthread_mutex_unlock(&s->lock);
  return health;
}

static void store_free(struct store *s) {
  bt_watch_free(&s->watch);
  bt_checkpointer_free(&s->checkpointer, s->health == BT_STORE_DOUBT);
  if (s->db)
    bt_db_close(&s->db, s->health == BT_STORE_DOUBT);
  bt_closep(&s->fd);
  for (size_t i = 0; i < BT_COUNT(s->sentences); i++)
    free(s->sentences[i]);
  pthread_cond_destroy(&s->wake);
  pthread_mutex_destroy(&s->lock);
  pthread_mutex_destroy(&s->db_lock);
  free(s);
}

static void sqlite_close(struct bt_store *base) {
  struct store *s = store_of(base);
  pthread_mutex_lock(&s->lock);
  s->stop = true;
  pthread_cond_signal(&s->wake);
  pthread_mutex_unlock(&s->lock);
  if (s->threaded)
    pthread_join(s->thread, NULL);
  else
    while (work(s, true)) {
    }
  show_health(s);
  while (!deliver(s, max_delivered)) {
  }
  store_free(s);
}

static const struct bt_store_ops sqlite_ops = {
    .load = sqlite_load, .commit = sqlite_commit, .health = sqlite_health, .close = sqlite_close};

void bt_store_sqlite_stats(struct bt_store *base, struct bt_store_stats *out) {
  struct store *s = store_of(base);
  uint64_t copies = bt_checkpointer_runs(s->checkpointer);
  pthread_mutex_lock(&s->lock);
  *out = s->stats;
  pthread_mutex_unlock(&s->lock);
  out->syncs = out->transactions + 2 * copies; /* as SQLite has it: the log at a commit; log and database at a copy */
}

/* ---- opening ---- */

static void init_sync(struct store *s) {
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&s->wake, &attr);
  pthread_condattr_destroy(&attr);
  pthread_mutex_init(&s->lock, NULL);
  pthread_mutex_init(&s->db_lock, NULL);
}

static int open_files(struct store *s, const char *path, struct bt_err **err) {
  enum bt_db_outcome outcome;
  if (bt_db_open(path, &s->db, &outcome, err) < 0 || bt_checkpointer_new(path, s->threaded, &s->checkpointer, err) < 0)
    return -1;
  s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (s->fd < 0)
    return bt_err_errno(err, BT_INTERNAL, errno, "cannot make an eventfd");
  sqlite3_wal_hook(s->db->sql, on_wal, s);
  s->sentences[BT_STORE_OK] = bt_strdup("");
  s->sentences[BT_STORE_FULL] = bt_asprintf("the disk that holds %s is full: changes are refused until there is room again; "
                                            "reads and containers go on",
                                            path);
  if (outcome == BT_DB_FULL)
    fall(s, outcome, "");
  return 0;
}

static int store_open(const char *path, bool threaded, struct bt_loop *loop, void (*on_health)(void *arg, enum bt_store_health health), void *arg,
                      struct store **out, struct bt_err **err) {
  struct store *s = bt_new(struct store);
  s->base.ops = &sqlite_ops;
  s->threaded = threaded;
  s->fd = -1;
  s->on_health = on_health;
  s->arg = arg;
  init_sync(s);
  if (open_files(s, path, err) < 0) {
    store_free(s);
    return -1;
  }
  s->watch = bt_watch_new(loop, "state/ended", s->fd, BT_WATCH_READ, on_ring, s);
  *out = s;
  return 0;
}

int bt_store_sqlite_open(const char *path, struct bt_loop *loop, void (*on_health)(void *arg, enum bt_store_health health),
                         void *arg, struct bt_store **out, struct bt_err **err) {
  struct store *s = NULL;
  if (store_open(path, true, loop, on_health, arg, &s, err) < 0)
    return -1;
  int failed = pthread_create(&s->thread, NULL, writer_main, s);
  if (failed) {
    store_free(s);
    return bt_err_errno(err, BT_INTERNAL, failed, "cannot start the store's writer thread");
  }
  *out = &s->base;
  return 0;
}

int bt_store_sqlite_open_stepped(const char *path, struct bt_loop *loop, void (*on_health)(void *arg, enum bt_store_health health), void *arg,
                                 struct bt_store **out, struct bt_err **err) {
  struct store *s = NULL;
  if (store_open(path, false, loop, on_health, arg, &s, err) < 0)
    return -1;
  *out = &s->base;
  return 0;
}

bool bt_store_sqlite_turn(struct bt_store *base) {
  struct store *s = store_of(base);
  bt_checkpointer_turn(s->checkpointer);
  return work(s, false);
}
