/* The configuration of an entry: how long things take, how often they fail, and how. Pure. */
#ifndef SIM_SETTINGS_H
#define SIM_SETTINGS_H

#include <berth/plugin.h>

#include "../common/util.h"
#include "dice.h"

/* The methods that take time and can fail, by their names in berth/runtime.h and berth/registry.h. */
enum sim_verb {
  SIM_INFO, SIM_IMAGE_INSPECT, SIM_IMAGE_PULL, SIM_IMAGE_BUILD, SIM_IMAGE_PRUNE, SIM_NETWORK_ENSURE, SIM_NETWORK_REMOVE,
  SIM_NETWORK_LIST, SIM_VOLUME_ENSURE, SIM_VOLUME_REMOVE, SIM_VOLUME_LIST, SIM_CREATE, SIM_START, SIM_STOP, SIM_KILL, SIM_REMOVE,
  SIM_INSPECT, SIM_LIST, SIM_EVENTS, SIM_LOGS, SIM_EXEC, SIM_STATS, SIM_COPY_IN, SIM_COPY_OUT, SIM_UPDATE, SIM_RESOLVE, SIM_TAGS, SIM_VERBS
};

const char *sim_verb_name(enum sim_verb verb);

struct sim_failure {
  double share;
  enum berth_code code; /* what such a call ends with */
  bool hang;            /* instead it never ends, until the caller gives up */
};

enum { sim_max_exits = 16 };

/* One way to end, and its share of all ends. */
struct sim_exit {
  int code;
  bool oom;
  double share;
};

struct sim_exits {
  struct sim_exit items[sim_max_exits];
  size_t n;
};

struct sim_settings {
  uint64_t seed;
  int64_t cpus, memory, disk, pids;
  char *platform, *os, *arch;
  struct sim_range delays[SIM_VERBS];
  bool tail;
  struct sim_failure failures[SIM_VERBS];
  double crashes_per_hour, sick_per_hour, outages_per_hour;
  struct sim_range outage, ready_after, job_time;
  struct sim_exits crash_exits, job_exits;
  double never_ready;
  json_t *jobs, *missing_images, *externals; /* arrays of patterns */
  bool registry;
  int64_t log_every;
  char *state;
};

/* Reads the host's JSON. False: *why is a sentence that names the field (the caller frees), and *out holds nothing. */
bool sim_settings_read(const char *config_json, struct sim_settings *out, char **why);
void sim_settings_free(struct sim_settings *settings);

/* The way to end at u of 0 … 1; where the shares leave something over, with the code otherwise. */
struct sim_exit sim_exit_at(const struct sim_exits *exits, double u, int otherwise);

/* Does one of the patterns cover text? */
bool sim_listed(const json_t *patterns, const char *text);

extern const struct berth_field sim_fields[];

#endif
