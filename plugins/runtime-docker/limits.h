/* What the engine's own process may give to containers: a ulimit over its hard limit makes a start fail where it lacks
 * CAP_SYS_RESOURCE (engines inside of containers). Known only of an engine on this machine, from /proc. */
#ifndef RD_LIMITS_H
#define RD_LIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { RD_LIMITS = 16 };
struct rd_limits {
  bool bound;              /* it may not raise limits; else the rest means nothing */
  int64_t hard[RD_LIMITS]; /* -1: unlimited; in the order of the names in limits.c */
};

/* Looks at the process that listens on the unix socket; NULL (TCP) or any trouble: nothing is bound. */
void rd_limits_read(struct rd_limits *out, const char *socket_path);
/* The parts: /proc/PID/limits and /proc/PID/status as they are. */
void rd_limits_parse(struct rd_limits *out, FILE *limits, FILE *status);
/* For rd_spec_env: arg is a struct rd_limits. */
bool rd_limits_hard(const void *arg, const char *name, int64_t *hard);

#endif
