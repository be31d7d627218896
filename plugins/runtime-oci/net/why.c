#include "config.h"
#include "why.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int ro_why_set(struct ro_why *why, enum berth_code code, const char *fmt, ...) {
  if (!why)
    return -1;
  va_list ap;
  va_start(ap, fmt);
  why->code = code;
  vsnprintf(why->text, sizeof why->text, fmt, ap);
  va_end(ap);
  return -1;
}

enum berth_code ro_why_code(int errnum) {
  switch (errnum) {
  case EEXIST:
  case EADDRINUSE:
  case EBUSY:
    return BERTH_CONFLICT;
  case ENODEV:
  case ENOENT:
  case ENXIO:
    return BERTH_NOT_FOUND;
  case EPERM:
  case EACCES:
    return BERTH_DENIED;
  case EOPNOTSUPP:
  case EPROTONOSUPPORT:
  case EAFNOSUPPORT:
    return BERTH_UNSUPPORTED;
  case ENOSPC:
  case ENOMEM:
  case ENOBUFS:
  case EMFILE:
  case ENFILE:
  case EXFULL: /* a bridge has room for 1,023 ports */
    return BERTH_EXHAUSTED;
  case EINVAL:
  case ERANGE:
    return BERTH_INVALID;
  default:
    return BERTH_IO;
  }
}
