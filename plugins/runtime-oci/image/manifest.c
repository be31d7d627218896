#include "manifest.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "../../common/util.h"

/* ---------------------------------------------------------------- digests */

bool ri_digest_good(const char *d) {
  return d && strncmp(d, "sha256:", 7) == 0 && strlen(d) == 71 && strspn(d + 7, "0123456789abcdef") == 64;
}

void ri_digest_hex(const unsigned char *sum, char *out) {
  static const char digits[] = "0123456789abcdef";
  for (int i = 0; i < SHA256_DIGEST_LENGTH; i++) {
    out[2 * i] = digits[sum[i] >> 4];
    out[2 * i + 1] = digits[sum[i] & 15];
  }
  out[64] = 0;
}

void ri_digest_of(const void *data, size_t len, char *out) {
  unsigned char sum[SHA256_DIGEST_LENGTH];
  SHA256(data, len, sum);
  memcpy(out, "sha256:", 7);
  ri_digest_hex(sum, out + 7);
}

/* ---------------------------------------------------------------- platforms */

const char *ri_platform_here(void) {
  static char platform[80];
  static const char *const names[][2] = {{"x86_64", "amd64"},   {"aarch64", "arm64"}, {"armv7l", "arm/v7"}, {"armv6l", "arm/v6"},
                                         {"i686", "386"},       {"ppc64le", "ppc64le"}, {"s390x", "s390x"},  {"riscv64", "riscv64"},
                                         {"loongarch64", "loong64"}};
  struct utsname u;
  uname(&u);
  const char *arch = u.machine;
  for (size_t i = 0; i < PU_COUNT(names); i++)
    if (pu_eq(names[i][0], u.machine))
      arch = names[i][1];
  snprintf(platform, sizeof platform, "linux/%.64s", arch);
  return platform;
}

/* The variants that go without saying: arm64 means v8, amd64 means v1. */
static size_t plain_length(const char *p) {
  size_t n = strlen(p);
  if (n > 3 && (pu_eq(p + n - 3, "/v8") || pu_eq(p + n - 3, "/v1")) && (strstr(p, "/arm64/") || strstr(p, "/amd64/")))
    return n - 3;
  return n;
}

bool ri_platform_fits(const char *asked, const char *have) {
  size_t n = asked ? plain_length(asked) : 0;
  return !n || (strncmp(asked, have, n) == 0 && (!have[n] || have[n] == '/'));
}

/* Smaller is better; -1: it does not fit. Of several variants the plain one, else the highest below what was asked for. */
static int fitness(const char *asked, const char *have) {
  size_t n = plain_length(asked), m = plain_length(have);
  if (n == m && strncmp(asked, have, n) == 0)
    return 0;
  if (ri_platform_fits(asked, have))
    return 1;
  int want = 0, is = 0, after = 0;
  if (sscanf(asked, "linux/arm/v%d%n", &want, &after) == 1 && !asked[after] && sscanf(have, "linux/arm/v%d%n", &is, &after) == 1 &&
      !have[after] && is <= want && is >= 5)
    return 2 + want - is;
  return -1;
}

/* ---------------------------------------------------------------- documents */

static json_t *load(const char *data, size_t len, const char *what, struct ri_why *why) {
  if (len > ri_max_manifest) {
    ri_why_set(why, BERTH_TOO_LARGE, "the %s has %zu bytes, more than the %d that are read", what, len, ri_max_manifest);
    return NULL;
  }
  json_t *o = pu_json_parse(data, len);
  if (!json_is_object(o)) {
    json_decref(o);
    ri_why_set(why, BERTH_INVALID, "the %s is no JSON object: what was asked is no registry, or its answer is broken", what);
    return NULL;
  }
  return o;
}

static bool is_index(const json_t *o) {
  const char *type = pu_str(o, "mediaType");
  if (type)
    return pu_eq(type, "application/vnd.oci.image.index.v1+json") ||
           pu_eq(type, "application/vnd.docker.distribution.manifest.list.v2+json");
  return pu_arr(o, "manifests") && !pu_arr(o, "layers");
}

bool ri_is_index(const char *media_type, const char *data, size_t len) {
  if (pu_eq(media_type, "application/vnd.oci.image.index.v1+json") ||
      pu_eq(media_type, "application/vnd.docker.distribution.manifest.list.v2+json"))
    return true;
  PU_AUTO_JSON o = len <= ri_max_manifest ? pu_json_parse(data, len) : NULL;
  return is_index(o);
}

static int read_descriptor(const json_t *o, const char *what, struct ri_descriptor *out, struct ri_why *why) {
  const char *digest = pu_str(o, "digest");
  if (!ri_digest_good(digest))
    return ri_why_set(why, digest && !pu_starts(digest, "sha256:") ? BERTH_UNSUPPORTED : BERTH_INVALID,
                      "%s has the digest \"%.100s\": only sha256 digests are read", what, digest ? digest : "");
  snprintf(out->digest, sizeof out->digest, "%s", digest);
  out->size = pu_int(o, "size", -1);
  if (out->size < 0 || out->size > (int64_t)1 << 46)
    return ri_why_set(why, BERTH_INVALID, "%s %.19s says no possible size", what, digest);
  return 0;
}

/* The caller frees; NULL where it says none, or one that is no machine's. */
static char *entry_platform(const json_t *entry) {
  const json_t *p = pu_obj(entry, "platform");
  const char *os = pu_str(p, "os"), *arch = pu_str(p, "architecture"), *variant = pu_str(p, "variant");
  if (!os || !arch || pu_eq(os, "unknown") || strlen(os) + strlen(arch) + (variant ? strlen(variant) : 0) > 128)
    return NULL;
  return pu_asprintf("%s/%s%s%s", os, arch, variant && *variant ? "/" : "", variant ? variant : "");
}

int ri_index_pick(const char *data, size_t len, const char *platform, struct ri_descriptor *out, struct ri_why *why) {
  PU_AUTO_JSON index = load(data, len, "index", why);
  if (!index)
    return -1;
  const json_t *list = pu_arr(index, "manifests"), *best = NULL, *only = NULL;
  if (!list || json_array_size(list) > ri_max_entries)
    return ri_why_set(why, BERTH_INVALID, "the index lists no manifests, or more than %d", ri_max_entries);
  PU_AUTO_BUF there = {0};
  int worst = -1;
  size_t i, unsaid = 0;
  json_t *entry;
  json_array_foreach(list, i, entry) {
    PU_AUTO_FREE have = entry_platform(entry);
    if (!have) {
      unsaid += !pu_obj(entry, "platform");
      only = pu_obj(entry, "platform") ? only : entry;
      continue;
    }
    if (there.len < 1024)
      pu_buf_addf(&there, "%s%s", there.len ? ", " : "", have);
    int fit = fitness(platform, have);
    if (fit >= 0 && (worst < 0 || fit < worst)) {
      worst = fit;
      best = entry;
    }
  }
  if (!best && !there.len && unsaid == 1) /* an index around one image that says nothing of machines */
    best = only;
  if (!best)
    return ri_why_set(why, BERTH_NOT_FOUND, "there is none for %s; there are: %s", platform, there.len ? there.data : "none");
  return read_descriptor(best, "the manifest", out, why);
}

static enum ri_packed packed_of(const char *type, bool *known) {
  *known = true;
  size_t n = strlen(type);
  if (n >= 5 && pu_eq(type + n - 5, "+gzip"))
    return RI_GZIP;
  if (n >= 5 && pu_eq(type + n - 5, "+zstd"))
    return RI_ZSTD;
  if (pu_eq(type, "application/vnd.docker.image.rootfs.diff.tar.gzip"))
    return RI_GZIP;
  *known = n >= 4 && pu_eq(type + n - 4, ".tar");
  return RI_PLAIN_TAR;
}

static int read_layer(const json_t *o, size_t i, struct ri_descriptor *out, struct ri_why *why) {
  PU_AUTO_FREE what = pu_asprintf("layer %zu", i + 1);
  const char *type = pu_str_or(o, "mediaType", "");
  bool known;
  out->packed = packed_of(type, &known);
  if (strstr(type, "encrypted"))
    return ri_why_set(why, BERTH_UNSUPPORTED, "%s is encrypted (%s)", what, type);
  if (strstr(type, "foreign") || strstr(type, "nondistributable"))
    return ri_why_set(why, BERTH_UNSUPPORTED, "%s is none that a registry gives out (%s)", what, type);
  if (!known)
    return ri_why_set(why, BERTH_UNSUPPORTED, "%s is of a kind that is no file system (%.100s): it is no container image", what, type);
  return read_descriptor(o, what, out, why);
}

int ri_manifest_read(const char *data, size_t len, struct ri_manifest *out, struct ri_why *why) {
  *out = (struct ri_manifest){0};
  PU_AUTO_JSON o = load(data, len, "manifest", why);
  if (!o)
    return -1;
  const json_t *layers = pu_arr(o, "layers");
  if (pu_int(o, "schemaVersion", 2) == 1 || pu_arr(o, "fsLayers"))
    return ri_why_set(why, BERTH_UNSUPPORTED, "the manifest is of Docker's schema 1, which went out of use in 2017: push the image anew with a tool of today");
  if (is_index(o))
    return ri_why_set(why, BERTH_INVALID, "an index stands where a manifest should: an index of indexes is not followed");
  if (pu_int(o, "schemaVersion", 0) != 2 || !layers || !pu_obj(o, "config"))
    return ri_why_set(why, BERTH_INVALID, "the manifest is none of an image: config or layers are missing");
  if (json_array_size(layers) > ri_max_layers)
    return ri_why_set(why, BERTH_TOO_LARGE, "the image has %zu layers; a container's file system is made of at most %d", json_array_size(layers), ri_max_layers);
  if (read_descriptor(pu_obj(o, "config"), "the configuration", &out->config, why) < 0)
    return -1;
  if (out->config.size > ri_max_manifest)
    return ri_why_set(why, BERTH_TOO_LARGE, "the configuration has %lld bytes, more than the %d that are read", (long long)out->config.size, ri_max_manifest);
  size_t i;
  json_t *layer;
  json_array_foreach(layers, i, layer) if (read_layer(layer, i, &out->layers[i], why) < 0) return -1;
  out->nlayers = json_array_size(layers);
  return 0;
}

/* chain(1) = diff(1); chain(n) = sha256(chain(n-1) " " diff(n)). */
static void chain_next(struct ri_config *c, size_t i) {
  if (!i) {
    memcpy(c->chain[0], c->diff_ids[0] + 7, 65);
    return;
  }
  char both[160], digest[72];
  int n = snprintf(both, sizeof both, "sha256:%s %s", c->chain[i - 1], c->diff_ids[i]);
  ri_digest_of(both, (size_t)n, digest);
  memcpy(c->chain[i], digest + 7, 65);
}

int ri_config_read(const char *data, size_t len, struct ri_config *out, struct ri_why *why) {
  *out = (struct ri_config){0};
  PU_AUTO_JSON o = load(data, len, "configuration", why);
  if (!o)
    return -1;
  const json_t *ids = pu_arr(pu_obj(o, "rootfs"), "diff_ids");
  if (!ids || json_array_size(ids) > ri_max_layers)
    return ri_why_set(why, BERTH_INVALID, "the configuration lists no layers (rootfs.diff_ids), or more than %d: it is none of a container image", ri_max_layers);
  const char *os = pu_str_or(o, "os", "linux"), *arch = pu_str(o, "architecture"), *variant = pu_str(o, "variant");
  if (strlen(os) > 64 || (arch && strlen(arch) > 64) || (variant && strlen(variant) > 64))
    return ri_why_set(why, BERTH_INVALID, "the configuration's platform is none");
  size_t i;
  json_t *id;
  json_array_foreach(ids, i, id) {
    if (!ri_digest_good(json_string_value(id)))
      return ri_why_set(why, BERTH_INVALID, "the configuration's diff id %zu is no sha256 digest", i + 1);
    snprintf(out->diff_ids[i], sizeof out->diff_ids[i], "%s", json_string_value(id));
    chain_next(out, i);
  }
  out->n = json_array_size(ids);
  out->created = pu_strdup(pu_str_or(o, "created", ""));
  out->platform = arch && *arch ? pu_asprintf("%s/%s%s%s", *os ? os : "linux", arch, variant && *variant ? "/" : "", variant ? variant : "")
                                : pu_strdup(ri_platform_here());
  out->json = json_incref(o);
  return 0;
}

void ri_config_free(struct ri_config *config) {
  json_decref(config->json);
  free(config->platform);
  free(config->created);
  *config = (struct ri_config){0};
}
