/* What git prints of refs and commits, read: which ref is meant, who made a commit. Pure. */
#ifndef SG_REFS_H
#define SG_REFS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Of the lines of "git ls-remote": the commit of a branch (tag NULL), or of the tag of the highest version that fits the pattern.
 * False where there is none. *commit and *ref: the caller frees. */
bool sg_refs_pick(const char *text, size_t len, const char *branch, const char *tag, char **commit, char **ref);
/* Order of versions as people write tags: numbers by their value, "1.2" before "1.10", a pre-release ("1.2-rc1") before its release,
 * a leading "v" is nothing. <0, 0, >0. */
int sg_version_compare(const char *a, const char *b);

/* {"author": {name, email, time}, "committer": …, "subject"} of a commit's text; new reference. *signature: "ssh", "openpgp", "other" or NULL
 * (none). */
json_t *sg_commit_read(const char *text, size_t len, const char **signature);

#endif
