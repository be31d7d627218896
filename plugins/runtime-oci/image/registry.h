/* One registry (or mirror of one) as berth-image speaks with it: logs in by itself (Basic, Bearer), follows redirects itself so that it
 * knows where to, caps what it takes. Any thread, with a connection (ri_line) of its own each. Knows nothing of manifests. */
#ifndef RI_IMAGE_REGISTRY_H
#define RI_IMAGE_REGISTRY_H

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "why.h"

struct ri_registry;

struct ri_registry_options {
  const char *host;  /* "registry.example:5000", as in references */
  bool plain;        /* HTTP */
  const char *ca_file;
  const char *username, *password, *identity_token; /* NULL: none */
  int64_t timeout_ms; /* to connect, and without a byte */
};
struct ri_registry *ri_registry_new(const struct ri_registry_options *options); /* copies */
void ri_registry_free(struct ri_registry **registry); /* wipes secrets */

/* A thread's connection; kept open between requests. */
struct ri_line {
  CURL *curl;
  const atomic_bool *stop; /* may be NULL */
};
void ri_line_free(struct ri_line *line);

struct ri_ask {
  const char *path;   /* "/v2/library/web/manifests/1" */
  const char *scope;  /* "repository:library/web:pull" */
  const char *accept; /* NULL: anything */
  const char *what;   /* for sentences */
  int64_t from;       /* > 0: the rest from there */
  /* A piece of a 2xx answer's body; at: its offset in the whole (0 again where the server sends all of it in spite of from). False: stop, with why. */
  bool (*piece)(void *arg, const void *data, size_t len, int64_t at, struct ri_why *why);
  void *arg;
};
struct ri_answer {
  int status;          /* 0: none came */
  char media_type[160];
  char digest[80];     /* Docker-Content-Digest */
};
/* 0 after a 2xx answer that came whole. Else -1; UNAVAILABLE: worth another try. */
int ri_registry_get(struct ri_registry *registry, struct ri_line *line, const struct ri_ask *ask, struct ri_answer *answer, struct ri_why *why);

#endif
