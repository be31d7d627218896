/* Limits that change in place: clients who ask for other ones and nothing else, and agents that change them, refuse to, or start anew in between. A class
 * that comes to an instance with a container may differ from the one that this was made of in limits only. */
#include "config.h"

#include "control/draft.h"
#include "sim.h"

/* Dice of their own, so that what was found before is found by the same seeds. */
static uint64_t dice(const struct sim *s, uint64_t salt, uint64_t n) {
  uint64_t x = (s->seed * 0xD6E8FEB86659FD93u) ^ (s->requests * 0x94D049BB133111EBu) ^ ((uint64_t)s->now_ms * 0x9E3779B97F4A7C15u) ^ (salt * 0xBF58476D1CE4E5B9u);
  x ^= x >> 31;
  return (x * 0x9E3779B97F4A7C15u >> 33) % n;
}

/* ---- agents ---- */

static json_t *class_of(const struct sim_box *box) { return bt_json_obj(box->assignment, "class"); }
static const char *wanted(const struct sim_box *box) { return bt_json_str_or(class_of(box), "hash", ""); }

void sim_limits_made(struct sim_box *box) {
  json_decref(box->made);
  box->made = json_incref(class_of(box));
  json_decref(bt_steal(box->refused));
}

void sim_limits_report(const struct sim_box *box, json_t *m) {
  bt_json_set_str(m, "hash", box->exists ? bt_json_str(box->made, "hash") : wanted(box));
  if (box->refused)
    json_object_set(m, "refused", box->refused);
}

static void check_class(struct sim *s, const struct sim_box *box) {
  static const char *const same[] = {"image", "restart", "networks", "ports", "labels", "network_mode"};
  for (size_t i = 0; i < BT_COUNT(same); i++) {
    const json_t *is = json_object_get(bt_json_obj(box->made, "service"), same[i]), *to = json_object_get(bt_json_obj(class_of(box), "service"), same[i]);
    if (is != to && !bt_json_equal(is, to))
      sim_bad(s, "%s, which has a container, is to have another %s", box->id, same[i]);
  }
}

bool sim_limits_assigned(struct sim *s, struct sim_box *box) {
  const char *is = bt_json_str(box->made, "hash");
  if (!box->exists || bt_streq(is, wanted(box))) {
    json_decref(bt_steal(box->refused));
    return false;
  }
  check_class(s, box);
  struct sim_event *event = sim_at(s, 5 + (int64_t)dice(s, box->born, 500), SIM_LIMITS);
  event->node = box->node;
  event->box = bt_strdup(box->id);
  return true;
}

bool sim_limits_change(struct sim *s, struct sim_box *box) {
  if (!box->known || box->gone || !box->exists || bt_streq(bt_json_str(box->made, "hash"), wanted(box)) || bt_streq(bt_json_str(box->refused, "hash"), wanted(box)))
    return false;
  if (!s->calm && dice(s, box->born, 100) < 20) {
    json_decref(box->refused);
    box->refused = json_pack("{s:s, s:s}", "hash", wanted(box), "why", "it uses more than that");
    sim_say(s, "  node: %s keeps its limits", box->id);
  } else {
    sim_limits_made(box);
    sim_say(s, "  node: %s has other limits", box->id);
  }
  return true;
}

/* ---- clients ---- */

static void other_limits(struct sim *s, json_t *service, uint64_t salt) {
  static const char *const cpus[] = {"0.1", "0.3", "0.6", "2.5", "5"}, *const memory[] = {"64M", "200M", "400M", "2G", "7G"};
  json_t *deploy = bt_json_obj(service, "deploy"), *resources = json_object(), *reserved = json_object(), *limits = json_object();
  bt_json_set_str(reserved, "cpus", cpus[dice(s, salt, s->calm ? 3 : BT_COUNT(cpus))]);
  bt_json_set_str(reserved, "memory", memory[dice(s, salt + 1, s->calm ? 3 : BT_COUNT(memory))]);
  if (dice(s, salt + 2, 3))
    bt_json_set_int(limits, "pids", 10 + (long long)dice(s, salt + 3, 100));
  bt_json_set(resources, "reservations", reserved);
  bt_json_set(resources, "limits", limits);
  bt_json_set(deploy, "resources", resources);
}

bool sim_limits_ask(struct sim *s, const char *app) {
  const struct ctl_app *known = s->c ? ctl_app_find(s->c, sim_ns(s, app), app) : NULL;
  if (!known || !ctl_rev_latest(known) || dice(s, 1, 100) >= 15)
    return false;
  json_t *args = json_object(), *model = ctl_rev_model(ctl_rev_latest(known)), *service;
  const char *name;
  uint64_t salt = 2;
  json_object_foreach(bt_json_obj(model, "services"), name, service) if (dice(s, salt += 7, 3)) other_limits(s, service, salt);
  bt_json_set_str(args, "app", app);
  bt_json_set(args, "model", model);
  sim_request(s, "app.apply", args);
  return true;
}
