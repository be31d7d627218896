/* A folder of the checker's own, for what the plug-in writes: "@DIR@" in a configuration stands for it. It is empty at the beginning of
 * each test and gone at the end, with what was mounted in it. Knows nothing of plug-ins. */
#ifndef CHECK_SCRATCH_H
#define CHECK_SCRATCH_H

/* Its path; made at the first call, and removed when the process that made it exits. */
const char *check_scratch(void);
/* The text with the folder in place of each "@DIR@"; the caller frees. */
char *check_scratch_in(const char *text);
/* Removes what is in it. */
void check_scratch_clear(void);

#endif
