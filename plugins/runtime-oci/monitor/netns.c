#include "config.h"
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "../../common/util.h"
#include "../net/link.h"
#include "../net/netlink.h"
#include "files.h"
#include "root.h"

enum { max_config = 16 << 20 };

static const char *code_name(enum berth_code code) {
  switch (code) {
  case BERTH_INVALID:
    return "invalid";
  case BERTH_NOT_FOUND:
    return "not_found";
  case BERTH_CONFLICT:
    return "conflict";
  case BERTH_DENIED:
    return "denied";
  case BERTH_UNSUPPORTED:
    return "unsupported";
  case BERTH_EXHAUSTED:
    return "exhausted";
  default:
    return "unavailable";
  }
}

int ro_netns_config(const struct ro_monspec *s, const char *dir, struct ro_fail *why) {
  PU_AUTO_FREE path = pu_asprintf("%s/config.json", s->bundle);
  size_t len;
  PU_AUTO_FREE text = ro_read_file(AT_FDCWD, path, max_config, &len);
  if (!text)
    return ro_fail_errno(why, "cannot read %s", path);
  static const char place[] = "\"" RO_NETNS_PLACE "\"";
  char *at = memmem(text, len, place, sizeof place - 1);
  if (!at)
    return 0;
  PU_AUTO_BUF b = {0};
  pu_buf_add(&b, text, (size_t)(at - text));
  pu_buf_addf(&b, "\"%s/netns\"", dir); /* a run folder's path has nothing that JSON would escape: see main.c */
  pu_buf_add(&b, at + sizeof place - 1, len - (size_t)(at - text) - (sizeof place - 1));
  if (ro_write_file(path, b.data, b.len, 0600) < 0)
    return ro_fail_errno(why, "cannot write %s", path);
  return 0;
}

static int bind_at(const char *from, const char *dir, struct ro_fail *why) {
  PU_AUTO_FREE place = pu_asprintf("%s/netns", dir);
  int fd = open(place, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd >= 0)
    close(fd);
  if (fd < 0 || mount(from, place, NULL, MS_BIND, NULL) < 0)
    return ro_fail_errno(why, "cannot bind the network namespace %s to %s", from, place);
  return 0;
}

/* ---- interfaces ---- */

static int one_link(const json_t *v, struct ro_link *l, const char *id, struct ro_fail *why) {
  *l = (struct ro_link){.kind = pu_str(v, "kind"), .mode = pu_str(v, "mode"), .name = pu_str(v, "name"), .host = pu_str(v, "host"),
                        .bridge = pu_str(v, "bridge"), .parent = pu_str(v, "parent"), .mac = pu_str(v, "mac"),
                        .gateway = pu_str(v, "gateway"), .gateway6 = pu_str(v, "gateway6"), .mtu = (int)pu_int(v, "mtu", 0)};
  size_t i;
  const json_t *address;
  if (!l->name)
    return ro_fail(why, "invalid", "an interface of container %s has no name", id);
  json_array_foreach(pu_arr(v, "addresses"), i, address) {
    if (l->naddresses == ro_link_max_addresses || !json_is_string(address))
      return ro_fail(why, "invalid", "interface %s of container %s has more than %d addresses, or one that is no text", l->name, id, ro_link_max_addresses);
    l->addresses[l->naddresses++] = json_string_value(address);
  }
  return 0;
}

static int links_of(const struct ro_monspec *s, struct ro_link *links, size_t *n, struct ro_fail *why) {
  size_t i;
  const json_t *v;
  *n = 0;
  json_array_foreach(pu_arr(s->network, "interfaces"), i, v) {
    if (*n == ro_link_max_links)
      return ro_fail(why, "invalid", "container %s joins more than %d networks", s->id, ro_link_max_links);
    if (one_link(v, &links[(*n)++], s->id, why) < 0)
      return -1;
  }
  return 0;
}

/* What crosses the border of namespaces: sockets to both and the new one's descriptor. */
struct sides {
  int host, own, netns;
};

static int join(const struct ro_monspec *s, const struct sides *f, struct ro_fail *why) {
  struct ro_link links[ro_link_max_links];
  size_t n;
  struct ro_why net = {0};
  if (links_of(s, links, &n, why) < 0)
    return -1;
  if ((n ? ro_link_join(f->host, f->own, f->netns, links, n, &net) : ro_link_lo(f->own, &net)) < 0)
    return ro_fail(why, code_name(net.code), "container %s: %s", s->id, net.text);
  return 0;
}

/* Those of the new namespace that a container of mapped users may not write itself: {"net.ipv4.ip_forward": "1"}. */
static int parameters(const struct ro_monspec *s, struct ro_fail *why) {
  const char *key;
  json_t *v;
  json_object_foreach(pu_obj(s->json, "sysctls"), key, v) {
    PU_AUTO_FREE path = pu_asprintf("/proc/sys/%s", key);
    for (char *p = path + strlen("/proc/sys/"); *p; p++)
      *p = *p == '.' ? '/' : *p;
    const char *value = json_string_value(v);
    int fd = pu_starts(key, "net.") && value ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    bool written = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
    if (!written)
      ro_fail_errno(why, "sysctls: %s cannot be set to %s for container %s", key, value ? value : "nothing", s->id);
    if (fd >= 0)
      close(fd);
    if (!written)
      return -1;
  }
  return 0;
}

/* In the new namespace. */
static int furnish(const struct ro_monspec *s, const char *dir, int host, struct ro_fail *why) {
  struct ro_why net = {0};
  struct sides f = {host, ro_nl_open(&net), open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)};
  int rc = f.own < 0 || f.netns < 0 ? ro_fail(why, "exhausted", "container %s: cannot talk to its network: %s", s->id, net.text) : join(s, &f, why);
  if (rc == 0)
    rc = parameters(s, why);
  if (rc == 0)
    rc = bind_at("/proc/self/ns/net", dir, why);
  if (f.own >= 0)
    close(f.own);
  if (f.netns >= 0)
    close(f.netns);
  return rc;
}

static int make_new(const struct ro_monspec *s, const char *dir, int back, int host, struct ro_fail *why) {
  if (ro_root_private(s, CLONE_NEWNET, why) < 0)
    return -1;
  int rc = furnish(s, dir, host, why);
  if (setns(back, CLONE_NEWNET) < 0 && rc == 0)
    rc = ro_fail_errno(why, "cannot go back to the host's network namespace");
  return rc;
}

int ro_netns_make(const struct ro_monspec *s, const char *dir, struct ro_fail *why) {
  if (s->net == RO_NET_HOST || s->net == RO_NET_PATH) {
    if (ro_root_private(s, 0, why) < 0)
      return -1;
    return s->net == RO_NET_PATH ? bind_at(s->net_path, dir, why) : 0;
  }
  struct ro_why net = {0};
  int host = ro_nl_open(&net), back = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  int rc = host < 0 || back < 0 ? ro_fail(why, "exhausted", "container %s: cannot talk to the host's network: %s", s->id, net.text)
                                : make_new(s, dir, back, host, why);
  if (host >= 0)
    close(host);
  if (back >= 0)
    close(back);
  return rc;
}
