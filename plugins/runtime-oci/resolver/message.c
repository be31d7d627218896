#include "config.h"
#include "message.h"

#include <string.h>

static uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c; }

/* ---------------------------------------------------------------- questions */

/* An uncompressed name at *at: its wire form is copied. False where it is none. */
static bool read_name(const uint8_t *d, size_t len, size_t *at, struct rs_query *q) {
  size_t p = *at, text = 0;
  bool plain = true;
  q->wire_len = 0;
  for (;;) {
    if (p >= len || d[p] > 63 || q->wire_len + d[p] + 1 > rs_max_name || p + d[p] + 1 > len)
      return false;
    size_t n = d[p];
    memcpy(q->wire + q->wire_len, d + p, n + 1);
    q->wire_len += n + 1;
    if (!n)
      break;
    if (text)
      q->name[text++] = '.';
    for (size_t i = 1; i <= n; i++) {
      plain = plain && d[p + i] > ' ' && d[p + i] < 0x7f && d[p + i] != '.';
      q->name[text++] = (char)lower(d[p + i]);
    }
    p += n + 1;
  }
  q->name[plain ? text : 0] = 0;
  *at = p + 1;
  return true;
}

/* A name that may be compressed is stepped over. */
static bool skip_name(const uint8_t *d, size_t len, size_t *at) {
  size_t p = *at;
  while (p < len && d[p] && d[p] < 64)
    p += d[p] + 1u;
  if (p >= len || (d[p] && d[p] < 192))
    return false;
  *at = p + (d[p] ? 2 : 1);
  return *at <= len;
}

struct record {
  size_t owner, ttl, data, len;
  uint16_t type, class;
};

static bool read_record(const uint8_t *d, size_t len, size_t *at, struct record *r) {
  r->owner = *at;
  if (!skip_name(d, len, at) || len - *at < 10)
    return false;
  r->type = rs_get16(d + *at);
  r->class = rs_get16(d + *at + 2);
  r->ttl = *at + 4;
  r->len = rs_get16(d + *at + 8);
  r->data = *at + 10;
  if (r->len > len - r->data)
    return false;
  *at = r->data + r->len;
  return true;
}

static bool read_opt(struct rs_query *q, const uint8_t *d, const struct record *r) {
  if (q->edns || d[r->owner] != 0)
    return false;
  q->edns = true;
  q->size = r->class < rs_plain_size ? rs_plain_size : r->class > rs_edns_size ? rs_edns_size : r->class;
  q->version = d[r->ttl + 1];
  q->dnssec = d[r->ttl + 2] & 0x80;
  return true;
}

int rs_query_read(const void *data, size_t len, struct rs_query *q) {
  const uint8_t *d = data;
  size_t at = rs_header;
  struct record r;
  *q = (struct rs_query){.size = rs_plain_size};
  if (len < rs_header || d[2] & 0x80)
    return -1;
  q->id = rs_get16(d);
  q->recursion = d[2] & 1;
  q->checking = d[3] & 0x10;
  if (d[2] & 0x78)
    return rs_notimp;
  if (rs_get16(d + 4) != 1 || rs_get16(d + 6) || rs_get16(d + 8) || !read_name(d, len, &at, q) || len - at < 4) {
    q->wire_len = 0;
    return rs_formerr;
  }
  q->type = rs_get16(d + at);
  q->class = rs_get16(d + at + 2);
  at += 4;
  for (unsigned n = rs_get16(d + 10); n; n--)
    if (!read_record(d, len, &at, &r) || (r.type == rs_opt && !read_opt(q, d, &r)))
      return rs_formerr;
  return q->version ? rs_badvers : rs_noerror;
}

/* ---------------------------------------------------------------- answers */

static void put(struct rs_out *o, const void *p, size_t n) {
  if (o->full || n > o->cap - o->len) {
    o->full = true;
    return;
  }
  memcpy(o->data + o->len, p, n);
  o->len += n;
}

static void put_question(struct rs_out *o, const struct rs_query *q) {
  uint8_t tail[4];
  o->len = rs_header;
  if (!q->wire_len)
    return;
  rs_put16(tail, q->type);
  rs_put16(tail + 2, q->class);
  put(o, q->wire, q->wire_len);
  put(o, tail, sizeof tail);
}

void rs_out_begin(struct rs_out *o, void *data, size_t cap, const struct rs_query *q) {
  *o = (struct rs_out){.data = data, .cap = cap - (q->edns ? 11 : 0)};
  memset(data, 0, rs_header);
  put_question(o, q);
}

void rs_out_record(struct rs_out *o, enum rs_section section, const uint8_t *owner, size_t owner_len, uint16_t type, uint32_t ttl, const void *data, size_t len) {
  static const uint8_t question[2] = {0xc0, rs_header};
  uint8_t head[10];
  rs_put16(head, type);
  rs_put16(head + 2, rs_in);
  rs_put32(head + 4, ttl);
  rs_put16(head + 8, (unsigned)len);
  if (o->full || (owner ? owner_len : 2) + sizeof head + len > o->cap - o->len) {
    o->full = o->full || section != RS_ADDITIONAL; /* what only saves a question may be left out */
    return;
  }
  put(o, owner ? owner : question, owner ? owner_len : 2);
  put(o, head, sizeof head);
  put(o, data, len);
  (*(section == RS_ANSWER ? &o->answers : section == RS_AUTHORITY ? &o->authority : &o->additional))++;
}

size_t rs_out_end(struct rs_out *o, const struct rs_query *q, int code, bool authoritative) {
  uint8_t *d = o->data;
  if (o->full) {
    o->answers = o->authority = o->additional = 0;
    o->full = false;
    put_question(o, q);
    d[2] = 0x02;
  }
  if (q->edns) {
    uint8_t opt[11] = {0, 0, rs_opt, rs_edns_size >> 8, rs_edns_size & 0xff, (uint8_t)(code >> 4), 0, q->dnssec ? 0x80 : 0};
    memcpy(d + o->len, opt, sizeof opt);
    o->len += sizeof opt;
  }
  rs_put16(d, q->id);
  d[2] |= (uint8_t)(0x80 | (q->recursion ? 1 : 0) | (authoritative ? 4 : 0));
  d[3] = (uint8_t)(0x80 | (q->checking ? 0x10 : 0) | (code & 15));
  rs_put16(d + 4, q->wire_len ? 1 : 0);
  rs_put16(d + 6, o->answers);
  rs_put16(d + 8, o->authority);
  rs_put16(d + 10, o->additional + (q->edns ? 1 : 0));
  return o->len;
}

size_t rs_name_wire(const char *text, uint8_t out[rs_max_name + 1]) {
  size_t at = 0;
  while (*text) {
    size_t n = strcspn(text, ".");
    if (!n || n > 63 || at + n + 2 > rs_max_name)
      return 0;
    out[at++] = (uint8_t)n;
    memcpy(out + at, text, n);
    at += n;
    text += n;
    if (*text == '.' && !*++text)
      break;
  }
  out[at++] = 0;
  return at;
}

/* Wire forms, whatever their case. */
static bool name_same(const uint8_t *a, const uint8_t *b, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (lower(a[i]) != lower(b[i]))
      return false;
  return true;
}

/* ---------------------------------------------------------------- other servers' */

static bool same_question(const uint8_t *d, size_t len, const uint8_t *wire, size_t wire_len, uint16_t type, bool *case_differs) {
  if (rs_get16(d + 4) != 1 || len - rs_header < wire_len + 4 || !name_same(d + rs_header, wire, wire_len) ||
      rs_get16(d + rs_header + wire_len) != type || rs_get16(d + rs_header + wire_len + 2) != rs_in)
    return false;
  *case_differs = memcmp(d + rs_header, wire, wire_len) != 0;
  return true;
}

/* What a record says about how long the answer may be kept. */
static void weigh(struct rs_seen *s, const uint8_t *d, const struct record *r, int section, uint16_t type, uint32_t *soa) {
  uint32_t ttl = rs_get32(d + r->ttl);
  if (ttl & 0x80000000)
    ttl = 0;
  if (s->nttl < sizeof s->ttl_at / sizeof *s->ttl_at)
    s->ttl_at[s->nttl++] = (uint16_t)r->ttl;
  else
    ttl = 0; /* so many that they cannot all be aged: it is not kept */
  if (section == 0 && (r->type == type || type == rs_any))
    s->nodata = false;
  if (section == 1 && r->type == rs_soa && r->len >= 20) {
    uint32_t least = rs_get32(d + r->data + r->len - 4);
    *soa = ttl < least ? ttl : least;
  }
  if (ttl < s->ttl)
    s->ttl = ttl;
}

bool rs_answer_read(const void *data, size_t len, const uint8_t *wire, size_t wire_len, uint16_t type, struct rs_seen *s, bool *case_differs) {
  const uint8_t *d = data;
  uint32_t soa = 0;
  struct record r;
  *s = (struct rs_seen){.nodata = true, .ttl = UINT32_MAX};
  if (len < rs_header || len > rs_max_message || !(d[2] & 0x80) || d[2] & 0x78 || !same_question(d, len, wire, wire_len, type, case_differs))
    return false;
  s->id = rs_get16(d);
  s->code = d[3] & 15;
  s->truncated = d[2] & 2;
  s->question_end = s->end = rs_header + wire_len + 4;
  size_t at = s->question_end;
  bool opt = false;
  for (int section = 0; section < 3; section++)
    for (unsigned n = rs_get16(d + 6 + 2 * section); n; n--) {
      if (!read_record(d, len, &at, &r))
        return s->truncated;
      if (section == 2 && r.type == rs_opt)
        opt = true;
      if (opt)
        continue; /* it is ours to write, and what stands behind it could point past it */
      weigh(s, d, &r, section, type, &soa);
      s->end = at;
      s->additional += section == 2;
    }
  if (s->code == rs_nxdomain || (s->code == rs_noerror && s->nodata))
    s->ttl = soa;
  else if (s->code != rs_noerror || s->ttl == UINT32_MAX)
    s->ttl = 0;
  return true;
}
