/* One state for all entries: the second start() gives out the first one's. */
#include <berth/host.h>
#include <berth/monitor.h>

struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
};
static struct berth_instance only;

static void probe(struct berth_instance *self, berth_op op) {
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{\"mode\":\"pull\",\"status\":\"ok\"}");
}

static const struct berth_monitor monitor = {.size = sizeof monitor, .probe = probe};
static const struct berth_interface interfaces[] = {{BERTH_MONITOR, &monitor}, {0}};
static const char *const needs[] = {BERTH_HOST_OPS, NULL};
static const struct berth_manifest manifest = {BERTH_MANIFEST_SIZES,
                                               .id = "breaks-global",
                                               .version = "1.0.0",
                                               .summary = "A plug-in of the tests.",
                                               .license = "MIT",
                                               .interfaces = interfaces,
                                               .needs = needs};

static enum berth_code start(const struct berth_host *host, const char *config, struct berth_instance **out, const char **why) {
  (void)config, (void)why;
  only = (struct berth_instance){host, host->service(host, BERTH_HOST_OPS)};
  *out = &only;
  return BERTH_OK;
}

static void stop(struct berth_instance *self) { self->host = NULL; }
static void cancel(struct berth_instance *self, berth_op op) { (void)self, (void)op; }

extern const struct berth_plugin BERTH_PLUGIN_SYMBOL BERTH_EXPORT;
const struct berth_plugin BERTH_PLUGIN_SYMBOL = {
    .size = sizeof(struct berth_plugin), .manifest = &manifest, .start = start, .stop = stop, .cancel = cancel};
