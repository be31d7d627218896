#include "config.h"

#include "base/clock.h"
#include "base/json.h"
#include "cli/list.h"
#include "cli/live.h"

bool bt_live_settled(const json_t *instance) {
  const char *state = bt_json_str_or(instance, "state", "");
  if (strcmp(state, "exited") == 0)
    return bt_json_int(instance, "exit_code", -1) == 0;
  return bt_json_bool(instance, "ready", false);
}

static void add_ended(struct bt_buf *b, const json_t *instance) {
  const char *state = bt_json_str_or(instance, "state", "");
  long long code = bt_json_int(instance, "exit_code", 0);
  if (strcmp(state, "exited") && strcmp(state, "failed"))
    return;
  if (bt_json_bool(instance, "oom", false))
    bt_buf_adds(b, ", out of memory");
  else if (code)
    bt_buf_addf(b, ", exit code %lld", code);
}

static void add_next_start(struct bt_buf *b, const json_t *instance, long long now_ms) {
  long long next = bt_json_time(instance, "next_start");
  char wait[32];
  if (next > now_ms)
    bt_buf_addf(b, "; starts again in %s", bt_duration_human(next - now_ms, wait));
}

char *bt_live_words(const json_t *instance, const char *progress, long long now_ms) {
  BT_AUTO_BUF b = {0};
  const char *state = bt_json_str_or(instance, "state", "unknown"), *health = bt_json_str_or(instance, "health", "");
  const char *error = bt_json_str(instance, "error"), *reason = bt_json_str(instance, "reason");
  bool running = strcmp(state, "running") == 0;
  bt_buf_adds(&b, bt_json_bool(instance, "leaving", false) && running ? "stopping" : state);
  if (running && *health)
    bt_buf_addf(&b, " (%s)", health);
  else if (running && !bt_json_bool(instance, "ready", false))
    bt_buf_adds(&b, " (not ready)");
  add_ended(&b, instance);
  /* What went wrong before counts only where nothing better came of it. */
  bool counts = strcmp(state, "failed") == 0 || strcmp(state, "exited") == 0 ||
                (running && !bt_json_bool(instance, "ready", false));
  if (error && *error && counts)
    bt_buf_addf(&b, ": %s", error);
  else if (strcmp(state, "pending") == 0 && reason)
    bt_buf_addf(&b, ": %s", reason);
  else if (progress && *progress && !running)
    bt_buf_addf(&b, ": %s", progress);
  add_next_start(&b, instance, now_ms);
  long long restarts = bt_json_int(instance, "restarts", 0);
  if (restarts && !bt_live_settled(instance))
    bt_buf_addf(&b, " [%lld restart%s]", restarts, restarts == 1 ? "" : "s");
  return bt_buf_steal(&b);
}
