/* Results of operations as text, and what they say. A plug-in chooses how long its result is: a short one is read where it arrives, a
 * long one by a worker, so that the loop is not held for it; and there is an end to how much any may hold. Knows no operation. */
#ifndef BT_PLUGIN_RESULTS_H
#define BT_PLUGIN_RESULTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct bt_pool;

enum {
  BT_RESULT_MAX = 16 * 1024 * 1024,
  BT_RESULT_MAX_VALUES = 250000, /* some 8,000 containers, or 250,000 tags; about 50 MB as a tree */
  BT_RESULT_AT_ONCE = 64 * 1024  /* longer ones are for bt_result_read_later */
};

/* The object that the text is; {} where it is NULL. NULL with a sentence. Any thread. */
json_t *bt_result_read(const char *text, size_t len, struct bt_err **err) BT_CHECK;
/* The same in a worker; done comes on the loop with the object (borrowed, taken apart in a worker afterwards where nobody kept it), or
 * NULL and why. text is stolen. */
void bt_result_read_later(struct bt_pool *pool, char *text_steal, size_t len,
                          void (*done)(void *arg, unsigned long long number, json_t *result, const struct bt_err *err), void *arg,
                          unsigned long long number);

#endif
