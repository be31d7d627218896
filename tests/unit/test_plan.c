/* The smaller decisions: plan/deps, plan/place, plan/ports, plan/diff, plan/explain. */
#include "config.h"

#include "base/json.h"
#include "plan/deps.h"
#include "plan/diff.h"
#include "plan/explain.h"
#include "plan/ports.h"
#include "tap.h"

static json_t *json_of(const char *text) {
  BT_AUTO_FREE char *copy = bt_strdup(text);
  for (char *p = copy; *p; p++)
    if (*p == '\'')
      *p = '"';
  json_t *o = json_loads(copy, 0, NULL);
  BT_ASSERT(o);
  return o;
}

static struct bt_service *service(const char *name, const char *text) {
  BT_AUTO_JSON o = json_of(text);
  struct bt_service *s = NULL;
  BT_AUTO_ERR err = NULL;
  if (bt_service_parse(name, o, &s, &err))
    printf("# %s\n", bt_err_message(err));
  BT_ASSERT(s);
  return s;
}

static void test_order(void) {
  struct bt_service *s[3] = {service("web", "{'image':'a','depends_on':{'api':{}}}"), service("api", "{'image':'a','depends_on':{'db':{}}}"),
                             service("db", "{'image':'a'}")};
  size_t order[3];
  BT_AUTO_ERR err = NULL;
  ok(bt_deps_order(s, 3, order, &err) == 0 && order[0] == 2 && order[1] == 1 && order[2] == 0, "dependencies first");
  ok(bt_deps_order(s, 2, order, &err) < 0 && strstr(bt_err_message(err), "api depends on db"), "what is missing is named");
  bt_service_free(&s[2]);
  s[2] = service("db", "{'image':'a','depends_on':{'web':{}}}");
  ok(bt_deps_order(s, 3, order, &err) < 0, "a circle is refused");
  is_str(bt_err_message(err), "services depend on each other in a circle: web -> api -> db -> web; remove one depends_on of it", "and named");
  bt_service_free(&s[1]);
  s[1] = service("api", "{'image':'a','depends_on':{'gone':{'required':false}}}");
  ok(bt_deps_order(s, 2, order, &err) == 0, "an optional one may be missing");
  for (int i = 0; i < 3; i++)
    bt_service_free(&s[i]);
}

static void met(enum bt_condition condition, bool required, struct bt_dep_facts facts, const char *want) {
  char name[] = "db", why[160] = "";
  struct bt_depend dep = {.service = name, .condition = condition, .required = required};
  facts.exists = true;
  bool is = bt_deps_met(&dep, &facts, why, sizeof why);
  is_str(is ? "met" : why, want, want);
}

static void test_gates(void) {
  met(BT_DEP_STARTED, true, (struct bt_dep_facts){.wanted = 1}, "waits for db to start");
  met(BT_DEP_STARTED, true, (struct bt_dep_facts){.wanted = 1, .started = 1}, "met");
  met(BT_DEP_HEALTHY, true, (struct bt_dep_facts){.wanted = 3, .started = 3, .ready = 2}, "waits for db to be healthy (2 of 3 are)");
  met(BT_DEP_HEALTHY, true, (struct bt_dep_facts){.wanted = 1, .ready = 1}, "met");
  met(BT_DEP_COMPLETED, true, (struct bt_dep_facts){.wanted = 1, .failed = 1}, "waits for db to complete, which failed");
  met(BT_DEP_COMPLETED, false, (struct bt_dep_facts){.wanted = 1, .failed = 1}, "met");
  met(BT_DEP_COMPLETED, true, (struct bt_dep_facts){.wanted = 1, .completed = 1, .updating = true}, "waits for the update of db");
  met(BT_DEP_HEALTHY, true, (struct bt_dep_facts){.wanted = 0}, "met");
}

static void test_ports(void) {
  struct bt_service *a = service("a", "{'image':'a','ports':[{'target':1,'published':'80'},{'target':1,'published':'90','host_ip':'127.0.0.1'}]}");
  struct bt_service *b = service("b", "{'image':'a','ports':[{'target':1,'published':'80'},{'target':1,'published':'90','host_ip':'127.0.0.2'},"
                                      "{'target':1,'published':'80','protocol':'udp'}]}");
  struct bt_port_use all[3] = {{"x", "a", &a->ports.items[0]}, {"x", "a", &a->ports.items[1]}, {"x", "b", &b->ports.items[0]}};
  const struct bt_port_use *late = NULL, *early = NULL;
  ok(bt_ports_first_clash(all, 3, 2, &late, &early) && late == &all[2] && early == &all[0], "the first clash of all, and with whom");
  ok(!bt_ports_first_clash(all, 3, 3, &late, &early), "those before are not looked at again");
  ok(!bt_ports_first_clash(all, 2, 0, &late, &early), "no clash at all");
  all[2].port = &b->ports.items[1];
  ok(!bt_ports_first_clash(all, 3, 0, &late, &early), "two addresses do not clash");
  all[2].port = &b->ports.items[2];
  ok(!bt_ports_first_clash(all, 3, 0, &late, &early), "nor two protocols");
  all[2] = (struct bt_port_use){"x", "a", &a->ports.items[0]};
  ok(!bt_ports_first_clash(all, 3, 0, &late, &early), "replicas share");
  bt_service_free(&a);
  bt_service_free(&b);
}

/* A thousand addresses that publish one port, and somebody who wants it on any, or on one of them. */
static void test_port_of_many(void) {
  enum { N = 1000 };
  struct bt_port ports[N + 1];
  struct bt_port_use uses[N + 1];
  char ips[N][20];
  const struct bt_port_use *late = NULL, *early = NULL;
  for (int i = 0; i < N; i++) {
    snprintf(ips[i], sizeof ips[i], "10.0.%d.%d", i / 250, i % 250);
    ports[i] = (struct bt_port){.published = 80, .published_end = 80, .protocol = (char *)(uintptr_t)"tcp", .host_ip = ips[i]};
    uses[i] = (struct bt_port_use){"x", i % 2 ? "odd" : "even", &ports[i]};
  }
  ok(!bt_ports_first_clash(uses, N, 0, &late, &early), "addresses by the thousand");
  ports[N] = ports[7];
  uses[N] = (struct bt_port_use){"x", "c", &ports[N]};
  ok(bt_ports_first_clash(uses, N + 1, N, &late, &early) && late == &uses[N] && early == &uses[7], "one of them is taken");
  uses[N].service = "odd";
  ok(!bt_ports_first_clash(uses, N + 1, N, &late, &early), "by itself");
  ports[N].host_ip = NULL;
  ok(bt_ports_first_clash(uses, N + 1, N, &late, &early) && bt_streq(early->service, "even"), "any address clashes with another's");
  uses[N] = uses[0];
  uses[0] = (struct bt_port_use){"x", "all", &ports[N]};
  ok(bt_ports_first_clash(uses, N, 1, &late, &early) && early == &uses[0] && late == &uses[1], "and what comes later with any address");
}

static const json_t *entry(const json_t *plan, const char *kind, const char *name) {
  for (size_t i = 0; i < json_array_size(plan); i++) {
    const json_t *e = json_array_get(plan, i);
    if (bt_streq(bt_json_str(e, "kind"), kind) && bt_streq(bt_json_str(e, "name"), name))
      return e;
  }
  return NULL;
}

static void test_diff_numbers(void) {
  BT_AUTO_JSON from = json_of("{'services':{'web':{'image':'a','cpus':0.3}}}");
  BT_AUTO_JSON to = json_of("{'services':{'web':{'image':'a','cpus':1.4}}}");
  BT_AUTO_JSON plan = bt_diff_plan(&(struct bt_diff_in){.from = from, .to = to});
  const json_t *change = json_array_get(bt_json_arr(entry(plan, "service", "web"), "changes"), 0);
  is_str(bt_json_str(change, "from"), "0.3", "a number is shown as it is written");
  is_str(bt_json_str(change, "to"), "1.4", "the new one as well");
}

static void test_diff(void) {
  BT_AUTO_JSON from = json_of("{'services':{'web':{'image':'a:1','environment':{'LOG':'hunter2','X':'1'},'secrets':[{'source':'pw'}]},'old':{'image':'b'},"
                              "'api':{'image':'c','deploy':{'replicas':2}},'same':{'image':'d'},'dep':{'image':'e'}},'networks':{'n':{}},'volumes':{'v':{}}}");
  BT_AUTO_JSON to = json_of("{'services':{'web':{'image':'a:2','environment':{'LOG':'sesame','X':'1','NEW':'swordfish'},'secrets':[{'source':'pw'}]},"
                            "'api':{'image':'c','deploy':{'replicas':5}},'same':{'image':'d'},'dep':{'image':'e','depends_on':{'api':{'condition':'service_started'}}},"
                            "'new':{'image':'e'}},'networks':{'m':{}}}");
  BT_AUTO_JSON was = json_of("{'secrets/pw':{'fingerprint':'1'}}");
  BT_AUTO_JSON is = json_of("{'secrets/pw':{'fingerprint':'2'}}");
  BT_AUTO_JSON plan = bt_diff_plan(&(struct bt_diff_in){.from = from, .to = to, .from_contents = was, .to_contents = is});
  const json_t *web = entry(plan, "service", "web");
  is_str(bt_json_str(web, "action"), "update", "web is updated");
  is_str(bt_json_str(web, "reason"), "image changed from a:1 to a:2; environment.LOG changed; environment.NEW added; secrets.pw changed", "and why");
  BT_AUTO_FREE char *text = bt_json_text(plan);
  ok(!strstr(text, "hunter2") && !strstr(text, "sesame") && !strstr(text, "swordfish"), "no value of a variable is shown");
  is_str(bt_json_str(entry(plan, "service", "api"), "action"), "scale", "api is scaled");
  is_str(bt_json_str(entry(plan, "service", "api"), "reason"), "scaled from 2 to 5", "from 2 to 5");
  is_str(bt_json_str(entry(plan, "service", "same"), "action"), "keep", "what is the same stays");
  is_str(bt_json_str(entry(plan, "service", "new"), "action"), "create", "what is new comes");
  is_str(bt_json_str(entry(plan, "service", "old"), "action"), "remove", "what is dropped goes");
  ok(strstr(bt_json_str(entry(plan, "service", "dep"), "reason"), "no container is replaced") != NULL, "depends_on touches no container");
  is_str(bt_json_str(entry(plan, "volume", "v"), "action"), "keep", "a volume's data stays");
  ok(bt_diff_changes(plan), "it changes something");
  BT_AUTO_JSON nothing = bt_diff_plan(&(struct bt_diff_in){.from = to, .to = to, .from_contents = is, .to_contents = is});
  ok(!bt_diff_changes(nothing), "the same again changes nothing");
}

static void explained(struct bt_explain_inst inst, const char *want) {
  struct bt_explain e;
  inst.id = "i";
  inst.restart = inst.restart ? inst.restart : "any";
  bt_explain_instance(&inst, 100000, &e);
  is_str(e.text.data, want, want);
  ok(!e.next || bt_ends(e.next, " i") || inst.oom || bt_starts(inst.error ? inst.error : "", "port "), "what to try names the instance");
  free(e.next);
  bt_buf_free(&e.text);
}

static void test_explain(void) {
  explained((struct bt_explain_inst){.reason = "waits for db to be healthy"}, "i is not started: it waits for db to be healthy");
  explained((struct bt_explain_inst){.node = "n", .state = BT_ST_FAILED, .restarts = 4, .next_start_ms = 140000, .exit_code = 1, .error = "cannot open /data"},
            "i was restarted 4 times; next start in 40s; exit code 1: cannot open /data");
  explained((struct bt_explain_inst){.node = "n", .state = BT_ST_RUNNING, .healthcheck = true, .health = "starting"},
            "i runs on n, but is not ready: its health check has not passed yet");
  explained((struct bt_explain_inst){.node = "n", .state = BT_ST_RUNNING, .readiness = true, .error = "port 0.0.0.0:80 cannot be served: x"},
            "i runs on n, but is not ready: port 0.0.0.0:80 cannot be served: x");
  explained((struct bt_explain_inst){.node = "n", .state = BT_ST_EXITED, .ended = true, .restart = "none"},
            "i ended well, and its restart policy (none) lets it be");
  explained((struct bt_explain_inst){.node = "n", .state = BT_ST_FAILED, .ended = true, .exit_code = 2, .restart = "none"},
            "i ended: exit code 2; its restart policy (none) lets it be");
  explained((struct bt_explain_inst){.node = "n", .leaving = true, .reason = "the service was scaled down"}, "i is being removed: the service was scaled down");
}

int main(void) {
  test_order();
  test_gates();
  test_ports();
  test_port_of_many();
  test_diff();
  test_diff_numbers();
  test_explain();
  return done_testing();
}
