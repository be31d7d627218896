/* runtime-oci's words of what a machine lacks: judged from what was looked at, and looked at here. */
#include "config.h"

#include <errno.h>

#include "../../plugins/common/util.h"
#include "../../plugins/runtime-oci/doctor.h"
#include "tap.h"

static struct ro_look whole(void) {
  struct ro_look l = {.bridge_error = 0, .storage = {.kind = RO_STORAGE_OVERLAY}, .nft = (char *)(uintptr_t)"table inet berth {\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n", .forwards = 1};
  l.facts = (struct ro_facts){.kernel = {6, 1}, .cgroup = 2, .has = ~(uint32_t)0, .raise = true, .init = (char *)(uintptr_t)"/usr/bin/tini"};
  return l;
}

/* The row's verdict, and a part of its found and mend. */
static void row_is(const struct ro_look *l, const char *version, const char *element, const char *verdict, const char *part) {
  PU_AUTO_JSON rows = ro_doctor_judge(l, version);
  size_t i;
  json_t *r;
  json_array_foreach(rows, i, r) {
    if (!pu_eq(pu_str(r, "element"), element))
      continue;
    PU_AUTO_FREE text = pu_asprintf("%s|%s", pu_str(r, "found"), pu_str_or(r, "mend", ""));
    ok(pu_eq(pu_str(r, "verdict"), verdict) && strstr(text, part) && !pu_eq(verdict, "ok") == (pu_str(r, "mend") != NULL), "%s: %s: %s", element, pu_str(r, "verdict"), text);
    return;
  }
  ok(false, "there is a row %s", element);
}

#define CRUN "crun version 1.8.1\ncommit: x\nspec: 1.0.0\n"

static void test_judge(void) {
  struct ro_look l = whole();
  PU_AUTO_JSON rows = ro_doctor_judge(&l, CRUN);
  size_t i, bad = 0;
  json_t *r;
  json_array_foreach(rows, i, r)
    bad += !pu_eq(pu_str(r, "verdict"), "ok");
  ok(json_array_size(rows) == 13 && bad == 0, "all is well on a machine that has everything: %zu of %zu rows are not", bad, json_array_size(rows));
  row_is(&l, CRUN, "disk limits", "ok", "it can");
  l.storage.unlimited = (char *)(uintptr_t)"the reason";
  row_is(&l, CRUN, "disk limits", "ok", "no: the reason");
  l.storage.unlimited = NULL;
  row_is(&l, CRUN, "OCI runtime", "ok", "crun version 1.8.1");
  row_is(&l, "crun version 0.19\n", "OCI runtime", "warning", "install a newer one");
  row_is(&l, "runc version 1.0.3\n", "OCI runtime", "warning", "install a newer one");
  row_is(&l, "runc version 1.1.5+ds1\n", "OCI runtime", "ok", "runc version 1.1.5");
  row_is(&l, "hello\n", "OCI runtime", "warning", "hello");
  l.facts.has &= ~(uint32_t)(RO_HAS_MEMORY | RO_HAS_SWAP);
  row_is(&l, CRUN, "control groups", "warning", "without memory, swap");
  l.facts.has = RO_HAS_CPU | RO_HAS_CFS | RO_HAS_MEMORY | RO_HAS_PIDS;
  row_is(&l, CRUN, "control groups", "ok", "without cpuset");
  row_is(&l, CRUN, "root file systems", "ok", "a container costs what it writes");
  l.storage = (struct ro_storage){.kind = RO_STORAGE_COPY};
  row_is(&l, CRUN, "root file systems", "ok", "the size of its image");
  l.storage.shares = true;
  row_is(&l, CRUN, "root file systems", "ok", "share their blocks");
  l.storage.why = (char *)(uintptr_t)"overlayfs cannot be mounted there";
  row_is(&l, CRUN, "root file systems", "warning", "since overlayfs cannot be mounted there");
  l.storage.kind = RO_STORAGE_FUSE;
  row_is(&l, CRUN, "root file systems", "warning", "a process of some MB");
  l.storage.kind = RO_STORAGE_NONE;
  row_is(&l, CRUN, "root file systems", "error", "set storage to auto");
  row_is(&l, CRUN, "seccomp", "warning", "SECCOMP");
  row_is(&l, CRUN, "user namespaces", "warning", "max_user_namespaces");
  l.remap = true;
  row_is(&l, CRUN, "user namespaces", "error", "leave userns: remap out");
  l.bridge_error = EPERM;
  row_is(&l, CRUN, "bridges", "error", "CAP_NET_ADMIN");
  l.bridge_error = EOPNOTSUPP;
  row_is(&l, CRUN, "bridges", "error", "modprobe bridge");
  l.facts.kernel[0] = 5;
  row_is(&l, CRUN, "kernel", "error", "openat2");
  l.facts.raise = false;
  l.facts.hard[ro_limit_index("nofile")] = 20000;
  row_is(&l, CRUN, "ulimits", "warning", "nofile 20000");
  l.facts.init = NULL;
  row_is(&l, CRUN, "init", "warning", "apt-get install tini");
}

static void test_chains(void) {
  static const char docker[] = "table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n\tchain DOCKER-USER {\n\t}\n}\n";
  static const char other[] = "table inet fw {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n\tchain fwd {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n";
  struct ro_look l = whole();
  l.nft = (char *)(uintptr_t)docker;
  row_is(&l, CRUN, "forwarded packets", "ok", "ip filter FORWARD has policy drop; its chain DOCKER-USER");
  l.nft = (char *)(uintptr_t)other;
  row_is(&l, CRUN, "forwarded packets", "warning", "inet fw fwd has policy drop");
  l.nft = NULL;
  l.nft_why = (char *)(uintptr_t)"libnftables.so.1 is not there";
  row_is(&l, CRUN, "nftables", "error", "libnftables.so.1 is not there|apt-get install");
  l.forwards = 0;
  row_is(&l, CRUN, "ip_forward", "ok", "off until");
}

/* What this machine says; it is looked at twice, and nothing is left or leaks. */
static void test_look(void) {
  struct ro_look l;
  for (int i = 0; i < 2; i++) {
    ro_doctor_look(&l, false, "/nonexistent", (struct ro_storage){.kind = RO_STORAGE_OVERLAY});
    PU_AUTO_JSON rows = ro_doctor_judge(&l, CRUN);
    size_t n;
    json_t *r;
    json_array_foreach(rows, n, r) if (!i) printf("# %s: %s: %s\n", pu_str(r, "element"), pu_str(r, "verdict"), pu_str(r, "found"));
    ok(json_array_size(rows) >= 11 && l.facts.kernel[0] > 0, "this machine is looked at");
    ro_look_free(&l);
  }
}

int main(void) {
  test_judge();
  test_chains();
  test_look();
  return done_testing();
}
