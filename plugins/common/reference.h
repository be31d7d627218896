/* Image references in their canonical form, and which hosts may be spoken to in plain HTTP. Pure. */
#ifndef PU_REFERENCE_H
#define PU_REFERENCE_H

#include <stdbool.h>

struct pu_reference {
  char *registry; /* "docker.io", "registry.example:5000" */
  char *name;     /* "library/web" */
  char *tag;      /* NULL where there is a digest */
  char *digest;   /* "sha256:…", NULL where none */
};

/* Parses "registry/name:tag", "registry/name@sha256:…", or both (the digest counts). Without a registry: docker.io; without a tag:
 * latest. False where it is malformed. */
bool pu_reference_parse(const char *image, struct pu_reference *out);
void pu_reference_free(struct pu_reference *r);

/* Hub's names of old count as "docker.io". Borrowed. */
const char *pu_registry_canonical(const char *registry);
/* The host that speaks the API for a registry: registry-1.docker.io for docker.io. Borrowed. */
const char *pu_registry_endpoint(const char *registry);
/* localhost, 127.0.0.0/8, [::1], with or without a port. */
bool pu_is_loopback(const char *host);
/* host, host:port or [v6]:port, and nothing else. */
bool pu_is_host(const char *host);

#endif
