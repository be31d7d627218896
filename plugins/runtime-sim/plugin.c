/* runtime-sim: berth.runtime/1 without containers. It keeps records of containers, takes its time, and fails as it is told to, so that
 * berthd can be driven at size and people can rehearse. The manifest, and the life of a configured entry. */
#include "config.h"

#include "../common/plugin.h"
#include "sim.h"

PU_SETTINGS(struct sim_settings, sim_settings_read, sim_settings_free)

static const char *const needs[] = {BERTH_HOST_OPS, BERTH_HOST_TIMER, NULL};

/* ---------------------------------------------------------------- what machine this is */

static void info_now(struct sim_op *op) {
  const struct sim_settings *s = &op->self->settings;
  sim_op_done(op, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:f, s:I, s:s, s:s, s:b, s:I, s:I, s:[s, s, s, s, s]}", "name", "sim", "version", "rehearsal",
                            "api_version", "1", "os", s->os, "arch", s->arch, "platform", s->platform, "kernel", "none", "cpus", (double)s->cpus,
                            "memory", (json_int_t)s->memory, "cgroup", "2", "root_dir", "/nonexistent/runtime-sim", "rootless", 1,
                            "disk", (json_int_t)s->disk, "pids", (json_int_t)s->pids, "features",
                            "rehearsal", "healthcheck.start_interval", "annotations", "volume.subpath", "update"));
}

static void info(struct berth_instance *self, berth_op id) { sim_op_begin(self, id, SIM_INFO, NULL, NULL, NULL, info_now); }

/* ---------------------------------------------------------------- life */

static void free_all(struct berth_instance *self) {
  struct sim_container *c, *next_c;
  struct sim_image *i, *next_i;
  struct sim_thing *t, *next_t;
  while (self->open)
    sim_op_drop(self->open);
  HASH_ITER(by_id, self->by_id, c, next_c) sim_container_free(c);
  HASH_ITER(hh, self->images, i, next_i) sim_image_free(self, i);
  HASH_ITER(hh, self->networks, t, next_t) sim_thing_free(&self->networks, t);
  HASH_ITER(hh, self->volumes, t, next_t) sim_thing_free(&self->volumes, t);
  self->timer->cancel(self->host, self->outage_timer);
  sim_counts_free(self);
  sim_journal_close(self);
  sim_settings_free(&self->settings);
  free(self);
}

static enum berth_code start(const struct berth_host *host, const char *config_json, struct berth_instance **out, const char **why) {
  struct sim_settings settings;
  enum berth_code code = read_settings(config_json, &settings, why);
  if (code != BERTH_OK)
    return code;
  struct berth_instance *self = pu_new(struct berth_instance);
  *self = (struct berth_instance){.host = host, .settings = settings};
  self->ops = host->service(host, BERTH_HOST_OPS);
  self->timer = host->service(host, BERTH_HOST_TIMER);
  self->log = host->service(host, BERTH_HOST_LOG);
  if (!sim_journal_open(self, pu_sentence_fresh())) {
    free_all(self);
    *why = *pu_sentence();
    return BERTH_INVALID;
  }
  sim_log(self, BERTH_LOG_WARN, "this is a rehearsal: containers are pretended, nothing really runs");
  sim_outage_plan(self);
  *out = self;
  return BERTH_OK;
}

/* What runs keeps the fate that it has; the next starts and calls follow the new settings. */
static enum berth_code reload(struct berth_instance *self, const char *config_json, const char **why) {
  struct sim_settings fresh;
  enum berth_code code = read_settings(config_json, &fresh, why);
  if (code != BERTH_OK)
    return code;
  sim_settings_free(&self->settings);
  self->settings = fresh;
  if (!self->away_until_ms)
    sim_outage_plan(self);
  return BERTH_OK;
}

static void stop(struct berth_instance *self) { free_all(self); }

static void cancel(struct berth_instance *self, berth_op id) {
  struct sim_op *op = sim_op_find(self, id);
  if (op)
    sim_op_fail(op, BERTH_CANCELLED, "%s: cancelled", sim_verb_name(op->verb));
}

static const struct berth_runtime methods = {
    .size = sizeof methods,
    .info = info,
    .image_inspect = sim_image_inspect,
    .image_pull = sim_image_pull,
    .image_build = sim_image_build,
    .image_prune = sim_image_prune,
    .network_ensure = sim_network_ensure,
    .network_remove = sim_network_remove,
    .network_list = sim_network_list,
    .volume_ensure = sim_volume_ensure,
    .volume_remove = sim_volume_remove,
    .volume_list = sim_volume_list,
    .create = sim_create,
    .start = sim_start,
    .stop = sim_stop,
    .kill = sim_kill,
    .remove = sim_remove,
    .inspect = sim_inspect,
    .list = sim_list,
    .events = sim_events,
    .logs = sim_logs,
    .exec = sim_exec,
    .input = sim_input,
    .resize = sim_resize,
    .stats = sim_stats,
    .copy_in = sim_copy_in,
    .copy_out = sim_copy_out,
    .update = sim_update};

static const struct berth_interface interfaces[] = {{BERTH_RUNTIME, &methods}, {BERTH_REGISTRY, &sim_registry}, {NULL}};

static const char *const roles[] = {"node.runtime", NULL}; /* a node has one engine, pretended or not */

PU_PLUGIN("runtime-sim", "Pretends to run containers, for rehearsals: nothing really runs.", interfaces, needs, sim_fields, (.exclusive = roles),
          .validate = validate, .start = start, .reload = reload, .stop = stop, .cancel = cancel);
