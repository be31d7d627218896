/* Webhooks of GitHub, Gitea (Forgejo) and GitLab, read: who proved what, and what was pushed where. Pure. */
#ifndef SG_PUSH_H
#define SG_PUSH_H

#include <berth/host.h>
#include <jansson.h>
#include <stdbool.h>

#include "settings.h"

struct sg_hook {
  enum sg_kind kind;     /* whose headers they are; SG_PLAIN: nobody's */
  bool proved;           /* it knows the secret */
  bool push;             /* a branch or tag moved; else something that is no news here */
  const char *event;     /* as the host calls it; "" where none */
  const char *delivery;  /* its id; "" where none */
};

/* Reads the headers (names in lower case) and holds the proof against the body; compares in constant time. now_s: for proofs that say
 * when they were made. Borrows from headers. */
void sg_hook_read(const struct berth_pair *headers, size_t n, const void *body, size_t len, const char *secret, int64_t now_s,
                  struct sg_hook *out);

/* {"repositories": [URL…], "ref", "commit"} of the body of a push, as berth/scm.h has it; new reference, NULL where it is none. */
json_t *sg_push_read(const char *body, size_t len);

#endif
