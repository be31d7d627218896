/* "berth events": what happened, and with -f what happens. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/list.h"
#include "cli/sse.h"

enum { again_ms = 1000 };

struct events {
  struct bt_cli *cli;
  char *url;
  struct bt_sse sse;
  struct bt_timer *again;
  struct bt_err *err;
  bool begun;
};

static struct events *at_work;

static void show(const struct bt_cli *cli, const json_t *event) {
  BT_AUTO_BUF out = {0};
  if (cli->json) {
    BT_AUTO_FREE char *text = bt_json_text(event);
    bt_buf_addf(&out, "%s\n", text);
    bt_out_write(STDOUT_FILENO, &out);
    return;
  }
  char time[32];
  const char *severity = bt_json_str_or(event, "severity", "info");
  bool fancy = bt_out_fancy(STDOUT_FILENO);
  BT_AUTO_BUF clean = {0};
  bt_clock_format(bt_json_time(event, json_object_get(event, "time_ms") ? "time_ms" : "time"), time);
  bt_out_clean(&clean, bt_json_str_or(event, "message", ""));
  bt_out_color(&out, fancy, BT_DIM, time);
  bt_buf_addf(&out, "  %-24s  ", bt_json_str_or(event, "type", ""));
  bt_out_color(&out, fancy, bt_out_state_color(severity), clean.data ? clean.data : "");
  bt_buf_addc(&out, '\n');
  bt_out_write(STDOUT_FILENO, &out);
}

static void on_event(void *arg, const struct bt_sse_event *event) {
  struct events *events = arg;
  BT_AUTO_JSON data = bt_json_parse(event->data, strlen(event->data), 0, 0, "event", NULL);
  if (strcmp(event->type, "gap") == 0)
    bt_cli_note("some events in between are gone: the server keeps only the last ones");
  else if (data)
    show(events->cli, bt_json_obj(data, "value") ? bt_json_obj(data, "value") : data);
}

static bool on_data(void *arg, const void *data, size_t len) {
  struct events *events = arg;
  events->begun = true; /* the server sends something at once, events or not */
  bt_sse_feed(&events->sse, data, len);
  return true;
}

/* A stream that broke is taken up where it was; one that never began is an error. */
static void on_end(void *arg, const struct bt_err *err) {
  struct events *events = arg;
  if (err && bt_err_code(err) == BT_CANCELLED)
    return;
  if (err && !events->begun) {
    bt_err_set(&events->err, bt_err_code(err), "%s", bt_err_message(err));
    bt_loop_stop(events->cli->conn->loop);
    return;
  }
  bt_sse_reset(&events->sse);
  bt_timer_set(events->again, again_ms);
}

static void on_again(void *arg) {
  struct events *events = arg;
  bt_conn_stream(events->cli->conn, &(struct bt_conn_stream){.path = events->url, .accept = "text/event-stream",
                                                             .last_id = events->sse.id.data, .data = on_data,
                                                             .end = on_end, .arg = events});
}

static void on_interrupt(void *arg) {
  (void)arg;
  if (at_work)
    bt_loop_stop(at_work->cli->conn->loop);
}

static int follow(struct bt_cli *cli, const char *url, struct bt_err **err) {
  struct events events = {.cli = cli, .url = bt_asprintf("%s%cfollow=true", url, strchr(url, '?') ? '&' : '?')};
  events.sse.event = on_event;
  events.sse.arg = &events;
  events.again = bt_timer_new(cli->conn->loop, "again", on_again, &events);
  at_work = &events;
  bt_loop_on_signal(cli->conn->loop, SIGINT, on_interrupt, NULL);
  on_again(&events);
  bt_loop_run(cli->conn->loop);
  at_work = NULL;
  bt_conn_cancel(cli->conn);
  bt_timer_free(&events.again);
  bt_sse_free(&events.sse);
  free(events.url);
  return events.err ? bt_err_move(err, events.err) : 0;
}

/* No events of an app: of one that is not there, or whose events are no longer kept? */
static int check_app(struct bt_cli *cli, const char *app, struct bt_err **err) {
  BT_AUTO_JSON object = NULL;
  BT_AUTO_FREE char *path = bt_cli_path(cli, "apps", app, NULL);
  return bt_cli_get(cli, path, &object, err);
}

int bt_verb_events(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_BUF url = {0};
  const struct bt_args *args = &cli->args;
  bt_buf_adds(&url, "/v1/events");
  bt_url_query(&url, "namespace", bt_args_has(args, "all-namespaces") ? NULL : cli->namespace_);
  bt_url_query(&url, "app", args->rest.len ? args->rest.items[0] : NULL);
  bt_url_query(&url, "type", bt_args_text(args, "type"));
  bt_url_query(&url, "after", bt_args_text(args, "after"));
  long long after;
  if (bt_args_int(args, "after", 0, INT64_MAX, &after, err) || bt_cli_connect(cli, err))
    return -1;
  if (bt_args_has(args, "follow"))
    return follow(cli, url.data, err);
  BT_AUTO_JSON items = NULL;
  if (bt_conn_list(cli->conn, url.data, &items, err))
    return -1;
  size_t i;
  json_t *event;
  json_array_foreach(items, i, event) show(cli, event);
  return json_array_size(items) || !args->rest.len ? 0 : check_app(cli, args->rest.items[0], err);
}
