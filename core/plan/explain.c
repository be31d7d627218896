#include "config.h"

#include "plan/explain.h"

#include "base/clock.h"
#include "base/mem.h"

static char *try_logs(const struct bt_explain_inst *i) { return bt_asprintf("look at its last output: berth logs %s", i->id); }

/* "exit code 137 (out of memory): the last output" */
static void add_end(const struct bt_explain_inst *i, struct bt_buf *text) {
  bool told = i->error && strstr(i->error, "exit code");
  if (told)
    bt_buf_addf(text, "%s", i->error);
  else if (i->state == BT_ST_EXITED || i->exit_code != 0)
    bt_buf_addf(text, "exit code %d", i->exit_code);
  else
    bt_buf_adds(text, "it could not be started");
  if (i->oom && !told)
    bt_buf_adds(text, " (it ran out of memory)");
  if (i->error && !told)
    bt_buf_addf(text, ": %s", i->error);
}

static void explain_end(const struct bt_explain_inst *i, int64_t now_ms, struct bt_explain *out) {
  char wait[32];
  bool well = i->next_start_ms <= 0 && i->state == BT_ST_EXITED && i->exit_code == 0;
  out->next = well ? NULL : i->oom ? bt_strdup("raise its memory limit") : try_logs(i);
  if (i->next_start_ms > 0) {
    out->code = "backoff";
    int times = i->restarts > 0 ? i->restarts : i->failures;
    bt_buf_addf(&out->text, "%s %s %d time%s; next start in %s; ", i->id, i->restarts > 0 ? "was restarted" : "failed", times, times == 1 ? "" : "s",
                bt_duration_human(BT_MAX(i->next_start_ms - now_ms, 0), wait));
    add_end(i, &out->text);
  } else if (well) {
    out->code = "completed";
    bt_buf_addf(&out->text, "%s ended well, and its restart policy (%s) lets it be", i->id, i->job ? "a job" : i->restart);
  } else {
    out->code = "ended";
    bt_buf_addf(&out->text, "%s ended: ", i->id);
    add_end(i, &out->text);
    bt_buf_addf(&out->text, "; its restart policy (%s) lets it be", i->job ? "a job" : i->restart);
  }
}

static void explain_port(const struct bt_explain_inst *i, struct bt_explain *out) {
  bt_buf_adds(&out->text, i->error);
  free(out->next);
  out->next = bt_strdup("end what holds the port (ss -ltnp), or publish another one; Berth tries again every 5 s");
}

static void explain_running(const struct bt_explain_inst *i, struct bt_explain *out) {
  if (i->ready) {
    out->code = "ready";
    bt_buf_addf(&out->text, "%s runs on %s and is ready", i->id, i->node);
    return;
  }
  out->code = "not-ready";
  out->next = try_logs(i);
  bt_buf_addf(&out->text, "%s runs on %s, but is not ready: ", i->id, i->node);
  if (bt_streq(i->health, "unhealthy"))
    bt_buf_adds(&out->text, i->error && bt_starts(i->error, "its health check fails") ? i->error : "its health check fails");
  else if (i->healthcheck && !bt_streq(i->health, "healthy"))
    bt_buf_adds(&out->text, "its health check has not passed yet");
  else if (i->error && bt_starts(i->error, "port "))
    explain_port(i, out);
  else if (i->error && (bt_starts(i->error, "its readiness probe") || bt_starts(i->error, "its startup probe") ||
                        bt_starts(i->error, "its liveness probe")))
    bt_buf_adds(&out->text, i->error);
  else if (i->readiness)
    bt_buf_adds(&out->text, "its readiness probe does not pass");
  else
    bt_buf_adds(&out->text, "its node did not report it ready yet");
}

static void explain_going(const struct bt_explain_inst *i, struct bt_explain *out) {
  static const char *const doing[BT_ST_COUNT] = {
      [BT_ST_PENDING] = "is assigned to its node and waits for its turn",
      [BT_ST_PULLING] = "waits for its image to be pulled",
      [BT_ST_CREATING] = "is being made",
      [BT_ST_STARTING] = "is being started",
      [BT_ST_STOPPING] = "is being stopped",
      [BT_ST_REMOVED] = "is removed",
  };
  out->code = i->restarting ? "restarting" : bt_state_name(i->state);
  bt_buf_addf(&out->text, "%s %s", i->id, i->restarting ? "is being restarted" : doing[i->state]);
  const char *more = i->error ? i->error : i->reason;
  if (more)
    bt_buf_addf(&out->text, ": %s", more);
}

void bt_explain_instance(const struct bt_explain_inst *i, int64_t now_ms, struct bt_explain *out) {
  *out = (struct bt_explain){0};
  if (i->leaving) {
    out->code = "leaving";
    bt_buf_addf(&out->text, "%s is being removed: %s", i->id, i->reason ? i->reason : "it is no longer wanted");
  } else if (!i->node) {
    out->code = "waiting";
    const char *why = i->reason ? i->reason : "waits to be placed"; /* of the instance, or of nodes, which are named */
    bt_buf_addf(&out->text, "%s is not started: %s%s", i->id, bt_starts(why, "waits ") ? "it " : "", why);
  } else if (i->state == BT_ST_EXITED || i->state == BT_ST_FAILED) {
    explain_end(i, now_ms, out);
  } else if (i->state == BT_ST_RUNNING && !i->restarting) {
    explain_running(i, out);
  } else {
    explain_going(i, out);
  }
}
