#include "config.h"
#include "cli/live.h"

#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"
#include "cli/sse.h"
#include "cli/target.h"

enum { poll_ms = 2000, redraw_ms = 120, settle_ms = 30 };

struct live {
  struct bt_cli *cli;
  const struct bt_live_options *options;
  bool gone; /* wait for the app's end instead */
  bool fancy, asking;
  bool soon; /* ask again as soon as the answer at hand is there */
  int64_t begun_ms;
  json_t *instances;       /* object: id -> instance, of this app */
  json_t *pages;           /* the same, of the pages of the list that is being read */
  char *cursor;            /* of the next page; NULL: the first */
  json_t *revision;        /* NULL before it was read */
  struct bt_map *progress; /* id -> text */
  struct bt_map *shown;    /* id -> the line last printed, where lines are printed */
  size_t wide;             /* the longest id so far, for straight columns */
  size_t drawn;            /* lines on the terminal that are redrawn */
  unsigned spin;
  struct bt_sse sse;
  struct bt_timer *poll, *redraw, *deadline;
  bool done;
  int exit_code;
  struct bt_err *err;
};

static struct live *at_work; /* for the signal's callback, which outlives a live */

static void finish(struct live *live, int exit_code) {
  if (live->done)
    return;
  live->done = true;
  live->exit_code = exit_code;
  bt_loop_stop(live->cli->conn->loop);
}

static bool of_app(const struct live *live, const json_t *object) {
  return bt_streq(bt_json_str(object, "app"), live->options->app) &&
         bt_streq(bt_json_str_or(object, "namespace", live->cli->namespace_), live->cli->namespace_);
}

/* ---------------------------------------------------------------- showing */

static double elapsed(const struct live *live) { return (double)(bt_clock_mono_ms() - live->begun_ms) / 1000; }

/* One line on standard output for an instance that changed; nothing for what says the same as before, but for its countdown. */
static void print_change(struct live *live, const char *id, const json_t *instance) {
  BT_AUTO_FREE char *lasting = instance ? bt_live_words(instance, NULL, INT64_MAX) : bt_strdup("removed");
  const char *before = bt_map_get(live->shown, id);
  if (live->fancy || bt_streq(before, lasting) || (!before && !instance))
    return;
  BT_AUTO_FREE char *words = instance ? bt_live_words(instance, NULL, bt_clock_wall_ms()) : bt_strdup("removed");
  bt_map_set(live->shown, id, bt_steal(lasting));
  BT_AUTO_BUF line = {0};
  bt_out_clean(&line, words);
  live->wide = BT_MAX(live->wide, strlen(id));
  bt_cli_say("%6.1fs  %-*s  %s\n", elapsed(live), (int)live->wide, id, line.data);
}

static const char *mark(const struct live *live, const json_t *instance, enum bt_color *color) {
  static const char *const wheel[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
  const char *state = bt_json_str_or(instance, "state", "");
  *color = bt_live_settled(instance) ? BT_GREEN : strcmp(state, "failed") == 0 ? BT_RED : BT_YELLOW;
  return *color == BT_GREEN ? "✔" : *color == BT_RED ? "✘" : wheel[live->spin % BT_COUNT(wheel)];
}

static void add_row(const struct live *live, struct bt_table *table, const char *id, const json_t *instance) {
  enum bt_color color;
  const char *sign = mark(live, instance, &color);
  BT_AUTO_FREE char *words = bt_live_words(instance, bt_map_get(live->progress, id), bt_clock_wall_ms());
  BT_AUTO_FREE char *label = bt_target_label(instance, live->options->app);
  bt_table_add(table, sign, color);
  bt_table_add(table, label, BT_PLAIN);
  bt_table_add(table, words, color == BT_RED ? BT_RED : BT_PLAIN);
}

static size_t terminal_rows(void) {
  struct winsize size;
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 4 ? size.ws_row : 24;
}

/* The rows that fit, those still at work first; how many settled ones were left out is in *hidden. */
static void add_rows(const struct live *live, struct bt_table *table, size_t *hidden) {
  size_t room = terminal_rows() - 3, shown = 0;
  static const char *const head[] = {"", "INSTANCE", "STATE"};
  bt_table_head(table, BT_COUNT(head), head);
  *hidden = 0;
  for (int settled = json_object_size(live->instances) > room ? 0 : -1; settled < 2; settled += settled < 0 ? 3 : 1) {
    const char *id;
    json_t *instance;
    json_object_foreach(live->instances, id, instance) {
      if (settled >= 0 && bt_live_settled(instance) != (settled == 1))
        continue;
      if (shown++ < room)
        add_row(live, table, id, instance);
      else
        ++*hidden;
    }
  }
}

static size_t settled_count(const struct live *live) {
  size_t n = 0;
  const char *id;
  json_t *instance;
  json_object_foreach(live->instances, id, instance) n += bt_live_settled(instance);
  return n;
}

static void draw(struct live *live) {
  if (!live->fancy)
    return;
  BT_AUTO_TABLE table = {0};
  BT_AUTO_BUF out = {0};
  size_t hidden;
  add_rows(live, &table, &hidden);
  if (live->drawn)
    bt_buf_addf(&out, "\033[%zuA\033[J", live->drawn);
  BT_AUTO_FREE char *title = live->gone
                                 ? bt_asprintf("%s: removing, %.1fs\n", live->options->app, elapsed(live))
                                 : bt_asprintf("%s, revision %lld: %zu of %zu ready, %.1fs\n", live->options->app,
                                               live->options->revision, settled_count(live),
                                               json_object_size(live->instances), elapsed(live));
  bt_out_color(&out, true, BT_BOLD, title);
  size_t begin = out.len;
  bt_table_render(&table, bt_out_width(STDOUT_FILENO), true, &out);
  if (hidden)
    bt_buf_addf(&out, "   … and %zu more\n", hidden);
  live->drawn = 1;
  for (size_t i = begin; i < out.len; i++)
    live->drawn += out.data[i] == '\n';
  bt_out_write(STDOUT_FILENO, &out);
}

/* ---------------------------------------------------------------- what the server says */

/* Whether another attempt took the place of this one: a job's that is tried again. */
static bool superseded(const struct live *live, const json_t *instance) {
  const char *id;
  json_t *other;
  json_object_foreach(live->instances, id, other) {
    if (bt_streq(bt_json_str(other, "service"), bt_json_str(instance, "service")) &&
        bt_json_int(other, "slot", 0) == bt_json_int(instance, "slot", 0) &&
        bt_json_int(other, "attempt", 0) > bt_json_int(instance, "attempt", 0))
      return true;
  }
  return false;
}

/* A revision that was deployed may have fallen since: 0 where all its instances are well, BT_EXIT_NO where one ended for good,
 * -1 where one is on its way back. */
static int standing(const struct live *live) {
  int standing = 0;
  const char *id;
  json_t *instance;
  json_object_foreach(live->instances, id, instance) {
    if (bt_live_settled(instance) || bt_json_bool(instance, "leaving", false) || superseded(live, instance))
      continue;
    if (bt_json_bool(instance, "ended", false))
      return BT_EXIT_NO;
    standing = -1;
  }
  return standing;
}

static void judge(struct live *live) {
  const char *state = bt_json_str_or(live->revision, "state", "");
  if (live->gone)
    return;
  int now = strcmp(state, "deployed") == 0 ? standing(live) : -1;
  if (now >= 0)
    finish(live, now);
  else if (strcmp(state, "failed") == 0)
    finish(live, BT_EXIT_NO);
  else if (strcmp(state, "superseded") == 0)
    finish(live, bt_code_exit(BT_CONFLICT));
}

static void set_instance(struct live *live, const char *id, json_t *instance) {
  print_change(live, id, instance);
  if (instance)
    json_object_set(live->instances, id, instance);
  else
    json_object_del(live->instances, id);
}

static void ask_soon(struct live *live) {
  if (live->asking)
    live->soon = true;
  else
    bt_timer_set(live->poll, settle_ms);
}

static void replace_object(json_t **slot, const json_t *value) {
  json_decref(*slot);
  *slot = value ? json_deep_copy(value) : NULL;
}

/* Above the lines that are redrawn, so that it stays. */
static void print_warning(struct live *live, const json_t *event) {
  BT_AUTO_BUF out = {0};
  if (live->drawn)
    bt_buf_addf(&out, "\033[%zuA\033[J", live->drawn);
  bt_buf_adds(&out, "warning: ");
  bt_buf_adds(&out, bt_json_str_or(event, "message", ""));
  bt_buf_adds(&out, "\n");
  live->drawn = 0;
  bt_out_write(live->fancy ? STDOUT_FILENO : STDERR_FILENO, &out);
  draw(live);
}

/* A change from the watch: the object itself, or null where it is gone ("ns/app/…/id" is its key then). */
static void change(struct live *live, const char *kind, const json_t *data) {
  const char *key = bt_json_str_or(data, "key", "");
  json_t *value = bt_json_obj(data, "value");
  if (strcmp(kind, "instance") == 0) {
    const char *slash = strrchr(key, '/'), *id = slash ? slash + 1 : key;
    if (value ? !of_app(live, value) : !json_object_get(live->instances, id))
      return;
    set_instance(live, value ? bt_json_str_or(value, "instance", id) : id, value);
    if (bt_streq(bt_json_str(live->revision, "state"), "deployed"))
      ask_soon(live); /* what held it up may be over */
  } else if (value && of_app(live, value) && strcmp(kind, "revision") == 0 &&
             bt_json_int(value, "revision", -1) == live->options->revision) {
    ask_soon(live); /* after its instances: they may come later in the same batch */
  } else if (value && of_app(live, value) && strcmp(bt_json_str_or(value, "type", ""), "instance.warning") == 0) {
    print_warning(live, value);
  } else if (!value && strcmp(kind, "app") == 0 && live->gone) {
    ask_soon(live); /* perhaps ours */
  }
}

static void progress(struct live *live, const json_t *data) {
  const char *id = bt_json_str(data, "instance"), *text = bt_json_str(data, "text");
  if (!id || !json_object_get(live->instances, id))
    return;
  long long current = bt_json_int(data, "current", 0), total = bt_json_int(data, "total", 0);
  char a[32], b[32];
  bt_map_set(live->progress, id,
             total > 0 ? bt_asprintf("%s, %s of %s", text ? text : "", bt_out_bytes(current, a), bt_out_bytes(total, b))
                       : bt_strdup(text ? text : ""));
}

static void on_event(void *arg, const struct bt_sse_event *event) {
  struct live *live = arg;
  BT_AUTO_JSON data = bt_json_parse(event->data, strlen(event->data), 0, 0, "event", NULL);
  if (!data || live->done)
    return;
  if (strcmp(event->type, "progress") == 0)
    progress(live, data);
  else if (strcmp(event->type, "gap") == 0)
    ask_soon(live);
  else
    change(live, event->type, data);
}

static bool on_bytes(void *arg, const void *data, size_t len) {
  struct live *live = arg;
  bt_sse_feed(&live->sse, data, len);
  return true;
}

/* The watch ended: the poll goes on, and tells where the server is away. */
static void on_end(void *arg, const struct bt_err *err) {
  (void)err;
  (void)arg;
}

/* ---------------------------------------------------------------- asking */

static void ask_next(struct live *live) {
  live->asking = false;
  bt_timer_set(live->poll, live->soon ? settle_ms : poll_ms);
  live->soon = false;
}

static void ask_instances(struct live *live);

static void take_instances(struct live *live) {
  const char *id;
  void *next;
  json_t *instance, *now = live->pages;
  json_object_foreach_safe(live->instances, next, id, instance) if (!json_object_get(now, id)) set_instance(live, id, NULL);
  json_object_foreach(now, id, instance) live->wide = BT_MAX(live->wide, strlen(id));
  json_object_foreach(now, id, instance) set_instance(live, id, instance);
}

static void forget_pages(struct live *live) {
  json_object_clear(live->pages);
  bt_str_set(&live->cursor, NULL);
}

static void got_instances(void *arg, const json_t *answer, struct bt_err *err) {
  struct live *live = arg;
  if (live->done || err) {
    forget_pages(live);
    if (!live->done)
      ask_next(live);
    return;
  }
  size_t i;
  json_t *instance;
  json_array_foreach(json_is_array(answer) ? answer : bt_json_arr(answer, "items"), i, instance) if (of_app(live, instance))
      json_object_set(live->pages, bt_json_str_or(instance, "instance", ""), instance);
  const char *next = json_is_object(answer) ? bt_json_str(answer, "next") : NULL;
  if (next && !bt_streq(next, live->cursor)) { /* else a broken server has us ask for ever */
    bt_str_set(&live->cursor, next);
    ask_instances(live);
    return;
  }
  take_instances(live);
  forget_pages(live);
  judge(live); /* after the instances, so that what is shown last is how it ended */
  ask_next(live);
}

static void ask_instances(struct live *live) {
  BT_AUTO_FREE char *path = bt_cli_path(live->cli, "instances", NULL);
  BT_AUTO_BUF url = {0};
  bt_buf_adds(&url, path);
  bt_url_query(&url, "app", live->options->app);
  bt_url_query(&url, "limit", "5000");
  bt_url_query(&url, "cursor", live->cursor);
  bt_conn_send(live->cli->conn, "GET", url.data, NULL, 0, got_instances, live);
}

static void got_object(void *arg, const json_t *answer, struct bt_err *err) {
  struct live *live = arg;
  if (live->done)
    return;
  if (err && live->gone && bt_err_code(err) == BT_NOT_FOUND) {
    finish(live, 0);
    return;
  }
  if (err && bt_err_code(err) != BT_UNAVAILABLE) {
    bt_err_set(&live->err, bt_err_code(err), "%s", bt_err_message(err));
    finish(live, -1);
    return;
  }
  if (err) { /* a server that starts again takes up where it was */
    ask_next(live);
    return;
  }
  replace_object(&live->revision, live->gone ? NULL : answer);
  ask_instances(live);
}

static void on_poll(void *arg) {
  struct live *live = arg;
  if (live->asking || live->done)
    return;
  live->asking = true;
  char number[24];
  snprintf(number, sizeof number, "%lld", live->options->revision);
  BT_AUTO_FREE char *path = live->gone
                                ? bt_cli_path(live->cli, "apps", live->options->app, NULL)
                                : bt_cli_path(live->cli, "apps", live->options->app, "revisions", number, NULL);
  bt_conn_send(live->cli->conn, "GET", path, NULL, 0, got_object, live);
}

static void on_redraw(void *arg) {
  struct live *live = arg;
  live->spin++;
  draw(live);
  bt_timer_set(live->redraw, redraw_ms);
}

static void on_deadline(void *arg) { finish(arg, bt_code_exit(BT_DEADLINE)); }

static void on_interrupt(void *arg) {
  (void)arg;
  if (at_work)
    finish(at_work, bt_code_exit(BT_CANCELLED));
}

/* ---------------------------------------------------------------- the end */

static void tell_unsettled(const struct live *live) {
  const char *id;
  json_t *instance;
  int left = 8;
  json_object_foreach(live->instances, id, instance) {
    if (bt_live_settled(instance) || left-- <= 0)
      continue;
    BT_AUTO_FREE char *words = bt_live_words(instance, NULL, bt_clock_wall_ms());
    BT_AUTO_FREE char *line = bt_asprintf("  %s: %s\n", id, words);
    bt_cli_tell(line);
  }
}

static void tell_next(const struct live *live) {
  const char *app = live->options->app, *id, *service = NULL;
  json_t *instance;
  json_object_foreach(live->instances, id, instance) {
    bool failed = bt_streq(bt_json_str(instance, "state"), "failed"); /* others may only wait for it */
    if (!bt_live_settled(instance) && (!service || failed))
      service = bt_json_str(instance, "service");
  }
  if (service)
    fprintf(stderr, "Next: berth why %s/%s, berth logs %s/%s\n", app, service, app, service);
  else
    fprintf(stderr, "Next: berth why %s\n", app);
}

/* A failed update may be on its way back: the app says so. */
static void tell_rollback(const struct live *live) {
  BT_AUTO_FREE char *path = bt_cli_path(live->cli, "apps", live->options->app, NULL);
  BT_AUTO_JSON app = NULL;
  if (bt_conn_call(live->cli->conn, "GET", path, NULL, 0, &app, NULL))
    return;
  if (bt_streq(bt_json_str(app, "state"), "rolling-back"))
    fprintf(stderr, "Berth brings back revision %lld by itself.\n", bt_json_int(app, "target", 0));
}

static void tell_failed(const struct live *live) {
  const char *reason = bt_json_str(live->revision, "reason");
  bt_cli_note("%s, revision %lld is not up%s%s", live->options->app, live->options->revision, reason ? ": " : "",
              reason ? reason : "");
  tell_unsettled(live);
  tell_rollback(live);
  tell_next(live);
}

static void tell_end(struct live *live) {
  const char *app = live->options->app;
  if (live->exit_code == 0 && live->gone) {
    bt_cli_say("%s is gone, %.1fs\n", app, elapsed(live));
  } else if (live->exit_code == 0) {
    bt_cli_say("%s, revision %lld is up: %zu instance%s ready, %.1fs\n", app, live->options->revision,
               settled_count(live), settled_count(live) == 1 ? "" : "s", elapsed(live));
  } else if (live->exit_code == bt_code_exit(BT_CANCELLED)) {
    fprintf(stderr, "\nLeft: the server goes on with %s by itself. Look again with \"berth ps %s\".\n", app, app);
  } else if (live->exit_code == bt_code_exit(BT_DEADLINE)) {
    bt_cli_note("%s is not %s after %.0f s; the server goes on", app, live->gone ? "gone" : "up", elapsed(live));
    tell_unsettled(live);
    tell_next(live);
  } else if (live->exit_code == bt_code_exit(BT_CONFLICT)) {
    bt_cli_note("another change took the place of revision %lld: see \"berth history %s\"", live->options->revision, app);
  } else if (live->exit_code == BT_EXIT_NO) {
    tell_failed(live);
  }
}

static void begin(struct live *live) {
  struct bt_loop *loop = live->cli->conn->loop;
  live->poll = bt_timer_new(loop, "poll", on_poll, live);
  live->redraw = bt_timer_new(loop, "redraw", on_redraw, live);
  live->deadline = bt_timer_new(loop, "deadline", on_deadline, live);
  live->sse.event = on_event;
  live->sse.arg = live;
  at_work = live;
  bt_loop_on_signal(loop, SIGINT, on_interrupt, NULL);
  bt_loop_on_signal(loop, SIGTERM, on_interrupt, NULL);
  bt_conn_stream(live->cli->conn, &(struct bt_conn_stream){.path = "/v1/watch?kinds=app,revision,instance,event",
                                                           .accept = "text/event-stream",
                                                           .data = on_bytes, .end = on_end, .arg = live});
  bt_timer_set(live->poll, 0);
  if (live->fancy)
    bt_timer_set(live->redraw, 0);
  if (live->options->timeout_ms > 0)
    bt_timer_set(live->deadline, live->options->timeout_ms);
}

static int follow(struct live *live, struct bt_err **err) {
  live->begun_ms = bt_clock_mono_ms();
  live->fancy = bt_out_fancy(STDOUT_FILENO);
  live->instances = json_object();
  live->pages = json_object();
  live->progress = bt_map_new(free);
  live->shown = bt_map_new(free);
  begin(live);
  bt_loop_run(live->cli->conn->loop);
  draw(live);
  at_work = NULL;
  bt_conn_cancel(live->cli->conn);
  tell_end(live);
  bt_timer_free(&live->poll);
  bt_timer_free(&live->redraw);
  bt_timer_free(&live->deadline);
  bt_sse_free(&live->sse);
  bt_map_free(&live->progress);
  bt_map_free(&live->shown);
  json_decref(live->instances);
  json_decref(live->pages);
  free(live->cursor);
  json_decref(live->revision);
  return live->exit_code < 0 ? bt_err_move(err, live->err) : live->exit_code;
}

int bt_live_follow(struct bt_cli *cli, const struct bt_live_options *options, struct bt_err **err) {
  struct live live = {.cli = cli, .options = options};
  return follow(&live, err);
}

int bt_live_gone(struct bt_cli *cli, const struct bt_live_options *options, struct bt_err **err) {
  struct live live = {.cli = cli, .options = options, .gone = true};
  return follow(&live, err);
}
