#include "config.h"
#include "policy/diff.h"

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"

enum { most_changes = 1000, most_levels = 64 };

/* A key, or (NULL) an index. The path is only written out where there is a difference. */
struct step {
  const char *key;
  size_t index;
};

struct diff {
  const char *policy;
  json_t *changes;
  struct step steps[most_levels];
  size_t level, found;
};

static void compare(struct diff *d, const json_t *from, const json_t *to);

static bool is_word(const char *key) {
  return *key && strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == strlen(key);
}

static char *path_of(const struct diff *d) {
  BT_AUTO_BUF path = {0};
  for (size_t i = 0; i < d->level; i++) {
    const char *key = d->steps[i].key;
    if (!key)
      bt_buf_addf(&path, "[%zu]", d->steps[i].index);
    else if (is_word(key))
      bt_buf_addf(&path, "%s%s", i ? "." : "", key);
    else
      bt_buf_addf(&path, "[\"%s\"]", key);
  }
  return bt_buf_steal(&path);
}

static void note(struct diff *d, const json_t *from, const json_t *to) {
  if (++d->found > most_changes + 1)
    return;
  bool room = d->found <= most_changes;
  BT_AUTO_FREE char *path = room ? path_of(d) : bt_strdup("…");
  json_t *change = json_object();
  bt_json_set_str(change, "policy", d->policy);
  bt_json_set_str(change, "path", path);
  bt_json_set(change, "from", room && from ? json_deep_copy(from) : json_null());
  bt_json_set(change, "to", room && to ? json_deep_copy(to) : json_null());
  json_array_append_new(d->changes, change);
}

static void compare_member(struct diff *d, const char *key, size_t index, const json_t *from, const json_t *to) {
  if (d->level == most_levels) { /* deeper than any model: the whole is named */
    if (!json_equal(from, to))
      note(d, from, to);
    return;
  }
  d->steps[d->level++] = (struct step){key, index};
  compare(d, from, to);
  d->level--;
}

static void compare_objects(struct diff *d, const json_t *from, const json_t *to) {
  const char *key;
  json_t *member;
  json_object_foreach((json_t *)(uintptr_t)from, key, member) compare_member(d, key, 0, member, json_object_get(to, key));
  json_object_foreach((json_t *)(uintptr_t)to, key, member) if (!json_object_get(from, key))
    compare_member(d, key, 0, NULL, member);
}

static void compare_arrays(struct diff *d, const json_t *from, const json_t *to) {
  size_t n = json_array_size(from), m = json_array_size(to);
  for (size_t i = 0; i < n || i < m; i++)
    compare_member(d, NULL, i, json_array_get(from, i), json_array_get(to, i));
}

static void compare(struct diff *d, const json_t *from, const json_t *to) {
  if (json_is_object(from) && json_is_object(to))
    compare_objects(d, from, to);
  else if (json_is_array(from) && json_is_array(to))
    compare_arrays(d, from, to);
  else if (!from || !to || !json_equal(from, to))
    note(d, from, to);
}

bool bt_diff(const char *policy, const json_t *from, const json_t *to, json_t *changes) {
  struct diff d = {.policy = policy, .changes = changes};
  compare(&d, from, to);
  return d.found > 0;
}
