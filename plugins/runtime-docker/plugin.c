/* runtime-docker: berth.runtime/1 over the Docker Engine API 1.41 and later, and Podman's service that speaks the same.
 * The manifest, and the life of a configured entry. */
#include "config.h"
#include "../common/plugin.h"
#include "engine.h"

static const struct berth_field fields[] = {
    {"host", BERTH_STRING, "unix:///var/run/docker.sock", .immutable = true,
     .doc = "Where the engine is: unix:///path/of/socket, or tcp://host:port."},
    {"tls_ca", BERTH_STRING, .immutable = true, .doc = "PEM file of the authority that signed the engine's certificate (tcp only)."},
    {"tls_cert", BERTH_STRING, .immutable = true, .doc = "PEM file of the client certificate (tcp only)."},
    {"tls_key", BERTH_STRING, .immutable = true, .doc = "PEM file of the client certificate's key (tcp only)."},
    {"api_version", BERTH_STRING, "1.41", .doc = "Oldest Engine API version that is accepted."},
    {"timeout", BERTH_DURATION, "120s", .doc = "Longest time for one request to the engine, streams and pulls apart.", .min = 1000,
     .max = 3600000},
    {"connect_timeout", BERTH_DURATION, "5s", .doc = "Longest time to connect.", .min = 100, .max = 60000},
    {"build_context_max", BERTH_SIZE, "2GiB", .doc = "Largest build context that is sent, in bytes.", .min = 1 << 20,
     .max = (int64_t)1 << 40},
    {NULL}};

static const char *const needs[] = {BERTH_HOST_OPS, BERTH_HOST_TIMER, BERTH_HOST_HTTP, BERTH_HOST_WORKER, BERTH_HOST_FD, NULL};

PU_SETTINGS(struct rd_config, rd_config_read, rd_config_free)

static void get_services(struct berth_instance *self, const struct berth_host *host) {
  self->host = host;
  self->ops = host->service(host, BERTH_HOST_OPS);
  self->log = host->service(host, BERTH_HOST_LOG);
  self->timer = host->service(host, BERTH_HOST_TIMER);
  self->http = host->service(host, BERTH_HOST_HTTP);
  self->worker = host->service(host, BERTH_HOST_WORKER);
  self->fd = host->service(host, BERTH_HOST_FD);
}

static enum berth_code start(const struct berth_host *host, const char *config_json, struct berth_instance **out, const char **why) {
  struct rd_config config;
  enum berth_code code = read_settings(config_json, &config, why);
  if (code != BERTH_OK)
    return code;
  struct berth_instance *self = pu_calloc(1, sizeof *self);
  get_services(self, host);
  self->config = config;
  *out = self;
  return BERTH_OK;
}

/* Where the engine is stays: those fields are immutable. */
static enum berth_code reload(struct berth_instance *self, const char *config_json, const char **why) {
  struct rd_config fresh;
  enum berth_code code = read_settings(config_json, &fresh, why);
  if (code != BERTH_OK)
    return code;
  rd_config_free(&self->config);
  self->config = fresh;
  self->api = 0;
  return BERTH_OK;
}

static void stop(struct berth_instance *self) {
  while (self->first)
    rd_op_drop(self->first);
  rd_config_free(&self->config);
  json_decref(self->version);
  free(self);
}

static void cancel(struct berth_instance *self, berth_op id) {
  struct rd_op *op = rd_op_find(self, id);
  if (op)
    rd_op_fail(op, BERTH_CANCELLED, "%s: cancelled", op->subject);
}

static const struct berth_runtime methods = {
    .size = sizeof methods,
    .info = rd_info,
    .image_inspect = rd_image_inspect,
    .image_pull = rd_image_pull,
    .image_build = rd_image_build,
    .image_prune = rd_image_prune,
    .image_list = rd_image_list,
    .image_import = rd_image_import,
    .image_remove = rd_image_remove,
    .network_ensure = rd_network_ensure,
    .network_remove = rd_network_remove,
    .network_list = rd_network_list,
    .volume_ensure = rd_volume_ensure,
    .volume_remove = rd_volume_remove,
    .volume_list = rd_volume_list,
    .create = rd_create,
    .start = rd_start,
    .stop = rd_stop,
    .kill = rd_kill,
    .remove = rd_remove,
    .inspect = rd_inspect,
    .list = rd_list,
    .events = rd_events,
    .logs = rd_logs,
    .exec = rd_exec,
    .input = rd_input,
    .resize = rd_resize,
    .stats = rd_stats,
    .copy_in = rd_copy_in,
    .copy_out = rd_copy_out,
    .update = rd_update,
};

static const struct berth_interface interfaces[] = {{BERTH_RUNTIME, &methods}, {NULL}};

static const struct berth_product products[] = {
    {"docker", ">=1.41", "Docker Engine API, from Docker 20.10: https://docs.docker.com/engine/api/"},
    {"podman", ">=1.41", "the Docker-compatible API of podman system service, from Podman 4.0"},
    {0}};
static const char *const roles[] = {"node.runtime", NULL}; /* a node has one engine */

PU_PLUGIN("runtime-docker",
          "Runs containers on a Docker Engine (API 1.41 or later) or on Podman's Docker-compatible service.", interfaces, needs, fields,
          (.products = products, .exclusive = roles), .validate = validate, .start = start, .reload = reload, .stop = stop, .cancel = cancel);
