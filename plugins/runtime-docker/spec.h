/* From Berth's create spec (berth/runtime.h, berth_runtime_create) to the Engine's create request. Pure: the files that are
 * named in it were read before, the limits of this machine come in. Knows nothing of connections. */
#ifndef RD_SPEC_H
#define RD_SPEC_H

#include <berth/plugin.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* What a translation needs to know of the world. */
struct rd_spec_env {
  int api;             /* the engine's API version times 100: 1.41 is 141 */
  bool podman;
  const json_t *files; /* {path: content} of everything that rd_spec_files() named; may be NULL where it named nothing */
  /* The engine's own hard limit for a ulimit ("nofile"), where it could not raise it. False: no such limit. NULL: nothing is
   * clamped. */
  bool (*hard_limit)(const void *arg, const char *name, int64_t *hard);
  const void *hard_limit_arg;
};

/* A translation under way, and its outcome. */
struct rd_spec {
  const struct rd_spec_env *env;
  json_t *service;       /* spec.service, or an empty object */
  char *name, *platform; /* query parameters of the create; platform may be NULL */
  json_t *body;          /* the create request */
  json_t *host;          /* its HostConfig, borrowed */
  json_t *connects;      /* [{"network", "endpoint": {}}]: to connect after create; an engine before 1.44 takes one at create */
  json_t *warnings;      /* array of sentences */
  enum berth_code code;  /* the first error, else 0 */
  char *why;             /* its sentence */
};

/* Paths of files that a translation of spec will need (seccomp profiles): a new array of strings. */
json_t *rd_spec_files(const json_t *spec);
/* Translates. False with out->code and out->why where the spec is wrong or the engine cannot do what it asks. out is
 * initialised here and always to be freed. */
bool rd_spec_translate(const struct rd_spec_env *env, const json_t *spec, struct rd_spec *out);
void rd_spec_free(struct rd_spec *s);

/* The body of an update request that gives a container with that HostConfig (of an inspect) the limits of resources_json (berth/runtime.h): only what
 * differs, {} where nothing does. NULL with *code and *why (the caller's) where the engine cannot. spec_update.c */
json_t *rd_update_body(const json_t *host, const json_t *wanted, enum berth_code *code, char **why);

/* ---- parts, for the files of this translation only ---- */

enum rd_kind { RD_STR, RD_BOOL, RD_INT, RD_SIZE, RD_MICROS, RD_STRS, RD_MAP };
struct rd_attr {
  const char *key;    /* of the Compose service */
  const char *engine; /* of the Engine's object */
  enum rd_kind kind;
};
/* Copies every attribute of the table that is there and not null from the service into target. */
void rd_spec_copy(struct rd_spec *s, const json_t *from, json_t *target, const struct rd_attr *table, size_t n);

/* Records the first error; later ones are dropped. */
void rd_spec_error(struct rd_spec *s, enum berth_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void rd_spec_warn(struct rd_spec *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void rd_spec_host(struct rd_spec *s);                       /* capabilities, namespaces, devices, logging, security, … */
void rd_spec_limits(struct rd_spec *s);                     /* memory, cpu, pids, block I/O, ulimits, device requests */
void rd_spec_mounts(struct rd_spec *s, const json_t *spec); /* mounts, tmpfs, volumes_from */
void rd_spec_ports(struct rd_spec *s, const json_t *spec);  /* ports, expose */
void rd_spec_networks(struct rd_spec *s, const json_t *spec);

#endif
