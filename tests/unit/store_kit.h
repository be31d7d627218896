/* For tests of the store on SQLite: a folder to work in, a loop that is bounded, and stores opened there. */
#ifndef BT_TESTS_STORE_KIT_H
#define BT_TESTS_STORE_KIT_H

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "state/store.h"
#include "tap.h"
#include "vfs_shim.h"

static char dir[] = "/tmp/bt_store_XXXXXX";
static struct bt_loop *loop;

static inline void remove_tree(const char *path) {
  DIR *d = opendir(path);
  for (struct dirent *e; d && (e = readdir(d));) {
    BT_AUTO_FREE char *file = bt_asprintf("%s/%s", path, e->d_name);
    if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && unlink(file) < 0)
      remove_tree(file);
  }
  if (d)
    closedir(d);
  rmdir(path);
}

static inline char *db_in(const char *name) {
  BT_AUTO_FREE char *folder = bt_path_join(dir, name);
  BT_ASSERT(mkdir(folder, 0700) == 0 || errno == EEXIST);
  return bt_path_join(folder, "state.db");
}

/* ---- running the loop until something is so ---- */

static struct bt_timer *guard;
static bool too_late;

static void on_guard(void *arg) {
  (void)arg;
  too_late = true;
  bt_loop_stop(loop);
}

static inline bool run_loop(void) {
  too_late = false;
  bt_timer_set(guard, 60000);
  bt_loop_run(loop);
  bt_timer_clear(guard);
  return !too_late;
}

static inline struct bt_store *open_heard(const char *path, void (*on_health)(void *arg, enum bt_store_health health)) {
  BT_AUTO_ERR err = NULL;
  struct bt_store *store = NULL;
  if (bt_store_sqlite_open(path, loop, on_health, NULL, &store, &err) < 0)
    ok(false, "open: %s", bt_err_message(err));
  return store;
}

/* ---- the frame: kit_begin, what forks (while the process has one thread), kit_guard, the rest, kit_end ---- */

static inline bool kit_begin(void) {
  bt_log_setup(BT_LOG_ERROR + 1, false);
  shim_install();
  if (!mkdtemp(dir))
    return false;
  loop = bt_loop_new();
  return true;
}

static inline void kit_guard(void) { guard = bt_timer_new(loop, "test/guard", on_guard, NULL); }

static inline void kit_end(void) {
  bt_timer_free(&guard);
  bt_loop_free(&loop);
  remove_tree(dir);
  BT_AUTO_FREE char *lock = bt_asprintf("%s.lock", dir); /* of who took the folder itself for a store */
  unlink(lock);
}

#endif
