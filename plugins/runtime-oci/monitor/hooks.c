#include "config.h"
#include "hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../common/util.h"
#include "files.h"

/* all_ms: a stop and a removal wait for the hooks. The numbers of words are checked by the plug-in's settings only in part. */
enum { max_config = 4 << 20, max_words = 256, all_ms = 10000 };

static long long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The texts of a list, with a NULL behind. */
static void words(const json_t *list, const char **out) {
  size_t n = 0, i;
  json_t *v;
  json_array_foreach(list, i, v)
    if (n < max_words && json_is_string(v))
      out[n++] = json_string_value(v);
  out[n] = NULL;
}

/* A process group of its own, nothing of ours open. Its process, or -1 with errno. Not fork: the caller may have threads. */
static pid_t begin(const char *path, const char **argv, const char **env, const char *dir, int state) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attr;
  sigset_t none, every;
  sigemptyset(&none);
  sigfillset(&every);
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attr);
  posix_spawn_file_actions_addchdir_np(&files, dir);
  posix_spawn_file_actions_adddup2(&files, state, 0);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&attr, 0);
  posix_spawnattr_setsigmask(&attr, &none);
  posix_spawnattr_setsigdefault(&attr, &every);
  pid_t pid = -1;
  int e = posix_spawn(&pid, path, &files, &attr, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attr);
  errno = e;
  return e ? -1 : pid;
}

/* Its status as of waitpid; -1 where it took too long and was killed. */
static int end(pid_t pid, long long until) {
  int status = 0, ready;
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  struct pollfd p = {.fd = fd, .events = POLLIN};
  do {
    long long left = until - now_ms();
    ready = poll(&p, 1, left > 0 ? (int)left : 0);
  } while (ready < 0 && errno == EINTR);
  if (ready != 1)
    kill(-pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    continue;
  if (fd >= 0)
    close(fd);
  return ready == 1 ? status : -1;
}

/* A sentence where it failed, to be freed; NULL: it did not. */
static char *run(const json_t *hook, const char *dir, int state, long long until) {
  const char *argv[max_words + 1], *env[max_words + 1], *path = pu_str_or(hook, "path", "");
  words(pu_arr(hook, "args"), argv);
  words(pu_arr(hook, "env"), env);
  if (!*argv) {
    argv[0] = path;
    argv[1] = NULL;
  }
  long long now = now_ms(), own = pu_int(hook, "timeout", all_ms / 1000);
  if (now >= until)
    return pu_asprintf("%s was not begun: those before it took all the time", path);
  if (own < (until - now) / 1000 + 1 && now + own * 1000 < until)
    until = now + own * 1000;
  lseek(state, 0, SEEK_SET);
  pid_t pid = begin(path, argv, env, dir, state);
  if (pid < 0)
    return pu_asprintf("%s could not be begun: %s", path, strerror(errno));
  int status = end(pid, until);
  if (status == -1)
    return pu_asprintf("%s was killed, as it took over %lld ms", path, until - now);
  if (WIFSIGNALED(status))
    return pu_asprintf("%s was killed by signal %d", path, WTERMSIG(status));
  return WEXITSTATUS(status) ? pu_asprintf("%s exited with %d", path, WEXITSTATUS(status)) : NULL;
}

/* The container's state as hooks get it, in memory; -1 where there is none to be had. */
static int state_of(const json_t *config, const struct ro_monspec *s) {
  PU_AUTO_JSON v = json_pack("{s:s, s:s, s:s, s:s}", "ociVersion", pu_str_or(config, "ociVersion", "1.0.2"), "id", s->id, "status", "stopped", "bundle", s->bundle);
  if (v && json_is_object(json_object_get(config, "annotations")))
    json_object_set(v, "annotations", json_object_get(config, "annotations"));
  PU_AUTO_FREE text = v ? pu_json_text(v) : NULL;
  int fd = text ? memfd_create("state", MFD_CLOEXEC) : -1;
  if (fd >= 0)
    ro_write_all(fd, text, strlen(text));
  return fd;
}

void ro_hooks_poststop(const char *run_dir, const struct ro_monspec *s) {
  PU_AUTO_FREE path = pu_asprintf("%s/config.json", s->bundle);
  PU_AUTO_FREE mark = pu_asprintf("%s/" RO_POSTSTOP, run_dir);
  size_t len = 0, i;
  PU_AUTO_FREE text = ro_read_file(AT_FDCWD, path, max_config, &len);
  PU_AUTO_JSON config = text && strstr(text, "\"poststop\"") ? pu_json_parse(text, len) : NULL; /* few have any: a monitor stays small */
  const json_t *hooks = pu_arr(pu_obj(config, "hooks"), "poststop");
  if (!json_array_size(hooks))
    return;
  int out = open(mark, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (out < 0)
    return;
  int state = state_of(config, s);
  long long until = now_ms() + all_ms;
  json_t *hook;
  json_array_foreach(hooks, i, hook) {
    PU_AUTO_FREE sad = run(hook, s->bundle, state, until);
    PU_AUTO_FREE line = sad ? pu_asprintf("%s\n", sad) : NULL;
    if (line)
      ro_write_all(out, line, strlen(line));
  }
  if (state >= 0)
    close(state);
  close(out);
}

int ro_hooks_renew(const char *run_dir) {
  PU_AUTO_FREE mark = pu_asprintf("%s/" RO_POSTSTOP, run_dir);
  return unlink(mark) < 0 && errno != ENOENT ? -1 : 0;
}
