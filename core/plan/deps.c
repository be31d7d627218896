#include "config.h"

#include "plan/deps.h"

#include <stdio.h>

#include "base/buf.h"

struct walk {
  struct bt_service *const *services;
  size_t n, *order, done;
  char *mark; /* 0 new, 1 on the path, 2 placed */
  struct bt_strs path;
  struct bt_err **err;
};

static size_t find(const struct walk *w, const char *name) {
  size_t i = 0;
  while (i < w->n && !bt_streq(w->services[i]->name, name))
    i++;
  return i;
}

static int cycle(const struct walk *w, const char *name) {
  BT_AUTO_BUF text = {0};
  bool in = false;
  for (size_t i = 0; i < w->path.len; i++) {
    in = in || bt_streq(w->path.items[i], name);
    if (in)
      bt_buf_addf(&text, "%s -> ", w->path.items[i]);
  }
  bt_buf_adds(&text, name);
  return bt_err_set(w->err, BT_INVALID, "services depend on each other in a circle: %s; remove one depends_on of it", text.data);
}

/* Depth is at most the number of services on one path; the loader caps services far below what a stack bears. */
static int visit(struct walk *w, size_t i) {
  const struct bt_service *s = w->services[i];
  if (w->mark[i] == 2)
    return 0;
  if (w->mark[i] == 1)
    return cycle(w, s->name);
  w->mark[i] = 1;
  bt_strs_add(&w->path, s->name);
  bt_vec_each(&s->depends, dep) {
    size_t on = find(w, dep->service);
    if (on == w->n && dep->required)
      return bt_err_set(w->err, BT_INVALID, "service %s depends on %s, which is not in the file (or its profile is not active)",
                        s->name, dep->service);
    if (on < w->n && visit(w, on))
      return -1;
  }
  free(w->path.items[--w->path.len]);
  w->mark[i] = 2;
  w->order[w->done++] = i;
  return 0;
}

int bt_deps_order(struct bt_service *const *services, size_t n, size_t *order, struct bt_err **err) {
  struct walk w = {.services = services, .n = n, .order = order, .err = err, .mark = bt_newn(char, n + 1)};
  int rc = 0;
  for (size_t i = 0; i < n && rc == 0; i++)
    rc = visit(&w, i);
  bt_strs_free(&w.path);
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
