/* Containers by hand for the tests of the embedded runtime: a layer with a static busybox, config.json and monitor.json written as the
 * plug-in would, berth-monitor run as a process. Everything lies in one folder below /tmp and one cgroup, and box_end() checks
 * that nothing of it is left: no process, mount, cgroup or state. */
#ifndef BERTH_TESTS_OCI_H
#define BERTH_TESTS_OCI_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "plugins/runtime-oci/monitor/files.h"
#include "plugins/runtime-oci/monitor/proc.h"
#include "plugins/runtime-oci/monitor/sweep.h"
#include "../unit/tap.h"

#define OCI_SECONDS 20 /* what anything may take under sanitizers on a busy machine */

static char oci_dir[64]; /* /tmp/berth-oci-XXXXXX */
static const char *oci_runtime = "/usr/bin/crun";

__attribute__((unused)) static long long oci_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

__attribute__((unused)) static void oci_nap(int ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
  nanosleep(&t, NULL);
}

__attribute__((format(printf, 1, 2), unused)) static char *oci_text(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  char *s;
  if (vasprintf(&s, fmt, ap) < 0)
    abort();
  va_end(ap);
  return s;
}

__attribute__((unused)) static void oci_put(const char *path, const char *text) {
  if (ro_write_file(path, text, strlen(text), 0644) < 0) {
    perror(path);
    exit(1);
  }
}

__attribute__((unused)) static char *oci_get(const char *path) { return ro_read_file(AT_FDCWD, path, 256 << 20, NULL); }

/* Runs a program to its end; what it wrote to its standard output (freed by the caller), and its exit code. */
__attribute__((unused)) static char *oci_run(int *code, const char *const *argv) {
  int p[2];
  if (pipe2(p, O_CLOEXEC) < 0)
    abort();
  pid_t pid = fork();
  if (pid == 0) {
    dup2(p[1], 1);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
  }
  close(p[1]);
  size_t have = 0, cap = 1 << 16;
  char *out = malloc(cap + 1);
  ssize_t n;
  while ((n = read(p[0], out + have, cap - have)) > 0)
    if ((have += (size_t)n) == cap)
      out = realloc(out, (cap *= 2) + 1);
  out[have] = 0;
  close(p[0]);
  int status;
  waitpid(pid, &status, 0);
  if (code)
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return out;
}

/* Why these tests cannot run here; NULL where they can. */
__attribute__((unused)) static const char *oci_hindrance(void) {
  if (geteuid() != 0)
    return "containers need root";
  if (access(oci_runtime, X_OK) < 0)
    return "no crun here: apt-get install crun";
  if (access("/bin/busybox", X_OK) < 0)
    return "no busybox here: apt-get install busybox-static";
  return NULL;
}

__attribute__((unused)) static void oci_setup(void) {
  strcpy(oci_dir, "/tmp/berth-oci-XXXXXX");
  if (!mkdtemp(oci_dir))
    abort();
  char *layer = oci_text("%s/layer", oci_dir);
  const char *const dirs[] = {"bin", "proc", "sys", "dev", "tmp", "etc"};
  for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
    char *d = oci_text("%s/%s", layer, dirs[i]);
    ro_make_dirs(d, 0755);
    free(d);
  }
  char *to = oci_text("%s/bin/busybox", layer);
  free(oci_run(NULL, (const char *[]){"cp", "/bin/busybox", to, NULL}));
  const char *const names[] = {"sh", "true", "sleep", "echo", "cat", "ls", "yes", "dd", "head", "stty", "id", "env", "pwd", "kill", "test", "mkdir", "ln", "readlink", "seq", "printf", "ip", "rm", "touch", "od", "tail", "tr", "false", "grep", "mkfifo"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char *l = oci_text("%s/bin/%s", layer, names[i]);
    if (symlink("busybox", l) < 0)
      abort();
    free(l);
  }
  char *passwd = oci_text("%s/etc/passwd", layer), *group = oci_text("%s/etc/group", layer);
  oci_put(passwd, "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:a user:/home/web:/bin/sh\n");
  oci_put(group, "root:x:0:\nwebs:x:1001:\nextra:x:2000:web\n");
  free(passwd);
  free(group);
  free(to);
  free(layer);
}

/* ---- one container ---- */

struct box {
  char id[65];
  char *run, *data, *cgroup, *root;
};

struct box_options {
  const char *args;      /* JSON array of words */
  const char *process;   /* further members of config.json's process, with a comma in front */
  const char *resources; /* linux.resources, JSON */
  const char *namespaces; /* further namespaces, with a comma in front */
  const char *monitor;   /* further members of monitor.json, with a comma in front */
  const char *network;   /* JSON; "{\"mode\":\"none\"}" */
  const char *log;       /* JSON of monitor.json's log; a file without bounds */
  const char *linux_part; /* further members of config.json's linux, with a comma in front */
  const char *mounts;    /* further mounts, with a comma in front */
  const char *hooks;     /* config.json's, with a comma in front */
};

__attribute__((unused)) static char *box_path(const struct box *b, const char *name) { return oci_text("%s/%s", b->run, name); }

__attribute__((unused)) static char *box_log(const struct box *b) {
  char *path = oci_text("%s/log", b->data), *text = oci_get(path);
  free(path);
  return text ? text : strdup("");
}

#define BOX_MOUNTS                                                                                                        \
  "{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"                                                     \
  "{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"mode=755\",\"size=65536k\"]}," \
  "{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\",\"options\":[\"newinstance\",\"ptmxmode=0666\",\"mode=0620\"]}"

__attribute__((unused)) static void box_write_config(const struct box *b, const struct box_options *o) {
  char *path = box_path(b, "config.json");
  bool tty = o->monitor && strstr(o->monitor, "\"tty\":true");
  bool host = o->network && strstr(o->network, "\"mode\":\"host\"");
  char *text = oci_text("{\"ociVersion\":\"1.0.2\",\"process\":{\"terminal\":%s,\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0},"
                        "\"env\":[\"PATH=/bin\",\"FROM=config\"],\"args\":%s%s},\"root\":{\"path\":\"%s\"},"
                        "\"hostname\":\"box\",\"mounts\":[" BOX_MOUNTS "%s],\"linux\":{\"cgroupsPath\":\"%s\",\"resources\":%s,"
                        "\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"mount\"},{\"type\":\"ipc\"},{\"type\":\"uts\"}%s%s]%s}%s}",
                        tty ? "true" : "false", o->args, o->process ? o->process : "", b->root, o->mounts ? o->mounts : "", b->cgroup,
                        o->resources ? o->resources : "{}", host ? "" : ",{\"type\":\"network\",\"path\":\"/berth/netns\"}",
                        o->namespaces ? o->namespaces : "", o->linux_part ? o->linux_part : "", o->hooks ? o->hooks : "");
  oci_put(path, text);
  free(text);
  free(path);
}

__attribute__((unused)) static void box_write_spec(const struct box *b, const struct box_options *o) {
  char *path = box_path(b, "monitor.json");
  char *text = oci_text("{\"id\":\"%s\",\"bundle\":\"%s\",\"runtime\":[\"%s\"],\"runtime_root\":\"%s/state\","
                        "\"rootfs\":{\"lower\":[\"%s/layer\"],\"upper\":\"%s/upper\",\"work\":\"%s/work\",\"target\":\"%s\"},"
                        "\"network\":%s,\"log\":%s%s%s,\"cgroup\":\"%s\",\"exit\":\"%s/exit.json\"%s}",
                        b->id, b->run, oci_runtime, oci_dir, oci_dir, b->data, b->data, b->root,
                        o->network ? o->network : "{\"mode\":\"none\"}", o->log ? o->log : "{\"path\":\"", o->log ? "" : b->data,
                        o->log ? "" : "/log\"}", b->cgroup, b->run, o->monitor ? o->monitor : "");
  oci_put(path, text);
  free(text);
  free(path);
}

__attribute__((unused)) static void box_new(struct box *b, const struct box_options *o) {
  static int count;
  snprintf(b->id, sizeof b->id, "%.20s-%d", oci_dir + strlen("/tmp/berth-"), ++count);
  b->run = oci_text("%s/run/%s", oci_dir, b->id);
  b->data = oci_text("%s/data/%s", oci_dir, b->id);
  b->root = oci_text("%s/rootfs", b->run);
  b->cgroup = oci_text("%s/%s", oci_dir + strlen("/tmp"), b->id);
  char *upper = oci_text("%s/upper", b->data), *work = oci_text("%s/work", b->data);
  ro_make_dirs(b->run, 0700);
  ro_make_dirs(upper, 0755);
  ro_make_dirs(work, 0755);
  free(upper);
  free(work);
  box_write_config(b, o);
  box_write_spec(b, o);
}

/* The line that the starter wrote, as JSON (an empty object where it is none). */
__attribute__((unused)) static json_t *box_start(const struct box *b) {
  char *program = oci_text("%s/plugins/runtime-oci/berth-monitor", getenv("top_builddir") ? getenv("top_builddir") : ".");
  int code;
  char *line = oci_run(&code, (const char *[]){program, "start", b->run, NULL});
  json_t *v = json_loads(line, 0, NULL);
  if (!v || (code == 0) != (json_object_get(v, "error") == NULL))
    printf("# start: exit code %d, %s\n", code, line);
  free(line);
  free(program);
  return v ? v : json_object();
}

/* exit.json once it is there and the monitor is gone; NULL where that takes too long. */
__attribute__((unused)) static json_t *box_wait(const struct box *b) {
  char *path = box_path(b, "exit.json");
  json_t *v = NULL;
  struct ro_monitor m;
  for (long long end = oci_ms() + OCI_SECONDS * 1000; oci_ms() < end;) {
    int fd = ro_monitor_read(b->run, &m) ? ro_proc_open(m.pid, m.started) : -1;
    struct pollfd dead = {.fd = fd, .events = POLLIN};
    if (fd >= 0) { /* dead is enough: whoever reaps it may be slow */
      bool lives = poll(&dead, 1, 5) != 1;
      close(fd);
      if (lives)
        continue;
    }
    v = json_load_file(path, 0, NULL);
    break;
  }
  free(path);
  return v;
}

__attribute__((unused)) static bool box_signal(const struct box *b, int signal) {
  struct ro_monitor m;
  return ro_monitor_read(b->run, &m) && ro_proc_signal(m.init, m.init_started, signal) == 0;
}

/* Until the log has text. */
__attribute__((unused)) static bool box_says(const struct box *b, const char *text) {
  for (long long end = oci_ms() + OCI_SECONDS * 1000; oci_ms() < end; oci_nap(5)) {
    char *log = box_log(b);
    bool there = strstr(log, text) != NULL;
    free(log);
    if (there)
      return true;
  }
  return false;
}

/* ---- nothing is left ---- */

__attribute__((unused)) static int oci_count_cgroups(const char *cgroup) {
  DIR *dir = opendir("/sys/fs/cgroup");
  int found = 0;
  for (struct dirent *e; dir && (e = readdir(dir));) {
    char path[4096];
    snprintf(path, sizeof path, "/sys/fs/cgroup/%s%s", e->d_name, cgroup);
    found += e->d_name[0] != '.' && access(path, F_OK) == 0;
  }
  closedir(dir);
  char whole[4096];
  snprintf(whole, sizeof whole, "/sys/fs/cgroup%s", cgroup);
  return found + (access(whole, F_OK) == 0);
}

/* Processes whose command line or cgroup names the text, without ourselves. */
__attribute__((unused)) static int oci_count_processes(const char *text) {
  DIR *dir = opendir("/proc");
  int found = 0;
  for (struct dirent *e; dir && (e = readdir(dir));) {
    long pid = strtol(e->d_name, NULL, 10);
    if (pid <= 0 || pid == getpid())
      continue;
    char path[64];
    size_t n = 0;
    snprintf(path, sizeof path, "/proc/%ld/cmdline", pid);
    char *words = ro_read_file(AT_FDCWD, path, 1 << 20, &n);
    snprintf(path, sizeof path, "/proc/%ld/cgroup", pid);
    char *groups = ro_read_file(AT_FDCWD, path, 1 << 20, NULL);
    bool hit = (words && memmem(words, n, text, strlen(text))) || (groups && strstr(groups, text));
    if (hit)
      printf("# process %ld is left: %s\n", pid, words ? words : "?");
    found += hit;
    free(words);
    free(groups);
  }
  closedir(dir);
  return found;
}

__attribute__((unused)) static int oci_count_mounts(const char *text) {
  char *mounts = oci_get("/proc/self/mountinfo");
  int found = 0;
  for (char *p = mounts; p && (p = strstr(p, text)); p++)
    found++;
  free(mounts);
  return found;
}

__attribute__((unused)) static bool box_clean(const struct box *b) {
  char *state = oci_text("%s/state/%s", oci_dir, b->id);
  int processes = oci_count_processes(b->id), cgroups = oci_count_cgroups(b->cgroup), mounts = oci_count_mounts(b->id), states = access(state, F_OK) == 0;
  free(state);
  if (processes + cgroups + mounts + states)
    printf("# left: %d processes, %d cgroups, %d mounts, %d states\n", processes, cgroups, mounts, states);
  return processes + cgroups + mounts + states == 0;
}

__attribute__((unused)) static void box_free(struct box *b) {
  free(b->run);
  free(b->data);
  free(b->cgroup);
  free(b->root);
}

/* Waits for its end where it has begun to end; whatever is left is a failure, and is then swept away. */
__attribute__((unused)) static void box_end(struct box *b, const char *name) {
  ok(box_clean(b), "%s: nothing is left", name);
  ro_sweep_run(b->run, NULL);
  box_free(b);
}

__attribute__((unused)) static void oci_teardown(void) {
  ok(oci_count_processes(oci_dir) == 0, "no process is left");
  char *cgroup = strdup(oci_dir + strlen("/tmp"));
  struct ro_fail why = {0};
  ok(ro_sweep(cgroup + 1, "/nowhere", cgroup, &why) == 0, "the cgroup of all these goes (%s)", why.text ? why.text : "");
  ro_fail_clear(&why);
  free(cgroup);
  ok(ro_remove_tree(AT_FDCWD, oci_dir) == 0, "their folder goes");
}

#endif
