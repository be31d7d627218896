/* The server's life: started, killed between any two effects, stopped in good order; and what its executor gives and takes. */
#include "config.h"

#include "disk.h"
#include "sim.h"

#define SOON_MS 20000
#define ANSWER_MS 100000 /* a request is answered by then, or refused; longer than any fault of the disk */

/* ---- effects: what the world outside sees of it, one after the other ---- */

bool sim_effect(struct sim *s) {
  if (s->dead || !s->dies_in || --s->dies_in > 0)
    return false;
  s->dead = true;
  s->crashes++;
  sim_say(s, "THE SERVER DIES%s", s->power_cut ? ", the power is cut" : "");
  sim_disk_dies(s->power_cut);
  return true;
}

static bool seen(struct sim *s) { return !s->dead && !sim_effect(s); }

/* Messages of a connection keep their order. */
static int64_t transit(struct sim *s, const struct sim_node *n, int64_t *last_ms) {
  int64_t at = s->now_ms + 1 + (n->lags ? (int64_t)sim_rand(s, 3000) : 0);
  *last_ms = BT_MAX(*last_ms, at);
  return *last_ms - s->now_ms;
}

static struct sim_node *node_by_name(struct sim *s, const char *name) {
  for (size_t i = 0; i < s->nnodes; i++)
    if (bt_streq(s->nodes[i].name, name))
      return &s->nodes[i];
  return NULL;
}

/* Nobody is told to act upon what is not on the disk. It may be gone when the message arrives. */
static void check_given(struct sim *s, const char *node, const json_t *a) {
  BT_AUTO_FREE char *key = bt_asprintf("%s/%s", bt_json_str_or(a, "namespace", "default"), bt_json_str_or(a, "instance", ""));
  if (!sim_store_has(s->store, "instance", key))
    sim_bad(s, "%s is given %s, which is not on the disk", node, key);
}

static void check_sent(struct sim *s, const char *node, const json_t *message) {
  size_t i;
  json_t *a;
  if (bt_streq(bt_json_str(message, "type"), "assign"))
    check_given(s, node, bt_json_obj(message, "instance"));
  else if (bt_streq(bt_json_str(message, "type"), "sync"))
    json_array_foreach(bt_json_arr(message, "instances"), i, a) check_given(s, node, a);
}

static void send(void *arg, const char *node, const json_t *message) {
  struct sim *s = arg;
  struct sim_node *n = node_by_name(s, node);
  if (!seen(s) || !n || !n->linked)
    return;
  check_sent(s, node, message);
  struct sim_event *event = sim_at(s, transit(s, n, &n->last_out_ms), SIM_TO_NODE);
  event->node = n;
  event->epoch = n->epoch;
  event->message = json_incref((json_t *)(uintptr_t)message);
}

void sim_node_says(struct sim *s, struct sim_node *n, json_t *message_steal) {
  if (!n->linked) {
    json_decref(message_steal);
    return;
  }
  struct sim_event *event = sim_at(s, transit(s, n, &n->last_in_ms), SIM_TO_SERVER);
  event->node = n;
  event->epoch = n->epoch;
  event->message = message_steal;
}

static void call(void *arg, uint64_t id, const char *kind, const json_t *args) {
  struct sim *s = arg;
  if (!seen(s))
    return;
  sim_trace_text(s, kind);
  struct sim_event *event = sim_at(s, 1 + (int64_t)sim_rand(s, 2000), SIM_CALL);
  event->life = s->life;
  event->id = id;
  event->message = json_incref((json_t *)(uintptr_t)args);
}

static void routes(void *arg, bool whole, const json_t *endpoints) {
  (void)whole, (void)endpoints;
  seen(arg);
}

static void rebuilt(void *arg) {
  struct sim *s = arg;
  for (size_t i = 0; i < s->nnodes && seen(s); i++)
    if (s->nodes[i].linked)
      sim_hello(s, &s->nodes[i]);
    else
      bt_executor_node_down(s->executor, s->nodes[i].name);
}

/* What a registry says. */
void sim_calls(struct sim *s, const struct sim_event *event) {
  const char *image = bt_json_str_or(event->message, "image", "built");
  BT_AUTO_JSON result = json_object();
  if (json_object_get(event->message, "services")) { /* a monitor's, then */
    json_t *seen_ = sim_metrics(s, event->message);
    bt_executor_call_done(s->executor, event->id, BT_OK, NULL, seen_);
    json_decref(seen_);
    return;
  }
  if (bt_starts(image, "missing") || (!s->calm && sim_chance(s, 3))) {
    bt_executor_call_done(s->executor, event->id, BT_UNAVAILABLE, "the registry is away", NULL);
    return;
  }
  BT_AUTO_FREE char *pinned = bt_asprintf("%s@sha256:%s", image, image);
  bt_json_set_str(result, "pinned", pinned);
  bt_json_set_str(result, "digest", image);
  bt_json_set_str(result, "source", "registry");
  bt_executor_call_done(s->executor, event->id, BT_OK, NULL, result);
}

/* ---- requests ---- */

struct ask {
  struct sim *s;
  uint64_t id;
  int64_t asked_ms;
  bool dry_run;
};

/* Where the store is well, and has been for a while, nobody waits for long. */
void sim_check_answers(struct sim *s) {
  bt_vec_each(&s->open, at_ms) if (s->now_ms > *at_ms + SOON_MS && s->now_ms > s->well_ms + SOON_MS)
      sim_bad(s, "a request has no answer after %lld s, and the store is well", (long long)(s->now_ms - *at_ms) / 1000);
}

static void close_ask(struct sim *s, int64_t asked_ms) {
  for (size_t i = 0; i < s->open.len; i++)
    if (s->open.items[i] == asked_ms) {
      bt_vec_remove(&s->open, i);
      return;
    }
}

static void answered(void *arg, enum bt_code code, const char *message, const json_t *result) {
  struct ask *ask = arg;
  struct sim *s = ask->s;
  s->asks--;
  close_ask(s, ask->asked_ms);
  if (code == BT_CANCELLED && !s->failed && s->now_ms > ask->asked_ms + ANSWER_MS)
    sim_bad(s, "request %llu had no answer for %lld s", (unsigned long long)ask->id, (long long)(s->now_ms - ask->asked_ms) / 1000);
  if (seen(s))
    sim_reply(s, ask->id, code, message, ask->dry_run ? NULL : result);
  free(ask);
}

/* Counts what requests make of an app: revisions and restarts. -1 where those are not all that may have changed it. */
static long asked_of(struct sim *s, const char *name) {
  const struct ctl_app *app = ctl_app_find(bt_executor_control(s->executor), sim_ns(s, name), name);
  long least = -1;
  if (!app)
    return 0;
  bt_vec_each(&app->services, service) if ((*service)->spec && !(*service)->spec->recurs) least =
      least < 0 ? (*service)->gen : BT_MIN(least, (*service)->gen); /* a restart of all; services follow each other, too */
  return 1000L * (ctl_rev_latest(app) ? ctl_rev_latest(app)->number : 0) + least + 1;
}

static void request(struct sim *s, const char *op, json_t *args, bool dry_run) {
  struct ask *ask = bt_new(struct ask);
  *ask = (struct ask){s, ++s->requests, s->now_ms, dry_run};
  if (!json_object_get(args, "namespace"))
    bt_json_set_str(args, "namespace", sim_ns(s, bt_json_str_or(args, "app", "")));
  sim_say(s, "REQUEST %llu %s %s%s", (unsigned long long)s->requests, op, bt_json_str_or(args, "app", ""), dry_run ? " (dry run)" : "");
  sim_trace_text(s, op);
  s->asks++;
  bt_vec_push(&s->open, s->now_ms);
  BT_AUTO_FREE char *app = bt_strdup(bt_json_str_or(args, "app", ""));
  long before = dry_run ? asked_of(s, app) : 0;
  bt_executor_write(s->executor, op, args, "sim", dry_run, answered, ask);
  if (dry_run && asked_of(s, app) > before)
    sim_bad(s, "a dry run of %s changed %s", op, app);
}

void sim_request(struct sim *s, const char *op, json_t *args_steal) {
  if (!s->executor) {
    json_decref(args_steal);
    return;
  }
  if (bt_streq(op, "app.remove"))
    bt_map_del(s->acked, bt_json_str_or(args_steal, "app", "")); /* it may be gone from now on */
  request(s, op, args_steal, false);
}

void sim_request_dry(struct sim *s, const char *op, json_t *args_steal) {
  if (s->executor)
    request(s, op, args_steal, true);
  else
    json_decref(args_steal);
}

/* ---- the store's turn ---- */

void sim_server_turn(struct sim *s) {
  bool again = sim_store_turn(s->store);
  sim_at(s, (int64_t)sim_rand(s, 2), SIM_RING)->life = s->life;
  const char *sentence;
  struct bt_store *base = sim_store_base(s->store);
  if (base->ops->health(base, &sentence) == BT_STORE_FULL)
    sim_at(s, 1000, SIM_TURN)->life = s->life;
  else if (again)
    sim_at(s, 1, SIM_TURN)->life = s->life;
}

/* ---- life ---- */

static void close_all(struct sim *s) {
  if (s->executor)
    bt_executor_stop(s->executor);
  sim_watchers_stop(s);
  sim_store_close(s->store);
  bt_executor_free(&s->executor);
  s->c = NULL;
  bt_feed_free(&s->feed);
  for (size_t i = 0; i < s->events.len; i++) /* what was posted is freed by being run, unseen */
    if (s->events.items[i].kind == SIM_POST && s->events.items[i].life == s->life) {
      s->events.items[i].post(s->events.items[i].arg);
      s->events.items[i].life = -1;
    }
  bt_loop_free(&s->loop);
  s->life++;
  s->assigned = (bt_map_free(&s->assigned), bt_map_new(NULL));
}

static int open_all(struct sim *s, struct bt_err **err) {
  s->loop = sim_loop_new(s);
  if (sim_store_open(s->store, err) < 0)
    return -1;
  s->feed = bt_feed_new(200);
  struct bt_executor_options options = {
      .loop = s->loop,
      .store = sim_store_base(s->store),
      .feed = s->feed,
      .control = {.server_id = "simserver", .keep_revisions = 6, .keep_events = 200, .settings = s->settings},
      .send = send,
      .call = call,
      .routes = routes,
      .rebuilt = rebuilt,
      .arg = s,
      .mono_ms = sim_mono_ms,
      .wall_ms = sim_wall_ms,
  };
  return bt_executor_new(&options, &s->executor, err);
}

void sim_server_boot(struct sim *s) {
  BT_AUTO_ERR err = NULL;
  if (s->executor)
    return;
  if (open_all(s, &err) < 0 || s->dead) {
    if (!s->dead && sim_disk_errors() == 0)
      sim_bad(s, "the server does not start: %s", bt_err_message(err));
    sim_say(s, "THE SERVER DOES NOT START: %s", s->dead ? "it died" : bt_err_message(err));
    if (s->dead) {
      sim_server_bury(s);
      return;
    }
    close_all(s);
    sim_at(s, 1000, SIM_BOOT);
    return;
  }
  sim_store_booted(s->store);
  sim_say(s, "THE SERVER IS UP at revision %llu", (unsigned long long)bt_control_revision(bt_executor_control(s->executor)));
  s->c = bt_executor_control(s->executor);
  s->seen_steps = 0;
  s->well_ms = s->now_ms;
  for (struct ctl_insts it = ctl_insts(s->c); ctl_insts_next(&it);)
    if (it.inst->node)
      bt_map_set(s->assigned, it.inst->id, s);
  sim_purposes_forget(s);
  sim_watchers_start(s);
  bt_executor_start(s->executor);
  sim_check_acked(s);
  sim_kept(s);
  for (size_t i = 0; i < s->nnodes; i++)
    if (!s->nodes[i].dead)
      sim_at(s, 1 + (int64_t)sim_rand(s, 500), SIM_LINK)->node = &s->nodes[i];
}

static void unlink_all(struct sim *s, bool orderly) {
  for (size_t i = 0; i < s->nnodes; i++)
    sim_link_down(s, &s->nodes[i], !orderly && sim_chance(s, s->nnodes == 1 ? 70 : 20));
}

void sim_server_bury(struct sim *s) {
  close_all(s);
  sim_disk_back();
  s->dead = false;
  s->dies_in = 0;
  unlink_all(s, false);
  sim_at(s, (int64_t)sim_rand(s, 3000), SIM_BOOT);
}

void sim_server_stop(struct sim *s) {
  if (!s->executor)
    return;
  sim_say(s, "THE SERVER STOPS");
  close_all(s);
  if (s->dead) { /* it died while it stopped */
    sim_disk_back();
    s->dead = false;
    s->dies_in = 0;
  }
  unlink_all(s, true);
  sim_at(s, (int64_t)sim_rand(s, 3000), SIM_BOOT);
}
