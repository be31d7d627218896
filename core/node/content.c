/* Secrets and configs as files. They lie on a tmpfs of our own (run_dir/content, 0700): never on a disk, gone with the
 * machine's memory, written anew before each start. A container sees each file as a read-only bind mount. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "node/internal.h"

static char *content_dir(const struct bt_agent *agent) { return bt_path_join(agent->run_dir, "content"); }

static bool is_tmpfs(const char *path) {
  struct statfs st;
  return statfs(path, &st) == 0 && (st.f_type == TMPFS_MAGIC || st.f_type == RAMFS_MAGIC);
}

/* The tmpfs. */
static int prepare(struct bt_agent *agent, struct bt_err **err) {
  BT_AUTO_FREE char *dir = content_dir(agent);
  if (bt_mkdirs(dir, 0700, err) < 0)
    return -1;
  if (chmod(dir, 0700) < 0)
    return bt_err_errno(err, BT_IO, errno, "cannot set the mode of %s", dir);
  if (is_tmpfs(dir))
    return 0;
  if (mount("berth", dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700,size=64m") < 0)
    return bt_err_errno(err, BT_IO, errno,
                        "cannot mount a tmpfs on %s for secrets (run berthd as root, or make run_dir a tmpfs)", dir);
  return 0;
}

struct content_list {
  const char *kind;         /* member of the class */
  const char *default_dir;  /* of a target that is a bare name */
};
static const struct content_list lists[] = {{"secrets", "/run/secrets"}, {"configs", "/"}};

static char *file_path(const struct bt_inst *in, const char *kind, size_t i) {
  BT_AUTO_FREE char *dir = content_dir(in->agent);
  return bt_asprintf("%s/%s/%s-%zu", dir, in->id, kind, i);
}

/* In place where it is there already: a bind mount follows the inode. */
static int put_file(const char *path, const void *data, size_t len, const json_t *item, struct bt_err **err) {
  BT_AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0400);
  if (fd < 0)
    return bt_err_errno(err, BT_IO, errno, "cannot create %s", path);
  for (size_t off = 0; off < len;) {
    ssize_t n = write(fd, (const char *)data + off, len - off);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return bt_err_errno(err, BT_IO, errno, "cannot write %s", path);
    off += (size_t)n;
  }
  long long uid = 0, gid = 0;
  const char *u = bt_json_str(item, "uid"), *g = bt_json_str(item, "gid");
  if ((u && !bt_parse_i64(u, 0, UINT32_MAX - 1, &uid)) || (g && !bt_parse_i64(g, 0, UINT32_MAX - 1, &gid)))
    return bt_err_set(err, BT_INVALID, "%s: uid and gid must be numbers", bt_json_str_or(item, "source", "a secret"));
  const char *m = bt_json_str(item, "mode");
  mode_t mode = m ? (mode_t)strtoul(m, NULL, 8) & 07777 : 0444;
  if (fchown(fd, (uid_t)uid, (gid_t)gid) < 0 || fchmod(fd, mode) < 0)
    return bt_err_errno(err, BT_IO, errno, "cannot set owner and mode of %s", path);
  return 0;
}

static int write_list(struct bt_inst *in, const char *kind, struct bt_err **err) {
  size_t i;
  json_t *item;
  json_array_foreach(bt_json_arr(in->klass, kind), i, item) {
    void *data = NULL;
    size_t len = 0;
    const char *key = bt_json_str_or(item, "key", "");
    if (in->agent->o.content(in->agent->o.arg, bt_inst_of(in, "namespace"), key, &data, &len,
                             err) < 0)
      return bt_err_wrap(err, "%s", bt_json_str_or(item, "source", key));
    BT_AUTO_FREE char *path = file_path(in, kind, i);
    int rc = put_file(path, data, len, item, err);
    bt_wipe(data, len);
    free(data);
    if (rc < 0)
      return -1;
  }
  return 0;
}

static bool has_content(const struct bt_inst *in) {
  return json_array_size(bt_json_arr(in->klass, "secrets")) || json_array_size(bt_json_arr(in->klass, "configs"));
}

int bt_content_write(struct bt_inst *in, struct bt_err **err) {
  if (!has_content(in))
    return 0;
  if (prepare(in->agent, err) < 0)
    return -1;
  BT_AUTO_FREE char *dir = content_dir(in->agent);
  BT_AUTO_FREE char *own = bt_asprintf("%s/%s", dir, in->id);
  if (bt_mkdirs(own, 0700, err) < 0)
    return -1;
  for (size_t k = 0; k < BT_COUNT(lists); k++)
    if (write_list(in, lists[k].kind, err) < 0)
      return -1;
  return 0;
}

void bt_content_add_mounts(const struct bt_inst *in, json_t *mounts) {
  for (size_t k = 0; k < BT_COUNT(lists); k++) {
    size_t i;
    json_t *item;
    json_array_foreach(bt_json_arr(in->klass, lists[k].kind), i, item) {
      const char *target = bt_json_str_or(item, "target", bt_json_str_or(item, "source", "secret"));
      BT_AUTO_FREE char *full = bt_path_join(lists[k].default_dir, target);
      BT_AUTO_FREE char *path = file_path(in, lists[k].kind, i);
      json_t *m = json_object();
      bt_json_set_str(m, "type", "bind");
      bt_json_set_str(m, "source", path);
      bt_json_set_str(m, "target", full);
      bt_json_set_bool(m, "read_only", true);
      json_array_append_new(mounts, m);
    }
  }
}

static void remove_folder(const char *dir) {
  DIR *d = opendir(dir);
  if (!d)
    return;
  for (struct dirent *e; (e = readdir(d));)
    if (e->d_name[0] != '.')
      unlinkat(dirfd(d), e->d_name, 0);
  closedir(d);
  rmdir(dir);
}

void bt_content_remove(struct bt_agent *agent, const char *instance) {
  BT_AUTO_FREE char *dir = content_dir(agent);
  BT_AUTO_FREE char *own = bt_asprintf("%s/%s", dir, instance);
  remove_folder(own);
}

void bt_content_sweep(struct bt_agent *agent) {
  BT_AUTO_FREE char *dir = content_dir(agent);
  DIR *d = opendir(dir);
  if (!d)
    return;
  bool left = false;
  for (struct dirent *e; (e = readdir(d));) {
    if (e->d_name[0] == '.')
      continue;
    if (bt_map_get(agent->instances, e->d_name))
      left = true;
    else
      bt_content_remove(agent, e->d_name);
  }
  closedir(d);
  if (!left && agent->stopping && is_tmpfs(dir) && umount2(dir, UMOUNT_NOFOLLOW) == 0)
    rmdir(dir);
}
