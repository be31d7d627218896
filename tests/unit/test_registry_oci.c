/* The parts of registry-oci that need no network. */
#include "../../plugins/common/challenge.h"
#include "../../plugins/registry-oci/notify.h"
#include "../../plugins/common/reference.h"
#include "../../plugins/registry-oci/resolve.h"
#include "../../plugins/registry-oci/settings.h"
#include "../../plugins/common/util.h"
#include "tap.h"

static void parses(const char *image, const char *registry, const char *name, const char *tag, const char *digest) {
  struct pu_reference r;
  if (!ok(pu_reference_parse(image, &r), "%s parses", image))
    return;
  is_str(r.registry, registry, "its registry");
  is_str(r.name, name, "its name");
  is_str(r.tag, tag, "its tag");
  is_str(r.digest, digest, "its digest");
  pu_reference_free(&r);
}

#define D "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_references(void) {
  parses("docker.io/library/web:1", "docker.io", "library/web", "1", NULL);
  parses("web", "docker.io", "library/web", "latest", NULL);
  parses("team/web", "docker.io", "team/web", "latest", NULL);
  parses("registry.example:5000/team/web:1.2", "registry.example:5000", "team/web", "1.2", NULL);
  parses("localhost/web@" D, "localhost", "web", NULL, D);
  parses("[::1]:5000/web:1@" D, "[::1]:5000", "web", "1", D);
  static const char *const bad[] = {"",          "a b",        "UPPER/web",   "web:",        "web@sha256:12", "x.y/../z",
                                    "x.y:port/z", "x.y/a//b:1", "web:-1",      "x.y/web:a/b", "x.y/",          "web@" D "G"};
  for (size_t i = 0; i < PU_COUNT(bad); i++) {
    struct pu_reference r;
    ok(!pu_reference_parse(bad[i], &r), "\"%s\" is refused", bad[i]);
  }
}

static void test_hosts(void) {
  ok(pu_is_loopback("localhost:5000") && pu_is_loopback("127.0.0.1") && pu_is_loopback("127.9.9.9:1") &&
         pu_is_loopback("[::1]:5000"),
     "loopback hosts");
  ok(!pu_is_loopback("127.evil.example.org:80") && !pu_is_loopback("localhost.example") && !pu_is_loopback("10.0.0.1") &&
         !pu_is_loopback("127.0.0.1.example.org"),
     "names that only look so");
  is_str(pu_registry_endpoint("docker.io"), "registry-1.docker.io", "the hub's endpoint");
  char *host = NULL;
  bool plain = false;
  ok(ro_url_host("https://auth.example:8443/token?x", &host, &plain) && !plain, "a realm");
  is_str(host, "auth.example:8443", "its host");
  pu_set(&host, NULL);
  ok(!ro_url_host("https://user:pw@auth.example/token", &host, &plain), "no names in URLs");
  ok(!ro_url_host("ftp://auth.example/", &host, &plain), "no other schemes");
}

static void test_challenges(void) {
  struct pu_challenge c = {0};
  pu_challenge_parse("Basic realm=\"x\", Bearer realm=\"https://a.example/t\",service=\"re\\\"g\", scope=\"repository:a:pull,push\"",
                     &c);
  is_int(c.scheme, PU_AUTH_BEARER, "the better scheme");
  is_str(c.realm, "https://a.example/t", "its realm");
  is_str(c.service, "re\"g", "escapes are taken out");
  is_str(c.scope, "repository:a:pull,push", "a comma in quotes");
  pu_challenge_parse("Basic realm=other", &c);
  is_int(c.scheme, PU_AUTH_BEARER, "a second header does not make it worse");
  pu_challenge_free(&c);
  pu_challenge_parse("Negotiate abc=, Digest realm=\"x", &c);
  is_int(c.scheme, PU_AUTH_NONE, "unknown and broken ones are none");
  pu_challenge_free(&c);
}

static void refused(const char *config, const char *sentence) {
  struct ro_settings s;
  char *why = NULL;
  ok(!ro_settings_read(config, &s, &why), "refused");
  ok(why && strstr(why, sentence), "%s", sentence);
  if (why && !strstr(why, sentence))
    printf("# got: %s\n", why);
  free(why);
}

static void test_settings(void) {
  struct ro_settings s;
  char *why = NULL;
  ok(ro_settings_read("{\"registries\":{\"index.docker.io\":{\"mirrors\":[\"m.example:1\"]},\"r.example\":{\"username\":\"u\","
                      "\"password\":\"p\",\"insecure\":true},\"127.0.0.1:5\":{\"ca_file\":\"/ca\"},\"127.0.0.1:6\":{\"insecure\":"
                      "false}}}",
                      &s, &why),
     "settings are read");
  ok(ro_settings_of(&s, "docker.io") && ro_settings_of(&s, "docker.io")->nmirrors == 1, "the hub by any name");
  ok(ro_settings_plain(&s, "r.example") && ro_settings_plain(&s, "127.0.0.1:4"), "plain where said, or on loopback");
  ok(!ro_settings_plain(&s, "docker.io") && !ro_settings_plain(&s, "127.0.0.1:5") && !ro_settings_plain(&s, "127.0.0.1:6"),
     "TLS elsewhere, with a CA file, and where asked for");
  ro_settings_free(&s);
  refused("{\"registries\":[]}", "must be a mapping");
  refused("{\"registries\":{\"https://x\":{}}}", "without a scheme");
  refused("{\"registries\":{\"x\":{\"user\":\"u\"}}}", "unknown key \"user\"");
  refused("{\"registries\":{\"x\":{\"username\":\"u\"}}}", "go together");
  refused("{\"registries\":{\"x\":{\"mirrors\":[\"http://m\"]}}}", "without a scheme");
  refused("{\"registries\":{\"x\":{\"ca_file\":\"ca\"}}}", "absolute path");
  refused("{\"registries\":{\"docker.io\":{},\"index.docker.io\":{}}}", "twice");
}

static void test_platforms(void) {
  static const char text[] =
      "{\"manifests\":[{\"digest\":\"sha256:a\",\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}},"
      "{\"digest\":\"sha256:b\",\"platform\":{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v7\"}},"
      "{\"digest\":\"sha256:c\",\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"}}]}";
  PU_AUTO_JSON index = pu_json_parse(text, sizeof text - 1);
  const json_t *entry = NULL;
  char *there = NULL;
  is_str(ro_pick_platform(index, "linux/amd64", &entry, &there), "sha256:a", "amd64");
  is_str(ro_pick_platform(index, "linux/arm/v7", &entry, &there), "sha256:b", "a variant");
  is_str(ro_pick_platform(index, "linux/arm", &entry, &there), "sha256:b", "any variant");
  ok(!ro_pick_platform(index, "linux/arm/v6", &entry, &there), "none");
  is_str(there, "linux/amd64, linux/arm/v7", "what there is");
  free(there);
  ok(!ro_pick_platform(index, "linux", &entry, &there), "half a platform");
  free(there);
}

static void test_notifications(void) {
  static const char text[] =
      "{\"events\":[{\"action\":\"push\",\"target\":{\"repository\":\"t/web\",\"tag\":\"1\",\"digest\":\"sha256:aa\"}},"
      "{\"action\":\"push\",\"target\":{\"repository\":\"t/web\",\"tag\":\"1\",\"digest\":\"sha256:aa\"}},"
      "{\"action\":\"push\",\"target\":{\"repository\":\"t/web\",\"digest\":\"sha256:bb\"}},"
      "{\"action\":\"pull\",\"target\":{\"repository\":\"t/web\",\"tag\":\"1\"}},7,{\"action\":\"push\"}]}";
  PU_AUTO_JSON pushes = ro_notify_read(text, sizeof text - 1);
  is_int(json_array_size(pushes), 1, "pushes of tags, each once");
  is_str(pu_str(json_array_get(pushes, 0), "repository"), "t/web", "of that repository");
  PU_AUTO_JSON none = ro_notify_read("{\"events\":[]}", 13);
  ok(none && json_array_size(none) == 0, "no events");
  ok(!ro_notify_read("{}", 2) && !ro_notify_read("", 0) && !ro_notify_read("{\"events\":7}", 12), "what is no list of events");
}

int main(void) {
  test_notifications();
  test_references();
  test_hosts();
  test_challenges();
  test_settings();
  test_platforms();
  return done_testing();
}
