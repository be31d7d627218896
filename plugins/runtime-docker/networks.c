/* Networks and volumes: ensure, remove, list. What is there is left as it is; where it is not what was asked for, that is
 * said instead of being used all the same.
 *
 * Several networks may bear one name: the engine's CheckDuplicate does not see what is still being made, say for a server
 * that was killed. From then on everything by that name fails, so networks are looked up by list and used by id, and of
 * several one stays. Only what carries a label of ours ("berth.…") is ever removed. */
#include "config.h"
#include "engine.h"

#include "normal.h"
#include "spec.h"

enum { max_name = 1024 }; /* no engine takes longer ones, and a name is compared with all that there are */

struct thing {
  struct rd_op op;
  char *name, *label;
  json_t *spec, *labels;
  bool again;      /* somebody else made it between our look and our create */
  char *made;      /* the id of the network that we made */
  json_t *found;   /* networks of exactly that name */
  json_t *kept;    /* the one of them that stays; NULL: none does */
  size_t at;       /* the one of found that is being looked at or removed */
  json_t *cut;     /* names of the endpoints that are in the way of it */
  char *living;    /* a container that uses it */
  int tries;
};

static void thing_drop(struct rd_op *op) {
  struct thing *t = (struct thing *)op;
  free(t->name);
  free(t->label);
  free(t->made);
  free(t->living);
  json_decref(t->spec);
  json_decref(t->labels);
  json_decref(t->found);
  json_decref(t->kept);
  json_decref(t->cut);
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
  t->name = pu_strdup(name ? name : "");
  t->spec = object_of(spec);
  t->labels = object_of(labels);
  return t;
}

static void thing_go(struct thing *t, void (*ready)(struct rd_op *op)) {
  if (!*t->name || strlen(t->name) > max_name)
    rd_op_fail(&t->op, BERTH_INVALID, "%s: it has no name, or one of over %d bytes", t->op.subject, max_name);
  else
    rd_op_ready(&t->op, ready);
}

static void removed(struct rd_op *op, const struct rd_answer *a) {
  if ((!a->code && a->status == 404) || rd_answer_good(op, a))
    rd_op_done(op, NULL);
}

/* Where one of that name is there: true, and op has been ended where it may not be used. */
static bool external_missing(struct thing *t) {
  if (!pu_flag(t->spec, "external", false))
    return false;
  rd_op_fail(&t->op, BERTH_NOT_FOUND, "%s: it is external, but the engine does not have it: make it, or let the app own it", t->op.subject);
  return true;
}

/* The other server's id where found belongs to one: two servers on one engine share nothing by accident. What carries no
 * server's label (an older one made it) belongs to whoever asks. */
static const char *other_server(const struct thing *t, const json_t *found) {
  const char *mine = pu_str(t->labels, "berth.server"), *theirs = pu_str(pu_obj(found, "Labels"), "berth.server");
  return mine && theirs && !pu_eq(mine, theirs) ? theirs : NULL;
}

/* What is there may not be used for what was asked: true, and op has been ended. differs: why, or NULL. */
static bool unusable(struct thing *t, const json_t *found, const char *differs) {
  const char *other = other_server(t, found);
  if (pu_flag(t->spec, "external", false) || (!differs && !other))
    return false;
  if (other)
    rd_op_fail(&t->op, BERTH_CONFLICT,
               "%s: one of that name belongs to another Berth server (berth.server=%s): choose another name, or share it with \"external: true\"",
               t->op.subject, other);
  else
    rd_op_fail(&t->op, BERTH_CONFLICT, "%s: one of that name is there, but %s: remove it, or choose another name", t->op.subject, differs);
  return true;
}

/* ---------------------------------------------------------------- networks */

/* Compose's ipam in the engine's words. */
static json_t *network_ipam(const json_t *spec) {
  static const struct rd_attr table[] = {{"subnet", "Subnet", RD_STR}, {"ip_range", "IPRange", RD_STR}, {"gateway", "Gateway", RD_STR},
                                         {"aux_addresses", "AuxiliaryAddresses", RD_MAP}};
  const json_t *ipam = pu_obj(spec, "ipam"), *configs = pu_arr(ipam, "config");
  if (!ipam)
    return NULL;
  json_t *list = json_array(), *config, *options = pu_map(json_object_get(ipam, "options"));
  size_t i;
  json_array_foreach(configs, i, config) {
    json_t *out = json_object();
    rd_spec_copy(NULL, config, out, table, PU_COUNT(table));
    json_array_append_new(list, out);
  }
  const char *driver = pu_str(ipam, "driver");
  return json_pack("{s:s, s:o, s:o}", "Driver", driver && *driver ? driver : "default", "Config", list, "Options",
                   options ? options : json_object());
}

static json_t *network_body(const struct thing *t) {
  json_t *options = pu_map(json_object_get(t->spec, "driver_opts")), *ipam = network_ipam(t->spec);
  const char *driver = pu_str(t->spec, "driver");
  json_t *body = json_pack("{s:s, s:b, s:s, s:b, s:b, s:b, s:o, s:O}", "Name", t->name, "CheckDuplicate", 1, "Driver",
                           driver && *driver ? driver : "bridge", "Internal", pu_flag(t->spec, "internal", false), "Attachable",
                           pu_flag(t->spec, "attachable", false), "EnableIPv6", pu_flag(t->spec, "enable_ipv6", false), "Options",
                           options ? options : json_object(), "Labels", t->labels);
  if (ipam)
    json_object_set_new(body, "IPAM", ipam);
  if (json_is_boolean(json_object_get(t->spec, "enable_ipv4")))
    json_object_set(body, "EnableIPv4", json_object_get(t->spec, "enable_ipv4"));
  return body;
}

/* ---- those of one name ---- */

static bool is_ours(const struct thing *t, const json_t *network) {
  const char *key;
  json_t *value;
  if (other_server(t, network))
    return false;
  json_object_foreach(pu_obj(network, "Labels"), key, value) {
    (void)value;
    if (pu_starts(key, "berth."))
      return true;
  }
  return false;
}

/* Asks for all networks of t's name. The filter is a regular expression that the engine looks for anywhere in a name. */
static void networks_ask(struct rd_op *op, void (*done)(struct rd_op *op, const struct rd_answer *a)) {
  struct pu_buf pattern = {0};
  pu_buf_adds(&pattern, "^");
  for (const char *p = ((struct thing *)op)->name; *p; p++)
    pu_buf_addf(&pattern, "%s%c", strchr("\\.+*?()|[]{}^$", *p) ? "\\" : "", *p);
  pu_buf_adds(&pattern, "$");
  PU_AUTO_FREE text = pu_buf_steal(&pattern);
  PU_AUTO_FREE filters = rd_filters(NULL, "name", text);
  PU_AUTO_FREE path = pu_asprintf("/networks?%s", filters);
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .max_body = 16 << 20, .done = done});
}

/* Takes the answer to networks_ask; ours_only leaves out those of others. */
static void networks_take(struct thing *t, const struct rd_answer *a, bool ours_only) {
  json_decref(t->found);
  t->found = json_array();
  t->at = 0;
  size_t i;
  json_t *network;
  json_array_foreach(a->json, i, network)
    if (pu_eq(pu_str(network, "Name"), t->name) && (!ours_only || is_ours(t, network)))
      json_array_append(t->found, network);
}

static char *network_path(const struct thing *t, const char *suffix) {
  return rd_path("/networks/", pu_str(json_array_get(t->found, t->at), "Id"), suffix);
}

/* ---- removing all of t->found but t->kept ---- */

static void network_delete(struct rd_op *op);
static void networks_removed(struct thing *t);

static void networks_next(struct thing *t) {
  t->at++;
  t->tries = 0;
  networks_removed(t);
}

static void endpoints_next(struct thing *t);

static void endpoint_cut(struct rd_op *op, const struct rd_answer *a) {
  (void)a; /* whether it helped, the next removal tells */
  endpoints_next((struct thing *)op);
}

/* Only what no running container stands behind is cut: the engine sometimes keeps an endpoint of one that is long gone. */
static void endpoint_seen(struct rd_op *op, const struct rd_answer *a) {
  struct thing *t = (struct thing *)op;
  json_t *first = json_array_get(t->cut, 0);
  const char *name = json_string_value(first);
  bool gone = !a->code && a->status == 404;
  if (!gone && (a->code || a->status >= 400 || pu_flag(pu_obj(a->json, "State"), "Running", true))) {
    pu_set(&t->living, pu_strdup(name));
    json_array_remove(t->cut, 0);
    endpoints_next(t);
    return;
  }
  rd_log(op->self, BERTH_LOG_WARN, "%s: the engine keeps an endpoint of %s, which does not run: it is disconnected by force", op->subject, name);
  PU_AUTO_JSON body = json_pack("{s:O, s:b}", "Container", first, "Force", 1);
  json_array_remove(t->cut, 0);
  PU_AUTO_FREE path = network_path(t, "/disconnect");
  rd_request(op, &(struct rd_request){.method = "POST", .path = path, .body = body, .done = endpoint_cut});
}

static void endpoints_next(struct thing *t) {
  if (!json_array_size(t->cut)) {
    rd_op_after(&t->op, 50 << t->tries, network_delete);
    return;
  }
  PU_AUTO_FREE path = rd_path("/containers/", json_string_value(json_array_get(t->cut, 0)), "/json");
  rd_request(&t->op, &(struct rd_request){.method = "GET", .path = path, .done = endpoint_seen});
}

static void endpoints_found(struct rd_op *op, const struct rd_answer *a) {
  struct thing *t = (struct thing *)op;
  json_decref(t->cut);
  t->cut = json_array();
  pu_set(&t->living, NULL);
  const char *key;
  json_t *endpoint;
  json_object_foreach(pu_obj(a->json, "Containers"), key, endpoint) {
    (void)key;
    if (*pu_str_or(endpoint, "Name", ""))
      json_array_append(t->cut, json_object_get(endpoint, "Name"));
  }
  endpoints_next(t);
}

/* An endpoint of a container that was just removed may linger for a moment; what lingers longer is cut off. */
static void endpoints_in_the_way(struct thing *t, const char *sentence) {
  enum { patient_tries = 2, most_tries = 5 };
  if (t->tries++ >= most_tries) {
    if (t->living)
      rd_op_fail(&t->op, BERTH_CONFLICT, "%s: containers still use it, %s for one: %s", t->op.subject, t->living, sentence);
    else
      rd_op_fail(&t->op, BERTH_CONFLICT, "%s: the engine keeps endpoints of containers that are gone, until it is restarted: %s", t->op.subject, sentence);
  } else if (t->tries <= patient_tries) {
    rd_op_after(&t->op, 50 << t->tries, network_delete);
  } else {
    PU_AUTO_FREE path = network_path(t, "");
    rd_request(&t->op, &(struct rd_request){.method = "GET", .path = path, .done = endpoints_found});
  }
}

static void network_deleted(struct rd_op *op, const struct rd_answer *a) {
  struct thing *t = (struct thing *)op;
  PU_AUTO_FREE sentence = !a->code && a->status >= 400 ? rd_sentence(a->body, a->len) : NULL;
  if (sentence && strstr(sentence, "has active endpoints"))
    endpoints_in_the_way(t, sentence);
  else if ((!a->code && a->status == 404) || rd_answer_good(op, a))
    networks_next(t);
}

static void network_delete(struct rd_op *op) {
  PU_AUTO_FREE path = network_path((struct thing *)op, "");
  rd_request(op, &(struct rd_request){.method = "DELETE", .path = path, .done = network_deleted});
}

/* ---- ensure ---- */

static void network_look(struct rd_op *op);

/* Ends the operation with the network of that name. */
static void network_use(struct thing *t, const json_t *network) {
  PU_AUTO_FREE why = rd_network_differs(network, t->spec);
  if (!unusable(t, network, why))
    rd_op_done(&t->op, json_pack("{s:s, s:b}", "id", pu_str_or(network, "Id", ""), "created", pu_eq(t->made, pu_str(network, "Id"))));
}

/* Goes on with the removal, and ends the operation when all that shall go is gone. */
static void networks_removed(struct thing *t) {
  while (t->at < json_array_size(t->found) && json_array_get(t->found, t->at) == t->kept)
    t->at++;
  if (t->at < json_array_size(t->found))
    network_delete(&t->op);
  else if (t->kept)
    network_use(t, t->kept);
  else
    rd_op_done(&t->op, NULL);
}

/* Whether a stays rather than b: a stranger's, which is not ours to remove; then what containers use; then the oldest. */
static bool stays_rather(const struct thing *t, const json_t *a, const json_t *b) {
  if (is_ours(t, a) != is_ours(t, b))
    return !is_ours(t, a);
  bool used_a = json_object_size(pu_obj(a, "Containers")) > 0, used_b = json_object_size(pu_obj(b, "Containers")) > 0;
  if (used_a != used_b)
    return used_a;
  int64_t age_a = pu_time_ms(pu_str_or(a, "Created", "")), age_b = pu_time_ms(pu_str_or(b, "Created", ""));
  return age_a != age_b ? age_a < age_b : strcmp(pu_str_or(a, "Id", ""), pu_str_or(b, "Id", "")) < 0;
}

/* All of t->found are known with their containers: one stays. */
static void networks_settle(struct thing *t) {
  json_t *keep = json_array_get(t->found, 0), *network;
  size_t i, strangers = 0;
  json_array_foreach(t->found, i, network) {
    strangers += !is_ours(t, network);
    if (stays_rather(t, network, keep))
      keep = network;
  }
  if (strangers > 1) {
    rd_op_fail(&t->op, BERTH_CONFLICT, "%s: the engine has %zu networks of that name that are not Berth's: remove all but one (docker network rm ID)",
               t->op.subject, strangers);
    return;
  }
  rd_log(t->op.self, BERTH_LOG_WARN, "%s: the engine has %zu of that name; %s stays", t->op.subject, json_array_size(t->found), pu_str_or(keep, "Id", ""));
  t->kept = json_incref(keep);
  t->at = 0;
  networks_removed(t);
}

static void networks_inspect(struct thing *t);

static void network_inspected(struct rd_op *op, const struct rd_answer *a) {
  struct thing *t = (struct thing *)op;
  if (!a->code && a->status == 404) {
    json_array_remove(t->found, t->at);
  } else if (rd_answer_good(op, a)) {
    json_array_set(t->found, t->at, a->json);
    t->at++;
  } else {
    return;
  }
  networks_inspect(t);
}

/* A list does not tell of containers. */
static void networks_inspect(struct thing *t) {
  if (t->at < json_array_size(t->found)) {
    PU_AUTO_FREE path = network_path(t, "");
    rd_request(&t->op, &(struct rd_request){.method = "GET", .path = path, .done = network_inspected});
  } else if (json_array_size(t->found)) {
    networks_settle(t);
  } else {
    network_look(&t->op);
  }
}

/* What a killed server had asked for may come up after our look behind the create: looks again some times, quietly. */
static void recheck_seen(struct rd_op *op, const struct rd_answer *a) {
  enum { most_tries = 3 };
  struct thing *t = (struct thing *)op;
  if (a->code || a->status >= 400) {
    rd_op_drop(op);
    return;
  }
  networks_take(t, a, false);
  if (json_array_size(t->found) > 1)
    networks_inspect(t);
  else if (!json_array_size(t->found) || ++t->tries >= most_tries)
    rd_op_drop(op);
  else
    rd_op_after(op, 1000 << 2 * t->tries, network_look);
}

static void network_recheck(const struct thing *t) {
  struct thing *again = thing_new(t->op.self, 0, "network", t->name, NULL, NULL);
  json_object_set_new(again->spec, "external", json_true()); /* to be used as it is */
  json_object_update(again->labels, t->labels);
  rd_op_after(&again->op, 1000, network_look);
}

static void network_created(struct rd_op *op, const struct rd_answer *a) {
  struct thing *t = (struct thing *)op;
  if (!a->code && a->status == 409 && !t->again) {
    t->again = true;
    network_look(op);
    return;
  }
  if (!rd_answer_good(op, a))
    return;
  const char *id = pu_str(a->json, "Id");
  pu_set(&t->made, pu_strdup(id ? id : pu_str_or(a->json, "ID", "")));
  network_recheck(t);
  network_look(op);
}

static void network_make(struct thing *t) {
  if (external_missing(t))
    return;
  PU_AUTO_JSON body = network_body(t);
  if (t->made)
    rd_op_fail(&t->op, BERTH_CONFLICT, "%s: somebody removed it while it was being made", t->op.subject);
  else if (t->op.self->api < 147 && json_object_get(body, "EnableIPv4"))
    rd_op_fail(&t->op, BERTH_UNSUPPORTED, "%s: enable_ipv4 needs an engine with API 1.47 (Docker 28)", t->op.subject);
  else
    rd_request(&t->op, &(struct rd_request){.method = "POST", .path = "/networks/create", .body = body, .done = network_created});
}

static void network_seen(struct rd_op *op, const struct rd_answer *a) {
  struct thing *t = (struct thing *)op;
  if (!rd_answer_good(op, a))
    return;
  networks_take(t, a, false);
  if (json_array_size(t->found) > 1)
    networks_inspect(t);
  else if (json_array_size(t->found))
    network_use(t, json_array_get(t->found, 0));
  else
    network_make(t);
}

static void network_look(struct rd_op *op) { networks_ask(op, op->id ? network_seen : recheck_seen); }

void rd_network_ensure(struct berth_instance *self, berth_op id, const struct berth_runtime_network *request) {
  thing_go(thing_new(self, id, "network", request->name, request->spec_json, request->labels_json), network_look);
}

/* ---- remove, list ---- */

static void network_remove_seen(struct rd_op *op, const struct rd_answer *a) {
  if (!rd_answer_good(op, a))
    return;
  networks_take((struct thing *)op, a, true);
  networks_removed((struct thing *)op);
}

/* By id: this one and no other, in whatever it is called. */
static void network_remove_known(struct rd_op *op, const struct rd_answer *a) {
  struct thing *t = (struct thing *)op;
  if (!a->code && a->status == 404) {
    rd_op_done(op, NULL);
    return;
  }
  if (!rd_answer_good(op, a))
    return;
  t->found = json_pack("[O]", a->json);
  if (is_ours(t, a->json))
    networks_removed(t);
  else
    rd_op_done(op, NULL);
}

static bool is_id(const char *name) { return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64; }

static void network_remove_ready(struct rd_op *op) {
  const char *name = ((struct thing *)op)->name;
  if (!is_id(name)) {
    networks_ask(op, network_remove_seen);
    return;
  }
  PU_AUTO_FREE path = rd_path("/networks/", name, "");
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .done = network_remove_known});
}

void rd_network_remove(struct berth_instance *self, berth_op id, const char *name) {
  thing_go(thing_new(self, id, "network", name, NULL, NULL), network_remove_ready);
}

static void network_listed(struct rd_op *op, const struct rd_answer *a) {
  if (rd_answer_good(op, a))
    rd_op_done(op, rd_normal_networks(a->json));
}

static void network_list_ready(struct rd_op *op) {
  PU_AUTO_FREE filters = rd_filters(((struct thing *)op)->label, NULL, NULL);
  PU_AUTO_FREE path = pu_asprintf("/networks?%s", filters);
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .max_body = 16 << 20, .done = network_listed});
}

void rd_network_list(struct berth_instance *self, berth_op id, const struct berth_runtime_list *request) {
  struct thing *t = thing_new(self, id, "list of", "networks", NULL, NULL);
  t->label = pu_strdup(request->label);
  rd_op_ready(&t->op, network_list_ready);
}

/* ---------------------------------------------------------------- volumes */

static json_t *volume_result(const json_t *v, bool created) {
  return json_pack("{s:s, s:s, s:b}", "name", pu_str_or(v, "Name", ""), "mountpoint", pu_str_or(v, "Mountpoint", ""), "created", created);
}

/* An engine that was asked twice at once gives the other asker's volume. */
static void volume_created(struct rd_op *op, const struct rd_answer *a) {
  if (rd_answer_good(op, a) && !unusable((struct thing *)op, a->json, NULL))
    rd_op_done(op, volume_result(a->json, true));
}

static void volume_make(struct thing *t) {
  json_t *options = pu_map(json_object_get(t->spec, "driver_opts"));
  const char *driver = pu_str(t->spec, "driver");
  PU_AUTO_JSON body = json_pack("{s:s, s:s, s:o, s:O}", "Name", t->name, "Driver", driver && *driver ? driver : "local", "DriverOpts",
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
  PU_AUTO_FREE why = rd_volume_differs(a->json, t->spec);
  if (!unusable(t, a->json, why))
    rd_op_done(op, volume_result(a->json, false));
}

static void volume_look(struct rd_op *op) {
  PU_AUTO_FREE path = rd_path("/volumes/", ((struct thing *)op)->name, "");
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .done = volume_seen});
}

void rd_volume_ensure(struct berth_instance *self, berth_op id, const struct berth_runtime_volume *request) {
  thing_go(thing_new(self, id, "volume", request->name, request->spec_json, request->labels_json), volume_look);
}

static void volume_remove_ready(struct rd_op *op) {
  PU_AUTO_FREE path = rd_path("/volumes/", ((struct thing *)op)->name, "");
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
  PU_AUTO_FREE filters = rd_filters(((struct thing *)op)->label, NULL, NULL);
  PU_AUTO_FREE path = pu_asprintf("/volumes?%s", filters);
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .max_body = 16 << 20, .done = volume_listed});
}

void rd_volume_list(struct berth_instance *self, berth_op id, const struct berth_runtime_list *request) {
  struct thing *t = thing_new(self, id, "list of", "volumes", NULL, NULL);
  t->label = pu_strdup(request->label);
  rd_op_ready(&t->op, volume_list_ready);
}
