#include "config.h"
#include "api/follow_model.h"

#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "api/follow_files.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

enum { hash_len = 16, tag_hex = 12 };

const char *bt_follow_inner(const char *path) {
  size_t n = strlen(BT_FOLLOW_ROOT);
  if (!path || strncmp(path, BT_FOLLOW_ROOT, n) != 0 || (path[n] && path[n] != '/'))
    return NULL;
  return path[n] ? path + n + 1 : path + n;
}

char *bt_follow_words(const char *text) {
  static const char root[] = BT_FOLLOW_ROOT "/";
  struct bt_buf out = {0};
  for (const char *p = text; *p;) {
    bool begins = p == text || strchr(" \"'(\n", p[-1]);
    size_t skip = begins && strncmp(p, root, sizeof root - 1) == 0 ? sizeof root - 1 : 0;
    if (!skip)
      bt_buf_add(&out, p, 1);
    p += skip ? skip : 1;
  }
  return bt_buf_steal(&out);
}

static const char *shown(const char *inner) { return *inner ? inner : "the repository's root"; }

/* "deploy/compose.yaml:3: service web"; the caller frees. */
static char *place_of(const json_t *places, const char *service) {
  const json_t *place = bt_json_obj(places, service);
  const char *file = bt_json_str(place, "file"), *inner = bt_follow_inner(file);
  return file ? bt_asprintf("%s:%lld: service %s", inner && *inner ? inner : file, (long long)bt_json_int(place, "line", 0), service)
              : bt_asprintf("service %s", service);
}

/* ---------------------------------------------------------------- builds */

/* Where the Dockerfile is: within the context (inside), elsewhere in the repository, or nowhere that is the commit's. */
struct dockerfile {
  char *full;        /* NULL: it is inline */
  const char *below; /* of the context; NULL: elsewhere */
};

static struct dockerfile dockerfile_of(const json_t *build) {
  const char *context = bt_json_str_or(build, "context", ""), *inlined = bt_json_str(build, "dockerfile_inline");
  struct dockerfile d = {0};
  if (inlined && *inlined)
    return d;
  d.full = bt_path_join(context, bt_json_str_or(build, "dockerfile", "Dockerfile"));
  size_t n = strlen(context);
  if (strncmp(d.full, context, n) == 0 && d.full[n] == '/')
    d.below = d.full + n + 1;
  return d;
}

static void need(json_t *needs, const char *inner, const char *kind, const char *place, const char *what) {
  if (json_object_get(needs, inner))
    return;
  BT_AUTO_FREE char *text = bt_asprintf("%s %s %s", place, what, shown(inner));
  json_t *o = json_object();
  bt_json_set_str(o, "for", text);
  bt_json_set_str(o, "kind", kind);
  bt_json_set(needs, inner, o);
}

static int needs_of_build(json_t *needs, const json_t *build, const char *place, struct bt_err **err) {
  const char *context = bt_follow_inner(bt_json_str(build, "context"));
  if (!context)
    return 0; /* a URL, or a folder of the machine */
  need(needs, context, "folder", place, "is built in");
  struct dockerfile d = dockerfile_of(build);
  const char *inner = d.full ? bt_follow_inner(d.full) : NULL;
  int rc = d.full && !d.below && !inner ? bt_err_set(err, BT_INVALID, "%s: its Dockerfile %s is outside of the repository: commit it", place, d.full)
                                        : 0;
  if (inner && !d.below)
    need(needs, inner, "file", place, "is built after");
  free(d.full);
  return rc;
}

json_t *bt_follow_needs(const json_t *model, const json_t *places, struct bt_err **err) {
  BT_AUTO_JSON needs = json_object();
  const char *name;
  json_t *service, *volume;
  size_t i;
  json_object_foreach(bt_json_obj(model, "services"), name, service) {
    BT_AUTO_FREE char *place = place_of(places, name);
    if (bt_json_obj(service, "build") && needs_of_build(needs, bt_json_obj(service, "build"), place, err) < 0)
      return NULL;
    json_array_foreach(bt_json_arr(service, "volumes"), i, volume) {
      const char *inner = bt_streq(bt_json_str(volume, "type"), "bind") ? bt_follow_inner(bt_json_str(volume, "source")) : NULL;
      if (inner)
        need(needs, inner, "any", place, "mounts");
    }
  }
  json_object_foreach(bt_json_obj(model, "volumes"), name, volume) {
    const char *inner = bt_follow_inner(bt_json_str(bt_json_obj(volume, "driver_opts"), "device"));
    if (!inner)
      continue;
    bt_err_set(err, BT_UNSUPPORTED, "volume %s is %s of the repository, which changes with each commit: mount it where it is used, "
                                    "./%s:/where:ro, or leave driver_opts out", name, shown(inner), inner);
    return NULL;
  }
  return bt_steal(needs);
}

/* ---------------------------------------------------------------- the model with trees */

/* The file, or what its link leads to, is within the tree (or not there at all). */
static int check_inside(const char *root, const char *name, const char *place, struct bt_err **err) {
  char real[PATH_MAX], top[PATH_MAX];
  BT_AUTO_FREE char *path = bt_asprintf("%s/%s", root, name);
  if (!realpath(path, real) || !realpath(root, top))
    return 0;
  size_t n = strlen(top);
  if (strncmp(real, top, n) == 0 && real[n] == '/')
    return 0;
  return bt_err_set(err, BT_INVALID, "%s: %s is a link that leads out of the folder that is built", place, name);
}

static int check_build_files(const char *root, const char *dockerfile, const char *place, struct bt_err **err) {
  BT_AUTO_FREE char *own_ignore = bt_asprintf("%s.dockerignore", dockerfile ? dockerfile : "Dockerfile");
  return check_inside(root, ".dockerignore", place, err) || check_inside(root, own_ignore, place, err) ||
                 (dockerfile && check_inside(root, dockerfile, place, err))
             ? -1
             : 0;
}

/* What the image is made of, as 12 hexadecimal digits. */
static void build_key(const json_t *service, const json_t *build, const char *context_id, const char *dockerfile_id, char out[tag_hex + 1]) {
  unsigned char hash[hash_len];
  char hex[2 * hash_len + 1];
  BT_AUTO_JSON o = json_copy((json_t *)(uintptr_t)build);
  json_object_del(o, "tags"); /* how it is called besides changes nothing in it */
  bt_json_set_str(o, "context", context_id);
  if (dockerfile_id)
    bt_json_set_str(o, "dockerfile", dockerfile_id);
  bt_json_set_str(o, "platform", bt_json_str(service, "platform"));
  BT_AUTO_FREE char *text = bt_json_canonical(o);
  crypto_generichash(hash, sizeof hash, (const unsigned char *)text, strlen(text), NULL, 0);
  sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
  memcpy(out, hex, tag_hex);
  out[tag_hex] = '\0';
}

/* "team/web:1.0" -> "team/web". The caller frees. */
static char *repository_of(const char *image) {
  size_t n = strcspn(image, "@");
  const char *slash = memrchr(image, '/', n), *colon = memrchr(image, ':', n);
  return bt_strndup(image, colon && (!slash || colon > slash) ? (size_t)(colon - image) : n);
}

/* Not the commit: each one would make another image of the same files. */
static void set_label(json_t *build, const char *key, const char *value) {
  json_t *labels = bt_json_obj_in(build, "labels");
  if (value && !json_object_get(labels, key))
    bt_json_set_str(labels, key, value);
}

/* Names the image after what it is made of; names: {name as written: name now}, for services that use it without building it. */
static void name_image(json_t *service, json_t *build, const char *app, const char *name, const char *key, json_t *names) {
  const char *written = bt_json_str(service, "image");
  BT_AUTO_FREE char *usual = bt_asprintf("%s-%s", app, name);
  BT_AUTO_FREE char *repository = repository_of(written ? written : usual);
  BT_AUTO_FREE char *image = bt_asprintf("%s:git-%s", repository, key);
  if (written && !strchr(written, '@')) {
    json_t *tags = bt_json_arr(build, "tags");
    if (!tags)
      json_object_set_new(build, "tags", tags = json_array());
    json_array_append_new(tags, bt_json_string(written));
  }
  bt_json_set_str(names, written ? written : usual, image);
  bt_json_set_str(service, "image", image);
}

struct placing {
  json_t *model;
  const char *app;
  const json_t *places, *trees, *origin;
  json_t *names;
  struct bt_diags *diags;
  struct bt_err **err;
};

static void warn_notes(struct placing *p, const char *place, const char *inner, const json_t *tree) {
  size_t i;
  json_t *text;
  json_array_foreach(bt_json_arr(tree, "notes"), i, text)
    bt_diag_warn(p->diags, (struct bt_loc){0}, "%s: %s%s%s", place, inner, *inner ? "/" : "", json_string_value(text));
}

static int place_build(struct placing *p, const char *name, json_t *service, json_t *build) {
  const char *context = bt_follow_inner(bt_json_str(build, "context"));
  if (!context)
    return 0;
  BT_AUTO_FREE char *place = place_of(p->places, name);
  const json_t *tree = bt_json_obj(p->trees, context), *file = NULL;
  struct dockerfile d = dockerfile_of(build);
  BT_AUTO_FREE char *full = d.full;
  const char *at = bt_json_str(tree, "at");
  if (!at || (full && !d.below && !(file = bt_json_obj(p->trees, bt_follow_inner(full)))))
    return bt_err_set(p->err, BT_INTERNAL, "%s: the folder that is built is missing", place);
  if (check_build_files(at, d.below, place, p->err) < 0)
    return -1;
  char key[tag_hex + 1];
  build_key(service, build, bt_json_str(tree, "id"), bt_json_str(file, "id"), key);
  name_image(service, build, p->app, name, key, p->names);
  warn_notes(p, place, context, tree);
  bt_json_set_str(build, "context", at);
  if (file)
    bt_json_set_str(build, "dockerfile", bt_json_str(file, "at"));
  set_label(build, "org.opencontainers.image.source", bt_json_str(p->origin, "repository"));
  return 0;
}

static int place_mount(struct placing *p, const char *name, json_t *volume) {
  const char *inner = bt_streq(bt_json_str(volume, "type"), "bind") ? bt_follow_inner(bt_json_str(volume, "source")) : NULL;
  if (!inner)
    return 0;
  const json_t *tree = bt_json_obj(p->trees, inner);
  BT_AUTO_FREE char *place = place_of(p->places, name);
  if (!bt_json_str(tree, "at"))
    return bt_err_set(p->err, BT_INTERNAL, "%s: what it mounts is missing", place);
  if (!bt_json_bool(volume, "read_only", false))
    bt_diag_warn(p->diags, (struct bt_loc){0}, "%s: %s is mounted read-only at %s, since it changes with each commit: write \":ro\", or take a "
                 "volume for what is written", place, shown(inner), bt_json_str_or(volume, "target", "?"));
  warn_notes(p, place, inner, tree);
  bt_json_set_str(volume, "source", bt_json_str(tree, "at"));
  bt_json_set_bool(volume, "read_only", true);
  return 0;
}

static int place_service(struct placing *p, const char *name, json_t *service) {
  size_t i;
  json_t *volume, *build = bt_json_obj(service, "build");
  if (build && place_build(p, name, service, build) < 0)
    return -1;
  json_array_foreach(bt_json_arr(service, "volumes"), i, volume)
    if (place_mount(p, name, volume) < 0)
      return -1;
  return 0;
}

int bt_follow_place(json_t *model, const char *app, const json_t *places, const json_t *trees, const json_t *origin, struct bt_diags *diags,
                    struct bt_err **err) {
  BT_AUTO_JSON names = json_object();
  struct placing p = {model, app, places, trees, origin, names, diags, err};
  const char *name;
  json_t *service;
  json_object_foreach(bt_json_obj(model, "services"), name, service)
    if (place_service(&p, name, service) < 0)
      return -1;
  json_object_foreach(bt_json_obj(model, "services"), name, service) {
    const char *image = bt_json_str(service, "image"), *now = image && !bt_json_obj(service, "build") ? bt_json_str(names, image) : NULL;
    if (now)
      bt_json_set(service, "image", bt_json_string(now));
  }
  return 0;
}
