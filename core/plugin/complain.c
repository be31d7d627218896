#include "config.h"
#include "plugin/complain.h"

#include <stdarg.h>

#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"
#include "plugin/internal.h"

enum { a_second = 1000, lines_a_second = 200, complaints_a_second = 10 };

static struct bt_host_cell *cell_of(const struct berth_host *host) { return (struct bt_host_cell *)(uintptr_t)host; }

static void count_soon(void *arg);

/* Counts one; the first that is left out has the counts said a second later. */
static bool may(struct bt_host_cell *cell, struct bt_quota *q, int most) {
  int64_t now = bt_clock_mono_ms();
  bt_inbox_lock();
  if (now - q->since_ms >= a_second) {
    q->since_ms = now;
    q->said = 0;
  }
  bool fine = q->said < most;
  q->said += fine;
  q->left_out += !fine;
  if (!fine && !cell->counting && cell->entry) {
    cell->counting = true;
    bt_loop_post(cell->entry->plugins->loop, "plugin/log", count_soon, cell); /* the cell lives as long as the process */
  }
  bt_inbox_unlock();
  return fine;
}

static int take(int *n) {
  int taken = *n;
  *n = 0;
  return taken;
}

void bt_complain_count(struct bt_host_cell *cell) {
  bt_inbox_lock();
  int lines = take(&cell->lines.left_out), complaints = take(&cell->complaints.left_out);
  cell->counting = false;
  bt_inbox_unlock();
  if (lines)
    bt_warn(cell->label, "%d more lines for the log within a second; dropped", lines);
  if (complaints)
    bt_warn(cell->label, "%d more lines about what it did or sent within a second; left out", complaints);
}

static void count_now(void *arg) { bt_complain_count(arg); }

static void count_soon(void *arg) {
  struct bt_host_cell *cell = arg;
  struct bt_plugin *entry = cell->entry;
  if (!entry)
    return;
  if (!entry->count)
    entry->count = bt_timer_new(entry->plugins->loop, cell->label, count_now, cell);
  bt_timer_set(entry->count, a_second);
}

bool bt_may_say(const struct berth_host *host) { return may(cell_of(host), &cell_of(host)->lines, lines_a_second); }

void bt_complain(const struct berth_host *host, const char *fmt, ...) {
  struct bt_host_cell *cell = cell_of(host);
  if (!may(cell, &cell->complaints, complaints_a_second))
    return;
  va_list ap;
  va_start(ap, fmt);
  BT_AUTO_FREE char *text = bt_vasprintf(fmt, ap);
  va_end(ap);
  bt_warn(cell->label, "%s", text);
}
