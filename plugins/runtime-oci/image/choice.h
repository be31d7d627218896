/* What automatic collection decides, apart from doing it: how much must go, and which image goes next. Pure. */
#ifndef RI_IMAGE_CHOICE_H
#define RI_IMAGE_CHOICE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Bytes that must go from a file system of which used are taken and avail can still be had: none while not over high per cent are taken, else
 * as many as bring it down to low per cent. high 100: never any. */
int64_t ri_choice_excess(uint64_t used, uint64_t avail, int high, int low);

/* Of list (as of ri_store_list) the image that was used least recently, of those that are not in keep (an array of ids) and not used at or after
 * before_ms; of two used at once the one with the lesser id. NULL: none may go. Borrowed. */
const json_t *ri_choice_next(const json_t *list, const json_t *keep, int64_t before_ms);

/* The ids of images in index that names (ids, tags, digests: an array) mean, added to keep. */
void ri_choice_pin(const json_t *index, const json_t *names, json_t *keep);

#endif
