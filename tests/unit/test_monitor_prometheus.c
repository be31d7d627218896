/* The pure parts of monitor-prometheus: the text formats, negotiation, targets. */
#include "../../plugins/monitor-prometheus/discovery.h"
#include "../../plugins/monitor-prometheus/exposition.h"
#include "../../plugins/monitor-prometheus/query.h"

#include <math.h>

#include "tap.h"

static void add(struct mp_exposition *e, const char *name, enum berth_metric_kind kind, const char *label, double value) {
  struct berth_pair pair = {"label", label};
  struct berth_metric_sample s = {.size = sizeof s,
                                  .name = name,
                                  .help = "Help\nwith \"quotes\" and \\.",
                                  .kind = kind,
                                  .labels = &pair,
                                  .nlabels = label != NULL,
                                  .value = value};
  mp_exposition_add(e, &s);
}

static char *text_of(bool openmetrics, size_t max) {
  struct mp_exposition *e = mp_exposition_new(openmetrics, max);
  add(e, "a_total", BERTH_COUNTER, "x", 1);
  add(e, "b", BERTH_GAUGE, "q\"b\\n\n\x01", 0.5);
  add(e, "a_total", BERTH_COUNTER, "y", 2e20);
  add(e, "c", BERTH_COUNTER, NULL, NAN);
  add(e, "b", BERTH_GAUGE, "z", -INFINITY);
  add(e, "bad name", BERTH_GAUGE, NULL, 1);
  add(e, "", BERTH_GAUGE, NULL, 1);
  struct pu_buf b = {0};
  mp_exposition_text(e, &b);
  is_int(mp_exposition_dropped(e), max < 5 ? 5 - max : 0, "what was dropped");
  mp_exposition_free(&e);
  return pu_buf_steal(&b);
}

static void test_formats(void) {
  PU_AUTO_FREE plain = text_of(false, 100);
  is_str(plain,
         "# HELP a_total Help\\nwith \"quotes\" and \\\\.\n# TYPE a_total counter\n"
         "a_total{label=\"x\"} 1\na_total{label=\"y\"} 2e+20\n"
         "# HELP b Help\\nwith \"quotes\" and \\\\.\n# TYPE b gauge\n"
         "b{label=\"q\\\"b\\\\n\\n \"} 0.5\nb{label=\"z\"} -Inf\n"
         "# HELP c Help\\nwith \"quotes\" and \\\\.\n# TYPE c counter\nc NaN\n",
         "text 0.0.4, families together");
  PU_AUTO_FREE open = text_of(true, 100);
  is_str(open,
         "# HELP a Help\\nwith \\\"quotes\\\" and \\\\.\n# TYPE a counter\n"
         "a_total{label=\"x\"} 1\na_total{label=\"y\"} 2e+20\n"
         "# HELP b Help\\nwith \\\"quotes\\\" and \\\\.\n# TYPE b gauge\n"
         "b{label=\"q\\\"b\\\\n\\n \"} 0.5\nb{label=\"z\"} -Inf\n"
         "# HELP c Help\\nwith \\\"quotes\\\" and \\\\.\n# TYPE c counter\nc_total NaN\n# EOF\n",
         "OpenMetrics");
  PU_AUTO_FREE bounded = text_of(false, 2);
  ok(!strstr(bounded, "# TYPE c"), "no more than max_series");
}

static void test_negotiation(void) {
  ok(!mp_wants_openmetrics(NULL) && !mp_wants_openmetrics("") && !mp_wants_openmetrics("*/*"), "text is the default");
  ok(mp_wants_openmetrics("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                          "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
     "as Prometheus asks");
  ok(!mp_wants_openmetrics("application/openmetrics-text;q=0.1, text/plain;q=0.9"), "the better q");
  ok(!mp_wants_openmetrics("application/openmetrics-text;q=0"), "q=0 is no");
  ok(!mp_wants_openmetrics("application/openmetrics-textual"), "another type");
}

static void target(const char *instance, const char *labels, const char *want, const char *name) {
  PU_AUTO_JSON i = json_loads(instance, 0, NULL);
  PU_AUTO_JSON l = json_loads(labels, 0, NULL);
  PU_AUTO_JSON t = mp_target(i, l, "p");
  PU_AUTO_FREE got = t ? pu_json_text(t) : NULL;
  is_str(got, want, name);
}

static void test_targets(void) {
  target("{\"instance\":\"i\",\"app\":\"a\",\"state\":\"running\",\"ip\":\"10.0.0.2\",\"ready\":true}",
         "{\"p.port\":\"80\",\"p.path\":\"/m\",\"my.label-x\":\"v\"}",
         "{\"targets\":[\"10.0.0.2:80\"],\"labels\":{\"__meta_berth_app\":\"a\",\"__meta_berth_instance\":\"i\","
         "\"__meta_berth_state\":\"running\",\"__meta_berth_ready\":\"true\",\"__metrics_path__\":\"/m\","
         "\"__meta_berth_label_p_port\":\"80\",\"__meta_berth_label_p_path\":\"/m\",\"__meta_berth_label_my_label_x\":\"v\"}}",
         "an instance with an address");
  target("{\"state\":\"running\",\"ports\":[{\"target\":81,\"published\":1},{\"target\":80,\"published\":8080,\"host_ip\":"
         "\"0.0.0.0\"}]}",
         "{\"p.port\":\"80\"}",
         "{\"targets\":[\"127.0.0.1:8080\"],\"labels\":{\"__meta_berth_state\":\"running\",\"__meta_berth_ready\":\"false\","
         "\"__meta_berth_label_p_port\":\"80\"}}",
         "one with a published port only");
  target("{\"state\":\"running\",\"ip\":\"10.0.0.2\"}", "{}", NULL, "no label, no target");
  target("{\"state\":\"exited\",\"ip\":\"10.0.0.2\"}", "{\"p.port\":\"80\"}", NULL, "none that does not run");
  target("{\"state\":\"running\",\"ip\":\"10.0.0.2\"}", "{\"p.port\":\"80/tcp\"}", NULL, "none with a broken port");
  target("{\"state\":\"running\"}", "{\"p.port\":\"80\"}", NULL, "none without an address");
}

/* want: the result, or "CODE: sentence". */
static void answer(int status, const char *body, const char *want, const char *name) {
  enum berth_code code = BERTH_OK;
  PU_AUTO_FREE why = NULL;
  PU_AUTO_JSON result = mp_query_result(status, body, strlen(body), &code, &why);
  PU_AUTO_FREE got = result ? pu_json_text(result) : pu_asprintf("%d: %s", (int)code, why);
  is_str(got, want, name);
}

static void fails(int status, const char *body, enum berth_code want, const char *words, const char *name) {
  enum berth_code code = BERTH_OK;
  PU_AUTO_FREE why = NULL;
  PU_AUTO_JSON result = mp_query_result(status, body, strlen(body), &code, &why);
  if (!ok(!result && code == want && why && strstr(why, words), "%s", name))
    printf("# %d: %s\n", (int)code, why ? why : "no sentence");
}

static void test_queries(void) {
#define OF(type, result) "{\"status\":\"success\",\"data\":{\"resultType\":\"" type "\",\"result\":" result "}}"
  PU_AUTO_FREE url = mp_query_url("http://p:9090/x/", "sum(a{b=\"c d\"}) / 2");
  is_str(url, "http://p:9090/x/api/v1/query?query=sum%28a%7Bb%3D%22c%20d%22%7D%29%20%2F%202", "the address of a query");
  answer(200, OF("vector", "[{\"metric\":{\"job\":\"a\"},\"value\":[1700000000.5,\"42.5\"]}]"),
         "{\"series\":[{\"labels\":{\"job\":\"a\"},\"value\":42.5,\"at_ms\":1700000000500}]}", "a vector");
  answer(200, OF("vector", "[]"), "{\"series\":[]}", "none is an answer");
  answer(200, OF("scalar", "[1700000000,\"3\"]"), "{\"series\":[{\"labels\":{},\"value\":3.0,\"at_ms\":1700000000000}]}", "a scalar");
  answer(200, OF("matrix", "[{\"metric\":{},\"values\":[[1,\"5\"],[2,\"6\"]]}]"), "{\"series\":[{\"labels\":{},\"value\":6.0,\"at_ms\":2000}]}",
         "of a matrix the last points");
  answer(200, OF("vector", "[{\"metric\":{},\"value\":[1,\"NaN\"]},{\"metric\":{},\"value\":[1,\"-Inf\"]}]"),
         "{\"series\":[{\"labels\":{},\"value\":null,\"at_ms\":1000},{\"labels\":{},\"value\":null,\"at_ms\":1000}]}", "what is no finite number is null");
  fails(400, "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"1:5: parse error\"}", BERTH_INVALID, "Prometheus says: 1:5: parse error", "a wrong query");
  fails(503, "{\"status\":\"error\",\"errorType\":\"unavailable\",\"error\":\"starting\"}", BERTH_UNAVAILABLE, "starting", "not ready");
  fails(401, "no", BERTH_UNAUTHENTICATED, "status 401", "no token");
  fails(403, "", BERTH_DENIED, "status 403", "a wrong one");
  fails(502, "<html>", BERTH_UNAVAILABLE, "status 502", "a proxy's page");
  fails(200, "<html>", BERTH_UNAVAILABLE, "not as Prometheus' API has it", "another server");
  fails(200, "{}", BERTH_UNAVAILABLE, "not as Prometheus' API has it", "another API");
  fails(200, OF("string", "[1,\"x\"]"), BERTH_INVALID, "a text, not a number", "a text");
  fails(200, OF("vector", "{}"), BERTH_UNAVAILABLE, "not as", "a vector that is none");
  fails(200, OF("vector", "[{\"metric\":{},\"value\":[1,\"5x\"]}]"), BERTH_UNAVAILABLE, "not as", "a number that is none");
  fails(200, OF("vector", "[{\"metric\":{},\"value\":[1,5]}]"), BERTH_UNAVAILABLE, "not as", "a number that is no text");
  fails(200, OF("vector", "[7]"), BERTH_UNAVAILABLE, "not as", "a series that is none");
  fails(200, OF("matrix", "[{\"metric\":{},\"values\":[]}]"), BERTH_UNAVAILABLE, "not as", "a matrix without points");
  PU_AUTO_BUF many = {0};
  for (int i = 0; i < 101; i++)
    pu_buf_addf(&many, "%s{\"metric\":{},\"value\":[1,\"1\"]}", i ? "," : "");
  PU_AUTO_FREE body = pu_asprintf(OF("vector", "[%s]"), many.data);
  fails(200, body, BERTH_TOO_LARGE, "101 series", "too many");
}

int main(void) {
  test_queries();
  test_formats();
  test_negotiation();
  test_targets();
  return done_testing();
}
