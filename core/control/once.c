/* Jobs of mode "global-job": once on each node that takes them by rules and tolerations. A slot of a round belongs to the node where its first attempt was placed, and
 * further attempts go there, too; nodes that join later get a slot of their own. Which slots there are is found anew at each look, from the nodes and
 * from the round's instances. They choose their nodes themselves: they stand in no queue, and push nobody out. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "control/internal.h"

bool ctl_once(const struct ctl_spec *spec) { return spec->service->mode == BT_MODE_GLOBAL_JOB; }

static bool goes(const struct ctl_node *node) { return node->vacate || node->lost_ms; }

/* Of the round: of that run, or of none. */
static bool is_of(const struct ctl_inst *inst, int run) { return inst->run == run; }

/* ---- which slots there are ---- */

struct slots {
  struct ctl_once_slots *out;
  uint32_t *hosts;
  size_t nhosts, nodes;
  int *slot_of;  /* by number of node; 0: none */
  bool *is_host; /* likewise */
  bool *used;    /* by slot - 1: an instance has it, be it one that is lost */
};

static void want(struct slots *s, int slot) {
  if (slot < 1 || slot > s->out->n || !s->out->absent[slot - 1])
    return;
  s->out->absent[slot - 1] = false;
  s->out->wanted++;
}

/* Those that have a node: they stay while that takes the job, and as long as they are at work or have done it. */
static void take_placed(struct slots *s, const struct ctl_service *service, int run) {
  bt_vec_each(&service->insts, i) {
    const struct ctl_inst *inst = *i;
    if (!is_of(inst, run) || !inst->node)
      continue;
    if (inst->node->number < s->nodes)
      s->slot_of[inst->node->number] = inst->slot;
    bool host = inst->node->number < s->nodes && s->is_host[inst->node->number];
    if (host || (!inst->leaving && (ctl_inst_done(inst) || (!goes(inst->node) && !inst->ended))))
      want(s, inst->slot);
  }
}

/* Those that have none yet, as far as there are nodes for them; a further attempt has its slot's. */
static void take_waiting(struct slots *s, const struct ctl_service *service, int run, size_t *left) {
  bt_vec_each(&service->insts, i) {
    const struct ctl_inst *inst = *i;
    if (!is_of(inst, run) || inst->node || inst->leaving || inst->slot > s->out->n || !s->out->absent[inst->slot - 1] || *left == 0)
      continue;
    want(s, inst->slot);
    --*left;
  }
}

static void take_numbers(struct slots *s, const struct ctl_service *service, int run) {
  bt_vec_each(&service->insts, inst) if (is_of(*inst, run) && (*inst)->slot >= 1 && (*inst)->slot <= s->out->n) s->used[(*inst)->slot - 1] = true;
}

static bool any_placed(const struct ctl_service *service, int run, int slot) {
  bt_vec_each(&service->insts, inst) if (is_of(*inst, run) && (*inst)->slot == slot && (*inst)->node) return true;
  return false;
}

static int highest(const struct ctl_service *service, int run) {
  int most = 0;
  bt_vec_each(&service->insts, inst) if (is_of(*inst, run)) most = BT_MAX(most, (*inst)->slot);
  return most;
}

void ctl_once_slots(const struct ctl_service *service, struct ctl_spec *spec, int run, struct ctl_once_slots *out) {
  const struct bt_control *c = service->app->control;
  size_t nodes = bt_fleet_nodes(c->fleet), left = 0;
  BT_AUTO_FREE uint32_t *hosts = bt_newn(uint32_t, nodes + 1);
  BT_AUTO_FREE int *slot_of = bt_newn(int, nodes + 1);
  BT_AUTO_FREE bool *is_host = bt_newn(bool, nodes + 1);
  struct slots s = {.out = out, .hosts = hosts, .nodes = nodes, .slot_of = slot_of, .is_host = is_host};
  s.nhosts = ctl_fleet_hosts_of(spec, hosts);
  *out = (struct ctl_once_slots){.n = highest(service, run) + (int)s.nhosts + 1};
  out->absent = bt_newn(bool, (size_t)out->n);
  for (int i = 0; i < out->n; i++)
    out->absent[i] = true;
  BT_AUTO_FREE bool *used = s.used = bt_newn(bool, (size_t)out->n);
  for (size_t i = 0; i < s.nhosts; i++)
    is_host[hosts[i]] = true;
  take_numbers(&s, service, run);
  take_placed(&s, service, run);
  for (size_t i = 0; i < s.nhosts; i++)
    left += slot_of[hosts[i]] == 0;
  take_waiting(&s, service, run, &left);
  for (int slot = 1; slot <= out->n && left > 0; slot++)
    if (!used[slot - 1]) {
      want(&s, slot);
      left--;
    }
  for (int slot = 1; slot <= out->n && out->wanted == 0; slot++) /* no node takes it: that is waited for */
    if (!used[slot - 1] || !any_placed(service, run, slot))
      want(&s, slot);
}

int ctl_once_wanted(const struct ctl_service *service) {
  struct ctl_once_slots slots;
  ctl_once_slots(service, service->spec, 0, &slots);
  free(slots.absent);
  return slots.wanted;
}

/* ---- where they go ---- */

/* The nodes that a round has left, of a step: looked for once. */
struct ctl_once_left {
  const struct ctl_service *service;
  int run;
  uint64_t step;
  uint32_t *nodes;
  size_t n, at;
};

void ctl_once_free(struct bt_control *c) {
  if (c->once)
    free(c->once->nodes);
  free(bt_steal(c->once));
}

static struct ctl_once_left *left_of(const struct ctl_inst *inst) {
  struct bt_control *c = inst->service->app->control;
  if (c->once && c->once->service == inst->service && c->once->run == inst->run && c->once->step == c->steps)
    return c->once;
  ctl_once_free(c);
  struct ctl_once_left *o = c->once = bt_new(struct ctl_once_left);
  size_t nodes = bt_fleet_nodes(c->fleet);
  BT_AUTO_FREE bool *taken = bt_newn(bool, nodes + 1);
  *o = (struct ctl_once_left){.service = inst->service, .run = inst->run, .step = c->steps, .nodes = bt_newn(uint32_t, nodes + 1)};
  bt_vec_each(&inst->service->insts, i) if ((*i)->node && is_of(*i, inst->run) && (*i)->node->number < nodes) taken[(*i)->node->number] = true;
  size_t hosts = ctl_fleet_hosts_of(inst->spec, o->nodes);
  for (size_t i = 0; i < hosts; i++)
    if (!taken[o->nodes[i]])
      o->nodes[o->n++] = o->nodes[i];
  return o;
}

/* Where its slot was tried before; NULL: nowhere. */
static struct ctl_node *own_node(const struct ctl_inst *inst) {
  bt_vec_each(&inst->service->insts, i)
    if (*i != inst && (*i)->node && (*i)->slot == inst->slot && is_of(*i, inst->run))
      return (*i)->node;
  return NULL;
}

bool ctl_once_node(const struct ctl_inst *inst, uint32_t *node, char *why, size_t size) {
  const struct bt_control *c = inst->service->app->control;
  const struct ctl_node *own = own_node(inst);
  if (own) {
    *node = own->number;
    if (ctl_node_open(own) && bt_fleet_may(c->fleet, inst->spec->shape, own->number))
      return true;
    snprintf(why, size, "waits for room on %s, where it was tried before", own->name);
    return false;
  }
  struct ctl_once_left *left = left_of(inst);
  snprintf(why, size, left->n ? "waits for room on the nodes where it has not run yet" : "waits for a node that takes it");
  while (left->at < left->n) {
    *node = left->nodes[left->at++];
    if (bt_fleet_may(c->fleet, inst->spec->shape, *node))
      return true;
  }
  return false;
}
