/* System calls that a container may make, as the "seccomp" member of config.json's "linux". Pure: a profile, the machine's architecture and
 * kernel, and the capabilities granted decide. Two sources: the default, whose set is that of Docker's (seccomp_calls.c has the table), and
 * a file as Docker takes it (conditions on capabilities, architectures, kernels) or as the OCI runtime does. */
#ifndef RO_SECCOMP_H
#define RO_SECCOMP_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct ro_seccomp_for {
  const char *arch;  /* "amd64" */
  const int *kernel; /* {6, 1} */
  uint64_t caps;
};

json_t *ro_seccomp_default(const struct ro_seccomp_for *f); /* new reference */
/* From the text of a profile. NULL with a sentence (the caller frees) where it is none. */
json_t *ro_seccomp_profile(const struct ro_seccomp_for *f, const char *text, char **why);

/* ---- the table ---- */

enum ro_seccomp_op { RO_ARG_NONE, RO_ARG_EQ, RO_ARG_NE, RO_ARG_MASKED };
struct ro_seccomp_rule {
  const char *calls;        /* names with blanks between them */
  int needs, without;       /* 1 + bit of the capability that it holds with, or without; 0: none */
  const char *arches;       /* it holds on these only, blanks between them; NULL: on all. A leading '!': on all but these */
  int kernel[2];            /* since this kernel */
  int errno_value;          /* what they fail with; 0: they are allowed */
  enum ro_seccomp_op op;    /* of argument number index with value */
  unsigned index;
  int64_t value;
};
extern const struct ro_seccomp_rule ro_seccomp_rules[];
extern const size_t ro_seccomp_nrules;

#endif
