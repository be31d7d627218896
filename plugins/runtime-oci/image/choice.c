#include "choice.h"

#include "../../common/util.h"
#include "index.h"

int64_t ri_choice_excess(uint64_t used, uint64_t avail, int high, int low) {
  double whole = (double)used + (double)avail;
  if (high >= 100 || (double)used * 100.0 <= whole * high)
    return 0;
  return (int64_t)((double)used - whole * low / 100.0);
}

static bool holds(const json_t *array, const char *text) {
  size_t i;
  json_t *item;
  json_array_foreach(array, i, item) if (pu_eq(json_string_value(item), text)) return true;
  return false;
}

static bool sooner(const json_t *a, const json_t *b) {
  int64_t at = pu_int(a, "used_at", 0), bt = pu_int(b, "used_at", 0);
  return at < bt || (at == bt && strcmp(pu_str_or(a, "id", ""), pu_str_or(b, "id", "")) < 0);
}

const json_t *ri_choice_next(const json_t *list, const json_t *keep, int64_t before_ms) {
  const json_t *found = NULL;
  size_t i;
  json_t *image;
  json_array_foreach(list, i, image) {
    bool may = pu_int(image, "used_at", 0) < before_ms && (!found || sooner(image, found));
    if (may && !holds(keep, pu_str(image, "id")))
      found = image;
  }
  return found;
}

void ri_choice_pin(const json_t *index, const json_t *names, json_t *keep) {
  size_t i;
  json_t *name;
  json_array_foreach(names, i, name) {
    const char *id = NULL;
    if (json_is_string(name) && ri_index_find(index, json_string_value(name), &id))
      ri_index_add(keep, id);
  }
}
