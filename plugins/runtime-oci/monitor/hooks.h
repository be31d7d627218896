/* Hooks "poststop" of config.json, which no OCI runtime runs here, as its state is removed without it (sweep.h): whoever removes that state
 * runs them, with the container's state on their standard input as runtime-spec has it. */
#ifndef RO_HOOKS_H
#define RO_HOOKS_H

#include "spec.h"

/* Runs those of the bundle's config.json in their order, each at most once in a life of the container: RO_POSTSTOP in run_dir tells that they were
 * begun. Each has its own timeout (10 s where it has none), all together at most 10 s; what takes longer is killed with its process group, and
 * what remains then is not begun. A failure hinders nothing and no other hook: RO_POSTSTOP holds a sentence for each, one a line. Blocking; any thread. */
#define RO_POSTSTOP "poststop"
void ro_hooks_poststop(const char *run_dir, const struct ro_monspec *s);
/* Forgets that they were begun: a new life begins. 0, or -1 with errno. */
int ro_hooks_renew(const char *run_dir);

#endif
