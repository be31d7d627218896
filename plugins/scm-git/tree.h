/* A folder or file of a commit as a stream: a folder as a tar that git makes of its store, byte for byte as it was committed (no filters,
 * no line ends turned, nothing left out), a file as it is. Kept in the cache only while it is sent. */
#ifndef SG_TREE_H
#define SG_TREE_H

#include <berth/scm.h>

#include "job.h"

enum { SG_TREE_MAX_FILE = 16 << 20 };

void sg_tree(struct sg_jobs *jobs, berth_op op, const struct berth_scm_tree *request);

#endif
