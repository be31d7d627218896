/* "berth policy test": runs the tests beside the policies of a folder, here, without a server. */
#include "config.h"

#include <sys/stat.h>

#include "base/json.h"
#include "cli/cli.h"
#include "policy/policy.h"

int bt_verb_policy_test(struct bt_cli *cli, struct bt_err **err) {
  const char *dir = cli->args.rest.len ? cli->args.rest.items[0] : ".";
  BT_AUTO_JSON results = NULL;
  struct stat st;
  if (stat(dir, &st) || !S_ISDIR(st.st_mode))
    return bt_err_set(err, BT_NOT_FOUND, "there is no folder %s", dir);
  if (bt_policy_test(dir, NULL, &results, err))
    return -1;
  size_t i, failed = 0, total = json_array_size(results);
  json_t *result;
  json_array_foreach(results, i, result) {
    bool ok = bt_json_bool(result, "ok", false);
    failed += !ok;
    if (cli->json)
      continue;
    BT_AUTO_BUF line = {0};
    bt_buf_addf(&line, "%sok %zu - %s: ", ok ? "" : "not ", i + 1, bt_json_str_or(result, "file", ""));
    bt_out_clean(&line, bt_json_str_or(result, "name", ""));
    const char *message = bt_json_str(result, "message");
    if (!ok && message) {
      bt_buf_adds(&line, "\n# ");
      bt_out_clean(&line, message);
    }
    bt_cli_say("%s\n", line.data);
  }
  if (!total)
    bt_cli_note("there are no tests in %s: they are in files whose names end with _test.lua", dir);
  if (cli->json)
    bt_out_json(results);
  else
    bt_cli_say("1..%zu\n# %zu passed, %zu failed\n", total, total - failed, failed);
  return failed ? BT_EXIT_NO : 0;
}
