/* Changing the image store: crash-only. What is under way lies in a folder of its own below tmp/ with a lock that dies with its process,
 * and comes to its place by rename; so whoever opens the store for writing can clear away what nobody works on any more. Layers have a
 * lock each, so that one is made once and none is removed while somebody builds upon it; the index has one for the moment of its change.
 * Layers reach the disk by one syncfs after the answer: until then they carry a mark of this boot, and one of another boot's is not
 * trusted. */
#ifndef RI_IMAGE_CHANGE_H
#define RI_IMAGE_CHANGE_H

#include <jansson.h>
#include <stdbool.h>

#include "manifest.h"
#include "why.h"

struct ri_change {
  char *root;                                   /* ROOT */
  int dir, blobs, layers, links, locks, partial; /* ROOT/images and what is in it */
  int tmp;                                      /* a folder of this process, which holds its lock */
  char *tmp_name;
  json_t *marked; /* within ri_change_sync */
  bool unsynced; /* layers were laid that are not yet on the disk for certain */
};

/* Opens ROOT/images for writing, made where it is absent, and clears away what crashed. */
int ri_change_open(struct ri_change *c, const char *root, struct ri_why *why);
void ri_change_close(struct ri_change *c);
/* What was laid is on the disk when it returns. */
void ri_change_sync(struct ri_change *c);

/* The lock of a layer, which its maker holds alone, and who relies on it with others. -1 with why. */
int ri_change_lock(struct ri_change *c, const char *kind, const char *hex, bool alone, struct ri_why *why);
bool ri_change_has_layer(struct ri_change *c, const char *chain);
/* tmp/NAME (a folder with "diff") becomes the layer chain; the caller holds its lock alone. */
int ri_change_layer(struct ri_change *c, const char *name, const char *chain, int64_t size, struct ri_why *why);
/* Bytes of a layer's files, as they were counted when it was laid; 0 where unknown. */
int64_t ri_change_layer_size(struct ri_change *c, const char *chain);

/* A manifest or a configuration as it came. */
struct ri_document {
  char digest[72];
  char *data;
  size_t len;
};

struct ri_image {
  const struct ri_document *manifest, *configuration;
  const struct ri_config *config; /* the configuration, read */
  const json_t *names, *digests; /* arrays of canonical strings */
};
/* Its documents into the store, and it into the index; its layers are there, and the caller holds their locks. */
int ri_change_image(struct ri_change *c, const struct ri_image *image, struct ri_why *why);

/* Writes the index; the caller holds the store's lock. */
int ri_change_index(struct ri_change *c, const json_t *index, struct ri_why *why);

/* ---- gc.c ---- */
/* Takes a name away, and the image with its last one; an id takes all of it. users: {id: [names of the containers that use it]}: CONFLICT unless only a name goes.
 * {"removed": [names and ids], "freed": bytes}; NULL with why. */
json_t *ri_change_remove(struct ri_change *c, const char *image, const json_t *users, struct ri_why *why);
/* Removes images that are not in keep: all, or only those not used since unused_since_ms, or the longest unused ones until what is left
 * has at most max_bytes (< 0: no matter); label as of ri_store_list. Then what no image needs: layers, blobs, old partial downloads. */
struct ri_prune {
  const json_t *keep;
  const char *label;
  int64_t unused_since_ms, max_bytes;
};
json_t *ri_change_prune(struct ri_change *c, const struct ri_prune *how, struct ri_why *why);
/* Automatic collection: images are removed, the least recently used first, until excess bytes are free and the store's layers have at most max_bytes
 * (0: any number), or none may go: those that keep (ids) and pins (names, digests, ids) mean, or that were used at or after before_ms, stay.
 * Layers, blobs and broken off downloads that no image needs go where they are older than loose_ms; layers and blobs at once where room is short.
 * {"removed": [names and ids], "images": how many, "freed": bytes, "short": bytes that are still too many}; NULL with why. */
struct ri_collect {
  const json_t *keep, *pins;
  int64_t excess, max_bytes, before_ms, loose_ms;
};
json_t *ri_change_collect(struct ri_change *c, const struct ri_collect *how, struct ri_why *why);
/* Only what no image needs. Adds to *freed. */
int ri_change_sweep(struct ri_change *c, int64_t *freed, struct ri_why *why);

#endif
