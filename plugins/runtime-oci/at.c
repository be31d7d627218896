/* What methods on a container have alike: finding it, its folders, forms of times. */
#include "config.h"
#include "engine.h"

#include <stdio.h>
#include <time.h>


static void at_drop_default(struct ro_op *op) {
  struct ro_at *at = (struct ro_at *)op;
  free(at->name);
  free(at->signal);
}

/* People know containers by the first 12 digits of an id. */
static int shown_length(const char *id) {
  size_t n = strspn(id, "0123456789abcdef");
  return n == RO_ID && !id[n] ? 12 : 256;
}

void *ro_at_new(struct berth_instance *self, berth_op id, size_t size, const char *container, void (*drop)(struct ro_op *op)) {
  const char *name = container ? container : "";
  struct ro_at *at = ro_op_new(self, id, size, drop ? drop : at_drop_default, "container %.*s", shown_length(name), name);
  at->name = pu_strdup(name);
  return at;
}

static void at_found(struct ro_op *op, bool missing_fine) {
  struct ro_at *at = (struct ro_at *)op;
  struct ro_container *c = ro_table_find(&op->self->table, at->name);
  if (c && !c->making)
    at->go(at, c);
  else if (missing_fine)
    ro_op_done(op, NULL);
  else
    ro_op_fail(op, BERTH_NOT_FOUND, "%s: there is none of that id or name", op->subject);
}

static void at_ready(struct ro_op *op) { at_found(op, false); }
static void at_ready_fine(struct ro_op *op) { at_found(op, true); }

void ro_at_begin(struct ro_at *at, bool missing_fine, void (*go)(struct ro_at *at, struct ro_container *c)) {
  at->go = go;
  if (!*at->name)
    ro_op_fail(&at->op, BERTH_INVALID, "no container is named");
  else
    ro_op_ready(&at->op, missing_fine ? at_ready_fine : at_ready);
}

char *ro_container_dir(const struct berth_instance *self, const struct ro_container *c) {
  return pu_asprintf("%s/containers/%s", self->config.root, c->id);
}

char *ro_run_dir(const struct berth_instance *self, const struct ro_container *c) { return pu_asprintf("%s/%s", self->config.run, c->id); }

char *ro_program(const struct berth_instance *self, const char *name) { return pu_asprintf("%s/%s", self->config.programs, name); }

json_t *ro_text(const char *s) { return pu_json_string(s ? s : ""); }

char *ro_when_text(int64_t ms) {
  time_t seconds = (time_t)(ms / 1000);
  struct tm tm;
  char text[32];
  if (ms <= 0 || !gmtime_r(&seconds, &tm))
    return pu_strdup("");
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
  return pu_asprintf("%s.%03dZ", text, (int)(ms % 1000));
}

json_t *ro_peers(const struct berth_instance *self, const json_t *names) {
  json_t *out = json_object(), *v;
  size_t i;
  json_array_foreach(names, i, v) {
    struct ro_container *c = ro_table_find(&self->table, json_string_value(v));
    if (!c || c->making)
      continue;
    PU_AUTO_FREE dir = ro_container_dir(self, c);
    json_object_set_new(out, json_string_value(v), json_pack("{s:s, s:i, s:s, s:b}", "id", c->id, "pid", (int)c->pid, "dir", dir, "shm", 1));
  }
  return out;
}

enum berth_code ro_code_named(const char *word) {
  static const struct {
    const char *word;
    enum berth_code code;
  } codes[] = {{"invalid", BERTH_INVALID},     {"not_found", BERTH_NOT_FOUND}, {"conflict", BERTH_CONFLICT}, {"denied", BERTH_DENIED},
               {"unsupported", BERTH_UNSUPPORTED}, {"too_large", BERTH_TOO_LARGE}, {"exhausted", BERTH_EXHAUSTED},
               {"unavailable", BERTH_UNAVAILABLE}, {"io", BERTH_IO}};
  for (size_t i = 0; i < PU_COUNT(codes); i++)
    if (pu_eq(word, codes[i].word))
      return codes[i].code;
  return BERTH_INTERNAL;
}
