#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/util.h"
#include "action.h"
#include "files.h"
#include "index.h"
#include "progress.h"

enum { max_images = 64, max_archive_entries = 100000 };

/* A folder that images are taken from: an OCI layout, or what an archive of docker save was unpacked to. */
struct origin {
  struct ri_change *c;
  int dir;
  const json_t *files; /* docker save: {digest of a layer: path}; NULL: blobs/sha256/… */
  const json_t *names; /* given instead of those that it brings; NULL: none */
  const char *platform;
  struct ri_tar_limits limits;
  json_t *images; /* what came of it */
};

/* ---------------------------------------------------------------- files within */

static int within_open(const struct origin *o, const char *path, struct ri_why *why) {
  struct stat st;
  RI_AUTO_FD fd = ri_open_inside(o->dir, path, O_RDONLY | O_NONBLOCK);
  if (fd < 0 || fstat(fd, &st) < 0)
    return ri_why_errno(why, errno, "%.200s, which belongs to the image", path);
  if (!S_ISREG(st.st_mode))
    return ri_why_set(why, BERTH_INVALID, "%.200s, which belongs to the image, is no file", path);
  int got = fd;
  fd = -1;
  return got;
}

/* A whole document; *absent (may be NULL): it is not there, which is no failure then. */
static char *within_read(const struct origin *o, const char *path, size_t *len, bool *absent, struct ri_why *why) {
  RI_AUTO_FD fd = ri_open_inside(o->dir, path, O_RDONLY | O_NONBLOCK);
  struct stat st;
  if (absent)
    *absent = fd < 0 && errno == ENOENT;
  if (fd < 0 && absent && *absent)
    return NULL;
  if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > ri_max_manifest) {
    if (fd < 0)
      ri_why_errno(why, errno, "%.200s, which belongs to the image", path);
    else
      ri_why_set(why, BERTH_INVALID, "%.200s is no file, or has more than the %d bytes that are read", path, ri_max_manifest);
    return NULL;
  }
  PU_AUTO_FREE text = pu_calloc(1, (size_t)st.st_size + 1);
  ssize_t n = pread(fd, text, (size_t)st.st_size, 0);
  if (n < 0) {
    ri_why_errno(why, errno, "%.200s", path);
    return NULL;
  }
  *len = (size_t)n;
  char *out = text;
  text = NULL;
  return out;
}

static int blob_document(const struct origin *o, const char *digest, struct ri_document *out, struct ri_why *why) {
  PU_AUTO_FREE path = pu_asprintf("blobs/sha256/%s", digest + 7);
  size_t len = 0;
  char *text = within_read(o, path, &len, NULL, why);
  return text ? ri_document_take(out, text, len, digest, why) : -1;
}

/* ---------------------------------------------------------------- as a source of layers */

static int blob_open(void *arg, const struct ri_job *job, struct ri_why *why) {
  const struct origin *o = arg;
  PU_AUTO_FREE path = o->files ? pu_strdup(pu_str(o->files, job->blob->digest)) : pu_asprintf("blobs/sha256/%s", job->blob->digest + 7);
  return path ? within_open(o, path, why) : ri_why_set(why, BERTH_INVALID, "the archive has no file for it");
}

/* docker save names layers by what they unpack to: that is looked at anyhow. */
static int blob_feed(void *arg, const struct ri_job *job, struct ri_why *why) {
  const struct origin *o = arg;
  struct stat st;
  if (!o->files)
    return ri_feed_file(job, why);
  if (fstat(job->fd, &st) < 0)
    return ri_why_errno(why, errno, "its file");
  ri_unpacker_tell(job->unpacker, st.st_size, true);
  return 0;
}

static int lay(struct origin *o, const struct ri_document *manifest, const struct ri_document *configuration, const json_t *names, struct ri_why *why) {
  struct ri_source source = {.arg = o, .open = blob_open, .feed = blob_feed};
  PU_AUTO_JSON digests = json_array();
  json_t *image = ri_lay(o->c, manifest, configuration, &source, &o->limits, names, digests, o->platform, why);
  if (image)
    json_array_append_new(o->images, image);
  return image ? 0 : -1;
}

/* A name of the archive's own in its canonical form; what is only a tag is none. */
static void name_add(json_t *names, const char *name) {
  bool by_digest = false;
  PU_AUTO_FREE canonical = name && strpbrk(name, "/:") ? ri_index_canonical(name, &by_digest) : NULL;
  if (canonical && !by_digest)
    ri_index_add(names, canonical);
}

static int name_given(const struct origin *o, json_t *names, struct ri_why *why) {
  size_t i;
  json_t *name;
  if (json_array_size(o->names))
    json_array_clear(names);
  json_array_foreach(o->names, i, name) {
    bool by_digest = false;
    const char *text = json_is_string(name) ? json_string_value(name) : "";
    PU_AUTO_FREE canonical = ri_index_canonical(text, &by_digest);
    if (!canonical || by_digest)
      return ri_why_set(why, BERTH_INVALID, "\"%.200s\" is no name for an image: name:tag, or registry/name:tag", text);
    ri_index_add(names, canonical);
  }
  return 0;
}

/* ---------------------------------------------------------------- OCI layout */

/* One entry of index.json: a manifest, or an index of several machines' manifests. */
static int layout_entry(struct origin *o, const json_t *entry, struct ri_why *why) {
  RI_AUTO_DOCUMENT manifest = {0};
  RI_AUTO_DOCUMENT configuration = {0};
  struct ri_manifest m;
  const char *digest = pu_str(entry, "digest");
  const json_t *notes = pu_obj(entry, "annotations");
  PU_AUTO_JSON names = json_array();
  name_add(names, pu_str(notes, "io.containerd.image.name"));
  if (!json_array_size(names))
    name_add(names, pu_str(notes, "org.opencontainers.image.ref.name"));
  if (!ri_digest_good(digest))
    return ri_why_set(why, BERTH_INVALID, "index.json names a manifest by what is no sha256 digest");
  if (name_given(o, names, why) < 0 || blob_document(o, digest, &manifest, why) < 0)
    return -1;
  if (ri_is_index(pu_str_or(entry, "mediaType", ""), manifest.data, manifest.len)) {
    struct ri_descriptor picked;
    if (ri_index_pick(manifest.data, manifest.len, o->platform, &picked, why) < 0)
      return -1;
    ri_document_free(&manifest);
    if (blob_document(o, picked.digest, &manifest, why) < 0)
      return -1;
  }
  if (ri_manifest_read(manifest.data, manifest.len, &m, why) < 0 || blob_document(o, m.config.digest, &configuration, why) < 0)
    return -1;
  return lay(o, &manifest, &configuration, names, why);
}

/* Attestations and the like are for no machine. */
static bool of_no_machine(const json_t *entry) { return pu_eq(pu_str(pu_obj(entry, "platform"), "os"), "unknown"); }

static int layout_import(struct origin *o, const char *text, size_t len, struct ri_why *why) {
  PU_AUTO_JSON index = pu_json_parse(text, len);
  json_t *list = pu_arr(index, "manifests"), *entry;
  size_t i, n = json_array_size(list), used = 0;
  if (!n || n > max_images)
    return ri_why_set(why, BERTH_INVALID, "index.json names no image, or more than %d", max_images);
  if (json_array_size(o->names) && n > 1)
    return ri_why_set(why, BERTH_INVALID, "there are %zu images in it, and one name is given for them: import them under their own names", n);
  json_array_foreach(list, i, entry) {
    if (of_no_machine(entry))
      continue;
    used++;
    if (layout_entry(o, entry, why) < 0)
      return n > 1 ? ri_why_wrap(why, "image %zu of %zu", i + 1, n) : -1;
  }
  return used ? 0 : ri_why_set(why, BERTH_INVALID, "index.json names no image for a machine");
}

/* ---------------------------------------------------------------- docker save */

static const char *media_type_of(const struct origin *o, const char *path, int64_t *size, struct ri_why *why) {
  RI_AUTO_FD fd = within_open(o, path, why);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) < 0)
    return NULL;
  *size = st.st_size;
  return "application/vnd.oci.image.layer.v1.tar"; /* the unpacker looks for itself whether it is compressed */
}

/* The manifest that a registry would give out for it, with what layers unpack to as their digests. */
static json_t *manifest_make(const struct origin *o, const json_t *paths, const struct ri_config *config, const struct ri_document *configuration,
                             json_t *files, struct ri_why *why) {
  PU_AUTO_JSON layers = json_array();
  if (json_array_size(paths) != config->n) {
    ri_why_set(why, BERTH_INVALID, "manifest.json names %zu layers, the configuration %zu", json_array_size(paths), config->n);
    return NULL;
  }
  for (size_t i = 0; i < config->n; i++) {
    const char *path = json_string_value(json_array_get(paths, i));
    int64_t size = 0;
    const char *type = path ? media_type_of(o, path, &size, why) : NULL;
    if (!type) {
      ri_why_set(why, BERTH_INVALID, "manifest.json names a layer by what is no path");
      return NULL;
    }
    json_object_set_new(files, config->diff_ids[i], json_string(path));
    json_array_append_new(layers, json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", config->diff_ids[i], "size", (json_int_t)size));
  }
  return json_pack("{s:i, s:s, s:{s:s, s:s, s:I}, s:O}", "schemaVersion", 2, "mediaType", "application/vnd.oci.image.manifest.v1+json", "config",
                   "mediaType", "application/vnd.oci.image.config.v1+json", "digest", configuration->digest, "size", (json_int_t)configuration->len,
                   "layers", layers);
}

static int saved_lay(struct origin *o, const json_t *entry, const struct ri_document *configuration, const json_t *names, struct ri_why *why) {
  struct ri_config config;
  RI_AUTO_DOCUMENT manifest = {0};
  PU_AUTO_JSON files = json_object();
  if (ri_config_read(configuration->data, configuration->len, &config, why) < 0)
    return -1;
  PU_AUTO_JSON made = manifest_make(o, pu_arr(entry, "Layers"), &config, configuration, files, why);
  ri_config_free(&config);
  if (!made)
    return -1;
  char *text = pu_json_text(made);
  if (ri_document_take(&manifest, text, strlen(text), NULL, why) < 0)
    return -1;
  o->files = files;
  int r = lay(o, &manifest, configuration, names, why);
  o->files = NULL;
  return r;
}

static int saved_entry(struct origin *o, const json_t *entry, struct ri_why *why) {
  RI_AUTO_DOCUMENT configuration = {0};
  PU_AUTO_JSON names = json_array();
  const char *path = pu_str(entry, "Config");
  size_t i, len = 0;
  json_t *tag;
  json_array_foreach(pu_arr(entry, "RepoTags"), i, tag) name_add(names, json_string_value(tag));
  if (!path)
    return ri_why_set(why, BERTH_INVALID, "manifest.json names an image without a configuration");
  char *text = within_read(o, path, &len, NULL, why);
  if (!text || ri_document_take(&configuration, text, len, NULL, why) < 0 || name_given(o, names, why) < 0)
    return -1;
  return saved_lay(o, entry, &configuration, names, why);
}

static int saved_import(struct origin *o, const char *text, size_t len, struct ri_why *why) {
  PU_AUTO_JSON list = pu_json_parse(text, len);
  size_t i, n = json_array_size(list);
  json_t *entry;
  if (!n || n > max_images)
    return ri_why_set(why, BERTH_INVALID, "manifest.json names no image, or more than %d", max_images);
  if (json_array_size(o->names) && n > 1)
    return ri_why_set(why, BERTH_INVALID, "there are %zu images in it, and one name is given for them: import them under their own names", n);
  json_array_foreach(list, i, entry) if (saved_entry(o, entry, why) < 0) return n > 1 ? ri_why_wrap(why, "image %zu of %zu", i + 1, n) : -1;
  return 0;
}

/* ---------------------------------------------------------------- the archive itself */

/* Files of an archive into a folder of its own, by the same process that unpacks layers. */
static int archive_unpack(struct origin *o, int file, struct ri_why *why) {
  struct ri_tar_limits limits = o->limits;
  struct ri_unpacker u;
  struct stat st;
  limits.plain = true;
  limits.max_bytes = limits.max_bytes > INT64_MAX / 4 ? limits.max_bytes : limits.max_bytes * 4;
  limits.max_entries = max_archive_entries;
  limits.devices = RI_DEVICES_REFUSE;
  if (fstat(file, &st) < 0 || mkdirat(o->c->tmp, "archive", 0700) < 0)
    return ri_why_errno(why, errno, "a folder for the archive's files");
  o->dir = openat(o->c->tmp, "archive", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (o->dir < 0)
    return ri_why_errno(why, errno, "a folder for the archive's files");
  ri_progress("", "Reading the archive", 0, st.st_size);
  if (ri_unpacker_start(&u, file, o->dir, &limits, why) < 0)
    return -1;
  ri_unpacker_tell(&u, st.st_size, true);
  PU_AUTO_JSON report = ri_unpacker_end(&u, why);
  return report ? 0 : -1;
}

static int origin_open(struct origin *o, const char *path, struct ri_why *why) {
  RI_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) < 0)
    return ri_why_errno(why, errno, "it cannot be read");
  if (S_ISREG(st.st_mode))
    return archive_unpack(o, fd, why);
  if (!S_ISDIR(st.st_mode))
    return ri_why_set(why, BERTH_INVALID, "it is neither a file nor a folder");
  o->dir = fd;
  fd = -1;
  return 0;
}

static int origin_import(struct origin *o, struct ri_why *why) {
  bool absent = false;
  size_t len = 0;
  PU_AUTO_FREE layout = within_read(o, "index.json", &len, &absent, why);
  if (layout)
    return layout_import(o, layout, len, why);
  PU_AUTO_FREE saved = absent ? within_read(o, "manifest.json", &len, &absent, why) : NULL;
  if (saved)
    return saved_import(o, saved, len, why);
  return ri_why_set(why, BERTH_INVALID, "it is no image archive: there is neither index.json (OCI) nor manifest.json (docker save) in it. What berth image import and "
                    "load take is what docker save or skopeo copy writes; a root file system alone (docker export) becomes an image by build: with FROM scratch and ADD");
}

static json_t *import_from(struct ri_change *c, const char *path, const json_t *names, const json_t *spec, struct ri_why *why) {
  struct origin o = {.c = c, .dir = -1, .names = names, .platform = pu_str_or(spec, "platform", ri_platform_here())};
  ri_limits_read(spec, &o.limits);
  PU_AUTO_JSON images = o.images = json_array();
  int r = origin_open(&o, path, why);
  if (r == 0)
    r = origin_import(&o, why);
  ri_fd_close(&o.dir);
  return r == 0 ? json_incref(images) : NULL;
}

json_t *ri_import_folder(struct ri_change *c, const char *path, const json_t *names, const json_t *spec, struct ri_why *why) {
  PU_AUTO_JSON images = import_from(c, path, names, spec, why);
  return images ? json_incref(json_array_get(images, 0)) : NULL;
}

json_t *ri_action_import(struct ri_change *c, const json_t *spec, struct ri_why *why) {
  const char *path = pu_str(spec, "path"), *name = pu_str(spec, "name");
  if (!path || path[0] != '/') {
    ri_why_set(why, BERTH_INVALID, "what is to be imported is named by an absolute path");
    return NULL;
  }
  PU_AUTO_JSON names = name && *name ? json_pack("[s]", name) : NULL;
  json_t *images = import_from(c, path, names, spec, why);
  if (!images)
    ri_why_wrap(why, "%s", path);
  return images ? json_pack("{s:o}", "images", images) : NULL;
}
