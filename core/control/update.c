/* Images that move: services with x-berth.update are asked about now and then, and when a registry tells of a push; where the
 * tag means another image, or a newer tag is in the range, a revision of Berth's own is proposed to the admission (call
 * "app.update"). It is rolled out as every other, and goes back where it fails; what failed once is not proposed again. */
#include "config.h"

#include "control/internal.h"
#include "model/image.h"
#include "model/semver.h"

enum { busy_retry_ms = 5000, spread_share = 10 };

struct ask {
  uint64_t call;
  char *service;
  bool tags;
};

struct ctl_update {
  int revision;     /* the app's latest when it began */
  uint64_t proposal; /* the call "app.update"; 0: not yet */
  json_t *pins;     /* {service: result of image.resolve}: what moved */
  json_t *images;   /* {service: image}: newer tags */
  BT_VEC(struct ask) asks;
};

void ctl_update_free(struct ctl_update **update) {
  struct ctl_update *u = bt_steal(*update);
  if (!u)
    return;
  bt_vec_each(&u->asks, ask) free(ask->service);
  bt_vec_free(&u->asks);
  json_decref(u->pins);
  json_decref(u->images);
  free(u);
}

/* ---- when ---- */

static bool follows(const struct ctl_spec *spec) { return spec->service->auto_update != NULL; }

static void at(struct ctl_app *app, int64_t ms) {
  app->update_ms = ms;
  app->control->wake_ms = BT_MIN(app->control->wake_ms, ms);
}

void ctl_update_plan(struct ctl_app *app) {
  int64_t interval = INT64_MAX;
  app->update_ms = INT64_MAX;
  if (app->target && app->state != CTL_APP_REMOVING)
    bt_vec_each(&app->target->specs, spec) if (follows(*spec)) interval = BT_MIN(interval, (*spec)->service->auto_update_ms);
  if (interval == INT64_MAX)
    return;
  at(app, app->control->now_ms + interval - (int64_t)(bt_str_hash(app->key) % (unsigned)(interval / spread_share + 1)));
}

/* ---- asking ---- */

static void ask(struct bt_control *c, struct ctl_update *u, const struct ctl_spec *spec) {
  const struct bt_service *s = spec->service;
  bool tags = !bt_streq(s->auto_update, "digest");
  json_t *args = json_object();
  bt_json_set_str(args, "image", spec->image);
  bt_json_set_str(args, "platform", s->platform);
  bt_json_set_str(args, "policy", "always");
  bt_json_set(args, "current", spec->pinned ? json_string(spec->pinned) : json_null());
  struct ask a = {ctl_call_for(c, spec->rev->app->key), bt_strdup(s->name), tags};
  bt_vec_push(&u->asks, a);
  bt_vec_push(&c->fx->calls, ((struct bt_call){.id = a.call, .kind = tags ? "image.tags" : "image.resolve", .args = args}));
}

/* Only what stands is updated: a change that is under way comes first, one that failed by hand waits for its maker. */
static bool ready(const struct ctl_app *app) {
  const struct ctl_rev *latest = ctl_rev_latest(app);
  bool own = latest && latest->state == CTL_REV_FAILED && bt_streq(latest->cause, "update");
  return app->state != CTL_APP_REMOVING && app->target && app->target->state == CTL_REV_DEPLOYED && (latest == app->target || own);
}

void ctl_update_wake(struct ctl_app *app) {
  struct bt_control *c = app->control;
  if (c->now_ms < app->update_ms || app->update) {
    c->wake_ms = app->update ? c->wake_ms : BT_MIN(c->wake_ms, app->update_ms);
    return;
  }
  if (!ready(app)) {
    at(app, c->now_ms + busy_retry_ms);
    return;
  }
  struct ctl_update *u = bt_new(struct ctl_update);
  u->revision = ctl_rev_latest(app)->number;
  u->pins = json_object();
  u->images = json_object();
  bt_vec_each(&app->target->specs, spec) if (follows(*spec)) ask(c, u, *spec);
  if (u->asks.len)
    app->update = u;
  else
    ctl_update_free(&u);
  app->update_again = false;
  ctl_update_plan(app);
}

/* ---- what was found ---- */

/* A revision of ours with the same image failed: trying it again cannot help. */
static bool failed_before(const struct ctl_app *app, const char *service, const char *image, const char *digest) {
  bt_vec_each(&app->revs, r) {
    const json_t *pin = bt_json_obj((*r)->pins, service);
    if ((*r)->state != CTL_REV_FAILED || !bt_streq((*r)->cause, "update"))
      continue;
    if (digest ? bt_streq(bt_json_str(pin, "digest"), digest) : bt_streq(bt_json_str(bt_json_obj((*r)->origin, "images"), service), image))
      return true;
  }
  return false;
}

static void take_digest(struct ctl_app *app, const struct ctl_spec *spec, const json_t *result) {
  const char *digest = bt_json_str(result, "digest");
  if (!digest || !bt_streq(bt_json_str(result, "source"), "registry") || bt_streq(digest, spec->digest) ||
      bt_streq(bt_json_str(result, "pinned"), spec->pinned) || failed_before(app, spec->service->name, NULL, digest))
    return;
  bt_json_set(app->update->pins, spec->service->name, json_deep_copy(result));
}

/* The image with another tag, written as it is. */
static char *with_tag(const char *image, const char *tag) {
  const char *slash = strrchr(image, '/'), *colon = strrchr(image, ':');
  size_t n = colon && (!slash || colon > slash) ? (size_t)(colon - image) : strlen(image);
  return bt_asprintf("%.*s:%s", (int)n, image, tag);
}

static void take_tags(struct ctl_app *app, const struct ctl_spec *spec, const json_t *result) {
  const char *range = spec->service->auto_update, *best = NULL;
  const json_t *tags = bt_json_arr(result, "tags");
  BT_AUTO_IMAGE ref = {0};
  if (bt_image_parse(spec->image, &ref, NULL) < 0)
    return;
  for (size_t i = 0; i < json_array_size(tags); i++) {
    const char *tag = json_string_value(json_array_get(tags, i));
    if (!tag || strlen(tag) > 128 || !bt_semver_in(range, tag) || (best && bt_semver_compare(tag, best) <= 0) ||
        (ref.tag && bt_semver_is(ref.tag) && bt_semver_compare(tag, ref.tag) <= 0))
      continue;
    BT_AUTO_FREE char *image = with_tag(spec->image, tag);
    if (!failed_before(app, spec->service->name, image, NULL))
      best = tag;
  }
  BT_AUTO_FREE char *image = best ? with_tag(spec->image, best) : NULL;
  if (image)
    bt_json_set_str(app->update->images, spec->service->name, image);
}

static char *words(const struct ctl_update *u) {
  BT_AUTO_BUF b = {0};
  const char *name;
  json_t *v;
  json_object_foreach(u->images, name, v) bt_buf_addf(&b, "%s%s moves to %s", b.len ? ", " : "", name, json_string_value(v));
  json_object_foreach(u->pins, name, v)
    bt_buf_addf(&b, "%simage of %s now is %.19s", b.len ? ", " : "", name, bt_json_str_or(v, "digest", "another"));
  return bt_buf_steal(&b);
}

static void propose(struct ctl_app *app) {
  struct bt_control *c = app->control;
  struct ctl_update *u = app->update;
  const struct ctl_rev *latest = ctl_rev_latest(app);
  if ((json_object_size(u->pins) == 0 && json_object_size(u->images) == 0) || !latest || latest->number != u->revision || !ready(app)) {
    ctl_update_free(&app->update);
    if (app->update_again)
      at(app, c->now_ms);
    return;
  }
  BT_AUTO_FREE char *message = words(u);
  json_t *args = json_object();
  bt_json_set_str(args, "namespace", app->ns);
  bt_json_set_str(args, "app", app->name);
  bt_json_set_int(args, "revision", u->revision);
  bt_json_set_int(args, "of", app->target->number);
  bt_json_set(args, "images", json_incref(u->images));
  bt_json_set(args, "pins", json_incref(u->pins));
  bt_json_set_str(args, "message", message);
  u->proposal = ctl_call_for(c, app->key);
  bt_vec_push(&c->fx->calls, ((struct bt_call){.id = u->proposal, .kind = "app.update", .args = args}));
}

static void proposed(struct ctl_app *app, const struct bt_input *in) {
  const char *why = in->text ? in->text : bt_code_name(in->code);
  ctl_update_free(&app->update);
  if (in->code != BT_OK && in->code != BT_CONFLICT && !bt_streq(app->update_refused, why))
    ctl_event(app->control, "warning", "update.refused", app->ns, app->name, app->name, NULL, "%s: a newer image is not taken: %s", app->name, why);
  bt_str_set(&app->update_refused, in->code == BT_OK ? NULL : why);
  if (app->update_again)
    at(app, app->control->now_ms);
}

static void answered(struct ctl_app *app, size_t i, const struct bt_input *in) {
  struct ctl_update *u = app->update;
  struct ask a = u->asks.items[i];
  bt_vec_remove(&u->asks, i);
  const struct ctl_spec *spec = ctl_spec_find(app->target, a.service);
  if (in->code == BT_OK && spec && follows(spec)) {
    if (a.tags)
      take_tags(app, spec, in->result);
    else
      take_digest(app, spec, in->result);
  }
  free(a.service);
  if (u->asks.len == 0)
    propose(app);
}

bool ctl_update_call_done(struct ctl_app *app, const struct bt_input *in) {
  if (app->update && app->update->proposal == in->call) {
    proposed(app, in);
    return true;
  }
  for (size_t i = 0; app->update && i < app->update->asks.len; i++)
    if (app->update->asks.items[i].call == in->call) {
      answered(app, i, in);
      return true;
    }
  return false;
}

/* ---- a registry tells of a push ---- */

static bool uses(const struct ctl_app *app, const char *repository) {
  if (app->target)
    bt_vec_each(&app->target->specs, spec) {
      BT_AUTO_IMAGE ref = {0};
      if (follows(*spec) && bt_image_parse((*spec)->image, &ref, NULL) == 0 && bt_streq(ref.repository, repository))
        return true;
    }
  return false;
}

/* A hint: whose registry it was does not matter, the look tells. */
void ctl_image_pushed(struct bt_control *c, const struct bt_request *request) {
  const char *repository = bt_json_str_or(request->args, "repository", "");
  int n = 0;
  for (struct bt_map_iter it = bt_map_iter(c->apps); bt_map_next(&it);) {
    struct ctl_app *app = it.value;
    if (!*repository || !uses(app, repository))
      continue;
    app->update_again = app->update != NULL;
    at(app, c->now_ms);
    n++;
  }
  json_t *result = json_object();
  bt_json_set_int(result, "matched", n);
  ctl_reply(c, request->id, result);
}
