/* What registries and archives say of an image: index (or manifest list), manifest, configuration. Reads OCI image-spec 1.1 and
 * Docker's schema 2; schema 1 is refused in words. Pure: from bytes to structs, every size capped. */
#ifndef RI_IMAGE_MANIFEST_H
#define RI_IMAGE_MANIFEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "why.h"

enum {
  ri_max_manifest = 4 << 20, /* bytes of an index, a manifest or a configuration */
  ri_max_layers = 127,       /* as many as a container's file system can be made of */
  ri_max_entries = 1024      /* of an index */
};

enum ri_packed { RI_PLAIN_TAR, RI_GZIP, RI_ZSTD };

/* One blob: what it is called by, how large it says it is. */
struct ri_descriptor {
  char digest[72]; /* "sha256:…" and 64 hexadecimal digits */
  int64_t size;
  enum ri_packed packed; /* of a layer */
};

struct ri_manifest {
  struct ri_descriptor config;
  struct ri_descriptor layers[ri_max_layers]; /* the bottom first */
  size_t nlayers;
};

/* What is of interest in a configuration; json is all of it. */
struct ri_config {
  json_t *json;
  char *platform; /* "linux/amd64", "linux/arm64/v8" */
  char *created;  /* RFC 3339; "" where absent */
  char diff_ids[ri_max_layers][72];
  char chain[ri_max_layers][65]; /* chain ids, 64 hexadecimal digits */
  size_t n;
};

/* "sha256:" and 64 hexadecimal digits, nothing else. */
bool ri_digest_good(const char *digest);
/* "sha256:…" of data into out[72]. */
void ri_digest_of(const void *data, size_t len, char *out);
void ri_digest_hex(const unsigned char *sum, char *out); /* 32 bytes -> 64 digits and NUL */

/* media_type: as the registry said, "" where it didn't. True where the document lists manifests. */
bool ri_is_index(const char *media_type, const char *data, size_t len);
/* The entry for "os/arch[/variant]"; what is not for a machine ("unknown") and what is no image is passed over. NOT_FOUND names what there is. */
int ri_index_pick(const char *data, size_t len, const char *platform, struct ri_descriptor *out, struct ri_why *why);
int ri_manifest_read(const char *data, size_t len, struct ri_manifest *out, struct ri_why *why);
int ri_config_read(const char *data, size_t len, struct ri_config *out, struct ri_why *why);
void ri_config_free(struct ri_config *config);

/* "linux/amd64": this machine's. */
const char *ri_platform_here(void);
/* "linux/arm64" asked for holds for "linux/arm64/v8"; NULL or "" for all. */
bool ri_platform_fits(const char *asked, const char *have);

#endif
