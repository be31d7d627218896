#include "config.h"
#include "host.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "report.h"
#include "wire.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { hold_ms = 200 }; /* code under a sanitizer is some times slower */
#else
enum { hold_ms = 50 };
#endif

struct check_world check_world;

/* ---------------------------------------------------------------- into the plug-in's code, and back */

static int depth;
static int64_t since_us, waited_us;
static const char *since_what;

int64_t check_unscheduled_us(void) {
  static _Thread_local int fd = -1;
  char text[128];
  long long ran, waited;
  if (fd < 0)
    fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? pread(fd, text, sizeof text - 1, 0) : 0;
  text[n > 0 ? n : 0] = '\0';
  return sscanf(text, "%lld %lld", &ran, &waited) == 2 ? waited / 1000 : 0;
}

void check_excuse(int64_t us) { since_us += us; }

void check_enter(const char *what) {
  if (depth++ == 0) {
    since_what = what;
    waited_us = check_unscheduled_us();
    since_us = bt_clock_mono_us();
  }
  check_scope(true);
}

void check_leave(void) {
  check_scope(--depth > 0 ? true : false);
  if (depth || check_wire()) /* who runs in another process holds up nobody but itself */
    return;
  int64_t wall = bt_clock_mono_us() - since_us;
  if (wall <= hold_ms * 1000)
    return;
  int64_t held = wall - (check_unscheduled_us() - waited_us);
  if (held > hold_ms * 1000)
    check_fail("%s held the loop for %lld ms (at most %d): what may wait goes to a worker, a child or a timer [%s]", since_what,
               (long long)held / 1000, hold_ms, check_at());
}

bool check_called(void) { return check_scope(false); }
void check_return(bool before) { check_scope(before); }

/* ---------------------------------------------------------------- turning the loop */

struct turn {
  struct bt_loop *loop;
  struct bt_timer *poll;
  int64_t until;
  bool (*done)(void *arg);
  void *arg;
  bool is_done;
};

static void look(void *arg) {
  struct turn *t = arg;
  t->is_done = t->done && t->done(t->arg);
  if (t->is_done || bt_clock_mono_ms() >= t->until)
    bt_loop_stop(t->loop);
  else
    bt_timer_set(t->poll, 1);
}

bool check_turn(struct bt_loop *loop, int ms, bool (*done)(void *arg), void *arg) {
  struct turn t = {.loop = loop, .until = bt_clock_mono_ms() + ms, .done = done, .arg = arg};
  t.poll = bt_timer_new(loop, "check", look, &t);
  bt_timer_set(t.poll, 0);
  bt_loop_run(loop);
  bt_timer_free(&t.poll);
  return t.is_done;
}

/* ---------------------------------------------------------------- what crosses */

static bool utf8_ok(const char *s) {
  json_t *v = json_string(s);
  json_decref(v);
  return v != NULL;
}

bool check_text(const char *text, const char *what) {
  if (!text) {
    check_fail("%s: a text is NULL [%s]", what, check_at());
    return false;
  }
  if (!utf8_ok(text)) {
    check_fail("%s: a text is no UTF-8: \"%.60s\" [%s]", what, text, check_at());
    return false;
  }
  for (size_t i = 0; i < check_world.secrets.len; i++)
    if (strstr(text, check_world.secrets.items[i])) {
      check_fail("%s: a secret of the configuration stands in a text for people [%s]", what, check_at());
      return false;
    }
  return true;
}

bool check_size(size_t size, size_t least, const char *what) {
  if (size >= least && size <= 4096)
    return true;
  check_fail("%s: its struct says it has %zu bytes, and it has at least %zu: set .size = sizeof [%s]", what, size, least, check_at());
  return false;
}

/* ---------------------------------------------------------------- handles */

struct check_host *check_host_for(const struct berth_host *given, const char *what) {
  struct check_host *host = (struct check_host *)(uintptr_t)given;
  if (!host) {
    check_fail("%s was called with a host that is NULL [%s]", what, check_at());
    return NULL;
  }
  if (!pthread_equal(pthread_self(), host->thread)) {
    check_fail("%s was called from another thread than the loop's: only finish, emit, log and the clocks may be [%s]", what, check_at());
    return NULL;
  }
  if (host->state == CHECK_STOPPED) {
    check_fail("%s was called after stop() [%s]", what, check_at());
    return NULL;
  }
  return host;
}

void check_handle_add(struct check_host *host, struct check_handle *handle, enum check_kind kind,
                      void (*detach)(struct check_handle *handle)) {
  handle->kind = kind;
  handle->host = host;
  handle->detach = detach;
  bt_vec_push(&host->handles, handle);
  bt_vec_push(&host->kinds, (unsigned char)kind);
  handle->id = host->handles.len;
  host->open++;
}

void check_handle_over(struct check_handle *handle) {
  struct check_handle **slot = &handle->host->handles.items[handle->id - 1];
  if (*slot)
    handle->host->open--;
  *slot = NULL;
}

struct check_handle *check_handle_of(struct check_host *host, berth_handle id, enum check_kind kind, const char *what) {
  if (!id)
    return NULL;
  bool upgrade_too = kind == CHECK_REQUEST && strcmp(what, "http.cancel") == 0;
  if (id > host->handles.len ||
      (host->kinds.items[id - 1] != kind && !(upgrade_too && host->kinds.items[id - 1] == CHECK_UPGRADE))) {
    check_fail("%s: the handle %llu was never given out for this [%s]", what, (unsigned long long)id, check_at());
    return NULL;
  }
  return host->handles.items[id - 1];
}

/* ---------------------------------------------------------------- operations */

struct check_op *check_op_new(struct check_host *host, const char *label, const struct bt_method *method) {
  struct check_op *op = bt_new(struct check_op);
  op->label = label;
  op->method = method;
  pthread_mutex_lock(&host->lock);
  bt_vec_push(&host->ops, op);
  op->id = host->ops.len;
  pthread_mutex_unlock(&host->lock);
  return op;
}

struct check_op *check_op_of(struct check_host *host, berth_op id) {
  pthread_mutex_lock(&host->lock);
  struct check_op *op = id && id <= host->ops.len ? host->ops.items[id - 1] : NULL;
  pthread_mutex_unlock(&host->lock);
  return op;
}

void check_op_cancel(struct check_host *host, struct check_op *op) {
  op->closed = true;
  check_enter("cancel()");
  host->plugin->cancel(host->self, op->id);
  check_leave();
}

bool check_ops_over(struct check_host *host) {
  pthread_mutex_lock(&host->lock);
  bool over = true;
  for (size_t i = 0; over && i < host->ops.len; i++)
    over = host->ops.items[i]->finished;
  pthread_mutex_unlock(&host->lock);
  return over;
}

/* ---------------------------------------------------------------- an entry's life */

static const struct {
  const char *id;
  const void *table;
} all_services[] = {{BERTH_HOST_OPS, &check_service_ops},         {BERTH_HOST_LOG, &check_service_log},
                    {BERTH_HOST_TIMER, &check_service_timer},     {BERTH_HOST_FD, &check_service_fd},
                    {BERTH_HOST_WORKER, &check_service_worker},   {BERTH_HOST_CHILD, &check_service_child},
                    {BERTH_HOST_HTTP, &check_service_http},       {BERTH_HOST_KV, &check_service_kv},
                    {BERTH_HOST_SECRET, &check_service_secret},   {BERTH_HOST_METRICS, &check_service_metrics},
                    {BERTH_HOST_EVENTS, &check_service_events},   {BERTH_HOST_ROUTES, &check_service_routes},
                    {BERTH_HOST_QUERY, &check_service_query}};

const char *check_service_id(size_t i) { return i < BT_COUNT(all_services) ? all_services[i].id : NULL; }

static const void *service(const struct berth_host *host, const char *id) {
  CHECK_SERVICE;
  if (!check_host_for(host, "host.service"))
    return NULL;
  for (size_t i = 0; id && i < BT_COUNT(all_services); i++)
    if (strcmp(all_services[i].id, id) == 0)
      return all_services[i].table;
  return NULL;
}

struct check_host *check_host_new(struct bt_loop *loop, const struct berth_plugin *plugin) {
  static BT_VEC(struct check_host *) all; /* reachable, for checkers of leaks */
  struct check_host *host = bt_new(struct check_host);
  host->host = (struct berth_host){
      .size = sizeof host->host, .abi = BERTH_ABI, .version = PACKAGE_VERSION, .name = "checked", .service = service, .impl = host};
  host->loop = loop;
  host->plugin = plugin;
  host->thread = pthread_self();
  pthread_mutex_init(&host->lock, NULL);
  bt_vec_push(&all, host);
  return host;
}

/* What validate, start and reload answer. */
static void check_answer(const char *what, enum berth_code code, const char *why) {
  if ((unsigned)code > BERTH_INTERNAL)
    check_fail("%s gave the code %d, which ABI %d does not know [%s]", what, (int)code, BERTH_ABI, check_at());
  else if (code != BERTH_OK && (!why || !*why))
    check_fail("%s gave the code %d and no sentence in %s [%s]", what, (int)code, check_wire() ? "its message" : "*why", check_at());
  else if (code != BERTH_OK)
    check_text(why, what);
}

enum berth_code check_host_start(struct check_host *host, const char *config_json, const char **why) {
  const char *sentence = NULL;
  check_enter("start()");
  enum berth_code code = host->plugin->start(&host->host, config_json, &host->self, &sentence);
  check_leave();
  check_answer("start()", code, sentence);
  if (code == BERTH_OK && !host->self)
    check_fail("start() succeeded and left no state in *out [%s]", check_at());
  host->state = code == BERTH_OK ? CHECK_RUNNING : CHECK_ENDING;
  *why = sentence ? sentence : "";
  if (code != BERTH_OK) {
    host->self = NULL;
    check_host_stop(host);
  }
  return code;
}

enum berth_code check_host_reload(struct check_host *host, const char *config_json, const char **why) {
  const char *sentence = NULL;
  check_enter("reload()");
  enum berth_code code = host->plugin->reload(host->self, config_json, &sentence);
  check_leave();
  check_answer("reload()", code, sentence);
  *why = sentence ? sentence : "";
  return code;
}

static bool workers_over(void *arg) { return ((struct check_host *)arg)->workers == 0; }

void check_host_stop(struct check_host *host) {
  if (host->state == CHECK_STOPPED)
    return;
  host->state = CHECK_ENDING;
  pthread_mutex_lock(&host->lock);
  for (size_t i = 0; i < host->ops.len; i++)
    host->ops.items[i]->closed = true;
  pthread_mutex_unlock(&host->lock);
  for (size_t i = host->handles.len; i > 0; i--)
    if (host->handles.items[i - 1])
      host->handles.items[i - 1]->detach(host->handles.items[i - 1]);
  if (host->self) {
    check_enter("stop()");
    host->plugin->stop(host->self);
    check_leave();
  }
  host->self = NULL;
  for (size_t i = 0; i < host->handles.len; i++) /* what stop() itself asked for */
    if (host->handles.items[i])
      host->handles.items[i]->detach(host->handles.items[i]);
  host->state = CHECK_STOPPED;
  if (!check_turn(host->loop, 5000, workers_over, host))
    check_fail("a worker was not done 5 s after stop()");
  bt_pool_free(&host->pool);
}
