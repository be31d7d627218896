/* Drafts: what may become a revision of an app, by an apply, a rollback, a scale, a changed secret or a moved image. Between the modules
 * of core/control only. Nothing of a draft is in the tables until it is committed, but for an app that is new. */
#ifndef BT_CONTROL_DRAFT_H
#define BT_CONTROL_DRAFT_H

#include "control/internal.h"

struct ctl_draft {
  struct ctl_app *app;
  struct ctl_rev *rev; /* not among the app's revisions yet */
  bool new_app;
  json_t *filled;      /* of the namespace's defaults: see ctl_quota_fill; NULL: nothing */
  json_t *contents;    /* as sent; borrowed; NULL where they are all stored */
};

int ctl_next_number(const struct ctl_app *app); /* of the next revision */
json_t *ctl_rev_model(const struct ctl_rev *rev); /* a copy of its own; new reference */

void ctl_draft_start(struct ctl_draft *d, struct bt_control *c, const char *ns, const char *name);
/* A draft of a revision's content with another model, of which whatever is called the same stays pinned. -1 where it is not valid
 * (any more). */
int ctl_draft_copy(struct ctl_draft *d, struct ctl_app *app, const struct ctl_rev *from, json_t *model_steal, struct bt_err **err) BT_CHECK;
/* A draft of what a request of the form of app.apply brings, whose names are checked; -1 where it cannot be one. */
int ctl_draft_open(struct ctl_draft *d, struct bt_control *c, const struct bt_request *request, struct bt_err **err) BT_CHECK;
/* Nothing of it stays: a dry run, or it was not valid. */
void ctl_draft_drop(struct ctl_draft *d);
void ctl_draft_words(struct ctl_draft *d, const char *actor, const char *message, const char *source, const char *build);
/* Where it comes from, as the one who applies knows it (args.origin), and whether Berth does so by itself (args.cause). */
void ctl_draft_origin(struct ctl_draft *d, const json_t *args);
/* Reads and checks the model; steals it either way. text: the same as text where it is at hand, else NULL. */
int ctl_draft_model(struct ctl_draft *d, json_t *model_steal, const char *text, struct bt_err **err) BT_CHECK;
json_t *ctl_draft_plan(const struct ctl_draft *d, bool recreate); /* new reference */
/* {"services": [{"service","instances","unplaced","rule","nodes": {node: instances},"reason","mend"}], "nodes": [{"node","cpus","memory","before":
 * {"cpus","memory"},"after"}]}: where the steps of a plan would go now, and what would be reserved then. Changes nothing. Image downloads and
 * dependencies are not looked at. */
json_t *ctl_forecast(const struct ctl_draft *d, const json_t *plan); /* forecast.c; new reference */
/* [{"namespace","resource","limit","before","after"}]: of the app's namespace and those above it. */
json_t *ctl_quota_forecast(const struct ctl_draft *d); /* quota_view.c; new reference */
json_t *ctl_apply_result(const struct ctl_app *app, int revision, bool changed, json_t *plan_steal);
/* Makes the revision. Takes the draft. */
struct ctl_rev *ctl_draft_commit(struct ctl_draft *d);
/* Answers with the plan and, unless it is a dry run, makes the revision. Takes the draft. */
void ctl_draft_finish(struct bt_control *c, struct ctl_draft *d, const struct bt_request *request, json_t *plan_steal);
/* Answers with the error. Drops the draft. */
void ctl_draft_refuse(struct bt_control *c, struct ctl_draft *d, const struct bt_request *request, const struct bt_err *err);

#endif
