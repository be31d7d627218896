/* Who signed a commit, and is he among those that count? By git and its helpers (ssh-keygen, gpg), with nothing but the keys that came
 * with the request. */
#ifndef SG_VERIFY_H
#define SG_VERIFY_H

#include "job.h"

/* kind: of sg_commit_read. done gets {"verdict","signer","detail"} (new reference), once, unless the job fails before. */
void sg_verify(struct sg_job *job, const char *commit, const char *kind, void (*done)(struct sg_job *job, json_t *verdict_steal));

struct sg_verify;
void sg_verify_free(struct sg_verify *verify); /* of a job that ends */

/* ---- pure, for tests ---- */

/* The verdict from what "git verify-commit --raw" printed. */
json_t *sg_verdict(bool openpgp, int status, const char *text, size_t len);

#endif
