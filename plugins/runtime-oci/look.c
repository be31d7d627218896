/* inspect and list: what the records say, without asking anybody. */
#include "config.h"
#include "engine.h"

/* ---------------------------------------------------------------- inspect */

static json_t *aliases_of(const json_t *want) {
  json_t *list = pu_arr(want, "aliases");
  return list ? json_incref(list) : json_array();
}

/* A container that does not run has the names of its networks, and no addresses. */
static json_t *networks_of(const struct ro_container *c) {
  if (c->networks)
    return json_incref(c->networks);
  json_t *out = json_object(), *want;
  size_t i;
  json_array_foreach(c->wants, i, want)
    json_object_set_new(out, pu_str_or(want, "name", ""),
                        json_pack("{s:s, s:s, s:s, s:o}", "ip", "", "ip6", "", "mac", "", "aliases", aliases_of(want)));
  return out;
}

static json_t *time_of(int64_t ms) {
  PU_AUTO_FREE text = ro_when_text(ms);
  return json_string(text);
}

static json_t *describe(const struct ro_container *c) {
  json_t *out = json_object();
  json_object_set_new(out, "id", ro_text(c->id));
  json_object_set_new(out, "name", ro_text(c->name));
  json_object_set_new(out, "labels", c->labels ? json_incref(c->labels) : json_object());
  json_object_set_new(out, "state", json_string(ro_state_word(c->state)));
  json_object_set_new(out, "exit_code", json_integer(c->exit_code));
  json_object_set_new(out, "oom_killed", json_boolean(c->oom));
  json_object_set_new(out, "error", ro_text(c->error));
  json_object_set_new(out, "created_at", time_of(c->created_ms));
  json_object_set_new(out, "started_at", time_of(c->started_ms));
  json_object_set_new(out, "finished_at", time_of(c->finished_ms));
  json_object_set_new(out, "health", json_string(ro_health_word(c->health)));
  json_object_set_new(out, "health_output", ro_text(c->health_output));
  json_object_set_new(out, "image", ro_text(c->image));
  json_object_set_new(out, "image_id", ro_text(c->image_id));
  json_object_set_new(out, "pid", json_integer(c->pid));
  json_object_set_new(out, "tty", json_boolean(c->tty));
  json_object_set_new(out, "ports", c->ports ? json_incref(c->ports) : json_array());
  json_object_set_new(out, "networks", networks_of(c));
  json_object_set_new(out, "resources", c->resources ? json_incref(c->resources) : json_object());
  return out;
}

static void inspect_go(struct ro_at *at, struct ro_container *c) { ro_op_done(&at->op, describe(c)); }

void ro_inspect(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) {
  ro_at_begin(ro_at_new(self, id, sizeof(struct ro_at), request->id, NULL), false, inspect_go);
}

/* ---------------------------------------------------------------- list */

struct listing {
  struct ro_op op;
  char *label;
};

static void listing_drop(struct ro_op *op) { free(((struct listing *)op)->label); }

static void list_ready(struct ro_op *op) {
  const struct ro_table *t = &op->self->table;
  json_t *out = json_array();
  for (size_t i = 0; i < t->len; i++) {
    const struct ro_container *c = t->items[i];
    if (c->making || !ro_label_matches(c->labels, ((struct listing *)op)->label))
      continue;
    json_array_append_new(out, json_pack("{s:s, s:o, s:o, s:s, s:o, s:o, s:o}", "id", c->id, "name", ro_text(c->name), "labels",
                                         c->labels ? json_incref(c->labels) : json_object(), "state", ro_state_word(c->state), "image",
                                         ro_text(c->image), "image_id", ro_text(c->image_id), "created", time_of(c->created_ms)));
  }
  ro_op_done(op, json_pack("{s:o}", "containers", out));
}

void ro_list(struct berth_instance *self, berth_op id, const struct berth_runtime_list *request) {
  struct listing *l = ro_op_new(self, id, sizeof *l, listing_drop, "containers");
  l->label = pu_strdup(request->label);
  ro_op_ready(&l->op, list_ready);
}
