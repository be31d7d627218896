/* The actions of berth-image: each gets its spec (JSON from standard input) and gives a result (new reference), or NULL with why.
 * Every spec has "root" (ROOT), and may have "limits": {"max_layer_size": bytes, "max_layer_entries", "max_layer_ratio", "devices":
 * "skip"|"refuse"|"keep"}. */
#ifndef RI_IMAGE_ACTION_H
#define RI_IMAGE_ACTION_H

#include "change.h"
#include "layers.h"

/* {"image", "platform", "auth": {"username","password"|"identity_token"}, "registries": {host: {"mirrors": [host], "insecure": bool,
 * "ca_file"}}, "timeout_ms"}: as inspect. */
json_t *ri_action_pull(struct ri_change *c, const json_t *spec, struct ri_why *why);
/* {"path", "name", "platform"}: {"images": [as inspect]}. */
json_t *ri_action_import(struct ri_change *c, const json_t *spec, struct ri_why *why);

/* {"context": folder, "build": the canonical Compose build object, "tags": [name], "auth": {host: {"username","password"}}, "secrets": [{"id","data": base64}],
 * "registries", "isolation": "oci"|"chroot", "runtime"}: as inspect. */
/* Before the store is opened: descriptors belong to the mount namespace that they were opened in. */
int ri_build_apart(struct ri_why *why);
json_t *ri_action_build(struct ri_change *c, const json_t *spec, struct ri_why *why);
/* The only image of an OCI layout, under names (an array; empty or NULL: those that it brings). As inspect. */
json_t *ri_import_folder(struct ri_change *c, const char *path, const json_t *names, const json_t *spec, struct ri_why *why);

/* ---- what both have alike (lay.c) ---- */
void ri_limits_read(const json_t *spec, struct ri_tar_limits *out);
/* Lays an image whose documents are known: its layers from source, then it into the index under names and digests (arrays of canonical
 * strings). As inspect; NULL with why. */
json_t *ri_lay(struct ri_change *c, const struct ri_document *manifest, const struct ri_document *configuration, const struct ri_source *source,
               const struct ri_tar_limits *limits, const json_t *names, const json_t *digests, const char *platform, struct ri_why *why);
/* Takes data as a document; digest NULL: what it has; else it has to have that one. */
int ri_document_take(struct ri_document *d, char *data, size_t len, const char *digest, struct ri_why *why);
void ri_document_free(struct ri_document *d);
#define RI_AUTO_DOCUMENT __attribute__((cleanup(ri_document_free))) struct ri_document

#endif
