/* The resolver's pure parts: messages, who gets told what, the cache. */
#include "config.h"
#include "../../plugins/runtime-oci/resolver/cache.h"
#include "../../plugins/runtime-oci/resolver/zone.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#include "../../plugins/common/util.h"
#include "tap.h"

static struct rs_zone *z;
static uint8_t out[rs_max_message];
static size_t out_len;
static const json_t *dns;

static size_t question(uint8_t *d, const char *name, unsigned type, bool edns) {
  memset(d, 0, 512);
  rs_put16(d, 0x1234);
  d[2] = 1;
  rs_put16(d + 4, 1);
  rs_put16(d + 10, edns);
  size_t n = rs_header + rs_name_wire(name, d + rs_header);
  rs_put16(d + n, type);
  rs_put16(d + n + 2, rs_in);
  n += 4;
  if (edns) {
    d[n + 2] = rs_opt;
    rs_put16(d + n + 3, 4096);
    n += 11;
  }
  return n;
}

/* Puts a question; the verdict and what is in the answer as text: "code a.b.c.d …". */
static const char *ask_as(const char *from, const char *name, unsigned type, size_t cap) {
  static char text[65536];
  uint8_t d[512];
  struct rs_query q;
  struct rs_out o;
  struct ro_ip ip;
  int code;
  size_t n = question(d, name, type, cap > 512), at = 0;
  ro_ip_parse(from, &ip);
  if (rs_query_read(d, n, &q) != rs_noerror)
    return "unread";
  rs_out_begin(&o, out, cap, &q);
  enum rs_verdict v = rs_zone_answer(z, &ip, &q, &o, &code, &dns);
  if (v != RS_ANSWERED)
    return v == RS_ELSEWHERE ? "elsewhere" : "not here";
  out_len = rs_out_end(&o, &q, code, true);
  at += (size_t)snprintf(text, sizeof text, "%d%s", out[3] & 15, out[2] & 2 ? " tc" : "");
  size_t p = rs_header + q.wire_len + 4;
  for (unsigned i = 0; i < rs_get16(out + 6); i++) {
    unsigned rtype = rs_get16(out + p + 2), len = rs_get16(out + p + 10);
    char word[INET6_ADDRSTRLEN] = "?";
    if (rtype == rs_a || rtype == rs_aaaa)
      inet_ntop(rtype == rs_a ? AF_INET : AF_INET6, out + p + 12, word, sizeof word);
    at += (size_t)snprintf(text + at, sizeof text - at, " %s", word);
    if (rtype == rs_srv || rtype == rs_ptr) {
      at--;
      text[at] = 0;
      if (rtype == rs_srv)
        at += (size_t)snprintf(text + at, sizeof text - at, "%u:", rs_get16(out + p + 16));
      for (const uint8_t *w = out + p + 12 + (rtype == rs_srv ? 6 : 0); *w; w += *w + 1)
        at += (size_t)snprintf(text + at, sizeof text - at, "%.*s.", *w, (const char *)w + 1);
    }
    p += 12 + len;
  }
  return text;
}

static const char *ask(const char *from, const char *name, unsigned type) { return ask_as(from, name, type, rs_edns_size); }

static void tell(const char *text) {
  PU_AUTO_JSON o = pu_json_parse(text, strlen(text));
  ok(o && (pu_str(o, "network") ? rs_zone_network(z, o) : rs_zone_member(z, o)), "told: %.60s", text);
}

static void test_zone(void) {
  z = rs_zone_new();
  tell("{\"network\": \"shop_front\", \"subnets\": [\"10.1.0.0/24\", \"fd01::/64\"]}");
  tell("{\"network\": \"shop_back\", \"internal\": true, \"subnets\": [\"10.2.0.0/24\"]}");
  tell("{\"member\": \"1\", \"name\": \"web-1\", \"service\": \"web\", \"app\": \"shop\", \"namespace\": \"prod\", \"ready\": true, \"srv\": [{\"name\": \"http\", \"port\": 80, \"protocol\": \"tcp\"}],"
       " \"networks\": {\"shop_front\": {\"ip\": \"10.1.0.2\", \"ip6\": \"fd01::2\", \"aliases\": [\"web\", \"www.example\"]}, \"shop_back\": {\"ip\": \"10.2.0.2\", \"aliases\": []}}}");
  tell("{\"member\": \"2\", \"name\": \"web-2\", \"service\": \"Web\", \"app\": \"shop\", \"namespace\": \"prod\", \"ready\": true, \"networks\": {\"shop_front\": {\"ip\": \"10.1.0.3\", \"aliases\": []}}}");
  tell("{\"member\": \"3\", \"name\": \"db\", \"service\": \"db\", \"app\": \"shop\", \"namespace\": \"prod\", \"ready\": true, \"dns\": [\"9.9.9.9\"], \"networks\": {\"shop_back\": {\"ip\": \"10.2.0.3\", \"aliases\": []}}}");
  is_str(ask("10.1.0.2", "web", rs_a), "0 10.1.0.3 10.1.0.2", "a service's instances");
  is_str(ask("10.1.0.2", "WEB.", rs_a), "0 10.1.0.2 10.1.0.3", "in turns, whatever the case");
  is_str(ask("10.1.0.2", "web", rs_aaaa), "0 fd01::2", "over IPv6");
  is_str(ask("10.1.0.2", "web-2", rs_aaaa), "0", "a name without such an address is there all the same");
  is_str(ask("10.1.0.2", "web.shop.prod.berth", rs_a), "0 10.1.0.3 10.1.0.2", "with app and namespace");
  is_str(ask("10.1.0.2", "www.example", rs_a), "0 10.1.0.2", "an alias with a dot");
  is_str(ask("10.1.0.2", "www.example.shop.prod.berth", rs_a), "0 10.1.0.2", "below the search domain");
  is_str(ask("10.1.0.2", "web.other.prod.berth", rs_a), "3", "of another app there is none");
  is_str(ask("10.1.0.2", "shop.prod.berth", rs_a), "3", "the app itself has no address");
  is_str(ask("10.1.0.2", "nothing.berth", rs_a), "3", "what ends in berth is never asked elsewhere");
  is_str(ask("10.1.0.2", "web.shop_front", rs_a), "0 10.1.0.2 10.1.0.3", "with the network");
  is_str(ask("10.1.0.2", "db", rs_a), "0 10.2.0.3", "one in two networks sees both");
  is_str(ask("10.1.0.3", "db", rs_a), "elsewhere", "one in another network does not");
  is_str(ask("10.1.0.3", "db.shop.prod.berth", rs_a), "3", "not by its long name either");
  is_str(ask("10.2.0.3", "web", rs_a), "0 10.2.0.2", "each gets the address that it can reach");
  is_str(ask("10.2.0.3", "example.com", rs_a), "not here", "an internal network has no way out");
  is_str(ask("10.1.0.3", "example.com", rs_a), "elsewhere", "others have");
  is_str(ask("10.1.0.77", "web-1", rs_a), "0 10.1.0.2", "one that is not told of yet sees its network");
  is_str(ask("192.0.2.7", "web", rs_a), "not here", "a stranger sees nothing");
  is_str(ask("192.0.2.7", "example.com", rs_a), "not here", "and is not served");
  is_str(ask("10.1.0.2", "_http._tcp.web", rs_srv), "0 80:web-1.shop.prod.berth.", "SRV by name");
  is_str(ask("10.1.0.2", "_8080._tcp.web.shop.prod.berth", rs_srv), "0 8080:web-2.shop.prod.berth. 8080:web-1.shop.prod.berth.", "SRV by number");
  is_str(ask("10.1.0.2", "web-1.shop.prod.berth", rs_a), "0 10.1.0.2", "whose target leads on");
  is_str(ask("10.1.0.2", "_no._udp.web", rs_srv), "0", "a port that is not there");
  is_str(ask("10.1.0.2", "2.0.1.10.in-addr.arpa", rs_ptr), "0 web-1.shop.prod.berth.", "PTR");
  is_str(ask("10.1.0.2", "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.d.f.ip6.arpa", rs_ptr), "0 web-1.shop.prod.berth.", "over IPv6");
  is_str(ask("10.1.0.3", "3.0.2.10.in-addr.arpa", rs_ptr), "3", "not of those it does not see");
  is_str(ask("10.1.0.3", "1.1.1.1.in-addr.arpa", rs_ptr), "elsewhere", "other addresses are others'");
  ask("10.2.0.3", "web.example", rs_a);
  is_str(json_string_value(json_array_get(dns, 0)), "9.9.9.9", "a container's own servers");
  tell("{\"member\": \"2\", \"name\": \"web-2\", \"service\": \"web\", \"app\": \"shop\", \"namespace\": \"prod\", \"ready\": false, \"networks\": {\"shop_front\": {\"ip\": \"10.1.0.3\", \"aliases\": []}}}");
  is_str(ask("10.1.0.2", "web", rs_a), "0 10.1.0.2", "one that is not ready is left out");
  is_str(ask("10.1.0.2", "web-2", rs_a), "0 10.1.0.3", "but by its own name");
  rs_zone_member_drop(z, "1");
  is_str(ask("10.1.0.3", "web", rs_a), "0", "when none is ready the name is still there");
  rs_zone_sync_begin(z);
  tell("{\"network\": \"shop_front\", \"subnets\": [\"10.1.0.0/24\"]}");
  rs_zone_sync_end(z);
  is_str(ask("10.1.0.3", "web", rs_a), "elsewhere", "what was not told again is gone");
  rs_zone_free(&z);
}

static void test_large(void) {
  z = rs_zone_new();
  tell("{\"network\": \"n\", \"subnets\": [\"10.1.0.0/16\"]}");
  for (int i = 0; i < 400; i++) {
    PU_AUTO_FREE ip = pu_asprintf("10.1.%d.%d", 1 + i / 200, 1 + i % 200);
    PU_AUTO_FREE id = pu_asprintf("c%d", i);
    PU_AUTO_JSON o = json_pack("{s:s, s:s, s:s, s:{s:{s:s}}}", "member", id, "name", id, "service", "many", "networks", "n", "ip", ip);
    rs_zone_member(z, o);
  }
  is_str(ask("10.1.0.1", "many", rs_a), "0 tc", "an answer that is too long for UDP says so");
  ok(out_len <= rs_edns_size, "and is short");
  is_str(ask_as("10.1.0.1", "many", rs_a, 512), "0 tc", "without EDNS too");
  ask_as("10.1.0.1", "many", rs_a, rs_max_message);
  is_int(rs_get16(out + 6), 400, "over TCP it is whole");
  rs_zone_free(&z);
}

static void test_messages(void) {
  uint8_t d[512], wire[256];
  struct rs_query q;
  size_t n = question(d, "web", rs_a, true);
  ok(rs_query_read(d, n, &q) == rs_noerror && q.edns && q.size == rs_edns_size && q.id == 0x1234 && q.recursion, "a question");
  for (size_t cut = 0; cut < n; cut++)
    ok(rs_query_read(d, cut, &q) != rs_noerror, "cut to %zu bytes it is none", cut);
  d[2] |= 0x80;
  is_int(rs_query_read(d, n, &q), -1, "an answer is not answered");
  d[2] = 0x10;
  is_int(rs_query_read(d, n, &q), rs_notimp, "other operations");
  n = question(d, "web", rs_a, true);
  d[n - 5] = 1;
  is_int(rs_query_read(d, n, &q), rs_badvers, "another EDNS");
  n = question(d, "web", rs_a, false);
  d[rs_header] = 0xc0;
  is_int(rs_query_read(d, n, &q), rs_formerr, "a compressed question");
  ok(!rs_name_wire("a..b", wire) && !rs_name_wire("0123456789012345678901234567890123456789012345678901234567890123", wire), "names that are none");
  is_int(rs_name_wire("a.b.", wire), 5, "a dot at the end");
}

static void test_cache(void) {
  struct rs_cache *c = rs_cache_new();
  struct rs_query q;
  struct rs_seen seen;
  uint8_t d[512], got[rs_max_message];
  size_t n = question(d, "Example.com", rs_a, false), len;
  bool differs;
  rs_query_read(d, n, &q);
  d[2] |= 0x80;
  rs_put16(d + 6, 1);
  static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1};
  memcpy(d + n, record, sizeof record);
  n += sizeof record;
  ok(rs_answer_read(d, n, q.wire, q.wire_len, rs_a, &seen, &differs) && !differs, "an answer is read");
  is_int(seen.ttl, 60, "its TTL");
  struct rs_key key = rs_key_of(&q, 1), other = rs_key_of(&q, 2);
  rs_cache_put(c, &key, d, &seen, 100);
  ok(rs_cache_get(c, &key, 130, got, &len) != NULL, "and kept");
  is_int(rs_get32(got + n - 10), 30, "its TTL goes down");
  ok(!rs_cache_get(c, &other, 130, got, &len), "not for those who ask others");
  memcpy(q.wire, "\7eXAMPLE\3cOM", 12);
  struct rs_key same = rs_key_of(&q, 1);
  const struct rs_seen *s = rs_cache_get(c, &same, 130, got, &len);
  ok(s != NULL, "whatever the case");
  q.id = 77;
  ok(s && rs_answer_for(&q, got, s, 512) == n && rs_get16(got) == 77 && memcmp(got + rs_header, q.wire, q.wire_len) == 0, "and given with the asker's case and id");
  ok(!rs_cache_get(c, &key, 160, got, &len), "until it is too old");
  q.wire[1] = 'q';
  ok(!rs_answer_read(d, n, q.wire, q.wire_len, rs_a, &seen, &differs), "an answer to something else");
  for (unsigned i = 0; i < rs_cache_entries + 100; i++) {
    key = rs_key_of(&q, i);
    seen.ttl = 60;
    seen.end = 100;
    rs_cache_put(c, &key, d, &seen, 100);
  }
  key = rs_key_of(&q, 5);
  ok(!rs_cache_get(c, &key, 101, got, &len), "the oldest go where there are too many");
  key = rs_key_of(&q, rs_cache_entries);
  ok(rs_cache_get(c, &key, 101, got, &len), "the youngest stay");
  rs_cache_free(&c);
}

int main(void) {
  test_messages();
  test_zone();
  test_large();
  test_cache();
  return done_testing();
}
