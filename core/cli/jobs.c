#include "config.h"

#include "cli/jobs.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/list.h"
#include "cli/project.h"
#include "cli/target.h"

enum { write_timeout_ms = 60000 };

static const struct bt_column columns[] = {
    {"APP", "app", BT_CELL_TEXT},   {"JOB", "service", BT_CELL_TEXT}, {"STATE", "state", BT_CELL_STATE},   {"SCHEDULE", "schedule", BT_CELL_TEXT},
    {"NEXT", "next", BT_CELL_TEXT}, {"LAST", "last", BT_CELL_TEXT},   {"RESULT", "result", BT_CELL_STATE}, {"ACTIVE", "job.active", BT_CELL_TEXT},
    {"NOTE", "note", BT_CELL_TEXT}, {NULL, NULL, BT_CELL_TEXT}};

int bt_services_get(struct bt_cli *cli, json_t **out, struct bt_err **err) {
  bool all = bt_args_has(&cli->args, "all-namespaces");
  BT_AUTO_FREE char *path = all ? bt_strdup("/v1/apps") : bt_cli_path(cli, "services", NULL);
  BT_AUTO_JSON items = NULL;
  json_t *services, *item, *service;
  size_t i;
  const char *name;
  if (bt_cli_connect(cli, err) || bt_conn_list(cli->conn, path, &items, err))
    return -1;
  services = json_array();
  json_array_foreach(items, i, item) {
    if (!all)
      json_array_append(services, item);
    else
      json_object_foreach(bt_json_obj(item, "services"), name, service) json_array_append(services, service);
  }
  *out = services;
  return 0;
}

static json_t *recurring(const json_t *services) {
  json_t *jobs = json_array(), *service;
  size_t i;
  json_array_foreach(services, i, service) if (json_is_object(json_object_get(service, "job"))) json_array_append(jobs, service);
  return jobs;
}

static void set_next(json_t *service, const json_t *job, int64_t now_ms) {
  long long next = bt_json_time(job, "next_run");
  char buf[32];
  if (bt_json_str(job, "waits"))
    bt_json_set_str(service, "next", "waits");
  else if (next)
    json_object_set_new(service, "next", json_sprintf("in %s", bt_duration_human(BT_MAX(next - now_ms, 0), buf)));
  else
    bt_json_set_str(service, "next", bt_json_bool(job, "suspend", false) ? "suspended" : "");
}

void bt_job_words(json_t *service, int64_t now_ms) {
  const json_t *job = bt_json_obj(service, "job"), *last = bt_json_obj(job, "last_run");
  const char *schedule = bt_json_str(job, "schedule"), *zone = bt_json_str_or(job, "time_zone", "UTC");
  BT_AUTO_BUF words = {0};
  char buf[32];
  size_t i;
  json_t *follows;
  if (schedule)
    bt_buf_addf(&words, "%s%s%s", schedule, bt_streq(zone, "UTC") ? "" : " ", bt_streq(zone, "UTC") ? "" : zone);
  json_array_foreach(bt_json_arr(job, "follows"), i, follows) bt_buf_addf(&words, "%s%s", i ? ", " : "after ", json_string_value(follows));
  bt_json_set_str(service, "schedule", words.data ? words.data : "");
  set_next(service, job, now_ms);
  if (last)
    json_object_set_new(service, "last", json_sprintf("%s ago", bt_duration_human(BT_MAX(now_ms - bt_json_time(last, "finished_at"), 0), buf)));
  bt_json_set_str(service, "result", bt_json_str_or(last, "state", ""));
  const char *note = bt_json_str(job, "waits");
  bt_json_set_str(service, "note", note ? note : bt_json_str_or(last, "reason", ""));
}

bool bt_service_meant(const struct bt_cli *cli, const json_t *service, const char *here) {
  const char *app = bt_json_str_or(service, "app", ""), *name = bt_json_str_or(service, "service", "");
  BT_AUTO_FREE char *both = bt_asprintf("%s/%s", app, name);
  if (!cli->args.rest.len)
    return !here || bt_streq(here, app);
  bt_vec_each(&cli->args.rest, word) if (bt_streq(*word, app) || bt_streq(*word, both) || (bt_streq(*word, name) && (!here || bt_streq(here, app)))) return true;
  return false;
}

void bt_jobs_print(const struct bt_cli *cli, const json_t *services, const char *here, int64_t now_ms) {
  BT_AUTO_JSON shown = json_array();
  size_t i;
  json_t *service;
  json_array_foreach(services, i, service) if (json_is_object(json_object_get(service, "job")) && bt_service_meant(cli, service, here)) {
    bt_job_words(service, now_ms);
    json_array_append(shown, service);
  }
  if (json_array_size(shown) == 0)
    return;
  bt_cli_say("\n");
  bt_list_print(cli, columns, "service", shown);
}

int bt_verb_job_ls(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_JSON services = NULL;
  size_t i;
  json_t *service;
  if (bt_services_get(cli, &services, err))
    return -1;
  BT_AUTO_JSON jobs = recurring(services);
  if (!cli->json)
    json_array_foreach(jobs, i, service) bt_job_words(service, bt_clock_wall_ms());
  return bt_list_print(cli, columns, "service", jobs);
}

/* APP/SERVICE, or SERVICE of the current project. */
static int find_job(struct bt_cli *cli, char **app, const char **service, struct bt_err **err) {
  const char *word = cli->args.rest.items[0], *slash = strchr(word, '/');
  *service = slash ? slash + 1 : word;
  *app = slash ? bt_strndup(word, (size_t)(slash - word)) : NULL;
  if (!*app && bt_project_app(&cli->args, app, err))
    return -1;
  if (*app && **app && **service)
    return 0;
  return bt_err_set(err, BT_INVALID, "which app's? Say APP/%s; there is no compose.yaml in this folder or above it", **service ? *service : "JOB");
}

int bt_verb_job_run(struct bt_cli *cli, struct bt_err **err) {
  BT_AUTO_FREE char *app = NULL;
  const char *service;
  if (find_job(cli, &app, &service, err))
    return -1;
  BT_AUTO_FREE char *path = bt_cli_path(cli, "apps", app, "services", service, "run", NULL);
  BT_AUTO_JSON body = json_object();
  BT_AUTO_JSON result = NULL;
  if (bt_cli_connect(cli, err) || bt_conn_call(cli->conn, "POST", path, body, write_timeout_ms, &result, err))
    return -1;
  long long run = bt_json_int(result, "run", 0);
  if (cli->json)
    bt_out_json(result);
  else if (run)
    bt_cli_say("%s/%s: run %lld begins\n", app, service, run);
  else
    bt_cli_say("%s/%s runs again\n", app, service);
  return 0;
}
