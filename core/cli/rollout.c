/* "berth rollout …", and what "berth ps" says of updates that go another way than rolling, or are held. */
#include "config.h"

#include "cli/rollout.h"

#include "base/json.h"
#include "cli/target.h"

enum { write_timeout_ms = 60000 };

/* APP, APP/SERVICE, or nothing: the current project. */
static int find(struct bt_cli *cli, char **app, const char **service, struct bt_err **err) {
  const char *word = cli->args.rest.len ? cli->args.rest.items[0] : NULL, *slash = word ? strchr(word, '/') : NULL;
  *service = slash ? slash + 1 : NULL;
  if (slash) {
    *app = bt_strndup(word, (size_t)(slash - word));
    return 0;
  }
  return bt_target_app(cli, app, err);
}

static int ask(struct bt_cli *cli, const char *action, struct bt_err **err) {
  BT_AUTO_FREE char *app = NULL;
  const char *service = NULL;
  if (find(cli, &app, &service, err) || bt_cli_connect(cli, err))
    return -1;
  BT_AUTO_FREE char *path = bt_cli_path(cli, "apps", app, "rollout", NULL);
  BT_AUTO_JSON body = json_object();
  BT_AUTO_JSON result = NULL;
  bt_json_set_str(body, "action", action);
  bt_json_set_str(body, "service", service);
  if (bt_conn_call(cli->conn, "POST", path, body, write_timeout_ms, &result, err))
    return -1;
  if (cli->json) {
    bt_out_json(result);
    return 0;
  }
  size_t i;
  json_t *name;
  json_array_foreach(bt_json_arr(result, "services"), i, name)
      bt_cli_say("%s/%s %s\n", app, json_string_value(name), bt_streq(action, "pause") ? "is held" : bt_streq(action, "abort") ? "goes back" : "goes on");
  return 0;
}

int bt_verb_rollout_pause(struct bt_cli *cli, struct bt_err **err) { return ask(cli, "pause", err); }
int bt_verb_rollout_promote(struct bt_cli *cli, struct bt_err **err) { return ask(cli, "promote", err); }
int bt_verb_rollout_abort(struct bt_cli *cli, struct bt_err **err) { return ask(cli, "abort", err); }

/* ---- beside the instances ---- */

/* NULL where there is nothing to say of the service; the caller frees. Pure. */
static char *line_of(const json_t *service) {
  const json_t *roll = bt_json_obj(service, "rollout"), *weight = json_object_get(roll, "weight");
  const char *strategy = bt_json_str(roll, "strategy");
  bool held = bt_json_bool(roll, "held", false);
  long long step = bt_json_int(roll, "step", 0), steps = bt_json_int(roll, "steps", 0);
  BT_AUTO_BUF b = {0};
  if (!bt_streq(bt_json_str(roll, "state"), "updating") || (!strategy && !held))
    return NULL;
  bt_buf_addf(&b, "%s/%s is being updated", bt_json_str_or(service, "app", ""), bt_json_str_or(service, "service", ""));
  if (strategy)
    bt_buf_addf(&b, ", %s", strategy);
  if (steps)
    bt_buf_addf(&b, step < steps ? ", step %lld of %lld" : ", its steps are through", step + 1, steps);
  if (weight)
    bt_buf_addf(&b, ", %lld of 100 requests go to the new instances", (long long)json_integer_value(weight));
  bt_buf_adds(&b, held ? "; it is held" : "");
  return bt_buf_steal(&b);
}

void bt_rollouts_print(const json_t *services, const char *here) {
  bool first = true;
  size_t i;
  json_t *service;
  json_array_foreach(services, i, service) {
    BT_AUTO_FREE char *line = here && !bt_streq(here, bt_json_str(service, "app")) ? NULL : line_of(service);
    if (!line)
      continue;
    bt_cli_say("%s%s\n", first ? "\n" : "", line);
    first = false;
  }
}
