/* When a schedule is due: cron's five fields as vixie cron reads them, its nicknames (@daily), and "@every 30s". Pure; knows no clock
 * and runs nothing.
 *
 * Clocks that are set (a change of daylight saving time) are met as vixie cron does. Where the hour field names hours, a time that
 * does not exist is due directly after the gap, and one that comes twice is due the first time only. Where it begins with a star, the
 * schedule goes by what the clock shows: what does not exist is left out, what comes twice is due twice. */
#ifndef BT_MODEL_CRON_H
#define BT_MODEL_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "model/tz.h"

#define BT_CRON_MAX_TEXT 256
#define BT_CRON_NEVER INT64_MAX

struct bt_cron {
  int64_t every_s;   /* of "@every"; 0: the fields below count */
  uint64_t minutes;  /* a bit each */
  uint32_t hours, days;     /* days: bits 1 to 31 */
  uint16_t months;          /* bits 1 to 12 */
  uint8_t weekdays;         /* bits 0 (Sunday) to 6 */
  bool any_hour;            /* the hour field begins with a star */
  bool either_day;          /* neither field of days begins with a star: one that fits is enough */
};

/* Reads a schedule. -1 with BT_INVALID and the mend, also for one that never comes (31 February). */
int bt_cron_parse(const char *text, struct bt_cron *out, struct bt_err **err) BT_CHECK;
/* The first time after after_s when it is due; "@every" counts from there. BT_CRON_NEVER where that is out of the years of any clock.
 * A microsecond; bounded. tz NULL: UTC. Seconds since 1970. */
int64_t bt_cron_next(const struct bt_cron *cron, const struct bt_tz *tz, int64_t after_s);
/* The last time after after_s and up to until_s when it was due, BT_CRON_NEVER where there is none. As much as 40 times bt_cron_next. */
int64_t bt_cron_last(const struct bt_cron *cron, const struct bt_tz *tz, int64_t after_s, int64_t until_s);

#endif
