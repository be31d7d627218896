#include "config.h"
#include "proto.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct rd_proto rd_proto_read(const void *data, size_t len) {
  const uint8_t *p = data;
  return (struct rd_proto){.at = p, .end = len ? p + len : p};
}

struct rd_proto rd_proto_inside(const struct rd_field *f) { return rd_proto_read(f->data, f->bytes ? f->len : 0); }

static uint64_t varint(struct rd_proto *in) {
  uint64_t v = 0;
  for (unsigned shift = 0; in->at < in->end && shift < 64; shift += 7) {
    uint8_t byte = *in->at++;
    v |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80))
      return v;
  }
  in->bad = true;
  return 0;
}

static uint64_t fixed(struct rd_proto *in, size_t n) {
  uint64_t v = 0;
  if ((size_t)(in->end - in->at) < n) {
    in->bad = true;
    return 0;
  }
  for (size_t i = 0; i < n; i++)
    v |= (uint64_t)*in->at++ << (8 * i);
  return v;
}

static void bytes(struct rd_proto *in, struct rd_field *out) {
  uint64_t len = varint(in);
  if (in->bad || len > (uint64_t)(in->end - in->at)) {
    in->bad = true;
    return;
  }
  out->bytes = true;
  out->data = in->at;
  out->len = (size_t)len;
  in->at += len;
}

bool rd_proto_next(struct rd_proto *in, struct rd_field *out) {
  *out = (struct rd_field){0};
  if (in->bad || in->at == in->end)
    return false;
  uint64_t tag = varint(in);
  out->number = (uint32_t)(tag >> 3);
  if (!out->number || tag >> 3 > 0x1fffffff)
    in->bad = true;
  else if ((tag & 7) == VARINT)
    out->value = varint(in);
  else if ((tag & 7) == BYTES)
    bytes(in, out);
  else if ((tag & 7) == FIXED64)
    out->value = fixed(in, 8);
  else if ((tag & 7) == FIXED32)
    out->value = fixed(in, 4);
  else
    in->bad = true;
  return !in->bad;
}

char *rd_proto_text(const struct rd_field *f) { return pu_asprintf("%.*s", f->bytes ? (int)f->len : 0, f->bytes ? (const char *)f->data : ""); }

/* ---------------------------------------------------------------- writing */

static size_t put_varint(uint8_t *out, uint64_t v) {
  size_t n = 0;
  for (; v > 0x7f; v >>= 7)
    out[n++] = (uint8_t)(v | 0x80);
  out[n++] = (uint8_t)v;
  return n;
}

size_t rd_proto_bytes_size(uint32_t number, size_t len) {
  uint8_t head[20];
  return put_varint(head, (uint64_t)number << 3) + put_varint(head, len) + len;
}

size_t rd_proto_put_bytes(uint8_t *out, uint32_t number, const void *data, size_t len) {
  size_t n = put_varint(out, (uint64_t)number << 3 | BYTES);
  n += put_varint(out + n, len);
  if (len)
    memcpy(out + n, data, len);
  return n + len;
}

size_t rd_proto_put_int(uint8_t *out, uint32_t number, uint64_t value) {
  size_t n = put_varint(out, (uint64_t)number << 3 | VARINT);
  return n + put_varint(out + n, value);
}
