/* What BuildKit tells of a build (moby.buildkit.v1.StatusResponse) as lines for a person: each step once when it starts, its
 * output, its error. Knows nothing of where the messages come from. */
#ifndef RD_TRACE_H
#define RD_TRACE_H

#include "util.h"

struct rd_trace {
  json_t *steps; /* what was told already: {digest: true, "digest status": true}; at most some thousands */
  char *failed;  /* name of the step that failed; NULL: none did */
};

void rd_trace_free(struct rd_trace *trace);
/* Reads one message. text is called with pieces that may hold several lines and need not end with a line's end; borrowed, not
 * NUL-terminated. False where the message is malformed: what was read before has been told. */
bool rd_trace_feed(struct rd_trace *trace, const void *data, size_t len, void (*text)(void *arg, const char *text, size_t len), void *arg);

#endif
