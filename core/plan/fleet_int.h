/* What the parts of the fleet share (fleet.c: nodes, classes, instances; fleet_shape.c; fleet_tie.c; fleet_group.c; fleet_mark.c; fleet_place.c; fleet_preempt.c;
 * fleet_worth.c; fleet_why.c; fleet_mend.c). Nobody else includes it. */
#ifndef BT_PLAN_FLEET_INT_H
#define BT_PLAN_FLEET_INT_H

#include "base/map.h"
#include "base/vec.h"
#include "plan/fleet.h"

#define FL_DIMS BT_FIT_DIMS
#define FL_CHUNK 64 /* nodes whose counts of a mark lie together */
#define FL_SCORE_MAX 30000 /* a verdict is a score, or below all scores: refused by a rule, or by the judge with one of a few sentences */
#define FL_REFUSED INT16_MIN
#define FL_TOLD (FL_REFUSED + 1)
#define FL_TOLD_MAX 16
#define FL_PREFER_NOT 100 /* what a taint of "prefer not", and a wish to be spread, weigh */
#define FL_FREED 256

/* Positions where a mark is at least "min" times. */
struct fl_watch {
  uint32_t min, refs;
  bool own; /* of one shape, which changes its min */
  uint64_t changes; /* how often a position came or went */
  struct bt_fit_set set;
};

/* A name that instances leave on their node (topo 0), or in their zone. */
struct fl_mark {
  char *name;
  uint32_t topo, refs;
  bool wanted;   /* some shape may only be where it is */
  bool followed; /* or only there, as soon as it is anywhere */
  int64_t total;
  uint32_t **chunks;
  size_t nchunks;
  BT_VEC(uint32_t) domains; /* counts */
  BT_VEC(struct fl_watch *) watches;
};

/* A division of the nodes into domains by the values of one or more keys. Number 0 is the node itself and has none. */
struct fl_topo {
  char *text;
  struct bt_strs keys;
  struct bt_map *domains; /* values -> number + 1; NULL: the number is free */
  uint32_t refs;          /* marks that are about it */
};

/* Nodes that no rule can tell apart: positions lo to hi. */
struct fl_class {
  char *text;
  uint32_t lo, hi;
  uint32_t like;        /* one of its nodes */
  BT_VEC(uint32_t) dom; /* by topo; BT_FLEET_NONE: it has no such label */
};

struct fl_node {
  char *name; /* NULL: the number is free */
  struct bt_attr *attrs; /* strings are interned */
  struct bt_taint *taints;
  uint32_t nattrs, ntaints, class, pos, head, count;
  uint32_t going; /* of its instances */
  const char *closed; /* interned */
  bool open, uncounted; /* its instances are not in the domains' counts: its labels changed */
  int64_t room[BT_FLEET_DIMS], used[BT_FLEET_DIMS];
};

struct fl_inst {
  uint32_t shape, node, node_next, node_prev, shape_next, shape_prev;
};

/* One of a shape's ties to a mark. */
struct fl_tie {
  uint32_t mark;
  uint32_t min;           /* of a bar: barred from so many on */
  int weight;             /* of a soft one; below 0: anti */
  struct fl_watch *watch; /* of a mark per node */
  uint32_t term;          /* of one per domain: its place among the shape's terms */
  bool own;               /* the shape's instances leave the mark themselves */
};
struct fl_ties {
  struct fl_tie *items;
  size_t len, cap;
};

struct fl_skew {
  uint32_t mark, term;
  int max_skew;
  bool hard;
};

struct fl_range {
  uint32_t lo, hi;
};
/* Classes that are alike to a shape. */
struct fl_group {
  int score;
  const uint32_t *dom; /* by term; of one of its classes */
  int64_t now;         /* its score in the search that goes on */
  bool out;            /* not to be tried in it (again) */
  BT_VEC(struct fl_range) ranges;
};

struct fl_service {
  uint32_t may_go;
  BT_VEC(uint32_t) shapes;
};

struct fl_shape {
  char *namespace_, *app, *service;
  char *targets[3]; /* by scope: how affinities speak of it */
  struct fl_service *of;
  int priority, discount;
  bool confined;
  enum bt_strategy strategy;
  int64_t need[FL_DIMS];
  BT_VEC(struct bt_rule) rules;
  BT_VEC(struct bt_rule) names; /* rules on the node's name */
  BT_VEC(struct bt_prefer) prefers;
  struct bt_toleration *tolerations;
  size_t ntolerations;
  struct bt_strs texts; /* of the tolerations */
  void *tag;
  BT_VEC(uint32_t) marks;
  struct fl_ties bars, wants, soft;    /* per node */
  struct fl_ties follows;              /* per node: wanted as soon as any node has the mark */
  struct fl_ties zbars, zwants, zsoft; /* per domain */
  BT_VEC(struct fl_skew) skews;
  struct fl_watch *level;  /* of strategy spread: nodes that have as many of its service as the emptiest may get */
  uint32_t level_mark;
  struct bt_fit_set only, never; /* by rules on names */
  bool has_only, has_never;
  BT_VEC(uint32_t) terms; /* topologies its groups differ by */
  BT_VEC(int16_t) verdicts; /* by class */
  struct bt_strs told;      /* what the judge said where it refused; FL_TOLD + i stands for it */
  BT_VEC(struct fl_group) groups;
  uint32_t *doms;          /* what dom of the groups points into */
  uint64_t gen;            /* of the classes that groups were made of */
  uint64_t full;           /* the epoch at which it had no place */
  bool single;             /* its next place depends on its last */
  struct fl_sets { /* of a search: what always holds first, then what is wished for */
    const struct bt_fit_set **items;
    size_t len, cap;
  } out, in;
  size_t always; /* of "in": what follows stand behind these */
  /* Where nothing depends on others: groups before "skip", and in that one positions before "from", have no place, as far as was
   * heard of the first "seen" positions that came free. */
  size_t skip;
  uint32_t from;
  uint64_t seen;
  /* The same of searches that have its first, first two, ... wishes met: items[n - 1] of n; as long as the wishes' sets are as they were. */
  BT_VEC(uint32_t) wish_from;
  uint64_t wish_changes;
  uint32_t head, count;
};

/* Who pushes others out. */
struct fl_asker {
  const char *ns; /* NULL: namespaces make no difference */
  int priority, outward;
  bool confined;
};
/* What is free, and what would be where all that may go for somebody went. */
struct fl_layer {
  struct fl_asker asker; /* its ns is the copy here */
  char *ns;
  struct bt_fit fit;
  int64_t (*extra)[BT_FLEET_DIMS]; /* by node */
  uint64_t used;
};

struct bt_fleet {
  struct bt_map *strings, *names, *keys, *classes_by, *marks_by, *topos_by, *services;
  BT_VEC(char *) dims; /* names of the dimensions beyond the fixed ones */
  BT_VEC(struct fl_node) nodes;
  BT_VEC(uint32_t) free_nodes;
  BT_VEC(struct fl_class) classes;
  BT_VEC(uint32_t) class_order, at; /* classes as they lie; node at a position */
  BT_VEC(struct fl_topo) topos;
  BT_VEC(uint32_t) free_topos;
  BT_VEC(struct fl_mark) marks;
  BT_VEC(uint32_t) free_marks;
  BT_VEC(struct fl_shape *) shapes;
  BT_VEC(uint32_t) free_shapes;
  BT_VEC(struct fl_inst) insts;
  uint32_t free_inst;
  size_t live;
  struct bt_fit fit;
  BT_VEC(struct fl_layer) layers;
  uint32_t freed[FL_FREED]; /* positions that came free, the last ones; nfreed: how many there were */
  uint64_t nfreed;
  int64_t smallest[BT_FLEET_DIMS]; /* the smallest request there is, of those that ask for any */
  BT_VEC(uint64_t) going; /* instances that are, by bits */
  size_t ngoing;
  uint64_t budgets;
  bool dirty, reclass, headroom;
  bool discounted; /* some shape is lower to other namespaces than to its own */
  uint64_t gen, epoch, ticket;
  bt_fleet_judge *judge;
  void *judge_arg;
};

static inline uint32_t fl_ndims(const struct bt_fleet *f) { return BT_DIM_FIXED + (uint32_t)f->dims.len; }

/* fleet.c */
void fl_ensure(struct bt_fleet *f); /* positions, classes and sets are as nodes and keys are */
void fl_key(struct bt_fleet *f, const char *key);     /* nodes that differ in it are of different classes, as long as it is not */
void fl_key_put(struct bt_fleet *f, const char *key); /* given back as often */
const char *fl_attr(const struct fl_node *node, const char *key);
void fl_amounts(const struct bt_fleet *f, const struct fl_node *node, const int64_t *extra, int64_t *out);
void fl_freed(struct bt_fleet *f, uint32_t node); /* it may take what it did not before */
uint32_t fl_sit(struct bt_fleet *f, uint32_t shape, uint32_t node, uint32_t n, uint32_t *out); /* n instances at once */

/* fleet_mark.c */
uint32_t fl_topo_get(struct bt_fleet *f, const char *text); /* lives as long as marks about it: the caller gets one at once */
void fl_topo_free(struct fl_topo *topo);
uint32_t fl_topo_domain(struct bt_fleet *f, uint32_t topo, const struct fl_node *node);
uint32_t fl_mark_get(struct bt_fleet *f, const char *name, uint32_t topo); /* takes a reference */
void fl_mark_put(struct bt_fleet *f, uint32_t mark);                       /* gives it back */
void fl_mark_add(struct bt_fleet *f, uint32_t mark, uint32_t node, int delta);
uint32_t fl_mark_on(const struct bt_fleet *f, uint32_t mark, uint32_t node);
struct fl_watch *fl_watch_get(struct bt_fleet *f, uint32_t mark, uint32_t min, bool own);
void fl_watch_put(struct bt_fleet *f, uint32_t mark, struct fl_watch *watch);
void fl_watch_fill(struct bt_fleet *f, uint32_t mark, struct fl_watch *watch);
void fl_mark_free(struct fl_mark *mark);

/* fleet_shape.c */
void fl_shape_free(struct fl_shape *s); /* its memory alone */

/* fleet_tie.c */
#define FL_TARGET_MAX 256
/* How affinities of a scope speak of a service, an app or a namespace. */
void fl_target_text(char *out, size_t size, enum bt_scope scope, const char *ns, const char *app, const char *service);
void fl_tie_all(struct bt_fleet *f, uint32_t shape, const struct bt_need *need); /* what the need says of others */

/* fleet_group.c */
void fl_shape_groups(struct bt_fleet *f, struct fl_shape *s); /* makes them where classes changed */
void fl_groups_free(struct fl_shape *s);
static inline bool fl_refused(int verdict) { return verdict < -FL_SCORE_MAX; }
/* Whether a class is refused, and why, in words. Its groups are made. */
bool fl_refusal(struct bt_fleet *f, struct fl_shape *s, uint32_t class, char *why, size_t size);
bool fl_tolerates(const struct fl_shape *s, const struct bt_taint *taint);
void fl_verdicts_forget(struct fl_shape *s);
/* What a judge may see of an amount. */
int64_t fl_seen(int dim, int64_t amount);

/* fleet_place.c */
void fl_place_prepare(struct bt_fleet *f, struct fl_shape *s); /* after its groups were made */
/* Which groups may be used now, and how good they are: g->now, g->out. */
void fl_groups_score(const struct bt_fleet *f, struct fl_shape *s);
struct fl_group *fl_group_best(struct fl_shape *s); /* the best that is not out; NULL: none */
void fl_level_reset(struct bt_fleet *f, struct fl_shape *s, uint32_t min);

/* fleet_why.c */
const char *fl_amount_text(uint32_t dim, int64_t amount, char *out, size_t size);
const char *fl_mark_words(const struct fl_mark *mark, char *out, size_t size);
uint32_t fl_mark_near(const struct bt_fleet *f, const struct fl_tie *tie, uint32_t node); /* how often the mark is in the node's domain */

/* fleet_mend.c */
/* What bt_fleet_why's *mend is; the shape's groups are made and scored. Nothing where no small change would do. Linear in nodes. */
void fl_mend(struct bt_fleet *f, const struct fl_shape *s, struct bt_buf *mend);

/* fleet_preempt.c */
void fl_layers_moved(struct bt_fleet *f, const struct fl_shape *s, uint32_t node, int64_t n); /* instances came (n > 0) or went */
void fl_layers_node(struct bt_fleet *f, uint32_t node);  /* its room or openness changed */
void fl_layers_drop(struct bt_fleet *f);                 /* positions changed */

#endif
