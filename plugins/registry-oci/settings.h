/* The plug-in's configuration: what is known of each registry. Pure. */
#ifndef RO_SETTINGS_H
#define RO_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ro_registry {
  char *name; /* "docker.io", "registry.example:5000" */
  char *username, *password, *identity_token; /* NULL where none */
  char **mirrors; /* hosts, tried in order before the registry itself */
  size_t nmirrors;
  char *ca_file;
  enum { RO_UNSAID, RO_TLS, RO_PLAIN } transport;
};

struct ro_settings {
  struct ro_registry *registries;
  size_t n;
  bool others; /* speak for registries that are not listed, too */
  int64_t timeout_ms;
  char *notify_authorization; /* NULL: no notifications */
};

/* Reads the checked configuration. False with *why (a sentence; the caller frees) where "registries" is malformed. */
bool ro_settings_read(const char *config_json, struct ro_settings *out, char **why);
void ro_settings_free(struct ro_settings *s); /* wipes secrets */
const struct ro_registry *ro_settings_of(const struct ro_settings *s, const char *registry); /* NULL where not listed */
/* Is plain HTTP right for this host? Loopback hosts without a CA file, and those that say so. */
bool ro_settings_plain(const struct ro_settings *s, const char *registry);

#endif
