/* The verbs that change a whole app: scale, restart, down, rollback. */
#include "config.h"
#include "cli/apps.h"
#include "cli/autoscale.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "cli/live.h"
#include "cli/plan_print.h"
#include "cli/target.h"

enum { write_timeout_ms = 600000, default_wait_s = 600 };

/* The warnings and diagnostics of a result, on standard error. */
static void print_warnings(const json_t *result) {
  size_t i;
  json_t *item;
  json_array_foreach(bt_json_arr(result, "warnings"), i, item) if (json_is_string(item))
      bt_cli_note("warning: %s", json_string_value(item));
  json_array_foreach(bt_json_arr(result, "diagnostics"), i, item) {
    const char *file = bt_json_str(item, "file");
    BT_AUTO_BUF line = {0};
    if (file)
      bt_buf_addf(&line, "%s:%lld:%lld: ", file, bt_json_int(item, "line", 0), bt_json_int(item, "column", 0));
    bt_buf_addf(&line, "%s: %s\n", bt_json_str_or(item, "severity", "warning"), bt_json_str_or(item, "message", ""));
    bt_cli_tell(line.data);
  }
}

int bt_apps_wait_ms(const struct bt_args *args, long long *out, struct bt_err **err) {
  const char *text = bt_args_text(args, "wait-timeout");
  long long seconds = default_wait_s;
  int64_t ns;
  if (!text || bt_parse_i64(text, 0, 1000000, &seconds))
    *out = seconds * 1000;
  else if (bt_duration_parse(text, &ns) && ns >= 0)
    *out = ns / 1000000;
  else
    return bt_err_set(err, BT_INVALID, "--wait-timeout takes seconds or a duration such as 1m30s, not \"%s\"", text);
  return 0;
}

bool bt_apps_dry(const struct bt_args *args) { return bt_args_has(args, "dry-run") || bt_streq(args->verb->name, "plan"); }

static int show_dry_run(const json_t *result, int code) {
  BT_AUTO_BUF out = {0};
  size_t changes = bt_plan_print(bt_json_arr(result, "plan"), true, bt_out_fancy(STDOUT_FILENO), &out);
  bt_plan_policies(bt_json_arr(result, "policy_changes"), bt_out_fancy(STDOUT_FILENO), &out);
  bt_plan_defaults(bt_json_arr(result, "defaults"), bt_out_fancy(STDOUT_FILENO), &out);
  bt_plan_forecast(bt_json_obj(result, "forecast"), bt_out_fancy(STDOUT_FILENO), &out);
  bt_out_write(STDOUT_FILENO, &out);
  bt_cli_say("%s: %zu change%s. A dry run: nothing was done.\n", bt_json_str_or(result, "app", ""), changes,
             changes == 1 ? "" : "s");
  return code;
}

int bt_apps_follow(struct bt_cli *cli, const json_t *result, struct bt_err **err) {
  long long timeout, revision = bt_json_int(result, "revision", 0);
  const char *app = bt_json_str_or(result, "app", "");
  print_warnings(result);
  if (bt_apps_wait_ms(&cli->args, &timeout, err))
    return -1;
  int code = bt_streq(cli->args.verb->name, "plan") && bt_plan_unplaced(bt_json_obj(result, "forecast")) ? bt_code_exit(BT_EXHAUSTED) : 0;
  if (cli->json) {
    bt_out_json(result);
    return code;
  }
  if (bt_apps_dry(&cli->args))
    return show_dry_run(result, code);
  BT_AUTO_BUF out = {0};
  size_t changes = bt_plan_print(bt_json_arr(result, "plan"), false, bt_out_fancy(STDOUT_FILENO), &out);
  if (changes) {
    bt_plan_policies(bt_json_arr(result, "policy_changes"), bt_out_fancy(STDOUT_FILENO), &out);
    bt_plan_defaults(bt_json_arr(result, "defaults"), bt_out_fancy(STDOUT_FILENO), &out);
  }
  bt_out_write(STDOUT_FILENO, &out);
  if (!changes && !bt_json_bool(result, "changed", true))
    bt_cli_say("%s, revision %lld: nothing to change\n", app, revision);
  if (bt_args_has(&cli->args, "detach")) {
    bt_cli_say("%s, revision %lld is accepted. Look at it with \"berth ps %s\".\n", app, revision, app);
    return 0;
  }
  return bt_live_follow(cli, &(struct bt_live_options){.app = app, .revision = revision, .timeout_ms = timeout}, err);
}

int bt_apps_post(struct bt_cli *cli, const char *path, json_t *body_steal, struct bt_err **err) {
  BT_AUTO_JSON body = body_steal;
  BT_AUTO_JSON result = NULL;
  BT_AUTO_BUF url = {0};
  bt_buf_adds(&url, path);
  if (bt_args_has(&cli->args, "dry-run"))
    bt_url_query(&url, "dryRun", "true");
  if (bt_cli_connect(cli, err) || bt_conn_call(cli->conn, "POST", url.data, body, write_timeout_ms, &result, err))
    return -1;
  return bt_apps_follow(cli, result, err);
}

/* POST to …/apps/APP/what, and on with its result. */
static int post_app(struct bt_cli *cli, const char *app, const char *what, json_t *body, struct bt_err **err) {
  BT_AUTO_FREE char *path = bt_cli_path(cli, "apps", app, what, NULL);
  return bt_apps_post(cli, path, json_incref(body), err);
}

/* ---------------------------------------------------------------- scale */

/* "web=3" or "shop/web=3" into services; *app is the app named, if any. */
static int read_scale(const char *word, char **app, json_t *services, struct bt_err **err) {
  const char *eq = strchr(word, '='), *slash = strchr(word, '/');
  long long n;
  if (!eq || eq == word || !bt_parse_i64(eq + 1, 0, 100000, &n))
    return bt_err_set(err, BT_INVALID, "\"%s\" does not say how many: SERVICE=NUMBER, such as web=3", word);
  const char *name = slash && slash < eq ? slash + 1 : word;
  if (name != word) {
    BT_AUTO_FREE char *named = bt_strndup(word, (size_t)(slash - word));
    if (*app && strcmp(*app, named))
      return bt_err_set(err, BT_INVALID, "one app at a time: %s or %s", *app, named);
    bt_str_set(app, named);
  }
  BT_AUTO_FREE char *service = bt_strndup(name, (size_t)(eq - name));
  bt_json_set_int(services, service, n);
  return 0;
}

int bt_verb_scale(struct bt_cli *cli, struct bt_err **err) {
  if (bt_args_has(&cli->args, "recommend"))
    return bt_autoscale_recommend(cli, err);
  if (cli->args.rest.len == 0)
    return bt_err_set(err, BT_INVALID, "say which service and how many: SERVICE=NUMBER, such as web=3");
  BT_AUTO_JSON body = json_object();
  BT_AUTO_FREE char *app = NULL;
  json_t *services = json_object();
  bt_json_set(body, "services", services);
  bt_vec_each(&cli->args.rest, word)
    if (read_scale(*word, &app, services, err))
      return -1;
  if (!app) { /* a service of the current project, or one that only one app has */
    BT_AUTO_TARGET target = {0};
    BT_AUTO_FREE char *first = bt_strndup(cli->args.rest.items[0], strcspn(cli->args.rest.items[0], "="));
    if (bt_target_resolve(cli, first, &target, NULL, err))
      return -1;
    app = bt_strdup(target.app);
  }
  return post_app(cli, app, "scale", body, err);
}

/* ---------------------------------------------------------------- restart */

/* What the server answers goes to done where JSON is asked for. */
static int restart_one(struct bt_cli *cli, const struct bt_target *target, json_t *done, struct bt_err **err) {
  BT_AUTO_JSON body = json_object();
  BT_AUTO_JSON result = NULL;
  BT_AUTO_FREE char *path = target->instance ? bt_cli_path(cli, "instances", target->instance, "restart", NULL)
                                             : bt_cli_path(cli, "apps", target->app, "restart", NULL);
  bt_json_set(body, "services", target->service && !target->instance ? json_pack("[s]", target->service) : json_null());
  if (bt_conn_call(cli->conn, "POST", path, body, write_timeout_ms, &result, err))
    return -1;
  json_array_append(done, result);
  if (!cli->json)
    bt_cli_say("%s%s%s restarts\n", target->instance ? target->instance : target->app,
             target->service && !target->instance ? "/" : "",
             target->service && !target->instance ? target->service : "");
  return 0;
}

static int restart_all(struct bt_cli *cli, json_t *done, struct bt_err **err) {
  if (!cli->args.rest.len) {
    BT_AUTO_TARGET whole = {0};
    return bt_target_app(cli, &whole.app, err) || bt_cli_connect(cli, err) ? -1 : restart_one(cli, &whole, done, err);
  }
  bt_vec_each(&cli->args.rest, word) {
    BT_AUTO_TARGET target = {0};
    if (bt_target_resolve(cli, *word, &target, NULL, err) || restart_one(cli, &target, done, err))
      return -1;
  }
  return 0;
}

int bt_verb_restart(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_JSON done = json_array();
  int rc = restart_all(cli, done, err);
  if (cli->json && (rc == 0 || json_array_size(done))) /* of several, those before the one that failed do restart */
    bt_out_json(done);
  return rc;
}

/* ---------------------------------------------------------------- down, rollback */

/* Names the networks of an app that is gone which the engine still holds. */
static void warn_of_networks(struct bt_cli *cli, const char *app) {
  BT_AUTO_JSON networks = NULL;
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE char *path = bt_cli_path(cli, "networks", NULL);
  if (bt_conn_list(cli->conn, path, &networks, &err)) {
    bt_cli_note("warning: whether networks of %s are left is not known: %s", app, bt_err_message(err));
    return;
  }
  size_t i;
  json_t *network;
  json_array_foreach(networks, i, network) if (bt_streq(bt_json_str(network, "app"), app) && bt_json_bool(network, "stuck", false))
      bt_cli_note("warning: network %s is left, since the container engine does not remove it; that is tried again by itself. "
                  "Where no container is attached to it, restart the engine: %s",
                  bt_json_str_or(network, "name", ""), bt_json_str_or(network, "error", ""));
}

int bt_verb_down(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_FREE char *app = NULL;
  long long timeout;
  if (bt_apps_wait_ms(&cli->args, &timeout, err) || bt_target_app(cli, &app, err) || bt_cli_connect(cli, err))
    return -1;
  BT_AUTO_FREE char *path = bt_cli_path(cli, "apps", app, NULL);
  BT_AUTO_BUF url = {0};
  bt_buf_adds(&url, path);
  if (bt_args_has(&cli->args, "volumes"))
    bt_url_query(&url, "volumes", "true");
  if (bt_conn_call(cli->conn, "DELETE", url.data, NULL, write_timeout_ms, NULL, err))
    return -1;
  bool detach = cli->json || bt_args_has(&cli->args, "detach"); /* as "up": JSON is of the answer */
  int rc = detach ? 0 : bt_live_gone(cli, &(struct bt_live_options){.app = app, .timeout_ms = timeout}, err);
  if (rc == 0 && cli->json) {
    BT_AUTO_JSON said = json_object();
    bt_json_set_str(said, "app", app);
    bt_json_set_str(said, "state", "leaving");
    bt_out_json(said);
  } else if (rc == 0 && detach) {
    bt_cli_say("%s goes down\n", app);
  }
  if (rc == 0 && !detach)
    warn_of_networks(cli, app);
  return rc;
}

int bt_verb_rollback(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_FREE char *app = NULL;
  long long to = 0;
  if (bt_args_int(&cli->args, "to", 1, 1000000000, &to, err) || bt_target_app(cli, &app, err))
    return -1;
  BT_AUTO_JSON body = json_object();
  bt_json_set(body, "to", to ? json_integer(to) : json_null());
  bt_json_set_str(body, "message", bt_args_text(&cli->args, "message"));
  return post_app(cli, app, "rollback", body, err);
}
