/* net/network.h on the real kernel, in a network namespace that stands for the host: who reaches whom, published ports, what survives
 * a restart or another program's flush, and that nothing is left. */
#include "config.h"
#include "../../plugins/runtime-oci/net/network.h"
#include "../../plugins/common/util.h"
#include "../../plugins/runtime-oci/net/bridge.h"
#include "../../plugins/runtime-oci/net/link.h"
#include "../../plugins/runtime-oci/net/netlink.h"

#include <sys/wait.h>

#include "netns_kit.h"
#include "tap.h"

static char root[] = "/tmp/berth-test-network-XXXXXX";
static struct ro_networks *nets;
static struct ro_why why;
static int outside = -1; /* a machine beside the host: 192.0.2.9, the host is 192.0.2.1 */

/* Runs a program to its end; true where it says yes. */
static bool run(const char *a, const char *b, const char *c, const char *d, const char *e, const char *f) {
  int status = -1;
  pid_t pid = fork();
  if (!pid) {
    execlp(a, a, b, c, d, e, f, (char *)NULL);
    _exit(127);
  }
  waitpid(pid, &status, 0);
  return status == 0;
}

static json_t *json(const char *text) {
  json_t *v = pu_json_parse(text, strlen(text));
  if (!v)
    printf("# no JSON: %s\n", text);
  return v;
}

static int ensure(const char *name, const char *spec_text, json_t **out) {
  PU_AUTO_JSON spec = json(spec_text);
  PU_AUTO_JSON labels = json("{\"berth.server\": \"one\", \"berth.app\": \"shop\"}");
  json_t *result = NULL;
  why = (struct ro_why){0};
  int code = ro_networks_ensure(nets, name, spec, labels, &result, &why);
  if (out)
    *out = result;
  else
    json_decref(result);
  return code;
}

struct guest {
  char id[65];
  int ns;
  json_t *net; /* what ro_networks_up gave */
};

static int up(struct guest *g, const char *id, const char *wants, const char *ports) {
  PU_AUTO_JSON w = json(wants);
  PU_AUTO_JSON p = ports ? json(ports) : NULL;
  PU_AUTO_JSON labels = json("{\"berth.service\": \"web\", \"berth.app\": \"shop\", \"berth.namespace\": \"prod\"}");
  struct ro_member m = {.id = g->id, .name = id, .labels = labels, .wants = w, .ports = p};
  *g = (struct guest){.ns = -1};
  memset(g->id, 'a', 64);
  memcpy(g->id, id, strlen(id));
  why = (struct ro_why){0};
  return ro_networks_up(nets, &m, &g->net, &why);
}

static const char *at(const json_t *o, const char *key) { return pu_str(o, key); }

/* Joins as the monitor does. */
static bool join(struct guest *g) {
  struct ro_link links[4] = {0};
  size_t i, k, n = 0;
  json_t *o, *a;
  json_array_foreach(pu_arr(g->net, "interfaces"), i, o) {
    struct ro_link *l = &links[n++];
    *l = (struct ro_link){.kind = at(o, "kind"), .mode = at(o, "mode"), .name = at(o, "name"), .host = at(o, "host"), .bridge = at(o, "bridge"),
                          .parent = at(o, "parent"), .mac = at(o, "mac"), .gateway = at(o, "gateway"), .gateway6 = at(o, "gateway6")};
    json_array_foreach(pu_arr(o, "addresses"), k, a) l->addresses[l->naddresses++] = json_string_value(a);
  }
  ro_link_enter(links, n, &g->ns, &why);
  kit_go(kit_host_ns);
  return g->ns >= 0;
}

static bool start(struct guest *g, const char *id, const char *wants, const char *ports) {
  bool good = up(g, id, wants, ports) == 0 && join(g);
  ok(good, "%s starts %s", id, why.text);
  return good;
}

static const char *addr(const struct guest *g, const char *network, const char *key) { return pu_str_or(pu_obj(pu_obj(g->net, "networks"), network), key, ""); }

static void leave(struct guest *g, bool release) {
  if (g->ns >= 0)
    close(g->ns);
  json_decref(g->net);
  if (release)
    ro_networks_release(nets, g->id);
  g->ns = -1;
  g->net = NULL;
}

static bool reopen(void) {
  ro_networks_forget(root);
  why = (struct ro_why){0};
  PU_AUTO_JSON pools = json("[\"10.89.0.0/16\"]");
  nets = ro_networks_at(root, pools, &why);
  return nets != NULL;
}

/* ---------------------------------------------------------------- */

static void test_reach(void) {
  struct guest a = {0}, b = {0}, c = {0};
  char peer[INET6_ADDRSTRLEN] = "";
  json_t *out = NULL;
  ok(ensure("front", "{}", &out) == 0, "a network is made %s", why.text);
  ok(json_is_true(json_object_get(out, "created")), "and said to be");
  json_decref(out);
  ok(ensure("front", "{}", &out) == 0 && json_is_false(json_object_get(out, "created")), "the second time it is there %s", why.text);
  json_decref(out);
  ok(ensure("back", "{\"enable_ipv6\": true}", NULL) == 0, "another one, with IPv6 %s", why.text);
  if (!start(&a, "alpha", "[{\"name\": \"front\"}]", NULL) || !start(&b, "beta", "[{\"name\": \"front\"}, {\"name\": \"back\"}]", NULL) ||
      !start(&c, "gamma", "[{\"name\": \"back\"}]", NULL))
    return;
  is_str(addr(&a, "front", "ip"), "10.89.0.2", "the first address");
  is_str(addr(&a, "front", "mac"), "02:42:0a:59:00:02", "its MAC");
  is_int(json_array_size(pu_arr(a.net, "resolvers")), 0, "without a resolver it has the host's name servers");
  is_str(json_string_value(json_array_get(pu_arr(a.net, "search"), 0)), "shop.prod.berth", "where names are looked for");
  int on_b = kit_listen(b.ns, SOCK_STREAM, "0.0.0.0", 80), on_c = kit_listen(c.ns, SOCK_STREAM, "0.0.0.0", 80), six = kit_listen(c.ns, SOCK_STREAM, "::", 81);
  ok(kit_reaches(a.ns, addr(&b, "front", "ip"), 80, on_b, peer), "neighbours reach each other");
  is_str(peer, addr(&a, "front", "ip"), "as who they are");
  ok(kit_reaches(b.ns, addr(&c, "back", "ip"), 80, on_c, NULL), "one in two networks reaches both");
  ok(kit_reaches(b.ns, addr(&c, "back", "ip6"), 81, six, NULL), "over IPv6 too");
  ok(kit_blocked(a.ns, addr(&c, "back", "ip"), 80, on_c), "networks are apart");
  ok(kit_reaches(kit_host_ns, addr(&c, "back", "ip"), 80, on_c, NULL), "the host reaches all");
  ok(kit_blocked(outside, addr(&c, "back", "ip"), 80, on_c), "from outside nothing is reached that is not published");
  int out4 = kit_listen(outside, SOCK_STREAM, "0.0.0.0", 80);
  ok(kit_reaches(a.ns, "192.0.2.9", 80, out4, peer), "they reach the outside");
  is_str(peer, "192.0.2.1", "as the host");
  close(out4);
  int secret = kit_listen(kit_host_ns, SOCK_STREAM, "127.0.0.1", 4001);
  kit_go(a.ns);
  run("ip", "route", "add", "127.0.0.1/32", "via", "10.89.0.1");
  kit_go(kit_host_ns);
  ok(kit_blocked(a.ns, "127.0.0.1", 4001, secret), "the host's loopback is its own");
  close(secret);
  ok(ro_networks_remove(nets, "front", &why) < 0 && why.code == BERTH_CONFLICT, "a network in use stays: %s", why.text);
  close(on_b), close(on_c), close(six);
  leave(&a, true), leave(&b, true), leave(&c, true);
}

static void test_ports(void) {
  struct guest a = {0}, b = {0}, c = {0};
  char peer[INET6_ADDRSTRLEN] = "";
  ensure("front", "{}", NULL);
  ensure("back", "{\"enable_ipv6\": true}", NULL);
  if (!start(&a, "alpha", "[{\"name\": \"front\"}]",
             "[{\"target\": 80, \"published\": 8080, \"protocol\": \"tcp\"}, {\"target\": 53, \"published\": 8053, \"protocol\": \"udp\"},"
             " {\"target\": 80, \"published\": 8081, \"host_ip\": \"127.0.0.1\", \"protocol\": \"tcp\"}, {\"target\": 80, \"published\": 0, \"protocol\": \"tcp\"}]") ||
      !start(&b, "beta", "[{\"name\": \"back\"}]", "[{\"target\": 80, \"published\": 9090}]"))
    return;
  int web = kit_listen(a.ns, SOCK_STREAM, "0.0.0.0", 80), udp = kit_listen(a.ns, SOCK_DGRAM, "0.0.0.0", 53), web6 = kit_listen(b.ns, SOCK_STREAM, "::", 80);
  ok(kit_reaches(outside, "192.0.2.1", 8080, web, peer), "a published port from outside");
  is_str(peer, "192.0.2.9", "with the address of who asks");
  ok(kit_echoes(outside, "192.0.2.1", 8053, udp), "one over UDP");
  ok(kit_blocked(outside, "192.0.2.1", 8081, web), "one of 127.0.0.1 not from outside");
  ok(kit_reaches(kit_host_ns, "127.0.0.1", 8081, web, NULL), "but from the host");
  ok(kit_reaches(kit_host_ns, "127.0.0.1", 8080, web, NULL), "the host at 127.0.0.1");
  ok(kit_reaches(kit_host_ns, "192.0.2.1", 8080, web, NULL), "the host at its own address");
  ok(kit_reaches(a.ns, "192.0.2.1", 8080, web, NULL), "a container itself by the host's address");
  ok(kit_reaches(b.ns, "192.0.2.1", 8080, web, NULL), "one of another network by the host's address");
  ok(kit_reaches(a.ns, "10.89.0.1", 8080, web, NULL), "by the gateway's address");
  ok(kit_reaches(outside, "2001:db8::1", 9090, web6, peer), "over IPv6 from outside");
  is_str(peer, "2001:db8::9", "with the address of who asks, too");
  long long chosen = pu_int(json_array_get(pu_arr(a.net, "ports"), 3), "published", 0);
  ok(chosen > 0 && kit_reaches(outside, "192.0.2.1", (int)chosen, web, NULL), "a port that was chosen: %lld", chosen);
  ok(up(&c, "gamma", "[{\"name\": \"front\"}]", "[{\"target\": 80, \"published\": 8080}]") < 0, "a port that is taken");
  ok(why.code == BERTH_EXHAUSTED && strstr(why.text, "alpha"), "and by whom: %s", why.text);
  int other = kit_listen(kit_host_ns, SOCK_STREAM, "0.0.0.0", 7777);
  ok(up(&c, "gamma", "[{\"name\": \"front\"}]", "[{\"target\": 80, \"published\": 7777}]") < 0 && why.code == BERTH_EXHAUSTED, "or by another program: %s", why.text);
  close(other);
  ok(kit_listen(kit_host_ns, SOCK_STREAM, "0.0.0.0", 8080) < 0, "no other program takes a published port");
  ro_networks_down(nets, a.id);
  ok(kit_blocked(outside, "192.0.2.1", 8080, web), "after its end the port leads nowhere");
  ok(up(&c, "gamma", "[{\"name\": \"front\"}]", "[{\"target\": 80, \"published\": 8080}]") == 0, "and another one may have it %s", why.text);
  ok(strcmp(addr(&c, "front", "ip"), addr(&a, "front", "ip")) != 0, "whose address is not that of who ended");
  close(web), close(udp), close(web6);
  leave(&a, true), leave(&b, true), leave(&c, true);
}

static void test_internal(void) {
  struct guest a = {0}, b = {0};
  ok(ensure("dark", "{\"internal\": true}", NULL) == 0, "an internal network %s", why.text);
  ok(ensure("dark", "{}", NULL) < 0 && why.code == BERTH_CONFLICT, "is no other one: %s", why.text);
  if (!start(&a, "alpha", "[{\"name\": \"dark\"}]", "[{\"target\": 80, \"published\": 8080}]") || !start(&b, "beta", "[{\"name\": \"dark\"}]", NULL))
    return;
  int web = kit_listen(a.ns, SOCK_STREAM, "0.0.0.0", 80), out4 = kit_listen(outside, SOCK_STREAM, "0.0.0.0", 80);
  ok(kit_reaches(b.ns, addr(&a, "dark", "ip"), 80, web, NULL), "neighbours reach each other");
  ok(kit_blocked(a.ns, "192.0.2.9", 80, out4), "nothing gets out");
  kit_go(a.ns);
  run("ip", "route", "add", "default", "via", "10.89.2.1");
  kit_go(kit_host_ns);
  ok(kit_blocked(a.ns, "192.0.2.9", 80, out4), "not even with a route");
  ok(kit_blocked(outside, "192.0.2.1", 8080, web), "nothing gets in");
  ok(json_array_size(pu_arr(a.net, "warnings")) == 1, "and it is said of its ports");
  close(web), close(out4);
  leave(&a, true), leave(&b, true);
  ok(ro_networks_remove(nets, "dark", &why) == 0, "it goes %s", why.text);
}

static void test_survival(void) {
  struct guest a = {0}, b = {0};
  ensure("front", "{}", NULL);
  if (!start(&a, "alpha", "[{\"name\": \"front\"}]", "[{\"target\": 80, \"published\": 8080}]"))
    return;
  int web = kit_listen(a.ns, SOCK_STREAM, "0.0.0.0", 80);
  is_int(ro_networks_mend(nets, &why), 0, "there is nothing to mend");
  ok(run("nft", "flush", "ruleset", NULL, NULL, NULL), "another program flushes the ruleset");
  ok(kit_blocked(outside, "192.0.2.1", 8080, web), "and the port leads nowhere");
  is_int(ro_networks_mend(nets, &why), 1, "that is seen and mended");
  ok(kit_reaches(outside, "192.0.2.1", 8080, web, NULL), "and all is as before");
  is_int(ro_networks_mend(nets, &why), 0, "for good");
  ok(run("nft", "add", "table", "ip", "stranger", NULL), "another table");
  is_int(ro_networks_mend(nets, &why), 0, "is none of ours");
  ok(run("nft", "flush", "chain", "inet", "berth", "between"), "rules of ours taken away");
  is_int(ro_networks_mend(nets, &why), 1, "are seen");
  ok(run("nft", "flush", "ruleset", NULL, NULL, NULL), "flushed again");
  ok(start(&b, "beta", "[{\"name\": \"front\"}]", "[{\"target\": 80, \"published\": 8181}]"), "the next change");
  ok(kit_reaches(outside, "192.0.2.1", 8080, web, NULL), "brings all back");
  leave(&b, true);

  PU_AUTO_FREE half = pu_asprintf("%s/leases/half.json.tmp", root);
  PU_AUTO_FREE half_net = pu_asprintf("%s/networks/half.json.tmp", root);
  ok(close(creat(half, 0600)) == 0 && close(creat(half_net, 0600)) == 0, "records that a crash left half written");
  ok(reopen(), "a restart %s", why.text);
  ok(access(half, F_OK) != 0 && access(half_net, F_OK) != 0, "takes them away");
  PU_AUTO_JSON live = json_pack("{s:b}", a.id, 1);
  ro_networks_settle(nets, live);
  ok(kit_reaches(outside, "192.0.2.1", 8080, web, NULL), "leaves what runs alone");
  ok(kit_listen(kit_host_ns, SOCK_STREAM, "0.0.0.0", 8080) < 0, "its port is held again");
  ok(start(&b, "beta", "[{\"name\": \"front\"}]", NULL), "after it");
  ok(strcmp(addr(&b, "front", "ip"), addr(&a, "front", "ip")) != 0, "no address is handed out twice");
  json_object_set_new(live, a.id, json_false());
  json_object_set_new(live, b.id, json_true());
  ok(reopen(), "another restart %s", why.text);
  ro_networks_settle(nets, live);
  ok(kit_blocked(outside, "192.0.2.1", 8080, web), "what ended meanwhile has no port any more");
  ok(run("ip", "link", "del", "dev", "nothing", NULL) == false && run("nft", "flush", "ruleset", NULL, NULL, NULL) && reopen(), "the machine starts anew %s", why.text);
  ok(run("nft", "list", "chain", "inet", "berth", "between"), "the table is made again");
  close(web);
  leave(&a, true), leave(&b, true);
}

/* {container: is it ready} as the lease says; a container that nobody spoke of is ready. */
static bool lease_ready(const struct guest *g) {
  PU_AUTO_FREE path = pu_asprintf("%s/leases/%s.json", root, g->id);
  PU_AUTO_JSON lease = json_load_file(path, 0, NULL);
  return pu_bool(lease, "ready", true);
}

/* What was said of a container that never started is kept for its start, and goes with it. */
static void test_ready(void) {
  struct guest a = {0}, b = {0};
  ensure("front", "{}", NULL);
  memset(a.id, 'a', 64), memcpy(a.id, "alpha", 5);
  memset(b.id, 'a', 64), memcpy(b.id, "beta", 4);
  ro_networks_ready(nets, a.id, false);
  ro_networks_ready(nets, b.id, false);
  PU_AUTO_JSON live = json_pack("{s:b}", a.id, 0);
  ro_networks_settle(nets, live);
  if (!start(&a, "alpha", "[{\"name\": \"front\"}]", NULL) || !start(&b, "beta", "[{\"name\": \"front\"}]", NULL))
    return;
  ok(!lease_ready(&a), "one that was there is unready as it was said");
  ok(lease_ready(&b), "nothing is left of what was said of one that had gone");
  leave(&a, true), leave(&b, true);
}

static void test_static(void) {
  struct guest a = {0}, b = {0};
  PU_AUTO_JSON wants = json("[{\"name\": \"fixed\", \"ipv4_address\": \"10.200.1.20\"}]");
  struct ro_member m = {.id = "cccccccccccccccccccc", .name = "held", .wants = wants};
  ok(ensure("fixed", "{\"ipam\": {\"config\": [{\"subnet\": \"10.200.1.0/24\", \"gateway\": \"10.200.1.254\", \"ip_range\": \"10.200.1.16/29\"}]}}", NULL) == 0, "a subnet of one's own %s", why.text);
  ok(ensure("fixed", "{\"ipam\": {\"config\": [{\"subnet\": \"10.201.1.0/24\"}]}}", NULL) < 0 && why.code == BERTH_CONFLICT, "is no other one: %s", why.text);
  ok(ensure("clash", "{\"ipam\": {\"config\": [{\"subnet\": \"10.200.0.0/16\"}]}}", NULL) < 0 && why.code == BERTH_CONFLICT && strstr(why.text, "fixed"), "subnets do not overlap: %s", why.text);
  ok(ro_networks_reserve(nets, &m, &why) == 0, "a static address is held from the start %s", why.text);
  ok(up(&a, "alpha", "[{\"name\": \"fixed\", \"ipv4_address\": \"10.200.1.20\"}]", NULL) < 0 && why.code == BERTH_CONFLICT && strstr(why.text, "held"), "nobody else gets it: %s", why.text);
  ok(up(&a, "alpha", "[{\"name\": \"fixed\", \"ipv4_address\": \"10.9.9.9\"}]", NULL) < 0 && why.code == BERTH_INVALID, "one of elsewhere: %s", why.text);
  ok(up(&a, "alpha", "[{\"name\": \"fixed\", \"mac_address\": \"02:11:22:33:44:55\"}]", NULL) == 0, "one without %s", why.text);
  is_str(addr(&a, "fixed", "ip"), "10.200.1.16", "is given one of the range");
  is_str(addr(&a, "fixed", "mac"), "02:11:22:33:44:55", "with the MAC it asked for");
  ok(up(&b, "beta", "[{\"name\": \"nowhere\"}]", NULL) < 0 && why.code == BERTH_NOT_FOUND, "a network that is not there: %s", why.text);
  json_t *up_again = NULL;
  ok(ro_networks_up(nets, &m, &up_again, &why) == 0, "who holds it has it %s", why.text);
  is_str(pu_str(pu_obj(pu_obj(up_again, "networks"), "fixed"), "ip"), "10.200.1.20", "when it starts");
  json_decref(up_again);
  ro_networks_down(nets, m.id);
  ok(up(&b, "beta", "[{\"name\": \"fixed\", \"ipv4_address\": \"10.200.1.20\"}]", NULL) < 0, "also after its end");
  ro_networks_release(nets, m.id);
  ok(up(&b, "beta", "[{\"name\": \"fixed\", \"ipv4_address\": \"10.200.1.20\"}]", NULL) == 0, "until it is removed %s", why.text);
  leave(&a, true), leave(&b, true);
  ok(ro_networks_remove(nets, "fixed", &why) == 0, "it goes %s", why.text);
}

static void test_words(void) {
  static const struct {
    const char *name, *spec;
    enum berth_code code;
  } bad[] = {{"a", "{\"driver\": \"overlay\"}", BERTH_UNSUPPORTED},
             {"a", "{\"driver_opts\": {\"com.example\": \"1\"}}", BERTH_UNSUPPORTED},
             {"a", "{\"driver_opts\": {\"com.docker.network.driver.mtu\": \"x\"}}", BERTH_INVALID},
             {"a", "{\"driver_opts\": {\"com.docker.network.bridge.name\": \"a/b\"}}", BERTH_INVALID},
             {"a", "{\"driver_opts\": {\"com.docker.network.bridge.name\": \"uplink\"}}", BERTH_CONFLICT},
             {"a", "{\"ipam\": {\"driver\": \"dhcp\"}}", BERTH_UNSUPPORTED},
             {"a", "{\"ipam\": {\"config\": [{\"subnet\": \"10.0.0.0\"}]}}", BERTH_INVALID},
             {"a", "{\"ipam\": {\"config\": [{\"subnet\": \"10.3.0.0/24\", \"gateway\": \"10.4.0.1\"}]}}", BERTH_INVALID},
             {"../a", "{}", BERTH_INVALID},
             {"", "{}", BERTH_INVALID},
             {"a", "{\"external\": true}", BERTH_NOT_FOUND}};
  for (size_t i = 0; i < PU_COUNT(bad); i++) {
    ok(ensure(bad[i].name, bad[i].spec, NULL) < 0, "refused: %s %s", bad[i].name, bad[i].spec);
    is_int(why.code, bad[i].code, why.text);
  }
  ok(ensure("named", "{\"driver_opts\": {\"com.docker.network.bridge.name\": \"mybridge\", \"com.docker.network.driver.mtu\": \"1400\"}}", NULL) == 0, "a bridge that is named %s", why.text);
  PU_AUTO_JSON spec = json("{}");
  PU_AUTO_JSON labels = json("{\"berth.server\": \"two\"}");
  json_t *out = NULL;
  PU_AUTO_JSON list = ro_networks_list(nets, "berth.server=one");
  ok(ro_networks_ensure(nets, "named", spec, labels, &out, &why) < 0 && why.code == BERTH_CONFLICT && strstr(why.text, "berth.server=one"), "another server's: %s", why.text);
  is_int(json_array_size(pu_arr(list, "networks")), 3, "what there is with a label");
  PU_AUTO_JSON none = ro_networks_list(nets, "berth.server=two");
  is_int(json_array_size(pu_arr(none, "networks")), 0, "what there is not");
  ok(ro_networks_remove(nets, "named", &why) == 0, "it goes %s", why.text);
}

/* Two servers with networks would take each other's rules away. */
static void test_two(void) {
  PU_AUTO_FREE other = pu_asprintf("%s/other", root);
  PU_AUTO_JSON pools = json("[\"10.88.0.0/16\"]");
  PU_AUTO_JSON spec = json("{}");
  PU_AUTO_JSON labels = json("{\"berth.server\":\"two\"}");
  json_t *out = NULL;
  struct ro_networks *second = ro_networks_at(other, pools, &why);
  ok(second != NULL, "a second one without networks is no harm %s", why.text);
  ok(ensure("mine", "{}", NULL) == 0, "the first has a network %s", why.text);
  ok(ro_networks_ensure(second, "theirs", spec, labels, &out, &why) < 0 && why.code == BERTH_CONFLICT && strstr(why.text, "another server has networks"), "a second one gets none: %s", why.text);
  ok(ro_networks_remove(nets, "mine", &why) == 0, "the first gives its last one up %s", why.text);
  ok(ro_networks_ensure(second, "theirs", spec, labels, &out, &why) == 0 && ro_networks_remove(second, "theirs", &why) == 0, "then it gets one %s", why.text);
  json_decref(out);
  ro_networks_forget(other);
}

/* Docker's firewall drops what it does not know; its chain for the user has two words of ours. */
static void test_docker(void) {
  struct guest a = {0}, b = {0};
  ok(run("nft", "add", "table", "ip", "filter", NULL) && run("nft", "add", "chain", "ip", "filter", "DOCKER-USER") &&
         run("nft", "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }", NULL, NULL, NULL, NULL) &&
         run("nft", "add rule ip filter FORWARD jump DOCKER-USER", NULL, NULL, NULL, NULL) && run("nft", "add rule ip filter DOCKER-USER return", NULL, NULL, NULL, NULL),
     "a firewall as Docker makes it");
  ro_networks_mend(nets, &why);
  ensure("front", "{}", NULL);
  ensure("third", "{}", NULL);
  if (start(&a, "alpha", "[{\"name\": \"front\"}]", "[{\"target\": 80, \"published\": 8080}]") && start(&b, "beta", "[{\"name\": \"third\"}]", NULL)) {
    int web = kit_listen(a.ns, SOCK_STREAM, "0.0.0.0", 80);
    ok(kit_reaches(outside, "192.0.2.1", 8080, web, NULL), "ports are reached beside it");
    ok(kit_blocked(b.ns, addr(&a, "front", "ip"), 80, web), "networks are apart still");
    close(web);
  }
  ok(!run("sh", "-c", "test $(nft list chain ip filter DOCKER-USER | grep -c 'berth-') -ne 2", NULL, NULL, NULL), "with two rules, however many networks there are");
  leave(&a, true), leave(&b, true);
}

static void test_trace(void) {
  PU_AUTO_JSON list = ro_networks_list(nets, NULL);
  size_t i;
  json_t *o;
  json_array_foreach(pu_arr(list, "networks"), i, o) ok(ro_networks_remove(nets, pu_str(o, "id"), &why) == 0, "%s goes %s", pu_str(o, "name"), why.text);
  ok(ro_networks_remove(nets, "nothing", &why) == 0, "what is not there is no error");
  ok(!run("sh", "-c", "nft list ruleset | grep -q berth", NULL, NULL, NULL), "no table or rule is left");
  const char *look = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do ip -o link | grep -qE 'berth-|mybridge|bt(alpha|beta|gamma)' || exit 0; sleep 0.2; done; ip -o link; exit 1";
  ok(run("sh", "-c", look, NULL, NULL, NULL), "no bridge or veth is left"); /* the kernel takes namespaces away when it has time */
  PU_AUTO_FREE find = pu_asprintf("test -z \"$(find %s -name '*.json')\"", root);
  ok(run("sh", "-c", find, NULL, NULL, NULL), "no record is left");
}

/* The host's way out: a veth to a machine beside it. */
static bool make_world(int nl) {
  struct ro_link l = {.name = "eth0", .host = "uplink", .addresses = {"192.0.2.9/24", "2001:db8::9/64"}, .naddresses = 2};
  l.gateway = "192.0.2.1"; /* so that what goes wrong in isolation has a way */
  bool good = ro_link_lo(nl, &why) == 0;
  struct ro_link bare = l;
  bare.gateway = NULL;
  good = good && ro_link_enter(&bare, 1, &outside, &why) == 0;
  kit_go(kit_host_ns);
  good = good && run("ip", "addr", "add", "192.0.2.1/24", "dev", "uplink") && run("sh", "-c", "ip -6 addr add 2001:db8::1/64 dev uplink nodad", NULL, NULL, NULL);
  kit_go(outside);
  good = good && run("ip", "route", "add", "10.0.0.0/8", "via", "192.0.2.1");
  kit_go(kit_host_ns);
  return good;
}

int main(void) {
  if (!kit_leave())
    return skip_all("no network namespace may be made here");
  int nl = ro_nl_open(&why);
  if (!mkdtemp(root) || !make_world(nl))
    return skip_all(why.text[0] ? why.text : "no network can be made here");
  ok(reopen(), "nothing is there at first %s", why.text);
  test_reach();
  test_ports();
  test_internal();
  test_survival();
  test_ready();
  test_static();
  test_words();
  test_docker();
  test_trace();
  test_two();
  ro_networks_forget(root);
  PU_AUTO_FREE rm = pu_asprintf("rm -rf %s", root);
  run("sh", "-c", rm, NULL, NULL, NULL);
  close(nl), close(outside), close(kit_host_ns);
  return done_testing();
}
