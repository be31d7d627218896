/* Mirrors: what was fetched of a repository, to a depth of one commit, in a folder of the cache. A job that wants a commit begins with
 * sg_mirror_start; then look() asks the mirror, and sg_mirror_bring fetches what it lacks. */
#ifndef SG_MIRROR_H
#define SG_MIRROR_H

#include "job.h"

/* A copy of commit, and of ref where it is one that git may get. */
struct sg_wanted sg_wanted_of(const char *commit, const char *ref, void (*look)(struct sg_job *job));
/* The start of a job: sees to a mirror that is whole, then look. */
void sg_mirror_start(struct sg_job *job);
/* The commit is not in the mirror: fetches it, then look again; ends the job where it is gone. */
void sg_mirror_bring(struct sg_job *job);

#endif
