/* From Berth's limits to the Engine's update request (pure). The Engine takes 0 for "as it is", so that it cannot be told to take a limit of
 * cpu or memory away; and it wants memory and swap together. */
#include "config.h"
#include "spec.h"

#include "util.h"

static json_t *refuse(json_t *body_steal, enum berth_code *code, char **why, enum berth_code as, char *sentence_steal) {
  json_decref(body_steal);
  *code = as;
  *why = sentence_steal;
  return NULL;
}

/* What create makes of a limit without memswap_limit is as much swap again; what the file says itself stays. 0: it is less than the memory. */
static int64_t swap_for(const json_t *host, int64_t memory) {
  int64_t was = pu_number(host, "Memory", 0), swap = pu_number(host, "MemorySwap", 0);
  if (swap < 0)
    return -1;
  if (swap == 0 || swap == 2 * was)
    return memory <= INT64_MAX / 2 ? 2 * memory : -1;
  return swap >= memory ? swap : 0;
}

/* An amount that is asked for; < 0: none is. */
static int64_t asked(const json_t *wanted, const char *key) {
  const json_t *v = json_object_get(wanted, key);
  return v && !json_is_null(v) ? (int64_t)json_number_value(v) : -1;
}

json_t *rd_update_body(const json_t *host, const json_t *wanted, enum berth_code *code, char **why) {
  static const struct {
    const char *key, *engine, *what;
  } sizes[] = {{"memory", "Memory", "memory"}, {"memory_reservation", "MemoryReservation", "reserved memory"}};
  json_t *body = json_object();
  for (size_t i = 0; i < PU_COUNT(sizes); i++) {
    int64_t to = asked(wanted, sizes[i].key), is = pu_number(host, sizes[i].engine, 0);
    if (to < 0 || to == is)
      continue;
    if (to == 0)
      return refuse(body, code, why, BERTH_UNSUPPORTED, pu_asprintf("the engine takes no limit of %s away while it runs", sizes[i].what));
    json_object_set_new(body, sizes[i].engine, json_integer(to));
  }
  int64_t memory = pu_number(body, "Memory", 0), swap = memory ? swap_for(host, memory) : 0;
  if (memory && !swap)
    return refuse(body, code, why, BERTH_INVALID, pu_asprintf("its memswap_limit is less than the %lld bytes of memory", (long long)memory));
  if (memory)
    json_object_set_new(body, "MemorySwap", json_integer(swap));
  double cpus = json_object_get(wanted, "cpus") ? json_number_value(json_object_get(wanted, "cpus")) : -1;
  int64_t nano = cpus >= 0 && cpus < 1e6 ? (int64_t)(cpus * 1e9 + 0.5) : -1, pids = asked(wanted, "pids"), had = pu_number(host, "PidsLimit", 0);
  if (nano == 0 && pu_number(host, "NanoCpus", 0) != 0)
    return refuse(body, code, why, BERTH_UNSUPPORTED, pu_strdup("the engine takes no limit of cpus away while it runs"));
  if (nano > 0 && nano != pu_number(host, "NanoCpus", 0))
    json_object_set_new(body, "NanoCpus", json_integer(nano));
  if (pids >= 0 && pids != (had > 0 ? had : 0))
    json_object_set_new(body, "PidsLimit", json_integer(pids));
  return body;
}
