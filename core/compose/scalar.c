/* Scalars as the reference's language prints them. */
#include "config.h"

#include <math.h>
#include <stdio.h>

#include "base/buf.h"
#include "compose/internal.h"

/* The shortest decimal digits that read back as the same number, in the shape of Go's %v: an exponent from a million on. */
static char *float_text(double v) {
  if (!isfinite(v))
    return bt_strdup(isnan(v) ? "NaN" : v < 0 ? "-Inf" : "+Inf");
  char e[40];
  for (int precision = 0; precision < 17; precision++) {
    snprintf(e, sizeof e, "%.*e", precision, v);
    if (strtod(e, NULL) == v)
      break;
  }
  char *exponent = strchr(e, 'e');
  int exp = atoi(exponent + 1);
  *exponent = 0;
  if (exp < -4 || exp >= 6)
    return bt_asprintf("%se%c%02d", e, exp < 0 ? '-' : '+', abs(exp));
  size_t digits = strspn(e, "-0123456789.") - (strchr(e, '.') ? 1 : 0) - (e[0] == '-');
  int places = (int)digits - 1 - exp;
  return bt_asprintf("%.*f", places > 0 ? places : 0, v);
}

char *bt_compose_scalar_text(const struct bt_yaml *node) {
  switch (node->kind) {
    case BT_YAML_BOOL:
      return bt_strdup(node->boolean ? "true" : "false");
    case BT_YAML_INT:
      return bt_asprintf("%lld", node->integer);
    case BT_YAML_FLOAT:
      return float_text(node->real);
    case BT_YAML_STR:
      return bt_strdup(node->text);
    default:
      return bt_strdup("");
  }
}
