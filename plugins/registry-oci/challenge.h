/* WWW-Authenticate, as registries send it. Pure. */
#ifndef RO_CHALLENGE_H
#define RO_CHALLENGE_H

#include <stdbool.h>

enum ro_scheme { RO_NONE, RO_BASIC, RO_BEARER };

struct ro_challenge {
  enum ro_scheme scheme; /* Bearer where several are offered */
  char *realm, *service, *scope; /* NULL where absent */
};

/* Reads one header's value into c, which keeps the better scheme of several headers. What cannot be read is left out. */
void ro_challenge_parse(const char *header, struct ro_challenge *c);
void ro_challenge_free(struct ro_challenge *c);

#endif
