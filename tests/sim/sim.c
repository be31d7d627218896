/* Runs seeds through the simulated world: tests/sim/sim [-v] [-t] [-1] [-p PLANT] [FIRST [COUNT]]; -l lists planted bugs. Each seed: some minutes of clients and faults, then calm; what
 * runs must agree with what was asked for; then healthy models are applied and must come up; then all goes and nothing is left. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/plant.h"
#include "disk.h"
#include "sim.h"
#include "../unit/tap.h"

#define MINUTE 60000
#define SETTLE (60 * MINUTE + 17345) /* not when schedules are due */
#ifdef __SANITIZE_ADDRESS__
#define SEEDS 60 /* four times as slow each */
#else
#define SEEDS 1000
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

struct totals {
  uint64_t steps, crashes, answers, faults, hash;
  int64_t virtual_ms;
};

/* What lies in the tables is compared with the store: with nothing on its way there. */
static void settle(struct sim *s) {
  for (int i = 0; i < 10; i++) { /* what waits for somebody to promote it goes on */
    for (size_t a = 0; a < BT_COUNT(sim_apps) && sim_has(s, SIM_WAYS); a++)
      sim_wish_rollout(s, sim_apps[a], "promote");
    sim_run_until(s, s->now_ms + SETTLE / 10);
  }
  for (int i = 0; i < 1000 && sim_store_under_way(s->store) > 0; i++)
    sim_run_until(s, s->now_ms + 1);
}

static bool run_seed(uint64_t seed, bool verbose, const char *dir, struct totals *t) {
  struct sim s;
  sim_start(&s, seed, verbose, dir);
  sim_run_until(&s, s.now_ms + 4 * MINUTE);
  sim_calm(&s);
  sim_run_until(&s, s.now_ms + MINUTE);
  sim_put_right(&s); /* once more: the disk may have been full */
  settle(&s);
  if (!s.failed)
    sim_check_settled(&s, false);
  if (!s.failed) {
    sim_say(&s, "ALL WELL");
    apply_well(&s);
    settle(&s);
    sim_check_settled(&s, true);
  }
  if (!s.failed) {
    sim_say(&s, "REMOVE ALL");
    remove_all(&s);
    settle(&s);
    sim_check_empty(&s);
  }
  t->steps += s.steps;
  t->crashes += s.crashes;
  t->answers += s.answered;
  t->faults += sim_disk_errors();
  t->virtual_ms += s.now_ms - s.started_ms;
  t->hash = (t->hash ^ s.hash) * 0x9E3779B97F4A7C15u;
  bool fine = !s.failed;
  sim_end(&s);
  return fine;
}

struct options {
  long long first, count, most; /* most: failures until it stops */
  bool verbose, hash;
};

/* In a build with planted bugs: the one in force by its name. */
static bool plant(const char *name) {
#ifdef BERTH_PLANTED
#define NAME(plant, words) #plant,
  static const char *const names[] = {"NONE", BT_PLANTS(NAME)};
#undef NAME
  for (int i = 0; i < BT_PLANT_COUNT; i++)
    if (bt_streq(names[i], name)) {
      bt_planted = (enum bt_plant)i;
      return true;
    }
#endif
  (void)name;
  return false;
}

static void list_plants(void) {
#define LINE(name, words) printf("%s\t%s\n", #name, words);
  BT_PLANTS(LINE)
#undef LINE
}

static struct options options_of(int argc, char **argv) {
  struct options o = {.first = 1, .count = SEEDS, .most = 10};
  int at = 1;
  for (; at < argc && argv[at][0] == '-'; at++)
    if (strcmp(argv[at], "-v") == 0)
      o.verbose = true;
    else if (strcmp(argv[at], "-t") == 0)
      o.hash = true;
    else if (strcmp(argv[at], "-1") == 0)
      o.most = 1;
    else if (strcmp(argv[at], "-l") == 0)
      list_plants(), exit(0);
    else if (strcmp(argv[at], "-p") == 0 && at + 1 < argc)
      BT_ASSERT(plant(argv[++at]));
    else
      BT_ASSERT(!"usage: tests/sim/sim [-v] [-t] [-1] [-l] [-p PLANT] [FIRST [COUNT]]");
  if (at < argc)
    BT_ASSERT(bt_parse_i64(argv[at], 0, INT64_MAX, &o.first));
  if (at + 1 < argc)
    BT_ASSERT(bt_parse_i64(argv[at + 1], 1, INT64_MAX, &o.count));
  return o;
}

/* The store wants a folder for its lock; the disk itself is in memory. */
static char *dir_new(void) {
  char *dir = bt_strdup(access("/dev/shm", W_OK) == 0 ? "/dev/shm/berth-sim-XXXXXX" : "/tmp/berth-sim-XXXXXX");
  BT_ASSERT(mkdtemp(dir));
  return dir;
}

static void dir_free(char *dir) {
  static const char *const files[] = {"state.db", "state.db.lock"};
  for (size_t i = 0; i < BT_COUNT(files); i++) {
    BT_AUTO_FREE char *path = bt_asprintf("%s/%s", dir, files[i]);
    unlink(path);
  }
  rmdir(dir);
  free(dir);
}

/* All seeds; how many failed. */
static int run_seeds(const struct options *o, const char *dir, struct totals *t) {
  int failed = 0;
  for (long long i = 0; i < o->count && failed < o->most; i++) {
    uint64_t before = t->hash;
    if (!run_seed((uint64_t)(o->first + i), o->verbose, dir, t)) {
      printf("# again with: tests/sim/sim -v %lld 1\n", o->first + i);
      failed++;
    }
    if (o->hash)
      printf("# trace of seed %lld: %016llx\n", o->first + i, (unsigned long long)(t->hash ^ before));
  }
  return failed;
}

int main(int argc, char **argv) {
  struct options o = options_of(argc, argv);
  char *dir = dir_new();
  struct totals t = {0}, again = {0};
  int64_t begun_us = bt_clock_mono_us();
  bt_log_setup(BT_LOG_ERROR + 1, false);
  int failed = run_seeds(&o, dir, &t);
  int64_t took_us = BT_MAX(bt_clock_mono_us() - begun_us, 1);
  ok(failed == 0, "%lld worlds from seed %lld, trace %016llx", o.count, o.first, (unsigned long long)t.hash);
  ok(o.count < 10 || (t.crashes > (uint64_t)o.count && t.faults > 0), "the server died %llu times in %llu steps, the disk failed %llu times, %llu requests were answered",
     (unsigned long long)t.crashes, (unsigned long long)t.steps, (unsigned long long)t.faults, (unsigned long long)t.answers);
  printf("# %.1f s, %.0f times real time\n", (double)took_us / 1e6, (double)t.virtual_ms * 1000 / (double)took_us);
  if (failed == 0 && o.count > 1) {
    struct options one = {.first = o.first, .count = BT_MIN(o.count, 3), .most = 1};
    struct totals first = {0};
    run_seeds(&one, dir, &first);
    run_seeds(&one, dir, &again);
    ok(first.hash == again.hash, "the same seeds leave the same trace");
  }
  dir_free(dir);
  return done_testing();
}
