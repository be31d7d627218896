/* Sources: apps that follow a repository. */
#include "config.h"

#include "api/internal.h"
#include "base/json.h"
#include "base/mem.h"

enum { MAX_BODY = 512 * 1024 };

static void all_sources(struct bt_api *api, struct bt_exchange *x) { bt_reply_list(api, x, "sources", NULL, NULL); }
static void list_sources(struct bt_api *api, struct bt_exchange *x) { bt_reply_list(api, x, "sources", x->params[0], NULL); }
static void get_source(struct bt_api *api, struct bt_exchange *x) { bt_reply_one(api, x, "sources", x->params[0], x->params[1]); }

/* Hands a change of the source in the path to control. member: what the body becomes among the arguments; NULL: it is empty. */
static void change(struct bt_api *api, struct bt_exchange *x, const char *op, const char *member) {
  BT_AUTO_ERR err = NULL;
  bool dry_run = false;
  json_t *body = NULL, *args = json_object();
  bt_json_set_str(args, "namespace", x->params[0]);
  bt_json_set_str(args, "app", x->params[1]);
  int rc = bt_query_bool(x->req, "dryRun", false, &dry_run, &err);
  if (rc == 0 && member) {
    body = bt_json_parse(x->req->body.data ? x->req->body.data : "", x->req->body.len, MAX_BODY, 0, "body", &err);
    rc = body ? 0 : -1;
  }
  if (rc < 0) {
    bt_problem_err(x, err);
    json_decref(args);
    return;
  }
  if (member)
    bt_json_set(args, member, body);
  bt_api_write(api, x, op, args, dry_run, NULL);
}

static void put_source(struct bt_api *api, struct bt_exchange *x) { change(api, x, "source.put", "source"); }
static void delete_source(struct bt_api *api, struct bt_exchange *x) { change(api, x, "source.delete", NULL); }
static void sync_source(struct bt_api *api, struct bt_exchange *x) { change(api, x, "source.sync", NULL); }

static const struct bt_route_param paging[] = {{"limit", "integer", "items of a page, at most 1000; 0: 500"},
                                               {"cursor", "string", "\"next\" of the page before"},
                                               {NULL, NULL, NULL}};
static const struct bt_route_param dry_run[] = {{"dryRun", "boolean", "say what would be done and change nothing"}, {NULL, NULL, NULL}};

static const struct bt_route routes[] = {
    {.method = "GET", .pattern = "/v1/sources", .summary = "Sources of all namespaces", .query = paging, .response = "[Source]",
     .handle = all_sources},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/sources", .summary = "Sources: apps that follow a repository", .query = paging,
     .response = "[Source]", .handle = list_sources},
    {.method = "GET", .pattern = "/v1/namespaces/{ns}/sources/{app}", .summary = "The source of an app", .response = "Source",
     .handle = get_source},
    {.method = "PUT", .pattern = "/v1/namespaces/{ns}/sources/{app}", .summary = "Let an app follow a repository", .query = dry_run,
     .request = "SourcePut", .response = "Any", .handle = put_source},
    {.method = "DELETE", .pattern = "/v1/namespaces/{ns}/sources/{app}", .summary = "Let an app follow its repository no longer; it runs on",
     .response = "Any", .handle = delete_source},
    {.method = "POST", .pattern = "/v1/namespaces/{ns}/sources/{app}/sync",
     .summary = "Look at the repository now and apply what is there; answers when it is applied or refused", .query = dry_run,
     .response = "SyncResult", .handle = sync_source},
};
const struct bt_route_table bt_routes_sources = {routes, BT_COUNT(routes)};
