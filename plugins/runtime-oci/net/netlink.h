/* Messages to the kernel's rtnetlink, many of them in one packet: a round trip costs more than most of what is asked for. Knows how
 * messages are built and answered, nothing of links or routes. One thread at a time per socket and batch; no heap. */
#ifndef RO_NET_NETLINK_H
#define RO_NET_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "why.h"

enum { ro_nl_max_messages = 64, ro_nl_max_bytes = 12 << 10 };

/* Zero-initialise. What does not fit is remembered and refused by ro_nl_send. */
struct ro_nl_batch {
  size_t len, count, at; /* at: where the message that is being written begins */
  bool full;
  struct {
    int forgiven;   /* an errno that counts as success; 0: none */
    char what[72];  /* "the bridge x cannot be made": what the sentence of a failure begins with */
  } messages[ro_nl_max_messages];
  _Alignas(struct nlmsghdr) unsigned char bytes[ro_nl_max_bytes];
};

/* A socket to the caller's network namespace, close-on-exec, with 10 s of patience; it keeps to that namespace when the thread leaves it.
 * -1 with why. */
int ro_nl_open(struct ro_why *why);
int ro_nl_open_of(int family, struct ro_why *why); /* of another family than NETLINK_ROUTE */

/* Begins a message whose fixed part is head; flags are added to NLM_F_REQUEST | NLM_F_ACK. what is copied (cut to 71 bytes). */
void ro_nl_begin(struct ro_nl_batch *b, const char *what, int forgiven, uint16_t type, uint16_t flags, const void *head, size_t head_len);
/* An attribute of the message that was begun last. */
void ro_nl_attr(struct ro_nl_batch *b, uint16_t type, const void *data, size_t len);
void ro_nl_attr_str(struct ro_nl_batch *b, uint16_t type, const char *s);
void ro_nl_attr_u32(struct ro_nl_batch *b, uint16_t type, uint32_t v);
void ro_nl_attr_u8(struct ro_nl_batch *b, uint16_t type, uint8_t v);
/* Attributes written between the two are within this one. */
size_t ro_nl_nest(struct ro_nl_batch *b, uint16_t type);
void ro_nl_nest_end(struct ro_nl_batch *b, size_t nest);
/* Bytes without a header of their own inside a nest, as VETH_INFO_PEER begins with. */
void ro_nl_raw(struct ro_nl_batch *b, const void *data, size_t len);

/* Sends all at once and waits for every answer; the batch is empty then. The kernel does all of them even where one fails. 0, or -1
 * with the first failure; *errnum (may be NULL) is its errno. */
int ro_nl_send(int fd, struct ro_nl_batch *b, int *errnum, struct ro_why *why);

/* Asks for all of a kind (RTM_GETROUTE, RTM_GETLINK, …) and calls each for every message. Begins anew, at most three times, where the
 * kernel says that what was listed changed meanwhile: each may then see one twice. */
int ro_nl_dump(int fd, uint16_t type, const void *head, size_t head_len, void (*each)(const struct nlmsghdr *h, void *context), void *context,
               struct ro_why *why);

/* Asks one question and calls each for its one answer. */
int ro_nl_get(int fd, uint16_t type, const void *head, size_t head_len, void (*each)(const struct nlmsghdr *h, void *context), void *context,
              struct ro_why *why);

/* The attribute of that type in a message whose fixed part has head_len bytes; NULL where it has none. */
const struct nlattr *ro_nl_find(const struct nlmsghdr *h, size_t head_len, uint16_t type);
/* The fixed part of a message. */
static inline const void *ro_nl_head(const struct nlmsghdr *h) { return (const char *)h + NLMSG_HDRLEN; }
static inline const void *ro_nl_data(const struct nlattr *a) { return (const char *)a + NLA_HDRLEN; }
static inline size_t ro_nl_size(const struct nlattr *a) { return a->nla_len - NLA_HDRLEN; }

#endif
