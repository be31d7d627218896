/* The parts of the translation: for the files of this folder and their tests only. */
#ifndef RO_SPEC_PARTS_H
#define RO_SPEC_PARTS_H

#include "../../common/util.h"
#include "../../common/values.h"
#include "spec.h"

enum {
  RO_MAX_ITEMS = 4096,       /* entries of any list of a spec or an image */
  RO_MAX_ARGS = 1 << 20,     /* bytes of arguments or environment: the kernel takes 2 MiB of both */
  RO_MAX_ARG = 128 << 10,    /* bytes of one of them: the kernel's limit */
  RO_MAX_PATH = 4095
};

/* Records the first error; later ones are dropped. */
void ro_error(struct ro_spec *s, enum berth_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void ro_warn(struct ro_spec *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A member that is there and not null. */
const json_t *ro_member(const json_t *o, const char *key);
/* A size or count; false where it is absent or (with an error) no number. */
bool ro_size(struct ro_spec *s, const json_t *o, const char *key, int64_t *n);
/* A duration in units of unit_ns where it is a bare number; false where it is absent or (with an error) none. */
bool ro_duration(struct ro_spec *s, const json_t *o, const char *key, int64_t unit_ns, int64_t *ns);

/* The path without "." and "..", doubled and trailing slashes, as if from "/": "/a/../../b/" -> "/b". The caller frees. */
char *ro_clean(const char *path);
/* Is path (clean) dir or below it? */
bool ro_below(const char *path, const char *dir);

void ro_spec_process(struct ro_spec *s);    /* process.c: command, environment, user, working directory, limits */
void ro_spec_security(struct ro_spec *s);   /* security.c: capabilities, seccomp, labels, masked paths */
void ro_spec_capabilities(struct ro_spec *s); /* security.c: after the process, whose user decides */
void ro_spec_namespaces(struct ro_spec *s); /* namespaces.c: namespaces, user mappings, sysctls, names */
void ro_spec_resources(struct ro_spec *s);  /* resources.c: control groups */
void ro_spec_devices(struct ro_spec *s);    /* devices.c */
void ro_spec_mounts(struct ro_spec *s);     /* mounts.c */
void ro_spec_files(struct ro_spec *s);      /* files.c: hosts, hostname, resolv.conf */
void ro_spec_monitor(struct ro_spec *s);    /* monitor.c: logs, stop, health, network's mode */

/* The container that "container:ID" names: {"pid", …}, or NULL with an error (at a mere trial without). attribute: for the sentence. */
const json_t *ro_other(struct ro_spec *s, const char *attribute, const char *mode);

#endif
