/* What autoscaling costs: 500 services of ten instances that scale by cpu and by a query, looked at 40 times in a steady state through
 * the whole control core (question, answer, decision; no engine, no disk). Rows: autoscale-look (processor time of a look at one service,
 * its ten instances included), autoscale-idle (what control asks for, sends and stores in those looks: nothing but the questions). */
#include "config.h"

#include <time.h>

#include "../unit/control_kit.h"
#include "base/buf.h"
#include "bench.h"

enum { APPS = 5, SERVICES = 100, INSTANCES = 10, LOOKS = 40 };

static struct kit k;

static double cpu_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void apply(int app) {
  BT_AUTO_BUF b = {0};
  bt_buf_addf(&b, "{'app':'a%d','model':{'name':'a%d','services':{", app, app);
  for (int i = 0; i < SERVICES; i++)
    bt_buf_addf(&b, "%s's%d':{'image':'i:1','deploy':{'replicas':%d,'resources':{'limits':{'cpus':1}}},'x-berth':{'autoscale':{'max':40,"
                    "'metrics':[{'cpu':'50%%'},{'query':'q','target':10}]}}}",
                i ? "," : "", i, INSTANCES);
  bt_buf_adds(&b, "}},'contents':{}}");
  kit_request(&k, "app.apply", b.data, false);
  kit_resolve(&k, "aa");
  while (k.fx.wake_ms <= k.now)
    kit_tick(&k, 1);
}

/* All of them are at their target. */
static json_t *answer_for(const json_t *question) {
  json_t *services = json_object(), *result = json_object(), *asked;
  const char *key;
  json_object_foreach(bt_json_obj(question, "services"), key, asked) {
    json_t *o = json_object(), *metrics = json_object(), *query = json_object(), *usage = json_object();
    BT_AUTO_JSON list = bt_control_list(k.c, "instances",
                                        &(struct bt_query){.namespace_ = "default", .app = bt_json_str(asked, "app"), .service = bt_json_str(asked, "service")}, NULL, NULL);
    size_t i;
    json_t *inst;
    json_array_foreach(list, i, inst) bt_json_set(usage, bt_json_str(inst, "instance"), json_pack("{s:f,s:i}", "cpus", 0.5, "memory", 1000));
    bt_json_set(query, "value", json_real(10 * INSTANCES));
    bt_json_set(metrics, "1", query);
    bt_json_set(o, "metrics", metrics);
    bt_json_set(o, "usage", usage);
    bt_json_set(services, key, o);
  }
  bt_json_set(result, "services", services);
  return result;
}

int main(void) {
  kit_start(&k);
  kit_hello(&k);
  for (int i = 0; i < APPS; i++)
    apply(i);
  kit_all_run(&k); /* 5,000, which is the most that a list has */
  for (int i = 0; i < 4; i++)
    kit_all_run(&k);
  double spent = 0, each[LOOKS];
  size_t looks = 0, batch = 0, sends = 0, calls = 0;
  BT_AUTO_JSON result = NULL;
  for (int round = -1; round < LOOKS; round++) {
    k.now += 15000 - k.now % 15000;
    double begin = cpu_us();
    kit_step(&k, (struct bt_input){.kind = BT_IN_TICK});
    double took = cpu_us() - begin;
    const struct bt_call *call = NULL;
    for (size_t i = 0; i < k.fx.calls.len; i++)
      call = bt_streq(k.fx.calls.items[i].kind, "metrics.read") ? &k.fx.calls.items[i] : call;
    if (!call)
      return 1;
    if (!result)
      result = answer_for(call->args);
    size_t n = json_object_size(bt_json_obj(call->args, "services"));
    calls += k.fx.calls.len;
    batch += round < 0 ? 0 : k.fx.batch.len;
    uint64_t id = call->id;
    begin = cpu_us();
    kit_step(&k, (struct bt_input){.kind = BT_IN_CALL_DONE, .call = id, .code = BT_OK, .result = result});
    took += cpu_us() - begin;
    batch += round < 0 ? 0 : k.fx.batch.len;
    sends += round < 0 ? 0 : k.fx.sends.len;
    if (round < 0)
      continue;
    looks += n;
    spent += took;
    each[round] = took / (double)n;
  }
  BT_AUTO_FREE char *more = bt_asprintf(", \"services\": %d, \"instances\": %zu, \"looks\": %zu, \"mean\": %.3g", APPS * SERVICES, (size_t)APPS * SERVICES * INSTANCES, looks,
                                        spent / (double)looks);
  int rc = bench_print(&(struct bench_result){.name = "autoscale-look", .unit = "us of processor per service and look", .value = bench_median(each, LOOKS), .floor = NAN,
                                              .peer = NAN, .ratio = NAN, .reach = 20, .more = more});
  BT_AUTO_FREE char *idle = bt_asprintf(", \"calls\": %zu, \"stored\": %zu, \"sent\": %zu", calls, batch, sends);
  rc |= bench_print(&(struct bench_result){.name = "autoscale-idle", .unit = "objects stored or sent in 40 looks at 500 services", .value = (double)(batch + sends), .floor = NAN,
                                           .peer = NAN, .ratio = NAN, .reach = 0, .more = idle});
  kit_end(&k);
  return rc;
}
