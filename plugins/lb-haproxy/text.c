#include "text.h"

#include <ctype.h>
#include <stdio.h>

/* The text as it grows, and whose line is whose. */
struct gen {
  const struct lbh_settings *s;
  const struct lbh_state *state;
  const struct lbh_table *want; /* NULL: without servers, for the hash */
  struct pu_buf text;
  int *owners;
  size_t lines, cap;
  int owner;
  bool any_http, any_tls;
  const char *user;
};

static void __attribute__((format(printf, 2, 3))) line(struct gen *g, const char *fmt, ...) {
  va_list ap, again;
  char usual[256], *text = usual;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(usual, sizeof usual, fmt, ap);
  if ((size_t)n >= sizeof usual) {
    text = pu_calloc(1, (size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, fmt, again);
  }
  va_end(ap);
  va_end(again);
  for (char *p = text; *p; p++)
    if ((unsigned char)*p < ' ') /* whatever came from outside: a line stays one */
      *p = ' ';
  pu_buf_add(&g->text, text, (size_t)n);
  pu_buf_addc(&g->text, '\n');
  if (text != usual)
    free(text);
  if (g->lines + 1 >= g->cap) {
    g->cap = g->cap ? g->cap * 2 : 256;
    g->owners = realloc(g->owners, g->cap * sizeof *g->owners);
    if (!g->owners)
      abort();
  }
  g->owners[++g->lines] = g->owner;
}

static bool in(const struct lbh_route *r) { return !r->refused; }

/* ---------------------------------------------------------------- files */

static char *clean_path(const struct lbh_settings *s, const char *folder, const char *name, const char *end) {
  PU_AUTO_FREE clean = pu_asprintf("%.120s", name);
  for (char *p = clean; *p; p++)
    if (!isalnum((unsigned char)*p) && *p != '_' && *p != '-')
      *p = '_';
  return pu_asprintf("%s/%s/%s-%08x%s", s->dir, folder, clean, (unsigned)pu_hash(name), end);
}

char *lbh_certificate_path(const struct lbh_settings *s, const char *name) { return clean_path(s, "certs", name, ".pem"); }
char *lbh_list_path(const struct lbh_settings *s) { return pu_asprintf("%s/certs/list.txt", s->dir); }

/* Its name changes with its content, so that a change of the page is a change of the configuration. */
char *lbh_page_path(const struct lbh_settings *s, const struct lbh_route *r) {
  PU_AUTO_FREE both = pu_asprintf("%s\n%s", r->backend, pu_str_or(pu_obj(r->json, "maintenance"), "body", ""));
  uint64_t h = 14695981039346656037u;
  for (const char *p = both; *p; p++)
    h = (h ^ (unsigned char)*p) * 1099511628211u;
  return pu_asprintf("%s/pages/%s-%016llx.txt", s->dir, r->backend, (unsigned long long)h);
}

/* ---------------------------------------------------------------- global */

static void global_section(struct gen *g, const char *hash) {
  const struct lbh_settings *s = g->s;
  line(g, "# Written by Berth (lb-haproxy): changes are lost. What is to be set stands in berthd.yaml.");
  line(g, "global");
  line(g, "  description berth-%s", hash);
  if (s->attach)
    return;
  line(g, "  localpeer berth");
  line(g, "  stats socket %s mode 600 level admin expose-fd listeners", s->stats_socket);
  line(g, "  stats timeout 10m");
  line(g, "  hard-stop-after %lldms", (long long)s->hard_stop_ms);
  line(g, "  ssl-default-bind-options ssl-min-ver TLSv1.2");
  line(g, "  tune.ssl.default-dh-param 2048");
  if (s->maxconn)
    line(g, "  maxconn %d", s->maxconn);
  if (g->user)
    line(g, "  user %s", g->user);
  if (s->log)
    line(g, "  log %s", s->log);
}

/* ---------------------------------------------------------------- tables */

static bool by_address(const struct lbh_route *r) { return pu_eq(pu_str(pu_obj(r->json, "sticky"), "by"), "address"); }

/* Who sticks by his address, and what rates are made of, is kept in a table. */
static bool has_table(const struct lbh_route *r) { return by_address(r) || pu_obj(r->json, "rate_limit"); }

/* The section that a worker which a reload replaces teaches its tables through: to its successor, over a socket that only they can
 * open. The path is relative, since the worker's user need not be able to walk there: HAProxy is started in that folder. */
static void peers_section(struct gen *g) {
  bool any = false;
  for (size_t i = 0; i < g->state->nroutes && !any; i++)
    any = in(&g->state->routes[i]) && has_table(&g->state->routes[i]);
  if (g->s->attach || !any)
    return;
  line(g, "peers berth");
  line(g, "  bind unix@peer.sock mode 600%s%s", g->user ? " user " : "", g->user ? g->user : "");
  line(g, "  server berth");
}

/* ---------------------------------------------------------------- addresses */

enum { words_a_line = 32 }; /* HAProxy takes 64 */

/* A condition of the name, true for clients from these addresses. */
static void sources(struct gen *g, const char *name, size_t n, const char *(*item)(const void *list, size_t i), const void *list) {
  struct pu_buf b = {0};
  for (size_t i = 0; i < n; i++) {
    pu_buf_addf(&b, " %s", item(list, i));
    if ((i + 1) % words_a_line && i + 1 < n)
      continue;
    PU_AUTO_FREE some = pu_buf_steal(&b);
    line(g, "  acl %s src%s", name, some);
  }
}

static const char *of_json(const void *list, size_t i) { return json_string_value(json_array_get(list, i)); }
static const char *of_list(const void *list, size_t i) { return ((const struct lbh_list *)list)->items[i]; }

/* ---------------------------------------------------------------- which route a request is for */

/* One host and one path of a route. */
struct rule {
  const struct lbh_route *route;
  int owner;
  const char *host, *path; /* host "": any */
};

static int kind_of(const char *host) { return !*host ? 2 : host[0] == '*' ? 1 : 0; }

/* The exact host, then the longest star, then any; of one host, the longest path. */
static int by_precedence(const void *x, const void *y) {
  const struct rule *a = x, *b = y;
  int kind = kind_of(a->host) - kind_of(b->host);
  if (kind)
    return kind;
  if (kind_of(a->host) == 1 && strlen(a->host) != strlen(b->host))
    return strlen(a->host) > strlen(b->host) ? -1 : 1;
  int host = strcmp(a->host, b->host);
  if (host)
    return host;
  if (strlen(a->path) != strlen(b->path))
    return strlen(a->path) > strlen(b->path) ? -1 : 1;
  return strcmp(a->path, b->path);
}

static size_t rules_of(const struct gen *g, bool tls, struct rule **out) {
  size_t n = 0, cap = 0;
  struct rule *rules = NULL;
  for (size_t i = 0; i < g->state->nroutes; i++) {
    const struct lbh_route *r = &g->state->routes[i];
    const json_t *hosts = pu_arr(r->json, "hosts"), *paths = pu_arr(r->json, "paths");
    size_t nh = json_array_size(hosts), np = json_array_size(paths);
    if (r->tcp || !in(r) || (tls && !r->certificate))
      continue;
    for (size_t h = 0; h < (nh ? nh : 1); h++)
      for (size_t p = 0; p < (np ? np : 1); p++) {
        const char *host = nh ? json_string_value(json_array_get(hosts, h)) : "", *path = np ? json_string_value(json_array_get(paths, p)) : "/";
        if (n == cap) {
          cap = cap ? cap * 2 : 64;
          rules = realloc(rules, cap * sizeof *rules);
          if (!rules)
            abort();
        }
        rules[n++] = (struct rule){r, (int)i, host ? host : "", path ? path : "/"};
      }
  }
  if (n > 1)
    qsort(rules, n, sizeof *rules, by_precedence);
  *out = rules;
  return n;
}

/* HAProxy's own words for text: nothing in it may end the quotes. */
static char *quoted(const char *text) {
  struct pu_buf b = {0};
  pu_buf_addc(&b, '"');
  for (; *text; text++) {
    if (strchr("\"\\$", *text))
      pu_buf_addc(&b, '\\');
    if ((unsigned char)*text >= ' ' && *text != 0x7f)
      pu_buf_addc(&b, *text);
  }
  pu_buf_addc(&b, '"');
  return pu_buf_steal(&b);
}

static void rule_line(struct gen *g, const struct rule *r) {
  struct pu_buf b = {0};
  if (kind_of(r->host) == 0) {
    PU_AUTO_FREE host = quoted(r->host);
    pu_buf_addf(&b, " { var(txn.host) -m str %s }", host);
  } else if (kind_of(r->host) == 1) {
    PU_AUTO_FREE host = quoted(r->host + 1);
    pu_buf_addf(&b, " { var(txn.host) -m end %s }", host);
  }
  if (strcmp(r->path, "/") != 0) {
    PU_AUTO_FREE dir = pu_asprintf("%s/", r->path);
    PU_AUTO_FREE path = quoted(dir);
    pu_buf_addf(&b, " { var(txn.dir) -m beg %s }", path);
  }
  PU_AUTO_FREE conditions = pu_buf_steal(&b);
  g->owner = r->owner;
  line(g, "  use_backend %s%s%s", r->route->backend, *conditions ? " if" : "", conditions);
  g->owner = -1;
}

static void logging(struct gen *g, bool http) {
  if (!g->s->log)
    return;
  line(g, "  log global");
  line(g, http ? "  option httplog" : "  option tcplog");
}

static void shared_frontend(struct gen *g, const char *name, const struct lbh_list *listens, bool tls) {
  struct rule *rules;
  size_t n = rules_of(g, tls, &rules);
  if (n && listens->len) {
    *(tls ? &g->any_tls : &g->any_http) = true;
    line(g, "frontend %s", name);
    line(g, "  mode http");
    PU_AUTO_FREE list = lbh_list_path(g->s);
    for (size_t i = 0; i < listens->len; i++)
      if (tls)
        line(g, "  bind %s ssl crt-list %s alpn h2,http/1.1", listens->items[i], list);
      else
        line(g, "  bind %s", listens->items[i]);
    logging(g, true);
    line(g, "  timeout client %lldms", (long long)g->s->client_timeout_ms);
    line(g, "  timeout http-request %lldms", (long long)g->s->client_timeout_ms);
    line(g, "  option idle-close-on-response"); /* a reload hangs up on nobody who waits with his next request */
    for (size_t i = 0; i < g->s->accept_proxy_from.len; i++)
      line(g, "  tcp-request connection expect-proxy layer4 if { src %s }", g->s->accept_proxy_from.items[i]);
    line(g, "  http-request set-var(txn.host) req.hdr(host),host_only,lower");
    line(g, "  http-request set-var(txn.dir) path,concat(/)");
    for (size_t i = 0; i < n; i++)
      rule_line(g, &rules[i]);
    line(g, "  default_backend berth-none");
  }
  free(rules);
}

/* ---------------------------------------------------------------- backends */

static void timeouts(struct gen *g, const struct lbh_route *r) {
  const json_t *t = pu_obj(r->json, "timeouts");
  long long idle = pu_int(t, "idle_ms", 3600000), response = pu_int(t, "response_ms", 60000);
  line(g, "  timeout connect %lldms", (long long)pu_int(t, "connect_ms", 2000));
  line(g, "  timeout server %lldms", r->tcp ? idle : response);
  if (!r->tcp)
    line(g, "  timeout tunnel %lldms", idle);
}

/* A backend has one table: for those who stick by their address and for the rates of all. */
static void table_lines(struct gen *g, const struct lbh_route *r) {
  const json_t *sticky = pu_obj(r->json, "sticky"), *limit = pu_obj(r->json, "rate_limit");
  const char *peers = g->s->attach ? g->s->peers : "berth";
  long long lifetime = by_address(r) ? pu_int(sticky, "lifetime_ms", 1800000) : 0, period = pu_int(limit, "period_ms", 1000);
  if (has_table(r)) {
    struct pu_buf b = {0};
    pu_buf_addf(&b, "  stick-table type ipv6 size 100k expire %lldms", lifetime > 2 * period ? lifetime : 2 * period);
    if (limit)
      pu_buf_addf(&b, " store %s(%lldms)", r->tcp ? "conn_rate" : "http_req_rate", period);
    if (peers)
      pu_buf_addf(&b, " peers %s", peers);
    PU_AUTO_FREE text = pu_buf_steal(&b);
    line(g, "%s", text);
  }
  if (by_address(r))
    line(g, "  stick on src");
  if (pu_eq(pu_str(sticky, "by"), "cookie")) {
    line(g, "  dynamic-cookie-key %s", r->backend);
    line(g, "  cookie %s insert indirect nocache httponly dynamic%s", pu_str_or(sticky, "cookie", "berth"),
         r->certificate && pu_bool(pu_obj(r->json, "tls"), "redirect", true) ? " secure" : "");
  }
}

static void redirect(struct gen *g, const struct lbh_route *r) {
  if (!r->certificate || !g->s->https.len || !pu_bool(pu_obj(r->json, "tls"), "redirect", true))
    return;
  int port = lbh_listen_port(g->s->https.items[0]);
  PU_AUTO_FREE suffix = port == 443 ? pu_strdup("") : pu_asprintf(":%d", port);
  line(g, "  http-request redirect location https://%%[var(txn.host)]%s%%[pathq] code 308 unless { ssl_fc }", suffix);
}

static void maintenance(struct gen *g, const struct lbh_route *r) {
  const json_t *m = pu_obj(r->json, "maintenance"), *allow = pu_arr(m, "allow");
  if (!m)
    return;
  PU_AUTO_FREE type = quoted(pu_str_or(m, "content_type", "text/plain"));
  PU_AUTO_FREE page = lbh_page_path(g->s, r);
  struct pu_buf b = {0};
  pu_buf_addf(&b, "  http-request return status %d content-type %s file %s", (int)pu_int(m, "status", 503), type, page);
  if (pu_int(m, "retry_after_s", 0))
    pu_buf_addf(&b, " hdr retry-after %lld", (long long)pu_int(m, "retry_after_s", 0));
  sources(g, "berth-allowed", json_array_size(allow), of_json, allow);
  if (json_array_size(allow))
    pu_buf_adds(&b, " unless berth-allowed");
  PU_AUTO_FREE text = pu_buf_steal(&b);
  line(g, "%s", text);
}

static void rate_limit(struct gen *g, const struct lbh_route *r) {
  const json_t *limit = pu_obj(r->json, "rate_limit");
  if (!limit)
    return;
  long long n = pu_int(limit, "requests", 1), period = pu_int(limit, "period_ms", 1000);
  line(g, "  http-request track-sc0 src");
  line(g, "  http-request return status 429 content-type text/plain string \"Too many requests\\n\" hdr retry-after %lld if { sc_http_req_rate(0) gt %lld }",
       (period + 999) / 1000, n);
}

/* The address that the connection came from, unless those who may speak for others said another one. */
static void client_address(struct gen *g, const struct lbh_route *r) {
  if (!pu_eq(pu_str_or(r->json, "client_address", "header"), "header"))
    return;
  if (g->s->trust_forwarded_from.len) {
    sources(g, "berth-trusted", g->s->trust_forwarded_from.len, of_list, &g->s->trust_forwarded_from);
    line(g, "  http-request set-header X-Forwarded-For %%[src] unless berth-trusted");
    line(g, "  http-request add-header X-Forwarded-For %%[src] if berth-trusted");
    line(g, "  http-request set-header X-Forwarded-Proto %%[ssl_fc,iif(https,http)] unless berth-trusted { req.hdr(x-forwarded-proto) -m found }");
  } else {
    line(g, "  http-request set-header X-Forwarded-For %%[src]");
    line(g, "  http-request set-header X-Forwarded-Proto %%[ssl_fc,iif(https,http)]");
  }
  line(g, "  http-request set-header X-Forwarded-Host %%[req.hdr(host)]");
  line(g, "  http-request set-header X-Forwarded-Port %%[dst_port]");
}

static void servers(struct gen *g, const struct lbh_route *r) {
  const struct lbh_backend *b = g->want ? lbh_table_find(g->want, r->backend) : NULL;
  PU_AUTO_FREE words = lbh_server_words(r);
  if (!g->want) {
    line(g, "  # servers:%s", words);
    return;
  }
  for (size_t i = 0; b && i < b->len; i++) {
    const struct lbh_server *s = &b->items[i];
    if (s->ready)
      line(g, strchr(s->address, ':') ? "  server %s [%s]:%d weight %d%s" : "  server %s %s:%d weight %d%s", s->name, s->address, s->port, s->weight,
           words);
  }
}

static void http_backend(struct gen *g, const struct lbh_route *r) {
  line(g, "backend %s", r->backend);
  line(g, "  mode http");
  line(g, "  balance roundrobin");
  line(g, "  option redispatch 1");
  timeouts(g, r);
  table_lines(g, r);
  redirect(g, r);
  rate_limit(g, r);
  maintenance(g, r);
  client_address(g, r);
  servers(g, r);
}

static void tcp_route(struct gen *g, const struct lbh_route *r) {
  const json_t *limit = pu_obj(r->json, "rate_limit");
  line(g, "frontend %s", r->backend);
  line(g, "  mode tcp");
  PU_AUTO_FREE pem = r->certificate ? lbh_certificate_path(g->s, r->certificate) : NULL;
  line(g, "  bind %s:%d%s%s%s", g->s->tcp_address, r->port, pu_bool(r->json, "accept_proxy", false) ? " accept-proxy" : "", pem ? " ssl crt " : "",
       pem ? pem : "");
  logging(g, false);
  line(g, "  timeout client %lldms", (long long)pu_int(pu_obj(r->json, "timeouts"), "idle_ms", 3600000));
  if (limit) {
    line(g, "  tcp-request session track-sc0 src table %s", r->backend);
    line(g, "  tcp-request session reject if { sc_conn_rate(0,%s) gt %lld }", r->backend, (long long)pu_int(limit, "requests", 1));
  }
  line(g, "  default_backend %s", r->backend);
  line(g, "backend %s", r->backend);
  line(g, "  mode tcp");
  line(g, "  balance roundrobin");
  line(g, "  option redispatch 1");
  timeouts(g, r);
  table_lines(g, r);
  servers(g, r);
}

/* ---------------------------------------------------------------- the whole */

/* Certificates for the shared ports: each with the names it is for. One that stands for any name comes first: it is what a client gets
 * that asks for none that is known. */
static char *make_list(const struct gen *g) {
  struct pu_buf first = {0}, rest = {0};
  for (size_t i = 0; i < g->state->nroutes; i++) {
    const struct lbh_route *r = &g->state->routes[i];
    const json_t *hosts = pu_arr(r->json, "hosts");
    if (r->tcp || !in(r) || !r->certificate)
      continue;
    PU_AUTO_FREE pem = lbh_certificate_path(g->s, r->certificate);
    struct pu_buf *b = json_array_size(hosts) ? &rest : &first;
    pu_buf_adds(b, pem);
    for (size_t h = 0; h < json_array_size(hosts); h++)
      pu_buf_addf(b, " %s", json_string_value(json_array_get(hosts, h)));
    pu_buf_addc(b, '\n');
  }
  PU_AUTO_FREE tail = pu_buf_steal(&rest);
  pu_buf_adds(&first, tail);
  return pu_buf_steal(&first);
}

static void all_sections(struct gen *g, const char *hash) {
  g->owner = -1;
  global_section(g, hash);
  peers_section(g);
  shared_frontend(g, "berth-http", &g->s->http, false);
  shared_frontend(g, "berth-https", &g->s->https, true);
  for (size_t i = 0; i < g->state->nroutes; i++) {
    const struct lbh_route *r = &g->state->routes[i];
    g->owner = (int)i;
    if (in(r) && r->tcp)
      tcp_route(g, r);
    else if (in(r))
      http_backend(g, r);
  }
  g->owner = -1;
  if (!g->any_http && !g->any_tls)
    return;
  line(g, "backend berth-none");
  line(g, "  mode http");
  line(g, "  http-request return status 404 content-type text/plain string \"No route leads here.\\n\"");
}

static char *hash_of(const char *text, const char *list) {
  uint64_t h = 14695981039346656037u;
  for (const char *p = text; *p; p++)
    h = (h ^ (unsigned char)*p) * 1099511628211u;
  for (const char *p = list; *p; p++)
    h = (h ^ (unsigned char)*p) * 1099511628211u;
  return pu_asprintf("%016llx", (unsigned long long)h);
}

void lbh_text_make(const struct lbh_settings *settings, const struct lbh_state *state, const struct lbh_table *want, const char *user,
                   struct lbh_text *out) {
  struct gen bones = {.s = settings, .state = state, .user = user};
  all_sections(&bones, "-");
  PU_AUTO_FREE skeleton = pu_buf_steal(&bones.text);
  free(bones.owners);
  *out = (struct lbh_text){.list = make_list(&bones)};
  out->hash = hash_of(skeleton, out->list);
  struct gen g = {.s = settings, .state = state, .want = want, .user = user};
  all_sections(&g, out->hash);
  out->text = pu_buf_steal(&g.text);
  out->owners = g.owners;
  out->nlines = g.lines;
  char *listen;
  int route;
  for (; lbh_text_listener(settings, state, out->nlisteners, &listen, &route); out->nlisteners++)
    free(listen);
}

void lbh_text_free(struct lbh_text *t) {
  free(t->text);
  free(t->list);
  free(t->hash);
  free(t->owners);
  *t = (struct lbh_text){0};
}

/* ---------------------------------------------------------------- listeners */

bool lbh_text_listener(const struct lbh_settings *s, const struct lbh_state *state, size_t i, char **listen, int *route) {
  bool http = false, tls = false;
  for (size_t r = 0; r < state->nroutes; r++)
    if (!state->routes[r].tcp && in(&state->routes[r])) {
      http = true;
      tls = tls || state->routes[r].certificate;
    }
  *route = -1;
  size_t nh = http ? s->http.len : 0, nt = tls ? s->https.len : 0;
  if (i < nh + nt) {
    *listen = pu_strdup(i < nh ? s->http.items[i] : s->https.items[i - nh]);
    return true;
  }
  i -= nh + nt;
  for (size_t r = 0; r < state->nroutes; r++)
    if (state->routes[r].tcp && in(&state->routes[r]) && i-- == 0) {
      *listen = pu_asprintf("%s:%d", s->tcp_address, state->routes[r].port);
      *route = (int)r;
      return true;
    }
  return false;
}

/* ---------------------------------------------------------------- what HAProxy says */

/* The first line that speaks of an error, without "[ALERT]    (1234) : config : ". */
static char *first_complaint(const char *said) {
  const char *at = strstr(said, "[ALERT]");
  at = at ? at : said;
  const char *colon = strstr(at, ") : ");
  if (colon && (size_t)(colon - at) < 40)
    at = colon + 4;
  if (pu_starts(at, "config : "))
    at += 9;
  size_t n = strcspn(at, "\n");
  char *text = pu_strndup(at, n < 600 ? n : 600);
  for (char *p = text; *p; p++)
    if ((unsigned char)*p < ' ')
      *p = ' ';
  return text;
}

static int route_of_certificate(const struct lbh_settings *s, const struct lbh_state *state, const char *complaint) {
  for (size_t i = 0; i < state->nroutes; i++) {
    const struct lbh_route *r = &state->routes[i];
    PU_AUTO_FREE pem = r->certificate && in(r) ? lbh_certificate_path(s, r->certificate) : NULL;
    if (pem && strstr(complaint, pem))
      return (int)i;
  }
  return -1;
}

/* "parsing [/run/…/haproxy.cfg:42] : …", also "[…cfg:42]" elsewhere in the line. */
static int route_of_line(const struct lbh_text *t, const char *file, const char *complaint) {
  PU_AUTO_FREE mark = pu_asprintf("%s:", file);
  const char *at = strstr(complaint, mark);
  long n = at ? strtol(at + strlen(mark), NULL, 10) : 0;
  return n > 0 && (size_t)n <= t->nlines ? t->owners[n] : -1;
}

/* "backend 'x'", "proxy 'x'": checks that HAProxy makes when all is read name no line. */
static int route_of_name(const struct lbh_state *state, const char *complaint) {
  for (size_t i = 0; i < state->nroutes; i++) {
    PU_AUTO_FREE name = pu_asprintf("'%s'", state->routes[i].backend);
    if (in(&state->routes[i]) && strstr(complaint, name))
      return (int)i;
  }
  return -1;
}

char *lbh_text_blame(const struct lbh_settings *s, const struct lbh_state *state, const struct lbh_text *t, const char *file, const char *said,
                     int *route) {
  char *complaint = first_complaint(said);
  *route = route_of_certificate(s, state, complaint);
  if (*route < 0)
    *route = route_of_line(t, file, complaint);
  if (*route < 0)
    *route = route_of_name(state, complaint);
  return complaint;
}
