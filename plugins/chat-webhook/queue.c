#include "queue.h"

#include <inttypes.h>
#include <stdio.h>

enum { key_room = 32, max_text = 48 * 1024 /* with its JSON below the store's 64 KiB */ };

static void queue_key(uint64_t sequence, char key[key_room]) { snprintf(key, key_room, "q/%016" PRIx64, sequence); }

static void message_free(struct cw_message *m) {
  free(m->text);
  free(m->channel);
  free(m);
}

static void append(struct cw_queue *q, struct cw_message *m) {
  *q->last = m;
  q->last = &m->next;
  q->len++;
}

void cw_queue_init(struct cw_queue *q, const struct berth_host *host) {
  *q = (struct cw_queue){.host = host,
                         .kv = host->service(host, BERTH_HOST_KV),
                         .log = host->service(host, BERTH_HOST_LOG),
                         .next_sequence = 1};
  q->last = &q->first;
}

void cw_queue_free(struct cw_queue *q) {
  while (q->first) {
    struct cw_message *m = q->first;
    q->first = m->next;
    message_free(m);
  }
  *q = (struct cw_queue){0};
}

/* ---------------------------------------------------------------- loading */

static bool found_cursor(void *arg, const char *key, const void *value, size_t len) {
  struct cw_queue *q = arg;
  PU_AUTO_JSON o = pu_eq(key, "cursor") ? pu_json_parse(value, len) : NULL;
  if (o) {
    q->revision = (uint64_t)pu_int(o, "revision", 0);
    q->seen = (uint64_t)pu_int(o, "seen", 0);
  }
  return true;
}

/* The cursor is stored late: what is in the queue was read, too. */
static void cursor_at_least(struct cw_queue *q, uint64_t revision, uint64_t seen) {
  if (revision < q->revision || (revision == q->revision && seen <= q->seen))
    return;
  q->revision = revision;
  q->seen = seen;
}

static bool found_message(void *arg, const char *key, const void *value, size_t len) {
  struct cw_queue *q = arg;
  PU_AUTO_JSON o = pu_json_parse(value, len);
  uint64_t sequence = 0;
  if (!o || !pu_str(o, "text") || sscanf(key, "q/%16" SCNx64, &sequence) != 1)
    return true; /* not ours to read: left where it is */
  struct cw_message *m = pu_new(struct cw_message);
  *m = (struct cw_message){.sequence = sequence,
                           .revision = (uint64_t)pu_int(o, "revision", 0),
                           .seen = (uint64_t)pu_int(o, "seen", 0),
                           .at_ms = pu_int(o, "at", 0),
                           .text = pu_strdup(pu_str(o, "text")),
                           .channel = pu_strdup(pu_str(o, "channel"))};
  append(q, m);
  cursor_at_least(q, m->revision, m->seen);
  if (sequence >= q->next_sequence)
    q->next_sequence = sequence + 1;
  return true;
}

void cw_queue_load(struct cw_queue *q) {
  q->kv->scan(q->host, "cursor", found_cursor, q);
  q->kv->scan(q->host, "q/", found_message, q);
}

/* ---------------------------------------------------------------- the cursor */

bool cw_queue_pass(struct cw_queue *q, uint64_t revision) {
  if (revision < q->revision)
    return false;
  if (revision > q->revision) {
    q->revision = revision;
    q->seen = 0;
  }
  q->seen++;
  q->dirty = true;
  return true;
}

/* One before the cursor's revision, since several events may share one; those that were seen are counted off by the caller. */
uint64_t cw_queue_resume_from(const struct cw_queue *q) { return q->revision > 1 ? q->revision - 1 : q->revision; }

static void stored(void *arg, enum berth_code code, const char *message) {
  struct cw_queue *q = arg;
  if (code == BERTH_OK || code == BERTH_CANCELLED) {
    q->complained = q->complained && code != BERTH_OK;
    return;
  }
  PU_AUTO_FREE text = pu_asprintf("the queue cannot be stored, a restart would lose it: %s", message);
  if (!q->complained)
    q->log->log(q->host, BERTH_LOG_WARN, text);
  q->complained = true;
}

void cw_queue_store_cursor(struct cw_queue *q) {
  char text[96];
  if (!q->dirty)
    return;
  q->dirty = false;
  int n = snprintf(text, sizeof text, "{\"revision\":%" PRIu64 ",\"seen\":%" PRIu64 "}", q->revision, q->seen);
  q->kv->put(q->host, "cursor", text, (size_t)n, stored, q);
}

/* ---------------------------------------------------------------- messages */

void cw_queue_add(struct cw_queue *q, bool event, char *text_steal, const char *channel, int64_t now_ms,
                  void (*done)(void *arg, enum berth_code code, const char *message), void *arg) {
  struct cw_message *m = pu_new(struct cw_message);
  if (strlen(text_steal) > max_text)
    text_steal[max_text] = '\0';
  *m = (struct cw_message){.sequence = q->next_sequence++,
                           .revision = event ? q->revision : 0,
                           .seen = event ? q->seen : 0,
                           .at_ms = now_ms,
                           .channel = pu_strdup(channel)};
  PU_AUTO_JSON o = json_pack("{s:o,s:I,s:I,s:I}", "text", pu_json_string(text_steal), "revision", (json_int_t)m->revision, "seen",
                             (json_int_t)m->seen, "at", (json_int_t)now_ms);
  m->text = pu_strdup(pu_str(o, "text")); /* valid UTF-8 from here on */
  free(text_steal);
  if (channel)
    json_object_set_new(o, "channel", pu_json_string(channel));
  append(q, m);
  PU_AUTO_FREE text = pu_json_text(o);
  char key[key_room];
  queue_key(m->sequence, key);
  q->kv->put(q->host, key, text, strlen(text), done ? done : stored, done ? arg : q);
}

bool cw_queue_withdraw(struct cw_queue *q, uint64_t sequence, size_t keep) {
  struct cw_message **at = &q->first;
  for (; *at && (keep || (*at)->sequence != sequence); keep -= keep > 0)
    at = &(*at)->next;
  struct cw_message *m = *at;
  if (!m)
    return false;
  char key[key_room];
  queue_key(sequence, key);
  q->kv->put(q->host, key, NULL, 0, stored, q);
  *at = m->next;
  if (!m->next)
    q->last = at;
  q->len--;
  message_free(m);
  return true;
}

void cw_queue_drop_first(struct cw_queue *q) {
  struct cw_message *m = q->first;
  char key[key_room];
  queue_key(m->sequence, key);
  /* The cursor first: without it and the message, the event would be read again. */
  if (m->revision)
    cw_queue_store_cursor(q);
  q->kv->put(q->host, key, NULL, 0, stored, q);
  q->first = m->next;
  if (!q->first)
    q->last = &q->first;
  q->len--;
  message_free(m);
}
