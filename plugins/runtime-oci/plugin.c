/* runtime-oci: berth.runtime/1 without a container daemon: an OCI runtime (crun), a monitor of our own for each container, a store of
 * images, bridges and nftables. The manifest, and the life of a configured entry. */
#include "config.h"
#include "../common/plugin.h"
#include "engine.h"

#include <errno.h>
#include <unistd.h>

#include "files.h"

static const struct berth_field fields[] = {
    {"root", BERTH_STRING, "/var/lib/berth/oci", .immutable = true,
     .doc = "Folder for images, containers, networks and volumes. One server at a time uses it: a second one does not start the entry."},
    {"run", BERTH_STRING, "/run/berth/oci", .immutable = true,
     .doc = "Folder for what need not outlive a reboot: bundles, sockets, exit codes; on tmpfs, at most 80 bytes."},
    {"programs", BERTH_STRING, .immutable = true, .doc = "Folder of berth-monitor, berth-image and berth-resolver; where they are installed."},
    {"storage", BERTH_STRING, "auto", .immutable = true,
     .doc = "How root file systems are made: overlay (the kernel's), fuse-overlayfs, copy (of the image, for each container), or auto: the first of them that works here."},
    {"runtime", BERTH_STRING, "crun", .doc = "The OCI runtime for containers started from now on: a name in PATH or an absolute path (crun, runc, youki)."},
    {"runtime_args", BERTH_LIST, "[]", .doc = "Options that go before the runtime's command.", .max = 16},
    {"runtimes", BERTH_JSON, .doc = "OCI runtimes that a service's runtime may name: {\"kata\": \"/usr/bin/kata-runtime\", \"runsc\": [\"/usr/bin/runsc\", \"--platform=kvm\"]}."},
    {"hooks", BERTH_JSON, .doc = "Programs that the OCI runtime runs for every container, as in runtime-spec: {\"createRuntime\": [{\"path\": \"/usr/local/bin/hook\", \"args\": [\"hook\"], \"timeout\": 5}]}."},
    {"log_max_size", BERTH_SIZE, "16MiB", .doc = "A container's log file is rotated at this size, in bytes; its own logging options win.",
     .min = 64 << 10, .max = (int64_t)1 << 40},
    {"log_max_files", BERTH_INT, "3", .doc = "Files that are kept of a log, the one being written included.", .min = 1, .max = 100},
    {"userns", BERTH_STRING, "host", .doc = "Whose users containers have: host, or remap for a user namespace of the sub-ids of the user \"berth\" (/etc/subuid)."},
    {"dns", BERTH_LIST, "[]", .doc = "Name servers that names of other machines are asked of; none: the machine's own.", .max = 8},
    {"address_pools", BERTH_LIST, "[\"10.89.0.0/16\"]", .immutable = true,
     .doc = "IPv4 networks that networks without a subnet get a /24 of.", .min = 1, .max = 16},
    {"registries", BERTH_JSON, .doc = "What is known of registries that images are pulled from: {\"docker.io\": {\"mirrors\": [\"mirror.example:5000\"], \"insecure\": false, \"ca_file\": \"/path\"}}."},
    {"max_layer_size", BERTH_SIZE, "64GiB", .doc = "Images with a layer whose files have more bytes than this are refused.", .min = 1 << 20, .max = (int64_t)1 << 46},
    {"max_layer_entries", BERTH_INT, "2000000", .doc = "Images with a layer of more files and folders than this are refused.", .min = 1000, .max = 100000000},
    {"image_devices", BERTH_STRING, "skip", .doc = "Device files in images: skip (left out: containers get their own /dev), refuse, or keep."},
    {"build_isolation", BERTH_STRING, "oci", .doc = "How steps of builds run: oci (containers of the runtime, on the host's network), or chroot where that is not possible."},
    {"image_gc_high", BERTH_INT, "85", .doc = "Images that nothing needs are removed once this many per cent of their file system are taken; 100: never.", .min = 1, .max = 100},
    {"image_gc_low", BERTH_INT, "80", .doc = "And no more of them once it is down to this.", .min = 0, .max = 100},
    {"image_gc_max_size", BERTH_SIZE, "0", .doc = "They are also removed while the layers of all images have more bytes than this; 0: any number.", .min = 0, .max = (int64_t)1 << 50},
    {"image_gc_min_age", BERTH_DURATION, "10m", .doc = "Images that were used, pulled or imported more recently stay.", .min = 0, .max = (int64_t)366 * 86400 * 1000},
    {"image_gc_partial_age", BERTH_DURATION, "24h", .doc = "Broken off downloads, and layers that no image has, are removed when they are this old.", .min = 60000, .max = (int64_t)366 * 86400 * 1000},
    {NULL}};

static const char *const needs[] = {BERTH_HOST_OPS, BERTH_HOST_TIMER, BERTH_HOST_WORKER, BERTH_HOST_FD, BERTH_HOST_CHILD, BERTH_HOST_EVENTS, NULL};

PU_SETTINGS(struct ro_config, ro_config_read, ro_config_free)

static void get_services(struct berth_instance *self, const struct berth_host *host) {
  self->host = host;
  self->ops = host->service(host, BERTH_HOST_OPS);
  self->log = host->service(host, BERTH_HOST_LOG);
  self->timer = host->service(host, BERTH_HOST_TIMER);
  self->worker = host->service(host, BERTH_HOST_WORKER);
  self->fd = host->service(host, BERTH_HOST_FD);
  self->child = host->service(host, BERTH_HOST_CHILD);
  self->events = host->service(host, BERTH_HOST_EVENTS);
}

static enum berth_code start(const struct berth_host *host, const char *config_json, struct berth_instance **out, const char **why) {
  struct ro_config config;
  enum berth_code code = read_settings(config_json, &config, why);
  if (code != BERTH_OK)
    return code;
  int lock = ro_root_take(config.root, false, pu_sentence()); /* the first time there is no root yet: then it is taken with the records */
  if (lock < 0 && errno == EWOULDBLOCK) {
    *why = *pu_sentence();
    ro_config_free(&config);
    return BERTH_CONFLICT;
  }
  struct berth_instance *self = pu_new(struct berth_instance);
  get_services(self, host);
  self->config = config;
  self->lock = lock;
  *out = self;
  return BERTH_OK;
}

static enum berth_code reload(struct berth_instance *self, const char *config_json, const char **why) {
  struct ro_config fresh;
  enum berth_code code = read_settings(config_json, &fresh, why);
  if (code != BERTH_OK)
    return code;
  ro_config_free(&self->config);
  self->config = fresh;
  return BERTH_OK;
}

/* Containers run on: they are their monitors', who neither know nor need us. */
static void stop(struct berth_instance *self) {
  while (self->first)
    ro_op_drop(self->first);
  for (size_t i = 0; i < self->table.len; i++)
    ro_unwatch(self, self->table.items[i]);
  ro_table_free(&self->table);
  if (self->lock >= 0)
    close(self->lock);
  ro_storage_free(&self->storage);
  free(self->refusal);
  ro_config_free(&self->config);
  free(self);
}

static void cancel(struct berth_instance *self, berth_op id) {
  struct ro_op *op = ro_op_find(self, id);
  if (op && op->cancel)
    op->cancel(op);
  else if (op)
    ro_op_fail(op, BERTH_CANCELLED, "%s: cancelled", op->subject);
}

static const struct berth_runtime methods = {
    .size = sizeof methods,
    .info = ro_info,
    .image_inspect = ro_image_inspect,
    .image_pull = ro_image_pull,
    .image_build = ro_image_build,
    .image_prune = ro_image_prune,
    .network_ensure = ro_network_ensure,
    .network_remove = ro_network_remove,
    .network_list = ro_network_list,
    .volume_ensure = ro_volume_ensure,
    .volume_remove = ro_volume_remove,
    .volume_list = ro_volume_list,
    .create = ro_create,
    .start = ro_start,
    .stop = ro_stop,
    .kill = ro_kill,
    .remove = ro_remove,
    .inspect = ro_inspect,
    .list = ro_list,
    .events = ro_events,
    .logs = ro_logs,
    .exec = ro_exec,
    .input = ro_input,
    .resize = ro_resize,
    .stats = ro_stats,
    .copy_in = ro_copy_in,
    .copy_out = ro_copy_out,
    .update = ro_update,
    .pause = ro_pause,
    .unpause = ro_unpause,
    .image_list = ro_image_list,
    .image_import = ro_image_import,
    .image_remove = ro_image_remove,
    .ready = ro_ready,
    .image_collect = ro_image_collect,
};

static const struct berth_interface interfaces[] = {{BERTH_RUNTIME, &methods}, {NULL}};

static const struct berth_product products[] = {
    {"oci", ">=1.0", "OCI runtime specification, as crun, runc or youki implement it: https://github.com/opencontainers/runtime-spec"}, {0}};
static const char *const roles[] = {"node.runtime", NULL}; /* a node has one engine */

PU_PLUGIN("runtime-oci", "Runs containers without a container daemon: an OCI runtime (crun, runc, youki) and a small monitor for each.",
          interfaces, needs, fields, (.products = products, .exclusive = roles), .validate = validate, .start = start, .reload = reload,
          .stop = stop, .cancel = cancel);
