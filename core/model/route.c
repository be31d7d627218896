#include "config.h"

#include "model/route.h"

#include "base/json.h"
#include "base/mem.h"
#include "model/service.h"

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void read_names(const json_t *item, const char *key, struct bt_strs *out) {
  size_t i;
  json_t *name;
  json_array_foreach(bt_json_arr(item, key), i, name) if (json_is_string(name)) bt_strs_add(out, json_string_value(name));
  if (out->len > 1)
    qsort(out->items, out->len, sizeof *out->items, by_name);
}

/* The first host and path name a route: of two routes that have both in common only one can be. A whole name goes before a star. */
static char *make_key(const struct bt_route *r) {
  if (r->tcp)
    return bt_asprintf("tcp/%d", r->listen);
  const char *host = r->hosts.len ? r->hosts.items[0] : "*";
  for (size_t i = 0; i < r->hosts.len && host[0] == '*'; i++)
    host = r->hosts.items[i][0] == '*' ? host : r->hosts.items[i];
  return bt_asprintf("%s%s", host, r->paths.len ? r->paths.items[0] : "/");
}

static int read_one(const char *service, const json_t *item, struct bt_route *r, struct bt_err **err) {
  r->json = item;
  r->tcp = bt_streq(bt_json_str(item, "protocol"), "tcp");
  r->port = (int)bt_json_int(item, "port", 0);
  r->listen = r->tcp ? (int)bt_json_int(item, "listen", 0) : 0;
  r->weight = (int)bt_json_int(item, "weight", 100);
  read_names(item, "hosts", &r->hosts);
  read_names(item, "paths", &r->paths);
  if (!r->tcp && !r->paths.len)
    bt_strs_add(&r->paths, "/");
  r->share = bt_strdup(bt_json_str(item, "share"));
  r->secret = bt_strdup(bt_json_str(bt_json_obj(item, "tls"), "secret"));
  r->key = make_key(r);
  if (r->port < 1 || r->port > 65535 || (r->tcp && (r->listen < 1 || r->listen > 65535)) || r->weight < 0 || r->weight > 1000)
    return bt_err_set(err, BT_INVALID, "service %s: x-berth.routes: a route needs a port%s from 1 to 65535 and a weight from 0 to 1000", service,
                      r->tcp ? " and listen" : "");
  return 0;
}

int bt_routes_parse(const char *service, const json_t *list, struct bt_routes *out, struct bt_err **err) {
  size_t i;
  json_t *item;
  json_array_foreach((json_t *)(uintptr_t)list, i, item) {
    struct bt_route r = {0};
    int rc = read_one(service, item, &r, err);
    bt_vec_push(out, r);
    for (size_t j = 0; rc == 0 && j < i; j++) {
      BT_AUTO_FREE char *both = bt_route_overlap(&out->items[j], &out->items[i]);
      if (both)
        rc = bt_err_set(err, BT_INVALID, "service %s: x-berth.routes: two of them mean %s; keep one", service, both);
    }
    if (rc)
      return -1;
  }
  return 0;
}

void bt_routes_free(struct bt_routes *routes) {
  for (size_t i = 0; i < routes->len; i++) {
    struct bt_route *r = &routes->items[i];
    bt_strs_free(&r->hosts);
    bt_strs_free(&r->paths);
    free(r->key);
    free(r->share);
    free(r->secret);
  }
  bt_vec_free(routes);
}

/* ---------------------------------------------------------------- two of them */

static bool same_names(const struct bt_strs *a, const struct bt_strs *b) {
  bool same = a->len == b->len;
  for (size_t i = 0; same && i < a->len; i++)
    same = bt_streq(a->items[i], b->items[i]);
  return same;
}

bool bt_route_same(const struct bt_route *a, const struct bt_route *b) {
  return a->tcp == b->tcp && a->listen == b->listen && same_names(&a->hosts, &b->hosts) && same_names(&a->paths, &b->paths);
}

/* "" stands for any host. A star and a name under it are different routes: the name goes first. */
static const char *common(const struct bt_strs *a, const struct bt_strs *b) {
  if (!a->len && !b->len)
    return "";
  for (size_t i = 0; i < a->len; i++)
    for (size_t j = 0; j < b->len; j++)
      if (bt_streq(a->items[i], b->items[j]))
        return a->items[i];
  return NULL;
}

char *bt_route_overlap(const struct bt_route *a, const struct bt_route *b) {
  if (a->tcp != b->tcp || a->listen != b->listen)
    return NULL;
  if (a->tcp)
    return bt_asprintf("port %d", a->listen);
  const char *host = common(&a->hosts, &b->hosts), *path = common(&a->paths, &b->paths);
  return host && path ? bt_asprintf("%s%s", *host ? host : "any host, ", path) : NULL;
}

/* Is the name one of those that the star stands for? Another star under it is, too. */
static bool under(const char *name, const char *star) {
  size_t n = strlen(name), tail = strlen(star);
  return star[0] == '*' && n >= tail && strcmp(name + n - (tail - 1), star + 1) == 0;
}

char *bt_route_common_host(const struct bt_route *a, const struct bt_route *b) {
  if (a->tcp || b->tcp)
    return NULL;
  if (!a->hosts.len && !b->hosts.len)
    return bt_strdup("any host");
  bt_vec_each(&a->hosts, x) bt_vec_each(&b->hosts, y) {
    if (bt_streq(*x, *y) || under(*x, *y) || under(*y, *x))
      return bt_strdup(*x);
  }
  return NULL;
}

const char *bt_route_differs(const struct bt_route *a, const struct bt_route *b) {
  static const char *const keys[] = {"protocol", "scheme", "tls", "sticky", "timeouts", "rate_limit", "maintenance", "accept_proxy",
                                     "client_address", "share"};
  for (size_t i = 0; i < BT_COUNT(keys); i++)
    if (!bt_json_equal(json_object_get(a->json, keys[i]), json_object_get(b->json, keys[i])))
      return keys[i];
  return NULL;
}

/* ---------------------------------------------------------------- what a load balancer gets */

static void copy(json_t *to, const json_t *from, const char *key) {
  json_t *value = json_object_get(from, key);
  if (value && !json_is_null(value))
    json_object_set(to, key, value);
}

static void copy_ms(json_t *to, const char *to_key, const json_t *from, const char *key) {
  if (bt_json_str(from, key))
    bt_json_set_int(to, to_key, bt_service_duration_ms(from, key, 0));
}

static void add_parts(json_t *o, const json_t *item) {
  const json_t *sticky = bt_json_obj(item, "sticky"), *timeouts = bt_json_obj(item, "timeouts");
  const json_t *limit = bt_json_obj(item, "rate_limit"), *maintenance = bt_json_obj(item, "maintenance");
  if (sticky) {
    json_t *s = json_object();
    copy(s, sticky, "by");
    copy(s, sticky, "cookie");
    copy_ms(s, "lifetime_ms", sticky, "lifetime");
    bt_json_set(o, "sticky", s);
  }
  if (timeouts) {
    json_t *t = json_object();
    copy_ms(t, "connect_ms", timeouts, "connect");
    copy_ms(t, "response_ms", timeouts, "response");
    copy_ms(t, "idle_ms", timeouts, "idle");
    bt_json_set(o, "timeouts", t);
  }
  if (limit) {
    json_t *l = json_object();
    copy(l, limit, "requests");
    copy_ms(l, "period_ms", limit, "period");
    bt_json_set(o, "rate_limit", l);
  }
  if (maintenance) {
    json_t *m = json_copy((json_t *)(uintptr_t)maintenance);
    json_object_del(m, "retry_after");
    if (bt_json_str(maintenance, "retry_after"))
      bt_json_set_int(m, "retry_after_s", bt_service_duration_ms(maintenance, "retry_after", 0) / 1000);
    bt_json_set(o, "maintenance", m);
  }
}

static json_t *names_json(const struct bt_strs *names) {
  json_t *list = json_array();
  bt_vec_each(names, name) json_array_append_new(list, json_string(*name));
  return list;
}

json_t *bt_route_lb_json(const struct bt_route *r) {
  json_t *o = json_object();
  bt_json_set_str(o, "protocol", r->tcp ? "tcp" : "http");
  if (r->tcp)
    bt_json_set_int(o, "port", r->listen);
  if (r->hosts.len)
    bt_json_set(o, "hosts", names_json(&r->hosts));
  if (!r->tcp)
    bt_json_set(o, "paths", names_json(&r->paths));
  copy(o, r->json, "scheme");
  copy(o, r->json, "client_address");
  if (bt_json_bool(r->json, "accept_proxy", false))
    bt_json_set_bool(o, "accept_proxy", true);
  add_parts(o, r->json);
  return o;
}

char *bt_route_url(const struct bt_route *r) {
  if (r->tcp)
    return bt_asprintf("%s://:%d", r->secret ? "tls" : "tcp", r->listen);
  return bt_asprintf("%s://%s", r->secret ? "https" : "http", r->key);
}
