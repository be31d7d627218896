/* Looks at the repository that an app follows, reads the Compose files of a commit with all that they name, and sends them through the
 * admission like everybody's. Does what control's calls "source.sync" and "source.status" ask; control says when. */
#ifndef BT_API_FOLLOW_H
#define BT_API_FOLLOW_H

#include "api/internal.h"

typedef void bt_follow_done(void *arg, enum bt_code code, const char *message, const json_t *result);

/* args and result: see struct bt_call in control/control.h. done exactly once, not from inside. */
void bt_follow_sync(struct bt_api *api, const json_t *args, bt_follow_done *done, void *arg);
void bt_follow_status(struct bt_api *api, const json_t *args, bt_follow_done *done, void *arg);

#endif
