/* The files of a commit that an app needs: first the Compose files, then what those include, extend and read, as far as the loader
 * asks for it. Whoever has the commit brings files round by round, until nothing is wanted any more. */
#ifndef BT_API_FOLLOW_FILES_H
#define BT_API_FOLLOW_FILES_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

/* Where the repository's root stands in paths of the loader. */
#define BT_FOLLOW_ROOT "/repository"

struct bt_follow_files;

/* spec: model/source.h; borrowed. */
struct bt_follow_files *bt_follow_files_new(const char *app, const json_t *spec);
void bt_follow_files_free(struct bt_follow_files **files);
bool bt_follow_files_wanted(const struct bt_follow_files *files);
/* The paths that are wanted, as JSON text (the caller frees); from now on they are known to be asked for. */
char *bt_follow_files_ask(struct bt_follow_files *files);
/* What came of it: {path: text or {"base64"}}. */
void bt_follow_files_add(struct bt_follow_files *files, const json_t *found);
/* Reads what is there, in a worker: then either more is wanted, or there is an error, or the document is ready. */
void bt_follow_files_read(struct bt_follow_files *files);
/* What of the repository the app needs beside, as bt_follow_needs has it; borrowed, NULL where nothing. Once the document is ready. */
const json_t *bt_follow_files_needs(const struct bt_follow_files *files);
const struct bt_err *bt_follow_files_error(const struct bt_follow_files *files); /* NULL: none */
void bt_follow_files_document(struct bt_follow_files *files, struct bt_buf *out); /* moves its text there */

#endif
