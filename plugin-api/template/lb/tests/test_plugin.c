/* @NAME@ alone, over the host of host.h. */
#define _POSIX_C_SOURCE 200809L
#include <berth/lb.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"

static const struct berth_lb *lb;
static char path[] = "/tmp/@NAME@-XXXXXX";

static void apply(const char *json) {
  struct berth_lb_apply request = {.size = sizeof request, .state_json = json};
  lb->apply(H.self, new_op(), &request);
}

static void update(const char *json) {
  struct berth_lb_update request = {.size = sizeof request, .changes_json = json};
  lb->update(H.self, new_op(), &request);
}

static const char *written(void) {
  static char text[4096];
  FILE *file = fopen(path, "r");
  size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
  text[n] = 0;
  if (file)
    fclose(file);
  return text;
}

int main(int argc, char **argv) {
  char config[128];
  struct stat st;
  load(argc, argv);
  lb = methods_of(BERTH_LB);
  if (!ok(lb && lb->size >= sizeof *lb, "it implements %s", BERTH_LB))
    return done_testing();
  has(start_entry("{\"file\":\"state.json\"}"), "absolute", "a relative path is refused");
  close(mkstemp(path));
  snprintf(config, sizeof config, "{\"file\":\"%s\"}", path);
  ok(!start_entry(config), "an entry starts");

  update("{\"revision\":1,\"changes\":[]}");
  ok(H.finished == 1 && H.code == BERTH_CONFLICT, "changes of nothing are refused: the host applies the whole then");
  apply("{\"revision\":1,\"routes\":[],\"pools\":[{\"id\":\"web\",\"endpoints\":[]}],\"certificates\":[]}");
  ok(H.finished == 1 && H.code == BERTH_OK, "a state is put in force, once");
  has(written(), "\"id\": \"web\"", "it is in the file");
  ok(stat(path, &st) == 0 && (st.st_mode & 077) == 0, "which nobody else can read");
  update("{\"revision\":2,\"changes\":[{\"pool\":\"web\",\"endpoint\":\"web-1\",\"state\":\"ready\",\"address\":\"10.0.0.2\",\"port\":80}]}");
  ok(H.finished == 1 && H.code == BERTH_OK, "an endpoint comes");
  has(written(), "\"address\": \"10.0.0.2\"", "it is in the file");
  update("{\"revision\":3,\"changes\":[{\"pool\":\"web\",\"endpoint\":\"web-1\",\"state\":\"gone\"}]}");
  ok(!strstr(written(), "10.0.0.2"), "and goes");
  update("{\"revision\":4,\"changes\":[{\"pool\":\"db\",\"endpoint\":\"db-1\",\"state\":\"ready\"}]}");
  ok(H.finished == 1 && H.code == BERTH_CONFLICT, "a pool that nobody applied");
  apply("[]");
  ok(H.finished == 1 && H.code == BERTH_INVALID, "what is no state is refused");

  struct berth_lb_drain drain = {.size = sizeof drain, .endpoint = "web-1"};
  lb->drain(H.self, new_op(), &drain);
  ok(H.finished == 1 && H.code == BERTH_UNSUPPORTED, "draining is not watched, and it says so");
  lb->events(H.self, new_op());
  ok(!H.finished, "events go on");
  H.plugin->cancel(H.self, H.op);
  ok(H.finished == 1 && H.code == BERTH_CANCELLED, "until they are cancelled");
  lb->probe(H.self, new_op());
  has(H.result, "\"status\":\"ok\"", "the doctor hears that all is well");
  stop_entry();
  unlink(path);
  return done_testing();
}
