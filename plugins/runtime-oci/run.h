/* One berth-image process: started with its spec on standard input, its progress handed on, its last word told. It may live on a little after
 * that, to bring what it wrote to the disk for certain. */
#ifndef RO_RUN_H
#define RO_RUN_H

#include "engine.h"

struct ro_run;
/* Runs berth-image ACTION for asker, which must call ro_run_forget when it is dropped; spec is taken. Progress goes to asker as
 * BERTH_RUNTIME_PROGRESS. done once, with the result (borrowed) or NULL with code and why; not after ro_run_forget, and never from inside. */
struct ro_run *ro_run_start(struct ro_op *asker, const char *action, json_t *spec,
                            void (*done)(struct ro_op *asker, const json_t *result, enum berth_code code, const char *why));
/* Nobody asks any more: a process that has not answered yet is ended. NULL: nothing. */
void ro_run_forget(struct ro_run *run);

#endif
