/* The plug-in's surroundings misbehave: HTTP answers of all kinds, requests to its routes, floods of events, a store that fails. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "bench.h"
#include "report.h"
#include "request.h"
#include "tests.h"

static int patience_ms(void) { return check_plan.seconds * 250; }

static bool over(void *arg) { return check_ops_over(arg); }

static bool begin(struct check_bench *b) {
  check_step("start()");
  return check_load(b) && check_up(b);
}

static void end(struct check_bench *b) {
  check_step("stop()");
  check_unload(b);
}

/* What is still open gets a cancel, and has to end. */
static void settle(struct check_bench *b, int ms, const char *what) {
  if (check_turn(b->loop, ms, over, b->host))
    return;
  for (size_t i = 0; i < b->host->ops.len; i++)
    if (!b->host->ops.items[i]->finished && b->host->ops.items[i]->method)
      check_op_cancel(b->host, b->host->ops.items[i]);
  check_turn(b->loop, patience_ms(), over, b->host);
  for (size_t i = 0; i < b->host->ops.len; i++)
    if (!b->host->ops.items[i]->finished)
      check_fail("%s never finished, and was cancelled %d ms ago (%s)", b->host->ops.items[i]->label, patience_ms(), what);
}

/* Each method of the interface (NULL: of all), one after the other, so that a crash has one name. */
static void call_all(struct check_bench *b, const char *word, const char *what) {
  struct check_method m;
  for (size_t i = 0; check_method_at(b, i, &m); i++) {
    if (word && strcmp(m.interface->word, word) != 0)
      continue;
    check_step("%s, %s", m.label, what);
    check_call(b, &m, CHECK_TYPICAL, 0, NULL);
    check_turn(b->loop, 15, over, b->host);
  }
  settle(b, patience_ms() / 2, what);
}

/* ---------------------------------------------------------------- HTTP */

static void http(const struct check_test *t) {
  struct check_bench b;
  if (begin(&b)) {
    enum check_play play = (enum check_play)t->variant;
    char what[96];
    snprintf(what, sizeof what, "HTTP answers with %s", check_play_doc(play));
    check_world.play = play;
    call_all(&b, t->label, what);
    check_step("some time on, %s", what);
    check_turn(b.loop, 100, NULL, NULL);
    if (!check_world.requests)
      check_skip("it sends no HTTP requests");
    check_world.play = CHECK_GOOD;
    check_step("all is well again after: %s", what);
    check_turn(b.loop, 50, NULL, NULL);
  }
  end(&b);
}

/* ---------------------------------------------------------------- routes */

static const struct berth_pair odd_headers[] = {{"content-type", "application/json"},
                                                {"authorization", "Bearer \"'%00"},
                                                {"x-hub-signature-256", "sha256=zz"},
                                                {"x-gitlab-token", ""},
                                                {"x-gitea-signature", "\xff\xfe"},
                                                {"x-github-event", "push"},
                                                {"x-github-delivery", "../../x"},
                                                {"content-length", "-1"},
                                                {"accept", "application/openmetrics-text; version=1.0.0;q=0.5,*/*;q=nan"}};

static void routes_with(struct check_bench *b, const struct berth_route_request *request, const char *what) {
  check_step("a request to its routes, %s", what);
  check_routes_call(b->host, request);
  check_turn(b->loop, patience_ms(), over, b->host);
  for (size_t i = 0; i < b->host->ops.len; i++)
    if (!b->host->ops.items[i]->finished) {
      check_fail("a request to a route was not answered within %d ms (%s)", patience_ms(), what);
      b->host->ops.items[i]->finished = true;
    }
}

static bool begin_routes(struct check_bench *b) {
  if (!begin(b))
    return false;
  check_turn(b->loop, 50, NULL, NULL);
  if (!check_routes_count(b->host))
    check_skip("it adds no routes");
  return check_routes_count(b->host) > 0;
}

static struct berth_route_request request_of(const char *body, size_t len) {
  return (struct berth_route_request){
      .size = sizeof(struct berth_route_request), .method = "POST", .path = "berth-check", .query = "", .body = body, .body_len = len};
}

static void routes_good(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  if (begin_routes(&b)) {
    struct berth_route_request request = request_of("{}", 2);
    request.headers = odd_headers;
    request.nheaders = 1;
    for (int i = 0; i < 3; i++) {
      check_world.later = i > 0;
      routes_with(&b, &request, "plain");
    }
  }
  end(&b);
}

static void routes_hostile(const struct check_test *t) {
  (void)t;
  static const char *const bodies[] = {"", "{", "[]", "null", "{\"repository\":7,\"events\":[null,{\"target\":7}],\"ref\":[]}",
                                       "{\"events\":{\"a\":[]},\"commits\":7,\"project\":[],\"ref\":\"\"}", "\xff\xfe\xfd", "a=b&c=%zz"};
  struct check_bench b;
  if (begin_routes(&b)) {
    for (size_t i = 0; i < BT_COUNT(bodies); i++) {
      BT_AUTO_FREE char *body = bt_memdup(bodies[i], strlen(bodies[i]) + 1);
      struct berth_route_request request = request_of(body, strlen(body));
      request.path = i % 2 ? "../../etc/passwd" : "\xff%00";
      request.query = i % 2 ? "a=b&&==%zz&\xff" : "match[]=%27";
      request.headers = odd_headers;
      request.nheaders = i % 3 ? BT_COUNT(odd_headers) : 0;
      routes_with(&b, &request, "hostile");
    }
    enum { huge = 3 << 20 };
    BT_AUTO_FREE char *body = bt_calloc(1, huge);
    memset(body, '[', huge);
    struct berth_route_request request = request_of(body, huge);
    routes_with(&b, &request, "a body of 3 MB");
  }
  end(&b);
}

static void routes_stop(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  check_world.later = true;
  if (begin_routes(&b)) {
    struct berth_route_request request = request_of("{}", 2);
    check_step("requests to its routes");
    for (int i = 0; i < 5; i++)
      check_routes_call(b.host, &request);
  }
  check_step("stop() while requests to its routes are open");
  check_unload(&b);
}

/* ---------------------------------------------------------------- events */

static bool listens(const struct check_host *host) {
  for (size_t i = 0; i < host->handles.len; i++)
    if (host->handles.items[i] && host->handles.items[i]->kind == CHECK_SUBSCRIPTION)
      return true;
  return false;
}

static void events(const struct check_test *t) {
  struct check_bench b;
  if (begin(&b)) {
    check_turn(b.loop, 50, NULL, NULL);
    bool hostile = t->variant;
    check_world.play = hostile ? CHECK_GOOD : CHECK_RESET;
    check_step(hostile ? "events with odd contents" : "20,000 events while the product is away");
    if (listens(b.host))
      check_events_flood(b.host, hostile ? 500 : 20000, hostile);
    else
      check_skip("it listens to no events");
    check_step("after the events");
    check_turn(b.loop, 100, NULL, NULL);
    if (b.host->open > 1000)
      check_fail("%zu handles are open after the events", b.host->open);
    call_all(&b, NULL, "after the events");
  }
  end(&b);
}

/* ---------------------------------------------------------------- store and server */

static void kv_refused(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  for (int i = 0; i < 2; i++) {
    check_world.later = i;
    check_world.kv_code = i ? BERTH_IO : BERTH_EXHAUSTED;
    if (begin(&b)) {
      call_all(&b, NULL, "every put fails");
      if (listens(b.host))
        check_events_flood(b.host, 50, false);
      check_turn(b.loop, 50, NULL, NULL);
    }
    end(&b);
    if (!check_world.puts) {
      check_skip("it puts nothing into the store");
      return;
    }
  }
}

static void spoil(int round) {
  for (struct bt_map_iter it = bt_map_iter(check_world.kv); bt_map_next(&it);) {
    struct check_value *v = it.value;
    for (size_t i = 0; i < v->len; i++)
      v->bytes[i] = round == 0 ? (char)(v->bytes[i] ^ 0x55) : round == 1 ? '[' : '\0';
    if (round == 3)
      v->len = 0;
  }
}

static void kv_garbage(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  for (int round = 0; round < 4; round++) {
    check_world.play = CHECK_RESET; /* so that what is queued stays there */
    if (begin(&b)) {
      call_all(&b, NULL, "filling the store");
      check_turn(b.loop, 50, NULL, NULL);
    }
    end(&b);
    if (!check_world.puts) {
      check_skip("it puts nothing into the store");
      return;
    }
    spoil(round);
    const char *why;
    if (!check_load(&b))
      break;
    check_step("start() with spoiled values in the store, round %d", round);
    b.host = check_host_new(b.loop, b.plugin);
    if (check_host_start(b.host, b.text, &why) == BERTH_OK)
      call_all(&b, NULL, "with spoiled values in the store");
    end(&b);
  }
}

static void secret_denied(const struct check_test *t) {
  (void)t;
  static const enum berth_code codes[] = {BERTH_DENIED, BERTH_NOT_FOUND};
  struct check_bench b;
  for (size_t i = 0; i < BT_COUNT(codes); i++) {
    check_world.secret_code = codes[i];
    check_world.later = i;
    if (begin(&b))
      call_all(&b, NULL, "every secret is denied");
    end(&b);
    if (!check_world.gets) {
      check_skip("it asks for no secrets (those of its configuration are handed over as text)");
      return;
    }
  }
}

static void host_away(const struct check_test *t) {
  (void)t;
  static const char *const answers[] = {"{\"items\":7}", "[]", "{\"items\":[null,7,{\"name\":7,\"labels\":[],\"addresses\":{}}]}", "null"};
  struct check_bench b;
  for (size_t i = 0; i <= BT_COUNT(answers); i++) {
    check_world.query_code = i ? BERTH_OK : BERTH_UNAVAILABLE;
    check_world.query_json = i ? answers[i - 1] : NULL;
    check_world.later = i % 2;
    if (begin(&b)) {
      struct berth_route_request request = request_of("{}", 2);
      call_all(&b, NULL, i ? "queries answer with another shape" : "queries fail");
      routes_with(&b, &request, i ? "queries answer with another shape" : "queries fail");
    }
    end(&b);
    if (!check_world.queries) {
      check_skip("it asks the server for nothing");
      return;
    }
  }
}

static void later(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  check_world.later = true;
  if (begin(&b))
    call_all(&b, NULL, "callbacks come in a later turn");
  end(&b);
}

/* ---------------------------------------------------------------- which */

void check_tests_world(struct check_tests *tests, const json_t *manifest) {
  size_t i;
  json_t *interface;
  json_array_foreach(json_object_get(manifest, "interfaces"), i, interface) {
    const struct bt_interface *known = bt_interface_of(bt_json_str_or(interface, "id", ""));
    for (int play = CHECK_ERROR; known && play < CHECK_HANG; play++)
      check_test_add(tests, bt_asprintf("http.%s.%s", known->word, check_play_name((enum check_play)play)), http, known->word, play,
                     check_play_doc((enum check_play)play));
  }
#define ADD(name, fn, variant, doc) check_test_add(tests, bt_strdup(name), fn, NULL, variant, doc)
  ADD("routes.good", routes_good, 0, "requests to its routes: one reply each");
  ADD("routes.hostile", routes_hostile, 0, "hostile requests to its routes: one reply each, no stall");
  ADD("routes.stop", routes_stop, 0, "the entry stops while requests to its routes are open");
  ADD("events.flood", events, 0, "20,000 events while the product is away");
  ADD("events.hostile", events, 1, "events with odd contents");
  ADD("kv.refused", kv_refused, 0, "every put fails");
  ADD("kv.garbage", kv_garbage, 0, "starts with spoiled values in the store");
  ADD("secret.denied", secret_denied, 0, "every secret is denied");
  ADD("host.away", host_away, 0, "queries and metrics fail, or answer with another shape");
  ADD("host.later", later, 0, "callbacks that may come at once come in a later turn");
#undef ADD
}
