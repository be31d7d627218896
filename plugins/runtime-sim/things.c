/* Networks and volumes: names with a driver and labels. */
#include "config.h"

#include "sim.h"

struct sim_thing **sim_things(struct berth_instance *self, bool volume) { return volume ? &self->volumes : &self->networks; }

struct sim_thing *sim_thing_find(struct berth_instance *self, bool volume, const char *name) {
  struct sim_thing *t = NULL;
  if (name)
    HASH_FIND_STR(*sim_things(self, volume), name, t);
  return t;
}

struct sim_thing *sim_thing_add(struct berth_instance *self, bool volume, const char *name) {
  struct sim_thing *t = pu_new(struct sim_thing);
  char id[65];
  sim_hex(volume ? "volume" : "network", name, id);
  t->name = pu_strdup(name);
  t->id = pu_strdup(id);
  HASH_ADD_KEYPTR(hh, *sim_things(self, volume), t->name, strlen(t->name), t);
  return t;
}

void sim_thing_free(struct sim_thing **all, struct sim_thing *t) {
  HASH_DEL(*all, t);
  json_decref(t->labels);
  free(t->name);
  free(t->id);
  free(t->driver);
  free(t->subnet);
  free(t);
}

static bool is_volume(const struct sim_op *op) { return op->verb == SIM_VOLUME_ENSURE || op->verb == SIM_VOLUME_REMOVE || op->verb == SIM_VOLUME_LIST; }

static const char *kind(const struct sim_op *op) { return is_volume(op) ? "volume" : "network"; }

/* ---------------------------------------------------------------- ensure */

static json_t *ensured(const struct sim_op *op, const struct sim_thing *t, bool created) {
  if (!is_volume(op))
    return json_pack("{s:s, s:b}", "id", t->id, "created", created);
  PU_AUTO_FREE path = pu_asprintf("/nonexistent/runtime-sim/%s", t->name);
  json_t *mountpoint = pu_json_string(path);
  return json_pack("{s:s, s:o, s:b}", "name", t->name, "mountpoint", mountpoint, "created", created);
}

/* What speaks against taking t for what is wanted; NULL: nothing. The caller frees. */
static char *differs(const struct sim_op *op, const struct sim_thing *t) {
  const json_t *spec = pu_obj(op->args, "spec"), *labels = pu_obj(op->args, "labels");
  const char *driver = pu_str(spec, "driver"), *subnet = pu_str(op->args, "subnet");
  const char *ours = pu_str(labels, "berth.server"), *theirs = pu_str(t->labels, "berth.server");
  if (driver && !pu_eq(driver, t->driver))
    return pu_asprintf("has the driver %s, not %s", t->driver, driver);
  if (subnet && !pu_eq(subnet, t->subnet))
    return pu_asprintf("has the subnet %s, not %s", t->subnet ? t->subnet : "of its own choice", subnet);
  return ours && theirs && strcmp(ours, theirs) != 0 ? pu_asprintf("is another server's (%s)", theirs) : NULL;
}

static void make(struct sim_op *op) {
  struct berth_instance *self = op->self;
  bool volume = is_volume(op);
  const json_t *spec = pu_obj(op->args, "spec");
  struct sim_thing *t = sim_thing_add(self, volume, op->subject);
  t->driver = pu_strdup(pu_str_or(spec, "driver", volume ? "local" : "bridge"));
  t->subnet = pu_strdup(pu_str(op->args, "subnet"));
  t->labels = json_incref(pu_obj(op->args, "labels"));
  sim_journal_thing(self, volume, t);
  sim_op_done(op, ensured(op, t, true));
}

static void ensure(struct sim_op *op) {
  struct berth_instance *self = op->self;
  bool volume = is_volume(op);
  const struct sim_thing *t = sim_thing_find(self, volume, op->subject);
  bool external = pu_bool(pu_obj(op->args, "spec"), "external", false);
  PU_AUTO_FREE why = t && !external ? differs(op, t) : NULL;
  if (why)
    sim_op_fail(op, BERTH_CONFLICT, "%s %s exists and %s", kind(op), op->subject, why);
  else if (t)
    sim_op_done(op, ensured(op, t, false));
  else if (external && !sim_listed(self->settings.externals, op->subject))
    sim_op_fail(op, BERTH_NOT_FOUND, "%s %s is external and not there: add it to externals of runtime-sim", kind(op), op->subject);
  else if (HASH_COUNT(*sim_things(self, volume)) >= sim_max_things)
    sim_op_fail(op, BERTH_EXHAUSTED, "%s %s: there are %d already", kind(op), op->subject, sim_max_things);
  else
    make(op);
}

static json_t *parse(const char *text) {
  json_t *o = text ? pu_json_parse(text, strlen(text)) : NULL;
  if (json_is_object(o))
    return o;
  json_decref(o);
  return json_object();
}

static void begin(struct berth_instance *self, berth_op id, enum sim_verb verb, const char *name, const char *spec_json, const char *labels_json) {
  json_t *spec = parse(spec_json);
  const json_t *first = json_array_get(pu_arr(pu_obj(spec, "ipam"), "config"), 0);
  json_t *args = json_pack("{s:s?}", "subnet", pu_str(first, "subnet"));
  json_object_set_new(args, "spec", spec);
  json_object_set_new(args, "labels", parse(labels_json));
  sim_op_begin(self, id, verb, name, NULL, args, ensure);
}

void sim_network_ensure(struct berth_instance *self, berth_op id, const struct berth_runtime_network *request) {
  begin(self, id, SIM_NETWORK_ENSURE, request->name, request->spec_json, request->labels_json);
}

void sim_volume_ensure(struct berth_instance *self, berth_op id, const struct berth_runtime_volume *request) {
  begin(self, id, SIM_VOLUME_ENSURE, request->name, request->spec_json, request->labels_json);
}

/* ---------------------------------------------------------------- remove */

static bool uses(const struct sim_container *c, bool volume, const char *name) {
  if (!strstr(c->text, name) || (!volume && c->state != SIM_RUNNING))
    return false;
  PU_AUTO_JSON doc = sim_container_doc(c);
  if (!volume)
    return json_object_get(pu_obj(doc, "networks"), name) != NULL;
  size_t i;
  json_t *v;
  json_array_foreach(pu_arr(doc, "volumes"), i, v) if (pu_eq(json_string_value(v), name)) return true;
  return false;
}

static struct sim_thing *named(const struct sim_op *op) {
  struct sim_thing *t = sim_thing_find(op->self, is_volume(op), op->subject);
  if (t || is_volume(op))
    return t;
  for (t = op->self->networks; t && strcmp(t->id, op->subject) != 0; t = t->hh.next) {
  }
  return t;
}

static void remove_it(struct sim_op *op) {
  struct berth_instance *self = op->self;
  bool volume = is_volume(op);
  struct sim_thing *t = named(op);
  for (const struct sim_container *c = self->by_id; t && c; c = c->by_id.next)
    if (uses(c, volume, t->name)) {
      sim_op_fail(op, BERTH_CONFLICT, "%s %s is in use by container %s", kind(op), t->name, c->name);
      return;
    }
  if (t) {
    sim_journal_gone(self, kind(op), t->name);
    sim_thing_free(sim_things(self, volume), t);
  }
  sim_op_done(op, NULL);
}

void sim_network_remove(struct berth_instance *self, berth_op id, const char *name) {
  sim_op_begin(self, id, SIM_NETWORK_REMOVE, name, NULL, NULL, remove_it);
}

void sim_volume_remove(struct berth_instance *self, berth_op id, const char *name) {
  sim_op_begin(self, id, SIM_VOLUME_REMOVE, name, NULL, NULL, remove_it);
}

/* ---------------------------------------------------------------- list */

static void list(struct sim_op *op) {
  bool volume = is_volume(op);
  json_t *all = json_array();
  for (const struct sim_thing *t = *sim_things(op->self, volume); t; t = t->hh.next) {
    if (!sim_label_matches(t->labels, pu_str(op->args, "label")))
      continue;
    json_t *o = ensured(op, t, false);
    json_object_del(o, "created");
    json_object_set_new(o, "name", json_string(t->name));
    json_object_set_new(o, "driver", pu_json_string(t->driver));
    json_object_set_new(o, "labels", t->labels ? json_incref(t->labels) : json_object());
    json_array_append_new(all, o);
  }
  sim_op_done(op, json_pack("{s:o}", volume ? "volumes" : "networks", all));
}

void sim_network_list(struct berth_instance *self, berth_op id, const struct berth_runtime_list *request) {
  sim_op_begin(self, id, SIM_NETWORK_LIST, NULL, NULL, json_pack("{s:s?}", "label", request->label), list);
}

void sim_volume_list(struct berth_instance *self, berth_op id, const struct berth_runtime_list *request) {
  sim_op_begin(self, id, SIM_VOLUME_LIST, NULL, NULL, json_pack("{s:s?}", "label", request->label), list);
}
