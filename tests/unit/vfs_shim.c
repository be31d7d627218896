#include "config.h"
#include "vfs_shim.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/vec.h"

struct shim_file {
  sqlite3_file base;
  const char *path; /* SQLite keeps it as long as the file is open */
  sqlite3_file *real;
};

/* A write (or, with data NULL, a truncation to "at") that was not synced. */
struct pending {
  char *path, *data;
  sqlite3_int64 at;
  size_t len;
};

struct image {
  char *path;
  struct bt_buf bytes;
};

static sqlite3_vfs *system_vfs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *full_suffix, *sync_suffix;
static long syncs;
static char *followed;
static BT_VEC(struct pending) pendings;
static BT_VEC(struct image) images;

static sqlite3_file *real(sqlite3_file *file) { return ((struct shim_file *)file)->real; }
static const char *path_of(sqlite3_file *file) { return ((struct shim_file *)file)->path; }

static bool is_followed(const char *path) {
  return followed && path && bt_starts(path, followed) && !bt_ends(path, "-shm");
}

static struct image *image_of(const char *path) {
  bt_vec_each(&images, image)
    if (bt_streq(image->path, path))
      return image;
  struct image fresh = {.path = bt_strdup(path)};
  bt_vec_push(&images, fresh);
  return &images.items[images.len - 1];
}

static void apply(struct bt_buf *bytes, const struct pending *p) {
  size_t end = (size_t)p->at + p->len;
  if (!p->data) {
    if (bytes->len > end)
      bt_buf_truncate(bytes, end);
    return;
  }
  while (bytes->len < end)
    bt_buf_addc(bytes, 0);
  memcpy(bytes->data + p->at, p->data, p->len);
}

static void drop_pending(size_t i) {
  free(pendings.items[i].path);
  free(pendings.items[i].data);
  bt_vec_remove(&pendings, i);
}

static void settle(const char *path, bool keep) {
  for (size_t i = 0; i < pendings.len;) {
    if (!bt_streq(pendings.items[i].path, path)) {
      i++;
      continue;
    }
    if (keep)
      apply(&image_of(path)->bytes, &pendings.items[i]);
    drop_pending(i);
  }
}

static void remember(const char *path, const void *data, size_t len, sqlite3_int64 at) {
  if (!is_followed(path))
    return;
  struct pending p = {.path = bt_strdup(path), .data = data ? bt_memdup(data, len) : NULL, .at = at, .len = len};
  bt_vec_push(&pendings, p);
}

static int shim_close(sqlite3_file *file) {
  int rc = real(file)->pMethods->xClose(real(file));
  free(real(file));
  return rc;
}

static int shim_read(sqlite3_file *file, void *p, int n, sqlite3_int64 at) {
  return real(file)->pMethods->xRead(real(file), p, n, at);
}

static int shim_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 at) {
  pthread_mutex_lock(&lock);
  sqlite3_int64 size = 0;
  real(file)->pMethods->xFileSize(real(file), &size);
  bool full = full_suffix && bt_ends(path_of(file), full_suffix) && at + n > size;
  int rc = full ? SQLITE_FULL : real(file)->pMethods->xWrite(real(file), p, n, at);
  if (rc == SQLITE_OK)
    remember(path_of(file), p, (size_t)n, at);
  pthread_mutex_unlock(&lock);
  return rc;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size) {
  pthread_mutex_lock(&lock);
  int rc = real(file)->pMethods->xTruncate(real(file), size);
  if (rc == SQLITE_OK)
    remember(path_of(file), NULL, 0, size);
  pthread_mutex_unlock(&lock);
  return rc;
}

static int shim_sync(sqlite3_file *file, int flags) {
  pthread_mutex_lock(&lock);
  syncs++;
  bool fails = sync_suffix && bt_ends(path_of(file), sync_suffix);
  int rc = fails ? SQLITE_IOERR_FSYNC : real(file)->pMethods->xSync(real(file), flags);
  if (is_followed(path_of(file))) /* what failed is clean in the kernel's view, and lost */
    settle(path_of(file), rc == SQLITE_OK);
  pthread_mutex_unlock(&lock);
  return rc;
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *size) { return real(file)->pMethods->xFileSize(real(file), size); }
static int shim_lock(sqlite3_file *file, int level) { return real(file)->pMethods->xLock(real(file), level); }
static int shim_unlock(sqlite3_file *file, int level) { return real(file)->pMethods->xUnlock(real(file), level); }
static int shim_reserved(sqlite3_file *file, int *out) { return real(file)->pMethods->xCheckReservedLock(real(file), out); }
static int shim_control(sqlite3_file *file, int op, void *arg) { return real(file)->pMethods->xFileControl(real(file), op, arg); }
static int shim_sector(sqlite3_file *file) { return real(file)->pMethods->xSectorSize(real(file)); }
static int shim_traits(sqlite3_file *file) { return real(file)->pMethods->xDeviceCharacteristics(real(file)); }
static int shim_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out) {
  return real(file)->pMethods->xShmMap(real(file), page, size, extend, out);
}
static int shim_shm_lock(sqlite3_file *file, int at, int n, int flags) {
  return real(file)->pMethods->xShmLock(real(file), at, n, flags);
}
static void shim_shm_barrier(sqlite3_file *file) { real(file)->pMethods->xShmBarrier(real(file)); }
static int shim_shm_unmap(sqlite3_file *file, int del) { return real(file)->pMethods->xShmUnmap(real(file), del); }

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_reserved,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector,
    .xDeviceCharacteristics = shim_traits,
    .xShmMap = shim_shm_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_shm_barrier,
    .xShmUnmap = shim_shm_unmap,
};

static int shim_open(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags, int *out_flags) {
  (void)vfs;
  struct shim_file *shim = (struct shim_file *)file;
  shim->path = path;
  shim->real = bt_calloc(1, (size_t)system_vfs->szOsFile);
  shim->base.pMethods = NULL;
  int rc = system_vfs->xOpen(system_vfs, path, shim->real, flags, out_flags);
  if (rc == SQLITE_OK)
    shim->base.pMethods = &methods;
  else
    free(bt_steal(shim->real));
  return rc;
}

static int shim_delete(sqlite3_vfs *vfs, const char *path, int sync_dir) {
  (void)vfs;
  pthread_mutex_lock(&lock);
  int rc = system_vfs->xDelete(system_vfs, path, sync_dir);
  if (rc == SQLITE_OK && is_followed(path)) {
    settle(path, false);
    bt_buf_free(&image_of(path)->bytes);
  }
  pthread_mutex_unlock(&lock);
  return rc;
}

void shim_install(void) {
  static sqlite3_vfs shim;
  system_vfs = sqlite3_vfs_find(NULL);
  shim = *system_vfs;
  shim.pNext = NULL;
  shim.zName = "shim";
  shim.szOsFile = sizeof(struct shim_file);
  shim.xOpen = shim_open;
  shim.xDelete = shim_delete;
  sqlite3_vfs_register(&shim, 1);
}

static void set(const char **what, const char *suffix) {
  pthread_mutex_lock(&lock);
  *what = suffix;
  pthread_mutex_unlock(&lock);
}

void shim_set_full(const char *suffix) { set(&full_suffix, suffix); }
void shim_set_sync_fails(const char *suffix) { set(&sync_suffix, suffix); }

long shim_syncs(void) {
  pthread_mutex_lock(&lock);
  long n = syncs;
  pthread_mutex_unlock(&lock);
  return n;
}

void shim_follow(const char *dir, const char *name) {
  pthread_mutex_lock(&lock);
  followed = bt_path_join(dir, name);
  pthread_mutex_unlock(&lock);
}

void shim_unfollow(void) {
  pthread_mutex_lock(&lock);
  while (pendings.len)
    drop_pending(pendings.len - 1);
  bt_vec_free(&pendings);
  bt_vec_each(&images, image) {
    free(image->path);
    bt_buf_free(&image->bytes);
  }
  bt_vec_free(&images);
  free(bt_steal(followed));
  pthread_mutex_unlock(&lock);
}

static void write_image(const char *dest, const struct image *image, unsigned *seed) {
  BT_AUTO_BUF bytes = {0};
  bt_buf_add(&bytes, image->bytes.data ? image->bytes.data : "", image->bytes.len);
  bt_vec_each(&pendings, p)
    if (bt_streq(p->path, image->path) && rand_r(seed) % 2)
      apply(&bytes, p);
  if (!bytes.len)
    return;
  BT_AUTO_FREE char *to = bt_path_join(dest, bt_path_base(image->path));
  BT_AUTO_CLOSE int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  BT_ASSERT(fd >= 0 && write(fd, bytes.data, bytes.len) == (ssize_t)bytes.len);
}

void shim_power_cut(const char *dest, unsigned seed) {
  pthread_mutex_lock(&lock);
  bt_vec_each(&pendings, p) (void)image_of(p->path);
  bt_vec_each(&images, image) write_image(dest, image, &seed);
  pthread_mutex_unlock(&lock);
}
