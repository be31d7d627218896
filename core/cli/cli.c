#include "config.h"
#include "cli/cli.h"

#include <stdio.h>
#include <unistd.h>

int bt_cli_connect(struct bt_cli *cli, struct bt_err **err) {
  return cli->conn ? 0 : bt_conn_open(bt_args_text(&cli->args, "host"), &cli->conn, err);
}

int bt_cli_get(struct bt_cli *cli, const char *path, json_t **out, struct bt_err **err) {
  return bt_cli_connect(cli, err) ? -1 : bt_conn_call(cli->conn, "GET", path, NULL, 0, out, err);
}

char *bt_cli_path(const struct bt_cli *cli, const char *first, ...) {
  BT_AUTO_BUF url = {0};
  bt_buf_adds(&url, "/v1/namespaces/");
  bt_url_encode(&url, cli->namespace_);
  va_list ap;
  va_start(ap, first);
  bt_url_segments(&url, first, ap);
  va_end(ap);
  return bt_buf_steal(&url);
}

void bt_cli_note(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  BT_AUTO_FREE char *text = bt_vasprintf(fmt, ap);
  va_end(ap);
  BT_AUTO_FREE char *line = bt_asprintf("berth: %s\n", text);
  bt_cli_tell(line);
}

void bt_cli_tell(const char *text) {
  BT_AUTO_BUF clean = {0};
  bt_out_clean_lines(&clean, text);
  fflush(stdout);
  fputs(clean.data ? clean.data : "", stderr);
}

void bt_cli_say(const char *fmt, ...) {
  BT_AUTO_BUF b = {0};
  va_list ap;
  va_start(ap, fmt);
  BT_AUTO_FREE char *text = bt_vasprintf(fmt, ap);
  va_end(ap);
  bt_out_clean_lines(&b, text);
  bt_out_write(STDOUT_FILENO, &b);
}
