#include "config.h"
#include "plugin/wire.h"

#include "base/json.h"
#include "base/mem.h"

static void put_u32(char *to, size_t n) {
  to[0] = (char)(n >> 24);
  to[1] = (char)(n >> 16);
  to[2] = (char)(n >> 8);
  to[3] = (char)n;
}

static size_t get_u32(const char *from) {
  const unsigned char *p = (const unsigned char *)from;
  return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

static int add_text(const char *text, size_t len, void *arg) {
  bt_buf_add(arg, text, len);
  return 0;
}

void bt_wire_put(struct bt_buf *out, json_t *head_steal, const void *bytes, size_t len) {
  char lengths[BT_WIRE_HEAD] = {0};
  size_t at = out->len;
  bt_buf_add(out, lengths, sizeof lengths);
  int rc = json_dump_callback(head_steal, add_text, out, JSON_COMPACT);
  BT_ASSERT(rc == 0);
  json_decref(head_steal);
  put_u32(out->data + at, out->len - at - BT_WIRE_HEAD);
  put_u32(out->data + at + 4, len);
  if (len)
    bt_buf_add(out, bytes, len);
}

long bt_wire_get(const char *data, size_t len, size_t max_json, struct bt_message *out, struct bt_err **err) {
  *out = (struct bt_message){0};
  if (len < BT_WIRE_HEAD)
    return 0;
  size_t json = get_u32(data), bytes = get_u32(data + 4);
  if (json < 2 || json > max_json || bytes > BT_WIRE_MAX_BYTES)
    return bt_err_set(err, BT_PLUGIN_CRASHED,
                      "a message of %zu bytes of JSON and %zu bytes is none: allowed are 2 to %zu and 0 to %d", json, bytes,
                      max_json, BT_WIRE_MAX_BYTES);
  if (len < BT_WIRE_HEAD + json + bytes)
    return 0;
  if (!bt_json_within(data + BT_WIRE_HEAD, json, max_json / BT_WIRE_BYTES_A_VALUE))
    return bt_err_set(err, BT_PLUGIN_CRASHED, "a message of more than %zu values is none", max_json / BT_WIRE_BYTES_A_VALUE);
  BT_AUTO_JSON head = bt_json_parse(data + BT_WIRE_HEAD, json, max_json, BT_WIRE_MAX_DEPTH, "a message", err);
  if (!head)
    return -1;
  out->type = bt_json_str(head, "t");
  if (!out->type)
    return bt_err_set(err, BT_PLUGIN_CRASHED, "a message is no JSON object with a string \"t\"");
  out->head = bt_steal(head);
  out->bytes = data + BT_WIRE_HEAD + json;
  out->len = bytes;
  return (long)(BT_WIRE_HEAD + json + bytes);
}
