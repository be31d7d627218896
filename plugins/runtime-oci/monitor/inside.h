/* A running container from outside: its monitor's mounts, its first process, its files, its users. */
#ifndef RO_INSIDE_H
#define RO_INSIDE_H

#include <jansson.h>

#include "fail.h"
#include "proc.h"
#include "spec.h"

/* Reads the record; -1 with "conflict" where the container does not run (any more). */
int ro_inside_find(const char *run_dir, const struct ro_monspec *s, struct ro_monitor *m, struct ro_fail *why);
/* Enters the monitor's mount namespace: what the runtime needs lies there as it was at the start. */
int ro_inside_mounts(const struct ro_monspec *s, const struct ro_monitor *m, struct ro_fail *why);
/* The container's own root folder (O_PATH, close on exec), as its first process sees it; -1. */
int ro_inside_root(const struct ro_monspec *s, const struct ro_monitor *m, struct ro_fail *why);
/* The process.json of a command: that of config.json with what spec (see frames.h) says otherwise. root: of ro_inside_root, for names of
 * users. New reference; NULL with why. */
json_t *ro_inside_process(const struct ro_monspec *s, int root, const json_t *spec, struct ro_fail *why);

#endif
