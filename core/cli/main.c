/* The berth command: reads the command line, hands on to the verb, and turns its error into words and an exit code. */
#include "config.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/out.h"

static int fail(struct bt_err *err) {
  bt_cli_note("%s", bt_err_message(err));
  return bt_code_exit(bt_err_code(err));
}

/* What would not even make a path: the server's words for that would be no help. */
static int check_namespace(const char *name, struct bt_err **err) {
  size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
  if (n && !name[n])
    return 0;
  return bt_err_set(err, BT_INVALID, "\"%s\" is no name of a namespace: it has lower-case letters, digits, - and _", name);
}

static int run(struct bt_cli *cli, struct bt_err **err) {
  const struct bt_verb *verb = cli->args.verb;
  if (check_namespace(cli->namespace_, err))
    return -1;
  if (bt_args_has(&cli->args, "version")) {
    bt_cli_say("berth %s\n", PACKAGE_VERSION);
    return 0;
  }
  if (cli->args.group) {
    bt_help_group(cli->args.group);
    return 0;
  }
  if (!verb || bt_args_has(&cli->args, "help")) {
    bt_help_print(verb);
    return verb || bt_args_has(&cli->args, "help") ? 0 : bt_code_exit(BT_INVALID);
  }
  return verb->run(cli, err);
}

int main(int argc, char **argv) {
  struct bt_cli cli = {0};
  BT_AUTO_ERR err = NULL;
  bt_log_setup(BT_LOG_ERROR, false); /* what the loop notes about itself is for servers */
  int rc = bt_args_parse(argc, argv, &cli.args, &err);
  if (rc == 0) {
    const char *named = bt_args_text(&cli.args, "namespace"), *env = getenv("BERTH_NAMESPACE");
    cli.namespace_ = named ? named : env && *env ? env : "default";
    cli.json = bt_streq(bt_args_text(&cli.args, "format"), "json");
    cli.quiet = bt_args_has(&cli.args, "quiet");
    rc = run(&cli, &err);
  }
  if (rc == 0 && bt_out_lost()) /* whoever reads the output must not take a part for the whole */
    rc = bt_err_errno(&err, BT_IO, bt_out_lost(), "cannot write the output");
  if (rc < 0)
    rc = fail(err);
  bt_conn_free(&cli.conn);
  bt_args_free(&cli.args);
  return rc;
}
