/* What would make one more fit: the smallest change that a person can make, for each thing that can be in the way; and after the change it fits. */
#include "config.h"

#include <stdarg.h>

#include "plan/fleet.h"
#include "tap.h"

#define NODE(name_, cpu, memory, ...) \
  bt_fleet_node_set(f, &(struct bt_fleet_node){.name = name_, .room = {cpu, (int64_t)(memory) << 20}, .open = true, __VA_ARGS__})
#define ATTRS(...) .attrs = (struct bt_attr[]){__VA_ARGS__}, .nattrs = sizeof((struct bt_attr[]){__VA_ARGS__}) / sizeof(struct bt_attr)
#define NEED(...) (struct bt_need){.namespace_ = "n", .app = "x", .service = "web", __VA_ARGS__}

static uint32_t shape_of(struct bt_fleet *f, const struct bt_need *need) {
  uint32_t s = BT_FLEET_NONE;
  BT_AUTO_ERR err = NULL;
  if (bt_fleet_shape_new(f, need, &s, &err) < 0)
    printf("# %s\n", bt_err_message(err));
  return s;
}

static void shape_mends(struct bt_fleet *f, uint32_t s, const char *want, const char *name) {
  BT_AUTO_BUF why = {0}, mend = {0};
  bt_fleet_why(f, s, &why, &mend);
  is_str(mend.len ? mend.data : "", want, name);
}

static void mends(struct bt_fleet *f, struct bt_need need, const char *want, const char *name) {
  shape_mends(f, shape_of(f, &need), want, name);
}

static void rule_mends(struct bt_fleet *f, int64_t memory, const char *text, const char *want, const char *name) {
  struct bt_rule r;
  if (bt_rule_parse(text, false, &r, NULL) < 0)
    ok(false, "no rule: %s", text);
  mends(f, NEED(.rules = &r, .nrules = 1, .request = {100, memory << 20}), want, name);
  bt_rule_free(&r);
}

static void test_rules(void) {
  struct bt_fleet *f = bt_fleet_new();
  NODE("a", 2000, 64, ATTRS({"node.labels.kernel", "5.4"}, {"node.platform.arch", "amd64"}));
  rule_mends(f, 1, "node.labels.kernel >= 5.15", "node.labels.kernel >= 5.15 on a, which has room", "a version");
  rule_mends(f, 1, "node.labels.kernel < 5", "node.labels.kernel < 5 on a, which has room", "an older one");
  rule_mends(f, 1, "node.labels.disk in (ssd, nvme)", "node.labels.disk = ssd on a, which has room", "one of several");
  rule_mends(f, 1, "node.labels.disk exists", "a node.labels.disk on a, which has room", "a label that is not there");
  rule_mends(f, 1, "node.labels.kernel not exists", "no node.labels.kernel on a, which has room", "one that is");
  rule_mends(f, 1, "node.labels.kernel != 5.4", "another node.labels.kernel on a, which has room", "another value");
  rule_mends(f, 96, "node.labels.disk == ssd", "node.labels.disk = ssd and 32 MiB more memory on a", "a label and memory");
  rule_mends(f, 1, "node.platform.arch == arm64", "one more node that meets node.platform.arch == arm64", "no machine changes its platform");
  rule_mends(f, 1, "node.hostname == b", "one more node that meets node.hostname == b", "nor its name");
  bt_fleet_free(&f);
}

static void test_room(void) {
  struct bt_fleet *f = bt_fleet_new();
  NODE("a", 2000, 64);
  NODE("b", 1000, 64);
  mends(f, NEED(.request = {3000, 96 << 20}), "1 more cpu and 32 MiB more memory on a, or reservations of at most 2 cpu and 64 MiB memory", "all that it lacks is named");
  mends(f, NEED(.request = {2500, 64 << 20}), "0.5 more cpu on a, or a reservation of at most 2", "or the one thing");
  NODE("c", 9000, 9000, .taints = &(struct bt_taint){.key = "gpu", .value = "a100", .effect = BT_TAINT_NO_SCHEDULE}, .ntaints = 1);
  mends(f, NEED(.request = {3000, 96 << 20}),
        "1 more cpu and 32 MiB more memory on a, or reservations of at most 2 cpu and 64 MiB memory; or a toleration of gpu=a100, which c has", "a taint can be tolerated");
  bt_fleet_free(&f);
}

static void test_others(void) {
  struct bt_fleet *f = bt_fleet_new();
  uint32_t out[4];
  NODE("a", 2000, 64, ATTRS({"node.labels.zone", "east"}));
  mends(f, NEED(.wants = (const char *[]){"devices:1 gpu (a100)"}, .nwants = 1), "1 gpu (a100) that is free on a, which has room", "a device");
  mends(f, NEED(.bars = (const char *[]){"ports:tcp/80-81"}, .nbars = 1), "", "nothing is in the way");
  bt_fleet_node_mark(f, bt_fleet_node_find(f, "a"), "ports:tcp/80-81", true);
  mends(f, NEED(.bars = (const char *[]){"ports:tcp/80-81"}, .nbars = 1), "a wider range than tcp/80-81", "ports");
  mends(f, NEED(.spreads = &(struct bt_spread){.topology = "node.labels.rack", .max_skew = 1, .hard = true}, .nspreads = 1),
        "a node.labels.rack on a, which has room", "what is spread over needs a label");
  mends(f, NEED(.affinities = &(struct bt_affinity){.scope = BT_SCOPE_NAMESPACE, .namespace_ = "m", .topology = "node.labels.zone", .hard = true}, .naffinities = 1),
        "an instance of namespace m in the same node.labels.zone as a", "what it is beside");
  uint32_t two = shape_of(f, &NEED(.max_per_node = 2));
  is_int(bt_fleet_place(f, two, 4, out), 2, "two may be on a node");
  shape_mends(f, two, "one more node, or max_replicas_per_node: 3", "as many as it may");
  bt_fleet_node_set(f, &(struct bt_fleet_node){.name = "a", .room = {2000, 64 << 20}, .closed = "is cordoned"});
  mends(f, NEED(.request = {100}), "a taking instances again", "a cordon");
  bt_fleet_free(&f);
}

int main(void) {
  test_rules();
  test_room();
  test_others();
  return done_testing();
}
