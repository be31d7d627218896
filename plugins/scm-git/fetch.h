/* Files of a commit, read out of git's store without a work tree: no checkout, no filters, no hooks, no submodules. A mirror in the cache
 * holds what was fetched, to a depth of one. */
#ifndef SG_FETCH_H
#define SG_FETCH_H

#include <berth/scm.h>

#include "job.h"

void sg_fetch(struct sg_jobs *jobs, berth_op op, const struct berth_scm_fetch *request);

/* ---- pure, for tests ---- */

enum { SG_MAX_FILES = 1000, SG_MAX_FILE = 1 << 20, SG_MAX_ALL = 2 << 20 };

struct sg_blob {
  enum { SG_MISSING, SG_FILE_BLOB, SG_OTHER, SG_LINK_OUT, SG_LINK_LOOP } kind;
  long long size;
  const char *data; /* of "cat-file --batch"; NULL for --batch-check */
};
/* Reads one answer of "git cat-file --batch[-check] --follow-symlinks" at *at. False where the text ends or is not what git prints. */
bool sg_batch_next(const char **at, const char *end, bool contents, struct sg_blob *out);

#endif
