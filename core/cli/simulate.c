/* "berth simulate": what more nodes would place, of what waits and of a Compose file. */
#include "config.h"

#include <unistd.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/plan_print.h"
#include "cli/project.h"

enum { timeout_ms = 600000 };

/* The file's document where -f is given; NULL with no error: none is. */
static json_t *document_of(const struct bt_args *args, struct bt_err **err) {
  struct bt_project project = {0};
  json_t *document = NULL;
  if (!bt_args_has(args, "file"))
    return NULL;
  if (bt_project_options(args, &project, err) == 0 && bt_project_load(&project)) {
    BT_AUTO_FREE char *text = bt_diags_text(&project.result.diags);
    bt_cli_tell(text);
    bt_err_set(err, BT_INVALID, "the Compose file has %zu error%s", project.result.diags.errors, project.result.diags.errors == 1 ? "" : "s");
  } else if (project.result.model) {
    document = json_object();
    bt_json_set(document, "bundle", bt_project_bundle(&project));
    bt_json_set_str(document, "compat", bt_args_text(args, "compat") ? bt_args_text(args, "compat") : "refuse");
  }
  bt_project_free(&project);
  return document;
}

static const json_t *same_pool(const json_t *pools, const json_t *pool) {
  size_t i;
  json_t *other;
  json_array_foreach(pools, i, other) if (bt_streq(bt_json_str(other, "pool"), bt_json_str(pool, "pool"))) return other;
  return NULL;
}

static void add_pool(const json_t *before, const json_t *after, struct bt_buf *out) {
  char a[32], b[32], of_a[32], of_b[32];
  if (json_equal(before, after))
    return;
  bt_buf_addf(out, "  pool %s: %lld -> %lld nodes; reserved cpus %.4g of %.4g -> %.4g of %.4g, memory %s of %s -> %s of %s\n", bt_json_str_or(after, "pool", ""),
              bt_json_int(before, "nodes", 0), bt_json_int(after, "nodes", 0), bt_json_num(before, "cpus_reserved", 0), bt_json_num(before, "cpus_allocatable", 0),
              bt_json_num(after, "cpus_reserved", 0), bt_json_num(after, "cpus_allocatable", 0), bt_out_bytes(bt_json_int(before, "memory_reserved", 0), a),
              bt_out_bytes(bt_json_int(before, "memory_allocatable", 0), of_a), bt_out_bytes(bt_json_int(after, "memory_reserved", 0), b),
              bt_out_bytes(bt_json_int(after, "memory_allocatable", 0), of_b));
}

static void add_service(const json_t *s, bool fancy, struct bt_buf *out) {
  long long n = bt_json_int(s, "instances", 0), unplaced = bt_json_int(s, "unplaced", 0);
  const char *app = bt_json_str(s, "app"), *node, *mend = bt_json_str(s, "mend");
  json_t *count;
  BT_AUTO_BUF line = {0};
  bt_buf_addf(&line, "  %s %s%s%s%s%s: %lld of %lld placed", unplaced ? "!" : "+", app ? bt_json_str_or(s, "namespace", "") : "", app ? "/" : "", app ? app : "", app ? "/" : "",
              bt_json_str_or(s, "service", ""), n - unplaced, n);
  size_t i = 0;
  json_object_foreach(bt_json_obj(s, "nodes"), node, count) bt_buf_addf(&line, "%s %lld on %s", i++ ? "," : ":", (long long)json_integer_value(count), node);
  bt_out_color(out, fancy, unplaced ? BT_RED : BT_GREEN, line.data);
  bt_buf_addc(out, '\n');
  bt_plan_victims(s, fancy, out);
  if (!unplaced)
    return;
  bt_buf_adds(out, "    ");
  bt_out_clean(out, bt_json_str_or(s, "reason", "?"));
  if (mend)
    bt_buf_addf(out, "\n    %s would fit with ", unplaced > 1 ? "One more" : "It");
  bt_out_clean(out, mend ? mend : "");
  bt_buf_addc(out, '\n');
}

static void print(const json_t *o) {
  bool fancy = bt_out_fancy(STDOUT_FILENO);
  const json_t *pending = bt_json_arr(o, "pending"), *services = bt_json_arr(o, "services");
  BT_AUTO_BUF out = {0};
  char memory[32];
  size_t i;
  json_t *item;
  bt_buf_addf(&out, "With %lld more node%s like %s (%.4g cpus, %s):\n", bt_json_int(o, "nodes", 0), bt_json_int(o, "nodes", 0) == 1 ? "" : "s", bt_json_str_or(o, "like", ""),
              bt_json_num(o, "cpus", 0), bt_out_bytes(bt_json_int(o, "memory", 0), memory));
  json_array_foreach(bt_json_arr(o, "after"), i, item) add_pool(same_pool(bt_json_arr(o, "before"), item), item, &out);
  bt_buf_adds(&out, json_array_size(pending) ? "What waits for a place now:\n" : "Nothing waits for a place now.\n");
  json_array_foreach(pending, i, item) add_service(item, fancy, &out);
  if (bt_json_int(o, "untried", 0))
    bt_buf_addf(&out, "  and %lld more instances, which were not tried\n", bt_json_int(o, "untried", 0));
  if (services)
    bt_buf_adds(&out, json_array_size(services) ? "The file's services:\n" : "The file's services ask for no further place.\n");
  json_array_foreach(services, i, item) add_service(item, fancy, &out);
  bt_out_write(STDOUT_FILENO, &out);
}

static long long unplaced(const json_t *services) {
  long long n = 0;
  size_t i;
  json_t *item;
  json_array_foreach(services, i, item) n += bt_json_int(item, "unplaced", 0);
  return n;
}

int bt_verb_simulate(struct bt_cli *cli, struct bt_err **err) {
  const char *n = bt_args_text(&cli->args, "nodes"), *like = bt_args_text(&cli->args, "like");
  long long count = 1;
  BT_AUTO_FREE char *path = bt_cli_path(cli, "simulate", NULL);
  BT_AUTO_BUF url = {0};
  BT_AUTO_JSON result = NULL;
  if (!like)
    return bt_err_set(err, BT_INVALID, "--like NODE or --like POOL: which of them would there be more of? See: berth node ls, berth pool ls");
  if (bt_args_int(&cli->args, "nodes", 0, 1000, &count, err))
    return -1;
  BT_AUTO_ERR wrong = NULL;
  BT_AUTO_JSON document = document_of(&cli->args, &wrong);
  if (wrong)
    return bt_err_move(err, bt_steal(wrong));
  bt_buf_adds(&url, path);
  bt_url_query(&url, "nodes", n ? n : "1");
  bt_url_query(&url, "like", like);
  if (bt_cli_connect(cli, err) || bt_conn_call(cli->conn, "POST", url.data, document, timeout_ms, &result, err))
    return -1;
  if (cli->json)
    bt_out_json(result);
  else
    print(result);
  return unplaced(bt_json_arr(result, "pending")) + unplaced(bt_json_arr(result, "services")) + bt_json_int(result, "untried", 0) ? bt_code_exit(BT_EXHAUSTED) : 0;
}
