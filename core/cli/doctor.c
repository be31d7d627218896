/* "berth doctor": does everything fit together? The server checks itself, its engine and its plug-ins; here is checked whether it
 * can be reached and speaks our version. "berth version" stands beside it. */
#include "config.h"

#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/list.h"
#include "model/finding.h"

enum { doctor_timeout_ms = 60000 };

static void check_version(json_t *checks, const json_t *version) {
  const char *server = bt_json_str_or(version, "version", "unknown");
  BT_AUTO_FREE char *declared = bt_asprintf("%s, as this command", PACKAGE_VERSION);
  bool same = strcmp(server, PACKAGE_VERSION) == 0;
  bt_finding_add(checks, "server's version", declared, server, same ? "ok" : "warning",
                 same ? NULL : "install the same version of berth and berthd");
}

static void ask_server(struct bt_cli *cli, json_t *checks) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON version = NULL;
  BT_AUTO_JSON report = NULL;
  if (bt_cli_get(cli, "/v1/version", &version, &err)) {
    bt_finding_add(checks, "server", "answers", bt_err_message(err), "error", "berthd --config /etc/berth/berthd.yaml");
    return;
  }
  bt_finding_add(checks, "server", "answers", cli->conn->shown, "ok", NULL);
  check_version(checks, version);
  if (bt_conn_call(cli->conn, "GET", "/v1/doctor", NULL, doctor_timeout_ms, &report, &err))
    bt_finding_add(checks, "doctor", "answers", bt_err_message(err), "error", NULL);
  else
    json_array_extend(checks, json_is_array(report) ? report : bt_json_arr(report, "items"));
}

/* ---------------------------------------------------------------- the table */

static const struct part {
  const char *head, *key;
  size_t most; /* columns, but for the last, which takes what is left */
} parts[] = {{"ELEMENT", "element", 32}, {"VERDICT", "verdict", 8}, {"DECLARED", "declared", 26}, {"FOUND", "found", 0}};

enum { gap = 2 };

/* Columns of each part but the last, and where it begins. */
static void measure(const json_t *checks, size_t *at) {
  size_t i;
  json_t *check;
  at[0] = 0;
  for (size_t p = 0; p + 1 < BT_COUNT(parts); p++) {
    size_t wide = bt_out_columns(parts[p].head);
    json_array_foreach(checks, i, check) wide = BT_MAX(wide, bt_out_columns(bt_json_str_or(check, parts[p].key, "")));
    at[p + 1] = at[p] + BT_MIN(wide, parts[p].most) + gap;
  }
}

/* A row of cells, each broken into as many lines as it needs within its part; heads where check is NULL. */
static void add_cells(const json_t *check, const size_t *at, size_t width, bool fancy, struct bt_buf *out) {
  struct bt_buf cells[BT_COUNT(parts)] = {{0}};
  char *rest[BT_COUNT(parts)];
  size_t used = BT_COUNT(parts);
  for (size_t p = 0; p < BT_COUNT(parts); p++) {
    BT_AUTO_BUF clean = {0};
    bt_out_clean(&clean, check ? bt_json_str_or(check, parts[p].key, "") : parts[p].head);
    size_t end = p + 1 < BT_COUNT(parts) ? at[p + 1] - gap : BT_MAX(width, at[p] + 20);
    bt_out_wrap(&cells[p], clean.data ? clean.data : "", 0, 0, end - at[p]);
    rest[p] = cells[p].data;
  }
  for (bool first = true; used; first = false) {
    size_t column = 0;
    for (size_t p = 0; p < used; p++) {
      size_t n = strcspn(rest[p], "\n");
      BT_AUTO_FREE char *line = bt_strndup(rest[p], n);
      rest[p] += n + (rest[p][n] == '\n');
      if (!n)
        continue;
      size_t blanks = at[p] > column ? at[p] - column : column ? 1 : 0; /* a word may be wider than its part */
      bt_buf_addf(out, "%*s", (int)blanks, "");
      bt_out_color(out, fancy, !check ? BT_BOLD : p == 1 ? bt_out_state_color(line) : BT_PLAIN, line);
      column += blanks + bt_out_columns(line);
    }
    if (column || first)
      bt_buf_addc(out, '\n');
    while (used && !*rest[used - 1])
      used--;
  }
  for (size_t p = 0; p < BT_COUNT(parts); p++)
    bt_buf_free(&cells[p]);
}

void bt_doctor_render(const json_t *checks, size_t width, bool fancy, struct bt_buf *out) {
  size_t at[BT_COUNT(parts)], i;
  json_t *check;
  measure(checks, at);
  add_cells(NULL, at, width, fancy, out);
  json_array_foreach(checks, i, check) {
    const char *mend = bt_json_str_or(check, "mend", "");
    BT_AUTO_BUF clean = {0};
    add_cells(check, at, width, fancy, out);
    if (!*mend || bt_streq(bt_json_str(check, "verdict"), "ok"))
      continue;
    bt_out_clean(&clean, mend);
    bt_buf_adds(out, "    mend: ");
    bt_out_wrap(out, clean.data, 10, 10, width);
  }
}

/* On a terminal as wide as that is; elsewhere as wide as a page. */
static void print_table(const json_t *checks) {
  enum { page = 100, least = 80 };
  BT_AUTO_BUF out = {0};
  int width = bt_out_width(STDOUT_FILENO);
  bt_doctor_render(checks, width ? (size_t)BT_MAX(width, least) : page, bt_out_fancy(STDOUT_FILENO), &out);
  bt_out_write(STDOUT_FILENO, &out);
}

int bt_verb_doctor(struct bt_cli *cli, struct bt_err **err) {
  static const struct bt_column columns[] = {{"ELEMENT", "element", BT_CELL_TEXT}, {NULL, NULL, BT_CELL_TEXT}};
  if (bt_cli_connect(cli, err))
    return -1;
  BT_AUTO_JSON checks = json_array();
  ask_server(cli, checks);
  if (cli->json || cli->quiet)
    bt_list_print(cli, columns, "element", checks);
  else
    print_table(checks);
  size_t i, failed = 0;
  json_t *check;
  json_array_foreach(checks, i, check) {
    const char *verdict = bt_json_str_or(check, "verdict", "");
    failed += strcmp(verdict, "ok") && strcmp(verdict, "warning") && strcmp(verdict, "unknown");
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
