/* berth.lb/1 as of the frozen headers. */
#include <berth/lb.h>

#include "abi-1/old.h"

static void apply(struct berth_instance *self, berth_op op, const struct berth_lb_apply *r) { say(self, op, "{\"state\":%s}", r->state_json); }

static void update(struct berth_instance *self, berth_op op, const struct berth_lb_update *r) {
  say(self, op, "{\"changes\":%s}", r->changes_json);
}

static void drain(struct berth_instance *self, berth_op op, const struct berth_lb_drain *r) {
  say(self, op, "{\"endpoint\":\"%s\",\"deadline\":%" PRId64 "}", r->endpoint, r->deadline_ms);
}

static void events(struct berth_instance *self, berth_op op) {
  static const char fine[] = "{\"status\":\"ok\"}";
  self->waiting = op;
  self->ops->emit(self->host, op, BERTH_LB_EVENT, fine, sizeof fine - 1);
}

static void probe(struct berth_instance *self, berth_op op) { say(self, op, "{\"status\":\"ok\"}"); }

static const struct berth_lb lb = {
    .size = sizeof lb, .apply = apply, .update = update, .drain = drain, .stats = refuse, .events = events, .probe = probe};
OLD_PLUGIN("lb-old", BERTH_LB, lb);
