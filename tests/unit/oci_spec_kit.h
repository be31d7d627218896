/* For tests of runtime-oci's translation: a machine that has everything, and looks into the outcome by path. */
#ifndef TESTS_OCI_SPEC_KIT_H
#define TESTS_OCI_SPEC_KIT_H

#include "config.h"

#include "../../plugins/runtime-oci/spec/caps.h"
#include "../../plugins/runtime-oci/spec/parts.h"
#include "../../plugins/runtime-oci/spec/seccomp.h"
#include "tap.h"

#define KIT_ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* Everything but CAP_SYS_RESOURCE, AppArmor and SELinux; nofile is bound to 20000. */
static inline struct ro_facts kit_facts(void) {
  struct ro_facts f = {.arch = "amd64", .kernel = {6, 1}, .cgroup = 1, .cpus = 4, .cpu_list = (char *)(uintptr_t)"0-3",
                       .hostname = (char *)(uintptr_t)"machine", .init = (char *)(uintptr_t)"/usr/bin/tini"};
  f.has = ~(uint32_t)(RO_HAS_APPARMOR | RO_HAS_SELINUX);
  f.capabilities = (((uint64_t)1 << RO_CAPS) - 1) & ~((uint64_t)1 << ro_cap_bit("SYS_RESOURCE"));
  for (int i = 0; i < RO_LIMITS; i++)
    f.hard[i] = -1;
  f.hard[ro_limit_index("nofile")] = 20000;
  return f;
}

static inline json_t *kit_json(const char *text) {
  json_error_t e;
  json_t *v = json_loads(text, JSON_DECODE_ANY, &e);
  if (!v)
    printf("# the test's own JSON is wrong: %s at %d: %s\n", e.text, e.position, text);
  return v;
}

/* Follows "linux/resources/memory" or "mounts/[destination=~1dev~1shm]/source" (~1 is a slash; [k=v] finds the item that has it). */
static inline json_t *kit_at(json_t *v, const char *path) {
  PU_AUTO_FREE copy = pu_strdup(path);
  char *save = NULL;
  for (char *p = strtok_r(copy, "/", &save); p; p = strtok_r(NULL, "/", &save)) {
    for (char *tilde; (tilde = strstr(p, "~1")); memmove(tilde + 1, tilde + 2, strlen(tilde + 2) + 1))
      *tilde = '/';
    if (*p == '[' && strchr(p, '=')) {
      char *eq = strchr(p, '=');
      *eq = '\0';
      p[strlen(p)] = '\0';
      eq[strlen(eq + 1)] = '\0';
      json_t *item, *hit = NULL;
      size_t i;
      json_array_foreach(v, i, item)
        if (!hit && pu_eq(pu_str(item, p + 1), eq + 1))
          hit = item;
      v = hit;
    } else {
      v = json_is_array(v) ? json_array_get(v, (size_t)atoi(p)) : json_object_get(v, p);
    }
  }
  return v;
}

struct kit {
  struct ro_facts facts;
  struct ro_choices choices;
  struct ro_request in;
};

static inline void kit_begin(struct kit *k) {
  *k = (struct kit){.facts = kit_facts(), .choices = {.volumes = "/v"}};
  k->in = (struct ro_request){.facts = &k->facts, .choices = &k->choices, .id = KIT_ID, .dir = "/c", .bundle = "/b"};
}

/* Translates the service's text with what else is in k->in, and looks: where begins with '@' for a member of the monitor's part. want NULL:
 * it is not there. */
static inline void kit_is(struct kit *k, const char *spec_text, const char *where, const char *want, const char *file, int line) {
  PU_AUTO_JSON spec = kit_json(spec_text);
  PU_AUTO_JSON expected = want ? kit_json(want) : NULL;
  struct ro_spec out;
  k->in.spec = spec;
  bool done = ro_spec_translate(&k->in, &out);
  json_t *got = *where == '@' ? kit_at(out.monitor, where + 1) : kit_at(out.config, where);
  if (!tap_ok(done && (want ? json_equal(got, expected) : !got), file, line, "%s: %s", where, spec_text)) {
    PU_AUTO_FREE shown = pu_json_text(got);
    printf("#  got: %.2000s\n# want: %s\n#  why: %s\n", shown, want ? want : "nothing", out.why ? out.why : "");
  }
  ro_spec_free(&out);
  k->in.spec = NULL;
}

static inline void kit_refused(struct kit *k, const char *spec_text, enum berth_code code, const char *part, const char *file, int line) {
  PU_AUTO_JSON spec = kit_json(spec_text);
  struct ro_spec out;
  k->in.spec = spec;
  bool done = ro_spec_translate(&k->in, &out);
  tap_ok(!done && out.code == code && out.why && strstr(out.why, part), file, line, "refused: %.200s: %.300s", spec_text, out.why ? out.why : "(it was not)");
  ro_spec_free(&out);
  k->in.spec = NULL;
}

static inline void kit_warns(struct kit *k, const char *spec_text, const char *part, const char *file, int line) {
  PU_AUTO_JSON spec = kit_json(spec_text);
  struct ro_spec out;
  k->in.spec = spec;
  bool done = ro_spec_translate(&k->in, &out);
  PU_AUTO_FREE all = pu_json_text(out.warnings);
  tap_ok(done && strstr(all, part), file, line, "warned: %s: %s", spec_text, done ? all : out.why);
  ro_spec_free(&out);
  k->in.spec = NULL;
}

#define SERVICE(text) "{\"image\":\"i\",\"service\":{\"command\":[\"x\"]," text "}}"
#define service_is(k, text, where, want) kit_is((k), SERVICE(text), where, want, __FILE__, __LINE__)
#define spec_is(k, text, where, want) kit_is((k), text, where, want, __FILE__, __LINE__)
#define service_refused(k, text, code, part) kit_refused((k), SERVICE(text), code, part, __FILE__, __LINE__)
#define spec_refused(k, text, code, part) kit_refused((k), text, code, part, __FILE__, __LINE__)
#define service_warns(k, text, part) kit_warns((k), SERVICE(text), part, __FILE__, __LINE__)

#endif
