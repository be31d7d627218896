/* Crashes of plug-ins in processes of their own: restarts with growing pauses, and a circuit that opens after five in a row. An entry
 * that ran well for a minute begins to count anew. Every step is an event, and stands in the list of plug-ins. */
#include "config.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "loop/loop.h"
#include "plugin/remote.h"

enum {
  failures_to_open = 5,
  open_times = 150,    /* of the first pause: 30 s, doubled with each try */
  longest_times = 3000, /* 10 min */
  healthy_times = 300  /* 1 min */
};

static void restart(void *arg) {
  struct bt_plugin *entry = arg;
  bt_info(entry->cell->label, "starting it again");
  bt_entry_launch(entry);
}

static int64_t pause_of(const struct bt_plugin *entry) {
  int64_t first = entry->plugins->retry_ms, times = 1;
  if (entry->failures < failures_to_open)
    return first << (entry->failures - 1);
  for (int i = failures_to_open; i < entry->failures && times * open_times < longest_times; i++)
    times *= 2;
  return first * BT_MIN(times * open_times, (int64_t)longest_times);
}

static void publish(struct bt_plugin *entry, const char *type, const char *severity, const char *message) {
  const struct bt_plugin_server *server = entry->plugins->server;
  if (server->publish)
    server->publish(server->arg, entry->cell->name, type, severity, message, NULL);
}

void bt_supervise_lost(struct bt_plugin *entry, const char *why) {
  if (entry->running_ms && bt_clock_mono_ms() - entry->running_ms >= entry->plugins->retry_ms * healthy_times)
    entry->failures = 0;
  entry->running_ms = 0;
  entry->failures++;
  bt_str_set(&entry->last_failure, why);
  bool open = entry->failures >= failures_to_open;
  int64_t pause = pause_of(entry);
  BT_AUTO_FREE char *error =
      open ? bt_asprintf("it %s; that was the %dth failure in a row, so it is left alone for %.1f s", why, entry->failures,
                         (double)pause / 1000)
           : bt_asprintf("it %s; it is started again in %.1f s", why, (double)pause / 1000);
  bt_error(entry->cell->label, "%s", error);
  bt_entry_set_status(entry, open ? BT_PLUGIN_BROKEN : BT_PLUGIN_RESTARTING, error);
  BT_AUTO_FREE char *message = bt_asprintf("plug-in %s: %s", entry->cell->name, error);
  publish(entry, open ? "plugin.broken" : "plugin.crashed", "error", message);
  if (!entry->restart)
    entry->restart = bt_timer_new(entry->plugins->loop, entry->cell->label, restart, entry);
  bt_timer_set(entry->restart, pause);
}

/* With what holds the process, and what does not: nobody is to believe in a wall that is not there. */
static void say_started(const struct bt_plugin *entry) {
  const struct berth_manifest *m = entry->lib->manifest;
  BT_AUTO_JSON has = bt_confinement_has(&entry->remote->confinement);
  BT_AUTO_JSON lacks = bt_confinement_lacks(&entry->remote->confinement);
  BT_AUTO_FREE char *held = bt_confinement_text(has);
  BT_AUTO_FREE char *free_of = bt_confinement_text(lacks);
  bt_info(entry->cell->label, "%s %s started in process %d", m->id, m->version, (int)entry->remote->process.pid);
  bt_info(entry->cell->label, "its process is confined by: %s; not by: %s", *held ? held : "nothing",
          *free_of ? free_of : "(nothing is missing)");
}

void bt_supervise_started(struct bt_plugin *entry) {
  say_started(entry);
  entry->running_ms = bt_clock_mono_ms();
  if (!entry->failures)
    return;
  entry->restarts++;
  BT_AUTO_FREE char *message = bt_asprintf("plug-in %s runs again", entry->cell->name);
  publish(entry, "plugin.restarted", "info", message);
}

void bt_supervise_reset(struct bt_plugin *entry) {
  entry->failures = 0;
  entry->running_ms = 0;
  if (entry->restart)
    bt_timer_clear(entry->restart);
}
