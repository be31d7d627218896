/* Looks at the repository that an app follows, reads the Compose files of a commit with all that they name, and sends them through the
 * admission like everybody's. Does what control's calls "source.sync" and "source.status" ask; control says when. */
#include "config.h"
#include "api/internal.h"

#include <berth/scm.h>
#include <stdio.h>
#include <string.h>

#include "api/admit.h"
#include "api/follow_files.h"
#include "api/follow_model.h"
#include "api/follow_trees.h"
#include "base/json.h"
#include "base/mem.h"
#include "plugin/plugin.h"

enum { resolve_deadline_ms = 60000, fetch_deadline_ms = 600000, status_deadline_ms = 30000, max_rounds = 20 };

/* The result of a call: see struct bt_call in control/control.h. Exactly once, not from inside. */
typedef void call_done(void *arg, enum bt_code code, const char *message, const json_t *result);

/* One look. */
struct sync {
  struct bt_api *api;
  json_t *args;
  const json_t *spec; /* of args */
  size_t at;          /* the entry that is asked, in order of the configuration */
  char *entry;        /* the one that speaks for the repository */
  char *signers;      /* public keys, one of which has to have signed; NULL: nobody asks */
  char *why;          /* what the last one said that does not */
  json_t *answer;     /* what is known so far */
  struct bt_follow_files *files;
  json_t *trees;      /* folders and files of the commit on this machine; NULL: none are needed */
  int rounds;
  char *request;      /* paths of the fetch under way */
  call_done *done;
  void *arg;
};

static void sync_end(struct sync *s, enum bt_code code, const char *message) {
  if (s->trees)
    bt_trees_keeper_soon(s->api->trees);
  s->done(s->arg, code, message, code == BT_OK ? s->answer : NULL);
  bt_follow_files_free(&s->files);
  json_decref(s->args);
  json_decref(s->answer);
  json_decref(s->trees);
  free(s->entry);
  free(s->why);
  free(s->signers);
  free(s->request);
  free(s);
}

/* The commit is known, but did not come to anything. */
static void sync_fail(struct sync *s, enum bt_code code, const char *message) {
  json_t *problem = json_object();
  BT_AUTO_FREE char *words = bt_follow_words(message ? message : "");
  bt_json_set_str(problem, "code", bt_code_name(code));
  bt_json_set_str(problem, "message", words);
  bt_json_set(s->answer, "error", problem);
  sync_end(s, BT_OK, "");
}

/* ---------------------------------------------------------------- through the admission */

/* The same diagnostics with the files' paths in the repository; new reference. */
static json_t *inner_places(const json_t *diagnostics) {
  json_t *list = json_deep_copy(diagnostics), *one;
  size_t i;
  json_array_foreach(list, i, one) {
    const char *inner = bt_follow_inner(bt_json_str(one, "file"));
    BT_AUTO_FREE char *file = inner && *inner ? bt_strdup(inner) : NULL;
    if (file)
      bt_json_set_str(one, "file", file);
  }
  return list;
}

static void admitted(void *arg, int status, const char *body, size_t len) {
  struct sync *s = arg;
  BT_AUTO_JSON answer = json_loadb(body, len, 0, NULL);
  if (status < 300 && answer) {
    json_object_update(s->answer, answer);
    bt_json_set_bool(s->answer, "applied", !bt_json_bool(s->args, "dry_run", false));
    bt_json_set_bool(s->answer, "correct", bt_json_bool(s->args, "correct", false));
    sync_end(s, BT_OK, "");
    return;
  }
  if (bt_json_arr(answer, "diagnostics"))
    bt_json_set(s->answer, "diagnostics", inner_places(bt_json_arr(answer, "diagnostics")));
  sync_fail(s, bt_code_from_name(bt_json_str_or(answer, "code", "internal")), bt_json_str_or(answer, "detail", "it was refused"));
}

static json_t *origin_of(const struct sync *s) {
  static const char *const keys[] = {"commit", "ref", "author", "email", "time", "subject", "signature"};
  json_t *o = json_object();
  bt_json_set_str(o, "repository", bt_json_str(s->spec, "repository"));
  for (size_t i = 0; i < BT_COUNT(keys); i++)
    if (json_object_get(s->answer, keys[i]))
      json_object_set(o, keys[i], json_object_get(s->answer, keys[i]));
  const char *path;
  json_t *tree, *ids = json_object();
  json_object_foreach(s->trees, path, tree) json_object_set(ids, path, json_object_get(tree, "id"));
  bt_json_set(o, "trees", ids);
  return o;
}

static void admit(struct sync *s) {
  const char *ns = bt_json_str(s->args, "namespace"), *app = bt_json_str(s->args, "app"), *actor = bt_json_str(s->args, "actor");
  struct bt_exchange *x = bt_exchange_internal(admitted, s);
  snprintf(x->actor, sizeof x->actor, "%s%s", actor ? "" : "source/", actor ? actor : app);
  BT_AUTO_FREE char *head = bt_asprintf("PUT /v1/namespaces/%s/apps/%s?dryRun=%s HTTP/1.1\r\nHost: localhost\r\n\r\n", ns, app,
                                        bt_json_bool(s->args, "dry_run", false) ? "true" : "false");
  size_t used = bt_req_feed(x->req, head, strlen(head));
  BT_ASSERT(x->req->state == BT_REQ_DONE && used == strlen(head)); /* control checked the names */
  bt_follow_files_document(s->files, &x->req->body);
  bt_admit_sync(s->api, x, ns, app, origin_of(s), json_incref(s->trees));
}

/* ---------------------------------------------------------------- folders to build and mount */

static void trees_done(void *arg, enum bt_code code, const char *message, const json_t *trees) {
  struct sync *s = arg;
  if (code != BT_OK) {
    sync_fail(s, code, message);
    return;
  }
  s->trees = json_incref((json_t *)(uintptr_t)trees);
  admit(s);
}

static void bring_trees(struct sync *s, const json_t *needs) {
  struct bt_follow_trees_ask ask = {.entry = s->entry,
                                    .namespace_ = bt_json_str(s->args, "namespace"),
                                    .app = bt_json_str(s->args, "app"),
                                    .repository = bt_json_str(s->spec, "repository"),
                                    .commit = bt_json_str(s->answer, "commit"),
                                    .ref = bt_json_str(s->answer, "ref")};
  bt_follow_trees(s->api, &ask, needs, trees_done, s);
}

/* ---------------------------------------------------------------- files */

static void fetch(struct sync *s);

static void read_done(void *arg) {
  struct sync *s = arg;
  const struct bt_err *err = bt_follow_files_error(s->files);
  if (err)
    sync_fail(s, bt_err_code(err), bt_err_message(err));
  else if (!bt_follow_files_wanted(s->files) && bt_follow_files_needs(s->files))
    bring_trees(s, bt_follow_files_needs(s->files));
  else if (!bt_follow_files_wanted(s->files))
    admit(s);
  else if (++s->rounds > max_rounds)
    sync_fail(s, BT_INVALID, "the Compose files name one another too many times over");
  else
    fetch(s);
}

static void read_work(void *arg) { bt_follow_files_read(((struct sync *)arg)->files); }

/* ---------------------------------------------------------------- the commit */

static void take_person(struct sync *s, const json_t *result) {
  const json_t *author = bt_json_obj(result, "author");
  bt_json_set_str(s->answer, "author", bt_json_str(author, "name"));
  bt_json_set_str(s->answer, "email", bt_json_str(author, "email"));
  bt_json_set_int(s->answer, "time", bt_json_int(author, "time", 0));
  bt_json_set_str(s->answer, "subject", bt_json_str(result, "subject"));
}

/* False where the commit may not be used. */
static bool check_signature(struct sync *s, const json_t *result) {
  const json_t *signature = bt_json_obj(result, "signature");
  const char *verdict = bt_json_str_or(signature, "verdict", "none"), *signer = bt_json_str(signature, "signer");
  if (!s->signers)
    return true;
  if (bt_streq(verdict, "good")) {
    bt_json_set_str(s->answer, "signature", signer ? signer : "good");
    return true;
  }
  BT_AUTO_FREE char *text =
      bt_asprintf("it is not signed by a key that this source trusts: %s",
                  bt_json_str_or(signature, "detail", bt_streq(verdict, "none") ? "it has no signature" : "its signature does not hold"));
  sync_fail(s, BT_DENIED, text);
  return false;
}

static void fetched(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct sync *s = arg;
  if (code != BT_OK) {
    sync_fail(s, code, message);
    return;
  }
  take_person(s, result);
  if (!check_signature(s, result))
    return;
  bt_follow_files_add(s->files, bt_json_obj(result, "files"));
  bt_pool_run(s->api->s.pool, "read a source's files", read_work, read_done, s);
}

static void fetch(struct sync *s) {
  struct bt_plugin *entry = bt_plugins_named(s->api->s.plugins, s->entry);
  const struct berth_scm *table = entry ? bt_plugin_methods(entry, BERTH_SCM) : NULL;
  if (!table) {
    sync_fail(s, BT_UNAVAILABLE, "the plug-in that speaks for the repository went away meanwhile");
    return;
  }
  free(s->request);
  s->request = bt_follow_files_ask(s->files);
  struct berth_scm_fetch request = {.size = sizeof request,
                                    .repository = bt_json_str(s->spec, "repository"),
                                    .commit = bt_json_str(s->answer, "commit"),
                                    .ref = bt_json_str(s->answer, "ref"),
                                    .paths_json = s->request,
                                    .signers = s->signers};
  struct bt_plugin_call call = {
      .method = "scm.fetch", .deadline_ms = fetch_deadline_ms, .done = fetched, .arg = s, .owner = s->api};
  bt_plugin_invoke(entry, table, fetch, &call, &request);
}

/* The keys stand in the source, or in a secret of the namespace: read anew each time, so that a new one counts at once. */
static int find_signers(struct sync *s, struct bt_err **err) {
  const char *ns = bt_json_str(s->args, "namespace"), *secret = bt_json_str(s->spec, "signers_secret");
  bt_str_set(&s->signers, bt_json_str(s->spec, "signers"));
  if (!secret)
    return 0;
  BT_AUTO_FREE char *key = bt_asprintf("secrets/-/%s", secret);
  BT_AUTO_FREE char *sealed = bt_asprintf("%s/-/%s", ns, secret);
  const char *blob = bt_control_secret_blob(s->api->s.control(s->api->s.arg), ns, key);
  void *data = NULL;
  size_t len = 0;
  if (!blob)
    return bt_err_set(err, BT_NOT_FOUND, "the secret %s with the keys of signers is not there: make it with berth secret put", secret);
  if (bt_seal_decrypt(s->api->s.seal, sealed, blob, &data, &len, err) < 0)
    return -1;
  s->signers = bt_strndup(data, len);
  bt_wipe(data, len);
  free(data);
  return 0;
}

static bool skipped(const struct sync *s, const char *commit) {
  const json_t *skip = bt_json_arr(s->args, "skip");
  for (size_t i = 0; i < json_array_size(skip); i++)
    if (bt_streq(json_string_value(json_array_get(skip, i)), commit))
      return true;
  return !bt_json_bool(s->args, "apply", false);
}

static void resolve(struct sync *s);

static void resolved(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct sync *s = arg;
  const char *commit = bt_json_str(result, "commit");
  if (code == BT_UNSUPPORTED) {
    bt_str_set(&s->why, message);
    s->at++;
    resolve(s);
  } else if (code != BT_OK || !commit) {
    sync_end(s, code == BT_OK ? BT_INTERNAL : code, code == BT_OK ? "the plug-in named no commit" : message);
  } else {
    bt_json_set_str(s->answer, "commit", commit);
    bt_json_set_str(s->answer, "ref", bt_json_str(result, "ref"));
    if (skipped(s, commit)) {
      sync_end(s, BT_OK, "");
      return;
    }
    BT_AUTO_ERR err = NULL;
    if (find_signers(s, &err) < 0) {
      sync_fail(s, bt_err_code(err), bt_err_message(err));
      return;
    }
    s->files = bt_follow_files_new(bt_json_str(s->args, "app"), s->spec);
    fetch(s);
  }
}

static void nobody(void *arg) {
  struct sync *s = arg;
  sync_end(s, BT_UNSUPPORTED, s->why ? s->why : "no plug-in for repositories runs: name scm-git under plugins: in berthd.yaml");
}

static void resolve(struct sync *s) {
  struct bt_plugin *entry = s->api->s.plugins ? bt_plugins_find(s->api->s.plugins, BERTH_SCM, s->at) : NULL;
  if (!entry) {
    bt_loop_post(s->api->s.loop, "api: no plug-in for repositories", nobody, s);
    return;
  }
  bt_str_set(&s->entry, bt_plugin_name(entry));
  const struct berth_scm *table = bt_plugin_methods(entry, BERTH_SCM);
  struct berth_scm_resolve request = {.size = sizeof request,
                                      .repository = bt_json_str(s->spec, "repository"),
                                      .branch = bt_json_str(s->spec, "branch"),
                                      .tag = bt_json_str(s->spec, "tag")};
  struct bt_plugin_call call = {
      .method = "scm.resolve", .deadline_ms = resolve_deadline_ms, .done = resolved, .arg = s, .owner = s->api};
  bt_plugin_invoke(entry, table, resolve, &call, &request);
}

static void start_sync(struct bt_api *api, const json_t *args, call_done *done, void *arg) {
  struct sync *s = bt_new(struct sync);
  *s = (struct sync){.api = api, .args = json_deep_copy(args), .answer = json_object(), .done = done, .arg = arg};
  s->spec = bt_json_obj(s->args, "spec");
  resolve(s);
}

/* ---------------------------------------------------------------- statuses */

struct status {
  struct bt_api *api;
  json_t *args;
  size_t at;
  call_done *done;
  void *arg;
};

static void tell(struct status *s);

static void told(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct status *s = arg;
  if (code == BT_UNSUPPORTED) {
    s->at++;
    tell(s);
    return;
  }
  s->done(s->arg, code, message, result);
  json_decref(s->args);
  free(s);
}

static void nobody_told(void *arg) {
  struct status *s = arg;
  s->done(s->arg, BT_UNSUPPORTED, "no plug-in tells the repository's host", NULL);
  json_decref(s->args);
  free(s);
}

/* At most 140 characters, as hosts take them; cut at a whole one. */
static char *short_text(const char *text) {
  size_t chars = 0, n = 0;
  for (; text[n]; n++)
    if (((unsigned char)text[n] & 0xC0) != 0x80 && ++chars > 140)
      break;
  return bt_strndup(text, n);
}

static void tell(struct status *s) {
  struct bt_plugin *entry = s->api->s.plugins ? bt_plugins_find(s->api->s.plugins, BERTH_SCM, s->at) : NULL;
  if (!entry) {
    bt_loop_post(s->api->s.loop, "api: nobody to tell", nobody_told, s);
    return;
  }
  const struct berth_scm *table = bt_plugin_methods(entry, BERTH_SCM);
  BT_AUTO_FREE char *description = short_text(bt_json_str_or(s->args, "description", ""));
  struct berth_scm_status request = {.size = sizeof request,
                                     .repository = bt_json_str_or(s->args, "repository", ""),
                                     .commit = bt_json_str_or(s->args, "commit", ""),
                                     .state = bt_json_str_or(s->args, "state", "pending"),
                                     .context = bt_json_str_or(s->args, "context", "berth"),
                                     .description = description,
                                     .url = bt_json_str(s->args, "url")};
  struct bt_plugin_call call = {.method = "scm.status", .deadline_ms = status_deadline_ms, .done = told, .arg = s, .owner = s->api};
  bt_plugin_invoke(entry, table, status, &call, &request);
}

static void start_status(struct bt_api *api, const json_t *args, call_done *done, void *arg) {
  struct status *s = bt_new(struct status);
  *s = (struct status){.api = api, .args = json_deep_copy(args), .done = done, .arg = arg};
  tell(s);
}

/* ---------------------------------------------------------------- images that moved */

struct update {
  call_done *done;
  void *arg;
};

static void updated(void *arg, int status, const char *body, size_t len) {
  struct update *u = arg;
  BT_AUTO_JSON answer = json_loadb(body, len, 0, NULL);
  if (status < 300)
    u->done(u->arg, BT_OK, "", answer);
  else
    u->done(u->arg, bt_code_from_name(bt_json_str_or(answer, "code", "internal")), bt_json_str_or(answer, "detail", "it was refused"), NULL);
  free(u);
}

/* By the way of a scale or a rollback: the policies see the model as it is to be. */
static void update(struct bt_api *api, const char *op, const char *actor, const json_t *args, call_done *done, void *arg) {
  struct update *u = bt_new(struct update);
  *u = (struct update){done, arg};
  struct bt_exchange *x = bt_exchange_internal(updated, u);
  snprintf(x->actor, sizeof x->actor, "%s", actor);
  bt_admit_change(api, x, op, json_deep_copy(args), "update", bt_json_int(args, "of", 0), false);
}

void bt_api_call(struct bt_api *api, const char *kind, const json_t *args, call_done *done, void *arg) {
  if (bt_streq(kind, "source.sync"))
    start_sync(api, args, done, arg);
  else if (bt_streq(kind, "source.status"))
    start_status(api, args, done, arg);
  else if (bt_streq(kind, "app.update"))
    update(api, "app.update", "update", args, done, arg);
  else if (bt_streq(kind, "app.resources"))
    update(api, "app.resources", "autoscale", args, done, arg);
  else
    done(arg, BT_INTERNAL, "the server knows no such call", NULL);
}
