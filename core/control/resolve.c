#include "config.h"

#include <stdio.h>

#include "control/internal.h"

#define DAY_MS (24 * 3600 * 1000LL)

void ctl_call_free(struct ctl_call *call) {
  free(call->app);
  free(call->service);
  free(call);
}

void ctl_check_free(struct ctl_check *check) {
  free(check->app);
  free(check->actor);
  json_decref(check->pins);
  json_decref(check->args);
  free(check);
}

/* How long a pin is good under pull_policy daily, weekly, every_<duration>; < 0 where the policy is none of them. */
static int64_t pin_life_ms(const char *policy) {
  if (bt_streq(policy, "daily"))
    return DAY_MS;
  if (bt_streq(policy, "weekly"))
    return 7 * DAY_MS;
  if (!bt_starts(policy, "every_"))
    return -1;
  BT_AUTO_JSON o = json_object();
  bt_json_set_str(o, "every", policy + 6);
  return bt_service_duration_ms(o, "every", DAY_MS);
}

/* The last pin of the same image, of the revision before. */
static const json_t *earlier_pin(const struct ctl_spec *spec) {
  const struct ctl_app *app = spec->rev->app;
  for (size_t i = app->revs.len; i-- > 0;) {
    const struct ctl_rev *rev = app->revs.items[i];
    const json_t *pin = rev == spec->rev ? NULL : bt_json_obj(rev->pins, spec->service->name);
    if (pin && bt_json_str(pin, "pinned") && bt_streq(bt_json_str(pin, "image"), spec->image))
      return pin;
  }
  return NULL;
}

static const char *policy_of(const struct ctl_spec *spec, const json_t *earlier, int64_t wall_ms) {
  const char *policy = spec->service->pull_policy;
  int64_t life = pin_life_ms(policy);
  if (life >= 0)
    return earlier && wall_ms < ctl_get_time(earlier, "resolved_at") + life ? "keep" : "refresh";
  if (spec->service->build)
    return "never"; /* what is built is here or not yet built */
  if (bt_streq(policy, "always") || bt_streq(policy, "never"))
    return policy;
  return "missing";
}

static struct ctl_call *new_call(struct bt_control *c, const struct ctl_spec *spec, struct ctl_check *check, bool build) {
  struct ctl_call *call = bt_new(struct ctl_call);
  call->id = ++c->call_seq;
  call->build = build;
  call->app = bt_strdup(spec->rev->app->key);
  call->revision = spec->rev->number;
  call->service = bt_strdup(spec->service->name);
  call->check = check;
  bt_vec_push(&c->calls, call);
  return call;
}

static void call_resolve(struct bt_control *c, const struct ctl_spec *spec, struct ctl_check *check) {
  const json_t *earlier = spec->pinned ? bt_json_obj(spec->rev->pins, spec->service->name) : earlier_pin(spec);
  json_t *args = json_object();
  bt_json_set_str(args, "image", spec->image);
  bt_json_set_str(args, "platform", spec->service->platform);
  bt_json_set_str(args, "policy", policy_of(spec, earlier, ctl_wall(c)));
  const char *current = bt_json_str(earlier, "pinned");
  bt_json_set(args, "current", current ? json_string(current) : json_null());
  struct ctl_call *call = new_call(c, spec, check, false);
  bt_vec_push(&c->fx->calls, ((struct bt_call){.id = call->id, .kind = "image.resolve", .args = args}));
}

/* [{"id","key"}]: under which id the build asks for a secret, and by which key the node gets it. No values travel here. */
static json_t *build_secrets(const struct ctl_spec *spec) {
  json_t *list = json_array();
  bt_vec_each(&spec->service->build_secrets, grant) {
    BT_AUTO_FREE char *key = ctl_content_key(spec->rev, "secrets", grant->source);
    json_t *secret = json_object();
    bt_json_set_str(secret, "id", bt_json_str_or(grant->json, "target", grant->source));
    bt_json_set_str(secret, "key", key);
    json_array_append_new(list, secret);
  }
  return list;
}

static void call_build(struct bt_control *c, const struct ctl_spec *spec, struct ctl_check *check, bool force) {
  json_t *args = json_object(), *tags = json_array(), *more = bt_json_arr(spec->service->build, "tags");
  const struct ctl_app *app = spec->rev->app;
  bt_json_set_str(args, "namespace", app->ns);
  bt_json_set_str(args, "app", app->name);
  bt_json_set_str(args, "service", spec->service->name);
  json_object_set(args, "build", spec->service->build);
  json_array_append_new(tags, json_string(spec->image));
  if (more)
    json_array_extend(tags, more);
  bt_json_set(args, "tags", tags);
  bt_json_set_bool(args, "force", force);
  bt_json_set(args, "secrets", build_secrets(spec));
  struct ctl_call *call = new_call(c, spec, check, true);
  bt_vec_push(&c->fx->calls, ((struct bt_call){.id = call->id, .kind = "image.build", .args = args}));
}

static void call_for(struct bt_control *c, const struct ctl_spec *spec, struct ctl_check *check, const char *build) {
  bool always = bt_streq(build, "always") || bt_streq(spec->service->pull_policy, "build");
  if (spec->service->build && always && !bt_streq(build, "never"))
    call_build(c, spec, check, bt_streq(build, "always"));
  else
    call_resolve(c, spec, check);
}

/* The calls for what the revision needs pinned and nobody was asked yet. */
void ctl_resolve_begin(struct ctl_rev *rev) {
  struct bt_control *c = rev->app->control;
  size_t open = 0;
  bt_vec_each(&rev->specs, spec) {
    if ((*spec)->pinned)
      continue;
    open++;
    if ((*spec)->speaker)
      call_for(c, *spec, NULL, rev->build);
  }
  if (open == 0)
    ctl_resolved(rev);
}

void ctl_calls_drop(struct bt_control *c, const struct ctl_app *app) {
  for (size_t i = c->calls.len; i-- > 0;)
    if (bt_streq(c->calls.items[i]->app, app->key) && !c->calls.items[i]->check) {
      ctl_call_free(c->calls.items[i]);
      bt_vec_remove(&c->calls, i);
    }
}

static struct ctl_call *take_call(struct bt_control *c, uint64_t id) {
  for (size_t i = 0; i < c->calls.len; i++)
    if (c->calls.items[i]->id == id) {
      struct ctl_call *call = c->calls.items[i];
      bt_vec_remove(&c->calls, i);
      return call;
    }
  return NULL;
}

static bool same_pin(const json_t *result, const char *pinned, const char *digest) {
  const char *now = bt_json_str(result, "digest");
  return bt_streq(bt_json_str(result, "pinned"), pinned) || (now && bt_streq(now, digest));
}

/* The same image may be named by its registry's digest now and by the engine's id once it was pulled: where the digest says
 * that nothing moved, the earlier pin stays, so that no container is replaced for a name. Stored once all are known: who starts
 * before that asks again. */
static void resolved_one(struct ctl_rev *rev, struct ctl_spec *spec, const json_t *result) {
  struct ctl_spec *other = spec;
  do {
    const json_t *earlier = other->pinned ? NULL : earlier_pin(other), *pin = result;
    if (earlier && same_pin(result, bt_json_str(earlier, "pinned"), bt_json_str(earlier, "digest")))
      pin = earlier;
    if (!other->pinned)
      ctl_spec_pin(other, pin, ctl_wall(rev->app->control));
    other = other->alike;
  } while (other != spec);
  bt_vec_each(&rev->specs, each) if (!(*each)->pinned) return;
  ctl_resolved(rev);
}

static void resolve_done(struct bt_control *c, struct ctl_call *call, const struct bt_input *in) {
  struct ctl_app *app = bt_map_get(c->apps, call->app);
  struct ctl_rev *rev = app ? ctl_rev_find(app, call->revision) : NULL;
  struct ctl_spec *spec = ctl_spec_find(rev, call->service);
  if (!spec || rev->state != CTL_REV_RESOLVING || spec->pinned)
    return;
  if (in->code == BT_OK) {
    resolved_one(rev, spec, in->result);
  } else if (!call->build && spec->service->build && in->code == BT_NOT_FOUND && !bt_streq(rev->build, "never")) {
    call_build(c, spec, NULL, false);
  } else {
    BT_AUTO_FREE char *why = bt_asprintf("%s: %s %s: %s", call->service, call->build ? "cannot build" : "cannot resolve image",
                                         spec->image, in->text ? in->text : bt_code_name(in->code));
    ctl_resolve_failed(rev, why);
  }
}

/* ---- checks: did the images of an unchanged app move? ---- */

static json_t *unchanged_result(struct ctl_app *app) {
  json_t *result = json_object();
  bt_json_set_str(result, "app", app->name);
  bt_json_set_int(result, "revision", ctl_rev_latest(app)->number);
  bt_json_set_bool(result, "changed", false);
  bt_json_set(result, "plan", json_array());
  bt_json_set(result, "warnings", json_array());
  return result;
}

static bool pins_moved(const struct ctl_rev *rev, json_t *pins) {
  const char *name;
  json_t *result;
  json_object_foreach(pins, name, result) {
    const struct ctl_spec *spec = ctl_spec_find(rev, name);
    if (spec && !same_pin(result, spec->pinned, spec->digest))
      return true;
  }
  return false;
}

static void finish_check(struct bt_control *c, struct ctl_check *check) {
  struct ctl_app *app = bt_map_get(c->apps, check->app);
  struct ctl_rev *rev = app ? ctl_rev_latest(app) : NULL;
  if (!rev || rev->number != check->revision || app->state == CTL_APP_REMOVING)
    ctl_reply_err(c, check->request, BT_CONFLICT, "%s changed meanwhile; try again", check->app);
  else if (pins_moved(rev, check->pins))
    ctl_apply_moved(app, check);
  else
    ctl_reply(c, check->request, unchanged_result(app));
  for (size_t i = 0; i < c->checks.len; i++)
    if (c->checks.items[i] == check) {
      bt_vec_remove(&c->checks, i);
      break;
    }
  ctl_check_free(check);
}

static void check_done(struct bt_control *c, struct ctl_call *call, const struct bt_input *in) {
  struct ctl_check *check = call->check;
  /* A registry that is away changes nothing: what is pinned goes on. */
  struct ctl_app *app = bt_map_get(c->apps, call->app);
  struct ctl_rev *rev = app ? ctl_rev_find(app, call->revision) : NULL;
  struct ctl_spec *spec = ctl_spec_find(rev, call->service);
  struct ctl_spec *other = spec;
  if (in->code == BT_OK && spec)
    do
      bt_json_set(check->pins, other->service->name, json_deep_copy(in->result));
    while ((other = other->alike) != spec);
  if (--check->waiting == 0)
    finish_check(c, check);
}

void ctl_check_begin(struct ctl_app *app, const struct bt_request *request) {
  struct bt_control *c = app->control;
  struct ctl_rev *rev = ctl_rev_latest(app);
  struct ctl_check *check = bt_new(struct ctl_check);
  check->request = request->id;
  check->app = bt_strdup(app->key);
  check->revision = rev->number;
  check->pins = json_object();
  check->args = json_copy((json_t *)(uintptr_t)request->args);
  json_object_del(check->args, "model"); /* what was deployed is looked at */
  json_object_del(check->args, "model_text");
  check->actor = bt_strdup(request->actor);
  bt_vec_push(&c->checks, check);
  bt_vec_each(&rev->specs, spec) {
    if (!(*spec)->speaker)
      continue;
    check->waiting++;
    call_for(c, *spec, check, bt_json_str(request->args, "build"));
  }
  if (check->waiting == 0)
    finish_check(c, check);
}

static const char *call_key(uint64_t id, char out[24]) {
  snprintf(out, 24, "%llu", (unsigned long long)id);
  return out;
}

uint64_t ctl_call_for(struct bt_control *c, const char *app_key) {
  char key[24];
  bt_map_set(c->asked, call_key(++c->call_seq, key), bt_strdup(app_key));
  return c->call_seq;
}

/* To whom it belongs; what has gone meanwhile misses nothing. False where nobody asked so. */
static bool asked_done(struct bt_control *c, const struct bt_input *in) {
  char key[24];
  BT_AUTO_FREE char *owner = bt_map_take(c->asked, call_key(in->call, key));
  if (!owner)
    return false;
  struct ctl_source *source = bt_map_get(c->sources, owner);
  struct ctl_app *app = bt_map_get(c->apps, owner);
  if (!(source && ctl_source_call_done(c, source, in)) && app)
    ctl_update_call_done(app, in);
  return true;
}

void ctl_call_done(struct bt_control *c, const struct bt_input *in) {
  if (ctl_drain_done(c, in->call) || ctl_autoscale_done(c, in) || asked_done(c, in))
    return;
  struct ctl_call *call = take_call(c, in->call);
  if (!call)
    return;
  if (call->check)
    check_done(c, call, in);
  else
    resolve_done(c, call, in);
  ctl_call_free(call);
}
