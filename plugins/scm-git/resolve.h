/* The commit of a branch, or of the highest version among tags. */
#ifndef SG_RESOLVE_H
#define SG_RESOLVE_H

#include <berth/scm.h>

#include "job.h"

void sg_resolve(struct sg_jobs *jobs, berth_op op, const struct berth_scm_resolve *request);

#endif
