/* Our side of a BuildKit session: on the connection that the engine turned around we serve gRPC (HTTP/2 by libnghttp2) to the
 * engine: a build's secrets, credentials of registries, our health. Knows nothing of sockets and of the engine's API: bytes come
 * in with rd_session_feed and leave through send. */
#ifndef RD_SESSION_H
#define RD_SESSION_H

#include <stdbool.h>
#include <stddef.h>

enum { rd_secret_max = 500 * 1024 }; /* BuildKit takes no larger ones */

struct rd_session_events {
  void (*send)(void *arg, const void *data, size_t len);
  /* The value of a secret, borrowed until the session has sent it (so until rd_session_free); NULL where there is none. */
  const void *(*secret)(void *arg, const char *id, size_t *len);
  /* The credentials for a registry's host, as secret borrows; false: anonymous. */
  bool (*credentials)(void *arg, const char *host, const char **user, const char **password);
  void *arg;
};

/* What we serve, for the X-Docker-Expose-Session-Grpc-Method headers; ends with NULL. */
extern const char *const rd_session_methods[];

struct rd_session;
struct rd_session *rd_session_new(const struct rd_session_events *events);
bool rd_session_feed(struct rd_session *session, const void *data, size_t len); /* false: not HTTP/2; close the connection */
void rd_session_free(struct rd_session **session); /* not from inside an event */

#endif
