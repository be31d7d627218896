/* "$VAR", "${VAR:-default}" and their relatives in one text. Knows nothing of files, trees or where variables come from.
 * The forms and their odd corners are the reference's: an operator's text reaches to its own closing brace or, where none
 * balances, to the last one of the line; "$1" and a lone "$" stay as they are. */
#ifndef BT_COMPOSE_TEMPLATE_H
#define BT_COMPOSE_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct bt_template_vars {
  const char *(*get)(void *arg, const char *name);  /* borrowed until the next call; NULL where unset */
  void (*unset)(void *arg, const char *name);       /* told of "$NAME" that becomes nothing; may be NULL */
  void *arg;
  size_t *budget; /* bytes that may still come out; counted down, so that doubling variables cannot fill the memory */
};

/* 0 and *out (the caller frees), or -1 with BT_INVALID (a malformed "${"), BT_NOT_FOUND (a required variable is missing)
 * or BT_TOO_LARGE (nesting, budget). */
int bt_template_expand(const struct bt_template_vars *vars, const char *text, char **out, struct bt_err **err) BT_CHECK;

#endif
