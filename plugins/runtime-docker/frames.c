#include "config.h"
#include "frames.h"

enum { max_line = 256 * 1024 };

typedef void part_fn(void *arg, int stream, const void *data, size_t len, bool last);

/* What waits to be handed on together: a log of short lines would else be a call for each. */
struct joined {
  struct pu_buf bytes;
  int stream;
  part_fn *part;
  void *arg;
};

static void joined_flush(struct joined *j) {
  if (j->bytes.len)
    j->part(j->arg, j->stream, j->bytes.data, j->bytes.len, false);
  j->bytes.len = 0;
}

static void joined_add(void *arg, int stream, const void *data, size_t len, bool last) {
  struct joined *j = arg;
  (void)last;
  if (stream != j->stream)
    joined_flush(j);
  j->stream = stream;
  pu_buf_add(&j->bytes, data, len);
}

static bool head_complete(struct rd_frames *f) {
  if (f->head[0] > 2 || f->head[1] || f->head[2] || f->head[3])
    return false;
  f->left = (uint32_t)f->head[4] << 24 | (uint32_t)f->head[5] << 16 | (uint32_t)f->head[6] << 8 | f->head[7];
  return true;
}

static bool feed(struct rd_frames *f, const unsigned char *p, const unsigned char *end, part_fn *part, void *arg) {
  while (p < end) {
    if (f->have < sizeof f->head) {
      f->head[f->have++] = *p++;
      if (f->have < sizeof f->head)
        continue;
      if (!head_complete(f))
        return false;
    }
    size_t n = (size_t)(end - p) < f->left ? (size_t)(end - p) : f->left;
    f->left -= (uint32_t)n;
    if (!f->left)
      f->have = 0;
    if (n || !f->left)
      part(arg, f->head[0] == 2 ? 2 : 1, p, n, f->left == 0);
    p += n;
  }
  return true;
}

bool rd_frames_feed(struct rd_frames *f, const void *data, size_t len, bool join,
                    void (*part)(void *arg, int stream, const void *data, size_t len, bool last), void *arg) {
  const unsigned char *p = data;
  if (!join)
    return feed(f, p, p + len, part, arg);
  struct joined j = {.part = part, .arg = arg};
  bool good = feed(f, p, p + len, joined_add, &j);
  joined_flush(&j);
  pu_buf_free(&j.bytes);
  return good;
}

static void line_out(struct rd_loglines *l, int stream, rd_logline_fn *line, void *arg) {
  struct pu_buf *b = &l->line[stream];
  size_t n = b->len;
  if (n && b->data[n - 1] == '\n')
    n--;
  if (n && b->data[n - 1] == '\r')
    n--;
  line(arg, stream, l->time[stream], b->data ? b->data : "", n);
  pu_buf_free(b);
  l->time[stream][0] = 0;
}

/* A whole frame (or as much of it as fits): its timestamp goes away but for the first of a line. */
static void frame_out(struct rd_loglines *l, int stream, rd_logline_fn *line, void *arg) {
  struct pu_buf *f = &l->frame[stream], *text = &l->line[stream];
  const char *space = f->len ? memchr(f->data, ' ', f->len < 40 ? f->len : 40) : NULL;
  size_t stamp = space ? (size_t)(space - f->data) : 0;
  if (space && !l->time[stream][0] && stamp < sizeof l->time[stream]) {
    memcpy(l->time[stream], f->data, stamp);
    l->time[stream][stamp] = 0;
  }
  size_t from = space ? stamp + 1 : 0;
  pu_buf_add(text, f->data ? f->data + from : "", f->len - from);
  pu_buf_free(f);
  if (text->len && (text->data[text->len - 1] == '\n' || text->len >= max_line))
    line_out(l, stream, line, arg);
}

void rd_loglines_part(struct rd_loglines *l, int stream, const void *data, size_t len, bool last, rd_logline_fn *line, void *arg) {
  struct pu_buf *f = &l->frame[stream];
  const char *p = data;
  while (len && f->len + len > max_line) {
    size_t n = max_line - f->len;
    pu_buf_add(f, p, n);
    frame_out(l, stream, line, arg);
    p += n;
    len -= n;
  }
  pu_buf_add(f, p, len);
  if (last)
    frame_out(l, stream, line, arg);
}

void rd_loglines_end(struct rd_loglines *l, rd_logline_fn *line, void *arg) {
  for (int stream = 1; stream <= 2; stream++) {
    if (l->frame[stream].len)
      frame_out(l, stream, line, arg);
    if (l->line[stream].len)
      line_out(l, stream, line, arg);
  }
}

void rd_loglines_free(struct rd_loglines *l) {
  for (size_t i = 0; i < PU_COUNT(l->frame); i++) {
    pu_buf_free(&l->frame[i]);
    pu_buf_free(&l->line[i]);
  }
}
