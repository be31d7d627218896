#include "config.h"
#include "frames.h"

void ro_frame_head(unsigned char head[RO_FRAME_HEAD], enum ro_frame type, size_t len) {
  head[0] = (unsigned char)type;
  for (int i = 0; i < 4; i++)
    head[1 + i] = (unsigned char)(len >> (24 - 8 * i));
}

void ro_frame_add(struct pu_buf *b, enum ro_frame type, const void *data, size_t len) {
  const char *p = data;
  do {
    unsigned char head[RO_FRAME_HEAD];
    size_t n = len > RO_FRAME_MAX ? RO_FRAME_MAX : len;
    ro_frame_head(head, type, n);
    pu_buf_add(b, head, sizeof head);
    if (n)
      pu_buf_add(b, p, n);
    p += n;
    len -= n;
  } while (len);
}

static size_t length_of(const unsigned char *head) {
  return (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
}

static bool sound(const unsigned char *head) { return head[0] && strchr("SDER12XF", head[0]) && length_of(head) <= RO_FRAME_MAX; }

bool ro_frames_feed(struct ro_frames *f, const void *data, size_t len, bool (*each)(void *arg, enum ro_frame type, const char *data, size_t len), void *arg) {
  pu_buf_add(&f->rest, data, len);
  size_t at = 0;
  bool good = true;
  while (good && f->rest.len - at >= RO_FRAME_HEAD) {
    const unsigned char *head = (const unsigned char *)f->rest.data + at;
    if (!sound(head)) {
      good = false;
      break;
    }
    size_t n = length_of(head);
    if (f->rest.len - at < RO_FRAME_HEAD + n)
      break;
    char *body = f->rest.data + at + RO_FRAME_HEAD, behind = body[n];
    body[n] = 0;
    good = each(arg, (enum ro_frame)head[0], body, n);
    body[n] = behind;
    at += RO_FRAME_HEAD + n;
  }
  if (at) {
    memmove(f->rest.data, f->rest.data + at, f->rest.len - at + 1);
    f->rest.len -= at;
  }
  return good;
}

void ro_frames_free(struct ro_frames *f) { pu_buf_free(&f->rest); }
