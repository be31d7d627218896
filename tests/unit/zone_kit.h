/* For tests of time zones: TZif bytes of a rule alone, and the system's own files. */
#ifndef BT_TESTS_ZONE_KIT_H
#define BT_TESTS_ZONE_KIT_H

#include <stdio.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/tz.h"

#define ZONES "/usr/share/zoneinfo/"

/* A header of RFC 8536 with one kind of local time (UTC). */
static inline void zone_header(struct bt_buf *b) {
  static const unsigned char counts[24] = {[19] = 0, [15] = 0, [23] = 1};
  unsigned char all[44] = {'T', 'Z', 'i', 'f', '2'};
  memcpy(all + 20, counts, sizeof counts);
  all[20 + 19] = 1; /* kinds of local time */
  bt_buf_add(b, all, sizeof all);
  bt_buf_add(b, (unsigned char[7]){0}, 7); /* that one, and the zero that ends its name */
}

/* The caller frees b. */
static inline void zone_bytes(struct bt_buf *b, const char *rule) {
  zone_header(b);
  zone_header(b);
  bt_buf_addf(b, "\n%s\n", rule);
}

static inline struct bt_tz *zone_of_rule(const char *rule) {
  BT_AUTO_BUF b = {0};
  zone_bytes(&b, rule);
  return bt_tz_parse(b.data, b.len, NULL);
}

static inline struct bt_tz *zone_of_system(const char *name) {
  BT_AUTO_FREE char *path = bt_asprintf(ZONES "%s", name), *bytes = NULL;
  size_t len = 0;
  struct bt_tz *tz = bt_file_read(path, BT_TZ_MAX_BYTES, &bytes, &len, NULL) < 0 ? NULL : bt_tz_parse(bytes, len, NULL);
  if (!tz)
    printf("# %s cannot be read\n", path);
  return tz;
}

#endif
