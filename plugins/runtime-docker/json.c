/* JSON over jansson: reading text from outside, members with defaults, strings from doubtful bytes. */
#include "config.h"
#include "util.h"

json_t *rd_json_parse(const char *text, size_t len) { return pu_json_load(text, len, JSON_ALLOW_NUL); }

/* Length of the valid UTF-8 sequence at p, 0 where there is none (also for NUL: the contract's strings end with it). */
static size_t utf8_len(const unsigned char *p, size_t n) {
  if (*p < 0x80)
    return *p != 0;
  size_t len = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
  if (*p < 0xc2 || *p > 0xf4 || len > n)
    return 0;
  for (size_t i = 1; i < len; i++)
    if ((p[i] & 0xc0) != 0x80)
      return 0;
  bool overlong = (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xf0 && p[1] < 0x90);
  bool beyond = (*p == 0xed && p[1] > 0x9f) || (*p == 0xf4 && p[1] > 0x8f);
  return overlong || beyond ? 0 : len;
}

json_t *rd_json_bytes(const void *data, size_t len) {
  const unsigned char *p = data;
  PU_AUTO_BUF clean = {0};
  for (size_t i = 0; i < len;) {
    size_t run = i, step;
    while (run < len && (step = utf8_len(p + run, len - run)) > 0)
      run += step;
    pu_buf_add(&clean, p + i, run - i);
    if (run < len) {
      pu_buf_adds(&clean, "\xef\xbf\xbd");
      run++;
    }
    i = run;
  }
  return json_stringn(clean.data ? clean.data : "", clean.len);
}
