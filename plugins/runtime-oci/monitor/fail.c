#include "config.h"
#include "fail.h"

#include <errno.h>
#include <stdlib.h>

#include "../../common/util.h"

static const char *code_of(int error) {
  switch (error) {
  case ENOENT:
  case ESRCH:
    return "not_found";
  case ENOSPC:
  case EDQUOT:
    return "no_space";
  case EMFILE:
  case ENFILE:
  case EAGAIN:
  case ENOMEM:
    return "exhausted";
  case EACCES:
  case EPERM:
    return "denied";
  case EINVAL:
  case ENAMETOOLONG:
    return "invalid";
  default:
    return "unavailable";
  }
}

static int set(struct ro_fail *f, const char *code, char *text) {
  if (f && !f->text) {
    f->code = code;
    f->text = text;
  } else {
    free(text);
  }
  return -1;
}

int ro_fail(struct ro_fail *f, const char *code, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  char *text = pu_vasprintf(fmt, ap);
  va_end(ap);
  return set(f, code, text);
}

int ro_fail_errno(struct ro_fail *f, const char *fmt, ...) {
  int error = errno;
  va_list ap;
  va_start(ap, fmt);
  PU_AUTO_FREE what = pu_vasprintf(fmt, ap);
  va_end(ap);
  return set(f, code_of(error), pu_asprintf("%s: %s", what, strerror(error)));
}

void ro_fail_clear(struct ro_fail *f) {
  pu_set(&f->text, NULL);
  f->code = NULL;
}
