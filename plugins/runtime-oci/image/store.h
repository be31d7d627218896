/* Reading the image store below ROOT/images, for the plug-in itself: no process, no lock, nothing is written but the time of use. Whoever
 * writes (berth-image) replaces the index whole, so that a reader sees it before or after.
 *
 *   ROOT/images/index.json               {"version": 1, "images": {"sha256:<config>": {…}}}, see change.h
 *   ROOT/images/blobs/sha256/HEX         manifests and configurations
 *   ROOT/images/layers/sha256/CHAIN/diff a layer, unpacked, as overlayfs wants it; shared by all images that have it on the same ones
 *   ROOT/images/l/XXXXXXXX…              links to the layers' folders, 26 characters: mount options have room for few long paths
 *   ROOT/images/partial/ locks/ tmp/     of berth-image alone
 *
 * All of it is any thread's. */
#ifndef RI_IMAGE_STORE_H
#define RI_IMAGE_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "why.h"

/* An image by id ("sha256:…"), tag or digest ("repo@sha256:…"); platform: NULL for any.
 *   {"id": "sha256:…" (of the configuration), "digests": ["repo@sha256:…"], "tags": ["repo:tag"], "size": bytes unpacked, "platform",
 *    "created" (null where the image does not say), "used_at": ms, "config": {the OCI image configuration's "config" member}, "layers": [absolute folder, the topmost first]}
 * The folders are links ROOT/images/l/X: as lowerdir of a mount use them relative to ROOT/images/l. The caller frees; NULL with why:
 * NOT_FOUND, or IO where the store is broken. */
json_t *ri_store_inspect(const char *root, const char *image, const char *platform, struct ri_why *why);

/* [{"id", "tags", "digests", "size", "platform", "created", "used_at", "added_at": ms, "labels": {}}], the newest first; label: "key" or "key=value" of
 * the image's own labels, NULL for all. An empty list where there is no store yet. The caller frees. */
json_t *ri_store_list(const char *root, const char *label, struct ri_why *why);

/* What automatic collection would find, seen without a lock: bytes of the layers (each once) where count; whether an image may go that
 * neither keep (ids) nor pins (names) mean and that was not used at or after before_ms. Images of keep are in use now: their time of use becomes now.
 * False with why where the store is broken; one that is not there yet has nothing. */
struct ri_glance {
  int64_t bytes;
  bool may;
};
bool ri_store_glance(const char *root, const json_t *keep, const json_t *pins, int64_t before_ms, bool count, struct ri_glance *out, struct ri_why *why);

/* A container uses it now: what prune by age goes by. What is not there is fine. */
void ri_store_touch(const char *root, const char *id);

#endif
