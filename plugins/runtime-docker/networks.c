/* Networks and volumes: ensure, remove, list. What is there is left as it is; where it is not what was asked for, that is
 * said instead of being used all the same. */
#include "config.h"
#include "engine.h"

#include "normal.h"
#include "spec.h"

struct thing {
  struct rd_op op;
  char *name, *label;
  json_t *spec, *labels;
  bool again; /* somebody else made it between our look and our create */
  bool made;
  int tries;
  json_t *twins; /* ids of the networks of this name that are Berth's own, the newest first */
  size_t at, left, kept;
  void (*parted)(struct rd_op *op);
};

static void thing_drop(struct rd_op *op) {
  struct thing *t = (struct thing *)op;
  free(t->name);
  free(t->label);
  json_decref(t->spec);
  json_decref(t->labels);
  json_decref(t->twins);
}

static json_t *object_of(const char *text) {
  json_t *v = text ? rd_json_parse(text, strlen(text)) : NULL;
  if (json_is_object(v))
    return v;
  json_decref(v);
  return json_object();
}

static struct thing *thing_new(struct berth_instance *self, berth_op id, const char *kind, const char *name, const char *spec,
                               const char *labels) {
  struct thing *t = rd_op_new(self, id, sizeof *t, thing_drop, "%s %.256s", kind, name ? name : "");
  t->name = rd_strdup(name ? name : "");
  t->spec = object_of(spec);
  t->labels = object_of(labels);
  return t;
}

static void thing_go(struct thing *t, void (*ready)(struct rd_op *op)) {
  if (!*t->name)
    rd_op_fail(&t->op, BERTH_INVALID, "%s: it has no name", t->op.subject);
  else
    rd_op_ready(&t->op, ready);
}

static void removed(struct rd_op *op, const struct rd_answer *a) {
  if ((!a->code && a->status == 404) || rd_answer_good(op, a))
    rd_op_done(op, NULL);
}

/* Where one of that name is there: true, and op has been ended where it may not be used. */
static bool external_missing(struct thing *t) {
  if (!rd_bool(t->spec, "external", false))
    return false;
  rd_op_fail(&t->op, BERTH_NOT_FOUND, "%s: it is external, but the engine does not have it: make it, or let the app own it", t->op.subject);
  return true;
}

/* ---------------------------------------------------------------- networks */

/* Compose's ipam in the engine's words. */
static json_t *network_ipam(const json_t *spec) {
  static const struct rd_attr table[] = {{"subnet", "Subnet", RD_STR}, {"ip_range", "IPRange", RD_STR}, {"gateway", "Gateway", RD_STR},
                                         {"aux_addresses", "AuxiliaryAddresses", RD_MAP}};
  const json_t *ipam = rd_obj(spec, "ipam"), *configs = rd_arr(ipam, "config");
  if (!ipam)
    return NULL;
  json_t *list = json_array(), *config, *options = rd_spec_map(json_object_get(ipam, "options"));
  size_t i;
  json_array_foreach(configs, i, config) {
    json_t *out = json_object();
    rd_spec_copy(NULL, config, out, table, RD_COUNT(table));
    json_array_append_new(list, out);
  }
  const char *driver = rd_str(ipam, "driver");
  return json_pack("{s:s, s:o, s:o}", "Driver", driver && *driver ? driver : "default", "Config", list, "Options",
                   options ? options : json_object());
}

static json_t *network_body(const struct thing *t) {
  json_t *options = rd_spec_map(json_object_get(t->spec, "driver_opts")), *ipam = network_ipam(t->spec);
  const char *driver = rd_str(t->spec, "driver");
  json_t *body = json_pack("{s:s, s:b, s:s, s:b, s:b, s:b, s:o, s:O}", "Name", t->name, "CheckDuplicate", 1, "Driver",
                           driver && *driver ? driver : "bridge", "Internal", rd_bool(t->spec, "internal", false), "Attachable",
                           rd_bool(t->spec, "attachable", false), "EnableIPv6", rd_bool(t->spec, "enable_ipv6", false), "Options",
                           options ? options : json_object(), "Labels", t->labels);
  if (ipam)
    json_object_set_new(body, "IPAM", ipam);
  if (json_is_boolean(json_object_get(t->spec, "enable_ipv4")))
    json_object_set(body, "EnableIPv4", json_object_get(t->spec, "enable_ipv4"));
  return body;
}

/* ---- several of one name. The engine makes two where two requests come at once: ours, and one of a server that was killed
 * while it waited. Nothing can use or remove them by name any more. ---- */

static bool is_ambiguous(const struct rd_answer *a) {
  RD_AUTO_FREE sentence = !a->code && a->status == 400 ? rd_sentence(a->body, a->len) : NULL;
  return sentence && strstr(sentence, "is ambiguous");
}

static bool has_labels(const json_t *there, const json_t *wanted) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)wanted, key, value)
    if (!rd_eq(rd_str(there, key), json_string_value(value)))
      return false;
  return rd_str(there, "berth.network") != NULL;
}

static void add_twin(struct thing *t, const json_t *network) {
  size_t i = 0;
  while (i < json_array_size(t->twins) && strcmp(rd_str_or(network, "Created", ""), rd_str_or(json_array_get(t->twins, i), "Created", "")) < 0)
    i++;
  json_array_insert(t->twins, i, (json_t *)(uintptr_t)network);
}

static void part_next(struct rd_op *op);

static void twin_removed(struct rd_op *op, const struct rd_answer *a) {
  struct thing *t = (struct thing *)op;
  if (a->code) {
    rd_answer_fail(op, a);
    return;
  }
  if (a->status < 300 || a->status == 404)
    t->left--;
  part_next(op);
}

/* From the newest on, until as many are left as shall be; one that containers use stays. */
static void part_next(struct rd_op *op) {
  struct thing *t = (struct thing *)op;
  if (t->left <= t->kept || t->at == json_array_size(t->twins)) {
    if (t->left > t->kept)
      rd_op_fail(op, BERTH_CONFLICT, "%s: there are %zu of that name, and they are in use: remove all but one", op->subject, t->left);
    else
      t->parted(op);
    return;
  }
  RD_AUTO_FREE path = rd_path("/networks/", rd_str_or(json_array_get(t->twins, t->at++), "Id", ""), "");
  rd_request(op, &(struct rd_request){.method = "DELETE", .path = path, .done = twin_removed});
}

static void twins_listed(struct rd_op *op, const struct rd_answer *a) {
  struct thing *t = (struct thing *)op;
  if (!rd_answer_good(op, a))
    return;
  json_decref(t->twins);
  t->twins = json_array();
  t->at = t->left = 0;
  size_t i;
  json_t *network;
  json_array_foreach(a->json, i, network) {
    if (!rd_eq(rd_str(network, "Name"), t->name))
      continue;
    t->left++;
    if (has_labels(rd_obj(network, "Labels"), t->labels))
      add_twin(t, network);
  }
  part_next(op);
}

static void part_twins(struct thing *t, size_t kept, void (*parted)(struct rd_op *op)) {
  t->kept = kept;
  t->parted = parted;
  RD_AUTO_FREE filters = rd_filters(NULL, "name", t->name);
  RD_AUTO_FREE path = rd_asprintf("/networks?%s", filters);
  rd_request(&t->op, &(struct rd_request){.method = "GET", .path = path, .max_body = 16 << 20, .done = twins_listed});
}

static void network_look(struct rd_op *op);

static void network_created(struct rd_op *op, const struct rd_answer *a) {
  struct thing *t = (struct thing *)op;
  if (!a->code && a->status == 409 && !t->again) {
    t->again = true;
    network_look(op);
    return;
  }
  if (!rd_answer_good(op, a))
    return;
  t->made = true;
  network_look(op); /* is it the only one of its name? */
}

static void network_seen(struct rd_op *op, const struct rd_answer *a) {
  struct thing *t = (struct thing *)op;
  if (is_ambiguous(a) && t->tries++ < 3) {
    part_twins(t, 1, network_look);
    return;
  }
  if (!a->code && a->status == 404) {
    if (external_missing(t))
      return;
    RD_AUTO_JSON body = network_body(t);
    if (op->self->api < 147 && json_object_get(body, "EnableIPv4")) {
      rd_op_fail(op, BERTH_UNSUPPORTED, "%s: enable_ipv4 needs an engine with API 1.47 (Docker 28)", op->subject);
      return;
    }
    rd_request(op, &(struct rd_request){.method = "POST", .path = "/networks/create", .body = body, .done = network_created});
    return;
  }
  if (!rd_answer_good(op, a))
    return;
  RD_AUTO_FREE why = rd_bool(t->spec, "external", false) ? NULL : rd_network_differs(a->json, t->spec);
  if (why)
    rd_op_fail(op, BERTH_CONFLICT, "%s: one of that name is there, but %s: remove it, or choose another name", op->subject, why);
  else
    rd_op_done(op, json_pack("{s:s, s:b}", "id", rd_str_or(a->json, "Id", rd_str_or(a->json, "ID", "")), "created", t->made));
}

static void network_look(struct rd_op *op) {
  RD_AUTO_FREE path = rd_path("/networks/", ((struct thing *)op)->name, "");
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .done = network_seen});
}

void rd_network_ensure(struct berth_instance *self, berth_op id, const struct berth_runtime_network *request) {
  thing_go(thing_new(self, id, "network", request->name, request->spec_json, request->labels_json), network_look);
}

static void network_remove_ready(struct rd_op *op);

/* An endpoint of a container that was just removed may linger for a moment. */
static void network_removed(struct rd_op *op, const struct rd_answer *a) {
  enum { most_tries = 5 };
  struct thing *t = (struct thing *)op;
  if (is_ambiguous(a) && t->tries++ < 3) {
    part_twins(t, 0, network_remove_ready);
    return;
  }
  RD_AUTO_FREE sentence = !a->code && a->status >= 400 ? rd_sentence(a->body, a->len) : NULL;
  if (sentence && strstr(sentence, "has active endpoints")) {
    if (t->tries++ < most_tries)
      rd_op_after(op, 50 << t->tries, network_remove_ready);
    else
      rd_op_fail(op, BERTH_CONFLICT, "%s: containers still use it: %s", op->subject, sentence);
    return;
  }
  removed(op, a);
}

static void network_remove_ready(struct rd_op *op) {
  RD_AUTO_FREE path = rd_path("/networks/", ((struct thing *)op)->name, "");
  rd_request(op, &(struct rd_request){.method = "DELETE", .path = path, .done = network_removed});
}

void rd_network_remove(struct berth_instance *self, berth_op id, const char *name) {
  thing_go(thing_new(self, id, "network", name, NULL, NULL), network_remove_ready);
}

static void network_listed(struct rd_op *op, const struct rd_answer *a) {
  if (rd_answer_good(op, a))
    rd_op_done(op, rd_normal_networks(a->json));
}

static void network_list_ready(struct rd_op *op) {
  RD_AUTO_FREE filters = rd_filters(((struct thing *)op)->label, NULL, NULL);
  RD_AUTO_FREE path = rd_asprintf("/networks?%s", filters);
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .max_body = 16 << 20, .done = network_listed});
}

void rd_network_list(struct berth_instance *self, berth_op id, const struct berth_runtime_list *request) {
  struct thing *t = thing_new(self, id, "list of", "networks", NULL, NULL);
  t->label = rd_strdup(request->label);
  rd_op_ready(&t->op, network_list_ready);
}

/* ---------------------------------------------------------------- volumes */

static json_t *volume_result(const json_t *v, bool created) {
  return json_pack("{s:s, s:s, s:b}", "name", rd_str_or(v, "Name", ""), "mountpoint", rd_str_or(v, "Mountpoint", ""), "created", created);
}

static void volume_created(struct rd_op *op, const struct rd_answer *a) {
  if (rd_answer_good(op, a))
    rd_op_done(op, volume_result(a->json, true));
}

static void volume_make(struct thing *t) {
  json_t *options = rd_spec_map(json_object_get(t->spec, "driver_opts"));
  const char *driver = rd_str(t->spec, "driver");
  RD_AUTO_JSON body = json_pack("{s:s, s:s, s:o, s:O}", "Name", t->name, "Driver", driver && *driver ? driver : "local", "DriverOpts",
                                options ? options : json_object(), "Labels", t->labels);
  rd_request(&t->op, &(struct rd_request){.method = "POST", .path = "/volumes/create", .body = body, .done = volume_created});
}

static void volume_seen(struct rd_op *op, const struct rd_answer *a) {
  struct thing *t = (struct thing *)op;
  if (!a->code && a->status == 404) {
    if (!external_missing(t))
      volume_make(t);
    return;
  }
  if (!rd_answer_good(op, a))
    return;
  RD_AUTO_FREE why = rd_bool(t->spec, "external", false) ? NULL : rd_volume_differs(a->json, t->spec);
  if (why)
    rd_op_fail(op, BERTH_CONFLICT, "%s: one of that name is there, but %s: remove it, or choose another name", op->subject, why);
  else
    rd_op_done(op, volume_result(a->json, false));
}

static void volume_look(struct rd_op *op) {
  RD_AUTO_FREE path = rd_path("/volumes/", ((struct thing *)op)->name, "");
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .done = volume_seen});
}

void rd_volume_ensure(struct berth_instance *self, berth_op id, const struct berth_runtime_volume *request) {
  thing_go(thing_new(self, id, "volume", request->name, request->spec_json, request->labels_json), volume_look);
}

static void volume_remove_ready(struct rd_op *op) {
  RD_AUTO_FREE path = rd_path("/volumes/", ((struct thing *)op)->name, "");
  rd_request(op, &(struct rd_request){.method = "DELETE", .path = path, .done = removed});
}

void rd_volume_remove(struct berth_instance *self, berth_op id, const char *name) {
  thing_go(thing_new(self, id, "volume", name, NULL, NULL), volume_remove_ready);
}

static void volume_listed(struct rd_op *op, const struct rd_answer *a) {
  if (rd_answer_good(op, a))
    rd_op_done(op, rd_normal_volumes(a->json));
}

static void volume_list_ready(struct rd_op *op) {
  RD_AUTO_FREE filters = rd_filters(((struct thing *)op)->label, NULL, NULL);
  RD_AUTO_FREE path = rd_asprintf("/volumes?%s", filters);
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .max_body = 16 << 20, .done = volume_listed});
}

void rd_volume_list(struct berth_instance *self, berth_op id, const struct berth_runtime_list *request) {
  struct thing *t = thing_new(self, id, "list of", "volumes", NULL, NULL);
  t->label = rd_strdup(request->label);
  rd_op_ready(&t->op, volume_list_ready);
}
