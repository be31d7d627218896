/* Asking a plug-in what it is and whether a configuration is right without starting it, and without mapping into this process what is
 * not trusted: a helper is started, asked, and ended. These wait, 10 s at most: for --check and for commands, not for the loop. */
#ifndef BT_PLUGIN_PEEK_H
#define BT_PLUGIN_PEEK_H

#include <jansson.h>

#include "plugin/loader.h"
#include "plugin/spawn.h"

struct bt_peek;

/* Starts it and reads its hello. NULL with a sentence. path NULL: the isolation's command. */
struct bt_peek *bt_peek_open(const struct bt_isolation *isolation, const char *name, const char *path, struct bt_err **err) BT_CHECK;
const struct bt_plugin_lib *bt_peek_lib(const struct bt_peek *peek);
/* Has it check a configuration: 0, or -1 with its sentence. */
int bt_peek_validate(struct bt_peek *peek, const json_t *config, struct bt_err **err) BT_CHECK;
void bt_peek_close(struct bt_peek **peek);

#endif
