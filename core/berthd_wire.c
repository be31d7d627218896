/* Wiring: which part calls which. Built in the order of the rooms, closed in the opposite one. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/zones.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/program.h"
#include "daemon.h"

enum { settle_ms = 2000, settings_again_ms = 5000 };

/* A deployment leaves the heap full of holes: what it took for a moment is worth several times what it keeps. */
static void give_back(void *arg) {
  struct bt_daemon *d = arg;
  bt_http_rest(d->http);
  malloc_trim(0);
}

/* ---------------------------------------------------------------- server and node, in one process */

static void to_node(void *arg, const char *node, const json_t *message) {
  struct bt_daemon *d = arg;
  if (d->agent && bt_streq(node, d->node_name))
    bt_agent_message(d->agent, message);
}

/* A message on its way through the loop, so that neither side runs inside the other. */
struct bt_uplink {
  struct bt_uplink *next;
  json_t *message;
};

static json_t *uplink_pop(struct bt_daemon *d) {
  BT_AUTO_FREE struct bt_uplink *u = d->uplinks;
  d->uplinks = u->next;
  if (!u->next)
    d->last_uplink = NULL;
  return u->message;
}

/* One is posted for each message, in their order. */
static void uplink(void *arg) {
  struct bt_daemon *d = arg;
  json_t *message = uplink_pop(d);
  bt_timer_set(d->trim, settle_ms);
  if (!bt_streq(bt_json_str(message, "type"), "progress")) {
    bt_executor_node_message(d->executor, d->node_name, message);
    return;
  }
  if (d->api)
    bt_api_progress(d->api, message);
  json_decref(message);
}

static void to_server(void *arg, json_t *message_steal) {
  struct bt_daemon *d = arg;
  struct bt_uplink *u = bt_new(struct bt_uplink), *before = d->last_uplink;
  u->message = message_steal;
  *(before ? &before->next : &d->uplinks) = u;
  d->last_uplink = u;
  bt_loop_post(d->loop, "daemon: node's message", uplink, d);
}

/* What our own end cut off: the node tells it again at the next start. The posts go with the loop, which does not run any more. */
static void uplinks_drop(struct bt_daemon *d) {
  while (d->uplinks)
    json_decref(uplink_pop(d));
}

/* ---------------------------------------------------------------- calls of control */

struct call {
  struct bt_daemon *d;
  uint64_t id;
};

/* What our own end cut off is no answer: control asks again at the next start. */
static void call_done(void *arg, enum bt_code code, const char *message, const json_t *result) {
  struct call *c = arg;
  if (!c->d->closing)
    bt_executor_call_done(c->d->executor, c->id, code, message, result);
  free(c);
}

static void make_call(void *arg, uint64_t id, const char *kind, const json_t *args) {
  struct bt_daemon *d = arg;
  struct call *c = bt_new(struct call);
  *c = (struct call){d, id};
  if (bt_streq(kind, "image.resolve"))
    bt_image_resolve(d->agent, args, call_done, c);
  else if (bt_streq(kind, "image.build"))
    bt_image_build(d->agent, args, call_done, c);
  else if (bt_streq(kind, "lb.drain"))
    bt_balancer_drain(d->balancer, args, call_done, c);
  else if (bt_streq(kind, "image.tags"))
    bt_image_tags(d->agent, args, call_done, c);
  else if (bt_streq(kind, "metrics.read"))
    bt_daemon_read_metrics(d, args, call_done, c);
  else if (d->api)
    bt_api_call(d->api, kind, args, call_done, c);
  else
    call_done(c, BT_INTERNAL, "the daemon knows no such call", NULL);
}

/* ---------------------------------------------------------------- routes */

static void to_balancer(void *arg, bool whole, const json_t *endpoints) {
  struct bt_daemon *d = arg;
  if (d->balancer)
    bt_balancer_changed(d->balancer, whole, endpoints);
}

static json_t *route_table(void *arg) { return bt_control_routes(bt_executor_control(((struct bt_daemon *)arg)->executor)); }

static void nobody_waits(void *arg, enum bt_code code, const char *message, const json_t *result) {
  (void)arg, (void)code, (void)message, (void)result;
}

static void lb_report(void *arg, json_t *args_steal) {
  struct bt_daemon *d = arg;
  if (d->closing || !d->executor)
    json_decref(args_steal);
  else
    bt_executor_write(d->executor, "lb.report", args_steal, "system", false, nobody_waits, NULL);
}

/* Rules of time zones may have changed while the server was down: governments do so at short notice. */
static void refresh_zones(struct bt_daemon *d) {
  BT_AUTO_JSON names = bt_control_zones(bt_executor_control(d->executor));
  if (json_array_size(names) == 0)
    return;
  json_t *args = json_object();
  bt_json_set(args, "zones", bt_zones_read(names));
  bt_executor_write(d->executor, "zones.put", args, "system", false, nobody_waits, NULL);
}

static void open_balancer(struct bt_daemon *d) {
  struct bt_balancer_options options = {.loop = d->loop,
                                        .plugins = d->plugins,
                                        .table = route_table,
                                        .content = bt_daemon_content,
                                        .report = lb_report,
                                        .arg = d};
  d->balancer = bt_balancer_new(&options);
}

static void rebuilt(void *arg) {
  struct bt_daemon *d = arg;
  bt_agent_hello(d->agent);
}

static void on_health(void *arg, enum bt_store_health health) {
  struct bt_daemon *d = arg;
  const char *sentence = "";
  d->store->ops->health(d->store, &sentence);
  if (health == BT_STORE_OK)
    bt_info("state", "the state store takes changes");
  else
    bt_error("state", "%s", sentence);
  if (d->executor)
    bt_executor_health(d->executor, health);
}

/* ---------------------------------------------------------------- what the API asks for */

static struct bt_control *present_control(void *arg) { return bt_executor_control(((struct bt_daemon *)arg)->executor); }

static void api_write(void *arg, const char *op, json_t *args, const char *actor, bool dry_run,
                      void (*done)(void *, enum bt_code, const char *, const json_t *), void *done_arg) {
  struct bt_daemon *d = arg;
  bt_executor_write(d->executor, op, args, actor, dry_run, done, done_arg);
}

static uint64_t api_stream(void *arg, const char *op, const char *namespace_, const char *instance, json_t *args_steal,
                           const struct bt_api_stream *stream) {
  struct bt_daemon *d = arg;
  BT_AUTO_JSON args = args_steal;
  struct bt_stream_callbacks callbacks = {stream->data, stream->done, stream->arg};
  return bt_stream_open(d->agent, op, namespace_, instance, args, &callbacks);
}

static size_t api_stream_input(void *arg, uint64_t handle, const void *data, size_t len) {
  return bt_stream_input(((struct bt_daemon *)arg)->agent, handle, data, len);
}

static void api_stream_resize(void *arg, uint64_t handle, int rows, int cols) {
  bt_stream_resize(((struct bt_daemon *)arg)->agent, handle, rows, cols);
}

static void api_stream_cancel(void *arg, uint64_t handle) {
  bt_stream_cancel(((struct bt_daemon *)arg)->agent, handle);
}

static void route_stats(void *arg, void (*done)(void *done_arg, const json_t *stats), void *done_arg) {
  bt_balancer_stats(((struct bt_daemon *)arg)->balancer, done, done_arg);
}

static int open_api(struct bt_daemon *d, struct bt_err **err) {
  BT_AUTO_FREE char *state = bt_path_dir(d->config->state.path);
  free(d->trees_dir);
  d->trees_dir = bt_path_join(state, "sources");
  struct bt_api_server server = {.loop = d->loop,
                                 .pool = d->pool,
                                 .feed = d->feed,
                                 .policy = d->policy,
                                 .seal = d->seal,
                                 .plugins = d->plugins,
                                 .version = PACKAGE_VERSION,
                                 .trees_dir = d->trees_dir,
                                 .server_id = bt_executor_server_id(d->executor),
                                 .started_ms = d->started_ms,
                                 .control = present_control,
                                 .write = api_write,
                                 .stream = api_stream,
                                 .stream_input = api_stream_input,
                                 .stream_resize = api_stream_resize,
                                 .stream_cancel = api_stream_cancel,
                                 .server_status = bt_daemon_status,
                                 .route_stats = route_stats,
                                 .doctor = bt_daemon_doctor,
                                 .arg = d};
  const struct bt_config *c = d->config;
  struct bt_api_options options = {.socket_path = c->api.socket.path,
                                   .socket_mode = (int)c->api.socket.mode,
                                   .socket_group = c->api.socket.group,
                                   .tcp_listen = c->api.tcp.listen,
                                   .token_file = c->api.tcp.token_file,
                                   .tls_cert = c->api.tcp.tls.cert,
                                   .tls_key = c->api.tcp.tls.key};
  return bt_api_new(&server, &options, &d->api, err);
}

/* ---------------------------------------------------------------- building */

static json_t *labels_json(const struct bt_map *labels) {
  json_t *o = json_object();
  for (struct bt_map_iter it = bt_map_iter(labels); bt_map_next(&it);)
    bt_json_set_str(o, it.key, it.value);
  return o;
}

/* berth-portd stands beside berthd in the build tree, in libexecdir when installed. */
static char *find_portd(void) {
  char *beside = bt_program_beside("berth-portd");
  if (beside)
    return beside;
  return bt_strdup(BERTH_LIBEXECDIR "/berth-portd");
}

static json_t *images_of_apps(void *arg) { return bt_control_images(bt_executor_control(((struct bt_daemon *)arg)->executor)); }

static int open_agent(struct bt_daemon *d, struct bt_err **err) {
  BT_AUTO_JSON labels = labels_json(d->config->node.labels);
  struct bt_agent_options options = {.node_name = d->node_name,
                                     .server_id = bt_executor_server_id(d->executor),
                                     .run_dir = d->config->run_dir,
                                     .labels = labels,
                                     .devices = d->config->node.devices,
                                     .resources = d->config->node.resources,
                                     .concurrency = (int)d->config->node.concurrency,
                                     .reserve_cpus = (double)d->config->node.reserve_nano_cpus / 1e9,
                                     .reserve_memory = d->config->node.reserve_memory,
                                     .loop = d->loop,
                                     .plugins = d->plugins,
                                     .pool = d->pool,
                                     .http = d->http,
                                     .portd = d->portd,
                                     .send = to_server,
                                     .content = bt_daemon_content,
                                     .images = images_of_apps,
                                     .arg = d};
  return bt_agent_new(&options, &d->agent, err);
}

/* What a reload may change of the node. */
static void tune_agent(struct bt_daemon *d) {
  BT_AUTO_JSON labels = labels_json(d->config->node.labels);
  struct bt_agent_options options = {.labels = labels,
                                     .devices = d->config->node.devices,
                                     .resources = d->config->node.resources,
                                     .concurrency = (int)d->config->node.concurrency,
                                     .reserve_cpus = (double)d->config->node.reserve_nano_cpus / 1e9,
                                     .reserve_memory = d->config->node.reserve_memory};
  bt_agent_tune(d->agent, &options);
}

static struct bt_plugin_isolation isolation_of(const struct bt_config_place *place) {
  return (struct bt_plugin_isolation){.mode = place->isolation == BT_PLACE_PROCESS ? BT_PLUGIN_MODE_PROCESS
                                              : place->isolation == BT_PLACE_NONE  ? BT_PLUGIN_MODE_NONE
                                                                                   : BT_PLUGIN_MODE_DEFAULT,
                                      .user = place->user,
                                      .memory = place->memory,
                                      .files = place->files,
                                      .processes = place->processes,
                                      .cpu = place->cpu / 1000000000,
                                      .network = place->network,
                                      .egress = place->egress_given ? &place->egress : NULL,
                                      .command = place->command.len ? &place->command : NULL};
}

struct bt_plugin_entry *bt_daemon_entries(const struct bt_config *config, size_t *n) {
  *n = config->plugins.len;
  struct bt_plugin_entry *entries = bt_newn(struct bt_plugin_entry, *n + 1);
  for (size_t i = 0; i < *n; i++) {
    const struct bt_config_plugin *p = &config->plugins.items[i];
    entries[i] = (struct bt_plugin_entry){.name = p->name,
                                          .plugin = p->path ? p->path : p->plugin ? p->plugin : p->name,
                                          .config = p->config,
                                          .places = p->config_tree,
                                          .loc = p->loc,
                                          .isolation = isolation_of(&p->place)};
  }
  return entries;
}

static void load_plugins(struct bt_daemon *d) {
  size_t n;
  BT_AUTO_FREE struct bt_plugin_entry *entries = bt_daemon_entries(d->config, &n);
  bt_plugins_load(d->plugins, entries, n);
}

static void open_plugins(struct bt_daemon *d) {
  bt_daemon_plugin_server(d);
  const char *dirs[] = {d->config->plugin_dir, NULL};
  struct bt_plugins_setup setup = {.loop = d->loop,
                                   .http = d->http,
                                   .pool = d->pool,
                                   .server = &d->plugin_server,
                                   .dirs = d->config->plugin_dir ? dirs : NULL};
  d->plugins = bt_plugins_new(&setup);
}

static int open_state(struct bt_daemon *d, struct bt_err **err) {
  BT_AUTO_FREE char *dir = bt_path_dir(d->config->state.path);
  if (bt_mkdirs(dir, 0700, err) < 0 || bt_seal_open(d->config->secrets.key_file, &d->seal, err) < 0 ||
      bt_store_sqlite_open(d->config->state.path, d->loop, on_health, d, &d->store, err) < 0)
    return -1;
  d->feed = bt_feed_new((size_t)d->config->history.events);
  BT_AUTO_JSON settings = bt_config_settings(d->config);
  struct bt_executor_options options = {.loop = d->loop,
                                        .store = d->store,
                                        .feed = d->feed,
                                        .control = {.keep_revisions = (int)d->config->history.revisions,
                                                    .keep_events = (int)d->config->history.events,
                                                    .settings = settings,
                                                    .judge = bt_daemon_judge(d)},
                                        .send = to_node,
                                        .call = make_call,
                                        .routes = to_balancer,
                                        .rebuilt = rebuilt,
                                        .arg = d};
  return bt_executor_new(&options, &d->executor, err);
}

static void tell_settings(void *arg);

/* The disk is full, say: what is in force stays, and it is tried again. */
static void settings_taken(void *arg, enum bt_code code, const char *message, const json_t *result) {
  struct bt_daemon *d = arg;
  (void)result;
  if (code == BT_OK || code == BT_CANCELLED)
    return;
  bt_error("berthd", "pools, namespaces and scheduling stay as they were for now, and are tried again: %s", message ? message : bt_code_name(code));
  if (!d->settings_again)
    d->settings_again = bt_timer_new(d->loop, "daemon: settings", tell_settings, d);
  bt_timer_set(d->settings_again, settings_again_ms);
}

static void tell_settings(void *arg) {
  struct bt_daemon *d = arg;
  bt_executor_write(d->executor, "settings.put", bt_config_settings(d->config), "system", false, settings_taken, d);
}

void bt_daemon_reload(struct bt_daemon *d) {
  bt_daemon_policies_reload(d);
  tell_settings(d);
  tune_agent(d);
  load_plugins(d);
  bt_daemon_doctor_soon(d);
  bt_balancer_changed(d->balancer, true, NULL);
}

static char *node_name(const struct bt_config *config) {
  if (config->node.name)
    return bt_strdup(config->node.name);
  char host[HOST_NAME_MAX + 1] = "";
  gethostname(host, sizeof host - 1);
  return bt_strdup(*host ? host : "node");
}

/* Others may pass through to the socket, whatever our umask says. */
static int open_run_dir(const char *dir, struct bt_err **err) {
  if (bt_mkdirs(dir, 0755, err) < 0)
    return -1;
  return chmod(dir, 0755) < 0 ? bt_err_errno(err, BT_IO, errno, "cannot set the mode of %s", dir) : 0;
}

int bt_daemon_open(struct bt_daemon *d, struct bt_err **err) {
  d->started_ms = bt_clock_wall_ms();
  d->node_name = node_name(d->config);
  d->portd = find_portd();
  d->loop = bt_loop_new();
  d->trim = bt_timer_new(d->loop, "daemon: give memory back", give_back, d);
  d->pool = bt_pool_new(d->loop, 4);
  d->http = bt_http_new(d->loop);
  if (open_run_dir(d->config->run_dir, err) < 0 || bt_daemon_policies_open(d, err) < 0 || open_state(d, err) < 0)
    return -1;
  open_plugins(d);
  open_balancer(d);
  if (open_agent(d, err) < 0 || open_api(d, err) < 0)
    return -1;
  bt_daemon_watch_secrets(d);
  load_plugins(d);
  bt_daemon_doctor_soon(d);
  bt_executor_start(d->executor);
  bt_daemon_policies_watch(d);
  refresh_zones(d);
  bt_agent_start(d->agent);
  return 0;
}

/* Work in progress first, while all that it needs is there; then the API, so that nobody asks any more; then the node, whose
 * containers run on; then the store, which flushes. */
void bt_daemon_close(struct bt_daemon *d) {
  if (d->pool)
    bt_pool_finish(d->pool);
  bt_api_free(&d->api);
  d->closing = true;
  bt_agent_free(&d->agent);
  uplinks_drop(d);
  bt_balancer_free(&d->balancer);
  bt_watcher_free(&d->secrets);
  bt_plugins_free(&d->plugins);
  if (d->executor)
    bt_executor_stop(d->executor);
  if (d->store)
    d->store->ops->close(d->store);
  d->store = NULL;
  bt_executor_free(&d->executor);
  bt_daemon_kv_end(d);
  bt_pool_free(&d->pool);
  bt_feed_free(&d->feed);
  bt_daemon_policies_close(d);
  bt_seal_free(&d->seal);
  bt_http_free(&d->http);
  json_decref(d->stats);
  json_decref(d->cpu_before);
  bt_timer_free(&d->trim);
  bt_timer_free(&d->settings_again);
  bt_timer_free(&d->doctor);
  bt_loop_free(&d->loop);
  free(d->trees_dir);
  free(d->node_name);
  free(d->portd);
}
