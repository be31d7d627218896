/* Errors: a stable code, and a sentence for a person that names the thing and the mend.
 *
 * A function that can fail returns 0 or -1 and takes "struct bt_err **err" as its last argument. The caller starts
 * with a null pointer; on failure the callee fills it; the caller adds context with bt_err_wrap() on its way up and
 * frees it (or lets BT_AUTO_ERR do so). Passing NULL for err is allowed and drops the error. This module knows
 * nothing of where an error is shown; one table maps codes to HTTP statuses and exit codes. */
#ifndef BT_BASE_ERR_H
#define BT_BASE_ERR_H


/* The stable codes. Their names (bt_code_name) are part of the API; only append. */
enum bt_code {
  BT_OK = 0,
  BT_INVALID,         /* bad input: the caller must change the request */
  BT_NOT_FOUND,       /* the named thing does not exist */
  BT_CONFLICT,        /* clashes with what exists (name taken, port taken) */
  BT_PRECONDITION,    /* If-Match or an expected revision did not hold */
  BT_UNAUTHENTICATED, /* who are you? */
  BT_DENIED,          /* known, but may not: RBAC, a policy or a quota said no */
  BT_UNSUPPORTED,     /* understood, but not offered here */
  BT_TOO_LARGE,       /* over a size cap */
  BT_EXHAUSTED,       /* no capacity or queue space */
  BT_UNAVAILABLE,     /* the other side is away; trying again may help */
  BT_DEADLINE,        /* took longer than allowed */
  BT_CANCELLED,       /* the caller gave up */
  BT_IO,              /* disk or socket failed */
  BT_PLUGIN_CRASHED,  /* the plug-in broke its contract or died */
  BT_INTERNAL,        /* a defect of ours */
  BT_NO_SPACE,        /* the disk of the state is full; nothing to do with quotas */
  BT_CODE_MAX
};

struct bt_err;

/* Sets *err to a new error and returns -1, so that "return bt_err_set(…)" reads well. An error that is already there
 * is freed first. */
int bt_err_set(struct bt_err **err, enum bt_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* As bt_err_set, with ": <strerror(errnum)>" appended. */
int bt_err_errno(struct bt_err **err, enum bt_code code, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Puts "<context>: " in front of the sentence; the code stays. Returns -1. */
int bt_err_wrap(struct bt_err **err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Moves src into *dst (which may be NULL: then src is freed). Returns -1. */
int bt_err_move(struct bt_err **dst, struct bt_err *src);

enum bt_code bt_err_code(const struct bt_err *err);       /* BT_OK for NULL */
const char *bt_err_message(const struct bt_err *err);     /* "" for NULL; owned by err */
void bt_err_free(struct bt_err **err);                    /* clears the pointer; NULL is fine */

const char *bt_code_name(enum bt_code code);              /* "not_found", … */
enum bt_code bt_code_from_name(const char *name);         /* BT_INTERNAL where unknown */
int bt_code_http(enum bt_code code);                      /* 404, … */
int bt_code_exit(enum bt_code code);                      /* exit code of the programs; see berth(1) */

#define BT_AUTO_ERR __attribute__((cleanup(bt_err_free))) struct bt_err *
#define BT_CHECK __attribute__((warn_unused_result))

#endif
