/* Time zones of schedules, read from the machine's files for control, which reads none. */
#ifndef BT_API_ZONES_H
#define BT_API_ZONES_H

#include <jansson.h>

#define BT_ZONES_DIR "/usr/share/zoneinfo"

/* {name: file in base64} of an array of names; what is no name, no file or no time zone is left out. Reads files: for workers and for the
 * start of the server. New reference. */
json_t *bt_zones_read(const json_t *names);
/* Names of the zones that the schedules of a canonical Compose model are in. New reference. */
json_t *bt_zones_of_model(const json_t *model);

#endif
