#define _GNU_SOURCE /* nftw, syncfs */
#include "config.h"
#include "api/trees.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

enum { max_name = 2048, max_target = 4096, max_notes = 6, piece = 64 << 10 };

char *bt_trees_path(const char *dir, const char *namespace_, const char *app, const char *id) {
  return bt_asprintf("%s/%s/%s/%s", dir, namespace_, app, id);
}

bool bt_trees_has(const char *path) {
  struct stat st;
  return lstat(path, &st) == 0 && utimensat(AT_FDCWD, path, NULL, AT_SYMLINK_NOFOLLOW) == 0;
}

int bt_trees_incoming(const char *dir, char **path, struct bt_err **err) {
  if (bt_mkdirs(dir, 0700, err) < 0)
    return -1;
  char *name = bt_asprintf("%s/.incoming-XXXXXX", dir);
  int fd = mkostemp(name, O_CLOEXEC);
  if (fd >= 0) {
    *path = name;
    return fd;
  }
  bt_err_set(err, BT_IO, "%s: %s", name, strerror(errno));
  free(name);
  return -1;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
  (void)st, (void)kind, (void)ftw;
  remove(path);
  return 0;
}

static void remove_all(const char *path) { nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS); }

/* ---------------------------------------------------------------- out of a tar */

struct unpack {
  int root;
  int parent;       /* the folder of the entry before; root, or a descriptor of its own */
  char *parent_name;
  char *folder;     /* the folder that came last, as long as nothing was in it */
  size_t files;
  struct bt_strs *notes;
  struct bt_err **err;
};

static void note(struct unpack *u, const char *what, const char *path) {
  if (u->notes->len >= max_notes)
    return;
  BT_AUTO_FREE char *text = u->notes->len + 1 < max_notes ? bt_asprintf("%.300s %s", path, what) : bt_strdup("… and more");
  bt_strs_add(u->notes, text);
}

/* git keeps no empty folders: one in a tar stands for a submodule. */
static void note_folder(struct unpack *u, const char *next) {
  if (u->folder && !(next && bt_starts(next, u->folder) && next[strlen(u->folder)] == '/'))
    note(u, "is a submodule: its content is in another repository and is not here", u->folder);
  free(bt_steal(u->folder));
}

static void close_parent(struct unpack *u) {
  if (u->parent >= 0 && u->parent != u->root)
    close(u->parent);
  free(bt_steal(u->parent_name));
  u->parent = -1;
}

/* Step by step, and never through a link: what stands in the way is refused. */
static int enter(struct unpack *u, const char *folder) {
  int at = u->root, depth = 0;
  for (const char *part = folder; *part;) {
    size_t n = strcspn(part, "/");
    BT_AUTO_FREE char *name = bt_strndup(part, n);
    int next = ++depth > BT_TREES_MAX_DEPTH ? -1 : openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int why = errno;
    if (at != u->root)
      close(at);
    if (next < 0)
      return depth > BT_TREES_MAX_DEPTH
                 ? bt_err_set(u->err, BT_TOO_LARGE, "the repository has folders more than %d deep: %.100s…", BT_TREES_MAX_DEPTH, folder)
                 : bt_err_set(u->err, BT_INVALID, "%.300s is no folder of its own in the repository: %s", folder, strerror(why));
    at = next;
    part += n + (part[n] == '/');
  }
  close_parent(u);
  u->parent = at;
  u->parent_name = bt_strdup(folder);
  return 0;
}

/* The name within its folder, borrowed, with u->parent open; NULL with an error. */
static const char *locate(struct unpack *u, const char *path) {
  const char *slash = strrchr(path, '/');
  BT_AUTO_FREE char *folder = bt_strndup(path, slash ? (size_t)(slash - path) : 0);
  if ((u->parent < 0 || !bt_streq(folder, u->parent_name)) && enter(u, folder) < 0)
    return NULL;
  return slash ? slash + 1 : path;
}

/* "a/b" as it may be, or NULL: no way up, no root, no empty parts. */
static char *clean_name(const char *raw) {
  size_t n = raw ? strlen(raw) : 0;
  while (n && raw[n - 1] == '/')
    n--;
  if (n == 0 || n > max_name || raw[0] == '/')
    return NULL;
  char *name = bt_strndup(raw, n);
  for (const char *part = name;;) {
    size_t len = strcspn(part, "/");
    if (len == 0 || len > 255 || (len == 1 && part[0] == '.') || (len == 2 && strncmp(part, "..", 2) == 0)) {
      free(name);
      return NULL;
    }
    if (!part[len])
      return name;
    part += len + 1;
  }
}

static int failed(struct unpack *u, const char *path) {
  return bt_err_set(u->err, errno == EEXIST ? BT_INVALID : BT_IO, errno == EEXIST ? "%.300s is in the repository twice" : "%.300s: %s", path,
                    strerror(errno));
}

static int write_bytes(struct unpack *u, struct archive *tar, int fd, const char *path) {
  static const char pointer[] = "version https://git-lfs.github.com/spec/v1\n";
  BT_AUTO_FREE char *data = bt_calloc(1, piece);
  la_ssize_t n;
  for (bool first = true; (n = archive_read_data(tar, data, piece)) > 0; first = false) {
    if (first && (size_t)n >= sizeof pointer - 1 && n < 1024 && memcmp(data, pointer, sizeof pointer - 1) == 0)
      note(u, "is a pointer of Git LFS: its content is not in the repository and is not here", path);
    for (la_ssize_t at = 0, done; at < n; at += done)
      if ((done = write(fd, data + at, (size_t)(n - at))) < 0) {
        done = 0;
        if (errno != EINTR)
          return failed(u, path);
      }
  }
  return n == 0 ? 0 : bt_err_set(u->err, BT_INVALID, "%.300s: the plug-in's tar ends early", path);
}

static int put_file(struct unpack *u, struct archive *tar, struct archive_entry *e, const char *path, const char *name) {
  mode_t mode = archive_entry_perm(e) & 0111 ? 0755 : 0644;
  int fd = openat(u->parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (fd < 0)
    return failed(u, path);
  int rc = write_bytes(u, tar, fd, path);
  if (fchmod(fd, mode) < 0 && rc == 0) /* whatever the umask is */
    rc = failed(u, path);
  if (close(fd) < 0 && rc == 0)
    rc = failed(u, path);
  return rc;
}

static int put_folder(struct unpack *u, const char *path, const char *name) {
  if (mkdirat(u->parent, name, 0755) < 0)
    return failed(u, path);
  int fd = openat(u->parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  bool fine = fd >= 0 && fchmod(fd, 0755) == 0;
  if (fd >= 0)
    close(fd);
  u->folder = bt_strdup(path);
  return fine ? 0 : failed(u, path);
}

static int put_link(struct unpack *u, const char *target, const char *path, const char *name) {
  if (!target || !*target || strlen(target) > max_target)
    return bt_err_set(u->err, BT_INVALID, "%.300s is a link that leads nowhere", path);
  return symlinkat(target, u->parent, name) < 0 ? failed(u, path) : 0;
}

/* Bytes as they are; of extended headers libarchive has them in UTF-8 only, where the locale has no such characters. */
static const char *name_in(struct archive_entry *e) {
  const char *name = archive_entry_pathname(e);
  return name ? name : archive_entry_pathname_utf8(e);
}

static const char *target_in(struct archive_entry *e) {
  const char *target = archive_entry_symlink(e);
  return target ? target : archive_entry_symlink_utf8(e);
}

static int put_entry(struct unpack *u, struct archive *tar, struct archive_entry *e) {
  const char *raw = name_in(e);
  mode_t type = archive_entry_filetype(e);
  BT_AUTO_FREE char *path = clean_name(raw);
  if (!path)
    return bt_err_set(u->err, BT_INVALID, "\"%.200s\" is no name that a file may have", raw ? raw : "?");
  if (++u->files > BT_TREES_MAX_FILES)
    return bt_err_set(u->err, BT_TOO_LARGE, "it has more than %d files: name a smaller folder, such as build: {context: app}", BT_TREES_MAX_FILES);
  note_folder(u, path);
  const char *name = locate(u, path);
  if (!name)
    return -1;
  if (archive_entry_hardlink(e) || (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK))
    return bt_err_set(u->err, BT_INVALID, "%.300s is neither a file, a folder nor a link", path);
  return type == AE_IFDIR ? put_folder(u, path, name) : type == AE_IFLNK ? put_link(u, target_in(e), path, name)
                                                                         : put_file(u, tar, e, path, name);
}

static int unpack_all(struct unpack *u, struct archive *tar) {
  struct archive_entry *e;
  int rc;
  while ((rc = archive_read_next_header(tar, &e)) == ARCHIVE_OK || rc == ARCHIVE_WARN)
    if (put_entry(u, tar, e) < 0)
      return -1;
  note_folder(u, NULL);
  return rc == ARCHIVE_EOF ? 0 : bt_err_set(u->err, BT_INVALID, "the plug-in gave no tar: %s", archive_error_string(tar));
}

static int unpack(const char *from, const char *into, struct bt_strs *notes, struct bt_err **err) {
  struct unpack u = {.root = open(into, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), .parent = -1, .notes = notes, .err = err};
  if (u.root < 0)
    return bt_err_set(err, BT_IO, "%s: %s", into, strerror(errno));
  struct archive *tar = archive_read_new();
  archive_read_support_format_tar(tar);
  archive_read_support_format_empty(tar);
  int rc = archive_read_open_filename(tar, from, piece) == ARCHIVE_OK
               ? unpack_all(&u, tar)
               : bt_err_set(err, BT_IO, "%s: %s", from, archive_error_string(tar));
  archive_read_free(tar);
  close_parent(&u);
  free(u.folder);
  if (rc == 0 && syncfs(u.root) < 0)
    rc = bt_err_set(err, BT_IO, "%s: %s", into, strerror(errno));
  close(u.root);
  return rc;
}

/* ---------------------------------------------------------------- whole trees */

static int copy_file(const char *from, const char *to, mode_t mode, struct bt_err **err) {
  char *data = NULL;
  size_t len = 0;
  int rc = bt_file_read(from, 64u << 20, &data, &len, err);
  if (rc == 0)
    rc = bt_file_write(to, data, len, mode, err);
  free(data);
  return rc;
}

static int put_together(const char *from, const char *half, bool tar, bool executable, struct bt_strs *notes, struct bt_err **err) {
  if (!tar)
    return copy_file(from, half, executable ? 0755 : 0644, err);
  if (mkdir(half, 0755) < 0 || chmod(half, 0755) < 0)
    return bt_err_set(err, BT_IO, "%s: %s", half, strerror(errno));
  return unpack(from, half, notes, err);
}

int bt_trees_take(const char *from, const char *path, bool tar, bool executable, struct bt_strs *notes, struct bt_err **err) {
  BT_AUTO_FREE char *folder = bt_path_dir(path);
  static unsigned number; /* two looks may bring the same */
  BT_AUTO_FREE char *half = bt_asprintf("%s/.half-%d-%u", folder, (int)getpid(), __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED));
  if (bt_mkdirs(folder, 0700, err) < 0)
    return -1;
  remove_all(half);
  int rc = put_together(from, half, tar, executable, notes, err);
  if (rc == 0 && rename(half, path) < 0 && !bt_trees_has(path))
    rc = bt_err_set(err, BT_IO, "%s: %s", path, strerror(errno));
  remove_all(half);
  return rc;
}

/* ---------------------------------------------------------------- what is not needed any more */

/* Calls for each entry of a folder, but "." and "..". */
static void each_in(const char *dir, void (*fn)(void *arg, const char *dir, const char *name), void *arg) {
  DIR *d = opendir(dir);
  for (struct dirent *e; d && (e = readdir(d));)
    if (!bt_streq(e->d_name, ".") && !bt_streq(e->d_name, ".."))
      fn(arg, dir, e->d_name);
  if (d)
    closedir(d);
}

static void add_app(void *arg, const char *dir, const char *name) {
  json_t *o = json_object();
  bt_json_set_str(o, "namespace", bt_path_base(dir));
  bt_json_set_str(o, "app", name);
  json_array_append_new(arg, o);
}

static void add_namespace(void *arg, const char *dir, const char *name) {
  BT_AUTO_FREE char *path = bt_path_join(dir, name);
  if (name[0] != '.')
    each_in(path, add_app, arg);
}

json_t *bt_trees_apps(const char *dir) {
  json_t *list = json_array();
  each_in(dir, add_namespace, list);
  return list;
}

struct collect {
  const json_t *keep;
  const char *root;
  time_t before;
};

static bool is_old(const struct collect *c, const char *path) {
  struct stat st;
  return lstat(path, &st) == 0 && st.st_mtime <= c->before;
}

static void collect_tree(void *arg, const char *dir, const char *name) {
  const struct collect *c = arg;
  BT_AUTO_FREE char *path = bt_path_join(dir, name);
  if (is_old(c, path) && !json_object_get(c->keep, path + strlen(c->root) + 1))
    remove_all(path);
}

static void collect_app(void *arg, const char *dir, const char *name) {
  BT_AUTO_FREE char *path = bt_path_join(dir, name);
  each_in(path, collect_tree, arg);
  rmdir(path); /* where it is empty */
}

static void collect_namespace(void *arg, const char *dir, const char *name) {
  BT_AUTO_FREE char *path = bt_path_join(dir, name);
  if (name[0] != '.') {
    each_in(path, collect_app, arg);
    rmdir(path);
  } else if (is_old(arg, path)) {
    remove_all(path);
  }
}

void bt_trees_collect(const char *dir, const json_t *keep, int64_t unused_s) {
  struct collect c = {.keep = keep, .root = dir, .before = time(NULL) - (time_t)unused_s};
  each_in(dir, collect_namespace, &c);
}
