/* tool_sync FOLDER MS: prints the disk's fdatasyncs a second, the better of two ways. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "sync.h"

int main(int argc, char **argv) {
  if (argc != 3)
    return fprintf(stderr, "usage: tool_sync FOLDER MS\n"), 2;
  BT_AUTO_FREE char *path = bt_asprintf("%s/sync.XXXXXX", argv[1]);
  BT_AUTO_CLOSE int fd = mkstemp(path);
  if (fd < 0 || unlink(path) < 0 || !sync_prepare(fd))
    return perror(path), 2;
  double over = sync_rate(fd, false, atoi(argv[2]) / 2), append = sync_rate(fd, true, atoi(argv[2]) / 2);
  printf("%.0f\n", fmax(over, append));
  return 0;
}
