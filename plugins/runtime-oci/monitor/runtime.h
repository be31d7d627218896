/* One call of the OCI runtime (crun, runc, youki): its words, its descriptors, and why it failed, out of its log. */
#ifndef RO_RUNTIME_H
#define RO_RUNTIME_H

#include <sys/types.h>

#include "fail.h"
#include "spec.h"

struct ro_call {
  const char *const *words; /* after the global options: "run", "--detach", …; NULL behind */
  int in, out, err;         /* its 0, 1 and 2; -1: /dev/null */
  int keep;                 /* a descriptor it inherits under the same number; -1: none */
  const char *log;          /* file for its --log */
  int words_from;           /* our end (not blocking) of a pipe that err leads to, for what it says when its log is empty; -1: none */
};

/* Starts it and waits. 0 where it exited with 0, else -1 with its own last words and a code that fits them: not_found (no such command),
 * denied (it may not be run), invalid, exhausted. */
int ro_runtime_run(const struct ro_monspec *s, const struct ro_call *call, struct ro_fail *why);

#endif
