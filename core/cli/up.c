/* "berth up": the Compose files read here, applied there, watched until all is healthy. */
#include "config.h"

#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/apps.h"
#include "cli/project.h"

enum { apply_timeout_ms = 600000 };

/* --scale SERVICE=N, given any number of times. */
static int add_scale(const struct bt_args *args, json_t *document, struct bt_err **err) {
  BT_AUTO_STRS given = {0};
  bt_args_list(args, "scale", &given);
  if (!given.len)
    return 0;
  json_t *scale = json_object();
  bt_json_set(document, "scale", scale);
  bt_vec_each(&given, word) {
    const char *eq = strchr(*word, '=');
    long long n;
    if (!eq || !bt_parse_i64(eq + 1, 0, 100000, &n))
      return bt_err_set(err, BT_INVALID, "--scale %s: it takes SERVICE=NUMBER, such as web=3", *word);
    BT_AUTO_FREE char *name = bt_strndup(*word, (size_t)(eq - *word));
    bt_json_set_int(scale, name, n);
  }
  return 0;
}

static json_t *apply_document(const struct bt_args *args, const struct bt_project *project, struct bt_err **err) {
  BT_AUTO_JSON document = json_object();
  bt_json_set(document, "bundle", bt_project_bundle(project));
  bt_json_set_str(document, "compat", bt_args_text(args, "compat") ? bt_args_text(args, "compat") : "refuse");
  bt_json_set_str(document, "build", bt_args_has(args, "build") ? "always" : bt_args_has(args, "no-build") ? "never" : "missing");
  bt_json_set_bool(document, "recreate", bt_args_has(args, "force-recreate"));
  bt_json_set_str(document, "message", bt_args_text(args, "message"));
  return add_scale(args, document, err) ? NULL : bt_steal(document);
}

/* Loads the files of this machine. What is wrong with them is known here, with its places, before a server is asked. */
static int load(const struct bt_args *args, struct bt_project *project, struct bt_err **err) {
  if (bt_project_options(args, project, err))
    return -1;
  int rc = bt_project_load(project);
  if (rc == 0)
    return 0; /* warnings come again with the server's answer */
  BT_AUTO_FREE char *text = bt_diags_text(&project->result.diags);
  bt_cli_tell(text);
  return bt_err_set(err, BT_INVALID, "the Compose file has %zu error%s: nothing was changed", project->result.diags.errors,
                    project->result.diags.errors == 1 ? "" : "s");
}

static int apply(struct bt_cli *cli, const struct bt_project *project, struct bt_err **err) {
  BT_AUTO_JSON document = apply_document(&cli->args, project, err);
  BT_AUTO_JSON result = NULL;
  BT_AUTO_FREE char *path = bt_cli_path(cli, "apps", NULL);
  BT_AUTO_BUF url = {0};
  bt_buf_adds(&url, path);
  if (bt_apps_dry(&cli->args))
    bt_url_query(&url, "dryRun", "true");
  if (!document || bt_cli_connect(cli, err) ||
      bt_conn_call(cli->conn, "POST", url.data, document, apply_timeout_ms, &result, err))
    return -1;
  return bt_apps_follow(cli, result, err);
}

int bt_verb_up(struct bt_cli *cli, struct bt_err **err) {
  struct bt_project project = {0};
  int rc = load(&cli->args, &project, err);
  if (rc == 0)
    rc = apply(cli, &project, err);
  bt_project_free(&project);
  return rc;
}
