/* How containers' root file systems are made on this machine: the kernel's overlayfs, fuse-overlayfs, or a copy of the image. Found by trying,
 * since no list of file systems says what one may be the upper layer of; kept for each container from its first start on. Blocks: for workers. Knows
 * nothing of operations. */
#ifndef RO_STORAGE_H
#define RO_STORAGE_H

#include <jansson.h>
#include <stdbool.h>

enum ro_storage_kind { RO_STORAGE_NONE, RO_STORAGE_OVERLAY, RO_STORAGE_FUSE, RO_STORAGE_COPY };

struct ro_storage {
  enum ro_storage_kind kind; /* NONE: what the configuration wants does not work here */
  bool shares;               /* copies share their blocks with the image */
  char *program;             /* path of fuse-overlayfs; NULL: it is not installed */
  char *why;                 /* why it is not overlayfs, or what was wanted; NULL: it is what was wanted */
  char *unlimited;           /* why no limit can be set for what a container writes; NULL: it can (quota.h) */
};

/* "auto", "overlay", "fuse-overlayfs", "copy": what the setting may be. */
bool ro_storage_known(const char *wanted);
const char *ro_storage_word(enum ro_storage_kind kind);
/* Tries below the folder root, in a mount namespace of its own; leaves nothing. One caller at a time. */
void ro_storage_probe(const char *root, const char *wanted, struct ro_storage *out);
struct ro_storage ro_storage_copy(const struct ro_storage *s);
void ro_storage_free(struct ro_storage *s);

/* "rootfs" of monitor.json for the container whose folder is dir: made as it was made first (its folder there is named "upper", "fuse" or "copy"), else as
 * s says. Makes the folders that it needs. NULL with a sentence (the caller frees). */
json_t *ro_storage_rootfs(const struct ro_storage *s, const char *dir, json_t *layers, const char *target, char **why);
/* Before the container's folder is removed: what the file system knows of it by number is forgotten. */
void ro_storage_forget(const char *dir);

#endif
