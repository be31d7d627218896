/* The verbs about sources: an app follows a repository. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/apps.h"
#include "cli/cli.h"
#include "cli/list.h"

enum { sync_timeout_ms = 900000, max_keys = 64 << 10 };

/* ---------------------------------------------------------------- follow */

static json_t *list_option(const struct bt_args *args, const char *name) {
  BT_AUTO_STRS given = {0};
  bt_args_list(args, name, &given);
  json_t *list = json_array();
  bt_vec_each(&given, word) json_array_append_new(list, bt_json_string(*word));
  return list;
}

/* --env NAME=VALUE; NAME alone takes the value that it has here. */
static int add_env(const struct bt_args *args, json_t *body, struct bt_err **err) {
  BT_AUTO_STRS given = {0};
  json_t *env = json_object();
  bt_json_set(body, "env", env);
  bt_args_list(args, "env", &given);
  bt_vec_each(&given, word) {
    size_t n = strcspn(*word, "=");
    BT_AUTO_FREE char *name = bt_strndup(*word, n);
    const char *value = (*word)[n] ? *word + n + 1 : getenv(name);
    if (!*name || !value)
      return bt_err_set(err, BT_INVALID, "--env %s: it takes NAME=VALUE, or the NAME of a variable that is set here", *word);
    bt_json_set_str(env, name, value);
  }
  return 0;
}

static int add_signers(const struct bt_args *args, json_t *body, struct bt_err **err) {
  BT_AUTO_STRS files = {0};
  BT_AUTO_BUF all = {0};
  bt_args_list(args, "signed-by", &files);
  bt_json_set_str(body, "signers_secret", bt_args_text(args, "signed-by-secret"));
  bt_vec_each(&files, file) {
    BT_AUTO_FREE char *text = NULL;
    size_t len = 0;
    if (bt_file_read(*file, max_keys, &text, &len, err))
      return bt_err_wrap(err, "--signed-by");
    bt_buf_addf(&all, "%s%s", text, len && text[len - 1] == '\n' ? "" : "\n");
  }
  if (all.len)
    bt_json_set(body, "signers", bt_json_string(all.data));
  return 0;
}

static json_t *source_body(const struct bt_args *args, struct bt_err **err) {
  BT_AUTO_JSON body = json_object();
  static const char *const texts[][2] = {{"repo", "repository"}, {"branch", "branch"},     {"tag", "tag"},
                                         {"path", "path"},       {"interval", "interval"}, {"compat", "compat"}};
  for (size_t i = 0; i < BT_COUNT(texts); i++)
    bt_json_set_str(body, texts[i][1], bt_args_text(args, texts[i][0]));
  if (!bt_args_text(args, "repo")) {
    bt_err_set(err, BT_INVALID, "name the repository: --repo https://host/team/app.git");
    return NULL;
  }
  bt_json_set(body, "files", list_option(args, "file"));
  bt_json_set(body, "profiles", list_option(args, "profile"));
  bt_json_set_bool(body, "automatic", !bt_args_has(args, "on-request"));
  bt_json_set_bool(body, "correct", bt_args_has(args, "correct"));
  bt_json_set_bool(body, "webhook", !bt_args_has(args, "no-webhook"));
  bt_json_set_bool(body, "report", !bt_args_has(args, "no-report"));
  return add_env(args, body, err) || add_signers(args, body, err) ? NULL : bt_steal(body);
}

/* POST …/sync, and on with what came of it. */
static int sync_app(struct bt_cli *cli, const char *app, struct bt_err **err) {
  BT_AUTO_JSON result = NULL;
  BT_AUTO_FREE char *path = bt_cli_path(cli, "sources", app, "sync", NULL);
  BT_AUTO_BUF url = {0};
  bt_buf_adds(&url, path);
  if (bt_args_has(&cli->args, "dry-run"))
    bt_url_query(&url, "dryRun", "true");
  if (bt_conn_call(cli->conn, "POST", url.data, NULL, sync_timeout_ms, &result, err))
    return -1;
  if (!cli->json)
    bt_cli_say("%s: commit %.12s by %s: %s\n", app, bt_json_str_or(result, "commit", "?"), bt_json_str_or(result, "author", "?"),
               bt_json_str_or(result, "subject", ""));
  return bt_apps_follow(cli, result, err);
}

int bt_verb_follow(struct bt_cli *cli, struct bt_err **err) {
  const char *app = cli->args.rest.items[0];
  BT_AUTO_JSON body = source_body(&cli->args, err);
  BT_AUTO_JSON result = NULL;
  BT_AUTO_FREE char *path = bt_cli_path(cli, "sources", app, NULL);
  if (!body || bt_cli_connect(cli, err) || bt_conn_call(cli->conn, "PUT", path, body, 0, &result, err))
    return -1;
  const json_t *source = bt_json_obj(result, "source");
  bool waits = !bt_args_has(&cli->args, "on-request") && !bt_args_has(&cli->args, "detach");
  if (cli->json && !waits) {
    bt_out_json(result);
    return 0;
  }
  if (!cli->json)
    bt_cli_say("%s follows %s of %s\n", app, bt_json_str(source, "branch") ? bt_json_str(source, "branch") : bt_json_str(source, "tag"),
               bt_json_str_or(source, "repository", "?"));
  if (waits)
    return sync_app(cli, app, err);
  if (bt_args_has(&cli->args, "on-request"))
    bt_cli_say("Nothing is deployed until \"berth sync %s\".\n", app);
  return 0;
}

int bt_verb_unfollow(struct bt_cli *cli, struct bt_err **err) {
  return bt_cli_delete_each(cli, "sources", "follows no repository any more; it runs on as it is", err);
}

int bt_verb_sync(struct bt_cli *cli, struct bt_err **err) {
  return bt_cli_connect(cli, err) ? -1 : sync_app(cli, cli->args.rest.items[0], err);
}

/* ---------------------------------------------------------------- looking */

int bt_verb_source_ls(struct bt_cli *cli, struct bt_err **err) {
  static const struct bt_column columns[] = {
      {"APP", "app", BT_CELL_TEXT},           {"STATE", "state", BT_CELL_STATE},     {"REPOSITORY", "repository", BT_CELL_TEXT},
      {"FOLLOWS", "follows", BT_CELL_TEXT},   {"COMMIT", "commit", BT_CELL_DIGEST},  {"REVISION", "revision", BT_CELL_TEXT},
      {"LOOKED", "looked_at", BT_CELL_AGE},   {"NOTE", "error", BT_CELL_TEXT},       {NULL, NULL, BT_CELL_TEXT}};
  BT_AUTO_JSON items = NULL;
  BT_AUTO_FREE char *path = bt_cli_path(cli, "sources", NULL);
  if (bt_cli_connect(cli, err) || bt_conn_list(cli->conn, bt_args_has(&cli->args, "all-namespaces") ? "/v1/sources" : path, &items, err))
    return -1;
  return bt_list_print(cli, columns, "app", items);
}

int bt_verb_source_inspect(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_JSON object = NULL;
  BT_AUTO_FREE char *path = bt_cli_path(cli, "sources", cli->args.rest.items[0], NULL);
  if (bt_cli_get(cli, path, &object, err))
    return -1;
  bt_out_json(object);
  return 0;
}
