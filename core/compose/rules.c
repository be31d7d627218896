/* Rules between attributes that follow from how Berth runs things.
 *
 * Published ports: mode ingress (the default) with TCP goes through Berth's own port proxy, which balances over all ready
 * instances: one port for any number of replicas. Mode host, and UDP and SCTP in either mode, are published by the engine
 * for one container: there each replica needs its own port, from a published range. */
#include "config.h"

#include <stdint.h>

#include "base/mem.h"
#include "compose/short.h"
#include "compose/support.h"
#include "compose/values.h"

static const char *text_of(const struct bt_yaml *map, const char *key) {
  const struct bt_yaml *n = bt_yaml_get(map, key);
  return n && n->kind == BT_YAML_STR ? n->text : "";
}

/* Instances that run at the same time. */
static long long replicas_of(const struct bt_yaml *service) {
  const struct bt_yaml *deploy = bt_yaml_get(service, "deploy");
  const struct bt_yaml *scale = bt_yaml_get(service, "scale"), *replicas = bt_yaml_get(deploy, "replicas");
  const struct bt_yaml *n = scale ? scale : replicas;
  long long v = 1;
  if (bt_starts(text_of(deploy, "mode"), "global"))
    return 1;
  return n && bt_value_int(n, &v) ? v : 1;
}

static bool by_engine(const struct bt_yaml *port) {
  return bt_streq(text_of(port, "mode"), "host") || !bt_streq(text_of(port, "protocol"), "tcp");
}

/* ---- one service ---- */

static void check_port_count(struct bt_load *load, const char *name, const struct bt_yaml *port, long long replicas) {
  const struct bt_yaml *published = bt_yaml_get(port, "published");
  long long first, last;
  if (!published || !*published->text || !bt_port_range(published->text, &first, &last) || !first)
    return;
  long long ports = last - first + 1;
  if (ports >= replicas || (ports == 1 && !by_engine(port)))
    return;
  bt_diag_warn(load->diags, published->loc,
                "services.%s: %lld replicas on one node cannot share the published port%s %s%s: those without one wait for another node; publish a range of %lld (\"%lld-%lld\")%s",
                name, replicas, ports > 1 ? "s" : "", published->text,
                ports > 1                                    ? ""
                : bt_streq(text_of(port, "mode"), "host")    ? ", since mode host binds it for one container"
                                                             : ", since the engine binds UDP and SCTP for one container",
                replicas, first, first + replicas - 1,
                bt_streq(text_of(port, "protocol"), "tcp") ? ", or leave \"mode: host\" out so that Berth balances" : "");
}

static void check_ports(struct bt_load *load, const char *name, const struct bt_yaml *service) {
  const struct bt_yaml *ports = bt_yaml_get(service, "ports"), *mode = bt_yaml_get(service, "network_mode");
  if (!ports || ports->kind != BT_YAML_SEQ || !ports->seq.len)
    return;
  if (mode && bt_streq(mode->text, "host"))
    bt_diag_error(load->diags, ports->seq.items[0]->loc,
                  "services.%s publishes ports, but with \"network_mode: host\" its ports are the machine's already; remove "
                  "\"ports\" or network_mode", name);
  else if (mode && bt_streq(mode->text, "none"))
    bt_diag_error(load->diags, ports->seq.items[0]->loc,
                  "services.%s publishes ports, but with \"network_mode: none\" nothing reaches it; remove one of them", name);
  else if (mode && bt_starts(mode->text, "service:"))
    bt_diag_error(load->diags, ports->seq.items[0]->loc,
                  "services.%s publishes ports, but its network is that of \"%s\"; publish them there", name, mode->text + 8);
  long long replicas = replicas_of(service);
  for (size_t i = 0; i < ports->seq.len; i++)
    check_port_count(load, name, ports->seq.items[i], replicas);
}

/* One address is one instance's. */
static void check_addresses(struct bt_load *load, const char *name, const struct bt_yaml *service) {
  static const char *const keys[] = {"ipv4_address", "ipv6_address", "mac_address"};
  const struct bt_yaml *networks = bt_yaml_get(service, "networks"), *mac = bt_yaml_get(service, "mac_address");
  long long replicas = replicas_of(service);
  if (replicas < 2)
    return;
  if (mac)
    bt_diag_error(load->diags, mac->loc, "services.%s has mac_address and %lld replicas; one address is one instance's", name,
                  replicas);
  if (networks && networks->kind == BT_YAML_MAP)
    bt_vec_each(&networks->map, pair)
      for (size_t i = 0; i < BT_COUNT(keys); i++) {
        const struct bt_yaml *n = bt_yaml_get(pair->value, keys[i]);
        if (n)
          bt_diag_error(load->diags, n->loc,
                        "services.%s has %s in network \"%s\" and %lld replicas; one address is one instance's", name, keys[i],
                        pair->key, replicas);
      }
}

static void check_mode(struct bt_load *load, const char *name, const struct bt_yaml *service) {
  const struct bt_yaml *deploy = bt_yaml_get(service, "deploy"), *replicas = bt_yaml_get(deploy, "replicas");
  if (replicas && bt_starts(text_of(deploy, "mode"), "global"))
    bt_diag_error(load->diags, replicas->loc, "services.%s has \"mode: %s\", which is one per node; remove replicas", name,
                  text_of(deploy, "mode"));
}

/* Words about the runs of a job mean nothing for what runs on and on. */
static void check_job(struct bt_load *load, const char *name, const struct bt_yaml *service) {
  static const char *const keys[] = {"schedule", "time_zone", "concurrency", "starting_deadline", "active_deadline", "suspend", "successful_history_limit", "failed_history_limit"};
  const struct bt_yaml *job = bt_yaml_get(bt_yaml_get(service, "x-berth"), "job");
  const char *mode = text_of(bt_yaml_get(service, "deploy"), "mode");
  for (size_t i = 0; i < BT_COUNT(keys) && !bt_streq(mode, "replicated-job") && !bt_streq(mode, "global-job"); i++) {
    const struct bt_yaml *n = job && job->kind == BT_YAML_MAP ? bt_yaml_get(job, keys[i]) : NULL;
    if (n)
      bt_diag_error(load->diags, n->loc, "services.%s.x-berth.job.%s is for jobs; set \"deploy: {mode: replicated-job}\"", name, keys[i]);
  }
  const struct bt_yaml *completions = bt_streq(mode, "global-job") && job && job->kind == BT_YAML_MAP ? bt_yaml_get(job, "completions") : NULL;
  if (completions)
    bt_diag_error(load->diags, completions->loc, "services.%s runs once on each node (\"mode: global-job\"); remove x-berth.job.completions", name);
}

/* What the engine fetches itself. */
static bool is_repository(const char *context) {
  static const char *const starts[] = {"http://", "https://", "git://", "git@"};
  for (size_t i = 0; i < BT_COUNT(starts); i++)
    if (bt_starts(context, starts[i]))
      return true;
  return false;
}

/* Which agent "default" is depends on who asks; the server has none of its own. */
static void check_agents(struct bt_load *load, const char *name, const struct bt_yaml *ssh) {
  if (ssh && ssh->kind == BT_YAML_MAP)
    bt_vec_each(&ssh->map, pair) if (!pair->value->text || !*pair->value->text)
        bt_diag_error(load->diags, pair->loc, "services.%s.build.ssh names no socket for %.60s; write \"%.60s=${SSH_AUTH_SOCK}\"", name, pair->key,
                      pair->key);
}

static void check_builds(struct bt_load *load, const char *name, const struct bt_yaml *service) {
  const struct bt_yaml *build = bt_yaml_get(service, "build"), *context = bt_yaml_get(build, "context");
  const struct bt_yaml *platforms = bt_yaml_get(build, "platforms");
  if (context && context->text && context->text[0] != '/' && !is_repository(context->text))
    bt_diag_error(load->diags, context->loc, "services.%s.build.context \"%.80s\" is neither a folder of this machine nor the address of a repository or archive",
                  name, context->text);
  if (platforms && platforms->kind == BT_YAML_SEQ && platforms->seq.len > 1)
    bt_diag_error(load->diags, platforms->loc,
                  "services.%s.build.platforms has %zu platforms, but the engine builds for one; keep the service's", name,
                  platforms->seq.len);
  check_agents(load, name, bt_yaml_get(build, "ssh"));
}

static void check_volumes_from(struct bt_load *load, const char *name, const struct bt_yaml *service) {
  const struct bt_yaml *from = bt_yaml_get(service, "volumes_from");
  for (size_t i = 0; from && from->kind == BT_YAML_SEQ && i < from->seq.len; i++)
    if (from->seq.items[i]->text && bt_starts(from->seq.items[i]->text, "container:"))
      bt_diag_error(load->diags, from->seq.items[i]->loc,
                    "services.%s.volumes_from \"%.80s\" is no service of this app; name a volume that both mount", name,
                    from->seq.items[i]->text);
}

/* A link is a name in a network that both join; who lives in another's network uses that other's. */
static void check_links(struct bt_load *load, const char *name, const struct bt_yaml *service) {
  const struct bt_yaml *links = bt_yaml_get(service, "links"), *mode = bt_yaml_get(service, "network_mode");
  if (links && links->kind == BT_YAML_SEQ && links->seq.len && mode && mode->text && !bt_starts(mode->text, "service:"))
    bt_diag_error(load->diags, links->seq.items[0]->loc,
                  "services.%s has links, but with \"network_mode: %.80s\" it joins no network of the app, where their names are known; remove one of them",
                  name, mode->text);
}

/* ---- between services ---- */

static bool any_ip(const char *ip) { return !*ip || bt_streq(ip, "0.0.0.0") || bt_streq(ip, "::"); }

/* Two services (or one twice) that publish the same port of the machine. taken: "80/tcp" (on any address), "80/tcp on " (on
 * all) and "80/tcp on 10.0.0.1" to the service's name. */
static void check_published(struct bt_load *load, struct bt_map *taken, const char *name, const struct bt_yaml *port) {
  const struct bt_yaml *published = bt_yaml_get(port, "published");
  long long first, last;
  if (!published || !published->text || !bt_port_range(published->text, &first, &last) || first != last || !first)
    return;
  BT_AUTO_FREE char *key = bt_asprintf("%lld/%s", first, text_of(port, "protocol"));
  const char *ip = text_of(port, "host_ip");
  bool every = any_ip(ip);
  BT_AUTO_FREE char *mine = bt_asprintf("%s on %s", key, every ? "" : ip);
  BT_AUTO_FREE char *all_ips = bt_asprintf("%s on ", key);
  const char *other = bt_map_get(taken, all_ips);
  if (!other)
    other = bt_map_get(taken, every ? key : mine);
  if (other) {
    bt_diag_error(load->diags, published->loc, "services.%s publishes port %s, which services.%s publishes already", name, key,
                  other);
    return;
  }
  bt_map_set(taken, mine, (void *)(uintptr_t)name);
  bt_map_set(taken, key, (void *)(uintptr_t)name);
}

void bt_compose_check_rules(struct bt_load *load, const struct bt_yaml *tree) {
  const struct bt_yaml *services = bt_yaml_get(tree, "services");
  BT_AUTO_MAP published = bt_map_new(NULL);
  if (!services || services->kind != BT_YAML_MAP)
    return;
  bt_vec_each(&services->map, pair) {
    check_ports(load, pair->key, pair->value);
    check_addresses(load, pair->key, pair->value);
    check_mode(load, pair->key, pair->value);
    check_job(load, pair->key, pair->value);
    check_builds(load, pair->key, pair->value);
    check_volumes_from(load, pair->key, pair->value);
    check_links(load, pair->key, pair->value);
    const struct bt_yaml *ports = bt_yaml_get(pair->value, "ports");
    for (size_t i = 0; ports && ports->kind == BT_YAML_SEQ && i < ports->seq.len; i++)
      check_published(load, published, pair->key, ports->seq.items[i]);
  }
  bt_compose_check_placement(load, services);
}
