/* logs: the files that a container's monitor writes, the oldest first, and what is added while somebody follows. Files are read in a worker, a
 * piece at a time; the next piece is read when the host has taken the last. */
#include "config.h"
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crilog.h"

enum { piece_bytes = 64 << 10, most_files = 100, pause_ms = 20, longest_line = 256 << 10 };

/* What a worker reads with; it outlives the operation where it is at work when that ends. */
struct reader {
  char *path;          /* ROOT/containers/ID/log */
  int fd;              /* -1: none yet */
  off_t at;
  int64_t tail;        /* >= 0: begin with so many lines */
  bool begun, busy;    /* busy: a worker has it, and frees it where nobody waits any more */
  bool final;          /* the container has ended: the end of the file is the end */
  int64_t left;        /* < 0: no end; else bytes to read yet: what was there at the beginning, however fast more comes */
  /* ---- what came ---- */
  char data[piece_bytes];
  size_t len;
  bool end;            /* nothing more for now */
};

struct logs {
  struct ro_at at;
  struct reader *reader;
  struct ro_cri_feed feed;
  struct pu_buf open[3]; /* with timestamps: lines that are not whole yet, by stream */
  char *times[3];
  bool follow, timestamps, tty, room, beyond, last_round;
  int64_t since_ms, until_ms;
  int notify;
  berth_handle watch;
  bool changed; /* while a piece was on its way */
};

/* ---------------------------------------------------------------- in the worker */

static char *file_name(const struct reader *r, int k) { return k ? pu_asprintf("%s.%d", r->path, k) : pu_strdup(r->path); }

static int open_file(const struct reader *r, int k) {
  PU_AUTO_FREE path = file_name(r, k);
  return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* A rotation moves the files up one by one, the oldest first: while it is at work the number of one is not there. The next one's then. */
static bool file_stat(const struct reader *r, int k, struct stat *st) {
  PU_AUTO_FREE path = file_name(r, k);
  return stat(path, st) == 0;
}

static int oldest(const struct reader *r) {
  struct stat st;
  int k = 0;
  for (int i = 1; i < most_files && i <= k + 2; i++)
    if (file_stat(r, i, &st))
      k = i;
  return k;
}

/* That of number k or, in the middle of a rotation, the one above; *k is which. Never ours again, that moved up meanwhile. -1: none. */
static int open_older(const struct reader *r, int *k, int ours) {
  struct stat was, st;
  for (int i = *k; i <= *k + 2; i++) {
    int fd = open_file(r, i);
    bool again = fd >= 0 && ours >= 0 && fstat(ours, &was) == 0 && fstat(fd, &st) == 0 && was.st_ino == st.st_ino && was.st_dev == st.st_dev;
    if (fd >= 0 && !again) {
      *k = i;
      return fd;
    }
    if (fd >= 0)
      close(fd);
  }
  return -1;
}

/* The newest files that together hold the lines wanted, and where to begin in the first of them. */
static void begin_at_tail(struct reader *r) {
  int64_t wanted = r->tail, newer = 0;
  int k = 0, fd = open_older(r, &k, -1);
  while (fd >= 0) {
    struct stat st;
    PU_AUTO_BUF all = {0};
    char piece[65536];
    ssize_t n;
    int64_t lines = 0;
    if (fstat(fd, &st) == 0 && st.st_size < INT32_MAX)
      while ((int64_t)all.len < st.st_size && (n = read(fd, piece, sizeof piece)) > 0)
        pu_buf_add(&all, piece, (size_t)n);
    size_t from = ro_cri_tail(all.data ? all.data : "", all.len, wanted, &lines);
    k++;
    int older = lines < wanted ? open_older(r, &k, fd) : -1;
    if (older < 0) {
      r->fd = fd;
      r->at = (off_t)from;
      newer += (int64_t)(all.len - from);
      break;
    }
    close(fd);
    fd = older;
    newer += (int64_t)all.len;
    wanted -= lines;
  }
  if (r->left >= 0)
    r->left = newer;
}

static void begin_at_oldest(struct reader *r) {
  struct stat st;
  int k = oldest(r);
  r->fd = open_file(r, k);
  for (; r->left >= 0 && k >= 0; k--)
    r->left += file_stat(r, k, &st) ? st.st_size : 0;
}

/* Which number the file has now that we read: it moves up as the log is rotated. -1: it was removed. */
static int number_of(const struct reader *r) {
  struct stat ours, st;
  if (fstat(r->fd, &ours) != 0)
    return -1;
  for (int k = 0, missing = 0; k < most_files && missing < 2; k++) {
    if (!file_stat(r, k, &st))
      missing++;
    else if (st.st_ino == ours.st_ino && st.st_dev == ours.st_dev)
      return k;
  }
  return -1;
}

/* At the end of a file: the next newer one. False where there is none. */
static bool next_file(struct reader *r) {
  int k = -1, fd = -1, tries = 0;
  do { /* again where a rotation came in between: the next one would be left out */
    if (fd >= 0)
      close(fd);
    k = number_of(r);
    if (k == 0)
      return false;
    fd = open_file(r, k > 0 ? k - 1 : oldest(r));
  } while (k > 0 && number_of(r) != k && ++tries < 10);
  if (fd < 0)
    return false;
  close(r->fd);
  r->fd = fd;
  r->at = 0;
  return true;
}

static void read_work(void *data) {
  struct reader *r = data;
  r->len = 0;
  r->end = false;
  if (!r->begun) {
    r->begun = true;
    if (r->tail >= 0)
      begin_at_tail(r);
    else
      begin_at_oldest(r);
  }
  if (r->fd < 0)
    r->fd = open_file(r, 0); /* it had written nothing before */
  size_t most = r->left >= 0 && r->left < (int64_t)sizeof r->data ? (size_t)r->left : sizeof r->data;
  ssize_t n = r->fd < 0 ? 0 : pread(r->fd, r->data, most, r->at);
  while (n == 0 && most && r->fd >= 0 && next_file(r))
    n = pread(r->fd, r->data, most, r->at);
  r->len = n > 0 ? (size_t)n : 0;
  r->at += (off_t)r->len;
  if (r->left >= 0)
    r->left -= (int64_t)r->len;
  r->end = !r->len;
}

static void reader_free(void *data) {
  struct reader *r = data;
  if (r->fd >= 0)
    close(r->fd);
  free(r->path);
  free(r);
}

/* ---------------------------------------------------------------- lines out */

static void logs_drop(struct ro_op *op) {
  struct logs *l = (struct logs *)op;
  if (l->watch)
    op->self->fd->unwatch(op->self->host, l->watch);
  if (l->notify >= 0)
    close(l->notify);
  if (l->reader && !l->reader->busy)
    reader_free(l->reader);
  pu_buf_free(&l->feed.rest);
  for (size_t i = 0; i < PU_COUNT(l->open); i++) {
    pu_buf_free(&l->open[i]);
    free(l->times[i]);
  }
  free(l->at.name);
  free(l->at.signal);
}

/* A string value from bytes that may be no UTF-8. */
static json_t *line_text(const char *data, size_t len) {
  json_t *v = json_stringn(data, len);
  if (v)
    return v;
  PU_AUTO_FREE clean = pu_strndup(data, len);
  for (size_t i = 0; i < len; i++)
    if (clean[i] & 0x80 || !clean[i])
      clean[i] = '?';
  return json_string(clean);
}

static void emit_line(struct logs *l, int stream) {
  struct pu_buf *b = &l->open[stream];
  size_t n = b->len;
  if (l->tty && n && b->data[n - 1] == '\r')
    n--;
  PU_AUTO_JSON line = json_pack("{s:s, s:s, s:o}", "time", l->times[stream] ? l->times[stream] : "", "stream", stream == 2 ? "stderr" : "stdout", "line",
                                line_text(b->data ? b->data : "", n));
  l->room = ro_op_emit_json(&l->at.op, BERTH_RUNTIME_LINE, line) && l->room;
  pu_set(&l->times[stream], NULL);
  b->len = 0;
}

static void add_line(struct logs *l, const struct ro_cri *p) {
  struct pu_buf *b = &l->open[p->stream];
  if (!l->times[p->stream])
    l->times[p->stream] = pu_strndup(p->time, p->ntime);
  size_t room = b->len < longest_line ? longest_line - b->len : 0;
  pu_buf_add(b, p->text, p->len < room ? p->len : room);
  if (p->last)
    emit_line(l, p->stream);
}

static void add_bytes(struct pu_buf *out, const struct ro_cri *p) {
  pu_buf_add(out, p->text, p->len);
  if (p->last)
    pu_buf_addc(out, '\n');
}

struct taking {
  struct logs *l;
  struct pu_buf out[3]; /* of the piece that is being taken, by stream */
  int stream;           /* whose turn it is: bytes keep their order across streams */
};

static void flush(struct taking *t) {
  struct pu_buf *b = &t->out[t->stream];
  if (b->len)
    t->l->room = ro_op_emit(&t->l->at.op, t->stream == 2 ? BERTH_RUNTIME_STDERR : BERTH_RUNTIME_STDOUT, b->data, b->len) && t->l->room;
  b->len = 0;
}

static void take_piece(void *arg, const struct ro_cri *p) {
  struct taking *t = arg;
  struct logs *l = t->l;
  if (l->until_ms > 0 && p->ms > l->until_ms)
    l->beyond = true;
  if (l->beyond || (l->since_ms > 0 && p->ms >= 0 && p->ms < l->since_ms))
    return;
  if (l->timestamps) {
    add_line(l, p);
    return;
  }
  if (p->stream != t->stream)
    flush(t);
  t->stream = p->stream;
  add_bytes(&t->out[p->stream], p);
}

/* ---------------------------------------------------------------- one piece after the other */

static void read_more(struct logs *l);

static void finish(struct logs *l) {
  for (int stream = 1; l->timestamps && stream <= 2; stream++)
    if (l->open[stream].len)
      emit_line(l, stream);
  ro_op_done(&l->at.op, NULL);
}

static void room_again(struct ro_op *op) {
  struct logs *l = (struct logs *)op;
  if (ro_op_room(op))
    read_more(l);
  else
    ro_op_after(op, pause_ms, room_again);
}

/* A reader on its way through a worker. Whoever has no operation to come back to is freed here. */
struct trip {
  struct reader *reader;
  bool back;
};

static void trip_work(void *data) { read_work(((struct trip *)data)->reader); }

static void trip_free(void *data) {
  struct trip *t = data;
  if (!t->back)
    reader_free(t->reader);
  free(t);
}

static void piece_read(struct ro_op *op, void *data) {
  struct logs *l = (struct logs *)op;
  struct reader *r = l->reader;
  ((struct trip *)data)->back = true;
  r->busy = false;
  if (r->end && (!l->follow || l->last_round || l->beyond)) {
    finish(l);
    return;
  }
  if (r->end && r->final) { /* it ended while we read: what it wrote last is there now */
    l->last_round = true;
    read_more(l);
    return;
  }
  if (r->end) { /* inotify tells when there is more */
    bool again = l->changed;
    l->changed = false;
    if (again)
      read_more(l);
    return;
  }
  struct taking t = {.l = l, .stream = 1};
  l->room = true;
  ro_cri_feed(&l->feed, r->data, r->len, take_piece, &t);
  flush(&t);
  for (size_t i = 0; i < PU_COUNT(t.out); i++)
    pu_buf_free(&t.out[i]);
  if (l->beyond)
    finish(l);
  else if (l->room)
    read_more(l);
  else
    ro_op_after(op, pause_ms, room_again);
}

static void read_more(struct logs *l) {
  struct trip *t = pu_new(struct trip);
  t->reader = l->reader;
  l->reader->busy = true;
  ro_job_run(&l->at.op, t, trip_work, piece_read, trip_free);
}

/* ---------------------------------------------------------------- following */

static void notified(void *arg, int fd, int events) {
  struct logs *l = arg;
  char buffer[4096];
  (void)events;
  while (read(fd, buffer, sizeof buffer) > 0) {
  }
  if (l->reader->busy || l->at.op.timer)
    l->changed = true;
  else
    read_more(l);
}

static void container_ended(struct ro_op *op) {
  struct logs *l = (struct logs *)op;
  l->reader->final = true;
  if (!l->reader->busy && !op->timer)
    read_more(l);
}

static bool follow(struct logs *l, const char *dir) {
  struct berth_instance *self = l->at.op.self;
  l->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (l->notify < 0 || inotify_add_watch(l->notify, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0) {
    ro_op_fail(&l->at.op, BERTH_EXHAUSTED, "%s: its log cannot be followed (inotify: %s): raise fs.inotify.max_user_instances", l->at.op.subject,
               strerror(errno));
    return false;
  }
  l->watch = self->fd->watch(self->host, l->notify, BERTH_FD_READ, notified, l);
  return true;
}

static void logs_go(struct ro_at *at, struct ro_container *c) {
  struct logs *l = (struct logs *)at;
  PU_AUTO_FREE dir = ro_container_dir(at->op.self, c);
  l->reader->path = pu_asprintf("%s/log", dir);
  l->tty = c->tty;
  l->follow = l->follow && (c->state == RO_RUNNING || c->state == RO_PAUSED);
  l->reader->left = l->follow ? -1 : 0;
  at->op.container = pu_strdup(c->id);
  at->op.follows = true;
  at->op.ended = container_ended;
  if (!l->follow || follow(l, dir))
    read_more(l);
}

void ro_logs(struct berth_instance *self, berth_op id, const struct berth_runtime_logs *r) {
  struct logs *l = ro_at_new(self, id, sizeof *l, r->id, logs_drop);
  l->notify = -1;
  l->follow = r->follow;
  l->timestamps = r->timestamps;
  l->since_ms = r->since_ms;
  l->until_ms = r->until_ms;
  l->reader = pu_new(struct reader);
  l->reader->fd = -1;
  l->reader->tail = r->tail;
  ro_at_begin(&l->at, false, logs_go);
}
