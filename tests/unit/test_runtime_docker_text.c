/* runtime-docker: text forms, frames, .dockerignore, the engine's answers in Berth's shapes. */
#include "config.h"

#include "../../plugins/runtime-docker/frames.h"
#include "../../plugins/runtime-docker/ignore.h"
#include "../../plugins/runtime-docker/limits.h"
#include "../../plugins/runtime-docker/normal.h"
#include "../../plugins/runtime-docker/util.h"
#include "tap.h"

static json_t *read_json(const char *text) { return json_loads(text, JSON_DECODE_ANY, NULL); }

/* ---------------------------------------------------------------- text */

static void test_forms(void) {
  static const struct {
    const char *text;
    int64_t ns;
  } durations[] = {{"1m30s", 90000000000}, {"500ms", 500000000}, {"1.5s", 1500000000}, {"10", 10000000000}, {"1h0m0s", 3600000000000}, {"0s", 0}};
  int64_t n;
  for (size_t i = 0; i < PU_COUNT(durations); i++)
    ok(pu_duration(durations[i].text, 1000000000, &n) && n == durations[i].ns, "duration %s", durations[i].text);
  static const char *const no_durations[] = {"", "soon", "1x", "-1s", "1m 3s", "99999999999999h", "."};
  for (size_t i = 0; i < PU_COUNT(no_durations); i++)
    ok(!pu_duration(no_durations[i], 1000000000, &n), "no duration: \"%s\"", no_durations[i]);
  static const struct {
    const char *text;
    int64_t bytes;
  } sizes[] = {{"67108864", 67108864}, {"64m", 67108864}, {"64MB", 67108864}, {"1GiB", 1073741824}, {"1.5k", 1536}, {"-1", -1}, {"5b", 5}};
  for (size_t i = 0; i < PU_COUNT(sizes); i++)
    ok(pu_size(sizes[i].text, &n) && n == sizes[i].bytes, "size %s", sizes[i].text);
  static const char *const no_sizes[] = {"", "much", "1x", "1kk", "-1m", "99999999999999999999", "+1"};
  for (size_t i = 0; i < PU_COUNT(no_sizes); i++)
    ok(!pu_size(no_sizes[i], &n), "no size: \"%s\"", no_sizes[i]);
  is_int(pu_time_ms("2024-02-29T12:00:00.123456789Z"), 1709208000123, "a time with a fraction");
  is_int(pu_time_ms("2024-02-29T14:00:00+02:00"), 1709208000000, "a time with an offset");
  is_int(pu_time_ms("yesterday"), -1, "no time");
  PU_AUTO_FREE text = pu_time_text(1709208000);
  is_str(text, "2024-02-29T12:00:00Z", "a time as text");
  PU_AUTO_FREE one = rd_base64url("\xfb\xff", 2);
  is_str(one, "-_8=", "base64url with padding");
  PU_AUTO_BUF url = {0};
  pu_url_add(&url, "a b/ü?", "/");
  is_str(url.data, "a%20b/%C3%BC%3F", "percent-encoding");
}

static void test_json(void) {
  PU_AUTO_JSON bad = rd_json_bytes("a\xff\xc3(\0b\xe2\x82\xac", 9);
  is_str(json_string_value(bad), "a\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd" "b\xe2\x82\xac", "bad bytes become U+FFFD");
  char deep[400];
  memset(deep, '[', 200);
  memset(deep + 200, ']', 200);
  ok(!rd_json_parse(deep, sizeof deep), "deep nesting is refused");
  PU_AUTO_JSON fine = rd_json_parse("{\"a\":\"[[[[\"}", 12);
  ok(fine, "brackets in strings are no nesting");
}

static void line_add(void *arg, char *text, size_t len) {
  struct pu_buf *out = arg;
  pu_buf_addf(out, "<%.*s>", (int)len, text);
}

static void test_lines(void) {
  const char *text = "ab\r\ncdefghij\n\nk";
  for (size_t step = 1; step < 20; step++) {
    struct rd_lines l = {.cap = 5};
    PU_AUTO_BUF out = {0};
    for (size_t i = 0; i < strlen(text); i += step)
      rd_lines_feed(&l, text + i, strlen(text) - i < step ? strlen(text) - i : step, line_add, &out);
    rd_lines_end(&l, line_add, &out);
    is_str(out.data, "<ab><cdefg><hij><><k>", "lines, long ones cut, in any pieces");
  }
}

/* ---------------------------------------------------------------- frames */

static void part_add(void *arg, int stream, const void *data, size_t len, bool last) {
  struct pu_buf *out = arg;
  pu_buf_addf(out, "%d:%.*s%s", stream, (int)len, (const char *)data, last ? ";" : "|");
}

static void test_frames(void) {
  const char raw[] = "\1\0\0\0\0\0\0\5hello\2\0\0\0\0\0\0\2no\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\1!";
  struct rd_frames f = {0};
  PU_AUTO_BUF out = {0};
  ok(rd_frames_feed(&f, raw, sizeof raw - 1, false, part_add, &out), "frames are read");
  is_str(out.data, "1:hello;2:no;1:;1:!;", "in one piece");
  PU_AUTO_BUF split = {0};
  f = (struct rd_frames){0};
  for (size_t i = 0; i < sizeof raw - 1; i++)
    ok(rd_frames_feed(&f, raw + i, 1, false, part_add, &split), "byte by byte");
  is_str(split.data, "1:h|1:e|1:l|1:l|1:o;2:n|2:o;1:;1:!;", "byte by byte gives the same");
  f = (struct rd_frames){0};
  ok(!rd_frames_feed(&f, "HTTP/1.1 500 x", 14, false, part_add, &split), "other bytes are no frames");
}

static void test_frames_joined(void) {
  const char raw[] = "\1\0\0\0\0\0\0\2he\1\0\0\0\0\0\0\3llo\2\0\0\0\0\0\0\2no\1\0\0\0\0\0\0\2!";
  struct rd_frames f = {0};
  PU_AUTO_BUF out = {0};
  ok(rd_frames_feed(&f, raw, sizeof raw - 1, true, part_add, &out), "frames are joined");
  is_str(out.data, "1:hello|2:no|1:!|", "by stream, none held back");
  ok(rd_frames_feed(&f, "?", 1, true, part_add, &out) && strstr(out.data, "1:!|1:?|"), "over the end of a piece");
}

static void logline_add(void *arg, int stream, const char *time, const char *text, size_t len) {
  struct pu_buf *out = arg;
  pu_buf_addf(out, "%d %s [%.*s];", stream, time, (int)len, text);
}

static void test_loglines(void) {
  struct rd_loglines l = {0};
  PU_AUTO_BUF out = {0};
  rd_loglines_part(&l, 1, "2024-02-29T12:00:00.1Z he", 25, false, logline_add, &out);
  rd_loglines_part(&l, 2, "2024-02-29T12:00:00.2Z err\n", 27, true, logline_add, &out);
  rd_loglines_part(&l, 1, "llo\n", 4, true, logline_add, &out);
  rd_loglines_part(&l, 1, "2024-02-29T12:00:00.3Z long ", 28, true, logline_add, &out);
  rd_loglines_part(&l, 1, "2024-02-29T12:00:00.4Z line\r\n", 29, true, logline_add, &out);
  rd_loglines_part(&l, 1, "2024-02-29T12:00:00.5Z end", 26, true, logline_add, &out);
  rd_loglines_end(&l, logline_add, &out);
  is_str(out.data,
         "2 2024-02-29T12:00:00.2Z [err];1 2024-02-29T12:00:00.1Z [hello];1 2024-02-29T12:00:00.3Z [long line];"
         "1 2024-02-29T12:00:00.5Z [end];",
         "lines of split and partial frames");
  rd_loglines_free(&l);
}

/* ---------------------------------------------------------------- .dockerignore */

static char *on_one_line(const char *file) {
  char *s = pu_strdup(file);
  for (char *p = s; *p; p++)
    if (*p == '\n')
      *p = ' ';
  return s;
}

static void ignored(const char *file, const char *path, bool want) {
  struct rd_ignore *ig = rd_ignore_parse(file, strlen(file));
  PU_AUTO_FREE name = on_one_line(file);
  ok(rd_ignore_match(ig, path) == want, "%.40s is %s by %.60s", path, want ? "left out" : "kept", name);
  rd_ignore_free(&ig);
}

static void descends(const char *file, const char *path, bool want) {
  struct rd_ignore *ig = rd_ignore_parse(file, strlen(file));
  PU_AUTO_FREE name = on_one_line(file);
  ok(rd_ignore_descend(ig, path) == want, "%s %s for %s", path, want ? "is looked into" : "is skipped", name);
  rd_ignore_free(&ig);
}

static void test_ignore(void) {
  ignored("node_modules\n", "node_modules", true);
  ignored("node_modules\n", "node_modules/a/b.js", true);
  ignored("node_modules\n", "src/node_modules/a", false);
  ignored("**/node_modules\n", "src/node_modules/a", true);
  ignored("**/node_modules\n", "node_modules", true);
  ignored("/a/\n", "a/b", true);
  ignored("./a\n", "a", true);
  ignored("a/../b\n", "b", true);
  ignored("*.md\n", "README.md", true);
  ignored("*.md\n", "docs/README.md", false);
  ignored("**/*.md", "docs/x/README.md", true);
  ignored("*/temp*\n", "x/temporary", true);
  ignored("*/temp*\n", "x/y/temporary", false);
  ignored("*/*/temp*\n", "x/y/temporary/z", true);
  ignored("temp?\n", "tempa", true);
  ignored("temp?\n", "temp", false);
  ignored("te[a-m]p\n", "tebp", true);
  ignored("te[^a-m]p\n", "tebp", false);
  ignored("# note\n\n  x  \n", "x", true);
  ignored("#x\n", "#x", false);
  ignored("*.md\n!README.md\n", "README.md", false);
  ignored("*.md\n!README.md\n", "OTHER.md", true);
  ignored("*.md\n!README*.md\nREADME-secret.md\n", "README-secret.md", true);
  ignored("*\n!src\n", "src/a.c", false);
  ignored("*\n!src\n", "other/a.c", true);
  ignored("*\n!src/**\n**/*.o\n", "src/x/a.o", true);
  ignored("foo/**\n", "foo/a/b", true);
  ignored("foo/**\n", "foo", false);
  ignored("**\n", "a/b", true);
  ignored("a/**/b\n", "a/b", true);
  ignored("a/**/b\n", "a/x/y/b", true);
  ignored("a\\*b\n", "a*b", true);
  ignored("a\\*b\n", "axb", false);
  ignored("a.b\n", "axb", false);
  ignored("\xef\xbb\xbfx\n", "x", true);
  PU_AUTO_BUF evil = {0};
  for (int i = 0; i < 500; i++)
    pu_buf_adds(&evil, "**a*");
  pu_buf_adds(&evil, "b");
  PU_AUTO_BUF path = {0};
  for (int i = 0; i < 2000; i++)
    pu_buf_adds(&path, i % 7 ? "a" : "/");
  ignored(evil.data, path.data + 1, false);
  descends("*\n!src/keep\n", "src", true);
  descends("*\n!src/keep\n", "other", false);
  descends("*\n!**/keep\n", "other", true);
  descends("src\n", "src", false);
  descends("*\n!src\n", "src/x", false);
  descends("*\n!s*/keep\n", "src", true);
  descends("*\n!src\n", "sr", false);
}

/* ---------------------------------------------------------------- answers */

static void same(json_t *got, const char *want, const char *what) {
  PU_AUTO_JSON owned = got;
  PU_AUTO_JSON expected = read_json(want);
  if (!ok(json_equal(owned, expected), "%s", what)) {
    PU_AUTO_FREE shown = owned ? pu_json_text(owned) : pu_strdup("nothing");
    printf("#  got: %s\n# want: %s\n", shown, want);
  }
}

static void test_inspect(void) {
  PU_AUTO_JSON in = read_json(
      "{\"Id\":\"abc\",\"Name\":\"/web\",\"Created\":\"2024-01-01T00:00:00Z\",\"State\":{\"Status\":\"exited\",\"ExitCode\":137,\"OOMKilled\":true,\"Error\":\"\",\"Pid\":0,"
      "\"StartedAt\":\"2024-01-01T00:00:01Z\",\"FinishedAt\":\"0001-01-01T00:00:00Z\",\"Health\":{\"Status\":\"unhealthy\",\"Log\":[{\"Output\":\"old\"},{\"Output\":\"bad\"}]}},"
      "\"Config\":{\"Image\":\"web:1\",\"Labels\":{\"a\":\"b\"},\"Tty\":false},\"Image\":\"sha256:1\",\"HostConfig\":{\"NanoCpus\":500000000,\"Memory\":1048576,\"PidsLimit\":-1},\"NetworkSettings\":{\"Ports\":{\"80/tcp\":[{\"HostIp\":\"0.0.0.0\",\"HostPort\":\"8080\"}],"
      "\"9/udp\":null},\"Networks\":{\"n\":{\"IPAddress\":\"10.0.0.2\",\"GlobalIPv6Address\":\"\",\"MacAddress\":\"02:42\",\"Aliases\":[\"web\"]}}}}");
  same(rd_normal_inspect(in),
       "{\"id\":\"abc\",\"name\":\"web\",\"labels\":{\"a\":\"b\"},\"state\":\"exited\",\"exit_code\":137,\"oom_killed\":true,\"error\":\"\",\"created_at\":\"2024-01-01T00:00:00Z\","
       "\"started_at\":\"2024-01-01T00:00:01Z\",\"finished_at\":\"\",\"health\":\"unhealthy\",\"health_output\":\"bad\",\"image\":\"web:1\",\"image_id\":\"sha256:1\",\"pid\":0,\"tty\":false,"
       "\"ports\":[{\"target\":80,\"published\":8080,\"host_ip\":\"0.0.0.0\",\"protocol\":\"tcp\"}],"
       "\"networks\":{\"n\":{\"ip\":\"10.0.0.2\",\"ip6\":\"\",\"mac\":\"02:42\",\"aliases\":[\"web\"]}},\"resources\":{\"cpus\":0.5,\"memory\":1048576,\"memory_reservation\":0,\"pids\":0}}",
       "inspect");
  PU_AUTO_JSON empty = json_object();
  PU_AUTO_JSON out = rd_normal_inspect(empty);
  ok(out, "an empty answer gives an object all the same");
  PU_AUTO_JSON list = read_json("[{\"Id\":\"a\",\"Names\":[\"/x\"],\"Labels\":{},\"State\":\"running\",\"Image\":\"i\",\"ImageID\":\"99\",\"Created\":0}]");
  same(rd_normal_list(list),
       "{\"containers\":[{\"id\":\"a\",\"name\":\"x\",\"labels\":{},\"state\":\"running\",\"image\":\"i\",\"image_id\":\"sha256:99\",\"created\":\"1970-01-01T00:00:00Z\"}]}",
       "list");
}

static void test_events(void) {
  PU_AUTO_JSON die = read_json("{\"Type\":\"container\",\"Action\":\"die\",\"Actor\":{\"ID\":\"x\",\"Attributes\":{\"name\":\"web\",\"image\":\"i\",\"exitCode\":\"3\",\"berth.app\":\"a\"}},"
                               "\"time\":1,\"timeNano\":1500000000}");
  same(rd_normal_event(die), "{\"action\":\"die\",\"id\":\"x\",\"name\":\"web\",\"labels\":{\"berth.app\":\"a\"},\"exit_code\":3,\"time_ms\":1500}", "die");
  PU_AUTO_JSON health = read_json("{\"Type\":\"container\",\"Action\":\"health_status: unhealthy\",\"Actor\":{\"ID\":\"x\",\"Attributes\":{\"name\":\"w\"}},\"time\":2}");
  same(rd_normal_event(health), "{\"action\":\"health\",\"id\":\"x\",\"name\":\"w\",\"labels\":{},\"health\":\"unhealthy\",\"time_ms\":2000}", "health");
  PU_AUTO_JSON exec = read_json("{\"Type\":\"container\",\"Action\":\"exec_start: sh\",\"Actor\":{\"ID\":\"x\",\"Attributes\":{}},\"time\":2}");
  ok(!rd_normal_event(exec), "other actions are none");
  PU_AUTO_JSON network = read_json("{\"Type\":\"network\",\"Action\":\"destroy\",\"Actor\":{\"ID\":\"x\",\"Attributes\":{}},\"time\":2}");
  ok(!rd_normal_event(network), "other things are none");
}

static void test_stats(void) {
  PU_AUTO_JSON in = read_json(
      "{\"read\":\"2024-02-29T12:00:00Z\",\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":100},\"system_cpu_usage\":200,\"online_cpus\":2},"
      "\"memory_stats\":{\"usage\":1000,\"limit\":5000,\"stats\":{\"total_inactive_file\":300}},\"networks\":{\"a\":{\"rx_bytes\":1,\"tx_bytes\":2},\"b\":{\"rx_bytes\":3,\"tx_bytes\":4}},"
      "\"blkio_stats\":{\"io_service_bytes_recursive\":[{\"op\":\"Read\",\"value\":7},{\"op\":\"write\",\"value\":8},{\"op\":\"Sync\",\"value\":9}]},\"pids_stats\":{\"current\":3}}");
  same(rd_normal_stats(in),
       "{\"cpu_ns\":100,\"cpu_system_ns\":200,\"cpus\":2,\"memory\":700,\"memory_limit\":5000,\"rx_bytes\":4,\"tx_bytes\":6,\"read_bytes\":7,\"write_bytes\":8,\"pids\":3,"
       "\"time_ms\":1709208000000}",
       "stats");
}

static void differs(char *(*f)(const json_t *, const json_t *), const char *there, const char *spec, const char *part) {
  PU_AUTO_JSON a = read_json(there);
  PU_AUTO_JSON b = read_json(spec);
  PU_AUTO_FREE why = f(a, b);
  ok(part ? why && strstr(why, part) : !why, "%s against %s: %s", there, spec, why ? why : "the same");
}

static void test_differences(void) {
  const char *net = "{\"Driver\":\"bridge\",\"Internal\":false,\"IPAM\":{\"Config\":[{\"Subnet\":\"10.9.0.0/24\"}]},\"Options\":{\"x\":\"1\"}}";
  differs(rd_network_differs, net, "{}", NULL);
  differs(rd_network_differs, net, "{\"driver\":\"macvlan\"}", "macvlan");
  differs(rd_network_differs, net, "{\"ipam\":{\"config\":[{\"subnet\":\"10.9.0.0/24\"}]}}", NULL);
  differs(rd_network_differs, net, "{\"ipam\":{\"config\":[{\"subnet\":\"10.8.0.0/24\"}]}}", "10.8.0.0/24");
  differs(rd_network_differs, net, "{\"internal\":true}", "internal");
  differs(rd_network_differs, net, "{\"driver_opts\":{\"x\":\"2\"}}", "option x");
  differs(rd_volume_differs, "{\"Driver\":\"local\",\"Options\":null}", "{}", NULL);
  differs(rd_volume_differs, "{\"Driver\":\"local\",\"Options\":null}", "{\"driver\":\"nfs\"}", "nfs");
  differs(rd_volume_differs, "{\"Driver\":\"local\",\"Options\":{\"type\":\"tmpfs\"}}", "{\"driver_opts\":{\"type\":\"nfs\"}}", "option type");
}

static void test_refusals(void) {
  is_int(rd_code(404, "No such container: x"), BERTH_NOT_FOUND, "404");
  is_int(rd_code(409, ""), BERTH_CONFLICT, "409");
  is_int(rd_code(500, "driver failed: Bind for 0.0.0.0:80 failed: port is already allocated"), BERTH_EXHAUSTED, "a taken port is no conflict over the container");
  is_int(rd_code(500, "write /x: no space left on device"), BERTH_EXHAUSTED, "a full disk");
  is_int(rd_code(500, "something"), BERTH_IO, "anything else");
  is_int(rd_code_text("Get https://r/v2/: unauthorized", BERTH_IO), BERTH_UNAUTHENTICATED, "a login that is wanted");
  const char *body = "{\"message\":\"No such image: x\\n\"}";
  PU_AUTO_FREE json = rd_sentence(body, strlen(body));
  is_str(json, "No such image: x", "the engine's sentence");
  PU_AUTO_FREE plain = rd_sentence("404 page not found\n", 19);
  is_str(plain, "404 page not found", "a plain body");
  PU_AUTO_FREE none = rd_sentence(NULL, 0);
  is_str(none, "", "no body");
}

static void limits(const char *status, bool bound) {
  char text[] = "Limit                     Soft Limit           Hard Limit           Units     \n"
                "Max cpu time              unlimited            unlimited            seconds   \n"
                "Max open files            1024                 20000                files     \n";
  char head[64];
  snprintf(head, sizeof head, "Name:\tdockerd\n%s", status);
  FILE *l = fmemopen(text, strlen(text), "r"), *s = fmemopen(head, strlen(head), "r");
  struct rd_limits out;
  rd_limits_parse(&out, l, s);
  fclose(l);
  fclose(s);
  int64_t hard = 0;
  ok(rd_limits_hard(&out, "nofile", &hard) == bound && (!bound || hard == 20000), "an engine %s raise limits", bound ? "that may not" : "that may");
  ok(!rd_limits_hard(&out, "cpu", &hard) && !rd_limits_hard(&out, "other", &hard), "what is unlimited or unknown is not bound");
}

int main(void) {
  limits("CapBnd:\t000001fffeffffff\n", true);
  limits("CapBnd:\t000001ffffffffff\n", false);
  limits("", false);
  test_forms();
  test_json();
  test_lines();
  test_frames();
  test_frames_joined();
  test_loglines();
  test_ignore();
  test_inspect();
  test_events();
  test_stats();
  test_differences();
  test_refusals();
  return done_testing();
}
