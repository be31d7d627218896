/* Prometheus' HTTP service discovery: which instances want to be scraped, and where. A service says so with a label. */
#ifndef MP_DISCOVERY_H
#define MP_DISCOVERY_H

#include <berth/host.h>

#include "../common/util.h"

struct mp_discovery;

/* done: exactly once, with the JSON of the target groups, or NULL and a sentence. */
typedef void (*mp_discovered)(void *arg, const char *json, const char *why);

struct mp_discovery *mp_discovery_new(const struct berth_host *host, const char *label_prefix, size_t max_targets);
void mp_discovery_free(struct mp_discovery **d); /* no question may be open */
void mp_discovery_ask(struct mp_discovery *d, mp_discovered done, void *arg);

/* One target group for an instance, or NULL where it is not to be scraped. labels: those of its service; prefix: "berth.prometheus".
 * New reference. Pure. */
json_t *mp_target(const json_t *instance, const json_t *labels, const char *prefix);

#endif
