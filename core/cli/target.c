#include "config.h"
#include "cli/target.h"

#include "base/json.h"
#include "base/nearest.h"
#include "cli/jobs.h"
#include "cli/project.h"

void bt_target_free(struct bt_target *target) {
  bt_str_set(&target->app, NULL);
  bt_str_set(&target->service, NULL);
  bt_str_set(&target->instance, NULL);
}

bool bt_target_holds(const struct bt_target *target, const json_t *instance) {
  return (!target->app || bt_streq(target->app, bt_json_str(instance, "app"))) &&
         (!target->service || bt_streq(target->service, bt_json_str(instance, "service"))) &&
         (!target->instance || bt_streq(target->instance, bt_json_str(instance, "instance")));
}

static void set(struct bt_target *out, const json_t *instance, bool service, bool one) {
  bt_target_free(out);
  out->app = bt_strdup(bt_json_str(instance, "app"));
  out->service = service ? bt_strdup(bt_json_str(instance, "service")) : NULL;
  out->instance = one ? bt_strdup(bt_json_str(instance, "instance")) : NULL;
}

/* The first instance that holds the given names; NULL: any. */
static const json_t *first(const json_t *instances, const char *app, const char *service, const char *id) {
  const struct bt_target want = {(char *)(uintptr_t)app, (char *)(uintptr_t)service, (char *)(uintptr_t)id};
  size_t i;
  json_t *instance;
  json_array_foreach(instances, i, instance) if (bt_target_holds(&want, instance)) return instance;
  return NULL;
}

/* Of APP/SERVICE only the second part is guessed at: alike as a whole is nearly everything of the app. */
static int unknown(const json_t *instances, const char *word, struct bt_err **err) {
  const char *slash = strchr(word, '/');
  BT_AUTO_FREE char *app = slash ? bt_strndup(word, (size_t)(slash - word)) : NULL;
  struct bt_nearest near = bt_nearest_start(slash ? slash + 1 : word);
  size_t i;
  json_t *instance;
  json_array_foreach(instances, i, instance) {
    if (!app || bt_streq(app, bt_json_str(instance, "app")))
      bt_nearest_try(&near, bt_json_str_or(instance, "service", ""));
    if (app)
      continue;
    bt_nearest_try(&near, bt_json_str_or(instance, "app", ""));
    bt_nearest_try(&near, bt_json_str_or(instance, "instance", ""));
  }
  BT_AUTO_FREE char *best = near.best ? bt_asprintf("%s%s%s", app ? app : "", app ? "/" : "", near.best) : NULL;
  char hint[96];
  return bt_err_set(err, BT_NOT_FOUND, "no app, service or instance is called \"%s\"%s%s \"berth ps --all\" lists what there is", word,
                    bt_nearest_hint(best, hint), best ? "" : ";");
}

/* A bare service name outside of a project: fine where one app has it. */
static int lone_service(const json_t *instances, const char *word, struct bt_target *out, struct bt_err **err) {
  const json_t *found = first(instances, NULL, word, NULL);
  if (!found)
    return unknown(instances, word, err);
  size_t i;
  json_t *instance;
  json_array_foreach(instances, i, instance) {
    const char *app = bt_json_str(instance, "app");
    if (bt_streq(bt_json_str(instance, "service"), word) && !bt_streq(app, bt_json_str(found, "app")))
      return bt_err_set(err, BT_CONFLICT, "several apps have a service \"%s\": say %s/%s or %s/%s", word,
                        bt_json_str_or(found, "app", ""), word, app, word);
  }
  set(out, found, true, false);
  return 0;
}

int bt_target_find(const json_t *instances, const char *here, const char *word, struct bt_target *out,
                   struct bt_err **err) {
  const char *slash = strchr(word, '/');
  const json_t *found = first(instances, NULL, NULL, word);
  if (found) {
    set(out, found, true, true);
    return 0;
  }
  if (slash) {
    BT_AUTO_FREE char *app = bt_strndup(word, (size_t)(slash - word));
    if (!(found = first(instances, app, slash + 1, NULL)))
      return unknown(instances, word, err);
    set(out, found, true, false);
    return 0;
  }
  if (here && (found = first(instances, here, word, NULL))) {
    set(out, found, true, false);
    return 0;
  }
  if ((found = first(instances, word, NULL, NULL))) {
    set(out, found, false, false);
    return 0;
  }
  return lone_service(instances, word, out, err);
}

/* ---------------------------------------------------------------- asking the server */

static int get_instances(struct bt_cli *cli, json_t **out, struct bt_err **err) {
  if (bt_cli_connect(cli, err))
    return -1;
  BT_AUTO_FREE char *path = bt_args_has(&cli->args, "all-namespaces") ? bt_strdup("/v1/instances")
                                                                       : bt_cli_path(cli, "instances", NULL);
  return bt_conn_list(cli->conn, path, out, err);
}

/* A service is known also where none of its instances is there: a job that recurs, one that sleeps. */
static int find_with_jobs(struct bt_cli *cli, const json_t *all, const char *here, const char *word, struct bt_target *out, struct bt_err **err) {
  BT_AUTO_ERR unknown = NULL;
  BT_AUTO_JSON jobs = NULL;
  if (bt_target_find(all, here, word, out, &unknown) == 0)
    return 0;
  if (bt_err_code(unknown) == BT_NOT_FOUND && bt_services_get(cli, &jobs, NULL) == 0 && bt_target_find(jobs, here, word, out, NULL) == 0)
    return 0;
  return bt_err_move(err, bt_steal(unknown));
}

int bt_target_resolve(struct bt_cli *cli, const char *word, struct bt_target *out, json_t **instances,
                      struct bt_err **err) {
  BT_AUTO_FREE char *here = NULL;
  BT_AUTO_JSON all = NULL;
  if (bt_project_app(&cli->args, &here, err) || get_instances(cli, &all, err) ||
      find_with_jobs(cli, all, here, word, out, err))
    return -1;
  if (instances)
    *instances = bt_steal(all);
  return 0;
}

static int compare(const void *a, const void *b) {
  const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
  static const char *const keys[] = {"namespace", "app", "service"};
  for (size_t i = 0; i < BT_COUNT(keys); i++) {
    int c = strcmp(bt_json_str_or(x, keys[i], ""), bt_json_str_or(y, keys[i], ""));
    if (c)
      return c;
  }
  long long s = bt_json_int(x, "slot", 0), t = bt_json_int(y, "slot", 0);
  return s != t ? (s > t) - (s < t)
                : strcmp(bt_json_str_or(x, "instance", ""), bt_json_str_or(y, "instance", ""));
}

static json_t *sorted(const json_t *instances) {
  size_t n = json_array_size(instances);
  BT_AUTO_FREE json_t **items = bt_newn(json_t *, BT_MAX(n, 1));
  for (size_t i = 0; i < n; i++)
    items[i] = json_array_get(instances, i);
  qsort(items, n, sizeof *items, compare);
  json_t *out = json_array();
  for (size_t i = 0; i < n; i++)
    json_array_append(out, items[i]);
  return out;
}

static void pick(const json_t *all, const struct bt_target *target, json_t *picked) {
  size_t i, j;
  json_t *instance, *had;
  json_array_foreach(all, i, instance) {
    bool twice = false;
    json_array_foreach(picked, j, had) twice |= had == instance;
    if (!twice && bt_target_holds(target, instance))
      json_array_append(picked, instance);
  }
}

int bt_target_instances(struct bt_cli *cli, json_t **out, char **here_out, struct bt_err **err) {
  BT_AUTO_FREE char *here = NULL;
  BT_AUTO_JSON all = NULL;
  BT_AUTO_JSON picked = json_array();
  bool every = bt_args_has(&cli->args, "all") || bt_args_has(&cli->args, "all-namespaces");
  if ((!every && bt_project_app(&cli->args, &here, err)) || get_instances(cli, &all, err))
    return -1;
  if (!cli->args.rest.len) {
    struct bt_target whole = {.app = here};
    pick(all, &whole, picked);
  }
  bt_vec_each(&cli->args.rest, word) {
    BT_AUTO_TARGET target = {0};
    if (find_with_jobs(cli, all, here, *word, &target, err))
      return -1;
    pick(all, &target, picked);
  }
  *out = sorted(picked);
  if (here_out)
    *here_out = bt_steal(here);
  return 0;
}

int bt_target_app(struct bt_cli *cli, char **out, struct bt_err **err) {
  *out = cli->args.rest.len ? bt_strdup(cli->args.rest.items[0]) : NULL;
  if (!*out && bt_project_app(&cli->args, out, err))
    return -1;
  if (*out)
    return 0;
  return bt_err_set(err, BT_INVALID, "which app? There is no compose.yaml in this folder or above it: berth %s APP",
                    cli->args.verb->name);
}

char *bt_target_label(const json_t *instance, const char *here) {
  const char *app = bt_json_str_or(instance, "app", ""), *service = bt_json_str_or(instance, "service", "");
  long long slot = bt_json_int(instance, "slot", 0);
  bool own = bt_streq(app, here);
  return bt_asprintf("%s%s%s-%lld", own ? "" : app, own ? "" : "/", service, slot);
}
