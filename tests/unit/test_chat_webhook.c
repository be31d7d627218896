/* The pure parts of chat-webhook: escaping, cutting, templates, filters, Retry-After. */
#include "../../plugins/chat-webhook/settings.h"
#include "../../plugins/chat-webhook/text.h"

#include "tap.h"

static const struct berth_event event = {.size = sizeof event,
                                         .revision = 7,
                                         .time_ms = 1795000000000,
                                         .type = "instance.failed",
                                         .severity = "error",
                                         .namespace_ = "default",
                                         .app = "shop",
                                         .subject = "instance/shop-web-1",
                                         .message = "<a> & @channel",
                                         .data_json = "{\"exit_code\":137,\"why\":\"<oom>\"}"};

static void escapes(const char *text, const char *want) {
  PU_AUTO_BUF b = {0};
  pu_buf_adds(&b, "");
  cw_escape(&b, text);
  is_str(b.data, want, want);
}

static void cuts(const char *text, size_t limit, const char *want) {
  PU_AUTO_FREE copy = pu_strdup(text);
  cw_cut(copy, limit);
  is_str(copy, want, want);
  ok(strlen(copy) <= limit, "within %zu bytes", limit);
}

static void test_texts(void) {
  escapes("<!channel> a&b\x01", "&lt;!channel&gt; a&amp;b ");
  escapes("@all mail@example.org @here", "@\xe2\x80\x8b" "all mail@example.org @\xe2\x80\x8b" "here");
  cuts("0123456789", 10, "0123456789");
  cuts("0123456789x", 10, "0123456…");
  cuts("ääääää", 10, "äää…");
  cuts("0123&amp;xxxxxxxx", 10, "0123…");
  cuts("abcdef", 2, "");
}

static void renders(const char *template, const char *want) {
  char *why = NULL;
  struct cw_template *t = cw_template_new(template, &why);
  PU_AUTO_FREE got = t ? cw_template_text(t, &event) : why;
  is_str(got, want, template);
  cw_template_free(&t);
}

static void test_templates(void) {
  renders("*{{app}}* {{ message }} <{{type}}>", "*shop* &lt;a&gt; &amp; @\xe2\x80\x8b" "channel <instance.failed>");
  renders("{{time}} {{revision}} {{severity}} {{namespace}} {{subject}}",
          "2026-11-18T11:06:40Z 7 error default instance/shop-web-1");
  renders("{{data.exit_code}} {{data.why}} {{data.none}}.", "137 &lt;oom&gt; .");
  renders("", "");
  renders("{{nope}}",
          "template: there is no {{nope}}; there are type, severity, namespace, app, subject, message, time, revision and data.NAME");
  renders("a {{app", "template: \"{{app\" is not closed with }}");
}

static void wants(const char *filter, bool want) {
  PU_AUTO_FREE config = pu_asprintf("{\"url\":\"https://h.example/secret\"%s%s}", *filter ? "," : "", filter);
  struct cw_settings s;
  char *why = NULL;
  if (!ok(cw_settings_read(config, &s, &why), "%s is read", filter))
    printf("# %s\n", why);
  ok(cw_settings_want(&s, &event) == want, "and lets the event %s", want ? "through" : "not through");
  cw_settings_free(&s);
}

static void refused(const char *config, const char *sentence) {
  struct cw_settings s;
  char *why = NULL;
  ok(!cw_settings_read(config, &s, &why) && strstr(why, sentence), "%s", sentence);
  ok(why && !strstr(why, "token"), "the URL's path is not told");
  free(why);
}

static void test_filters(void) {
  wants("", true);
  wants("\"types\":[\"instance.*\"]", true);
  wants("\"types\":[\"app.*\",\"node.*\"]", false);
  wants("\"types\":[\"*\",\"!instance.*\"]", false);
  wants("\"types\":[\"!node.*\"]", true);
  wants("\"severity\":\"error\"", true);
  wants("\"apps\":[\"sho?\"]", true);
  wants("\"apps\":[\"other\"]", false);
  wants("\"namespaces\":[\"prod\"]", false);
  refused("{\"url\":\"http://hooks.example/token\"}", "must begin with https://");
  refused("{\"url\":\"ftp://hooks.example/token\"}", "must begin with https://");
  refused("{\"url\":\"https://u:p@hooks.example/token\"}", "must name a host");
  refused("{\"url\":\"https://h/token\",\"severity\":\"fatal\"}", "severity is");
  refused("{\"url\":\"https://h/token\",\"retry_min\":9,\"retry_max\":8}", "retry_min is over");
}

static void test_small(void) {
  is_int(cw_retry_after("12", 0), 12, "seconds");
  is_int(cw_retry_after("999999999999", 0), 3600, "capped");
  is_int(cw_retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 10000), 50, "a date");
  is_int(cw_retry_after("Thu, 01 Jan 1970 00:00:00 GMT", 10000), 0, "a date that is past");
  is_int(cw_retry_after("soon", 0), -1, "no time");
  ok(pu_glob("a*c?e", "abbbcde") && !pu_glob("a*c", "abcd") && pu_glob("*", "") && pu_glob("a**b", "ab"), "patterns");
  is_int(pu_hash("foobar"), 0xbf9cf968, "a hash that stays");
}

int main(void) {
  test_texts();
  test_templates();
  test_filters();
  test_small();
  return done_testing();
}
