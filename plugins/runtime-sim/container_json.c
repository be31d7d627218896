/* Containers as JSON: what is kept of a create, what inspect and list tell. */
#include "config.h"

#include <stdio.h>

#include "../common/values.h"
#include "sim.h"

enum { first_port = 32768, ports_of_machine = 28232 };

bool sim_label_matches(const json_t *labels, const char *label) {
  if (!label || !*label)
    return true;
  const char *eq = strchr(label, '=');
  PU_AUTO_FREE name = eq ? pu_strndup(label, (size_t)(eq - label)) : pu_strdup(label);
  const char *value = pu_str(labels, name);
  return value && (!eq || strcmp(value, eq + 1) == 0);
}

/* Names of instances hold letters that are drawn anew each time; a slot of a service is the same in each rehearsal. */
char *sim_key_of(const char *name, const json_t *labels) {
  const char *ns = pu_str_or(labels, "berth.namespace", "default"), *app = pu_str(labels, "berth.app");
  const char *service = pu_str(labels, "berth.service"), *slot = pu_str(labels, "berth.slot");
  if (!app || !service || !slot)
    return pu_strdup(name);
  return strcmp(ns, "default") == 0 ? pu_asprintf("%s/%s/%s", app, service, slot) : pu_asprintf("%s.%s/%s/%s", ns, app, service, slot);
}

/* ---------------------------------------------------------------- what create keeps */

/* All addresses are this machine's own, whatever the file asks for: a pretended one must never be another machine's real one. */
static char *next_ip(struct berth_instance *self) {
  uint32_t n = self->next_ip++ % ((1u << 22) - 2) + 1;
  return pu_asprintf("127.%u.%u.%u", 64 + (n >> 16), n >> 8 & 255, n & 255);
}

static json_t *one_network(struct berth_instance *self, const json_t *asked) {
  PU_AUTO_FREE ip = next_ip(self);
  json_t *net = json_pack("{s:s, s:s, s:s}", "ip", ip, "ip6", "", "mac", pu_str_or(asked, "mac_address", "02:42:7f:00:00:01"));
  json_t *aliases = pu_arr(asked, "aliases");
  json_object_set_new(net, "aliases", aliases ? json_incref(aliases) : json_array());
  return net;
}

static json_t *networks_of(struct berth_instance *self, const json_t *spec) {
  json_t *out = json_object(), *n;
  size_t i;
  json_array_foreach(pu_arr(spec, "networks"), i, n) {
    const char *name = pu_str(n, "name");
    if (name)
      json_object_set_new(out, name, one_network(self, n));
  }
  const char *mode = pu_str(spec, "network_mode");
  bool own = !mode || strcmp(mode, "bridge") == 0;
  if (own && !json_object_size(out))
    json_object_set_new(out, "bridge", one_network(self, NULL));
  return out;
}

static json_t *ports_of(const json_t *spec, const char *name) {
  json_t *out = json_array(), *p;
  size_t i;
  json_array_foreach(pu_arr(spec, "ports"), i, p) {
    int64_t published = pu_int(p, "published", 0);
    if (!published)
      published = first_port + (int64_t)(sim_dice(0, "port", name, i) % ports_of_machine);
    json_array_append_new(out, json_pack("{s:I, s:I, s:s, s:s}", "target", (json_int_t)pu_int(p, "target", 0), "published", (json_int_t)published,
                                         "host_ip", pu_str_or(p, "host_ip", ""), "protocol", pu_str_or(p, "protocol", "tcp")));
  }
  return out;
}

static void add_need(json_t *needs, const char *text) {
  if (!pu_starts(text, "container:"))
    return;
  json_array_append_new(needs, json_string(text + strlen("container:")));
}

/* The containers that it hangs on. */
static json_t *needs_of(const json_t *spec) {
  json_t *needs = json_array(), *from;
  size_t i;
  add_need(needs, pu_str(spec, "network_mode"));
  add_need(needs, pu_str(spec, "pid"));
  add_need(needs, pu_str(spec, "ipc"));
  json_array_foreach(pu_arr(spec, "volumes_from"), i, from) {
    const char *text = json_string_value(from);
    if (text)
      json_array_append_new(needs, json_stringn(text, strcspn(text, ":")));
  }
  return needs;
}

static json_t *volumes_of(const json_t *spec) {
  json_t *out = json_array(), *m;
  size_t i;
  json_array_foreach(pu_arr(spec, "mounts"), i, m) {
    const char *source = pu_str(m, "source");
    if (source && pu_eq(pu_str(m, "type"), "volume"))
      json_array_append_new(out, json_string(source));
  }
  return out;
}

static bool has_check(const json_t *service) {
  const json_t *check = pu_obj(service, "healthcheck");
  const char *first = json_string_value(json_array_get(pu_arr(check, "test"), 0));
  return check && !pu_bool(check, "disable", false) && !pu_eq(first, "NONE");
}

/* Who is not told by the file what ends by itself looks at what serves nobody. */
static bool ends_by_itself(struct berth_instance *self, const json_t *spec, const char *key) {
  const json_t *service = pu_obj(spec, "service");
  const char *mode = pu_str_or(pu_obj(service, "deploy"), "mode", ""), *restart = pu_str_or(service, "restart", "");
  const char *slot = strrchr(key, '/');
  PU_AUTO_FREE name = slot ? pu_strndup(key, (size_t)(slot - key)) : pu_strdup(key);
  if (strcmp(mode, "replicated-job") == 0 || strcmp(mode, "global-job") == 0 || sim_listed(self->settings.jobs, name))
    return true;
  bool once = strcmp(restart, "no") == 0 || pu_starts(restart, "on-failure");
  return once && !has_check(service) && !json_array_size(json_object_get(service, "ports")) && !json_array_size(json_object_get(service, "expose"));
}

/* Of numbers and texts such as "0.5". */
static double number_of(const json_t *v) { return json_is_number(v) ? json_number_value(v) : json_is_string(v) ? atof(json_string_value(v)) : 0; }

static int64_t bytes_of(const json_t *v) {
  int64_t bytes = 0;
  if (json_is_string(v))
    (void)pu_size(json_string_value(v), &bytes);
  return json_is_integer(v) ? json_integer_value(v) : bytes > 0 ? bytes : 0;
}

json_t *sim_container_text(struct berth_instance *self, const json_t *spec, const char *image_id) {
  const json_t *service = pu_obj(spec, "service"), *resources = pu_obj(pu_obj(service, "deploy"), "resources");
  const json_t *limits = pu_obj(resources, "limits"), *reserved = pu_obj(resources, "reservations");
  json_t *labels = pu_obj(spec, "labels"), *doc = json_object();
  const char *name = pu_str(spec, "name");
  PU_AUTO_FREE key = sim_key_of(name, labels);
  json_object_set_new(doc, "labels", labels ? json_incref(labels) : json_object());
  json_object_set_new(doc, "image", pu_json_string(pu_str(spec, "image")));
  json_object_set_new(doc, "image_id", json_string(image_id));
  json_object_set_new(doc, "networks", networks_of(self, spec));
  json_object_set_new(doc, "ports", ports_of(spec, name));
  json_object_set_new(doc, "needs", needs_of(spec));
  json_object_set_new(doc, "volumes", volumes_of(spec));
  json_object_set_new(doc, "checked", json_boolean(has_check(service)));
  json_object_set_new(doc, "job", json_boolean(ends_by_itself(self, spec, key)));
  json_object_set_new(doc, "cpus", json_real(number_of(json_object_get(limits, "cpus"))));
  json_object_set_new(doc, "memory", json_integer((json_int_t)bytes_of(json_object_get(limits, "memory"))));
  json_object_set_new(doc, "pids", json_integer((json_int_t)number_of(json_object_get(limits, "pids"))));
  json_object_set_new(doc, "memory_reservation", json_integer((json_int_t)bytes_of(json_object_get(reserved, "memory"))));
  return doc;
}

json_t *sim_container_doc(const struct sim_container *c) {
  json_t *doc = json_loads(c->text, 0, NULL);
  return doc ? doc : json_object();
}

void sim_container_facts(struct sim_container *c, const json_t *doc) {
  c->checked = pu_bool(doc, "checked", false);
  c->job = pu_bool(doc, "job", false);
  c->cpus = number_of(json_object_get(doc, "cpus"));
  c->memory = pu_int(doc, "memory", 0);
  c->published = json_array_size(json_object_get(doc, "ports")) > 0;
}

/* ---------------------------------------------------------------- what is told */

static const char *state_of(const struct sim_container *c) {
  return c->state == SIM_RUNNING ? "running" : c->state == SIM_EXITED ? "exited" : "created";
}

json_t *sim_container_inspect(const struct sim_container *c) {
  char started[32], finished[32];
  PU_AUTO_JSON doc = sim_container_doc(c);
  json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:b, s:s, s:s, s:s, s:s, s:i}", "id", c->id, "name", c->name, "state", state_of(c), "exit_code",
                        c->exit_code, "oom_killed", c->oom, "error", "", "started_at", sim_time_text(c->started_ms, started), "finished_at",
                        sim_time_text(c->finished_ms, finished), "health", sim_life_health(c), "pid", 0);
  static const char *const kept[] = {"labels", "image", "image_id", "ports", "networks"};
  for (size_t i = 0; i < PU_COUNT(kept); i++)
    json_object_set(o, kept[i], json_object_get(doc, kept[i]));
  static const char *const limits[] = {"cpus", "memory", "memory_reservation", "pids"};
  json_t *resources = json_object();
  for (size_t i = 0; i < PU_COUNT(limits); i++)
    if (json_object_get(doc, limits[i]))
      json_object_set(resources, limits[i], json_object_get(doc, limits[i]));
  json_object_set_new(o, "resources", resources);
  return o;
}

json_t *sim_container_listed(const struct sim_container *c, const json_t *doc) {
  char created[32];
  json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "id", c->id, "name", c->name, "state", state_of(c), "created", sim_time_text(c->created_ms, created));
  static const char *const kept[] = {"labels", "image", "image_id"};
  for (size_t i = 0; i < PU_COUNT(kept); i++)
    json_object_set(o, kept[i], json_object_get(doc, kept[i]));
  return o;
}
