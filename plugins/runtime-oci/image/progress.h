/* What berth-image tells while it works, and its last word: one JSON object a line on standard output. Any thread. */
#ifndef RI_IMAGE_PROGRESS_H
#define RI_IMAGE_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "why.h"

/* {"text", "layer", "current", "total"}; layer "" for none. */
void ri_progress(const char *layer, const char *text, int64_t current, int64_t total);
/* {"result": …} and takes it, or {"error", "code"}. Returns the exit code. */
int ri_result(json_t *result, const struct ri_why *why);

/* For what comes often: true when it is time to tell again. Zero-initialise. */
bool ri_progress_due(int64_t *last_ms);

#endif
