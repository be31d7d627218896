/* Which classes of nodes a shape may be on, by rules, taints and the policy, and those of them that are alike to it. */
#include "config.h"

#include "plan/fleet_int.h"

#include <stdio.h>

/* ---- verdicts on classes ---- */

bool fl_tolerates(const struct fl_shape *s, const struct bt_taint *taint) {
  for (size_t i = 0; i < s->ntolerations; i++) {
    const struct bt_toleration *t = &s->tolerations[i];
    if ((!t->key || bt_streq(t->key, taint->key)) && (!t->value || bt_streq(t->value, taint->value)))
      return true;
  }
  return false;
}

/* The score that taints, rules and wishes give, or FL_REFUSED with why. */
static int by_rules(const struct fl_shape *s, const struct fl_node *node, char *why, size_t size) {
  int score = 0;
  for (uint32_t i = 0; i < node->ntaints; i++) {
    const struct bt_taint *t = &node->taints[i];
    if (fl_tolerates(s, t))
      continue;
    if (t->effect == BT_TAINT_NO_SCHEDULE) {
      snprintf(why, size, "has the taint %s=%s, which it does not tolerate", t->key, t->value);
      return FL_REFUSED;
    }
    score -= FL_PREFER_NOT;
  }
  bt_vec_each(&s->rules, r) {
    const char *value = fl_attr(node, r->key);
    if (!bt_rule_holds(r, value)) {
      snprintf(why, size, "does not meet %.120s (%s %.80s)", r->text, value ? "it has" : "it has no", value ? value : r->key);
      return FL_REFUSED;
    }
  }
  bt_vec_each(&s->prefers, p) score += bt_rule_holds(&p->rule, fl_attr(node, p->rule.key)) ? p->weight : 0;
  return BT_MAX(-FL_SCORE_MAX, BT_MIN(FL_SCORE_MAX, score));
}

/* Keeps a sentence of the judge's, and returns the verdict that stands for it. */
static int tell(struct fl_shape *s, const char *why) {
  size_t i = 0;
  while (i < s->told.len && !bt_streq(s->told.items[i], why))
    i++;
  if (i == FL_TOLD_MAX)
    return FL_TOLD + FL_TOLD_MAX; /* refused, for a reason that is told of none */
  if (i == s->told.len)
    bt_strs_add(&s->told, why);
  return FL_TOLD + (int)i;
}

static int judge(const struct bt_fleet *f, struct fl_shape *s, const struct fl_node *node, int score) {
  char why[240] = "is refused by a policy";
  int asked = 0;
  struct bt_fleet_node class = {.attrs = node->attrs, .nattrs = node->nattrs, .taints = node->taints, .ntaints = node->ntaints};
  for (int d = 0; d < BT_FLEET_DIMS; d++)
    class.room[d] = fl_seen(d, node->room[d]);
  if (!f->judge(f->judge_arg, s->tag, &class, &asked, why, sizeof why))
    return tell(s, why);
  return BT_MAX(-FL_SCORE_MAX, BT_MIN(FL_SCORE_MAX, score + BT_MAX(-1000, BT_MIN(1000, asked))));
}

bool fl_refusal(struct bt_fleet *f, struct fl_shape *s, uint32_t class, char *why, size_t size) {
  int said = s->verdicts.items[class];
  if (!fl_refused(said))
    return false;
  if (said == FL_REFUSED)
    by_rules(s, &f->nodes.items[f->classes.items[class].like], why, size);
  else if (said - FL_TOLD < (int)s->told.len)
    snprintf(why, size, "%s", s->told.items[said - FL_TOLD]);
  else
    snprintf(why, size, "is refused by a policy");
  return true;
}

void fl_verdicts_forget(struct fl_shape *s) {
  s->verdicts.len = 0;
  bt_strs_free(&s->told);
}

static int verdict(struct bt_fleet *f, struct fl_shape *s, uint32_t c) {
  char why[240];
  const int16_t unknown = INT16_MAX;
  while (s->verdicts.len <= c)
    bt_vec_push(&s->verdicts, unknown);
  if (s->verdicts.items[c] == unknown) {
    const struct fl_node *node = &f->nodes.items[f->classes.items[c].like];
    int said = by_rules(s, node, why, sizeof why);
    s->verdicts.items[c] = (int16_t)(f->judge && !fl_refused(said) ? judge(f, s, node, said) : said);
  }
  return s->verdicts.items[c];
}

/* ---- groups ---- */

void fl_groups_free(struct fl_shape *s) {
  bt_vec_each(&s->groups, g) bt_vec_free(&g->ranges);
  s->groups.len = 0;
}

struct entry {
  int score;
  uint32_t class, lo, hi;
  const uint32_t *dom;
};

/* Of the class in the shape's terms; NULL where a hard term asks for a label that it has not. */
static bool in_domains(const struct fl_shape *s, const uint32_t *dom) {
  bt_vec_each(&s->skews, k) {
    if (k->hard && dom[k->term] == BT_FLEET_NONE)
      return false;
  }
  bt_vec_each(&s->zwants, w) {
    if (dom[w->term] == BT_FLEET_NONE)
      return false;
  }
  return true;
}

static int compare_doms(const struct entry *a, const struct entry *b, size_t terms) {
  for (size_t i = 0; i < terms; i++)
    if (a->dom[i] != b->dom[i])
      return a->dom[i] < b->dom[i] ? -1 : 1;
  return 0;
}

static int compare_entries(const void *x, const void *y, void *terms) {
  const struct entry *a = x, *b = y;
  if (a->score != b->score)
    return a->score > b->score ? -1 : 1;
  int order = compare_doms(a, b, *(size_t *)terms);
  return order ? order : a->lo < b->lo ? -1 : a->lo > b->lo;
}

static void add_range(struct fl_group *g, uint32_t lo, uint32_t hi) {
  struct fl_range *last = g->ranges.len ? &g->ranges.items[g->ranges.len - 1] : NULL;
  if (last && last->hi == lo)
    last->hi = hi;
  else
    bt_vec_push(&g->ranges, ((struct fl_range){lo, hi}));
}

static void names_to_sets(struct bt_fleet *f, struct fl_shape *s) {
  bt_fit_set_free(&s->only);
  bt_fit_set_free(&s->never);
  s->has_only = s->has_never = false;
  if (s->names.len == 0)
    return;
  bt_fit_set_init(&s->only, (uint32_t)f->at.len);
  bt_fit_set_init(&s->never, (uint32_t)f->at.len);
  bt_vec_each(&s->names, r) {
    bool only = r->op == BT_RULE_EQ || r->op == BT_RULE_IN;
    s->has_only = s->has_only || only;
    s->has_never = s->has_never || !only;
  }
  for (uint32_t pos = 0; pos < f->at.len; pos++) {
    bool only = true, never = false;
    bt_vec_each(&s->names, r) {
      bool holds = bt_rule_holds(r, f->nodes.items[f->at.items[pos]].name);
      if (r->op == BT_RULE_EQ || r->op == BT_RULE_IN)
        only = only && holds;
      else
        never = never || !holds;
    }
    bt_fit_set_put(&s->only, pos, only);
    bt_fit_set_put(&s->never, pos, never);
  }
}

/* Whether rules on names leave any node of the class: if not, it is no domain to spread over either. */
static bool any_named(const struct fl_shape *s, const struct fl_class *class) {
  if (s->names.len == 0)
    return true;
  for (uint32_t pos = class->lo; pos < class->hi; pos++)
    if (bt_fit_set_has(&s->only, pos) && !bt_fit_set_has(&s->never, pos))
      return true;
  return false;
}

void fl_shape_groups(struct bt_fleet *f, struct fl_shape *s) {
  size_t terms = s->terms.len, n = 0;
  if (s->gen == f->gen)
    return;
  fl_groups_free(s);
  names_to_sets(f, s);
  BT_AUTO_FREE struct entry *entries = bt_newn(struct entry, f->class_order.len + 1);
  uint32_t *doms = bt_newn(uint32_t, f->class_order.len * terms + 1);
  for (size_t i = 0; i < f->class_order.len; i++) {
    uint32_t c = f->class_order.items[i], *dom = doms + n * terms;
    const struct fl_class *class = &f->classes.items[c];
    int score = verdict(f, s, c);
    for (size_t t = 0; t < terms; t++)
      dom[t] = class->dom.items[s->terms.items[t]];
    if (!fl_refused(score) && in_domains(s, dom) && any_named(s, class))
      entries[n++] = (struct entry){score, c, class->lo, class->hi, dom};
  }
  qsort_r(entries, n, sizeof *entries, compare_entries, &terms);
  for (size_t i = 0; i < n; i++) {
    if (i == 0 || entries[i].score != entries[i - 1].score || compare_doms(&entries[i], &entries[i - 1], terms) != 0)
      bt_vec_push(&s->groups, ((struct fl_group){.score = entries[i].score, .dom = entries[i].dom}));
    add_range(&s->groups.items[s->groups.len - 1], entries[i].lo, entries[i].hi);
  }
  free(s->doms);
  s->doms = doms;
  s->gen = f->gen;
  s->skip = s->from = 0;
  s->full = 0;
  s->seen = f->nfreed;
  fl_place_prepare(f, s);
}
