/* What Berth makes of a Compose file beyond the specification: refusals, rules, x-berth, contents. */
#include "config.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "compose/support.h"
#include "tap.h"

static int read_text(void *arg, const char *path, size_t max, char **out, size_t *len, struct bt_err **err) {
  (void)max;
  bool compose = bt_streq(path, "/p/c.yaml");
  if (!compose && !bt_streq(path, "/p/secret.bin"))
    return bt_err_set(err, BT_NOT_FOUND, "cannot open %s", path);
  *len = compose ? strlen(arg) : 5;
  *out = bt_calloc(1, *len + 1);
  memcpy(*out, compose ? (const char *)arg : "a\0b\nc", *len);
  return 0;
}

static const char *env_text(void *arg, const char *name) {
  (void)arg;
  return bt_streq(name, "TOKEN") ? "s3cret" : NULL;
}

static int load(const char *text, enum bt_compat compat, const char *profile, struct bt_compose_result *result) {
  BT_AUTO_FREE char *copy = bt_strdup(text);
  struct bt_compose_source source = {read_text, env_text, copy};
  struct bt_compose_options options = {.compat = compat};
  bt_strs_add(&options.files, "/p/c.yaml");
  if (profile)
    bt_strs_add(&options.profiles, profile);
  int rc = bt_compose_load(&source, &options, result);
  bt_compose_options_free(&options);
  return rc;
}

/* The text of the load's diagnostics is exactly this; services are indented by the caller. */
static void says(const char *text, const char *want, const char *name) {
  struct bt_compose_result result = {0};
  int rc = load(text, BT_COMPAT_REFUSE, NULL, &result);
  BT_AUTO_FREE char *got = bt_diags_text(&result.diags);
  is_str(got, want, name);
  ok((rc == 0) == (result.diags.errors == 0), "%s: the code agrees", name);
  bt_compose_result_free(&result);
}

#define A "services:\n  a:\n    image: x\n"

static void test_refusals(void) {
  says(A "    cpu_count: 2\n",
       "/p/c.yaml:4:5: error: services.a.cpu_count is not offered: it counts Windows processors; use \"cpus\" (--compat=warn "
       "leaves it out)\n",
       "refused by name");
  says("services:\n  a:\n    build:\n      context: .\n      secrets: [s, {source: s, target: t, mode: 0400}]\nsecrets:\n  s: {environment: TOKEN}\n",
       "/p/c.yaml:5:43: error: services.a.build.secrets[1].mode is not offered: in a build the Dockerfile says it: RUN "
       "--mount=type=secret,id=NAME,uid=…,gid=…,mode=… (--compat=warn leaves it out)\n",
       "a secret of a build has no mode of its own");
  says("services:\n  a:\n    build:\n      context: .\n      ssh: [default, 'k=./sock']\n",
       "/p/c.yaml:5:13: error: services.a.build.ssh names no socket for default; write \"default=${SSH_AUTH_SOCK}\"\n",
       "the server has no agent of SSH of its own");
  says(A "    network_mode: container:x\n",
       "/p/c.yaml:4:5: error: services.a.network_mode \"container:x\" is not offered: it refers to a container that is not of "
       "this app; use \"service:NAME\", or a network that both join (--compat=warn leaves it out)\n",
       "refused for its value");
  says(A "    isolation: default\n    use_api_socket: false\n", "", "a value that asks for nothing passes");
  says(A "    restart: sometimes\n",
       "/p/c.yaml:4:14: error: services.a.restart must be one of no, always, on-failure, on-failure:*, unless-stopped, not "
       "\"sometimes\"\n",
       "values");
  says(A "    deploy: {restart_policy: {condition: unless-stopped}}\n",
       "/p/c.yaml:4:42: warning: services.a.deploy.restart_policy.condition \"unless-stopped\" is a word of \"restart\"; here it is "
       "taken as \"any\"\n",
       "a word of another attribute");
  says(A "    restart: on-failure:3\n    ipc: shareable\n", "", "values with a part of their own");
  says(A "    environment: {x-berth: 1}\n    healthcheck: {x-berth: 1}\n",
       "/p/c.yaml:5:19: error: services.a.healthcheck.x-berth means nothing here; x-berth belongs to a service\n",
       "x-berth elsewhere");
  says(A "    provider: {type: y}\n",
       "/p/c.yaml:4:5: error: services.a.provider is not offered: Berth runs containers only; start the other product yourself "
       "and give its address as a variable\n",
       "what cannot be left out");
}

static void test_warn(void) {
  struct bt_compose_result result = {0};
  is_int(load(A "    cpu_count: 2\n    network_mode: container:x\n    volumes: [{type: image, source: y, target: /i}, \"/d\"]\n",
              BT_COMPAT_WARN, NULL, &result),
         0, "--compat=warn accepts");
  is_int(result.diags.len, 3, "each is listed");
  json_t *a = bt_json_obj(bt_json_obj(result.model, "services"), "a");
  ok(!json_object_get(a, "cpu_count") && !json_object_get(a, "network_mode"), "and gone");
  is_int(json_array_size(json_object_get(a, "volumes")), 1, "an entry goes whole");
  ok(json_object_get(bt_json_obj(a, "networks"), "default") != NULL, "back on the default network");
  is_str(bt_json_str(bt_json_obj(bt_json_obj(result.model, "networks"), "default"), "name"), "p_default", "which has a name");
  bt_compose_result_free(&result);
}

static void test_rules(void) {
  says(A "    scale: 3\n    ports: [\"80:80\", \"53-55:54/udp\", 90, \"100-102:100\"]\n", "", "ports that replicas can have");
  says(A "    scale: 3\n    ports: [\"53:53/udp\"]\n",
       "/p/c.yaml:5:13: warning: services.a: 3 replicas on one node cannot share the published port 53, since the engine binds UDP and SCTP for "
       "one container: those without one wait for another node; publish a range of 3 (\"53-55\")\n",
       "UDP is one container's");
  says(A "    scale: 2\n    ports: [{target: 1, published: 9, mode: host}]\n",
       "/p/c.yaml:5:36: warning: services.a: 2 replicas on one node cannot share the published port 9, since mode host binds it for one "
       "container: those without one wait for another node; publish a range of 2 (\"9-10\"), or leave \"mode: host\" out so that Berth balances\n",
       "mode host");
  says(A "    network_mode: host\n    ports: [\"80\"]\n",
       "/p/c.yaml:5:13: error: services.a publishes ports, but with \"network_mode: host\" its ports are the machine's already; "
       "remove \"ports\" or network_mode\n",
       "host network");
  says(A "    ports: [\"80:80\"]\n  b:\n    image: x\n    ports: [\"127.0.0.1:80:81\"]\n",
       "/p/c.yaml:7:13: error: services.b publishes port 80/tcp, which services.a publishes already\n", "one port twice");
  says(A "    ports: [\"127.0.0.1:80:80\", \"127.0.0.2:80:80\", \"80:80/udp\"]\n", "", "other addresses and protocols");
  says(A "    scale: 2\n    networks: {default: {ipv4_address: 10.0.0.2}}\n",
       "/p/c.yaml:5:40: error: services.a has ipv4_address in network \"default\" and 2 replicas; one address is one instance's\n",
       "one address");
  says(A "    deploy: {placement: {preferences: [{spread: node.labels.zone}]}}\n",
       "/p/c.yaml:4:40: warning: services.a.deploy.placement.preferences spread instances over nodes; on a single node all of them run "
       "there\n",
       "spread");
  says(A "    deploy: {mode: global, replicas: 2}\n",
       "/p/c.yaml:4:38: error: services.a has \"mode: global\", which is one per node; remove replicas\n", "global");
  says(A "    container_name: one\n    scale: 2\n",
       "/p/c.yaml:4:21: error: services.a has container_name and 2 replicas, but a name is one container's; remove one of them\n",
       "one name");
  says(A "    cpus: -2\n", "/p/c.yaml:4:11: error: services.a: cpus must be 0 or more, not -2\n", "less than no cpu");
  says(A "    deploy: {resources: {limits: {cpus: '1'}, reservations: {cpus: '-0.5'}}}\n",
       "/p/c.yaml:4:68: error: services.a: cpus must be 0 or more, not -0.5\n", "or kept");
}

static void test_reserve(void) {
  says(A "    x-berth: {reserve: {pids: 100, disk: 10GiB}}\n", "", "what is kept");
  says(A "    x-berth: {reserve: {pids: -1, disk: much, cpus: 1}}\n",
       "/p/c.yaml:4:47: error: services.a.x-berth.reserve.cpus is not known\n"
       "/p/c.yaml:4:31: error: services.a.x-berth.reserve.pids must be an integer from 0 to 4194304, not \"-1\"\n"
       "/p/c.yaml:4:41: error: services.a.x-berth.reserve.disk must be a size such as 10GiB, not \"much\"\n", "an unknown key");
  says(A "    x-berth: {reserve: {pids: -1, disk: much}}\n",
       "/p/c.yaml:4:31: error: services.a.x-berth.reserve.pids must be an integer from 0 to 4194304, not \"-1\"\n"
       "/p/c.yaml:4:41: error: services.a.x-berth.reserve.disk must be a size such as 10GiB, not \"much\"\n", "no amounts");
}

static void test_xberth(void) {
  struct bt_compose_result result = {0};
  is_int(load(A "    x-berth:\n      probes:\n        readiness: {http: {port: \"80\", headers: {A: 1}}, interval: 90s}\n"
                "        liveness: {exec: {command: pgrep x}}\n        startup: {tcp: {port: 5432}, failures: 30}\n",
              BT_COMPAT_REFUSE, NULL, &result),
         0, "probes pass");
  json_t *got = json_object_get(bt_json_obj(bt_json_obj(result.model, "services"), "a"), "x-berth");
  BT_AUTO_JSON want = json_loads(
      "{\"probes\":{\"readiness\":{\"http\":{\"port\":80,\"path\":\"/\",\"scheme\":\"http\",\"headers\":{\"A\":\"1\"}},"
      "\"interval\":\"1m30s\",\"timeout\":\"5s\",\"start_period\":\"0s\",\"failures\":3,\"successes\":1},"
      "\"liveness\":{\"exec\":{\"command\":[\"/bin/sh\",\"-c\",\"pgrep x\"]},\"interval\":\"10s\",\"timeout\":\"5s\","
      "\"start_period\":\"0s\",\"failures\":3,\"successes\":1},"
      "\"startup\":{\"tcp\":{\"port\":5432},\"interval\":\"10s\",\"timeout\":\"5s\",\"start_period\":\"0s\",\"failures\":30,"
      "\"successes\":1}}}",
      0, NULL);
  ok(bt_json_equal(got, want), "in canonical form");
  bt_compose_result_free(&result);
  says(A "    x-berth: {probs: {}}\n", "/p/c.yaml:4:15: error: services.a.x-berth.probs is not known; did you mean \"probes\"?\n",
       "unknown key");
  says(A "    x-berth: {probes: {liveness: {tcp: {port: 0}, successes: 2}}}\n",
       "/p/c.yaml:4:47: error: services.a.x-berth.probes.liveness.tcp.port must be an integer from 1 to 65535, not \"0\"\n"
       "/p/c.yaml:4:62: error: services.a.x-berth.probes.liveness.successes must be an integer from 1 to 1, not \"2\"\n",
       "numbers");
  says(A "    x-berth: {probes: {readiness: {interval: 5s}}}\n",
       "/p/c.yaml:4:35: error: services.a.x-berth.probes.readiness needs exactly one of http, tcp and exec\n", "no way to probe");
  is_int(load(A "    x-berth: {job: {completions: \"4\", max_concurrent: 2}, progress_deadline: 90s}\n", BT_COMPAT_REFUSE, NULL, &result), 0,
         "a job and a deadline pass");
  BT_AUTO_JSON job = json_loads("{\"job\":{\"completions\":4,\"max_concurrent\":2},\"progress_deadline\":\"1m30s\"}", 0, NULL);
  ok(bt_json_equal(json_object_get(bt_json_obj(bt_json_obj(result.model, "services"), "a"), "x-berth"), job), "in canonical form");
  bt_compose_result_free(&result);
  says(A "    deploy: {mode: replicated-job}\n    x-berth: {job: {schedule: 0 0 31 2 *}}\n",
       "/p/c.yaml:5:31: error: services.a.x-berth.job.schedule: schedule \"0 0 31 2 *\": it is never due: none of its months has such a day\n", "31 February");
  says(A "    deploy: {mode: replicated-job}\n    x-berth: {job: {schedule: [a]}}\n",
       "/p/c.yaml:5:31: error: services.a.x-berth.job.schedule must be a schedule such as \"30 2 * * *\", @daily or \"@every 10m\", not a sequence\n", "a list");
  says(A "    deploy: {mode: replicated-job}\n    x-berth: {job: {schedule: \"@daily\", time_zone: ../../etc/passwd}}\n",
       "/p/c.yaml:5:52: error: services.a.x-berth.job.time_zone must be the name of a time zone, such as Europe/Berlin, not \"../../etc/passwd\"\n", "a path");
  says(A "    deploy: {mode: replicated-job}\n    x-berth: {job: {schedule: \"@daily\", concurrency: Forbid}}\n",
       "/p/c.yaml:5:54: error: services.a.x-berth.job.concurrency must be allow, forbid or replace, not \"Forbid\"\n", "a word");
  says(A "    deploy: {mode: replicated-job}\n    x-berth: {job: {schedule: \"@daily\", active_deadline: 0s}}\n",
       "/p/c.yaml:5:58: error: services.a.x-berth.job.active_deadline must be a duration from 1s to 8784h, such as 10m, not \"0s\"\n", "a deadline");
  says(A "    deploy: {mode: replicated-job}\n    x-berth: {job: {time_zone: UTC}}\n",
       "/p/c.yaml:5:32: error: services.a.x-berth.job.time_zone says something of a schedule, and there is none; add \"schedule\" or leave it out\n", "no schedule");
  says(A "    deploy: {mode: global-job}\n    x-berth: {job: {completions: 3}}\n",
       "/p/c.yaml:5:34: error: services.a runs once on each node (\"mode: global-job\"); remove x-berth.job.completions\n", "how often a job of each node completes");
  says(A "    x-berth: {job: {schedule: \"@daily\"}}\n",
       "/p/c.yaml:4:31: error: services.a.x-berth.job.schedule is for jobs; set \"deploy: {mode: replicated-job}\"\n", "no job");
  is_int(load(A "    deploy: {mode: replicated-job}\n    x-berth: {job: {schedule: \"*/5 * * * *\", time_zone: Europe/Berlin, active_deadline: 90m, suspend: yes}}\n", BT_COMPAT_REFUSE, NULL,
              &result), 0, "a schedule passes");
  BT_AUTO_JSON timed = json_loads("{\"job\":{\"schedule\":\"*/5 * * * *\",\"time_zone\":\"Europe/Berlin\",\"active_deadline\":\"1h30m0s\",\"suspend\":true}}", 0, NULL);
  ok(bt_json_equal(json_object_get(bt_json_obj(bt_json_obj(result.model, "services"), "a"), "x-berth"), timed), "in canonical form");
  bt_compose_result_free(&result);
  says(A "    x-berth: {job: {completions: 0}}\n",
       "/p/c.yaml:4:34: error: services.a.x-berth.job.completions must be an integer from 1 to 100000, not \"0\"\n", "completions");
  says(A "x-berth: {}\n", "/p/c.yaml:4:1: error: x-berth means nothing here; x-berth belongs to a service\n", "of the file");
}

static void content(const struct bt_compose_result *r, const char *key, const char *want, size_t len) {
  const struct bt_compose_content *c = bt_map_get(r->contents, key);
  ok(c && c->len == len && memcmp(c->data, want, len) == 0, "contents of %s", key);
}

static void test_contents(void) {
  struct bt_compose_result result = {0};
  is_int(load(A "    secrets: [f, e]\n    configs: [c, v]\nsecrets: {f: {file: ./secret.bin}, e: {environment: TOKEN}, unused: "
                "{file: ./nope}}\nconfigs: {c: {content: hi}, v: {environment: TOKEN}}\n",
              BT_COMPAT_REFUSE, NULL, &result),
         0, "contents load");
  content(&result, "secrets/f", "a\0b\nc", 5);
  content(&result, "secrets/e", "s3cret", 6);
  content(&result, "configs/c", "hi", 2);
  content(&result, "configs/v", "s3cret", 6);
  BT_AUTO_FREE char *text = bt_json_text(result.model);
  ok(!strstr(text, "s3cret"), "no secret in the model");
  bt_compose_result_free(&result);
  says(A "    secrets: [f]\nsecrets: {f: {file: ./nope}}\n", "/p/c.yaml:5:21: error: secrets.f: cannot open /p/nope\n", "no file");
  says(A "    secrets: [f]\nsecrets: {f: {environment: NOPE}}\n",
       "/p/c.yaml:5:28: error: secrets.f: the variable NOPE is not set\n", "no variable");
}

static void test_profiles(void) {
  static const char text[] = A "  b: {image: x, profiles: [p], networks: [n], env_file: nope}\nnetworks: {n: }\n";
  struct bt_compose_result result = {0};
  is_int(load(text, BT_COMPAT_REFUSE, NULL, &result), 0, "an inactive service asks for nothing");
  ok(!json_object_get(bt_json_obj(result.model, "services"), "b"), "it is gone");
  ok(!json_object_get(bt_json_obj(result.model, "networks"), "n"), "and so is its network");
  bt_compose_result_free(&result);
  is_int(load(text, BT_COMPAT_REFUSE, "p", &result), -1, "an active one needs its file");
  bt_compose_result_free(&result);
}

/* ---- every attribute of the schema has a row ---- */

static const json_t *schema_root;

static const json_t *follow(const json_t *schema) {
  const char *ref = bt_json_str(schema, "$ref");
  return ref ? json_object_get(bt_json_obj(schema_root, "$defs"), strrchr(ref, '/') + 1) : schema;
}

static bool has_row(const char *path) {
  for (size_t i = 0; i < bt_support_rows; i++)
    if (bt_streq(bt_support_table[i].path, path))
      return true;
  return false;
}

/* A refused attribute needs no rows below it, and neither does what every row above says is passed on whole. */
static bool refused_whole(const char *path) {
  for (size_t i = 0; i < bt_support_rows; i++)
    if (bt_support_table[i].refused && !bt_support_table[i].values && bt_streq(bt_support_table[i].path, path))
      return true;
  return false;
}

static void cover(const json_t *schema, const char *path, int depth) {
  schema = follow(schema);
  size_t i;
  json_t *one;
  json_array_foreach(json_object_get(schema, "oneOf"), i, one) cover(one, path, depth);
  if (json_object_get(schema, "items"))
    cover(json_object_get(schema, "items"), path, depth);
  if (depth > 8 || refused_whole(path))
    return;
  const char *key;
  json_object_foreach(json_object_get(schema, "properties"), key, one) {
    BT_AUTO_FREE char *inner = bt_asprintf("%s.%s", path, key);
    bool passed_on = strstr(path, ".blkio_config.") || bt_ends(path, ".external") || strstr(path, ".ulimits");
    if (passed_on || bt_streq(path, "service.extends"))
      continue;
    ok(has_row(inner), "%s has a row", inner);
    if (has_row(inner))
      cover(one, inner, depth + 1);
  }
}

static void test_table(void) {
  static const char *const kinds[] = {"service", "network", "volume", "secret", "config"};
  BT_AUTO_FREE char *path = bt_asprintf("%s/core/compose/compose-spec.json", getenv("srcdir") ? getenv("srcdir") : ".");
  BT_AUTO_JSON root = json_load_file(path, 0, NULL);
  schema_root = root;
  for (size_t i = 0; i < BT_COUNT(kinds); i++)
    cover(json_object_get(bt_json_obj(root, "$defs"), kinds[i]), kinds[i], 0);
  const char *key;
  json_t *one;
  json_object_foreach(bt_json_obj(root, "properties"), key, one) {
    BT_AUTO_FREE char *file = bt_asprintf("file.%s", key);
    ok(has_row(file), "%s has a row", file);
  }
  BT_AUTO_MAP seen = bt_map_new(NULL);
  for (size_t i = 0; i < bt_support_rows; i++) {
    if (bt_map_get(seen, bt_support_table[i].path))
      ok(false, "%s stands twice", bt_support_table[i].path);
    bt_map_set(seen, bt_support_table[i].path, seen);
  }
}

/* The reference of x-berth names every key. */
static void test_document(void) {
  BT_AUTO_FREE char *path = bt_asprintf("%s/config/docs/x-berth.md", getenv("srcdir") ? getenv("srcdir") : ".");
  BT_AUTO_FREE char *text = NULL;
  size_t len;
  if (!ok(bt_file_read(path, 1 << 20, &text, &len, NULL) == 0, "config/docs/x-berth.md is there"))
    return;
  for (size_t i = 0; bt_xberth_keys[i]; i++) {
    const char *dot = strrchr(bt_xberth_keys[i], '.');
    BT_AUTO_FREE char *quoted = bt_asprintf("`%s`", dot ? dot + 1 : bt_xberth_keys[i]);
    ok(strstr(text, quoted) != NULL, "it documents %s", quoted);
  }
}

/* The page about Compose files names what is refused, with the same sentence. */
static void test_refused_page(void) {
  BT_AUTO_FREE char *path = bt_asprintf("%s/config/docs/compose.md", getenv("srcdir") ? getenv("srcdir") : ".");
  BT_AUTO_FREE char *text = NULL;
  size_t len;
  if (!ok(bt_file_read(path, 1 << 20, &text, &len, NULL) == 0, "config/docs/compose.md is there"))
    return;
  for (size_t i = 0; i < bt_support_rows; i++) {
    const struct bt_support *row = &bt_support_table[i];
    if (!row->refused)
      continue;
    BT_AUTO_FREE char *quoted = bt_asprintf("| `%s` |", row->path);
    ok(strstr(text, quoted) && strstr(text, row->refused), "it documents %s", row->path);
  }
}

int main(void) {
  test_refusals();
  test_warn();
  test_rules();
  test_reserve();
  test_xberth();
  test_contents();
  test_profiles();
  test_table();
  test_document();
  test_refused_page();
  return done_testing();
}
