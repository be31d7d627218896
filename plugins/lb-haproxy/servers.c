#include "servers.h"

/* ---------------------------------------------------------------- tables */

static void server_free(struct lbh_server *s) {
  free(s->name);
  free(s->address);
}

void lbh_table_free(struct lbh_table *t) {
  for (size_t i = 0; i < t->len; i++) {
    for (size_t j = 0; j < t->items[i].len; j++)
      server_free(&t->items[i].items[j]);
    free(t->items[i].items);
    free(t->items[i].name);
  }
  free(t->items);
  *t = (struct lbh_table){0};
}

static void *grow(void *items, size_t len, size_t *cap, size_t size) {
  if (len < *cap)
    return items;
  *cap = *cap ? *cap * 2 : 8;
  items = realloc(items, *cap * size);
  if (!items)
    abort();
  return items;
}

static int backend_at(const void *key, const void *item) { return strcmp(key, ((const struct lbh_backend *)item)->name); }
static int server_at(const void *key, const void *item) { return strcmp(key, ((const struct lbh_server *)item)->name); }

static void *search(const char *key, const void *items, size_t n, size_t size, int (*cmp)(const void *key, const void *item)) {
  return n ? bsearch(key, items, n, size, cmp) : NULL;
}

struct lbh_backend *lbh_table_find(const struct lbh_table *t, const char *backend) {
  return search(backend, t->items, t->len, sizeof *t->items, backend_at);
}

struct lbh_server *lbh_backend_find(const struct lbh_backend *b, const char *server) {
  return search(server, b->items, b->len, sizeof *b->items, server_at);
}

/* Where it belongs by its name: what is added in order costs no moving. */
#define PLACE(vec, key_)                                                                             \
  size_t at = (vec)->len;                                                                            \
  while (at > 0 && strcmp((vec)->items[at - 1].name, key_) > 0)                                      \
    at--;                                                                                            \
  (vec)->items = grow((vec)->items, (vec)->len, &(vec)->cap, sizeof *(vec)->items);                  \
  memmove((vec)->items + at + 1, (vec)->items + at, ((vec)->len - at) * sizeof *(vec)->items);       \
  memset(&(vec)->items[at], 0, sizeof *(vec)->items);                                                \
  (vec)->items[at].name = pu_strdup(key_);                                                           \
  (vec)->len++

struct lbh_backend *lbh_table_add(struct lbh_table *t, const char *backend) {
  struct lbh_backend *there = lbh_table_find(t, backend);
  if (there)
    return there;
  PLACE(t, backend);
  return &t->items[at];
}

struct lbh_server *lbh_backend_add(struct lbh_backend *b, const char *server) {
  struct lbh_server *there = lbh_backend_find(b, server);
  if (there)
    return there;
  PLACE(b, server);
  return &b->items[at];
}

void lbh_backend_append(struct lbh_backend *b, struct lbh_server server) {
  b->items = grow(b->items, b->len, &b->cap, sizeof *b->items);
  b->items[b->len++] = server;
}

static void backend_drop(struct lbh_backend *b, const char *server) {
  struct lbh_server *s = lbh_backend_find(b, server);
  if (!s)
    return;
  server_free(s);
  size_t at = (size_t)(s - b->items);
  memmove(s, s + 1, (b->len - at - 1) * sizeof *s);
  b->len--;
}

/* ---------------------------------------------------------------- what should be */

/* What one unit of an endpoint's weight is worth in this target: the target's share, spread over its ready endpoints. */
static double unit_of(const struct lbh_target *target, const struct lbh_pool *pool) {
  double sum = 0;
  for (size_t i = 0; pool && i < pool->len; i++)
    sum += pool->items[i].drain ? 0 : pool->items[i].weight;
  return sum > 0 ? target->weight / sum : 0;
}

/* The largest weight of all becomes HAProxy's largest, so that small shares do not vanish. */
static double scale_of(const struct lbh_state *s, const struct lbh_route *r) {
  double most = 0;
  for (size_t i = 0; i < r->ntargets; i++) {
    const struct lbh_pool *pool = lbh_state_pool(s, r->targets[i].pool);
    double unit = unit_of(&r->targets[i], pool);
    for (size_t j = 0; pool && j < pool->len; j++)
      if (unit * pool->items[j].weight > most && !pool->items[j].drain)
        most = unit * pool->items[j].weight;
  }
  return most > 0 ? LBH_MAX_WEIGHT / most : 0;
}

static int weight_of(double value) {
  int weight = (int)(value + 0.5);
  return weight > LBH_MAX_WEIGHT ? LBH_MAX_WEIGHT : weight < 1 && value > 0 ? 1 : weight;
}

static int by_server(const void *a, const void *b) { return strcmp(((const struct lbh_server *)a)->name, ((const struct lbh_server *)b)->name); }

void lbh_backend_sort(struct lbh_backend *b) {
  if (b->len > 1)
    qsort(b->items, b->len, sizeof *b->items, by_server);
  size_t kept = 0;
  for (size_t i = 0; i < b->len; i++) /* an endpoint of two pools of one route stands once */
    if (kept && strcmp(b->items[kept - 1].name, b->items[i].name) == 0)
      server_free(&b->items[i]);
    else
      b->items[kept++] = b->items[i];
  b->len = kept;
}

static void want_route(const struct lbh_state *s, const struct lbh_route *r, struct lbh_backend *b) {
  double scale = scale_of(s, r);
  for (size_t i = 0; i < r->ntargets; i++) {
    const struct lbh_pool *pool = lbh_state_pool(s, r->targets[i].pool);
    double unit = unit_of(&r->targets[i], pool);
    for (size_t j = 0; pool && j < pool->len; j++) {
      const struct lbh_endpoint *e = &pool->items[j];
      lbh_backend_append(b, (struct lbh_server){.name = pu_strdup(e->id),
                                                .address = pu_strdup(e->address),
                                                .port = e->port,
                                                .weight = e->drain ? 0 : weight_of(unit * e->weight * scale),
                                                .ready = !e->drain});
    }
  }
  lbh_backend_sort(b);
}

void lbh_table_want(const struct lbh_state *s, struct lbh_table *out) {
  *out = (struct lbh_table){0};
  for (size_t i = 0; i < s->nroutes; i++)
    if (!s->routes[i].refused)
      want_route(s, &s->routes[i], lbh_table_add(out, s->routes[i].backend));
}

/* ---------------------------------------------------------------- from one to the other */

char *lbh_server_words(const struct lbh_route *route) {
  const char *way = pu_str_or(route->json, "client_address", "");
  struct pu_buf b = {0};
  if (pu_eq(pu_str(route->json, "scheme"), "https"))
    pu_buf_adds(&b, " ssl verify none");
  if (pu_eq(way, "proxy-v1"))
    pu_buf_adds(&b, " send-proxy");
  else if (pu_eq(way, "proxy-v2"))
    pu_buf_adds(&b, " send-proxy-v2");
  return pu_buf_steal(&b);
}

static void push(struct lbh_commands *out, enum lbh_step step, const struct lbh_backend *b, const char *server, const struct lbh_server *to,
                 char *text_steal) {
  out->items = grow(out->items, out->len, &out->cap, sizeof *out->items);
  out->items[out->len++] = (struct lbh_command){step, pu_strdup(b->name), pu_strdup(server), to ? *to : (struct lbh_server){0}, text_steal};
}

/* A server that is added at run time gets its cookie only when its address changes: so it comes with another port first. And it keeps
 * idle connections for the next client, as those of the configuration do, only where it is told so. */
static char *add_text(const struct lbh_route *r, const struct lbh_backend *b, const struct lbh_server *s) {
  PU_AUTO_FREE spoken = lbh_server_words(r);
  PU_AUTO_FREE words = pu_asprintf("%s%s", spoken, r->tcp ? "" : " pool-max-conn -1 pool-purge-delay 5s");
  bool v6 = strchr(s->address, ':') != NULL;
  PU_AUTO_FREE at = pu_asprintf(v6 ? "[%s]" : "%s", s->address);
  if (!pu_eq(pu_str(pu_obj(r->json, "sticky"), "by"), "cookie"))
    return pu_asprintf("add server %s/%s %s:%d weight %d%s;enable server %s/%s", b->name, s->name, at, s->port, s->weight, words, b->name, s->name);
  return pu_asprintf("add server %s/%s %s:%d weight %d%s;set server %s/%s addr %s port %d;enable server %s/%s", b->name, s->name, at,
                     s->port == 1 ? 2 : 1, s->weight, words, b->name, s->name, s->address, s->port, b->name, s->name);
}

static void come(const struct lbh_route *r, const struct lbh_backend *is, const struct lbh_backend *want, struct lbh_commands *out) {
  for (size_t i = 0; i < want->len; i++) {
    const struct lbh_server *w = &want->items[i], *h = lbh_backend_find(is, w->name);
    if (!w->ready)
      continue;
    if (!h) {
      push(out, LBH_ADD, is, w->name, w, add_text(r, is, w));
      continue;
    }
    if (h->port != w->port || strcmp(h->address, w->address) != 0)
      push(out, LBH_ADDRESS, is, w->name, w, pu_asprintf("set server %s/%s addr %s port %d", is->name, w->name, w->address, w->port));
    if (h->weight != w->weight)
      push(out, LBH_WEIGHT, is, w->name, w, pu_asprintf("set server %s/%s weight %d", is->name, w->name, w->weight));
    if (!h->ready)
      push(out, LBH_READY, is, w->name, w, pu_asprintf("set server %s/%s state ready", is->name, w->name));
  }
}

static void leave(const struct lbh_backend *is, const struct lbh_backend *want, struct lbh_commands *out) {
  for (size_t i = 0; i < is->len; i++) {
    const struct lbh_server *h = &is->items[i], *w = lbh_backend_find(want, h->name);
    if (w && w->ready)
      continue;
    if (h->ready)
      push(out, LBH_MAINT, is, h->name, w, pu_asprintf("set server %s/%s state maint", is->name, h->name));
    if (!w && !h->lingers)
      push(out, LBH_DELETE, is, h->name, NULL, pu_asprintf("del server %s/%s", is->name, h->name));
  }
}

void lbh_commands_make(const struct lbh_table *is, const struct lbh_table *want, const struct lbh_state *state, struct lbh_commands *out) {
  for (int leaving = 0; leaving <= 1; leaving++)
    for (size_t i = 0; i < state->nroutes; i++) {
      const struct lbh_route *r = &state->routes[i];
      const struct lbh_backend *w = lbh_table_find(want, r->backend), *h = lbh_table_find(is, r->backend);
      if (w && h && leaving)
        leave(h, w, out);
      else if (w && h)
        come(r, h, w, out);
    }
}

void lbh_commands_free(struct lbh_commands *c) {
  for (size_t i = 0; i < c->len; i++) {
    free(c->items[i].backend);
    free(c->items[i].server);
    free(c->items[i].text);
  }
  free(c->items);
  *c = (struct lbh_commands){0};
}

void lbh_command_done(struct lbh_table *is, const struct lbh_command *c) {
  struct lbh_backend *b = lbh_table_find(is, c->backend);
  if (!b)
    return;
  if (c->step == LBH_DELETE) {
    backend_drop(b, c->server);
    return;
  }
  struct lbh_server *s = lbh_backend_add(b, c->server);
  if (c->step == LBH_ADD || c->step == LBH_ADDRESS) {
    pu_set(&s->address, pu_strdup(c->to.address));
    s->port = c->to.port;
  }
  if (c->step == LBH_ADD || c->step == LBH_WEIGHT)
    s->weight = c->to.weight;
  if (c->step == LBH_ADD || c->step == LBH_READY || c->step == LBH_MAINT)
    s->ready = c->step != LBH_MAINT;
}
