/* monitor.json: what a monitor is to do for one container, written by the plug-in into the container's run folder. This header is
 * the place where its keys are described; unknown keys are ignored. Pure.
 *
 *  {"id": name of the container at the runtime,
 *   "bundle": folder with config.json (the run folder itself, as a rule),
 *   "runtime": ["/usr/bin/crun", further global options…],
 *   "runtime_root": the runtime's --root,
 *   "rootfs": {"lower": [folders, topmost first], "upper", "work", "target": where it is mounted,
 *              "copy": true: layers are copied into upper once (merge.h), and upper is bound to target; no work,
 *              "fuse": absolute path of fuse-overlayfs, which mounts them in place of the kernel (fuse.h),
 *              "idmap": {"uid", "gid", "count"}: the files' user 0 is that user of the machine, and so on (spec/idmap.h)},
 *   "network": {"mode": "new"|"none"|"host"|"path", "path": of a network namespace, "interfaces": [see net/link.h]},
 *   "log": {"path", "max_size": bytes of one file (0: no bound), "max_files": how many with the one being written} or null: none,
 *   "tty": bool, "stdin_open": bool,
 *   "cgroup": absolute path below the cgroup roots, as in config.json's linux.cgroupsPath; its last part is the id,
 *   "exit": path of exit.json,
 *   "mounts": [{"source","target","read_only"}]: what berth-copy mounts into the files of one that does not run,
 *   "propagation": "shared": mounts made in the container in a shared bind shall be seen by the host (see root.h),
 *  "sysctls": {"net.ipv4.ip_forward": "1"}: of a new network namespace,
 *  "make", "binds", "own", "copy_up": see struct ro_spec of ../spec/spec.h and ro_path_prepare of ../spec/path.h}
 *
 * exit.json: {"exit_code": 0-255 (128 + signal), "oom_killed": bool, "finished_at": RFC 3339, "error": "" or why it never ran,
 *   "code": of that error, "log_lost": lines that found no room on the disk (left out where 0)}. */
#ifndef RO_SPEC_H
#define RO_SPEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fail.h"

enum ro_net_mode { RO_NET_HOST, RO_NET_NONE, RO_NET_NEW, RO_NET_PATH };

/* All strings live as long as json. */
struct ro_monspec {
  json_t *json;
  const char *id, *bundle, *runtime_root, *cgroup, *exit;
  const char **runtime; /* nruntime, and a NULL behind */
  size_t nruntime;
  const char **lower; /* nlower, topmost first */
  size_t nlower;
  const char *upper, *work, *target;
  const char *fuse; /* NULL: the kernel's overlay, or a copy */
  bool copy;
  enum ro_net_mode net;
  const char *net_path;
  json_t *network; /* the whole object, for net/link.h */
  const char *log; /* NULL: none */
  int64_t log_max_size;
  int log_max_files;
  bool tty, stdin_open, shared;
};

/* Reads a file, or monitor.json of a folder. 0, or -1 with why it is no sound spec (naming the key). */
int ro_monspec_read(const char *path, struct ro_monspec *out, struct ro_fail *why);
void ro_monspec_free(struct ro_monspec *s);

#endif
