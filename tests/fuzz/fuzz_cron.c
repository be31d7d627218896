/* A schedule and a time zone from any bytes: up to the first zero the schedule, the TZif file behind it. Both end in an error in words or
 * in something whose next and last times agree, and come soon. */
#include "config.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "model/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct bt_cron *c, const struct bt_tz *tz, int64_t after_s) {
  int64_t next = bt_cron_next(c, tz, after_s), again;
  BT_ASSERT(next > after_s);
  if (next == BT_CRON_NEVER)
    return;
  again = bt_cron_next(c, tz, next);
  BT_ASSERT(again > next);
  BT_ASSERT(bt_cron_next(c, tz, next - 1) == next || c->every_s);
  BT_ASSERT(bt_cron_last(c, tz, after_s, next) == next);
  BT_ASSERT(bt_cron_last(c, tz, after_s, next - 1) == BT_CRON_NEVER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const int64_t times[] = {0, 1774745999, 1792889999, 2147483647, 4102444800, -2000000000};
  const uint8_t *zero = size > 0 ? memchr(data, 0, size) : NULL;
  size_t len = zero ? (size_t)(zero - data) : size;
  BT_AUTO_FREE char *text = bt_strndup((const char *)data, len);
  BT_AUTO_ERR err = NULL;
  BT_AUTO_ERR err2 = NULL;
  struct bt_cron c;
  int rc = bt_cron_parse(text, &c, &err);
  BT_ASSERT((rc < 0) == (err != NULL));
  BT_AUTO_TZ tz = zero ? bt_tz_parse(zero + 1, size - len - 1, &err2) : NULL;
  BT_ASSERT(!zero || !tz == (err2 != NULL));
  for (size_t i = 0; i < BT_COUNT(times); i++) {
    int64_t change = bt_tz_next_change(tz, times[i]);
    BT_ASSERT(change > times[i]);
    BT_ASSERT(bt_tz_offset(tz, times[i]) > -27 * 3600 && bt_tz_offset(tz, times[i]) < 27 * 3600);
    if (rc == 0)
      ask(&c, tz, times[i]);
  }
  return 0;
}
