/* Defaults, what one attribute implies for another, names of resources; then every value cast to its type. */
#include "config.h"

#include "base/file.h"
#include "base/mem.h"
#include "compose/internal.h"
#include "compose/shape.h"
#include "compose/short.h"
#include "compose/values.h"

static bool is_text(const struct bt_yaml *n, const char *text) { return n && n->kind == BT_YAML_STR && bt_streq(n->text, text); }

static struct bt_yaml *map_at(struct bt_yaml *map, const char *key) {
  struct bt_yaml *n = bt_yaml_get(map, key);
  if (n && n->kind != BT_YAML_NULL)
    return n;
  bt_yaml_set(map, key, map->loc, bt_yaml_new(BT_YAML_MAP, map->loc));
  return bt_yaml_get(map, key);
}

/* ---- lists of a service ---- */

static void port(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  BT_AUTO_FREE char *where = bt_place_text(place);
  const struct bt_yaml *ip = bt_yaml_get(n, "host_ip"), *published = bt_yaml_get(n, "published");
  const struct bt_yaml *target = bt_yaml_get(n, "target"), *protocol = bt_yaml_get(n, "protocol");
  long long first, last;
  if (!target)
    bt_diag_error(load->diags, n->loc, "%s needs \"target\", the port inside the container", where);
  else if (!bt_port_range(target->text ? target->text : "", &first, &last) || first != last)
    bt_diag_error(load->diags, target->loc, "%s.target \"%.60s\" is no port", where, target->text ? target->text : "");
  if (ip && ip->text && *ip->text && !bt_is_ip(ip->text))
    bt_diag_error(load->diags, ip->loc, "%s.host_ip \"%.60s\" is no IP address", where, ip->text);
  if (published && published->text && *published->text && !bt_port_range(published->text, &first, &last))
    bt_diag_error(load->diags, published->loc, "%s.published \"%.60s\" is no port and no range", where, published->text);
  if (protocol && protocol->text && !bt_streq(protocol->text, "tcp") && !bt_streq(protocol->text, "udp") &&
      !bt_streq(protocol->text, "sctp"))
    bt_diag_error(load->diags, protocol->loc, "%s.protocol must be tcp, udp or sctp, not \"%.40s\"", where, protocol->text);
  bt_default_text(n, "protocol", "tcp");
  bt_default_text(n, "mode", "ingress");
}

static void mount(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  struct bt_yaml *target = bt_yaml_get(n, "target");
  if (!target || target->kind != BT_YAML_STR || !*target->text) {
    BT_AUTO_FREE char *where = bt_place_text(place);
    bt_diag_error(load->diags, n->loc, "%s needs \"target\", the path inside the container", where);
    return;
  }
  BT_AUTO_FREE char *clean = bt_path_clean(target->text);
  bt_node_become(target, bt_yaml_str(clean, target->loc));
}

static void secret_target(struct bt_yaml *n) {
  const struct bt_yaml *source = bt_yaml_get(n, "source");
  if (!source || !source->text)
    return;
  BT_AUTO_FREE char *target = bt_asprintf("/run/secrets/%s", source->text);
  bt_default_text(n, "target", target);
}

/* Where neither a count nor names of devices are given, all are meant. */
static void device_request(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  bool count = bt_yaml_get(n, "count"), ids = bt_yaml_get(n, "device_ids");
  if (count && ids) {
    BT_AUTO_FREE char *where = bt_place_text(place);
    bt_diag_error(load->diags, n->loc, "%s has both \"count\" and \"device_ids\"; keep one", where);
  }
  if (!ids)
    bt_default_text(n, "count", "all");
}

static void lists(struct bt_load *load, struct bt_yaml *service, const struct bt_place *place) {
  static const char *const keys[] = {"ports", "volumes", "secrets", "gpus", "deploy"};
  for (size_t k = 0; k < BT_COUNT(keys); k++) {
    struct bt_yaml *list = bt_yaml_get(service, keys[k]);
    if (list && bt_streq(keys[k], "deploy"))
      list = bt_yaml_get(bt_yaml_get(bt_yaml_get(list, "resources"), "reservations"), "devices");
    const struct bt_place *here = BT_PLACE_KEY(place, k == 4 ? "deploy.resources.reservations.devices" : keys[k]);
    for (size_t i = 0; list && list->kind == BT_YAML_SEQ && i < list->seq.len; i++) {
      struct bt_yaml *item = list->seq.items[i];
      if (k == 0)
        port(load, item, BT_PLACE_ITEM(here, i));
      else if (k == 1)
        mount(load, item, BT_PLACE_ITEM(here, i));
      else if (k == 2)
        secret_target(item);
      else
        device_request(load, item, BT_PLACE_ITEM(here, i));
    }
  }
}

/* The reference prints the keys of these entries with capitals, and all of them. */
static void blkio_entry(struct bt_yaml *n, const char *list) {
  static const char *const keys[][2] = {{"path", "Path"}, {"weight", "Weight"}, {"rate", "Rate"}};
  for (size_t k = 0; k < BT_COUNT(keys); k++) {
    struct bt_yaml_pair *pair = bt_yaml_pair(n, keys[k][0]);
    if (pair)
      bt_str_set(&pair->key, keys[k][1]);
  }
  bt_default_text(n, "Path", "");
  bt_default_text(n, bt_streq(list, "weight_device") ? "Weight" : "Rate", "0");
}

static void blkio(struct bt_yaml *service) {
  static const char *const names[] = {"weight_device", "device_read_bps", "device_read_iops", "device_write_bps",
                                      "device_write_iops"};
  const struct bt_yaml *n = bt_yaml_get(service, "blkio_config");
  for (size_t i = 0; i < BT_COUNT(names); i++) {
    const struct bt_yaml *list = bt_yaml_get(n, names[i]);
    for (size_t j = 0; list && list->kind == BT_YAML_SEQ && j < list->seq.len; j++)
      blkio_entry(list->seq.items[j], names[i]);
  }
}

/* ---- variables by name ---- */

/* Names without a value take it from the environment; what stays without one is kept as null, or dropped. */
static void take_values(struct bt_load *load, struct bt_yaml *n, bool keep, const struct bt_place *place) {
  if (!n || n->kind == BT_YAML_NULL)
    return;
  bt_shape_key_values(n);
  size_t kept = 0;
  for (size_t i = 0; i < n->map.len; i++) {
    struct bt_yaml_pair *pair = &n->map.items[i];
    size_t len = strlen(pair->key);
    if (len && strchr(" \t", pair->key[len - 1])) {
      BT_AUTO_FREE char *where = bt_place_text(place);
      bt_diag_error(load->diags, pair->loc, "%s: the name \"%.60s\" ends with a blank", where, pair->key);
    }
    const char *value = pair->value->kind == BT_YAML_NULL ? bt_compose_var(load, pair->key) : NULL;
    if (value)
      bt_node_become(pair->value, bt_yaml_str(value, pair->value->loc));
    if (pair->value->kind == BT_YAML_NULL && !keep) {
      free(pair->key);
      bt_yaml_free(&pair->value);
    } else {
      n->map.items[kept++] = *pair;
    }
  }
  n->map.len = kept;
}

static void hook_values(struct bt_yaml *service) {
  const struct bt_yaml *hooks = bt_yaml_get(service, "pre_start"), *image = bt_yaml_get(service, "image");
  for (size_t i = 0; hooks && hooks->kind == BT_YAML_SEQ && i < hooks->seq.len; i++)
    if (image && image->text && *image->text)
      bt_default_text(hooks->seq.items[i], "image", image->text);
}

/* ---- what one attribute implies ---- */

/* known: the names that depends_on has. */
static void depend(struct bt_yaml *service, struct bt_map *known, const char *name, bool restart, struct bt_loc loc) {
  if (bt_map_get(known, name))
    return;
  bt_map_set(known, name, service);
  struct bt_yaml *one = bt_yaml_new(BT_YAML_MAP, loc);
  bt_yaml_set(one, "condition", loc, bt_yaml_str("service_started", loc));
  bt_yaml_set(one, "restart", loc, bt_yaml_bool(restart, loc));
  bt_yaml_set(one, "required", loc, bt_yaml_bool(true, loc));
  struct bt_yaml_pair pair = {bt_strdup(name), loc, one};
  bt_vec_push(&map_at(service, "depends_on")->map, pair);
}

/* The n-th ":"-separated part; the caller frees. */
static char *first_part(const char *text) { return bt_strndup(text, strcspn(text, ":")); }

static void implied_dependencies(struct bt_yaml *service) {
  BT_AUTO_MAP known = bt_map_new(NULL);
  const struct bt_yaml *all = bt_yaml_get(service, "depends_on");
  if (all && all->kind == BT_YAML_MAP)
    bt_vec_each(&all->map, pair) bt_map_set(known, pair->key, service);
  const struct bt_yaml *links = bt_yaml_get(service, "links"), *from = bt_yaml_get(service, "volumes_from");
  for (size_t i = 0; links && links->kind == BT_YAML_SEQ && i < links->seq.len; i++) {
    BT_AUTO_FREE char *name = first_part(links->seq.items[i]->text ? links->seq.items[i]->text : "");
    depend(service, known, name, true, links->seq.items[i]->loc);
  }
  static const char *const shared[] = {"network_mode", "ipc", "pid", "uts", "cgroup"};
  for (size_t i = 0; i < BT_COUNT(shared); i++) {
    const struct bt_yaml *n = bt_yaml_get(service, shared[i]);
    if (n && n->kind == BT_YAML_STR && bt_starts(n->text, "service:"))
      depend(service, known, n->text + 8, true, n->loc);
  }
  for (size_t i = 0; from && from->kind == BT_YAML_SEQ && i < from->seq.len; i++) {
    const char *text = from->seq.items[i]->text ? from->seq.items[i]->text : "";
    BT_AUTO_FREE char *name = first_part(text);
    if (!bt_starts(text, "container:"))
      depend(service, known, name, false, from->seq.items[i]->loc);
  }
}

/* A service without networks is on the default one. Returns whether the service uses it. */
static bool default_network(struct bt_yaml *service) {
  if (bt_yaml_get(service, "provider") || bt_yaml_get(service, "network_mode"))
    return false;
  struct bt_yaml *networks = map_at(service, "networks");
  if (networks->kind != BT_YAML_MAP)
    return false;
  if (!networks->map.len)
    bt_yaml_set(networks, "default", service->loc, bt_yaml_new(BT_YAML_NULL, service->loc));
  return bt_yaml_get(networks, "default") != NULL;
}

static void scale(struct bt_load *load, struct bt_yaml *service, const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(service, "scale");
  struct bt_yaml *deploy = bt_yaml_get(service, "deploy"), *replicas = bt_yaml_get(deploy, "replicas");
  long long a, b;
  if (!n || !deploy || deploy->kind != BT_YAML_MAP || !bt_value_int(n, &a))
    return;
  if (replicas && bt_value_int(replicas, &b) && a != b) {
    BT_AUTO_FREE char *where = bt_place_text(place);
    bt_diag_error(load->diags, n->loc, "%s: scale is %lld but deploy.replicas is %lld; keep one of them", where, a, b);
  }
  bt_yaml_set(deploy, "replicas", n->loc, bt_yaml_copy(n));
}

static void build(struct bt_load *load, struct bt_yaml *service, const struct bt_place *place) {
  struct bt_yaml *n = bt_yaml_get(service, "build");
  if (!n || n->kind != BT_YAML_MAP)
    return;
  bt_default_text(n, "context", load->result->project_dir ? load->result->project_dir : ".");
  if (!bt_yaml_get(n, "dockerfile_inline"))
    bt_default_text(n, "dockerfile", "Dockerfile");
  take_values(load, bt_yaml_get(n, "args"), false, BT_PLACE_KEY(place, "build.args"));
}

static void normalise_service(struct bt_load *load, struct bt_yaml *service, const struct bt_place *place) {
  lists(load, service, place);
  blkio(service);
  struct bt_yaml *policy = bt_yaml_get(service, "pull_policy");
  if (is_text(policy, "if_not_present"))
    bt_node_become(policy, bt_yaml_str("missing", policy->loc));
  build(load, service, place);
  take_values(load, bt_yaml_get(service, "environment"), true, BT_PLACE_KEY(place, "environment"));
  implied_dependencies(service);
  scale(load, service, place);
  hook_values(service);
  bt_shape_apply(load, service, bt_shape_service, place);
}

/* ---- resources ---- */

static bool is_external(const struct bt_yaml *n) {
  const struct bt_yaml *ext = bt_yaml_get(n, "external");
  bool is = false;
  return ext && bt_value_bool(ext, &is) && is;
}

static bool has_text(const struct bt_yaml *n, const char *key) {
  const struct bt_yaml *v = bt_yaml_get(n, key);
  return v && v->text && *v->text;
}

/* Contents come from somewhere, unless they are another's. */
static void some_source(struct bt_load *load, const struct bt_yaml *n, bool config, const struct bt_place *place) {
  if (is_external(n) || has_text(n, "file") || has_text(n, "environment") || (config && bt_yaml_get(n, "content")))
    return;
  BT_AUTO_FREE char *where = bt_place_text(place);
  bt_diag_error(load->diags, n->loc, "%s needs one of %s, or \"external: true\"", where,
                config ? "file, environment and content" : "file and environment");
}

/* What belongs to somebody else is not described here. The reference refuses that for volumes alone. */
static void external(struct bt_load *load, const struct bt_yaml *n, const struct bt_place *place, bool volume) {
  if (!is_external(n))
    return;
  bt_vec_each(&n->map, pair) {
    if (bt_streq(pair->key, "name") || bt_streq(pair->key, "external") || bt_starts(pair->key, "x-"))
      continue;
    BT_AUTO_FREE char *where = bt_place_text(place);
    if (volume)
      bt_diag_error(load->diags, pair->loc, "%s is external, so \"%s\" cannot be set; remove one of them", where, pair->key);
    else
      bt_diag_warn(load->diags, pair->loc, "%s is external, so \"%s\" means nothing; remove one of them", where, pair->key);
  }
}

static void name_resource(struct bt_load *load, struct bt_yaml *n, const char *key) {
  if (bt_yaml_get(n, "name"))
    return;
  if (is_external(n)) {
    bt_default_text(n, "name", key);
    return;
  }
  BT_AUTO_FREE char *name = bt_asprintf("%s_%s", load->result->name ? load->result->name : "", key);
  bt_default_text(n, "name", name);
}

static void resources(struct bt_load *load, struct bt_yaml *tree, const char *kind, const struct bt_shape *shape,
                      const struct bt_place *place) {
  const struct bt_yaml *map = bt_yaml_get(tree, kind);
  if (!map || map->kind != BT_YAML_MAP)
    return;
  bool secret = bt_streq(kind, "secrets"), config = bt_streq(kind, "configs");
  bt_vec_each(&map->map, pair) {
    const struct bt_place *here = BT_PLACE_KEY(place, pair->key);
    if (pair->value->kind == BT_YAML_NULL)
      bt_node_become(pair->value, bt_yaml_new(BT_YAML_MAP, pair->loc));
    if (secret || config)
      some_source(load, pair->value, config, here);
    external(load, pair->value, here, bt_streq(kind, "volumes"));
    name_resource(load, pair->value, pair->key);
    /* the value of a variable travels on to where contents are gathered */
    struct bt_yaml *value = secret ? bt_yaml_take(pair->value, BT_COMPOSE_VALUE_KEY) : NULL;
    bt_shape_apply(load, pair->value, shape, here);
    if (value)
      bt_yaml_set(pair->value, BT_COMPOSE_VALUE_KEY, value->loc, value);
  }
}

int bt_compose_normalise(struct bt_load *load, struct bt_yaml *tree) {
  size_t before = load->diags->errors;
  struct bt_place top = {NULL, "", 0};
  const struct bt_yaml *services = bt_yaml_get(tree, "services");
  bool uses_default = false;
  if (services && services->kind == BT_YAML_MAP)
    bt_vec_each(&services->map, pair) {
      if (pair->value->kind != BT_YAML_MAP)
        continue;
      uses_default = default_network(pair->value) || uses_default;
      normalise_service(load, pair->value, BT_PLACE_KEY(BT_PLACE_KEY(&top, "services"), pair->key));
    }
  if (uses_default && !bt_yaml_get(map_at(tree, "networks"), "default")) {
    struct bt_yaml *networks = bt_yaml_get(tree, "networks");
    bt_yaml_set(networks, "default", networks->loc, bt_yaml_new(BT_YAML_NULL, networks->loc));
  }
  resources(load, tree, "networks", bt_shape_network, BT_PLACE_KEY(&top, "networks"));
  resources(load, tree, "volumes", bt_shape_volume, BT_PLACE_KEY(&top, "volumes"));
  resources(load, tree, "secrets", bt_shape_secret, BT_PLACE_KEY(&top, "secrets"));
  resources(load, tree, "configs", bt_shape_config, BT_PLACE_KEY(&top, "configs"));
  map_at(tree, "services"); /* there even where it is empty */
  const struct bt_yaml *models = bt_yaml_get(tree, "models");
  if (models && models->kind == BT_YAML_MAP)
    bt_vec_each(&models->map, pair)
      bt_shape_apply(load, pair->value, bt_shape_model, BT_PLACE_KEY(BT_PLACE_KEY(&top, "models"), pair->key));
  return load->diags->errors > before ? -1 : 0;
}
