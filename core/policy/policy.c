#include "config.h"
#include "policy/policy.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "policy/file.h"
#include "policy/folder.h"
#include "policy/judge.h"

enum { most_files = 200 };

struct broken {
  char *file, *error;
};

/* What a folder held at one time. */
struct set {
  BT_VEC(struct bt_policy_file *) files;
  BT_VEC(struct broken) broken;
};

struct bt_policy {
  pthread_mutex_t use;              /* of all but rows */
  char *dir, *print; /* print: names, sizes and times of the files as they were last read */
  struct bt_policy_limits limits;
  struct set force;                 /* in force; with broken files only after the first load */
  BT_VEC(struct broken) broken;     /* of the last reload, where that failed */
  char *said;                       /* the last error of a refresh, as logged; NULL */
  void (*changed)(void *arg, struct bt_judge *judge);
  void *changed_arg;
  pthread_mutex_t lock;             /* of rows: what bt_policy_list tells, to any thread */
  json_t *rows;
};

static void publish(struct bt_policy *policy);

static void broken_free(struct broken *broken, size_t n) {
  for (size_t i = 0; i < n; i++) {
    free(broken[i].file);
    free(broken[i].error);
  }
}

static void set_free(struct set *set) {
  bt_vec_each(&set->files, file) bt_policy_file_free(file);
  bt_vec_free(&set->files);
  broken_free(set->broken.items, set->broken.len);
  bt_vec_free(&set->broken);
}

static void set_add(struct set *set, const char *dir, const char *name, const struct bt_policy_limits *limits) {
  BT_AUTO_ERR err = NULL;
  struct bt_policy_file *file = NULL;
  if (bt_policy_file_open(dir, name, limits, &file, &err) == 0) {
    bt_vec_push(&set->files, file);
    return;
  }
  struct broken broken = {bt_strdup(name), bt_strdup(bt_err_message(err))};
  bt_vec_push(&set->broken, broken);
}

/* Reads the folder's policies and their fingerprint. */
static int read_folder(const char *dir, const struct bt_policy_limits *limits, struct set *set, char **print,
                       struct bt_err **err) {
  BT_AUTO_STRS names = {0};
  if (bt_policy_folder(dir, false, &names, print, err) < 0)
    return -1;
  if (names.len > most_files)
    return bt_err_set(err, BT_TOO_LARGE, "%s holds %zu policies; %d are allowed", dir, names.len, (int)most_files);
  for (size_t i = 0; i < names.len; i++)
    set_add(set, dir, names.items[i], limits);
  return 0;
}

int bt_policy_load(const char *dir, const struct bt_policy_limits *limits, struct bt_policy **out, struct bt_err **err) {
  struct bt_policy *policy = bt_new(struct bt_policy);
  pthread_mutex_init(&policy->use, NULL);
  pthread_mutex_init(&policy->lock, NULL);
  policy->dir = bt_strdup(dir);
  if (limits)
    policy->limits = *limits;
  if (read_folder(dir, &policy->limits, &policy->force, &policy->print, err) < 0) {
    bt_policy_free(&policy);
    return -1;
  }
  publish(policy);
  bt_vec_each(&policy->force.broken, broken)
      bt_error("policy", "%s; every change is refused until it is mended", broken->error);
  *out = policy;
  return 0;
}

void bt_policy_free(struct bt_policy **ppolicy) {
  struct bt_policy *policy = bt_steal(*ppolicy);
  if (!policy)
    return;
  set_free(&policy->force);
  broken_free(policy->broken.items, policy->broken.len);
  bt_vec_free(&policy->broken);
  json_decref(policy->rows);
  pthread_mutex_destroy(&policy->lock);
  pthread_mutex_destroy(&policy->use);
  free(policy->dir);
  free(policy->print);
  free(policy->said);
  free(policy);
}

static void forget_broken(struct bt_policy *policy) {
  broken_free(policy->broken.items, policy->broken.len);
  bt_vec_free(&policy->broken);
}

/* The new set is broken: it goes, and only what is wrong with it is kept. */
static int keep_old(struct bt_policy *policy, struct set *fresh, struct bt_err **err) {
  bt_err_set(err, BT_INVALID, "%s%s; the policies that were in force stay in force", fresh->broken.items[0].error,
             fresh->broken.len > 1 ? " (and others)" : "");
  bt_vec_each(&fresh->broken, broken) bt_vec_push(&policy->broken, *broken);
  fresh->broken.len = 0;
  set_free(fresh);
  publish(policy);
  return -1;
}

void bt_policy_configure(struct bt_policy *policy, const char *dir, const struct bt_policy_limits *limits) {
  pthread_mutex_lock(&policy->use);
  bt_str_set(&policy->dir, dir);
  policy->limits = *limits;
  bt_str_set(&policy->print, NULL); /* no folder looks like this: the next refresh reads all anew */
  pthread_mutex_unlock(&policy->use);
}

/* ---- who finds places ---- */

static void hand_over(struct bt_policy *policy) {
  if (!policy->changed)
    return;
  struct bt_judge *judge = bt_judge_new();
  if (policy->force.broken.len)
    bt_judge_break(judge, policy->force.broken.items[0].error);
  bt_vec_each(&policy->force.files, file) bt_judge_add(judge, *file);
  policy->changed(policy->changed_arg, judge);
}

void bt_policy_on_change(struct bt_policy *policy, void (*changed)(void *arg, struct bt_judge *judge), void *arg) {
  pthread_mutex_lock(&policy->use);
  policy->changed = changed;
  policy->changed_arg = arg;
  hand_over(policy);
  pthread_mutex_unlock(&policy->use);
}

/* bt_policy_refresh, under the lock. */
static int refresh(struct bt_policy *policy, struct bt_err **err) {
  BT_AUTO_STRS names = {0};
  BT_AUTO_FREE char *print = NULL;
  if (bt_policy_folder(policy->dir, false, &names, &print, err) < 0)
    return -1;
  if (bt_streq(print, policy->print))
    return 0;
  struct set fresh = {0};
  BT_AUTO_FREE char *now = NULL;
  if (read_folder(policy->dir, &policy->limits, &fresh, &now, err) < 0)
    return -1;
  bt_str_set(&policy->print, print); /* the earlier look: a change in between is seen the next time */
  forget_broken(policy);
  bool first_was_broken = policy->force.broken.len > 0;
  if (fresh.broken.len && !first_was_broken)
    return keep_old(policy, &fresh, err);
  set_free(&policy->force);
  policy->force = fresh;
  publish(policy);
  hand_over(policy);
  if (fresh.broken.len)
    return bt_err_set(err, BT_INVALID, "%s; every change is refused until it is mended", fresh.broken.items[0].error);
  return 1;
}

int bt_policy_refresh(struct bt_policy *policy, struct bt_err **perr) {
  BT_AUTO_ERR err = NULL;
  pthread_mutex_lock(&policy->use);
  int rc = refresh(policy, &err);
  bool again = rc < 0 && bt_streq(policy->said, bt_err_message(err)); /* somebody looks every few seconds */
  bt_str_set(&policy->said, rc < 0 ? bt_err_message(err) : rc > 0 ? NULL : policy->said);
  if (rc < 0 && !again)
    bt_error("policy", "%s", bt_err_message(err));
  else if (rc > 0)
    bt_info("policy", "%zu policies of %s are in force", policy->force.files.len, policy->dir);
  pthread_mutex_unlock(&policy->use);
  if (perr)
    *perr = bt_steal(err);
  return rc;
}

int bt_policy_test_own(struct bt_policy *policy, json_t **results, struct bt_err **err) {
  pthread_mutex_lock(&policy->use);
  BT_AUTO_FREE char *dir = bt_strdup(policy->dir);
  struct bt_policy_limits limits = policy->limits;
  pthread_mutex_unlock(&policy->use);
  return bt_policy_test(dir, &limits, results, err);
}

/* ---- a check ---- */

static int turns(struct bt_policy *policy, bool mutate, const json_t *context, int64_t until_us, struct bt_verdict *verdict,
                 struct bt_err **err) {
  bt_vec_each(&policy->force.files, file)
    if (bt_policy_file_turn(*file, mutate, context, until_us, verdict, err) < 0)
      return -1;
  return 0;
}

/* bt_policy_check, under the lock. */
static int ask(struct bt_policy *policy, const json_t *model, const json_t *context, struct bt_verdict *out, struct bt_err **err) {
  if (policy->force.broken.len)
    return bt_err_set(err, BT_DENIED, "the policies cannot be asked, so every change is refused: %s",
                      policy->force.broken.items[0].error);
  out->model = model ? json_incref((json_t *)(uintptr_t)model) : json_object();
  out->changes = json_array();
  int64_t until_us = bt_policy_until(&policy->limits);
  int rc = turns(policy, true, context, until_us, out, err);
  if (rc == 0)
    rc = turns(policy, false, context, until_us, out, err);
  publish(policy);
  if (rc < 0)
    bt_verdict_free(out);
  return rc;
}

int bt_policy_check(struct bt_policy *policy, const json_t *model, const json_t *context, struct bt_verdict *out,
                    struct bt_err **err) {
  *out = (struct bt_verdict){0};
  pthread_mutex_lock(&policy->use);
  int rc = ask(policy, model, context, out, err);
  pthread_mutex_unlock(&policy->use);
  return rc;
}

void bt_verdict_free(struct bt_verdict *verdict) {
  json_decref(verdict->model);
  json_decref(verdict->changes);
  bt_strs_free(&verdict->warnings);
  bt_strs_free(&verdict->denials);
  *verdict = (struct bt_verdict){0};
}

/* ---- what there is ---- */

static const char *error_of(const struct bt_policy *policy, const char *file) {
  bt_vec_each(&policy->broken, broken)
    if (bt_streq(broken->file, file))
      return broken->error;
  return NULL;
}

static json_t *row(const char *name, const char *file, const char *error) {
  json_t *row = json_object();
  bt_json_set_str(row, "name", name);
  bt_json_set_str(row, "file", file);
  bt_json_set_str(row, "status", error ? "broken" : "ok");
  bt_json_set(row, "error", error ? bt_json_string(error) : json_null());
  return row;
}

static json_t *row_of(const struct bt_policy *policy, const struct bt_policy_file *file) {
  json_t *it = row(file->name, file->file, error_of(policy, file->file)), *hooks = json_array();
  for (int hook = 0; hook < BT_HOOKS; hook++)
    if (file->hooks[hook])
      json_array_append_new(hooks, json_string(bt_hook_names[hook]));
  bt_json_set(it, "description", bt_json_string(file->description));
  bt_json_set(it, "hooks", hooks);
  bt_json_set_int(it, "calls", (long long)file->calls);
  bt_json_set_int(it, "denials", (long long)file->denials);
  bt_json_set(it, "last_ms", json_real((double)file->last_us / 1000));
  return it;
}

static bool in_force(const struct bt_policy *policy, const char *name) {
  for (size_t i = 0; i < policy->force.files.len; i++)
    if (bt_streq(policy->force.files.items[i]->file, name))
      return true;
  return false;
}

static json_t *rows(const struct bt_policy *policy) {
  json_t *list = json_array();
  bt_vec_each(&policy->force.files, file) json_array_append_new(list, row_of(policy, *file));
  bt_vec_each(&policy->force.broken, broken) json_array_append_new(list, row(broken->file, broken->file, broken->error));
  bt_vec_each(&policy->broken, broken)
    if (!in_force(policy, broken->file))
      json_array_append_new(list, row(broken->file, broken->file, broken->error));
  return list;
}

/* So that nobody who asks for the list waits for a check, or meets a reload half-way. */
static void publish(struct bt_policy *policy) {
  json_t *fresh = rows(policy);
  pthread_mutex_lock(&policy->lock);
  json_t *old = policy->rows;
  policy->rows = fresh;
  pthread_mutex_unlock(&policy->lock);
  json_decref(old);
}

json_t *bt_policy_list(struct bt_policy *policy) {
  pthread_mutex_lock(&policy->lock);
  json_t *list = json_deep_copy(policy->rows);
  pthread_mutex_unlock(&policy->lock);
  return list;
}
