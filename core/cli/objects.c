/* The verbs about single objects: inspect, why, secrets, volumes, networks. */
#include "config.h"

#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/list.h"
#include "cli/project.h"
#include "cli/target.h"

enum { max_secret = 512 << 10 };

/* ---------------------------------------------------------------- inspect */

static int print_path(struct bt_cli *cli, const char *path, struct bt_err **err) {
  BT_AUTO_JSON object = NULL;
  if (bt_cli_get(cli, path, &object, err))
    return -1;
  bt_out_json(object);
  return 0;
}

/* A secret or config that came with an app is "APP.NAME"; with -p its NAME alone will do. */
static char *content_name(const struct bt_cli *cli, const char *name) {
  const char *app = bt_args_text(&cli->args, "project-name");
  return app ? bt_asprintf("%s.%s", app, name) : bt_strdup(name);
}

/* "volume/NAME" and the like: the path of it, or NULL for other words. */
static char *kind_path(const struct bt_cli *cli, const char *word) {
  static const char *const kinds[] = {"volume", "network", "secret", "config"};
  for (size_t i = 0; i < BT_COUNT(kinds); i++) {
    size_t n = strlen(kinds[i]);
    if (strncmp(word, kinds[i], n) == 0 && word[n] == '/') {
      BT_AUTO_FREE char *plural = bt_asprintf("%ss", kinds[i]);
      bool content = i >= 2;
      BT_AUTO_FREE char *name = content ? content_name(cli, word + n + 1) : bt_strdup(word + n + 1);
      return bt_cli_path(cli, plural, name, NULL);
    }
  }
  return bt_starts(word, "node/") ? bt_url_path("nodes", word + 5, NULL) : NULL;
}

static char *target_path(const struct bt_cli *cli, const struct bt_target *target) {
  if (target->instance)
    return bt_cli_path(cli, "instances", target->instance, NULL);
  if (!target->service)
    return bt_cli_path(cli, "apps", target->app, NULL);
  BT_AUTO_FREE char *name = bt_asprintf("%s.%s", target->app, target->service);
  return bt_cli_path(cli, "services", name, NULL);
}

/* What has no instances is there all the same: the path of an app, or of APP/SERVICE; NULL where the word can be neither. */
static char *bare_path(const struct bt_cli *cli, const char *word) {
  const char *slash = strchr(word, '/');
  if (!slash)
    return bt_cli_path(cli, "apps", word, NULL);
  if (slash == word || !slash[1] || strchr(slash + 1, '/'))
    return NULL;
  BT_AUTO_FREE char *name = bt_asprintf("%.*s.%s", (int)(slash - word), word, slash + 1);
  return bt_cli_path(cli, "services", name, NULL);
}

int bt_verb_inspect(struct bt_cli *cli, struct bt_err **err) {
  const char *word = cli->args.rest.items[0];
  BT_AUTO_FREE char *path = kind_path(cli, word);
  BT_AUTO_TARGET target = {0};
  if (!path) {
    BT_AUTO_ERR unknown = NULL;
    if (bt_target_resolve(cli, word, &target, NULL, &unknown)) {
      path = bt_err_code(unknown) == BT_NOT_FOUND ? bare_path(cli, word) : NULL;
      if (!path)
        return bt_err_move(err, bt_steal(unknown));
      if (print_path(cli, path, err) == 0)
        return 0;
      return bt_err_code(err ? *err : NULL) == BT_NOT_FOUND ? bt_err_move(err, bt_steal(unknown)) : -1;
    }
    path = target_path(cli, &target);
  }
  return print_path(cli, path, err);
}

int bt_verb_node_inspect(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_FREE char *path = bt_url_path("nodes", cli->args.rest.items[0], NULL);
  return print_path(cli, path, err);
}

/* ---------------------------------------------------------------- why */

static void print_why(const json_t *why) {
  BT_AUTO_BUF out = {0};
  bool fancy = bt_out_fancy(STDOUT_FILENO);
  BT_AUTO_FREE char *title = bt_asprintf("%s: ", bt_json_str_or(why, "object", ""));
  bt_out_color(&out, fancy, BT_BOLD, title);
  bt_out_clean(&out, bt_json_str_or(why, "summary", ""));
  bt_buf_addc(&out, '\n');
  size_t i;
  json_t *reason;
  json_array_foreach(bt_json_arr(why, "reasons"), i, reason) {
    char age[32];
    if (bt_streq(bt_json_str(reason, "text"), bt_json_str(why, "summary")))
      continue; /* said already; scripts get it, for its time and code */
    bt_buf_adds(&out, "  - ");
    bt_out_clean(&out, bt_json_str_or(reason, "text", ""));
    if (*bt_out_age(bt_json_time(reason, "since"), age))
      bt_buf_addf(&out, " (for %s)", age);
    bt_buf_addc(&out, '\n');
  }
  const char *next = bt_json_str(why, "next");
  if (next && *next)
    bt_buf_addf(&out, "Next: %s\n", next);
  bt_out_write(STDOUT_FILENO, &out);
}

/* A bare service name in its own project: "web" means shop/web there. */
static int why_object(struct bt_cli *cli, char **out, struct bt_err **err) {
  const char *word = cli->args.rest.len ? cli->args.rest.items[0] : NULL;
  BT_AUTO_FREE char *here = NULL;
  if (!word)
    return bt_target_app(cli, out, err);
  if (strchr(word, '/')) {
    *out = bt_strdup(word);
    return 0;
  }
  if (bt_project_app(&cli->args, &here, err))
    return -1;
  BT_AUTO_TARGET target = {0};
  bool own = here && bt_target_resolve(cli, word, &target, NULL, NULL) == 0 && bt_streq(target.app, here) &&
             target.service && !target.instance;
  *out = own ? bt_asprintf("%s/%s", here, word) : bt_strdup(word);
  return 0;
}

int bt_verb_why(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_FREE char *object = NULL;
  BT_AUTO_JSON why = NULL;
  if (why_object(cli, &object, err))
    return -1;
  BT_AUTO_FREE char *path = bt_cli_path(cli, "why", NULL);
  BT_AUTO_BUF url = {0};
  bt_buf_adds(&url, path);
  bt_url_query(&url, "object", object);
  if (bt_cli_get(cli, url.data, &why, err))
    return -1;
  if (cli->json)
    bt_out_json(why);
  else
    print_why(why);
  return 0;
}

/* ---------------------------------------------------------------- secrets */

/* The value from FILE or standard input: never from the command line, which every user of the machine can read. */
static int read_secret(const struct bt_args *args, char **data, size_t *len, struct bt_err **err) {
  const char *file = args->rest.len > 1 && strcmp(args->rest.items[1], "-") ? args->rest.items[1] : "/dev/stdin";
  if (args->rest.len < 2 && isatty(STDIN_FILENO))
    fputs("Value, ended with Ctrl-D: ", stderr);
  if (bt_file_read(file, max_secret, data, len, err))
    return bt_err_wrap(err, "the secret's value");
  return *len ? 0 : bt_err_set(err, BT_INVALID, "the secret's value is empty");
}

int bt_verb_secret_put(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_FREE char *data = NULL;
  size_t len = 0;
  if (read_secret(&cli->args, &data, &len, err))
    return -1;
  size_t room = sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_ORIGINAL);
  BT_AUTO_FREE char *base64 = bt_newn(char, room);
  sodium_bin2base64(base64, room, (const unsigned char *)data, len, sodium_base64_VARIANT_ORIGINAL);
  bt_wipe(data, len);
  BT_AUTO_JSON body = json_object();
  BT_AUTO_JSON result = NULL;
  bt_json_set_str(body, "data", base64);
  bt_wipe(base64, room);
  BT_AUTO_FREE char *path = bt_cli_path(cli, "secrets", cli->args.rest.items[0], NULL);
  if (bt_cli_connect(cli, err) || bt_conn_call(cli->conn, "PUT", path, body, 0, &result, err))
    return -1;
  bool changed = bt_json_bool(result, "changed", true);
  if (cli->json) {
    BT_AUTO_JSON said = json_object();
    bt_json_set_str(said, "name", cli->args.rest.items[0]);
    bt_json_set_bool(said, "changed", changed);
    bt_out_json(said);
  } else {
    bt_cli_say("%s %s\n", cli->args.rest.items[0], changed ? "stored" : "is unchanged");
  }
  return 0;
}

/* ---------------------------------------------------------------- removing */

int bt_cli_delete_each(struct bt_cli *cli, const char *kind, const char *said, struct bt_err **err) {
  int rc = bt_cli_connect(cli, err);
  BT_AUTO_JSON done = json_array();
  for (size_t i = 0; rc == 0 && i < cli->args.rest.len; i++) {
    const char *name = cli->args.rest.items[i];
    BT_AUTO_FREE char *path = bt_cli_path(cli, kind, name, NULL);
    rc = bt_conn_call(cli->conn, "DELETE", path, NULL, 0, NULL, err);
    if (rc == 0)
      json_array_append_new(done, json_pack("{s:o}", "name", bt_json_string(name)));
    if (rc == 0 && !cli->json)
      bt_cli_say("%s %s\n", name, said);
  }
  if (cli->json && (rc == 0 || json_array_size(done))) /* of several, those before the one that failed are gone */
    bt_out_json(done);
  return rc;
}

int bt_verb_secret_rm(struct bt_cli *cli, struct bt_err **err) { return bt_cli_delete_each(cli, "secrets", "removed", err); }
int bt_verb_volume_rm(struct bt_cli *cli, struct bt_err **err) { return bt_cli_delete_each(cli, "volumes", "removed", err); }
int bt_verb_network_rm(struct bt_cli *cli, struct bt_err **err) { return bt_cli_delete_each(cli, "networks", "removed", err); }

/* POST to nodes/NODE/what for each; JSON: an array of what was answered. */
static int cordon_each(struct bt_cli *cli, const char *what, const char *said, struct bt_err **err) {
  int rc = bt_cli_connect(cli, err);
  BT_AUTO_JSON done = json_array();
  for (size_t i = 0; rc == 0 && i < cli->args.rest.len; i++) {
    const char *name = cli->args.rest.items[i];
    json_t *result = NULL;
    BT_AUTO_FREE char *path = bt_url_path("nodes", name, what, NULL);
    rc = bt_conn_call(cli->conn, "POST", path, NULL, 0, &result, err);
    if (rc == 0 && !cli->json)
      bt_cli_say("%s %s%s\n", name, bt_json_bool(result, "changed", false) ? "" : "already ", said);
    if (rc == 0)
      json_array_append_new(done, result);
  }
  if (cli->json && (rc == 0 || json_array_size(done)))
    bt_out_json(done);
  return rc;
}

int bt_verb_node_cordon(struct bt_cli *cli, struct bt_err **err) { return cordon_each(cli, "cordon", "takes no new instances; it runs on", err); }
int bt_verb_node_uncordon(struct bt_cli *cli, struct bt_err **err) { return cordon_each(cli, "uncordon", "takes new instances", err); }
