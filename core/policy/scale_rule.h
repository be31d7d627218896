/* A service's own Lua in x-berth.autoscale: a chunk that returns a function of what is seen, which returns a number of instances. In a
 * box of its own, made for each question (60 µs), under the limits of policies. Any thread. Knows nothing of where figures come from. */
#ifndef BT_POLICY_SCALE_RULE_H
#define BT_POLICY_SCALE_RULE_H

#include <jansson.h>

#include "policy/policy.h"

/* seen: {"current", "ready", "starting", "min", "max", "request_cpus", "request_memory", "time", "cpu", "memory", "metrics": {name: number}}; what is
 * absent reads as nil. *out is NaN where the function returned nil. -1 with BT_DENIED and file:line, where name is the file. */
int bt_scale_rule(const char *name, const char *text, const json_t *seen, const struct bt_policy_limits *limits, double *out, struct bt_err **err) BT_CHECK;

#endif
