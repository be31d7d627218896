/* Server-Sent Events: one answer that goes on. Events are framed here; a comment every 15 s keeps proxies from closing a
 * silent stream. */
#ifndef BT_API_SSE_H
#define BT_API_SSE_H

#include <stdint.h>

#include "api/http_server.h"
#include "loop/loop.h"

struct bt_sse;

/* Begins the answer. The exchange's on_gone and on_drain stay the caller's to set. */
struct bt_sse *bt_sse_begin(struct bt_loop *loop, struct bt_exchange *x);
/* id NULL: none; event NULL: "message". data may have several lines. Returns the bytes that wait for the reader. */
size_t bt_sse_send(struct bt_sse *sse, const char *id, const char *event, const char *data);
/* Tells the reader where to resume without telling an event (a frame with an id alone). */
void bt_sse_mark(struct bt_sse *sse, const char *id);
/* Ends the answer and the exchange. */
void bt_sse_end(struct bt_sse **sse);
/* Where to resume: the Last-Event-ID header, else ?after=; UINT64_MAX: from now on. -1 where it is no number. */
int bt_sse_resume_point(const struct bt_req *req, uint64_t *after, struct bt_err **err) BT_CHECK;

#endif
