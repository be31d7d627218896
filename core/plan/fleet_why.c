#include "config.h"

#include "plan/fleet_int.h"

#include <inttypes.h>
#include <stdio.h>

#define REASONS_MAX 8 /* that a sentence names */

/* ---- amounts in words ---- */

const char *fl_amount_text(uint32_t d, int64_t v, char *out, size_t size) {
  if (d == BT_DIM_CPU)
    snprintf(out, size, "%.3g", (double)v / 1000);
  else if (d == BT_DIM_MEMORY || d == BT_DIM_DISK)
    snprintf(out, size, "%" PRId64 " MiB", v / (1 << 20) + (v > 0 && v % (1 << 20) != 0));
  else
    snprintf(out, size, "%" PRId64, v);
  return out;
}

/* ---- reasons, counted ---- */

struct reason {
  char text[240];
  size_t nodes;
};
struct reasons {
  BT_VEC(struct reason) v;
};

static void count(struct reasons *r, const char *text) {
  bt_vec_each(&r->v, it) {
    if (bt_streq(it->text, text)) {
      it->nodes++;
      return;
    }
  }
  struct reason new = {.nodes = 1};
  snprintf(new.text, sizeof new.text, "%s", text);
  bt_vec_push(&r->v, new);
}

/* ---- what keeps it from a node ---- */

/* What is in the way on one node: the first obstacle in words, and how many there are beside a lack of room. */
struct obstacle {
  char text[240];
  int others;
  bool closed;
  uint32_t dim; /* that it lacks most of; BT_FLEET_DIMS: none */
  int64_t lack;
  double part; /* of what it asks for */
};

const char *fl_mark_words(const struct fl_mark *m, char *out, size_t size) {
  const char *name = m->name[0] == '!' ? m->name + 1 : m->name;
  if (bt_starts(name, "s:"))
    snprintf(out, size, "an instance of %.100s", name + 2);
  else if (bt_starts(name, "a:"))
    snprintf(out, size, "an instance of app %.100s", name + 2);
  else if (bt_starts(name, "n:"))
    snprintf(out, size, "an instance of namespace %.100s", name + 2);
  else if (bt_starts(name, "port:"))
    snprintf(out, size, "port %.100s", name + 5);
  else if (bt_starts(name, "devices:"))
    snprintf(out, size, "%.120s", name + 8);
  else if (bt_starts(name, "resource:"))
    snprintf(out, size, "resource %.100s", name + 9);
  else if (bt_starts(name, "ports:"))
    snprintf(out, size, "free port of %.100s", name + 6);
  else if (bt_starts(name, "volume:"))
    snprintf(out, size, "volume %.100s", name + 7);
  else
    snprintf(out, size, "%.100s", name);
  return out;
}

static void obstruct(struct obstacle *o, const char *text) {
  if (o->others++ == 0)
    snprintf(o->text, sizeof o->text, "%.239s", text);
}

static void by_names(const struct fl_shape *s, const struct fl_node *node, struct obstacle *o) {
  char text[240];
  bt_vec_each(&s->names, r) {
    if (!bt_rule_holds(r, node->name)) {
      snprintf(text, sizeof text, "does not meet %.120s", r->text);
      obstruct(o, text);
    }
  }
}

static void by_class(struct bt_fleet *f, struct fl_shape *s, const struct fl_node *node, struct obstacle *o) {
  char text[240];
  if (!fl_refusal(f, s, node->class, text, sizeof text))
    return;
  obstruct(o, text);
}

uint32_t fl_mark_near(const struct bt_fleet *f, const struct fl_tie *t, uint32_t n) {
  const struct fl_mark *m = &f->marks.items[t->mark];
  uint32_t dom = f->classes.items[f->nodes.items[n].class].dom.items[m->topo];
  return dom < m->domains.len ? m->domains.items[dom] : 0;
}

/* An instance on the node that leaves the mark, as namespace/app/service. */
static const char *holder(const struct bt_fleet *f, uint32_t mark, uint32_t n) {
  for (uint32_t i = f->nodes.items[n].head; i != BT_FLEET_NONE; i = f->insts.items[i].node_next) {
    const struct fl_shape *s = f->shapes.items[f->insts.items[i].shape];
    bt_vec_each(&s->marks, m) {
      if (*m == mark)
        return s->targets[BT_SCOPE_SERVICE] + 2;
    }
  }
  return "somebody else";
}

/* The first node that has it. */
static const char *whereabouts(const struct bt_fleet *f, uint32_t mark) {
  for (uint32_t n = 0; n < f->nodes.len; n++)
    if (f->nodes.items[n].name && fl_mark_on(f, mark, n) > 0)
      return f->nodes.items[n].name;
  return "another node";
}

static void by_marks(struct bt_fleet *f, const struct fl_shape *s, uint32_t n, struct obstacle *o) {
  char text[240], words[160];
  bt_vec_each(&s->bars, t) {
    uint32_t there = fl_mark_on(f, t->mark, n);
    if (there < t->min)
      continue;
    fl_mark_words(&f->marks.items[t->mark], words, sizeof words);
    if (bt_starts(words, "free port "))
      snprintf(text, sizeof text, "has no %s", words);
    else if (bt_starts(words, "port "))
      snprintf(text, sizeof text, "has given %.80s to %.120s", words, holder(f, t->mark, n));
    else if (t->own && !t->weight)
      snprintf(text, sizeof text, "has %u of its instances, as many as it may", there);
    else
      snprintf(text, sizeof text, "has %s", words);
    obstruct(o, text);
  }
  bt_vec_each(&s->wants, t) {
    if (fl_mark_on(f, t->mark, n) == 0) {
      const struct fl_mark *m = &f->marks.items[t->mark];
      const char *how = bt_starts(m->name, "devices:") ? "has not %s free" : bt_starts(m->name, "resource:") ? "has no %s" : "lacks %s, which it must be beside";
      fl_mark_words(m, words, sizeof words);
      const char *rest = strstr(how, "%s");
      snprintf(text, sizeof text, "%.*s%s%s", (int)(rest - how), how, words, rest + 2);
      obstruct(o, text);
    }
  }
  bt_vec_each(&s->follows, t) {
    const struct fl_mark *m = &f->marks.items[t->mark];
    if (m->total > 0 && fl_mark_on(f, t->mark, n) == 0) {
      snprintf(text, sizeof text, "has no %s, which is on %s", fl_mark_words(m, words, sizeof words), whereabouts(f, t->mark));
      obstruct(o, text);
    }
  }
  bt_vec_each(&s->zbars, t) {
    if (fl_mark_near(f, t, n) >= t->min) {
      snprintf(text, sizeof text, "has %s in the same %s", fl_mark_words(&f->marks.items[t->mark], words, sizeof words),
               f->topos.items[f->marks.items[t->mark].topo].text);
      obstruct(o, text);
    }
  }
  bt_vec_each(&s->zwants, t) {
    if (fl_mark_near(f, t, n) == 0 && !(t->own && f->marks.items[t->mark].total == 0)) {
      fl_mark_words(&f->marks.items[t->mark], words, sizeof words);
      snprintf(text, sizeof text, "has no %s in the same %s", words + (bt_starts(words, "an ") ? strlen("an ") : 0),
               f->topos.items[f->marks.items[t->mark].topo].text);
      obstruct(o, text);
    }
  }
}

/* Of a class whose group may not have a further one now. */
static void by_skew(const struct bt_fleet *f, const struct fl_shape *s, const struct fl_node *node, struct obstacle *o) {
  char text[240];
  bt_vec_each(&s->skews, k) {
    uint32_t topo = s->terms.items[k->term], dom = f->classes.items[node->class].dom.items[topo];
    const char *key = f->topos.items[topo].text;
    if (!k->hard)
      continue;
    if (dom == BT_FLEET_NONE) {
      snprintf(text, sizeof text, "has no %s to spread over", key);
      obstruct(o, text);
    }
    bt_vec_each(&s->groups, g) {
      if (g->dom[k->term] == dom && g->out && o->others == 0) {
        snprintf(text, sizeof text, "would bring its %s more than %d above the emptiest", key, k->max_skew);
        obstruct(o, text);
      }
    }
  }
}

static void by_room(const struct bt_fleet *f, const struct fl_shape *s, const struct fl_node *node, struct obstacle *o) {
  o->dim = BT_FLEET_DIMS;
  for (uint32_t d = 0; d < fl_ndims(f); d++) {
    int64_t lack = s->need[d] - BT_MAX(node->room[d] - node->used[d], 0);
    double part = s->need[d] > 0 ? (double)lack / (double)s->need[d] : 0;
    if (lack > 0 && (o->dim == BT_FLEET_DIMS || part > o->part)) {
      o->dim = d;
      o->lack = lack;
      o->part = part;
    }
  }
}

/* ---- the sentence ---- */

struct report {
  struct reasons reasons;
  size_t nodes, unready;
  const char *name; /* of the last */
  size_t lacking[BT_FLEET_DIMS];
  int64_t most[BT_FLEET_DIMS]; /* free, among nodes that only lack room */
  uint32_t most_on[BT_FLEET_DIMS];
};

static void look(struct bt_fleet *f, struct fl_shape *s, uint32_t n, struct report *r) {
  const struct fl_node *node = &f->nodes.items[n];
  struct obstacle o = {.closed = !node->open};
  r->nodes++;
  r->unready += !node->open && !node->closed;
  r->name = node->name;
  by_names(s, node, &o);
  by_class(f, s, node, &o);
  by_marks(f, s, n, &o);
  by_skew(f, s, node, &o);
  by_room(f, s, node, &o);
  if (o.closed)
    count(&r->reasons, node->closed ? node->closed : "is not ready");
  else if (o.others > 0)
    count(&r->reasons, o.text);
  else if (o.dim < BT_FLEET_DIMS) {
    int64_t left = BT_MAX(node->room[o.dim] - node->used[o.dim], 0);
    if (r->lacking[o.dim]++ == 0 || left > r->most[o.dim]) {
      r->most[o.dim] = left;
      r->most_on[o.dim] = n;
    }
  }
}

static void say_room(struct bt_fleet *f, const struct fl_shape *s, const struct report *r, struct bt_buf *why, size_t *said) {
  char need[40], most[40];
  for (uint32_t d = 0; r->nodes == 1 && d < fl_ndims(f); d++)
    if (r->lacking[d])
      bt_buf_addf(why, "%slacks %s: it asks for %s, and %s is left", (*said)++ ? ", " : "", bt_fleet_dim_name(f, (int)d), fl_amount_text(d, s->need[d], need, sizeof need),
                  fl_amount_text(d, r->most[d], most, sizeof most));
  if (r->nodes == 1)
    return;
  for (uint32_t d = 0; d < fl_ndims(f); d++)
    if (r->lacking[d])
      bt_buf_addf(why, "%s%zu %s %s (it asks for %s; most is on %s, %s)", (*said)++ ? ", " : "", r->lacking[d],
                  r->lacking[d] == 1 ? "lacks" : "lack", bt_fleet_dim_name(f, (int)d), fl_amount_text(d, s->need[d], need, sizeof need),
                  f->nodes.items[r->most_on[d]].name, fl_amount_text(d, r->most[d], most, sizeof most));
}

void bt_fleet_why(struct bt_fleet *f, uint32_t shape, struct bt_buf *why, struct bt_buf *mend) {
  struct fl_shape *s = f->shapes.items[shape];
  struct report r = {0};
  size_t said = 0;
  fl_ensure(f);
  fl_shape_groups(f, s);
  fl_groups_score(f, s);
  for (uint32_t n = 0; n < f->nodes.len; n++)
    if (f->nodes.items[n].name)
      look(f, s, n, &r);
  if (r.nodes == r.unready) {
    bt_buf_adds(why, "no node is ready");
    bt_vec_free(&r.reasons.v);
    return;
  }
  if (r.nodes == 1)
    bt_buf_addf(why, "%s ", r.name);
  else
    bt_buf_addf(why, "none of %zu nodes has a place: ", r.nodes);
  say_room(f, s, &r, why, &said);
  for (size_t i = 0; i < r.reasons.v.len && i < REASONS_MAX; i++)
    if (r.nodes == 1)
      bt_buf_addf(why, "%s%s", said++ ? ", " : "", r.reasons.v.items[i].text);
    else
      bt_buf_addf(why, "%s%zu %s", said++ ? ", " : "", r.reasons.v.items[i].nodes, r.reasons.v.items[i].text);
  if (r.reasons.v.len > REASONS_MAX)
    bt_buf_addf(why, ", and %zu other reasons", r.reasons.v.len - REASONS_MAX);
  if (!said)
    bt_buf_adds(why, r.nodes == 1 ? "has come free" : "but one has come free");
  if (mend)
    fl_mend(f, s, mend);
  bt_vec_free(&r.reasons.v);
}
