/* Places that others give up for somebody of higher priority, and places that are kept until jobs have ended. Such a place is taken in the fleet
 * for its heir at once, so that nobody else gets it; whoever is on it goes with its own stop_grace_period, and what it is
 * replaced by waits in the queue as all others. Across namespaces only where the operator gave the heir's namespace a priority. */
#include "config.h"

#include "base/clock.h"
#include "base/plant.h"
#include "control/dims.h"
#include "control/internal.h"
#include "control/queue.h"
#include "control/quota.h"

#define VICTIMS 64 /* instances that go for one place at most */
#define AGAIN 8    /* searches for one place, where budgets turn out to be smaller than thought */

/* ---- holds ---- */

size_t ctl_holds_of(const struct bt_control *c, const struct ctl_service *service) {
  size_t n = 0;
  if (c->queue)
    bt_vec_each(&c->queue->holds, h) n += h->service == service && !h->reserved;
  return n;
}

size_t ctl_kept_of(const struct bt_control *c, const struct ctl_service *service) {
  size_t n = 0;
  if (c->queue)
    bt_vec_each(&c->queue->holds, h) n += h->service == service;
  return n;
}

void ctl_hold_drop(struct bt_control *c, size_t i) {
  struct ctl_hold *h = &c->queue->holds.items[i];
  bt_fleet_remove(c->fleet, h->seat);
  if (h->reserved)
    ctl_quota_lent_back(h->service->app, h->spec);
  else
    ctl_quota_keep(h->service->app, h->spec, false);
  c->queue->lent_back += h->reserved;
  free(h->why);
  bt_vec_remove(&c->queue->holds, i);
  c->queue->changed = true;
}

void ctl_holds_unreserve(struct bt_control *c) {
  for (size_t i = c->queue ? c->queue->holds.len : 0; i-- > 0;)
    if (c->queue->holds.items[i].reserved)
      ctl_hold_drop(c, i);
}

static void add_hold(struct ctl_wait *w, struct ctl_spec *spec, uint32_t seat, bool reserved, char *why_steal) {
  struct bt_control *c = w->service->app->control;
  ctl_quota_keep(w->service->app, spec, true);
  bt_fleet_going(c->fleet, seat, true); /* who is higher takes it as if it were free */
  bt_vec_push(&c->queue->holds, ((struct ctl_hold){w->service, spec, seat, reserved, why_steal}));
}

/* Whether the asker may have what the other has: as the fleet sees it. */
static bool is_lower(const struct ctl_spec *other, const struct ctl_spec *asker) {
  struct ctl_rank a = ctl_rank(asker), o = ctl_rank(other);
  if (bt_streq(other->rev->app->ns, asker->rev->app->ns))
    return o.priority < a.priority;
  return a.given && o.outward < a.outward;
}

/* Who is of higher priority, or was there before, has its place first. */
static bool before(const struct ctl_hold *a, const struct ctl_hold *b) {
  return is_lower(b->spec, a->spec) || (a < b && !is_lower(a->spec, b->spec));
}

static const int64_t *need_at(const struct bt_control *c, uint32_t seat) { return bt_fleet_shape_need(c->fleet, bt_fleet_shape_of(c->fleet, seat)); }

/* Whether its room is there: what the others after it will have is still free. soon: when those have left that are leaving. */
static bool fits(const struct bt_control *c, const struct ctl_hold *h, bool soon) {
  const struct ctl_node *node = ctl_seat_node(c, h->seat);
  const int64_t *need = need_at(c, h->seat);
  for (int d = 0; d < BT_FLEET_DIMS; d++) {
    int64_t left = need[d] ? bt_fleet_node_free(c->fleet, node->number, d) : 0;
    if (left < 0)
      bt_vec_each(&c->queue->holds, o) if (o != h && before(h, o) && bt_fleet_node_of(c->fleet, o->seat) == node->number) left += need_at(c, o->seat)[d];
    for (const struct ctl_inst *i = node->first; soon && left < 0 && i; i = ctl_beside(i))
      left += i->leaving && i->seat != BT_FLEET_NONE ? need_at(c, i->seat)[d] : 0;
    if (left < 0)
      return false;
  }
  return true;
}

static bool all_fit(const struct bt_control *c, const struct ctl_service *service) {
  bt_vec_each(&c->queue->holds, h) if (h->service == service && !fits(c, h, false)) return false;
  return true;
}

/* An instance that may have the held place. */
static struct ctl_inst *heir(struct ctl_hold *h) {
  struct ctl_inst *inst = NULL;
  if (h->service->wait)
    for (; (inst = ctl_wait_next(h->service->wait)) && inst->spec != h->spec; h->service->wait->at++)
      ;
  return inst;
}

static bool needed(const struct bt_control *c, struct ctl_hold *h, size_t same) {
  const struct ctl_node *node = ctl_seat_node(c, h->seat);
  return h->service->wait && same < h->service->wait->n && node && ctl_node_open(node) && heir(h) && c->scheduling.preemption && fits(c, h, true);
}

static void drop_needless(struct bt_control *c) {
  for (size_t i = c->queue->holds.len; i-- > 0;) {
    struct ctl_hold *h = &c->queue->holds.items[i];
    size_t same = 0;
    for (size_t k = 0; k < i; k++)
      same += c->queue->holds.items[k].service == h->service;
    if (h->service->wait)
      h->service->wait->at = 0;
    if (!needed(c, h, same))
      ctl_hold_drop(c, i);
  }
}

static void drop_torn_gangs(struct bt_control *c) {
  for (size_t i = c->queue->holds.len; i-- > 0;) {
    const struct ctl_wait *w = c->queue->holds.items[i].service->wait;
    if (w->gang && ctl_holds_of(c, w->service) < w->n)
      ctl_hold_drop(c, i);
  }
}

/* Gives the place to an instance, with the devices and ports that it asks for there. False: there are none for it. */
static bool take(struct bt_control *c, struct ctl_hold *h, struct ctl_inst *inst) {
  struct ctl_node *node = ctl_seat_node(c, h->seat);
  if (!ctl_grant_take(c, h->spec, node, inst->slot, inst->id))
    return false;
  inst->seat = h->seat;
  return true;
}

static void hand_over(struct bt_control *c, size_t i, struct ctl_inst *inst) {
  struct ctl_hold h = c->queue->holds.items[i];
  bt_vec_remove(&c->queue->holds, i);
  bt_fleet_going(c->fleet, h.seat, false);
  ctl_group_split(inst);
  ctl_assign(inst, ctl_seat_node(c, h.seat));
  h.service->wait->n--;
  free(h.why);
}

static void take_back(struct bt_control *c, struct ctl_inst *inst) {
  struct ctl_node *node = ctl_seat_node(c, inst->seat);
  ctl_grant_give(c, inst->spec, node, inst->id);
  ctl_grant_forget(c, inst->id);
  inst->seat = BT_FLEET_NONE; /* it is the hold's */
}

/* All n holds of the service from i on, or, where one turns out not to do, none: then they are given up. */
static void give(struct bt_control *c, size_t first, size_t n) {
  struct ctl_wait *w = c->queue->holds.items[first].service->wait;
  BT_AUTO_FREE struct ctl_inst **insts = (struct ctl_inst **)bt_newn(void *, n);
  BT_AUTO_FREE size_t *at = bt_newn(size_t, n);
  size_t got = 0;
  bool all = true;
  w->at = 0;
  for (size_t i = first; all && got < n && i < c->queue->holds.len; i++) {
    struct ctl_hold *h = &c->queue->holds.items[i];
    if (h->service != w->service)
      continue;
    insts[got] = heir(h);
    w->at++;
    at[got] = i;
    all = insts[got] && take(c, h, insts[got]);
    got += all;
  }
  for (size_t i = got; i-- > 0;) {
    if (all)
      hand_over(c, at[i], insts[i]);
    else
      take_back(c, insts[i]);
  }
  w->barred = w->barred || !all;
  for (size_t i = all ? 0 : c->queue->holds.len; i-- > 0;)
    if (c->queue->holds.items[i].service == w->service)
      ctl_hold_drop(c, i);
}

bool ctl_holds_settle(struct bt_control *c) {
  bool all = true;
  ctl_holds_unreserve(c);
  drop_needless(c);
  drop_torn_gangs(c);
  for (size_t i = 0; i < c->queue->holds.len;) {
    const struct ctl_hold *h = &c->queue->holds.items[i];
    bool gang = h->service->wait->gang, room = c->room > 0;
    all = all && room;
    if (room && (gang ? all_fit(c, h->service) : fits(c, h, false))) {
      give(c, i, gang ? ctl_holds_of(c, h->service) : 1);
      i = 0;
    } else {
      i++;
    }
  }
  return all;
}

/* ---- victims ---- */

/* A place for one of those that are looked for together, and who leaves it. */
struct pick {
  uint32_t seat;
  struct ctl_inst *who[VICTIMS];
  size_t n;
};
struct ctl_picks {
  struct bt_control *c;
  BT_VEC(struct pick) places;
  int tries; /* of a trial */
};

/* NULL: the place is kept for one that is still to come. */
static struct ctl_inst *at_seat(const struct bt_control *c, uint32_t seat) {
  const struct ctl_node *node = ctl_seat_node(c, seat);
  for (struct ctl_inst *inst = node ? node->first : NULL; inst; inst = ctl_beside(inst))
    if (inst->seat == seat)
      return inst;
  return NULL;
}

static int picked(const struct ctl_picks *p, const struct ctl_service *service) {
  int n = 0;
  bt_vec_each(&p->places, place) for (size_t i = 0; i < place->n; i++) n += place->who[i]->service == service && place->who[i]->ready;
  return n;
}

/* Tells the fleet what the victims' services can spare by now; false: some of them less than is asked of them. */
static bool in_budgets(const struct ctl_picks *p, struct ctl_inst *const *who, size_t n) {
  bool fine = true;
  for (size_t i = 0; i < n; i++) {
    const struct ctl_service *service = who[i]->service;
    int left = ctl_budget(service), asked = 0;
    left = left == INT32_MAX ? left : BT_MAX(0, left - picked(p, service));
    for (size_t k = 0; k < n; k++)
      asked += who[k]->service == service;
    bt_fleet_budget(p->c->fleet, service->app->ns, service->app->name, service->name, left == INT32_MAX ? BT_FLEET_NONE : (uint32_t)left);
    fine = fine && asked <= left;
  }
  return fine;
}

/* One place more; false: there is none. */
static bool pick_one(struct ctl_picks *p, uint32_t shape, int *tries) {
  uint32_t node, seats[VICTIMS];
  struct pick place = {0};
  for (int again = 0; again < AGAIN && *tries > 0; again++) {
    --*tries;
    bool known = true;
    place.n = bt_fleet_victims(p->c->fleet, shape, &node, seats, VICTIMS);
    if (node == BT_FLEET_NONE)
      return false;
    for (size_t i = 0; i < place.n; i++)
      known = (place.who[i] = at_seat(p->c, seats[i])) != NULL && known;
    if (!known)
      return false;
    if (!in_budgets(p, place.who, place.n))
      continue;
    place.seat = bt_fleet_seat(p->c->fleet, shape, node);
    for (size_t i = 0; i < place.n; i++)
      bt_fleet_going(p->c->fleet, seats[i], true);
    bt_vec_push(&p->places, place);
    return true;
  }
  return false;
}

static void give_back(struct ctl_picks *p) {
  bt_vec_each(&p->places, place) {
    bt_fleet_remove(p->c->fleet, place->seat);
    for (size_t i = 0; i < place->n; i++) {
      bt_fleet_going(p->c->fleet, place->who[i]->seat, place->who[i]->leaving);
      ctl_budget_tell(place->who[i]->service);
    }
  }
}

/* Places that were kept for somebody lower on that node are none any more. */
static void drop_lower(struct bt_control *c, const struct ctl_spec *spec, uint32_t node) {
  for (size_t i = c->queue->holds.len; i-- > 0;) {
    const struct ctl_hold *h = &c->queue->holds.items[i];
    if (bt_fleet_node_of(c->fleet, h->seat) == node && is_lower(h->spec, spec))
      ctl_hold_drop(c, i);
  }
}

static void push_out(struct ctl_inst *who, const struct ctl_wait *by, const struct ctl_spec *spec) {
  const struct ctl_app *app = who->service->app, *heir_app = by->service->app;
  int priority = ctl_rank(spec).priority, own = ctl_rank(who->spec).priority;
  BT_AUTO_FREE char *name = bt_streq(app->ns, heir_app->ns) ? bt_asprintf("%s/%s", heir_app->name, by->service->name)
                                                            : bt_asprintf("an app of namespace %s", heir_app->ns);
  BT_AUTO_FREE char *reason = bt_asprintf("preempted by %s of priority %d", name, priority);
  json_t *data = json_object();
  bt_json_set_str(data, "service", who->service->name);
  bt_json_set_str(data, "node", who->node->name);
  bt_json_set_str(data, "by", name);
  bt_json_set_int(data, "priority", own);
  bt_json_set_int(data, "by_priority", priority);
  ctl_event(app->control, "warning", "instance.preempted", app->ns, app->name, who->id, data, "%s of priority %d leaves %s: %s", who->id, own,
            who->node->name, reason);
  ctl_release(who, reason);
  ctl_budget_tell(who->service);
  ctl_dirty(who->service->app);
}

static char *words(const struct bt_control *c, const struct pick *place) {
  const char *node = ctl_seat_node(c, place->seat)->name;
  const struct ctl_inst *who = place->n ? place->who[0] : NULL;
  if (!who)
    return bt_asprintf("has its place on %s as soon as those of lower priority have left that are leaving", node);
  if (place->n > 1)
    return bt_asprintf("has its place on %s as soon as %s and %zu more of lower priority have left", node, who->id, place->n - 1);
  return bt_asprintf("has its place on %s as soon as %s of priority %d has left", node, who->id, ctl_rank(who->spec).priority);
}

/* What a service depends on, and what that does: pushed out for it, it would be waited for again. */
static void add_needed(const struct ctl_app *app, const struct bt_service *s, struct bt_strs *names) {
  bt_vec_each(&s->depends, dep) {
    const struct ctl_service *on = ctl_service_find(app, dep->service);
    if (!on || !on->spec || bt_strs_has(names, on->name))
      continue;
    bt_strs_add(names, on->name);
    add_needed(app, on->spec->service, names);
  }
}

static bool preempt(struct ctl_wait *w, struct ctl_spec *spec, size_t n, int *tries) {
  struct ctl_picks p = {.c = w->service->app->control};
  BT_AUTO_FREE uint32_t *seats = bt_newn(uint32_t, n);
  uint32_t shape = ctl_fleet_shape(spec);
  size_t found = n > 1 ? bt_fleet_place(p.c->fleet, shape, n, seats) : 0; /* what is free first */
  for (size_t i = 0; i < found; i++)
    bt_vec_push(&p.places, ((struct pick){.seat = seats[i]}));
  bool all = true;
  while (all && p.places.len < n)
    all = pick_one(&p, shape, tries);
  if (!all)
    give_back(&p);
  bt_vec_each(&p.places, place) if (all) {
    drop_lower(p.c, spec, bt_fleet_node_of(p.c->fleet, place->seat));
    add_hold(w, spec, place->seat, false, words(p.c, place));
    for (size_t i = 0; i < place->n; i++)
      push_out(place->who[i], w, spec);
    p.c->queue->changed = p.c->queue->changed || place->n == 0;
  }
  bt_vec_free(&p.places);
  return all;
}

/* For one search: nobody of those leaves. The caller gives the names to spare_no_more. */
static void spare(const struct ctl_spec *spec, struct bt_strs *needs) {
  const struct ctl_app *app = spec->rev->app;
  if (!BT_PLANT(NEEDED_PUSHED))
    add_needed(app, spec->service, needs);
  bt_vec_each(needs, name) bt_fleet_budget(app->control->fleet, app->ns, app->name, *name, 0);
}

static void spare_no_more(const struct ctl_spec *spec, const struct bt_strs *needs) {
  bt_vec_each(needs, name) ctl_budget_tell(ctl_service_find(spec->rev->app, *name));
}

bool ctl_preempt(struct ctl_wait *w, struct ctl_spec *spec, size_t n, int *tries) {
  BT_AUTO_STRS needs = {0};
  if (ctl_group_follows(spec) || !ctl_quota_room_for(w->service->app, spec->service, n)) /* where it must be is said already */
    return false;
  spare(spec, &needs);
  bool all = preempt(w, spec, n, tries);
  spare_no_more(spec, &needs);
  return all;
}

/* ---- trials: the same search, of which nobody is told ---- */

enum { TRIES = 2000 /* searches of a trial */ };

struct ctl_picks *ctl_picks_new(struct bt_control *c) {
  struct ctl_picks *p = bt_new(struct ctl_picks);
  p->c = c;
  p->tries = TRIES;
  return p;
}

bool ctl_picks_next(struct ctl_picks *p, struct ctl_spec *spec, uint32_t *seat, struct ctl_inst *const **who, size_t *n) {
  BT_AUTO_STRS needs = {0};
  uint32_t shape = ctl_fleet_shape(spec);
  if (!p->c->scheduling.preemption || ctl_group_follows(spec) || ctl_once(spec) || shape == BT_FLEET_NONE)
    return false;
  spare(spec, &needs);
  bool found = pick_one(p, shape, &p->tries);
  spare_no_more(spec, &needs);
  if (!found)
    return false;
  const struct pick *place = &p->places.items[p->places.len - 1];
  *seat = place->seat;
  *who = place->who;
  *n = place->n;
  return true;
}

void ctl_picks_free(struct ctl_picks **picks) {
  struct ctl_picks *p = bt_steal(*picks);
  if (!p)
    return;
  bt_vec_each(&p->places, place) for (size_t i = 0; i < place->n; i++) ctl_budget_tell(place->who[i]->service);
  bt_vec_free(&p->places);
  free(p);
}

/* ---- reservations ---- */

static bool will_end(void *arg, void *tag) {
  (void)arg;
  const struct ctl_spec *spec = tag;
  return bt_service_is_job(spec->service);
}

bool ctl_reserve(struct ctl_wait *w, struct ctl_spec *spec, size_t n) {
  struct bt_control *c = w->service->app->control;
  uint32_t shape = ctl_fleet_shape(spec);
  size_t had = c->queue->holds.len;
  if (ctl_group_follows(spec) || !ctl_quota_room_for(w->service->app, spec->service, n))
    return false;
  while (c->queue->holds.len < had + n) {
    uint32_t node = bt_fleet_await(c->fleet, shape, will_end, NULL);
    if (node == BT_FLEET_NONE)
      break;
    uint32_t seat = bt_fleet_seat(c->fleet, shape, node);
    add_hold(w, spec, seat, true, bt_asprintf("waits for jobs on %s to end, where its place is kept", bt_fleet_node_name(c->fleet, node)));
  }
  bool all = c->queue->holds.len == had + n, changed = c->queue->changed;
  while (!all && c->queue->holds.len > had)
    ctl_hold_drop(c, c->queue->holds.len - 1);
  c->queue->changed = changed; /* it is as it was */
  return all;
}
