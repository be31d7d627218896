#include "config.h"

#include "model/disruption.h"

#include "base/json.h"
#include "base/mem.h"

bool bt_amount_percent(const char *text, int *out) {
  size_t n = text ? strspn(text, "0123456789") : 0;
  if (n < 1 || n > 3 || strcmp(text + n, "%") != 0)
    return false;
  int v = 0;
  for (size_t i = 0; i < n; i++)
    v = v * 10 + (text[i] - '0');
  *out = v;
  return v <= 100;
}

static int read_amount(const char *service, const json_t *json, const char *key, struct bt_amount *out, struct bt_err **err) {
  const json_t *v = json_object_get(json, key);
  *out = (struct bt_amount){.value = -1};
  if (!v)
    return 0;
  long long n = json_is_integer(v) ? json_integer_value(v) : -1;
  out->percent = json_is_string(v);
  if (out->percent ? bt_amount_percent(json_string_value(v), &out->value) : n >= 0 && n <= BT_DISRUPTION_MOST) {
    out->value = out->percent ? out->value : (int)n;
    return 0;
  }
  return bt_err_set(err, BT_INVALID, "service %s: x-berth.disruption.%s must be an integer from 0 to %d, or a share such as \"25%%\"", service, key,
                    BT_DISRUPTION_MOST);
}

int bt_disruption_parse(const char *service, const json_t *json, struct bt_disruption *out, struct bt_err **err) {
  return read_amount(service, json, "max_unavailable", &out->max_unavailable, err) ||
                 read_amount(service, json, "min_available", &out->min_available, err)
             ? -1
             : 0;
}
