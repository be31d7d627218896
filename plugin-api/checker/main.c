/* berth-plugin-check: does a plug-in keep the contract? Prints TAP, runs each test in a process of its own. */
#include "config.h"

#include <ctype.h>
#include <fnmatch.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "bench.h"
#include "plugin/command.h"
#include "plugin/loader.h"
#include "report.h"
#include "run.h"
#include "scratch.h"
#include "tests.h"
#include "wire.h"

/* Exit codes, as the manual page has them. */
enum { EXIT_KEEPS = 0, EXIT_BREAKS = 1, EXIT_USAGE = 2, EXIT_NO_PLUGIN = 3 };
enum { default_seconds = 10, max_file = 4 << 20, manifest_room = 1 << 20 };

static struct options {
  bool list, strict;
  const char *only;
} options;

static const char usage[] =
    "usage: berth-plugin-check [OPTION]... PLUGIN.so | PLUGIN.lua | --command \"PROGRAM [ARGUMENT]...\"\n"
    "Tests whether a plug-in keeps Berth's contract; prints TAP.\n\n"
    "  --command COMMAND    a program that speaks the wire: words as a shell has them, or a JSON list\n"
    "  --network            such a program may open sockets, as with \"network: true\"\n"
    "  --config FILE|JSON   a good configuration; else one is made of the table of fields.\n"
    "                       @DIR@ in it is a folder of the checker's, empty for each test\n"
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
  BT_AUTO_FREE char *given_text = NULL;
  size_t len = 0;
  if (*given == '{' || *given == '[')
    given_text = bt_strdup(given);
  else if (bt_file_read(given, max_file, &given_text, &len, &err) != 0)
    wrong(option, bt_err_message(err));
  BT_AUTO_FREE char *text = check_scratch_in(given_text);
  json_t *value = bt_json_parse(text, strlen(text), max_file, 0, option, &err);
  if (!value)
    wrong(option, bt_err_message(err));
  return value;
}

/* The next word of a command line, with quotes as a shell has them; NULL where there is none. The caller frees. */
static char *next_word(const char **at) {
  BT_AUTO_BUF b = {0};
  const char *p = *at + strspn(*at, " \t\n");
  if (!*p)
    return NULL;
  char quote = 0;
  bt_buf_adds(&b, "");
  for (; *p && (quote || !isspace((unsigned char)*p)); p++) {
    if (quote ? *p == quote : *p == '"' || *p == '\'')
      quote = quote ? 0 : *p;
    else if (*p == '\\' && p[1] && quote != '\'')
      bt_buf_addc(&b, *++p);
    else
      bt_buf_addc(&b, *p);
  }
  if (quote)
    wrong("--command: a quote is not closed", *at);
  *at = p;
  return bt_buf_steal(&b);
}

/* The process runs in "/": files are named from there. A program without a slash is looked up by the server's rules. */
static char *in_full(const char *word, bool program) {
  struct stat st;
  char full[PATH_MAX];
  bool file = (!program || strchr(word, '/')) && stat(word, &st) == 0 && S_ISREG(st.st_mode) && realpath(word, full);
  return bt_strdup(file && word[0] != '/' ? full : word);
}

static void read_command(const char *given) {
  struct bt_strs *command = &check_plan.isolation.command;
  BT_AUTO_STRS words = {0};
  if (*given == '[') {
    BT_AUTO_JSON list = read_json(given, "--command");
    size_t i;
    json_t *word;
    json_array_foreach(list, i, word) bt_strs_add(&words, json_is_string(word) ? json_string_value(word) : "");
  } else {
    for (char *word; (word = next_word(&given)); free(word))
      bt_strs_add(&words, word);
  }
  for (size_t i = 0; i < words.len; i++) {
    BT_AUTO_FREE char *full = in_full(words.items[i], i == 0);
    bt_strs_add(command, full);
  }
  if (!command->len || !*command->items[0])
    wrong("--command names no program", "");
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
  else if (c == 'm')
    read_command(optarg);
  else if (c == 'n')
    check_plan.isolation.network = true;
  else if (c == 's' && bt_parse_i64(optarg, 1, 600, &n))
    check_plan.seconds = (int)n;
  else if (c == 's')
    wrong("--seconds is no number from 1 to 600", optarg);
}

static void read_options(int argc, char **argv) {
  static const struct option longs[] = {{"config", required_argument, NULL, 'c'},  {"only", required_argument, NULL, 'o'},
                                        {"list", no_argument, NULL, 'l'},          {"seconds", required_argument, NULL, 's'},
                                        {"strict", no_argument, NULL, 't'},        {"http-script", required_argument, NULL, 'h'},
                                        {"command", required_argument, NULL, 'm'}, {"network", no_argument, NULL, 'n'},
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
  check_plan.wire = check_plan.isolation.command.len > 0;
  if (optind + !check_plan.wire != argc)
    wrong(check_plan.wire ? "a plug-in beside --command" : "one plug-in is needed", "");
  if (check_plan.config && !json_is_object(check_plan.config))
    wrong("--config is no JSON object", "");
  if (check_plan.script && !json_is_array(check_plan.script))
    wrong("--http-script is no JSON array of answers", "");
}

/* Which one, and how it is run: as whom the checker runs, with the limits that an entry has by default. */
static void find_plugin(const char *given) {
  static char full[PATH_MAX], root[] = "0";
  check_plan.isolation.process = true;
  if (geteuid() == 0) /* else it would be a user of the entry's own, who may not be able to read what is tested */
    check_plan.isolation.user = root;
  if (check_plan.wire) {
    BT_AUTO_ERR err = NULL;
    BT_AUTO_FREE char *program = NULL;
    const struct bt_strs *command = &check_plan.isolation.command;
    if (bt_command_find(command, &program, &err) != 0) {
      fprintf(stderr, "berth-plugin-check: %s\n", bt_err_message(err));
      exit(EXIT_NO_PLUGIN);
    }
    check_plan.path = command->items[command->len > 1];
    return;
  }
  if (!realpath(given, full)) {
    perror(given);
    exit(EXIT_NO_PLUGIN);
  }
  check_plan.path = full;
  check_plan.wire = bt_command_is_script(full);
}

/* ---------------------------------------------------------------- which tests */

/* Reads the manifest in a process of its own, since loading it may be the end of one. Of a process it is the hello. */
static void describe(void *arg) {
  FILE *out = arg;
  if (check_wire()) {
    BT_AUTO_JSON hello = check_wire_hello();
    json_dumpf(hello, out, JSON_COMPACT);
    fflush(out);
    return;
  }
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
  if (check_wire()) {
    check_plan.hello = bt_steal(manifest);
    struct bt_manifest *m = check_plan.hello ? check_wire_manifest(NULL) : NULL;
    manifest = m ? bt_manifest_json(&m->m) : NULL;
    bt_manifest_free(&m);
  }
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
    check_scratch_clear();
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
  find_plugin(argv[optind]);
  check_scratch(); /* here, and not in a test's process: who made it removes it */
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  struct check_tests tests = {0};
  check_tests_manifest(&tests);
  BT_AUTO_JSON manifest = manifest_of_plugin();
  if (check_wire())
    check_tests_wire(&tests, manifest != NULL);
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
  check_scratch_clear();
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
  json_decref(check_plan.hello);
  bt_strs_free(&check_plan.isolation.command);
  return code;
}
