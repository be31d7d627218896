/* create: looks whether the spec is right, makes its volumes, and writes a record. Nothing runs yet. */
#include "config.h"
#include "engine.h"

#include <stdio.h>
#include <sys/random.h>

#include "files.h"
#include "prepare.h"

struct create {
  struct ro_op op;
  json_t *spec;
};

static void create_drop(struct ro_op *op) { json_decref(((struct create *)op)->spec); }

static void new_id(char id[RO_ID + 1]) {
  unsigned char raw[RO_ID / 2];
  if (getrandom(raw, sizeof raw, 0) != sizeof raw)
    abort();
  raw[0] |= 0x10; /* never all digits at its beginning, nor a zero: people paste the first 12 */
  for (size_t i = 0; i < sizeof raw; i++)
    snprintf(id + 2 * i, 3, "%02x", raw[i]);
}

static bool name_is_good(const char *name) {
  static const char more[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
  size_t n = strlen(name);
  return n > 0 && n < 256 && !strchr("_.-", *name) && strspn(name, more) == n;
}

/* ---------------------------------------------------------------- in the worker */

static json_t *names_of(const json_t *volumes, bool anonymous_only) {
  json_t *out = json_array(), *v;
  size_t i;
  json_array_foreach(volumes, i, v)
    if (!anonymous_only || pu_bool(v, "anonymous", false))
      json_array_append(out, json_object_get(v, "name"));
  return out;
}

struct making {
  struct ro_prepare *p;
  struct ro_container *c; /* filled here, taken on the loop */
};

static void making_free(void *data) {
  struct making *m = data;
  ro_prepare_free(m->p);
  ro_container_free(m->c);
  free(m);
}

static int64_t at_least_zero(int64_t n) { return n > 0 ? n : 0; }

/* The limits as the runtime is told them. */
static json_t *resources_of(const json_t *config) {
  const json_t *r = pu_obj(pu_obj(config, "linux"), "resources");
  const json_t *memory = pu_obj(r, "memory"), *cpu = pu_obj(r, "cpu"), *pids = pu_obj(r, "pids");
  int64_t quota = at_least_zero(pu_int(cpu, "quota", 0)), period = at_least_zero(pu_int(cpu, "period", 100000));
  return json_pack("{s:f, s:I, s:I, s:I}", "cpus", period ? (double)quota / (double)period : 0.0, "memory",
                   (json_int_t)at_least_zero(pu_int(memory, "limit", 0)), "memory_reservation",
                   (json_int_t)at_least_zero(pu_int(memory, "reservation", 0)), "pids", (json_int_t)at_least_zero(pu_int(pids, "limit", 0)));
}

/* What is known of the container once its image is. */
static void describe(struct making *m) {
  const struct ro_prepare *p = m->p;
  struct ro_container *c = m->c;
  c->image_id = pu_strdup(pu_str_or(p->image_json, "id", ""));
  c->labels = json_object();
  /* The image's labels, under those of the container. */
  json_object_update(c->labels, pu_obj(pu_obj(p->image_json, "config"), "Labels"));
  json_object_update(c->labels, pu_obj(p->spec, "labels"));
  c->wants = json_incref(pu_arr(p->spec, "networks"));
  c->network_mode = pu_strdup(pu_str(p->spec, "network_mode"));
  c->peers = ro_prepare_peers(p->spec);
  c->volumes = names_of(p->out.volumes, false);
  c->anonymous = names_of(p->out.volumes, true);
  c->healthcheck = json_incref(p->out.health);
  c->resources = resources_of(p->out.config);
  c->stop_signal = pu_strdup(p->out.stop_signal ? p->out.stop_signal : "SIGTERM");
  c->stop_grace_ms = p->out.stop_ms;
  c->tty = pu_bool(p->out.monitor, "tty", false);
}

static void create_work(void *data) {
  struct making *m = data;
  struct ro_prepare *p = m->p;
  char *why = NULL;
  if (!ro_prepare_look(p)) {
    ro_net_forget(p->root, p->id);
    return;
  }
  describe(m);
  PU_AUTO_JSON record = ro_container_json(m->c);
  json_object_set(record, "spec", p->spec);
  PU_AUTO_FREE path = pu_asprintf("%s/container.json", p->dir);
  if (ro_dir_make(p->dir, 0711, &why) && ro_file_write_json(path, record, 0600, false, &why))
    return;
  p->code = BERTH_IO;
  pu_set(&p->why, why);
}

/* ---------------------------------------------------------------- on the loop */

static void adopt_made(struct berth_instance *self, const json_t *made) { json_object_update(self->table.volumes, (json_t *)(uintptr_t)made); }

static void created(struct ro_op *op, void *data) {
  struct making *m = data;
  struct berth_instance *self = op->self;
  struct ro_container *c = ro_table_by_id(&self->table, m->c->id);
  adopt_made(self, m->p->made);
  if (m->p->code != BERTH_OK) {
    ro_table_drop(&self->table, c);
    ro_op_fail(op, m->p->code, "%s: %s", op->subject, m->p->why);
    return;
  }
  /* The one in the table is a place holder: the worker's has it all. The same id and name, so the table's keys must be put anew. */
  ro_table_drop(&self->table, c);
  c = m->c;
  m->c = ro_container_new(c->id);
  c->held = true;
  ro_table_add(&self->table, c);
  json_t *result = json_pack("{s:s, s:O}", "id", c->id, "warnings", m->p->out.warnings);
  ro_op_done(op, result);
}

static void create_begin(struct ro_op *op, struct ro_container *c) {
  struct create *k = (struct create *)op;
  struct berth_instance *self = op->self;
  struct making *m = pu_new(struct making);
  m->p = ro_prepare_new(&self->config, &self->storage, c->id);
  m->p->trying = true;
  m->p->spec = json_incref(k->spec);
  m->p->name = pu_strdup(c->name);
  m->p->image = pu_strdup(c->image);
  PU_AUTO_JSON peers = ro_prepare_peers(k->spec);
  m->p->peers = ro_peers(self, peers);
  m->p->volumes = json_copy(self->table.volumes);
  m->p->now_ms = c->created_ms;
  m->c = ro_container_new(c->id);
  m->c->name = pu_strdup(c->name);
  m->c->image = pu_strdup(c->image);
  m->c->created_ms = c->created_ms;
  op->cancel = ro_op_detach;
  ro_job_run(op, m, create_work, created, making_free);
}

static void create_ready(struct ro_op *op) {
  struct create *k = (struct create *)op;
  struct berth_instance *self = op->self;
  const char *name = pu_str_or(k->spec, "name", "");
  if (ro_table_find(&self->table, name)) {
    ro_op_fail(op, BERTH_CONFLICT, "%s: the name is taken", op->subject);
    return;
  }
  char id[RO_ID + 1];
  new_id(id);
  struct ro_container *c = ro_container_new(id);
  c->name = pu_strdup(name);
  c->image = pu_strdup(pu_str_or(k->spec, "image", ""));
  c->created_ms = ro_now_ms(self);
  c->making = true;
  ro_table_add(&self->table, c);
  ro_op_turn(op, c, create_begin);
}

void ro_create(struct berth_instance *self, berth_op id, const struct berth_runtime_create *r) {
  json_t *spec = r->spec_json ? pu_json_parse(r->spec_json, strlen(r->spec_json)) : NULL;
  struct create *k = ro_op_new(self, id, sizeof *k, create_drop, "container %.256s", pu_str_or(spec, "name", "(without a name)"));
  k->spec = spec;
  if (!json_is_object(spec))
    ro_op_fail(&k->op, BERTH_INVALID, "the container's spec is no JSON object");
  else if (!name_is_good(pu_str_or(spec, "name", "")))
    ro_op_fail(&k->op, BERTH_INVALID, "%s: a name has letters, digits, \"_\", \".\" and \"-\", and begins with one of the first two", k->op.subject);
  else if (!*pu_str_or(spec, "image", ""))
    ro_op_fail(&k->op, BERTH_INVALID, "%s: no image is named", k->op.subject);
  else
    ro_op_ready(&k->op, create_ready);
}
