/* The smallest change that would make one more instance of a shape fit: what each node lacks is counted in steps that a person can take, and the
 * node with the fewest is told. */
#include "config.h"

#include "plan/fleet_int.h"

#include <stdarg.h>
#include <string.h>

#define STEPS_MAX 3 /* that a sentence names: more is no small change */

/* What would have to change for one node. */
struct steps {
  struct bt_buf *node, *rest; /* in words: what is to be on the node, and the rest; NULL: they are only counted */
  int n, lacks;                  /* steps; room that it lacks in so many dimensions */
  double part;                   /* the worst lack, of what is asked for */
  bool closed, never;            /* it takes nothing now; nobody can change what is in the way */
  bool elsewhere;                /* but a further node would do */
};

#define ON_NODE(steps, ...) step(steps, (steps)->node, __VA_ARGS__)
#define BESIDE(steps, ...) step(steps, (steps)->rest, __VA_ARGS__)

__attribute__((format(printf, 3, 4))) static void step(struct steps *steps, struct bt_buf *out, const char *format, ...) {
  va_list args;
  steps->n++;
  if (!out)
    return;
  va_start(args, format);
  bt_buf_adds(out, out->len ? " and " : "");
  bt_buf_vaddf(out, format, args);
  va_end(args);
}

static void nowhere_but(struct steps *steps, bool elsewhere) {
  steps->elsewhere = elsewhere && (!steps->never || steps->elsewhere);
  steps->never = true;
}

/* Labels and pools are given to a node; a name, a role and a platform are not. */
static bool is_given(const char *key) { return bt_starts(key, "node.labels.") || bt_starts(key, "engine.labels.") || bt_streq(key, "node.pool"); }

static void for_rule(const struct bt_rule *r, struct steps *steps) {
  static const char *const signs[] = {[BT_RULE_GE] = ">=", [BT_RULE_GT] = ">", [BT_RULE_LE] = "<=", [BT_RULE_LT] = "<"};
  if (!is_given(r->key))
    nowhere_but(steps, true);
  else if (r->op == BT_RULE_EQ || r->op == BT_RULE_IN)
    ON_NODE(steps, "%s = %s", r->key, r->values.items[0]);
  else if (r->op == BT_RULE_EXISTS)
    ON_NODE(steps, "a %s", r->key);
  else if (r->op == BT_RULE_ABSENT)
    ON_NODE(steps, "no %s", r->key);
  else if (r->op == BT_RULE_NE || r->op == BT_RULE_NOT_IN)
    ON_NODE(steps, "another %s", r->key);
  else
    ON_NODE(steps, "%s %s %s", r->key, signs[r->op], r->values.items[0]);
}

static void for_class(const struct fl_shape *s, const struct fl_node *node, struct steps *steps) {
  int said = s->verdicts.items[node->class];
  if (fl_refused(said) && said != FL_REFUSED)
    nowhere_but(steps, false); /* a policy has reasons of its own */
  for (uint32_t i = 0; i < node->ntaints; i++)
    if (node->taints[i].effect == BT_TAINT_NO_SCHEDULE && !fl_tolerates(s, &node->taints[i]))
      BESIDE(steps, "a toleration of %s=%s, which %s has", node->taints[i].key, node->taints[i].value, node->name);
  bt_vec_each(&s->rules, r) {
    if (!bt_rule_holds(r, fl_attr(node, r->key)))
      for_rule(r, steps);
  }
  bt_vec_each(&s->names, r) {
    if (!bt_rule_holds(r, node->name))
      nowhere_but(steps, true);
  }
}

/* What is there and bars it. */
static void for_bars(const struct bt_fleet *f, const struct fl_shape *s, uint32_t n, struct steps *steps) {
  char words[160];
  bt_vec_each(&s->bars, t) {
    const char *mark = fl_mark_words(&f->marks.items[t->mark], words, sizeof words);
    if (fl_mark_on(f, t->mark, n) < t->min)
      continue;
    if (bt_starts(mark, "free port of "))
      BESIDE(steps, "a wider range than %s", mark + strlen("free port of "));
    else if (bt_starts(mark, "port "))
      BESIDE(steps, "another port than %s", mark + strlen("port "));
    else
      nowhere_but(steps, t->own || bt_starts(mark, "an instance "));
  }
  bt_vec_each(&s->zbars, t) {
    if (fl_mark_near(f, t, n) >= t->min)
      nowhere_but(steps, false); /* it would have to be in another zone */
  }
}

/* What it must be beside and is not there. */
static void for_wants(const struct bt_fleet *f, const struct fl_shape *s, uint32_t n, struct steps *steps) {
  char words[160];
  bt_vec_each(&s->wants, t) {
    const struct fl_mark *m = &f->marks.items[t->mark];
    if (fl_mark_on(f, t->mark, n) == 0)
      ON_NODE(steps, "%s%s", fl_mark_words(m, words, sizeof words), bt_starts(m->name, "devices:") ? " that is free" : "");
  }
  bt_vec_each(&s->follows, t) {
    if (f->marks.items[t->mark].total > 0 && fl_mark_on(f, t->mark, n) == 0)
      nowhere_but(steps, false);
  }
  bt_vec_each(&s->zwants, t) {
    const struct fl_mark *m = &f->marks.items[t->mark];
    if (f->classes.items[f->nodes.items[n].class].dom.items[m->topo] == BT_FLEET_NONE)
      nowhere_but(steps, false);
    else if (fl_mark_near(f, t, n) == 0 && !(t->own && m->total == 0))
      BESIDE(steps, "%s in the same %s as %s", fl_mark_words(m, words, sizeof words), f->topos.items[m->topo].text, f->nodes.items[n].name);
  }
}

static void for_skews(const struct bt_fleet *f, const struct fl_shape *s, const struct fl_node *node, struct steps *steps) {
  bt_vec_each(&s->skews, k) {
    uint32_t topo = s->terms.items[k->term], dom = f->classes.items[node->class].dom.items[topo];
    if (k->hard && dom == BT_FLEET_NONE)
      ON_NODE(steps, "a %s", f->topos.items[topo].text);
    bt_vec_each(&s->groups, g) {
      if (k->hard && dom != BT_FLEET_NONE && g->dom[k->term] == dom && g->out && steps->n == 0)
        nowhere_but(steps, false);
    }
  }
}

static void for_room(const struct bt_fleet *f, const struct fl_shape *s, const struct fl_node *node, struct steps *steps) {
  char text[40];
  for (uint32_t d = 0; d < fl_ndims(f); d++) {
    int64_t lack = s->need[d] - BT_MAX(node->room[d] - node->used[d], 0);
    if (lack <= 0 || s->need[d] <= 0)
      continue;
    steps->lacks++;
    steps->part = BT_MAX(steps->part, (double)lack / (double)s->need[d]);
    ON_NODE(steps, "%s more %s", fl_amount_text(d, lack, text, sizeof text), bt_fleet_dim_name(f, (int)d));
  }
}

static void steps_of(const struct bt_fleet *f, const struct fl_shape *s, uint32_t n, struct steps *steps) {
  const struct fl_node *node = &f->nodes.items[n];
  steps->closed = !node->open;
  steps->n = steps->closed;
  for_class(s, node, steps);
  for_bars(f, s, n, steps);
  for_wants(f, s, n, steps);
  for_skews(f, s, node, steps);
  for_room(f, s, node, steps);
}

/* ---- the sentence ---- */

/* A smaller reservation would do as well, as long as something is left of each. */
static void say_less(const struct bt_fleet *f, const struct fl_shape *s, const struct fl_node *node, uint32_t dims, struct bt_buf *mend) {
  BT_AUTO_BUF less = {0};
  char text[40];
  for (uint32_t d = 0; d < fl_ndims(f); d++) {
    int64_t left = BT_MAX(node->room[d] - node->used[d], 0);
    if (s->need[d] <= left)
      continue;
    if (left == 0)
      return;
    bt_buf_addf(&less, "%s%s", less.len ? " and " : "", fl_amount_text(d, left, text, sizeof text));
    if (dims > 1)
      bt_buf_addf(&less, " %s", bt_fleet_dim_name(f, (int)d));
  }
  bt_buf_addf(mend, ", or %s of at most %s", dims > 1 ? "reservations" : "a reservation", less.data);
}

static void say(struct bt_fleet *f, const struct fl_shape *s, uint32_t n, struct bt_buf *mend) {
  BT_AUTO_BUF on = {0}, rest = {0};
  struct steps steps = {.node = &on, .rest = &rest};
  const char *name = f->nodes.items[n].name;
  steps_of(f, s, n, &steps);
  bt_buf_adds(mend, mend->len ? "; or " : "");
  if (steps.closed)
    bt_buf_addf(mend, "%s taking instances again%s", name, on.len || rest.len ? " and " : "");
  if (on.len)
    bt_buf_addf(mend, "%s on %s%s", on.data, name, !steps.closed && !steps.lacks && !rest.len ? ", which has room" : "");
  if (rest.len)
    bt_buf_addf(mend, "%s%s", on.len ? ", and " : "", rest.data);
  if (steps.lacks && steps.lacks == steps.n)
    say_less(f, s, &f->nodes.items[n], (uint32_t)steps.lacks, mend);
}

/* Nobody can change what is in the way on any node. */
static void say_elsewhere(const struct bt_fleet *f, const struct fl_shape *s, struct bt_buf *mend) {
  int n = 0;
  bt_buf_adds(mend, "one more node");
  bt_vec_each(&s->names, r) bt_buf_addf(mend, "%s%s", n++ ? " and " : " that meets ", r->text);
  bt_vec_each(&s->rules, r) bt_buf_addf(mend, "%s%s", n++ ? " and " : " that meets ", r->text);
  bt_vec_each(&s->bars, t) {
    char words[160];
    fl_mark_words(&f->marks.items[t->mark], words, sizeof words);
    if (t->own && !t->weight && t->min > 1 && !strstr(words, "port "))
      bt_buf_addf(mend, ", or max_replicas_per_node: %u", t->min + 1);
  }
}

struct choice {
  uint32_t node; /* BT_FLEET_NONE: none yet */
  struct steps steps;
};

/* Whether it is less to do than the one before; of lacks alone it is the smaller part that counts. */
static void consider(struct choice *choice, uint32_t node, const struct steps *steps, bool part) {
  if (choice->node == BT_FLEET_NONE || (part ? steps->part < choice->steps.part : steps->n < choice->steps.n))
    *choice = (struct choice){node, *steps};
}

void fl_mend(struct bt_fleet *f, const struct fl_shape *s, struct bt_buf *mend) {
  struct choice room = {.node = BT_FLEET_NONE}, other = room, both = room;
  bool elsewhere = false;
  for (uint32_t n = 0; n < f->nodes.len; n++) {
    struct steps steps = {0};
    if (!f->nodes.items[n].name)
      continue;
    steps_of(f, s, n, &steps);
    elsewhere = elsewhere || (steps.elsewhere && !steps.closed);
    if (steps.never || steps.n == 0 || steps.n > STEPS_MAX)
      continue;
    bool only = steps.lacks == steps.n;
    consider(only ? &room : steps.lacks ? &both : &other, n, &steps, only);
  }
  if (room.node != BT_FLEET_NONE)
    say(f, s, room.node, mend);
  if (other.node != BT_FLEET_NONE)
    say(f, s, other.node, mend);
  if (!mend->len && both.node != BT_FLEET_NONE)
    say(f, s, both.node, mend);
  if (!mend->len && elsewhere)
    say_elsewhere(f, s, mend);
}
