/* Completions for shells and the verbs' part of the manual page: texts made of the table of verbs. Pure. */
#ifndef BT_CLI_COMPLETION_H
#define BT_CLI_COMPLETION_H

#include "base/buf.h"

void bt_completion_bash(struct bt_buf *out);
void bt_completion_zsh(struct bt_buf *out);
void bt_completion_fish(struct bt_buf *out);
/* A subsection of mdoc per group of verbs, for berth(1). */
void bt_completion_mdoc(struct bt_buf *out);

#endif
