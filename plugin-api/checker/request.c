#include "config.h"
#include "request.h"
#include "wire.h"

#include <stdio.h>
#include <string.h>

enum { huge_text = 1 << 20, huge_on_wire = 200 * 1024 /* a message has room for 4 MiB */, huge_bytes = 4 << 20, deep = 20000 };

/* ---------------------------------------------------------------- values */

/* What a string of that name holds on a good day. */
static const struct {
  const char *name, *value;
} typical[] = {{"image", "127.0.0.1:9/team/web:1.2"},
               {"platform", "linux/amd64"},
               {"auth_json", "{\"username\":\"u\",\"password\":\"p\",\"server\":\"127.0.0.1:9\"}"},
               {"context", "/nonexistent/berth-check"},
               {"build_json", "{\"context\":\".\",\"dockerfile\":\"Dockerfile\"}"},
               {"tags_json", "[\"berth-check:1\"]"},
               {"labels_json", "{\"berth.app\":\"shop\"}"},
               {"spec_json", "{\"name\":\"berth-check\",\"image\":\"sha256:0000000000000000000000000000000000000000000000000000000000000000\","
                             "\"labels\":{\"a\":\"b\"},\"service\":{\"command\":[\"true\"]}}"},
               {"command_json", "[\"sh\",\"-c\",\"true\"]"},
               {"env_json", "{\"A\":\"b\"}"},
               {"paths_json", "[\"compose.yaml\"]"},
               {"signal", "SIGTERM"},
               {"label", "berth.server=check"},
               {"path", "/tmp"},
               {"severity", "info"},
               {"text", "Hello from the checker."},
               {"repository", "file:///nonexistent/berth-check.git"},
               {"branch", "main"},
               {"commit", "0123456789abcdef0123456789abcdef01234567"},
               {"ref", "refs/heads/main"},
               {"state", "success"},
               {"description", "It runs."},
               {"url", "https://127.0.0.1:9/"}};
/* Left out on a good day. */
static const char *const absent[] = {"tag", "signers", "channel", "user", "workdir"};

static const char *typical_text(const char *name, bool json) {
  for (size_t i = 0; i < BT_COUNT(absent); i++)
    if (strcmp(absent[i], name) == 0)
      return NULL;
  for (size_t i = 0; i < BT_COUNT(typical); i++)
    if (strcmp(typical[i].name, name) == 0)
      return typical[i].value;
  return json ? "{}" : "berth-check";
}

static const char *const hostile_texts[] = {NULL,
                                            "",
                                            "../../../../etc/passwd",
                                            "a\r\nX-Injected: 1\r\n\r\n",
                                            "%s%n%p%x%d",
                                            "\"; rm -rf /; $(id) `id` '",
                                            "\xef\xbf\xbd\xcc\x81\xe2\x80\xa8",
                                            "--upload-pack=/bin/false",
                                            "/",
                                            "\x01\x1b[2J\x7f",
                                            "http://[::1%25lo0]:99999/?a#b@c:d",
                                            "-",
                                            "sha256:",
                                            "\xf0\x9f\x9a\xa2\xe2\x80\xae"};
static const char *const hostile_json[] = {NULL,
                                           "",
                                           "{",
                                           "[]",
                                           "null",
                                           "7",
                                           "{\"name\":null,\"image\":7,\"labels\":[],\"service\":\"x\",\"networks\":{},\"mounts\":7,\"ports\":\"\"}",
                                           "[null,7,{},[]]",
                                           "{\"\":{\"\":{\"\":[]}}}",
                                           "{\"a\":1e999}",
                                           "\"text\"",
                                           "{\"name\":\"\",\"image\":\"\",\"service\":{\"command\":7,\"environment\":[],\"ports\":[{}]},"
                                           "\"networks\":[7],\"mounts\":[{}],\"ports\":[[]],\"labels\":{\"a\":7}}",
                                           "{\"name\":\"../x\",\"dockerfile\":\"../../../etc/passwd\",\"args\":7,\"driver_opts\":[]}",
                                           "\xe2\x80\xae"};
static const int64_t hostile_numbers[] = {-1, INT64_MIN, INT64_MAX, 0, 1, INT32_MIN, INT32_MAX, 1ll << 40};

/* What lives until the call returned. */
struct args {
  void *request;
  const char *text;
  BT_VEC(void *) owned;
};

static void args_free(struct args *a) {
  free(a->request);
  bt_vec_each(&a->owned, p) free(*p);
  bt_vec_free(&a->owned);
}

static char *filled(struct args *a, size_t n, char c) {
  char *text = bt_calloc(1, n + 1);
  memset(text, c, n);
  bt_vec_push(&a->owned, text);
  return text;
}

static size_t huge_len(void) { return check_wire() ? huge_on_wire : huge_text; }

/* Deep, or long: by turns. */
static const char *huge_json(struct args *a, int variant) {
  if (variant % 2)
    return filled(a, deep, '[');
  char *text = filled(a, huge_len(), 'x');
  memcpy(text, "{\"name\":\"", 9);
  memcpy(text + huge_len() - 2, "\"}", 2);
  return text;
}

static const char *text_for(struct args *a, const char *name, bool json, enum check_flavour flavour, int variant) {
  if (flavour == CHECK_HUGE_ARGS)
    return json ? huge_json(a, variant) : filled(a, huge_len(), 'A');
  if (flavour != CHECK_HOSTILE)
    return typical_text(name, json);
  _Static_assert(BT_COUNT(hostile_texts) == CHECK_HOSTILE_ROUNDS && BT_COUNT(hostile_json) == CHECK_HOSTILE_ROUNDS, "one a round");
  return (json ? hostile_json : hostile_texts)[variant % CHECK_HOSTILE_ROUNDS];
}

static int64_t number_for(enum check_flavour flavour, int variant) {
  if (flavour == CHECK_HOSTILE)
    return hostile_numbers[(size_t)variant % BT_COUNT(hostile_numbers)];
  return flavour == CHECK_HUGE_ARGS ? INT64_MAX : 0;
}

static void put_bytes(struct args *a, char *at, enum check_flavour flavour, int variant) {
  size_t len = flavour == CHECK_HUGE_ARGS ? huge_bytes : flavour == CHECK_HOSTILE ? (variant % 3 ? 700 : 0) : 1024;
  const void *data = len ? filled(a, len, flavour == CHECK_HOSTILE ? (char)variant : '\0') : NULL;
  memcpy(at, &data, sizeof data);
  memcpy(at + sizeof data, &len, sizeof len);
}

#define PUT(type, v)                  \
  do {                                \
    type put_ = (type)(v);            \
    memcpy(at, &put_, sizeof put_);   \
  } while (0)

static void put_arg(struct args *a, const struct bt_arg *arg, enum check_flavour flavour, int variant) {
  char *at = (char *)a->request + arg->offset;
  int64_t number = number_for(flavour, variant);
  switch (arg->kind) {
  case BT_ARG_STRING:
  case BT_ARG_JSON:
    PUT(const char *, text_for(a, arg->name, arg->kind == BT_ARG_JSON, flavour, variant));
    break;
  case BT_ARG_INT:
    PUT(int64_t, number);
    break;
  case BT_ARG_INT32:
    PUT(int32_t, number);
    break;
  case BT_ARG_BOOL:
    PUT(bool, variant % 2);
    break;
  case BT_ARG_DOUBLE:
    PUT(double, number);
    break;
  case BT_ARG_BYTES:
    put_bytes(a, at, flavour, variant);
    break;
  default: /* lists and what is appended to the tables later: absent */
    break;
  }
}

static void make(struct args *a, const struct bt_method *m, enum check_flavour flavour, int variant) {
  *a = (struct args){0};
  if (m->text)
    a->text = text_for(a, m->text, false, flavour, variant);
  if (m->shape != BT_SHAPE_REQUEST)
    return;
  size_t size = m->size;
  a->request = bt_calloc(1, size);
  for (const struct bt_arg *arg = m->args; arg->name; arg++)
    put_arg(a, arg, flavour, variant);
  memcpy(a->request, &size, sizeof size);
}

/* ---------------------------------------------------------------- the call */

typedef void plain_fn(struct berth_instance *self, berth_op op);
typedef void request_fn(struct berth_instance *self, berth_op op, const void *request);
typedef void text_fn(struct berth_instance *self, berth_op op, const char *text);
typedef size_t input_fn(struct berth_instance *self, berth_op op, const void *data, size_t len);
typedef void resize_fn(struct berth_instance *self, berth_op op, int32_t rows, int32_t cols);
typedef bool ask_fn(struct berth_instance *self, const char *text);

static void invoke(struct berth_instance *self, const struct check_method *m, berth_op op, const struct args *a, int variant) {
  union {
    plain_fn *plain;
    request_fn *request;
    text_fn *text;
    input_fn *input;
    resize_fn *resize;
    ask_fn *ask;
  } fn;
  memcpy(&fn, (const char *)m->table + m->method->slot, sizeof fn);
  switch (m->method->shape) {
  case BT_SHAPE_PLAIN:
    fn.plain(self, op);
    break;
  case BT_SHAPE_REQUEST:
    fn.request(self, op, a->request);
    break;
  case BT_SHAPE_TEXT:
    fn.text(self, op, a->text);
    break;
  case BT_SHAPE_INPUT:
    fn.input(self, op, variant % 2 ? NULL : "input\n", variant % 2 ? 0 : 6);
    break;
  case BT_SHAPE_RESIZE:
    fn.resize(self, op, (int32_t)number_for(CHECK_HOSTILE, variant), 80);
    break;
  case BT_SHAPE_ASK:
    fn.ask(self, a->text);
    break;
  }
}

struct check_op *check_call(struct check_bench *b, const struct check_method *m, enum check_flavour flavour, int variant,
                            const struct check_op *about) {
  __attribute__((cleanup(args_free))) struct args a;
  make(&a, m->method, flavour, variant);
  enum bt_shape shape = m->method->shape;
  bool has_op = shape == BT_SHAPE_PLAIN || shape == BT_SHAPE_REQUEST || shape == BT_SHAPE_TEXT;
  char *label = has_op ? bt_strdup(m->label) : NULL; /* operations live as long as the process */
  struct check_op *op = has_op ? check_op_new(b->host, label, m->method) : NULL;
  check_enter(m->label);
  invoke(b->host->self, m, op ? op->id : about ? about->id : 0, &a, variant);
  check_leave();
  return op;
}
