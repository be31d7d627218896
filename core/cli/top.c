/* "berth top": what the instances use, again every two seconds on a terminal, once elsewhere. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/list.h"
#include "cli/target.h"

enum { interval_ms = 2000 };

struct top {
  struct bt_cli *cli;
  char *here;
  bool again;
  json_t *wanted; /* instances that are meant */
  json_t *before; /* object: id -> sample; NULL at first */
  int rounds;
  struct bt_timer *timer;
  struct bt_err *err;
};

static struct top *at_work;

static const json_t *wanted(const struct top *top, const char *id) {
  size_t i;
  json_t *instance;
  json_array_foreach(top->wanted, i, instance) if (bt_streq(bt_json_str(instance, "instance"), id)) return instance;
  return NULL;
}

/* Percent of one processor between two samples; below 0 where there is no earlier one. */
static double cpu_percent(const json_t *before, const json_t *now) {
  double ms = bt_json_num(now, "time_ms", 0) - bt_json_num(before, "time_ms", 0);
  double ns = bt_json_num(now, "cpu_ns", 0) - bt_json_num(before, "cpu_ns", 0);
  return before && ms > 0 && ns >= 0 ? ns / ms / 1e6 * 100 : -1;
}

static void add_row(struct top *top, struct bt_table *table, const json_t *instance, const json_t *sample) {
  char a[32], b[32];
  double cpu = cpu_percent(json_object_get(top->before, bt_json_str_or(instance, "instance", "")), sample);
  BT_AUTO_FREE char *label = bt_target_label(instance, top->here);
  bt_table_add(table, label, BT_PLAIN);
  if (cpu < 0)
    bt_table_add(table, NULL, BT_PLAIN);
  else
    bt_table_addf(table, "%.1f%%", cpu);
  long long limit = bt_json_int(sample, "memory_limit", 0);
  bt_table_addf(table, "%s%s%s", bt_out_bytes(bt_json_int(sample, "memory", 0), a), limit ? " of " : "",
                limit ? bt_out_bytes(limit, b) : "");
  bt_table_addf(table, "%s / %s", bt_out_bytes(bt_json_int(sample, "rx_bytes", 0), a),
                bt_out_bytes(bt_json_int(sample, "tx_bytes", 0), b));
  bt_table_addf(table, "%s / %s", bt_out_bytes(bt_json_int(sample, "read_bytes", 0), a),
                bt_out_bytes(bt_json_int(sample, "write_bytes", 0), b));
  bt_table_addf(table, "%lld", bt_json_int(sample, "pids", 0));
}

static bool sampled(const json_t *items, const char *id) {
  size_t i;
  json_t *sample;
  json_array_foreach(items, i, sample) if (bt_streq(bt_json_str(sample, "instance"), id)) return true;
  return false;
}

/* What runs and has no figures (the engine gave none) is a row all the same. */
static void add_unknown(const struct top *top, struct bt_table *table, const json_t *items) {
  size_t i;
  json_t *instance;
  json_array_foreach(top->wanted, i, instance) {
    if (!bt_streq(bt_json_str(instance, "state"), "running") || sampled(items, bt_json_str(instance, "instance")))
      continue;
    BT_AUTO_FREE char *label = bt_target_label(instance, top->here);
    bt_table_add(table, label, BT_PLAIN);
    for (int column = 1; column < (int)table->ncolumns; column++)
      bt_table_add(table, NULL, BT_PLAIN);
  }
}

static void show(struct top *top, const json_t *items) {
  static const char *const head[] = {"INSTANCE", "CPU", "MEMORY", "NET IN / OUT", "DISK READ / WRITE", "PIDS"};
  BT_AUTO_TABLE table = {0};
  BT_AUTO_BUF out = {0};
  bt_table_head(&table, BT_COUNT(head), head);
  size_t i;
  json_t *sample;
  json_array_foreach(items, i, sample) {
    const json_t *instance = wanted(top, bt_json_str(sample, "instance"));
    if (instance)
      add_row(top, &table, instance, sample);
  }
  add_unknown(top, &table, items);
  if (top->again)
    bt_buf_adds(&out, "\033[H\033[J");
  bt_table_render(&table, bt_out_width(STDOUT_FILENO), bt_out_fancy(STDOUT_FILENO), &out);
  bt_out_write(STDOUT_FILENO, &out);
}

static void remember(struct top *top, const json_t *items) {
  json_decref(top->before);
  top->before = json_object();
  size_t i;
  json_t *sample;
  json_array_foreach(items, i, sample)
      json_object_set(top->before, bt_json_str_or(sample, "instance", ""), sample);
}

/* Only what is meant, for --format json. */
static void show_json(const struct top *top, const json_t *items) {
  BT_AUTO_JSON out = json_array();
  size_t i;
  json_t *sample;
  json_array_foreach(items, i, sample) if (wanted(top, bt_json_str(sample, "instance"))) json_array_append(out, sample);
  bt_out_json(out);
}

static void got_stats(void *arg, const json_t *answer, struct bt_err *err) {
  struct top *top = arg;
  const json_t *items = json_is_array(answer) ? answer : bt_json_arr(answer, "items");
  if (err) {
    if (bt_err_code(err) != BT_CANCELLED) {
      bt_err_set(&top->err, bt_err_code(err), "%s", bt_err_message(err));
      bt_loop_stop(top->cli->conn->loop);
    }
    return;
  }
  /* A share of a processor needs two samples: the first is shown only where it is the only one. */
  bool last = !top->again && (top->rounds > 0 || top->cli->json);
  if (top->cli->json)
    show_json(top, items);
  else if (top->again || last)
    show(top, items);
  remember(top, items);
  top->rounds++;
  if (last)
    bt_loop_stop(top->cli->conn->loop);
  else
    bt_timer_set(top->timer, top->rounds == 1 ? interval_ms / 2 : interval_ms);
}

static void on_timer(void *arg) {
  struct top *top = arg;
  BT_AUTO_FREE char *path = bt_cli_path(top->cli, "stats", NULL);
  bt_conn_send(top->cli->conn, "GET", path, NULL, 0, got_stats, top);
}

static void on_interrupt(void *arg) {
  (void)arg;
  if (at_work)
    bt_loop_stop(at_work->cli->conn->loop);
}

int bt_verb_top(struct bt_cli *cli, struct bt_err **err) {
  struct top top = {.cli = cli, .again = bt_out_fancy(STDOUT_FILENO) && !cli->json && !bt_args_has(&cli->args, "once")};
  if (bt_target_instances(cli, &top.wanted, &top.here, err))
    return -1;
  struct bt_loop *loop = cli->conn->loop;
  top.timer = bt_timer_new(loop, "top", on_timer, &top);
  at_work = &top;
  if (top.again)
    bt_loop_on_signal(loop, SIGINT, on_interrupt, NULL);
  bt_timer_set(top.timer, 0);
  bt_loop_run(loop);
  at_work = NULL;
  bt_conn_cancel(cli->conn);
  bt_timer_free(&top.timer);
  json_decref(top.wanted);
  json_decref(top.before);
  free(top.here);
  return top.err ? bt_err_move(err, top.err) : 0;
}
