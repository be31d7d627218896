/* For tests that run what the translation makes: a root file system of busybox, a bundle, and the real OCI runtime (crun, or what $OCI_RUNTIME
 * names) in a mount and a network namespace of their own. Nothing stays behind: the namespaces end with the runtime, folders and control groups
 * are removed by run_end. */
#ifndef TESTS_OCI_RUN_H
#define TESTS_OCI_RUN_H

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../plugins/runtime-oci/spec/parts.h"
#include "../unit/tap.h"

struct run {
  char dir[64], parent[64]; /* folder of all; parent of its control groups */
  const char *runtime;
  struct ro_facts facts;
  struct ro_choices choices;
  int n;                    /* containers so far */
  const char *passwd, *group;
  json_t *image, *volumes;
  int (*before)(const struct ro_spec *s); /* in the namespaces, before the runtime; 0: go on */
};

struct ran {
  int code;     /* exit code; -1: it was not translated, or went on too long */
  char *out;    /* what it and the runtime printed */
  char *warnings;
  enum berth_code refused;
};

static inline void ran_free(struct ran *r) {
  free(r->out);
  free(r->warnings);
  *r = (struct ran){0};
}
#define RAN __attribute__((cleanup(ran_free))) struct ran

static inline void write_text(const char *path, const char *text) {
  FILE *f = fopen(path, "we");
  if (f) {
    fputs(text ? text : "", f);
    fclose(f);
  }
}

static inline char *read_all(int fd, int64_t timeout_ms) {
  struct pu_buf out = {0};
  char piece[4096];
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  int64_t end = t.tv_sec * 1000 + t.tv_nsec / 1000000 + timeout_ms;
  for (ssize_t n = 1; n > 0;) {
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t left = end - (t.tv_sec * 1000 + t.tv_nsec / 1000000);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (left <= 0 || poll(&p, 1, (int)left) <= 0)
      break;
    n = read(fd, piece, sizeof piece);
    if (n > 0 && out.len < 1 << 20)
      pu_buf_add(&out, piece, (size_t)n);
  }
  return pu_buf_steal(&out);
}

/* Why nothing can be run here; NULL: it can. */
static inline const char *run_cannot(const char *runtime) {
  static char why[200];
  if (geteuid() != 0)
    return "containers need root";
  snprintf(why, sizeof why, "%s is not installed", runtime);
  if (access(runtime, X_OK) != 0)
    return why;
  if (access("/bin/busybox", X_OK) != 0 && access("/usr/bin/busybox", X_OK) != 0)
    return "busybox is not installed";
  pid_t pid = fork();
  if (pid == 0)
    _exit(unshare(CLONE_NEWNS | CLONE_NEWNET) == 0 ? 0 : 1);
  int status;
  waitpid(pid, &status, 0);
  return status ? "this machine gives no mount and network namespaces" : NULL;
}

static inline void run_rootfs(const char *dir, const char *name) {
  static const char *const applets[] = {"sh",   "cat",   "ls",    "mount",  "umount", "unshare", "id",    "sleep", "stat", "hostname", "touch", "mkdir", "grep", "sed",
                                        "echo", "chroot", "true", "false", "tr",     "sort",    "mknod", "dd",    "head", "readlink", "wc",   "pwd",   "ln",   "env",
                                        "df",   "nc",    "ip",    "ping",   "kill",   "test",    "chmod", "rm",    "cp",   "setsid",   "awk",  "printf"};
  static const char *const dirs[] = {"bin", "etc", "proc", "sys", "dev", "tmp", "root", "data"};
  PU_AUTO_FREE root = pu_asprintf("%s/%s", dir, name);
  mkdir(root, 0755);
  for (size_t i = 0; i < PU_COUNT(dirs); i++) {
    PU_AUTO_FREE path = pu_asprintf("%s/%s", root, dirs[i]);
    mkdir(path, 0755);
  }
  PU_AUTO_FREE copy = pu_asprintf("cp $(command -v busybox) %s/bin/busybox && chmod 1777 %s/tmp", root, root);
  if (system(copy) != 0)
    printf("# busybox could not be copied\n");
  PU_AUTO_FREE passwd = pu_asprintf("%s/etc/passwd", root);
  write_text(passwd, "root:x:0:0::/root:/bin/sh\n");
  for (size_t i = 0; i < PU_COUNT(applets); i++) {
    PU_AUTO_FREE path = pu_asprintf("%s/bin/%s", root, applets[i]);
    if (symlink("busybox", path) != 0 && errno != EEXIST)
      printf("# %s: %s\n", path, strerror(errno));
  }
}

static inline void run_begin(struct run *r, const char *runtime) {
  *r = (struct run){.runtime = runtime};
  snprintf(r->dir, sizeof r->dir, "/tmp/berth-ocirun-XXXXXX");
  if (!mkdtemp(r->dir))
    abort();
  snprintf(r->parent, sizeof r->parent, "/berthocirun%d", (int)getpid());
  ro_facts_read(&r->facts);
  PU_AUTO_FREE volumes = pu_asprintf("%s/volumes", r->dir);
  mkdir(volumes, 0755);
  r->choices = (struct ro_choices){.cgroup_parent = r->parent, .volumes = pu_strdup(volumes)};
  run_rootfs(r->dir, "rootfs");
}

static inline int run_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st;
  (void)type;
  (void)ftw;
  return remove(path), 0;
}

/* Control groups below the parent, deepest first, in every hierarchy. */
static inline int run_rmdir_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st;
  (void)ftw;
  return type == FTW_DP ? rmdir(path), 0 : 0;
}

static inline void run_end(struct run *r) {
  glob_t g = {0};
  PU_AUTO_FREE v1 = pu_asprintf("/sys/fs/cgroup/*%s", r->parent);
  PU_AUTO_FREE v2 = pu_asprintf("/sys/fs/cgroup%s", r->parent);
  glob(v1, 0, NULL, &g);
  for (size_t i = 0; i < g.gl_pathc; i++)
    nftw(g.gl_pathv[i], run_rmdir_one, 16, FTW_DEPTH | FTW_PHYS);
  globfree(&g);
  nftw(v2, run_rmdir_one, 16, FTW_DEPTH | FTW_PHYS);
  nftw(r->dir, run_remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
  free((char *)(uintptr_t)r->choices.volumes);
  json_decref(r->choices.runtimes ? (json_t *)(uintptr_t)r->choices.runtimes : NULL);
  json_decref(r->image);
  json_decref(r->volumes);
  ro_facts_free(&r->facts);
}

/* In the child: namespaces of its own, what the monitor would do, then the runtime in its place. */
static inline void run_child(const struct run *r, const struct ro_spec *s, const char *bundle, const char *id) {
  PU_AUTO_FREE netns = pu_asprintf("%s/netns", bundle);
  PU_AUTO_FREE root = pu_asprintf("%s/run", r->dir);
  PU_AUTO_FREE config = pu_asprintf("%s/config.json", bundle);
  json_t *space;
  size_t i;
  int back = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  write_text(netns, "");
  if (unshare(CLONE_NEWNS | CLONE_NEWNET) != 0 || mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) != 0 ||
      mount("/proc/self/ns/net", netns, NULL, MS_BIND, NULL) != 0 || setns(back, CLONE_NEWNET) != 0)
    _exit(120);
  /* crun before 1.9 refuses the hybrid layout; covered, since below the mount is the machine's own tmpfs, where crun would leave folders */
  if (access("/sys/fs/cgroup/unified", F_OK) == 0 && mount("none", "/sys/fs/cgroup/unified", "tmpfs", 0, NULL) != 0)
    _exit(124);
  json_array_foreach(json_object_get(s->linux_part, "namespaces"), i, space)
    if (pu_eq(pu_str(space, "path"), RO_NETNS))
      json_object_set_new(space, "path", json_string(netns));
  PU_AUTO_FREE text = json_dumps(s->config, JSON_INDENT(1));
  write_text(config, text);
  if (r->before && r->before(s) != 0)
    _exit(122);
  execl(r->runtime, r->runtime, "--root", root, "run", "--bundle", bundle, id, (char *)NULL);
  _exit(123);
}

/* Translates the spec and runs it to its end, 20 s at most. */
static inline struct ran run_spec(struct run *r, const char *text) {
  struct ran out = {.code = -1};
  PU_AUTO_JSON spec = pu_json_parse(text, strlen(text));
  if (!spec)
    printf("# the test's own JSON is wrong: %s\n", text);
  PU_AUTO_FREE id = pu_asprintf("%08xc%055d", (unsigned)getpid(), r->n++);
  PU_AUTO_FREE bundle = pu_asprintf("%s/%d", r->dir, r->n);
  PU_AUTO_FREE rootfs = pu_asprintf("%s/rootfs", r->dir);
  PU_AUTO_JSON needs = ro_spec_needs(spec);
  PU_AUTO_JSON found = ro_needs_read(needs);
  struct ro_spec s;
  mkdir(bundle, 0755);
  struct ro_request in = {.facts = &r->facts, .choices = &r->choices, .id = id, .spec = spec, .image = r->image, .passwd = r->passwd, .group = r->group, .found = found,
                          .volumes = r->volumes, .dir = bundle, .bundle = bundle, .rootfs = rootfs};
  if (!ro_spec_translate(&in, &s)) {
    out.out = pu_strdup(s.why);
    out.refused = s.code;
    ro_spec_free(&s);
    return out;
  }
  static const char *const names[] = {"hosts", "hostname", "resolv.conf"};
  const char *const texts[] = {s.hosts, s.hostname, s.resolv};
  for (size_t i = 0; i < 3; i++) {
    PU_AUTO_FREE path = pu_asprintf("%s/%s", bundle, names[i]);
    write_text(path, texts[i]);
  }
  out.warnings = pu_json_text(s.warnings);
  int pipes[2], status = 0;
  if (pipe2(pipes, O_CLOEXEC) != 0)
    abort();
  pid_t pid = fork();
  if (pid == 0) {
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(null, 0);
    dup2(pipes[1], 1);
    dup2(pipes[1], 2);
    run_child(r, &s, bundle, id);
  }
  close(pipes[1]);
  out.out = read_all(pipes[0], 20000);
  close(pipes[0]);
  if (waitpid(pid, &status, WNOHANG) == 0) {
    usleep(200000); /* its output ended first */
    if (waitpid(pid, &status, WNOHANG) == 0) {
      PU_AUTO_FREE stop = pu_asprintf("%s --root %s/run delete --force %s >/dev/null 2>&1", r->runtime, r->dir, id);
      status = system(stop);
      kill(pid, SIGKILL);
      waitpid(pid, &status, 0);
    }
  }
  out.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  ro_spec_free(&s);
  return out;
}

/* A service whose command is a line of shell. */
static inline struct ran run_shell(struct run *r, const char *service, const char *line) {
  PU_AUTO_JSON command = json_pack("[s,s,s]", "sh", "-c", line);
  PU_AUTO_FREE quoted = pu_json_text(command);
  PU_AUTO_FREE text = pu_asprintf("{\"service\":{\"command\":%s%s%s}}", quoted, *service ? "," : "", service);
  return run_spec(r, text);
}

static inline void run_is(struct run *r, const char *service, const char *line, const char *want, const char *file, int at) {
  RAN ran = run_shell(r, service, line);
  size_t n = ran.out ? strlen(ran.out) : 0;
  while (n > 0 && ran.out[n - 1] == '\n')
    ran.out[--n] = '\0';
  if (!tap_ok(ran.out && strcmp(ran.out, want) == 0, file, at, "%s: {%s}", line, service))
    printf("#  got (%d): %s\n# want: %s\n", ran.code, ran.out, want);
}

static inline void run_has(struct run *r, const char *service, const char *line, const char *part, const char *file, int at) {
  RAN ran = run_shell(r, service, line);
  if (!tap_ok(ran.out && strstr(ran.out, part), file, at, "%s: {%s}", line, service))
    printf("#  got (%d): %s\n# want in it: %s\n", ran.code, ran.out, part);
}

#define inside_is(r, service, line, want) run_is(r, service, line, want, __FILE__, __LINE__)
#define inside_has(r, service, line, part) run_has(r, service, line, part, __FILE__, __LINE__)

#endif
