/* The pure parts of monitor-prometheus: the text formats, negotiation, targets. */
#include "../../plugins/monitor-prometheus/discovery.h"
#include "../../plugins/monitor-prometheus/exposition.h"

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

int main(void) {
  test_formats();
  test_negotiation();
  test_targets();
  return done_testing();
}
