/* For tests of control with several nodes: nodes that come, go and run what they are given. */
#ifndef BT_TESTS_CONTROL_NODES_H
#define BT_TESTS_CONTROL_NODES_H

#include "control_shop.h"

#define NODES 8
struct nodes {
  bool gone[NODES + 1]; /* nN is not connected */
  int n;
};

static inline const char *node_name(int i) {
  static const char *const names[] = {"", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"};
  return names[i];
}

/* labels: JSON with ' for ". */
static inline void node_hello(struct kit *k, int i, const char *labels) {
  BT_AUTO_FREE char *m = bt_asprintf("{'type':'hello','node':{'name':'%s','cpus':4,'memory':8000000000,'os':'linux','arch':'amd64','labels':%s},'instances':[]}", node_name(i), labels);
  k->node = node_name(i);
  kit_node(k, m);
  k->node = NULL;
}

static inline struct kit fresh_nodes(int n) {
  struct kit k;
  kit_start(&k);
  for (int i = 1; i <= n; i++)
    node_hello(&k, i, "{}");
  return k;
}

static inline void node_down(struct kit *k, int i) { kit_step(k, (struct bt_input){.kind = BT_IN_NODE_DOWN, .node = node_name(i)}); }

/* Like kit_list, new reference. */
static inline json_t *insts_on(struct kit *k, const char *node) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  json_t *out = json_array();
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (!node || bt_streq(bt_json_str(o, "node"), node)) json_array_append(out, o);
  return out;
}

static inline long count_on(struct kit *k, const char *node) {
  BT_AUTO_JSON list = insts_on(k, node);
  return (long)json_array_size(list);
}

static inline json_t *node_view(struct kit *k, const char *name) {
  BT_AUTO_JSON list = kit_list(k, "nodes", NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "node"), name)) return json_incref(o);
  return json_null();
}

static inline void node_is(struct kit *k, const char *name, const char *status) {
  BT_AUTO_JSON o = node_view(k, name);
  BT_AUTO_FREE char *what = bt_asprintf("%s is %s", name, status);
  is_str(bt_json_str(o, "status"), status, what);
}

static inline void node_report(struct kit *k, const json_t *inst, const char *state, bool ready) {
  k->node = bt_json_str(inst, "node");
  kit_report(k, bt_json_str(inst, "instance"), state, ready, 0);
  k->node = NULL;
}

/* Nodes that are connected remove what leaves, and start what they were given; true where anything was to do. */
static inline bool nodes_work(struct kit *k, const struct nodes *nodes) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  bool any = false;
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) {
    const char *node = bt_json_str(o, "node");
    if (!node || (nodes && nodes->gone[node[1] - '0']))
      continue;
    if (bt_json_bool(o, "leaving", false))
      node_report(k, o, "removed", false);
    else if (!bt_json_bool(o, "ready", false) && !bt_streq(bt_json_str(o, "state"), "exited"))
      node_report(k, o, "running", true);
    else
      continue;
    any = true;
  }
  return any;
}

/* Lets them work until nothing moves for a while. */
static inline void nodes_settle(struct kit *k, const struct nodes *nodes) {
  for (int quiet = 0, rounds = 0; quiet < 6 && rounds < 200; rounds++) {
    quiet = nodes_work(k, nodes) ? 0 : quiet + 1;
    kit_tick(k, 2500);
  }
}

static inline long ready_of(struct kit *k, const char *service) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  long n = 0;
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) n += bt_streq(bt_json_str(o, "service"), service) && bt_json_bool(o, "ready", false) && !bt_json_bool(o, "leaving", false);
  return n;
}

static inline long events_of(struct kit *k, const char *type) {
  BT_AUTO_JSON list = bt_control_list(k->c, "events", &(struct bt_query){.type = type, .limit = 5000}, NULL, NULL);
  return (long)json_array_size(list);
}

static inline bool drain(struct kit *k, const char *node) {
  BT_AUTO_FREE char *args = bt_asprintf("{'node':'%s'}", node);
  const struct bt_reply *reply = kit_request(k, "node.drain", args, false);
  return reply && reply->code == BT_OK;
}

static inline bool cordon(struct kit *k, const char *node, bool on) {
  BT_AUTO_FREE char *args = bt_asprintf("{'node':'%s','cordoned':%s}", node, on ? "true" : "false");
  const struct bt_reply *reply = kit_request(k, "node.cordon", args, false);
  return reply && reply->code == BT_OK;
}

/* Whether a reason of why the object is as it is has these words. */
static inline bool why_says(struct kit *k, const char *object, const char *words) {
  BT_AUTO_JSON why = bt_control_why(k->c, "default", object, k->now, NULL);
  size_t i;
  json_t *r;
  json_array_foreach(bt_json_arr(why, "reasons"), i, r) if (strstr(bt_json_str_or(r, "text", ""), words)) return true;
  BT_AUTO_FREE char *text = why ? bt_json_text(why) : NULL;
  printf("# why %s: %s\n", object, text ? text : "nothing");
  return false;
}

#endif
