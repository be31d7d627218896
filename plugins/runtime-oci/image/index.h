/* The index of the store as JSON: which image has which names. Pure.
 *   {"version": 1, "images": {"sha256:<config>": {"manifest": "sha256:…", "names": ["docker.io/library/web:1"], "digests":
 *    ["docker.io/library/web@sha256:…"], "platform", "created", "size": bytes, "layers": [chain id, the bottom first], "labels": {},
 *    "added_at": ms}}}
 * Names are canonical inside and familiar ("web:1") for people. */
#ifndef RI_IMAGE_INDEX_H
#define RI_IMAGE_INDEX_H

#include <jansson.h>
#include <stdbool.h>

#include "why.h"

enum { ri_max_index = 64 << 20 };

/* Reads the index of dir (ROOT/images); an empty one where there is none. The caller frees; NULL with why. */
json_t *ri_index_load(int dir, struct ri_why *why);
json_t *ri_index_images(const json_t *index); /* borrowed */
/* The id and (borrowed) entry of an image by id, tag or digest; NULL. *id is borrowed from index or image. */
const json_t *ri_index_find(const json_t *index, const char *image, const char **id);
/* The name belongs to id, and to no other. */
void ri_index_name(json_t *index, const char *id, const char *canonical);
/* "docker.io/library/web:1" -> "web:1". Borrowed from name. */
const char *ri_index_familiar(const char *name);
/* Adds text to an array of strings unless it is there. */
void ri_index_add(json_t *array, const char *text);
/* "registry/name" with ":tag" or "@digest" in its canonical form; the caller frees, NULL where it is malformed. */
char *ri_index_canonical(const char *image, bool *by_digest);

#endif
