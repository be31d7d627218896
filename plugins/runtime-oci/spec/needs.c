/* What a translation needs to know of files and devices of this machine: found out first, then read. */
#include "config.h"
#include "parts.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { max_file = 1 << 20, max_nodes = 4096, max_levels = 8 };

static void need_device(json_t *out, const json_t *v) {
  const char *text = json_is_string(v) ? json_string_value(v) : pu_str_or(v, "source", "");
  if (*text == '/')
    json_array_append_new(out, json_stringn(text, json_is_string(v) ? strcspn(text, ":") : strlen(text)));
}

static void need_block_devices(json_t *out, const json_t *config) {
  const char *key;
  json_t *list, *v;
  size_t i;
  json_object_foreach((json_t *)(uintptr_t)config, key, list)
    json_array_foreach(list, i, v) {
      const char *path = pu_str(v, "Path") ? pu_str(v, "Path") : pu_str(v, "path");
      if (path)
        json_array_append_new(out, json_string(path));
    }
}

json_t *ro_spec_needs(const json_t *spec) {
  json_t *files = json_array(), *devices = json_array(), *v;
  const json_t *service = pu_obj(spec, "service");
  PU_AUTO_JSON opts = pu_strings(ro_member(service, "security_opt"));
  size_t i;
  json_array_foreach(opts, i, v) {
    const char *opt = json_string_value(v), *path = pu_starts(opt, "seccomp=") || pu_starts(opt, "seccomp:") ? opt + 8 : "";
    if (*path && !pu_eq(path, "unconfined") && !pu_eq(path, "builtin"))
      json_array_append_new(files, json_string(path));
  }
  json_array_foreach(json_object_get(service, "devices"), i, v)
    need_device(devices, v);
  need_block_devices(devices, pu_obj(service, "blkio_config"));
  if (pu_flag(service, "privileged", false))
    json_array_append_new(devices, json_string("/dev"));
  return json_pack("{s:o, s:o}", "files", files, "devices", devices);
}

/* ---------------------------------------------------------------- reading */

static json_t *file_text(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  struct stat st;
  json_t *out = NULL;
  if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= max_file) {
    PU_AUTO_FREE text = pu_calloc(1, (size_t)st.st_size + 1);
    ssize_t n = read(fd, text, (size_t)st.st_size);
    if (n >= 0)
      out = json_stringn(text, (size_t)n); /* NULL where it is no UTF-8 */
  }
  if (fd >= 0)
    close(fd);
  return out;
}

static json_t *node_of(const struct stat *st) {
  return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "type", S_ISBLK(st->st_mode) ? "b" : "c", "major", (json_int_t)major(st->st_rdev), "minor",
                   (json_int_t)minor(st->st_rdev), "mode", (json_int_t)(st->st_mode & 07777), "uid", (json_int_t)st->st_uid, "gid", (json_int_t)st->st_gid);
}

static bool is_node(const struct stat *st) { return S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode); }

static void walk(json_t *nodes, const char *path, int level) {
  DIR *dir = level < max_levels ? opendir(path) : NULL;
  struct dirent *e;
  struct stat st;
  while (dir && json_object_size(nodes) < max_nodes && (e = readdir(dir))) {
    if (pu_eq(e->d_name, ".") || pu_eq(e->d_name, "..") || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    PU_AUTO_FREE below = pu_asprintf("%s/%s", path, e->d_name);
    PU_AUTO_JSON key = pu_json_string(below);
    if (is_node(&st))
      json_object_set_new(nodes, json_string_value(key), node_of(&st));
    else if (S_ISDIR(st.st_mode) && !pu_eq(below, "/dev/pts") && !pu_eq(below, "/dev/shm") && !pu_eq(below, "/dev/mqueue"))
      walk(nodes, below, level + 1);
  }
  if (dir)
    closedir(dir);
}

static json_t *device(const char *path) {
  struct stat st;
  if (stat(path, &st) != 0)
    return NULL;
  if (is_node(&st))
    return node_of(&st);
  if (!S_ISDIR(st.st_mode) || !pu_starts(path, "/dev"))
    return NULL;
  json_t *nodes = json_object();
  walk(nodes, path, 0);
  return json_pack("{s:o}", "nodes", nodes);
}

json_t *ro_needs_read(const json_t *needs) {
  json_t *files = json_object(), *devices = json_object(), *v;
  size_t i;
  json_array_foreach(pu_arr(needs, "files"), i, v) {
    json_t *text = json_is_string(v) ? file_text(json_string_value(v)) : NULL;
    if (text)
      json_object_set_new(files, json_string_value(v), text);
  }
  json_array_foreach(pu_arr(needs, "devices"), i, v) {
    json_t *d = json_is_string(v) ? device(json_string_value(v)) : NULL;
    if (d)
      json_object_set_new(devices, json_string_value(v), d);
  }
  return json_pack("{s:o, s:o}", "files", files, "devices", devices);
}
