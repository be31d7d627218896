#include "config.h"
#include "api/ws_frame.h"

#include <stdint.h>
#include <string.h>

static int check(const unsigned char *p, const struct bt_ws_frame *f, uint64_t len, bool open, size_t room) {
  bool control = f->op >= BT_WS_CLOSE;
  bool known = f->op <= BT_WS_BINARY || (control && f->op <= BT_WS_PONG);
  bool shortest = f->head == 6 || (f->head == 8 ? len > 125 : len > 0xffff);
  if (!(p[1] & 0x80) || (p[0] & 0x70) || !known || !shortest || (control && (!f->fin || len > 125)))
    return 1002;
  if (!control && (f->op == BT_WS_CONT) != open) /* a continuation of nothing, or a message inside another */
    return 1002;
  return !control && len > room ? 1009 : 1;
}

int bt_ws_frame_read(const unsigned char *p, size_t len, bool open, size_t held, size_t max, struct bt_ws_frame *f) {
  if (len < 2)
    return 0;
  uint64_t n = p[1] & 0x7f;
  size_t head = n == 126 ? 8 : n == 127 ? 14 : 6;
  if (!(p[1] & 0x80)) /* without a mask it is shorter, and wrong: do not wait for what may not come */
    return 1002;
  if (len < head)
    return 0;
  if (n == 126)
    n = (uint64_t)p[2] << 8 | p[3];
  else if (n == 127) {
    n = 0;
    for (int i = 0; i < 8; i++)
      n = n << 8 | p[2 + i];
  }
  *f = (struct bt_ws_frame){.op = (enum bt_ws_op)(p[0] & 0x0f), .fin = p[0] & 0x80, .head = head, .len = (size_t)n};
  memcpy(f->mask, p + head - 4, 4);
  return check(p, f, n, open, max - held);
}

bool bt_utf8_valid(const char *text, size_t len) {
  const unsigned char *s = (const unsigned char *)text, *e = s + len;
  while (s < e) {
    int n = *s < 0x80 ? 0 : *s >= 0xc2 && *s < 0xe0 ? 1 : (*s & 0xf0) == 0xe0 ? 2 : *s >= 0xf0 && *s < 0xf5 ? 3 : -1;
    if (n < 0 || e - s <= n)
      return false;
    if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) || (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
      return false;
    for (int i = 1; i <= n; i++)
      if ((s[i] & 0xc0) != 0x80)
        return false;
    s += n + 1;
  }
  return true;
}

bool bt_ws_close_valid(int code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code < 5000);
}
