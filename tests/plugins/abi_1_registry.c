/* berth.registry/1 as of the frozen headers. */
#include <berth/registry.h>

#include "abi-1/old.h"

static bool serves(struct berth_instance *self, const char *image) {
  (void)self;
  return strncmp(image, "old.example/", 12) == 0;
}

static void resolve(struct berth_instance *self, berth_op op, const struct berth_registry_resolve *r) {
  say(self, op, "{\"digest\":\"sha256:0\",\"image\":\"%s\",\"platform\":\"%s\"}", r->image, or_none(r->platform));
}

static void credentials(struct berth_instance *self, berth_op op, const struct berth_registry_credentials *r) {
  say(self, op, "{\"username\":\"%s\",\"password\":\"pw\"}", r->image);
}

static void probe(struct berth_instance *self, berth_op op) { say(self, op, "{\"registries\":[]}"); }

static const struct berth_registry registry = {
    .size = sizeof registry, .serves = serves, .resolve = resolve, .credentials = credentials, .probe = probe};
OLD_PLUGIN("registry-old", BERTH_REGISTRY, registry);
