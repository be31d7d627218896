/* A SQLite VFS for tests, put before the system's own and made the default: it injects full disks and failed syncs, counts
 * syncs, and remembers what would be on the disk had the power gone: writes reach a mirror only when they are synced. */
#ifndef BT_TESTS_VFS_SHIM_H
#define BT_TESTS_VFS_SHIM_H

#include <stdbool.h>

void shim_install(void);
/* Writes that would make a file whose name ends so larger fail with SQLITE_FULL; NULL: room again. A literal. */
void shim_set_full(const char *suffix);
/* Syncs of files whose name ends so fail with SQLITE_IOERR_FSYNC; NULL: none. A literal. */
void shim_set_sync_fails(const char *suffix);
long shim_syncs(void);
/* Follows the files dir/name* from now on (before they exist), until shim_unfollow. */
void shim_follow(const char *dir, const char *name);
void shim_unfollow(void);
/* Makes in dest what a power cut right now would leave: all that was synced and, of the rest, each write by chance. */
void shim_power_cut(const char *dest, unsigned seed);

#endif
