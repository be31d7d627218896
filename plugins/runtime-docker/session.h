/* Our side of a BuildKit session: on the connection that the engine turned around we serve gRPC (HTTP/2 by libnghttp2) to the
 * engine: a build's secrets, agents of SSH, credentials of registries, our health. Knows nothing of sockets and of the engine's API: bytes come
 * in with rd_session_feed and leave through send. */
#ifndef RD_SESSION_H
#define RD_SESSION_H

#include <stdbool.h>
#include <stddef.h>

enum { rd_secret_max = 500 * 1024 }; /* BuildKit takes no larger ones */

struct rd_session;
struct rd_stream;

struct rd_session_events {
  void (*send)(void *arg, const void *data, size_t len);
  /* The value of a secret, borrowed until the session has sent it (so until rd_session_free); NULL where there is none. */
  const void *(*secret)(void *arg, const char *id, size_t *len);
  /* The credentials for a registry's host, as secret borrows; false: anonymous. */
  bool (*credentials)(void *arg, const char *host, const char **user, const char **password);
  /* Is there an agent of that id? Then agent_open connects to it for one stream; NULL: it does not answer. What it says goes to
   * rd_session_agent_says. agent_close is the last word about it, and never comes without agent_open. */
  bool (*agent_known)(void *arg, const char *id);
  void *(*agent_open)(void *arg, const char *id, struct rd_stream *stream);
  bool (*agent_hears)(void *agent, const void *data, size_t len); /* len 0: no more comes. false: it is gone */
  void (*agent_close)(void *agent);
  void *arg;
};

/* What we serve, for the X-Docker-Expose-Session-Grpc-Method headers; ends with NULL. */
extern const char *const rd_session_methods[];

struct rd_session *rd_session_new(const struct rd_session_events *events);
bool rd_session_feed(struct rd_session *session, const void *data, size_t len); /* false: not HTTP/2; close the connection */
/* Bytes of an agent for its stream; len 0: it has no more to say. The agent may be closed before this returns. Not from inside an
 * event. */
void rd_session_agent_says(struct rd_session *session, struct rd_stream *stream, const void *data, size_t len);
void rd_session_free(struct rd_session **session); /* not from inside an event */

#endif
