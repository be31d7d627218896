/* Lays the layers of one image, several at once: each is fetched from where the image comes from, unpacked while it comes, compared with
 * both of its digests, and put in its place when all below it are. */
#ifndef RI_IMAGE_LAYERS_H
#define RI_IMAGE_LAYERS_H

#include <stdatomic.h>

#include "change.h"
#include "unpack.h"

enum { ri_workers = 4 };

/* One layer on its way. */
struct ri_job {
  const struct ri_descriptor *blob;
  char name[13]; /* for people: the digest's first 12 digits */
  int worker;    /* 0 to ri_workers - 1 */
  int fd;        /* the blob's file */
  struct ri_unpacker *unpacker;
  bool *anew;    /* set by feed: what was there of the blob was bad, so it is to be fetched from its beginning once more */
  const atomic_bool *stop; /* another layer failed: end soon, with any error */
};

/* Where blobs come from. Called from the workers' threads, for different blobs at once, never for one. */
struct ri_source {
  void *arg;
  /* The file that will hold the blob, open for reading (and for writing, where feed writes). -1 with why. */
  int (*open)(void *arg, const struct ri_job *job, struct ri_why *why);
  /* Brings the blob, tells the unpacker, and returns when all of it is there and has its digest. */
  int (*feed)(void *arg, const struct ri_job *job, struct ri_why *why);
  /* The layer is laid (good), or its content is of no use (or there is no room): the file may go. NULL: stays. */
  void (*drop)(void *arg, const struct ri_job *job);
};

/* Locks that keep layers from being removed until the image stands in the index. */
struct ri_held {
  int fds[ri_max_layers];
  size_t n;
};
void ri_held_free(struct ri_held *held);
#define RI_AUTO_HELD __attribute__((cleanup(ri_held_free))) struct ri_held

/* limits: but "bottom". */
int ri_layers_make(struct ri_change *c, const struct ri_manifest *manifest, const struct ri_config *config, const struct ri_source *source,
                   const struct ri_tar_limits *limits, struct ri_held *held, struct ri_why *why);

/* A local file's part in feed: its digest, while the unpacker reads it as well. */
int ri_feed_file(const struct ri_job *job, struct ri_why *why);

#endif
