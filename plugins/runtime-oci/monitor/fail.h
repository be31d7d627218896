/* Why something of the runtime could not be done: a code of the plug-in contract by its name, and a sentence for a person that
 * names the thing and the mend. Knows nothing of where it is shown. */
#ifndef RO_FAIL_H
#define RO_FAIL_H

/* Zero-initialise. code is a name as in berth/plugin.h ("not_found", "conflict", "unavailable", …) and never freed; text is owned. */
struct ro_fail {
  const char *code;
  char *text;
};

/* Sets what fails (the first one stays) and returns -1. f may be NULL. */
int ro_fail(struct ro_fail *f, const char *code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same with ": <words of errno>" behind it; the code follows from errno (ENOSPC: no_space, ENOENT: not_found, …). */
int ro_fail_errno(struct ro_fail *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ro_fail_clear(struct ro_fail *f);

#endif
