#include "config.h"

#include "plan/deps.h"

#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/map.h"

/* A service whose dependencies are being looked at. */
struct stop {
  size_t service, next; /* next: of its dependencies */
};

struct walk {
  struct bt_service *const *services;
  size_t n, *order, done;
  char *mark;           /* 0 new, 1 on the path, 2 placed */
  struct bt_map *index; /* name -> its place among the services, as a pointer into them */
  BT_VEC(struct stop) path;
  struct bt_err **err;
};

static size_t find(const struct walk *w, const char *name) {
  struct bt_service *const *at = bt_map_get(w->index, name);
  return at ? (size_t)(at - w->services) : w->n;
}

static int cycle(const struct walk *w, size_t again) {
  BT_AUTO_BUF text = {0};
  bool in = false;
  bt_vec_each(&w->path, stop) {
    in = in || stop->service == again;
    if (in)
      bt_buf_addf(&text, "%s -> ", w->services[stop->service]->name);
  }
  bt_buf_adds(&text, w->services[again]->name);
  return bt_err_set(w->err, BT_INVALID, "services depend on each other in a circle: %s; remove one depends_on of it", text.data);
}

static void enter(struct walk *w, size_t i) {
  w->mark[i] = 1;
  bt_vec_push(&w->path, ((struct stop){.service = i}));
}

/* Looks at one more dependency of the service at the path's end, or places it where there is none. */
static int advance(struct walk *w) {
  struct stop *stop = &w->path.items[w->path.len - 1];
  const struct bt_service *s = w->services[stop->service];
  if (stop->next == s->depends.len) {
    w->mark[stop->service] = 2;
    w->order[w->done++] = stop->service;
    w->path.len--;
    return 0;
  }
  const struct bt_depend *dep = &s->depends.items[stop->next++];
  size_t on = find(w, dep->service);
  if (on == w->n && dep->required)
    return bt_err_set(w->err, BT_INVALID, "service %s depends on %s, which is not in the file (or its profile is not active)", s->name,
                      dep->service);
  if (on == w->n || w->mark[on] == 2)
    return 0;
  if (w->mark[on] == 1)
    return cycle(w, on);
  enter(w, on);
  return 0;
}

/* With a path of its own instead of recursion: a chain is as long as its file allows. */
int bt_deps_order(struct bt_service *const *services, size_t n, size_t *order, struct bt_err **err) {
  BT_AUTO_MAP index = bt_map_new(NULL);
  struct walk w = {.services = services, .n = n, .order = order, .err = err, .mark = bt_newn(char, n + 1), .index = index};
  int rc = 0;
  for (size_t i = 0; i < n; i++)
    bt_map_set(index, services[i]->name, (void *)(uintptr_t)&services[i]);
  for (size_t i = 0; i < n && rc == 0; i++) {
    if (w.mark[i] == 0)
      enter(&w, i);
    while (w.path.len > 0 && rc == 0)
      rc = advance(&w);
  }
  bt_vec_free(&w.path);
  free(w.mark);
  return rc;
}

static bool healthy(const char *on, const struct bt_dep_facts *f, char *why, size_t size) {
  if (f->ready + f->completed >= f->wanted)
    return true;
  if (f->wanted > 1)
    snprintf(why, size, "waits for %s to be healthy (%d of %d are)", on, f->ready, f->wanted);
  else
    snprintf(why, size, "waits for %s to be healthy", on);
  return false;
}

static bool completed(const char *on, const struct bt_dep_facts *f, char *why, size_t size) {
  if (f->completed >= f->wanted)
    return true;
  snprintf(why, size, f->failed > 0 ? "waits for %s to complete, which failed" : "waits for %s to complete", on);
  return false;
}

bool bt_deps_met(const struct bt_depend *depend, const struct bt_dep_facts *f, char *why, size_t size) {
  if (!f->exists || f->wanted == 0)
    return true; /* required ones were checked when the app was applied; scaled to 0 means nothing to wait for */
  if (!depend->required && (f->failed > 0 || f->failing > 0))
    return true;
  if (f->updating) {
    snprintf(why, size, "waits for the update of %s", depend->service);
    return false;
  }
  switch (depend->condition) {
  case BT_DEP_HEALTHY:
    return healthy(depend->service, f, why, size);
  case BT_DEP_COMPLETED:
    return completed(depend->service, f, why, size);
  case BT_DEP_STARTED:
    break;
  }
  if (f->started >= f->wanted)
    return true;
  snprintf(why, size, "waits for %s to start", depend->service);
  return false;
}

bool bt_deps_hopeless(const struct bt_depend *depend, const struct bt_dep_facts *f) {
  return f->exists && depend->required && f->failing > 0 && (depend->condition != BT_DEP_COMPLETED || f->failed > 0);
}
