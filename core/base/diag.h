/* Diagnostics: what is wrong with a text a person wrote, each with its place. Errors refuse; warnings only speak.
 * A checker goes on after an error so that a person sees all of them at once (capped at 100). */
#ifndef BT_BASE_DIAG_H
#define BT_BASE_DIAG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* A place in a text. line and col count from 1; 0 means unknown. file is borrowed: see the owner of the tree. */
struct bt_loc {
  const char *file;
  int line;
  int col;
};

enum bt_severity { BT_SEV_ERROR, BT_SEV_WARNING };

struct bt_diag {
  enum bt_severity severity;
  char *file; /* owned copy; NULL where there is none */
  int line, col;
  char *message; /* one sentence that names the thing and the mend */
};

/* Zero-initialise. */
struct bt_diags {
  struct bt_diag *items;
  size_t len, cap;
  size_t errors;  /* how many of severity error were added, those over the cap included */
  size_t dropped; /* entries left out because of the cap */
};

/* No further entry is shown: what only makes its sentence better (a search for the nearest word) can be left out. */
bool bt_diags_full(const struct bt_diags *d);
void bt_diag_error(struct bt_diags *d, struct bt_loc loc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void bt_diag_warn(struct bt_diags *d, struct bt_loc loc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* "file:line:col: error: message\n" lines. The caller frees. */
char *bt_diags_text(const struct bt_diags *d);
/* [{"severity","file","line","column","message"}]; new reference. */
json_t *bt_diags_json(const struct bt_diags *d);
/* Where there are errors: *err becomes BT_INVALID with the first one's place and sentence ("and N more"); returns -1. */
int bt_diags_err(const struct bt_diags *d, struct bt_err **err);
void bt_diags_free(struct bt_diags *d);

#define BT_AUTO_DIAGS __attribute__((cleanup(bt_diags_free))) struct bt_diags

#endif
