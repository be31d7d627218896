/* What the modules of loop/ share and nobody else sees. */
#ifndef BT_LOOP_INTERNAL_H
#define BT_LOOP_INTERNAL_H

#include "loop/loop.h"

/* Takes back posts of fn(arg) that have not run yet, so that an object can be freed with one on its way. */
void bt_loop_unpost(struct bt_loop *loop, void (*fn)(void *arg), const void *arg);

#endif
