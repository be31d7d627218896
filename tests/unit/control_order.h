/* For tests of control and order: nodes n1, n2, … of so many cpus each; apps of one service "s" in three namespaces. */
#ifndef BT_TESTS_CONTROL_ORDER_H
#define BT_TESTS_CONTROL_ORDER_H

#include <stdlib.h>

#include "control_kit.h"

static const char *const spaces[] = {"default", "a", "b"};

static inline void join(struct kit *k, const char *name, int cpus) {
  BT_AUTO_FREE char *text = bt_asprintf("{'type':'hello','node':{'name':'%s','cpus':%d,'memory':8000000000,'labels':{}},'instances':[]}", name, cpus);
  k->node = name;
  kit_node(k, text);
  k->node = NULL;
}

static inline struct kit nodes(int n, int cpus) {
  struct kit k;
  kit_start(&k);
  for (int i = 1; i <= n; i++) {
    char name[16];
    snprintf(name, sizeof name, "n%d", i);
    join(&k, name, cpus);
  }
  return k;
}

/* New reference. ns NULL: of all namespaces. */
static inline json_t *list(const struct kit *k, const char *ns, const char *app) {
  json_t *all = json_array();
  for (size_t i = 0; i < BT_COUNT(spaces); i++) {
    BT_AUTO_ERR err = NULL;
    BT_AUTO_JSON some = ns && !bt_streq(ns, spaces[i]) ? NULL
                            : bt_control_list(k->c, "instances", &(struct bt_query){.namespace_ = spaces[i], .limit = 5000}, NULL, &err);
    size_t n;
    json_t *o;
    json_array_foreach(some, n, o) if (!app || bt_streq(bt_json_str(o, "app"), app)) json_array_append(all, o);
  }
  return all;
}

static inline void speak(struct kit *k, json_t *o, const char *state) {
  bool up = bt_streq(state, "running");
  BT_AUTO_FREE char *node = bt_strdup(bt_json_str(o, "node"));
  k->node = node;
  kit_report(k, bt_json_str(o, "instance"), state, up, 0);
  k->node = NULL;
}

static inline void all_run(struct kit *k) {
  BT_AUTO_JSON l = list(k, NULL, NULL);
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) if (bt_json_str(o, "node") && !bt_json_bool(o, "leaving", false) && !bt_json_bool(o, "ready", false) &&
                                  !bt_json_bool(o, "ended", false)) speak(k, o, "running");
  kit_tick(k, 600);
}

static inline void all_leave(struct kit *k) {
  BT_AUTO_JSON l = list(k, NULL, NULL);
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) if (bt_json_bool(o, "leaving", false)) speak(k, o, "removed");
  kit_tick(k, 1);
}

static inline void settle(struct kit *k) {
  for (int i = 0; i < 6; i++) {
    all_run(k);
    all_leave(k);
  }
}

/* deploy: inside of it, after replicas; berth: inside of x-berth. */
static inline bool app_in(struct kit *k, const char *ns, const char *name, int replicas, const char *cpus, const char *deploy, const char *berth) {
  BT_AUTO_FREE char *args = bt_asprintf("{'namespace':'%s','app':'%s','model':{'name':'%s','services':{'s':{'image':'i:1','restart':'no','networks':{'default':null},"
                                        "'deploy':{'replicas':%d,'resources':{'reservations':{'cpus':'%s'}}%s},'x-berth':{%s}}},'networks':{'default':{'name':'%s_%s'}}}}",
                                        ns, name, name, replicas, cpus, deploy, berth, ns, name);
  const struct bt_reply *reply = kit_request(k, "app.apply", args, false);
  bool fine = reply && reply->code == BT_OK;
  if (reply && !fine && !strstr(reply->message, "being removed"))
    printf("# %s: %s\n", name, reply->message);
  kit_resolve(k, "aa");
  kit_tick(k, 1);
  return fine;
}
#define PRIORITY(n) "'placement':{'priority':" n "}"
#define JOB ",'mode':'replicated-job'"

static inline bool app(struct kit *k, const char *name, int replicas, const char *cpus, const char *berth) {
  return app_in(k, "default", name, replicas, cpus, "", berth);
}

static inline void end(struct kit *k, const char *ns, const char *name) {
  BT_AUTO_FREE char *args = bt_asprintf("{'namespace':'%s','app':'%s'}", ns, name);
  kit_request(k, "app.remove", args, false);
}

static inline void settings(struct kit *k, const char *text) { kit_request(k, "settings.put", text, false); }

/* Its instances that have a place and stay. */
static inline long placed_in(const struct kit *k, const char *ns, const char *name) {
  BT_AUTO_JSON l = list(k, ns, name);
  long n = 0;
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) n += bt_json_str(o, "node") && !bt_json_bool(o, "leaving", false);
  return n;
}
static inline long placed(const struct kit *k, const char *name) { return placed_in(k, "default", name); }

static inline long leaving(const struct kit *k, const char *name) {
  BT_AUTO_JSON l = list(k, NULL, name);
  long n = 0;
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) n += bt_json_bool(o, "leaving", false);
  return n;
}

/* The reason of its first instance that waits or leaves; the caller frees. */
static inline char *reason(const struct kit *k, const char *name) {
  BT_AUTO_JSON l = list(k, NULL, name);
  size_t i;
  json_t *o;
  json_array_foreach(l, i, o) if (!bt_json_str(o, "node") || bt_json_bool(o, "leaving", false)) return bt_strdup(bt_json_str(o, "reason"));
  return NULL;
}

static inline void says(const struct kit *k, const char *name, const char *words) {
  BT_AUTO_FREE char *text = reason(k, name);
  ok(text && strstr(text, words), "%s says: %s", name, words);
  if (!text || !strstr(text, words))
    printf("# %s\n", text ? text : "(nothing)");
}

static inline bool event(const struct kit *k, const char *type) {
  BT_AUTO_FREE char *quoted = bt_asprintf("\"type\":\"%s\"", type);
  for (struct bt_map_iter it = bt_map_iter(k->store); bt_map_next(&it);)
    if (bt_starts(it.key, "event ") && strstr(it.value, quoted))
      return true;
  return false;
}

#endif
