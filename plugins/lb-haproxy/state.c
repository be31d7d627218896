#include "state.h"

#include <arpa/inet.h>

enum { max_id = 300, max_routes = 5000, max_endpoints = 20000 };

/* ---------------------------------------------------------------- names */

/* Readable in HAProxy's own logs and statistics, and unique by the hash. */
static char *backend_name(const char *id) {
  char *name = pu_asprintf("%.80s-%08x", id, (unsigned)pu_hash(id));
  for (char *p = name; *p; p++)
    if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", *p))
      *p = '_';
  return name;
}

static bool id_ok(const char *id) {
  if (!id || !*id || strlen(id) > max_id)
    return false;
  for (; *id; id++)
    if ((unsigned char)*id <= ' ' || (unsigned char)*id >= 0x7f || strchr("\"'\\#;", *id))
      return false;
  return true;
}

/* Of an endpoint: a server's name in HAProxy. */
static bool name_ok(const char *name) {
  return name && *name && strlen(name) <= 128 &&
         strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-") == strlen(name);
}

static bool address_ok(const char *address) {
  unsigned char bin[16];
  return address && (inet_pton(AF_INET, address, bin) == 1 || inet_pton(AF_INET6, address, bin) == 1);
}

/* ---------------------------------------------------------------- freeing */

static void endpoint_free(struct lbh_endpoint *e) {
  free(e->id);
  free(e->address);
}

static void route_free(struct lbh_route *r) {
  for (size_t i = 0; i < r->ntargets; i++)
    free(r->targets[i].pool);
  free(r->targets);
  free(r->id);
  free(r->backend);
  free(r->refused);
  json_decref(r->json);
}

void lbh_state_free(struct lbh_state *s) {
  for (size_t i = 0; i < s->nroutes; i++)
    route_free(&s->routes[i]);
  for (size_t i = 0; i < s->npools; i++) {
    for (size_t j = 0; j < s->pools[i].len; j++)
      endpoint_free(&s->pools[i].items[j]);
    free(s->pools[i].items);
    free(s->pools[i].id);
  }
  for (size_t i = 0; i < s->ncertificates; i++) {
    free(s->certificates[i].name);
    pu_wipe_free(s->certificates[i].pem);
  }
  free(s->routes);
  free(s->pools);
  free(s->certificates);
  *s = (struct lbh_state){0};
}

/* ---------------------------------------------------------------- reading */

static bool bad(char **why, char *sentence) {
  free(*why);
  *why = sentence;
  return false;
}

static bool only(const char *text, const char *letters) { return !text || strspn(text, letters) == strlen(text); }

/* What stands bare in HAProxy's configuration; all else is quoted there. */
static bool words_ok(const json_t *o) {
  const json_t *allow = pu_arr(pu_obj(o, "maintenance"), "allow"), *hosts = pu_arr(o, "hosts");
  bool good = only(pu_str(pu_obj(o, "sticky"), "cookie"), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
  for (size_t i = 0; i < json_array_size(allow); i++)
    good = good && only(json_string_value(json_array_get(allow, i)), "0123456789abcdefABCDEF.:/") && json_string_value(json_array_get(allow, i));
  for (size_t i = 0; i < json_array_size(hosts); i++)
    good = good && only(json_string_value(json_array_get(hosts, i)), "abcdefghijklmnopqrstuvwxyz0123456789._-*") && json_string_value(json_array_get(hosts, i));
  return good;
}

static bool read_route(json_t *o, struct lbh_route *r, char **why) {
  const char *id = pu_str(o, "id");
  if (!id_ok(id))
    return bad(why, pu_asprintf("a route has the id \"%.80s\", which is none", id ? id : ""));
  r->id = pu_strdup(id);
  r->backend = backend_name(id);
  r->json = json_incref(o);
  r->tcp = pu_eq(pu_str(o, "protocol"), "tcp");
  r->port = (int)pu_int(o, "port", 0);
  r->certificate = pu_str(pu_obj(o, "tls"), "certificate");
  if (!words_ok(o))
    return bad(why, pu_asprintf("route %s: its hosts, its cookie's name or the addresses that it allows are none", id));
  if (r->tcp && (r->port < 1 || r->port > 65535))
    return bad(why, pu_asprintf("route %s: a TCP route needs a port", id));
  const json_t *targets = pu_arr(o, "targets");
  r->targets = pu_calloc(json_array_size(targets), sizeof *r->targets);
  size_t i;
  json_t *t;
  json_array_foreach((json_t *)(uintptr_t)targets, i, t) {
    int64_t weight = pu_int(t, "weight", 100);
    r->targets[r->ntargets++] = (struct lbh_target){pu_strdup(pu_str_or(t, "pool", "")), (int)(weight < 0 ? 0 : weight > 1000 ? 1000 : weight)};
  }
  return true;
}

static bool read_endpoint(const json_t *o, const char *id, struct lbh_endpoint *e, char **why) {
  const char *address = pu_str(o, "address");
  int64_t port = pu_int(o, "port", 0), weight = pu_int(o, "weight", 100);
  if (!name_ok(id) || !address_ok(address) || port < 1 || port > 65535)
    return bad(why, pu_asprintf("endpoint \"%.80s\" has no good address and port (%.60s, %lld)", id ? id : "", address ? address : "none",
                                (long long)port));
  *e = (struct lbh_endpoint){.id = pu_strdup(id),
                             .address = pu_strdup(address),
                             .port = (int)port,
                             .weight = (int)(weight < 1 ? 1 : weight > 1000 ? 1000 : weight),
                             .drain = pu_eq(pu_str(o, "state"), "drain")};
  return true;
}

static struct lbh_endpoint *find_endpoint(const struct lbh_pool *pool, const char *id) {
  for (size_t i = 0; i < pool->len; i++)
    if (strcmp(pool->items[i].id, id) == 0)
      return &pool->items[i];
  return NULL;
}

static void append_endpoint(struct lbh_pool *pool, struct lbh_endpoint e) {
  if (pool->len == pool->cap) {
    pool->cap = pool->cap ? pool->cap * 2 : 8;
    pool->items = realloc(pool->items, pool->cap * sizeof *pool->items);
    if (!pool->items)
      abort();
  }
  pool->items[pool->len++] = e;
}

static void put_endpoint(struct lbh_pool *pool, struct lbh_endpoint e) {
  struct lbh_endpoint *there = find_endpoint(pool, e.id);
  if (!there) {
    append_endpoint(pool, e);
    return;
  }
  endpoint_free(there);
  *there = e;
}

static bool read_pool(const json_t *o, struct lbh_pool *pool, char **why) {
  const char *id = pu_str(o, "id");
  if (!id_ok(id))
    return bad(why, pu_strdup("a pool has no id"));
  pool->id = pu_strdup(id);
  size_t i;
  json_t *item;
  json_array_foreach(pu_arr(o, "endpoints"), i, item) {
    struct lbh_endpoint e;
    if (!read_endpoint(item, pu_str(item, "id"), &e, why))
      return false;
    append_endpoint(pool, e); /* a name that came twice would be HAProxy's to refuse */
  }
  return true;
}

static int by_id(const void *a, const void *b) { return strcmp(((const struct lbh_route *)a)->id, ((const struct lbh_route *)b)->id); }

static int by_pool(const void *a, const void *b) { return strcmp(((const struct lbh_pool *)a)->id, ((const struct lbh_pool *)b)->id); }
static int by_name(const void *a, const void *b) { return strcmp(((const struct lbh_certificate *)a)->name, ((const struct lbh_certificate *)b)->name); }

static bool read_all(const json_t *o, struct lbh_state *s, char **why) {
  json_t *routes = pu_arr(o, "routes"), *pools = pu_arr(o, "pools"), *certificates = pu_arr(o, "certificates"), *item;
  size_t i;
  if (json_array_size(routes) > max_routes)
    return bad(why, pu_asprintf("there are %zu routes; HAProxy gets at most %d", json_array_size(routes), max_routes));
  s->revision = pu_int(o, "revision", 0);
  s->routes = pu_calloc(json_array_size(routes), sizeof *s->routes);
  s->pools = pu_calloc(json_array_size(pools), sizeof *s->pools);
  s->certificates = pu_calloc(json_array_size(certificates), sizeof *s->certificates);
  json_array_foreach(routes, i, item) if (!read_route(item, &s->routes[s->nroutes++], why)) return false;
  json_array_foreach(pools, i, item) if (!read_pool(item, &s->pools[s->npools++], why)) return false;
  json_array_foreach(certificates, i, item) s->certificates[s->ncertificates++] =
      (struct lbh_certificate){pu_strdup(pu_str_or(item, "name", "")), pu_strdup(pu_str(item, "pem"))};
  if (s->nroutes > 1)
    qsort(s->routes, s->nroutes, sizeof *s->routes, by_id);
  if (s->npools > 1)
    qsort(s->pools, s->npools, sizeof *s->pools, by_pool);
  if (s->ncertificates > 1)
    qsort(s->certificates, s->ncertificates, sizeof *s->certificates, by_name);
  return true;
}

bool lbh_state_read(const char *text, struct lbh_state *out, char **why) {
  PU_AUTO_JSON o = pu_json_parse(text, strlen(text));
  *out = (struct lbh_state){0};
  if (!json_is_object(o))
    return bad(why, pu_strdup("the state is no JSON object"));
  if (read_all(o, out, why))
    return true;
  lbh_state_free(out);
  return false;
}

/* ---------------------------------------------------------------- looking up and changing */

struct lbh_pool *lbh_state_pool(const struct lbh_state *s, const char *id) {
  const struct lbh_pool key = {.id = (char *)(uintptr_t)id};
  return s->npools ? bsearch(&key, s->pools, s->npools, sizeof key, by_pool) : NULL;
}

const struct lbh_certificate *lbh_state_certificate(const struct lbh_state *s, const char *name) {
  const struct lbh_certificate key = {.name = (char *)(uintptr_t)name};
  return s->ncertificates ? bsearch(&key, s->certificates, s->ncertificates, sizeof key, by_name) : NULL;
}

static void drop_endpoint(struct lbh_pool *pool, const char *id) {
  struct lbh_endpoint *e = find_endpoint(pool, id);
  if (!e)
    return;
  endpoint_free(e);
  *e = pool->items[--pool->len];
}

static bool change(struct lbh_state *s, const json_t *o, bool *unknown, char **why) {
  const char *id = pu_str(o, "endpoint"), *where = pu_str_or(o, "pool", "");
  struct lbh_pool *pool = lbh_state_pool(s, where);
  if (!pool) {
    *unknown = true;
    return bad(why, pu_asprintf("the pool \"%.100s\" is not known: apply the whole state", where));
  }
  if (pu_eq(pu_str(o, "state"), "gone")) {
    drop_endpoint(pool, id ? id : "");
    return true;
  }
  struct lbh_endpoint e;
  if (!read_endpoint(o, id, &e, why))
    return false;
  if (pool->len >= max_endpoints) {
    endpoint_free(&e);
    return bad(why, pu_asprintf("pool %s has %d endpoints; more are not taken", where, max_endpoints));
  }
  put_endpoint(pool, e);
  return true;
}

bool lbh_state_change(struct lbh_state *s, const char *text, bool *unknown, char **why) {
  PU_AUTO_JSON o = pu_json_parse(text, strlen(text));
  size_t i;
  json_t *item;
  *unknown = false;
  if (!json_is_object(o))
    return bad(why, pu_strdup("the changes are no JSON object"));
  json_array_foreach(pu_arr(o, "changes"), i, item) if (!change(s, item, unknown, why)) return false;
  return true;
}

bool lbh_state_drain(struct lbh_state *s, const char *endpoint) {
  bool found = false;
  for (size_t i = 0; i < s->npools; i++) {
    struct lbh_endpoint *e = find_endpoint(&s->pools[i], endpoint);
    if (e)
      e->drain = found = true;
  }
  return found;
}
