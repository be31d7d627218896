#include "config.h"

#include <stdio.h>

#include "plan/backoff.h"
#include "sim.h"

/* The node's side of messages.md, with containers that behave after their image's name: good, slow (ready late), crash (ends badly soon
 * after each start), bad (cannot be made), flaky (one start in three ends), task (ends well), taskfail (ends badly). */

void sim_box_free(void *arg) {
  struct sim_box *box = arg;
  json_decref(box->assignment);
  json_decref(box->made);
  json_decref(box->refused);
  free(box->id);
  free(box->slot);
  free(box->last_report);
  free(box);
}

static bool is(const struct sim_box *box, const char *kind) { return bt_starts(bt_json_str(box->assignment, "image"), kind); }

static const json_t *class_of(const struct sim_box *box) { return bt_json_obj(box->assignment, "class"); }

static void later(struct sim *s, struct sim_box *box, int64_t in_ms) {
  struct sim_event *event = sim_at(s, in_ms, SIM_BOX);
  event->epoch = ++box->epoch;
  event->node = box->node;
  event->box = bt_strdup(box->id);
}

int64_t sim_node_wall(const struct sim *s, const struct sim_node *n) { return s->now_ms + n->skew_ms; }

static int64_t wall(const struct sim *s, const struct sim_box *box) { return sim_node_wall(s, box->node); }

static json_t *report(const struct sim_box *box) {
  json_t *m = json_object();
  bt_json_set_str(m, "type", "report");
  bt_json_set_str(m, "instance", box->id);
  bt_json_set_str(m, "state", bt_state_name(box->state));
  bt_json_set_bool(m, "ready", box->ready);
  if (box->exists) {
    BT_AUTO_FREE char *container = bt_asprintf("c-%s", box->id);
    bt_json_set_str(m, "container_id", container);
  }
  bt_json_set_int(m, "exit_code", box->exit_code);
  bt_json_set_int(m, "restarts", box->restarts);
  bt_json_set_int(m, "failures", box->failures);
  bt_json_set_int(m, "next_start_ms", box->running ? 0 : box->next_start_ms);
  bt_json_set_int(m, "started_ms", box->started_ms);
  bt_json_set_int(m, "finished_ms", box->finished_ms);
  if (box->finished)
    bt_json_set_bool(m, "final", true);
  sim_limits_report(box, m);
  return m;
}

static void tell(struct sim *s, struct sim_box *box) {
  json_t *m = report(box);
  char *text = bt_json_text(m);
  if (!box->known || bt_streq(text, box->last_report)) {
    free(text);
    json_decref(m);
    return;
  }
  free(box->last_report);
  box->last_report = text;
  sim_say(s, "  node: %s is %s%s", box->id, bt_state_name(box->state), box->ready ? ", ready" : "");
  sim_node_says(s, box->node, m);
}

static void removed(struct sim *s, struct sim_box *box) {
  bool known = box->known;
  json_t *m = json_object();
  bt_json_set_str(m, "type", "report");
  bt_json_set_str(m, "instance", box->id);
  bt_json_set_str(m, "state", "removed");
  sim_say(s, "  node: %s is gone", box->id);
  BT_AUTO_FREE char *id = bt_strdup(box->id);
  struct sim_node *n = box->node;
  bt_map_del(n->boxes, id);
  if (known)
    sim_node_says(s, n, m);
  else
    json_decref(m);
}

static void fail(struct sim *s, struct sim_box *box, int exit_code, bool may_retry) {
  const json_t *restart = bt_json_obj(class_of(box), "restart");
  bool was_made = box->running;
  box->epoch++; /* whatever was to happen next to it does not */
  box->running = box->ready = false;
  box->exit_code = exit_code;
  box->finished_ms = wall(s, box);
  if (box->ready_ms > 0 && wall(s, box) - box->ready_ms >= BT_BACKOFF_WELL_MS)
    box->failures = 0;
  box->ready_ms = 0;
  bool again = was_made ? bt_backoff_restarts(bt_json_str(restart, "condition"), exit_code == 0, box->failures, (int)bt_json_int(restart, "max_attempts", 0))
                        : may_retry;
  box->failures++;
  box->state = exit_code == 0 && was_made ? BT_ST_EXITED : BT_ST_FAILED;
  box->finished = !again;
  if (again) {
    int64_t delay_ms = bt_backoff_delay_ms(box->failures, bt_json_int(restart, "delay_ms", 0));
    box->next_start_ms = wall(s, box) + delay_ms;
    later(s, box, delay_ms + 1);
  }
  tell(s, box);
}

/* Whether two runs of the job may be at work beside each other. */
static bool may_overlap(const struct sim_box *newer, const struct sim_box *other) {
  const char *run = bt_json_str(bt_json_obj(newer->assignment, "environment"), "BERTH_JOB_RUN");
  const json_t *job = bt_json_obj(bt_json_obj(bt_json_obj(class_of(newer), "service"), "x-berth"), "job");
  return run && bt_json_str(job, "schedule") && bt_streq(bt_json_str_or(job, "concurrency", "allow"), "allow") &&
         !bt_streq(run, bt_json_str(bt_json_obj(other->assignment, "environment"), "BERTH_JOB_RUN"));
}

/* Who stays when a service is scaled down may get another slot: the tables tell. What the later one got after it had been told to start is as good
 * as before: it began beside the other. */
static bool same_slot(const struct sim *s, const struct sim_box *newer, const struct sim_box *other) {
  const struct ctl_inst *x = s->c ? ctl_inst_find(s->c, newer->id) : NULL, *y = s->c ? ctl_inst_find(s->c, other->id) : NULL;
  return bt_streq(newer->slot, other->slot) && x && y && x->service == y->service && x->slot == y->slot &&
         x->slot == bt_json_int(newer->assignment, "slot", 0);
}

static bool shares_device(const struct sim_box *a, const struct sim_box *b) {
  size_t i, k, m, n;
  json_t *x, *y, *mine, *theirs;
  json_array_foreach(bt_json_arr(a->assignment, "devices"), i, x) json_array_foreach(bt_json_arr(x, "device_ids"), k, mine)
      json_array_foreach(bt_json_arr(b->assignment, "devices"), m, y) json_array_foreach(bt_json_arr(y, "device_ids"), n, theirs) if (json_equal(mine, theirs)) return true;
  return false;
}

/* What control must never bring about: two running containers in a slot that is updated stop-first, on one port, or with one device. */
static void check_start(struct sim *s, const struct sim_box *box) {
  const json_t *ports = bt_json_arr(class_of(box), "ports");
  for (struct bt_map_iter it = bt_map_iter(box->node->boxes); bt_map_next(&it);) {
    const struct sim_box *other = it.value;
    if (other == box || !other->running)
      continue;
    const struct sim_box *newer = other->born > box->born ? other : box;
    const json_t *labels = bt_json_obj(class_of(newer), "labels");
    const struct sim_box *older = newer == box ? other : box;
    if (same_slot(s, newer, older) && bt_streq(bt_json_str(labels, "order"), "stop-first") && !may_overlap(newer, older))
      sim_bad(s, "%s starts while %s runs in its slot, stop-first", box->id, other->id);
    if (shares_device(box, other))
      sim_bad(s, "%s starts while %s has its device", box->id, other->id);
    if (json_array_size(ports) && json_array_size(bt_json_arr(class_of(other), "ports")) &&
        bt_json_int(json_array_get(ports, 0), "published", 0) ==
            bt_json_int(json_array_get(bt_json_arr(class_of(other), "ports"), 0), "published", 0))
      sim_bad(s, "%s starts while %s has its port", box->id, other->id);
  }
  const char *shares = bt_json_str(bt_json_obj(box->assignment, "co"), "network");
  const struct sim_box *with = shares ? bt_map_get(box->node->boxes, shares) : NULL;
  if (shares && box->starts == 0 && !(with && with->exists))
    sim_say(s, "  node: %s starts without %s, whose network it shares", box->id, shares);
  size_t i;
  json_t *network;
  json_array_foreach(bt_json_arr(box->assignment, "networks"), i, network) if (!bt_map_get(box->node->networks, bt_json_str_or(network, "name", "")))
      sim_bad(s, "%s starts without its network %s", box->id, bt_json_str(network, "name"));
}

static void start(struct sim *s, struct sim_box *box) {
  check_start(s, box);
  if (box->starts++ > 0)
    box->restarts++;
  box->exists = box->running = true;
  box->finished = false;
  box->state = BT_ST_RUNNING;
  box->started_ms = wall(s, box);
  box->finished_ms = 0;
  box->next_start_ms = 0;
  box->exit_code = 0;
  box->ready = !is(box, "slow");
  box->ready_ms = box->ready ? wall(s, box) : 0;
  tell(s, box);
  if (!box->ready)
    later(s, box, 1000 + (int64_t)sim_rand(s, 15000));
  else if (is(box, "crash") || is(box, "task") || (is(box, "flaky") && sim_chance(s, 33)))
    later(s, box, 50 + (int64_t)sim_rand(s, 4000));
}

/* Its time has come: the next thing that happens to it. */
void sim_box_event(struct sim *s, struct sim_box *box) {
  if (box->gone) {
    removed(s, box);
  } else if (box->running && box->restart) {
    box->restart = box->running = false;
    box->state = BT_ST_STARTING;
    tell(s, box);
    later(s, box, 5 + (int64_t)sim_rand(s, 300));
  } else if (box->running && !box->ready) {
    box->ready = true;
    box->ready_ms = wall(s, box);
    tell(s, box);
  } else if (box->running) {
    fail(s, box, is(box, "task:") ? 0 : 1, false);
  } else if (!box->exists && is(box, "bad")) {
    fail(s, box, 0, true);
  } else if (!box->exists) {
    box->exists = true;
    sim_limits_made(box);
    box->state = BT_ST_STARTING;
    tell(s, box);
    later(s, box, 5 + (int64_t)sim_rand(s, 300));
  } else if (box->known) {
    start(s, box);
  }
}

void sim_box_limits(struct sim *s, struct sim_box *box) {
  if (sim_limits_change(s, box))
    tell(s, box);
}

void sim_box_kill(struct sim *s, struct sim_box *box) {
  if (!box->running || box->gone || box->restart)
    return;
  sim_say(s, "KILL %s", box->id);
  if (!box->known) { /* no agent sees it now; it will find a container that ended */
    box->running = box->ready = false;
    box->exit_code = 137;
    return;
  }
  fail(s, box, 137, false);
}

/* ---- messages ---- */

/* An instance is on one node for all its life. */
static void check_owner(struct sim *s, const struct sim_node *n, const char *id) {
  for (size_t i = 0; i < s->nnodes; i++)
    if (&s->nodes[i] != n && bt_map_get(s->nodes[i].boxes, id))
      sim_bad(s, "%s is given to %s, and %s has it", id, n->name, s->nodes[i].name);
}

static void take_assignment(struct sim *s, struct sim_node *n, const json_t *a) {
  const char *id = bt_json_str_or(a, "instance", "");
  struct sim_box *box = bt_map_get(n->boxes, id);
  check_owner(s, n, id);
  bool fresh = !box;
  if (fresh) {
    box = bt_new(struct sim_box);
    box->id = bt_strdup(id);
    box->node = n;
    box->born = ++s->seq;
    box->slot = bt_asprintf("%s/%s/%lld", bt_json_str(a, "app"), bt_json_str(a, "service"), bt_json_int(a, "slot", 0));
    bt_map_set(n->boxes, id, box);
  }
  BT_AUTO_FREE char *was = fresh ? NULL : bt_strdup(bt_json_str(class_of(box), "hash"));
  json_decref(box->assignment);
  box->assignment = json_deep_copy(a);
  bool adopted = !fresh && !box->known;
  box->known = true;
  if (fresh || adopted) {
    box->restarts = (int)bt_json_int(a, "restarts", 0);
    box->failures = (int)bt_json_int(a, "failures", 0);
    box->next_start_ms = bt_json_int(a, "next_start_ms", 0);
    box->finished = bt_json_bool(a, "ended", false);
  }
  if (!fresh && !sim_limits_assigned(s, box) && !bt_streq(was, bt_json_str(class_of(box), "hash")) && !adopted)
    free(bt_steal(box->last_report)), tell(s, box); /* the server waits for a word */
  if (fresh && !box->finished) {
    box->state = BT_ST_CREATING;
    later(s, box, 5 + (int64_t)sim_rand(s, 200));
  } else if (adopted && box->finished) {
    box->state = box->exit_code ? BT_ST_FAILED : BT_ST_EXITED;
  } else if (adopted && !box->running && box->starts > 0) {
    box->running = true; /* it is met as one that ended: counted now */
    fail(s, box, box->exit_code, false);
  } else if (adopted) {
    box->state = box->running ? BT_ST_RUNNING : BT_ST_CREATING;
    tell(s, box);
    later(s, box, 5 + (int64_t)sim_rand(s, 200));
    if (box->running && box->ready && !is(box, "crash") && !is(box, "task"))
      box->epoch++;
  }
}

static void release(struct sim *s, struct sim_node *n, const char *id) {
  struct sim_box *box = bt_map_get(n->boxes, id);
  if (!box || !box->known) {
    json_t *m = json_object();
    bt_json_set_str(m, "type", "report");
    bt_json_set_str(m, "instance", id);
    bt_json_set_str(m, "state", "removed");
    sim_node_says(s, n, m);
    return;
  }
  if (box->gone)
    return;
  box->gone = true;
  box->ready = false;
  box->state = BT_ST_STOPPING;
  tell(s, box);
  later(s, box, 5 + (int64_t)sim_rand(s, sim_chance(s, 10) ? 8000 : 300));
}

static void restart(struct sim *s, struct sim_node *n, const char *id) {
  struct sim_box *box = bt_map_get(n->boxes, id);
  if (!box || box->gone || !box->known || (box->finished && bt_json_bool(class_of(box), "job", false)))
    return;
  if (!box->running) {
    box->finished = false;
    box->next_start_ms = 0;
    later(s, box, 5);
    return;
  }
  box->restart = true;
  box->ready = false;
  box->state = BT_ST_STOPPING;
  tell(s, box);
  later(s, box, 5 + (int64_t)sim_rand(s, 500));
}

static bool network_used(const struct sim_node *n, const char *name) {
  for (struct bt_map_iter it = bt_map_iter(n->boxes); bt_map_next(&it);) {
    const struct sim_box *box = it.value;
    size_t i;
    json_t *network;
    json_array_foreach(bt_json_arr(box->assignment, "networks"), i, network) if (box->known && bt_streq(bt_json_str(network, "name"), name)) return true;
  }
  return false;
}

static void drop(struct sim *s, struct sim_node *n, const json_t *m, bool volume) {
  const char *name = bt_json_str_or(m, "name", "");
  if (!volume && network_used(n, name))
    sim_bad(s, "network %s is dropped while it is in use", name);
  bt_map_del(volume ? n->volumes : n->networks, name);
  json_t *answer = json_object();
  bt_json_set_str(answer, "type", "dropped");
  bt_json_set_str(answer, "kind", volume ? "volume" : "network");
  bt_json_set_str(answer, "name", name);
  if (!s->calm && sim_chance(s, 10)) {
    bt_json_set_str(answer, "error", "it is in use");
    bt_map_set(volume ? n->volumes : n->networks, name, s);
  }
  sim_node_says(s, n, answer);
}

static void make(struct sim *s, struct bt_map *things, json_t *list) {
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) bt_map_set(things, bt_json_str_or(item, "name", ""), s);
}

/* Containers that carry the server's label and are in nobody's list. */
void sim_sweep(struct sim *s, struct sim_node *n) {
  for (struct bt_map_iter it = bt_map_iter(n->boxes); bt_map_next(&it);) {
    struct sim_box *box = it.value;
    if (!box->known)
      removed(s, box);
  }
}

static void sync(struct sim *s, struct sim_node *n, const json_t *m) {
  make(s, n->networks, bt_json_arr(m, "networks"));
  make(s, n->volumes, bt_json_arr(m, "volumes"));
  BT_AUTO_JSON wanted = json_object();
  size_t i;
  json_t *a;
  json_array_foreach(bt_json_arr(m, "instances"), i, a) {
    json_object_set(wanted, bt_json_str(a, "instance"), a);
    take_assignment(s, n, a);
  }
  for (struct bt_map_iter it = bt_map_iter(n->boxes); bt_map_next(&it);) {
    struct sim_box *box = it.value;
    if (!json_object_get(wanted, box->id) && box->known)
      release(s, n, box->id);
  }
  /* Before anything is started anew, what nobody claims goes, as the real agent does. */
  sim_sweep(s, n);
}

void sim_node_message(struct sim *s, struct sim_node *n, const json_t *m) {
  const char *type = bt_json_str_or(m, "type", ""), *id = bt_json_str(m, "instance");
  sim_say(s, "-> %s: %s %s", n->name, type, id ? id : bt_json_str_or(bt_json_obj(m, "instance"), "instance", bt_json_str_or(m, "name", "")));
  sim_trace_text(s, type);
  sim_trace_text(s, id);
  if (bt_streq(type, "sync"))
    sync(s, n, m);
  else if (bt_streq(type, "assign"))
    take_assignment(s, n, bt_json_obj(m, "instance"));
  else if (bt_streq(type, "release"))
    release(s, n, id);
  else if (bt_streq(type, "restart"))
    restart(s, n, id);
  else if (bt_streq(type, "network") || bt_streq(type, "volume"))
    bt_map_set(bt_streq(type, "network") ? n->networks : n->volumes, bt_json_str_or(m, "name", ""), s);
  else if (bt_streq(type, "network_drop") || bt_streq(type, "volume_drop"))
    drop(s, n, m, bt_streq(type, "volume_drop"));
  else
    sim_bad(s, "%s gets a message \"%s\", which the simulator does not know", n->name, type);
}

/* ---- the connection ---- */

void sim_hello(struct sim *s, struct sim_node *n) {
  json_t *m = json_object(), *node = json_object(), *list = json_array(), *labels = json_object();
  bt_json_set_str(node, "name", n->name);
  bt_json_set(node, "cpus", json_real(n->cpus));
  bt_json_set_int(node, "memory", n->memory);
  bt_json_set_str(labels, "zone", (n - s->nodes) % 2 ? "b" : "a");
  bt_json_set(node, "labels", labels);
  if (n - s->nodes != 2) /* one has an engine that changes nothing of what runs */
    bt_json_set(node, "features", json_pack("[s]", "update"));
  if (sim_has(s, SIM_DEVICES))
    bt_json_set(node, "devices", sim_devices(n));
  bt_json_set_str(m, "type", "hello");
  bt_json_set(m, "node", node);
  for (struct bt_map_iter it = bt_map_iter(n->boxes); bt_map_next(&it);)
    if (((struct sim_box *)it.value)->known)
      json_array_append_new(list, report(it.value));
  bt_json_set(m, "instances", list);
  sim_say(s, "LINK UP %s: hello with %zu instances", n->name, json_array_size(list));
  sim_node_says(s, n, m);
}

void sim_link_up(struct sim *s, struct sim_node *n) {
  n->dead = false;
  if (n->linked || !s->executor)
    return;
  n->linked = true;
  n->epoch++;
  sim_hello(s, n);
}

/* The agent starts anew: what it has to find out is which of its containers are whose. */
static void forget(struct sim_node *n) {
  for (struct bt_map_iter it = bt_map_iter(n->boxes); bt_map_next(&it);) {
    struct sim_box *box = it.value;
    if (!box->exists) {
      bt_map_del(n->boxes, it.key);
      continue;
    }
    box->known = box->gone = box->restart = false;
    json_decref(bt_steal(box->refused));
    box->epoch++;
    free(bt_steal(box->last_report));
  }
}

void sim_link_down(struct sim *s, struct sim_node *n, bool agent_forgets) {
  bool was = n->linked;
  n->linked = n->known_up = false;
  n->epoch++;
  if (agent_forgets)
    forget(n);
  if (was && s->executor)
    bt_executor_node_down(s->executor, n->name);
}

void sim_machine_dies(struct sim *s, struct sim_node *n) {
  sim_link_down(s, n, true);
  n->dead = true;
  for (struct bt_map_iter it = bt_map_iter(n->boxes); bt_map_next(&it);) {
    struct sim_box *box = it.value;
    if (box->running)
      box->exit_code = 137;
    box->running = box->ready = false;
  }
}
