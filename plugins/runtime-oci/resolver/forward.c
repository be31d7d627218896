/* Questions that other servers answer: the host's (its resolv.conf, read again when it changes) or those that a container's dns names.
 * One that is asked while it is under way waits for the same answer. Against forgeries each goes out from a socket of its own with a
 * random id, and the case of its letters is random too; what comes back must have all of that. */
#include "config.h"
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/util.h"

enum { max_servers = 3, try_ms = 1500, rounds = 2, max_answer = rs_max_message };

struct waiter {
  struct rs_asker asker;
  struct rs_query q;
  struct waiter *next;
};

struct flight {
  struct rs_source source; /* fd -1 between tries */
  struct flight *next;
  struct rs_key key;
  struct rs_query q;       /* its wire: the name in random case */
  uint16_t id;
  struct ro_ip servers[max_servers];
  size_t nservers;
  unsigned tries;
  bool stream, connected;
  int64_t until_ms;
  struct waiter *waiters;
  unsigned nwaiters;
  uint8_t *in;             /* over TCP: with its length in front */
  size_t got;
};

/* ---------------------------------------------------------------- servers */

static struct {
  struct ro_ip servers[max_servers];
  size_t n;
  struct timespec changed;
  ino_t inode;
  int64_t looked_ms;
} host;

static void read_host(const struct rs_server *s) {
  struct stat st;
  char line[512], text[64];
  if (s->now_ms - host.looked_ms < 1000 && host.looked_ms)
    return;
  host.looked_ms = s->now_ms;
  if (stat(s->resolv_conf, &st) < 0 || (st.st_ino == host.inode && st.st_mtim.tv_sec == host.changed.tv_sec && st.st_mtim.tv_nsec == host.changed.tv_nsec))
    return;
  FILE *f = fopen(s->resolv_conf, "re");
  if (!f)
    return;
  host.n = 0;
  host.inode = st.st_ino;
  host.changed = st.st_mtim;
  while (host.n < max_servers && fgets(line, sizeof line, f))
    if (sscanf(line, "nameserver %63s", text) == 1 && ro_ip_parse(text, &host.servers[host.n]))
      host.n++;
  fclose(f);
}

/* Those to ask, without ourselves: asking us would go round for ever. */
static size_t choose(const struct rs_server *s, const json_t *dns, struct ro_ip out[max_servers]) {
  size_t n = 0, i;
  json_t *v;
  struct ro_ip ip;
  json_array_foreach(dns, i, v)
    if (n < max_servers && ro_ip_parse(json_string_value(v), &ip) && !rs_is_own(s, &ip))
      out[n++] = ip;
  if (dns)
    return n;
  read_host(s);
  for (i = 0; i < host.n; i++)
    if (!rs_is_own(s, &host.servers[i]))
      out[n++] = host.servers[i];
  return n;
}

static uint32_t number_of(const struct ro_ip *servers, size_t n) {
  uint32_t h = 2166136261u;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < 16; k++)
      h = (h ^ servers[i].bytes[k]) * 16777619u;
  return h;
}

/* ---------------------------------------------------------------- ends */

static void flight_close(struct rs_server *s, struct flight *f) {
  for (struct flight **at = &s->flights; *at; at = &(*at)->next)
    if (*at == f) {
      *at = f->next;
      break;
    }
  s->nflights--;
  while (f->waiters) {
    struct waiter *w = f->waiters;
    f->waiters = w->next;
    free(w);
  }
  free(f->in);
  rs_close(s, &f->source, true);
}

static void give_up(struct rs_server *s, struct flight *f, int code) {
  for (struct waiter *w = f->waiters; w; w = w->next)
    rs_reply_code(s, &w->asker, &w->q, code);
  flight_close(s, f);
}

static void arrived(struct rs_server *s, struct flight *f, const uint8_t *data, const struct rs_seen *seen) {
  static uint8_t out[rs_max_message + 16];
  rs_cache_put(s->cache, &f->key, data, seen, s->now_ms / 1000);
  for (struct waiter *w = f->waiters; w; w = w->next) {
    memcpy(out, data, seen->end);
    rs_reply(s, &w->asker, out, rs_answer_for(&w->q, out, seen, rs_reply_size(&w->asker, &w->q)));
  }
  flight_close(s, f);
}

/* ---------------------------------------------------------------- tries */

static void try_next(struct rs_server *s, struct flight *f);
static void flight_ready(struct rs_server *s, struct rs_source *source, uint32_t events);

static size_t question_of(const struct flight *f, uint8_t *d) {
  static const uint8_t opt[11] = {0, 0, rs_opt, rs_edns_size >> 8, rs_edns_size & 0xff};
  memset(d, 0, rs_header);
  rs_put16(d, f->id);
  d[2] = 1; /* RD */
  d[3] = f->q.checking ? 0x10 : 0;
  rs_put16(d + 4, 1);
  rs_put16(d + 10, 1);
  size_t at = rs_header;
  memcpy(d + at, f->q.wire, f->q.wire_len);
  at += f->q.wire_len;
  rs_put16(d + at, f->q.type);
  rs_put16(d + at + 2, rs_in);
  at += 4;
  memcpy(d + at, opt, sizeof opt);
  d[at + 7] = f->q.dnssec ? 0x80 : 0;
  return at + sizeof opt;
}

static int connect_to(const struct ro_ip *ip, int type) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(53)};
  bool v6 = ip->family == AF_INET6;
  memcpy(v6 ? (void *)&six.sin6_addr : (void *)&four.sin_addr, ip->bytes, ro_ip_bytes(ip->family));
  int fd = socket(ip->family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && connect(fd, v6 ? (void *)&six : (void *)&four, v6 ? sizeof six : sizeof four) < 0 && errno != EINPROGRESS) {
    close(fd);
    return -1;
  }
  return fd;
}

/* A fresh id, and each letter of the name in upper or lower case by chance. */
static void disguise(struct flight *f) {
  uint8_t noise[2 + (rs_max_name + 8) / 8];
  if (getrandom(noise, sizeof noise, GRND_NONBLOCK) != sizeof noise)
    memset(noise, 0x5a, sizeof noise);
  f->id = rs_get16(noise);
  for (size_t i = 0; i < f->q.wire_len; i++) {
    uint8_t c = f->q.wire[i], low = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
    if (low >= 'a' && low <= 'z')
      f->q.wire[i] = noise[2 + i / 8] >> i % 8 & 1 ? (uint8_t)(low - 32) : low;
  }
}

static void open_try(struct rs_server *s, struct flight *f, bool stream) {
  uint8_t d[rs_header + rs_max_name + 32];
  const struct ro_ip *server = &f->servers[(f->tries - 1) % f->nservers];
  disguise(f);
  int fd = connect_to(server, stream ? SOCK_STREAM : SOCK_DGRAM);
  f->until_ms = s->now_ms + try_ms;
  f->stream = stream;
  f->connected = false;
  f->got = 0;
  f->source = (struct rs_source){.fd = -1};
  if (fd < 0)
    return; /* the tick goes on */
  rs_watch(s, &f->source, fd, stream ? EPOLLOUT : EPOLLIN, flight_ready);
  size_t len = question_of(f, d);
  if (!stream)
    send(fd, d, len, MSG_NOSIGNAL);
}

static void try_next(struct rs_server *s, struct flight *f) {
  rs_close(s, &f->source, false);
  if (f->tries++ >= rounds * f->nservers)
    give_up(s, f, rs_servfail);
  else
    open_try(s, f, false);
}

/* The same server over TCP, since its answer did not fit or its letters came back changed. */
static void try_stream(struct rs_server *s, struct flight *f) {
  rs_close(s, &f->source, false);
  open_try(s, f, true);
}

static void judge(struct rs_server *s, struct flight *f, const uint8_t *d, size_t len) {
  struct rs_seen seen;
  bool case_differs = false;
  if (!rs_answer_read(d, len, f->q.wire, f->q.wire_len, f->q.type, &seen, &case_differs) || seen.id != f->id) {
    if (f->stream)
      try_next(s, f);
    return; /* a forgery over UDP, maybe: the true one may still come */
  }
  if (!f->stream && (seen.truncated || case_differs))
    try_stream(s, f);
  else if ((seen.code == rs_servfail || seen.code == rs_refused || seen.code == rs_notimp || seen.code == rs_formerr) && f->tries < rounds * f->nservers)
    try_next(s, f);
  else
    arrived(s, f, d, &seen);
}

static void stream_write(struct rs_server *s, struct flight *f) {
  uint8_t d[2 + rs_header + rs_max_name + 32];
  size_t len = question_of(f, d + 2);
  rs_put16(d, (unsigned)len);
  f->connected = true;
  if (send(f->source.fd, d, len + 2, MSG_NOSIGNAL) != (ssize_t)len + 2)
    try_next(s, f);
  else
    rs_rewatch(s, &f->source, EPOLLIN);
}

static void stream_read(struct rs_server *s, struct flight *f) {
  if (!f->in)
    f->in = pu_calloc(1, 2 + max_answer);
  ssize_t n = recv(f->source.fd, f->in + f->got, 2 + max_answer - f->got, 0);
  if (n < 0 && errno == EAGAIN)
    return;
  if (n <= 0) {
    try_next(s, f);
    return;
  }
  f->got += (size_t)n;
  if (f->got >= 2 && f->got - 2 >= rs_get16(f->in))
    judge(s, f, f->in + 2, rs_get16(f->in));
}

static void flight_ready(struct rs_server *s, struct rs_source *source, uint32_t events) {
  static uint8_t data[4096];
  struct flight *f = (struct flight *)source;
  (void)events;
  if (f->stream && !f->connected) {
    stream_write(s, f);
  } else if (f->stream) {
    stream_read(s, f);
  } else {
    ssize_t n = recv(f->source.fd, data, sizeof data, 0);
    if (n >= 0)
      judge(s, f, data, (size_t)n);
    else if (errno != EAGAIN && errno != EINTR)
      try_next(s, f); /* nobody is there */
  }
}

void rs_forward_tick(struct rs_server *s) {
  for (struct flight *f = s->flights, *next; f; f = next) {
    next = f->next;
    if (s->now_ms >= f->until_ms)
      try_next(s, f);
  }
}

void rs_forward_end(struct rs_server *s) {
  while (s->flights)
    flight_close(s, s->flights);
}

/* ---------------------------------------------------------------- questions */

static void wait_for(struct flight *f, const struct rs_asker *asker, const struct rs_query *q) {
  struct waiter *w = pu_new(struct waiter);
  *w = (struct waiter){.asker = *asker, .q = *q, .next = f->waiters};
  f->waiters = w;
  f->nwaiters++;
}

/* How many of an asker's questions are under way, and the one that is the same as this. */
static unsigned under_way(const struct rs_server *s, const struct rs_asker *asker, const struct rs_key *key, struct flight **same) {
  unsigned n = 0;
  *same = NULL;
  for (struct flight *f = s->flights; f; f = f->next) {
    if (f->key.len == key->len && memcmp(f->key.bytes, key->bytes, key->len) == 0)
      *same = f;
    for (const struct waiter *w = f->waiters; w; w = w->next)
      n += ro_ip_same(&w->asker.ip, &asker->ip);
  }
  return n;
}

void rs_forward(struct rs_server *s, const struct rs_asker *asker, const struct rs_query *q, const json_t *dns) {
  static uint8_t data[rs_max_message + 16];
  struct ro_ip servers[max_servers];
  struct flight *f;
  size_t len, n = choose(s, dns, servers);
  struct rs_key key = rs_key_of(q, number_of(servers, n));
  const struct rs_seen *seen = rs_cache_get(s->cache, &key, s->now_ms / 1000, data, &len);
  if (seen) {
    rs_reply(s, asker, data, rs_answer_for(q, data, seen, rs_reply_size(asker, q)));
    return;
  }
  unsigned busy = under_way(s, asker, &key, &f);
  if (!n || busy >= rs_max_per_asker || (f ? f->nwaiters >= rs_max_waiters : s->nflights >= rs_max_flights)) {
    rs_reply_code(s, asker, q, rs_servfail);
    return;
  }
  if (f) {
    wait_for(f, asker, q);
    return;
  }
  f = pu_new(struct flight);
  f->source.fd = -1;
  f->key = key;
  f->q = *q;
  memcpy(f->servers, servers, sizeof servers);
  f->nservers = n;
  f->next = s->flights;
  s->flights = f;
  s->nflights++;
  wait_for(f, asker, q);
  try_next(s, f);
}
