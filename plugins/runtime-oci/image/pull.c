#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../common/reference.h"
#include "../../common/util.h"
#include "action.h"
#include "files.h"
#include "index.h"
#include "progress.h"
#include "registry.h"
#include "store.h"

enum { max_places = 17, tries = 5, default_timeout_ms = 30000 };

#define ACCEPT                                                                                        \
  "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, " \
  "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, "   \
  "application/vnd.docker.distribution.manifest.v1+prettyjws;q=0.1"

/* One pull. */
struct pull {
  struct ri_change *c;
  struct pu_reference ref;
  char *canonical;       /* "docker.io/library/web" */
  char *scope, *what;
  const char *platform;
  struct ri_registry *places[max_places]; /* mirrors, and the registry last */
  size_t nplaces, place;                  /* place: where the manifest came from */
  struct ri_line lines[ri_workers];
  char digest[72];       /* of what the name stands for: an index or a manifest */
};

static void pull_free(struct pull *p) {
  pu_reference_free(&p->ref);
  free(p->canonical);
  free(p->scope);
  free(p->what);
  for (size_t i = 0; i < p->nplaces; i++)
    ri_registry_free(&p->places[i]);
  for (int i = 0; i < ri_workers; i++)
    ri_line_free(&p->lines[i]);
}

/* ---------------------------------------------------------------- places */

static void place_add(struct pull *p, const json_t *registries, const char *host, const json_t *auth, int64_t timeout_ms) {
  const json_t *known = pu_obj(registries, host);
  const json_t *insecure = json_object_get(known, "insecure");
  struct ri_registry_options o = {.host = host, .ca_file = pu_str(known, "ca_file"), .username = pu_str(auth, "username"), .password = pu_str(auth, "password"),
                                  .identity_token = pu_str(auth, "identity_token"), .timeout_ms = timeout_ms};
  o.plain = json_is_boolean(insecure) ? json_is_true(insecure) : pu_is_loopback(host) && !o.ca_file;
  if (p->nplaces < max_places && pu_is_host(host))
    p->places[p->nplaces++] = ri_registry_new(&o);
}

static int pull_begin(struct pull *p, const json_t *spec, struct ri_why *why) {
  const char *image = pu_str_or(spec, "image", "");
  const json_t *registries = pu_obj(spec, "registries");
  int64_t timeout_ms = pu_int(spec, "timeout_ms", default_timeout_ms);
  size_t i;
  json_t *mirror;
  p->what = pu_asprintf("image %.300s", image);
  p->platform = pu_str_or(spec, "platform", ri_platform_here());
  if (ri_digest_good(image) || !pu_reference_parse(image, &p->ref))
    return ri_why_set(why, BERTH_INVALID, "\"%.300s\" is no name of an image: name:tag, registry/name:tag or name@sha256:…", image);
  if (p->ref.digest && !ri_digest_good(p->ref.digest))
    return ri_why_set(why, BERTH_UNSUPPORTED, "%s: only sha256 digests are read", p->what);
  const char *host = pu_registry_canonical(p->ref.registry);
  p->canonical = pu_asprintf("%s/%s", host, p->ref.name);
  p->scope = pu_asprintf("repository:%s:pull", p->ref.name);
  json_array_foreach(pu_arr(pu_obj(registries, host), "mirrors"), i, mirror) if (p->nplaces + 1 < max_places && json_is_string(mirror))
      place_add(p, registries, json_string_value(mirror), pu_obj(pu_obj(registries, json_string_value(mirror)), "auth"), timeout_ms);
  place_add(p, registries, host, pu_obj(spec, "auth"), timeout_ms);
  return 0;
}

/* ---------------------------------------------------------------- documents */

static bool document_piece(void *arg, const void *data, size_t len, int64_t at, struct ri_why *why) {
  struct pu_buf *b = arg;
  (void)at;
  if (b->len + len > ri_max_manifest)
    return ri_why_set(why, BERTH_TOO_LARGE, "the registry's document has more than the %d bytes that are read", ri_max_manifest) == 0;
  pu_buf_add(b, data, len);
  return true;
}

/* path: "manifests/1", "blobs/sha256:…". digest: what it must have; NULL: whatever. From the places in turn, from p->place on. */
static int document_get(struct pull *p, const char *path, const char *accept, const char *digest, struct ri_document *out, struct ri_answer *answer,
                        struct ri_why *why) {
  PU_AUTO_FREE whole = pu_asprintf("/v2/%s/%s", p->ref.name, path);
  for (size_t i = p->place; i < p->nplaces; i++) {
    struct pu_buf body = {0};
    struct ri_ask ask = {.path = whole, .scope = p->scope, .accept = accept, .what = p->what, .piece = document_piece, .arg = &body};
    ri_why_free(why);
    int r = ri_registry_get(p->places[i], &p->lines[0], &ask, answer, why);
    size_t len = body.len;
    if (r == 0)
      r = ri_document_take(out, pu_buf_steal(&body), len, digest, why);
    else
      pu_buf_free(&body);
    if (r == 0) {
      p->place = i;
      return 0;
    }
    ri_document_free(out);
  }
  return -1;
}

static int manifest_get(struct pull *p, const char *reference, const char *digest, struct ri_document *out, struct ri_answer *answer, struct ri_why *why) {
  PU_AUTO_FREE path = pu_asprintf("manifests/%s", reference);
  if (document_get(p, path, ACCEPT, digest, out, answer, why) < 0)
    return -1;
  if (!digest && answer->digest[0] && ri_digest_good(answer->digest) && !pu_eq(answer->digest, out->digest))
    return ri_why_set(why, BERTH_INVALID, "%s: the registry says that its manifest is %s, and sends %s: it was changed on its way, or the registry lies", p->what,
                      answer->digest, out->digest);
  return 0;
}

/* The manifest for the platform, whether there is an index around it or not. */
static int manifest_find(struct pull *p, struct ri_document *out, struct ri_why *why) {
  struct ri_answer answer;
  struct ri_descriptor picked;
  if (manifest_get(p, p->ref.digest ? p->ref.digest : p->ref.tag, p->ref.digest, out, &answer, why) < 0)
    return -1;
  memcpy(p->digest, out->digest, sizeof p->digest);
  if (!ri_is_index(answer.media_type, out->data, out->len))
    return 0;
  if (ri_index_pick(out->data, out->len, p->platform, &picked, why) < 0)
    return ri_why_wrap(why, "%s", p->what);
  ri_document_free(out);
  return manifest_get(p, picked.digest, picked.digest, out, &answer, why);
}

static int configuration_find(struct pull *p, const struct ri_descriptor *d, struct ri_document *out, struct ri_why *why) {
  struct ri_answer answer;
  char *text = NULL;
  size_t len = 0;
  PU_AUTO_FREE path = pu_asprintf("blobs/%s", d->digest);
  if (ri_file_read(p->c->blobs, d->digest + 7, ri_max_manifest, &text, &len) == 0) {
    struct ri_why none = {0};
    if (ri_document_take(out, text, len, d->digest, &none) == 0)
      return 0;
    ri_why_free(&none);
    ri_document_free(out);
  }
  return document_get(p, path, NULL, d->digest, out, &answer, why);
}

/* ---------------------------------------------------------------- blobs */

/* A blob on its way into its file below partial/. */
struct download {
  struct pull *p;
  const struct ri_job *job;
  EVP_MD_CTX *sum;
  int64_t have;
  int64_t told; /* when progress was told last */
};

static int partial_open(void *arg, const struct ri_job *job, struct ri_why *why) {
  struct pull *p = arg;
  int fd = openat(p->c->partial, job->blob->digest + 7, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  return fd >= 0 ? fd : ri_why_errno(why, errno, "a file to download to");
}

static void partial_drop(void *arg, const struct ri_job *job) {
  struct pull *p = arg;
  unlinkat(p->c->partial, job->blob->digest + 7, 0);
}

static void tell(struct download *d) {
  ri_unpacker_tell(d->job->unpacker, d->have, d->have == d->job->blob->size);
  if (ri_progress_due(&d->told))
    ri_progress(d->job->name, "Downloading", d->have, d->job->blob->size);
}

/* Bytes that are there already are passed over: a server may know nothing of ranges. */
static bool blob_piece(void *arg, const void *data, size_t len, int64_t at, struct ri_why *why) {
  struct download *d = arg;
  if (at > d->have)
    return ri_why_set(why, BERTH_UNAVAILABLE, "the registry leaves bytes out") == 0;
  size_t skip = (size_t)(d->have - at) < len ? (size_t)(d->have - at) : len;
  data = (const char *)data + skip;
  len -= skip;
  if ((int64_t)len > d->job->blob->size - d->have)
    return ri_why_set(why, BERTH_INVALID, "the registry sends more than the %lld bytes that the manifest says", (long long)d->job->blob->size) == 0;
  int error = len ? ri_write_all(d->job->fd, data, len, d->have) : 0;
  if (error)
    return ri_why_errno(why, error, "the download") == 0;
  EVP_DigestUpdate(d->sum, data, len);
  d->have += (int64_t)len;
  if (len)
    tell(d);
  return !d->job->unpacker->gone;
}

/* What an earlier attempt left. */
static int earlier_read(struct download *d, struct ri_why *why) {
  enum { room = 1 << 20 };
  PU_AUTO_FREE bytes = pu_calloc(1, room);
  struct stat st;
  if (fstat(d->job->fd, &st) < 0)
    return ri_why_errno(why, errno, "the download");
  if (st.st_size > d->job->blob->size && ftruncate(d->job->fd, 0) < 0)
    return ri_why_errno(why, errno, "the download");
  int64_t end = st.st_size > d->job->blob->size ? 0 : st.st_size;
  while (d->have < end) {
    ssize_t n = pread(d->job->fd, bytes, room, d->have);
    if (n <= 0)
      return ri_why_errno(why, n ? errno : EIO, "the download");
    EVP_DigestUpdate(d->sum, bytes, (size_t)n);
    d->have += n;
  }
  if (d->have)
    tell(d);
  return 0;
}

static void pause_ms(const struct ri_job *job, int64_t ms) {
  struct timespec t = {0, 50000000};
  for (; ms > 0 && !atomic_load(job->stop); ms -= 50)
    nanosleep(&t, NULL);
}

/* From each place in turn; anew where a connection broke, as long as there is progress or patience. */
static int blob_get(struct download *d, struct ri_why *why) {
  struct pull *p = d->p;
  PU_AUTO_FREE path = pu_asprintf("/v2/%s/blobs/%s", p->ref.name, d->job->blob->digest);
  struct ri_line *line = &p->lines[d->job->worker];
  line->stop = d->job->stop;
  int idle = 0;
  for (size_t place = p->place; d->have < d->job->blob->size;) {
    struct ri_ask ask = {.path = path, .scope = p->scope, .what = "its blob", .from = d->have, .piece = blob_piece, .arg = d};
    struct ri_answer answer;
    int64_t before = d->have;
    ri_why_free(why);
    int r = ri_registry_get(p->places[place], line, &ask, &answer, why);
    if (d->job->unpacker->gone)
      return -1;
    if (r == 0 && d->have < d->job->blob->size)
      r = ri_why_set(why, BERTH_UNAVAILABLE, "the registry sends %lld bytes; the manifest says %lld", (long long)d->have, (long long)d->job->blob->size);
    if (r == 0)
      break;
    idle = d->have > before ? 0 : idle + 1;
    bool again = why->code == BERTH_UNAVAILABLE && idle < tries;
    if (!again && (why->code == BERTH_EXHAUSTED || why->code == BERTH_CANCELLED || place + 1 == p->nplaces))
      return -1;
    if (!again) {
      place++;
      idle = 0;
    } else {
      pause_ms(d->job, 250 << idle);
    }
  }
  return 0;
}

static int blob_compare(struct download *d, bool earlier, struct ri_why *why) {
  unsigned char sum[EVP_MAX_MD_SIZE];
  char hex[65];
  EVP_DigestFinal_ex(d->sum, sum, NULL);
  ri_digest_hex(sum, hex);
  if (pu_eq(hex, d->job->blob->digest + 7))
    return 0;
  *d->job->anew = earlier; /* what an earlier attempt left may have been damaged */
  return ri_why_set(why, BERTH_INVALID, "its blob has the digest sha256:%s; the manifest says %s: it was changed on its way, or the registry lies", hex, d->job->blob->digest);
}

static int blob_feed(void *arg, const struct ri_job *job, struct ri_why *why) {
  struct download d = {.p = arg, .job = job, .sum = EVP_MD_CTX_new()};
  EVP_DigestInit_ex(d.sum, EVP_sha256(), NULL);
  int r = earlier_read(&d, why);
  bool earlier = d.have > 0;
  if (!job->blob->size)
    tell(&d);
  if (r == 0)
    r = blob_get(&d, why);
  if (r == 0)
    r = blob_compare(&d, earlier, why);
  EVP_MD_CTX_free(d.sum);
  return r;
}

/* ---------------------------------------------------------------- the image */

/* By its digest it can be here already, and then nobody need be asked. */
static json_t *here_already(struct pull *p) {
  struct ri_why none = {0};
  PU_AUTO_FREE name = pu_asprintf("%s@%s", p->canonical, p->ref.digest);
  json_t *image = p->ref.digest && !p->ref.tag ? ri_store_inspect(p->c->root, name, p->platform, &none) : NULL;
  ri_why_free(&none);
  return image;
}

static json_t *pull_run(struct pull *p, const json_t *spec, struct ri_why *why) {
  RI_AUTO_DOCUMENT manifest = {0};
  RI_AUTO_DOCUMENT configuration = {0};
  struct ri_manifest m;
  struct ri_tar_limits limits;
  struct ri_source source = {.arg = p, .open = partial_open, .feed = blob_feed, .drop = partial_drop};
  if (manifest_find(p, &manifest, why) < 0)
    return NULL;
  if (ri_manifest_read(manifest.data, manifest.len, &m, why) < 0 || configuration_find(p, &m.config, &configuration, why) < 0) {
    ri_why_wrap(why, "%s", p->what);
    return NULL;
  }
  PU_AUTO_JSON names = json_array();
  PU_AUTO_JSON digests = json_array();
  PU_AUTO_FREE tagged = p->ref.tag ? pu_asprintf("%s:%s", p->canonical, p->ref.tag) : NULL;
  PU_AUTO_FREE whole = pu_asprintf("%s@%s", p->canonical, p->digest);
  PU_AUTO_FREE own = pu_asprintf("%s@%s", p->canonical, manifest.digest);
  if (tagged)
    ri_index_add(names, tagged);
  ri_index_add(digests, whole);
  ri_index_add(digests, own);
  ri_limits_read(spec, &limits);
  json_t *image = ri_lay(p->c, &manifest, &configuration, &source, &limits, names, digests, NULL, why);
  if (!image)
    ri_why_wrap(why, "%s", p->what);
  return image;
}

json_t *ri_action_pull(struct ri_change *c, const json_t *spec, struct ri_why *why) {
  struct pull p __attribute__((cleanup(pull_free))) = {.c = c};
  if (pull_begin(&p, spec, why) < 0)
    return NULL;
  json_t *image = here_already(&p);
  return image ? image : pull_run(&p, spec, why);
}
