/* What a message of a plug-in has to look like: its type, the members that its type must have and their types, ids that are used once.
 * A copy of the tables of plugin-api/docs/wire.md; knows nothing of processes. */
#ifndef CHECK_WIRE_RULES_H
#define CHECK_WIRE_RULES_H

#include <stdbool.h>

#include "plugin/wire.h"

struct wire_rules;

struct wire_rules *wire_rules_new(void);
void wire_rules_free(struct wire_rules **rules);
/* NULL, or a sentence that says what is wrong; the caller frees. */
char *wire_rules_judge(struct wire_rules *rules, const struct bt_message *message);
/* Does the server end a plug-in that sends it? */
bool wire_rules_fatal(const struct bt_message *message);

#endif
