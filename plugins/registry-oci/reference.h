/* Image references in their canonical form, and which hosts may be spoken to in plain HTTP. Pure. */
#ifndef RO_REFERENCE_H
#define RO_REFERENCE_H

#include <stdbool.h>

struct ro_reference {
  char *registry; /* "docker.io", "registry.example:5000" */
  char *name;     /* "library/web" */
  char *tag;      /* NULL where there is a digest */
  char *digest;   /* "sha256:…", NULL where none */
};

/* Parses "registry/name:tag", "registry/name@sha256:…", or both (the digest counts). Without a registry: docker.io; without a tag:
 * latest. False where it is malformed. */
bool ro_reference_parse(const char *image, struct ro_reference *out);
void ro_reference_free(struct ro_reference *r);

/* Hub's names of old count as "docker.io". Borrowed. */
const char *ro_registry_canonical(const char *registry);
/* The host that speaks the API for a registry: registry-1.docker.io for docker.io. Borrowed. */
const char *ro_registry_endpoint(const char *registry);
/* localhost, 127.0.0.0/8, [::1], with or without a port. */
bool ro_is_loopback(const char *host);
/* host, host:port or [v6]:port, and nothing else. */
bool ro_is_host(const char *host);

#endif
