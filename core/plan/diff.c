#include "config.h"

#include "plan/diff.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/inplace.h"

#define MAX_VALUE 100  /* bytes of a value that are shown */
#define MAX_CHANGES 200

/* A value on one line, cut where it is long. NULL for what is not there. */
static json_t *shown(const json_t *value) {
  if (!value || json_is_null(value))
    return json_null();
  BT_AUTO_FREE char *text = json_is_string(value) ? bt_strdup(json_string_value(value))
                            : json_is_real(value) ? bt_asprintf("%.15g", json_real_value(value)) /* as it is written: 0.3, not 0.29999999999999999 */
                                                  : bt_json_text(value);
  size_t len = strlen(text);
  if (len <= MAX_VALUE)
    return bt_json_string(text);
  while (len > MAX_VALUE || (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80))
    len--;
  text[len] = '\0';
  BT_AUTO_FREE char *cut = bt_asprintf("%s…", text);
  return bt_json_string(cut);
}

static void add_change(json_t *changes, const char *path, const json_t *from, const json_t *to) {
  if (json_array_size(changes) >= MAX_CHANGES)
    return;
  json_t *change = json_object();
  bt_json_set_str(change, "path", path);
  bool hidden = bt_starts(path, "environment.") || bt_starts(path, "build.args.") || strstr(path, ".content");
  if (!hidden || !from)
    bt_json_set(change, "from", hidden ? json_null() : shown(from));
  if (!hidden || !to)
    bt_json_set(change, "to", hidden ? json_null() : shown(to));
  json_array_append_new(changes, change);
}

static void compare(json_t *changes, const char *path, json_t *from, json_t *to);

/* Mappings that are never shown whole, so that no value of theirs slips out. */
static bool hides_values(const char *path) { return bt_streq(path, "environment") || bt_streq(path, "build") || bt_streq(path, "build.args"); }

static void compare_objects(json_t *changes, const char *path, json_t *from, json_t *to) {
  const char *key;
  json_t *value;
  json_object_foreach(to, key, value) {
    BT_AUTO_FREE char *sub = *path ? bt_asprintf("%s.%s", path, key) : bt_strdup(key);
    compare(changes, sub, json_object_get(from, key), value);
  }
  json_object_foreach(from, key, value) {
    if (json_object_get(to, key))
      continue;
    BT_AUTO_FREE char *sub = *path ? bt_asprintf("%s.%s", path, key) : bt_strdup(key);
    compare(changes, sub, value, NULL);
  }
}

static bool is_resources(const char *path) {
  return bt_streq(path, "deploy.resources") || bt_streq(path, "deploy.resources.limits") || bt_streq(path, "deploy.resources.reservations");
}

/* The depth is the model's, which its reader capped. */
static void compare(json_t *changes, const char *path, json_t *from, json_t *to) {
  if (from && to && bt_json_equal(from, to))
    return;
  if ((!from || json_is_null(from)) && (!to || json_is_null(to)))
    return;
  bool parts = bt_streq(path, "deploy") || bt_streq(path, "x-berth") || bt_streq(path, "x-berth.reserve") || is_resources(path); /* of which a part alone may be what changed */
  if ((json_is_object(from) || (!from && parts)) && (json_is_object(to) || (!to && parts)))
    compare_objects(changes, path, from, to);
  else if (json_is_object(to) && !from && json_object_size(to) > 0 && hides_values(path))
    compare_objects(changes, path, NULL, to);
  else if (json_is_object(from) && !to && hides_values(path))
    compare_objects(changes, path, from, NULL);
  else
    add_change(changes, path, from, to);
}

/* What engines change while a container runs: model/inplace.h. */
static bool is_in_place(const char *path) {
  static const char *const those[] = {"cpus", "mem_limit", "mem_reservation", "pids_limit", "deploy.resources.limits.cpus", "deploy.resources.limits.memory",
                                      "deploy.resources.limits.pids", "deploy.resources.reservations.cpus", "deploy.resources.reservations.memory",
                                      "x-berth.reserve", "x-berth.reserve.pids", "x-berth.reserve.disk"};
  for (size_t i = 0; i < BT_COUNT(those); i++)
    if (bt_streq(path, those[i]))
      return true;
  return is_resources(path) || bt_streq(path, "x-berth"); /* one that is empty */
}

/* "image changed from a to b; environment.LOG changed; 3 more". beside: only what is not changed in place. */
static char *change_words(json_t *changes, bool beside) {
  BT_AUTO_BUF text = {0};
  size_t i, said = 0;
  json_t *change;
  json_array_foreach(changes, i, change) {
    if (beside && is_in_place(bt_json_str_or(change, "path", "")))
      continue;
    if (said++ == 4) {
      bt_buf_addf(&text, "; %zu more", json_array_size(changes) - i);
      break;
    }
    const char *path = bt_json_str(change, "path"), *from = bt_json_str(change, "from"), *to = bt_json_str(change, "to");
    bt_buf_adds(&text, text.len ? "; " : "");
    if (from && to)
      bt_buf_addf(&text, "%s changed from %s to %s", path, from, to);
    else if (to)
      bt_buf_addf(&text, "%s set to %s", path, to);
    else if (from || (json_object_get(change, "to") && !json_object_get(change, "from")))
      bt_buf_addf(&text, "%s removed", path);
    else if (json_object_get(change, "from") && !json_object_get(change, "to"))
      bt_buf_addf(&text, "%s added", path);
    else
      bt_buf_addf(&text, "%s changed", path);
  }
  return bt_buf_steal(&text);
}

static json_t *entry(const char *action, const char *kind, const char *name, const char *reason, json_t *changes_steal) {
  json_t *e = json_object();
  bt_json_set_str(e, "action", action);
  bt_json_set_str(e, "kind", kind);
  bt_json_set_str(e, "name", name);
  bt_json_set_str(e, "reason", reason);
  bt_json_set(e, "changes", changes_steal ? changes_steal : json_array());
  return e;
}

/* How many there are is for the nodes to say. */
static bool is_per_node(const json_t *service) { return bt_starts(bt_json_str_or(bt_json_obj(service, "deploy"), "mode", "replicated"), "global"); }

static long long replicas(const json_t *service) {
  const json_t *deploy = bt_json_obj(service, "deploy");
  if (is_per_node(service))
    return 1;
  return bt_json_int(deploy, "replicas", bt_json_int(service, "scale", 1));
}

/* How it is updated, where that is not in groups; NULL. */
static char *way_words(const json_t *service) {
  const json_t *rollout = bt_json_obj(bt_json_obj(service, "x-berth"), "rollout");
  const char *strategy = bt_json_str(rollout, "strategy");
  if (bt_streq(strategy, "blue-green"))
    return bt_asprintf("blue-green: %lld new beside the old, then a switch; the old ones stay for %s", replicas(service), bt_json_str_or(rollout, "keep", "5m0s"));
  size_t steps = json_array_size(bt_json_arr(rollout, "steps"));
  return bt_streq(strategy, "canary") ? bt_asprintf("canary of %zu step%s", steps, steps == 1 ? "" : "s") : NULL;
}

static bool is_scale(const char *path) { return bt_streq(path, "deploy.replicas") || bt_streq(path, "scale"); }

/* What Berth reads again without touching a container. */
static bool is_light(const char *path) {
  static const char *const light[] = {"depends_on", "deploy.update_config", "deploy.rollback_config", "deploy.placement", "deploy.labels",
                                      "deploy.endpoint_mode", "pull_policy", "build", "profiles", "attach", "develop"};
  for (size_t i = 0; i < BT_COUNT(light); i++) {
    size_t len = strlen(light[i]);
    if (strncmp(path, light[i], len) == 0 && (path[len] == '\0' || path[len] == '.'))
      return true;
  }
  return is_scale(path) || bt_streq(path, "deploy") || (bt_starts(path, "x-") && !bt_starts(path, "x-berth")) ||
         bt_starts(path, "x-berth.update") || bt_starts(path, "x-berth.autoscale") || bt_starts(path, "x-berth.job") || bt_starts(path, "x-berth.placement") ||
         bt_starts(path, "x-berth.disruption") || bt_starts(path, "x-berth.rollout") || bt_starts(path, "x-berth.routes");
}

/* Contents that the service mounts and that changed. */
static void add_content_changes(json_t *changes, const struct bt_diff_in *in, const json_t *service, const char *kind) {
  size_t i;
  json_t *item;
  json_array_foreach(bt_json_arr(service, kind), i, item) {
    const char *source = json_is_string(item) ? json_string_value(item) : bt_json_str_or(item, "source", "");
    BT_AUTO_FREE char *key = bt_asprintf("%s/%s", kind, source);
    const json_t *from = bt_json_obj(in->from_contents, key), *to = bt_json_obj(in->to_contents, key);
    if (!from || !to || bt_streq(bt_json_str(from, "fingerprint"), bt_json_str(to, "fingerprint")))
      continue;
    json_t *change = json_object();
    BT_AUTO_FREE char *path = bt_asprintf("%s.%s", kind, source);
    bt_json_set_str(change, "path", path);
    json_array_append_new(changes, change);
  }
}

/* For whoever knows where its instances are, and whether engines can do it. */
static void note_in_place(json_t *e, const json_t *from, const json_t *to, json_t *changes) {
  BT_AUTO_FREE char *words = bt_inplace_words(from, to), *beside = change_words(changes, true);
  if (!words)
    return;
  bt_json_set_str(e, "in_place", words);
  if (beside && *beside)
    bt_json_set_str(e, "beside", beside);
}

static json_t *changed_service(const struct bt_diff_in *in, const char *name, json_t *from, json_t *to) {
  json_t *changes = json_array();
  compare(changes, "", from, to);
  add_content_changes(changes, in, to, "secrets");
  add_content_changes(changes, in, to, "configs");
  if (json_array_size(changes) == 0) {
    if (in->recreate)
      return entry("update", "service", name, "its containers are made anew, as asked for", changes);
    return entry("keep", "service", name, "unchanged", changes);
  }
  bool scale = true, light = true, in_place = true;
  size_t i;
  json_t *change;
  json_array_foreach(changes, i, change) {
    scale = scale && is_scale(bt_json_str(change, "path"));
    light = light && is_light(bt_json_str(change, "path"));
    in_place = in_place && (is_light(bt_json_str(change, "path")) || is_in_place(bt_json_str(change, "path")));
  }
  if (scale && !in->recreate) {
    BT_AUTO_FREE char *reason = bt_asprintf("scaled from %lld to %lld", replicas(from), replicas(to));
    return entry("scale", "service", name, reason, changes);
  }
  BT_AUTO_FREE char *words = change_words(changes, false);
  BT_AUTO_FREE char *way = way_words(to);
  BT_AUTO_FREE char *reason = light && !in->recreate ? bt_asprintf("%s; no container is replaced", words) : bt_steal(words);
  json_t *e = entry("update", "service", name, reason, changes);
  if (way && (!light || in->recreate))
    bt_json_set_str(e, "way", way);
  if (in_place && !light && !in->recreate)
    note_in_place(e, from, to, changes);
  return e;
}

static void plan_services(json_t *plan, const struct bt_diff_in *in) {
  json_t *before = bt_json_obj(in->from, "services"), *after = bt_json_obj(in->to, "services");
  const char *name;
  json_t *item;
  json_object_foreach(after, name, item) {
    json_t *old = bt_json_obj(before, name);
    json_t *e = old ? changed_service(in, name, old, item) : entry("create", "service", name, "new", NULL);
    if (is_per_node(item))
      json_object_set_new(e, "per_node", json_true());
    else
      bt_json_set_int(e, "instances", replicas(item));
    json_array_append_new(plan, e);
  }
  json_object_foreach(before, name, item) if (!json_object_get(after, name)) {
    json_t *e = entry("remove", "service", name, "no longer in the file, or of a profile that is not asked for", NULL);
    bt_json_set_int(e, "instances", 0);
    json_array_append_new(plan, e);
  }
}

static bool is_external(const json_t *item) {
  const json_t *external = json_object_get(item, "external");
  return json_is_true(external) || json_is_object(external);
}

static json_t *thing_entry(const struct bt_diff_in *in, const char *kind, const char *section, const char *name, json_t *old, json_t *new) {
  bool content = bt_streq(kind, "secret") || bt_streq(kind, "config");
  if (content) {
    BT_AUTO_FREE char *key = bt_asprintf("%s/%s", section, name);
    const json_t *from = bt_json_obj(in->from_contents, key), *to = bt_json_obj(in->to_contents, key);
    if (old && (!from || !to || bt_streq(bt_json_str(from, "fingerprint"), bt_json_str(to, "fingerprint"))))
      return entry("keep", kind, name, "unchanged", NULL);
    return entry(old ? "update" : "create", kind, name, old ? "its content changed" : "new", NULL);
  }
  if (!old)
    return entry(is_external(new) ? "keep" : "create", kind, name, is_external(new) ? "external: it must be there" : "new", NULL);
  json_t *changes = json_array();
  compare(changes, "", old, new);
  if (json_array_size(changes) == 0)
    return entry("keep", kind, name, "unchanged", changes);
  BT_AUTO_FREE char *words = change_words(changes, false);
  return entry("update", kind, name, words, changes);
}

static void plan_things(json_t *plan, const struct bt_diff_in *in, const char *kind, const char *section) {
  json_t *before = bt_json_obj(in->from, section), *after = bt_json_obj(in->to, section);
  const char *name;
  json_t *item;
  json_object_foreach(after, name, item)
      json_array_append_new(plan, thing_entry(in, kind, section, name, json_object_get(before, name), item));
  bool volume = bt_streq(kind, "volume");
  json_object_foreach(before, name, item) if (!json_object_get(after, name) && !is_external(item)) {
    const char *reason = volume ? "no longer in the file; its data stays until it is removed by name" : "no longer in the file";
    json_array_append_new(plan, entry(volume ? "keep" : "remove", kind, name, reason, NULL));
  }
}

json_t *bt_diff_plan(const struct bt_diff_in *in) {
  json_t *plan = json_array();
  plan_services(plan, in);
  plan_things(plan, in, "network", "networks");
  plan_things(plan, in, "volume", "volumes");
  plan_things(plan, in, "secret", "secrets");
  plan_things(plan, in, "config", "configs");
  return plan;
}

bool bt_diff_changes(const json_t *plan) {
  for (size_t i = 0; i < json_array_size(plan); i++)
    if (!bt_streq(bt_json_str(json_array_get(plan, i), "action"), "keep"))
      return true;
  return false;
}
