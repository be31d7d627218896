/* Asks every running plug-in that can be probed how its product does, all at once. */
#include "config.h"

#include <berth/chat.h>
#include <berth/lb.h>
#include <berth/monitor.h>
#include <berth/registry.h>
#include <berth/runtime.h>
#include <berth/scm.h>

#include "base/json.h"
#include "plugin/internal.h"

struct round {
  json_t *report;
  size_t open;
  void (*done)(void *arg, json_t *report_steal);
  void *arg;
};

struct one {
  struct round *round;
  json_t *item; /* borrowed from the report */
};

static void settle(struct round *r) {
  if (--r->open)
    return;
  r->done(r->arg, r->report);
  free(r);
}

static void answered(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct one *one = arg;
  bt_json_set_str(one->item, "code", bt_code_name(code));
  bt_json_set_str(one->item, "message", message);
  if (result)
    bt_json_set(one->item, "result", json_incref(result));
  struct round *r = one->round;
  free(one);
  settle(r);
}

static struct bt_plugin_call call_of(struct round *r, const struct bt_plugin *entry, const char *interface,
                                     const char *method, int64_t deadline_ms) {
  struct one *one = bt_new(struct one);
  one->round = r;
  one->item = json_object();
  bt_json_set_str(one->item, "name", entry->cell->name);
  bt_json_set_str(one->item, "interface", interface);
  json_array_append_new(r->report, one->item);
  r->open++;
  return (struct bt_plugin_call){.method = method, .deadline_ms = deadline_ms, .done = answered, .arg = one};
}

static void probe_entry(struct round *r, struct bt_plugin *entry, int64_t deadline_ms) {
  const struct berth_registry *registry = bt_plugin_methods(entry, BERTH_REGISTRY);
  const struct berth_chat *chat = bt_plugin_methods(entry, BERTH_CHAT);
  const struct berth_monitor *monitor = bt_plugin_methods(entry, BERTH_MONITOR);
  const struct berth_scm *scm = bt_plugin_methods(entry, BERTH_SCM);
  const struct berth_lb *lb = bt_plugin_methods(entry, BERTH_LB);
  const struct berth_runtime *runtime = bt_plugin_methods(entry, BERTH_RUNTIME);
  if (runtime) {
    struct bt_plugin_call call = call_of(r, entry, BERTH_RUNTIME, "runtime.info", deadline_ms);
    bt_plugin_invoke(entry, runtime, info, &call);
  }
  if (lb) {
    struct bt_plugin_call call = call_of(r, entry, BERTH_LB, "lb.probe", deadline_ms);
    bt_plugin_invoke(entry, lb, probe, &call);
  }
  if (registry) {
    struct bt_plugin_call call = call_of(r, entry, BERTH_REGISTRY, "registry.probe", deadline_ms);
    bt_plugin_invoke(entry, registry, probe, &call);
  }
  if (chat) {
    struct bt_plugin_call call = call_of(r, entry, BERTH_CHAT, "chat.probe", deadline_ms);
    bt_plugin_invoke(entry, chat, probe, &call);
  }
  if (monitor) {
    struct bt_plugin_call call = call_of(r, entry, BERTH_MONITOR, "monitor.probe", deadline_ms);
    bt_plugin_invoke(entry, monitor, probe, &call);
  }
  if (scm) {
    struct bt_plugin_call call = call_of(r, entry, BERTH_SCM, "scm.probe", deadline_ms);
    bt_plugin_invoke(entry, scm, probe, &call);
  }
}

void bt_plugins_probe(struct bt_plugins *plugins, int64_t deadline_ms, void (*done)(void *arg, json_t *report_steal), void *arg) {
  struct round *r = bt_new(struct round);
  *r = (struct round){.report = json_array(), .open = 1, .done = done, .arg = arg};
  bt_vec_each(&plugins->entries, e) probe_entry(r, *e, deadline_ms);
  settle(r);
}
