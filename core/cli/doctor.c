/* "berth doctor": does everything fit together? The server checks itself, its engine and its plug-ins; here is checked whether it
 * can be reached and speaks our version. "berth version" stands beside it. */
#include "config.h"

#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/list.h"

enum { doctor_timeout_ms = 60000 };

static void add(json_t *checks, const char *element, const char *declared, const char *found, const char *verdict, const char *mend) {
  json_t *item = json_object();
  bt_json_set_str(item, "element", element);
  bt_json_set_str(item, "declared", declared);
  bt_json_set_str(item, "found", found);
  bt_json_set_str(item, "verdict", verdict);
  bt_json_set_str(item, "mend", mend);
  json_array_append_new(checks, item);
}

static void check_version(json_t *checks, const json_t *version) {
  const char *server = bt_json_str_or(version, "version", "unknown");
  BT_AUTO_FREE char *declared = bt_asprintf("%s, as this command", PACKAGE_VERSION);
  bool same = strcmp(server, PACKAGE_VERSION) == 0;
  add(checks, "server's version", declared, server, same ? "ok" : "warning", same ? NULL : "install the same version of berth and berthd");
}

static void ask_server(struct bt_cli *cli, json_t *checks) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON version = NULL;
  BT_AUTO_JSON report = NULL;
  if (bt_cli_get(cli, "/v1/version", &version, &err)) {
    add(checks, "server", "answers", bt_err_message(err), "error", "berthd --config /etc/berth/berthd.yaml");
    return;
  }
  add(checks, "server", "answers", cli->conn->shown, "ok", NULL);
  check_version(checks, version);
  if (bt_conn_call(cli->conn, "GET", "/v1/doctor", NULL, doctor_timeout_ms, &report, &err))
    add(checks, "doctor", "answers", bt_err_message(err), "error", NULL);
  else
    json_array_extend(checks, json_is_array(report) ? report : bt_json_arr(report, "items"));
}

int bt_verb_doctor(struct bt_cli *cli, struct bt_err **err) {
  static const struct bt_column columns[] = {{"ELEMENT", "element", BT_CELL_TEXT},   {"DECLARED", "declared", BT_CELL_TEXT},
                                             {"FOUND", "found", BT_CELL_TEXT},       {"VERDICT", "verdict", BT_CELL_STATE},
                                             {"MEND", "mend", BT_CELL_TEXT},         {NULL, NULL, BT_CELL_TEXT}};
  if (bt_cli_connect(cli, err))
    return -1;
  BT_AUTO_JSON checks = json_array();
  ask_server(cli, checks);
  bt_list_print(cli, columns, "element", checks);
  size_t i, failed = 0;
  json_t *check;
  json_array_foreach(checks, i, check) {
    const char *verdict = bt_json_str_or(check, "verdict", "");
    failed += strcmp(verdict, "ok") && strcmp(verdict, "warning");
  }
  return failed ? BT_EXIT_NO : 0;
}

int bt_verb_version(struct bt_cli *cli, struct bt_err **err) {
  (void)err;
  BT_AUTO_JSON server = NULL;
  BT_AUTO_JSON out = json_object();
  BT_AUTO_ERR away = NULL;
  /* No server is no failure here: the question was about versions. */
  if (bt_cli_get(cli, "/v1/version", &server, &away) && bt_err_code(away) != BT_UNAVAILABLE)
    bt_cli_note("%s", bt_err_message(away));
  bt_json_set_str(out, "client", PACKAGE_VERSION);
  bt_json_set(out, "server", server ? json_incref(server) : json_null());
  if (cli->json)
    bt_out_json(out);
  else
    bt_cli_say("berth %s\nberthd %s\n", PACKAGE_VERSION,
               server ? bt_json_str_or(server, "version", "unknown") : "(no server answers)");
  return 0;
}
