/* One instance: what is kept of its assignment, what the engine tells about its container, when it may start again, and which step
 * is next. The way up is in start.c, the way down in lifecycle.c. Level-triggered: bt_inst_step looks at what is and starts at most
 * one operation; its end steps again, so a lost answer or a restarted agent needs no special case. */
#include "config.h"

#include <stdio.h>

#include "base/clock.h"
#include "model/image.h"
#include "node/internal.h"
#include "plan/backoff.h"

enum { retry_ms = 2000 };

static bool is_job(const struct bt_inst *in) { return bt_json_bool(in->klass, "job", false); }

static bool is_empty(const json_t *value) {
  return !value || json_is_null(value) || (json_is_object(value) && json_object_size(value) == 0) ||
         (json_is_array(value) && json_array_size(value) == 0);
}

/* What runs is pinned by its digest: the tag by which it was asked for becomes its name on the engine. */
static void note_tag(json_t *doc, const char *pinned, const char *asked) {
  BT_AUTO_IMAGE ref = {0};
  if (strchr(pinned, '@') && bt_image_parse(asked, &ref, NULL) == 0 && !ref.digest)
    bt_json_set_str(doc, "tag", ref.tag ? ref.tag : "latest");
}

/* Of the assignment what is read again later: the rest is in the class or in fields of ours. */
static json_t *lasting_part(const struct bt_inst *in, const json_t *assignment) {
  static const char *const keys[] = {"container_name", "image", "slot", "networks", "co", "volumes_from", "environment", "devices", "published"};
  json_t *doc = json_object();
  for (size_t i = 0; i < BT_COUNT(keys); i++) {
    json_t *value = json_object_get(assignment, keys[i]);
    if (!is_empty(value) && !bt_streq(json_string_value(value), in->id)) /* the id is the default of the name */
      json_object_set(doc, keys[i], value);
  }
  note_tag(doc, bt_json_str_or(assignment, "image", ""), bt_json_str_or(assignment, "image_ref", ""));
  return doc;
}

static void set_assignment(struct bt_inst *in, const json_t *assignment) {
  json_t *klass = json_incref(bt_json_obj(assignment, "class"));
  json_decref(in->klass);
  in->klass = klass;
  json_decref(in->doc);
  in->doc = lasting_part(in, assignment);
  free(in->text);
  in->text = bt_json_text(in->doc);
}

const json_t *bt_inst_doc(struct bt_inst *in) {
  if (!in->doc)
    in->doc = json_loads(in->text, 0, NULL);
  BT_ASSERT(in->doc);
  return in->doc;
}

void bt_inst_settle(struct bt_inst *in) {
  json_decref(in->doc);
  in->doc = NULL;
}

const char *bt_inst_of(const struct bt_inst *in, const char *what) {
  char label[32];
  snprintf(label, sizeof label, "berth.%s", what);
  return bt_json_str_or(bt_json_obj(in->klass, "labels"), label, "");
}

void bt_inst_plan_start(struct bt_inst *in, int64_t wait_ms) {
  in->next_start_ms = bt_clock_mono_ms() + wait_ms;
  in->next_start_wall_ms = bt_clock_wall_ms() + wait_ms;
}

void bt_inst_unplan_start(struct bt_inst *in) { in->next_start_ms = in->next_start_wall_ms = 0; }

/* An earlier agent told when the next start is, by a wall clock that may have been set since: it never waits longer than its failures
 * are worth. */
static void start_as_told(struct bt_inst *in, int64_t wall_ms) {
  if (!wall_ms)
    return;
  int64_t now = bt_clock_wall_ms();
  int64_t longest = bt_backoff_delay_ms(in->failures + 1, bt_json_int(bt_json_obj(in->klass, "restart"), "delay_ms", 0));
  bt_inst_plan_start(in, BT_MIN(BT_MAX(wall_ms - now, 0), longest));
}

struct bt_inst *bt_inst_new(struct bt_agent *agent, const json_t *assignment) {
  struct bt_inst *in = bt_new(struct bt_inst);
  in->agent = agent;
  in->id = bt_strdup(bt_json_str_or(assignment, "instance", ""));
  set_assignment(in, assignment);
  in->restarts = (int)bt_json_int(assignment, "restarts", 0);
  in->failures = (int)bt_json_int(assignment, "failures", 0);
  start_as_told(in, bt_json_int(assignment, "next_start_ms", 0));
  in->finished = bt_json_bool(assignment, "ended", false);
  return in;
}

void bt_inst_update(struct bt_inst *in, const json_t *assignment) {
  BT_AUTO_FREE char *was = bt_strdup(bt_json_str_or(in->klass, "hash", ""));
  set_assignment(in, assignment);
  in->want_gone = false;
  if (!bt_streq(was, bt_json_str_or(in->klass, "hash", "")))
    bt_inst_reassigned(in);
  bt_inst_step(in);
}

void bt_inst_set_container(struct bt_inst *in, const char *container_id) {
  if (in->container_id)
    bt_map_del(in->agent->by_container, in->container_id);
  bt_str_set(&in->container_id, container_id);
  in->names = BT_NAMES_UNKNOWN;
  if (container_id)
    bt_map_set(in->agent->by_container, container_id, in);
}

void bt_inst_free(struct bt_inst *in) {
  bt_slot_release(in);
  if (in->op)
    bt_plugin_abandon(bt_agent_runtime(in->agent), in->op);
  bt_probes_stop(in);
  bt_health_forget(in);
  bt_inst_set_container(in, NULL);
  bt_image_release(in);
  for (size_t i = 0; i < in->agent->queue.len; i++)
    if (in->agent->queue.items[i] == in) {
      bt_vec_remove(&in->agent->queue, i);
      break;
    }
  bt_timer_free(&in->timer);
  bt_timer_free(&in->good);
  json_decref(in->doc);
  json_decref(in->klass);
  free(in->text);
  free(in->made);
  free(in->asked);
  free(in->refused);
  free(in->id);
  json_decref(in->ports);
  free(in->image_id);
  free(in->ip);
  free(in->error);
  free(in);
}

/* ---------------------------------------------------------------- failures and waiting */

static void on_timer(void *arg) { bt_inst_step(arg); }

void bt_inst_retry_in(struct bt_inst *in, int64_t ms) {
  if (!in->timer)
    in->timer = bt_timer_new(in->agent->o.loop, "node: instance", on_timer, in);
  bt_timer_set(in->timer, BT_MAX(ms, 0));
}

void bt_inst_fail(struct bt_inst *in, const char *sentence, bool retry) {
  bt_str_set(&in->error, sentence);
  if (retry) {
    bt_inst_retry_in(in, retry_ms);
  } else {
    in->state = BT_INST_FAILED;
    in->failures++;
    int64_t wait = bt_backoff_delay_ms(in->failures + 1, 0);
    bt_inst_plan_start(in, wait);
    bt_inst_retry_in(in, wait);
  }
  bt_inst_tell(in);
}

/* May it start again, and when? Called once per exit. */
static void plan_restart(struct bt_inst *in) {
  json_t *policy = bt_json_obj(in->klass, "restart");
  const char *condition = bt_json_str_or(policy, "condition", "any");
  long long max = bt_json_int(policy, "max_attempts", 0);
  bool ok = in->exit_code == 0;
  bool wanted = bt_backoff_restarts(condition, ok, in->failures, (int)max) && !(ok && is_job(in));
  in->failures++;
  if (!wanted) {
    in->finished = true;
    bt_inst_unplan_start(in);
    in->state = ok ? BT_INST_EXITED : BT_INST_FAILED;
    return;
  }
  int64_t wait = bt_backoff_delay_ms(in->failures, bt_json_int(policy, "delay_ms", 0));
  in->state = ok ? BT_INST_EXITED : BT_INST_FAILED;
  bt_inst_plan_start(in, wait);
}

void bt_inst_exited(struct bt_inst *in, int exit_code, bool oom) {
  if (in->busy && !in->want_gone && in->state == BT_INST_STARTING) {
    in->died_busy = true; /* the start's answer is still on its way */
    in->exit_code = exit_code;
    in->oom |= oom;
    return;
  }
  bool was_running = in->running;
  in->running = false;
  in->ready = false;
  in->health = BT_HEALTH_NONE;
  in->exit_code = exit_code;
  in->oom = oom || in->oom;
  in->finished_ms = bt_clock_wall_ms();
  bt_probes_stop(in);
  if (in->good)
    bt_timer_clear(in->good);
  if (in->want_gone || in->want_restart) {
    if (!in->busy)
      bt_inst_step(in);
    return;
  }
  if (!was_running)
    return;
  BT_AUTO_FREE char *why = in->oom ? bt_asprintf("it ran out of memory (exit code %d)", exit_code)
                                   : bt_asprintf("it ended with exit code %d", exit_code);
  bt_str_set(&in->error, exit_code || in->oom ? why : NULL);
  plan_restart(in);
  bt_inst_tell(in);
  bt_inst_step(in);
}

void bt_inst_gone(struct bt_inst *in) {
  bt_inst_set_container(in, NULL);
  in->running = false;
  in->ready = false;
  bt_probes_stop(in);
  if (in->busy)
    return;
  if (!in->want_gone && !in->finished) {
    bt_str_set(&in->error, "its container was removed by somebody else");
    in->state = BT_INST_PENDING;
  }
  if (!in->want_gone)
    bt_inst_tell(in);
  bt_inst_step(in);
}

/* ---------------------------------------------------------------- running */

static void good_long_enough(void *arg) {
  struct bt_inst *in = arg;
  in->failures = 0;
  bt_str_set(&in->error, NULL);
  bt_inst_tell(in);
}

static void watch_for_good(struct bt_inst *in, bool wanted) {
  if (!wanted) {
    bt_timer_free(&in->good);
    return;
  }
  if (!in->good)
    in->good = bt_timer_new(in->agent->o.loop, "node: instance is good", good_long_enough, in);
  int64_t window_ms = bt_json_int(bt_json_obj(in->klass, "restart"), "window_ms", 0);
  bt_timer_set(in->good, window_ms > 0 ? window_ms : BT_BACKOFF_WELL_MS);
}

void bt_inst_refresh_ready(struct bt_inst *in) {
  bool healthy = !bt_json_bool(in->klass, "healthcheck", false) || in->health == BT_HEALTH_HEALTHY;
  bool ready = in->running && !in->want_gone && in->state == BT_INST_RUNNING && healthy && in->startup_ok && in->readiness_ok;
  if (ready != in->ready) {
    in->ready = ready;
    bt_inst_names(in, ready);
    watch_for_good(in, ready && (in->failures || in->error));
  }
  bt_inst_tell(in);
}

void bt_inst_health(struct bt_inst *in, const char *health) {
  in->health = bt_streq(health, "healthy")     ? BT_HEALTH_HEALTHY
               : bt_streq(health, "unhealthy") ? BT_HEALTH_UNHEALTHY
               : bt_streq(health, "starting")  ? BT_HEALTH_STARTING
                                               : BT_HEALTH_NONE;
  bt_inst_refresh_ready(in);
}

void bt_inst_running(struct bt_inst *in, int64_t started_ms) {
  in->running = true;
  in->finished = false;
  in->started_ms = started_ms ? started_ms : bt_clock_wall_ms();
  in->finished_ms = 0;
  bt_inst_unplan_start(in);
  in->oom = false;
  in->lasting = false;
  in->started_once = true;
  in->state = BT_INST_RUNNING;
  bt_timer_free(&in->timer); /* hardly ever wanted while it runs */
  json_t *probes = bt_json_obj(in->klass, "probes");
  in->startup_ok = !json_object_get(probes, "startup");
  in->readiness_ok = !json_object_get(probes, "readiness");
  bt_probes_start(in);
  bt_inst_refresh_ready(in);
}

static void observe_networks(struct bt_inst *in, const json_t *container) {
  const char *name;
  json_t *net;
  bt_str_set(&in->ip, NULL);
  json_object_foreach(bt_json_obj(container, "networks"), name, net) {
    const char *ip = bt_json_str(net, "ip");
    if (ip && *ip) {
      bt_str_set(&in->ip, ip);
      break;
    }
  }
  if (!in->ip && bt_streq(bt_json_str(in->klass, "network_mode"), "host"))
    bt_str_set(&in->ip, "127.0.0.1");
  json_t *ports = bt_json_arr(container, "ports");
  if (ports) {
    json_decref(in->ports);
    in->ports = json_array_size(ports) ? json_incref(ports) : NULL;
  }
}

/* What the engine says of its container (an object of berth_runtime.inspect). */
static void observe(struct bt_inst *in, const json_t *container) {
  const char *id = bt_json_str(container, "id");
  if (id && !bt_streq(id, in->container_id))
    bt_inst_set_container(in, id);
  bt_inst_made_of(in, container);
  bt_str_set(&in->image_id, bt_json_str(container, "image_id"));
  observe_networks(in, container);
  const char *state = bt_json_str_or(container, "state", "");
  if (bt_streq(state, "running")) {
    int64_t started = 0;
    bt_clock_parse(bt_json_str(container, "started_at"), &started);
    if (!in->running || in->state != BT_INST_RUNNING)
      bt_inst_running(in, started);
    bt_health_observe(in, container);
  } else if ((bt_streq(state, "exited") || bt_streq(state, "dead")) && in->finished) {
    /* Its end was counted before this agent started. */
    in->exit_code = (int)bt_json_int(container, "exit_code", 0);
    in->state = in->exit_code ? BT_INST_FAILED : BT_INST_EXITED;
    bt_clock_parse(bt_json_str(container, "finished_at"), &in->finished_ms);
  } else if (bt_streq(state, "exited") || bt_streq(state, "dead")) {
    /* Met as exited: only a container that has been started before counts as one that ended. */
    in->running = in->started_once = true;
    bt_inst_exited(in, (int)bt_json_int(container, "exit_code", 0), bt_json_bool(container, "oom_killed", false));
  }
}

static void inspected(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct bt_inst *in = arg;
  (void)message;
  in->op = 0;
  in->busy = false;
  if (code == BT_NOT_FOUND) {
    bt_inst_gone(in); /* tells and steps, which may have freed it */
    return;
  }
  if (code == BT_OK)
    observe(in, result);
  bt_inst_tell(in);
  bt_inst_step(in);
}

void bt_inst_inspect(struct bt_inst *in) {
  struct berth_runtime_container req = {sizeof req, .id = in->container_id};
  struct bt_plugin_call call = {.method = "runtime.inspect", .deadline_ms = 15000, .done = inspected, .arg = in};
  in->busy = true;
  in->op = bt_agent_call(in->agent, inspect, &call, &req);
}

/* ---------------------------------------------------------------- the next step */

void bt_inst_step(struct bt_inst *in) {
  if (in->busy || !in->agent->connected || in->agent->stopping)
    return;
  if (in->want_gone) {
    bt_inst_step_down(in);
    return;
  }
  if (bt_inst_resize_due(in)) {
    bt_inst_resize(in);
    return;
  }
  if (in->want_restart && (in->running || in->finished)) {
    bt_inst_step_restart(in);
    return;
  }
  in->want_restart = false;
  if (in->running || in->finished)
    return;
  int64_t wait = in->next_start_ms - bt_clock_mono_ms();
  if (in->next_start_ms && wait > 0) {
    if (in->state == BT_INST_STOPPING)
      in->state = BT_INST_FAILED; /* stopped since a hook failed */
    bt_inst_tell(in);
    bt_inst_retry_in(in, wait);
    return;
  }
  bt_inst_step_up(in);
}
