/* Files of this plug-in: whole files read with a cap and replaced by rename, folders made and taken away. All of it blocks: for
 * workers. Errors are sentences that name the path; the caller frees them. Knows nothing of containers. */
#ifndef RO_FILES_H
#define RO_FILES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The value in a regular file of at most most bytes; NULL with *why (which may be NULL), errno kept. New reference. */
json_t *ro_file_json(const char *path, size_t most, char **why);
/* Replaces path as a whole. sync: it outlives a power cut, as does the folder's entry. */
bool ro_file_write(const char *path, const void *data, size_t len, mode_t mode, bool sync, char **why);
bool ro_file_write_json(const char *path, const json_t *v, mode_t mode, bool sync, char **why);
/* Makes the folder and what is above it, with mode for the last and 0755 for those above. What is there is fine. */
bool ro_dir_make(const char *path, mode_t mode, char **why);
/* Removes path with all below it, never leaving its file system, never following a link. What is not there is fine. */
bool ro_tree_remove(const char *path, char **why);
/* Calls found for each entry but "." and ".."; false where the folder cannot be read (what is not there has no entries). */
bool ro_dir_each(const char *path, void (*found)(void *arg, const char *name), void *arg);

/* Takes root (a folder) for this process alone; make: the lock's file may be made. The descriptor that holds it, close-on-exec; -1: *why says what is
 * wrong and errno why, EWOULDBLOCK where another server has it. Waits up to 0.3 s for one that is ending. */
int ro_root_take(const char *root, bool make, char **why);

#endif
