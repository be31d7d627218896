#include "config.h"
#include "merge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../../common/util.h"
#include "../spec/copyfile.h"
#include "files.h"

enum { max_levels = 300, max_layers = 500 };

struct merge {
  int root;           /* of the tree that is made */
  struct pu_buf path; /* of the folder that is made, below root: "usr/lib/" */
  json_t *links;      /* {"device:inode" of a file with several names: path of the first of them} */
  char *at;           /* where it failed */
};

/* A folder of the image under way: its parts, topmost first, and the names that a layer has hidden from those below it. */
struct parts {
  int fds[max_layers];
  size_t n;
};

static int merge_parts(struct merge *m, const struct parts *from, int to, int level);

/* ---------------------------------------------------------------- what hides */

static bool is_whiteout(const struct stat *st) { return S_ISCHR(st->st_mode) && st->st_rdev == 0; }

static bool is_opaque(int fd) {
  char value[2];
  return (fgetxattr(fd, "trusted.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y') || faccessat(fd, ".wh..wh..opq", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The other form of a whiteout, of stores whose file system takes no device 0/0. */
static bool is_hidden_beside(int fd, const char *name) {
  char mark[NAME_MAX + 1];
  return snprintf(mark, sizeof mark, ".wh.%s", name) < (int)sizeof mark && faccessat(fd, mark, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---------------------------------------------------------------- folders */

static void parts_close(struct parts *p) {
  while (p->n)
    close(p->fds[--p->n]);
}

static int parts_add(struct parts *p, int from, const char *name, int flags) {
  int fd = openat(from, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
  if (fd >= 0)
    p->fds[p->n++] = fd;
  return fd < 0 ? -1 : 0;
}

/* The folder name of from->fds[first], and what of those below shows through it. */
static int parts_of(const struct parts *from, size_t first, const char *name, struct parts *out) {
  for (size_t i = first; i < from->n; i++) {
    struct stat st;
    bool there = fstatat(from->fds[i], name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && !S_ISDIR(st.st_mode))
      return 0;
    if (there && parts_add(out, from->fds[i], name, O_NOFOLLOW) != 0)
      return -1;
    if ((there && is_opaque(out->fds[out->n - 1])) || is_hidden_beside(from->fds[i], name))
      return 0;
  }
  return 0;
}

static int merge_folder(struct merge *m, const struct parts *from, size_t first, const char *name, int to, int level) {
  struct parts *own = pu_new(struct parts);
  size_t len = m->path.len;
  struct stat st;
  int rc = parts_of(from, first, name, own), made = -1;
  if (rc == 0)
    rc = fstat(own->fds[0], &st) != 0 || mkdirat(to, name, 0700) != 0 || (made = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0 ? -1 : 0;
  pu_buf_addf(&m->path, "%s/", name);
  if (rc == 0 && (rc = merge_parts(m, own, made, level + 1)) == 0)
    rc = ro_copyfile_meta(own->fds[0], made, &st);
  int saved = errno;
  m->path.len = len;
  m->path.data[len] = '\0';
  parts_close(own);
  free(own);
  if (made >= 0)
    close(made);
  errno = saved;
  return rc;
}

/* ---------------------------------------------------------------- files */

/* Another name of a file that is there already. False where it has to be copied: it is the first, or its path is too long for a link. */
static bool link_known(const struct merge *m, const char *key, int to, const char *name) {
  const char *first = json_string_value(json_object_get(m->links, key));
  return first && linkat(m->root, first, to, name, 0) == 0;
}

static int merge_file(struct merge *m, int from, const char *name, int to, const struct stat *st) {
  PU_AUTO_FREE key = st->st_nlink > 1 ? pu_asprintf("%llx:%llx", (unsigned long long)st->st_dev, (unsigned long long)st->st_ino) : NULL;
  if (key && link_known(m, key, to, name))
    return 0;
  int fd = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  int rc = fd < 0 ? -1 : ro_copyfile_bytes(fd, to, name, st), saved = errno;
  if (fd >= 0)
    close(fd);
  if (rc == 0 && key)
    json_object_set_new(m->links, key, json_sprintf("%s%s", m->path.len ? m->path.data : "", name));
  errno = saved;
  return rc;
}

/* ---------------------------------------------------------------- entries */

/* One entry of from->fds[i]. hides gets what it hides of the layers below. */
static int merge_entry(struct merge *m, const struct parts *from, size_t i, const char *name, int to, json_t *hides, int level) {
  struct stat st;
  if (pu_starts(name, ".wh.")) {
    json_object_set_new(hides, name + 4, json_true());
    return 0;
  }
  if (fstatat(from->fds[i], name, &st, AT_SYMLINK_NOFOLLOW) != 0)
    return -1;
  if (is_whiteout(&st)) {
    json_object_set_new(hides, name, json_true());
    return 0;
  }
  if (faccessat(to, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) /* a layer above has it */
    return 0;
  if (S_ISDIR(st.st_mode))
    return merge_folder(m, from, i, name, to, level);
  return S_ISREG(st.st_mode) ? merge_file(m, from->fds[i], name, to, &st) : ro_copyfile_other(from->fds[i], name, to, &st);
}

static int merge_layer(struct merge *m, const struct parts *from, size_t i, int to, json_t *hidden, int level) {
  PU_AUTO_JSON hides = json_object();
  int fd = openat(from->fds[i], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
  struct dirent *e;
  int rc = dir ? 0 : -1;
  while (rc == 0 && (e = readdir(dir))) {
    if (pu_eq(e->d_name, ".") || pu_eq(e->d_name, "..") || json_object_get(hidden, e->d_name))
      continue;
    rc = merge_entry(m, from, i, e->d_name, to, hides, level);
    if (rc != 0 && !m->at)
      m->at = pu_asprintf("%.*s%s", (int)m->path.len, m->path.len ? m->path.data : "", e->d_name);
  }
  int saved = errno;
  if (dir)
    closedir(dir);
  json_object_update(hidden, hides); /* now: a layer hides nothing of its own */
  errno = saved;
  return rc;
}

static int merge_parts(struct merge *m, const struct parts *from, int to, int level) {
  PU_AUTO_JSON hidden = json_object();
  int rc = 0;
  errno = ELOOP;
  if (level > max_levels)
    return -1;
  for (size_t i = 0; i < from->n && rc == 0; i++)
    rc = merge_layer(m, from, i, to, hidden, level);
  return rc;
}

/* ---------------------------------------------------------------- whole */

/* Each folder on the way is open once for each layer that has it. */
static void raise_files(void) {
  struct rlimit r;
  if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
  }
}

static int open_layers(const char *const *layers, size_t n, struct parts *out, const char *id, struct ro_fail *why) {
  for (size_t i = 0; i < n && i < max_layers; i++)
    if (parts_add(out, AT_FDCWD, layers[i], 0) != 0)
      return ro_fail_errno(why, "layer %s of container %s is not there: pull its image again", layers[i], id);
  return 0;
}

static int merge_into(struct merge *m, const struct parts *from, const char *id, struct ro_fail *why) {
  struct stat st;
  m->links = json_object();
  int rc = fstat(from->fds[0], &st) != 0 || merge_parts(m, from, m->root, 0) != 0 || ro_copyfile_meta(from->fds[0], m->root, &st) != 0 || syncfs(m->root) != 0 ? -1 : 0;
  if (rc != 0)
    ro_fail_errno(why, "cannot copy the image of container %s, at /%s", id, m->at ? m->at : "");
  json_decref(m->links);
  pu_buf_free(&m->path);
  free(m->at);
  return rc;
}

int ro_merge(const char *const *layers, size_t n, const char *to, const char *id, struct ro_fail *why) {
  PU_AUTO_FREE fresh = pu_asprintf("%s.new", to);
  struct parts *from = pu_new(struct parts);
  struct merge m = {.root = -1};
  int rc = 0;
  if (access(to, F_OK) != 0) {
    raise_files();
    rc = open_layers(layers, n, from, id, why);
    if (rc == 0 && (ro_remove_tree(AT_FDCWD, fresh) < 0 || mkdir(fresh, 0700) != 0 || (m.root = open(fresh, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0))
      rc = ro_fail_errno(why, "cannot make %s", fresh);
    if (rc == 0 && (rc = merge_into(&m, from, id, why)) == 0 && rename(fresh, to) != 0)
      rc = ro_fail_errno(why, "cannot rename %s", fresh);
  }
  if (m.root >= 0)
    close(m.root);
  parts_close(from);
  free(from);
  return rc;
}
