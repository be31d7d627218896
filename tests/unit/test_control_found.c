/* Control: what the simulator (tests/sim) found, each as a story of its own. */
#include "config.h"

#include "control_shop.h"

/* Seed 124: an update that nothing stands before fails where it was to go back. */
static void test_no_way_back(void) {
  struct kit k = fresh();
  ok(apply(&k, APP(WEB(",'deploy':{'replicas':1}"))), "a first revision, which never gets ready");
  ok(apply(&k, APP("'web':{'image':'web:2','restart':'no','networks':{'default':null},'deploy':{'replicas':1,'update_config':{'failure_action':'rollback'}}}")),
     "and a second");
  kit_all_leave(&k);
  report_one(&k, "web", "failed", false, 1);
  kit_is_state(&k, "shop", "failed");
  kit_end(&k);
}

/* Seed 90: an agent that started anew is told of what leaves, so that it ends the container where there is one; it must not make one. */
static void test_leaving_is_not_made(void) {
  struct kit k = fresh();
  apply(&k, APP(WEB("")));
  kit_all_run(&k);
  kit_request(&k, "app.remove", "{'app':'shop'}", false);
  is_int(kit_count(&k, "release"), 1, "it is to go");
  kit_hello(&k);
  const json_t *told = json_array_get(bt_json_arr(kit_sent(&k, "sync", 0), "instances"), 0);
  ok(told && bt_json_bool(told, "ended", false), "an agent that knows nothing hears of it, and that it is not to be made again");
  is_int(kit_count(&k, "release"), 1, "and once more that it is to go");
  kit_end(&k);
}

int main(void) {
  test_no_way_back();
  test_leaving_is_not_made();
  return done_testing();
}
