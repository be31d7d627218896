#include "config.h"
#include "frames.h"

enum { max_line = 256 * 1024 };

bool rd_frames_feed(struct rd_frames *f, const void *data, size_t len,
                    void (*part)(void *arg, int stream, const void *data, size_t len, bool last), void *arg) {
  const unsigned char *p = data, *end = p + len;
  while (p < end) {
    if (f->have < sizeof f->head) {
      f->head[f->have++] = *p++;
      if (f->have < sizeof f->head)
        continue;
      if (f->head[0] > 2 || f->head[1] || f->head[2] || f->head[3])
        return false;
      f->left = (uint32_t)f->head[4] << 24 | (uint32_t)f->head[5] << 16 | (uint32_t)f->head[6] << 8 | f->head[7];
    }
    size_t n = (size_t)(end - p) < f->left ? (size_t)(end - p) : f->left;
    int stream = f->head[0] == 2 ? 2 : 1;
    f->left -= (uint32_t)n;
    if (!f->left)
      f->have = 0;
    if (n || !f->left)
      part(arg, stream, p, n, f->left == 0);
    p += n;
  }
  return true;
}

static void line_out(struct rd_loglines *l, int stream, rd_logline_fn *line, void *arg) {
  struct rd_buf *b = &l->line[stream];
  size_t n = b->len;
  if (n && b->data[n - 1] == '\n')
    n--;
  if (n && b->data[n - 1] == '\r')
    n--;
  line(arg, stream, l->time[stream], b->data ? b->data : "", n);
  rd_buf_free(b);
  l->time[stream][0] = 0;
}

/* A whole frame (or as much of it as fits): its timestamp goes away but for the first of a line. */
static void frame_out(struct rd_loglines *l, int stream, rd_logline_fn *line, void *arg) {
  struct rd_buf *f = &l->frame[stream], *text = &l->line[stream];
  const char *space = f->len ? memchr(f->data, ' ', f->len < 40 ? f->len : 40) : NULL;
  size_t stamp = space ? (size_t)(space - f->data) : 0;
  if (space && !l->time[stream][0] && stamp < sizeof l->time[stream]) {
    memcpy(l->time[stream], f->data, stamp);
    l->time[stream][stamp] = 0;
  }
  size_t from = space ? stamp + 1 : 0;
  rd_buf_add(text, f->data ? f->data + from : "", f->len - from);
  rd_buf_free(f);
  if (text->len && (text->data[text->len - 1] == '\n' || text->len >= max_line))
    line_out(l, stream, line, arg);
}

void rd_loglines_part(struct rd_loglines *l, int stream, const void *data, size_t len, bool last, rd_logline_fn *line, void *arg) {
  struct rd_buf *f = &l->frame[stream];
  const char *p = data;
  while (len && f->len + len > max_line) {
    size_t n = max_line - f->len;
    rd_buf_add(f, p, n);
    frame_out(l, stream, line, arg);
    p += n;
    len -= n;
  }
  rd_buf_add(f, p, len);
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
  for (size_t i = 0; i < RD_COUNT(l->frame); i++) {
    rd_buf_free(&l->frame[i]);
    rd_buf_free(&l->line[i]);
  }
}
