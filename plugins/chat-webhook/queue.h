/* What is to be sent, in order, and how far the stream of events was read: both kept in the server's key-value store, so that a
 * restart neither loses nor repeats a message (but for one that was sent and not yet struck off). Knows nothing of HTTP.
 *
 * Keys: "q/<sequence>" a message; "cursor" {"revision", "seen"}: all events before that revision were dealt with, and so many of
 * the ones that share it. */
#ifndef CW_QUEUE_H
#define CW_QUEUE_H

#include <berth/host.h>

#include "../common/util.h"

struct cw_message {
  uint64_t sequence;
  uint64_t revision, seen; /* of the event; 0 where it is none */
  int64_t at_ms;           /* wall clock, when it was queued */
  char *text, *channel;    /* channel: NULL for the default */
  struct cw_message *next;
};

struct cw_queue {
  const struct berth_host *host;
  const struct berth_host_kv *kv;
  const struct berth_host_log *log;
  struct cw_message *first, **last;
  size_t len;
  uint64_t next_sequence;
  uint64_t revision, seen; /* the cursor */
  bool dirty;              /* the stored cursor is older */
  bool complained;         /* of the store */
};

void cw_queue_init(struct cw_queue *q, const struct berth_host *host);
void cw_queue_load(struct cw_queue *q); /* what an earlier run left */
void cw_queue_free(struct cw_queue *q); /* the stored part stays */

/* Moves the cursor over an event; false where an earlier run dealt with it. */
bool cw_queue_pass(struct cw_queue *q, uint64_t revision);
/* The revision to subscribe after; 0: from now on. */
uint64_t cw_queue_resume_from(const struct cw_queue *q);
/* Queues a message of the event at the cursor (of none where event is false). done (may be NULL) when it is stored, or with a code. */
void cw_queue_add(struct cw_queue *q, bool event, char *text_steal, const char *channel, int64_t now_ms,
                  void (*done)(void *arg, enum berth_code code, const char *message), void *arg);
void cw_queue_drop_first(struct cw_queue *q); /* it was sent, or is given up */
/* Takes a message of no event out again, where it stands behind the first "keep". False where it is not there (any more). */
bool cw_queue_withdraw(struct cw_queue *q, uint64_t sequence, size_t keep);
void cw_queue_store_cursor(struct cw_queue *q);

#endif
