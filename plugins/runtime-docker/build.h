/* One build under way, shared by build.c (request, context, output: what both builders have in common) and buildkit.c. */
#ifndef RD_BUILD_H
#define RD_BUILD_H

#include "context.h"
#include "engine.h"
#include "session.h"
#include "trace.h"

struct rd_build_secret {
  char *id;
  void *data;
  size_t len;
};

struct rd_build {
  struct rd_op op;
  json_t *spec, *tags;
  char *auth, *remote;
  struct rd_context *context; /* prepared; NULL before, and once a worker has it */
  char *dockerfile;
  int fd; /* our end of the socket; -1 */
  berth_handle watch;
  struct rd_call *call; /* whose body is the context */
  bool written;         /* the worker is done */
  char *why;            /* of the worker's failure */
  bool too_large;
  struct rd_lines lines;
  char *id, *error, *step;
  /* BuildKit */
  const char *wants; /* what asks for it: "build.secrets", "RUN --mount"; NULL: the classic builder does */
  bool must;         /* no other builder will do */
  struct rd_build_secret *secrets;
  size_t nsecrets;
  json_t *logins; /* of auth */
  struct rd_session *session;
  char *session_id;
  bool opened;
  struct rd_trace trace;
};

/* ---- build.c ---- */
/* The query of the build itself, behind "/build?version=N". The caller frees. */
void rd_build_query(const struct rd_build *build, struct pu_buf *out);
/* Starts the worker that writes the context. False: op has ended. */
bool rd_build_context(struct rd_build *build);
ssize_t rd_build_body(struct rd_op *op, void *buf, size_t room); /* read_body of the request that carries it; build->call */
/* Has the context failed? Then op has been ended with the reason. */
bool rd_build_context_failed(struct rd_build *build);
/* {"registry": {"username","password"}} -> X-Registry-Config. The caller wipes and frees; NULL: none. */
char *rd_build_logins(const char *auth_json);
bool rd_build_data(struct rd_op *op, const void *data, size_t len);    /* on_data of the build's answer */
void rd_build_done(struct rd_op *op, const struct rd_answer *answer);  /* its done */
void rd_build_text(struct rd_build *build, const char *text);          /* progress */

/* ---- buildkit.c ---- */
void rd_buildkit_run(struct rd_op *op);               /* the engine is known, the context prepared */
void rd_buildkit_trace(struct rd_build *build, const char *base64);
void rd_buildkit_drop(struct rd_build *build);        /* frees what it keeps in build */

/* ---- agents.c: the agents of rd_session_events; arg is the build ---- */
bool rd_agent_known(void *arg, const char *id);
void *rd_agent_open(void *arg, const char *id, struct rd_stream *stream);
bool rd_agent_hears(void *agent, const void *data, size_t len);
void rd_agent_close(void *agent);
/* What is wrong with build.ssh, {"id": "/path/of/socket"}, as a sentence that the caller frees; NULL: nothing. */
char *rd_agents_lack(const json_t *ssh);

#endif
