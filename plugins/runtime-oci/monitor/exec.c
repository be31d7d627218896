/* berth-monitor exec: a command in a running container, and its input and output as frames. See frames.h. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/util.h"
#include "console.h"
#include "files.h"
#include "frames.h"
#include "inside.h"
#include "monitor.h"
#include "runtime.h"

/* rest_reads: what is still read when the command has ended; a pipe and a bit. */
enum { piece = 32768, rest_reads = 64 };

struct session {
  const char *dir;
  struct ro_monspec spec;
  struct ro_monitor monitor;
  struct ro_frames frames;
  json_t *wish;        /* the first frame */
  bool tty, broken;    /* broken: the other side is gone, or speaks nonsense */
  int in, out, err;    /* our ends; on a terminal in and out are the master and its duplicate */
  struct pu_buf input; /* waits for room in in */
  bool input_ends;
  pid_t pid;
  bool ended;
  int status;
};

/* ---- to the other side ---- */

static void send_frame(struct session *x, enum ro_frame type, const void *data, size_t len) {
  unsigned char head[RO_FRAME_HEAD];
  ro_frame_head(head, type, len);
  if (!x->broken && (ro_write_all(1, head, sizeof head) < 0 || ro_write_all(1, data, len) < 0))
    x->broken = true;
}

static int send_failure(struct session *x, const struct ro_fail *why) {
  PU_AUTO_JSON v = json_pack("{s:o, s:s, s:i}", "error", pu_json_string(why->text), "code", why->code, "exit_code",
                             pu_eq(why->code, "not_found") ? 127 : 126);
  PU_AUTO_FREE text = pu_json_text(v);
  send_frame(x, RO_FRAME_FAIL, text, strlen(text));
  return 1;
}

/* ---- from the other side ---- */

static void resize(struct session *x, const json_t *v) {
  struct winsize size = {.ws_row = (unsigned short)pu_int(v, "rows", 0), .ws_col = (unsigned short)pu_int(v, "cols", 0)};
  if (x->tty && x->in >= 0 && size.ws_row && size.ws_col)
    ioctl(x->in, TIOCSWINSZ, &size);
}

static bool take_frame(void *arg, enum ro_frame type, const char *data, size_t len) {
  struct session *x = arg;
  if (!x->wish) {
    x->wish = type == RO_FRAME_SPEC ? pu_json_parse(data, len) : NULL;
    return json_is_object(x->wish);
  }
  if (type == RO_FRAME_RESIZE) {
    PU_AUTO_JSON v = pu_json_parse(data, len);
    resize(x, v);
    return true;
  }
  if (type == RO_FRAME_DATA && !x->input_ends)
    pu_buf_add(&x->input, data, len);
  else if (type == RO_FRAME_EOF && !x->input_ends) {
    x->input_ends = true;
    if (x->tty)
      pu_buf_addc(&x->input, 4);
  }
  return type == RO_FRAME_DATA || type == RO_FRAME_EOF;
}

static void read_frames(struct session *x) {
  char bytes[piece];
  ssize_t n = read(0, bytes, sizeof bytes);
  if (n < 0 && (errno == EINTR || errno == EAGAIN))
    return;
  if (n <= 0 || !ro_frames_feed(&x->frames, bytes, (size_t)n, take_frame, x))
    x->broken = true;
}

/* ---- the command's descriptors ---- */

static void shut(int *fd) {
  if (*fd >= 0)
    close(*fd);
  *fd = -1;
}

static void write_input(struct session *x) {
  ssize_t n = x->input.len ? write(x->in, x->input.data, x->input.len) : 0;
  if (n < 0 && errno != EAGAIN && errno != EINTR)
    n = (ssize_t)x->input.len; /* it reads no more */
  if (n > 0) {
    memmove(x->input.data, x->input.data + n, x->input.len - (size_t)n);
    x->input.len -= (size_t)n;
  }
  if (x->input_ends && !x->input.len && !x->tty)
    shut(&x->in);
}

/* False where nothing more is to be had at the moment. */
static bool read_output(struct session *x, int *fd, enum ro_frame type) {
  char bytes[piece];
  ssize_t n = *fd >= 0 ? read(*fd, bytes, sizeof bytes) : 0;
  if (n > 0) {
    send_frame(x, type, bytes, (size_t)n);
    return true;
  }
  if (n == 0 || (errno != EAGAIN && errno != EINTR))
    shut(fd);
  return false;
}

static void reap(struct session *x) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
    if (pid == x->pid) {
      x->ended = true;
      x->status = status;
    }
}

static void converse(struct session *x, int signals) {
  reap(x);
  while (!x->ended && !x->broken) {
    bool full = x->input.len > 0;
    struct pollfd p[] = {{.fd = 0, .events = full ? 0 : POLLIN},
                         {.fd = signals, .events = POLLIN},
                         {.fd = x->out, .events = POLLIN},
                         {.fd = x->err, .events = POLLIN},
                         {.fd = full && x->in >= 0 ? x->in : -1, .events = POLLOUT}};
    if (poll(p, PU_COUNT(p), -1) < 0)
      continue;
    if (p[0].revents & POLLIN)
      read_frames(x);
    else if (p[0].revents)
      x->broken = true;
    struct signalfd_siginfo info;
    if (p[1].revents && read(signals, &info, sizeof info) > 0)
      reap(x);
    if (p[2].revents)
      read_output(x, &x->out, RO_FRAME_OUT);
    if (p[3].revents)
      read_output(x, &x->err, RO_FRAME_ERR);
    if (x->in >= 0 && (p[4].revents || x->input.len || x->input_ends))
      write_input(x);
    else if (x->in < 0)
      x->input.len = 0;
  }
}

/* ---- start ---- */

static int json_file(const json_t *v, struct ro_fail *why) {
  PU_AUTO_FREE text = pu_json_text(v);
  int fd = memfd_create("process.json", MFD_CLOEXEC);
  if (fd < 0 || ro_write_all(fd, text, strlen(text)) < 0)
    return ro_fail_errno(why, "cannot keep the description of a command");
  return fd;
}

struct ends {
  int in, out, err;
};

static int pair(int *ours, int *theirs, bool reading, struct ro_fail *why) {
  int p[2];
  if (pipe2(p, O_CLOEXEC) < 0)
    return ro_fail_errno(why, "cannot make a pipe for a command");
  *ours = p[reading ? 0 : 1];
  *theirs = p[reading ? 1 : 0];
  fcntl(*ours, F_SETFL, O_NONBLOCK | (reading ? 0 : O_WRONLY));
  return 0;
}

static int call_runtime(struct session *x, const struct ends *e, int process, const char *console, struct ro_fail *why) {
  char file[64];
  snprintf(file, sizeof file, "/proc/self/fd/%d", process);
  PU_AUTO_FREE pid_file = pu_asprintf("%s/exec-%ld.pid", x->dir, (long)getpid());
  PU_AUTO_FREE log = pu_asprintf("%s/exec-%ld.log", x->dir, (long)getpid());
  const char *words[12] = {"exec", "--detach", "--pid-file", pid_file, "--process", file};
  size_t n = 6;
  if (console) {
    words[n++] = "--console-socket";
    words[n++] = console;
  }
  words[n] = x->spec.id;
  struct ro_call call = {.words = words, .in = e->in, .out = e->out, .err = e->err, .keep = process, .log = log, .words_from = x->err};
  int rc = ro_runtime_run(&x->spec, &call, why);
  PU_AUTO_FREE text = rc == 0 ? ro_read_file(AT_FDCWD, pid_file, 64, NULL) : NULL;
  unlink(pid_file);
  x->pid = text ? (pid_t)strtol(text, NULL, 10) : 0;
  if (rc == 0 && x->pid <= 0)
    return ro_fail(why, "unavailable", "the runtime started a command in container %s and did not say which process it is", x->spec.id);
  return rc;
}

static int on_terminal(struct session *x, int process, struct ro_fail *why) {
  struct ro_console console;
  struct ends e = {-1, -1, -1};
  if (pair(&x->err, &e.err, true, why) < 0)
    return -1;
  int rc = ro_console_listen(&console, x->dir, why);
  if (rc == 0 && (rc = call_runtime(x, &e, process, console.path, why)) < 0)
    ro_console_close(&console);
  close(e.err);
  shut(&x->err);
  if (rc < 0 || (x->in = ro_console_take(&console, why)) < 0)
    return -1;
  fcntl(x->in, F_SETFL, O_RDWR | O_NONBLOCK);
  x->out = fcntl(x->in, F_DUPFD_CLOEXEC, 3);
  resize(x, x->wish);
  return 0;
}

static int on_pipes(struct session *x, int process, struct ro_fail *why) {
  struct ends e = {-1, -1, -1};
  int rc = pair(&x->out, &e.out, true, why) < 0 || pair(&x->err, &e.err, true, why) < 0 ? -1 : 0;
  if (rc == 0 && pu_bool(x->wish, "stdin", false))
    rc = pair(&x->in, &e.in, false, why);
  if (rc == 0)
    rc = call_runtime(x, &e, process, NULL, why);
  int *const theirs[] = {&e.in, &e.out, &e.err};
  for (size_t i = 0; i < PU_COUNT(theirs); i++)
    shut(theirs[i]);
  return rc;
}

static int begin(struct session *x, struct ro_fail *why) {
  while (!x->wish && !x->broken)
    read_frames(x);
  if (!json_is_object(x->wish))
    return ro_fail(why, "invalid", "the first frame must be a JSON object that says what to run");
  if (ro_monspec_read(x->dir, &x->spec, why) < 0 || ro_inside_find(x->dir, &x->spec, &x->monitor, why) < 0)
    return -1;
  int root = ro_inside_root(&x->spec, &x->monitor, why);
  PU_AUTO_JSON v = root < 0 ? NULL : ro_inside_process(&x->spec, root, x->wish, why);
  if (root >= 0)
    close(root);
  int process = v ? json_file(v, why) : -1;
  if (process < 0 || ro_inside_mounts(&x->spec, &x->monitor, why) < 0)
    return -1;
  x->tty = pu_bool(x->wish, "tty", false);
  int rc = x->tty ? on_terminal(x, process, why) : on_pipes(x, process, why);
  close(process);
  return rc;
}

static void finish(struct session *x) {
  for (int i = 0; i < rest_reads && read_output(x, &x->out, RO_FRAME_OUT); i++)
    continue;
  for (int i = 0; i < rest_reads && read_output(x, &x->err, RO_FRAME_ERR); i++)
    continue;
  char text[64];
  int n = snprintf(text, sizeof text, "{\"exit_code\":%d}", WIFSIGNALED(x->status) ? 128 + WTERMSIG(x->status) : WEXITSTATUS(x->status));
  send_frame(x, RO_FRAME_EXIT, text, (size_t)n);
}

/* Nobody listens any more: the command and what it started in its session go. */
static void give_up(struct session *x) {
  if (x->pid <= 0)
    return;
  kill(-x->pid, SIGKILL);
  kill(x->pid, SIGKILL);
  while (waitpid(x->pid, &x->status, 0) < 0 && errno == EINTR)
    continue;
}

int ro_exec(const char *dir) {
  struct session x = {.dir = dir, .in = -1, .out = -1, .err = -1};
  struct ro_fail why = {0};
  sigset_t mask;
  signal(SIGPIPE, SIG_IGN);
  fcntl(0, F_SETFL, fcntl(0, F_GETFL) & ~O_NONBLOCK);
  fcntl(1, F_SETFL, fcntl(1, F_GETFL) & ~O_NONBLOCK);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  int signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK), rc = 0;
  if (begin(&x, &why) < 0) {
    rc = send_failure(&x, &why);
    give_up(&x);
  } else {
    converse(&x, signals);
    if (x.ended)
      finish(&x);
    else
      give_up(&x);
  }
  ro_fail_clear(&why);
  ro_frames_free(&x.frames);
  pu_buf_free(&x.input);
  json_decref(x.wish);
  ro_monspec_free(&x.spec);
  return rc;
}
