/* What registries and archives say of images to runtime-oci. By part: indexes, manifests, configurations, the store's own index, names of
 * entries, base64. */
#include "../../plugins/common/base64.h"
#include "../../plugins/common/util.h"
#include "../../plugins/runtime-oci/image/index.h"
#include "../../plugins/runtime-oci/image/manifest.h"
#include "../../plugins/runtime-oci/image/tar.h"
#include "parts.h"

/* Either it is good, or a sentence says why. */
static void one_of(int r, const struct ri_why *why) {
  if ((r == 0) == (why->text != NULL))
    abort();
}

static void index_(char *text, size_t len) {
  static const char *const platforms[] = {"linux/amd64", "linux/arm64", "linux/arm/v7"};
  for (size_t i = 0; i < PU_COUNT(platforms); i++) {
    RI_AUTO_WHY why = {0};
    struct ri_descriptor d = {.size = -1};
    int r = ri_index_pick(text, len, platforms[i], &d, &why);
    one_of(r, &why);
    if (r == 0 && (!ri_digest_good(d.digest) || d.size < 0))
      abort();
  }
  ri_is_index("", text, len);
}

static void manifest(char *text, size_t len) {
  static struct ri_manifest m;
  RI_AUTO_WHY why = {0};
  int r = ri_manifest_read(text, len, &m, &why);
  one_of(r, &why);
  for (size_t i = 0; r == 0 && i < m.nlayers; i++)
    if (!ri_digest_good(m.layers[i].digest) || m.layers[i].size < 0)
      abort();
}

static void configuration(char *text, size_t len) {
  static struct ri_config c;
  RI_AUTO_WHY why = {0};
  int r = ri_config_read(text, len, &c, &why);
  one_of(r, &why);
  for (size_t i = 0; r == 0 && i < c.n; i++)
    if (!ri_digest_good(c.diff_ids[i]) || strspn(c.chain[i], "0123456789abcdef") != 64)
      abort();
  if (r == 0)
    ri_config_free(&c);
}

/* Looks up the second line in the first. */
static void store(char *text, size_t len) {
  char *nl = memchr(text, '\n', len);
  PU_AUTO_JSON index = pu_json_parse(text, nl ? (size_t)(nl - text) : len);
  const char *id = NULL, *name = nl ? nl + 1 : "web:1";
  bool by_digest;
  if (pu_obj(index, "images") && ri_index_find(index, name, &id) && !id)
    abort();
  PU_AUTO_FREE canonical = ri_index_canonical(name, &by_digest);
  if (canonical && pu_obj(index, "images"))
    ri_index_name(index, "x", canonical);
}

/* What comes out leads nowhere but down. */
static void path(char *text, size_t len) {
  (void)len;
  RI_AUTO_WHY why = {0};
  PU_AUTO_FREE got = ri_tar_path(text, 16, &why);
  const char *hides = NULL;
  one_of(got ? 0 : -1, &why);
  for (char *save = NULL, *p = got && got[0] == '/' ? abort(), NULL : got ? strtok_r(got, "/", &save) : NULL; p; p = strtok_r(NULL, "/", &save)) {
    if (!strcmp(p, "..") || !strcmp(p, "."))
      abort();
    ri_tar_whiteout(p, &hides);
  }
}

static void base64(char *text, size_t len) {
  char *out = NULL;
  size_t n = 0;
  (void)len;
  if (!pu_base64_decode(text, &out, &n))
    return;
  PU_AUTO_FREE back = pu_base64(out, n);
  if (strlen(back) != strlen(text))
    abort();
  free(out);
}

static const struct fuzz_part parts[] = {{'i', "index", index_}, {'m', "manifest", manifest}, {'c', "config", configuration},
                                         {'s', "store", store},  {'p', "path", path},         {'b', "base64", base64}};
FUZZ_PARTS(parts)
