#include "config.h"

#include "control/executor.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/plant.h"
#include "base/vec.h"

/* What goes to the feed once it is durable; value NULL: deleted, or to be read again. */
struct change_copy {
  const char *kind;
  char *key, *value;
  bool deleted;
};

/* One step's effects on their way: waiting for the disk, then for their turn. */
struct pending {
  struct bt_executor *ex;
  struct bt_effects effects;
  struct { struct change_copy *items; size_t len, cap; } changes;
  size_t changed;       /* how many objects */
  bool settled;         /* durable, refused, or nothing to commit */
  enum bt_code code;
  char *message;
  struct pending *next;
};

struct write {
  bt_write_done *done;
  void *arg;
};

/* How much control may do in one step: as much as takes about so long. */
enum { room_least = 250, room_most = 4000, step_short_us = 8000, step_long_us = 20000 };
/* Changes on their way to the disk from which on work that control does by itself waits, until there are half as many: they take memory. */
enum { ahead_most = 8192 };
/* Effects that are delivered before the loop gets its turn: some 10 ms. */
enum { turn_most = 4000 };

struct bt_executor {
  struct bt_executor_options o;
  struct bt_control *control;
  char *server_id;
  uint64_t next_request;
  int64_t epoch_ms; /* wall clock minus monotonic clock at the start: control's clock runs on from there, evenly */
  struct bt_map *writes; /* request id -> struct write */
  struct pending *head, **tail;
  size_t flying; /* changes of those that are pending */
  int room;
  bool tick_waits; /* for fewer of them */
  bool delivering;
  size_t delivered; /* effects, since its own last turn */
  bool broken;           /* a commit was refused: no step until the store takes changes again */
  bool ahead;            /* and control holds what was refused */
  bool freeing;
  struct bt_pen pen;
  struct bt_timer *tick, *turn, *forget;
};

static void deliver(struct bt_executor *ex);

/* ---------------------------------------------------------------- loading */

struct load {
  struct bt_executor *ex;
  struct bt_err *err;
  bool failed;
};

static void load_one(void *arg, const char *kind, const char *key, const char *value, size_t len) {
  struct load *load = arg;
  struct bt_executor *ex = load->ex;
  if (load->failed)
    return;
  if (bt_streq(kind, "server")) {
    if (bt_streq(key, "id") && !ex->server_id)
      ex->server_id = bt_strndup(value + (value[0] == '"'), strcspn(value + (value[0] == '"'), "\""));
    return;
  }
  if (ex->control && bt_control_load(ex->control, kind, key, value, len, &load->err) < 0)
    load->failed = true;
}

/* "server" sorts after most kinds, so the id is read in a pass of its own. */
static int load_control(struct bt_executor *ex, struct bt_err **err) {
  uint64_t revision = 0;
  struct load load = {.ex = ex};
  struct bt_store *store = ex->o.store;
  if (!ex->server_id && store->ops->load(store, load_one, &load, &revision, err) < 0)
    return -1;
  bool fresh = !ex->server_id;
  if (fresh) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    char id[13] = "";
    for (int i = 0; i < 12; i++)
      id[i] = letters[randombytes_uniform(32)];
    ex->server_id = bt_strdup(id);
  }
  struct bt_control_options options = ex->o.control;
  options.server_id = ex->server_id;
  options.skew_ms = ex->o.wall_ms() - ex->o.mono_ms() - ex->epoch_ms;
  ex->control = bt_control_new(&options);
  if (store->ops->load(store, load_one, &load, &revision, err) < 0)
    return -1;
  if (load.failed)
    return bt_err_move(err, load.err);
  if (fresh) {
    struct bt_batch batch = {0};
    bt_batch_put(&batch, "server", "id", bt_asprintf("\"%s\"", ex->server_id));
    store->ops->commit(store, ++revision, &batch, NULL, NULL);
    bt_batch_free(&batch);
  }
  bt_control_loaded(ex->control, revision);
  return 0;
}

/* ---------------------------------------------------------------- delivering */

static void pending_free(struct pending *p) {
  bt_effects_free(&p->effects);
  for (size_t i = 0; i < p->changes.len; i++) {
    free(p->changes.items[i].key);
    free(p->changes.items[i].value);
  }
  free(p->changes.items);
  free(p->message);
  free(p);
}

static void answer(struct bt_executor *ex, uint64_t request, enum bt_code code, const char *message, const json_t *result) {
  char key[24];
  snprintf(key, sizeof key, "%llu", (unsigned long long)request);
  struct write *w = bt_map_take(ex->writes, key);
  if (w && w->done)
    w->done(w->arg, code, message ? message : "", result);
  free(w);
}

static void tell_change(struct bt_feed *feed, uint64_t revision, const struct change_copy *change) {
  if (change->value || change->deleted)
    bt_feed_add(feed, revision, change->kind, change->key, change->value);
  else
    bt_feed_add_unread(feed, revision, change->kind, change->key);
}

static void deliver_one(struct bt_executor *ex, struct pending *p) {
  bool ok = p->code == BT_OK;
  for (size_t i = 0; ok && i < p->changes.len; i++)
    tell_change(ex->o.feed, p->effects.revision, &p->changes.items[i]);
  if (ok && p->effects.revision)
    bt_feed_pass(ex->o.feed, p->effects.revision);
  for (size_t i = 0; i < p->effects.replies.len; i++) {
    struct bt_reply *r = &p->effects.replies.items[i];
    if (ok)
      answer(ex, r->request, r->code, r->message, r->result);
    else if (!BT_PLANT(FORGET_TO_ANSWER))
      answer(ex, r->request, p->code, p->message, NULL);
  }
  if (ok && ex->o.routes && (p->effects.routes || p->effects.endpoints))
    ex->o.routes(ex->o.arg, p->effects.routes, p->effects.endpoints);
  for (size_t i = 0; ok && i < p->effects.sends.len; i++) {
    BT_AUTO_JSON message = bt_send_message(&p->effects.sends.items[i], &ex->pen);
    ex->o.send(ex->o.arg, p->effects.sends.items[i].node, message);
  }
  for (size_t i = 0; ok && i < p->effects.calls.len; i++)
    ex->o.call(ex->o.arg, p->effects.calls.items[i].id, p->effects.calls.items[i].kind, p->effects.calls.items[i].args);
}

static void pump_feed(struct bt_executor *ex) {
  if (bt_feed_pump(ex->o.feed, 200))
    bt_timer_set(ex->turn, 0);
}

static size_t effects_of(const struct pending *p) {
  return 1 + p->changes.len + p->effects.replies.len + p->effects.sends.len + p->effects.calls.len;
}

/* The store acknowledges many steps in one turn of the loop: what is delivered in it is counted over all of them. */
static void deliver(struct bt_executor *ex) {
  if (ex->delivering || ex->freeing)
    return;
  ex->delivering = true;
  while (ex->head && ex->head->settled && ex->delivered < turn_most) {
    struct pending *p = ex->head;
    ex->delivered += effects_of(p);
    ex->head = p->next;
    if (!ex->head)
      ex->tail = &ex->head;
    deliver_one(ex, p);
    ex->flying -= p->changed;
    pending_free(p);
  }
  ex->delivering = false;
  if (ex->tick_waits && ex->flying <= ahead_most / 2) {
    ex->tick_waits = false;
    bt_timer_set(ex->tick, 0);
  }
  if (ex->head && ex->head->settled)
    bt_timer_set(ex->turn, 0);
  pump_feed(ex);
}

static void on_turn(void *arg) {
  struct bt_executor *ex = arg;
  ex->delivered = 0;
  deliver(ex);
}

/* ---------------------------------------------------------------- steps */

static void refuse_pending(struct pending *p, enum bt_code code, const char *message) {
  p->code = code;
  bt_str_set(&p->message, message);
}

static void forget_refused(void *arg);

/* The steps that came after the refused one stand upon what it changed. Those with changes of their own are refused by the store;
 * the others (nothing to change any more, a dry run) must not be answered as if the change were there. */
static void commit_refused(struct pending *p, enum bt_code code, const char *message) {
  struct bt_executor *ex = p->ex;
  refuse_pending(p, code, message);
  for (struct pending *later = p->next; later; later = later->next)
    if (later->effects.revision == 0)
      refuse_pending(later, code, message);
  if (ex->broken)
    return;
  bt_error("state", "a change could not be made durable: %s", message);
  ex->broken = ex->ahead = true;
  bt_timer_set(ex->forget, 0);
}

static void committed(void *arg, enum bt_code code, const char *message) {
  struct pending *p = arg;
  p->settled = true;
  if (code != BT_OK)
    commit_refused(p, code, message);
  if (!p->ex->freeing)
    deliver(p->ex);
}

/* What no watcher may see, and the forgetting of old events, which is no news. */
static bool is_inner(const struct bt_change *change) {
  static const char *const inner[] = {"blob", "kv", "meta", "server"};
  for (size_t i = 0; i < BT_COUNT(inner); i++)
    if (strcmp(change->kind, inner[i]) == 0)
      return true;
  return !change->value && strcmp(change->kind, "event") == 0;
}

/* Of an instance the store has less than readers get. What so many follow that the feed keeps no text of it needs none. */
static char *text_to_tell(const struct pending *p, size_t i) {
  const struct bt_change *c = &p->effects.batch.items[i];
  if (!c->value || i + BT_FEED_FRESH < p->effects.batch.len)
    return NULL;
  return strcmp(c->kind, "instance") == 0 ? bt_control_stored(p->ex->control, c->kind, c->key) : bt_strdup(c->value);
}

static void copy_changes(struct pending *p) {
  for (size_t i = 0; i < p->effects.batch.len; i++) {
    const struct bt_change *c = &p->effects.batch.items[i];
    if (is_inner(c) || (BT_PLANT(FEED_KEEPS) && !c->value))
      continue;
    struct change_copy copy = {c->kind, bt_strdup(c->key), text_to_tell(p, i), !c->value};
    bt_vec_push(&p->changes, copy);
  }
}

static bool changes(const struct pending *p, const char *kind, const char *key) {
  for (size_t i = 0; i < p->changes.len; i++)
    if (strcmp(p->changes.items[i].key, key) == 0 && strcmp(p->changes.items[i].kind, kind) == 0)
      return true;
  return false;
}

/* The feed's source. The tables run ahead of the disk: what is not durable yet is not told. */
static enum bt_feed_said read_stored(void *arg, const char *kind, const char *key, char **text) {
  const struct bt_executor *ex = arg;
  if (ex->ahead)
    return BT_FEED_LATER;
  for (const struct pending *p = ex->head; p; p = p->next)
    if (changes(p, kind, key))
      return BT_FEED_LATER;
  *text = bt_control_stored(ex->control, kind, key);
  return *text ? BT_FEED_TEXT : BT_FEED_NONE;
}

static int64_t own_ms(const struct bt_executor *ex) { return ex->o.mono_ms() + ex->epoch_ms; }

static int64_t cpu_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Of steps that did all that they were given room for. With clocks of a test the room stays as it is: the same input, the same steps. */
static void fit_room(struct bt_executor *ex, size_t changes, int64_t took_us) {
  if (ex->o.mono_ms != bt_clock_mono_ms)
    return;
  if (took_us > step_long_us)
    ex->room = BT_MAX(room_least, ex->room / 2);
  else if (took_us < step_short_us && changes >= (size_t)ex->room)
    ex->room = BT_MIN(room_most, ex->room * 2);
}

/* A tick that is due at once comes in the loop's next turn. */
static void set_tick(struct bt_executor *ex, int64_t wake_ms, int64_t now_ms) {
  ex->tick_waits = ex->flying > ahead_most && wake_ms != INT64_MAX;
  if (wake_ms == INT64_MAX || ex->tick_waits)
    bt_timer_clear(ex->tick);
  else
    bt_timer_set(ex->tick, BT_MAX(wake_ms - now_ms, 0));
}

static void step(struct bt_executor *ex, struct bt_input *input) {
  struct pending *p = bt_new(struct pending);
  p->ex = ex;
  p->effects.wake_ms = INT64_MAX;
  int64_t now = input->now_ms = own_ms(ex);
  input->wall_ms = ex->o.wall_ms();
  input->room = ex->room;
  int64_t begun_us = cpu_us();
  bt_control_step(ex->control, input, &p->effects);
  fit_room(ex, p->effects.batch.len, cpu_us() - begun_us);
  ex->flying += p->changed = p->effects.batch.len;
  set_tick(ex, p->effects.wake_ms, now);
  *ex->tail = p;
  ex->tail = &p->next;
  bool waits = p->effects.batch.len > 0;
  if (waits) {
    copy_changes(p);
    ex->o.store->ops->commit(ex->o.store, p->effects.revision, &p->effects.batch, BT_PLANT(ACK_EARLY) ? NULL : committed, p);
  }
  if (!waits || BT_PLANT(ACK_EARLY)) {
    p->settled = true;
    bt_timer_set(ex->turn, 0);
  }
}

static void on_tick(void *arg) {
  struct bt_executor *ex = arg;
  if (ex->broken)
    return;
  struct bt_input input = {.kind = BT_IN_TICK};
  step(ex, &input);
}

void bt_executor_start(struct bt_executor *ex) {
  struct bt_input input = {.kind = BT_IN_START};
  step(ex, &input);
}

/* ---------------------------------------------------------------- inputs */

struct refusal {
  bt_write_done *done;
  void *arg;
  enum bt_code code;
  char *message;
};

static void refuse_now(void *arg) {
  struct refusal *r = arg;
  r->done(r->arg, r->code, r->message, NULL);
  free(r->message);
  free(r);
}

static bool refuse(struct bt_executor *ex, bt_write_done *done, void *done_arg) {
  const char *sentence = "";
  enum bt_store_health health = ex->o.store->ops->health(ex->o.store, &sentence);
  if (health == BT_STORE_OK && !ex->broken)
    return false;
  struct refusal *r = bt_new(struct refusal);
  *r = (struct refusal){done, done_arg, health == BT_STORE_FULL ? BT_NO_SPACE : BT_IO, NULL};
  r->message = bt_strdup(health == BT_STORE_OK ? "the state store is recovering: try again in a second" : sentence);
  bt_loop_post(ex->o.loop, "control: refuse", refuse_now, r);
  return true;
}

void bt_executor_write(struct bt_executor *ex, const char *op, json_t *args, const char *actor, bool dry_run,
                       bt_write_done *done, void *done_arg) {
  BT_AUTO_JSON owned = args;
  if (refuse(ex, done, done_arg))
    return;
  struct write *w = bt_new(struct write);
  *w = (struct write){done, done_arg};
  struct bt_request request = {.id = ++ex->next_request, .op = op, .args = owned, .actor = actor, .dry_run = dry_run};
  char key[24];
  snprintf(key, sizeof key, "%llu", (unsigned long long)request.id);
  bt_map_set(ex->writes, key, w);
  struct bt_input input = {.kind = BT_IN_REQUEST, .request = &request};
  step(ex, &input);
}

void bt_executor_node_message(struct bt_executor *ex, const char *node, json_t *message_steal) {
  BT_AUTO_JSON message = message_steal;
  if (ex->broken)
    return; /* the node says hello again when control is built anew */
  struct bt_input input = {.kind = BT_IN_NODE, .node = node, .message = message};
  step(ex, &input);
}

void bt_executor_node_down(struct bt_executor *ex, const char *node) {
  if (ex->broken)
    return;
  struct bt_input input = {.kind = BT_IN_NODE_DOWN, .node = node};
  step(ex, &input);
}

void bt_executor_call_done(struct bt_executor *ex, uint64_t id, enum bt_code code, const char *text, const json_t *result) {
  if (ex->broken)
    return; /* it is asked again */
  struct bt_input input = {.kind = BT_IN_CALL_DONE, .call = id, .code = code, .text = text, .result = result};
  step(ex, &input);
}

/* ---------------------------------------------------------------- recovery */

static bool is_under_way(const struct bt_executor *ex, const char *request) {
  char key[24];
  for (const struct pending *p = ex->head; p; p = p->next)
    for (size_t i = 0; i < p->effects.replies.len; i++) {
      snprintf(key, sizeof key, "%llu", (unsigned long long)p->effects.replies.items[i].request);
      if (strcmp(key, request) == 0)
        return true;
    }
  return false;
}

/* Requests that control was still thinking about when it was dropped: nobody else would answer them. */
static void answer_forgotten(struct bt_executor *ex) {
  for (struct bt_map_iter it = bt_map_iter(ex->writes); bt_map_next(&it);)
    if (!is_under_way(ex, it.key) && !BT_PLANT(FORGET_TO_ANSWER))
      answer(ex, strtoull(it.key, NULL, 10), BT_IO, "the state store refused changes meanwhile: try again", NULL);
}

/* Control as the disk has it, so that nobody reads what was refused. */
static void forget_refused(void *arg) {
  struct bt_executor *ex = arg;
  BT_AUTO_ERR err = NULL;
  if (!ex->ahead || ex->freeing)
    return;
  if (BT_PLANT(KEEP_REFUSED)) {
    ex->ahead = false;
    return;
  }
  struct bt_control *old = bt_steal(ex->control);
  if (load_control(ex, &err) < 0) {
    bt_error("state", "the state cannot be read again: %s; restart berthd", bt_err_message(err));
    bt_control_free(&ex->control);
    ex->control = old;
    return;
  }
  bt_control_carry(ex->control, old);
  bt_control_free(&old);
  ex->ahead = false;
  answer_forgotten(ex);
  bt_timer_set(ex->turn, 0); /* who reads the feed may wait for the tables */
}

static void resume(struct bt_executor *ex) {
  forget_refused(ex);
  if (ex->ahead)
    return;
  ex->broken = false;
  bt_warn("state", "the store takes changes again; what was not acknowledged is forgotten");
  bt_executor_start(ex);
  ex->o.rebuilt(ex->o.arg);
}

void bt_executor_health(struct bt_executor *ex, enum bt_store_health health) {
  if (health == BT_STORE_OK && ex->broken)
    resume(ex);
}

/* ---------------------------------------------------------------- life */

int bt_executor_new(const struct bt_executor_options *options, struct bt_executor **out, struct bt_err **err) {
  struct bt_executor *ex = bt_new(struct bt_executor);
  ex->o = *options;
  ex->o.mono_ms = options->mono_ms ? options->mono_ms : bt_clock_mono_ms;
  ex->o.wall_ms = options->wall_ms ? options->wall_ms : bt_clock_wall_ms;
  ex->epoch_ms = ex->o.wall_ms() - ex->o.mono_ms();
  ex->tail = &ex->head;
  ex->room = room_least;
  ex->writes = bt_map_new(free);
  ex->server_id = bt_strdup(options->control.server_id);
  ex->tick = bt_timer_new(options->loop, "control: tick", on_tick, ex);
  ex->turn = bt_timer_new(options->loop, "control: deliver", on_turn, ex);
  ex->forget = bt_timer_new(options->loop, "control: forget what was refused", forget_refused, ex);
  if (load_control(ex, err) < 0) {
    bt_executor_free(&ex);
    return -1;
  }
  ex->o.control.settings = NULL; /* borrowed until here; the next control takes them over from this one */
  bt_feed_read_from(ex->o.feed, read_stored, ex);
  bt_feed_start(ex->o.feed, bt_control_revision(ex->control));
  *out = ex;
  return 0;
}

void bt_executor_stop(struct bt_executor *ex) {
  ex->freeing = true;
  bt_timer_clear(ex->tick);
  bt_timer_clear(ex->turn);
  bt_timer_clear(ex->forget);
}

void bt_executor_free(struct bt_executor **pex) {
  struct bt_executor *ex = bt_steal(*pex);
  if (!ex)
    return;
  while (ex->head) {
    struct pending *p = ex->head;
    ex->head = p->next;
    pending_free(p);
  }
  for (struct bt_map_iter it = bt_map_iter(ex->writes); bt_map_next(&it);)
    answer(ex, strtoull(it.key, NULL, 10), BT_CANCELLED, "the server is going down", NULL);
  bt_map_free(&ex->writes);
  bt_pen_free(&ex->pen);
  bt_control_free(&ex->control);
  bt_timer_free(&ex->tick);
  bt_timer_free(&ex->turn);
  bt_timer_free(&ex->forget);
  free(ex->server_id);
  free(ex);
}

struct bt_control *bt_executor_control(struct bt_executor *ex) { return ex->control; }

const char *bt_executor_server_id(const struct bt_executor *ex) { return ex->server_id; }
