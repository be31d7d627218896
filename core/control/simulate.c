/* "What if I buy two of these": nodes like those of a pool, or like one node, stand in the planner's own fleet for the time of a step; what waits for a place is
 * tried there, and a file's services, where one is given. Everything is taken back before the step ends. A copy of the fleet would hold the loop: it takes time with
 * every instance there is; this takes it with the new nodes and what is tried. */
#include "config.h"

#include "control/trial.h"

#include "control/queue.h"
#include "control/quota.h"

#define MOST_NODES 1000
#define MOST_TRIED 50000 /* instances; more would hold the loop */

struct simulation {
  struct ctl_trial t;
  BT_VEC(struct ctl_node *) added;
  BT_VEC(struct ctl_spec *) counted; /* a place of theirs counts against a quota for the time being */
  size_t tried, untried;
};

/* ---- the new nodes ---- */

static bool in_pool(const struct bt_control *c, const struct ctl_node *node, const char *name) {
  const struct bt_pool *pool = ctl_fleet_pool(c, node);
  return bt_streq(pool ? pool->name : "default", name);
}

/* The node of that name, else the first of that pool that is there. */
static const struct ctl_node *find_like(const struct bt_control *c, const char *like, struct bt_err **err) {
  const struct ctl_node *best = bt_map_get(c->nodes, like);
  bool pool = bt_streq(like, "default");
  if (best)
    return best;
  bt_vec_each(&c->pools, p) pool = pool || bt_streq(p->name, like);
  for (struct bt_map_iter it = bt_map_iter(c->nodes); pool && bt_map_next(&it);) {
    const struct ctl_node *node = it.value;
    if (in_pool(c, node, like) && (!best || node->connected > best->connected || (node->connected == best->connected && strcmp(node->name, best->name) < 0)))
      best = node;
  }
  if (!best && pool)
    bt_err_set(err, BT_NOT_FOUND, "pool %s has no node yet, so how large such a one is is not known; name a node", like);
  else if (!best)
    bt_err_set(err, BT_NOT_FOUND, "there is neither a node nor a pool %.63s; see: berth node ls, berth pool ls", like);
  return best;
}

/* A plus sign is in no node's name. */
static void add_nodes(struct simulation *s, const struct ctl_node *like, long long n) {
  struct bt_control *c = s->t.c;
  for (long long i = 1; i <= n; i++) {
    BT_AUTO_FREE char *name = bt_asprintf("%s+%lld", like->name, i);
    struct ctl_node *node = ctl_node_get(c, name);
    ctl_node_describe(node, json_deep_copy(like->info));
    bt_json_set_str(node->info, "name", name);
    node->connected = node->ready = true;
    ctl_fleet_node(c, node);
    bt_vec_push(&s->added, node);
  }
}

static void drop_nodes(struct simulation *s) {
  bt_vec_each(&s->added, node) {
    BT_ASSERT(bt_fleet_node_drop(s->t.c->fleet, (*node)->number) == 0);
    BT_AUTO_FREE char *name = bt_strdup((*node)->name);
    bt_map_del(s->t.c->nodes, name);
  }
  bt_vec_free(&s->added);
}

/* ---- what waits ---- */

/* How many of n the quotas leave room for (of a gang all or none); they count until the end. */
static int count_quota(struct simulation *s, struct ctl_app *app, struct ctl_spec *spec, int n, struct bt_buf *why) {
  struct bt_quota_no no;
  for (int i = 0; i < n; i++) {
    if (!ctl_quota_room(app, spec->service, &no)) {
      ctl_quota_words(&no, why);
      if (!ctl_trial_gang(spec))
        return i;
      for (; i > 0; i--) {
        ctl_quota_keep(app, spec, false);
        s->counted.len--;
      }
      return 0;
    }
    ctl_quota_keep(app, spec, true);
    bt_vec_push(&s->counted, spec);
  }
  return n;
}

static json_t *try_pending(struct simulation *s, struct ctl_service *service, struct ctl_spec *spec, int n) {
  BT_AUTO_BUF limit = {0};
  int may = count_quota(s, service->app, spec, n, &limit);
  json_t *o = ctl_trial_service(&s->t, spec, may);
  long long placed = may - bt_json_int(o, "unplaced", 0);
  bt_json_set_str(o, "namespace", service->app->ns);
  bt_json_set_str(o, "app", service->app->name);
  bt_json_set_int(o, "instances", n);
  bt_json_set_int(o, "placed", placed);
  bt_json_set_int(o, "unplaced", n - placed);
  if (may < n && !bt_json_str(o, "reason"))
    bt_json_set_str(o, "reason", limit.data);
  return o;
}

/* Instances without a node that no kept place waits for, by what they are made of: those of one service have at most a few specs. */
static void try_service(struct simulation *s, struct ctl_service *service, json_t *out) {
  struct ctl_spec *spec = NULL;
  int n = 0;
  bt_vec_each(&service->insts, inst) if (!(*inst)->node && !(*inst)->leaving) {
    spec = (*inst)->spec;
    n++;
  }
  n -= (int)BT_MIN(ctl_holds_of(service->app->control, service), (size_t)n);
  if (n == 0)
    return;
  if (s->tried + (size_t)n > MOST_TRIED) {
    s->untried += (size_t)n;
    return;
  }
  s->tried += (size_t)n;
  json_array_append_new(out, try_pending(s, service, spec, n));
}

/* What a plan changes, the plan asks places for. */
static bool changes(const json_t *plan, const char *service) {
  size_t i;
  json_t *step;
  json_array_foreach(plan, i, step) if (bt_streq(bt_json_str(step, "kind"), "service") && bt_streq(bt_json_str(step, "name"), service))
      return !bt_streq(bt_json_str(step, "action"), "keep");
  return false;
}

static json_t *try_all_pending(struct simulation *s, const struct ctl_app *planned, const json_t *plan) {
  json_t *out = json_array();
  for (struct bt_map_iter it = bt_map_iter(s->t.c->apps); bt_map_next(&it);) {
    struct ctl_app *app = it.value;
    if (app->state != CTL_APP_REMOVING)
      bt_vec_each(&app->services, service) if (app != planned || !changes(plan, (*service)->name)) try_service(s, *service, out);
  }
  return out;
}

/* ---- the request ---- */

static void run(struct simulation *s, const struct ctl_node *like, long long n, const struct ctl_draft *d, json_t *plan, json_t *o) {
  struct bt_control *c = s->t.c;
  bt_json_set(o, "before", bt_control_pools(c));
  ctl_trial_begin(&s->t, c);
  add_nodes(s, like, n);
  bt_json_set(o, "pending", try_all_pending(s, d->app, plan)); /* what waited before the file comes first */
  if (plan)
    bt_json_set(o, "services", ctl_trial_plan(&s->t, d, plan));
  bt_json_set_int(o, "untried", (long long)s->untried);
  bt_json_set(o, "after", bt_control_pools(c));
  ctl_trial_end(&s->t);
  bt_vec_each(&s->counted, spec) ctl_quota_keep((*spec)->rev->app, *spec, false);
  bt_vec_free(&s->counted);
  drop_nodes(s);
}

static int open_draft(struct ctl_draft *d, struct bt_control *c, const struct bt_request *request, struct bt_err **err) {
  const json_t *args = request->args;
  if (!bt_json_obj(args, "model"))
    return 0;
  if (ctl_check_name("namespace", bt_json_str_or(args, "namespace", "default"), err) || ctl_check_name("app", bt_json_str(args, "app"), err))
    return -1;
  return ctl_draft_open(d, c, request, err);
}

void ctl_simulate(struct bt_control *c, const struct bt_request *request) {
  const char *like = bt_json_str_or(request->args, "like", "");
  long long n = bt_json_int(request->args, "nodes", 0);
  BT_AUTO_ERR err = NULL;
  struct ctl_draft d = {0};
  struct simulation s = {.t = {.c = c}};
  const struct ctl_node *node = NULL;
  if (n < 0 || n > MOST_NODES)
    bt_err_set(&err, BT_INVALID, "\"nodes\" is a whole number from 0 to %d", MOST_NODES);
  else if ((node = find_like(c, like, &err)) != NULL && open_draft(&d, c, request, &err))
    node = NULL;
  if (!node) {
    ctl_draft_refuse(c, &d, request, err);
    return;
  }
  json_t *o = json_object(), *plan = d.rev ? ctl_draft_plan(&d, false) : NULL;
  bt_json_set_str(o, "like", node->name);
  bt_json_set_int(o, "nodes", n);
  bt_json_set(o, "cpus", json_real(bt_json_num(node->info, "cpus", 0)));
  bt_json_set_int(o, "memory", bt_json_int(node->info, "memory", 0));
  run(&s, node, n, &d, plan, o);
  if (plan)
    bt_json_set(o, "plan", plan);
  ctl_draft_drop(&d);
  ctl_reply(c, request->id, o);
}
