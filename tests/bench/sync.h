/* How many fdatasyncs a second the disk does, one after the other: over preallocated bytes, and appending. */
#ifndef BT_TESTS_BENCH_SYNC_H
#define BT_TESTS_BENCH_SYNC_H

#include <math.h>
#include <stdbool.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/clock.h"

enum { sync_block = 4096, sync_blocks = 256 };

/* Makes room for the first way. */
static inline bool sync_prepare(int fd) {
  static char bytes[sync_blocks * sync_block];
  return pwrite(fd, bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes && fsync(fd) == 0;
}

static inline double sync_rate(int fd, bool append, int64_t ms) {
  static char bytes[sync_block];
  int64_t start = bt_clock_mono_us(), end = start + ms * 1000;
  long n = 0;
  off_t at = append ? lseek(fd, 0, SEEK_END) : 0;
  while (bt_clock_mono_us() < end) {
    if (pwrite(fd, bytes, sync_block, at) != sync_block || fdatasync(fd) < 0)
      return NAN;
    at = append ? at + sync_block : (at + sync_block) % (sync_blocks * sync_block);
    n++;
  }
  return (double)n * 1e6 / (double)(bt_clock_mono_us() - start);
}

#endif
