/* runtime-oci's translation: create specs with images, profiles of seccomp, passwd and group, /proc/self/limits. What is taken must keep what
 * config.json promises whatever is asked. */
#include "../../plugins/runtime-oci/spec/caps.h"
#include "../../plugins/runtime-oci/spec/parts.h"
#include "../../plugins/runtime-oci/spec/seccomp.h"
#include "../../plugins/runtime-oci/spec/user.h"
#include "parts.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const int kernel[2] = {6, 1};

static bool clean(const char *path) { return path && *path == '/' && !strstr(path, "/../") && !strstr(path, "//"); }

/* No working directory and no mount in /proc, no capability that was not there to give, seccomp unless it was refused by name. */
static void promises(const struct ro_spec *s, uint64_t had) {
  const char *cwd = pu_str(s->process, "cwd");
  size_t i;
  json_t *m;
  if (!clean(cwd) || ro_below(cwd, "/proc") || s->caps & ~had || !json_array_size(json_object_get(s->process, "args")))
    abort();
  json_array_foreach(json_object_get(s->config, "mounts"), i, m) {
    const char *to = pu_str(m, "destination");
    if (!clean(to) || pu_eq(to, "/") || pu_eq(to, "/proc/self"))
      abort();
  }
  if (!json_is_array(json_object_get(s->linux_part, "namespaces")) || !clean(pu_str(s->linux_part, "cgroupsPath")))
    abort();
}

/* {"spec", "image", "found", "containers", "volumes", "addresses", "map": bool, "group": 1|2} */
static void spec(char *text, size_t len) {
  PU_AUTO_JSON given = pu_json_load(text, len, 0);
  struct ro_facts facts = {.arch = "amd64", .kernel = {6, 1}, .cgroup = (int)pu_int(given, "group", 1), .has = ~(uint32_t)0, .cpus = 4};
  facts.capabilities = len % 2 ? ro_caps_default() : (((uint64_t)1 << RO_CAPS) - 1) & ~(uint64_t)1;
  for (int i = 0; i < RO_LIMITS; i++)
    facts.hard[i] = 4096;
  struct ro_choices choices = {.map_count = pu_bool(given, "map", false) ? 65536 : 0, .map_uid = 100000, .map_gid = 100000, .volumes = "/v"};
  PU_AUTO_JSON whole = json_object_get(given, "spec") ? json_incref(json_object_get(given, "spec")) : json_incref(given);
  const struct ro_request in = {.facts = &facts, .choices = &choices, .id = ID, .spec = whole, .image = json_object_get(given, "image"), .found = json_object_get(given, "found"),
                                .containers = json_object_get(given, "containers"), .volumes = json_object_get(given, "volumes"), .dir = "/c", .bundle = "/b",
                                .passwd = "root:x:0:0:::\nweb:x:33:33:::", .group = "web:x:33:web\n", .host_resolv = "nameserver 9.9.9.9\n"};
  json_decref(ro_spec_needs(whole));
  struct ro_spec s;
  bool done = ro_spec_translate(&in, &s);
  if (done == (s.why != NULL))
    abort();
  if (done)
    promises(&s, facts.capabilities);
  free(pu_json_text(s.config));
  free(pu_json_text(s.monitor));
  ro_spec_free(&s);
}

static void profile(char *text, size_t len) {
  const struct ro_seccomp_for f = {.arch = len % 2 ? "amd64" : "386", .kernel = kernel, .caps = len % 3 ? ro_caps_default() : 0};
  char *why = NULL;
  PU_AUTO_JSON out = ro_seccomp_profile(&f, text, &why);
  if (!out == !why)
    abort();
  free(why);
}

/* The user on the first line, then passwd, which is group as well. */
static void user(char *text, size_t len) {
  (void)len;
  char *rest = strchr(text, '\n'), *why = NULL;
  struct ro_user out;
  if (!rest)
    return;
  *rest++ = '\0';
  PU_AUTO_JSON more = json_pack("[s*]", text);
  bool found = ro_user_find(text, more, rest, rest, &out, &why);
  if (found == (why != NULL) || (found && (out.ngroups < 1 || out.ngroups > RO_MAX_GROUPS || out.uid > 2147483647)))
    abort();
  free(why);
}

static void limits(char *text, size_t len) {
  struct ro_facts f = {0};
  ro_facts_limits(&f, text, text + len / 2);
}

static void paths(char *text, size_t len) {
  (void)len;
  PU_AUTO_FREE out = ro_clean(text);
  PU_AUTO_FREE again = ro_clean(out);
  size_t n = strlen(out);
  if (*out != '/' || strcmp(out, again) != 0 || (n > 1 && out[n - 1] == '/') || strstr(out, "/../") || strstr(out, "//"))
    abort();
}

static const struct fuzz_part parts[] = {{'s', "spec", spec}, {'p', "profile", profile}, {'u', "user", user}, {'l', "limits", limits}, {'c', "paths", paths}};
FUZZ_PARTS(parts)
