#include "base64.h"

#include "util.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *pu_base64(const void *data, size_t len) {
  const unsigned char *p = data;
  char *out = pu_calloc(1, (len + 2) / 3 * 4 + 1), *o = out;
  for (size_t i = 0; i < len; i += 3) {
    size_t left = len - i;
    unsigned v = (unsigned)p[i] << 16 | (left > 1 ? (unsigned)p[i + 1] << 8 : 0u) | (left > 2 ? (unsigned)p[i + 2] : 0u);
    *o++ = digits[v >> 18];
    *o++ = digits[v >> 12 & 63];
    *o++ = left > 1 ? digits[v >> 6 & 63] : '=';
    *o++ = left > 2 ? digits[v & 63] : '=';
  }
  return out;
}

bool pu_base64_decode(const char *text, char **out, size_t *len) {
  size_t n = strlen(text), pad = n && text[n - 1] == '=' ? 1 + (n > 1 && text[n - 2] == '=') : 0;
  char *got = pu_calloc(1, n / 4 * 3 + 1);
  *len = 0;
  for (size_t i = 0; i < n; i += 4) {
    unsigned v = 0;
    for (size_t k = 0; k < 4; k++) {
      const char *d = i + k < n - pad ? strchr(digits, text[i + k]) : digits;
      if (n % 4 || !d || !text[i + k]) {
        pu_wipe_free(got);
        return false;
      }
      v = v << 6 | (unsigned)(d - digits);
    }
    for (int k = 16; k >= 0 && *len < n / 4 * 3 - pad; k -= 8)
      got[(*len)++] = (char)(v >> k & 255);
  }
  *out = got;
  return true;
}
