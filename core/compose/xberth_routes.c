/* x-berth.routes of a service: ways in for outside traffic. Each item is checked key by key and completed in place, short forms
 * written out: one name stands for a list, "tls: cert" for its mapping, "sticky: true" for a cookie. */
#include "config.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "compose/short.h"
#include "compose/support.h"
#include "compose/values.h"
#include "compose/xberth.h"
#include "model/route.h"

enum { MAX_ROUTES = 32, MAX_NAMES = 64, MAX_HOST = 253, MAX_PATH = 200, MAX_BODY = 12 * 1024, MAX_CIDRS = 64 };

static const int64_t tenth_of_second = 100000000;

/* One item on its way. */
struct item {
  struct bt_load *load;
  struct bt_yaml *n;
  const struct bt_place *place;
  bool tcp;
};

static void tell(const struct item *it, const struct bt_yaml *at, const char *key, const char *sentence) {
  BT_AUTO_FREE char *where = bt_place_text(key ? BT_PLACE_KEY(it->place, key) : it->place);
  bt_diag_error(it->load->diags, at->loc, "%s %s", where, sentence);
}

/* A key that means nothing for this protocol. */
static void refuse_keys(const struct item *it, const char *const *keys, const char *why) {
  for (size_t i = 0; keys[i]; i++) {
    const struct bt_yaml *n = bt_yaml_get(it->n, keys[i]);
    if (n)
      tell(it, n, keys[i], why);
  }
}

/* ---------------------------------------------------------------- names */

static bool label_ok(const char *s, size_t n) {
  if (n == 0 || n > 63 || s[0] == '-' || s[n - 1] == '-')
    return false;
  return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") >= n;
}

/* A DNS name in lower case, or an address; a star stands for the first labels only. */
static bool host_ok(const char *host) {
  size_t len = strlen(host);
  if (len == 0 || len > MAX_HOST)
    return false;
  if (bt_starts(host, "*."))
    host += 2;
  for (;;) {
    size_t n = strcspn(host, ".");
    if (!label_ok(host, n))
      return false;
    if (!host[n])
      return true;
    host += n + 1;
  }
}

static bool path_ok(const char *path) {
  size_t len = strlen(path);
  if (path[0] != '/' || len > MAX_PATH || strstr(path, "//"))
    return false;
  for (const char *p = path; *p; p++)
    if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || strchr("\"'\\#?{}%", *p))
      return false;
  return true;
}

/* "/api/" and "/api" mean the same. */
static void trim_path(char *path) {
  size_t len = strlen(path);
  if (len > 1 && path[len - 1] == '/')
    path[len - 1] = 0;
}

static void lower(char *text) {
  for (; *text; text++)
    if (*text >= 'A' && *text <= 'Z')
      *text = (char)(*text - 'A' + 'a');
}

static void one_name(const struct item *it, struct bt_yaml *list, size_t i, const struct bt_place *place, bool hosts) {
  struct bt_yaml *n = list->seq.items[i];
  const struct bt_place *here = BT_PLACE_ITEM(place, i);
  if (n->kind != BT_YAML_STR) {
    bt_xberth_wrong(it->load, n, here, hosts ? "a host's name" : "a path");
    return;
  }
  BT_AUTO_FREE char *text = bt_strdup(n->text);
  if (hosts)
    lower(text);
  if (hosts && !host_ok(text)) {
    bt_xberth_wrong(it->load, n, here, "a host's name such as shop.example or *.shop.example, without a port");
    return;
  }
  if (!hosts && !path_ok(text)) {
    bt_xberth_wrong(it->load, n, here, "a path that begins with \"/\", without spaces, quotes, # ? % or empty parts");
    return;
  }
  if (!hosts)
    trim_path(text);
  for (size_t j = 0; j < i; j++)
    if (bt_streq(list->seq.items[j]->text, text)) {
      BT_AUTO_FREE char *where = bt_place_text(here);
      bt_diag_error(it->load->diags, n->loc, "%s: \"%.80s\" stands there already", where, text);
    }
  bt_node_become(n, bt_yaml_str(text, n->loc));
}

/* A list of names; a single one may stand without brackets. */
static void names(const struct item *it, const char *key, bool hosts) {
  struct bt_yaml *n = bt_yaml_get(it->n, key);
  const struct bt_place *here = BT_PLACE_KEY(it->place, key);
  if (!n)
    return;
  if (n->kind == BT_YAML_STR) {
    struct bt_yaml *list = bt_yaml_new(BT_YAML_SEQ, n->loc);
    bt_yaml_push(list, bt_yaml_str(n->text, n->loc));
    bt_node_become(n, list);
  }
  if (n->kind != BT_YAML_SEQ || n->seq.len == 0 || n->seq.len > MAX_NAMES) {
    bt_xberth_wrong(it->load, n, here, hosts ? "a list of 1 to 64 hosts (leave it out for any host)" : "a list of 1 to 64 paths");
    return;
  }
  for (size_t i = 0; i < n->seq.len; i++)
    one_name(it, n, i, here, hosts);
}

/* ---------------------------------------------------------------- parts */

static void tls(const struct item *it) {
  static const char *const keys[] = {"secret", "redirect", NULL};
  struct bt_yaml *n = bt_yaml_get(it->n, "tls");
  const struct bt_place *here = BT_PLACE_KEY(it->place, "tls");
  if (!n)
    return;
  if (n->kind == BT_YAML_STR) {
    struct bt_yaml *map = bt_yaml_new(BT_YAML_MAP, n->loc);
    bt_xberth_set(map, "secret", bt_yaml_str(n->text, n->loc));
    bt_node_become(n, map);
  } else if (n->kind != BT_YAML_MAP) {
    bt_xberth_wrong(it->load, n, here, "a secret's name or a mapping");
  }
  if (n->kind != BT_YAML_MAP || !bt_xberth_only(it->load, n, here, keys))
    return;
  const struct bt_yaml *secret = bt_yaml_get(n, "secret");
  if (!secret || secret->kind != BT_YAML_STR || !*secret->text)
    bt_xberth_wrong(it->load, secret ? secret : n, BT_PLACE_KEY(here, "secret"),
                    "the name of a secret of the file that holds certificate and key as PEM");
  bt_xberth_flag(it->load, n, "redirect", !it->tcp, here);
}

static void sticky(const struct item *it) {
  static const char *const keys[] = {"by", "cookie", "lifetime", NULL}, *const both[] = {"cookie", "address", NULL},
                           *const address[] = {"address", NULL};
  struct bt_yaml *n = bt_yaml_get(it->n, "sticky");
  const struct bt_place *here = BT_PLACE_KEY(it->place, "sticky");
  bool on;
  if (!n)
    return;
  if (bt_is_scalar(n) && bt_value_bool(n, &on)) {
    if (!on) {
      struct bt_yaml *gone = bt_yaml_take(it->n, "sticky");
      bt_yaml_free(&gone);
      return;
    }
    bt_node_become(n, bt_yaml_new(BT_YAML_MAP, n->loc));
  }
  if (!bt_xberth_only(it->load, n, here, keys))
    return;
  bool cookies = bt_streq(bt_xberth_word(it->load, n, "by", it->tcp ? address : both, here), "cookie");
  struct bt_yaml *name = bt_yaml_get(n, "cookie");
  if (name && (!cookies || name->kind != BT_YAML_STR || !*name->text || strlen(name->text) > 40 ||
               strspn(name->text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(name->text)))
    bt_xberth_wrong(it->load, name, BT_PLACE_KEY(here, "cookie"), "a cookie's name of up to 40 letters, digits, _ and -, with by: cookie");
  if (!name && cookies)
    bt_xberth_set(n, "cookie", bt_yaml_str("berth", n->loc));
  if (cookies && bt_yaml_get(n, "lifetime"))
    bt_xberth_wrong(it->load, bt_yaml_get(n, "lifetime"), BT_PLACE_KEY(here, "lifetime"), "left out with by: cookie: it lasts as long as the browser's session");
  else if (!cookies)
    bt_xberth_duration(it->load, n, "lifetime", 1000000000, "30m0s", here);
}

static void timeouts(const struct item *it) {
  static const char *const keys[] = {"connect", "response", "idle", NULL};
  struct bt_yaml *n = bt_yaml_get(it->n, "timeouts");
  const struct bt_place *here = BT_PLACE_KEY(it->place, "timeouts");
  if (!n) {
    n = bt_yaml_new(BT_YAML_MAP, it->n->loc);
    bt_xberth_set(it->n, "timeouts", n);
    n = bt_yaml_get(it->n, "timeouts");
  }
  if (!bt_xberth_only(it->load, n, here, keys))
    return;
  if (it->tcp && bt_yaml_get(n, "response"))
    bt_xberth_wrong(it->load, bt_yaml_get(n, "response"), BT_PLACE_KEY(here, "response"), "left out: a TCP route knows no responses, only connect and idle");
  bt_xberth_duration(it->load, n, "connect", tenth_of_second, "2s", here);
  if (!it->tcp)
    bt_xberth_duration(it->load, n, "response", tenth_of_second, "1m0s", here);
  bt_xberth_duration(it->load, n, "idle", tenth_of_second, "1h0m0s", here);
}

static void rate_limit(const struct item *it) {
  static const char *const keys[] = {"requests", "period", NULL};
  struct bt_yaml *n = bt_yaml_get(it->n, "rate_limit");
  const struct bt_place *here = BT_PLACE_KEY(it->place, "rate_limit");
  if (!n || !bt_xberth_only(it->load, n, here, keys))
    return;
  if (!bt_yaml_get(n, "requests"))
    bt_xberth_wrong(it->load, n, BT_PLACE_KEY(here, "requests"), "there: how many requests one client may make in a period");
  bt_xberth_number(it->load, n, "requests", 1, 1000000, -1, here);
  bt_xberth_duration(it->load, n, "period", 1000000000, "1s", here);
}

/* "10.0.0.1", "10.0.0.0/8", "fd00::/8". */
static bool is_network(const char *text) {
  const char *slash = strchr(text, '/');
  BT_AUTO_FREE char *address = bt_strndup(text, slash ? (size_t)(slash - text) : strlen(text));
  long long bits;
  return bt_is_ip(address) && (!slash || bt_parse_i64(slash + 1, 0, strchr(address, ':') ? 128 : 32, &bits));
}

static void allow(const struct item *it, struct bt_yaml *maintenance, const struct bt_place *place) {
  struct bt_yaml *n = bt_yaml_get(maintenance, "allow");
  const struct bt_place *here = BT_PLACE_KEY(place, "allow");
  if (!n)
    return;
  if (n->kind != BT_YAML_SEQ || n->seq.len > MAX_CIDRS) {
    bt_xberth_wrong(it->load, n, here, "a list of up to 64 addresses or networks, such as 10.0.0.0/8");
    return;
  }
  for (size_t i = 0; i < n->seq.len; i++) {
    const struct bt_yaml *one = n->seq.items[i];
    if (one->kind != BT_YAML_STR || !is_network(one->text))
      bt_xberth_wrong(it->load, one, BT_PLACE_ITEM(here, i), "an address or a network such as 10.0.0.0/8");
  }
}

static void one_line(const struct item *it, struct bt_yaml *map, const char *key, const char *otherwise, const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(map, key);
  if (!n)
    bt_xberth_set(map, key, bt_yaml_str(otherwise, map->loc));
  else if (n->kind != BT_YAML_STR || strlen(n->text) > 100 || strpbrk(n->text, "\r\n\"'\\"))
    bt_xberth_wrong(it->load, n, BT_PLACE_KEY(place, key), "one line of text without quotes");
}

static void maintenance(const struct item *it) {
  static const char *const keys[] = {"status", "content_type", "body", "retry_after", "allow", NULL};
  struct bt_yaml *n = bt_yaml_get(it->n, "maintenance");
  const struct bt_place *here = BT_PLACE_KEY(it->place, "maintenance");
  bool on;
  if (!n)
    return;
  if (bt_is_scalar(n) && bt_value_bool(n, &on)) {
    if (!on) {
      struct bt_yaml *gone = bt_yaml_take(it->n, "maintenance");
      bt_yaml_free(&gone);
      return;
    }
    bt_node_become(n, bt_yaml_new(BT_YAML_MAP, n->loc));
  }
  if (!bt_xberth_only(it->load, n, here, keys))
    return;
  bt_xberth_number(it->load, n, "status", 200, 599, 503, here);
  one_line(it, n, "content_type", "text/plain; charset=utf-8", here);
  const struct bt_yaml *body = bt_yaml_get(n, "body");
  if (!body)
    bt_xberth_set(n, "body", bt_yaml_str("Down for maintenance. Please try again later.\n", n->loc));
  else if (body->kind != BT_YAML_STR || strlen(body->text) > MAX_BODY)
    bt_xberth_wrong(it->load, body, BT_PLACE_KEY(here, "body"), "text of at most 12 KiB");
  bt_xberth_duration(it->load, n, "retry_after", 1000000000, NULL, here);
  allow(it, n, here);
}

/* ---------------------------------------------------------------- items */

static void http_item(const struct item *it) {
  static const char *const not_http[] = {"listen", "accept_proxy", NULL}, *const schemes[] = {"http", "https", NULL},
                           *const ways[] = {"header", "proxy-v1", "proxy-v2", "none", NULL};
  refuse_keys(it, not_http, "is of TCP routes; the ports that HTTP routes share, and what may speak to them, are the operator's to set");
  names(it, "hosts", true);
  names(it, "paths", false);
  if (!bt_yaml_get(it->n, "paths")) {
    struct bt_yaml *list = bt_yaml_new(BT_YAML_SEQ, it->n->loc);
    bt_yaml_push(list, bt_yaml_str("/", it->n->loc));
    bt_xberth_set(it->n, "paths", list);
  }
  bt_xberth_word(it->load, it->n, "scheme", schemes, it->place);
  bt_xberth_word(it->load, it->n, "client_address", ways, it->place);
  maintenance(it);
}

static void tcp_item(const struct item *it) {
  static const char *const not_tcp[] = {"hosts", "paths", "scheme", "maintenance", NULL},
                           *const ways[] = {"none", "proxy-v1", "proxy-v2", NULL};
  refuse_keys(it, not_tcp, "is of HTTP routes; a TCP route is known by the port it listens on");
  if (!bt_yaml_get(it->n, "listen"))
    tell(it, it->n, NULL, "needs \"listen\", the port of the machine that connections come to");
  bt_xberth_number(it->load, it->n, "listen", 1, 65535, -1, it->place);
  bt_xberth_flag(it->load, it->n, "accept_proxy", false, it->place);
  bt_xberth_word(it->load, it->n, "client_address", ways, it->place);
}

static void share(const struct item *it) {
  const struct bt_yaml *n = bt_yaml_get(it->n, "share");
  if (n && (n->kind != BT_YAML_STR || !*n->text || strlen(n->text) > 63 ||
            strspn(n->text, "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(n->text)))
    bt_xberth_wrong(it->load, n, BT_PLACE_KEY(it->place, "share"), "a word of a-z, 0-9, _ and - that the other apps' routes have, too");
}

static void route(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  static const char *const keys[] = {"protocol", "hosts", "paths", "port", "listen", "scheme", "weight", "share", "tls", "sticky", "timeouts",
                                     "rate_limit", "maintenance", "accept_proxy", "client_address", NULL},
                           *const protocols[] = {"http", "tcp", NULL};
  struct item it = {load, n, place, false};
  if (!bt_xberth_only(load, n, place, keys))
    return;
  it.tcp = bt_streq(bt_xberth_word(load, n, "protocol", protocols, place), "tcp");
  if (!bt_yaml_get(n, "port"))
    tell(&it, n, NULL, "needs \"port\", the port inside the container");
  bt_xberth_number(load, n, "port", 1, 65535, -1, place);
  bt_xberth_number(load, n, "weight", 0, 1000, 100, place);
  share(&it);
  if (it.tcp)
    tcp_item(&it);
  else
    http_item(&it);
  tls(&it);
  sticky(&it);
  timeouts(&it);
  rate_limit(&it);
}

/* A request that both items mean, or NULL; the caller frees. */
static char *means_both(const struct bt_yaml *a, const struct bt_yaml *b) {
  BT_AUTO_ERR err = NULL;
  struct bt_routes one = {0}, other = {0};
  BT_AUTO_JSON first = json_pack("[o]", bt_yaml_json(a));
  BT_AUTO_JSON second = json_pack("[o]", bt_yaml_json(b));
  char *both = bt_routes_parse("", first, &one, &err) == 0 && bt_routes_parse("", second, &other, &err) == 0
                   ? bt_route_overlap(&one.items[0], &other.items[0])
                   : NULL;
  bt_routes_free(&one);
  bt_routes_free(&other);
  return both;
}

/* Two items of one service that mean the same request: only one could be. Where an item is wrong in itself nothing is compared. */
static void clashes(struct bt_load *load, const struct bt_yaml *routes, const struct bt_place *place) {
  if (load->diags->errors)
    return;
  for (size_t i = 1; i < routes->seq.len; i++)
    for (size_t j = 0; j < i; j++) {
      BT_AUTO_FREE char *both = means_both(routes->seq.items[i], routes->seq.items[j]);
      if (!both)
        continue;
      BT_AUTO_FREE char *where = bt_place_text(BT_PLACE_ITEM(place, i));
      bt_diag_error(load->diags, routes->seq.items[i]->loc, "%s means %s, as routes[%zu] does; keep one of them", where, both, j);
      break;
    }
}

void bt_xberth_routes(struct bt_load *load, struct bt_yaml *routes, const struct bt_place *place) {
  if (routes->kind != BT_YAML_SEQ || routes->seq.len > MAX_ROUTES) {
    bt_xberth_wrong(load, routes, place, "a list of at most 32 routes");
    return;
  }
  for (size_t i = 0; i < routes->seq.len; i++)
    route(load, routes->seq.items[i], BT_PLACE_ITEM(place, i));
  clashes(load, routes, place);
}

void bt_xberth_route_secrets(const struct bt_yaml *service, void (*found)(void *arg, const struct bt_yaml *name), void *arg) {
  const struct bt_yaml *routes = bt_yaml_get(bt_yaml_get(service, "x-berth"), "routes");
  for (size_t i = 0; routes && routes->kind == BT_YAML_SEQ && i < routes->seq.len; i++) {
    const struct bt_yaml *n = bt_yaml_get(routes->seq.items[i], "tls");
    const struct bt_yaml *name = n && n->kind == BT_YAML_MAP ? bt_yaml_get(n, "secret") : n;
    if (name && name->kind == BT_YAML_STR && *name->text)
      found(arg, name);
  }
}
