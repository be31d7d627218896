/* Mounts of volumes, as Docker's local driver makes them: type, o, device. */
#include "config.h"
#include "volumes.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/util.h"
#include "files.h"

static const struct {
  const char *word;
  unsigned long flag;
  bool clear;
} words[] = {{"ro", MS_RDONLY, false},        {"rw", MS_RDONLY, true},     {"nosuid", MS_NOSUID, false}, {"suid", MS_NOSUID, true},
             {"nodev", MS_NODEV, false},      {"dev", MS_NODEV, true},     {"noexec", MS_NOEXEC, false}, {"exec", MS_NOEXEC, true},
             {"sync", MS_SYNCHRONOUS, false}, {"async", MS_SYNCHRONOUS, true}, {"dirsync", MS_DIRSYNC, false}, {"noatime", MS_NOATIME, false},
             {"nodiratime", MS_NODIRATIME, false}, {"relatime", MS_RELATIME, false}, {"strictatime", MS_STRICTATIME, false},
             {"bind", MS_BIND, false},        {"rbind", MS_BIND | MS_REC, false}, {"defaults", 0, false}};

/* The parts of a mount's options as mount(8) has them: flags, and what is left for the file system (the caller frees). */
static unsigned long mount_options(const char *options, char **data) {
  PU_AUTO_FREE copy = pu_strdup(options ? options : "");
  PU_AUTO_BUF rest = {0};
  unsigned long flags = 0;
  char *save = NULL;
  for (char *word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
    size_t i = 0;
    while (i < PU_COUNT(words) && strcmp(words[i].word, word) != 0)
      i++;
    if (i == PU_COUNT(words))
      pu_buf_addf(&rest, "%s%s", rest.len ? "," : "", word);
    else if (words[i].clear)
      flags &= ~words[i].flag;
    else
      flags |= words[i].flag;
  }
  *data = pu_buf_steal(&rest);
  return flags;
}

/* The kernel's NFS and CIFS want an address where people write a name: addr=HOST. */
static char *resolve_address(const char *data, char **why) {
  const char *at = strncmp(data, "addr=", 5) == 0 ? data : strstr(data, ",addr=");
  if (!at)
    return pu_strdup(data);
  at = strchr(at, '=') + 1;
  size_t n = strcspn(at, ",");
  PU_AUTO_FREE name = pu_strndup(at, n);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
  char address[256];
  int rc = getaddrinfo(name, NULL, &hints, &list);
  if (!rc)
    rc = getnameinfo(list->ai_addr, list->ai_addrlen, address, sizeof address, NULL, 0, NI_NUMERICHOST);
  if (list)
    freeaddrinfo(list);
  if (rc) {
    *why = pu_asprintf("driver_opts: o: addr=%s: %s", name, gai_strerror(rc));
    return NULL;
  }
  return pu_asprintf("%.*s%s%s", (int)(at - data), data, address, at + n);
}

static bool is_mounted(const char *path) {
  PU_AUTO_FREE above = pu_asprintf("%s/..", path);
  struct stat here, there;
  return stat(path, &here) == 0 && stat(above, &there) == 0 && here.st_dev != there.st_dev;
}

/* A bind of the same file system has the device of what is above it: the table of mounts knows. */
static bool in_mountinfo(const char *path) {
  FILE *f = fopen("/proc/self/mountinfo", "re");
  char line[8192], point[4096];
  bool found = false;
  while (f && !found && fgets(line, sizeof line, f))
    found = sscanf(line, "%*d %*d %*s %*s %4095s", point) == 1 && strcmp(point, path) == 0;
  if (f)
    fclose(f);
  return found;
}

static pthread_mutex_t mounting = PTHREAD_MUTEX_INITIALIZER; /* two containers of one volume start at once */

static bool mount_it(const char *path, const json_t *opts, char **why) {
  const char *type = pu_str_or(opts, "type", ""), *device = pu_str_or(opts, "device", "");
  PU_AUTO_FREE data = NULL;
  unsigned long flags = mount_options(pu_str(opts, "o"), &data);
  if ((flags & MS_BIND) && access(device, F_OK) != 0) {
    *why = pu_asprintf("driver_opts: device: %s: %s", device, strerror(errno));
    return false;
  }
  bool remote = pu_starts(type, "nfs") || pu_eq(type, "cifs") || pu_eq(type, "smb3");
  PU_AUTO_FREE final = remote ? resolve_address(data, why) : pu_strdup(data);
  if (!final)
    return false;
  if (mount(device, path, *type ? type : NULL, flags, *final ? final : NULL) == 0 &&
      (!(flags & MS_BIND) || !(flags & ~(unsigned long)(MS_BIND | MS_REC)) || mount(NULL, path, NULL, flags | MS_REMOUNT, NULL) == 0))
    return true;
  *why = pu_asprintf("driver_opts: mounting %s of type %s: %s", device, *type ? type : "(none)", strerror(errno));
  return false;
}

bool ro_volume_mount(const char *root, const char *name, const json_t *opts, char **why) {
  if (!pu_str(opts, "type") && !pu_str(opts, "device"))
    return true;
  PU_AUTO_FREE path = pu_asprintf("%s/volumes/%s/_data", root, name);
  pthread_mutex_lock(&mounting);
  PU_AUTO_FREE inner = NULL;
  bool good = is_mounted(path) || in_mountinfo(path) || mount_it(path, opts, &inner);
  pthread_mutex_unlock(&mounting);
  if (!good)
    *why = pu_asprintf("volume %s: %s", name, inner);
  return good;
}

void ro_volume_unmount(const char *root, const char *name) {
  PU_AUTO_FREE path = pu_asprintf("%s/volumes/%s/_data", root, name);
  pthread_mutex_lock(&mounting);
  while ((is_mounted(path) || in_mountinfo(path)) && umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  pthread_mutex_unlock(&mounting);
}

/* ---------------------------------------------------------------- folders and records */

bool ro_volume_name(const char *name) {
  static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  static const char more[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
  size_t n = name ? strlen(name) : 0;
  return n > 0 && n < 256 && strchr(first, *name) && strspn(name, more) == n;
}

bool ro_volume_make(const char *root, const char *name, const json_t *record, char **why) {
  PU_AUTO_FREE data = pu_asprintf("%s/volumes/%s/_data", root, name);
  PU_AUTO_FREE path = pu_asprintf("%s/volumes/%s/volume.json", root, name);
  return ro_dir_make(data, 0755, why) && ro_file_write_json(path, record, 0600, true, why);
}

bool ro_volume_delete(const char *root, const char *name, char **why) {
  PU_AUTO_FREE dir = pu_asprintf("%s/volumes/%s", root, name);
  PU_AUTO_FREE record = pu_asprintf("%s/volume.json", dir);
  ro_volume_unmount(root, name);
  if (unlink(record) != 0 && errno != ENOENT) {
    *why = pu_asprintf("%s: %s", record, strerror(errno));
    return false;
  }
  return ro_tree_remove(dir, why);
}
