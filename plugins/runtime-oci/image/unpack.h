/* One blob unpacked into one folder: by a process of its own, which reads the blob's file as it grows, and its other half in
 * berth-image, which says how much of it there is and hears what came of it. */
#ifndef RI_IMAGE_UNPACK_H
#define RI_IMAGE_UNPACK_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "tar.h"
#include "why.h"

struct ri_unpacker {
  pid_t pid; /* 0: none */
  int tell, report;
  bool gone; /* it ended before all was told: its report says why */
};

/* Starts the process: blob (a regular file; its reading position does not matter) into the folder dir. Both stay the caller's. */
int ri_unpacker_start(struct ri_unpacker *u, int blob, int dir, const struct ri_tar_limits *limits, struct ri_why *why);
/* So many bytes of the blob are there; last: and there will be no more. Says nothing where the process is gone. */
void ri_unpacker_tell(struct ri_unpacker *u, int64_t available, bool last);
/* Waits for its end. {"diff_id", "size", "entries", "devices", "implied": {}, "opaque": {}}, the caller frees; NULL with why. */
json_t *ri_unpacker_end(struct ri_unpacker *u, struct ri_why *why);
void ri_unpacker_kill(struct ri_unpacker *u); /* and waits; one that ended is fine */

/* The process itself, told by its arguments and the descriptors that ri_unpacker_start gave it. Returns its exit code. */
int ri_unpack_main(const char *limits_json);

#endif
