#define _GNU_SOURCE /* strerrordesc_np */
#include "base.h"

#include <archive.h>
#include <archive_entry.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/util.h"
#include "../../common/values.h"
#include "files.h"
#include "index.h"
#include "layers.h"

enum { max_name = 512, most_bases = 64, block = 1 << 16 };

/* ---------------------------------------------------------------- what a Containerfile names */

struct reading {
  json_t *args;   /* {name: value} */
  json_t *stages; /* {name in lower case: true} */
  json_t *names;  /* {as it is written: what it means} */
};

/* $NAME and ${NAME}; NULL where one is not known, or is written otherwise. */
static char *expanded(const struct reading *r, const char *word) {
  struct pu_buf out = {0};
  for (const char *p = word; *p;) {
    if (*p != '$') {
      pu_buf_addc(&out, *p++);
      continue;
    }
    bool braces = p[1] == '{';
    const char *name = p + (braces ? 2 : 1), *end = name;
    while (isalnum((unsigned char)*end) || *end == '_')
      end++;
    PU_AUTO_FREE key = pu_strndup(name, (size_t)(end - name));
    const char *value = pu_str(r->args, key);
    if (!value || (braces && *end != '}')) {
      pu_buf_free(&out);
      return NULL;
    }
    pu_buf_adds(&out, value);
    p = end + braces;
  }
  return out.data ? pu_buf_steal(&out) : pu_strdup("");
}

static bool stage_known(const struct reading *r, const char *name) {
  PU_AUTO_FREE low = pu_strdup(name);
  for (char *p = low; *p; p++)
    *p = (char)tolower((unsigned char)*p);
  return json_object_get(r->stages, low) || strspn(name, "0123456789") == strlen(name);
}

static void name_take(struct reading *r, const char *word) {
  PU_AUTO_FREE name = expanded(r, word);
  if (name && *name && strlen(name) < max_name && !pu_eq(name, "scratch") && !stage_known(r, name) && json_object_size(r->names) < most_bases)
    json_object_set_new(r->names, word, pu_json_string(name));
}

static void stage_take(struct reading *r, const char *name) {
  PU_AUTO_FREE low = pu_strdup(name);
  for (char *p = low; *p; p++)
    *p = (char)tolower((unsigned char)*p);
  json_object_set_new(r->stages, low, json_true());
}

/* FROM [--platform=…] IMAGE [AS STAGE] */
static void from_take(struct reading *r, char *rest) {
  char *save = NULL, *word = strtok_r(rest, " \t", &save);
  while (word && pu_starts(word, "--"))
    word = strtok_r(NULL, " \t", &save);
  if (!word)
    return;
  name_take(r, word);
  char *as = strtok_r(NULL, " \t", &save), *stage = as ? strtok_r(NULL, " \t", &save) : NULL;
  if (stage && strcasecmp(as, "as") == 0)
    stage_take(r, stage);
}

/* What was given wins over what the file says. */
static void arg_take(struct reading *r, char *rest) {
  char *eq = strchr(rest, '='), *value = eq ? eq + 1 : NULL;
  if (!eq)
    return;
  *eq = 0;
  size_t len = strcspn(value, " \t");
  if (len >= 2 && (*value == '"' || *value == '\'') && value[len - 1] == *value) {
    value++;
    len -= 2;
  }
  PU_AUTO_FREE text = pu_strndup(value, len);
  PU_AUTO_FREE known = expanded(r, text);
  if (known && !json_object_get(r->args, rest))
    json_object_set_new(r->args, rest, pu_json_string(known));
}

/* --from=IMAGE of COPY and ADD, from=IMAGE within RUN's --mount. */
static void options_take(struct reading *r, char *rest) {
  char *save = NULL;
  for (char *word = strtok_r(rest, " \t", &save); word && pu_starts(word, "--"); word = strtok_r(NULL, " \t", &save)) {
    char *from = pu_starts(word, "--from=") ? word + strlen("--from=") : NULL, *part = NULL;
    if (from)
      name_take(r, from);
    for (char *p = pu_starts(word, "--mount=") ? strtok_r(word + strlen("--mount="), ",", &part) : NULL; p; p = strtok_r(NULL, ",", &part))
      if (pu_starts(p, "from="))
        name_take(r, p + strlen("from="));
  }
}

static void line_take(struct reading *r, char *line) {
  line += strspn(line, " \t");
  size_t n = strcspn(line, " \t");
  char *rest = line + n + strspn(line + n, " \t");
  if (n == 4 && strncasecmp(line, "FROM", n) == 0)
    from_take(r, rest);
  else if (n == 3 && strncasecmp(line, "ARG", n) == 0)
    arg_take(r, rest);
  else if ((n == 4 && strncasecmp(line, "COPY", n) == 0) || (n == 3 && (strncasecmp(line, "ADD", n) == 0 || strncasecmp(line, "RUN", n) == 0)))
    options_take(r, rest);
}

json_t *ri_bases_named(const char *text, size_t len, const json_t *args) {
  struct reading r = {.args = json_object(), .stages = json_object(), .names = json_object()};
  const char *key;
  json_t *v;
  json_object_foreach((json_t *)(uintptr_t)args, key, v) {
    PU_AUTO_FREE value = pu_scalar(v);
    if (value)
      json_object_set_new(r.args, key, pu_json_string(value));
  }
  PU_AUTO_FREE copy = pu_strndup(text, len);
  /* A line that ends with a backslash goes on in the next one. */
  for (char *p = copy; *p; p++)
    if (*p == '\r' || (*p == '\\' && (p[1] == '\n' || (p[1] == '\r' && p[2] == '\n')))) {
      bool joined = *p == '\\';
      *p = ' ';
      if (joined)
        *strchr(p, '\n') = ' ';
    }
  char *save = NULL;
  for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
    if (line[strspn(line, " \t")] != '#')
      line_take(&r, line);
  json_decref(r.args);
  json_decref(r.stages);
  return r.names;
}

/* ---------------------------------------------------------------- a tree as one layer */

struct layer {
  int fd;
  EVP_MD_CTX *sum;
  int64_t size;
  int error;
};

static la_ssize_t layer_write(struct archive *a, void *arg, const void *data, size_t n) {
  struct layer *l = arg;
  l->error = ri_write_all(l->fd, data, n, -1);
  if (l->error) {
    archive_set_error(a, l->error, "%s", strerrordesc_np(l->error));
    return -1;
  }
  EVP_DigestUpdate(l->sum, data, n);
  l->size += (int64_t)n;
  return (la_ssize_t)n;
}

static int content_copy(struct archive *from, struct archive *to, struct archive_entry *e) {
  static const char zeros[block];
  const void *data;
  size_t n;
  int64_t at, done = 0;
  int r = archive_entry_size(e) > 0 ? ARCHIVE_OK : ARCHIVE_EOF;
  while (r == ARCHIVE_OK && (r = archive_read_data_block(from, &data, &n, &at)) == ARCHIVE_OK) {
    for (; done < at; done += at - done < block ? at - done : block)
      if (archive_write_data(to, zeros, at - done < block ? (size_t)(at - done) : block) < 0)
        return -1;
    if (n && archive_write_data(to, data, n) < 0)
      return -1;
    done += (int64_t)n;
  }
  return r == ARCHIVE_EOF ? 0 : -1;
}

/* One entry, by its path within the tree. Times but that of the content would make each export another image. */
static int entry_write(struct archive *from, struct archive *to, struct archive_entry *e, size_t prefix) {
  const char *path = archive_entry_pathname(e);
  PU_AUTO_FREE inside = pu_asprintf(".%s", strlen(path) > prefix ? path + prefix : "/");
  archive_entry_copy_pathname(e, inside);
  const char *hard = archive_entry_hardlink(e);
  PU_AUTO_FREE target = hard && strlen(hard) > prefix && hard[0] == '/' ? pu_asprintf(".%s", hard + prefix) : NULL;
  if (target)
    archive_entry_copy_hardlink(e, target);
  archive_entry_unset_atime(e);
  archive_entry_unset_ctime(e);
  archive_entry_unset_birthtime(e);
  archive_entry_sparse_clear(e);
  return archive_write_header(to, e) == ARCHIVE_OK && content_copy(from, to, e) == 0 ? 0 : -1;
}

static int tree_write(const char *tree, struct archive *to, struct ri_why *why) {
  struct archive *from = archive_read_disk_new();
  struct archive_entry_linkresolver *links = archive_entry_linkresolver_new();
  archive_entry_linkresolver_set_strategy(links, ARCHIVE_FORMAT_TAR_PAX_RESTRICTED);
  archive_read_disk_set_symlink_physical(from);
  archive_read_disk_set_behavior(from, ARCHIVE_READDISK_NO_TRAVERSE_MOUNTS | ARCHIVE_READDISK_NO_FFLAGS);
  int r = archive_read_disk_open(from, tree), failed = r == ARCHIVE_OK ? 0 : -1;
  struct archive_entry *e = archive_entry_new(), *spare = NULL;
  while (!failed && (r = archive_read_next_header2(from, e)) == ARCHIVE_OK) {
    archive_read_disk_descend(from);
    struct archive_entry *now = e;
    if (archive_entry_filetype(e) != AE_IFSOCK) {
      archive_entry_linkify(links, &now, &spare);
      failed = entry_write(from, to, now, strlen(tree));
    }
    archive_entry_clear(e);
  }
  if (failed || r != ARCHIVE_EOF) {
    const char *words = archive_error_string(to) ? archive_error_string(to) : archive_error_string(from);
    failed = ri_why_set(why, BERTH_IO, "the image's files cannot be read: %s", words ? words : "unknown error");
  }
  archive_entry_free(e);
  archive_entry_linkresolver_free(links);
  archive_read_free(from);
  return failed;
}

/* The tree as blobs/NAME, a tar that is not packed: it goes no further than to buildah. */
static int layer_make(int blobs, const char *tree, char digest[72], int64_t *size, struct ri_why *why) {
  struct layer l = {.fd = openat(blobs, "layer", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), .sum = EVP_MD_CTX_new()};
  RI_AUTO_FD fd = l.fd;
  if (fd < 0)
    ri_why_errno(why, errno, "a file for the image's files");
  EVP_DigestInit_ex(l.sum, EVP_sha256(), NULL);
  struct archive *to = archive_write_new();
  archive_write_set_format_pax_restricted(to);
  archive_write_set_bytes_in_last_block(to, 1);
  int failed = fd < 0 || archive_write_open(to, &l, NULL, layer_write, NULL) != ARCHIVE_OK ? -1 : tree_write(tree, to, why);
  if (archive_write_close(to) != ARCHIVE_OK || l.error)
    failed = ri_why_errno(why, l.error ? l.error : EIO, "a file for the image's files");
  archive_write_free(to);
  unsigned char sum[EVP_MAX_MD_SIZE];
  EVP_DigestFinal_ex(l.sum, sum, NULL);
  EVP_MD_CTX_free(l.sum);
  memcpy(digest, "sha256:", 7);
  ri_digest_hex(sum, digest + 7);
  *size = l.size;
  return failed || renameat(blobs, "layer", blobs, digest + 7) < 0 ? (ri_why_errno(why, errno, "a file for the image's files"), -1) : 0;
}

/* ---------------------------------------------------------------- the layout */

static int blob_put(int blobs, const json_t *o, char digest[72], int64_t *size, struct ri_why *why) {
  PU_AUTO_FREE text = pu_json_text(o);
  ri_digest_of(text, strlen(text), digest);
  *size = (int64_t)strlen(text);
  int error = ri_file_write(blobs, digest + 7, text, strlen(text));
  return error ? ri_why_errno(why, error, "a file for the image") : 0;
}

/* What the image says of itself, of one layer. */
static json_t *config_of(struct ri_change *c, const char *id, const char *layer, struct ri_why *why) {
  PU_AUTO_FREE text = NULL;
  size_t len = 0;
  int error = ri_file_read(c->blobs, id + 7, ri_max_manifest, &text, &len);
  json_t *config = error ? NULL : pu_json_parse(text, len);
  if (!json_is_object(config)) {
    ri_why_set(why, BERTH_IO, "the configuration of %s is gone from the image store, or broken: import the image again", id);
    json_decref(config);
    return NULL;
  }
  json_object_del(config, "history"); /* it speaks of layers that are one now */
  json_object_set_new(config, "rootfs", json_pack("{s:s, s:[s]}", "type", "layers", "diff_ids", layer));
  return config;
}

static int layout_make(struct ri_change *c, const char *id, const char *tree, int dir, struct ri_why *why) {
  static const char mark[] = "{\"imageLayoutVersion\":\"1.0.0\"}", type[] = "application/vnd.oci.image.manifest.v1+json";
  char layer[72], config[72], manifest[72];
  int64_t layer_size, config_size, manifest_size;
  RI_AUTO_FD top = ri_dir_open(dir, "blobs", true);
  RI_AUTO_FD blobs = top < 0 ? -1 : ri_dir_open(top, "sha256", true);
  if (blobs < 0)
    return ri_why_errno(why, errno, "a folder for the image");
  PU_AUTO_JSON said = layer_make(blobs, tree, layer, &layer_size, why) < 0 ? NULL : config_of(c, id, layer, why);
  if (!said || blob_put(blobs, said, config, &config_size, why) < 0)
    return -1;
  PU_AUTO_JSON whole = json_pack("{s:i, s:s, s:{s:s, s:s, s:I}, s:[{s:s, s:s, s:I}]}", "schemaVersion", 2, "mediaType", type, "config", "mediaType",
                                 "application/vnd.oci.image.config.v1+json", "digest", config, "size", (json_int_t)config_size, "layers", "mediaType",
                                 "application/vnd.oci.image.layer.v1.tar", "digest", layer, "size", (json_int_t)layer_size);
  if (blob_put(blobs, whole, manifest, &manifest_size, why) < 0)
    return -1;
  PU_AUTO_JSON index = json_pack("{s:i, s:[{s:s, s:s, s:I}]}", "schemaVersion", 2, "manifests", "mediaType", type, "digest", manifest, "size", (json_int_t)manifest_size);
  PU_AUTO_FREE text = pu_json_text(index);
  int error = ri_file_write(dir, "index.json", text, strlen(text));
  if (!error)
    error = ri_file_write(dir, "oci-layout", mark, strlen(mark));
  return error ? ri_why_errno(why, error, "a file for the image") : 0;
}

/* All layers as one tree, for reading. overlayfs wants two at least: an empty one lies below. Names are short ones, from where the links are. */
static int tree_mount(struct ri_change *c, const json_t *layers, const char *empty, const char *tree, struct ri_why *why) {
  struct pu_buf options = {0};
  pu_buf_adds(&options, "lowerdir=");
  for (size_t i = json_array_size(layers); i-- > 0;)
    pu_buf_addf(&options, "%.26s:", json_string_value(json_array_get(layers, i)));
  pu_buf_adds(&options, empty);
  int r = fchdir(c->links) < 0 || mount("overlay", tree, "overlay", MS_RDONLY | MS_NODEV | MS_NOSUID, options.data) < 0 ? errno : 0;
  pu_buf_free(&options);
  return r ? ri_why_errno(why, r, "the image's layers cannot be mounted for the build") : 0;
}

static int held_take(struct ri_change *c, const json_t *layers, struct ri_held *held, struct ri_why *why) {
  size_t i;
  json_t *chain;
  json_array_foreach(layers, i, chain) {
    int fd = held->n < ri_max_layers ? ri_change_lock(c, "", json_string_value(chain), false, why) : -1;
    if (fd < 0)
      return -1;
    held->fds[held->n++] = fd;
  }
  return 0;
}

/* Whether it came from the registry that this name leads to: then that one has its layers as they were. */
static bool fetched(const json_t *entry, const char *image) {
  bool by_digest = false;
  PU_AUTO_FREE name = ri_digest_good(image) ? NULL : ri_index_canonical(image, &by_digest);
  char *end = name ? strrchr(name, by_digest ? '@' : ':') : NULL;
  size_t i;
  json_t *digest;
  if (!end)
    return false;
  end[0] = '@';
  end[1] = 0;
  json_array_foreach(pu_arr(entry, "digests"), i, digest) if (pu_starts(json_string_value(digest), name)) return true;
  return false;
}

char *ri_base_export(struct ri_change *c, const char *image, const char *work, struct ri_why *why) {
  const char *id = NULL;
  PU_AUTO_JSON index = ri_index_load(c->dir, why);
  const json_t *entry = index ? ri_index_find(index, image, &id) : NULL;
  if (!entry || fetched(entry, image))
    return NULL;
  RI_AUTO_HELD held = {.n = 0};
  PU_AUTO_FREE name = pu_asprintf("berth-%.12s", id + 7);
  PU_AUTO_FREE folder = pu_asprintf("%s/%s", work, name);
  PU_AUTO_FREE tree = pu_asprintf("%s/tree", work);
  PU_AUTO_FREE empty = pu_asprintf("%s/empty", work);
  if (access(folder, F_OK) == 0) /* under another name */
    return pu_strdup(name);
  int error = ri_mkdirs(folder, 0700);
  if (!error)
    error = ri_mkdirs(tree, 0700);
  if (!error)
    error = ri_mkdirs(empty, 0755);
  RI_AUTO_FD dir = error ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0)
    ri_why_errno(why, error ? error : errno, "a folder for the image");
  if (dir < 0 || held_take(c, pu_arr(entry, "layers"), &held, why) < 0 || tree_mount(c, pu_arr(entry, "layers"), empty, tree, why) < 0)
    return NULL;
  int r = layout_make(c, id, tree, dir, why);
  if (umount2(tree, MNT_DETACH) < 0 && r == 0)
    r = ri_why_errno(why, errno, "%s", tree);
  return r == 0 ? pu_strdup(name) : NULL;
}
