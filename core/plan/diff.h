/* What an apply would change, for a person: the entries of a plan, with the changes of each thing and a reason in words. Pure. Values
 * of environment variables and contents of secrets and configs never appear: only that they changed. */
#ifndef BT_PLAN_DIFF_H
#define BT_PLAN_DIFF_H

#include <jansson.h>
#include <stdbool.h>

struct bt_diff_in {
  const json_t *from, *to;                   /* canonical models; from NULL: nothing is there yet */
  const json_t *from_contents, *to_contents; /* {"secrets/NAME": {"fingerprint"}} */
  bool recreate;                             /* containers are made anew even where nothing changed */
};
/* A new array of {"action","kind","name","reason","changes":[{"path","from","to"}],"instances"}: services first, then networks,
 * volumes, secrets, configs; each in the order of the new model, what goes at the end. Where nothing would make another container of a service but what engines change in
 * place, "in_place" says that in words, and "beside" what else changes: for whoever knows the nodes, and takes both out again. */
json_t *bt_diff_plan(const struct bt_diff_in *in);
/* Whether the plan says that anything changes. */
bool bt_diff_changes(const json_t *plan);

#endif
