/* What keeps a container in: capabilities, seccomp, AppArmor and SELinux, no_new_privs, masked and read-only paths. */
#include "config.h"
#include "caps.h"
#include "parts.h"
#include "seccomp.h"

/* The options of security_opt as they were read. */
struct options {
  const char *seccomp;  /* NULL: the default; "unconfined"; else a path */
  const char *apparmor; /* NULL: the default */
  bool label_off, system_paths;
  const char *label[4]; /* user, role, type, level; NULL: the default */
};

/* The value of "name=value" or, in the old form, "name:value"; NULL where opt is another option. */
static const char *option_value(const char *opt, const char *name) {
  size_t n = strlen(name);
  return strncmp(opt, name, n) == 0 && (opt[n] == '=' || opt[n] == ':') ? opt + n + 1 : NULL;
}

static void label_option(struct ro_spec *s, struct options *o, const char *value) {
  static const char *const parts[] = {"user", "role", "type", "level"};
  if (pu_eq(value, "disable")) {
    o->label_off = true;
    return;
  }
  for (int i = 0; i < 4; i++)
    if (option_value(value, parts[i])) {
      o->label[i] = option_value(value, parts[i]);
      return;
    }
  ro_error(s, BERTH_INVALID, "security_opt: \"label=%s\" is none of label=disable, label=user:…, label=role:…, label=type:…, label=level:…", value);
}

static void read_option(struct ro_spec *s, struct options *o, const char *opt) {
  const char *nnp = option_value(opt, "no-new-privileges"), *label = option_value(opt, "label");
  if (pu_eq(opt, "no-new-privileges") || pu_eq(nnp, "true") || pu_eq(nnp, "1"))
    json_object_set_new(s->process, "noNewPrivileges", json_true());
  else if (pu_eq(nnp, "false") || pu_eq(nnp, "0"))
    json_object_set_new(s->process, "noNewPrivileges", json_false());
  else if (option_value(opt, "seccomp"))
    o->seccomp = pu_eq(option_value(opt, "seccomp"), "builtin") ? NULL : option_value(opt, "seccomp");
  else if (option_value(opt, "apparmor"))
    o->apparmor = option_value(opt, "apparmor");
  else if (label)
    label_option(s, o, label);
  else if (pu_eq(opt, "disable"))
    o->label_off = true;
  else if (pu_eq(opt, "systempaths=unconfined"))
    o->system_paths = true;
  else
    ro_error(s, BERTH_UNSUPPORTED, "security_opt: \"%s\" is not known; no-new-privileges, seccomp=, apparmor=, label= and systempaths=unconfined are", opt);
}

/* ---------------------------------------------------------------- capabilities */

/* Who is not root in the container has them in the bounding set only, to be had by a set-uid program. */
static void capabilities(struct ro_spec *s) {
  PU_AUTO_JSON add = pu_strings(ro_member(s->service, "cap_add"));
  PU_AUTO_JSON drop = pu_strings(ro_member(s->service, "cap_drop"));
  PU_AUTO_FREE why = NULL;
  uint64_t allowed = s->facts->capabilities & (((uint64_t)1 << RO_CAPS) - 1);
  if (!ro_caps_tweak(add, drop, allowed, &s->caps, &why))
    ro_error(s, BERTH_INVALID, "%s", why);
  if (s->privileged)
    s->caps = allowed;
}

void ro_spec_capabilities(struct ro_spec *s) {
  PU_AUTO_JSON list = ro_caps_json(s->caps);
  PU_AUTO_JSON none = json_array();
  bool root = !json_integer_value(json_object_get(json_object_get(s->process, "user"), "uid"));
  json_object_set_new(s->process, "capabilities",
                      json_pack("{s:O, s:O, s:O, s:O, s:O}", "bounding", list, "effective", root ? list : none, "permitted", root ? list : none, "inheritable",
                                none, "ambient", none));
}

/* ---------------------------------------------------------------- seccomp and labels */

static void seccomp(struct ro_spec *s, const struct options *o) {
  const struct ro_seccomp_for f = {.arch = s->facts->arch, .kernel = s->facts->kernel, .caps = s->caps};
  PU_AUTO_FREE why = NULL;
  if ((s->privileged && !o->seccomp) || pu_eq(o->seccomp, "unconfined"))
    return;
  if (!(s->facts->has & RO_HAS_SECCOMP)) {
    if (o->seccomp)
      ro_error(s, BERTH_UNSUPPORTED, "security_opt: this kernel has no seccomp, so the profile %s cannot be used; use seccomp=unconfined", o->seccomp);
    else
      ro_warn(s, "this kernel has no seccomp: the container may make any system call");
    return;
  }
  const char *text = o->seccomp ? pu_str(pu_obj(s->in->found, "files"), o->seccomp) : NULL;
  if (o->seccomp && !text) {
    ro_error(s, BERTH_INVALID, "security_opt: the seccomp profile %s cannot be read on this machine, or is over 1 MiB", o->seccomp);
    return;
  }
  json_t *profile = text ? ro_seccomp_profile(&f, text, &why) : ro_seccomp_default(&f);
  if (profile)
    json_object_set_new(s->linux_part, "seccomp", profile);
  else
    ro_error(s, BERTH_INVALID, "security_opt: the seccomp profile %s: %s", o->seccomp, why);
}

static void apparmor(struct ro_spec *s, const struct options *o) {
  const char *profile = o->apparmor ? o->apparmor : s->privileged ? NULL : s->facts->apparmor;
  if (!profile || pu_eq(profile, "unconfined"))
    return;
  if (!(s->facts->has & RO_HAS_APPARMOR))
    ro_error(s, BERTH_UNSUPPORTED, "security_opt: apparmor=%s: this kernel has no AppArmor; leave it out", profile);
  else
    json_object_set_new(s->process, "apparmorProfile", json_string(profile));
}

/* Two categories that follow from the container's id keep containers from each other's files. */
static void selinux(struct ro_spec *s, const struct options *o) {
  bool asked = o->label[0] || o->label[1] || o->label[2] || o->label[3];
  if (!(s->facts->has & RO_HAS_SELINUX)) {
    if (asked)
      ro_error(s, BERTH_UNSUPPORTED, "security_opt: label: this kernel has no SELinux; leave it out, or use label=disable");
    return;
  }
  if (o->label_off || s->privileged)
    return;
  uint32_t hash = pu_hash(s->in->id ? s->in->id : "");
  unsigned a = hash % 1024, b = hash / 1024 % 1023;
  b += b >= a;
  PU_AUTO_FREE categories = pu_asprintf("s0:c%u,c%u", a < b ? a : b, a < b ? b : a);
  const char *user = o->label[0] ? o->label[0] : "system_u", *level = o->label[3] ? o->label[3] : categories;
  PU_AUTO_FREE process = pu_asprintf("%s:%s:%s:%s", user, o->label[1] ? o->label[1] : "system_r", o->label[2] ? o->label[2] : "container_t", level);
  PU_AUTO_FREE files = pu_asprintf("%s:object_r:container_file_t:%s", user, level);
  json_object_set_new(s->process, "selinuxLabel", json_string(process));
  json_object_set_new(s->linux_part, "mountLabel", json_string(files));
}

/* ---------------------------------------------------------------- paths of the kernel's file systems */

static void system_paths(struct ro_spec *s, const struct options *o) {
  if (s->privileged || o->system_paths)
    return;
  json_object_set_new(s->linux_part, "maskedPaths",
                      json_pack("[s,s,s,s,s,s,s,s,s,s,s]", "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"));
  json_array_append_new(json_object_get(s->linux_part, "maskedPaths"), json_string("/sys/devices/virtual/powercap"));
  json_object_set_new(s->linux_part, "readonlyPaths", json_pack("[s,s,s,s,s]", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"));
}

void ro_spec_security(struct ro_spec *s) {
  PU_AUTO_JSON opts = pu_strings(ro_member(s->service, "security_opt"));
  struct options o = {0};
  json_object_set_new(s->process, "noNewPrivileges", json_false());
  size_t i;
  json_t *v;
  json_array_foreach(opts, i, v)
    read_option(s, &o, json_string_value(v));
  capabilities(s);
  seccomp(s, &o);
  apparmor(s, &o);
  selinux(s, &o);
  system_paths(s, &o);
}
