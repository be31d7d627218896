#include "config.h"

#include "disk.h"

#include <errno.h>
#include <sqlite3.h>

#include "base/buf.h"
#include "base/vec.h"

enum { sector = 512, shm_region = 32768, shm_locks = SQLITE_SHM_NLOCK };

/* A write that was not synced; data NULL: a truncation to "at". */
struct pending {
  char *data;
  size_t at, len;
};

struct state {
  struct bt_buf now, synced;
  BT_VEC(struct pending) pending;
  bool there;
};

struct file {
  char *path;
  struct state is, kept;
  int level_shared, level_reserved, level_exclusive; /* handles that hold so much */
  BT_VEC(char *) regions;                            /* the wal-index */
  int mapped, shared[shm_locks], exclusive[shm_locks];
};

struct handle {
  sqlite3_file base;
  struct file *file;
  int level;
  bool mapped;
  unsigned shared, exclusive; /* bits */
};

static struct {
  struct sim_disk_options o;
  struct sim_disk_faults faults;
  BT_VEC(struct file *) files;
  uint64_t rng, writes, errors;
  bool dead;
  int error; /* errno of the last failure */
} disk;

static uint64_t dice(uint64_t n) {
  uint64_t z = (disk.rng += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return (z ^ (z >> 31)) % n;
}

static bool hit(unsigned per_million) {
  if (!per_million || disk.dead || dice(1000000) >= per_million)
    return false;
  disk.errors++;
  disk.error = EIO;
  return true;
}

/* ---- what is on it ---- */

static void drop_pending(struct state *s) {
  bt_vec_each(&s->pending, p) free(p->data);
  s->pending.len = 0;
}

static void state_free(struct state *s) {
  drop_pending(s);
  bt_vec_free(&s->pending);
  bt_buf_free(&s->now);
  bt_buf_free(&s->synced);
  *s = (struct state){0};
}

static void copy_buf(struct bt_buf *to, const struct bt_buf *from) {
  bt_buf_truncate(to, 0);
  if (from->len)
    bt_buf_add(to, from->data, from->len);
}

static void put(struct bt_buf *to, size_t at, const char *data, size_t len) {
  static const char zeros[4096];
  while (to->len < at + len)
    bt_buf_add(to, zeros, BT_MIN(sizeof zeros, at + len - to->len));
  memcpy(to->data + at, data, len);
}

static void cut(struct bt_buf *to, size_t at) {
  if (to->len > at)
    bt_buf_truncate(to, at);
}

static void apply(struct bt_buf *to, const struct pending *p) {
  if (p->data)
    put(to, p->at, p->data, p->len);
  else
    cut(to, p->at);
}

/* Sector by sector, as a disk that lost its power in between. */
static void apply_torn(struct bt_buf *to, const struct pending *p) {
  if (!p->data && dice(2))
    cut(to, p->at);
  bool whole = dice(2);
  for (size_t done = 0, n; p->data && done < p->len; done += n) {
    n = BT_MIN(sector - (p->at + done) % sector, p->len - done);
    if (whole ? n > 0 : dice(2) == 0)
      put(to, p->at + done, p->data + done, n);
  }
}

static struct file *file_of(const char *path, bool make) {
  bt_vec_each(&disk.files, f) if (bt_streq((*f)->path, path)) return *f;
  if (!make)
    return NULL;
  struct file *f = bt_new(struct file);
  f->path = bt_strdup(path);
  bt_vec_push(&disk.files, f);
  return f;
}

void sim_disk_dies(bool power_cut) {
  disk.dead = true;
  bt_vec_each(&disk.files, f) {
    struct state *is = &(*f)->is, *kept = &(*f)->kept;
    state_free(kept);
    kept->there = is->there;
    copy_buf(&kept->synced, &is->synced);
    bt_vec_each(&is->pending, p) {
      struct pending copy = {p->data ? bt_memdup(p->data, p->len) : NULL, p->at, p->len};
      if (power_cut && dice(4))
        apply_torn(&kept->synced, p);
      if (power_cut)
        free(copy.data);
      else
        bt_vec_push(&kept->pending, copy);
    }
    copy_buf(&kept->now, power_cut ? &kept->synced : &is->now);
  }
}

void sim_disk_back(void) {
  bt_vec_each(&disk.files, f) {
    BT_ASSERT((*f)->mapped == 0 && (*f)->level_shared == 0);
    state_free(&(*f)->is);
    (*f)->is = (*f)->kept;
    (*f)->kept = (struct state){0};
  }
  disk.dead = false;
}

/* ---- the file's methods ---- */

static struct file *of(sqlite3_file *file) { return ((struct handle *)file)->file; }

/* What waits for a sync; of the dead nothing does. */
static void remember(struct state *s, const char *data, size_t at, size_t len) {
  if (disk.dead)
    return;
  struct pending p = {data ? bt_memdup(data, len) : NULL, at, len};
  bt_vec_push(&s->pending, p);
}

/* The server may die here; of the write that it dies in, some sectors are made. */
static void effect(struct file *f, const char *data, size_t at, size_t len) {
  disk.writes++;
  if (disk.dead || !disk.o.effect(disk.o.arg))
    return;
  size_t part = data ? dice(len / sector + 1) * sector : 0;
  if (part && f->kept.there)
    put(&f->kept.now, at, data, part);
}

static int xClose(sqlite3_file *file);

static int xRead(sqlite3_file *file, void *p, int n, sqlite3_int64 at) {
  const struct bt_buf *b = &of(file)->is.now;
  if (hit(disk.faults.read_eio))
    return SQLITE_IOERR_READ;
  size_t have = (size_t)at < b->len ? BT_MIN(b->len - (size_t)at, (size_t)n) : 0;
  if (have)
    memcpy(p, b->data + at, have);
  memset((char *)p + have, 0, (size_t)n - have);
  return have == (size_t)n ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int xWrite(sqlite3_file *file, const void *p, int n, sqlite3_int64 at) {
  struct file *f = of(file);
  struct state *s = &f->is;
  if (disk.faults.full && !disk.dead && (size_t)at + (size_t)n > s->now.len) {
    disk.errors++;
    disk.error = ENOSPC;
    return dice(2) ? SQLITE_FULL : SQLITE_IOERR_WRITE;
  }
  effect(f, p, (size_t)at, (size_t)n);
  bool fails = hit(disk.faults.write_eio);
  size_t len = fails ? dice((uint64_t)n) : (size_t)n; /* a part of what failed may be there */
  if (len) {
    put(&s->now, (size_t)at, p, len);
    remember(s, p, (size_t)at, len);
  }
  return fails ? SQLITE_IOERR_WRITE : SQLITE_OK;
}

static int xTruncate(sqlite3_file *file, sqlite3_int64 size) {
  effect(of(file), NULL, 0, 0);
  cut(&of(file)->is.now, (size_t)size);
  remember(&of(file)->is, NULL, (size_t)size, 0);
  return SQLITE_OK;
}

/* After a sync that failed the kernel holds for clean what never reached the disk: later syncs do not make up for it. */
static int xSync(sqlite3_file *file, int flags) {
  (void)flags;
  struct state *s = &of(file)->is;
  effect(of(file), NULL, 0, 0);
  bool fails = hit(disk.faults.sync_eio);
  if (disk.dead)
    return SQLITE_OK;
  bt_vec_each(&s->pending, p) if (!fails) apply(&s->synced, p);
  else if (dice(2)) apply_torn(&s->synced, p);
  drop_pending(s);
  return fails ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int xFileSize(sqlite3_file *file, sqlite3_int64 *size) {
  *size = (sqlite3_int64)of(file)->is.now.len;
  return SQLITE_OK;
}

/* ---- locks of the file: one process, whose connections take turns ---- */

static int xUnlock(sqlite3_file *file, int level) {
  struct handle *h = (struct handle *)file;
  struct file *f = h->file;
  f->level_exclusive -= h->level >= SQLITE_LOCK_EXCLUSIVE && level < SQLITE_LOCK_EXCLUSIVE;
  f->level_reserved -= h->level >= SQLITE_LOCK_RESERVED && level < SQLITE_LOCK_RESERVED;
  f->level_shared -= h->level >= SQLITE_LOCK_SHARED && level < SQLITE_LOCK_SHARED;
  h->level = BT_MIN(h->level, level);
  return SQLITE_OK;
}

static int xLock(sqlite3_file *file, int level) {
  struct handle *h = (struct handle *)file;
  struct file *f = h->file;
  if (h->level >= level)
    return SQLITE_OK;
  bool mine_shared = h->level >= SQLITE_LOCK_SHARED, mine_reserved = h->level >= SQLITE_LOCK_RESERVED;
  if (f->level_exclusive || (level >= SQLITE_LOCK_RESERVED && f->level_reserved > mine_reserved) ||
      (level >= SQLITE_LOCK_EXCLUSIVE && f->level_shared > mine_shared))
    return SQLITE_BUSY;
  f->level_shared += !mine_shared;
  f->level_reserved += !mine_reserved && level >= SQLITE_LOCK_RESERVED;
  f->level_exclusive += level >= SQLITE_LOCK_EXCLUSIVE;
  h->level = level;
  return SQLITE_OK;
}

static int xCheckReservedLock(sqlite3_file *file, int *out) {
  *out = of(file)->level_reserved > 0;
  return SQLITE_OK;
}

static int xFileControl(sqlite3_file *file, int op, void *arg) {
  (void)file, (void)op, (void)arg;
  return SQLITE_NOTFOUND;
}

static int xSectorSize(sqlite3_file *file) {
  (void)file;
  return 4096;
}

static int xDeviceCharacteristics(sqlite3_file *file) {
  (void)file;
  return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* as the system's own VFS has it */
}

/* ---- the wal-index ---- */

static int xShmMap(sqlite3_file *file, int region, int size, int extend, void volatile **out) {
  struct handle *h = (struct handle *)file;
  struct file *f = h->file;
  BT_ASSERT(size == shm_region);
  *out = NULL;
  f->mapped += !h->mapped;
  h->mapped = true;
  while (f->regions.len <= (size_t)region && extend)
    bt_vec_push(&f->regions, bt_calloc(1, shm_region));
  if ((size_t)region < f->regions.len)
    *out = f->regions.items[region];
  return SQLITE_OK;
}

static int xShmLock(sqlite3_file *file, int at, int n, int flags) {
  struct handle *h = (struct handle *)file;
  struct file *f = h->file;
  bool unlock = flags & SQLITE_SHM_UNLOCK, exclusive = flags & SQLITE_SHM_EXCLUSIVE;
  unsigned *mine = exclusive ? &h->exclusive : &h->shared;
  for (int i = at; i < at + n && !unlock; i++) {
    bool had = *mine & 1u << i;
    if (!had && (f->exclusive[i] || (exclusive && f->shared[i] > ((h->shared & 1u << i) != 0))))
      return SQLITE_BUSY;
  }
  for (int i = at; i < at + n; i++) {
    bool had = *mine & 1u << i;
    (exclusive ? f->exclusive : f->shared)[i] += unlock ? -had : !had;
    *mine = unlock ? *mine & ~(1u << i) : *mine | 1u << i;
  }
  return SQLITE_OK;
}

static void xShmBarrier(sqlite3_file *file) { (void)file; }

static int xShmUnmap(sqlite3_file *file, int del) {
  struct handle *h = (struct handle *)file;
  struct file *f = h->file;
  (void)del;
  xShmLock(file, 0, shm_locks, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED);
  xShmLock(file, 0, shm_locks, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
  f->mapped -= h->mapped;
  h->mapped = false;
  if (f->mapped == 0) { /* whoever comes next makes it anew out of the log */
    bt_vec_each(&f->regions, r) free(*r);
    bt_vec_free(&f->regions);
  }
  return SQLITE_OK;
}

static int xClose(sqlite3_file *file) {
  xShmUnmap(file, 0);
  return xUnlock(file, SQLITE_LOCK_NONE);
}

/* ---- the VFS ---- */

static const sqlite3_io_methods methods = {.iVersion = 2,
                                           .xClose = xClose,
                                           .xRead = xRead,
                                           .xWrite = xWrite,
                                           .xTruncate = xTruncate,
                                           .xSync = xSync,
                                           .xFileSize = xFileSize,
                                           .xLock = xLock,
                                           .xUnlock = xUnlock,
                                           .xCheckReservedLock = xCheckReservedLock,
                                           .xFileControl = xFileControl,
                                           .xSectorSize = xSectorSize,
                                           .xDeviceCharacteristics = xDeviceCharacteristics,
                                           .xShmMap = xShmMap,
                                           .xShmLock = xShmLock,
                                           .xShmBarrier = xShmBarrier,
                                           .xShmUnmap = xShmUnmap};

static int xOpen(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags, int *out_flags) {
  (void)vfs;
  struct handle *h = (struct handle *)file;
  BT_ASSERT(path); /* nobody asks for temporary files */
  *h = (struct handle){.base.pMethods = &methods, .file = file_of(path, true)};
  if (!(flags & SQLITE_OPEN_CREATE) && !h->file->is.there && !(flags & SQLITE_OPEN_MAIN_DB)) {
    h->base.pMethods = NULL;
    return SQLITE_CANTOPEN;
  }
  h->file->is.there = true;
  if (out_flags)
    *out_flags = flags;
  return SQLITE_OK;
}

static int xDelete(sqlite3_vfs *vfs, const char *path, int sync_dir) {
  (void)vfs, (void)sync_dir;
  struct file *f = file_of(path, false);
  if (!f || !f->is.there)
    return SQLITE_IOERR_DELETE_NOENT;
  effect(f, NULL, 0, 0);
  state_free(&f->is);
  return SQLITE_OK;
}

static int xAccess(sqlite3_vfs *vfs, const char *path, int flags, int *out) {
  (void)vfs, (void)flags;
  const struct file *f = file_of(path, false);
  *out = f && f->is.there;
  return SQLITE_OK;
}

static int xFullPathname(sqlite3_vfs *vfs, const char *path, int size, char *out) {
  (void)vfs;
  sqlite3_snprintf(size, out, "%s", path);
  return SQLITE_OK;
}

static int xRandomness(sqlite3_vfs *vfs, int n, char *out) {
  (void)vfs;
  for (int i = 0; i < n; i++)
    out[i] = (char)dice(256);
  return n;
}

static int xSleep(sqlite3_vfs *vfs, int us) {
  (void)vfs;
  return us;
}

static int xCurrentTimeInt64(sqlite3_vfs *vfs, sqlite3_int64 *out) {
  (void)vfs;
  *out = 210866760000000 + disk.o.wall_ms(); /* since noon in Greenwich on November 24, 4714 B.C. */
  return SQLITE_OK;
}

static int xCurrentTime(sqlite3_vfs *vfs, double *out) {
  sqlite3_int64 ms = 0;
  xCurrentTimeInt64(vfs, &ms);
  *out = (double)ms / 86400000.0;
  return SQLITE_OK;
}

static int xGetLastError(sqlite3_vfs *vfs, int n, char *out) {
  (void)vfs, (void)n, (void)out;
  return disk.error;
}

void sim_disk_new(const struct sim_disk_options *options) {
  static sqlite3_vfs vfs = {.iVersion = 2,
                            .szOsFile = sizeof(struct handle),
                            .mxPathname = 512,
                            .zName = "sim",
                            .xOpen = xOpen,
                            .xDelete = xDelete,
                            .xAccess = xAccess,
                            .xFullPathname = xFullPathname,
                            .xRandomness = xRandomness,
                            .xSleep = xSleep,
                            .xCurrentTime = xCurrentTime,
                            .xGetLastError = xGetLastError,
                            .xCurrentTimeInt64 = xCurrentTimeInt64};
  disk.o = *options;
  disk.rng = options->seed ^ 0x5DEECE66D;
  disk.faults = (struct sim_disk_faults){0};
  disk.writes = disk.errors = 0;
  disk.dead = false;
  disk.error = 0;
  sqlite3_vfs_register(&vfs, 1);
  sqlite3_randomness(0, NULL); /* its dice are thrown anew */
}

void sim_disk_free(void) {
  bt_vec_each(&disk.files, f) {
    BT_ASSERT((*f)->mapped == 0);
    state_free(&(*f)->is);
    state_free(&(*f)->kept);
    free((*f)->path);
    free(*f);
  }
  bt_vec_free(&disk.files);
}

struct sim_disk_faults *sim_disk_faults(void) { return &disk.faults; }
uint64_t sim_disk_writes(void) { return disk.writes; }
uint64_t sim_disk_errors(void) { return disk.errors; }
