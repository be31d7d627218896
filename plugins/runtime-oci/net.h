/* Containers and networks: what a container is joined to before it starts, and what is taken away after its end. The parts below net/ do it;
 * here they are put together. All of it blocks: for workers. */
#ifndef RO_NET_H
#define RO_NET_H

#include <berth/plugin.h>
#include <jansson.h>
#include <stdbool.h>

/* What a container has of the network. */
struct ro_net_plan {
  json_t *interfaces; /* for monitor.json */
  json_t *networks;   /* of inspect: {"name": {"ip","ip6","mac","aliases"}} */
  json_t *ports;      /* of inspect */
  json_t *addresses, *gateways, *resolvers; /* see spec/spec.h */
};
void ro_net_plan_free(struct ro_net_plan *p);

/* Takes addresses, makes bridges and reserves ports for a container of id. wants: spec's networks; ports: spec's. 0, or a code with *why, and nothing
 * stays taken that was not. */
enum berth_code ro_net_up(const char *root, const char *run, const char *id, const json_t *wants, const json_t *ports, struct ro_net_plan *out,
                          char **why);
/* Takes away what ro_net_up made for a container, but its addresses, which it keeps until it is removed. */
void ro_net_down(const char *root, const char *run, const char *id);
/* Gives its addresses back. */
void ro_net_forget(const char *root, const char *id);

#endif
