#define _GNU_SOURCE /* strerrordesc_np */
#include "why.h"

#include <errno.h>
#include <stdarg.h>

#include "../../common/util.h"

static const char *const names[] = {"ok", "invalid", "not_found", "conflict", "unauthenticated", "denied", "unsupported",
                                    "too_large", "exhausted", "unavailable", "deadline", "cancelled", "io", "internal"};

const char *ri_code_name(enum berth_code code) { return (size_t)code < PU_COUNT(names) ? names[code] : "internal"; }

enum berth_code ri_code_named(const char *name) {
  for (size_t i = 1; i < PU_COUNT(names); i++)
    if (pu_eq(names[i], name))
      return (enum berth_code)i;
  return BERTH_INTERNAL;
}

int ri_why_set(struct ri_why *why, enum berth_code code, const char *fmt, ...) {
  if (why->text)
    return -1;
  va_list ap;
  va_start(ap, fmt);
  why->text = pu_vasprintf(fmt, ap);
  va_end(ap);
  why->code = code;
  return -1;
}

static enum berth_code code_of(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM: return BERTH_EXHAUSTED;
    case ENOENT:
    case ENOTDIR: return BERTH_NOT_FOUND;
    case EACCES:
    case EPERM: return BERTH_DENIED;
    case EIO:
    case EROFS: return BERTH_IO;
    default: return BERTH_INTERNAL;
  }
}

int ri_why_errno(struct ri_why *why, int error, const char *fmt, ...) {
  if (why->text)
    return -1;
  va_list ap;
  va_start(ap, fmt);
  PU_AUTO_FREE what = pu_vasprintf(fmt, ap);
  va_end(ap);
  const char *words = strerrordesc_np(error);
  if (error == ENOSPC || error == EDQUOT)
    return ri_why_set(why, BERTH_EXHAUSTED, "%s: no room is left on the disk: make room (berth image prune removes what no container uses), and try again", what);
  return ri_why_set(why, code_of(error), "%s: %s", what, words ? words : "unknown error");
}

int ri_why_wrap(struct ri_why *why, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  PU_AUTO_FREE what = pu_vasprintf(fmt, ap);
  va_end(ap);
  pu_set(&why->text, pu_asprintf("%s: %s", what, why->text ? why->text : "failed"));
  return -1;
}

void ri_why_free(struct ri_why *why) {
  free(why->text);
  *why = (struct ri_why){0};
}
