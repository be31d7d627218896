/* The networks of this machine and who is in them: records on disk (ROOT/networks/NAME.json, ROOT/leases/ID.json), bridges, the packet
 * filter and published ports, kept equal. Every change is written first and then made; what a crash cut in two is mended when the
 * records are read again, and what another program takes away (a bridge, the whole ruleset) by ro_networks_mend.
 *
 * All of it blocks, for milliseconds: for workers. Every function may be called by any thread; one at a time goes on. JSON comes
 * in as new references where said, and stays the caller's otherwise. */
#ifndef RO_NET_NETWORK_H
#define RO_NET_NETWORK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "why.h"

/* A network with this label goes with the last container that is in it. */
#define RO_NETWORK_PASSING "berth.passing"

struct ro_networks;

/* The networks below root, opened once per process and root: reads the records, and makes what they say where the kernel does not have it.
 * pools: array of "10.89.0.0/16" that subnets are cut from, used from now on; NULL leaves them. NULL with why; it is tried again with
 * the next call. It lives as long as the process. */
struct ro_networks *ro_networks_at(const char *root, const json_t *pools, struct ro_why *why);
/* From now on names are answered at the gateways, by PROGRAMS/berth-resolver behind RUN/resolver.sock: found where it runs, started where
 * not. Without this call, or where it does not start, containers get the host's name servers. dns: array of the servers that it asks for
 * containers without dns of their own; empty: the host's. */
void ro_networks_resolver(struct ro_networks *n, const char *run, const char *programs, const json_t *dns);
/* For tests: forgets it, as the end of the process does. */
void ro_networks_forget(const char *root);

/* ---------------------------------------------------------------- networks */

/* berth.runtime's network_ensure: spec as Compose's network, labels an object of strings. *out: {"id","created"}. */
int ro_networks_ensure(struct ro_networks *n, const char *name, const json_t *spec, const json_t *labels, json_t **out, struct ro_why *why);
/* An id, or a name (then only where it carries a label of Berth's). CONFLICT where a running container is in it. */
int ro_networks_remove(struct ro_networks *n, const char *name_or_id, struct ro_why *why);
/* {"networks":[{"name","id","driver","labels"}]}; label as berth_runtime_list's. New reference. */
json_t *ro_networks_list(struct ro_networks *n, const char *label);

/* ---------------------------------------------------------------- containers */

/* Who a container is, for its networks and for the resolver. */
struct ro_member {
  const char *id, *name;   /* of the container */
  const json_t *labels;    /* berth.service, berth.app, berth.namespace: names that the resolver answers for */
  const json_t *wants;     /* [{"name", "aliases", "ipv4_address", "ipv6_address", "mac_address"}] */
  const json_t *ports;     /* [{"target","published","host_ip","protocol"}]; NULL: none */
  const json_t *service;   /* Compose's: dns, and the names of its ports; NULL: none */
};

/* Holds the static addresses that a container asks for, from its creation on. NOT_FOUND, INVALID, CONFLICT. */
int ro_networks_reserve(struct ro_networks *n, const struct ro_member *m, struct ro_why *why);
/* Before it starts: addresses (those it had, where it had some), ports, the resolver's names. *out, a new reference:
 *  {"interfaces": [{"name","host","bridge","kind","parent","mode","mac","addresses","gateway","gateway6","mtu"}] for net/link.h,
 *   "networks": {name: {"ip","ip6","mac","aliases"}}, "ports": [{"target","published","host_ip","protocol"}],
 *   "resolvers": [addresses for resolv.conf, empty: the host's], "search": [domains], "warnings": []}
 * EXHAUSTED where a port is taken or no address is left. On failure nothing is held that was not before. */
int ro_networks_up(struct ro_networks *n, const struct ro_member *m, json_t **out, struct ro_why *why);
/* After its end: ports and names go, addresses stay its own. */
void ro_networks_down(struct ro_networks *n, const char *id);
/* After its removal: nothing of it stays. */
void ro_networks_release(struct ro_networks *n, const char *id);
/* After a restart: live is {id: true where it runs, false where it only is there}; whoever is not in it is released, whoever does not
 * run goes down, and the rest is as it was. */
void ro_networks_settle(struct ro_networks *n, const json_t *live);
/* Whether the resolver tells of it by the names that it shares with others. Every container is ready until it is said otherwise. */
void ro_networks_ready(struct ro_networks *n, const char *id, bool ready);

/* Every few seconds: sees whether the packet filter is as it was left and makes it anew where not. 1: it was made anew, 0: nothing
 * to do, -1: it cannot be. */
int ro_networks_mend(struct ro_networks *n, struct ro_why *why);

#endif
