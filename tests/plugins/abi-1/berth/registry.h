/* berth/registry.h: berth.registry/1, image registries: what does a tag mean now, and how does one log in there?
 *
 * Pushes: an entry that hears of one (a webhook that proved itself) publishes an event of type "registry.pushed"
 * (berth.host.events/1) with the data {"repository": "team/web", "tag": text or null, "digest": text or null}. The server then looks
 * at once at every app that follows such an image: what an event says is a hint, resolve() has the word.
 *
 * Shaped with the OCI distribution specification (docker-registry, Harbor) and Docker Hub in hand. */
#ifndef BERTH_REGISTRY_H
#define BERTH_REGISTRY_H

#include <berth/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BERTH_REGISTRY "berth.registry/1"

struct berth_registry_resolve {
  size_t size;
  const char *image;    /* canonical reference: "registry.example:5000/team/web:1.2" or with @sha256:… */
  const char *platform; /* "linux/amd64"; NULL: the index itself */
};

struct berth_registry_credentials {
  size_t size;
  const char *image; /* canonical reference that shall be pulled */
};

struct berth_registry_tags {
  size_t size;
  const char *image; /* canonical reference; its tag does not matter */
};

struct berth_registry {
  size_t size;
  /* Does this entry speak for the registry of image? Called on the loop; must answer at once from its configuration. */
  bool (*serves)(struct berth_instance *self, const char *image);
  /* Result: {"digest": "sha256:…", "media_type": "…", "size": n}. Errors: NOT_FOUND (no such tag),
   * UNAUTHENTICATED, DENIED, UNAVAILABLE (the registry is away; the host keeps what is pinned), INVALID. */
  void (*resolve)(struct berth_instance *self, berth_op op, const struct berth_registry_resolve *request);
  /* Result: {} for anonymous, or {"username","password"} or {"identity_token"} and {"server"}: the host hands it to the
   * runtime for one pull and never shows it. May carry "mirrors": [host…] to try first. */
  void (*credentials)(struct berth_instance *self, berth_op op, const struct berth_registry_credentials *request);
  /* Result: {"registries": [{"name","status":"ok"|…,"detail"}]}; for berth doctor. */
  void (*probe)(struct berth_instance *self, berth_op op);
  /* Appended later. Result: {"tags": [text…]}: all tags of the image's repository, in any order, at most 10,000. Errors: as of
   * resolve, and UNSUPPORTED where the registry has no list. */
  void (*tags)(struct berth_instance *self, berth_op op, const struct berth_registry_tags *request);
};

#ifdef __cplusplus
}
#endif

#endif
