/* The network namespace of a container: made, joined to its networks, and bound to RUN/ID/netns in the monitor's private mounts, where
 * the runtime finds it. The monitor itself stays in the host's. */
#ifndef RO_NETNS_H
#define RO_NETNS_H

#include "fail.h"
#include "spec.h"

/* What stands in config.json as path of the network namespace; RUN/ID/netns takes its place. */
#define RO_NETNS_PLACE "/berth/netns"

/* Puts dir/netns in the place of RO_NETNS_PLACE in the bundle's config.json (rewritten atomically, only where it is there). */
int ro_netns_config(const struct ro_monspec *s, const char *dir, struct ro_fail *why);
/* Gives the process its private mounts (ro_root_private) and, by the spec's mode, a network namespace on dir/netns. */
int ro_netns_make(const struct ro_monspec *s, const char *dir, struct ro_fail *why);

#endif
