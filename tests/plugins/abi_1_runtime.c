/* berth.runtime/1 as of the frozen headers: of each shape of method one. */
#include <berth/runtime.h>

#include "abi-1/old.h"

static void info(struct berth_instance *self, berth_op op) { say(self, op, "{\"name\":\"old\"}"); }

static void create(struct berth_instance *self, berth_op op, const struct berth_runtime_create *r) {
  say(self, op, "{\"id\":\"c1\",\"spec\":%s}", r->spec_json);
}

static void stop(struct berth_instance *self, berth_op op, const struct berth_runtime_container *r) {
  say(self, op, "{\"id\":\"%s\",\"signal\":\"%s\",\"timeout\":%" PRId64 ",\"force\":%d,\"volumes\":%d}", r->id, or_none(r->signal),
      r->timeout_ms, r->force, r->volumes);
}

static void network_remove(struct berth_instance *self, berth_op op, const char *name) { say(self, op, "{\"name\":\"%s\"}", name); }

static void logs(struct berth_instance *self, berth_op op, const struct berth_runtime_logs *r) {
  char line[256];
  int n = snprintf(line, sizeof line, "%s %d%d %" PRId64 " %" PRId64 " %" PRId64, r->id, r->follow, r->timestamps, r->tail, r->since_ms,
                   r->until_ms);
  self->ops->emit(self->host, op, BERTH_RUNTIME_STDOUT, line, (size_t)n);
  say(self, op, "{}");
}

static void copy_in(struct berth_instance *self, berth_op op, const struct berth_runtime_copy *r) {
  say(self, op, "{\"path\":\"%s\",\"bytes\":%zu,\"last\":%d}", r->path, r->tar_len, ((const unsigned char *)r->tar)[r->tar_len - 1]);
}

static void events(struct berth_instance *self, berth_op op, const struct berth_runtime_list *r) {
  static const char connected[] = "{\"action\":\"connected\"}";
  (void)r;
  self->waiting = op;
  self->ops->emit(self->host, op, BERTH_RUNTIME_EVENT, connected, sizeof connected - 1);
}

static const struct berth_runtime runtime = {.size = sizeof runtime,
                                             .info = info,
                                             .network_remove = network_remove,
                                             .create = create,
                                             .stop = stop,
                                             .events = events,
                                             .logs = logs,
                                             .copy_in = copy_in};
OLD_PLUGIN("runtime-old", BERTH_RUNTIME, runtime);
