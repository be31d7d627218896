/* TAP in forty lines: ok(cond, name…), is_str, is_int, done_testing. A test is a program; a failed check makes exit 1. */
#ifndef BT_TESTS_TAP_H
#define BT_TESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

__attribute__((format(printf, 4, 5), unused)) static bool tap_ok(bool cond, const char *file, int line, const char *fmt,
                                                                 ...) {
  va_list ap;
  va_start(ap, fmt);
  printf("%sok %d - ", cond ? "" : "not ", ++tap_count);
  vprintf(fmt, ap);
  printf("\n");
  va_end(ap);
  if (!cond) {
    tap_failed++;
    printf("# failed at %s:%d\n", file, line);
  }
  fflush(stdout);
  return cond;
}

__attribute__((unused)) static bool tap_is_str(const char *got, const char *want, const char *file, int line,
                                               const char *name) {
  bool same = got == want || (got && want && strcmp(got, want) == 0);
  if (!tap_ok(same, file, line, "%s", name))
    printf("#   got: %s\n#  want: %s\n", got ? got : "(null)", want ? want : "(null)");
  return same;
}

__attribute__((unused)) static bool tap_is_int(long long got, long long want, const char *file, int line,
                                               const char *name) {
  if (!tap_ok(got == want, file, line, "%s", name))
    printf("#   got: %lld\n#  want: %lld\n", got, want);
  return got == want;
}

#define ok(cond, ...) tap_ok((cond), __FILE__, __LINE__, __VA_ARGS__)
#define is_str(got, want, name) tap_is_str((got), (want), __FILE__, __LINE__, (name))
#define is_int(got, want, name) tap_is_int((long long)(got), (long long)(want), __FILE__, __LINE__, (name))
#define skip_all(why) (printf("1..0 # SKIP %s\n", (why)), 0)

__attribute__((unused)) static int done_testing(void) {
  printf("1..%d\n", tap_count);
  return tap_failed ? 1 : 0;
}

#endif
