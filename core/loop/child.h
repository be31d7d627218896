/* Child processes: posix_spawn-like, no shell, no inherited descriptors, an environment of the caller's own, output capped. */
#ifndef BT_LOOP_CHILD_H
#define BT_LOOP_CHILD_H

#include <stddef.h>
#include <sys/types.h>

#include "loop/loop.h"

struct bt_child;

struct bt_child_request {
  const char *name;           /* for the stall watch and the log */
  const char *const *argv;    /* argv[0] is a path or found in PATH */
  const char *const *env;     /* NULL: PATH only */
  const char *cwd;            /* NULL: / */
  const void *input;
  size_t input_len;
  int64_t timeout_ms;         /* 0: none; then SIGTERM, 2 s later SIGKILL, to its process group */
  size_t max_output;          /* 0: 1 MiB; over it the child is killed */
  /* status: exit code, or the negated signal. Called once; the child is freed afterwards. */
  void (*done)(void *arg, int status, const char *out, size_t out_len, const char *err, size_t err_len);
  void *arg;
};

struct bt_child *bt_child_spawn(struct bt_loop *loop, const struct bt_child_request *request, struct bt_err **err);
void bt_child_kill(struct bt_child *child); /* SIGKILL to the group; done still comes */

#endif
