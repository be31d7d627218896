/* What registries and people write to registry-oci. The first byte chooses: a reference, a challenge, a realm's URL, settings, an
 * index. */
#include <stdint.h>
#include <stdlib.h>

#include "../../plugins/common/util.h"
#include "../../plugins/registry-oci/challenge.h"
#include "../../plugins/registry-oci/reference.h"
#include "../../plugins/registry-oci/resolve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void reference(const char *text) {
  struct ro_reference r;
  if (!ro_reference_parse(text, &r))
    return;
  if (!ro_is_host(r.registry) || (!r.tag && !r.digest))
    abort();
  ro_registry_endpoint(r.registry);
  ro_is_loopback(r.registry);
  ro_reference_free(&r);
}

static void realm(const char *text) {
  char *host = NULL;
  bool plain = false;
  if (ro_url_host(text, &host, &plain) && (strchr(host, '@') || strchr(host, '/')))
    abort();
  free(host);
}

static void challenge(const char *text) {
  struct ro_challenge c = {0};
  ro_challenge_parse(text, &c);
  ro_challenge_free(&c);
}

static void settings(const char *text) {
  struct ro_settings s;
  char *why = NULL;
  if (ro_settings_read(text, &s, &why)) {
    ro_settings_plain(&s, "docker.io");
    ro_settings_free(&s);
  } else if (!why) {
    abort();
  }
  free(why);
}

static void index_(const char *text, size_t size) {
  PU_AUTO_JSON o = pu_json_parse(text, size);
  const json_t *entry = NULL;
  char *there = NULL;
  if (!ro_pick_platform(o, "linux/arm/v7", &entry, &there) && !there)
    abort();
  free(there);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  PU_AUTO_FREE text = pu_strndup((const char *)data, size);
  switch (size ? data[0] : 0) {
  case 'r':
    reference(text + 1);
    break;
  case 'u':
    realm(text + 1);
    break;
  case 'c':
    challenge(text + 1);
    break;
  case 's':
    settings(text + 1);
    break;
  default:
    index_(text, size);
  }
  return 0;
}
