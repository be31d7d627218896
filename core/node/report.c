#include "config.h"

#include <sodium.h>

#include "base/buf.h"
#include "node/internal.h"

static const char *const state_names[] = {
    [BT_INST_PENDING] = "pending",   [BT_INST_PULLING] = "pulling",   [BT_INST_CREATING] = "creating",
    [BT_INST_STARTING] = "starting", [BT_INST_RUNNING] = "running",   [BT_INST_STOPPING] = "stopping",
    [BT_INST_EXITED] = "exited",     [BT_INST_FAILED] = "failed",     [BT_INST_REMOVED] = "removed",
};
static const char *const health_names[] = {"", "starting", "healthy", "unhealthy"};

static void set_nonzero(json_t *o, const char *key, int64_t v) {
  if (v)
    bt_json_set_int(o, key, v);
}

bool bt_node_lasting(enum bt_code code) {
  return code == BT_INVALID || code == BT_UNSUPPORTED || code == BT_CONFLICT || code == BT_DENIED;
}

char *bt_node_last_words(const char *text, size_t len) {
  enum { most = 300 };
  BT_AUTO_BUF line = {0};
  bool cut = len > most;
  size_t i = cut ? len - most : 0;
  while (i < len && cut && ((unsigned char)text[i] & 0xc0) == 0x80)
    i++; /* not in the middle of a character */
  for (; i < len; i++) {
    unsigned char c = (unsigned char)text[i];
    bool c1 = c == 0xc2 && i + 1 < len && (unsigned char)text[i + 1] < 0xa0; /* control characters too, in UTF-8 */
    bool blank = c <= ' ' || c == 0x7f || c1;
    i += c1;
    if (!blank)
      bt_buf_addc(&line, (char)c);
    else if (line.len && line.data[line.len - 1] != ' ')
      bt_buf_addc(&line, ' ');
  }
  while (line.len && line.data[line.len - 1] == ' ')
    line.data[--line.len] = '\0';
  return !line.len ? NULL : cut ? bt_asprintf("…%s", line.data) : bt_buf_steal(&line);
}

/* What the engine published, and what the port proxy leads to this instance. */
static json_t *all_ports(const struct bt_inst *in) {
  json_t *all = json_array();
  size_t i;
  json_t *p;
  json_array_foreach(in->running ? in->ports : NULL, i, p) json_array_append(all, p);
  json_array_foreach(in->running ? bt_json_arr(in->klass, "ingress") : NULL, i, p) {
    json_t *copy = json_copy(p);
    bt_json_set_str(copy, "mode", "ingress");
    json_array_append_new(all, copy);
  }
  return all;
}

json_t *bt_inst_report(const struct bt_inst *in) {
  json_t *o = json_object();
  bt_json_set_str(o, "type", "report");
  bt_json_set_str(o, "instance", in->id);
  bt_json_set_str(o, "state", state_names[in->state]);
  const char *port_error = in->running ? bt_ports_error(in->agent, in) : NULL;
  bt_json_set_bool(o, "ready", in->ready && !port_error); /* nobody can reach it where it should be */
  bt_json_set_str(o, "health", health_names[in->health]);
  bt_json_set_str(o, "container_id", in->container_id);
  bt_json_set_str(o, "image_id", in->image_id);
  bool resizing = bt_inst_resize_due(in) || in->refused;
  bt_json_set_str(o, "hash", resizing ? in->made : bt_json_str(in->klass, "hash"));
  if (in->refused)
    bt_json_set(o, "refused", json_pack("{s:s, s:o}", "hash", in->asked, "why", bt_json_string(in->refused)));
  if (in->state == BT_INST_EXITED || in->state == BT_INST_FAILED || in->finished_ms)
    bt_json_set_int(o, "exit_code", in->exit_code);
  if (in->oom)
    bt_json_set_bool(o, "oom", true);
  bt_json_set_str(o, "error", port_error ? port_error : in->error);
  if (port_error ? bt_ports_lasting(in->agent, in) : in->lasting && in->error)
    bt_json_set_bool(o, "lasting", true);
  bt_json_set_int(o, "restarts", in->restarts);
  bt_json_set_int(o, "failures", in->failures);
  if (!in->running)
    set_nonzero(o, "next_start_ms", in->next_start_wall_ms);
  if (in->finished)
    bt_json_set_bool(o, "final", true);
  bt_json_set_str(o, "ip", in->ip);
  json_t *ports = all_ports(in);
  if (json_array_size(ports))
    json_object_set(o, "ports", ports);
  json_decref(ports);
  set_nonzero(o, "started_ms", in->started_ms);
  set_nonzero(o, "finished_ms", in->finished_ms);
  return o;
}

/* Two different reports in a row with one fingerprint: once in 2^64. */
static uint64_t fingerprint(const json_t *report) {
  static const unsigned char key[crypto_shorthash_KEYBYTES];
  BT_AUTO_FREE char *text = bt_json_canonical(report);
  uint64_t print;
  crypto_shorthash((unsigned char *)&print, (const unsigned char *)text, strlen(text), key);
  return print;
}

void bt_inst_tell(struct bt_inst *in) {
  json_t *o = bt_inst_report(in);
  uint64_t print = fingerprint(o);
  if (!in->agent->synced || print == in->last_report) {
    json_decref(o);
    return;
  }
  in->last_report = print;
  if (in->state == BT_INST_RUNNING && !in->busy)
    bt_inst_settle(in);
  bt_agent_send(in->agent, o);
  if (bt_json_arr(in->klass, "ingress"))
    bt_ports_changed(in->agent);
}

void bt_inst_progress(struct bt_inst *in, const char *text, int64_t current, int64_t total) {
  json_t *o = json_object();
  bt_json_set_str(o, "type", "progress");
  bt_json_set_str(o, "instance", in->id);
  bt_json_set_str(o, "namespace", bt_inst_of(in, "namespace"));
  bt_json_set_str(o, "app", bt_inst_of(in, "app"));
  bt_json_set_str(o, "text", text);
  bt_json_set_int(o, "current", current);
  bt_json_set_int(o, "total", total);
  bt_agent_send(in->agent, o);
}
