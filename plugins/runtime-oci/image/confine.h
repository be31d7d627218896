/* Puts the calling process where an archive can do no harm: a mount namespace whose root is one folder, no network, few capabilities,
 * limits, and a filter that lets through only the system calls that laying files takes. For a process that is single-threaded. */
#ifndef RI_IMAGE_CONFINE_H
#define RI_IMAGE_CONFINE_H

#include <stdbool.h>
#include <stdint.h>

#include "why.h"

struct ri_confine {
  int dir;           /* what becomes the root; must be a folder */
  int64_t max_file;  /* bytes of one file */
  bool devices;      /* keep the right to make them */
};

/* There is no way back. After a failure the process must end. */
int ri_confine(const struct ri_confine *how, struct ri_why *why);

#endif
