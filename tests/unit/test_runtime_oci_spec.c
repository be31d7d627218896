/* runtime-oci's translation: the process, what it is kept in by, and its limits. */
#include "oci_spec_kit.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:34::/www:/bin/sh\nnum:x:4x:5\n";
static const char group[] = "root:x:0:\nwww:x:34:\nextra:x:56:web,other\nmore:x:57:other,web\nlast:x:58:webby\n";

static void test_command(void) {
  struct kit k;
  kit_begin(&k);
  PU_AUTO_JSON image = kit_json("{\"architecture\":\"amd64\",\"config\":{\"Entrypoint\":[\"/e\"],\"Cmd\":[\"c\"]}}");
  k.in.image = image;
  spec_is(&k, "{\"service\":{}}", "process/args", "[\"/e\",\"c\"]");
  spec_is(&k, "{\"service\":{\"command\":[\"d\",\"e\"]}}", "process/args", "[\"/e\",\"d\",\"e\"]");
  spec_is(&k, "{\"service\":{\"command\":[]}}", "process/args", "[\"/e\",\"c\"]");
  spec_is(&k, "{\"service\":{\"entrypoint\":[\"/f\"]}}", "process/args", "[\"/f\"]");
  spec_is(&k, "{\"service\":{\"entrypoint\":[\"/f\"],\"command\":\"g\"}}", "process/args", "[\"/f\",\"g\"]");
  spec_is(&k, "{\"service\":{\"entrypoint\":[],\"command\":[\"g\"]}}", "process/args", "[\"g\"]");
  spec_is(&k, "{\"service\":{\"entrypoint\":[\"\"],\"command\":[\"g\"]}}", "process/args", "[\"g\"]");
  spec_refused(&k, "{\"service\":{\"entrypoint\":[]}}", BERTH_INVALID, "nothing to run");
  spec_is(&k, "{\"service\":{\"init\":true}}", "process/args", "[\"/sbin/docker-init\",\"--\",\"/e\",\"c\"]");
  spec_is(&k, "{\"service\":{\"init\":true}}", "mounts/[destination=~1sbin~1docker-init]/source", "\"/usr/bin/tini\"");
  k.facts.init = NULL;
  spec_refused(&k, "{\"service\":{\"init\":true}}", BERTH_UNSUPPORTED, "init: no small init is installed");
}

static void test_environment(void) {
  struct kit k;
  kit_begin(&k);
  PU_AUTO_JSON image = kit_json("{\"Env\":[\"PATH=/p\",\"A=1\",\"B=2\",\"=x\"]}");
  k.in.image = image;
  service_is(&k, "\"environment\":{\"A\":\"3\",\"B\":null,\"C\":true}", "process/env", "[\"PATH=/p\",\"HOSTNAME=0123456789ab\",\"A=3\",\"C=true\"]");
  service_is(&k, "\"environment\":[\"A\",\"D=x=y\"],\"tty\":true,\"hostname\":\"h\"", "process/env",
             "[\"PATH=/p\",\"HOSTNAME=h\",\"TERM=xterm\",\"B=2\",\"D=x=y\"]");
  k.in.image = NULL;
  service_is(&k, "\"hostname\":\"h\"", "process/env/0", "\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"");
}

static void test_user(void) {
  struct kit k;
  kit_begin(&k);
  k.in.passwd = passwd;
  k.in.group = group;
  service_is(&k, "\"tty\":false", "process/user", "{\"uid\":0,\"gid\":0,\"additionalGids\":[0]}");
  service_is(&k, "\"user\":\"web\"", "process/user", "{\"uid\":33,\"gid\":34,\"additionalGids\":[34,56,57]}");
  service_is(&k, "\"user\":\"33\"", "process/user", "{\"uid\":33,\"gid\":34,\"additionalGids\":[34,56,57]}");
  service_is(&k, "\"user\":\"web:extra\"", "process/user", "{\"uid\":33,\"gid\":56,\"additionalGids\":[56]}");
  service_is(&k, "\"user\":\"12:34\",\"group_add\":[\"more\",\"99\"]", "process/user", "{\"uid\":12,\"gid\":34,\"additionalGids\":[34,57,99]}");
  service_is(&k, "\"user\":\"77\"", "process/user", "{\"uid\":77,\"gid\":0,\"additionalGids\":[0]}");
  service_refused(&k, "\"user\":\"nobody\"", BERTH_INVALID, "no user \"nobody\" in the image's /etc/passwd");
  service_refused(&k, "\"user\":\"num\"", BERTH_INVALID, "no user \"num\"");
  service_refused(&k, "\"user\":\"web:none\"", BERTH_INVALID, "no group \"none\"");
  service_refused(&k, "\"user\":\"-1\"", BERTH_INVALID, "no user \"-1\"");
  service_refused(&k, "\"user\":\"4294967295\"", BERTH_INVALID, "no user");
  service_refused(&k, "\"group_add\":[\"none\"]", BERTH_INVALID, "group_add: there is no group \"none\"");
  k.in.passwd = k.in.group = NULL;
  service_refused(&k, "\"user\":\"web\"", BERTH_INVALID, "no user \"web\"");
  service_is(&k, "\"user\":\"5:6\"", "process/user/gid", "6");
}

static void test_cwd(void) {
  struct kit k;
  kit_begin(&k);
  PU_AUTO_JSON image = kit_json("{\"WorkingDir\":\"/srv/\"}");
  PU_AUTO_JSON hostile = kit_json("{\"WorkingDir\":\"/proc/self/fd/8\"}");
  service_is(&k, "\"tty\":false", "process/cwd", "\"/\"");
  service_is(&k, "\"working_dir\":\"/a/./b/../c/\"", "process/cwd", "\"/a/c\"");
  k.in.image = image;
  service_is(&k, "\"tty\":false", "process/cwd", "\"/srv\"");
  service_refused(&k, "\"working_dir\":\"rel\"", BERTH_INVALID, "working_dir: \"rel\" is no absolute path");
  service_refused(&k, "\"working_dir\":\"/proc/self/fd/7\"", BERTH_INVALID, "working_dir: /proc/self/fd/7 is in /proc");
  service_refused(&k, "\"working_dir\":\"//x/..//proc/./1/../self/cwd\"", BERTH_INVALID, "in /proc");
  service_is(&k, "\"working_dir\":\"/process\"", "process/cwd", "\"/process\"");
  k.in.image = hostile;
  service_refused(&k, "\"tty\":false", BERTH_INVALID, "working_dir: /proc/self/fd/8 is in /proc");
}

static void test_limits(void) {
  struct kit k;
  kit_begin(&k);
  service_is(&k, "\"ulimits\":{\"nofile\":{\"soft\":100,\"hard\":200},\"nproc\":333}", "process/rlimits",
             "[{\"type\":\"RLIMIT_NOFILE\",\"soft\":100,\"hard\":200},{\"type\":\"RLIMIT_NPROC\",\"soft\":333,\"hard\":333}]");
  service_is(&k, "\"ulimits\":{\"nofile\":65536}", "process/rlimits/0", "{\"type\":\"RLIMIT_NOFILE\",\"soft\":20000,\"hard\":20000}");
  service_warns(&k, "\"ulimits\":{\"nofile\":{\"soft\":100,\"hard\":-1}}", "ulimits.nofile: unlimited is cut to 20000");
  service_is(&k, "\"ulimits\":{\"core\":-1}", "process/rlimits/0/hard", "9223372036854775807");
  service_refused(&k, "\"ulimits\":{\"colour\":1}", BERTH_INVALID, "no limit \"colour\"");
  service_refused(&k, "\"ulimits\":{\"core\":{\"soft\":5,\"hard\":4}}", BERTH_INVALID, "over the hard one");
  service_refused(&k, "\"ulimits\":{\"core\":\"x\"}", BERTH_INVALID, "ulimits.core");
  service_is(&k, "\"oom_score_adj\":300", "process/oomScoreAdj", "300");
  service_warns(&k, "\"oom_score_adj\":-300", "oom_score_adj: -300 is made 0");
  service_refused(&k, "\"oom_score_adj\":2000", BERTH_INVALID, "between -1000 and 1000");
  k.facts.raise = true;
  service_is(&k, "\"ulimits\":{\"nofile\":65536},\"oom_score_adj\":-300", "process/rlimits/0/hard", "65536");
  service_is(&k, "\"oom_score_adj\":-300", "process/oomScoreAdj", "-300");
  k.facts.nr_open = 1048576;
  service_is(&k, "\"ulimits\":{\"nofile\":9999999}", "process/rlimits/0", "{\"type\":\"RLIMIT_NOFILE\",\"soft\":1048576,\"hard\":1048576}");
  service_warns(&k, "\"ulimits\":{\"nofile\":-1}", "ulimits.nofile: unlimited is cut to 1048576, the most that this machine lets any process have (fs.nr_open)");
  service_is(&k, "\"ulimits\":{\"nproc\":9999999}", "process/rlimits/0/hard", "9999999");
}

/* ---------------------------------------------------------------- security */

static void test_capabilities(void) {
  struct kit k;
  kit_begin(&k);
  service_is(&k, "\"tty\":false", "process/capabilities/effective",
             "[\"CAP_CHOWN\",\"CAP_DAC_OVERRIDE\",\"CAP_FOWNER\",\"CAP_FSETID\",\"CAP_KILL\",\"CAP_SETGID\",\"CAP_SETUID\",\"CAP_SETPCAP\","
             "\"CAP_NET_BIND_SERVICE\",\"CAP_NET_RAW\",\"CAP_SYS_CHROOT\",\"CAP_MKNOD\",\"CAP_AUDIT_WRITE\",\"CAP_SETFCAP\"]");
  service_is(&k, "\"cap_drop\":[\"ALL\"],\"cap_add\":[\"NET_RAW\",\"cap_chown\"]", "process/capabilities",
             "{\"bounding\":[\"CAP_CHOWN\",\"CAP_NET_RAW\"],\"effective\":[\"CAP_CHOWN\",\"CAP_NET_RAW\"],\"permitted\":[\"CAP_CHOWN\",\"CAP_NET_RAW\"],"
             "\"inheritable\":[],\"ambient\":[]}");
  service_is(&k, "\"user\":\"5\",\"cap_drop\":[\"ALL\"],\"cap_add\":[\"KILL\"]", "process/capabilities",
             "{\"bounding\":[\"CAP_KILL\"],\"effective\":[],\"permitted\":[],\"inheritable\":[],\"ambient\":[]}");
  service_is(&k, "\"cap_drop\":[\"ALL\"]", "process/capabilities/bounding", "[]");
  service_refused(&k, "\"cap_add\":[\"FLY\"]", BERTH_INVALID, "cap_add: there is no capability \"FLY\"");
  service_refused(&k, "\"cap_drop\":[\"FLY\"]", BERTH_INVALID, "cap_drop: there is no");
  service_refused(&k, "\"cap_add\":[\"SYS_RESOURCE\"]", BERTH_INVALID, "berthd itself lacks CAP_SYS_RESOURCE");
  uint64_t caps;
  PU_AUTO_JSON all = kit_json("[\"ALL\"]");
  PU_AUTO_JSON chown = kit_json("[\"CHOWN\"]");
  char *why = NULL;
  ok(ro_caps_tweak(all, chown, k.facts.capabilities, &caps, &why) && caps == (k.facts.capabilities & ~(uint64_t)1), "ALL without one");
  ok(ro_caps_tweak(NULL, chown, k.facts.capabilities, &caps, &why) && caps == (ro_caps_default() & ~(uint64_t)1), "the default without one");
}

static json_t *calls_named(const json_t *seccomp, const char *name) {
  json_t *out = json_array(), *rule, *v;
  size_t i, n;
  json_array_foreach(json_object_get(seccomp, "syscalls"), i, rule)
    json_array_foreach(json_object_get(rule, "names"), n, v)
      if (pu_eq(json_string_value(v), name))
        json_array_append(out, rule);
  return out;
}

static void allowed_is(const struct ro_seccomp_for *f, const char *call, const char *want) {
  PU_AUTO_JSON seccomp = ro_seccomp_default(f);
  PU_AUTO_JSON rules = calls_named(seccomp, call);
  PU_AUTO_FREE text = pu_strdup("");
  size_t i;
  json_t *r;
  json_array_foreach(rules, i, r) {
    json_t *arg = json_array_get(json_object_get(r, "args"), 0);
    pu_set(&text, pu_asprintf("%s%s%s", text, *text ? " " : "", pu_eq(pu_str(r, "action"), "SCMP_ACT_ALLOW") ? "yes" : "no"));
    if (json_object_get(r, "errnoRet"))
      pu_set(&text, pu_asprintf("%s:%lld", text, (long long)pu_int(r, "errnoRet", 0)));
    if (arg)
      pu_set(&text, pu_asprintf("%s:%lld:%s:%lld", text, (long long)pu_int(arg, "index", 9), pu_str(arg, "op") + 9, (long long)pu_int(arg, "value", 0)));
  }
  is_str(text, want, call);
}

static void test_seccomp(void) {
  static const int kernel[2] = {6, 1}, old[2] = {4, 7};
  struct ro_seccomp_for f = {.arch = "amd64", .kernel = kernel, .caps = ro_caps_default()};
  allowed_is(&f, "read", "yes");
  allowed_is(&f, "mount", "");
  allowed_is(&f, "keyctl", "");
  allowed_is(&f, "io_uring_setup", "");
  allowed_is(&f, "unshare", "");
  allowed_is(&f, "clone", "yes:0:MASKED_EQ:2114060288");
  allowed_is(&f, "clone3", "no:38");
  allowed_is(&f, "personality", "yes:0:EQ:0 yes:0:EQ:8 yes:0:EQ:131072 yes:0:EQ:131080 yes:0:EQ:4294967295");
  allowed_is(&f, "socket", "yes:0:NE:40");
  allowed_is(&f, "ptrace", "yes");
  allowed_is(&f, "chroot", "yes");
  allowed_is(&f, "arch_prctl", "yes");
  allowed_is(&f, "riscv_flush_icache", "");
  f.caps = 0;
  allowed_is(&f, "chroot", "");
  f.caps = (uint64_t)1 << ro_cap_bit("SYS_ADMIN");
  allowed_is(&f, "mount", "yes");
  allowed_is(&f, "clone", "yes");
  allowed_is(&f, "clone3", "yes");
  f.kernel = old;
  allowed_is(&f, "ptrace", "");
  f = (struct ro_seccomp_for){.arch = "s390x", .kernel = kernel};
  allowed_is(&f, "clone", "yes:1:MASKED_EQ:2114060288");
  PU_AUTO_JSON json = ro_seccomp_default(&f);
  PU_AUTO_FREE arches = pu_json_text(json_object_get(json, "architectures"));
  is_str(arches, "[\"SCMP_ARCH_S390X\",\"SCMP_ARCH_S390\"]", "architectures");
}

static void profile_is(const char *text, uint64_t caps, const char *want) {
  static const int kernel[2] = {6, 1};
  PU_AUTO_FREE why = NULL;
  PU_AUTO_JSON out = ro_seccomp_profile(&(struct ro_seccomp_for){.arch = "amd64", .kernel = kernel, .caps = caps}, text, &why);
  PU_AUTO_FREE got = out ? json_dumps(out, JSON_COMPACT | JSON_SORT_KEYS) : pu_strdup(why);
  is_str(got, want, "a profile of a file");
}

#define PROFILE(syscalls) "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":[\"SCMP_ARCH_X86\"]},{\"architecture\":\"SCMP_ARCH_ARM\"}],\"syscalls\":[" syscalls "]}"
#define PROFILED(syscalls) "{\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\"],\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[" syscalls "]}"

static void test_profile(void) {
  uint64_t admin = (uint64_t)1 << ro_cap_bit("SYS_ADMIN");
  profile_is(PROFILE("{\"names\":[\"a\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":null,\"comment\":\"c\",\"includes\":{},\"excludes\":{}}"), 0,
             PROFILED("{\"action\":\"SCMP_ACT_ALLOW\",\"names\":[\"a\"]}"));
  profile_is(PROFILE("{\"name\":\"a\",\"action\":\"SCMP_ACT_ALLOW\"}"), 0, PROFILED("{\"action\":\"SCMP_ACT_ALLOW\",\"names\":[\"a\"]}"));
  profile_is(PROFILE("{\"names\":[\"a\"],\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},{\"names\":[\"b\"],\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}}"), admin,
             PROFILED("{\"names\":[\"a\"]}"));
  profile_is(PROFILE("{\"names\":[\"a\"],\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},{\"names\":[\"b\"],\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}}"), 0,
             PROFILED("{\"names\":[\"b\"]}"));
  profile_is(PROFILE("{\"names\":[\"a\"],\"includes\":{\"arches\":[\"arm64\"]}},{\"names\":[\"b\"],\"includes\":{\"minKernel\":\"6.2\"}},{\"names\":[\"c\"],\"includes\":{\"minKernel\":\"5.9\"}}"),
             0, PROFILED("{\"names\":[\"c\"]}"));
  profile_is("[]", 0, "it is no JSON object");
  profile_is("{}", 0, "it has no defaultAction");
}

static void test_security(void) {
  struct kit k;
  kit_begin(&k);
  PU_AUTO_JSON found = kit_json("{\"files\":{\"/p\":\"{\\\"defaultAction\\\":\\\"SCMP_ACT_ALLOW\\\"}\",\"/bad\":\"[\"}}");
  k.in.found = found;
  service_is(&k, "\"security_opt\":[\"seccomp=unconfined\"]", "linux/seccomp", NULL);
  service_is(&k, "\"security_opt\":[\"seccomp:/p\"]", "linux/seccomp/defaultAction", "\"SCMP_ACT_ALLOW\"");
  service_is(&k, "\"security_opt\":[\"seccomp=builtin\"]", "linux/seccomp/defaultAction", "\"SCMP_ACT_ERRNO\"");
  service_refused(&k, "\"security_opt\":[\"seccomp=/none\"]", BERTH_INVALID, "seccomp profile /none cannot be read");
  service_refused(&k, "\"security_opt\":[\"seccomp=/bad\"]", BERTH_INVALID, "/bad: it is no JSON");
  service_is(&k, "\"security_opt\":[\"no-new-privileges:true\"]", "process/noNewPrivileges", "true");
  service_is(&k, "\"security_opt\":[\"no-new-privileges\"]", "process/noNewPrivileges", "true");
  service_is(&k, "\"security_opt\":[\"label=disable\"]", "process/selinuxLabel", NULL);
  service_refused(&k, "\"security_opt\":[\"label=type:x\"]", BERTH_UNSUPPORTED, "no SELinux");
  service_refused(&k, "\"security_opt\":[\"label=foo\"]", BERTH_INVALID, "label=foo");
  service_refused(&k, "\"security_opt\":[\"apparmor=mine\"]", BERTH_UNSUPPORTED, "no AppArmor");
  service_is(&k, "\"security_opt\":[\"apparmor=unconfined\"]", "process/apparmorProfile", NULL);
  service_refused(&k, "\"security_opt\":[\"magic\"]", BERTH_UNSUPPORTED, "\"magic\" is not known");
  service_is(&k, "\"security_opt\":[\"systempaths=unconfined\"]", "linux/maskedPaths", NULL);
  service_is(&k, "\"tty\":false", "linux/readonlyPaths", "[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\"]");
  service_is(&k, "\"tty\":false", "linux/maskedPaths/3", "\"/proc/kcore\"");
  service_is(&k, "\"privileged\":true", "linux/seccomp", NULL);
  service_is(&k, "\"privileged\":true", "linux/maskedPaths", NULL);
  service_is(&k, "\"privileged\":true", "linux/resources/devices", "[{\"allow\":true,\"access\":\"rwm\"}]");
  k.facts.has |= RO_HAS_APPARMOR | RO_HAS_SELINUX;
  k.facts.apparmor = (char *)(uintptr_t)"docker-default";
  service_is(&k, "\"tty\":false", "process/apparmorProfile", "\"docker-default\"");
  service_is(&k, "\"security_opt\":[\"apparmor=mine\",\"label=level:s0:c1,c2\",\"label=type:t\"]", "process/selinuxLabel", "\"system_u:system_r:t:s0:c1,c2\"");
  service_is(&k, "\"security_opt\":[\"apparmor=mine\",\"label=level:s0:c1,c2\"]", "linux/mountLabel", "\"system_u:object_r:container_file_t:s0:c1,c2\"");
  service_is(&k, "\"security_opt\":[\"label=disable\"]", "process/selinuxLabel", NULL);
  k.facts.apparmor = NULL;
  k.facts.has = 0;
  service_warns(&k, "\"tty\":false", "no seccomp");
}

int main(void) {
  test_command();
  test_environment();
  test_user();
  test_cwd();
  test_limits();
  test_capabilities();
  test_seccomp();
  test_profile();
  test_security();
  return done_testing();
}
