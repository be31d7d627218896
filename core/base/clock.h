/* Time: monotonic milliseconds for intervals, wall-clock milliseconds since 1970 (UTC) for people. Pure modules never
 * call this; they get the time in their input. */
#ifndef BT_BASE_CLOCK_H
#define BT_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t bt_clock_mono_ms(void);
int64_t bt_clock_mono_us(void);
int64_t bt_clock_wall_ms(void);

/* RFC 3339 in UTC with milliseconds: "2026-11-23T06:00:00.123Z". buf holds 32 bytes. Returns buf. */
char *bt_clock_format(int64_t wall_ms, char buf[32]);
/* Parses RFC 3339 (any fraction, Z or offset); false where it is none. */
bool bt_clock_parse(const char *text, int64_t *wall_ms);

/* "4s", "3m12s", "2h5m", "3d4h": two units at the most. buf holds 32 bytes. */
char *bt_duration_human(int64_t ms, char buf[32]);
/* Go's duration format, as Compose has it: "1h30m", "1.5s", "300ms", "0"; units ns us µs ms s m h. Nanoseconds. */
bool bt_duration_parse(const char *text, int64_t *ns);
/* Go's time.Duration.String(): "1m30s", "1.5s", "0s", as "docker compose config" prints it. */
char *bt_duration_go(int64_t ns, char buf[64]);

#endif
