/* A row of the doctor's table: what was looked at, what is declared of it, what was found, the verdict, and the mend. */
#ifndef BT_MODEL_FINDING_H
#define BT_MODEL_FINDING_H

#include <jansson.h>

/* Appends {"element","declared","found","verdict","mend"} to the array; NULL leaves a member out. verdict: "ok", "warning", "error", or
 * "unknown" of what was not seen yet. */
void bt_finding_add(json_t *table, const char *element, const char *declared, const char *found, const char *verdict, const char *mend);

#endif
