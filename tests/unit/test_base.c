#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/vec.h"
#include "tap.h"

static int fails(struct bt_err **err) { return bt_err_set(err, BT_NOT_FOUND, "no app \"%s\"", "shop"); }

static void test_err(void) {
  BT_AUTO_ERR err = NULL;
  is_int(fails(&err), -1, "a failing function returns -1");
  bt_err_wrap(&err, "rollback");
  is_str(bt_err_message(err), "rollback: no app \"shop\"", "context goes in front");
  is_int(bt_err_code(err), BT_NOT_FOUND, "the code stays");
  is_int(bt_code_http(bt_err_code(err)), 404, "maps to HTTP");
  is_int(fails(NULL), -1, "a caller may drop the error");
  for (int c = 0; c < BT_CODE_MAX; c++)
    if (bt_code_from_name(bt_code_name((enum bt_code)c)) != (enum bt_code)c)
      ok(false, "code %d round-trips", c);
}

static void test_map(void) {
  BT_AUTO_MAP m = bt_map_new(free);
  bt_map_set(m, "b", bt_strdup("1"));
  bt_map_set(m, "a", bt_strdup("2"));
  bt_map_set(m, "b", bt_strdup("3"));
  is_str(bt_map_get(m, "b"), "3", "set replaces");
  is_int(bt_map_len(m), 2, "and does not add");
  char keys[8] = "";
  for (struct bt_map_iter it = bt_map_iter(m); bt_map_next(&it);) {
    strcat(keys, it.key);
    bt_map_del(m, it.key);
  }
  is_str(keys, "ba", "iteration keeps insertion order and allows removal");
  is_int(bt_map_len(m), 0, "all removed");
}

static void is_short(const char *in, const char *want) {
  BT_AUTO_FREE char *text = bt_strdup(in);
  bt_json_shorten(text);
  is_str(text, want, "short numbers");
}

/* What people wrote they read again; what has no shorter form, and what only looks like a number, stays. */
static void test_json_numbers(void) {
  is_short("{\"a\":0.20000000000000001,\"b\":[-1.1000000000000001,0.29999999999999999],\"c\":1.5}", "{\"a\":0.2,\"b\":[-1.1,0.3],\"c\":1.5}");
  is_short("{\n  \"a\": 0.10000000000000001\n}", "{\n  \"a\": 0.1\n}");
  is_short("0.30000000000000004", "0.30000000000000004");
  is_short("[123456789012345.59,0.1]", "[123456789012345.6,0.1]");
  is_short("[9.9999999999999995e-8,2.0000000000000001e100]", "[1e-07,2e+100]");
  is_short("[12345678901234568.0,123456789012345.0]", "[12345678901234568.0,123456789012345.0]");
  is_short("[\"0.20000000000000001\",\"a\\\":0.20000000000000001,\",0.20000000000000001]", "[\"0.20000000000000001\",\"a\\\":0.20000000000000001,\",0.2]");
  is_short("\"0.20000000000000001", "\"0.20000000000000001");
  is_short("", "");
  uint64_t seed = 1;
  size_t same = 0, shorter = 0;
  for (int i = 0; i < 20000; i++) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    double value = i % 2 ? (double)(seed >> 40) / 1000 : (double)(seed >> 11) / (double)((seed & 0xffff) + 1);
    BT_AUTO_JSON real = json_real(value);
    BT_AUTO_FREE char *text = bt_json_text(real);
    BT_AUTO_FREE char *full = json_dumps(real, JSON_ENCODE_ANY);
    BT_AUTO_JSON back = json_loads(text, JSON_DECODE_ANY, NULL);
    same += json_is_real(back) && json_equal(real, back);
    shorter += strlen(text) < strlen(full);
  }
  is_int(same, 20000, "all numbers read back as the same reals");
  ok(shorter > 5000, "and many are shorter: %zu", shorter);
  BT_AUTO_JSON o = json_pack("{s:f}", "a", 0.2);
  BT_AUTO_FREE char *hashed = bt_json_canonical(o);
  is_str(hashed, "{\"a\":0.20000000000000001}", "what is hashed stays as it was: containers made before would be made anew");
}

static void test_json(void) {
  BT_AUTO_ERR err = NULL;
  char deep[400];
  memset(deep, '[', 200);
  memset(deep + 200, ']', 200);
  ok(!bt_json_parse(deep, sizeof deep, 0, 64, "body", &err), "200 levels are refused");
  is_str(bt_err_message(err), "body: nested deeper than 64 levels", "with a sentence");
  bt_err_free(&err);
  ok(!bt_json_parse(NULL, 0, 0, 0, "body", &err), "nothing is no JSON");
  is_str(bt_err_message(err), "body is empty: it has to be JSON", "and is called what it is");
  bt_err_free(&err);
  static const char three[] = "[1,\",,[[{{\\\",\",3]";
  ok(bt_json_within(three, sizeof three - 1, 4) && !bt_json_within(three, sizeof three - 1, 3), "values are counted outside of strings");
  ok(!bt_json_parse("{\"a\":1,\"a\":2}", 13, 0, 0, "body", &err), "duplicate keys are refused");
  bt_err_free(&err);
  const char *secret = "{\"data\":\"hunter2\\ud800\"}";
  ok(!bt_json_parse(secret, strlen(secret), 0, 0, "body", &err), "half a surrogate is refused");
  ok(!strstr(bt_err_message(err), "hunter2"), "without what stands there: it may be a secret (%s)", bt_err_message(err));
  BT_AUTO_JSON s = bt_json_string("a\xff" "b");
  is_str(json_string_value(s), "a\xef\xbf\xbd" "b", "bad UTF-8 becomes U+FFFD");
}

static void test_clock(void) {
  char buf[64];
  int64_t ns = 0, ms = 0;
  ok(bt_duration_parse("1h30m", &ns) && ns == 5400000000000, "1h30m");
  ok(bt_duration_parse("1.5s", &ns) && ns == 1500000000, "1.5s");
  ok(!bt_duration_parse("10", &ns), "a bare number is no duration");
  ok(!bt_duration_parse("9999999999h", &ns), "overflow is refused");
  is_str(bt_duration_go(90000000000, buf), "1m30s", "go: 1m30s");
  is_str(bt_duration_go(1500000000, buf), "1.5s", "go: 1.5s");
  is_str(bt_duration_go(5400000000000, buf), "1h30m0s", "go: 1h30m0s");
  is_str(bt_duration_go(1500000, buf), "1.5ms", "go: 1.5ms");
  ok(bt_clock_parse("2026-11-23T06:00:00.25+01:00", &ms), "RFC 3339 parses");
  is_str(bt_clock_format(ms, buf), "2026-11-23T05:00:00.250Z", "and prints in UTC");
}

static void test_file(void) {
  BT_AUTO_ERR err = NULL;
  char dir[] = "/tmp/berth-test-XXXXXX";
  ok(mkdtemp(dir) != NULL, "a folder");
  BT_AUTO_FREE char *path = bt_path_join(dir, "a/../b");
  is_int(bt_file_write(path, "hello", 5, 0600, &err), 0, "write");
  BT_AUTO_FREE char *text = NULL;
  size_t len = 0;
  is_int(bt_file_read(path, 5, &text, &len, &err), 0, "read at the cap");
  is_str(text, "hello", "the same bytes");
  char *none = NULL;
  is_int(bt_file_read(path, 4, &none, NULL, &err), -1, "one byte over the cap");
  is_int(bt_err_code(err), BT_TOO_LARGE, "is too large");
  unlink(path);
  rmdir(dir);
  BT_AUTO_FREE char *clean = bt_path_clean("/a/./b//../../../c/");
  is_str(clean, "/c", "a path is cleaned lexically");
}

/* Whatever path leads to: nobody waits for ever, and no device is opened. */
static void test_no_files(void) {
  static const char *const devices[] = {"/dev/zero", "/dev/random", "/dev/ptmx"};
  BT_AUTO_FREE char *text = NULL;
  size_t len = 0;
  for (size_t i = 0; i < BT_COUNT(devices); i++) {
    BT_AUTO_ERR err = NULL;
    char *none = NULL;
    ok(bt_file_read(devices[i], 100, &none, NULL, &err) < 0 && bt_err_code(err) == BT_INVALID, "%s is no file", devices[i]);
  }
  BT_AUTO_ERR err = NULL;
  ok(bt_file_read("/dev/null", 100, &text, &len, &err) == 0 && len == 0, "/dev/null is empty");
  free(bt_steal(text));
  char dir[] = "/tmp/berth-test-XXXXXX";
  ok(mkdtemp(dir) != NULL, "a folder");
  BT_AUTO_FREE char *path = bt_path_join(dir, "fifo");
  is_int(mkfifo(path, 0600), 0, "a pipe with a name");
  pid_t pid = fork();
  if (pid == 0) {
    usleep(100000);
    int fd = open(path, O_WRONLY);
    _exit(fd < 0 || write(fd, "one ", 4) != 4 || usleep(100000) || write(fd, "two", 3) != 3);
  }
  is_int(bt_file_read(path, 100, &text, &len, &err), 0, "is read");
  is_str(text, "one two", "until its writer is done");
  waitpid(pid, NULL, 0);
  int64_t t0 = bt_clock_mono_ms();
  char *none = NULL;
  is_int(bt_file_read(path, 100, &none, NULL, &err), -1, "a pipe without a writer is given up");
  ok(bt_clock_mono_ms() - t0 < 20000 && strstr(bt_err_message(err), "nothing comes"), "after a while: %s", bt_err_message(err));
  unlink(path);
  rmdir(dir);
}

static void test_hash(void) {
  is_int(bt_str_hash(""), 0x811c9dc5, "the hash of nothing");
  is_int(bt_str_hash("foobar"), 0xbf9cf968, "and of a word is what RFC 9923 has: users of plug-ins and spread times stay over restarts");
}

static void test_program(void) {
  BT_AUTO_FREE char *built = bt_program_built("tests/unit/test_base"), *none = bt_program_built("tests/unit/nowhere");
  ok(built && built[0] == '/' && bt_file_exists(built), "a file of the build tree is found from the program: %s", built ? built : "-");
  ok(!none, "one that is not there is none");
  BT_AUTO_FREE char *beside = bt_program_beside("../unit/test_base"), *apart = bt_program_beside("nowhere");
  ok(beside && bt_file_exists(beside) && !apart, "and so is a file beside it");
}

int main(void) {
  test_err();
  test_map();
  test_json();
  test_json_numbers();
  test_clock();
  test_file();
  test_no_files();
  test_hash();
  test_program();
  return done_testing();
}
