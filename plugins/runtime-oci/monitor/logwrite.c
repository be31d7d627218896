#include "config.h"
#include "logwrite.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/util.h"
#include "files.h"

enum { head_max = 64 };

static int reopen(struct ro_logwriter *w) {
  w->fd = open(w->path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
  w->size = w->fd >= 0 ? lseek(w->fd, 0, SEEK_END) : 0;
  return w->fd >= 0 ? 0 : -1;
}

int ro_logwriter_open(struct ro_logwriter *w, const char *path, int64_t max_size, int max_files) {
  w->path = pu_strdup(path);
  w->max_size = max_size > 0 ? max_size : 0;
  w->max_files = max_files > 0 ? max_files : 1;
  return reopen(w);
}

/* The oldest goes, the others move on by one. Readers that follow hold the old file open, and find it by its inode. */
static void rotate(struct ro_logwriter *w) {
  if (w->max_files == 1)
    unlink(w->path);
  for (int i = w->max_files - 1; i > 0; i--) {
    PU_AUTO_FREE to = pu_asprintf("%s.%d", w->path, i);
    PU_AUTO_FREE from = i > 1 ? pu_asprintf("%s.%d", w->path, i - 1) : pu_strdup(w->path);
    rename(from, to);
  }
  close(w->fd);
  if (reopen(w) == 0 && w->size >= w->max_size && ftruncate(w->fd, 0) == 0)
    w->size = 0; /* it could not be renamed: the bound counts more than the old lines */
}

/* All or nothing: half a record is cut off again, so that the file stays readable. */
static bool put(struct ro_logwriter *w, const char *data, size_t len) {
  if (w->fd < 0 && reopen(w) < 0)
    return false;
  if (w->max_size && w->size > 0 && w->size + (int64_t)len > w->max_size)
    rotate(w);
  if (w->fd < 0)
    return false;
  if (ro_write_all(w->fd, data, len) < 0) {
    if (ftruncate(w->fd, w->size) < 0) { /* begin a new line at least, with the next record */
      close(w->fd);
      w->fd = -1;
    }
    return false;
  }
  w->size += (int64_t)len;
  return true;
}

static size_t head(struct ro_logwriter *w, char *out, const char *stream, bool whole) {
  long long now = ro_now_ns();
  w->last_ns = now > w->last_ns ? now : w->last_ns + 1;
  long long second = w->last_ns / 1000000000;
  if (second != w->second_of || !w->second[0]) {
    char text[32];
    ro_time_text(w->last_ns, text);
    memcpy(w->second, text, 19);
    w->second_of = second;
  }
  return (size_t)snprintf(out, head_max, "%.19s.%09dZ %s %c ", w->second, (int)(w->last_ns % 1000000000), stream, whole ? 'F' : 'P');
}

static void tell_lost(struct ro_logwriter *w) {
  char line[head_max + 160];
  size_t n = head(w, line, "stderr", true);
  n += (size_t)snprintf(line + n, sizeof line - n, "[berth: %" PRIu64 " lines of this log found no room on the disk and are lost]\n", w->lost_now);
  if (put(w, line, n))
    w->lost_now = 0;
}

static void flush(struct ro_logwriter *w) {
  if (!w->out_have)
    return;
  if (w->lost_now)
    tell_lost(w);
  if (w->lost_now || !put(w, w->out, w->out_have)) {
    w->lost += w->out_lines;
    w->lost_now += w->out_lines;
  }
  w->out_have = 0;
  w->out_lines = 0;
}

static void record(struct ro_logwriter *w, const struct ro_logstream *s, const char *text, size_t len, bool whole) {
  size_t bound = sizeof w->out;
  if (w->max_size && (size_t)w->max_size < bound)
    bound = (size_t)w->max_size;
  if (w->out_have && w->out_have + len + head_max + 1 > bound)
    flush(w);
  w->out_have += head(w, w->out + w->out_have, s->name, whole);
  memcpy(w->out + w->out_have, text, len);
  w->out_have += len;
  w->out[w->out_have++] = '\n';
  w->out_lines++;
}

void ro_logwriter_took(struct ro_logwriter *w, struct ro_logstream *s, size_t n, long long now_ms) {
  if (s->have == 0)
    s->since_ms = now_ms;
  size_t at = 0, scan = s->have, end = s->have + n;
  const char *nl;
  while ((nl = memchr(s->bytes + scan, '\n', end - scan))) {
    size_t stop = (size_t)(nl - s->bytes);
    for (; stop - at > RO_LOG_PIECE; at += RO_LOG_PIECE)
      record(w, s, s->bytes + at, RO_LOG_PIECE, false);
    record(w, s, s->bytes + at, stop - at, true);
    at = scan = stop + 1;
    s->since_ms = now_ms;
  }
  for (; end - at >= RO_LOG_PIECE; at += RO_LOG_PIECE)
    record(w, s, s->bytes + at, RO_LOG_PIECE, false);
  s->have = end - at;
  if (at && s->have)
    memmove(s->bytes, s->bytes + at, s->have);
  flush(w);
}

void ro_logwriter_piece(struct ro_logwriter *w, struct ro_logstream *s) {
  if (!s->have)
    return;
  record(w, s, s->bytes, s->have, false);
  s->have = 0;
  flush(w);
}

void ro_logwriter_close(struct ro_logwriter *w) {
  flush(w);
  if (w->lost_now)
    tell_lost(w);
  if (w->fd >= 0)
    close(w->fd);
  w->fd = -1;
  free(w->path);
  w->path = NULL;
}
