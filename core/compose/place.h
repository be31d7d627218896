/* The place of a node in the model, for messages: "services.web.ports[0].target". Built on the stack as a stage walks
 * down. Inside the Compose room only. */
#ifndef BT_COMPOSE_PLACE_H
#define BT_COMPOSE_PLACE_H

#include <stddef.h>

struct bt_place {
  const struct bt_place *up; /* NULL: the whole file */
  const char *key;           /* NULL: item number index of a sequence */
  size_t index;
};

#define BT_PLACE_KEY(parent, name) (&(struct bt_place){(parent), (name), 0})
#define BT_PLACE_ITEM(parent, i) (&(struct bt_place){(parent), NULL, (i)})

/* The caller frees. */
char *bt_place_text(const struct bt_place *place);

#endif
