#include "index.h"

#include <errno.h>

#include "../../common/reference.h"
#include "../../common/util.h"
#include "files.h"
#include "manifest.h"

json_t *ri_index_load(int dir, struct ri_why *why) {
  PU_AUTO_FREE text = NULL;
  size_t len = 0;
  int error = ri_file_read(dir, "index.json", ri_max_index, &text, &len);
  if (error == ENOENT)
    return json_pack("{s:i, s:{}}", "version", 1, "images");
  if (error) {
    ri_why_errno(why, error, "the index of the image store cannot be read");
    return NULL;
  }
  PU_AUTO_JSON index = pu_json_parse(text, len);
  if (pu_int(index, "version", 0) != 1 || !pu_obj(index, "images")) {
    ri_why_set(why, BERTH_IO, "the index of the image store is none that is known here (index.json, version 1): take it away, and the images have to be pulled again");
    return NULL;
  }
  return json_incref(index);
}

json_t *ri_index_images(const json_t *index) { return pu_obj(index, "images"); }

char *ri_index_canonical(const char *image, bool *by_digest) {
  struct pu_reference r;
  if (!image || !pu_reference_parse(image, &r))
    return NULL;
  *by_digest = r.digest != NULL;
  char *text = pu_asprintf("%s/%s%s%s", pu_registry_canonical(r.registry), r.name, r.digest ? "@" : ":", r.digest ? r.digest : r.tag);
  pu_reference_free(&r);
  return text;
}

static bool holds(const json_t *array, const char *text) {
  size_t i;
  json_t *item;
  json_array_foreach(array, i, item) if (pu_eq(json_string_value(item), text)) return true;
  return false;
}

const json_t *ri_index_find(const json_t *index, const char *image, const char **id) {
  json_t *images = ri_index_images(index), *entry = ri_digest_good(image) ? json_object_get(images, image) : NULL;
  bool by_digest = false;
  const char *key;
  if (entry) {
    *id = image;
    return entry;
  }
  PU_AUTO_FREE name = ri_digest_good(image) ? NULL : ri_index_canonical(image, &by_digest);
  if (!name)
    return NULL;
  json_object_foreach(images, key, entry) {
    if (holds(pu_arr(entry, by_digest ? "digests" : "names"), name)) {
      *id = key;
      return entry;
    }
  }
  return NULL;
}

void ri_index_add(json_t *array, const char *text) {
  if (!holds(array, text))
    json_array_append_new(array, json_string(text));
}

void ri_index_name(json_t *index, const char *id, const char *canonical) {
  const char *key;
  json_t *entry, *item;
  json_object_foreach(ri_index_images(index), key, entry) {
    json_t *names = pu_arr(entry, "names");
    for (size_t i = json_array_size(names); i-- > 0;) {
      item = json_array_get(names, i);
      if (pu_eq(json_string_value(item), canonical))
        json_array_remove(names, i);
    }
    if (pu_eq(key, id))
      ri_index_add(names, canonical);
  }
}

const char *ri_index_familiar(const char *name) {
  if (pu_starts(name, "docker.io/library/"))
    return name + strlen("docker.io/library/");
  return pu_starts(name, "docker.io/") ? name + strlen("docker.io/") : name;
}
