#include "config.h"
#include "plugin/remote.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "loop/loop.h"
#include "plugin/complain.h"

enum {
  hello_ms = 10000,
  start_ms = 30000,
  stop_ms = 3000,
  last_words_ms = 200,      /* from the end of the process to that of the link, and the other way round */
  ping_ms = 1000,
  hang_ms = 5000,
  finish_ms = 1000,
  budget = 64,              /* messages a turn */
  turn_ms = 5,
  pause_ms = 2,             /* after a turn that was full */
  max_out = 160 * 1024 * 1024, /* two of the largest messages, and some */
  max_line = 1024,
  max_step = 16,
  max_text = 4096           /* of a line for the log, and of a sentence */
};

static const char *label(const struct bt_remote *r) { return r->entry ? r->entry->cell->label : "plugin"; }

static bool offers(const struct berth_host *host, const char *id) {
  const struct bt_plugin *entry = ((const struct bt_host_cell *)host)->entry;
  return entry && bt_host_offers(entry->plugins->server, id);
}

static const struct bt_remote_services server_services = {.http = &bt_service_http,
                                                          .kv = &bt_service_kv,
                                                          .secret = &bt_service_secret,
                                                          .metrics = &bt_service_metrics,
                                                          .events = &bt_service_events,
                                                          .routes = &bt_service_routes,
                                                          .query = &bt_service_query,
                                                          .finish = bt_ops_finish,
                                                          .emit = bt_ops_emit,
                                                          .reply = bt_ops_reply,
                                                          .offers = offers};

/* ---------------------------------------------------------------- its end */

static void free_remote(struct bt_remote *r) {
  bt_remote_handles_free(r);
  bt_link_free(&r->link);
  bt_watch_free(&r->exit_watch);
  bt_watch_free(&r->err_watch);
  bt_timer_free(&r->timer);
  bt_timer_free(&r->ping);
  bt_closep(&r->process.pidfd);
  bt_closep(&r->process.err);
  bt_closep(&r->process.report);
  bt_confinement_free(&r->confinement);
  bt_map_free(&r->asked);
  bt_vec_free(&r->inputs);
  bt_buf_free(&r->err_line);
  json_decref(r->config);
  free(r->why);
  free(r);
}

static void leave_list(struct bt_remote *r) {
  for (struct bt_remote **p = &r->plugins->leaving; *p; p = &(*p)->next)
    if (*p == r) {
      *p = r->next;
      return;
    }
}

static char *describe_end(const struct bt_remote *r) {
  if (r->why)
    return bt_strdup(r->why);
  if (WIFSIGNALED(r->status) && WTERMSIG(r->status) == SIGXCPU)
    return bt_strdup("used more processor time than its limit");
  if (WIFSIGNALED(r->status))
    return bt_asprintf("was killed by signal %d (%s)", WTERMSIG(r->status), strsignal(WTERMSIG(r->status)));
  return bt_asprintf("exited with status %d", WEXITSTATUS(r->status));
}

/* Process and link are gone: the entry hears of it. */
static void over(struct bt_remote *r) {
  if (r->state == BT_REMOTE_STOPPING) {
    leave_list(r);
    free_remote(r);
    return;
  }
  BT_AUTO_FREE char *why = describe_end(r);
  bt_entry_lost(r->entry, why);
}

static void look_for_end(struct bt_remote *r) {
  if (r->exited && r->ended) {
    over(r);
  } else if (r->exited || r->ended) {
    bt_timer_set(r->timer, last_words_ms);
    bt_timer_clear(r->ping);
  }
}

static void link_ended(struct bt_remote *r) {
  r->ended = true;
  bt_link_free(&r->link);
}

static void on_link_end(void *arg, const char *why) {
  struct bt_remote *r = arg;
  bool by_itself = strcmp(why, "it ended") == 0;
  link_ended(r);
  if (!by_itself) {
    if (!r->why)
      r->why = bt_strdup(bt_starts(why, "it ") ? why + 3 : why);
    if (!r->exited)
      bt_spawn_kill(&r->process);
  }
  look_for_end(r);
}

static bool reap(struct bt_remote *r, int options) {
  if (!r->exited && bt_spawn_reap(&r->process, options, &r->status)) {
    r->exited = true;
    bt_watch_free(&r->exit_watch);
  }
  return r->exited;
}

static void on_exit_fd(void *arg, int fd, int events) {
  (void)fd, (void)events;
  struct bt_remote *r = arg;
  if (reap(r, WNOHANG))
    look_for_end(r);
}

/* Kills it with this as the reason: bt_entry_lost comes, not from inside. */
static void kill_it(struct bt_remote *r, const char *why) {
  if (!r->why)
    r->why = bt_strdup(why);
  if (!r->exited)
    bt_spawn_kill(&r->process);
}

/* Something took too long. */
static void on_timer(void *arg) {
  struct bt_remote *r = arg;
  if (r->exited) { /* where the link has not ended, a process of its own still holds it */
    link_ended(r);
    over(r);
    return;
  }
  if (r->ended)
    kill_it(r, "closed its link");
  else
    kill_it(r, r->state == BT_REMOTE_HELLO      ? "did not say hello within 10 s"
               : r->state == BT_REMOTE_STARTING ? "did not start within 30 s"
                                                : "did not stop within 3 s");
}

/* ---------------------------------------------------------------- is it alive? */

static void check_memory(struct bt_remote *r) {
  int64_t limit = r->entry->isolation.memory ? r->entry->isolation.memory : 256ll << 20;
  int64_t used = bt_confinement_memory(&r->confinement);
  if (used <= limit)
    return;
  BT_AUTO_FREE char *text =
      bt_asprintf("used %lld MiB of memory; its limit is %lld MiB", (long long)used >> 20, (long long)limit >> 20);
  kill_it(r, text);
}

static void on_ping(void *arg) {
  struct bt_remote *r = arg;
  int64_t now = bt_clock_mono_ms();
  if (r->pinged && now - r->pinged_ms >= hang_ms) {
    kill_it(r, "hung: it did not answer for 5 s (a callback that blocks)");
    return;
  }
  if (!r->pinged) {
    r->pinged = true;
    r->pinged_ms = now;
    bt_remote_send(r, bt_remote_message("ping", (berth_handle)++r->last_id), NULL, 0);
  }
  check_memory(r);
  bt_timer_set(r->ping, ping_ms);
}

/* ---------------------------------------------------------------- its standard error */

static void say_line(struct bt_remote *r) {
  if (r->err_line.len && (!r->entry || bt_may_say(&r->entry->cell->host)))
    bt_warn(label(r), "%s", r->err_line.data);
  r->err_line.len = 0;
}

static void on_err(void *arg, int fd, int events) {
  (void)events;
  struct bt_remote *r = arg;
  char chunk[4096];
  ssize_t n = read(fd, chunk, sizeof chunk);
  if (n == 0)
    bt_watch_free(&r->err_watch);
  for (ssize_t i = 0; i < n; i++) {
    if (chunk[i] != '\n' && chunk[i])
      bt_buf_addc(&r->err_line, chunk[i]);
    if (chunk[i] == '\n' || r->err_line.len >= max_line)
      say_line(r);
  }
}

/* ---------------------------------------------------------------- what it says of itself */

/* A text that people are to read: what is longer than a page is cut, where a character begins. The caller frees. */
static char *short_text(const json_t *head, const char *key, const char *or) {
  const char *text = bt_json_str_or(head, key, or);
  size_t n = strnlen(text, max_text + 1);
  if (n <= max_text)
    return bt_strdup(text);
  for (n = max_text; n && ((unsigned char)text[n] & 0xc0) == 0x80;)
    n--;
  return bt_asprintf("%.*s… (cut)", (int)n, text);
}

static void broke_contract(struct bt_remote *r, const char *what) {
  BT_AUTO_FREE char *why = bt_asprintf("broke the contract: %.200s", what);
  kill_it(r, why);
}

static void on_hello(struct bt_remote *r, const json_t *head) {
  if (r->state != BT_REMOTE_HELLO) {
    broke_contract(r, "it said hello twice");
    return;
  }
  r->state = BT_REMOTE_READY;
  bt_timer_clear(r->timer);
  bt_confinement_take(&r->process.report, &r->confinement);
  r->can_reload = bt_json_bool(head, "reload", false);
  if (bt_json_int(head, "wire", 0) != BT_WIRE_VERSION) {
    BT_AUTO_FREE char *why = bt_asprintf("it speaks version %lld of the wire; this Berth %s speaks %d", bt_json_int(head, "wire", 0),
                                         PACKAGE_VERSION, BT_WIRE_VERSION);
    bt_entry_refused(r->entry, why);
    return;
  }
  bt_entry_hello(r->entry, bt_json_obj(head, "manifest"));
}

static void on_refused(struct bt_remote *r, const json_t *head) {
  BT_AUTO_FREE char *why = short_text(head, "message", "it cannot be loaded");
  if (r->state == BT_REMOTE_HELLO)
    bt_entry_refused(r->entry, why);
  else
    broke_contract(r, "\"refused\" comes in place of hello only");
}

static void on_done(struct bt_remote *r, const json_t *head) {
  if (!r->config_id || bt_json_int(head, "id", 0) != r->config_id)
    return; /* of an older question, or of stop */
  BT_AUTO_JSON config = bt_steal(r->config);
  bool starting = r->state == BT_REMOTE_STARTING;
  enum bt_code code = bt_code_from_name(bt_json_str_or(head, "code", "internal"));
  r->config_id = 0;
  bt_timer_clear(r->timer);
  if (starting && code == BT_OK) {
    r->state = BT_REMOTE_RUNNING;
    bt_timer_set(r->ping, ping_ms);
  }
  BT_AUTO_FREE char *message = short_text(head, "message", "");
  const char *step = bt_json_str_or(head, "step", "start");
  bt_entry_configured(r->entry, config, starting, code, strlen(step) > max_step ? "start" : step, message);
}

static void on_log(struct bt_remote *r, const json_t *head) {
  const char *level = bt_json_str_or(head, "level", "info");
  enum berth_log_level n = !strcmp(level, "debug")  ? BERTH_LOG_DEBUG
                           : !strcmp(level, "info") ? BERTH_LOG_INFO
                           : !strcmp(level, "warn") ? BERTH_LOG_WARN
                                                    : BERTH_LOG_ERROR;
  BT_AUTO_FREE char *text = short_text(head, "text", "");
  if (bt_may_say(&r->entry->cell->host))
    bt_service_log.log(&r->entry->cell->host, n, text);
}

/* What is said while it stops, or of an entry that runs in another process by now: its last words and its keys. */
static void hear_leaving(struct bt_remote *r, const struct bt_message *m) {
  if (!r->entry)
    return;
  if (strcmp(m->type, "log") == 0)
    on_log(r, m->head);
  else if (bt_starts(m->type, "kv."))
    bt_remote_service_message(r, m);
}

static void on_message(void *arg, const struct bt_message *m) {
  struct bt_remote *r = arg;
  if (r->why)
    return; /* it is being killed: what it says does not count */
  if (strcmp(m->type, "pong") == 0)
    r->pinged = false;
  else if (r->state == BT_REMOTE_STOPPING)
    hear_leaving(r, m);
  else if (strcmp(m->type, "hello") == 0)
    on_hello(r, m->head);
  else if (strcmp(m->type, "refused") == 0)
    on_refused(r, m->head);
  else if (r->state == BT_REMOTE_HELLO)
    broke_contract(r, "its first message is no hello");
  else if (strcmp(m->type, "log") == 0)
    on_log(r, m->head);
  else if (strcmp(m->type, "done") == 0)
    on_done(r, m->head);
  else if (!bt_remote_call_message(r, m) && !bt_remote_http_message(r, m) && !bt_remote_service_message(r, m)) {
    BT_AUTO_FREE char *what = bt_asprintf("there is no message \"%.64s\"", m->type);
    broke_contract(r, what);
  }
}

/* ---------------------------------------------------------------- life */

struct bt_remote *bt_remote_new(struct bt_plugin *entry, struct bt_err **err) {
  struct bt_remote *r = bt_new(struct bt_remote);
  r->plugins = entry->plugins;
  r->entry = entry;
  r->confinement.status = -1;
  r->host = &entry->cell->host;
  r->services = &server_services;
  if (bt_spawn(&entry->isolation, entry->cell->name, entry->path, &r->process, err) != 0) {
    free(r);
    return NULL;
  }
  struct bt_loop *loop = entry->plugins->loop;
  const char *name = entry->cell->label;
  struct bt_link_setup setup = {.loop = loop,
                                .name = name,
                                .in = r->process.wire,
                                .out = r->process.wire,
                                .max_json = BT_WIRE_MAX_JSON_IN,
                                .max_out = max_out,
                                .budget = budget,
                                .turn_ms = turn_ms,
                                .pause_ms = pause_ms,
                                .on_message = on_message,
                                .on_end = on_link_end,
                                .arg = r};
  r->link = bt_link_new(&setup);
  r->exit_watch = bt_watch_new(loop, name, r->process.pidfd, BT_WATCH_READ, on_exit_fd, r);
  r->err_watch = bt_watch_new(loop, name, r->process.err, BT_WATCH_READ, on_err, r);
  r->timer = bt_timer_new(loop, name, on_timer, r);
  r->ping = bt_timer_new(loop, name, on_ping, r);
  bt_timer_set(r->timer, hello_ms);
  return r;
}

static json_t *services_json(const struct bt_plugins *plugins) {
  json_t *list = json_array();
  for (size_t i = 0; bt_host_service_id(i); i++)
    if (bt_host_offers(plugins->server, bt_host_service_id(i)))
      json_array_append_new(list, json_string(bt_host_service_id(i)));
  return list;
}

void bt_remote_configure(struct bt_remote *r, json_t *config) {
  bool start = r->state == BT_REMOTE_READY;
  json_t *head = bt_remote_message(start ? "start" : "reload", (berth_handle)++r->last_id);
  if (start) {
    r->state = BT_REMOTE_STARTING;
    bt_json_set_str(head, "name", r->entry->cell->name);
    bt_json_set_str(head, "version", PACKAGE_VERSION);
    bt_json_set_int(head, "abi", BERTH_ABI);
    bt_json_set(head, "services", services_json(r->plugins));
    bt_timer_set(r->timer, start_ms);
  }
  bt_json_set(head, "config", json_incref(config));
  json_decref(r->config);
  r->config = json_incref(config);
  r->config_id = r->last_id;
  bt_map_free(&r->asked);
  bt_remote_send(r, head, NULL, 0);
}

void bt_remote_stop(struct bt_remote **rp) {
  struct bt_remote *r = bt_steal(*rp);
  if (!r)
    return;
  bool running = r->state >= BT_REMOTE_STARTING && !r->why;
  r->state = BT_REMOTE_STOPPING;
  r->config_id = 0;
  bt_timer_clear(r->ping);
  bt_remote_handles_free(r);
  r->next = r->plugins->leaving;
  r->plugins->leaving = r;
  if (running)
    bt_remote_send(r, bt_remote_message("stop", (berth_handle)++r->last_id), NULL, 0);
  else if (!r->exited)
    bt_spawn_kill(&r->process);
  bt_timer_set(r->timer, r->exited || r->ended ? 0 : stop_ms);
}

void bt_remotes_forget(struct bt_plugin *entry) {
  for (struct bt_remote *r = entry->plugins->leaving; r; r = r->next)
    if (r->entry == entry) {
      r->entry = NULL;
      r->host = NULL;
    }
}

/* Hears it out: a plug-in may put its last keys while it stops. */
static void finish(struct bt_remote *r, int64_t until) {
  struct bt_message done;
  int64_t left = until - bt_clock_mono_ms();
  if (r->link && left > 0 && bt_link_await(r->link, "done", r->last_id, (int)left, &done)) {
    json_decref(done.head);
    bt_link_drain(r->link);
  }
  if (!r->exited)
    bt_spawn_kill(&r->process);
  reap(r, 0);
}

void bt_remotes_finish(struct bt_plugins *plugins) {
  int64_t until = bt_clock_mono_ms() + finish_ms;
  while (plugins->leaving) {
    struct bt_remote *r = plugins->leaving;
    finish(r, until);
    /* The drain may have ended and freed it. */
    if (plugins->leaving == r) {
      plugins->leaving = r->next;
      free_remote(r);
    }
  }
}
