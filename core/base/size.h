/* Byte sizes as people write them. One reading everywhere: Docker's, where "64m", "64mb" and "64MiB" are all 64 times
 * 1024 squared. Knows nothing of what is being measured. */
#ifndef BT_BASE_SIZE_H
#define BT_BASE_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/* "512", "64m", "1.5g", "32MiB", "2 kb": a decimal number, an optional unit of k m g t p (any case) and "b", "i", "ib".
 * false (and *bytes untouched) where it is none, is negative or does not fit. */
bool bt_size_parse(const char *text, int64_t *bytes);
/* The shortest exact form in binary units: "32MiB", "1536KiB", "1000". buf holds 32 bytes. Returns buf. */
char *bt_size_format(int64_t bytes, char buf[32]);

#endif
