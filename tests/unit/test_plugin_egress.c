/* Where a plug-in's requests may go. */
#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "plugin/egress.h"
#include "tap.h"

static struct bt_egress *listed(const char *items) {
  BT_AUTO_STRS list = {0};
  BT_AUTO_FREE char *copy = bt_strdup(items);
  for (char *save = NULL, *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
    bt_strs_add(&list, w);
  BT_AUTO_ERR err = NULL;
  int rc = bt_egress_check(&list, &err);
  BT_ASSERT(rc == 0);
  return bt_egress_new(&list);
}

static bool at(const struct bt_egress *e, const char *host, int port, const char *address) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } a = {0};
  a.any.sa_family = strchr(address, ':') ? AF_INET6 : AF_INET;
  int rc = inet_pton(a.any.sa_family, address, a.any.sa_family == AF_INET ? (void *)&a.v4.sin_addr : (void *)&a.v6.sin6_addr);
  BT_ASSERT(rc == 1);
  return bt_egress_allows(e, host, port, NULL) && bt_egress_allows(e, host, port, &a.any);
}

static void test_lists(void) {
  struct bt_egress *e = listed("api.example.com *.example.org hooks.example.net:443 unix:/run/x.sock");
  ok(at(e, "api.example.com", 80, "93.184.216.34"), "a host that is named");
  ok(at(e, "API.example.com.", 443, "93.184.216.34"), "in any case, with a last dot");
  ok(at(e, "a.b.example.org", 443, "93.184.216.34"), "below a domain");
  ok(!at(e, "example.org", 443, "93.184.216.34"), "but not the domain itself");
  ok(!at(e, "notexample.org", 443, "93.184.216.34"), "nor one that ends alike");
  ok(at(e, "hooks.example.net", 443, "93.184.216.34") && !at(e, "hooks.example.net", 80, "93.184.216.34"), "a port that is named");
  ok(!at(e, "93.184.216.34", 443, "93.184.216.34") && !at(e, "other.example", 443, "93.184.216.34"), "nobody else");
  ok(at(e, "api.example.com", 80, "10.1.2.3"), "a private address of a host that is named in full");
  ok(!at(e, "a.example.org", 80, "10.1.2.3"), "not of one that is only matched");
  ok(!at(e, "api.example.com", 80, "127.0.0.1") && !at(e, "api.example.com", 80, "169.254.169.254"),
     "loopback and link-local need their address");
  ok(bt_egress_allows_unix(e, "/run/x.sock") && !bt_egress_allows_unix(e, "/run/docker.sock"), "a socket that is named");
  bt_egress_free(&e);
  e = listed("127.0.0.1:5000 localhost:80 [::1]:81 169.254.169.254 10.0.0.1");
  ok(at(e, "127.0.0.1", 5000, "127.0.0.1") && !at(e, "127.0.0.1", 5001, "127.0.0.1"), "loopback by its address");
  ok(at(e, "localhost", 80, "::1") && at(e, "::1", 81, "::1"), "localhost, and IPv6");
  ok(at(e, "169.254.169.254", 80, "169.254.169.254") && at(e, "10.0.0.1", 1, "10.0.0.1"), "link-local and private, by address");
  bt_egress_free(&e);
  e = listed("");
  ok(!at(e, "api.example.com", 443, "93.184.216.34"), "an empty list allows nothing");
  bt_egress_free(&e);
  e = listed("*");
  ok(at(e, "api.example.com", 443, "93.184.216.34") && !at(e, "x", 443, "192.168.0.1"), "a star is any public host");
  bt_egress_free(&e);
}

static void test_default(void) {
  struct bt_egress *e = bt_egress_new(NULL);
  static const char *const inside[] = {"127.0.0.1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
                                       "100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "198.18.0.1", "::1", "::",
                                       "fe80::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
                                       "64:ff9b::7f00:1", "2002:7f00:1::", "fec0::1", "::127.0.0.1", "::10.0.0.1", "64:ff9b:1::7f00:1", "2001:0:1::80ff:fffe"};
  for (size_t i = 0; i < BT_COUNT(inside); i++)
    ok(!at(e, "name.example", 80, inside[i]), "nobody named: not %s", inside[i]);
  static const char *const outside[] = {"93.184.216.34", "172.15.0.1", "172.32.0.1", "100.128.0.1", "198.20.0.1", "2606:2800::1"};
  for (size_t i = 0; i < BT_COUNT(outside); i++)
    ok(at(e, "name.example", 80, outside[i]), "but %s", outside[i]);
  BT_AUTO_JSON config = json_loads("{\"url\":\"http://u:p@127.0.0.1:8080/x\",\"host\":\"unix:///run/d.sock\",\"ca\":\"/etc/ca.pem\","
                                   "\"deep\":{\"10.0.0.5:5000\":{\"x\":[\"intern.example\"]}},\"https\":\"https://10.0.0.6/\"}",
                                   0, NULL);
  bt_egress_name(e, config);
  ok(at(e, "127.0.0.1", 8080, "127.0.0.1") && !at(e, "127.0.0.1", 8081, "127.0.0.1"), "what the configuration names: an address's port");
  ok(at(e, "10.0.0.5", 5000, "10.0.0.5") && at(e, "intern.example", 1, "10.9.9.9"), "keys and texts inside");
  ok(at(e, "10.0.0.6", 443, "10.0.0.6") && !at(e, "10.0.0.6", 80, "10.0.0.6"), "with the scheme's port");
  ok(bt_egress_allows_unix(e, "/run/d.sock") && bt_egress_allows_file(e, "/etc/ca.pem") && !bt_egress_allows_file(e, "/etc/shadow"),
     "sockets and files");
  bt_egress_free(&e);
}

static void test_bad(void) {
  static const char *const bad[] = {"", "a b", "http://x/", "host:0", "host:70000", "host:", "[::1", "unix:x", "*.", "a/b", "*x"};
  for (size_t i = 0; i < BT_COUNT(bad); i++) {
    BT_AUTO_STRS list = {0};
    BT_AUTO_ERR err = NULL;
    bt_strs_add(&list, bad[i]);
    is_int(bt_egress_check(&list, &err), -1, bad[i]);
  }
}

int main(void) {
  test_lists();
  test_default();
  test_bad();
  return done_testing();
}
