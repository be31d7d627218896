/* Acknowledged durable changes a second at the store's door, 64 writers that each wait for their acknowledgement, against
 * the fdatasyncs a second of the same disk: both in slices, by turns, so that a noisy neighbour disturbs both. The
 * peer is the faster of two ways to sync: over preallocated bytes, and appending. */
#include "config.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bench.h"
#include "state/store.h"
#include "sync.h"

enum { writers = 64, slices = 5, slice_ms = 1000, sync_ms = 400, keys = 10000 };

struct run {
  struct bt_loop *loop;
  struct bt_store *store;
  uint64_t revision;
  long acks;
  int flying;
  bool over, failed;
};

static void next(struct run *run);

static void on_done(void *arg, enum bt_code code, const char *message) {
  struct run *run = arg;
  if (code != BT_OK && !run->failed) {
    fprintf(stderr, "bench_store: %s\n", message);
    run->failed = run->over = true;
  }
  run->acks++;
  run->flying--;
  if (!run->over)
    next(run);
  else if (!run->flying)
    bt_loop_stop(run->loop);
}

/* An instance's object, as large as they are. */
static void next(struct run *run) {
  struct bt_batch batch = {0};
  char key[64];
  snprintf(key, sizeof key, "default/shop/web/%05d", rand() % keys);
  bt_batch_put(&batch, "instance", key,
               bt_asprintf("{\"app\":\"shop\",\"service\":\"web\",\"node\":\"local\",\"state\":\"running\",\"health\":\"healthy\","
                           "\"image\":\"registry.example/shop/web:1.4.2\",\"digest\":\"sha256:%064d\",\"ports\":[],\"restarts\":0,"
                           "\"revision\":%llu}",
                           0, (unsigned long long)run->revision));
  run->flying++;
  run->store->ops->commit(run->store, ++run->revision, &batch, on_done, run);
}

static void on_time(void *arg) { ((struct run *)arg)->over = true; }

static double store_slice(struct run *run) {
  struct bt_timer *timer = bt_timer_new(run->loop, "bench/slice", on_time, run);
  run->over = false;
  run->acks = 0;
  int64_t start = bt_clock_mono_us();
  bt_timer_set(timer, slice_ms);
  while (run->flying < writers)
    next(run);
  bt_loop_run(run->loop);
  bt_timer_free(&timer);
  return (double)run->acks * 1e6 / (double)(bt_clock_mono_us() - start);
}

static int measure(struct run *run, int fd) {
  double changes[slices], over[slices], append[slices];
  if (!sync_prepare(fd))
    return 2;
  for (int i = 0; i < slices; i++) {
    over[i] = sync_rate(fd, false, sync_ms);
    append[i] = sync_rate(fd, true, sync_ms);
    changes[i] = store_slice(run);
  }
  struct bt_store_stats stats;
  bt_store_sqlite_stats(run->store, &stats);
  double value = bench_median(changes, slices), a = bench_median(over, slices), b = bench_median(append, slices);
  double peer = a > b ? a : b;
  BT_AUTO_FREE char *more =
      bt_asprintf(", \"fdatasync_over\": %.0f, \"fdatasync_append\": %.0f, \"per_transaction\": %.1f, \"worst_ms\": %.1f", a, b,
                  (double)stats.commits / (double)(stats.transactions ? stats.transactions : 1),
                  (double)stats.worst_commit_us / 1000);
  return bench_print(&(struct bench_result){.name = "store", .unit = "changes/s", .value = value, .floor = NAN, .peer = peer,
                                            .ratio = value / peer, .reach = 2.5, .at_least = true, .more = more});
}

int main(void) {
  const char *base = getenv("BENCH_DIR");
  BT_AUTO_FREE char *dir = bt_asprintf("%s/bt_bench_XXXXXX", base ? base : "/var/tmp");
  if (!mkdtemp(dir))
    return perror(dir), 2;
  BT_AUTO_FREE char *db = bt_asprintf("%s/state.db", dir), *file = bt_asprintf("%s/sync", dir);
  BT_AUTO_ERR err = NULL;
  struct run run = {.loop = bt_loop_new()};
  BT_AUTO_CLOSE int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  int rc = 2;
  if (fd < 0 || bt_store_sqlite_open(db, run.loop, NULL, NULL, &run.store, &err) < 0) {
    fprintf(stderr, "bench_store: %s\n", bt_err_message(err));
  } else {
    rc = measure(&run, fd);
    run.store->ops->close(run.store);
  }
  bt_loop_free(&run.loop);
  BT_AUTO_FREE char *lock = bt_asprintf("%s.lock", db);
  unlink(file);
  unlink(db);
  unlink(lock);
  rmdir(dir);
  return run.failed ? 1 : rc;
}
