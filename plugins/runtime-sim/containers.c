/* Containers: made, started, stopped, killed, removed, told of. None of them is more than its record. */
#include "config.h"

#include <signal.h>

#include "sim.h"

enum { exit_killed = 137, exit_terminated = 143, most_names = 4096 };

struct sim_container *sim_container_find(struct berth_instance *self, const char *id_or_name) {
  struct sim_container *c = NULL;
  if (!id_or_name)
    return NULL;
  size_t n = strlen(id_or_name);
  HASH_FIND(by_id, self->by_id, id_or_name, n, c);
  if (!c)
    HASH_FIND(by_name, self->by_name, id_or_name, n, c);
  return c;
}

struct sim_container *sim_container_of(struct sim_op *op) {
  struct sim_container *c = sim_container_find(op->self, op->subject);
  if (!c)
    sim_op_fail(op, BERTH_NOT_FOUND, "there is no container %s", op->subject);
  return c;
}

struct sim_container *sim_container_add(struct berth_instance *self, const char *id, const char *name, const char *key, char *text_steal) {
  struct sim_container *c = pu_new(struct sim_container);
  *c = (struct sim_container){.self = self, .id = pu_strdup(id), .name = pu_strdup(name), .key = pu_strdup(key), .text = text_steal};
  PU_AUTO_JSON doc = sim_container_doc(c);
  sim_container_facts(c, doc);
  HASH_ADD_KEYPTR(by_id, self->by_id, c->id, strlen(c->id), c);
  HASH_ADD_KEYPTR(by_name, self->by_name, c->name, strlen(c->name), c);
  return c;
}

void sim_container_free(struct sim_container *c) {
  struct berth_instance *self = c->self;
  self->timer->cancel(self->host, c->timer);
  HASH_DELETE(by_id, self->by_id, c);
  HASH_DELETE(by_name, self->by_name, c);
  free(c->id);
  free(c->name);
  free(c->key);
  free(c->text);
  free(c);
}

/* ---------------------------------------------------------------- create */

static void fresh_id(struct berth_instance *self, const char *name, char out[65]) {
  do {
    PU_AUTO_FREE text = pu_asprintf("%s %llu", name, (unsigned long long)sim_count(self, "id", name));
    sim_hex("container", text, out);
  } while (sim_container_find(self, out));
}

static void create(struct sim_op *op) {
  struct berth_instance *self = op->self;
  const char *name = op->subject, *image_name = pu_str(op->args, "image");
  const struct sim_image *image = sim_image_find(self, image_name);
  if (sim_container_find(self, name)) {
    sim_op_fail(op, BERTH_CONFLICT, "the name %s is taken by another container", name);
  } else if (!image) {
    sim_op_fail(op, BERTH_NOT_FOUND, "container %s: its image %s is not on this node", name, image_name);
  } else if (HASH_CNT(by_id, self->by_id) >= sim_max_containers) {
    sim_op_fail(op, BERTH_EXHAUSTED, "container %s: there are %d pretended containers already", name, sim_max_containers);
  } else {
    char id[65];
    fresh_id(self, name, id);
    PU_AUTO_JSON doc = sim_container_text(self, op->args, image->id);
    struct sim_container *c = sim_container_add(self, id, name, op->key, pu_json_text(doc));
    c->created_ms = sim_now(self);
    sim_journal_container(c);
    sim_op_done(op, json_pack("{s:s, s:[]}", "id", id, "warnings"));
  }
}

void sim_create(struct berth_instance *self, berth_op id, const struct berth_runtime_create *request) {
  json_t *spec = request->spec_json ? pu_json_parse(request->spec_json, strlen(request->spec_json)) : NULL;
  const char *name = pu_str(spec, "name"), *image = pu_str(spec, "image");
  if (!name || !*name || strlen(name) > most_names || !image || !*image) {
    json_decref(spec);
    self->ops->finish(self->host, id, BERTH_INVALID, "create: spec_json is no object with a name and an image", NULL);
    return;
  }
  PU_AUTO_FREE copy = pu_strdup(name);
  PU_AUTO_FREE key = sim_key_of(name, pu_obj(spec, "labels"));
  sim_op_begin(self, id, SIM_CREATE, copy, key, spec, create);
}

/* ---------------------------------------------------------------- start */

static bool same_port(const json_t *a, const json_t *b) {
  const char *x = pu_str_or(a, "host_ip", ""), *y = pu_str_or(b, "host_ip", "");
  bool address = strcmp(x, y) == 0 || !*x || !*y || strcmp(x, "0.0.0.0") == 0 || strcmp(y, "0.0.0.0") == 0;
  return address && pu_int(a, "published", 0) == pu_int(b, "published", 0) && pu_eq(pu_str(a, "protocol"), pu_str(b, "protocol"));
}

/* The port of doc that c holds; NULL: none. */
static const json_t *held_by(const struct sim_container *c, const json_t *doc) {
  PU_AUTO_JSON other = sim_container_doc(c);
  size_t i, k;
  json_t *mine, *theirs;
  json_array_foreach(pu_arr(doc, "ports"), i, mine) json_array_foreach(pu_arr(other, "ports"), k, theirs) if (same_port(mine, theirs)) return mine;
  return NULL;
}

static bool ports_free(struct sim_op *op, const struct sim_container *c, const json_t *doc) {
  for (const struct sim_container *o = op->self->by_id; c->published && o; o = o->by_id.next) {
    const json_t *port = o != c && o->published && o->state == SIM_RUNNING ? held_by(o, doc) : NULL;
    if (port) {
      sim_op_fail(op, BERTH_EXHAUSTED, "container %s: port %lld is taken by container %s", c->name, (long long)pu_int(port, "published", 0), o->name);
      return false;
    }
  }
  return true;
}

static bool needs_there(struct sim_op *op, const struct sim_container *c, const json_t *doc) {
  size_t i;
  json_t *need;
  const char *name;
  json_array_foreach(pu_arr(doc, "needs"), i, need) {
    const struct sim_container *o = sim_container_find(op->self, json_string_value(need));
    if (!o || o->state != SIM_RUNNING) {
      sim_op_fail(op, BERTH_NOT_FOUND, "container %s: container %s, which it hangs on, does not run", c->name, json_string_value(need));
      return false;
    }
  }
  json_object_foreach(pu_obj(doc, "networks"), name, need) {
    if (strcmp(name, "bridge") != 0 && !sim_thing_find(op->self, false, name)) {
      sim_op_fail(op, BERTH_NOT_FOUND, "container %s: its network %s is gone", c->name, name);
      return false;
    }
  }
  return true;
}

static void start(struct sim_op *op) {
  struct sim_container *c = sim_container_of(op);
  if (!c)
    return;
  if (c->state != SIM_RUNNING) {
    PU_AUTO_JSON doc = sim_container_doc(c);
    if (!needs_there(op, c, doc) || !ports_free(op, c, doc))
      return;
    sim_life_begin(c);
  }
  sim_op_done(op, NULL);
}

/* ---------------------------------------------------------------- stop, kill, remove */

static void stop(struct sim_op *op) {
  struct sim_container *c = sim_container_of(op);
  if (!c)
    return;
  if (c->state == SIM_RUNNING)
    sim_life_end(c, pu_bool(op->args, "killed", false) ? exit_killed : exit_terminated, false);
  sim_op_done(op, NULL);
}

/* Who takes longer than its grace is killed at its end. */
static void stop_or_kill(struct sim_op *op) {
  int64_t grace = pu_int(op->args, "timeout_ms", -1);
  if (grace < 0)
    grace = 10000;
  if (op->drawn_ms > grace)
    json_object_set_new(op->args, "killed", json_true());
  if (op->drawn_ms > 0 && grace > 0)
    sim_op_again(op, op->drawn_ms < grace ? op->drawn_ms : grace, stop);
  else
    stop(op);
}

static bool fatal(const char *signal) {
  static const char *const harmless[] = {"HUP", "USR1", "USR2", "WINCH", "CONT", "CHLD", "STOP", "TSTP"};
  const char *word = pu_starts(signal, "SIG") ? signal + 3 : signal;
  for (size_t i = 0; word && i < PU_COUNT(harmless); i++)
    if (strcmp(word, harmless[i]) == 0)
      return false;
  return true;
}

static void kill_it(struct sim_op *op) {
  struct sim_container *c = sim_container_of(op);
  if (!c)
    return;
  const char *signal = pu_str(op->args, "signal");
  if (c->state != SIM_RUNNING) {
    sim_op_fail(op, BERTH_CONFLICT, "container %s does not run", c->name);
    return;
  }
  bool gently = signal && (strcmp(signal, "SIGTERM") == 0 || strcmp(signal, "TERM") == 0);
  if (fatal(signal))
    sim_life_end(c, gently ? exit_terminated : exit_killed, false);
  sim_op_done(op, NULL);
}

static void remove_it(struct sim_op *op) {
  struct sim_container *c = sim_container_find(op->self, op->subject);
  if (c && c->state == SIM_RUNNING && !pu_bool(op->args, "force", false)) {
    sim_op_fail(op, BERTH_CONFLICT, "container %s runs: stop it first, or remove it by force", c->name);
    return;
  }
  if (c) {
    if (c->state == SIM_RUNNING)
      sim_life_end(c, exit_killed, false);
    sim_tell(c, "destroy", NULL);
    sim_journal_gone(op->self, "container", c->id);
    sim_container_free(c);
  }
  sim_op_done(op, NULL);
}

static void begin(struct berth_instance *self, berth_op id, enum sim_verb verb, const struct berth_runtime_container *r, sim_run *run) {
  const struct sim_container *c = sim_container_find(self, r->id);
  json_t *args = json_pack("{s:s?, s:I, s:b}", "signal", r->signal, "timeout_ms", (json_int_t)r->timeout_ms, "force", r->force);
  sim_op_begin(self, id, verb, r->id, c ? c->key : NULL, args ? args : json_object(), run);
}

void sim_start(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) { begin(self, id, SIM_START, request, start); }
void sim_stop(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) { begin(self, id, SIM_STOP, request, stop_or_kill); }
void sim_kill(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) { begin(self, id, SIM_KILL, request, kill_it); }
void sim_remove(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) { begin(self, id, SIM_REMOVE, request, remove_it); }

/* ---------------------------------------------------------------- update */

static void update(struct sim_op *op) {
  static const char *const limits[] = {"cpus", "memory", "memory_reservation", "pids"};
  struct sim_container *c = sim_container_of(op);
  if (!c)
    return;
  int64_t memory = pu_int(op->args, "memory", 0), used = sim_container_uses(c);
  if (memory > 0 && used >= memory) {
    sim_op_fail(op, BERTH_INVALID, "container %s: it uses %lld MiB of memory now, and its limit is to be %lld MiB", c->name, (long long)used >> 20, (long long)memory >> 20);
    return;
  }
  PU_AUTO_JSON doc = sim_container_doc(c);
  for (size_t i = 0; i < PU_COUNT(limits); i++)
    if (json_is_number(json_object_get(op->args, limits[i])))
      json_object_set(doc, limits[i], json_object_get(op->args, limits[i]));
  free(c->text);
  c->text = pu_json_text(doc);
  sim_container_facts(c, doc);
  sim_journal_container(c);
  sim_op_done(op, json_pack("{s:[]}", "warnings"));
}

void sim_update(struct berth_instance *self, berth_op id, const struct berth_runtime_update *request) {
  const struct sim_container *c = sim_container_find(self, request->id);
  json_t *wanted = request->resources_json ? pu_json_parse(request->resources_json, strlen(request->resources_json)) : NULL;
  if (!json_is_object(wanted)) {
    json_decref(wanted);
    self->ops->finish(self->host, id, BERTH_INVALID, "update: resources_json is no object", NULL);
    return;
  }
  sim_op_begin(self, id, SIM_UPDATE, request->id, c ? c->key : NULL, wanted, update);
}

/* ---------------------------------------------------------------- telling */

static void inspect(struct sim_op *op) {
  const struct sim_container *c = sim_container_of(op);
  if (c)
    sim_op_done(op, sim_container_inspect(c));
}

void sim_inspect(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) {
  begin(self, id, SIM_INSPECT, request, inspect);
}

static void list(struct sim_op *op) {
  json_t *all = json_array();
  for (const struct sim_container *c = op->self->by_id; c; c = c->by_id.next) {
    PU_AUTO_JSON doc = sim_container_doc(c);
    if (sim_label_matches(pu_obj(doc, "labels"), pu_str(op->args, "label")))
      json_array_append_new(all, sim_container_listed(c, doc));
  }
  sim_op_done(op, json_pack("{s:o}", "containers", all));
}

void sim_list(struct berth_instance *self, berth_op id, const struct berth_runtime_list *request) {
  sim_op_begin(self, id, SIM_LIST, NULL, NULL, json_pack("{s:s?}", "label", request->label), list);
}
