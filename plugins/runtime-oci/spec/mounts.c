/* Mounts: what every container has, then what the spec wants, each path once. Of what a container's own files could lead astray (a subpath of a
 * volume, another container's /dev/shm) only the place is named here: the monitor binds it safely (path.h) before the OCI runtime starts. */
#include "config.h"
#include "parts.h"

#include <stdio.h>

enum { max_depth = 8 };

/* ---------------------------------------------------------------- what is wanted */

/* Of an anonymous volume: follows from the container and the path. */
static char *anonymous_name(const char *id, const char *target) {
  uint64_t h = 14695981039346656037u;
  for (const char *p = target; *p; p++)
    h = (h ^ (unsigned char)*p) * 1099511628211u;
  return pu_asprintf("%.48s%016llx", id ? id : "", (unsigned long long)h);
}

static void want(json_t *wanted, const json_t *mount, const char *target, const char *id, bool read_only) {
  PU_AUTO_FREE clean = ro_clean(target);
  json_t *m = json_copy((json_t *)(uintptr_t)mount);
  const char *type = pu_str_or(m, "type", "volume"), *source = pu_str_or(m, "source", "");
  if (pu_eq(type, "volume") && !*source) {
    PU_AUTO_FREE name = anonymous_name(id, clean);
    json_object_set_new(m, "source", json_string(name));
    json_object_set_new(m, "anonymous", json_true());
  }
  json_object_set_new(m, "type", pu_json_string(type));
  if (read_only)
    json_object_set_new(m, "read_only", json_true());
  PU_AUTO_JSON key = pu_json_string(clean);
  json_object_set_new(wanted, json_string_value(key), m);
}

static void want_all(json_t *wanted, const struct ro_request *in, int depth);

/* "ID", "ID:ro": what it mounts of volumes and of the machine. */
static void want_from(json_t *wanted, const struct ro_request *in, const char *text, int depth) {
  size_t n = strcspn(text, ":");
  PU_AUTO_FREE id = pu_strndup(text, n);
  bool read_only = pu_starts(text + n, ":ro");
  const json_t *other = pu_obj(in->containers, id);
  PU_AUTO_JSON theirs = json_object();
  const char *target;
  json_t *m;
  if (!other || depth >= max_depth)
    return;
  want_all(theirs, &(struct ro_request){.id = id, .spec = pu_obj(other, "spec"), .image = pu_obj(other, "image"), .containers = in->containers}, depth + 1);
  json_object_foreach(theirs, target, m) {
    if (!pu_eq(pu_str(m, "type"), "tmpfs"))
      want(wanted, m, target, id, read_only);
    json_object_del(json_object_get(wanted, target), "anonymous"); /* the other's to remove */
  }
}

static void want_tmpfs(json_t *wanted, const char *text) {
  PU_AUTO_FREE path = pu_strdup(text);
  char *colon = strchr(path, ':');
  if (colon)
    *colon = '\0';
  PU_AUTO_JSON m = json_pack("{s:s, s:o}", "type", "tmpfs", "options", pu_json_string(colon ? colon + 1 : ""));
  want(wanted, m, path, NULL, false);
}

/* Later ones take the place of earlier ones; the image's own volumes stand where nothing else does. */
static void want_all(json_t *wanted, const struct ro_request *in, int depth) {
  PU_AUTO_JSON from = pu_strings(ro_member(in->spec, "volumes_from"));
  PU_AUTO_JSON tmpfs = pu_strings(ro_member(pu_obj(in->spec, "service"), "tmpfs"));
  const json_t *inner = pu_obj(in->image, "config") ? pu_obj(in->image, "config") : in->image;
  size_t i;
  json_t *v;
  const char *path;
  json_array_foreach(from, i, v)
    want_from(wanted, in, json_string_value(v), depth);
  json_array_foreach(pu_arr(in->spec, "mounts"), i, v)
    want(wanted, v, pu_str_or(v, "target", ""), in->id, false);
  json_array_foreach(tmpfs, i, v)
    want_tmpfs(wanted, json_string_value(v));
  json_object_foreach(pu_obj(inner, "Volumes"), path, v) {
    PU_AUTO_FREE clean = ro_clean(path);
    PU_AUTO_JSON volume = json_pack("{s:s}", "type", "volume");
    if (!json_object_get(wanted, clean))
      want(wanted, volume, clean, in->id, false);
  }
}

static void volumes_of(json_t *out, const json_t *wanted) {
  const char *target;
  json_t *m;
  json_object_foreach((json_t *)(uintptr_t)wanted, target, m)
    if (pu_eq(pu_str(m, "type"), "volume"))
      json_array_append_new(out, json_pack("{s:s, s:b}", "name", pu_str_or(m, "source", ""), "anonymous", (int)pu_bool(m, "anonymous", false)));
}

/* ---------------------------------------------------------------- what every container has */

static void put(struct ro_spec *s, const char *destination, const char *type, const char *source, const char *options) {
  json_t *list = json_array();
  PU_AUTO_FREE words = pu_strdup(options);
  char *save = NULL;
  for (char *w = strtok_r(words, ",", &save); w; w = strtok_r(NULL, ",", &save))
    json_array_append_new(list, pu_json_string(w));
  json_array_append_new(s->mounts, json_pack("{s:o, s:s, s:o, s:o}", "destination", pu_json_string(destination), "type", type, "source", pu_json_string(source),
                                             "options", list));
}

/* A place below the bundle that the monitor binds something to before the start. The caller frees. */
static char *bound_place(struct ro_spec *s, json_t *bind) {
  json_t *binds = json_object_get(s->monitor, "binds");
  if (!binds)
    json_object_set_new(s->monitor, "binds", binds = json_array());
  char *target = pu_asprintf("%s/mnt/%zu", s->in->bundle ? s->in->bundle : "", json_array_size(binds));
  json_object_set_new(bind, "target", pu_json_string(target));
  json_array_append_new(binds, bind);
  return target;
}

static void shared_memory(struct ro_spec *s) {
  const char *ipc = pu_str(s->in->spec, "ipc");
  int64_t size = s->choices->shm_size ? s->choices->shm_size : 64 << 20, asked = 0;
  if (ro_size(s, s->service, "shm_size", &asked) && asked > 0)
    size = asked;
  else if (asked < 0)
    ro_error(s, BERTH_INVALID, "shm_size: %lld is no size", (long long)asked);
  if (s->host_ipc) {
    put(s, "/dev/shm", "bind", "/dev/shm", "rbind,rw,rprivate");
  } else if (pu_starts(ipc, "container:")) {
    json_int_t pid = (json_int_t)pu_int(ro_other(s, "ipc", ipc), "pid", 0);
    PU_AUTO_FREE place = bound_place(s, json_pack("{s:I, s:s}", "pid", pid, "path", "/dev/shm"));
    put(s, "/dev/shm", "bind", place, "rbind,rw,rprivate");
  } else {
    PU_AUTO_FREE options = pu_asprintf("nosuid,noexec,nodev,mode=1777,size=%lld", (long long)size);
    put(s, "/dev/shm", "tmpfs", "shm", options);
  }
}

/* Whoever lives in mapped users cannot mount the /sys of a network namespace that is not theirs: they see the machine's, read-only. */
static void usual_mounts(struct ro_spec *s) {
  const char *rw = s->privileged ? "rw" : "ro";
  PU_AUTO_FREE sys = pu_asprintf("nosuid,noexec,nodev,%s", rw);
  put(s, "/proc", "proc", "proc", "nosuid,noexec,nodev");
  put(s, "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k");
  put(s, "/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5");
  put(s, "/sys", s->userns ? "bind" : "sysfs", s->userns ? "/sys" : "sysfs", s->userns ? "rbind,nosuid,noexec,nodev,ro" : sys);
  put(s, "/sys/fs/cgroup", "cgroup", "cgroup", sys);
  put(s, "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"); /* of whichever ipc namespace it is in */
  shared_memory(s);
}

/* The texts of files.c stand in the container's own folder, or in that of the container whose network it shares. */
static void name_files(struct ro_spec *s) {
  static const char *const names[] = {"resolv.conf", "hostname", "hosts"};
  const char *mode = pu_str(s->in->spec, "network_mode");
  const char *dir = pu_starts(mode, "container:") ? pu_str(ro_other(s, "network_mode", mode), "dir") : s->in->dir;
  for (size_t i = 0; dir && i < PU_COUNT(names); i++) {
    PU_AUTO_FREE source = pu_asprintf("%s/%s", dir, names[i]);
    PU_AUTO_FREE target = pu_asprintf("/etc/%s", names[i]);
    put(s, target, "bind", source, "rbind,rw,rprivate");
  }
}

/* ---------------------------------------------------------------- those of the spec */

static bool word_among(const char *word, size_t n, const char *const *list, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (strlen(list[i]) == n && memcmp(list[i], word, n) == 0)
      return true;
  return false;
}

/* "size=64m,mode=1777,exec" over what a tmpfs has by default. The caller frees; NULL with an error where a word is not known. */
static char *tmpfs_options(struct ro_spec *s, const char *target, const char *text) {
  static const char *const plain[] = {"ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "sync", "async", "atime", "noatime", "diratime",
                                      "nodiratime", "relatime", "norelatime", "strictatime", "nostrictatime", "dirsync", "mand", "nomand"};
  static const char *const valued[] = {"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "huge"};
  static const char *const passed[] = {"defaults", "tmpcopyup", "notmpcopyup"};
  struct pu_buf out = {0};
  pu_buf_adds(&out, "nosuid,nodev,noexec");
  for (const char *p = text; *p;) {
    size_t n = strcspn(p, ","), name = strcspn(p, "=");
    bool value = name < n;
    if (n && !(value ? word_among(p, name, valued, PU_COUNT(valued)) : word_among(p, n, plain, PU_COUNT(plain)) || word_among(p, n, passed, 1))) {
      ro_error(s, BERTH_INVALID, "tmpfs: %s: \"%.*s\" is no option of a tmpfs; size=64m, mode=1777, uid=, gid=, exec are some", target, (int)(n > 100 ? 100 : n), p);
      pu_buf_free(&out);
      return NULL;
    }
    if (n && !(n == 8 && strncmp(p, "defaults", 8) == 0)) {
      pu_buf_addc(&out, ',');
      pu_buf_add(&out, p, n);
    }
    p += n + (p[n] == ',');
  }
  return pu_buf_steal(&out);
}

static void tmpfs_add(struct ro_spec *s, const json_t *m, const char *target) {
  const json_t *mode = json_object_get(m, "tmpfs_mode");
  PU_AUTO_BUF text = {0};
  pu_buf_adds(&text, pu_str_or(m, "options", ""));
  if (pu_number(m, "tmpfs_size", 0) > 0)
    pu_buf_addf(&text, "%ssize=%lld", text.len ? "," : "", (long long)pu_number(m, "tmpfs_size", 0));
  if (json_is_string(mode) || json_is_integer(mode))
    pu_buf_addf(&text, "%smode=%lo", text.len ? "," : "", (json_is_string(mode) ? strtol(json_string_value(mode), NULL, 8) : (long)json_integer_value(mode)) & 07777);
  if (pu_flag(m, "read_only", false))
    pu_buf_addf(&text, "%sro", text.len ? "," : "");
  PU_AUTO_FREE options = tmpfs_options(s, target, text.data);
  if (options)
    put(s, target, "tmpfs", "tmpfs", options);
}

/* The options of a bind; a propagation other than private asks something of the monitor's mounts as well. The caller frees. */
static char *bind_options(struct ro_spec *s, const json_t *m, const char *target) {
  static const char *const kinds[] = {"private", "rprivate", "shared", "rshared", "slave", "rslave"};
  const char *propagation = pu_str_or(m, "propagation", "rprivate");
  if (!*propagation)
    propagation = "rprivate";
  if (!word_among(propagation, strlen(propagation), kinds, PU_COUNT(kinds)))
    ro_error(s, BERTH_INVALID, "volumes: %s: propagation \"%s\" is none of private, rprivate, shared, rshared, slave, rslave", target, propagation);
  if (strstr(propagation, "shared")) {
    json_object_set_new(s->monitor, "propagation", json_string("shared"));
    json_object_set_new(s->linux_part, "rootfsPropagation", json_string("shared"));
  } else if (strstr(propagation, "slave") && !json_object_get(s->linux_part, "rootfsPropagation")) {
    json_object_set_new(s->linux_part, "rootfsPropagation", json_string("rslave"));
  }
  return pu_asprintf("rbind,%s,%s", pu_flag(m, "read_only", false) ? "ro" : "rw", propagation);
}

/* Where there is no SELinux there is nothing to relabel; where there is, files get no other label behind people's backs. */
static void bind_label(struct ro_spec *s, const json_t *m, const char *source) {
  const char *label = pu_str(m, "selinux");
  if (!label || !*label)
    return;
  if (s->facts->has & RO_HAS_SELINUX)
    ro_error(s, BERTH_UNSUPPORTED, "volumes: %s: runtime-oci relabels no files (selinux: %s); run chcon -R -t container_file_t on it and leave selinux out", source, label);
  else
    ro_warn(s, "volumes: %s: selinux: %s has no effect, this kernel has no SELinux", source, label);
}

static void bind_add(struct ro_spec *s, const json_t *m, const char *target) {
  const char *source = pu_str_or(m, "source", "");
  if (*source != '/') {
    ro_error(s, BERTH_INVALID, "volumes: the bind mount on %s lacks an absolute source", target);
    return;
  }
  if (pu_flag(m, "create_host_path", false)) {
    json_t *make = json_object_get(s->monitor, "make");
    if (!make)
      json_object_set_new(s->monitor, "make", make = json_array());
    json_array_append_new(make, pu_json_string(source));
  }
  bind_label(s, m, source);
  PU_AUTO_FREE options = bind_options(s, m, target);
  put(s, target, "bind", source, options);
}

static bool volume_name_sound(const char *name) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
  size_t n = strlen(name);
  return n > 0 && n <= 255 && *name != '.' && *name != '-' && strspn(name, letters) == n;
}

/* An empty volume of nobody's belongs to the container's own root, or it could write nothing there. */
static void own_add(struct ro_spec *s, const char *root) {
  json_t *own = json_object_get(s->monitor, "own");
  if (!own)
    json_object_set_new(s->monitor, "own", own = json_array());
  json_array_append_new(own, json_pack("{s:s, s:I, s:I}", "path", root, "uid", (json_int_t)s->choices->map_uid, "gid", (json_int_t)s->choices->map_gid));
}

/* The image's files go into an empty volume, unless it is nocopy or a part of it is mounted. */
static void volume_add(struct ro_spec *s, const json_t *m, const char *target) {
  const char *name = pu_str_or(m, "source", ""), *subpath = pu_str_or(m, "subpath", ""), *elsewhere = pu_str(s->in->volumes, name);
  PU_AUTO_FREE place = NULL;
  if (!volume_name_sound(name)) {
    ro_error(s, BERTH_INVALID, "volumes: \"%.200s\" on %s is no name of a volume: letters, digits, _, . and -", name, target);
    return;
  }
  PU_AUTO_FREE root = elsewhere ? pu_strdup(elsewhere) : pu_asprintf("%s/%s/_data", s->choices->volumes ? s->choices->volumes : "", name);
  if (*subpath == '/' || pu_eq(subpath, "..") || pu_starts(subpath, "../") || strstr(subpath, "/../") || (strlen(subpath) > 3 && pu_eq(subpath + strlen(subpath) - 3, "/.."))) {
    ro_error(s, BERTH_INVALID, "volumes: %s: the subpath \"%.200s\" leads out of the volume; write it relative, without ..", name, subpath);
    return;
  }
  if (*subpath)
    place = bound_place(s, json_pack("{s:s, s:o}", "root", root, "path", pu_json_string(subpath)));
  PU_AUTO_FREE options = bind_options(s, m, target);
  put(s, target, "bind", place ? place : root, options);
  if (s->userns)
    own_add(s, root);
  if (*subpath || pu_flag(m, "nocopy", false))
    return;
  json_t *copies = json_object_get(s->monitor, "copy_up");
  if (!copies)
    json_object_set_new(s->monitor, "copy_up", copies = json_array());
  json_array_append_new(copies, json_pack("{s:o, s:s}", "source", pu_json_string(target), "target", root));
}

/* lxcfs puts these there; anything else in /proc would blind the OCI runtime's own looks at it. */
static bool proc_allowed(const char *target) {
  static const char *const files[] = {"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime", "/proc/loadavg",
                                      "/proc/slabinfo", "/proc/net/dev"};
  return !ro_below(target, "/proc") || word_among(target, strlen(target), files, PU_COUNT(files));
}

static void mount_add(struct ro_spec *s, const json_t *m, const char *target) {
  const char *type = pu_str_or(m, "type", "");
  if (pu_eq(target, "/") || strlen(target) > RO_MAX_PATH)
    ro_error(s, BERTH_INVALID, "volumes: a %s mount lacks a target below /", type);
  else if (!proc_allowed(target))
    ro_error(s, BERTH_INVALID, "volumes: nothing can be mounted on %s: /proc is the kernel's", target);
  else if (pu_eq(type, "bind"))
    bind_add(s, m, target);
  else if (pu_eq(type, "volume"))
    volume_add(s, m, target);
  else if (pu_eq(type, "tmpfs"))
    tmpfs_add(s, m, target);
  else
    ro_error(s, BERTH_UNSUPPORTED, "volumes: %s: mounts of type %.50s are not supported: use volume, bind or tmpfs", target, type);
}

static int depth_of(const char *path) {
  int n = 0;
  for (; *path; path++)
    n += *path == '/';
  return n;
}

/* Usual ones whose place the spec wants go; the rest comes in order of depth, so that nothing hides what is below it. */
static void order(struct ro_spec *s, const json_t *wanted, size_t usual) {
  json_t *out = json_array(), *m;
  size_t i;
  int depth = 0, deepest = 0;
  json_array_foreach(s->mounts, i, m) {
    if (i < usual && json_object_get(wanted, pu_str(m, "destination")))
      continue;
    int d = depth_of(pu_str(m, "destination"));
    deepest = d > deepest ? d : deepest;
    if (i < usual)
      json_array_append(out, m);
  }
  for (; depth <= deepest; depth++)
    json_array_foreach(s->mounts, i, m)
      if (i >= usual && depth_of(pu_str(m, "destination")) == depth)
        json_array_append(out, m);
  json_object_set_new(s->config, "mounts", out);
}

void ro_spec_mounts(struct ro_spec *s) {
  PU_AUTO_JSON wanted = json_object();
  PU_AUTO_JSON init = s->mounts; /* what the process put there */
  PU_AUTO_JSON from = pu_strings(ro_member(s->in->spec, "volumes_from"));
  const char *target;
  json_t *m;
  size_t i;
  s->mounts = json_array();
  json_array_foreach(from, i, m) {
    PU_AUTO_FREE id = pu_strndup(json_string_value(m), strcspn(json_string_value(m), ":"));
    ro_other(s, "volumes_from", id);
  }
  want_all(wanted, s->in, 0);
  volumes_of(s->volumes, wanted);
  usual_mounts(s);
  name_files(s);
  size_t usual = json_array_size(s->mounts);
  json_array_extend(s->mounts, init);
  json_object_foreach(wanted, target, m)
    mount_add(s, m, target);
  order(s, wanted, usual);
}
