/* What comes to berth-resolver from containers and from other servers. By part: a question, which is answered out of a zone; another server's
 * answer, which is kept and given on; a zone as the plug-in tells it. */
#include "../../plugins/common/util.h"
#include "../../plugins/runtime-oci/resolver/cache.h"
#include "../../plugins/runtime-oci/resolver/zone.h"
#include "parts.h"

static struct rs_zone *zone(void) {
  static const char *const facts[] = {"{\"network\":\"n\",\"subnets\":[\"10.1.0.0/24\",\"fd00::/64\"]}",
                                     "{\"member\":\"1\",\"name\":\"web-1\",\"service\":\"web\",\"app\":\"a\",\"namespace\":\"b\",\"srv\":[{\"name\":\"http\",\"port\":80}],"
                                     "\"networks\":{\"n\":{\"ip\":\"10.1.0.2\",\"ip6\":\"fd00::2\",\"aliases\":[\"x\",\"y.z\"]}}}"};
  struct rs_zone *z = rs_zone_new();
  for (size_t i = 0; i < PU_COUNT(facts); i++) {
    PU_AUTO_JSON o = pu_json_parse(facts[i], strlen(facts[i]));
    if (!(i ? rs_zone_member(z, o) : rs_zone_network(z, o)))
      abort();
  }
  return z;
}

static void question(char *text, size_t size) {
  const uint8_t *data = (const uint8_t *)text;
  static struct rs_zone *z;
  static uint8_t out[rs_max_message];
  struct rs_query q, again;
  struct rs_out o;
  struct ro_ip asker;
  const json_t *dns;
  if (!z)
    z = zone();
  ro_ip_parse("10.1.0.2", &asker);
  int code = rs_query_read(data, size, &q);
  if (code < 0)
    return;
  rs_out_begin(&o, out, q.size, &q);
  if (code == rs_noerror && rs_zone_answer(z, &asker, &q, &o, &code, &dns) != RS_ANSWERED)
    code = rs_refused;
  size_t len = rs_out_end(&o, &q, code, true);
  if (len > q.size || len < rs_header || rs_get16(out) != q.id || !(out[2] & 0x80))
    abort();
  out[2] &= 0x7d; /* what was answered holds the question as it was asked */
  memset(out + 6, 0, 6);
  if (q.wire_len && (rs_query_read(out, len, &again) != rs_noerror || again.type != q.type || strcmp(again.name, q.name) != 0))
    abort();
}

static void answer(char *text, size_t size) {
  const uint8_t *data = (const uint8_t *)text;
  static uint8_t kept[rs_max_message + 16];
  struct rs_query q;
  struct rs_seen seen;
  size_t len;
  bool differs;
  if (size < rs_header || size > rs_max_message)
    return;
  uint8_t *copy = malloc(size);
  memcpy(copy, data, size);
  copy[2] &= 0x07;
  memset(copy + 6, 0, 6);
  bool asked = rs_query_read(copy, size, &q) == rs_noerror;
  free(copy);
  if (!asked || !rs_answer_read(data, size, q.wire, q.wire_len, q.type, &seen, &differs))
    return;
  if (seen.end > size || seen.question_end > seen.end)
    abort();
  struct rs_cache *c = rs_cache_new();
  struct rs_key key = rs_key_of(&q, 1);
  rs_cache_put(c, &key, data, &seen, 100);
  const struct rs_seen *got = rs_cache_get(c, &key, 100, kept, &len);
  q.edns = true;
  if (got && (len != seen.end || rs_answer_for(&q, kept, got, rs_edns_size) > rs_edns_size))
    abort();
  rs_cache_free(&c);
}

static void told(char *text, size_t size) {
  PU_AUTO_JSON o = pu_json_parse(text, size);
  struct rs_zone *z = zone();
  if (o) {
    rs_zone_network(z, o);
    rs_zone_member(z, o);
    rs_zone_sync_begin(z);
    rs_zone_member(z, o);
    rs_zone_sync_end(z);
  }
  rs_zone_free(&z);
}

static const struct fuzz_part parts[] = {{'q', "question", question}, {'a', "answer", answer}, {'z', "zone", told}};
FUZZ_PARTS(parts)
