/* WWW-Authenticate, as registries send it. Pure. */
#ifndef PU_CHALLENGE_H
#define PU_CHALLENGE_H

#include <stdbool.h>

enum pu_scheme { PU_AUTH_NONE, PU_AUTH_BASIC, PU_AUTH_BEARER };

struct pu_challenge {
  enum pu_scheme scheme; /* Bearer where several are offered */
  char *realm, *service, *scope; /* NULL where absent */
};

/* Reads one header's value into c, which keeps the better scheme of several headers. What cannot be read is left out. */
void pu_challenge_parse(const char *header, struct pu_challenge *c);
void pu_challenge_free(struct pu_challenge *c);

#endif
