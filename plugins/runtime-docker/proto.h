/* The wire form of Protocol Buffers, as far as BuildKit's few messages need it: reads the fields of one message in their order,
 * writes fields of bytes and integers. Knows no message. Never copies what it reads; nested messages are read with a reader of
 * their own, so depth is the caller's. */
#ifndef RD_PROTO_H
#define RD_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util.h"

struct rd_proto {
  const uint8_t *at, *end;
  bool bad; /* the message is cut off or holds what proto3 has no more */
};

struct rd_field {
  uint32_t number;
  bool bytes;          /* else an integer in value */
  uint64_t value;      /* fixed32 and fixed64 too */
  const uint8_t *data; /* borrowed; not NUL-terminated */
  size_t len;
};

struct rd_proto rd_proto_read(const void *data, size_t len);
bool rd_proto_next(struct rd_proto *in, struct rd_field *out); /* false at the end, and where in->bad */
struct rd_proto rd_proto_inside(const struct rd_field *field); /* the message that a field of bytes holds */
char *rd_proto_text(const struct rd_field *field);             /* of a field of bytes, cut at a NUL; the caller frees */

size_t rd_proto_bytes_size(uint32_t number, size_t len); /* of the field with its head */
/* Writes a field of bytes to out, which has room for rd_proto_bytes_size. Returns what it wrote. */
size_t rd_proto_put_bytes(uint8_t *out, uint32_t number, const void *data, size_t len);
size_t rd_proto_put_int(uint8_t *out, uint32_t number, uint64_t value); /* room for 20 */

#endif
