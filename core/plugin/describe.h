/* The interfaces as data: methods, what they take, which channels they speak on. What turns calls into messages and back is driven by
 * these tables and knows no interface; a new interface is a table here (describe.c), and nothing else. A test holds each table
 * against its header. */
#ifndef BT_PLUGIN_DESCRIBE_H
#define BT_PLUGIN_DESCRIBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A member of a request. Members that a shorter struct does not have are absent. */
enum bt_arg_kind {
  BT_ARG_STRING,  /* const char *; NULL: absent */
  BT_ARG_STRINGS, /* const char *const *, ends with NULL */
  BT_ARG_JSON,    /* const char *: JSON text */
  BT_ARG_INT,     /* int64_t */
  BT_ARG_INT32,
  BT_ARG_BOOL,
  BT_ARG_DOUBLE,
  BT_ARG_BYTES,   /* const void *, followed by its size_t */
  BT_ARG_BLOBS    /* const struct bt_blob *, followed by their number, a size_t; of BYTES and BLOBS a request has one at most */
};

/* What elements of a BLOBS array look like, in every header. */
struct bt_blob {
  const char *name;
  const void *data;
  size_t len;
};

struct bt_arg {
  const char *name;
  enum bt_arg_kind kind;
  size_t offset; /* in the request's struct */
};

/* What the C function looks like. More shapes mean more code in the marshaller; think twice. */
enum bt_shape {
  BT_SHAPE_PLAIN,   /* void (self, op) */
  BT_SHAPE_REQUEST, /* void (self, op, const struct … *request) */
  BT_SHAPE_TEXT,    /* void (self, op, const char *text) */
  BT_SHAPE_INPUT,   /* size_t (self, op, const void *data, size_t len): more bytes for a running op; the bytes that wait */
  BT_SHAPE_RESIZE,  /* void (self, op, int32_t rows, int32_t cols): about a running op */
  BT_SHAPE_ASK      /* bool (self, const char *text): answered at once, no op */
};

struct bt_channel {
  int number;
  const char *name;
  bool json; /* one JSON object a piece; else bytes */
};

struct bt_method {
  const char *name;               /* "image_pull" */
  enum bt_shape shape;
  size_t slot;                    /* offset of its pointer in the table */
  const char *text;               /* of TEXT and ASK: what the text is, "name" */
  const struct bt_arg *args;      /* of REQUEST; ends with name NULL */
  size_t size;                    /* of the request's struct in this build */
  const struct bt_channel *channels; /* what it emits; ends with name NULL; NULL: nothing */
};

struct bt_interface {
  const char *id;   /* "berth.chat/1" */
  const char *word; /* "chat" */
  size_t min;       /* the table as the first version had it */
  size_t size;      /* the table of this build */
  const struct bt_method *methods; /* ends with name NULL, in the order of the table */
};

/* The i-th interface that this build knows; NULL after the last. */
const struct bt_interface *bt_interface_at(size_t i);
const struct bt_interface *bt_interface_of(const char *id); /* NULL where unknown */
const struct bt_method *bt_interface_method(const struct bt_interface *interface, const char *name);
/* Does a table of that size-prefixed kind have the method? */
bool bt_method_in(const struct bt_method *method, const void *table);

#endif
