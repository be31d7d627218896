/* Jobs that recur: their list, beside the instances that they have at the moment or not. */
#ifndef BT_CLI_JOBS_H
#define BT_CLI_JOBS_H

#include "cli/cli.h"

/* The services that are jobs which recur, as GET …/services answers; of all namespaces with --all-namespaces. New reference. */
int bt_jobs_get(struct bt_cli *cli, json_t **out, struct bt_err **err) BT_CHECK;
/* The table of those among them that the verb's arguments mean (here: the app of the current project, or NULL), after an empty line; nothing
 * where there are none. */
void bt_jobs_print(const struct bt_cli *cli, const json_t *jobs, const char *here, int64_t now_ms);
/* Adds what the table shows of a job: "schedule", "next", "last", "result", "note". Pure. */
void bt_job_words(json_t *service, int64_t now_ms);

#endif
