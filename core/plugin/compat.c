#include "config.h"
#include "plugin/compat.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/finding.h"
#include "plugin/describe.h"
#include "plugin/manifest.h"

/* ---------------------------------------------------------------- who offers, who stands in the way */

static bool listed(const char *const *list, const char *text) {
  for (size_t i = 0; list && list[i]; i++)
    if (strcmp(list[i], text) == 0)
      return true;
  return false;
}

static bool implements(const struct berth_manifest *m, const char *id) {
  for (const struct berth_interface *i = m->interfaces; i && i->id; i++)
    if (strcmp(i->id, id) == 0)
      return true;
  return false;
}

static bool offers(const struct berth_manifest *m, const char *id) { return strcmp(m->id, id) == 0 || implements(m, id); }

/* Holds member k a thing that i wants for itself? Who runs has it; of two that come, the first. */
static bool ahead(const struct bt_member *members, size_t i, size_t k) {
  if (k == i || !members[k].m || members[k].state == BT_MEMBER_OUT)
    return false;
  return members[i].state == BT_MEMBER_RUNS ? members[k].state == BT_MEMBER_RUNS && k < i
                                            : members[k].state == BT_MEMBER_RUNS || k < i;
}

static const char *shared_role(const struct berth_manifest *a, const struct berth_manifest *b) {
  for (size_t i = 0; a->exclusive && a->exclusive[i]; i++)
    if (listed(b->exclusive, a->exclusive[i]))
      return a->exclusive[i];
  return NULL;
}

static char *rival_sentence(const struct bt_member *me, const struct bt_member *other) {
  const char *role = shared_role(me->m, other->m);
  if (role)
    return bt_asprintf("%s and %s (%s) both claim the role %s, which one alone can have: remove one of them under plugins: in berthd.yaml",
                       me->name, other->name, other->m->id, role);
  if (listed(me->m->conflicts, other->m->id) || listed(other->m->conflicts, me->m->id))
    return bt_asprintf("%s cannot run beside %s (%s %s): remove one of them under plugins: in berthd.yaml", me->m->id, other->name,
                       other->m->id, other->m->version);
  return NULL;
}

/* ---------------------------------------------------------------- dependencies */

struct dependency {
  const struct bt_member *good;  /* offers it in a version that will do */
  const struct bt_member *wrong; /* offers it in another */
  const struct bt_member *out;   /* would, but does not run */
  bool unknown;                  /* some manifest is not known yet */
};

static struct dependency look(const struct bt_member *members, size_t n, size_t i, const struct berth_depend *d) {
  struct dependency found = {0};
  for (size_t k = 0; k < n; k++) {
    const struct bt_member *other = &members[k];
    if (k == i)
      continue;
    if (!other->m) {
      found.unknown |= other->state == BT_MEMBER_COMING;
      continue;
    }
    if (!offers(other->m, d->id))
      continue;
    if (!bt_version_in(other->m->version, d->versions))
      found.wrong = other;
    else if (other->state == BT_MEMBER_OUT)
      found.out = other;
    else if (!found.good)
      found.good = other;
  }
  return found;
}

static char *purpose(const struct berth_depend *d) { return d->why ? bt_asprintf(", %s", d->why) : bt_strdup(""); }

static char *absent_sentence(const struct bt_member *me, const struct berth_depend *d, const struct dependency *found) {
  BT_AUTO_FREE char *to = purpose(d);
  if (found->wrong)
    return bt_asprintf("%s needs %s in a version %s%s; %s has %s: install one of these versions", me->m->id, d->id, d->versions, to,
                       found->wrong->name, found->wrong->m->version);
  if (found->out)
    return bt_asprintf("%s needs %s%s; %s has it, and does not run: %s", me->m->id, d->id, to, found->out->name,
                       found->out->error && *found->out->error ? found->out->error : "see berth plugin ls");
  return bt_asprintf("%s needs %s%s, and no entry offers it: add one under plugins: in berthd.yaml", me->m->id, d->id, to);
}

enum bt_compat bt_compat_judge(const struct bt_member *members, size_t n, size_t i, char **why) {
  const struct bt_member *me = &members[i];
  if (!me->m)
    return BT_COMPAT_FINE;
  for (size_t k = 0; k < n; k++) {
    char *sentence = ahead(members, i, k) ? rival_sentence(me, &members[k]) : NULL;
    if (sentence) {
      *why = sentence;
      return BT_COMPAT_NO;
    }
  }
  for (const struct berth_depend *d = me->m->depends; d && d->id; d++) {
    struct dependency found = look(members, n, i, d);
    if (found.good || (d->optional && !found.wrong))
      continue;
    if (!found.wrong && found.unknown) {
      *why = bt_asprintf("waits for %s", d->id);
      return BT_COMPAT_WAITS;
    }
    *why = absent_sentence(me, d, &found);
    return BT_COMPAT_NO;
  }
  return BT_COMPAT_FINE;
}

/* ---------------------------------------------------------------- the table */

static void row_interfaces(json_t *table, const struct bt_member *me) {
  for (const struct berth_interface *i = me->m->interfaces; i && i->id; i++) {
    const struct bt_interface *known = bt_interface_of(i->id);
    size_t all = 0, have = 0;
    for (const struct bt_method *k = known ? known->methods : NULL; k && k->name; k++, all++)
      have += bt_method_in(k, i->methods);
    BT_AUTO_FREE char *element = bt_asprintf("%s interface", me->name);
    BT_AUTO_FREE char *found = known ? bt_asprintf("%zu of its %zu methods", have, all) : bt_strdup("unknown to this Berth");
    bt_finding_add(table, element, i->id, found, known ? "ok" : "warning",
                   known ? NULL : "it is left alone; a newer Berth may know it");
  }
}

static void row_services(json_t *table, const struct bt_member *me, bool (*has)(void *arg, const char *service), void *arg) {
  BT_AUTO_BUF all = {0}, missing = {0};
  for (size_t i = 0; me->m->needs && me->m->needs[i]; i++) {
    bt_buf_addf(&all, "%s%s", all.len ? " " : "", me->m->needs[i]);
    if (!has(arg, me->m->needs[i]))
      bt_buf_addf(&missing, "%s%s", missing.len ? " " : "", me->m->needs[i]);
  }
  if (!all.len)
    return;
  BT_AUTO_FREE char *element = bt_asprintf("%s host services", me->name);
  BT_AUTO_FREE char *lacks = missing.len ? bt_asprintf("lacks %s", missing.data) : NULL;
  bt_finding_add(table, element, all.data, lacks ? lacks : "all offered", lacks ? "error" : "ok",
                 lacks ? "install the Berth that the plug-in was made for, or an older plug-in" : NULL);
}

static void row_depends(json_t *table, const struct bt_member *members, size_t n, size_t i) {
  for (const struct berth_depend *d = members[i].m->depends; d && d->id; d++) {
    struct dependency found = look(members, n, i, d);
    BT_AUTO_FREE char *element = bt_asprintf("%s needs", members[i].name);
    BT_AUTO_FREE char *declared = bt_asprintf("%s%s%s%s", d->id, d->versions ? " " : "", d->versions ? d->versions : "",
                                              d->optional ? " (optional)" : "");
    const struct bt_member *who = found.good ? found.good : found.wrong ? found.wrong : found.out;
    BT_AUTO_FREE char *text = who ? bt_asprintf("%s (%s %s)", who->name, who->m->id, who->m->version) : bt_strdup("absent");
    bool fine = found.good || (d->optional && !found.wrong);
    BT_AUTO_FREE char *mend = fine ? NULL : absent_sentence(&members[i], d, &found);
    bt_finding_add(table, element, declared, text, fine ? "ok" : "error", mend);
  }
}

static void row_roles(json_t *table, const struct bt_member *members, size_t n, size_t i) {
  const struct bt_member *me = &members[i];
  for (size_t r = 0; me->m->exclusive && me->m->exclusive[r]; r++) {
    const struct bt_member *other = NULL;
    for (size_t k = 0; k < n; k++)
      if (k != i && members[k].m && listed(members[k].m->exclusive, me->m->exclusive[r]))
        other = &members[k];
    BT_AUTO_FREE char *element = bt_asprintf("%s role", me->name);
    BT_AUTO_FREE char *text = other ? bt_asprintf("%s claims it as well", other->name) : bt_strdup("nobody else has it");
    bt_finding_add(table, element, me->m->exclusive[r], text, other ? "error" : "ok",
                   other ? "remove one of the two under plugins: in berthd.yaml" : NULL);
  }
}

/* What was found of the product; a version without a name is that of the only one that is declared. */
static const char *version_of(const struct berth_manifest *m, const struct berth_product *p, const json_t *products) {
  const char *version = bt_json_str(products, p->name);
  return version || m->products[1].name ? version : bt_json_str(products, "");
}

static void row_products(json_t *table, const struct bt_member *me, const json_t *products) {
  bool any = false;
  for (const struct berth_product *p = me->m->products; p && p->name; p++)
    any |= version_of(me->m, p, products) != NULL;
  for (const struct berth_product *p = me->m->products; p && p->name; p++) {
    const char *version = version_of(me->m, p, products);
    if (!version && any)
      continue; /* it speaks to another of its products */
    bool known = version && *version;
    bool fine = known && bt_version_in(version, p->versions);
    BT_AUTO_FREE char *element = bt_asprintf("%s product", me->name);
    BT_AUTO_FREE char *declared = bt_asprintf("%s %s", p->name, p->versions ? p->versions : "(any version)");
    BT_AUTO_FREE char *mend =
        fine    ? NULL
        : known ? bt_asprintf("run %s in a version %s%s%s", p->name, p->versions, p->doc ? ": " : "", p->doc ? p->doc : "")
                : bt_strdup(version ? "it was not seen yet: look again when it was" : "it did not answer, or told no version: start it, and look again");
    /* One that comes to us, such as a scraper, may not have come yet: nothing is wrong with that. */
    bt_finding_add(table, element, declared, known ? version : "unknown",
                   fine      ? "ok"
                   : known   ? "error"
                   : version ? "unknown"
                             : "warning",
                   mend);
    if (!known)
      return; /* one line for all that it might speak to */
  }
}

json_t *bt_compat_table(const struct bt_member *members, size_t n, size_t i, const json_t *products,
                        bool (*has)(void *arg, const char *service), void *arg) {
  json_t *table = json_array();
  const struct bt_member *me = &members[i];
  if (!me->m)
    return table;
  row_interfaces(table, me);
  row_services(table, me, has, arg);
  row_depends(table, members, n, i);
  row_roles(table, members, n, i);
  row_products(table, me, products);
  return table;
}
