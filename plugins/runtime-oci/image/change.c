#define _GNU_SOURCE /* syncfs */
#include "change.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/util.h"
#include "files.h"
#include "index.h"

/* ---------------------------------------------------------------- opening */

static int folders_open(struct ri_change *c, struct ri_why *why) {
  PU_AUTO_FREE path = pu_asprintf("%s/images", c->root);
  int error = ri_mkdirs(path, 0711);
  if (error || (c->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
    return ri_why_errno(why, error ? error : errno, "the image store %s", path);
  static const char *const over[] = {"blobs", "layers"};
  for (size_t i = 0; i < PU_COUNT(over); i++)
    if (mkdirat(c->dir, over[i], 0711) < 0 && errno != EEXIST)
      return ri_why_errno(why, errno, "%s/%s", path, over[i]);
  const struct {
    const char *name;
    int *fd;
  } dirs[] = {{"blobs/sha256", &c->blobs}, {"layers/sha256", &c->layers}, {"l", &c->links}, {"locks", &c->locks}, {"partial", &c->partial}, {"tmp", &c->tmp}};
  for (size_t i = 0; i < PU_COUNT(dirs); i++)
    if ((*dirs[i].fd = ri_dir_open(c->dir, dirs[i].name, true)) < 0)
      return ri_why_errno(why, errno, "%s/%s", path, dirs[i].name);
  /* Users of a container walk through these on the way to its files where its root is the layers themselves. */
  fchmod(c->layers, 0711);
  fchmod(c->links, 0711);
  return 0;
}

static int leftover_clear(void *arg, const char *name) {
  struct ri_change *c = arg;
  RI_AUTO_FD fd = openat(c->tmp, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 || ri_lock_turn(fd, RI_TRY_ALONE) == 0)
    (void)!ri_tree_remove(c->tmp, name, NULL); /* what cannot be removed now is tried by the next */
  return 0;
}

static bool of_this_boot(int layers, const char *chain, bool *marked) {
  PU_AUTO_FREE path = pu_asprintf("%s/unsynced", chain);
  PU_AUTO_FREE text = NULL;
  size_t len = 0;
  int error = ri_file_read(layers, path, 128, &text, &len);
  *marked = error != ENOENT;
  return error == ENOENT || (!error && pu_eq(text, ri_boot_id()));
}

/* A layer whose files may have been lost with the power. */
static int distrusted_clear(void *arg, const char *name) {
  struct ri_change *c = arg;
  bool marked;
  if (name[0] == '.' || of_this_boot(c->layers, name, &marked))
    return 0;
  RI_AUTO_FD lock = ri_lock_take(c->locks, name, RI_TRY_ALONE);
  if (lock >= 0 && !of_this_boot(c->layers, name, &marked))
    (void)!ri_tree_remove(c->layers, name, NULL);
  return 0;
}

int ri_change_index(struct ri_change *c, const json_t *index, struct ri_why *why) {
  PU_AUTO_FREE text = pu_json_text(index);
  int error = ri_file_write(c->dir, "index.json", text, strlen(text));
  return error ? ri_why_errno(why, error, "the index of the image store") : 0;
}

/* Takes images out of the index whose layers are gone. */
static void lame_clear(struct ri_change *c, json_t *index, bool *changed) {
  json_t *images = ri_index_images(index), *entry, *chain;
  const char *id;
  void *tmp;
  json_object_foreach_safe(images, tmp, id, entry) {
    size_t i;
    bool lame = false;
    json_array_foreach(pu_arr(entry, "layers"), i, chain) lame |= !json_is_string(chain) || !ri_change_has_layer(c, json_string_value(chain));
    *changed |= lame;
    if (lame)
      json_object_del(images, id);
  }
}

static int recover(struct ri_change *c, struct ri_why *why) {
  ri_each_name(c->tmp, leftover_clear, c);
  ri_each_name(c->layers, distrusted_clear, c);
  RI_AUTO_FD lock = ri_lock_take(c->dir, "lock", RI_ALONE);
  PU_AUTO_JSON index = lock >= 0 ? ri_index_load(c->dir, why) : NULL;
  bool changed = false;
  if (!index)
    return ri_why_errno(why, errno, "the lock of the image store");
  lame_clear(c, index, &changed);
  return changed ? ri_change_index(c, index, why) : 0;
}

/* A folder for what is under way; its lock is there before it can be seen as nobody's. */
static int tmp_make(struct ri_change *c, struct ri_why *why) {
  RI_AUTO_FD all = c->tmp;
  c->tmp = -1;
  for (int i = 0; i < 1000; i++) {
    pu_set(&c->tmp_name, pu_asprintf("%d-%llx", getpid(), (unsigned long long)ri_now_ms() + (unsigned)i));
    if (mkdirat(all, c->tmp_name, 0700) < 0)
      continue;
    c->tmp = openat(all, c->tmp_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (c->tmp >= 0 && ri_lock_turn(c->tmp, RI_TRY_ALONE) == 0 && fstat(c->tmp, &st) == 0 && st.st_nlink > 0)
      return 0;
    ri_fd_close(&c->tmp);
  }
  return ri_why_errno(why, errno, "a folder for what is under way in %s/images/tmp", c->root);
}

int ri_change_open(struct ri_change *c, const char *root, struct ri_why *why) {
  *c = (struct ri_change){.root = pu_strdup(root), .dir = -1, .blobs = -1, .layers = -1, .links = -1, .locks = -1, .partial = -1, .tmp = -1};
  if (folders_open(c, why) < 0 || recover(c, why) < 0)
    return -1;
  return tmp_make(c, why);
}

void ri_change_close(struct ri_change *c) {
  if (c->tmp_name && c->tmp >= 0) {
    RI_AUTO_FD all = openat(c->dir, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)!ri_tree_remove(all, c->tmp_name, NULL);
  }
  int *fds[] = {&c->dir, &c->blobs, &c->layers, &c->links, &c->locks, &c->partial, &c->tmp};
  for (size_t i = 0; i < PU_COUNT(fds); i++)
    ri_fd_close(fds[i]);
  free(c->tmp_name);
  free(c->root);
  *c = (struct ri_change){0};
}

/* ---------------------------------------------------------------- layers */

int ri_change_lock(struct ri_change *c, const char *kind, const char *hex, bool alone, struct ri_why *why) {
  PU_AUTO_FREE name = pu_asprintf("%s%s", kind, hex);
  int fd = ri_lock_take(c->locks, name, alone ? RI_ALONE : RI_SHARED);
  return fd >= 0 ? fd : ri_why_errno(why, errno, "the lock of layer %.12s", hex);
}

bool ri_change_has_layer(struct ri_change *c, const char *chain) {
  struct stat st;
  PU_AUTO_FREE path = pu_asprintf("%s/layer.json", chain);
  return strlen(chain) == 64 && fstatat(c->layers, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The short name that mount options have room for. */
static int link_make(struct ri_change *c, const char *chain, struct ri_why *why) {
  char name[27], have[128];
  PU_AUTO_FREE target = pu_asprintf("../layers/sha256/%s/diff", chain);
  snprintf(name, sizeof name, "%.26s", chain);
  if (symlinkat(target, c->links, name) == 0)
    return 0;
  ssize_t n = errno == EEXIST ? readlinkat(c->links, name, have, sizeof have - 1) : -1;
  if (n < 0)
    return ri_why_errno(why, errno, "%s/images/l/%s", c->root, name);
  have[n] = 0;
  return pu_eq(have, target) ? 0 : ri_why_set(why, BERTH_CONFLICT, "layers %s and %s begin alike: remove one of their images first", chain, have);
}

int ri_change_layer(struct ri_change *c, const char *name, const char *chain, int64_t size, struct ri_why *why) {
  RI_AUTO_FD dir = openat(c->tmp, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  PU_AUTO_JSON facts = json_pack("{s:I}", "size", (json_int_t)size);
  PU_AUTO_FREE text = pu_json_text(facts);
  const char *boot = ri_boot_id();
  int error = dir < 0 ? errno : 0;
  RI_AUTO_FD mark = error ? -1 : openat(dir, "unsynced", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  RI_AUTO_FD about = error ? -1 : openat(dir, "layer.json", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (!error && (mark < 0 || about < 0))
    error = errno;
  if (!error)
    error = ri_write_all(mark, boot, strlen(boot), -1);
  if (!error)
    error = ri_write_all(about, text, strlen(text), -1);
  if (!error)
    error = fchmod(dir, 0711) < 0 ? errno : 0;
  if (!error)
    error = ri_tree_remove(c->layers, chain, NULL);
  if (!error && renameat(c->tmp, name, c->layers, chain) < 0)
    error = errno;
  c->unsynced = true;
  return error ? ri_why_errno(why, error, "layer %.12s", chain) : link_make(c, chain, why);
}

int64_t ri_change_layer_size(struct ri_change *c, const char *chain) {
  PU_AUTO_FREE path = pu_asprintf("%s/layer.json", chain);
  PU_AUTO_FREE text = NULL;
  size_t len = 0;
  if (ri_file_read(c->layers, path, 4096, &text, &len))
    return 0;
  PU_AUTO_JSON facts = pu_json_parse(text, len);
  return pu_int(facts, "size", 0);
}

static int mark_note(void *arg, const char *name) {
  struct ri_change *c = arg;
  bool marked;
  if (name[0] != '.' && of_this_boot(c->layers, name, &marked) && marked)
    json_array_append_new(c->marked, json_string(name));
  return 0;
}

/* Only what was marked before the sync is on the disk after it. */
void ri_change_sync(struct ri_change *c) {
  size_t i;
  json_t *name;
  if (!c->unsynced)
    return;
  c->marked = json_array();
  ri_each_name(c->layers, mark_note, c);
  bool good = syncfs(c->dir) == 0;
  json_array_foreach(c->marked, i, name) {
    PU_AUTO_FREE path = pu_asprintf("%s/unsynced", json_string_value(name));
    if (good)
      unlinkat(c->layers, path, 0);
  }
  json_decref(c->marked);
  c->marked = NULL;
  c->unsynced = false;
}

/* ---------------------------------------------------------------- images */

static int blob_write(struct ri_change *c, const struct ri_document *d, struct ri_why *why) {
  int error = ri_file_write(c->blobs, d->digest + 7, d->data, d->len);
  return error ? ri_why_errno(why, error, "blob %.19s", d->digest) : 0;
}

static json_t *entry_make(struct ri_change *c, const struct ri_image *image, const json_t *old) {
  int64_t size = 0;
  json_t *chain = json_array(), *labels = pu_obj(pu_obj(image->config->json, "config"), "Labels"), *names = pu_arr(old, "names"), *digests = pu_arr(old, "digests");
  for (size_t i = 0; i < image->config->n; i++) {
    json_array_append_new(chain, json_string(image->config->chain[i]));
    size += ri_change_layer_size(c, image->config->chain[i]);
  }
  return json_pack("{s:s, s:o, s:o, s:s, s:s, s:I, s:o, s:o, s:I}", "manifest", image->manifest->digest, "names", names ? json_copy(names) : json_array(),
                   "digests", digests ? json_copy(digests) : json_array(), "platform", image->config->platform, "created", image->config->created,
                   "size", (json_int_t)size, "layers", chain, "labels", labels ? json_deep_copy(labels) : json_object(), "added_at",
                   (json_int_t)(old ? pu_int(old, "added_at", 0) : ri_now_ms()));
}

int ri_change_image(struct ri_change *c, const struct ri_image *image, struct ri_why *why) {
  RI_AUTO_FD lock = ri_lock_take(c->dir, "lock", RI_ALONE);
  PU_AUTO_JSON index = lock >= 0 ? ri_index_load(c->dir, why) : NULL;
  size_t i;
  json_t *item;
  if (!index)
    return ri_why_errno(why, errno, "the lock of the image store");
  if (blob_write(c, image->manifest, why) < 0 || blob_write(c, image->configuration, why) < 0)
    return -1;
  const char *id = image->configuration->digest;
  json_t *images = ri_index_images(index), *entry = entry_make(c, image, json_object_get(images, id));
  json_object_set_new(images, id, entry);
  json_array_foreach(image->digests, i, item) ri_index_add(pu_arr(entry, "digests"), json_string_value(item));
  json_array_foreach(image->names, i, item) ri_index_name(index, id, json_string_value(item));
  return ri_change_index(c, index, why);
}
