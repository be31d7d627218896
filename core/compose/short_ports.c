/* "[[ip:][published]:]target[/protocol]", where published and target may be ranges. */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/mem.h"
#include "compose/short.h"
#include "compose/values.h"

struct range {
  long long first, last;
};

/* One port as it was written. */
struct spec {
  char *ip, *published, *target, *protocol; /* owned; ip and published NULL where absent */
};

static void spec_free(struct spec *s) {
  free(s->ip);
  free(s->published);
  free(s->target);
  free(s->protocol);
}

bool bt_port_range(const char *text, long long *first_port, long long *last_port) {
  const char *dash = strchr(text, '-');
  BT_AUTO_FREE char *first = bt_strndup(text, dash ? (size_t)(dash - text) : strlen(text));
  if (!bt_parse_i64(first, 0, 65535, first_port))
    return false;
  *last_port = *first_port;
  return !dash || (bt_parse_i64(dash + 1, 0, 65535, last_port) && *last_port >= *first_port);
}

bool bt_is_ip(const char *text) {
  unsigned char buf[16];
  return inet_pton(AF_INET, text, buf) == 1 || inet_pton(AF_INET6, text, buf) == 1;
}

/* Takes "ip:" or "[ip6]:" or "published:" off the end of what stands before the target. */
static bool split_host(struct spec *s, char *before) {
  char *colon = strrchr(before, ':');
  if (before[0] == '[') {
    char *close = strchr(before, ']');
    if (!close || close[1] != ':')
      return false;
    *close = '\0';
    s->ip = bt_strdup(before + 1);
    s->published = bt_strdup(close + 2);
  } else if (colon) {
    *colon = '\0';
    s->ip = bt_strdup(before);
    s->published = bt_strdup(colon + 1);
  } else {
    s->published = bt_strdup(before);
  }
  return true;
}

static bool split_spec(const char *text, struct spec *s) {
  BT_AUTO_FREE char *copy = bt_strdup(text);
  char *slash = strchr(copy, '/');
  s->protocol = bt_strdup(slash ? slash + 1 : "tcp");
  if (slash)
    *slash = '\0';
  for (char *p = s->protocol; *p; p++)
    *p |= 0x20;
  char *colon = strrchr(copy, ':');
  s->target = bt_strdup(colon ? colon + 1 : copy);
  if (!colon)
    return true;
  *colon = '\0';
  return split_host(s, copy);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void push_port(struct bt_yaml *out, const struct spec *s, long long target, const char *published, struct bt_loc loc) {
  struct bt_yaml *port = bt_yaml_new(BT_YAML_MAP, loc);
  bt_yaml_set(port, "mode", loc, bt_yaml_str("ingress", loc));
  if (s->ip && *s->ip)
    bt_yaml_set(port, "host_ip", loc, bt_yaml_str(s->ip, loc));
  bt_yaml_set(port, "target", loc, bt_yaml_int(target, loc));
  if (published)
    bt_yaml_set(port, "published", loc, bt_yaml_str(published, loc));
  bt_yaml_set(port, "protocol", loc, bt_yaml_str(s->protocol, loc));
  bt_yaml_push(out, port);
}

/* One entry per target port, in the order of their texts, as the reference has it. */
static void push_range(struct bt_yaml *out, const struct spec *s, struct range target, struct range published,
                       struct bt_loc loc) {
  BT_AUTO_STRS order = {0};
  for (long long t = target.first; t <= target.last; t++)
    bt_vec_push(&order, bt_asprintf("%lld/", t));
  qsort(order.items, order.len, sizeof *order.items, by_text);
  bool any = s->published && *s->published;
  bool to_one = any && target.first == target.last && published.first != published.last;
  bt_vec_each(&order, text) {
    long long t = strtoll(*text, NULL, 10), p = published.first + (t - target.first);
    BT_AUTO_FREE char *host =
        to_one ? bt_asprintf("%lld-%lld", published.first, published.last) : bt_asprintf("%lld", p);
    push_port(out, s, t, any ? host : NULL, loc);
  }
}

static const char *expand(struct bt_load *load, struct bt_yaml *out, const char *text, struct bt_loc loc) {
  __attribute__((cleanup(spec_free))) struct spec s = {0};
  struct range target, published = {0, 0};
  if (!split_spec(text, &s))
    return "an IPv6 address goes in brackets: \"[::1]:80:80\"";
  if (s.ip && *s.ip && !bt_is_ip(s.ip))
    return "what stands before the ports is no IP address";
  if (!bt_port_range(s.target, &target.first, &target.last))
    return "the container's port is no port; write \"[[ip:]published:]target[/protocol]\"";
  if (s.published && *s.published && !bt_port_range(s.published, &published.first, &published.last))
    return "the published port is no port; write \"[[ip:]published:]target[/protocol]\"";
  if (!bt_streq(s.protocol, "tcp") && !bt_streq(s.protocol, "udp") && !bt_streq(s.protocol, "sctp"))
    return "the protocol is none of tcp, udp and sctp";
  if (s.published && *s.published && target.first != target.last &&
      target.last - target.first != published.last - published.first)
    return "the two ranges are not of the same length";
  enum { values_of_a_port = 6 };
  size_t values = (size_t)(target.last - target.first + 1) * values_of_a_port;
  if (values > load->nodes)
    return "there are too many ports in this file";
  load->nodes -= values;
  push_range(out, &s, target, published, loc);
  return NULL;
}

void bt_short_ports(struct bt_load *load, struct bt_yaml *list, const struct bt_place *place) {
  if (list->kind != BT_YAML_SEQ)
    return;
  struct bt_yaml *out = bt_yaml_new(BT_YAML_SEQ, list->loc);
  for (size_t i = 0; i < list->seq.len; i++) {
    struct bt_yaml *item = list->seq.items[i];
    const struct bt_place *here = BT_PLACE_ITEM(place, i);
    if (item->kind == BT_YAML_MAP) {
      bt_yaml_push(out, item);
      list->seq.items[i] = bt_yaml_new(BT_YAML_NULL, item->loc);
      continue;
    }
    BT_AUTO_FREE char *text = bt_compose_scalar_text(item);
    const char *why = expand(load, out, text, item->loc);
    if (why) {
      BT_AUTO_FREE char *where = bt_place_text(here);
      bt_diag_error(load->diags, item->loc, "%s \"%.60s\": %s", where, text, why);
    }
  }
  bt_node_become(list, out);
}
