/* net/link.h and net/bridge.h on the real kernel: namespaces that reach each other over a bridge, what goes wrong, what is left. */
#include "config.h"
#include "../../plugins/runtime-oci/net/bridge.h"
#include "../../plugins/runtime-oci/net/link.h"
#include "../../plugins/runtime-oci/net/netlink.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <time.h>

#include "netns_kit.h"
#include "tap.h"

static struct ro_why why;

static struct ro_link link_of(const char *host, const char *v4, const char *v6) {
  return (struct ro_link){.name = "eth0", .host = host, .bridge = "brtest", .addresses = {v4, v6}, .naddresses = v6 ? 2 : 1,
                          .gateway = "10.89.7.1", .gateway6 = v6 ? "fd00:7::1" : NULL};
}

static int enter(const struct ro_link *l, size_t n) {
  int ns = -1;
  why = (struct ro_why){0};
  ro_link_enter(l, n, &ns, &why);
  kit_go(kit_host_ns);
  return ns;
}

static void make_bridge(int nl) {
  struct ro_ip gateways[2];
  ro_ip_parse("10.89.7.1/24", &gateways[0]);
  ro_ip_parse("fd00:7::1/64", &gateways[1]);
  struct ro_bridge bridge = {.name = "brtest", .mtu = 1400, .gateways = gateways, .ngateways = 2};
  ok(ro_bridge_ensure(nl, &bridge, &why) == 0, "a bridge is made %s", why.text);
  ok(ro_bridge_ensure(nl, &bridge, &why) == 0, "and made again %s", why.text);
}

static void test_reach(void) {
  struct ro_link a = link_of("vtesta", "10.89.7.5/24", "fd00:7::5/64"), b = link_of("vtestb", "10.89.7.6/24", "fd00:7::6/64");
  int one = enter(&a, 1);
  ok(one >= 0, "a namespace joins %s", why.text);
  int two = enter(&b, 1);
  ok(two >= 0, "another one joins %s", why.text);
  if (one < 0 || two < 0)
    return;
  int four = kit_listen(one, SOCK_STREAM, "10.89.7.5", 8080), six = kit_listen(one, SOCK_STREAM, "fd00:7::5", 8080);
  char peer[INET6_ADDRSTRLEN] = "";
  ok(four >= 0 && six >= 0, "its addresses can be used at once");
  ok(kit_reaches(two, "10.89.7.5", 8080, four, peer), "the other one reaches it over IPv4");
  is_str(peer, "10.89.7.6", "with its own address");
  ok(kit_reaches(two, "fd00:7::5", 8080, six, peer), "and over IPv6");
  ok(kit_reaches(kit_host_ns, "10.89.7.5", 8080, four, peer), "the host reaches it");
  is_str(peer, "10.89.7.1", "with the gateway's address");
  int lo = kit_listen(one, SOCK_STREAM, "127.0.0.1", 81);
  ok(lo >= 0 && kit_reaches(one, "127.0.0.1", 81, lo, NULL), "lo is up");
  int gate = kit_listen(kit_host_ns, SOCK_DGRAM, "10.89.7.1", 53);
  ok(kit_echoes(two, "10.89.7.1", 53, gate), "it reaches the gateway");
  close(gate);
  close(four);
  close(six);
  close(lo);
  close(one);
  close(two);
}

static void test_details(void) {
  struct ro_link a = link_of("vtestc", "10.89.7.9/24", NULL);
  int ns = enter(&a, 1);
  kit_go(ns);
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq r = {.ifr_name = "eth0"};
  ok(ioctl(s, SIOCGIFHWADDR, &r) == 0 && memcmp(r.ifr_hwaddr.sa_data, "\x02\x42\x0a\x59\x07\x09", 6) == 0, "the MAC follows the address");
  ok(ioctl(s, SIOCGIFMTU, &r) == 0, "mtu");
  is_int(r.ifr_mtu, 1400, "the MTU is the bridge's");
  close(s);
  char line[256];
  bool six = false;
  FILE *f = fopen("/proc/thread-self/net/if_inet6", "r");
  while (f && fgets(line, sizeof line, f))
    six = six || strstr(line, "eth0");
  if (f)
    fclose(f);
  kit_go(kit_host_ns);
  ok(!six, "without an IPv6 address there is no link-local one");
  int again = enter(&a, 1);
  ok(again >= 0, "an old end of the same name is replaced %s", why.text);
  close(again);
  close(ns);
}

static void test_wrong(int nl) {
  struct ro_link a = link_of("vtestd", "10.89.7.11/24", NULL);
  a.bridge = "nobridge";
  ok(enter(&a, 1) < 0, "a bridge that is not there");
  is_int(why.code, BERTH_NOT_FOUND, "is not found");
  ok(strstr(why.text, "nobridge"), "and named: %s", why.text);
  a = link_of("vtestd", "10.89.7.300/24", NULL);
  ok(enter(&a, 1) < 0 && why.code == BERTH_INVALID, "an address that is none: %s", why.text);
  a = link_of("vtestd", "10.89.7.11/24", NULL);
  a.mac = "03:00:00:00:00:01";
  ok(enter(&a, 1) < 0 && why.code == BERTH_INVALID, "a MAC of a group: %s", why.text);
  a = link_of("vtestd", "10.89.7.11/24", NULL);
  a.gateway = "10.1.2.3";
  ok(enter(&a, 1) < 0, "a gateway that cannot be reached: %s", why.text);
  ok(!ro_bridge_there(nl, "vtestd", NULL), "nothing of it is left on the host");
  a = link_of("a-name-too-long-for-it", "10.89.7.11/24", NULL);
  ok(enter(&a, 1) < 0 && why.code == BERTH_INVALID, "a name that is too long: %s", why.text);
  struct ro_bridge lo = {.name = "lo"};
  ok(ro_bridge_ensure(nl, &lo, &why) < 0 && why.code == BERTH_CONFLICT, "lo is no bridge: %s", why.text);
  struct ro_link mac = {.kind = "macvlan", .name = "eth0", .parent = "brtest", .addresses = {"10.89.7.77/24"}, .naddresses = 1};
  int ns = enter(&mac, 1);
  ok(ns >= 0, "a macvlan joins %s", why.text);
  close(ns);
  mac.kind = "nosuchkind";
  ok(enter(&mac, 1) < 0 && why.code == BERTH_UNSUPPORTED, "a kind that the kernel does not have: %s", why.text);
}

static void test_many(void) {
  static char names[10][2][24], addresses[10][24];
  struct ro_link links[10];
  for (int i = 0; i < 10; i++) {
    snprintf(names[i][0], sizeof names[i][0], "eth%d", i);
    snprintf(names[i][1], sizeof names[i][1], "vmany%d", i);
    snprintf(addresses[i], sizeof addresses[i], "10.89.7.%u/24", (unsigned char)(100 + i));
    links[i] = (struct ro_link){.name = names[i][0], .host = names[i][1], .bridge = "brtest", .addresses = {addresses[i]}, .naddresses = 1};
  }
  int ns = enter(links, 10);
  ok(ns >= 0, "ten networks are joined %s", why.text);
  int s = kit_listen(ns, SOCK_STREAM, "10.89.7.109", 80);
  ok(s >= 0, "the tenth has its address");
  close(s);
  close(ns);
}

static void test_time(void) {
  enum { rounds = 40 };
  struct timespec t0, t1;
  double best = 1e9;
  for (int i = 0; i < rounds; i++) {
    char host[24], address[24];
    snprintf(host, sizeof host, "vtime%d", i);
    snprintf(address, sizeof address, "10.89.7.%u/24", (unsigned char)(20 + i));
    struct ro_link l = link_of(host, address, NULL);
    clock_gettime(CLOCK_MONOTONIC, &t0);
    int ns = enter(&l, 1);
    clock_gettime(CLOCK_MONOTONIC, &t1);
    double ms = (double)(t1.tv_sec - t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e6;
    best = ms < best ? ms : best;
    close(ns);
  }
  ok(best < 50, "joining takes %.2f ms", best);
}

int main(void) {
  if (!kit_leave())
    return skip_all("no network namespace may be made here");
  int nl = ro_nl_open(&why);
  ok(nl >= 0, "a socket to the kernel %s", why.text);
  ok(ro_link_lo(nl, &why) == 0, "lo of the host %s", why.text);
  make_bridge(nl);
  test_reach();
  test_details();
  test_wrong(nl);
  test_many();
  test_time();
  ok(ro_bridge_remove(nl, "brtest", &why) == 0 && !ro_bridge_there(nl, "brtest", NULL), "the bridge goes");
  ok(ro_bridge_remove(nl, "brtest", &why) == 0, "and may go again");
  close(nl);
  close(kit_host_ns);
  return done_testing();
}
