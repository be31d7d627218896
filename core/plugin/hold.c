/* Entries beside each other: none starts that the others make impossible (compat.h), and what changes among them is judged anew.
 * Level-triggered: whatever changed, all entries are looked at. */
#include "config.h"

#include "base/json.h"
#include "base/log.h"
#include "loop/loop.h"
#include "plugin/compat.h"
#include "plugin/internal.h"

static enum bt_member_state state_of(const struct bt_plugin *e) {
  if (e->status == BT_PLUGIN_FAILED || e->status == BT_PLUGIN_REMOVED)
    return BT_MEMBER_OUT;
  /* A crashed one comes again: who needs it need not go, and its roles are its own. */
  bool crashed = e->status == BT_PLUGIN_RESTARTING || e->status == BT_PLUGIN_BROKEN;
  return e->self || crashed ? BT_MEMBER_RUNS : BT_MEMBER_COMING;
}

/* All that are not removed, in order; the caller frees the array, whose contents are borrowed until an entry changes. */
static struct bt_member *all_members(const struct bt_plugins *plugins, size_t *n) {
  struct bt_member *members = bt_newn(struct bt_member, plugins->entries.len + 1);
  *n = 0;
  bt_vec_each(&plugins->entries, e) {
    const struct bt_plugin *p = *e;
    if (p->status != BT_PLUGIN_REMOVED)
      members[(*n)++] = (struct bt_member){p->cell->name, p->lib ? p->lib->manifest : NULL, state_of(p), p->error};
  }
  return members;
}

/* Those that are held might run if the others did: each is taken for one that comes, until it is clear that it cannot. So two that need
 * each other are not held by one another, and each sentence names what is really in the way. */
struct round {
  struct bt_member *members;
  size_t n;
  bool *maybe;  /* of each: held, or asked about */
  char **whys;  /* of those that cannot */
};

/* True where the answer is another one now. */
static bool reconsider(struct round *r, size_t i) {
  struct bt_member *m = &r->members[i];
  bool was_out = m->state == BT_MEMBER_OUT;
  BT_AUTO_FREE char *why = NULL;
  m->state = BT_MEMBER_COMING;
  bool out = bt_compat_judge(r->members, r->n, i, &why) == BT_COMPAT_NO;
  if (out)
    m->state = BT_MEMBER_OUT;
  if (out == was_out)
    return false;
  free(r->whys[i]);
  r->whys[i] = out ? bt_steal(why) : NULL;
  m->error = r->whys[i];
  return true;
}

/* Rivals may push each other to and fro: as many rounds as there are entries settle whatever can be settled. */
static void settle(struct round *r) {
  bool changed = true;
  for (size_t i = 0; i < r->n; i++)
    if (r->maybe[i])
      r->members[i].state = BT_MEMBER_COMING;
  for (size_t k = 0; changed && k <= r->n; k++) {
    changed = false;
    for (size_t i = 0; i < r->n; i++)
      changed |= r->maybe[i] && reconsider(r, i);
  }
}

static enum bt_compat judge(struct bt_plugin *entry, char **why) {
  struct round r = {0};
  size_t mine = 0, i = 0;
  r.members = all_members(entry->plugins, &r.n);
  r.maybe = bt_newn(bool, r.n + 1);
  r.whys = bt_newn(char *, r.n + 1);
  bt_vec_each(&entry->plugins->entries, e) {
    const struct bt_plugin *p = *e;
    if (p->status == BT_PLUGIN_REMOVED)
      continue; /* no member */
    mine = p == entry ? i : mine;
    r.maybe[i++] = p->lib && (p->held || p == entry) && !p->self;
  }
  settle(&r);
  enum bt_compat verdict = BT_COMPAT_NO;
  if (r.maybe[mine] && r.members[mine].state == BT_MEMBER_OUT)
    *why = bt_steal(r.whys[mine]);
  else
    verdict = bt_compat_judge(r.members, r.n, mine, why);
  for (i = 0; i < r.n; i++)
    free(r.whys[i]);
  free(r.whys);
  free(r.maybe);
  free(r.members);
  return verdict;
}

bool bt_hold_passes(struct bt_plugin *entry) {
  BT_AUTO_FREE char *why = NULL;
  enum bt_compat verdict = judge(entry, &why);
  if (verdict == BT_COMPAT_FINE)
    return true;
  if (verdict == BT_COMPAT_NO) {
    bt_entry_hold(entry, why);
    return false;
  }
  entry->held = true;
  bt_entry_set_status(entry, BT_PLUGIN_STARTING, why);
  return false;
}

/* One step: the next change of a status leads to the next look. */
static void look_at(struct bt_plugin *entry) {
  BT_AUTO_FREE char *why = NULL;
  if (entry->status == BT_PLUGIN_REMOVED || !entry->lib || (!entry->held && !entry->self))
    return;
  enum bt_compat verdict = judge(entry, &why);
  if (entry->held && verdict == BT_COMPAT_FINE)
    bt_entry_resume(entry);
  else if (verdict == BT_COMPAT_NO && (entry->self || entry->status == BT_PLUGIN_STARTING))
    bt_entry_hold(entry, why);
  else if (entry->held && verdict == BT_COMPAT_NO)
    bt_entry_set_status(entry, BT_PLUGIN_FAILED, why); /* the sentence may be another now */
}

static bool offered(void *arg, const char *service) {
  const struct bt_plugins *plugins = arg;
  return bt_host_offers(plugins->server, service);
}

json_t *bt_plugins_table(struct bt_plugins *plugins, const json_t *products) {
  size_t n;
  BT_AUTO_FREE struct bt_member *members = all_members(plugins, &n);
  json_t *table = json_array();
  for (size_t i = 0; i < n; i++) {
    BT_AUTO_JSON rows = bt_compat_table(members, n, i, json_object_get(products, members[i].name), offered, plugins);
    json_array_extend(table, rows);
  }
  return table;
}

static void look_at_all(void *arg) {
  struct bt_plugins *plugins = arg;
  for (size_t i = 0; i < plugins->entries.len; i++)
    look_at(plugins->entries.items[i]);
}

void bt_hold_changed(struct bt_plugins *plugins) {
  if (!plugins->judge)
    plugins->judge = bt_timer_new(plugins->loop, "plug-ins beside each other", look_at_all, plugins);
  bt_timer_set(plugins->judge, 0);
}
