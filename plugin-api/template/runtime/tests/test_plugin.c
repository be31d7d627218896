/* @NAME@ alone, over the host of host.h. */
#define _POSIX_C_SOURCE 200809L
#include <berth/runtime.h>

#include "host.h"

int main(int argc, char **argv) {
  load(argc, argv);
  const struct berth_runtime *runtime = methods_of(BERTH_RUNTIME);
  if (!ok(runtime && runtime->size >= sizeof *runtime, "it implements %s", BERTH_RUNTIME))
    return done_testing();
  ok(!start_entry("{\"engine\":\"mine\"}"), "an entry starts");
  runtime->info(H.self, new_op());
  ok(H.finished == 1 && H.code == BERTH_OK, "info is finished once");
  has(H.result, "\"name\":\"mine\"", "with the engine's name");
  struct berth_runtime_list all = {.size = sizeof all};
  runtime->list(H.self, new_op(), &all);
  has(H.result, "{\"containers\":[]}", "there are no containers");
  struct berth_runtime_create create = {.size = sizeof create, .spec_json = "{}"};
  runtime->create(H.self, new_op(), &create);
  ok(H.finished == 1 && H.code == BERTH_UNSUPPORTED, "none can be made yet, and it says so");
  runtime->network_remove(H.self, new_op(), "net");
  ok(H.finished == 1 && H.code == BERTH_UNSUPPORTED, "and no network removed");

  runtime->events(H.self, new_op(), &all);
  has(H.emitted, "\"action\":\"connected\"", "events begin");
  ok(H.finished == 0, "and go on");
  H.plugin->cancel(H.self, H.op);
  ok(H.finished == 1 && H.code == BERTH_CANCELLED, "until they are cancelled");
  H.plugin->cancel(H.self, H.op);
  ok(H.finished == 1, "once");
  runtime->events(H.self, new_op(), &all);
  stop_entry();
  return done_testing();
}
