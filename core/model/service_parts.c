#include "config.h"

#include "model/service_internal.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/size.h"

int64_t bt_service_duration_ms(const json_t *obj, const char *key, int64_t or) {
  const json_t *value = json_object_get(obj, key);
  int64_t ns;
  if (json_is_string(value) && bt_duration_parse(json_string_value(value), &ns))
    return ns / 1000000;
  if (json_is_number(value))
    return (int64_t)(json_number_value(value) * 1000);
  return or;
}

int64_t bt_service_size(const json_t *obj, const char *key) {
  const json_t *value = json_object_get(obj, key);
  int64_t bytes;
  if (json_is_string(value) && bt_size_parse(json_string_value(value), &bytes))
    return bytes;
  return json_is_number(value) ? (int64_t)json_number_value(value) : 0;
}

/* "8080", "8080-8082" or 8080. */
static bool read_published(const json_t *value, struct bt_port *port) {
  if (!value || json_is_null(value))
    return true;
  if (json_is_integer(value)) {
    port->published = port->published_end = (int)json_integer_value(value);
    return port->published >= 0 && port->published <= 65535;
  }
  const char *text = json_string_value(value);
  if (!text)
    return false;
  if (!*text)
    return true;
  const char *dash = strchr(text, '-');
  BT_AUTO_FREE char *first = dash ? bt_strndup(text, (size_t)(dash - text)) : bt_strdup(text);
  long long from, to;
  if (!bt_parse_i64(first, 0, 65535, &from))
    return false;
  to = from;
  if (dash && !bt_parse_i64(dash + 1, from, 65535, &to))
    return false;
  port->published = (int)from;
  port->published_end = (int)to;
  return true;
}

enum { ranges_most = 100 };

int bt_service_read_ports(struct bt_service *s, struct bt_err **err) {
  size_t i, ranges = 0;
  json_t *item;
  json_array_foreach(bt_json_arr(s->json, "ports"), i, item) {
    struct bt_port port = {.target = (int)bt_json_int(item, "target", 0)};
    if (port.target < 1 || port.target > 65535 || !read_published(json_object_get(item, "published"), &port))
      return bt_err_set(err, BT_INVALID, "service %s: ports[%zu]: give target and published as numbers from 1 to 65535", s->name,
                        i);
    port.protocol = bt_strdup(bt_json_str_or(item, "protocol", "tcp"));
    const char *ip = bt_json_str(item, "host_ip");
    port.host_ip = ip && *ip ? bt_strdup(ip) : NULL;
    /* The proxy knows one fixed TCP port; what else there is (UDP, a range, any port) is the engine's. */
    port.ingress = !bt_streq(bt_json_str(item, "mode"), "host") && bt_streq(port.protocol, "tcp") && port.published > 0 &&
                   port.published == port.published_end && !s->network_mode;
    bt_vec_push(&s->ports, port);
    ranges += port.published_end > port.published;
  }
  if (ranges > ranges_most)
    return bt_err_set(err, BT_INVALID, "service %s publishes %zu ranges of ports; at most %d are taken", s->name, ranges, ranges_most);
  return 0;
}

static bool read_condition(const char *name, enum bt_condition *out) {
  for (enum bt_condition c = BT_DEP_STARTED; c <= BT_DEP_COMPLETED; c++)
    if (bt_streq(name, bt_condition_name(c))) {
      *out = c;
      return true;
    }
  return false;
}

int bt_service_read_depends(struct bt_service *s, struct bt_err **err) {
  const char *name;
  json_t *item;
  json_object_foreach(bt_json_obj(s->json, "depends_on"), name, item) {
    struct bt_depend dep = {.required = bt_json_bool(item, "required", true), .restart = bt_json_bool(item, "restart", false)};
    const char *condition = bt_json_str_or(item, "condition", "service_started");
    if (!read_condition(condition, &dep.condition))
      return bt_err_set(err, BT_INVALID, "service %s: depends_on.%s: condition \"%s\" is none of service_started, service_healthy, service_completed_successfully",
                        s->name, name, condition);
    dep.service = bt_strdup(name);
    bt_vec_push(&s->depends, dep);
  }
  return 0;
}

static void add_depend(struct bt_service *s, const char *on) {
  if (!on || bt_streq(on, s->name) || bt_service_depend(s, on))
    return;
  bt_vec_push(&s->depends, ((struct bt_depend){.service = bt_strdup(on), .condition = BT_DEP_STARTED, .required = true}));
}

/* As the reference loader does: whoever lives in another's namespaces or volumes starts after it. */
void bt_service_infer_depends(struct bt_service *s) {
  add_depend(s, s->co_network);
  add_depend(s, s->co_pid);
  add_depend(s, s->co_ipc);
  bt_vec_each(&s->volumes_from, from) add_depend(s, from->service);
  size_t i;
  json_t *item;
  json_array_foreach(bt_json_arr(s->json, "links"), i, item) {
    const char *link = json_string_value(item);
    if (!link)
      continue;
    BT_AUTO_FREE char *service = bt_strndup(link, strcspn(link, ":"));
    add_depend(s, service);
  }
}

#define read_grants(vec, list)                                                                     \
  do {                                                                                             \
    size_t i_;                                                                                     \
    json_t *item_;                                                                                 \
    json_array_foreach((list), i_, item_) {                                                        \
      const char *source_ = json_is_string(item_) ? json_string_value(item_) : bt_json_str(item_, "source"); \
      if (source_)                                                                                 \
        bt_vec_push((vec), ((struct bt_grant){.source = bt_strdup(source_), .json = item_}));      \
    }                                                                                              \
  } while (0)

void bt_service_read_grants(struct bt_service *s) {
  read_grants(&s->secrets, bt_json_arr(s->json, "secrets"));
  read_grants(&s->build_secrets, bt_json_arr(s->build, "secrets"));
  read_grants(&s->configs, bt_json_arr(s->json, "configs"));
}

void bt_service_read_volumes(struct bt_service *s) {
  size_t i;
  json_t *item;
  json_array_foreach(bt_json_arr(s->json, "volumes"), i, item) {
    const char *source = bt_json_str(item, "source");
    bt_vec_push(&s->volumes, ((struct bt_volume_use){.type = bt_strdup(bt_json_str_or(item, "type", "volume")),
                                                     .source = source && *source ? bt_strdup(source) : NULL,
                                                     .json = item}));
  }
  json_array_foreach(bt_json_arr(s->json, "volumes_from"), i, item) {
    const char *text = json_string_value(item);
    if (!text || bt_starts(text, "container:"))
      continue;
    const char *colon = strchr(text, ':');
    bt_vec_push(&s->volumes_from,
                ((struct bt_volumes_from){.service = colon ? bt_strndup(text, (size_t)(colon - text)) : bt_strdup(text),
                                          .mode = bt_strdup(colon ? colon + 1 : "rw")}));
  }
}

void bt_service_read_networks(struct bt_service *s) {
  const char *name;
  json_t *item;
  if (s->network_mode || s->co_network)
    return;
  json_object_foreach(bt_json_obj(s->json, "networks"), name, item)
      bt_vec_push(&s->networks, ((struct bt_net_use){.network = bt_strdup(name), .json = item}));
}
