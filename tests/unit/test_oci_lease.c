/* net/address.h and net/lease.h: addresses as numbers, what is handed out and in which order, subnets that are free. */
#include "config.h"
#include "../../plugins/runtime-oci/net/lease.h"

#include <sys/socket.h>

#include "tap.h"

static struct ro_why why;

static struct ro_ip ip(const char *text) {
  struct ro_ip out;
  if (!ro_ip_parse(text, &out))
    printf("# %s is no address\n", text);
  return out;
}

static const char *text_of(const struct ro_ip *a) {
  static char out[ro_ip_text];
  return ro_ip_format(a, true, out);
}

static void test_numbers(void) {
  struct ro_ip a;
  static const char *const bad[] = {"", "10.0.0", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/x", "fd00::/129", "10.0.0.1/-1", "10.0.0.256", ":::", "10.0.0.1 /24", "10.0.0.1/ 8"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    ok(!ro_ip_parse(bad[i], &a), "\"%s\" is no address", bad[i]);
  a = ip("10.89.3.77/20");
  a = ro_ip_subnet(&a);
  is_str(text_of(&a), "10.89.0.0/20", "a subnet");
  a = ip("fd00:1:2:3:4::5/63");
  a = ro_ip_subnet(&a);
  is_str(text_of(&a), "fd00:1:2:2::/63", "one over IPv6");
  a = ip("10.0.0.255/8");
  a = ro_ip_plus(&a, 1);
  is_str(text_of(&a), "10.0.1.0/8", "plus carries");
  a = ip("fd00::ffff:ffff:ffff:ffff/64");
  a = ro_ip_plus(&a, 1);
  is_str(text_of(&a), "fd00:0:0:1::/64", "beyond 64 bits");
  struct ro_ip s = ip("fd00::/16"), b = ip("fd00::1:0:0");
  ok(ro_ip_offset(&s, &b) == (uint64_t)1 << 32, "an offset");
  b = ip("fd00:1::");
  ok(ro_ip_offset(&s, &b) == UINT64_MAX, "one that is too far");
  struct ro_ip x = ip("10.0.0.0/8"), y = ip("10.9.0.0/16"), z = ip("11.0.0.0/8"), six = ip("fd00::/8");
  ok(ro_ip_overlap(&x, &y) && ro_ip_overlap(&y, &x) && !ro_ip_overlap(&x, &z) && !ro_ip_overlap(&x, &six), "overlaps");
}

static void test_order(void) {
  struct ro_lease l;
  struct ro_ip s = ip("10.1.0.0/29"), g = ip("10.1.0.1"), a, first;
  ok(ro_lease_init(&l, &s, NULL, &g, &why) == 0, "a subnet of eight");
  ok(ro_lease_next(&l, &first, &why) == 0, "the first");
  is_str(text_of(&first), "10.1.0.2/29", "is behind the gateway");
  ro_lease_next(&l, &a, &why);
  ro_lease_give(&l, &first);
  ro_lease_next(&l, &a, &why);
  is_str(text_of(&a), "10.1.0.4/29", "one that was given back comes last");
  int n = 0;
  while (ro_lease_next(&l, &a, &why) == 0)
    n++;
  is_int(n, 3, "three more: .5, .6 and the one given back");
  is_int(why.code, BERTH_EXHAUSTED, "then none");
  ok(strstr(why.text, "10.1.0.0/29"), "and it is named: %s", why.text);
  ro_lease_give(&l, &first);
  ok(ro_lease_next(&l, &a, &why) == 0 && ro_ip_same(&a, &first), "what is given back can be had again");
  ro_lease_free(&l);
}

static void test_static(void) {
  struct ro_lease l;
  struct ro_ip s = ip("10.1.0.0/24"), range = ip("10.1.0.128/30"), g = ip("10.1.0.1"), a = ip("10.1.0.7"), b;
  ok(ro_lease_init(&l, &s, &range, &g, &why) == 0, "a range of four");
  ok(ro_lease_take(&l, &a, &why) == 0, "a static address outside of the range");
  ok(ro_lease_take(&l, &a, &why) < 0 && why.code == BERTH_CONFLICT, "is taken then: %s", why.text);
  ok(ro_lease_take(&l, &g, &why) < 0 && why.code == BERTH_CONFLICT, "as the gateway is");
  ro_lease_give(&l, &a);
  ok(ro_lease_take(&l, &a, &why) == 0, "until it is given back");
  b = ip("10.1.0.129");
  ok(ro_lease_take(&l, &b, &why) == 0, "one within");
  int n = 0;
  while (ro_lease_next(&l, &b, &why) == 0)
    n += ro_ip_contains(&range, &b) ? 1 : 100;
  is_int(n, 3, "the rest of the range is handed out");
  static const char *const bad[] = {"10.1.0.0", "10.1.0.255", "10.2.0.1", "fd00::1"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    b = ip(bad[i]);
    ok(ro_lease_take(&l, &b, &why) < 0 && why.code == BERTH_INVALID, "%s: %s", bad[i], why.text);
  }
  ro_lease_free(&l);
  range = ip("10.2.0.0/28");
  ok(ro_lease_init(&l, &s, &range, &g, &why) < 0 && why.code == BERTH_INVALID, "a range elsewhere: %s", why.text);
  ro_lease_free(&l);
  g = ip("10.1.0.255");
  ok(ro_lease_init(&l, &s, NULL, &g, &why) < 0 && why.code == BERTH_INVALID, "a gateway at the edge: %s", why.text);
  ro_lease_free(&l);
}

static void test_wide(void) {
  struct ro_lease l;
  struct ro_ip s = ip("fd12:3456::/64"), g = ip("fd12:3456::1"), a;
  ok(ro_lease_init(&l, &s, NULL, &g, &why) == 0, "a subnet of 2^64");
  is_int(l.nbits, 65536, "has bits for as many as a bridge could have");
  ok(ro_lease_next(&l, &a, &why) == 0, "an address");
  is_str(text_of(&a), "fd12:3456::2/64", "the first behind the gateway");
  struct ro_ip far = ip("fd12:3456::dead:beef:1:2");
  ok(ro_lease_take(&l, &far, &why) == 0 && ro_lease_take(&l, &far, &why) < 0, "a static one far away");
  ro_lease_give(&l, &far);
  ok(ro_lease_take(&l, &far, &why) == 0, "and again");
  size_t n = 0;
  while (ro_lease_next(&l, &a, &why) == 0)
    n++;
  is_int(n, 65533, "all of them can be had");
  ro_lease_free(&l);
  struct ro_ip one = ip("10.0.0.4/31");
  ok(ro_lease_init(&l, &one, NULL, NULL, &why) == 0, "a link of two");
  n = 0;
  while (ro_lease_next(&l, &a, &why) == 0)
    n++;
  is_int(n, 2, "has two");
  ro_lease_free(&l);
}

static void test_pools(void) {
  json_t *pools = json_pack("[s, s]", "10.7.0.0/22", "10.9.0.0/16");
  struct ro_ip taken[8] = {ip("10.7.1.0/24"), ip("10.7.0.128/25"), ip("fd00::/8")}, out;
  ok(ro_pool_pick(pools, 24, taken, 3, &out, &why) == 0, "a subnet");
  is_str(text_of(&out), "10.7.2.0/24", "that overlaps nothing");
  taken[3] = ip("10.7.2.0/23");
  ok(ro_pool_pick(pools, 24, taken, 4, &out, &why) == 0, "another");
  is_str(text_of(&out), "10.9.0.0/24", "from the next pool");
  taken[4] = ip("10.8.0.0/13");
  ok(ro_pool_pick(pools, 24, taken, 5, &out, &why) < 0 && why.code == BERTH_EXHAUSTED, "a route that covers the pool: %s", why.text);
  ok(ro_pool_pick(NULL, 24, taken, 0, &out, &why) == 0, "without pools");
  is_str(text_of(&out), "10.89.0.0/24", "there is one");
  taken[0] = ip("0.0.0.0/0");
  ok(ro_pool_pick(pools, 24, taken, 1, &out, &why) < 0, "what covers all leaves none");
  json_decref(pools);
}

int main(void) {
  test_numbers();
  test_order();
  test_static();
  test_wide();
  test_pools();
  return done_testing();
}
