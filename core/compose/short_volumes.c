/* "[source:]target[:options]" */
#include "config.h"

#include "base/file.h"
#include "base/mem.h"
#include "compose/short.h"
#include "compose/values.h"

static bool is_path(const char *source) { return source[0] == '.' || source[0] == '/' || source[0] == '~'; }

static struct bt_yaml *sub_map(struct bt_yaml *mount, const char *key) {
  if (!bt_yaml_get(mount, key))
    bt_yaml_set(mount, key, mount->loc, bt_yaml_new(BT_YAML_MAP, mount->loc));
  return bt_yaml_get(mount, key);
}

static bool is_one_of(const char *word, const char *list) {
  size_t n = strlen(word);
  for (const char *p = list; *p; p += strcspn(p, " "), p += *p == ' ')
    if (strcspn(p, " ") == n && strncmp(p, word, n) == 0)
      return true;
  return false;
}

static void option(struct bt_load *load, struct bt_yaml *mount, const char *word, const struct bt_place *place) {
  struct bt_loc loc = mount->loc;
  if (bt_streq(word, "ro") || bt_streq(word, "rw")) {
    bt_yaml_set(mount, "read_only", loc, bt_yaml_bool(bt_streq(word, "ro"), loc));
  } else if (bt_streq(word, "nocopy")) {
    bt_yaml_set(sub_map(mount, "volume"), "nocopy", loc, bt_yaml_bool(true, loc));
  } else if (is_one_of(word, "rprivate private rshared shared rslave slave")) {
    bt_yaml_set(sub_map(mount, "bind"), "propagation", loc, bt_yaml_str(word, loc));
  } else if (is_one_of(word, "z Z")) {
    bt_yaml_set(sub_map(mount, "bind"), "selinux", loc, bt_yaml_str(word, loc));
  } else {
    BT_AUTO_FREE char *where = bt_place_text(place);
    if (is_one_of(word, "cached delegated consistent"))
      bt_diag_warn(load->diags, loc, "%s: \"%s\" means nothing on Linux and is left out", where, word);
    else
      bt_diag_error(load->diags, loc, "%s: \"%.40s\" is no option of a volume; there are ro, rw, nocopy, z, Z and the "
                    "propagations (rshared, …)", where, word);
  }
}

static void options(struct bt_load *load, struct bt_yaml *mount, const char *text, const struct bt_place *place) {
  for (const char *p = text;; p++) {
    size_t n = strcspn(p, ",");
    BT_AUTO_FREE char *word = bt_strndup(p, n);
    option(load, mount, word, place);
    p += n;
    if (!*p)
      return;
  }
}

/* Type and its mapping: a path is bound, anything else is a volume. */
static void set_type(struct bt_yaml *mount, const char *source, bool bare) {
  bool bind = source && is_path(source);
  bt_yaml_set(mount, "type", mount->loc, bt_yaml_str(bind ? "bind" : "volume", mount->loc));
  if (!bare)
    sub_map(mount, bind ? "bind" : "volume");
}

static struct bt_yaml *expand(struct bt_load *load, const char *text, struct bt_loc loc, const struct bt_place *place) {
  BT_AUTO_FREE char *copy = bt_strdup(text);
  char *parts[3] = {copy, NULL, NULL};
  size_t n = 1;
  BT_AUTO_FREE char *where = bt_place_text(place);
  for (char *p = copy; (p = strchr(p, ':'));) {
    *p++ = '\0';
    if (n == 3) {
      bt_diag_error(load->diags, loc, "%s \"%.80s\": too many colons; write \"source:target:options\"", where, text);
      return NULL;
    }
    parts[n++] = p;
  }
  for (size_t i = 0; i < n; i++)
    if (!*parts[i] || parts[i][0] == '\\') {
      bt_diag_error(load->diags, loc, !*parts[i] ? "%s \"%.80s\": a part is empty; write \"source:target:options\""
                                                 : "%s \"%.80s\": a Windows path has no meaning here", where, text);
      return NULL;
    }
  struct bt_yaml *mount = bt_yaml_new(BT_YAML_MAP, loc);
  const char *source = n > 1 ? parts[0] : NULL;
  BT_AUTO_FREE char *target = bt_path_clean(n > 1 ? parts[1] : parts[0]);
  if (source)
    bt_yaml_set(mount, "source", loc, bt_yaml_str(source, loc));
  bt_yaml_set(mount, "target", loc, bt_yaml_str(target, loc));
  if (n == 3)
    options(load, mount, parts[2], place);
  set_type(mount, source, strlen(text) < 3);
  return mount;
}

void bt_short_volumes(struct bt_load *load, struct bt_yaml *list, const struct bt_place *place) {
  for (size_t i = 0; list->kind == BT_YAML_SEQ && i < list->seq.len; i++) {
    struct bt_yaml *item = list->seq.items[i];
    const struct bt_place *here = BT_PLACE_ITEM(place, i);
    if (bt_is_scalar(item) && item->text) {
      struct bt_yaml *mount = expand(load, item->text, item->loc, here);
      if (mount)
        bt_node_become(item, mount);
    }
  }
}
