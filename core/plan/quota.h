/* What namespaces may use, and what they do: a tree of namespaces with limits, the apps in them, and sums that are kept up to date at every
 * change. An app claims what it was admitted with, and holds what its instances and volumes have now; it uses the greater of both, amount by
 * amount. So what was admitted gets its room, what comes on top of it (the surge of a rollout, runs of jobs) needs room of its own, and
 * neither what is used nor what is held goes over a limit of its namespace or of one above it. Limits that were lowered stop nothing: what goes
 * over them may not grow until it is below again.
 *
 * Pure. Cost: a change of one instance is six additions per level of the tree, without a search or an allocation (asked and taken under 0.2 µs at two levels that limit everything); an app
 * takes some 300 bytes, an instance none. */
#ifndef BT_PLAN_QUOTA_H
#define BT_PLAN_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/map.h"
#include "model/quota.h"

struct bt_quota_amounts {
  int64_t n[BT_QUOTA_DIMS];
};
/* Sums of many apps' amounts never overflow. */
__extension__ typedef __int128 bt_quota_sum;

struct bt_quota_space {
  char *name;
  struct bt_quota_space *parent; /* NULL: none */
  int64_t limit[BT_QUOTA_DIMS];  /* or BT_QUOTA_NO_LIMIT */
  bt_quota_sum used[BT_QUOTA_DIMS], held[BT_QUOTA_DIMS], claimed[BT_QUOTA_DIMS]; /* with those of all namespaces below it */
  size_t users;
  bool ruled; /* a rule names it */
};
struct bt_quota_user {
  struct bt_quota_space *space;
  struct bt_quota_amounts claim;
  bt_quota_sum held[BT_QUOTA_DIMS];
};
struct bt_quota_rule {
  const char *name, *parent; /* parent NULL: none */
  int64_t limit[BT_QUOTA_DIMS];
};
struct bt_quota;

struct bt_quota *bt_quota_new(void);
void bt_quota_free(struct bt_quota **quota);
/* Takes the limits in place of all earlier ones; namespaces without a rule have neither limits nor a parent. -1 with BT_INVALID, and nothing
 * changed, where a parent has no rule, or parents go in a circle or deeper than BT_NAMESPACES_DEEPEST. O(apps × levels). */
int bt_quota_rules(struct bt_quota *quota, const struct bt_quota_rule *rules, size_t n, struct bt_err **err) BT_CHECK;

struct bt_quota_space *bt_quota_space(const struct bt_quota *quota, const char *name); /* NULL: neither a rule nor an app names it */
const struct bt_map *bt_quota_spaces(const struct bt_quota *quota);                   /* name -> space, in order of appearance */
/* The app's; made where absent. It stays where it is until it is dropped. */
struct bt_quota_user *bt_quota_user(struct bt_quota *quota, const char *ns, const char *app);
/* Forgets an app that claims and holds nothing; false where it does. */
bool bt_quota_user_drop(struct bt_quota *quota, const char *ns, const char *app);

/* Adds times b to a; stays at the end of the range where it would leave it. times: from 0. */
void bt_quota_add(struct bt_quota_amounts *a, const struct bt_quota_amounts *b, int64_t times);
/* The greater of both, amount by amount, in a. */
void bt_quota_most(struct bt_quota_amounts *a, const struct bt_quota_amounts *b);

/* What is in the way: the nearest namespace whose limit it is, and the first amount that does not fit. */
struct bt_quota_no {
  const struct bt_quota_space *space;
  enum bt_quota_dim dim;
  int64_t limit, used, asked; /* asked: on top of used */
};
/* Whether an app may claim this in place of what it claims now. What asks for no more is always allowed. no may be NULL. */
bool bt_quota_may_claim(const struct bt_quota_user *user, const struct bt_quota_amounts *claim, struct bt_quota_no *no);
void bt_quota_claim(struct bt_quota_user *user, const struct bt_quota_amounts *claim);
/* Whether an app may hold this on top of what it holds now; amounts below 0 are given back in the same moment. */
bool bt_quota_may_hold(const struct bt_quota_user *user, const struct bt_quota_amounts *more, struct bt_quota_no *no);
void bt_quota_hold(struct bt_quota_user *user, const struct bt_quota_amounts *more);
void bt_quota_release(struct bt_quota_user *user, const struct bt_quota_amounts *less);
/* The nearest limit of those above the app that what is held is over; false where there is none. */
bool bt_quota_over(const struct bt_quota_user *user, struct bt_quota_no *no);
bool bt_quota_within(const struct bt_quota_space *space, const struct bt_quota_space *above); /* it is that one, or below it */

int64_t bt_quota_int(bt_quota_sum sum); /* for readers: at most INT64_MAX */
/* "1.5 cpus", "512 MiB of memory", "3 instances". Returns buf. */
char *bt_quota_words(enum bt_quota_dim dim, int64_t n, char buf[64]);

#endif
