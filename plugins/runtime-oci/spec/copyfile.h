/* Single files made anew with what hangs on them: bytes (shared with the original where the file system can), owner, rights, times, extended
 * attributes. No link is followed. Knows nothing of trees. */
#ifndef RO_COPYFILE_H
#define RO_COPYFILE_H

#include <sys/stat.h>

/* The bytes, owner and attributes of the regular file from as name (which must not be there) in the folder dir. 0, or -1 with errno. */
int ro_copyfile_bytes(int from, int dir, const char *name, const struct stat *st);
/* The link, node or pipe name of the folder from, in the folder dir; sockets are left out, since they mean nothing without who listens. 0, or -1. */
int ro_copyfile_other(int from, const char *name, int dir, const struct stat *st);
/* Owner, rights, extended attributes (what the target's file system does not take stays behind, as does overlayfs' own) and times. 0, or -1. */
int ro_copyfile_meta(int from, int to, const struct stat *st);

#endif
