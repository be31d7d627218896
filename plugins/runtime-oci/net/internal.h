/* What network.c, record.c, member.c, filter.c and zone.c share. Every function is called with the lock held. */
#ifndef RO_NET_INTERNAL_H
#define RO_NET_INTERNAL_H

#include <pthread.h>

#include "../../common/util.h"
#include "lease.h"
#include "network.h"
#include "nft.h"
#include "rules.h"

enum { ro_max_subnets = 8, ro_held_ports = 64 };

struct ro_network {
  json_t *record;  /* see record.c */
  const char *name, *id, *driver, *bridge; /* in record */
  bool internal, masquerade, answers; /* answers: the resolver has sockets at its gateways */
  int mtu;
  struct ro_lease leases[ro_max_subnets];
  struct ro_ip subnets[ro_max_subnets], gateways[ro_max_subnets]; /* as many; a gateway has family 0 where there is none */
  size_t nsubnets;
};

struct ro_networks {
  pthread_mutex_t lock;
  char *root;
  json_t *pools;
  int nl;
  struct ro_nft *nft;    /* NULL until the first network */
  int only;              /* lock on the machine's packet filter (only.c); -1: not held */
  struct ro_network **items;
  size_t len;
  json_t *members;       /* {container id: lease record, see member.c} */
  json_t *unready;       /* {container id: true} */
  char *resolver, *resolver_socket; /* program and path; NULL: there is none */
  int resolver_fd;       /* connection; -1: none */
  json_t *dns;           /* of containers that have none of their own; NULL: the host's */
  struct held *held;     /* sockets that keep published ports from others (ports.c) */
  struct ro_networks *next;
};

/* ---- only.c: one server's networks on a machine ---- */

/* Takes the lock on Berth's table in the network namespace of this thread: the descriptor that holds it, or -1 with why where another
 * server has it (CONFLICT). It ends with the process, or with ro_only_release (*fd: -1 then). */
int ro_only_take(struct ro_why *why);
void ro_only_release(int *fd);

/* ---- record.c: what is durable of a network ---- */

/* A record from what was asked: {"id","name","driver","bridge","parent","mode","mtu","internal","masquerade","subnets":[{"subnet","gateway",
 * "ip_range","aux"}],"options","labels","created_ms"}; subnets not asked for are chosen. NULL with why. */
json_t *ro_record_new(struct ro_networks *n, const char *name, const json_t *spec, const json_t *labels, struct ro_why *why);
/* Takes the record where it is sound. NULL with why. */
struct ro_network *ro_network_of(json_t *record, struct ro_why *why);
void ro_network_free(struct ro_network *net);
/* Why the network there is not the one asked for; NULL: it is. The caller frees. */
char *ro_record_differs(const json_t *record, const json_t *spec);
int ro_record_write(const struct ro_networks *n, const char *folder, const char *name, const json_t *record, bool sync, struct ro_why *why);
void ro_record_unlink(const struct ro_networks *n, const char *folder, const char *name);
struct ro_network *ro_network_find(const struct ro_networks *n, const char *name);

/* ---- network.c ---- */

/* Takes the network away. CONFLICT where somebody runs in it. */
int ro_network_drop(struct ro_networks *n, struct ro_network *net, struct ro_why *why);

/* ---- filter.c: the packet filter ---- */

/* The kernel has the network's part: bridge, sysctls, elements. fresh: it was not there before. */
int ro_filter_network(struct ro_networks *n, const struct ro_network *net, struct ro_why *why);
/* Takes it away; net is no more among the items. */
int ro_filter_drop(struct ro_networks *n, const struct ro_network *net, struct ro_why *why);
/* Adds or deletes the ports of a member. */
int ro_filter_ports(struct ro_networks *n, bool add, const json_t *member, struct ro_why *why);
/* All anew from the records, in one transaction. */
int ro_filter_rebuild(struct ro_networks *n, struct ro_why *why);
bool ro_filter_intact(struct ro_networks *n);

/* ---- member.c ---- */

/* Fills the leases from a member that was read. */
void ro_member_adopt(struct ro_networks *n, const char *id, const json_t *member);
/* Calls each for every element that a member's ports are. */
void ro_member_ports(const struct ro_networks *n, const json_t *member, void (*each)(const struct ro_rules_port *p, void *context), void *context);
/* A running member that is in the network; NULL: none. Borrowed: the name of its container. */
const char *ro_member_in(const struct ro_networks *n, const char *network);
/* Nobody is in the network any more: leases that are left of it go. */
void ro_member_leave(struct ro_networks *n, const char *network);

/* ---- names.c: what the resolver is told; nothing where it is not there ---- */

/* Finds or starts it and tells it everything, unless it is there. False: it cannot be. */
bool ro_names_mend(struct ro_networks *n);
void ro_names_network(struct ro_networks *n, struct ro_network *net);
void ro_names_network_drop(struct ro_networks *n, const char *name); /* it is no more among the items */
void ro_names_member(struct ro_networks *n, const char *id);         /* as it is now, running or not */

/* ---- ports.c ---- */

/* Finds a free port for every member of ports that has none, and holds all of them against other programs. EXHAUSTED. */
int ro_ports_hold(struct ro_networks *n, const char *id, json_t *ports, struct ro_why *why);
void ro_ports_let_go(struct ro_networks *n, const char *id);

#endif
