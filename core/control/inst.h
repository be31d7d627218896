/* An instance in memory, and the index of all of them. There may be a million, so what every instance has is packed into some 160 bytes,
 * its id included, and what it has only once a node spoke of it lies apart (struct ctl_seen), made when it is first needed. Texts
 * that many share (why they are pending, the image that they run) are kept once, as words. */
#ifndef BT_CONTROL_INST_H
#define BT_CONTROL_INST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"

struct bt_control;
struct ctl_service;
struct ctl_spec;
struct ctl_node;
struct ctl_app;

/* How far its node is with the change of limits that its spec asks for: it waits for a quota, and still is what it was (never stored); the node was told;
 * the node could not, so that it is to be replaced. */
enum ctl_inplace { CTL_INPLACE_NONE, CTL_INPLACE_WAITS, CTL_INPLACE_SENT, CTL_INPLACE_REFUSED };

/* What few instances have, or those alone that a node has spoken of: read with ctl_seen, written through ctl_see. */
struct ctl_seen {
  char *error, *container_id, *ip;
  const char *image_id; /* a word */
  char *co_network;     /* instance whose network it shares; NULL */
  json_t *ports;        /* as reported; NULL: none */
  int64_t ready_ms, finished_ms, drain_by_ms; /* by control's own clock */
  int64_t started_ms, next_start_ms;          /* the node's wall clock: only shown and told apart */
  int exit_code, restarts, failures;
  int failures_before; /* of the runs before it was asked to restart */
  bool oom, lasting;   /* lasting: by the node's word its error stays until a person does something */
  char *unfit;         /* why it could not be changed in place, and is replaced; NULL */
};

struct ctl_inst {
  struct ctl_service *service;
  struct ctl_spec *spec;
  struct ctl_node *node;      /* NULL: not assigned */
  struct ctl_inst *beside[2]; /* the next and the one before on its node */
  struct ctl_seen *seen;      /* NULL: nothing yet */
  const char *reason;         /* why it is pending or leaving: a word, set with ctl_word_set; NULL */
  int64_t created_ms, assigned_ms, begun_ms; /* by control's own clock */
  uint64_t changed;           /* revision of its last stored change */
  uint32_t seat;              /* in the fleet; BT_FLEET_NONE: it holds nothing there (it has no node, or is a job's attempt that ended) */
  int slot, revision, attempt, gen, run; /* run: of a job that recurs, else 0; gen: restart generation of its service that it has */
  uint8_t state;              /* enum bt_state */
  uint8_t health;             /* 0 none, 1 starting, 2 healthy, 3 unhealthy */
  uint8_t lb;                 /* enum ctl_lb: what load balancers were told of it last */
  uint8_t inplace;            /* enum ctl_inplace */
  bool ready, leaving, struck, restarting, ended; /* ended: by the node's word it will not start again */
  bool draining;              /* it leaves or restarts when its open requests are done, at drain_by_ms at the latest */
  bool unsaved;
  char id[];
};

extern const struct ctl_seen ctl_nothing_seen;
static inline const struct ctl_seen *ctl_seen(const struct ctl_inst *inst) { return inst->seen ? inst->seen : &ctl_nothing_seen; }
struct ctl_seen *ctl_see(struct ctl_inst *inst); /* makes it where absent */

char *ctl_inst_key(const struct ctl_inst *inst); /* "ns/id", as it is stored; the caller frees */

/* ---- the index by id: 16 to 24 bytes per instance ---- */

struct ctl_index {
  struct ctl_inst **items; /* by hash, with what collides behind; NULL: free */
  uint32_t *hashes;
  size_t room, len; /* room: a power of two, or 0 */
};
void ctl_index_add(struct ctl_index *index, struct ctl_inst *inst);
void ctl_index_drop(struct ctl_index *index, const struct ctl_inst *inst);
void ctl_index_free(struct ctl_index *index);
struct ctl_inst *ctl_inst_find(const struct bt_control *c, const char *id); /* NULL where absent, or id is */
size_t ctl_inst_count(const struct bt_control *c);

/* All instances, by app, service and age; none may come or go meanwhile:
 * for (struct ctl_insts it = ctl_insts(c); ctl_insts_next(&it);) use(it.inst); */
struct ctl_insts {
  struct ctl_inst *inst;
  struct bt_map_iter apps_;
  const struct ctl_app *app_;
  size_t service_, inst_;
};
struct ctl_insts ctl_insts(const struct bt_control *c);
bool ctl_insts_next(struct ctl_insts *it);

/* ---- those of a node, in the order in which they came: for (inst = node->first; inst; inst = ctl_beside(inst)) ---- */
static inline struct ctl_inst *ctl_beside(const struct ctl_inst *inst) { return inst->beside[0]; }

/* ---- words: texts kept once, as long as somebody has them ---- */

void ctl_word_set(struct bt_control *c, const char **dst, const char *text); /* gives the old one back; NULL: none */
/* As ctl_word_set; like: a word that is likely to be the same, or NULL. */
void ctl_word_like(struct bt_control *c, const char **dst, const char *like, const char *text);

#endif
