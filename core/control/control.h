/* The control core: one step function over tables in memory. It takes one input (request, tick, node message, result of a call)
 * with the time in it, and yields effects: what to persist, whom to answer, what to send to nodes, what to call, when to
 * be woken. No I/O, no clock, no randomness of its own: the daemon executes effects on libevent, the simulator on virtual
 * time. Level-triggered: every controller compares what should be with what is and takes the next step; starting after a
 * crash is bt_control_load for each stored object and then the same steps.
 *
 * The executor's duties: (1) commit effects.batch under effects.revision; (2) only when that is durable: deliver
 * replies, sends and calls of that step, in order; (3) when a commit is refused: answer the replies with that error, drop
 * sends and calls, build a new bt_control from the store once it takes writes again, and let nodes sync anew; (4) call
 * step with BT_IN_TICK at effects.wake_ms or soon after.
 *
 * Objects (kind, key -> JSON) and their JSON forms are documented in control/objects.md, messages to and from nodes in
 * model/messages.md. Cost: specs are shared by all instances of a service's revision; a running instance takes 3.8 KB of
 * resident memory in the whole server, node and feed included (bench "memory"; the limit is 4). One that is only placed takes
 * some 230 bytes in the core, and with a million of them 270 of resident memory, SQLite and what is on its way to it included (bench plan-c1m-memory). No work per instance in a steady state. */
#ifndef BT_CONTROL_CONTROL_H
#define BT_CONTROL_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "state/store.h"

struct bt_control;
struct bt_judgement;

/* The operator's policies on places (policy/judge.h), asked inside of steps: the same question must have the same answer until the request
 * "policy.changed". */
struct bt_control_judge {
  bool (*any)(void *arg); /* whether they have anything to say */
  void (*ask)(void *arg, const json_t *service, const json_t *node, struct bt_judgement *out);
  void *arg;
};

struct bt_control_options {
  const char *server_id;     /* [a-z0-9]{8,32}; made once, kept in the store as object ("server","id") by the daemon */
  int keep_revisions;        /* per app; 0: 20 */
  int keep_events;           /* 0: 10,000 */
  int64_t skew_ms;           /* what the wall clock has more than now_ms, for times that are loaded */
  const json_t *settings;    /* the operator's, as bt_config_settings gives them; kept. NULL: the defaults */
  struct bt_control_judge judge; /* ask NULL: there are no policies */
};

struct bt_control *bt_control_new(const struct bt_control_options *options);
void bt_control_free(struct bt_control **control);
/* Feeds one stored object (before the first step; any order). -1 where the text is not what control wrote. */
int bt_control_load(struct bt_control *control, const char *kind, const char *key, const char *value, size_t len,
                    struct bt_err **err) BT_CHECK;
/* After the last load: the store's revision. */
void bt_control_loaded(struct bt_control *control, uint64_t revision);
/* Which nodes are connected, and the settings in force, are not in the store: takes them over from a control that is about to go. */
void bt_control_carry(struct bt_control *c, const struct bt_control *from);

enum bt_input_kind {
  BT_IN_START,     /* the daemon is up: resume what was going on */
  BT_IN_TICK,
  BT_IN_REQUEST,   /* request */
  BT_IN_NODE,      /* a message from node "node": message */
  BT_IN_NODE_DOWN, /* the connection to "node" ended */
  BT_IN_CALL_DONE  /* call, code, text (sentence), result */
};

/* A write. Everything in it is borrowed for the step.
 *
 * op            args                                                             result
 * app.apply     {namespace, app, model, contents, if_match, message, source,     {app, revision, changed, plan: […], warnings: […]}
 *                build: "missing"|"always"|"never", recreate: bool,
 *                origin, cause: "source" or absent, zones}
 *   model: canonical Compose model (compose/compose.h) after policies; it is kept, so nobody changes it any more. model_text: the text
 *   that it was read from, or absent: then control writes and reads it itself, which takes three times as long. contents: {"secrets/NAME": {"sealed","fingerprint","size"},
 *   "configs/NAME": {"data" (base64), "fingerprint", "size"}}. if_match: expected app revision or null.
 *   zones: {name: TZif in base64} of the time zones that its schedules name.
 *   An app has 2,000 services and publishes 10,000 ports at the most.
 *   A dry run has a forecast beside the plan: see draft.h.
 *   plan: [{"action": "create"|"update"|"scale"|"remove"|"keep", "kind": "service"|"network"|"volume"|"secret"|"config", "name",
 *           "reason": sentence, "changes": [{"path","from","to"}], "instances": n, "way": of an update that is not rolling}]
 * app.rollback  {namespace, app, to: revision or null (the one before), message}  as app.apply
 * app.scale     {namespace, app, services: {name: replicas}}                      as app.apply (a new revision)
 *               Of services that scale by themselves the number is set within its bounds, and no revision is made ("changed": false).
 * app.resources {namespace, app, services: {name: {cpus, memory}}}   as app.apply: other reservations, kept apart from the file (vertical.c)
 * app.rollout   {namespace, app, service or absent, action: "pause"|"promote"|"abort"}  of what is being updated   {app, action, services}
 * app.restart   {namespace, app, services: [..] or null}                          {app, services}
 * app.remove    {namespace, app, volumes: bool}                                   {app}; the app goes through "removing"
 * instance.restart {namespace, instance}                                          {instance}
 * secret.put    {namespace, name, sealed, fingerprint, size}                      {name, changed}; rolls services that use it
 * secret.delete {namespace, name}      CONFLICT where in use                      {}
 * node.cordon   {node, cordoned: bool}  it takes no new instances, and runs on      {node, cordoned, changed}
 * node.drain    {node, timeout_ms: of jobs, or absent}  cordoned, and its instances are moved away  {node, cordoned, changed, left}
 * volume.delete {namespace, name}      CONFLICT where in use                      {}
 * network.delete{namespace, name}      CONFLICT where in use                      {}
 * source.put    {namespace, app, source: as model/source.h has it}                {app, changed, source}
 * source.delete {namespace, app}                                                  {}
 * source.sync   {namespace, app}       answered when the look is through          result of the call "source.sync"
 * source.push   {repositories: [URL], ref}  a host told of a push                 {matched: n}
 * job.run       {namespace, app, service}     starts a job now; CONFLICT where it is active {app, service, run where the job recurs}
 * policy.changed {}               the policies on places are others now; what waits for a place is looked at again   {}
 * zones.put     {zones: {name: TZif in base64}}  files of zones that are known changed  {}
 * app.update    {namespace, app, revision: latest, of: the one that stands, images: {service: image}, pins: {service: result of
 *                image.resolve}, message}                                         as app.apply
 * image.pushed  {repository}         a registry told of a push                    {matched: n}
 * event.add     {type, severity, namespace, app, subject, message, data}          {}
 * kv.put        {plugin, key, value (base64) or null}                             {}
 * simulate      {nodes, like: a node or a pool; and of a file what app.apply has}  {like, nodes, cpus, memory, before, after: as
 *                bt_control_pools, pending: [{namespace, app, service, instances, placed, unplaced, rule, nodes, reason, mend}],
 *                untried: instances, and of a file plan and services as a forecast has them}; changes nothing
 * settings.put  {pools, namespaces, scheduling}: as bt_config_settings gives them; the server's own, at a reload  {}; kept in memory
 * lb.report     {plugin, status: "ok"|"failing"|"absent", message, refused: {route: sentence}}  {}; kept in memory, becomes events
 * All names are checked: [a-z0-9][a-z0-9_-]{0,62}. A dry run answers with the plan and changes nothing. */
struct bt_request {
  uint64_t id;        /* the executor's, comes back in the reply */
  const char *op;
  const json_t *args;
  const char *actor;  /* who asked: "root@unix", "token", "system" */
  bool dry_run;
};

struct bt_input {
  enum bt_input_kind kind;
  int64_t now_ms;  /* control's own clock, for its timers: runs evenly, whatever the wall clock is set to; it begins as the wall clock */
  int64_t wall_ms; /* for what is recorded; 0: the same */
  int room;        /* instances that this step may create, give to a node or release, as far as there are so many; 0: 250. The executor measures
                    * what fits into a few milliseconds */
  const struct bt_request *request;
  const char *node;
  const json_t *message;
  uint64_t call;
  enum bt_code code;
  const char *text;
  const json_t *result;
};

struct bt_reply {
  uint64_t request;
  enum bt_code code;   /* BT_OK or an error */
  char *message;       /* the error's sentence */
  json_t *result;      /* of a success; owned */
};

struct bt_assign;
struct bt_send {
  char *node;      /* of an assign: a part of it */
  json_t *message; /* owned reference; shared parts are references to immutable values. NULL where there is an assign */
  struct bt_assign *assign; /* owned: an assignment that is written out when it is sent, as there may be very many on their way */
};
/* What was sent last, by somebody who sends one message after the other; zeros at first. */
struct bt_pen {
  json_t *message, *common;
};
/* The message: a new reference. pen (may be NULL): assignments of alike instances are written over what it has, unless somebody keeps that. */
json_t *bt_send_message(const struct bt_send *send, struct bt_pen *pen);
void bt_pen_free(struct bt_pen *pen);

/* What the daemon does through plug-ins and answers with BT_IN_CALL_DONE. A lost call (crash) is made again after a start.
 * "image.resolve" {image, platform, policy: "missing"|"always"|"never"|"refresh"|"keep" (current, unasked), current: pinned or null}
 *      -> {"pinned": "repo@sha256:…" or "sha256:…" (local id), "digest": "sha256:…", "source": "local"|"registry"|"kept"}
 * "source.sync"   {namespace, app, spec, apply: bool, skip: [commit], dry_run, correct, actor or absent} -> {commit, ref, author, email, time,
 *      subject, signature, applied: bool, correct, revision, changed, plan, …; error: {code, message} where the commit was found, but not applied}
 * "source.status" {repository, commit, state, context, description} -> {}
 * "lb.drain"      {instance, grace_ms} -> anything: no load balancer has an open request of it any more, or its time is over
 * "image.tags"    {image} -> {"tags": […]}
 * "app.resources" the request of that name, to be sent through the admission -> its result
 * "metrics.read"  {services: {"ns/app/service": {namespace, app, service, usage: bool, metrics: {"0": {name, query, plugin or absent} or {name, lua}},
 *                 now: {current, ready, starting, min, max, request_cpus, request_memory}}}}
 *                 -> {services: {"ns/app/service": {usage: {instance: {cpus (since the question before; absent at the first), memory}} or usage_error,
 *                    metrics: {"0": {value: number, of Lua null for no opinion} or {error: sentence}}}}}: of services that scale by themselves
 * "app.update"    the request of that name, to be sent through the admission -> its result
 * "image.build"   {namespace, app, service, build: canonical build object, tags: […], force: bool, secrets: [{id, key}]}
 *                 -> {"pinned": "sha256:…", "digest": …}; the node reads the secrets' values by their keys */
struct bt_call {
  uint64_t id;
  const char *kind; /* a literal */
  json_t *args;     /* owned */
};

struct bt_effects {
  uint64_t revision; /* of batch; 0 where nothing changed */
  struct bt_batch batch;
  struct { struct bt_reply *items; size_t len, cap; } replies;
  struct { struct bt_send *items; size_t len, cap; } sends;
  struct { struct bt_call *items; size_t len, cap; } calls;
  bool routes;       /* the table of routes changed: load balancers are to get it whole (bt_control_routes) */
  json_t *endpoints; /* changes of endpoints, as berth/lb.h has them; NULL: none. Before sends and calls of the step */
  int64_t wake_ms;   /* when the next tick is wanted, as now_ms; INT64_MAX: none */
};
void bt_effects_free(struct bt_effects *effects);

/* One step. effects is filled (initialised by the caller to zeros). Never fails: what is wrong with a request is in its reply. */
void bt_control_step(struct bt_control *control, const struct bt_input *input, struct bt_effects *effects);

/* ---- views: what readers get; never change anything ---- */

uint64_t bt_control_revision(const struct bt_control *control);
int bt_control_latest(const struct bt_control *control, const char *ns, const char *app); /* number of its newest revision; 0: no app */

/* Filters and paging; NULL or 0: any. */
struct bt_query {
  const char *namespace_, *app, *service, *node, *type; /* type: of events (glob) */
  uint64_t after;     /* events: revision > after */
  const char *cursor; /* opaque, from *next */
  int limit;          /* 0: 500; at most 5,000 */
};
/* kind: "namespaces" "apps" "sources" "revisions" "services" "instances" "nodes" "volumes" "networks" "secrets" "configs" "routes" "events" "quotas".
 * A new array of objects as documented in control/objects.md; *next (may be NULL; the caller frees) the cursor of the next page or
 * NULL. Secrets never carry their content. NULL with BT_NOT_FOUND for an unknown kind or app, BT_INVALID for a bad cursor. */
json_t *bt_control_list(const struct bt_control *control, const char *kind, const struct bt_query *query, char **next,
                        struct bt_err **err);
/* One object's JSON text from a cache, borrowed until the next step, with the revision it last changed in (ETag). name: of
 * services "web" where only one app of the namespace has it, else "app.web", and so of secrets and configs, where the namespace's
 * own comes first; of revisions "app/3". NULL with an error. */
const char *bt_control_get(struct bt_control *control, const char *kind, const char *namespace_, const char *name,
                           uint64_t *revision, struct bt_err **err);
/* What readers of the feed get of an object, as of now; the caller frees. NULL where there is none, and for kinds that
 * only the inside reads (blob, kv, meta, server). */
char *bt_control_stored(const struct bt_control *control, const char *kind, const char *key);
/* Why an object is as it is: object is "shop" (app), "shop/web", "web", an instance id, "volume/…", "route/…", "node/…".
 * now_ms: by the wall clock. {"object","kind","summary": sentence, "reasons": [{"text","since","code"}], "next": what to try} */
json_t *bt_control_why(struct bt_control *control, const char *namespace_, const char *object, int64_t now_ms, struct bt_err **err);
/* Which instances would have better places: {"moves": [{"instance","namespace","app","service","from","to","kind": "rule", "wish" or "even","gain","reason"}],
 * "instances", "movable", "complete": bool (all were looked at, and all moves are there), "automatic", "moves_per_hour"}. Changes nothing. New reference. */
json_t *bt_control_rebalance(struct bt_control *control);
/* The sealed blob of a secret / the content of a config, for the node agent: borrowed, NULL where absent. */
const char *bt_control_secret_blob(const struct bt_control *control, const char *namespace_, const char *key);
const char *bt_control_config_data(const struct bt_control *control, const char *namespace_, const char *key);
/* The whole table of routes as berth/lb.h has it, but that "certificates" are [{"name", "namespace", "key"}], by which the daemon
 * finds their content. New reference. */
json_t *bt_control_routes(const struct bt_control *control);
/* Calls found for every kv entry of a plug-in whose key begins with prefix. value: base64. */
void bt_control_kv_scan(const struct bt_control *control, const char *plugin, const char *prefix,
                        bool (*found)(void *arg, const char *key, const char *value), void *arg);
/* The jobs that recur: [{"namespace","app","service", "job": as the view of a service has it}]. New reference. */
/* Names and digests of the images that apps are made of: of what they run, are becoming, and may go back to first. An array without doubles; new reference. */
json_t *bt_control_images(const struct bt_control *control);
json_t *bt_control_jobs(const struct bt_control *control);
/* The pools of berthd.yaml in their order, and "default" last: as the file has them, with the sums of their nodes: [{"pool", "nodes", "open", "cpus",
 * "cpus_allocatable" (after reserves and overcommit), "cpus_reserved", "memory", "memory_allocatable", "memory_reserved", …}]. New reference. */
json_t *bt_control_pools(const struct bt_control *control);
json_t *bt_control_zones(const struct bt_control *control); /* names of the time zones that schedules are in; new reference */
/* Counters for metrics: {"apps","services","instances": {state: n}, "rollouts": {state: n}, "events", "requests", "steps"}. */
json_t *bt_control_counts(const struct bt_control *control);

#endif
