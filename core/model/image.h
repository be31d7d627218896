/* Image references as people write them ("web:1", "registry.example:5000/team/web@sha256:…"), after the grammar of
 * distribution/reference: [domain/]path[:tag][@digest]; a first part without "." and ":" that is not "localhost" is no domain but a
 * path on docker.io, where one-part paths get "library/" in front. */
#ifndef BT_MODEL_IMAGE_H
#define BT_MODEL_IMAGE_H

#include <stdbool.h>

#include "base/err.h"

struct bt_image_ref {
  char *domain;     /* "docker.io", "registry.example:5000", "[::1]:5000" */
  char *repository; /* "library/web" */
  char *tag;        /* NULL where none */
  char *digest;     /* "sha256:<64 hex>", NULL where none */
};

/* 0, or -1 with BT_INVALID and what is wrong. Texts over 512 bytes are refused. */
int bt_image_parse(const char *text, struct bt_image_ref *out, struct bt_err **err) BT_CHECK;
void bt_image_ref_free(struct bt_image_ref *ref);
#define BT_AUTO_IMAGE __attribute__((cleanup(bt_image_ref_free))) struct bt_image_ref
/* "docker.io/library/web:1"; tag "latest" where neither tag nor digest is there. The caller frees. */
char *bt_image_canonical(const struct bt_image_ref *ref);
/* "docker.io/library/web@digest". The caller frees. */
char *bt_image_with_digest(const struct bt_image_ref *ref, const char *digest);
/* "sha256:" and 64 lower-case hex digits: an image's id or a digest. */
bool bt_image_is_digest(const char *text);

#endif
