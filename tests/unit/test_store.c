/* The store on SQLite: what is acknowledged is there after close; full disks and failed syncs; locks, damage, other people's files.
 * (Power cuts and kills are test_store_cut.c.) */
#include "config.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>

#include "base/buf.h"
#include "store_kit.h"

/* What callbacks saw. */
struct acks {
  int good, bad, want;
  enum bt_code code;
  char message[512];
  bool unordered;
  int last;
};
struct ack {
  struct acks *acks;
  int number;
};

static void on_done(void *arg, enum bt_code code, const char *message) {
  struct ack *ack = arg;
  struct acks *acks = ack->acks;
  *(code == BT_OK ? &acks->good : &acks->bad) += 1;
  acks->unordered |= ack->number != acks->last + 1;
  acks->last = ack->number;
  acks->code = code;
  snprintf(acks->message, sizeof acks->message, "%s", message);
  if (acks->good + acks->bad == acks->want)
    bt_loop_stop(loop);
  free(ack);
}

static void put(struct bt_store *store, struct acks *acks, uint64_t revision, const char *key, const char *value) {
  struct bt_batch batch = {0};
  if (value)
    bt_batch_put(&batch, "app", key, bt_strdup(value));
  else
    bt_batch_del(&batch, "app", key);
  struct ack *ack = bt_new(struct ack);
  *ack = (struct ack){acks, ++acks->want};
  store->ops->commit(store, revision, &batch, on_done, ack);
}

static int healths;
static enum bt_store_health last_health;
static bool stop_on_ok;

static void on_health(void *arg, enum bt_store_health health) {
  (void)arg;
  healths++;
  last_health = health;
  if (health == BT_STORE_OK && stop_on_ok)
    bt_loop_stop(loop);
}

static struct bt_store *open_store(const char *path) { return open_heard(path, on_health); }

static void add_text(void *arg, const char *kind, const char *key, const char *value, size_t len) {
  bt_buf_addf(arg, "%s:%s=%.*s ", kind, key, (int)len, value);
}

static char *contents(struct bt_store *store, uint64_t *revision) {
  BT_AUTO_BUF text = {0};
  BT_AUTO_ERR err = NULL;
  if (store->ops->load(store, add_text, &text, revision, &err) < 0)
    ok(false, "load: %s", bt_err_message(err));
  return bt_buf_steal(&text);
}

/* ---- plain days ---- */

/* Without threads nothing is written before the caller's turn, and what is closed is written. */
static void test_stepped(void) {
  BT_AUTO_FREE char *path = db_in("stepped");
  BT_AUTO_ERR err = NULL;
  struct acks acks = {.want = 10}; /* no loop runs that could be stopped */
  uint64_t revision = 99;
  struct bt_store *store = NULL;
  BT_ASSERT(bt_store_sqlite_open_stepped(path, loop, NULL, NULL, &store, &err) == 0);
  ok(!bt_store_sqlite_turn(store), "stepped: nothing to do at first");
  put(store, &acks, 1, "a", "1");
  BT_AUTO_FREE char *none = contents(store, &revision);
  is_str(none, "", "stepped: nothing is written by itself");
  ok(bt_store_sqlite_turn(store), "stepped: a turn");
  BT_AUTO_FREE char *one = contents(store, &revision);
  is_str(one, "app:a=1 ", "stepped: writes it");
  put(store, &acks, 2, "b", "2");
  store->ops->close(store);
  store = open_store(path);
  BT_AUTO_FREE char *both = contents(store, &revision);
  ok(revision == 2 && bt_streq(both, "app:a=1 app:b=2 "), "stepped: closing writes the rest");
  store->ops->close(store);
}

static void test_plain(void) {
  BT_AUTO_FREE char *path = db_in("plain");
  struct acks acks = {0};
  uint64_t revision = 99;
  struct bt_store *store = open_store(path);
  BT_AUTO_FREE char *none = contents(store, &revision);
  ok(*none == 0 && revision == 0, "a new store is empty, at revision 0");
  put(store, &acks, 1, "default/web", "{\"a\":1}");
  put(store, &acks, 2, "default/api", "{}");
  put(store, &acks, 3, "default/web", "{\"a\":2}");
  put(store, &acks, 5, "default/api", NULL);
  put(store, &acks, 6, "default/none", NULL);
  ok(run_loop() && acks.good == 5 && !acks.unordered, "five changes are acknowledged in order");
  struct bt_batch batch = {0};
  bt_batch_put(&batch, "secret", "z", bt_strdup("s"));
  bt_batch_put(&batch, "app", "b", bt_strdup("\xc3\xa4"));
  store->ops->commit(store, 9, &batch, NULL, NULL);
  ok(!batch.items, "commit takes the batch");
  store->ops->close(store);
  store = open_store(path);
  BT_AUTO_FREE char *text = contents(store, &revision);
  is_str(text, "app:b=\xc3\xa4 app:default/web={\"a\":2} secret:z=s ", "what was queued at close is there, in order of kind and key");
  is_int(revision, 9, "with the last revision");
  struct stat st, wal, lock;
  BT_AUTO_FREE char *wal_path = bt_asprintf("%s-wal", path), *lock_path = bt_asprintf("%s.lock", path);
  ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "the file is 0600");
  ok(stat(wal_path, &wal) < 0 || (wal.st_mode & 0777) == 0600, "its log too");
  ok(stat(lock_path, &lock) == 0 && (lock.st_mode & 0777) == 0600, "and its lock");
  store->ops->close(store);
}

static void test_group(void) {
  BT_AUTO_FREE char *path = db_in("group");
  struct acks acks = {0};
  struct bt_store *store = open_store(path);
  long before = shim_syncs();
  for (int i = 0; i < 5000; i++) {
    char key[32];
    snprintf(key, sizeof key, "default/%d", i % 700);
    put(store, &acks, (uint64_t)i + 1, key, "{\"replicas\":3}");
  }
  ok(run_loop() && acks.good == 5000 && !acks.unordered, "5000 changes at once are acknowledged in order");
  struct bt_store_stats stats;
  bt_store_sqlite_stats(store, &stats);
  ok(stats.commits == 5000 && stats.transactions < 50, "in %llu transactions", (unsigned long long)stats.transactions);
  ok(shim_syncs() - before >= (long)stats.transactions, "each of them synced");
  ok(stats.worst_commit_us > 0 && stats.failed == 0, "and the slowest is known");
  store->ops->close(store);
}

/* Steady writes: the log is copied back while they go on, and does not grow for ever. */
static void test_log_stays_short(void) {
  BT_AUTO_FREE char *path = db_in("log"), *wal = bt_asprintf("%s-wal", path), *value = bt_calloc(1, 3001);
  memset(value, 'v', 3000);
  struct acks acks = {0};
  struct bt_store *store = open_store(path);
  long long largest = 0;
  for (int round = 0; round < 300; round++) {
    for (int i = 0; i < 40; i++) {
      char key[32];
      snprintf(key, sizeof key, "k%d", (round * 40 + i) % 300);
      put(store, &acks, (uint64_t)(round * 40 + i) + 1, key, value);
    }
    if (!run_loop())
      break;
    struct stat st;
    if (stat(wal, &st) == 0)
      largest = BT_MAX(largest, (long long)st.st_size);
  }
  is_int(acks.good, 12000, "12000 changes of 3 kB");
  ok(largest > 0 && largest < 32 << 20, "need a log of %lld kB at the most", largest / 1024);
  store->ops->close(store);
}

/* ---- bad days ---- */

static void refused(const char *path, const char *words, const char *name) {
  BT_AUTO_ERR err = NULL;
  struct bt_store *store = NULL;
  int rc = bt_store_sqlite_open(path, loop, NULL, NULL, &store, &err);
  if (!ok(rc < 0 && strstr(bt_err_message(err), words), "%s", name))
    printf("# %s\n", bt_err_message(err));
  if (store)
    store->ops->close(store);
}

static void run_sql(const char *path, const char *text) {
  sqlite3 *sql = NULL;
  BT_ASSERT(sqlite3_open(path, &sql) == SQLITE_OK);
  BT_ASSERT(sqlite3_exec(sql, text, NULL, NULL, NULL) == SQLITE_OK);
  sqlite3_close(sql);
}

static void test_refused(void) {
  BT_AUTO_FREE char *mine = db_in("mine"), *newer = db_in("newer"), *other = db_in("other"), *text = db_in("text");
  struct bt_store *store = open_store(mine);
  refused(mine, "in use by another berthd, process ", "a second server is refused by name");
  store->ops->close(store);
  store = open_store(newer);
  store->ops->close(store);
  run_sql(newer, "UPDATE meta SET value=7 WHERE name='schema'");
  refused(newer, "written by a newer Berth (schema 7", "a newer schema is refused");
  run_sql(other, "CREATE TABLE songs (name)");
  refused(other, "database of another program", "another program's database is refused");
  BT_AUTO_ERR err = NULL;
  ok(bt_file_write(text, "this is no database at all, but it is long enough to be read as one: "
                         "................................................................", 130, 0600, &err) == 0, "a text file");
  refused(text, "no SQLite database", "is refused");
  refused(dir, "Is a directory", "so is a folder");
  refused("/tmp/bt_no_such_folder/state.db", "No such file", "and a folder that is not there");
}

static void test_damaged(void) {
  BT_AUTO_FREE char *path = db_in("damaged");
  struct acks acks = {0};
  struct bt_store *store = open_store(path);
  for (int i = 0; i < 500; i++) {
    char key[16];
    snprintf(key, sizeof key, "k%04d", i);
    put(store, &acks, (uint64_t)i + 1, key, "{\"some\":\"value that fills pages\"}");
  }
  run_loop();
  store->ops->close(store);
  BT_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
  char junk[4096];
  memset(junk, 0xa5, sizeof junk);
  ok(pwrite(fd, junk, sizeof junk, 4 * 4096) == sizeof junk, "a page turns to junk");
  refused(path, "is damaged (", "the damage is found at start and named");
}

static void test_full(void) {
  BT_AUTO_FREE char *path = db_in("full");
  struct acks acks = {0};
  struct bt_store *store = open_store(path);
  put(store, &acks, 1, "a", "before");
  run_loop();
  healths = 0;
  shim_set_full("-wal");
  put(store, &acks, 2, "a", "refused");
  put(store, &acks, 3, "b", "refused too");
  ok(run_loop() && acks.good == 1 && acks.bad == 2, "no room: changes are refused");
  is_int(acks.code, BT_NO_SPACE, "for want of space");
  ok(strstr(acks.message, "is full: changes are refused"), "with a sentence");
  ok(healths == 1 && last_health == BT_STORE_FULL, "the alarm is raised once");
  const char *sentence = NULL;
  ok(store->ops->health(store, &sentence) == BT_STORE_FULL && strstr(sentence, path), "and can be asked for");
  uint64_t revision;
  BT_AUTO_FREE char *text = contents(store, &revision);
  is_str(text, "app:a=before ", "reads go on, without a trace of what was refused");
  put(store, &acks, 4, "c", "still full");
  ok(run_loop() && acks.bad == 3 && acks.code == BT_NO_SPACE, "the next one is refused at once");
  shim_set_full(NULL);
  stop_on_ok = true;
  ok(run_loop() && last_health == BT_STORE_OK && healths == 2, "room again: the store notices by itself");
  stop_on_ok = false;
  put(store, &acks, 5, "d", "after");
  ok(run_loop() && acks.good == 2, "and takes changes");
  store->ops->close(store);
  store = open_store(path);
  BT_AUTO_FREE char *after = contents(store, &revision);
  is_str(after, "app:a=before app:d=after ", "the refused ones never come back");
  is_int(revision, 5, "nor do their revisions");
  store->ops->close(store);
}

/* Opened where there is room in the log but none for the database itself. */
static void test_full_at_start(void) {
  BT_AUTO_FREE char *path = db_in("fullstart"), *value = bt_calloc(1, 60001);
  memset(value, 'v', 60000);
  struct acks acks = {0};
  struct bt_store *store = open_store(path);
  shim_set_full("state.db");
  put(store, &acks, 1, "a", value);
  ok(run_loop() && acks.good == 1, "a full database file alone refuses nothing: the log has it");
  store->ops->close(store);
  healths = 0;
  store = open_store(path);
  stop_on_ok = true;
  ok(store && store->ops->health(store, NULL) == BT_STORE_FULL, "the next start says that the disk is full");
  uint64_t revision;
  BT_AUTO_FREE char *text = contents(store, &revision);
  ok(strlen(text) > 60000, "and reads");
  shim_set_full(NULL);
  ok(run_loop() && last_health == BT_STORE_OK, "until there is room");
  stop_on_ok = false;
  store->ops->close(store);
}

static void test_doubt(const char *where, const char *suffix, bool at_copy) {
  BT_AUTO_FREE char *path = db_in(where), *wal = bt_asprintf("%s-wal", path), *value = bt_calloc(1, 3001);
  memset(value, 'v', 3000);
  struct acks acks = {0};
  struct bt_store *store = open_store(path);
  put(store, &acks, 1, "a", "before");
  run_loop();
  healths = 0;
  shim_set_sync_fails(suffix);
  uint64_t revision = 1;
  int good = acks.good;
  for (int i = 0; i < 20000 && !acks.bad; i++) {
    char key[16];
    snprintf(key, sizeof key, "k%d", i % 400);
    good = acks.good;
    put(store, &acks, ++revision, key, value);
    if (!run_loop())
      break;
  }
  ok(acks.bad == 1 && acks.code == BT_IO, "%s: a failed sync refuses the change", where);
  if (!at_copy)
    is_int(good, 1, "the very first");
  ok(strstr(acks.message, "in doubt") && strstr(acks.message, "restarted"), "with a sentence: %s", acks.message);
  ok(healths == 1 && last_health == BT_STORE_DOUBT, "the alarm is raised");
  shim_set_sync_fails(NULL);
  put(store, &acks, ++revision, "later", "x");
  ok(run_loop() && acks.bad == 2, "and stays, though syncs work again");
  store->ops->close(store);
  ok(bt_file_exists(wal), "closing leaves the log for the next start to judge");
  store = open_store(path);
  ok(store && store->ops->health(store, NULL) == BT_STORE_OK, "a restart is well");
  BT_AUTO_FREE char *text = contents(store, &revision);
  ok(strstr(text, "app:a=before ") && !strstr(text, "later"), "with what was acknowledged, without what was refused");
  struct acks again = {0};
  put(store, &again, revision + 1, "z", "z");
  ok(run_loop() && again.good == 1, "and takes changes");
  store->ops->close(store);
}

/* A sync fails, the server starts anew and reads what the kernel still has; then the power is cut. What was read is there. */
static void test_doubt_then_cut(unsigned chance, bool *same) {
  BT_AUTO_FREE char *path = db_in("doubtful");
  BT_AUTO_FREE char *folder = bt_path_dir(path);
  BT_AUTO_FREE char *cut = db_in("cut");
  BT_AUTO_FREE char *cut_dir = bt_path_dir(cut);
  struct acks acks = {0};
  uint64_t revision = 0, later = 0;
  shim_follow(folder, "state.db");
  struct bt_store *store = open_store(path);
  put(store, &acks, 1, "a", "1");
  run_loop();
  shim_set_sync_fails("-wal");
  put(store, &acks, 2, "a", "2");
  run_loop();
  shim_set_sync_fails(NULL);
  store->ops->close(store);
  store = open_store(path);
  BT_AUTO_FREE char *seen = contents(store, &revision);
  shim_power_cut(cut_dir, chance);
  store->ops->close(store);
  shim_unfollow();
  store = open_store(cut);
  BT_AUTO_FREE char *found = contents(store, &later);
  store->ops->close(store);
  *same = *same && revision == later && bt_streq(seen, found);
  remove_tree(folder);
  remove_tree(cut_dir);
}

/* Another program holds the write lock for a while. */
static void release_lock(void *arg) {
  sqlite3_exec(arg, "COMMIT", NULL, NULL, NULL);
}

static void test_foreign_lock(void) {
  BT_AUTO_FREE char *path = db_in("foreign");
  struct acks acks = {0};
  struct bt_store *store = open_store(path);
  sqlite3 *sql = NULL;
  BT_ASSERT(sqlite3_open(path, &sql) == SQLITE_OK && sqlite3_exec(sql, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
  put(store, &acks, 1, "a", "x");
  struct bt_timer *timer = bt_timer_new(loop, "test/release", release_lock, sql);
  bt_timer_set(timer, 100);
  ok(run_loop() && acks.good == 1, "a change waits while another program holds the lock");
  bt_timer_free(&timer);
  sqlite3_close(sql);
  store->ops->close(store);
}
int main(void) {
  if (!kit_begin())
    return 1;
  kit_guard();
  test_plain();
  test_stepped();
  test_group();
  test_log_stays_short();
  test_refused();
  test_damaged();
  test_full();
  test_full_at_start();
  test_doubt("commit", "-wal", false);
  test_doubt("copy", "state.db", true);
  bool same = true;
  for (unsigned n = 1; n <= 16; n++)
    test_doubt_then_cut(n, &same);
  ok(same, "what a start found after a failed sync outlives a power cut");
  test_foreign_lock();
  kit_end();
  return done_testing();
}
