#include "config.h"
#include "context.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dockerfile.h"
#include "ignore.h"
#include "util.h"

enum { max_ignore_file = 1 << 20, max_depth = 256, max_dockerfile = 4 << 20 };

struct walk {
  struct rd_context *c;
  struct archive *tar;
  struct rd_ignore *ignore;
  char *ignore_file; /* stands in the tar as .dockerignore instead of the folder's own; NULL: the own one */
  int64_t bytes;
};

static void fail(struct rd_context *c, const char *what, const char *path) {
  if (!c->why)
    c->why = pu_asprintf("%s: %s", path, what);
}

/* ---------------------------------------------------------------- small files */

static char *read_text(int dir, const char *path, size_t max) {
  int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat st;
  if (fd < 0)
    return NULL;
  struct pu_buf out = {0};
  char piece[16384];
  ssize_t n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (size_t)st.st_size <= max ? 1 : -1;
  errno = n < 0 ? EFBIG : 0;
  while (n > 0 && (n = read(fd, piece, sizeof piece)) > 0 && out.len <= max)
    pu_buf_add(&out, piece, (size_t)n);
  int saved = errno;
  close(fd);
  errno = saved;
  if (n >= 0)
    return pu_buf_steal(&out);
  pu_buf_free(&out);
  return NULL;
}

/* A name that depends on the text only: the engine's build cache stays good. */
static char *outside_name(const char *text) {
  uint64_t h = 14695981039346656037u; /* FNV-1a */
  for (const unsigned char *p = (const unsigned char *)text; *p; p++)
    h = (h ^ *p) * 1099511628211u;
  return pu_asprintf(".dockerfile.%016llx", (unsigned long long)h);
}

/* The path of file below folder, both resolved; NULL where it is not below. */
static char *below(const char *folder, const char *file) {
  char f[PATH_MAX], d[PATH_MAX];
  if (!realpath(folder, d) || !realpath(file, f))
    return NULL;
  size_t n = strlen(d);
  while (n && d[n - 1] == '/')
    n--;
  return strncmp(d, f, n) == 0 && f[n] == '/' ? pu_strdup(f + n + 1) : NULL;
}

char *rd_context_dockerfile(struct rd_context *c, char **why) {
  PU_AUTO_FREE path = NULL;
  if (!c->inlined) {
    const char *name = c->dockerfile ? c->dockerfile : "Dockerfile";
    path = *name == '/' ? pu_strdup(name) : pu_asprintf("%s/%s", c->folder, name);
    char *inside = below(c->folder, path);
    if (inside) {
      PU_AUTO_FREE text = read_text(AT_FDCWD, path, max_dockerfile);
      c->buildkit = text ? rd_dockerfile_buildkit(text) : NULL;
      return inside;
    }
    c->inlined = read_text(AT_FDCWD, path, max_dockerfile);
  }
  if (!c->inlined) {
    *why = pu_asprintf("the Dockerfile %s: %s", path, strerror(errno));
    return NULL;
  }
  c->buildkit = rd_dockerfile_buildkit(c->inlined);
  c->outside = outside_name(c->inlined);
  return pu_strdup(c->outside);
}

/* ---------------------------------------------------------------- the tar */

static la_ssize_t tar_write(struct archive *a, void *arg, const void *data, size_t len) {
  struct walk *w = arg;
  ssize_t n;
  do
    n = send(w->c->fd, data, len, MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  if (n < 0)
    archive_set_error(a, errno, "the other side closed");
  return n;
}

static bool entry_out(struct walk *w, struct archive_entry *e, const char *path) {
  if (archive_write_header(w->tar, e) == ARCHIVE_OK)
    return true;
  if (errno == EPIPE || errno == ECONNRESET)
    pu_set(&w->c->why, pu_strdup(""));
  else
    fail(w->c, archive_error_string(w->tar), path);
  return false;
}

static struct archive_entry *entry_new(const char *path, mode_t type, mode_t mode, int64_t size, time_t mtime) {
  struct archive_entry *e = archive_entry_new();
  archive_entry_set_pathname(e, path);
  archive_entry_set_filetype(e, type);
  archive_entry_set_perm(e, mode & 07777);
  archive_entry_set_size(e, size);
  archive_entry_set_mtime(e, mtime, 0);
  archive_entry_set_uid(e, 0); /* whose file it is on this machine means nothing in the image */
  archive_entry_set_gid(e, 0);
  return e;
}

static void add_text(struct walk *w, const char *path, const char *text) {
  size_t n = strlen(text);
  struct archive_entry *e = entry_new(path, AE_IFREG, 0644, (int64_t)n, 0);
  if (entry_out(w, e, path) && archive_write_data(w->tar, text, n) < 0)
    pu_set(&w->c->why, pu_strdup(""));
  archive_entry_free(e);
}

/* A file that shrinks while it is read is filled up with zeros by libarchive, one that grows is cut: the size was promised. */
static void add_bytes(struct walk *w, int fd, const char *path) {
  char piece[65536];
  ssize_t n;
  while ((n = read(fd, piece, sizeof piece)) > 0)
    if (archive_write_data(w->tar, piece, (size_t)n) < 0) {
      pu_set(&w->c->why, pu_strdup(""));
      return;
    }
  if (n < 0)
    fail(w->c, strerror(errno), path);
}

static void add_file(struct walk *w, int dir, const char *name, const char *path) {
  int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
    fail(w->c, fd < 0 ? strerror(errno) : "it is no longer a file", path);
  } else if ((w->bytes += st.st_size) > w->c->max) {
    w->c->too_large = true;
    fail(w->c, "with it the build context is larger than build_context_max: name more in .dockerignore", path);
  } else {
    struct archive_entry *e = entry_new(path, AE_IFREG, st.st_mode, st.st_size, st.st_mtime);
    if (entry_out(w, e, path))
      add_bytes(w, fd, path);
    archive_entry_free(e);
  }
  if (fd >= 0)
    close(fd);
}

static void add_link(struct walk *w, int dir, const char *name, const char *path, const struct stat *st) {
  char target[PATH_MAX];
  ssize_t n = readlinkat(dir, name, target, sizeof target - 1);
  if (n < 0) {
    fail(w->c, strerror(errno), path);
    return;
  }
  target[n] = 0;
  struct archive_entry *e = entry_new(path, AE_IFLNK, 0777, 0, st->st_mtime);
  archive_entry_set_symlink(e, target);
  entry_out(w, e, path);
  archive_entry_free(e);
}

/* ---------------------------------------------------------------- walking */

static void walk_folder(struct walk *w, int fd, const char *path, int depth);

static void add_folder(struct walk *w, int dir, const char *name, const char *path, const struct stat *st, bool ignored, int depth) {
  if (ignored && !rd_ignore_descend(w->ignore, path))
    return;
  if (!ignored) {
    struct archive_entry *e = entry_new(path, AE_IFDIR, st->st_mode, 0, st->st_mtime);
    entry_out(w, e, path);
    archive_entry_free(e);
  }
  int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 || depth >= max_depth) {
    fail(w->c, fd < 0 ? strerror(errno) : "folders are nested too deep", path);
    if (fd >= 0)
      close(fd);
    return;
  }
  walk_folder(w, fd, path, depth + 1);
}

static void add_one(struct walk *w, int dir, const char *name, const char *path, int depth) {
  struct stat st;
  bool ignored = rd_ignore_match(w->ignore, path);
  if (pu_eq(path, ".dockerignore") && w->ignore_file)
    return; /* written already, with additions */
  if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT && !ignored)
      fail(w->c, strerror(errno), path);
  } else if (S_ISDIR(st.st_mode)) {
    add_folder(w, dir, name, path, &st, ignored, depth);
  } else if (!ignored && S_ISREG(st.st_mode)) {
    add_file(w, dir, name, path);
  } else if (!ignored && S_ISLNK(st.st_mode)) {
    add_link(w, dir, name, path, &st);
  } /* sockets, devices and FIFOs have no place in an image */
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The names of a folder, sorted, so that the same context gives the same tar. Takes fd. */
static size_t names_of(int fd, char ***out) {
  DIR *d = fdopendir(fd);
  char **names = NULL;
  size_t n = 0, cap = 0;
  for (struct dirent *e; d && (e = readdir(d));) {
    if (pu_eq(e->d_name, ".") || pu_eq(e->d_name, ".."))
      continue;
    if (n == cap) {
      char **more = pu_calloc(cap ? cap * 2 : 32, sizeof *more);
      if (n)
        memcpy(more, names, n * sizeof *more);
      free(names);
      names = more;
      cap = cap ? cap * 2 : 32;
    }
    names[n++] = pu_strdup(e->d_name);
  }
  if (n)
    qsort(names, n, sizeof *names, by_name);
  if (d)
    closedir(d);
  else
    close(fd);
  *out = names;
  return n;
}

/* Takes fd. */
static void walk_folder(struct walk *w, int fd, const char *path, int depth) {
  char **names;
  size_t n = names_of(fcntl(fd, F_DUPFD_CLOEXEC, 0), &names);
  for (size_t i = 0; i < n; i++) {
    PU_AUTO_FREE below_path = *path ? pu_asprintf("%s/%s", path, names[i]) : pu_strdup(names[i]);
    if (!w->c->why)
      add_one(w, fd, names[i], below_path, depth);
    free(names[i]);
  }
  free(names);
  close(fd);
}

/* ---------------------------------------------------------------- whole */

/* "<Dockerfile>.dockerignore" beside the Dockerfile wins over .dockerignore. The Dockerfile and .dockerignore themselves are
 * always sent, for the engine reads them; a Dockerfile from outside is added to the list, so that COPY does not see it. */
static void ignore_load(struct walk *w, int dir) {
  struct rd_context *c = w->c;
  PU_AUTO_FREE special = c->outside ? NULL : pu_asprintf("%s.dockerignore", c->dockerfile);
  PU_AUTO_FREE own = special ? read_text(dir, special, max_ignore_file) : NULL;
  PU_AUTO_FREE common = read_text(dir, ".dockerignore", max_ignore_file);
  const char *text = own ? own : common ? common : "";
  w->ignore = rd_ignore_parse(text, strlen(text));
  rd_ignore_add(w->ignore, "!.dockerignore");
  if (c->outside) {
    w->ignore_file = pu_asprintf("%s\n.dockerignore\n%s\n", text, c->outside);
  } else {
    PU_AUTO_FREE keep = pu_asprintf("!%s", c->dockerfile);
    rd_ignore_add(w->ignore, keep);
  }
}

static void write_all(struct walk *w, int dir) {
  ignore_load(w, dir);
  if (w->ignore_file)
    add_text(w, ".dockerignore", w->ignore_file);
  if (w->c->outside)
    add_text(w, w->c->outside, w->c->inlined);
  walk_folder(w, dir, "", 0);
  if (archive_write_close(w->tar) != ARCHIVE_OK && !w->c->why)
    w->c->why = pu_strdup("");
}

void rd_context_write(struct rd_context *c) {
  struct walk w = {.c = c, .tar = archive_write_new()};
  int dir = open(c->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) {
    fail(c, strerror(errno), c->folder);
  } else {
    archive_write_set_format_gnutar(w.tar); /* names are bytes, whatever the server's locale is; pax would convert them */
    archive_write_set_bytes_per_block(w.tar, 65536);
    archive_write_set_bytes_in_last_block(w.tar, 512);
    archive_write_open(w.tar, &w, NULL, tar_write, NULL);
    write_all(&w, dir);
  }
  archive_write_free(w.tar);
  rd_ignore_free(&w.ignore);
  free(w.ignore_file);
  close(c->fd);
  c->fd = -1;
}
