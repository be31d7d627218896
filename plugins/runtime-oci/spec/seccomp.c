#include "config.h"
#include "seccomp.h"

#include <stdio.h>

#include "../../common/util.h"
#include "caps.h"

/* Ours, the kernel's first name of it, and the further ones whose calls a kernel of that machine takes as well. */
static const struct {
  const char *arch, *first, *more[2];
} arches[] = {
    {"amd64", "SCMP_ARCH_X86_64", {"SCMP_ARCH_X86", "SCMP_ARCH_X32"}},
    {"arm64", "SCMP_ARCH_AARCH64", {"SCMP_ARCH_ARM", NULL}},
    {"arm", "SCMP_ARCH_ARM", {NULL, NULL}},
    {"386", "SCMP_ARCH_X86", {NULL, NULL}},
    {"ppc64le", "SCMP_ARCH_PPC64LE", {NULL, NULL}},
    {"s390x", "SCMP_ARCH_S390X", {"SCMP_ARCH_S390", NULL}},
    {"riscv64", "SCMP_ARCH_RISCV64", {NULL, NULL}},
};

static json_t *arch_list(const char *arch) {
  json_t *out = json_array();
  for (size_t i = 0; i < PU_COUNT(arches); i++) {
    if (!pu_eq(arches[i].arch, arch))
      continue;
    json_array_append_new(out, json_string(arches[i].first));
    for (int k = 0; k < 2 && arches[i].more[k]; k++)
      json_array_append_new(out, json_string(arches[i].more[k]));
  }
  return out;
}

static json_t *words(const char *text) {
  json_t *out = json_array();
  PU_AUTO_FREE copy = pu_strdup(text);
  char *save = NULL;
  for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
    json_array_append_new(out, json_string(w));
  return out;
}

static bool has_word(const char *list, const char *word) {
  size_t n = strlen(word);
  for (const char *p = list; p && *p; p = strchr(p, ' ') ? strchr(p, ' ') + 1 : NULL)
    if (strncmp(p, word, n) == 0 && (!p[n] || p[n] == ' '))
      return true;
  return false;
}

static bool kernel_at_least(const int *have, int major, int minor) { return have[0] > major || (have[0] == major && have[1] >= minor); }

static bool has_cap(uint64_t caps, int one_and_bit) { return caps & (uint64_t)1 << (one_and_bit - 1); }

/* ---------------------------------------------------------------- the default */

static bool rule_holds(const struct ro_seccomp_rule *r, const struct ro_seccomp_for *f) {
  bool here = !r->arches || (*r->arches == '!' ? !has_word(r->arches + 1, f->arch) : has_word(r->arches, f->arch));
  return here && kernel_at_least(f->kernel, r->kernel[0], r->kernel[1]) && (!r->needs || has_cap(f->caps, r->needs)) &&
         (!r->without || !has_cap(f->caps, r->without));
}

static json_t *rule_json(const struct ro_seccomp_rule *r) {
  static const char *const ops[] = {NULL, "SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_MASKED_EQ"};
  json_t *out = json_pack("{s:o, s:s}", "names", words(r->calls), "action", r->errno_value ? "SCMP_ACT_ERRNO" : "SCMP_ACT_ALLOW");
  if (r->errno_value)
    json_object_set_new(out, "errnoRet", json_integer(r->errno_value));
  if (r->op)
    json_object_set_new(out, "args", json_pack("[{s:i, s:I, s:i, s:s}]", "index", (int)r->index, "value", (json_int_t)r->value, "valueTwo", 0, "op", ops[r->op]));
  return out;
}

json_t *ro_seccomp_default(const struct ro_seccomp_for *f) {
  json_t *calls = json_array();
  for (size_t i = 0; i < ro_seccomp_nrules; i++)
    if (rule_holds(&ro_seccomp_rules[i], f))
      json_array_append_new(calls, rule_json(&ro_seccomp_rules[i]));
  return json_pack("{s:s, s:i, s:o, s:o}", "defaultAction", "SCMP_ACT_ERRNO", "defaultErrnoRet", 1, "architectures", arch_list(f->arch), "syscalls", calls);
}

/* ---------------------------------------------------------------- a profile from a file */

/* "4.8" */
static bool kernel_met(const json_t *v, const int *kernel) {
  int major = 0, minor = 0;
  const char *text = json_string_value(v);
  return !text || !*text || (sscanf(text, "%9d.%9d", &major, &minor) == 2 && kernel_at_least(kernel, major, minor));
}

/* How many of the names are granted. */
static size_t caps_among(const json_t *list, uint64_t caps) {
  size_t i, n = 0;
  json_t *v;
  json_array_foreach(list, i, v) {
    int bit = json_is_string(v) ? ro_cap_bit(json_string_value(v)) : -1;
    n += bit >= 0 && caps & (uint64_t)1 << bit;
  }
  return n;
}

/* Profiles name architectures as Go does, and 386 as "x86" besides. */
static bool arch_among(const json_t *list, const char *arch) {
  size_t i;
  json_t *v;
  json_array_foreach(list, i, v)
    if (pu_eq(json_string_value(v), arch) || (pu_eq(json_string_value(v), "x86") && pu_eq(arch, "386")))
      return true;
  return false;
}

static bool entry_holds(const json_t *entry, const struct ro_seccomp_for *f) {
  const json_t *in = pu_obj(entry, "includes"), *out = pu_obj(entry, "excludes");
  const json_t *in_arches = pu_arr(in, "arches"), *in_caps = pu_arr(in, "caps");
  if (json_array_size(in_arches) && !arch_among(in_arches, f->arch))
    return false;
  if (caps_among(in_caps, f->caps) < json_array_size(in_caps) || !kernel_met(json_object_get(in, "minKernel"), f->kernel))
    return false;
  const json_t *too_new = json_object_get(out, "minKernel");
  return !arch_among(pu_arr(out, "arches"), f->arch) && !caps_among(pu_arr(out, "caps"), f->caps) && !(json_string_length(too_new) && kernel_met(too_new, f->kernel));
}

/* The older form has one "name". */
static json_t *entry_json(const json_t *entry) {
  static const char *const copied[] = {"names", "action", "errnoRet", "args"};
  json_t *out = json_object();
  for (size_t i = 0; i < PU_COUNT(copied); i++) {
    json_t *v = json_object_get(entry, copied[i]);
    if (v && !json_is_null(v) && !(json_is_array(v) && !json_array_size(v)))
      json_object_set(out, copied[i], v);
  }
  if (pu_str(entry, "name") && !pu_arr(out, "names"))
    json_object_set_new(out, "names", json_pack("[s]", pu_str(entry, "name")));
  return out;
}

/* "archMap" has one entry for the machine's own architecture; a plain list stands as it is. */
static json_t *profile_arches(const json_t *profile, const char *arch) {
  json_t *plain = pu_arr(profile, "architectures"), *entry;
  PU_AUTO_JSON own = arch_list(arch);
  size_t i;
  if (json_array_size(plain))
    return json_incref(plain);
  json_array_foreach(pu_arr(profile, "archMap"), i, entry) {
    if (!pu_eq(pu_str(entry, "architecture"), json_string_value(json_array_get(own, 0))))
      continue;
    json_t *out = json_pack("[s]", pu_str(entry, "architecture"));
    if (pu_arr(entry, "subArchitectures"))
      json_array_extend(out, pu_arr(entry, "subArchitectures"));
    return out;
  }
  return json_incref(own);
}

json_t *ro_seccomp_profile(const struct ro_seccomp_for *f, const char *text, char **why) {
  static const char *const copied[] = {"defaultAction", "defaultErrnoRet", "flags", "listenerPath", "listenerMetadata"};
  PU_AUTO_JSON profile = pu_json_load(text, strlen(text), 0);
  if (!json_is_object(profile) || !pu_str(profile, "defaultAction")) {
    *why = pu_strdup(json_is_object(profile) ? "it has no defaultAction" : "it is no JSON object");
    return NULL;
  }
  json_t *out = json_object(), *calls = json_array(), *entry;
  for (size_t i = 0; i < PU_COUNT(copied); i++)
    if (json_object_get(profile, copied[i]))
      json_object_set(out, copied[i], json_object_get(profile, copied[i]));
  json_object_set_new(out, "architectures", profile_arches(profile, f->arch));
  size_t i;
  json_array_foreach(pu_arr(profile, "syscalls"), i, entry)
    if (json_is_object(entry) && entry_holds(entry, f))
      json_array_append_new(calls, entry_json(entry));
  json_object_set_new(out, "syscalls", calls);
  return out;
}
