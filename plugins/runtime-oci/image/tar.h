/* Lays the entries of a tar into a folder as one layer of an overlay: whiteouts become overlayfs' own, what could lead out or wear the
 * machine down is refused. Made to run where the folder is the root of the file system (see confine.h), and relies on that for nothing
 * but a second wall. Knows nothing of images. */
#ifndef RI_IMAGE_TAR_H
#define RI_IMAGE_TAR_H

#include <archive.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "why.h"

enum ri_devices { RI_DEVICES_SKIP, RI_DEVICES_REFUSE, RI_DEVICES_KEEP };

struct ri_tar_limits {
  int64_t max_bytes;   /* of all files together, holes counted */
  int64_t max_entries;
  int64_t max_ratio;   /* unpacked to packed bytes, asked from 1 GiB on */
  int max_depth;       /* folders in each other */
  enum ri_devices devices;
  bool bottom; /* no layer lies below: whiteouts mean nothing */
  bool plain;  /* an archive of files, no layer: names that begin with ".wh." are names */
};

struct ri_tar_done {
  int64_t size, entries, devices; /* bytes of files; devices left out */
  json_t *implied; /* {path: true}: folders that no entry speaks of */
  json_t *opaque;  /* {path: true}: folders whose lower ones are hidden */
};

/* All of tar into the folder root. What is in *out is the caller's also after a failure. */
int ri_tar_unpack(int root, struct archive *tar, const struct ri_tar_limits *limits, struct ri_tar_done *out, struct ri_why *why);

/* A path of an archive without "./", "//" and a leading "/"; "" for the root. The caller frees; NULL with why where it has "..", is too
 * long or too deep. Pure. */
char *ri_tar_path(const char *path, int max_depth, struct ri_why *why);
/* Which kind of whiteout a name is; *hides is what it hides, borrowed from name. Pure. */
enum ri_whiteout { RI_NO_WHITEOUT, RI_WHITEOUT, RI_OPAQUE, RI_AUFS /* of aufs' own: left out */ };
enum ri_whiteout ri_tar_whiteout(const char *name, const char **hides);

#endif
