/* Routes from the Compose file to what load balancers are told: the loader's words, which of two clash, the table, changes of endpoints,
 * drains before instances are stopped. */
#include "config.h"

#include "base/buf.h"
#include "base/mem.h"
#include "compose/compose.h"
#include "control_kit.h"
#include "model/route.h"

/* ---------------------------------------------------------------- the loader */

static int read_text(void *arg, const char *path, size_t max, char **out, size_t *len, struct bt_err **err) {
  (void)max;
  if (!bt_streq(path, "/p/c.yaml") && !bt_streq(path, "/p/cert.pem"))
    return bt_err_set(err, BT_NOT_FOUND, "cannot open %s", path);
  *out = bt_strdup(bt_streq(path, "/p/c.yaml") ? arg : "PEM");
  *len = strlen(*out);
  return 0;
}

static const char *no_env(void *arg, const char *name) { return (void)arg, (void)name, NULL; }

static int load(const char *text, struct bt_compose_result *result) {
  struct bt_compose_source source = {read_text, no_env, (void *)(uintptr_t)text};
  struct bt_compose_options options = {.compat = BT_COMPAT_REFUSE};
  bt_strs_add(&options.files, "/p/c.yaml");
  int rc = bt_compose_load(&source, &options, result);
  bt_compose_options_free(&options);
  return rc;
}

#define A "services:\n  a:\n    image: x\n    x-berth:\n      routes:\n"

static void says(const char *text, const char *want) {
  struct bt_compose_result result = {0};
  int rc = load(text, &result);
  BT_AUTO_FREE char *got = bt_diags_text(&result.diags);
  ok(rc < 0 && strstr(got, want), "%s", want);
  if (!strstr(got, want))
    printf("# got: %s\n", got);
  bt_compose_result_free(&result);
}

static void test_errors(void) {
  says("services:\n  a:\n    image: x\n    x-berth: {routes: {}}\n", "/p/c.yaml:4:23: error: services.a.x-berth.routes must be a list of at most 32 routes");
  says(A "        - {hosts: x.example}\n", "/p/c.yaml:6:11: error: services.a.x-berth.routes[0] needs \"port\"");
  says(A "        - {hosts: [a.example, \"a b\"], port: 1}\n", "/p/c.yaml:6:31: error: services.a.x-berth.routes[0].hosts[1] must be a host's name");
  says(A "        - {hosts: [a.example, A.example], port: 1}\n", "\"a.example\" stands there already");
  says(A "        - {hosts: \"a.example:80\", port: 1}\n", "must be a host's name such as shop.example or *.shop.example, without a port");
  says(A "        - {paths: api, port: 1}\n", "routes[0].paths[0] must be a path that begins with");
  says(A "        - {port: 1, weight: 1001}\n", "weight must be an integer from 0 to 1000, not \"1001\"");
  says(A "        - {port: 1, listen: 5}\n", "routes[0].listen is of TCP routes");
  says(A "        - {protocol: tcp, listen: 5, port: 1, hosts: a}\n", "routes[0].hosts is of HTTP routes");
  says(A "        - {protocol: udp, port: 1}\n", "protocol must be http or tcp, not \"udp\"");
  says(A "        - {port: 1, sticky: {by: cookie, lifetime: 5m}}\n", "sticky.lifetime must be left out with by: cookie");
  says(A "        - {port: 1, sticky: {cookie: \"a;b\"}}\n", "sticky.cookie must be a cookie's name");
  says(A "        - {port: 1, rate_limit: {period: 1s}}\n", "rate_limit.requests must be there");
  says(A "        - {port: 1, maintenance: {allow: [everybody]}}\n", "maintenance.allow[0] must be an address or a network");
  says(A "        - {port: 1, maintenance: {allow: [10.0.0.0/8, 300.0.0.1]}}\n", "/p/c.yaml:6:55: error: services.a.x-berth.routes[0].maintenance.allow[1] must be an address or a network such as 10.0.0.0/8, not \"300.0.0.1\"");
  says(A "        - {port: 1, maintenance: {allow: [10.0.0.0/33]}}\n", "allow[0] must be an address");
  says(A "        - {port: 1, maintenance: {allow: [\"::1/129\"]}}\n", "allow[0] must be an address");
  says(A "        - {port: 1, maintenance: {allow: [\"10.0.0.0/\"]}}\n", "allow[0] must be an address");
  says(A "        - {port: 1, tls: true}\n", "routes[0].tls must be a secret's name or a mapping");
  says(A "        - {hosts: [b.example, a.example], port: 1}\n        - {hosts: A.example, port: 2}\n",
       "/p/c.yaml:7:11: error: services.a.x-berth.routes[1] means a.example/, as routes[0] does; keep one of them");
  says(A "        - {port: 1, client_address: telepathy}\n", "client_address must be header, proxy-v1, proxy-v2 or none");
  says(A "        - {port: 1, tls: nosuch}\n", "services.a refers to secret \"nosuch\", which is not defined");
  says(A "        - {port: 1, colour: red}\n", "routes[0].colour is not known");
}

static void test_complete(void) {
  struct bt_compose_result result = {0};
  int rc = load(A "        - {hosts: Shop.Example, paths: /api/, port: 8080, tls: cert, sticky: true, maintenance: true}\n"
                  "        - {protocol: tcp, listen: 5432, port: 5432, maintenance: false}\n"
                  "        - {port: 80, sticky: false}\nsecrets:\n  cert: {file: ./cert.pem}\n  unused: {file: ./nowhere}\n",
                &result);
  BT_AUTO_FREE char *diags = bt_diags_text(&result.diags);
  ok(rc < 0 && strstr(diags, "routes[1].maintenance is of HTTP routes"), "a page is nothing for TCP, even where it is off");
  bt_compose_result_free(&result);
  rc = load(A "        - {hosts: Shop.Example, paths: /api/, port: 8080, tls: cert, sticky: true}\n"
              "        - {port: 80, sticky: false}\nsecrets:\n  cert: {file: ./cert.pem}\n  unused: {file: ./nowhere}\n",
            &result);
  is_int(rc, 0, "routes load");
  BT_AUTO_JSON services = json_incref(bt_json_obj(result.model, "services"));
  const json_t *routes = bt_json_arr(bt_json_obj(bt_json_obj(services, "a"), "x-berth"), "routes");
  BT_AUTO_FREE char *first = bt_json_canonical(json_array_get(routes, 0));
  is_str(first,
         "{\"client_address\":\"header\",\"hosts\":[\"shop.example\"],\"paths\":[\"/api\"],\"port\":8080,\"protocol\":\"http\",\"scheme\":\"http\","
         "\"sticky\":{\"by\":\"cookie\",\"cookie\":\"berth\"},\"timeouts\":{\"connect\":\"2s\",\"idle\":\"1h0m0s\",\"response\":\"1m0s\"},"
         "\"tls\":{\"redirect\":true,\"secret\":\"cert\"},\"weight\":100}",
         "short forms are written out");
  ok(!json_object_get(json_array_get(routes, 1), "sticky"), "what is switched off is gone");
  ok(bt_map_get(result.contents, "secrets/cert") && !bt_map_get(result.contents, "secrets/unused"), "the certificate's content comes along");
  bt_compose_result_free(&result);
}

/* ---------------------------------------------------------------- two routes */

static struct bt_routes parse(const char *text) {
  struct bt_routes routes = {0};
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE char *copy = bt_strdup(text);
  for (char *p = copy; *p; p++)
    if (*p == '\'')
      *p = '"';
  static json_t *kept[32];
  static size_t n;
  kept[n] = kit_json(copy); /* routes borrow from it */
  if (bt_routes_parse("s", kept[n++], &routes, &err))
    printf("# %s\n", bt_err_message(err));
  return routes;
}

static void overlap(const char *a, const char *b, const char *want) {
  struct bt_routes one = parse(a), two = parse(b);
  BT_AUTO_FREE char *got = bt_route_overlap(&one.items[0], &two.items[0]);
  BT_AUTO_FREE char *back = bt_route_overlap(&two.items[0], &one.items[0]);
  is_str(got, want, want ? want : "nothing in common");
  ok(!got == !back, "the same from the other side");
  bt_routes_free(&one);
  bt_routes_free(&two);
}

static void test_overlap(void) {
  overlap("[{'hosts':['a','b'],'port':1}]", "[{'hosts':['b','c'],'port':1}]", "b/");
  overlap("[{'hosts':['a'],'paths':['/x'],'port':1}]", "[{'hosts':['a'],'paths':['/','/x'],'port':1}]", "a/x");
  overlap("[{'hosts':['a'],'paths':['/x'],'port':1}]", "[{'hosts':['a'],'port':1}]", NULL);
  overlap("[{'hosts':['*.a'],'port':1}]", "[{'hosts':['x.a'],'port':1}]", NULL);
  overlap("[{'port':1}]", "[{'port':2}]", "any host, /");
  overlap("[{'port':1}]", "[{'hosts':['a'],'port':1}]", NULL);
  overlap("[{'protocol':'tcp','listen':5,'port':1}]", "[{'protocol':'tcp','listen':5,'port':2}]", "port 5");
  overlap("[{'protocol':'tcp','listen':5,'port':1}]", "[{'port':5}]", NULL);
  struct bt_routes r = parse("[{'hosts':['*.z','b.z','a.z'],'paths':['/q','/p'],'port':1}]");
  is_str(r.items[0].key, "a.z/p", "a route's name: a whole host, in order of the alphabet");
  bt_routes_free(&r);
}

static void common(const char *a, const char *b, const char *want) {
  struct bt_routes one = parse(a), two = parse(b);
  BT_AUTO_FREE char *got = bt_route_common_host(&one.items[0], &two.items[0]);
  BT_AUTO_FREE char *back = bt_route_common_host(&two.items[0], &one.items[0]);
  is_str(got, want, want ? want : "no host in common");
  ok(!got == !back, "the same from the other side");
  bt_routes_free(&one);
  bt_routes_free(&two);
}

static void test_common_host(void) {
  common("[{'hosts':['a','b'],'paths':['/x'],'port':1}]", "[{'hosts':['b'],'paths':['/y'],'port':1}]", "b");
  common("[{'hosts':['x.a'],'port':1}]", "[{'hosts':['*.a'],'port':1}]", "x.a");
  common("[{'hosts':['*.x.a'],'port':1}]", "[{'hosts':['*.a'],'port':1}]", "*.x.a");
  common("[{'hosts':['a'],'port':1}]", "[{'hosts':['*.a'],'port':1}]", NULL);
  common("[{'hosts':['xa'],'port':1}]", "[{'hosts':['*.a'],'port':1}]", NULL);
  common("[{'port':1,'paths':['/x']}]", "[{'port':1}]", "any host");
  common("[{'port':1}]", "[{'hosts':['a'],'port':1}]", NULL);
}

/* ---------------------------------------------------------------- control */

#define ROUTE "'hosts':['shop.example'],'paths':['/'],'protocol':'http'"
#define APP(name, image, routes) \
  "{'namespace':'default','app':'" name "','model':{'name':'" name "','services':{'web':{'image':'" image "','stop_grace_period':'20s','networks':{'default':null}," \
  "'deploy':{'replicas':2},'x-berth':{'routes':[" routes "]}}},'networks':{'default':{'name':'" name "_default'}}}}"

static void report_ip(struct kit *k, const char *id, const char *ip, bool ready) {
  BT_AUTO_FREE char *m = bt_asprintf("{'type':'report','instance':'%s','state':'running','ready':%s,'container_id':'c','ip':'%s','started_ms':1}", id, ready ? "true" : "false", ip);
  kit_node(k, m);
}

static char *instance(const struct kit *k, size_t n) {
  BT_AUTO_JSON list = kit_list(k, "instances", NULL);
  return bt_strdup(bt_json_str(json_array_get(list, n), "instance"));
}

/* "pool endpoint state port; …" of the last step's changes. */
static char *changes(const struct kit *k) {
  struct bt_buf b = {0};
  size_t i;
  json_t *e;
  json_array_foreach(k->fx.endpoints, i, e) bt_buf_addf(&b, "%s %s:%lld; ", bt_json_str(e, "state"), bt_json_str_or(e, "address", "-"), bt_json_int(e, "port", 0));
  return bt_buf_steal(&b);
}

static uint64_t drain_call(const struct kit *k, int64_t *grace) {
  for (size_t i = 0; i < k->fx.calls.len; i++)
    if (bt_streq(k->fx.calls.items[i].kind, "lb.drain")) {
      *grace = bt_json_int(k->fx.calls.items[i].args, "grace_ms", 0);
      return k->fx.calls.items[i].id;
    }
  return 0;
}

static void deploy(struct kit *k) {
  kit_start(k);
  kit_hello(k);
  kit_request(k, "app.apply", APP("shop", "x:1", "{" ROUTE ",'port':8080}"), false);
  kit_resolve(k, "1");
  ok(k->fx.routes, "a revision with routes: the whole table anew");
  BT_AUTO_FREE char *a = instance(k, 0);
  BT_AUTO_FREE char *b = instance(k, 1);
  report_ip(k, a, "10.0.0.2", false);
  ok(!k->fx.endpoints, "who is not ready is nobody's endpoint");
  report_ip(k, a, "10.0.0.2", true);
  BT_AUTO_FREE char *came = changes(k);
  is_str(came, "ready 10.0.0.2:8080; ", "ready: an endpoint");
  report_ip(k, b, "10.0.0.3", true);
  kit_tick(k, 500);
}

static void test_table(void) {
  struct kit k;
  deploy(&k);
  BT_AUTO_JSON table = bt_control_routes(k.c);
  const json_t *route = json_array_get(bt_json_arr(table, "routes"), 0), *pool = json_array_get(bt_json_arr(table, "pools"), 0);
  is_str(bt_json_str(route, "id"), "default/shop.example/", "the route");
  is_str(bt_json_str(json_array_get(bt_json_arr(route, "targets"), 0), "pool"), "default/shop/web:8080", "its pool");
  is_int(json_array_size(bt_json_arr(pool, "endpoints")), 2, "with both instances");
  BT_AUTO_JSON rows = kit_list(&k, "routes", NULL);
  is_str(bt_json_str(json_array_get(rows, 0), "state"), "unserved", "without a load balancer nobody serves it");
  kit_request(&k, "lb.report", "{'plugin':'lb','status':'ok','refused':{'default/shop.example/':'no certificate'}}", false);
  BT_AUTO_JSON refused = kit_list(&k, "routes", NULL);
  is_str(bt_json_str(json_array_get(refused, 0), "message"), "no certificate", "what the load balancer refuses is told");
  kit_request(&k, "lb.report", "{'plugin':'lb','status':'ok','refused':{}}", false);
  BT_AUTO_JSON why = bt_control_why(k.c, "default", "route/shop.example", k.now, NULL);
  ok(strstr(bt_json_str_or(why, "summary", ""), "leads to 2 of 2 instances"), "why tells");
  BT_AUTO_FREE char *a = instance(&k, 0);
  report_ip(&k, a, "10.0.0.2", false);
  BT_AUTO_FREE char *went = changes(&k);
  is_str(went, "gone -:0; ", "unready: no endpoint any more");
  kit_end(&k);
}

static void test_drain(void) {
  struct kit k;
  int64_t grace = 0;
  deploy(&k);
  kit_request(&k, "app.scale", "{'namespace':'default','app':'shop','services':{'web':1}}", false);
  BT_AUTO_FREE char *left = changes(&k);
  uint64_t call = drain_call(&k, &grace);
  ok(call && grace == 20000, "who leaves is drained first, for its stop_grace_period");
  ok(strstr(left, "drain "), "and gets no new request");
  is_int(kit_count(&k, "release"), 0, "its node hears nothing yet");
  kit_reload(&k);
  uint64_t again = drain_call(&k, &grace);
  ok(again && k.fx.routes, "a new server asks again, and tells the whole table");
  kit_hello_again(&k);
  is_int(kit_count(&k, "release"), 0, "a node that comes back does not stop it either");
  kit_step(&k, (struct bt_input){.kind = BT_IN_CALL_DONE, .call = again, .code = BT_OK});
  is_int(kit_count(&k, "release"), 1, "drained: now it is stopped");
  kit_all_leave(&k);
  kit_end(&k);
  deploy(&k);
  kit_request(&k, "app.scale", "{'namespace':'default','app':'shop','services':{'web':1}}", false);
  kit_tick(&k, 21000);
  is_int(kit_count(&k, "release"), 0, "nobody answers");
  kit_tick(&k, 2000);
  is_int(kit_count(&k, "release"), 1, "its time is over: it is stopped all the same");
  kit_end(&k);
  deploy(&k);
  BT_AUTO_FREE char *id = instance(&k, 0);
  BT_AUTO_FREE char *args = bt_asprintf("{'namespace':'default','instance':'%s'}", id);
  kit_request(&k, "instance.restart", args, false);
  call = drain_call(&k, &grace);
  is_int(kit_count(&k, "restart"), 0, "a restart waits for the drain, too");
  kit_step(&k, (struct bt_input){.kind = BT_IN_CALL_DONE, .call = call, .code = BT_UNAVAILABLE});
  is_int(kit_count(&k, "restart"), 1, "whatever the answer is");
  kit_end(&k);
}

static void refused(struct kit *k, const char *args, const char *want) {
  const struct bt_reply *r = kit_request(k, "app.apply", args, false);
  ok(r && r->code == BT_CONFLICT && strstr(r->message, want), "%s", want);
  if (r && r->message && !strstr(r->message, want))
    printf("# got: %s\n", r->message);
}

static void test_conflicts(void) {
  struct kit k;
  deploy(&k);
  refused(&k, APP("other", "x:1", "{" ROUTE ",'port':1}"), "service web has a route for shop.example/, which is that of service web of app shop; choose another host or path");
  refused(&k, APP("other", "x:1", "{" ROUTE ",'port':1,'share':'s'}"), "which is that of service web of app shop");
  BT_AUTO_FREE char *placed = bt_asprintf("%.*s,'origin':{'services':{'web':{'file':'other.yaml','line':12}}}}", (int)strlen(APP("other", "x:1", "{" ROUTE ",'port':1}")) - 1, APP("other", "x:1", "{" ROUTE ",'port':1}"));
  refused(&k, placed, "service web (other.yaml:12) has a route for shop.example/");
  const struct bt_reply *shared = kit_request(&k, "app.apply", APP("shop", "x:1", "{" ROUTE ",'port':8080,'share':'s'}"), false);
  BT_AUTO_FREE char *plan = bt_json_text(bt_json_arr(shared->result, "plan"));
  ok(strstr(plan, "no container is replaced"), "the plan says that no container is replaced: %s", plan);
  kit_resolve(&k, "1");
  is_int(kit_count(&k, "release"), 0, "a change of routes alone replaces no container");
  ok(k.fx.routes, "but the table is told anew");
  refused(&k, APP("other", "x:1", "{" ROUTE ",'port':1,'share':'s','scheme':'https'}"), "so its \"scheme\" must be the same");
  const struct bt_reply *r = kit_request(&k, "app.apply", APP("other", "x:1", "{" ROUTE ",'port':1,'share':'s','weight':7}"), false);
  ok(r && r->code == BT_OK, "two apps that both say so share a route");
  kit_resolve(&k, "2");
  BT_AUTO_JSON table = bt_control_routes(k.c);
  is_int(json_array_size(bt_json_arr(table, "routes")), 1, "it is one route");
  is_int(json_array_size(bt_json_arr(json_array_get(bt_json_arr(table, "routes"), 0), "targets")), 2, "with two targets");
  kit_end(&k);
}

/* Two that come in the same moment: while the first one's images are asked for, its routes are its already. */
static void test_at_once(void) {
  struct kit k;
  kit_start(&k);
  kit_hello(&k);
  kit_request(&k, "app.apply", APP("shop", "x:1", "{" ROUTE ",'port':8080}"), false);
  refused(&k, APP("other", "x:1", "{" ROUTE ",'port':1}"), "which is that of service web of app shop");
  kit_end(&k);
  deploy(&k);
  kit_request(&k, "app.apply", APP("shop", "x:2", "{'hosts':['new.example'],'paths':['/'],'protocol':'http','port':8080}"), false);
  refused(&k, APP("other", "x:1", "{" ROUTE ",'port':1}"), "which is that of service web of app shop");
  refused(&k, APP("other", "x:1", "{'hosts':['new.example'],'paths':['/'],'protocol':'http','port':1}"), "which is that of service web of app shop");
  kit_end(&k);
}

/* While a rollout goes on, what it may go back to is still the app's. */
static void test_while_rolling(void) {
  struct kit k;
  deploy(&k);
  for (int i = 0; i < 5; i++) {
    kit_all_run(&k);
    kit_tick(&k, 5000);
  }
  kit_request(&k, "app.apply", APP("shop", "x:2", "{'hosts':['new.example'],'paths':['/'],'protocol':'http','port':8080}"), false);
  kit_resolve(&k, "bb");
  refused(&k, APP("other", "x:1", "{" ROUTE ",'port':1}"), "which is that of service web of app shop");
  for (int i = 0; i < 10; i++) {
    kit_all_run(&k);
    kit_all_leave(&k);
    kit_tick(&k, 20000);
  }
  const struct bt_reply *reply = kit_request(&k, "app.apply", APP("other", "x:1", "{" ROUTE ",'port':1}"), false);
  ok(reply && reply->code == BT_OK, "when it stands, the route is free");
  kit_end(&k);
}

/* A longer path or the whole name goes first: so no other tenant may have it. */
static void test_tenants(void) {
  struct kit k;
#define OTHER(routes)                                                                                                                  \
  "{'namespace':'%s','app':'other','model':{'name':'other','services':{'web':{'image':'x:1','networks':{'default':null},'x-berth':{'routes':[" routes \
  "]}}},'networks':{'default':{}}}}"
  static const struct {
    const char *args, *want;
  } cases[] = {{OTHER("{'hosts':['shop.example'],'paths':['/login'],'protocol':'http','port':1}"), "is of one namespace"},
               {OTHER("{'hosts':['*.example'],'paths':['/'],'protocol':'http','port':1}"), "and so has app shop"},
               {OTHER("{'hosts':['shop.example'],'paths':['/'],'protocol':'http','port':1,'share':'s'}"), "which is that of service web of app shop of namespace default"}};
  deploy(&k);
  for (size_t i = 0; i < BT_COUNT(cases); i++) {
    char args[700];
    snprintf(args, sizeof args, cases[i].args, "evil");
    refused(&k, args, cases[i].want);
  }
  char own[700];
  snprintf(own, sizeof own, cases[0].args, "default");
  const struct bt_reply *r = kit_request(&k, "app.apply", own, false);
  ok(r && r->code == BT_OK, "in its own namespace a longer path is fine");
  kit_end(&k);
}

int main(void) {
  test_errors();
  test_complete();
  test_overlap();
  test_table();
  test_drain();
  test_conflicts();
  test_at_once();
  test_while_rolling();
  test_common_host();
  test_tenants();
  return done_testing();
}
