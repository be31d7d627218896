/* Placement in Compose files: constraints and preferences, x-berth.placement, and what it says of other services. */
#include "config.h"

#include "base/buf.h"
#include "compose_mem.h"

static void load(struct mem *m, const char *text) {
  const struct mem_file files[] = {{"/c.yaml", text}, {NULL, NULL}};
  struct bt_compose_source source = {mem_read, mem_env, m};
  struct bt_compose_options options = {0};
  m->files = files;
  bt_strs_add(&options.files, "/c.yaml");
  m->rc = bt_compose_load(&source, &options, &m->result);
  bt_compose_options_free(&options);
  m->files = NULL;
}

/* The diagnostics are exactly this. */
static void says(const char *text, const char *want, const char *name) {
  AUTO_MEM m = {0};
  load(&m, text);
  BT_AUTO_FREE char *got = bt_diags_text(&m.result.diags);
  is_str(got, want, name);
  ok((m.rc == 0) == (m.result.diags.errors == 0), "%s: the code agrees", name);
}

#define HEAD "name: p\nservices:\n  db: {image: x}\n  web:\n    image: x\n"
#define OWN HEAD "    x-berth:\n      placement: "
#define KEYS "node.pool, node.role, node.platform.os, node.platform.arch, node.labels.X or engine.labels.X"

/* One entry that is wrong, at the placement's first key: the sentence about it. */
static void wrong(const char *placement, int column, const char *sentence) {
  BT_AUTO_FREE char *text = bt_asprintf(OWN "%s\n", placement);
  BT_AUTO_FREE char *want = bt_asprintf("/c.yaml:7:%d: error: services.web.x-berth.placement%s\n", column, sentence);
  says(text, want, placement);
}

static void test_whole(void) {
  AUTO_MEM m = {0};
  load(&m, OWN "\n        strategy: spread\n        require: [\"node.labels.disk in (ssd, nvme)\"]\n        prefer: [{rule: node.labels.new exists}]\n"
               "        affinity: [{service: db, topology: node.labels.zone}]\n        anti_affinity: [{service: web, required: \"no\"}, {namespace: lab, app: load}]\n"
               "        spread: [{topology: node.labels.zone}, {topology: node.labels.rack, required: false}]\n"
               "        tolerations: [{key: dedicated, value: 7}, {key: \"*\"}]\n        priority: \"-5\"\n        gang: yes\n");
  mem_is(&m, "services.web.x-berth.placement",
         "{\"affinity\":[{\"required\":true,\"service\":\"db\",\"topology\":\"node.labels.zone\"}],"
         "\"anti_affinity\":[{\"required\":false,\"service\":\"web\",\"topology\":\"node\",\"weight\":50},"
         "{\"app\":\"load\",\"namespace\":\"lab\",\"required\":true,\"topology\":\"node\"}],\"gang\":true,"
         "\"prefer\":[{\"rule\":\"node.labels.new exists\",\"weight\":50}],\"priority\":-5,\"require\":[\"node.labels.disk in (ssd, nvme)\"],"
         "\"spread\":[{\"max_skew\":1,\"required\":true,\"topology\":\"node.labels.zone\"},{\"required\":false,\"topology\":\"node.labels.rack\"}],"
         "\"strategy\":\"spread\",\"tolerations\":[{\"key\":\"dedicated\",\"value\":\"7\"},{\"key\":\"*\"}]}",
         "in canonical form");
  says(OWN "{}\n", "", "an empty one");
}

static void test_rules(void) {
  wrong("[]", 18, " must be a mapping, not a sequence");
  wrong("{requires: []}", 19, ".requires is not known; did you mean \"require\"?");
  wrong("{require: a}", 28, ".require must be a list of at most 64 entries, not \"a\"");
  wrong("{require: [5]}", 29, ".require[0] must be a rule such as \"node.labels.disk == ssd\", not \"5\"");
  wrong("{require: [\"node.labels.disk in ssd\"]}", 29,
        ".require[0]: placement rule \"node.labels.disk in ssd\": write the values in parentheses: key in (a, b)");
  wrong("{require: [node.role exists, \"node.hostname >= 3\"]}", 47,
        ".require[1]: placement rule \"node.hostname >= 3\": a node's name can be compared with ==, !=, in and not in");
  wrong("{prefer: [{weight: 5}]}", 28, ".prefer[0] needs \"rule\", such as \"node.labels.disk == ssd\"");
  wrong("{prefer: [{rule: node.role exists, weight: -101}]}", 61, ".prefer[0].weight must be an integer from -100 to 100, not \"-101\"");
  wrong("{strategy: random}", 29, ".strategy must be binpack or spread, not \"random\"");
  wrong("{priority: 1001}", 29, ".priority must be an integer from -1000 to 1000, not \"1001\"");
  wrong("{gang: perhaps}", 25, ".gang must be true or false, not \"perhaps\"");
}

static void test_entries(void) {
  wrong("{affinity: [{}]}", 30, ".affinity[0] needs \"service\", \"app\" or \"namespace\"");
  wrong("{affinity: [{service: a, namespace: b}]}", 30, ".affinity[0] needs \"app\" as well, since a service belongs to an app of the namespace");
  wrong("{affinity: [{app: A}]}", 36,
        ".affinity[0].app must be a name of at most 63 of a-z, 0-9, _ and -, that begins with a letter or digit, not \"A\"");
  wrong("{affinity: [{app: a, weight: 5}]}", 47, ".affinity[0].weight is of what is only preferred; add \"required: false\" or leave it out");
  wrong("{anti_affinity: [{app: a, topology: zone}]}", 54, ".anti_affinity[0].topology must be node, " KEYS ", not \"zone\"");
  wrong("{anti_affinity: [{app: a, topology: node.hostname}]}", 54, ".anti_affinity[0].topology must be node, " KEYS ", not \"node.hostname\"");
  wrong("{anti_affinity: [{app: a, required: false, weight: 0}]}", 69, ".anti_affinity[0].weight must be an integer from 1 to 100, not \"0\"");
  wrong("{spread: [{max_skew: 1}]}", 28, ".spread[0] needs \"topology\", such as node.labels.zone; over nodes, write \"strategy: spread\"");
  wrong("{spread: [{topology: node}]}", 39, ".spread[0].topology must be " KEYS ", not \"node\"");
  wrong("{spread: [{topology: node.pool, max_skew: 0}]}", 60, ".spread[0].max_skew must be an integer from 1 to 1000, not \"0\"");
  wrong("{spread: [{topology: node.pool, required: false, max_skew: 2}]}", 77,
        ".spread[0].max_skew is of a spread that is required; leave it out, or \"required: false\"");
  wrong("{tolerations: [{value: a}]}", 33, ".tolerations[0] needs \"key\", that of the taint, or \"*\" for every taint");
  wrong("{tolerations: [{key: a b}]}", 39,
        ".tolerations[0].key must be the key of a taint, of at most 128 letters, digits, . _ / and -, or \"*\" for every taint, not \"a b\"");
  wrong("{tolerations: [{key: a, value: []}]}", 49,
        ".tolerations[0].value must be the value of a taint, one line of at most 128 bytes; leave it out for any, not a sequence");
  wrong("{tolerations: [{key: \"*\", value: a}]}", 51, ".tolerations[0].value means nothing beside the key \"*\", which tolerates every taint; leave it out");
}

static void test_others(void) {
  wrong("{affinity: [{service: dbb}]}", 40, ".affinity[0].service \"dbb\" is no service of this file; did you mean \"db\"?");
  wrong("{affinity: [{service: web}]}", 30, ".affinity[0] puts the service beside itself on one node; name a \"topology\" such as node.labels.zone");
  says(OWN "{affinity: [{service: web, topology: node.pool}, {service: web, required: false}], anti_affinity: [{service: web}]}\n", "",
       "near itself in a pool, and apart from itself");
  says(OWN "{anti_affinity: [{service: dbb}]}\n",
       "/c.yaml:7:45: warning: services.web.x-berth.placement.anti_affinity[0].service \"dbb\" is no service of this file, or of a profile that is not asked for; "
       "did you mean \"db\"?\n",
       "apart from nobody");
  says(OWN "{affinity: [{service: db, app: other}]}\n", "", "another app's services are not known here");
  says("name: p\nservices:\n  a: {image: x, x-berth: {placement: {affinity: [{service: b}]}}}\n  b: {image: x, x-berth: {placement: {affinity: [{service: c}]}}}\n"
       "  c: {image: x, x-berth: {placement: {affinity: [{app: d}, {service: b, topology: node.labels.zone}]}}}\n",
       "/c.yaml:5:60: error: services.c.x-berth.placement.affinity[1] waits for a place of \"b\", which waits in turn for one of \"c\"; say \"required: false\" in one of them\n",
       "a circle");
  says("name: p\nservices:\n  a: {image: x, x-berth: {placement: {affinity: [{service: b}]}}}\n"
       "  b: {image: x, x-berth: {placement: {affinity: [{service: a, required: false}]}}}\n",
       "", "a circle of which a part is only preferred");
  says(HEAD "    deploy: {mode: global}\n    x-berth: {placement: {gang: true, priority: 5}}\n",
       "/c.yaml:7:33: error: services.web.x-berth.placement.gang means nothing with \"mode: global\", which is one per node; remove one of them\n", "one per node");
}

#define SINGLE ": warning: services.web.deploy.placement.preferences spread instances over nodes; on a single node all of them run there\n"

static void test_compose(void) {
  says(HEAD "    deploy: {placement: {constraints: [node.role == worker, node.labels.disk!=hdd]}}\n", "", "constraints");
  says(HEAD "    deploy: {placement: {constraints: [node.role = worker, colour == red]}}\n",
       "/c.yaml:6:40: error: services.web.deploy.placement.constraints[0]: placement constraint \"node.role = worker\": write key == value or key != value\n"
       "/c.yaml:6:60: error: services.web.deploy.placement.constraints[1]: placement constraint \"colour == red\": colour is none of node.id, node.hostname, node.role, "
       "node.pool, node.platform.os, node.platform.arch, node.labels.X, engine.labels.X\n",
       "constraints that are none");
  says(HEAD "    deploy: {placement: {constraints: [\"node.labels.disk in (ssd)\"]}}\n",
       "/c.yaml:6:40: error: services.web.deploy.placement.constraints[0]: placement rule \"node.labels.disk in (ssd)\": deploy.placement.constraints has == and != only; "
       "this one belongs under x-berth.placement.require\n",
       "a rule that Compose lacks");
  says(HEAD "    deploy: {placement: {preferences: [{spread: node.labels.zone}, {spread: zone}]}}\n",
       "/c.yaml:6:77: error: services.web.deploy.placement.preferences[1].spread must be a key of nodes such as node.labels.zone, not \"zone\"\n"
       "/c.yaml:6:40" SINGLE,
       "a preference that is none");
  BT_AUTO_BUF many = {0};
  for (int i = 0; i < 65; i++)
    bt_buf_addf(&many, "%snode.role != r%d", i ? ", " : "", i);
  BT_AUTO_FREE char *text = bt_asprintf(HEAD "    deploy: {placement: {constraints: [%s]}}\n", many.data);
  says(text, "/c.yaml:6:39: error: services.web.deploy.placement.constraints has 65 entries, and may have 64\n", "too many");
}

int main(void) {
  test_whole();
  test_rules();
  test_entries();
  test_others();
  test_compose();
  return done_testing();
}
