/* Text forms: base64. */
#include "config.h"
#include "util.h"

char *rd_base64url(const void *data, size_t len) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const unsigned char *p = data;
  struct pu_buf out = {0};
  for (size_t i = 0; i < len; i += 3) {
    size_t n = len - i < 3 ? len - i : 3;
    uint32_t v = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);
    char quad[4] = {digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=', n > 2 ? digits[v & 63] : '='};
    pu_buf_add(&out, quad, 4);
  }
  return pu_buf_steal(&out);
}

static int base64_digit(char c) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const char *at = c ? strchr(digits, c) : NULL;
  return at ? (int)(at - digits) : -1;
}

bool rd_base64_read(const char *text, struct pu_buf *out) {
  size_t len = strlen(text), pad = rd_ends(text, "==") ? 2 : rd_ends(text, "=") ? 1 : 0;
  if (len % 4)
    return false;
  for (size_t i = 0; i < len; i += 4) {
    uint32_t bits = 0;
    size_t skip = i + 4 == len ? pad : 0;
    for (size_t k = 0; k < 4; k++) {
      int digit = k < 4 - skip ? base64_digit(text[i + k]) : 0;
      if (digit < 0)
        return false;
      bits = bits << 6 | (uint32_t)digit;
    }
    const char raw[] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};
    pu_buf_add(out, raw, 3 - skip);
  }
  return true;
}
