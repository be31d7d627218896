/* Who is in which network under which names, and what a question about them is answered with: by what the asker can reach. Pure but for the
 * heap; one thread.
 *
 * Names: a container's own (always answered), its service's and its aliases in a network (while it is ready). Each as "web", as
 * "web.NETWORK" and as "web.APP.NAMESPACE.berth"; what ends in .berth is never asked elsewhere. */
#ifndef RS_ZONE_H
#define RS_ZONE_H

#include <jansson.h>
#include <stdbool.h>

#include "../net/address.h"
#include "message.h"

enum { rs_own_ttl = 2 }; /* seconds: as long may somebody still go to one that is no more ready */

struct rs_zone;
struct rs_zone *rs_zone_new(void);
void rs_zone_free(struct rs_zone **z);

/* o: {"network": name, "internal": bool, "subnets": ["10.89.0.0/24"]}. False where it is none. */
bool rs_zone_network(struct rs_zone *z, const json_t *o);
void rs_zone_network_drop(struct rs_zone *z, const char *name);
/* o: {"member": id, "name", "service", "app", "namespace", "ready", "networks": {name: {"ip","ip6","aliases"}}, "srv": [{"name","port",
 * "protocol"}], "dns": [addresses]}: takes the place of the one of that id. */
bool rs_zone_member(struct rs_zone *z, const json_t *o);
void rs_zone_member_drop(struct rs_zone *z, const char *id);
/* Between the two: what was not told again is dropped. */
void rs_zone_sync_begin(struct rs_zone *z);
void rs_zone_sync_end(struct rs_zone *z);

enum rs_verdict { RS_ANSWERED, RS_ELSEWHERE, RS_NOT_HERE };
/* What a question gets. RS_ANSWERED: *code and o are filled. RS_ELSEWHERE: other servers know; *dns: those that the asker wants, or NULL
 * for the host's (borrowed). RS_NOT_HERE: to be refused (a stranger, or one whose networks have no way out). */
enum rs_verdict rs_zone_answer(struct rs_zone *z, const struct ro_ip *asker, const struct rs_query *q, struct rs_out *o, int *code, const json_t **dns);

#endif
