/* The route for webhooks: takes what proves itself and did not come before, tells the host of it. */
#ifndef SG_HOOKS_H
#define SG_HOOKS_H

#include <berth/host.h>

#include "settings.h"

struct sg_hooks;

/* NULL where there is no secret, or the host has no routes. settings: borrowed. */
struct sg_hooks *sg_hooks_new(const struct berth_host *host, const struct sg_settings *settings);
void sg_hooks_free(struct sg_hooks **hooks);

#endif
