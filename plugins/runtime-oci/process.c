/* Programs that stream both ways: a socket as standard input and output, a pipe for what they have to complain of. Started in a worker, read and
 * written on the loop. */
#include "config.h"
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { read_bytes = 64 << 10, pause_ms = 20 };

struct ro_process {
  struct berth_instance *self;
  struct ro_process_events events;
  void *arg;
  struct ro_op *op;        /* of our own: jobs and timers hang on it */
  struct start *starting;  /* NULL: it has started, or could not */
  int socket, errors, pidfd;
  pid_t pid;
  berth_handle watch, errors_watch, exit_watch;
  bool orphan; /* stopped: nobody hears of it any more, it is only waited for */
  bool paused, input_ended, output_ended, errors_ended, exited;
  int status;
  struct pu_buf out;       /* to be written */
  size_t written;          /* of out */
};

/* Who comes last knows that nobody waits for the program any more, and sees to its end: the worker, or the loop that gives it up. */
enum { STARTING, STARTED, GIVEN_UP };

struct start {
  char **argv;
  int socket, errors, pidfd, error;
  pid_t pid;
  bool taken;
  _Atomic int state;
};

/* ---------------------------------------------------------------- in the worker */

struct end {
  pid_t pid;
  int pidfd; /* -1: there is none */
  int grace_ms;
};

/* Waiting for a process may take as long as the machine is busy: never on the loop. */
static void end_work(void *data) {
  const struct end *e = data;
  struct pollfd fd = {.fd = e->pidfd, .events = POLLIN};
  if (e->grace_ms <= 0 || poll(&fd, 1, e->grace_ms) <= 0)
    kill(e->pid, SIGKILL); /* our child, not reaped: the number is still its own */
  while (waitpid(e->pid, NULL, 0) < 0 && errno == EINTR)
    ;
}

static void end_done(void *data) {
  struct end *e = data;
  if (e->pidfd >= 0)
    close(e->pidfd);
  free(e);
}

/* Takes *pidfd. The entry may stop meanwhile. */
static void end_later(struct berth_instance *self, pid_t pid, int *pidfd, int grace_ms) {
  struct end *e = pu_new(struct end);
  *e = (struct end){.pid = pid, .pidfd = *pidfd, .grace_ms = grace_ms};
  *pidfd = -1;
  self->worker->run(self->host, end_work, end_done, e);
}

static void spawn(struct start *s) {
  int pair[2] = {-1, -1}, err[2] = {-1, -1};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attr;
  sigset_t none, all;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 || pipe2(err, O_CLOEXEC) != 0) {
    s->error = errno;
    if (pair[0] >= 0)
      close(pair[0]), close(pair[1]);
    return;
  }
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pair[1], 0);
  posix_spawn_file_actions_adddup2(&actions, pair[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  posix_spawnattr_init(&attr);
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attr, &none);
  posix_spawnattr_setsigdefault(&attr, &all);
  posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  static char *const env[] = {path, NULL};
  s->error = posix_spawnp(&s->pid, s->argv[0], &actions, &attr, s->argv, env);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attr);
  close(pair[1]);
  close(err[1]);
  s->socket = pair[0];
  s->errors = err[0];
  if (s->error)
    return;
  s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
  fcntl(s->socket, F_SETFL, O_NONBLOCK);
  fcntl(s->errors, F_SETFL, O_NONBLOCK);
}

static void start_work(void *data) {
  struct start *s = data;
  int state = STARTING;
  spawn(s);
  if (!atomic_compare_exchange_strong(&s->state, &state, STARTED) && s->pid > 0 && !s->error)
    end_work(&(struct end){.pid = s->pid, .pidfd = -1});
}

static void start_free(void *data) {
  struct start *s = data;
  if (!s->taken) {
    if (s->socket >= 0)
      close(s->socket);
    if (s->errors >= 0)
      close(s->errors);
    if (s->pidfd >= 0)
      close(s->pidfd);
  }
  for (char **a = s->argv; *a; a++)
    free(*a);
  free(s->argv);
  free(s);
}

/* ---------------------------------------------------------------- the end */

static void unwatch(struct ro_process *p, berth_handle *watch) {
  if (*watch)
    p->self->fd->unwatch(p->self->host, *watch);
  *watch = 0;
}

static void process_free(struct ro_process *p) {
  unwatch(p, &p->watch);
  unwatch(p, &p->errors_watch);
  unwatch(p, &p->exit_watch);
  if (p->socket >= 0)
    close(p->socket);
  if (p->errors >= 0)
    close(p->errors);
  if (p->pidfd >= 0)
    close(p->pidfd);
  if (p->op)
    ro_op_drop(p->op);
  pu_buf_free(&p->out);
  free(p);
}

static void let_go(struct ro_process *p) {
  unwatch(p, &p->watch);
  unwatch(p, &p->errors_watch);
  close(p->socket);
  close(p->errors);
  p->socket = p->errors = -1;
}

static void kill_it(struct ro_op *op) {
  struct ro_process *p = *(struct ro_process **)(op + 1);
  kill(p->pid, SIGKILL); /* our child, not reaped: the number is still its own */
}

/* Its hanging up ends it, and lets it end what it began (a command in a container); only what does not heed that is killed. */
void ro_process_stop(struct ro_process *p) {
  enum { grace_ms = 5000 };
  if (!p)
    return;
  if (p->pid <= 0 || p->exited) {
    process_free(p);
    return;
  }
  let_go(p);
  p->orphan = true;
  ro_op_after(p->op, grace_ms, kill_it);
}

static void maybe_done(struct ro_process *p) {
  if (!p->exited || !p->output_ended || !p->errors_ended)
    return;
  void (*done)(void *, int) = p->events.done;
  void *arg = p->arg;
  int status = p->status;
  process_free(p);
  done(arg, status);
}

static void on_exit_fd(void *arg, int fd, int events) {
  struct ro_process *p = arg;
  int ws = 0;
  (void)fd, (void)events;
  if (waitpid(p->pid, &ws, WNOHANG) != p->pid)
    return;
  unwatch(p, &p->exit_watch);
  p->exited = true;
  if (p->orphan) {
    process_free(p);
    return;
  }
  p->status = WIFEXITED(ws) ? WEXITSTATUS(ws) : -WTERMSIG(ws);
  maybe_done(p);
}

/* ---------------------------------------------------------------- bytes */

static void set_watch(struct ro_process *p);

static void resume(struct ro_op *op) {
  struct ro_process *p = *(struct ro_process **)(op + 1);
  if (p->events.room && !p->events.room(p->arg)) {
    ro_op_after(op, pause_ms, resume);
    return;
  }
  p->paused = false;
  set_watch(p);
}

static void flush(struct ro_process *p) {
  while (p->written < p->out.len) {
    ssize_t n = send(p->socket, p->out.data + p->written, p->out.len - p->written, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno != EAGAIN)
      p->written = p->out.len; /* it does not read any more */
    if (n < 0)
      break;
    p->written += (size_t)n;
  }
  if (p->written < p->out.len)
    return;
  p->out.len = p->written = 0;
  if (p->input_ended)
    shutdown(p->socket, SHUT_WR);
}

static void on_socket(void *arg, int fd, int events) {
  struct ro_process *p = arg;
  char data[read_bytes];
  if (events & BERTH_FD_WRITE) {
    flush(p);
    set_watch(p);
  }
  if (!(events & BERTH_FD_READ) || p->paused)
    return;
  ssize_t n = recv(fd, data, sizeof data, 0);
  if (n > 0) {
    struct ro_op *op = p->op;
    p->events.data(p->arg, 1, data, (size_t)n); /* must not stop us; see exec.c, which ends in done */
    if (p->events.room && !p->events.room(p->arg)) {
      p->paused = true;
      set_watch(p);
      ro_op_after(op, pause_ms, resume);
    }
  } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
    p->output_ended = true;
    unwatch(p, &p->watch);
    maybe_done(p);
  }
}

static void on_errors(void *arg, int fd, int events) {
  struct ro_process *p = arg;
  char data[4096];
  (void)events;
  ssize_t n = read(fd, data, sizeof data);
  if (n > 0) {
    p->events.data(p->arg, 2, data, (size_t)n);
  } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
    p->errors_ended = true;
    unwatch(p, &p->errors_watch);
    maybe_done(p);
  }
}

static void set_watch(struct ro_process *p) {
  int want = (p->paused || p->output_ended ? 0 : BERTH_FD_READ) | (p->out.len ? BERTH_FD_WRITE : 0);
  unwatch(p, &p->watch);
  if (p->socket >= 0 && want)
    p->watch = p->self->fd->watch(p->self->host, p->socket, want, on_socket, p);
}

size_t ro_process_write(struct ro_process *p, const void *data, size_t len) {
  if (p->output_ended || p->input_ended)
    return 0;
  bool idle = !p->out.len;
  if (p->written > (64 << 10)) { /* what is gone need not be kept */
    memmove(p->out.data, p->out.data + p->written, p->out.len - p->written);
    p->out.len -= p->written;
    p->written = 0;
  }
  pu_buf_add(&p->out, data, len);
  if (p->socket >= 0 && idle) {
    flush(p);
    if (p->out.len)
      set_watch(p);
  }
  return p->out.len - p->written;
}

void ro_process_end_input(struct ro_process *p) {
  p->input_ended = true;
  if (p->socket >= 0 && !p->out.len)
    flush(p);
}

/* ---------------------------------------------------------------- start */

static void started(struct ro_op *op, void *data) {
  struct ro_process *p = *(struct ro_process **)(op + 1);
  struct start *s = data;
  if (s->error) {
    p->starting = NULL;
    void (*done)(void *, int) = p->events.done;
    void *arg = p->arg;
    process_free(p);
    done(arg, RO_NOT_STARTED);
    return;
  }
  s->taken = true;
  p->starting = NULL;
  p->socket = s->socket;
  p->errors = s->errors;
  p->pidfd = s->pidfd;
  p->pid = s->pid;
  p->exit_watch = p->self->fd->watch(p->self->host, p->pidfd, BERTH_FD_READ, on_exit_fd, p);
  p->errors_watch = p->self->fd->watch(p->self->host, p->errors, BERTH_FD_READ, on_errors, p);
  flush(p);
  set_watch(p);
}

/* It is given up before it has told that it started. */
static void give_up(struct ro_process *p) {
  struct start *s = p->starting;
  int state = STARTING;
  p->starting = NULL;
  if (!atomic_compare_exchange_strong(&s->state, &state, GIVEN_UP) && s->pid > 0 && !s->error)
    end_later(p->self, s->pid, &s->pidfd, 0);
}

/* Where the entry stops, it drops all operations in their order: whoever owns the process came before, and has stopped it. */
static void op_dropped(struct ro_op *op) {
  enum { grace_ms = 1000 };
  struct ro_process *p = *(struct ro_process **)(op + 1);
  p->op = NULL;
  if (p->starting)
    give_up(p);
  if (!p->orphan || p->exited)
    return;
  unwatch(p, &p->exit_watch);
  end_later(p->self, p->pid, &p->pidfd, grace_ms); /* an orphan has started: it has a number */
  process_free(p);
}

struct ro_process *ro_process_start(struct berth_instance *self, const char *const *argv, const struct ro_process_events *events, void *arg) {
  struct ro_process *p = pu_new(struct ro_process);
  struct start *s = pu_new(struct start);
  size_t n = 0;
  while (argv[n])
    n++;
  s->argv = pu_calloc(n + 1, sizeof *s->argv);
  for (size_t i = 0; i < n; i++)
    s->argv[i] = pu_strdup(argv[i]);
  s->socket = s->errors = s->pidfd = -1;
  *p = (struct ro_process){.self = self, .events = *events, .arg = arg, .socket = -1, .errors = -1, .pidfd = -1};
  p->op = ro_op_new(self, 0, sizeof(struct ro_op) + sizeof p, op_dropped, "%s", argv[0]);
  *(struct ro_process **)(p->op + 1) = p;
  p->starting = s;
  ro_job_run(p->op, s, start_work, started, start_free);
  return p;
}
