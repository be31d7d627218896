/* What comes over the wire from a plug-in's process, and from the server: messages one after the other; the manifest of a hello; the
 * arguments of each call. What is read must be written as the same again. */
#include "config.h"

#include <stdint.h>

#include "base/json.h"
#include "base/mem.h"
#include "plugin/manifest.h"
#include "plugin/marshal.h"
#include "plugin/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const struct bt_message *m) {
  BT_AUTO_BUF out = {0};
  BT_AUTO_ERR err = NULL;
  struct bt_message again;
  bt_wire_put(&out, json_incref(m->head), m->bytes, m->len);
  long n = bt_wire_get(out.data, out.len, BT_WIRE_MAX_JSON, &again, &err);
  if (n <= 0) /* numbers may be written longer than they were read, past the largest length */
    return;
  BT_ASSERT((size_t)n == out.len && bt_json_equal(m->head, again.head) && m->len == again.len);
  json_decref(again.head);
}

static void read_manifest(const json_t *json) {
  BT_AUTO_ERR err = NULL;
  struct bt_manifest *manifest = bt_manifest_read(json, "fuzz", &err);
  BT_ASSERT(manifest || *bt_err_message(err));
  bt_manifest_free(&manifest);
}

/* The arguments as each method that takes a request would read them. */
static void read_args(const struct bt_message *m, const json_t *args) {
  const struct bt_interface *interface = bt_interface_of(bt_json_str_or(m->head, "interface", "berth.runtime/1"));
  for (const struct bt_method *method = interface ? interface->methods : NULL; method && method->name; method++) {
    if (method->shape != BT_SHAPE_REQUEST)
      continue;
    BT_AUTO_ERR err = NULL;
    BT_AUTO_BUF scratch = {0};
    struct bt_request *request = bt_marshal_read(method, args, m->bytes, m->len, &err);
    const void *bytes;
    size_t len;
    BT_AUTO_JSON again = request ? bt_marshal_request(method, bt_request_struct(request), &scratch, &bytes, &len) : NULL;
    BT_ASSERT(again || *bt_err_message(err));
    bt_request_free(&request);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data;
  for (size_t at = 0; at < size;) {
    BT_AUTO_ERR err = NULL;
    struct bt_message m;
    long n = bt_wire_get(text + at, size - at, BT_WIRE_MAX_JSON, &m, &err);
    if (n <= 0)
      break;
    BT_AUTO_JSON head = m.head;
    write_again(&m);
    if (json_object_get(head, "manifest"))
      read_manifest(json_object_get(head, "manifest"));
    if (bt_json_obj(head, "args"))
      read_args(&m, bt_json_obj(head, "args"));
    at += (size_t)n;
  }
  return 0;
}
