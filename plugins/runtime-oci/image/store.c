#define _GNU_SOURCE
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/util.h"
#include "choice.h"
#include "files.h"
#include "index.h"
#include "manifest.h"

static int images_open(const char *root, struct ri_why *why) {
  PU_AUTO_FREE path = pu_asprintf("%s/images", root);
  int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return dir >= 0 || errno == ENOENT ? dir : ri_why_errno(why, errno, "%s", path);
}

static int64_t used_at(int dir, const char *id) {
  struct stat st;
  PU_AUTO_FREE blob = pu_asprintf("blobs/sha256/%s", id + 7);
  return fstatat(dir, blob, &st, 0) == 0 ? (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000 : 0;
}

static json_t *familiar(const json_t *names) {
  json_t *out = json_array(), *name;
  size_t i;
  json_array_foreach(names, i, name) json_array_append_new(out, json_string(ri_index_familiar(json_string_value(name))));
  return out;
}

/* What inspect and list have alike. */
static json_t *shown(int dir, const char *id, const json_t *entry) {
  const char *created = pu_str_or(entry, "created", "");
  return json_pack("{s:s, s:o, s:o, s:I, s:s, s:s?, s:I}", "id", id, "digests", familiar(pu_arr(entry, "digests")), "tags", familiar(pu_arr(entry, "names")),
                   "size", (json_int_t)pu_int(entry, "size", 0), "platform", pu_str_or(entry, "platform", ""), "created",
                   *created ? created : NULL, "used_at", (json_int_t)used_at(dir, id));
}

static json_t *folders(const char *root, const json_t *entry) {
  const json_t *chain = pu_arr(entry, "layers");
  json_t *out = json_array();
  for (size_t i = json_array_size(chain); i-- > 0;) {
    PU_AUTO_FREE path = pu_asprintf("%s/images/l/%.26s", root, json_string_value(json_array_get(chain, i)));
    json_array_append_new(out, json_string(path));
  }
  return out;
}

static json_t *full(const char *root, int dir, const char *id, const json_t *entry, struct ri_why *why) {
  PU_AUTO_FREE blob = pu_asprintf("blobs/sha256/%s", id + 7);
  PU_AUTO_FREE text = NULL;
  size_t len = 0;
  int error = ri_file_read(dir, blob, ri_max_manifest, &text, &len);
  PU_AUTO_JSON config = error ? NULL : pu_json_parse(text, len);
  if (!config) {
    ri_why_set(why, BERTH_IO, "the configuration of %s is gone from the image store, or broken: pull the image again", id);
    return NULL;
  }
  json_t *out = shown(dir, id, entry), *inner = pu_obj(config, "config");
  json_object_set_new(out, "config", inner ? json_incref(inner) : json_object());
  json_object_set_new(out, "layers", folders(root, entry));
  return out;
}

static json_t *not_here(const char *image, struct ri_why *why) {
  ri_why_set(why, BERTH_NOT_FOUND, "image %.300s is not on this machine: pull it, or import it from a file", image);
  return NULL;
}

json_t *ri_store_inspect(const char *root, const char *image, const char *platform, struct ri_why *why) {
  RI_AUTO_FD dir = images_open(root, why);
  PU_AUTO_JSON index = dir >= 0 ? ri_index_load(dir, why) : NULL;
  const char *id = NULL;
  if (why->text)
    return NULL;
  const json_t *entry = index ? ri_index_find(index, image, &id) : NULL;
  if (!entry)
    return not_here(image, why);
  const char *have = pu_str_or(entry, "platform", "");
  if (!ri_platform_fits(platform, have)) {
    ri_why_set(why, BERTH_NOT_FOUND, "image %.300s is here for %s, not for %s", image, have, platform);
    return NULL;
  }
  return full(root, dir, id, entry, why);
}

static bool label_fits(const json_t *entry, const char *label) {
  const char *eq = label ? strchr(label, '=') : NULL;
  PU_AUTO_FREE key = label ? pu_strndup(label, eq ? (size_t)(eq - label) : strlen(label)) : NULL;
  const char *value = key ? pu_str(pu_obj(entry, "labels"), key) : NULL;
  return !label || (value && (!eq || pu_eq(eq + 1, value)));
}

json_t *ri_store_list(const char *root, const char *label, struct ri_why *why) {
  RI_AUTO_FD dir = images_open(root, why);
  PU_AUTO_JSON index = dir >= 0 ? ri_index_load(dir, why) : NULL;
  if (why->text)
    return NULL;
  json_t *out = json_array(), *entry;
  const char *id;
  json_object_foreach(ri_index_images(index), id, entry) {
    if (!label_fits(entry, label))
      continue;
    json_t *one = shown(dir, id, entry);
    json_t *labels = pu_obj(entry, "labels");
    json_object_set_new(one, "labels", labels ? json_incref(labels) : json_object());
    json_object_set_new(one, "added_at", json_integer(pu_int(entry, "added_at", 0)));
    size_t at = 0;
    while (at < json_array_size(out) && pu_int(json_array_get(out, at), "added_at", 0) >= pu_int(entry, "added_at", 0))
      at++;
    json_array_insert_new(out, at, one);
  }
  return out;
}

void ri_store_touch(const char *root, const char *id) {
  if (!ri_digest_good(id))
    return;
  PU_AUTO_FREE path = pu_asprintf("%s/images/blobs/sha256/%s", root, id + 7);
  (void)!utimensat(AT_FDCWD, path, NULL, 0); /* gone meanwhile: then there is nothing to keep */
}

/* ---------------------------------------------------------------- for automatic collection */

static int64_t layer_bytes(int dir, const char *chain) {
  PU_AUTO_FREE path = pu_asprintf("layers/sha256/%s/layer.json", chain);
  PU_AUTO_FREE text = NULL;
  size_t len = 0;
  PU_AUTO_JSON facts = ri_file_read(dir, path, 4096, &text, &len) ? NULL : pu_json_parse(text, len);
  return pu_int(facts, "size", 0);
}

static int64_t bytes_of(int dir, const json_t *index) {
  PU_AUTO_JSON seen = json_object();
  const char *id;
  json_t *entry, *chain;
  size_t i;
  int64_t sum = 0;
  json_object_foreach(ri_index_images(index), id, entry) {
    json_array_foreach(pu_arr(entry, "layers"), i, chain) {
      const char *hex = json_string_value(chain);
      if (!hex || json_object_get(seen, hex))
        continue;
      json_object_set_new(seen, hex, json_true());
      sum += layer_bytes(dir, hex);
    }
  }
  return sum;
}

bool ri_store_glance(const char *root, const json_t *keep, const json_t *pins, int64_t before_ms, bool count, struct ri_glance *out, struct ri_why *why) {
  *out = (struct ri_glance){0};
  RI_AUTO_FD dir = images_open(root, why);
  PU_AUTO_JSON index = dir >= 0 ? ri_index_load(dir, why) : NULL;
  PU_AUTO_JSON list = index ? ri_store_list(root, NULL, why) : NULL;
  if (!list)
    return !why->text;
  PU_AUTO_JSON all = keep ? json_copy((json_t *)(uintptr_t)keep) : json_array();
  size_t i;
  json_t *id;
  json_array_foreach(keep, i, id) ri_store_touch(root, json_string_value(id));
  ri_choice_pin(index, pins, all);
  out->may = ri_choice_next(list, all, before_ms);
  out->bytes = count ? bytes_of(dir, index) : 0;
  return true;
}
