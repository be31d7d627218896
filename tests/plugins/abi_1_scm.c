/* berth.scm/1 as of the frozen headers. */
#include <berth/scm.h>

#include "abi-1/old.h"

static void resolve(struct berth_instance *self, berth_op op, const struct berth_scm_resolve *r) {
  say(self, op, "{\"repository\":\"%s\",\"branch\":\"%s\",\"tag\":\"%s\"}", r->repository, or_none(r->branch), or_none(r->tag));
}

static void fetch(struct berth_instance *self, berth_op op, const struct berth_scm_fetch *r) {
  say(self, op, "{\"commit\":\"%s\",\"ref\":\"%s\",\"paths\":%s,\"signers\":\"%s\"}", r->commit, r->ref, r->paths_json,
      or_none(r->signers));
}

static void status(struct berth_instance *self, berth_op op, const struct berth_scm_status *r) {
  say(self, op, "{\"state\":\"%s\",\"context\":\"%s\",\"description\":\"%s\",\"url\":\"%s\"}", r->state, r->context, r->description,
      or_none(r->url));
}

static void probe(struct berth_instance *self, berth_op op) { say(self, op, "{\"status\":\"ok\"}"); }

static const struct berth_scm scm = {.size = sizeof scm, .resolve = resolve, .fetch = fetch, .status = status, .probe = probe};
OLD_PLUGIN("scm-old", BERTH_SCM, scm);
