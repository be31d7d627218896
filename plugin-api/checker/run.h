/* A test in a process of its own: started, given so many seconds, ended, and told apart: fine, failed with sentences, killed by a
 * signal (which one, and at which step), too slow. Knows nothing of plug-ins. */
#ifndef CHECK_RUN_H
#define CHECK_RUN_H

#include <stdbool.h>

#include "base/vec.h"

struct check_result {
  bool ok;
  char *skip;           /* why it was not run; NULL: it was */
  struct bt_strs fails; /* sentences */
  struct bt_strs warns, notes;
  struct bt_strs output; /* the last lines that it wrote on standard output and error */
};

/* fn(arg) runs in the child, with a process group of its own, which is killed after limit_s seconds. */
void check_run(void (*fn)(void *arg), void *arg, int limit_s, struct check_result *result);
void check_result_free(struct check_result *result);

#endif
