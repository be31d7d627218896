/* A tag's digest: mirrors first, then the registry; HEAD where that suffices, else the manifest itself. */
#ifndef RO_RESOLVE_H
#define RO_RESOLVE_H

#include <berth/registry.h>

#include "client.h"

struct ro_resolve;

/* A resolution that will finish op; it is in *list until then. */
void ro_resolve_start(struct ro_resolve **list, const struct berth_host *host, struct ro_client *client,
                      const struct ro_settings *settings, berth_op op, const char *image, const char *platform);
/* True where op was among them. */
bool ro_resolve_cancel(struct ro_resolve *list, berth_op op);

/* The digest of the entry of an index for "os/arch[/variant]", borrowed from index; NULL where none fits, with the list of what
 * there is ("linux/amd64, linux/arm64") in *there (the caller frees). */
const char *ro_pick_platform(const json_t *index, const char *platform, const json_t **entry, char **there);

#endif
