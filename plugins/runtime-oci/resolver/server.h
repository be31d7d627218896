/* The resolver's process: one thread, one epoll. Sockets at the gateways of networks, to the plug-in (control.c) and to other servers
 * (forward.c). What waits is bounded everywhere; over it the answer is SERVFAIL, or none. */
#ifndef RS_SERVER_H
#define RS_SERVER_H

#include <sys/socket.h>

#include "cache.h"
#include "zone.h"

enum { rs_max_flights = 512, rs_max_waiters = 64, rs_max_per_asker = 64, rs_max_streams = 128, rs_stream_idle_ms = 10000 };

struct rs_server;

/* Something with a descriptor in the epoll. */
struct rs_source {
  int fd;
  void (*ready)(struct rs_server *s, struct rs_source *source, uint32_t events); /* NULL: closed in this round */
  struct rs_source *dead;
};

struct listener {
  struct rs_source source;
  char *network;
  bool stream;
  struct ro_ip address;
  struct listener *next;
};

/* Where an answer goes. */
struct rs_asker {
  int fd;          /* of a listener; -1: to stream */
  struct sockaddr_storage to;
  socklen_t len;
  uint64_t stream; /* number of a connection, which may be gone by then */
  struct ro_ip ip;
};

struct rs_server {
  int epoll;
  int64_t now_ms;
  struct rs_zone *zone;
  struct rs_cache *cache;
  struct listener *listeners;
  struct rs_source control_listen, control; /* fd -1: none */
  struct stream *streams;
  unsigned nstreams;
  uint64_t next_stream;
  struct flight *flights;
  unsigned nflights;
  const char *resolv_conf;
  struct rs_source *dead;
  uint64_t answered;
};

/* listen: a listening unix socket (SOCK_SEQPACKET); taken. Runs until the plug-in says end, or for ever. */
int rs_server_run(int listen, const char *resolv_conf);

void rs_watch(struct rs_server *s, struct rs_source *source, int fd, uint32_t events, void (*ready)(struct rs_server *s, struct rs_source *source, uint32_t events));
void rs_rewatch(struct rs_server *s, struct rs_source *source, uint32_t events);
/* Closes its descriptor; the memory it is in is freed after this round where heap is set. */
void rs_close(struct rs_server *s, struct rs_source *source, bool heap);

/* Takes descriptors (UDP, TCP, UDP, … by gateway) for a network; those it has already are closed. */
void rs_listen(struct rs_server *s, const char *network, const int *fds, size_t n);
void rs_unlisten(struct rs_server *s, const char *network);
bool rs_is_own(const struct rs_server *s, const struct ro_ip *ip);

/* control.c */
void rs_control_accept(struct rs_server *s, struct rs_source *source, uint32_t events);

/* forward.c: asks other servers, then answers. */
void rs_forward(struct rs_server *s, const struct rs_asker *asker, const struct rs_query *q, const json_t *dns);
void rs_forward_tick(struct rs_server *s);
void rs_forward_end(struct rs_server *s);

/* Sends an answer; data has room for it and its length in front (2 bytes before data) where it goes to a stream. */
void rs_reply(struct rs_server *s, const struct rs_asker *asker, const void *data, size_t len);
void rs_reply_code(struct rs_server *s, const struct rs_asker *asker, const struct rs_query *q, int code);
size_t rs_reply_size(const struct rs_asker *asker, const struct rs_query *q);

#endif
