/* Calls of methods of a plug-in in another process. The callers find a table of functions as they do for any plug-in; the functions
 * here stand in it. A C function knows nothing but its arguments, so there is one per method: a pool of them per shape, each of
 * which knows its number, and the number's method is looked up. */
#include "config.h"

#include "base/json.h"
#include "base/map.h"
#include "loop/loop.h"
#include "plugin/marshal.h"
#include "plugin/remote.h"

enum { ask_ms = 10, max_asked = 1000, pool_size = 256, small_pool_size = 16 };

/* A method under its number. */
struct slot {
  const struct bt_interface *interface;
  const struct bt_method *method;
};

static struct slot points[pool_size]; /* REQUEST and TEXT */
static struct slot plains[pool_size];
static struct slot inputs[small_pool_size], resizes[small_pool_size], asks[small_pool_size];

static struct bt_remote *remote_of(struct berth_instance *self) { return (struct bt_remote *)self; }

/* ---------------------------------------------------------------- calls out */

static json_t *call_message(const char *type, const struct slot *slot, berth_op op) {
  json_t *head = bt_remote_message(type, 0);
  if (op)
    json_object_set_new(head, "op", json_integer((json_int_t)op));
  json_object_set_new(head, "interface", json_string(slot->interface->id));
  json_object_set_new(head, "method", json_string(slot->method->name));
  return head;
}

static void call_plain(struct berth_instance *self, const struct slot *slot, berth_op op) {
  bt_remote_send(remote_of(self), call_message("call", slot, op), NULL, 0);
}

static void call_point(struct berth_instance *self, const struct slot *slot, berth_op op, const void *given) {
  const void *bytes = NULL;
  size_t len = 0;
  struct bt_buf scratch = {0};
  json_t *head = call_message("call", slot, op), *args;
  if (slot->method->shape == BT_SHAPE_TEXT) {
    args = json_object();
    bt_json_set_str(args, slot->method->text, given);
  } else {
    args = bt_marshal_request(slot->method, given, &scratch, &bytes, &len);
  }
  json_object_set_new(head, "args", args);
  bt_remote_send(remote_of(self), head, bytes, len);
  if (scratch.data)
    bt_wipe(scratch.data, scratch.len); /* blobs are secrets as a rule */
  bt_buf_free(&scratch);
}

static struct bt_remote_input *input_of(struct bt_remote *r, berth_op op) {
  bt_vec_each(&r->inputs, i) if (i->op == op) return i;
  return NULL;
}

/* The bytes that wait are those that were not taken yet, and those that wait over there as last heard. */
static size_t call_input(struct berth_instance *self, const struct slot *slot, berth_op op, const void *data, size_t len) {
  struct bt_remote *r = remote_of(self);
  struct bt_remote_input *input = input_of(r, op);
  if (!input) {
    bt_vec_push(&r->inputs, ((struct bt_remote_input){.op = op}));
    input = &r->inputs.items[r->inputs.len - 1];
  }
  input->sent += len;
  bt_remote_send(r, call_message("speak", slot, op), data, len);
  return input->sent + input->waiting;
}

static void call_resize(struct berth_instance *self, const struct slot *slot, berth_op op, int32_t rows, int32_t cols) {
  json_t *head = call_message("speak", slot, op);
  bt_json_set_int(head, "rows", rows);
  bt_json_set_int(head, "cols", cols);
  bt_remote_send(remote_of(self), head, NULL, 0);
}

/* Answers from the configuration, so they are remembered until it changes. The first time this waits: 10 ms at most, and not at all for
 * who already owes an answer. */
static bool call_ask(struct berth_instance *self, const struct slot *slot, const char *text) {
  static char yes[] = "y", no[] = "n";
  struct bt_remote *r = remote_of(self);
  if (!r->asked)
    r->asked = bt_map_new(NULL);
  BT_AUTO_FREE char *key = bt_asprintf("%s %s", slot->method->name, text);
  const char *known = bt_map_get(r->asked, key);
  if (known || r->pinged || !r->link)
    return known == yes;
  json_t *head = call_message("ask", slot, 0), *args = json_object();
  int64_t id = ++r->last_id;
  bt_json_set_int(head, "id", id);
  bt_json_set_str(args, slot->method->text, text);
  bt_json_set(head, "args", args);
  bt_remote_send(r, head, NULL, 0);
  struct bt_message m;
  if (!bt_link_await(r->link, "done", id, ask_ms, &m))
    return false;
  bool answer = bt_json_bool(m.head, "yes", false);
  json_decref(m.head);
  if (bt_map_len(r->asked) < max_asked)
    bt_map_set(r->asked, key, answer ? yes : no);
  return answer;
}

void bt_remote_cancel(struct bt_remote *r, berth_op op) {
  json_t *head = bt_remote_message("cancel", 0);
  json_object_set_new(head, "op", json_integer((json_int_t)op));
  bt_remote_send(r, head, NULL, 0);
}

/* ---------------------------------------------------------------- the pools */

#define PLAIN(n) \
  static void plain_##n(struct berth_instance *self, berth_op op) { call_plain(self, &plains[n], op); }
#define POINT(n) \
  static void point_##n(struct berth_instance *self, berth_op op, const void *given) { call_point(self, &points[n], op, given); }
#define INPUT(n)                                                                                     \
  static size_t input_##n(struct berth_instance *self, berth_op op, const void *data, size_t len) { \
    return call_input(self, &inputs[n], op, data, len);                                             \
  }
#define RESIZE(n)                                                                                   \
  static void resize_##n(struct berth_instance *self, berth_op op, int32_t rows, int32_t cols) {   \
    call_resize(self, &resizes[n], op, rows, cols);                                                 \
  }
#define ASK(n) \
  static bool ask_##n(struct berth_instance *self, const char *text) { return call_ask(self, &asks[n], text); }

#define SIXTEEN(M, h) \
  M(h##0) M(h##1) M(h##2) M(h##3) M(h##4) M(h##5) M(h##6) M(h##7) M(h##8) M(h##9) M(h##a) M(h##b) M(h##c) M(h##d) M(h##e) M(h##f)
#define ALL(M)                                                                                                            \
  SIXTEEN(M, 0x0) SIXTEEN(M, 0x1) SIXTEEN(M, 0x2) SIXTEEN(M, 0x3) SIXTEEN(M, 0x4) SIXTEEN(M, 0x5) SIXTEEN(M, 0x6)         \
  SIXTEEN(M, 0x7) SIXTEEN(M, 0x8) SIXTEEN(M, 0x9) SIXTEEN(M, 0xa) SIXTEEN(M, 0xb) SIXTEEN(M, 0xc) SIXTEEN(M, 0xd)         \
  SIXTEEN(M, 0xe) SIXTEEN(M, 0xf)

ALL(PLAIN)
ALL(POINT)
SIXTEEN(INPUT, 0x0)
SIXTEEN(RESIZE, 0x0)
SIXTEEN(ASK, 0x0)

#define PLAIN_AT(n) plain_##n,
#define POINT_AT(n) point_##n,
#define INPUT_AT(n) input_##n,
#define RESIZE_AT(n) resize_##n,
#define ASK_AT(n) ask_##n,
static void (*const plain_fns[])(struct berth_instance *, berth_op) = {ALL(PLAIN_AT)};
static void (*const point_fns[])(struct berth_instance *, berth_op, const void *) = {ALL(POINT_AT)};
static size_t (*const input_fns[])(struct berth_instance *, berth_op, const void *, size_t) = {SIXTEEN(INPUT_AT, 0x0)};
static void (*const resize_fns[])(struct berth_instance *, berth_op, int32_t, int32_t) = {SIXTEEN(RESIZE_AT, 0x0)};
static bool (*const ask_fns[])(struct berth_instance *, const char *) = {SIXTEEN(ASK_AT, 0x0)};

/* The number of the method in its pool; it keeps it as long as the process lives. */
static size_t number_of(struct slot *pool, size_t size, const struct bt_interface *interface, const struct bt_method *method) {
  for (size_t i = 0; i < size; i++) {
    if (pool[i].method == method)
      return i;
    if (!pool[i].method) {
      pool[i] = (struct slot){interface, method};
      return i;
    }
  }
  BT_ASSERT(!"more methods than functions: make the pool larger");
  return 0;
}

static void put_function(char *at, const struct bt_interface *interface, const struct bt_method *m) {
  switch (m->shape) {
  case BT_SHAPE_PLAIN:
    memcpy(at, &plain_fns[number_of(plains, pool_size, interface, m)], sizeof plain_fns[0]);
    break;
  case BT_SHAPE_REQUEST:
  case BT_SHAPE_TEXT:
    memcpy(at, &point_fns[number_of(points, pool_size, interface, m)], sizeof point_fns[0]);
    break;
  case BT_SHAPE_INPUT:
    memcpy(at, &input_fns[number_of(inputs, small_pool_size, interface, m)], sizeof input_fns[0]);
    break;
  case BT_SHAPE_RESIZE:
    memcpy(at, &resize_fns[number_of(resizes, small_pool_size, interface, m)], sizeof resize_fns[0]);
    break;
  case BT_SHAPE_ASK:
    memcpy(at, &ask_fns[number_of(asks, small_pool_size, interface, m)], sizeof ask_fns[0]);
    break;
  }
}

void bt_remote_tables(struct bt_manifest *manifest) {
  for (const struct berth_interface *i = manifest->m.interfaces; i->id; i++) {
    const struct bt_interface *interface = bt_interface_of(i->id);
    for (const struct bt_method *m = interface ? interface->methods : NULL; m && m->name; m++)
      if (bt_method_in(m, i->methods))
        put_function((char *)(uintptr_t)i->methods + m->slot, interface, m);
  }
}

/* ---------------------------------------------------------------- what comes back */

static void on_finish(struct bt_remote *r, const struct bt_message *m, berth_op op) {
  enum bt_code code = bt_code_from_name(bt_json_str_or(m->head, "code", "ok"));
  const json_t *result = bt_json_obj(m->head, "result");
  BT_AUTO_FREE char *text = result && !m->len ? bt_json_text(result) : NULL;
  for (size_t i = 0; i < r->inputs.len; i++)
    if (r->inputs.items[i].op == op)
      bt_vec_remove(&r->inputs, i);
  r->services->finish(r->host, op, code, bt_json_str(m->head, "message"), text ? text : m->bytes,
                text ? strlen(text) : m->len);
}

static void on_emit(struct bt_remote *r, const struct bt_message *m, berth_op op) {
  size_t waiting = r->services->emit(r->host, op, (int)bt_json_int(m->head, "channel", 0), m->bytes, m->len);
  json_t *head = bt_remote_message("taken", 0);
  json_object_set_new(head, "op", json_integer((json_int_t)op));
  bt_json_set_int(head, "bytes", (long long)m->len);
  bt_json_set_int(head, "waiting", (long long)waiting);
  bt_remote_send(r, head, NULL, 0);
}

static void on_taken(struct bt_remote *r, const struct bt_message *m, berth_op op) {
  struct bt_remote_input *input = input_of(r, op);
  if (!input)
    return;
  input->sent -= BT_MIN((size_t)bt_json_int(m->head, "bytes", 0), input->sent);
  input->waiting = (size_t)BT_MAX(bt_json_int(m->head, "waiting", 0), 0);
}

static void on_respond(struct bt_remote *r, const struct bt_message *m, berth_op op) {
  size_t n = 0;
  BT_AUTO_FREE struct berth_pair *headers = bt_pairs_read(bt_json_arr(m->head, "headers"), &n);
  r->services->reply(r->host, op, (int)bt_json_int(m->head, "status", 500), headers, n, m->bytes, m->len);
}

bool bt_remote_call_message(struct bt_remote *r, const struct bt_message *m) {
  berth_op op = (berth_op)bt_json_int(m->head, "op", 0);
  if (strcmp(m->type, "finish") == 0)
    on_finish(r, m, op);
  else if (strcmp(m->type, "emit") == 0)
    on_emit(r, m, op);
  else if (strcmp(m->type, "taken") == 0)
    on_taken(r, m, op);
  else if (strcmp(m->type, "respond") == 0)
    on_respond(r, m, op);
  else
    return false;
  return true;
}
