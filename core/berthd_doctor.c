/* The doctor: does everything fit together? What is declared is held against what is found, element by element: the engine, the
 * state store and its disk, each plug-in with the host, with the others and with its live product, the policies, the loop. For
 * GET /v1/doctor; and once after each start and reload, when what is wrong goes to the log. */
#include "config.h"

#include <berth/runtime.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon.h"
#include "plugin/confine.h"
#include "model/finding.h"

enum { probe_deadline_ms = 8000, settle_ms = 3000, low_disk_mib = 100 };

/* ---------------------------------------------------------------- the server itself */

static void check_engine(struct bt_daemon *d, json_t *report) {
  const json_t *info = bt_agent_info(d->agent);
  if (!bt_plugins_find(d->plugins, BERTH_RUNTIME, 0)) {
    bt_finding_add(report, "engine", "a runtime plug-in", "none runs, so nothing can run", "error",
                   "name one under plugins: in berthd.yaml and reload; where one is named, berth plugin ls has why it does not run");
    return;
  }
  if (!bt_agent_connected(d->agent) || !info) {
    bt_finding_add(report, "engine", "answers", "the container engine does not answer", "error",
                   "start it (dockerd, or systemctl start docker), and check the runtime plug-in's host in berthd.yaml");
    return;
  }
  BT_AUTO_FREE char *text =
      bt_asprintf("%s %s, API %s, %s", bt_json_str_or(info, "name", "engine"), bt_json_str_or(info, "version", "?"),
                  bt_json_str_or(info, "api_version", "?"), bt_json_str_or(info, "platform", "?"));
  bt_finding_add(report, "engine", "answers", text, "ok", NULL);
  if (bt_agent_feature(d->agent, "rehearsal"))
    bt_finding_add(report, "engine", "runs containers", "this is a rehearsal: it only pretends, and nothing really runs", "warning",
                   "where apps are to serve, name a runtime plug-in that runs them under plugins: in berthd.yaml");
}

static void check_state(struct bt_daemon *d, json_t *report) {
  const char *sentence = "";
  enum bt_store_health health = d->store->ops->health(d->store, &sentence);
  bt_finding_add(report, "state store", "takes changes", health == BT_STORE_OK ? "takes changes" : sentence,
                 health == BT_STORE_OK ? "ok" : "error",
                 health == BT_STORE_OK     ? NULL
                 : health == BT_STORE_FULL ? "make room on the disk; changes go on by themselves"
                                           : "check the disk, then restart berthd");
  BT_AUTO_FREE char *dir = bt_path_dir(d->config->state.path);
  struct statvfs fs;
  if (statvfs(dir, &fs) != 0)
    return;
  unsigned long long mib = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20;
  BT_AUTO_FREE char *text = bt_asprintf("%llu MiB free under %s", mib, dir);
  BT_AUTO_FREE char *declared = bt_asprintf("%d MiB free", low_disk_mib);
  bt_finding_add(report, "disk", declared, text, mib < low_disk_mib ? "warning" : "ok", mib < low_disk_mib ? "make room" : NULL);
}

static void check_policies(struct bt_daemon *d, json_t *report) {
  BT_AUTO_JSON list = bt_policy_list(d->policy);
  size_t i, broken = 0;
  json_t *p;
  json_array_foreach(list, i, p) {
    if (!bt_streq(bt_json_str(p, "status"), "broken"))
      continue;
    broken++;
    BT_AUTO_FREE char *name = bt_asprintf("policy %s", bt_json_str_or(p, "file", "?"));
    bt_finding_add(report, name, "in force", bt_json_str(p, "error"), "error", "mend the file; the last good set is in force until then");
  }
  BT_AUTO_FREE char *text = bt_asprintf("%zu files in %s", json_array_size(list), d->config->policies.dir);
  if (!broken)
    bt_finding_add(report, "policies", "in force", text, "ok", NULL);
}

/* One row for all things of a kind: how many of them are well, and the first that is not. */
static void check_things(json_t *report, const char *element, const char *declared, const char *mend, const json_t *things,
                         const char *(*wrong)(const json_t *thing), const char *name) {
  size_t i, bad = 0;
  json_t *thing, *first = NULL;
  json_array_foreach(things, i, thing) {
    if (!wrong(thing))
      continue;
    first = bad++ ? first : thing;
  }
  if (!json_array_size(things))
    return;
  BT_AUTO_FREE char *found = first ? bt_asprintf("%zu of %zu are not: %s of app %s: %s", bad, json_array_size(things), bt_json_str_or(first, name, "?"),
                                                 bt_json_str_or(first, "app", "?"), wrong(first))
                                   : bt_asprintf("%zu of %zu", json_array_size(things), json_array_size(things));
  bt_finding_add(report, element, declared, found, first ? "warning" : "ok", first ? mend : NULL);
}

static const char *route_wrong(const json_t *route) {
  const char *state = bt_json_str(route, "state");
  return bt_streq(state, "refused") || bt_streq(state, "unserved") ? bt_json_str_or(route, "message", "it is not served") : NULL;
}

static const char *source_wrong(const json_t *source) {
  return bt_streq(bt_json_str(source, "state"), "failed") ? bt_json_str_or(source, "error", "it failed") : NULL;
}

static void check_apps(struct bt_daemon *d, json_t *report) {
  BT_AUTO_JSON routes = bt_daemon_list(d, "routes", 0);
  BT_AUTO_JSON sources = bt_daemon_list(d, "sources", 0);
  check_things(report, "routes", "all are served", "\"berth route ls\" names them all, \"berth why route/NAME\" what mends one", routes, route_wrong, "route");
  check_things(report, "repositories", "all are followed", "\"berth source ls\" names them all; push a commit that mends it, or \"berth sync APP\"",
               sources, source_wrong, "repository");
}

static void check_loop(struct bt_daemon *d, json_t *report) {
  struct bt_loop_stats loop;
  bt_loop_stats(d->loop, &loop);
  BT_AUTO_FREE char *text =
      bt_asprintf("longest callback %lld ms (%s), %lld ms (%s) with the wait for a processor; %llu over 50 ms, %llu only for that wait",
                  (long long)loop.own_us / 1000, loop.own_name, (long long)loop.worst_us / 1000, loop.worst_name,
                  (unsigned long long)loop.stalls, (unsigned long long)loop.descheduled);
  bool slow = loop.own_us > 50000;
  bt_finding_add(report, "event loop", "no callback over 50 ms", text, slow ? "warning" : "ok",
                 slow ? "a plug-in's name there says whose callback it was: report it to its author, or run it with isolation: process" : NULL);
}

/* ---------------------------------------------------------------- plug-ins and their products */

static bool has_text(const json_t *list, const char *text) {
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    if (bt_streq(json_string_value(item), text))
      return true;
  }
  return false;
}

/* What a plug-in's process may that those of its kind may not, but for what the operator asked for (network: true). */
static void check_confinement(json_t *report, const json_t *plugin) {
  static const char *const walls[] = {"everything", "user", "privileges", "seccomp"};
  const json_t *has = bt_json_arr(plugin, "confined"), *lacks = bt_json_arr(plugin, "unconfined");
  if (!json_array_size(has) && !json_array_size(lacks))
    return;
  bool fine = true;
  for (size_t i = 0; i < BT_COUNT(walls); i++)
    fine &= !has_text(lacks, walls[i]);
  BT_AUTO_FREE char *name = bt_asprintf("%s confinement", bt_json_str_or(plugin, "name", "?"));
  BT_AUTO_FREE char *by = bt_confinement_text(has);
  BT_AUTO_FREE char *without = bt_confinement_text(lacks);
  BT_AUTO_FREE char *found = bt_asprintf("%s%s%s", *by ? by : "by nothing", *without ? "; not by: " : "", without);
  bt_finding_add(report, name, "user, limits, seccomp", found, fine ? "ok" : "warning",
                 fine ? NULL : "trust the plug-in as berthd itself, or run berthd as root on x86-64 or arm64, with no user: of berthd's own");
}

static void check_plugins(struct bt_daemon *d, json_t *report) {
  BT_AUTO_JSON list = bt_plugins_json(d->plugins);
  size_t i;
  json_t *p;
  json_array_foreach(list, i, p) {
    BT_AUTO_FREE char *name = bt_asprintf("%s plug-in", bt_json_str_or(p, "name", "?"));
    bool fine = bt_streq(bt_json_str(p, "status"), "ok");
    BT_AUTO_FREE char *found = fine ? bt_asprintf("%s %s runs", bt_json_str_or(p, "plugin", "?"), bt_json_str_or(p, "version", "?"))
                                    : bt_strdup(bt_json_str(p, "error"));
    BT_AUTO_FREE char *declared = bt_asprintf("runs (%s)", bt_json_str_or(p, "plugin", "?"));
    bt_finding_add(report, name, declared, found, fine ? "ok" : "error",
                   fine ? NULL : "mend its entry in berthd.yaml and send berthd a SIGHUP");
    check_confinement(report, p);
  }
}

static const char mend_product[] = "see the plug-in's entry in berthd.yaml, and the product behind it";

static void check_registries(json_t *report, const json_t *result) {
  size_t i;
  json_t *r;
  json_array_foreach(bt_json_arr(result, "registries"), i, r) {
    BT_AUTO_FREE char *name = bt_asprintf("registry %s", bt_json_str_or(r, "name", "?"));
    bool fine = bt_streq(bt_json_str(r, "status"), "ok");
    bt_finding_add(report, name, "answers", bt_json_str(r, "detail"), fine ? "ok" : "warning", fine ? NULL : mend_product);
  }
}

/* What a runtime says of the machine it runs containers on; of the engine itself there is a row already. */
static void check_machine(json_t *report, const char *entry, const json_t *result) {
  size_t i;
  json_t *c;
  json_array_foreach(bt_json_arr(result, "checks"), i, c) {
    BT_AUTO_FREE char *name = bt_asprintf("%s %s", entry, bt_json_str_or(c, "element", "?"));
    bt_finding_add(report, name, bt_json_str(c, "declared"), bt_json_str(c, "found"), bt_json_str_or(c, "verdict", "unknown"), bt_json_str(c, "mend"));
  }
}

/* What a plug-in found when it looked at its product. */
static void check_probe(json_t *report, const json_t *probe) {
  const json_t *result = bt_json_obj(probe, "result");
  if (result && bt_streq(bt_json_str(probe, "interface"), BERTH_RUNTIME)) {
    check_machine(report, bt_json_str_or(probe, "name", "?"), result);
    return;
  }
  BT_AUTO_FREE char *name = bt_asprintf("%s (%s)", bt_json_str_or(probe, "name", "?"), bt_json_str_or(probe, "interface", "?"));
  if (!result) {
    bt_finding_add(report, name, "answers", bt_json_str(probe, "message"), "warning", mend_product);
  } else if (bt_json_arr(result, "registries")) {
    check_registries(report, result);
  } else {
    bool fine = bt_streq(bt_json_str_or(result, "status", "ok"), "ok");
    bt_finding_add(report, name, "works", bt_json_str(result, "detail"), fine ? "ok" : "warning", fine ? NULL : mend_product);
  }
}

/* {entry: {product: version}}: of probes "version", which is of the one product that the manifest names, or "products"; of the
 * runtime its engine's name and the version of its API. */
static json_t *products_of(struct bt_daemon *d, const json_t *probes) {
  json_t *all = json_object();
  size_t i;
  json_t *probe;
  json_array_foreach(probes, i, probe) {
    const json_t *result = bt_json_obj(probe, "result");
    json_t *named = bt_json_obj(result, "products");
    const char *version = bt_json_str(result, "version");
    if (bt_streq(bt_json_str(probe, "interface"), BERTH_RUNTIME))
      continue; /* below */
    if (named)
      bt_json_set(all, bt_json_str_or(probe, "name", ""), json_incref(named));
    else if (version)
      bt_json_set(all, bt_json_str_or(probe, "name", ""), json_pack("{s:s}", "", version));
  }
  const struct bt_plugin *runtime = bt_plugins_find(d->plugins, BERTH_RUNTIME, 0);
  const json_t *info = runtime && bt_agent_connected(d->agent) ? bt_agent_info(d->agent) : NULL;
  if (info)
    bt_json_set(all, bt_plugin_name(runtime),
                json_pack("{s:s}", bt_json_str_or(info, "name", "engine"), bt_json_str_or(info, "api_version", "")));
  return all;
}

/* ---------------------------------------------------------------- a round */

struct doctor {
  struct bt_daemon *d;
  json_t *report;
  void (*done)(void *arg, json_t *report_steal);
  void *arg;
};

static void probed(void *arg, json_t *probes_steal) {
  struct doctor *doctor = arg;
  BT_AUTO_JSON probes = probes_steal;
  size_t i;
  json_t *probe;
  json_array_foreach(probes, i, probe) check_probe(doctor->report, probe);
  if (!doctor->d->closing) { /* else its parts are going */
    BT_AUTO_JSON products = products_of(doctor->d, probes);
    BT_AUTO_JSON table = bt_plugins_table(doctor->d->plugins, products);
    json_array_extend(doctor->report, table);
    check_apps(doctor->d, doctor->report);
    check_policies(doctor->d, doctor->report);
    check_loop(doctor->d, doctor->report);
  }
  doctor->done(doctor->arg, doctor->report);
  free(doctor);
}

void bt_daemon_doctor(void *arg, void (*done)(void *done_arg, json_t *report_steal), void *done_arg) {
  struct bt_daemon *d = arg;
  struct doctor *doctor = bt_new(struct doctor);
  *doctor = (struct doctor){.d = d, .report = json_array(), .done = done, .arg = done_arg};
  check_engine(d, doctor->report);
  check_state(d, doctor->report);
  check_plugins(d, doctor->report);
  bt_plugins_probe(d->plugins, probe_deadline_ms, probed, doctor);
}

/* ---------------------------------------------------------------- after a start or reload */

static void log_round(void *arg, json_t *report_steal) {
  struct bt_daemon *d = arg;
  BT_AUTO_JSON report = report_steal;
  size_t i;
  json_t *o;
  if (d->closing)
    return;
  d->found_wrong = 0;
  json_array_foreach(report, i, o) {
    const char *verdict = bt_json_str_or(o, "verdict", ""), *mend = bt_json_str_or(o, "mend", "");
    if (bt_streq(verdict, "ok") || bt_streq(verdict, "unknown"))
      continue;
    d->found_wrong += bt_streq(verdict, "error");
    bt_log(bt_streq(verdict, "error") ? BT_LOG_ERROR : BT_LOG_WARN, "doctor", "%s: declared %s; found %s%s%s", bt_json_str_or(o, "element", "?"),
           bt_json_str_or(o, "declared", "nothing"), bt_json_str_or(o, "found", "nothing"), *mend ? ": " : "", mend);
  }
}

static void start_round(void *arg) {
  struct bt_daemon *d = arg;
  if (!d->closing)
    bt_daemon_doctor(d, log_round, d);
}

void bt_daemon_doctor_soon(struct bt_daemon *d) {
  if (!d->doctor)
    d->doctor = bt_timer_new(d->loop, "doctor", start_round, d);
  bt_timer_set(d->doctor, settle_ms); /* plug-ins connect first */
}
