/* An apply document (api.h): checked, and given to the Compose loader as its files and environment. Pure: runs in a worker. */
#ifndef BT_API_DOCUMENT_H
#define BT_API_DOCUMENT_H

#include <jansson.h>

#include "base/err.h"
#include "compose/compose.h"

/* Parses and checks a document: known members of the right types. New reference, or NULL. */
json_t *bt_document_parse(const char *text, size_t len, struct bt_err **err);
/* Loads the document's Compose files. project NULL: they name themselves. 0, or -1 with the errors in result->diags, or (where the
 * document does not make sense) in *err with no diags. */
int bt_document_load(const json_t *document, const char *project, struct bt_compose_result *result, struct bt_err **err) BT_CHECK;

#endif
