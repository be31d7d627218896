/* What the API's resources need of the server, filled in by the daemon; and the list of endpoints. Everything on the loop's
 * thread, but admission's compose and policy work, which runs in a worker.
 *
 * Endpoints (all JSON; {ns} "default"; lists: ?limit=&cursor= answer {"items": […], "next": cursor or null}):
 *   GET  /v1/version  /v1/health (open)  /v1/server (uptime, rss, loop and store statistics, warnings such as a full disk)
 *   GET  /v1/openapi.json (open)   GET /v1/doctor   GET /v1/plugins   GET /v1/policies   POST /v1/policies/test
 *   GET  /v1/namespaces   GET /v1/nodes  /v1/nodes/{node}   GET /v1/quotas?namespace=
 *   GET  /v1/apps  /v1/instances  /v1/services (over all namespaces)   and the same under /v1/namespaces/{ns}/…
 *   POST /v1/namespaces/{ns}/apps           apply, name from the file; ?dryRun=true; body: an apply document (below)
 *   PUT  /v1/namespaces/{ns}/apps/{app}     apply; If-Match: "revision"
 *   GET  /v1/namespaces/{ns}/apps/{app}     DELETE …?volumes=true
 *   GET  /v1/namespaces/{ns}/apps/{app}/revisions  /revisions/{rev}
 *   POST /v1/namespaces/{ns}/apps/{app}/rollback {to}  /scale {services}  /restart {services}
 *   GET  /v1/namespaces/{ns}/services/{service}  (name, or app.name)
 *   GET  /v1/namespaces/{ns}/instances/{id}      POST …/restart     GET …/stats
 *   GET  /v1/namespaces/{ns}/instances/{id}/logs?follow=&tail=&since=&timestamps=   chunked; application/x-ndjson
 *        of {"stream","time","line"}; also for exited containers
 *   GET  /v1/namespaces/{ns}/instances/{id}/exec?command=[json]&tty=&stdin=&user=&workdir=&rows=&cols=   WebSocket: binary frames,
 *        first byte the channel: 0 stdin (to server), 1 stdout, 2 stderr, 3 result JSON {"exit_code"} or problem (last),
 *        4 resize JSON {"rows","cols"} (to server), 5 end of stdin (to server)
 *   GET  /v1/namespaces/{ns}/stats?app=          statistics of all instances (berth top)
 *   GET  /v1/namespaces/{ns}/volumes|networks|secrets|configs[/{name}]   DELETE volumes|networks|secrets/{name}
 *   PUT  /v1/namespaces/{ns}/secrets/{name}      body {"data": base64}
 *   GET  /v1/sources   /v1/namespaces/{ns}/sources[/{app}]   PUT  DELETE  …/{app}   POST …/{app}/sync   (model/source.h)
 *   GET  /v1/routes   /v1/namespaces/{ns}/routes?app=   (with the load balancer's numbers)
 *   GET  /v1/namespaces/{ns}/why?object=
 *   GET  /v1/events?after=&follow=&namespace=&app=&type=   list, or SSE where follow=true or Accept: text/event-stream
 *   GET  /v1/watch?after=&kinds=app,instance,…   SSE: id: revision, event: kind, data: {"key","value"}; resumes with
 *        Last-Event-ID; event "gap" where the past is gone; progress of pulls as event "progress" without id
 *   POST /v1/namespaces/{ns}/simulate?nodes=&like=   body: an apply document or nothing; what more nodes would place
 *   POST /v1/compose/config  an apply document -> {"model","diagnostics"}
 *   GET /v1/images, POST /v1/images/pull, import, remove, prune
 *
 * An apply document: {"bundle": {"files": {"/abs/compose.yaml": text or {"base64": …}, …}, "compose_files": ["/abs/…"], "env_files": [..],
 * "env": {NAME: value used by interpolation}, "profiles": [], "project_dir", "project_name"}, "compat": "refuse"|"warn",
 * "build": "missing"|"always"|"never", "recreate": false, "message": "…", "scale": {service: n}}; in place of bundle
 * {"compose": "text of one file", "env": {}}. The answer is control's app.apply result with "diagnostics" added.
 * Secrets are sealed under the name "NS/APP/NAME" (those of a file) or "NS/-/NAME" (PUT …/secrets): see state/seal.h.
 * Errors: application/problem+json {"type": "about:blank", "title", "status", "detail": sentence, "code": stable name, "diagnostics": […]}. */
#ifndef BT_API_API_H
#define BT_API_API_H

#include <jansson.h>

#include "control/control.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "policy/policy.h"
#include "state/seal.h"
#include "state/watch.h"

struct bt_plugins;
struct bt_api;

/* Runtime streams and calls on an instance, answered by the node (one machine: the agent). Callbacks as in berth/host.h. */
struct bt_api_stream {
  /* channel of berth/runtime.h. Returns the bytes that wait for the reader: over 1 MiB the node reads no more until a call with
   * len 0, which asks just that, gives less. */
  size_t (*data)(void *arg, int channel, const void *data, size_t len);
  void (*done)(void *arg, enum bt_code code, const char *message, const json_t *result); /* exactly once */
  void *arg;
};

struct bt_api_server {
  struct bt_loop *loop;
  struct bt_pool *pool;
  struct bt_feed *feed;
  struct bt_policy *policy;   /* used in workers only; NULL: none */
  struct bt_seal *seal;
  struct bt_plugins *plugins;
  const char *version, *server_id;
  const char *trees_dir;      /* for folders of repositories that apps follow; NULL: nothing of theirs is built or mounted */
  int64_t started_ms;
  struct bt_control *(*control)(void *arg); /* the present one: it may be rebuilt after a full disk */
  /* Hands a write to control; done with the reply once it is durable. args is stolen. */
  void (*write)(void *arg, const char *op, json_t *args, const char *actor, bool dry_run,
                void (*done)(void *done_arg, enum bt_code code, const char *message, const json_t *result), void *done_arg);
  /* Streams: op "logs" {follow, tail, since_ms, timestamps}, "exec" {command, tty, stdin, user, workdir, rows, cols, env}, "stats" {}.
   * instance "" with op "stats": all of args.app (or all): result {"items": […]}. "image.list" {label},
   * "image.pull" {image, platform}, "image.import" {path, name}, "image.remove" {image}, "image.prune". Returns a handle > 0. */
  uint64_t (*stream)(void *arg, const char *op, const char *namespace_, const char *instance, json_t *args_steal,
                     const struct bt_api_stream *stream);
  size_t (*stream_input)(void *arg, uint64_t handle, const void *data, size_t len); /* len 0: end; returns bytes waiting */
  void (*stream_resize)(void *arg, uint64_t handle, int rows, int cols);
  void (*stream_cancel)(void *arg, uint64_t handle); /* done still comes */
  json_t *(*server_status)(void *arg);  /* of /v1/server; new reference */
  void (*doctor)(void *arg, void (*done)(void *done_arg, json_t *report_steal), void *done_arg); /* [{"element","declared","found","verdict","mend"}] */
  /* What the load balancer counts, as berth_lb.stats has it; NULL where none answers. May be NULL. */
  void (*route_stats)(void *arg, void (*done)(void *done_arg, const json_t *stats), void *done_arg);
  void *arg;
};

struct bt_api_options {
  const char *socket_path;      /* NULL: none */
  int socket_mode;              /* 0660 */
  const char *socket_group;     /* NULL: none */
  const char *tcp_listen;       /* "127.0.0.1:7171"; NULL: none */
  const char *token_file;
  const char *tls_cert, *tls_key; /* NULL: plain; needed off loopback */
};

int bt_api_new(const struct bt_api_server *server, const struct bt_api_options *options, struct bt_api **out,
               struct bt_err **err) BT_CHECK;
void bt_api_free(struct bt_api **api);
/* Control's calls "source.sync", "source.status" and "app.update": done exactly once. */
void bt_api_call(struct bt_api *api, const char *kind, const json_t *args,
                 void (*done)(void *arg, enum bt_code code, const char *message, const json_t *result), void *arg);
/* A GET as a reader with all rights, for plug-ins (berth.host.query/1): path with its query. done exactly once with the body, may
 * come from inside. Streams are refused with BT_UNSUPPORTED. */
void bt_api_query(struct bt_api *api, const char *path,
                  void (*done)(void *arg, enum bt_code code, const char *message, const char *json), void *arg);
/* True where the path belongs to the API itself, so that no plug-in may take it ("/v1/sd" is free for monitors). */
bool bt_api_reserved(const struct bt_api *api, const char *method, const char *path);
/* Where TCP is served: the port that was bound (for "127.0.0.1:0"), 0 without. */
int bt_api_tcp_port(const struct bt_api *api);
/* Ephemeral progress (pulls, builds) to watchers. */
void bt_api_progress(struct bt_api *api, const json_t *message);

#endif
