/* Control and what is counted beside cpu and memory: disk, processes, devices, resources of the operator's kinds, ports of ranges. */
#include "config.h"

#include "control_shop.h"

static void node(struct kit *k, const char *name, const char *has) {
  BT_AUTO_FREE char *text = bt_asprintf("{'type':'hello','node':{'name':'%s','cpus':4,'memory':8000000000,'os':'linux','arch':'amd64','labels':{}%s},'instances':[]}",
                                        name, has);
  k->node = name;
  kit_node(k, text);
  k->node = NULL;
}

/* Where the instances of a service are, and what they have: "n1 0,1|n2 0|-", by slot. key: of what is listed, "devices" or "published". */
static const char *given(struct kit *k, const char *service, const char *key, const char *value) {
  static char out[400];
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i, r, d, len = 0;
  json_t *o, *item, *id;
  *out = '\0';
  json_array_foreach(list, i, o) {
    if (!bt_streq(bt_json_str(o, "service"), service))
      continue;
    len += (size_t)snprintf(out + len, sizeof out - len, "%s%s", len ? "|" : "", bt_json_str_or(o, "node", "-"));
    json_array_foreach(bt_json_arr(o, key), r, item) {
      if (bt_json_int(item, value, 0))
        len += (size_t)snprintf(out + len, sizeof out - len, " %lld", bt_json_int(item, value, 0));
      json_array_foreach(bt_json_arr(item, value), d, id) len += (size_t)snprintf(out + len, sizeof out - len, "%s%s", d ? "," : " ", json_string_value(id));
    }
  }
  return out;
}

static const char *devices(struct kit *k, const char *service) { return given(k, service, "devices", "device_ids"); }
static const char *ports(struct kit *k, const char *service) { return given(k, service, "published", "published"); }

static const char *room(struct kit *k, const char *name) {
  static char text[80];
  BT_AUTO_JSON list = kit_list(k, "nodes", NULL);
  const json_t *r = bt_json_obj(bt_json_obj(json_array_get(list, 0), "room"), name);
  snprintf(text, sizeof text, r ? "%lld of %lld" : "none", bt_json_int(r, "used", -1), bt_json_int(r, "of", -1));
  return text;
}

static const char *why(struct kit *k, const char *service) {
  static char text[400];
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  size_t i;
  json_t *o;
  *text = '\0';
  json_array_foreach(list, i, o) if (bt_streq(bt_json_str(o, "service"), service) && !bt_json_str(o, "node"))
      snprintf(text, sizeof text, "%s", bt_json_str_or(o, "reason", ""));
  return text;
}

#define GPUS(n, request) ",'deploy':{'replicas':" #n ",'resources':{'reservations':{'devices':[" request "]}}}"
#define ONE "{'capabilities':['gpu'],'count':1}"
#define TWO_GPUS ",'devices':[{'kind':'gpu','driver':'nvidia','ids':['0','1']}]"

static void test_devices(void) {
  struct kit k;
  kit_start(&k);
  node(&k, "n1", TWO_GPUS);
  ok(apply(&k, APP(WEB(GPUS(3, ONE)))), "three of one device each");
  is_str(devices(&k, "web"), "n1 0|n1 1|-", "two have one each, their own; the third has none");
  is_str(why(&k, "web"), "n1 lacks device gpu: it asks for 1, and 0 is left. It would fit with 1 more device gpu on n1", "and it is told why");
  is_str(room(&k, "device gpu"), "2 of 2", "the node shows it");
  kit_reload(&k);
  is_str(devices(&k, "web"), "n1 0|n1 1|-", "a restart forgets nobody's devices");
  kit_reload(&k);
  node(&k, "n1", TWO_GPUS);
  BT_AUTO_FREE char *id = id_of(&k, "web", 0);
  const json_t *sync = kit_sent(&k, "sync", 0), *first = NULL;
  size_t i;
  json_t *o;
  json_array_foreach(bt_json_arr(sync, "instances"), i, o) if (bt_streq(bt_json_str(o, "instance"), id)) first = o;
  const json_t *request = json_array_get(bt_json_arr(first, "devices"), 0);
  is_str(bt_json_str(request, "driver"), "nvidia", "the node hears the driver");
  is_str(json_string_value(json_array_get(bt_json_arr(request, "device_ids"), 0)), "0", "and the id");
  ok(apply(&k, APP(WEB(GPUS(1, ONE)))), "two of them go");
  kit_all_leave(&k);
  is_str(devices(&k, "web"), "n1 0", "one stays");
  ok(apply(&k, APP(WEB(GPUS(1, ONE)) "," DB(GPUS(1, "{'capabilities':['gpu'],'device_ids':['1']}")))), "the other by its id");
  is_str(devices(&k, "db"), "n1 1", "which came free");
  ok(apply(&k, APP(WEB(GPUS(1, ONE)) "," "'all':{'image':'all:1','gpus':[{'count':-1}]}")), "all of them");
  kit_all_leave(&k);
  is_str(devices(&k, "all"), "-", "not while anybody has one");
  ok(strstr(why(&k, "all"), "has not all gpu free"), "why: %s", why(&k, "all"));
  ok(apply(&k, APP("'all':{'image':'all:1','gpus':[{'count':-1}]}")), "alone");
  kit_all_leave(&k);
  kit_tick(&k, 1000);
  is_str(devices(&k, "all"), "n1 0,1", "it has all");
  is_str(room(&k, "device gpu"), "2 of 2", "and the node shows it");
  ok(apply(&k, APP("'all':{'image':'all:1','gpus':[{'count':-1}]}," WEB(GPUS(1, ONE)))), "and another");
  is_str(devices(&k, "web"), "-", "has none left");
  kit_end(&k);
}

static void test_models(void) {
  struct kit k;
  kit_start(&k);
  node(&k, "n1", ",'devices':[{'kind':'gpu','model':'t4','ids':['a']}]");
  node(&k, "n2", ",'devices':[{'kind':'gpu','model':'h100','ids':['a','b']}]");
  node(&k, "n0", "");
  const char *any[] = {"n0", "n1", "n2"};
  ok(apply(&k, APP(WEB(GPUS(2, "{'capabilities':['gpu','h100'],'count':1}")))), "two of a model");
  is_str(devices(&k, "web"), "n2 a|n2 b", "where it is");
  ok(apply(&k, APP(WEB(GPUS(2, "{'capabilities':['gpu','h100'],'count':1}")) "," DB(GPUS(1, ONE)))), "one of any model");
  is_str(devices(&k, "db"), "n1 a", "where it is free");
  const struct bt_reply *reply =
      kit_request(&k, "app.apply", APP(WEB(GPUS(2, "{'capabilities':['gpu','h100'],'count':1}")) "," DB(GPUS(1, ONE)) "," "'x':{'image':'x'" GPUS(2, "{'capabilities':['gpu','h100'],'count':1}") "}"), true);
  const json_t *x = json_array_get(bt_json_arr(bt_json_obj(reply->result, "forecast"), "services"), 0);
  is_int(bt_json_int(x, "unplaced", 0), 2, "who declares nothing has nothing where others do");
  is_str(devices(&k, "web"), "n2 a|n2 b", "a dry run gives nothing away");
  for (size_t i = 0; i < BT_COUNT(any); i++)
    node(&k, any[i], "");
  ok(apply(&k, APP("'x':{'image':'x'" GPUS(3, "{'capabilities':['gpu','h100'],'count':1}") "}")), "where nobody declares anything");
  ok(!strchr(devices(&k, "x"), '-'), "the engines are left to find out: %s", devices(&k, "x"));
  kit_end(&k);
}

/* What a dry run tries in turn must not be given twice. */
static void test_forecast(void) {
  struct kit k;
  kit_start(&k);
  node(&k, "n1", TWO_GPUS);
  const struct bt_reply *reply = kit_request(&k, "app.apply", APP(WEB(GPUS(2, "{'capabilities':['gpu','utility'],'count':1}")) "," DB(GPUS(1, ONE))), true);
  const json_t *services = bt_json_arr(bt_json_obj(reply->result, "forecast"), "services");
  long long unplaced = 0;
  size_t i;
  json_t *o;
  json_array_foreach(services, i, o) unplaced += bt_json_int(o, "unplaced", 0);
  is_int(unplaced, 1, "three of two devices: one has none");
  const json_t *of = json_array_get(bt_json_arr(bt_json_obj(reply->result, "forecast"), "nodes"), 0);
  is_int(bt_json_int(bt_json_obj(bt_json_obj(bt_json_obj(of, "after"), "room"), "device gpu"), "used", -1), 2, "the forecast shows what is used afterwards");
  is_str(room(&k, "device gpu"), "0 of 2", "and nothing is");
  kit_end(&k);
}

#define RESERVED(n, what) ",'deploy':{'replicas':" #n ",'resources':{'reservations':{'generic_resources':[{'discrete_resource_spec':{'kind':'" what "','value':2}}]}}}"

static void test_resources(void) {
  struct kit k;
  kit_start(&k);
  node(&k, "n1", "");
  ok(apply(&k, APP(WEB(RESERVED(2, "licence")))), "a resource that nobody has");
  is_str(given(&k, "web", "-", "-"), "-|-", "has no place");
  is_str(why(&k, "web"), "n1 has no resource licence. It would fit with resource licence on n1, which has room", "why");
  node(&k, "n2", ",'resources':{'licence':3}");
  kit_tick(&k, 1000);
  is_str(given(&k, "web", "-", "-"), "n2|-", "until a node has it, and as often as it has it");
  ok(strstr(why(&k, "web"), "lacks resource licence (it asks for 2; most is on n2, 1)"), "why: %s", why(&k, "web"));
  node(&k, "n2", ",'resources':{'licence':4}");
  kit_tick(&k, 1000);
  is_str(given(&k, "web", "-", "-"), "n2|n2", "more of it comes");
  kit_reload(&k);
  node(&k, "n2", ",'resources':{'licence':4}");
  ok(apply(&k, APP(WEB(RESERVED(3, "licence")))), "after a restart");
  is_str(given(&k, "web", "-", "-"), "n2|n2|-", "it is counted as before");
  kit_end(&k);
}

static void test_disk_and_pids(void) {
  struct kit k;
  kit_start(&k);
  node(&k, "n1", ",'disk':10000000000,'pids':1000");
  ok(apply(&k, APP(WEB(",'storage_opt':{'size':'6000000000'},'deploy':{'replicas':2}"))), "two of 6 GB");
  is_str(given(&k, "web", "-", "-"), "n1|-", "on 10");
  ok(strstr(why(&k, "web"), "lacks disk"), "why: %s", why(&k, "web"));
  is_str(room(&k, "disk"), "6000000000 of 10000000000", "the node shows it");
  ok(apply(&k, APP(DB(",'x-berth':{'reserve':{'pids':400,'disk':1000}},'deploy':{'replicas':3}"))), "three of 400 processes");
  kit_tick(&k, 1000);
  is_str(given(&k, "db", "-", "-"), "n1|n1|-", "of 1000");
  is_str(room(&k, "pids"), "800 of 1000", "the node shows it");
  kit_end(&k);
}

#define RANGE(n, range, more) ",'ports':[{'mode':'host','target':80,'published':'" range "','protocol':'tcp'" more "}],'deploy':{'replicas':" #n "}"

static void test_ranges(void) {
  struct kit k = fresh();
  ok(apply(&k, APP(WEB(RANGE(3, "8000-8001", "")))), "three for two ports");
  is_str(ports(&k, "web"), "n1 8000|n1 8001|-", "two have one each, the third has none");
  is_str(why(&k, "web"), "n1 has no free port of tcp/8000-8001. It would fit with a wider range than tcp/8000-8001", "why");
  is_int(bt_json_int(json_array_get(bt_json_arr(bt_json_obj(kit_sent(&k, "assign", 0), "instance"), "published"), 0), "published", 0), 8000, "the node hears which one");
  kit_reload(&k);
  kit_hello(&k);
  is_str(ports(&k, "web"), "n1 8000|n1 8001|-", "they are remembered");
  node(&k, "n2", "");
  kit_tick(&k, 1000);
  is_str(ports(&k, "web"), "n1 8000|n1 8001|n2 8000", "another node has all of them");
  ok(apply(&k, APP(WEB(RANGE(1, "8000-8001", "")) "," DB(RANGE(1, "8001", "")))), "a fixed one of the range");
  kit_all_leave(&k);
  ok(apply(&k, APP(WEB(RANGE(4, "8000-8001", "")) "," DB(RANGE(1, "8001", "")))), "and as many of the range as are left");
  kit_tick(&k, 1000);
  int got = 0;
  for (const char *p = ports(&k, "web"); (p = strstr(p, " 80")); p++)
    got++;
  is_int(got, 3, "three ports on two nodes are not taken by the fixed one");
  kit_end(&k);
  k = fresh();
  ok(apply(&k, APP(WEB(RANGE(2, "8000-8001", ",'host_ip':'127.0.0.1'")) "," DB(RANGE(2, "8000-8001", ",'host_ip':'127.0.0.2'")))), "two addresses");
  is_str(ports(&k, "web"), "n1 8000|n1 8001", "each has the whole range");
  is_str(ports(&k, "db"), "n1 8000|n1 8001", "of its own");
  kit_end(&k);
}

int main(void) {
  test_devices();
  test_models();
  test_forecast();
  test_resources();
  test_disk_and_pids();
  test_ranges();
  return done_testing();
}
