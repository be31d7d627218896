/* Limits in control groups: what the OCI runtime is told as for version 1, which it translates for version 2. What the kernel of this machine
 * does not have is left out with a warning, as Docker does it; what is wrong in itself is an error. deploy.resources wins over the older
 * attributes, as in Compose. */
#include "config.h"
#include <math.h>
#include <stdio.h>

#include "parts.h"

enum { least_memory = 6 << 20 };

static json_t *section(json_t *resources, const char *key) {
  json_t *o = json_object_get(resources, key);
  if (!o)
    json_object_set_new(resources, key, o = json_object());
  return o;
}

/* Says so where the kernel lacks it. */
static bool had(struct ro_spec *s, uint32_t what, const char *attribute, const char *of) {
  if (s->facts->has & what)
    return true;
  ro_warn(s, "%s: this kernel or its control groups have no %s, so it is left out", attribute, of);
  return false;
}

static const json_t *deploy(const struct ro_spec *s, const char *part) {
  return pu_obj(pu_obj(pu_obj(s->service, "deploy"), "resources"), part);
}

/* A size of deploy.resources, else of the older attribute; 0: none. */
static int64_t either_size(struct ro_spec *s, const char *part, const char *key, const char *older) {
  int64_t n = 0;
  if (ro_size(s, deploy(s, part), key, &n) || ro_size(s, s->service, older, &n))
    return n;
  return 0;
}

/* ---------------------------------------------------------------- memory */

static void memory_swap(struct ro_spec *s, json_t *memory, int64_t limit) {
  int64_t swap = 0;
  ro_size(s, s->service, "memswap_limit", &swap);
  if (swap < -1)
    ro_error(s, BERTH_INVALID, "memswap_limit: it is memory and swap together in bytes, or -1 for no limit");
  else if (swap > 0 && !limit)
    ro_error(s, BERTH_INVALID, "memswap_limit: it needs mem_limit as well");
  else if (swap > 0 && swap < limit)
    ro_error(s, BERTH_INVALID, "memswap_limit: %lld is less than mem_limit, but it is memory and swap together", (long long)swap);
  if (s->code || (!swap && !limit))
    return;
  if (!(s->facts->has & RO_HAS_SWAP)) {
    if (swap)
      ro_warn(s, "memswap_limit: this kernel or its control groups have no limit of swap, so it is left out");
    return;
  }
  json_object_set_new(memory, "swap", json_integer(swap ? swap : limit > INT64_MAX / 2 ? -1 : limit * 2));
}

static void memory_oom(struct ro_spec *s, json_t *memory, int64_t limit) {
  if (!pu_flag(s->service, "oom_kill_disable", false))
    return;
  if (s->facts->cgroup == 2 || !had(s, RO_HAS_OOM_CONTROL, "oom_kill_disable", "way to switch the OOM killer off")) {
    if (s->facts->cgroup == 2)
      ro_warn(s, "oom_kill_disable: version 2 of control groups has no way to switch the OOM killer off, so it is left out");
    return;
  }
  if (!limit)
    ro_warn(s, "oom_kill_disable: without mem_limit the container can take all memory, and the machine may hang");
  json_object_set_new(memory, "disableOOMKiller", json_true());
}

static void memory_swappiness(struct ro_spec *s, json_t *memory) {
  int64_t n = 0;
  if (!ro_size(s, s->service, "mem_swappiness", &n) || n == -1)
    return;
  if (n < 0 || n > 100)
    ro_error(s, BERTH_INVALID, "mem_swappiness: %lld is not between 0 and 100", (long long)n);
  else if (s->facts->cgroup == 2)
    ro_warn(s, "mem_swappiness: version 2 of control groups has none, so it is left out");
  else if (had(s, RO_HAS_SWAPPINESS, "mem_swappiness", "swappiness"))
    json_object_set_new(memory, "swappiness", json_integer(n));
}

static void memory(struct ro_spec *s, json_t *resources) {
  int64_t limit = either_size(s, "limits", "memory", "mem_limit"), kept = either_size(s, "reservations", "memory", "mem_reservation");
  json_t *memory = json_object();
  if (limit < 0 || (limit > 0 && limit < least_memory))
    ro_error(s, BERTH_INVALID, "mem_limit: %lld bytes are too few to start anything; the least is 6m", (long long)limit);
  if (kept < 0 || (limit > 0 && kept > limit))
    ro_error(s, BERTH_INVALID, "mem_reservation: %lld is not between 0 and mem_limit", (long long)kept);
  if (limit > 0 && had(s, RO_HAS_MEMORY, "mem_limit", "limit of memory"))
    json_object_set_new(memory, "limit", json_integer(limit));
  if (kept > 0 && had(s, RO_HAS_SOFT_MEMORY, "mem_reservation", "reservation of memory"))
    json_object_set_new(memory, "reservation", json_integer(kept));
  if (s->facts->has & RO_HAS_MEMORY)
    memory_swap(s, memory, limit);
  memory_swappiness(s, memory);
  memory_oom(s, memory, limit);
  if (json_object_size(memory))
    json_object_set(resources, "memory", memory);
  json_decref(memory);
}

/* ---------------------------------------------------------------- processors */

/* "0-3,5" within "0-7"? Numbers only; *known false where it is no such list. */
static bool list_within(const char *list, const char *all, bool *known) {
  *known = true;
  for (const char *p = list; *p;) {
    unsigned first, last;
    int n = 0;
    if (sscanf(p, "%6u%n", &first, &n) != 1)
      return *known = false;
    p += n;
    last = first;
    if (*p == '-' && (sscanf(p + 1, "%6u%n", &last, &n) != 1 || last < first))
      return *known = false;
    p += *p == '-' ? n + 1 : 0;
    if (*p && *p++ != ',')
      return *known = false;
    bool inside = !all;
    for (const char *q = all; q && *q && !inside;) {
      unsigned from, to;
      if (sscanf(q, "%6u%n", &from, &n) != 1)
        break;
      q += n;
      to = from;
      if (*q == '-' && sscanf(q + 1, "%6u%n", &to, &n) == 1)
        q += n + 1;
      inside = first >= from && last <= to;
      q += *q == ',';
    }
    if (!inside)
      return false;
  }
  return *list;
}

static void cpu_set(struct ro_spec *s, json_t *cpu) {
  PU_AUTO_FREE list = pu_scalar(ro_member(s->service, "cpuset"));
  bool known;
  if (!list || !*list)
    return;
  if (!list_within(list, s->facts->cpu_list, &known))
    ro_error(s, BERTH_INVALID, known ? "cpuset: %s is not within the processors of this machine, %s" : "cpuset: \"%s\" is no list such as 0-2,4 of %s", list,
             s->facts->cpu_list ? s->facts->cpu_list : "its processors");
  else if (had(s, RO_HAS_CPUSET, "cpuset", "sets of processors"))
    json_object_set_new(cpu, "cpus", json_string(list));
}

/* deploy.resources.limits.cpus, else cpus: as a quota of 100 ms. */
static void cpu_count(struct ro_spec *s, json_t *cpu) {
  PU_AUTO_FREE text = pu_scalar(ro_member(deploy(s, "limits"), "cpus"));
  if (!text)
    text = pu_scalar(ro_member(s->service, "cpus"));
  if (!text)
    return;
  char *end;
  double cpus = strtod(text, &end);
  if (!*text || *end || !(cpus >= 0) || cpus > 1e6) {
    ro_error(s, BERTH_INVALID, "cpus: \"%s\" is no number of processors", text);
    return;
  }
  if (cpus == 0)
    return;
  if (cpus < 0.01 || (s->facts->cpus && cpus > s->facts->cpus))
    ro_error(s, BERTH_INVALID, "cpus: %s is not between 0.01 and the %d processors of this machine", text, s->facts->cpus);
  if (ro_member(s->service, "cpu_quota") || ro_member(s->service, "cpu_period"))
    ro_error(s, BERTH_INVALID, "cpus: it says the same as cpu_quota and cpu_period; leave one of them out");
  if (!had(s, RO_HAS_CFS, "cpus", "quota of processor time"))
    return;
  json_object_set_new(cpu, "period", json_integer(100000));
  json_object_set_new(cpu, "quota", json_integer((json_int_t)llround(cpus * 100000)));
}

/* Microseconds, or a duration in words. */
static bool micros(struct ro_spec *s, const char *key, int64_t *us) {
  const json_t *v = ro_member(s->service, key);
  int64_t ns;
  if (json_is_integer(v) && json_integer_value(v) <= 0)
    return *us = json_integer_value(v), *us != 0;
  if (!v || !ro_duration(s, s->service, key, 1000, &ns))
    return false;
  *us = ns / 1000;
  return *us != 0;
}

static void cpu_quota(struct ro_spec *s, json_t *cpu) {
  int64_t period = 0, quota = 0;
  bool has_period = micros(s, "cpu_period", &period), has_quota = micros(s, "cpu_quota", &quota);
  if (has_period && (period < 1000 || period > 1000000))
    ro_error(s, BERTH_INVALID, "cpu_period: %lld us is not between 1000 and 1000000", (long long)period);
  if (has_quota && quota != -1 && quota < 1000)
    ro_error(s, BERTH_INVALID, "cpu_quota: %lld us is less than 1000", (long long)quota);
  if ((!has_period && !has_quota) || !had(s, RO_HAS_CFS, has_quota ? "cpu_quota" : "cpu_period", "quota of processor time"))
    return;
  if (has_period)
    json_object_set_new(cpu, "period", json_integer(period));
  if (has_quota)
    json_object_set_new(cpu, "quota", json_integer(quota));
}

static void cpu_realtime(struct ro_spec *s, json_t *cpu) {
  int64_t period = 0, runtime = 0;
  bool has_period = micros(s, "cpu_rt_period", &period), has_runtime = micros(s, "cpu_rt_runtime", &runtime);
  if ((!has_period && !has_runtime) || !had(s, RO_HAS_REALTIME, has_runtime ? "cpu_rt_runtime" : "cpu_rt_period", "shares of real-time processes"))
    return;
  if (has_runtime && (runtime < 0 || runtime > (has_period ? period : 1000000)))
    ro_error(s, BERTH_INVALID, "cpu_rt_runtime: %lld us is not between 0 and cpu_rt_period", (long long)runtime);
  if (has_period)
    json_object_set_new(cpu, "realtimePeriod", json_integer(period));
  if (has_runtime)
    json_object_set_new(cpu, "realtimeRuntime", json_integer(runtime));
}

static void cpu(struct ro_spec *s, json_t *resources) {
  static const char *const windows[] = {"cpu_count", "cpu_percent"};
  json_t *cpu = json_object();
  int64_t shares = 0;
  if (ro_size(s, s->service, "cpu_shares", &shares) && shares != 0) {
    if (shares < 0)
      ro_error(s, BERTH_INVALID, "cpu_shares: %lld is no weight; 1024 is the usual one", (long long)shares);
    else if (had(s, RO_HAS_CPU, "cpu_shares", "weights of processor time"))
      json_object_set_new(cpu, "shares", json_integer(shares < 2 ? 2 : shares > 262144 ? 262144 : shares)); /* the kernel's bounds */
  }
  cpu_count(s, cpu);
  cpu_quota(s, cpu);
  cpu_realtime(s, cpu);
  cpu_set(s, cpu);
  for (size_t i = 0; i < PU_COUNT(windows); i++)
    if (pu_number(s->service, windows[i], 0))
      ro_warn(s, "%s has an effect on Windows engines only; cpus limits the processor here", windows[i]);
  if (json_object_size(cpu))
    json_object_set(resources, "cpu", cpu);
  json_decref(cpu);
}

/* ---------------------------------------------------------------- processes, block devices */

static void pids(struct ro_spec *s, json_t *resources) {
  int64_t n = 0;
  if (!ro_size(s, deploy(s, "limits"), "pids", &n) && !ro_size(s, s->service, "pids_limit", &n))
    return;
  if (n > 0 && had(s, RO_HAS_PIDS, "pids_limit", "limit of processes"))
    json_object_set_new(section(resources, "pids"), "limit", json_integer(n));
}

/* [{"path", "rate"|"weight"}] -> [{"major", "minor", "rate"|"weight"}]. The canonical model names the members as engines do ("Path"). */
static void io_list(struct ro_spec *s, json_t *io, const json_t *config, const char *key, const char *oci, bool weight) {
  const json_t *list = pu_arr(config, key);
  json_t *v;
  size_t i;
  json_array_foreach(list, i, v) {
    const char *path = pu_str(v, "Path") ? pu_str(v, "Path") : pu_str_or(v, "path", "");
    int64_t n = pu_number(v, weight ? "Weight" : "Rate", pu_number(v, weight ? "weight" : "rate", -1));
    const json_t *device = pu_obj(pu_obj(s->in->found, "devices"), path);
    if (!pu_eq(pu_str(device, "type"), "b")) {
      ro_error(s, BERTH_INVALID, "blkio_config.%s: %s is no block device of this machine", key, *path ? path : "an entry without a path");
      continue;
    }
    if (n < 0 || (weight && (n < 10 || n > 1000))) {
      ro_error(s, BERTH_INVALID, "blkio_config.%s: %s: %lld is no %s", key, path, (long long)n, weight ? "weight (10 to 1000)" : "rate");
      continue;
    }
    json_t *out = json_object_get(io, oci);
    if (!out)
      json_object_set_new(io, oci, out = json_array());
    json_array_append_new(out, json_pack("{s:I, s:I, s:I}", "major", (json_int_t)pu_int(device, "major", 0), "minor", (json_int_t)pu_int(device, "minor", 0),
                                         weight ? "weight" : "rate", (json_int_t)n));
  }
}

static void io(struct ro_spec *s, json_t *resources) {
  static const char *const rates[][2] = {{"device_read_bps", "throttleReadBpsDevice"},
                                         {"device_write_bps", "throttleWriteBpsDevice"},
                                         {"device_read_iops", "throttleReadIOPSDevice"},
                                         {"device_write_iops", "throttleWriteIOPSDevice"}};
  const json_t *config = pu_obj(s->service, "blkio_config");
  PU_AUTO_JSON io = json_object();
  int64_t weight = 0;
  if (!config)
    return;
  if (ro_size(s, config, "weight", &weight) && weight != 0) {
    if (weight < 10 || weight > 1000)
      ro_error(s, BERTH_INVALID, "blkio_config.weight: %lld is not between 10 and 1000", (long long)weight);
    else if (had(s, RO_HAS_IO_WEIGHT, "blkio_config.weight: Block I/O weight", "weights of block devices"))
      json_object_set_new(io, "weight", json_integer(weight));
  }
  if (json_array_size(pu_arr(config, "weight_device")) && had(s, RO_HAS_IO_WEIGHT, "blkio_config.weight_device", "weights of block devices"))
    io_list(s, io, config, "weight_device", "weightDevice", true);
  for (size_t i = 0; i < PU_COUNT(rates); i++)
    if (json_array_size(pu_arr(config, rates[i][0])) && had(s, RO_HAS_IO, rates[i][0], "limits of block devices"))
      io_list(s, io, config, rates[i][0], rates[i][1], false);
  if (json_object_size(io))
    json_object_set(resources, "blockIO", io);
}

/* ---------------------------------------------------------------- place */

static void cgroup_path(struct ro_spec *s) {
  PU_AUTO_FREE own = pu_scalar(ro_member(s->service, "cgroup_parent"));
  const char *parent = own && *own ? own : s->choices->cgroup_parent ? s->choices->cgroup_parent : "/berth";
  PU_AUTO_FREE clean = ro_clean(parent);
  PU_AUTO_FREE path = pu_asprintf("%s/%s", pu_eq(clean, "/") ? "" : clean, s->in->id ? s->in->id : "");
  if (strlen(path) > RO_MAX_PATH)
    ro_error(s, BERTH_INVALID, "cgroup_parent: it is too long");
  json_object_set_new(s->linux_part, "cgroupsPath", pu_json_string(path));
  json_object_set_new(s->monitor, "cgroup", pu_json_string(path));
}

void ro_spec_resources(struct ro_spec *s) {
  json_t *resources = json_object();
  json_object_set_new(s->linux_part, "resources", resources);
  memory(s, resources);
  cpu(s, resources);
  pids(s, resources);
  io(s, resources);
  cgroup_path(s);
}
