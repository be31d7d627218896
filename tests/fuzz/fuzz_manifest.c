/* What a plug-in in another process says of itself: the manifest of its hello, as JSON; and the ranges of versions in manifests. What is
 * taken is written as the same again, and must survive what the server does with it next. */
#include "config.h"

#include "base/json.h"
#include "base/mem.h"
#include "plugin/fields.h"
#include "plugin/manifest.h"
#include "plugin/remote.h"
#include "tests/fuzz/parts.h"

static void manifest(char *text, size_t len) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON json = bt_json_parse(text, len, 0, BT_WIRE_MAX_DEPTH, "a manifest", NULL);
  if (!json)
    return;
  struct bt_manifest *m = bt_manifest_read(json, "fuzz", &err);
  BT_ASSERT(m || *bt_err_message(err));
  if (!m)
    return;
  bt_remote_tables(m);
  BT_AUTO_JSON written = bt_manifest_json(&m->m);
  struct bt_manifest *again = bt_manifest_read(written, "fuzz", &err);
  BT_ASSERT(again);
  BT_AUTO_JSON same = bt_manifest_json(&again->m);
  BT_ASSERT(bt_json_equal(written, same));
  BT_AUTO_JSON schema = bt_plugin_fields_schema(m->m.config, m->m.id);
  BT_AUTO_DIAGS diags = {0};
  BT_AUTO_JSON config = NULL;
  BT_AUTO_JSON none = json_object();
  int rc = bt_plugin_config_check(m->m.config, none, NULL, &diags, &config);
  BT_ASSERT(json_is_object(schema) && (rc == 0) == (diags.errors == 0));
  bt_manifest_free(&again);
  bt_manifest_free(&m);
}

/* Two lines: a version and a range. */
static void versions(char *text, size_t len) {
  (void)len;
  char *range = strchr(text, '\n');
  if (range)
    *range++ = '\0';
  bool fine = bt_version_range_ok(range ? range : text);
  BT_ASSERT(bt_version_in(text, NULL));
  if (range && strlen(range) <= 128 && bt_version_in(text, range)) /* a longer one stands in no manifest */
    BT_ASSERT(fine);
}

static const struct fuzz_part parts[] = {{'m', "manifest", manifest}, {'v', "versions", versions}};
FUZZ_PARTS(parts)
