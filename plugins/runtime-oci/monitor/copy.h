/* Files into and out of a container as tar archives, whether it runs or not. Links are followed as the container would, never out of it
 * (resolve.h); numbers of users are mapped where it has a user namespace. For the program berth-copy. */
#ifndef RO_COPY_H
#define RO_COPY_H

#include <stdint.h>
#include <sys/types.h>

#include "fail.h"
#include "spec.h"

enum { RO_COPY_RANGES = 64 };
struct ro_ranges {
  uint32_t inside[RO_COPY_RANGES], outside[RO_COPY_RANGES], count[RO_COPY_RANGES];
  int n; /* 0: none, numbers are the same on both sides */
};
struct ro_copy {
  int root; /* the container's root folder */
  pid_t server; /* that has it while it does not run (fuse.h); 0: nobody */
  struct ro_ranges uids, gids;
};

uint32_t ro_copy_out_id(const struct ro_ranges *r, uint32_t inside); /* 65534 where it has none */
uint32_t ro_copy_in_id(const struct ro_ranges *r, uint32_t outside);

/* Unpacks a tar from standard input into the folder at path, which must be there. Entries must stay below it ("invalid" otherwise), a
 * folder is not replaced by a file nor the other way round ("conflict"), devices are refused ("denied"). */
int ro_copy_in(const struct ro_copy *c, const char *path, struct ro_fail *why);
/* Writes a tar of what stands at path (a link at its end stays a link) to standard output; names begin with its last part. */
int ro_copy_out(const struct ro_copy *c, const char *path, struct ro_fail *why);

#endif
