#include "config.h"
#include "record.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "../common/util.h"
#include "files.h"

/* ---------------------------------------------------------------- containers */

struct ro_container *ro_container_new(const char *id) {
  struct ro_container *c = pu_new(struct ro_container);
  snprintf(c->id, sizeof c->id, "%s", id);
  c->init = c->pidfd = -1;
  return c;
}

void ro_container_free(struct ro_container *c) {
  free(c->name);
  free(c->image);
  free(c->image_id);
  free(c->network_mode);
  free(c->stop_signal);
  free(c->error);
  free(c->health_output);
  json_decref(c->labels);
  json_decref(c->volumes);
  json_decref(c->anonymous);
  json_decref(c->wants);
  json_decref(c->peers);
  json_decref(c->networks);
  json_decref(c->ports);
  json_decref(c->healthcheck);
  json_decref(c->resources);
  if (c->init >= 0)
    close(c->init);
  if (c->pidfd >= 0)
    close(c->pidfd);
  free(c);
}

const char *ro_state_word(enum ro_state state) {
  static const char *const words[] = {"created", "running", "paused", "exited"};
  return words[state];
}

const char *ro_health_word(enum ro_health health) {
  static const char *const words[] = {"", "starting", "healthy", "unhealthy"};
  return words[health];
}

/* ---------------------------------------------------------------- the table */

/* Open addressing; twice as many slots as entries. A removed entry rebuilds the table: removals are rarer than look-ups, and cheap. */
struct ro_slot {
  const char *key; /* borrowed of the container; NULL: free */
  struct ro_container *c;
};

static struct ro_slot *slot_for(const struct ro_table *t, const char *key) {
  size_t i = pu_hash(key) & (t->cap - 1);
  while (t->slots[i].key && strcmp(t->slots[i].key, key) != 0)
    i = (i + 1) & (t->cap - 1);
  return &t->slots[i];
}

static void slot_set(struct ro_table *t, const char *key, struct ro_container *c) {
  struct ro_slot *s = slot_for(t, key);
  *s = (struct ro_slot){key, c};
  t->used++;
}

static void grow(struct ro_table *t) {
  struct ro_slot *old = t->slots;
  size_t n = t->cap;
  t->cap = n ? n * 2 : 64;
  t->slots = pu_calloc(t->cap, sizeof *t->slots);
  t->used = 0;
  for (size_t i = 0; i < n; i++)
    if (old[i].key)
      slot_set(t, old[i].key, old[i].c);
  free(old);
}

static struct ro_container *lookup(const struct ro_table *t, const char *key) { return t->cap ? slot_for(t, key)->c : NULL; }

bool ro_table_add(struct ro_table *t, struct ro_container *c) {
  if (lookup(t, c->id) || lookup(t, c->name))
    return false;
  if ((t->used + 2) * 2 > t->cap)
    grow(t);
  slot_set(t, c->id, c);
  slot_set(t, c->name, c);
  if (t->len == t->room) {
    t->room = t->room ? t->room * 2 : 32;
    t->items = realloc(t->items, t->room * sizeof *t->items);
    if (!t->items)
      abort();
  }
  t->items[t->len++] = c;
  return true;
}

/* Takes one key out and puts back those that stood behind it for its sake. */
static void slot_drop(struct ro_table *t, const char *key) {
  struct ro_slot *s = slot_for(t, key);
  if (!s->key)
    return;
  s->key = NULL;
  s->c = NULL;
  t->used--;
  for (size_t i = ((size_t)(s - t->slots) + 1) & (t->cap - 1); t->slots[i].key; i = (i + 1) & (t->cap - 1)) {
    struct ro_slot moved = t->slots[i];
    t->slots[i] = (struct ro_slot){0};
    *slot_for(t, moved.key) = moved;
  }
}

void ro_table_drop(struct ro_table *t, struct ro_container *c) {
  slot_drop(t, c->id);
  slot_drop(t, c->name);
  for (size_t i = 0; i < t->len; i++)
    if (t->items[i] == c) {
      memmove(&t->items[i], &t->items[i + 1], (t->len - i - 1) * sizeof *t->items);
      t->len--;
      break;
    }
  ro_container_free(c);
}

struct ro_container *ro_table_by_id(const struct ro_table *t, const char *id) {
  struct ro_container *c = id ? lookup(t, id) : NULL;
  return c && pu_eq(c->id, id) ? c : NULL;
}

struct ro_container *ro_table_find(const struct ro_table *t, const char *id_or_name) {
  struct ro_container *c = id_or_name ? lookup(t, id_or_name) : NULL;
  size_t n = c || !id_or_name ? 0 : strlen(id_or_name);
  if (c || n < 12 || n >= RO_ID || strspn(id_or_name, "0123456789abcdef") != n)
    return c;
  for (size_t i = 0; i < t->len; i++)
    if (pu_starts(t->items[i]->id, id_or_name)) {
      if (c)
        return NULL;
      c = t->items[i];
    }
  return c;
}

void ro_table_free(struct ro_table *t) {
  for (size_t i = 0; i < t->len; i++)
    ro_container_free(t->items[i]);
  free(t->items);
  free(t->slots);
  json_decref(t->volumes);
  *t = (struct ro_table){0};
}

bool ro_label_matches(const json_t *labels, const char *label) {
  if (!label || !*label)
    return true;
  const char *equals = strchr(label, '=');
  PU_AUTO_FREE key = equals ? pu_strndup(label, (size_t)(equals - label)) : pu_strdup(label);
  const char *value = pu_str(labels, key);
  return value && (!equals || pu_eq(value, equals + 1));
}

/* ---------------------------------------------------------------- on disk */

static void set(json_t *o, const char *key, json_t *v) {
  if (v)
    json_object_set(o, key, v);
}

static void set_text(json_t *o, const char *key, const char *s) {
  if (s)
    json_object_set_new(o, key, pu_json_string(s));
}

json_t *ro_container_json(const struct ro_container *c) {
  json_t *o = json_object();
  set_text(o, "id", c->id);
  set_text(o, "name", c->name);
  set_text(o, "image", c->image);
  set_text(o, "image_id", c->image_id);
  json_object_set_new(o, "created_ms", json_integer(c->created_ms));
  set(o, "labels", c->labels);
  set(o, "volumes", c->volumes);
  set(o, "anonymous", c->anonymous);
  set(o, "networks", c->wants);
  set_text(o, "network_mode", c->network_mode);
  set(o, "peers", c->peers);
  set(o, "healthcheck", c->healthcheck);
  set(o, "resources", c->resources);
  set_text(o, "stop_signal", c->stop_signal);
  json_object_set_new(o, "stop_grace_ms", json_integer(c->stop_grace_ms));
  json_object_set_new(o, "tty", json_boolean(c->tty));
  return o;
}

static bool is_id(const char *s) { return s && strlen(s) == RO_ID && strspn(s, "0123456789abcdef") == RO_ID; }

static json_t *take(const json_t *o, const char *key) {
  json_t *v = json_object_get(o, key);
  return v && !json_is_null(v) ? json_incref(v) : NULL;
}

struct ro_container *ro_container_read(const json_t *r) {
  const char *id = pu_str(r, "id"), *name = pu_str(r, "name");
  if (!is_id(id) || !name || !*name)
    return NULL;
  struct ro_container *c = ro_container_new(id);
  c->name = pu_strdup(name);
  c->image = pu_strdup(pu_str_or(r, "image", ""));
  c->image_id = pu_strdup(pu_str_or(r, "image_id", ""));
  c->created_ms = pu_int(r, "created_ms", 0);
  c->labels = take(r, "labels");
  c->volumes = take(r, "volumes");
  c->anonymous = take(r, "anonymous");
  c->wants = take(r, "networks");
  c->network_mode = pu_strdup(pu_str(r, "network_mode"));
  c->peers = take(r, "peers");
  c->healthcheck = take(r, "healthcheck");
  c->resources = take(r, "resources");
  c->stop_signal = pu_strdup(pu_str_or(r, "stop_signal", "SIGTERM"));
  c->stop_grace_ms = pu_int(r, "stop_grace_ms", 10000);
  c->tty = pu_bool(r, "tty", false);
  return c;
}

struct ro_stamp ro_stamp_of(const struct ro_container *c) {
  struct ro_stamp s = {.state = c->state, .started_ms = c->started_ms, .finished_ms = c->finished_ms, .exit_code = c->exit_code, .oom = c->oom};
  snprintf(s.error, sizeof s.error, "%s", c->error ? c->error : "");
  return s;
}

bool ro_stamp_write(const char *dir, const struct ro_stamp *s, char **why) {
  PU_AUTO_FREE path = pu_asprintf("%s/state.json", dir);
  PU_AUTO_JSON error = pu_json_string(s->error);
  PU_AUTO_JSON o = json_pack("{s:s, s:I, s:I, s:i, s:b, s:O}", "state", ro_state_word(s->state), "started_ms", (json_int_t)s->started_ms,
                             "finished_ms", (json_int_t)s->finished_ms, "exit_code", s->exit_code, "oom_killed", s->oom, "error", error);
  return ro_file_write_json(path, o, 0600, false, why);
}

void ro_stamp_read(const char *dir, struct ro_container *c) {
  PU_AUTO_FREE path = pu_asprintf("%s/state.json", dir);
  PU_AUTO_JSON o = ro_file_json(path, 64 << 10, NULL);
  const char *word = pu_str_or(o, "state", "created"), *error = pu_str_or(o, "error", "");
  for (int s = RO_CREATED; s <= RO_EXITED; s++)
    if (pu_eq(word, ro_state_word((enum ro_state)s)))
      c->state = (enum ro_state)s;
  c->started_ms = pu_int(o, "started_ms", 0);
  c->finished_ms = pu_int(o, "finished_ms", 0);
  c->exit_code = (int)pu_int(o, "exit_code", 0);
  c->oom = pu_bool(o, "oom_killed", false);
  pu_set(&c->error, *error ? pu_strdup(error) : NULL);
}
