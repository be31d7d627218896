/* events: what happens to containers, told to whoever listens. We are where it happens, so the stream never breaks. */
#include "config.h"
#include "engine.h"

struct listener {
  struct ro_op op;
  char *label;
  bool open;
};

static void listener_drop(struct ro_op *op) { free(((struct listener *)op)->label); }

static void listener_ready(struct ro_op *op) {
  static const char connected[] = "{\"action\":\"connected\"}";
  ((struct listener *)op)->open = true;
  ro_op_emit(op, BERTH_RUNTIME_EVENT, connected, strlen(connected));
}

void ro_events(struct berth_instance *self, berth_op id, const struct berth_runtime_list *request) {
  struct listener *l = ro_op_new(self, id, sizeof *l, listener_drop, "events");
  l->label = pu_strdup(request->label);
  ro_op_ready(&l->op, listener_ready);
}

static json_t *event_json(struct berth_instance *self, const struct ro_container *c, const char *action) {
  json_t *e = json_pack("{s:s, s:s, s:o, s:o, s:I}", "action", action, "id", c->id, "name", ro_text(c->name), "labels",
                        c->labels ? json_incref(c->labels) : json_object(), "time_ms", (json_int_t)ro_now_ms(self));
  if (pu_eq(action, "die"))
    json_object_set_new(e, "exit_code", json_integer(c->exit_code));
  if (pu_eq(action, "health"))
    json_object_set_new(e, "health", json_string(ro_health_word(c->health)));
  return e;
}

/* Nothing that is emitted comes back into the plug-in before emit returns, so the list stands still. */
void ro_event(struct berth_instance *self, const struct ro_container *c, const char *action) {
  PU_AUTO_JSON e = NULL;
  for (struct ro_op *op = self->first; op; op = op->next) {
    struct listener *l = (struct listener *)op;
    if (op->drop != listener_drop || !l->open || !ro_label_matches(c->labels, l->label))
      continue;
    if (!e)
      e = event_json(self, c, action);
    ro_op_emit_json(op, BERTH_RUNTIME_EVENT, e);
  }
}
