/* update: other limits for a container that is there. The engine is asked first what it has: it takes limits of memory and of swap only
 * together, and a limit that is less than what is in use would end the container where the kernel does not refuse it. */
#include "config.h"
#include "engine.h"

#include "normal.h"
#include "spec.h"

struct update {
  struct rd_op op;
  char *id;
  json_t *wanted; /* resources_json */
  json_t *body;   /* of the request */
};

static void update_drop(struct rd_op *op) {
  struct update *u = (struct update *)op;
  free(u->id);
  json_decref(u->wanted);
  json_decref(u->body);
}

static void changed(struct rd_op *op, const struct rd_answer *a) {
  bool absent = !a->code && (a->status == 404 || a->status == 405 || a->status == 501);
  if (absent && op->self->podman) { /* the container was there a moment ago */
    rd_op_fail(op, BERTH_UNSUPPORTED, "%s: this Podman's service changes no limits of what is there", op->subject);
    return;
  }
  if (!rd_answer_good(op, a))
    return;
  json_t *warnings = pu_arr(a->json, "Warnings");
  rd_op_done(op, json_pack("{s:o}", "warnings", warnings ? json_incref(warnings) : json_array()));
}

static void change(struct rd_op *op) {
  struct update *u = (struct update *)op;
  PU_AUTO_FREE path = rd_path("/containers/", u->id, "/update");
  rd_request(op, &(struct rd_request){.method = "POST", .path = path, .body = u->body, .done = changed});
}

static void measured(struct rd_op *op, const struct rd_answer *a) {
  const struct update *u = (struct update *)op;
  if (!rd_answer_good(op, a))
    return;
  PU_AUTO_JSON stats = rd_normal_stats(a->json);
  int64_t used = pu_number(stats, "memory", 0), limit = pu_number(u->body, "Memory", 0);
  if (used < limit)
    change(op);
  else
    rd_op_fail(op, BERTH_INVALID, "%s: it uses %lld MiB of memory now, and its limit is to be %lld MiB", op->subject, (long long)used >> 20, (long long)limit >> 20);
}

static void inspected(struct rd_op *op, const struct rd_answer *a) {
  struct update *u = (struct update *)op;
  if (!rd_answer_good(op, a))
    return;
  const json_t *host = pu_obj(a->json, "HostConfig");
  PU_AUTO_FREE why = NULL;
  enum berth_code code = BERTH_OK;
  u->body = rd_update_body(host, u->wanted, &code, &why);
  int64_t limit = pu_number(u->body, "Memory", 0), was = pu_number(host, "Memory", 0);
  if (!u->body) {
    rd_op_fail(op, code, "%s: %s", op->subject, why);
  } else if (!json_object_size(u->body)) {
    rd_op_done(op, json_pack("{s:[]}", "warnings"));
  } else if (limit > 0 && (was <= 0 || limit < was) && pu_flag(pu_obj(a->json, "State"), "Running", false)) {
    PU_AUTO_FREE path = rd_path("/containers/", u->id, "/stats?stream=false&one-shot=true");
    rd_request(op, &(struct rd_request){.method = "GET", .path = path, .done = measured});
  } else {
    change(op);
  }
}

static void ready(struct rd_op *op) {
  PU_AUTO_FREE path = rd_path("/containers/", ((struct update *)op)->id, "/json");
  rd_request(op, &(struct rd_request){.method = "GET", .path = path, .done = inspected});
}

void rd_update(struct berth_instance *self, berth_op id, const struct berth_runtime_update *request) {
  const char *name = request->id ? request->id : "", *resources = request->resources_json ? request->resources_json : "";
  struct update *u = rd_op_new(self, id, sizeof *u, update_drop, "container %.80s", name);
  u->id = pu_strdup(name);
  u->wanted = rd_json_parse(resources, strlen(resources));
  if (!*name || !json_is_object(u->wanted))
    rd_op_fail(&u->op, BERTH_INVALID, *name ? "%s: resources_json is no JSON object" : "no container is named", u->op.subject);
  else
    rd_op_ready(&u->op, ready);
}
