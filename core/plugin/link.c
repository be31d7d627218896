/* Links: a descriptor with buffers for messages each way. What waits to be written is under a lock, since any thread may send. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "plugin/wire.h"

enum { read_chunk = 64 * 1024, reads_a_turn = 8, keep_spare = 256 * 1024 };

struct bt_link {
  struct bt_link_setup s;
  struct bt_watch *reader, *writer;
  struct bt_timer *turn;
  pthread_t thread; /* the loop's */
  struct bt_buf in;
  size_t at;  /* of in: what was delivered */
  bool eof, ended, freed;
  bool backlog; /* the buffer holds messages for the next turn: a flood waits with its sender, not with us */
  char *why;
  _Atomic int holds; /* the owner, our functions that stand on it, a post on its way */
  pthread_mutex_t lock;
  struct bt_buf out; /* under the lock */
  size_t sent;       /* of out: what was written */
  bool told;         /* a post to the loop about out is on its way */
  bool broken;       /* nothing can be written any more */
};

/* Configurations with their secrets pass here. */
static void wipe(struct bt_buf *b) {
  if (b->data)
    bt_wipe(b->data, b->len);
}

static void release(struct bt_link *link) {
  if (--link->holds)
    return;
  pthread_mutex_destroy(&link->lock);
  wipe(&link->in);
  wipe(&link->out);
  bt_buf_free(&link->in);
  bt_buf_free(&link->out);
  free(link->why);
  free(link);
}

static void end(struct bt_link *link, const char *why) {
  if (!link->why)
    link->why = bt_strdup(why);
  link->eof = true;
  bt_watch_free(&link->reader);
  bt_watch_free(&link->writer);
  if (!link->freed)
    bt_timer_set(link->turn, 0);
}

/* ---------------------------------------------------------------- writing */

/* Under the lock: writes what it can. False where the other side is gone. */
static bool write_some(struct bt_link *link) {
  while (link->sent < link->out.len) {
    ssize_t n = write(link->s.out, link->out.data + link->sent, link->out.len - link->sent);
    if (n < 0 && errno == EINTR)
      continue;
    int error = errno;
    if (n < 0 && link->sent > keep_spare) {
      bt_buf_consume(&link->out, link->sent);
      link->sent = 0;
    }
    if (n < 0)
      return error == EAGAIN;
    link->sent += (size_t)n;
  }
  link->sent = 0;
  wipe(&link->out);
  if (link->out.cap > keep_spare)
    bt_buf_free(&link->out);
  else
    link->out.len = 0;
  return true;
}

static void on_writable(void *arg, int fd, int events) {
  (void)fd, (void)events;
  struct bt_link *link = arg;
  pthread_mutex_lock(&link->lock);
  bool fine = write_some(link);
  link->broken |= !fine;
  bool empty = link->out.len == 0;
  pthread_mutex_unlock(&link->lock);
  if (empty || !fine)
    bt_watch_free(&link->writer);
  /* What it sent before its end is still to be read: the reader will find the end. */
}

/* On the loop: something waits to be written. */
static void watch_out(struct bt_link *link) {
  pthread_mutex_lock(&link->lock);
  bool waits = link->out.len && !link->broken;
  bool over = !link->broken && link->out.len - link->sent > link->s.max_out;
  if (over) {
    link->broken = true;
    wipe(&link->out);
    bt_buf_free(&link->out);
    link->sent = 0;
  }
  pthread_mutex_unlock(&link->lock);
  if (over)
    end(link, "it does not read what it is sent");
  else if (waits && !link->writer && !link->eof)
    link->writer = bt_watch_new(link->s.loop, link->s.name, link->s.out, BT_WATCH_WRITE, on_writable, link);
}

static void flush_later(void *arg) {
  struct bt_link *link = arg;
  pthread_mutex_lock(&link->lock);
  link->told = false;
  pthread_mutex_unlock(&link->lock);
  if (!link->freed)
    watch_out(link);
  release(link);
}

size_t bt_link_send(struct bt_link *link, json_t *head_steal, const void *bytes, size_t len) {
  bool ours = pthread_equal(pthread_self(), link->thread);
  pthread_mutex_lock(&link->lock);
  bool idle = link->out.len == 0;
  bt_wire_put(&link->out, head_steal, bytes, len);
  if (link->broken || link->freed)
    link->out.len = link->sent = 0;
  else if (idle && !write_some(link))
    link->broken = true;
  size_t waiting = link->out.len - link->sent;
  bool tell = waiting && !ours && !link->told && !link->freed;
  if (tell) {
    link->told = true;
    link->holds++; /* a post cannot be taken back */
  }
  pthread_mutex_unlock(&link->lock);
  if (tell)
    bt_loop_post(link->s.loop, link->s.name, flush_later, link);
  else if (ours && waiting && (!link->writer || waiting > link->s.max_out))
    watch_out(link);
  return waiting;
}

size_t bt_link_waiting(struct bt_link *link) {
  pthread_mutex_lock(&link->lock);
  size_t waiting = link->broken ? 0 : link->out.len - link->sent;
  pthread_mutex_unlock(&link->lock);
  return waiting;
}

/* ---------------------------------------------------------------- reading */

/* Reads what is there. False at the end. */
static bool read_some(struct bt_link *link) {
  if (link->at == link->in.len) {
    wipe(&link->in);
    link->at = link->in.len = 0;
    if (link->in.cap > keep_spare)
      bt_buf_free(&link->in);
  } else if (link->at > read_chunk) {
    bt_buf_consume(&link->in, link->at);
    link->at = 0;
  }
  char chunk[read_chunk];
  for (int i = 0; i < reads_a_turn; i++) {
    ssize_t n = read(link->s.in, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      return true;
    if (n <= 0)
      return false;
    bt_buf_add(&link->in, chunk, (size_t)n);
    if ((size_t)n < sizeof chunk)
      return true;
  }
  return true;
}

/* The next message; false where there is none (yet). */
static bool next_message(struct bt_link *link, struct bt_message *m) {
  BT_AUTO_ERR err = NULL;
  if (!link->in.data)
    return false;
  long n = bt_wire_get(link->in.data + link->at, link->in.len - link->at, link->s.max_json, m, &err);
  if (n < 0) {
    link->at = link->in.len;
    BT_AUTO_FREE char *why = bt_asprintf("it sent garbage: %s", bt_err_message(err));
    end(link, why);
  }
  if (n > 0)
    link->at += (size_t)n;
  return n > 0;
}

static void finish(struct bt_link *link) {
  if (link->ended || !link->eof)
    return;
  link->ended = true;
  link->s.on_end(link->s.arg, link->why);
}

/* Hands on what came, so many messages a turn that others get theirs. */
static void deliver(struct bt_link *link) {
  struct bt_message m;
  int left = link->s.budget;
  int64_t until = left ? bt_clock_mono_ms() + link->s.turn_ms : 0;
  bool more = true;
  link->holds++;
  link->backlog = false;
  while (!link->freed && !link->ended && more) {
    if (link->s.budget && (left-- == 0 || bt_clock_mono_ms() > until)) {
      link->backlog = true;
      bt_timer_set(link->turn, link->s.pause_ms);
      break;
    }
    more = next_message(link, &m);
    if (more) {
      link->s.on_message(link->s.arg, &m);
      json_decref(m.head);
    }
  }
  if (!link->freed && !link->backlog)
    finish(link);
  release(link);
}

static void on_turn(void *arg) { deliver(arg); }

static void on_readable(void *arg, int fd, int events) {
  (void)fd, (void)events;
  struct bt_link *link = arg;
  if (link->backlog)
    return; /* the turn is on its way */
  if (!read_some(link))
    end(link, "it ended");
  deliver(link);
}

/* ---------------------------------------------------------------- waiting for one message */

/* Takes the message at "from" of the buffer out, if it is the one; *from moves behind it. The bytes of the one are kept in front of
 * the others: it is moved there. */
static int match(struct bt_link *link, size_t *from, const char *type, int64_t id, struct bt_message *out) {
  BT_AUTO_ERR err = NULL;
  long n = link->in.data ? bt_wire_get(link->in.data + *from, link->in.len - *from, link->s.max_json, out, &err) : 0;
  if (n <= 0)
    return (int)n;
  if (strcmp(out->type, type) != 0 || bt_json_int(out->head, "id", -1) != id) {
    json_decref(out->head);
    *from += (size_t)n;
    return 1;
  }
  /* Rotate: … before … | this  ->  this | … before …, and stand behind it. */
  BT_AUTO_FREE char *own = bt_memdup(link->in.data + *from, (size_t)n);
  memmove(link->in.data + link->at + n, link->in.data + link->at, *from - link->at);
  memcpy(link->in.data + link->at, own, (size_t)n);
  out->bytes = link->in.data + link->at + n - out->len;
  link->at += (size_t)n;
  return 2;
}

bool bt_link_await(struct bt_link *link, const char *type, int64_t id, int ms, struct bt_message *out) {
  int64_t until = bt_clock_mono_ms() + ms;
  size_t from = link->at;
  for (;;) {
    int found;
    while ((found = match(link, &from, type, id, out)) == 1 && bt_clock_mono_ms() < until) {
    }
    int64_t left = until - bt_clock_mono_ms();
    if (found == 2) {
      bt_timer_set(link->turn, 0); /* for those that came before it */
      return true;
    }
    if (found < 0 || link->eof || left <= 0)
      break;
    pthread_mutex_lock(&link->lock);
    link->broken |= !write_some(link);
    bool waits = link->out.len && !link->broken;
    pthread_mutex_unlock(&link->lock);
    struct pollfd p[2] = {{.fd = link->s.in, .events = POLLIN}, {.fd = waits ? link->s.out : -1, .events = POLLOUT}};
    if (poll(p, 2, (int)left) > 0 && p[0].revents) {
      size_t before = link->at;
      if (!read_some(link))
        end(link, "it ended");
      from -= before - link->at; /* the buffer may have moved up */
    }
  }
  bt_timer_set(link->turn, 0);
  return false;
}

void bt_link_drain(struct bt_link *link) {
  link->holds++;
  int budget = link->s.budget;
  link->s.budget = 0;
  deliver(link);
  link->s.budget = budget;
  release(link);
}

/* ---------------------------------------------------------------- life */

struct bt_link *bt_link_new(const struct bt_link_setup *setup) {
  struct bt_link *link = bt_new(struct bt_link);
  link->s = *setup;
  if (!link->s.max_json)
    link->s.max_json = BT_WIRE_MAX_JSON;
  link->thread = pthread_self();
  link->holds = 1;
  pthread_mutex_init(&link->lock, NULL);
  fcntl(setup->in, F_SETFL, fcntl(setup->in, F_GETFL) | O_NONBLOCK);
  fcntl(setup->out, F_SETFL, fcntl(setup->out, F_GETFL) | O_NONBLOCK);
  link->turn = bt_timer_new(setup->loop, setup->name, on_turn, link);
  link->reader = bt_watch_new(setup->loop, setup->name, setup->in, BT_WATCH_READ, on_readable, link);
  return link;
}

void bt_link_free(struct bt_link **linkp) {
  struct bt_link *link = *linkp;
  if (!link)
    return;
  *linkp = NULL;
  bt_watch_free(&link->reader);
  bt_watch_free(&link->writer);
  bt_timer_free(&link->turn);
  pthread_mutex_lock(&link->lock);
  link->freed = true;
  close(link->s.in);
  if (link->s.out != link->s.in)
    close(link->s.out);
  pthread_mutex_unlock(&link->lock);
  release(link);
}
