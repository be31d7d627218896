/* network_ensure, network_remove, network_list: net/network.h in a worker. */
#include "config.h"
#include "engine.h"
#include "net/network.h"

enum verb { ENSURE, REMOVE, LIST };

struct work {
  enum verb verb;
  char *root, *name;
  json_t *pools, *spec, *labels, *out;
  enum berth_code code;
  char *why;
};

struct network {
  struct ro_op op;
  struct work *work; /* until it is under way */
};

static void work_free(void *data) {
  struct work *w = data;
  free(w->root);
  free(w->name);
  json_decref(w->pools);
  json_decref(w->spec);
  json_decref(w->labels);
  json_decref(w->out);
  free(w->why);
  free(w);
}

static void network_drop(struct ro_op *op) {
  struct network *n = (struct network *)op;
  if (n->work)
    work_free(n->work);
}

static void work_run(void *data) {
  struct work *w = data;
  struct ro_why why = {0};
  struct ro_networks *n = ro_networks_at(w->root, w->pools, &why);
  int rc = n ? 0 : -1;
  if (n && w->verb == ENSURE)
    rc = ro_networks_ensure(n, w->name, w->spec, w->labels, &w->out, &why);
  else if (n && w->verb == REMOVE)
    rc = ro_networks_remove(n, w->name, &why);
  else if (n)
    w->out = ro_networks_list(n, w->name);
  if (rc == 0)
    return;
  w->code = why.code ? why.code : BERTH_INTERNAL;
  w->why = pu_strdup(why.text);
}

static void worked(struct ro_op *op, void *data) {
  struct work *w = data;
  if (w->code)
    ro_op_fail(op, w->code, "%s: %s", op->subject, w->why);
  else
    ro_op_done(op, json_incref(w->out));
}

static void ready(struct ro_op *op) {
  struct network *n = (struct network *)op;
  struct work *w = n->work;
  n->work = NULL;
  op->cancel = ro_op_detach;
  ro_job_run(op, w, work_run, worked, work_free);
}

static struct network *network_new(struct berth_instance *self, berth_op id, enum verb verb, const char *name) {
  struct network *n = ro_op_new(self, id, sizeof *n, network_drop, "network%s%.256s", verb == LIST ? "s" : " ", verb == LIST ? "" : name);
  n->work = pu_new(struct work);
  *n->work = (struct work){.verb = verb, .root = pu_strdup(self->config.root), .name = pu_strdup(name), .pools = json_incref(self->config.pools)};
  return n;
}

static json_t *object_of(const char *text) {
  json_t *o = text ? pu_json_parse(text, strlen(text)) : NULL;
  if (json_is_object(o))
    return o;
  json_decref(o);
  return json_object();
}

void ro_network_ensure(struct berth_instance *self, berth_op id, const struct berth_runtime_network *r) {
  struct network *n = network_new(self, id, ENSURE, r->name ? r->name : "");
  n->work->spec = object_of(r->spec_json);
  n->work->labels = object_of(r->labels_json);
  ro_op_ready(&n->op, ready);
}

void ro_network_remove(struct berth_instance *self, berth_op id, const char *name) {
  ro_op_ready(&network_new(self, id, REMOVE, name ? name : "")->op, ready);
}

void ro_network_list(struct berth_instance *self, berth_op id, const struct berth_runtime_list *r) {
  ro_op_ready(&network_new(self, id, LIST, r->label)->op, ready);
}
