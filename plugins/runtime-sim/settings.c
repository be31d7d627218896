/* The fields, and what they mean. Times, shares and ways to end are texts, so that ranges and percents can be written. */
#include "config.h"

#include "settings.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

enum { day_ms = 86400000 };

const struct berth_field sim_fields[] = {
    {.name = "seed", .type = BERTH_INT, .fallback = "1", .doc = "What all chance depends on: the same seed, the same delays, failures and crashes of each service's slots."},
    {.name = "state", .type = BERTH_STRING, .immutable = true, .doc = "File that remembers the pretended containers over a restart; without it they are gone then, as after a power cut."},
    {.name = "cpus", .type = BERTH_INT, .fallback = "64", .min = 1, .max = 1000000, .doc = "Processors of the pretended machine."},
    {.name = "memory", .type = BERTH_SIZE, .fallback = "256GiB", .min = 1 << 20, .max = (int64_t)1 << 60, .doc = "Memory of the pretended machine, in bytes."},
    {.name = "disk", .type = BERTH_SIZE, .fallback = "4TiB", .min = 1 << 20, .max = (int64_t)1 << 60, .doc = "Its disk, in bytes."},
    {.name = "pids", .type = BERTH_INT, .fallback = "4194304", .min = 1, .max = (int64_t)1 << 31, .doc = "How many processes it may have."},
    {.name = "platform", .type = BERTH_STRING, .fallback = "linux/amd64", .doc = "Platform of the pretended machine: os/arch."},
    {.name = "delays", .type = BERTH_MAP, .fallback = "{}", .doc = "How long a method takes, by its name: a time (\"2s\") or a range (\"100ms..2s\"). Without an entry: image_pull 500ms..3s, image_build 1s..5s, create 20ms..80ms, start 100ms..600ms, stop 50ms..500ms, remove 10ms..50ms, exec 5ms..30ms, others none."},
    {.name = "spread", .type = BERTH_STRING, .fallback = "even", .doc = "How times lie within their ranges: even, or tail (most are near the low end, a few near the high one)."},
    {.name = "failures", .type = BERTH_MAP, .fallback = "{}", .doc = "Share of a method's calls that fail, by its name: \"5%\", or with a code (\"5% unavailable\"; io without one), or \"1% hang\" for calls that never end until the caller gives up."},
    {.name = "crashes_per_hour", .type = BERTH_STRING, .fallback = "0", .doc = "How often a running container crashes on average in an hour; 0.05 is once in twenty hours."},
    {.name = "crash_exits", .type = BERTH_MAP, .fallback = "{\"1\":\"60%\",\"139\":\"20%\",\"oom\":\"20%\"}", .doc = "Exit codes of crashes and their shares; oom is out of memory, with 137."},
    {.name = "ready_after", .type = BERTH_STRING, .fallback = "0s", .doc = "How long a started container with a health check takes until it is healthy: a time or a range."},
    {.name = "never_ready", .type = BERTH_STRING, .fallback = "0%", .doc = "Share of starts after which a container becomes unhealthy instead; its execs end with 1."},
    {.name = "sick_per_hour", .type = BERTH_STRING, .fallback = "0", .doc = "How often a running container turns unhealthy on average in an hour, until it is started anew; its execs end with 1."},
    {.name = "jobs", .type = BERTH_LIST, .fallback = "[]", .doc = "Further services that end by themselves, as app/service with * and ?. Without it: deploy.mode replicated-job and global-job, and restart no or on-failure without ports, expose and health check."},
    {.name = "job_time", .type = BERTH_STRING, .fallback = "1s..5s", .doc = "How long a job runs: a time or a range."},
    {.name = "job_exits", .type = BERTH_MAP, .fallback = "{\"0\":\"100%\"}", .doc = "Exit codes of jobs and their shares; what is left over ends with 0."},
    {.name = "outages_per_hour", .type = BERTH_STRING, .fallback = "0", .doc = "How often the pretended engine goes away on average in an hour; its containers run on."},
    {.name = "outage", .type = BERTH_STRING, .fallback = "5s..30s", .doc = "How long it stays away: a time or a range."},
    {.name = "registry", .type = BERTH_BOOL, .fallback = "true", .immutable = true, .doc = "Answer for every image registry, too: each tag has a digest that never changes, and nobody is asked."},
    {.name = "missing_images", .type = BERTH_LIST, .fallback = "[]", .doc = "Images that no registry has, as \"docker.io/library/web:*\" with * and ?."},
    {.name = "externals", .type = BERTH_LIST, .fallback = "[\"*\"]", .doc = "External networks and volumes that exist already, with * and ?."},
    {.name = "log_every", .type = BERTH_DURATION, .fallback = "1s", .min = 1, .max = day_ms, .doc = "How often a running container writes a line."},
    {0}};

static const char *const verbs[SIM_VERBS] = {
    "info", "image_inspect", "image_pull", "image_build", "image_prune", "network_ensure", "network_remove",
    "network_list", "volume_ensure", "volume_remove", "volume_list", "create", "start", "stop", "kill", "remove",
    "inspect", "list", "events", "logs", "exec", "stats", "copy_in", "copy_out", "update", "resolve", "tags"};

const char *sim_verb_name(enum sim_verb verb) { return verbs[verb]; }

static int verb_of(const char *name) {
  for (int i = 0; i < SIM_VERBS; i++)
    if (i != SIM_EVENTS && strcmp(verbs[i], name) == 0)
      return i;
  return -1;
}

static char *unknown_verb(const char *field, const char *name) {
  PU_AUTO_BUF all = {0};
  for (int i = 0; i < SIM_VERBS; i++)
    if (i != SIM_EVENTS)
      pu_buf_addf(&all, "%s%s", i ? ", " : "", verbs[i]);
  return pu_asprintf("%s: \"%s\" is no method; there are %s", field, name, all.data);
}

/* ---------------------------------------------------------------- numbers */

/* A finite number of 0 or more that text begins with; NULL where there is none, else what follows it. Never "0x1" or "nan". */
static const char *number(const char *text, double *out) {
  char *end;
  if (*text < '0' || *text > '9' || text[strspn(text, "0123456789.")] == 'x')
    return NULL;
  errno = 0;
  *out = strtod(text, &end);
  return errno || !isfinite(*out) ? NULL : end;
}

static const char *time_of(const char *text, int64_t *ms) {
  static const struct {
    const char *unit;
    double ms;
  } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
  double value;
  const char *rest = number(text, &value);
  for (size_t i = 0; rest && i < PU_COUNT(units); i++)
    if (pu_starts(rest, units[i].unit)) {
      *ms = value * units[i].ms <= day_ms ? (int64_t)(value * units[i].ms) : -1;
      return *ms < 0 ? NULL : rest + strlen(units[i].unit);
    }
  *ms = 0;
  return rest && value == 0 ? rest : NULL;
}

static char *read_range(const char *field, const char *text, struct sim_range *out) {
  const char *rest = time_of(text, &out->low);
  out->high = out->low;
  if (rest && pu_starts(rest, ".."))
    rest = time_of(rest + 2, &out->high);
  if (!rest || *rest)
    return pu_asprintf("%s: \"%s\" is neither a time such as 500ms, 2s, 1m nor a range such as 100ms..2s, of a day at most", field, text);
  return out->high < out->low ? pu_asprintf("%s: \"%s\" ends before it begins", field, text) : NULL;
}

/* "5%", "0.05"; *rest is what follows, without spaces. */
static bool share_of(const char *text, double *out, const char **rest) {
  const char *end = number(text, out);
  if (!end)
    return false;
  if (*end == '%') {
    *out /= 100;
    end++;
  }
  *rest = end + strspn(end, " ");
  return *out <= 1;
}

static char *read_share(const char *field, const char *text, double *out) {
  const char *rest;
  return share_of(text, out, &rest) && !*rest ? NULL : pu_asprintf("%s: \"%s\" is no share such as 5%%", field, text);
}

static char *read_rate(const char *field, const char *text, double *out) {
  const char *rest = number(text, out);
  return rest && !*rest && *out <= 1e6 ? NULL : pu_asprintf("%s: \"%s\" is no number of 0 to 1000000", field, text);
}

/* ---------------------------------------------------------------- maps */

static char *read_delays(const json_t *map, struct sim_settings *s) {
  static const struct {
    enum sim_verb verb;
    struct sim_range range;
  } usual[] = {{SIM_IMAGE_PULL, {500, 3000}}, {SIM_IMAGE_BUILD, {1000, 5000}}, {SIM_CREATE, {20, 80}}, {SIM_START, {100, 600}},
               {SIM_STOP, {50, 500}},         {SIM_REMOVE, {10, 50}},          {SIM_EXEC, {5, 30}}};
  for (size_t i = 0; i < PU_COUNT(usual); i++)
    s->delays[usual[i].verb] = usual[i].range;
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)map, name, value) {
    int verb = verb_of(name);
    if (verb < 0)
      return unknown_verb("delays", name);
    PU_AUTO_FREE field = pu_asprintf("delays.%s", name);
    char *error = read_range(field, json_string_value(value) ? json_string_value(value) : "", &s->delays[verb]);
    if (error)
      return error;
  }
  return NULL;
}

static bool code_of(const char *word, struct sim_failure *out) {
  static const struct {
    const char *word;
    enum berth_code code;
  } codes[] = {{"", BERTH_IO},
               {"io", BERTH_IO},
               {"invalid", BERTH_INVALID},
               {"not_found", BERTH_NOT_FOUND},
               {"conflict", BERTH_CONFLICT},
               {"denied", BERTH_DENIED},
               {"unsupported", BERTH_UNSUPPORTED},
               {"exhausted", BERTH_EXHAUSTED},
               {"unavailable", BERTH_UNAVAILABLE},
               {"internal", BERTH_INTERNAL}};
  out->hang = strcmp(word, "hang") == 0;
  for (size_t i = 0; i < PU_COUNT(codes); i++)
    if (strcmp(codes[i].word, word) == 0) {
      out->code = codes[i].code;
      return true;
    }
  return out->hang;
}

static char *read_failures(const json_t *map, struct sim_settings *s) {
  const char *name, *rest;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)map, name, value) {
    int verb = verb_of(name);
    if (verb < 0)
      return unknown_verb("failures", name);
    const char *text = json_string_value(value) ? json_string_value(value) : "";
    if (!share_of(text, &s->failures[verb].share, &rest) || !code_of(rest, &s->failures[verb]))
      return pu_asprintf("failures.%s: \"%s\" is no share such as 5%%, with io, invalid, not_found, conflict, denied, unsupported, exhausted, "
                         "unavailable, internal or hang behind it where another end than io is wanted",
                         name, text);
  }
  return NULL;
}

static char *read_exit(const char *field, const char *name, const char *text, struct sim_exit *out) {
  double code = 137;
  const char *rest = strcmp(name, "oom") == 0 ? "" : number(name, &code);
  if (!rest || *rest || code > 255 || code != floor(code))
    return pu_asprintf("%s: \"%s\" is neither an exit code of 0 to 255 nor oom", field, name);
  out->code = (int)code;
  out->oom = *name == 'o';
  return read_share(field, text, &out->share);
}

static char *read_exits(const char *field, const json_t *map, struct sim_exits *out) {
  const char *name;
  json_t *value;
  double all = 0;
  if (json_object_size(map) > sim_max_exits)
    return pu_asprintf("%s: there are over %d", field, sim_max_exits);
  json_object_foreach((json_t *)(uintptr_t)map, name, value) {
    char *error = read_exit(field, name, json_string_value(value) ? json_string_value(value) : "", &out->items[out->n]);
    if (error)
      return error;
    all += out->items[out->n++].share;
  }
  return all > 1.000001 ? pu_asprintf("%s: the shares are over 100%% together", field) : NULL;
}

struct sim_exit sim_exit_at(const struct sim_exits *exits, double u, int otherwise) {
  for (size_t i = 0; i < exits->n; i++) {
    if (u < exits->items[i].share)
      return exits->items[i];
    u -= exits->items[i].share;
  }
  return (struct sim_exit){.code = otherwise};
}

bool sim_listed(const json_t *patterns, const char *text) {
  size_t i;
  json_t *p;
  json_array_foreach(patterns, i, p) if (json_is_string(p) && pu_glob(json_string_value(p), text)) return true;
  return false;
}

/* ---------------------------------------------------------------- all */

static char *read_platform(struct sim_settings *s) {
  const char *slash = strchr(s->platform, '/');
  if (!slash || slash == s->platform || !slash[1])
    return pu_asprintf("platform: \"%s\" is not os/arch, such as linux/amd64", s->platform);
  s->os = pu_strndup(s->platform, (size_t)(slash - s->platform));
  s->arch = pu_strndup(slash + 1, strcspn(slash + 1, "/"));
  return NULL;
}

static char *read_spread(const char *text, bool *tail) {
  *tail = strcmp(text, "tail") == 0;
  return *tail || strcmp(text, "even") == 0 ? NULL : pu_asprintf("spread: \"%s\" is neither even nor tail", text);
}

static char *read_state(const char *path) {
  return path && *path != '/' ? pu_asprintf("state: \"%s\" is no absolute path", path) : NULL;
}

static char *read_times(const json_t *o, struct sim_settings *s) {
  char *error = read_delays(pu_obj(o, "delays"), s);
  if (!error)
    error = read_range("ready_after", pu_str_or(o, "ready_after", "0s"), &s->ready_after);
  if (!error)
    error = read_range("job_time", pu_str_or(o, "job_time", "1s..5s"), &s->job_time);
  if (!error)
    error = read_range("outage", pu_str_or(o, "outage", "5s..30s"), &s->outage);
  return error ? error : read_spread(pu_str_or(o, "spread", "even"), &s->tail);
}

static char *read_chances(const json_t *o, struct sim_settings *s) {
  char *error = read_failures(pu_obj(o, "failures"), s);
  if (!error)
    error = read_rate("crashes_per_hour", pu_str_or(o, "crashes_per_hour", "0"), &s->crashes_per_hour);
  if (!error)
    error = read_rate("sick_per_hour", pu_str_or(o, "sick_per_hour", "0"), &s->sick_per_hour);
  if (!error)
    error = read_rate("outages_per_hour", pu_str_or(o, "outages_per_hour", "0"), &s->outages_per_hour);
  if (!error)
    error = read_share("never_ready", pu_str_or(o, "never_ready", "0%"), &s->never_ready);
  if (!error)
    error = read_exits("crash_exits", pu_obj(o, "crash_exits"), &s->crash_exits);
  return error ? error : read_exits("job_exits", pu_obj(o, "job_exits"), &s->job_exits);
}

bool sim_settings_read(const char *config_json, struct sim_settings *out, char **why) {
  PU_AUTO_JSON o = config_json ? pu_json_parse(config_json, strlen(config_json)) : NULL;
  *out = (struct sim_settings){.seed = (uint64_t)pu_int(o, "seed", 1),
                               .cpus = pu_int(o, "cpus", 64),
                               .memory = pu_int(o, "memory", (int64_t)256 << 30),
                               .disk = pu_int(o, "disk", (int64_t)4 << 40),
                               .pids = pu_int(o, "pids", 4194304),
                               .platform = pu_strdup(pu_str_or(o, "platform", "linux/amd64")),
                               .registry = pu_bool(o, "registry", true),
                               .log_every = pu_int(o, "log_every", 1000),
                               .state = pu_strdup(pu_str(o, "state")),
                               .jobs = json_incref(pu_arr(o, "jobs")),
                               .missing_images = json_incref(pu_arr(o, "missing_images")),
                               .externals = json_incref(pu_arr(o, "externals"))};
  char *error = read_platform(out);
  if (!error)
    error = read_state(out->state);
  if (!error)
    error = read_times(o, out);
  if (!error)
    error = read_chances(o, out);
  if (!error)
    return true;
  sim_settings_free(out);
  *why = error;
  return false;
}

void sim_settings_free(struct sim_settings *s) {
  free(s->platform);
  free(s->os);
  free(s->arch);
  free(s->state);
  json_decref(s->jobs);
  json_decref(s->missing_images);
  json_decref(s->externals);
  *s = (struct sim_settings){0};
}
