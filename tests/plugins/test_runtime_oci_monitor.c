/* berth-monitor with a real OCI runtime: start, log, exit, and what is left when something goes wrong. */
#define _GNU_SOURCE
#include "oci.h"

static const char *text(const json_t *v, const char *key) {
  const char *s = json_string_value(json_object_get(v, key));
  return s ? s : "";
}
static long long number(const json_t *v, const char *key) { return json_integer_value(json_object_get(v, key)); }

static void runs_and_exits(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"echo out; echo err >&2; printf end; exit 3\"]"});
  json_t *started = box_start(&b);
  ok(number(started, "pid") > 0 && number(started, "monitor") > 0, "it says who the container and the monitor are");
  ok(strlen(text(started, "started_at")) == 30, "and when it was started: %s", text(started, "started_at"));
  json_t *end = box_wait(&b);
  is_int(number(end, "exit_code"), 3, "the exit code is kept");
  ok(json_is_false(json_object_get(end, "oom_killed")), "nobody was short of memory");
  is_str(text(end, "error"), "", "nothing went wrong");
  ok(strlen(text(end, "finished_at")) == 30, "finished at %s", text(end, "finished_at"));
  char *log = box_log(&b);
  ok(strstr(log, "Z stdout F out\n") && strstr(log, "Z stderr F err\n") && strstr(log, "Z stdout P end\n"), "both streams are in the log, also what has no newline");
  free(log);
  json_decref(started);
  json_decref(end);
  box_end(&b, "a container that exits");
}

static void dies_of_a_signal(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"echo up; exec sleep 1000\"]"});
  json_decref(box_start(&b));
  ok(box_says(&b, "up"), "it is up");
  ok(box_signal(&b, SIGKILL), "killed by the pid in the record");
  json_t *end = box_wait(&b);
  is_int(number(end, "exit_code"), 137, "128 + signal");
  ok(json_is_false(json_object_get(end, "oom_killed")), "SIGKILL alone is no lack of memory");
  json_decref(end);
  box_end(&b, "a killed container");
}

static void lacks_memory(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"x=a; while true; do x=$x$x; done\"]", .resources = "{\"memory\":{\"limit\":16777216,\"swap\":16777216}}"});
  json_decref(box_start(&b));
  json_t *end = box_wait(&b);
  is_int(number(end, "exit_code"), 137, "killed");
  ok(json_is_true(json_object_get(end, "oom_killed")), "for want of memory");
  json_decref(end);
  box_end(&b, "a container without memory");
}

static void fails_to_start(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"no-such-thing\"]"});
  json_t *v = box_start(&b), *end = box_wait(&b);
  is_str(text(v, "code"), "not_found", "no such command");
  ok(strstr(text(v, "error"), "no-such-thing") != NULL, "in words: %s", text(v, "error"));
  is_int(number(end, "exit_code"), 127, "exit.json has it as well");
  is_str(text(end, "error"), text(v, "error"), "with the same words");
  json_decref(v);
  json_decref(end);
  box_end(&b, "no such command");

  box_new(&b, &(struct box_options){.args = "[\"true\"]"});
  char *config = box_path(&b, "config.json");
  oci_put(config, "{\"ociVersion\":");
  v = box_start(&b);
  is_str(text(v, "code"), "invalid", "a config.json that is none");
  ok(strlen(text(v, "error")) > 10, "in words: %s", text(v, "error"));
  json_decref(v);
  free(config);
  box_end(&b, "bad config");

  box_new(&b, &(struct box_options){.args = "[\"true\"]"});
  char *layer = oci_text("%s/layer", oci_dir), *away = oci_text("%s/away", oci_dir);
  rename(layer, away);
  v = box_start(&b);
  rename(away, layer);
  is_str(text(v, "code"), "not_found", "a layer is not there");
  json_decref(v);
  free(layer);
  free(away);
  box_end(&b, "no layer");
}

int main(void) {
  const char *why = oci_hindrance();
  if (why)
    return skip_all(why);
  oci_setup();
  runs_and_exits();
  dies_of_a_signal();
  lacks_memory();
  fails_to_start();
  oci_teardown();
  return done_testing();
}
