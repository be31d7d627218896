/* Leaves a method out of its table, and claims to have none of a license. */
#include <berth/chat.h>
#include <berth/host.h>

static const struct berth_chat chat = {.size = sizeof chat};
static const struct berth_interface interfaces[] = {{BERTH_CHAT, &chat}, {0}};
static const char *const needs[] = {BERTH_HOST_OPS, NULL};
static const struct berth_manifest manifest = {BERTH_MANIFEST_SIZES,
                                               .id = "chat",
                                               .version = "1.x",
                                               .summary = "Chat.",
                                               .license = "do what you like!",
                                               .interfaces = interfaces,
                                               .needs = needs};

static enum berth_code start(const struct berth_host *host, const char *config, struct berth_instance **out, const char **why) {
  (void)host, (void)config, (void)out;
  *why = "it never starts";
  return BERTH_UNSUPPORTED;
}

static void stop(struct berth_instance *self) { (void)self; }
static void cancel(struct berth_instance *self, berth_op op) { (void)self, (void)op; }

extern const struct berth_plugin BERTH_PLUGIN_SYMBOL BERTH_EXPORT;
const struct berth_plugin BERTH_PLUGIN_SYMBOL = {
    .size = sizeof(struct berth_plugin), .manifest = &manifest, .start = start, .stop = stop, .cancel = cancel};
