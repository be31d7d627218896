/* Other limits while the container is there: an instance whose assignment names another class than its container was made of gets them from the engine
 * without a restart. Nothing but limits ever differs then: the server sees to that. What the engine refuses is told, and tried again only for another
 * class, or by an agent that starts anew; the server replaces the instance. */
#include "config.h"

#include <math.h>

#include "model/inplace.h"
#include "node/internal.h"

enum { deadline_ms = 30000, again_ms = 2000 };

static const char *wanted_hash(const struct bt_inst *in) { return bt_json_str_or(in->klass, "hash", ""); }

static json_t *wanted(const struct bt_inst *in) {
  const json_t *service = bt_json_obj(in->klass, "service");
  return service ? bt_inplace_wanted(service) : json_object();
}

/* ---- what there is ---- */

static void now_of(struct bt_inst *in, const char *hash) {
  bt_str_set(&in->made, hash);
  bt_str_set(&in->asked, NULL);
  bt_str_set(&in->refused, NULL);
}

void bt_inst_making(struct bt_inst *in) { now_of(in, wanted_hash(in)); }

void bt_inst_reassigned(struct bt_inst *in) {
  if (in->made && bt_streq(in->made, wanted_hash(in)))
    now_of(in, wanted_hash(in)); /* back to what it is */
  in->last_report = 0; /* the server waits for a word, also where it is the last one again */
  bt_inst_tell(in);
}

/* Whether the limits that it has are the ones that it should have; what is not asked for may be as it is. */
static bool has_them(const json_t *has, const json_t *want) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)want, key, value) {
    double is = json_number_value(json_object_get(has, key)), to = json_number_value(value);
    if (fabs(is - to) > (bt_streq(key, "cpus") ? 1e-6 : 0.5))
      return false;
  }
  return true;
}

/* An engine that changes nothing has nothing to catch up with. Where it tells limits, those decide: the label is of its making, and an agent that is new
 * may have missed more than one change. */
void bt_inst_made_of(struct bt_inst *in, const json_t *container) {
  const char *label = bt_json_str(bt_json_obj(container, "labels"), "berth.hash");
  const json_t *has = bt_json_obj(container, "resources");
  if (in->made && !has)
    return;
  BT_AUTO_JSON want = wanted(in);
  bool there = !bt_agent_feature(in->agent, "update") || (has ? has_them(has, want) : !label || bt_streq(label, wanted_hash(in)));
  if (there && !in->refused)
    now_of(in, wanted_hash(in));
  else if (!in->made || bt_streq(in->made, wanted_hash(in)))
    bt_str_set(&in->made, label && !bt_streq(label, wanted_hash(in)) ? label : "");
}

/* ---- changing it ---- */

bool bt_inst_resize_due(const struct bt_inst *in) {
  return in->container_id && in->made && !bt_streq(in->made, wanted_hash(in)) && !(in->refused && bt_streq(in->asked, wanted_hash(in)));
}

static bool passes(enum bt_code code) { return code == BT_UNAVAILABLE || code == BT_DEADLINE || code == BT_CANCELLED; }

static void resized(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_inst *in = arg;
  (void)result;
  in->op = 0;
  in->busy = false;
  bt_slot_release(in);
  if (code == BT_NOT_FOUND) {
    bt_inst_gone(in); /* tells and steps, which may have freed it */
    return;
  }
  if (code == BT_OK)
    bt_str_set(&in->made, in->asked);
  else if (!passes(code))
    bt_str_set(&in->refused, message);
  bt_inst_tell(in);
  if (passes(code) && !in->want_gone)
    bt_inst_retry_in(in, again_ms);
  else
    bt_inst_step(in);
}

void bt_inst_resize(struct bt_inst *in) {
  BT_AUTO_JSON want = wanted(in);
  bt_str_set(&in->asked, wanted_hash(in));
  bt_str_set(&in->refused, NULL);
  if (!json_object_size(want) || !bt_agent_feature(in->agent, "update")) {
    bt_inst_making(in); /* reservations of cpu are no matter of engines */
    bt_inst_tell(in);
    bt_inst_step(in);
    return;
  }
  if (!bt_slot_take(in))
    return;
  BT_AUTO_FREE char *text = bt_json_text(want);
  struct berth_runtime_update req = {sizeof req, .id = in->container_id, .resources_json = text};
  struct bt_plugin_call call = {.method = "runtime.update", .deadline_ms = deadline_ms, .done = resized, .arg = in};
  in->busy = true;
  in->op = bt_agent_call(in->agent, update, &call, &req);
}
