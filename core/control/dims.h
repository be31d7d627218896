/* What is counted beside cpu and memory: disk, processes, devices, resources of the operator's kinds, ports of ranges. What instances are
 * given of it (which device, which port) is remembered by instance, and given back with its place. Between the modules of core/control only. */
#ifndef BT_CONTROL_DIMS_H
#define BT_CONTROL_DIMS_H

#include "control/tables.h"

/* Marks by which a shape is tied to nodes: see plan/fleet.h. */
struct ctl_ties {
  struct bt_strs marks, bars, wants, follows, likes;
};
void ctl_ties_free(struct ctl_ties *ties);

struct ctl_grant;

struct ctl_dims *ctl_dims_new(void);
void ctl_dims_free(struct ctl_dims **dims);

/* ---- what a spec asks for ---- */
void ctl_dims_need(const struct ctl_spec *spec, struct bt_need *need);
/* What amounts do not say. Until ctl_dims_forget of the same spec. */
void ctl_dims_ties(const struct ctl_spec *spec, struct ctl_ties *ties);
/* The same for a shape that does not outlive the spec's own. */
void ctl_dims_ties_again(const struct ctl_spec *spec, struct ctl_ties *ties);
void ctl_dims_forget(const struct ctl_spec *spec); /* of one that had ctl_dims_ties */

/* ---- what a node has ---- */
/* Fills in the room beyond cpu and memory, and takes what the node says of its devices; before it is set in the fleet. */
void ctl_dims_room(struct bt_control *c, struct ctl_node *node, int64_t room[BT_FLEET_DIMS]);
/* After it was set: its marks, and what is new to other nodes. */
void ctl_dims_settle(struct bt_control *c, struct ctl_node *node);
void ctl_dims_node_free(struct ctl_node *node);
/* {name: {"of","used"}} of what the node has or gives beyond cpu and memory. New reference. */
json_t *ctl_dims_json(const struct bt_control *c, const struct ctl_node *node);

/* ---- what instances are given (grants.c) ---- */
bool ctl_grant_wanted(const struct ctl_spec *spec); /* it asks for devices, or for ports of a range */
/* Chooses devices and ports for one that has just taken its place there. key: the instance's id, or whoever gives it back. False where there
 * are none: then it has no place there. */
bool ctl_grant_take(struct bt_control *c, const struct ctl_spec *spec, struct ctl_node *node, int slot, const char *key);
void ctl_grant_hold(struct ctl_inst *inst, struct ctl_node *node); /* what it was given before is its own again */
void ctl_grant_give(struct bt_control *c, const struct ctl_spec *spec, struct ctl_node *node, const char *key); /* others may have it; it is known still */
void ctl_grant_forget(struct bt_control *c, const char *key); /* once it is gone; after ctl_grant_give */
const struct ctl_grant *ctl_grant_of(const struct ctl_inst *inst); /* NULL: it has none */
void ctl_grant_json(const struct ctl_inst *inst, json_t *o); /* "devices" and "published", where it has some */
void ctl_grant_load(struct bt_control *c, const char *id, const json_t *o);

/* ---- what draws instances to nodes (near.c) ---- */
void ctl_near_ties(const struct ctl_spec *spec, struct ctl_ties *ties); /* volumes that it must be with, the image that it had better be with */
void ctl_near_settle(const struct ctl_inst *inst, const struct ctl_node *node); /* its volumes are there from now on, where they were nowhere */
void ctl_near_ran(const struct ctl_inst *inst);                                /* its node has its image */
void ctl_near_loaded(struct bt_control *c);                                    /* resources and nodes are there */
/* Whether the data of the revision's volume is on one node: what the engine's own driver makes for us is, unless it mounts something of the network.
 * Who makes one outside of Berth (external) knows where it is. */
bool ctl_volume_stays(const struct ctl_rev *rev, const char *key);
void ctl_near_forget(struct bt_control *c, const struct ctl_res *res);

/* ---- those that are placed as one (group.c) ---- */
struct bt_map *ctl_group_map(void);
/* The shape of the spec and all that live with it together; BT_FLEET_NONE: nobody does. Their own shapes are there. */
uint32_t ctl_group_shape(struct ctl_spec *spec);
bool ctl_group_seat(struct ctl_inst *inst); /* takes a place for it where all of them have room, and keeps the room of the others */
/* Its place, where that was taken for all of them, becomes its own, and the rest of it is kept for the others. */
void ctl_group_split(struct ctl_inst *inst);
bool ctl_group_adopt(struct ctl_inst *inst, const struct ctl_node *node); /* takes what was kept for it there */
bool ctl_group_follows(const struct ctl_spec *spec); /* it lives with another */
/* Whose namespaces it shares, or else whose volumes it has: it has to be on that one's node. NULL: nobody's, or that one is not there. */
const struct ctl_inst *ctl_group_partner(const struct ctl_inst *inst);
void ctl_group_release(const struct ctl_inst *inst);
void ctl_group_forget(struct ctl_spec *spec);

/* ---- between dims.c and grants.c ---- */

/* The devices of a node, as it declares them. */
struct ctl_devices {
  struct bt_device *items;
  char **holders; /* keys; NULL: free */
  size_t n;
  json_t *of;     /* what they were read of */
  json_t *beyond; /* {kind: how many more are taken than instances ask for by amount} */
};
struct ctl_grant {
  struct ctl_node *node;
  json_t *devices, *ports; /* NULL: none */
  bool held;
};
struct ctl_dims {
  struct bt_map *selectors; /* mark -> selector */
  struct bt_map *grants;    /* key -> ctl_grant */
  struct bt_map *kept, *kept_of; /* group.c; kept_of: by the id of who leads, the first one */
  bool grown;    /* other nodes are to be looked at again */
  bool declared; /* some node says what devices it has: then those that do not have none */
};
void ctl_grants_mark(struct bt_control *c, struct ctl_node *node); /* after its devices were read anew */
void ctl_dims_look(struct bt_control *c, struct ctl_node *node);   /* something was taken or given there */
/* The first free port of each of the ranges, from the slot's own on. */
bool ctl_ranges_pick(const struct bt_control *c, const struct ctl_node *node, const struct bt_port *ranges, size_t n, int slot, int *out);
bool ctl_port_is_range(const struct bt_port *port); /* the instance gets one of them, on its node alone */
/* Marks of a fixed port that the engine publishes, and what bars it. */
void ctl_port_ties(const char *protocol, const char *host_ip, int port, struct bt_strs *marks, struct bt_strs *bars);

#endif
