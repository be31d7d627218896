/* Records of networks: made from Compose's words, checked against them later, read again. */
#include "config.h"
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../files.h"
#include "bridge.h"

struct draft {
  struct ro_networks *n;
  const char *name;
  const json_t *spec;
  struct ro_why *why;
  json_t *record, *subnets;
  struct ro_ip *taken;
  size_t ntaken;
};

/* ---------------------------------------------------------------- driver and options */

static const char *driver_of(const json_t *spec) {
  const char *driver = pu_str(spec, "driver");
  return driver && *driver ? driver : "bridge";
}

static int read_number(struct draft *d, const char *key, const char *text, const char *as) {
  char *end = NULL;
  long v = strtol(text, &end, 10);
  if (end == text || *end || v < 68 || v > 65535)
    return ro_why_set(d->why, BERTH_INVALID, "network %s: its option %s is \"%.32s\", not a number of bytes from 68 to 65535", d->name, key, text);
  json_object_set_new(d->record, as, json_integer(v));
  return 0;
}

static int read_bool(struct draft *d, const char *key, const char *text, const char *as) {
  bool yes = pu_eq(text, "true") || pu_eq(text, "1"), no = pu_eq(text, "false") || pu_eq(text, "0");
  if (!yes && !no)
    return ro_why_set(d->why, BERTH_INVALID, "network %s: its option %s is \"%.32s\", neither true nor false", d->name, key, text);
  json_object_set_new(d->record, as, json_boolean(yes));
  return 0;
}

static int read_name(struct draft *d, const char *key, const char *text, const char *as) {
  if (!*text || strlen(text) > 15 || strpbrk(text, "/\" \t\n*") || pu_eq(text, ".") || pu_eq(text, ".."))
    return ro_why_set(d->why, BERTH_INVALID, "network %s: its option %s is \"%.32s\", no name of an interface (1 to 15 bytes)", d->name, key, text);
  json_object_set_new(d->record, as, json_string(text));
  return 0;
}

static int read_mode(struct draft *d, const char *key, const char *text, const char *as) {
  static const char *const macvlan[] = {"bridge", "private", "vepa", "passthru", NULL}, *const ipvlan[] = {"l2", "l3", "l3s", NULL};
  for (const char *const *m = pu_eq(key, "macvlan_mode") ? macvlan : ipvlan; *m; m++)
    if (pu_eq(*m, text)) {
      json_object_set_new(d->record, as, json_string(text));
      return 0;
    }
  return ro_why_set(d->why, BERTH_INVALID, "network %s: its option %s is \"%.32s\", which is no mode of it", d->name, key, text);
}

static int read_option(struct draft *d, const char *key, const char *value) {
  static const struct {
    const char *driver, *key, *as;
    int (*read)(struct draft *d, const char *key, const char *text, const char *as);
  } table[] = {{"bridge", "com.docker.network.bridge.name", "bridge", read_name},
               {"bridge", "com.docker.network.bridge.enable_ip_masquerade", "masquerade", read_bool},
               {"bridge", "com.docker.network.bridge.enable_icc", "icc", read_bool},
               {"macvlan", "parent", "parent", read_name},
               {"macvlan", "macvlan_mode", "mode", read_mode},
               {"ipvlan", "parent", "parent", read_name},
               {"ipvlan", "ipvlan_mode", "mode", read_mode},
               {NULL, "com.docker.network.driver.mtu", "mtu", read_number},
               {NULL, "mtu", "mtu", read_number}};
  for (size_t i = 0; i < PU_COUNT(table); i++)
    if (pu_eq(table[i].key, key) && (!table[i].driver || pu_eq(table[i].driver, driver_of(d->spec))))
      return table[i].read(d, key, value, table[i].as);
  return ro_why_set(d->why, BERTH_UNSUPPORTED, "network %s: this runtime's %s networks do not know the option %.64s: leave it out", d->name, driver_of(d->spec), key);
}

static int read_options(struct draft *d) {
  const char *key;
  json_t *value;
  json_object_foreach(pu_obj(d->spec, "driver_opts"), key, value) {
    char number[24];
    const char *text = json_string_value(value);
    if (json_is_integer(value)) {
      snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
      text = number;
    }
    if (json_is_boolean(value))
      text = json_is_true(value) ? "true" : "false";
    if (text && read_option(d, key, text))
      return -1;
  }
  if (!pu_bool(d->record, "icc", true))
    return ro_why_set(d->why, BERTH_UNSUPPORTED, "network %s: containers of one network always reach each other here: give each a network of its own instead of enable_icc", d->name);
  return 0;
}

static int read_driver(struct draft *d) {
  const char *driver = driver_of(d->spec), *ipam = pu_str(pu_obj(d->spec, "ipam"), "driver");
  if (!pu_eq(driver, "bridge") && !pu_eq(driver, "macvlan") && !pu_eq(driver, "ipvlan"))
    return ro_why_set(d->why, BERTH_UNSUPPORTED, "network %s: this runtime has no driver %.64s, only bridge, macvlan and ipvlan", d->name, driver);
  if (ipam && *ipam && !pu_eq(ipam, "default"))
    return ro_why_set(d->why, BERTH_UNSUPPORTED, "network %s: this runtime has no ipam driver %.64s, only its own (default)", d->name, ipam);
  if (json_object_size(pu_obj(pu_obj(d->spec, "ipam"), "options")))
    return ro_why_set(d->why, BERTH_UNSUPPORTED, "network %s: ipam's options are those of another driver than default: leave them out", d->name);
  json_object_set_new(d->record, "driver", json_string(driver));
  json_object_set_new(d->record, "internal", json_boolean(pu_bool(d->spec, "internal", false)));
  return read_options(d);
}

/* ---------------------------------------------------------------- subnets */

static void take(struct draft *d, const struct ro_ip *subnet) {
  if ((d->ntaken & (d->ntaken + 1)) == 0) { /* full at 0, 1, 3, 7, … */
    struct ro_ip *more = pu_calloc(2 * d->ntaken + 1, sizeof *more);
    if (d->ntaken)
      memcpy(more, d->taken, d->ntaken * sizeof *more);
    free(d->taken);
    d->taken = more;
  }
  d->taken[d->ntaken++] = *subnet;
}

static void take_route(const struct ro_ip *subnet, void *context) { take(context, subnet); }

/* Subnets of networks come first, so that a clash with one of them can be named. */
static int look_around(struct draft *d) {
  for (size_t i = 0; i < d->n->len; i++)
    for (size_t k = 0; k < d->n->items[i]->nsubnets; k++)
      take(d, &d->n->items[i]->subnets[k]);
  return ro_host_routes(d->n->nl, take_route, d, d->why);
}

static int no_clash(struct draft *d, const struct ro_ip *subnet) {
  char text[ro_ip_text], other[ro_ip_text];
  for (size_t i = 0; i < d->n->len && pu_eq(driver_of(d->spec), "bridge"); i++)
    for (size_t k = 0; k < d->n->items[i]->nsubnets; k++)
      if (pu_eq(d->n->items[i]->driver, "bridge") && ro_ip_overlap(subnet, &d->n->items[i]->subnets[k]))
        return ro_why_set(d->why, BERTH_CONFLICT, "network %s: its subnet %s overlaps %s of the network %s", d->name, ro_ip_format(subnet, true, text),
                          ro_ip_format(&d->n->items[i]->subnets[k], true, other), d->n->items[i]->name);
  return 0;
}

static int add_subnet(struct draft *d, const struct ro_ip *asked, const json_t *config) {
  char text[ro_ip_text];
  struct ro_ip subnet = ro_ip_subnet(asked), gateway, range = {0};
  const char *gate = pu_str(config, "gateway"), *ip_range = pu_str(config, "ip_range");
  gateway = ro_ip_plus(&subnet, 1);
  if (json_array_size(d->subnets) == ro_max_subnets)
    return ro_why_set(d->why, BERTH_TOO_LARGE, "network %s: it may have %d subnets", d->name, ro_max_subnets);
  if ((gate && !ro_ip_parse(gate, &gateway)) || (ip_range && !ro_ip_parse(ip_range, &range)))
    return ro_why_set(d->why, BERTH_INVALID, "network %s: \"%.64s\" is no address", d->name, gate && !gateway.family ? gate : ip_range);
  gateway.prefix = subnet.prefix;
  if (no_clash(d, &subnet))
    return -1;
  json_t *out = json_object();
  json_object_set_new(out, "subnet", json_string(ro_ip_format(&subnet, true, text)));
  if (ip_range)
    json_object_set_new(out, "ip_range", json_string(ip_range));
  if (gate || pu_eq(driver_of(d->spec), "bridge"))
    json_object_set_new(out, "gateway", json_string(ro_ip_format(&gateway, false, text)));
  if (pu_obj(config, "aux_addresses"))
    json_object_set(out, "aux", pu_obj(config, "aux_addresses"));
  json_array_append_new(d->subnets, out);
  take(d, &subnet);
  return 0;
}

static int add_asked(struct draft *d, bool *v4, bool *v6) {
  size_t i;
  json_t *config;
  json_array_foreach(pu_arr(pu_obj(d->spec, "ipam"), "config"), i, config) {
    const char *text = pu_str(config, "subnet");
    struct ro_ip subnet;
    if (!text)
      continue;
    if (!ro_ip_parse(text, &subnet) || subnet.prefix < 1 || !strchr(text, '/'))
      return ro_why_set(d->why, BERTH_INVALID, "network %s: \"%.64s\" is no subnet, such as 10.90.0.0/24", d->name, text);
    *(subnet.family == AF_INET ? v4 : v6) = true;
    if (add_subnet(d, &subnet, config))
      return -1;
  }
  return 0;
}

static int add_subnets(struct draft *d) {
  bool v4 = false, v6 = false, wants4 = pu_bool(d->spec, "enable_ipv4", true), wants6 = pu_bool(d->spec, "enable_ipv6", false);
  struct ro_ip subnet;
  uint8_t bytes[8];
  if (look_around(d) || add_asked(d, &v4, &v6))
    return -1;
  if (v6 && !wants6 && json_is_false(json_object_get(d->spec, "enable_ipv6")))
    return ro_why_set(d->why, BERTH_INVALID, "network %s: it has an IPv6 subnet, but enable_ipv6 is false", d->name);
  if (!v4 && wants4 && (ro_pool_pick(d->n->pools, 24, d->taken, d->ntaken, &subnet, d->why) || add_subnet(d, &subnet, NULL)))
    return -1;
  if (!v6 && wants6) {
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
      return ro_why_set(d->why, BERTH_IO, "the kernel gives no random bytes: %s", strerror(errno));
    subnet = ro_pool_ula(bytes);
    if (add_subnet(d, &subnet, NULL))
      return -1;
  }
  return 0;
}

/* ---------------------------------------------------------------- the record */

static bool good_name(const char *name) {
  size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
  return len && !name[len] && len <= 200 && name[0] != '.' && name[0] != '-';
}

static int add_id(struct draft *d) {
  uint8_t bytes[32];
  char id[65], bridge[16];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
    return ro_why_set(d->why, BERTH_IO, "the kernel gives no random bytes: %s", strerror(errno));
  for (size_t i = 0; i < sizeof bytes; i++)
    snprintf(id + 2 * i, 3, "%02x", bytes[i]);
  snprintf(bridge, sizeof bridge, "berth-%.8s", id);
  json_object_set_new(d->record, "id", json_string(id));
  if (pu_eq(pu_str(d->record, "driver"), "bridge") && !pu_str(d->record, "bridge"))
    json_object_set_new(d->record, "bridge", json_string(bridge));
  return 0;
}

static int no_bridge_of_others(struct draft *d) {
  const char *bridge = pu_str(d->record, "bridge");
  if (bridge && ro_bridge_there(d->n->nl, bridge, NULL))
    return ro_why_set(d->why, BERTH_CONFLICT, "network %s: the host has an interface %s already: choose another com.docker.network.bridge.name", d->name, bridge);
  return 0;
}

json_t *ro_record_new(struct ro_networks *n, const char *name, const json_t *spec, const json_t *labels, struct ro_why *why) {
  struct draft d = {.n = n, .name = name, .spec = spec, .why = why};
  if (!good_name(name)) {
    ro_why_set(why, BERTH_INVALID, "\"%.64s\" is no name of a network: letters, digits, \"_\", \".\" and \"-\", at most 200", name);
    return NULL;
  }
  d.record = json_pack("{s:s, s:b, s:I}", "name", name, "masquerade", 1, "created_ms", (json_int_t)time(NULL) * 1000);
  d.subnets = json_array();
  json_object_set_new(d.record, "subnets", d.subnets);
  json_object_set_new(d.record, "labels", labels ? json_deep_copy(labels) : json_object());
  json_t *options = pu_obj(spec, "driver_opts");
  json_object_set_new(d.record, "options", options ? json_deep_copy(options) : json_object());
  bool good = read_driver(&d) == 0 && add_id(&d) == 0 && no_bridge_of_others(&d) == 0 && add_subnets(&d) == 0;
  free(d.taken);
  if (!good)
    json_decref(d.record);
  return good ? d.record : NULL;
}

static int hold_aux(struct ro_lease *l, json_t *aux, struct ro_why *why) {
  const char *key;
  json_t *v;
  json_object_foreach(aux, key, v) {
    struct ro_ip ip;
    if (!ro_ip_parse(json_string_value(v), &ip))
      return ro_why_set(why, BERTH_INVALID, "the aux_address %.64s is no address", key);
    if (ro_lease_take(l, &ip, why))
      return -1;
  }
  return 0;
}

static int read_subnet(struct ro_network *net, const json_t *o, struct ro_why *why) {
  struct ro_ip range = {0}, *subnet = &net->subnets[net->nsubnets], *gateway = &net->gateways[net->nsubnets];
  struct ro_lease *l = &net->leases[net->nsubnets];
  if (!ro_ip_parse(pu_str(o, "subnet"), subnet) || (pu_str(o, "gateway") && !ro_ip_parse(pu_str(o, "gateway"), gateway)) ||
      (pu_str(o, "ip_range") && !ro_ip_parse(pu_str(o, "ip_range"), &range)))
    return ro_why_set(why, BERTH_INVALID, "its record has a subnet that is none");
  gateway->prefix = subnet->prefix;
  net->nsubnets++;
  return ro_lease_init(l, subnet, &range, gateway, why) ? -1 : hold_aux(l, pu_obj(o, "aux"), why);
}

struct ro_network *ro_network_of(json_t *record, struct ro_why *why) {
  struct ro_network *net = pu_new(struct ro_network);
  size_t i;
  json_t *o;
  bool good = true;
  struct ro_why inner = {0};
  net->record = record;
  net->name = pu_str_or(record, "name", "");
  net->id = pu_str_or(record, "id", "");
  net->driver = pu_str_or(record, "driver", "bridge");
  net->bridge = pu_str(record, "bridge");
  net->internal = pu_bool(record, "internal", false);
  net->masquerade = pu_bool(record, "masquerade", true);
  net->mtu = (int)pu_int(record, "mtu", 0);
  json_array_foreach(pu_arr(record, "subnets"), i, o)
    good = good && net->nsubnets < ro_max_subnets && read_subnet(net, o, &inner) == 0;
  if (good && good_name(net->name) && (net->bridge || !pu_eq(net->driver, "bridge")))
    return net;
  ro_why_set(why, inner.code ? inner.code : BERTH_INVALID, "network %s: %s", net->name, inner.code ? inner.text : "its record is damaged");
  ro_network_free(net);
  return NULL;
}

void ro_network_free(struct ro_network *net) {
  for (size_t i = 0; i < net->nsubnets; i++)
    ro_lease_free(&net->leases[i]);
  json_decref(net->record);
  free(net);
}

struct ro_network *ro_network_find(const struct ro_networks *n, const char *name) {
  for (size_t i = 0; i < n->len; i++)
    if (pu_eq(n->items[i]->name, name))
      return n->items[i];
  return NULL;
}

/* ---------------------------------------------------------------- is it the one asked for? */

static bool has_subnet(const json_t *record, const char *text) {
  struct ro_ip want, have;
  size_t i;
  json_t *o;
  if (!ro_ip_parse(text, &want))
    return false;
  want = ro_ip_subnet(&want);
  json_array_foreach(pu_arr(record, "subnets"), i, o)
    if (ro_ip_parse(pu_str(o, "subnet"), &have) && ro_ip_same(&have, &want) && have.prefix == want.prefix)
      return true;
  return false;
}

static bool has_family(const json_t *record, char mark) {
  size_t i;
  json_t *o;
  json_array_foreach(pu_arr(record, "subnets"), i, o)
    if (strchr(pu_str_or(o, "subnet", ""), mark))
      return true;
  return false;
}

char *ro_record_differs(const json_t *record, const json_t *spec) {
  const char *have = pu_str_or(record, "driver", "bridge"), *key;
  size_t i;
  json_t *o;
  bool internal = pu_bool(spec, "internal", false);
  if (!pu_eq(have, driver_of(spec)))
    return pu_asprintf("its driver is %s, not %s", have, driver_of(spec));
  json_array_foreach(pu_arr(pu_obj(spec, "ipam"), "config"), i, o)
    if (pu_str(o, "subnet") && !has_subnet(record, pu_str(o, "subnet")))
      return pu_asprintf("it does not have the subnet %s", pu_str(o, "subnet"));
  if (pu_bool(record, "internal", false) != internal)
    return pu_asprintf("it is %sinternal", internal ? "not " : "");
  if (pu_bool(spec, "enable_ipv6", false) && !has_family(record, ':'))
    return pu_strdup("it has no IPv6");
  json_object_foreach(pu_obj(spec, "driver_opts"), key, o) {
    const json_t *there = json_object_get(pu_obj(record, "options"), key);
    if (!there || !json_equal(there, o))
      return pu_asprintf("its option %s has another value", key);
  }
  return NULL;
}

/* ---------------------------------------------------------------- on disk */

int ro_record_write(const struct ro_networks *n, const char *folder, const char *name, const json_t *record, bool sync, struct ro_why *why) {
  PU_AUTO_FREE path = pu_asprintf("%s/%s/%s.json", n->root, folder, name);
  PU_AUTO_FREE error = NULL;
  if (ro_file_write_json(path, record, 0600, sync, &error))
    return 0;
  return ro_why_set(why, errno == ENOSPC ? BERTH_EXHAUSTED : BERTH_IO, "%s", error ? error : path);
}

void ro_record_unlink(const struct ro_networks *n, const char *folder, const char *name) {
  PU_AUTO_FREE path = pu_asprintf("%s/%s/%s.json", n->root, folder, name);
  unlink(path);
}
