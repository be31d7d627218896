/* All tags of a repository, page by page. */
#ifndef RO_TAGS_H
#define RO_TAGS_H

#include <berth/registry.h>

#include "client.h"

struct ro_tags;

/* A listing that will finish op; it is in *list until then. */
void ro_tags_start(struct ro_tags **list, const struct berth_host *host, struct ro_client *client, berth_op op, const char *image);
/* True where op was among them. */
bool ro_tags_cancel(struct ro_tags *list, berth_op op);

#endif
