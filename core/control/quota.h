/* Quotas of namespaces within control: what apps claim and hold (quota.c), what is refused (quota_admit.c), what readers see (quota_view.c).
 * Between the modules of core/control only; the sums and the decisions are those of plan/quota.h. */
#ifndef BT_CONTROL_QUOTA_H
#define BT_CONTROL_QUOTA_H

#include "control/internal.h"
#include "plan/quota.h"

struct ctl_draft;

/* ---- quota.c ---- */
/* What one instance of it counts. Of cpus and memory what it reserves, else its limit; 0 where it says neither. */
struct bt_quota_amounts ctl_quota_one(const struct bt_service *service);
enum ctl_quota_with {
  CTL_QUOTA_ALONE,   /* by that revision alone */
  CTL_QUOTA_FORWARD, /* also by what is rolled out and what was accepted */
  CTL_QUOTA_WAY_BACK /* and by what a rollout may go back to: it keeps its room as long as nobody else has it */
};
/* What an app claims by a revision (NULL: none) and others of it. */
struct bt_quota_amounts ctl_quota_claim_of(const struct ctl_app *app, const struct ctl_rev *rev, enum ctl_quota_with with);
const struct bt_namespace *ctl_namespace(const struct bt_control *c, const char *name); /* NULL: berthd.yaml does not name it */
/* The next one upwards of those that are named. */
const struct bt_namespace *ctl_namespace_parent(const struct bt_control *c, const struct bt_namespace *n);
/* Whether room for one more instance of it is there now. */
bool ctl_quota_room(const struct ctl_app *app, const struct bt_service *service, struct bt_quota_no *no);

bool ctl_quota_room_for(const struct ctl_app *app, const struct bt_service *service, size_t n); /* for n more */

/* ---- quota_view.c ---- */
/* "the quota of namespace team-a is 4 cpus, and 3.5 cpus are used": no full stop. */
void ctl_quota_words(const struct bt_quota_no *no, struct bt_buf *out);

#endif
