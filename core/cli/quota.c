/* "berth quota ls": what namespaces may use and use, a row for each limit. */
#include "config.h"

#include "base/json.h"
#include "cli/cli.h"
#include "cli/out.h"

static const char *const resources[] = {"cpus", "memory", "instances", "volumes", "devices", "routes"};

static void add_amount(struct bt_table *table, const char *resource, const json_t *value, enum bt_color color) {
  char buf[32];
  BT_AUTO_FREE char *text = NULL;
  if (!json_is_number(value))
    text = bt_strdup("-");
  else if (bt_streq(resource, "memory"))
    text = bt_strdup(bt_out_bytes((long long)json_number_value(value), buf));
  else
    text = bt_asprintf("%.10g", json_number_value(value));
  bt_table_add(table, text, color);
}

static bool is_over(const json_t *row, const char *resource) {
  size_t i;
  json_t *over;
  json_array_foreach(bt_json_arr(row, "over"), i, over) if (bt_streq(json_string_value(over), resource)) return true;
  return false;
}

static void add_row(struct bt_table *table, const json_t *row, const char *resource, long long waiting) {
  const json_t *limit = json_object_get(bt_json_obj(row, "quota"), resource), *used = json_object_get(bt_json_obj(row, "used"), resource);
  bool over = is_over(row, resource);
  BT_AUTO_JSON left = limit ? json_real(BT_MAX(json_number_value(limit) - json_number_value(used), 0)) : NULL;
  bt_table_add(table, bt_json_str_or(row, "namespace", ""), BT_PLAIN);
  bt_table_add(table, bt_json_str_or(row, "parent", ""), BT_PLAIN);
  bt_table_add(table, resource, BT_PLAIN);
  add_amount(table, resource, used, over ? BT_RED : BT_PLAIN);
  add_amount(table, resource, json_object_get(bt_json_obj(row, "held"), resource), BT_PLAIN);
  add_amount(table, resource, limit, BT_PLAIN);
  add_amount(table, resource, left, BT_PLAIN);
  if (over)
    bt_table_add(table, "over: nothing new starts", BT_RED);
  else if (waiting)
    bt_table_addf(table, waiting == 1 ? "1 app waits" : "%lld apps wait", waiting);
  else
    bt_table_add(table, limit ? "" : "no limit", BT_DIM);
}

/* Of a namespace without limits what everybody understands: its instances. */
static void add_namespace(struct bt_table *table, const json_t *row) {
  long long waiting = bt_json_int(row, "waiting", 0);
  size_t limits = 0;
  for (size_t i = 0; i < BT_COUNT(resources); i++)
    if (json_object_get(bt_json_obj(row, "quota"), resources[i])) {
      add_row(table, row, resources[i], limits == 0 ? waiting : 0);
      limits++;
    }
  if (limits == 0)
    add_row(table, row, "instances", waiting);
}

int bt_verb_quota_ls(struct bt_cli *cli, struct bt_err **err) {
  static const char *const head[] = {"NAMESPACE", "PARENT", "RESOURCE", "USED", "HELD", "QUOTA", "FREE", "NOTE"};
  BT_AUTO_JSON items = NULL;
  BT_AUTO_TABLE table = {0};
  BT_AUTO_BUF url = {0};
  size_t i;
  json_t *row;
  bt_buf_adds(&url, "/v1/quotas");
  bt_url_query(&url, "namespace", bt_args_text(&cli->args, "namespace")); /* only where one was named: by default all */
  if (bt_cli_connect(cli, err) || bt_conn_list(cli->conn, url.data, &items, err))
    return -1;
  if (cli->json) {
    bt_out_json(items);
    return 0;
  }
  if (!cli->quiet)
    bt_table_head(&table, BT_COUNT(head), head);
  json_array_foreach(items, i, row) {
    if (cli->quiet)
      bt_cli_say("%s\n", bt_json_str_or(row, "namespace", ""));
    else
      add_namespace(&table, row);
  }
  if (!cli->quiet)
    bt_table_print(&table);
  return 0;
}
