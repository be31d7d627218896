/* The planner's view of a cluster: nodes with what they have, classes of instances with what they need, and who is where. It places an
 * instance, takes one away, and says why one has no place. Exact: a place is found wherever there is one.
 *
 * Instances of one service revision are alike, so they are one shape; nodes that no rule can tell apart are one class, and lie
 * beside each other in the tree of fit.h. Rules, tolerations and Lua are asked once per shape and class. What depends on
 * others (ports, anti-affinity, affinity, spread) are marks: a mark is a name that an instance leaves on its node, or on all nodes of a
 * zone, and shapes are barred by marks, want them, or spread over them.
 *
 * Pure: no clock, no randomness; the same calls give the same places. One thread. Cost: about 100 to 400 ns per placement
 * without topology terms, growing with the logarithm of nodes (bench plan-*); 28 bytes per instance; about 300 bytes per node with four
 * dimensions; a shape that is barred by a mark per node takes an eighth of a byte per node. */
#ifndef BT_PLAN_FLEET_H
#define BT_PLAN_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "plan/fit.h"
#include "model/rule.h"

#define BT_FLEET_NONE UINT32_MAX
#define BT_FLEET_DIMS (BT_FIT_DIMS - 1)
#define BT_FLEET_MAX ((int64_t)1 << 48) /* the largest request: what all of a node's instances need never overflows */

struct bt_fleet;

/* The dimensions that are always there; further ones (devices, generic resources) by name with bt_fleet_dim. */
enum { BT_DIM_CPU /* thousandths */, BT_DIM_MEMORY /* bytes */, BT_DIM_DISK /* bytes */, BT_DIM_PIDS, BT_DIM_FIXED };

struct bt_fleet_node;
/* Asks an operator's policy about a shape on nodes of a class: false refuses it there, with a sentence that goes on from a node's name; score:
 * higher is better, -1000 to 1000. tag: the shape's. Of the class only attrs, taints and room say something; of memory and disk whole
 * BT_FLEET_GRAIN, so that machines of one make are one class. Asked once until the class or the judge changes. */
typedef bool bt_fleet_judge(void *arg, void *tag, const struct bt_fleet_node *class, int *score, char *why, size_t size);
#define BT_FLEET_GRAIN ((int64_t)64 << 20)

struct bt_fleet *bt_fleet_new(void);
void bt_fleet_free(struct bt_fleet **fleet);
void bt_fleet_judged(struct bt_fleet *fleet, bt_fleet_judge *judge, void *arg); /* NULL: none; forgets earlier verdicts */
/* The dimension of this name, made where it is new; -1 where there are BT_FLEET_DIMS already. */
int bt_fleet_dim(struct bt_fleet *fleet, const char *name);
int bt_fleet_dim_find(const struct bt_fleet *fleet, const char *name); /* -1 where there is none */
int bt_fleet_dims(const struct bt_fleet *fleet);                       /* numbers of dimensions are below this */
const char *bt_fleet_dim_name(const struct bt_fleet *fleet, int dim);

/* ---- nodes ---- */

struct bt_attr {
  const char *key, *value;
};
enum bt_taint_effect { BT_TAINT_NO_SCHEDULE, BT_TAINT_PREFER_NOT };
struct bt_taint {
  const char *key, *value;
  enum bt_taint_effect effect;
};
/* A node; everything is borrowed for the call. */
struct bt_fleet_node {
  const char *name;
  const struct bt_attr *attrs; /* as rules name them: node.role, node.labels.zone, … without node.id and node.hostname */
  size_t nattrs;
  const struct bt_taint *taints;
  size_t ntaints;
  int64_t room[BT_FLEET_DIMS]; /* what may be reserved: after the system's reserve and the pool's overcommit */
  bool open;                   /* takes new instances */
  const char *closed;          /* why it does not, for a person ("is cordoned"); NULL: it is not ready */
};
/* Adds a node, or changes the one of that name; its instances stay. Returns its number, which never changes. */
uint32_t bt_fleet_node_set(struct bt_fleet *fleet, const struct bt_fleet_node *node);
/* -1 where instances are on it. The number is used again. */
int bt_fleet_node_drop(struct bt_fleet *fleet, uint32_t node);
uint32_t bt_fleet_node_find(const struct bt_fleet *fleet, const char *name); /* BT_FLEET_NONE */
const char *bt_fleet_node_name(const struct bt_fleet *fleet, uint32_t node);
/* What is not reserved there; may be below 0. */
int64_t bt_fleet_node_free(const struct bt_fleet *fleet, uint32_t node, int dim);
/* What is reserved there, and by how many instances. */
int64_t bt_fleet_node_used(const struct bt_fleet *fleet, uint32_t node, int dim);
/* Puts a mark of the caller's on a node or takes it away: "image:sha256:…", "volume:ns/data". */
void bt_fleet_node_mark(struct bt_fleet *fleet, uint32_t node, const char *mark, bool there);
/* Puts one more of it there, or takes one away: of a mark that instances leave too, and that is counted. */
void bt_fleet_node_tally(struct bt_fleet *fleet, uint32_t node, const char *mark, bool more);
uint32_t bt_fleet_node_has(const struct bt_fleet *fleet, uint32_t node, const char *mark); /* how many times */
/* How many names of labels rules and topologies are about, and how many topologies there are: what nobody speaks of is forgotten. */
size_t bt_fleet_spoken(const struct bt_fleet *fleet);

/* ---- shapes ---- */

enum bt_strategy { BT_BINPACK, BT_SPREAD };
/* Which instances an affinity speaks of: of a service, of an app, of a namespace. */
enum bt_scope { BT_SCOPE_SERVICE, BT_SCOPE_APP, BT_SCOPE_NAMESPACE };

struct bt_toleration {
  const char *key;   /* NULL: every taint */
  const char *value; /* NULL: any */
};
/* A hard anti-affinity also keeps the others away, as far as they are of the same namespace. */
struct bt_affinity {
  bool anti, hard;
  enum bt_scope scope;
  const char *namespace_, *app, *service; /* app and service as far as the scope has them */
  const char *topology;                   /* "node.labels.zone"; NULL: the node itself */
  int weight;                             /* of a soft one: 1 to 100 */
};
struct bt_spread {
  const char *topology; /* as above; several keys as "node.labels.dc,node.labels.rack" */
  int max_skew;         /* of a hard one, at least 1 */
  bool hard;
};
struct bt_prefer {
  struct bt_rule rule;
  int weight; /* -100 to 100 */
};

/* What instances of a class need; everything is borrowed for the call. */
struct bt_need {
  const char *namespace_, *app, *service;
  int priority;  /* among those of its namespace */
  int discount;  /* by so much lower it is as other namespaces see it */
  bool confined; /* it pushes nobody of another namespace out */
  enum bt_strategy strategy;
  int64_t request[BT_FLEET_DIMS];
  const struct bt_rule *rules;
  size_t nrules;
  const struct bt_prefer *prefers;
  size_t nprefers;
  const struct bt_toleration *tolerations;
  size_t ntolerations;
  const struct bt_affinity *affinities;
  size_t naffinities;
  const struct bt_spread *spreads; /* over instances of the same service */
  size_t nspreads;
  int max_per_node;       /* of its service and generation; 0: any number */
  const char *generation; /* NULL: all of the service are of one */
  const char *const *alone; /* marks that it leaves, and that nobody else on the node may have: "port:tcp/80", a volume with one writer */
  size_t nalone;
  const char *const *marks; /* marks that it leaves on its node */
  size_t nmarks;
  const char *const *bars;  /* marks of others that keep it away */
  size_t nbars;
  const char *const *wants; /* marks that its node must have */
  size_t nwants;
  const char *const *follows; /* marks that its node must have as soon as any node has them: "volume:ns/data" */
  size_t nfollows;
  const char *const *likes; /* marks that its node should have, the most wished for first */
  size_t nlikes;
  void *tag; /* the caller's */
};
/* A new shape; its number is used again after bt_fleet_shape_drop. -1 with BT_INVALID where an amount is below 0 or above BT_FLEET_MAX. */
int bt_fleet_shape_new(struct bt_fleet *fleet, const struct bt_need *need, uint32_t *out, struct bt_err **err) BT_CHECK;
/* -1 where it has instances. */
int bt_fleet_shape_drop(struct bt_fleet *fleet, uint32_t shape);
/* Changes what each of its instances asks for, those that are there too: a dimension that came up late. Linear in instances. */
void bt_fleet_shape_ask(struct bt_fleet *fleet, uint32_t shape, int dim, int64_t amount);
void *bt_fleet_shape_tag(const struct bt_fleet *fleet, uint32_t shape);

/* ---- instances ---- */

/* Finds places for up to n instances, takes them, and writes their numbers; returns how many. An instance's number is used again
 * after it was removed. */
size_t bt_fleet_place(struct bt_fleet *fleet, uint32_t shape, size_t n, uint32_t *out);
/* How many open nodes the shape may be on by rules, tolerations and names, whatever is free there. Linear in nodes. */
size_t bt_fleet_hosts(struct bt_fleet *fleet, uint32_t shape);
/* The same; writes their numbers, as many as there are nodes at the most. */
size_t bt_fleet_hosts_of(struct bt_fleet *fleet, uint32_t shape, uint32_t *out);
/* Whether one of the shape may be on this node now. */
bool bt_fleet_may(struct bt_fleet *fleet, uint32_t shape, uint32_t node);
/* Takes a place that is known already (after a restart, or where somebody else decided), whether it fits or not. */
uint32_t bt_fleet_seat(struct bt_fleet *fleet, uint32_t shape, uint32_t node);
void bt_fleet_remove(struct bt_fleet *fleet, uint32_t instance);
uint32_t bt_fleet_node_of(const struct bt_fleet *fleet, uint32_t instance);
uint32_t bt_fleet_shape_of(const struct bt_fleet *fleet, uint32_t instance);
uint32_t bt_fleet_node_count(const struct bt_fleet *fleet, uint32_t node); /* its instances */
size_t bt_fleet_nodes(const struct bt_fleet *fleet);     /* numbers of nodes are below this */
size_t bt_fleet_instances(const struct bt_fleet *fleet); /* that have a place */
/* A number that grows whenever something came free: a shape that had no place need not be asked again before. */
uint64_t bt_fleet_epoch(const struct bt_fleet *fleet);

/* What a node is worth to one more of the shape, its room aside (fleet_worth.c). */
struct bt_worth {
  bool may;       /* its rules let it be there */
  int64_t score;  /* of wishes, nearness, spreads: higher is better */
  uint32_t crowd; /* how many of its service are there, where it is to be spread; else 0 */
  char why[200];  /* where it may not: goes on from the node's name */
};
void bt_fleet_worth(struct bt_fleet *fleet, uint32_t shape, uint32_t node, struct bt_worth *out);

/* ---- preemption (fleet_preempt.c) ---- */

/* How many instances of a service may be taken away now by others' needs now; by default all. The caller says it anew when
 * some went or came. */
void bt_fleet_budget(struct bt_fleet *fleet, const char *namespace_, const char *app, const char *service, uint32_t may_go);
/* A number that grows whenever a service may spare more. */
uint64_t bt_fleet_budgets(const struct bt_fleet *fleet);
/* An instance is on its way out, or holds its place for somebody who will have it later: for those of higher priority its place is as good as
 * free, whatever its service's budget says, and it is none of their victims. Until it is removed, or taken back. */
void bt_fleet_going(struct bt_fleet *fleet, uint32_t instance, bool going);
/* The node where an instance of the shape does the least harm: only instances of lower priority go, none beyond its service's budget; the
 * highest priority among them is as low as can be, and they are as few as can be, of the nodes looked at. Writes the instances that must go
 * (at most max) and returns how many, with the node: none must go where what is going already suffices. The node is BT_FLEET_NONE where there
 * is none. Changes nothing. */
size_t bt_fleet_victims(struct bt_fleet *fleet, uint32_t shape, uint32_t *node, uint32_t *out, size_t max);

/* ---- waiting (fleet_wait.c) ---- */

const int64_t *bt_fleet_shape_need(const struct bt_fleet *fleet, uint32_t shape); /* by dimension; borrowed */
/* What all nodes together may reserve; 0 in a dimension that some node does not tell. Linear in nodes. */
void bt_fleet_total(const struct bt_fleet *fleet, double total[BT_FLEET_DIMS]);
/* Calls for every shape that has instances. */
typedef void bt_fleet_use(void *arg, const char *namespace_, const int64_t need[BT_FLEET_DIMS], size_t n);
void bt_fleet_each_use(const struct bt_fleet *fleet, bt_fleet_use *use, void *arg);
/* Whether instances of a shape (by its tag) will end by themselves. */
typedef bool bt_fleet_ends(void *arg, void *tag);
/* The open node where an instance of the shape, which has no place, will have one when those have ended that will: the one that lacks least
 * now. BT_FLEET_NONE: none. Linear in nodes and in instances that will end. */
uint32_t bt_fleet_await(struct bt_fleet *fleet, uint32_t shape, bt_fleet_ends *ends, void *arg);

/* ---- reasons (fleet_why.c) ---- */

/* Why no further instance of the shape has a place, node by node summed up in a sentence, and in *mend (may be NULL; else bt_buf) the smallest change
 * that would make one fit, or nothing where there is none. Linear in nodes. */
void bt_fleet_why(struct bt_fleet *fleet, uint32_t shape, struct bt_buf *why, struct bt_buf *mend);

#endif
