#include "config.h"
#include "policy/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/vec.h"
#include "policy/bridge.h"
#include "policy/file.h"

static const char *const service_fields[] = {"namespace", "app", "name", "image", "labels", "resources", "placement", "model", NULL};
static const char *const node_fields[] = {"labels", "pool", "role", "platform", "capacity", "taints", NULL};
static const char service_key; /* the view of the service that was asked of last, in the registry */

/* A file of it. */
struct member {
  struct bt_policy_file *file;
  const struct bt_box *seen_by; /* the box that has the view; another one: none has */
  json_t *service;              /* that the view is of */
  int breaches;
  char *given_up; /* why it is not asked any more */
};

struct bt_judge {
  BT_VEC(struct member) members;
  char *broken; /* why nothing is agreed to; NULL */
};

struct bt_judge *bt_judge_new(void) { return bt_new(struct bt_judge); }

void bt_judge_break(struct bt_judge *judge, const char *error) { bt_str_set(&judge->broken, error); }

bool bt_judge_any(const struct bt_judge *judge) { return judge->broken || judge->members.len > 0; }

void bt_judge_add(struct bt_judge *judge, const struct bt_policy_file *file) {
  BT_AUTO_ERR err = NULL;
  struct bt_policy_limits limits = {.max_memory = file->limits.max_memory, .instructions = BT_JUDGE_INSTRUCTIONS};
  struct member member = {0};
  if (!file->hooks[BT_FILTER] && !file->hooks[BT_SCORE])
    return;
  if (bt_policy_file_copy(file, &limits, &member.file, &err) == 0)
    bt_vec_push(&judge->members, member);
  else
    bt_judge_break(judge, bt_err_message(err));
}

void bt_judge_free(struct bt_judge **pjudge) {
  struct bt_judge *judge = bt_steal(*pjudge);
  if (!judge)
    return;
  bt_vec_each(&judge->members, m) {
    bt_policy_file_free(&m->file);
    json_decref(m->service);
    free(m->given_up);
  }
  bt_vec_free(&judge->members);
  free(judge->broken);
  free(judge);
}

/* ---- a question, in the box ---- */

struct question {
  struct member *member;
  const json_t *service, *node;
  struct bt_judgement *out;
  const char *hook; /* at work */
};

enum { at_question = 1, at_table, at_service, at_node };

/* One line of what a rule said; not half a letter at the end. */
static void copy_words(char *out, size_t size, const char *words) {
  size_t n = strlen(words);
  if (n >= size)
    for (n = size - 1; n > 0 && (words[n] & 0xC0) == 0x80;)
      n--;
  memcpy(out, words, n);
  out[n] = 0;
  for (char *p = out; *p; p++)
    if ((unsigned char)*p < ' ')
      *p = ' ';
}

static void push_service(lua_State *L, struct question *q) {
  struct member *m = q->member;
  if (m->seen_by != m->file->box || m->service != q->service) {
    m->seen_by = NULL;
    bt_bridge_push(L, q->service);
    bt_bridge_view(L, "a filter only looks", service_fields);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &service_key);
    m->seen_by = m->file->box;
    json_decref(m->service);
    m->service = json_incref((json_t *)(uintptr_t)q->service);
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &service_key);
}

static void call(lua_State *L, struct question *q, enum bt_hook hook, int results) {
  q->hook = bt_hook_names[hook];
  lua_getfield(L, at_table, q->hook);
  lua_pushvalue(L, at_service);
  lua_pushvalue(L, at_node);
  lua_call(L, 2, results);
}

static void filter(lua_State *L, struct question *q) {
  struct bt_box *box = bt_box_of(L);
  bt_box_note_lines(box, true);
  call(L, q, BT_FILTER, 2);
  bt_box_note_lines(box, false);
  if (lua_type(L, -2) != LUA_TBOOLEAN)
    luaL_error(L, "filter returns true, or false and why");
  q->out->allowed = lua_toboolean(L, -2);
  if (q->out->allowed)
    return;
  if (lua_type(L, -1) != LUA_TSTRING && !lua_isnil(L, -1))
    luaL_error(L, "filter returns false and a text that says why");
  char words[140];
  copy_words(words, sizeof words, lua_isnil(L, -1) ? "it does not say why" : lua_tostring(L, -1));
  snprintf(q->out->why, sizeof q->out->why, "is refused by the policy %.60s:%d (%s)", q->member->file->file, box->line, words);
}

static void score(lua_State *L, struct question *q) {
  call(L, q, BT_SCORE, 1);
  lua_Number n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 2 * BT_JUDGE_MOST;
  if (!(n >= -BT_JUDGE_MOST && n <= BT_JUDGE_MOST)) /* nor what is no number */
    luaL_error(L, "score returns a number from -%d to %d", BT_JUDGE_MOST, BT_JUDGE_MOST);
  q->out->score += (int)n;
}

static int ask(lua_State *L) {
  struct question *q = lua_touserdata(L, at_question);
  const bool *hooks = q->member->file->hooks;
  bt_policy_file_push(L);
  push_service(L, q);
  bt_bridge_push(L, q->node);
  bt_bridge_view(L, "a filter only looks", node_fields);
  if (hooks[BT_FILTER])
    filter(L, q);
  if (hooks[BT_SCORE] && q->out->allowed)
    score(L, q);
  return 0;
}

/* ---- outside of it ---- */

/* The longest that is of use: behind it stands how it ended. */
static void refuse(struct bt_judgement *out, const char *said) {
  char words[180];
  copy_words(words, sizeof words, said);
  out->allowed = false;
  out->failed = true;
  snprintf(out->why, sizeof out->why, "is refused, since a policy failed (%s)", words);
}

static void fail(struct question *q, const char *said) {
  struct member *m = q->member;
  BT_AUTO_FREE char *words = bt_asprintf("%s, in %s", said, q->hook ? q->hook : "its turn");
  refuse(q->out, words);
  if (m->file->box && !m->file->box->breached)
    return;
  bt_box_free(&m->file->box); /* nobody knows in what state it is */
  m->seen_by = NULL;
  if (++m->breaches == BT_JUDGE_BREACHES)
    m->given_up = bt_asprintf("%s, and so %d times: it is not asked again before it changes", said, m->breaches);
}

static void ask_member(struct member *m, const json_t *service, const json_t *node, struct bt_judgement *out) {
  BT_AUTO_ERR err = NULL;
  struct question q = {m, service, node, out, NULL};
  if (m->given_up)
    refuse(out, m->given_up);
  else if (bt_policy_file_ready(m->file, &err) < 0 || bt_box_run(m->file->box, ask, &q, 0, &err) < 0)
    fail(&q, bt_err_message(err));
}

void bt_judge_ask(struct bt_judge *judge, const json_t *service, const json_t *node, struct bt_judgement *out) {
  *out = (struct bt_judgement){.allowed = true};
  if (judge->broken)
    refuse(out, judge->broken);
  for (size_t i = 0; out->allowed && i < judge->members.len; i++)
    ask_member(&judge->members.items[i], service, node, out);
  out->score = BT_MAX(-BT_JUDGE_MOST, BT_MIN(BT_JUDGE_MOST, out->score));
}

/* ---- what rules see ---- */

static json_t *resources(const struct bt_resources *r) {
  json_t *o = json_object();
  if (r->cpus > 0)
    bt_json_set(o, "cpus", json_real(r->cpus));
  if (r->memory > 0)
    bt_json_set_int(o, "memory", r->memory);
  if (r->pids > 0)
    bt_json_set_int(o, "pids", r->pids);
  return o;
}

static json_t *object_or_none(json_t *o) { return o ? json_incref(o) : json_object(); }

/* What the app says of places, in the words of Compose and of x-berth.placement. */
static json_t *placement(const struct bt_service *s) {
  json_t *o = json_object();
  json_t *said[] = {bt_json_obj(bt_json_obj(s->json, "deploy"), "placement"), bt_json_obj(bt_json_obj(s->json, "x-berth"), "placement")};
  for (size_t i = 0; i < BT_COUNT(said); i++)
    if (said[i])
      json_object_update(o, said[i]);
  return o;
}

json_t *bt_judge_service(const char *namespace_, const char *app, const struct bt_service *s) {
  json_t *o = json_object(), *r = json_object();
  bt_json_set(r, "reservations", resources(&s->reserved));
  bt_json_set(r, "limits", resources(&s->limits));
  bt_json_set_str(o, "namespace", namespace_);
  bt_json_set_str(o, "app", app);
  bt_json_set_str(o, "name", s->name);
  bt_json_set_str(o, "image", s->image);
  bt_json_set(o, "labels", object_or_none(bt_json_obj(s->json, "labels")));
  bt_json_set(o, "resources", r);
  bt_json_set(o, "placement", placement(s));
  bt_json_set(o, "model", json_incref(s->json));
  return o;
}
