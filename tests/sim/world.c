#include "config.h"

#include <stdio.h>

#include "disk.h"
#include "sim.h"

#define LOG_BYTES 1000000

/* splitmix64 */
uint64_t sim_rand(struct sim *s, uint64_t n) {
  uint64_t z = (s->rng += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return (z ^ (z >> 31)) % n;
}

bool sim_chance(struct sim *s, unsigned percent) { return sim_rand(s, 100) < percent; }

/* FNV-1a, by words. */
void sim_trace(struct sim *s, const void *data, size_t len) {
  const char *p = data;
  for (uint64_t word; len >= sizeof word; p += sizeof word, len -= sizeof word) {
    memcpy(&word, p, sizeof word);
    s->hash = (s->hash ^ word) * 0x100000001B3u;
    s->hash ^= s->hash >> 29;
  }
  for (; len > 0; p++, len--)
    s->hash = (s->hash ^ (unsigned char)*p) * 0x100000001B3u;
}

void sim_trace_text(struct sim *s, const char *text) {
  if (text)
    sim_trace(s, text, strlen(text));
}

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
  struct sim_event event = {.at_ms = s->now_ms + in_ms, .seq = ++s->seq, .kind = kind};
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

/* ---- what happens ---- */

static void to_node(struct sim *s, const struct sim_event *event) {
  if (event->epoch == event->node->epoch)
    sim_node_message(s, event->node, event->message);
}

static void to_server(struct sim *s, struct sim_event *event) {
  if (event->epoch != event->node->epoch || !s->executor)
    return;
  event->node->known_up = true;
  bt_executor_node_message(s->executor, event->node->name, bt_steal(event->message));
}

static void box_event(struct sim *s, const struct sim_event *event) {
  struct sim_box *box = bt_map_get(event->node->boxes, event->box);
  if (box && box->epoch == event->epoch && !event->node->dead)
    sim_box_event(s, box);
}

/* What recurs as long as there is no calm. */
static void again(struct sim *s, enum sim_kind kind, int64_t within_ms, void (*fn)(struct sim *s)) {
  if (s->calm)
    return;
  fn(s);
  sim_at(s, (int64_t)sim_rand(s, (uint64_t)within_ms), kind);
}

static void happen(struct sim *s, struct sim_event *event) {
  switch (event->kind) {
  case SIM_TIMER:
    sim_loop_timer(s->loop, event->id);
    break;
  case SIM_POST:
    event->post(event->arg);
    break;
  case SIM_TURN:
    sim_server_turn(s);
    break;
  case SIM_RING:
    if (sim_loop_poll(s->loop))
      sim_at(s, 0, SIM_RING)->life = s->life;
    break;
  case SIM_TO_NODE:
    to_node(s, event);
    break;
  case SIM_TO_SERVER:
    to_server(s, event);
    break;
  case SIM_CALL:
    sim_calls(s, event);
    break;
  case SIM_CLIENT:
    again(s, SIM_CLIENT, 30000, sim_client);
    break;
  case SIM_BOX:
    box_event(s, event);
    break;
  case SIM_LIMITS: {
    struct sim_box *box = bt_map_get(event->node->boxes, event->box);
    if (box)
      sim_box_limits(s, box);
    break;
  }
  case SIM_LINK:
    sim_link_up(s, event->node);
    break;
  case SIM_SWEEP:
    if (event->epoch == event->node->epoch)
      sim_sweep(s, event->node);
    break;
  case SIM_DEMON:
    again(s, SIM_DEMON, 30000, sim_demon);
    break;
  case SIM_BOOT:
    sim_server_boot(s);
    break;
  case SIM_MEND:
    sim_mend(s);
    break;
  case SIM_WATCHER:
    again(s, SIM_WATCHER, 20000, sim_watcher_acts);
    break;
  }
}

/* Whatever the server did in this event: control may have been built anew, and it may have died. */
static void after(struct sim *s) {
  if (s->dead) {
    sim_server_bury(s);
    return;
  }
  if (!s->executor)
    return;
  s->c = bt_executor_control(s->executor);
  uint64_t steps = s->c->steps;
  if (steps == s->seen_steps)
    return;
  s->steps += steps > s->seen_steps ? steps - s->seen_steps : steps;
  s->seen_steps = steps;
  sim_check(s);
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
    if (event.life == 0 || event.life == s->life) {
      uint64_t what[] = {(uint64_t)s->now_ms, event.kind};
      sim_trace(s, what, sizeof what);
      happen(s, &event);
      after(s);
    }
    event_free(&event);
  }
  s->now_ms = BT_MAX(s->now_ms, at_ms);
  return !s->failed && s->events.len > 0;
}

/* ---- beginning and end ---- */

static void make_nodes(struct sim *s) {
  s->nnodes = sim_chance(s, 40) ? 1 : 2 + sim_rand(s, SIM_NODES - 1);
  for (size_t i = 0; i < s->nnodes; i++) {
    struct sim_node *n = &s->nodes[i];
    n->name[0] = 'n';
    n->name[1] = (char)('1' + (char)i);
    n->boxes = bt_map_new(sim_box_free);
    n->networks = bt_map_new(NULL);
    n->volumes = bt_map_new(NULL);
    n->cpus = s->nnodes == 1 ? 64 : (double)(8 + 4 * sim_rand(s, 6));
    n->memory = (int64_t)(n->cpus) << 30;
  }
}

static bool on_effect(void *arg) { return sim_effect(arg); }

void sim_start(struct sim *s, uint64_t seed, bool verbose, const char *dir) {
  *s = (struct sim){.seed = seed, .rng = seed * 0x2545F4914F6CDD1Du + 1, .verbose = verbose, .now_ms = 1700000000000, .started_ms = 1700000000000,
                    .life = 1, .hash = 0xCBF29CE484222325u};
  sim_loop_of(s);
  s->dir = bt_strdup(dir);
  sim_disk_new(&(struct sim_disk_options){.seed = seed, .effect = on_effect, .wall_ms = sim_wall_ms, .arg = s});
  s->acked = bt_map_new(free);
  s->kept = bt_map_new(free);
  s->assigned = bt_map_new(NULL);
  s->store = sim_store_new(s);
  make_nodes(s);
  sim_traits(s);
  s->promoted = bt_map_new(free);
  s->settings = sim_settings(s);
  sim_server_boot(s);
  sim_at(s, 20, SIM_CLIENT);
  sim_at(s, 30, SIM_CLIENT);
  sim_at(s, 5000, SIM_DEMON);
  sim_at(s, 1000, SIM_WATCHER);
}

void sim_end(struct sim *s) {
  s->dead = true; /* nobody looks any more */
  sim_server_stop(s);
  bt_vec_each(&s->events, event) event_free(event);
  bt_vec_free(&s->events);
  sim_watchers_free(s);
  sim_store_free(&s->store);
  sim_disk_free();
  for (size_t i = 0; i < s->nnodes; i++) {
    bt_map_free(&s->nodes[i].boxes);
    bt_map_free(&s->nodes[i].networks);
    bt_map_free(&s->nodes[i].volumes);
  }
  bt_vec_free(&s->open);
  bt_map_free(&s->acked);
  bt_map_free(&s->kept);
  bt_map_free(&s->assigned);
  bt_map_free(&s->stood);
  bt_map_free(&s->ways);
  bt_map_free(&s->promoted);
  json_decref(s->settings);
  free(s->dir);
  bt_buf_free(&s->log);
}
