#include "config.h"
#include "api/follow_trees.h"

#include <berth/scm.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "api/trees.h"
#include "base/json.h"
#include "base/mem.h"
#include "plugin/plugin.h"

enum { look_deadline_ms = 600000, send_deadline_ms = 1800000, soon_ms = 5000, hourly_ms = 3600000, unused_s = 600 };
static const uint64_t max_tree = 2ULL << 30;

/* ---------------------------------------------------------------- one look's trees */

struct trees {
  struct bt_api *api;
  char *entry, *namespace_, *app, *repository, *commit, *ref;
  json_t *needs, *found;
  void *iter;               /* of needs: the path that is brought */
  json_t *tree;             /* what the plug-in said of it */
  int fd;                   /* where its bytes go; -1 */
  char *incoming, *at;
  struct bt_buf in, out;    /* what came, what a worker writes */
  bool here, writing, ended, executable, tar;
  uint64_t total;
  enum bt_code code;        /* of the sending */
  char *message;
  int write_error;
  struct bt_strs notes;
  struct bt_err *err;       /* of the worker */
  void (*done)(void *arg, enum bt_code code, const char *message, const json_t *trees);
  void *arg;
};

static void drop_incoming(struct trees *t) {
  if (t->fd >= 0)
    close(t->fd);
  if (t->incoming)
    unlink(t->incoming);
  free(bt_steal(t->incoming));
  t->fd = -1; /* in a worker, but for what failed: a disk takes its time for a large file */
}

static void end(struct trees *t, enum bt_code code, const char *message) {
  t->done(t->arg, code, message, code == BT_OK ? t->found : NULL);
  char *texts[] = {t->entry, t->namespace_, t->app, t->repository, t->commit, t->ref, t->at, t->message};
  drop_incoming(t);
  for (size_t i = 0; i < BT_COUNT(texts); i++)
    free(texts[i]);
  json_decref(t->needs);
  json_decref(t->found);
  json_decref(t->tree);
  bt_buf_free(&t->in);
  bt_buf_free(&t->out);
  bt_strs_free(&t->notes);
  bt_err_free(&t->err);
  free(t);
}

static const char *path_of(const struct trees *t) { return json_object_iter_key(t->iter); }

/* What it is for stands in front: "deploy/compose.yaml:3: service web is built in app: …". */
static void end_for(struct trees *t, enum bt_code code, const char *message, const char *mend) {
  BT_AUTO_FREE char *text = bt_asprintf("%s: %s%s", bt_json_str_or(json_object_iter_value(t->iter), "for", "?"), message, mend);
  end(t, code, text);
}

static void bring(struct trees *t);

static void next(struct trees *t) {
  json_t *list = json_array();
  bt_vec_each(&t->notes, note) json_array_append_new(list, bt_json_string(*note));
  bt_strs_free(&t->notes);
  bt_json_set_str(t->tree, "at", t->at);
  bt_json_set(t->tree, "notes", list);
  bt_json_set(t->found, path_of(t), bt_steal(t->tree));
  free(bt_steal(t->at));
  t->iter = json_object_iter_next(t->needs, t->iter);
  bring(t);
}

/* ---------------------------------------------------------------- its bytes */

static void take_work(void *arg) {
  struct trees *t = arg;
  (void)!bt_trees_take(t->incoming, t->at, t->tar, t->executable, &t->notes, &t->err);
  drop_incoming(t);
}

static void take_done(void *arg) {
  struct trees *t = arg;
  if (t->err)
    end_for(t, bt_err_code(t->err), bt_err_message(t->err), "");
  else
    next(t);
}

static void write_work(void *arg) {
  struct trees *t = arg;
  for (size_t at = 0; at < t->out.len && !t->write_error;) {
    ssize_t n = write(t->fd, t->out.data + at, t->out.len - at);
    if (n >= 0)
      at += (size_t)n;
    else if (errno != EINTR)
      t->write_error = errno;
  }
}

static void write_more(struct trees *t);

static void write_done(void *arg) {
  struct trees *t = arg;
  t->writing = false;
  bt_buf_free(&t->out);
  write_more(t);
}

/* All is here that will come. */
static void received(struct trees *t) {
  if (t->code != BT_OK)
    end_for(t, t->code, t->message, "");
  else if (t->write_error)
    end_for(t, BT_IO, "it cannot be written on the server's disk: ", strerror(t->write_error));
  else if (t->total > max_tree)
    end_for(t, BT_TOO_LARGE, "it is larger than 2 GiB", "");
  else
    bt_pool_run(t->api->s.pool, "take a tree of a repository", take_work, take_done, t);
}

static void write_more(struct trees *t) {
  if (t->writing)
    return;
  if (t->in.len) {
    t->out = t->in;
    t->in = (struct bt_buf){0};
    t->writing = true;
    bt_pool_run(t->api->s.pool, "write a tree of a repository", write_work, write_done, t);
  } else if (t->ended) {
    received(t);
  }
}

static size_t emitted(void *arg, int channel, const void *data, size_t len) {
  struct trees *t = arg;
  if (channel == BERTH_SCM_TREE && len && (t->total += len) <= max_tree) {
    bt_buf_add(&t->in, data, len);
    write_more(t);
  }
  return t->in.len + t->out.len;
}

static void sent(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct trees *t = arg;
  (void)result;
  t->ended = true;
  t->code = code;
  bt_str_set(&t->message, message);
  write_more(t);
}

/* ---------------------------------------------------------------- one path */

static void told(void *arg, enum bt_code code, const char *message, json_t *result);

static void ask(struct trees *t, bool send) {
  struct bt_plugin *entry = bt_plugins_named(t->api->s.plugins, t->entry);
  const struct berth_scm *table = entry ? bt_plugin_methods(entry, BERTH_SCM) : NULL;
  struct berth_scm_tree request = {
      .size = sizeof request, .repository = t->repository, .commit = t->commit, .ref = t->ref, .path = path_of(t), .send = send};
  struct bt_plugin_call call = {.method = "scm.tree",
                                .deadline_ms = send ? send_deadline_ms : look_deadline_ms,
                                .emit = send ? emitted : NULL,
                                .done = send ? sent : told,
                                .arg = t,
                                .owner = t->api};
  if (!table)
    end_for(t, BT_UNAVAILABLE, "the plug-in that speaks for the repository went away meanwhile", "");
  else if (!BERTH_HAS(table, tree) || !table->tree)
    end_for(t, BT_UNSUPPORTED, "the plug-in gives out no folders of a repository", ": name an image, and configs: for files");
  else
    bt_plugin_invoke(entry, table, tree, &call, &request);
}

static bool is_id(const char *id) {
  size_t n = id ? strlen(id) : 0;
  return n >= 8 && n <= 128 && strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz") == n;
}

static void told(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct trees *t = arg;
  const json_t *need = json_object_iter_value(t->iter);
  const char *id = bt_json_str(result, "id"), *kind = bt_json_str_or(result, "kind", "?"), *wanted = bt_json_str_or(need, "kind", "any");
  if (code != BT_OK) {
    bool missing = code == BT_NOT_FOUND;
    end_for(t, code, message, missing ? ": what is not committed no node has; data that is kept belongs into a volume" : "");
  } else if (!is_id(id) || (!bt_streq(kind, "folder") && !bt_streq(kind, "file"))) {
    end_for(t, BT_INTERNAL, "the plug-in does not say what it is", "");
  } else if (!bt_streq(wanted, "any") && !bt_streq(wanted, kind)) {
    end_for(t, BT_INVALID, bt_streq(wanted, "folder") ? "it is a file, no folder" : "it is a folder, no file", "");
  } else {
    t->tar = bt_streq(kind, "folder");
    t->executable = bt_json_bool(result, "executable", false);
    BT_AUTO_FREE char *name = bt_asprintf("%s%s", id, t->executable ? "x" : "");
    t->tree = json_object();
    bt_json_set_str(t->tree, "id", name);
    bt_json_set_str(t->tree, "kind", kind);
    free(t->at);
    t->at = bt_trees_path(t->api->s.trees_dir, t->namespace_, t->app, name);
    bring(t);
  }
}

static void ready_work(void *arg) {
  struct trees *t = arg;
  t->here = bt_trees_has(t->at);
  if (!t->here)
    t->fd = bt_trees_incoming(t->api->s.trees_dir, &t->incoming, &t->err);
}

static void ready_done(void *arg) {
  struct trees *t = arg;
  t->total = 0;
  t->ended = false;
  if (t->here)
    next(t);
  else if (t->fd < 0)
    end_for(t, bt_err_code(t->err), bt_err_message(t->err), "");
  else
    ask(t, true);
}

/* The path at hand: first what it is, then, where it is not here yet, its bytes. */
static void bring(struct trees *t) {
  if (!t->iter)
    end(t, BT_OK, "");
  else if (!t->tree)
    ask(t, false);
  else
    bt_pool_run(t->api->s.pool, "look for a tree of a repository", ready_work, ready_done, t);
}

static void nowhere(void *arg) {
  struct trees *t = arg;
  end(t, BT_UNSUPPORTED, "this server keeps no folders of repositories");
}

static void bring_first(void *arg) { bring(arg); }

void bt_follow_trees(struct bt_api *api, const struct bt_follow_trees_ask *a, const json_t *needs,
                     void (*done)(void *arg, enum bt_code code, const char *message, const json_t *trees), void *arg) {
  struct trees *t = bt_new(struct trees);
  *t = (struct trees){.api = api,
                      .entry = bt_strdup(a->entry),
                      .namespace_ = bt_strdup(a->namespace_),
                      .app = bt_strdup(a->app),
                      .repository = bt_strdup(a->repository),
                      .commit = bt_strdup(a->commit),
                      .ref = bt_strdup(a->ref),
                      .needs = json_deep_copy(needs),
                      .found = json_object(),
                      .fd = -1,
                      .done = done,
                      .arg = arg};
  t->iter = json_object_iter(t->needs);
  bt_loop_post(api->s.loop, "api: trees of a repository", api->s.trees_dir ? bring_first : nowhere, t);
}

/* ---------------------------------------------------------------- what is not needed any more */

struct bt_trees_keeper {
  struct bt_api *api;
  struct bt_timer *timer;
  json_t *apps, *keep;
  bool working, closing;
};

static void keeper_next(struct bt_trees_keeper *k, int64_t ms) {
  if (!k->closing)
    bt_timer_set(k->timer, ms);
}

static void keeper_drop(struct bt_trees_keeper *k) {
  bt_timer_free(&k->timer);
  json_decref(k->apps);
  json_decref(k->keep);
  free(k);
}

static void collect_work(void *arg) {
  struct bt_trees_keeper *k = arg;
  bt_trees_collect(k->api->s.trees_dir, k->keep, unused_s);
}

static void collect_done(void *arg) {
  struct bt_trees_keeper *k = arg;
  k->working = false;
  if (k->closing)
    keeper_drop(k);
  else
    keeper_next(k, hourly_ms);
}

/* Each revision's origin says which trees it was made with, also of those that Berth or somebody made of it. */
static void keep_app(struct bt_trees_keeper *k, const char *ns, const char *app) {
  struct bt_query query = {.namespace_ = ns, .app = app, .limit = 1000};
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON revisions = bt_control_list(k->api->s.control(k->api->s.arg), "revisions", &query, NULL, &err);
  size_t i;
  json_t *revision, *id;
  const char *path;
  json_array_foreach(revisions, i, revision)
    json_object_foreach(bt_json_obj(bt_json_obj(revision, "origin"), "trees"), path, id) {
      BT_AUTO_FREE char *name = bt_asprintf("%s/%s/%s", ns, app, json_string_value(id) ? json_string_value(id) : "");
      bt_json_set_bool(k->keep, name, true);
    }
}

static void listed(void *arg) {
  struct bt_trees_keeper *k = arg;
  size_t i;
  json_t *app;
  if (k->closing) {
    k->working = false;
    keeper_drop(k);
    return;
  }
  json_decref(k->keep);
  k->keep = json_object();
  json_array_foreach(k->apps, i, app) keep_app(k, bt_json_str_or(app, "namespace", ""), bt_json_str_or(app, "app", ""));
  bt_pool_run(k->api->s.pool, "remove old trees of repositories", collect_work, collect_done, k);
}

static void list_work(void *arg) {
  struct bt_trees_keeper *k = arg;
  json_decref(k->apps);
  k->apps = bt_trees_apps(k->api->s.trees_dir);
}

static void on_keeper(void *arg) {
  struct bt_trees_keeper *k = arg;
  if (k->working) {
    keeper_next(k, soon_ms);
    return;
  }
  k->working = true;
  bt_pool_run(k->api->s.pool, "list trees of repositories", list_work, listed, k);
}

struct bt_trees_keeper *bt_trees_keeper_new(struct bt_api *api) {
  if (!api->s.trees_dir)
    return NULL;
  struct bt_trees_keeper *k = bt_new(struct bt_trees_keeper);
  k->api = api;
  k->timer = bt_timer_new(api->s.loop, "api: old trees of repositories", on_keeper, k);
  bt_timer_set(k->timer, soon_ms);
  return k;
}

void bt_trees_keeper_soon(struct bt_trees_keeper *k) {
  if (k)
    keeper_next(k, soon_ms);
}

void bt_trees_keeper_free(struct bt_trees_keeper **pk) {
  struct bt_trees_keeper *k = bt_steal(*pk);
  if (!k)
    return;
  k->closing = true;
  if (!k->working)
    keeper_drop(k);
}
