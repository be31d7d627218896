#include "config.h"
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/util.h"
#include "net/nft.h"
#include "settings.h"

/* ---------------------------------------------------------------- looking */

/* In a child, whose network namespace goes with it; only system calls, since this process has threads. */
static int try_bridge(void) {
  int pipes[2], error = -1;
  if (pipe2(pipes, O_CLOEXEC) != 0)
    return -1;
  pid_t pid = fork();
  if (pid == 0) {
    int fd, result = unshare(CLONE_NEWNET) != 0 || (fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0 || ioctl(fd, SIOCBRADDBR, "try0") != 0 ? errno : 0;
    _exit(write(pipes[1], &result, sizeof result) == sizeof result ? 0 : 1);
  }
  close(pipes[1]);
  if (pid < 0 || read(pipes[0], &error, sizeof error) != sizeof error)
    error = -1;
  close(pipes[0]);
  if (pid > 0)
    waitpid(pid, NULL, 0);
  return error;
}

static int number_in(const char *path) {
  FILE *f = fopen(path, "re");
  int n = -1;
  if (f && fscanf(f, "%9d", &n) != 1)
    n = -1;
  if (f)
    fclose(f);
  return n;
}

void ro_doctor_look(struct ro_look *out, bool remap, const char *programs, struct ro_storage storage) {
  *out = (struct ro_look){.remap = remap, .storage = storage};
  ro_facts_read(&out->facts);
  out->facts.init = ro_program_init(programs, out->facts.init);
  out->hybrid = access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) == 0;
  out->bridge_error = try_bridge();
  out->forwards = number_in("/proc/sys/net/ipv4/ip_forward");
  struct ro_why why = {0};
  struct ro_nft *nft = ro_nft_open(&why);
  out->nft = nft ? ro_nft_ask(nft, "list chains", &why) : NULL;
  if (!out->nft)
    out->nft_why = pu_strdup(why.text);
  if (nft)
    ro_nft_close(&nft);
}

void ro_look_free(struct ro_look *l) {
  ro_facts_free(&l->facts);
  free(l->nft);
  free(l->nft_why);
  ro_storage_free(&l->storage);
  *l = (struct ro_look){0};
}

/* ---------------------------------------------------------------- judging */

static void row(json_t *out, const char *element, const char *declared, const char *found, const char *verdict, const char *mend) {
  json_t *o = json_pack("{s:s, s:s, s:o, s:s}", "element", element, "declared", declared, "found", pu_json_string(found), "verdict", verdict);
  if (!pu_eq(verdict, "ok"))
    json_object_set_new(o, "mend", pu_json_string(mend));
  json_array_append_new(out, o);
}

/* One of those that are there or not. */
static void has(json_t *out, bool there, const char *element, const char *without, const char *bad, const char *mend) {
  row(out, element, "the kernel has it", there ? "it has" : without, there ? "ok" : bad, mend);
}

/* "crun version 1.8.1\n…" -> crun 1.8.1. crun before 1.0 and runc before 1.1 lack things of the runtime specification 1.0 that are used. */
static void judge_runtime(json_t *out, const char *version) {
  char name[32] = "";
  int major = 0, minor = 0;
  const char *line = version ? version : "";
  PU_AUTO_FREE first = pu_strndup(line, strcspn(line, "\n"));
  if (sscanf(line, "%31s version %9d.%9d", name, &major, &minor) < 2)
    row(out, "OCI runtime", "crun, or another of runtime-spec 1.0", *line ? first : "it says no version", "warning", "set runtime to crun, and see what it says to --version");
  else if (major < 1 || (pu_eq(name, "runc") && major == 1 && minor < 1))
    row(out, "OCI runtime", "crun 1.0, runc 1.1 or newer", first, "warning", "install a newer one (apt-get install crun)");
  else
    row(out, "OCI runtime", "crun 1.0, runc 1.1 or newer", first, "ok", NULL);
}

static void judge_cgroups(json_t *out, const struct ro_look *l) {
  static const struct {
    uint32_t has;
    const char *name;
  } parts[] = {{RO_HAS_CPU | RO_HAS_CFS, "cpu"}, {RO_HAS_CPUSET, "cpuset"}, {RO_HAS_MEMORY, "memory"}, {RO_HAS_SWAP, "swap"}, {RO_HAS_PIDS, "pids"},
               {RO_HAS_IO, "io"}, {RO_HAS_IO_WEIGHT, "weights of io"}, {RO_HAS_DEVICES, "devices"}};
  const uint32_t needed = RO_HAS_CPU | RO_HAS_CFS | RO_HAS_MEMORY | RO_HAS_PIDS;
  PU_AUTO_BUF have = {0};
  PU_AUTO_BUF lack = {0};
  for (size_t i = 0; i < PU_COUNT(parts); i++) {
    struct pu_buf *b = (l->facts.has & parts[i].has) == parts[i].has ? &have : &lack;
    pu_buf_addf(b, "%s%s", b->len ? ", " : "", parts[i].name);
  }
  PU_AUTO_FREE found = pu_asprintf("version %d%s: %s%s%s", l->facts.cgroup, l->hybrid ? " (hybrid)" : "", have.len ? have.data : "none", lack.len ? "; without " : "",
                                   lack.len ? lack.data : "");
  bool fine = (l->facts.has & needed) == needed;
  row(out, "control groups", "cpu, memory and pids at least", found, fine ? "ok" : "warning",
      "limits of what is missing are left out with a warning: mount the hierarchies (systemd does), or boot with cgroup_enable=memory");
}

static void judge_bridges(json_t *out, const struct ro_look *l) {
  PU_AUTO_FREE why = l->bridge_error > 0 ? pu_asprintf("a bridge in a network namespace cannot be made: %s", strerror(l->bridge_error)) : NULL;
  bool rights = l->bridge_error == EPERM || l->bridge_error == EACCES;
  row(out, "bridges", "network namespaces and bridges", why ? why : l->bridge_error < 0 ? "could not be tried" : "both can be made",
      why ? "error" : l->bridge_error < 0 ? "warning" : "ok",
      rights ? "run berthd as root with CAP_NET_ADMIN and CAP_SYS_ADMIN; network_mode: host and none work without" : "modprobe bridge veth, or a kernel with CONFIG_BRIDGE and CONFIG_VETH");
}

/* Whose forward chain drops what no rule there lets through: "ip filter FORWARD". In nft's listing a chain's line is followed by its hook. The
 * caller frees; NULL: nobody's but ours. */
static char *dropper(const char *chains) {
  char table[2][64] = {"", ""}, chain[64] = "";
  for (const char *line = chains; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
    PU_AUTO_FREE one = pu_strndup(line, strcspn(line, "\n"));
    if (sscanf(one, "table %63s %63s", table[0], table[1]) == 2 || sscanf(one, " chain %63s", chain) == 1)
      continue;
    if (strstr(one, "hook forward") && strstr(one, "policy drop") && !pu_eq(table[1], "berth"))
      return pu_asprintf("%s %s %s", table[0], table[1], chain);
  }
  return NULL;
}

static void judge_nft(json_t *out, const struct ro_look *l) {
  if (!l->nft) {
    row(out, "nftables", "libnftables and the kernel's nf_tables", l->nft_why ? l->nft_why : "it does not answer", "error",
        "apt-get install libnftables1, and modprobe nf_tables; without it there are no bridge networks and no published ports");
    return;
  }
  row(out, "nftables", "libnftables and the kernel's nf_tables", "both answer", "ok", NULL);
  PU_AUTO_FREE who = dropper(l->nft);
  bool docker = who && strstr(l->nft, "chain DOCKER-USER");
  PU_AUTO_FREE found = !who ? pu_strdup("nobody drops what is forwarded")
                            : pu_asprintf("%s has policy drop%s", who, docker ? "; its chain DOCKER-USER lets our networks through" : ", and what one table drops no other lets through");
  row(out, "forwarded packets", "no other product drops them", found, who && !docker ? "warning" : "ok",
      "let berth-* through there, as in: nft insert rule TABLE CHAIN iifname berth-* accept, and the same with oifname");
}

static void judge_forwarding(json_t *out, const struct ro_look *l) {
  bool known = l->forwards >= 0;
  row(out, "ip_forward", "net.ipv4.ip_forward can be read", !known ? "it cannot be read" : l->forwards ? "it is on" : "it is off until there is a network that needs it",
      known ? "ok" : "warning", "mount /proc as it is elsewhere; without forwarding containers reach nobody outside");
}

/* What ulimits, init and mapped users want beyond the rest. */
static void judge_extras(json_t *out, const struct ro_look *l) {
  PU_AUTO_FREE limit = pu_asprintf("hard limits stay as they are (nofile %lld): berthd lacks CAP_SYS_RESOURCE", (long long)l->facts.hard[ro_limit_index("nofile")]);
  PU_AUTO_FREE kernel = pu_asprintf("%d.%d", l->facts.kernel[0], l->facts.kernel[1]);
  bool recent = l->facts.kernel[0] > 5 || (l->facts.kernel[0] == 5 && l->facts.kernel[1] >= 6), users = l->facts.has & RO_HAS_USERNS;
  row(out, "kernel", "5.6 or newer", kernel, recent ? "ok" : "error", "subpaths and copies need openat2 of Linux 5.6: run a newer kernel");
  row(out, "user namespaces", l->remap ? "the kernel has them: userns: remap is set" : "the kernel has them", users ? "it has" : "it has none, or max_user_namespaces is 0",
      users ? "ok" : l->remap ? "error" : "warning", "sysctl -w user.max_user_namespaces=65536, or leave userns: remap out");
  row(out, "ulimits", "limits can be raised", l->facts.raise ? "they can" : limit, l->facts.raise ? "ok" : "warning",
      "a service's ulimits over that are cut with a warning: give berthd CAP_SYS_RESOURCE, or start it with higher limits");
  row(out, "init", "berth-init, tini, docker-init or catatonit for services with init: true", l->facts.init ? l->facts.init : "none is installed", l->facts.init ? "ok" : "warning",
      "apt-get install tini");
}

/* What the root file systems are made with, and what that costs. */
static void judge_storage(json_t *out, const struct ro_look *l) {
  static const char *const costs[] = {
      [RO_STORAGE_OVERLAY] = "overlayfs: layers are shared, a container costs what it writes",
      [RO_STORAGE_FUSE] = "fuse-overlayfs: layers are shared, but a process of some MB for each container reads and writes its files, several times as slowly",
      [RO_STORAGE_COPY] = "copies: each container takes the size of its image on disk, and its first start the time to copy it"};
  const struct ro_storage *s = &l->storage;
  const char *cost = s->kind == RO_STORAGE_COPY && s->shares ? "copies that share their blocks: each container's first start takes the time to copy the names of its image's files" : costs[s->kind];
  PU_AUTO_FREE found = s->why ? pu_asprintf("%s%s%s", cost ? cost : "", cost ? ", since " : "", s->why) : pu_strdup(cost);
  row(out, "root file systems", "overlayfs, or what storage says", found, s->kind == RO_STORAGE_NONE ? "error" : s->why ? "warning" : "ok",
      s->kind == RO_STORAGE_NONE ? "set storage to auto" : "put root on ext4, xfs or btrfs, modprobe overlay; or set storage to what is used, if that is meant");
}

/* Few need it: no warning. */
static void judge_limits(json_t *out, const struct ro_look *l) {
  PU_AUTO_FREE none = l->storage.unlimited ? pu_asprintf("no: %s", l->storage.unlimited) : NULL;
  row(out, "disk limits", "storage_opt.size of services can be held", none ? none : "it can", "ok", "");
}

json_t *ro_doctor_judge(const struct ro_look *l, const char *version) {
  json_t *out = json_array();
  judge_runtime(out, version);
  judge_cgroups(out, l);
  judge_storage(out, l);
  judge_limits(out, l);
  has(out, l->facts.has & RO_HAS_SECCOMP, "seccomp", "it has not, so containers may make any system call", "warning", "run a kernel with CONFIG_SECCOMP_FILTER");
  judge_bridges(out, l);
  judge_nft(out, l);
  judge_forwarding(out, l);
  judge_extras(out, l);
  return out;
}
