/* What a model of a commit needs of its repository beside the files that the loader reads: contexts of builds, Dockerfiles, what is
 * mounted; and the model with those on this machine in place of the repository's. For workers. */
#ifndef BT_API_FOLLOW_MODEL_H
#define BT_API_FOLLOW_MODEL_H

#include <jansson.h>

#include "base/diag.h"
#include "base/err.h"

/* "/repository/a/b" -> "a/b", the root -> ""; NULL where it is outside. Borrowed. */
const char *bt_follow_inner(const char *path);
/* A sentence whose paths are those of the repository: "/repository/a.yaml:1:2: …" -> "a.yaml:1:2: …"; the caller frees. */
char *bt_follow_words(const char *text);

/* {path: {"for": sentence, "kind": "folder", "file" or "any"}} of a model whose paths are under BT_FOLLOW_ROOT. places: {service: {"file",
 * "line"}}. New reference, or NULL with BT_UNSUPPORTED or BT_INVALID. */
json_t *bt_follow_needs(const json_t *model, const json_t *places, struct bt_err **err);

/* Puts trees {path: {"id", "kind", "at", "notes": [sentence]}} in the place of the repository's paths: contexts and Dockerfiles; images get
 * names that tell what they are built of, "shop-web:git-0f3a…", so that a commit that changes none of it builds nothing; mounts become
 * read-only. origin: {"repository"}, for the images' labels. What a person should know is warned of. */
int bt_follow_place(json_t *model, const char *app, const json_t *places, const json_t *trees, const json_t *origin, struct bt_diags *diags,
                    struct bt_err **err) BT_CHECK;

#endif
