/* Services read from canonical Compose: model/service. */
#include "config.h"

#include "base/json.h"
#include "model/service.h"
#include "tap.h"

/* ' stands for " in the texts. */
static json_t *json_of(const char *text) {
  BT_AUTO_FREE char *copy = bt_strdup(text);
  for (char *p = copy; *p; p++)
    if (*p == '\'')
      *p = '"';
  json_t *o = json_loads(copy, 0, NULL);
  BT_ASSERT(o);
  return o;
}

static struct bt_service *parse(const char *text, char **complaint) {
  BT_AUTO_JSON o = json_of(text);
  BT_AUTO_ERR err = NULL;
  struct bt_service *s = NULL;
  int rc = bt_service_parse("web", o, &s, &err);
  BT_ASSERT((rc == 0) == (s != NULL));
  if (complaint)
    *complaint = bt_strdup(bt_err_message(err));
  else if (rc)
    printf("# %s\n", bt_err_message(err));
  return s;
}

static void refused(const char *text, const char *want) {
  BT_AUTO_FREE char *got = NULL;
  struct bt_service *s = parse(text, &got);
  ok(!s, "refused: %s", text);
  ok(strstr(got, want) != NULL, "it says: %s", want);
  bt_service_free(&s);
}

static void test_defaults(void) {
  struct bt_service *s = parse("{'image':'a'}", NULL);
  is_int(s->replicas, 1, "one replica");
  is_int(s->update.parallelism, 1, "one at a time");
  is_int(s->update.monitor_ms, 5000, "watched for 5 s");
  ok(s->update.on_failure == BT_FAIL_PAUSE && s->update.order == BT_STOP_FIRST, "pauses, stops first");
  is_str(s->restart.condition, "none", "no restart");
  is_int(s->stop_grace_ms, 10000, "10 s of grace");
  is_int(s->deadline_ms, 600000, "10 min to become ready");
  ok(!s->healthcheck && !s->readiness && !bt_service_exclusive(s), "no checks, may run twice");
  bt_service_free(&s);
}

static void test_deploy(void) {
  struct bt_service *s = parse(
      "{'image':'a','restart':'always','stop_grace_period':'1m30s','deploy':{'replicas':3,'update_config':{'parallelism':0,'delay':'2s',"
      "'failure_action':'rollback','monitor':'500ms','max_failure_ratio':0.25,'order':'start-first'},"
      "'restart_policy':{'condition':'on-failure','delay':'5s','max_attempts':4,'window':'1m0s'},"
      "'resources':{'limits':{'cpus':'0.5','memory':'67108864'},'reservations':{'cpus':0.25,'memory':'32m'}},"
      "'placement':{'constraints':['node.labels.disk == ssd']}}}",
      NULL);
  is_int(s->replicas, 3, "replicas");
  ok(s->update.parallelism == 0 && s->update.delay_ms == 2000 && s->update.monitor_ms == 500, "parallelism, delay, monitor");
  ok(s->update.max_failure_ratio == 0.25 && s->update.on_failure == BT_FAIL_ROLLBACK && s->update.order == BT_START_FIRST, "ratio, action, order");
  is_str(s->restart.condition, "on-failure", "restart_policy wins over restart");
  ok(s->restart.delay_ms == 5000 && s->restart.max_attempts == 4 && s->restart.window_ms == 60000, "its delay, attempts and window");
  ok(s->limits.cpus == 0.5 && s->limits.memory == 67108864 && s->reserved.cpus == 0.25 && s->reserved.memory == 33554432, "resources");
  is_int(s->stop_grace_ms, 90000, "grace");
  is_int(s->constraints.len, 1, "constraints");
  bt_service_free(&s);
}

static void test_restart_words(void) {
  static const struct {
    const char *word, *condition;
    int attempts;
  } words[] = {{"no", "none", 0}, {"always", "any", 0}, {"unless-stopped", "any", 0}, {"on-failure", "on-failure", 0}, {"on-failure:3", "on-failure", 3}};
  for (size_t i = 0; i < BT_COUNT(words); i++) {
    BT_AUTO_FREE char *text = bt_asprintf("{'image':'a','restart':'%s'}", words[i].word);
    struct bt_service *s = parse(text, NULL);
    ok(bt_streq(s->restart.condition, words[i].condition) && s->restart.max_attempts == words[i].attempts, "restart: %s", words[i].word);
    bt_service_free(&s);
  }
  struct bt_service *s = parse("{'image':'a','deploy':{'restart_policy':{}}}", NULL);
  is_str(s->restart.condition, "any", "an empty restart_policy means any, as in Swarm");
  bt_service_free(&s);
}

static void test_ports(void) {
  struct bt_service *s = parse("{'image':'a','ports':[{'mode':'ingress','target':80,'published':'8080','protocol':'tcp'},"
                               "{'mode':'ingress','target':53,'published':'53','protocol':'udp'},"
                               "{'mode':'host','target':90,'published':'9090','host_ip':'127.0.0.1'},"
                               "{'mode':'ingress','target':80,'published':'8000-8002'},{'mode':'ingress','target':81}]}",
                               NULL);
  static const bool ingress[] = {true, false, false, false, false};
  is_int(s->ports.len, 5, "five ports");
  for (size_t i = 0; i < s->ports.len; i++)
    ok(s->ports.items[i].ingress == ingress[i], "port %zu goes %s", i, ingress[i] ? "through the proxy" : "to the engine");
  ok(s->ports.items[3].published == 8000 && s->ports.items[3].published_end == 8002, "a range");
  is_str(s->ports.items[2].host_ip, "127.0.0.1", "an address");
  ok(bt_service_exclusive(s) != NULL, "a fixed port of the engine: not twice in a slot");
  bt_service_free(&s);
  refused("{'image':'a','ports':[{'target':0}]}", "ports[0]");
  refused("{'image':'a','ports':[{'target':80,'published':'99999'}]}", "ports[0]");
  refused("{'image':'a','ports':[{'target':80,'published':'90-80'}]}", "ports[0]");
}

static void test_depends(void) {
  struct bt_service *s = parse("{'image':'a','depends_on':{'db':{'condition':'service_healthy','required':false,'restart':true}},"
                               "'network_mode':'service:vpn','volumes_from':['store:ro'],'links':['cache:c']}",
                               NULL);
  const struct bt_depend *db = bt_service_depend(s, "db");
  ok(db && db->condition == BT_DEP_HEALTHY && !db->required && db->restart, "depends_on in full");
  ok(bt_service_depend(s, "vpn") && bt_service_depend(s, "store") && bt_service_depend(s, "cache"), "and what others imply");
  is_str(s->co_network, "vpn", "shares a network");
  ok(!s->network_mode, "which is no mode of its own");
  is_str(s->volumes_from.items[0].mode, "ro", "volumes_from");
  bt_service_free(&s);
  refused("{'image':'a','depends_on':{'db':{'condition':'healthy'}}}", "service_healthy");
}

static void test_jobs(void) {
  struct bt_service *s = parse("{'image':'a','deploy':{'mode':'replicated-job','replicas':2},'x-berth':{'job':{'completions':5}}}", NULL);
  ok(bt_service_is_job(s) && s->replicas == 5 && s->max_concurrent == 2, "five completions, two at a time");
  is_str(s->restart.condition, "none", "a job is not tried again by default");
  ok(!s->job.schedule && s->job.keep_succeeded == 3 && s->job.keep_failed == 1 && !s->job.active_deadline_ms, "no schedule, and what is kept of its runs");
  bt_service_free(&s);
  refused("{'image':'a','deploy':{'mode':'replicated-job','restart_policy':{'condition':'any'}}}", "a job ends");
  struct bt_service *timed = parse("{'image':'a','deploy':{'mode':'replicated-job'},'x-berth':{'job':{'schedule':'@every 30s','concurrency':'forbid','active_deadline':'1m30s',"
                                   "'failed_history_limit':0}}}", NULL);
  ok(timed->job.cron.every_s == 30 && timed->job.concurrency == BT_CONCUR_FORBID && timed->job.active_deadline_ms == 90000 && timed->job.keep_failed == 0, "a schedule");
  bt_service_free(&timed);
  refused("{'image':'a','x-berth':{'job':{'schedule':'61 * * * *'}}}", "the minute \"61\"");
  refused("{'image':'a','x-berth':{'job':{'schedule':'@daily','time_zone':'/etc/passwd'}}}", "no name of a time zone");
}

static void test_refusals(void) {
  refused("{}", "neither image nor build");
  refused("{'image':'a','deploy':{'mode':'many'}}", "deploy.mode");
  refused("{'image':'a','deploy':{'replicas':-1}}", "replicas");
  refused("{'image':'a','deploy':{'replicas':1000000000}}", "replicas");
  refused("{'image':'a','restart':'sometimes'}", "restart");
  refused("{'image':'a','restart':'on-failure:x'}", "on-failure:N");
  refused("{'image':'a','container_name':'one','deploy':{'replicas':2}}", "container_name");
  refused("{'image':'a','deploy':{'update_config':{'order':'any'}}}", "order");
  refused("[]", "no mapping");
}

static void test_checks(void) {
  struct bt_service *s = parse("{'image':'a','healthcheck':{'test':['CMD','true'],'interval':'5m0s','retries':3,'start_period':'10m0s'}}", NULL);
  ok(s->healthcheck, "a health check");
  is_int(s->deadline_ms, (10 + 15 + 1) * 60000, "a slow one moves the deadline");
  bt_service_free(&s);
  s = parse("{'image':'a','healthcheck':{'test':['NONE']},'x-berth':{'probes':{'readiness':{'tcp':{'port':1}}}}}", NULL);
  ok(!s->healthcheck && s->readiness, "NONE is none; a probe");
  bt_service_free(&s);
}

static void test_reserve(void) {
  struct bt_service *s = parse("{'image':'a','storage_opt':{'size':'2G'},'x-berth':{'reserve':{'pids':9}}}", NULL);
  ok(s->reserved.pids == 9 && s->reserved.disk == (int64_t)2 << 30, "processes and disk that are kept");
  bt_service_free(&s);
  s = parse("{'image':'a','storage_opt':{'size':'2G'},'x-berth':{'reserve':{'disk':5}}}", NULL);
  is_int(s->reserved.disk, 5, "what is said is kept, not the size of storage_opt");
  bt_service_free(&s);
}

int main(void) {
  test_reserve();
  test_defaults();
  test_deploy();
  test_restart_words();
  test_ports();
  test_depends();
  test_jobs();
  test_refusals();
  test_checks();
  return done_testing();
}
