/* Configurations, good and bad: what the server refuses by the table of fields, and what validate() says to the rest. */
#include "config.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/json.h"
#include "bench.h"
#include "plugin/fields.h"
#include "report.h"
#include "tests.h"
#include "wire.h"

/* ---------------------------------------------------------------- validate() */

/* What validate() says to a text; checks that a refusal has a sentence. */
static enum berth_code validate(const struct check_bench *b, const char *text, const char **why) {
  *why = NULL;
  check_enter("validate()");
  enum berth_code code = b->plugin->validate(text, why);
  check_leave();
  if ((unsigned)code > BERTH_INTERNAL)
    check_fail("validate() gave the code %d, which ABI %d does not know [%s]", (int)code, BERTH_ABI, check_at());
  else if (code != BERTH_OK && (!*why || !**why))
    check_fail("validate() refuses a configuration and gives no sentence in *why [%s]", check_at());
  else if (code != BERTH_OK)
    check_text(*why, "validate()");
  return code;
}

static bool begin(struct check_bench *b) {
  if (!check_load(b))
    return false;
  if (!b->plugin->validate)
    check_skip("it has no validate()");
  return b->plugin->validate != NULL;
}

static void good(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  const char *why;
  if (begin(&b)) {
    check_step("validate() of a good configuration");
    for (int i = 0; i < 3; i++)
      if (validate(&b, b.text, &why) != BERTH_OK) {
        check_fail("validate() refuses a configuration that should be good: %s (give another with --config)", why ? why : "");
        break;
      }
  }
  check_unload(&b);
}

/* ---------------------------------------------------------------- what the server refuses */

/* True where the server refuses it with a sentence that names the field. */
static void refused(const struct check_bench *b, const char *name, json_t *value_steal, const char *what) {
  BT_AUTO_JSON config = json_deep_copy(b->config);
  BT_AUTO_DIAGS diags = {0};
  json_t *out = NULL;
  if (value_steal)
    bt_json_set(config, name, value_steal);
  else
    json_object_del(config, name);
  /* The good one holds what the plug-in gets; the server reads what an operator writes: durations have units there. */
  for (const struct berth_field *f = b->manifest->m.config; f && f->name; f++)
    if (strcmp(f->name, name) != 0 && !(f->required && !f->fallback))
      json_object_del(config, f->name);
    else if (strcmp(f->name, name) != 0)
      bt_json_set(config, f->name, check_value_for(f));
  int rc = bt_plugin_config_check(b->manifest->m.config, config, NULL, &diags, &out);
  json_decref(out);
  BT_AUTO_FREE char *text = bt_diags_text(&diags);
  if (rc == 0)
    check_fail("%s with %s is taken", name, what);
  else if (!strstr(text, name))
    check_fail("%s with %s is refused without its name: %.200s", name, what, text);
}

static void bad_values(const struct check_bench *b, const struct berth_field *f) {
  char text[48];
  bool number = f->type == BERTH_INT || f->type == BERTH_DURATION || f->type == BERTH_SIZE;
  if (f->type != BERTH_JSON)
    refused(b, f->name, json_pack("[[]]"), "a list of a list");
  if (f->type != BERTH_JSON && f->type != BERTH_BOOL)
    refused(b, f->name, json_true(), "true");
  if (f->type == BERTH_BOOL)
    refused(b, f->name, json_string("true"), "the text \"true\"");
  if (f->required && !f->fallback)
    refused(b, f->name, NULL, "nothing, though required,");
  if (!number || (!f->min && !f->max))
    return;
  if (f->max < INT64_MAX / 2) {
    snprintf(text, sizeof text, "%lldms", (long long)f->max + 1);
    refused(b, f->name, f->type == BERTH_DURATION ? json_string(text) : json_integer(f->max + 1), "one over its maximum");
  }
  if (f->min > 0 || f->type == BERTH_INT) {
    snprintf(text, sizeof text, "%lldms", (long long)f->min - 1);
    refused(b, f->name, f->type == BERTH_DURATION ? json_string(text) : json_integer(f->min - 1), "one under its minimum");
  }
}

static void table(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  if (check_load(&b)) {
    for (const struct berth_field *f = b.manifest->m.config; f && f->name; f++) {
      check_step("the server reads bad values of %s", f->name);
      bad_values(&b, f);
    }
    refused(&b, "berth_check_unknown", json_integer(1), "a value, though no field,");
  }
  check_unload(&b);
}

/* ---------------------------------------------------------------- what validate() refuses */

static json_t *wrong_value(int i) {
  switch (i) {
  case 0:
    return json_null();
  case 1:
    return json_integer(-1);
  case 2:
    return json_string("");
  case 3:
    return json_pack("[i]", 7);
  case 4:
    return json_pack("{s:{s:[]}}", "a", "b");
  case 5:
    return json_real(1e300);
  case 6:
    return json_false();
  case 7:
    return json_integer(INT64_MAX);
  default:
    return NULL;
  }
}

/* The server never hands these over; a plug-in that is called by a newer host, or by a test, must not fall over them. */
static void types(const struct check_test *t) {
  (void)t;
  static const char *const texts[] = {"", "{", "[]", "null", "7", "{\"a\":", "{\"a\":1,\"a\":2}", "\"\xff\""};
  struct check_bench b;
  const char *why;
  if (check_wire())
    check_skip("the server checks types and sends nothing else; validate() of a .so could be called by others");
  else if (begin(&b)) {
    for (const struct berth_field *f = b.manifest->m.config; f && f->name; f++) {
      json_t *value;
      for (int i = 0; (value = wrong_value(i)); i++) {
        BT_AUTO_JSON config = json_deep_copy(b.config);
        bt_json_set(config, f->name, value);
        BT_AUTO_FREE char *text = bt_json_text(config);
        check_step("validate() where %s has another type (%d)", f->name, i);
        (void)validate(&b, text, &why);
      }
    }
    for (size_t i = 0; i < BT_COUNT(texts); i++) {
      check_step("validate() of %s", texts[i]);
      (void)validate(&b, texts[i], &why);
    }
  }
  check_unload(&b);
}

static const char *const odd_texts[] = {"", " ", "../../../../etc/passwd", "a\r\nX-Injected: 1", "%s%n%n", "http://", "https://[", "\"\\",
                                        "\xf0\x9f\x9a\xa2", "{{", "{{}}{{{{", "*", "-", "unix://", "999999999999999999999999"};

static json_t *odd_value(const struct berth_field *f, const char *text) {
  if (f->type == BERTH_STRING)
    return json_string(text);
  if (f->type == BERTH_LIST)
    return json_pack("[s]", text);
  if (f->type == BERTH_MAP)
    return json_pack("{s:s}", text, text);
  return f->type == BERTH_JSON ? json_pack("{s:{s:s}}", text, text, text) : NULL;
}

/* Values of the right type: validate() takes them, or says which field is wrong. */
static void texts(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  const char *why;
  if (begin(&b)) {
    for (const struct berth_field *f = b.manifest->m.config; f && f->name; f++)
      for (size_t i = 0; i < BT_COUNT(odd_texts); i++) {
        json_t *value = odd_value(f, odd_texts[i]);
        if (!value)
          break;
        BT_AUTO_JSON config = json_deep_copy(b.config);
        bt_json_set(config, f->name, value);
        BT_AUTO_FREE char *text = bt_json_text(config);
        check_step("validate() where %s is odd: %s", f->name, odd_texts[i]);
        if (validate(&b, text, &why) != BERTH_OK && why && !strstr(why, f->name)) {
          check_fail("validate() refuses %s and does not name it: \"%.200s\" [%s]", f->name, why, check_at());
          break;
        }
      }
  }
  check_unload(&b);
}

/* ---------------------------------------------------------------- no network */

static volatile sig_atomic_t network_calls;
static volatile sig_atomic_t network_call;

static void on_call(int signo, siginfo_t *info, void *context) {
  (void)signo, (void)context;
  network_calls++;
  network_call = info->si_syscall;
}

/* A socket call traps; SIGSYS counts it, and the call gives whatever its number was. False where the kernel has no filters. */
static bool trap_network(void) {
  static const int calls[] = {SYS_socket, SYS_connect, SYS_sendto, SYS_bind, SYS_sendmsg};
  enum { n = sizeof calls / sizeof *calls };
  struct sock_filter code[2 * n + 2];
  size_t len = 0;
  code[len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (int i = 0; i < n; i++) {
    code[len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
    code[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
  }
  code[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {.len = (unsigned short)len, .filter = code};
  struct sigaction action = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO};
  return sigaction(SIGSYS, &action, NULL) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void network(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  const char *why;
  if (check_wire()) {
    check_skip("its process has no sockets, but where an entry says network: true");
    return;
  }
  if (begin(&b)) {
    if (trap_network()) {
      check_step("validate() without a network");
      (void)validate(&b, b.text, &why);
      if (network_calls)
        check_fail("validate() touched the network (system call %d): leave that to start() and later", (int)network_call);
    } else {
      check_skip("this machine has no seccomp filters: %s", strerror(errno));
    }
  }
  check_unload(&b);
}

void check_tests_config(struct check_tests *tests) {
#define ADD(name, fn, doc) check_test_add(tests, bt_strdup(name), fn, NULL, 0, doc)
  ADD("config.good", good, "validate() takes a good configuration");
  ADD("config.table", table, "the server refuses wrong types, ranges, unknown and missing fields, and names them");
  ADD("config.types", types, "validate() survives values of other types and texts that are no JSON");
  ADD("config.texts", texts, "validate() takes odd values of the right type, or names the field");
  ADD("config.network", network, "validate() opens no socket");
#undef ADD
}
