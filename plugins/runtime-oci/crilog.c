#include "config.h"
#include "crilog.h"

#include <string.h>

#include "../common/values.h"

enum { longest = 64 << 10, longest_time = 40 };

/* Reads one line without its line end. False where it is none (a write that was cut off by a crash). */
static bool parse_line(const char *line, size_t len, struct ro_cri *out) {
  const char *space = memchr(line, ' ', len < longest_time ? len : longest_time);
  if (!space)
    return false;
  *out = (struct ro_cri){.time = line, .ntime = (size_t)(space - line)};
  const char *at = space + 1;
  size_t left = len - out->ntime - 1;
  if (left < 9 || (memcmp(at, "stdout ", 7) != 0 && memcmp(at, "stderr ", 7) != 0) || (at[7] != 'F' && at[7] != 'P') || at[8] != ' ')
    return false;
  char time[longest_time + 1];
  memcpy(time, line, out->ntime);
  time[out->ntime] = 0;
  out->ms = pu_time_ms(time);
  out->stream = at[3] == 'o' ? 1 : 2;
  out->last = at[7] == 'F';
  out->text = at + 9;
  out->len = left - 9;
  return true;
}

static void one_line(const char *line, size_t len, void (*piece)(void *arg, const struct ro_cri *p), void *arg) {
  struct ro_cri p;
  if (parse_line(line, len, &p))
    piece(arg, &p);
}

void ro_cri_feed(struct ro_cri_feed *f, const char *data, size_t len, void (*piece)(void *arg, const struct ro_cri *p), void *arg) {
  while (len) {
    const char *end = memchr(data, '\n', len);
    size_t n = end ? (size_t)(end - data) : len;
    bool whole = end && !f->rest.len && !f->skipping;
    if (whole)
      one_line(data, n, piece, arg);
    else if (!f->skipping)
      pu_buf_add(&f->rest, data, n);
    if (f->rest.len > longest) {
      f->skipping = true;
      f->rest.len = 0;
    }
    if (end && !whole) {
      if (!f->skipping)
        one_line(f->rest.data ? f->rest.data : "", f->rest.len, piece, arg);
      f->skipping = false;
      f->rest.len = 0;
    }
    data += n + (end ? 1 : 0);
    len -= n + (end ? 1 : 0);
  }
}

/* Two streams may be interleaved: a line begins with the first piece of its stream behind the end of the one before. */
size_t ro_cri_tail(const char *data, size_t len, int64_t n, int64_t *lines) {
  *lines = 0;
  if (n <= 0)
    return len;
  size_t room = (uint64_t)n < len / 40 + 1 ? (size_t)n : len / 40 + 1; /* no line of a log is shorter */
  size_t *begins = pu_calloc(room, sizeof *begins);
  bool open[3] = {false};
  size_t count = 0;
  for (size_t at = 0; at < len;) {
    const char *end = memchr(data + at, '\n', len - at);
    size_t size = end ? (size_t)(end - data) - at : len - at;
    struct ro_cri p;
    if (parse_line(data + at, size, &p)) {
      if (!open[p.stream])
        begins[count++ % room] = at;
      open[p.stream] = !p.last;
    }
    at += size + 1;
  }
  size_t kept = count < room ? count : room;
  size_t from = kept ? begins[count < room ? 0 : count % room] : len;
  free(begins);
  *lines = (int64_t)kept;
  return from;
}
