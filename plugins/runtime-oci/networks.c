/* network_ensure, network_remove, network_list and ready: net/network.h in workers; and the look every few seconds whether another program
 * took the packet filter away. */
#include "config.h"
#include "engine.h"

#include <errno.h>
#include <unistd.h>

#include "net/network.h"

enum { mend_ms = 3000 };

struct network {
  struct ro_op op;
  char *name, *label;
  json_t *spec, *labels;
  bool ready;
};

static void network_drop(struct ro_op *op) {
  struct network *t = (struct network *)op;
  free(t->name);
  free(t->label);
  json_decref(t->spec);
  json_decref(t->labels);
}

static json_t *object_of(const char *text) {
  json_t *o = text ? pu_json_parse(text, strlen(text)) : NULL;
  if (json_is_object(o))
    return o;
  json_decref(o);
  return json_object();
}

static struct network *network_new(struct berth_instance *self, berth_op id, const char *what, const char *name) {
  struct network *t = ro_op_new(self, id, sizeof *t, network_drop, "%s %.256s", what, name ? name : "");
  t->name = pu_strdup(name ? name : "");
  t->op.cancel = ro_op_detach; /* half a network helps nobody */
  return t;
}

/* ---------------------------------------------------------------- in a worker */

struct work {
  char *root, *name, *label;
  json_t *pools, *spec, *labels, *result;
  bool ready;
  int (*run)(struct work *w, struct ro_networks *n);
  int code; /* what run returned */
  struct ro_why why;
};

static void work_free(void *data) {
  struct work *w = data;
  free(w->root);
  free(w->name);
  free(w->label);
  json_decref(w->pools);
  json_decref(w->spec);
  json_decref(w->labels);
  json_decref(w->result);
  free(w);
}

static void work(void *data) {
  struct work *w = data;
  struct ro_networks *n = ro_networks_at(w->root, w->pools, &w->why);
  w->code = n ? w->run(w, n) : -1;
}

static int run_ensure(struct work *w, struct ro_networks *n) { return ro_networks_ensure(n, w->name, w->spec, w->labels, &w->result, &w->why); }
static int run_remove(struct work *w, struct ro_networks *n) { return ro_networks_remove(n, w->name, &w->why); }
static int run_mend(struct work *w, struct ro_networks *n) { return ro_networks_mend(n, &w->why); }

static int run_list(struct work *w, struct ro_networks *n) {
  w->result = ro_networks_list(n, w->label);
  return 0;
}

/* Another worker may be removing the container. Its record goes before its networks do: where it is there still after we have spoken,
 * the removal forgets what we said, and where it is not, we do. */
static int run_ready(struct work *w, struct ro_networks *n) {
  PU_AUTO_FREE record = pu_asprintf("%s/containers/%s/container.json", w->root, w->name);
  ro_networks_ready(n, w->name, w->ready);
  if (access(record, F_OK) != 0 && errno == ENOENT)
    ro_networks_release(n, w->name);
  return 0;
}

static void done(struct ro_op *op, void *data) {
  struct work *w = data;
  if (w->code < 0)
    ro_op_fail(op, w->why.code ? w->why.code : BERTH_INTERNAL, "%s", w->why.text);
  else
    ro_op_done(op, json_incref(w->result));
}

static void run(struct ro_op *op, int (*fn)(struct work *w, struct ro_networks *n), void (*then)(struct ro_op *op, void *data)) {
  const struct network *t = (const struct network *)op;
  struct work *w = pu_new(struct work);
  *w = (struct work){.root = pu_strdup(op->self->config.root), .name = pu_strdup(t->name), .label = pu_strdup(t->label), .ready = t->ready,
                     .pools = json_deep_copy(op->self->config.pools), .spec = json_deep_copy(t->spec), .labels = json_deep_copy(t->labels), .run = fn};
  ro_job_run(op, w, work, then, work_free); /* copies: a worker shares no reference count with the loop */
}

/* ---------------------------------------------------------------- methods */

static void ensure_ready(struct ro_op *op) { run(op, run_ensure, done); }
static void remove_ready(struct ro_op *op) { run(op, run_remove, done); }
static void list_ready(struct ro_op *op) { run(op, run_list, done); }
static void ready_ready(struct ro_op *op) {
  struct network *t = (struct network *)op;
  struct ro_container *c = ro_table_find(&op->self->table, t->name);
  if (!c || c->making) {
    ro_op_fail(op, BERTH_NOT_FOUND, "container %.256s: there is none of that name", t->name);
    return;
  }
  pu_set(&t->name, pu_strdup(c->id));
  run(op, run_ready, done);
}

void ro_network_ensure(struct berth_instance *self, berth_op id, const struct berth_runtime_network *r) {
  struct network *t = network_new(self, id, "network", r->name);
  t->spec = object_of(r->spec_json);
  t->labels = object_of(r->labels_json);
  ro_op_ready(&t->op, ensure_ready);
}

void ro_network_remove(struct berth_instance *self, berth_op id, const char *name) {
  struct network *t = network_new(self, id, "network", name);
  ro_op_ready(&t->op, remove_ready);
}

void ro_network_list(struct berth_instance *self, berth_op id, const struct berth_runtime_list *r) {
  struct network *t = network_new(self, id, "list of", "networks");
  t->label = pu_strdup(r->label);
  ro_op_ready(&t->op, list_ready);
}

void ro_ready(struct berth_instance *self, berth_op id, const struct berth_runtime_ready *r) {
  struct network *t = network_new(self, id, "container", r->id);
  t->ready = r->ready;
  ro_op_ready(&t->op, ready_ready);
}

/* ---------------------------------------------------------------- the look */

static void mended(struct ro_op *op, void *data);
static void mend_due(struct ro_op *op) { run(op, run_mend, mended); }

static void mended(struct ro_op *op, void *data) {
  const struct work *w = data;
  if (w->code > 0)
    ro_log(op->self, BERTH_LOG_WARN, "networks: another program had taken away bridges or rules of Berth's; they are there again");
  else if (w->code < 0)
    ro_log(op->self, BERTH_LOG_ERROR, "networks: %s", w->why.text);
  ro_op_after(op, mend_ms, mend_due);
}

void ro_networks_watch(struct berth_instance *self) {
  struct network *t = network_new(self, 0, "look at", "networks");
  ro_op_after(&t->op, mend_ms, mend_due);
}
