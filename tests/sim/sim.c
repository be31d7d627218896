/* Runs seeds through the simulated world: tests/sim/sim [-v] [FIRST [COUNT]]. Each seed: some minutes of clients and faults, then calm; what
 * runs must agree with what was asked for; then healthy models are applied and must come up; then all goes and nothing is left. */
#include "config.h"

#include <stdio.h>

#include "sim.h"
#include "../unit/tap.h"

#define MINUTE 60000
#ifdef __SANITIZE_ADDRESS__
#define SEEDS 60 /* four times as slow each */
#else
#define SEEDS 300
#endif

static void apply_well(struct sim *s) {
  for (size_t i = 0; i < BT_COUNT(sim_apps); i++) {
    json_t *args = json_object();
    bt_json_set_str(args, "app", sim_apps[i]);
    json_t *model = sim_model(s, sim_apps[i], true);
    const char *name;
    json_t *service;
    json_object_foreach(bt_json_obj(model, "services"), name, service) json_object_del(service, "ports");
    bt_json_set(args, "model", model);
    sim_request(s, "app.apply", args);
    sim_run_until(s, s->now_ms + 100);
  }
}

static void remove_all(struct sim *s) {
  for (size_t i = 0; i < BT_COUNT(sim_apps); i++) {
    json_t *args = json_object();
    bt_json_set_str(args, "app", sim_apps[i]);
    bt_json_set_bool(args, "volumes", true);
    sim_request(s, "app.remove", args);
  }
}

static bool run_seed(uint64_t seed, bool verbose, uint64_t *steps, uint64_t *crashes) {
  struct sim s;
  sim_start(&s, seed, verbose);
  sim_run_until(&s, s.now_ms + 4 * MINUTE);
  s.calm = true;
  sim_say(&s, "CALM");
  sim_at(&s, 0, SIM_LINK);
  sim_run_until(&s, s.now_ms + 60 * MINUTE);
  if (!s.failed)
    sim_check_settled(&s, false);
  if (!s.failed) {
    sim_say(&s, "ALL WELL");
    apply_well(&s);
    sim_run_until(&s, s.now_ms + 60 * MINUTE);
    sim_check_settled(&s, true);
  }
  if (!s.failed) {
    sim_say(&s, "REMOVE ALL");
    remove_all(&s);
    sim_run_until(&s, s.now_ms + 60 * MINUTE);
    sim_check_empty(&s);
  }
  *steps += s.steps;
  *crashes += s.crashes;
  bool fine = !s.failed;
  sim_end(&s);
  return fine;
}

int main(int argc, char **argv) {
  bool verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
  long long first = 1, count = SEEDS;
  if (argc > 1 + verbose)
    BT_ASSERT(bt_parse_i64(argv[1 + verbose], 0, INT64_MAX, &first));
  if (argc > 2 + verbose)
    BT_ASSERT(bt_parse_i64(argv[2 + verbose], 1, INT64_MAX, &count));
  uint64_t steps = 0, crashes = 0;
  long long failed = 0;
  for (long long i = 0; i < count && failed < 10; i++)
    if (!run_seed((uint64_t)(first + i), verbose, &steps, &crashes)) {
      printf("# again with: tests/sim/sim -v %lld 1\n", first + i);
      failed++;
    }
  ok(failed == 0, "%lld worlds from seed %lld", count, first);
  ok(count < 10 || crashes > (uint64_t)count, "the server crashed %llu times in %llu steps", (unsigned long long)crashes, (unsigned long long)steps);
  return done_testing();
}
