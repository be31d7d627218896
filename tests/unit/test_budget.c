/* Disruption budgets: what is said of them (model/disruption), and how many may go (plan/budget). */
#include "config.h"

#include "base/json.h"
#include "model/service.h"
#include "plan/budget.h"
#include "tap.h"

#define NONE {-1, false}

static void test_left(void) {
  static const struct {
    struct bt_disruption said;
    int wanted, well, left;
    const char *name;
  } t[] = {
      {{NONE, NONE}, 1, 1, 1, "nothing said, one instance: it may go"},
      {{NONE, NONE}, 5, 5, 1, "of several, one at a time"},
      {{NONE, NONE}, 5, 4, 0, "and no further one while one is missing"},
      {{NONE, NONE}, 5, 6, 2, "one more that serves is one more that may go"},
      {{NONE, NONE}, 0, 0, 0, "of none, none"},
      {{{0, false}, NONE}, 5, 5, 0, "0 may be missing"},
      {{{0, false}, NONE}, 5, 6, 1, "then one goes when its replacement serves"},
      {{{2, false}, NONE}, 5, 5, 2, "a number"},
      {{{9, false}, NONE}, 5, 5, 5, "more than there are"},
      {{{25, true}, NONE}, 8, 8, 2, "a share"},
      {{{25, true}, NONE}, 9, 9, 3, "is rounded up"},
      {{{100, true}, NONE}, 7, 7, 7, "all"},
      {{NONE, {4, false}}, 5, 5, 1, "so many must serve"},
      {{NONE, {50, true}}, 5, 5, 2, "or such a share, rounded up"},
      {{NONE, {9, false}}, 5, 5, 0, "more than are wanted: none may go"},
      {{{3, false}, {4, false}}, 5, 5, 1, "both hold"},
      {{{1, false}, {1, false}}, 5, 5, 1, "both hold, the other way round"},
      {{{100, true}, NONE}, 100000, 100000, 100000, "as many as there can be"},
  };
  for (size_t i = 0; i < BT_COUNT(t); i++)
    is_int(bt_budget_left(&t[i].said, t[i].wanted, t[i].well), t[i].left, t[i].name);
}

/* Below n. In a function: an initialiser may evaluate its members in any order. */
static int next_of(unsigned *seed, int n) {
  *seed = *seed * 1103515245 + 12345;
  return (int)((*seed >> 8) % (unsigned)n);
}

/* Whatever is said: one that goes never leaves fewer than the floor that was there, and asking step by step comes to the same. */
static void test_steps(void) {
  unsigned seed = 7;
  bool fine = true;
  for (int i = 0; i < 20000 && fine; i++) {
#define NEXT(n) next_of(&seed, (n))
    struct bt_disruption said = {{NEXT(102) - 1, NEXT(2)}, {NEXT(102) - 1, NEXT(2)}};
    int wanted = NEXT(50), well = NEXT(60), left = bt_budget_left(&said, wanted, well);
    fine = left >= 0 && left <= well;
    for (int gone = 1; fine && gone <= left; gone++)
      fine = bt_budget_left(&said, wanted, well - gone) == left - gone;
  }
  ok(fine, "a budget that was used up is used up, at every step");
}

static void said(const char *disruption, const char *want) {
  BT_AUTO_FREE char *text = bt_asprintf("{\"image\":\"a\",\"x-berth\":{\"disruption\":%s}}", disruption);
  BT_AUTO_JSON o = json_loads(text, 0, NULL);
  BT_AUTO_ERR err = NULL;
  struct bt_service *s = NULL;
  BT_ASSERT(o);
  bool good = bt_service_parse("web", o, &s, &err) == 0;
  if (want) {
    ok(!good, "refused: %s", disruption);
    is_str(bt_err_message(err), want, "with a sentence");
  } else {
    ok(good && s->disruption.max_unavailable.value == 25 && s->disruption.max_unavailable.percent && s->disruption.min_available.value == 3 && !s->disruption.min_available.percent,
       "read: %s", disruption);
  }
  if (good)
    bt_service_free(&s);
}

static void test_read(void) {
  static const char words[] = "service web: x-berth.disruption.max_unavailable must be an integer from 0 to 100000, or a share such as \"25%\"";
  said("{\"max_unavailable\":\"25%\",\"min_available\":3}", NULL);
  static const char *const bad[] = {"-1", "100001", "9223372036854775807", "\"101%\"", "\"-1%\"", "\"%\"", "\"5\"", "1.5", "true", "null", "\"00000000000000000000001%\""};
  for (size_t i = 0; i < BT_COUNT(bad); i++) {
    BT_AUTO_FREE char *text = bt_asprintf("{\"max_unavailable\":%s}", bad[i]);
    said(text, words);
  }
  BT_AUTO_JSON o = json_loads("{\"image\":\"a\"}", 0, NULL);
  struct bt_service *s = NULL;
  ok(bt_service_parse("web", o, &s, NULL) == 0 && s->disruption.max_unavailable.value < 0 && s->disruption.min_available.value < 0, "nothing said");
  bt_service_free(&s);
}

int main(void) {
  test_left();
  test_steps();
  test_read();
  return done_testing();
}
