/* Calls of a plug-in's methods with made-up arguments: plausible ones, hostile ones, huge ones; driven by the tables of
 * plugin/describe.h, so that a new interface is called without a line here. */
#ifndef CHECK_REQUEST_H
#define CHECK_REQUEST_H

#include "bench.h"

enum check_flavour { CHECK_TYPICAL, CHECK_HOSTILE, CHECK_HUGE_ARGS };
enum { CHECK_HOSTILE_ROUNDS = 14 }; /* variants of CHECK_HOSTILE, numbered from 0 */

/* Calls the method on the running entry. op: what INPUT and RESIZE speak about; else NULL. Gives the new operation, or NULL for
 * methods that have none. The arguments are gone when it returns, as the contract has it. */
struct check_op *check_call(struct check_bench *bench, const struct check_method *method, enum check_flavour flavour, int variant,
                            const struct check_op *op);

#endif
