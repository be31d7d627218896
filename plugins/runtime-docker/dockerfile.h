/* A look at a Dockerfile, before it is sent: which builder does it need? Knows nothing of contexts and engines. */
#ifndef RD_DOCKERFILE_H
#define RD_DOCKERFILE_H

#include <stdbool.h>

/* The instruction's option that only BuildKit knows ("RUN --mount"), or NULL. A slip in the Dockerfile is the builder's to tell. */
const char *rd_dockerfile_buildkit(const char *text);

#endif
