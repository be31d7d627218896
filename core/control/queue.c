/* What has no place waits in one queue of all apps. When something came free, or somebody new waits, all of them are tried in the order of
 * plan/queue.h; who is new and finds room at once does not wait, as long as nothing came free that those who wait could use.
 * Who finds none may be given one by others (preempt.c), and of those left the first one for which jobs that end will make room has it kept
 * after a minute (as EASY backfill has it), so that what comes later and is smaller does not overtake it for ever.
 *
 * Nothing of it is stored: it is found again after a start. Cost of a look: a search of the fleet for each that waits, sorting them, and a
 * walk over the instances of their services: some 5 µs for each service that waits, and of a crowd one look per 0.1 ms for each of them (1,000
 * that wait: 5 ms each 100 ms). Texts, searches for victims and for places to be kept are limited in each look. */
#include "config.h"

#include "base/clock.h"
#include "control/internal.h"
#include "control/queue.h"
#include "control/quota.h"

#define CROWD 256          /* services that wait, from which on they are not looked at at once */
#define CROWD_PER_MS 10    /* services per millisecond between two looks */
#define UNPLACED_MS 10000  /* so long nobody is told that waiting alone will not do */
#define RESERVE_MS 60000   /* so long the first one waits before a place is kept for it */
#define TRIES 64           /* searches for victims in a look */
#define AWAITS 4           /* of the first ones in a look for some of which a place may be kept: each is linear in nodes and jobs */
#define TEXTS 16           /* that a look makes: each is linear in nodes */
#define TOLD 64            /* instances of a service whose reason is kept up to date; the others point to the first */

/* ---- priorities ---- */

struct ctl_rank ctl_rank(const struct ctl_spec *spec) {
  const struct bt_placement *p = &spec->service->placement;
  const struct ctl_app *app = spec->rev->app;
  const struct bt_namespace *space = ctl_namespace(app->control, app->ns);
  int given = space ? space->priority : 0;
  struct ctl_rank rank = {.priority = p->prioritized ? p->priority : given, .given = given != 0};
  rank.outward = BT_MIN(rank.priority, given);
  return rank;
}

/* ---- who waits ---- */

static struct ctl_queue *queue_of(struct bt_control *c) {
  if (!c->queue) {
    c->queue = bt_new(struct ctl_queue);
    c->queue->again_ms = INT64_MAX;
  }
  return c->queue;
}

void ctl_queue_free(struct bt_control *c) {
  if (!c->queue)
    return;
  BT_ASSERT(c->queue->waits.len == 0 && c->queue->holds.len == 0);
  bt_vec_free(&c->queue->waits);
  bt_vec_free(&c->queue->holds);
  free(c->queue);
  c->queue = NULL;
}

static void leave(struct ctl_service *service) {
  struct ctl_queue *q = service->app->control->queue;
  for (size_t i = q->waits.len; i-- > 0;) /* the look drops from the end */
    if (q->waits.items[i] == service->wait) {
      bt_vec_remove(&q->waits, i);
      break;
    }
  free(service->wait->why);
  free(service->wait);
  service->wait = NULL;
}

void ctl_queue_forget(struct ctl_service *service) {
  struct bt_control *c = service->app->control;
  for (size_t i = c->queue ? c->queue->holds.len : 0; i-- > 0;)
    if (c->queue->holds.items[i].service == service)
      ctl_hold_drop(c, i);
  if (service->wait)
    leave(service);
}

void ctl_queue_forget_spec(const struct ctl_spec *spec) {
  struct bt_control *c = spec->rev->app->control;
  for (size_t i = c->queue ? c->queue->holds.len : 0; i-- > 0;)
    if (c->queue->holds.items[i].spec == spec)
      ctl_hold_drop(c, i);
}

void ctl_queue_lift(struct bt_control *c) {
  for (size_t i = c->queue ? c->queue->holds.len : 0; i-- > 0;)
    ctl_hold_drop(c, i);
}

struct ctl_inst *ctl_wait_next(struct ctl_wait *w) {
  char why[240];
  for (; w->at < w->service->insts.len; w->at++) {
    struct ctl_inst *inst = w->service->insts.items[w->at];
    if (!inst->node && !inst->leaving && ctl_partners_placed(inst, why, sizeof why))
      return inst;
  }
  return NULL;
}

/* Whether those of a gang that have no place must have one together: none of them has one. Who comes to a gang that stands is placed as anybody. */
static bool begins_as_gang(const struct ctl_service *service) {
  if (!service->spec || !service->spec->service->placement.gang || service->spec->service->mode == BT_MODE_GLOBAL)
    return false;
  const struct ctl_spec *spec = NULL;
  bt_vec_each(&service->insts, inst) {
    if ((*inst)->leaving || (*inst)->ended)
      continue;
    if ((*inst)->node || (spec && spec != (*inst)->spec)) /* of jobs that recur, runs of two specs are no gang */
      return false;
    spec = (*inst)->spec;
  }
  return true;
}

/* One that has no place did not wait in the queue yet. */
static bool any_new(const struct ctl_service *service) {
  size_t n = 0;
  bt_vec_each(&service->insts, inst) n += !(*inst)->node && !(*inst)->leaving;
  return !service->wait || n > service->wait->n;
}

bool ctl_queue_passes(struct ctl_service *service) {
  struct bt_control *c = service->app->control;
  const struct ctl_queue *q = c->queue;
  if (begins_as_gang(service))
    return false;
  if (!q || (q->waits.len == 0 && q->holds.len == 0))
    return true;
  if (service->roll.state == BT_RO_UPDATING && ctl_holds_of(c, service) == 0 && any_new(service)) {
    ctl_holds_unreserve(c); /* the place that its predecessor left is not what jobs leave; what waits already had none, or lost it */
    return true;
  }
  return service->wait == NULL && !q->changed && q->epoch == bt_fleet_epoch(c->fleet);
}

/* A node or a port may come free in a moment; what is not placed after a while will not be by waiting. Without any node, as after a start, the while begins anew. */
static void say_blocked(struct ctl_service *service) {
  const struct ctl_wait *w = service->wait;
  const struct bt_control *c = service->app->control;
  bool any = false;
  for (struct bt_map_iter it = bt_map_iter(c->nodes); !any && bt_map_next(&it);)
    any = ((struct ctl_node *)it.value)->ready;
  if (!any)
    c->queue->nobody_ms = c->now_ms;
  int64_t at = BT_MAX(w->since_ms, c->queue->nobody_ms) + UNPLACED_MS;
  if (!any || !w->why || ctl_holds_of(c, service) > 0 || (w->limited && bt_service_is_job(service->spec->service)))
    return;
  if (c->now_ms < at)
    ctl_wake(service->app, at);
  else if (!service->blocked)
    service->blocked = bt_asprintf("cannot be placed: %s", w->why);
}

void ctl_queue_set(struct ctl_service *service, size_t n, int64_t since_ms, bool news) {
  struct bt_control *c = service->app->control;
  struct ctl_wait *w = service->wait;
  if (n == 0) {
    if (w)
      ctl_queue_forget(service);
    return;
  }
  struct ctl_queue *q = queue_of(c);
  if (!w) {
    w = service->wait = bt_new(struct ctl_wait);
    w->service = service;
    bt_vec_push(&q->waits, w);
  }
  bool gang = begins_as_gang(service);
  q->changed = q->changed || news || n > w->n || gang != w->gang || since_ms != w->since_ms;
  if (news || gang != w->gang) {
    w->in_vain = 0;
    w->barred = false;
    bt_str_set(&w->why, NULL);
  }
  w->fresh = w->fresh || news || n != w->n;
  w->n = n;
  w->since_ms = since_ms;
  w->gang = gang;
  say_blocked(service);
}

/* ---- the order ---- */

struct spaces {
  struct bt_queue *order;
  struct bt_map *by_name; /* name -> its number and 1 */
  const struct bt_control *c;
};

static uint32_t tenant(struct spaces *s, const char *ns) {
  uintptr_t known = (uintptr_t)bt_map_get(s->by_name, ns);
  if (!known) {
    const struct bt_namespace *space = ctl_namespace(s->c, ns);
    known = (uintptr_t)bt_queue_tenant(s->order, space ? space->weight : 1) + 1;
    bt_map_set(s->by_name, ns, (void *)known);
  }
  return (uint32_t)(known - 1);
}

static void count_use(void *arg, const char *ns, const int64_t need[BT_FLEET_DIMS], size_t n) {
  struct spaces *s = arg;
  bt_queue_uses(s->order, tenant(s, ns), need, n);
}

/* The spec of those that wait: of jobs that recur each run has its own, and the first one speaks for all. */
static struct ctl_spec *spec_of(struct ctl_wait *w) {
  w->at = 0;
  const struct ctl_inst *inst = ctl_wait_next(w);
  return inst ? inst->spec : NULL;
}

static struct spaces line_up(struct bt_control *c) {
  double total[BT_FLEET_DIMS];
  bt_fleet_total(c->fleet, total);
  struct spaces s = {.order = bt_queue_new(total, c->now_ms), .by_name = bt_map_new(NULL), .c = c};
  bt_fleet_each_use(c->fleet, count_use, &s);
  bt_vec_each(&c->queue->waits, w) {
    struct ctl_spec *spec = spec_of(*w);
    uint32_t shape = spec ? ctl_fleet_shape(spec) : BT_FLEET_NONE;
    if (!spec)
      continue;
    struct ctl_rank rank = ctl_rank(spec);
    struct bt_queue_entry e = {.priority = rank.priority, .outward = rank.outward, .since_ms = (*w)->since_ms, .tag = *w};
    if (shape != BT_FLEET_NONE)
      memcpy(e.need, bt_fleet_shape_need(c->fleet, shape), sizeof e.need);
    bt_queue_add(s.order, tenant(&s, (*w)->service->app->ns), &e);
  }
  return s;
}

static void spaces_free(struct spaces *s) {
  bt_queue_free(&s->order);
  bt_map_free(&s->by_name);
}

/* ---- a look ---- */

struct look {
  struct bt_control *c;
  struct spaces spaces;
  int tries, texts, awaits;
  bool reserved, cut;
};

static void text_of(struct ctl_wait *w, struct ctl_spec *spec, size_t fit) {
  const struct bt_control *c = w->service->app->control;
  BT_AUTO_BUF why = {0}, mend = {0};
  if (w->gang)
    bt_buf_addf(&why, "%zu of %zu have a place, and it is a gang: all of them or none. ", fit, w->n);
  ctl_fleet_why(spec, &why, &mend);
  size_t others = c->queue->holds.len - ctl_holds_of(c, w->service);
  if (others)
    bt_buf_addf(&why, "; %zu place%s kept for those before it", others, others == 1 ? " is" : "s are");
  if (mend.len)
    bt_buf_addf(&why, ". It would fit with %s", mend.data);
  bt_str_set(&w->why, why.data);
  w->said = c->queue->generation;
}

static void tell(struct look *l, struct ctl_wait *w, struct ctl_spec *spec, size_t fit) {
  struct bt_control *c = l->c;
  size_t told = 0;
  const char *first = NULL;
  bool news = (!w->why || w->said != c->queue->generation) && l->texts-- > 0;
  if (news)
    text_of(w, spec, fit);
  l->cut = l->cut || !w->why; /* it is told in the next look */
  const char *text = w->why ? w->why : "waits for its turn in the queue";
  bool blocked = w->service->blocked;
  say_blocked(w->service);
  if (!blocked && w->service->blocked)
    ctl_dirty(w->service->app);
  if (!news && !w->fresh && ctl_holds_of(c, w->service) == 0)
    return;
  w->fresh = !w->why;
  BT_AUTO_FREE char *rest = NULL;
  size_t hold = 0;
  w->at = 0;
  for (struct ctl_inst *inst; (inst = ctl_wait_next(w)); w->at++, told++) {
    const char *why = text;
    while (hold < c->queue->holds.len && c->queue->holds.items[hold].service != w->service)
      hold++;
    if (hold < c->queue->holds.len)
      why = c->queue->holds.items[hold++].why;
    if (told >= TOLD && !rest)
      rest = bt_asprintf("waits for a place, as %s does", first);
    ctl_stay_pending(inst, told < TOLD ? why : rest);
    first = first ? first : inst->id;
  }
}

static void say_limited(struct ctl_wait *w, const char *why) {
  w->fresh = w->fresh || !bt_streq(w->why, why);
  bt_str_set(&w->why, why);
  w->said = w->service->app->control->queue->generation;
}

/* Whether the quotas let one more begin; else its words are theirs. */
static bool limits_allow(struct ctl_wait *w, const struct ctl_inst *inst) {
  char why[240];
  if (ctl_quota_may(inst, why, sizeof why))
    return true;
  say_limited(w, why);
  return false;
}

/* Gives places to as many as it can while it is their turn; true: to all that have none kept. */
static bool try_singles(struct look *l, struct ctl_wait *w) {
  size_t held = ctl_holds_of(l->c, w->service);
  while (w->n > held) {
    struct ctl_inst *inst = ctl_wait_next(w);
    w->limited = inst && !limits_allow(w, inst);
    struct ctl_node *node = inst && !w->limited && l->c->room > 0 ? ctl_fleet_place(inst) : NULL;
    l->cut = l->cut || (inst && l->c->room <= 0);
    if (!node)
      return !inst;
    ctl_assign(inst, node);
    w->n--;
    bt_queue_took(l->spaces.order, 1);
    if (bt_queue_next(l->spaces.order)->tag != w)
      return false; /* it is asked again when it is its turn again */
  }
  return true;
}

/* All of a gang at once, which may be more than a step starts otherwise. *fit: how many would have had a place. */
static bool try_gang(struct look *l, struct ctl_wait *w, size_t *fit) {
  BT_VEC(struct ctl_inst *) insts = {0};
  BT_AUTO_FREE struct ctl_node **nodes = (struct ctl_node **)bt_newn(void *, w->n + 1);
  const struct ctl_inst *first = ctl_wait_next(w);
  w->limited = first && !ctl_quota_room_for(w->service->app, first->spec->service, w->n);
  if (w->limited && limits_allow(w, first))
    say_limited(w, "waits for the quota of its namespace, which has room for some of the gang, and not for all");
  if (l->c->room <= 0 || w->limited) {
    l->cut = l->cut || !w->limited;
    return false;
  }
  for (struct ctl_inst *inst; insts.len < w->n && (inst = ctl_wait_next(w)) && (nodes[insts.len] = ctl_fleet_place(inst)); w->at++)
    bt_vec_push(&insts, inst);
  *fit = insts.len;
  bool all = insts.len == w->n;
  if (!all && first && (!w->why || w->said != l->c->queue->generation) && l->texts-- > 0) {
    text_of(w, first->spec, *fit); /* what the rest lacks while these have their places: without them there would be room */
    w->fresh = true;
  }
  for (size_t i = insts.len; i-- > 0;) {
    if (all)
      ctl_assign(insts.items[i], nodes[i]);
    else
      ctl_fleet_unplace(insts.items[i], nodes[i]);
  }
  bt_vec_free(&insts);
  w->at = 0;
  if (!all)
    return false;
  bt_queue_took(l->spaces.order, *fit);
  w->n = 0;
  return true;
}

/* Not all of the gang are made yet, where a step makes only so many. */
static bool gang_grows(const struct ctl_wait *w) {
  const struct bt_service *s = w->service->spec->service;
  return !bt_service_is_job(s) && w->n < (size_t)BT_MAX(ctl_wanted(w->service), 0);
}

/* Whoever is left without a place: others give theirs up, or one is kept. */
static void look_further(struct look *l, struct ctl_wait *w, struct ctl_spec *spec) {
  bool beside = ctl_group_follows(spec); /* its place is where its partner is */
  bool may = l->c->scheduling.preemption && !beside && l->c->dirty_apps.len == 0 && !l->cut;
  size_t held = ctl_holds_of(l->c, w->service), step = w->gang ? w->n : 1;
  may = may && !w->barred && !w->limited && w->in_vain != l->c->queue->generation;
  while (may && held < w->n && l->tries > 0 && ctl_preempt(w, spec, step, &l->tries))
    held += step;
  if (may && held < w->n && l->tries > 0)
    w->in_vain = l->c->queue->generation;
  l->cut = l->cut || (may && held < w->n && l->tries <= 0) || l->c->dirty_apps.len > 0;
  int64_t at = w->since_ms + RESERVE_MS;
  bool kept = false;
  if (held || beside || w->limited || l->reserved)
    ;
  else if (l->c->now_ms >= at && l->awaits-- > 0)
    l->reserved = kept = ctl_reserve(w, spec, w->gang ? w->n : 1);
  else if (l->c->now_ms < at)
    l->c->queue->again_ms = BT_MIN(l->c->queue->again_ms, at);
  w->fresh = w->fresh || kept || w->kept;
  w->kept = kept;
}

static void try_one(struct look *l, struct ctl_wait *w) {
  const struct ctl_inst *first = ctl_wait_next(w);
  struct ctl_spec *spec = first && w->service->spec ? first->spec : NULL; /* of a service that is no more in the file nobody begins */
  if (w->stale) { /* who of it is to begin may have changed: it is looked at first */
    l->cut = true;
    bt_queue_pass(l->spaces.order);
    return;
  }
  size_t fit = 0;
  bool all = !spec || (w->gang ? ctl_holds_of(l->c, w->service) > 0 || (!gang_grows(w) && try_gang(l, w, &fit)) : try_singles(l, w));
  bool turn = bt_queue_next(l->spaces.order)->tag == w;
  if (!turn && !all)
    return;
  if (!all && ctl_fleet_shape(spec) != BT_FLEET_NONE && !(w->gang && gang_grows(w)))
    look_further(l, w, spec);
  if (w->n > 0 && spec)
    tell(l, w, spec, fit);
  if (turn)
    bt_queue_pass(l->spaces.order);
}

static void drop_served(struct ctl_queue *q) {
  for (size_t i = q->waits.len; i-- > 0;)
    if (q->waits.items[i]->n == 0)
      ctl_queue_forget(q->waits.items[i]->service);
}

static void look_at_all(struct bt_control *c) {
  struct ctl_queue *q = c->queue;
  struct look l = {.c = c, .tries = TRIES, .texts = TEXTS, .awaits = AWAITS};
  q->again_ms = INT64_MAX;
  q->looked_ms = c->now_ms;
  l.cut = !ctl_holds_settle(c);
  drop_served(q);
  q->changed = false;
  l.spaces = line_up(c);
  bt_vec_each(&q->waits, w) {
    (*w)->at = 0;
    (*w)->stale = (*w)->service->app->dirty; /* what this look itself does to apps is the next step's */
  }
  for (const struct bt_queue_entry *e; (e = bt_queue_next(l.spaces.order));)
    try_one(&l, e->tag);
  spaces_free(&l.spaces);
  drop_served(q);
  size_t reserved = 0;
  bt_vec_each(&q->holds, h) reserved += h->reserved;
  if (reserved < q->lent_back) /* some came free for good */
    ctl_quota_look(c);
  q->lent_back = 0;
  q->epoch = bt_fleet_epoch(c->fleet);
  q->budgets = bt_fleet_budgets(c->fleet);
  q->changed = q->changed || l.cut;
}

/* When a crowd may be looked at again. */
static int64_t next_look(const struct ctl_queue *q) { return q->waits.len > CROWD ? q->looked_ms + (int64_t)(q->waits.len / CROWD_PER_MS) : 0; }

void ctl_queue_look(struct bt_control *c) {
  struct ctl_queue *q = c->queue;
  if (!q || (q->waits.len == 0 && q->holds.len == 0))
    return;
  if (q->epoch != bt_fleet_epoch(c->fleet) || q->budgets != bt_fleet_budgets(c->fleet) || !q->generation)
    q->generation++;
  bool due = q->changed || q->epoch != bt_fleet_epoch(c->fleet) || q->budgets != bt_fleet_budgets(c->fleet) || c->now_ms >= q->again_ms;
  if (due && c->now_ms >= next_look(q))
    look_at_all(c);
  else if (due)
    q->again_ms = BT_MIN(q->again_ms, next_look(q));
  if (q->changed)
    q->again_ms = BT_MAX(c->now_ms, next_look(q));
  c->wake_ms = BT_MIN(c->wake_ms, q->again_ms);
}

/* ---- for people ---- */

char *ctl_queue_words(struct ctl_service *service, int64_t now_ms) {
  struct bt_control *c = service->app->control;
  char waited[32];
  size_t before = 0;
  const struct ctl_wait *w = service->wait;
  const struct ctl_spec *spec = w ? spec_of(service->wait) : NULL;
  if (!spec)
    return NULL;
  struct spaces s = line_up(c);
  for (const struct bt_queue_entry *e; (e = bt_queue_next(s.order)) && e->tag != w; bt_queue_pass(s.order))
    before++;
  double share = bt_queue_share(s.order, tenant(&s, service->app->ns));
  spaces_free(&s);
  struct ctl_rank rank = ctl_rank(spec);
  BT_AUTO_FREE char *outward = rank.outward != rank.priority ? bt_asprintf(" (%d to other namespaces)", rank.outward) : bt_strdup("");
  int points = bt_queue_points(now_ms - w->since_ms);
  return bt_asprintf("%zu instance%s of it wait%s for a place, number %zu of %zu in the queue: priority %d%s, and %d point%s for %s of waiting; "
                     "namespace %s has %.0f %% of the cluster by its weight",
                     w->n, w->n == 1 ? "" : "s", w->n == 1 ? "s" : "", before + 1, c->queue->waits.len, rank.priority, outward, points, points == 1 ? "" : "s",
                     bt_duration_human(BT_MAX(now_ms - w->since_ms, 0), waited), service->app->ns, share * 100);
}

/* Of all apps the last ones are kept: what is not among them any more is long over. by: who has the place, "app/service"; NULL: it was one of this
 * service's own. node: where; NULL: anywhere. */
static char *preempted(const struct ctl_service *service, const char *by, const char *node, int64_t *at_ms) {
  const struct bt_control *c = service->app->control;
  for (size_t i = c->events_len; i-- > 0;) {
    const struct ctl_event *e = &c->events[(c->events_first + i) % (size_t)c->keep_events];
    if (!bt_streq(e->type, "instance.preempted") || !bt_streq(e->ns, service->app->ns) || (!by && !bt_streq(e->app, service->app->name)))
      continue;
    BT_AUTO_JSON o = bt_json_parse(e->text, strlen(e->text), 1u << 20, 0, "event", NULL);
    const json_t *data = bt_json_obj(o, "data");
    if (by ? !bt_streq(bt_json_str(data, "by"), by) : !bt_streq(bt_json_str(data, "service"), service->name))
      continue;
    if (node && !bt_streq(bt_json_str(data, "node"), node))
      continue;
    *at_ms = ctl_get_time(o, "time");
    return bt_strdup(bt_json_str(o, "message"));
  }
  return NULL;
}

char *ctl_preempted_words(const struct ctl_service *service, int64_t *at_ms) {
  bool whole = true;
  bt_vec_each(&service->insts, inst) whole = whole && (*inst)->node && !(*inst)->leaving;
  return whole ? NULL : preempted(service, NULL, NULL, at_ms);
}

char *ctl_preempts_words(const struct ctl_inst *inst, int64_t *at_ms) {
  BT_AUTO_FREE char *by = bt_asprintf("%s/%s", inst->service->app->name, inst->service->name);
  char *words = inst->node ? preempted(inst->service, by, inst->node->name, at_ms) : NULL;
  const struct bt_control *c = inst->service->app->control;
  if (!words || (*at_ms >= ctl_to_wall(c, inst->created_ms) && *at_ms <= ctl_to_wall(c, inst->assigned_ms)))
    return words;
  free(words); /* for another of the service */
  return NULL;
}
