/* What a large app costs control grows with its services and not with their square, and no step does all of it at once. Measured by
 * the thread's own time, so that a busy machine does not matter. */
#include "config.h"

#include <time.h>

#include "control/internal.h"
#include "control_kit.h"

enum { SMALL = 400, LARGE = 2 * SMALL, ROUNDS = 3, PHASES = 6 };
static const char *const phase_names[PHASES] = {"the first apply", "images by the hundred", "the start", "all report", "an update", "the end"};

struct run {
  struct kit k;
  double ms[PHASES];
  size_t most_sends;
  enum { CHAIN, APART, ONE_PORT } shape;
};

static double cpu_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void step(struct run *r, int phase, struct bt_input in) {
  bt_effects_free(&r->k.fx);
  in.now_ms = in.wall_ms = r->k.now;
  double start = cpu_ms();
  bt_control_step(r->k.c, &in, &r->k.fx);
  r->ms[phase] += cpu_ms() - start;
  r->most_sends = BT_MAX(r->most_sends, r->k.fx.sends.len);
}

/* One image and one port each, chained by depends_on with restart, linked to the one before; or apart; or all of them with one port, so
 * that only one finds a place. */
static json_t *service(int i, const char *tag, int shape) {
  json_t *o = json_object(), *networks = json_object();
  BT_AUTO_FREE char *port = bt_asprintf("%d", shape == ONE_PORT ? 80 : 1000 + i);
  bt_json_set(o, "image", json_sprintf("image%d:%s", i, tag));
  bt_json_set(networks, "default", json_null());
  bt_json_set(o, "networks", networks);
  bt_json_set(o, "ports", json_pack("[{si,ss,ss,ss,so}]", "target", 80, "published", port, "protocol", "tcp", "mode", "host", "host_ip",
                                    json_sprintf("10.1.%d.%d", i / 250, i % 250)));
  if (i == 0 || shape != CHAIN)
    return o;
  BT_AUTO_FREE char *on = bt_asprintf("s%d", i - 1);
  bt_json_set(o, "depends_on", json_pack("{s{ss,sb,sb}}", on, "condition", "service_started", "required", 1, "restart", 1));
  bt_json_set(o, "links", json_pack("[o]", json_sprintf("%s:alias%d", on, i)));
  return o;
}

static void apply(struct run *r, int phase, int n, const char *tag) {
  json_t *services = json_object();
  for (int i = n; i-- > 0;) { /* dependents first: the order has to be found */
    BT_AUTO_FREE char *name = bt_asprintf("s%d", i);
    bt_json_set(services, name, service(i, tag, r->shape));
  }
  BT_AUTO_JSON args = json_pack("{ss,s{ss,so,s{s{ss}}}}", "app", "big", "model", "name", "big", "services", services, "networks", "default",
                                "name", "big_default");
  struct bt_request request = {.id = ++r->k.requests, .op = "app.apply", .args = args, .actor = "tester"};
  step(r, phase, (struct bt_input){.kind = BT_IN_REQUEST, .request = &request});
}

static void resolve(struct run *r, int phase) {
  BT_VEC(uint64_t) ids = {0};
  bt_vec_each(&r->k.fx.calls, call) bt_vec_push(&ids, call->id);
  BT_AUTO_JSON pin = json_pack("{ss,ss,ss}", "pinned", "sha256:aa", "digest", "sha256:aa", "source", "local");
  bt_vec_each(&ids, id) step(r, phase, (struct bt_input){.kind = BT_IN_CALL_DONE, .call = *id, .code = BT_OK, .result = pin});
  bt_vec_free(&ids);
}

static void settle(struct run *r, int phase) {
  for (int i = 0; i < 40; i++) {
    r->k.now += 100;
    step(r, phase, (struct bt_input){.kind = BT_IN_TICK});
  }
}

static void report_all(struct run *r, int phase, const char *state) {
  BT_VEC(char *) ids = {0};
  for (struct ctl_insts it = ctl_insts(r->k.c); ctl_insts_next(&it);)
    if (it.inst->node)
      bt_vec_push(&ids, bt_strdup(it.inst->id));
  bt_vec_each(&ids, id) {
    BT_AUTO_JSON m = json_pack("{ss,ss,ss,sb,ss,ss,si,sI,sb}", "type", "report", "instance", *id, "state", state, "ready",
                               (int)bt_streq(state, "running"), "health", "", "container_id", *id, "exit_code", 0, "started_ms",
                               (json_int_t)r->k.now, "final", 0);
    step(r, phase, (struct bt_input){.kind = BT_IN_NODE, .node = "n1", .message = m});
    free(*id);
  }
  bt_vec_free(&ids);
}

/* Until all that there can be runs: a chain of services starts one after the other, and one report starts the next. */
static void run_all(struct run *r, int phase) {
  report_all(r, phase, "running");
  settle(r, phase);
}

static void life(struct run *r, int n) {
  kit_start(&r->k);
  kit_hello(&r->k);
  apply(r, 0, n, "1");
  resolve(r, 1);
  settle(r, 2);
  run_all(r, 3);
  apply(r, 4, n, "2");
  resolve(r, 4);
  settle(r, 4);
  is_int(ctl_inst_count(r->k.c), n, "as many instances as services");
  BT_AUTO_JSON args = json_pack("{ss}", "app", "big");
  struct bt_request request = {.id = ++r->k.requests, .op = "app.remove", .args = args, .actor = "tester"};
  step(r, 5, (struct bt_input){.kind = BT_IN_REQUEST, .request = &request});
  settle(r, 5);
  for (int i = 0; i < 10 && ctl_inst_count(r->k.c) > 0; i++) {
    report_all(r, 5, "removed");
    settle(r, 5);
  }
  is_int(ctl_inst_count(r->k.c), 0, "all gone");
  kit_end(&r->k);
}

static void test_growth(void) {
  double least[2][PHASES];
  for (int round = 0; round < ROUNDS; round++)
    for (int large = 0; large < 2; large++) {
      struct run r = {0};
      life(&r, large ? LARGE : SMALL);
      for (int p = 0; p < PHASES; p++)
        least[large][p] = round == 0 ? r.ms[p] : BT_MIN(least[large][p], r.ms[p]);
    }
  for (int p = 0; p < PHASES; p++)
    ok(least[1][p] < 3 * least[0][p] + 15, "%s: %.1f ms with %d services, %.1f ms with %d", phase_names[p], least[0][p], SMALL, least[1][p], LARGE);
}

static void test_slices(void) {
  struct run stuck = {.shape = ONE_PORT}, r = {.shape = APART};
  life(&stuck, LARGE); /* what finds no place holds up nobody */
  life(&r, LARGE);
  ok(r.most_sends > 100 && r.most_sends <= 260, "no step gives a node more than some 250 of %d instances, or takes more back: %zu", LARGE, r.most_sends);
}

/* Slices follow upon each other, also where an app has so many instances that it is not looked at for each report. */
static void test_crowd(void) {
  struct kit k;
  kit_start(&k);
  kit_hello(&k);
  kit_request(&k, "app.apply", "{'app':'big','model':{'name':'big','services':{'web':{'image':'a','deploy':{'replicas':1000}}}}}", false);
  kit_resolve(&k, "aa");
  size_t assigned = kit_count(&k, "assign");
  int64_t start = k.now;
  while (k.fx.wake_ms <= k.now && k.now < start + 100) {
    kit_tick(&k, 1);
    assigned += kit_count(&k, "assign");
  }
  is_int(assigned, 1000, "1000 instances have their place after a few steps");
  ok(k.now <= start + 20, "without a pause");
  kit_end(&k);
}

static const struct bt_reply *send(struct run *r, const char *name, json_t *services) {
  BT_AUTO_JSON args = json_pack("{ss,s{ss,so}}", "app", name, "model", "name", name, "services", services);
  struct bt_request request = {.id = ++r->k.requests, .op = "app.apply", .args = args, .actor = "tester", .dry_run = true};
  step(r, 0, (struct bt_input){.kind = BT_IN_REQUEST, .request = &request});
  return &r->k.fx.replies.items[0];
}

static json_t *with_ports(int n) {
  json_t *list = json_array(), *o = json_pack("{s{ss,so}}", "s", "image", "a", "ports", list);
  for (int i = 0; i < n; i++)
    json_array_append_new(list, json_pack("{si,so,ss}", "target", i + 1, "published", json_sprintf("%d", i + 1), "protocol", "tcp"));
  return o;
}

static void test_limits(void) {
  struct run r = {0};
  kit_start(&r.k);
  json_t *most = json_object(), *more = json_object();
  for (int i = 0; i <= 2000; i++) {
    BT_AUTO_FREE char *name = bt_asprintf("s%d", i);
    bt_json_set(more, name, json_pack("{ss}", "image", "a"));
    if (i < 2000)
      bt_json_set(most, name, json_pack("{ss}", "image", "a"));
  }
  is_int(send(&r, "most", most)->code, BT_OK, "2,000 services");
  const struct bt_reply *reply = send(&r, "more", more);
  ok(reply->code == BT_INVALID && strstr(reply->message, "app more has 2001 services, and an app has 2000 at the most"), "one more is refused");
  is_int(send(&r, "most", with_ports(10000))->code, BT_OK, "10,000 ports");
  reply = send(&r, "more", with_ports(10001));
  ok(reply->code == BT_INVALID && strstr(reply->message, "more than 10000 ports up to service s"), "one more is refused");
  kit_end(&r.k);
}

/* A chain as long as its file allows is no recursion. */
static void test_long_chain(void) {
  enum { N = 60000 };
  struct bt_service **services = bt_newn(struct bt_service *, N);
  size_t *order = bt_newn(size_t, N);
  BT_AUTO_ERR err = NULL;
  for (int i = 0; i < N; i++) {
    services[i] = bt_new(struct bt_service);
    services[i]->name = bt_asprintf("s%d", i);
    if (i + 1 < N)
      bt_vec_push(&services[i]->depends, ((struct bt_depend){.service = bt_asprintf("s%d", i + 1), .required = true}));
  }
  ok(bt_deps_order(services, N, order, &err) == 0 && order[0] == N - 1 && order[N - 1] == 0, "a chain of %d services", N);
  bt_vec_push(&services[N - 1]->depends, ((struct bt_depend){.service = bt_strdup("s59990"), .required = true}));
  ok(bt_deps_order(services, N, order, &err) < 0 && strstr(bt_err_message(err), "s59998 -> s59999 -> s59990;"), "and a circle at its end");
  for (int i = 0; i < N; i++)
    bt_service_free(&services[i]);
  free(services);
  free(order);
}

int main(void) {
  test_growth();
  test_slices();
  test_crowd();
  test_long_chain();
  test_limits();
  return done_testing();
}
