/* What a test says: failures, warnings, notes, a reason to skip, and the step that it is at, for the case that the next line of the
 * plug-in's code ends the process. Runs in the test's own process and speaks through a pipe to the one that started it
 * (run.h). Any thread. */
#ifndef CHECK_REPORT_H
#define CHECK_REPORT_H

#include <stdbool.h>
#include <stddef.h>

enum { CHECK_STEP_ROOM = 256 };

/* pipe: where lines go. step: CHECK_STEP_ROOM bytes that outlive the process. */
void check_report_to(int pipe, char *step);

void check_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void check_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* counts as a failure with --strict only */
void check_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The test cannot be run here; the first reason is shown. */
void check_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void check_step(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *check_at(void); /* the step */
bool check_failed(void);    /* something failed in this process */

#endif
