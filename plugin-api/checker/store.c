/* The host's services with the server behind them: key-value, secrets, metrics, queries; out of memory, as check_world says. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "host.h"
#include "report.h"

enum { max_key = 256, max_value = 64 * 1024, max_keys = 10000, max_labels = 16 };

/* ---------------------------------------------------------------- answers, now or in the next turn */

/* One that is owed. A wait is a handle, so that a stop ends it as the server does. */
struct wait {
  struct check_handle base;
  struct bt_timer *timer;
  void (*tell)(struct wait *wait, enum berth_code code);
  void (*done)(void);
  void *arg;
  enum berth_code code;
  char *text;
  int64_t max_age_ms;
  void (*sample)(void *arg, const struct berth_metric_sample *sample);
};

static void wait_end(struct wait *w, enum berth_code code) {
  check_handle_over(&w->base);
  w->tell(w, code);
  bt_timer_free(&w->timer);
  free(w->text);
  free(w);
}

static void wait_over(void *arg) { wait_end(arg, ((struct wait *)arg)->code); }

static void wait_detach(struct check_handle *handle) {
  struct wait *w = (struct wait *)handle;
  if (handle->host->self) {
    wait_end(w, BERTH_CANCELLED);
    return;
  }
  check_handle_over(handle);
  bt_timer_free(&w->timer);
  free(w->text);
  free(w);
}

static const char *message_of(enum berth_code code) { return code ? "the checker says so" : ""; }

/* Answers from inside or from the next turn. */
static void wait_start(struct check_host *host, struct wait *w) {
  check_handle_add(host, &w->base, CHECK_WAIT, wait_detach);
  if (!check_world.later) {
    wait_end(w, w->code);
    return;
  }
  w->timer = bt_timer_new(host->loop, "check", wait_over, w);
  bt_timer_set(w->timer, 0);
}

/* ---------------------------------------------------------------- key-value */

typedef void put_done(void *arg, enum berth_code code, const char *message);

static void put_tell(struct wait *w, enum berth_code code) {
  put_done *done = (put_done *)w->done;
  if (!done)
    return;
  check_enter("a kv.put's done()");
  done(w->arg, code, message_of(code));
  check_leave();
}

static enum berth_code put_now(const char *key, const void *value, size_t len) {
  size_t key_len = key ? strlen(key) : 0;
  if (!key_len || key_len > max_key || (value && len > max_value)) {
    check_note("kv.put was given a key of %zu or a value of %zu bytes; it refuses those [%s]", key_len, len, check_at());
    return BERTH_INVALID;
  }
  if (check_world.kv_code)
    return check_world.kv_code;
  if (!value) {
    bt_map_del(check_world.kv, key);
    return BERTH_OK;
  }
  if (bt_map_len(check_world.kv) >= max_keys && !bt_map_get(check_world.kv, key))
    return BERTH_EXHAUSTED;
  struct check_value *v = bt_calloc(1, sizeof *v + len + 1);
  v->len = len;
  memcpy(v->bytes, value, len);
  bt_map_set(check_world.kv, key, v);
  return BERTH_OK;
}

static void kv_put(const struct berth_host *given, const char *key, const void *value, size_t len,
                   void (*done)(void *arg, enum berth_code code, const char *message), void *arg) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "kv.put");
  if (!host)
    return;
  struct wait *w = bt_new(struct wait);
  check_world.puts++;
  w->tell = put_tell;
  w->done = (void (*)(void))done;
  w->arg = arg;
  w->code = put_now(key, value, len);
  wait_start(host, w);
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static void kv_scan(const struct berth_host *given, const char *prefix,
                    bool (*found)(void *arg, const char *key, const void *value, size_t len), void *arg) {
  CHECK_SERVICE;
  if (!check_host_for(given, "kv.scan") || !found)
    return;
  BT_AUTO_STRS keys = {0};
  for (struct bt_map_iter it = bt_map_iter(check_world.kv); bt_map_next(&it);)
    if (bt_starts(it.key, prefix ? prefix : ""))
      bt_strs_add(&keys, it.key);
  if (keys.len)
    qsort(keys.items, keys.len, sizeof *keys.items, by_text);
  bool more = true;
  for (size_t i = 0; more && i < keys.len; i++) {
    const struct check_value *v = bt_map_get(check_world.kv, keys.items[i]);
    if (!v)
      continue; /* deleted meanwhile */
    BT_AUTO_FREE char *copy = bt_memdup(v->bytes, v->len + 1);
    check_enter("a kv.scan's found()");
    more = found(arg, keys.items[i], copy, v->len);
    check_leave();
  }
}

const struct berth_host_kv check_service_kv = {.size = sizeof check_service_kv, .put = kv_put, .scan = kv_scan};

/* ---------------------------------------------------------------- secrets */

typedef void secret_done(void *arg, enum berth_code code, const char *message, const void *value, size_t len);

static void secret_tell(struct wait *w, enum berth_code code) {
  static const char value[] = "berth-check-secret";
  check_enter("a secret.get's done()");
  ((secret_done *)w->done)(w->arg, code, message_of(code), code ? NULL : value, code ? 0 : sizeof value - 1);
  check_leave();
}

static void secret_get(const struct berth_host *given, const char *name,
                       void (*done)(void *arg, enum berth_code code, const char *message, const void *value, size_t len), void *arg) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "secret.get");
  if (!host)
    return;
  if (!name || !done) {
    check_fail("secret.get: without name or done [%s]", check_at());
    return;
  }
  struct wait *w = bt_new(struct wait);
  check_world.gets++;
  w->tell = secret_tell;
  w->done = (void (*)(void))done;
  w->arg = arg;
  w->code = check_world.secret_code;
  wait_start(host, w);
}

const struct berth_host_secret check_service_secret = {.size = sizeof check_service_secret, .get = secret_get};

/* ---------------------------------------------------------------- metrics */

static bool metric_name_ok(const char *s, const char *more) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
  if (!s || !*s || !(strchr(letters, *s) || strchr(more, *s)))
    return false;
  return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789:")] == '\0';
}

static void metrics_set(const struct berth_host *given, const struct berth_metric_sample *sample) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "metrics.set");
  if (!host || !check_size(sample->size, CHECK_THROUGH(struct berth_metric_sample, value), "metrics.set"))
    return;
  struct berth_metric_sample s;
  CHECK_TAKE(s, sample);
  if (!metric_name_ok(s.name, ":") || s.nlabels > max_labels)
    check_fail("metrics.set: \"%.80s\" is no name of a metric, or it has over %d labels [%s]", s.name ? s.name : "(null)", max_labels,
               check_at());
  for (size_t i = 0; i < BT_MIN(s.nlabels, (size_t)max_labels); i++)
    if (!metric_name_ok(s.labels[i].name, "") || !s.labels[i].value)
      check_fail("metrics.set: label %zu of %s has no sound name or no value [%s]", i, s.name ? s.name : "(null)", check_at());
}

typedef void collect_done(void *arg, enum berth_code code, const char *message);

static void give_samples(const struct wait *w) {
  static const struct berth_pair labels[] = {{"instance", "shop-web-1"}, {"namespace", "default"}, {"odd", "\"\\\n\xff"}};
  size_t n = check_world.samples ? check_world.samples : 3;
  for (size_t i = 0; i < n; i++) {
    char name[64];
    snprintf(name, sizeof name, "berth_check_%zu", i / 3);
    struct berth_metric_sample s = {.size = sizeof s,
                                    .name = name,
                                    .help = "What the checker made up.",
                                    .kind = i % 2 ? BERTH_COUNTER : BERTH_GAUGE,
                                    .labels = labels,
                                    .nlabels = i % 4,
                                    .value = (double)i * 1e17};
    check_enter("a metrics.collect's sample()");
    w->sample(w->arg, &s);
    check_leave();
  }
}

static void collect_tell(struct wait *w, enum berth_code code) {
  if (!code)
    give_samples(w);
  check_enter("a metrics.collect's done()");
  ((collect_done *)w->done)(w->arg, code, message_of(code));
  check_leave();
}

static void metrics_collect(const struct berth_host *given, int64_t max_age_ms,
                            void (*sample)(void *arg, const struct berth_metric_sample *sample),
                            void (*done)(void *arg, enum berth_code code, const char *message), void *arg) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "metrics.collect");
  if (!host)
    return;
  if (!sample || !done) {
    check_fail("metrics.collect: without sample or done [%s]", check_at());
    return;
  }
  struct wait *w = bt_new(struct wait);
  check_world.queries++;
  w->tell = collect_tell;
  w->done = (void (*)(void))done;
  w->sample = sample;
  w->arg = arg;
  w->max_age_ms = max_age_ms;
  w->code = check_world.query_code;
  wait_start(host, w);
}

const struct berth_host_metrics check_service_metrics = {
    .size = sizeof check_service_metrics, .set = metrics_set, .collect = metrics_collect};

/* ---------------------------------------------------------------- queries */

typedef void query_done(void *arg, enum berth_code code, const char *message, const char *json);

static void query_tell(struct wait *w, enum berth_code code) {
  check_enter("a query.get's done()");
  ((query_done *)w->done)(w->arg, code, message_of(code), code ? NULL : w->text);
  check_leave();
}

static void query_get(const struct berth_host *given, const char *path,
                      void (*done)(void *arg, enum berth_code code, const char *message, const char *json), void *arg) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "query.get");
  if (!host)
    return;
  if (!path || *path != '/' || !done) {
    check_fail("query.get: \"%.80s\" is no path of the API, or done is missing [%s]", path ? path : "(null)", check_at());
    return;
  }
  struct wait *w = bt_new(struct wait);
  check_world.queries++;
  w->tell = query_tell;
  w->done = (void (*)(void))done;
  w->arg = arg;
  w->text = bt_strdup(check_world.query_json ? check_world.query_json : "{\"items\":[]}");
  w->code = check_world.query_code;
  wait_start(host, w);
}

const struct berth_host_query check_service_query = {.size = sizeof check_service_query, .get = query_get};
