/* What a canonical service says of its places and of what it reserves by count: model/placement, model/device. */
#include "config.h"

#include "base/buf.h"
#include "base/json.h"
#include "model/service.h"
#include "tap.h"

/* As the service would be read if the server acted on placement. */
static int read(json_t *o, struct bt_service **out, struct bt_err **err) {
  BT_AUTO_JSON xberth = json_incref(json_object_get(o, "x-berth"));
  json_object_del(o, "x-berth");
  if (bt_service_parse("web", o, out, err))
    return -1;
  json_object_set(o, "x-berth", xberth);
  bt_placement_free(&(*out)->placement);
  int rc = bt_placement_parse("web", bt_json_obj(xberth, "placement"), bt_json_obj(bt_json_obj(o, "deploy"), "placement"), &(*out)->placement, err);
  if (rc)
    bt_service_free(out);
  return rc;
}

/* ' stands for " in the texts. */
static struct bt_service *parse(const char *text, char **complaint) {
  BT_AUTO_FREE char *copy = bt_strdup(text);
  for (char *p = copy; *p; p++)
    if (*p == '\'')
      *p = '"';
  BT_AUTO_JSON o = json_loads(copy, 0, NULL);
  BT_AUTO_ERR err = NULL;
  struct bt_service *s = NULL;
  BT_ASSERT(o);
  int rc = read(o, &s, &err);
  BT_ASSERT((rc == 0) == (s != NULL));
  if (rc && !complaint)
    printf("# %s\n", bt_err_message(err));
  if (complaint)
    *complaint = bt_strdup(bt_err_message(err));
  return s;
}

static void refused(const char *text, const char *want) {
  BT_AUTO_FREE char *got = NULL;
  struct bt_service *s = parse(text, &got);
  ok(!s, "refused: %s", text);
  is_str(got, want, "with a sentence");
  bt_service_free(&s);
}

#define OWN(placement) "{'image':'a','x-berth':{'placement':{" placement "}}}"

static void test_nothing(void) {
  struct bt_service *s = parse("{'image':'a'}", NULL);
  const struct bt_placement *p = &s->placement;
  ok(!p->strategy && !p->rules.len && !p->prefers.len && !p->affinities.len && !p->spreads.len && !p->tolerations.len && !p->priority && !p->gang, "nothing said");
  ok(!s->devices.requests.len && !s->devices.generic.len && !s->limits.pids, "nothing reserved by count");
  bt_service_free(&s);
}

static void test_placement(void) {
  struct bt_service *s = parse(OWN("'strategy':'binpack','require':['node.labels.a exists','node.pool in (x, y)'],'prefer':[{'rule':'node.labels.k >= 5.15','weight':-7},{'rule':'node.role == r'}],"
                                   "'affinity':[{'service':'db'},{'service':'db','app':'shop','namespace':'team','topology':'node.labels.zone','required':false,'weight':9}],"
                                   "'anti_affinity':[{'app':'batch','topology':'node'},{'namespace':'lab'}],'spread':[{'topology':'node.labels.zone','max_skew':3}],"
                                   "'tolerations':[{'key':'dedicated','value':'db'},{'key':'*'}],'priority':-1000,'gang':true"),
                               NULL);
  const struct bt_placement *p = &s->placement;
  const struct bt_placement_affinity *a = p->affinities.items;
  ok(bt_streq(p->strategy, "binpack") && p->priority == -1000 && p->gang, "strategy, priority, gang");
  ok(p->rules.len == 2 && p->rules.items[1].op == BT_RULE_IN && p->rules.items[1].values.len == 2, "rules");
  ok(p->prefers.len == 2 && p->prefers.items[0].weight == -7 && p->prefers.items[0].rule.op == BT_RULE_GE && p->prefers.items[1].weight == 50, "preferred rules");
  if (!is_int(p->affinities.len, 4, "four affinities"))
    exit(1);
  ok(!a[0].anti && a[0].hard && bt_streq(a[0].service, "db") && !a[0].app && !a[0].namespace_ && !a[0].topology, "beside a service of its app, on the node");
  ok(!a[1].hard && a[1].weight == 9 && bt_streq(a[1].app, "shop") && bt_streq(a[1].namespace_, "team") && bt_streq(a[1].topology, "node.labels.zone"), "of another app, preferred, in a zone");
  ok(a[2].anti && a[2].hard && !a[2].service && bt_streq(a[2].app, "batch") && !a[2].topology, "apart from an app");
  ok(a[3].anti && !a[3].app && bt_streq(a[3].namespace_, "lab"), "apart from a namespace");
  ok(p->spreads.len == 1 && p->spreads.items[0].max_skew == 3 && p->spreads.items[0].hard, "a spread");
  ok(p->tolerations.len == 2 && bt_streq(p->tolerations.items[0].value, "db") && !p->tolerations.items[1].key && !p->tolerations.items[1].value, "tolerations");
  bt_service_free(&s);
}

/* As Swarm has them: over the values of the first, and within each over those of the second. */
static void test_preferences(void) {
  struct bt_service *s = parse("{'image':'a','deploy':{'placement':{'constraints':['node.role == r'],'preferences':[{'spread':'node.labels.dc'},{'spread':'zone'},{'spread':'node.labels.rack'}]}},"
                               "'x-berth':{'placement':{'spread':[{'topology':'node.pool','required':false}]}}}", NULL);
  const struct bt_placement *p = &s->placement;
  if (!is_int(p->spreads.len, 3, "two preferences and a spread; what is no key of nodes was stored by an earlier build"))
    exit(1);
  is_str(p->spreads.items[0].topology, "node.labels.dc", "over the first");
  is_str(p->spreads.items[1].topology, "node.labels.dc,node.labels.rack", "over both");
  ok(!p->spreads.items[0].hard && !p->spreads.items[1].hard && !p->spreads.items[2].hard, "all of them soft");
  ok(!p->rules.len && s->constraints.len == 1, "constraints stay with the service");
  bt_service_free(&s);
}

static void test_refusals(void) {
  refused(OWN("'strategy':'any'"), "service web: x-berth.placement.strategy \"any\" is neither binpack nor spread");
  refused(OWN("'priority':9223372036854775807"), "service web: x-berth.placement.priority must be from -1000 to 1000");
  refused(OWN("'require':'a'"), "service web: x-berth.placement.require must be a list of at most 64");
  refused(OWN("'require':['node.role exists',5]"), "service web: x-berth.placement.require[1] must be a rule such as \"node.labels.disk == ssd\"");
  refused(OWN("'require':['a == b']"),
          "service web: x-berth.placement.require[0]: placement constraint \"a == b\": a is none of node.id, node.hostname, node.role, node.pool, node.platform.os, "
          "node.platform.arch, node.labels.X, engine.labels.X");
  refused(OWN("'prefer':[{'rule':'node.role == a','weight':101}]"), "service web: x-berth.placement.prefer[0] must be of a weight from -100 to 100");
  refused(OWN("'affinity':[{}]"), "service web: x-berth.placement.affinity[0] must be of a service, an app or a namespace");
  refused(OWN("'affinity':[{'service':'a','namespace':'b'}]"), "service web: x-berth.placement.affinity[0] must be of an app, where it names a service of a namespace");
  refused(OWN("'affinity':[{'service':'A/b'}]"), "service web: x-berth.placement.affinity[0] must be of a service, app or namespace by its name");
  refused(OWN("'anti_affinity':[{'app':'a','topology':'node.id'}]"),
          "service web: x-berth.placement.anti_affinity[0] must be over node, node.pool, node.role, node.platform.os, node.platform.arch, node.labels.X or engine.labels.X");
  refused(OWN("'anti_affinity':[{'app':'a','weight':-9223372036854775807}]"), "service web: x-berth.placement.anti_affinity[0] must be of a weight from 1 to 100");
  refused(OWN("'spread':[{'topology':'node.labels.a,node.labels.b'}]"),
          "service web: x-berth.placement.spread[0] must be over node.pool, node.role, node.platform.os, node.platform.arch, node.labels.X or engine.labels.X");
  refused(OWN("'spread':[{'topology':'node.pool','max_skew':0}]"), "service web: x-berth.placement.spread[0] must be of a max_skew from 1 to 1000");
  refused(OWN("'tolerations':[{'value':'x'}]"), "service web: x-berth.placement.tolerations[0] must be of a taint's key");
}

static void test_order(void) {
  struct bt_service *s = parse("{'image':'a','x-berth':{'placement':{'priority':0,'gang':true}}}", NULL);
  ok(s->placement.prioritized && s->placement.priority == 0 && s->placement.gang, "a priority of 0 is said, too");
  bt_service_free(&s);
  s = parse("{'image':'a','x-berth':{'placement':{'strategy':'spread'}}}", NULL);
  ok(!s->placement.prioritized && !s->placement.gang, "none is said");
  bt_service_free(&s);
}

#define RESOURCES(r) "{'image':'a','deploy':{'resources':{'reservations':{" r "}}}}"

static void test_devices(void) {
  struct bt_service *s = parse("{'image':'a','gpus':[{'count':2,'driver':'nvidia'},{'capabilities':['tpu'],'device_ids':['1','x']}],'pids_limit':7,"
                               "'deploy':{'resources':{'limits':{'pids':5},'reservations':{'devices':[{'capabilities':['gpu','utility'],'count':-1},{'capabilities':['y'],'count':99999999999}],"
                               "'generic_resources':[{'discrete_resource_spec':{'kind':'fpga','value':3}}]}}}}", NULL);
  const struct bt_device_request *r = s->devices.requests.items;
  if (!is_int(s->devices.requests.len, 4, "devices and gpus"))
    exit(1);
  ok(r[0].count == -1 && r[0].capabilities.len == 2 && !r[0].driver && !r[0].ids.len, "all of them");
  is_int(r[1].count, BT_DEVICES_MOST, "more than any node has");
  ok(r[2].count == 2 && bt_streq(r[2].driver, "nvidia") && bt_streq(r[2].capabilities.items[0], "gpu"), "gpus are of the capability gpu");
  ok(r[3].count == 2 && bt_streq(r[3].ids.items[1], "x") && r[3].capabilities.len == 1 && bt_streq(r[3].capabilities.items[0], "tpu"), "by their ids");
  ok(s->devices.generic.len == 1 && bt_streq(s->devices.generic.items[0].kind, "fpga") && s->devices.generic.items[0].value == 3, "generic resources");
  is_int(s->limits.pids, 5, "deploy's limit of processes goes before pids_limit");
  bt_service_free(&s);
  s = parse("{'image':'a','pids_limit':-1}", NULL);
  is_int(s->limits.pids, 0, "-1 is no limit");
  bt_service_free(&s);
  refused(RESOURCES("'generic_resources':[{}]"), "service web: deploy.resources.reservations.generic_resources[0] needs discrete_resource_spec.kind, the resource's name");
  refused(RESOURCES("'generic_resources':[{'discrete_resource_spec':{'kind':'a','value':-1}}]"),
          "service web: deploy.resources.reservations.generic_resources[0]: value of a must be an integer from 0 to 281474976710656");
  BT_AUTO_BUF many = {0}, ports = {0};
  bt_buf_adds(&many, "{'image':'a','gpus':[{'device_ids':['0'");
  bt_buf_adds(&ports, "{'image':'a','ports':[");
  for (int i = 1; i <= 256; i++)
    bt_buf_addf(&many, ",'%d'", i);
  for (int i = 0; i <= 100; i++)
    bt_buf_addf(&ports, "%s{'target':1,'published':'%d-%d','mode':'host'}", i ? "," : "", 1000 + 10 * i, 1009 + 10 * i);
  bt_buf_adds(&many, "]}]}");
  bt_buf_adds(&ports, "]}");
  refused(many.data, "service web: at most 64 requests for devices or generic_resources are taken, with 256 ids and capabilities each");
  refused(ports.data, "service web publishes 101 ranges of ports; at most 100 are taken");
}

int main(void) {
  test_nothing();
  test_order();
  test_placement();
  test_preferences();
  test_refusals();
  test_devices();
  return done_testing();
}
