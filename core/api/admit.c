#include "config.h"
#include "api/admit.h"

#include <malloc.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "api/document.h"
#include "api/follow_files.h"
#include "api/follow_model.h"
#include "api/zones.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/autoscale.h"

enum { LARGE_BODY = 64 * 1024 };

/* One change on its way. Two turns in a worker: the Compose files, which say what the app is called; then, with the app's present
 * state at hand, policies and seals. In between and after them, the loop. */
struct admission {
  struct bt_api *api;
  struct bt_exchange *x;
  char *namespace_, *app;
  const char *op, *operation;
  bool dry_run, config_only, large;
  json_t *doc;      /* NULL for changes without a document */
  json_t *args;     /* control's; filled on the way */
  char *present;    /* JSON text of the app's present revision; NULL: there is none */
  char *basis;      /* JSON text of the revision that a change without a document starts from */
  json_t *model;
  json_t *origin;   /* of a repository; NULL: somebody sends the files */
  json_t *trees;    /* its folders on this machine; NULL: none */
  json_t *more;     /* what is added to the answer, or to the problem */
  struct bt_compose_result result;
  struct bt_err *err;
};

static void free_work(void *arg) {
  struct admission *a = arg;
  free(a->namespace_);
  free(a->app);
  json_decref(a->doc);
  json_decref(a->args);
  free(a->present);
  free(a->basis);
  json_decref(a->model);
  json_decref(a->origin);
  json_decref(a->trees);
  json_decref(a->more);
  bt_compose_result_free(&a->result);
  bt_err_free(&a->err);
  bool large = a->large;
  free(a);
  if (large)
    malloc_trim(0); /* one large file must not stand in the server's memory for ever */
}

/* A large model takes milliseconds to free. What control keeps of it counts its references atomically. */
static void admission_free(struct admission *a) { bt_pool_run(a->api->s.pool, "admission", free_work, NULL, a); }

static void refuse(struct admission *a) {
  bt_problem_with(a->x, bt_err_code(a->err), bt_err_message(a->err), bt_steal(a->more));
  admission_free(a);
}

static struct admission *admission_new(struct bt_api *api, struct bt_exchange *x, const char *namespace_, const char *app) {
  struct admission *a = bt_new(struct admission);
  a->api = api;
  a->x = x;
  a->namespace_ = bt_strdup(namespace_);
  a->app = bt_strdup(app);
  a->args = json_object();
  a->more = json_object();
  a->large = x->req->body.len > LARGE_BODY;
  return a;
}

/* ---------------------------------------------------------------- worker: the model */

static int apply_scale(json_t *model, const json_t *scale, struct bt_err **err) {
  const char *name;
  json_t *n;
  json_object_foreach((json_t *)(uintptr_t)scale, name, n) {
    json_t *service = bt_json_obj(bt_json_obj(model, "services"), name);
    if (!service)
      return bt_err_set(err, BT_NOT_FOUND, "scale: the app has no service %.63s", name);
    bt_autoscale_replicas(service, n);
  }
  return 0;
}

static void apply_images(json_t *model, const json_t *images) {
  const char *name;
  json_t *image;
  json_object_foreach((json_t *)(uintptr_t)images, name, image) {
    json_t *service = bt_json_obj(bt_json_obj(model, "services"), name);
    if (service)
      json_object_set(service, "image", image);
  }
}

static void apply_resources(json_t *model, const json_t *resources) {
  const char *name;
  json_t *n;
  json_object_foreach((json_t *)(uintptr_t)resources, name, n) {
    json_t *service = bt_json_obj(bt_json_obj(model, "services"), name);
    if (service)
      bt_autoscale_reserve(service, bt_json_num(n, "cpus", 0), bt_json_int(n, "memory", 0));
  }
}

static void load_work(void *arg) {
  struct admission *a = arg;
  a->doc = bt_document_parse(a->x->req->body.data, a->x->req->body.len, &a->err);
  if (!a->doc)
    return;
  int rc = bt_document_load(a->doc, a->app, &a->result, &a->err);
  if (rc == 0 && a->origin)
    rc = bt_follow_place(a->result.model, a->app, a->result.places, a->trees, a->origin, &a->result.diags, &a->err);
  bt_json_set(a->more, "diagnostics", bt_diags_json(&a->result.diags));
  if (rc < 0 && !a->err && bt_diags_err(&a->result.diags, &a->err) == 0)
    bt_err_set(&a->err, BT_INVALID, "the Compose files cannot be loaded");
  if (rc < 0 || a->err)
    return;
  a->model = json_incref(a->result.model);
  if (apply_scale(a->model, bt_json_obj(a->doc, "scale"), &a->err) == 0)
    bt_str_set(&a->app, a->result.name);
}

/* ---------------------------------------------------------------- worker: policies and seals */

static json_t *model_of(const char *revision_text) {
  BT_AUTO_JSON revision = revision_text ? json_loads(revision_text, 0, NULL) : NULL;
  return json_incref(bt_json_obj(revision, "model"));
}

static json_t *policy_context(const struct admission *a) {
  char time[32];
  json_t *o = json_object(), *present = model_of(a->present);
  bt_json_set_str(o, "namespace", a->namespace_);
  bt_json_set_str(o, "app", a->app);
  bt_json_set_str(o, "user", a->x->actor);
  bt_json_set_str(o, "operation", a->operation ? a->operation : present ? "update" : "create");
  if (a->origin)
    bt_json_set(o, "origin", json_incref(a->origin));
  bt_json_set(o, "current", present ? present : json_null());
  bt_json_set_str(o, "time", bt_clock_format(bt_clock_wall_ms(), time));
  return o;
}

static json_t *list_of(const struct bt_strs *strings) {
  json_t *list = json_array();
  for (size_t i = 0; i < strings->len; i++)
    json_array_append_new(list, bt_json_string(strings->items[i]));
  return list;
}

static int deny(struct admission *a, const struct bt_verdict *v) {
  BT_AUTO_BUF text = {0};
  for (size_t i = 0; i < v->denials.len; i++)
    bt_buf_addf(&text, "%s%s", i ? "; " : "", v->denials.items[i]);
  bt_json_set(a->more, "denials", list_of(&v->denials));
  return bt_err_set(&a->err, BT_DENIED, "a policy refuses it: %s", text.data);
}

static int ask_policies(struct admission *a) {
  struct bt_policy *policy = a->api->s.policy;
  if (!policy)
    return 0;
  BT_AUTO_JSON context = policy_context(a);
  struct bt_verdict v = {0};
  bt_policy_refresh(policy, NULL); /* a broken file leaves the last good set in force, and shows in /v1/policies and the log */
  int rc = bt_policy_check(policy, a->model, context, &v, &a->err);
  if (rc == 0 && v.denials.len)
    rc = deny(a, &v);
  if (rc == 0 && v.model && a->doc) { /* only an apply may be changed: a rollback brings back what was */
    json_decref(a->model);
    a->model = json_incref(v.model);
  }
  if (v.warnings.len)
    bt_json_set(a->more, "warnings", list_of(&v.warnings));
  if (json_array_size(v.changes) && a->doc)
    bt_json_set(a->more, "policy_changes", json_incref(v.changes));
  bt_verdict_free(&v);
  return rc;
}

/* Secrets are sealed under "NS/APP/NAME", so that a blob cannot be moved to another name. */
static json_t *sealed_content(const struct admission *a, const char *key, const struct bt_compose_content *c) {
  const struct bt_seal *seal = a->api->s.seal;
  bool secret = bt_starts(key, "secrets/");
  BT_AUTO_FREE char *name = bt_asprintf("%s/%s/%s", a->namespace_, a->app, secret ? key + 8 : key);
  BT_AUTO_FREE char *fingerprint = bt_seal_fingerprint(seal, name, c->data, c->len);
  json_t *o = json_object();
  if (secret) {
    BT_AUTO_FREE char *sealed = bt_seal_encrypt(seal, name, c->data, c->len);
    bt_json_set_str(o, "sealed", sealed);
  } else {
    size_t room = sodium_base64_encoded_len(c->len, sodium_base64_VARIANT_ORIGINAL);
    BT_AUTO_FREE char *text = bt_calloc(room, 1);
    sodium_bin2base64(text, room, (const unsigned char *)c->data, c->len, sodium_base64_VARIANT_ORIGINAL);
    bt_json_set_str(o, "data", text);
  }
  bt_json_set_str(o, "fingerprint", fingerprint);
  bt_json_set_int(o, "size", (long long)c->len);
  return o;
}

/* Where each service stands; of a repository, from its root. */
static json_t *origin_json(const struct admission *a) {
  json_t *origin = a->origin ? json_copy(a->origin) : json_object(), *place;
  const char *name, *root = BT_FOLLOW_ROOT "/";
  if (a->origin)
    json_object_foreach(a->result.places, name, place) {
      const char *file = bt_json_str_or(place, "file", "");
      if (bt_starts(file, root))
        bt_json_set(place, "file", bt_json_string(file + strlen(root)));
    }
  json_object_set(origin, "services", a->result.places);
  return origin;
}

/* The model as control can read it again after a restart, with its text: so that it need not do that itself. */
static int model_args(struct admission *a) {
  BT_AUTO_FREE char *text = bt_json_text(a->model);
  json_t *model = bt_json_parse(text, strlen(text), 64u << 20, 0, "model", &a->err);
  if (!model)
    return -1;
  bt_json_set(a->args, "model", model);
  bt_json_set_str(a->args, "model_text", text);
  return 0;
}

static void apply_args(struct admission *a) {
  static const char *const texts[] = {"message", "build"};
  json_t *contents = json_object();
  for (struct bt_map_iter it = bt_map_iter(a->result.contents); bt_map_next(&it);)
    bt_json_set(contents, it.key, sealed_content(a, it.key, it.value));
  bt_json_set_str(a->args, "namespace", a->namespace_);
  bt_json_set_str(a->args, "app", a->app);
  bt_json_set(a->args, "contents", contents);
  BT_AUTO_JSON zones = bt_zones_of_model(a->model);
  if (json_array_size(zones))
    bt_json_set(a->args, "zones", bt_zones_read(zones));
  for (size_t i = 0; i < BT_COUNT(texts); i++)
    if (bt_json_str(a->doc, texts[i]))
      bt_json_set_str(a->args, texts[i], bt_json_str(a->doc, texts[i]));
  bt_json_set(a->args, "origin", origin_json(a));
  if (a->origin) {
    bt_json_set_str(a->args, "cause", "source");
    bt_json_set_str(a->args, "message", bt_json_str(a->origin, "subject"));
  }
  bt_json_set_bool(a->args, "recreate", bt_json_bool(a->doc, "recreate", false));
  const json_t *files = bt_json_arr(bt_json_obj(a->doc, "bundle"), "compose_files");
  bt_json_set_str(a->args, "source", json_string_value(json_array_get(files, 0)));
}

static void check_work(void *arg) {
  struct admission *a = arg;
  if (!a->doc) {
    a->model = model_of(a->basis);
    if (bt_streq(a->op, "app.update"))
      apply_images(a->model, bt_json_obj(a->args, "images"));
    if (bt_streq(a->op, "app.resources"))
      apply_resources(a->model, bt_json_obj(a->args, "services"));
    if (!a->model)
      bt_err_set(&a->err, BT_INTERNAL, "the revision's model cannot be read");
    else if (apply_scale(a->model, bt_streq(a->op, "app.scale") ? bt_json_obj(a->args, "services") : NULL, &a->err) == 0 &&
             ask_policies(a) == 0)
      return;
  } else if (ask_policies(a) == 0 && model_args(a) == 0) {
    apply_args(a);
  }
}

/* ---------------------------------------------------------------- the loop */

static void check_done(void *arg) {
  struct admission *a = arg;
  if (a->err) {
    refuse(a);
    return;
  }
  bt_api_write(a->api, a->x, a->op, json_incref(a->args), a->dry_run, bt_steal(a->more));
  admission_free(a);
}

/* The stored revision's JSON text, or NULL. number 0: the app's latest. */
static char *revision_text(struct bt_api *api, const char *namespace_, const char *app, long long number) {
  struct bt_control *control = api->s.control(api->s.arg);
  if (number == 0)
    number = bt_control_latest(control, namespace_, app);
  BT_AUTO_FREE char *name = bt_asprintf("%s/%lld", app, number);
  return number ? bt_strdup(bt_control_get(control, "revisions", namespace_, name, NULL, NULL)) : NULL;
}

static void load_done(void *arg) {
  struct admission *a = arg;
  if (a->err) {
    refuse(a);
  } else if (a->config_only) {
    bt_json_set_str(a->more, "name", a->result.name);
    bt_json_set(a->more, "model", json_incref(a->model));
    bt_reply_json(a->x, 200, bt_steal(a->more));
    admission_free(a);
  } else {
    a->present = revision_text(a->api, a->namespace_, a->app, 0);
    bt_pool_run(a->api->s.pool, "admission", check_work, check_done, a);
  }
}

static void apply(struct bt_api *api, struct bt_exchange *x, const char *namespace_, const char *app, json_t *origin, json_t *trees) {
  struct admission *a = admission_new(api, x, namespace_, app);
  a->origin = origin;
  a->trees = trees;
  a->op = "app.apply";
  json_t *if_match = bt_query_bool(x->req, "dryRun", false, &a->dry_run, &a->err) == 0 ? bt_if_match(x->req, &a->err) : NULL;
  if (!if_match) {
    refuse(a);
    return;
  }
  bt_json_set(a->args, "if_match", if_match);
  bt_pool_run(api->s.pool, "admission", load_work, load_done, a);
}

void bt_admit_apply(struct bt_api *api, struct bt_exchange *x, const char *namespace_, const char *app) {
  apply(api, x, namespace_, app, NULL, NULL);
}

void bt_admit_sync(struct bt_api *api, struct bt_exchange *x, const char *namespace_, const char *app, json_t *origin, json_t *trees) {
  apply(api, x, namespace_, app, origin, trees);
}

void bt_admit_simulate(struct bt_api *api, struct bt_exchange *x, const char *namespace_, json_t *args) {
  if (x->req->body.len == 0) {
    bt_api_write(api, x, "simulate", args, true, NULL);
    return;
  }
  struct admission *a = admission_new(api, x, namespace_, NULL);
  json_decref(a->args);
  a->args = args;
  a->op = "simulate";
  a->dry_run = true;
  bt_pool_run(api->s.pool, "admission", load_work, load_done, a);
}

void bt_admit_config(struct bt_api *api, struct bt_exchange *x) {
  struct admission *a = admission_new(api, x, "default", NULL);
  a->config_only = true;
  bt_pool_run(api->s.pool, "admission", load_work, load_done, a);
}

void bt_admit_change(struct bt_api *api, struct bt_exchange *x, const char *op, json_t *args, const char *operation,
                     long long revision, bool dry_run) {
  struct admission *a = admission_new(api, x, bt_json_str(args, "namespace"), bt_json_str(args, "app"));
  json_decref(a->args);
  a->args = args;
  a->op = op;
  a->operation = operation;
  a->dry_run = dry_run;
  a->present = revision_text(api, a->namespace_, a->app, 0);
  a->basis = revision_text(api, a->namespace_, a->app, revision);
  if (a->basis && api->s.policy)
    bt_pool_run(api->s.pool, "admission", check_work, check_done, a);
  else
    check_done(a); /* control says what is missing */
}
