#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/util.h"
#include "change.h"
#include "choice.h"
#include "files.h"
#include "index.h"
#include "store.h"

static const int64_t partial_ms = 86400000;

/* ---------------------------------------------------------------- what no image needs */

struct sweep {
  struct ri_change *c;
  json_t *needed; /* {64 hexadecimal digits of a layer or blob: true} */
  int64_t loose_ms, partial_ms; /* only what is older: layers and blobs, downloads that were broken off */
  int64_t freed;
};

static bool older(int dir, const char *name, int64_t ms, struct stat *st) {
  return fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) == 0 && (ms <= 0 || ri_now_ms() - st->st_mtim.tv_sec * (int64_t)1000 >= ms);
}

static void need(json_t *set, const char *hex) {
  if (hex)
    json_object_set_new(set, hex, json_true());
}

static json_t *needed(const json_t *index) {
  json_t *set = json_object(), *entry, *chain;
  const char *id;
  size_t i;
  json_object_foreach(ri_index_images(index), id, entry) {
    need(set, ri_digest_good(id) ? id + 7 : NULL);
    const char *manifest = pu_str(entry, "manifest");
    need(set, ri_digest_good(manifest) ? manifest + 7 : NULL);
    json_array_foreach(pu_arr(entry, "layers"), i, chain) need(set, json_string_value(chain));
  }
  return set;
}

/* Out of its place at once, and away after: whoever looks sees it whole or not at all. */
static int layer_sweep(void *arg, const char *name) {
  struct sweep *s = arg;
  struct stat st;
  if (json_object_get(s->needed, name) || !older(s->c->layers, name, s->loose_ms, &st))
    return 0;
  RI_AUTO_FD lock = ri_lock_take(s->c->locks, name, RI_TRY_ALONE);
  if (lock < 0)
    return 0; /* somebody builds upon it right now */
  PU_AUTO_FREE link = pu_asprintf("%.26s", name);
  unlinkat(s->c->links, link, 0);
  if (renameat(s->c->layers, name, s->c->tmp, name) == 0)
    (void)!ri_tree_remove(s->c->tmp, name, &s->freed);
  unlinkat(s->c->locks, name, 0);
  return 0;
}

static int blob_sweep(void *arg, const char *name) {
  struct sweep *s = arg;
  struct stat st;
  if (!json_object_get(s->needed, name) && older(s->c->blobs, name, s->loose_ms, &st) && unlinkat(s->c->blobs, name, 0) == 0)
    s->freed += st.st_blocks * 512;
  return 0;
}

/* Downloads that nobody took up again. */
static int partial_sweep(void *arg, const char *name) {
  struct sweep *s = arg;
  struct stat st;
  if (!older(s->c->partial, name, s->partial_ms, &st))
    return 0;
  PU_AUTO_FREE key = pu_asprintf("blob-%s", name);
  RI_AUTO_FD lock = ri_lock_take(s->c->locks, key, RI_TRY_ALONE);
  if (lock >= 0 && unlinkat(s->c->partial, name, 0) == 0)
    s->freed += st.st_blocks * 512;
  return 0;
}

static int lock_sweep(void *arg, const char *name) {
  struct sweep *s = arg;
  if (json_object_get(s->needed, name))
    return 0;
  RI_AUTO_FD lock = ri_lock_take(s->c->locks, name, RI_TRY_ALONE);
  if (lock >= 0)
    unlinkat(s->c->locks, name, 0);
  return 0;
}

static void sweep_older(struct ri_change *c, const json_t *index, int64_t loose_ms, int64_t partial_ms_, int64_t *freed) {
  PU_AUTO_JSON set = needed(index);
  struct sweep s = {.c = c, .needed = set, .loose_ms = loose_ms, .partial_ms = partial_ms_};
  ri_each_name(c->layers, layer_sweep, &s);
  ri_each_name(c->blobs, blob_sweep, &s);
  ri_each_name(c->partial, partial_sweep, &s);
  ri_each_name(c->locks, lock_sweep, &s);
  *freed += s.freed;
}

static void sweep(struct ri_change *c, const json_t *index, int64_t *freed) { sweep_older(c, index, 0, partial_ms, freed); }

static json_t *begin(struct ri_change *c, int *lock, struct ri_why *why) {
  *lock = ri_lock_take(c->dir, "lock", RI_ALONE);
  if (*lock < 0)
    ri_why_errno(why, errno, "the lock of the image store");
  return *lock < 0 ? NULL : ri_index_load(c->dir, why);
}

int ri_change_sweep(struct ri_change *c, int64_t *freed, struct ri_why *why) {
  RI_AUTO_FD lock = -1;
  PU_AUTO_JSON index = begin(c, &lock, why);
  if (!index)
    return -1;
  sweep(c, index, freed);
  return 0;
}

/* ---------------------------------------------------------------- removing */

/* The index first, the files after: a crash between the two leaves what the next sweep takes. */
static json_t *finish(struct ri_change *c, const json_t *index, json_t *removed, struct ri_why *why) {
  int64_t freed = 0;
  if (ri_change_index(c, index, why) < 0) {
    json_decref(removed);
    return NULL;
  }
  sweep(c, index, &freed);
  return json_pack("{s:o, s:I}", "removed", removed, "freed", (json_int_t)freed);
}

static void name_everything(json_t *removed, const char *id, const json_t *entry) {
  size_t i;
  json_t *name;
  json_array_foreach(pu_arr(entry, "names"), i, name) json_array_append_new(removed, json_string(ri_index_familiar(json_string_value(name))));
  json_array_append_new(removed, json_string(id));
}

/* Only the name, where it is one of several. */
static bool name_drop(json_t *entry, const char *image, json_t *removed) {
  bool by_digest = false;
  PU_AUTO_FREE name = ri_digest_good(image) ? NULL : ri_index_canonical(image, &by_digest);
  json_t *names = pu_arr(entry, "names");
  if (!name || by_digest || json_array_size(names) < 2)
    return false;
  for (size_t i = json_array_size(names); i-- > 0;)
    if (pu_eq(json_string_value(json_array_get(names, i)), name))
      json_array_remove(names, i);
  json_array_append_new(removed, json_string(ri_index_familiar(name)));
  return true;
}

/* Names them, the first few. */
static void in_use(const char *image, const json_t *containers, struct ri_why *why) {
  enum { most = 5 };
  struct pu_buf names = {0};
  size_t i, n = json_array_size(containers);
  json_t *name;
  json_array_foreach(containers, i, name) if (i < most) pu_buf_addf(&names, "%s%.100s", i ? ", " : "", json_is_string(name) ? json_string_value(name) : "?");
  if (n > most)
    pu_buf_addf(&names, " and %zu more", n - most);
  ri_why_set(why, BERTH_CONFLICT, "image %.300s is what container%s %s run%s from: remove %s first, as berth down does", image, n == 1 ? "" : "s", names.data, n == 1 ? "s" : "",
             n == 1 ? "it" : "them");
  pu_buf_free(&names);
}

json_t *ri_change_remove(struct ri_change *c, const char *image, const json_t *users, struct ri_why *why) {
  RI_AUTO_FD lock = -1;
  PU_AUTO_JSON index = begin(c, &lock, why);
  const char *id = NULL;
  if (!index)
    return NULL;
  json_t *entry = (json_t *)(uintptr_t)ri_index_find(index, image, &id);
  if (!entry) {
    ri_why_set(why, BERTH_NOT_FOUND, "image %.300s is not on this machine: berth image ls shows those that are", image);
    return NULL;
  }
  PU_AUTO_JSON removed = json_array();
  if (name_drop(entry, image, removed))
    return finish(c, index, json_incref(removed), why);
  if (json_array_size(pu_arr(users, id))) {
    in_use(image, pu_arr(users, id), why);
    return NULL;
  }
  name_everything(removed, id, entry);
  json_object_del(ri_index_images(index), ri_digest_good(image) ? image : json_string_value(json_array_get(removed, json_array_size(removed) - 1)));
  return finish(c, index, json_incref(removed), why);
}

/* ---------------------------------------------------------------- pruning */

/* Of the images that may go, the one not used for longest; NULL. list: as of ri_store_list, less those that are gone. */
static const json_t *longest_unused(const json_t *list, const json_t *index, const struct ri_prune *how) {
  PU_AUTO_JSON still = json_array();
  size_t i;
  json_t *image;
  json_array_foreach(list, i, image) if (json_object_get(ri_index_images(index), pu_str(image, "id"))) json_array_append(still, image);
  return ri_choice_next(still, how->keep, how->unused_since_ms ? how->unused_since_ms : INT64_MAX);
}

/* Bytes of all layers that images have, each counted once. */
static int64_t bytes_of(struct ri_change *c, const json_t *index) {
  PU_AUTO_JSON seen = json_object();
  int64_t sum = 0;
  const char *id;
  json_t *entry, *chain;
  size_t i;
  json_object_foreach(ri_index_images(index), id, entry) {
    json_array_foreach(pu_arr(entry, "layers"), i, chain) {
      if (!json_object_get(seen, json_string_value(chain)))
        sum += ri_change_layer_size(c, json_string_value(chain));
      need(seen, json_string_value(chain));
    }
  }
  return sum;
}

json_t *ri_change_prune(struct ri_change *c, const struct ri_prune *how, struct ri_why *why) {
  RI_AUTO_FD lock = -1;
  PU_AUTO_JSON index = begin(c, &lock, why);
  PU_AUTO_JSON list = index ? ri_store_list(c->root, how->label, why) : NULL;
  if (!list)
    return NULL;
  PU_AUTO_JSON removed = json_array();
  const json_t *next;
  while ((how->max_bytes < 0 || bytes_of(c, index) > how->max_bytes) && (next = longest_unused(list, index, how))) {
    const char *id = pu_str(next, "id");
    name_everything(removed, id, json_object_get(ri_index_images(index), id));
    json_object_del(ri_index_images(index), id);
  }
  return finish(c, index, json_incref(removed), why);
}

/* ---------------------------------------------------------------- automatic collection */

/* One image: out of the index, and what only it needed off the disk, at once: what that freed decides whether another one goes. */
static int collect_one(struct ri_change *c, json_t *index, const char *id, json_t *removed, int64_t *freed, struct ri_why *why) {
  name_everything(removed, id, json_object_get(ri_index_images(index), id));
  json_object_del(ri_index_images(index), id);
  if (ri_change_index(c, index, why) < 0)
    return -1;
  sweep(c, index, freed);
  return 0;
}

json_t *ri_change_collect(struct ri_change *c, const struct ri_collect *how, struct ri_why *why) {
  RI_AUTO_FD lock = -1;
  PU_AUTO_JSON index = begin(c, &lock, why);
  PU_AUTO_JSON removed = json_array();
  PU_AUTO_JSON keep = how->keep ? json_copy((json_t *)(uintptr_t)how->keep) : json_array();
  int64_t freed = 0, images = 0;
  if (!index)
    return NULL;
  ri_choice_pin(index, how->pins, keep);
  sweep_older(c, index, how->excess > 0 ? 0 : how->loose_ms, how->loose_ms, &freed);
  while (freed < how->excess || (how->max_bytes > 0 && bytes_of(c, index) > how->max_bytes)) {
    /* Read anew each time: a container may have been made of it meanwhile. */
    PU_AUTO_JSON list = ri_store_list(c->root, NULL, why);
    const json_t *next = list ? ri_choice_next(list, keep, how->before_ms) : NULL;
    if (!next)
      break;
    if (collect_one(c, index, pu_str(next, "id"), removed, &freed, why) < 0)
      return NULL;
    images++;
  }
  if (why->text)
    return NULL;
  int64_t over = how->max_bytes > 0 ? bytes_of(c, index) - how->max_bytes : 0, left = how->excess - freed;
  left = over > left ? over : left;
  return json_pack("{s:O, s:I, s:I, s:I}", "removed", removed, "images", (json_int_t)images, "freed", (json_int_t)freed, "short", (json_int_t)(left > 0 ? left : 0));
}
