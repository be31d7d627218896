#include <stdio.h>

#include "../../common/util.h"
#include "action.h"
#include "progress.h"
#include "store.h"

static const int64_t max_layer_size = (int64_t)64 << 30;
enum { max_layer_entries = 2000000, max_layer_ratio = 200, max_layer_depth = 256 };

void ri_limits_read(const json_t *spec, struct ri_tar_limits *out) {
  const json_t *limits = pu_obj(spec, "limits");
  const char *devices = pu_str_or(limits, "devices", "skip");
  *out = (struct ri_tar_limits){.max_bytes = pu_int(limits, "max_layer_size", max_layer_size),
                                .max_entries = pu_int(limits, "max_layer_entries", max_layer_entries),
                                .max_ratio = pu_int(limits, "max_layer_ratio", max_layer_ratio),
                                .max_depth = max_layer_depth,
                                .devices = pu_eq(devices, "keep")   ? RI_DEVICES_KEEP
                                           : pu_eq(devices, "skip") ? RI_DEVICES_SKIP
                                                                    : RI_DEVICES_REFUSE};
}

int ri_document_take(struct ri_document *d, char *data, size_t len, const char *digest, struct ri_why *why) {
  *d = (struct ri_document){.data = data, .len = len};
  ri_digest_of(data, len, d->digest);
  if (!digest || pu_eq(digest, d->digest))
    return 0;
  return ri_why_set(why, BERTH_INVALID, "its document has the digest %s, not %s as was said: it was changed on its way, or its sender lies", d->digest, digest);
}

void ri_document_free(struct ri_document *d) {
  free(d->data);
  *d = (struct ri_document){0};
}

static void config_free(struct ri_config *config) { ri_config_free(config); }

json_t *ri_lay(struct ri_change *c, const struct ri_document *manifest, const struct ri_document *configuration, const struct ri_source *source,
               const struct ri_tar_limits *limits, const json_t *names, const json_t *digests, const char *platform, struct ri_why *why) {
  struct ri_config config __attribute__((cleanup(config_free))) = {0};
  struct ri_manifest layers;
  RI_AUTO_HELD held = {.n = 0};
  if (ri_manifest_read(manifest->data, manifest->len, &layers, why) < 0 || ri_config_read(configuration->data, configuration->len, &config, why) < 0)
    return NULL;
  if (!ri_platform_fits(platform, config.platform)) {
    ri_why_set(why, BERTH_NOT_FOUND, "it is for %s, not for %s", config.platform, platform);
    return NULL;
  }
  if (ri_layers_make(c, &layers, &config, source, limits, &held, why) < 0)
    return NULL;
  struct ri_image image = {manifest, configuration, &config, names, digests};
  if (ri_change_image(c, &image, why) < 0)
    return NULL;
  ri_store_touch(c->root, configuration->digest);
  return ri_store_inspect(c->root, configuration->digest, NULL, why);
}
