#include "config.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/size.h"
#include "model/config_fields.h"
#include "model/quota.h"
#include "tap.h"

static struct bt_config *parse(const char *text, char **complaints) {
  BT_AUTO_DIAGS diags = {0};
  struct bt_config *config = NULL;
  int rc = bt_config_parse(text, strlen(text), "/etc/berth/berthd.yaml", &config, &diags);
  BT_ASSERT((rc == 0) == (config != NULL));
  *complaints = bt_diags_text(&diags);
  return config;
}

static void refused(const char *text, const char *want, const char *name) {
  BT_AUTO_FREE char *got = NULL;
  BT_AUTO_CONFIG config = parse(text, &got);
  ok(!config, "%s: refused", name);
  is_str(got, want, name);
}

static void test_sizes(void) {
  static const struct {
    const char *text;
    int64_t bytes;
  } good[] = {{"0", 0}, {"1024", 1024}, {"64m", 67108864}, {"64MB", 67108864}, {"64MiB", 67108864}, {"1.5g", 1610612736},
              {"2 kb", 2048}, {"10b", 10}, {"7P", 7881299347898368}};
  for (size_t i = 0; i < BT_COUNT(good); i++) {
    int64_t got = -1;
    ok(bt_size_parse(good[i].text, &got) && got == good[i].bytes, "%s bytes", good[i].text);
  }
  static const char *const bad[] = {"", "m", "-1", "1x", "1kk", "1 k b", "9999999999g", "1e3", " 1"};
  for (size_t i = 0; i < BT_COUNT(bad); i++) {
    int64_t got = 5;
    ok(!bt_size_parse(bad[i], &got) && got == 5, "\"%s\" is no size", bad[i]);
  }
  char buf[32];
  is_str(bt_size_format(1610612736, buf), "1536MiB", "printed exactly");
}

static void test_nearest(void) {
  static const char *const names[] = {"ports", "profiles", "pid", NULL};
  is_str(bt_nearest_of("portz", names), "ports", "one letter off");
  is_str(bt_nearest_of("prots", names), "ports", "a swap");
  is_str(bt_nearest_of("colour", names), NULL, "nothing near");
}

static void test_defaults(void) {
  BT_AUTO_FREE char *got = NULL;
  BT_AUTO_CONFIG config = parse("", &got);
  BT_AUTO_CONFIG defaults = bt_config_default();
  BT_AUTO_JSON a = bt_config_json(config);
  BT_AUTO_JSON b = bt_config_json(defaults);
  ok(bt_json_equal(a, b), "an empty file is the defaults");
  is_str(config->api.socket.path, "/run/berth/berth.sock", "the socket follows run_dir");
  is_str(config->api.tcp.host, "127.0.0.1", "loopback");
  is_int(config->api.tcp.port, 7171, "port");
  is_str(config->secrets.key_file, "/var/lib/berth/secrets.key", "keys beside the state");
  is_int(config->policies.timeout, 100000000, "100ms");
  is_int(config->policies.memory, 33554432, "32 MiB");
}

static void test_values(void) {
  BT_AUTO_FREE char *got = NULL;
  BT_AUTO_CONFIG c = parse("x-mine: 1\nnode:\n  name: alpha\n  labels: {zone: a, rack: 7}\n  reserve: {cpus: 0.25, memory: 1g}\n"
                           "state: {path: ../lib/s.db}\nrun_dir: run\n"
                           "api:\n  socket: {mode: 0600}\n  tcp: {listen: '[::1]:80'}\nlog: {level: warn}\n"
                           "plugins:\n- plugin: runtime-docker\n  config: {endpoint: unix:///x}\n- path: p/chat.so\n",
                           &got);
  is_str(got, "", "no complaints");
  is_str(c->node.name, "alpha", "text");
  is_str(bt_map_get(c->node.labels, "rack"), "7", "a label is text");
  is_int(c->node.reserve_nano_cpus, 250000000, "CPUs");
  is_int(c->node.reserve_memory, 1073741824, "memory");
  is_str(c->state.path, "/etc/lib/s.db", "relative to the file");
  is_str(c->api.socket.path, "/etc/berth/run/berth.sock", "derived from a relative one");
  is_int(c->api.socket.mode, 0600, "octal");
  is_str(c->api.tcp.host, "::1", "IPv6");
  is_int(c->log.level, BT_LOG_WARN, "enum");
  is_int(c->plugins.len, 2, "plug-ins");
  is_str(bt_json_str(c->plugins.items[0].config, "endpoint"), "unix:///x", "config as JSON");
  is_int(bt_yaml_get(c->plugins.items[0].config_tree, "endpoint")->loc.line, 14, "config with places");
  is_str(c->plugins.items[1].name, "chat", "named after its file");
  is_str(c->plugins.items[1].path, "/etc/berth/p/chat.so", "its path");
  ok(c->plugins.items[1].config_tree == NULL && json_is_object(c->plugins.items[1].config), "no config");
}

static void test_off(void) {
  BT_AUTO_FREE char *got = NULL;
  BT_AUTO_CONFIG c = parse("api: {tcp: {listen: null}}\nplugins:\nnode:\n", &got);
  ok(c && !c->api.tcp.listen && !c->api.tcp.host, "null turns TCP off");
}

static void test_refusals(void) {
  refused("logs: {}\n", "/etc/berth/berthd.yaml:1:1: error: \"logs\" is not known; did you mean \"log\"?\n", "unknown");
  refused("log:\n  levle: info\n",
          "/etc/berth/berthd.yaml:2:3: error: \"log.levle\" is not known; did you mean \"level\"?\n", "unknown, nested");
  refused("log:\n  level: loud\n",
          "/etc/berth/berthd.yaml:2:10: error: log.level must be one of debug, info, warn, error, but \"loud\" is not\n",
          "choice");
  refused("node: {devices: [{kind: gpu}]}\n", "/etc/berth/berthd.yaml:1:18: error: devices need \"ids\", or \"count\"\n", "devices without ids");
  refused("node: {devices: [{ids: [a, a]}]}\n", "/etc/berth/berthd.yaml:1:18: error: the id \"a\" of a gpu is there twice\n", "an id twice");
  refused("node: {devices: [{ids: [], count: 1}]}\n",
          "/etc/berth/berthd.yaml:1:24: error: devices have \"ids\" or \"count\", not both\n"
          "/etc/berth/berthd.yaml:1:24: error: \"ids\" must be a list of 1 to 256 ids such as [\"0\", \"1\"]\n", "ids and a count");
  refused("node: {devices: [{kind: \"a b\", count: 1}]}\n",
          "/etc/berth/berthd.yaml:1:18: error: \"a b\" cannot be the kind, driver or model of a device: letters, digits and . _ - are, at most 63\n", "no kind");
  refused("node: {resources: {a: -1}}\n", "/etc/berth/berthd.yaml:1:23: error: node.resources.a must be an integer from 0 to 281474976710656\n", "less than nothing");
  refused("node: {resources: [a]}\n",
          "/etc/berth/berthd.yaml:1:19: error: node.resources must be a mapping of at most 8 names to numbers, such as {licences: 4}\n", "no mapping");
  refused("history: {events: 5}\n",
          "/etc/berth/berthd.yaml:1:19: error: history.events must be a whole number from 100 to 10000000, but \"5\" is out of "
          "range\n",
          "range");
  refused("history: {events: [5]}\n",
          "/etc/berth/berthd.yaml:1:19: error: history.events must be a whole number, not a sequence\n", "kind");
  refused("node: 5\n", "/etc/berth/berthd.yaml:1:7: error: \"node\" must be a mapping, not a integer\n", "section");
  refused("role: node\n",
          "/etc/berth/berthd.yaml:1:7: error: role \"node\" is not offered in this version; \"all\" (server and node in one "
          "process) is\n",
          "role");
  refused("api: {tcp: {listen: 0.0.0.0:1}}\n",
          "/etc/berth/berthd.yaml:1:21: error: api.tcp.listen \"0.0.0.0:1\" is no loopback address: set api.tcp.tls.cert and "
          "api.tcp.tls.key, or listen on 127.0.0.1\n",
          "public without TLS");
  refused("api: {tcp: {tls: {cert: a}}}\n",
          "/etc/berth/berthd.yaml:1:18: error: api.tcp.tls needs both \"cert\" and \"key\"; \"key\" is missing\n", "half of TLS");
  refused("plugins:\n- plugin: a\n- plugin: a\n",
          "/etc/berth/berthd.yaml:3:3: error: a second plug-in is named \"a\"; give it another \"name\"\n", "twice");
  refused("plugins:\n- plugni: a\n",
          "/etc/berth/berthd.yaml:2:3: error: \"plugni\" of a plug-in is not known; did you mean \"plugin\"?\n", "plug-in key");
  refused("a: 1\n---\nb: 1\n", "/etc/berth/berthd.yaml:3:1: error: a configuration is one document; this is the second of 2\n",
          "documents");
}

static void test_reload(void) {
  BT_AUTO_FREE char *got1 = NULL, *got2 = NULL;
  BT_AUTO_CONFIG running = parse("log: {level: info}\nplugins: [{plugin: a, config: {x: 1}}]\nnode: {labels: {a: b}}\n", &got1);
  BT_AUTO_CONFIG now = parse("log: {level: debug}\nplugins: [{plugin: a, config: {x: 2}}]\nrun_dir: /r\n", &got2);
  BT_AUTO_STRS live = {0}, fixed = {0};
  bt_config_diff(running, now, &live, &fixed);
  is_int(live.len, 3, "three take effect");
  is_str(live.items[0], "node.labels", "labels");
  is_str(live.items[1], "log.level", "level");
  is_str(live.items[2], "plugins", "a plug-in's config");
  is_int(fixed.len, 2, "two do not");
  is_str(fixed.items[0], "run_dir", "run_dir");
  is_str(fixed.items[1], "api.socket.path", "and what follows from it");
  bt_config_adopt(running, now);
  is_int(running->log.level, BT_LOG_DEBUG, "adopted");
  is_str(running->run_dir, "/run/berth", "left as it was");
  is_int(bt_map_len(running->node.labels), 0, "labels adopted");
  is_int(bt_json_int(running->plugins.items[0].config, "x", 0), 2, "plug-ins adopted");
  bt_config_free(&now);
  is_int(bt_yaml_get(running->plugins.items[0].config_tree, "x")->integer, 2, "with their places");
}

static void test_pools(void) {
  BT_AUTO_FREE char *got = NULL;
  BT_AUTO_CONFIG c = parse("pools:\n- name: gpu\n  match: [\"node.labels.gpu == true\"]\n  taints: [{key: gpu, value: a100, effect: no-schedule}]\n"
                           "  reserve: {cpus: 0.5, memory: 1GiB}\n  overcommit: {cpus: 4}\n  namespaces: [team-a]\nscheduling: {strategy: spread}\n",
                           &got);
  is_str(got, "", "a pool with everything");
  BT_AUTO_JSON settings = c ? bt_config_settings(c) : NULL;
  BT_AUTO_FREE char *text = settings ? bt_json_text(settings) : NULL;
  is_str(text, "{\"pools\":[{\"name\":\"gpu\",\"match\":[\"node.labels.gpu == true\"],\"namespaces\":[\"team-a\"],"
               "\"taints\":[{\"key\":\"gpu\",\"value\":\"a100\",\"effect\":\"no-schedule\"}],\"reserve\":{\"cpus\":0.5,\"memory\":1073741824},"
               "\"overcommit\":{\"cpus\":4}}],\"namespaces\":{},\"scheduling\":{\"strategy\":\"spread\"}}", "as control takes it");
  refused("pools: {}", "/etc/berth/berthd.yaml:1:8: error: pools must be a list of at most 256 pools\n", "no list");
  refused("pools: [{match: []}]", "/etc/berth/berthd.yaml:1:9: error: a pool needs a \"name\"\n", "no name");
  refused("pools: [null, {name: null}]", "/etc/berth/berthd.yaml:1:9: error: a pool needs a \"name\"\n/etc/berth/berthd.yaml:1:15: error: a pool needs a \"name\"\n", "none either");
  refused("pools:\n- {name: a}\n- {name: a}\n", "/etc/berth/berthd.yaml:3:10: error: a second pool is named \"a\"\n", "one name twice");
  refused("pools:\n- {name: a, mach: []}\n", "/etc/berth/berthd.yaml:2:13: error: \"mach\" of a pool is not known; did you mean \"match\"?\n", "a slip");
  refused("pools:\n- {name: a, overcommit: {cpus: 1e9}}\n",
          "/etc/berth/berthd.yaml:2:32: error: \"cpus\" of a pool's overcommit must be a number from 0.1 to 100\n", "absurd");
  refused("pools:\n- {name: a, match: [\"node.pool == b\"]}\n",
          "/etc/berth/berthd.yaml:2:21: error: a pool cannot match by node.pool: a node has that of its pool\n", "a pool by pools");
  refused("pools:\n- {name: default}\n",
          "/etc/berth/berthd.yaml:2:10: error: \"default\" cannot be a pool's name: a-z, 0-9, _ and - are, at most 63; \"default\" is the pool of nodes that are in no other\n",
          "the name of those in none");
  refused("scheduling: {strategy: best}", "/etc/berth/berthd.yaml:1:24: error: \"strategy\" of scheduling must be one of binpack|spread\n", "no strategy");
  refused("scheduling: {lost: {rate: 6/y}}",
          "/etc/berth/berthd.yaml:1:27: error: \"rate\" of scheduling.lost must be a number of nodes from 1 to 1000 in a time, such as 6/m (also /s, /h)\n", "no rate");
  refused("scheduling: {lost: {after: 0s}}", "/etc/berth/berthd.yaml:1:28: error: \"after\" of scheduling.lost must be a duration from 1s to 1d\n", "no patience at all");
  refused("scheduling: {drain: {parallel: 0}}", "/etc/berth/berthd.yaml:1:32: error: \"parallel\" of scheduling.drain must be a whole number from 1 to 10000\n", "none at once");
  refused("scheduling: {drain: {paralel: 1}}", "/etc/berth/berthd.yaml:1:22: error: \"paralel\" of scheduling.drain is not known; did you mean \"parallel\"?\n", "a slip");
}

static void test_namespaces(void) {
  BT_AUTO_FREE char *got = NULL;
  BT_AUTO_CONFIG c = parse("namespaces:\n  org: {quota: {cpus: 8}}\n  team-a: {parent: org, weight: 2, priority: 500, quota: {cpus: 1.5, memory: 1GiB, instances: 3},\n"
                           "    defaults: {cpus: 0.5}, range: {cpus: [0.1, 2], memory: [null, 1GiB]}}\n",
                           &got);
  is_str(got, "", "namespaces with everything");
  BT_AUTO_FREE char *text = c ? bt_json_text(c->settings.namespaces) : NULL;
  is_str(text, "{\"org\":{\"quota\":{\"cpus\":8},\"defaults\":{},\"range\":{}},\"team-a\":{\"parent\":\"org\",\"weight\":2,\"priority\":500,"
               "\"quota\":{\"cpus\":1.5,\"memory\":1073741824,\"instances\":3},\"defaults\":{\"cpus\":0.5},"
               "\"range\":{\"cpus\":[0.1,2.0],\"memory\":[null,1073741824]}}}", "as control takes it");
  struct bt_namespaces all = bt_namespaces_of(c ? c->settings.namespaces : NULL);
  ok(all.len == 2 && all.items[1].limit[BT_QUOTA_CPUS] == 1500 && all.items[1].limit[BT_QUOTA_ROUTES] == BT_QUOTA_NO_LIMIT, "cpus are thousandths");
  ok(all.len == 2 && all.items[1].least[BT_QUOTA_CPUS] == 100 && all.items[1].least[BT_QUOTA_MEMORY] == 0 && all.items[1].most[BT_QUOTA_MEMORY] == 1 << 30,
     "ranges may have one end");
  bt_namespaces_free(&all);
  refused("namespaces: []", "/etc/berth/berthd.yaml:1:13: error: namespaces must be a mapping of at most 10000 names to their settings\n", "no mapping");
  refused("namespaces:\n  a: {parent: b}\n  b: {parent: c}\n  c: {parent: a}\n",
          "/etc/berth/berthd.yaml:2:15: error: the parents of namespace a go in a circle\n"
          "/etc/berth/berthd.yaml:3:15: error: the parents of namespace b go in a circle\n"
          "/etc/berth/berthd.yaml:4:15: error: the parents of namespace c go in a circle\n", "a circle");
  refused("namespaces:\n  a: {parent: a}\n", "/etc/berth/berthd.yaml:2:15: error: the parents of namespace a go in a circle\n", "within itself");
  refused("namespaces:\n  org: {}\n  a: {parent: orb}\n",
          "/etc/berth/berthd.yaml:3:15: error: namespace a has the parent \"orb\", which is not among the namespaces; did you mean \"org\"?\n", "a slip");
  refused("namespaces:\n  a: {quota: {memory: 9999999999g}}\n",
          "/etc/berth/berthd.yaml:2:23: error: \"memory\" of a namespace's quota must be a size such as 512MiB\n", "more than fits");
  refused("namespaces:\n  a: {quota: {instances: 1e30}}\n",
          "/etc/berth/berthd.yaml:2:26: error: \"instances\" of a namespace's quota must be a whole number from 0 to 1000000000\n", "absurd");
  refused("namespaces:\n  a: {range: {cpus: [2, 1]}}\n",
          "/etc/berth/berthd.yaml:2:21: error: \"cpus\" of a namespace's range must be [least, most] such as [0.1, 4], with null for any\n", "turned round");
  refused("namespaces:\n  a: {range: {cpus: [1, 2]}, defaults: {cpus: 4}}\n",
          "/etc/berth/berthd.yaml:2:47: error: \"cpus\" of a namespace's defaults is outside of its range\n", "a default that is refused");
  refused("namespaces:\n  A b: {}\n",
          "/etc/berth/berthd.yaml:2:3: error: \"A b\" cannot be a namespace's name: a-z, 0-9, _ and - are, at most 63\n", "no name");
  BT_AUTO_FREE char *warned = NULL;
  BT_AUTO_CONFIG w = parse("namespaces:\n  org: {quota: {cpus: 8}}\n  a: {parent: org, quota: {cpus: 9}}\n", &warned);
  ok(w && strstr(warned, "3:34: warning: the quota of cpus of namespace a is larger than that of its parent org"), "more than its parent has");
}

/* The commented reference names every field, and says the defaults. */
static void test_reference(void) {
  BT_AUTO_FREE char *path = bt_asprintf("%s/config/berthd.yaml", getenv("srcdir") ? getenv("srcdir") : ".");
  BT_AUTO_FREE char *text = NULL, *got = NULL;
  BT_AUTO_ERR err = NULL;
  size_t len;
  if (!ok(bt_file_read(path, 1 << 20, &text, &len, &err) == 0, "the reference is read"))
    return;
  BT_AUTO_CONFIG c = parse(text, &got);
  BT_AUTO_CONFIG defaults = bt_config_default();
  is_str(got, "", "the reference passes the check");
  BT_AUTO_JSON a = bt_config_json(c);
  BT_AUTO_JSON b = bt_config_json(defaults);
  BT_AUTO_JSON tree = bt_yaml_json(c->tree);
  BT_AUTO_JSON schema = bt_config_schema();
  ok(bt_json_equal(a, b), "the reference says the defaults");
  const char *section;
  json_t *value;
  json_object_foreach(a, section, value) {
    ok(json_object_get(tree, section) != NULL, "the reference names %s", section);
    const char *name;
    json_t *inner;
    if (json_is_object(value))
      json_object_foreach(value, name, inner)
        ok(json_object_get(json_object_get(tree, section), name) != NULL, "and %s.%s", section, name);
    ok(json_object_get(json_object_get(schema, "properties"), section) != NULL, "the schema knows %s", section);
  }
}

/* The page about it names every field too. */
static void test_page(void) {
  BT_AUTO_FREE char *path = bt_asprintf("%s/config/docs/berthd.yaml.md", getenv("srcdir") ? getenv("srcdir") : ".");
  BT_AUTO_FREE char *text = NULL;
  size_t len;
  if (!ok(bt_file_read(path, 1 << 20, &text, &len, NULL) == 0, "the page is read"))
    return;
  for (size_t i = 0; i < bt_config_nfields; i++) {
    BT_AUTO_FREE char *quoted = bt_asprintf("`%s`", bt_config_fields[i].path);
    ok(strstr(text, quoted) != NULL, "it names %s", quoted);
  }
}

int main(void) {
  test_sizes();
  test_pools();
  test_namespaces();
  test_nearest();
  test_defaults();
  test_values();
  test_off();
  test_refusals();
  test_reload();
  test_reference();
  test_page();
  return done_testing();
}
