#include "config.h"
#include "loop/spent.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int bt_spent_open(void) { return open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC); }

struct bt_spent bt_spent_read(int fd) {
  struct timespec ts = {0};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts); /* the first figure of schedstat may be a scheduler's tick old */
  struct bt_spent spent = {.cpu_ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec};
  char text[80];
  ssize_t n = fd >= 0 ? pread(fd, text, sizeof text - 1, 0) : -1;
  long long ran, waited;
  text[n > 0 ? n : 0] = '\0';
  if (sscanf(text, "%lld %lld", &ran, &waited) == 2)
    spent.wait_ns = waited;
  return spent;
}
