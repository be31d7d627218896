/* .dockerignore: patterns in order, the last that matches decides, "!" takes back. Pure. */
#ifndef RD_IGNORE_H
#define RD_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

struct rd_ignore;

struct rd_ignore *rd_ignore_parse(const char *text, size_t len); /* the caller caps len */
/* Adds a pattern behind the others, as if it stood in the file. */
void rd_ignore_add(struct rd_ignore *ig, const char *pattern);
/* Is path ("a/b", relative to the context, no leading slash) left out? */
bool rd_ignore_match(const struct rd_ignore *ig, const char *path);
/* path is a folder that is left out: may something beneath it be taken back, so that one must look? */
bool rd_ignore_descend(const struct rd_ignore *ig, const char *path);
void rd_ignore_free(struct rd_ignore **ig);

#endif
