#include "config.h"
#include "state/checkpoint.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

/* In frames (pages of 4 KiB): worth a copy; worth one where room is scarce; short enough for the writer; the writer copies whatever
 * it costs. */
enum { worth = 1000, worth_least = 16, rest = 128, far_too_long = 16384 };

struct bt_checkpointer {
  pthread_t thread;
  bool threaded;
  pthread_mutex_t lock;
  pthread_cond_t wake, idle;
  struct bt_db *db;
  bool stop, asked;
  int copied;      /* frames of this log that are copied back */
  unsigned epoch;  /* counts the logs: a pass that ends after its log began anew tells nothing */
  uint64_t runs;
  enum bt_db_outcome outcome;
  char words[256];
  /* The writer's own. */
  int seen;      /* the log's length at the last step */
  bool finished; /* the rest was copied too: the log begins anew with the next commit, unless somebody reads it */
};

static void one_pass(struct bt_checkpointer *c, unsigned epoch) {
  int copied = 0;
  enum bt_db_outcome outcome = bt_db_checkpoint(c->db, &copied);
  pthread_mutex_lock(&c->lock);
  c->runs++;
  if (outcome == BT_DB_OK && c->epoch == epoch)
    c->copied = copied;
  if (outcome == BT_DB_DOUBT) {
    c->outcome = BT_DB_DOUBT;
    snprintf(c->words, sizeof c->words, "%s", bt_db_words(c->db));
  }
  c->asked = false;
  pthread_cond_signal(&c->idle);
  pthread_mutex_unlock(&c->lock);
}

static void *thread_main(void *arg) {
  struct bt_checkpointer *c = arg;
  pthread_mutex_lock(&c->lock);
  while (!c->stop) {
    if (!c->asked) {
      pthread_cond_wait(&c->wake, &c->lock);
      continue;
    }
    unsigned epoch = c->epoch;
    pthread_mutex_unlock(&c->lock);
    one_pass(c, epoch);
    pthread_mutex_lock(&c->lock);
  }
  pthread_mutex_unlock(&c->lock);
  return NULL;
}

void bt_checkpointer_turn(struct bt_checkpointer *c) {
  if (!c->threaded && c->asked)
    one_pass(c, c->epoch);
}

int bt_checkpointer_new(const char *path, bool threaded, struct bt_checkpointer **out, struct bt_err **err) {
  struct bt_db *db = NULL;
  if (bt_db_attach(path, &db, err) < 0)
    return -1;
  struct bt_checkpointer *c = bt_new(struct bt_checkpointer);
  c->db = db;
  c->threaded = threaded;
  pthread_mutex_init(&c->lock, NULL);
  pthread_cond_init(&c->wake, NULL);
  pthread_cond_init(&c->idle, NULL);
  int failed = threaded ? pthread_create(&c->thread, NULL, thread_main, c) : 0;
  if (failed) {
    bt_db_close(&c->db, true);
    free(c);
    return bt_err_errno(err, BT_INTERNAL, failed, "cannot start the checkpoint thread");
  }
  *out = c;
  return 0;
}

void bt_checkpointer_free(struct bt_checkpointer **pc, bool in_doubt) {
  struct bt_checkpointer *c = bt_steal(*pc);
  if (!c)
    return;
  pthread_mutex_lock(&c->lock);
  c->stop = true;
  pthread_cond_signal(&c->wake);
  pthread_mutex_unlock(&c->lock);
  if (c->threaded)
    pthread_join(c->thread, NULL);
  bt_db_close(&c->db, in_doubt || c->outcome == BT_DB_DOUBT);
  pthread_cond_destroy(&c->wake);
  pthread_cond_destroy(&c->idle);
  pthread_mutex_destroy(&c->lock);
  free(c);
}

/* A copy may need as much room in the database as the log takes. A log that grew until nothing is left could never be copied back, and
 * its room never be had again: on a small disk, or one that is nearly full, it is copied early. */
static int worth_now(const struct bt_checkpointer *c) {
  long room = bt_db_room(c->db) / 4;
  return room < worth_least ? worth_least : room < worth ? (int)room : worth;
}

/* Whether the writer should copy the rest itself now; wakes the thread where there is work for it. Under the lock. */
static bool writers_turn(struct bt_checkpointer *c, int frames) {
  if (frames < c->seen) {
    c->epoch++;
    c->copied = 0;
    c->finished = false;
  }
  c->seen = frames;
  while (c->threaded && c->asked && frames - c->copied >= far_too_long)
    pthread_cond_wait(&c->idle, &c->lock);
  int left = frames - c->copied;
  if (c->asked || (left < worth_now(c) && (c->finished || !c->copied)))
    return false;
  if (left <= rest || left >= far_too_long)
    return true;
  c->asked = true;
  c->finished = false;
  pthread_cond_signal(&c->wake);
  return false;
}

static enum bt_db_outcome copy_rest(struct bt_checkpointer *c, struct bt_db *db, char words[256]) {
  int copied = 0;
  enum bt_db_outcome outcome = bt_db_checkpoint(db, &copied);
  if (outcome == BT_DB_DOUBT)
    snprintf(words, 256, "%s", bt_db_words(db));
  pthread_mutex_lock(&c->lock);
  c->runs++;
  c->finished = true;
  c->copied = c->seen; /* also where it was not: try again when the log has grown by "worth" */
  pthread_mutex_unlock(&c->lock);
  /* No room in the database file is no failure here: the log keeps what is committed. */
  return outcome == BT_DB_DOUBT ? BT_DB_DOUBT : BT_DB_OK;
}

enum bt_db_outcome bt_checkpointer_step(struct bt_checkpointer *c, struct bt_db *db, int frames, char words[256]) {
  pthread_mutex_lock(&c->lock);
  bool doubt = c->outcome == BT_DB_DOUBT;
  if (doubt)
    snprintf(words, 256, "%s", c->words);
  bool mine = !doubt && writers_turn(c, frames);
  pthread_mutex_unlock(&c->lock);
  if (doubt)
    return BT_DB_DOUBT;
  return mine ? copy_rest(c, db, words) : BT_DB_OK;
}

uint64_t bt_checkpointer_runs(struct bt_checkpointer *c) {
  pthread_mutex_lock(&c->lock);
  uint64_t runs = c->runs;
  pthread_mutex_unlock(&c->lock);
  return runs;
}
