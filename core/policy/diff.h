/* What a rule changed, as a list of paths with the values before and after. Knows nothing of rules. */
#ifndef BT_POLICY_DIFF_H
#define BT_POLICY_DIFF_H

#include <jansson.h>
#include <stdbool.h>

/* Appends {"policy","path","from","to"} to changes for each difference; null where a side has none. Paths read
 * services.web.ports[0].target, with keys that are no plain words as ["com.example.x"]. At most 1,000 entries; the last then
 * has the path "…". True where there is a difference. */
bool bt_diff(const char *policy, const json_t *from, const json_t *to, json_t *changes);

#endif
