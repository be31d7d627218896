/* The text of an instance. There are so many that it is written directly, without a tree of values: what a library would make of
 * it, byte by byte (test_inst compares). The stored text leaves out what is null, 0, false or empty, and what the spec says anyway:
 * whoever reads it takes what is absent for that. */
#include "config.h"

#include <stdlib.h>

#include "base/clock.h"
#include "control/internal.h"

#define USUAL 400 /* bytes of what is stored of one */

struct out {
  struct bt_buf b;
  const struct bt_control *c;
  bool stored;
  int64_t formatted_ms; /* of its times some are mostly the same */
  char formatted[32];
};

static bool plain(const char *text) {
  for (const unsigned char *p = (const unsigned char *)text; *p; p++)
    if (*p < 0x20 || *p >= 0x7f || *p == '"' || *p == '\\')
      return false;
  return true;
}

static void key(struct out *o, const char *name) {
  bt_buf_add(&o->b, o->b.len ? ",\"" : "{\"", 2);
  bt_buf_adds(&o->b, name);
  bt_buf_add(&o->b, "\":", 2);
}

static void string(struct out *o, const char *text) {
  if (plain(text)) {
    bt_buf_addc(&o->b, '"');
    bt_buf_adds(&o->b, text);
    bt_buf_addc(&o->b, '"');
    return;
  }
  BT_AUTO_JSON value = bt_json_string(text);
  BT_AUTO_FREE char *quoted = bt_json_text(value);
  bt_buf_adds(&o->b, quoted);
}

static void text(struct out *o, const char *name, const char *value) {
  if (!value && o->stored)
    return;
  key(o, name);
  if (value)
    string(o, value);
  else
    bt_buf_add(&o->b, "null", 4);
}

/* What is not there is left out, for readers too. */
static void rare(struct out *o, const char *name, const char *value) {
  if (value)
    text(o, name, value);
}

static void number(struct out *o, const char *name, int value) {
  char digits[16], *p = digits + sizeof digits;
  if (!value && o->stored)
    return;
  key(o, name);
  unsigned left = value < 0 ? -(unsigned)value : (unsigned)value;
  do
    *--p = (char)('0' + left % 10);
  while (left /= 10);
  if (value < 0)
    *--p = '-';
  bt_buf_add(&o->b, p, (size_t)(digits + sizeof digits - p));
}

static void rare_number(struct out *o, const char *name, int value) {
  if (value)
    number(o, name, value);
}

static void flag(struct out *o, const char *name, bool on) {
  if (!on)
    return;
  key(o, name);
  bt_buf_add(&o->b, "true", 4);
}

static void time_at(struct out *o, const char *name, int64_t wall_ms) {
  if (wall_ms && wall_ms != o->formatted_ms)
    bt_clock_format(o->formatted_ms = wall_ms, o->formatted);
  text(o, name, wall_ms ? o->formatted : NULL);
}

/* By control's own clock. */
static void own_time(struct out *o, const char *name, int64_t own_ms) { time_at(o, name, ctl_to_wall(o->c, own_ms)); }

static void ready(struct out *o, bool on) {
  if (on || o->stored) {
    flag(o, "ready", on);
    return;
  }
  key(o, "ready");
  bt_buf_add(&o->b, "false", 5);
}

static void ports(struct out *o, const json_t *list) {
  BT_AUTO_FREE char *said = list ? bt_json_text(list) : NULL;
  if (!said && o->stored)
    return;
  key(o, "ports");
  bt_buf_adds(&o->b, said ? said : "[]");
}

static void given(struct out *o, const struct ctl_grant *grant) {
  const json_t *lists[] = {grant ? grant->devices : NULL, grant ? grant->ports : NULL};
  static const char *const keys[] = {"devices", "published"};
  for (size_t i = 0; i < BT_COUNT(lists); i++) {
    BT_AUTO_FREE char *said = lists[i] ? bt_json_text(lists[i]) : NULL;
    if (!said)
      continue;
    key(o, keys[i]);
    bt_buf_adds(&o->b, said);
  }
}

static void numbers(struct out *o, const struct ctl_inst *inst, const struct ctl_seen *seen) {
  number(o, "restarts", seen->restarts);
  number(o, "failures", seen->failures);
  rare_number(o, "failures_before", seen->failures_before);
  number(o, "exit_code", seen->exit_code);
  flag(o, "oom", seen->oom);
  flag(o, "lasting", seen->lasting);
  number(o, "attempt", inst->attempt);
  rare_number(o, "run", inst->run);
  number(o, "generation", inst->gen);
}

static void times(struct out *o, const struct ctl_inst *inst, const struct ctl_seen *seen) {
  own_time(o, "created_at", inst->created_ms);
  own_time(o, "assigned_at", inst->assigned_ms);
  own_time(o, "begun_at", inst->begun_ms);
  time_at(o, "started_at", seen->started_ms);
  own_time(o, "ready_at", seen->ready_ms);
  own_time(o, "finished_at", seen->finished_ms);
  time_at(o, "next_start", seen->next_start_ms);
}

static void flags(struct out *o, const struct ctl_inst *inst, const struct ctl_seen *seen) {
  flag(o, "leaving", inst->leaving);
  flag(o, "struck", inst->struck);
  flag(o, "restarting", inst->restarting);
  flag(o, "ended", inst->ended);
  rare(o, "moving", ctl_move_cause(inst));
  rare(o, "in_place", ctl_inplace_name(inst->inplace));
  rare(o, "unfit", seen->unfit);
  flag(o, "draining", inst->draining);
  if (inst->draining)
    own_time(o, "drain_by", seen->drain_by_ms);
}

static void names(struct out *o, const struct ctl_inst *inst) {
  const struct ctl_app *app = inst->service->app;
  const struct ctl_spec *spec = inst->spec;
  const char *health = ctl_health_name(inst->health);
  text(o, "instance", inst->id);
  text(o, "namespace", app->ns);
  text(o, "app", app->name);
  text(o, "service", inst->service->name);
  number(o, "slot", inst->slot);
  number(o, "revision", inst->revision);
  text(o, "node", inst->node ? inst->node->name : NULL);
  text(o, "state", bt_state_name((enum bt_state)inst->state));
  if (*health || !o->stored)
    text(o, "health", health);
  ready(o, inst->ready && !inst->draining);
  if (!o->stored) {
    text(o, "image", spec->image);
    text(o, "digest", spec->digest);
  }
  text(o, "hash", spec->hash);
}

static char *inst_text(const struct ctl_inst *inst, bool stored) {
  const struct ctl_seen *seen = ctl_seen(inst);
  struct out out = {.c = inst->service->app->control, .stored = stored}, *o = &out;
  bt_buf_reserve(&o->b, USUAL);
  names(o, inst);
  ports(o, seen->ports);
  given(o, ctl_grant_of(inst));
  text(o, "error", seen->error);
  text(o, "reason", inst->reason);
  text(o, "container_id", seen->container_id);
  text(o, "image_id", seen->image_id);
  text(o, "ip", seen->ip);
  rare(o, "co_network", seen->co_network);
  const struct ctl_spec *now = inst->service->spec ? inst->service->spec : inst->spec; /* attach changes without another container */
  flag(o, "detached", !stored && !bt_json_bool(now->service->json, "attach", true));
  numbers(o, inst, seen);
  times(o, inst, seen);
  flags(o, inst, seen);
  bt_buf_addc(&o->b, '}');
  return bt_buf_steal(&o->b);
}

char *ctl_inst_text(const struct ctl_inst *inst) { return inst_text(inst, false); }

char *ctl_inst_stored(const struct ctl_inst *inst) { return inst_text(inst, true); }

json_t *ctl_inst_json(const struct ctl_inst *inst) {
  BT_AUTO_FREE char *all = inst_text(inst, false);
  return bt_json_parse(all, strlen(all), 0, 0, inst->id, NULL);
}
