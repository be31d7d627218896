#include "config.h"
#include "plugin/confine.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/size.h"

enum { max_report = 4096 };

/* ---------------------------------------------------------------- the report */

/* The first descriptor that came along; more than one is closed by the kernel, for which there is no room. */
static int fd_of(struct msghdr *m) {
  int fd = -1;
  struct cmsghdr *c = CMSG_FIRSTHDR(m);
  if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len >= CMSG_LEN(sizeof fd))
    memcpy(&fd, CMSG_DATA(c), sizeof fd);
  return fd;
}

static void read_report(const json_t *o, struct bt_confinement *out) {
  out->known = true;
  out->user = bt_json_int(o, "user", 0);
  out->own_user = out->user != (long long)geteuid();
  out->memory = bt_json_int(o, "memory", 0);
  out->files = bt_json_int(o, "files", 0);
  out->processes = bt_json_int(o, "processes", 0);
  out->cpu = bt_json_int(o, "cpu", 0);
  out->seccomp = bt_json_bool(o, "seccomp", false);
  out->no_new_privs = bt_json_bool(o, "no_new_privs", false);
  out->sockets = bt_json_bool(o, "sockets", true);
}

void bt_confinement_take(int *socket, struct bt_confinement *out) {
  char text[max_report];
  _Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))];
  struct iovec part = {text, sizeof text};
  struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
  *out = (struct bt_confinement){.status = -1};
  ssize_t n = *socket < 0 ? -1 : recvmsg(*socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  bt_closep(socket);
  if (n <= 0)
    return;
  out->status = fd_of(&m);
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON o = bt_json_parse(text, (size_t)n, max_report, 2, "a report", &err);
  if (o)
    read_report(o, out);
}

void bt_confinement_free(struct bt_confinement *c) {
  bt_closep(&c->status);
  c->known = false;
}

/* "Name:   123 kB", at the beginning of a line. */
static int64_t kib_of(const char *text, const char *name) {
  const char *at = strstr(text, name);
  return at ? strtoll(at + strlen(name), NULL, 10) : 0;
}

int64_t bt_confinement_memory(const struct bt_confinement *c) {
  char text[max_report];
  ssize_t n = c->status < 0 ? -1 : pread(c->status, text, sizeof text - 1, 0);
  if (n <= 0)
    return -1;
  text[n] = '\0';
  return (kib_of(text, "\nRssAnon:") + kib_of(text, "\nRssShmem:") + kib_of(text, "\nVmSwap:")) << 10;
}

/* ---------------------------------------------------------------- in words */

static void add(json_t *list, bool so, const char *text) {
  if (so)
    json_array_append_new(list, json_string(text));
}

static void add_count(json_t *list, long long n, const char *of) {
  BT_AUTO_FREE char *text = bt_asprintf("%lld %s", n, of);
  add(list, n > 0, text);
}

json_t *bt_confinement_has(const struct bt_confinement *c) {
  json_t *list = json_array();
  char size[32];
  if (!c->known)
    return list;
  BT_AUTO_FREE char *user = bt_asprintf("user %lld", c->user);
  BT_AUTO_FREE char *memory = bt_asprintf("memory %s", bt_size_format(c->memory, size));
  add(list, c->own_user, user);
  add(list, c->memory > 0, memory);
  add_count(list, c->files, "files");
  add_count(list, c->processes, "processes");
  add_count(list, c->cpu, "s of processor");
  add(list, c->no_new_privs, "no new privileges");
  add(list, c->seccomp, "seccomp");
  add(list, !c->sockets, "no sockets");
  return list;
}

json_t *bt_confinement_lacks(const struct bt_confinement *c) {
  json_t *list = json_array();
  if (!c->known) {
    add(list, true, "everything");
    return list;
  }
  add(list, !c->own_user, "user");
  add(list, c->memory <= 0, "memory");
  add(list, c->status < 0, "memory-watch");
  add(list, c->files <= 0, "files");
  add(list, c->processes <= 0, "processes");
  add(list, !c->no_new_privs, "privileges");
  add(list, !c->seccomp, "seccomp");
  add(list, c->sockets, "sockets");
  return list;
}

char *bt_confinement_text(const json_t *list) {
  struct bt_buf text = {0};
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) bt_buf_addf(&text, "%s%s", i ? ", " : "", json_string_value(item));
  return bt_buf_steal(&text);
}
