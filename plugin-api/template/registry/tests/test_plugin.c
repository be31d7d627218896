/* @NAME@ alone, over the host of host.h. */
#define _POSIX_C_SOURCE 200809L
#include <berth/registry.h>

#include "host.h"

static const struct berth_registry *registry;

static void resolve(const char *image) {
  struct berth_registry_resolve request = {.size = sizeof request, .image = image};
  registry->resolve(H.self, new_op(), &request);
}

int main(int argc, char **argv) {
  load(argc, argv);
  registry = methods_of(BERTH_REGISTRY);
  if (!ok(registry && registry->size >= sizeof *registry, "it implements %s", BERTH_REGISTRY))
    return done_testing();
  has(start_entry("{\"registry\":\"r.example\",\"username\":\"me\"}"), "go together", "half a login is refused");
  ok(!start_entry("{\"registry\":\"r.example\",\"username\":\"me\",\"password\":\"pw\"}"), "an entry starts");
  ok(registry->serves(H.self, "r.example/team/web:1"), "it speaks for the images of its registry");
  ok(!registry->serves(H.self, "r.example.org/team/web:1"), "and for no others");
  resolve("r.example/team/web@sha256:abc");
  ok(H.finished == 1 && H.code == BERTH_OK, "an image with a digest is resolved, once");
  has(H.result, "\"digest\":\"sha256:abc\"", "to that digest");
  resolve("r.example/team/web:1");
  ok(H.finished == 1 && H.code == BERTH_UNSUPPORTED, "a tag is not, and it says so");
  struct berth_registry_credentials request = {.size = sizeof request, .image = "r.example/team/web:1"};
  registry->credentials(H.self, new_op(), &request);
  has(H.result, "\"username\":\"me\",\"password\":\"pw\"", "the login");
  registry->probe(H.self, new_op());
  has(H.result, "\"name\":\"r.example\"", "the doctor hears of the registry");
  stop_entry();
  ok(!start_entry("{\"registry\":\"r.example\"}"), "an anonymous one");
  registry->credentials(H.self, new_op(), &request);
  has(H.result, "{}", "needs no login");
  stop_entry();
  return done_testing();
}
