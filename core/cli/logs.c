/* "berth logs": the lines of all instances that are meant, merged, each with its instance in front. Without -f they are put in
 * order of time; with it they come as they are written, and instances that appear later join. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"
#include "cli/cli.h"
#include "cli/sse.h"
#include "cli/target.h"

enum { max_kept = 64 << 20, max_log_line = 1 << 20, look_ms = 1000, max_failures = 10 };

struct logs;

struct source {
  struct logs *logs;
  char *label;
  char *app, *service, *instance;
  enum bt_color color;
  struct bt_buf line; /* a piece of ndjson */
  bool flows;
  int failures;       /* in a row, without a line */
  char *last_time;    /* of the last line: where to go on after the instance started again */
  int64_t last_ms, resumed_ms;
};

struct line {
  int64_t ms;
  size_t order;
  char *text; /* as printed */
};

struct logs {
  struct bt_cli *cli;
  char *here;
  bool follow, timestamps, prefix, fancy;
  struct bt_map *sources; /* instance id -> struct source */
  size_t width, open;
  BT_VEC(struct line) kept; /* of a merge by time */
  size_t kept_bytes;
  struct bt_timer *look;
  bool looking, started;
  struct bt_err *err;
};

static struct logs *at_work;

static void source_free(void *value) {
  struct source *source = value;
  free(source->label);
  free(source->app);
  free(source->service);
  free(source->instance);
  free(source->last_time);
  bt_buf_free(&source->line);
  free(source);
}

/* ---------------------------------------------------------------- lines */

static int by_time(const void *a, const void *b) {
  const struct line *x = a, *y = b;
  if (x->ms != y->ms)
    return x->ms < y->ms ? -1 : 1;
  return x->order < y->order ? -1 : x->order > y->order;
}

static void flush_kept(struct logs *logs) {
  BT_AUTO_BUF out = {0};
  if (logs->kept.len)
    qsort(logs->kept.items, logs->kept.len, sizeof *logs->kept.items, by_time);
  bt_vec_each(&logs->kept, line) {
    bt_buf_adds(&out, line->text);
    free(line->text);
  }
  logs->kept.len = logs->kept_bytes = 0;
  bt_out_write(STDOUT_FILENO, &out);
}

static void emit(struct logs *logs, int64_t ms, struct bt_buf *text) {
  if (logs->follow) {
    bt_out_write(STDOUT_FILENO, text);
    return;
  }
  logs->kept_bytes += text->len;
  struct line line = {.ms = ms, .order = logs->kept.len, .text = bt_buf_steal(text)};
  bt_vec_push(&logs->kept, line);
  if (logs->kept_bytes > max_kept) /* more than a person reads: order matters less than memory */
    flush_kept(logs);
}

/* A line for a person: whose it is, when it was where that is asked for, and its text. */
static void add_plain(const struct source *source, const char *time, const char *line, struct bt_buf *out) {
  const struct logs *logs = source->logs;
  if (logs->prefix) {
    BT_AUTO_FREE char *prefix = bt_asprintf("%-*s | ", (int)logs->width, source->label);
    bt_out_color(out, logs->fancy, source->color, prefix);
  }
  if (logs->timestamps && time)
    bt_buf_addf(out, "%s ", time);
  bt_buf_adds(out, line); /* as it is: colours of a program's own log are its business */
  if (!out->len || out->data[out->len - 1] != '\n')
    bt_buf_addc(out, '\n');
}

/* A line for a program: one object, whatever --timestamps and --no-prefix say. */
static void add_object(const struct source *source, const json_t *entry, const char *line, struct bt_buf *out) {
  BT_AUTO_JSON object = json_object();
  size_t n = strlen(line);
  BT_AUTO_FREE char *text = bt_strndup(line, n && line[n - 1] == '\n' ? n - 1 : n);
  bt_json_set_str(object, "time", bt_json_str(entry, "time"));
  bt_json_set_str(object, "app", source->app);
  bt_json_set_str(object, "service", source->service);
  bt_json_set_str(object, "instance", source->instance);
  bt_json_set_str(object, "stream", bt_json_str(entry, "stream"));
  bt_json_set_str(object, "text", text);
  BT_AUTO_FREE char *json = bt_json_text(object);
  bt_buf_addf(out, "%s\n", json);
}

static void on_line(struct source *source, const char *text, size_t len) {
  struct logs *logs = source->logs;
  BT_AUTO_JSON entry = bt_json_parse(text, len, 0, 0, "log line", NULL);
  const char *line = entry ? bt_json_str(entry, "line") : NULL, *time = entry ? bt_json_str(entry, "time") : NULL;
  if (!line)
    return;
  BT_AUTO_BUF out = {0};
  int64_t ms = 0;
  bool timed = time && bt_clock_parse(time, &ms);
  if (timed && ms <= source->resumed_ms)
    return; /* seen before the stream was opened again */
  if (timed && logs->follow) {
    bt_str_set(&source->last_time, time);
    source->last_ms = ms;
  }
  source->failures = 0;
  if (logs->cli->json)
    add_object(source, entry, line, &out);
  else
    add_plain(source, time, line, &out);
  emit(logs, ms, &out);
}

static bool on_data(void *arg, const void *data, size_t len) {
  struct source *source = arg;
  const char *p = data, *end = p + len;
  for (const char *nl; (nl = memchr(p, '\n', (size_t)(end - p))); p = nl + 1) {
    bt_buf_add(&source->line, p, (size_t)(nl - p));
    on_line(source, source->line.data, source->line.len);
    bt_buf_truncate(&source->line, 0);
  }
  if (source->line.len + (size_t)(end - p) < max_log_line)
    bt_buf_add(&source->line, p, (size_t)(end - p));
  return true;
}

/* ---------------------------------------------------------------- sources */

static void stop(struct logs *logs) { bt_loop_stop(logs->cli->conn->loop); }

/* While following, a stream that ends is opened again by the next look: its instance may only be starting (again). */
static void on_end(void *arg, const struct bt_err *err) {
  struct source *source = arg;
  struct logs *logs = source->logs;
  enum bt_code code = bt_err_code(err);
  logs->open--;
  source->flows = false;
  bool patient = logs->follow && code != BT_DENIED && code != BT_UNAUTHENTICATED && ++source->failures < max_failures;
  /* An instance that went away meanwhile is no error of the others'. */
  if (err && !patient && code != BT_CANCELLED && code != BT_NOT_FOUND && !logs->err)
    bt_err_set(&logs->err, code, "%s: %s", source->label, bt_err_message(err));
  if (logs->started && (logs->err || (!logs->open && !logs->follow)))
    stop(logs);
}

static void open_stream(struct logs *logs, struct source *source, const json_t *instance, const char *tail) {
  BT_AUTO_FREE char *path = bt_url_path("namespaces", bt_json_str_or(instance, "namespace", logs->cli->namespace_),
                                        "instances", bt_json_str_or(instance, "instance", ""), "logs", NULL);
  BT_AUTO_BUF url = {0};
  bt_buf_adds(&url, path);
  bt_url_query(&url, "follow", logs->follow ? "true" : NULL);
  bt_url_query(&url, "tail", source->last_time ? NULL : tail);
  bt_url_query(&url, "since", source->last_time ? source->last_time : bt_args_text(&logs->cli->args, "since"));
  bt_url_query(&url, "timestamps", "true");
  source->flows = true;
  source->resumed_ms = source->last_ms;
  bt_buf_truncate(&source->line, 0);
  logs->open++;
  bt_conn_stream(logs->cli->conn, &(struct bt_conn_stream){.path = url.data, .data = on_data, .end = on_end, .arg = source});
}

static void open_source(struct logs *logs, const json_t *instance, const char *tail) {
  static const enum bt_color wheel[] = {BT_CYAN, BT_YELLOW, BT_GREEN, BT_MAGENTA, BT_BLUE, BT_RED};
  struct source *source = bt_new(struct source);
  *source = (struct source){.logs = logs, .label = bt_target_label(instance, logs->here),
                            .app = bt_strdup(bt_json_str(instance, "app")), .service = bt_strdup(bt_json_str(instance, "service")),
                            .instance = bt_strdup(bt_json_str(instance, "instance")),
                            .color = wheel[bt_map_len(logs->sources) % BT_COUNT(wheel)]};
  logs->width = BT_MAX(logs->width, strlen(source->label));
  bt_map_set(logs->sources, bt_json_str_or(instance, "instance", ""), source);
  open_stream(logs, source, instance, tail);
}

/* ---------------------------------------------------------------- instances that come later */

/* What the arguments mean once more, for an instance that was not there before. */
static bool is_meant(const struct logs *logs, const json_t *instances, const json_t *instance) {
  const struct bt_strs *rest = &logs->cli->args.rest;
  if (!rest->len)
    return !logs->here || bt_streq(logs->here, bt_json_str(instance, "app"));
  for (size_t i = 0; i < rest->len; i++) {
    BT_AUTO_TARGET target = {0};
    if (bt_target_find(instances, logs->here, rest->items[i], &target, NULL) == 0 && bt_target_holds(&target, instance))
      return true;
  }
  return false;
}

/* Services with "attach: false" keep quiet until they are named themselves. */
static bool is_quiet(const struct logs *logs, const json_t *instances, const json_t *instance) {
  if (!bt_json_bool(instance, "detached", false))
    return false;
  bt_vec_each(&logs->cli->args.rest, word) {
    BT_AUTO_TARGET target = {0};
    if (bt_target_find(instances, logs->here, *word, &target, NULL) == 0 && (target.service || target.instance) &&
        bt_target_holds(&target, instance))
      return false;
  }
  return true;
}

static void got_instances(void *arg, const json_t *answer, struct bt_err *err) {
  struct logs *logs = arg;
  logs->looking = false;
  const json_t *items = err ? NULL : bt_json_arr(answer, "items");
  size_t i;
  json_t *instance;
  json_array_foreach(items, i, instance) {
    struct source *source = bt_map_get(logs->sources, bt_json_str_or(instance, "instance", ""));
    bool writes = bt_streq(bt_json_str(instance, "state"), "running");
    if (source && !source->flows && writes)
      open_stream(logs, source, instance, NULL);
    else if (!source && writes && !is_quiet(logs, items, instance) && is_meant(logs, items, instance))
      open_source(logs, instance, NULL);
  }
  if (!err || bt_err_code(err) != BT_CANCELLED)
    bt_timer_set(logs->look, look_ms);
}

static void on_look(void *arg) {
  struct logs *logs = arg;
  if (logs->looking)
    return;
  logs->looking = true;
  BT_AUTO_FREE char *path = bt_cli_path(logs->cli, "instances", NULL);
  BT_AUTO_FREE char *url = bt_asprintf("%s?limit=5000", path);
  bt_conn_send(logs->cli->conn, "GET", url, NULL, 0, got_instances, logs);
}

static void on_interrupt(void *arg) {
  (void)arg;
  if (at_work)
    stop(at_work);
}

/* ---------------------------------------------------------------- the verb */

static int run(struct logs *logs, const json_t *instances, struct bt_err **err) {
  struct bt_loop *loop = logs->cli->conn->loop;
  size_t i;
  json_t *instance;
  json_array_foreach(instances, i, instance) {
    BT_AUTO_FREE char *label = bt_target_label(instance, logs->here);
    if (!is_quiet(logs, instances, instance))
      logs->width = BT_MAX(logs->width, strlen(label));
  }
  json_array_foreach(instances, i, instance) if (!is_quiet(logs, instances, instance)) open_source(logs, instance, bt_args_text(&logs->cli->args, "tail"));
  logs->started = true;
  if (!logs->open && !logs->follow)
    return 0;
  logs->look = bt_timer_new(loop, "look", on_look, logs);
  if (logs->follow) {
    at_work = logs;
    bt_loop_on_signal(loop, SIGINT, on_interrupt, NULL);
    bt_timer_set(logs->look, look_ms);
  }
  bt_loop_run(loop);
  at_work = NULL;
  bt_timer_clear(logs->look);
  bt_conn_cancel(logs->cli->conn);
  bt_timer_free(&logs->look);
  flush_kept(logs);
  return logs->err ? bt_err_move(err, bt_steal(logs->err)) : 0;
}

/* As the server takes it, but refused before it is asked and in the words of the command line. */
static int check_since(const char *text, struct bt_err **err) {
  int64_t ms, ns;
  if (!text || bt_clock_parse(text, &ms) || (bt_duration_parse(text, &ns) && ns >= 0))
    return 0;
  return bt_err_set(err, BT_INVALID,
                    "--since takes a time such as 2026-11-23T06:00:00Z, or a duration back from now such as 10m, not \"%.40s\"", text);
}

int bt_verb_logs(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_JSON instances = NULL;
  const struct bt_args *args = &cli->args;
  long long tail;
  if (!bt_streq(bt_args_text(args, "tail"), "all") && bt_args_int(args, "tail", 0, 1000000, &tail, err))
    return -1;
  if (check_since(bt_args_text(args, "since"), err))
    return -1;
  struct logs logs = {.cli = cli, .follow = bt_args_has(args, "follow"), .timestamps = bt_args_has(args, "timestamps"),
                      .prefix = !bt_args_has(args, "no-prefix"), .fancy = bt_out_fancy(STDOUT_FILENO)};
  if (bt_target_instances(cli, &instances, &logs.here, err))
    return -1;
  logs.sources = bt_map_new(source_free);
  int rc = run(&logs, instances, err);
  bt_map_free(&logs.sources);
  bt_vec_free(&logs.kept);
  free(logs.here);
  return rc;
}
