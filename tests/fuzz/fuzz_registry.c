/* What registries and people write to registry-oci. By part: references, challenges, realms' URLs, settings,
 * indexes of platforms. */
#include "../../plugins/common/util.h"
#include "../../plugins/common/challenge.h"
#include "../../plugins/common/reference.h"
#include "../../plugins/registry-oci/resolve.h"
#include "parts.h"

static void reference(char *text, size_t len) {
  (void)len;
  struct pu_reference r;
  if (!pu_reference_parse(text, &r))
    return;
  if (!pu_is_host(r.registry) || (!r.tag && !r.digest))
    abort();
  pu_registry_endpoint(r.registry);
  pu_is_loopback(r.registry);
  pu_reference_free(&r);
}

static void realm(char *text, size_t len) {
  (void)len;
  char *host = NULL;
  bool plain = false;
  if (ro_url_host(text, &host, &plain) && (strchr(host, '@') || strchr(host, '/')))
    abort();
  free(host);
}

static void challenge(char *text, size_t len) {
  (void)len;
  struct pu_challenge c = {0};
  for (char *save = NULL, *header = strtok_r(text, "\n", &save); header; header = strtok_r(NULL, "\n", &save))
    pu_challenge_parse(header, &c);
  pu_challenge_free(&c);
}

static void settings(char *text, size_t len) {
  (void)len;
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

static void index_(char *text, size_t len) {
  PU_AUTO_JSON o = pu_json_parse(text, len);
  const json_t *entry = NULL;
  char *there = NULL;
  if (!ro_pick_platform(o, "linux/arm/v7", &entry, &there) && !there)
    abort();
  free(there);
}

static const struct fuzz_part parts[] = {{'r', "reference", reference}, {'u', "realm", realm},  {'c', "challenge", challenge},
                                         {'s', "settings", settings},   {'i', "index", index_}};
FUZZ_PARTS(parts)
