#include "config.h"
#include "wire.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "bench.h"
#include "plugin/loader.h"
#include "plugin/remote.h"
#include "report.h"
#include "wire_rules.h"

enum { hello_ms = 10000, start_ms = 30000, stop_ms = 3000, hang_ms = 5000, slow_ms = 2000, ping_ms = 250, last_words_ms = 500,
       max_out = 64 << 20, max_line = 1000, piece_pause_us = 300, pieces = 48 };

/* One process. What methods take as their self is the remote in it. */
struct session {
  struct bt_remote remote; /* first */
  struct bt_loop *loop;
  struct bt_loop *own_loop; /* where it has no entry: it is only asked */
  struct check_host *host;  /* NULL: the same */
  struct wire_rules *rules;
  json_t *hello;
  int64_t want; /* the "done" that is waited for; 0: it came */
  enum berth_code code;
  char *message;
  bool stopping, over; /* over: nothing more comes */
  bool told_slow;
};

static struct session *session_of(const struct check_host *host) { return (struct session *)host->self; }

bool check_wire(void) { return check_plan.wire; }

/* ---------------------------------------------------------------- the end of a test */

/* What is left on its standard error; a sanitizer's or an interpreter's report says why. */
static void last_words(struct session *s) {
  char chunk[4096];
  for (ssize_t n; (n = read(s->remote.process.err, chunk, sizeof chunk)) > 0;)
    (void)!write(STDERR_FILENO, chunk, (size_t)n);
}

/* The process is of no use any more, and neither is the rest of the test. */
static _Noreturn void give_up(struct session *s) {
  bt_spawn_kill(&s->remote.process);
  if (!s->remote.exited)
    waitpid(s->remote.process.pid, NULL, 0);
  last_words(s);
  fflush(NULL);
  check_step("%s", "");
  _exit(0);
}

static bool reap(struct session *s, int options) {
  struct bt_remote *r = &s->remote;
  if (!r->exited && waitpid(r->process.pid, &r->status, options) != 0)
    r->exited = true;
  return r->exited;
}

static _Noreturn void ended(struct session *s, const char *why) {
  int64_t until = bt_clock_mono_ms() + last_words_ms;
  while (!reap(s, WNOHANG) && bt_clock_mono_ms() < until)
    usleep(2000);
  int status = s->remote.status;
  if (bt_starts(why, "it sent garbage"))
    check_fail("%s: nothing but messages may be written to standard output [%s]", why, check_at());
  else if (!s->remote.exited)
    check_fail("%s: it closed its standard input or output, and lives on [%s]", why, check_at());
  else if (WIFSIGNALED(status))
    check_fail("its process died of SIG%s [%s]", sigabbrev_np(WTERMSIG(status)), check_at());
  else
    check_fail("its process ended by itself, with exit code %d [%s]", WEXITSTATUS(status), check_at());
  give_up(s);
}

static _Noreturn void broke(struct session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static _Noreturn void broke(struct session *s, const char *fmt, ...) {
  char text[512];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  check_fail("%s [%s]", text, check_at());
  give_up(s);
}

/* ---------------------------------------------------------------- what the conversation stands on */

static void ops_finish(const struct berth_host *host, berth_op op, enum bt_code code, const char *message, const char *result, size_t len) {
  BT_AUTO_FREE char *text = result && len ? bt_strndup(result, len) : NULL;
  check_service_ops.finish(host, op, bt_plugin_code_out(code), message, text ? text : code == BT_OK ? "{}" : NULL);
}

static size_t ops_emit(const struct berth_host *host, berth_op op, int channel, const void *data, size_t len) {
  return check_service_ops.emit(host, op, channel, data, len);
}

static void ops_reply(const struct berth_host *host, berth_op op, int status, const struct berth_pair *headers, size_t nheaders,
                      const void *body, size_t len) {
  check_service_routes.reply(host, op, status, headers, nheaders, body, len);
}

static bool offers(const struct berth_host *host, const char *id) { return host->service(host, id) != NULL; }

static const struct bt_remote_services services = {.http = &check_service_http,
                                                   .kv = &check_service_kv,
                                                   .secret = &check_service_secret,
                                                   .metrics = &check_service_metrics,
                                                   .events = &check_service_events,
                                                   .routes = &check_service_routes,
                                                   .query = &check_service_query,
                                                   .finish = ops_finish,
                                                   .emit = ops_emit,
                                                   .reply = ops_reply,
                                                   .offers = offers};

/* ---------------------------------------------------------------- what it says */

static void on_done(struct session *s, const json_t *head) {
  if (!s->want || bt_json_int(head, "id", 0) != s->want)
    return; /* of an ask whose answer came late */
  s->want = 0;
  s->code = bt_plugin_code_out(bt_code_from_name(bt_json_str_or(head, "code", "internal")));
  free(s->message);
  s->message = bt_strdup(bt_json_str_or(head, "message", ""));
}

static void on_log(struct session *s, const json_t *head) {
  const char *text = bt_json_str_or(head, "text", "");
  check_service_log.log(s->host ? &s->host->host : NULL, BERTH_LOG_INFO, text);
  if (bt_json_bool(head, "raised", false)) /* the Lua host's: an error of the script's that nobody caught */
    check_fail("an error was raised: %s [%s]", text, check_at());
  fprintf(stderr, "%s\n", text);
}

static void on_pong(struct session *s) {
  int64_t took = bt_clock_mono_ms() - s->remote.pinged_ms;
  s->remote.pinged = false;
  if (took > slow_ms && !s->told_slow) {
    check_warn("it answered a ping after %lld ms; after %d it is killed: what takes long belongs into a thread or a child [%s]",
               (long long)took, hang_ms, check_at());
    s->told_slow = true;
  }
}

static void on_hello(struct session *s, const json_t *head) {
  if (s->hello)
    broke(s, "it said hello twice");
  if (bt_json_int(head, "wire", 0) != BT_WIRE_VERSION)
    broke(s, "hello: it speaks version %lld of the wire; this checker speaks %d", bt_json_int(head, "wire", 0), BT_WIRE_VERSION);
  if (!bt_json_obj(head, "manifest"))
    broke(s, "hello: there is no manifest in it");
  s->hello = json_deep_copy(head);
}

static void on_message(void *arg, const struct bt_message *m) {
  struct session *s = arg;
  BT_AUTO_FREE char *wrong = wire_rules_judge(s->rules, m);
  if (wrong && wire_rules_fatal(m))
    broke(s, "%s", wrong);
  if (wrong)
    check_fail("%s [%s]", wrong, check_at());
  if (strcmp(m->type, "hello") == 0)
    on_hello(s, m->head);
  else if (strcmp(m->type, "refused") == 0)
    broke(s, "it says that it cannot run: %s", bt_json_str_or(m->head, "message", "(no message)"));
  else if (!s->hello)
    broke(s, "its first message is no hello, but \"%.40s\"", m->type);
  else if (strcmp(m->type, "pong") == 0)
    on_pong(s);
  else if (strcmp(m->type, "done") == 0)
    on_done(s, m->head);
  else if (strcmp(m->type, "log") == 0)
    on_log(s, m->head);
  else if (!s->host)
    broke(s, "\"%.40s\" is no message for a process that was only asked to check a configuration", m->type);
  else if (s->stopping && !bt_starts(m->type, "kv."))
    return; /* the server hears only logs and keys then */
  else if (!bt_remote_call_message(&s->remote, m) && !bt_remote_http_message(&s->remote, m))
    bt_remote_service_message(&s->remote, m);
}

static void on_end(void *arg, const char *why) {
  struct session *s = arg;
  bt_link_free(&s->remote.link);
  s->over = true;
  if (!s->stopping || bt_starts(why, "it sent garbage"))
    ended(s, why);
}

/* Lines of the server's log: shown with the test, and without secrets. */
static void on_err(void *arg, int fd, int events) {
  (void)events;
  struct session *s = arg;
  char chunk[4096];
  ssize_t n = read(fd, chunk, sizeof chunk);
  if (n == 0)
    bt_watch_free(&s->remote.err_watch);
  if (n <= 0)
    return;
  (void)!write(STDERR_FILENO, chunk, (size_t)n);
  bt_buf_add(&s->remote.err_line, chunk, (size_t)n);
  for (size_t i = 0; i < check_world.secrets.len; i++)
    if (memmem(s->remote.err_line.data, s->remote.err_line.len, check_world.secrets.items[i], strlen(check_world.secrets.items[i])))
      broke(s, "standard error: a secret of the configuration stands in a text for people");
  if (s->remote.err_line.len > max_line)
    bt_buf_consume(&s->remote.err_line, s->remote.err_line.len - max_line / 2);
}

static void on_ping(void *arg) {
  struct session *s = arg;
  int64_t now = bt_clock_mono_ms();
  if (s->remote.pinged && now - s->remote.pinged_ms > hang_ms)
    broke(s, "it did not answer a ping for %d ms: it hangs, and the server kills it", hang_ms);
  if (!s->remote.pinged && !s->over) {
    s->remote.pinged = true;
    s->remote.pinged_ms = now;
    bt_remote_send(&s->remote, bt_remote_message("ping", (berth_handle)++s->remote.last_id), NULL, 0);
  }
  bt_timer_set(s->remote.ping, ping_ms);
}

/* ---------------------------------------------------------------- a process */

/* The checker's limit on its own memory is no business of an interpreter's, which has one of its own. */
static void lift_limit(void) {
  struct rlimit memory;
  if (getrlimit(RLIMIT_AS, &memory) == 0) {
    memory.rlim_cur = memory.rlim_max;
    setrlimit(RLIMIT_AS, &memory);
  }
}

static bool said_hello(void *arg) { return ((struct session *)arg)->hello != NULL; }
static bool was_answered(void *arg) { return ((struct session *)arg)->want == 0 || ((struct session *)arg)->over; }

static int patience(int ms) { return BT_MIN(ms, check_plan.seconds * 900); }

static bool spawn(struct session *s) {
  BT_AUTO_ERR err = NULL;
  bool script = !check_plan.isolation.command.len;
  lift_limit();
  if ((script && bt_loader_check_file(check_plan.path, &err) != 0) ||
      bt_spawn(&check_plan.isolation, "checked", script ? check_plan.path : NULL, &s->remote.process, &err) != 0) {
    check_fail("%s", bt_err_message(err));
    return false;
  }
  struct bt_link_setup setup = {.loop = s->loop,
                                .name = "check",
                                .in = s->remote.process.wire,
                                .out = s->remote.process.wire,
                                .max_json = BT_WIRE_MAX_JSON_IN,
                                .max_out = max_out,
                                .on_message = on_message,
                                .on_end = on_end,
                                .arg = s};
  s->remote.link = bt_link_new(&setup);
  s->remote.err_watch = bt_watch_new(s->loop, "check", s->remote.process.err, BT_WATCH_READ, on_err, s);
  s->remote.ping = bt_timer_new(s->loop, "check", on_ping, s);
  return true;
}

static void session_free(struct session *s) {
  if (s->remote.process.pid > 0 && !s->remote.exited) {
    bt_spawn_kill(&s->remote.process);
    reap(s, 0);
  }
  bt_remote_handles_free(&s->remote);
  bt_link_free(&s->remote.link);
  bt_watch_free(&s->remote.err_watch);
  bt_timer_free(&s->remote.ping);
  bt_closep(&s->remote.process.pidfd);
  bt_closep(&s->remote.process.err);
  bt_closep(&s->remote.process.report);
  bt_map_free(&s->remote.asked);
  bt_vec_free(&s->remote.inputs);
  bt_buf_free(&s->remote.err_line);
  wire_rules_free(&s->rules);
  json_decref(s->hello);
  free(s->message);
  bt_loop_free(&s->own_loop);
  free(s);
}

/* A new process that has said hello; NULL (and failed). host: the entry; NULL where it is only asked. */
static struct session *session_new(struct check_host *host) {
  struct session *s = bt_new(struct session);
  s->host = host;
  s->own_loop = host ? NULL : bt_loop_new();
  s->loop = host ? host->loop : s->own_loop;
  s->rules = wire_rules_new();
  s->remote.host = host ? &host->host : NULL;
  s->remote.services = &services;
  s->remote.process = (struct bt_process){.pid = -1, .pidfd = -1, .wire = -1, .err = -1, .report = -1};
  bool fine = spawn(s);
  if (fine && !check_turn(s->loop, patience(hello_ms), said_hello, s)) {
    check_fail("it did not say hello within %d ms", patience(hello_ms));
    give_up(s);
  }
  if (fine)
    return s;
  session_free(s);
  return NULL;
}

/* Asks, and waits for the done. */
static enum berth_code ask(struct session *s, const char *type, json_t *members_steal, int ms, const char **why) {
  static char sentence[1024];
  json_t *head = bt_remote_message(type, (berth_handle)++s->remote.last_id);
  json_object_update(head, members_steal);
  json_decref(members_steal);
  s->want = s->remote.last_id;
  bt_remote_send(&s->remote, head, NULL, 0);
  check_turn(s->loop, patience(ms), was_answered, s);
  if (s->want)
    broke(s, "it did not answer %s within %d ms", type, patience(ms));
  snprintf(sentence, sizeof sentence, "%s", s->message);
  *why = sentence;
  return s->code;
}

static json_t *config_member(const char *config_json) {
  json_t *config = json_loads(config_json, 0, NULL);
  json_t *members = json_object();
  if (json_is_object(config))
    json_object_set(members, "config", config);
  json_decref(config);
  return members;
}

/* ---------------------------------------------------------------- as a struct berth_plugin */

/* What is no object cannot be sent, and is not: neither does the server. */
static bool is_object(const char *config_json, const char **why) {
  BT_AUTO_JSON config = json_loads(config_json, 0, NULL);
  *why = "the checker sends no configuration that is no object";
  return json_is_object(config);
}

/* One process for all configurations of a test: it may be asked more than once. */
static enum berth_code wire_validate(const char *config_json, const char **why) {
  static struct session *s;
  if (!is_object(config_json, why))
    return BERTH_INVALID;
  if (!s)
    s = session_new(NULL);
  if (!s)
    return BERTH_INTERNAL;
  return ask(s, "validate", config_member(config_json), hello_ms, why);
}

static json_t *start_members(const char *config_json) {
  json_t *members = config_member(config_json), *list = json_array();
  for (size_t i = 0; check_service_id(i); i++)
    json_array_append_new(list, json_string(check_service_id(i)));
  bt_json_set_str(members, "name", "checked");
  bt_json_set_str(members, "version", PACKAGE_VERSION);
  bt_json_set_int(members, "abi", BERTH_ABI);
  bt_json_set(members, "services", list);
  return members;
}

static enum berth_code wire_start(const struct berth_host *host, const char *config_json, struct berth_instance **out, const char **why) {
  struct session *s = session_new((struct check_host *)(uintptr_t)host);
  *why = "its process cannot be started";
  if (!s)
    return BERTH_INTERNAL;
  if (!bt_json_equal(bt_json_obj(s->hello, "manifest"), bt_json_obj(check_plan.hello, "manifest")))
    check_fail("its manifest is another one than at its last start");
  enum berth_code code = ask(s, "start", start_members(config_json), start_ms, why);
  if (code != BERTH_OK) {
    s->remote.host = NULL;
    session_free(s);
    return code;
  }
  s->remote.state = BT_REMOTE_RUNNING;
  bt_timer_set(s->remote.ping, 0);
  *out = (struct berth_instance *)&s->remote;
  return BERTH_OK;
}

static enum berth_code wire_reload(struct berth_instance *self, const char *config_json, const char **why) {
  struct session *s = (struct session *)self;
  if (!is_object(config_json, why))
    return BERTH_INVALID;
  bt_map_free(&s->remote.asked);
  return ask(s, "reload", config_member(config_json), start_ms, why);
}

static bool gone(void *arg) {
  struct session *s = arg;
  return reap(s, WNOHANG) && s->over;
}

static void judge_end(struct session *s) {
  int status = s->remote.status;
  if (!s->remote.exited)
    check_fail("stop: its process lives on %d ms after it was told to stop; the server kills it then", stop_ms);
  else if (WIFSIGNALED(status))
    check_fail("stop: its process died of SIG%s", sigabbrev_np(WTERMSIG(status)));
  else if (s->want)
    check_fail("stop: its process ended and did not answer with done");
  else if (WEXITSTATUS(status))
    check_warn("stop: its process ended with exit code %d", WEXITSTATUS(status));
  if (s->remote.exited && kill(-s->remote.process.pid, 0) == 0)
    check_fail("stop: its process is gone, and left others running that it had started");
}

static void wire_stop(struct berth_instance *self) {
  struct session *s = (struct session *)self;
  bt_remote_handles_free(&s->remote);
  bt_timer_clear(s->remote.ping);
  s->stopping = true;
  s->want = ++s->remote.last_id;
  bt_remote_send(&s->remote, bt_remote_message("stop", (berth_handle)s->want), NULL, 0);
  check_turn(s->loop, stop_ms, gone, s);
  judge_end(s);
  kill(-s->remote.process.pid, SIGKILL);
  session_free(s);
}

static void wire_cancel(struct berth_instance *self, berth_op op) { bt_remote_cancel((struct bt_remote *)self, op); }

const struct berth_plugin *check_wire_plugin(void) {
  static struct berth_plugin plugin = {.size = sizeof plugin, .start = wire_start, .stop = wire_stop, .cancel = wire_cancel};
  if (!check_plan.hello) {
    check_fail("it did not say hello: see wire.hello");
    return NULL;
  }
  plugin.validate = bt_json_bool(check_plan.hello, "validate", false) ? wire_validate : NULL;
  plugin.reload = bt_json_bool(check_plan.hello, "reload", false) ? wire_reload : NULL;
  return &plugin;
}

json_t *check_wire_hello(void) {
  struct session *s = session_new(NULL);
  json_t *hello = s ? json_incref(s->hello) : NULL;
  if (s)
    session_free(s);
  return hello;
}

struct bt_manifest *check_wire_manifest(struct bt_err **err) {
  struct bt_manifest *m = bt_manifest_read(bt_json_obj(check_plan.hello, "manifest"), check_plan.path, err);
  if (m)
    bt_remote_tables(m);
  return m;
}

/* ---------------------------------------------------------------- what tests do to it */

static bool not_pinged(void *arg) { return !((struct session *)arg)->remote.pinged; }

void check_wire_settle(struct check_host *host) {
  struct session *s = session_of(host);
  check_turn(s->loop, hang_ms, not_pinged, s); /* one that was sent before says nothing of what was sent since */
  on_ping(s);
  check_turn(s->loop, hang_ms, not_pinged, s);
}

void check_wire_send(struct check_host *host, json_t *head_steal, const void *bytes, size_t len, bool in_pieces) {
  struct session *s = session_of(host);
  if (!in_pieces) {
    bt_remote_send(&s->remote, head_steal, bytes, len);
    return;
  }
  BT_AUTO_BUF out = {0};
  bt_wire_put(&out, head_steal, bytes, len);
  check_turn(s->loop, 20, NULL, NULL); /* nothing else waits to be written now */
  for (size_t at = 0; at < out.len;) {
    size_t n = at < pieces ? 1 : out.len - at;
    ssize_t done = write(s->remote.process.wire, out.data + at, n);
    at += done > 0 ? (size_t)done : 0;
    if (done < 0 && errno != EAGAIN && errno != EINTR)
      break;
    usleep(piece_pause_us);
  }
}

bool check_wire_hang_up(struct check_host *host, int ms) {
  struct session *s = session_of(host);
  s->stopping = s->over = true;
  bt_timer_clear(s->remote.ping);
  bt_link_free(&s->remote.link);
  return check_turn(s->loop, ms, gone, s);
}

static int count(const char *format, pid_t pid) {
  char path[64];
  int n = 0;
  snprintf(path, sizeof path, format, (int)pid);
  DIR *dir = opendir(path);
  for (struct dirent *e; dir && (e = readdir(dir));)
    n += e->d_name[0] != '.';
  if (dir)
    closedir(dir);
  return n;
}

static int children_of(pid_t pid) {
  char path[64], text[4096];
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
  FILE *f = fopen(path, "re");
  size_t got = f ? fread(text, 1, sizeof text, f) : 0;
  int n = 0;
  for (size_t i = 0; i < got; i++)
    n += text[i] == ' ';
  if (f)
    fclose(f);
  return n;
}

struct check_usage check_wire_usage(const struct check_host *host) {
  pid_t pid = session_of(host)->remote.process.pid;
  char path[64];
  long long pages = 0, shared = 0;
  snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
  FILE *f = fopen(path, "re");
  if (f && fscanf(f, "%*s %lld %lld", &pages, &shared) != 2)
    pages = shared = 0;
  if (f)
    fclose(f);
  return (struct check_usage){.descriptors = count("/proc/%d/fd", pid),
                              .threads = count("/proc/%d/task", pid),
                              .children = children_of(pid),
                              .bytes = (pages - shared) * sysconf(_SC_PAGESIZE)};
}
