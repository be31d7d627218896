/* berth-plugin-check: does a plug-in keep the contract? Prints TAP, runs each test in a process of its own. */
#include "config.h"

#include <fnmatch.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "bench.h"
#include "plugin/loader.h"
#include "report.h"
#include "run.h"
#include "tests.h"

/* Exit codes, as the manual page has them. */
enum { EXIT_KEEPS = 0, EXIT_BREAKS = 1, EXIT_USAGE = 2, EXIT_NO_PLUGIN = 3 };
enum { default_seconds = 10, max_file = 4 << 20, manifest_room = 1 << 20 };

static struct options {
  bool list, strict;
  const char *only;
} options;

static const char usage[] =
    "usage: berth-plugin-check [OPTION]... PLUGIN.so\n"
    "Tests whether a plug-in keeps Berth's contract; prints TAP.\n\n"
    "  --config FILE|JSON   a good configuration; else one is made of the table of fields\n"
    "  --only PATTERN       only tests whose names fit: \"call.*\", \"manifest\", \"*.cancel\"\n"
    "  --list               names and meanings of the tests, without running them\n"
    "  --seconds N          time for one test (10)\n"
    "  --http-script FILE   answers for the plug-in's HTTP requests\n"
    "  --strict             warnings are failures\n"
    "  --help, --version\n\n"
    "Exit codes: 0 it keeps the contract, 1 a test failed, 2 wrong usage, 3 there is no plug-in to test.\n";

void check_test_add(struct check_tests *tests, char *name, void (*fn)(const struct check_test *test), const char *label, int variant,
                    const char *doc) {
  struct check_test t = {.name = name, .fn = fn, .label = bt_strdup(label), .variant = variant, .doc = doc};
  bt_vec_push(&tests->v, t);
}

/* ---------------------------------------------------------------- options */

static _Noreturn void wrong(const char *what, const char *detail) {
  fprintf(stderr, "berth-plugin-check: %s%s%s (see --help)\n", what, *detail ? ": " : "", detail);
  exit(EXIT_USAGE);
}

/* JSON as it stands, or of a file. */
static json_t *read_json(const char *given, const char *option) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE char *text = NULL;
  size_t len = 0;
  if (*given == '{' || *given == '[')
    text = bt_strndup(given, len = strlen(given));
  else if (bt_file_read(given, max_file, &text, &len, &err) != 0)
    wrong(option, bt_err_message(err));
  json_t *value = bt_json_parse(text, len, max_file, 0, option, &err);
  if (!value)
    wrong(option, bt_err_message(err));
  return value;
}

static void read_option(int c) {
  long long n;
  if (c == 'c')
    check_plan.config = read_json(optarg, "--config");
  else if (c == 'h')
    check_plan.script = read_json(optarg, "--http-script");
  else if (c == 'o')
    options.only = optarg;
  else if (c == 'l')
    options.list = true;
  else if (c == 't')
    options.strict = true;
  else if (c == 's' && bt_parse_i64(optarg, 1, 600, &n))
    check_plan.seconds = (int)n;
  else if (c == 's')
    wrong("--seconds is no number from 1 to 600", optarg);
}

static void read_options(int argc, char **argv) {
  static const struct option longs[] = {{"config", required_argument, NULL, 'c'},  {"only", required_argument, NULL, 'o'},
                                        {"list", no_argument, NULL, 'l'},          {"seconds", required_argument, NULL, 's'},
                                        {"strict", no_argument, NULL, 't'},        {"http-script", required_argument, NULL, 'h'},
                                        {"help", no_argument, NULL, 'H'},          {"version", no_argument, NULL, 'V'},
                                        {0}};
  check_plan.seconds = default_seconds;
  for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
    if (c == '?')
      exit(EXIT_USAGE);
    if (c == 'H' || c == 'V') {
      fputs(c == 'H' ? usage : "berth-plugin-check " PACKAGE_VERSION "\n", stdout);
      exit(EXIT_KEEPS);
    }
    read_option(c);
  }
  if (optind + 1 != argc)
    wrong("one plug-in is needed", "");
  if (check_plan.config && !json_is_object(check_plan.config))
    wrong("--config is no JSON object", "");
  if (check_plan.script && !json_is_array(check_plan.script))
    wrong("--http-script is no JSON array of answers", "");
  static char full[PATH_MAX];
  if (!realpath(argv[optind], full)) {
    perror(argv[optind]);
    exit(EXIT_NO_PLUGIN);
  }
  check_plan.path = full;
}

/* ---------------------------------------------------------------- which tests */

/* Reads the manifest in a process of its own, since loading it may be the end of one. */
static void describe(void *arg) {
  FILE *out = arg;
  const struct berth_plugin *p = check_map();
  struct bt_manifest *m = p ? bt_loader_check(p, check_plan.path, NULL) : NULL;
  if (!m)
    return;
  json_t *json = bt_manifest_json(&m->m);
  json_dumpf(json, out, JSON_COMPACT);
  fflush(out);
}

static json_t *manifest_of_plugin(void) {
  FILE *out = tmpfile();
  BT_ASSERT(out);
  struct check_result result;
  check_run(describe, out, check_plan.seconds, &result);
  rewind(out);
  json_t *manifest = result.ok ? json_loadf(out, 0, NULL) : NULL;
  check_result_free(&result);
  fclose(out);
  return manifest;
}

/* A name, its beginning up to a dot, or a pattern. */
static bool wanted(const char *name) {
  if (!options.only || fnmatch(options.only, name, 0) == 0)
    return true;
  size_t n = strlen(options.only);
  return strncmp(name, options.only, n) == 0 && name[n] == '.';
}

/* ---------------------------------------------------------------- TAP */

static void print_lines(const char *head, const struct bt_strs *lines) {
  for (size_t i = 0; i < lines->len; i++)
    printf("# %s%s\n", head, lines->items[i]);
}

static bool print_result(int number, const char *name, const struct check_result *r) {
  bool good = r->ok && !(options.strict && r->warns.len);
  printf("%sok %d - %s%s%s\n", good ? "" : "not ", number, name, good && r->skip ? " # SKIP " : "", good && r->skip ? r->skip : "");
  print_lines("", &r->fails);
  print_lines("warning: ", &r->warns);
  print_lines("note: ", &r->notes);
  if (!good)
    print_lines("| ", &r->output);
  fflush(stdout);
  return good;
}

static void one(void *arg) {
  const struct check_test *t = arg;
  bt_log_setup(BT_LOG_ERROR, false);
  t->fn(t);
}

static int run_all(const struct check_tests *tests) {
  int number = 0, failed = 0;
  for (size_t i = 0; i < tests->v.len; i++) {
    struct check_test *t = &tests->v.items[i];
    if (!wanted(t->name))
      continue;
    struct check_result result;
    check_run(one, t, check_plan.seconds, &result);
    failed += !print_result(++number, t->name, &result);
    check_result_free(&result);
  }
  printf("1..%d\n", number);
  if (!number)
    wrong("no test fits --only", options.only);
  return failed ? EXIT_BREAKS : EXIT_KEEPS;
}

static void list_all(const struct check_tests *tests) {
  for (size_t i = 0; i < tests->v.len; i++)
    if (wanted(tests->v.items[i].name))
      printf("%-44s %s\n", tests->v.items[i].name, tests->v.items[i].doc);
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  struct check_tests tests = {0};
  check_tests_manifest(&tests);
  BT_AUTO_JSON manifest = manifest_of_plugin();
  if (manifest) {
    check_tests_life(&tests);
    check_tests_config(&tests);
    check_tests_calls(&tests, manifest);
    check_tests_world(&tests, manifest);
    check_tests_memory(&tests);
  } else {
    printf("# the manifest is not sound: what needs the plug-in to run is left out\n");
  }
  int code = EXIT_KEEPS;
  if (options.list)
    list_all(&tests);
  else
    code = run_all(&tests);
  bt_vec_each(&tests.v, t) {
    free(t->name);
    free(t->label);
  }
  bt_vec_free(&tests.v);
  json_decref(check_plan.config);
  json_decref(check_plan.script);
  return code;
}
