/* The store on SQLite: what is acknowledged outlives power cuts and kill -9, and no batch is torn. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "store_kit.h"

/* ---- power cuts: the disk keeps what was synced, and of the rest what it likes ---- */

enum { writers = 16, keys = 200 };

struct cut {
  struct bt_store *store;
  uint64_t revision;
  int acked[keys], sent[keys], acks, stop_at, flying;
};
struct cut_ack {
  struct cut *cut;
  int key, n;
};
static unsigned seed = 1;

static void cut_next(struct cut *cut);

static void cut_done(void *arg, enum bt_code code, const char *message) {
  (void)message;
  struct cut_ack *ack = arg;
  struct cut *cut = ack->cut;
  if (code == BT_OK)
    cut->acked[ack->key] = BT_MAX(cut->acked[ack->key], ack->n);
  free(ack);
  cut->flying--;
  if (++cut->acks < cut->stop_at)
    cut_next(cut);
  else if (cut->acks == cut->stop_at)
    bt_loop_stop(loop);
}

/* Two objects that always change together. */
static void cut_next(struct cut *cut) {
  int key = rand_r(&seed) % keys;
  struct bt_batch batch = {0};
  char name[16];
  snprintf(name, sizeof name, "%d", key);
  int n = ++cut->sent[key];
  bt_batch_put(&batch, "left", name, bt_asprintf("%d %01500d", n, 0));
  bt_batch_put(&batch, "right", name, bt_asprintf("%d %01500d", n, 0));
  struct cut_ack *ack = bt_new(struct cut_ack);
  *ack = (struct cut_ack){cut, key, n};
  cut->flying++;
  cut->store->ops->commit(cut->store, ++cut->revision, &batch, cut_done, ack);
}

struct found {
  int left[keys], right[keys];
};

static void note_found(void *arg, const char *kind, const char *key, const char *value, size_t len) {
  (void)len;
  struct found *found = arg;
  int k = atoi(key);
  BT_ASSERT(k >= 0 && k < keys);
  (bt_streq(kind, "left") ? found->left : found->right)[k] = atoi(value);
}

/* Counts what is wrong in a store that was cut off, given what was acknowledged before. */
static int wrongs(const char *path, const int *acked) {
  struct found found = {0};
  BT_AUTO_ERR err = NULL;
  uint64_t revision;
  struct bt_store *store = open_heard(path, NULL);
  if (!store || store->ops->load(store, note_found, &found, &revision, &err) < 0)
    return -1;
  int wrong = 0;
  for (int k = 0; k < keys; k++)
    wrong += found.left[k] < acked[k] || found.left[k] != found.right[k];
  store->ops->close(store);
  return wrong;
}

static void test_power_cut(void) {
  BT_AUTO_FREE char *path = db_in("power"), *folder = bt_path_dir(path);
  shim_follow(folder, "state.db");
  struct cut cut = {.store = open_heard(path, NULL)};
  int wrong = 0, rounds = 40;
  for (int round = 0; round < rounds; round++) {
    cut.stop_at = cut.acks + 1 + rand_r(&seed) % 400;
    while (cut.flying < writers)
      cut_next(&cut);
    if (!run_loop())
      break;
    BT_AUTO_FREE char *after = db_in("after"), *after_folder = bt_path_dir(after);
    shim_power_cut(after_folder, (unsigned)round);
    int n = wrongs(after, cut.acked);
    if (n)
      printf("# round %d: %d wrong\n", round, n);
    wrong += n != 0;
    remove_tree(after_folder);
  }
  struct bt_store_stats stats;
  bt_store_sqlite_stats(cut.store, &stats);
  is_int(wrong, 0, "40 power cuts lose nothing that was acknowledged, and tear no batch");
  ok(stats.commits > 1000 && stats.syncs > stats.transactions, "through copies of the log as well (%llu syncs, %llu transactions)",
     (unsigned long long)stats.syncs, (unsigned long long)stats.transactions);
  cut.stop_at = 0;
  cut.store->ops->close(cut.store);
  shim_unfollow();
}

/* ---- kill -9 ---- */

struct victim {
  struct cut cut;
  int fd;
};
struct victim_ack {
  struct victim *victim;
  int key, n;
};

static void victim_next(struct victim *victim);

static void victim_done(void *arg, enum bt_code code, const char *message) {
  (void)message;
  struct victim_ack *ack = arg;
  int line[2] = {ack->key, ack->n};
  if (code != BT_OK || write(ack->victim->fd, line, sizeof line) != sizeof line)
    _exit(3);
  victim_next(ack->victim);
  free(ack);
}

static void victim_next(struct victim *victim) {
  int key = rand_r(&seed) % keys;
  struct bt_batch batch = {0};
  char name[16];
  snprintf(name, sizeof name, "%d", key);
  int n = ++victim->cut.sent[key];
  bt_batch_put(&batch, "left", name, bt_asprintf("%d %0300d", n, 0));
  bt_batch_put(&batch, "right", name, bt_asprintf("%d %0300d", n, 0));
  struct victim_ack *ack = bt_new(struct victim_ack);
  *ack = (struct victim_ack){victim, key, n};
  victim->cut.store->ops->commit(victim->cut.store, ++victim->cut.revision, &batch, victim_done, ack);
}

_Noreturn static void be_victim(const char *path, int fd) {
  loop = bt_loop_new();
  struct found found = {0};
  struct victim victim = {.fd = fd};
  BT_AUTO_ERR err = NULL;
  if (bt_store_sqlite_open(path, loop, NULL, NULL, &victim.cut.store, &err) < 0 ||
      victim.cut.store->ops->load(victim.cut.store, note_found, &found, &victim.cut.revision, &err) < 0)
    _exit(2);
  memcpy(victim.cut.sent, found.left, sizeof found.left);
  for (int i = 0; i < 8; i++)
    victim_next(&victim);
  bt_loop_run(loop);
  _exit(4);
}

/* Lets a child write, kills it after some acknowledgements; false where it did not get that far. */
static bool kill_round(const char *path, int *acked) {
  int fds[2], line[2], wanted = 1 + rand_r(&seed) % 300, got = 0;
  BT_ASSERT(pipe(fds) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    close(fds[0]);
    be_victim(path, fds[1]);
  }
  close(fds[1]);
  while (read(fds[0], line, sizeof line) == sizeof line) { /* 8 bytes at once: never torn */
    acked[line[0]] = BT_MAX(acked[line[0]], line[1]);
    if (++got == wanted)
      kill(pid, SIGKILL);
  }
  close(fds[0]);
  int status;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && got >= wanted;
}

static void test_kill(void) {
  BT_AUTO_FREE char *path = db_in("kill");
  const char *asked = getenv("BT_KILL_ROUNDS");
  int rounds = asked ? atoi(asked) : 50, wrong = 0, killed = 0;
  int acked[keys] = {0};
  for (int round = 0; round < rounds; round++) {
    killed += kill_round(path, acked);
    wrong += wrongs(path, acked) != 0;
  }
  is_int(killed, rounds, "a writing process was killed in every round");
  is_int(wrong, 0, "and nothing that it had acknowledged was lost, no batch torn");
}
int main(void) {
  if (!kit_begin())
    return 1;
  test_kill();
  kit_guard();
  test_power_cut();
  kit_end();
  return done_testing();
}
