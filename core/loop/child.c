#include "config.h"
#include "loop/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

enum {
  DEFAULT_OUTPUT = 1024 * 1024,
  TERM_GRACE_MS = 2000,
  /* A grandchild may hold the pipes after the child is gone: its output does not keep the call open for longer. */
  DRAIN_MS = 500,
};

/* One of the child's standard streams, our end. */
struct stream {
  struct bt_child *child;
  int fd;
  struct bt_watch *watch;
  struct bt_buf data; /* input: what is left to write; output: what came */
};

struct bt_child {
  struct bt_loop *loop;
  const char *name;
  pid_t pid;
  int pidfd;
  struct bt_watch *exit_watch;
  struct bt_timer *timer;
  struct stream in, out, err;
  size_t max_output;
  bool exited, termed;
  int status;
  void (*done)(void *arg, int status, const char *out, size_t out_len, const char *err, size_t err_len);
  void *arg;
};

static void stream_close(struct stream *s) {
  bt_watch_free(&s->watch);
  bt_closep(&s->fd);
}

static void child_free(struct bt_child *child) {
  stream_close(&child->in);
  stream_close(&child->out);
  stream_close(&child->err);
  bt_buf_free(&child->in.data);
  bt_buf_free(&child->out.data);
  bt_buf_free(&child->err.data);
  bt_watch_free(&child->exit_watch);
  bt_timer_free(&child->timer);
  bt_closep(&child->pidfd);
  free(child);
}

static void finish(struct bt_child *child) {
  struct bt_buf *out = &child->out.data, *err = &child->err.data;
  child->done(child->arg, child->status, out->data ? out->data : "", out->len, err->data ? err->data : "", err->len);
  child_free(child);
}

static void finish_if_over(struct bt_child *child) {
  if (child->exited && child->out.fd < 0 && child->err.fd < 0)
    finish(child);
}

static void kill_group(struct bt_child *child, int signo) {
  if (!child->exited)
    kill(-child->pid, signo);
}

static void on_timer(void *arg) {
  struct bt_child *child = arg;
  if (child->exited) {
    finish(child);
    return;
  }
  kill_group(child, child->termed ? SIGKILL : SIGTERM);
  child->termed = true;
  bt_timer_set(child->timer, TERM_GRACE_MS);
}

static void on_exit_fd(void *arg, int fd, int events) {
  (void)fd;
  (void)events;
  struct bt_child *child = arg;
  int ws;
  pid_t r = waitpid(child->pid, &ws, WNOHANG);
  if (r == 0 || (r < 0 && errno == EINTR))
    return;
  child->exited = true;
  /* ECHILD: somebody ignores SIGCHLD or reaped it; we know no more than that it is gone. */
  child->status = r < 0 ? -SIGKILL : WIFEXITED(ws) ? WEXITSTATUS(ws) : -WTERMSIG(ws);
  bt_watch_free(&child->exit_watch);
  stream_close(&child->in);
  bt_timer_set(child->timer, DRAIN_MS);
  finish_if_over(child);
}

static void on_output(void *arg, int fd, int events) {
  (void)events;
  struct stream *s = arg;
  struct bt_child *child = s->child;
  char chunk[16384];
  ssize_t n = read(fd, chunk, sizeof chunk);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n <= 0) {
    stream_close(s);
    finish_if_over(child);
    return;
  }
  size_t room = child->max_output - child->out.data.len - child->err.data.len;
  if ((size_t)n > room)
    kill_group(child, SIGKILL);
  bt_buf_add(&s->data, chunk, BT_MIN((size_t)n, room));
}

static void on_input(void *arg, int fd, int events) {
  (void)events;
  struct stream *s = arg;
  ssize_t n = write(fd, s->data.data, s->data.len);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n > 0)
    bt_buf_consume(&s->data, (size_t)n);
  if (n < 0 || s->data.len == 0) /* EPIPE: the child does not want the rest */
    stream_close(s);
}

/* ours is the end that we keep, theirs the one the child gets. */
static int make_pipe(int *ours, int *theirs, bool child_reads, struct bt_err **err) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) < 0)
    return bt_err_errno(err, BT_IO, errno, "a pipe for a child process");
  *ours = fds[child_reads ? 1 : 0];
  *theirs = fds[child_reads ? 0 : 1];
  fcntl(*ours, F_SETFL, O_NONBLOCK);
  return 0;
}

static int spawn(struct bt_child *child, const struct bt_child_request *rq, const int fds[3], struct bt_err **err) {
  posix_spawn_file_actions_t fa;
  posix_spawnattr_t at;
  posix_spawn_file_actions_init(&fa);
  posix_spawnattr_init(&at);
  if (fds[0] >= 0)
    posix_spawn_file_actions_adddup2(&fa, fds[0], 0);
  else
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&fa, fds[1], 1);
  posix_spawn_file_actions_adddup2(&fa, fds[2], 2);
  posix_spawn_file_actions_addclosefrom_np(&fa, 3);
  posix_spawn_file_actions_addchdir_np(&fa, rq->cwd ? rq->cwd : "/");
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&at, &all);
  posix_spawnattr_setsigmask(&at, &none);
  posix_spawnattr_setpgroup(&at, 0);
  posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  const char *path = getenv("PATH");
  BT_AUTO_FREE char *path_env = bt_asprintf("PATH=%s", path ? path : "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
  const char *const only_path[] = {path_env, NULL};
  const char *const *env = rq->env ? rq->env : only_path;
  int rc = posix_spawnp(&child->pid, rq->argv[0], &fa, &at, (char *const *)(uintptr_t)rq->argv,
                        (char *const *)(uintptr_t)env);
  posix_spawn_file_actions_destroy(&fa);
  posix_spawnattr_destroy(&at);
  return rc ? bt_err_errno(err, rc == ENOENT ? BT_NOT_FOUND : BT_IO, rc, "cannot run \"%s\"", rq->argv[0]) : 0;
}

static int start(struct bt_child *child, const struct bt_child_request *rq, struct bt_err **err) {
  BT_AUTO_CLOSE int in = -1;
  BT_AUTO_CLOSE int out = -1;
  BT_AUTO_CLOSE int errfd = -1;
  if (rq->input_len && make_pipe(&child->in.fd, &in, true, err) < 0)
    return -1;
  if (make_pipe(&child->out.fd, &out, false, err) < 0 || make_pipe(&child->err.fd, &errfd, false, err) < 0)
    return -1;
  if (spawn(child, rq, (const int[3]){in, out, errfd}, err) < 0)
    return -1;
  child->pidfd = pidfd_open(child->pid, 0);
  if (child->pidfd >= 0)
    return 0;
  int saved = errno;
  kill(-child->pid, SIGKILL);
  waitpid(child->pid, NULL, 0);
  return bt_err_errno(err, BT_IO, saved, "pidfd_open (Linux 5.3 or later is needed)");
}

static void watch_all(struct bt_child *child) {
  struct bt_loop *loop = child->loop;
  child->exit_watch = bt_watch_new(loop, child->name, child->pidfd, BT_WATCH_READ, on_exit_fd, child);
  child->out.watch = bt_watch_new(loop, child->name, child->out.fd, BT_WATCH_READ, on_output, &child->out);
  child->err.watch = bt_watch_new(loop, child->name, child->err.fd, BT_WATCH_READ, on_output, &child->err);
  if (child->in.fd >= 0)
    child->in.watch = bt_watch_new(loop, child->name, child->in.fd, BT_WATCH_WRITE, on_input, &child->in);
}

struct bt_child *bt_child_spawn(struct bt_loop *loop, const struct bt_child_request *rq, struct bt_err **err) {
  struct bt_child *child = bt_new(struct bt_child);
  *child = (struct bt_child){.loop = loop, .name = rq->name, .pidfd = -1, .done = rq->done, .arg = rq->arg};
  child->in = (struct stream){.child = child, .fd = -1};
  child->out = (struct stream){.child = child, .fd = -1};
  child->err = (struct stream){.child = child, .fd = -1};
  child->max_output = rq->max_output ? rq->max_output : DEFAULT_OUTPUT;
  child->timer = bt_timer_new(loop, rq->name, on_timer, child);
  bt_buf_add(&child->in.data, rq->input, rq->input_len);
  if (start(child, rq, err) < 0) {
    child_free(child);
    return NULL;
  }
  watch_all(child);
  if (rq->timeout_ms > 0)
    bt_timer_set(child->timer, rq->timeout_ms);
  return child;
}

void bt_child_kill(struct bt_child *child) { kill_group(child, SIGKILL); }
