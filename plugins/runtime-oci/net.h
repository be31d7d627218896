/* Containers and networks: what a container is joined to before it starts, and what is taken away after its end. net/network.h does it; here its
 * answers become what the translation and the monitor want. All of it blocks: for workers. */
#ifndef RO_NET_H
#define RO_NET_H

#include <berth/plugin.h>
#include <jansson.h>
#include <stdbool.h>

/* Who asks. root: the entry's; record: container.json ("name", "labels"); spec: create's. All borrowed. */
struct ro_net_who {
  const char *root, *id;
  const json_t *pools;
  const char *name;
  const json_t *labels, *spec;
};

/* What a container has of the network. */
struct ro_net_plan {
  json_t *interfaces; /* for monitor.json */
  json_t *networks;   /* of inspect: {"name": {"ip","ip6","mac","aliases"}} */
  json_t *ports;      /* of inspect */
  json_t *addresses, *gateways, *resolvers, *search; /* see spec/spec.h */
};
void ro_net_plan_free(struct ro_net_plan *p);

/* At create: holds the static addresses it asks for, and says what cannot be. 0, or a code with *why. */
enum berth_code ro_net_reserve(const struct ro_net_who *who, char **why);
/* Before the start: takes addresses, makes bridges, publishes ports. 0, or a code with *why, and nothing stays taken that was not. */
enum berth_code ro_net_up(const struct ro_net_who *who, struct ro_net_plan *out, char **why);
/* Takes away what ro_net_up made for a container, but its addresses, which it keeps until it is removed. */
void ro_net_down(const char *root, const char *id);
/* Gives its addresses back. */
void ro_net_forget(const char *root, const char *id);
/* After a restart of this process: names are answered by PROGRAMS/berth-resolver; live is {id: true where it runs, false where it only is there}. */
void ro_net_settle(const char *root, const char *run, const char *programs, const json_t *pools, const json_t *dns, const json_t *live);

#endif
