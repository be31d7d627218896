#include "config.h"
#include "plugin/egress.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/mem.h"

enum { max_names = 1000, max_depth = 16, max_text = 512 };

struct name {
  char *host; /* "" : any public one; ".example.org": all below it */
  int port;   /* 0: any */
};

struct bt_egress {
  bool public; /* hosts that nobody named, at public addresses */
  bool listed;
  BT_VEC(struct name) names;
  struct bt_strs sockets;
  struct bt_strs files;
};

/* ---------------------------------------------------------------- names */

/* Splits "host", "host:port", "[v6]:port", "v6"; false where it is none of them. */
static bool split(const char *text, char **host, int *port) {
  const char *end = text + strlen(text), *colon = NULL;
  struct in6_addr v6;
  *port = 0;
  if (text[0] == '[') {
    const char *close = strchr(text, ']');
    if (!close || (close[1] && close[1] != ':'))
      return false;
    colon = close[1] ? close + 1 : NULL;
    text++;
    end = close;
  } else if (inet_pton(AF_INET6, text, &v6) != 1) {
    colon = strrchr(text, ':');
    end = colon ? colon : end;
  }
  long long n = 0;
  if (colon && !bt_parse_i64(colon + 1, 1, 65535, &n))
    return false;
  *port = (int)n;
  size_t len = (size_t)(end - text);
  BT_AUTO_FREE char *name = bt_strndup(text, len);
  if (!len || len > 253 || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:_") != len)
    return false;
  *host = bt_steal(name);
  return true;
}

/* One item of a list; NULL where it is none. */
static bool read_item(const char *item, struct name *out, const char **socket) {
  *out = (struct name){0};
  *socket = NULL;
  if (bt_starts(item, "unix:")) {
    *socket = bt_starts(item, "unix://") ? item + 7 : item + 5;
    return (*socket)[0] == '/';
  }
  if (strcmp(item, "*") == 0) {
    out->host = bt_strdup("");
    return true;
  }
  if (!bt_starts(item, "*."))
    return split(item, &out->host, &out->port);
  BT_AUTO_FREE char *below = NULL;
  if (!split(item + 2, &below, &out->port))
    return false;
  out->host = bt_asprintf(".%s", below);
  return true;
}

int bt_egress_check(const struct bt_strs *list, struct bt_err **err) {
  for (size_t i = 0; i < list->len; i++) {
    struct name name;
    const char *socket;
    bool fine = read_item(list->items[i], &name, &socket);
    free(name.host);
    if (!fine)
      return bt_err_set(err, BT_INVALID, "egress: \"%.100s\" is none of host, host:port, *.domain, *, unix:/path", list->items[i]);
  }
  return 0;
}

struct bt_egress *bt_egress_new(const struct bt_strs *list) {
  struct bt_egress *e = bt_new(struct bt_egress);
  e->public = list == NULL;
  e->listed = list != NULL;
  for (size_t i = 0; list && i < list->len; i++) {
    struct name name;
    const char *socket;
    if (!read_item(list->items[i], &name, &socket))
      free(name.host);
    else if (socket)
      bt_strs_add(&e->sockets, socket);
    else
      bt_vec_push(&e->names, name);
  }
  return e;
}

void bt_egress_free(struct bt_egress **egress) {
  struct bt_egress *e = *egress;
  if (!e)
    return;
  bt_vec_each(&e->names, n) free(n->host);
  bt_vec_free(&e->names);
  bt_strs_free(&e->sockets);
  bt_strs_free(&e->files);
  free(e);
  *egress = NULL;
}

/* ---------------------------------------------------------------- what a configuration names */

static void name_host(struct bt_egress *e, const char *text, int port) {
  struct name name = {0};
  if (!split(text, &name.host, &name.port))
    return;
  if (!name.port)
    name.port = port;
  bt_vec_push(&e->names, name);
}

/* scheme://[user@]host[:port][/…] */
static void name_url(struct bt_egress *e, const char *text, const char *authority) {
  static const struct {
    const char *scheme;
    int port;
  } ports[] = {{"http://", 80}, {"https://", 443}};
  size_t len = strcspn(authority, "/?#");
  BT_AUTO_FREE char *host = bt_strndup(authority, len);
  const char *at = strrchr(host, '@');
  int port = 0;
  for (size_t i = 0; i < BT_COUNT(ports); i++)
    if (strncasecmp(text, ports[i].scheme, strlen(ports[i].scheme)) == 0)
      port = ports[i].port;
  name_host(e, at ? at + 1 : host, port);
}

static void name_text(struct bt_egress *e, const char *text) {
  if (e->names.len >= max_names || strlen(text) > max_text)
    return;
  const char *scheme_end = strstr(text, "://");
  if (text[0] == '/') {
    bt_strs_add(&e->files, text);
    if (!e->listed)
      bt_strs_add(&e->sockets, text);
  } else if (e->listed) {
    return;
  } else if (bt_starts(text, "unix:")) {
    bt_strs_add(&e->sockets, bt_starts(text, "unix://") ? text + 7 : text + 5);
  } else if (scheme_end) {
    name_url(e, text, scheme_end + 3);
  } else {
    name_host(e, text, 0);
  }
}

static void walk(struct bt_egress *e, const json_t *value, int depth) {
  size_t i;
  json_t *item, *object = json_is_object(value) ? (json_t *)(uintptr_t)value : NULL;
  if (depth > max_depth)
    return;
  if (json_is_string(value))
    name_text(e, json_string_value(value));
  if (json_is_array(value))
    json_array_foreach(value, i, item) walk(e, item, depth + 1);
  for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
    if (depth) /* not the names of the fields themselves */
      name_text(e, json_object_iter_key(it));
    walk(e, json_object_iter_value(it), depth + 1);
  }
}

void bt_egress_name(struct bt_egress *egress, const json_t *value) { walk(egress, value, 0); }

/* ---------------------------------------------------------------- addresses */

enum place { PLACE_PUBLIC, PLACE_PRIVATE, PLACE_LOCAL };

static enum place place_of_v4(uint32_t a) {
  uint32_t first = a >> 24;
  if (first == 127 || first == 0 || first >= 224 || a >> 16 == 0xa9fe) /* loopback, none, multicast and above, link-local */
    return PLACE_LOCAL;
  bool private = first == 10 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 || a >> 22 == (100u << 2 | 1) || /* RFC 1918, carriers' */
                 a >> 8 == 0xc00000 || a >> 17 == 0xc612 >> 1;                                  /* protocols, benches */
  return private ? PLACE_PRIVATE : PLACE_PUBLIC;
}

static enum place place_of_v6(const struct in6_addr *a) {
  const uint8_t *b = a->s6_addr;
  uint32_t last = (uint32_t)b[12] << 24 | (uint32_t)b[13] << 16 | (uint32_t)b[14] << 8 | b[15];
  static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
  if (IN6_IS_ADDR_V4MAPPED(a) || IN6_IS_ADDR_V4COMPAT(a) || memcmp(b, nat64, sizeof nat64) == 0)
    return place_of_v4(last);
  if (b[0] == 0x20 && b[1] == 0x02) /* 6to4: the v4 address is inside */
    return place_of_v4((uint32_t)b[2] << 24 | (uint32_t)b[3] << 16 | (uint32_t)b[4] << 8 | b[5]);
  static const uint8_t teredo[4] = {0x20, 0x01, 0, 0};
  if (memcmp(b, teredo, sizeof teredo) == 0) /* RFC 4380: inside stands the v4 address of the client, inverted */
    return place_of_v4(~last);
  if (IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_LINKLOCAL(a) || IN6_IS_ADDR_MULTICAST(a))
    return PLACE_LOCAL;
  static const uint8_t own_nat64[6] = {0, 0x64, 0xff, 0x9b, 0, 1}; /* RFC 8215: where the v4 address stands is the site's business */
  bool private = (b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0xc0) || memcmp(b, own_nat64, sizeof own_nat64) == 0;
  return private ? PLACE_PRIVATE : PLACE_PUBLIC;
}

static enum place place_of(const struct sockaddr *addr) {
  if (addr->sa_family == AF_INET)
    return place_of_v4(ntohl(((const struct sockaddr_in *)(const void *)addr)->sin_addr.s_addr));
  if (addr->sa_family == AF_INET6)
    return place_of_v6(&((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr);
  return PLACE_LOCAL;
}

/* ---------------------------------------------------------------- decisions */

static bool is_address(const char *host) {
  unsigned char buf[sizeof(struct in6_addr)];
  return inet_pton(AF_INET, host, buf) == 1 || inet_pton(AF_INET6, host, buf) == 1;
}

static bool below(const char *host, const char *suffix) {
  size_t n = strlen(host), k = strlen(suffix);
  return n > k && strcasecmp(host + n - k, suffix) == 0;
}

bool bt_egress_allows(const struct bt_egress *e, const char *host, int port, const struct sockaddr *addr) {
  bool any = e->public, exact = false;
  size_t len = strlen(host);
  BT_AUTO_FREE char *plain = bt_strndup(host, len && host[len - 1] == '.' ? len - 1 : len);
  bt_vec_each(&e->names, n) {
    if (n->port && n->port != port)
      continue;
    exact |= strcasecmp(n->host, plain) == 0;
    any |= !*n->host || (n->host[0] == '.' && below(plain, n->host));
  }
  if (!addr)
    return any || exact;
  switch (place_of(addr)) {
  case PLACE_PUBLIC:
    return any || exact;
  case PLACE_PRIVATE:
    return exact;
  case PLACE_LOCAL:
    return exact && (is_address(plain) || strcasecmp(plain, "localhost") == 0);
  }
  return false;
}

bool bt_egress_allows_unix(const struct bt_egress *e, const char *path) { return bt_strs_has(&e->sockets, path); }
bool bt_egress_allows_file(const struct bt_egress *e, const char *path) { return bt_strs_has(&e->files, path); }
