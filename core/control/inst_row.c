/* A stored instance read again. Most rows are as inst_text.c writes them, short and flat: those are taken apart without a tree of
 * values. Whatever is written otherwise (older builds, escapes, ports) goes through the library. */
#include "config.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/plant.h"
#include "control/internal.h"

enum field {
  F_INSTANCE, F_NAMESPACE, F_APP, F_SERVICE, F_SLOT, F_REVISION, F_NODE, F_STATE, F_HEALTH, F_READY, F_HASH, F_ERROR, F_REASON, F_CONTAINER, F_IMAGE_ID, F_IP,
  F_CO_NETWORK, F_RESTARTS, F_FAILURES, F_FAILURES_BEFORE, F_EXIT_CODE, F_OOM, F_LASTING, F_ATTEMPT, F_RUN, F_GENERATION, F_CREATED, F_ASSIGNED, F_BEGUN,
  F_STARTED, F_READY_AT, F_FINISHED, F_NEXT_START, F_LEAVING, F_STRUCK, F_RESTARTING, F_ENDED, F_MOVING, F_IN_PLACE, F_UNFIT, F_DRAINING,
  F_DRAIN_BY, F_COUNT
};

/* In the order in which they are written, so that the next one is mostly the one that comes. */
static const char *const names[F_COUNT] = {
    "instance", "namespace", "app", "service", "slot", "revision", "node", "state", "health", "ready", "hash", "error", "reason", "container_id", "image_id", "ip",
    "co_network", "restarts", "failures", "failures_before", "exit_code", "oom", "lasting", "attempt", "run", "generation", "created_at", "assigned_at", "begun_at",
    "started_at", "ready_at", "finished_at", "next_start", "leaving", "struck", "restarting", "ended", "moving", "in_place", "unfit", "draining", "drain_by"};

/* A string is text; a number or a truth is n. Strings lie in the row's own copy, and end with a NUL there. */
struct value {
  const char *text;
  int64_t n;
};
struct row {
  struct value v[F_COUNT];
  json_t *ports; /* borrowed */
};

/* ---- the short way ---- */

static bool starts(const char **p, const char *with, size_t n) {
  if (strncmp(*p, with, n) != 0)
    return false;
  *p += n;
  return true;
}

static int field_of(const char *name, size_t n, int from) {
  for (int i = 0; i < F_COUNT; i++) {
    int f = (from + i) % F_COUNT;
    if (strncmp(names[f], name, n) == 0 && !names[f][n])
      return f;
  }
  return -1;
}

/* A value at *p of a text that may be changed; false where it is none that is short. */
static bool short_value(char **p, struct value *v) {
  const char *at = *p;
  if (*at == '"') {
    char *end = *p + 1 + strcspn(*p + 1, "\"\\");
    if (*end != '"')
      return false;
    *end = 0;
    v->text = *p + 1;
    *p = end + 1;
    return true;
  }
  if (starts(&at, "true", 4))
    v->n = 1;
  else if (!starts(&at, "false", 5) && !starts(&at, "null", 4)) {
    char *end;
    v->n = strtoll(at, &end, 10);
    if (end == at)
      return false;
    at = end;
  }
  *p += at - *p;
  return true;
}

/* copy is taken apart. False: it is not written the short way. */
static bool read_short(char *copy, struct row *row) {
  int next = 0;
  char *p = copy;
  if (*p != '{')
    return false;
  do {
    char *name = ++p + 1, *end = *p == '"' ? strchr(name, '"') : NULL;
    int f = end && end[1] == ':' ? field_of(name, (size_t)(end - name), next) : -1;
    if (f < 0)
      return false;
    p = end + 2;
    if (!short_value(&p, &row->v[f]))
      return false;
    next = f + 1;
  } while (*p == ',');
  return p[0] == '}' && !p[1];
}

/* ---- the library's way ---- */

static void read_json(const json_t *o, struct row *row) {
  for (int f = 0; f < F_COUNT; f++) {
    const json_t *v = json_object_get(o, names[f]);
    row->v[f] = (struct value){json_string_value(v), json_is_integer(v) ? json_integer_value(v) : json_is_true(v)};
  }
  row->ports = bt_json_arr(o, "ports");
}

/* ---- from the row to the instance ---- */

/* Many of them have the same times. */
struct moment {
  char text[32];
  int64_t ms;
};

static int64_t time_of(const struct row *row, enum field f) {
  static _Thread_local struct moment last;
  const char *text = row->v[f].text;
  if (!text)
    return 0;
  if (strcmp(text, last.text) == 0)
    return last.ms;
  int64_t ms = 0;
  if (!bt_clock_parse(text, &ms))
    return 0;
  if (strlen(text) < sizeof last.text) {
    memcpy(last.text, text, strlen(text) + 1);
    last.ms = ms;
  }
  return ms;
}

static int int_of(const struct row *row, enum field f) { return (int)row->v[f].n; }

/* Of most nothing of it is known, and then it takes no room. */
static void take_seen(struct bt_control *c, struct ctl_inst *inst, const struct row *row) {
  struct ctl_seen seen;
  memset(&seen, 0, sizeof seen); /* all of it: it is compared */
  bt_str_set(&seen.error, row->v[F_ERROR].text);
  bt_str_set(&seen.container_id, row->v[F_CONTAINER].text);
  ctl_word_set(c, &seen.image_id, row->v[F_IMAGE_ID].text);
  bt_str_set(&seen.ip, row->v[F_IP].text);
  bt_str_set(&seen.co_network, row->v[F_CO_NETWORK].text);
  bt_str_set(&seen.unfit, row->v[F_UNFIT].text);
  seen.ports = json_array_size(row->ports) ? json_deep_copy(row->ports) : NULL;
  seen.exit_code = int_of(row, F_EXIT_CODE);
  seen.restarts = int_of(row, F_RESTARTS);
  seen.failures = int_of(row, F_FAILURES);
  seen.failures_before = int_of(row, F_FAILURES_BEFORE);
  seen.oom = row->v[F_OOM].n;
  seen.lasting = row->v[F_LASTING].n;
  seen.drain_by_ms = ctl_from_wall(c, time_of(row, F_DRAIN_BY));
  seen.started_ms = time_of(row, F_STARTED);
  seen.ready_ms = ctl_from_wall(c, time_of(row, F_READY_AT));
  seen.finished_ms = ctl_from_wall(c, time_of(row, F_FINISHED));
  seen.next_start_ms = time_of(row, F_NEXT_START);
  if (memcmp(&seen, &ctl_nothing_seen, sizeof seen) != 0)
    *ctl_see(inst) = seen;
}

static void take_numbers(struct bt_control *c, struct ctl_inst *inst, const struct row *row) {
  enum bt_state state = BT_ST_PENDING;
  bt_state_parse(row->v[F_STATE].text, &state);
  inst->state = (uint8_t)state;
  inst->health = (uint8_t)ctl_health_of(row->v[F_HEALTH].text);
  inst->inplace = (uint8_t)ctl_inplace_of(row->v[F_IN_PLACE].text);
  inst->slot = row->v[F_SLOT].n ? int_of(row, F_SLOT) : 1;
  inst->revision = int_of(row, F_REVISION);
  inst->attempt = int_of(row, F_ATTEMPT);
  inst->gen = int_of(row, F_GENERATION);
  inst->run = int_of(row, F_RUN);
  inst->ready = row->v[F_READY].n;
  inst->leaving = row->v[F_LEAVING].n;
  inst->struck = row->v[F_STRUCK].n;
  inst->restarting = row->v[F_RESTARTING].n;
  inst->ended = row->v[F_ENDED].n;
  inst->draining = row->v[F_DRAINING].n;
  inst->created_ms = ctl_from_wall(c, time_of(row, F_CREATED));
  inst->assigned_ms = ctl_from_wall(c, time_of(row, F_ASSIGNED));
  inst->begun_ms = ctl_from_wall(c, time_of(row, F_BEGUN));
}

/* What it belongs to may not be loaded yet: the names wait. */
static void take_row(struct bt_control *c, const struct row *row) {
  if (!row->v[F_INSTANCE].text || !row->v[F_APP].text)
    return;
  struct ctl_waiting w = {.inst = ctl_inst_alloc(row->v[F_INSTANCE].text)};
  const char *ns = row->v[F_NAMESPACE].text;
  take_numbers(c, w.inst, row);
  take_seen(c, w.inst, row);
  ctl_move_load(c, w.inst, row->v[F_MOVING].text);
  ctl_word_set(c, &w.inst->reason, row->v[F_REASON].text);
  const struct ctl_waiting *last = c->waiting.len ? &c->waiting.items[c->waiting.len - 1] : &w;
  ctl_word_like(c, &w.ns, last->ns, ns ? ns : "default");
  ctl_word_like(c, &w.app, last->app, row->v[F_APP].text);
  ctl_word_like(c, &w.service, last->service, row->v[F_SERVICE].text ? row->v[F_SERVICE].text : "");
  ctl_word_like(c, &w.hash, last->hash, row->v[F_HASH].text);
  ctl_word_like(c, &w.node, last->node, row->v[F_NODE].text);
  bt_vec_push(&c->waiting, w);
}

int ctl_inst_load(struct bt_control *c, const char *text, size_t len, struct bt_err **err) {
  struct row row = {0};
  char room[1024], *copy = len < sizeof room ? room : NULL;
  if (copy) {
    memcpy(copy, text, len);
    copy[len] = 0;
  }
  if (copy && strlen(copy) == len && read_short(copy, &row)) {
    take_row(c, &row);
    return 0;
  }
  BT_AUTO_JSON o = bt_json_parse(text, len, 128u << 20, 0, "instance", err);
  if (!o)
    return -1;
  row = (struct row){0};
  read_json(o, &row);
  take_row(c, &row);
  if (row.v[F_INSTANCE].text)
    ctl_grant_load(c, row.v[F_INSTANCE].text, o);
  return 0;
}

/* ---- when all else is there ---- */

/* The spec it was made of: the target's where the hash is the same, so that old revisions need not stay for it. */
static struct ctl_spec *spec_of(struct ctl_app *app, const char *service, const char *hash, int revision) {
  struct ctl_spec *spec = ctl_spec_find(app->target, service);
  if (spec && bt_streq(spec->hash, hash))
    return spec;
  struct ctl_rev *rev = ctl_rev_find(app, revision);
  for (size_t i = app->revs.len; !rev && i-- > 0;)
    if (bt_streq(bt_json_str(bt_json_obj(app->revs.items[i]->pins, service), "hash"), hash))
      rev = app->revs.items[i];
  if (!rev || ctl_rev_load(rev, NULL))
    return NULL;
  return ctl_spec_find(rev, service);
}

static struct ctl_spec *find_spec(struct bt_control *c, const struct ctl_waiting *w) {
  struct ctl_app *app = ctl_app_find(c, w->ns, w->app);
  struct ctl_spec *spec = app ? spec_of(app, w->service, w->hash, w->inst->revision) : NULL;
  if (!spec)
    return NULL;
  if (!spec->hash)
    ctl_touch_rev(spec->rev);
  ctl_spec_hash(spec);
  return spec;
}

static void settle(struct bt_control *c, struct ctl_waiting *w, struct ctl_spec *spec, struct ctl_service *service) {
  struct ctl_inst *inst = bt_steal(w->inst);
  ctl_inst_attach(service, spec, inst);
  if (w->node)
    ctl_inst_seat(inst, ctl_node_get(c, w->node));
  if (BT_PLANT(SEATS_FORGOTTEN))
    ctl_fleet_release(inst);
  /* From now on it keeps this revision, so it must be found there again when its own is forgotten. */
  if (inst->revision != spec->rev->number) {
    inst->revision = spec->rev->number;
    ctl_touch_inst(inst);
  }
}

/* Words are the same text where they are the same pointer. */
static bool alike(const struct ctl_waiting *a, const struct ctl_waiting *b) {
  return a->ns == b->ns && a->app == b->app && a->service == b->service && a->hash == b->hash;
}

void ctl_waiting_free(struct bt_control *c) {
  bt_vec_each(&c->waiting, w) {
    const char **words[] = {&w->ns, &w->app, &w->service, &w->hash, &w->node};
    for (size_t i = 0; i < BT_COUNT(words); i++)
      ctl_word_set(c, words[i], NULL);
    if (w->inst)
      ctl_inst_free(c, w->inst);
  }
  bt_vec_free(&c->waiting);
}

void ctl_insts_loaded(struct bt_control *c) {
  const struct ctl_waiting *last = NULL;
  struct ctl_spec *spec = NULL;
  struct ctl_service *service = NULL;
  int revision = 0;
  bt_vec_each(&c->waiting, w) {
    if (!last || !alike(last, w) || w->inst->revision != revision) {
      spec = find_spec(c, w);
      service = spec ? ctl_service_get(spec->rev->app, w->service) : NULL;
    }
    last = w;
    revision = w->inst->revision;
    if (spec) /* else its app is gone: the node removes what the server does not know */
      settle(c, w, spec, service);
  }
  ctl_waiting_free(c);
}
