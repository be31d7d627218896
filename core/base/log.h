/* The log: one line per entry on stderr, as text or JSON, with key=value fields. Never give it a secret. Any thread. */
#ifndef BT_BASE_LOG_H
#define BT_BASE_LOG_H

#include <stdbool.h>

enum bt_log_level { BT_LOG_DEBUG, BT_LOG_INFO, BT_LOG_WARN, BT_LOG_ERROR };

void bt_log_setup(enum bt_log_level min, bool json);
/* room: the part of the program that speaks, e.g. "node" or "plugin/runtime-docker". Newlines in the text are escaped. */
void bt_log(enum bt_log_level level, const char *room, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define bt_debug(room, ...) bt_log(BT_LOG_DEBUG, room, __VA_ARGS__)
#define bt_info(room, ...) bt_log(BT_LOG_INFO, room, __VA_ARGS__)
#define bt_warn(room, ...) bt_log(BT_LOG_WARN, room, __VA_ARGS__)
#define bt_error(room, ...) bt_log(BT_LOG_ERROR, room, __VA_ARGS__)

#endif
