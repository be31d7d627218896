/* The layers of an image made into one tree of files, as an overlay of them would show it: for machines without one. Blocks. */
#ifndef RO_MERGE_H
#define RO_MERGE_H

#include <stddef.h>

#include "fail.h"

/* Makes the folder to out of the n layers (topmost first), unless it is there: whiteouts and opaque folders hide what is below, hard links of one
 * layer stay links. It is made as TO.new, synced and renamed, so what is there is whole; what an interrupted call left is removed first. One caller at a time.
 * id: of the container, for sentences. 0, or -1 with why, and nothing left but TO.new. */
int ro_merge(const char *const *layers, size_t n, const char *to, const char *id, struct ro_fail *why);

#endif
