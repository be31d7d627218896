/* berth node drain: begins, and where asked waits until nothing is there any more. berth plan --rebalance: what would be better elsewhere. */
#include "config.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/apps.h"

enum { look_ms = 300 };

/* {"timeout": …} where asked for; NULL with an error for what is none. */
static json_t *body_of(const struct bt_args *args, struct bt_err **err) {
  const char *text = bt_args_text(args, "timeout");
  json_t *body = json_object();
  int64_t ns;
  if (text && (!bt_duration_parse(text, &ns) || ns < 0)) {
    bt_err_set(err, BT_INVALID, "--timeout takes a duration such as 10m, not \"%s\"", text);
    json_decref(body);
    return NULL;
  }
  if (text)
    bt_json_set_str(body, "timeout", text);
  return body;
}

static int get_node(struct bt_cli *cli, const char *name, json_t **out, struct bt_err **err) {
  BT_AUTO_FREE char *path = bt_url_path("nodes", name, NULL);
  return bt_cli_get(cli, path, out, err);
}

/* Whether what is left there is only what waiting will not move. */
static bool stuck(const json_t *drain) {
  long long lasting = 0;
  size_t i;
  json_t *stay;
  json_array_foreach(bt_json_arr(drain, "stays"), i, stay) lasting += bt_json_bool(stay, "lasting", false);
  return lasting > 0 && lasting >= bt_json_int(drain, "left", 0);
}

static void print_stays(const json_t *drain) {
  size_t i;
  json_t *stay;
  json_array_foreach(bt_json_arr(drain, "stays"), i, stay) {
    BT_AUTO_BUF line = {0};
    bt_buf_addf(&line, "  %s: ", bt_json_str_or(stay, "instance", ""));
    bt_out_clean(&line, bt_json_str_or(stay, "reason", ""));
    bt_cli_say("%s\n", line.data);
  }
}

/* Leaves the node as it is in the end in *out. */
static int wait_for(struct bt_cli *cli, const char *name, int64_t until_ms, json_t **out, struct bt_err **err) {
  for (;;) {
    if (get_node(cli, name, out, err))
      return -1;
    const json_t *drain = bt_json_obj(*out, "drain");
    if (!drain)
      return bt_err_set(err, BT_CONFLICT, "the drain of %s was called off", name);
    if (bt_streq(bt_json_str(drain, "state"), "drained"))
      return 0;
    if (stuck(drain))
      return bt_err_set(err, BT_CONFLICT, "%s is not empty: what is left cannot be moved; see: berth why node/%s", name, name);
    if (bt_clock_mono_ms() >= until_ms)
      return bt_err_set(err, BT_DEADLINE, "%s is not empty yet; the server goes on; see: berth why node/%s", name, name);
    json_decref(bt_steal(*out));
    nanosleep(&(struct timespec){.tv_nsec = look_ms * 1000000L}, NULL);
  }
}

static int drain_one(struct bt_cli *cli, const char *name, const json_t *body, int64_t until_ms, json_t *done, struct bt_err **err) {
  BT_AUTO_FREE char *path = bt_url_path("nodes", name, "drain", NULL);
  BT_AUTO_JSON result = NULL;
  BT_AUTO_JSON node = NULL;
  if (bt_conn_call(cli->conn, "POST", path, body, 0, &result, err))
    return -1;
  int rc = until_ms ? wait_for(cli, name, until_ms, &node, err) : get_node(cli, name, &node, err);
  const json_t *drain = bt_json_obj(node, "drain");
  long long left = bt_json_int(drain, "left", 0);
  if (!node)
    return rc;
  if (!cli->json && left == 0)
    bt_cli_say("%s is drained\n", name);
  else if (!cli->json)
    bt_cli_say("%s is being drained: %lld instance%s %s left\n", name, left, left == 1 ? "" : "s", left == 1 ? "is" : "are");
  if (!cli->json)
    print_stays(drain);
  json_array_append(done, node);
  return rc;
}

int bt_verb_node_drain(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_JSON body = body_of(&cli->args, err);
  BT_AUTO_JSON done = json_array();
  long long wait_ms;
  if (!body || bt_apps_wait_ms(&cli->args, &wait_ms, err) || bt_cli_connect(cli, err))
    return -1;
  int64_t until_ms = !bt_args_has(&cli->args, "wait") ? 0 : wait_ms ? bt_clock_mono_ms() + wait_ms : INT64_MAX;
  int rc = 0;
  for (size_t i = 0; rc == 0 && i < cli->args.rest.len; i++)
    rc = drain_one(cli, cli->args.rest.items[i], body, until_ms, done, err);
  if (cli->json && (rc == 0 || json_array_size(done)))
    bt_out_json(done);
  return rc;
}

/* ---------------------------------------------------------------- plan --rebalance */

static void print_move(const json_t *move) {
  BT_AUTO_BUF line = {0};
  bt_buf_addf(&line, "%s: %s -> %s, gain %lld (%s): ", bt_json_str_or(move, "instance", ""), bt_json_str_or(move, "from", ""), bt_json_str_or(move, "to", ""),
              bt_json_int(move, "gain", 0), bt_json_str_or(move, "kind", ""));
  bt_out_clean(&line, bt_json_str_or(move, "reason", ""));
  bt_cli_say("%s\n", line.data);
}

static int rebalance(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_JSON o = NULL;
  size_t i;
  json_t *move;
  if (bt_cli_get(cli, "/v1/rebalance", &o, err))
    return -1;
  if (cli->json) {
    bt_out_json(o);
    return 0;
  }
  const json_t *moves = bt_json_arr(o, "moves");
  json_array_foreach(moves, i, move) print_move(move);
  bt_cli_say("%zu move%s of %lld instances that can be moved%s. %s\n", json_array_size(moves), json_array_size(moves) == 1 ? "" : "s", bt_json_int(o, "movable", 0),
             bt_json_bool(o, "complete", true) ? "" : ", as far as was looked",
             bt_json_bool(o, "automatic", false) ? "They are made when nodes came or changed (scheduling.rebalance)." : "None is made by itself (scheduling.rebalance.automatic).");
  return 0;
}

int bt_verb_plan(struct bt_cli *cli, struct bt_err **err) {
  return bt_args_has(&cli->args, "rebalance") ? rebalance(cli, err) : bt_verb_up(cli, err);
}
