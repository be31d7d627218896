/* What a plug-in asks of the server and gets one answer to: results of operations, the log, key-value, secrets, metrics, queries. */
#include "config.h"

#include "base/json.h"
#include "base/vec.h"
#include "plugin/helper/helper.h"

enum { answer_ms = 5000 };

/* ---------------------------------------------------------------- operations and the log: any thread */

/* How much of an op's emits the server has not taken yet. */
struct flow {
  berth_op op;
  size_t sent, waiting;
  bool asked; /* a question for "waiting" is on its way */
};

static struct {
  pthread_mutex_t lock;
  BT_VEC(struct flow) all;
} flows = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Under the lock. */
static struct flow *flow_of(berth_op op) {
  bt_vec_each(&flows.all, f) if (f->op == op) return f;
  return NULL;
}

static void flow_drop(berth_op op) {
  pthread_mutex_lock(&flows.lock);
  const struct flow *f = flow_of(op);
  if (f)
    bt_vec_remove(&flows.all, (size_t)(f - flows.all.items));
  pthread_mutex_unlock(&flows.lock);
}

void helper_ops_taken(berth_op op, size_t bytes, size_t waiting) {
  pthread_mutex_lock(&flows.lock);
  struct flow *f = flow_of(op);
  if (f) {
    f->sent -= BT_MIN(bytes, f->sent);
    f->waiting = waiting;
    f->asked = false;
  }
  pthread_mutex_unlock(&flows.lock);
}

static json_t *op_message(const char *type, berth_op op) {
  json_t *head = helper_message(type, 0);
  json_object_set_new(head, "op", json_integer((json_int_t)op));
  return head;
}

static void ops_finish(const struct berth_host *host, berth_op op, enum berth_code code, const char *message,
                       const char *result_json) {
  (void)host;
  flow_drop(op);
  json_t *head = op_message("finish", op);
  json_object_set_new(head, "code", json_string(bt_code_name(bt_plugin_code(code))));
  if (code != BERTH_OK)
    bt_json_set_str(head, "message", message);
  bool result = code == BERTH_OK && result_json;
  helper_send(head, result ? result_json : NULL, result ? strlen(result_json) : 0);
}

static size_t ops_emit(const struct berth_host *host, berth_op op, int channel, const void *data, size_t len) {
  (void)host;
  pthread_mutex_lock(&flows.lock);
  struct flow *f = flow_of(op);
  if (!f) {
    bt_vec_push(&flows.all, ((struct flow){.op = op}));
    f = &flows.all.items[flows.all.len - 1];
  }
  f->sent += len;
  size_t waiting = f->sent + f->waiting;
  bool send = len || (f->waiting && !f->asked);
  f->asked |= !len;
  pthread_mutex_unlock(&flows.lock);
  if (send) {
    json_t *head = op_message("emit", op);
    json_object_set_new(head, "channel", json_integer(channel));
    helper_send(head, data, len);
  }
  return waiting;
}

const struct berth_host_ops helper_ops = {.size = sizeof helper_ops, .finish = ops_finish, .emit = ops_emit};

static void log_log(const struct berth_host *host, enum berth_log_level level, const char *text) {
  static const char *const levels[] = {"debug", "info", "warn", "error"};
  (void)host;
  json_t *head = helper_message("log", 0);
  bt_json_set_str(head, "level", (unsigned)level < BT_COUNT(levels) ? levels[level] : "error");
  bt_json_set_str(head, "text", text ? text : "");
  helper_send(head, NULL, 0);
}

const struct berth_host_log helper_log = {.size = sizeof helper_log, .log = log_log};

/* ---------------------------------------------------------------- questions with one answer */

/* One of the four callbacks is set, or none where nobody wants to know. */
struct question {
  struct bt_resource base;
  void (*put)(void *arg, enum berth_code code, const char *message);
  void (*secret)(void *arg, enum berth_code code, const char *message, const void *value, size_t len);
  void (*query)(void *arg, enum berth_code code, const char *message, const char *json);
  void (*sample)(void *arg, const struct berth_metric_sample *sample);
  void (*collected)(void *arg, enum berth_code code, const char *message);
  void *arg;
};

static void answer(const struct question *q, enum berth_code code, const char *message, const char *bytes, size_t len) {
  if (q->put)
    q->put(q->arg, code, message);
  if (q->secret)
    q->secret(q->arg, code, message, bytes, len);
  if (q->collected)
    q->collected(q->arg, code, message);
  if (q->query) {
    BT_AUTO_FREE char *text = bt_strndup(bytes ? bytes : "", len);
    q->query(q->arg, code, message, text);
  }
}

static void question_detach(struct bt_resource *resource, struct bt_plugin *entry) {
  struct question *q = (struct question *)resource;
  if (entry->self)
    answer(q, BERTH_CANCELLED, "the plug-in is stopping", NULL, 0);
  free(q);
}

static const struct bt_resource_kind question_kind = {.name = "question", .detach = question_detach};

static struct question *question_new(const struct berth_host *host, const char *what, void *arg) {
  struct bt_plugin *entry = bt_host_entry(host, what);
  if (!entry)
    return NULL;
  struct question *q = bt_new(struct question);
  q->arg = arg;
  bt_resource_add(entry, &q->base, &question_kind);
  return q;
}

static void on_reply(const struct bt_message *m) {
  struct bt_resource *resource = bt_resource_get(&helper.entry, (berth_handle)bt_json_int(m->head, "id", 0), &question_kind);
  if (!resource)
    return;
  bt_resource_del(resource);
  answer((struct question *)resource, helper_code(m->head), bt_json_str_or(m->head, "message", ""), m->bytes, m->len);
  free(resource);
}

/* ---------------------------------------------------------------- key-value, secrets, queries */

static void kv_put(const struct berth_host *host, const char *key, const void *value, size_t len,
                   void (*done)(void *arg, enum berth_code code, const char *message), void *arg) {
  struct question *q = question_new(host, "kv.put", arg);
  if (!q)
    return;
  q->put = done;
  json_t *head = helper_message("kv.put", q->base.id);
  bt_json_set_str(head, "key", key ? key : "");
  bt_json_set_bool(head, "delete", value == NULL);
  helper_send(head, value, value ? len : 0);
}

/* Plug-ins get the pairs before scan returns, so this waits for them; the server answers at once. */
static void kv_scan(const struct berth_host *host, const char *prefix,
                    bool (*found)(void *arg, const char *key, const void *value, size_t len), void *arg) {
  struct question *q = found ? question_new(host, "kv.scan", arg) : NULL;
  if (!q)
    return;
  json_t *head = helper_message("kv.scan", q->base.id);
  bt_json_set_str(head, "prefix", prefix ? prefix : "");
  helper_send(head, NULL, 0);
  struct bt_message m;
  bool came = bt_link_await(helper.link, "reply", (int64_t)q->base.id, answer_ms, &m);
  bt_resource_del(&q->base);
  free(q);
  if (!came)
    return;
  BT_AUTO_JSON reply = m.head;
  BT_AUTO_FREE char *bytes = m.len ? bt_memdup(m.bytes, m.len) : NULL; /* found may ask for more */
  const json_t *keys = bt_json_arr(reply, "keys"), *sizes = bt_json_arr(reply, "sizes");
  size_t at = 0, total = m.len;
  for (size_t i = 0; i < json_array_size(keys); i++) {
    size_t len = (size_t)json_integer_value(json_array_get(sizes, i));
    const char *key = json_string_value(json_array_get(keys, i));
    if (!key || len > total - at)
      return;
    BT_AUTO_FREE char *value = bt_strndup(bytes ? bytes + at : "", 0);
    value = bt_realloc(value, len + 1, 1);
    if (len)
      memcpy(value, bytes + at, len);
    value[len] = '\0';
    at += len;
    if (!found(arg, key, value, len))
      return;
  }
}

const struct berth_host_kv helper_kv = {.size = sizeof helper_kv, .put = kv_put, .scan = kv_scan};

static void secret_get(const struct berth_host *host, const char *name,
                       void (*done)(void *arg, enum berth_code code, const char *message, const void *value, size_t len),
                       void *arg) {
  struct question *q = done ? question_new(host, "secret.get", arg) : NULL;
  if (!q)
    return;
  q->secret = done;
  json_t *head = helper_message("secret.get", q->base.id);
  bt_json_set_str(head, "name", name ? name : "");
  helper_send(head, NULL, 0);
}

const struct berth_host_secret helper_secret = {.size = sizeof helper_secret, .get = secret_get};

static void query_get(const struct berth_host *host, const char *path,
                      void (*done)(void *arg, enum berth_code code, const char *message, const char *json), void *arg) {
  struct question *q = done ? question_new(host, "query.get", arg) : NULL;
  if (!q)
    return;
  q->query = done;
  json_t *head = helper_message("query.get", q->base.id);
  bt_json_set_str(head, "path", path ? path : "");
  helper_send(head, NULL, 0);
}

const struct berth_host_query helper_query = {.size = sizeof helper_query, .get = query_get};

/* ---------------------------------------------------------------- metrics */

static void metrics_set(const struct berth_host *host, const struct berth_metric_sample *given) {
  struct berth_metric_sample s;
  BT_TAKE(s, given);
  if (!bt_host_entry(host, "metrics.set"))
    return;
  json_t *head = helper_message("metrics.set", 0), *labels = json_object();
  bt_json_set_str(head, "name", s.name ? s.name : "");
  bt_json_set_str(head, "help", s.help ? s.help : "");
  bt_json_set_str(head, "kind", s.kind == BERTH_COUNTER ? "counter" : "gauge");
  for (size_t i = 0; i < s.nlabels; i++)
    bt_json_set_str(labels, s.labels[i].name, s.labels[i].value);
  bt_json_set(head, "labels", labels);
  bt_json_set(head, "value", json_real(s.value));
  helper_send(head, NULL, 0);
}

static void metrics_collect(const struct berth_host *host, int64_t max_age_ms,
                            void (*sample)(void *arg, const struct berth_metric_sample *sample),
                            void (*done)(void *arg, enum berth_code code, const char *message), void *arg) {
  struct question *q = sample && done ? question_new(host, "metrics.collect", arg) : NULL;
  if (!q)
    return;
  q->sample = sample;
  q->collected = done;
  json_t *head = helper_message("metrics.collect", q->base.id);
  bt_json_set_int(head, "max_age_ms", max_age_ms);
  helper_send(head, NULL, 0);
}

const struct berth_host_metrics helper_metrics = {.size = sizeof helper_metrics, .set = metrics_set, .collect = metrics_collect};

static void give_sample(const struct question *q, const json_t *o) {
  struct berth_pair labels[64];
  json_t *given = bt_json_obj(o, "labels");
  struct berth_metric_sample s = {.size = sizeof s,
                                  .name = bt_json_str_or(o, "name", ""),
                                  .help = bt_json_str_or(o, "help", ""),
                                  .kind = bt_streq(bt_json_str(o, "kind"), "counter") ? BERTH_COUNTER : BERTH_GAUGE,
                                  .labels = labels,
                                  .value = bt_json_num(o, "value", 0)};
  for (void *it = json_object_iter(given); it && s.nlabels < BT_COUNT(labels); it = json_object_iter_next(given, it)) {
    const char *value = json_string_value(json_object_iter_value(it));
    labels[s.nlabels++] = (struct berth_pair){json_object_iter_key(it), value ? value : ""};
  }
  q->sample(q->arg, &s);
}

static void on_samples(const struct bt_message *m) {
  struct bt_resource *resource = bt_resource_get(&helper.entry, (berth_handle)bt_json_int(m->head, "id", 0), &question_kind);
  const struct question *q = (const struct question *)resource;
  size_t i;
  json_t *o;
  if (q && q->sample)
    json_array_foreach(bt_json_arr(m->head, "samples"), i, o) give_sample(q, o);
}

bool helper_asks_message(const struct bt_message *m) {
  if (strcmp(m->type, "reply") == 0)
    on_reply(m);
  else if (strcmp(m->type, "samples") == 0)
    on_samples(m);
  else
    return false;
  return true;
}
