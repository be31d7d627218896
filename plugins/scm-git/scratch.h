/* The folder of one job, on memory where there is such: git's configuration with the login in it, keys, who may sign. Nothing of that
 * stands on a command line or in an environment. Gone with the job. */
#ifndef SG_SCRATCH_H
#define SG_SCRATCH_H

#include "settings.h"

/* A private folder for all jobs of an entry, held by *lock (a descriptor) while it is in use; folders that a killed server left behind
 * go first. NULL where none can be made. The caller frees, and closes the lock. */
char *sg_scratch_base(const char *entry, int *lock);
void sg_scratch_remove(const char *dir); /* with all that is in it; NULL is fine */

/* Makes the folder of a job and writes into it what this repository needs. signers: NULL for none. NULL with *why (a sentence; the
 * caller frees). The caller frees the path. */
char *sg_scratch_new(const char *base, const struct sg_settings *settings, const struct sg_url *url, const char *signers, char **why);
/* Of the keys of signers, in any order: the armoured blocks of OpenPGP, or the lines of ssh; "" where there are none. The caller frees. */
char *sg_signers_of(const char *signers, bool openpgp);

#endif
