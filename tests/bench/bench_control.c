/* The control core with 10,000 instances of one service: memory of the core per running instance, and the time it takes from the
 * apply until all run, without engine or disk. */
#include "config.h"

#include <malloc.h>

#include "../unit/control_kit.h"
#include "bench.h"
#include "control/internal.h"

#define INSTANCES 10000

static struct kit k;

static void drop_store(void) { /* the durable copy is the store's, not control's */
  bt_map_free(&k.store);
  k.store = bt_map_new(free);
  bt_effects_free(&k.fx);
}

static size_t heap(void) {
  malloc_trim(0);
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

static void report_all(const char *state, bool ready) {
  for (size_t i = 0, n = ctl_inst_count(k.c); i < n; i++) {
    const struct ctl_app *app = bt_map_get(k.c->apps, "default/big");
    kit_report(&k, app->services.items[0]->insts.items[i]->id, state, ready, 0);
    if (i % 8 == 0)
      kit_tick(&k, 1);
    if (i % 512 == 0)
      drop_store();
  }
}

int main(void) {
  kit_start(&k);
  kit_hello(&k);
  drop_store();
  size_t before = heap();
  int64_t start = bt_clock_mono_us();
  BT_AUTO_FREE char *args =
      bt_asprintf("{'app':'big','model':{'name':'big','services':{'web':{'image':'busybox:1','restart':'always','environment':{'A':'1'},"
                  "'networks':{'default':null},'deploy':{'replicas':%d}}},'networks':{'default':{'name':'big_default'}}}}",
                  INSTANCES);
  kit_request(&k, "app.apply", args, false);
  kit_resolve(&k, "aa");
  while (k.fx.wake_ms <= k.now) { /* a step starts so many of them, and asks for the next one */
    drop_store();
    kit_tick(&k, 1);
  }
  drop_store();
  report_all("creating", false);
  report_all("starting", false);
  report_all("running", true);
  kit_tick(&k, 1000);
  kit_tick(&k, 1000);
  double ms = (double)(bt_clock_mono_us() - start) / 1000;
  BT_AUTO_FREE char *state = kit_app_state(&k, "big");
  drop_store();
  double each = (double)(heap() - before) / INSTANCES;
  BT_AUTO_FREE char *more = bt_asprintf(", \"instances\": %d, \"state\": \"%s\", \"ms\": %.0f", INSTANCES, state, ms);
  int rc = bench_print(&(struct bench_result){
      .name = "control-memory", .unit = "bytes per running instance", .value = each, .floor = NAN, .peer = NAN, .ratio = NAN, .reach = 4096, .more = more});
  rc |= !bt_streq(state, "running");
  kit_end(&k);
  return rc;
}
