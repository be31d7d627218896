/* x-berth of a service: probes, progress_deadline, update (the rest stands in xberth_disruption.c, xberth_job.c, xberth_placement.c and xberth_routes.c). Checked key by key and completed in place, so that what runs them reads plain values:
 * durations as Go prints them, numbers as numbers, commands as lists. */
#include "config.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "compose/support.h"
#include "compose/values.h"
#include "compose/xberth.h"
#include "model/semver.h"

const char *const bt_xberth_keys[] = {
    "probes", "probes.readiness", "probes.liveness", "probes.startup", "http", "http.path", "http.port", "http.scheme",
    "http.headers", "http.status", "tcp", "tcp.port", "exec", "exec.command", "interval", "timeout", "failures",
    "successes", "start_period", "job", "job.completions", "job.max_concurrent", "job.backoff_limit", "job.schedule", "job.time_zone", "job.concurrency",
    "job.starting_deadline", "job.active_deadline", "job.suspend", "job.successful_history_limit", "job.failed_history_limit", "progress_deadline", "routes",
    "protocol", "hosts", "paths", "port", "listen", "scheme", "weight", "share", "tls", "tls.secret", "tls.redirect", "sticky",
    "sticky.by", "sticky.cookie", "sticky.lifetime", "timeouts", "timeouts.connect", "timeouts.response", "timeouts.idle",
    "rate_limit", "rate_limit.requests", "rate_limit.period", "maintenance", "maintenance.status", "maintenance.content_type",
    "maintenance.body", "maintenance.retry_after", "maintenance.allow", "accept_proxy", "client_address", "update", "update_interval",
    "placement", "placement.strategy", "placement.require", "placement.prefer", "prefer.rule", "placement.affinity", "placement.anti_affinity", "affinity.service",
    "affinity.app", "affinity.namespace", "affinity.topology", "affinity.required", "placement.spread", "spread.max_skew", "placement.tolerations", "tolerations.key",
    "tolerations.value", "placement.priority", "placement.gang", "disruption", "disruption.max_unavailable", "disruption.min_available", "rollout", "rollout.strategy", "rollout.keep", "rollout.steps",
    "steps.instances", "steps.weight", "steps.pause",
    "autoscale", "autoscale.min", "autoscale.max", "autoscale.interval", "autoscale.tolerance", "autoscale.metrics", "metrics.cpu", "metrics.memory", "metrics.query",
    "metrics.lua", "metrics.name", "metrics.plugin", "metrics.target", "metrics.per", "metrics.activation", "autoscale.up", "autoscale.down", "up.stabilization", "up.limits",
    "limits.percent", "limits.instances", "limits.period", "up.select", "autoscale.schedules", "schedules.start", "schedules.end", "autoscale.vertical", "vertical.mode", "vertical.cpus",
    "vertical.memory", "vertical.every", "reserve", "reserve.pids",
    "reserve.disk", NULL};

void bt_xberth_wrong(struct bt_load *load, const struct bt_yaml *n, const struct bt_place *place, const char *wanted) {
  BT_AUTO_FREE char *where = bt_place_text(place);
  bool scalar = bt_is_scalar(n) && n->text;
  bt_diag_error(load->diags, n->loc, scalar ? "%s must be %s, not \"%.60s\"" : "%s must be %s, not a %s", where, wanted,
                scalar ? n->text : bt_yaml_kind_name(n->kind));
}

bool bt_xberth_only(struct bt_load *load, const struct bt_yaml *n, const struct bt_place *place, const char *const *keys) {
  if (n->kind != BT_YAML_MAP) {
    bt_xberth_wrong(load, n, place, "a mapping");
    return false;
  }
  bt_vec_each(&n->map, pair) {
    bool known = false;
    for (size_t i = 0; keys[i]; i++)
      known = known || bt_streq(keys[i], pair->key);
    if (known)
      continue;
    char hint[96];
    BT_AUTO_FREE char *where = bt_place_text(BT_PLACE_KEY(place, pair->key));
    bt_diag_error(load->diags, pair->loc, "%s is not known%s", where, bt_nearest_hint(bt_diags_full(load->diags) ? NULL : bt_nearest_of(pair->key, keys), hint));
  }
  return true;
}

void bt_xberth_set(struct bt_yaml *map, const char *key, struct bt_yaml *value) { bt_yaml_set(map, key, value->loc, value); }

void bt_xberth_number(struct bt_load *load, struct bt_yaml *map, const char *key, long long min, long long max, long long otherwise,
                      const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(map, key);
  long long v = otherwise;
  if (n && (n->kind == BT_YAML_FLOAT || !bt_value_int(n, &v) || v < min || v > max)) {
    BT_AUTO_FREE char *wanted = bt_asprintf("an integer from %lld to %lld", min, max);
    bt_xberth_wrong(load, n, BT_PLACE_KEY(place, key), wanted);
    return;
  }
  if (n || otherwise >= 0)
    bt_xberth_set(map, key, bt_yaml_int(v, n ? n->loc : map->loc));
}

const char *bt_xberth_word(struct bt_load *load, struct bt_yaml *map, const char *key, const char *const *words, const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(map, key);
  if (!n) {
    bt_xberth_set(map, key, bt_yaml_str(words[0], map->loc));
    return words[0];
  }
  for (size_t i = 0; words[i]; i++)
    if (n->kind == BT_YAML_STR && bt_streq(n->text, words[i]))
      return words[i];
  BT_AUTO_BUF wanted = {0};
  for (size_t i = 0; words[i]; i++)
    bt_buf_addf(&wanted, "%s%s", i == 0 ? "" : words[i + 1] ? ", " : " or ", words[i]);
  bt_xberth_wrong(load, n, BT_PLACE_KEY(place, key), wanted.data);
  return words[0];
}

void bt_xberth_flag(struct bt_load *load, struct bt_yaml *map, const char *key, bool otherwise, const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(map, key);
  bool v = otherwise;
  if (n && !bt_value_bool(n, &v))
    bt_xberth_wrong(load, n, BT_PLACE_KEY(place, key), "true or false");
  else
    bt_xberth_set(map, key, bt_yaml_bool(v, n ? n->loc : map->loc));
}

static void port(struct bt_load *load, struct bt_yaml *map, const struct bt_place *place) {
  if (bt_yaml_get(map, "port")) {
    bt_xberth_number(load, map, "port", 1, 65535, -1, place);
    return;
  }
  BT_AUTO_FREE char *where = bt_place_text(place);
  bt_diag_error(load->diags, map->loc, "%s needs \"port\", the port inside the container", where);
}

void bt_xberth_duration(struct bt_load *load, struct bt_yaml *map, const char *key, int64_t min, const char *otherwise,
                        const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(map, key);
  int64_t ns = 0;
  char buf[64];
  if (!n) {
    if (otherwise)
      bt_xberth_set(map, key, bt_yaml_str(otherwise, map->loc));
  } else if (!bt_value_duration(n, &ns) || ns < min || ns > 86400 * (int64_t)1000000000) {
    bt_xberth_wrong(load, n, BT_PLACE_KEY(place, key), min ? "a duration from 100ms to 24h, such as 10s" : "a duration up to 24h, such as 10s");
  } else {
    bt_xberth_set(map, key, bt_yaml_str(bt_duration_go(ns, buf), n->loc));
  }
}

static void headers(struct bt_load *load, struct bt_yaml *http, const struct bt_place *place) {
  struct bt_yaml *n = bt_yaml_get(http, "headers");
  const struct bt_place *here = BT_PLACE_KEY(place, "headers");
  if (!n)
    return;
  if (n->kind != BT_YAML_MAP || n->map.len > 16) {
    bt_xberth_wrong(load, n, here, "a mapping of at most 16 names");
    return;
  }
  bt_vec_each(&n->map, pair) {
    BT_AUTO_FREE char *text = bt_is_scalar(pair->value) ? bt_compose_scalar_text(pair->value) : NULL;
    if (!text || strpbrk(text, "\r\n") || strpbrk(pair->key, "\r\n: \t") || !*pair->key)
      bt_xberth_wrong(load, pair->value, BT_PLACE_KEY(here, pair->key), "a header's name and one line of text");
    else
      bt_node_become(pair->value, bt_yaml_str(text, pair->value->loc));
  }
}

static void http(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  static const char *const keys[] = {"path", "port", "scheme", "headers", "status", NULL};
  if (!bt_xberth_only(load, n, place, keys))
    return;
  port(load, n, place);
  bt_xberth_number(load, n, "status", 100, 599, -1, place);
  headers(load, n, place);
  const struct bt_yaml *path = bt_yaml_get(n, "path"), *scheme = bt_yaml_get(n, "scheme");
  if (path && (path->kind != BT_YAML_STR || path->text[0] != '/' || strpbrk(path->text, " \r\n")))
    bt_xberth_wrong(load, path, BT_PLACE_KEY(place, "path"), "a path that begins with \"/\"");
  if (scheme && !bt_streq(scheme->text, "http") && !bt_streq(scheme->text, "https"))
    bt_xberth_wrong(load, scheme, BT_PLACE_KEY(place, "scheme"), "http or https");
  if (!path)
    bt_xberth_set(n, "path", bt_yaml_str("/", n->loc));
  if (!scheme)
    bt_xberth_set(n, "scheme", bt_yaml_str("http", n->loc));
}

static void tcp(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  static const char *const keys[] = {"port", NULL};
  if (bt_xberth_only(load, n, place, keys))
    port(load, n, place);
}

/* A text is run by the container's shell, as a healthcheck's is. */
static void exec(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  static const char *const keys[] = {"command", NULL};
  static const char *const shell[] = {"/bin/sh", "-c"};
  if (!bt_xberth_only(load, n, place, keys))
    return;
  struct bt_yaml *command = bt_yaml_get(n, "command");
  bool good = command && ((command->kind == BT_YAML_STR && *command->text) || (command->kind == BT_YAML_SEQ && command->seq.len));
  for (size_t i = 0; good && command->kind == BT_YAML_SEQ && i < command->seq.len; i++)
    good = command->seq.items[i]->kind == BT_YAML_STR;
  if (!good) {
    bt_xberth_wrong(load, command ? command : n, BT_PLACE_KEY(place, "command"), "a command: text for the shell, or a list of strings");
    return;
  }
  if (command->kind == BT_YAML_SEQ)
    return;
  struct bt_yaml *list = bt_yaml_new(BT_YAML_SEQ, command->loc);
  for (size_t i = 0; i < BT_COUNT(shell); i++)
    bt_yaml_push(list, bt_yaml_str(shell[i], command->loc));
  bt_yaml_push(list, bt_yaml_str(command->text, command->loc));
  bt_node_become(command, list);
}

static void probe(struct bt_load *load, struct bt_yaml *n, const char *kind, const struct bt_place *place) {
  static const char *const keys[] = {"http", "tcp", "exec", "interval", "timeout", "failures", "successes", "start_period", NULL};
  if (!bt_xberth_only(load, n, place, keys))
    return;
  struct bt_yaml *ways[] = {bt_yaml_get(n, "http"), bt_yaml_get(n, "tcp"), bt_yaml_get(n, "exec")};
  if ((ways[0] != NULL) + (ways[1] != NULL) + (ways[2] != NULL) != 1) {
    BT_AUTO_FREE char *where = bt_place_text(place);
    bt_diag_error(load->diags, n->loc, "%s needs exactly one of http, tcp and exec", where);
    return;
  }
  if (ways[0])
    http(load, ways[0], BT_PLACE_KEY(place, "http"));
  else if (ways[1])
    tcp(load, ways[1], BT_PLACE_KEY(place, "tcp"));
  else
    exec(load, ways[2], BT_PLACE_KEY(place, "exec"));
  const int64_t least = 100000000;
  bt_xberth_duration(load, n, "interval", least, "10s", place);
  bt_xberth_duration(load, n, "timeout", least, "5s", place);
  bt_xberth_duration(load, n, "start_period", 0, "0s", place);
  bt_xberth_number(load, n, "failures", 1, 1000, 3, place);
  /* one success is enough where a failure means a restart */
  bt_xberth_number(load, n, "successes", 1, bt_streq(kind, "readiness") ? 1000 : 1, 1, place);
}

/* "digest", a range of versions, or "none". A number such as 1.2 is a range as well. */
static void update(struct bt_load *load, struct bt_yaml *xberth, const struct bt_place *place) {
  const struct bt_yaml *n = bt_yaml_get(xberth, "update");
  if (n && (!bt_is_scalar(n) || !n->text ||
            (!bt_streq(n->text, "digest") && !bt_streq(n->text, "none") && bt_semver_check(n->text, NULL) < 0)))
    bt_xberth_wrong(load, n, BT_PLACE_KEY(place, "update"), "digest, none or a range of versions such as ~1.2");
  else if (n)
    bt_xberth_set(xberth, "update", bt_yaml_str(n->text, n->loc));
  const struct bt_yaml *interval = bt_yaml_get(xberth, "update_interval");
  int64_t ns = 0;
  char buf[64];
  if (interval && (!bt_value_duration(interval, &ns) || ns < 10000000000 || ns > 86400 * (int64_t)1000000000))
    bt_xberth_wrong(load, interval, BT_PLACE_KEY(place, "update_interval"), "a duration from 10s to 24h, such as 5m");
  else if (interval)
    bt_xberth_set(xberth, "update_interval", bt_yaml_str(bt_duration_go(ns, buf), interval->loc));
}

/* What is kept for each instance beside cpu and memory. */
static void reserve(struct bt_load *load, struct bt_yaml *n, const struct bt_place *place) {
  static const char *const keys[] = {"pids", "disk", NULL};
  long long bytes = 0;
  if (!bt_xberth_only(load, n, place, keys))
    return;
  bt_xberth_number(load, n, "pids", 0, 1 << 22, -1, place);
  struct bt_yaml *disk = bt_yaml_get(n, "disk");
  if (disk && (!bt_is_scalar(disk) || !bt_value_bytes(disk, &bytes) || bytes < 0 || bytes > (long long)1 << 48))
    bt_xberth_wrong(load, disk, BT_PLACE_KEY(place, "disk"), "a size such as 10GiB");
  else if (disk)
    bt_xberth_set(n, "disk", bt_yaml_int(bytes, disk->loc));
}

void bt_compose_check_xberth(struct bt_load *load, struct bt_yaml *xberth, const char *service) {
  static const char *const keys[] = {"probes", "job", "placement", "disruption", "rollout", "progress_deadline", "routes", "update", "update_interval", "autoscale", "reserve", NULL},
                           *const kinds[] = {"readiness", "liveness", "startup", NULL};
  struct bt_place top = {NULL, "", 0};
  const struct bt_place *of = BT_PLACE_KEY(BT_PLACE_KEY(&top, "services"), service);
  const struct bt_place *here = BT_PLACE_KEY(of, "x-berth"), *under = BT_PLACE_KEY(here, "probes");
  if (!bt_xberth_only(load, xberth, here, keys))
    return;
  struct bt_yaml *probes = bt_yaml_get(xberth, "probes"), *work = bt_yaml_get(xberth, "job");
  if (work)
    bt_xberth_job(load, work, BT_PLACE_KEY(here, "job"));
  if (bt_yaml_get(xberth, "placement"))
    bt_xberth_placement(load, bt_yaml_get(xberth, "placement"), BT_PLACE_KEY(here, "placement"));
  if (bt_yaml_get(xberth, "disruption"))
    bt_xberth_disruption(load, bt_yaml_get(xberth, "disruption"), BT_PLACE_KEY(here, "disruption"));
  if (bt_yaml_get(xberth, "autoscale"))
    bt_xberth_autoscale(load, bt_yaml_get(xberth, "autoscale"), service, BT_PLACE_KEY(here, "autoscale"));
  if (bt_yaml_get(xberth, "reserve"))
    reserve(load, bt_yaml_get(xberth, "reserve"), BT_PLACE_KEY(here, "reserve"));
  if (bt_yaml_get(xberth, "rollout"))
    bt_xberth_rollout(load, bt_yaml_get(xberth, "rollout"), BT_PLACE_KEY(here, "rollout"));
  if (bt_yaml_get(xberth, "progress_deadline")) /* without it control takes the health check's times into account */
    bt_xberth_duration(load, xberth, "progress_deadline", 1000000000, "10m0s", here);
  if (bt_yaml_get(xberth, "routes"))
    bt_xberth_routes(load, bt_yaml_get(xberth, "routes"), BT_PLACE_KEY(here, "routes"));
  update(load, xberth, here);
  if (!probes || !bt_xberth_only(load, probes, under, kinds))
    return;
  for (size_t i = 0; kinds[i]; i++) {
    struct bt_yaml *n = bt_yaml_get(probes, kinds[i]);
    if (n)
      probe(load, n, kinds[i], BT_PLACE_KEY(under, kinds[i]));
  }
}
