/* A build context as a tar: walks a folder, leaves out what .dockerignore says, writes to a descriptor. For a worker's
 * thread: touches nothing but its own arguments. */
#ifndef RD_CONTEXT_H
#define RD_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

struct rd_context {
  /* in */
  char *folder;
  char *dockerfile;  /* path of the Dockerfile, relative to folder or absolute; NULL: "Dockerfile" */
  char *inlined;     /* text of the Dockerfile instead; NULL: the file */
  const char *buildkit; /* what in the Dockerfile only BuildKit knows ("RUN --mount"); NULL: nothing. Set by rd_context_dockerfile */
  char *outside;     /* name under which a Dockerfile that is not in the folder (or inlined) stands in the tar; NULL: it is inside */
  int64_t max;       /* bytes */
  int fd;            /* a socket; closed at the end */
  /* out */
  char *why;         /* NULL: the whole tar was written; "" where the other side closed first */
  bool too_large;
};

/* Finds out whether the Dockerfile lies outside of the folder, and how it will be called in the tar: the name to ask the engine
 * for. NULL with *why where it cannot be read. The caller frees. Comes before rd_context_write, which wants that name in
 * c->dockerfile. */
char *rd_context_dockerfile(struct rd_context *c, char **why);
void rd_context_write(struct rd_context *c);

#endif
