/* The one way into control for changes of an app: apply, scale, rollback, remove. What a client sent is read (Compose), asked about
 * (policies) and sealed (secrets) in a worker, so that the loop goes on; then it becomes a control request, and its
 * result the answer. */
#ifndef BT_API_ADMIT_H
#define BT_API_ADMIT_H

#include "api/internal.h"

/* The exchange's body is an apply document (api.h). app NULL: the file names itself. */
void bt_admit_apply(struct bt_api *api, struct bt_exchange *x, const char *namespace_, const char *app);
/* The same for an app that follows a repository. origin (stolen): {repository, commit, ref, author, …}, see control/objects.md; files of
 * the document stand under BT_FOLLOW_ROOT. trees (stolen): {path: {"id", "kind", "at", "notes"}}, as follow_model.h has it; NULL: none. */
void bt_admit_sync(struct bt_api *api, struct bt_exchange *x, const char *namespace_, const char *app, json_t *origin,
                   json_t *trees);
/* The exchange's body is an apply document, or empty: what would happen with more nodes. args (stolen): nodes, like. */
void bt_admit_simulate(struct bt_api *api, struct bt_exchange *x, const char *namespace_, json_t *args);
/* The exchange's body is an apply document: answers {"name","model","diagnostics"} and changes nothing. */
void bt_admit_config(struct bt_api *api, struct bt_exchange *x);
/* A change that needs no document. op: of control; args (stolen) are its. The policies see the model of revision "revision" with the
 * replicas of args.services, and the images of args.images, under the operation "scale", "update", "rollback" or "remove". */
void bt_admit_change(struct bt_api *api, struct bt_exchange *x, const char *op, json_t *args, const char *operation,
                     long long revision, bool dry_run);

#endif
