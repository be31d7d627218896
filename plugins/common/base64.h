/* Base64 with the usual alphabet and padding. Pure. */
#ifndef PU_BASE64_H
#define PU_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* The caller frees, and wipes what is secret. */
char *pu_base64(const void *data, size_t len);
/* *out: NUL-terminated, the caller frees (and wipes). False where text is no base64. */
bool pu_base64_decode(const char *text, char **out, size_t *len);

#endif
