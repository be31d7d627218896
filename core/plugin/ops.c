#include "config.h"
#include "plugin/ops.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "loop/http_client.h"
#include "plugin/complain.h"
#include "plugin/internal.h"
#include "plugin/remote.h"
#include "plugin/results.h"

enum {
  default_deadline_ms = 60000,
  route_deadline_ms = 30000,
  grace_ms = 10000,                 /* from cancel() to the plug-in's finish */
  max_emit = 1024 * 1024,           /* a call */
  max_queued = 64 * 1024 * 1024,    /* of one op, from threads faster than the loop */
  turn_ms = 5                       /* of deliveries; others then get theirs */
};

struct bt_op {
  berth_op id;
  struct bt_plugin *entry;
  struct bt_plugin_call call;
  bt_route_done route_done; /* a route's reply where set */
  struct bt_timer *timer;   /* the deadline, then the grace */
  bool finished;  /* the plug-in's finish is in the inbox (inbox lock) */
  bool cancelled; /* the caller gave up; it is told in the next turn */
  bool answered;  /* the caller was told, or does not want to be */
  size_t queued;  /* bytes of emits in the inbox (inbox lock) */
  size_t waiting; /* bytes that wait on the caller's side, as last heard (inbox lock) */
  struct bt_op *next_spare;
};

enum message_kind { MESSAGE_EMIT, MESSAGE_FINISH, MESSAGE_REPLY, MESSAGE_GIVE_UP };

/* What threads hand to the loop. text: a finish's sentence; data: its result, an emit's bytes or a reply's body. */
struct bt_op_message {
  struct bt_op_message *next;
  berth_op op;
  enum message_kind kind;
  enum bt_code code;
  int number; /* channel or status */
  char *text;
  char *data;
  size_t len;
  struct berth_pair *headers; /* one block with their texts */
  size_t nheaders;
};

/* A post to the loop cannot be taken back: it carries this, which lives as long as the process. */
struct bt_ops_gate {
  struct bt_plugins *plugins; /* NULL once freed */
  struct bt_ops_gate *next;
};
static struct bt_ops_gate *gates;

/* ---------------------------------------------------------------- messages */

static void message_free(struct bt_op_message *m) {
  free(m->text);
  free(m->data);
  free(m->headers);
  free(m);
}

static void drain(void *arg);

/* Under the lock. */
static void inbox_put(struct bt_plugins *plugins, struct bt_op_message *m) {
  struct bt_ops *ops = &plugins->ops;
  m->next = NULL;
  *ops->last = m;
  ops->last = &m->next;
  if (!ops->posted) {
    ops->posted = true;
    bt_loop_post(plugins->loop, "plugin/results", drain, ops->gate);
  }
}

static struct bt_op_message *message_new(berth_op op, enum message_kind kind) {
  struct bt_op_message *m = bt_new(struct bt_op_message);
  m->op = op;
  m->kind = kind;
  return m;
}

/* ---------------------------------------------------------------- begin and end, on the loop */

static void op_timer(void *arg);

static struct bt_op *op_new(struct bt_plugin *entry) {
  struct bt_plugins *plugins = entry->plugins;
  struct bt_op *op = plugins->ops.spare;
  if (op) {
    plugins->ops.spare = op->next_spare;
    struct bt_timer *timer = op->timer;
    *op = (struct bt_op){.timer = timer};
  } else {
    op = bt_new(struct bt_op);
    op->timer = bt_timer_new(plugins->loop, "plugin/deadline", op_timer, op);
  }
  op->entry = entry;
  entry->calls++;
  entry->in_flight++;
  bt_inbox_lock();
  op->id = bt_slots_add(&plugins->ops.slots, op);
  bt_inbox_unlock();
  return op;
}

static void op_free(struct bt_op *op) {
  struct bt_plugins *plugins = op->entry->plugins;
  op->entry->in_flight--;
  bt_inbox_lock();
  bt_slots_del(&plugins->ops.slots, op->id);
  bt_inbox_unlock();
  bt_timer_clear(op->timer);
  op->next_spare = plugins->ops.spare;
  plugins->ops.spare = op;
}

static struct bt_op *op_get(struct bt_plugins *plugins, berth_op id) {
  bt_inbox_lock();
  struct bt_op *op = bt_slots_get(&plugins->ops.slots, id);
  bt_inbox_unlock();
  return op;
}

static void op_begin(struct bt_op *op, int64_t deadline_ms) {
  if (deadline_ms > 0)
    bt_timer_set(op->timer, deadline_ms);
}

static void count_error(struct bt_plugin *entry, const char *method, enum bt_code code, const char *message) {
  if (code == BT_OK || code == BT_CANCELLED)
    return;
  entry->errors++;
  free(entry->last_error);
  entry->last_error = bt_asprintf("%s: %s (%s)", method, message, bt_code_name(code));
}

/* Tells the caller, once. result is borrowed. */
static void answer(struct bt_op *op, enum bt_code code, const char *message, json_t *result) {
  if (op->answered)
    return;
  op->answered = true;
  struct bt_loop *loop = op->entry->plugins->loop;
  count_error(op->entry, op->call.method, code, message);
  bt_loop_enter(loop, op->call.method);
  if (op->route_done)
    op->route_done(op->call.arg, code, message, 0, NULL, 0, NULL, 0);
  else if (op->call.done)
    op->call.done(op->call.arg, code, message, result);
  bt_loop_leave(loop);
}

berth_op bt_plugin_begin(struct bt_plugin *entry, const struct bt_plugin_call *call) {
  struct bt_op *op = op_new(entry);
  op->call = *call;
  op_begin(op, call->deadline_ms ? call->deadline_ms : default_deadline_ms);
  return op->id;
}

berth_op bt_ops_begin_route(struct bt_plugin *entry, bt_route_done done, void *arg) {
  struct bt_op *op = op_new(entry);
  op->call = (struct bt_plugin_call){.method = "route", .arg = arg};
  op->route_done = done;
  op_begin(op, route_deadline_ms);
  return op->id;
}

struct berth_instance *bt_plugin_enter(struct bt_plugin *entry) {
  bt_loop_enter(entry->plugins->loop, entry->cell->label);
  return entry->self;
}

void bt_plugin_leave(struct bt_plugin *entry) { bt_loop_leave(entry->plugins->loop); }

static void tell_cancel(struct bt_op *op) {
  struct bt_plugin *entry = op->entry;
  if (!entry->self || op->route_done)
    return;
  berth_op id = op->id;
  if (entry->remote) {
    bt_remote_cancel(entry->remote, id);
    return;
  }
  entry->lib->plugin->cancel(bt_plugin_enter(entry), id);
  bt_plugin_leave(entry);
}

/* The deadline passed, or the grace after a cancel. */
static void op_timer(void *arg) {
  struct bt_op *op = arg;
  bt_inbox_lock();
  bool finished = op->finished;
  bt_inbox_unlock();
  if (finished)
    return; /* its message is on the way */
  if (op->answered) {
    bt_complain(&op->entry->cell->host, "%s was cancelled and not finished within %d s: finish every operation once",
                op->call.method, grace_ms / 1000);
    op_free(op);
    return;
  }
  bt_timer_set(op->timer, grace_ms);
  BT_AUTO_FREE char *message = bt_asprintf("plug-in %s did not finish %s in time", op->entry->cell->name, op->call.method);
  /* The caller may stop the whole registry from its callback: look the op up again. */
  struct bt_plugins *plugins = op->entry->plugins;
  berth_op id = op->id;
  answer(op, BT_DEADLINE, message, NULL);
  if (op_get(plugins, id))
    tell_cancel(op);
}

/* ---------------------------------------------------------------- the caller gives up */

/* From here on the plug-in owes a finish that nobody reads. */
static void release(struct bt_op *op) {
  op->cancelled = true;
  bt_timer_set(op->timer, grace_ms);
  bt_inbox_lock();
  bool finished = op->finished;
  bt_inbox_unlock();
  if (!finished)
    tell_cancel(op);
}

void bt_plugin_cancel(struct bt_plugin *entry, berth_op id) {
  struct bt_op *op = op_get(entry->plugins, id);
  if (!op || op->entry != entry || op->answered || op->cancelled)
    return;
  struct bt_op_message *m = message_new(id, MESSAGE_GIVE_UP);
  bt_inbox_lock();
  inbox_put(entry->plugins, m);
  bt_inbox_unlock();
  release(op);
}

void bt_plugin_abandon(struct bt_plugin *entry, berth_op id) {
  struct bt_op *op = op_get(entry->plugins, id);
  if (!op || op->entry != entry || op->answered)
    return;
  op->answered = true;
  if (!op->cancelled)
    release(op);
}

void bt_plugins_end_owned(struct bt_plugins *plugins, const void *owner) {
  for (uint32_t i = 0; i < plugins->ops.slots.len; i++) {
    bt_inbox_lock();
    struct bt_op *op = bt_slots_at(&plugins->ops.slots, i);
    bt_inbox_unlock();
    if (!op || op->call.owner != owner || op->answered)
      continue;
    berth_op id = op->id;
    answer(op, BT_CANCELLED, "its caller is going down", NULL);
    if (op_get(plugins, id) == op && !op->cancelled)
      release(op);
  }
}

/* ---------------------------------------------------------------- delivery */

static void deliver_emit(struct bt_plugins *plugins, struct bt_op *op, const struct bt_op_message *m) {
  size_t waiting = 0;
  if (!op->answered && !op->cancelled && op->call.emit) {
    bt_loop_enter(plugins->loop, op->call.method);
    waiting = op->call.emit(op->call.arg, m->number, m->data, m->len);
    bt_loop_leave(plugins->loop);
  }
  bt_inbox_lock();
  if (bt_slots_get(&plugins->ops.slots, m->op) == op) {
    op->queued -= m->len;
    op->waiting = waiting;
  }
  bt_inbox_unlock();
}

static void deliver_late(struct bt_op *op, const struct bt_op_message *m) {
  if (m->code != BT_CANCELLED && !op->entry->stopping)
    bt_complain(&op->entry->cell->host, "%s ended (%s) after its caller had given up; the result is dropped", op->call.method,
                bt_code_name(m->code));
}

static void answer_result(struct bt_op *op, json_t *result, const struct bt_err *err) {
  BT_AUTO_FREE char *why =
      result ? NULL : bt_asprintf("plug-in %s gave a broken result: %s", op->entry->cell->name, bt_err_message(err));
  answer(op, result ? BT_OK : BT_PLUGIN_CRASHED, result ? "" : why, result);
}

/* A worker has read the result, however the op did meanwhile. */
static void result_read(void *arg, unsigned long long id, json_t *result, const struct bt_err *err) {
  struct bt_plugins *plugins = ((struct bt_ops_gate *)arg)->plugins;
  struct bt_op *op = plugins ? op_get(plugins, id) : NULL;
  if (!op)
    return;
  if (op->cancelled)
    answer(op, BT_CANCELLED, "cancelled", NULL);
  else
    answer_result(op, result, err);
  if (op_get(plugins, id) == op)
    op_free(op);
}

/* False where the end comes later. */
static bool deliver_finish(struct bt_op *op, struct bt_op_message *m) {
  if (op->answered) {
    deliver_late(op, m);
  } else if (op->cancelled) {
    answer(op, BT_CANCELLED, "cancelled", NULL);
  } else if (m->code != BT_OK) {
    answer(op, m->code, m->text ? m->text : bt_code_name(m->code), NULL);
  } else if (m->len > BT_RESULT_AT_ONCE) {
    bt_result_read_later(op->entry->plugins->pool, bt_steal(m->data), m->len, result_read, op->entry->plugins->ops.gate, m->op);
    return false;
  } else {
    BT_AUTO_ERR err = NULL;
    BT_AUTO_JSON result = bt_result_read(m->data, m->len, &err);
    answer_result(op, result, err);
  }
  return true;
}

static void deliver_reply(struct bt_plugins *plugins, struct bt_op *op, const struct bt_op_message *m) {
  if (op->answered)
    return;
  op->answered = true;
  bt_loop_enter(plugins->loop, "plugin/reply");
  bool fine = bt_http_headers_ok((const struct bt_http_pair *)m->headers, m->nheaders); /* else it could write a second answer */
  op->route_done(op->call.arg, fine ? BT_OK : BT_INTERNAL, fine ? "" : "the plug-in's answer has a bad header", m->number, m->headers, m->nheaders, m->data, m->len);
  bt_loop_leave(plugins->loop);
}

static void deliver(struct bt_plugins *plugins, struct bt_op_message *m) {
  struct bt_op *op = op_get(plugins, m->op);
  if (!op)
    return; /* its entry was stopped since */
  switch (m->kind) {
  case MESSAGE_EMIT:
    deliver_emit(plugins, op, m);
    return;
  case MESSAGE_GIVE_UP:
    answer(op, BT_CANCELLED, "cancelled", NULL);
    return;
  case MESSAGE_REPLY:
    deliver_reply(plugins, op, m);
    break;
  case MESSAGE_FINISH:
    if (!deliver_finish(op, m))
      return;
    break;
  }
  /* A callback may have stopped the entry, and with it the op. */
  if (op_get(plugins, m->op) == op)
    op_free(op);
}

/* Back in front of what came meanwhile, for the next turn. */
static void put_back(struct bt_plugins *plugins, struct bt_op_message *first, struct bt_op_message **last) {
  struct bt_ops *ops = &plugins->ops;
  bt_inbox_lock();
  *last = ops->first;
  if (!ops->first)
    ops->last = last;
  ops->first = first;
  if (!ops->posted)
    bt_loop_post(plugins->loop, "plugin/results", drain, ops->gate);
  ops->posted = true;
  bt_inbox_unlock();
}

static void drain(void *arg) {
  const struct bt_ops_gate *gate = arg;
  struct bt_plugins *plugins = gate->plugins;
  if (!plugins)
    return;
  int64_t until = bt_clock_mono_ms() + turn_ms;
  bt_inbox_lock();
  struct bt_op_message *m = plugins->ops.first, **last = plugins->ops.last;
  plugins->ops.first = NULL;
  plugins->ops.last = &plugins->ops.first;
  plugins->ops.posted = false;
  bt_inbox_unlock();
  while (m && bt_clock_mono_ms() <= until) {
    struct bt_op_message *next = m->next;
    deliver(plugins, m);
    message_free(m);
    m = next;
  }
  if (m)
    put_back(plugins, m, last);
}

/* ---------------------------------------------------------------- from plug-ins, any thread */

/* Under the lock: the op if it is open and the host's own; else NULL with the reason to log. */
static struct bt_op *op_of(const struct berth_host *host, berth_op id, const char **why) {
  const struct bt_host_cell *cell = (const struct bt_host_cell *)host;
  *why = NULL;
  if (!cell->entry)
    return NULL; /* the server is going down */
  struct bt_op *op = bt_slots_get(&cell->entry->plugins->ops.slots, id);
  if (!op)
    *why = cell->entry->stopping || !cell->entry->self ? NULL : "an operation that has ended: late, or twice";
  else if (op->entry != cell->entry)
    *why = "an operation of another plug-in";
  else if (op->finished)
    *why = "an operation a second time";
  return op && !*why ? op : NULL;
}

static void complain(const struct berth_host *host, const char *verb, berth_op id, const char *why) {
  if (why)
    bt_complain(host, "%s %s (op %" PRIu64 "); dropped", verb, why, id);
}

/* Hands m over where the op is open, and closes it for further ones; else frees it. verb: NULL where the host itself ends it. */
static void put_or_drop(const struct berth_host *host, struct bt_op_message *m, const char *verb) {
  const char *why = NULL;
  bt_inbox_lock();
  struct bt_op *op = op_of(host, m->op, &why);
  if (op && verb && (m->kind == MESSAGE_REPLY) != (op->route_done != NULL)) {
    why = "with the wrong call: finish() ends methods, reply() ends requests";
    op = NULL;
  }
  berth_op id = m->op;
  if (op) {
    op->finished = true;
    inbox_put(op->entry->plugins, m);
  }
  bt_inbox_unlock();
  if (!op) {
    if (verb)
      complain(host, verb, id, why);
    message_free(m);
  }
}

void bt_ops_finish(const struct berth_host *host, berth_op id, enum bt_code code, const char *message, const char *result,
                   size_t len) {
  struct bt_op_message *m = message_new(id, MESSAGE_FINISH);
  m->code = code;
  if (code == BT_OK && result && len) {
    m->len = BT_MIN(len, (size_t)BT_RESULT_MAX + 1);
    m->data = bt_memdup(result, m->len); /* not as text: there may be a NUL in it */
  } else if (code != BT_OK && message) {
    m->text = bt_strndup(message, strnlen(message, 4096));
  }
  put_or_drop(host, m, "finished");
}

void bt_ops_end(struct bt_plugin *entry, berth_op op, enum bt_code code, const char *message) {
  struct bt_op_message *m = message_new(op, MESSAGE_FINISH);
  m->code = code;
  m->text = bt_strdup(message);
  put_or_drop(&entry->cell->host, m, NULL);
}

void bt_plugin_refuse(struct bt_plugin *entry, berth_op op, enum bt_code code, const char *message) {
  const char *name = entry->cell->name;
  if (entry->status == BT_PLUGIN_OK && !entry->stopping) {
    BT_AUTO_FREE char *lacks = bt_asprintf("plug-in %s: %s", name, message);
    bt_ops_end(entry, op, code, lacks);
    return;
  }
  const char *why = entry->status == BT_PLUGIN_REMOVED    ? "it was removed from the configuration"
                    : entry->stopping                     ? "it is being stopped"
                    : entry->status == BT_PLUGIN_STARTING ? "it is starting"
                                                          : bt_plugin_error(entry);
  BT_AUTO_FREE char *down = bt_asprintf("plug-in %s does not run: %s", name, why);
  bt_ops_end(entry, op, BT_UNAVAILABLE, down);
}

/* len 0 asks what waits. Only the loop's thread may ask the caller himself. */
static size_t ask_waiting(const struct berth_host *host, struct bt_op *op, berth_op id) {
  const struct bt_host_cell *cell = (const struct bt_host_cell *)host;
  size_t waiting = 0;
  if (pthread_equal(pthread_self(), cell->loop_thread) && op->call.emit && !op->answered && !op->cancelled)
    waiting = op->call.emit(op->call.arg, 0, NULL, 0);
  bt_inbox_lock();
  const char *why;
  if (op_of(host, id, &why) == op)
    waiting += op->queued;
  bt_inbox_unlock();
  return waiting;
}

size_t bt_ops_emit(const struct berth_host *host, berth_op id, int channel, const void *data, size_t len) {
  struct bt_op_message *m = NULL;
  if (len && len <= max_emit) {
    m = message_new(id, MESSAGE_EMIT);
    m->number = channel;
    m->data = bt_memdup(data, len);
    m->len = len;
  }
  const char *why = NULL;
  size_t waiting = 0;
  bt_inbox_lock();
  struct bt_op *op = op_of(host, id, &why);
  if (op && len > max_emit)
    why = "over 1 MiB at once";
  else if (op && op->queued + len > max_queued)
    why = "over 64 MiB faster than they can be read";
  if (op && !why && m) {
    op->queued += len;
    waiting = op->queued + op->waiting;
    inbox_put(op->entry->plugins, m);
    m = NULL;
  }
  bt_inbox_unlock();
  if (m)
    message_free(m);
  complain(host, "emitted", id, why);
  if (op && why) /* a stream with a hole would lie: end it */
    bt_ops_finish(host, id, BT_PLUGIN_CRASHED, "the plug-in emitted more at once than the contract allows", NULL, 0);
  return op && !why && !len ? ask_waiting(host, op, id) : waiting;
}

/* The headers and their texts in one block. */
static struct berth_pair *copy_headers(const struct berth_pair *headers, size_t n) {
  size_t size = n * sizeof *headers;
  for (size_t i = 0; i < n; i++)
    size += strlen(headers[i].name) + strlen(headers[i].value) + 2;
  struct berth_pair *copy = bt_calloc(1, size ? size : 1);
  char *text = (char *)(copy + n);
  for (size_t i = 0; i < n; i++) {
    copy[i].name = text;
    text = stpcpy(text, headers[i].name) + 1;
    copy[i].value = text;
    text = stpcpy(text, headers[i].value) + 1;
  }
  return copy;
}

void bt_ops_reply(const struct berth_host *host, berth_op op, int status, const struct berth_pair *headers, size_t nheaders,
                  const void *body, size_t len) {
  struct bt_op_message *m = message_new(op, MESSAGE_REPLY);
  m->number = status >= 200 && status <= 599 ? status : 500;
  m->headers = copy_headers(headers, nheaders);
  m->nheaders = nheaders;
  m->data = len ? bt_memdup(body, len) : NULL;
  m->len = len;
  put_or_drop(host, m, "replied to");
}

/* ---------------------------------------------------------------- life */

void bt_ops_init(struct bt_plugins *plugins) {
  struct bt_ops_gate *gate = bt_new(struct bt_ops_gate);
  gate->plugins = plugins;
  plugins->ops = (struct bt_ops){.gate = gate};
  plugins->ops.last = &plugins->ops.first;
  bt_inbox_lock();
  gate->next = gates;
  gates = gate;
  bt_inbox_unlock();
}

void bt_ops_end_all(struct bt_plugin *entry, enum bt_code code, const char *message) {
  struct bt_plugins *plugins = entry->plugins;
  for (uint32_t i = 0; i < plugins->ops.slots.len; i++) {
    bt_inbox_lock();
    struct bt_op *op = bt_slots_at(&plugins->ops.slots, i);
    bt_inbox_unlock();
    if (!op || op->entry != entry)
      continue;
    berth_op id = op->id;
    answer(op, op->cancelled ? BT_CANCELLED : code, message, NULL);
    if (op_get(plugins, id) == op)
      op_free(op);
  }
}

void bt_ops_free(struct bt_plugins *plugins) {
  struct bt_ops *ops = &plugins->ops;
  BT_ASSERT(ops->slots.used == 0);
  bt_inbox_lock();
  ops->gate->plugins = NULL;
  struct bt_op_message *m = ops->first;
  ops->first = NULL;
  bt_inbox_unlock();
  while (m) {
    struct bt_op_message *next = m->next;
    message_free(m);
    m = next;
  }
  while (ops->spare) {
    struct bt_op *op = ops->spare;
    ops->spare = op->next_spare;
    bt_timer_free(&op->timer);
    free(op);
  }
  bt_slots_free(&ops->slots);
}
