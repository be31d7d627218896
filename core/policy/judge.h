/* Filters and scores: what policy files say of a service's places. A judge holds the files that have such hooks, in boxes of its own, and belongs
 * to one thread at a time: it is made where files are read, and handed over to where places are found. It counts instructions in place of
 * time, so that the same question has the same answer, and a question is short.
 *
 * A rule that fails refuses: it cannot agree. One that breaks its limits again and again is not asked any more. */
#ifndef BT_POLICY_JUDGE_H
#define BT_POLICY_JUDGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "model/service.h"

struct bt_judge;
struct bt_policy;

enum {
  BT_JUDGE_INSTRUCTIONS = 50000, /* of a file for a question */
  BT_JUDGE_BREACHES = 8,         /* so often it is stopped, and then not asked any more */
  BT_JUDGE_MOST = 1000,          /* a score's, above and below 0 */
};

struct bt_judgement {
  bool allowed, failed; /* failed: refused, since a rule failed */
  int score;            /* of all files, -1000 to 1000 */
  char why[240];        /* of a refusal; goes on from a node's name: "is refused by the policy gpu.lua:4 (only team-a may use it)" */
};

/* May a node of this kind have instances of the service, and how gladly? service: of bt_judge_service; node: {"labels": {}, "pool", "role",
 * "platform": {"os","arch"}, "capacity": {"cpus","memory",…}, "taints": [{"key","value","effect"}]}. Both are borrowed; a service that is asked of
 * many nodes is cheapest asked of them one after the other, as the same object. */
void bt_judge_ask(struct bt_judge *judge, const json_t *service, const json_t *node, struct bt_judgement *out);
bool bt_judge_any(const struct bt_judge *judge); /* whether it has anything to say */
void bt_judge_free(struct bt_judge **judge);

/* What rules see of a service: {"namespace","app","name","image","labels": {},"resources": {"reservations","limits"},"placement": {}, "model"}.
 * New reference. */
json_t *bt_judge_service(const char *namespace_, const char *app, const struct bt_service *service);

/* A judge of the policies that are in force, now and, whenever these change, anew: changed gets it, in whatever thread reads the files (now: in
 * this one), and owns it. Never from inside bt_judge_*. NULL: no more. */
void bt_policy_on_change(struct bt_policy *policy, void (*changed)(void *arg, struct bt_judge *judge_steal), void *arg);

/* For policy.c and tests. A file that cannot be made ready refuses everywhere. */
struct bt_policy_file;
struct bt_judge *bt_judge_new(void);
void bt_judge_add(struct bt_judge *judge, const struct bt_policy_file *file); /* a copy of it, where it has a filter or a score */
void bt_judge_break(struct bt_judge *judge, const char *error);               /* the policies are broken: nothing is agreed to */

#endif
