/* The host's services that have no other side: operations, log, time, descriptors, workers, children, key-value, secrets. */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "host.h"
#include "loop/child.h"
#include "report.h"

enum { max_piece = 1 << 20, max_key = 256, max_value = 64 * 1024 };

/* ---------------------------------------------------------------- operations; any thread */

static void check_result_json(struct check_op *op, const char *json) {
  json_error_t where;
  op->result = json_loads(json, JSON_REJECT_DUPLICATES, &where);
  if (!op->result)
    check_fail("ops.finish: the result of %s is no JSON (%s): %.80s [%s]", op->label, where.text, json, check_at());
  else if (!json_is_object(op->result))
    check_fail("ops.finish: the result of %s is no object: %.80s [%s]", op->label, json, check_at());
}

static void take_finish(struct check_op *op, enum berth_code code, const char *message, const char *json) {
  op->finished = true;
  op->code = code;
  op->message = bt_strdup(message ? message : "");
  if ((unsigned)code > BERTH_INTERNAL)
    check_fail("ops.finish: %s ended with the code %d, which ABI %d does not know [%s]", op->label, (int)code, BERTH_ABI, check_at());
  else if (code == BERTH_OK && json)
    check_result_json(op, json);
  else if (code != BERTH_OK && (!message || !*message))
    check_fail("ops.finish: %s failed with code %d and no sentence [%s]", op->label, (int)code, check_at());
  else if (code != BERTH_OK)
    check_text(message, "ops.finish");
}

static void ops_finish(const struct berth_host *given, berth_op id, enum berth_code code, const char *message,
                       const char *result_json) {
  CHECK_SERVICE;
  struct check_host *host = (struct check_host *)(uintptr_t)given;
  struct check_op *op = check_op_of(host, id);
  if (!op) {
    check_fail("ops.finish: there never was an operation %llu [%s]", (unsigned long long)id, check_at());
    return;
  }
  pthread_mutex_lock(&host->lock);
  if (!op->method)
    check_fail("ops.finish: operation %llu is a reply; routes.reply ends it [%s]", (unsigned long long)id, check_at());
  else if (op->finished)
    check_fail("ops.finish: %s finished twice (operation %llu) [%s]", op->label, (unsigned long long)id, check_at());
  else
    take_finish(op, code, message, result_json);
  pthread_mutex_unlock(&host->lock);
}

static const struct bt_channel *channel_of(const struct bt_method *method, int number) {
  for (const struct bt_channel *c = method ? method->channels : NULL; c && c->name; c++)
    if (c->number == number)
      return c;
  return NULL;
}

static void check_piece(struct check_op *op, int channel, const void *data, size_t len) {
  const struct bt_channel *c = channel_of(op->method, channel);
  if (!c)
    check_fail("ops.emit: %s speaks on the channel %d, which it does not have [%s]", op->label, channel, check_at());
  else if (len > max_piece)
    check_fail("ops.emit: %s emits %zu bytes at once; at most 1 MiB [%s]", op->label, len, check_at());
  else if (op->finished)
    check_fail("ops.emit: %s emits after its finish [%s]", op->label, check_at());
  else if (c->json) {
    BT_AUTO_JSON piece = json_loadb(data, len, 0, NULL);
    if (!json_is_object(piece))
      check_fail("ops.emit: a piece of %s on channel %s is no JSON object: %.*s [%s]", op->label, c->name, (int)BT_MIN(len, 80u),
                 (const char *)data, check_at());
  }
}

static size_t ops_emit(const struct berth_host *given, berth_op id, int channel, const void *data, size_t len) {
  CHECK_SERVICE;
  struct check_host *host = (struct check_host *)(uintptr_t)given;
  struct check_op *op = check_op_of(host, id);
  if (!op) {
    check_fail("ops.emit: there never was an operation %llu [%s]", (unsigned long long)id, check_at());
    return 0;
  }
  pthread_mutex_lock(&host->lock);
  if (len && !op->closed) {
    check_piece(op, channel, data, len);
    op->pieces++;
    op->bytes += len;
  }
  pthread_mutex_unlock(&host->lock);
  return 0;
}

const struct berth_host_ops check_service_ops = {.size = sizeof check_service_ops, .finish = ops_finish, .emit = ops_emit};

/* ---------------------------------------------------------------- log; any thread */

static void log_log(const struct berth_host *given, enum berth_log_level level, const char *text) {
  CHECK_SERVICE;
  (void)given;
  if ((unsigned)level > BERTH_LOG_ERROR)
    check_fail("log.log: there is no level %d [%s]", (int)level, check_at());
  check_text(text, "log.log");
}

const struct berth_host_log check_service_log = {.size = sizeof check_service_log, .log = log_log};

/* ---------------------------------------------------------------- time */

struct timer {
  struct check_handle base;
  struct bt_timer *timer;
  void (*cb)(void *arg);
  void *arg;
};

static int64_t timer_mono(const struct berth_host *host) {
  (void)host;
  return bt_clock_mono_ms();
}

static int64_t timer_wall(const struct berth_host *host) {
  (void)host;
  return bt_clock_wall_ms();
}

static void timer_end(struct check_handle *handle) {
  struct timer *t = (struct timer *)handle;
  check_handle_over(handle);
  bt_timer_free(&t->timer);
  free(t);
}

static void timer_fired(void *arg) {
  struct timer t = *(struct timer *)arg;
  timer_end(arg);
  check_enter("a timer's callback");
  t.cb(t.arg);
  check_leave();
}

static berth_handle timer_after(const struct berth_host *given, int64_t ms, void (*cb)(void *arg), void *arg) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "timer.after");
  if (host && !cb)
    check_fail("timer.after: no callback [%s]", check_at());
  if (!host || !cb || host->state == CHECK_ENDING)
    return 0;
  struct timer *t = bt_new(struct timer);
  t->cb = cb;
  t->arg = arg;
  t->timer = bt_timer_new(host->loop, "check", timer_fired, t);
  bt_timer_set(t->timer, ms > 0 ? ms : 0);
  check_handle_add(host, &t->base, CHECK_TIMER, timer_end);
  return t->base.id;
}

static void timer_cancel(const struct berth_host *given, berth_handle id) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "timer.cancel");
  struct check_handle *handle = host ? check_handle_of(host, id, CHECK_TIMER, "timer.cancel") : NULL;
  if (handle)
    timer_end(handle);
}

const struct berth_host_timer check_service_timer = {.size = sizeof check_service_timer,
                                                     .mono_ms = timer_mono,
                                                     .wall_ms = timer_wall,
                                                     .after = timer_after,
                                                     .cancel = timer_cancel};

/* ---------------------------------------------------------------- descriptors */

struct watch {
  struct check_handle base;
  struct bt_watch *watch;
  int fd;
  void (*cb)(void *arg, int fd, int events);
  void *arg;
};

static void watch_end(struct check_handle *handle) {
  struct watch *w = (struct watch *)handle;
  if (fcntl(w->fd, F_GETFD) < 0)
    check_fail("fd.unwatch: descriptor %d was closed while it was watched: unwatch first [%s]", w->fd, check_at());
  check_handle_over(handle);
  bt_watch_free(&w->watch);
  free(w);
}

static void watch_ready(void *arg, int fd, int events) {
  const struct watch *w = arg;
  check_enter("a descriptor's callback");
  w->cb(w->arg, fd, (events & BT_WATCH_READ ? BERTH_FD_READ : 0) | (events & BT_WATCH_WRITE ? BERTH_FD_WRITE : 0));
  check_leave();
}

static berth_handle fd_watch(const struct berth_host *given, int fd, int events, void (*cb)(void *arg, int fd, int events),
                             void *arg) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "fd.watch");
  if (!host)
    return 0;
  if (!cb || fd < 0 || fcntl(fd, F_GETFD) < 0 || !(events & (BERTH_FD_READ | BERTH_FD_WRITE))) {
    check_fail("fd.watch: descriptor %d is not open, or there is no callback or no event to wait for [%s]", fd, check_at());
    return 0;
  }
  if (host->state == CHECK_ENDING)
    return 0;
  struct watch *w = bt_new(struct watch);
  w->fd = fd;
  w->cb = cb;
  w->arg = arg;
  int wanted = (events & BERTH_FD_READ ? BT_WATCH_READ : 0) | (events & BERTH_FD_WRITE ? BT_WATCH_WRITE : 0);
  w->watch = bt_watch_new(host->loop, "check", fd, wanted, watch_ready, w);
  check_handle_add(host, &w->base, CHECK_FD, watch_end);
  return w->base.id;
}

static void fd_unwatch(const struct berth_host *given, berth_handle id) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "fd.unwatch");
  struct check_handle *handle = host ? check_handle_of(host, id, CHECK_FD, "fd.unwatch") : NULL;
  if (handle)
    watch_end(handle);
}

const struct berth_host_fd check_service_fd = {.size = sizeof check_service_fd, .watch = fd_watch, .unwatch = fd_unwatch};

/* ---------------------------------------------------------------- workers */

struct job {
  struct check_host *host;
  void (*work)(void *arg);
  void (*done)(void *arg);
  void *arg;
};

static void job_work(void *arg) {
  const struct job *job = arg;
  CHECK_SERVICE;
  check_return(true);
  job->work(job->arg);
}

static void job_done(void *arg) {
  struct job *job = arg;
  job->host->workers--;
  if (job->done) {
    check_enter("a worker's done()");
    job->done(job->arg);
    check_leave();
  }
  free(job);
}

static void worker_run(const struct berth_host *given, void (*work)(void *arg), void (*done)(void *arg), void *arg) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "worker.run");
  if (host && !work)
    check_fail("worker.run: no work [%s]", check_at());
  if (!host || !work)
    return;
  if (!host->pool)
    host->pool = bt_pool_new(host->loop, 2);
  struct job *job = bt_new(struct job);
  *job = (struct job){host, work, done, arg};
  host->workers++;
  bt_pool_run(host->pool, "check", job_work, job_done, job);
}

const struct berth_host_worker check_service_worker = {.size = sizeof check_service_worker, .run = worker_run};

/* ---------------------------------------------------------------- children */

struct child {
  struct check_handle base;
  struct bt_child *child;
  void (*done)(void *arg, int exit_status, const char *out, size_t out_len, const char *err, size_t err_len);
  void *arg;
};

static void child_tell(struct child *c, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  check_enter("a child's done()");
  c->done(c->arg, status, out, out_len, err, err_len);
  check_leave();
}

static void child_done(void *arg, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct child *c = arg;
  check_handle_over(&c->base);
  if (c->done)
    child_tell(c, status, out, out_len, err, err_len);
  free(c);
}

static void child_detach(struct check_handle *handle) {
  struct child *c = (struct child *)handle;
  bt_child_kill(c->child);
  if (c->base.host->self)
    child_tell(c, -SIGKILL, "", 0, "", 0);
  c->done = NULL;
  check_handle_over(handle);
}

static berth_handle child_spawn(const struct berth_host *given, const struct berth_child_request *request) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "child.spawn");
  if (!host || !check_size(request->size, CHECK_THROUGH(struct berth_child_request, arg), "child.spawn"))
    return 0;
  struct berth_child_request r;
  CHECK_TAKE(r, request);
  if (!r.argv || !r.argv[0] || !r.done) {
    check_fail("child.spawn: argv or done is missing [%s]", check_at());
    return 0;
  }
  for (size_t i = 0; r.argv[i]; i++)
    check_text(r.argv[i], "child.spawn (argv, which everybody on the machine can read)");
  if (host->state == CHECK_ENDING)
    return 0;
  struct child *c = bt_new(struct child);
  c->done = r.done;
  c->arg = r.arg;
  struct bt_child_request real = {.name = "check",
                                  .argv = r.argv,
                                  .env = r.env,
                                  .cwd = r.cwd,
                                  .input = r.input,
                                  .input_len = r.input_len,
                                  .timeout_ms = r.timeout_ms > 0 ? r.timeout_ms : 60000,
                                  .max_output = r.max_output,
                                  .done = child_done,
                                  .arg = c};
  BT_AUTO_ERR err = NULL;
  int64_t since = bt_clock_mono_us(), waited = check_unscheduled_us();
  c->child = bt_child_spawn(host->loop, &real, &err); /* waits for the new process to begin, and a busy machine takes its time */
  check_excuse(bt_clock_mono_us() - since - (check_unscheduled_us() - waited));
  if (!c->child) {
    free(c);
    return 0;
  }
  check_handle_add(host, &c->base, CHECK_CHILD, child_detach);
  return c->base.id;
}

static void child_kill(const struct berth_host *given, berth_handle id) {
  CHECK_SERVICE;
  struct check_host *host = check_host_for(given, "child.kill");
  struct check_handle *handle = host ? check_handle_of(host, id, CHECK_CHILD, "child.kill") : NULL;
  if (handle)
    bt_child_kill(((struct child *)handle)->child);
}

const struct berth_host_child check_service_child = {.size = sizeof check_service_child, .spawn = child_spawn, .kill = child_kill};
