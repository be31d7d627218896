#include "config.h"
#include "cache.h"

#include <string.h>

#include "../../common/util.h"
#include "table.h"

struct kept {
  UT_hash_handle hh;
  struct rs_key key;
  struct rs_seen seen;
  int64_t since, until;
  uint8_t data[];
};

struct rs_cache {
  struct kept *entries; /* in the order of their last use */
  size_t bytes;
};

struct rs_key rs_key_of(const struct rs_query *q, uint32_t servers) {
  struct rs_key k = {.len = q->wire_len + 7};
  for (size_t i = 0; i < q->wire_len; i++)
    k.bytes[i] = q->wire[i] >= 'A' && q->wire[i] <= 'Z' ? (uint8_t)(q->wire[i] + 32) : q->wire[i];
  rs_put16(k.bytes + q->wire_len, q->type);
  k.bytes[q->wire_len + 2] = (uint8_t)(q->dnssec | q->checking << 1);
  rs_put32(k.bytes + q->wire_len + 3, servers);
  return k;
}

struct rs_cache *rs_cache_new(void) { return pu_new(struct rs_cache); }

static void drop(struct rs_cache *c, struct kept *k) {
  HASH_DEL(c->entries, k);
  c->bytes -= sizeof *k + k->seen.end;
  free(k);
}

void rs_cache_free(struct rs_cache **c) {
  while ((*c)->entries)
    drop(*c, (*c)->entries);
  free(*c);
  *c = NULL;
}

void rs_cache_put(struct rs_cache *c, const struct rs_key *key, const void *data, const struct rs_seen *seen, int64_t now) {
  struct kept *k;
  bool negative = seen->code != rs_noerror || seen->nodata;
  uint32_t most = negative ? rs_cache_negative_ttl : rs_cache_ttl, ttl = seen->ttl < most ? seen->ttl : most;
  HASH_FIND(hh, c->entries, key->bytes, key->len, k);
  if (k)
    drop(c, k);
  if (!ttl || seen->truncated)
    return;
  k = pu_calloc(1, sizeof *k + seen->end);
  k->key = *key;
  k->seen = *seen;
  k->since = now;
  k->until = now + ttl;
  memcpy(k->data, data, seen->end);
  HASH_ADD_KEYPTR(hh, c->entries, k->key.bytes, k->key.len, k);
  c->bytes += sizeof *k + seen->end;
  while (HASH_COUNT(c->entries) > rs_cache_entries || c->bytes > rs_cache_bytes)
    drop(c, c->entries);
}

const struct rs_seen *rs_cache_get(struct rs_cache *c, const struct rs_key *key, int64_t now, void *data, size_t *len) {
  struct kept *k;
  uint8_t *d = data;
  HASH_FIND(hh, c->entries, key->bytes, key->len, k);
  if (k && k->until <= now) {
    drop(c, k);
    k = NULL;
  }
  if (!k)
    return NULL;
  HASH_DEL(c->entries, k); /* to the end of the order */
  HASH_ADD_KEYPTR(hh, c->entries, k->key.bytes, k->key.len, k);
  memcpy(d, k->data, k->seen.end);
  for (size_t i = 0; i < k->seen.nttl; i++) {
    uint32_t ttl = rs_get32(d + k->seen.ttl_at[i]), age = (uint32_t)(now - k->since);
    rs_put32(d + k->seen.ttl_at[i], ttl > age ? ttl - age : 0);
  }
  *len = k->seen.end;
  return &k->seen;
}

size_t rs_answer_for(const struct rs_query *q, void *data, const struct rs_seen *seen, size_t size) {
  uint8_t *d = data;
  size_t end = seen->end;
  unsigned additional = seen->additional;
  rs_put16(d, q->id);
  memcpy(d + rs_header, q->wire, q->wire_len);
  d[2] = (uint8_t)(0x80 | (q->recursion ? 1 : 0) | (seen->truncated ? 2 : 0));
  d[3] = (uint8_t)(0x80 | (d[3] & 0x20 & (q->dnssec ? 0xff : 0)) | (q->checking ? 0x10 : 0) | (seen->code & 15));
  if (end + (q->edns ? 11 : 0) > size) {
    end = seen->question_end;
    memset(d + 6, 0, 6);
    additional = 0;
    d[2] |= 2;
  }
  if (q->edns) {
    uint8_t opt[11] = {0, 0, rs_opt, rs_edns_size >> 8, rs_edns_size & 0xff, 0, 0, q->dnssec ? 0x80 : 0};
    memcpy(d + end, opt, sizeof opt);
    end += sizeof opt;
    additional++;
  }
  rs_put16(d + 10, additional);
  return end;
}
