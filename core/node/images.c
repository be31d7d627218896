#include "config.h"

#include "node/images.h"

#include <berth/registry.h>

#include "base/buf.h"
#include "model/image.h"
#include "node/internal.h"

enum { local_deadline_ms = 15000, registry_deadline_ms = 20000, build_deadline_ms = 60 * 60 * 1000 };

typedef void done_fn(void *arg, enum bt_code code, const char *message, const json_t *result);

struct bt_plugin *bt_registry_for(struct bt_plugins *plugins, const char *canonical) {
  for (size_t i = 0;; i++) {
    struct bt_plugin *entry = bt_plugins_find(plugins, BERTH_REGISTRY, i);
    if (!entry)
      return NULL;
    const struct berth_registry *table = bt_plugin_methods(entry, BERTH_REGISTRY);
    if (!table || !BERTH_HAS(table, serves) || !table->serves)
      continue;
    bool yes = table->serves(bt_plugin_enter(entry), canonical);
    bt_plugin_leave(entry);
    if (yes)
      return entry;
  }
}

/* One resolution: local first or registry first, after the policy; then the other; then what is pinned. */
struct resolve {
  struct bt_agent *agent;
  json_t *args;
  struct bt_image_ref ref;
  char *canonical;
  bool registry_first;   /* always, refresh */
  bool local_only;       /* never, or named by its id */
  bool registry_tried;
  enum bt_code registry_code;
  char *registry_message;
  done_fn *done;
  void *arg;
};

static void resolve_end(struct resolve *r, enum bt_code code, const char *message, const json_t *result) {
  r->done(r->arg, code, message, result);
  bt_image_ref_free(&r->ref);
  json_decref(r->args);
  free(r->canonical);
  free(r->registry_message);
  free(r);
}

static void resolve_pinned(struct resolve *r, const char *pinned, const char *digest, const char *source) {
  BT_AUTO_JSON result = json_object();
  bt_json_set_str(result, "pinned", pinned);
  bt_json_set_str(result, "digest", digest);
  bt_json_set_str(result, "source", source);
  resolve_end(r, BT_OK, "", result);
}

static void ask_registry(struct resolve *r);

static const char *digest_of(const char *pinned) {
  const char *at = pinned ? strchr(pinned, '@') : NULL;
  return at ? at + 1 : pinned;
}

/* Under which name and digest a registry knows the local image: what is pinned already where that is one of them; NULL where the engine
 * remembers none. */
static const char *local_pin(const struct resolve *r, const json_t *image) {
  const char *current = bt_json_str(r->args, "current"), *found = NULL;
  size_t i;
  json_t *d;
  json_array_foreach(bt_json_arr(image, "digests"), i, d) {
    BT_AUTO_IMAGE ref = {0};
    if (bt_image_parse(json_string_value(d), &ref, NULL) == 0 && ref.digest && bt_streq(ref.domain, r->ref.domain) &&
        bt_streq(ref.repository, r->ref.repository))
      found = !found || bt_streq(ref.digest, digest_of(current)) ? json_string_value(d) : found;
  }
  return found;
}

static void resolve_kept(void *arg) {
  struct resolve *r = arg;
  const char *current = bt_json_str(r->args, "current");
  resolve_pinned(r, current, digest_of(current), "kept");
}

static void keep_or_fail(struct resolve *r) {
  const char *current = bt_json_str(r->args, "current");
  const char *image = bt_json_str_or(r->args, "image", "?");
  if (current && r->registry_code == BT_UNAVAILABLE) {
    resolve_kept(r);
    return;
  }
  BT_AUTO_FREE char *text =
      r->registry_message
          ? bt_asprintf("image %s: %s", image, r->registry_message)
          : bt_asprintf("image %s is not on this machine, and its pull policy forbids to fetch it: build or load it first",
                        image);
  resolve_end(r, r->registry_message ? r->registry_code : BT_NOT_FOUND, text, NULL);
}

/* By a registry's digest it can be fetched again should it go from here; by its id it cannot. */
static void resolve_local(struct resolve *r, const char *id, const char *known) {
  const char *digest = known ? digest_of(known) : id;
  BT_AUTO_FREE char *pinned = known ? bt_image_with_digest(&r->ref, digest) : bt_strdup(id);
  resolve_pinned(r, pinned, digest, "local");
}

static void local_answer(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct resolve *r = arg;
  const char *id = bt_json_str(result, "id");
  const char *known = local_pin(r, result);
  if (code == BT_OK && id)
    resolve_local(r, id, known);
  else if (code != BT_NOT_FOUND && code != BT_OK)
    resolve_end(r, code, message, NULL);
  else if (!r->registry_tried && !r->local_only)
    ask_registry(r);
  else
    keep_or_fail(r);
}

static void ask_local(struct resolve *r) {
  struct berth_runtime_image req = {
      sizeof req, .image = bt_json_str_or(r->args, "image", ""), .platform = bt_json_str(r->args, "platform")};
  struct bt_plugin_call call = {
      .method = "runtime.image_inspect", .deadline_ms = local_deadline_ms, .done = local_answer, .arg = r};
  if (!bt_agent_runtime(r->agent)) {
    resolve_end(r, BT_UNAVAILABLE, "no runtime plug-in runs: see berth plugin ls", NULL);
    return;
  }
  bt_agent_call(r->agent, image_inspect, &call, &req);
}

static void registry_answer(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct resolve *r = arg;
  const char *digest = bt_json_str(result, "digest");
  if (code == BT_OK && digest && bt_image_is_digest(digest)) {
    BT_AUTO_FREE char *pinned = bt_image_with_digest(&r->ref, digest);
    resolve_pinned(r, pinned, digest, "registry");
    return;
  }
  r->registry_code = code == BT_OK ? BT_INTERNAL : code;
  bt_str_set(&r->registry_message, code == BT_OK ? "the registry plug-in answered without a digest" : message);
  /* Away is no reason to refuse what the machine has; "no such tag" and "denied" are. */
  if (r->registry_first && r->registry_code == BT_UNAVAILABLE && !bt_json_str(r->args, "current"))
    ask_local(r);
  else
    keep_or_fail(r);
}

static void ask_registry(struct resolve *r) {
  r->registry_tried = true;
  struct bt_plugin *entry = bt_registry_for(r->agent->o.plugins, r->canonical);
  if (!entry) {
    /* Nobody can say what the tag means: the engine pulls by tag, unpinned. */
    if (r->registry_first || r->local_only)
      ask_local(r);
    else
      resolve_pinned(r, r->canonical, r->ref.digest, "registry");
    return;
  }
  const struct berth_registry *table = bt_plugin_methods(entry, BERTH_REGISTRY);
  struct berth_registry_resolve req = {sizeof req, .image = r->canonical, .platform = bt_json_str(r->args, "platform")};
  struct bt_plugin_call call = {
      .method = "registry.resolve", .deadline_ms = registry_deadline_ms, .done = registry_answer, .arg = r, .owner = r->agent};
  bt_plugin_invoke(entry, table, resolve, &call, &req);
}

struct late_end {
  struct resolve *r;
  struct bt_err *err;
};

static void end_late(void *arg) {
  struct late_end *late = arg;
  resolve_end(late->r, bt_err_code(late->err), bt_err_message(late->err), NULL);
  bt_err_free(&late->err);
  free(late);
}

void bt_image_resolve(struct bt_agent *agent, const json_t *args, done_fn *done, void *arg) {
  struct resolve *r = bt_new(struct resolve);
  r->agent = agent;
  r->args = json_deep_copy(args);
  r->done = done;
  r->arg = arg;
  struct bt_err *err = NULL;
  const char *image = bt_json_str(args, "image");
  bool local_id = bt_image_is_digest(image);
  if (!local_id && bt_image_parse(image, &r->ref, &err) < 0) {
    struct late_end *late = bt_new(struct late_end);
    *late = (struct late_end){r, err};
    bt_loop_post(agent->o.loop, "node: bad image", end_late, late);
    return;
  }
  if (!local_id)
    r->canonical = bt_image_canonical(&r->ref);
  const char *policy = bt_json_str_or(args, "policy", "missing");
  r->registry_first = bt_streq(policy, "always") || bt_streq(policy, "refresh");
  r->local_only = local_id || bt_streq(policy, "never");
  if (bt_streq(policy, "keep") && bt_json_str(args, "current"))
    bt_loop_post(agent->o.loop, "node: kept image", resolve_kept, r);
  else if (r->registry_first)
    ask_registry(r);
  else
    ask_local(r);
}

/* ---------------------------------------------------------------- tags */

struct tags {
  done_fn *done;
  void *arg;
};

static void tags_answer(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct tags *t = arg;
  t->done(t->arg, code, message, result);
  free(t);
}

void bt_image_tags(struct bt_agent *agent, const json_t *args, done_fn *done, void *arg) {
  BT_AUTO_IMAGE ref = {0};
  BT_AUTO_ERR err = NULL;
  if (bt_image_parse(bt_json_str_or(args, "image", ""), &ref, &err) < 0) {
    done(arg, bt_err_code(err), bt_err_message(err), NULL);
    return;
  }
  BT_AUTO_FREE char *canonical = bt_image_canonical(&ref);
  struct bt_plugin *entry = bt_registry_for(agent->o.plugins, canonical);
  if (!entry) {
    done(arg, BT_UNSUPPORTED, "no plug-in speaks for that image's registry", NULL);
    return;
  }
  struct tags *t = bt_new(struct tags);
  *t = (struct tags){done, arg};
  const struct berth_registry *table = bt_plugin_methods(entry, BERTH_REGISTRY);
  struct berth_registry_tags req = {.size = sizeof req, .image = canonical};
  struct bt_plugin_call call = {
      .method = "registry.tags", .deadline_ms = registry_deadline_ms, .done = tags_answer, .arg = t, .owner = agent};
  bt_plugin_invoke(entry, table, tags, &call, &req);
}

/* ---------------------------------------------------------------- builds */

enum { last_lines = 8, max_line = 200 };

struct build {
  struct bt_agent *agent;
  json_t *args;
  struct bt_strs last; /* of its output: for the sentence of one that fails */
  done_fn *done;
  void *arg;
};

static void build_end(struct build *b, enum bt_code code, const char *message, const json_t *result) {
  b->done(b->arg, code, message, result);
  json_decref(b->args);
  bt_strs_free(&b->last);
  free(b);
}

/* Steps and layers are the builder's own words. */
static void remember_line(struct build *b, const char *text) {
  if (bt_starts(text, "Step ") || bt_starts(text, " --->") || bt_starts(text, "Removing intermediate container "))
    return;
  if (b->last.len == last_lines) {
    free(b->last.items[0]);
    bt_vec_remove(&b->last, 0);
  }
  BT_AUTO_FREE char *line = bt_strndup(text, BT_MIN(strlen(text), (size_t)max_line));
  bt_strs_add(&b->last, line);
}

/* The plug-in's sentence without what it is about, which the asker knows, and with what came out last. The caller frees. */
static char *failure(const struct build *b, const char *message) {
  const char *tag = json_string_value(json_array_get(bt_json_arr(b->args, "tags"), 0));
  BT_AUTO_FREE char *about = bt_asprintf("build of %s: ", tag ? tag : "");
  BT_AUTO_BUF text = {0};
  bt_buf_adds(&text, bt_starts(message, about) ? message + strlen(about) : message);
  bt_vec_each(&b->last, line) bt_buf_addf(&text, "%s%s", line == b->last.items ? "; its output ended with: " : " | ", *line);
  return bt_buf_steal(&text);
}

static void built(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct build *b = arg;
  const char *id = bt_json_str(result, "id");
  if (code != BT_OK || !id) {
    BT_AUTO_FREE char *text = failure(b, code != BT_OK ? message : "the engine named no image");
    build_end(b, code == BT_OK ? BT_INTERNAL : code, text, NULL);
    return;
  }
  BT_AUTO_JSON answer = json_pack("{ss,ss,ss}", "pinned", id, "digest", id, "source", "local");
  build_end(b, BT_OK, "", answer);
}

static size_t build_progress(void *arg, int channel, const void *data, size_t len) {
  struct build *b = arg;
  BT_AUTO_JSON o = channel == BERTH_RUNTIME_PROGRESS && len ? bt_json_parse(data, len, 0, 0, "build", NULL) : NULL;
  const char *text = bt_json_str(o, "text");
  if (!text)
    return 0;
  remember_line(b, text);
  json_t *message = json_object();
  bt_json_set_str(message, "type", "progress");
  static const char *const kept[] = {"namespace", "app", "service"};
  for (size_t i = 0; i < BT_COUNT(kept); i++)
    bt_json_set_str(message, kept[i], bt_json_str(b->args, kept[i]));
  bt_json_set_str(message, "text", text);
  bt_agent_send(b->agent, message);
  return 0;
}

/* The values of a build's secrets, as plain as they must be for the call of the plug-in and no longer. */
struct values {
  struct berth_runtime_secret *items;
  size_t n;
};

static void values_wipe(struct values *v) {
  for (size_t i = 0; i < v->n; i++) {
    void *data = (void *)(uintptr_t)v->items[i].data;
    bt_wipe(data, v->items[i].len);
    free(data);
  }
  free(v->items);
}

static int values_read(const struct build *b, struct values *out, struct bt_err **err) {
  const json_t *secrets = bt_json_arr(b->args, "secrets");
  size_t i;
  json_t *item;
  out->items = bt_calloc(json_array_size(secrets) + 1, sizeof *out->items);
  json_array_foreach(secrets, i, item) {
    void *data = NULL;
    size_t len = 0;
    const char *id = bt_json_str_or(item, "id", "");
    if (b->agent->o.content(b->agent->o.arg, bt_json_str_or(b->args, "namespace", "default"), bt_json_str_or(item, "key", ""), &data, &len, err) < 0)
      return bt_err_wrap(err, "build.secrets: %s", id);
    out->items[out->n++] = (struct berth_runtime_secret){.id = id, .data = data, .len = len};
  }
  return 0;
}

static void build_now(struct build *b) {
  BT_AUTO_ERR err = NULL;
  struct values values __attribute__((cleanup(values_wipe))) = {0};
  if (values_read(b, &values, &err) < 0) {
    built(b, bt_err_code(err), bt_err_message(err), NULL);
    return;
  }
  bt_images_came(b->agent);
  json_t *spec = bt_json_obj(b->args, "build");
  BT_AUTO_FREE char *build_json = bt_json_text(spec);
  json_t *tags = bt_json_arr(b->args, "tags");
  BT_AUTO_FREE char *tags_json = tags ? bt_json_text(tags) : bt_strdup("[]");
  struct berth_runtime_build req = {sizeof req,
                                    .context = bt_json_str_or(spec, "context", "."),
                                    .build_json = build_json,
                                    .tags_json = tags_json,
                                    .secrets = values.items,
                                    .nsecrets = values.n};
  struct bt_plugin_call call = {.method = "runtime.image_build",
                                .deadline_ms = build_deadline_ms,
                                .emit = build_progress,
                                .done = built,
                                .arg = b};
  bt_agent_call(b->agent, image_build, &call, &req);
}

static void build_present(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct build *b = arg;
  if (code == BT_OK)
    built(b, code, message, result);
  else if (code == BT_NOT_FOUND)
    build_now(b);
  else
    build_end(b, code, message, NULL);
}

void bt_image_build(struct bt_agent *agent, const json_t *args, done_fn *done, void *arg) {
  struct build *b = bt_new(struct build);
  *b = (struct build){.agent = agent, .args = json_deep_copy(args), .done = done, .arg = arg};
  const char *tag = json_string_value(json_array_get(bt_json_arr(args, "tags"), 0));
  if (!bt_agent_runtime(agent)) {
    build_end(b, BT_UNAVAILABLE, "no runtime plug-in runs: see berth plugin ls", NULL);
    return;
  }
  if (bt_json_bool(args, "force", false) || !tag) {
    build_now(b);
    return;
  }
  struct berth_runtime_image req = {sizeof req, .image = tag};
  struct bt_plugin_call call = {
      .method = "runtime.image_inspect", .deadline_ms = local_deadline_ms, .done = build_present, .arg = b};
  bt_agent_call(agent, image_inspect, &call, &req);
}
