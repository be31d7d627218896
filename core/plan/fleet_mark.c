#include "config.h"

#include "plan/fleet_int.h"

/* ---- topologies ---- */

uint32_t fl_topo_get(struct bt_fleet *f, const char *text) {
  if (!text || !*text)
    return 0;
  uintptr_t known = (uintptr_t)bt_map_get(f->topos_by, text);
  if (known)
    return (uint32_t)known;
  struct fl_topo topo = {.text = bt_strdup(text), .domains = bt_map_new(NULL)};
  BT_AUTO_FREE char *copy = bt_strdup(text);
  for (char *save = NULL, *key = strtok_r(copy, ", ", &save); key; key = strtok_r(NULL, ", ", &save)) {
    bt_strs_add(&topo.keys, key);
    fl_key(f, key);
  }
  uint32_t t = (uint32_t)f->topos.len;
  if (f->free_topos.len) {
    t = f->free_topos.items[--f->free_topos.len];
    f->topos.items[t] = topo;
  } else {
    bt_vec_push(&f->topos, topo);
  }
  bt_map_set(f->topos_by, text, (void *)(uintptr_t)t);
  f->dirty = true;
  return t;
}

void fl_topo_free(struct fl_topo *topo) {
  free(topo->text);
  bt_strs_free(&topo->keys);
  bt_map_free(&topo->domains);
  *topo = (struct fl_topo){0};
}

/* Tenants choose the names of labels: what no mark is about any more is forgotten. */
static void topo_put(struct bt_fleet *f, uint32_t t) {
  struct fl_topo *topo = &f->topos.items[t];
  if (t == 0 || --topo->refs > 0)
    return;
  bt_vec_each(&topo->keys, key) fl_key_put(f, *key);
  bt_map_del(f->topos_by, topo->text);
  fl_topo_free(topo);
  bt_vec_push(&f->free_topos, t);
}

/* A node without the label is in no domain. Of a number that is free: none is. */
uint32_t fl_topo_domain(struct bt_fleet *f, uint32_t t, const struct fl_node *node) {
  struct fl_topo *topo = &f->topos.items[t];
  BT_AUTO_BUF text = {0};
  if (!topo->domains)
    return BT_FLEET_NONE;
  for (size_t i = 0; i < topo->keys.len; i++) {
    const char *value = fl_attr(node, topo->keys.items[i]);
    if (!value)
      return BT_FLEET_NONE;
    bt_buf_addf(&text, "%s\1", value);
  }
  const char *key = text.data ? text.data : "";
  uintptr_t known = (uintptr_t)bt_map_get(topo->domains, key);
  if (!known) {
    known = bt_map_len(topo->domains) + 1;
    bt_map_set(topo->domains, key, (void *)known);
  }
  return (uint32_t)(known - 1);
}

/* ---- marks ---- */

static char *mark_key(const char *name, uint32_t topo) { return bt_asprintf("%u %s", topo, name); }

uint32_t fl_mark_get(struct bt_fleet *f, const char *name, uint32_t topo) {
  BT_AUTO_FREE char *key = mark_key(name, topo);
  uintptr_t known = (uintptr_t)bt_map_get(f->marks_by, key);
  if (known) {
    f->marks.items[known - 1].refs++;
    return (uint32_t)(known - 1);
  }
  uint32_t m;
  if (f->free_marks.len) {
    m = f->free_marks.items[--f->free_marks.len];
  } else {
    m = (uint32_t)f->marks.len;
    bt_vec_push(&f->marks, ((struct fl_mark){0}));
  }
  f->marks.items[m] = (struct fl_mark){.name = bt_strdup(name), .topo = topo, .refs = 1};
  f->topos.items[topo].refs++;
  bt_map_set(f->marks_by, key, (void *)((uintptr_t)m + 1));
  return m;
}

void fl_mark_free(struct fl_mark *mark) {
  free(mark->name);
  for (size_t i = 0; i < mark->nchunks; i++)
    free(mark->chunks[i]);
  free(mark->chunks);
  bt_vec_free(&mark->domains);
  bt_vec_each(&mark->watches, w) {
    bt_fit_set_free(&(*w)->set);
    free(*w);
  }
  bt_vec_free(&mark->watches);
  *mark = (struct fl_mark){0};
}

void fl_mark_put(struct bt_fleet *f, uint32_t m) {
  struct fl_mark *mark = &f->marks.items[m];
  if (--mark->refs > 0)
    return;
  BT_AUTO_FREE char *key = mark_key(mark->name, mark->topo);
  bt_map_del(f->marks_by, key);
  topo_put(f, mark->topo);
  fl_mark_free(mark);
  bt_vec_push(&f->free_marks, m);
}

uint32_t fl_mark_on(const struct bt_fleet *f, uint32_t m, uint32_t n) {
  const struct fl_mark *mark = &f->marks.items[m];
  const uint32_t *chunk = n / FL_CHUNK < mark->nchunks ? mark->chunks[n / FL_CHUNK] : NULL;
  return chunk ? chunk[n % FL_CHUNK] : 0;
}

static uint32_t *count_at(struct fl_mark *mark, uint32_t n) {
  size_t chunk = n / FL_CHUNK;
  if (chunk >= mark->nchunks) {
    size_t len = BT_MAX(chunk + 1, mark->nchunks * 2);
    mark->chunks = bt_realloc(mark->chunks, len, sizeof *mark->chunks);
    memset(mark->chunks + mark->nchunks, 0, (len - mark->nchunks) * sizeof *mark->chunks);
    mark->nchunks = len;
  }
  if (!mark->chunks[chunk])
    mark->chunks[chunk] = bt_newn(uint32_t, FL_CHUNK);
  return &mark->chunks[chunk][n % FL_CHUNK];
}

static void add_on_node(struct bt_fleet *f, struct fl_mark *mark, uint32_t n, int delta) {
  uint32_t *count = count_at(mark, n), was = *count, is = was + (uint32_t)delta;
  *count = is;
  bt_vec_each(&mark->watches, w) {
    uint32_t min = (*w)->min;
    if (f->dirty || (was >= min) == (is >= min))
      continue;
    bt_fit_set_put(&(*w)->set, f->nodes.items[n].pos, is >= min);
    (*w)->changes++;
  }
}

void fl_mark_add(struct bt_fleet *f, uint32_t m, uint32_t n, int delta) {
  struct fl_mark *mark = &f->marks.items[m];
  bool none;
  if (mark->topo == 0) {
    none = fl_mark_on(f, m, n) == 0;
    add_on_node(f, mark, n, delta);
  } else {
    uint32_t dom = f->classes.items[f->nodes.items[n].class].dom.items[mark->topo];
    if (dom == BT_FLEET_NONE)
      return;
    while (mark->domains.len <= dom)
      bt_vec_push(&mark->domains, 0);
    none = mark->domains.items[dom] == 0;
    mark->domains.items[dom] += (uint32_t)delta;
  }
  mark->total += delta;
  if (none && delta > 0 && mark->wanted)
    fl_freed(f, n); /* who wants the mark has a chance now */
  if (mark->total == 0 && mark->followed)
    f->epoch++; /* who followed it may go anywhere */
}

void bt_fleet_node_mark(struct bt_fleet *f, uint32_t node, const char *name, bool there) {
  uint32_t m = fl_mark_get(f, name, 0);
  if (there == (fl_mark_on(f, m, node) > 0)) {
    fl_mark_put(f, m);
    return;
  }
  fl_mark_add(f, m, node, there ? 1 : -1);
  fl_freed(f, node);
  if (!there) { /* the reference of when it was put there, and the one of now */
    fl_mark_put(f, m);
    fl_mark_put(f, m);
  }
}

void bt_fleet_node_tally(struct bt_fleet *f, uint32_t node, const char *name, bool more) {
  uint32_t m = fl_mark_get(f, name, 0);
  if (!more && fl_mark_on(f, m, node) == 0) {
    fl_mark_put(f, m);
    return;
  }
  fl_mark_add(f, m, node, more ? 1 : -1); /* each time it is there keeps one reference */
  if (more)
    return;
  fl_freed(f, node);
  fl_mark_put(f, m);
  fl_mark_put(f, m);
}

uint32_t bt_fleet_node_has(const struct bt_fleet *f, uint32_t node, const char *name) {
  BT_AUTO_FREE char *key = mark_key(name, 0);
  uintptr_t known = (uintptr_t)bt_map_get(f->marks_by, key);
  return known ? fl_mark_on(f, (uint32_t)(known - 1), node) : 0;
}

/* ---- watches ---- */

void fl_watch_fill(struct bt_fleet *f, uint32_t m, struct fl_watch *watch) {
  const struct fl_mark *mark = &f->marks.items[m];
  bt_fit_set_free(&watch->set);
  bt_fit_set_init(&watch->set, (uint32_t)f->at.len);
  for (uint32_t c = 0; c < mark->nchunks; c++)
    for (uint32_t i = 0; mark->chunks[c] && i < FL_CHUNK; i++)
      if (mark->chunks[c][i] >= watch->min && c * FL_CHUNK + i < f->nodes.len && f->nodes.items[c * FL_CHUNK + i].name)
        bt_fit_set_put(&watch->set, f->nodes.items[c * FL_CHUNK + i].pos, true);
}

struct fl_watch *fl_watch_get(struct bt_fleet *f, uint32_t m, uint32_t min, bool own) {
  struct fl_mark *mark = &f->marks.items[m];
  bt_vec_each(&mark->watches, w) {
    if (!own && !(*w)->own && (*w)->min == min) {
      (*w)->refs++;
      return *w;
    }
  }
  struct fl_watch *watch = bt_new(struct fl_watch);
  *watch = (struct fl_watch){.min = min, .refs = 1, .own = own};
  bt_vec_push(&mark->watches, watch);
  if (!f->dirty)
    fl_watch_fill(f, m, watch);
  return watch;
}

void fl_watch_put(struct bt_fleet *f, uint32_t m, struct fl_watch *watch) {
  struct fl_mark *mark = &f->marks.items[m];
  if (--watch->refs > 0)
    return;
  for (size_t i = 0; i < mark->watches.len; i++)
    if (mark->watches.items[i] == watch) {
      bt_vec_remove(&mark->watches, i);
      break;
    }
  bt_fit_set_free(&watch->set);
  free(watch);
}
