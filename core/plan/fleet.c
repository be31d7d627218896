#include "config.h"

#include "plan/fleet_int.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- life ---- */

struct bt_fleet *bt_fleet_new(void) {
  struct bt_fleet *f = bt_new(struct bt_fleet);
  f->strings = bt_map_new(free);
  f->names = bt_map_new(NULL);
  f->keys = bt_map_new(NULL);
  f->classes_by = bt_map_new(NULL);
  f->marks_by = bt_map_new(NULL);
  f->topos_by = bt_map_new(NULL);
  f->services = bt_map_new(NULL);
  f->free_inst = BT_FLEET_NONE;
  f->dirty = true;
  f->epoch = 1;
  bt_vec_push(&f->topos, ((struct fl_topo){.text = bt_strdup("")}));
  return f;
}

static void classes_clear(struct bt_fleet *f) {
  bt_vec_each(&f->classes, class) {
    free(class->text);
    bt_vec_free(&class->dom);
  }
  f->classes.len = 0;
  bt_map_free(&f->classes_by);
  f->classes_by = bt_map_new(NULL);
}

void bt_fleet_free(struct bt_fleet **fleet) {
  struct bt_fleet *f = *fleet;
  if (!f)
    return;
  fl_layers_drop(f);
  bt_vec_each(&f->shapes, s) fl_shape_free(*s);
  bt_vec_each(&f->marks, m) fl_mark_free(m);
  bt_vec_each(&f->topos, t) fl_topo_free(t);
  classes_clear(f);
  bt_vec_each(&f->nodes, n) {
    free(n->name);
    free(n->attrs);
    free(n->taints);
  }
  for (struct bt_map_iter it = bt_map_iter(f->services); bt_map_next(&it);) {
    struct fl_service *service = it.value;
    bt_vec_free(&service->shapes);
    free(service);
  }
  bt_vec_each(&f->dims, d) free(*d);
  bt_fit_free(&f->fit);
  bt_vec_free(&f->dims);
  bt_vec_free(&f->nodes);
  bt_vec_free(&f->free_nodes);
  bt_vec_free(&f->classes);
  bt_vec_free(&f->class_order);
  bt_vec_free(&f->at);
  bt_vec_free(&f->topos);
  bt_vec_free(&f->free_topos);
  bt_vec_free(&f->marks);
  bt_vec_free(&f->free_marks);
  bt_vec_free(&f->shapes);
  bt_vec_free(&f->free_shapes);
  bt_vec_free(&f->insts);
  bt_vec_free(&f->layers);
  bt_vec_free(&f->going);
  struct bt_map **maps[] = {&f->strings, &f->names, &f->keys, &f->classes_by, &f->marks_by, &f->topos_by, &f->services};
  for (size_t i = 0; i < BT_COUNT(maps); i++)
    bt_map_free(maps[i]);
  free(f);
  *fleet = NULL;
}

static const char *intern(struct bt_fleet *f, const char *text) {
  char *known = bt_map_get(f->strings, text);
  if (!known)
    bt_map_set(f->strings, text, known = bt_strdup(text));
  return known;
}

void fl_key(struct bt_fleet *f, const char *key) {
  uintptr_t refs = (uintptr_t)bt_map_get(f->keys, key);
  bt_map_set(f->keys, key, (void *)(refs + 1));
  if (refs == 0)
    f->dirty = true;
  if (refs == 0 && !f->judge) /* which tells them apart by every key already */
    f->reclass = true;
}

/* Classes stay as they are until they are made anew for another reason. */
void fl_key_put(struct bt_fleet *f, const char *key) {
  uintptr_t refs = (uintptr_t)bt_map_get(f->keys, key);
  BT_ASSERT(refs > 0);
  if (refs > 1) {
    bt_map_set(f->keys, key, (void *)(refs - 1));
    return;
  }
  bt_map_del(f->keys, key);
  f->reclass = f->reclass || !f->judge;
}

void bt_fleet_judged(struct bt_fleet *f, bt_fleet_judge *judge, void *arg) {
  f->judge = judge;
  f->judge_arg = arg;
  f->dirty = f->reclass = true; /* a policy may look at every label */
  f->epoch++;
}

int bt_fleet_dims(const struct bt_fleet *f) { return (int)fl_ndims(f); }

const char *bt_fleet_dim_name(const struct bt_fleet *f, int dim) {
  static const char *const names[] = {"cpu", "memory", "disk", "pids"};
  return dim < BT_DIM_FIXED ? names[dim] : f->dims.items[dim - BT_DIM_FIXED];
}

int bt_fleet_dim_find(const struct bt_fleet *f, const char *name) {
  for (int d = 0; d < bt_fleet_dims(f); d++)
    if (bt_streq(bt_fleet_dim_name(f, d), name))
      return d;
  return -1;
}

int bt_fleet_dim(struct bt_fleet *f, const char *name) {
  int known = bt_fleet_dim_find(f, name);
  if (known >= 0 || fl_ndims(f) == BT_FLEET_DIMS)
    return known;
  bt_vec_push(&f->dims, bt_strdup(name));
  f->dirty = true;
  return (int)fl_ndims(f) - 1;
}

/* ---- nodes ---- */

const char *fl_attr(const struct fl_node *node, const char *key) {
  for (uint32_t i = 0; i < node->nattrs; i++)
    if (strcmp(node->attrs[i].key, key) == 0)
      return node->attrs[i].value;
  return NULL;
}

#define PER_MILLION 1000000
/* The scarcer of cpu and memory, in millionths of what there is, and of equals that with fewer instances: what strategy spread looks for. */
static int64_t headroom(const struct fl_node *node) {
  double least = 1;
  for (int d = BT_DIM_CPU; d <= BT_DIM_MEMORY; d++)
    if (node->room[d] > 0)
      least = BT_MIN(least, (double)(node->room[d] - node->used[d]) / (double)node->room[d]);
  return BT_MAX((int64_t)(least * PER_MILLION) - (int64_t)node->count, 0);
}

void fl_amounts(const struct bt_fleet *f, const struct fl_node *node, const int64_t *extra, int64_t *out) {
  uint32_t dims = fl_ndims(f);
  for (uint32_t d = 0; d < dims; d++) {
    int64_t left = node->room[d] - node->used[d] + (extra ? extra[d] : 0);
    out[d] = !node->open ? -1 : BT_MAX(left, 0);
  }
  out[dims] = !node->open ? -1 : f->headroom ? headroom(node) : 0;
}

static void node_moved(struct bt_fleet *f, uint32_t n) {
  int64_t amounts[FL_DIMS];
  if (f->dirty)
    return;
  fl_amounts(f, &f->nodes.items[n], NULL, amounts);
  bt_fit_put(&f->fit, f->nodes.items[n].pos, amounts);
}

void fl_freed(struct bt_fleet *f, uint32_t n) {
  f->epoch++;
  f->freed[f->nfreed++ % FL_FREED] = f->nodes.items[n].pos;
}

int64_t fl_seen(int dim, int64_t amount) {
  return dim == BT_DIM_MEMORY || dim == BT_DIM_DISK ? amount - amount % BT_FLEET_GRAIN : amount;
}

static bool same_place(const struct bt_fleet *f, const struct fl_node *have, const struct bt_fleet_node *want) {
  if (have->nattrs != want->nattrs || have->ntaints != want->ntaints)
    return false;
  for (int d = 0; f->judge && d < BT_FLEET_DIMS; d++)
    if (fl_seen(d, have->room[d]) != fl_seen(d, want->room[d]))
      return false;
  for (size_t i = 0; i < want->nattrs; i++)
    if (strcmp(have->attrs[i].key, want->attrs[i].key) != 0 || strcmp(have->attrs[i].value, want->attrs[i].value) != 0)
      return false;
  for (size_t i = 0; i < want->ntaints; i++)
    if (strcmp(have->taints[i].key, want->taints[i].key) != 0 || strcmp(have->taints[i].value, want->taints[i].value) != 0 ||
        have->taints[i].effect != want->taints[i].effect)
      return false;
  return true;
}

/* Takes the instances of a node out of the domains' counts, or puts them in again. */
static void count_domains(struct bt_fleet *f, uint32_t n, int delta) {
  for (uint32_t i = f->nodes.items[n].head; i != BT_FLEET_NONE; i = f->insts.items[i].node_next) {
    const struct fl_shape *s = f->shapes.items[f->insts.items[i].shape];
    bt_vec_each(&s->marks, m) {
      if (f->marks.items[*m].topo)
        fl_mark_add(f, *m, n, delta);
    }
  }
}

static void node_fill(struct bt_fleet *f, struct fl_node *node, const struct bt_fleet_node *want) {
  free(node->attrs);
  free(node->taints);
  node->attrs = bt_newn(struct bt_attr, want->nattrs + 1);
  node->taints = bt_newn(struct bt_taint, want->ntaints + 1);
  node->nattrs = (uint32_t)want->nattrs;
  node->ntaints = (uint32_t)want->ntaints;
  for (size_t i = 0; i < want->nattrs; i++)
    node->attrs[i] = (struct bt_attr){intern(f, want->attrs[i].key), intern(f, want->attrs[i].value)};
  for (size_t i = 0; i < want->ntaints; i++)
    node->taints[i] = (struct bt_taint){intern(f, want->taints[i].key), intern(f, want->taints[i].value), want->taints[i].effect};
}

static uint32_t node_new(struct bt_fleet *f, const char *name) {
  uint32_t n;
  if (f->free_nodes.len) {
    n = f->free_nodes.items[--f->free_nodes.len];
  } else {
    n = (uint32_t)f->nodes.len;
    bt_vec_push(&f->nodes, ((struct fl_node){0}));
  }
  f->nodes.items[n] = (struct fl_node){.name = bt_strdup(name), .head = BT_FLEET_NONE};
  bt_map_set(f->names, name, (void *)((uintptr_t)n + 1));
  return n;
}

uint32_t bt_fleet_node_set(struct bt_fleet *f, const struct bt_fleet_node *want) {
  uint32_t n = bt_fleet_node_find(f, want->name);
  bool fresh = n == BT_FLEET_NONE;
  if (fresh)
    n = node_new(f, want->name);
  struct fl_node *node = &f->nodes.items[n];
  if (fresh || !same_place(f, node, want)) {
    if (node->head != BT_FLEET_NONE && !node->uncounted) {
      fl_ensure(f);
      count_domains(f, n, -1);
      node->uncounted = true;
    }
    node_fill(f, node, want);
    f->dirty = true;
  }
  memcpy(node->room, want->room, sizeof node->room);
  node->open = want->open;
  node->closed = want->closed ? intern(f, want->closed) : NULL;
  fl_freed(f, n);
  node_moved(f, n);
  fl_layers_node(f, n);
  return n;
}

int bt_fleet_node_drop(struct bt_fleet *f, uint32_t n) {
  struct fl_node *node = &f->nodes.items[n];
  if (node->head != BT_FLEET_NONE)
    return -1;
  bt_vec_each(&f->marks, m) {
    if (m->name && m->topo == 0 && n / FL_CHUNK < m->nchunks && m->chunks[n / FL_CHUNK]) {
      m->total -= m->chunks[n / FL_CHUNK][n % FL_CHUNK];
      m->chunks[n / FL_CHUNK][n % FL_CHUNK] = 0;
    }
  }
  bt_map_del(f->names, node->name);
  free(node->name);
  free(node->attrs);
  free(node->taints);
  *node = (struct fl_node){.head = BT_FLEET_NONE};
  bt_vec_push(&f->free_nodes, n);
  f->dirty = true;
  return 0;
}

uint32_t bt_fleet_node_find(const struct bt_fleet *f, const char *name) {
  uintptr_t n = (uintptr_t)bt_map_get(f->names, name);
  return n ? (uint32_t)(n - 1) : BT_FLEET_NONE;
}

const char *bt_fleet_node_name(const struct bt_fleet *f, uint32_t n) { return f->nodes.items[n].name; }
int64_t bt_fleet_node_free(const struct bt_fleet *f, uint32_t n, int dim) { return f->nodes.items[n].room[dim] - f->nodes.items[n].used[dim]; }
int64_t bt_fleet_node_used(const struct bt_fleet *f, uint32_t n, int dim) { return f->nodes.items[n].used[dim]; }
size_t bt_fleet_nodes(const struct bt_fleet *f) { return f->nodes.len; }
size_t bt_fleet_instances(const struct bt_fleet *f) { return f->live; }
size_t bt_fleet_spoken(const struct bt_fleet *f) { return bt_map_len(f->keys) + bt_map_len(f->topos_by); }
uint64_t bt_fleet_epoch(const struct bt_fleet *f) { return f->epoch; }

/* ---- classes and positions ---- */

/* What rules can see of a node, as a text: equal texts are one class. */
static void describe(const struct bt_fleet *f, const struct fl_node *node, struct bt_buf *out) {
  bt_buf_truncate(out, 0);
  if (f->judge) {
    for (uint32_t i = 0; i < node->nattrs; i++)
      bt_buf_addf(out, "%s\1%s\2", node->attrs[i].key, node->attrs[i].value);
    for (uint32_t d = 0; d < fl_ndims(f); d++)
      bt_buf_addf(out, "%" PRId64 "\2", fl_seen((int)d, node->room[d]));
  } else {
    for (struct bt_map_iter it = bt_map_iter(f->keys); bt_map_next(&it);) {
      const char *value = fl_attr(node, it.key);
      bt_buf_addf(out, "%s%s\2", value ? "\1" : "", value ? value : "");
    }
  }
  for (uint32_t i = 0; i < node->ntaints; i++)
    bt_buf_addf(out, "\3%s\1%s\1%d\2", node->taints[i].key, node->taints[i].value, node->taints[i].effect);
}

static void classify(struct bt_fleet *f) {
  BT_AUTO_BUF text = {0};
  if (f->reclass || f->classes.len > 2 * f->class_order.len + 1024) {
    classes_clear(f);
    bt_vec_each(&f->shapes, s) {
      if (*s)
        fl_verdicts_forget(*s);
    }
    f->reclass = false;
  }
  bt_vec_each(&f->classes, class) class->lo = class->hi = 0;
  for (uint32_t n = 0; n < f->nodes.len; n++) {
    struct fl_node *node = &f->nodes.items[n];
    if (!node->name)
      continue;
    describe(f, node, &text);
    const char *key = text.data ? text.data : "";
    uintptr_t known = (uintptr_t)bt_map_get(f->classes_by, key);
    if (!known) {
      bt_vec_push(&f->classes, ((struct fl_class){.text = bt_strdup(key)}));
      known = f->classes.len;
      bt_map_set(f->classes_by, key, (void *)known);
    }
    node->class = (uint32_t)(known - 1);
    f->classes.items[node->class].like = n;
    f->classes.items[node->class].hi++;
  }
}

/* Domains of a class are asked of one of its nodes: all keys of topologies are keys of classes. */
static void class_domains(struct bt_fleet *f) {
  bt_vec_each(&f->classes, class) {
    class->dom.len = 0;
    for (uint32_t t = 0; t < f->topos.len; t++)
      bt_vec_push(&class->dom, class->hi > class->lo && t ? fl_topo_domain(f, t, &f->nodes.items[class->like]) : BT_FLEET_NONE);
  }
}

static void lay_out(struct bt_fleet *f) {
  uint32_t begin = 0;
  f->class_order.len = 0;
  for (uint32_t c = 0; c < f->classes.len; c++) {
    struct fl_class *class = &f->classes.items[c];
    uint32_t n = class->hi;
    if (n)
      bt_vec_push(&f->class_order, c);
    class->lo = class->hi = begin;
    begin += n;
  }
  f->at.len = 0;
  for (uint32_t i = 0; i < begin; i++)
    bt_vec_push(&f->at, 0);
  for (uint32_t n = 0; n < f->nodes.len; n++) {
    struct fl_node *node = &f->nodes.items[n];
    if (!node->name)
      continue;
    node->pos = f->classes.items[node->class].hi++;
    f->at.items[node->pos] = n;
  }
}

void fl_ensure(struct bt_fleet *f) {
  if (!f->dirty)
    return;
  f->dirty = false;
  classify(f);
  lay_out(f);
  class_domains(f);
  bt_fit_free(&f->fit);
  bt_fit_init(&f->fit, (uint32_t)f->at.len, fl_ndims(f) + 1);
  for (uint32_t n = 0; n < f->nodes.len; n++)
    if (f->nodes.items[n].name)
      node_moved(f, n);
  fl_layers_drop(f);
  for (uint32_t m = 0; m < f->marks.len; m++)
    bt_vec_each(&f->marks.items[m].watches, w) fl_watch_fill(f, m, *w);
  for (uint32_t n = 0; n < f->nodes.len; n++)
    if (f->nodes.items[n].uncounted) {
      f->nodes.items[n].uncounted = false;
      count_domains(f, n, 1);
    }
  f->gen++;
  f->epoch++;
}

/* ---- instances ---- */

static void add_used(struct fl_node *node, const struct fl_shape *s, uint32_t dims, int64_t n) {
  for (uint32_t d = 0; d < dims; d++)
    node->used[d] += s->need[d] * n;
}

static uint32_t inst_new(struct bt_fleet *f, uint32_t shape, uint32_t n) {
  uint32_t i = f->free_inst;
  if (i != BT_FLEET_NONE) {
    f->free_inst = f->insts.items[i].node_next;
  } else {
    BT_ASSERT(f->insts.len < BT_FLEET_NONE);
    i = (uint32_t)f->insts.len;
    bt_vec_push(&f->insts, ((struct fl_inst){0}));
  }
  struct fl_inst *inst = &f->insts.items[i];
  struct fl_node *node = &f->nodes.items[n];
  struct fl_shape *s = f->shapes.items[shape];
  *inst = (struct fl_inst){shape, n, node->head, BT_FLEET_NONE, s->head, BT_FLEET_NONE};
  if (node->head != BT_FLEET_NONE)
    f->insts.items[node->head].node_prev = i;
  if (s->head != BT_FLEET_NONE)
    f->insts.items[s->head].shape_prev = i;
  node->head = s->head = i;
  return i;
}

uint32_t fl_sit(struct bt_fleet *f, uint32_t shape, uint32_t n, uint32_t count, uint32_t *out) {
  struct fl_shape *s = f->shapes.items[shape];
  struct fl_node *node = &f->nodes.items[n];
  for (uint32_t i = 0; i < count; i++)
    out[i] = inst_new(f, shape, n);
  f->live += count;
  s->count += count;
  node->count += count;
  add_used(node, s, fl_ndims(f), count);
  bt_vec_each(&s->marks, m) fl_mark_add(f, *m, n, (int)count);
  node_moved(f, n);
  fl_layers_moved(f, s, n, count);
  return count;
}

uint32_t bt_fleet_seat(struct bt_fleet *f, uint32_t shape, uint32_t node) {
  uint32_t i;
  fl_ensure(f);
  fl_sit(f, shape, node, 1, &i);
  return i;
}

void bt_fleet_remove(struct bt_fleet *f, uint32_t i) {
  fl_ensure(f);
  bt_fleet_going(f, i, false);
  struct fl_inst *inst = &f->insts.items[i];
  struct fl_shape *s = f->shapes.items[inst->shape];
  struct fl_node *node = &f->nodes.items[inst->node];
  uint32_t n = inst->node;
  *(inst->node_prev != BT_FLEET_NONE ? &f->insts.items[inst->node_prev].node_next : &node->head) = inst->node_next;
  if (inst->node_next != BT_FLEET_NONE)
    f->insts.items[inst->node_next].node_prev = inst->node_prev;
  *(inst->shape_prev != BT_FLEET_NONE ? &f->insts.items[inst->shape_prev].shape_next : &s->head) = inst->shape_next;
  if (inst->shape_next != BT_FLEET_NONE)
    f->insts.items[inst->shape_next].shape_prev = inst->shape_prev;
  *inst = (struct fl_inst){.shape = BT_FLEET_NONE, .node = BT_FLEET_NONE, .node_next = f->free_inst};
  f->free_inst = i;
  f->live--;
  s->count--;
  node->count--;
  add_used(node, s, fl_ndims(f), -1);
  bt_vec_each(&s->marks, m) fl_mark_add(f, *m, n, -1);
  node_moved(f, n);
  fl_layers_moved(f, s, n, -1);
  bt_vec_each(&s->of->shapes, shape) {
    struct fl_shape *same = f->shapes.items[*shape];
    if (same->level && fl_mark_on(f, same->level_mark, n) + 1 < same->level->min)
      fl_level_reset(f, same, fl_mark_on(f, same->level_mark, n) + 1);
  }
  fl_freed(f, n);
}

uint32_t bt_fleet_node_of(const struct bt_fleet *f, uint32_t i) { return f->insts.items[i].node; }
uint32_t bt_fleet_shape_of(const struct bt_fleet *f, uint32_t i) { return f->insts.items[i].shape; }

uint32_t bt_fleet_node_count(const struct bt_fleet *f, uint32_t n) { return f->nodes.items[n].count; }
