/* What the log bears of one plug-in: so many lines a second of its own, and so many warnings about what it did or sent; then the count
 * of those that were left out. Who breaks the rules on purpose does not fill the log, and does not write in it unseen either. The
 * server and the helper process have it alike. Any thread. */
#ifndef BT_PLUGIN_COMPLAIN_H
#define BT_PLUGIN_COMPLAIN_H

#include <berth/host.h>
#include <stdbool.h>

struct bt_host_cell;

/* A warning that a plug-in caused. */
void bt_complain(const struct berth_host *host, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* May a line of the plug-in's own stand in the log? Counted. */
bool bt_may_say(const struct berth_host *host);
/* Says now what was left out so far; for the loop's thread. */
void bt_complain_count(struct bt_host_cell *cell);

#endif
