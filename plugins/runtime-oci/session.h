/* A command in a running container, through `berth-monitor exec` and its frames (monitor/frames.h). Used by exec and by health checks. */
#ifndef RO_SESSION_H
#define RO_SESSION_H

#include "engine.h"

struct ro_session;
struct ro_session_events {
  void (*output)(void *arg, int stream, const void *data, size_t len); /* 1, 2; with a tty all is 1. Must not stop the session */
  bool (*room)(void *arg); /* false: read no more for some milliseconds. NULL: always */
  /* The last call; the session is gone. code 0: exit_code is the command's; else why says what failed. */
  void (*done)(void *arg, enum berth_code code, const char *why, int exit_code);
};
/* spec: {"args","env","user","cwd","tty","rows","cols","privileged","stdin"}. c must run. */
struct ro_session *ro_session_start(struct berth_instance *self, const struct ro_container *c, const json_t *spec,
                                    const struct ro_session_events *events, void *arg);
size_t ro_session_input(struct ro_session *s, const void *data, size_t len); /* len 0 ends it. Bytes that wait */
void ro_session_resize(struct ro_session *s, int rows, int cols);
void ro_session_stop(struct ro_session *s); /* ends the command; no callback comes any more. NULL: nothing */

#endif
