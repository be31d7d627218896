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

/* Seed 39: a node's clock is ahead by hours. Its jobs are tried again after their delay, not after hours. */
static void test_clock_ahead(void) {
  struct kit k = fresh();
  apply(&k, APP("'job':{'image':'job:1','deploy':{'mode':'replicated-job','restart_policy':{'condition':'on-failure','max_attempts':3}}}"));
  report_one(&k, "job", "running", true, 0);
  BT_AUTO_FREE char *id = id_of(&k, "job", 0);
  BT_AUTO_FREE char *m = bt_asprintf("{'type':'report','instance':'%s','state':'failed','ready':false,'exit_code':1,'final':true,'finished_ms':%lld}", id,
                                     (long long)k.now + 7200000);
  kit_node(&k, m);
  kit_tick(&k, 120000);
  BT_AUTO_FREE char *second = id_of(&k, "job", 1);
  ok(second, "a job is tried again, whatever its node's clock says");
  kit_end(&k);
}

int main(void) {
  test_clock_ahead();
  test_no_way_back();
  test_leaving_is_not_made();
  return done_testing();
}
