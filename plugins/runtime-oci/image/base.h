/* Images of our own store that a build begins with: which ones a Containerfile names, and each as an OCI layout for buildah, which knows nothing of
 * our store. */
#ifndef RI_IMAGE_BASE_H
#define RI_IMAGE_BASE_H

#include <jansson.h>

#include "change.h"

/* What the Containerfile text takes from images: FROM, COPY --from=, RUN --mount=…from=…; variables as args ({name: value}) or its own ARG lines
 * say. {as it is written: what it means}, since buildah looks for the word; no stages, numbers, scratch, nor what stays unknown. Pure; the caller frees. */
json_t *ri_bases_named(const char *text, size_t len, const json_t *args);

/* Image, where the store has it and did not get it from the registry that it is named after (it was imported or built), as an OCI layout in a new folder of work, with its layers as one. The
 * folder's name, which depends on the image's id alone; the caller frees. NULL: with why, or without where there is none such. In a mount namespace of our own. */
char *ri_base_export(struct ri_change *c, const char *image, const char *work, struct ri_why *why);

#endif
