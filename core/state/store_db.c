#include "config.h"
#include "state/store_db.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/plant.h"

enum { application_id = 0x42727468 /* "Brth" */, probe_bytes = 64 * 1024, rewrite_bytes = 64 * 1024, busy_ms = 2000 };

/* Steps from schema n to n + 1. Only append: a released step never changes. */
static const char *const migrations[] = {
    "CREATE TABLE object (kind TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, value TEXT NOT NULL,"
    "  PRIMARY KEY (kind, key)) WITHOUT ROWID;"
    "INSERT INTO meta (name, value) VALUES ('revision', 0);",
};
enum { schema_version = BT_COUNT(migrations) };

static enum bt_db_outcome outcome_of(sqlite3 *sql, int rc) {
  int primary = rc & 0xff;
  if (primary == SQLITE_OK || primary == SQLITE_DONE || primary == SQLITE_ROW)
    return BT_DB_OK;
  if (primary == SQLITE_BUSY || primary == SQLITE_LOCKED)
    return BT_DB_BUSY;
  if (primary == SQLITE_FULL)
    return BT_DB_FULL;
  /* A quota is not SQLITE_FULL but a failed write; only writes count, a failed sync is always doubt. */
  int extended = sqlite3_extended_errcode(sql), cause = sqlite3_system_errno(sql);
  bool growth = extended == SQLITE_IOERR_WRITE || extended == SQLITE_IOERR_SHMSIZE;
  if (growth && (cause == ENOSPC || cause == EDQUOT))
    return BT_DB_FULL;
  return BT_DB_DOUBT;
}

static int run(sqlite3 *sql, const char *text) { return sqlite3_exec(sql, text, NULL, NULL, NULL); }

/* First column of the first row as text; NULL where there is none. The caller frees. */
static int ask(sqlite3 *sql, const char *text, char **answer) {
  *answer = NULL;
  sqlite3_stmt *stmt = NULL;
  int rc = sqlite3_prepare_v2(sql, text, -1, &stmt, NULL);
  if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
    *answer = bt_strdup((const char *)sqlite3_column_text(stmt, 0));
  int end = sqlite3_finalize(stmt);
  return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : end != SQLITE_OK ? end : rc;
}

static int sql_error(struct bt_db *db, struct bt_err **err, const char *doing) {
  const char *words = bt_db_words(db);
  switch (sqlite3_errcode(db->sql) & 0xff) {
  case SQLITE_NOTADB:
    return bt_err_set(err, BT_INVALID, "%s is no SQLite database: move it away, or name another state folder", db->path);
  case SQLITE_CORRUPT:
    return bt_err_set(err, BT_IO, "%s is damaged (%s): restore it from a backup, or move it away to start empty", db->path,
                      words);
  case SQLITE_FULL:
    return bt_err_set(err, BT_NO_SPACE, "the disk that holds %s is full: make room and start again", db->path);
  default:
    return bt_err_set(err, BT_IO, "cannot %s %s: %s", doing, db->path, words);
  }
}

const char *bt_db_words(const struct bt_db *db) {
  int cause = sqlite3_system_errno(db->sql);
  static _Thread_local char words[256];
  snprintf(words, sizeof words, "%s%s%s", sqlite3_errmsg(db->sql), cause ? ": " : "", cause ? strerror(cause) : "");
  return words;
}

/* A lock file of its own, since closing any descriptor of the database would drop SQLite's own locks. */
static int take_lock(struct bt_db *db, struct bt_err **err) {
  BT_AUTO_FREE char *path = bt_asprintf("%s.lock", db->path);
  BT_AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return bt_err_errno(err, BT_IO, errno, "cannot open %s", path);
  if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
    char who[32] = "";
    ssize_t n = pread(fd, who, sizeof who - 1, 0);
    who[n > 0 ? strcspn(who, "\n") : 0] = 0;
    return bt_err_set(err, BT_CONFLICT, "%s is in use by another berthd%s%s: stop that one, or give this one its own state folder",
                      db->path, *who ? ", process " : "", who);
  }
  char line[32];
  int n = snprintf(line, sizeof line, "%ld\n", (long)getpid());
  if (ftruncate(fd, 0) < 0 || pwrite(fd, line, (size_t)n, 0) < 0)
    bt_warn("state", "cannot note the process in %s: %s", path, strerror(errno)); /* the lock itself holds */
  db->lock_fd = fd;
  fd = -1;
  return 0;
}

/* The file exists with its mode before SQLite writes to it; its siblings (-wal, -shm) inherit the mode. */
static int make_file(struct bt_db *db, struct bt_err **err) {
  BT_AUTO_CLOSE int fd = open(db->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) < 0)
    return bt_err_errno(err, BT_IO, errno, "cannot open %s", db->path);
  if (!S_ISREG(st.st_mode))
    return bt_err_set(err, BT_INVALID, "%s is no regular file", db->path);
  if (fchmod(fd, 0600) < 0)
    return bt_err_errno(err, BT_IO, errno, "cannot set the mode of %s", db->path);
  BT_AUTO_FREE char *dir = bt_path_dir(db->path);
  BT_AUTO_CLOSE int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0 || fsync(folder) < 0)
    return bt_err_errno(err, BT_IO, errno, "cannot sync the folder %s", dir);
  return 0;
}

static int connect(struct bt_db *db, struct bt_err **err) {
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (sqlite3_open_v2(db->path, &db->sql, flags, NULL) != SQLITE_OK)
    return sql_error(db, err, "open");
  sqlite3_busy_timeout(db->sql, busy_ms);
  /* The state lives in our own tables, SQLite is only written to, and the kernel caches its file: the cache only has to hold what a large
   * transaction changes, or pages of it are written more than once. It is given back afterwards (bt_db_shrink). */
  if (run(db->sql, "PRAGMA cache_size=-4096; PRAGMA temp_store=MEMORY; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                   "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=16777216") != SQLITE_OK)
    return sql_error(db, err, "set up");
  if (BT_PLANT(NO_SYNC))
    run(db->sql, "PRAGMA synchronous=NORMAL");
  return 0;
}

static int check(struct bt_db *db, struct bt_err **err) {
  BT_AUTO_FREE char *mode = NULL, *verdict = NULL;
  if (ask(db->sql, "PRAGMA journal_mode", &mode) != SQLITE_OK)
    return sql_error(db, err, "read");
  if (!bt_streq(mode, "wal"))
    return bt_err_set(err, BT_UNSUPPORTED, "%s: the file system offers no write-ahead log (journal mode \"%s\"): use a local disk",
                      db->path, mode);
  if (ask(db->sql, "PRAGMA quick_check(1)", &verdict) != SQLITE_OK)
    return sql_error(db, err, "check");
  if (!bt_streq(verdict, "ok"))
    return bt_err_set(err, BT_IO, "%s is damaged (%s): restore it from a backup, or move it away to start empty", db->path,
                      verdict);
  return 0;
}

static int migrate_step(struct bt_db *db, int to, struct bt_err **err) {
  char now[32];
  BT_AUTO_FREE char *text = bt_asprintf("BEGIN IMMEDIATE; %s INSERT INTO migration (version, at) VALUES (%d, '%s');"
                                        "INSERT OR REPLACE INTO meta (name, value) VALUES ('schema', %d); COMMIT",
                                        migrations[to - 1], to, bt_clock_format(bt_clock_wall_ms(), now), to);
  if (run(db->sql, text) == SQLITE_OK)
    return 0;
  sql_error(db, err, "migrate");
  if (!sqlite3_get_autocommit(db->sql))
    run(db->sql, "ROLLBACK");
  return -1;
}

/* An empty file becomes ours; another program's database is refused before anything is written to it. */
static int claim(struct bt_db *db, struct bt_err **err) {
  BT_AUTO_FREE char *id = NULL, *tables = NULL;
  if (ask(db->sql, "PRAGMA application_id", &id) != SQLITE_OK ||
      ask(db->sql, "SELECT count(*) FROM sqlite_master", &tables) != SQLITE_OK)
    return sql_error(db, err, "read");
  if (atoi(id) == application_id)
    return 0;
  if (atoi(tables) > 0)
    return bt_err_set(err, BT_INVALID, "%s is the database of another program: name another state folder", db->path);
  BT_AUTO_FREE char *text = bt_asprintf("BEGIN IMMEDIATE; PRAGMA application_id=%d;"
                                        "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
                                        "CREATE TABLE migration (version INTEGER PRIMARY KEY, at TEXT NOT NULL); COMMIT",
                                        application_id);
  return run(db->sql, text) == SQLITE_OK ? 0 : sql_error(db, err, "set up");
}

static int migrate(struct bt_db *db, struct bt_err **err) {
  if (claim(db, err) < 0)
    return -1;
  BT_AUTO_FREE char *text = NULL;
  if (ask(db->sql, "SELECT value FROM meta WHERE name='schema'", &text) != SQLITE_OK)
    return sql_error(db, err, "read");
  int have = text ? atoi(text) : 0;
  if (have > schema_version)
    return bt_err_set(err, BT_UNSUPPORTED, "%s was written by a newer Berth (schema %d, this one knows %d): install that version",
                      db->path, have, schema_version);
  while (have < schema_version)
    if (migrate_step(db, ++have, err) < 0)
      return -1;
  return 0;
}

static int prepare(struct bt_db *db, struct bt_err **err) {
  const unsigned keep = SQLITE_PREPARE_PERSISTENT;
  if (sqlite3_prepare_v3(db->sql,
                         "INSERT INTO object (kind, key, revision, value) VALUES (?1, ?2, ?3, ?4)"
                         " ON CONFLICT (kind, key) DO UPDATE SET revision=excluded.revision, value=excluded.value",
                         -1, keep, &db->put, NULL) != SQLITE_OK ||
      sqlite3_prepare_v3(db->sql, "DELETE FROM object WHERE kind=?1 AND key=?2", -1, keep, &db->del, NULL) != SQLITE_OK ||
      sqlite3_prepare_v3(db->sql, "UPDATE meta SET value=?1 WHERE name='revision'", -1, keep, &db->mark, NULL) != SQLITE_OK)
    return sql_error(db, err, "prepare");
  return 0;
}

/* After a failed fsync the kernel holds pages as clean that never reached the disk, and a start reads them as if they had. Where the log lacks
 * them there, a power cut later would lay its older pages over a database that is newer already. So at every start the log is written
 * anew as it is read, and synced, before it is copied back. */
static int rewrite_log(struct bt_db *db) {
  sqlite3_file *log = NULL;
  sqlite3_int64 size = 0;
  if (sqlite3_file_control(db->sql, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK || !log || !log->pMethods)
    return SQLITE_OK;
  int rc = log->pMethods->xFileSize(log, &size);
  BT_AUTO_FREE char *part = bt_newn(char, rewrite_bytes);
  for (sqlite3_int64 at = 0; at < size && rc == SQLITE_OK; at += rewrite_bytes) {
    int n = (int)BT_MIN(size - at, (sqlite3_int64)rewrite_bytes);
    rc = log->pMethods->xRead(log, part, n, at);
    rc = rc == SQLITE_OK ? log->pMethods->xWrite(log, part, n, at) : rc;
  }
  return rc == SQLITE_OK && size > 0 ? log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) : rc;
}

static int settle(struct bt_db *db, enum bt_db_outcome *outcome, struct bt_err **err) {
  int rc = rewrite_log(db);
  if ((rc & 0xff) != SQLITE_OK && (rc & 0xff) != SQLITE_FULL)
    return bt_err_set(err, BT_IO, "cannot write the log of %s anew: %s", db->path, sqlite3_errstr(rc));
  rc = rc == SQLITE_OK ? sqlite3_wal_checkpoint_v2(db->sql, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) : rc;
  *outcome = outcome_of(db->sql, rc);
  if (*outcome == BT_DB_BUSY)
    return bt_err_set(err, BT_CONFLICT, "%s is read by another program: close that one first", db->path);
  return *outcome == BT_DB_DOUBT ? sql_error(db, err, "write back the log of") : 0;
}

static void db_abandon(struct bt_db **db) {
  if (*db)
    bt_db_close(db, true);
}

int bt_db_open(const char *path, struct bt_db **out, enum bt_db_outcome *outcome, struct bt_err **err) {
  __attribute__((cleanup(db_abandon))) struct bt_db *db = bt_new(struct bt_db);
  db->path = bt_strdup(path);
  db->lock_fd = -1;
  if (take_lock(db, err) < 0 || make_file(db, err) < 0 || connect(db, err) < 0 || check(db, err) < 0 || migrate(db, err) < 0 ||
      prepare(db, err) < 0 || settle(db, outcome, err) < 0)
    return -1;
  *out = bt_steal(db);
  return 0;
}

int bt_db_attach(const char *path, struct bt_db **out, struct bt_err **err) {
  __attribute__((cleanup(db_abandon))) struct bt_db *db = bt_new(struct bt_db);
  db->path = bt_strdup(path);
  db->lock_fd = -1;
  if (connect(db, err) < 0)
    return -1;
  *out = bt_steal(db);
  return 0;
}

void bt_db_close(struct bt_db **pdb, bool in_doubt) {
  struct bt_db *db = bt_steal(*pdb);
  sqlite3_finalize(db->put);
  sqlite3_finalize(db->del);
  sqlite3_finalize(db->mark);
  if (db->sql && in_doubt)
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
  sqlite3_close(db->sql);
  bt_closep(&db->lock_fd); /* last: the next server may open only when all is written */
  free(db->path);
  free(db);
}

int bt_db_load(struct bt_db *db, void (*found)(void *arg, const char *kind, const char *key, const char *value, size_t len),
               void *arg, uint64_t *revision, struct bt_err **err) {
  BT_AUTO_FREE char *mark = NULL;
  if (ask(db->sql, "SELECT value FROM meta WHERE name='revision'", &mark) != SQLITE_OK)
    return sql_error(db, err, "read");
  *revision = mark ? strtoull(mark, NULL, 10) : 0;
  sqlite3_stmt *stmt = NULL;
  if (sqlite3_prepare_v2(db->sql, "SELECT kind, key, value FROM object ORDER BY kind, key", -1, &stmt, NULL) != SQLITE_OK)
    return sql_error(db, err, "read");
  int rc;
  while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
    found(arg, (const char *)sqlite3_column_text(stmt, 0), (const char *)sqlite3_column_text(stmt, 1),
          (const char *)sqlite3_column_text(stmt, 2), (size_t)sqlite3_column_bytes(stmt, 2));
  int result = rc == SQLITE_DONE ? 0 : sql_error(db, err, "read");
  sqlite3_finalize(stmt);
  return result;
}

static int step_once(sqlite3_stmt *stmt) {
  int rc = sqlite3_step(stmt);
  sqlite3_reset(stmt);
  return rc;
}

static int apply_one(struct bt_db *db, uint64_t revision, const struct bt_change *change) {
  sqlite3_stmt *stmt = change->value ? db->put : db->del;
  sqlite3_bind_text(stmt, 1, change->kind, -1, SQLITE_STATIC);
  sqlite3_bind_text(stmt, 2, change->key, -1, SQLITE_STATIC);
  if (change->value) {
    sqlite3_bind_int64(stmt, 3, (sqlite3_int64)revision);
    sqlite3_bind_text(stmt, 4, change->value, -1, SQLITE_STATIC);
  }
  return step_once(stmt);
}

/* IMMEDIATE: another program's lock shows here, where nothing is written yet. */
enum bt_db_outcome bt_db_begin(struct bt_db *db) { return outcome_of(db->sql, run(db->sql, "BEGIN IMMEDIATE")); }

enum bt_db_outcome bt_db_apply(struct bt_db *db, uint64_t revision, const struct bt_batch *batch) {
  for (size_t i = 0; i < batch->len; i++) {
    enum bt_db_outcome outcome = outcome_of(db->sql, apply_one(db, revision, &batch->items[i]));
    if (outcome != BT_DB_OK)
      return outcome;
    if (BT_PLANT(SPLIT_BATCH) && i == batch->len / 2)
      run(db->sql, "COMMIT; BEGIN IMMEDIATE");
  }
  return BT_DB_OK;
}

enum bt_db_outcome bt_db_commit(struct bt_db *db, uint64_t revision) {
  sqlite3_bind_int64(db->mark, 1, (sqlite3_int64)revision);
  enum bt_db_outcome outcome = outcome_of(db->sql, step_once(db->mark));
  return outcome == BT_DB_OK ? outcome_of(db->sql, run(db->sql, "COMMIT")) : outcome;
}

void bt_db_shrink(struct bt_db *db) { sqlite3_db_release_memory(db->sql); }

enum bt_db_outcome bt_db_rollback(struct bt_db *db, enum bt_db_outcome why) {
  if (!sqlite3_get_autocommit(db->sql))
    run(db->sql, "ROLLBACK");
  return sqlite3_get_autocommit(db->sql) ? why : BT_DB_DOUBT;
}

static enum bt_db_outcome probe_write(struct bt_db *db) {
  BT_AUTO_FREE char *fill = bt_asprintf("INSERT OR REPLACE INTO meta (name, value) VALUES ('probe', zeroblob(%d))", probe_bytes);
  int rc = run(db->sql, fill);
  if (rc == SQLITE_OK)
    rc = run(db->sql, "DELETE FROM meta WHERE name='probe'");
  return outcome_of(db->sql, rc);
}

enum bt_db_outcome bt_db_probe(struct bt_db *db) {
  enum bt_db_outcome outcome = probe_write(db);
  return outcome == BT_DB_OK ? BT_DB_OK : bt_db_rollback(db, outcome);
}

/* A small disk can be full of the log alone; only what is copied back whole gives its room free. */
enum bt_db_outcome bt_db_reclaim(struct bt_db *db) {
  return outcome_of(db->sql, sqlite3_wal_checkpoint_v2(db->sql, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));
}

long bt_db_room(const struct bt_db *db) {
  struct statvfs disk;
  if (statvfs(db->path, &disk) < 0)
    return LONG_MAX;
  return (long)BT_MIN(disk.f_bavail * (disk.f_frsize / 512) / 8, (unsigned long)LONG_MAX);
}

enum bt_db_outcome bt_db_checkpoint(struct bt_db *db, int *copied) {
  int rc = sqlite3_wal_checkpoint_v2(db->sql, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, copied);
  return outcome_of(db->sql, rc);
}
