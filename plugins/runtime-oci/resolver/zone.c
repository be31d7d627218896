#include "config.h"
#include "zone.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "../../common/util.h"
#include "table.h"

enum { max_seen = 512 }; /* addresses of one answer: more do not fit 64 KiB with comfort */

struct network {
  UT_hash_handle hh;
  char *name;
  bool internal, stale;
  struct ro_ip subnets[8];
  size_t nsubnets;
};

/* One name of one member in one network. */
struct entry {
  struct member *member;
  struct at *at;
  bool own; /* its own name, told whether it is ready or not */
  struct entry *next;
};

struct name {
  UT_hash_handle hh;
  char *text;
  struct entry *entries;
  unsigned turn, turn6; /* who asks for both kinds each time must not get the same one first for ever */
};

/* A member's place in a network. */
struct at {
  struct network *network;
  struct member *member;
  struct ro_ip v4, v6;
};

struct address {
  UT_hash_handle hh;
  uint8_t key[17];
  struct at *at;
};

struct member {
  UT_hash_handle hh;
  char *id, *name, *app, *namespace;
  bool ready, stale;
  struct at *places;
  size_t nplaces;
  json_t *srv, *dns;
  char **names; /* those it stands under in the table of names */
  size_t nnames;
};

struct rs_zone {
  struct network *networks;
  struct member *members;
  struct name *names;
  struct address *addresses;
};

struct rs_zone *rs_zone_new(void) { return pu_new(struct rs_zone); }

/* ---------------------------------------------------------------- tables */

static void key_of(const struct ro_ip *ip, uint8_t key[17]) {
  memset(key, 0, 17);
  key[0] = ip->family == AF_INET ? 4 : 6;
  memcpy(key + 1, ip->bytes, ro_ip_bytes(ip->family));
}

static struct at *find_at(const struct rs_zone *z, const struct ro_ip *ip) {
  uint8_t key[17];
  struct address *a;
  key_of(ip, key);
  HASH_FIND(hh, z->addresses, key, sizeof key, a);
  return a ? a->at : NULL;
}

static void add_address(struct rs_zone *z, const struct ro_ip *ip, struct at *at) {
  struct address *a, *old;
  if (!ip->family)
    return;
  a = pu_new(struct address);
  key_of(ip, a->key);
  a->at = at;
  HASH_REPLACE(hh, z->addresses, key, sizeof a->key, a, old);
  free(old);
}

static void drop_address(struct rs_zone *z, const struct ro_ip *ip, const struct at *at) {
  uint8_t key[17];
  struct address *a = NULL;
  if (!ip->family)
    return;
  key_of(ip, key);
  HASH_FIND(hh, z->addresses, key, sizeof key, a);
  if (a && a->at == at) {
    HASH_DEL(z->addresses, a);
    free(a);
  }
}

static char *lower_copy(const char *s) {
  char *out = pu_strdup(s);
  for (char *p = out; *p; p++)
    if (*p >= 'A' && *p <= 'Z')
      *p = (char)(*p + 32);
  return out;
}

static void add_name(struct rs_zone *z, const char *text, struct member *m, struct at *at, bool own) {
  struct name *n;
  if (!text || !*text || strlen(text) > 240)
    return;
  char *low = lower_copy(text);
  HASH_FIND_STR(z->names, low, n);
  for (struct entry *e = n ? n->entries : NULL; e; e = e->next)
    if (e->at == at) { /* its service's name may be an alias as well */
      e->own = e->own || own;
      free(low);
      return;
    }
  if (!n) {
    n = pu_new(struct name);
    n->text = pu_strdup(low);
    HASH_ADD_KEYPTR(hh, z->names, n->text, strlen(n->text), n);
  }
  struct entry *e = pu_new(struct entry);
  *e = (struct entry){.member = m, .at = at, .own = own, .next = n->entries};
  n->entries = e;
  char **more = pu_calloc(m->nnames + 1, sizeof *more);
  if (m->nnames)
    memcpy(more, m->names, m->nnames * sizeof *more);
  more[m->nnames++] = low;
  free(m->names);
  m->names = more;
}

static void drop_name(struct rs_zone *z, const char *text, const struct member *m) {
  struct name *n;
  HASH_FIND_STR(z->names, text, n);
  if (!n)
    return;
  for (struct entry **e = &n->entries; *e;) {
    struct entry *gone = *e;
    if (gone->member != m) {
      e = &gone->next;
      continue;
    }
    *e = gone->next;
    free(gone);
  }
  if (!n->entries) {
    HASH_DEL(z->names, n);
    free(n->text);
    free(n);
  }
}

/* ---------------------------------------------------------------- members and networks */

static void member_free(struct rs_zone *z, struct member *m) {
  for (size_t i = 0; i < m->nnames; i++) {
    drop_name(z, m->names[i], m);
    free(m->names[i]);
  }
  for (size_t i = 0; i < m->nplaces; i++) {
    drop_address(z, &m->places[i].v4, &m->places[i]);
    drop_address(z, &m->places[i].v6, &m->places[i]);
  }
  HASH_DEL(z->members, m);
  free(m->names);
  free(m->places);
  free(m->id);
  free(m->name);
  free(m->app);
  free(m->namespace);
  json_decref(m->srv);
  json_decref(m->dns);
  free(m);
}

void rs_zone_member_drop(struct rs_zone *z, const char *id) {
  struct member *m;
  HASH_FIND_STR(z->members, id, m);
  if (m)
    member_free(z, m);
}

static struct network *network_of(struct rs_zone *z, const char *name) {
  struct network *n;
  HASH_FIND_STR(z->networks, name, n);
  if (!n) {
    n = pu_new(struct network);
    n->name = pu_strdup(name);
    HASH_ADD_KEYPTR(hh, z->networks, n->name, strlen(n->name), n);
  }
  return n;
}

static void add_place(struct rs_zone *z, struct member *m, const char *network, const json_t *o, const char *service) {
  struct at *at = &m->places[m->nplaces++];
  size_t i;
  json_t *alias;
  *at = (struct at){.network = network_of(z, network), .member = m};
  ro_ip_parse(pu_str_or(o, "ip", ""), &at->v4);
  ro_ip_parse(pu_str_or(o, "ip6", ""), &at->v6);
  add_address(z, &at->v4, at);
  add_address(z, &at->v6, at);
  add_name(z, m->name, m, at, true);
  add_name(z, service, m, at, false);
  json_array_foreach(pu_arr(o, "aliases"), i, alias) add_name(z, json_string_value(alias), m, at, false);
}

bool rs_zone_member(struct rs_zone *z, const json_t *o) {
  const char *id = pu_str(o, "member"), *network;
  json_t *networks = pu_obj(o, "networks"), *place;
  if (!id || !*id || json_object_size(networks) > 64)
    return false;
  rs_zone_member_drop(z, id);
  struct member *m = pu_new(struct member);
  m->id = pu_strdup(id);
  m->name = lower_copy(pu_str_or(o, "name", ""));
  m->app = lower_copy(pu_str_or(o, "app", ""));
  m->namespace = lower_copy(pu_str_or(o, "namespace", "default"));
  m->ready = pu_bool(o, "ready", true);
  m->srv = json_incref(pu_arr(o, "srv"));
  m->dns = json_array_size(pu_arr(o, "dns")) ? json_incref(pu_arr(o, "dns")) : NULL;
  m->places = pu_calloc(json_object_size(networks) + 1, sizeof *m->places);
  HASH_ADD_KEYPTR(hh, z->members, m->id, strlen(m->id), m);
  json_object_foreach(networks, network, place) add_place(z, m, network, place, pu_str(o, "service"));
  return true;
}

bool rs_zone_network(struct rs_zone *z, const json_t *o) {
  const char *name = pu_str(o, "network");
  size_t i;
  json_t *v;
  if (!name || !*name)
    return false;
  struct network *n = network_of(z, name);
  n->internal = pu_bool(o, "internal", false);
  n->stale = false;
  n->nsubnets = 0;
  json_array_foreach(pu_arr(o, "subnets"), i, v)
    if (n->nsubnets < PU_COUNT(n->subnets) && ro_ip_parse(json_string_value(v), &n->subnets[n->nsubnets]))
      n->nsubnets++;
  return true;
}

static void network_free(struct rs_zone *z, struct network *n) {
  struct member *m, *next;
  HASH_ITER(hh, z->members, m, next)
    for (size_t i = 0; i < m->nplaces; i++)
      if (m->places[i].network == n) {
        member_free(z, m);
        break;
      }
  HASH_DEL(z->networks, n);
  free(n->name);
  free(n);
}

void rs_zone_network_drop(struct rs_zone *z, const char *name) {
  struct network *n;
  HASH_FIND_STR(z->networks, name, n);
  if (n)
    network_free(z, n);
}

void rs_zone_sync_begin(struct rs_zone *z) {
  for (struct network *n = z->networks; n; n = n->hh.next)
    n->stale = true;
  for (struct member *m = z->members; m; m = m->hh.next)
    m->stale = true;
}

void rs_zone_sync_end(struct rs_zone *z) {
  struct network *n, *nn;
  struct member *m, *mm;
  HASH_ITER(hh, z->members, m, mm)
    if (m->stale)
      member_free(z, m);
  HASH_ITER(hh, z->networks, n, nn)
    if (n->stale)
      network_free(z, n);
}

void rs_zone_free(struct rs_zone **z) {
  rs_zone_sync_begin(*z);
  rs_zone_sync_end(*z);
  free(*z);
  *z = NULL;
}

/* ---------------------------------------------------------------- who asks */

struct asker {
  const struct member *member;   /* NULL: one that is not told of yet */
  const struct network *network; /* whose subnet it asks from */
};

static const struct network *network_with(const struct rs_zone *z, const struct ro_ip *ip) {
  for (const struct network *n = z->networks; n; n = n->hh.next)
    for (size_t i = 0; i < n->nsubnets; i++)
      if (ro_ip_contains(&n->subnets[i], ip))
        return n;
  return NULL;
}

static bool in_network(const struct asker *a, const struct network *n) {
  if (!a->member)
    return a->network == n;
  for (size_t i = 0; i < a->member->nplaces; i++)
    if (a->member->places[i].network == n)
      return true;
  return false;
}

static bool shut_in(const struct asker *a) {
  if (!a->member)
    return a->network->internal;
  for (size_t i = 0; i < a->member->nplaces; i++)
    if (!a->member->places[i].network->internal)
      return false;
  return true;
}

/* ---------------------------------------------------------------- what is there of a name */

struct wanted {
  const char *network;         /* only there; NULL: any */
  const char *app, *namespace; /* only of that app; NULL: any */
};

struct hits {
  struct name *name;
  struct at *at[max_seen];
  size_t n;
  bool known; /* there is somebody, ready or not */
};

static void look_up(const struct rs_zone *z, const struct asker *a, const char *text, const struct wanted *w, struct hits *h) {
  *h = (struct hits){.n = 0};
  HASH_FIND_STR(z->names, text, h->name);
  for (struct entry *e = h->name ? h->name->entries : NULL; e; e = e->next) {
    if ((w->network && strcmp(e->at->network->name, w->network) != 0) ||
        (w->app && (strcmp(e->member->app, w->app) != 0 || strcmp(e->member->namespace, w->namespace) != 0)) || !in_network(a, e->at->network))
      continue;
    h->known = true;
    if (!e->own && !e->member->ready)
      continue;
    if (h->n && h->at[h->n - 1]->member == e->member) { /* one in several of the asker's networks, which stands there in a row: once */
      if (e->at->network == a->network)
        h->at[h->n - 1] = e->at;
    } else if (h->n < max_seen) {
      h->at[h->n++] = e->at;
    }
  }
}

/* Finds what a name stands for. True: it is ours to answer for, be it with nothing. */
static bool resolve(const struct rs_zone *z, const struct asker *a, const char *name, struct hits *h, bool *ours) {
  char copy[rs_max_name + 1];
  size_t len = strlen(name);
  struct wanted any = {0};
  *ours = len >= 5 && strcmp(name + len - 5, "berth") == 0 && (len == 5 || name[len - 6] == '.');
  look_up(z, a, name, &any, h);
  if (h->known)
    return true;
  memcpy(copy, name, len + 1);
  if (*ours) {
    char *end = len > 5 ? copy + len - 6 : copy, *namespace, *app;
    *end = 0;
    if (!(namespace = strrchr(copy, '.')))
      return true;
    *namespace++ = 0;
    if (!(app = strrchr(copy, '.')))
      return true;
    *app++ = 0;
    look_up(z, a, copy, &(struct wanted){.app = app, .namespace = namespace}, h);
    return true;
  }
  for (char *dot = strchr(copy, '.'); dot; dot = strchr(dot + 1, '.')) { /* networks' names may have dots */
    *dot = 0;
    look_up(z, a, copy, &(struct wanted){.network = dot + 1}, h);
    *dot = '.';
    if (h->known)
      return true;
  }
  return false;
}

/* ---------------------------------------------------------------- answers */

static void add_soa(struct rs_out *o) {
  static const uint8_t zone[] = "\005berth"; /* with its zero */
  uint8_t data[64];
  size_t at = 0;
  memcpy(data, zone, sizeof zone);
  at += sizeof zone;
  memcpy(data + at, zone, sizeof zone);
  at += sizeof zone;
  static const uint32_t numbers[] = {1, 60, 60, 60, rs_own_ttl};
  for (size_t i = 0; i < PU_COUNT(numbers); i++, at += 4)
    rs_put32(data + at, numbers[i]);
  rs_out_record(o, RS_AUTHORITY, zone, sizeof zone, rs_soa, rs_own_ttl, data, at);
}

static void add_addresses(struct rs_out *o, enum rs_section section, const uint8_t *owner, size_t owner_len, const struct at *at, uint16_t type) {
  if ((type == rs_a || type == rs_any) && at->v4.family)
    rs_out_record(o, section, owner, owner_len, rs_a, rs_own_ttl, at->v4.bytes, 4);
  if ((type == rs_aaaa || type == rs_any) && at->v6.family)
    rs_out_record(o, section, owner, owner_len, rs_aaaa, rs_own_ttl, at->v6.bytes, 16);
}

/* The name that leads to this one alone. */
static size_t own_name(const struct at *at, uint8_t wire[rs_max_name + 1]) {
  char text[512];
  if (*at->member->app)
    snprintf(text, sizeof text, "%s.%s.%s.berth", at->member->name, at->member->app, at->member->namespace);
  else
    snprintf(text, sizeof text, "%s.%s", at->member->name, at->network->name);
  return rs_name_wire(text, wire);
}

/* A name that was found gets what it has, in turns. */
static void answer_addresses(struct rs_out *o, const struct hits *h, uint16_t type) {
  unsigned *turn = h->n ? (type == rs_aaaa ? &h->name->turn6 : &h->name->turn) : NULL;
  size_t first = turn ? (*turn)++ % h->n : 0;
  for (size_t i = 0; i < h->n; i++)
    add_addresses(o, RS_ANSWER, NULL, 0, h->at[(first + i) % h->n], type);
}

/* The number of a port that is named, or is a number itself. */
static unsigned port_named(const struct member *m, const char *port, const char *protocol) {
  size_t i;
  json_t *p;
  char *end;
  json_array_foreach(m->srv, i, p)
    if (strcasecmp(pu_str_or(p, "name", ""), port) == 0 && pu_eq(pu_str_or(p, "protocol", "tcp"), protocol))
      return (unsigned)pu_int(p, "port", 0);
  unsigned long v = strtoul(port, &end, 10);
  return *port && !*end && v > 0 && v < 65536 ? (unsigned)v : 0;
}

/* "_http._tcp.web": where that port of web is. False: it is not of that form. */
static bool split_srv(const char *name, char port[64], char protocol[8], const char **rest) {
  return sscanf(name, "_%63[^.]._%7[a-z].", port, protocol) == 2 && (*rest = strchr(strchr(name, '.') + 1, '.')) && *++*rest;
}

static void answer_srv(struct rs_out *o, const struct hits *h, const char *port, const char *protocol) {
  size_t first = h->n ? h->name->turn++ % h->n : 0;
  uint8_t data[6 + rs_max_name + 1];
  for (int extra = 0; extra < 2; extra++)
    for (size_t i = 0; i < h->n; i++) {
      const struct at *at = h->at[(first + i) % h->n];
      unsigned number = port_named(at->member, port, protocol);
      size_t len = own_name(at, data + 6);
      if (!number || !len)
        continue;
      rs_put16(data, 0);
      rs_put16(data + 2, 1);
      rs_put16(data + 4, number);
      if (extra)
        add_addresses(o, RS_ADDITIONAL, data + 6, len, at, rs_any);
      else
        rs_out_record(o, RS_ANSWER, NULL, 0, rs_srv, rs_own_ttl, data, 6 + len);
    }
}

/* "5.0.89.10.in-addr.arpa" and its like over IPv6. */
static bool reverse(const char *name, struct ro_ip *ip) {
  unsigned b[4];
  int end = 0;
  *ip = (struct ro_ip){0};
  if (sscanf(name, "%3u.%3u.%3u.%3u.in-addr.arpa%n", &b[0], &b[1], &b[2], &b[3], &end) == 4 && end && !name[end]) {
    for (int i = 0; i < 4; i++)
      ip->bytes[i] = (uint8_t)b[3 - i];
    ip->family = AF_INET;
    ip->prefix = 32;
    return b[0] < 256 && b[1] < 256 && b[2] < 256 && b[3] < 256;
  }
  if (strlen(name) != 72 || strcmp(name + 64, "ip6.arpa") != 0)
    return false;
  for (int i = 0; i < 32; i++) {
    const char *hex = "0123456789abcdef", *at = name[2 * i + 1] == '.' && name[2 * i] ? strchr(hex, name[2 * i]) : NULL;
    if (!at)
      return false;
    ip->bytes[15 - i / 2] |= (uint8_t)((at - hex) << (i % 2 * 4));
  }
  ip->family = AF_INET6;
  ip->prefix = 128;
  return true;
}

static enum rs_verdict answer_reverse(const struct rs_zone *z, const struct asker *a, const struct ro_ip *ip, const struct rs_query *q, struct rs_out *o, int *code) {
  const struct at *at = find_at(z, ip);
  uint8_t wire[rs_max_name + 1];
  if (!at && !network_with(z, ip))
    return RS_ELSEWHERE;
  size_t len = at && in_network(a, at->network) ? own_name(at, wire) : 0;
  *code = len ? rs_noerror : rs_nxdomain;
  if (len && (q->type == rs_ptr || q->type == rs_any))
    rs_out_record(o, RS_ANSWER, NULL, 0, rs_ptr, rs_own_ttl, wire, len);
  else
    add_soa(o);
  return RS_ANSWERED;
}

enum rs_verdict rs_zone_answer(struct rs_zone *z, const struct ro_ip *from, const struct rs_query *q, struct rs_out *o, int *code, const json_t **dns) {
  const struct at *at = find_at(z, from);
  struct asker a = {.member = at ? at->member : NULL, .network = at ? at->network : network_with(z, from)};
  struct hits h = {.n = 0};
  struct ro_ip ip;
  char port[64], protocol[8];
  const char *rest = NULL;
  bool ours = false;
  *dns = a.member ? a.member->dns : NULL;
  *code = rs_noerror;
  if (!a.member && !a.network)
    return RS_NOT_HERE;
  if (q->name[0] && reverse(q->name, &ip)) {
    if (answer_reverse(z, &a, &ip, q, o, code) == RS_ANSWERED)
      return RS_ANSWERED;
  } else if (q->name[0] && split_srv(q->name, port, protocol, &rest) && resolve(z, &a, rest, &h, &ours)) {
    if (h.known && (q->type == rs_srv || q->type == rs_any))
      answer_srv(o, &h, port, protocol);
    *code = h.known ? rs_noerror : rs_nxdomain;
  } else if (q->name[0] && resolve(z, &a, q->name, &h, &ours)) {
    answer_addresses(o, &h, q->type);
    *code = h.known || !strchr(q->name, '.') ? rs_noerror : rs_nxdomain;
  } else {
    return shut_in(&a) ? RS_NOT_HERE : RS_ELSEWHERE;
  }
  if (rest || h.known || ours) {
    if (!o->answers && !o->full)
      add_soa(o);
    return RS_ANSWERED;
  }
  return shut_in(&a) ? RS_NOT_HERE : RS_ELSEWHERE;
}
