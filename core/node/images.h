/* What an image reference means now, and images built: the calls "image.resolve" and "image.build" of control/control.h, through
 * the runtime and registry plug-ins. Local images win where the pull policy lets them (Compose's "missing"); what is pinned stays
 * when a registry is away. */
#ifndef BT_NODE_IMAGES_H
#define BT_NODE_IMAGES_H

#include <jansson.h>

#include "base/err.h"
#include "node/agent.h"

struct bt_plugin;

/* The registry plug-in that speaks for an image, NULL where none does. */
struct bt_plugin *bt_registry_for(struct bt_plugins *plugins, const char *canonical);

/* done exactly once, never from inside. result as control.h has it, borrowed. */
void bt_image_resolve(struct bt_agent *agent, const json_t *args,
                      void (*done)(void *arg, enum bt_code code, const char *message, const json_t *result), void *arg);
/* progress lines go to agent's send as {"type":"progress"} with args' "namespace", "app" and "service". */
/* {image} -> {"tags": […]} of its registry; done may come from inside. */
void bt_image_tags(struct bt_agent *agent, const json_t *args,
                   void (*done)(void *arg, enum bt_code code, const char *message, const json_t *result), void *arg);
void bt_image_build(struct bt_agent *agent, const json_t *args,
                    void (*done)(void *arg, enum bt_code code, const char *message, const json_t *result), void *arg);

#endif
