/* Volumes of the driver "local": a folder ROOT/volumes/NAME with volume.json and _data, and, with driver_opts type, o and device, a mount
 * over _data while a container runs that uses it. Methods are in volumes.c, mounting in mount.c. */
#ifndef RO_VOLUMES_H
#define RO_VOLUMES_H

#include <berth/plugin.h>
#include <jansson.h>
#include <stdbool.h>

/* A name that is safe as a folder: [A-Za-z0-9][A-Za-z0-9_.-]*, at most 255 bytes. */
bool ro_volume_name(const char *name);
/* ---- blocking ---- */
/* Makes the volume's folder and record where there is none. False with *why. */
bool ro_volume_make(const char *root, const char *name, const json_t *record, char **why);
/* Mounts what driver_opts ask for over _data; without options, or where it is mounted, nothing. False with *why. */
bool ro_volume_mount(const char *root, const char *name, const json_t *driver_opts, char **why);
/* Takes mounts over _data away. */
void ro_volume_unmount(const char *root, const char *name);
/* Volume's data and record are gone: the record first. */
bool ro_volume_delete(const char *root, const char *name, char **why);

#endif
