/* Jobs that recur: their list, beside the instances that they have at the moment or not. */
#ifndef BT_CLI_JOBS_H
#define BT_CLI_JOBS_H

#include "cli/cli.h"

/* All services, as GET …/services answers; of all namespaces with --all-namespaces. New reference. */
int bt_services_get(struct bt_cli *cli, json_t **out, struct bt_err **err) BT_CHECK;
/* Whether the verb's arguments mean the service; without any those of the app here do, or all where it is NULL. */
bool bt_service_meant(const struct bt_cli *cli, const json_t *service, const char *here);
/* The table of those among the services that are jobs which recur and that the arguments mean, after an empty line; nothing where there are none. */
void bt_jobs_print(const struct bt_cli *cli, const json_t *services, const char *here, int64_t now_ms);
/* Adds what the table shows of a job: "schedule", "next", "last", "result", "note". Pure. */
void bt_job_words(json_t *service, int64_t now_ms);

#endif
