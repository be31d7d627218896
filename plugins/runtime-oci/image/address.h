/* Which addresses a registry may send us to. Registries, and whoever names one, are not trusted to make this machine speak with what
 * only it can reach: clouds answer at link-local addresses with credentials, neighbours listen on private ones. Pure. */
#ifndef RI_IMAGE_ADDRESS_H
#define RI_IMAGE_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

enum ri_reach { RI_PUBLIC, RI_PRIVATE, RI_LOOPBACK, RI_NEVER /* link-local, multicast, none at all */ };

enum ri_reach ri_address_reach(const struct sockaddr *address);
/* own: the registry's host itself, which may be anywhere but RI_NEVER. Where else it sends us: the public, and what is as near as itself is. */
bool ri_address_allowed(enum ri_reach reach, bool own, enum ri_reach registry);

#endif
