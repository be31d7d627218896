#include "config.h"
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "../../common/util.h"

enum { batch = 32, max_query = 4096, max_backlog = 256 << 10 };

/* A connection that asks over TCP. */
struct stream {
  struct rs_source source;
  struct stream *next;
  uint64_t number;
  struct ro_ip ip;
  int64_t last_ms;
  unsigned waiting; /* bytes read that are no whole question yet */
  uint8_t in[2 + max_query];
  struct pu_buf out;
};

/* ---------------------------------------------------------------- sources */

void rs_watch(struct rs_server *s, struct rs_source *source, int fd, uint32_t events, void (*ready)(struct rs_server *s, struct rs_source *source, uint32_t events)) {
  *source = (struct rs_source){.fd = fd, .ready = ready};
  epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = events, .data.ptr = source});
}

void rs_rewatch(struct rs_server *s, struct rs_source *source, uint32_t events) {
  epoll_ctl(s->epoll, EPOLL_CTL_MOD, source->fd, &(struct epoll_event){.events = events, .data.ptr = source});
}

void rs_close(struct rs_server *s, struct rs_source *source, bool heap) {
  if (source->fd >= 0)
    close(source->fd);
  source->fd = -1;
  source->ready = NULL;
  if (heap) {
    source->dead = s->dead;
    s->dead = source;
  }
}

/* ---------------------------------------------------------------- replies */

size_t rs_reply_size(const struct rs_asker *asker, const struct rs_query *q) { return asker->fd < 0 ? rs_max_message : q->size; }

static struct stream *stream_numbered(const struct rs_server *s, uint64_t number) {
  struct stream *t = s->streams;
  while (t && t->number != number)
    t = t->next;
  return t;
}

static void stream_close(struct rs_server *s, struct stream *t) {
  for (struct stream **at = &s->streams; *at; at = &(*at)->next)
    if (*at == t) {
      *at = t->next;
      break;
    }
  s->nstreams--;
  pu_buf_free(&t->out);
  rs_close(s, &t->source, true);
}

/* False: it is closed. */
static bool stream_flush(struct rs_server *s, struct stream *t) {
  while (t->out.len) {
    ssize_t n = send(t->source.fd, t->out.data, t->out.len, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN)
      break;
    if (n <= 0) {
      stream_close(s, t);
      return false;
    }
    memmove(t->out.data, t->out.data + n, t->out.len - (size_t)n);
    t->out.len -= (size_t)n;
  }
  rs_rewatch(s, &t->source, (t->out.len < max_backlog ? EPOLLIN : 0u) | (t->out.len ? EPOLLOUT : 0u));
  return true;
}

void rs_reply(struct rs_server *s, const struct rs_asker *asker, const void *data, size_t len) {
  s->answered++;
  if (asker->fd >= 0) {
    sendto(asker->fd, data, len, MSG_DONTWAIT, (const struct sockaddr *)&asker->to, asker->len);
    return;
  }
  struct stream *t = stream_numbered(s, asker->stream);
  uint8_t head[2];
  if (!t)
    return;
  rs_put16(head, (unsigned)len);
  pu_buf_add(&t->out, head, sizeof head);
  pu_buf_add(&t->out, data, len);
  stream_flush(s, t);
}

void rs_reply_code(struct rs_server *s, const struct rs_asker *asker, const struct rs_query *q, int code) {
  uint8_t data[rs_plain_size];
  struct rs_out o;
  rs_out_begin(&o, data, sizeof data, q);
  rs_reply(s, asker, data, rs_out_end(&o, q, code, false));
}

/* ---------------------------------------------------------------- questions */

/* Writes the answer into data (rs_max_message bytes) where there is one at once; 0: it comes later, or never. */
static size_t answer(struct rs_server *s, const struct rs_asker *asker, const void *question, size_t len, uint8_t *data) {
  struct rs_query q;
  struct rs_out o;
  const json_t *dns = NULL;
  int code = rs_query_read(question, len, &q);
  if (code < 0)
    return 0;
  rs_out_begin(&o, data, rs_reply_size(asker, &q), &q);
  if (code != rs_noerror)
    return rs_out_end(&o, &q, code, false);
  if (q.class != rs_in || q.type == 251 || q.type == 252) /* whole zones are nobody's to have */
    return rs_out_end(&o, &q, rs_refused, false);
  switch (rs_zone_answer(s->zone, &asker->ip, &q, &o, &code, &dns)) {
  case RS_ANSWERED:
    return rs_out_end(&o, &q, code, true);
  case RS_NOT_HERE:
    return rs_out_end(&o, &q, rs_refused, false);
  default:
    rs_forward(s, asker, &q, dns);
    return 0;
  }
}

static void ip_of(const struct sockaddr_storage *a, struct ro_ip *ip) {
  *ip = (struct ro_ip){.family = a->ss_family};
  if (a->ss_family == AF_INET)
    memcpy(ip->bytes, &((const struct sockaddr_in *)a)->sin_addr, 4);
  else
    memcpy(ip->bytes, &((const struct sockaddr_in6 *)a)->sin6_addr, 16);
  ip->prefix = ip->family == AF_INET ? 32 : 128;
}

static void datagrams(struct rs_server *s, struct rs_source *source, uint32_t events) {
  static uint8_t in[batch][max_query], out[batch][rs_edns_size + 16], large[rs_max_message];
  static struct sockaddr_storage from[batch];
  struct mmsghdr ask[batch] = {0}, tell[batch] = {0};
  struct iovec vin[batch], vout[batch];
  unsigned told = 0;
  (void)events;
  for (int i = 0; i < batch; i++) {
    vin[i] = (struct iovec){in[i], max_query};
    ask[i].msg_hdr = (struct msghdr){.msg_iov = &vin[i], .msg_iovlen = 1, .msg_name = &from[i], .msg_namelen = sizeof from[i]};
  }
  int n = recvmmsg(source->fd, ask, batch, MSG_DONTWAIT, NULL);
  for (int i = 0; i < n; i++) {
    struct rs_asker asker = {.fd = source->fd, .to = from[i], .len = ask[i].msg_hdr.msg_namelen};
    ip_of(&from[i], &asker.ip);
    size_t len = answer(s, &asker, in[i], ask[i].msg_len, large);
    if (!len || len > sizeof out[0])
      continue;
    memcpy(out[told], large, len);
    vout[told] = (struct iovec){out[told], len};
    tell[told].msg_hdr = (struct msghdr){.msg_iov = &vout[told], .msg_iovlen = 1, .msg_name = &from[i], .msg_namelen = ask[i].msg_hdr.msg_namelen};
    told++;
  }
  s->answered += told;
  for (unsigned done = 0; done < told;) {
    int sent = sendmmsg(source->fd, tell + done, told - done, MSG_DONTWAIT);
    if (sent <= 0)
      done++; /* that one is lost: whoever asked asks again */
    else
      done += (unsigned)sent;
  }
}

static bool stream_questions(struct rs_server *s, struct stream *t) {
  static uint8_t data[rs_max_message];
  uint64_t number = t->number;
  while (t->waiting >= 2) {
    unsigned len = rs_get16(t->in);
    if (len > max_query || len < rs_header)
      return false;
    if (t->waiting < len + 2)
      break;
    struct rs_asker asker = {.fd = -1, .stream = t->number, .ip = t->ip};
    size_t n = answer(s, &asker, t->in + 2, len, data);
    if (!stream_numbered(s, number))
      return true;
    t->waiting -= len + 2;
    memmove(t->in, t->in + 2 + len, t->waiting);
    if (n)
      rs_reply(s, &asker, data, n);
    if (!stream_numbered(s, number))
      return true;
  }
  return true;
}

static void stream_ready(struct rs_server *s, struct rs_source *source, uint32_t events) {
  struct stream *t = (struct stream *)source;
  t->last_ms = s->now_ms;
  if (events & EPOLLOUT && !stream_flush(s, t))
    return;
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
    return;
  ssize_t n = recv(t->source.fd, t->in + t->waiting, sizeof t->in - t->waiting, 0);
  if (n < 0 && errno == EAGAIN)
    return;
  if (n > 0)
    t->waiting += (unsigned)n;
  if (n <= 0 || !stream_questions(s, t))
    stream_close(s, t);
}

static void connections(struct rs_server *s, struct rs_source *source, uint32_t events) {
  struct sockaddr_storage from;
  socklen_t len = sizeof from;
  (void)events;
  int fd = accept4(source->fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0)
    return;
  struct ro_ip ip;
  unsigned same = 0;
  ip_of(&from, &ip);
  for (const struct stream *t = s->streams; t; t = t->next)
    same += ro_ip_same(&t->ip, &ip);
  if (s->nstreams >= rs_max_streams || same >= rs_max_streams / 8) {
    close(fd);
    return;
  }
  struct stream *t = pu_new(struct stream);
  t->number = ++s->next_stream;
  t->last_ms = s->now_ms;
  t->ip = ip;
  t->next = s->streams;
  s->streams = t;
  s->nstreams++;
  rs_watch(s, &t->source, fd, EPOLLIN, stream_ready);
}

/* ---------------------------------------------------------------- listeners */

static bool listens(const struct rs_server *s, const char *network) {
  for (const struct listener *l = s->listeners; l; l = l->next)
    if (pu_eq(l->network, network))
      return true;
  return false;
}

bool rs_is_own(const struct rs_server *s, const struct ro_ip *ip) {
  for (const struct listener *l = s->listeners; l; l = l->next)
    if (ro_ip_same(&l->address, ip))
      return true;
  return false;
}

void rs_listen(struct rs_server *s, const char *network, const int *fds, size_t n) {
  bool have = listens(s, network);
  for (size_t i = 0; i < n; i++) {
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof at;
    int type = 0;
    socklen_t type_len = sizeof type;
    if (have || getsockname(fds[i], (struct sockaddr *)&at, &len) < 0 || getsockopt(fds[i], SOL_SOCKET, SO_TYPE, &type, &type_len) < 0 ||
        (at.ss_family != AF_INET && at.ss_family != AF_INET6)) {
      close(fds[i]);
      continue;
    }
    struct listener *l = pu_new(struct listener);
    l->network = pu_strdup(network);
    l->stream = type == SOCK_STREAM;
    ip_of(&at, &l->address);
    l->next = s->listeners;
    s->listeners = l;
    rs_watch(s, &l->source, fds[i], EPOLLIN, l->stream ? connections : datagrams);
  }
}

void rs_unlisten(struct rs_server *s, const char *network) {
  for (struct listener **at = &s->listeners; *at;) {
    struct listener *l = *at;
    if (network && !pu_eq(l->network, network)) {
      at = &l->next;
      continue;
    }
    *at = l->next;
    free(l->network);
    rs_close(s, &l->source, true);
  }
}

/* ---------------------------------------------------------------- the loop */

static void tick(struct rs_server *s) {
  for (struct stream *t = s->streams, *next; t; t = next) {
    next = t->next;
    if (s->now_ms - t->last_ms > rs_stream_idle_ms)
      stream_close(s, t);
  }
  rs_forward_tick(s);
}

static void bury(struct rs_server *s) {
  while (s->dead) {
    struct rs_source *d = s->dead;
    s->dead = d->dead;
    free(d); /* a source is the first member of what it is in */
  }
}

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void run_once(struct rs_server *s) {
  struct epoll_event events[64];
  int n = epoll_wait(s->epoll, events, 64, s->nstreams || s->nflights ? 100 : -1);
  s->now_ms = now_ms();
  for (int i = 0; i < n; i++) /* what the plug-in says comes before what containers ask */
    if (events[i].data.ptr == &s->control && s->control.ready)
      s->control.ready(s, &s->control, events[i].events);
  for (int i = 0; i < n; i++) {
    struct rs_source *source = events[i].data.ptr;
    if (source != &s->control && source->ready)
      source->ready(s, source, events[i].events);
  }
  tick(s);
  bury(s);
}

int rs_server_run(int listen_fd, const char *resolv_conf) {
  struct rs_server s = {.epoll = epoll_create1(EPOLL_CLOEXEC), .zone = rs_zone_new(), .cache = rs_cache_new(), .control = {.fd = -1}, .resolv_conf = resolv_conf};
  rs_watch(&s, &s.control_listen, listen_fd, EPOLLIN, rs_control_accept);
  while (s.control_listen.fd >= 0)
    run_once(&s);
  rs_unlisten(&s, NULL);
  while (s.streams)
    stream_close(&s, s.streams);
  rs_forward_end(&s);
  rs_close(&s, &s.control, false);
  bury(&s);
  rs_zone_free(&s.zone);
  rs_cache_free(&s.cache);
  close(s.epoll);
  return 0;
}
