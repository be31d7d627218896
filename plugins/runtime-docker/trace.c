#include "config.h"
#include "trace.h"

#include "proto.h"

enum { max_steps = 8192, max_digest = 128 };
enum { RESPONSE_VERTEX = 1, RESPONSE_STATUS = 2, RESPONSE_LOG = 3 };
enum { VERTEX_DIGEST = 1, VERTEX_NAME = 3, VERTEX_CACHED = 4, VERTEX_STARTED = 5, VERTEX_COMPLETED = 6, VERTEX_ERROR = 7 };
enum { STATUS_ID = 1, STATUS_VERTEX = 2 };
enum { LOG_MESSAGE = 4 };

struct reader {
  struct rd_trace *trace;
  void (*text)(void *arg, const char *text, size_t len);
  void *arg;
};

static void say(struct reader *r, const char *before, const char *name, const char *after) {
  PU_AUTO_FREE line = pu_asprintf("%s%s%s%s", before, name, *after ? ": " : "", after);
  r->text(r->arg, line, strlen(line));
}

/* True the first time that key is seen (bytes that are no UTF-8 are keys like others). */
static bool first_time(struct rd_trace *t, const char *key) {
  if (!t->steps)
    t->steps = json_object();
  if (json_object_get(t->steps, key) || json_object_size(t->steps) >= max_steps)
    return false;
  json_object_set_new_nocheck(t->steps, key, json_true());
  return true;
}

static bool vertex(struct reader *r, struct rd_proto in) {
  PU_AUTO_FREE digest = NULL;
  PU_AUTO_FREE name = NULL;
  PU_AUTO_FREE error = NULL;
  bool cached = false, started = false, completed = false;
  for (struct rd_field f; rd_proto_next(&in, &f);) {
    if (f.number == VERTEX_DIGEST)
      pu_set(&digest, rd_proto_text(&f));
    else if (f.number == VERTEX_NAME)
      pu_set(&name, rd_proto_text(&f));
    else if (f.number == VERTEX_ERROR)
      pu_set(&error, rd_proto_text(&f));
    cached = cached || (f.number == VERTEX_CACHED && f.value);
    started = started || f.number == VERTEX_STARTED;
    completed = completed || f.number == VERTEX_COMPLETED;
  }
  if (!digest || !name || strlen(digest) > max_digest)
    return !in.bad;
  PU_AUTO_FREE end = pu_asprintf("%s end", digest);
  if (error && *error && first_time(r->trace, end)) {
    say(r, "ERROR ", name, error);
    if (!r->trace->failed)
      r->trace->failed = pu_strdup(name);
  } else if (cached && first_time(r->trace, digest)) {
    say(r, "CACHED ", name, "");
  } else if ((started || completed) && first_time(r->trace, digest)) {
    say(r, "", name, "");
  }
  return !in.bad;
}

/* "exporting layers", "naming to …": once each. */
static bool status(struct reader *r, struct rd_proto in) {
  PU_AUTO_FREE id = NULL;
  PU_AUTO_FREE digest = NULL;
  for (struct rd_field f; rd_proto_next(&in, &f);)
    if (f.number == STATUS_ID)
      pu_set(&id, rd_proto_text(&f));
    else if (f.number == STATUS_VERTEX)
      pu_set(&digest, rd_proto_text(&f));
  if (id && digest && strlen(digest) <= max_digest && strlen(id) <= 1024) {
    PU_AUTO_FREE key = pu_asprintf("%s %s", digest, id);
    if (first_time(r->trace, key))
      say(r, "", id, "");
  }
  return !in.bad;
}

static bool output(struct reader *r, struct rd_proto in) {
  for (struct rd_field f; rd_proto_next(&in, &f);)
    if (f.number == LOG_MESSAGE && f.bytes && f.len)
      r->text(r->arg, (const char *)f.data, f.len);
  return !in.bad;
}

bool rd_trace_feed(struct rd_trace *trace, const void *data, size_t len, void (*text)(void *arg, const char *text, size_t len), void *arg) {
  struct reader r = {trace, text, arg};
  struct rd_proto in = rd_proto_read(data, len);
  bool good = true;
  for (struct rd_field f; good && rd_proto_next(&in, &f);) {
    if (f.number == RESPONSE_VERTEX)
      good = vertex(&r, rd_proto_inside(&f));
    else if (f.number == RESPONSE_STATUS)
      good = status(&r, rd_proto_inside(&f));
    else if (f.number == RESPONSE_LOG)
      good = output(&r, rd_proto_inside(&f));
  }
  return good && !in.bad;
}

void rd_trace_free(struct rd_trace *trace) {
  json_decref(trace->steps);
  free(trace->failed);
  *trace = (struct rd_trace){0};
}
