/* Limits of HostConfig: memory, cpu, pids, block I/O, ulimits; and device requests (gpus). deploy.resources wins over the
 * older attributes, as in Compose. */
#include "config.h"
#include "spec.h"

#include "util.h"

static void set_nano_cpus(struct rd_spec *s, const json_t *o) {
  PU_AUTO_FREE text = pu_scalar(json_object_get(o, "cpus"));
  char *end;
  double cpus = text ? strtod(text, &end) : 0;
  if (!text)
    return;
  if (*end || !(cpus >= 0) || cpus > 1e6)
    rd_spec_error(s, BERTH_INVALID, "cpus: \"%s\" is no number of processors", text);
  else if (cpus > 0)
    json_object_set_new(s->host, "NanoCpus", json_integer((json_int_t)(cpus * 1e9 + 0.5)));
}

static void limits_deploy(struct rd_spec *s) {
  static const struct rd_attr limits[] = {{"memory", "Memory", RD_SIZE}, {"pids", "PidsLimit", RD_INT}};
  static const struct rd_attr reservations[] = {{"memory", "MemoryReservation", RD_SIZE}};
  const json_t *resources = pu_obj(pu_obj(s->service, "deploy"), "resources");
  const json_t *limit = pu_obj(resources, "limits"), *reserved = pu_obj(resources, "reservations");
  rd_spec_copy(s, limit, s->host, limits, PU_COUNT(limits));
  rd_spec_copy(s, reserved, s->host, reservations, PU_COUNT(reservations));
  set_nano_cpus(s, limit);
}

/* ---------------------------------------------------------------- block I/O */

/* The canonical model names the members as the engine does ("Path", "Rate"), a file as Compose does ("path", "rate"). */
static void blkio_list(struct rd_spec *s, const json_t *config, const char *key, const char *engine, const char *member,
                       const char *engine_member) {
  const json_t *list = pu_arr(config, key);
  if (!list)
    return;
  json_t *out = json_array(), *v;
  json_object_set_new(s->host, engine, out);
  size_t i;
  json_array_foreach(list, i, v) {
    const char *path = pu_str(v, "Path") ? pu_str(v, "Path") : pu_str(v, "path");
    if (!path)
      rd_spec_error(s, BERTH_INVALID, "blkio_config.%s: an entry names no path", key);
    else
      json_array_append_new(out, json_pack("{s:s, s:I}", "Path", path, engine_member,
                                           (json_int_t)pu_number(v, engine_member, pu_number(v, member, 0))));
  }
}

static void limits_blkio(struct rd_spec *s) {
  const json_t *config = pu_obj(s->service, "blkio_config");
  if (!config)
    return;
  static const struct rd_attr weight[] = {{"weight", "BlkioWeight", RD_INT}};
  rd_spec_copy(s, config, s->host, weight, 1);
  blkio_list(s, config, "weight_device", "BlkioWeightDevice", "weight", "Weight");
  blkio_list(s, config, "device_read_bps", "BlkioDeviceReadBps", "rate", "Rate");
  blkio_list(s, config, "device_write_bps", "BlkioDeviceWriteBps", "rate", "Rate");
  blkio_list(s, config, "device_read_iops", "BlkioDeviceReadIOps", "rate", "Rate");
  blkio_list(s, config, "device_write_iops", "BlkioDeviceWriteIOps", "rate", "Rate");
}

/* ---------------------------------------------------------------- ulimits */

/* -1 is "unlimited" for people and for the Engine alike. */
static int64_t clamp(struct rd_spec *s, const char *name, int64_t value, int64_t hard) {
  if (value >= 0 && value <= hard)
    return value;
  if (value < 0)
    rd_spec_warn(s, "ulimits.%s: unlimited is cut to %lld, the engine's own hard limit, which it may not raise", name,
                 (long long)hard);
  else
    rd_spec_warn(s, "ulimits.%s: %lld is cut to %lld, the engine's own hard limit, which it may not raise", name,
                 (long long)value, (long long)hard);
  return hard;
}

static void ulimit_add(json_t *list, const char *name, int64_t soft, int64_t hard) {
  json_array_append_new(list, json_pack("{s:s, s:I, s:I}", "Name", name, "Soft", (json_int_t)soft, "Hard", (json_int_t)hard));
}

/* Podman raises these two by itself where nothing is asked for, and fails where it may not. */
static void ulimits_podman(struct rd_spec *s, const json_t *asked, json_t *out) {
  static const char *const names[] = {"nofile", "nproc"};
  int64_t most;
  for (size_t i = 0; i < PU_COUNT(names); i++)
    if (!json_object_get(asked, names[i]) && s->env->hard_limit && s->env->hard_limit(s->env->hard_limit_arg, names[i], &most))
      ulimit_add(out, names[i], most, most);
}

static void limits_ulimits(struct rd_spec *s) {
  const json_t *ulimits = pu_obj(s->service, "ulimits");
  json_t *out = json_array(), *v;
  const char *name;
  json_object_foreach((json_t *)(uintptr_t)ulimits, name, v) {
    int64_t soft = pu_number(json_is_object(v) ? v : ulimits, json_is_object(v) ? "soft" : name, -1);
    int64_t hard = json_is_object(v) ? pu_number(v, "hard", soft) : soft, most;
    if (s->env->hard_limit && s->env->hard_limit(s->env->hard_limit_arg, name, &most)) {
      hard = clamp(s, name, hard, most);
      if (soft < 0 || soft > hard)
        soft = hard;
    }
    ulimit_add(out, name, soft, hard);
  }
  if (s->env->podman)
    ulimits_podman(s, ulimits, out);
  if (json_array_size(out))
    json_object_set(s->host, "Ulimits", out);
  json_decref(out);
}

/* ---------------------------------------------------------------- device requests */

static void device_request_add(struct rd_spec *s, json_t *list, const json_t *device, bool gpu) {
  json_t *ids = pu_strings(json_object_get(device, "device_ids"));
  json_t *capabilities = pu_strings(json_object_get(device, "capabilities"));
  const json_t *count = json_object_get(device, "count");
  if (!capabilities)
    capabilities = json_array();
  if (gpu) {
    bool named = false;
    size_t i;
    json_t *v;
    json_array_foreach(capabilities, i, v)
      named = named || pu_eq(json_string_value(v), "gpu");
    if (!named)
      json_array_append_new(capabilities, json_string("gpu"));
  }
  if (!json_array_size(capabilities))
    rd_spec_error(s, BERTH_INVALID, "deploy.resources.reservations.devices: capabilities are missing");
  json_t *options = pu_map(json_object_get(device, "options"));
  bool all = pu_eq(json_string_value(count), "all") || (!count && !ids);
  json_array_append_new(
      list, json_pack("{s:s, s:I, s:o, s:[o], s:o}", "Driver", pu_str_or(device, "driver", ""), "Count",
                      (json_int_t)(ids ? 0 : all ? -1 : pu_number(device, "count", -1)), "DeviceIDs", ids ? ids : json_array(),
                      "Capabilities", capabilities, "Options", options ? options : json_object()));
}

static void limits_device_requests(struct rd_spec *s) {
  const json_t *resources = pu_obj(pu_obj(s->service, "deploy"), "resources");
  const json_t *devices = pu_arr(pu_obj(resources, "reservations"), "devices"), *gpus = json_object_get(s->service, "gpus");
  PU_AUTO_JSON all = json_is_string(gpus) ? json_pack("[{s:s}]", "count", json_string_value(gpus)) : NULL;
  if (all)
    gpus = all;
  if (!json_array_size(devices) && !json_array_size(gpus))
    return;
  json_t *list = json_object_get(s->host, "DeviceRequests"), *v;
  if (!list)
    json_object_set_new(s->host, "DeviceRequests", list = json_array());
  size_t i;
  json_array_foreach(devices, i, v)
    device_request_add(s, list, v, false);
  json_array_foreach(gpus, i, v)
    device_request_add(s, list, v, true);
}

void rd_spec_limits(struct rd_spec *s) {
  static const struct rd_attr table[] = {
      {"cpu_count", "CpuCount", RD_INT},
      {"cpu_percent", "CpuPercent", RD_INT},
      {"cpu_period", "CpuPeriod", RD_MICROS},
      {"cpu_quota", "CpuQuota", RD_MICROS},
      {"cpu_rt_period", "CpuRealtimePeriod", RD_MICROS},
      {"cpu_rt_runtime", "CpuRealtimeRuntime", RD_MICROS},
      {"cpu_shares", "CpuShares", RD_INT},
      {"cpuset", "CpusetCpus", RD_STR},
      {"mem_limit", "Memory", RD_SIZE},
      {"mem_reservation", "MemoryReservation", RD_SIZE},
      {"mem_swappiness", "MemorySwappiness", RD_INT},
      {"memswap_limit", "MemorySwap", RD_SIZE},
      {"pids_limit", "PidsLimit", RD_INT},
  };
  rd_spec_copy(s, s->service, s->host, table, PU_COUNT(table));
  set_nano_cpus(s, s->service);
  limits_deploy(s);
  limits_blkio(s);
  limits_ulimits(s);
  limits_device_requests(s);
}
