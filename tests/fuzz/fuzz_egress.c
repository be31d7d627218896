/* Where plug-ins' requests may go: lists and configurations that name hosts, against any host and any address. A private address needs
 * its host's name in full, a loopback or link-local one its own. */
#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/json.h"
#include "base/mem.h"
#include "plugin/egress.h"
#include "tests/fuzz/parts.h"

static const char *const places[] = {"93.184.216.34", "10.1.2.3", "127.0.0.1", "169.254.169.254", "::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1"};
enum { first_private = 1 };

static const struct sockaddr *address(const char *text, struct sockaddr_storage *out) {
  *out = (struct sockaddr_storage){.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET};
  void *to = out->ss_family == AF_INET ? (void *)&((struct sockaddr_in *)(void *)out)->sin_addr
                                       : (void *)&((struct sockaddr_in6 *)(void *)out)->sin6_addr;
  int rc = inet_pton(out->ss_family, text, to);
  BT_ASSERT(rc == 1);
  return (const struct sockaddr *)out;
}

/* named: the host may stand in the list, so that private addresses are his. */
static void try_host(const struct bt_egress *e, const char *host, bool named) {
  struct sockaddr_storage a;
  bool any = bt_egress_allows(e, host, 443, NULL);
  for (size_t i = 0; i < BT_COUNT(places); i++)
    if (bt_egress_allows(e, host, 443, address(places[i], &a)))
      BT_ASSERT(any && (i < first_private || named));
  bt_egress_allows_unix(e, host);
  bt_egress_allows_file(e, host);
}

/* Lines: the host that is asked for, then the items. */
static void list(char *text, size_t len) {
  (void)len;
  BT_AUTO_STRS items = {0};
  BT_AUTO_ERR err = NULL;
  char *save = NULL, *host = strtok_r(text, "\n", &save);
  bool named = false;
  for (char *line; host && (line = strtok_r(NULL, "\n", &save));) {
    bt_strs_add(&items, line);
    named |= strcasestr(line, "somewhere.example") != NULL;
  }
  int rc = bt_egress_check(&items, &err);
  BT_ASSERT(rc == 0 || *bt_err_message(err));
  struct bt_egress *e = bt_egress_new(&items);
  try_host(e, host ? host : "", true);
  try_host(e, "somewhere.example", named);
  bt_egress_free(&e);
}

/* A configuration: whatever it names, nobody gets to a private address by a name that is not in it. */
static void config(char *text, size_t len) {
  BT_AUTO_JSON json = bt_json_parse(text, len, 0, 0, "a configuration", NULL);
  struct bt_egress *e = bt_egress_new(NULL);
  struct sockaddr_storage a;
  bt_egress_name(e, json);
  try_host(e, "git.example", true);
  for (size_t i = first_private; i < BT_COUNT(places); i++)
    BT_ASSERT(strcasestr(text, "nowhere.example") || strchr(text, '\\') || !bt_egress_allows(e, "nowhere.example", 80, address(places[i], &a)));
  bt_egress_free(&e);
}

/* 4 or 16 bytes, against what is public only. What the resolver gives may be anything. */
static void addresses(char *text, size_t len) {
  static struct bt_egress *e;
  if (!e)
    e = bt_egress_new(NULL);
  struct sockaddr_in v4 = {.sin_family = AF_INET};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
  if (len >= 4) {
    memcpy(&v4.sin_addr, text, 4);
    bool allowed = bt_egress_allows(e, "a.example", 1, (const struct sockaddr *)&v4);
    uint32_t n = ntohl(v4.sin_addr.s_addr);
    BT_ASSERT(!allowed || (n >> 24 != 127 && n >> 24 != 10 && n >> 16 != 0xc0a8 && n >> 16 != 0xa9fe && n >> 20 != 0xac1));
    v6.sin6_addr.s6_addr[10] = v6.sin6_addr.s6_addr[11] = 0xff; /* the same, as it stands in IPv6 */
    memcpy(&v6.sin6_addr.s6_addr[12], text, 4);
    BT_ASSERT(bt_egress_allows(e, "a.example", 1, (const struct sockaddr *)&v6) == allowed);
  }
  if (len >= 16) {
    memcpy(&v6.sin6_addr, text, 16);
    bool allowed = bt_egress_allows(e, "a.example", 1, (const struct sockaddr *)&v6);
    BT_ASSERT(!allowed || (!IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) && !IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr) && (v6.sin6_addr.s6_addr[0] & 0xfe) != 0xfc));
  }
}

static const struct fuzz_part parts[] = {{'l', "list", list}, {'c', "config", config}, {'a', "addresses", addresses}};
FUZZ_PARTS(parts)
