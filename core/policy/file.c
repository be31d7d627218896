#include "config.h"
#include "policy/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "policy/bridge.h"
#include "policy/diff.h"
#include "policy/rules.h"

enum { most_words = 1000, most_said = 100 };

const char *const bt_hook_names[BT_HOOKS + 1] = {"mutate_service", "mutate_app", "validate_service", "validate_app", "filter", "score", NULL};
static const char *const members[] = {"name",       "description",      "operations",   "mutate_service",
                                      "mutate_app", "validate_service", "validate_app", "filter",     "score", NULL};
static const char *const operations[] = {"create", "update", "scale", "rollback", "remove", NULL};
static const char *const context_fields[] = {"namespace", "app",     "user",  "operation", "current",
                                             "time",      "service", "model", NULL};
static const char table_key; /* what the chunk returned, in the registry */

/* What runs in the box, for deny and warn. */
struct turn {
  struct bt_policy_file *file;
  const json_t *model, *context;
  bool mutate;
  const char *hook, *service; /* at work; service NULL for the app's hooks */
  struct bt_verdict *verdict;
  json_t *mutated;
  struct bt_err *err;
};

/* ---- deny and warn ---- */

static struct turn *turn_of(lua_State *L, const char *what) {
  struct turn *turn = bt_box_of(L)->caller;
  if (!turn)
    luaL_error(L, "%s can only be called from a hook", what);
  return turn;
}

static void say(struct turn *turn, struct bt_strs *to, bool with_name, const char *words) {
  if (to->len >= most_said)
    return;
  const struct bt_policy_file *f = turn->file;
  char *line = bt_asprintf("%s: %s%s%s%s%s%.*s", f->file, with_name ? f->name : "", with_name ? ": " : "",
                           turn->service ? "service " : "", turn->service ? turn->service : "", turn->service ? ": " : "",
                           most_words, words);
  bt_vec_push(to, line);
}

static int rule_deny(lua_State *L) {
  struct turn *turn = turn_of(L, "deny");
  const char *words = luaL_checkstring(L, 1);
  turn->file->denials++;
  say(turn, &turn->verdict->denials, true, words);
  return 0;
}

static int rule_warn(lua_State *L) {
  struct turn *turn = turn_of(L, "warn");
  say(turn, &turn->verdict->warnings, false, luaL_checkstring(L, 1));
  return 0;
}

/* ---- opening ---- */

static int add_rules(lua_State *L) {
  bt_bridge_add(L);
  bt_rules_add(L);
  bt_box_add(L, "deny", rule_deny);
  bt_box_add(L, "warn", rule_warn);
  return 0;
}

static int read_text(const char *dir, const char *file, char **text, size_t *len, struct bt_err **err) {
  BT_AUTO_FREE char *path = bt_path_join(dir, file);
  return bt_file_read(path, bt_policy_max_text, text, len, err);
}

/* Runs the source in a new box; what it returned is on the stack. */
static int open_box(const char *file, const char *text, size_t len, const struct bt_policy_limits *limits, struct bt_box **out,
                    struct bt_err **err) {
  struct bt_box *box = bt_box_new(file, limits);
  bt_box_lift(box->L, true); /* our own set-up may not fail for a small cap */
  int rc = bt_box_run(box, add_rules, NULL, 0, err);
  bt_box_lift(box->L, false);
  if (rc < 0 || bt_box_load(box, text, len, err) < 0) {
    bt_box_free(&box);
    return -1;
  }
  *out = box;
  return 0;
}

static void check_operations(lua_State *L, struct bt_policy_file *file) {
  if (lua_type(L, -1) != LUA_TTABLE)
    luaL_error(L, "operations: a list of create, update, scale, rollback, remove");
  for (lua_Integer i = 1; lua_geti(L, -1, i) != LUA_TNIL; i++, lua_pop(L, 1)) {
    const char *word = lua_tostring(L, -1), *const *known = operations;
    while (word && *known && !bt_streq(*known, word))
      known++;
    if (!word || !*known)
      luaL_error(L, "operations: \"%s\" is none of create, update, scale, rollback, remove", word ? word : "?");
    bt_strs_add(&file->operations, word);
  }
  lua_pop(L, 1);
}

static void check_text(lua_State *L, const char *key, char **to) {
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "%s: a text", key);
  free(*to);
  *to = bt_strndup(lua_tostring(L, -1), BT_MIN(strlen(lua_tostring(L, -1)), (size_t)most_words));
}

static void check_member(lua_State *L, const char *key, struct bt_policy_file *file) {
  if (bt_streq(key, "name")) {
    check_text(L, key, &file->name);
  } else if (bt_streq(key, "description")) {
    check_text(L, key, &file->description);
  } else if (bt_streq(key, "operations")) {
    check_operations(L, file);
  } else {
    int hook = 0;
    while (hook < BT_HOOKS && !bt_streq(bt_hook_names[hook], key))
      hook++;
    char hint[96];
    if (hook == BT_HOOKS)
      luaL_error(L, "a policy has no \"%s\"%s", key, bt_nearest_hint(bt_nearest_of(key, members), hint));
    if (lua_type(L, -1) != LUA_TFUNCTION)
      luaL_error(L, "%s: a function", key);
    file->hooks[hook] = true;
  }
}

/* Reads what the chunk returned, which waits below the argument. */
static int read_declaration(lua_State *L) {
  struct bt_policy_file *file = lua_touserdata(L, 1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key);
  if (lua_type(L, 2) != LUA_TTABLE)
    return luaL_error(L, "a policy ends with: return { name = …, validate_service = function(service, ctx) … end, … }");
  for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      return luaL_error(L, "a policy is a map of names to functions");
    check_member(L, lua_tostring(L, -2), file);
  }
  for (int hook = 0; hook < BT_HOOKS; hook++)
    if (file->hooks[hook])
      return 0;
  return luaL_error(L, "a policy without a hook does nothing: add validate_service, validate_app, mutate_service, mutate_app, filter or score");
}

static int make_box(struct bt_policy_file *file, struct bt_err **err) {
  struct bt_box *box = NULL;
  if (open_box(file->file, file->text, file->len, &file->limits, &box, err) < 0)
    return -1;
  lua_rawsetp(box->L, LUA_REGISTRYINDEX, &table_key);
  bt_strs_free(&file->operations);
  memset(file->hooks, 0, sizeof file->hooks);
  if (bt_box_run(box, read_declaration, file, 0, err) < 0) {
    bt_box_free(&box);
    return -1;
  }
  file->box = box;
  return 0;
}

int bt_policy_file_ready(struct bt_policy_file *file, struct bt_err **err) { return file->box ? 0 : make_box(file, err); }

void bt_policy_file_push(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key); }

int bt_policy_file_copy(const struct bt_policy_file *from, const struct bt_policy_limits *limits, struct bt_policy_file **out,
                        struct bt_err **err) {
  struct bt_policy_file *file = bt_new(struct bt_policy_file);
  file->file = bt_strdup(from->file);
  file->name = bt_strdup(from->name);
  file->text = bt_memdup(from->text, from->len);
  file->len = from->len;
  file->limits = *limits;
  if (make_box(file, err) < 0) {
    bt_policy_file_free(&file);
    return -1;
  }
  *out = file;
  return 0;
}

int bt_policy_file_open(const char *dir, const char *name, const struct bt_policy_limits *limits, struct bt_policy_file **out,
                        struct bt_err **err) {
  struct bt_policy_file *file = bt_new(struct bt_policy_file);
  file->file = bt_strdup(name);
  file->name = bt_strndup(name, strlen(name) - (bt_ends(name, ".lua") ? 4 : 0));
  if (limits)
    file->limits = *limits;
  if (read_text(dir, name, &file->text, &file->len, err) < 0 || make_box(file, err) < 0) {
    bt_policy_file_free(&file);
    return -1;
  }
  *out = file;
  return 0;
}

void bt_policy_file_free(struct bt_policy_file **pfile) {
  struct bt_policy_file *file = bt_steal(*pfile);
  if (!file)
    return;
  bt_box_free(&file->box);
  bt_strs_free(&file->operations);
  free(file->file);
  free(file->text);
  free(file->name);
  free(file->description);
  free(file);
}

/* ---- a turn ---- */

enum { at_turn = 1, at_table, at_model, at_context, at_context_view, at_services };

static void push_service(lua_State *L, const struct turn *turn) {
  if (turn->service)
    lua_getfield(L, at_services, turn->service);
  else
    lua_pushvalue(L, at_model);
  if (!turn->mutate && lua_type(L, -1) == LUA_TTABLE)
    bt_bridge_view(L, "a validate hook only looks; changes belong into mutate_service or mutate_app", NULL);
}

/* The hook's result is on top of the stack. */
static void take_result(lua_State *L, const struct turn *turn) {
  if (lua_isnil(L, -1))
    return;
  if (!turn->mutate)
    luaL_error(L, "%s returned a value: call deny(\"reason\") to refuse, and return nothing", turn->hook);
  if (lua_type(L, -1) != LUA_TTABLE)
    luaL_error(L, "%s changes what it is given, or returns a table in its place", turn->hook);
  if (turn->service) {
    lua_pushvalue(L, -1);
    lua_setfield(L, at_services, turn->service);
  } else {
    lua_pushvalue(L, -1);
    lua_replace(L, at_model);
  }
}

static void call_hook(lua_State *L, struct turn *turn, const char *service) {
  turn->service = service;
  lua_pushstring(L, service); /* nil for the app's hooks */
  lua_setfield(L, at_context, "service");
  lua_getfield(L, at_table, turn->hook);
  push_service(L, turn);
  lua_pushvalue(L, at_context_view);
  lua_call(L, 2, 1);
  take_result(L, turn);
  lua_pop(L, 1);
}

static void call_hooks(lua_State *L, struct turn *turn) {
  const bool *hooks = turn->file->hooks;
  enum bt_hook of_service = turn->mutate ? BT_MUTATE_SERVICE : BT_VALIDATE_SERVICE;
  enum bt_hook of_app = turn->mutate ? BT_MUTATE_APP : BT_VALIDATE_APP;
  const char *name;
  json_t *service;
  turn->hook = bt_hook_names[of_service];
  if (hooks[of_service])
    json_object_foreach(bt_json_obj(turn->model, "services"), name, service) call_hook(L, turn, name);
  turn->hook = bt_hook_names[of_app];
  if (hooks[of_app])
    call_hook(L, turn, NULL);
}

static int turn_main(lua_State *L) {
  struct turn *turn = lua_touserdata(L, at_turn);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &table_key);
  bt_bridge_push(L, turn->model);
  bt_bridge_push(L, turn->context);
  lua_pushvalue(L, at_model);
  lua_setfield(L, at_context, "model");
  lua_pushvalue(L, at_context);
  bt_bridge_view(L, "the context only tells", context_fields);
  lua_getfield(L, at_model, "services");
  call_hooks(L, turn);
  if (turn->mutate)
    turn->mutated = bt_bridge_json(L, at_model, turn->model, "the app", &turn->err);
  return 0;
}

static bool concerns(const struct bt_policy_file *file, bool mutate, const char *operation) {
  bool has = mutate ? file->hooks[BT_MUTATE_SERVICE] || file->hooks[BT_MUTATE_APP]
                    : file->hooks[BT_VALIDATE_SERVICE] || file->hooks[BT_VALIDATE_APP];
  if (!has || !file->operations.len)
    return has && !bt_streq(operation, "remove");
  for (size_t i = 0; i < file->operations.len; i++)
    if (bt_streq(file->operations.items[i], operation))
      return true;
  return false;
}

/* A rule that failed is in an unknown state: its box is made anew before the next turn. */
static int fail(struct turn *turn, struct bt_err *cause, struct bt_err **err) {
  BT_AUTO_ERR why = cause;
  bt_box_free(&turn->file->box);
  bool placed = bt_starts(bt_err_message(why), turn->file->file);
  return bt_err_set(err, BT_DENIED, "%s%s%s (in %s%s%s); the request is refused, since a rule that fails cannot agree",
                    placed ? "" : turn->file->file, placed ? "" : ": ", bt_err_message(why), turn->hook ? turn->hook : "its turn",
                    turn->service ? " of service " : "", turn->service ? turn->service : "");
}

static void take_model(struct turn *turn) {
  struct bt_verdict *verdict = turn->verdict;
  if (bt_diff(turn->file->file, verdict->model, turn->mutated, verdict->changes)) {
    json_decref(verdict->model);
    verdict->model = turn->mutated;
    verdict->changed = true;
  } else {
    json_decref(turn->mutated);
  }
}

int64_t bt_policy_until(const struct bt_policy_limits *limits) {
  return bt_clock_mono_us() + (int64_t)bt_box_timeout_ms(limits) * 1000;
}

int bt_policy_file_turn(struct bt_policy_file *file, bool mutate, const json_t *context, int64_t until_us,
                        struct bt_verdict *verdict, struct bt_err **err) {
  if (!concerns(file, mutate, bt_json_str_or(context, "operation", "create")))
    return 0;
  struct turn turn = {
      .file = file, .mutate = mutate, .model = verdict->model, .context = context, .verdict = verdict};
  struct bt_err *cause = NULL;
  if (!file->box && make_box(file, &cause) < 0)
    return fail(&turn, cause, err);
  int64_t start = bt_clock_mono_us();
  file->calls++;
  file->box->caller = &turn;
  file->box->until_us = until_us;
  int rc = bt_box_run(file->box, turn_main, &turn, 0, &cause);
  file->box->caller = NULL;
  file->last_us = bt_clock_mono_us() - start;
  if (rc < 0 || turn.err) {
    json_decref(turn.mutated);
    if (rc == 0)
      turn.hook = "a mutate hook", turn.service = NULL;
    else
      bt_err_free(&turn.err);
    return fail(&turn, rc < 0 ? cause : turn.err, err);
  }
  if (turn.mutated)
    take_model(&turn);
  return 0;
}

/* ---- tests are tables too ---- */

int bt_policy_table_read(const char *dir, const char *file, const struct bt_policy_limits *limits, json_t **out,
                         struct bt_err **err) {
  BT_AUTO_FREE char *text = NULL;
  size_t len;
  struct bt_box *box = NULL;
  if (read_text(dir, file, &text, &len, err) < 0 || open_box(file, text, len, limits, &box, err) < 0)
    return -1;
  *out = bt_bridge_json(box->L, 1, NULL, file, err);
  bt_box_free(&box);
  return *out ? 0 : -1;
}
