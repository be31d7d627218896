/* DNS messages (RFC 1035, 6891): questions read, answers written, answers of other servers walked through. Every length is checked; what is
 * not understood is refused rather than guessed. Pure; no heap. */
#ifndef RS_MESSAGE_H
#define RS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { rs_a = 1, rs_ns = 2, rs_soa = 6, rs_ptr = 12, rs_aaaa = 28, rs_srv = 33, rs_opt = 41, rs_any = 255, rs_in = 1 };
enum { rs_noerror = 0, rs_formerr = 1, rs_servfail = 2, rs_nxdomain = 3, rs_notimp = 4, rs_refused = 5, rs_badvers = 16 };
enum { rs_header = 12, rs_max_name = 255, rs_plain_size = 512, rs_edns_size = 1232, rs_max_message = 65535 };

struct rs_query {
  uint16_t id, type, class, size; /* size: what the asker takes over UDP, 512 to 1232 */
  bool recursion, checking, edns, dnssec; /* RD, CD, an OPT record, DO */
  uint8_t version;                /* of EDNS */
  uint8_t wire[rs_max_name + 1];  /* the name as it was asked, its case kept */
  size_t wire_len;
  char name[rs_max_name + 1];     /* in lower case with dots, none at the end; "" for the root and for what cannot be a name here */
};

/* rs_noerror; another code, with which it is to be answered (id is set then); -1: not to be answered at all. */
int rs_query_read(const void *data, size_t len, struct rs_query *out);

/* An answer that is being written. */
struct rs_out {
  uint8_t *data;
  size_t len, cap;      /* cap leaves room for the OPT record */
  bool full;            /* something did not fit */
  unsigned answers, authority, additional;
};
/* Begins with the question; code may be changed until rs_out_end. */
void rs_out_begin(struct rs_out *o, void *data, size_t cap, const struct rs_query *q);
enum rs_section { RS_ANSWER, RS_AUTHORITY, RS_ADDITIONAL };
/* A record whose owner is the question's name (owner NULL) or a wire name. */
void rs_out_record(struct rs_out *o, enum rs_section section, const uint8_t *owner, size_t owner_len, uint16_t type, uint32_t ttl, const void *data, size_t len);
/* Closes it; where something did not fit it is cut to the question and TC is set. authoritative: AA. Returns its length. */
size_t rs_out_end(struct rs_out *o, const struct rs_query *q, int code, bool authoritative);

/* "web.shop" -> wire form with the root's zero. 0: it is no name. */
size_t rs_name_wire(const char *text, uint8_t out[rs_max_name + 1]);

/* What is in an answer of another server. */
struct rs_seen {
  uint16_t id;
  int code;
  bool truncated, nodata;   /* nodata: no record answers the question's type */
  size_t question_end, end; /* end: where the OPT record begins, or all that was understood ends */
  unsigned additional;      /* records before end in that section */
  uint32_t ttl;             /* lowest; of a negative answer by its SOA; 0 where it must not be kept */
  size_t nttl;
  uint16_t ttl_at[96];      /* where they stand */
};
/* False where it is none, or no answer to that question. *case_differs: only the name's case is another one. */
bool rs_answer_read(const void *data, size_t len, const uint8_t *wire, size_t wire_len, uint16_t type, struct rs_seen *out, bool *case_differs);

static inline uint16_t rs_get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t rs_get32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }
static inline void rs_put16(uint8_t *p, unsigned v) {
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}
static inline void rs_put32(uint8_t *p, uint32_t v) {
  rs_put16(p, v >> 16);
  rs_put16(p + 2, v & 0xffff);
}

#endif
