/* What a plug-in says of itself: a host's own copy of a manifest, whose arrays have the sizes of this build whatever the plug-in
 * was built with; the check of all of it; and the same as JSON, for the wire and for readers. Knows nothing of files and
 * processes. */
#ifndef BT_PLUGIN_MANIFEST_H
#define BT_PLUGIN_MANIFEST_H

#include <berth/plugin.h>
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/* A copy. m is as this build has it: walk its arrays as arrays. Strings are the copy's own where it was made of JSON, else the
 * plug-in's. */
struct bt_manifest {
  struct berth_manifest m;
  struct berth_field *fields;
  struct berth_depend *depends;
  struct berth_product *products;
  /* Of JSON only: what the strings stand in, and tables that only say which methods there are (bt_method_in). */
  json_t *json;
  struct berth_interface *interfaces;
  const char **needs, **exclusive, **conflicts;
};

/* Bounds for what is read off a manifest. */
enum { BT_MAX_FIELDS = 256, BT_MAX_INTERFACES = 32, BT_MAX_NEEDS = 64, BT_MAX_DEPENDS = 64 };

/* Copies and checks the manifest of a plug-in that is mapped into this process. path is for sentences. The ABI and the least size
 * were checked before. NULL with a sentence. */
struct bt_manifest *bt_manifest_take(const struct berth_manifest *given, const char *path, struct bt_err **err) BT_CHECK;
/* Makes one of what bt_manifest_json wrote in another process, and checks it the same way. An interface's table is a copy of its
 * size with a mark for each method that is there. */
struct bt_manifest *bt_manifest_read(const json_t *json, const char *path, struct bt_err **err) BT_CHECK;
void bt_manifest_free(struct bt_manifest **manifest);

/* {"id","version","abi","summary","license","interfaces":[{"id","methods":[name…]}],"needs":[],"config":[{"name","type",
 *  "default","required","secret","immutable","doc","min","max"}],"depends":[{"id","versions","optional","why"}],"exclusive":[],
 *  "conflicts":[],"products":[{"name","versions","doc"}],"isolation"}; new reference. Methods that this build does not know are
 * left out. */
json_t *bt_manifest_json(const struct berth_manifest *m);

bool bt_plugin_id_ok(const char *id); /* <kind>-<product>, 3 to 64 of a-z 0-9 - */
/* Is the version ("1.2.3", "1.41", "7") in the range (">=1.40 <2")? NULL: any. Numbers are compared one by one, missing ones are
 * 0, what follows - or + is not looked at. */
bool bt_version_in(const char *version, const char *range);
bool bt_version_range_ok(const char *range);

#endif
