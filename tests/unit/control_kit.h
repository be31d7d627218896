/* For tests of control: a control with a store in memory, and short ways to feed it and to look at what it does. */
#ifndef BT_TESTS_CONTROL_KIT_H
#define BT_TESTS_CONTROL_KIT_H

#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"
#include "base/vec.h"
#include "control/control.h"
#include "tap.h"

struct kit {
  struct bt_control *c;
  struct bt_map *store; /* "kind key" -> value */
  struct bt_effects fx; /* of the last step */
  int64_t now;
  int64_t set; /* by so much the wall clock was set; kit_start: 0 */
  uint64_t requests;
  const char *node; /* that kit_node speaks for; NULL: n1 */
  json_t *settings; /* the operator's, after a reload; borrowed; NULL: none */
};

static inline void kit_start(struct kit *k) {
  *k = (struct kit){.now = 1700000000000, .store = bt_map_new(free)};
  k->c = bt_control_new(&(struct bt_control_options){.server_id = "testserver"});
  bt_control_loaded(k->c, 0);
}

static inline void kit_commit(struct kit *k) {
  for (size_t i = 0; i < k->fx.batch.len; i++) {
    struct bt_change *change = &k->fx.batch.items[i];
    BT_AUTO_FREE char *id = bt_asprintf("%s %s", change->kind, change->key);
    if (change->value)
      bt_map_set(k->store, id, bt_strdup(change->value));
    else
      bt_map_del(k->store, id);
  }
}

static inline void kit_step(struct kit *k, struct bt_input in) {
  bt_effects_free(&k->fx);
  in.now_ms = k->now;
  in.wall_ms = k->now + k->set;
  bt_control_step(k->c, &in, &k->fx);
  kit_commit(k);
}

/* As after a crash: a new control of what was stored. */
static inline void kit_reload(struct kit *k) {
  uint64_t revision = bt_control_revision(k->c);
  bt_control_free(&k->c);
  k->c = bt_control_new(&(struct bt_control_options){.server_id = "testserver", .settings = k->settings});
  for (struct bt_map_iter it = bt_map_iter(k->store); bt_map_next(&it);) {
    const char *space = strchr(it.key, ' ');
    BT_AUTO_FREE char *kind = bt_strndup(it.key, (size_t)(space - it.key));
    BT_AUTO_ERR err = NULL;
    if (bt_control_load(k->c, kind, space + 1, it.value, strlen(it.value), &err))
      ok(false, "load %s: %s", it.key, bt_err_message(err));
  }
  bt_control_loaded(k->c, revision);
  kit_step(k, (struct bt_input){.kind = BT_IN_START});
}

static inline void kit_end(struct kit *k) {
  bt_effects_free(&k->fx);
  bt_control_free(&k->c);
  bt_map_free(&k->store);
}

static inline json_t *kit_json(const char *text) {
  json_error_t error;
  json_t *o = json_loads(text, 0, &error);
  if (!o)
    printf("# bad JSON in a test: %s at %d\n", error.text, error.position);
  BT_ASSERT(o);
  return o;
}

/* A request; the first reply of the step, borrowed until the next one. args in JSON with ' for ". */
static inline const struct bt_reply *kit_request(struct kit *k, const char *op, const char *args, bool dry_run) {
  BT_AUTO_FREE char *text = bt_strdup(args);
  for (char *p = text; *p; p++)
    if (*p == '\'')
      *p = '"';
  BT_AUTO_JSON o = kit_json(text);
  struct bt_request request = {.id = ++k->requests, .op = op, .args = o, .actor = "tester", .dry_run = dry_run};
  kit_step(k, (struct bt_input){.kind = BT_IN_REQUEST, .request = &request});
  return k->fx.replies.len ? &k->fx.replies.items[0] : NULL;
}

static inline void kit_node(struct kit *k, const char *message) {
  BT_AUTO_FREE char *text = bt_strdup(message);
  for (char *p = text; *p; p++)
    if (*p == '\'')
      *p = '"';
  BT_AUTO_JSON o = kit_json(text);
  kit_step(k, (struct bt_input){.kind = BT_IN_NODE, .node = k->node ? k->node : "n1", .message = o});
}

static inline void kit_hello(struct kit *k) {
  kit_node(k, "{'type':'hello','node':{'name':'n1','cpus':4,'memory':8000000000,'os':'linux','arch':'amd64','labels':{}},'instances':[]}");
}

/* As kit_hello, from a node that still runs everything that it was given. */
static inline void kit_hello_again(struct kit *k) {
  BT_AUTO_JSON m = kit_json("{\"type\":\"hello\",\"node\":{\"name\":\"n1\",\"cpus\":4,\"memory\":8000000000,\"labels\":{}}}");
  json_t *reports = json_array();
  json_t *list = bt_control_list(k->c, "instances", NULL, NULL, NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_json_str(o, "node")) {
    json_t *r = json_copy(o);
    int64_t started = 0;
    if (bt_json_str(o, "started_at"))
      BT_ASSERT(bt_clock_parse(bt_json_str(o, "started_at"), &started));
    bt_json_set_int(r, "started_ms", started);
    bt_json_set_bool(r, "final", bt_json_bool(o, "ended", false));
    json_array_append_new(reports, r);
  }
  json_decref(list);
  bt_json_set(m, "instances", reports);
  kit_step(k, (struct bt_input){.kind = BT_IN_NODE, .node = "n1", .message = m});
}

/* Answers every call of the last step with a pin made of its image and the suffix. */
static inline void kit_resolve(struct kit *k, const char *suffix) {
  BT_VEC(uint64_t) ids = {0};
  BT_VEC(char *) pins = {0};
  for (size_t i = 0; i < k->fx.calls.len; i++) {
    bt_vec_push(&ids, k->fx.calls.items[i].id);
    const char *image = bt_json_str_or(k->fx.calls.items[i].args, "image", "built");
    bt_vec_push(&pins, bt_asprintf("{\"pinned\":\"%s@sha256:%s\",\"digest\":\"sha256:%s\",\"source\":\"registry\"}", image, suffix, suffix));
  }
  for (size_t i = 0; i < ids.len; i++) {
    BT_AUTO_JSON result = kit_json(pins.items[i]);
    kit_step(k, (struct bt_input){.kind = BT_IN_CALL_DONE, .call = ids.items[i], .code = BT_OK, .result = result});
    free(pins.items[i]);
  }
  bt_vec_free(&ids);
  bt_vec_free(&pins);
}

static inline void kit_tick(struct kit *k, int64_t ms) {
  k->now += ms;
  kit_step(k, (struct bt_input){.kind = BT_IN_TICK});
}

static inline const json_t *kit_message(struct bt_send *send) {
  if (!send->message)
    send->message = bt_send_message(send, NULL);
  return send->message;
}

/* The n-th message of a type in the last step, NULL where there is none. */
static inline const json_t *kit_sent(const struct kit *k, const char *type, size_t n) {
  for (size_t i = 0; i < k->fx.sends.len; i++)
    if (bt_streq(bt_json_str(kit_message(&k->fx.sends.items[i]), "type"), type) && n-- == 0)
      return k->fx.sends.items[i].message;
  return NULL;
}

static inline size_t kit_count(const struct kit *k, const char *type) {
  size_t n = 0;
  while (kit_sent(k, type, n))
    n++;
  return n;
}

static inline void kit_report(struct kit *k, const char *id, const char *state, bool ready, int exit_code) {
  BT_AUTO_FREE char *m = bt_asprintf("{'type':'report','instance':'%s','state':'%s','ready':%s,'health':'','container_id':'c-%s','exit_code':%d,"
                                     "'started_ms':%lld,'final':%s}",
                                     id, state, ready ? "true" : "false", id, exit_code, (long long)k->now,
                                     strcmp(state, "exited") == 0 || strcmp(state, "failed") == 0 ? "true" : "false");
  kit_node(k, m);
}

/* What is listed of a kind in the default namespace. New reference. */
static inline json_t *kit_list(const struct kit *k, const char *kind, const char *app) {
  BT_AUTO_ERR err = NULL;
  json_t *list = bt_control_list(k->c, kind, &(struct bt_query){.namespace_ = "default", .app = app, .limit = 5000}, NULL, &err);
  if (!list)
    printf("# list %s: %s\n", kind, bt_err_message(err));
  return list ? list : json_array();
}

/* Every instance that is assigned and not leaving becomes running and ready, and holds out half a second. */
static inline void kit_all_run(struct kit *k) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_json_str(o, "node") && !bt_json_bool(o, "leaving", false) && !bt_json_bool(o, "ready", false) &&
                                   !bt_json_bool(o, "ended", false))
      kit_report(k, bt_json_str(o, "instance"), "running", true, 0);
  kit_tick(k, 500);
}

/* Everything that was asked to leave is reported as removed. */
static inline void kit_all_leave(struct kit *k) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i;
  json_t *o;
  json_array_foreach(list, i, o) if (bt_json_bool(o, "leaving", false)) kit_report(k, bt_json_str(o, "instance"), "removed", false, 0);
}

static inline char *kit_app_state(const struct kit *k, const char *app) {
  BT_AUTO_JSON list = kit_list(k, "apps", app);
  return bt_strdup(bt_json_str(json_array_get(list, 0), "state"));
}

static inline void kit_is_state(const struct kit *k, const char *app, const char *want) {
  BT_AUTO_FREE char *state = kit_app_state(k, app);
  BT_AUTO_FREE char *name = bt_asprintf("app %s is %s", app, want);
  is_str(state, want, name);
}

#endif
