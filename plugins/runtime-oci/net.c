#include "config.h"
#include "net.h"

#include "../common/util.h"
#include "net/network.h"

/* Who names no network is in this one, as with Docker. */
static const char default_network[] = "bridge";

void ro_net_plan_free(struct ro_net_plan *p) {
  json_decref(p->interfaces);
  json_decref(p->networks);
  json_decref(p->ports);
  json_decref(p->addresses);
  json_decref(p->gateways);
  json_decref(p->resolvers);
  json_decref(p->search);
  *p = (struct ro_net_plan){0};
}

static enum berth_code fail(const struct ro_why *from, char **why) {
  pu_set(why, pu_strdup(from->text));
  return from->code ? from->code : BERTH_INTERNAL;
}

/* The networks it is to be in, a new array; NULL: it has none of its own (host, none, another container's). */
static json_t *wants_of(const json_t *spec) {
  const char *mode = pu_str(spec, "network_mode");
  json_t *wants = pu_arr(spec, "networks");
  if (json_array_size(wants))
    return json_incref(wants);
  if (mode && *mode && !pu_eq(mode, "bridge") && !pu_eq(mode, "default"))
    return NULL;
  return json_pack("[{s:s}]", "name", default_network);
}

/* The default network is made with its first container, and goes with its last. */
static bool default_ready(struct ro_networks *n, const json_t *wants, struct ro_why *why) {
  if (!pu_eq(pu_str(json_array_get(wants, 0), "name"), default_network))
    return true;
  PU_AUTO_JSON spec = json_object();
  PU_AUTO_JSON labels = json_pack("{s:s}", RO_NETWORK_PASSING, "1");
  json_t *out = NULL;
  bool good = ro_networks_ensure(n, default_network, spec, labels, &out, why) == 0;
  json_decref(out);
  return good;
}

static struct ro_member member_of(const struct ro_net_who *who, const json_t *wants) {
  return (struct ro_member){.id = who->id, .name = who->name, .labels = who->labels, .wants = wants, .ports = pu_arr(who->spec, "ports"),
                            .service = pu_obj(who->spec, "service")};
}

enum berth_code ro_net_reserve(const struct ro_net_who *who, char **why) {
  PU_AUTO_JSON wants = wants_of(who->spec);
  size_t i;
  json_t *want;
  bool fixed = false;
  json_array_foreach(wants, i, want)
    fixed = fixed || pu_str(want, "ipv4_address") || pu_str(want, "ipv6_address");
  if (!fixed)
    return BERTH_OK;
  struct ro_why w = {0};
  struct ro_networks *n = ro_networks_at(who->root, who->pools, &w);
  struct ro_member m = member_of(who, wants);
  return n && ro_networks_reserve(n, &m, &w) == 0 ? BERTH_OK : fail(&w, why);
}

/* "10.89.0.5/24" -> "10.89.0.5" */
static void add_bare(json_t *list, const char *address) {
  if (address && *address)
    json_array_append_new(list, json_stringn(address, strcspn(address, "/")));
}

static void take(struct ro_net_plan *out, const json_t *got) {
  size_t i, k;
  json_t *link, *address;
  out->interfaces = json_incref(pu_arr(got, "interfaces"));
  out->networks = json_incref(pu_obj(got, "networks"));
  out->ports = json_incref(pu_arr(got, "ports"));
  out->search = json_incref(pu_arr(got, "search"));
  out->addresses = json_array();
  out->gateways = json_array();
  if (json_array_size(pu_arr(got, "resolvers")))
    out->resolvers = json_incref(pu_arr(got, "resolvers"));
  json_array_foreach(out->interfaces, i, link) {
    json_array_foreach(pu_arr(link, "addresses"), k, address)
      add_bare(out->addresses, json_string_value(address));
    add_bare(out->gateways, pu_str(link, "gateway"));
    add_bare(out->gateways, pu_str(link, "gateway6"));
  }
}

enum berth_code ro_net_up(const struct ro_net_who *who, struct ro_net_plan *out, char **why) {
  PU_AUTO_JSON wants = wants_of(who->spec);
  *out = (struct ro_net_plan){0};
  if (!wants)
    return BERTH_OK;
  struct ro_why w = {0};
  struct ro_networks *n = ro_networks_at(who->root, who->pools, &w);
  struct ro_member m = member_of(who, wants);
  PU_AUTO_JSON got = NULL;
  if (!n || !default_ready(n, wants, &w) || ro_networks_up(n, &m, &got, &w) != 0)
    return fail(&w, why);
  take(out, got);
  if (pu_eq(pu_str(json_array_get(wants, 0), "name"), default_network)) { /* as with Docker, names are not told there */
    json_decref(out->resolvers);
    out->resolvers = NULL;
  }
  return BERTH_OK;
}

void ro_net_down(const char *root, const char *id) {
  struct ro_networks *n = ro_networks_at(root, NULL, NULL);
  if (n)
    ro_networks_down(n, id);
}

void ro_net_forget(const char *root, const char *id) {
  struct ro_networks *n = ro_networks_at(root, NULL, NULL);
  if (n)
    ro_networks_release(n, id);
}

void ro_net_settle(const char *root, const char *run, const char *programs, const json_t *pools, const json_t *dns, const json_t *live) {
  struct ro_networks *n = ro_networks_at(root, pools, NULL);
  if (!n)
    return;
  ro_networks_settle(n, live);
  ro_networks_resolver(n, run, programs, dns);
}
