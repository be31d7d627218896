/* What readers see of one object: its stored form, and what follows from the tables. */
#include "config.h"

#include "control/internal.h"
#include "control/queue.h"

static json_t *ports_json(const struct bt_service *s) {
  json_t *list = json_array();
  bt_vec_each(&s->ports, port) {
    json_t *p = json_object();
    bt_json_set_int(p, "target", port->target);
    bt_json_set_int(p, "published", port->published);
    if (port->published_end > port->published)
      bt_json_set_int(p, "published_end", port->published_end);
    bt_json_set_str(p, "protocol", port->protocol);
    bt_json_set_str(p, "host_ip", port->host_ip);
    bt_json_set_str(p, "mode", port->ingress ? "ingress" : "host");
    json_array_append_new(list, p);
  }
  return list;
}

struct tally {
  int total, running, ready, completed, failed, over; /* over: of runs that ended */
};

static struct tally tally_of(const struct ctl_service *service) {
  struct tally t = {0};
  bt_vec_each(&service->insts, i) {
    const struct ctl_inst *inst = *i;
    bool done = ctl_inst_done(inst);
    t.total++;
    if (ctl_run_over(inst)) { /* its run says how it was */
      t.over++;
      continue;
    }
    t.running += inst->state == BT_ST_RUNNING;
    t.ready += inst->ready;
    t.completed += done;
    t.failed += inst->state == BT_ST_FAILED || (inst->ended && !done);
  }
  return t;
}

static void set_tally(json_t *o, struct tally t) {
  bt_json_set_int(o, "instances", t.total);
  bt_json_set_int(o, "running", t.running);
  bt_json_set_int(o, "ready", t.ready);
  bt_json_set_int(o, "completed", t.completed);
  bt_json_set_int(o, "failed", t.failed);
}

static const char *service_state(const struct ctl_service *service, struct tally t) {
  if (!service->spec || service->app->state == CTL_APP_REMOVING)
    return "removing";
  enum bt_rollout_state state = service->roll.state;
  if (state == BT_RO_PAUSED || state == BT_RO_FAILED)
    return "failed";
  if (state != BT_RO_DONE)
    return bt_rollout_name(state);
  if (service->spec->recurs)
    return t.total > t.over ? "running" : service->spec->service->job.suspend ? "suspended" : "scheduled";
  if (bt_service_is_job(service->spec->service))
    return "completed";
  int wanted = ctl_wanted(service) - ctl_scaler_grows(service);
  if (t.ready + t.completed < wanted)
    return "degraded";
  return wanted > 0 && t.completed >= wanted ? "completed" : "running";
}

/* Where a revision comes from, without the places of its services; and, where a service is named, with the place of that one. */
static json_t *origin_json(const struct ctl_rev *rev, const char *service) {
  json_t *o = json_copy(rev->origin);
  const json_t *place = service ? bt_json_obj(bt_json_obj(o, "services"), service) : NULL;
  if (place)
    json_object_update(o, (json_t *)(uintptr_t)place);
  json_object_del(o, "services");
  return o;
}

json_t *ctl_show_service(const struct ctl_service *service) {
  json_t *o = ctl_service_roll_json(service);
  struct tally t = tally_of(service);
  bt_json_set_str(o, "namespace", service->app->ns);
  bt_json_set_str(o, "app", service->app->name);
  bt_json_set_str(o, "service", service->name);
  bt_json_set_str(o, "state", service_state(service, t));
  set_tally(o, t);
  const struct ctl_spec *spec = service->spec;
  bt_json_set_int(o, "replicas", ctl_wanted(service));
  if (!spec)
    return o;
  bt_json_set_int(o, "revision", spec->rev->number);
  bt_json_set_str(o, "mode", bt_mode_name(spec->service->mode));
  bt_json_set_str(o, "image", spec->image);
  bt_json_set_str(o, "pinned", spec->pinned);
  bt_json_set(o, "digest", spec->digest ? json_string(spec->digest) : json_null());
  bt_json_set_str(o, "hash", spec->hash);
  bt_json_set(o, "ports", ports_json(spec->service));
  bt_json_set_str(o, "restart", spec->service->restart.condition);
  bt_json_set_int(o, "priority", ctl_rank(spec).priority);
  json_t *job = ctl_jobs_view(service);
  json_t *autoscale = ctl_autoscale_view(service);
  if (autoscale)
    bt_json_set(o, "autoscale", autoscale);
  else
    json_object_del(o, "autoscale");
  if (job)
    bt_json_set(o, "job", job);
  else
    json_object_del(o, "job"); /* what is stored of it is of no use to readers */
  if (spec->rev->origin)
    bt_json_set(o, "origin", origin_json(spec->rev, service->name));
  return o;
}

json_t *ctl_show_app(const struct ctl_app *app) {
  json_t *o = ctl_app_json(app), *services = json_object();
  struct tally all = {0};
  bt_vec_each(&app->services, s) {
    struct tally t = tally_of(*s);
    all.total += t.total;
    all.running += t.running;
    all.ready += t.ready;
    all.completed += t.completed;
    all.failed += t.failed;
    bt_json_set(services, (*s)->name, ctl_show_service(*s));
  }
  bt_json_set(o, "services", services);
  set_tally(o, all);
  return o;
}

uint64_t ctl_app_changed(const struct ctl_app *app) {
  uint64_t changed = app->changed;
  bt_vec_each(&app->services, service) changed = BT_MAX(changed, (*service)->changed);
  return changed;
}

/* From what runs to the line that made it. */
json_t *ctl_show_inst(const struct ctl_inst *inst) {
  json_t *o = ctl_inst_json(inst);
  if (inst->spec->rev->origin)
    bt_json_set(o, "origin", origin_json(inst->spec->rev, inst->service->name));
  return o;
}

/* Lists leave the model out: it is as large as all the rest. */
json_t *ctl_show_rev(const struct ctl_rev *rev, bool model) {
  json_t *o = ctl_rev_json(rev);
  if (!model) {
    json_object_del(o, "model");
    if (rev->origin)
      bt_json_set(o, "origin", origin_json(rev, NULL));
  }
  bt_json_set_bool(o, "current", rev == rev->app->target);
  return o;
}

static json_t *res_users(const struct bt_control *c, const struct ctl_res *res) {
  json_t *users = json_array();
  const struct ctl_app *app = res->app ? ctl_app_find(c, res->ns, res->app) : NULL;
  if (app)
    bt_vec_each(&app->services, service) bt_vec_each(&(*service)->insts, inst) if (ctl_res_used(*inst, res))
        json_array_append_new(users, json_string((*inst)->id));
  return users;
}

json_t *ctl_show_res(const struct bt_control *c, const struct ctl_res *res) {
  json_t *o = ctl_res_json(res);
  bt_json_set(o, "used_by", res_users(c, res));
  return o;
}

json_t *ctl_show_node(const struct bt_control *c, const struct ctl_node *node) {
  json_t *o = ctl_node_json(c, node);
  if (node->vacate)
    bt_json_set(o, "drain", ctl_vacate_view(c, node));
  const struct bt_pool *pool = ctl_fleet_pool(c, node);
  bt_json_set_str(o, "pool", pool ? pool->name : "default");
  bt_json_set_int(o, "instances", node->instances);
  bt_json_set(o, "cpus_reserved", json_real((double)bt_fleet_node_used(c->fleet, node->number, BT_DIM_CPU) / 1000));
  bt_json_set_int(o, "memory_reserved", bt_fleet_node_used(c->fleet, node->number, BT_DIM_MEMORY));
  bt_json_set(o, "room", ctl_dims_json(c, node));
  return o;
}
