#include "config.h"
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../common/util.h"
#include "../spec/caps.h"
#include "../spec/user.h"
#include "files.h"

enum { max_config = 16 << 20, max_passwd = 1 << 20 };

static int not_running(const struct ro_monspec *s, struct ro_fail *why) {
  return ro_fail(why, "conflict", "container %s is not running", s->id);
}

int ro_inside_find(const char *run_dir, const struct ro_monspec *s, struct ro_monitor *m, struct ro_fail *why) {
  if (!ro_monitor_read(run_dir, m) || m->init <= 0)
    return not_running(s, why);
  int fd = ro_proc_open(m->init, m->init_started);
  if (fd < 0)
    return not_running(s, why);
  close(fd);
  return 0;
}

int ro_inside_mounts(const struct ro_monspec *s, const struct ro_monitor *m, struct ro_fail *why) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/ns/mnt", (long)m->pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || ro_proc_started(m->pid) != m->started) { /* what was opened is its own: it was there before and after */
    if (fd >= 0)
      close(fd);
    return ro_fail(why, "conflict", "the monitor of container %s is gone", s->id);
  }
  int rc = setns(fd, CLONE_NEWNS);
  close(fd);
  return rc < 0 ? ro_fail_errno(why, "cannot enter the mounts of container %s", s->id) : 0;
}

int ro_inside_root(const struct ro_monspec *s, const struct ro_monitor *m, struct ro_fail *why) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/root", (long)m->init);
  int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0 && ro_proc_started(m->init) == m->init_started)
    return fd;
  if (fd >= 0)
    close(fd);
  return not_running(s, why);
}

/* ---- the process ---- */

/* A file of the container, whose links lead nowhere else. */
static char *read_inside(int root, const char *path) {
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
  if (fd < 0)
    return NULL;
  char again[64];
  snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
  char *text = ro_read_file(AT_FDCWD, again, max_passwd, NULL);
  close(fd);
  return text;
}

static int set_user(json_t *process, int root, const char *user, struct ro_fail *why) {
  if (!user || !*user)
    return 0;
  PU_AUTO_FREE passwd = read_inside(root, "/etc/passwd");
  PU_AUTO_FREE group = read_inside(root, "/etc/group");
  PU_AUTO_FREE sad = NULL;
  struct ro_user u;
  if (!ro_user_find(user, NULL, passwd, group, &u, &sad))
    return ro_fail(why, "not_found", "%s", sad);
  json_t *groups = json_array();
  for (int i = 0; i < u.ngroups; i++)
    json_array_append_new(groups, json_integer(u.groups[i]));
  json_object_set_new(process, "user", json_pack("{s:I, s:I, s:o}", "uid", (json_int_t)u.uid, "gid", (json_int_t)u.gid, "additionalGids", groups));
  return 0;
}

static void set_variable(json_t *env, const char *name, size_t len, const char *whole) {
  size_t i;
  const json_t *v;
  json_array_foreach(env, i, v) {
    const char *old = json_string_value(v);
    if (old && strncmp(old, name, len) == 0 && old[len] == '=') {
      json_array_set_new(env, i, json_string(whole));
      return;
    }
  }
  json_array_append_new(env, json_string(whole));
}

static bool has_variable(const json_t *env, const char *prefix) {
  size_t i;
  const json_t *v;
  json_array_foreach(env, i, v)
    if (json_is_string(v) && pu_starts(json_string_value(v), prefix))
      return true;
  return false;
}

static void set_env(json_t *process, const json_t *more) {
  json_t *env = json_deep_copy(pu_arr(process, "env"));
  if (!env)
    env = json_array();
  const char *key;
  const json_t *v;
  size_t i;
  json_object_foreach((json_t *)(uintptr_t)more, key, v) {
    PU_AUTO_FREE whole = pu_asprintf("%s=%s", key, json_string_value(v) ? json_string_value(v) : "");
    set_variable(env, key, strlen(key), whole);
  }
  json_array_foreach(more, i, v) {
    const char *whole = json_string_value(v);
    if (whole)
      set_variable(env, whole, strcspn(whole, "="), whole);
  }
  json_object_set_new(process, "env", env);
}

/* Everything that we may give ourselves: asking the kernel for more would fail as a whole. */
static void set_privileged(json_t *process) {
  json_t *all = json_array();
  for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
    if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 && ro_cap_name(cap))
      json_array_append_new(all, json_string(ro_cap_name(cap)));
  json_object_set_new(process, "capabilities", json_pack("{s:O, s:O, s:O}", "bounding", all, "effective", all, "permitted", all));
  json_decref(all);
  json_object_set_new(process, "noNewPrivileges", json_false());
  json_object_del(process, "apparmorProfile");
  json_object_del(process, "selinuxLabel");
}

json_t *ro_inside_process(const struct ro_monspec *s, int root, const json_t *spec, struct ro_fail *why) {
  PU_AUTO_FREE path = pu_asprintf("%s/config.json", s->bundle);
  size_t len;
  PU_AUTO_FREE text = ro_read_file(AT_FDCWD, path, max_config, &len);
  PU_AUTO_JSON config = text ? pu_json_parse(text, len) : NULL;
  json_t *args = pu_arr(spec, "args");
  if (!pu_obj(config, "process") || !json_array_size(args)) {
    ro_fail(why, "invalid", !json_array_size(args) ? "nothing to run in container %s: args is empty" : "container %s has no readable config.json", s->id);
    return NULL;
  }
  json_t *process = json_deep_copy(pu_obj(config, "process"));
  bool tty = pu_bool(spec, "tty", false);
  json_object_set(process, "args", args);
  json_object_set_new(process, "terminal", json_boolean(tty));
  json_object_del(process, "consoleSize");
  if (tty && pu_int(spec, "rows", 0) > 0 && pu_int(spec, "cols", 0) > 0)
    json_object_set_new(process, "consoleSize", json_pack("{s:I, s:I}", "height", pu_int(spec, "rows", 0), "width", pu_int(spec, "cols", 0)));
  set_env(process, json_object_get(spec, "env"));
  if (tty && !has_variable(pu_arr(process, "env"), "TERM="))
    json_array_append_new(pu_arr(process, "env"), json_string("TERM=xterm"));
  const char *cwd = pu_str(spec, "cwd");
  if (cwd && *cwd)
    json_object_set_new(process, "cwd", json_string(cwd));
  if (pu_bool(spec, "privileged", false))
    set_privileged(process);
  if (set_user(process, root, pu_str(spec, "user"), why) == 0)
    return process;
  json_decref(process);
  return NULL;
}
