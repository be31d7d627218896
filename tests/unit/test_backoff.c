/* Restart delays: plan/backoff. */
#include "config.h"

#include "plan/backoff.h"
#include "tap.h"

static void test_delays(void) {
  static const int64_t want[] = {0, 0, 10000, 20000, 40000, 80000, 160000, 300000, 300000};
  for (int i = 0; i < 9; i++)
    ok(bt_backoff_delay_ms(i, 0) == want[i], "delay of failure %d", i);
  ok(bt_backoff_delay_ms(1 << 30, 0) == 300000, "a huge count stays at the cap");
  ok(bt_backoff_delay_ms(1, 5000) == 5000, "the policy's delay is a lower bound");
  ok(bt_backoff_delay_ms(3, 5000) == 20000, "the backoff wins over a smaller delay");
}

static void test_conditions(void) {
  ok(bt_backoff_restarts("any", true, 0, 0), "any restarts a clean exit");
  ok(!bt_backoff_restarts("on-failure", true, 0, 0), "on-failure lets a clean exit be");
  ok(bt_backoff_restarts("on-failure", false, 2, 3), "on-failure within its attempts");
  ok(!bt_backoff_restarts("on-failure", false, 3, 3), "on-failure at its limit");
  ok(!bt_backoff_restarts("none", false, 0, 0) && !bt_backoff_restarts(0, false, 0, 0), "none never restarts");
}

int main(void) {
  test_delays();
  test_conditions();
  return done_testing();
}
