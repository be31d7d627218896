/* Calls as data: the arguments of a method to the members of a message and back, driven by the descriptions (describe.h). Knows no
 * interface and no process. */
#ifndef BT_PLUGIN_MARSHAL_H
#define BT_PLUGIN_MARSHAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "plugin/describe.h"

/* The members of a request as an object: NULL strings and members that the struct does not have are left out, JSON stays text.
 * bytes and len are set to its byte range, borrowed; blobs go into scratch, one after the other, and are [[name, length]…]. */
json_t *bt_marshal_request(const struct bt_method *method, const void *request, struct bt_buf *scratch, const void **bytes,
                           size_t *len);

/* A request made of such an object. */
struct bt_request;
/* Strings are borrowed from args, bytes as they are. NULL with a sentence where a member has another type. */
struct bt_request *bt_marshal_read(const struct bt_method *method, const json_t *args, const void *bytes, size_t len,
                                   struct bt_err **err) BT_CHECK;
const void *bt_request_struct(const struct bt_request *request);
void bt_request_free(struct bt_request **request);

/* Headers and the like as [[name, value]…] and back: at most 256, with texts that are the array's; the caller frees the list. */
struct berth_pair;
json_t *bt_pairs_json(const struct berth_pair *pairs, size_t n);
struct berth_pair *bt_pairs_read(const json_t *array, size_t *n);

#endif
