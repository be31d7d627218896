/* x-berth.rollout of a service: the way from one revision to the next. */
#include "config.h"

#include "base/clock.h"
#include "base/mem.h"
#include "compose/values.h"
#include "compose/xberth.h"
#include "model/way.h"

#define DAY_NS (86400 * (int64_t)1000000000)

/* An integer, or a share: that one stays a text. */
static void instances(struct bt_load *load, struct bt_yaml *step, const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(step, "instances");
  long long v = 0;
  int share = 0;
  if (!n || (n->kind == BT_YAML_STR && bt_amount_percent(n->text, &share)))
    return;
  if (n->kind == BT_YAML_FLOAT || !bt_value_int(n, &v) || v < 0 || v > BT_DISRUPTION_MOST)
    bt_xberth_wrong(load, n, BT_PLACE_KEY(place, "instances"), "an integer from 0 to 100000, or a share such as \"10%\"");
  else
    bt_xberth_set(step, "instances", bt_yaml_int(v, n->loc));
}

static void pause_of(struct bt_load *load, struct bt_yaml *step, const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(step, "pause");
  int64_t ns = 0;
  char buf[64];
  if (n && n->kind == BT_YAML_STR && bt_streq(n->text, "promote"))
    return;
  if (n && bt_value_duration(n, &ns) && ns >= 0 && ns <= DAY_NS) {
    bt_xberth_set(step, "pause", bt_yaml_str(bt_duration_go(ns, buf), n->loc));
    return;
  }
  if (n) {
    bt_xberth_wrong(load, n, BT_PLACE_KEY(place, "pause"), "a duration up to 24h, such as 5m, or promote, which waits for \"berth rollout promote\"");
    return;
  }
  BT_AUTO_FREE char *where = bt_place_text(place);
  bt_diag_error(load->diags, step->loc, "%s needs \"pause\": a duration such as 5m, or promote, which waits for \"berth rollout promote\"", where);
}

static void step(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  static const char *const keys[] = {"instances", "weight", "pause", NULL};
  if (!bt_xberth_only(load, n, place, keys))
    return;
  if (!bt_yaml_get(n, "instances") && !bt_yaml_get(n, "weight")) {
    BT_AUTO_FREE char *where = bt_place_text(place);
    bt_diag_error(load->diags, n->loc, "%s needs \"instances\", how many are new in it, or \"weight\", their share of the requests", where);
  }
  instances(load, n, place);
  bt_xberth_number(load, n, "weight", 0, 100, -1, place);
  pause_of(load, n, place);
}

void bt_xberth_rollout(struct bt_load *load, struct bt_yaml *rollout, const struct bt_place *place) {
  static const char *const keys[] = {"strategy", "keep", "steps", NULL}, *const words[] = {"rolling", "blue-green", "canary", NULL};
  if (!bt_xberth_only(load, rollout, place, keys))
    return;
  const char *kind = bt_xberth_word(load, rollout, "strategy", words, place);
  const struct bt_yaml *keep = bt_yaml_get(rollout, "keep"), *steps = bt_yaml_get(rollout, "steps");
  BT_AUTO_FREE char *where = bt_place_text(place);
  if (bt_streq(kind, "blue-green"))
    bt_xberth_duration(load, rollout, "keep", 0, "5m0s", place);
  else if (keep)
    bt_diag_error(load->diags, keep->loc, "%s.keep is how long the old instances of a blue-green update stay; the strategy is %s", where, kind);
  if (steps && (steps->kind != BT_YAML_SEQ || steps->seq.len < 1 || steps->seq.len > BT_WAY_STEPS)) {
    bt_xberth_wrong(load, steps, BT_PLACE_KEY(place, "steps"), "a list of 1 to 20 steps");
    return;
  }
  if ((steps != NULL) != bt_streq(kind, "canary")) {
    bt_diag_error(load->diags, steps ? steps->loc : rollout->loc, steps ? "%s.steps are of a canary; the strategy is %s" : "%s needs \"steps\"; the strategy is %s", where, kind);
    return;
  }
  for (size_t i = 0; steps && i < steps->seq.len; i++)
    step(load, steps->seq.items[i], BT_PLACE_ITEM(BT_PLACE_KEY(place, "steps"), i));
}
