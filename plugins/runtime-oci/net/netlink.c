#include "config.h"
#include "netlink.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifndef NETLINK_CAP_ACK
#define NETLINK_CAP_ACK 10
#endif
#ifndef NETLINK_EXT_ACK
#define NETLINK_EXT_ACK 11
#endif

int ro_nl_open(struct ro_why *why) { return ro_nl_open_of(NETLINK_ROUTE, why); }

int ro_nl_open_of(int family, struct ro_why *why) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family), on = 1;
  if (fd < 0)
    return ro_why_set(why, ro_why_code(errno), "the kernel gives no netlink socket: %s", strerror(errno));
  struct sockaddr_nl address = {.nl_family = AF_NETLINK};
  struct timeval patience = {.tv_sec = 10};
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    ro_why_set(why, ro_why_code(errno), "the netlink socket cannot be bound: %s", strerror(errno));
    close(fd);
    return -1;
  }
  return fd;
}

/* ---------------------------------------------------------------- writing */

static void *take(struct ro_nl_batch *b, size_t len) {
  size_t whole = NLMSG_ALIGN(len);
  if (b->full || whole > sizeof b->bytes - b->len) {
    b->full = true;
    return NULL;
  }
  void *at = memset(b->bytes + b->len, 0, whole);
  b->len += whole;
  ((struct nlmsghdr *)(void *)(b->bytes + b->at))->nlmsg_len = (uint32_t)(b->len - b->at);
  return at;
}

void ro_nl_raw(struct ro_nl_batch *b, const void *data, size_t len) {
  void *at = take(b, len);
  if (at && len)
    memcpy(at, data, len);
}

void ro_nl_begin(struct ro_nl_batch *b, const char *what, int forgiven, uint16_t type, uint16_t flags, const void *head, size_t head_len) {
  if (b->count == ro_nl_max_messages || sizeof(struct nlmsghdr) > sizeof b->bytes - b->len) {
    b->full = true;
    return;
  }
  b->at = b->len;
  struct nlmsghdr *h = take(b, sizeof *h);
  if (!h)
    return;
  h->nlmsg_type = type;
  h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
  h->nlmsg_seq = (uint32_t)b->count + 1;
  b->messages[b->count].forgiven = forgiven;
  snprintf(b->messages[b->count].what, sizeof b->messages[b->count].what, "%s", what);
  b->count++;
  ro_nl_raw(b, head, head_len);
}

void ro_nl_attr(struct ro_nl_batch *b, uint16_t type, const void *data, size_t len) {
  struct nlattr *a = take(b, NLA_HDRLEN + len);
  if (!a)
    return;
  a->nla_type = type;
  a->nla_len = (uint16_t)(NLA_HDRLEN + len);
  if (len)
    memcpy((char *)a + NLA_HDRLEN, data, len);
}

void ro_nl_attr_str(struct ro_nl_batch *b, uint16_t type, const char *s) { ro_nl_attr(b, type, s, strlen(s) + 1); }
void ro_nl_attr_u32(struct ro_nl_batch *b, uint16_t type, uint32_t v) { ro_nl_attr(b, type, &v, sizeof v); }
void ro_nl_attr_u8(struct ro_nl_batch *b, uint16_t type, uint8_t v) { ro_nl_attr(b, type, &v, sizeof v); }

size_t ro_nl_nest(struct ro_nl_batch *b, uint16_t type) {
  size_t nest = b->len;
  ro_nl_attr(b, (uint16_t)(type | NLA_F_NESTED), NULL, 0);
  return nest;
}

void ro_nl_nest_end(struct ro_nl_batch *b, size_t nest) {
  if (!b->full)
    ((struct nlattr *)(void *)(b->bytes + nest))->nla_len = (uint16_t)(b->len - nest);
}

/* ---------------------------------------------------------------- asking */

const struct nlattr *ro_nl_find(const struct nlmsghdr *h, size_t head_len, uint16_t type) {
  size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(head_len);
  while (at + NLA_HDRLEN <= h->nlmsg_len) {
    const struct nlattr *a = (const void *)((const char *)h + at);
    if (a->nla_len < NLA_HDRLEN || a->nla_len > h->nlmsg_len - at)
      return NULL;
    if ((a->nla_type & NLA_TYPE_MASK) == type)
      return a;
    at += NLA_ALIGN(a->nla_len);
  }
  return NULL;
}

/* The kernel's own words about an error, where it has some; "" otherwise. Borrowed from h. */
static const char *words_of(const struct nlmsghdr *h) {
  const struct nlmsgerr *e = ro_nl_head(h);
  if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
    return "";
  size_t copied = sizeof *e + (h->nlmsg_flags & NLM_F_CAPPED ? 0 : e->msg.nlmsg_len - sizeof e->msg);
  const struct nlattr *text = ro_nl_find(h, copied, NLMSGERR_ATTR_MSG);
  return text && ro_nl_size(text) && !((const char *)ro_nl_data(text))[ro_nl_size(text) - 1] ? ro_nl_data(text) : "";
}

static ssize_t receive(int fd, void *into, size_t size, struct ro_why *why) {
  for (;;) {
    struct sockaddr_nl from = {0};
    socklen_t from_len = sizeof from;
    ssize_t n = recvfrom(fd, into, size, 0, (struct sockaddr *)&from, &from_len);
    if (n > 0 && from.nl_pid != 0) /* only the kernel is listened to */
      continue;
    if (n >= 0 || errno != EINTR)
      return n > 0 ? n : ro_why_set(why, BERTH_IO, "the kernel does not answer over netlink: %s", n ? strerror(errno) : "its side was closed");
  }
}

static int answered(const struct ro_nl_batch *b, const struct nlmsghdr *h, int *errnum, struct ro_why *why) {
  const struct nlmsgerr *e = ro_nl_head(h);
  uint32_t at = h->nlmsg_seq - 1;
  int error = -e->error;
  if (!error || error == b->messages[at].forgiven)
    return 0;
  const char *words = words_of(h);
  if (errnum)
    *errnum = error;
  return ro_why_set(why, ro_why_code(error), "%s: %s%s%s", b->messages[at].what, strerror(error), *words ? ": " : "", words);
}

static int nothing_sent(struct ro_nl_batch *b, int *errnum, struct ro_why *why) {
  if (b->full) {
    if (errnum)
      *errnum = E2BIG;
    return ro_why_set(why, BERTH_TOO_LARGE, "a network of so many addresses and routes is not set up at once: give it fewer");
  }
  return 0;
}

int ro_nl_send(int fd, struct ro_nl_batch *b, int *errnum, struct ro_why *why) {
  _Alignas(struct nlmsghdr) char answer[8192];
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  size_t missing = b->count;
  int result = 0;
  if (errnum)
    *errnum = 0;
  if (b->full || !b->count) {
    result = nothing_sent(b, errnum, why);
    missing = 0;
  } else if (sendto(fd, b->bytes, b->len, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0) {
    if (errnum)
      *errnum = errno;
    result = ro_why_set(why, ro_why_code(errno), "%s: netlink takes nothing: %s", b->messages[0].what, strerror(errno));
    missing = 0;
  }
  while (missing) {
    ssize_t n = receive(fd, answer, sizeof answer, result ? NULL : why);
    if (n < 0) {
      if (errnum && !result)
        *errnum = EIO;
      result = -1;
      break;
    }
    unsigned left = (unsigned)n;
    for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
      if (h->nlmsg_type == NLMSG_ERROR && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct nlmsgerr)) && h->nlmsg_seq - 1 < b->count && missing) {
        missing--;
        if (answered(b, h, result ? NULL : errnum, result ? NULL : why))
          result = -1;
      }
  }
  b->len = b->count = b->at = 0;
  b->full = false;
  return result;
}

struct question {
  struct nlmsghdr h;
  char head[64];
};

static int put_question(int fd, struct question *q, uint16_t type, uint16_t flags, const void *head, size_t head_len, struct ro_why *why) {
  static _Atomic uint32_t last = 1000; /* of the process: threads share sockets */
  uint32_t seq = ++last;
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  if (head_len > sizeof q->head)
    return ro_why_set(why, BERTH_INTERNAL, "a netlink request with a head of %zu bytes", head_len);
  q->h = (struct nlmsghdr){.nlmsg_len = (uint32_t)NLMSG_LENGTH(head_len), .nlmsg_type = type, .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags), .nlmsg_seq = seq};
  memcpy(q->head, head, head_len);
  if (sendto(fd, q, q->h.nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
    return ro_why_set(why, ro_why_code(errno), "netlink takes nothing: %s", strerror(errno));
  return 0;
}

static int refused(const struct nlmsghdr *h, struct ro_why *why) {
  int error = -((const struct nlmsgerr *)ro_nl_head(h))->error;
  return error ? ro_why_set(why, ro_why_code(error), "the kernel does not tell of its network: %s", strerror(error)) : 0;
}

int ro_nl_get(int fd, uint16_t type, const void *head, size_t head_len, void (*each)(const struct nlmsghdr *h, void *context), void *context,
              struct ro_why *why) {
  _Alignas(struct nlmsghdr) char answer[8192];
  struct question q = {0};
  if (put_question(fd, &q, type, 0, head, head_len, why))
    return -1;
  for (;;) {
    ssize_t n = receive(fd, answer, sizeof answer, why);
    if (n < 0)
      return -1;
    unsigned left = (unsigned)n;
    for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
      if (h->nlmsg_seq != q.h.nlmsg_seq)
        continue;
      if (h->nlmsg_type == NLMSG_ERROR)
        return refused(h, why);
      each(h, context);
      return 0;
    }
  }
}

/* One pass. 1: it has to be done anew. */
static int dump_once(int fd, uint32_t seq, void (*each)(const struct nlmsghdr *h, void *context), void *context, struct ro_why *why) {
  _Alignas(struct nlmsghdr) char answer[32768];
  bool torn = false;
  for (;;) {
    ssize_t n = receive(fd, answer, sizeof answer, why);
    if (n < 0)
      return -1;
    unsigned left = (unsigned)n;
    for (struct nlmsghdr *h = (void *)answer; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
      if (h->nlmsg_seq != seq)
        continue;
      torn = torn || (h->nlmsg_flags & NLM_F_DUMP_INTR);
      if (h->nlmsg_type == NLMSG_DONE)
        return torn;
      if (h->nlmsg_type == NLMSG_ERROR)
        return refused(h, why);
      each(h, context);
    }
  }
}

int ro_nl_dump(int fd, uint16_t type, const void *head, size_t head_len, void (*each)(const struct nlmsghdr *h, void *context), void *context,
               struct ro_why *why) {
  struct question q = {0};
  int again = 1;
  for (int tries = 0; again > 0 && tries < 3; tries++) {
    if (put_question(fd, &q, type, NLM_F_DUMP, head, head_len, why))
      return -1;
    again = dump_once(fd, q.h.nlmsg_seq, each, context, why);
  }
  return again < 0 ? -1 : 0;
}
