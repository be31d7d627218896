/* Paths of a container, from outside, with its own links meant as the container means them: nothing that stands in an image or is moved
 * about by its processes leads out of its root (openat2, RESOLVE_IN_ROOT). Needs Linux 5.6. */
#ifndef RO_RESOLVE_H
#define RO_RESOLVE_H

#include <sys/types.h>

/* openat2 below root; -1 with errno. */
int ro_open_inside(int root, const char *path, int flags, mode_t mode);
/* The folder at path (O_PATH); what is not there is made where make is set. -1 with errno. */
int ro_folder_inside(int root, const char *path, int make);
/* Cuts path into the folder of its last part and that part ("/" and "" give "." as the part). The caller frees both. */
void ro_path_split(const char *path, char **folder, char **name);

#endif
