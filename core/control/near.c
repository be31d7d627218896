/* What draws instances to nodes: where a volume of theirs is, they must be; where their image is, they had better be. A volume is
 * on the node of the first instance that uses it, until it is removed. Images are remembered of what ran, some of each node. */
#include "config.h"

#include <string.h>

#include "control/internal.h"

#define IMAGES 64 /* of a node */

/* ---- volumes ---- */

/* A file system that each node mounts from elsewhere. */
static bool is_remote(const char *type) {
  static const char *const types[] = {"nfs", "nfs4", "cifs", "smb3", "ceph", "cephfs", "glusterfs", "9p", "fuse.sshfs"};
  for (size_t i = 0; i < BT_COUNT(types); i++)
    if (bt_streq(type, types[i]))
      return true;
  return false;
}

bool ctl_volume_stays(const struct ctl_rev *rev, const char *key) {
  const json_t *volume = bt_json_obj(bt_json_obj(rev->model, "volumes"), key);
  const char *driver = bt_json_str(volume, "driver");
  bool external;
  free(ctl_volume_name(rev, key, &external));
  return !external && (!driver || !*driver || bt_streq(driver, "local")) && !is_remote(bt_json_str(bt_json_obj(volume, "driver_opts"), "type"));
}

/* Of a service that is on each node once, each node has a volume of its own. */
static bool one_per_node(const struct bt_service *s) {
  return s->mode == BT_MODE_GLOBAL || s->mode == BT_MODE_GLOBAL_JOB || (s->max_per_node == 1 && s->replicas > 1);
}

static bool follows(const struct ctl_spec *spec, const struct bt_volume_use *use) {
  return bt_streq(use->type, "volume") && use->source && !one_per_node(spec->service) && ctl_volume_stays(spec->rev, use->source);
}

/* NULL: it draws nobody anywhere. */
static char *volume_name(const struct ctl_spec *spec, const struct bt_volume_use *use) {
  bool external;
  return follows(spec, use) ? ctl_volume_name(spec->rev, use->source, &external) : NULL;
}

static char *volume_mark(const char *ns, const char *name) { return bt_asprintf("volume:%s/%s", ns, name); }

void ctl_near_ties(const struct ctl_spec *spec, struct ctl_ties *ties) {
  bt_vec_each(&spec->service->volumes, use) {
    BT_AUTO_FREE char *name = volume_name(spec, use);
    if (!name)
      continue;
    BT_AUTO_FREE char *mark = volume_mark(spec->rev->app->ns, name);
    if (bt_strs_has(&ties->follows, mark))
      continue;
    bt_strs_add(&ties->marks, mark);
    bt_strs_add(&ties->follows, mark);
  }
  if (spec->digest) {
    BT_AUTO_FREE char *image = bt_asprintf("image:%s", spec->digest);
    bt_strs_add(&ties->likes, image);
  }
}

static void mark_volume(struct bt_control *c, const struct ctl_res *res, bool there) {
  if (res->kind != CTL_VOLUME || !res->node)
    return;
  BT_AUTO_FREE char *mark = volume_mark(res->ns, res->name);
  bt_fleet_node_mark(c->fleet, ctl_node_get(c, res->node)->number, mark, there);
}

/* Its own seat leaves the mark as well: the fleet counts both. */
void ctl_near_settle(const struct ctl_inst *inst, const struct ctl_node *node) {
  struct bt_control *c = inst->service->app->control;
  bt_vec_each(&inst->spec->service->volumes, use) {
    BT_AUTO_FREE char *name = volume_name(inst->spec, use);
    struct ctl_res *res = name ? ctl_res_find(c, CTL_VOLUME, inst->service->app->ns, name) : NULL;
    if (!res || res->node)
      continue;
    res->node = bt_strdup(node->name);
    BT_AUTO_FREE char *mark = volume_mark(res->ns, res->name);
    bt_fleet_node_tally(c->fleet, node->number, mark, true);
    if (c->fx) /* else it is being loaded, and found so again */
      ctl_put(c, "volume", res->id, ctl_res_json(res));
  }
}

void ctl_near_loaded(struct bt_control *c) {
  for (struct bt_map_iter it = bt_map_iter(c->resources); bt_map_next(&it);)
    mark_volume(c, it.value, true);
}

void ctl_near_forget(struct bt_control *c, const struct ctl_res *res) {
  if (res->kind != CTL_VOLUME || !res->node)
    return;
  BT_AUTO_FREE char *mark = volume_mark(res->ns, res->name);
  bt_fleet_node_tally(c->fleet, ctl_node_get(c, res->node)->number, mark, false);
}

/* ---- images ---- */

void ctl_near_ran(const struct ctl_inst *inst) {
  struct bt_control *c = inst->service->app->control;
  struct ctl_node *node = inst->node;
  if (!inst->spec->digest || !node)
    return;
  BT_AUTO_FREE char *mark = bt_asprintf("image:%s", inst->spec->digest);
  if (bt_fleet_node_has(c->fleet, node->number, mark) > 0)
    return;
  if (node->images.len == IMAGES) {
    bt_fleet_node_mark(c->fleet, node->number, node->images.items[0], false);
    free(node->images.items[0]);
    bt_vec_remove(&node->images, 0);
  }
  bt_fleet_node_mark(c->fleet, node->number, mark, true);
  bt_strs_add(&node->images, mark);
}
