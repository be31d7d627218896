/* A time zone, read from the bytes of a TZif file (RFC 8536, as /usr/share/zoneinfo has them): how far its clocks are from UTC at any
 * moment, and when they change. Times after the last transition that the file lists follow its POSIX footer. Pure: who calls has
 * read the file. Times are seconds since 1970 (UTC). Files with leap seconds ("right/…") are refused: no other clock here counts
 * them. */
#ifndef BT_MODEL_TZ_H
#define BT_MODEL_TZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define BT_TZ_MAX_BYTES (64 * 1024) /* of a file; the largest that tzdata has is under 4 KB */

struct bt_tz;

/* Whether the text can be the name of a zone: parts as "Europe", "Berlin", "GMT+2" with "/" between them, 60 bytes at the most, so
 * that no file outside of the folder of zones is ever named. */
bool bt_tz_name_ok(const char *name);
/* The zone in the bytes. NULL with BT_INVALID and what is wrong with them. Linear in size. */
struct bt_tz *bt_tz_parse(const void *bytes, size_t size, struct bt_err **err) BT_CHECK;
void bt_tz_free(struct bt_tz **tz);
/* Seconds that its clocks are before UTC (east is positive) at the time. NULL is UTC. */
int32_t bt_tz_offset(const struct bt_tz *tz, int64_t at_s);
/* The first moment after the time at which the clocks may be set: later than at_s; INT64_MAX where none comes. */
int64_t bt_tz_next_change(const struct bt_tz *tz, int64_t at_s);

#define BT_AUTO_TZ __attribute__((cleanup(bt_tz_free))) struct bt_tz *

#endif
