#include "config.h"

#include "plan/backoff.h"

#include "base/mem.h"

int64_t bt_backoff_delay_ms(int failures, int64_t policy_ms) {
  int64_t delay = 0;
  if (failures > 1) {
    delay = BT_BACKOFF_FIRST_MS;
    for (int i = 2; i < failures && delay < BT_BACKOFF_MAX_MS; i++)
      delay *= 2;
  }
  delay = BT_MIN(delay, BT_BACKOFF_MAX_MS);
  return BT_MAX(delay, policy_ms);
}

bool bt_backoff_restarts(const char *condition, bool ok, int attempts, int max_attempts) {
  if (max_attempts > 0 && attempts >= max_attempts)
    return false;
  if (bt_streq(condition, "any"))
    return true;
  return bt_streq(condition, "on-failure") && !ok;
}
