/* @NAME@ alone, over the host of host.h. */
#define _POSIX_C_SOURCE 200809L
#include <berth/monitor.h>

#include "host.h"

int main(int argc, char **argv) {
  struct berth_route_request request = {.size = sizeof request, .method = "GET", .path = "/table", .query = ""};
  load(argc, argv);
  const struct berth_monitor *monitor = methods_of(BERTH_MONITOR);
  if (!ok(monitor && monitor->size >= sizeof *monitor, "it implements %s", BERTH_MONITOR))
    return done_testing();
  has(start_entry("{\"route\":\"table\"}"), "begins with a slash", "a route that is no path is refused");
  ok(!start_entry("{\"route\":\"/table\"}"), "an entry starts");
  monitor->probe(H.self, new_op());
  ok(H.finished == 1 && H.code == BERTH_OK, "probe is finished once");
  has(H.result, "\"last_ms\":0", "nobody has asked yet");
  ok(H.route.handle && !H.route.open, "there is a route, for those with a token");
  H.route.handle(H.route.arg, 1, &request);
  ok(H.status == 200, "it answers");
  has(H.reply, "berth_instances app=shop service=web\t3\n", "with the samples of the server");
  monitor->probe(H.self, new_op());
  has(H.result, "\"last_ms\":1700000000000", "the doctor hears when it was last read");
  stop_entry();
  return done_testing();
}
