/* What the verbs of the berth command share: the parsed command line, the connection, where output goes. A verb returns its exit
 * code, or -1 with an error whose code becomes the exit code (base/err.c's table). */
#ifndef BT_CLI_CLI_H
#define BT_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "cli/args.h"
#include "cli/conn.h"
#include "cli/out.h"

enum { BT_EXIT_NO = 1 }; /* it ran, and the answer is no: not healthy, a check failed */

struct bt_cli {
  struct bt_args args;
  struct bt_conn *conn;      /* NULL until bt_cli_connect */
  const char *namespace_;
  bool json, quiet;
};

int bt_cli_connect(struct bt_cli *cli, struct bt_err **err) BT_CHECK;
/* GET path: a new reference. Connects first. */
int bt_cli_get(struct bt_cli *cli, const char *path, json_t **out, struct bt_err **err) BT_CHECK;
/* "/v1/namespaces/NS/first/…", encoded; ends with NULL. The caller frees. */
char *bt_cli_path(const struct bt_cli *cli, const char *first, ...) __attribute__((sentinel));
/* DELETEs each of the arguments under the kind ("secrets"); prints "NAME said", or with --format json what is gone. */
int bt_cli_delete_each(struct bt_cli *cli, const char *kind, const char *said, struct bt_err **err) BT_CHECK;
/* A sentence on standard error, "berth: …", for what is no result; control characters are made visible. */
void bt_cli_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Text of others on standard error, line by line, as bt_out_clean has it. */
void bt_cli_tell(const char *text);
/* Standard output, formatted; control characters are made visible. */
void bt_cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define BT_VERB(name) int bt_verb_##name(struct bt_cli *cli, struct bt_err **err)
BT_VERB(up);
BT_VERB(plan);
BT_VERB(ls);
BT_VERB(ps);
BT_VERB(inspect);
BT_VERB(logs);
BT_VERB(exec);
BT_VERB(top);
BT_VERB(events);
BT_VERB(scale);
BT_VERB(restart);
BT_VERB(down);
BT_VERB(rollback);
BT_VERB(history);
BT_VERB(autoscale_apply);
BT_VERB(autoscale_ls);
BT_VERB(job_ls);
BT_VERB(job_run);
BT_VERB(why);
BT_VERB(follow);
BT_VERB(unfollow);
BT_VERB(sync);
BT_VERB(source_ls);
BT_VERB(source_inspect);
BT_VERB(rollout_promote);
BT_VERB(rollout_pause);
BT_VERB(rollout_abort);
BT_VERB(config);
BT_VERB(doctor);
BT_VERB(plugin_ls);
BT_VERB(plugin_new);
BT_VERB(policy_ls);
BT_VERB(policy_test);
BT_VERB(node_cordon);
BT_VERB(node_uncordon);
BT_VERB(node_drain);
BT_VERB(node_ls);
BT_VERB(pool_ls);
BT_VERB(quota_ls);
BT_VERB(simulate);
BT_VERB(node_inspect);
BT_VERB(secret_ls);
BT_VERB(secret_put);
BT_VERB(secret_rm);
BT_VERB(route_ls);
BT_VERB(volume_ls);
BT_VERB(volume_rm);
BT_VERB(network_ls);
BT_VERB(network_rm);
BT_VERB(image_ls);
BT_VERB(image_pull);
BT_VERB(image_import);
BT_VERB(image_load);
BT_VERB(image_rm);
BT_VERB(image_prune);
BT_VERB(completion);
BT_VERB(version);
BT_VERB(help);

/* Help of one verb, or of all where verb is NULL, on standard output. */
void bt_help_print(const struct bt_verb *verb);
/* The same as text in lines of at most width columns. */
void bt_help_text(const struct bt_verb *verb, size_t width, struct bt_buf *out);
/* The verbs that begin with this word: "secret". */
void bt_help_group(const char *word);

#endif
