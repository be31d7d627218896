/* Answers of other servers for as long as they say, the negative ones too; bounded in number and bytes, what was asked for longest ago
 * goes first. Times are seconds of a clock that never goes back, given by the caller. */
#ifndef RS_CACHE_H
#define RS_CACHE_H

#include "message.h"

enum { rs_cache_entries = 4096, rs_cache_bytes = 8 << 20, rs_cache_ttl = 3600, rs_cache_negative_ttl = 300 };

/* What an answer depends on. Made by rs_key_of; servers: a number that stands for who is asked. */
struct rs_key {
  uint8_t bytes[rs_max_name + 9];
  size_t len;
};
struct rs_key rs_key_of(const struct rs_query *q, uint32_t servers);

struct rs_cache;
struct rs_cache *rs_cache_new(void);
void rs_cache_free(struct rs_cache **c);
/* Keeps a copy of the answer (as it came, up to seen->end) unless its TTL is 0. */
void rs_cache_put(struct rs_cache *c, const struct rs_key *key, const void *data, const struct rs_seen *seen, int64_t now);
/* The answer with its TTLs as they are now, of *len bytes, into data of rs_max_message bytes. NULL: none. Borrowed until the next call. */
const struct rs_seen *rs_cache_get(struct rs_cache *c, const struct rs_key *key, int64_t now, void *data, size_t *len);

/* Turns a server's answer in data (len up to seen->end; room for 11 bytes more) into the one for q: its id, the case of its name, its OPT;
 * cut with TC where it is longer than size. Returns its length. */
size_t rs_answer_for(const struct rs_query *q, void *data, const struct rs_seen *seen, size_t size);

#endif
