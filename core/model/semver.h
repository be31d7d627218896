/* Semantic versions as tags of images have them, and ranges of them. Pure. A tag may have a "v" in front, and one or two numbers only
 * ("1.2" is 1.2.0). Order and pre-releases are those of semver.org 2.0.0. */
#ifndef BT_MODEL_SEMVER_H
#define BT_MODEL_SEMVER_H

#include <stdbool.h>

#include "base/err.h"

/* A range: comparisons that must all hold, separated by spaces, and "||" between alternatives. A comparison is >=, >, <=, <, = and a
 * version; ^1.2 (up to the next number that is not 0), ~1.2 (up to the next minor, or major where that is all there is), 1.x, 1.2.*, "*". A
 * pre-release fits only where the range names one of the same numbers. -1 with BT_INVALID where the text is no range. */
int bt_semver_check(const char *range, struct bt_err **err) BT_CHECK;
bool bt_semver_in(const char *range, const char *version); /* false where either is malformed */
/* <0, 0, >0. What is no version comes before all that are. */
int bt_semver_compare(const char *a, const char *b);
bool bt_semver_is(const char *version);

#endif
