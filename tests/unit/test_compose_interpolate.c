#include "config.h"

#include "base/buf.h"
#include "compose/template.h"
#include "compose_mem.h"

static const char *get(void *arg, const char *name) {
  (void)arg;
  return strcmp(name, "A") == 0 ? "va" : strcmp(name, "EMPTY") == 0 ? "" : strcmp(name, "BIG") == 0 ? "0123456789" : NULL;
}

static void expands(const char *text, const char *want) {
  size_t budget = 1000;
  struct bt_template_vars vars = {get, NULL, NULL, &budget};
  BT_AUTO_FREE char *out = NULL;
  BT_AUTO_ERR err = NULL;
  int rc = bt_template_expand(&vars, text, &out, &err);
  is_str(rc ? bt_err_message(err) : out, want, text);
}

static void test_forms(void) {
  expands("$A ${A} $EMPTY. ${NONE}.", "va va . .");
  expands("$$A $${A} $1 $ cost$", "$A ${A} $1 $ cost$");
  expands("${NONE:-d} ${EMPTY:-d} ${A:-d}", "d d va");
  expands("${NONE-d} ${EMPTY-d}. ${A-d}", "d . va");
  expands("${NONE:+d}. ${EMPTY:+d}. ${A:+d}", ". . d");
  expands("${NONE+d}. ${EMPTY+d} ${A+d}", ". d d");
  expands("${A:?no} ${A?no} ${EMPTY?no}.", "va va .");
  expands("${NONE:-${EMPTY:-${A}}}", "va");
  expands("${NONE:-x${A}y} and ${A:+${NONE-z}}", "xvay and z");
  expands("${NONE:-{\"a\": 1}} ${A}", "{\"a\": 1} va");
  expands("${NONE:?set ${A} first}", "required variable NONE is missing a value: set va first");
  expands("${EMPTY:?}", "required variable EMPTY is missing a value");
  expands("${A", "invalid interpolation format \"${A\"; you may need to escape any $ with another $");
  expands("${}", "invalid interpolation format \"${}\"; you may need to escape any $ with another $");
  expands("${A:x}", "invalid interpolation format \"${A:x}\"; you may need to escape any $ with another $");
}

static void test_limits(void) {
  BT_AUTO_BUF b = {0};
  for (int i = 0; i < 101; i++)
    bt_buf_adds(&b, "$BIG");
  expands(b.data, "the variables expand to too much text");
  bt_buf_truncate(&b, 0);
  for (int i = 0; i < 100000; i++)
    bt_buf_adds(&b, "${N:-");
  for (int i = 0; i < 100000; i++)
    bt_buf_adds(&b, "}");
  size_t budget = 1 << 20;
  struct bt_template_vars vars = {get, NULL, NULL, &budget};
  BT_AUTO_FREE char *out = NULL;
  BT_AUTO_ERR err = NULL;
  ok(bt_template_expand(&vars, b.data, &out, &err) < 0 && bt_err_code(err) == BT_TOO_LARGE, "100,000 nested defaults are refused");
}

static void test_in_files(void) {
  static const struct mem_var vars[] = {{"N", "3"}, {"B", "yes"}, {"X", "1.5"}, {NULL, NULL}};
  mem_one("services: {$N: {image: a}}", vars, NULL, "$N", "keys are left alone");
  mem_one("services: {a: {image: x, deploy: {replicas: $N}}}", vars, "services.a.deploy.replicas", "3", "an integer field");
  mem_one("services: {a: {image: x, deploy: {replicas: '4'}}}", vars, "services.a.deploy.replicas", "4", "in quotes");
  mem_one("services: {a: {image: x, tty: $B}}", vars, "services.a.tty", "true", "a boolean field");
  mem_one("services: {a: {image: x, cpus: $X}}", vars, "services.a.cpus", "1.5", "a number field");
  mem_one("services: {a: {image: x, labels: {n: $N}}}", vars, "services.a.labels.n", "\"3\"", "elsewhere it stays a string");
  mem_one("services: {a: {image: x, deploy: {replicas: $NONE}}}", vars, NULL,
          "/app/compose.yaml:1:45: error: services.a.deploy.replicas must be an integer, not \"\"", "what does not fit has a place");
  mem_one("services:\n  a:\n    image: ${IMG:?name it}\n    hostname: ${H:?and this}\n", vars, NULL,
          "compose.yaml:4:15: error: services.a.hostname: required variable H is missing a value: and this",
          "errors after the first are told too");
}

static void test_bytes(void) {
  static const struct mem_var vars[] = {{"X", "caf\xe9"}, {NULL, NULL}};
  mem_one("services: {a: {image: x, environment: ['$X=1']}}", vars, "services.a.environment", "{\"caf\xef\xbf\xbd\":\"1\"}",
          "a variable whose value is no UTF-8 makes no broken name");
}

static void test_precedence(void) {
  static const struct mem_file files[] = {
      {"/app/compose.yaml", "name: ${P:-x}\nservices: {a: {image: \"$ONE-$TWO-$COMPOSE_PROJECT_NAME\"}}"},
      {"/app/.env", "ONE=dot1\nTWO=dot2\nP=My Shop!\n"},
      {NULL, NULL}};
  static const struct mem_var vars[] = {{"ONE", "env1"}, {"UNUSED", "u"}, {NULL, NULL}};
  AUTO_MEM m = {.files = files, .vars = vars};
  mem_load(&m);
  mem_is(&m, "services.a.image", "\"env1-dot2-myshop\"", "the environment wins over .env; the project's name is a variable");
  is_str(m.result.name, "myshop", "the name is made of what may stand in one");
  is_str(bt_map_get(m.result.env_used, "ONE"), "env1", "what was used is told");
  ok(!bt_map_get(m.result.env_used, "UNUSED") && !bt_map_get(m.result.env_used, "TWO"), "and nothing else");
  is_int(m.result.files_read.len, 2, "files that were read are told");
}

int main(void) {
  test_forms();
  test_limits();
  test_in_files();
  test_precedence();
  test_bytes();
  return done_testing();
}
