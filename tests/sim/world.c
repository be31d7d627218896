#include "config.h"

#include <stdio.h>

#include "sim.h"

#define LOG_BYTES 60000

/* splitmix64 */
uint64_t sim_rand(struct sim *s, uint64_t n) {
  uint64_t z = (s->rng += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return (z ^ (z >> 31)) % n;
}

bool sim_chance(struct sim *s, unsigned percent) { return sim_rand(s, 100) < percent; }

void sim_say(struct sim *s, const char *fmt, ...) {
  if (!s->verbose)
    return;
  va_list ap;
  va_start(ap, fmt);
  bt_buf_addf(&s->log, "# %9.3f ", (double)(s->now_ms - s->started_ms) / 1000);
  bt_buf_vaddf(&s->log, fmt, ap);
  bt_buf_addc(&s->log, '\n');
  va_end(ap);
  if (s->log.len > 2 * LOG_BYTES)
    bt_buf_consume(&s->log, s->log.len - LOG_BYTES);
}

void sim_bad(struct sim *s, const char *fmt, ...) {
  if (s->failed)
    return;
  s->failed = true;
  va_list ap;
  va_start(ap, fmt);
  BT_AUTO_FREE char *text = bt_vasprintf(fmt, ap);
  va_end(ap);
  if (s->log.len)
    fwrite(s->log.data, 1, s->log.len, stdout);
  printf("# seed %llu at %.3f s, step %llu: %s\n", (unsigned long long)s->seed, (double)(s->now_ms - s->started_ms) / 1000,
         (unsigned long long)s->steps, text);
}

/* ---- the queue: a heap by time, then by order of making ---- */

static bool before(const struct sim_event *a, const struct sim_event *b) {
  return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->seq < b->seq;
}

static void swap(struct sim_event *a, struct sim_event *b) {
  struct sim_event t = *a;
  *a = *b;
  *b = t;
}

struct sim_event *sim_at(struct sim *s, int64_t in_ms, enum sim_kind kind) {
  struct sim_event event = {.at_ms = s->now_ms + in_ms, .seq = ++s->seq, .kind = kind, .epoch = s->epoch};
  bt_vec_push(&s->events, event);
  size_t i = s->events.len - 1;
  for (; i > 0 && before(&s->events.items[i], &s->events.items[(i - 1) / 2]); i = (i - 1) / 2)
    swap(&s->events.items[i], &s->events.items[(i - 1) / 2]);
  return &s->events.items[i];
}

static struct sim_event pop(struct sim *s) {
  struct sim_event first = s->events.items[0];
  s->events.items[0] = s->events.items[--s->events.len];
  for (size_t i = 0;;) {
    size_t least = i;
    for (size_t child = 2 * i + 1; child <= 2 * i + 2; child++)
      if (child < s->events.len && before(&s->events.items[child], &s->events.items[least]))
        least = child;
    if (least == i)
      return first;
    swap(&s->events.items[i], &s->events.items[least]);
    i = least;
  }
}

static void event_free(struct sim_event *event) {
  free(event->box);
  json_decref(event->message);
}

/* ---- control, its store and what comes of its steps ---- */

static void pending_free(struct sim_pending *p) {
  bt_effects_free(&p->fx);
  free(p);
}

static void store_batch(struct sim *s, const struct bt_effects *fx) {
  for (size_t i = 0; i < fx->batch.len; i++) {
    const struct bt_change *change = &fx->batch.items[i];
    BT_AUTO_FREE char *key = bt_asprintf("%s %s", change->kind, change->key);
    if (change->value)
      bt_map_set(s->store, key, bt_strdup(change->value));
    else
      bt_map_del(s->store, key);
  }
  if (fx->revision)
    s->durable = fx->revision;
}

static void deliver(struct sim *s, const struct bt_effects *fx) {
  for (size_t i = 0; i < fx->replies.len; i++)
    sim_reply(s, &fx->replies.items[i]);
  for (size_t i = 0; i < fx->sends.len; i++)
    if (s->linked)
      sim_at(s, 1, SIM_TO_NODE)->message = json_incref(fx->sends.items[i].message);
  for (size_t i = 0; i < fx->calls.len; i++) {
    const struct bt_call *call = &fx->calls.items[i];
    struct sim_event *event = sim_at(s, 1 + (int64_t)sim_rand(s, 2000), SIM_CALL);
    event->id = call->id;
    event->message = json_incref(call->args);
  }
}

static void durable(struct sim *s) {
  if (s->pending.len == 0)
    return;
  struct sim_pending *p = s->pending.items[0];
  bt_vec_remove(&s->pending, 0);
  store_batch(s, &p->fx);
  deliver(s, &p->fx);
  pending_free(p);
}

void sim_step(struct sim *s, struct bt_input in) {
  struct sim_pending *p = bt_new(struct sim_pending);
  in.now_ms = s->now_ms;
  s->steps++;
  bt_control_step(s->c, &in, &p->fx);
  for (size_t i = 0; i < p->fx.sends.len; i++)
    sim_check_send(s, p->fx.sends.items[i].message);
  for (size_t i = 0; s->verbose && i < p->fx.batch.len; i++)
    if (bt_streq(p->fx.batch.items[i].kind, "event")) {
      const char *said = strstr(p->fx.batch.items[i].value ? p->fx.batch.items[i].value : "", "\"message\"");
      if (said)
        sim_say(s, "EVENT %.120s", said);
    }
  sim_check(s);
  s->wake_ms = p->fx.wake_ms;
  if (s->wake_ms != INT64_MAX)
    sim_at(s, BT_MAX(s->wake_ms - s->now_ms, 1), SIM_TICK);
  bt_vec_push(&s->pending, p);
  sim_at(s, (int64_t)sim_rand(s, 4), SIM_DURABLE);
}

static void load(struct sim *s) {
  s->c = bt_control_new(&(struct bt_control_options){.server_id = "simserver", .keep_revisions = 6, .keep_events = 50});
  for (struct bt_map_iter it = bt_map_iter(s->store); bt_map_next(&it);) {
    const char *space = strchr(it.key, ' ');
    BT_AUTO_FREE char *kind = bt_strndup(it.key, (size_t)(space - it.key));
    BT_AUTO_ERR err = NULL;
    if (bt_control_load(s->c, kind, space + 1, it.value, strlen(it.value), &err))
      sim_bad(s, "load %s: %s", it.key, bt_err_message(err));
  }
  bt_control_loaded(s->c, s->durable);
  sim_step(s, (struct bt_input){.kind = BT_IN_START});
}

/* The server dies: some of what it had begun to write is on disk, the rest is not, and nobody was answered. */
static void crash(struct sim *s, bool agent_forgets) {
  size_t keep = sim_rand(s, s->pending.len + 1);
  sim_say(s, "CRASH: %zu of %zu pending steps are on disk%s", keep, s->pending.len, agent_forgets ? ", the agent starts anew" : "");
  s->crashes++;
  for (size_t i = 0; i < s->pending.len; i++) {
    if (i < keep)
      store_batch(s, &s->pending.items[i]->fx);
    pending_free(s->pending.items[i]);
  }
  s->pending.len = 0;
  for (size_t i = 0; i < s->events.len; i++) /* calls under way die with it */
    if (s->events.items[i].kind == SIM_CALL)
      s->events.items[i].id = 0;
  bt_control_free(&s->c);
  sim_link_down(s, agent_forgets);
  load(s);
  sim_check_acked(s);
  sim_at(s, 1 + (int64_t)sim_rand(s, 500), SIM_LINK);
}

/* ---- the demon ---- */

static struct sim_box *random_box(struct sim *s) {
  size_t n = bt_map_len(s->boxes), skip = n ? sim_rand(s, n) : 0;
  for (struct bt_map_iter it = bt_map_iter(s->boxes); bt_map_next(&it);)
    if (skip-- == 0)
      return it.value;
  return NULL;
}

static void demon(struct sim *s) {
  unsigned dice = (unsigned)sim_rand(s, 100);
  struct sim_box *box = dice < 40 ? random_box(s) : NULL;
  if (box) {
    sim_box_kill(s, box);
  } else if (dice < 60) {
    sim_say(s, "LINK DOWN");
    sim_link_down(s, sim_chance(s, 30));
    sim_step(s, (struct bt_input){.kind = BT_IN_NODE_DOWN, .node = "n1"});
    sim_at(s, (int64_t)sim_rand(s, 20000), SIM_LINK);
  } else if (dice < 90) {
    crash(s, sim_chance(s, 70));
  }
}

/* ---- what happens ---- */

static void call_done(struct sim *s, const struct sim_event *event) {
  if (!event->id)
    return;
  const char *image = bt_json_str_or(event->message, "image", "built");
  struct bt_input in = {.kind = BT_IN_CALL_DONE, .call = event->id};
  BT_AUTO_JSON result = json_object();
  if (bt_starts(image, "missing") || (!s->calm && sim_chance(s, 3))) {
    in.code = BT_UNAVAILABLE;
    in.text = "the registry is away";
  } else {
    BT_AUTO_FREE char *pinned = bt_asprintf("%s@sha256:%s", image, image);
    bt_json_set_str(result, "pinned", pinned);
    bt_json_set_str(result, "digest", image);
    bt_json_set_str(result, "source", "registry");
    in.result = result;
  }
  sim_step(s, in);
}

static void happen(struct sim *s, struct sim_event *event) {
  switch (event->kind) {
  case SIM_TICK:
    if (s->now_ms >= s->wake_ms)
      sim_step(s, (struct bt_input){.kind = BT_IN_TICK});
    break;
  case SIM_DURABLE:
    durable(s);
    break;
  case SIM_TO_NODE:
    if (event->epoch == s->epoch)
      sim_node_message(s, event->message);
    break;
  case SIM_TO_SERVER:
    if (event->epoch == s->epoch)
      sim_step(s, (struct bt_input){.kind = BT_IN_NODE, .node = "n1", .message = event->message});
    break;
  case SIM_CALL:
    call_done(s, event);
    break;
  case SIM_CLIENT:
    if (s->calm)
      break;
    sim_client(s);
    sim_at(s, (int64_t)sim_rand(s, 30000), SIM_CLIENT);
    break;
  case SIM_BOX: {
    struct sim_box *box = bt_map_get(s->boxes, event->box);
    if (box && box->epoch == event->epoch)
      sim_box_event(s, box);
    break;
  }
  case SIM_LINK:
    sim_link_up(s);
    break;
  case SIM_SWEEP:
    if (event->epoch == s->epoch)
      sim_sweep(s);
    break;
  case SIM_DEMON:
    if (s->calm)
      break;
    demon(s);
    sim_at(s, (int64_t)sim_rand(s, 40000), SIM_DEMON);
    break;
  }
}

bool sim_run_until(struct sim *s, int64_t at_ms) {
  while (!s->failed && s->events.len > 0 && s->events.items[0].at_ms <= at_ms) {
    struct sim_event event = pop(s);
    if (event.at_ms > s->now_ms) {
      s->now_ms = event.at_ms;
      s->idle_ticks = 0;
    } else if (++s->idle_ticks > 20000) {
      sim_bad(s, "time stands still: 20000 events at one moment");
    }
    happen(s, &event);
    event_free(&event);
  }
  s->now_ms = BT_MAX(s->now_ms, at_ms);
  return !s->failed && s->events.len > 0;
}

void sim_start(struct sim *s, uint64_t seed, bool verbose) {
  *s = (struct sim){.seed = seed, .rng = seed * 0x2545F4914F6CDD1Du + 1, .verbose = verbose, .now_ms = 1700000000000, .started_ms = 1700000000000};
  s->store = bt_map_new(free);
  s->boxes = bt_map_new(sim_box_free);
  s->networks = bt_map_new(NULL);
  s->volumes = bt_map_new(NULL);
  s->acked = bt_map_new(free);
  load(s);
  sim_at(s, 10, SIM_LINK);
  sim_at(s, 20, SIM_CLIENT);
  sim_at(s, 30, SIM_CLIENT);
  sim_at(s, 5000, SIM_DEMON);
}

void sim_end(struct sim *s) {
  bt_vec_each(&s->events, event) event_free(event);
  bt_vec_free(&s->events);
  bt_vec_each(&s->pending, p) pending_free(*p);
  bt_vec_free(&s->pending);
  bt_control_free(&s->c);
  bt_map_free(&s->boxes);
  struct bt_map **maps[] = {&s->store, &s->networks, &s->volumes, &s->acked};
  for (size_t i = 0; i < BT_COUNT(maps); i++)
    bt_map_free(maps[i]);
  bt_buf_free(&s->log);
}
