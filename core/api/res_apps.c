/* Apps and their revisions: what people change. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "api/admit.h"
#include "base/json.h"
#include "base/mem.h"

enum { MAX_BODY = 64 * 1024 };

static void all_apps(struct bt_api *api, struct bt_exchange *x) { bt_reply_list(api, x, "apps", NULL, NULL); }
static void list_apps(struct bt_api *api, struct bt_exchange *x) { bt_reply_list(api, x, "apps", x->params[0], NULL); }
static void post_app(struct bt_api *api, struct bt_exchange *x) { bt_admit_apply(api, x, x->params[0], NULL); }
static void put_app(struct bt_api *api, struct bt_exchange *x) { bt_admit_apply(api, x, x->params[0], x->params[1]); }
static void post_simulate(struct bt_api *api, struct bt_exchange *x) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE char *like = bt_req_query(x->req, "like");
  long long nodes;
  if (bt_query_int(x->req, "nodes", 0, 1000, 1, &nodes, &err) == 0 && (!like || !*like))
    bt_err_set(&err, BT_INVALID, "?like= names a node or a pool, such as those that would come");
  if (err) {
    bt_problem_err(x, err);
    return;
  }
  json_t *args = json_object();
  bt_json_set_int(args, "nodes", nodes);
  bt_json_set_str(args, "like", like);
  bt_admit_simulate(api, x, x->params[0], args);
}
static void post_config(struct bt_api *api, struct bt_exchange *x) { bt_admit_config(api, x); }

/* The app of the path as JSON (new reference), or NULL after a problem was sent. */
static json_t *app_of(struct bt_api *api, struct bt_exchange *x, const char **text, uint64_t *changed) {
  BT_AUTO_ERR err = NULL;
  uint64_t at;
  const char *json = bt_control_get(api->s.control(api->s.arg), "apps", x->params[0], x->params[1], &at, &err);
  if (!json) {
    bt_problem_err(x, err);
    return NULL;
  }
  if (text)
    *text = json;
  if (changed)
    *changed = at;
  return json_loads(json, 0, NULL);
}

/* Its ETag is "revision-change": the first number is what If-Match compares, the second tells a reader that anything moved. */
static void get_app(struct bt_api *api, struct bt_exchange *x) {
  const char *text;
  uint64_t changed;
  BT_AUTO_JSON app = app_of(api, x, &text, &changed);
  if (app)
    bt_reply_tagged(x, text, bt_json_int(app, "revision", 0), changed);
}

static void list_revisions(struct bt_api *api, struct bt_exchange *x) {
  bt_reply_list(api, x, "revisions", x->params[0], x->params[1]);
}

static void get_revision(struct bt_api *api, struct bt_exchange *x) {
  BT_AUTO_FREE char *name = bt_asprintf("%s/%s", x->params[1], x->params[2]);
  bt_reply_one(api, x, "revisions", x->params[0], name);
}

/* ---------------------------------------------------------------- changes */

/* A change of the app in the path: body and query read, If-Match held against the app's revision. */
struct change {
  json_t *app, *body, *args;
  bool dry_run;
};

static void change_free(struct change *c) {
  json_decref(c->app);
  json_decref(c->body);
  json_decref(c->args);
}

static int check_match(struct bt_exchange *x, const json_t *app, struct bt_err **err) {
  BT_AUTO_JSON wanted = bt_if_match(x->req, err);
  if (!wanted)
    return -1;
  long long revision = bt_json_int(app, "revision", 0);
  if (json_is_integer(wanted) && json_integer_value(wanted) != revision)
    return bt_err_set(err, BT_PRECONDITION, "app %s is at revision %lld by now, not %lld", x->params[1], revision,
                      (long long)json_integer_value(wanted));
  return 0;
}

/* False after a problem was sent. */
static bool begin(struct bt_api *api, struct bt_exchange *x, const char *const *keys, struct change *c) {
  BT_AUTO_ERR err = NULL;
  *c = (struct change){0};
  c->app = app_of(api, x, NULL, NULL);
  if (!c->app)
    return false;
  c->body = bt_body_object(x->req, MAX_BODY, keys, &err);
  if (!c->body || bt_query_bool(x->req, "dryRun", false, &c->dry_run, &err) < 0 || check_match(x, c->app, &err) < 0) {
    bt_problem_err(x, err);
    change_free(c);
    return false;
  }
  c->args = json_object();
  bt_json_set_str(c->args, "namespace", x->params[0]);
  bt_json_set_str(c->args, "app", x->params[1]);
  return true;
}

static void invalid(struct bt_exchange *x, struct change *c, const char *text) {
  bt_problem(x, BT_INVALID, text);
  change_free(c);
}

/* The revision that a rollback without "to" goes to, as control has it: the last one that was deployed and is older; a revision
 * that brought an earlier one back stands where that one stood. 0: none. */
static long long revision_before(struct bt_api *api, struct bt_exchange *x, long long latest) {
  struct bt_query q = {.namespace_ = x->params[0], .app = x->params[1], .limit = 5000};
  BT_AUTO_JSON list = bt_control_list(api->s.control(api->s.arg), "revisions", &q, NULL, NULL);
  BT_AUTO_JSON by_number = json_object();
  size_t i;
  json_t *rev;
  char key[24];
  json_array_foreach(list, i, rev) {
    snprintf(key, sizeof key, "%lld", bt_json_int(rev, "revision", 0));
    json_object_set(by_number, key, rev);
  }
  long long below = latest, best = 0;
  for (long long at = latest; at;) {
    snprintf(key, sizeof key, "%lld", at);
    long long back = bt_json_int(json_object_get(by_number, key), "rollback_of", 0);
    below = back ? back : below;
    at = back < at ? back : 0;
  }
  json_array_foreach(list, i, rev) {
    long long n = bt_json_int(rev, "revision", 0);
    if (n < below && n > best && bt_json_bool(rev, "deployed", false))
      best = n;
  }
  return best;
}

static void rollback(struct bt_api *api, struct bt_exchange *x) {
  static const char *const keys[] = {"to", "message", NULL};
  struct change c;
  if (!begin(api, x, keys, &c))
    return;
  const json_t *to = json_object_get(c.body, "to");
  if (to && !json_is_null(to) && !json_is_integer(to)) {
    invalid(x, &c, "\"to\" has to be the number of a revision");
    return;
  }
  long long number = json_is_integer(to) ? json_integer_value(to) : revision_before(api, x, bt_json_int(c.app, "revision", 0));
  bt_json_set(c.args, "to", number ? json_integer(number) : json_null());
  if (bt_json_str(c.body, "message"))
    bt_json_set_str(c.args, "message", bt_json_str(c.body, "message"));
  bt_admit_change(api, x, "app.rollback", bt_steal(c.args), "rollback", number, c.dry_run);
  change_free(&c);
}

static void scale(struct bt_api *api, struct bt_exchange *x) {
  static const char *const keys[] = {"services", NULL};
  struct change c;
  if (!begin(api, x, keys, &c))
    return;
  json_t *services = bt_json_obj(c.body, "services");
  if (!services || json_object_size(services) == 0) {
    invalid(x, &c, "\"services\" has to name services with their replicas, such as {\"web\": 3}");
    return;
  }
  bt_json_set(c.args, "services", json_incref(services));
  bt_admit_change(api, x, "app.scale", bt_steal(c.args), "scale", 0, c.dry_run);
  change_free(&c);
}

/* What was recommended when it was asked for is what is put in force. */
static json_t *recommended(struct bt_api *api, const struct bt_exchange *x, struct bt_err **err) {
  BT_AUTO_FREE char *name = bt_asprintf("%s.%s", x->params[1], x->params[2]);
  const char *text = bt_control_get(api->s.control(api->s.arg), "services", x->params[0], name, NULL, err);
  BT_AUTO_JSON service = text ? json_loads(text, 0, NULL) : NULL;
  const json_t *vertical = bt_json_obj(bt_json_obj(service, "autoscale"), "vertical");
  json_t *numbers = bt_json_obj(vertical, "recommended"), *services = json_object();
  if (text && !vertical)
    bt_err_set(err, BT_CONFLICT, "the use of service %s is not watched: say x-berth.autoscale.vertical in its file", x->params[2]);
  else if (text && !numbers)
    bt_err_set(err, BT_CONFLICT, "nothing is recommended for service %s yet: too little was seen of it", x->params[2]);
  if (numbers)
    json_object_set(services, x->params[2], numbers);
  return services;
}

static void reserve(struct bt_api *api, struct bt_exchange *x) {
  static const char *const keys[] = {NULL};
  BT_AUTO_ERR err = NULL;
  struct change c;
  if (!begin(api, x, keys, &c))
    return;
  json_t *services = recommended(api, x, &err);
  bt_json_set(c.args, "services", services);
  if (err)
    bt_problem_err(x, err);
  else
    bt_admit_change(api, x, "app.resources", bt_steal(c.args), "update", 0, c.dry_run);
  change_free(&c);
}

static void restart(struct bt_api *api, struct bt_exchange *x) {
  static const char *const keys[] = {"services", NULL};
  struct change c;
  if (!begin(api, x, keys, &c))
    return;
  json_t *services = json_object_get(c.body, "services");
  bool good = !services || json_is_null(services) || json_is_array(services);
  for (size_t i = 0; good && i < json_array_size(services); i++)
    good = json_is_string(json_array_get(services, i));
  if (!good) {
    invalid(x, &c, "\"services\" has to be an array of names");
    return;
  }
  bt_json_set(c.args, "services", json_is_array(services) ? json_incref(services) : json_null());
  bt_api_write(api, x, "app.restart", bt_steal(c.args), c.dry_run, NULL);
  change_free(&c);
}

static void rollout(struct bt_api *api, struct bt_exchange *x) {
  static const char *const keys[] = {"action", "service", NULL};
  struct change c;
  if (!begin(api, x, keys, &c))
    return;
  const json_t *service = json_object_get(c.body, "service");
  if (!bt_json_str(c.body, "action") || (service && !json_is_null(service) && !json_is_string(service))) {
    invalid(x, &c, "\"action\" has to be pause, promote or abort; \"service\", where it is given, the name of one");
    return;
  }
  bt_json_set_str(c.args, "action", bt_json_str(c.body, "action"));
  bt_json_set_str(c.args, "service", json_string_value(service));
  bt_api_write(api, x, "app.rollout", bt_steal(c.args), c.dry_run, NULL);
  change_free(&c);
}

static void run_job(struct bt_api *api, struct bt_exchange *x) {
  static const char *const keys[] = {NULL};
  struct change c;
  if (!begin(api, x, keys, &c))
    return;
  bt_json_set_str(c.args, "service", x->params[2]);
  bt_api_write(api, x, "job.run", bt_steal(c.args), c.dry_run, NULL);
  change_free(&c);
}

static void delete_app(struct bt_api *api, struct bt_exchange *x) {
  static const char *const keys[] = {NULL};
  BT_AUTO_ERR err = NULL;
  struct change c;
  bool volumes;
  if (!begin(api, x, keys, &c))
    return;
  if (bt_query_bool(x->req, "volumes", false, &volumes, &err) < 0) {
    invalid(x, &c, bt_err_message(err));
    return;
  }
  bt_json_set_bool(c.args, "volumes", volumes);
  bt_admit_change(api, x, "app.remove", bt_steal(c.args), "remove", 0, c.dry_run);
  change_free(&c);
}

static const struct bt_route_param paging[] = {{"limit", "integer", "items of a page, at most 1000; 0: 500"},
                                               {"cursor", "string", "\"next\" of the page before"},
                                               {NULL, NULL, NULL}};
static const struct bt_route_param dry_run[] = {{"dryRun", "boolean", "answer with the plan and change nothing"}, {NULL, NULL, NULL}};
static const struct bt_route_param removal[] = {{"volumes", "boolean", "remove the app's volumes as well: their data is lost"},
                                                {"dryRun", "boolean", "change nothing"},
                                                {NULL, NULL, NULL}};

static const struct bt_route_param more_nodes[] = {{"nodes", "integer", "how many more, at most 1000 (1)"},
                                                   {"like", "string", "a node, or a pool, that they are like"},
                                                   {NULL, NULL, NULL}};

static const struct bt_route routes[] = {
    {.method = "GET", .pattern = "/v1/apps", .summary = "Apps of all namespaces", .query = paging, .response = "[App]",
     .handle = all_apps},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/apps", .summary = "Apps", .query = paging, .response = "[App]",
     .handle = list_apps},
    {.method = "POST", .pattern = "/v1/namespaces/{ns}/apps", .summary = "Apply a Compose file that names its app", .query = dry_run,
     .request = "ApplyDocument", .response = "ApplyResult", .handle = post_app},
    {.method = "PUT", .pattern = "/v1/namespaces/{ns}/apps/{app}", .summary = "Apply a Compose file as this app; If-Match takes its ETag",
     .query = dry_run, .request = "ApplyDocument", .response = "ApplyResult", .handle = put_app},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/apps/{app}", .summary = "An app", .response = "App", .handle = get_app},
    {.method = "DELETE", .pattern = "/v1/namespaces/{ns}/apps/{app}", .summary = "Remove an app and its containers",
     .query = removal, .response = "Any", .handle = delete_app},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/apps/{app}/revisions", .summary = "The app's history", .query = paging,
     .response = "[Revision]", .handle = list_revisions},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/apps/{app}/revisions/{rev}", .summary = "A revision with its model",
     .response = "Revision", .handle = get_revision},
    {.method = "POST", .pattern = "/v1/namespaces/{ns}/apps/{app}/rollback", .summary = "Bring back an earlier revision whole",
     .query = dry_run, .request = "Rollback", .response = "ApplyResult", .handle = rollback},
    {.method = "POST", .pattern = "/v1/namespaces/{ns}/apps/{app}/scale", .summary = "Set the replicas of services", .query = dry_run,
     .request = "Scale", .response = "ApplyResult", .handle = scale},
    {.method = "POST", .pattern = "/v1/namespaces/{ns}/apps/{app}/restart", .summary = "Restart services; all without a list",
     .query = dry_run, .request = "Restart", .response = "Any", .handle = restart},
    {.method = "POST", .pattern = "/v1/namespaces/{ns}/apps/{app}/rollout", .summary = "Hold an update, let it go on, or go back",
     .query = dry_run, .request = "Rollout", .response = "Any", .handle = rollout},
    {.method = "POST", .pattern = "/v1/namespaces/{ns}/apps/{app}/services/{service}/reserve",
     .summary = "Put the reservations in force that are recommended by its use", .query = dry_run, .response = "ApplyResult", .handle = reserve},
    {.method = "POST", .pattern = "/v1/namespaces/{ns}/apps/{app}/services/{service}/run", .summary = "Run a job now",
     .query = dry_run, .response = "JobRun", .handle = run_job},
    {.method = "POST", .pattern = "/v1/namespaces/{ns}/simulate",
     .summary = "What would be placed with more nodes: of what waits, and of a Compose file where the body is one; changes nothing", .query = more_nodes,
     .request = "ApplyDocument", .response = "Simulation", .handle = post_simulate},
    {.method = "POST", .pattern = "/v1/compose/config", .summary = "Load Compose files and show the canonical model",
     .request = "ApplyDocument", .response = "ConfigResult", .handle = post_config},
};
const struct bt_route_table bt_routes_apps = {routes, BT_COUNT(routes)};
