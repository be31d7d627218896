#include "config.h"
#include "plugin/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/vec.h"
#include "plugin/command.h"

enum {
  first_user = 58000, /* between the users that systems hand out and those that systemd takes for itself */
  users = 1000,
  default_memory_mib = 256,
  default_files = 256,
  default_processes = 64,
  rounds = 100
};

char *bt_spawn_libexec(const char *name) {
  BT_AUTO_FREE char *built = bt_asprintf("core/%s", name);
  BT_AUTO_FREE char *installed = bt_asprintf("../libexec/berth/%s", name);
  char *found = bt_program_built(built);
  if (!found)
    found = bt_program_beside(installed);
  return found ? found : bt_asprintf(BERTH_LIBEXECDIR "/%s", name);
}

/* The program: beside berthd in the build tree, in libexecdir when installed. The caller frees. */
static char *host_program(void) { return bt_spawn_libexec("berth-plugin-host"); }

int bt_spawn_user(const struct bt_isolation *isolation, const char *name, long long *uid, long long *gid, struct bt_err **err) {
  *uid = *gid = -1;
  if (geteuid() != 0)
    return isolation->user ? bt_err_set(err, BT_DENIED, "user: %s needs a server that runs as root", isolation->user) : 0;
  if (!isolation->user) {
    *uid = *gid = first_user + bt_str_hash(name) % users; /* the same after every restart */
    return 0;
  }
  if (bt_parse_i64(isolation->user, 0, UINT32_MAX - 1, uid)) {
    *gid = *uid;
    return 0;
  }
  const struct passwd *pw = getpwnam(isolation->user);
  if (!pw)
    return bt_err_set(err, BT_NOT_FOUND, "there is no user %s", isolation->user);
  *uid = pw->pw_uid;
  *gid = pw->pw_gid;
  return 0;
}

static void add_number(struct bt_strs *args, const char *option, long long n) {
  BT_AUTO_FREE char *text = bt_asprintf("%lld", n);
  bt_strs_add(args, option);
  bt_strs_add(args, text);
}

static void add_limits(struct bt_strs *args, const struct bt_isolation *iso, long long uid, long long gid) {
  if (uid >= 0) {
    BT_AUTO_FREE char *user = bt_asprintf("%lld:%lld", uid, gid);
    bt_strs_add(args, "--user");
    bt_strs_add(args, user);
  }
  add_number(args, "--memory", iso->memory ? iso->memory : (long long)default_memory_mib << 20);
  add_number(args, "--files", iso->files ? iso->files : default_files);
  bool own = uid >= 0 && !iso->user; /* the limit counts all processes of a user: of others' we know nothing */
  if (own || iso->processes)
    add_number(args, "--processes", iso->processes ? iso->processes : default_processes);
  if (iso->cpu)
    add_number(args, "--cpu", iso->cpu);
  if (iso->network)
    bt_strs_add(args, "--network");
  bt_strs_add(args, "--report");
}

static int run(const struct bt_strs *args, int wire, int err_fd, int report, pid_t *pid) {
  posix_spawn_file_actions_t fa;
  posix_spawnattr_t at;
  posix_spawn_file_actions_init(&fa);
  posix_spawnattr_init(&at);
  posix_spawn_file_actions_adddup2(&fa, wire, 0);
  posix_spawn_file_actions_adddup2(&fa, wire, 1);
  posix_spawn_file_actions_adddup2(&fa, err_fd, 2);
  posix_spawn_file_actions_adddup2(&fa, report, 3);
  posix_spawn_file_actions_addclosefrom_np(&fa, 4);
  posix_spawn_file_actions_addchdir_np(&fa, "/");
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&at, &all);
  posix_spawnattr_setsigmask(&at, &none);
  posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
  char path[] = "PATH=" BT_COMMAND_PATH, lang[] = "LANG=C.UTF-8";
  char asan[] = "ASAN_OPTIONS=detect_leaks=0"; /* of sanitized builds: the leak checker wants ptrace */
  char *const env[] = {path, lang, asan, NULL};
  int rc = posix_spawn(pid, args->items[0], &fa, &at, args->items, env);
  posix_spawn_file_actions_destroy(&fa);
  posix_spawnattr_destroy(&at);
  return rc;
}

static int start(const struct bt_strs *args, struct bt_process *out, struct bt_err **err) {
  int pair[2], pipes[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
    return bt_err_errno(err, BT_IO, errno, "a socket pair for a plug-in");
  BT_AUTO_CLOSE int ours = pair[0];
  BT_AUTO_CLOSE int theirs = pair[1];
  if (pipe2(pipes, O_CLOEXEC) < 0)
    return bt_err_errno(err, BT_IO, errno, "a pipe for a plug-in");
  BT_AUTO_CLOSE int err_ours = pipes[0];
  BT_AUTO_CLOSE int err_theirs = pipes[1];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
    return bt_err_errno(err, BT_IO, errno, "a socket pair for a plug-in");
  BT_AUTO_CLOSE int report_ours = pair[0];
  BT_AUTO_CLOSE int report_theirs = pair[1];
  int rc = run(args, theirs, err_theirs, report_theirs, &out->pid);
  if (rc)
    return bt_err_errno(err, rc == ENOENT ? BT_NOT_FOUND : BT_IO, rc, "cannot run %s", args->items[0]);
  out->pidfd = pidfd_open(out->pid, 0);
  if (out->pidfd < 0) {
    rc = errno;
    kill(-out->pid, SIGKILL);
    waitpid(out->pid, NULL, 0);
    return bt_err_errno(err, BT_IO, rc, "pidfd_open (Linux 5.3 or later is needed)");
  }
  fcntl(err_ours, F_SETFL, O_NONBLOCK);
  out->wire = ours;
  out->err = err_ours;
  out->report = report_ours;
  ours = err_ours = report_ours = -1;
  return 0;
}

/* What the helper runs: the program of a command or of a script, or the plug-in itself. */
static int add_target(struct bt_strs *args, const struct bt_strs *command, const char *path, struct bt_err **err) {
  if (!command->len && !bt_command_is_script(path)) {
    bt_strs_add(args, path);
    return 0;
  }
  BT_AUTO_FREE char *program = NULL;
  if (command->len && bt_command_find(command, &program, err) != 0)
    return -1;
  bt_strs_add(args, "--exec");
  bt_strs_add(args, "--");
  if (!command->len)
    bt_command_of_script(path, args);
  for (size_t i = 0; i < command->len; i++)
    bt_strs_add(args, i ? command->items[i] : program);
  return 0;
}

int bt_spawn(const struct bt_isolation *isolation, const char *name, const char *path, struct bt_process *out,
             struct bt_err **err) {
  *out = (struct bt_process){.pid = -1, .pidfd = -1, .wire = -1, .err = -1, .report = -1, .uid = geteuid()};
  long long uid, gid;
  if (bt_spawn_user(isolation, name, &uid, &gid, err) != 0)
    return -1;
  if (uid >= 0)
    out->uid = (uid_t)uid;
  BT_AUTO_STRS args = {0};
  BT_AUTO_FREE char *program = host_program();
  bt_strs_add(&args, program);
  add_limits(&args, isolation, uid, gid);
  if (add_target(&args, &isolation->command, path, err) != 0)
    return -1;
  bt_strs_add(&args, NULL);
  return start(&args, out, err);
}

void bt_spawn_kill(const struct bt_process *process) { kill(-process->pid, SIGKILL); }

/* proc(5): "pid (comm) state ppid pgrp session …"; comm may hold anything. -1: there is no such process any more. */
static long session_of(pid_t pid) {
  char path[40], text[512];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  BT_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (n <= 0)
    return -1;
  text[n] = '\0';
  char state;
  long ppid, group, session;
  const char *end = strrchr(text, ')');
  return end && sscanf(end + 1, " %c %ld %ld %ld", &state, &ppid, &group, &session) == 4 && state != 'Z' ? session : -1;
}

/* How many were killed. */
static int kill_session(pid_t leader) {
  DIR *dir = opendir("/proc");
  int killed = 0;
  for (struct dirent *e; dir && (e = readdir(dir));) {
    long long pid;
    if (bt_parse_i64(e->d_name, 2, INT32_MAX, &pid) && pid != leader && session_of((pid_t)pid) == leader)
      killed += kill((pid_t)pid, SIGKILL) == 0;
  }
  if (dir)
    closedir(dir);
  return killed;
}

bool bt_spawn_reap(const struct bt_process *process, int options, int *status) {
  siginfo_t info = {0};
  /* It stays unreaped until the others are gone: as long as it is there, nobody else can have its number. */
  if (waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOWAIT | options) == 0 && info.si_pid == 0)
    return false;
  for (int round = 0; round < rounds && kill_session(process->pid) > 0; round++)
    ; /* who was just forking may have one more */
  return waitpid(process->pid, status, options) != 0;
}
