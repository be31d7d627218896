#include "config.h"

#include "node/balancer.h"

#include <berth/lb.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "plugin/plugin.h"

enum { look_ms = 1000, retry_min_ms = 250, retry_max_ms = 10000, apply_ms = 60000, update_ms = 15000, stats_ms = 3000, slack_ms = 1500 };

/* A drain that somebody waits for. */
struct drain {
  struct bt_balancer *b;
  char *endpoint;
  int64_t grace_ms;
  void (*done)(void *arg, enum bt_code code, const char *message, const json_t *result);
  void *arg;
};

struct bt_balancer {
  struct bt_balancer_options o;
  struct bt_plugin *entry; /* the one that is told; NULL: none runs */
  bool busy;               /* an apply or update is under way */
  bool whole;              /* the whole table is to be applied */
  bool known;              /* it has taken the table once since it (re)started */
  bool routed;             /* there were routes in the last table */
  json_t *pending;         /* changes since */
  BT_VEC(struct drain *) waiting; /* drains that come after the next apply */
  int64_t retry_ms;
  struct bt_timer *timer;
  char *status;            /* of the last report */
  char *message;
  json_t *refused;
  char *reported;
};

static void turn(void *arg);

/* ---------------------------------------------------------------- what readers are told */

static void report(struct bt_balancer *b, const char *status, const char *message) {
  bt_str_set(&b->status, status);
  bt_str_set(&b->message, message && *message ? message : NULL);
  json_t *args = json_object();
  bt_json_set_str(args, "plugin", b->entry ? bt_plugin_name(b->entry) : NULL);
  bt_json_set_str(args, "status", status);
  bt_json_set_str(args, "message", b->message);
  bt_json_set(args, "refused", b->refused ? json_incref(b->refused) : json_object());
  char *text = bt_json_canonical(args);
  if (bt_streq(text, b->reported)) {
    free(text);
    json_decref(args);
    return;
  }
  free(b->reported);
  b->reported = text;
  b->o.report(b->o.arg, args);
}

static void take_refused(struct bt_balancer *b, const json_t *list) {
  json_decref(b->refused);
  b->refused = json_object();
  size_t i;
  json_t *item;
  json_array_foreach((json_t *)(uintptr_t)list, i, item) if (bt_json_str(item, "route"))
      bt_json_set_str(b->refused, bt_json_str(item, "route"), bt_json_str_or(item, "message", "the load balancer does not take it"));
}

/* ---------------------------------------------------------------- drains */

static void drain_end(struct drain *d, enum bt_code code, const char *message, const json_t *result) {
  d->done(d->arg, code, message, result);
  free(d->endpoint);
  free(d);
}

static void drain_done(void *arg, enum bt_code code, const char *message, json_t *result) { drain_end(arg, code, message, result); }

static void drain_call(struct drain *d) {
  struct bt_balancer *b = d->b;
  struct berth_lb_drain request = {sizeof request, d->endpoint, d->grace_ms};
  struct bt_plugin_call call = {
      .method = "lb.drain", .deadline_ms = d->grace_ms + slack_ms, .done = drain_done, .arg = d, .owner = b};
  bt_plugin_invoke(b->entry, (const struct berth_lb *)bt_plugin_methods(b->entry, BERTH_LB), drain, &call, &request);
}

static void drain_nobody(void *arg) { drain_end(arg, BT_OK, "", NULL); }

static void flush_drains(struct bt_balancer *b) {
  for (size_t i = 0; i < b->waiting.len; i++)
    if (b->entry)
      drain_call(b->waiting.items[i]);
    else
      bt_loop_post(b->o.loop, "balancer: nobody drains", drain_nobody, b->waiting.items[i]);
  b->waiting.len = 0;
}

void bt_balancer_drain(struct bt_balancer *b, const json_t *args,
                       void (*done)(void *arg, enum bt_code code, const char *message, const json_t *result), void *arg) {
  struct drain *d = bt_new(struct drain);
  *d = (struct drain){b, bt_strdup(bt_json_str_or(args, "instance", "")), bt_json_int(args, "grace_ms", 0), done, arg};
  bt_vec_push(&b->waiting, d);
  if (b->known || !b->entry)
    flush_drains(b);
}

/* ---------------------------------------------------------------- the plug-in */

static void lost(struct bt_balancer *b, const char *why) {
  b->entry = NULL;
  b->known = false;
  b->whole = true;
  flush_drains(b);
  report(b, "absent", why);
  if (b->routed)
    bt_timer_set(b->timer, 100); /* it may be starting anew */
}

static size_t on_event(void *arg, int channel, const void *data, size_t len) {
  struct bt_balancer *b = arg;
  if (channel != BERTH_LB_EVENT || !len)
    return 0;
  BT_AUTO_JSON event = bt_json_parse(data, len, 0, 0, "event of the load balancer", NULL);
  const char *status = bt_json_str(event, "status");
  if (bt_json_arr(event, "refused"))
    take_refused(b, bt_json_arr(event, "refused"));
  if (status || bt_json_arr(event, "refused"))
    report(b, bt_streq(status ? status : b->status, "failing") ? "failing" : "ok", bt_json_str(event, "message"));
  return 0;
}

static void events_done(void *arg, enum bt_code code, const char *message, json_t *result) {
  (void)code, (void)result;
  lost(arg, message);
}

/* Finds who is to be told. False: nobody. */
static bool find_entry(struct bt_balancer *b) {
  if (b->entry)
    return true;
  b->entry = bt_plugins_find(b->o.plugins, BERTH_LB, 0);
  if (!b->entry)
    return false;
  b->whole = true;
  b->known = false;
  b->retry_ms = retry_min_ms;
  struct bt_plugin_call call = {
      .method = "lb.events", .deadline_ms = -1, .emit = on_event, .done = events_done, .arg = b, .owner = b};
  bt_plugin_invoke(b->entry, (const struct berth_lb *)bt_plugin_methods(b->entry, BERTH_LB), events, &call);
  return true;
}

static void again_later(struct bt_balancer *b) {
  b->whole = true;
  bt_timer_set(b->timer, b->retry_ms);
  b->retry_ms = BT_MIN(b->retry_ms * 2, retry_max_ms);
}

static void applied(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_balancer *b = arg;
  b->busy = false;
  if (!b->entry)
    return;
  if (code == BT_OK) {
    b->known = true;
    b->retry_ms = retry_min_ms;
    take_refused(b, bt_json_arr(result, "refused"));
    report(b, "ok", NULL);
    flush_drains(b);
    turn(b);
    return;
  }
  report(b, "failing", message);
  flush_drains(b); /* they end by themselves */
  if (code != BT_INVALID)
    again_later(b);
  else if (b->whole || json_array_size(b->pending))
    turn(b);
}

static void updated(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_balancer *b = arg;
  (void)message, (void)result;
  b->busy = false;
  if (!b->entry)
    return;
  if (code == BT_OK)
    turn(b);
  else
    again_later(b);
}

/* Their content in place of their keys. What cannot be had is left empty: the plug-in refuses the routes that need it. */
static void fill_certificates(struct bt_balancer *b, json_t *table) {
  size_t i;
  json_t *c;
  json_array_foreach(bt_json_arr(table, "certificates"), i, c) {
    BT_AUTO_ERR err = NULL;
    void *data = NULL;
    size_t len = 0;
    if (b->o.content(b->o.arg, bt_json_str_or(c, "namespace", ""), bt_json_str_or(c, "key", ""), &data, &len, &err) < 0) {
      bt_warn("routes", "certificate %s: %s", bt_json_str_or(c, "name", "?"), bt_err_message(err));
      continue;
    }
    char *text = bt_strndup(data, len);
    bt_json_set_str(c, "pem", text);
    bt_wipe(text, strlen(text));
    free(text);
    json_object_del(c, "namespace");
    json_object_del(c, "key");
    bt_wipe(data, len);
    free(data);
  }
}

static void apply(struct bt_balancer *b) {
  BT_AUTO_JSON table = b->o.table(b->o.arg);
  json_decref(b->pending);
  b->pending = NULL;
  b->whole = false;
  b->busy = true;
  b->routed = json_array_size(bt_json_arr(table, "routes")) > 0;
  fill_certificates(b, table);
  char *text = bt_json_text(table);
  struct berth_lb_apply request = {sizeof request, text};
  struct bt_plugin_call call = {.method = "lb.apply", .deadline_ms = apply_ms, .done = applied, .arg = b, .owner = b};
  bt_plugin_invoke(b->entry, (const struct berth_lb *)bt_plugin_methods(b->entry, BERTH_LB), apply, &call, &request);
  bt_wipe(text, strlen(text));
  free(text);
}

static void update(struct bt_balancer *b) {
  BT_AUTO_JSON changes = json_object();
  bt_json_set(changes, "changes", bt_steal(b->pending));
  BT_AUTO_FREE char *text = bt_json_text(changes);
  struct berth_lb_update request = {sizeof request, text};
  struct bt_plugin_call call = {.method = "lb.update", .deadline_ms = update_ms, .done = updated, .arg = b, .owner = b};
  b->busy = true;
  bt_plugin_invoke(b->entry, (const struct berth_lb *)bt_plugin_methods(b->entry, BERTH_LB), update, &call, &request);
}

static void look_again(struct bt_balancer *b) {
  BT_AUTO_JSON table = b->o.table(b->o.arg);
  b->routed = json_array_size(bt_json_arr(table, "routes")) > 0;
  if (b->routed)
    bt_timer_set(b->timer, look_ms);
}

static void turn(void *arg) {
  struct bt_balancer *b = arg;
  if (b->busy)
    return;
  if (!find_entry(b))
    look_again(b);
  else if (b->whole)
    apply(b);
  else if (json_array_size(b->pending))
    update(b);
}

void bt_balancer_changed(struct bt_balancer *b, bool whole, const json_t *endpoints) {
  b->whole = b->whole || whole;
  if (endpoints && !b->whole) {
    if (!b->pending)
      b->pending = json_array();
    json_array_extend(b->pending, (json_t *)(uintptr_t)endpoints);
  }
  if (b->known || whole)
    bt_timer_set(b->timer, 0);
}

/* ---------------------------------------------------------------- statistics */

struct stats {
  void (*done)(void *arg, const json_t *stats);
  void *arg;
};

static void stats_done(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct stats *s = arg;
  (void)message;
  s->done(s->arg, code == BT_OK ? result : NULL);
  free(s);
}

void bt_balancer_stats(struct bt_balancer *b, void (*done)(void *arg, const json_t *stats), void *arg) {
  if (!b->entry) {
    done(arg, NULL);
    return;
  }
  struct stats *s = bt_new(struct stats);
  *s = (struct stats){done, arg};
  struct bt_plugin_call call = {.method = "lb.stats", .deadline_ms = stats_ms, .done = stats_done, .arg = s, .owner = b};
  bt_plugin_invoke(b->entry, (const struct berth_lb *)bt_plugin_methods(b->entry, BERTH_LB), stats, &call);
}

/* ---------------------------------------------------------------- life */

struct bt_balancer *bt_balancer_new(const struct bt_balancer_options *options) {
  struct bt_balancer *b = bt_new(struct bt_balancer);
  b->o = *options;
  b->whole = true;
  b->retry_ms = retry_min_ms;
  b->timer = bt_timer_new(options->loop, "balancer", turn, b);
  return b;
}

void bt_balancer_free(struct bt_balancer **balancer) {
  struct bt_balancer *b = bt_steal(*balancer);
  if (!b)
    return;
  bt_plugins_end_owned(b->o.plugins, b);
  bt_vec_each(&b->waiting, d) drain_end(*d, BT_CANCELLED, "the server is going down", NULL);
  bt_vec_free(&b->waiting);
  bt_timer_free(&b->timer);
  json_decref(b->pending);
  json_decref(b->refused);
  free(b->status);
  free(b->message);
  free(b->reported);
  free(b);
}
