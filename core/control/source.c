/* Sources: apps that follow a repository. Control says when to look and what may be applied; the daemon looks (plug-in), reads the
 * files and sends them through the admission like everybody's (call "source.sync"); what came of it is kept here, compared with
 * what the app is at, and told to the repository's host (call "source.status"). Level-triggered: every look compares. */
#include "config.h"

#include "control/internal.h"
#include "model/source.h"

enum {
  max_waiting = 64,            /* requests for a look of one source */
  correct_after_ms = 5000,     /* a change by hand stays that long, so that a person sees it happen */
  first_retry_ms = 5000,       /* doubles with each failure, up to the interval or max_retry_ms */
  max_retry_ms = 15 * 60 * 1000,
  status_retry_ms = 60 * 1000,
  spread_ms = 2000             /* looks after a start are spread over so long */
};

/* ---- tables ---- */

void ctl_source_free(void *arg) {
  struct ctl_source *s = arg;
  char **strings[] = {&s->ns, &s->app, &s->id, &s->actor, &s->applied, &s->refused, &s->error, &s->reported, &s->reporting};
  for (size_t i = 0; i < BT_COUNT(strings); i++)
    free(*strings[i]);
  json_decref(s->spec);
  json_decref(s->found);
  bt_vec_each(&s->waiting, w) free(w->actor);
  bt_vec_free(&s->waiting);
  bt_vec_each(&s->serving, w) free(w->actor);
  bt_vec_free(&s->serving);
  free(s);
}

struct ctl_source *ctl_source_find(const struct bt_control *c, const char *ns, const char *app) {
  BT_AUTO_FREE char *id = bt_asprintf("%s/%s", ns, app);
  return bt_map_get(c->sources, id);
}

static struct ctl_source *attach(struct bt_control *c, const char *ns, const char *app) {
  struct ctl_source *s = ctl_source_find(c, ns, app);
  if (s)
    return s;
  s = bt_new(struct ctl_source);
  s->ns = bt_strdup(ns);
  s->app = bt_strdup(app);
  s->id = bt_asprintf("%s/%s", ns, app);
  s->created_ms = ctl_wall(c);
  bt_map_set(c->sources, s->id, s);
  return s;
}

static const struct ctl_rev *latest_of(const struct bt_control *c, const struct ctl_source *s) {
  const struct ctl_app *app = ctl_app_find(c, s->ns, s->app);
  return app ? ctl_rev_latest(app) : NULL;
}

static bool drifted(const struct bt_control *c, const struct ctl_source *s) {
  const struct ctl_rev *latest = latest_of(c, s);
  return s->applied && latest && latest->number != s->revision;
}

const char *ctl_source_state(const struct bt_control *c, const struct ctl_source *s) {
  const char *found = bt_json_str(s->found, "commit");
  if (s->call && s->applying)
    return "syncing";
  if ((s->refused && bt_streq(s->refused, found)) || (s->error && !found))
    return "failed";
  if (drifted(c, s))
    return "drifted";
  if (!found)
    return "new";
  return bt_streq(found, s->applied) ? "in-sync" : "behind";
}

/* ---- forms ---- */

static json_t *text_or_null(const char *text) { return text ? bt_json_string(text) : json_null(); }

static json_t *stored_json(const struct ctl_source *s) {
  json_t *o = json_object();
  bt_json_set_str(o, "namespace", s->ns);
  bt_json_set_str(o, "app", s->app);
  bt_json_set(o, "spec", json_incref(s->spec));
  bt_json_set_str(o, "actor", s->actor);
  bt_json_set(o, "found", s->found ? json_incref(s->found) : json_null());
  bt_json_set(o, "applied", text_or_null(s->applied));
  bt_json_set_int(o, "revision", s->revision);
  bt_json_set(o, "refused", text_or_null(s->refused));
  bt_json_set(o, "error", text_or_null(s->error));
  bt_json_set_int(o, "failures", s->failures);
  bt_json_set_str(o, "reported", s->reported);
  ctl_set_time(o, "created_at", s->created_ms);
  ctl_set_time(o, "looked_at", s->looked_ms);
  ctl_set_time(o, "synced_at", s->synced_ms);
  return o;
}

json_t *ctl_source_stored(const struct bt_control *c, const char *id) {
  const struct ctl_source *s = bt_map_get(c->sources, id);
  return s ? stored_json(s) : NULL;
}

/* The view: the settings beside the state, and the words for it. */
json_t *ctl_source_json(const struct bt_control *c, const struct ctl_source *s) {
  json_t *o = stored_json(s);
  json_object_del(o, "spec");
  json_object_update_missing(o, s->spec);
  bt_json_set_str(o, "state", ctl_source_state(c, s));
  const struct ctl_rev *latest = latest_of(c, s);
  bt_json_set_int(o, "app_revision", latest ? latest->number : 0);
  bt_json_set_str(o, "commit", bt_json_str(s->found, "commit"));
  bt_json_set_str(o, "follows", bt_json_str(s->spec, "branch") ? bt_json_str(s->spec, "branch") : bt_json_str(s->spec, "tag"));
  ctl_set_time(o, "next_look", s->call ? 0 : ctl_to_wall(c, s->next_ms));
  return o;
}

int ctl_source_load(struct bt_control *c, const json_t *o, struct bt_err **err) {
  json_t *spec = bt_json_obj(o, "spec"), *found = bt_json_obj(o, "found");
  if (!spec || !bt_json_str(spec, "repository") || !bt_json_str(o, "app"))
    return bt_err_set(err, BT_INTERNAL, "a source is not what control wrote");
  struct ctl_source *s = attach(c, bt_json_str_or(o, "namespace", "default"), bt_json_str(o, "app"));
  json_decref(s->spec);
  json_decref(s->found);
  s->spec = json_deep_copy(spec);
  s->found = found ? json_deep_copy(found) : NULL;
  bt_str_set(&s->actor, bt_json_str(o, "actor"));
  bt_str_set(&s->applied, bt_json_str(o, "applied"));
  bt_str_set(&s->refused, bt_json_str(o, "refused"));
  bt_str_set(&s->error, bt_json_str(o, "error"));
  bt_str_set(&s->reported, bt_json_str(o, "reported"));
  s->revision = (int)bt_json_int(o, "revision", 0);
  s->failures = (int)bt_json_int(o, "failures", 0);
  s->created_ms = ctl_get_time(o, "created_at");
  s->looked_ms = ctl_get_time(o, "looked_at");
  s->synced_ms = ctl_get_time(o, "synced_at");
  return 0;
}

static void save(struct bt_control *c, struct ctl_source *s) {
  ctl_put(c, "source", s->id, stored_json(s));
  c->sources_due = true;
}

/* ---- looking ---- */

static unsigned spread(const char *id, unsigned over) { return over ? bt_str_hash(id) % over : 0; }

static bool is_dry(const struct ctl_source *s) { return s->serving.len && s->serving.items[0].dry_run; }

static json_t *sync_args(const struct bt_control *c, const struct ctl_source *s, bool forced) {
  json_t *args = json_object(), *skip = json_array();
  bt_json_set_str(args, "namespace", s->ns);
  bt_json_set_str(args, "app", s->app);
  bt_json_set(args, "spec", json_incref(s->spec));
  bool corrects = bt_json_bool(s->spec, "correct", false) && drifted(c, s);
  bt_json_set_bool(args, "apply", forced || corrects || bt_json_bool(s->spec, "automatic", true));
  bt_json_set_bool(args, "dry_run", is_dry(s));
  bt_json_set_bool(args, "correct", corrects);
  if (!forced && !corrects && s->applied)
    json_array_append_new(skip, json_string(s->applied));
  if (!forced && s->refused)
    json_array_append_new(skip, json_string(s->refused));
  bt_json_set(args, "skip", skip);
  bt_json_set_str(args, "actor", s->serving.len ? s->serving.items[0].actor : NULL);
  return args;
}

/* All who wait for the same are answered by one look, in the name of the first. */
static void begin(struct bt_control *c, struct ctl_source *s) {
  bool dry = s->waiting.len && s->waiting.items[0].dry_run;
  for (size_t i = 0; i < s->waiting.len;) {
    if (s->waiting.items[i].dry_run != dry) {
      i++;
      continue;
    }
    bt_vec_push(&s->serving, s->waiting.items[i]);
    bt_vec_remove(&s->waiting, i);
  }
  json_t *args = sync_args(c, s, s->serving.len > 0);
  s->applying = bt_json_bool(args, "apply", false);
  s->call = ctl_call_for(c, s->id);
  s->again = false;
  bt_vec_push(&c->fx->calls, ((struct bt_call){.id = s->call, .kind = "source.sync", .args = args}));
}

/* ---- telling the host ---- */

/* What the host should be showing, as "commit state"; NULL: nothing new. */
static char *due_report(const struct bt_control *c, const struct ctl_source *s, const char **why) {
  const struct ctl_app *app = ctl_app_find(c, s->ns, s->app);
  const struct ctl_rev *rev = app && s->revision ? ctl_rev_find(app, s->revision) : NULL;
  *why = NULL;
  if (!bt_json_bool(s->spec, "report", true))
    return NULL;
  if (s->refused) {
    *why = s->error;
    return bt_asprintf("%s failure", s->refused);
  }
  if (!s->applied || !rev || rev->rollback_of)
    return NULL;
  if (rev->state == CTL_REV_RESOLVING || rev->state == CTL_REV_ROLLING)
    return bt_asprintf("%s pending", s->applied);
  return rev->state == CTL_REV_DEPLOYED ? bt_asprintf("%s success", s->applied) : NULL;
}

static void report(struct bt_control *c, struct ctl_source *s) {
  const char *why;
  if (s->status_call || c->now_ms < s->status_ms)
    return;
  char *due = due_report(c, s, &why);
  if (!due || bt_streq(due, s->reported)) {
    free(due);
    return;
  }
  free(s->reporting);
  s->reporting = due;
  const char *state = strchr(due, ' ') + 1;
  BT_AUTO_FREE char *commit = bt_strndup(due, (size_t)(state - 1 - due));
  BT_AUTO_FREE char *context = bt_asprintf("berth/%s/%s", s->ns, s->app);
  BT_AUTO_FREE char *text = bt_streq(state, "failure") ? bt_asprintf("%s: %s", s->app, why ? why : "its rollout failed")
                                                       : bt_asprintf("%s: revision %d is %s", s->app, s->revision,
                                                                     bt_streq(state, "success") ? "deployed" : "rolled out");
  json_t *args = json_object();
  bt_json_set_str(args, "repository", bt_json_str(s->spec, "repository"));
  bt_json_set_str(args, "commit", commit);
  bt_json_set_str(args, "state", state);
  bt_json_set_str(args, "context", context);
  bt_json_set_str(args, "description", text);
  s->status_call = ctl_call_for(c, s->id);
  bt_vec_push(&c->fx->calls, ((struct bt_call){.id = s->status_call, .kind = "source.status", .args = args}));
}

static void status_done(struct bt_control *c, struct ctl_source *s, const struct bt_input *in) {
  s->status_call = 0;
  bool told = in->code == BT_OK || in->code == BT_UNSUPPORTED || in->code == BT_INVALID;
  if (in->code != BT_OK && in->code != BT_UNSUPPORTED && !s->status_failed)
    ctl_event(c, "warning", "source.silent", s->ns, s->app, s->app, NULL, "%s: the repository's host cannot be told of %.12s: %s", s->app,
              s->reporting, in->text ? in->text : bt_code_name(in->code));
  s->status_failed = in->code != BT_OK && in->code != BT_UNSUPPORTED;
  if (told) {
    bt_str_set(&s->reported, s->reporting);
    s->status_ms = 0;
    save(c, s);
  } else {
    s->status_ms = c->now_ms + status_retry_ms;
  }
  c->sources_due = true;
}

/* ---- the controller ---- */

static void look(struct bt_control *c, struct ctl_source *s) {
  report(c, s);
  if (s->status_ms > c->now_ms)
    c->wake_ms = BT_MIN(c->wake_ms, s->status_ms);
  if (s->call)
    return;
  if (s->waiting.len || c->now_ms >= s->next_ms)
    begin(c, s);
  else
    c->wake_ms = BT_MIN(c->wake_ms, s->next_ms);
}

void ctl_sources_look(struct bt_control *c) {
  c->sources_due = false;
  for (struct bt_map_iter it = bt_map_iter(c->sources); bt_map_next(&it);)
    look(c, it.value);
}

/* What was under way at the end is lost: all look anew, spread over a moment. */
void ctl_sources_start(struct bt_control *c) {
  for (struct bt_map_iter it = bt_map_iter(c->sources); bt_map_next(&it);) {
    struct ctl_source *s = it.value;
    s->next_ms = c->now_ms + spread(s->id, spread_ms);
  }
  c->sources_due = true;
}

/* ---- what came of a look ---- */

/* Trying the same commit again cannot help. */
static bool lasting(enum bt_code code) {
  return code == BT_INVALID || code == BT_DENIED || code == BT_UNSUPPORTED || code == BT_TOO_LARGE || code == BT_NOT_FOUND;
}

static void plan_next(struct bt_control *c, struct ctl_source *s) {
  int64_t interval = bt_json_int(s->spec, "interval_ms", 60000), wait = interval - spread(s->id, (unsigned)(interval / 10));
  if (s->failures) {
    wait = first_retry_ms;
    for (int i = 1; i < s->failures && wait < max_retry_ms; i++)
      wait *= 2;
    wait = BT_MIN(wait, BT_MAX(interval, (int64_t)first_retry_ms));
  }
  s->next_ms = s->again ? c->now_ms : c->now_ms + wait;
}

static void answer(struct bt_control *c, struct ctl_source *s, enum bt_code code, const char *text, json_t *result) {
  bt_vec_each(&s->serving, w) {
    if (code == BT_OK)
      ctl_reply(c, w->request, json_incref(result));
    else
      ctl_reply_err(c, w->request, code, "%s", text ? text : bt_code_name(code));
    free(w->actor);
  }
  bt_vec_free(&s->serving);
}

/* The same words again are no news. */
static void failed(struct bt_control *c, struct ctl_source *s, const char *commit, const char *why) {
  if (!bt_streq(s->error, why))
    ctl_event(c, "error", "source.failed", s->ns, s->app, s->app, NULL, "%s: %s%.12s%s%s", s->app, commit ? "commit " : "", commit ? commit : "",
              commit ? ": " : "", why);
  bt_str_set(&s->error, why);
}

static void take_found(struct bt_control *c, struct ctl_source *s, const json_t *result) {
  static const char *const keys[] = {"commit", "ref", "author", "email", "time", "subject", "signature"};
  const char *commit = bt_json_str(result, "commit"), *before = bt_json_str(s->found, "commit");
  if (bt_streq(commit, before) && !bt_json_str(result, "subject"))
    return;
  bool news = !bt_streq(commit, before);
  json_t *found = json_object();
  for (size_t i = 0; i < BT_COUNT(keys); i++)
    if (json_object_get(result, keys[i]))
      bt_json_set(found, keys[i], json_deep_copy(json_object_get(result, keys[i])));
  json_decref(s->found);
  s->found = found;
  if (news && !s->applying)
    ctl_event(c, "info", "source.behind", s->ns, s->app, s->app, NULL, "%s: commit %.12s is there to be applied: berth sync %s", s->app, commit,
              s->app);
}

static void applied(struct bt_control *c, struct ctl_source *s, const json_t *result) {
  bool corrected = bt_json_bool(result, "correct", false);
  bt_str_set(&s->applied, bt_json_str(result, "commit"));
  bt_str_set(&s->refused, NULL);
  bt_str_set(&s->error, NULL);
  s->revision = (int)bt_json_int(result, "revision", 0);
  s->synced_ms = ctl_wall(c);
  ctl_event(c, "info", corrected ? "source.corrected" : "source.synced", s->ns, s->app, s->app, NULL,
            corrected ? "%s is brought back to commit %.12s, revision %d" : "%s is at commit %.12s, revision %d", s->app, s->applied,
            s->revision);
}

/* It was made with settings that are no longer. */
static void forget_look(struct bt_control *c, struct ctl_source *s) {
  s->stale = s->applying = false;
  bt_str_set(&s->applied, NULL);
  answer(c, s, BT_CONFLICT, "the source was changed meanwhile; try again", NULL);
  plan_next(c, s);
  save(c, s);
}

static void sync_done(struct bt_control *c, struct ctl_source *s, const struct bt_input *in) {
  const json_t *result = in->code == BT_OK ? in->result : NULL, *problem = bt_json_obj(result, "error");
  const char *commit = bt_json_str(result, "commit"), *text = result ? bt_json_str(problem, "message") : in->text;
  enum bt_code code = !result ? in->code : problem ? bt_code_from_name(bt_json_str_or(problem, "code", "internal")) : BT_OK;
  bool dry = is_dry(s);
  s->call = 0;
  s->looked_ms = ctl_wall(c);
  if (s->stale) {
    forget_look(c, s);
    return;
  }
  if (commit)
    take_found(c, s, result);
  if (code != BT_OK && !dry) {
    failed(c, s, commit, text ? text : bt_code_name(code));
    s->failures++;
    if (commit && lasting(code)) {
      bt_str_set(&s->refused, commit);
      s->failures = 0;
    }
  } else if (!dry) {
    s->failures = 0;
    if (bt_json_bool(result, "applied", false))
      applied(c, s, result);
    else if (!s->refused || !bt_streq(s->refused, commit))
      bt_str_set(&s->error, NULL);
  }
  s->applying = false;
  plan_next(c, s);
  answer(c, s, code, text, (json_t *)(uintptr_t)result);
  save(c, s);
}

bool ctl_source_call_done(struct bt_control *c, struct ctl_source *s, const struct bt_input *in) {
  if (s->call == in->call)
    sync_done(c, s, in);
  else if (s->status_call == in->call)
    status_done(c, s, in);
  else
    return false;
  return true;
}

/* ---- what happens to its app ---- */

void ctl_source_revised(struct ctl_app *app, const struct ctl_rev *rev, int before) {
  struct bt_control *c = app->control;
  struct ctl_source *s = ctl_source_find(c, app->ns, app->name);
  if (!s)
    return;
  c->sources_due = true;
  const char *commit = bt_json_str(rev->origin, "commit");
  if (bt_streq(rev->cause, "source") && commit) {
    bt_str_set(&s->applied, commit);
    s->revision = rev->number;
  } else if (rev->cause && s->revision == before) {
    s->revision = rev->number; /* Berth's own doing: no drift */
  } else if (s->applied && s->revision == before) {
    ctl_event(c, "warning", "source.drifted", s->ns, s->app, s->app, NULL, "%s: revision %d by %s is not what commit %.12s has", s->app, rev->number,
              rev->actor ? rev->actor : "somebody", s->applied);
  } else {
    return;
  }
  if (drifted(c, s) && bt_json_bool(s->spec, "correct", false))
    s->next_ms = BT_MIN(s->next_ms, c->now_ms + correct_after_ms);
  save(c, s);
}

/* Its rollout failed: that commit is not tried again unasked. It came through after all: it is. */
void ctl_source_rev_state(const struct ctl_rev *rev) {
  struct ctl_app *app = rev->app;
  struct bt_control *c = app->control;
  struct ctl_source *s = bt_map_len(c->sources) ? ctl_source_find(c, app->ns, app->name) : NULL;
  if (!s || !c->fx)
    return;
  c->sources_due = true;
  if (rev->number != s->revision || rev->rollback_of || !s->applied)
    return;
  if (rev->state == CTL_REV_FAILED) {
    bt_str_set(&s->refused, s->applied);
    failed(c, s, s->applied, rev->reason ? rev->reason : "its rollout failed");
    save(c, s);
  } else if (rev->state == CTL_REV_DEPLOYED && bt_streq(s->refused, s->applied)) {
    bt_str_set(&s->refused, NULL);
    bt_str_set(&s->error, NULL);
    save(c, s);
  }
}

void ctl_source_forget(struct bt_control *c, const char *ns, const char *app, const char *actor) {
  struct ctl_source *s = ctl_source_find(c, ns, app);
  if (!s)
    return;
  answer(c, s, BT_CONFLICT, "the app does not follow its repository any more", NULL);
  bt_vec_each(&s->waiting, w) ctl_reply_err(c, w->request, BT_CONFLICT, "app %s does not follow its repository any more", app);
  ctl_event(c, "info", "source.removed", ns, app, app, NULL, "%s: %s does not follow %s any more", actor, app,
            bt_json_str_or(s->spec, "repository", "its repository"));
  ctl_del(c, "source", s->id);
  bt_map_del(c->sources, s->id);
}

/* ---- requests ---- */

static struct ctl_source *named(struct bt_control *c, const struct bt_request *request) {
  const char *ns = bt_json_str_or(request->args, "namespace", "default"), *app = bt_json_str_or(request->args, "app", "");
  struct ctl_source *s = ctl_source_find(c, ns, app);
  if (!s)
    ctl_reply_err(c, request->id, BT_NOT_FOUND, "app %s in namespace %s follows no repository; see: berth follow --help", app, ns);
  return s;
}

static void take_spec(struct bt_control *c, struct ctl_source *s, json_t *spec) {
  static const char *const same[] = {"repository", "branch", "tag"};
  bool moved = !s->spec;
  for (size_t i = 0; i < BT_COUNT(same) && !moved; i++)
    moved = !bt_streq(bt_json_str(s->spec, same[i]), bt_json_str(spec, same[i]));
  json_decref(s->spec);
  s->spec = spec;
  if (moved) {
    json_decref(s->found);
    s->found = NULL;
  }
  /* With other settings the same commit may come to something else. */
  bt_str_set(&s->applied, NULL);
  bt_str_set(&s->refused, NULL);
  bt_str_set(&s->error, NULL);
  s->failures = 0;
  s->again = s->stale = s->call != 0;
  s->next_ms = c->now_ms;
}

void ctl_source_put(struct bt_control *c, const struct bt_request *request) {
  const char *ns = bt_json_str_or(request->args, "namespace", "default"), *app = bt_json_str_or(request->args, "app", "");
  BT_AUTO_ERR err = NULL;
  json_t *spec = NULL;
  if (ctl_check_name("namespace", ns, &err) == 0 && ctl_check_name("app", app, &err) == 0)
    spec = bt_source_parse(bt_json_obj(request->args, "source"), &err);
  if (!spec) {
    ctl_reply_err(c, request->id, bt_err_code(err), "%s", bt_err_message(err));
    return;
  }
  struct ctl_source *s = ctl_source_find(c, ns, app);
  bool changed = !s || !bt_json_equal(s->spec, spec);
  if (changed && !request->dry_run) {
    s = attach(c, ns, app);
    bt_str_set(&s->actor, request->actor);
    take_spec(c, s, json_incref(spec));
    ctl_event(c, "info", "source.created", ns, app, app, NULL, "%s: %s follows %s of %s", request->actor, app,
              bt_json_str(spec, "branch") ? bt_json_str(spec, "branch") : bt_json_str(spec, "tag"), bt_json_str(spec, "repository"));
    save(c, s);
  }
  json_t *result = json_object();
  bt_json_set_str(result, "app", app);
  bt_json_set_bool(result, "changed", changed);
  bt_json_set(result, "source", spec);
  ctl_reply(c, request->id, result);
}

void ctl_source_delete(struct bt_control *c, const struct bt_request *request) {
  struct ctl_source *s = named(c, request);
  if (!s)
    return;
  if (!request->dry_run)
    ctl_source_forget(c, bt_json_str_or(request->args, "namespace", "default"), bt_json_str(request->args, "app"), request->actor);
  ctl_reply(c, request->id, json_object());
}

/* Answered when its look is through. */
void ctl_source_sync(struct bt_control *c, const struct bt_request *request) {
  struct ctl_source *s = named(c, request);
  if (!s)
    return;
  if (s->waiting.len >= max_waiting) {
    ctl_reply_err(c, request->id, BT_EXHAUSTED, "%d requests wait already for a look at the repository of app %s: ask again later", max_waiting,
                  bt_json_str_or(request->args, "app", "?"));
    return;
  }
  bt_vec_push(&s->waiting, ((struct ctl_waiter){request->id, request->dry_run, bt_strdup(request->actor)}));
  c->sources_due = true;
}

static bool pushed(const struct ctl_source *s, const json_t *keys, const char *ref) {
  BT_AUTO_FREE char *own = bt_source_repository_key(bt_json_str_or(s->spec, "repository", ""));
  if (!bt_json_bool(s->spec, "webhook", true) || !bt_source_follows(s->spec, ref))
    return false;
  for (size_t i = 0; i < json_array_size(keys); i++)
    if (bt_streq(json_string_value(json_array_get(keys, i)), own))
      return true;
  return false;
}

/* A host told of a push: who follows it looks at once. */
void ctl_source_push(struct bt_control *c, const struct bt_request *request) {
  const json_t *urls = bt_json_arr(request->args, "repositories");
  BT_AUTO_JSON keys = json_array();
  int n = 0;
  for (size_t i = 0; i < json_array_size(urls) && i < 16; i++) {
    const char *url = json_string_value(json_array_get(urls, i));
    BT_AUTO_FREE char *key = url ? bt_source_repository_key(url) : NULL;
    if (key)
      json_array_append_new(keys, bt_json_string(key));
  }
  for (struct bt_map_iter it = bt_map_iter(c->sources); bt_map_next(&it);) {
    struct ctl_source *s = it.value;
    if (!pushed(s, keys, bt_json_str(request->args, "ref")))
      continue;
    s->again = true;
    s->next_ms = c->now_ms;
    n++;
  }
  c->sources_due = c->sources_due || n > 0;
  json_t *result = json_object();
  bt_json_set_int(result, "matched", n);
  ctl_reply(c, request->id, result);
}
